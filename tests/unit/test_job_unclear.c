/* SPDX-License-Identifier: Apache-2.0 */
/* What is not known for sure: a job that is canceled while something is under way, order info that lags, a method that the CA may
 * have taken. */
#include "tests/unit/job_fixture.h"

static struct record *unsent_in(enum job_phase phase)
{
	struct record *r = record_in(phase);

	r->job->submitted_at = 0;
	return r;
}

static void assert_canceled(const struct record *r)
{
	assert_null(r->job);
	assert_true(r->held);
	assert_string_equal(r->error.code, "canceled");
}

/* While it rests nothing of it can be under way. */
static void test_cancel_at_rest(void **state)
{
	static const enum job_phase PHASES[] = { PHASE_PREPARE, PHASE_SUBMIT };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(PHASES) * 2; i++) {
		_cleanup_(record_freep) struct record *r = unsent_in(PHASES[i / 2]);

		r->held = i % 2;
		r->job->next_at = i % 2 ? 0 : T0 + 5;
		assert_true(step(r, (struct job_event){ .kind = EV_CANCEL }).persist);
		assert_canceled(r);
	}
}

/* Whatever the answer is, it is the last one: a pool thread may be putting up the proof, which has to stay listed until then. */
static void test_cancel_of_what_is_under_way(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		_cleanup_(record_freep) struct record *r = unsent_in(PHASE_PREPARE);
		struct job_update u = step(r, (struct job_event){ .kind = EV_CANCEL });

		assert_non_null(r->job);
		assert_true(r->job->canceled && u.persist);
		assert_int_equal(u.start, OP_NONE);
		if (i == 0)
			u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "CSR" });
		else if (i == 1)
			u = fault(r, OP_PREPARE, FAULT_LOCAL, 0);
		else
			u = step(r, (struct job_event){ .kind = EV_RESTART });
		assert_canceled(r);
		assert_true(u.persist);
		assert_int_equal(u.start, OP_NONE);
	}
}

/* A post that was not taken is not made again. */
static void test_cancel_of_a_post(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_SUBMIT);
	struct job_update u;

	(void)state;
	(void)step(r, (struct job_event){ .kind = EV_CANCEL });
	assert_int_equal(fault(r, OP_SUBMIT, FAULT_UNSENT, 0).start, OP_NONE);
	r->job->next_at = T0;
	u = step(r, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(u.spend_at, 0);
	assert_canceled(r);
}

static void test_cancel_of_a_post_that_was_lost(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);
	struct job_update u;

	(void)state;
	(void)step(r, (struct job_event){ .kind = EV_CANCEL });
	assert_true(r->job && r->job->canceled);
	r->job->absents = RETRY_ABSENT_LOOKS;
	r->job->absent_at = T0 - TEMPO * RETRY_ABSENT_AGE;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(u.spend_at, 0);
	assert_canceled(r);
}

/* An order of the CA is never forgotten because somebody wants it canceled. */
static void test_cancel_of_an_order(void **state)
{
	(void)state;
	for (unsigned p = PHASE_PUBLISH; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);

		assert_true(step(r, (struct job_event){ .kind = EV_CANCEL }).persist);
		r->job->next_at = T0;
		(void)step(r, (struct job_event){ .kind = EV_WAKE });
		assert_non_null(r->job);
		assert_int_equal(r->job->order_id, 77);
		assert_false(r->held);
	}
}

/* The order shows the certificate of before: because the reissue is canceled, or because the answer lags. */
static void test_canceled_reissue_takes_looks_and_time(void **state)
{
	struct job_event stale = {
		.kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_ISSUED, .stale = true
	};
	struct job_env env = ENV;

	(void)state;
	for (int canceled = 0; canceled < 2; canceled++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
		unsigned looks = 0;

		r->job->kind = JOB_REISSUE;
		r->job->canceled = canceled;
		for (env.now = T0; r->job; env.now = r->job ? r->job->next_at : env.now) {
			r->job->next_at = 0;
			(void)step_in(r, &env, stale);
			looks++;
		}
		assert_true(looks >= RETRY_ABSENT_LOOKS);
		assert_true(env.now - T0 >= TEMPO * RETRY_ABSENT_AGE);
		assert_true(r->held);
		assert_string_equal(r->error.code, canceled ? "reissue_canceled" : "reissue_gone");
	}
}

/* The CA may have taken the method although its answer is lost; what is wanted by then is told in any case. */
static void test_method_is_told_again(void **state)
{
	static const struct cfg_dns_provider provider = { .name = "corp" };
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
	struct cfg_domain dns = SPEC;
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	dns.dcv = (struct cfg_dcv){ .method = CFG_DCV_DNS_TXT_TOKEN,
				    .provider = &provider,
				    .label = "_dnsauth" };
	env.spec = &dns;
	u = step_in(r, &env,
		    (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_int_equal(u.start, OP_METHOD);
	assert_true(u.persist && r->job->method_asked);
	/* The configuration goes back before the answer comes. */
	u = step(r, (struct job_event){ .kind = EV_RESTART });
	assert_int_equal(u.start, OP_INFO);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_int_equal(u.start, OP_METHOD);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_METHOD, .dcv_token = "tok" });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_true(u.persist && !r->job->method_asked);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
}

/* A reissue cannot name a method: it has that of its order. Where nobody knows which one that is, it is told in any case. */
static void test_method_of_a_reissue(void **state)
{
	static const struct cfg_dns_provider provider = { .name = "corp" };
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct cfg_domain dns = SPEC;
	struct job_env env = ENV;

	(void)state;
	dns.dcv = (struct cfg_dcv){ .method = CFG_DCV_DNS_TXT_TOKEN,
				    .provider = &provider,
				    .label = "_dnsauth" };
	env.spec = &dns;
	r->cert.generation = 1;
	r->cert.order_id = 66;
	r->cert.names = xstrdup("a.example b.example");
	(void)step(r, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE });
	assert_true(r->job->method_asked);
	record_job_free(r->job);
	r->job = NULL;
	r->cert.method = xstrdup("http-token");
	(void)step_in(r, &env, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE });
	assert_false(r->job->method_asked);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
	/* What the order has is in doubt as long as no answer has come, also when the reissue is given up. */
	r->job->phase = PHASE_WAIT;
	r->job->order_id = 66;
	(void)step_in(r, &env,
		      (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_true(r->job->method_asked);
	assert_null(r->cert.method);
	(void)step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_METHOD, .dcv_token = "tok" });
	assert_false(r->job->method_asked);
	assert_string_equal(r->cert.method, "dns-txt-token");
}

/* Told again and refused: there is nothing to change, or nothing to prove any more. It goes on, and which one it was stays open. */
static void test_method_is_refused_again(void **state)
{
	struct record_cert cert = { .serial = (char *)(uintptr_t) "01", .not_after = T0 + DAY };
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);
	struct job_update u;

	(void)state;
	r->job->method_asked = true;
	u = fault(r, OP_METHOD, FAULT_REFUSED, 0);
	assert_int_equal(u.start, OP_TOKEN); /* the lost answer may have brought another value */
	assert_int_equal(r->job->refusals, 0);
	assert_true(r->job->method_asked);
	r->job->phase = PHASE_INSTALL;
	(void)step(r, (struct job_event){ .kind = EV_DONE, .op = OP_INSTALL, .cert = &cert });
	assert_null(r->job);
	assert_null(r->cert.method);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel_at_rest),
		cmocka_unit_test(test_cancel_of_what_is_under_way),
		cmocka_unit_test(test_cancel_of_a_post),
		cmocka_unit_test(test_cancel_of_a_post_that_was_lost),
		cmocka_unit_test(test_cancel_of_an_order),
		cmocka_unit_test(test_canceled_reissue_takes_looks_and_time),
		cmocka_unit_test(test_method_is_told_again),
		cmocka_unit_test(test_method_of_a_reissue),
		cmocka_unit_test(test_method_is_refused_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
