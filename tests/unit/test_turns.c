/* SPDX-License-Identifier: Apache-2.0 */
/* Turns in webroots: one at a time, in the order of asking, and over only when nothing is left there. */
#include "daemon/core/turns.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_in_the_order_of_asking(void **state)
{
	struct turns t = { 0 };
	struct turn a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	assert_true(turns_take(&t, &a, "/srv/www"));
	assert_true(turn_is_at(&a, "/srv/www"));
	assert_false(turn_is_at(&a, "/srv"));
	assert_false(turn_is_wanted(&a));
	assert_null(turn_awaited(&a));
	assert_false(turns_take(&t, &b, "/srv/www"));
	assert_false(turns_take(&t, &c, "/srv/www"));
	assert_true(turn_is_wanted(&a));
	assert_ptr_equal(turn_awaited(&c), &a);
	assert_false(turn_is_at(&b, "/srv/www"));
	assert_ptr_equal(turns_end(&t, &a), &b);
	assert_false(turn_is_at(&a, "/srv/www"));
	assert_true(turn_is_at(&b, "/srv/www"));
	assert_ptr_equal(turn_awaited(&c), &b);
	assert_false(turns_take(&t, &a, "/srv/www")); /* behind those who wait */
	assert_ptr_equal(turns_end(&t, &b), &c);
	assert_ptr_equal(turns_end(&t, &c), &a);
	assert_null(turns_end(&t, &a));
	assert_null(t.places);
}

static void test_other_places_are_no_matter(void **state)
{
	struct turns t = { 0 };
	struct turn a = { 0 }, b = { 0 };

	(void)state;
	assert_true(turns_take(&t, &a, "/srv/a"));
	assert_true(turns_take(&t, &b, "/srv/b"));
	assert_false(turn_is_wanted(&a));
	assert_null(turns_end(&t, &a));
	assert_null(turns_end(&t, &b));
	assert_null(t.places);
}

static void test_leaving_the_queue(void **state)
{
	struct turns t = { 0 };
	struct turn a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	assert_true(turns_take(&t, &a, "w"));
	assert_false(turns_take(&t, &b, "w"));
	assert_false(turns_take(&t, &c, "w"));
	turns_leave_queue(&b);
	turns_leave_queue(&b);
	turns_leave_queue(&a); /* has the turn and keeps it */
	assert_null(turn_awaited(&b));
	assert_null(turns_end(&t, &b)); /* has none */
	assert_ptr_equal(turns_end(&t, &a), &c);
	assert_false(turn_is_wanted(&c));
	assert_null(turns_end(&t, &c));
	assert_true(turns_take(&t, &b, "w"));
	assert_false(turns_take(&t, &a, "w"));
	assert_null(turns_end(&t, &a)); /* waited: leaves the queue */
	assert_null(turns_end(&t, &b));
	assert_null(t.places);
}

/* The turn lasts until the last proof at that place is gone. */
static void test_done_when_nothing_is_left(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct turns t = { 0 };
	struct turn a = { 0 };

	(void)state;
	assert_false(turn_is_done(&a, r)); /* nothing to end */
	assert_true(turns_take(&t, &a, "w"));
	assert_true(turn_is_done(&a, r));
	record_add_proof(r, PROOF_WEBROOT, "another", NULL, "v1");
	record_add_proof(r, PROOF_TXT, "w", "_dnsauth.a.example", "v1");
	assert_true(turn_is_done(&a, r));
	record_add_proof(r, PROOF_WEBROOT, "w", NULL, "v1");
	assert_false(turn_is_done(&a, r));
	record_drop_proof(r, 2);
	assert_true(turn_is_done(&a, r));
	assert_null(turns_end(&t, &a));
}

/* Only who rests, and only when somebody waits. */
static void test_when_to_yield(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct turns t = { 0 };
	struct turn a = { 0 }, b = { 0 };

	(void)state;
	r->job = xmalloc(sizeof(*r->job));
	r->job->phase = PHASE_CHECK;
	r->job->next_at = 1;
	assert_false(turn_should_yield(&a, r));
	assert_true(turns_take(&t, &a, "w"));
	assert_false(turn_should_yield(&a, r));
	assert_false(turns_take(&t, &b, "w"));
	assert_true(turn_should_yield(&a, r));
	assert_false(turn_should_yield(&b, r));
	r->job->next_at = 0;
	assert_false(turn_should_yield(&a, r));
	r->held = true;
	assert_true(turn_should_yield(&a, r));
	assert_ptr_equal(turns_end(&t, &a), &b);
	assert_null(turns_end(&t, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_of_asking),
		cmocka_unit_test(test_other_places_are_no_matter),
		cmocka_unit_test(test_leaving_the_queue),
		cmocka_unit_test(test_done_when_nothing_is_left),
		cmocka_unit_test(test_when_to_yield),
	};

	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
