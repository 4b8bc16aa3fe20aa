/* SPDX-License-Identifier: Apache-2.0 */
/* May DigiCert issue for a name, by the CAA records of DNS (RFC 8659)? Advice for people: the CA decides, and looks from elsewhere. */
#pragma once

#include "daemon/io/dns.h"

enum caa_verdict {
	CAA_ALLOWED,
	CAA_FORBIDDEN,
	CAA_UNREADABLE, /* the records could not be asked for: the CA may still issue, or not */
};

#define CAA_TEXT_MAX 400

struct caa_result {
	enum caa_verdict verdict;
	/* For people: "example.jp: 0 issue "other.example"" (the record that decides), or what went wrong; "" when there is no record. */
	char text[CAA_TEXT_MAX];
	bool critical; /* FORBIDDEN by a property that nobody knows but that is marked as critical */
};

/* Judges the relevant record set (RFC 8659 section 4): values are those of a DNS answer ("FLAGS TAG VALUE", io/dnsmsg.h), owner is the name
 * that they belong to. wildcard: for a certificate with a wildcard. Pure. */
void caa_judge(const char *owner, const char *const *values, size_t n, bool wildcard, struct caa_result *ret);

struct caa_call;

/* Climbs from name ("*." in front: a wildcard) towards the root until there are CAA records (RFC 8659 section 3), and judges those.
 * server: who is asked; NULL: the system's resolvers. Contract of callbacks: head of io/loop.h. */
typedef void caa_done_fn(const struct caa_result *r, void *owner);
void caa_start(struct dns *d, const char *name, const char *server, caa_done_fn *done, void *owner,
	       struct caa_call **ret);
/* Silence from now on; clears *c. NULL content accepted. */
void caa_cancel(struct caa_call **c);
