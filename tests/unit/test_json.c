/* SPDX-License-Identifier: Apache-2.0 */
/* common/json: what RFC 8259 allows and nothing else, no conversion between types, and texts that come
 * back as they went. */
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

#define CAP (1 << 20)

/* From a copy without a NUL behind it, so that a sanitizer sees every byte read too far. */
static int parse_len(const char *text, size_t len, struct json **ret, struct err *e)
{
	_cleanup_free_ char *exact = malloc(len ? len : 1);

	assert_non_null(exact);
	memcpy(exact, text, len);
	return json_parse(exact, len, CAP, ret, e);
}

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err e = ERR_INIT;

	if (parse_len(text, strlen(text), &j, &e) != 0)
		fail_msg("%s: %s", text, e.text);
	assert_int_equal(e.code, 0);
	return j;
}

static void check_write(const struct json *j, unsigned flags, const char *want)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);

	json_write(j, flags, &sb);
	assert_true(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), want);
}

static void test_accepts(void **state)
{
	/* Text, and how it is written back (NULL = the same). */
	static const char *const rows[][2] = {
		{ "null", NULL },
		{ "true", NULL },
		{ "false", NULL },
		{ "0", NULL },
		{ "-0", "0" },
		{ "-1", NULL },
		{ "1234567890", NULL },
		{ "9223372036854775807", NULL },
		{ "-9223372036854775808", NULL },
		{ "9223372036854775808", NULL },
		{ "123456789012345678901234567890", NULL },
		{ "0.5", NULL },
		{ "-0.0", NULL },
		{ "1e5", NULL },
		{ "1E+5", NULL },
		{ "1.25e-7", NULL },
		{ "1e999", NULL },
		{ "\"\"", NULL },
		{ "\"a\"", NULL },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
		{ "\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
		{ "\"\\u0001\\u007f\\uffff\"", "\"\\u0001\x7f\xef\xbf\xbf\"" },
		{ "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", NULL },
		{ "\"/ ' ok\"", NULL },
		{ "[]", NULL },
		{ "[ ]", "[]" },
		{ "[null]", NULL },
		{ "[1,[2],{\"a\":[]}]", NULL },
		{ "{}", NULL },
		{ " \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", "{\"a\":1,\"b\":[1,2]}" },
		{ "{\"\":1}", NULL },
		{ "{\"z\":1,\"a\":2,\"m\":null}", NULL },
		{ "{\"a\":{\"a\":{\"a\":1}}}", NULL },
		{ "[{\"a\":1},{\"a\":1}]", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(json_freep) struct json *j = parse(rows[i][0]);

		check_write(j, 0, rows[i][1] ? rows[i][1] : rows[i][0]);
	}
}

static void check_refused(const char *text, size_t len)
{
	struct json *j = NULL;
	struct err e = ERR_INIT;

	if (parse_len(text, len, &j, &e) != -EBADMSG)
		fail_msg("accepted: %.*s", (int)len, text);
	assert_null(j);
	assert_int_equal(e.code, -EBADMSG);
	assert_non_null(strstr(e.text, " at offset "));
	assert_int_equal(parse_len(text, len, &j, NULL), -EBADMSG);
}

/* Texts between '|'. */
static void check_all_refused(const char *list)
{
	for (;;) {
		size_t n = strcspn(list, "|");

		check_refused(list, n);
		if (list[n] == '\0')
			return;
		list += n + 1;
	}
}

static void test_refuses(void **state)
{
	(void)state;
	check_all_refused(
		"| |x|nul|nulll|Null|TRUE|tru|truefalse|undefined|NaN|-NaN|Infinity|-Infinity|nan|inf");
	/* numbers */
	check_all_refused(
		"01|-01|00|-|+1|.5|5.|5.e1|1e|1e+|1e-|0x1F|1_000|1,000|1 2|--1|1.2.3|1e5.5|0e|\xef\xbc\x91");
	/* strings */
	check_all_refused(
		"\"|\"a|'a'|{'a':1}|{a:1}|\"\\x41\"|\"\\a\"|\"\\'\"|\"\\|\"\\\"|\"\\u\"|\"\\u12\"|\"\\u12|"
		"\"\\u123g\"|\"\\U0041\"|\"\\u+123\"|\"a\nb\"|\"a\tb\"|\"\x1f\"|\"\\u0000\"|\"a\\u0000b\"|"
		"{\"\\u0000\":1}|\"\\ud800\"|\"\\ud800x\"|\"\\ud800\\n\"|\"\\ud800\\u0041\"|"
		"\"\\ud800\\ud800\"|"
		"\"\\udc00\"|\"\\udc00\\ud800\"|\"\\ud800\\u\"|\"\\ud800");
	/* UTF-8 */
	check_all_refused(
		"\"\xff\"|\"\x80\"|\"\xc0\x80\"|\"\xc3\"|\"\xe2\x82\"|\"\xed\xa0\x80\"|\"\xf4\x90\x80\x80\"|"
		"\"\xc3|{\"\xff\":1}|\xef\xbb\xbf{}|\xff");
	/* structure */
	check_all_refused("[|]|[1|[1,|[1,]|[,1]|[,]|[1 "
			  "2]|[1}|[1:2]|{|}|{\"a\"|{\"a\":|{\"a\":1|{\"a\":1,|{\"a\":1,}|{,}|"
			  "{\"a\"}|{\"a\",1}|{\"a\":1 "
			  "\"b\":2}|{\"a\"::1}|{\"a\":1]|{1:2}|{null:1}|{[]:1}|[]]|{}}|{} {}|"
			  "[]x|[],|null,|\"a\"\"b\"|1 x");
	/* comments and blanks of other languages */
	check_all_refused("/* */1|1//|#\n1|[1/**/]|\f1|\v1|\xc2\xa0[]|[]\xc2\xa0");
	/* duplicate keys, also when written differently */
	check_all_refused("{\"a\":1,\"a\":1}|{\"a\":1,\"b\":2,\"a\":3}|{\"a\":null,\"a\":1}|{\"\":1,\"\":2}|"
			  "{\"a\":1,\"\\u0061\":2}|[{\"x\":{\"a\":1,\"a\":2}}]");
	check_refused("\0", 1);
	check_refused("1\0", 2);
	check_refused("\"a\0b\"", 5);
	check_refused("{}\0", 3);
}

static void test_offset(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "JSON: unexpected end at offset 0" },
		{ "{\"a\":x}", "JSON: unexpected character at offset 5" },
		{ "[1,2,]", "JSON: unexpected character at offset 5" },
		{ "{\"a\":1,\"a\":2}", "JSON: duplicate key at offset 10" },
		{ "{} x", "JSON: something after the value at offset 3" },
		{ "\"ab\xff\"", "JSON: invalid UTF-8 at offset 3" },
		{ "[1", "JSON: expected ',' or ']' at offset 2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json *j = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(json_parse(rows[i].text, strlen(rows[i].text), CAP, &j, &e), -EBADMSG);
		assert_string_equal(e.text, rows[i].want);
	}
}

static void test_cap(void **state)
{
	struct json *j = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(json_parse("[1]", 3, 2, &j, &e), -EFBIG);
	assert_null(j);
	assert_string_equal(e.text, "JSON: larger than 2 bytes");
	assert_int_equal(json_parse("[1]", 3, 3, &j, NULL), 0);
	assert_int_equal(json_arr_len(j), 1);
	json_free(j);
}

static void test_depth(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1];
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_free_ char *deep = xmalloc(1 << 18);
	struct err e = ERR_INIT;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_parse(text, (size_t)2 * JSON_DEPTH_MAX, CAP, &j, &e), 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	check_refused(text, 2 * (JSON_DEPTH_MAX + 1));
	/* Depth goes back down: many neighbours are no depth. */
	json_free(TAKE_PTR(j));
	j = parse("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[[[[]]]]]");
	memset(deep, '[', 1 << 18);
	check_refused(deep, 1 << 18);
	for (size_t i = 0; i + 5 <= 1 << 18; i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	check_refused(deep, (1 << 18) / 5 * 5);
}

/* Every prefix of a good text is bad, and is found so without a byte read too far. */
static void test_every_prefix(void **state)
{
	static const char good[] = "{\"name\":\"w\xc3\xa9\\u00e9\\ud83d\\ude00\\n\",\"n\":[-12.5e+3,0,true,"
				   "false,null,{}],\"o\":{\"k\":\"v\"}}";

	(void)state;
	json_free(parse(good));
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		check_refused(good, n);
}

/* Any byte in any place: accepted or refused, but never a crash; what is accepted can be written and
 * read again. */
static void test_every_byte_changed(void **state)
{
	static const char good[] = "{\"a\":[-1.5e2,\"\\u00e9\xc3\xa9\"],\"b\":{\"c\":true}}";
	char text[sizeof(good)];

	(void)state;
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		memcpy(text, good, sizeof(good));
		for (unsigned c = 0; c < 256; c++) {
			_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);
			struct json *j = NULL;

			text[i] = (char)c;
			if (parse_len(text, sizeof(good) - 1, &j, NULL) != 0)
				continue;
			json_write(j, 0, &sb);
			json_free(j);
			j = parse(strbuf_str(&sb));
			check_write(j, 0, strbuf_str(&sb));
			json_free(j);
		}
	}
}

static void test_many_keys(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);
	_cleanup_(json_freep) struct json *j = NULL;
	int64_t v = 0;

	(void)state;
	strbuf_addc(&sb, '{');
	for (unsigned i = 0; i < 30000; i++)
		strbuf_addf(&sb, "%s\"k%u\":%u", i ? "," : "", i, i);
	strbuf_addc(&sb, '}');
	assert_true(strbuf_ok(&sb));
	j = parse(strbuf_str(&sb));
	assert_int_equal(json_get_i64(j, "k29999", &v), 1);
	assert_int_equal(v, 29999);
	/* The very last key is a duplicate. */
	sb.len--;
	strbuf_adds(&sb, ",\"k0\":0}");
	check_refused(strbuf_str(&sb), sb.len);
}

static void test_types(void **state)
{
	_cleanup_(json_freep) struct json *j =
		parse("{\"s\":\"7\",\"i\":7,\"d\":7.0,\"t\":true,\"n\":null,\"a\":[1],\"o\":{\"x\":1},"
		      "\"big\":9223372036854775808}");

	(void)state;
	assert_int_equal(json_type(j), JSON_OBJECT);
	assert_int_equal(json_type(json_get(j, "s")), JSON_STRING);
	assert_int_equal(json_type(json_get(j, "i")), JSON_INT);
	assert_int_equal(json_type(json_get(j, "d")), JSON_DOUBLE);
	assert_int_equal(json_type(json_get(j, "t")), JSON_BOOL);
	assert_int_equal(json_type(json_get(j, "n")), JSON_NULL);
	assert_int_equal(json_type(json_get(j, "a")), JSON_ARRAY);
	assert_int_equal(json_type(json_get(j, "o")), JSON_OBJECT);
	assert_int_equal(json_type(json_get(j, "big")), JSON_DOUBLE);
	assert_int_equal(json_type(NULL), JSON_NULL);
	assert_null(json_get(j, "none"));
	assert_null(json_get(j, "S"));
	assert_null(json_get(NULL, "s"));
	assert_null(json_get(json_get(j, "a"), "0"));
}

static void test_getters(void **state)
{
	static const char *const keys[] = { "s", "i", "d", "t", "a", "o", "big", "n", "none" };
	/* What each getter says for each key. */
	static const int want[][5] = {
		{ 1, -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG },
		{ -EBADMSG, 1, -EBADMSG, -EBADMSG, -EBADMSG },
		{ -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG },
		{ -EBADMSG, -EBADMSG, 1, -EBADMSG, -EBADMSG },
		{ -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG, 1 },
		{ -EBADMSG, -EBADMSG, -EBADMSG, 1, -EBADMSG },
		{ -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG },
		{ 0, 0, 0, 0, 0 },
		{ 0, 0, 0, 0, 0 },
	};
	_cleanup_(json_freep) struct json *j = parse("{\"s\":\"7\",\"i\":7,\"d\":7.0,\"t\":true,\"n\":null,"
						     "\"a\":[1],\"o\":{},\"big\":9223372036854775808}");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *s = "keep";
		int64_t v = 42;
		bool b = false;
		const struct json *o = j, *a = j;

		assert_int_equal(json_get_str(j, keys[i], &s), want[i][0]);
		assert_int_equal(json_get_i64(j, keys[i], &v), want[i][1]);
		assert_int_equal(json_get_bool(j, keys[i], &b), want[i][2]);
		assert_int_equal(json_get_obj(j, keys[i], &o), want[i][3]);
		assert_int_equal(json_get_arr(j, keys[i], &a), want[i][4]);
		assert_string_equal(s, want[i][0] == 1 ? "7" : "keep");
		assert_int_equal(v, want[i][1] == 1 ? 7 : 42);
		assert_int_equal(b, want[i][2] == 1);
		assert_int_equal(o == j, want[i][3] != 1);
		assert_int_equal(a == j, want[i][4] != 1);
		assert_int_equal(json_get_i64(NULL, keys[i], &v), 0);
		assert_int_equal(json_get_str(json_get(j, "a"), keys[i], &s), 0);
	}
}

static void test_integer_limits(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t v;
	} rows[] = {
		{ "{\"v\":9223372036854775807}", 1, INT64_MAX },
		{ "{\"v\":-9223372036854775808}", 1, INT64_MIN },
		{ "{\"v\":-9223372036854775807}", 1, -INT64_MAX },
		{ "{\"v\":9223372036854775808}", -EBADMSG, 0 },
		{ "{\"v\":-9223372036854775809}", -EBADMSG, 0 },
		{ "{\"v\":18446744073709551615}", -EBADMSG, 0 },
		{ "{\"v\":18446744073709551616}", -EBADMSG, 0 },
		{ "{\"v\":99999999999999999999}", -EBADMSG, 0 },
		{ "{\"v\":-99999999999999999999}", -EBADMSG, 0 },
		{ "{\"v\":1e3}", -EBADMSG, 0 },
		{ "{\"v\":1.0}", -EBADMSG, 0 },
		{ "{\"v\":-0}", 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(json_freep) struct json *j = parse(rows[i].text);
		int64_t v = 0;

		assert_int_equal(json_get_i64(j, "v", &v), rows[i].r);
		assert_true(v == rows[i].v);
	}
}

static void test_arrays(void **state)
{
	_cleanup_(json_freep) struct json *j = parse("[\"a\",null,3]");
	_cleanup_(json_freep) struct json *obj = parse("{\"a\":1}");

	(void)state;
	assert_int_equal(json_arr_len(j), 3);
	assert_string_equal(json_str(json_arr_at(j, 0)), "a");
	assert_null(json_arr_at(j, 1));
	assert_null(json_str(json_arr_at(j, 2)));
	assert_null(json_arr_at(j, 3));
	assert_null(json_arr_at(j, SIZE_MAX));
	assert_int_equal(json_arr_len(obj), 0);
	assert_null(json_arr_at(obj, 0));
	assert_int_equal(json_arr_len(NULL), 0);
	assert_null(json_arr_at(NULL, 0));
	assert_null(json_str(NULL));
	assert_null(json_str(obj));
}

struct visit {
	char keys[64];
	size_t stop_after;
	size_t n;
};

static int visit_member(const char *key, const struct json *val, void *arg)
{
	struct visit *v = arg;
	size_t len = strlen(v->keys);

	snprintf(v->keys + len, sizeof(v->keys) - len, "%s%s", key, val ? " " : "! ");
	return ++v->n == v->stop_after ? -77 : 0;
}

static void test_each(void **state)
{
	_cleanup_(json_freep) struct json *j = parse("{\"z\":1,\"a\":null,\"m\":{}}");
	_cleanup_(json_freep) struct json *arr = parse("[1]");
	struct visit all = { 0 }, some = { .stop_after = 2 }, none = { 0 };

	(void)state;
	assert_int_equal(json_each(j, visit_member, &all), 0);
	assert_string_equal(all.keys, "z a! m ");
	assert_int_equal(json_each(j, visit_member, &some), -77);
	assert_string_equal(some.keys, "z a! ");
	assert_int_equal(json_each(arr, visit_member, &none), 0);
	assert_int_equal(json_each(NULL, visit_member, &none), 0);
	assert_int_equal(none.n, 0);
}

static void test_build(void **state)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct json *arr = json_new_arr();
	struct json *inner = json_new_obj();

	(void)state;
	check_write(j, 0, "{}");
	json_set_str(j, "s", "a/b \"q\"\n");
	json_set_str(j, "none", NULL);
	json_set_i64(j, "min", INT64_MIN);
	json_set_i64(j, "max", INT64_MAX);
	json_set_bool(j, "yes", true);
	json_set_bool(j, "no", false);
	json_set_null(j, "nil");
	json_set_time(j, "at", 1795248000);
	json_set_time(j, "never", 0);
	json_add_str(arr, "x");
	json_add_str(arr, NULL);
	json_set_i64(inner, "i", 1);
	json_add(arr, inner);
	json_set(j, "arr", arr);
	check_write(j, 0,
		    "{\"s\":\"a/b \\\"q\\\"\\n\",\"none\":null,\"min\":-9223372036854775808,"
		    "\"max\":9223372036854775807,\"yes\":true,\"no\":false,\"nil\":null,"
		    "\"at\":\"2026-11-21T08:00:00Z\",\"never\":null,\"arr\":[\"x\",null,{\"i\":1}]}");
}

static void test_set_replaces(void **state)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();

	(void)state;
	json_set_str(j, "a", "one");
	json_set_i64(j, "b", 1);
	json_set_i64(j, "a", 2);
	json_set(j, "b", NULL);
	check_write(j, 0, "{\"a\":2,\"b\":null}");
}

static void test_invalid_utf8_is_repaired(void **state)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();

	(void)state;
	json_set_str(j, "a", "x\xff\xc3\xa9\xe2\x82");
	json_set_str(j, "k\x80", "\xed\xa0\x80");
	check_write(j, 0,
		    "{\"a\":\"x\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\","
		    "\"k\xef\xbf\xbd\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void test_every_character_round_trips(void **state)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	_cleanup_(json_freep) struct json *back = NULL;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);
	char all[128];
	const char *s = NULL;

	(void)state;
	for (int c = 1; c < 128; c++)
		all[c - 1] = (char)c;
	all[127] = '\0';
	json_set_str(j, all, all);
	json_write(j, 0, &sb);
	back = parse(strbuf_str(&sb));
	assert_int_equal(json_get_str(back, all, &s), 1);
	assert_string_equal(s, all);
}

static void test_pretty(void **state)
{
	_cleanup_(json_freep) struct json *j = parse("{\"a\":[1,{\"b\":\"c/d\"}],\"n\":null}");
	_cleanup_(json_freep) struct json *back = NULL;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);

	(void)state;
	json_write(j, JSON_PRETTY, &sb);
	assert_string_equal(strbuf_str(&sb), "{\n"
					     "  \"a\": [\n"
					     "    1,\n"
					     "    {\n"
					     "      \"b\": \"c/d\"\n"
					     "    }\n"
					     "  ],\n"
					     "  \"n\": null\n"
					     "}");
	back = parse(strbuf_str(&sb));
	check_write(back, 0, "{\"a\":[1,{\"b\":\"c/d\"}],\"n\":null}");
}

/* What json-c itself writes. */
static void test_bytes(void **state)
{
	_cleanup_(json_freep) struct json *j =
		parse("{\"e\":{},\"l\":[],\"n\":[[],{}],\"b\":[true,false],\"i\":-9223372036854775808,"
		      "\"d\":1.50e3,\"s\":\"\\u0001\\b\\f\\n\\r\\t\\u001f\\\"\\\\/\\u007f\\u00e9\"}");
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(CAP);

	(void)state;
	json_write(j, 0, &sb);
	assert_string_equal(strbuf_str(&sb),
			    "{\"e\":{},\"l\":[],\"n\":[[],{}],\"b\":[true,false],\"i\":-9223372036854775808,"
			    "\"d\":1.50e3,\"s\":\"\\u0001\\b\\f\\n\\r\\t\\u001f\\\"\\\\/\x7f\xc3\xa9\"}");
	strbuf_clear(&sb);
	json_write(j, JSON_PRETTY, &sb);
	assert_non_null(strstr(strbuf_str(&sb),
			       "{\n  \"e\": {},\n  \"l\": [],\n  \"n\": [\n    [],\n    {}\n  ],\n"));
}

static void test_write_respects_cap(void **state)
{
	_cleanup_(json_freep) struct json *j = parse("[1,2,3]");
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(8);

	(void)state;
	strbuf_adds(&sb, "x=");
	json_write(j, 0, &sb);
	assert_false(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), "x=");
	json_write(NULL, 0, &sb);
	assert_string_equal(strbuf_str(&sb), "x=null");
}

/* Short strings live inside json-c's object, long ones beside it. */
static void test_wipe(void **state)
{
	static const char text[] =
		"{\"a\":\"secret\",\"b\":[{\"c\":\"a secret that is longer than what json-c keeps "
		"inside its object\"},null,7,true],\"d\":{}}";
	_cleanup_(json_freep) struct json *j = parse(text);
	const char *a = json_str(json_get(j, "a"));
	const char *c = json_str(json_get(json_arr_at(json_get(j, "b"), 0), "c"));
	size_t a_len = strlen(a), c_len = strlen(c);

	(void)state;
	json_wipe(j);
	for (size_t i = 0; i < a_len; i++)
		assert_int_equal(a[i], 0);
	for (size_t i = 0; i < c_len; i++)
		assert_int_equal(c[i], 0);
	json_wipe(NULL);
}

static void test_free_null(void **state)
{
	(void)state;
	json_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_every_byte_changed),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_integer_limits),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_set_replaces),
		cmocka_unit_test(test_invalid_utf8_is_repaired),
		cmocka_unit_test(test_every_character_round_trips),
		cmocka_unit_test(test_pretty),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_write_respects_cap),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
