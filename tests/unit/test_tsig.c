/* SPDX-License-Identifier: Apache-2.0 */
/* Key files of DNS providers: what is taken, what is refused with which line and remedy, and that no text ever holds the
 * secret. */
#include "config/tsig.h"

#include "common/mem.h"
#include "common/strbuf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
#define GOOD   "key \"upd\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\n"

static int parse(const char *text, struct tsig_key *k, struct err *err)
{
	/* Without the NUL, so that a byte too far is seen. */
	size_t len = strlen(text);
	_cleanup_free_ char *exact = len > 0 ? xmemdup(text, len) : NULL;

	return tsig_key_parse(exact ? exact : "", len, k, err);
}

static void good(const char *text, const char *name, const char *algorithm, const char *secret)
{
	struct tsig_key k = { 0 };
	struct err err = ERR_INIT;

	if (parse(text, &k, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(k.name, name);
	assert_string_equal(k.algorithm, algorithm);
	assert_string_equal(secret_bytes(k.secret), secret);
	tsig_key_done(&k);
	assert_null(k.secret);
	tsig_key_done(&k);
}

static void bad(const char *text, const char *want)
{
	struct tsig_key k = { .name = "untouched" };
	struct err err = ERR_INIT;

	assert_int_equal(parse(text, &k, &err), -EINVAL);
	if (strncmp(err.text, want, strlen(want)) != 0)
		fail_msg("%s\ngave: %s\ninstead of: %s", text, err.text, want);
	assert_null(strstr(err.text, "0XIy"));
	assert_string_equal(k.name, "untouched");
	assert_null(k.secret);
}

static void test_good(_unused_ void **state)
{
	good(GOOD, "upd", "hmac-sha256", SECRET);
	good("key upd{algorithm hmac-sha512;secret " SECRET ";};", "upd", "hmac-sha512", SECRET);
	good("KEY \"Upd.Example.JP.\" {\r\n  secret \"" SECRET "\";\r\n  Algorithm \"HMAC-SHA256.\";\r\n};",
	     "upd.example.jp", "hmac-sha256", SECRET);
	good("# one\n// two\n/* three\n lines */ key /**/ a-b_c.d { // end\n algorithm hmac-sha256; # x\n "
	     "secret "
	     "\"" SECRET "\"; /* };*/ };\n# the end",
	     "a-b_c.d", "hmac-sha256", SECRET);
	good("key k { algorithm hmac-sha256; secret \"AAAAAAAAAAAAAAAAAAAAAA==\"; };", "k", "hmac-sha256",
	     "AAAAAAAAAAAAAAAAAAAAAA==");
	/* two slashes are base64 inside quotes, and a comment outside */
	good("key k { algorithm hmac-sha256; secret \"//AAAAAAAAAAAAAAAAAAAA==\"; };", "k", "hmac-sha256",
	     "//AAAAAAAAAAAAAAAAAAAA==");
}

static void test_structure(_unused_ void **state)
{
	bad("", "line 1: does not begin with \"key\"");
	bad(" # only\n\n", "line 3: does not begin with \"key\"");
	bad(SECRET "\n", "line 1: does not begin with \"key\"");
	bad(GOOD GOOD, "line 5: a second key; leave only the one to use");
	bad(GOOD "server 10.0.0.1 { };", "line 5: nothing may follow the key");
	bad("key upd {\n algorithm hmac-sha256\n secret \"" SECRET "\";\n};\n",
	    "line 3: \";\" is missing after the algorithm");
	bad("key upd {\n algorithm hmac-sha256;\n secret \"" SECRET "\"\n};\n",
	    "line 4: \";\" is missing after the secret");
	bad("key upd {\n algorithm hmac-sha256;\n secret \"" SECRET "\";\n}\n",
	    "line 5: \";\" is missing after \"}\"");
	bad("key upd {\n algorithm hmac-sha256;\n secret \"" SECRET "\";\n", "line 4: \"}\" is missing");
	bad("key upd\n algorithm hmac-sha256;", "line 2: \"{\" is missing after the key's name");
	bad("key { algorithm hmac-sha256; };", "line 1: the key's name is missing");
	bad("key upd { algorithm hmac-sha256; };", "line 1: the key has no secret");
	bad("key upd { secret \"" SECRET "\"; };", "line 1: the key has no algorithm");
	bad("key upd { algorithm ; };", "line 1: the algorithm's name is missing");
	bad("key upd { secret\n ; };", "line 2: the secret is missing");
	bad("key upd { " SECRET " };", "line 1: only \"algorithm\" and \"secret\"");
	bad("key upd { secret \"" SECRET "\"; secret \"" SECRET "\"; };",
	    "line 1: a second secret in one key");
	bad("key upd { algorithm hmac-sha256; algorithm hmac-sha256; };", "line 1: a second algorithm");
	bad("key upd { secret \"" SECRET "\n; };", "line 1: a quoted text has no end");
	bad("key upd { /* secret \"" SECRET "\n; };", "line 1: a comment has no end");
	bad("key upd { /*/", "line 1: a comment has no end");
	bad("key \xc3\xa9 { };", "line 1: has a control character");
	bad("\xef\xbb\xbfkey a { };", "line 1: has a control character");
}

static void test_algorithms(_unused_ void **state)
{
	static const char *const weak[] = { "hmac-md5", "HMAC-MD5.SIG-ALG.REG.INT", "hmac-sha1",
					    "hmac-sha224", "hmac-sha384" };

	for (size_t i = 0; i < ARRAY_SIZE(weak); i++) {
		_cleanup_free_ char *text =
			xasprintf("key upd {\n\n algorithm %s; secret \"" SECRET "\"; };", weak[i]);
		struct tsig_key k = { 0 };
		struct err err = ERR_INIT;

		bad(text, "line 3: hmac-");
		assert_int_equal(parse(text, &k, &err), -EINVAL);
		assert_non_null(strstr(err.text, "tsig-keygen -a hmac-sha256"));
	}
	bad("key upd { algorithm \"" SECRET "\"; };",
	    "line 1: the algorithm must be hmac-sha256 or hmac-sha512");
	bad("key upd { algorithm hmac-sha256-128; };", "line 1: the algorithm must be");
	bad("key upd { algorithm \"\"; };", "line 1: the algorithm must be");
}

static void test_secrets(_unused_ void **state)
{
	static const char *const no_base64[] = { "",
						 "=",
						 "0XIy=",
						 "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8",
						 "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLi!VWzTWPHDqvkZ8=",
						 "0XIyUB2TNSg0Qv JgJ4nUVPZGpxVQLiLVWzTWPHDqvk=",
						 "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvk===",
						 "0XIyUB2TNSg0=vgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8=",
						 "0XIyUB2TNSg0QvgJ4nUVPZGpxVQL\xc3\xa9VWzTWPHDqvkZ8" };

	for (size_t i = 0; i < ARRAY_SIZE(no_base64); i++) {
		_cleanup_free_ char *text =
			xasprintf("key upd { algorithm hmac-sha256; secret \"%s\"; };", no_base64[i]);

		bad(text, "line 1: the secret is not base64");
	}
	bad("key upd { algorithm hmac-sha256; secret \"0XIyUB2TNSg0QvgJ4nUV\"; };",
	    "line 1: the secret is shorter than 16 bytes");
}

static char *repeat(const char *before, char c, size_t n, const char *after)
{
	struct strbuf sb = STRBUF_INIT(1 << 20);

	strbuf_adds(&sb, before);
	for (size_t i = 0; i < n; i++)
		strbuf_addc(&sb, c);
	strbuf_adds(&sb, after);
	return strbuf_take(&sb);
}

static void bad_repeat(const char *before, char c, size_t n, const char *after, const char *want)
{
	_cleanup_free_ char *text = repeat(before, c, n, after);

	bad(text, want);
}

static void test_sizes(_unused_ void **state)
{
	_cleanup_free_ char *longest =
		repeat("key upd { algorithm hmac-sha256; secret \"", 'A', 1024, "\"; };");
	_cleanup_free_ char *secret = repeat("", 'A', 1024, "");

	good(longest, "upd", "hmac-sha256", secret);
	bad_repeat("key upd { algorithm hmac-sha256; secret \"", 'A', 1028, "\"; };",
		   "line 1: the secret is longer than 1024");
	bad_repeat("key ", 'a', 64, " { };", "line 1: the key's name is not a DNS name");
	bad_repeat("key ", 'a', 254, " { };", "line 1: the key's name must have 1 to 253");
	bad_repeat("key \"", '.', 3, "\" { };", "line 1: the key's name is not a DNS name");
	bad("key \"\" { };", "line 1: the key's name must have");
	bad("key \".\" { };", "line 1: the key's name must have");
	bad("key \"a..b\" { };", "line 1: the key's name is not a DNS name");
	bad("key \"a\\b\" { };", "line 1: the key's name is not a DNS name");
	bad_repeat("", '\n', 65537, GOOD, "line 1: the file is larger than 64 KiB");
	bad_repeat("", '{', 65000, "", "line 1: does not begin");
	bad_repeat("key upd ", '{', 65000, "", "line 1: \"}\" is missing");
}

static void test_nul(_unused_ void **state)
{
	static const char text[] = "key upd { algorithm\0hmac-sha256; };";
	struct tsig_key k = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(tsig_key_parse(text, sizeof text - 1, &k, &err), -EINVAL);
	assert_non_null(strstr(err.text, "control character"));
	assert_int_equal(tsig_key_parse("key \"a\0b\" {", 11, &k, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a DNS name"));
}

static struct tsig_key parsed(const char *text)
{
	struct tsig_key k = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(parse(text, &k, &err), 0);
	return k;
}

static void test_equal(_unused_ void **state)
{
	static const char *const texts[] = {
		GOOD,
		"key \"upe\" { algorithm hmac-sha256; secret \"" SECRET "\"; };",
		"key \"upd\" { algorithm hmac-sha512; secret \"" SECRET "\"; };",
		"key \"upd\" { algorithm hmac-sha256; secret \"AAAAAAAAAAAAAAAAAAAAAA==\"; };",
	};
	struct tsig_key a = parsed(GOOD);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct tsig_key b = parsed(texts[i]);

		assert_int_equal(tsig_key_equal(&a, &b), i == 0);
		tsig_key_done(&b);
	}
	assert_false(tsig_key_equal(&a, NULL));
	assert_false(tsig_key_equal(NULL, &a));
	assert_true(tsig_key_equal(NULL, NULL));
	tsig_key_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_structure),
		cmocka_unit_test(test_algorithms), cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_nul),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests_name("tsig", tests, NULL, NULL);
}
