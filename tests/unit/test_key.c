/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pki/key.h"

#include "tests/unit/testpki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *to_pem(const struct key *k, const char *pass)
{
	char *pem = NULL;

	assert_int_equal(key_to_pem(k, pass, &pem, NULL), 0);
	assert_null(strchr(pem, '\r'));
	return pem;
}

static void round_trip(enum key_type type, unsigned bits, const char *header)
{
	struct key *k = NULL, *again = NULL;

	assert_int_equal(key_generate(type, bits, &k, NULL), 0);
	assert_true(key_matches(k, type, bits));
	char *pem = to_pem(k, NULL);
	assert_int_equal(strncmp(pem, header, strlen(header)), 0);
	assert_int_equal(key_from_pem(pem, strlen(pem), &again, NULL), 0);
	assert_true(key_matches(again, type, bits));
	char *second = to_pem(again, NULL);
	assert_string_equal(pem, second);
	mem_wipe_free(pem);
	mem_wipe_free(second);
	key_free(k);
	key_free(again);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(KEY_RSA, 2048, "-----BEGIN RSA PRIVATE KEY-----\n");
	round_trip(KEY_RSA, 3072, "-----BEGIN RSA PRIVATE KEY-----\n");
	round_trip(KEY_EC_P256, 0, "-----BEGIN EC PRIVATE KEY-----\n");
	round_trip(KEY_EC_P384, 0, "-----BEGIN EC PRIVATE KEY-----\n");
}

static void test_matches(void **state)
{
	struct key *rsa = NULL, *ec = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_RSA, 2048, &rsa, NULL), 0);
	assert_int_equal(key_generate(KEY_EC_P256, 0, &ec, NULL), 0);
	assert_false(key_matches(rsa, KEY_RSA, 3072));
	assert_false(key_matches(rsa, KEY_EC_P256, 0));
	assert_false(key_matches(ec, KEY_EC_P384, 0));
	assert_false(key_matches(ec, KEY_RSA, 2048));
	assert_false(key_matches(NULL, KEY_RSA, 2048));
	key_free(rsa);
	key_free(ec);
	key_free(NULL);
}

static void test_generate_refuses(void **state)
{
	struct err e = ERR_INIT;
	struct key *k = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_RSA, 1024, &k, &e), -EINVAL);
	assert_int_equal(key_generate(KEY_RSA, 16384, &k, &e), -EINVAL);
	assert_non_null(strstr(e.text, "16384"));
	assert_null(k);
}

static void test_passphrase(void **state)
{
	struct err e = ERR_INIT;
	struct key *k = NULL, *again = NULL;
	EVP_PKEY *back;
	BIO *b;

	(void)state;
	assert_int_equal(key_generate(KEY_RSA, 2048, &k, NULL), 0);
	char *pem = to_pem(k, "open sesame"), *plain = to_pem(k, NULL), *bad = NULL;
	assert_ptr_equal(
		strstr(pem,
		       "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,"),
		pem);
	assert_int_equal(key_from_pem(pem, strlen(pem), &again, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "encrypted"));
	assert_int_equal(key_to_pem(k, "", &bad, &e), -EINVAL);
	b = BIO_new_mem_buf(pem, -1);
	back = PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)(uintptr_t) "open sesame");
	assert_non_null(back);
	struct key *third = testpki_key(back);
	char *plain_again = to_pem(third, NULL);
	assert_string_equal(plain, plain_again);
	BIO_free(b);
	EVP_PKEY_free(back);
	mem_wipe_free(pem);
	mem_wipe_free(plain);
	mem_wipe_free(plain_again);
	key_free(third);
	key_free(k);
}

static char *pkey_pem(EVP_PKEY *p, bool params, bool crlf)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL, *ret;
	long n;

	if (params)
		BIO_puts(b, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
	assert_int_equal(PEM_write_bio_PrivateKey(b, p, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(b, &data);
	ret = xmalloc((size_t)n * 2 + 1);
	for (long i = 0, o = 0; i < n; i++) {
		if (crlf && data[i] == '\n')
			ret[o++] = '\r';
		ret[o++] = data[i];
	}
	BIO_free(b);
	return ret;
}

static void accepts(char *pem, enum key_type type, unsigned bits)
{
	struct err e = ERR_INIT;
	struct key *k = NULL;
	int r = key_from_pem(pem, strlen(pem), &k, &e);

	if (r != 0)
		print_error("%s\n", e.text);
	assert_int_equal(r, 0);
	assert_true(key_matches(k, type, bits));
	key_free(k);
	free(pem);
}

static void refuses(char *pem, size_t len, const char *say)
{
	struct err e = ERR_INIT;
	struct key *k = NULL;

	assert_int_equal(key_from_pem(pem, len, &k, &e), -EBADMSG);
	if (strstr(e.text, say) == NULL)
		print_error("wanted \"%s\", got %s\n", say, e.text);
	assert_non_null(strstr(e.text, say));
	assert_null(k);
	free(pem);
}

static void test_forms(void **state)
{
	EVP_PKEY *ec = testpki_ec(), *rsa = testpki_rsa(2048), *small = testpki_rsa(1024);
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
		 *k1 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
	char *pem, *s;

	(void)state;
	accepts(pkey_pem(ec, false, false), KEY_EC_P256, 0);
	accepts(pkey_pem(ec, true, true), KEY_EC_P256, 0);
	accepts(pkey_pem(rsa, false, true), KEY_RSA, 2048);
	pem = pkey_pem(small, false, false);
	refuses(pem, strlen(pem), "1024 bits");
	pem = pkey_pem(ed, false, false);
	refuses(pem, strlen(pem), "neither RSA nor EC");
	pem = pkey_pem(k1, false, false);
	refuses(pem, strlen(pem), "neither RSA nor EC");
	pem = pkey_pem(ec, false, false);
	s = xasprintf("%s\n \n", pem);
	accepts(s, KEY_EC_P256, 0);
	s = xasprintf("%s%s", pem, pem);
	refuses(s, strlen(s), "behind");
	s = xasprintf("%s# note", pem);
	refuses(s, strlen(s), "behind");
	refuses(xstrdup(pem), strlen(pem) - 40, "PEM block");
	pem[60] = '*';
	refuses(pem, strlen(pem), "private key");
	refuses(xstrdup(""), 0, "no PEM");
	s = xstrdup("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	refuses(s, strlen(s), "CERTIFICATE");
	s = xstrdup("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
	refuses(s, strlen(s), "encrypted");
	refuses(xmalloc(70000), 70000, "larger");
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(k1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_generate_refuses),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
