/* SPDX-License-Identifier: Apache-2.0 */
/* A small CA for tests: certificates with exactly the fault that a case asks for. Made anew in each run,
 * so that nothing here can expire or be mistaken for a real key. */
#pragma once

#include "common/base.h"
#include "common/mem.h"
#include "daemon/pki/key.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define TESTPKI_NOW 1800000000 /* 2027-01-15 */
#define TESTPKI_DAY 86400

struct testpki_spec {
	const char *cn;
	EVP_PKEY *key;
	X509 *issuer; /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	int64_t from, to; /* 0: a day ago, in 90 days */
	const char *bc;	  /* basicConstraints; NULL: "critical,CA:FALSE" */
	const char *sans; /* "DNS:a.example,DNS:b.example" */
	const char *eku, *ku, *constraints;
	const char *raw_ext_oid; /* a critical extension that nobody knows */
	const EVP_MD *md;
	int64_t serial;
	bool v1;
	void (*tweak)(X509 *x);
};

static inline _unused_ EVP_PKEY *testpki_ec(void)
{
	EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	assert(k != NULL);
	return k;
}

static inline _unused_ EVP_PKEY *testpki_rsa(unsigned bits)
{
	EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);

	assert(k != NULL);
	return k;
}

static inline void testpki_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	if (value == NULL)
		return;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert(e != NULL);
	assert(X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static inline void testpki_raw_ext(X509 *x, const char *oid)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	assert(ASN1_OCTET_STRING_set(data, (const unsigned char *)"\x05\x00", 2) == 1);
	e = X509_EXTENSION_create_by_OBJ(NULL, o, 1, data);
	assert(X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
	ASN1_OBJECT_free(o);
}

static inline _unused_ X509 *testpki_issue(const struct testpki_spec *s)
{
	static int64_t next_serial = 0x1234567890;
	X509 *x = X509_new(), *issuer = s->issuer != NULL ? s->issuer : x;
	X509_NAME *name = X509_get_subject_name(x);

	assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->cn, -1, -1,
					  0) == 1);
	assert(X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1);
	assert(X509_set_pubkey(x, s->key) == 1);
	assert(ASN1_INTEGER_set_int64(X509_get_serialNumber(x), s->serial != 0 ? s->serial : next_serial++) ==
	       1);
	assert(ASN1_TIME_set(X509_getm_notBefore(x), s->from != 0 ? s->from : TESTPKI_NOW - TESTPKI_DAY) !=
	       NULL);
	assert(ASN1_TIME_set(X509_getm_notAfter(x), s->to != 0 ? s->to : TESTPKI_NOW + 90 * TESTPKI_DAY) !=
	       NULL);
	if (!s->v1) {
		assert(X509_set_version(x, X509_VERSION_3) == 1);
		testpki_ext(x, issuer, NID_basic_constraints, s->bc != NULL ? s->bc : "critical,CA:FALSE");
		testpki_ext(x, issuer, NID_subject_key_identifier, "hash");
		if (s->issuer != NULL)
			testpki_ext(x, issuer, NID_authority_key_identifier, "keyid");
		testpki_ext(x, issuer, NID_subject_alt_name, s->sans);
		testpki_ext(x, issuer, NID_ext_key_usage, s->eku);
		testpki_ext(x, issuer, NID_key_usage, s->ku);
		testpki_ext(x, issuer, NID_name_constraints, s->constraints);
	}
	if (s->raw_ext_oid != NULL)
		testpki_raw_ext(x, s->raw_ext_oid);
	if (s->tweak != NULL)
		s->tweak(x);
	assert(X509_sign(x, s->issuer_key != NULL ? s->issuer_key : s->key,
			 s->md != NULL ? s->md : EVP_sha256()) > 0);
	return x;
}

static inline _unused_ char *testpki_pem(X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL, *ret;
	long n;

	assert(PEM_write_bio_X509(b, x) == 1);
	n = BIO_get_mem_data(b, &data);
	ret = xstrndup(data, (size_t)n);
	BIO_free(b);
	return ret;
}

/* Our own type for a key that the test made. */
static inline _unused_ struct key *testpki_key(EVP_PKEY *pkey)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct key *k = NULL;
	char *data = NULL;
	long n;
	int r;

	assert(PEM_write_bio_PrivateKey(b, pkey, NULL, NULL, 0, NULL, NULL) == 1);
	n = BIO_get_mem_data(b, &data);
	r = key_from_pem(data, (size_t)n, &k, NULL);
	assert(r == 0);
	BIO_free(b);
	return k;
}

/* Changes one bit of the signature. */
static inline _unused_ void testpki_break_signature(X509 *x)
{
	const ASN1_BIT_STRING *sig = NULL;
	unsigned char *der = NULL;
	const unsigned char *p;
	int len;
	X509 *again;

	X509_get0_signature(&sig, NULL, x);
	len = i2d_X509(x, &der);
	assert(len > 0 && sig != NULL);
	der[len - 3] ^= 1; /* the signature comes last */
	p = der;
	again = d2i_X509(&x, &p, len);
	assert(again == x);
	OPENSSL_free(der);
}
