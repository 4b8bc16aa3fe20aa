/* SPDX-License-Identifier: Apache-2.0 */
/* Which texts of the CA may become a proof. */
#include "daemon/core/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_sane(void **state)
{
	const char *const good[] = { "0a1b2c3d_-XYZ", "a", "-", "_", "0123456789", "fghijklmnopqrstuvwxyz" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(token_is_sane(good[i]));
}

static void test_not_sane(void **state)
{
	const char *const bad[] = { "../x",  "a/b",	 "",   "a\n",	"\n", "a b", "a.b",
				    "a\x01", "\xc3\xa4", "%n", "$(id)", " a", "a\t", "a\x7f" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(token_is_sane(bad[i]));
	assert_false(token_is_sane(NULL));
}

static void test_length(void **state)
{
	char longest[TOKEN_LEN_MAX + 2];

	(void)state;
	assert_int_equal(TOKEN_LEN_MAX, 256);
	memset(longest, 'a', sizeof(longest));
	longest[TOKEN_LEN_MAX + 1] = '\0';
	assert_false(token_is_sane(longest));
	longest[TOKEN_LEN_MAX] = '\0';
	assert_true(token_is_sane(longest));
}

/* Several request tokens in one file, each as sane as one alone. */
static void test_texts(void **state)
{
	const char *const good[] = { "a", "a\nb", "0a1b\nc-_d\nE" };
	const char *const bad[] = { "", "\n", "a\n", "\na", "a\n\nb", "a b", "a\r\nb", "a\n../b" };
	char longest[TOKEN_TEXT_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(token_text_is_sane(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(token_text_is_sane(bad[i]));
	assert_false(token_text_is_sane(NULL));
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 64; i < TOKEN_TEXT_MAX; i += 65)
		longest[i] = '\n';
	longest[TOKEN_TEXT_MAX + 1] = '\0';
	assert_false(token_text_is_sane(longest));
	longest[TOKEN_TEXT_MAX] = '\0';
	assert_true(token_text_is_sane(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sane),
		cmocka_unit_test(test_not_sane),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
