/* SPDX-License-Identifier: Apache-2.0 */
/* Pauses: doubling, cap, jitter, and no wrap-around for any number of failures (CVE-2025-55753 was one). */
#include "daemon/core/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_doubles_up_to_the_cap(void **state)
{
	(void)state;
	assert_int_equal(retry_delay(60, 0, RETRY_CAP, 0), 60);
	assert_int_equal(retry_delay(60, 1, RETRY_CAP, 0), 120);
	assert_int_equal(retry_delay(60, 5, RETRY_CAP, 0), 60 * 32);
	assert_int_equal(retry_delay(60, 8, RETRY_CAP, 0), 60 * 256);
	assert_int_equal(retry_delay(60, 9, RETRY_CAP, 0), 60 * RETRY_CAP);
	assert_int_equal(retry_delay(60, 3, 1, 0), 60);
}

static void test_saturates(void **state)
{
	static const unsigned ATTEMPTS[] = { 29, 30, 31, 32, 33, 62, 63, 64, 65, 1000, 1u << 31, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ATTEMPTS); i++)
		assert_int_equal(retry_delay(60, ATTEMPTS[i], RETRY_CAP, 0), 60 * RETRY_CAP);
	/* Also with a cap that no doubling below 30 reaches. */
	assert_int_equal(retry_delay(1, 29, INT64_C(1) << 40, 0), INT64_C(1) << 29);
	assert_int_equal(retry_delay(1, 30, INT64_C(1) << 40, 0), INT64_C(1) << 40);
}

static void test_jitter_takes_less_than_a_quarter(void **state)
{
	(void)state;
	assert_int_equal(retry_delay(1024, 0, RETRY_CAP, 0), 1024);
	assert_int_equal(retry_delay(1024, 0, RETRY_CAP, 512), 1024 - 128);
	assert_int_equal(retry_delay(1024, 0, RETRY_CAP, 1023), 1024 - 255);
	assert_int_equal(retry_delay(1024, 0, RETRY_CAP, 1024), 1024);
	assert_int_equal(retry_delay(1024, 0, RETRY_CAP, UINT32_MAX), 1024 - 255);
	/* Too short to be split. */
	assert_int_equal(retry_delay(1, 0, RETRY_CAP, 1023), 1);
	assert_int_equal(retry_delay(3, 0, RETRY_CAP, 1023), 3);
}

/* For every attempt of a wide sample, every cap and any random number. */
static void test_bounds_hold_everywhere(void **state)
{
	static const int64_t CAPS[] = { 1, 12, RETRY_CHECK_CAP, RETRY_CAP };
	uint32_t rnd = 1;

	(void)state;
	for (uint64_t a = 0; a <= UINT32_MAX; a = a < 70 ? a + 1 : a * 3 / 2) {
		for (size_t c = 0; c < ARRAY_SIZE(CAPS); c++) {
			for (int64_t tempo = 1; tempo <= 3600; tempo *= 3) {
				int64_t full = retry_delay(tempo, (unsigned)a, CAPS[c], 0);
				int64_t delay = retry_delay(tempo, (unsigned)a, CAPS[c], rnd);

				rnd = rnd * 1664525u + 1013904223u;
				assert_true(full >= tempo && full <= tempo * CAPS[c]);
				assert_true(delay <= full && delay * 4 >= full * 3);
				assert_true(delay * 4 >= tempo * 3);
			}
		}
	}
}

static void test_never_shrinks_with_more_failures(void **state)
{
	int64_t last = 0;

	(void)state;
	for (unsigned a = 0; a < 200; a++) {
		int64_t delay = retry_delay(60, a, RETRY_CAP, 0);

		assert_true(delay >= last);
		last = delay;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles_up_to_the_cap),
		cmocka_unit_test(test_saturates),
		cmocka_unit_test(test_jitter_takes_less_than_a_quarter),
		cmocka_unit_test(test_bounds_hold_everywhere),
		cmocka_unit_test(test_never_shrinks_with_more_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
