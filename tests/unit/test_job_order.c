/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on the way to a paid order: one row per operation and fault, the money of a failed post, and what it
 * takes until an order counts as absent. */
#include "tests/unit/job_fixture.h"

/* --- faults: one row per operation and class --- */

enum then { RETRY, HOLD, GIVE_UP, GO };

struct fault_row {
	enum job_phase phase;
	enum job_op op;
	enum fault fault;
	enum then then;
	enum job_phase to; /* GO */
	enum job_op start; /* GO */
};

static const struct fault_row FAULTS[] = {
	{ PHASE_PREPARE, OP_PREPARE, FAULT_LOCAL, RETRY, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_UNSENT, RETRY, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_THROTTLED, RETRY, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_LOCAL, RETRY, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_BUSY, RETRY, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_REFUSED, GIVE_UP, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_AUTH, HOLD, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_CONFIG, HOLD, 0, 0 },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_UNCLEAR, GO, PHASE_RESOLVE, OP_FIND },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_DUPLICATE, GO, PHASE_RESOLVE, OP_FIND },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_NOT_FOUND, GO, PHASE_RESOLVE, OP_FIND },
	{ PHASE_SUBMIT, OP_SUBMIT, FAULT_BAD_CERT, GO, PHASE_RESOLVE, OP_FIND },
	{ PHASE_RESOLVE, OP_FIND, FAULT_UNSENT, RETRY, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_UNCLEAR, RETRY, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_THROTTLED, RETRY, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_NOT_FOUND, RETRY, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_REFUSED, HOLD, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_AUTH, HOLD, 0, 0 },
	{ PHASE_RESOLVE, OP_FIND, FAULT_CONFIG, HOLD, 0, 0 },
	{ PHASE_PUBLISH, OP_PUBLISH, FAULT_LOCAL, RETRY, 0, 0 },
	{ PHASE_PUBLISH, OP_PUBLISH, FAULT_BUSY, RETRY, 0, 0 },
	{ PHASE_PUBLISH, OP_PUBLISH, FAULT_REFUSED, RETRY, 0, 0 },
	{ PHASE_CHECK, OP_CHECK, FAULT_UNSENT, RETRY, 0, 0 },
	{ PHASE_CHECK, OP_CHECK, FAULT_UNCLEAR, RETRY, 0, 0 },
	{ PHASE_CHECK, OP_CHECK, FAULT_THROTTLED, RETRY, 0, 0 },
	{ PHASE_CHECK, OP_CHECK, FAULT_REFUSED, GO, PHASE_WAIT, OP_INFO },
	{ PHASE_CHECK, OP_CHECK, FAULT_AUTH, HOLD, 0, 0 },
	{ PHASE_CHECK, OP_CHECK, FAULT_CONFIG, HOLD, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_UNSENT, RETRY, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_UNCLEAR, RETRY, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_THROTTLED, RETRY, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_NOT_FOUND, RETRY, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_REFUSED, RETRY, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_AUTH, HOLD, 0, 0 },
	{ PHASE_WAIT, OP_INFO, FAULT_CONFIG, HOLD, 0, 0 },
	{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_UNSENT, RETRY, 0, 0 },
	{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_UNCLEAR, RETRY, 0, 0 },
	{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_NOT_FOUND, RETRY, 0, 0 },
	{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_AUTH, HOLD, 0, 0 },
	{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_CONFIG, HOLD, 0, 0 },
	{ PHASE_INSTALL, OP_INSTALL, FAULT_LOCAL, RETRY, 0, 0 },
};

static void check_fault_row(const struct fault_row *w)
{
	_cleanup_(record_freep) struct record *r = record_in(w->phase);
	struct job_update u;

	r->job->looked = true;
	u = fault(r, w->op, w->fault, 0);
	assert_false(u.installed);
	assert_string_equal(r->error.code, "code");
	assert_string_equal(r->error.message, "words");
	assert_int_equal(r->held, w->then == HOLD || w->then == GIVE_UP);
	assert_int_equal(r->job == NULL, w->then == GIVE_UP);
	assert_int_equal(u.start, w->then == GO ? w->start : OP_NONE);
	assert_true(u.n_reports > 0);
	if (w->then != GO)
		assert_true(u.persist);
	if (w->then == RETRY)
		assert_int_equal(r->job->next_at, T0 + TEMPO);
	if (w->then == RETRY || w->then == HOLD)
		assert_int_equal(r->job->phase, w->phase);
	if (w->then == GO)
		assert_int_equal(r->job->phase, w->to);
	assert_int_equal(reported(&u, REPORT_HELD), w->then == HOLD || w->then == GIVE_UP);
}

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		print_message("%s answered by %s\n", job_op_name(FAULTS[i].op), fault_name(FAULTS[i].fault));
		check_fault_row(&FAULTS[i]);
	}
}

/* What surely was not taken is neither paid nor asked about; everything else is. */
static void test_money_of_a_failed_post(void **state)
{
	(void)state;
	for (unsigned f = FAULT_UNSENT; f < FAULT_NR; f++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
		struct job_update u = fault(r, OP_SUBMIT, (enum fault)f, 0);
		bool unclear = f == FAULT_UNCLEAR || f == FAULT_DUPLICATE || f == FAULT_NOT_FOUND ||
			       f == FAULT_BAD_CERT;

		assert_int_equal(r->n_paid, unclear ? 1 : 0);
		assert_int_equal(u.refund_at, unclear ? 0 : T0 - 400);
		assert_int_equal(u.spend_at, 0);
		if (!r->job)
			continue;
		assert_int_equal(r->job->submitted_at, unclear ? T0 - 400 : 0);
		assert_int_equal(r->job->posts, unclear ? 1 : 0);
		assert_string_equal(r->job->reference, "ours");
	}
}

static void test_pauses_grow_and_are_capped(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		(void)fault(r, OP_INFO, FAULT_UNCLEAR, 0);
		assert_int_equal(r->job->attempts, i + 1);
		assert_int_equal(r->job->next_at, T0 + (i < 9 ? TEMPO << i : TEMPO * RETRY_CAP));
		r->job->next_at = 0;
	}
	r->job->attempts = UINT32_MAX;
	(void)fault(r, OP_INFO, FAULT_UNCLEAR, 0);
	assert_int_equal(r->job->next_at, T0 + TEMPO * RETRY_CAP);
}

static void test_the_longer_pause_counts(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);

	(void)state;
	(void)fault(r, OP_INFO, FAULT_THROTTLED, 3600);
	assert_int_equal(r->job->next_at, T0 + 3600);
	r->job->next_at = 0;
	(void)fault(r, OP_INFO, FAULT_THROTTLED, 1);
	assert_int_equal(r->job->next_at, T0 + 2 * TEMPO);
}

static void test_second_refusal_needs_a_person(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_update u;

	(void)state;
	r->job->looked = true;
	u = fault(r, OP_CHECK, FAULT_REFUSED, 0);
	assert_int_equal(u.start, OP_INFO);
	u = fault(r, OP_INFO, FAULT_REFUSED, 0);
	assert_true(r->held);
	assert_int_equal(r->job->phase, PHASE_WAIT);
	u = step(r, (struct job_event){ .kind = EV_RELEASE });
	assert_int_equal(r->job->refusals, 0);
	assert_int_equal(u.start, OP_INFO);
}

/* --- up to the order --- */

static void test_prepare_leads_to_the_post(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PREPARE);
	struct job_update u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });

	(void)state;
	assert_int_equal(r->job->phase, PHASE_SUBMIT);
	assert_string_equal(r->job->csr, "NEW");
	assert_int_equal(r->job->submitted_at, T0);
	assert_int_equal(r->job->posts, 1);
	assert_int_equal(r->n_paid, 1);
	assert_int_equal(u.spend_at, T0);
	assert_true(u.persist);
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(reported(&u, REPORT_SUBMITTING));
}

static void test_no_post_beyond_the_budget(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PREPARE);
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	env.order_allowed_at = T0 + 5000;
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(u.spend_at, 0);
	assert_true(u.persist);
	assert_int_equal(r->job->submitted_at, 0);
	assert_int_equal(r->job->next_at, T0 + 5000);
	assert_string_equal(r->error.code, "max_orders_per_day");
	assert_true(reported(&u, REPORT_BUDGET));
	env.now = env.order_allowed_at;
	u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_SUBMIT);
}

/* The configuration changed before anything was bought: another reference, another CSR, durable before the key. */
static void test_start_over(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PREPARE);
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	env.spec = &OTHER;
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(r->job->phase, PHASE_PREPARE);
	assert_null(r->job->csr);
	assert_string_equal(r->job->reference, "fresh");
	assert_string_equal(r->job->names, "a.example");
	assert_int_equal(r->job->spec_hash, 2);
	assert_int_equal(u.start, OP_PREPARE);
	assert_int_equal(u.spend_at, 0);
	assert_true(u.persist);
}

static void test_submit_answers(void **state)
{
	static const struct {
		struct job_event ev;
		enum job_phase phase;
		enum job_op start;
	} ROWS[] = {
		{ { .order_state = ORDER_PENDING }, PHASE_PUBLISH, OP_TOKEN },
		{ { .order_state = ORDER_UNKNOWN }, PHASE_PUBLISH, OP_TOKEN },
		{ { .order_state = ORDER_PENDING, .dcv_token = "v" }, PHASE_PUBLISH, OP_PUBLISH },
		{ { .order_state = ORDER_NEEDS_APPROVAL }, PHASE_WAIT, OP_INFO },
		{ { .order_state = ORDER_ISSUED, .certificate_id = 5 }, PHASE_DOWNLOAD, OP_DOWNLOAD },
		{ { .order_state = ORDER_ISSUED }, PHASE_PUBLISH, OP_TOKEN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
		struct job_event ev = ROWS[i].ev;
		struct job_update u;

		ev.kind = EV_DONE;
		ev.op = OP_SUBMIT;
		ev.order_id = 4711;
		u = step(r, ev);
		assert_int_equal(r->job->order_id, 4711);
		assert_int_equal(r->job->certificate_id, ev.certificate_id);
		assert_int_equal(r->job->phase, ROWS[i].phase);
		assert_int_equal(u.start, ROWS[i].start);
		assert_int_equal(r->n_proofs, ROWS[i].start == OP_PUBLISH);
		assert_true(u.persist);
		assert_true(reported(&u, REPORT_ORDERED));
	}
}

static void test_found_orders_are_adopted(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);
	struct job_update u;

	(void)state;
	r->job->absents = 2;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND, .n_matches = 3, .order_id = 9 });
	assert_int_equal(r->job->order_id, 9);
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_int_equal(u.start, OP_INFO);
	assert_true(u.persist);
	assert_true(reported(&u, REPORT_ADOPTED));
	assert_true(reported(&u, REPORT_MANY_ORDERS));
}

/* Empty look-ups until absence counts, and the age at which it did, in tempos. */
static unsigned looks_until_absent(unsigned posts, int64_t *ret_age)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);
	struct job_env env = ENV;
	struct job_update u = { 0 };
	unsigned n = 0;

	r->job->posts = posts;
	while (u.start != OP_SUBMIT && n < 100) {
		u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });
		assert_true(u.persist);
		n++;
		if (u.start == OP_SUBMIT)
			break;
		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->submitted_at, T0 - 400);
		assert_true(r->job->next_at > env.now);
		env.now = r->job->next_at;
		env.order_allowed_at = env.now;
		assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_FIND);
	}
	assert_int_equal(r->job->submitted_at, env.now);
	assert_int_equal(r->job->posts, posts + 1);
	assert_string_equal(r->job->reference, "ours");
	assert_true(reported(&u, REPORT_ORDER_ABSENT));
	*ret_age = (env.now - T0) / TEMPO;
	return n;
}

static void test_absence_takes_looks_and_time(void **state)
{
	int64_t age = 0;

	(void)state;
	for (unsigned posts = 1; posts < 10; posts++) {
		unsigned doublings = posts - 1 < 5 ? posts - 1 : 5;

		assert_true(looks_until_absent(posts, &age) >= RETRY_ABSENT_LOOKS);
		assert_true(age >= RETRY_ABSENT_AGE << doublings);
	}
}

static void test_many_looks_do_not_replace_time(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct job_update u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });

		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->absent_at, T0);
		u = step(r, (struct job_event){ .kind = EV_RELEASE });
		assert_int_equal(u.start, OP_FIND);
	}
}

/* A clock that goes back makes absence younger, never older. */
static void test_absence_with_a_clock_that_goes_back(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);
	struct job_env env = ENV;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct job_update u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });

		assert_int_equal(u.start, OP_NONE);
		env.now -= 3600;
		r->job->next_at = 0;
	}
}

/* The old order is not accepted as the one to be renewed: a new one is ordered all the same, once. */
static void test_refused_as_a_renewal(void **state)
{
	struct outcome o = { .fault = FAULT_REFUSED, .code = "invalid_renewal", .message = "words" };
	_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
	struct job_update u;

	(void)state;
	r->job->of_order_id = 55;
	u = step(r, (struct job_event){ .kind = EV_FAULT, .op = OP_SUBMIT, .outcome = &o });
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(u.persist);
	assert_int_equal(r->job->of_order_id, 0);
	/* The refused post is given back, the new one entered. */
	assert_int_equal(u.refund_at, T0 - 400);
	assert_int_equal(u.spend_at, T0);
	assert_int_equal(r->n_paid, 1);
	assert_int_equal(r->paid_at[0], T0);
	assert_int_equal(r->job->posts, 1);
	u = step(r, (struct job_event){ .kind = EV_FAULT, .op = OP_SUBMIT, .outcome = &o });
	assert_true(r->held);
	assert_null(r->job);
	assert_int_equal(r->n_paid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_refused_as_a_renewal),
		cmocka_unit_test(test_money_of_a_failed_post),
		cmocka_unit_test(test_pauses_grow_and_are_capped),
		cmocka_unit_test(test_the_longer_pause_counts),
		cmocka_unit_test(test_second_refusal_needs_a_person),
		cmocka_unit_test(test_prepare_leads_to_the_post),
		cmocka_unit_test(test_no_post_beyond_the_budget),
		cmocka_unit_test(test_start_over),
		cmocka_unit_test(test_submit_answers),
		cmocka_unit_test(test_found_orders_are_adopted),
		cmocka_unit_test(test_absence_takes_looks_and_time),
		cmocka_unit_test(test_many_looks_do_not_replace_time),
		cmocka_unit_test(test_absence_with_a_clock_that_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
