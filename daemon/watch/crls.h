/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs that are being fetched or were fetched lately. Thousands of certificates share one, so it is fetched once: whoever wants
 * one that is on its way waits for it. Does not judge what it holds; daemon/pki/revocation.h does, and crls_keep() tells. */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/http.h"

#define CRLS_HELD_MAX	    4
#define CRLS_HELD_BYTES_MAX (32u << 20)
#define CRLS_LIFE_MS                                                                                         \
	(6 * 3600 * INT64_C(1000)) /* of one that was judged good, if its nextUpdate is not sooner */
#define CRLS_DOUBT_MS	 (300 * INT64_C(1000)) /* of any other, and of a failure */
#define CRLS_LOADING_MAX 2

/* The bytes of one CRL. Counted on the loop thread only; pool threads read data while somebody holds a reference for them. */
struct crl_blob {
	unsigned char *data;
	size_t len;
	unsigned refs;
};
struct crl_blob *crl_blob_ref(struct crl_blob *b);
void crl_blob_unref(struct crl_blob *b);

struct crls;
struct crls_wait;

/* http is borrowed. */
struct crls *crls_new(struct loop *l, struct http *http);
void crls_free(struct crls *c);
/* From the next fetch on; those under way end with the client that they began with. */
void crls_set_http(struct crls *c, struct http *http);

/* fault NONE: blob holds what the server sent (not empty); it is the caller's to reference. Else UNSENT or UNCLEAR, and NULL. */
typedef void crls_done_fn(const struct outcome *o, struct crl_blob *blob, void *owner);
/* url is copied. Contract of daemon/io/loop.h. */
void crls_get(struct crls *c, const char *url, crls_done_fn *done, void *owner, struct crls_wait **ret);
/* The fetch goes on for whoever else waits, and for later. */
void crls_cancel(struct crls_wait **w);
/* This one was judged good for at least one certificate: it is kept until next_update (wall clock), CRLS_LIFE_MS at most. */
void crls_keep(struct crls *c, const struct crl_blob *blob, int64_t next_update);
