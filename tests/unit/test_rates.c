/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling windows, with a count by hand as the judge. */
#include "daemon/core/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOST 20000

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* The documented limits: 100 per 5 s and 1000 per 3 min; ours stay below. */
/* A request whose answer comes at once. */
static int64_t take(struct rates *r, int64_t now_ms)
{
	int64_t wait_ms = rates_begin(r, now_ms);

	if (wait_ms == 0)
		rates_end(r, now_ms);
	return wait_ms;
}

/* The CA may have counted it at any time between leaving and the answer. */
static void test_slow_answers_count_from_the_answer(void **state)
{
	const struct rates_limit limits[] = { { 2, 1000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 1);

	(void)state;
	assert_int_equal(rates_begin(r, 0), 0);
	assert_int_equal(rates_begin(r, 10), 0);
	assert_int_equal(rates_left(r, 20), 0);
	/* Long after their window: still under way, still counted. */
	assert_true(rates_begin(r, 5000) == RATES_WAIT_ANSWER);
	rates_end(r, 5500);
	assert_true(rates_begin(r, 5600) == 900);
	assert_true(rates_begin(r, 6500) == 0);
	rates_end(r, 6600);
	rates_end(r, 6600);
	assert_true(rates_begin(r, 7599) == 1);
	assert_true(rates_begin(r, 7600) == 0);
	rates_end(r, 7600);
}

static void test_default_windows(void **state)
{
	const struct rates_limit limits[] = { { 90, 5000 }, { 900, 180000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 2);

	(void)state;
	assert_int_equal(rates_left(r, 0), 90);
	for (int i = 0; i < 90; i++)
		assert_int_equal(take(r, 1000 + i), 0);
	assert_int_equal(rates_left(r, 1089), 0);
	assert_int_equal(rates_left_of(r, &limits[0], 1089), 0);
	assert_int_equal(rates_left_of(r, &limits[1], 1089), 810);
	assert_int_equal(rates_left_of(r, &(struct rates_limit){ 100, 5000 }, 1089), 10);
	assert_int_equal(take(r, 1100), 4900);
	assert_int_equal(take(r, 5999), 1);
	assert_int_equal(rates_left(r, 6000), 1);
	assert_int_equal(take(r, 6000), 0);
	assert_int_equal(take(r, 6000), 1);
}

static void test_stop(void **state)
{
	const struct rates_limit limits[] = { { 5, 1000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 1);

	(void)state;
	rates_stop(r, 5000);
	rates_stop(r, 3000); /* the later one wins */
	assert_int_equal(take(r, 1000), 4000);
	assert_int_equal(rates_left(r, 4999), 0);
	assert_int_equal(rates_left_of(r, &limits[0], 4999), 0);
	assert_int_equal(rates_left(r, 5000), 5);
	assert_int_equal(take(r, 5000), 0);
}

static void test_time_goes_back(void **state)
{
	const struct rates_limit limits[] = { { 1, 1000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 1);

	(void)state;
	assert_int_equal(take(r, 10000), 0);
	assert_int_equal(take(r, 500), 1000);
	assert_int_equal(take(r, 11000), 0);
}

static void test_reload_keeps_requests(void **state)
{
	const struct rates_limit before[] = { { 100, 1000 } };
	const struct rates_limit after[] = { { 30, 60000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(before, 1);

	(void)state;
	for (int i = 0; i < 30; i++)
		assert_int_equal(take(r, i * 100), 0);
	/* Longer than any window that was in force: the CA has counted them all the same. */
	rates_set_limits(r, after, 1);
	assert_int_equal(take(r, 3000), 57000);
	assert_int_equal(rates_left(r, 59999), 0);
	assert_int_equal(rates_left(r, 60000), 1);
	rates_set_limits(r, before, 1);
	assert_int_equal(take(r, 3000), 0);
}

/* What an earlier object asked counts as if this one had asked it. */
static void test_recalled(void **state)
{
	const struct rates_limit limits[] = { { 3, 1000 }, { 4, 10000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 2);

	(void)state;
	rates_recall(r, -20000); /* before this boot, in no window any more */
	rates_recall(r, -500);
	rates_recall(r, 100);
	assert_int_equal(rates_left(r, 200), 1);
	assert_int_equal(take(r, 300), 0);
	assert_int_equal(take(r, 300), 200); /* -500 leaves the short window */
	assert_int_equal(take(r, 500), 0);
	assert_int_equal(take(r, 9499), 1); /* and the long one */
	assert_int_equal(take(r, 9500), 0);
	/* In the wrong order: it counts as the latest. */
	rates_recall(r, 100);
	assert_int_equal(take(r, 9600), 10300 - 9600);
}

/* As many as there are: the ring of times grows with them, and old ones go. */
static void test_recalled_many(void **state)
{
	const struct rates_limit limits[] = { { 900, 180000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 1);

	(void)state;
	for (int64_t i = 0; i < 100000; i++)
		rates_recall(r, i * 10);
	assert_int_equal(take(r, 999990), 1000000 - 9000 + 180000 - 999990);
}

static size_t inside(const int64_t *times, size_t n, int64_t from, int64_t to)
{
	size_t hits = 0;

	for (size_t i = 0; i < n; i++)
		hits += times[i] > from && times[i] <= to;
	return hits;
}

/* Random limits and steps: a request leaves exactly when no window forbids it, and the wait that is named is
 * the shortest one. */
static void one_sequence(uint32_t s)
{
	static int64_t times[MOST];
	struct rates_limit limits[RATES_MAX];
	size_t n_limits = 0;
	size_t n = 0;
	int64_t now = 0;

	seed = s;
	n_limits = 1 + roll(3);
	for (size_t i = 0; i < n_limits; i++)
		limits[i] = (struct rates_limit){ 1 + roll(i == 0 ? 6 : 40), 1 + roll(i == 0 ? 50 : 900) };

	_cleanup_(rates_freep) struct rates *r = rates_new(limits, n_limits);

	for (int step = 0; step < 600; step++) {
		int64_t earliest = now;
		uint32_t room = UINT32_MAX;

		for (size_t i = 0; i < n_limits; i++) {
			int64_t t = now;
			size_t used = inside(times, n, now - limits[i].per_ms, now);
			uint32_t left = used >= limits[i].requests ? 0 : limits[i].requests - (uint32_t)used;

			room = MIN(room, left);
			while (inside(times, n, t - limits[i].per_ms, t) >= limits[i].requests)
				t++;
			earliest = MAX(earliest, t);
		}
		assert_int_equal(rates_left(r, now), room);
		assert_int_equal(take(r, now), earliest - now);
		if (earliest == now)
			times[n++] = now;
		now += roll(4) == 0 ? (int64_t)roll(30) : earliest - now;
	}
}

static void test_against_brute_force(void **state)
{
	(void)state;
	for (uint32_t s = 1; s <= 60; s++)
		one_sequence(s);
}

static void test_many(void **state)
{
	const struct rates_limit limits[] = { { 3000, 1000 } };
	_cleanup_(rates_freep) struct rates *r = rates_new(limits, 1);
	int64_t now = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		int64_t wait = take(r, now);

		now += wait;
		if (wait > 0)
			assert_int_equal(take(r, now), 0);
	}
	assert_int_equal(now, 99000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_answers_count_from_the_answer),
		cmocka_unit_test(test_default_windows),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_time_goes_back),
		cmocka_unit_test(test_reload_keeps_requests),
		cmocka_unit_test(test_recalled),
		cmocka_unit_test(test_recalled_many),
		cmocka_unit_test(test_against_brute_force),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
