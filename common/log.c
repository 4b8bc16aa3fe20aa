/* SPDX-License-Identifier: Apache-2.0 */
/* Records and the two sinks that write to stderr. The journal sink lives with the daemon, which owns
 * libsystemd. Records may come from any thread, since a sink makes one write(2) per record and shares
 * nothing; also while a reload changes level and sink. */
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/repeats.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "common/timefmt.h"

#define MESSAGE_MAX 2048
#define VALUE_MAX   512
#define COUNT_MAX   64 /* " (N times since TIME)" */
/* Whatever does not fit is dropped from the end of a text line; an event is never lost for its length. */
#define LINE_MAX_LEN 8192
#define JSON_MAX_LEN 65536

static const char *const level_names[LOG_LEVEL_NR] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static _Atomic(enum log_level) current_level = LOG_LEVEL_INFO;

/* The function is only called with the argument that belongs to it. */
struct sink {
	log_sink_fn *fn;
	void *arg;
};

static struct sink current_sink = { .fn = log_sink_text };
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;

/* False: not this time. */
static bool count_repeats(const struct log_record *rec, char *message, size_t size)
{
	int64_t now = clock_now();
	struct repeats_verdict v = repeats_judge(rec->id, rec->ctx, message, now);
	size_t len = strlen(message);
	char at[TIMEFMT_MAX];

	if (current_level >= LOG_LEVEL_DEBUG)
		return true;
	if (v.show && v.n > 1)
		snprintf(message + len, size - len, " (%" PRIu64 " times since %s)", v.n,
			 timefmt_rfc3339(v.first_at, at));
	return v.show;
}

static void give_to_sink(const struct log_record *rec)
{
	struct sink s;

	(void)pthread_mutex_lock(&sink_lock);
	s = current_sink;
	(void)pthread_mutex_unlock(&sink_lock);
	s.fn(rec, s.arg);
}

void log_event(enum log_level level, const struct log_msgid *id, const struct log_ctx *ctx, const char *fmt,
	       ...)
{
	struct log_record rec = { .level = level, .id = id, .ctx = ctx };
	_cleanup_free_ char *raw = NULL;
	char message[MESSAGE_MAX];
	int saved_errno = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	raw = xvasprintf(fmt, ap);
	va_end(ap);
	str_escape(raw, strlen(raw), message, sizeof(message) - COUNT_MAX);
	rec.message = message;
	if (count_repeats(&rec, message, sizeof(message)))
		give_to_sink(&rec);
	errno = saved_errno;
}

bool log_enabled(enum log_level level)
{
	return level <= current_level;
}

void log_set_level(enum log_level level)
{
	current_level = level;
}

void log_set_sink(log_sink_fn *fn, void *arg)
{
	(void)pthread_mutex_lock(&sink_lock);
	current_sink = (struct sink){ .fn = fn ? fn : log_sink_text, .arg = arg };
	(void)pthread_mutex_unlock(&sink_lock);
}

/* A log that cannot be written has nowhere to complain, so errors end here. */
static void write_line(const char *text, size_t len)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, text, len);
	while (n < 0 && errno == EINTR);
}

/* Inner contexts win: an entry counts when no entry below it has the same key. */
static bool is_visible(const struct log_ctx *first, const struct log_ctx *c)
{
	if (!c->key || !c->val)
		return false;
	for (; first != c; first = first->up)
		if (first->key && first->val && strcmp(first->key, c->key) == 0)
			return false;
	return true;
}

static const char *find_value(const struct log_ctx *c, const char *key)
{
	for (; c; c = c->up)
		if (c->key && c->val && strcmp(c->key, key) == 0)
			return c->val;
	return NULL;
}

static void add_pair(struct strbuf *sb, unsigned *n_pairs, const char *key, const char *val)
{
	char text[VALUE_MAX];

	str_escape(val, strlen(val), text, sizeof(text));
	strbuf_addf(sb, "%s%s=%s", (*n_pairs)++ ? " " : " (", key, text);
}

void log_sink_text(const struct log_record *rec, void *arg)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(LINE_MAX_LEN);
	const char *name = find_value(rec->ctx, "DVCERT_NAME");
	char text[MAX(TIMEFMT_MAX, VALUE_MAX)];
	unsigned n_pairs = 0;

	(void)arg;
	strbuf_addf(&sb, "%s %s", timefmt_rfc3339(clock_now(), text), log_level_name(rec->level));
	if (name)
		strbuf_addf(&sb, " %s", str_escape(name, strlen(name), text, sizeof(text)));
	strbuf_addf(&sb, ": %s", rec->message);
	/* Room stays for the end of the line, so additions from here on may fail one by one. */
	sb.cap -= 2;
	if (rec->id && rec->id->name)
		add_pair(&sb, &n_pairs, "EVENT", rec->id->name);
	for (const struct log_ctx *c = rec->ctx; c; c = c->up)
		if (is_visible(rec->ctx, c) && strcmp(c->key, "DVCERT_NAME") != 0)
			add_pair(&sb, &n_pairs, c->key, c->val);
	sb.cap += 2;
	strbuf_adds(&sb, n_pairs ? ")\n" : "\n");
	write_line(sb.data, sb.len);
}

static void add_member(struct json *obj, const struct log_ctx *c)
{
	_cleanup_free_ char *key = xstrdup(c->key);
	char text[VALUE_MAX];

	for (char *p = key; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	/* The record's own members cannot be replaced from a context. */
	if (!json_get(obj, key))
		json_set_str(obj, key, str_escape(c->val, strlen(c->val), text, sizeof(text)));
}

void log_sink_json(const struct log_record *rec, void *arg)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(JSON_MAX_LEN);
	_cleanup_(json_freep) struct json *obj = json_new_obj();
	_cleanup_(json_freep) struct json *brief = json_new_obj();

	(void)arg;
	json_set_time(obj, "time", clock_now());
	json_set_str(obj, "level", log_level_name(rec->level));
	json_set_str(obj, "message", rec->message);
	if (rec->id && rec->id->uuid)
		json_set_str(obj, "message_id", rec->id->uuid);
	if (rec->id && rec->id->name)
		json_set_str(obj, "event", rec->id->name);
	for (const struct log_ctx *c = rec->ctx; c; c = c->up)
		if (is_visible(rec->ctx, c))
			add_member(obj, c);
	json_write(obj, 0, &sb);
	strbuf_addc(&sb, '\n');
	if (!strbuf_ok(&sb)) {
		/* A giant context: keep the event, lose the context. */
		strbuf_clear(&sb);
		json_set_time(brief, "time", clock_now());
		json_set_str(brief, "level", log_level_name(rec->level));
		json_set_str(brief, "message", rec->message);
		json_write(brief, 0, &sb);
		strbuf_addc(&sb, '\n');
	}
	write_line(sb.data, sb.len);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_LEVEL_NR ? level_names[level] : "?";
}

int log_level_parse(const char *s, enum log_level *ret)
{
	for (unsigned i = 0; s && i < LOG_LEVEL_NR; i++) {
		if (strcmp(s, level_names[i]) != 0)
			continue;
		*ret = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}
