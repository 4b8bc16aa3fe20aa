/* SPDX-License-Identifier: Apache-2.0 */
/* Instant issuance: names are proven by request tokens before the order is placed. */
#include "tests/unit/job_fixture.h"

#include "daemon/core/proof.h"
#include "daemon/core/retry.h"

static struct job_env instant_env(const struct cfg_domain *spec)
{
	struct job_env env = env_of(spec);

	env.instant = true;
	return env;
}

/* What brings the job to the end of each sub-step. */
static struct job_update answer(struct record *r, const struct job_env *env, enum job_op op)
{
	struct job_event ev = { .kind = EV_DONE, .op = op };

	if (op == OP_PREPARE)
		ev.csr = "CSR";
	if (op == OP_EARLY)
		ev.dcv_token = "t1 t2";
	if (op == OP_TARGETS)
		ev.targets = "_dnsauth.a.example else.example";
	return step_in(r, env, ev);
}

static const enum job_op STEPS[] = { OP_PREPARE, OP_EARLY, OP_TARGETS, OP_PUBLISH, OP_LOOK, OP_SUBMIT };

/* A job that is at STEPS[n]. */
static struct record *at_step(const struct job_env *env, size_t n)
{
	struct record *r = record_new("a.example");
	struct job_update u = step_in(r, env, (struct job_event){ .kind = EV_START });

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(u.start, STEPS[i]);
		assert_int_equal(r->job->phase, PHASE_PREPARE);
		assert_int_equal(r->n_paid, 0);
		u = answer(r, env, STEPS[i]);
	}
	assert_int_equal(u.start, STEPS[n]);
	return r;
}

static void test_sub_steps_in_order(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 3);
	struct job_update u;

	(void)state;
	/* Each value at each place, on disk before any is put up. */
	assert_int_equal(r->n_proofs, 4);
	assert_true(proof_is_needed(r, &r->proofs[0]));
	assert_int_equal(r->job->submitted_at, 0);
	u = answer(r, &env, OP_PUBLISH);
	assert_int_equal(u.start, OP_LOOK);
	u = answer(r, &env, OP_LOOK);
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(u.persist);
	assert_int_equal(r->job->phase, PHASE_SUBMIT);
	assert_int_equal(r->job->submitted_at, T0);
	assert_int_equal(r->n_paid, 1);
}

static void test_without_a_look(void **state)
{
	struct job_env env = instant_env(&SPEC);
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	env.look = false;
	(void)step_in(r, &env, (struct job_event){ .kind = EV_START });
	(void)answer(r, &env, OP_PREPARE);
	/* A webroot needs no places, and holds one file with all values. */
	assert_int_equal(answer(r, &env, OP_EARLY).start, OP_PUBLISH);
	assert_int_equal(r->n_proofs, 1);
	assert_string_equal(r->proofs[0].value, "t1 t2");
	assert_int_equal(answer(r, &env, OP_PUBLISH).start, OP_SUBMIT);
}

/* Request tokens work with TXT and HTTP only, and a reissue knows none. */
static void test_where_it_is_not_possible(void **state)
{
	static const struct {
		const struct cfg_domain *spec;
		enum job_kind kind;
		bool wanted, instant;
	} ROWS[] = {
		{ &SPEC, JOB_ORDER, true, true },	 { &SPEC_TXT, JOB_ORDER, true, true },
		{ &SPEC_CNAME, JOB_ORDER, true, false }, { &SPEC_EMAIL, JOB_ORDER, true, false },
		{ &SPEC_TXT, JOB_REISSUE, true, false }, { &SPEC_TXT, JOB_ORDER, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_new("a.example");
		struct job_env env = instant_env(ROWS[i].spec);
		enum job_op next;

		env.instant = ROWS[i].wanted;
		r->cert.order_id = 5;
		(void)step_in(r, &env, (struct job_event){ .kind = EV_START, .job_kind = ROWS[i].kind });
		next = answer(r, &env, OP_PREPARE).start;
		assert_int_equal(next, ROWS[i].instant ? OP_EARLY : OP_SUBMIT);
	}
}

static void test_without_an_auth_key(void **state)
{
	(void)state;
	for (unsigned f = FAULT_UNSENT; f < FAULT_NR; f++) {
		struct job_env env = instant_env(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = at_step(&env, 1);
		struct job_update u = fault_in(r, &env, OP_EARLY, (enum fault)f);
		bool passes = f == FAULT_UNSENT || f == FAULT_UNCLEAR || f == FAULT_THROTTLED ||
			      f == FAULT_LOCAL || f == FAULT_BUSY;

		assert_true(reported(&u, REPORT_RETRY));
		assert_int_equal(u.start, passes ? OP_NONE : OP_SUBMIT);
		assert_int_equal(r->job->instant, passes);
		assert_false(r->held);
		assert_int_equal(r->job->next_at, passes ? T0 + TEMPO : 0);
		assert_int_equal(r->n_proofs, 0);
	}
}

/* A proof that nobody sees delays, and never blocks. */
static void test_the_look_gives_up(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 4);
	struct job_update u = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(u.start, OP_NONE);
		r->job->next_at = 0;
		u = fault_in(r, &env, OP_LOOK, FAULT_UNCLEAR);
	}
	assert_int_equal(u.start, OP_SUBMIT);
}

static void test_tokens_expire_while_the_budget_is_waited_for(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 4);
	_cleanup_free_ char *old = NULL;
	struct job_update u;

	(void)state;
	env.order_allowed_at = T0 + 26 * DAY;
	u = answer(r, &env, OP_LOOK);
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(r->job->phase, PHASE_SUBMIT);
	assert_int_equal(r->job->next_at, T0 + 26 * DAY);
	old = xstrdup(r->job->dcv_token);
	env.now = T0 + 26 * DAY;
	u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_EARLY);
	assert_int_equal(r->job->phase, PHASE_PREPARE);
	assert_int_equal(r->job->submitted_at, 0);
	assert_int_equal(r->n_paid, 0);
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_EARLY, .dcv_token = "t3" });
	assert_true(u.persist);
	assert_int_equal(u.start, OP_PUBLISH);
	for (uint32_t i = 0; i < r->n_proofs; i++)
		assert_int_equal(proof_is_needed(r, &r->proofs[i]), strcmp(r->proofs[i].value, "t3") == 0);
	assert_int_equal(answer(r, &env, OP_PUBLISH).start, OP_LOOK);
	assert_int_equal(answer(r, &env, OP_LOOK).start, OP_SUBMIT);
}

static void test_tokens_are_still_good_after_the_wait(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 4);

	(void)state;
	env.order_allowed_at = T0 + DAY;
	(void)answer(r, &env, OP_LOOK);
	env.now = T0 + DAY;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_SUBMIT);
}

/* While it waits for the budget others may have the place; before the post the proof is up again. */
static void test_yield_before_the_order(void **state)
{
	struct job_env env = instant_env(&SPEC);
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct job_update u;

	(void)state;
	(void)step_in(r, &env, (struct job_event){ .kind = EV_START });
	(void)answer(r, &env, OP_PREPARE);
	(void)answer(r, &env, OP_EARLY);
	(void)answer(r, &env, OP_PUBLISH);
	assert_false(job_may_yield(r)); /* it is being looked at */
	env.order_allowed_at = T0 + 5000;
	(void)answer(r, &env, OP_LOOK);
	assert_true(job_may_yield(r));
	u = step_in(r, &env, (struct job_event){ .kind = EV_YIELD });
	assert_true(u.persist && r->job->yielded);
	assert_false(proof_is_needed(r, &r->proofs[0]));
	env.now = T0 + 5000;
	u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_int_equal(r->job->submitted_at, 0);
	assert_true(proof_is_needed(r, &r->proofs[0]));
	assert_int_equal(answer(r, &env, OP_PUBLISH).start, OP_LOOK);
	assert_int_equal(answer(r, &env, OP_LOOK).start, OP_SUBMIT);
	/* What may be out there needs its proof. */
	r->job->next_at = T0;
	assert_false(job_may_yield(r));
	r->job->phase = PHASE_RESOLVE;
	assert_false(job_may_yield(r));
}

/* A look for the order that was refused waits for a person, and the others of its webroot need not. Whatever is found after the release,
 * nothing counts on the proof. */
static void test_yield_of_a_held_look(void **state)
{
	struct job_env env = instant_env(&SPEC);
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct outcome unclear = { .fault = FAULT_UNCLEAR, .code = "x", .message = "x" };
	struct outcome refused = { .fault = FAULT_REFUSED, .code = "x", .message = "x" };

	(void)state;
	(void)step_in(r, &env, (struct job_event){ .kind = EV_START });
	for (size_t i = 0; i < ARRAY_SIZE(STEPS) - 1; i++) {
		if (STEPS[i] != OP_TARGETS)
			(void)answer(r, &env, STEPS[i]);
	}
	(void)step_in(r, &env, (struct job_event){ .kind = EV_FAULT, .op = OP_SUBMIT, .outcome = &unclear });
	assert_false(job_may_yield(r));
	(void)step_in(r, &env, (struct job_event){ .kind = EV_FAULT, .op = OP_FIND, .outcome = &refused });
	assert_true(r->held && r->job->phase == PHASE_RESOLVE);
	assert_true(job_may_yield(r));
	assert_true(step_in(r, &env, (struct job_event){ .kind = EV_YIELD }).persist);
	assert_false(proof_is_needed(r, &r->proofs[0]));
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_RELEASE }).start, OP_FIND);
	for (unsigned i = 0; i < RETRY_ABSENT_LOOKS; i++) {
		env.now += RETRY_ABSENT_AGE * env.tempo;
		(void)step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
		(void)step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });
	}
	assert_int_equal(r->job->phase, PHASE_PREPARE); /* the proof goes up before the next post */
	assert_int_equal(r->job->submitted_at, 0);
	assert_true(proof_is_needed(r, &r->proofs[0]));
}

/* The proof of a removed domain is taken down; should it come back, nothing is posted before it is up again. */
static void test_leave_and_come_back(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 4);

	(void)state;
	env.order_allowed_at = T0 + 5000;
	(void)answer(r, &env, OP_LOOK);
	assert_true(step_in(r, &env, (struct job_event){ .kind = EV_LEAVE }).persist);
	assert_false(proof_is_needed(r, &r->proofs[0]));
	env.now = T0 + 5000;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_RESTART }).start, OP_TARGETS);
	assert_int_equal(answer(r, &env, OP_TARGETS).start, OP_PUBLISH);
	assert_true(proof_is_needed(r, &r->proofs[0]));
}

static void test_answer_with_the_chain(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 5);
	struct job_update u = step_in(r, &env,
				      (struct job_event){ .kind = EV_DONE,
							  .op = OP_SUBMIT,
							  .order_id = 9,
							  .certificate_id = 10,
							  .order_state = ORDER_ISSUED });

	(void)state;
	assert_int_equal(u.start, OP_DOWNLOAD);
	assert_true(u.persist && r->job->issued);
	assert_int_equal(r->job->certificate_id, 10);
	for (uint32_t i = 0; i < r->n_proofs; i++)
		assert_false(proof_is_needed(r, &r->proofs[i]));
	/* The chain is gone with a crash: it is asked for. */
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_RESTART }).start, OP_INFO);
}

/* The tokens were not seen: the order goes on with its random value, and they are taken down. */
static void test_ordinary_answer(void **state)
{
	static const char *const VALUES[] = { "random", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(VALUES); i++) {
		struct job_env env = instant_env(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = at_step(&env, 5);
		struct job_update u = step_in(r, &env,
					      (struct job_event){ .kind = EV_DONE,
								  .op = OP_SUBMIT,
								  .order_id = 9,
								  .order_state = ORDER_PENDING,
								  .dcv_token = VALUES[i] });

		assert_int_equal(u.start, VALUES[i] ? OP_PUBLISH : OP_TOKEN);
		assert_false(r->job->instant || r->job->looked);
		assert_int_equal(r->job->looks, 0);
		for (uint32_t k = 0; k < r->n_proofs; k++)
			assert_int_equal(proof_is_needed(r, &r->proofs[k]),
					 VALUES[i] && strcmp(r->proofs[k].value, VALUES[i]) == 0);
		assert_int_equal(r->n_proofs, VALUES[i] ? 6 : 4);
	}
}

static void test_found_after_a_lost_answer(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = at_step(&env, 5);

	(void)state;
	assert_int_equal(fault_in(r, &env, OP_SUBMIT, FAULT_UNCLEAR).start, OP_FIND);
	assert_true(proof_is_needed(r, &r->proofs[0]));
	(void)step_in(r, &env,
		      (struct job_event){ .kind = EV_DONE, .op = OP_FIND, .n_matches = 1, .order_id = 9 });
	assert_false(r->job->instant);
	assert_null(r->job->dcv_token);
	/* Pending: from here on it is an order like others. */
	assert_int_equal(
		step_in(r, &env,
			(struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING })
			.start,
		OP_TOKEN);
}

static void test_restart_at_each_step(void **state)
{
	static const enum job_op AFTER[] = { OP_PREPARE, OP_EARLY, OP_TARGETS, OP_TARGETS, OP_LOOK, OP_FIND };

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(STEPS); n++) {
		struct job_env env = instant_env(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = at_step(&env, n);
		struct job_update u = step_in(r, &env, (struct job_event){ .kind = EV_RESTART });

		assert_int_equal(u.start, AFTER[n]);
		assert_int_equal(u.spend_at, 0);
		assert_null(r->job->targets);
	}
}

/* Nothing of before may be ordered: not its key, not its names, not its tokens. */
static void test_another_configuration_at_each_step(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(STEPS) - 1; n++) {
		for (int way = 0; way < 3; way++) {
			struct job_env env = instant_env(&SPEC_TXT), other = instant_env(&OTHER);
			_cleanup_(record_freep) struct record *r = at_step(&env, n);
			struct job_update u;

			if (way == 0)
				u = answer(r, &other, STEPS[n]);
			else if (way == 1)
				u = step_in(r, &other, (struct job_event){ .kind = EV_RESTART });
			else
				u = fault_in(r, &other, STEPS[n], FAULT_LOCAL);
			if (u.start == OP_NONE) {
				other.now = r->job->next_at;
				u = step_in(r, &other, (struct job_event){ .kind = EV_WAKE });
			}
			assert_int_equal(u.start, OP_PREPARE);
			u = answer(r, &other, OP_PREPARE);
			if (u.start == OP_PREPARE) /* nothing was made when the names changed */
				u = answer(r, &other, OP_PREPARE);
			assert_int_equal(u.start, OP_EARLY);
			assert_string_equal(r->job->names, "a.example");
			assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
			assert_int_equal(r->job->spec_hash, 2);
			assert_false(r->job->published || r->job->looked);
			assert_null(r->job->dcv_token);
			assert_null(r->job->targets);
			assert_int_equal(r->n_paid, 0);
			for (uint32_t i = 0; i < r->n_proofs; i++)
				assert_false(proof_is_needed(r, &r->proofs[i]));
		}
	}
}

/* The method changed to one that knows no tokens. */
static void test_another_method_before_the_order(void **state)
{
	struct job_env env = instant_env(&SPEC_TXT), other = instant_env(&SPEC_CNAME);
	_cleanup_(record_freep) struct record *r = at_step(&env, 4);
	struct job_update u = answer(r, &other, OP_LOOK);

	(void)state;
	assert_int_equal(u.start, OP_PREPARE);
	assert_int_equal(answer(r, &other, OP_PREPARE).start, OP_SUBMIT);
	assert_int_equal(r->job->method, CFG_DCV_DNS_CNAME_TOKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sub_steps_in_order),
		cmocka_unit_test(test_without_a_look),
		cmocka_unit_test(test_where_it_is_not_possible),
		cmocka_unit_test(test_without_an_auth_key),
		cmocka_unit_test(test_the_look_gives_up),
		cmocka_unit_test(test_tokens_expire_while_the_budget_is_waited_for),
		cmocka_unit_test(test_tokens_are_still_good_after_the_wait),
		cmocka_unit_test(test_yield_before_the_order),
		cmocka_unit_test(test_yield_of_a_held_look),
		cmocka_unit_test(test_leave_and_come_back),
		cmocka_unit_test(test_answer_with_the_chain),
		cmocka_unit_test(test_ordinary_answer),
		cmocka_unit_test(test_found_after_a_lost_answer),
		cmocka_unit_test(test_restart_at_each_step),
		cmocka_unit_test(test_another_configuration_at_each_step),
		cmocka_unit_test(test_another_method_before_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
