/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain wants: the order of the checks, the times at which the answer changes, the budget. */
#include "daemon/core/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

#define DAY INT64_C(86400)
#define T0  INT64_C(1795248000)

static const char *const NAMES[] = { "a.example", "b.example" };
static const struct cfg_domain SPEC = { .name = "a.example",
					.common_name = "a.example",
					.names = NAMES,
					.n_names = 2,
					.renew_before = 30 * DAY,
					.spec_hash = 1 };

static struct record *valid_record(int64_t not_after)
{
	struct record *r = record_new("a.example");

	r->cert.generation = 1;
	r->cert.serial = xstrdup("01");
	r->cert.names = xstrdup("a.example b.example");
	r->cert.not_before = not_after - 199 * DAY;
	r->cert.not_after = not_after;
	return r;
}

static struct decision decided(const struct record *r, int64_t now, int64_t allowed_at)
{
	struct view v = { .spec = &SPEC, .rec = r, .now = now, .order_allowed_at = allowed_at };
	struct decision d;

	decide(&v, &d);
	return d;
}

static void expect(struct decision d, enum want want, enum reason reason, int64_t due_at)
{
	assert_int_equal(d.want, want);
	assert_int_equal(d.reason, reason);
	assert_int_equal(d.due_at, due_at);
}

static void test_new(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	expect(decided(r, T0, T0), WANT_ORDER, REASON_NEW, DUE_NEVER);
	assert_int_equal(decide_renew_at(&SPEC, r), 0);
}

static void test_valid_until_its_renewal(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);
	int64_t at = decide_renew_at(&SPEC, r);

	(void)state;
	assert_true(at >= T0 + 70 * DAY && at < T0 + 73 * DAY);
	expect(decided(r, T0, T0), WANT_NOTHING, REASON_GOOD, at);
	expect(decided(r, at - 1, T0), WANT_NOTHING, REASON_GOOD, at);
	assert_int_equal(decided(r, at, T0).want, WANT_ORDER);
	assert_int_equal(decided(r, at, T0).reason, REASON_RENEWAL);
	assert_int_equal(decided(r, T0 + 100 * DAY - 1, T0).reason, REASON_RENEWAL);
	assert_int_equal(decided(r, T0 + 100 * DAY, T0).reason, REASON_EXPIRED);
	assert_int_equal(decided(r, INT64_MAX / 2, T0).want, WANT_ORDER);
	/* A clock that went back to 1970 wants nothing. */
	expect(decided(r, 0, 0), WANT_NOTHING, REASON_GOOD, at);
}

static void test_another_serial_another_time(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);
	int64_t first = decide_renew_at(&SPEC, r), other = first;

	(void)state;
	assert_int_equal(decide_renew_at(&SPEC, r), first);
	for (unsigned i = 2; i < 12 && other == first; i++) {
		free(r->cert.serial);
		r->cert.serial = xasprintf("%02X", i);
		other = decide_renew_at(&SPEC, r);
	}
	assert_true(other != first);
}

/* held before job before everything else. */
static void test_order_of_the_chain(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	r->job = xmalloc(sizeof(*r->job));
	expect(decided(r, T0, T0), WANT_NOTHING, REASON_UNDER_WAY, DUE_NEVER);
	r->held = true;
	expect(decided(r, T0, T0), WANT_NOTHING, REASON_HELD, DUE_NEVER);
	record_job_free(TAKE_PTR(r->job));
	expect(decided(r, T0, T0), WANT_NOTHING, REASON_HELD, DUE_NEVER);
	r->held = false;
	expect(decided(r, T0, T0), WANT_ORDER, REASON_NEW, DUE_NEVER);
}

static void test_nothing_is_ordered_while_a_job_runs_or_is_held(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 - 1);

	(void)state;
	r->job = xmalloc(sizeof(*r->job));
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
	record_job_free(TAKE_PTR(r->job));
	r->held = true;
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
	r->held = false;
	assert_int_equal(decided(r, T0, T0).want, WANT_ORDER);
}

static void test_budget(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	_cleanup_(record_freep) struct record *good = valid_record(T0 + 100 * DAY);

	(void)state;
	expect(decided(r, T0, T0 + 1), WANT_NOTHING, REASON_BUDGET, T0 + 1);
	expect(decided(r, T0 + 1, T0 + 1), WANT_ORDER, REASON_NEW, DUE_NEVER);
	/* Who wants nothing does not care. */
	assert_int_equal(decided(good, T0, T0 + 1).reason, REASON_GOOD);
	r->held = true;
	assert_int_equal(decided(r, T0, T0 + 1).reason, REASON_HELD);
}

static void test_other_names_wait_for_the_next_issuance(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);

	(void)state;
	assert_false(decided(r, T0, T0).names_differ);
	free(r->cert.names);
	r->cert.names = xstrdup("a.example");
	assert_true(decided(r, T0, T0).names_differ);
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
	r->held = true;
	assert_true(decided(r, T0, T0).names_differ);
	r->cert.generation = 0;
	assert_false(decided(r, T0, T0).names_differ);
}

static void test_every_reason_has_a_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i < REASON_NR; i++) {
		assert_non_null(reason_text((enum reason)i));
		assert_string_not_equal(reason_text((enum reason)i), "?");
	}
	assert_string_equal(reason_text(REASON_NR), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_valid_until_its_renewal),
		cmocka_unit_test(test_another_serial_another_time),
		cmocka_unit_test(test_order_of_the_chain),
		cmocka_unit_test(test_nothing_is_ordered_while_a_job_runs_or_is_held),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_other_names_wait_for_the_next_issuance),
		cmocka_unit_test(test_every_reason_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
