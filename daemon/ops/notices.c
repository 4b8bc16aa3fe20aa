/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted list of the domains that there is something to remember of: mostly none. */
#include "daemon/ops/notices.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/timefmt.h"

#include <errno.h>
#include <stdlib.h>

#define FILE_VERSION 1
#define FILE_MAX     (64u << 20)

struct entry {
	char *name;
	int64_t told_at[NOTICE_NR];   /* 0: never */
	int64_t before_at[NOTICE_NR]; /* ... and before that, as long as it waits */
	bool is_shown;		      /* in this round */
	bool waits[NOTICE_NR];	      /* to be told of */
	bool taken[NOTICE_NR];	      /* in the call that is made or repeated */
};

struct notices {
	struct entry *list; /* by name */
	size_t n;
	size_t at; /* where the round is */
	bool changed;
};

const char *notice_word(enum notice_event ev)
{
	static const char *const WORDS[NOTICE_NR] = { "failed", "expiring", "recovered" };

	return ev < NOTICE_NR ? WORDS[ev] : "?";
}

struct notices *notices_new(void)
{
	return xmalloc(sizeof(struct notices));
}

static void clear(struct notices *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->list[i].name);
	free(n->list);
	n->list = NULL;
	n->n = 0;
}

void notices_free(struct notices *n)
{
	if (!n)
		return;
	clear(n);
	free(n);
}

/* --- rounds --- */

void notices_begin(struct notices *n)
{
	n->at = 0;
	for (size_t i = 0; i < n->n; i++)
		n->list[i].is_shown = false;
}

/* The entry of that name, or where it belongs; names come in order, so the search goes on where the last one ended. */
static struct entry *find(struct notices *n, const char *name)
{
	int order = -1;

	while (n->at < n->n && (order = strcmp(n->list[n->at].name, name)) < 0)
		n->at++;
	return n->at < n->n && order == 0 ? &n->list[n->at] : NULL;
}

static struct entry *insert(struct notices *n, const char *name)
{
	n->list = xrealloc_array(n->list, n->n + 1, sizeof(*n->list));
	memmove(&n->list[n->at + 1], &n->list[n->at], (n->n - n->at) * sizeof(*n->list));
	n->list[n->at] = (struct entry){ .name = xstrdup(name) };
	n->n++;
	return &n->list[n->at];
}

static bool was_told_lately(const struct entry *e, enum notice_event ev, int64_t now)
{
	return e->told_at[ev] != 0 && now - e->told_at[ev] < NOTICE_DAY;
}

/* Told of a trouble, and not of its end. */
static bool is_open(const struct entry *e)
{
	return MAX(e->told_at[NOTICE_FAILED], e->told_at[NOTICE_EXPIRING]) > e->told_at[NOTICE_RECOVERED];
}

static void tell(struct notices *n, struct entry *e, enum notice_event ev, int64_t now)
{
	if (e->waits[ev] || e->taken[ev] || was_told_lately(e, ev, now))
		return;
	e->waits[ev] = true;
	e->before_at[ev] = e->told_at[ev];
	e->told_at[ev] = now;
	n->changed = true;
}

/* It is over before anybody was told of it. */
static void take_back(struct notices *n, struct entry *e, enum notice_event ev)
{
	if (!e->waits[ev])
		return;
	e->waits[ev] = false;
	e->told_at[ev] = e->before_at[ev];
	n->changed = true;
}

/* A time in the future comes from a clock that was set back since: it says nothing. */
static void forget_future(struct notices *n, struct entry *e, int64_t now)
{
	for (enum notice_event ev = 0; ev < NOTICE_NR; ev++) {
		if (e->told_at[ev] <= now)
			continue;
		e->told_at[ev] = 0;
		n->changed = true;
	}
}

void notices_show(struct notices *n, const char *name, bool failed, bool expiring, bool good, int64_t now)
{
	struct entry *e = find(n, name);

	if (!e && !failed && !expiring)
		return;
	if (!e)
		e = insert(n, name);
	e->is_shown = true;
	forget_future(n, e, now);
	if (failed)
		tell(n, e, NOTICE_FAILED, now);
	else
		take_back(n, e, NOTICE_FAILED);
	if (expiring)
		tell(n, e, NOTICE_EXPIRING, now);
	else
		take_back(n, e, NOTICE_EXPIRING);
	if (!good)
		take_back(n, e, NOTICE_RECOVERED);
	else if (is_open(e) && !e->taken[NOTICE_FAILED] && !e->taken[NOTICE_EXPIRING])
		tell(n, e, NOTICE_RECOVERED, now);
}

static bool is_worth_keeping(const struct entry *e, int64_t now)
{
	bool worth = is_open(e);

	for (enum notice_event ev = 0; ev < NOTICE_NR; ev++)
		worth = worth || e->waits[ev] || e->taken[ev] || was_told_lately(e, ev, now);
	return e->is_shown && worth;
}

void notices_end(struct notices *n, int64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->n; i++) {
		if (is_worth_keeping(&n->list[i], now))
			n->list[kept++] = n->list[i];
		else
			free(n->list[i].name);
	}
	n->changed = n->changed || kept != n->n;
	n->n = kept;
}

/* --- calls --- */

bool notices_wait(const struct notices *n, enum notice_event ev)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->list[i].waits[ev])
			return true;
	}
	return false;
}

size_t notices_take(struct notices *n, enum notice_event ev)
{
	size_t taken = 0;

	for (size_t i = 0; i < n->n; i++) {
		struct entry *e = &n->list[i];

		e->taken[ev] = e->taken[ev] || e->waits[ev];
		e->waits[ev] = false;
		taken += e->taken[ev];
	}
	return taken;
}

void notices_each_taken(const struct notices *n, enum notice_event ev, notices_fn *fn, void *arg)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->list[i].taken[ev])
			fn(n->list[i].name, arg);
	}
}

void notices_done(struct notices *n, enum notice_event ev)
{
	for (size_t i = 0; i < n->n; i++)
		n->list[i].taken[ev] = false;
}

/* --- the file --- */

bool notices_changed(struct notices *n)
{
	bool changed = n->changed;

	n->changed = false;
	return changed;
}

void notices_encode(const struct notices *n, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *o = json_new_obj();
	struct json *list = json_new_arr();

	json_set_i64(o, "version", FILE_VERSION);
	for (size_t i = 0; i < n->n; i++) {
		const struct entry *e = &n->list[i];
		struct json *d = json_new_obj();

		json_set_str(d, "name", e->name);
		for (enum notice_event ev = 0; ev < NOTICE_NR; ev++)
			json_set_time(d, notice_word(ev), e->told_at[ev]);
		json_add(list, d);
	}
	json_set(o, "domains", list);
	json_write(o, JSON_PRETTY, sb);
	strbuf_addc(sb, '\n');
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int decode_time(const struct json *val, enum notice_event ev, int64_t *ret)
{
	const char *text = NULL;
	int r = json_get_str(val, notice_word(ev), &text);

	if (r <= 0)
		return r; /* 0: never */
	return timefmt_parse_rfc3339(text, ret) < 0 || *ret <= 0 ? -EBADMSG : 0;
}

static int decode_entry(const struct json *val, struct notices *n)
{
	struct entry e = { 0 };
	const char *name = NULL;

	if (json_get_str(val, "name", &name) != 1 || !*name)
		return -EBADMSG;
	for (enum notice_event ev = 0; ev < NOTICE_NR; ev++) {
		if (decode_time(val, ev, &e.told_at[ev]) < 0)
			return -EBADMSG;
	}
	e.name = xstrdup(name);
	n->list = xrealloc_array(n->list, n->n + 1, sizeof(*n->list));
	n->list[n->n++] = e;
	return 0;
}

int notices_decode(struct notices *n, const char *text, size_t len, struct err *reterr)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(notices_freep) struct notices *found = notices_new();
	const struct json *list = NULL;
	int64_t version = 0;

	if (json_parse(text, len, FILE_MAX, &j, reterr) < 0)
		return -EBADMSG;
	if (json_get_i64(j, "version", &version) != 1 || version != FILE_VERSION ||
	    json_get_arr(j, "domains", &list) != 1)
		return err_set(reterr, -EBADMSG, "it is not what dvcertd wrote");
	for (size_t i = 0; i < json_arr_len(list); i++) {
		if (decode_entry(json_arr_at(list, i), found) < 0)
			return err_set(reterr, -EBADMSG, "entry %zu is not what dvcertd wrote", i);
	}
	if (found->n > 0)
		qsort(found->list, found->n, sizeof(*found->list), by_name);
	for (size_t i = 1; i < found->n; i++) {
		if (strcmp(found->list[i - 1].name, found->list[i].name) == 0)
			return err_set(reterr, -EBADMSG, "a name is in it twice");
	}
	clear(n);
	n->list = TAKE_PTR(found->list);
	n->n = found->n;
	found->n = 0;
	return 0;
}
