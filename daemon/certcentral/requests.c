/* SPDX-License-Identifier: Apache-2.0 */
/* One function per endpoint: its path, its body, its place in the queue. How calls leave and come back is in client.c, what a
 * body holds in encode.c. */
#include "daemon/certcentral/internal.h"

#include <assert.h>

#include "common/mem.h"
#include "common/str.h"

#define MINUTES_MAX  10079
#define PATH_MAX_LEN 4096
#define SMALL_BODY   4096

const struct cc_endpoint_row cc_endpoints[CC_ENDPOINT_NR] = {
	[CC_ORDER] = { "order.submit", "POST", false },
	[CC_FIND] = { "order.find", "GET", false },
	[CC_INFO] = { "order.info", "GET", false },
	[CC_SERIAL] = { "order.by-serial", "GET", true },
	[CC_TOKEN] = { "dcv.token", "PUT", false },
	[CC_CHECK] = { "dcv.check", "PUT", false },
	[CC_CHANGES] = { "order.changes", "GET", false },
	[CC_DOWNLOAD] = { "certificate.download", "GET", false },
	[CC_REISSUE] = { "order.reissue", "POST", false },
	[CC_DUPLICATE] = { "order.duplicate", "POST", false },
	[CC_DUPLICATES] = { "order.duplicates", "GET", false },
	[CC_METHOD] = { "dcv.method", "PUT", false },
	[CC_RESEND] = { "dcv.resend", "PUT", false },
	[CC_REVOKE] = { "certificate.revoke", "PUT", true },
	[CC_APPROVE] = { "request.status", "PUT", true },
	[CC_CANCEL] = { "order.cancel", "PUT", false },
	[CC_AUTH_KEYS] = { "account.auth-keys", "GET", true },
	[CC_AUTH_KEY] = { "account.auth-key", "GET", true },
	[CC_AUTH_KEY_CREATE] = { "account.auth-key.create", "POST", true },
	[CC_USER] = { "account.user", "GET", true },
	[CC_PRODUCTS] = { "account.products", "GET", true },
};

static char *path_of_part(const char *before, const char *part, const char *after)
{
	struct strbuf sb = STRBUF_INIT(PATH_MAX_LEN);

	strbuf_adds(&sb, before);
	str_percent_encode(&sb, part);
	strbuf_adds(&sb, after);
	return strbuf_take(&sb);
}

static char *order_path(int64_t order_id, const char *what)
{
	return xasprintf("/order/certificate/%lld%s", (long long)order_id, what);
}

static void take_body(struct cc_call *c, struct strbuf *sb)
{
	assert(strbuf_ok(sb));
	c->body_len = sb->len;
	c->body = strbuf_take(sb);
}

/* --- orders --- */

/* More than the body can take: six bytes for each one that JSON escapes. */
static size_t body_bound(const struct cc_order *o)
{
	size_t n = 1024 + 6 * strlen(o->csr);
	const char *const words[] = { o->reference, o->dcv_method, o->payment_method, o->auth_key_id };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		n += words[i] ? 6 * strlen(words[i]) : 0;
	for (size_t i = 0; i < o->n_names; i++) {
		n += 6 * strlen(o->names[i]) + 3;
		for (size_t k = 0; k < o->n_dcv_emails; k++)
			n += 64 + 6 * (strlen(o->names[i]) + 2 * strlen(o->dcv_emails[k]));
	}
	return n;
}

typedef void encode_fn(const struct cc_order *o, struct strbuf *sb);

static void post_order(struct cc *cc, enum cc_endpoint ep, char *path, encode_fn *encode,
		       const struct cc_order *o, int64_t prio, cc_done_fn *done, void *owner,
		       struct cc_call **ret)
{
	struct strbuf sb = STRBUF_INIT(body_bound(o));
	struct cc_call *c = cc_call_new(cc, ep, path, prio, done, owner);

	encode(o, &sb);
	take_body(c, &sb);
	cc_call_enqueue(c, ret);
}

void cc_order_submit(struct cc *cc, const struct cc_order *o, int64_t prio, cc_done_fn *done, void *owner,
		     struct cc_call **ret)
{
	post_order(cc, CC_ORDER, path_of_part("/order/certificate/", o->product, ""), cc_encode_order, o,
		   prio, done, owner, ret);
}

void cc_order_reissue(struct cc *cc, int64_t order_id, const struct cc_order *o, int64_t prio,
		      cc_done_fn *done, void *owner, struct cc_call **ret)
{
	post_order(cc, CC_REISSUE, order_path(order_id, "/reissue"), cc_encode_reissue, o, prio, done, owner,
		   ret);
}

void cc_order_duplicate(struct cc *cc, int64_t order_id, const struct cc_order *o, int64_t prio,
			cc_done_fn *done, void *owner, struct cc_call **ret)
{
	post_order(cc, CC_DUPLICATE, order_path(order_id, "/duplicate"), cc_encode_duplicate, o, prio, done,
		   owner, ret);
}

void cc_order_find(struct cc *cc, const char *reference, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret)
{
	char *path = path_of_part("/order/alternate/", reference, "?limit=1000&offset=0");

	cc_call_enqueue(cc_call_new(cc, CC_FIND, path, prio, done, owner), ret);
}

static void order_call(struct cc *cc, enum cc_endpoint ep, int64_t order_id, const char *what, int64_t prio,
		       cc_done_fn *done, void *owner, struct cc_call **ret)
{
	cc_call_enqueue(cc_call_new(cc, ep, order_path(order_id, what), prio, done, owner), ret);
}

void cc_order_info(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret)
{
	order_call(cc, CC_INFO, order_id, "", prio, done, owner, ret);
}

void cc_order_by_serial(struct cc *cc, const char *serial, int64_t prio, cc_done_fn *done, void *owner,
			struct cc_call **ret)
{
	char *path = path_of_part("/order/certificate/", serial, "");

	cc_call_enqueue(cc_call_new(cc, CC_SERIAL, path, prio, done, owner), ret);
}

void cc_duplicates(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret)
{
	order_call(cc, CC_DUPLICATES, order_id, "/duplicate", prio, done, owner, ret);
}

void cc_status_changes(struct cc *cc, int64_t minutes, cc_done_fn *done, void *owner, struct cc_call **ret)
{
	int64_t m = MAX(1, MIN(minutes, MINUTES_MAX));
	char *path = xasprintf("/order/certificate/status-changes?minutes=%lld", (long long)m);

	cc_call_enqueue(cc_call_new(cc, CC_CHANGES, path, CC_PRIO_NOW, done, owner), ret);
}

/* By certificate id: by order id it may still be the certificate before the reissue. pem_all: a named format,
 * the platform's one may be a zip. */
void cc_download(struct cc *cc, int64_t certificate_id, int64_t prio, cc_done_fn *done, void *owner,
		 struct cc_call **ret)
{
	char *path = xasprintf("/certificate/%lld/download/format/pem_all", (long long)certificate_id);

	cc_call_enqueue(cc_call_new(cc, CC_DOWNLOAD, path, prio, done, owner), ret);
}

/* --- proofs --- */

/* A call whose body is one word. */
static void word_call(struct cc *cc, enum cc_endpoint ep, char *path, const char *key, const char *word,
		      int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret)
{
	struct strbuf sb = STRBUF_INIT(SMALL_BODY);
	struct cc_call *c = cc_call_new(cc, ep, path, prio, done, owner);

	cc_encode_word(key, word, &sb);
	take_body(c, &sb);
	cc_call_enqueue(c, ret);
}

void cc_dcv_token(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		  struct cc_call **ret)
{
	order_call(cc, CC_TOKEN, order_id, "/dcv-random-value", prio, done, owner, ret);
}

void cc_dcv_check(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		  struct cc_call **ret)
{
	order_call(cc, CC_CHECK, order_id, "/check-dcv", prio, done, owner, ret);
}

void cc_dcv_method(struct cc *cc, int64_t order_id, const char *method, int64_t prio, cc_done_fn *done,
		   void *owner, struct cc_call **ret)
{
	word_call(cc, CC_METHOD, order_path(order_id, "/dcv-method"), "dcv_method", method, prio, done, owner,
		  ret);
}

void cc_resend_emails(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		      struct cc_call **ret)
{
	order_call(cc, CC_RESEND, order_id, "/resend-emails", prio, done, owner, ret);
}

/* --- ending --- */

void cc_revoke(struct cc *cc, const struct cc_revocation *r, int64_t prio, cc_done_fn *done, void *owner,
	       struct cc_call **ret)
{
	struct strbuf sb = STRBUF_INIT(SMALL_BODY);
	/* One certificate is named by its own id: by the order's, all of the order would be revoked. */
	char *path = r->certificate_id ? xasprintf("/certificate/%lld/revoke", (long long)r->certificate_id)
				       : order_path(r->order_id, "/revoke");
	struct cc_call *c = cc_call_new(cc, CC_REVOKE, path, prio, done, owner);

	cc_encode_revocation(r, &sb);
	take_body(c, &sb);
	cc_call_enqueue(c, ret);
}

void cc_request_status(struct cc *cc, int64_t request_id, bool approve, int64_t prio, cc_done_fn *done,
		       void *owner, struct cc_call **ret)
{
	char *path = xasprintf("/request/%lld/status", (long long)request_id);

	word_call(cc, CC_APPROVE, path, "status", approve ? "approved" : "rejected", prio, done, owner, ret);
}

/* Capitals here, "canceled" in answers. */
void cc_order_cancel(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		     struct cc_call **ret)
{
	word_call(cc, CC_CANCEL, order_path(order_id, "/status"), "status", "CANCELED", prio, done, owner,
		  ret);
}

/* --- AuthKeys --- */

void cc_auth_keys(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret)
{
	cc_call_enqueue(cc_call_new(cc, CC_AUTH_KEYS, xstrdup("/account/auth-keys"), prio, done, owner), ret);
}

void cc_auth_key(struct cc *cc, const char *id, int64_t prio, cc_done_fn *done, void *owner,
		 struct cc_call **ret)
{
	char *path = id ? path_of_part("/account/auth-key/", id, "") : xstrdup("/account/auth-key");

	cc_call_enqueue(cc_call_new(cc, CC_AUTH_KEY, path, prio, done, owner), ret);
}

void cc_auth_key_create(struct cc *cc, int64_t days, int64_t prio, cc_done_fn *done, void *owner,
			struct cc_call **ret)
{
	assert(days >= 0); /* a slip must not make a key that never ends */
	char *path = days > 0 ? xasprintf("/account/auth-key/%lld", (long long)days)
			      : xstrdup("/account/auth-key");

	cc_call_enqueue(cc_call_new(cc, CC_AUTH_KEY_CREATE, path, prio, done, owner), ret);
}

/* --- the key --- */

void cc_user(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret)
{
	cc_call_enqueue(cc_call_new(cc, CC_USER, xstrdup("/user/me"), prio, done, owner), ret);
}

void cc_products(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret)
{
	cc_call_enqueue(cc_call_new(cc, CC_PRODUCTS, xstrdup("/product"), prio, done, owner), ret);
}
