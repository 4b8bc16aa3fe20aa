/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and lines. The widths are counted in characters, which is right for host names (always ASCII) and for the
 * daemon's own texts; the column that holds text of others is the last one, so that it cannot push anything aside. */
#include "daemon/ctl/render.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "daemon/ctl/render_priv.h"

/* ---- states ---- */

/* Most urgent first; `valid` sorts by expiry. A state that this program does not know yet stands before it. */
static const struct state_look {
	const char *name;
	const char *colour;
} states[] = {
	{ "failed", "\033[1;31m" },
	{ "retrying", "\033[33m" },
	{ "pending", "\033[36m" },
	{ "deploying", "\033[36m" },
	{ "new", "" },
	{ "valid", "\033[32m" },
};
enum { STATE_VALID = ARRAY_SIZE(states) - 1 };

static size_t state_rank(const char *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (strcmp(states[i].name, state) == 0)
			return i;
	}
	return STATE_VALID - 1;
}

static const char *state_colour(const char *state)
{
	size_t i = state_rank(state);
	return strcmp(states[i].name, state) == 0 ? states[i].colour : "";
}

/* ---- status ---- */

enum { COL_NAME, COL_STATE, COL_NEXT, COL_EXPIRES, COL_PROBLEM, COL_NR };
static const char *const headings[COL_NR] = { "NAME", "STATE", "NEXT", "EXPIRES", "PROBLEM" };

struct row {
	size_t rank;
	int64_t expires;
	char *state; /* as sent, for colours and counts */
	char *cell[COL_NR];
};

static char *cell_next(const struct json *d, int64_t now)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(5 * CELL_MAX);
	const struct json *next = json_get(d, "next");
	const char *phase = render_text_of(d, "phase", NULL), *action = render_text_of(next, "action", NULL);
	int64_t at = render_time_of(next, "at");
	if (action && strcmp(action, "none") == 0)
		action = "-";
	render_escaped(&sb, action ? action : phase ? phase : at ? "" : "-");
	if (at) {
		strbuf_adds(&sb, sb.len ? " " : "");
		render_relative(&sb, at, now);
	}
	return strbuf_take(&sb);
}

static char *cell_problem(const struct json *d)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(9 * CELL_MAX);
	render_error(&sb, json_get(d, "error"));
	int64_t attempts = render_number_of(json_get(d, "error"), "attempts");
	if (sb.len && attempts > 1)
		strbuf_addf(&sb, " (%lld attempts)", (long long)attempts);
	const struct json *targets = render_list_of(d, "deploy");
	for (size_t i = 0; i < json_arr_len(targets) && !sb.len; i++) {
		const char *error = render_text_of(json_arr_at(targets, i), "error", NULL);
		if (!error)
			continue;
		render_escaped(&sb, render_text_of(json_arr_at(targets, i), "target", "-"));
		strbuf_adds(&sb, ": ");
		render_escaped(&sb, error);
	}
	return strbuf_take(&sb);
}

static char *cell_text(const char *s)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(4 * CELL_MAX);
	render_escaped(&sb, s);
	return strbuf_take(&sb);
}

static char *cell_time(int64_t at, int64_t now)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(64);
	render_relative(&sb, at, now);
	return strbuf_take(&sb);
}

static void row_init(struct row *row, const struct json *d, int64_t now)
{
	const char *state = render_text_of(d, "state", "-");
	row->rank = state_rank(state);
	row->expires = render_time_of(d, "not_after");
	row->state = xstrdup(state);
	row->cell[COL_NAME] = cell_text(render_text_of(d, "name", "-"));
	row->cell[COL_STATE] = cell_text(state);
	row->cell[COL_NEXT] = cell_next(d, now);
	row->cell[COL_EXPIRES] = cell_time(row->expires, now);
	row->cell[COL_PROBLEM] = cell_problem(d);
}

static void row_done(struct row *row)
{
	free(row->state);
	for (size_t i = 0; i < COL_NR; i++)
		free(row->cell[i]);
}

static int row_compare(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->rank == STATE_VALID && a->expires != b->expires)
		return a->expires < b->expires ? -1 : 1;
	return strcmp(a->cell[COL_NAME], b->cell[COL_NAME]);
}

/* Characters, not bytes: continuation bytes of UTF-8 do not count. */
static size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Appends at most width characters; what is cut off is shown by "..." (width 0: no limit). */
static void add_cut(struct strbuf *sb, const char *s, size_t width)
{
	if (width == 0 || text_width(s) <= width) {
		strbuf_adds(sb, s);
		return;
	}
	size_t keep = width > 3 ? width - 3 : 0, bytes = 0;
	for (size_t n = 0; s[bytes]; bytes++) {
		n += ((unsigned char)s[bytes] & 0xc0) != 0x80;
		if (n > keep)
			break;
	}
	strbuf_add(sb, s, bytes);
	strbuf_adds(sb, "...");
}

static void add_line(struct strbuf *sb, const char *const cells[COL_NR], const size_t width[COL_NR],
		     const char *colour, unsigned columns)
{
	size_t used = 0;
	for (size_t i = 0; i < COL_PROBLEM; i++) {
		bool last = i == COL_EXPIRES && *cells[COL_PROBLEM] == '\0';
		bool paint = i == COL_STATE && *colour;
		strbuf_addf(sb, "%s%s%s", paint ? colour : "", cells[i], paint ? "\033[0m" : "");
		for (size_t n = text_width(cells[i]); n < width[i] + 2 && !last; n++)
			strbuf_addc(sb, ' ');
		used += width[i] + 2;
	}
	/* On a narrow terminal the problem keeps a readable share and wraps. */
	size_t room = columns > used + 20 ? columns - used : 0;
	add_cut(sb, cells[COL_PROBLEM], room);
	strbuf_addc(sb, '\n');
}

/* "3 domains: 1 failed, 2 valid" */
static void add_counts(struct strbuf *sb, const struct row *rows, size_t n_rows)
{
	size_t counted = 0;
	strbuf_addf(sb, "%zu domain%s", n_rows, n_rows == 1 ? "" : "s");
	for (size_t s = 0; s <= ARRAY_SIZE(states); s++) {
		size_t n = 0;
		for (size_t i = 0; i < n_rows && s < ARRAY_SIZE(states); i++)
			n += strcmp(rows[i].state, states[s].name) == 0;
		if (s == ARRAY_SIZE(states))
			n = n_rows - counted;
		if (n == 0)
			continue;
		strbuf_addf(sb, "%s%zu %s", counted ? ", " : ": ", n,
			    s < ARRAY_SIZE(states) ? states[s].name : "other");
		counted += n;
	}
	strbuf_addc(sb, '\n');
}

/* What concerns all domains: the disk, the machine. */
static void add_daemon_warnings(struct strbuf *sb, const struct json *answer)
{
	const struct json *daemon = NULL, *list;

	if (json_get_obj(answer, "daemon", &daemon) != 1)
		return;
	list = render_list_of(daemon, "warnings");
	for (size_t i = 0; i < json_arr_len(list); i++) {
		const char *text = json_str(json_arr_at(list, i));

		strbuf_adds(sb, "warning: ");
		render_escaped(sb, text ? text : "");
		strbuf_addc(sb, '\n');
	}
}

void render_status(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *domains = render_list_of(answer, "domains");
	size_t n_rows = json_arr_len(domains), width[COL_NR] = { 0 };
	_cleanup_free_ struct row *rows = xcalloc(n_rows + 1, sizeof(*rows));
	for (size_t c = 0; c < COL_NR; c++)
		width[c] = text_width(headings[c]);
	for (size_t i = 0; i < n_rows; i++) {
		row_init(&rows[i], json_arr_at(domains, i), o->now);
		for (size_t c = 0; c < COL_NR; c++)
			width[c] = MAX(width[c], text_width(rows[i].cell[c]));
	}
	if (n_rows > 0) {
		qsort(rows, n_rows, sizeof(*rows), row_compare);
		add_line(sb, headings, width, "", o->columns);
	}
	for (size_t i = 0; i < n_rows; i++) {
		const char *cells[COL_NR];
		for (size_t c = 0; c < COL_NR; c++)
			cells[c] = rows[i].cell[c];
		add_line(sb, cells, width, o->colour ? state_colour(rows[i].state) : "", o->columns);
	}
	add_counts(sb, rows, n_rows);
	add_daemon_warnings(sb, answer);
	for (size_t i = 0; i < n_rows; i++)
		row_done(&rows[i]);
}

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
	const char *state = render_text_of(d, "state", "-"), *colour = o->colour ? state_colour(state) : "";
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
			   *colour = o->colour ? state_colour(state) : "";
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
