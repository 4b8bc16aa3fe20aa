/* SPDX-License-Identifier: Apache-2.0 */
/* The proof of control of a placed order: DNS, mail, another method than at first. */
#include "tests/unit/job_fixture.h"

#include "daemon/core/duty.h"
#include "daemon/core/proof.h"

static struct record *placed(enum job_phase phase, const struct cfg_domain *spec)
{
	struct record *r = record_in(phase);

	r->job->method = spec->dcv.method;
	r->job->spec_hash = spec->spec_hash;
	return r;
}

static struct job_update targets(struct record *r, const struct job_env *env, const char *where)
{
	return step_in(r, env, (struct job_event){ .kind = EV_DONE, .op = OP_TARGETS, .targets = where });
}

static struct job_update info(struct record *r, const struct job_env *env, enum order_state s)
{
	return step_in(
		r, env,
		(struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = s, .certificate_id = 5 });
}

/* --- DNS --- */

/* Where a name leads is known before anything is recorded, and that is on disk before anything is written. */
static void test_targets_before_proofs_before_publish(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_SUBMIT, &SPEC_TXT);
	struct job_update u;

	(void)state;
	u = step_in(r, &env,
		    (struct job_event){ .kind = EV_DONE,
					.op = OP_SUBMIT,
					.order_id = 77,
					.order_state = ORDER_PENDING,
					.dcv_token = "v" });
	assert_int_equal(u.start, OP_TARGETS);
	assert_int_equal(r->n_proofs, 0);
	u = targets(r, &env, "_dnsauth.a.example else.example");
	assert_int_equal(u.start, OP_PUBLISH);
	assert_true(u.persist);
	assert_int_equal(r->n_proofs, 2);
	assert_string_equal(r->proofs[1].name, "else.example");
	u = done_in(r, &env, OP_PUBLISH);
	assert_int_equal(u.start, OP_LOOK);
	assert_int_equal(r->job->phase, PHASE_CHECK);
	assert_int_equal(done_in(r, &env, OP_LOOK).start, OP_CHECK);
}

/* A record at a place that could not be made out would be in somebody else's zone. */
static void test_targets_fail(void **state)
{
	(void)state;
	for (unsigned f = FAULT_UNSENT; f < FAULT_NR; f++) {
		struct job_env env = env_of(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = placed(PHASE_PUBLISH, &SPEC_TXT);

		for (unsigned i = 0; i < 8; i++) {
			struct job_update u = fault_in(r, &env, OP_TARGETS, (enum fault)f);

			assert_int_equal(u.start, OP_NONE);
			assert_true(u.persist && reported(&u, REPORT_RETRY));
			assert_int_equal(r->job->next_at, T0 + TEMPO * (i < 6 ? 1 << i : RETRY_CHECK_CAP));
			assert_string_equal(r->error.code, "code");
			r->job->next_at = 0;
		}
		assert_int_equal(r->n_proofs, 0);
		assert_false(r->held);
	}
}

/* The delegation may be what was wrong. */
static void test_targets_again_after_not_yet(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_TXT);
	struct job_update u;

	(void)state;
	r->job->looked = true;
	job_fixture_set(&r->job->targets, "old.example");
	u = done_in(r, &env, OP_CHECK);
	assert_int_equal(u.start, OP_NONE);
	assert_null(r->job->targets);
	env.now = r->job->next_at;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_TARGETS);
	assert_int_equal(r->job->phase, PHASE_CHECK);
	u = targets(r, &env, "new.example");
	assert_int_equal(u.start, OP_PUBLISH);
	assert_true(u.persist);
	assert_int_equal(r->n_proofs, 1);
	assert_string_equal(r->proofs[0].name, "new.example");
	assert_int_equal(done_in(r, &env, OP_PUBLISH).start, OP_LOOK);
}

static void test_targets_again_after_a_restart_or_release(void **state)
{
	(void)state;
	for (int held = 0; held < 2; held++) {
		struct job_env env = env_of(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_TXT);

		job_fixture_set(&r->job->targets, "old.example");
		r->held = held;
		(void)step_in(r, &env, (struct job_event){ .kind = held ? EV_RELEASE : EV_RESTART });
		assert_int_equal(r->job->phase, PHASE_WAIT);
		assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_TARGETS);
		assert_int_equal(r->job->phase, PHASE_PUBLISH);
	}
}

static void test_cname_needs_no_targets(void **state)
{
	struct job_env env = env_of(&SPEC_CNAME);
	_cleanup_(record_freep) struct record *r = placed(PHASE_WAIT, &SPEC_CNAME);

	(void)state;
	r->job->dcv_token = xstrdup("v");
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_PUBLISH);
	assert_int_equal(r->n_proofs, 2);
	assert_int_equal(r->proofs[0].place, PROOF_CNAME);
	assert_string_equal(r->proofs[0].value, "v.dcv.digicert.com");
}

/* Nothing is taken down that is still needed, and nothing stays that is not. */
static void test_when_records_may_go(void **state)
{
	const struct cfg_domain *const specs[] = { &SPEC_TXT, &SPEC_CNAME };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct job_env env = env_of(specs[i]);
		_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, specs[i]);

		job_fixture_set(&r->job->targets, "_dnsauth.a.example");
		assert_true(proof_record(r, specs[i]));
		assert_int_equal(duty_clean_due(r, T0), DUTY_NONE);
		r->job->next_at = T0 + 5;
		(void)step_in(r, &env, (struct job_event){ .kind = EV_YIELD });
		assert_int_equal(duty_clean_due(r, T0), 0);
		env.now = T0 + 5;
		(void)step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
		assert_int_equal(duty_clean_due(r, T0), DUTY_NONE);
		r->job->phase = PHASE_WAIT;
		(void)info(r, &env, ORDER_ISSUED);
		assert_int_equal(r->job->phase, PHASE_DOWNLOAD);
		assert_int_equal(duty_clean_due(r, T0), 0);
	}
}

/* The CA knows better than the date in the record. */
static void test_value_that_the_ca_calls_expired(void **state)
{
	struct job_env env = env_of(&SPEC_CNAME);
	_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_CNAME);
	struct job_update u;

	(void)state;
	assert_true(proof_record(r, &SPEC_CNAME));
	r->job->looked = true;
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_CHECK, .token_expired = true });
	assert_true(u.persist);
	assert_int_equal(r->job->phase, PHASE_CHECK);
	assert_int_equal(duty_clean_due(r, T0), 0);
	env.now = r->job->next_at;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_TOKEN);
}

/* One round: woken, what has to be put up is, our own look, and the CA does not see it. The operation that the wake-up began. */
static enum job_op unseen_round(struct record *r, struct job_env *env, bool seen_by_us)
{
	struct job_update u;
	enum job_op first;

	env->now = r->job->next_at;
	u = step_in(r, env, (struct job_event){ .kind = EV_WAKE });
	first = u.start;
	if (u.start == OP_TOKEN)
		u = step_in(r, env,
			    (struct job_event){ .kind = EV_DONE,
						.op = OP_TOKEN,
						.dcv_token = "fresh",
						.dcv_token_expires_at = env->now + 30 * DAY });
	if (u.start == OP_TARGETS)
		u = targets(r, env, "x.example");
	assert_int_equal(u.start, OP_PUBLISH);
	u = done_in(r, env, OP_PUBLISH);
	for (unsigned i = 0; u.start == OP_LOOK && !seen_by_us; i++) {
		u = fault_in(r, env, OP_LOOK, FAULT_UNCLEAR);
		if (r->job->next_at <= env->now)
			continue;
		assert_true(i < 5);
		env->now = r->job->next_at;
		u = step_in(r, env, (struct job_event){ .kind = EV_WAKE });
	}
	if (u.start == OP_LOOK)
		u = done_in(r, env, OP_LOOK);
	assert_int_equal(u.start, OP_CHECK);
	u = done_in(r, env, OP_CHECK);
	assert_int_equal(u.start, OP_NONE);
	assert_true(u.persist);
	return first;
}

/* The CA goes on not to see a value: it may look for another one, and is asked for it, sooner when our own look sees ours. */
static void test_value_in_doubt(void **state)
{
	static const struct {
		bool look, seen;
		unsigned rounds; /* until it is asked */
	} ROWS[] = { { true, true, 6 }, { true, false, 24 }, { false, false, 24 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		struct job_env env = env_of(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_TXT);
		unsigned pauses, n = 0;

		env.look = ROWS[i].look;
		r->job->next_at = env.now;
		r->job->republish = true;
		r->job->looks = 4;
		while (unseen_round(r, &env, ROWS[i].seen) != OP_TOKEN) {
			assert_string_equal(r->job->dcv_token, "token");
			assert_true(++n <= ROWS[i].rounds);
		}
		assert_int_equal(n, ROWS[i].rounds);
		/* The new one is listed and up, the old one may go, and the pauses go on growing. */
		assert_string_equal(r->job->dcv_token, "fresh");
		assert_int_equal(r->n_proofs, 2);
		assert_string_equal(r->proofs[duty_clean_due(r, env.now)].value, "token");
		pauses = r->job->attempts;
		assert_true(pauses > n);
		assert_int_equal(r->job->phase, PHASE_CHECK);
		/* The next one has to earn it as well. */
		assert_int_not_equal(unseen_round(r, &env, ROWS[i].seen), OP_TOKEN);
	}
}

/* There can be one CNAME at a name: the old one has a moment to go. */
static void test_another_value_by_cname(void **state)
{
	struct job_env env = env_of(&SPEC_CNAME);
	_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_CNAME);

	(void)state;
	assert_true(proof_record(r, &SPEC_CNAME));
	r->job->doubts = 24;
	r->job->next_at = T0;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_TOKEN);
	assert_int_equal(
		step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_TOKEN, .dcv_token = "t" })
			.start,
		OP_NONE);
	assert_int_equal(r->job->next_at, T0 + TEMPO);
	assert_int_equal(duty_clean_due(r, T0), 0);
	env.now = r->job->next_at;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_PUBLISH);
}

/* The old value stays up, and in the record, until there is another one: it may be the right one after all. */
static void test_another_value_cannot_be_had(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC_TXT);

	(void)state;
	job_fixture_set(&r->job->targets, "x.example");
	assert_true(proof_record(r, &SPEC_TXT));
	r->job->looked = true;
	r->job->doubts = 23;
	(void)done_in(r, &env, OP_CHECK);
	assert_non_null(strstr(r->error.message, "; next it is asked for another value"));
	for (unsigned i = 0; i < 3; i++) {
		env.now = r->job->next_at;
		assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_TOKEN);
		(void)fault_in(r, &env, OP_TOKEN, FAULT_UNCLEAR);
		assert_string_equal(r->job->dcv_token, "token");
		assert_int_equal(duty_clean_due(r, env.now), DUTY_NONE);
	}
}

/* --- mail --- */

static void expect_click(struct record *r, const struct job_env *env, const struct job_update *u, bool told)
{
	assert_int_equal(u->start, OP_NONE);
	assert_true(u->persist);
	assert_int_equal(reported(u, REPORT_EMAIL), told);
	assert_string_equal(r->error.code, "waits_for_email");
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_true(r->job->next_at >= env->now + RETRY_INFO_FIRST * TEMPO * 3 / 4);
	assert_false(r->held);
	assert_int_equal(r->n_proofs, 0);
}

static void test_mail(void **state)
{
	struct job_env env = env_of(&SPEC_EMAIL);
	_cleanup_(record_freep) struct record *r = placed(PHASE_SUBMIT, &SPEC_EMAIL);
	struct job_update u;

	(void)state;
	u = step_in(r, &env,
		    (struct job_event){
			    .kind = EV_DONE, .op = OP_SUBMIT, .order_id = 77, .order_state = ORDER_PENDING });
	expect_click(r, &env, &u, true);
	/* Order info goes on asking at its slow pace, and nothing else does. It is told once. */
	for (unsigned i = 0; i < 12; i++) {
		env.now = r->job->next_at;
		assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_INFO);
		u = info(r, &env, ORDER_PENDING);
		expect_click(r, &env, &u, false);
		assert_int_equal(r->job->next_at,
				 env.now + TEMPO * RETRY_INFO_FIRST *
						   (i < 4 ? 1 << i : RETRY_INFO_CAP / RETRY_INFO_FIRST));
	}
	env.now = r->job->next_at;
	(void)step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(info(r, &env, ORDER_ISSUED).start, OP_DOWNLOAD);
}

static void test_mail_after_a_restart(void **state)
{
	struct job_env env = env_of(&SPEC_EMAIL);
	_cleanup_(record_freep) struct record *r = placed(PHASE_RESOLVE, &SPEC_EMAIL);
	struct job_update u;

	(void)state;
	u = step_in(r, &env,
		    (struct job_event){ .kind = EV_DONE, .op = OP_FIND, .n_matches = 1, .order_id = 77 });
	assert_int_equal(u.start, OP_INFO);
	u = info(r, &env, ORDER_PENDING);
	expect_click(r, &env, &u, true);
}

/* Somebody clicked: the CA has it, and only has to issue. */
static void test_mail_that_was_answered(void **state)
{
	struct job_env env = env_of(&SPEC_EMAIL);
	_cleanup_(record_freep) struct record *r = placed(PHASE_WAIT, &SPEC_EMAIL);

	(void)state;
	r->job->validated = true;
	record_set_error(r, T0, "waits_for_email", "x");
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_NONE);
	assert_null(r->error.code);
}

static void test_mail_with_an_approval(void **state)
{
	struct job_env env = env_of(&SPEC_EMAIL);
	_cleanup_(record_freep) struct record *r = placed(PHASE_SUBMIT, &SPEC_EMAIL);
	struct job_update u = step_in(r, &env,
				      (struct job_event){ .kind = EV_DONE,
							  .op = OP_SUBMIT,
							  .order_id = 77,
							  .order_state = ORDER_NEEDS_APPROVAL });

	(void)state;
	assert_int_equal(u.start, OP_INFO);
	assert_null(r->error.code);
}

/* --- another method --- */

static struct job_event method_done(const char *value)
{
	return (struct job_event){ .kind = EV_DONE,
				   .op = OP_METHOD,
				   .dcv_token = value,
				   .dcv_token_expires_at = value ? T0 + 30 * DAY : 0 };
}

static void test_from_http_to_dns(void **state)
{
	static const char *const VALUES[] = { "new", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(VALUES); i++) {
		struct job_env env = env_of(&SPEC_TXT);
		_cleanup_(record_freep) struct record *r = placed(PHASE_CHECK, &SPEC);
		struct job_update u;

		assert_true(proof_record(r, &SPEC));
		r->job->looked = true;
		r->job->looks = 4;
		/* A reload lets what is under way begin again. */
		u = step_in(r, &env, (struct job_event){ .kind = EV_RESTART });
		assert_int_equal(u.start, OP_INFO);
		u = info(r, &env, ORDER_PENDING);
		assert_int_equal(u.start, OP_METHOD);
		assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
		assert_int_equal(duty_clean_due(r, T0), DUTY_NONE);
		u = step_in(r, &env, method_done(VALUES[i]));
		assert_true(u.persist);
		assert_int_equal(r->job->method, CFG_DCV_DNS_TXT_TOKEN);
		assert_false(r->job->looked);
		assert_int_equal(r->job->looks, 0);
		assert_int_equal(u.start, VALUES[i] ? OP_TARGETS : OP_TOKEN);
		/* The file is not needed any more. */
		assert_int_equal(duty_clean_due(r, T0), 0);
		if (!VALUES[i])
			u = step_in(r, &env,
				    (struct job_event){ .kind = EV_DONE, .op = OP_TOKEN, .dcv_token = "t" });
		assert_int_equal(u.start, OP_TARGETS);
		assert_int_equal(targets(r, &env, "x.example").start, OP_PUBLISH);
		assert_string_equal(r->proofs[1].value, VALUES[i] ? "new" : "t");
	}
}

/* The CA gave no other value: the file of that value is not needed all the same. */
static void test_same_value_by_another_method(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_PUBLISH, &SPEC);

	(void)state;
	assert_true(proof_record(r, &SPEC));
	(void)step_in(r, &env, method_done("token"));
	assert_int_equal(duty_clean_due(r, T0), 0);
}

static void test_from_dns_to_mail(void **state)
{
	struct job_env env = env_of(&SPEC_EMAIL);
	_cleanup_(record_freep) struct record *r = placed(PHASE_WAIT, &SPEC_TXT);
	struct job_update u;

	(void)state;
	record_add_proof(r, PROOF_TXT, "corp", "x.example", "token");
	r->job->dcv_token = xstrdup("token");
	job_fixture_set(&r->job->targets, "x.example");
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_METHOD);
	u = step_in(r, &env, method_done(NULL));
	assert_int_equal(duty_clean_due(r, T0), 0);
	record_drop_proof(r, 0);
	expect_click(r, &env, &u, true);
	assert_int_equal(r->job->next_at, T0 + RETRY_INFO_FIRST * TEMPO);
	assert_null(r->job->targets);
	/* And back. */
	env.spec = &SPEC_TXT;
	r->job->next_at = 0;
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_METHOD);
	assert_int_equal(step_in(r, &env, method_done("v")).start, OP_TARGETS);
}

/* Refused: the order's state is asked, and the second time a person. */
static void test_refused_change(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_WAIT, &SPEC);
	struct job_update u;

	(void)state;
	(void)info(r, &env, ORDER_PENDING);
	u = fault_in(r, &env, OP_METHOD, FAULT_REFUSED);
	assert_int_equal(u.start, OP_INFO);
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_METHOD);
	(void)fault_in(r, &env, OP_METHOD, FAULT_REFUSED);
	assert_true(r->held);
	assert_non_null(r->job);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
	/* The old method is wanted again. It is told, because the change may have been taken all the same; that this is refused as
	 * well must not be the end of it. */
	env.spec = &SPEC;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_RELEASE }).start, OP_INFO);
	assert_int_equal(info(r, &env, ORDER_PENDING).start, OP_METHOD);
	assert_int_equal(fault_in(r, &env, OP_METHOD, FAULT_REFUSED).start, OP_TOKEN);
	assert_false(r->held);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
}

static void test_change_is_repeated(void **state)
{
	struct job_env env = env_of(&SPEC_TXT);
	_cleanup_(record_freep) struct record *r = placed(PHASE_PUBLISH, &SPEC);
	struct job_update u = fault_in(r, &env, OP_METHOD, FAULT_UNCLEAR);

	(void)state;
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(r->job->next_at, T0 + TEMPO);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
	env.now = T0 + TEMPO;
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_METHOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets_before_proofs_before_publish),
		cmocka_unit_test(test_targets_fail),
		cmocka_unit_test(test_targets_again_after_not_yet),
		cmocka_unit_test(test_targets_again_after_a_restart_or_release),
		cmocka_unit_test(test_cname_needs_no_targets),
		cmocka_unit_test(test_when_records_may_go),
		cmocka_unit_test(test_value_that_the_ca_calls_expired),
		cmocka_unit_test(test_value_in_doubt),
		cmocka_unit_test(test_another_value_by_cname),
		cmocka_unit_test(test_another_value_cannot_be_had),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_mail_after_a_restart),
		cmocka_unit_test(test_mail_that_was_answered),
		cmocka_unit_test(test_mail_with_an_approval),
		cmocka_unit_test(test_from_http_to_dns),
		cmocka_unit_test(test_same_value_by_another_method),
		cmocka_unit_test(test_from_dns_to_mail),
		cmocka_unit_test(test_refused_change),
		cmocka_unit_test(test_change_is_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
