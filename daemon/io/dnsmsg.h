/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages (RFC 1035 section 4) as bytes: one question out, the answers in. Pure: for dns.c, its tests and the
 * fuzzer. */
#pragma once

#include "common/err.h"
#include "daemon/core/outcome.h"

enum dns_type { DNS_A, DNS_AAAA, DNS_NS, DNS_SOA, DNS_TXT, DNS_CNAME, DNS_CAA };

/* "TXT" */
const char *dns_type_name(enum dns_type t);

#define DNS_VALUES_MAX	  256  /* further records are left out */
#define DNS_VALUE_MAX	  4096 /* bytes of one value, escaped; the rest is cut off */
#define DNS_NAME_TEXT_MAX 1025 /* 255 bytes, each as \DDD at worst */
#define DNS_QUERY_MAX	  288
#define DNS_UDP_MAX	  1232 /* no fragments on any path (DNS flag day 2020) */

struct dns_answer {
	/* NONE: a well-formed answer came, also NXDOMAIN and no data. Else UNCLEAR or UNSENT; code: "timeout", "connect",
	 * "no_route", "bad_answer", "bad_name", "cname_loop", or a response code ("servfail", "refused", "notauth"). */
	struct outcome outcome;
	bool nxdomain;
	bool authoritative;
	/* Addresses, names without final dot, TXT strings joined per record, SOA as in a zone file, CAA as "FLAGS TAG VALUE" without
	 * quotes. Sanitised: names in the escapes of RFC 1035 section 5.1, TXT and CAA as str_escape() does it. */
	const char *const *values;
	size_t n_values;
	const char *
		owner; /* the name that the values belong to, after CNAMEs in the answer; "" when there is none */
	const char *cname; /* where a CNAME at the asked name leads; NULL: none, or a CNAME was asked for */
};

/* Writes the question for name (escapes of RFC 1035 section 5.1, final dot or not) with an OPT record (RFC 6891) at its
 * end. -EINVAL when it is not a name that DNS can carry. */
int dns_query_build(const char *name, enum dns_type type, bool recurse, uint16_t id,
		    unsigned char out[DNS_QUERY_MAX], size_t *ret_len, struct err *reterr) _must_check_;

struct dns_parsed;
/* A wire-format answer to values. -EBADMSG. Response codes other than NOERROR and NXDOMAIN become an outcome. */
int dns_parse(const unsigned char *wire, size_t len, enum dns_type type, struct dns_parsed **ret,
	      struct err *reterr) _must_check_;
/* Lives as long as p. */
const struct dns_answer *dns_parsed_answer(const struct dns_parsed *p);
void dns_parsed_free(struct dns_parsed *p);
DEFINE_CLEANUP(struct dns_parsed *, dns_parsed_free)
