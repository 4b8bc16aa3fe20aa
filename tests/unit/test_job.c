/* SPDX-License-Identifier: Apache-2.0 */
/* The events that are not answers, and the table of moves. Sequences of events are the business of tests/model. */
#include "tests/unit/job_fixture.h"

#include "daemon/core/duty.h"
#include "daemon/core/proof.h"

static void test_start(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct job_update u;

	(void)state;
	r->cert.generation = 6;
	record_set_error(r, T0, "old", "old");
	u = step(r, (struct job_event){ .kind = EV_START });
	assert_int_equal(u.start, OP_PREPARE);
	assert_int_equal(u.spend_at, 0);
	assert_int_equal(r->job->generation, 7);
	assert_string_equal(r->job->reference, "fresh");
	assert_string_equal(r->job->names, "a.example b.example");
	assert_int_equal(r->job->spec_hash, 1);
	assert_null(r->error.code);
	assert_true(reported(&u, REPORT_STARTED));
	/* A second one changes nothing. */
	u = step(r, (struct job_event){ .kind = EV_START });
	assert_int_equal(u.start, OP_NONE);
	assert_false(u.persist);
}

static void test_nothing_starts_while_held(void **state)
{
	(void)state;
	for (unsigned p = 0; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);
		static const enum job_event_kind KINDS[] = { EV_START, EV_WAKE, EV_RESTART, EV_HINT,
							     EV_YIELD };

		r->held = true;
		r->job->next_at = T0 - 1;
		for (size_t k = 0; k < ARRAY_SIZE(KINDS); k++) {
			struct job_update u =
				step(r, (struct job_event){ .kind = KINDS[k], .order_state = ORDER_ISSUED });

			assert_int_equal(u.start, OP_NONE);
			assert_int_equal(r->job->phase, p);
			assert_true(r->held);
		}
	}
}

static void test_restart(void **state)
{
	static const struct {
		enum job_phase from, to;
		enum job_op start;
	} ROWS[PHASE_NR] = {
		{ PHASE_PREPARE, PHASE_PREPARE, OP_PREPARE }, { PHASE_SUBMIT, PHASE_RESOLVE, OP_FIND },
		{ PHASE_RESOLVE, PHASE_RESOLVE, OP_FIND },    { PHASE_PUBLISH, PHASE_WAIT, OP_INFO },
		{ PHASE_CHECK, PHASE_WAIT, OP_INFO },	      { PHASE_WAIT, PHASE_WAIT, OP_INFO },
		{ PHASE_DOWNLOAD, PHASE_WAIT, OP_INFO },      { PHASE_INSTALL, PHASE_WAIT, OP_INFO },
	};

	(void)state;
	for (size_t i = 0; i < PHASE_NR; i++) {
		_cleanup_(record_freep) struct record *r = record_in(ROWS[i].from);
		struct job_update u = step(r, (struct job_event){ .kind = EV_RESTART });

		assert_int_equal(r->job->phase, ROWS[i].to);
		assert_int_equal(u.start, ROWS[i].start);
		assert_int_equal(u.spend_at, 0);
	}
}

static void test_restart_keeps_a_pause(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_update u;

	(void)state;
	r->job->next_at = T0 + 500;
	u = step(r, (struct job_event){ .kind = EV_RESTART });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_int_equal(r->job->next_at, T0 + 500);
	/* One that is over, or from a clock that was years ahead, is not kept. */
	r->job->next_at = T0;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_RESTART }).start, OP_INFO);
	r->job->next_at = T0 + 5 * 365 * DAY;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_RESTART }).start, OP_INFO);
}

static void test_restart_before_a_post(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
	struct job_update u;

	(void)state;
	r->job->submitted_at = 0;
	u = step(r, (struct job_event){ .kind = EV_RESTART });
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(u.persist);
}

static void test_wake_only_when_it_is_time(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);

	(void)state;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_WAKE }).start, OP_NONE);
	r->job->next_at = T0 + 1;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_WAKE }).start, OP_NONE);
	r->job->next_at = T0;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_WAKE }).start, OP_INFO);
	assert_int_equal(r->job->next_at, 0);
}

/* The overlap of two polls names the same certificate again: the pause that a bad one has earned goes on. */
static void test_hint_of_what_is_known(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
	struct job_event ev = { .kind = EV_HINT, .order_id = 77, .order_state = ORDER_ISSUED };
	struct job_update u;

	(void)state;
	r->job->issued = true;
	r->job->certificate_id = 1077;
	r->job->next_at = T0 + 500;
	ev.certificate_id = 1077;
	job_step(r, &ENV, &ev, &u);
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(r->job->next_at, T0 + 500);
	ev.certificate_id = 1078; /* another one: worth a question */
	job_step(r, &ENV, &ev, &u);
	assert_int_equal(u.start, OP_INFO);
}

static void test_hint(void **state)
{
	(void)state;
	for (unsigned p = 0; p < PHASE_NR; p++) {
		for (unsigned s = ORDER_UNKNOWN; s <= ORDER_ENDED; s++) {
			_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);
			struct job_event ev = { .kind = EV_HINT,
						.order_id = 77,
						.order_state = (enum order_state)s };
			bool heard = p >= PHASE_PUBLISH && p <= PHASE_WAIT &&
				     (s == ORDER_ISSUED || s == ORDER_ENDED);

			/* Not while an answer is awaited. */
			assert_int_equal(step(r, ev).start, OP_NONE);
			r->job->next_at = T0 + 3000;
			assert_int_equal(step(r, ev).start, heard ? OP_INFO : OP_NONE);
			assert_int_equal(r->job->phase, heard ? PHASE_WAIT : p);
		}
	}
}

/* While a proof is not seen, its place may go to somebody else; after the pause it is put up again. */
static void test_yield(void **state)
{
	(void)state;
	for (unsigned p = 0; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);
		struct job_update u = step(r, (struct job_event){ .kind = EV_YIELD });

		/* Not while an answer is awaited. */
		assert_false(r->job->yielded || u.persist);
		r->job->next_at = T0;
		u = step(r, (struct job_event){ .kind = EV_YIELD });
		assert_int_equal(r->job->yielded, p >= PHASE_PUBLISH && p <= PHASE_WAIT);
		assert_int_equal(u.persist, r->job->yielded);
		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->next_at, T0);
		if (p != PHASE_CHECK)
			continue;
		assert_false(step(r, (struct job_event){ .kind = EV_YIELD }).persist);
		u = step(r, (struct job_event){ .kind = EV_WAKE });
		assert_int_equal(u.start, OP_PUBLISH);
		assert_true(u.persist);
		assert_false(r->job->yielded);
		assert_int_equal(r->n_proofs, 1);
	}
}

/* A refused order keeps its job; its webroot must be free for others all the same. */
static void test_yield_of_a_held_one(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);

	(void)state;
	r->held = true;
	assert_true(step(r, (struct job_event){ .kind = EV_YIELD }).persist);
	assert_true(r->job->yielded);
	assert_int_equal(step(r, (struct job_event){ .kind = EV_RELEASE }).start, OP_INFO);
	assert_int_equal(r->job->phase, PHASE_WAIT);
}

/* What a removed domain leaves in webroots may go; when it comes back, the proof is put up again. */
static void test_leave(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);

	(void)state;
	assert_false(step(r, (struct job_event){ .kind = EV_LEAVE }).persist);
	record_add_proof(r, PROOF_WEBROOT, "/w", NULL, "tok");
	assert_true(step(r, (struct job_event){ .kind = EV_LEAVE }).persist);
	assert_false(proof_is_needed(r, &r->proofs[0]));
	assert_int_equal(step(r, (struct job_event){ .kind = EV_RESTART }).start, OP_INFO);
}

static void test_release(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
	_cleanup_(record_freep) struct record *without = record_new("a.example");
	struct job_update u;

	(void)state;
	/* In flight, nothing to release. */
	u = step(r, (struct job_event){ .kind = EV_RELEASE });
	assert_int_equal(u.start, OP_NONE);
	assert_false(u.persist);
	r->held = true;
	record_set_error(r, T0, "x", "x");
	u = step(r, (struct job_event){ .kind = EV_RELEASE });
	assert_false(r->held);
	assert_null(r->error.code);
	assert_true(u.persist);
	assert_int_equal(u.start, OP_FIND);
	assert_true(reported(&u, REPORT_RELEASED));

	without->held = true;
	u = step(without, (struct job_event){ .kind = EV_RELEASE });
	assert_false(without->held);
	assert_true(u.persist);
	assert_int_equal(u.start, OP_NONE);
}

/* Answers that nobody waits for: while it rests, while it is held, without a job. */
static void test_late_answers(void **state)
{
	(void)state;
	for (unsigned op = OP_PREPARE; op < OP_NR; op++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
		_cleanup_(record_freep) struct record *none = record_new("a.example");
		struct job_event ev = { .kind = EV_DONE, .op = (enum job_op)op };
		struct job_update u;

		r->job->next_at = T0 + 5;
		u = step(r, ev);
		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->phase, PHASE_WAIT);
		r->job->next_at = 0;
		r->held = true;
		u = step(r, ev);
		assert_int_equal(u.start, OP_NONE);
		u = step(none, ev);
		assert_int_equal(u.start, OP_NONE);
		assert_null(none->job);
	}
}

/* The value expired while it was being published: the right thing is asked instead. */
static void test_answer_to_what_is_not_asked_any_more(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);

	(void)state;
	r->job->dcv_token_expires_at = T0;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_DONE, .op = OP_PUBLISH }).start, OP_TOKEN);
	assert_int_equal(r->job->phase, PHASE_PUBLISH);
}

static void test_pending_at_the_ca(void **state)
{
	_cleanup_(record_freep) struct record *none = record_new("a.example");

	(void)state;
	assert_false(job_is_pending_at_ca(none));
	for (unsigned p = 0; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);

		assert_int_equal(job_is_pending_at_ca(r), p >= PHASE_PUBLISH && p <= PHASE_WAIT);
		r->held = true;
		assert_false(job_is_pending_at_ca(r));
	}
}

static void test_names_and_table(void **state)
{
	_cleanup_free_ char *names = job_names(&SPEC);

	(void)state;
	assert_string_equal(names, "a.example b.example");
	assert_string_equal(job_phase_name(PHASE_RESOLVE), "resolve");
	assert_string_equal(job_phase_name(PHASE_NR), "?");
	assert_string_equal(job_op_name(OP_FIND), "find");
	assert_string_equal(job_op_name(OP_NR), "?");
	for (unsigned a = 0; a <= PHASE_NR; a++) {
		assert_false(job_may_go((enum job_phase)a, PHASE_NR));
		assert_false(job_may_go(PHASE_NR, (enum job_phase)a));
		assert_false(job_may_go((enum job_phase)a, (enum job_phase)a));
		/* Nothing leads back to money once an order is known. */
		assert_false(a >= PHASE_PUBLISH && job_may_go((enum job_phase)a, PHASE_SUBMIT));
	}
	assert_true(job_may_go(PHASE_SUBMIT, PHASE_RESOLVE));
}

static void test_long_texts_are_cut(void **state)
{
	struct job_update u = { 0 };
	char text[JOB_REPORT_TEXT * 2];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	job_report(&u, REPORT_RETRY, "%s", text);
	assert_int_equal(u.n_reports, 1);
	assert_int_equal(strlen(u.reports[0].text), JOB_REPORT_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_nothing_starts_while_held),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_keeps_a_pause),
		cmocka_unit_test(test_restart_before_a_post),
		cmocka_unit_test(test_wake_only_when_it_is_time),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_hint_of_what_is_known),
		cmocka_unit_test(test_yield),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_yield_of_a_held_one),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_answer_to_what_is_not_asked_any_more),
		cmocka_unit_test(test_pending_at_the_ca),
		cmocka_unit_test(test_names_and_table),
		cmocka_unit_test(test_long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
