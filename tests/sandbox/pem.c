/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/pem.h"

#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define LINE_MAX_LEN 76
#define BASE64	     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

DEFINE_CLEANUP(BIO *, BIO_free_all)

void pem_add_crlf(struct strbuf *sb, const char *pem)
{
	for (const char *nl = strchr(pem, '\n'); nl; nl = strchr(pem, '\n')) {
		strbuf_add(sb, pem, (size_t)(nl - pem));
		strbuf_adds(sb, "\r\n");
		pem = nl + 1;
	}
}

/* The length of the line at p without its LF. */
static size_t line_len(const char *p)
{
	return strcspn(p, "\n");
}

static bool line_is(const char *p, const char *text)
{
	size_t len = line_len(p);
	return len == strlen(text) && !strncmp(p, text, len);
}

/* Steps over the lines of a header of an encrypted key ("Proc-Type: ...", "DEK-Info: ...", empty line). */
static const char *skip_rfc1421(const char *p)
{
	if (!str_has_prefix(p, "Proc-Type: "))
		return p;
	while (*p && *p != '\n') {
		p += line_len(p);
		p += *p == '\n';
	}
	return *p == '\n' ? p + 1 : p;
}

/* Finds the end of the block of this label that begins at p; NULL when it is not well formed. */
static const char *block_end(const char *p, const char *label, bool headers)
{
	_cleanup_free_ char *begin = xasprintf("-----BEGIN %s-----", label);
	_cleanup_free_ char *end = xasprintf("-----END %s-----", label);
	if (!line_is(p, begin) || p[strlen(begin)] != '\n')
		return NULL;
	p += strlen(begin) + 1;
	if (headers)
		p = skip_rfc1421(p);
	size_t n_lines = 0;
	for (;; n_lines++) {
		size_t len = line_len(p);
		if (line_is(p, end))
			return n_lines ? p + len : NULL;
		if (len == 0 || len > LINE_MAX_LEN || strspn(p, BASE64) != len || p[len] != '\n')
			return NULL;
		p += len + 1;
	}
}

int pem_read_certs(const char *text, struct x509_st **certs, size_t *n)
{
	const char *p = text;
	size_t before = *n;
	while (*p) {
		const char *end = block_end(p, "CERTIFICATE", false);
		if (!end || *n == PEM_CERTS_MAX)
			return -EINVAL;
		_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(p, (int)(end - p));
		X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
		if (!x) {
			ERR_clear_error();
			return -EINVAL;
		}
		certs[(*n)++] = x;
		p = end + (*end == '\n');
	}
	return *n > before ? 0 : -EINVAL;
}

static int give_password(char *buf, int size, int writing, void *arg)
{
	(void)writing;
	const char *password = arg;
	size_t len = password ? strlen(password) : 0;
	if (len == 0 || len > (size_t)size)
		return -1;
	memcpy(buf, password, len);
	return (int)len;
}

struct evp_pkey_st *pem_read_key(const char *text, const char *password, bool *ret_encrypted)
{
	const char *end = block_end(text, "RSA PRIVATE KEY", true);
	bool rsa = end != NULL;
	if (!end)
		end = block_end(text, "EC PRIVATE KEY", true);
	if (!end || end[*end == '\n'] != '\0')
		return NULL;
	_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(text, (int)(end - text));
	_cleanup_wipe_ char *secret = xstrdup_opt(password);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, give_password, secret) : NULL;
	if (!key || EVP_PKEY_is_a(key, rsa ? "RSA" : "EC") != 1) {
		ERR_clear_error();
		EVP_PKEY_free(key);
		return NULL;
	}
	*ret_encrypted = strstr(text, "\nProc-Type: 4,ENCRYPTED\n") != NULL;
	return key;
}
