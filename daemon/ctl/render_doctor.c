/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of `doctor`: a line for each step, and at the end what a person has to do first. */
#include "daemon/ctl/render_priv.h"

#include <string.h>

#define NAME_WIDTH  8
#define STATE_WIDTH 8
#define INDENT	    (2 + NAME_WIDTH + 2 + STATE_WIDTH + 1)

static const char *colour_of(const char *state)
{
	static const struct {
		const char *state, *colour;
	} COLOURS[] = {
		{ "ok", "\033[32m" },
		{ "warning", "\033[33m" },
		{ "broken", "\033[1;31m" },
		{ "skipped", "\033[2m" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(COLOURS); i++) {
		if (strcmp(COLOURS[i].state, state) == 0)
			return COLOURS[i].colour;
	}
	return "";
}

/* The text hangs beside the words, however many lines it takes. */
static void add_step(struct strbuf *sb, const struct json *step, const struct render_options *o)
{
	const char *state = render_text_of(step, "state", "-"), *name = render_text_of(step, "step", "-");
	const char *colour = o->colour ? colour_of(state) : "";
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT(5 * CELL_MAX),
					     lines = STRBUF_INIT(9 * CELL_MAX);
	render_escaped(&text, render_text_of(step, "text", ""));
	render_wrapped(&lines, strbuf_str(&text), INDENT, o->columns);
	strbuf_addf(sb, "  %-*.32s  %s%-*.16s%s", NAME_WIDTH, name, colour, STATE_WIDTH, state,
		    *colour ? RENDER_PLAIN : "");
	/* Without the blanks of its first line, whose place is taken. */
	strbuf_addf(sb, " %s", strbuf_ok(&lines) ? strbuf_str(&lines) + INDENT : "\n");
}

static const struct json *step_named(const struct json *steps, const char *name)
{
	for (size_t i = 0; i < json_arr_len(steps); i++) {
		if (strcmp(render_text_of(json_arr_at(steps, i), "step", ""), name) == 0)
			return json_arr_at(steps, i);
	}
	return NULL;
}

static void add_labelled(struct strbuf *sb, const char *label, const char *text,
			 const struct render_options *o)
{
	_cleanup_(strbuf_done) struct strbuf line = STRBUF_INIT(5 * CELL_MAX);
	strbuf_adds(&line, label);
	render_escaped(&line, text);
	render_wrapped(sb, strbuf_str(&line), 2, o->columns);
}

static void add_end(struct strbuf *sb, const struct json *answer, const struct render_options *o)
{
	const struct json *steps = render_list_of(answer, "steps"), *step;
	const char *first = render_text_of(answer, "first_broken", NULL), *remedy;
	int64_t n = render_number_of(answer, "api_requests");
	size_t warnings = 0;
	for (size_t i = 0; i < json_arr_len(steps); i++)
		warnings += strcmp(render_text_of(json_arr_at(steps, i), "state", ""), "warning") == 0;
	if (!first) {
		/* Without a name only what all domains share was looked at: what each of them is like follows. */
		strbuf_adds(sb, render_text_of(answer, "name", NULL)
					? "Nothing is broken"
					: "Nothing that all domains share is broken");
		if (warnings > 0)
			strbuf_addf(sb, ", %zu warning%s", warnings, warnings == 1 ? "" : "s");
	} else {
		step = step_named(steps, first);
		strbuf_adds(sb, "First broken: ");
		render_escaped(sb, first);
	}
	strbuf_addf(sb, " (%lld request%s to CertCentral)\n", (long long)n, n == 1 ? "" : "s");
	if (!first)
		return;
	add_labelled(sb, "", render_text_of(step, "text", "-"), o);
	remedy = render_text_of(step, "remedy", NULL);
	if (remedy)
		add_labelled(sb, "Remedy: ", remedy, o);
}

void render_doctor(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *steps = render_list_of(answer, "steps"), *status = json_get(answer, "status");
	const char *name = render_text_of(answer, "name", NULL);
	if (name) {
		render_escaped(sb, name);
		strbuf_addc(sb, '\n');
	}
	for (size_t i = 0; i < json_arr_len(steps); i++)
		add_step(sb, json_arr_at(steps, i), o);
	add_end(sb, answer, o);
	if (!name && json_arr_len(render_list_of(status, "domains")) > 0) {
		strbuf_addc(sb, '\n');
		render_status(status, o, sb);
	}
}
