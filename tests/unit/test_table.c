/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on a table of its own, and the real rows as far as they can be judged without a file. */
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include <string.h>

struct inner {
	int64_t n;
	const char *s;
};

struct outer {
	const char *text;
	const char *host;
	int64_t number;
	int64_t wait;
	int64_t maybe;
	bool flag;
	int word;
	struct inner inner;
	const struct yaml_item *later;
};

static const char *const words[] = { "red", "green", NULL };

static const struct opt_row inner_rows[] = {
	{ .name = "n", .type = OPT_INT, .offset = offsetof(struct inner, n), .min = 1, .max = 9, .def = "5" },
	{ .name = "s",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct inner, s),
	  .doc = "some text" },
};

static void check_inner(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
			const void *target)
{
	const struct inner *in = target;

	if (in->n == 9)
		reader_problem(r, map, path, "nine is odd");
}

static const struct opt_table inner_table = { inner_rows, ARRAY_SIZE(inner_rows), check_inner };

static const struct opt_row rows[] = {
	{ .name = "text", .type = OPT_TEXT, .offset = offsetof(struct outer, text), .def = "default" },
	{ .name = "host", .type = OPT_TEXT, .offset = offsetof(struct outer, host), .check = value_host },
	{ .name = "number",
	  .type = OPT_INT,
	  .offset = offsetof(struct outer, number),
	  .min = 1,
	  .max = 99,
	  .unit = "days",
	  .def = "7" },
	{ .name = "wait",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct outer, wait),
	  .min = 1,
	  .max = 3600,
	  .def = "60s" },
	{ .name = "maybe",
	  .type = OPT_DURATION,
	  .flags = OPT_AUTO,
	  .offset = offsetof(struct outer, maybe),
	  .min = 2 },
	{ .name = "flag", .type = OPT_BOOL, .offset = offsetof(struct outer, flag), .def = "true" },
	{ .name = "word",
	  .type = OPT_WORD,
	  .offset = offsetof(struct outer, word),
	  .def = "green",
	  .words = words },
	{ .name = "inner", .type = OPT_MAP, .offset = offsetof(struct outer, inner), .sub = &inner_table },
	{ .name = "later", .type = OPT_LATER, .offset = offsetof(struct outer, later) },
};
static const struct opt_table table = { rows, ARRAY_SIZE(rows), NULL };

static struct arena *arena;
static struct outer out;

/* Reads text over the defaults into out; its problems, one per line, must be wanted. */
static void read_as(const char *text, const char *wanted)
{
	struct problems problems = { 0 };
	struct config_report report;
	struct reader r = { .arena = arena, .problems = &problems, .file = "t", .base_dir = "." };
	const struct yaml_item *root = NULL;
	char all[2048] = "";
	size_t at = 0;
	bool ok = false;

	assert_int_equal(yaml_load(text, strlen(text), "t", arena, &problems, &root), 0);
	out = (struct outer){ 0 };
	table_defaults(&r, &table, &out);
	ok = table_read(&r, &table, root, NULL, &out);
	assert_int_equal(ok, problems.n == 0);
	problems_finish(&problems, &report);
	for (size_t i = 0; i < report.n_problems; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s\n", report.problems[i].text);
	config_report_done(&report);
	assert_string_equal(all, wanted);
}

static void test_defaults(void **state)
{
	(void)state;
	read_as("{}", "");
	assert_string_equal(out.text, "default");
	assert_null(out.host);
	assert_int_equal(out.number, 7);
	assert_int_equal(out.wait, 60);
	assert_true(out.flag);
	assert_int_equal(out.word, 1);
	assert_int_equal(out.inner.n, 5);
	assert_null(out.later);
}

static void test_values(void **state)
{
	(void)state;
	read_as("{text: 12, host: WWW.example.jp., number: 99, wait: 1h, maybe: auto, flag: off, word: red,\n"
		" inner: {n: 1, s: 'no'}, later: [x]}",
		"");
	assert_string_equal(out.text, "12");
	assert_string_equal(out.host, "www.example.jp");
	assert_int_equal(out.number, 99);
	assert_int_equal(out.wait, 3600);
	assert_int_equal(out.maybe, 0);
	assert_false(out.flag);
	assert_int_equal(out.word, 0);
	assert_int_equal(out.inner.n, 1);
	assert_string_equal(out.inner.s, "no");
	assert_int_equal(out.later->kind, YAML_KIND_LIST);
}

static void test_text(void **state)
{
	(void)state;
	read_as("text: [a]", "t:1:7: text: must be a single value, not a list\n");
	read_as("text: {a: b}", "t:1:7: text: must be a single value, not a mapping\n");
	read_as("text:", "t:1:6: text: has no value\n");
	read_as("text: ~", "t:1:7: text: has no value\n");
	read_as("text: ''", "t:1:7: text: must not be empty\n");
	read_as("text: \"a\\nb\"", "t:1:7: text: contains a line break, tab or control character\n");
	read_as("host: x",
		"t:1:7: host: \"x\" has one label only; write the full name, such as x.example.jp\n");
}

static void test_numbers(void **state)
{
	(void)state;
	read_as("number: 0", "t:1:9: number: must be from 1 to 99 days, not 0\n");
	read_as("number: 100", "t:1:9: number: must be from 1 to 99 days, not 100\n");
	read_as("number: -1", "t:1:9: number: must be a whole number from 1 to 99 days, not \"-1\"\n");
	read_as("number: 1.5", "t:1:9: number: must be a whole number from 1 to 99 days, not \"1.5\"\n");
	read_as("number: '7'", "t:1:9: number: must be a whole number from 1 to 99 days, not \"7\"\n");
	read_as("number: 010", "t:1:9: number: must be a whole number from 1 to 99 days, not \"010\"\n");
	read_as("number: 0x10", "t:1:9: number: must be a whole number from 1 to 99 days, not \"0x10\"\n");
	read_as("number: 99999999999999999999999",
		"t:1:9: number: must be a whole number from 1 to 99 days, not \"99999999999999999999999\"\n");
	read_as("number: yes", "t:1:9: number: must be a whole number from 1 to 99 days, not \"yes\"\n");
}

static void test_durations(void **state)
{
	(void)state;
	read_as("wait: 0s", "t:1:7: wait: must be from 1s to 1h, not 0s\n");
	read_as("wait: 61m", "t:1:7: wait: must be from 1s to 1h, not 61m\n");
	read_as("wait: 60",
		"t:1:7: wait: \"60\" is not a duration; write 90s, 15m, 12h or 32d (the unit is missing)\n");
	read_as("wait: 1h30m", "t:1:7: wait: \"1h30m\" is not a duration; write 90s, 15m, 12h or 32d\n");
	read_as("wait: auto", "t:1:7: wait: \"auto\" is not a duration; write 90s, 15m, 12h or 32d\n");
	read_as("maybe: 1s", "t:1:8: maybe: must be at least 2s, not 1s\n");
	read_as("maybe: Auto",
		"t:1:8: maybe: \"Auto\" is not a duration; write auto, 90s, 15m, 12h or 32d\n");
	read_as("wait: '90s'", "");
}

static void test_words(void **state)
{
	(void)state;
	read_as("flag: 'true'", "t:1:7: flag: must be true or false, without quotes, not \"true\"\n");
	read_as("flag: 1", "t:1:7: flag: must be true or false, without quotes, not \"1\"\n");
	read_as("word: gren", "t:1:7: word: no such word \"gren\" (did you mean \"green\"?)\n");
	read_as("word: xyzzy", "t:1:7: word: no such word \"xyzzy\"; write red or green\n");
	assert_int_equal(out.word, -1); /* not the default */
}

static void test_keys(void **state)
{
	(void)state;
	read_as("nubmer: 1", "t:1:1: nubmer: unknown key (did you mean \"number\"?)\n");
	read_as("inner: {xyzzy: 1, s: x}", "t:1:9: inner.xyzzy: unknown key; known here: n, s\n");
	read_as("inner: {n: 2}", "t:1:8: inner.s: is missing: some text\n");
	read_as("inner: {n: 9, s: x}", "t:1:8: inner: nine is odd\n");
	/* A check that needs all values is not asked when some are wrong. */
	read_as("inner: {n: 9, s: ''}", "t:1:18: inner.s: must not be empty\n");
	read_as("inner: x", "t:1:8: inner: must be a mapping (\"key: value\"), not a single value\n");
	read_as("inner: [x]", "t:1:8: inner: must be a mapping (\"key: value\"), not a list\n");
	read_as("[x]", "t:1:1: must be a mapping (\"key: value\"), not a list\n");
	/* All of them at once. */
	read_as("a: 1\nnumber: x\ninner:\n  n: 0\n",
		"t:1:1: a: unknown key; known here: text, host, number, wait, maybe, flag, word, inner, "
		"later\n"
		"t:2:9: number: must be a whole number from 1 to 99 days, not \"x\"\n"
		"t:4:3: inner.s: is missing: some text\n"
		"t:4:6: inner.n: must be from 1 to 9, not 0\n");
}

/* Hostile keys must not break a line of the report. */
static void test_hostile_key(void **state)
{
	char text[900];

	(void)state;
	read_as("\"a\\x1b[31m\\nb\": 1", "t:1:1: a\\x1b[31m\\x0ab: unknown key; known here: text, host, "
					 "number, wait, maybe, flag, word, inner, later\n");
	memset(text, 'k', sizeof(text));
	memcpy(text, "\"", 1);
	memcpy(text + sizeof(text) - 6, "\": 1\n", 6); /* with the NUL */
	read_as(text, "t:1:1: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: unknown key; "
		      "known here: "
		      "text, host, number, wait, maybe, flag, word, inner, later\n");
}

static void test_real_rows(void **state)
{
	size_t n = 0;
	const struct opt_section *sections = opt_sections(&n);

	(void)state;
	assert_true(n > 5);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(sections[i].doc);
		assert_true(sections[i].table->n_rows <= 32);
		for (size_t k = 0; k < sections[i].table->n_rows; k++) {
			const struct opt_row *row = &sections[i].table->rows[k];

			assert_non_null(row->doc);
			assert_int_equal(row->type == OPT_WORD, row->words != NULL);
			assert_int_equal(row->type == OPT_CUSTOM, row->read != NULL);
			if (row->type == OPT_MAP)
				assert_non_null(row->sub);
			if (row->type == OPT_INT)
				assert_true(row->max > row->min);
			if (row->flags & OPT_REQUIRED)
				assert_null(row->def);
		}
	}
}

static int setup(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),  cmocka_unit_test(test_values),
		cmocka_unit_test(test_text),	  cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_durations), cmocka_unit_test(test_words),
		cmocka_unit_test(test_keys),	  cmocka_unit_test(test_hostile_key),
		cmocka_unit_test(test_real_rows),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
