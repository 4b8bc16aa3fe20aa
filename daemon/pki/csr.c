/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests (RFC 2986). Names have been checked by config; here only what would make broken
 * DER is refused. */
#include "common/mem.h"
#include "daemon/pki/internal.h"
#include "daemon/pki/key.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/x509v3.h>

#define CSR_PEM_MAX  (256u << 10)
#define CSR_CN_MAX   64 /* ub-common-name, RFC 5280 appendix A.1 */
#define CSR_NAME_MAX 255

DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)

static void exts_free(STACK_OF(X509_EXTENSION) * exts)
{
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}
DEFINE_CLEANUP(STACK_OF(X509_EXTENSION) *, exts_free)

static int check_names(const char *const *names, size_t n_names, struct err *reterr)
{
	if (n_names == 0 || n_names > CHAIN_NAMES_MAX)
		return err_set(reterr, -EINVAL, "a request needs 1 to %d names, not %zu", CHAIN_NAMES_MAX,
			       n_names);
	for (size_t i = 0; i < n_names; i++) {
		size_t len = strlen(names[i]);

		if (len == 0 || len > CSR_NAME_MAX)
			return err_set(reterr, -EINVAL, "name %zu of the request is empty or too long",
				       i + 1);
		for (size_t j = 0; j < len; j++)
			if (!isascii(names[i][j]) || !isgraph((unsigned char)names[i][j]))
				return err_set(reterr, -EINVAL, "name %zu of the request is not plain ASCII",
					       i + 1);
	}
	return 0;
}

static bool add_dns_name(GENERAL_NAMES *list, const char *name)
{
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	if (gn == NULL || s == NULL || ASN1_STRING_set(s, name, -1) != 1) {
		GENERAL_NAME_free(gn);
		ASN1_IA5STRING_free(s);
		return false;
	}
	GENERAL_NAME_set0_value(gn, GEN_DNS, s);
	if (sk_GENERAL_NAME_push(list, gn) <= 0) {
		GENERAL_NAME_free(gn);
		return false;
	}
	return true;
}

static bool add_names(X509_REQ *req, const char *const *names, size_t n_names)
{
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *list = GENERAL_NAMES_new();
	_cleanup_(exts_freep) STACK_OF(X509_EXTENSION) *exts = NULL;

	if (list == NULL)
		return false;
	for (size_t i = 0; i < n_names; i++)
		if (!add_dns_name(list, names[i]))
			return false;
	return X509V3_add1_i2d(&exts, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 &&
	       X509_REQ_add_extensions(req, exts) == 1;
}

static bool fill(X509_REQ *req, const struct key *k, const char *const *names, size_t n_names)
{
	X509_NAME *subject = X509_REQ_get_subject_name(req);

	if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(req, k->pkey) != 1)
		return false;
	if (strlen(names[0]) <= CSR_CN_MAX &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, (const unsigned char *)names[0],
				       -1, -1, 0) != 1)
		return false;
	return add_names(req, names, n_names);
}

int csr_make(const struct key *k, const char *const *names, size_t n_names, char **ret_pem,
	     struct err *reterr)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = NULL;
	struct strbuf sb = STRBUF_INIT(CSR_PEM_MAX);
	unsigned char *der = NULL;
	int len, r;
	_clear_queue_;

	r = check_names(names, n_names, reterr);
	if (r < 0)
		return r;
	req = X509_REQ_new();
	if (req == NULL || !fill(req, k, names, n_names))
		return pki_err(reterr, -EIO, "cannot build the certificate request");
	if (X509_REQ_sign(req, k->pkey, EVP_sha256()) <= 0)
		return pki_err(reterr, -EIO, "cannot sign the certificate request");
	/* A key file that was damaged on disk still signs. Better to learn it here than from a paid order. */
	if (X509_REQ_verify(req, k->pkey) != 1)
		return pki_err(reterr, -EBADMSG,
			       "the private key is damaged: its own signature does not verify");
	len = i2d_X509_REQ(req, &der);
	if (len <= 0)
		return pki_err(reterr, -EIO, "cannot encode the certificate request");
	pem_append(&sb, "CERTIFICATE REQUEST", der, (size_t)len);
	OPENSSL_free(der);
	if (!strbuf_ok(&sb)) {
		strbuf_done(&sb);
		return err_set(reterr, -EFBIG, "the certificate request is larger than %u bytes",
			       CSR_PEM_MAX);
	}
	*ret_pem = strbuf_take(&sb);
	return 0;
}

/* The base64 part: behind the header (when there is one) and up to the footer. */
static void csr_body(const char *s, const char **ret, const char **ret_end)
{
	const char *begin = strstr(s, "-----BEGIN ");
	const char *p = s, *end;

	if (begin != NULL) {
		const char *q = strstr(begin + strlen("-----BEGIN "), "-----");

		p = q != NULL ? q + strlen("-----") : s + strlen(s);
	}
	end = strstr(p, "-----");
	*ret = p;
	*ret_end = end != NULL ? end : p + strlen(p);
}

static const char *skip_blank(const char *p, const char *end)
{
	while (p < end && isspace((unsigned char)*p))
		p++;
	return p;
}

bool csr_same(const char *a, const char *b)
{
	const char *a_end, *b_end;
	size_t n = 0;

	if (a == NULL || b == NULL)
		return false;
	csr_body(a, &a, &a_end);
	csr_body(b, &b, &b_end);
	for (;; n++) {
		a = skip_blank(a, a_end);
		b = skip_blank(b, b_end);
		if (a == a_end || b == b_end)
			return n > 0 && a == a_end && b == b_end;
		if (*a++ != *b++)
			return false;
	}
}

/* --- requests of others --- */

/* The one block, or what the text is instead. */
static int find_request(const char *pem, size_t len, struct pem_block *ret, struct err *reterr)
{
	struct pem_block more;
	size_t pos = 0;
	int r;

	if (len > CSR_READ_MAX)
		return err_set(reterr, -EBADMSG, "the request is larger than %u bytes", CSR_READ_MAX);
	if (len > 0 && pem[0] == 0x30)
		return err_set(reterr, -EBADMSG, "it looks like DER: a request in PEM is needed");
	r = pem_next(pem, len, &pos, ret, reterr);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(reterr, -EBADMSG, "there is no certificate request (PEM) in it");
	if (memmem(ret->label, ret->label_len, "PRIVATE KEY", 11) != NULL)
		return err_set(reterr, -EBADMSG,
			       "it is a private key, not a request; nothing of it was sent anywhere");
	if (!pem_is(ret, "CERTIFICATE REQUEST") && !pem_is(ret, "NEW CERTIFICATE REQUEST"))
		return err_set(reterr, -EBADMSG, "the PEM block is a %.*s, not a certificate request",
			       (int)ret->label_len, ret->label);
	r = pem_next(pem, len, &pos, &more, reterr);
	if (r > 0)
		return err_set(reterr, -EBADMSG, "there is a %.*s behind the request", (int)more.label_len,
			       more.label);
	return r;
}

static int parse_request(const char *pem, size_t len, X509_REQ **ret, struct err *reterr)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = NULL;
	_cleanup_free_ unsigned char *der = NULL;
	const unsigned char *p;
	struct pem_block b;
	size_t der_len = 0;
	int r = find_request(pem, len, &b, reterr);

	if (r == 0)
		r = pem_decode(&b, &der, &der_len, reterr);
	if (r < 0)
		return r;
	p = der;
	req = d2i_X509_REQ(NULL, &p, (long)der_len);
	if (req == NULL || p != der + der_len)
		return pki_err(reterr, -EBADMSG, "the certificate request is broken");
	*ret = TAKE_PTR(req);
	return 0;
}

int csr_key(const char *pem, size_t len, struct key **ret, struct err *reterr)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = NULL;
	EVP_PKEY *pkey;
	int r = parse_request(pem, len, &req, reterr);
	_clear_queue_;

	if (r < 0)
		return r;
	pkey = X509_REQ_get0_pubkey(req);
	if (pkey == NULL)
		return pki_err(reterr, -EBADMSG, "the key in the certificate request is not understood");
	if (X509_REQ_verify(req, pkey) != 1)
		return pki_err(reterr, -EBADMSG, "the signature of the certificate request is wrong");
	*ret = xmalloc(sizeof(**ret));
	(*ret)->pkey = pkey;
	(void)EVP_PKEY_up_ref(pkey);
	return 0;
}

bool csr_belongs(const char *pem, size_t len, const struct key *k)
{
	_cleanup_(key_freep) struct key *own = NULL;
	_clear_queue_;

	return csr_key(pem, len, &own, NULL) == 0 && EVP_PKEY_eq(own->pkey, k->pkey) == 1;
}
