/* SPDX-License-Identifier: Apache-2.0 */
/* common/clock: the real one. */
#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

static void test_now(void **state)
{
	int64_t before = (int64_t)time(NULL);
	int64_t now = clock_now();

	(void)state;
	/* time(2) may answer from a coarser clock that lags a tick. */
	assert_true(now >= before);
	assert_true(now - before <= 2);
}

static void test_mono(void **state)
{
	struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t a = clock_mono_ms();
	int64_t b, last = a;

	(void)state;
	assert_true(a > 0);
	assert_int_equal(nanosleep(&nap, NULL), 0);
	b = clock_mono_ms();
	assert_true(b - a >= 19);
	for (int i = 0; i < 1000; i++) {
		b = clock_mono_ms();
		assert_true(b >= last);
		last = b;
	}
}

static void test_random(void **state)
{
	static unsigned char a[1 << 20];
	unsigned char guard[3] = { 1, 2, 3 };
	unsigned seen[256] = { 0 };

	(void)state;
	clock_random(guard, 0);
	assert_memory_equal(guard, "\1\2\3", 3);
	/* More than one call of getrandom can give at once. */
	clock_random(a, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		seen[a[i]]++;
	/* 4096 expected, standard deviation 64: ten of them are not seen by chance. */
	for (size_t i = 0; i < 256; i++)
		assert_in_range(seen[i], 4096 - 640, 4096 + 640);
	assert_memory_not_equal(a, a + 512, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_mono),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
