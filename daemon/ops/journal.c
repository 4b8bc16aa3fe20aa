/* SPDX-License-Identifier: Apache-2.0 */
/* Log sink for the systemd journal. When the journal does not take a record, it goes to stderr as text
 * rather than nowhere. */
#define SD_JOURNAL_SUPPRESS_LOCATION /* it would name this file for every record */

#include "daemon/ops/journal.h"

#include "common/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#define FIELDS_MAX 32U

struct fields {
	struct iovec iov[FIELDS_MAX];
	unsigned n;
};

static void add(struct fields *f, const char *key, const char *val)
{
	char *text = NULL;

	if (f->n == FIELDS_MAX)
		return;
	text = xasprintf("%s=%s", key, val);
	f->iov[f->n++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };
}

/* The innermost value of a key wins: the journal would keep all of them. */
static bool is_shadowed(const struct log_ctx *first, const struct log_ctx *c)
{
	for (const struct log_ctx *i = first; i != c; i = i->up)
		if (i->val && strcmp(i->key, c->key) == 0)
			return true;
	return false;
}

static const char *priority(enum log_level level)
{
	static const int by_level[LOG_LEVEL_NR] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	};
	static const char *const digits[] = { "0", "1", "2", "3", "4", "5", "6", "7" };

	return digits[by_level[level]];
}

bool journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev = 0;
	uintmax_t ino = 0;
	struct stat st;

	if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &dev, &ino) != 2 ||
	    fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

/* journalctl shows only MESSAGE: without the domain in it a reader would have to ask for every record's fields. */
static void add_message(struct fields *f, const struct log_record *rec)
{
	_cleanup_free_ char *text = NULL;
	const struct log_ctx *c = rec->ctx;

	while (c && !(c->val && strcmp(c->key, "DVCERT_NAME") == 0))
		c = c->up;
	text = c ? xasprintf("%s: %s", c->val, rec->message) : xstrdup(rec->message);
	add(f, "MESSAGE", text);
}

void journal_sink(const struct log_record *rec, void *arg)
{
	struct fields f = { .n = 0 };

	add_message(&f, rec);
	add(&f, "PRIORITY", priority(rec->level));
	add(&f, "SYSLOG_IDENTIFIER", arg ? (const char *)arg : "dvcertd");
	if (rec->id)
		add(&f, "MESSAGE_ID", rec->id->uuid);
	for (const struct log_ctx *c = rec->ctx; c; c = c->up)
		if (c->val && !is_shadowed(rec->ctx, c))
			add(&f, c->key, c->val);
	if (sd_journal_sendv(f.iov, (int)f.n) < 0)
		log_sink_text(rec, NULL);
	for (unsigned i = 0; i < f.n; i++)
		free(f.iov[i].iov_base);
}
