/* SPDX-License-Identifier: Apache-2.0 */
/* What revocation.c, ocsp.c and crl.c share. Nobody else includes it. */
#pragma once

#include "daemon/pki/revocation.h"

#include "daemon/pki/internal.h"

#include <openssl/x509v3.h>

struct revocation_pair {
	struct certs certs;
	X509 *leaf;   /* borrowed from certs, like issuer */
	X509 *issuer; /* its signature on the leaf was checked */
};
int revocation_pair_read(const char *pem, size_t len, struct revocation_pair *ret,
			 struct err *reterr) _must_check_;
void revocation_pair_done(struct revocation_pair *p);

/* The hash under the signature is SHA-256, SHA-384 or SHA-512: SHA-1 can be forged, and CAs may not use it any more (Baseline
 * Requirements 7.1.3.2). *ret (may be NULL) is its NID, *ret_key the kind of key. RSA-PSS and EdDSA name no hash and are not for us. */
bool revocation_is_strong(const X509_ALGOR *alg, int *ret_hash, int *ret_key);
/* from is not in the future, and to (INT64_MIN: a broken date) not in the past; what: "the CRL". */
int revocation_check_times(const char *what, int64_t from, int64_t to, int64_t now,
			   struct err *reterr) _must_check_;
/* Fills state, moment and reason; code is a CRLReason, negative for none. */
void revocation_set_revoked(struct revocation_status *s, int64_t at, long code);
/* A URL that may be asked: http, of printable ASCII, not too long. Copied; NULL when it is no such thing. */
char *revocation_url_of(const GENERAL_NAME *name);
