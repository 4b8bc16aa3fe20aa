/* SPDX-License-Identifier: Apache-2.0 */
/* DNS look-ups on the loop (c-ares; dns.c is the only file that includes it). Each look-up names the server it is sent to, or uses the
 * system's resolvers. UDP first, TCP when truncated. */
#pragma once

#include "daemon/io/dnsmsg.h"
#include "daemon/io/loop.h"

struct dns;
struct dns_call;

int dns_new(struct loop *l, struct dns **ret, struct err *reterr) _must_check_;
/* Cancels what is under way. Not from a callback. */
void dns_free(struct dns *d);

struct dns_query {
	const char *name;
	enum dns_type type;
	const char *
		server; /* "ADDR", "ADDR:PORT", "[v6]:PORT"; NULL: the system's resolvers (resolv.conf of now) */
	bool recurse;	    /* RD */
	int64_t timeout_ms; /* 0 = 5,000 for all tries */
};

typedef void dns_done_fn(const struct dns_answer *a, void *owner);
/* Contract: head of loop.h. At most three tries; a hosts file is not looked at. */
void dns_start(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *owner,
	       struct dns_call **ret);
/* Silence from here on; allowed in the call's own callback, and for NULL. */
void dns_cancel(struct dns_call **c);
