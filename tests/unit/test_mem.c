/* SPDX-License-Identifier: Apache-2.0 */
/* common/mem: that nothing is ever NULL, that copies are copies, and that overflow ends the process. */
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_zeroed(void **state)
{
	unsigned char *p = xmalloc(4096);
	unsigned char *q = xcalloc(64, 64);

	(void)state;
	for (size_t i = 0; i < 4096; i++) {
		assert_int_equal(p[i], 0);
		assert_int_equal(q[i], 0);
	}
	free(p);
	free(q);
}

static void test_size_zero_is_not_null(void **state)
{
	void *p;

	(void)state;
	p = xmalloc(0);
	assert_non_null(p);
	free(p);
	p = xcalloc(0, 8);
	assert_non_null(p);
	free(p);
	p = xcalloc(8, 0);
	assert_non_null(p);
	p = xrealloc_array(p, 0, 16);
	assert_non_null(p);
	free(p);
	p = xmemdup("", 0);
	assert_non_null(p);
	free(p);
}

static void test_realloc_keeps_content(void **state)
{
	uint32_t *p = NULL;

	(void)state;
	for (uint32_t n = 1; n <= 1000; n++) {
		p = xrealloc_array(p, n, sizeof(*p));
		p[n - 1] = n;
	}
	for (uint32_t n = 1; n <= 1000; n++)
		assert_int_equal(p[n - 1], n);
	p = xrealloc_array(p, 2, sizeof(*p));
	assert_int_equal(p[0], 1);
	assert_int_equal(p[1], 2);
	free(p);
}

static void overflow_calloc(void)
{
	volatile size_t n = SIZE_MAX / 2;

	free(xcalloc(n, 3));
}

static void too_large_realloc(void)
{
	volatile size_t n = SIZE_MAX / 2;

	free(xrealloc(NULL, n));
}

static void overflow_realloc(void)
{
	volatile size_t n = SIZE_MAX / 2;

	free(xrealloc_array(NULL, n, 3));
}

static void too_large(void)
{
	volatile size_t n = SIZE_MAX / 4;

	free(xmalloc(n));
}

/* Runs fn in a child; true when the child did not come to its normal end. */
static bool dies(void (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(STDERR_FILENO);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_overflow_aborts(void **state)
{
	(void)state;
	assert_true(dies(overflow_calloc));
	assert_true(dies(overflow_realloc));
	assert_true(dies(too_large_realloc));
	assert_true(dies(too_large));
}

static void test_strings(void **state)
{
	_cleanup_free_ char *a = xstrdup("hello");
	_cleanup_free_ char *b = xstrndup("hello", 3);
	_cleanup_free_ char *c = xstrndup("hello", 99);
	_cleanup_free_ char *d = xstrdup_opt("x");
	_cleanup_free_ char *e = xstrndup("ab\0cd", 5);
	static const char unterminated[3] = { 'x', 'y', 'z' };
	_cleanup_free_ char *f = xstrndup(unterminated, sizeof(unterminated));

	(void)state;
	assert_string_equal(a, "hello");
	assert_string_equal(b, "hel");
	assert_string_equal(c, "hello");
	assert_string_equal(d, "x");
	assert_null(xstrdup_opt(NULL));
	assert_string_equal(e, "ab");
	assert_string_equal(f, "xyz");
}

static void test_memdup_keeps_nul(void **state)
{
	_cleanup_free_ char *p = xmemdup("a\0b", 3);

	(void)state;
	assert_memory_equal(p, "a\0b", 3);
}

static void test_asprintf(void **state)
{
	_cleanup_free_ char *s = xasprintf("%s-%d-%05u", "web", -7, 42u);
	_cleanup_free_ char *empty = xasprintf("%s", "");

	(void)state;
	assert_string_equal(s, "web--7-00042");
	assert_string_equal(empty, "");
}

static void test_wipe(void **state)
{
	char buf[8] = "secret!";

	(void)state;
	mem_wipe(buf + 1, 3);
	assert_memory_equal(buf, "s\0\0\0et!", 8);
	mem_wipe(NULL, 0);
	mem_wipe_free(NULL);
	mem_wipe_free(xstrdup("token"));
	{
		_cleanup_wipe_ char *scoped = xstrdup("token");
		_cleanup_wipe_ char *none = NULL;

		assert_string_equal(scoped, "token");
		assert_null(none);
	}
}

static void test_take_macros(void **state)
{
	char *p = xstrdup("x");
	char *q = TAKE_PTR(p);
	int fd = 77;
	int taken = TAKE_FD(fd);

	(void)state;
	assert_null(p);
	assert_string_equal(q, "x");
	assert_int_equal(taken, 77);
	assert_true(fd < 0);
	free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_size_zero_is_not_null),
		cmocka_unit_test(test_realloc_keeps_content),
		cmocka_unit_test(test_overflow_aborts),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_memdup_keeps_nul),
		cmocka_unit_test(test_asprintf),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_take_macros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
