/* SPDX-License-Identifier: Apache-2.0 */
/* common/secret: content, comparison, and that the kernel really was told to leave it out of dumps. */
#include "common/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/mem.h"

static void test_content(void **state)
{
	_cleanup_(secret_freep) struct secret *s = secret_new("abc\0def", 7);
	_cleanup_(secret_freep) struct secret *empty = secret_new(NULL, 0);

	(void)state;
	assert_int_equal(secret_len(s), 7);
	assert_memory_equal(secret_bytes(s), "abc\0def", 8);
	assert_int_equal(secret_len(empty), 0);
	assert_string_equal(secret_bytes(empty), "");
	secret_free(NULL);
}

static void test_copy_is_independent(void **state)
{
	char key[] = "key";
	_cleanup_(secret_freep) struct secret *s = secret_new(key, 3);

	(void)state;
	mem_wipe(key, sizeof(key));
	assert_string_equal(secret_bytes(s), "key");
}

static void test_large(void **state)
{
	size_t len = 100000;
	_cleanup_free_ char *data = xmalloc(len);
	_cleanup_(secret_freep) struct secret *s = NULL;

	(void)state;
	memset(data, 'k', len);
	s = secret_new(data, len);
	assert_memory_equal(secret_bytes(s), data, len);
	assert_int_equal(secret_bytes(s)[len], '\0');
}

static void test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		size_t a_len, b_len;
		bool equal;
	} rows[] = {
		{ "", "", 0, 0, true },
		{ "a", "a", 1, 1, true },
		{ "a", "b", 1, 1, false },
		{ "a", "ab", 1, 2, false },
		{ "ab\0c", "ab\0d", 4, 4, false },
		{ "ab\0c", "ab\0c", 4, 4, true },
		{ "xbcd", "abcd", 4, 4, false },
		{ "abcd", "abcx", 4, 4, false },
		{ "\x80", "", 1, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(secret_freep) struct secret *a = secret_new(rows[i].a, rows[i].a_len);
		_cleanup_(secret_freep) struct secret *b = secret_new(rows[i].b, rows[i].b_len);

		assert_int_equal(secret_equal(a, b), rows[i].equal);
		assert_int_equal(secret_equal(b, a), rows[i].equal);
	}
}

static void test_not_dumped(void **state)
{
	_cleanup_(secret_freep) struct secret *s = secret_new("key", 3);
	uintptr_t at = (uintptr_t)secret_bytes(s);
	bool inside = false, found = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");

	(void)state;
	if (!f)
		skip();
	while (fgets(line, sizeof(line), f)) {
		char *end;
		uintptr_t from = strtoul(line, &end, 16);

		if (*end == '-') {
			uintptr_t to = strtoul(end + 1, &end, 16);

			inside = *end == ' ' && from <= at && at < to;
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			found = true;
			assert_non_null(strstr(line, " dd"));
		}
	}
	(void)fclose(f);
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content),	   cmocka_unit_test(test_copy_is_independent),
		cmocka_unit_test(test_large),	   cmocka_unit_test(test_equal),
		cmocka_unit_test(test_not_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
