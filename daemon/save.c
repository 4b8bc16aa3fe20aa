/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/save.h"

#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/store/seal.h"

#include <errno.h>

#define HISTORY_MAX 40
#define RECORD_CAP  (2u << 20)

struct save *save_new(const struct store *store, const struct record *rec, struct history_list *history)
{
	struct save *s = xmalloc(sizeof(*s));

	s->store = store;
	s->name = xstrdup(rec->name);
	s->doc = record_encode(rec);
	STAILQ_INIT(&s->news);
	STAILQ_CONCAT(&s->news, history);
	return s;
}

void save_free(struct save *s)
{
	struct history_line *h;

	if (!s)
		return;
	while ((h = STAILQ_FIRST(&s->news))) {
		STAILQ_REMOVE_HEAD(&s->news, link);
		free(h);
	}
	json_free(s->doc);
	free(s->name);
	free(s);
}

void save_drop(void *arg)
{
	save_free(arg);
}

void save_take_back(struct save *s, struct history_list *history)
{
	STAILQ_CONCAT(&s->news, history);
	STAILQ_CONCAT(history, &s->news);
}

static void add_line(struct json *out, const char *at, const char *event, const char *message)
{
	struct json *o = json_new_obj();

	json_set_str(o, "at", at);
	json_set_str(o, "event", event);
	json_set_str(o, "message", message);
	json_add(out, o);
}

/* Copies the last lines of an older history; damaged ones are left out, they are only for reading. */
static void add_old(struct json *out, const struct json *old, size_t keep)
{
	size_t n = json_arr_len(old);

	for (size_t i = n > keep ? n - keep : 0; i < n; i++) {
		const struct json *o = json_arr_at(old, i);
		const char *at = NULL, *event = NULL, *message = NULL;

		if (json_get_str(o, "at", &at) == 1 && json_get_str(o, "event", &event) == 1 &&
		    json_get_str(o, "message", &message) == 1)
			add_line(out, at, event, message);
	}
}

static void add_history(const char *text, size_t len, struct json *out, size_t keep)
{
	_cleanup_(json_freep) struct json *doc = NULL;
	const struct json *old = NULL;

	if (text && json_parse(text, len, RECORD_CAP, &doc, NULL) == 0 &&
	    json_get_arr(doc, "history", &old) == 1)
		add_old(out, old, keep);
}

struct json *save_read_history(const char *text, size_t len)
{
	struct json *out = json_new_arr();

	add_history(text, len, out, HISTORY_MAX);
	return out;
}

void save_run(void *arg)
{
	struct save *s = arg;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(RECORD_CAP);
	_cleanup_free_ char *text = NULL;
	struct json *history = json_new_arr();
	const struct history_line *h;
	size_t len = 0, n_news = 0;
	char at[TIMEFMT_MAX];

	STAILQ_FOREACH(h, &s->news, link)
	{
		n_news++;
	}
	/* A file that cannot be read is about to be replaced by a good one; only its history is lost. */
	if (store_load(s->store, s->name, &text, &len, NULL) < 0)
		text = NULL;
	add_history(text, len, history, n_news < HISTORY_MAX ? HISTORY_MAX - n_news : 0);
	STAILQ_FOREACH(h, &s->news, link)
	{
		add_line(history, timefmt_rfc3339(h->at, at), h->event, h->text);
	}
	json_set(s->doc, "history", history);
	seal_write(s->doc, &sb);
	if (!strbuf_ok(&sb)) {
		s->rc = err_set(&s->err, -EFBIG, "the record of %s is too large", s->name);
		return;
	}
	s->rc = store_save(s->store, s->name, strbuf_str(&sb), sb.len, &s->err);
}
