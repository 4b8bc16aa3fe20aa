/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/orders.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/authkeys.h"
#include "tests/sandbox/caa.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/dcv.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/order_request.h"

bool order_is(const struct order *o, const char *status)
{
	return !strcmp(o->status, status);
}

bool orders_has_certificate_id(const struct order *o)
{
	return !order_is(o, "needs_approval");
}

struct certificate *orders_subject(const struct order *o)
{
	return o->next ? o->next : o->active;
}

bool orders_wants_proof(const struct order *o)
{
	const struct certificate *c = orders_subject(o);
	/* With a certificate and yet pending: somebody set the word by hand, and it stays. */
	return (order_is(o, "pending") || order_is(o, "reissue_pending")) && !c->issued_at && !c->waits;
}

bool orders_all_proven(const struct certificate *c)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (!c->proven[i])
			return false;
	return true;
}

void orders_set_status(struct sandbox *sb, struct order *o, const char *status)
{
	if (order_is(o, status))
		return;
	struct approval *own = o->approvals[0];
	if (order_is(o, "needs_approval")) {
		o->active->waits = false;
		if (own->status == APPROVAL_PENDING)
			own->status = APPROVAL_APPROVED;
	}
	snprintf(o->status, sizeof(o->status), "%s", status);
	if (order_is(o, "needs_approval")) {
		o->active->waits = !o->active->issued_at;
		own->status = APPROVAL_PENDING;
	}
	o->changed_at = sbx_now(sb);
	if (orders_wants_proof(o))
		sbx_wake_by(sb, INT64_MIN + 1);
}

void orders_issue(struct sandbox *sb, struct order *o)
{
	struct certificate *c = orders_subject(o);
	if (!c->issued_at)
		certificates_issue(sb, c);
	orders_set_status(sb, o, "issued");
}

bool orders_may_issue(const struct sandbox *sb, const struct order *o)
{
	const struct certificate *c = orders_subject(o);
	return certificates_can_live(sb, c) && !caa_blocks(sb, c);
}

void orders_issue_if_due(struct sandbox *sb, struct order *o)
{
	const struct certificate *c = orders_subject(o);
	if (orders_wants_proof(o) && c->validated_ms && orders_may_issue(sb, o) &&
	    sbx_now_ms(sb) >= c->validated_ms + sb->set.issue_delay_s * 1000)
		orders_issue(sb, o);
}

void orders_issue_all_due(struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_orders; i++)
		orders_issue_if_due(sb, sb->orders[i]);
}

void orders_clock_moved(struct sandbox *sb)
{
	int64_t now_ms = sbx_now_ms(sb);
	for (size_t i = 0; i < sb->n_orders; i++) {
		struct order *o = sb->orders[i];
		struct certificate *c = orders_subject(o);
		o->polled_ms = MIN(o->polled_ms, now_ms);
		if (c->validated_ms)
			c->validated_ms = MIN(c->validated_ms, now_ms);
	}
	pthread_cond_broadcast(&sb->wake);
}

struct order *orders_get(struct sandbox *sb, const char *id, struct reply *rp)
{
	uint64_t n = 0;
	if (str_parse_u64(id, &n) == 0 && n >= (uint64_t)sb->first_id &&
	    n - (uint64_t)sb->first_id < sb->n_orders)
		return sb->orders[n - (uint64_t)sb->first_id];
	if (rp)
		(void)reply_error(rp, 404, "not_found|order", "The order could not be found.");
	return NULL;
}

const char *orders_time(int64_t at, char buf[ORDERS_TIME_MAX])
{
	char utc[TIMEFMT_MAX];
	timefmt_rfc3339(at, utc);
	snprintf(buf, ORDERS_TIME_MAX, "%.*s+00:00", (int)strcspn(utc, "Z"), utc);
	return buf;
}

void orders_new_token(struct sandbox *sb, struct order *o)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char raw[SBX_TOKEN_LEN];
	clock_random(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		o->token[i] = alphabet[raw[i] % (sizeof(alphabet) - 1)];
	o->token[SBX_TOKEN_LEN] = '\0';
	o->token_expires_at = sbx_now(sb) + sb->set.token_days * INT64_C(86400);
}

/* Moves the wish into the ledger. */
static struct order *add_order(struct sandbox *sb, const char *product, struct order_wish *w)
{
	struct order *o = xmalloc(sizeof(*o));
	int64_t now_ms = sbx_now_ms(sb);
	bool wait = approvals_needed(sb, w->skip_approval);
	*o = (struct order){
		.id = sb->first_id + (int64_t)sb->n_orders,
		.product = product,
		.alternative_order_id = TAKE_PTR(w->alternative_order_id),
		.payment_method = TAKE_PTR(w->payment_method),
		.dcv_emails = TAKE_PTR(w->dcv_emails),
		.dcv_method = w->dcv_method,
		.order_days = w->order_days,
		.order_until = w->order_until,
		.renewal_notices_off = w->renewal_notices_off,
		.renewal_of = w->renewal_of,
		.created_at = sbx_now(sb),
		.polled_ms = now_ms,
	};
	snprintf(o->status, sizeof(o->status), "%s", wait ? "needs_approval" : "pending");
	orders_new_token(sb, o);
	struct order **slot = SBX_GROW(sb->orders, sb->n_orders);
	*slot = o;
	o->active = certificates_add(sb, o, CERTIFICATE_PRIMARY, w);
	o->active->waits = wait;
	(void)approvals_add(sb, o, o->active, APPROVAL_ORDER, wait, NULL);
	if (sb->set.ca_poll_s)
		sbx_wake_by(sb, now_ms + sb->set.ca_poll_s * 1000);
	return o;
}

static struct json *placed_json(const struct order *o)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "id", o->id);
	if (!orders_has_certificate_id(o)) {
		struct json *r = json_new_obj();
		json_set_i64(r, "id", o->approvals[0]->id);
		json_set_str(r, "status", "pending");
		struct json *list = json_new_arr();
		json_add(list, r);
		json_set(j, "requests", list);
		return j;
	}
	json_set_i64(j, "certificate_id", o->active->id);
	if (o->dcv_method != DCV_EMAIL)
		json_set_str(j, "dcv_random_value", o->token);
	return j;
}

/* The order that is renewed must be the account's own, and must have got a certificate. */
static int check_renewal(struct sandbox *sb, const struct order_wish *w, struct order **ret, struct reply *rp)
{
	int64_t n = w->renewal_of - sb->first_id;
	*ret = NULL;
	if (!w->renewal_of)
		return 0;
	if (n >= 0 && n < (int64_t)sb->n_orders && sb->orders[n]->active->issued_at)
		*ret = sb->orders[n];
	return *ret ? 0
		    : reply_error(rp, 400, "invalid_field|renewal_of_order_id",
				  "The account has no such order with a certificate.");
}

/* What is done under the lock to place an order. auth_key becomes non-empty when its request tokens are to be
 * looked for. NULL with the error in *rp. */
static struct order *place(struct sandbox *sb, const char *product, struct order_wish *w,
			   char auth_key[AUTHKEYS_TEXT_MAX], struct reply *rp)
{
	struct order *old = NULL;
	SBX_LOCKED(sb);
	if (check_renewal(sb, w, &old, rp) < 0 || authkeys_choose(sb, product, w, auth_key, rp) < 0 ||
	    caa_check(sb, w->names, w->n_names, rp) < 0)
		return NULL;
	struct order *o = add_order(sb, product, w);
	if (old)
		old->renewed_by = o->id;
	reply_json(rp, 201, placed_json(o));
	return o;
}

/* Delay or not: that is what instant issuance is for. */
void orders_try_instantly(struct sandbox *sb, struct certificate *c, const char *auth_key, struct reply *rp)
{
	struct order *o = c->order;
	if (!auth_key[0] || !dcv_request_tokens_prove(sb, c, auth_key))
		return;
	SBX_LOCKED(sb);
	if (!orders_wants_proof(o) || orders_subject(o) != c || !orders_may_issue(sb, o))
		return;
	for (size_t i = 0; i < c->n_names; i++)
		c->proven[i] = true;
	c->validated_ms = sbx_now_ms(sb);
	orders_issue(sb, o);
	reply_json(rp, 201, certificates_issued_json(sb, c));
}

void orders_place(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const char *product = order_product(rq->arg[0]);
	if (!product) {
		(void)reply_error(rp, 404, "not_found|product", "The product could not be found.");
		return;
	}
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body)
		return;
	int64_t now;
	{
		SBX_LOCKED(sb);
		now = sbx_now(sb);
	}
	struct order_wish w = { 0 };
	char auth_key[AUTHKEYS_TEXT_MAX] = "";
	struct order *o = NULL;
	if (order_wish_parse(body, product, now, &w, rp) == 0)
		o = place(sb, product, &w, auth_key, rp);
	order_wish_done(&w);
	if (o)
		orders_try_instantly(sb, o->certificates[0], auth_key, rp);
	mem_wipe(auth_key, sizeof(auth_key));
}
