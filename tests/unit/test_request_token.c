/* SPDX-License-Identifier: Apache-2.0 */
/* Request tokens against fixed vectors (computed with Python's hmac and integers, checked with Java's BigInteger), and base 36
 * against multiplying back. */
#include "daemon/pki/token.h"

#include "common/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIDNIGHT  1795219500 /* five minutes after 20261121000000 */
#define HALF_PAST 1795224912 /* five minutes after 20261121013012 */

static const char csr[] = "-----BEGIN CERTIFICATE REQUEST-----\n"
			  "MIHQMHgCAQAwFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggq\n"
			  "hkjOPQMBBwNCAASB/t+zh2qBSwkPhC4h1hNo2/bt/KiumrhjNqdhZRLvlVTNG0On\n"
			  "YLwEFooiQkS9z2P85yWJMO7CjM/c+dM8c1cYoAAwCgYIKoZIzj0EAwIDSAAwRQIg\n"
			  "fRseGVJmepxZoL6D0Uz0OX1Kmc/0rbv2+5IE3melkZECIQCIFZID16xWCRAqOkCf\n"
			  "h8DtQgPjz3ZL5GTdaDeLuTClog==\n"
			  "-----END CERTIFICATE REQUEST-----\n";

static void expect_token(const char *key, int64_t now, const char *value, const char *want)
{
	_cleanup_(secret_freep) struct secret *k = secret_new(key, strlen(key));
	char token[REQUEST_TOKEN_LEN + 1];

	memset(token, 'x', sizeof token);
	assert_int_equal(request_token(k, now, value, strlen(value), token), 0);
	assert_string_equal(token, want);
	assert_int_equal(strlen(token), REQUEST_TOKEN_LEN);
}

static void test_short_values(_unused_ void **state)
{
	expect_token("someToken", MIDNIGHT, "some-token-value",
		     "202611210000000d3zelhm2qby6vugaantn7l2v1xwevjcc0jw1dn9jsiz4zzrdh");
	expect_token("someToken", MIDNIGHT, "pad-1",
		     "202611210000000v12lx93iphiu5yv6zvrag06097ln5spylgssiisyh4u1klaj5");
	expect_token("someToken", MIDNIGHT, "pad-273",
		     "2026112100000000vu0x1lb4ohodm2u5t391zzf0lorv84kxqcb8aoevvk4muuw1");
}

static const struct {
	size_t len;
	const char *token;
} wanted[REQUEST_TOKEN_VARIANTS] = {
	{ 359, "2026112101301225rh40htx5tdqlav99lq6jgqzs2agqgb2ig83wooc5z022k5hr" },
	{ 358, "2026112101301246reyix89e5s1maixt615dda1ef5igoyajj525urw5lvd9mw9l" },
	{ 366, "2026112101301207hd8fdkh0pxm8a1c5z2gd707e0k6efaafescvf62tin9nrqzi" },
	{ 352, "202611210130122sw8cg3oc5kk19fqc1y9tkg6xd0viqjf6u8qftiqmnlyl3tome" },
	{ 284, "202611210130124gssn991w1htyrpeyktac2feprc5tk1xrkzsb35imd5opnwddb" },
};

static void check_variants(const char *pem)
{
	char *texts[REQUEST_TOKEN_VARIANTS] = { NULL };

	assert_int_equal(request_token_variants(pem, texts), REQUEST_TOKEN_VARIANTS);
	for (size_t i = 0; i < REQUEST_TOKEN_VARIANTS; i++) {
		assert_int_equal(strlen(texts[i]), wanted[i].len);
		expect_token("0123456789abcdef0123456789abcdef", HALF_PAST, texts[i], wanted[i].token);
	}
	/* Whatever spelling one starts from. */
	if (pem == csr) {
		check_variants(texts[1]);
		check_variants(texts[2]);
	}
	for (size_t i = 0; i < REQUEST_TOKEN_VARIANTS; i++)
		free(texts[i]);
}

static void test_csr(_unused_ void **state)
{
	check_variants(csr);
}

static void test_no_csr(_unused_ void **state)
{
	_cleanup_free_ char *huge = xmalloc(200000);
	char *texts[REQUEST_TOKEN_VARIANTS] = { NULL };

	assert_int_equal(request_token_variants("", texts), 0);
	assert_int_equal(request_token_variants("-----BEGIN CERTIFICATE-----\n", texts), 0);
	assert_int_equal(request_token_variants(csr + 1, texts), 0);
	memset(huge, 'A', 199999);
	memcpy(huge, csr, strlen(csr));
	assert_int_equal(request_token_variants(huge, texts), 0);
	assert_null(texts[0]);
}

static void test_refused(_unused_ void **state)
{
	_cleanup_(secret_freep) struct secret *none = secret_new("", 0);
	_cleanup_(secret_freep) struct secret *k = secret_new("k", 1);
	char token[REQUEST_TOKEN_LEN + 1] = "untouched";

	assert_int_equal(request_token(none, MIDNIGHT, "x", 1, token), -EINVAL);
	assert_int_equal(request_token(k, 299, "x", 1, token), -EINVAL);
	assert_int_equal(request_token(k, INT64_MIN, "x", 1, token), -EINVAL);
	assert_int_equal(request_token(k, INT64_MAX, "x", 1, token), -EINVAL);
	assert_int_equal(request_token(k, INT64_C(253402300800) + 300, "x", 1, token), -EINVAL);
	assert_int_equal(request_token(k, MIDNIGHT, "x", SIZE_MAX, token), -EINVAL);
	assert_string_equal(token, "untouched");
	assert_int_equal(request_token(k, INT64_C(253402300799) + 300, "", 0, token), 0);
	assert_memory_equal(token, "99991231235959", 14);
	assert_int_equal(request_token(k, 300, NULL, 0, token), 0);
	assert_memory_equal(token, "19700101000000", 14);
}

/* Reference: the digits multiplied back, most significant first. */
static void slow_number(const char *digits, unsigned char ret[32])
{
	memset(ret, 0, 32);
	for (const char *p = digits; *p; p++) {
		unsigned add = (unsigned)(*p <= '9' ? *p - '0' : *p - 'a' + 10);

		for (size_t i = 32; i-- > 0;) {
			add += ret[i] * 36U;
			ret[i] = (unsigned char)(add & 0xff);
			add >>= 8;
		}
		assert_int_equal(add, 0); /* fits into 256 bits */
	}
}

static void check_number(const unsigned char number[32])
{
	unsigned char back[32];
	char digits[51];

	request_token_base36(number, digits);
	assert_int_equal(strlen(digits), 50);
	assert_int_equal(strspn(digits, "0123456789abcdefghijklmnopqrstuvwxyz"), 50);
	slow_number(digits, back);
	assert_memory_equal(back, number, 32);
}

static void test_base36(_unused_ void **state)
{
	unsigned char n[32] = { 0 };
	uint64_t x = 88172645463325252;
	char digits[51];

	request_token_base36(n, digits);
	assert_string_equal(digits, "00000000000000000000000000000000000000000000000000");
	n[31] = 35;
	request_token_base36(n, digits);
	assert_string_equal(digits, "0000000000000000000000000000000000000000000000000z");
	n[31] = 36;
	request_token_base36(n, digits);
	assert_string_equal(digits, "00000000000000000000000000000000000000000000000010");
	memset(n, 0xff, sizeof n);
	check_number(n);
	for (unsigned round = 0; round < 20000; round++) {
		size_t zeros = round % 33;

		for (size_t i = 0; i < 32; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			n[i] = i < zeros ? 0 : (unsigned char)(x >> 24);
		}
		check_number(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_values), cmocka_unit_test(test_csr),
		cmocka_unit_test(test_no_csr),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_base36),
	};

	return cmocka_run_group_tests_name("request_token", tests, NULL, NULL);
}
