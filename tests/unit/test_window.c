/* SPDX-License-Identifier: Apache-2.0 */
/* When to renew: from the certificate's own dates, whatever they are. */
#include "daemon/core/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY   INT64_C(86400)
#define START INT64_C(1795248000)

static void test_auto_is_a_sixth_of_the_life(void **state)
{
	int64_t end = START + 199 * DAY;

	(void)state;
	assert_int_equal(window_renew_at(START, end, 0, 0), end - 199 * DAY / 6);
	assert_int_equal(window_renew_at(START, end, -5, 0), end - 199 * DAY / 6);
	assert_int_equal(window_renew_at(START, START + 6 * DAY, 0, 0), START + 5 * DAY);
}

static void test_named_in_the_configuration(void **state)
{
	int64_t end = START + 199 * DAY;

	(void)state;
	assert_int_equal(window_renew_at(START, end, 30 * DAY, 0), end - 30 * DAY);
	/* Longer than the life: an order at once, again and again, is not what anybody wants. */
	assert_int_equal(window_renew_at(START, end, 199 * DAY, 0), end - 199 * DAY / 6);
	assert_int_equal(window_renew_at(START, end, 400 * DAY, 0), end - 199 * DAY / 6);
	assert_int_equal(window_renew_at(START, end, INT64_MAX, 0), end - 199 * DAY / 6);
	assert_int_equal(window_renew_at(START, end, 199 * DAY - 1, 0), START + 1);
}

static void test_jitter_is_below_a_tenth_and_only_later(void **state)
{
	int64_t end = START + 199 * DAY, first = end - 30 * DAY;
	uint64_t seed = 1;
	bool moved = false;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t at = window_renew_at(START, end, 30 * DAY, seed);

		assert_true(at >= first && at < first + 3 * DAY);
		assert_int_equal(at, window_renew_at(START, end, 30 * DAY, seed));
		moved = moved || at > first + 2 * DAY;
		seed = seed * UINT64_C(6364136223846793005) + 1;
	}
	assert_true(moved);
	assert_true(window_renew_at(START, end, 30 * DAY, UINT64_MAX) < first + 3 * DAY);
}

static void test_strange_certificates(void **state)
{
	(void)state;
	assert_int_equal(window_renew_at(START, START, 0, 7), START);
	assert_int_equal(window_renew_at(START, START - DAY, 30 * DAY, 7), START);
	assert_int_equal(window_renew_at(START, START + 1, 0, 7), START + 1);
	assert_int_equal(window_renew_at(START, START + 5, 3, 7), START + 2);
}

static void test_always_within_the_life(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t life, before, at;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		life = (int64_t)(seed >> 40) + 1;
		before = (int64_t)((seed >> 20) % (1u << 25));
		at = window_renew_at(START, START + life, before, seed);
		assert_true(at > START - 1 && at <= START + life);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auto_is_a_sixth_of_the_life),
		cmocka_unit_test(test_named_in_the_configuration),
		cmocka_unit_test(test_jitter_is_below_a_tenth_and_only_later),
		cmocka_unit_test(test_strange_certificates),
		cmocka_unit_test(test_always_within_the_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
