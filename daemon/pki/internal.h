/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of daemon/pki share. Nobody outside this folder includes it: it is the fence that keeps
 * OpenSSL's types in. */
#pragma once

#include "common/err.h"
#include "common/strbuf.h"
#include "daemon/pki/chain.h"
#include "daemon/pki/key.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct key {
	EVP_PKEY *pkey;
};

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

/* ossl.c */

/* Sets code and "<text>: <OpenSSL's reason>", and empties this thread's error queue. Returns code. */
int pki_err(struct err *reterr, int code, const char *fmt, ...) _printf_(3, 4);

/* Empties the error queue when the scope ends, so that the next caller in this thread starts clean. */
void pki_clear(const int *unused);
#define _clear_queue_ _cleanup_(pki_clear) _unused_ int _queue = 0

/* pem.c: RFC 7468 read liberally (anything between blocks, CRLF, long lines) and written strictly. */

struct pem_block {
	const char *label; /* "CERTIFICATE", not terminated */
	size_t label_len;
	const char *body; /* between the two marker lines */
	size_t body_len;
	size_t end; /* offset of the first byte behind the block */
};

/* The next block at or after *pos, which moves behind it. 1, 0 when there is none, -EBADMSG when a block has no end. */
int pem_next(const char *text, size_t len, size_t *pos, struct pem_block *ret,
	     struct err *reterr) _must_check_;
bool pem_is(const struct pem_block *b, const char *label);
/* Base64 to DER; RFC 1421 headers are refused. The caller frees. */
int pem_decode(const struct pem_block *b, unsigned char **ret, size_t *ret_len,
	       struct err *reterr) _must_check_;
/* Appends a block with lines of 64 characters and LF. */
void pem_append(struct strbuf *sb, const char *label, const unsigned char *der, size_t len);

/* certs.c: the certificates of one answer, and how they hang together. */

struct cert {
	X509 *x;
	unsigned char *der;
	size_t der_len;
};

struct certs {
	struct cert at[CHAIN_CERTS_MAX];
	size_t n;
};
void certs_done(struct certs *c);

/* Every certificate of the text, each once. -EBADMSG when the text is something else or one of them is unusable. */
int certs_parse(const char *pem, size_t len, struct certs *ret, struct err *reterr) _must_check_;

/* Leaf first, then issuer after issuer; a self-signed root is left out. Unrelated certificates are not in it. */
struct path {
	const struct cert *at[CHAIN_CERTS_MAX];
	size_t n;
};
/* Finds the leaf by k's public key and links the rest to it. */
int certs_link(const struct certs *c, const struct key *k, int64_t now, struct path *ret,
	       struct err *reterr) _must_check_;

/* One certificate from DER that must hold nothing else. */
int cert_parse(const unsigned char *der, size_t len, X509 **ret, struct err *reterr) _must_check_;
/* The common name of a subject or issuer for a message, escaped; "(no name)" when there is none. Returns buf. */
#define CERT_NAME_MAX 96
const char *cert_name(const X509_NAME *n, char buf[CERT_NAME_MAX]);
int64_t cert_time(const ASN1_TIME *t); /* INT64_MIN when it is no time */
bool cert_valid_at(const X509 *x, int64_t at);

/* certinfo.c */
int cert_info_fill(const struct cert *c, struct cert_info *ret, struct err *reterr) _must_check_;

/* trust.c */
X509_STORE *trust_store(const struct trust *t);
