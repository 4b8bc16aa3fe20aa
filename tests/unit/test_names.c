/* SPDX-License-Identifier: Apache-2.0 */
#include "config/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

#include <errno.h>
#include <string.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_good(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "www.example.jp", "www.example.jp" },
		{ "WWW.Example.JP", "www.example.jp" },
		{ "www.example.jp.", "www.example.jp" },
		{ "1-2.3com.x1", "1-2.3com.x1" },
		{ L63 ".jp", L63 ".jp" },
		{ L63 "." L63 "." L63 "."
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  L63 "." L63 "." L63 "."
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
		{ "日本語.jp", "xn--wgv71a119e.jp" },
		{ "日本語。JP", "xn--wgv71a119e.jp" },
		{ "BÜCHER.example", "xn--bcher-kva.example" },
		{ "faß.example", "xn--fa-hia.example" }, /* non-transitional */
		{ "xn--wgv71a119e.jp", "xn--wgv71a119e.jp" },
		{ "XN--WGV71A119E.jp", "xn--wgv71a119e.jp" },
		{ "例え.テスト", "xn--r8jz45g.xn--zckzah" },
		{ "*.example.jp", "*.example.jp" },
		{ "*.BÜCHER.example", "*.xn--bcher-kva.example" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *out = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(name_normalize(rows[i].in, true, &out, &err), 0);
		assert_string_equal(out, rows[i].out);
		if (out[0] != '*')
			assert_true(name_is_safe_dir(out));
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *in, *part;
	} rows[] = {
		{ "", "is empty" },
		{ ".", "empty label" },
		{ "..", "empty label" },
		{ "www..example.jp", "empty label" },
		{ ".example.jp", "empty label" },
		{ "www.example.jp..", "empty label" },
		{ "../../etc", "not a host name" },
		{ "/etc/passwd", "not a host name" },
		{ "https://www.example.jp", "leave out https://" },
		{ "www.example.jp/", "leave out" },
		{ "www.example.jp:443", "ports and IP" },
		{ "::1", "ports and IP" },
		{ "192.0.2.1", "IP address" },
		{ "192.0.2.1.", "IP address" },
		{ "www.123", "ends in a number" },
		{ "localhost", "one label only" },
		{ "-a.jp", "neither begin nor end" },
		{ "a-.jp", "neither begin nor end" },
		{ "a_b.jp", "\"_\"" },
		{ "a b.jp", "\" \"" },
		{ "a\nb.jp", "only letters" },
		{ "a'b.jp", "only letters" },
		{ "*", "whole first label" },
		{ "*.*.jp", "whole first label" },
		{ "w*.example.jp", "whole first label" },
		{ "www.*.jp", "whole first label" },
		{ "*.jp", "one label only" },
		{ "a" L63 ".jp", "has 64 characters" },
		{ L63 "." L63 "." L63 "."
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "at most 253" },
		{ "*." L63 "." L63 "." L63 "."
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "at most 253" },
		{ "💩.example.jp", "IDNA 2008" },
		{ "☃.example.jp", "IDNA 2008" },
		{ "xn--ls8h.example.jp", "IDNA 2008" },
		{ "xn--a.example.jp", "IDNA 2008" },
		{ "xn--99999999999.example.jp", "IDNA 2008" },
		{ "xn--.jp", "\"xn--.jp\"" },
		{ "ab--cd.jp", "\"--\"" },
		{ "a\xcc\x81\xff.jp", "IDNA 2008" },
		{ "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語"
		  "日本語日本語日本語日本語.jp",
		  "longer than 63" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *out = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(name_normalize(rows[i].in, true, &out, &err), -EINVAL);
		assert_null(out);
		if (!strstr(err.text, rows[i].part))
			fail_msg("%s: %s", rows[i].in, err.text);
	}
}

static void test_wildcard_not_allowed(void **state)
{
	char *out = NULL;

	(void)state;
	assert_int_equal(name_normalize("*.example.jp", false, &out, NULL), -EINVAL);
	assert_null(out);
}

static void test_huge(void **state)
{
	size_t len = 1u << 20;
	char *in = xmalloc(len + 1);
	char *out = NULL;
	struct err err = ERR_INIT;

	(void)state;
	memset(in, 'a', len);
	assert_int_equal(name_normalize(in, true, &out, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too long"));
	free(in);
}

static void test_safe_dir(void **state)
{
	static const char *const good[] = { "a", "0", "www.example.jp", "a_b", "a-b", "a.b-c_d" };
	static const char *const bad[] = { "",	 ".",	"..", "a..b", "a.",  ".a",  "-a",
					   "_a", "a/b", "A",  "a b",  "a\n", "日本" };
	char longest[255];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_is_safe_dir(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_is_safe_dir(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[254] = '\0';
	assert_false(name_is_safe_dir(longest));
	longest[253] = '\0';
	assert_true(name_is_safe_dir(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_wildcard_not_allowed),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_safe_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
