/* SPDX-License-Identifier: Apache-2.0 */
/* PEM in the two dialects of the two APIs: CertCentral writes CRLF; Scutum reads LF only. The reader here is
 * strict (header and footer on lines of their own, nothing but blocks), because OpenSSL's forgives far more
 * than Scutum's page promises. */
#pragma once

#include "common/base.h"
#include "common/strbuf.h"

struct x509_st;
struct evp_pkey_st;

#define PEM_CERTS_MAX 16

/* Appends pem with CRLF for LF, also at the end, as CertCentral sends it. */
void pem_add_crlf(struct strbuf *sb, const char *pem);

/* Reads one or more certificates out of text, appended to certs[] (PEM_CERTS_MAX places, *n taken). 0 or
 * -EINVAL; the caller frees certs[0..*n) in any case. */
int pem_read_certs(const char *text, struct x509_st **certs, size_t *n) _must_check_;

/* One private key in its traditional form: "RSA PRIVATE KEY" (PKCS#1) or "EC PRIVATE KEY" (SEC1), in the
 * clear or with a pass phrase (RFC 1421 headers). password may be NULL. NULL when it is anything else. */
struct evp_pkey_st *pem_read_key(const char *text, const char *password, bool *ret_encrypted);
