/* SPDX-License-Identifier: Apache-2.0 */
/* What is said again and again: the clock is a parameter, so weeks pass at once. */
#include "common/repeats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MINUTE INT64_C(60)
#define DAY    INT64_C(86400)
#define BEGIN  INT64_C(1795248000)

static const struct log_msgid retry = { .uuid = "0123456789abcdef0123456789abcdef", .name = "retry" };
static const struct log_msgid held = { .uuid = "0123456789abcdef0123456789abcde0", .name = "held" };
static const struct log_msgid done = { .uuid = "0123456789abcdef0123456789abcde1",
				       .name = "done",
				       .is_news = true };

static int setup(_unused_ void **state)
{
	repeats_forget();
	return 0;
}

static struct repeats_verdict say(const struct log_msgid *id, const char *name, const char *message,
				  int64_t at)
{
	struct log_ctx ctx = { NULL, "DVCERT_NAME", name };

	return repeats_judge(id, &ctx, message, at);
}

/* How many of n records, one each step_s, are shown. */
static unsigned shown_of(const char *name, unsigned n, int64_t step_s, int64_t from)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < n; i++)
		shown += say(&retry, name, "no answer", from + i * step_s).show;
	return shown;
}

static void test_powers_of_two(_unused_ void **state)
{
	for (uint64_t n = 1; n <= 64; n++) {
		struct repeats_verdict v = say(&retry, "a", "no answer", BEGIN + (int64_t)n);

		assert_int_equal(v.show,
				 n == 1 || n == 2 || n == 4 || n == 8 || n == 16 || n == 32 || n == 64);
		assert_int_equal(v.n, n);
		assert_int_equal(v.first_at, BEGIN + 1);
	}
}

static void test_a_week_of_minutes(_unused_ void **state)
{
	/* 14 powers of two, and what six hours ask for in between */
	assert_in_range(shown_of("a", 7 * 24 * 60, MINUTE, BEGIN), 30, 45);
}

static void test_six_hours_at_least(_unused_ void **state)
{
	int64_t last = BEGIN;

	for (int64_t at = BEGIN; at < BEGIN + 30 * DAY; at += MINUTE) {
		if (say(&retry, "a", "no answer", at).show)
			last = at;
		assert_true(at - last <= REPEATS_SHOW_S);
	}
}

static void test_others_are_others(_unused_ void **state)
{
	struct log_ctx name = { NULL, "DVCERT_NAME", "a" };
	struct log_ctx order = { &name, "ORDER_ID", "1" };

	(void)shown_of("a", 3, 1, BEGIN);
	assert_int_equal(say(&retry, "b", "no answer", BEGIN + 3).n, 1);
	assert_int_equal(say(&held, "a", "no answer", BEGIN + 3).n, 1);
	assert_int_equal(say(&retry, "a", "another answer", BEGIN + 3).n, 1);
	assert_int_equal(repeats_judge(&retry, &order, "no answer", BEGIN + 3).n, 1);
	assert_int_equal(say(&retry, "a", "no answer", BEGIN + 3).n, 4);
}

static void test_numbers_do_not_make_another_message(_unused_ void **state)
{
	assert_int_equal(say(&retry, "a", "attempt 9 failed, next at 10:59", BEGIN).n, 1);
	assert_int_equal(say(&retry, "a", "attempt 10 failed, next at 11:00", BEGIN + 1).n, 2);
	assert_int_equal(say(&retry, "a", "attempt failed, next at 11:00", BEGIN + 1).n, 1);
}

static void test_a_long_pause_ends_a_series(_unused_ void **state)
{
	(void)shown_of("a", 11, MINUTE, BEGIN);
	assert_int_equal(say(&retry, "a", "no answer", BEGIN + 10 * MINUTE + 4 * MINUTE).n, 12);
	assert_int_equal(say(&retry, "a", "no answer", BEGIN + 14 * MINUTE + 16 * MINUTE + 1).n, 1);
}

/* Pauses that double are one trouble. */
static void test_growing_pauses_go_on(_unused_ void **state)
{
	int64_t at = BEGIN;

	for (uint64_t n = 1; n <= 10; n++) {
		assert_int_equal(say(&retry, "a", "no answer", at).n, n);
		at += MINUTE << n;
	}
}

static void test_news_end_what_was_before(_unused_ void **state)
{
	(void)shown_of("a", 3, 1, BEGIN);
	(void)shown_of("b", 3, 1, BEGIN);
	for (int i = 0; i < 5; i++)
		assert_true(say(&done, "a", "done", BEGIN + 4).show);
	assert_int_equal(say(&retry, "a", "no answer", BEGIN + 5).n, 1);
	assert_int_equal(say(&retry, "b", "no answer", BEGIN + 5).n, 4);
}

/* The clock was set back: nobody waits for the time that was. */
static void test_clock_back(_unused_ void **state)
{
	(void)shown_of("a", 3, MINUTE, BEGIN);
	assert_int_equal(say(&retry, "a", "no answer", BEGIN - DAY).n, 1);
}

static void test_without_id_or_context(_unused_ void **state)
{
	for (int i = 0; i < 5; i++)
		assert_true(repeats_judge(NULL, NULL, "x", BEGIN).show);
	assert_int_equal(repeats_judge(&retry, NULL, "x", BEGIN).n, 1);
	assert_int_equal(repeats_judge(&retry, NULL, "x", BEGIN).n, 2);
	assert_true(repeats_judge(&done, NULL, "x", BEGIN).show);
	assert_int_equal(repeats_judge(&retry, NULL, "x", BEGIN).n, 1);
}

/* More domains in trouble than the table has room for: each first record is shown. */
static void test_more_than_fit(_unused_ void **state)
{
	char name[32];

	for (int i = 0; i < 20000; i++) {
		(void)snprintf(name, sizeof(name), "host-%d", i);
		assert_true(say(&retry, name, "no answer", BEGIN).show);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_powers_of_two, setup),
		cmocka_unit_test_setup(test_a_week_of_minutes, setup),
		cmocka_unit_test_setup(test_six_hours_at_least, setup),
		cmocka_unit_test_setup(test_others_are_others, setup),
		cmocka_unit_test_setup(test_numbers_do_not_make_another_message, setup),
		cmocka_unit_test_setup(test_a_long_pause_ends_a_series, setup),
		cmocka_unit_test_setup(test_growing_pauses_go_on, setup),
		cmocka_unit_test_setup(test_news_end_what_was_before, setup),
		cmocka_unit_test_setup(test_clock_back, setup),
		cmocka_unit_test_setup(test_without_id_or_context, setup),
		cmocka_unit_test_setup(test_more_than_fit, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
