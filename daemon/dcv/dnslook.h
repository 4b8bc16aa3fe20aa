/* SPDX-License-Identifier: Apache-2.0 */
/* Where a proof in DNS has to be written, and whether the world can see it.
 *
 * Asks as the CA's validators do, only more strictly: they each meet some server of the zone, so every one of them has to show the
 * value. Calls keep the contract at the head of daemon/io/loop.h. */
#pragma once

#include "daemon/io/dns.h"

struct dnslook;
struct dnslook_call;

enum dnslook_type { DNSLOOK_TXT, DNSLOOK_CNAME };

int dnslook_new(struct loop *l, struct dnslook **ret, struct err *reterr) _must_check_;
/* Cancels what is under way. Not from a callback. */
void dnslook_free(struct dnslook *d);
/* For tests: from now on another resolver ("ADDR:PORT") than the system's, and another port of name servers than 53. */
void dnslook_use_resolver(struct dnslook *d, const char *resolver, unsigned port);

struct dnslook_proof {
	const char *fqdn; /* "_dnsauth.www.example.jp" */
	enum dnslook_type type;
	const char *value; /* TXT: found anywhere in a string of any record; CNAME: the target */
};

/* Asks every address of every authoritative server of the zone directly (server NULL), or just that server, for each proof; a
 * CNAME at a TXT proof's name is followed into its zone (at most 8). Within 60 s. fault NONE: all servers show all values. Else
 * REFUSED (a server shows something else or nothing) or UNCLEAR (a server does not answer, or the zone cannot be found) with a
 * message that names the first server and proof that lacks it, what it said, and how many lack it.
 * An IPv6 address that this host has no route to is left out when IPv4 of the same server answers; the message says so, also
 * with fault NONE. */
typedef void dnslook_done_fn(const struct outcome *o, void *owner);
void dnslook_start(struct dnslook *d, const struct dnslook_proof *proofs, size_t n, const char *server,
		   dnslook_done_fn *done, void *owner, struct dnslook_call **ret);
/* Also of a target call. NULL accepted; nothing happens in the call's own callback. */
void dnslook_cancel(struct dnslook_call **c);

/* The name to write to when fqdn is delegated by a CNAME: the end of the chain (fqdn itself when there is none). Asks the system's
 * resolvers, or server. *name in the callback is NULL on failure (loop, more than 8, no answer). */
typedef void dnslook_target_fn(const struct outcome *o, const char *name, void *owner);
void dnslook_target_start(struct dnslook *d, const char *fqdn, const char *server, dnslook_target_fn *done,
			  void *owner, struct dnslook_call **ret);
