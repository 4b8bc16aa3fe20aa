/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of the administrator: no shell, its own session and process group, the environment that is given and
 * nothing else, default signals, umask 077, in "/", only descriptors 0 (empty, or what it is given), 1 and 2 (captured together, capped), a
 * deadline. After the deadline the whole group gets SIGTERM, 2 s later SIGKILL; the group is also killed when the
 * program ends and leaves children behind. */
#pragma once

#include "daemon/io/loop.h"

struct child;

#define CHILD_OUTPUT_MAX 4096 /* what is kept, from the end; the rest is read and dropped */
#define CHILD_INPUT_MAX	 4096 /* fits into any pipe */

struct child_spec {
	const char *const *argv; /* argv[0] absolute (else start_error is -EINVAL); NULL-terminated; copied */
	const char *const *env;	 /* "NAME=value"; NULL-terminated; the whole environment; copied */
	const char *label;	 /* for logs */
	int64_t timeout_ms;
	const char *input; /* standard input, at most CHILD_INPUT_MAX bytes; copied. NULL: empty */
};

struct child_result {
	int start_error; /* negative errno when it could not be started at all; else 0 */
	int exit_code;	 /* -1 when it did not exit by itself, or only after the deadline */
	int signal;	 /* that ended it; 0 */
	bool timed_out;
	const char *output; /* last CHILD_OUTPUT_MAX bytes, escaped to one line; never NULL */
};

typedef void child_done_fn(const struct child_result *r, void *owner);

/* The program must be a regular file that is executable (else start_error is -EACCES), not writable by group or others,
 * and owned by root or by our user (else -EPERM). ret may be NULL; *ret is valid until done is called. */
void child_start(struct loop *l, const struct child_spec *spec, child_done_fn *done, void *owner,
		 struct child **ret);
/* Would that program be started, by what can be seen of it now? 0 or that start_error. */
int child_check(const char *program);
/* Kills the group; silence from now on; clears *c. NULL content accepted. */
void child_cancel(struct child **c);
