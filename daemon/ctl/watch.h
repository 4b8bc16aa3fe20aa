/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl status --watch`: the same question again and again over one connection. On a terminal the table is drawn in place, one write
 * for each picture, in the terminal's other screen; q, Ctrl-C and SIGTERM end it and leave the terminal as it was. Elsewhere the
 * table comes once and then one line for each domain that changed, for logs. */
#pragma once

#include "common/err.h"
#include "common/json.h"
#include "common/words.h"

struct watch_options {
	const char *socket;
	const char *request; /* of `status`, without newline */
	int64_t interval;    /* seconds */
	bool json;	     /* one answer per line, nothing else */
	bool colour;
};

/* Until it is ended: the exit code. A daemon that goes away is waited for; one that was never there is a failure. */
int watch_run(const struct watch_options *o);

/* The names of the domains that are not as in the answer before (NULL: none are): state, phase, next action, generation, problem,
 * targets. Both are answers of `status`. Pure. */
void watch_changes(const struct json *before, const struct json *now, struct words *ret);
