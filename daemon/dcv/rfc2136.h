/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic update (RFC 2136) with TSIG (RFC 8945). ldns makes and reads the messages (rfc2136.c is the only file that includes
 * it), rfc2136_call.c asks and explains; the transport is io/dnswire. Adds and deletes exactly our record, never a set.
 *
 * NOERROR does not prove that the record is there: a TXT record beside a CNAME, or the other way round, is dropped in
 * silence (RFC 2136 section 3.4.2.2). Whoever needs to know looks (dnslook.h). */
#pragma once

#include "common/err.h"
#include "config/tsig.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

#define RFC2136_NAME_MAX  253  /* of a DNS name as text, without the final dot */
#define RFC2136_VALUE_MAX 4096 /* of a TXT value */

enum rfc2136_type { RFC2136_TXT, RFC2136_CNAME };

struct rfc2136_update {
	const char *server; /* "ADDR" or "ADDR:PORT", as dnswire.h says */
	const char *zone;   /* NULL: found by asking that server for the SOA of the name and its parents */
	const struct tsig_key *key;
	bool add; /* else delete our exact record */
	const char *fqdn;
	enum rfc2136_type type;
	const char *value; /* TXT: any bytes, cut into strings of 255; CNAME: the target */
	uint32_t ttl;	   /* of an added record */
};

struct rfc2136_call;

/* UDP with TCP fallback, 15 s for everything. Everything is copied. The server's answer and its TSIG are verified.
 *
 * fault NONE: a signed NOERROR. REFUSED: any other answer but SERVFAIL, with code "BADKEY", "BADSIG", "BADTIME" (the message tells
 * the difference of the clocks), "REFUSED", "NOTAUTH", "NOTZONE", ...; "no-zone" when the server has no zone for the name;
 * "name" when no message can be made of the input. The message names server, zone, answer and remedy. Servers differ in what
 * they send: a wrong key or clock is BADSIG, BADKEY or BADTIME (BIND, Knot 3.2); PowerDNS 4.7 says NOTAUTH to the question for the
 * zone and REFUSED to an update, without a TSIG record. A forbidden name is REFUSED (BIND), BADKEY (Knot), REFUSED or NOERROR
 * (PowerDNS, by its policy script), so the code alone does not tell them apart. Refusals are mostly not signed; that is said, and
 * no more made of it.
 * UNCLEAR: time-out, SERVFAIL, garbage, or success that is not signed ("unsigned", "bad-signature"). UNSENT as in dnswire.h. */
typedef void rfc2136_done_fn(const struct outcome *o, void *owner);
void rfc2136_start(struct loop *l, const struct rfc2136_update *u, rfc2136_done_fn *done, void *owner,
		   struct rfc2136_call **ret);
/* Silence from now on; clears *c. NULL content, and the call that is being told, are accepted. */
void rfc2136_cancel(struct rfc2136_call **c);

/* --- Pure parts, for tests and the fuzzer ----------------------------------------------------------- */

#define RFC2136_MAC_MAX 66 /* two bytes of length, and SHA-512 */

struct rfc2136_message {
	unsigned char *wire;
	size_t len;
	unsigned char mac[RFC2136_MAC_MAX]; /* as the answer's MAC includes it: length first */
	size_t mac_len;
	int64_t signed_at;
};
/* The signed update of u (server and zone in it are not looked at), and the signed question for the SOA of name. -EINVAL. The
 * caller frees ret->wire. */
int rfc2136_make_update(const struct rfc2136_update *u, const char *zone, unsigned id,
			struct rfc2136_message *ret, struct err *reterr) _must_check_;
int rfc2136_make_soa(const char *name, const struct tsig_key *k, unsigned id, struct rfc2136_message *ret,
		     struct err *reterr) _must_check_;

/* Errors in a TSIG record, RFC 8945 section 3. */
#define RFC2136_BADSIG	 16
#define RFC2136_BADKEY	 17
#define RFC2136_BADTIME	 18
#define RFC2136_BADTRUNC 22

enum rfc2136_trust { RFC2136_UNSIGNED, RFC2136_BAD, RFC2136_GOOD };

struct rfc2136_answer {
	unsigned rcode;
	unsigned tsig_error;
	enum rfc2136_trust trust;
	bool has_clock;	       /* BADTIME came with the server's time */
	int64_t clock_ahead_s; /* the server's clock minus ours */
	bool authoritative;
	bool alias;    /* the answer begins with a CNAME or DNAME */
	bool referral; /* names other servers for the name */
	char zone[RFC2136_NAME_MAX +
		  1]; /* the zone that the SOA record of the answer belongs to; "" when there is none */
};
/* The answer to query; name is that of make_soa, or NULL for an update. -EBADMSG for what is no answer to it. The TSIG must be
 * made by k, over query's MAC, and at most its fudge away from now. */
int rfc2136_read(const struct rfc2136_message *query, const struct tsig_key *k, const char *name, int64_t now,
		 const unsigned char *wire, size_t len, struct rfc2136_answer *ret,
		 struct err *reterr) _must_check_;
