/* SPDX-License-Identifier: Apache-2.0 */
/* common/err: codes come back, texts stay on one line and inside their buffer. */
#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void test_set(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(e.code, 0);
	assert_string_equal(e.text, "");
	assert_int_equal(err_set(&e, -EINVAL, "line %d: %s", 7, "bad"), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "line 7: bad");
	assert_int_equal(err_set(&e, -EIO, "other"), -EIO);
	assert_string_equal(e.text, "other");
}

static void test_null_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EPERM, "x"), -EPERM);
	assert_int_equal(err_set_errno(NULL, -EPERM, "x"), -EPERM);
	err_prefix(NULL, "x");
}

static void test_errno(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set_errno(&e, -ENOENT, "open %s", "a.pem"), -ENOENT);
	assert_string_equal(e.text, "open a.pem: No such file or directory");
	assert_int_equal(err_set_errno(&e, -99999, "x"), -99999);
	assert_true(strncmp(e.text, "x: ", 3) == 0 && strlen(e.text) > 3);
}

static void test_prefix(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_prefix(&e, "ignored");
	assert_string_equal(e.text, "");
	(void)err_set(&e, -EIO, "500");
	err_prefix(&e, "order %d", 4711);
	err_prefix(&e, "cert web-1");
	assert_int_equal(e.code, -EIO);
	assert_string_equal(e.text, "cert web-1: order 4711: 500");
}

static void test_own_text_as_argument(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, -EIO, "inner");
	(void)err_set(&e, -EPERM, "outer (%s)", e.text);
	assert_string_equal(e.text, "outer (inner)");
	err_prefix(&e, "%s", e.text);
	assert_string_equal(e.text, "outer (inner): outer (inner)");
}

static void test_one_line(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, -EIO, "a\nb\x1b[31m%s\x7f", "\xff");
	assert_string_equal(e.text, "a\\x0ab\\x1b[31m\\xff\\x7f");
	err_prefix(&e, "p\n");
	assert_string_equal(e.text, "p\\x0a: a\\x0ab\\x1b[31m\\xff\\x7f");
}

static void test_cut(void **state)
{
	struct err e = ERR_INIT;
	char big[2 * ERR_TEXT_MAX];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)err_set(&e, -EIO, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_prefix(&e, "front");
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "front: xxx", 10);

	/* A character of two bytes does not fit into the last one. */
	big[ERR_TEXT_MAX - 2] = '\xc3';
	big[ERR_TEXT_MAX - 1] = '\xa9';
	(void)err_set(&e, -EIO, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_null_is_allowed),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_own_text_as_argument),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
