/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words as one text. */
#include "common/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

static void test_split_and_join(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *joined;
	} ROWS[] = {
		{ NULL, 0, "" },	   { "", 0, "" },
		{ "   ", 0, "" },	   { "a", 1, "a" },
		{ "a bc d", 3, "a bc d" }, { "  a   bc ", 2, "a bc" },
		{ "a a", 2, "a a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_words_ struct words w = WORDS_INIT;
		_cleanup_free_ char *joined = NULL;

		words_split(ROWS[i].text, &w);
		assert_int_equal(w.n, ROWS[i].n);
		joined = words_join(&w);
		assert_string_equal(joined, ROWS[i].joined);
	}
}

static void test_add_and_done(void **state)
{
	struct words w = WORDS_INIT;
	_cleanup_free_ char *joined = NULL;
	char word[] = "one";

	(void)state;
	words_add(&w, word);
	word[0] = 'x'; /* it is a copy */
	words_add(&w, "two");
	joined = words_join(&w);
	assert_string_equal(joined, "one two");
	words_done(&w);
	assert_null(w.list);
	assert_int_equal(w.n, 0);
	words_done(&w);
}

static void test_has(void **state)
{
	static const struct {
		const char *text, *word;
		bool has;
	} ROWS[] = {
		{ NULL, "a", false },	      { "", "a", false },	{ "a", "a", true },
		{ "ab", "a", false },	      { "ba", "a", false },	{ "b a", "a", true },
		{ "a b", "a", true },	      { "b a c", "a", true },	{ "b aa c", "a", false },
		{ "  a", "a", true },	      { "a  b", "b", true },	{ "a ", "a", true },
		{ "a.b a", "a.b", true },     { "xa.b", "a.b", false }, { "A", "a", false },
		{ "*.a.b a.b", "a.b", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_words_ struct words w = WORDS_INIT;

		words_split(ROWS[i].text, &w);
		if (words_has(ROWS[i].text, ROWS[i].word) != ROWS[i].has ||
		    words_contain(&w, ROWS[i].word) != ROWS[i].has)
			fail_msg("%s in \"%s\"", ROWS[i].word, ROWS[i].text ? ROWS[i].text : "(none)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_and_join),
		cmocka_unit_test(test_add_and_done),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
