/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/settings.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "tests/sandbox/fields.h"

#include <errno.h>

#define DURATION_MAX_S (100 * 366 * INT64_C(86400))

struct number {
	const char *name;
	size_t offset; /* of an int64_t in struct settings */
	int64_t min;
};

#define CHOICES_MAX 6

struct word {
	const char *name;
	size_t offset; /* of a uint8_t in struct settings: the index of the choice */
	const char *choice[CHOICES_MAX];
	bool aged; /* the service has had two generations: choice[0] is the newer, choice[1] the older */
};

#define AT(member) offsetof(struct settings, member)

static const struct number numbers[] = {
	{ "issue_delay_s", AT(issue_delay_s), 0 }, { "validity_s", AT(validity_s), 1 },
	{ "ca_poll_s", AT(ca_poll_s), 0 },	   { "find_lag_s", AT(find_lag_s), 0 },
	{ "max_cert_days", AT(max_cert_days), 0 }, { "old_revoke_s", AT(old_revoke_s), 0 },
	{ "token_days", AT(token_days), 1 },	   { "revocation_life_s", AT(revocation_life_s), 1 },
};

static const struct word words[] = {
	{ "dcv_replies", AT(dcv_replies_old), { "new", "old" }, true },
	{ "find_none", AT(find_none_empty), { "404", "empty" }, true },
	{ "use_auth_key", AT(auth_key_default_old), { "new", "old" }, true },
	{ "auth_keys", AT(auth_keys_one), { "several", "one" }, true },
	{ "order_valid_till", AT(plan_end_absent), { "shown", "absent" }, true },
	{ "revoke_approval", AT(revoke_approval_always), { "skippable", "always" }, true },
	{ "approval", AT(require_approval), { "off", "required" }, false },
	{ "approver", AT(approver_other), { "anyone", "other" }, false },
	{ "key_role", AT(role_user), { "admin", "user" }, false },
	{ "key_scope", AT(scope_orders), { "all", "orders" }, false },
	{ "reissue_dcv", AT(reissue_dcv_reuse), { "again", "reuse" }, false },
	{ "instant_reissue", AT(instant_reissue), { "no", "yes" }, false },
	{ "method_value", AT(method_value_same), { "new", "same" }, false },
	{ "lists", AT(lists_primary), { "plain", "primary" }, false },
	{ "revocation",
	  AT(revocation),
	  { [REVOCATION_BOTH] = "both",
	    [REVOCATION_OCSP] = "ocsp",
	    [REVOCATION_CRL] = "crl",
	    [REVOCATION_SILENT] = "silent",
	    [REVOCATION_GARBAGE] = "garbage" },
	  false },
	{ "csr_spelling",
	  AT(csr_spelling),
	  { [CSR_AS_POSTED] = "posted",
	    [CSR_LF] = "lf",
	    [CSR_LF_NOFINAL] = "lf-nofinal",
	    [CSR_CRLF] = "crlf",
	    [CSR_ONELINE] = "oneline",
	    [CSR_BODY] = "body" },
	  false },
};

static int64_t *number_at(struct settings *set, const struct number *n)
{
	return (int64_t *)(void *)((char *)set + n->offset);
}

static uint8_t *word_at(struct settings *set, const struct word *w)
{
	return (uint8_t *)set + w->offset;
}

/* "a|b|c" */
static char *choices_text(const struct word *w)
{
	_cleanup_free_ char *all = xstrdup(w->choice[0]);
	for (size_t i = 1; i < CHOICES_MAX && w->choice[i]; i++) {
		char *more = xasprintf("%s|%s", all, w->choice[i]);
		free(all);
		all = more;
	}
	return TAKE_PTR(all);
}

static bool pick_word(struct settings *set, const struct word *w, const char *text)
{
	for (size_t i = 0; text && i < CHOICES_MAX && w->choice[i]; i++) {
		if (strcmp(text, w->choice[i]) != 0)
			continue;
		*word_at(set, w) = (uint8_t)i;
		return true;
	}
	return false;
}

static bool pick_number(struct settings *set, const struct number *n, int64_t val)
{
	if (val < n->min || val > DURATION_MAX_S)
		return false;
	*number_at(set, n) = val;
	return true;
}

static int unknown_setting(const char *name, size_t len, struct err *reterr)
{
	struct strbuf all = STRBUF_INIT(4096);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strbuf_addf(&all, "%s, ", words[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		strbuf_addf(&all, "%s%s", i ? ", " : "", numbers[i].name);
	(void)err_set(reterr, -EINVAL, "there is no setting '%.*s'; there are %s", (int)len, name,
		      strbuf_str(&all));
	strbuf_done(&all);
	return -EINVAL;
}

int settings_set_text(struct settings *set, const char *text, struct err *reterr)
{
	size_t len = strcspn(text, "=");
	const char *val = text[len] ? text + len + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const struct word *w = &words[i];
		if (strlen(w->name) != len || strncmp(text, w->name, len) != 0)
			continue;
		_cleanup_free_ char *all = choices_text(w);
		return pick_word(set, w, val) ? 0 : err_set(reterr, -EINVAL, "%s takes %s", w->name, all);
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];
		uint64_t num = 0;
		if (strlen(n->name) != len || strncmp(text, n->name, len) != 0)
			continue;
		return val && str_parse_u64(val, &num) == 0 && num <= DURATION_MAX_S &&
				       pick_number(set, n, (int64_t)num)
			       ? 0
			       : err_set(reterr, -EINVAL, "%s takes a whole number from %lld", n->name,
					 (long long)n->min);
	}
	return unknown_setting(text, len, reterr);
}

void settings_set_generation(struct settings *set, bool old)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].aged)
			*word_at(set, &words[i]) = old;
}

void settings_print(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_free_ char *all = choices_text(&words[i]);
		fprintf(out, "  %-16s %s%s\n", words[i].name, all, words[i].aged ? "  (*)" : "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		fprintf(out, "  %-16s NUMBER\n", numbers[i].name);
}

void settings_get(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *j = json_new_obj();
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_set_i64(j, numbers[i].name, *number_at(&sb->set, &numbers[i]));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		json_set_str(j, words[i].name, words[i].choice[*word_at(&sb->set, &words[i])]);
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
	return pick_number(&c->set, n, val) ? 0 : bad_setting(c->rp, n->name, "Out of range.");
}

static int set_word(struct change *c, const struct word *w, const char *text)
{
	_cleanup_free_ char *all = choices_text(w), *message = xasprintf("Must be one of %s.", all);
	return pick_word(&c->set, w, text) ? 0 : bad_setting(c->rp, w->name, message);
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
