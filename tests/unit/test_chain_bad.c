/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that must never be installed. The good ones are in test_chain.c. */
#include "tests/unit/chain_fixture.h"

#include "common/strbuf.h"

#include <errno.h>

/* ---- what must not ---- */

static void bad_full(const char *pem, size_t len, const char *const *names, size_t n_names, const char *say)
{
	struct err e = ERR_INIT;
	struct chain *c = NULL;
	int r = check_at(pem, len, names, n_names, NOW, &c, &e);

	if (r != -EBADMSG || strstr(e.text, say) == NULL)
		print_error("wanted \"%s\", got %d: %s\n", say, r, e.text);
	assert_int_equal(r, -EBADMSG);
	assert_null(c);
	assert_non_null(strstr(e.text, say));
	assert_int_equal(check_at(pem, len, names, n_names, NOW, &c, NULL), -EBADMSG);
}

static void bad_text(const char *pem, const char *say)
{
	bad_full(pem, strlen(pem), wanted, 2, say);
}

static void bad_free(char *pem, const char *say)
{
	bad_text(pem, say);
	free(pem);
}

/* A leaf after the spec, with the good intermediate behind it. */
static void bad_leaf(const struct testpki_spec *s, const char *say)
{
	X509 *x = testpki_issue(s);
	char *leaf = testpki_pem(x);

	bad_free(join(leaf, pki.ica_pem, ""), say);
	free(leaf);
	X509_free(x);
}

/* A leaf below an intermediate after the spec; takes ica. */
static void bad_ica(X509 *ica, EVP_PKEY *key, const char *say)
{
	struct testpki_spec s = leaf_spec();

	s.issuer = ica;
	s.issuer_key = key;
	X509 *x = testpki_issue(&s);
	char *leaf = testpki_pem(x), *ica_pem = testpki_pem(ica);
	bad_free(join(leaf, ica_pem, ""), say);
	free(leaf);
	free(ica_pem);
	X509_free(x);
	X509_free(ica);
}

static void test_bad_kind(void **state)
{
	(void)state;
	bad_text("", "empty");
	bad_text(" \r\n\t\n", "empty");
	bad_full("PK\x03\x04\x14\x00\x00\x00", 8, wanted, 2, "zip");
	bad_text("{\"errors\":[{\"code\":\"not_issued\"}]}", "JSON");
	bad_text("  [1]", "JSON");
	bad_text("<!DOCTYPE html><html>", "HTML");
	bad_full("0\x82\x01\x0a\x00", 5, wanted, 2, "DER");
	bad_text("please wait", "no certificate");
	bad_text("\n-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", "PKCS7");
	bad_free(join("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", pki.bundle, ""),
		 "PRIVATE KEY");
	char *big = xmalloc(CHAIN_PEM_MAX + 2);
	memset(big, 'x', CHAIN_PEM_MAX + 1);
	bad_free(big, "at most");
}

static void test_bad_blocks(void **state)
{
	char *s;

	(void)state;
	s = xstrdup(pki.bundle);
	s[strlen(s) - 30] = '\0';
	bad_free(s, "PEM block");
	s = xstrdup(pki.bundle);
	s[100] = '!';
	bad_free(s, "base64");
	s = xstrdup(pki.bundle);
	memmove(s + 100, s + 101, strlen(s + 101) + 1);
	bad_free(s, "base64");
	bad_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "base64");
	bad_text("-----BEGIN CERTIFICATE-----\nAAAA====\n-----END CERTIFICATE-----\n", "base64");
	bad_text("-----BEGIN CERTIFICATE-----\nAA==AAAA\n-----END CERTIFICATE-----\n", "behind its end");
	bad_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END X-----\n", "as it began");
	bad_text("-----BEGIN CERTIFICATE\nAAAA\n-----END CERTIFICATE-----\n", "header line");
	bad_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be parsed");
	struct strbuf sb = STRBUF_INIT(1u << 20);
	for (int i = 0; i < CHAIN_CERTS_MAX + 1; i++)
		strbuf_adds(&sb, pki.leaf_pem);
	bad_text(strbuf_str(&sb), "more than 10");
	strbuf_done(&sb);
}

static void test_bad_trailing_der(void **state)
{
	unsigned char *der = NULL;
	int len = i2d_X509(pki.leaf, &der);
	unsigned char *longer = xmalloc((size_t)len + 3);
	char *b64 = xmalloc((size_t)len * 2 + 8);

	(void)state;
	memcpy(longer, der, (size_t)len);
	assert_true(EVP_EncodeBlock((unsigned char *)b64, longer, len + 3) > 0);
	bad_free(xasprintf("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", b64),
		 "behind its end");
	OPENSSL_free(der);
	free(longer);
	free(b64);
}

static void test_bad_key(void **state)
{
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.key = pki.ec2_key;
	bad_leaf(&s, "belongs to our private key");
	bad_text(pki.ica_pem, "belongs to our private key");
	/* the same key twice: which one is meant? */
	s = leaf_spec();
	X509 *x = testpki_issue(&s);
	char *other = testpki_pem(x);
	bad_free(join(pki.bundle, other, ""), "two different");
	free(other);
	X509_free(x);
}

static void test_bad_names(void **state)
{
	const char *const other[] = { "example.com", "example.org" };
	const char *const deep[] = { "a.b.wild.example.com" };
	const char *const bare[] = { "wild.example.com" };
	const char *const star[] = { "*.example.com" };
	struct testpki_spec s = leaf_spec();

	(void)state;
	bad_full(pki.bundle, strlen(pki.bundle), other, 2, "not for example.org");
	bad_full(pki.bundle, strlen(pki.bundle), deep, 1, "not for");
	bad_full(pki.bundle, strlen(pki.bundle), bare, 1, "not for");
	bad_full(pki.bundle, strlen(pki.bundle), star, 1, "not for");
	s.sans = NULL; /* a common name is no name (RFC 6125 6.4.4) */
	bad_leaf(&s, "not for example.com");
	s.sans = "IP:192.0.2.1";
	bad_leaf(&s, "not for example.com");
	s.sans = "DNS:w*.example.com,DNS:*.com,DNS:*";
	bad_leaf(&s, "of its 3 names");
}

static void tweak_nul(X509 *x)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	assert_int_equal(ASN1_STRING_set(s, "example.com\0.evil.org", 21), 1);
	GENERAL_NAME_set0_value(gn, GEN_DNS, s);
	sk_GENERAL_NAME_push(list, gn);
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT), 1);
	GENERAL_NAMES_free(list);
}

static void tweak_many(X509 *x)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();

	for (int i = 0; i <= CHAIN_NAMES_MAX; i++) {
		GENERAL_NAME *gn = GENERAL_NAME_new();
		ASN1_IA5STRING *s = ASN1_IA5STRING_new();

		assert_int_equal(ASN1_STRING_set(s, "example.com", -1), 1);
		GENERAL_NAME_set0_value(gn, GEN_DNS, s);
		sk_GENERAL_NAME_push(list, gn);
	}
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT), 1);
	GENERAL_NAMES_free(list);
}

static void tweak_two_sans(X509 *x)
{
	testpki_ext(x, x, NID_subject_alt_name, "DNS:example.com");
	testpki_ext(x, x, NID_subject_alt_name, "DNS:www.example.com");
}

static void test_bad_extensions(void **state)
{
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.sans = NULL;
	s.tweak = tweak_nul;
	bad_leaf(&s, "no host name");
	s.tweak = tweak_many;
	bad_leaf(&s, "501 names");
	s.tweak = tweak_two_sans;
	bad_leaf(&s, "alternative names");
	s = leaf_spec();
	s.raw_ext_oid = "1.2.3.4.5";
	bad_leaf(&s, "critical extension");
	s = leaf_spec();
	s.eku = "clientAuth";
	bad_leaf(&s, "serverAuth");
	s = leaf_spec();
	s.serial = -5;
	bad_leaf(&s, "serial number");
	s = leaf_spec();
	s.v1 = true;
	bad_leaf(&s, "not for"); /* no extensions, so no names */
}

static void test_bad_dates(void **state)
{
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.to = NOW;
	bad_leaf(&s, "expired at 2027-01-15T08:00:00Z");
	s = leaf_spec();
	s.from = NOW + 3601;
	bad_leaf(&s, "valid from 2027-01-15T09:00:01Z");
}

static void test_bad_role(void **state)
{
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.bc = "critical,CA:TRUE";
	bad_leaf(&s, "CA");
	s = leaf_spec();
	s.ku = "critical,cRLSign";
	bad_leaf(&s, "purpose");
	s = leaf_spec();
	s.issuer = NULL;
	s.issuer_key = NULL;
	bad_leaf(&s, "self-signed");
}

static void test_bad_trust(void **state)
{
	EVP_PKEY *k = testpki_ec();
	struct testpki_spec s = leaf_spec();

	(void)state;
	bad_text(pki.leaf_pem, "\"Test ICA\", the issuer of \"example.com\", was not sent");
	bad_free(join(pki.leaf_pem, pki.root_pem, ""), "was not sent");
	bad_ica(make_ca("Foreign ICA", k, pki.other_root, pki.ec2_key), k, "no path");
	/* the intermediate is known here, but clients would not have it */
	s.issuer = pki.stored_ica;
	s.issuer_key = pki.ec2_key;
	X509 *x = testpki_issue(&s);
	bad_free(testpki_pem(x), "\"Stored ICA\" was not sent");
	X509_free(x);
	/* root sent, but not trusted */
	s.issuer = pki.other_root;
	x = testpki_issue(&s);
	char *leaf = testpki_pem(x), *root = testpki_pem(pki.other_root);
	bad_free(join(leaf, root, ""), "no path");
	free(leaf);
	free(root);
	X509_free(x);
	EVP_PKEY_free(k);
}

static void test_bad_signature(void **state)
{
	struct testpki_spec s = leaf_spec();
	X509 *x = testpki_issue(&s), *ica;
	char *pem;

	(void)state;
	testpki_break_signature(x);
	pem = testpki_pem(x);
	bad_free(join(pem, pki.ica_pem, ""), "signature");
	free(pem);
	X509_free(x);
	/* the right name and key identifier, another key */
	s.issuer_key = pki.other_key;
	bad_leaf(&s, "signature");
	ica = make_ca("Test ICA", pki.ica_key, pki.root, pki.root_key);
	testpki_break_signature(ica);
	bad_ica(ica, pki.ica_key, "signature");
}

static void test_bad_strength(void **state)
{
	EVP_PKEY *weak = testpki_rsa(1024);
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.md = EVP_sha1();
	bad_leaf(&s, "too weak");
	bad_ica(make_ca("Weak ICA", weak, pki.root, pki.root_key), weak, "too");
	bad_ica(testpki_issue(&(struct testpki_spec){ .cn = "SHA-1 ICA",
						      .key = pki.ica_key,
						      .issuer = pki.root,
						      .issuer_key = pki.root_key,
						      .bc = "critical,CA:TRUE",
						      .md = EVP_sha1() }),
		pki.ica_key, "too weak");
	EVP_PKEY_free(weak);
}

static X509 *odd_ica(const char *bc, const char *ku, const char *constraints, int64_t to)
{
	return testpki_issue(&(struct testpki_spec){ .cn = "Odd ICA",
						     .key = pki.ica_key,
						     .issuer = pki.root,
						     .issuer_key = pki.root_key,
						     .bc = bc,
						     .ku = ku,
						     .constraints = constraints,
						     .to = to });
}

static void test_bad_intermediate(void **state)
{
	(void)state;
	bad_ica(odd_ica("critical,CA:TRUE", NULL, NULL, NOW - 1), pki.ica_key, "expired");
	bad_ica(odd_ica("critical,CA:FALSE", NULL, NULL, 0), pki.ica_key, "");
	bad_ica(odd_ica("critical,CA:TRUE", "critical,digitalSignature", NULL, 0), pki.ica_key, "");
	bad_ica(odd_ica("critical,CA:TRUE", NULL, "critical,permitted;DNS:example.org", 0), pki.ica_key,
		"permitted");
}

static void test_bad_path_length(void **state)
{
	EVP_PKEY *k2 = testpki_ec();
	X509 *top = odd_ica("critical,CA:TRUE,pathlen:0", NULL, NULL, 0);
	X509 *low = make_ca("Low ICA", k2, top, pki.ica_key);
	struct testpki_spec s = leaf_spec();

	(void)state;
	s.issuer = low;
	s.issuer_key = k2;
	X509 *x = testpki_issue(&s);
	char *a = testpki_pem(x), *b = testpki_pem(low), *c = testpki_pem(top);
	bad_free(join(a, b, c), "path length");
	free(a);
	free(b);
	free(c);
	X509_free(x);
	X509_free(low);
	X509_free(top);
	EVP_PKEY_free(k2);
}

static void test_bad_explicit_curve(void **state)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *k = NULL;

	(void)state;
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, "P-256"), 1);
	assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &k), 1);
	EVP_PKEY_CTX_free(ctx);
	bad_ica(make_ca("Explicit ICA", k, pki.root, pki.root_key), k, "spells out its curve");
	EVP_PKEY_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_kind),	 cmocka_unit_test(test_bad_blocks),
		cmocka_unit_test(test_bad_trailing_der), cmocka_unit_test(test_bad_key),
		cmocka_unit_test(test_bad_names),	 cmocka_unit_test(test_bad_extensions),
		cmocka_unit_test(test_bad_dates),	 cmocka_unit_test(test_bad_role),
		cmocka_unit_test(test_bad_trust),	 cmocka_unit_test(test_bad_signature),
		cmocka_unit_test(test_bad_strength),	 cmocka_unit_test(test_bad_intermediate),
		cmocka_unit_test(test_bad_path_length),	 cmocka_unit_test(test_bad_explicit_curve),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
