/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/csr.h"

#include "common/mem.h"
#include "common/strbuf.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define CSR_TEXT_MAX 65536

DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

/* Finds the base64 text between header and footer; nothing but blanks may stand around them. */
static bool find_body(const char *text, const char **ret, size_t *ret_len)
{
	static const struct {
		const char *head;
		const char *foot;
	} kinds[] = {
		{ "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----" },
		{ "-----BEGIN NEW CERTIFICATE REQUEST-----", "-----END NEW CERTIFICATE REQUEST-----" },
	};
	text += strspn(text, " \t\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t head_len = strlen(kinds[i].head);
		if (strncmp(text, kinds[i].head, head_len) != 0)
			continue;
		const char *foot = strstr(text + head_len, kinds[i].foot);
		if (!foot)
			return false;
		const char *rest = foot + strlen(kinds[i].foot);
		if (rest[strspn(rest, " \t\r\n")])
			return false;
		*ret = text + head_len;
		*ret_len = (size_t)(foot - *ret);
		return true;
	}
	return false;
}

/* Decodes base64 with blanks in it. NULL when it is no base64; *ret_len is the number of bytes. */
static unsigned char *decode(const char *body, size_t len, size_t *ret_len)
{
	_cleanup_free_ char *packed = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", body[i]))
			packed[n++] = body[i];
	if (n == 0 || n % 4 != 0)
		return NULL;
	_cleanup_free_ unsigned char *der = xmalloc(n / 4 * 3 + 1);
	if (EVP_DecodeBlock(der, (const unsigned char *)packed, (int)n) < 0)
		return NULL;
	*ret_len = n / 4 * 3;
	for (size_t i = n; i > n - 2 && packed[i - 1] == '='; i--)
		(*ret_len)--;
	return TAKE_PTR(der);
}

static bool key_is_strong(EVP_PKEY *key, bool *ret_rsa)
{
	int bits = EVP_PKEY_get_bits(key);
	*ret_rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	if (*ret_rsa)
		return bits >= 2048 && bits <= 8192;
	if (EVP_PKEY_is_a(key, "EC") != 1)
		return false;
	char group[64] = "";
	size_t len = 0;
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return false;
	return !strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") || !strcmp(group, "secp521r1");
}

static char *to_pem(X509_REQ *req)
{
	_cleanup_(BIO_free_allp) BIO *out = BIO_new(BIO_s_mem());
	if (!out || PEM_write_bio_X509_REQ(out, req) != 1)
		abort();
	char *data = NULL;
	long len = BIO_get_mem_data(out, &data);
	return xstrndup(data, (size_t)len);
}

enum csr_verdict csr_parse(const char *text, struct csr **ret)
{
	const char *body = NULL;
	size_t body_len = 0, der_len = 0;
	if (strlen(text) > CSR_TEXT_MAX || !find_body(text, &body, &body_len))
		return CSR_UNREADABLE;
	_cleanup_free_ unsigned char *der = decode(body, body_len, &der_len);
	if (!der)
		return CSR_UNREADABLE;
	const unsigned char *p = der;
	_cleanup_(X509_REQ_freep) X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der_len);
	EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;
	if (!key || p != der + der_len || X509_REQ_verify(req, key) != 1) {
		ERR_clear_error();
		return CSR_UNREADABLE;
	}
	bool rsa = false;
	if (!key_is_strong(key, &rsa)) {
		ERR_clear_error();
		return CSR_WEAK_KEY;
	}
	struct csr *c = xmalloc(sizeof(*c));
	EVP_PKEY_up_ref(key);
	*c = (struct csr){
		.key = key,
		.pem = to_pem(req),
		.posted = xstrdup(text),
		.bits = EVP_PKEY_get_bits(key),
		.rsa = rsa,
	};
	*ret = c;
	return CSR_GOOD;
}

struct csr *csr_copy(const struct csr *c)
{
	struct csr *copy = xmalloc(sizeof(*copy));
	EVP_PKEY_up_ref(c->key);
	*copy = (struct csr){
		.key = c->key,
		.pem = xstrdup(c->pem),
		.posted = xstrdup(c->posted),
		.bits = c->bits,
		.rsa = c->rsa,
	};
	return copy;
}

/* The text with `with` for every line end, and without armour when that is to go. */
static char *respell(const char *pem, const char *with, bool armour)
{
	struct strbuf out = STRBUF_INIT(2 * CSR_TEXT_MAX);
	for (const char *line = pem; *line; line += strcspn(line, "\n") + 1) {
		if (!armour && line[0] == '-')
			continue;
		strbuf_add(&out, line, strcspn(line, "\n"));
		strbuf_adds(&out, with);
	}
	return strbuf_take(&out);
}

char *csr_spelled(const struct csr *c, enum csr_spelling how)
{
	switch (how) {
	case CSR_AS_POSTED: break;
	case CSR_LF: return xstrdup(c->pem);
	case CSR_LF_NOFINAL: return xstrndup(c->pem, strlen(c->pem) - 1);
	case CSR_CRLF: return respell(c->pem, "\r\n", true);
	case CSR_ONELINE: return respell(c->pem, "", true);
	case CSR_BODY: return respell(c->pem, "", false);
	}
	return xstrdup(c->posted);
}

void csr_free(struct csr *c)
{
	if (!c)
		return;
	EVP_PKEY_free(c->key);
	free(c->pem);
	free(c->posted);
	free(c);
}
