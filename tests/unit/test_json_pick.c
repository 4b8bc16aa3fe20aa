/* SPDX-License-Identifier: Apache-2.0 */
/* json_pick: targets, defaults, and that every complaint names its place. */
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/mem.h"

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), 4096, &j, NULL), 0);
	return j;
}

struct order {
	char *id;
	char *note;
	int64_t n;
	bool paid;
	const struct json *org;
	const struct json *names;
};

static const struct json_field order_fields[] = {
	{ "id", JSON_WANT_STR, offsetof(struct order, id), JSON_REQUIRED },
	{ "note", JSON_WANT_STR, offsetof(struct order, note), 0 },
	{ "n", JSON_WANT_I64, offsetof(struct order, n), 0 },
	{ "paid", JSON_WANT_BOOL, offsetof(struct order, paid), 0 },
	{ "org", JSON_WANT_OBJ, offsetof(struct order, org), 0 },
	{ "names", JSON_WANT_ARR, offsetof(struct order, names), JSON_REQUIRED },
};

static void order_done(struct order *o)
{
	free(o->id);
	free(o->note);
}

static int pick(const char *text, const char *path, unsigned flags, struct order *o, struct err *e)
{
	struct json *j = parse(text);
	int r = json_pick(j, path, order_fields, ARRAY_SIZE(order_fields), flags, o, e);

	json_free(j);
	return r;
}

static void test_pick(void **state)
{
	_cleanup_(json_freep) struct json *j = parse(
		"{\"id\":\"o1\",\"n\":-5,\"paid\":true,\"org\":{\"x\":1},\"names\":[\"a\"],\"more\":1}");
	_cleanup_(order_done) struct order o = { .note = xstrdup("default") };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(json_pick(j, "", order_fields, ARRAY_SIZE(order_fields), 0, &o, &e), 0);
	assert_string_equal(o.id, "o1");
	assert_string_equal(o.note, "default");
	assert_int_equal(o.n, -5);
	assert_true(o.paid);
	assert_ptr_equal(o.org, json_get(j, "org"));
	assert_ptr_equal(o.names, json_get(j, "names"));
	assert_int_equal(e.code, 0);
	/* A second reading replaces strings without a leak. */
	assert_int_equal(pick("{\"id\":\"o2\",\"note\":\"new\",\"names\":[]}", "", 0, &o, &e), 0);
	assert_string_equal(o.id, "o2");
	assert_string_equal(o.note, "new");
	assert_int_equal(o.n, -5);
}

static void test_pick_errors(void **state)
{
	static const struct {
		const char *text, *path;
		unsigned flags;
		const char *want;
	} rows[] = {
		{ "{\"names\":[]}", "", 0, "id: missing" },
		{ "{\"id\":null,\"names\":[]}", "orders[2]", 0, "orders[2].id: missing" },
		{ "{\"id\":7,\"names\":[]}", "orders[2]", 0, "orders[2].id: expected a string" },
		{ "{\"id\":\"a\"}", "x", 0, "x.names: missing" },
		{ "{\"id\":\"a\",\"names\":{}}", "x", 0, "x.names: expected an array" },
		{ "{\"id\":\"a\",\"names\":[],\"n\":\"7\"}", "", 0, "n: expected a 64-bit integer" },
		{ "{\"id\":\"a\",\"names\":[],\"n\":9223372036854775808}", "", 0,
		  "n: expected a 64-bit integer" },
		{ "{\"id\":\"a\",\"names\":[],\"paid\":1}", "", 0, "paid: expected true or false" },
		{ "{\"id\":\"a\",\"names\":[],\"org\":[]}", "", 0, "org: expected an object" },
		{ "{\"id\":\"a\",\"names\":[],\"nam\\ne\":1}", "x", JSON_PICK_STRICT,
		  "x.nam\\x0ae: unknown field" },
		{ "[]", "x", 0, "x: expected an object" },
		{ "null", "", 0, "expected an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(order_done) struct order o = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(pick(rows[i].text, rows[i].path, rows[i].flags, &o, &e), -EBADMSG);
		assert_int_equal(e.code, -EBADMSG);
		assert_string_equal(e.text, rows[i].want);
		assert_int_equal(pick(rows[i].text, rows[i].path, rows[i].flags, &o, NULL), -EBADMSG);
	}
}

static void test_pick_strict_accepts_known(void **state)
{
	_cleanup_(order_done) struct order o = { .n = 9 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pick("{\"id\":\"a\",\"names\":[],\"n\":null}", "", JSON_PICK_STRICT, &o, &e), 0);
	assert_int_equal(o.n, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_pick_errors),
		cmocka_unit_test(test_pick_strict_accepts_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
