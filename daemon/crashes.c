/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/crashes.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/blame.h"
#include "daemon/messages.h"

#include <inttypes.h>

#define FILE_NAME "crashes"
#define FILE_MAX  (64u << 10)
#define TIMES	  3
#define MEMORY	  INT64_C(86400)
/* In front of the name of a domain whose state was being read. */
#define READER "="

struct crash {
	char *who;
	uint64_t n;
	int64_t at;
};

struct crashes {
	struct crash *list;
	size_t n;
};

static struct crash *find(struct crashes *c, const char *who)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->list[i].who, who) == 0)
			return &c->list[i];
	}
	return NULL;
}

static void done(struct crashes *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].who);
	free(c->list);
}

static void add(struct crashes *c, const char *who, uint64_t n, int64_t at)
{
	c->list = xrealloc_array(c->list, c->n + 1, sizeof(*c->list));
	c->list[c->n++] = (struct crash){ .who = xstrdup(who), .n = n, .at = at };
}

/* Lines that cannot be read, and what is long ago (or from a clock far ahead), are forgotten. */
static void read_line(const char *line, int64_t now, struct crashes *c)
{
	_cleanup_words_ struct words w = WORDS_INIT;
	uint64_t n = 0, at = 0;

	words_split(line, &w);
	if (w.n == 3 && str_parse_u64(w.list[0], &n) == 0 && str_parse_u64(w.list[1], &at) == 0 && n > 0 &&
	    at <= (uint64_t)now && now - (int64_t)at <= MEMORY && !find(c, w.list[2]))
		add(c, w.list[2], n, (int64_t)at);
}

static void read_counts(const struct store *s, int64_t now, struct crashes *c)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	char *save = NULL;

	if (fs_read_at(store_state_fd(s), FILE_NAME, FILE_MAX, &text, &len, NULL) < 0)
		return;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		read_line(l, now, c);
}

/* A count that cannot be written is lost; the record of a domain that was set aside is not. */
static void write_counts(const struct store *s, const struct crashes *c, uint64_t below)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(FILE_MAX);
	struct err e = ERR_INIT;
	int r = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->list[i].n < below)
			strbuf_addf(&sb, "%" PRIu64 " %" PRId64 " %s\n", c->list[i].n, c->list[i].at,
				    c->list[i].who);
	}
	if (strbuf_ok(&sb))
		r = fs_replace(store_state_fd(s), FILE_NAME, strbuf_str(&sb), sb.len, 0600, &e);
	if (r == FS_ESYNC)
		app_die_of_disk(e.text);
	if (r < 0)
		log_event(LOG_LEVEL_WARNING, &MSG_STATE_WRITE, NULL, "state/" FILE_NAME ": %s", e.text);
}

static const char *name_of(const char *who)
{
	return str_has_prefix(who, READER) ? who + strlen(READER) : who;
}

static void count(struct crashes *c, const char *who, int64_t now)
{
	struct crash *k = find(c, who);
	char shown[300];

	if (!k) {
		add(c, who, 0, now);
		k = &c->list[c->n - 1];
	}
	k->n++;
	k->at = now;
	str_escape(name_of(who), strlen(name_of(who)), shown, sizeof(shown));
	log_event(LOG_LEVEL_ERROR, &MSG_CRASHED, &(struct log_ctx){ NULL, "DVCERT_NAME", shown },
		  "the last run of this program died while it %s %s (%" PRIu64 " of %d within a day, then it "
		  "is set aside)",
		  who == name_of(who) ? "worked for" : "read the state of", shown, k->n, TIMES);
}

void crashes_begin(struct app *a)
{
	_cleanup_words_ struct words died = WORDS_INIT;
	struct crashes c = { 0 };
	int64_t now = clock_now();

	blame_open(store_state_fd(a->store), &died);
	read_counts(a->store, now, &c);
	for (size_t i = 0; i < died.n; i++)
		count(&c, died.list[i], now);
	if (died.n > 0)
		write_counts(a->store, &c, UINT64_MAX);
	for (size_t i = 0; i < c.n; i++) {
		if (c.list[i].n >= TIMES)
			words_add(&a->crashed, c.list[i].who);
	}
	done(&c);
}

static bool is_listed(const struct app *a, const char *who)
{
	for (size_t i = 0; i < a->crashed.n; i++) {
		if (strcmp(a->crashed.list[i], who) == 0)
			return true;
	}
	return false;
}

char *crashes_reader(const char *name)
{
	return xasprintf(READER "%s", name);
}

bool crashes_when_read(const struct app *a, const char *name)
{
	_cleanup_free_ char *who = NULL;

	if (a->crashed.n == 0)
		return false;
	who = crashes_reader(name);
	return is_listed(a, who);
}

bool crashes_judge(const struct app *a, struct record *r)
{
	char text[400];

	if (!is_listed(a, r->name) || crashes_is_aside(r))
		return false;
	snprintf(text, sizeof(text),
		 "dvcertd crashed %d times while it worked for this domain, which is therefore set aside: "
		 "report "
		 "it, update dvcertd, then `dvcertctl renew %s`",
		 TIMES, r->name);
	r->held = true;
	r->held_for_key = false;
	record_set_error(r, clock_now(), "crashes", text);
	log_event(LOG_LEVEL_ERROR, &MSG_CRASHED, &(struct log_ctx){ NULL, "DVCERT_NAME", r->name }, "%s",
		  text);
	return true;
}

void crashes_end(struct app *a)
{
	struct crashes c = { 0 };

	if (a->crashed.n == 0)
		return;
	read_counts(a->store, clock_now(), &c);
	write_counts(a->store, &c, TIMES);
	done(&c);
	words_done(&a->crashed);
}

bool crashes_is_aside(const struct record *r)
{
	return r->held && r->error.code && strcmp(r->error.code, "crashes") == 0;
}
