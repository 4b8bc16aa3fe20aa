/* SPDX-License-Identifier: Apache-2.0 */
/* What all programs of the administrator have in common, whoever runs them (io/child.h): where they find other programs, and what their end
 * means. */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/child.h"

/* Fixed: what the daemon was started with must not decide which programs a hook finds. */
#define PROGRAM_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* NONE: it ended with 0. Anything else UNCLEAR: code "later" (exit 75), "exit", "signal" or "timeout"; the message ends with what
 * the program printed last. One that could not be started: LOCAL, code "exec", with the remedy. Nothing is final: what a program lacks
 * and what is wrong for good look the same from here, and trying again costs nothing but time.
 *
 * program is argv[0]; what is done by it follows in the message (" present"; "" for nothing). */
void program_outcome(const struct child_result *r, const char *program, const char *what, int64_t timeout_s,
		     struct outcome *ret);
