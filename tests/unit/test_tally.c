/* SPDX-License-Identifier: Apache-2.0 */
/* Counts by kind and status. */
#include "daemon/core/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_counts_are_sorted(_unused_ void **state)
{
	struct tally t = { 0 };

	tally_add(&t, 2, 200);
	tally_add(&t, 1, 500);
	tally_add(&t, 2, 0);
	tally_add(&t, 2, 200);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.rows[0].kind, 1);
	assert_int_equal(t.rows[1].code, 0);
	assert_int_equal(t.rows[2].code, 200);
	assert_int_equal(t.rows[2].n, 2);
	tally_done(&t);
	tally_done(&t);
	assert_int_equal(t.n, 0);
}

/* A server that answers another status each time: memory stays, no event is lost. */
static void test_bounded(_unused_ void **state)
{
	struct tally t = { 0 };
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < 4; kind++) {
		for (int code = 100; code < 600; code++)
			tally_add(&t, kind, code);
	}
	assert_true(t.n <= TALLY_MAX + 4);
	for (size_t i = 0; i < t.n; i++)
		sum += t.rows[i].n;
	assert_int_equal(sum, 2000);
	assert_int_equal(t.rows[0].code, TALLY_OTHER);
	assert_int_equal(t.rows[0].n, 500 - TALLY_MAX);
	tally_add(&t, 0, 100);
	assert_int_equal(t.rows[1].code, 100);
	assert_int_equal(t.rows[1].n, 2);
	tally_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_sorted),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
