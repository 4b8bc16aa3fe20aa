/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes: every fault has a name of its own, and text of others cannot break a log line. */
#include "daemon/core/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_names_are_distinct(_unused_ void **state)
{
	for (int a = 0; a < FAULT_NR; a++) {
		assert_string_not_equal(fault_name((enum fault)a), "unknown");
		for (int b = 0; b < a; b++)
			assert_string_not_equal(fault_name((enum fault)a), fault_name((enum fault)b));
	}
	assert_string_equal(fault_name(FAULT_NR), "unknown");
	assert_string_equal(fault_name(FAULT_BAD_CERT), "bad_cert");
}

static void test_what_may_pass(_unused_ void **state)
{
	static const bool PASSES[FAULT_NR] = { [FAULT_UNSENT] = true,
					       [FAULT_UNCLEAR] = true,
					       [FAULT_THROTTLED] = true,
					       [FAULT_LOCAL] = true,
					       [FAULT_BUSY] = true };

	for (int f = 0; f < FAULT_NR; f++)
		assert_int_equal(fault_may_pass((enum fault)f), PASSES[f]);
}

static void test_set_fills_and_returns(_unused_ void **state)
{
	struct outcome o = OUTCOME_OK;

	o.http_status = 429;
	o.retry_after = 7;
	assert_ptr_equal(outcome_set(&o, FAULT_THROTTLED, "slow", "wait %d s", 7), &o);
	assert_int_equal(o.fault, FAULT_THROTTLED);
	assert_string_equal(o.code, "slow");
	assert_string_equal(o.message, "wait 7 s");
	assert_int_equal(o.http_status, 429); /* belongs to whoever saw the answer */
	assert_int_equal(o.retry_after, 7);
}

static void test_text_is_one_line(_unused_ void **state)
{
	struct outcome o = OUTCOME_OK;

	(void)outcome_set(&o, FAULT_REFUSED, "a\nb", "%s", "first\nsecond\x1b[31m");
	assert_null(strpbrk(o.message, "\n\x1b"));
	assert_null(strchr(o.code, '\n'));
	(void)outcome_set(&o, FAULT_REFUSED, NULL, "x");
	assert_string_equal(o.code, "");
}

static void test_text_is_cut(_unused_ void **state)
{
	struct outcome o = OUTCOME_OK;
	char longer[2000];

	memset(longer, '\n', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	(void)outcome_set(&o, FAULT_UNCLEAR, longer, "%s", longer);
	assert_true(strlen(o.code) < OUTCOME_CODE_MAX);
	assert_true(strlen(o.message) < OUTCOME_MESSAGE_MAX);
	assert_true(strlen(o.message) > OUTCOME_MESSAGE_MAX - 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_distinct),    cmocka_unit_test(test_what_may_pass),
		cmocka_unit_test(test_set_fills_and_returns), cmocka_unit_test(test_text_is_one_line),
		cmocka_unit_test(test_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
