/* SPDX-License-Identifier: Apache-2.0 */
/* One line to a unix socket, one line back, then the connection is over: for a helper that serves one request. */
#pragma once

#include "daemon/io/loop.h"

#include <sys/types.h>

struct unixask;

#define UNIXASK_MAX 4096 /* bytes of a line, its newline not counted; longer answers are -EFBIG */

struct unixask_result {
	int error; /* 0, or a negative errno: -ENOENT and -ECONNREFUSED: nobody is there; -ETIMEDOUT; -EPERM: the one who
			   * listens is neither root nor we; -ECONNRESET: it ended without a line */
	const char *line; /* NUL-terminated, without its newline; NULL with an error */
};

typedef void unixask_done_fn(const struct unixask_result *r, void *owner);

/* Copies path and line (without newline). Contract of callbacks: head of loop.h. */
void unixask_start(struct loop *l, const char *path, const char *line, int64_t timeout_ms,
		   unixask_done_fn *done, void *owner, struct unixask **ret);
/* Silence from now on; clears *a. NULL content accepted. */
void unixask_cancel(struct unixask **a);
