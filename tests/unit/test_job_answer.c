/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about an order that is placed: its state, the proof, the certificate. */
#include "tests/unit/job_fixture.h"

#define GONE 99 /* no job is left */

static void test_info_answers(void **state)
{
	static const struct {
		struct job_event ev;
		bool validated;
		unsigned phase;
		enum job_op start;
		bool held;
		const char *code;
	} ROWS[] = {
		{ { .order_state = ORDER_PENDING }, false, PHASE_PUBLISH, OP_TOKEN, false, NULL },
		{ { .order_state = ORDER_PENDING }, true, PHASE_WAIT, OP_NONE, false, NULL },
		{ { .order_state = ORDER_NEEDS_APPROVAL },
		  false,
		  PHASE_WAIT,
		  OP_NONE,
		  false,
		  "needs_approval" },
		{ { .order_state = ORDER_UNKNOWN, .order_word = "w" },
		  false,
		  PHASE_WAIT,
		  OP_NONE,
		  false,
		  NULL },
		{ { .order_state = ORDER_ISSUED, .certificate_id = 5 },
		  false,
		  PHASE_DOWNLOAD,
		  OP_DOWNLOAD,
		  false,
		  NULL },
		{ { .order_state = ORDER_ISSUED }, false, PHASE_WAIT, OP_NONE, false, "no_certificate_id" },
		{ { .order_state = ORDER_ENDED, .order_word = "rejected" },
		  true,
		  GONE,
		  OP_NONE,
		  true,
		  "order_rejected" },
		{ { .order_state = ORDER_ENDED }, false, GONE, OP_NONE, true, "order_ended" },
		{ { .order_state = ORDER_ISSUED, .certificate_id = 5, .foreign = true },
		  false,
		  PHASE_WAIT,
		  OP_NONE,
		  true,
		  "foreign_order" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
		struct job_event ev = ROWS[i].ev;
		struct job_update u;

		r->job->validated = ROWS[i].validated;
		ev.kind = EV_DONE;
		ev.op = OP_INFO;
		u = step(r, ev);
		assert_int_equal(r->job ? (unsigned)r->job->phase : GONE, ROWS[i].phase);
		assert_int_equal(u.start, ROWS[i].start);
		assert_int_equal(r->held, ROWS[i].held);
		if (ROWS[i].code)
			assert_string_equal(r->error.code, ROWS[i].code);
		else
			assert_null(r->error.code);
		/* Whoever rests knows when to go on, or is held. */
		if (r->job && !r->held && u.start == OP_NONE)
			assert_true(r->job->next_at > T0);
		if (ev.order_state == ORDER_ISSUED && !ev.foreign)
			assert_true(r->job->issued && r->job->validated);
	}
}

static void test_info_tells_the_end_of_the_plan(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);

	(void)state;
	(void)step(r, (struct job_event){ .kind = EV_DONE,
					  .op = OP_INFO,
					  .order_state = ORDER_NEEDS_APPROVAL,
					  .order_valid_until = T0 + 300 * DAY,
					  .certificate_id = 6 });
	assert_int_equal(r->job->order_valid_until, T0 + 300 * DAY);
	assert_int_equal(r->job->certificate_id, 6);
}

static void test_slow_reconciliation(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);

	(void)state;
	r->job->validated = true;
	for (unsigned i = 0; i < 20; i++) {
		int64_t pace =
			TEMPO * RETRY_INFO_FIRST * (i < 4 ? 1 << i : RETRY_INFO_CAP / RETRY_INFO_FIRST);

		(void)step(r, (struct job_event){
				      .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
		assert_int_equal(r->job->next_at, T0 + pace);
		r->job->next_at = 0;
	}
}

static void test_token_is_published_after_it_is_durable(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);
	struct job_update u;

	(void)state;
	free(TAKE_PTR(r->job->dcv_token));
	r->job->looks = 4;
	r->job->looked = true;
	u = step(r, (struct job_event){ .kind = EV_DONE,
					.op = OP_TOKEN,
					.dcv_token = "v",
					.dcv_token_expires_at = T0 + 30 * DAY });
	assert_string_equal(r->job->dcv_token, "v");
	assert_int_equal(r->job->looks, 0);
	assert_false(r->job->looked);
	assert_int_equal(u.start, OP_PUBLISH);
	assert_true(u.persist);
	assert_int_equal(r->n_proofs, 1);
	assert_string_equal(r->proofs[0].value, "v");
	assert_string_equal(r->proofs[0].where, "/srv/www");
}

/* It would be asked for again and again. */
static void test_token_that_is_expired_already(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);
	struct job_update u;

	(void)state;
	free(TAKE_PTR(r->job->dcv_token));
	u = step(r,
		 (struct job_event){
			 .kind = EV_DONE, .op = OP_TOKEN, .dcv_token = "v", .dcv_token_expires_at = T0 - 1 });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_int_equal(r->job->dcv_token_expires_at, 0);
}

static void test_responder_needs_no_proof_in_the_record(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	env.spec = &OTHER;
	r->job->dcv_token = xstrdup("v");
	u = step_in(r, &env,
		    (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_int_equal(r->n_proofs, 0);
}

static void test_publish_leads_to_the_look_or_the_check(void **state)
{
	(void)state;
	for (int look = 0; look < 2; look++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);
		struct job_env env = ENV;
		struct job_update u;

		env.look = look;
		record_set_error(r, T0, "local", "disk full");
		u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PUBLISH });
		assert_int_equal(r->job->phase, PHASE_CHECK);
		assert_int_equal(u.start, look ? OP_LOOK : OP_CHECK);
		assert_null(r->error.code);
		assert_true(reported(&u, REPORT_PUBLISHED));
	}
}

static void test_look_delays_but_never_blocks(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_update u;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		u = fault(r, OP_LOOK, FAULT_UNCLEAR, 0);
		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->next_at, T0 + (TEMPO << i));
		assert_true(reported(&u, REPORT_NOT_VISIBLE));
		r->job->next_at = 0;
	}
	u = fault(r, OP_LOOK, FAULT_UNCLEAR, 0);
	assert_int_equal(u.start, OP_CHECK);
	assert_true(r->job->looked);
}

static void test_look_sees_it(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);

	(void)state;
	assert_int_equal(step(r, (struct job_event){ .kind = EV_DONE, .op = OP_LOOK }).start, OP_CHECK);
}

static void test_check_says_validated(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_update u;

	(void)state;
	r->job->looked = true;
	u = step(r,
		 (struct job_event){
			 .kind = EV_DONE, .op = OP_CHECK, .validated = true, .order_state = ORDER_PENDING });
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_true(r->job->validated);
	assert_int_equal(r->job->next_at, T0 + RETRY_INFO_FIRST * TEMPO);
	assert_int_equal(u.start, OP_NONE);
	assert_true(reported(&u, REPORT_VALIDATED));
}

static void test_check_says_issued(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_update u;

	(void)state;
	r->job->looked = true;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_CHECK, .order_state = ORDER_ISSUED });
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_true(r->job->issued);
	assert_int_equal(u.start, OP_INFO);
}

/* Not yet: the proof is put up again, looked at once, and the pauses go on growing to their cap. */
static void test_check_says_not_yet(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	r->job->looked = true;
	r->job->looks = 0;
	for (unsigned i = 0; i < 10; i++) {
		int64_t pause = TEMPO * (i < 6 ? 1 << i : RETRY_CHECK_CAP);

		r->job->doubts = 0;
		u = step_in(r, &env,
			    (struct job_event){ .kind = EV_DONE, .op = OP_CHECK, .detail = "404 at b" });
		assert_int_equal(u.start, OP_NONE);
		assert_true(u.persist);
		assert_string_equal(r->error.code, "not_validated");
		assert_string_equal(r->error.message, "the CA does not see the proof yet: 404 at b");
		assert_int_equal(r->error.attempts, i + 1);
		assert_int_equal(r->job->phase, PHASE_CHECK);
		assert_int_equal(r->job->next_at, env.now + pause);
		env.now = r->job->next_at;
		u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
		assert_int_equal(u.start, OP_PUBLISH);
		assert_int_equal(r->n_proofs, 1);
		u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PUBLISH });
		assert_int_equal(u.start, OP_LOOK);
		assert_int_equal(u.n_reports, 0);
		u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_LOOK });
		assert_int_equal(u.start, OP_CHECK);
	}
}

static void test_check_with_a_value_that_expires(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct job_env env = ENV;

	(void)state;
	r->job->looked = true;
	r->job->dcv_token_expires_at = T0 + DAY + 1;
	(void)step(r, (struct job_event){ .kind = EV_DONE, .op = OP_CHECK });
	assert_int_equal(r->job->phase, PHASE_CHECK);
	env.now = r->job->next_at; /* within the margin */
	assert_int_equal(env.now, T0 + TEMPO);
	assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_TOKEN);
}

static void test_download_and_install(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_DOWNLOAD);
	char serial[] = "0A";
	struct record_cert cert = { .serial = serial, .not_before = T0 - 1, .not_after = T0 + 199 * DAY };
	struct job_update u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_DOWNLOAD });

	(void)state;
	assert_int_equal(u.start, OP_INSTALL);
	r->job->order_valid_until = T0 + 365 * DAY;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_INSTALL, .cert = &cert });
	assert_null(r->job);
	assert_true(u.persist && u.installed);
	assert_int_equal(r->cert.generation, 1);
	assert_int_equal(r->cert.order_id, 77);
	assert_int_equal(r->cert.certificate_id, 88);
	assert_string_equal(r->cert.serial, "0A");
	assert_string_equal(r->cert.names, "a.example b.example");
	assert_int_equal(r->cert.not_after, T0 + 199 * DAY);
	assert_int_equal(r->cert.order_valid_until, T0 + 365 * DAY);
	assert_int_equal(r->cert.installed_at, T0);
	assert_null(r->error.code);
	assert_true(reported(&u, REPORT_INSTALLED));
}

static void test_bad_certificates(void **state)
{
	static const struct {
		enum job_phase phase;
		enum job_op op;
		enum fault fault;
	} ROWS[] = {
		{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_BAD_CERT },
		{ PHASE_DOWNLOAD, OP_DOWNLOAD, FAULT_REFUSED },
		{ PHASE_INSTALL, OP_INSTALL, FAULT_BAD_CERT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_in(ROWS[i].phase);

		for (unsigned n = 0; n < 12; n++) {
			struct job_update u = fault(r, ROWS[i].op, ROWS[i].fault, 0);

			assert_int_equal(r->job->phase, PHASE_WAIT);
			assert_int_equal(r->job->next_at, T0 + TEMPO * (n < 9 ? 1 << n : RETRY_CAP));
			assert_true(u.persist);
			assert_false(r->held);
			assert_true(reported(&u, n < 2 ? REPORT_RETRY : REPORT_BAD_CERT));
			r->job->phase = ROWS[i].phase;
			r->job->next_at = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info_answers),
		cmocka_unit_test(test_info_tells_the_end_of_the_plan),
		cmocka_unit_test(test_slow_reconciliation),
		cmocka_unit_test(test_token_is_published_after_it_is_durable),
		cmocka_unit_test(test_token_that_is_expired_already),
		cmocka_unit_test(test_responder_needs_no_proof_in_the_record),
		cmocka_unit_test(test_publish_leads_to_the_look_or_the_check),
		cmocka_unit_test(test_look_delays_but_never_blocks),
		cmocka_unit_test(test_look_sees_it),
		cmocka_unit_test(test_check_says_validated),
		cmocka_unit_test(test_check_says_issued),
		cmocka_unit_test(test_check_says_not_yet),
		cmocka_unit_test(test_check_with_a_value_that_expires),
		cmocka_unit_test(test_download_and_install),
		cmocka_unit_test(test_bad_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
