/* SPDX-License-Identifier: Apache-2.0 */
/* One record per event. The context of a record is a chain (call -> job -> domain -> app) that lives on
 * the owners' structs; deep code says only what happened. The sink is a plug: text, JSON, journal, or a
 * capturing one in tests. Text of others is escaped, a record is always one line. */
#pragma once

#include "common/base.h"

/* Not LOG_ERR and so on: syslog.h owns those names as macros. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_NR };

/* Keys are journal field names: upper case, digits and '_' ("DVCERT_NAME"). val may be NULL (skipped). */
struct log_ctx {
	const struct log_ctx *up;
	const char *key;
	const char *val;
};

/* A message kind: the id that a catalog explains, and a short name for text logs. */
struct log_msgid {
	const char *uuid; /* 32 hex digits */
	const char *name; /* "order-placed" */
	bool is_news;	  /* whatever was said about its domain before is the past (repeats.h) */
};

struct log_record {
	enum log_level level;
	const struct log_msgid *id; /* may be NULL */
	const struct log_ctx *ctx;  /* may be NULL */
	const char *message;	    /* escaped, one line */
};

typedef void log_sink_fn(const struct log_record *rec, void *arg);

/* May be called before any set-up: the default sink is text on stderr, level info. What repeats itself is shown ever more rarely, with
 * a count (repeats.h); at level debug everything is shown. */
void log_event(enum log_level level, const struct log_msgid *id, const struct log_ctx *ctx, const char *fmt,
	       ...) _printf_(4, 5);

bool log_enabled(enum log_level level);
void log_set_level(enum log_level level);
/* NULL fn = text sink. Other threads may log meanwhile: the one before may still be called once, so its arg has to live on. */
void log_set_sink(log_sink_fn *fn, void *arg);

/* "<time> <level> <DVCERT_NAME>: message (KEY=val ...)" on stderr, one write. */
void log_sink_text(const struct log_record *rec, void *arg);
/* One JSON object per line on stderr: time, level, message, message_id, event, and the context in lower case. */
void log_sink_json(const struct log_record *rec, void *arg);

const char *log_level_name(enum log_level level);
/* "error", "warning", "info", "debug"; -EINVAL otherwise. */
int log_level_parse(const char *s, enum log_level *ret) _must_check_;
