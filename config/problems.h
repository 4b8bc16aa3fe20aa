/* SPDX-License-Identifier: Apache-2.0 */
/* Collects everything that is wrong with the files, so that an operator mends all of it in one go. */
#pragma once

#include "config/load.h"

struct problems_entry;

struct problems {
	struct problems_entry *v;
	size_t n;
	size_t n_alloc;
	size_t total; /* also those that found no room */
	bool truncated;
	const char *main_file; /* its problems come first; borrowed */
};

/* "<file>:<line>:<column>: <path>: <text>"; line 0 leaves the numbers out, path NULL or "" the path.
 * pos->file must live until problems_finish(). Control characters are escaped. Beyond
 * CONFIG_PROBLEMS_MAX only `truncated` is set. */
void problems_add(struct problems *p, const struct cfg_pos *pos, const char *path, const char *fmt, ...)
	_printf_(4, 5);

/* True when nothing more is kept: saves the work of finding words. Counts the problem that is not added. */
bool problems_full(struct problems *p);

/* Sorts by file (main file first), line and column, and moves everything into report. */
void problems_finish(struct problems *p, struct config_report *report);

void problems_done(struct problems *p);
