/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/orders.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/order_request.h"

#include <errno.h>

#define DAY_S	   INT64_C(86400)
#define BACKDATE_S 5 /* a certificate begins a little before its issue */

bool order_is(const struct order *o, const char *status)
{
	return !strcmp(o->status, status);
}

bool orders_has_certificate_id(const struct order *o)
{
	return !order_is(o, "needs_approval");
}

bool orders_all_proven(const struct order *o)
{
	for (size_t i = 0; i < o->n_names; i++)
		if (!o->proven[i])
			return false;
	return true;
}

void orders_set_status(struct sandbox *sb, struct order *o, const char *status)
{
	if (order_is(o, status))
		return;
	snprintf(o->status, sizeof(o->status), "%s", status);
	o->changed_at = sbx_now(sb);
	if (order_is(o, "pending"))
		sbx_wake_by(sb, INT64_MIN + 1);
}

void orders_issue(struct sandbox *sb, struct order *o)
{
	if (o->issued_at) {
		orders_set_status(sb, o, "issued");
		return;
	}
	int64_t now = sbx_now(sb);
	int64_t life = sb->set.validity_s;
	if (o->certificate_days && o->certificate_days * DAY_S < life)
		life = o->certificate_days * DAY_S;
	struct ca_request req = {
		.key = o->csr->key,
		.key_is_rsa = o->csr->rsa,
		.names = (const char *const *)o->names,
		.n_names = o->n_names,
		.not_before = now - BACKDATE_S,
		.not_after = now + life,
		.hash = o->signature_hash,
	};
	ca_issue(sb->ca, &req, &o->cert);
	o->issued_at = now;
	orders_set_status(sb, o, "issued");
}

void orders_issue_if_due(struct sandbox *sb, struct order *o)
{
	/* With a certificate and yet pending: somebody set the word by hand, and it stays. */
	if (!order_is(o, "pending") || !o->validated_ms || o->issued_at)
		return;
	if (sbx_now_ms(sb) >= o->validated_ms + sb->set.issue_delay_s * 1000)
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
		o->polled_ms = MIN(o->polled_ms, now_ms);
		if (o->validated_ms)
			o->validated_ms = MIN(o->validated_ms, now_ms);
	}
	pthread_cond_broadcast(&sb->wake);
}

static struct order *by_number(struct sandbox *sb, const char *text, int64_t first)
{
	uint64_t n = 0;
	if (str_parse_u64(text, &n) < 0 || n < (uint64_t)first || n - (uint64_t)first >= sb->n_orders)
		return NULL;
	return sb->orders[n - (uint64_t)first];
}

struct order *orders_get(struct sandbox *sb, const char *id, struct reply *rp)
{
	struct order *o = by_number(sb, id, sb->first_id);
	if (!o && rp)
		(void)reply_error(rp, 404, "not_found|order", "The order could not be found.");
	return o;
}

struct order *orders_get_by_certificate(struct sandbox *sb, const char *id, struct reply *rp)
{
	struct order *o = by_number(sb, id, sb->first_certificate_id);
	if (!o && rp)
		(void)reply_error(rp, 404, "not_found|certificate", "The certificate could not be found.");
	return o;
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
	o->token_expires_at = sbx_now(sb) + SBX_TOKEN_LIFE_S;
}

/* Moves the wish into the ledger. */
static struct order *add_order(struct sandbox *sb, const char *product, struct order_wish *w)
{
	struct order *o = xmalloc(sizeof(*o));
	int64_t index = (int64_t)sb->n_orders;
	int64_t now_ms = sbx_now_ms(sb);
	*o = (struct order){
		.id = sb->first_id + index,
		.certificate_id = sb->first_certificate_id + index,
		.request_id = sb->first_id / 10 + index,
		.product = product,
		.alternative_order_id = TAKE_PTR(w->alternative_order_id),
		.payment_method = TAKE_PTR(w->payment_method),
		.dcv_method = w->dcv_method,
		.n_names = w->n_names,
		.names = TAKE_PTR(w->names),
		.proven = xcalloc(w->n_names, sizeof(bool)),
		.csr = TAKE_PTR(w->csr),
		.server_platform = w->server_platform,
		.order_days = w->order_days,
		.certificate_days = w->certificate_days,
		.renewal_notices_off = w->renewal_notices_off,
		.created_at = sbx_now(sb),
		.polled_ms = now_ms,
	};
	w->n_names = 0;
	memcpy(o->signature_hash, w->signature_hash, sizeof(o->signature_hash));
	bool wait = sb->set.require_approval && !w->skip_approval;
	snprintf(o->status, sizeof(o->status), "%s", wait ? "needs_approval" : "pending");
	orders_new_token(sb, o);
	struct order **slot = SBX_GROW(sb->orders, sb->n_orders);
	*slot = o;
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
		json_set_i64(r, "id", o->request_id);
		json_set_str(r, "status", "pending");
		struct json *list = json_new_arr();
		json_add(list, r);
		json_set(j, "requests", list);
		return j;
	}
	json_set_i64(j, "certificate_id", o->certificate_id);
	if (o->dcv_method != DCV_EMAIL)
		json_set_str(j, "dcv_random_value", o->token);
	return j;
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
	if (order_wish_parse(body, product, now, &w, rp) == 0) {
		SBX_LOCKED(sb);
		reply_json(rp, 201, placed_json(add_order(sb, product, &w)));
	}
	order_wish_done(&w);
}
