/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate authority: a root and an intermediate with P-256 keys (signing costs about 0.1 ms).
 * Knows nothing of orders; certificates that lie are made on request, for the `wrong-cert` fault. */
#pragma once

#include "common/base.h"
#include "common/err.h"

struct ca;
struct evp_pkey_st;
struct x509_st;

#define CA_SERIAL_HEX_MAX 42

enum ca_signer {
	CA_SIGNER_INTERMEDIATE,
	CA_SIGNER_STRANGER, /* issuer = subject, signed by a key that is thrown away */
};

struct ca_request {
	struct evp_pkey_st *key; /* NULL = a fresh one that nobody has */
	bool key_is_rsa;
	const char *const *names;
	size_t n_names;
	int64_t not_before;
	int64_t not_after;
	const char *hash; /* sha256, sha384, sha512 */
	enum ca_signer signer;
	bool make_ca; /* basicConstraints CA:TRUE, as no server certificate may have */
};

struct ca_cert {
	char *pem; /* the leaf, LF */
	char serial[CA_SERIAL_HEX_MAX];
	char thumbprint[41];
	int64_t not_before;
	int64_t not_after;
};

/* Loads root and intermediate from the open directory, or makes them when ca.pem is not there. */
int ca_open(int dirfd, int64_t now, struct ca **ret, struct err *reterr) _must_check_;
void ca_free(struct ca *ca);

/* From now on certificates name URL/ocsp and URL/crl/CA_CRL_NAME. To be called before the first is issued. */
#define CA_CRL_NAME "intermediate.crl"
void ca_set_pki_url(struct ca *ca, const char *url);

/* Who signs OCSP answers and CRLs; both are borrowed. */
struct x509_st *ca_intermediate_cert(const struct ca *ca);
struct evp_pkey_st *ca_intermediate_key(const struct ca *ca);

const char *ca_root_pem(const struct ca *ca);
const char *ca_intermediate_pem(const struct ca *ca);
const char *ca_intermediate_name(const struct ca *ca);

/* Fills *ret; the caller frees with ca_cert_done. Thread-safe. */
void ca_issue(const struct ca *ca, const struct ca_request *req, struct ca_cert *ret);
void ca_cert_done(struct ca_cert *c);

/* A server certificate for 127.0.0.1, ::1 and localhost, issued by the root, and its key. Made at each
 * start and never stored; valid for 20 years so that a moved clock does not break TLS. */
void ca_server_identity(const struct ca *ca, int64_t now, char **ret_cert_pem, char **ret_key_pem);
