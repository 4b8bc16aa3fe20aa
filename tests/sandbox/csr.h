/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a certificate signing request the way CertCentral takes it: PEM with or without line breaks in
 * the body, header and footer kept. The names inside are not looked at: CertCentral takes names from
 * the order only. */
#pragma once

#include "common/base.h"

struct evp_pkey_st;

struct csr {
	struct evp_pkey_st *key;
	char *pem;    /* normalised: 64 columns, LF */
	char *posted; /* as it came */
	int bits;
	bool rsa;
};

enum csr_verdict {
	CSR_GOOD,
	CSR_UNREADABLE, /* not PEM, not a request, or its self-signature is wrong */
	CSR_WEAK_KEY, /* RSA below 2048 or above 8192 bits, a curve that is not P-256/384/521, another kind */
};

/* Spellings of one CSR. Request tokens are made over the text that the CA keeps, and nobody has documented
 * which one CertCentral does. */
enum csr_spelling { CSR_AS_POSTED, CSR_LF, CSR_LF_NOFINAL, CSR_CRLF, CSR_ONELINE, CSR_BODY };

/* *ret is set with CSR_GOOD only; the caller frees. */
enum csr_verdict csr_parse(const char *text, struct csr **ret) _must_check_;
struct csr *csr_copy(const struct csr *c);		       /* the caller frees */
char *csr_spelled(const struct csr *c, enum csr_spelling how); /* the caller frees */
void csr_free(struct csr *c);
DEFINE_CLEANUP(struct csr *, csr_free)
