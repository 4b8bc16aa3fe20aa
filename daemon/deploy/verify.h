/* SPDX-License-Identifier: Apache-2.0 */
/* Is the certificate really served? A TLS handshake with each address, as a client of the site would make it, and a comparison of what
 * was presented with what is installed: docs/DEPLOYMENT.md. */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

struct verify;
struct verify_call;

int verify_new(struct loop *l, struct verify **ret, struct err *reterr) _must_check_;
/* Cancels what is under way; not from a callback. NULL accepted. */
void verify_free(struct verify *v);

#define VERIFY_ADDRESSES_MAX 16 /* of one target; further ones are not looked at, which is noted */

struct verify_ask {
	const struct cfg_verify_target *target;
	const char *fullchain;	  /* PEM, what has to be served: leaf, then intermediates */
	const char *const *older; /* PEM, leaves of our other generations; NULL-terminated; may be NULL */
	int64_t settle_ms; /* whatever is wrong is looked at again until then, ever more slowly; 0: one look */
};

struct verify_result {
	/* NONE: every address serves exactly our leaf, with every intermediate, not expired; the message is empty, or notes what could not
	 * be looked at though nothing is wrong with it. Else UNSENT or UNCLEAR when an address cannot be
	 * reached or ends the handshake (code "connect", "tls", "resolve"), LOCAL when it answers and serves something else (code
	 * "not-served", "chain-incomplete", "expired"; "files": what we have installed cannot be read). The message names the address, what
	 * is served there (serial, end) and the remedy; more addresses with trouble are counted. What is served wrongly is told before what
	 * is not reached. */
	struct outcome outcome;
	bool is_old; /* not-served, and each wrong answer is one of `older` (addresses that do not answer do not count) */
};

typedef void verify_done_fn(const struct verify_result *r, void *owner);

/* Copies all of ask. Contract of callbacks: head of io/loop.h. */
void verify_start(struct verify *v, const struct verify_ask *ask, verify_done_fn *done, void *owner,
		  struct verify_call **ret);
/* Silence from now on; clears *c. NULL content accepted. */
void verify_cancel(struct verify_call **c);
