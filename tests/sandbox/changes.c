/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/changes.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/authkeys.h"
#include "tests/sandbox/caa.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/names.h"
#include "tests/sandbox/order_request.h"
#include "tests/sandbox/orders.h"

static bool has_name(const struct certificate *c, const char *name)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (!strcmp(c->names[i], name))
			return true;
	return false;
}

/* The order that can be changed: it has a certificate, no reissue is under way, and its plan has not ended. */
static struct order *get_changeable(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (!o)
		return NULL;
	orders_issue_if_due(sb, o);
	if (!order_is(o, "issued") || !o->active->issued_at || o->next) {
		(void)reply_error(rp, 400, "invalid_order_status", "The order is %s.", o->status);
		return NULL;
	}
	if (certificates_plan_over(sb, o)) {
		(void)reply_error(rp, 400, "invalid_order_status", "The order has expired: renew it.");
		return NULL;
	}
	return o;
}

static struct json *waiting_json(const struct order *o, const struct approval *a)
{
	struct json *r = json_new_obj();
	json_set_i64(r, "id", a->id);
	struct json *list = json_new_arr();
	json_add(list, r);
	struct json *j = json_new_obj();
	json_set_i64(j, "id", o->id);
	json_set(j, "requests", list);
	return j;
}

static struct json *reissue_json(const struct sandbox *sb, const struct certificate *c,
				 const struct approval *a)
{
	const struct order *o = c->order;
	if (c->waits)
		return waiting_json(o, a);
	if (c->issued_at)
		return certificates_issued_json(sb, c);
	struct json *j = json_new_obj();
	json_set_i64(j, "id", o->id);
	json_set_i64(j, "certificate_id", c->id);
	/* Older answers leave the value to dcv-random-value. */
	if (!sb->set.dcv_replies_old && o->dcv_method != DCV_EMAIL)
		json_set_str(j, "dcv_random_value", o->token);
	return j;
}

/* Proofs are asked for again, but for names that need none by setting. */
static void start_reissue(struct sandbox *sb, struct certificate *c)
{
	struct order *o = c->order;
	const struct certificate *before = o->active;
	for (size_t i = 0; sb->set.reissue_dcv_reuse && i < c->n_names; i++)
		c->proven[i] = has_name(before, c->names[i]);
	if (orders_all_proven(c))
		c->validated_ms = sbx_now_ms(sb);
	o->next = c;
	o->polled_ms = sbx_now_ms(sb);
	orders_new_token(sb, o);
	orders_set_status(sb, o, "reissue_pending");
	orders_issue_if_due(sb, o);
}

/* Whether request tokens are looked for at a reissue is nowhere documented: by setting, and then with the fields of an
 * order. 0, or -1 with the error in *rp. */
static int choose_auth_key(struct sandbox *sb, const struct order *o, const struct order_wish *w,
			   char ret[AUTHKEYS_TEXT_MAX], struct reply *rp)
{
	if (sb->set.instant_reissue)
		return authkeys_choose(sb, o->product, w, ret, rp);
	if (w->use_auth_key_said || w->auth_key_id)
		return reply_error(
			rp, 400, w->auth_key_id ? "unknown_field|auth_key_id" : "unknown_field|use_auth_key",
			"The field is not documented.");
	return 0;
}

/* What is done under the lock. NULL with the error in *rp. */
static struct certificate *place_reissue(struct sandbox *sb, const struct request *rq,
					 const struct json *body, char auth_key[AUTHKEYS_TEXT_MAX],
					 struct reply *rp)
{
	SBX_LOCKED(sb);
	struct order *o = get_changeable(sb, rq, rp);
	struct order_wish w = { 0 };
	struct certificate *c = NULL;
	if (!o)
		return NULL;
	if (order_wish_parse_change(body, o, false, sbx_now(sb), &w, rp) == 0 &&
	    choose_auth_key(sb, o, &w, auth_key, rp) == 0 && caa_check(sb, w.names, w.n_names, rp) == 0) {
		c = certificates_add(sb, o, CERTIFICATE_REISSUE, &w);
		c->waits = approvals_needed(sb, w.skip_approval);
		const struct approval *a = approvals_add(sb, o, c, APPROVAL_REISSUE, c->waits, w.comments);
		start_reissue(sb, c);
		reply_json(rp, 201, reissue_json(sb, c, a));
	}
	order_wish_done(&w);
	return c;
}

void changes_reissue(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	char auth_key[AUTHKEYS_TEXT_MAX] = "";
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	struct certificate *c = body ? place_reissue(sb, rq, body, auth_key, rp) : NULL;
	if (c)
		orders_try_instantly(sb, c, auth_key, rp);
	mem_wipe(auth_key, sizeof(auth_key));
}

/* Another order of the same names is fine, and so is a name that a wildcard of the order covers. */
static int check_duplicate_names(const struct order_wish *w, const struct certificate *before,
				 struct reply *rp)
{
	bool good = true;
	for (size_t i = 0; i < w->n_names; i++) {
		const char *dot = strchr(w->names[i], '.');
		_cleanup_free_ char *star = xasprintf("*%s", dot ? dot : "");
		good = good && (has_name(before, w->names[i]) || has_name(before, star));
	}
	for (size_t i = 0; i < before->n_names; i++) {
		bool found = false;
		for (size_t k = 0; k < w->n_names; k++)
			found = found || !strcmp(w->names[k], before->names[i]);
		good = good && found;
	}
	return good ? 0
		    : reply_error(rp, 400, "invalid_dns_name_on_duplicate",
				  "A duplicate must have the names of the original.");
}

/* A duplicate ends when the original does. */
static int check_original(const struct sandbox *sb, const struct order *o, struct reply *rp)
{
	return sbx_now(sb) < o->active->cert.not_after
		       ? 0
		       : reply_error(rp, 400, "invalid_order_status",
				     "The certificate has expired: reissue it.");
}

void changes_duplicate(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body)
		return;
	SBX_LOCKED(sb);
	struct order *o = get_changeable(sb, rq, rp);
	struct order_wish w = { 0 };
	if (!o)
		return;
	if (order_wish_parse_change(body, o, true, sbx_now(sb), &w, rp) == 0 &&
	    check_duplicate_names(&w, o->active, rp) == 0 && check_original(sb, o, rp) == 0 &&
	    caa_check(sb, w.names, w.n_names, rp) == 0) {
		struct certificate *c = certificates_add(sb, o, CERTIFICATE_DUPLICATE, &w);
		c->waits = approvals_needed(sb, w.skip_approval);
		const struct approval *a = approvals_add(sb, o, c, APPROVAL_DUPLICATE, c->waits, w.comments);
		if (!c->waits)
			certificates_issue(sb, c);
		reply_json(rp, 201, c->waits ? waiting_json(o, a) : certificates_issued_json(sb, c));
	}
	order_wish_done(&w);
}

static struct json *row_json(const struct sandbox *sb, const struct certificate *c)
{
	struct json *j = certificates_json(sb, c);
	/* In these lists a good certificate is "approved". */
	if (!c->issued_at)
		json_set_str(j, "status", "pending");
	else if (!certificates_revoked(sb, c) && !order_is(c->order, "revoked"))
		json_set_str(j, "status", "approved");
	return j;
}

static void list(struct sandbox *sb, const struct request *rq, enum certificate_kind kind, struct reply *rp)
{
	SBX_LOCKED(sb);
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (!o)
		return;
	if (rq->n_query > 0) {
		(void)reply_error(rp, 400, "unknown_field", "The list takes no parameters.");
		return;
	}
	orders_issue_if_due(sb, o);
	struct json *rows = json_new_arr();
	if (sb->set.lists_primary && o->active->issued_at)
		json_add(rows, row_json(sb, o->active));
	for (size_t i = 0; i < o->n_certificates; i++) {
		const struct certificate *c = o->certificates[i];
		if (c->kind == kind && !c->waits && !c->dropped)
			json_add(rows, row_json(sb, c));
	}
	struct json *j = json_new_obj();
	json_set(j, "certificates", rows);
	reply_json(rp, 200, j);
}

void changes_list_reissues(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	list(sb, rq, CERTIFICATE_REISSUE, rp);
}

void changes_list_duplicates(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	list(sb, rq, CERTIFICATE_DUPLICATE, rp);
}

static struct order *get_pending(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (o)
		orders_issue_if_due(sb, o);
	if (o && !orders_wants_proof(o)) {
		(void)reply_error(rp, 400, "invalid_order_status", "The order is %s.", o->status);
		return NULL;
	}
	return o;
}

void changes_dcv_method(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "dcv_method", JSON_STRING, true } };
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	SBX_LOCKED(sb);
	struct order *o = get_pending(sb, rq, rp);
	enum dcv_method method;
	if (!o || order_method_parse(json_str(json_get(body, "dcv_method")), &method, rp) < 0)
		return;
	const struct certificate *c = orders_subject(o);
	if (order_check_method(method, c->names, c->n_names, rp) < 0)
		return;
	o->dcv_method = method;
	/* By default the value is a new one, and the one before is worth nothing: a client has to read the answer. */
	if (!sb->set.method_value_same || sbx_now(sb) >= o->token_expires_at)
		orders_new_token(sb, o);
	sbx_wake_by(sb, INT64_MIN + 1);
	struct json *j = json_new_obj();
	if (method != DCV_EMAIL) {
		json_set_str(j, "dcv_random_value", o->token);
		json_set_moment(j, "expiration_date", o->token_expires_at);
	}
	reply_json(rp, 200, j);
}

void changes_resend_emails(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = rq->body.len ? fields_body(rq, rp) : NULL;
	if (rq->body.len && (!body || fields_check(body, "", NULL, 0, rp) < 0))
		return;
	SBX_LOCKED(sb);
	const struct order *o = get_pending(sb, rq, rp);
	if (!o)
		return;
	if (o->dcv_method != DCV_EMAIL)
		(void)reply_error(rp, 400, "invalid_dns_method",
				  "An error occurred while processing your request.");
	else
		reply_bytes(rp, 204, "application/json", "", 0);
}
