/* SPDX-License-Identifier: Apache-2.0 */
/* One question to the daemon over its control socket, blocking, with one deadline for all of it. Knows lines,
 * not verbs. */
#pragma once

#include "common/base.h"
#include "common/err.h"

/* Ten thousand domains in `status` are about 10 MB. */
#define CLIENT_ANSWER_MAX (64u << 20)

/* Sends request (one line, without its newline) and waits for one line. *ret is NUL-terminated, without the
 * newline, and belongs to the caller. Failures: -ENOENT and -ECONNREFUSED (nobody listens), -EACCES (not allowed to
 * connect), -ETIMEDOUT, -ECONNRESET (the daemon went away before it answered), -ENAMETOOLONG, -EFBIG. */
int client_call(const char *socket_path, const char *request, int64_t timeout_ms, char **ret, size_t *ret_len,
		struct err *reterr) _must_check_;

/* The same in two parts, for several questions over one connection. After a failure of the second it is of no use any more. *ret_fd is the
 * caller's to close. */
int client_open(const char *socket_path, int64_t timeout_ms, int *ret_fd, struct err *reterr) _must_check_;
int client_ask(int fd, const char *socket_path, const char *request, int64_t timeout_ms, char **ret,
	       size_t *ret_len, struct err *reterr) _must_check_;

/* The exit code (sysexits.h) for a negative errno of client_call: 69, 77, 75, 64 or 1. */
int client_exit_code(int code);
