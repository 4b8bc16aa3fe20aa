/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/admin.h"

#include "common/mem.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/order_request.h"
#include "tests/sandbox/orders.h"

#define OFFSET_MAX_S   (100 * 366 * INT64_C(86400))
#define DURATION_MAX_S (100 * 366 * INT64_C(86400))

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

static struct json *order_json(const struct order *o)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "order_id", o->id);
	json_set_i64(j, "certificate_id", o->certificate_id);
	json_set_str(j, "status", o->status);
	json_set_str(j, "product", o->product);
	json_set_str(j, "common_name", o->names[0]);
	json_set(j, "dns_names", strings_json(o->names, NULL, o->n_names));
	json_set_str(j, "alternative_order_id", o->alternative_order_id);
	json_set_str(j, "dcv_method", order_dcv_word(o->dcv_method));
	json_set_str(j, "dcv_token", o->token);
	json_set_time(j, "created_at", o->created_at);
	json_set_time(j, "issued_at", o->issued_at);
	json_set_str(j, "serial", o->issued_at ? o->cert.serial : NULL);
	json_set(j, "validated", strings_json(o->names, o->proven, o->n_names));
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
	(void)rq;
	struct json *list = json_new_arr();
	orders_issue_all_due(sb);
	for (size_t i = 0; i < sb->n_orders; i++)
		json_add(list, order_json(sb->orders[i]));
	send_list(rp, "orders", list);
}

static bool status_word_is_good(const char *s)
{
	size_t len = strlen(s);
	return len > 0 && len < SBX_STATUS_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == len;
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
	if ((status && !status_word_is_good(status)) || (action && strcmp(action, "issue") != 0)) {
		(void)reply_error(rp, 400, "invalid_field",
				  "A status is a word like 'rejected'; the action is 'issue'.");
		return;
	}
	if (status)
		orders_set_status(sb, o, status);
	else
		orders_issue(sb, o);
	reply_json(rp, 200, order_json(o));
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
	for (int i = 0; i < SBX_OTHER; i++)
		json_set_i64(j, sbx_endpoint_name((enum sbx_endpoint)i), sb->counts[i]);
	json_set_i64(j, "429", sb->count_429);
	json_set_i64(j, "other", sb->counts[SBX_OTHER]);
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

static void get_settings(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *j = json_new_obj();
	json_set_i64(j, "issue_delay_s", sb->set.issue_delay_s);
	json_set_i64(j, "validity_s", sb->set.validity_s);
	json_set_i64(j, "ca_poll_s", sb->set.ca_poll_s);
	json_set_i64(j, "find_lag_s", sb->set.find_lag_s);
	json_set_str(j, "dcv_replies", sb->set.dcv_replies_old ? "old" : "new");
	json_set_str(j, "find_none", sb->set.find_none_empty ? "empty" : "404");
	struct json *rates = json_new_arr();
	for (size_t i = 0; i < sb->rates.n; i++) {
		struct json *r = json_new_obj();
		json_set_i64(r, "requests", (int64_t)sb->rates.rule[i].requests);
		json_set_i64(r, "per_s", sb->rates.rule[i].per_ms / 1000);
		json_add(rates, r);
	}
	json_set(j, "rates", rates);
	reply_json(rp, 200, j);
}

static int bad_setting(struct reply *rp, const char *key, const char *message)
{
	_cleanup_free_ char *code = xasprintf("invalid_field|%s", key);
	return reply_error(rp, 400, code, "%s", message);
}

static int pick_duration(const struct json *body, const char *key, int64_t min, int64_t *ret,
			 struct reply *rp)
{
	int64_t val = *ret;
	(void)!json_get_i64(body, key, &val);
	if (val < min || val > DURATION_MAX_S)
		return bad_setting(rp, key, "Out of range.");
	*ret = val;
	return 0;
}

static int pick_word(const struct json *body, const char *key, const char *no, const char *yes, bool *ret,
		     struct reply *rp)
{
	const char *word = json_str(json_get(body, key));
	if (!word)
		return 0;
	if (strcmp(word, no) != 0 && strcmp(word, yes) != 0)
		return bad_setting(rp, key, "Not one of the two words.");
	*ret = !strcmp(word, yes);
	return 0;
}

static int pick_rates(const struct json *list, struct rates *ret, struct reply *rp)
{
	static const struct field known[] = { { "requests", JSON_INT, true }, { "per_s", JSON_INT, true } };
	for (size_t i = 0; i < json_arr_len(list); i++) {
		const struct json *row = json_arr_at(list, i);
		int64_t requests = 0, per_s = 0;
		if (json_type(row) != JSON_OBJECT)
			return bad_setting(rp, "rates", "Must be objects.");
		if (fields_check(row, "rates.", known, ARRAY_SIZE(known), rp) < 0)
			return -1;
		(void)!json_get_i64(row, "requests", &requests);
		(void)!json_get_i64(row, "per_s", &per_s);
		if (rates_add(ret, requests, per_s) < 0)
			return bad_setting(rp, "rates", "Out of range.");
	}
	return 0;
}

static void post_settings(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = {
		{ "issue_delay_s", JSON_INT, false }, { "validity_s", JSON_INT, false },
		{ "ca_poll_s", JSON_INT, false },     { "dcv_replies", JSON_STRING, false },
		{ "find_none", JSON_STRING, false },  { "find_lag_s", JSON_INT, false },
		{ "rates", JSON_ARRAY, false },
	};
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	struct settings set = sb->set;
	struct rates rates = { 0 };
	if (pick_duration(body, "issue_delay_s", 0, &set.issue_delay_s, rp) < 0 ||
	    pick_duration(body, "validity_s", 1, &set.validity_s, rp) < 0 ||
	    pick_duration(body, "ca_poll_s", 0, &set.ca_poll_s, rp) < 0 ||
	    pick_duration(body, "find_lag_s", 0, &set.find_lag_s, rp) < 0 ||
	    pick_word(body, "dcv_replies", "new", "old", &set.dcv_replies_old, rp) < 0 ||
	    pick_word(body, "find_none", "404", "empty", &set.find_none_empty, rp) < 0 ||
	    pick_rates(json_get(body, "rates"), &rates, rp) < 0) {
		rates_clear(&rates);
		return;
	}
	sb->set = set;
	if (json_get(body, "rates")) {
		rates_clear(&sb->rates);
		sb->rates = rates;
	}
	pthread_cond_broadcast(&sb->wake);
	get_settings(sb, rq, rp);
}

static void get_scutum(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *list = json_new_arr();
	for (size_t i = 0; i < sb->n_pushes; i++) {
		const struct scutum_push *p = &sb->pushes[i];
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
	{ "GET", "settings", 2, get_settings }, { "POST", "settings", 2, post_settings },
	{ "GET", "scutum", 2, get_scutum },
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
