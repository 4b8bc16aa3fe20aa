/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/admin.h"

#include "common/mem.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/caa.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/order_request.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/settings.h"

#define OFFSET_MAX_S (100 * 366 * INT64_C(86400))

typedef void admin_fn(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* Everything below runs with the lock held. */

static void send_done(struct reply *rp)
{
	reply_json(rp, 200, json_new_obj());
}

static struct json *strings_json(char *const *s, const bool *only, size_t n)
{
	struct json *list = json_new_arr();
	for (size_t i = 0; i < n; i++)
		if (!only || only[i])
			json_add_str(list, s[i]);
	return list;
}

static struct json *certificate_json(const struct sandbox *sb, const struct certificate *c)
{
	static const char *const kinds[] = { [CERTIFICATE_PRIMARY] = "primary",
					     [CERTIFICATE_REISSUE] = "reissue",
					     [CERTIFICATE_DUPLICATE] = "duplicate" };
	const char *status = c->dropped			   ? "dropped"
			     : c->waits			   ? "needs_approval"
			     : !c->issued_at		   ? "pending"
			     : certificates_revoked(sb, c) ? "revoked"
							   : "issued";
	struct json *j = json_new_obj();
	json_set_i64(j, "certificate_id", c->id);
	json_set_str(j, "kind", kinds[c->kind]);
	json_set_str(j, "status", status);
	json_set_str(j, "serial", c->issued_at ? c->cert.serial : NULL);
	json_set(j, "dns_names", strings_json(c->names, NULL, c->n_names));
	json_set_time(j, "issued_at", c->issued_at);
	json_set_time(j, "not_after", c->cert.not_after);
	json_set_time(j, "revoked_at", c->revoked_at);
	return j;
}

static struct json *emails_json(const struct order *o)
{
	struct json *list = NULL;
	if (o->dcv_emails && json_parse(o->dcv_emails, strlen(o->dcv_emails), SIZE_MAX, &list, NULL) < 0)
		return NULL;
	return list;
}

static struct json *order_json(const struct sandbox *sb, const struct order *o)
{
	const struct certificate *c = o->active, *subject = orders_subject(o);
	struct json *j = json_new_obj(), *all = json_new_arr(), *revoked = json_new_arr();
	for (size_t i = 0; i < o->n_certificates; i++) {
		json_add(all, certificate_json(sb, o->certificates[i]));
		if (certificates_revoked(sb, o->certificates[i]))
			json_add_str(revoked, o->certificates[i]->cert.serial);
	}
	json_set_i64(j, "order_id", o->id);
	json_set_i64(j, "certificate_id", c->id);
	json_set_str(j, "status", o->status);
	json_set_str(j, "kind", o->renewal_of ? "renewal" : "new");
	json_set_str(j, "product", o->product);
	json_set_str(j, "common_name", c->names[0]);
	json_set(j, "dns_names", strings_json(c->names, NULL, c->n_names));
	json_set_str(j, "alternative_order_id", o->alternative_order_id);
	json_set_str(j, "dcv_method", order_dcv_word(o->dcv_method));
	if (o->dcv_emails)
		json_set(j, "dcv_emails", emails_json(o));
	else
		json_set_null(j, "dcv_emails");
	json_set_str(j, "dcv_token", o->token);
	json_set_time(j, "created_at", o->created_at);
	json_set_time(j, "issued_at", c->issued_at);
	json_set_str(j, "serial", c->issued_at ? c->cert.serial : NULL);
	json_set(j, "validated", strings_json(subject->names, subject->proven, subject->n_names));
	json_set_time(j, "valid_till", o->valid_till);
	json_set_i64(j, "reissues", (int64_t)certificates_count(o, CERTIFICATE_REISSUE));
	json_set_i64(j, "duplicates", (int64_t)certificates_count(o, CERTIFICATE_DUPLICATE));
	json_set(j, "revoked", revoked);
	json_set(j, "certificates", all);
	return j;
}

static void send_list(struct reply *rp, const char *key, struct json *list)
{
	struct json *j = json_new_obj();
	json_set(j, key, list);
	reply_json(rp, 200, j);
}

static void get_orders(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const char *common_name = request_query(rq, "common_name");
	struct json *list = json_new_arr();
	orders_issue_all_due(sb);
	for (size_t i = 0; i < sb->n_orders; i++)
		if (!common_name || !strcmp(sb->orders[i]->active->names[0], common_name))
			json_add(list, order_json(sb, sb->orders[i]));
	send_list(rp, "orders", list);
}

static bool status_word_is_good(const char *s)
{
	size_t len = strlen(s);
	return len > 0 && len < SBX_STATUS_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == len;
}

static int bad_action(struct reply *rp, const char *message)
{
	return reply_error(rp, 400, "invalid_field|action", "%s", message);
}

/* What an administrator does about requests: approve the oldest, or reject it. */
static int settle(struct sandbox *sb, struct order *o, bool yes, struct reply *rp)
{
	struct approval *a = approvals_waiting(o);
	if (!a)
		return bad_action(rp, "No request of the order waits.");
	if (yes && approvals_check(sb, a, rp) < 0)
		return -1;
	approvals_settle(sb, a, yes);
	return 0;
}

static int issue_by_hand(struct sandbox *sb, struct order *o, struct reply *rp)
{
	const struct certificate *c = orders_subject(o);
	if (!c->issued_at && !certificates_can_live(sb, c))
		return bad_action(rp, "The plan is over.");
	orders_issue(sb, o);
	return 0;
}

/* What an administrator does at the console. 0, or -1 with the error in *rp. */
static int act(struct sandbox *sb, struct order *o, const char *action, struct reply *rp)
{
	bool only = !strcmp(action, "revoke-certificates"), revoke = only || !strcmp(action, "revoke");
	if (!strcmp(action, "issue"))
		return issue_by_hand(sb, o, rp);
	if (!strcmp(action, "approve") || !strcmp(action, "reject"))
		return settle(sb, o, !strcmp(action, "approve"), rp);
	if (!revoke && strcmp(action, "reissue-by-console") != 0)
		return bad_action(rp, "Must be issue, approve, reject, revoke, revoke-certificates "
				      "or reissue-by-console.");
	if (!o->active->issued_at || o->next)
		return bad_action(rp, "The order has no certificate, or a reissue is pending.");
	if (!revoke && certificates_plan_over(sb, o))
		return bad_action(rp, "The plan is over.");
	/* A proof that was no good: Baseline Requirements, 4.9.1.1. */
	if (only)
		(void)certificates_revoke_only(sb, o, NULL, "superseded");
	else if (revoke)
		certificates_revoke(sb, o, NULL, NULL);
	else
		certificates_reissue_by_console(sb, o);
	return 0;
}

static void post_order(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "status", JSON_STRING, false },
					      { "action", JSON_STRING, false } };
	struct order *o = orders_get(sb, rq->segment[2], rp);
	if (!o)
		return;
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	const char *status = json_str(json_get(body, "status")), *action = json_str(json_get(body, "action"));
	if (!status == !action) {
		(void)reply_error(rp, 400, "missing_field|status", "Say either status or action.");
		return;
	}
	if (status && !status_word_is_good(status)) {
		(void)reply_error(rp, 400, "invalid_field|status", "A status is a word like 'rejected'.");
		return;
	}
	if (status)
		orders_set_status(sb, o, status);
	else if (act(sb, o, action, rp) < 0)
		return;
	reply_json(rp, 200, order_json(sb, o));
}

static void get_requests(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *list = json_new_arr();
	for (size_t i = 0; i < sb->n_requests; i++) {
		const struct request_log *e = &sb->requests[i];
		struct json *j = json_new_obj();
		json_set_i64(j, "n", sb->requests_gone + (int64_t)i + 1);
		json_set_time(j, "at", e->at);
		json_set_str(j, "endpoint", sbx_endpoint_name(e->endpoint));
		json_set_str(j, "method", e->method);
		json_set_str(j, "path", e->path);
		json_set_i64(j, "status", e->status);
		json_set_str(j, "fault", e->fault);
		json_add(list, j);
	}
	send_list(rp, "requests", list);
}

static void delete_requests(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	for (size_t i = 0; i < sb->n_requests; i++) {
		free(sb->requests[i].method);
		free(sb->requests[i].path);
	}
	free(sb->requests);
	sb->requests = NULL;
	sb->requests_gone += (int64_t)sb->n_requests;
	sb->n_requests = 0;
	memset(sb->counts, 0, sizeof(sb->counts));
	sb->count_429 = 0;
	send_done(rp);
}

static void get_counts(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *j = json_new_obj();
	int64_t all = sb->counts[SBX_OTHER];
	for (int i = 0; i < (int)SBX_OTHER; i++) {
		json_set_i64(j, sbx_endpoint_name((enum sbx_endpoint)i), sb->counts[i]);
		all += sb->counts[i];
	}
	json_set_i64(j, "429", sb->count_429);
	json_set_i64(j, "other", sb->counts[SBX_OTHER]);
	json_set_i64(j, "n_requests", all);
	reply_json(rp, 200, j);
}

static void get_faults(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	reply_json(rp, 200, faults_to_json(&sb->faults));
}

static void post_fault(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body)
		return;
	struct fault f;
	struct err e = ERR_INIT;
	if (fault_parse_json(body, &f, &e) < 0) {
		(void)reply_error(rp, 400, "invalid_fault", "%s", e.text);
		return;
	}
	faults_add(&sb->faults, &f);
	reply_json(rp, 200, faults_to_json(&sb->faults));
}

static void delete_faults(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	faults_clear(&sb->faults);
	send_done(rp);
}

static void get_clock(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *j = json_new_obj();
	json_set_i64(j, "offset_s", sb->offset_s);
	json_set_time(j, "now", sbx_now(sb));
	json_set_i64(j, "now_s", sbx_now(sb));
	reply_json(rp, 200, j);
}

static void post_clock(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "offset_s", JSON_INT, false },
					      { "advance_s", JSON_INT, false } };
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	int64_t offset = sb->offset_s, advance = 0;
	(void)!json_get_i64(body, "offset_s", &offset);
	(void)!json_get_i64(body, "advance_s", &advance);
	if (advance > OFFSET_MAX_S || advance < -OFFSET_MAX_S || offset > OFFSET_MAX_S ||
	    offset < -OFFSET_MAX_S || offset + advance > OFFSET_MAX_S || offset + advance < -OFFSET_MAX_S) {
		(void)reply_error(rp, 400, "invalid_field", "More than a hundred years away.");
		return;
	}
	sb->offset_s = offset + advance;
	orders_clock_moved(sb);
	get_clock(sb, rq, rp);
}

static void get_scutum(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const char *host = request_query(rq, "host");
	struct json *list = json_new_arr();
	for (size_t i = 0; i < sb->n_pushes; i++) {
		const struct scutum_push *p = &sb->pushes[i];
		if (host && strcmp(p->host, host) != 0)
			continue;
		struct json *j = json_new_obj();
		json_set_time(j, "at", p->at);
		json_set_str(j, "host", p->host);
		json_set_str(j, "id", p->id);
		json_set_str(j, "serial", p->serial);
		json_set(j, "names", strings_json(p->names, NULL, p->n_names));
		json_set_i64(j, "intermediates", (int64_t)p->n_intermediates);
		json_set_bool(j, "encrypted_key", p->encrypted_key);
		json_set_i64(j, "status", p->status);
		json_add(list, j);
	}
	send_list(rp, "pushes", list);
}

static const struct {
	const char *method;
	const char *what;
	size_t n_segments;
	admin_fn *fn;
} calls[] = {
	{ "GET", "orders", 2, get_orders },	{ "POST", "orders", 3, post_order },
	{ "GET", "requests", 2, get_requests }, { "DELETE", "requests", 2, delete_requests },
	{ "GET", "counts", 2, get_counts },	{ "GET", "faults", 2, get_faults },
	{ "POST", "faults", 2, post_fault },	{ "DELETE", "faults", 2, delete_faults },
	{ "GET", "clock", 2, get_clock },	{ "POST", "clock", 2, post_clock },
	{ "GET", "settings", 2, settings_get }, { "POST", "settings", 2, settings_post },
	{ "GET", "scutum", 2, get_scutum },	{ "GET", "caa", 2, caa_get },
	{ "POST", "caa", 2, caa_post },		{ "DELETE", "caa", 2, caa_delete },
};

void admin_answer(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (rq->n_segments != calls[i].n_segments || strcmp(rq->segment[1], calls[i].what) != 0 ||
		    strcmp(rq->method, calls[i].method) != 0)
			continue;
		SBX_LOCKED(sb);
		calls[i].fn(sb, rq, rp);
		return;
	}
	(void)reply_error(rp, 404, "not_found|route", "The sandbox has no such call; see docs/SANDBOX.md.");
}
