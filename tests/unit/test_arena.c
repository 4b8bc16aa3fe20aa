/* SPDX-License-Identifier: Apache-2.0 */
#include "config/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_objects(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();

	(void)state;
	for (size_t size = 1; size < 3000; size += 7) {
		char *p = arena_alloc(a, size);

		assert_int_equal((uintptr_t)p % sizeof(int64_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
	}
}

static void test_strings(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	const char *first = arena_strdup(a, "first");
	const char *second = arena_strndup(a, "second and more", 6);
	const char *empty = arena_strdup(a, "");

	(void)state;
	assert_string_equal(first, "first");
	assert_string_equal(second, "second");
	assert_string_equal(empty, "");
	/* No padding between strings. */
	assert_ptr_equal(second + 7, first);
}

static void test_big(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	char *small = arena_alloc(a, 8);
	char *big = arena_alloc(a, 5u << 20);
	char *after = arena_alloc(a, 8);

	(void)state;
	memset(big, 1, 5u << 20);
	/* The big one did not cost the rest of the first block. */
	assert_ptr_equal(after, small + 8);
	assert_true(arena_size(a) >= 5u << 20);
	assert_true(arena_size(a) < 6u << 20);
}

static void test_big_first(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	char *big = arena_alloc(a, 1u << 20);

	(void)state;
	memset(big, 1, 1u << 20);
	assert_string_equal(arena_strdup(a, "x"), "x");
}

static char order[8];

static void note(void *p)
{
	order[strlen(order)] = *(char *)p;
}

static void test_owned(void **state)
{
	struct arena *a = arena_new();
	char x = 'x';
	char y = 'y';

	(void)state;
	arena_own(a, note, &x);
	arena_own(a, note, &y);
	arena_free(a);
	assert_string_equal(order, "yx");
	arena_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects), cmocka_unit_test(test_strings),	  cmocka_unit_test(test_big),
		cmocka_unit_test(test_owned),	cmocka_unit_test(test_big_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
