/* SPDX-License-Identifier: Apache-2.0 */
/* What a server presents, held against what it should present. Sameness of bytes is all that counts here: the chain was checked
 * before it was installed (chain.h), and nothing that a server shows is trusted. */
#pragma once

#include "common/base.h"
#include "common/err.h"

struct served; /* a presented chain, as it came: leaf first */
void served_free(struct served *s);
DEFINE_CLEANUP(struct served *, served_free)
size_t served_count(const struct served *s);

/* Kinds of keys in certificates. A server may have one certificate for each. */
enum served_kind { SERVED_KIND_ANY, SERVED_KIND_RSA, SERVED_KIND_EC };
/* ANY: neither RSA nor EC. */
enum served_kind served_leaf_kind(const struct served *s);

struct wanted;
/* fullchain: PEM, leaf first; a root in it is not asked for. older: PEM, leaves of earlier generations, NULL-terminated; may be NULL.
 * One of these that cannot be read is left out. -EBADMSG when fullchain cannot be read. */
int wanted_new(const char *fullchain, const char *const *older, struct wanted **ret,
	       struct err *reterr) _must_check_;
void wanted_free(struct wanted *w);
DEFINE_CLEANUP(struct wanted *, wanted_free)
/* Of our leaf's key. */
enum served_kind wanted_kind(const struct wanted *w);

#define SERVED_NAME_MAX 96

/* For messages. Text of others is escaped. */
struct served_facts {
	char serial[65];	      /* lower-case hex; "?" when it is no proper number */
	int64_t not_after;	      /* 0: cannot be read */
	char issuer[SERVED_NAME_MAX]; /* its common name; "(no name)" */
};
void wanted_facts(const struct wanted *w, struct served_facts *ret);
void served_facts(const struct served *s, struct served_facts *ret);

enum served_verdict {
	SERVED_OURS, /* our leaf and every intermediate (in any order, with or without the root), none of them expired */
	SERVED_OTHER,	   /* a leaf that we do not know */
	SERVED_OLDER,	   /* the leaf of an earlier generation */
	SERVED_EXPIRED,	   /* ours, but it or an intermediate is past its end */
	SERVED_INCOMPLETE, /* our leaf without an intermediate */
};
/* missing: the common name of the first intermediate that is not there; "" unless INCOMPLETE. */
enum served_verdict served_judge(const struct served *s, const struct wanted *w, int64_t now,
				 char missing[SERVED_NAME_MAX]);
