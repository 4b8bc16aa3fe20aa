/* SPDX-License-Identifier: Apache-2.0 */
/* The table of `status`. Names stay as they are configured on the wire (A-labels): that is what certificates, logs and other tools show.
 * What others say comes last in a line or in lines of its own, so that it cannot push anything aside. */
#include "daemon/ctl/render_priv.h"

#include <string.h>

#include "common/mem.h"

#define NOTE_INDENT 4
/* A name takes no more than this when the terminal is too narrow for all. */
#define NAME_LEAST 20
/* What is missing is as urgent as what has a week left (as the daemon sees it). */
#define MISSING_S (7 * 86400)

/* ---- states ---- */

/* Most urgent first; `valid` sorts by what comes next. A state that this program does not know yet stands before it. */
static const struct state_look {
	const char *name;
	const char *colour;
} states[] = {
	{ "failed", "\033[1;31m" },
	{ "retrying", "\033[33m" },
	{ "deploying", "\033[36m" },
	{ "pending", "\033[36m" },
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

const char *render_state_colour(const char *state)
{
	size_t i = state_rank(state);
	return strcmp(states[i].name, state) == 0 ? states[i].colour : "";
}

/* ---- rows ---- */

enum { COL_NAME, COL_STATE, COL_NEXT, COL_EXPIRES, COL_NR };
static const char *const headings[COL_NR] = { "NAME", "STATE", "NEXT", "EXPIRES" };

enum { NOTE_PROBLEM, NOTE_TARGETS, NOTE_NR };

struct row {
	size_t rank;
	int64_t urgent_at;
	bool changed;
	char *state; /* as sent, for colours and counts */
	char *cell[COL_NR];
	char *note[NOTE_NR]; /* "": none */
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
		/* Under way: what was due is being done. */
		render_relative(&sb, at < now ? now : at, now);
	}
	return strbuf_take(&sb);
}

static char *note_problem(const struct json *d)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(9 * CELL_MAX);
	int64_t attempts = render_number_of(json_get(d, "error"), "attempts");
	render_error(&sb, json_get(d, "error"));
	if (sb.len && attempts > 1)
		strbuf_addf(&sb, " (%lld attempts)", (long long)attempts);
	return strbuf_take(&sb);
}

/* "2 of 5 targets undone: reload:nginx.service verify:127.0.0.1:443" */
static char *note_targets(const struct json *d)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(9 * CELL_MAX),
					     names = STRBUF_INIT(8 * CELL_MAX);
	const struct json *targets = render_list_of(d, "deploy");
	size_t all = json_arr_len(targets), n = 0;
	for (size_t i = 0; i < all; i++) {
		const struct json *t = json_arr_at(targets, i);
		if (strcmp(render_text_of(t, "state", "-"), "done") == 0)
			continue;
		n++;
		strbuf_addc(&names, ' ');
		render_escaped(&names, render_text_of(t, "target", "-"));
	}
	if (n > 0)
		strbuf_addf(&sb, "%zu of %zu target%s undone:%s", n, all, all == 1 ? "" : "s",
			    strbuf_str(&names));
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

static void row_init(struct row *row, const struct json *d, const struct render_options *o)
{
	const char *state = render_text_of(d, "state", "-"), *name = render_text_of(d, "name", "-");
	int64_t expires = render_time_of(d, "not_after"), next = render_time_of(json_get(d, "next"), "at");
	row->rank = state_rank(state);
	row->urgent_at = expires ? expires : o->now + MISSING_S;
	if (row->rank == STATE_VALID)
		row->urgent_at = next ? next : expires;
	row->changed = o->changed && words_contain(o->changed, name);
	row->state = xstrdup(state);
	row->cell[COL_NAME] = cell_text(name);
	row->cell[COL_STATE] = cell_text(state);
	row->cell[COL_NEXT] = cell_next(d, o->now);
	row->cell[COL_EXPIRES] = cell_time(expires, o->now);
	row->note[NOTE_PROBLEM] = note_problem(d);
	row->note[NOTE_TARGETS] = note_targets(d);
}

static void row_done(struct row *row)
{
	free(row->state);
	for (size_t i = 0; i < COL_NR; i++)
		free(row->cell[i]);
	for (size_t i = 0; i < NOTE_NR; i++)
		free(row->note[i]);
}

static int row_compare(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->urgent_at != b->urgent_at)
		return a->urgent_at < b->urgent_at ? -1 : 1;
	return strcmp(a->cell[COL_NAME], b->cell[COL_NAME]);
}

/* ---- the table ---- */

struct table {
	const struct render_options *o;
	struct strbuf *sb;
	size_t width[COL_NR];
};

static void add_blanks(struct strbuf *sb, size_t n)
{
	strbuf_addf(sb, "%*s", (int)n, "");
}

static void add_mark(const struct table *t, bool changed)
{
	if (!t->o->changed)
		return;
	if (changed && t->o->colour)
		strbuf_adds(t->sb, "\033[1;33m*" RENDER_PLAIN " ");
	else
		strbuf_adds(t->sb, changed ? "* " : "  ");
}

static size_t mark_width(const struct table *t)
{
	return t->o->changed ? 2 : 0;
}

/* One line of cells without its end. A name that is too long for its column has a line of its own. */
static void add_cells(const struct table *t, const char *const cells[COL_NR], const char *colour, bool more)
{
	for (size_t i = 0; i < COL_NR; i++) {
		size_t used = render_width(cells[i]);
		bool paint = *colour && (i == COL_STATE || strcmp(colour, "\033[1m") == 0);
		strbuf_addf(t->sb, "%s%s%s", paint ? colour : "", cells[i], paint ? RENDER_PLAIN : "");
		if (i == COL_NAME && used > t->width[i]) {
			strbuf_addc(t->sb, '\n');
			add_blanks(t->sb, mark_width(t));
			used = 0;
		}
		if (i + 1 < COL_NR || more)
			add_blanks(t->sb, t->width[i] + 2 - used);
	}
}

static size_t cells_width(const struct table *t)
{
	size_t n = mark_width(t);
	for (size_t i = 0; i < COL_NR; i++)
		n += t->width[i] + 2;
	return n;
}

static void add_row(const struct table *t, const struct row *row)
{
	const char *cells[COL_NR], *both = *row->note[0] && *row->note[1] ? "; " : "";
	_cleanup_free_ char *notes = xasprintf("%s%s%s", row->note[0], both, row->note[1]);
	size_t room = t->o->columns > cells_width(t) ? t->o->columns - cells_width(t) : 0;
	bool beside = t->o->columns == 0 || render_width(notes) <= room;
	for (size_t c = 0; c < COL_NR; c++)
		cells[c] = row->cell[c];
	add_mark(t, row->changed);
	add_cells(t, cells, t->o->colour ? render_state_colour(row->state) : "", beside && *notes);
	strbuf_addf(t->sb, "%s\n", beside ? notes : "");
	for (size_t i = 0; i < NOTE_NR && !beside; i++) {
		if (*row->note[i])
			render_wrapped(t->sb, row->note[i], (unsigned)mark_width(t) + NOTE_INDENT,
				       t->o->columns);
	}
}

static void set_widths(struct table *t, const struct row *rows, size_t n)
{
	size_t others = mark_width(t) + 2;
	for (size_t c = 0; c < COL_NR; c++) {
		t->width[c] = strlen(headings[c]);
		for (size_t i = 0; i < n; i++)
			t->width[c] = MAX(t->width[c], render_width(rows[i].cell[c]));
		others += c == COL_NAME ? 0 : t->width[c] + (c == COL_EXPIRES ? 0 : 2);
	}
	if (t->o->columns > 0 && t->width[COL_NAME] + others > t->o->columns)
		t->width[COL_NAME] =
			MIN(t->width[COL_NAME],
			    MAX((size_t)NAME_LEAST, t->o->columns > others ? t->o->columns - others : 0));
}

static size_t count_lines(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += *s == '\n';
	return n;
}

/* As many rows as there are lines for; at least one. */
static void add_rows(const struct table *t, const struct row *rows, size_t n)
{
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		_cleanup_(strbuf_done) struct strbuf one = STRBUF_INIT(64 * CELL_MAX);
		struct table own = *t;
		own.sb = &one;
		add_row(&own, &rows[i]);
		used += count_lines(strbuf_str(&one));
		if (t->o->lines > 0 && i > 0 && used + (i + 1 < n ? 1 : 0) > t->o->lines) {
			strbuf_addf(t->sb, "... and %zu more\n", n - i);
			return;
		}
		strbuf_adds(t->sb, strbuf_ok(&one) ? strbuf_str(&one) : "(too long)\n");
	}
}

static void add_heading(const struct table *t, bool notes)
{
	add_mark(t, false);
	add_cells(t, headings, t->o->colour ? "\033[1m" : "", notes);
	if (notes)
		strbuf_addf(t->sb, "%sPROBLEM%s", t->o->colour ? "\033[1m" : "",
			    t->o->colour ? RENDER_PLAIN : "");
	strbuf_addc(t->sb, '\n');
}

/* ---- below it ---- */

/* "3 domains: 1 failed, 2 valid" */
static void add_counts(struct strbuf *sb, const struct row *rows, size_t n_rows, const struct json *daemon)
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
	if (render_number_of(daemon, "max_orders_per_day") > 0)
		strbuf_addf(sb, "; %lld of %lld orders of a day spent",
			    (long long)render_number_of(daemon, "orders_today"),
			    (long long)render_number_of(daemon, "max_orders_per_day"));
	strbuf_addc(sb, '\n');
}

/* "412 certificates are revoked and not replaced yet: the last of them will be in 7 min at the earliest; 80 wait for the orders of another day
 * (max_orders_per_day)" */
static void add_revoked(struct strbuf *sb, const struct json *daemon, const struct render_options *o)
{
	const struct json *revoked = json_get(daemon, "revoked");
	int64_t n = render_number_of(revoked, "domains"), failed = render_number_of(revoked, "failed"),
		postponed = render_number_of(revoked, "postponed"),
		by = render_time_of(revoked, "replaced_by");
	_cleanup_(strbuf_done) struct strbuf line = STRBUF_INIT(5 * CELL_MAX);
	if (n <= 0)
		return;
	strbuf_addf(&line, "%lld certificate%s revoked and not replaced yet", (long long)n,
		    n == 1 ? " is" : "s are");
	if (by > o->now) {
		strbuf_adds(&line, n - failed == 1 ? ": it will be " : ": the last of them will be ");
		render_relative(&line, by, o->now);
		strbuf_adds(&line, " at the earliest");
	}
	if (postponed > 0)
		strbuf_addf(&line,
			    "; %lld wait%s for the orders of another day (certcentral.max_orders_per_day)",
			    (long long)postponed, postponed == 1 ? "s" : "");
	if (failed > 0)
		strbuf_addf(&line, "; %lld need%s a person", (long long)failed, failed == 1 ? "s" : "");
	render_wrapped(sb, strbuf_str(&line), 0, o->columns);
}

static void add_warning(struct strbuf *sb, const char *text, const struct render_options *o)
{
	_cleanup_(strbuf_done) struct strbuf line = STRBUF_INIT(5 * CELL_MAX);
	strbuf_adds(&line, "warning: ");
	render_escaped(&line, text);
	render_wrapped(sb, strbuf_str(&line), 0, o->columns);
}

/* What concerns all domains: the key, the disk, the machine. */
static void add_daemon_warnings(struct strbuf *sb, const struct json *daemon, const struct render_options *o)
{
	const struct json *list = render_list_of(daemon, "warnings");
	bool stopped = false;
	if (json_get_bool(daemon, "api_key_stopped", &stopped) == 1 && stopped)
		add_warning(sb, "CertCentral does not accept the API key: nothing is asked until a reload",
			    o);
	for (size_t i = 0; i < json_arr_len(list); i++) {
		const char *text = json_str(json_arr_at(list, i));
		add_warning(sb, text ? text : "", o);
	}
}

static struct row *rows_new(const struct json *domains, const struct render_options *o)
{
	size_t n = json_arr_len(domains);
	struct row *rows = xcalloc(n + 1, sizeof(*rows));
	for (size_t i = 0; i < n; i++)
		row_init(&rows[i], json_arr_at(domains, i), o);
	qsort(rows, n, sizeof(*rows), row_compare);
	return rows;
}

static void rows_free(struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row_done(&rows[i]);
	free(rows);
}

/* Is there anything to stand below PROBLEM in a line of its domain? For a program that reads the table, the column is always there. */
static bool has_notes_beside(const struct table *t, const struct row *rows, size_t n)
{
	size_t used = cells_width(t);

	if (t->o->columns == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		size_t w = render_width(rows[i].note[0]) + render_width(rows[i].note[1]) + 2;

		if (w > 2 && used + MAX(w, strlen("PROBLEM")) <= t->o->columns)
			return true;
	}
	return false;
}

void render_status(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	const struct json *domains = render_list_of(answer, "domains"), *daemon = json_get(answer, "daemon");
	size_t n = json_arr_len(domains);
	struct row *rows = rows_new(domains, o);
	struct table t = { .o = o, .sb = sb };
	set_widths(&t, rows, n);
	if (n > 0)
		add_heading(&t, has_notes_beside(&t, rows, n));
	add_rows(&t, rows, n);
	add_counts(sb, rows, n, daemon);
	add_revoked(sb, daemon, o);
	add_daemon_warnings(sb, daemon, o);
	rows_free(rows, n);
}

void render_status_line(const struct json *domain, int64_t now, struct strbuf *sb)
{
	const struct render_options o = { .now = now };
	struct row row;
	row_init(&row, domain, &o);
	strbuf_addf(sb, "%s %s, %s", row.cell[COL_NAME], row.cell[COL_STATE], row.cell[COL_NEXT]);
	for (size_t i = 0; i < NOTE_NR; i++)
		strbuf_addf(sb, "%s%s", *row.note[i] ? "; " : "", row.note[i]);
	strbuf_addc(sb, '\n');
	row_done(&row);
}
