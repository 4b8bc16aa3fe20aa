/* SPDX-License-Identifier: Apache-2.0 */
/* DNS look-ups on the loop (c-ares; dns.c is the only file that includes it). Each look-up names the server it is sent to, or uses the
 * system's resolvers. UDP first, TCP when truncated. */
#pragma once

#include "daemon/io/dnsmsg.h"
#include "daemon/io/loop.h"

#include <sys/socket.h>

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

#define DNS_ADDRESSES_MAX 64 /* further ones are left out */

struct dns_addresses {
	struct outcome
		outcome; /* NONE: at least one; UNSENT "no_address": the name has none. Else as in struct dns_answer */
	const struct sockaddr_storage *at; /* IPv4 and IPv6, port 0, each once */
	size_t n;
};

typedef void dns_addresses_fn(const struct dns_addresses *a, void *owner);
/* All addresses of a host, as programs of this machine find them: the hosts file first, then the system's resolvers and their search
 * list (modules of nsswitch.conf beside these two are not asked: they are libraries that block). With a server: that one alone. q->type and q->recurse do not
 * matter. */
void dns_addresses_start(struct dns *d, const struct dns_query *q, dns_addresses_fn *done, void *owner,
			 struct dns_call **ret);
/* Silence from here on; allowed in the call's own callback, and for NULL. */
void dns_cancel(struct dns_call **c);
