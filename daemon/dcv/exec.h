/* SPDX-License-Identifier: Apache-2.0 */
/* DNS records by a program of the administrator, after lego's exec contract: COMMAND... present|cleanup FQDN. VALUE */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/child.h"

struct exec_call;

struct exec_spec {
	const char *const *command; /* NULL-terminated */
	bool present;		    /* else cleanup */
	const char *fqdn;	    /* without the final dot; it is added */
	const char *value;
	const char *domain; /* DVCERT_NAME */
	int64_t timeout_s;
};

/* fault NONE: exit 0. Exit 75: UNCLEAR (try again later). Anything else: UNCLEAR too, with code "exec" and the end of the output; a
 * program that cannot be started: LOCAL with the remedy. Environment: PATH, DVCERT_API=1, DVCERT_NAME, and $CREDENTIALS_DIRECTORY when set. */
typedef void exec_done_fn(const struct outcome *o, void *owner);
void exec_start(struct loop *l, const struct exec_spec *s, exec_done_fn *done, void *owner,
		struct exec_call **ret);
void exec_cancel(struct exec_call **c);
