/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pki/mark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint16_t mark(const char *text, const char *purpose)
{
	_cleanup_(secret_freep) struct secret *s = secret_new(text, strlen(text));

	return mark_of_secret(s, purpose);
}

static void test_marks(void **state)
{
	(void)state;
	/* hmac.new(b"KEY-1", b"state/rates", "sha256"), the first four digits. */
	assert_int_equal(mark("KEY-1", "state/rates"), 0x1bc9);
	assert_int_not_equal(mark("KEY-1", "state/rates"), mark("KEY-2", "state/rates"));
	assert_int_not_equal(mark("KEY-1", "state/rates"), mark("KEY-1", "state/others"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
