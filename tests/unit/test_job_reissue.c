/* SPDX-License-Identifier: Apache-2.0 */
/* A reissue inside the plan, where it differs from an order; what names the old order; canceling. */
#include "tests/unit/job_fixture.h"

/* An installed certificate, 88 of order 77, whose plan ends in 300 days. */
static void install(struct record *r)
{
	r->cert.generation = 4;
	r->cert.order_id = 77;
	r->cert.certificate_id = 66;
	r->cert.serial = xstrdup("0A");
	r->cert.names = xstrdup("a.example b.example");
	r->cert.method = xstrdup("http-token");
	r->cert.not_before = T0 - 100 * DAY;
	r->cert.not_after = T0 + 30 * DAY;
	r->cert.order_valid_until = T0 + 200 * DAY;
}

static struct record *reissue_in(enum job_phase phase)
{
	struct record *r = record_in(phase);

	install(r);
	r->job->kind = JOB_REISSUE;
	r->job->of_order_id = 77;
	r->job->is_paid = false;
	free(TAKE_PTR(r->paid_at));
	r->n_paid = 0;
	return r;
}

static struct job_event info(enum order_state s, const char *word)
{
	return (struct job_event){
		.kind = EV_DONE, .op = OP_INFO, .order_id = 77, .order_state = s, .order_word = word
	};
}

/* --- the start --- */

static void test_start(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct job_update u;

	(void)state;
	install(r);
	u = step(r, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE, .new_key = true });
	assert_int_equal(u.start, OP_PREPARE);
	assert_int_equal(r->job->kind, JOB_REISSUE);
	assert_int_equal(r->job->of_order_id, 77);
	assert_int_equal(r->job->order_id, 0);
	assert_true(r->job->new_key);
	assert_false(r->job->is_paid);
	assert_string_equal(r->job->key, "rsa 0");
	assert_false(reported(&u, REPORT_NAMES_LOST));
}

static void test_lost_names_are_warned_of(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	_cleanup_(record_freep) struct record *order = record_new("a.example");
	_cleanup_(record_freep) struct record *later = record_new("a.example");
	struct job_env other = env_of(&OTHER);
	struct job_event start = { .kind = EV_START, .job_kind = JOB_REISSUE };
	struct job_update u;

	(void)state;
	install(r);
	u = step_in(r, &other, start);
	assert_true(reported(&u, REPORT_NAMES_LOST));
	assert_false(r->job->is_paid);
	/* The configuration drops a name while the key is being made. */
	install(later);
	u = step(later, start);
	assert_false(reported(&u, REPORT_NAMES_LOST));
	u = step_in(later, &other, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(u.start, OP_PREPARE);
	assert_true(reported(&u, REPORT_NAMES_LOST));
	/* A new order takes nothing away. */
	install(order);
	start.job_kind = JOB_ORDER;
	u = step_in(order, &other, start);
	assert_false(reported(&u, REPORT_NAMES_LOST));
}

/* The old order is named as long as CertCentral takes it for a renewal: until 30 days after its end. */
static void test_what_an_order_renews(void **state)
{
	static const struct {
		int64_t plan_end, not_after;
		bool over;
		int64_t order_id, renews;
	} ROWS[] = {
		{ T0 + DAY, T0 + DAY, false, 77, 77 },	{ T0 - 30 * DAY, 0, false, 77, 77 },
		{ T0 - 30 * DAY - 1, 0, false, 77, 0 }, { T0 - 90 * DAY, T0 - 30 * DAY, false, 77, 77 },
		{ 0, T0 - 30 * DAY - 1, false, 77, 0 }, /* the end is not known */
		{ T0 + DAY, T0 + DAY, true, 77, 0 },	{ T0 + DAY, T0 + DAY, false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_new("a.example");

		install(r);
		r->cert.order_valid_until = ROWS[i].plan_end;
		r->cert.not_after = ROWS[i].not_after;
		r->cert.order_over = ROWS[i].over;
		r->cert.order_id = ROWS[i].order_id;
		(void)step(r, (struct job_event){ .kind = EV_START });
		assert_int_equal(r->job->kind, JOB_ORDER);
		assert_true(r->job->is_paid);
		assert_int_equal(r->job->of_order_id, ROWS[i].renews);
		assert_false(r->job->new_key);
	}
}

/* --- the post --- */

/* Free of charge: neither the ledger nor the day's orders know of it. */
static void test_free_post(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_PREPARE);
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	env.order_allowed_at = T0 + 5000;
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(u.persist);
	assert_int_equal(u.spend_at, 0);
	assert_int_equal(r->n_paid, 0);
	assert_int_equal(r->job->submitted_at, T0);
	assert_int_equal(r->job->posts, 1);
}

/* Nothing was entered, so nothing is given back: the entry of that second is another domain's. */
static void test_failed_free_post_gives_nothing_back(void **state)
{
	static const enum fault FAULTS[] = { FAULT_UNSENT,  FAULT_THROTTLED, FAULT_REFUSED,
					     FAULT_AUTH,    FAULT_NOT_FOUND, FAULT_CONFIG,
					     FAULT_UNCLEAR, FAULT_DUPLICATE, FAULT_LOCAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		_cleanup_(record_freep) struct record *r = reissue_in(PHASE_SUBMIT);

		record_add_paid(r, T0 - 400);
		assert_int_equal(fault(r, OP_SUBMIT, FAULTS[i], 0).refund_at, 0);
		assert_int_equal(r->n_paid, 1);
	}
}

/* One that brings names may cost money. */
static void test_paid_post(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	install(r);
	job_fixture_set(&r->cert.names, "a.example");
	(void)step(r, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE });
	assert_true(r->job->is_paid);
	env.order_allowed_at = T0 + 5000;
	u = step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(u.start, OP_NONE);
	assert_true(reported(&u, REPORT_BUDGET));
	assert_int_equal(r->job->next_at, T0 + 5000);
	env.now = T0 + 5000;
	u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_SUBMIT);
	assert_int_equal(u.spend_at, T0 + 5000);
	assert_int_equal(r->n_paid, 1);
	u = fault_in(r, &env, OP_SUBMIT, FAULT_UNSENT);
	assert_int_equal(u.refund_at, T0 + 5000);
	assert_int_equal(r->n_paid, 0);
}

/* Whether it is paid is decided anew with the names. */
static void test_start_over(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_SUBMIT);
	struct job_env env = env_of(&OTHER);
	struct job_update u;

	(void)state;
	job_fixture_set(&r->cert.names, "c.example");
	r->job->submitted_at = 0;
	r->job->next_at = T0;
	u = step_in(r, &env, (struct job_event){ .kind = EV_WAKE });
	assert_int_equal(u.start, OP_PREPARE);
	assert_int_equal(r->job->phase, PHASE_PREPARE);
	assert_int_equal(r->job->kind, JOB_REISSUE);
	assert_int_equal(r->job->of_order_id, 77);
	assert_true(r->job->is_paid);
	assert_null(r->job->csr);
	assert_string_equal(r->job->names, "a.example");
	assert_int_equal(r->job->posts, 0);
}

/* --- all the way --- */

static void test_all_phases(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	char serial[] = "0B";
	struct record_cert cert = { .serial = serial, .not_before = T0, .not_after = T0 + 199 * DAY };
	struct job_update u;

	(void)state;
	install(r);
	r->cert.revoked_at = T0 - 5;
	r->cert.revoked_for = xstrdup("superseded");
	r->cert.other_id = 99;
	r->cert.key = xstrdup("ec P-256");
	(void)step(r, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE });
	(void)step(r, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW", .generation = 6 });
	u = step(r, (struct job_event){ .kind = EV_DONE,
					.op = OP_SUBMIT,
					.order_id = 77,
					.order_state = ORDER_PENDING,
					.dcv_token = "v" });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_int_equal(r->job->order_id, 77);
	assert_int_equal(done_in(r, &ENV, OP_PUBLISH).start, OP_LOOK);
	assert_int_equal(done_in(r, &ENV, OP_LOOK).start, OP_CHECK);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_CHECK, .order_state = ORDER_ISSUED });
	assert_int_equal(u.start, OP_INFO);
	u = step(r,
		 (struct job_event){
			 .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_ISSUED, .certificate_id = 67 });
	assert_int_equal(u.start, OP_DOWNLOAD);
	assert_int_equal(r->job->certificate_id, 67);
	assert_int_equal(done_in(r, &ENV, OP_DOWNLOAD).start, OP_INSTALL);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_INSTALL, .cert = &cert });
	assert_true(u.installed);
	assert_null(r->job);
	assert_int_equal(r->cert.generation, 6);
	assert_int_equal(r->cert.order_id, 77);
	assert_int_equal(r->cert.certificate_id, 67);
	/* The CA did not tell the end of the plan: it is the one of before. */
	assert_int_equal(r->cert.order_valid_until, T0 + 200 * DAY);
	assert_string_equal(r->cert.key, "rsa 0");
	assert_string_equal(r->cert.method, "http-token");
	assert_int_equal(r->cert.revoked_at, 0);
	assert_null(r->cert.revoked_for);
	assert_true(r->cert.replaces_revoked);
	assert_int_equal(r->cert.other_id, 0);
	assert_int_equal(r->n_paid, 0);
}

/* The end of a new plan, when the CA does not tell it: as long as was ordered, from the post. */
static void test_end_of_a_new_plan(void **state)
{
	char serial[] = "0B";
	struct record_cert cert = { .serial = serial, .not_before = T0, .not_after = T0 + 199 * DAY };
	struct job_env env = ENV;

	(void)state;
	env.plan_life = 365 * DAY;
	for (int i = 0; i < 3; i++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_INSTALL);

		r->cert.order_valid_until = 5;
		r->cert.order_over = true;
		r->job->submitted_at = i == 1 ? 0 : T0 - 400;
		r->job->order_valid_until = i == 2 ? T0 + 77 : 0;
		(void)step_in(r, &env,
			      (struct job_event){ .kind = EV_DONE, .op = OP_INSTALL, .cert = &cert });
		assert_int_equal(r->cert.order_valid_until, i == 0   ? T0 - 400 + 365 * DAY
							    : i == 1 ? T0 - 500 + 365 * DAY
								     : T0 + 77);
		assert_false(r->cert.order_over || r->cert.replaces_revoked);
	}
}

/* A reissue names no method: it has that of its order, until the CA is told another one. */
static void test_method_of_the_order(void **state)
{
	static const struct {
		const char *word;
		enum job_kind kind;
		enum cfg_dcv_method method;
	} ROWS[] = {
		{ "http-token", JOB_REISSUE, CFG_DCV_HTTP_TOKEN },
		{ "dns-txt-token", JOB_REISSUE, CFG_DCV_DNS_TXT_TOKEN },
		{ "email", JOB_REISSUE, CFG_DCV_EMAIL },
		{ "strange", JOB_REISSUE, CFG_DCV_DNS_TXT_TOKEN },
		{ "http-token", JOB_ORDER, CFG_DCV_DNS_TXT_TOKEN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_new("a.example");
		struct job_env env = env_of(&SPEC_TXT);
		bool other = ROWS[i].method != CFG_DCV_DNS_TXT_TOKEN;
		struct job_update u;

		install(r);
		job_fixture_set(&r->cert.method, ROWS[i].word);
		(void)step_in(r, &env, (struct job_event){ .kind = EV_START, .job_kind = ROWS[i].kind });
		assert_int_equal(r->job->method, ROWS[i].method);
		(void)step_in(r, &env, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
		u = step_in(r, &env,
			    (struct job_event){ .kind = EV_DONE,
						.op = OP_SUBMIT,
						.order_id = 77,
						.order_state = ORDER_PENDING,
						.dcv_token = "v" });
		assert_int_equal(u.start, other ? OP_METHOD : OP_TARGETS);
	}
}

/* --- the lost answer --- */

static void test_lost_answer_found(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_SUBMIT);
	struct job_update u = fault(r, OP_SUBMIT, FAULT_UNCLEAR, 0);

	(void)state;
	assert_int_equal(u.start, OP_FIND);
	assert_int_equal(r->job->phase, PHASE_RESOLVE);
	r->job->absents = 2;
	r->job->absent_at = T0 - DAY;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND, .n_matches = 1, .order_id = 77 });
	assert_int_equal(u.start, OP_INFO);
	assert_int_equal(r->job->phase, PHASE_WAIT);
	assert_int_equal(r->job->order_id, 77);
	assert_true(reported(&u, REPORT_ADOPTED));
	/* What was counted while it was looked for says nothing about what order info shows now. */
	u = step(r, (struct job_event){
			    .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_ISSUED, .stale = true });
	assert_false(r->held);
	assert_int_equal(r->job->absents, 1);
	assert_true(r->job->next_at > T0);
}

static void test_lost_answer_absent(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_RESOLVE);
	struct job_update u;

	(void)state;
	r->job->absents = RETRY_ABSENT_LOOKS - 1;
	r->job->absent_at = T0 - TEMPO * RETRY_ABSENT_AGE;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND, .order_state = ORDER_ISSUED });
	assert_int_equal(u.start, OP_SUBMIT);
	assert_true(reported(&u, REPORT_ORDER_ABSENT));
	assert_int_equal(r->job->posts, 2);
	assert_int_equal(u.spend_at, 0);
}

/* --- an order that is over --- */

static void test_order_ended(void **state)
{
	static const char *const WORDS[] = { "revoked", "canceled", NULL };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(WORDS); i++) {
		bool early = i >= ARRAY_SIZE(WORDS);
		_cleanup_(record_freep) struct record *r = reissue_in(early ? PHASE_RESOLVE : PHASE_WAIT);
		struct job_event ev = info(ORDER_ENDED, WORDS[i % ARRAY_SIZE(WORDS)]);
		struct job_update u;

		ev.op = early ? OP_FIND : OP_INFO;
		u = step(r, ev);
		/* The next decision is an order. */
		assert_null(r->job);
		assert_false(r->held);
		assert_true(u.persist && reported(&u, REPORT_ORDER_OVER));
		assert_true(r->cert.order_over);
		assert_int_equal(r->cert.revoked_at, i % ARRAY_SIZE(WORDS) == 0 ? T0 : 0);
	}
}

static void test_order_ended_keeps_what_is_known(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_WAIT);

	(void)state;
	r->cert.revoked_at = T0 - 9;
	(void)step(r, info(ORDER_ENDED, "revoked"));
	assert_int_equal(r->cert.revoked_at, T0 - 9);
}

/* The same limit as for what is heard from outside: no third purchase within a week. */
static void test_order_revoked_again(void **state)
{
	(void)state;
	for (int days = 6; days <= 8; days += 2) {
		_cleanup_(record_freep) struct record *r = reissue_in(PHASE_WAIT);
		struct job_update u;

		r->cert.replaces_revoked = true;
		r->cert.installed_at = T0 - days * DAY;
		u = step(r, info(ORDER_ENDED, "revoked"));
		assert_null(r->job);
		assert_true(r->cert.order_over);
		assert_int_equal(r->held, days < 7);
		assert_int_equal(reported(&u, REPORT_HELD), days < 7);
		if (r->held)
			assert_string_equal(r->error.code, "revoked_again");
	}
}

/* The order is not known any more: a person has to look before another is bought. */
static void test_order_not_found(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_SUBMIT);
	struct job_update u = fault(r, OP_SUBMIT, FAULT_NOT_FOUND, 0);

	(void)state;
	assert_true(r->held && r->cert.order_over);
	assert_null(r->job);
	assert_true(u.persist && reported(&u, REPORT_HELD));
	assert_int_equal(u.start, OP_NONE);
}

/* --- what order info shows is not ours --- */

static void test_stale(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_WAIT);
	struct job_env env = ENV;
	struct job_event stale = info(ORDER_ISSUED, "issued");
	unsigned n = 0;

	(void)state;
	stale.stale = true;
	stale.order_valid_until = T0 + 250 * DAY;
	while (!r->held && n++ < 100) {
		struct job_update u = step_in(r, &env, stale);

		assert_int_equal(u.start, OP_NONE);
		assert_true(u.persist);
		if (r->held)
			break;
		assert_int_equal(r->job->order_valid_until, T0 + 250 * DAY);
		assert_false(r->job->issued);
		assert_true(r->job->next_at > env.now);
		env.now = r->job->next_at;
		assert_int_equal(step_in(r, &env, (struct job_event){ .kind = EV_WAKE }).start, OP_INFO);
	}
	assert_true(n >= RETRY_ABSENT_LOOKS);
	assert_true(env.now - T0 >= RETRY_ABSENT_AGE * TEMPO);
	assert_null(r->job);
	assert_string_equal(r->error.code, "reissue_gone");
}

/* Lag: in between it shows ours, and the count begins again. */
static void test_stale_once(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_WAIT);
	struct job_event stale = info(ORDER_ISSUED, "issued");

	(void)state;
	stale.stale = true;
	(void)step(r, stale);
	assert_int_equal(r->job->absents, 1);
	r->job->next_at = 0;
	r->job->validated = true;
	(void)step(r, info(ORDER_PENDING, "reissue_pending"));
	assert_int_equal(r->job->absents, 0);
}

static void test_canceled_reissue(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_WAIT);
	_cleanup_(record_freep) struct record *over = reissue_in(PHASE_WAIT);
	struct job_event stale = info(ORDER_ISSUED, "issued");
	struct job_update u = step(r, (struct job_event){ .kind = EV_CANCEL });

	(void)state;
	assert_true(u.persist && r->job->canceled);
	stale.stale = true;
	/* Answers may lag: one of them is not enough to forget it. */
	(void)step(r, stale);
	assert_false(r->held);
	r->job->next_at = 0;
	r->job->absents = RETRY_ABSENT_LOOKS - 1;
	r->job->absent_at = T0 - TEMPO * RETRY_ABSENT_AGE;
	(void)step(r, stale);
	assert_true(r->held);
	assert_null(r->job);
	assert_string_equal(r->error.code, "reissue_canceled");
	assert_false(r->cert.order_over);
	/* It ended altogether: the person who canceled is asked, nothing is bought. */
	(void)step(over, (struct job_event){ .kind = EV_CANCEL });
	(void)step(over, info(ORDER_ENDED, "canceled"));
	assert_true(over->held && over->cert.order_over);
	assert_null(over->job);
}

/* The windows of two polls overlap: that the order was issued before is no news. */
static void test_hint_of_the_certificate_of_before(void **state)
{
	_cleanup_(record_freep) struct record *r = reissue_in(PHASE_CHECK);
	struct job_event ev = {
		.kind = EV_HINT, .order_id = 77, .order_state = ORDER_ISSUED, .certificate_id = 66
	};

	(void)state;
	r->job->next_at = T0 + 500;
	assert_int_equal(step(r, ev).start, OP_NONE);
	assert_int_equal(r->job->phase, PHASE_CHECK);
	assert_int_equal(r->job->next_at, T0 + 500);
	ev.certificate_id = 67;
	assert_int_equal(step(r, ev).start, OP_INFO);
	r->job->next_at = T0 + 500;
	ev.certificate_id = 66;
	ev.order_state = ORDER_ENDED;
	assert_int_equal(step(r, ev).start, OP_INFO);
}

/* --- cancel, at each phase --- */

static void test_cancel_before_anything_is_at_the_ca(void **state)
{
	(void)state;
	for (unsigned p = PHASE_PREPARE; p <= PHASE_SUBMIT; p++) {
		for (int held = 0; held < 2; held++) {
			_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);
			struct job_update u;

			r->job->submitted_at = 0;
			r->held = held;
			r->job->next_at = held ? 0 : T0 + 50;
			u = step(r, (struct job_event){ .kind = EV_CANCEL });
			assert_true(u.persist && r->held);
			assert_null(r->job);
			assert_string_equal(r->error.code, "canceled");
			assert_int_equal(u.start, OP_NONE);
		}
	}
}

/* The operation under way ends first; nothing is posted after it. */
static void test_cancel_while_the_key_is_made(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PREPARE);
	struct job_update u = step(r, (struct job_event){ .kind = EV_CANCEL });

	(void)state;
	assert_true(u.persist);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_PREPARE, .csr = "NEW" });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(u.spend_at, 0);
	assert_null(r->job);
	assert_true(r->held);
}

/* A crash forgets which operation was under way, not that nothing is wanted any more. */
static void test_cancel_and_restart(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PREPARE);
	struct job_update u = step(r, (struct job_event){ .kind = EV_CANCEL });

	(void)state;
	u = step(r, (struct job_event){ .kind = EV_RESTART });
	assert_int_equal(u.start, OP_NONE);
	assert_null(r->job);
	assert_true(r->held);
}

static void test_cancel_of_a_placed_order(void **state)
{
	(void)state;
	for (unsigned p = PHASE_SUBMIT; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *r = record_in((enum job_phase)p);
		struct job_update u = step(r, (struct job_event){ .kind = EV_CANCEL });

		assert_true(u.persist && r->job->canceled);
		assert_false(r->held);
		assert_int_equal(u.start, OP_NONE);
		assert_int_equal(r->job->phase, p);
	}
}

/* What may be out there is asked for; that it is not there ends it, and never leads to another post. */
static void test_cancel_of_an_unclear_post(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_RESOLVE);
	_cleanup_(record_freep) struct record *unsent = record_in(PHASE_SUBMIT);
	struct job_update u;

	(void)state;
	(void)step(r, (struct job_event){ .kind = EV_CANCEL });
	r->job->absents = RETRY_ABSENT_LOOKS - 1;
	r->job->absent_at = T0 - TEMPO * RETRY_ABSENT_AGE;
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_FIND });
	assert_int_equal(u.start, OP_NONE);
	assert_int_equal(u.spend_at, 0);
	assert_true(r->held);
	assert_null(r->job);

	(void)step(unsent, (struct job_event){ .kind = EV_CANCEL });
	(void)fault(unsent, OP_SUBMIT, FAULT_UNSENT, 0);
	if (unsent->job) {
		unsent->job->next_at = T0;
		u = step(unsent, (struct job_event){ .kind = EV_WAKE });
		assert_int_equal(u.start, OP_NONE);
	}
	assert_null(unsent->job);
	assert_true(unsent->held);
	assert_int_equal(unsent->n_paid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_lost_names_are_warned_of),
		cmocka_unit_test(test_what_an_order_renews),
		cmocka_unit_test(test_free_post),
		cmocka_unit_test(test_failed_free_post_gives_nothing_back),
		cmocka_unit_test(test_paid_post),
		cmocka_unit_test(test_start_over),
		cmocka_unit_test(test_all_phases),
		cmocka_unit_test(test_end_of_a_new_plan),
		cmocka_unit_test(test_method_of_the_order),
		cmocka_unit_test(test_lost_answer_found),
		cmocka_unit_test(test_lost_answer_absent),
		cmocka_unit_test(test_order_ended),
		cmocka_unit_test(test_order_ended_keeps_what_is_known),
		cmocka_unit_test(test_order_revoked_again),
		cmocka_unit_test(test_order_not_found),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_stale_once),
		cmocka_unit_test(test_canceled_reissue),
		cmocka_unit_test(test_hint_of_the_certificate_of_before),
		cmocka_unit_test(test_cancel_before_anything_is_at_the_ca),
		cmocka_unit_test(test_cancel_while_the_key_is_made),
		cmocka_unit_test(test_cancel_and_restart),
		cmocka_unit_test(test_cancel_of_a_placed_order),
		cmocka_unit_test(test_cancel_of_an_unclear_post),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
