/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of config/: a throw-away folder, and looks at a report. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/mem.h"
#include "config/load.h"

struct box {
	char dir[64];
};

static inline _unused_ void box_open(struct box *b)
{
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/dvcert-config-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
}

/* The caller frees. */
static inline _unused_ char *box_path(const struct box *b, const char *name)
{
	return xasprintf("%s/%s", b->dir, name);
}

static inline _unused_ void box_write_bytes(const struct box *b, const char *name, const void *data,
					    size_t len, mode_t mode)
{
	_cleanup_free_ char *path = box_path(b, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
}

static inline _unused_ void box_write(const struct box *b, const char *name, const char *text)
{
	box_write_bytes(b, name, text, strlen(text), 0600);
}

static inline _unused_ void box_mkdir(const struct box *b, const char *name)
{
	_cleanup_free_ char *path = box_path(b, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static inline int box_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline _unused_ void box_close(const struct box *b)
{
	assert_int_equal(nftw(b->dir, box_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Loads text, called t.yaml, which must be right. The caller drops it. */
static inline _unused_ struct config *load_good(const char *text)
{
	struct config_report report;
	struct config *c = NULL;
	int r = config_load_memory(text, strlen(text), "t.yaml", &c, &report);

	for (size_t i = 0; i < report.n_problems; i++)
		print_message("%s\n", report.problems[i].text);
	assert_int_equal(r, 0);
	assert_int_equal(report.n_problems, 0);
	config_report_done(&report);
	return c;
}

/* Loads text, which must have exactly the problems wanted (complete lines, each ended by '\n'). */
static inline _unused_ void load_bad(const char *text, size_t len, const char *wanted)
{
	struct config_report report;
	struct config *c = NULL;
	int r = config_load_memory(text, len, "t.yaml", &c, &report);
	char *all = xstrdup("");

	for (size_t i = 0; i < report.n_problems; i++) {
		char *more = xasprintf("%s%s\n", all, report.problems[i].text);

		free(all);
		all = more;
	}
	assert_int_equal(r, -EINVAL);
	assert_string_equal(all, wanted);
	free(all);
	config_report_done(&report);
}

/* A file, and all that is wrong with it. */
struct row {
	const char *text;
	const char *wanted;
};

static inline _unused_ void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		load_bad(rows[i].text, strlen(rows[i].text), rows[i].wanted);
}

/* True when some line of the report holds all of part. */
static inline _unused_ bool report_has(const struct config_report *report, const char *part)
{
	for (size_t i = 0; i < report->n_problems; i++)
		if (strstr(report->problems[i].text, part))
			return true;
	for (size_t i = 0; i < report->n_problems; i++)
		print_message("%s\n", report->problems[i].text);
	return false;
}
