/* SPDX-License-Identifier: Apache-2.0 */
/* Adds and removes lists of DNS records through the providers of the configuration: by dynamic update (rfc2136.h) or by a
 * program (exec.h). Decides what runs beside what; looks at no record afterwards (dnslook.h does).
 *
 * Updates run beside each other, at most RECORDS_PER_CALL of one call and RECORDS_AT_ONCE of the whole program. Programs of one
 * provider run one after the other over the whole program, in the order in which they were asked for: many read a zone, change
 * it and write it back, and two at once lose a record. Providers are told apart by their names, so a reload changes nothing. */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

#define RECORDS_PER_CALL 8
#define RECORDS_AT_ONCE	 32

struct records; /* one per program */
struct records_call;

struct records_item {
	/* Must live until the callback or the cancel: the caller holds its snapshot. All else is copied. */
	const struct cfg_dns_provider *provider;
	const char *fqdn;
	bool cname;	   /* else TXT; a program is not told */
	const char *value; /* TXT: the text; CNAME: the target */
};

struct records *records_new(struct loop *l);
/* Cancels what is under way; not from a callback. NULL accepted. */
void records_free(struct records *r);

/* fault NONE: all succeeded. Else the outcome of the first failure in the order of the list, with its class and code; the message
 * names provider, record and remedy, and how many more failed. */
typedef void records_done_fn(const struct outcome *o, void *owner);

/* Adds (present) or removes exactly these records; what is there twice in the list is done once, and all are tried even when one
 * fails. domain is DVCERT_NAME for programs. Both may be repeated: to add what is there and to remove what is not there
 * succeeds (updates), or is up to the program. An added CNAME takes the place of another CNAME of that name, and is dropped
 * by the server without a word beside any other record (RFC 2136 section 3.4.2.2). See the head of loop.h for when it calls
 * back; that is also the contract for n == 0. */
void records_start(struct records *r, const struct records_item *items, size_t n, bool present,
		   const char *domain, records_done_fn *done, void *owner, struct records_call **ret);
/* Silence from now on; clears *c. What waits is not begun, a program that runs is killed, an update that was sent may have taken
 * effect. NULL content, and the call that is being told, are accepted. */
void records_cancel(struct records_call **c);
