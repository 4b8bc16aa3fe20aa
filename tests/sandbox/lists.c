/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of the ledger's endpoints: find by reference, status changes, order info. */
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/caa.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/order_request.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/paging.h"

#include <errno.h>
#include <strings.h>

#define DAY_S	     INT64_C(86400)
#define WINDOW_MAX_S (7 * DAY_S)

static void page_add(struct page *p, const struct order *o)
{
	if (!paging_takes(p))
		return;
	struct json *row = json_new_obj();
	json_set_i64(row, "order_id", o->id);
	if (orders_has_certificate_id(o))
		json_set_i64(row, "certificate_id", o->active->id);
	json_set_str(row, "status", o->status);
	json_add(p->rows, row);
}

void orders_find(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const char *const known[] = { "limit", "offset" };
	struct page p;
	if (paging_check_query(rq, known, ARRAY_SIZE(known), rp) < 0 || paging_begin(&p, rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	int64_t now = sbx_now(sb);
	orders_issue_all_due(sb);
	for (size_t i = 0; i < sb->n_orders; i++) {
		const struct order *o = sb->orders[i];
		if (o->alternative_order_id && !strcmp(o->alternative_order_id, rq->arg[0]) &&
		    o->created_at + sb->set.find_lag_s <= now)
			page_add(&p, o);
	}
	struct json *j = paging_json(&p);
	if (p.total > 0 || sb->set.find_none_empty) {
		reply_json(rp, 200, j);
		return;
	}
	json_free(j);
	(void)reply_error(rp, 404, "not_found|order", "The order could not be found.");
}

struct window {
	int64_t from;
	int64_t to;
};

static int parse_updated_filter(const char *filter, struct window *w, struct reply *rp)
{
	const char *dots = strstr(filter, "...");
	if (!dots || paging_parse_mdt(filter, (size_t)(dots - filter), false, &w->from) < 0 ||
	    paging_parse_mdt(dots + 3, strlen(dots + 3), true, &w->to) < 0)
		return paging_error(rp, "invalid_field", "filters[status_last_updated]",
				    "Must be start...end.");
	return 0;
}

static int parse_window(const struct request *rq, int64_t now, struct window *w, struct reply *rp)
{
	const char *filter = request_query(rq, "filters[status_last_updated]");
	uint64_t minutes = 0, seconds = 0;
	if (paging_number(rq, "minutes", &minutes, rp) < 0 || paging_number(rq, "seconds", &seconds, rp) < 0)
		return -1;
	if (filter)
		return parse_updated_filter(filter, w, rp);
	if (!request_query(rq, "minutes") && !request_query(rq, "seconds"))
		return paging_error(rp, "missing_field", "minutes",
				    "Say minutes, seconds or filters[status_last_updated].");
	/* The reference says "maximum 10080", the guide says "less than": the reference wins. */
	if (minutes > WINDOW_MAX_S / 60 || seconds > WINDOW_MAX_S || minutes * 60 + seconds > WINDOW_MAX_S)
		return reply_error(rp, 400, "time_frame_too_long",
				   "An error occurred while processing your request.");
	*w = (struct window){ .from = now - (int64_t)(minutes * 60 + seconds), .to = now };
	return 0;
}

void orders_changes(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const char *const known[] = { "minutes", "seconds", "filters[status_last_updated]", "limit",
					     "offset" };
	struct page p;
	struct window w;
	SBX_LOCKED(sb);
	orders_issue_all_due(sb);
	if (paging_check_query(rq, known, ARRAY_SIZE(known), rp) < 0 ||
	    parse_window(rq, sbx_now(sb), &w, rp) < 0 || paging_begin(&p, rq, rp) < 0)
		return;
	for (size_t i = 0; i < sb->n_orders; i++) {
		const struct order *o = sb->orders[i];
		if (o->changed_at && o->changed_at >= w.from && o->changed_at <= w.to)
			page_add(&p, o);
	}
	struct json *j = paging_json(&p);
	if (p.total == 0) {
		json_free(j);
		j = json_new_obj(); /* {} and not an empty list */
	}
	reply_json(rp, 200, j);
}

static void set_id_name(struct json *parent, const char *key, int64_t id, const char *name)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "id", id);
	json_set_str(j, "name", name);
	json_set(parent, key, j);
}

static struct json *product_json(const struct order *o)
{
	struct json *p = json_new_obj();
	json_set_str(p, "name_id", o->product);
	json_set_str(p, "name", o->product);
	json_set_str(p, "type", "dv_ssl_certificate");
	json_set_str(p, "validation_type", "dv");
	return p;
}

static struct json *info_json(const struct sandbox *sb, const struct order *o)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "id", o->id);
	json_set(j, "certificate", certificates_json(sb, o->active));
	if (o->alternative_order_id)
		json_set_str(j, "alternative_order_id", o->alternative_order_id);
	json_set_str(j, "status", o->status);
	json_set_bool(j, "is_renewal", o->renewal_of != 0);
	if (o->renewal_of)
		json_set_i64(j, "renewal_of_order_id", o->renewal_of);
	json_set_bool(j, "is_renewed", o->renewed_by != 0);
	json_set_i64(j, "renewed_order_id", o->renewed_by);
	json_set_moment(j, "date_created", o->created_at);
	if (o->valid_till && !sb->set.plan_end_absent)
		json_set_date(j, "order_valid_till", o->valid_till);
	json_set_bool(j, "disable_renewal_notifications", o->renewal_notices_off);
	set_id_name(j, "container", 1, "dvcert-sandbox");
	json_set(j, "product", product_json(o));
	json_set(j, "requests", approvals_json(o));
	json_set_bool(j, "has_pending_request", approvals_waiting(o) != NULL);
	json_set_str(j, "dcv_method", order_dcv_word(o->dcv_method));
	json_set_i64(j, "price", 0);
	json_set_str(j, "payment_method", o->payment_method ? o->payment_method : "balance");
	json_set_bool(j, "allow_duplicates", true);
	json_set_i64(j, "duplicates_count", (int64_t)certificates_count(o, CERTIFICATE_DUPLICATE));
	json_set_i64(j, "reissues_count", (int64_t)certificates_count(o, CERTIFICATE_REISSUE));
	struct json *key = json_new_obj();
	json_set_str(key, "name", "dvcert-sandbox");
	json_set_str(key, "key_type", "api_key");
	json_set(j, "api_key", key);
	return j;
}

/* "You can replace the id with the thumbprint or serial number of the primary certificate", not of a duplicate. */
static struct order *get_by_primary(struct sandbox *sb, const char *text)
{
	for (size_t i = 0; i < sb->n_orders; i++) {
		const struct certificate *c = sb->orders[i]->active;
		if (c->issued_at &&
		    (strcasecmp(c->cert.serial, text) == 0 || strcasecmp(c->cert.thumbprint, text) == 0))
			return sb->orders[i];
	}
	return NULL;
}

void orders_info(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const char *caa = request_query(rq, "include_caa_status");
	static const char *const known[] = { "include_caa_status" };
	if (paging_check_query(rq, known, ARRAY_SIZE(known), rp) < 0)
		return;
	if (caa && strcmp(caa, "true") != 0 && strcmp(caa, "false") != 0) {
		(void)paging_error(rp, "invalid_field", "include_caa_status", "Must be true or false.");
		return;
	}
	SBX_LOCKED(sb);
	struct order *o = get_by_primary(sb, rq->arg[0]);
	if (!o)
		o = orders_get(sb, rq->arg[0], rp);
	if (!o)
		return;
	orders_issue_if_due(sb, o);
	struct json *j = info_json(sb, o);
	/* "Only works while the order is in a pending state." */
	if (caa && !strcmp(caa, "true") && order_is(o, "pending"))
		json_set(j, "caa_status_message", caa_status_json(sb, orders_subject(o)));
	reply_json(rp, 200, j);
}
