/* SPDX-License-Identifier: Apache-2.0 */
/* common/strbuf: the cap holds to the byte, a failure is sticky, and the text is always terminated. */
#include "common/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_empty(void **state)
{
	struct strbuf sb = STRBUF_INIT(10);
	_cleanup_free_ char *taken = NULL;

	(void)state;
	assert_true(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), "");
	taken = strbuf_take(&sb);
	assert_string_equal(taken, "");
	strbuf_clear(&sb);
	strbuf_done(&sb);
	strbuf_done(&sb);
	strbuf_wipe(&sb);
}

static void test_add(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(100);

	(void)state;
	strbuf_adds(&sb, "ab");
	strbuf_addc(&sb, 'c');
	strbuf_addf(&sb, "%d-%s", 7, "x");
	strbuf_add(&sb, "\0z", 2);
	strbuf_add(&sb, NULL, 0);
	assert_int_equal(sb.len, 8);
	assert_memory_equal(sb.data, "abc7-x\0z", 9);
	assert_true(strbuf_ok(&sb));
}

static void test_cap_is_exact(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(5);

	(void)state;
	strbuf_adds(&sb, "12345");
	assert_true(strbuf_ok(&sb));
	strbuf_adds(&sb, "");
	assert_true(strbuf_ok(&sb));
	strbuf_addc(&sb, '6');
	assert_false(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), "12345");
}

static void test_failed_addition_adds_nothing(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(5);

	(void)state;
	strbuf_adds(&sb, "123");
	strbuf_adds(&sb, "456");
	assert_string_equal(strbuf_str(&sb), "123");
	strbuf_addf(&sb, "%s", "4567");
	assert_string_equal(strbuf_str(&sb), "123");
	strbuf_adds(&sb, "45"); /* fits, but the failure stays */
	assert_string_equal(strbuf_str(&sb), "12345");
	assert_false(strbuf_ok(&sb));
	strbuf_clear(&sb);
	assert_true(strbuf_ok(&sb));
	assert_string_equal(strbuf_str(&sb), "");
	strbuf_adds(&sb, "54321");
	assert_true(strbuf_ok(&sb));
}

static void test_cap_zero_and_huge_len(void **state)
{
	_cleanup_(strbuf_done) struct strbuf none = STRBUF_INIT(0);
	_cleanup_(strbuf_done) struct strbuf all = STRBUF_INIT(SIZE_MAX);

	(void)state;
	strbuf_adds(&none, "");
	assert_true(strbuf_ok(&none));
	strbuf_addc(&none, 'x');
	assert_false(strbuf_ok(&none));
	assert_string_equal(strbuf_str(&none), "");
	strbuf_adds(&all, "x");
	assert_true(strbuf_ok(&all));
	strbuf_add(&all, "y", SIZE_MAX - 1); /* the sum would wrap */
	assert_false(strbuf_ok(&all));
	assert_string_equal(strbuf_str(&all), "x");
}

static void test_growth(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(100000);

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		strbuf_addc(&sb, (char)('a' + i % 26));
		assert_true(sb.alloc <= sb.cap + 1);
		assert_int_equal(sb.data[sb.len], '\0');
	}
	assert_true(strbuf_ok(&sb));
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(sb.data[i], 'a' + (int)(i % 26));
	strbuf_addc(&sb, '!');
	assert_false(strbuf_ok(&sb));
}

static void test_take_and_reuse(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(3);
	_cleanup_free_ char *a = NULL;
	_cleanup_free_ char *b = NULL;

	(void)state;
	strbuf_adds(&sb, "one");
	a = strbuf_take(&sb);
	assert_int_equal(sb.len, 0);
	assert_int_equal(sb.cap, 3);
	assert_true(strbuf_ok(&sb));
	strbuf_adds(&sb, "two!");
	strbuf_adds(&sb, "two");
	b = strbuf_take(&sb);
	assert_string_equal(a, "one");
	assert_string_equal(b, "two");
	assert_true(strbuf_ok(&sb));
}

static void test_clear_keeps_memory(void **state)
{
	_cleanup_(strbuf_wipe) struct strbuf sb = STRBUF_INIT(100);
	const char *data;

	(void)state;
	strbuf_adds(&sb, "secret");
	data = sb.data;
	strbuf_clear(&sb);
	strbuf_adds(&sb, "x");
	assert_ptr_equal(sb.data, data);
	assert_string_equal(sb.data, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_cap_is_exact),
		cmocka_unit_test(test_failed_addition_adds_nothing),
		cmocka_unit_test(test_cap_zero_and_huge_len),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_take_and_reuse),
		cmocka_unit_test(test_clear_keeps_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
