/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys. OpenSSL stays inside daemon/pki. All functions may run in pool threads. */
#pragma once

#include "common/base.h"
#include "common/err.h"

/* To be called first of all, before anything has used OpenSSL: from here on it allocates as we do (common/mem.h), so want of memory
 * ends the process. OpenSSL itself would go on, and say that a good certificate, root or signature is none. */
void pki_begin(void);

struct key;

enum key_type { KEY_RSA, KEY_EC_P256, KEY_EC_P384 };

/* bits is for RSA only (2048..8192). */
int key_generate(enum key_type type, unsigned bits, struct key **ret, struct err *reterr) _must_check_;
/* Unencrypted PEM: PKCS#1, SEC1 or PKCS#8; one key, nothing behind it but white space. At most 64 KiB. */
int key_from_pem(const char *pem, size_t len, struct key **ret, struct err *reterr) _must_check_;
/* PKCS#1 for RSA (BEGIN RSA PRIVATE KEY), SEC1 for EC (BEGIN EC PRIVATE KEY), LF. With a passphrase: the same
 * form, encrypted with AES-256-CBC (RFC 1421 headers). *ret is wiped and freed by the caller (mem_wipe_free). */
int key_to_pem(const struct key *k, const char *passphrase, char **ret, struct err *reterr) _must_check_;
/* True when k has this type (and size). */
bool key_matches(const struct key *k, enum key_type type, unsigned bits);
void key_free(struct key *k);
DEFINE_CLEANUP(struct key *, key_free)

/* A PKCS#10 request (RFC 2986) with SHA-256 for all names as subjectAltName (RFC 5280 4.2.1.6), the first one also as the common name when
 * it has at most 64 bytes. PEM, LF. */
int csr_make(const struct key *k, const char *const *names, size_t n_names, char **ret_pem,
	     struct err *reterr) _must_check_;

#define CSR_READ_MAX (32u << 10) /* bytes of a request of somebody else */
/* The public half of the key that a request (PEM, one block) was made with, once its own signature was found good: for chain_check()
 * and cert_belongs(), nothing else. -EBADMSG with a sentence that says what the text is instead. */
int csr_key(const char *pem, size_t len, struct key **ret, struct err *reterr) _must_check_;
/* Was the request made with this key? */
bool csr_belongs(const char *pem, size_t len, const struct key *k);

/* True when both are the same request whatever the line ends, blanks and PEM armour (base64 bodies compared). */
bool csr_same(const char *a, const char *b);
