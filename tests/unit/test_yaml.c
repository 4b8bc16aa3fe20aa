/* SPDX-License-Identifier: Apache-2.0 */
#include "config/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include "common/clock.h"

#include <string.h>

static const struct yaml_item *parse(struct arena *a, const char *text)
{
	struct problems problems = { 0 };
	const struct yaml_item *root = NULL;

	assert_int_equal(yaml_load(text, strlen(text), "t", a, &problems, &root), 0);
	assert_int_equal(problems.n, 0);
	problems_done(&problems);
	return root;
}

/* All problems of text, one per line, must be wanted. */
static void refuse_bytes(const char *text, size_t len, const char *wanted)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	struct problems problems = { 0 };
	struct config_report report;
	const struct yaml_item *root = NULL;
	char all[4096] = "";
	size_t at = 0;
	int r = 0;

	r = yaml_load(text, len, "t", a, &problems, &root);
	problems_finish(&problems, &report);
	assert_true(r == 0 || report.n_problems > 0);
	for (size_t i = 0; i < report.n_problems && at < sizeof(all); i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s\n", report.problems[i].text);
	assert_string_equal(all, wanted);
	config_report_done(&report);
}

static void refuse(const char *text, const char *wanted)
{
	refuse_bytes(text, strlen(text), wanted);
}

static void test_tree(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	const struct yaml_item *root = parse(a, "a: 1\nb:\n  - x\n  - 'y'\n  - {c: d}\ne:\n");
	const struct yaml_item *list = yaml_get(root, "b");

	(void)state;
	assert_int_equal(root->kind, YAML_KIND_MAP);
	assert_string_equal(yaml_get(root, "a")->text, "1");
	assert_true(yaml_get(root, "a")->plain);
	assert_int_equal(yaml_get(root, "a")->line, 1);
	assert_int_equal(yaml_get(root, "a")->column, 4);
	assert_int_equal(list->kind, YAML_KIND_LIST);
	assert_string_equal(list->child->text, "x");
	assert_false(list->child->next->plain);
	assert_int_equal(list->child->next->line, 4);
	assert_int_equal(list->child->next->column, 5);
	assert_string_equal(yaml_get(list->child->next->next, "c")->text, "d");
	assert_null(list->child->next->next->next);
	assert_true(yaml_is_null(yaml_get(root, "e")));
	assert_null(yaml_get(root, "f"));
	assert_null(yaml_get(NULL, "a"));
	assert_null(yaml_get(list, "a"));
}

static void test_empty(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();

	(void)state;
	assert_null(parse(a, ""));
	assert_null(parse(a, "# only a comment\n"));
	assert_null(parse(a, "---\n...\n"));
	assert_null(parse(a, "\xef\xbb\xbf"));
	/* An empty string is something. */
	assert_non_null(parse(a, "''"));
}

static void test_words(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	const struct yaml_item *it =
		parse(a, "[on, Yes, TRUE, off, No, FALSE, y, oN, \"true\", ~, null, 'null']")->child;
	static const int wanted[] = { 1, 1, 1, 0, 0, 0, -1, -1, -1, -2, -2, -1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++, it = it->next) {
		bool value = false;
		bool is = yaml_is_bool(it, &value);

		assert_int_equal(is, wanted[i] >= 0);
		assert_int_equal(value, wanted[i] == 1);
		assert_int_equal(yaml_is_null(it), wanted[i] == -2);
	}
	assert_null(it);
}

static void test_refused_features(void **state)
{
	(void)state;
	refuse("a: &x 1\n",
	       "t:1:4: a: anchors (&) are not supported; write the value out, or use `defaults`\n");
	refuse("a: [&x {b: 1}]\n",
	       "t:1:5: a[0]: anchors (&) are not supported; write the value out, or use `defaults`\n");
	refuse("a: *x\n",
	       "t:1:4: a: aliases (*) are not supported; a value that begins with \"*\" needs quotes: "
	       "\"*.example.jp\"\n");
	refuse("a: *.example.jp\n",
	       "t:1:5: aliases (*) are not supported; a value that begins with \"*\" needs quotes: "
	       "\"*.example.jp\"\n");
	refuse("*x : 1\n",
	       "t:1:1: aliases (*) are not supported; a value that begins with \"*\" needs quotes: "
	       "\"*.example.jp\"\n");
	refuse("a: !!str 1\n",
	       "t:1:4: a: tags (!) are not supported; a value that begins with \"!\" needs quotes\n");
	refuse("a: !x [1]\n",
	       "t:1:4: a: tags (!) are not supported; a value that begins with \"!\" needs quotes\n");
	refuse("a:\n  <<: {b: 1}\n  c: 2\n", "t:2:3: a: merge keys (<<) are not supported; use `defaults`\n");
	refuse("a: 1\n---\nb: 2\n", "t:2:1: a second document (---) begins here; a file holds one\n");
	refuse("? [a]\n: b\n", "t:1:3: a key must be a word, not a list or a mapping\n");
	refuse("a: \"x\\0y\"\n", "t:1:4: a: a NUL character (\\0) is not allowed\n");
}

static void test_twice(void **state)
{
	(void)state;
	refuse("a: 1\nb: 2\na: 3\n", "t:3:1: a: this key is here twice; the first one is at t:1:1\n");
	refuse("a:\n  - x\n  - {b: 1, b: 2, b: 3}\n",
	       "t:3:12: a[1].b: this key is here twice; the first one is at t:3:6\n"
	       "t:3:18: a[1].b: this key is here twice; the first one is at t:3:6\n");
	/* Many keys take another way. */
	refuse("{a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1, m: 1, n: 1, o: 1, "
	       "p: 1, q: "
	       "1, b: 2}",
	       "t:1:104: b: this key is here twice; the first one is at t:1:8\n");
}

static void test_syntax(void **state)
{
	(void)state;
	refuse("a: b\n\tc: d\n", "t:2:1: a tab in the indentation; YAML takes blanks only\n");
	refuse("a:\n\t- b\n", "t:2:1: a tab in the indentation; YAML takes blanks only\n");
	refuse("a:\n  b: c\n \td: e\n", "t:3:2: a tab in the indentation; YAML takes blanks only\n");
	refuse("a: 'x\n",
	       "t:2:1: not valid YAML: found unexpected end of stream (while scanning a quoted scalar that "
	       "begins at line 1, column 4)\n");
	refuse("a: b: c\n", "t:1:5: not valid YAML: mapping values are not allowed in this context\n");
	refuse("a: {b: c\n",
	       "t:2:1: not valid YAML: did not find expected ',' or '}' (while parsing a flow mapping that "
	       "begins at line 1, column 4)\n");
	refuse("a: @b\n", "t:1:4: not valid YAML: found character that cannot start any token\n");
}

static void test_bytes(void **state)
{
	(void)state;
	refuse("a: 1\nb: \xff\n", "t:2:4: not UTF-8: invalid leading UTF-8 octet\n");
	refuse("a: \xe6\x97\xa5 \xc3(\n", "t:1:7: not UTF-8: invalid trailing UTF-8 octet\n");
	refuse("a: \x01\n", "t:1:4: control character 0x01 is not allowed\n");
	refuse_bytes("a: \0\n", 5, "t:1:4: control character 0x00 is not allowed\n");
	/* UTF-16 with a byte order mark. */
	refuse_bytes("\xff\xfe"
		     "a\0:\0",
		     6, "t:1:1: not UTF-8: invalid leading UTF-8 octet\n");
}

/* Repeats unit behind start up to about 200 kB; must be refused quickly. */
static void bomb(const char *start, const char *unit, const char *wanted)
{
	size_t unit_len = strlen(unit);
	size_t n = 200000 / unit_len;
	char *text = xmalloc(strlen(start) + n * unit_len + 1);
	size_t at = strlen(start);
	int64_t begin = clock_mono_ms();

	memcpy(text, start, at);
	for (size_t i = 0; i < n; i++, at += unit_len)
		memcpy(text + at, unit, unit_len);
	refuse_bytes(text, at, wanted);
	assert_true(clock_mono_ms() - begin < 1000);
	free(text);
}

static void test_bombs(void **state)
{
	(void)state;
	bomb("a: ", "[", "t:1:19: nested deeper than 16 levels\n");
	bomb("", "- ", "t:1:33: nested deeper than 16 levels\n");
	bomb("", "{a: ", "t:1:65: nested deeper than 16 levels\n");
	bomb("", "{", "t:1:2: a key must be a word, not a list or a mapping\n");
	bomb("", "? ", "t:1:3: a key must be a word, not a list or a mapping\n");
}

static void test_depth_limit(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();

	(void)state;
	assert_non_null(parse(a, "[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]"));
	refuse("[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]", "t:1:17: nested deeper than 16 levels\n");
}

static void test_size(void **state)
{
	size_t len = 10u << 20;
	char *text = xmalloc(len);

	(void)state;
	memset(text, 'x', len);
	refuse_bytes(text, len, "t: larger than 8 MB; spread the domains over conf.d/*.yaml\n");
	free(text);
}

static void test_many(void **state)
{
	size_t n = YAML_ITEMS_MAX + 10;
	char *text = xmalloc(2 * n + 1);

	(void)state;
	memset(text, 'x', 2 * n);
	text[0] = '[';
	for (size_t i = 2; i < 2 * n; i += 2)
		text[i] = ',';
	refuse_bytes(text, 2 * n,
		     "t:1:4194304: [2097151]: too many values in one file; spread the domains over "
		     "conf.d/*.yaml\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),	    cmocka_unit_test(test_empty),
		cmocka_unit_test(test_words),	    cmocka_unit_test(test_refused_features),
		cmocka_unit_test(test_twice),	    cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_bytes),	    cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_depth_limit), cmocka_unit_test(test_size),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
