/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing but certificates, nothing but a key: what another account wrote and root is about to copy. */
#include "daemon/pki/chain.h"

#include "common/mem.h"
#include "tests/unit/testpki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char *cert, *rsa_key, *ec_key, *pkcs8_key;

static char *key_text(EVP_PKEY *pkey)
{
	struct key *k = testpki_key(pkey);
	char *pem = NULL;

	assert_int_equal(key_to_pem(k, NULL, &pem, NULL), 0);
	key_free(k);
	return pem;
}

static char *pkcs8_text(EVP_PKEY *pkey)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL, *ret;
	long n;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, pkey, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(b, &data);
	ret = xstrndup(data, (size_t)n);
	BIO_free(b);
	return ret;
}

static int setup(_unused_ void **state)
{
	EVP_PKEY *ec = testpki_ec(), *rsa = testpki_rsa(2048);
	X509 *x = testpki_issue(&(struct testpki_spec){ .cn = "www.example.com", .key = ec });

	cert = testpki_pem(x);
	ec_key = key_text(ec);
	rsa_key = key_text(rsa);
	pkcs8_key = pkcs8_text(ec);
	X509_free(x);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	return 0;
}

static int teardown(_unused_ void **state)
{
	free(cert);
	mem_wipe_free(ec_key);
	mem_wipe_free(rsa_key);
	mem_wipe_free(pkcs8_key);
	return 0;
}

static int certs(const char *text)
{
	struct err e = ERR_INIT;
	int r = certs_plain(text, strlen(text), &e);

	assert_true(r == 0 || (r == -EBADMSG && e.text[0] != '\0'));
	return r;
}

static int key(const char *text)
{
	struct key *k = NULL;
	struct err e = ERR_INIT;
	int r = key_plain(text, strlen(text), &k, &e);

	assert_true((r == 0 && k) || (r == -EBADMSG && !k && e.text[0] != '\0'));
	key_free(k);
	return r;
}

#define BAD(fn, fmt, ...)                                                                                    \
	do {                                                                                                 \
		_cleanup_free_ char *text_ = xasprintf(fmt, __VA_ARGS__);                                    \
		assert_int_equal(fn(text_), -EBADMSG);                                                       \
	} while (0)

static void test_certs(_unused_ void **state)
{
	_cleanup_free_ char *two = xasprintf("%s%s", cert, cert);
	_cleanup_free_ char *many = xstrdup("");

	assert_int_equal(certs(cert), 0);
	assert_int_equal(certs(two), 0);
	assert_int_equal(certs(""), 0);
	for (int i = 0; i <= CHAIN_CERTS_MAX; i++) {
		char *more = xasprintf("%s%s", many, cert);

		free(many);
		many = more;
	}
	assert_int_equal(certs(many), -EBADMSG);
	BAD(certs, "x%s", cert);
	BAD(certs, "\n%s", cert);
	BAD(certs, "%s\n", cert);
	BAD(certs, "%s#\n%s", cert, cert);
	BAD(certs, "%s%s", cert, ec_key);
	BAD(certs, "%.*s", (int)strlen(cert) - 1, cert);
	BAD(certs, "%.40s", cert);
	BAD(certs, "%s", "some text");
	BAD(certs, "%s", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n");
	BAD(certs, "-----BEGIN TRUSTED CERTIFICATE-----%s", cert + strlen("-----BEGIN CERTIFICATE-----"));
}

/* What is in a line may say the same in another way; that too is a choice, and not ours. */
static void test_other_forms(_unused_ void **state)
{
	_cleanup_free_ char *crlf = xmalloc(2 * strlen(cert) + 1);
	_cleanup_free_ char *blank = xstrdup(cert);
	char *to = crlf;

	for (const char *c = cert; *c; c++) {
		if (*c == '\n')
			*to++ = '\r';
		*to++ = *c;
	}
	assert_int_equal(certs(crlf), -EBADMSG);
	*strchr(strchr(blank, '\n') + 1, '\n') = ' ';
	assert_int_equal(certs(blank), -EBADMSG);
	BAD(key, "%sx", rsa_key);
}

static void test_keys(_unused_ void **state)
{
	assert_int_equal(key(ec_key), 0);
	assert_int_equal(key(rsa_key), 0);
	assert_int_equal(key(pkcs8_key), 0);
	BAD(key, "%s", "");
	BAD(key, "%s%s", ec_key, rsa_key);
	BAD(key, "%s\n", ec_key);
	BAD(key, "root::0:0:::\n%s", ec_key);
	BAD(key, "%s%s", ec_key, cert);
	BAD(key, "%s", cert);
	BAD(key, "%.60s", ec_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certs),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
