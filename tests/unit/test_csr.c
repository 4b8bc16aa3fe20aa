/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testpki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/mem.h"

static X509_REQ *parse(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509_REQ *req = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);

	assert_non_null(req);
	BIO_free(b);
	return req;
}

static void check_names(X509_REQ *req, const char *const *names, size_t n)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *list = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);

	assert_non_null(list);
	assert_int_equal(sk_GENERAL_NAME_num(list), n);
	for (size_t i = 0; i < n; i++) {
		int type = 0;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, (int)i), &type);

		assert_int_equal(type, GEN_DNS);
		assert_int_equal(ASN1_STRING_length(s), strlen(names[i]));
		assert_memory_equal(ASN1_STRING_get0_data(s), names[i], strlen(names[i]));
	}
	GENERAL_NAMES_free(list);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static void make_and_check(enum key_type type, const char *const *names, size_t n, const char *cn)
{
	struct key *k = NULL;
	char *pem = NULL, got[128] = "";

	assert_int_equal(key_generate(type, type == KEY_RSA ? 2048 : 0, &k, NULL), 0);
	assert_int_equal(csr_make(k, names, n, &pem, NULL), 0);
	assert_int_equal(strncmp(pem, "-----BEGIN CERTIFICATE REQUEST-----\n", 36), 0);
	assert_null(strchr(pem, '\r'));
	X509_REQ *req = parse(pem);
	assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	assert_int_equal(X509_REQ_get_version(req), X509_REQ_VERSION_1);
	check_names(req, names, n);
	(void)X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(req), NID_commonName, got, sizeof(got));
	assert_string_equal(got, cn);
	assert_true(X509_REQ_get_signature_nid(req) ==
		    (type == KEY_RSA ? NID_sha256WithRSAEncryption : NID_ecdsa_with_SHA256));
	X509_REQ_free(req);
	free(pem);
	key_free(k);
}

static void test_make(void **state)
{
	const char *const one[] = { "example.com" };
	const char *const some[] = { "*.example.com", "example.com", "xn--bcher-kva.example" };
	const char *const longish[] = {
		"a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g234.example", "b.example"
	};
	const char *const edge[] = { "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.exam" };

	(void)state;
	make_and_check(KEY_RSA, one, 1, "example.com");
	make_and_check(KEY_EC_P256, some, 3, "*.example.com");
	make_and_check(KEY_EC_P384, longish, 2, "");
	assert_int_equal(strlen(edge[0]), 64);
	make_and_check(KEY_EC_P256, edge, 1, edge[0]);
}

static void test_many(void **state)
{
	char text[500][40];
	const char *names[501];

	(void)state;
	for (size_t i = 0; i < 500; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "host-%zu.example.com", i);
		names[i] = text[i];
	}
	make_and_check(KEY_EC_P256, names, 500, "host-0.example.com");
}

static void test_refuses(void **state)
{
	const char *const bad[] = { "", "a b", "b\xc3\xbc.example", "a\nb" };
	const char *names[501];
	struct err e = ERR_INIT;
	struct key *k = NULL;
	char *pem = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_EC_P256, 0, &k, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(csr_make(k, &bad[i], 1, &pem, &e), -EINVAL);
	assert_int_equal(csr_make(k, names, 0, &pem, &e), -EINVAL);
	for (size_t i = 0; i < 501; i++)
		names[i] = "a.example";
	assert_int_equal(csr_make(k, names, 501, &pem, &e), -EINVAL);
	assert_null(pem);
	key_free(k);
}

/* A key file in which the private number was damaged, but not the public one. */
static void test_damaged_key(void **state)
{
	const char *const names[] = { "example.com" };
	EVP_PKEY *ec = testpki_ec();
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(ec, &der);
	char b64[1024];
	struct err e = ERR_INIT;
	struct key *k = NULL;
	char *pem, *csr = NULL;

	(void)state;
	der[20] ^= 1; /* SEC1: 30 len 02 01 01 04 20 <32 bytes> */
	assert_true(EVP_EncodeBlock((unsigned char *)b64, der, len) > 0);
	pem = xasprintf("-----BEGIN EC PRIVATE KEY-----\n%s\n-----END EC PRIVATE KEY-----\n", b64);
	if (key_from_pem(pem, strlen(pem), &k, &e) == 0)
		assert_int_equal(csr_make(k, names, 1, &csr, &e), -EBADMSG);
	assert_null(csr);
	key_free(k);
	free(pem);
	OPENSSL_free(der);
	EVP_PKEY_free(ec);
}

static void test_same(void **state)
{
	const char *a =
		"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\nAAAA\n-----END CERTIFICATE REQUEST-----\n";

	(void)state;
	assert_true(csr_same(a, a));
	assert_true(csr_same(
		a,
		"-----BEGIN CERTIFICATE REQUEST-----\r\nMIIBAAAA\r\n-----END CERTIFICATE REQUEST-----\r\n"));
	assert_true(
		csr_same(a, "-----BEGIN CERTIFICATE REQUEST-----MIIBAAAA-----END CERTIFICATE REQUEST-----"));
	assert_true(csr_same(
		a,
		"-----BEGIN NEW CERTIFICATE REQUEST-----\nMIIBAAAA\n-----END NEW CERTIFICATE REQUEST-----"));
	assert_true(csr_same(a, "MIIB AAAA"));
	assert_false(csr_same(a, "MIIBAAAB"));
	assert_false(csr_same(a, "MIIBAAA"));
	assert_false(csr_same(a, "MIIBAAAAA"));
	assert_false(csr_same(a, ""));
	assert_false(csr_same("", ""));
	assert_false(csr_same(NULL, a));
	assert_false(csr_same(a, NULL));
	assert_false(csr_same("-----BEGIN CERTIFICATE REQUEST", "-----BEGIN CERTIFICATE REQUEST"));
}

/* Swaps two characters in the middle of the base64. */
static char *spoilt(const char *pem)
{
	char *s = xstrdup(pem);
	size_t at = strlen(s) - 120;

	s[at] = s[at] == 'A' ? 'B' : 'A';
	return s;
}

static void test_requests_of_others(void **state)
{
	static const char *const NAMES[] = { "a.example" };
	_cleanup_(key_freep) struct key *k = NULL, *other = NULL, *pub = NULL;
	_cleanup_free_ char *csr = NULL, *bad = NULL, *twice = NULL, *crlf = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_EC_P256, 0, &k, NULL), 0);
	assert_int_equal(key_generate(KEY_EC_P256, 0, &other, NULL), 0);
	assert_int_equal(csr_make(k, NAMES, 1, &csr, NULL), 0);
	assert_int_equal(csr_key(csr, strlen(csr), &pub, NULL), 0);
	assert_true(key_matches(pub, KEY_EC_P256, 0));
	assert_true(csr_belongs(csr, strlen(csr), k));
	assert_true(csr_belongs(csr, strlen(csr), pub));
	assert_false(csr_belongs(csr, strlen(csr), other));
	bad = spoilt(csr);
	assert_false(csr_belongs(bad, strlen(bad), k));
	twice = xasprintf("%s%s", csr, csr);
	assert_false(csr_belongs(twice, strlen(twice), k));
	crlf = xasprintf("some text\r\n%s\r\n", csr);
	assert_true(csr_belongs(crlf, strlen(crlf), k));
}

static void refused(const char *text, size_t len, const char *said)
{
	struct key *k = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(csr_key(text, len, &k, &e), -EBADMSG);
	assert_null(k);
	if (strstr(e.text, said) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, said);
}

static void test_what_is_no_request(void **state)
{
	static const char CERT[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	static const char EMPTY[] =
		"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
	_cleanup_(key_freep) struct key *k = NULL;
	_cleanup_wipe_ char *pem = NULL;
	_cleanup_free_ char *large = xasprintf("%*s", (int)CSR_READ_MAX + 1, "");

	(void)state;
	assert_int_equal(key_generate(KEY_EC_P256, 0, &k, NULL), 0);
	assert_int_equal(key_to_pem(k, NULL, &pem, NULL), 0);
	refused("", 0, "no certificate request");
	refused("hello\n", 6, "no certificate request");
	refused("0\x82", 2, "DER");
	refused(pem, strlen(pem), "private key");
	refused(CERT, strlen(CERT), "is a CERTIFICATE, not");
	refused(EMPTY, strlen(EMPTY), "broken");
	refused(large, strlen(large), "larger than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_damaged_key),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_requests_of_others),
		cmocka_unit_test(test_what_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
