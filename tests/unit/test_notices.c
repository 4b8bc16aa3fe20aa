/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of what, and how often. */
#include "daemon/ops/notices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

#include <errno.h>
#include <string.h>

#define T0   1800000000
#define HOUR 3600

enum look { GOOD, FAILED, EXPIRING, BOTH, BUSY, GONE };

static void show(struct notices *n, const char *name, enum look l, int64_t now)
{
	if (l != GONE)
		notices_show(n, name, l == FAILED || l == BOTH, l == EXPIRING || l == BOTH, l == GOOD, now);
}

/* One round with two domains. */
static void round_of(struct notices *n, enum look a, enum look b, int64_t now)
{
	notices_begin(n);
	show(n, "a.example.jp", a, now);
	show(n, "b.example.jp", b, now);
	notices_end(n, now);
}

static void add_name(const char *name, void *arg)
{
	strbuf_addf(arg, "%s ", name);
}

/* Makes the call for ev; must be freed. "" when there is nothing to tell. */
static char *call(struct notices *n, enum notice_event ev)
{
	struct strbuf sb = STRBUF_INIT(1000);

	(void)notices_take(n, ev);
	notices_each_taken(n, ev, add_name, &sb);
	notices_done(n, ev);
	return strbuf_take(&sb);
}

static void assert_call(struct notices *n, enum notice_event ev, const char *names)
{
	_cleanup_free_ char *got = call(n, ev);

	assert_string_equal(got, names);
}

static void assert_silence(struct notices *n)
{
	for (enum notice_event ev = 0; ev < NOTICE_NR; ev++)
		assert_false(notices_wait(n, ev));
}

static void test_once_a_day(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, GOOD, GOOD, T0);
	assert_silence(n);
	for (int64_t h = 0; h < 72; h++) {
		round_of(n, FAILED, GOOD, T0 + h * HOUR);
		assert_call(n, NOTICE_FAILED, h % 24 == 0 ? "a.example.jp " : "");
		assert_silence(n);
	}
}

static void test_both_kinds(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, BOTH, EXPIRING, T0);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	assert_call(n, NOTICE_EXPIRING, "a.example.jp b.example.jp ");
	round_of(n, FAILED, GOOD, T0 + 10);
	assert_call(n, NOTICE_RECOVERED, "b.example.jp ");
	round_of(n, GOOD, GOOD, T0 + 20);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
	round_of(n, GOOD, GOOD, T0 + 30);
	assert_silence(n);
}

/* On its way back is not recovered; a domain that was never told of does not recover. */
static void test_recovery(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, FAILED, BUSY, T0);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	round_of(n, BUSY, GOOD, T0 + 10);
	assert_silence(n);
	round_of(n, GOOD, GOOD, T0 + 20);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
}

/* Back and forth: each event once a day, and the last word is the truth. */
static void test_flapping(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();
	unsigned counts[NOTICE_NR] = { 0 };

	for (int64_t i = 0; i < 48 * 60; i++) {
		round_of(n, i % 2 ? GOOD : FAILED, GOOD, T0 + i * 60);
		for (enum notice_event ev = 0; ev < NOTICE_NR; ev++) {
			_cleanup_free_ char *got = call(n, ev);

			counts[ev] += *got != '\0';
		}
	}
	assert_int_equal(counts[NOTICE_FAILED], 2);
	assert_in_range(counts[NOTICE_RECOVERED], 1, 2);
	round_of(n, GOOD, GOOD, T0 + 49 * HOUR);
	(void)notices_take(n, NOTICE_RECOVERED);
	notices_done(n, NOTICE_RECOVERED);
	for (int64_t h = 50; h < 100; h++) {
		round_of(n, GOOD, GOOD, T0 + h * HOUR);
		assert_false(notices_wait(n, NOTICE_FAILED));
	}
}

/* Over before the call was made: nothing is told, and nothing counts as told. */
static void test_taken_back(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, FAILED, GOOD, T0);
	assert_true(notices_wait(n, NOTICE_FAILED));
	round_of(n, GOOD, GOOD, T0 + 5);
	assert_silence(n);
	round_of(n, FAILED, GOOD, T0 + 10);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	/* "recovered" waits, and it fails again: the earlier one is remembered. */
	round_of(n, GOOD, GOOD, T0 + 20);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
	round_of(n, FAILED, GOOD, T0 + 20 + 25 * HOUR);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	round_of(n, GOOD, GOOD, T0 + 30 + 25 * HOUR);
	assert_true(notices_wait(n, NOTICE_RECOVERED));
	round_of(n, BUSY, GOOD, T0 + 40 + 25 * HOUR);
	assert_silence(n);
	round_of(n, GOOD, GOOD, T0 + 50 + 25 * HOUR);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
}

/* While a call is repeated, others join it, and its end comes after it. */
static void test_call_that_is_repeated(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, FAILED, GOOD, T0);
	assert_int_equal(notices_take(n, NOTICE_FAILED), 1);
	round_of(n, GOOD, FAILED, T0 + 10);
	assert_false(notices_wait(n, NOTICE_RECOVERED));
	assert_int_equal(notices_take(n, NOTICE_FAILED), 2);
	notices_done(n, NOTICE_FAILED);
	round_of(n, GOOD, FAILED, T0 + 20);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
}

static void test_removed_domain(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, FAILED, FAILED, T0);
	round_of(n, GONE, FAILED, T0 + 1);
	assert_call(n, NOTICE_FAILED, "b.example.jp ");
}

/* A clock that was far ahead must not make us silent for years. */
static void test_clock_set_back(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();

	round_of(n, FAILED, GOOD, T0 + 1000 * HOUR);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	round_of(n, FAILED, GOOD, T0);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	round_of(n, FAILED, GOOD, T0 + 1);
	assert_silence(n);
}

static void test_file(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();
	_cleanup_(notices_freep) struct notices *again = notices_new();
	_cleanup_(strbuf_done) struct strbuf a = STRBUF_INIT(10000), b = STRBUF_INIT(10000);

	assert_false(notices_changed(n));
	round_of(n, FAILED, EXPIRING, T0);
	assert_true(notices_changed(n));
	assert_false(notices_changed(n));
	notices_encode(n, &a);
	assert_int_equal(notices_decode(again, strbuf_str(&a), a.len, NULL), 0);
	notices_encode(again, &b);
	assert_string_equal(strbuf_str(&a), strbuf_str(&b));
	/* After a restart: told already, and the end is told too. */
	round_of(again, FAILED, EXPIRING, T0 + HOUR);
	assert_silence(again);
	round_of(again, GOOD, FAILED, T0 + 2 * HOUR);
	assert_call(again, NOTICE_RECOVERED, "a.example.jp ");
	assert_call(again, NOTICE_FAILED, "b.example.jp ");
}

static void test_damage_is_harmless(_unused_ void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"{}",
		"[]",
		"{\"version\":2,\"domains\":[]}",
		"{\"version\":1,\"domains\":{}}",
		"{\"version\":1,\"domains\":[{}]}",
		"{\"version\":1,\"domains\":[1]}",
		"{\"version\":1,\"domains\":[{\"name\":\"\"}]}",
		"{\"version\":1,\"domains\":[{\"name\":\"a\",\"failed\":\"yesterday\"}]}",
		"{\"version\":1,\"domains\":[{\"name\":\"a\",\"failed\":5}]}",
		"{\"version\":1,\"domains\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
	};
	_cleanup_(notices_freep) struct notices *n = notices_new();
	struct err err = ERR_INIT;

	round_of(n, FAILED, GOOD, T0);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(notices_decode(n, bad[i], strlen(bad[i]), &err), -EBADMSG);
		assert_true(err.text[0] != '\0');
	}
	round_of(n, FAILED, GOOD, T0 + 1);
	assert_silence(n);
}

/* Nothing is remembered of domains that are well: the file does not grow with the years. */
static void test_forgets(_unused_ void **state)
{
	_cleanup_(notices_freep) struct notices *n = notices_new();
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(10000);

	round_of(n, FAILED, GOOD, T0);
	assert_call(n, NOTICE_FAILED, "a.example.jp ");
	round_of(n, GOOD, GOOD, T0 + 1);
	assert_call(n, NOTICE_RECOVERED, "a.example.jp ");
	round_of(n, GOOD, GOOD, T0 + 25 * HOUR);
	notices_encode(n, &sb);
	assert_null(strstr(strbuf_str(&sb), "example"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once_a_day),     cmocka_unit_test(test_both_kinds),
		cmocka_unit_test(test_recovery),       cmocka_unit_test(test_flapping),
		cmocka_unit_test(test_taken_back),     cmocka_unit_test(test_call_that_is_repeated),
		cmocka_unit_test(test_removed_domain), cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_file),	       cmocka_unit_test(test_damage_is_harmless),
		cmocka_unit_test(test_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
