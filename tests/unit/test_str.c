/* SPDX-License-Identifier: Apache-2.0 */
/* common/str. */
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"

static void test_parse_u64(void **state)
{
	static const struct {
		const char *s;
		int r;
		uint64_t v;
	} rows[] = {
		{ "0", 0, 0 },
		{ "7", 0, 7 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ " 7", -EINVAL, 0 },
		{ "7 ", -EINVAL, 0 },
		{ "+7", -EINVAL, 0 },
		{ "-7", -EINVAL, 0 },
		{ "0x7", -EINVAL, 0 },
		{ "7a", -EINVAL, 0 },
		{ "99999999999999999999999999a", -EINVAL, 0 },
		{ "7\n", -EINVAL, 0 },
		{ "\xd9\xa3", -EINVAL, 0 }, /* a digit, but not a decimal one of ours */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t v = 42;

		assert_int_equal(str_parse_u64(rows[i].s, &v), rows[i].r);
		assert_int_equal(v, rows[i].r ? 42 : rows[i].v);
	}
	assert_int_equal(str_parse_u64(NULL, &(uint64_t){ 0 }), -EINVAL);
}

static void test_parse_duration(void **state)
{
	static const struct {
		const char *s;
		int r;
		int64_t v;
	} rows[] = {
		{ "90s", 0, 90 },
		{ "15m", 0, 900 },
		{ "12h", 0, 43200 },
		{ "32d", 0, 2764800 },
		{ "0s", 0, 0 },
		{ "36525d", 0, INT64_C(3155760000) },
		{ "3155760000s", 0, INT64_C(3155760000) },
		{ "36526d", -ERANGE, 0 },
		{ "3155760001s", -ERANGE, 0 },
		{ "18446744073709551615d", -ERANGE, 0 },
		{ "18446744073709551616d", -ERANGE, 0 },
		{ "213503982334602d", -ERANGE, 0 }, /* wraps when multiplied first */
		{ "18446744073709551616x", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "5", -EINVAL, 0 },
		{ "m", -EINVAL, 0 },
		{ "5 m", -EINVAL, 0 },
		{ "5m ", -EINVAL, 0 },
		{ "-5m", -EINVAL, 0 },
		{ "5M", -EINVAL, 0 },
		{ "5w", -EINVAL, 0 },
		{ "1h30m", -EINVAL, 0 },
		{ "1.5h", -EINVAL, 0 },
		{ "5ms", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t v = 42;

		assert_int_equal(str_parse_duration(rows[i].s, &v), rows[i].r);
		assert_int_equal(v, rows[i].r ? 42 : rows[i].v);
	}
	assert_int_equal(str_parse_duration(NULL, &(int64_t){ 0 }), -EINVAL);
}

static void check_duration(int64_t s, const char *exact, const char *human)
{
	char buf[STR_DURATION_MAX];

	assert_string_equal(str_format_duration(s, buf), exact);
	assert_string_equal(str_format_duration_human(s, buf), human);
}

static void test_format_duration(void **state)
{
	(void)state;
	check_duration(0, "0s", "now");
	check_duration(1, "1s", "1s");
	check_duration(59, "59s", "59s");
	check_duration(60, "1m", "1m");
	check_duration(90, "90s", "1m 30s");
	check_duration(125, "125s", "2m 5s");
	check_duration(3600, "1h", "1h");
	check_duration(3601, "3601s", "1h");
	check_duration(36 * 3600, "36h", "1d 12h");
	check_duration(33 * 86400, "33d", "33d");
	check_duration(33 * 86400 + 4 * 3600 + 59 * 60 + 59, "2869199s", "33d 4h");
	check_duration(33 * 86400 + 59, "2851259s", "33d");
	check_duration(-90, "-90s", "-1m 30s");
	check_duration(-86400, "-1d", "-1d");
	check_duration(INT64_MAX, "9223372036854775807s", "106751991167300d 15h");
	check_duration(INT64_MIN, "-9223372036854775808s", "-106751991167300d 15h");
}

static void test_duration_round_trip(void **state)
{
	char buf[STR_DURATION_MAX];

	(void)state;
	for (int64_t s = 0; s < 200000; s += 7) {
		int64_t back = -1;

		assert_int_equal(str_parse_duration(str_format_duration(s, buf), &back), 0);
		assert_int_equal(back, s);
	}
}

static void test_prefix_suffix(void **state)
{
	(void)state;
	assert_true(str_has_prefix("abc", "ab"));
	assert_true(str_has_prefix("abc", "abc"));
	assert_true(str_has_prefix("abc", ""));
	assert_false(str_has_prefix("ab", "abc"));
	assert_false(str_has_prefix("", "a"));
	assert_false(str_has_prefix("xab", "ab"));
	assert_true(str_has_suffix("a.pem", ".pem"));
	assert_true(str_has_suffix(".pem", ".pem"));
	assert_true(str_has_suffix("x", ""));
	assert_false(str_has_suffix("pem", ".pem"));
	assert_false(str_has_suffix("a.pem.old", ".pem"));
}

static void test_suggest(void **state)
{
	static const char *const choices[] = { "digicert", "dns", "webroot", "organization", "log" };
	static const struct {
		const char *word, *want;
	} rows[] = {
		{ "digicrt", "digicert" },
		{ "digciert", "digicert" },
		{ "digicert", "digicert" },
		{ "digicertx", "digicert" },
		{ "igicert", "digicert" },
		{ "dgicrt", "digicert" },
		{ "Digicert", "digicert" },
		{ "dnss", "dns" },
		{ "dsn", "dns" },
		{ "lgo", "log" },
		{ "organisation", "organization" },
		{ "orgnisaton", "organization" },
		{ "d", NULL },
		{ "", NULL },
		{ "xyz", NULL },
		{ "webfeet", NULL },
		{ "completely-different", NULL },
	};
	_cleanup_free_ char *big = xmalloc(100000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = str_suggest(rows[i].word, choices, ARRAY_SIZE(choices));

		if (rows[i].want)
			assert_string_equal(got, rows[i].want);
		else
			assert_null(got);
	}
	assert_null(str_suggest("dns", choices, 0));
	memset(big, 'd', 99999);
	assert_null(str_suggest(big, choices, ARRAY_SIZE(choices)));
	assert_null(str_suggest("dns", (const char *const[]){ big }, 1));
}

static void test_suggest_nearest(void **state)
{
	static const char *const choices[] = { "renew-after", "renew-before", "renew_before" };

	(void)state;
	assert_string_equal(str_suggest("renew-befor", choices, 3), "renew-before");
	assert_string_equal(str_suggest("renew_befor", choices, 3), "renew_before");
	/* Equally near: the first. */
	assert_string_equal(str_suggest("renew before", choices, 3), "renew-before");
}

static void test_hex(void **state)
{
	char out[9];

	(void)state;
	assert_string_equal(str_hex("\x00\xff\x0a\xb7", 4, out), "00ff0ab7");
	assert_string_equal(str_hex(NULL, 0, out), "");
}

static void test_utf8_len(void **state)
{
	static const struct {
		const char *s;
		size_t len, want;
	} rows[] = {
		{ "", 0, 0 },
		{ "\0", 1, 1 },
		{ "a", 1, 1 },
		{ "\x7f", 1, 1 },
		{ "\x80", 1, 0 },
		{ "\xbf", 1, 0 },
		{ "\xc0\x80", 2, 0 },
		{ "\xc1\xbf", 2, 0 },
		{ "\xc2\x80", 2, 2 },
		{ "\xc3\xa9", 2, 2 },
		{ "\xc3\xa9", 1, 0 },
		{ "\xc3(", 2, 0 },
		{ "\xdf\xbf", 2, 2 },
		{ "\xe0\x9f\xbf", 3, 0 },
		{ "\xe0\xa0\x80", 3, 3 },
		{ "\xe2\x82\xac", 3, 3 },
		{ "\xe2\x82", 2, 0 },
		{ "\xe2\x82(", 3, 0 },
		{ "\xed\x9f\xbf", 3, 3 },
		{ "\xed\xa0\x80", 3, 0 },
		{ "\xed\xbf\xbf", 3, 0 },
		{ "\xef\xbf\xbf", 3, 3 },
		{ "\xf0\x8f\xbf\xbf", 4, 0 },
		{ "\xf0\x90\x80\x80", 4, 4 },
		{ "\xf0\x9f\x98\x80", 4, 4 },
		{ "\xf0\x9f\x98", 3, 0 },
		{ "\xf0\x9f\x98(", 4, 0 },
		{ "\xf4\x8f\xbf\xbf", 4, 4 },
		{ "\xf4\x90\x80\x80", 4, 0 },
		{ "\xf5\x80\x80\x80", 4, 0 },
		{ "\xff", 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(str_utf8_len(rows[i].s, rows[i].len), rows[i].want);
}

static void check_escape(const char *s, size_t len, size_t out_len, const char *want)
{
	char out[64];

	memset(out, '#', sizeof(out));
	assert_ptr_equal(str_escape(s, len, out, out_len), out);
	assert_string_equal(out, want);
	/* Nothing behind the room that was given. */
	for (size_t i = out_len; i < sizeof(out); i++)
		assert_int_equal(out[i], '#');
}

static void test_escape(void **state)
{
	char out[1] = { '#' };

	(void)state;
	check_escape("plain \\ \"text\"", 14, 64, "plain \\ \"text\"");
	check_escape("a\nb\rc\td\0e", 9, 64, "a\\x0ab\\x0dc\\x09d\\x00e");
	check_escape("\x1b[2J\x7f", 5, 64, "\\x1b[2J\\x7f");
	check_escape("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, 64, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	check_escape("\xff\xc3", 2, 64, "\\xff\\xc3");
	/* U+009B, a control character that some terminals obey, and U+00A0, which is none. */
	check_escape("\xc2\x9b\xc2\xa0", 4, 64, "\\xc2\\x9b\xc2\xa0");
	/* U+202E turns what follows round, U+2028 ends the line, U+FEFF is not seen; U+2027 and U+2030 are none of these. */
	check_escape("a\xe2\x80\xae"
		     "b\xe2\x80\xa8\xef\xbb\xbf",
		     11, 64, "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8\\xef\\xbb\\xbf");
	check_escape("\xe2\x81\xa6\xd8\x9c\xe2\x80\x8b", 8, 64, "\\xe2\\x81\\xa6\\xd8\\x9c\\xe2\\x80\\x8b");
	check_escape("\xe2\x80\xa7\xe2\x80\xb0\xe2\x81\x9f", 9, 64, "\xe2\x80\xa7\xe2\x80\xb0\xe2\x81\x9f");
	check_escape("", 0, 64, "");
	check_escape("abc", 2, 64, "ab");
	assert_ptr_equal(str_escape("abc", 3, out, 0), out);
	assert_int_equal(out[0], '#');
}

static void test_escape_cuts_between(void **state)
{
	(void)state;
	check_escape("abc", 3, 1, "");
	check_escape("abc", 3, 3, "ab");
	check_escape("abc", 3, 4, "abc");
	check_escape("a\nb", 3, 5, "a");
	check_escape("a\nb", 3, 6, "a\\x0a");
	check_escape("a\xe2\x82\xac", 4, 4, "a");
	check_escape("a\xe2\x82\xac", 4, 5, "a\xe2\x82\xac");
}

static void test_hash(void **state)
{
	(void)state;
	/* Values of the reference page of FNV. */
	assert_int_equal(str_hash(""), UINT64_C(0xcbf29ce484222325));
	assert_int_equal(str_hash("a"), UINT64_C(0xaf63dc4c8601ec8c));
	assert_int_equal(str_hash("foobar"), UINT64_C(0x85944171f73967e8));
}

static void test_percent_encode(void **state)
{
	static const struct {
		const char *s;
		const char *want;
	} rows[] = {
		{ "", "" },
		{ "www.example.com", "www.example.com" },
		{ "AZaz09-._~", "AZaz09-._~" }, /* unreserved */
		{ ":/?#[]@", "%3A%2F%3F%23%5B%5D%40" },
		{ "!$&'()*+,;=", "%21%24%26%27%28%29%2A%2B%2C%3B%3D" },
		{ "a b%41/../c", "a%20b%2541%2F..%2Fc" },
		{ "\x01\r\n\x7f", "%01%0D%0A%7F" },
		{ "m\xc3\xbcnchen\xff", "m%C3%BCnchen%FF" }, /* bytes, whatever they mean */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf sb = STRBUF_INIT(64);

		strbuf_addc(&sb, '=');
		str_percent_encode(&sb, rows[i].s);
		assert_true(strbuf_ok(&sb));
		assert_string_equal(strbuf_str(&sb) + 1, rows[i].want);
		strbuf_done(&sb);
	}
}

static void test_percent_encode_every_byte(void **state)
{
	(void)state;
	for (int ch = 1; ch < 256; ch++) {
		const char s[] = { (char)ch, '\0' };
		bool stays = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') ||
			     (ch >= 'a' && ch <= 'z') || strchr("-._~", ch);
		struct strbuf sb = STRBUF_INIT(8);
		char want[4];

		if (stays)
			(void)snprintf(want, sizeof(want), "%c", ch);
		else
			(void)snprintf(want, sizeof(want), "%%%02X", (unsigned)ch);
		str_percent_encode(&sb, s);
		assert_string_equal(strbuf_str(&sb), want);
		strbuf_done(&sb);
	}
}

static void test_percent_encode_keeps_the_cap(void **state)
{
	struct strbuf sb = STRBUF_INIT(4);

	(void)state;
	str_percent_encode(&sb, "ab/");
	assert_false(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), "ab"); /* no half of an escape */
	strbuf_done(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_duration_round_trip),
		cmocka_unit_test(test_prefix_suffix),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_suggest_nearest),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_utf8_len),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_cuts_between),
		cmocka_unit_test(test_percent_encode),
		cmocka_unit_test(test_percent_encode_every_byte),
		cmocka_unit_test(test_percent_encode_keeps_the_cap),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
