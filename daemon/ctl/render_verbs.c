/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of the verbs that plan or do one thing. */
#include "daemon/ctl/render_priv.h"

#include <string.h>

#include "common/str.h"
#include "common/timefmt.h"

/* ---- plan ---- */

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static bool flag_of(const struct json *j, const char *key)
{
	bool b = false;
	return json_get_bool(j, key, &b) == 1 && b;
}

/* "2027-05-06T07:08:09Z (in 165d)" */
static void add_time(struct strbuf *sb, int64_t at, int64_t now)
{
	char buf[TIMEFMT_MAX];
	strbuf_addf(sb, "%s (", timefmt_rfc3339(at, buf));
	render_relative(sb, at, now);
	strbuf_addc(sb, ')');
}

static void add_headline(struct strbuf *sb, const struct json *d, int64_t now)
{
	const char *action = render_text_of(d, "action", "-");
	bool nothing = strcmp(action, "none") == 0;
	render_escaped(sb, render_text_of(d, "name", "-"));
	strbuf_adds(sb, ": ");
	render_escaped(sb, nothing ? "nothing now" : action);
	if (!nothing && render_time_of(d, "at") > now) {
		strbuf_addc(sb, ' ');
		render_relative(sb, render_time_of(d, "at"), now);
	}
	if (flag_of(d, "paid"))
		strbuf_adds(sb, strcmp(action, "reissue") == 0 ? ", may cost money" : ", costs money");
	strbuf_adds(sb, ": ");
	render_escaped(sb, render_text_of(d, "reason", "-"));
	strbuf_addc(sb, '\n');
}

static void add_plan(struct strbuf *sb, const struct json *d, int64_t now)
{
	const struct json *calls = render_list_of(d, "calls"), *warnings = render_list_of(d, "warnings"),
			  *then = json_get(d, "then");
	int64_t n = render_number_of(d, "requests");
	add_headline(sb, d, now);
	if (n > 0)
		strbuf_addf(sb, "  %s%lld request%s\n", flag_of(d, "at_least") ? "at least " : "",
			    (long long)n, plural(n));
	for (size_t i = 0; i < json_arr_len(calls); i++) {
		strbuf_adds(sb, "    ");
		render_value(sb, json_arr_at(calls, i));
		strbuf_addc(sb, '\n');
	}
	if (render_time_of(then, "at")) {
		strbuf_adds(sb, "  then ");
		render_escaped(sb, render_text_of(then, "action", "-"));
		strbuf_addc(sb, ' ');
		add_time(sb, render_time_of(then, "at"), now);
		strbuf_addc(sb, '\n');
	}
	for (size_t i = 0; i < json_arr_len(warnings); i++) {
		strbuf_adds(sb, "  warning: ");
		render_value(sb, json_arr_at(warnings, i));
		strbuf_addc(sb, '\n');
	}
}

static void add_changes(struct strbuf *sb, const struct json *changes)
{
	static const char *const KINDS[] = { "added", "removed", "changed" };
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		const struct json *list = render_list_of(changes, KINDS[i]);
		if (json_arr_len(list) == 0)
			continue;
		strbuf_addf(sb, "%s in the configuration on disk: ", KINDS[i]);
		render_value(sb, list);
		strbuf_adds(sb, " (dvcertctl reload takes it over)\n");
	}
	if (*render_text_of(changes, "restart_needed", "")) {
		strbuf_adds(sb, "takes effect at the next start only: ");
		render_escaped(sb, render_text_of(changes, "restart_needed", ""));
		strbuf_addc(sb, '\n');
	}
}

static void add_totals(struct strbuf *sb, const struct json *answer, int64_t now)
{
	const struct json *totals = json_get(answer, "totals"), *budget = json_get(answer, "budget");
	const struct json *postponed = render_list_of(budget, "postponed"),
			  *notes = render_list_of(answer, "notes");
	int64_t orders = render_number_of(totals, "orders"), reissues = render_number_of(totals, "reissues"),
		requests = render_number_of(totals, "requests");
	strbuf_addf(sb, "now: %lld order%s, %lld reissue%s, %lld request%s\n", (long long)orders,
		    plural(orders), (long long)reissues, plural(reissues), (long long)requests,
		    plural(requests));
	for (size_t i = 0; i < json_arr_len(notes); i++) {
		strbuf_adds(sb, "  ");
		render_value(sb, json_arr_at(notes, i));
		strbuf_addc(sb, '\n');
	}
	strbuf_addf(sb, "orders left today: %lld of %lld\n", (long long)render_number_of(budget, "left"),
		    (long long)render_number_of(budget, "max_orders_per_day"));
	for (size_t i = 0; i < json_arr_len(postponed); i++) {
		const struct json *p = json_arr_at(postponed, i);
		strbuf_adds(sb, "  ");
		render_escaped(sb, render_text_of(p, "name", "-"));
		strbuf_adds(sb, " waits until ");
		add_time(sb, render_time_of(p, "until"), now);
		strbuf_addc(sb, '\n');
	}
}

void render_plan(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *domains = render_list_of(answer, "domains");
	for (size_t i = 0; i < json_arr_len(domains); i++)
		add_plan(sb, json_arr_at(domains, i), o->now);
	add_totals(sb, answer, o->now);
	add_changes(sb, json_get(answer, "changes"));
}

/* ---- one thing ---- */

struct result_row {
	const char *result;
	const char *text;
};

/* "NAME: text", with what the answer says beside it. */
static void add_result(struct strbuf *sb, const struct json *answer, const struct result_row *rows, size_t n)
{
	const char *result = render_text_of(answer, "result", "-"), *text = result;
	const char *message = render_text_of(answer, "message", "");
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].result, result) == 0)
			text = rows[i].text;
	}
	render_escaped(sb, render_text_of(answer, "name", "-"));
	strbuf_adds(sb, ": ");
	render_escaped(sb, text);
	if (*message) {
		strbuf_adds(sb, ": ");
		render_escaped(sb, message);
	}
	strbuf_addc(sb, '\n');
}

void render_revoke(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	static const struct result_row ROWS[] = {
		{ "revoked", "revoked" },
		{ "pending", "not revoked yet, dvcertd goes on" },
		{ "approval",
		  "not revoked yet, an administrator has to approve it in the CertCentral console" },
		{ "failed", "not revoked" },
		{ "nothing", "nothing to do" },
	};
	add_result(sb, answer, ROWS, ARRAY_SIZE(ROWS));
	(void)o;
}

void render_cancel(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	static const struct result_row ROWS[] = {
		{ "canceled", "canceled; nothing goes on until dvcertctl renew" },
		{ "nothing", "nothing to do: no issuance is under way" },
	};
	add_result(sb, answer, ROWS, ARRAY_SIZE(ROWS));
	(void)o;
}

void render_check_dcv(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	static const struct result_row ROWS[] = {
		{ "validated", "all names are proven" },
		{ "not_validated", "the CA does not see the proof yet" },
		{ "nothing", "nothing to do: no order waits for a proof" },
	};
	const struct json *names = render_list_of(answer, "not_validated");
	add_result(sb, answer, ROWS, ARRAY_SIZE(ROWS));
	if (json_arr_len(names) > 0) {
		strbuf_adds(sb, "  not proven: ");
		render_value(sb, names);
		strbuf_addc(sb, '\n');
	}
	(void)o;
}

void render_resend_emails(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	static const struct result_row ROWS[] = {
		{ "sent", "the CA sends its mail again" },
		{ "nothing", "nothing to do: no order waits for a proof" },
	};
	add_result(sb, answer, ROWS, ARRAY_SIZE(ROWS));
	(void)o;
}

void render_duplicate(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	static const struct result_row ROWS[] = {
		{ "issued", "a duplicate is issued" },
		{ "pending", "not issued yet, run the same command again" },
		{ "approval",
		  "an administrator has to approve it in the CertCentral console, then run the same "
		  "command again" },
	};
	add_result(sb, answer, ROWS, ARRAY_SIZE(ROWS));
	if (strcmp(render_text_of(answer, "result", ""), "issued") != 0)
		return;
	strbuf_addf(sb, "  certificate %lld, serial ", (long long)render_number_of(answer, "certificate_id"));
	render_escaped(sb, render_text_of(answer, "serial", "-"));
	strbuf_adds(sb, ", valid until ");
	add_time(sb, render_time_of(answer, "not_after"), o->now);
	strbuf_addc(sb, '\n');
}

/* ---- account ---- */

void render_auth_key(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *keys = render_list_of(answer, "auth_keys");
	if (strcmp(render_text_of(answer, "result", ""), "created") == 0)
		strbuf_adds(sb, "created:\n");
	for (size_t i = 0; i < json_arr_len(keys); i++) {
		const struct json *k = json_arr_at(keys, i);
		render_escaped(sb, render_text_of(k, "id", "-"));
		strbuf_adds(sb, "  ");
		render_escaped(sb, render_text_of(k, "status", "-"));
		if (render_time_of(k, "expires_at")) {
			strbuf_adds(sb, "  until ");
			add_time(sb, render_time_of(k, "expires_at"), o->now);
		} else {
			strbuf_adds(sb, "  without an end");
		}
		strbuf_adds(sb, flag_of(k, "used") ? "  used by dvcertd\n" : "\n");
	}
	if (json_arr_len(keys) == 0)
		strbuf_adds(sb, "the account has no AuthKey: dvcertctl auth-key create --yes makes one\n");
	else
		strbuf_adds(
			sb,
			"The key itself is never shown: dvcertd reads it from the API when it needs it.\n");
}

void render_budget(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *rates = render_list_of(answer, "rate_limits"),
			  *orders = render_list_of(answer, "orders");
	char buf[STR_DURATION_MAX], at[TIMEFMT_MAX];
	strbuf_addf(sb, "orders in the last 24 hours: %lld of %lld, %lld left\n",
		    (long long)render_number_of(answer, "spent"),
		    (long long)render_number_of(answer, "max_orders_per_day"),
		    (long long)render_number_of(answer, "left"));
	for (size_t i = 0; i < json_arr_len(orders); i++) {
		const struct json *e = json_arr_at(orders, i);
		strbuf_addf(sb, "  %s  ", timefmt_rfc3339(render_time_of(e, "at"), at));
		render_escaped(sb, render_text_of(e, "name", "-"));
		strbuf_addc(sb, '\n');
	}
	if (render_time_of(answer, "next_at") > o->now) {
		strbuf_adds(sb, "the next one may be placed ");
		add_time(sb, render_time_of(answer, "next_at"), o->now);
		strbuf_addc(sb, '\n');
	}
	for (size_t i = 0; i < json_arr_len(rates); i++) {
		const struct json *r = json_arr_at(rates, i);
		strbuf_addf(sb, "requests in %s: room for %lld of %lld\n",
			    str_format_duration(render_number_of(r, "per"), buf),
			    (long long)render_number_of(r, "left"),
			    (long long)render_number_of(r, "requests"));
	}
	if (flag_of(answer, "key_blocked"))
		strbuf_adds(sb, "CertCentral does not accept the API key: nothing is asked until a reload\n");
}
