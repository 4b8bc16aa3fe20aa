/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about orders: placed, reissued, duplicated, found, listed, described. */
#include "daemon/certcentral/internal.h"

#include <strings.h>

#include "common/mem.h"

/* --- order, reissue, duplicate --- */

/* Only helps to approve by hand: one that is not understood is as good as none. */
static int64_t id_of_request(const struct json *request)
{
	int64_t id = 0;

	return json_get_i64(request, "id", &id) == 1 && id > 0 ? id : 0;
}

struct order_fields {
	int64_t id;
	int64_t certificate_id;
	char *token;
};

static const struct json_field order_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct order_fields, id), JSON_REQUIRED },
	{ "certificate_id", JSON_WANT_I64, offsetof(struct order_fields, certificate_id), 0 },
	{ "dcv_random_value", JSON_WANT_STR, offsetof(struct order_fields, token), 0 },
};

/* Newer answers may carry the token per domain. One value serves all names of a DV order; if they differ, none
 * is taken and the token is asked for. */
static const char *token_of_domains(const struct json *domains)
{
	const char *first = NULL;

	for (size_t i = 0; i < json_arr_len(domains); i++) {
		const struct json *t = json_get(json_arr_at(domains, i), "dcv_token");
		const char *token = json_str(json_get(t, "token"));

		if (!token || (first && strcmp(first, token) != 0))
			return NULL;
		first = token;
	}
	return first;
}

/* The chain of an instant answer is a gift: what is odd in it is dropped, the download will tell. */
static void take_chain(struct cc_decoded *d, const struct json *chain)
{
	struct strbuf sb = STRBUF_INIT(CC_BODY_MAX);

	for (size_t i = 0; i < json_arr_len(chain); i++) {
		const char *pem = json_str(json_get(json_arr_at(chain, i), "pem"));

		if (!pem || !strstr(pem, CC_PEM_BEGIN)) {
			strbuf_done(&sb);
			return;
		}
		cc_add_lf(&sb, pem, strlen(pem));
		if (strbuf_str(&sb)[sb.len - 1] != '\n')
			strbuf_addc(&sb, '\n');
	}
	if (sb.len > 0 && strbuf_ok(&sb)) {
		d->reply.pem_len = sb.len;
		d->reply.pem = d->pem = strbuf_take(&sb);
	}
	strbuf_done(&sb);
}

/* Which keys are there decides, not what was asked for: the ordinary answer may come where an instant one was
 * expected, and the other way round. */
void cc_decode_order(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	struct order_fields f = { 0 };
	bool ok = cc_pick(d, j, "", order_fields, ARRAY_SIZE(order_fields), &f);
	_cleanup_free_ char *token = f.token;

	if (!ok || !cc_id_is_sane(d, "id", f.id, 1) ||
	    !cc_id_is_sane(d, "certificate_id", f.certificate_id, 0))
		return;

	const char *t = token ? token : token_of_domains(json_get(j, "domains"));

	if (t && !cc_take_token(d, FAULT_UNCLEAR, "dcv_random_value", t))
		return;
	d->reply.order_id = f.id;
	d->reply.certificate_id = f.certificate_id;
	d->reply.needs_approval = f.certificate_id == 0 && json_arr_len(json_get(j, "requests")) > 0;
	d->reply.request_id = id_of_request(json_arr_at(json_get(j, "requests"), 0));
	if (d->reply.needs_approval)
		cc_take_status(d, "needs_approval");
	take_chain(d, json_get(j, "certificate_chain"));
	if (d->reply.pem && f.certificate_id != 0)
		cc_take_status(d, "issued");
}

/* --- find, status-changes --- */

struct entry_fields {
	int64_t order_id;
	int64_t certificate_id;
	char *status;
};

static const struct json_field entry_fields[] = {
	{ "order_id", JSON_WANT_I64, offsetof(struct entry_fields, order_id), JSON_REQUIRED },
	{ "certificate_id", JSON_WANT_I64, offsetof(struct entry_fields, certificate_id), 0 },
	{ "status", JSON_WANT_STR, offsetof(struct entry_fields, status), 0 },
};

static bool decode_entry(struct cc_decoded *d, const struct json *j, size_t i, struct cc_entry *ret)
{
	struct entry_fields f = { 0 };
	char path[48];

	(void)snprintf(path, sizeof(path), "orders[%zu]", i);

	bool ok = cc_pick(d, j, path, entry_fields, ARRAY_SIZE(entry_fields), &f);
	_cleanup_free_ char *status = f.status;

	if (!ok || !cc_id_is_sane(d, path, f.order_id, 1) || !cc_id_is_sane(d, path, f.certificate_id, 0))
		return false;
	*ret = (struct cc_entry){ .order_id = f.order_id,
				  .certificate_id = f.certificate_id,
				  .status = cc_status_parse(status) };
	return true;
}

/* None is `{}` for status changes and a 404, `{}` or an empty list for a look-up. */
void cc_decode_entries(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	const struct json *orders = NULL;
	const struct json *page = NULL;

	if (json_get_arr(j, "orders", &orders) < 0) {
		cc_unclear(d, "bad_answer", "orders: not an array");
		return;
	}
	if (json_get_obj(j, "page", &page) < 0 || json_get_i64(page, "total", &d->total) < 0)
		d->total = 0; /* only helps to turn pages */

	size_t n = json_arr_len(orders);

	/* A page beyond the last one is empty too, but a look-up has one page. */
	if (ep == CC_FIND && n == 0 && d->total > 0) {
		cc_unclear(d, "bad_answer", "page.total counts orders that are not there");
		return;
	}
	d->entries = xcalloc(n + 1, sizeof(*d->entries));
	for (size_t i = 0; i < n; i++)
		if (!decode_entry(d, json_arr_at(orders, i), i, &d->entries[i]))
			return;
	d->reply.entries = d->entries;
	d->reply.n_entries = n;
}

/* --- order info --- */

struct info_fields {
	int64_t id;
	char *status;
	char *order_valid_till;
	const struct json *certificate;
};

static const struct json_field info_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct info_fields, id), JSON_REQUIRED },
	{ "status", JSON_WANT_STR, offsetof(struct info_fields, status), JSON_REQUIRED },
	{ "order_valid_till", JSON_WANT_STR, offsetof(struct info_fields, order_valid_till), 0 },
	{ "certificate", JSON_WANT_OBJ, offsetof(struct info_fields, certificate), 0 },
};

struct cert_fields {
	int64_t id;
	char *common_name;
	char *csr;
};

static const struct json_field cert_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct cert_fields, id), 0 },
	{ "common_name", JSON_WANT_STR, offsetof(struct cert_fields, common_name), 0 },
	{ "csr", JSON_WANT_STR, offsetof(struct cert_fields, csr), 0 },
};

/* Words that only inform: a quirk in one of them must not stop an issuance that order info decides about. */
static const char *soft_text(const struct json *j, const char *key)
{
	const char *s = NULL;

	return json_get_str(j, key, &s) == 1 && *s ? s : NULL;
}

static bool word_is(const char *word, const char *expected)
{
	return word && strcasecmp(word, expected) == 0;
}

/* requests[] is the order's history; only one that waits says something about now. */
static void take_requests(struct cc_decoded *d, const struct json *requests)
{
	for (size_t i = 0; i < json_arr_len(requests); i++) {
		const struct json *rq = json_arr_at(requests, i);

		if (!word_is(soft_text(rq, "status"), "pending"))
			continue;
		d->reply.request_id = id_of_request(rq);
		if (word_is(soft_text(rq, "type"), "reissue"))
			d->reply.reissue_pending = d->reply.needs_approval = true;
	}
}

static void take_soft(struct cc_decoded *d, const struct json *j)
{
	const char *cert_status = soft_text(json_get(j, "certificate"), "status");
	const char *method = soft_text(j, "dcv_method");
	int64_t renewed = 0;

	if (cert_status) {
		d->reply.cert_status = cc_status_parse(cert_status);
		d->reply.cert_status_word = d->cert_status_word = cc_one_line(cert_status, CC_WORD_MAX);
	}
	if (method)
		d->reply.dcv_method = d->dcv_method = cc_one_line(method, CC_WORD_MAX);
	if (json_get_i64(j, "renewed_order_id", &renewed) == 1 && renewed > 0)
		d->reply.renewed_order_id = renewed;
	take_requests(d, json_get(j, "requests"));
}

void cc_decode_info(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	struct info_fields f = { 0 };
	struct cert_fields c = { 0 };
	bool ok = cc_pick(d, j, "", info_fields, ARRAY_SIZE(info_fields), &f) &&
		  (!f.certificate ||
		   cc_pick(d, f.certificate, "certificate", cert_fields, ARRAY_SIZE(cert_fields), &c));
	_cleanup_free_ char *status = f.status;
	_cleanup_free_ char *till = f.order_valid_till;
	_cleanup_free_ char *common_name = c.common_name;
	_cleanup_free_ char *csr = c.csr;

	if (!ok || !cc_id_is_sane(d, "id", f.id, 1) || !cc_id_is_sane(d, "certificate.id", c.id, 0))
		return;
	d->reply.order_id = f.id;
	d->reply.certificate_id = c.id;
	cc_take_status(d, status);
	d->reply.order_valid_until = cc_day_or_time(till);
	if (common_name)
		d->reply.common_name = d->common_name = cc_one_line(common_name, CC_TEXT_MAX);
	if (csr)
		d->reply.csr = d->csr = cc_sane_csr(csr);
	d->reply.reissue_pending = d->reply.status == CC_STATUS_REISSUE;
	take_soft(d, j);
}

/* --- duplicates --- */

/* The list is not paged; one that is longer than any real order's costs too much to compare. */
#define CERTS_MAX      1000
#define SERIAL_LEN_MAX 64

struct listed_fields {
	int64_t id;
	char *status;
	char *csr;
	char *serial;
};

static const struct json_field listed_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct listed_fields, id), 0 },
	{ "status", JSON_WANT_STR, offsetof(struct listed_fields, status), 0 },
	{ "csr", JSON_WANT_STR, offsetof(struct listed_fields, csr), 0 },
	{ "serial_number", JSON_WANT_STR, offsetof(struct listed_fields, serial), 0 },
};

static char *sane_serial(const char *s)
{
	size_t n = strspn(s, "0123456789abcdefABCDEF");

	return n > 0 && n <= SERIAL_LEN_MAX && !s[n] ? xstrdup(s) : NULL;
}

/* The list may begin with the present certificate and hold several copies of it. */
static bool is_listed(const struct cc_decoded *d, int64_t id, const char *serial)
{
	for (size_t i = 0; i < d->n_certs; i++) {
		const struct cc_cert *c = &d->certs[i];

		if (c->serial && serial ? strcasecmp(c->serial, serial) == 0
					: id != 0 && c->certificate_id == id)
			return true;
	}
	return false;
}

static bool decode_listed(struct cc_decoded *d, const struct json *j, size_t i)
{
	struct listed_fields f = { 0 };
	char path[48];

	(void)snprintf(path, sizeof(path), "certificates[%zu]", i);

	bool ok = cc_pick(d, j, path, listed_fields, ARRAY_SIZE(listed_fields), &f);
	_cleanup_free_ char *status = f.status;
	_cleanup_free_ char *csr = f.csr;
	_cleanup_free_ char *serial_text = f.serial;
	_cleanup_free_ char *serial = serial_text ? sane_serial(serial_text) : NULL;

	if (!ok || !cc_id_is_sane(d, path, f.id, 0))
		return false;
	if (is_listed(d, f.id, serial))
		return true;
	d->certs[d->n_certs++] = (struct cc_cert){ .certificate_id = f.id,
						   .status = cc_status_parse(status),
						   .csr = csr ? cc_sane_csr(csr) : NULL,
						   .serial = TAKE_PTR(serial) };
	return true;
}

void cc_decode_duplicates(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	const struct json *list = NULL;
	size_t n = 0;

	(void)ep;
	if (json_get_arr(j, "certificates", &list) < 0) {
		cc_unclear(d, "bad_answer", "certificates: not an array");
		return;
	}
	n = json_arr_len(list);
	if (n > CERTS_MAX) {
		cc_unclear(d, "bad_answer", "certificates: too many");
		return;
	}
	d->certs = xcalloc(n + 1, sizeof(*d->certs));
	for (size_t i = 0; i < n; i++)
		if (!decode_listed(d, json_arr_at(list, i), i))
			return;
	d->reply.certs = d->certs;
	d->reply.n_certs = d->n_certs;
}
