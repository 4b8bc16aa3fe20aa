/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/account.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/names.h"
#include "tests/sandbox/order_request.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/paging.h"

#define USER_ID	     14
#define USER_EMAIL   "user@dvcert-sandbox.example"
#define CONTAINER_ID 1

typedef bool match_fn(const struct order *o, const char *value);
typedef bool valid_fn(const char *value);

struct filter {
	const char *name;
	match_fn *match;
	valid_fn *valid; /* NULL = any text */
};

static bool status_is(const struct order *o, const char *value)
{
	return order_is(o, value);
}

/* The words of the page; it does not know needs_approval. */
static bool status_valid(const char *value)
{
	static const char *const words[] = { "pending",	       "issued",	  "rejected", "revoked",
					     "waiting_pickup", "reissue_pending", "canceled" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(value, words[i]))
			return true;
	return false;
}

static bool common_name_is(const struct order *o, const char *value)
{
	_cleanup_free_ char *low = name_lower(value);
	return !strcmp(o->active->names[0], low);
}

static bool domain_is(const struct order *o, const char *value)
{
	_cleanup_free_ char *low = name_lower(value);
	for (size_t i = 0; i < o->active->n_names; i++)
		if (!strcmp(o->active->names[i], low))
			return true;
	return false;
}

static bool product_is(const struct order *o, const char *value)
{
	return !strcmp(o->product, value);
}

static bool serial_is(const struct order *o, const char *value)
{
	_cleanup_free_ char *low = name_lower(value), *own = name_lower(o->active->cert.serial);
	return o->active->issued_at && !strcmp(own, low);
}

static bool number_is(const char *text, int64_t n)
{
	uint64_t val = 0;
	return str_parse_u64(text, &val) == 0 && val == (uint64_t)n;
}

static bool id_is(const struct order *o, const char *value)
{
	return number_is(value, o->id);
}

static bool certificate_id_is(const struct order *o, const char *value)
{
	return orders_has_certificate_id(o) && number_is(value, o->active->id);
}

/* The one user and the one container that everything here belongs to; and no organization, as for any DV order. */
static bool user_is(const struct order *o, const char *value)
{
	(void)o;
	return number_is(value, USER_ID);
}

static bool container_is(const struct order *o, const char *value)
{
	(void)o;
	return number_is(value, CONTAINER_ID);
}

static bool organization_is(const struct order *o, const char *value)
{
	(void)o;
	(void)value;
	return false;
}

static bool number_valid(const char *value)
{
	uint64_t val = 0;
	return str_parse_u64(value, &val) == 0;
}

static bool renewed_is(const struct order *o, const char *value)
{
	return (o->renewed_by != 0) == (value[0] == '1');
}

static bool notices_off_is(const struct order *o, const char *value)
{
	return o->renewal_notices_off == (value[0] == '1');
}

static bool flag_valid(const char *value)
{
	return !strcmp(value, "0") || !strcmp(value, "1");
}

static bool search_finds(const struct order *o, const char *value)
{
	_cleanup_free_ char *low = name_lower(value);
	return strstr(o->active->names[0], low) || strstr(USER_EMAIL, low);
}

/* "a...b", ">a", "<b", or one day, all in Mountain time. */
static bool read_range(const char *value, int64_t *from, int64_t *to)
{
	const char *dots = strstr(value, "...");
	*from = INT64_MIN;
	*to = INT64_MAX;
	if (dots)
		return paging_parse_mdt(value, (size_t)(dots - value), false, from) == 0 &&
		       paging_parse_mdt(dots + 3, strlen(dots + 3), true, to) == 0;
	if (*value == '>')
		return paging_parse_mdt(value + 1, strlen(value + 1), true, from) == 0 &&
		       (*from)++ < INT64_MAX;
	if (*value == '<')
		return paging_parse_mdt(value + 1, strlen(value + 1), false, to) == 0 && (*to)-- > INT64_MIN;
	return paging_parse_mdt(value, strlen(value), false, from) == 0 &&
	       paging_parse_mdt(value, strlen(value), true, to) == 0;
}

static bool created_in(const struct order *o, const char *value)
{
	int64_t from = 0, to = 0;
	return read_range(value, &from, &to) && o->created_at >= from && o->created_at <= to;
}

static bool ends_in(const struct order *o, const char *value)
{
	int64_t from = 0, to = 0, end = o->active->cert.not_after;
	return o->active->issued_at && read_range(value, &from, &to) && end >= from && end <= to;
}

static bool range_valid(const char *value)
{
	int64_t from = 0, to = 0;
	return read_range(value, &from, &to);
}

static const struct filter filters[] = {
	{ "status", status_is, status_valid },
	{ "common_name", common_name_is, NULL },
	{ "domain_name", domain_is, NULL },
	{ "date_created", created_in, range_valid },
	{ "product_name_id", product_is, NULL },
	{ "serial_number", serial_is, NULL },
	{ "certificate_id", certificate_id_is, NULL },
	{ "id", id_is, NULL },
	{ "valid_till", ends_in, range_valid },
	{ "is_renewed", renewed_is, flag_valid },
	{ "disable_renewal_notifications", notices_off_is, flag_valid },
	{ "user_id", user_is, number_valid },
	{ "container_id", container_is, number_valid },
	{ "organization_id", organization_is, number_valid },
	{ "search", search_finds, NULL },
};

/* "filters[status]", or "filters[status][0]" for one of several values. */
static bool key_is(const char *key, const char *name)
{
	_cleanup_free_ char *full = xasprintf("filters[%s]", name);
	if (!str_has_prefix(key, full))
		return false;
	const char *rest = key + strlen(full);
	if (*rest != '[')
		return *rest == '\0';
	size_t digits = strspn(rest + 1, "0123456789");
	return digits > 0 && !strcmp(rest + 1 + digits, "]");
}

static int check_filters(const struct request *rq, struct reply *rp)
{
	for (size_t i = 0; i < rq->n_query; i++) {
		const struct request_pair *q = &rq->query[i];
		const struct filter *f = NULL;
		for (size_t k = 0; k < ARRAY_SIZE(filters); k++)
			if (key_is(q->key, filters[k].name))
				f = &filters[k];
		if (!f && strcmp(q->key, "limit") != 0 && strcmp(q->key, "offset") != 0)
			return paging_error(rp, "unknown_field", q->key,
					    "The sandbox does not know this parameter.");
		if (f && f->valid && !f->valid(q->val))
			return paging_error(rp, "invalid_field", q->key, "No such value.");
	}
	return 0;
}

/* Several values of one filter: any of them; several filters: all of them. */
static bool passes(const struct request *rq, const struct order *o)
{
	for (size_t k = 0; k < ARRAY_SIZE(filters); k++) {
		bool asked = false, found = false;
		for (size_t i = 0; i < rq->n_query; i++) {
			if (!key_is(rq->query[i].key, filters[k].name))
				continue;
			asked = true;
			found = found || filters[k].match(o, rq->query[i].val);
		}
		if (asked && !found)
			return false;
	}
	return true;
}

static struct json *product_json(const char *product)
{
	struct json *p = json_new_obj();
	json_set_str(p, "name_id", product);
	json_set_str(p, "name", product);
	json_set_str(p, "type", "dv_ssl_certificate");
	return p;
}

static struct json *row_json(const struct sandbox *sb, const struct order *o)
{
	const struct certificate *c = o->active;
	struct json *names = json_new_arr(), *cert = json_new_obj(), *j = json_new_obj();
	for (size_t i = 0; i < c->n_names; i++)
		json_add_str(names, c->names[i]);
	if (orders_has_certificate_id(o))
		json_set_i64(cert, "id", c->id);
	json_set_str(cert, "common_name", c->names[0]);
	json_set(cert, "dns_names", names);
	json_set_str(cert, "signature_hash", c->signature_hash);
	if (c->issued_at) {
		json_set_date(cert, "valid_till", c->cert.not_after);
		json_set_i64(cert, "days_remaining", (c->cert.not_after - sbx_now(sb)) / 86400);
	}
	json_set_i64(j, "id", o->id);
	json_set(j, "certificate", cert);
	json_set_str(j, "status", o->status);
	json_set_bool(j, "is_renewed", o->renewed_by != 0);
	json_set_moment(j, "date_created", o->created_at);
	json_set_bool(j, "has_duplicates", certificates_count(o, CERTIFICATE_DUPLICATE) > 0);
	json_set(j, "product", product_json(o->product));
	return j;
}

void account_orders(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	struct page p;
	if (check_filters(rq, rp) < 0 || paging_begin(&p, rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	orders_issue_all_due(sb);
	for (size_t i = 0; i < sb->n_orders; i++) {
		const struct order *o = sb->orders[i];
		bool late = sb->set.find_lag_s && o->created_at + sb->set.find_lag_s > sbx_now(sb);
		if (!late && passes(rq, o) && paging_takes(&p))
			json_add(p.rows, row_json(sb, o));
	}
	reply_json(rp, 200, paging_json(&p));
}

static int no_query(const struct request *rq, struct reply *rp)
{
	return paging_check_query(rq, NULL, 0, rp);
}

void account_me(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (no_query(rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	struct json *role = json_new_obj(), *roles = json_new_arr(), *j = json_new_obj();
	json_set_i64(role, "id", sb->set.role_user ? 5 : 1);
	json_set_str(role, "name", sb->set.role_user ? "Standard User" : "Administrator");
	json_add(roles, role);
	json_set_i64(j, "id", USER_ID);
	json_set_str(j, "username", "sandbox");
	json_set_str(j, "first_name", "Sandbox");
	json_set_str(j, "last_name", "User");
	json_set_str(j, "email", USER_EMAIL);
	json_set_str(j, "status", "active");
	json_set(j, "access_roles", roles);
	reply_json(rp, 200, j);
}

void account_products(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)sb;
	if (no_query(rq, rp) < 0)
		return;
	struct json *list = json_new_arr(), *j = json_new_obj();
	for (size_t i = 0; i < ORDER_PRODUCTS_NR; i++) {
		struct json *p = product_json(order_product_at(i));
		json_set_str(p, "group_name", "dv_ssl_certificate");
		json_add(list, p);
	}
	json_set(j, "products", list);
	reply_json(rp, 200, j);
}
