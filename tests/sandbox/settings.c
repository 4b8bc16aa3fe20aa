/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/settings.h"

#include "common/mem.h"
#include "tests/sandbox/fields.h"

#define DURATION_MAX_S (100 * 366 * INT64_C(86400))

struct number {
	const char *name;
	size_t offset; /* of an int64_t in struct settings */
	int64_t min;
};

struct word {
	const char *name;
	size_t offset; /* of a bool in struct settings */
	const char *no;
	const char *yes;
};

#define AT(member) offsetof(struct settings, member)

static const struct number numbers[] = {
	{ "issue_delay_s", AT(issue_delay_s), 0 }, { "validity_s", AT(validity_s), 1 },
	{ "ca_poll_s", AT(ca_poll_s), 0 },	   { "find_lag_s", AT(find_lag_s), 0 },
	{ "max_cert_days", AT(max_cert_days), 0 }, { "old_revoke_s", AT(old_revoke_s), 0 },
};

static const struct word words[] = {
	{ "dcv_replies", AT(dcv_replies_old), "new", "old" },
	{ "find_none", AT(find_none_empty), "404", "empty" },
	{ "reissue_dcv", AT(reissue_dcv_reuse), "again", "reuse" },
	{ "lists", AT(lists_primary), "plain", "primary" },
	{ "revoke_approval", AT(revoke_approval_always), "skippable", "always" },
	{ "approver", AT(approver_other), "anyone", "other" },
	{ "key_role", AT(role_user), "admin", "user" },
	{ "key_scope", AT(scope_orders), "all", "orders" },
	{ "use_auth_key", AT(auth_key_default_old), "new", "old" },
	{ "approval", AT(require_approval), "off", "required" },
};

static int64_t *number_at(struct settings *set, const struct number *n)
{
	return (int64_t *)(void *)((char *)set + n->offset);
}

static bool *word_at(struct settings *set, const struct word *w)
{
	return (bool *)(void *)((char *)set + w->offset);
}

void settings_get(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *j = json_new_obj();
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_set_i64(j, numbers[i].name, *number_at(&sb->set, &numbers[i]));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		json_set_str(j, words[i].name, *word_at(&sb->set, &words[i]) ? words[i].yes : words[i].no);
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

struct change {
	struct settings set;
	struct rates rates;
	bool have_rates;
	struct reply *rp;
};

static int set_number(struct change *c, const struct number *n, const struct json *body)
{
	int64_t val = 0;
	if (json_get_i64(body, n->name, &val) != 1)
		return bad_setting(c->rp, n->name, "Must be a whole number.");
	if (val < n->min || val > DURATION_MAX_S)
		return bad_setting(c->rp, n->name, "Out of range.");
	*number_at(&c->set, n) = val;
	return 0;
}

static int set_word(struct change *c, const struct word *w, const char *text)
{
	if (!text || (strcmp(text, w->no) != 0 && strcmp(text, w->yes) != 0))
		return bad_setting(c->rp, w->name, "Not one of the two words.");
	*word_at(&c->set, w) = !strcmp(text, w->yes);
	return 0;
}

static int apply(struct change *c, const char *key, const struct json *body)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(key, numbers[i].name))
			return set_number(c, &numbers[i], body);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(key, words[i].name))
			return set_word(c, &words[i], json_str(json_get(body, key)));
	if (strcmp(key, "rates") != 0)
		return bad_setting(c->rp, key, "There is no such setting.");
	const struct json *list = json_get(body, key);
	if (json_type(list) != JSON_ARRAY)
		return bad_setting(c->rp, key, "Must be a list.");
	c->have_rates = true;
	return pick_rates(list, &c->rates, c->rp);
}

struct walk {
	struct change *change;
	const struct json *body;
};

static int apply_member(const char *key, const struct json *val, void *arg)
{
	(void)val;
	const struct walk *w = arg;
	return apply(w->change, key, w->body);
}

void settings_post(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body)
		return;
	struct change c = { .set = sb->set, .rp = rp };
	struct walk w = { .change = &c, .body = body };
	if (json_each(body, apply_member, &w) != 0) {
		rates_clear(&c.rates);
		return;
	}
	sb->set = c.set;
	if (c.have_rates) {
		rates_clear(&sb->rates);
		sb->rates = c.rates;
	}
	pthread_cond_broadcast(&sb->wake);
	settings_get(sb, rq, rp);
}
