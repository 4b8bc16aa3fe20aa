/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by operations.c and locals.c only. */
#pragma once

#include "daemon/app.h"
#include "daemon/authkey.h"
#include "daemon/dnsproof.h"

struct operation {
	struct domain *domain;
	enum job_op op;
	struct cc_call *call;
	struct preflight_call *look;
	struct dnsproof *dns;
	struct authkey_call *authkey;
	struct work *work;
	bool deferred; /* its answer comes from loop_defer */
};

/* The operation is over, and gone before the core hears of it. */
void operation_finish(struct operation *o, struct job_event *ev);
void operation_fault(struct operation *o, const struct outcome *outcome);

/* --- locals.c: what pool threads do --- */

/* Key and CSR; the key is on disk afterwards. */
void local_prepare(struct operation *o);
/* The lock of the webroot is held. */
void local_publish(struct domain *d);
/* pem: what was downloaded, or came with the answer to the order. */
void local_check(struct operation *o, const char *pem, size_t len);
/* The generation of what local_check() kept in the flight. */
void local_install(struct operation *o);
/* Silence; the thread goes on, and what it made is dropped. */
void local_cancel(struct operation *o);
