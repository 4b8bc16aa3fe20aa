/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as lines: one fact or one domain each. The table of `status` is in render_status.c. */
#include "daemon/ctl/render.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "daemon/ctl/render_priv.h"

/* ---- show ---- */

#define LABEL_WIDTH 14

static void add_label(struct strbuf *sb, const char *label)
{
	strbuf_addf(sb, "  %-*s  ", LABEL_WIDTH, label);
}

static void add_time_fact(struct strbuf *sb, const char *label, const char *what, int64_t at, int64_t now)
{
	char buf[TIMEFMT_MAX];
	if (at == 0)
		return;
	add_label(sb, label);
	render_escaped(sb, what);
	strbuf_addf(sb, "%s%s (", *what ? " " : "", timefmt_rfc3339(at, buf));
	render_relative(sb, at, now);
	strbuf_adds(sb, ")\n");
}

static int add_file(const char *key, const struct json *val, void *arg)
{
	struct strbuf *sb = arg;
	add_label(sb, "");
	strbuf_addf(sb, "%-9s  ", key);
	render_value(sb, val);
	strbuf_addc(sb, '\n');
	return 0;
}

static void add_targets(struct strbuf *sb, const struct json *targets, int64_t now)
{
	for (size_t i = 0; i < json_arr_len(targets); i++) {
		const struct json *t = json_arr_at(targets, i);
		add_label(sb, i == 0 ? "deploy" : "");
		render_escaped(sb, render_text_of(t, "target", "-"));
		strbuf_adds(sb, "  ");
		render_escaped(sb, render_text_of(t, "state", "-"));
		if (render_time_of(t, "at")) {
			strbuf_adds(sb, "  ");
			render_relative(sb, render_time_of(t, "at"), now);
		}
		if (render_number_of(t, "attempts") > 1)
			strbuf_addf(sb, "  (%lld attempts)", (long long)render_number_of(t, "attempts"));
		if (json_type(json_get(t, "error")) != JSON_NULL) {
			strbuf_adds(sb, "  ");
			if (json_type(json_get(t, "error")) == JSON_OBJECT)
				render_error(sb, json_get(t, "error"));
			else
				render_value(sb, json_get(t, "error"));
		}
		strbuf_addc(sb, '\n');
	}
}

static void add_facts(struct strbuf *sb, const struct json *d)
{
	static const struct {
		const char *label, *key;
	} facts[] = {
		{ "names", "names" },
		{ "common name", "common_name" },
		{ "product", "product" },
		{ "key", "key" },
		{ "validation", "dcv" },
		{ "phase", "phase" },
		{ "reference", "reference" },
		{ "order", "order_id" },
		{ "certificate", "certificate_id" },
		{ "serial", "serial" },
		{ "generation", "generation" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		const struct json *v = json_get(d, facts[i].key);
		if (json_type(v) == JSON_NULL)
			continue;
		add_label(sb, facts[i].label);
		render_value(sb, v);
		strbuf_addc(sb, '\n');
	}
}

void render_show(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *d = json_get(answer, "domain"), *next = json_get(d, "next"),
			  *error = json_get(d, "error");
	const char *state = render_text_of(d, "state", "-"),
		   *colour = o->colour ? render_state_colour(state) : "";
	render_escaped(sb, render_text_of(d, "name", "-"));
	strbuf_addf(sb, ": %s", colour);
	render_escaped(sb, state);
	strbuf_addf(sb, "%s\n", *colour ? "\033[0m" : "");
	add_facts(sb, d);
	add_time_fact(sb, "valid from", "", render_time_of(d, "not_before"), o->now);
	add_time_fact(sb, "valid until", "", render_time_of(d, "not_after"), o->now);
	add_time_fact(sb, "plan ends", "", render_time_of(d, "order_valid_until"), o->now);
	add_time_fact(sb, "token expires", "", render_time_of(d, "dcv_token_expires_at"), o->now);
	add_time_fact(sb, "next", render_text_of(next, "action", ""), render_time_of(next, "at"), o->now);
	if (json_type(json_get(d, "files")) == JSON_OBJECT) {
		strbuf_adds(sb, "  files\n");
		(void)json_each(json_get(d, "files"), add_file, sb);
	}
	add_targets(sb, render_list_of(d, "deploy"), o->now);
	if (json_type(error) == JSON_OBJECT) {
		add_label(sb, "problem");
		render_error(sb, error);
		strbuf_addc(sb, '\n');
		add_time_fact(sb, "since", "", render_time_of(error, "at"), o->now);
		if (render_number_of(error, "attempts") > 0)
			strbuf_addf(sb, "  %-*s  %lld\n", LABEL_WIDTH, "attempts",
				    (long long)render_number_of(error, "attempts"));
	}
	for (size_t i = 0; i < json_arr_len(render_list_of(d, "warnings")); i++) {
		add_label(sb, "warning");
		render_value(sb, json_arr_at(render_list_of(d, "warnings"), i));
		strbuf_addc(sb, '\n');
	}
}

/* ---- the other verbs ---- */

void render_history(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *events = render_list_of(answer, "history");
	for (size_t i = 0; i < json_arr_len(events); i++) {
		const struct json *e = json_arr_at(events, i);
		char buf[TIMEFMT_MAX];
		strbuf_addf(sb, "%s  ", timefmt_rfc3339(render_time_of(e, "at"), buf));
		render_escaped(sb, render_text_of(e, "event", "-"));
		if (*render_text_of(e, "message", "")) {
			strbuf_adds(sb, "  ");
			render_escaped(sb, render_text_of(e, "message", ""));
		}
		strbuf_addc(sb, '\n');
	}
	if (json_arr_len(events) == 0)
		strbuf_adds(sb, "nothing has happened yet\n");
	(void)o;
}

void render_taken(struct strbuf *sb, const struct json *answer, const char *what)
{
	const struct json *accepted = render_list_of(answer, "accepted"),
			  *refused = render_list_of(answer, "refused");
	for (size_t i = 0; i < json_arr_len(accepted); i++) {
		render_value(sb, json_arr_at(accepted, i));
		strbuf_addf(sb, ": %s started\n", what);
	}
	for (size_t i = 0; i < json_arr_len(refused); i++) {
		render_escaped(sb, render_text_of(json_arr_at(refused, i), "name", "-"));
		strbuf_adds(sb, ": refused: ");
		render_escaped(sb, render_text_of(json_arr_at(refused, i), "reason", "-"));
		strbuf_addc(sb, '\n');
	}
	if (json_arr_len(accepted) + json_arr_len(refused) == 0)
		strbuf_adds(sb, "nothing to do\n");
}

void render_renew(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	render_taken(sb, answer, "renewal");
	(void)o;
}

void render_reissue(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	render_taken(sb, answer, "reissue");
	(void)o;
}

void render_deploy(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	render_taken(sb, answer, "deployment");
	(void)o;
}

void render_rollback(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const char *rest = render_text_of(answer, "rest_until", NULL);

	render_escaped(sb, render_text_of(answer, "name", "-"));
	strbuf_addf(
		sb,
		": generation %04lld is live again instead of %04lld, valid until %s; its targets follow\n",
		(long long)render_number_of(answer, "generation"),
		(long long)render_number_of(answer, "left"), render_text_of(answer, "not_after", "-"));
	if (rest)
		strbuf_addf(sb,
			    "nothing is renewed before %s; dvcertctl renew or another rollback ends that\n",
			    rest);
	(void)o;
}

void render_wait(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *domains = render_list_of(answer, "domains");
	for (size_t i = 0; i < json_arr_len(domains); i++) {
		const struct json *d = json_arr_at(domains, i), *error = json_get(d, "error");
		const char *state = render_text_of(d, "state", "-"),
			   *colour = o->colour ? render_state_colour(state) : "";
		render_escaped(sb, render_text_of(d, "name", "-"));
		strbuf_addf(sb, ": %s", colour);
		render_escaped(sb, state);
		strbuf_adds(sb, *colour ? "\033[0m" : "");
		if (json_type(error) != JSON_NULL) {
			strbuf_adds(sb, ": ");
			if (json_type(error) == JSON_OBJECT)
				render_error(sb, error);
			else
				render_value(sb, error);
		}
		strbuf_addc(sb, '\n');
	}
	if (strcmp(render_text_of(answer, "result", ""), "timeout") == 0)
		strbuf_adds(sb, "not valid yet: gave up waiting (dvcertd goes on)\n");
}

void render_reload(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const char *restart = render_text_of(answer, "restart_needed", "");
	strbuf_addf(sb, "reloaded: %lld added, %lld removed, %lld changed\n",
		    (long long)render_number_of(answer, "added"),
		    (long long)render_number_of(answer, "removed"),
		    (long long)render_number_of(answer, "changed"));
	if (*restart) {
		strbuf_adds(sb, "takes effect at the next start only: ");
		render_escaped(sb, restart);
		strbuf_addc(sb, '\n');
	}
	(void)o;
}

/* A text of several lines, each escaped for itself. */
static void add_lines(struct strbuf *sb, const char *s)
{
	while (*s) {
		size_t len = strcspn(s, "\n");
		_cleanup_free_ char *line = xstrndup(s, len);
		render_escaped(sb, line);
		strbuf_addc(sb, '\n');
		s += len + (s[len] == '\n');
	}
}

void render_refusal(const struct json *answer, struct strbuf *sb)
{
	static const char *const LISTS[] = { "problems", "paid" };

	add_lines(sb, render_text_of(answer, "error", "refused without a reason"));
	for (size_t k = 0; k < ARRAY_SIZE(LISTS); k++) {
		const struct json *list = render_list_of(answer, LISTS[k]);

		for (size_t i = 0; i < json_arr_len(list); i++) {
			render_value(sb, json_arr_at(list, i));
			strbuf_addc(sb, '\n');
		}
	}
}
