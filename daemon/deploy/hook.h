/* SPDX-License-Identifier: Apache-2.0 */
/* An `exec` target: a program of the administrator that is told about the certificate by its environment (contract: dvcertd(8),
 * Hooks). Without a shell, as the daemon's user, with a time limit; see io/child.h. */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

struct hook_call;

struct hook_ask {
	const struct cfg_exec_target *target;
	const char *name;  /* of the domain: DVCERT_NAME */
	const char *names; /* blank separated: DVCERT_NAMES, RENEWED_DOMAINS */
	const char *
		dir; /* absolute path of live/<name>: DVCERT_DIR, _CERT, _CHAIN, _FULLCHAIN, _KEY, RENEWED_LINEAGE */
	const char *serial;
	int64_t not_after; /* told in RFC 3339, as in status */
};

/* fault NONE: exit 0. Exit 75: UNCLEAR with code "later". Anything else UNCLEAR too: code "exit", "signal" or "timeout", the message
 * ends with what the program printed last. One that cannot be started: LOCAL, code "exec", with the remedy. */
typedef void hook_done_fn(const struct outcome *o, void *owner);

/* Copies all of ask. Contract of callbacks: head of io/loop.h. */
void hook_start(struct loop *l, const struct hook_ask *ask, hook_done_fn *done, void *owner,
		struct hook_call **ret);
/* Kills the program; silence from now on; clears *c. NULL content accepted. */
void hook_cancel(struct hook_call **c);
