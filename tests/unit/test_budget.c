/* SPDX-License-Identifier: Apache-2.0 */
/* At most N paid posts in any 24 hours, with a list counted by hand as the judge. */
#include "daemon/core/budget.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T0 INT64_C(1795248000)

static uint32_t seed = 7;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void test_room_and_no_room(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(2);

	(void)state;
	assert_int_equal(budget_next_at(b, T0, 0), T0);
	assert_int_equal(budget_spent(b, T0), 0);
	budget_spend(b, T0);
	assert_int_equal(budget_next_at(b, T0, 0), T0);
	budget_spend(b, T0 + 100);
	assert_int_equal(budget_spent(b, T0 + 100), 2);
	assert_int_equal(budget_next_at(b, T0 + 100, 0), T0 + BUDGET_SPAN + 1);
	assert_int_equal(budget_next_at(b, T0 + BUDGET_SPAN - 1, 0), T0 + BUDGET_SPAN + 1);
	assert_int_equal(budget_next_at(b, T0 + BUDGET_SPAN + 1, 0), T0 + BUDGET_SPAN + 1);
	assert_int_equal(budget_spent(b, T0 + BUDGET_SPAN + 1), 1);
}

static void test_prior_claims(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(3);

	(void)state;
	assert_int_equal(budget_next_at(b, T0, 2), T0);
	assert_int_equal(budget_next_at(b, T0, 3), T0 + BUDGET_SPAN);
	budget_spend(b, T0 - 500);
	budget_spend(b, T0 - 400);
	assert_int_equal(budget_next_at(b, T0, 0), T0);
	assert_int_equal(budget_next_at(b, T0, 1), T0 - 500 + BUDGET_SPAN + 1);
	assert_int_equal(budget_next_at(b, T0, 2), T0 - 400 + BUDGET_SPAN + 1);
	assert_int_equal(budget_next_at(b, T0, 3), T0 + BUDGET_SPAN);
	assert_int_equal(budget_next_at(b, T0, UINT32_MAX), T0 + BUDGET_SPAN);
}

/* From the wish until the post, unless it is free, or waits for a person. */
static void test_who_has_a_claim(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	assert_false(budget_is_claimed_by(r));
	r->job = xmalloc(sizeof(*r->job));
	r->job->is_paid = true;
	r->job->phase = PHASE_PREPARE;
	assert_true(budget_is_claimed_by(r));
	/* Nothing can be prepared, perhaps for ever: others need not wait for it. */
	r->job->next_at = T0;
	assert_false(budget_is_claimed_by(r));
	r->job->next_at = 0;
	r->job->phase = PHASE_SUBMIT;
	assert_true(budget_is_claimed_by(r));
	/* It waits for a place in the day's orders, or repeats a post that was not taken. */
	r->job->next_at = T0;
	assert_true(budget_is_claimed_by(r));
	r->held = true;
	assert_false(budget_is_claimed_by(r));
	r->held = false;
	r->job->submitted_at = T0;
	assert_false(budget_is_claimed_by(r)); /* spent by then */
	r->job->phase = PHASE_PUBLISH;
	assert_false(budget_is_claimed_by(r));
	r->job->phase = PHASE_PREPARE;
	r->job->submitted_at = 0;
	r->job->is_paid = false;
	assert_false(budget_is_claimed_by(r));
}

/* More claims than places (a lower limit, jobs that were released): they do not wait for each other, others wait for them. */
static void test_claims_do_not_wait_for_claims(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(2);
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	assert_int_equal(budget_post_at(b, T0, 1, r), T0);
	assert_int_equal(budget_post_at(b, T0, 3, r), T0 + BUDGET_SPAN);
	r->job = xmalloc(sizeof(*r->job));
	r->job->is_paid = true;
	r->job->phase = PHASE_SUBMIT;
	assert_int_equal(budget_post_at(b, T0, 3, r), T0);
	budget_spend(b, T0);
	assert_int_equal(budget_post_at(b, T0, 2, r), T0);
	budget_spend(b, T0);
	assert_int_equal(budget_post_at(b, T0, 1, r), T0 + BUDGET_SPAN + 1);
}

static void test_refund(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(1);

	(void)state;
	budget_spend(b, T0);
	budget_refund(b, T0 - 1);
	assert_int_equal(budget_spent(b, T0), 1);
	budget_refund(b, T0);
	assert_int_equal(budget_spent(b, T0), 0);
	budget_refund(b, T0);
	assert_int_equal(budget_spent(b, T0), 0);
	/* Two posts of one second are two posts. */
	budget_spend(b, T0);
	budget_spend(b, T0);
	budget_refund(b, T0);
	assert_int_equal(budget_spent(b, T0), 1);
}

static void test_other_maximum(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(0);

	(void)state;
	assert_int_equal(budget_next_at(b, T0, 0), T0 + BUDGET_SPAN);
	budget_spend(b, T0);
	assert_int_equal(budget_next_at(b, T0, 0), T0 + BUDGET_SPAN);
	budget_set_max(b, 2);
	assert_int_equal(budget_next_at(b, T0, 0), T0);
	budget_spend(b, T0 + 1);
	budget_set_max(b, 1);
	assert_int_equal(budget_next_at(b, T0 + 1, 0), T0 + 1 + BUDGET_SPAN + 1);
}

/* Records are read in any order, so posts come in any order. */
static void test_unsorted_posts(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(3);

	(void)state;
	budget_spend(b, T0 - 10);
	budget_spend(b, T0 - 30);
	budget_spend(b, T0 - 20);
	assert_int_equal(budget_next_at(b, T0, 0), T0 - 30 + BUDGET_SPAN + 1);
	assert_int_equal(budget_spent(b, T0 - 25 + BUDGET_SPAN), 2);
	assert_int_equal(budget_spent(b, T0 - 15 + BUDGET_SPAN), 1);
}

/* The clock goes back a week: posts "of the future" go on counting. */
static void test_clock_goes_back(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(1);
	int64_t back = T0 - 7 * INT64_C(86400);

	(void)state;
	budget_spend(b, T0);
	assert_int_equal(budget_spent(b, back), 1);
	assert_true(budget_next_at(b, back, 0) > back);
	budget_spend(b, back);
	assert_int_equal(budget_spent(b, back), 2);
	assert_true(budget_next_at(b, back, 0) >= T0 + BUDGET_SPAN);
}

static uint32_t count(const int64_t *at, size_t n, int64_t now)
{
	uint32_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += at[i] > now - BUDGET_SPAN;
	return k;
}

static void test_never_more_than_allowed(void **state)
{
	enum { POSTS = 3000, MAX_PER_DAY = 17 };
	_cleanup_(budget_freep) struct budget *b = budget_new(MAX_PER_DAY);
	static int64_t at[POSTS];
	int64_t now = T0;
	size_t n = 0;

	(void)state;
	while (n < POSTS) {
		int64_t next;

		now += roll(4000);
		next = budget_next_at(b, now, 0);
		assert_int_equal(budget_spent(b, now), count(at, n, now));
		if (next == now) {
			assert_true(count(at, n, now) < MAX_PER_DAY);
			budget_spend(b, now);
			at[n++] = now;
			if (roll(5) == 0) {
				budget_refund(b, now);
				n--;
			}
			continue;
		}
		/* Neither too early nor, but for a second, too late. */
		assert_int_equal(count(at, n, now), MAX_PER_DAY);
		assert_true(count(at, n, next) < MAX_PER_DAY);
		assert_int_equal(count(at, n, next - 2), MAX_PER_DAY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_and_no_room),
		cmocka_unit_test(test_prior_claims),
		cmocka_unit_test(test_who_has_a_claim),
		cmocka_unit_test(test_claims_do_not_wait_for_claims),
		cmocka_unit_test(test_refund),
		cmocka_unit_test(test_other_maximum),
		cmocka_unit_test(test_unsorted_posts),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_never_more_than_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
