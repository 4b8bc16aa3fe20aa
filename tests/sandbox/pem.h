/* SPDX-License-Identifier: Apache-2.0 */
/* A strict reader of PEM texts for the Scutum half: LF line ends, header and footer on lines of their own,
 * nothing but blocks. OpenSSL's reader forgives far more than Scutum's page promises. */
#pragma once

#include "common/base.h"

struct x509_st;
struct evp_pkey_st;

#define PEM_CERTS_MAX 16

/* Reads 1 to PEM_CERTS_MAX certificates out of text, appended to certs[] (n = how many are there
 * already). Returns the new count, or -EINVAL; the caller frees what is in certs in any case by the
 * count in *n, which is kept up to date. */
int pem_read_certs(const char *text, struct x509_st **certs, size_t *n) _must_check_;

/* One private key in its traditional form: "RSA PRIVATE KEY" (PKCS#1) or "EC PRIVATE KEY" (SEC1), in the
 * clear or with a pass phrase (RFC 1421 headers). password may be NULL. NULL when it is anything else. */
struct evp_pkey_st *pem_read_key(const char *text, const char *password, bool *ret_encrypted);
