/* SPDX-License-Identifier: Apache-2.0 */
/* What others do to our certificates, and what we ask to be revoked. */
#include "daemon/core/outside.h"

#include "tests/unit/job_fixture.h"

#include "daemon/core/decide.h"
#include "daemon/core/duty.h"

static struct record *installed(void)
{
	struct record *r = record_new("a.example");

	r->cert.generation = 3;
	r->cert.order_id = 77;
	r->cert.certificate_id = 88;
	r->cert.serial = xstrdup("0A");
	r->cert.names = xstrdup("a.example b.example");
	r->cert.not_before = T0 - 20 * DAY;
	r->cert.not_after = T0 + 100 * DAY;
	r->cert.order_valid_until = T0 + 300 * DAY;
	r->cert.installed_at = T0 - 20 * DAY;
	return r;
}

static struct job_update learn(struct record *r, struct outside o)
{
	struct job_update u = { 0 };

	outside_learn(r, &ENV, &o, &u);
	return u;
}

static enum want wanted(const struct record *r)
{
	struct view v = {
		.spec = &SPEC, .rec = r, .now = T0, .order_allowed_at = T0, .cert_life = 199 * DAY
	};
	struct decision d;

	decide(&v, &d);
	return d.want;
}

/* --- what is heard --- */

static void test_nothing_new(void **state)
{
	static const struct outside ROWS[] = {
		{ 0 },
		{ .order_state = ORDER_ISSUED, .certificate_id = 88, .order_valid_until = T0 + 300 * DAY },
		{ .order_state = ORDER_PENDING, .order_word = "pending" },
		/* A word alone is no state, and another certificate of a pending order not yet one. */
		{ .order_state = ORDER_UNKNOWN, .order_word = "revoked" },
		{ .order_state = ORDER_PENDING, .certificate_id = 89 },
		{ .revoked_at = T0, .reason = "keyCompromise" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = installed();
		struct job_update u = learn(r, ROWS[i]);

		assert_false(u.persist);
		assert_int_equal(u.n_reports, 0);
		assert_int_equal(r->cert.revoked_at, 0);
		assert_false(r->cert.order_over || r->held);
		assert_int_equal(wanted(r), WANT_NOTHING);
	}
}

static void test_nothing_is_learned_without_a_certificate(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct job_update u = learn(r, (struct outside){ .order_state = ORDER_ENDED,
							 .order_word = "revoked",
							 .revoked = true,
							 .order_valid_until = T0 });

	(void)state;
	assert_false(u.persist || r->cert.order_over || r->cert.revoked_at || r->cert.order_valid_until);
}

static void test_revoked(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u =
		learn(r, (struct outside){ .revoked = true, .revoked_at = T0 - 50, .reason = "superseded" });

	(void)state;
	assert_true(u.persist);
	assert_true(reported(&u, REPORT_REVOKED));
	assert_int_equal(r->cert.revoked_at, T0 - 50);
	assert_string_equal(r->cert.revoked_for, "superseded");
	assert_false(r->cert.order_over || r->held);
	assert_int_equal(wanted(r), WANT_REISSUE);
	/* Once. */
	u = learn(r, (struct outside){ .revoked = true, .revoked_at = T0, .reason = "keyCompromise" });
	assert_false(u.persist);
	assert_int_equal(u.n_reports, 0);
	assert_int_equal(r->cert.revoked_at, T0 - 50);
	assert_string_equal(r->cert.revoked_for, "superseded");
}

/* It decides about the key, and may be heard later than the fact. */
static void test_the_reason_comes_later(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u = learn(r, (struct outside){ .revoked = true, .reason = "" });

	(void)state;
	assert_true(u.persist);
	assert_int_equal(r->cert.revoked_at, T0);
	assert_null(r->cert.revoked_for);
	assert_true(decide_needs_new_key(r));
	assert_false(learn(r, (struct outside){ .revoked = true, .reason = "" }).persist);
	assert_true(learn(r, (struct outside){ .revoked = true, .reason = "superseded" }).persist);
	assert_string_equal(r->cert.revoked_for, "superseded");
	assert_false(decide_needs_new_key(r));
}

static void test_order_is_over(void **state)
{
	static const char *const WORDS[] = { "revoked", "canceled", "expired", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++) {
		_cleanup_(record_freep) struct record *r = installed();
		struct outside o = { .order_state = ORDER_ENDED, .order_word = WORDS[i] };
		struct job_update u = learn(r, o);

		assert_true(u.persist && r->cert.order_over);
		assert_true(reported(&u, REPORT_ORDER_OVER));
		/* Only a revoked order takes the certificate with it. */
		assert_int_equal(r->cert.revoked_at, i == 0 ? T0 : 0);
		assert_int_equal(wanted(r), i == 0 ? WANT_ORDER : WANT_NOTHING);
		assert_false(r->held);
		assert_false(learn(r, o).persist);
	}
}

static void test_reissued_by_somebody(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct outside o = { .order_state = ORDER_ISSUED, .certificate_id = 99 };
	struct job_update u = learn(r, o);

	(void)state;
	assert_true(u.persist);
	assert_true(reported(&u, REPORT_REISSUED_OUTSIDE));
	assert_int_equal(r->cert.other_id, 99);
	assert_int_equal(r->cert.certificate_id, 88);
	assert_int_equal(wanted(r), WANT_NOTHING);
	u = learn(r, o);
	assert_false(u.persist);
	assert_int_equal(u.n_reports, 0);
	/* Ours is the order's present one again. */
	o.certificate_id = 88;
	u = learn(r, o);
	assert_true(u.persist);
	assert_int_equal(u.n_reports, 0);
	assert_int_equal(r->cert.other_id, 0);
	assert_false(learn(r, o).persist);
	/* While a job of ours is at it, the other one is ours. */
	r->job = xmalloc(sizeof(*r->job));
	o.certificate_id = 99;
	assert_false(learn(r, o).persist);
	assert_int_equal(r->cert.other_id, 0);
}

static void test_order_is_found(void **state)
{
	const struct outside found = { .certificate_id = 88, .order_valid_until = T0 + 300 };
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u = { 0 };

	(void)state;
	/* Not asked for: what is known stays. */
	r->cert.order_id = 70;
	outside_found(r, 77, &found, &u);
	assert_true(r->cert.order_id == 70 && !u.persist);
	r->cert.order_unknown = true;
	outside_found(r, 77, &found, &u);
	assert_true(r->cert.order_id == 77 && r->cert.certificate_id == 88);
	assert_true(r->cert.order_valid_until == T0 + 300 && !r->cert.order_unknown && u.persist);
	/* The CA knows none. */
	r->cert.order_unknown = true;
	outside_found(r, 0, &found, &u);
	assert_true(r->cert.order_id == 0 && r->cert.certificate_id == 0 && r->cert.order_valid_until == 0);
	assert_false(r->cert.order_unknown);
}

static void test_end_of_the_plan(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();

	(void)state;
	assert_true(learn(r, (struct outside){ .order_valid_until = T0 + 9 * DAY }).persist);
	assert_int_equal(r->cert.order_valid_until, T0 + 9 * DAY);
	assert_false(learn(r, (struct outside){ .order_valid_until = T0 + 9 * DAY }).persist);
	assert_false(learn(r, (struct outside){ .order_valid_until = 0 }).persist);
	assert_int_equal(r->cert.order_valid_until, T0 + 9 * DAY);
}

/* Something is wrong with it that another purchase does not mend. */
static void test_revoked_again(void **state)
{
	static const struct {
		bool replaces;
		int64_t age;
		bool held;
	} ROWS[] = {
		{ true, 0, true }, { true, 7 * DAY - 1, true }, { true, 7 * DAY, false }, { false, 0, false }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = installed();
		struct job_update u;

		r->cert.replaces_revoked = ROWS[i].replaces;
		r->cert.installed_at = T0 - ROWS[i].age;
		u = learn(r, (struct outside){ .order_state = ORDER_ENDED,
					       .order_word = "revoked",
					       .certificate_id = 5 });
		assert_int_equal(r->held, ROWS[i].held);
		assert_int_equal(reported(&u, REPORT_HELD), ROWS[i].held);
		assert_int_equal(wanted(r), ROWS[i].held ? WANT_NOTHING : WANT_ORDER);
		if (ROWS[i].held)
			assert_string_equal(r->error.code, "revoked_again");
	}
}

/* One that is held already keeps what holds it. */
static void test_revoked_again_while_held(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();

	(void)state;
	r->held = true;
	record_set_error(r, T0, "why", "because");
	r->cert.replaces_revoked = true;
	r->cert.installed_at = T0;
	assert_true(learn(r, (struct outside){ .revoked = true }).persist);
	assert_string_equal(r->error.code, "why");
}

/* --- revocations on command --- */

static struct record *revoking(int64_t certificate_id, const char *reason)
{
	struct record *r = installed();
	struct job_update u = { 0 };

	assert_int_equal(revoke_next_at(r), DUE_NEVER);
	assert_int_equal(revoke_due(r, T0), REVOKE_NONE);
	assert_true(revoke_begin(r, &ENV, 77, certificate_id, reason, &u));
	assert_true(u.persist && reported(&u, REPORT_REVOKING));
	assert_int_equal(revoke_due(r, T0), REVOKE_SEND);
	return r;
}

static struct job_update answer_at(struct record *r, enum revoke_op op, enum fault f, int64_t request_id,
				   bool revoked, int64_t now)
{
	struct outcome o = { .fault = f, .code = "code", .message = "words" };
	struct job_update u = { 0 };
	struct job_env env = ENV;

	env.now = now;
	revoke_done(r, &env, op, &o, request_id, revoked, &u);
	return u;
}

static struct job_update answer(struct record *r, enum revoke_op op, enum fault f, int64_t request_id,
				bool revoked)
{
	return answer_at(r, op, f, request_id, revoked, T0);
}

static void test_one_at_a_time(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, "keyCompromise");
	struct job_update u = { 0 };

	(void)state;
	assert_int_equal(r->revocation->order_id, 77);
	assert_int_equal(r->revocation->certificate_id, 88);
	assert_string_equal(r->revocation->reason, "keyCompromise");
	assert_int_equal(r->revocation->asked_at, T0);
	assert_false(revoke_begin(r, &ENV, 78, 0, NULL, &u));
	assert_false(u.persist);
	assert_int_equal(r->revocation->order_id, 77);
}

static void test_answers_without_a_revocation(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();

	(void)state;
	assert_false(answer(r, REVOKE_SEND, FAULT_NONE, 0, false).persist);
	assert_false(answer(r, REVOKE_LOOK, FAULT_NONE, 0, true).persist);
	assert_int_equal(r->cert.revoked_at, 0);
}

/* Taken is not done: the CA has to show it. */
static void test_sent_and_seen(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, "superseded");
	struct job_update u = answer(r, REVOKE_SEND, FAULT_NONE, 0, false);

	(void)state;
	assert_true(u.persist && r->revocation->sent);
	assert_int_equal(r->cert.revoked_at, 0);
	for (unsigned i = 0; i < 10; i++) {
		int64_t pause = TEMPO * (i < 6 ? 1 << i : RETRY_INFO_CAP);

		r->revocation->next_at = 0;
		assert_int_equal(revoke_due(r, T0), REVOKE_LOOK);
		u = answer(r, REVOKE_LOOK, FAULT_NONE, 0, false);
		assert_true(u.persist);
		assert_int_equal(u.n_reports, 0);
		assert_int_equal(revoke_next_at(r), T0 + pause);
		assert_int_equal(revoke_due(r, T0 + pause - 1), REVOKE_NONE);
	}
	r->cert.replaces_revoked = true;
	u = answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
	assert_true(u.persist && reported(&u, REPORT_REVOKE_DONE));
	assert_null(r->revocation);
	assert_int_equal(r->cert.revoked_at, T0);
	assert_string_equal(r->cert.revoked_for, "superseded");
	assert_false(r->cert.order_over || r->held || r->cert.replaces_revoked);
	assert_int_equal(wanted(r), WANT_REISSUE);
}

static void test_sending_is_repeated(void **state)
{
	static const enum fault FAULTS[] = { FAULT_UNSENT, FAULT_UNCLEAR, FAULT_THROTTLED, FAULT_LOCAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		_cleanup_(record_freep) struct record *r = revoking(88, NULL);
		struct job_update u = answer(r, REVOKE_SEND, FAULTS[i], 0, false);

		assert_true(u.persist && reported(&u, REPORT_REVOKE_RETRY));
		assert_int_equal(revoke_next_at(r), T0 + TEMPO);
		assert_int_equal(revoke_due(r, T0 + TEMPO), REVOKE_SEND);
	}
}

static void test_refused(void **state)
{
	static const enum fault FAULTS[] = { FAULT_REFUSED, FAULT_NOT_FOUND, FAULT_AUTH, FAULT_CONFIG };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		_cleanup_(record_freep) struct record *r = revoking(0, NULL);
		struct job_update u = answer(r, REVOKE_SEND, FAULTS[i], 0, false);

		assert_true(u.persist && reported(&u, REPORT_REVOKE_FAILED));
		assert_null(r->revocation);
		assert_int_equal(r->cert.revoked_at, 0);
		assert_false(r->held || r->cert.order_over);
	}
}

/* The first attempt was not answered. That the second is refused may mean that there is nothing left to revoke. */
static void test_refused_after_a_lost_answer(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(0, NULL);
	struct job_update u = answer(r, REVOKE_SEND, FAULT_UNCLEAR, 0, false);

	(void)state;
	u = answer(r, REVOKE_SEND, FAULT_REFUSED, 0, false);
	assert_false(reported(&u, REPORT_REVOKE_FAILED));
	assert_non_null(r->revocation);
	assert_int_equal(revoke_due(r, revoke_next_at(r)), REVOKE_LOOK);
	(void)answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
	assert_true(r->held && r->cert.order_over);
	assert_int_equal(wanted(r), WANT_NOTHING);
}

/* ... and when it is not so, the refusal was meant. */
static void test_refused_for_good_after_a_lost_answer(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(0, NULL);
	struct job_update u = answer(r, REVOKE_SEND, FAULT_UNCLEAR, 0, false);

	(void)state;
	(void)answer(r, REVOKE_SEND, FAULT_REFUSED, 0, false);
	u = answer(r, REVOKE_LOOK, FAULT_UNCLEAR, 0, false);
	assert_non_null(r->revocation);
	u = answer(r, REVOKE_LOOK, FAULT_NONE, 0, false);
	assert_true(reported(&u, REPORT_REVOKE_FAILED));
	assert_null(r->revocation);
	assert_false(r->held || r->cert.order_over);
}

/* A key that is revoked for what it is must not go into the certificate that is being made. */
static void test_revoked_while_a_job_uses_the_key(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, NULL);
	struct job_update u = { 0 };

	(void)state;
	record_revocation_free(r->revocation);
	r->revocation = NULL;
	r->job = xmalloc(sizeof(*r->job));
	r->job->spec_hash = 1;
	outside_learn(r, &ENV, &(struct outside){ .revoked = true, .reason = "superseded" }, &u);
	assert_false(r->job->new_key);
	r->cert.revoked_at = 0;
	outside_learn(r, &ENV, &(struct outside){ .revoked = true, .reason = "keyCompromise" }, &u);
	assert_true(r->job->new_key);
	assert_int_equal(r->job->spec_hash, 0); /* starts over: see job_begin() */
}

static void test_approved_by_ourselves(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, NULL);

	(void)state;
	(void)answer(r, REVOKE_SEND, FAULT_NONE, 555, false);
	assert_false(r->revocation->sent);
	assert_int_equal(r->revocation->request_id, 555);
	assert_int_equal(revoke_due(r, T0), REVOKE_APPROVE);
	(void)answer(r, REVOKE_APPROVE, FAULT_UNCLEAR, 0, false);
	assert_int_equal(revoke_due(r, revoke_next_at(r)), REVOKE_APPROVE);
	(void)answer(r, REVOKE_APPROVE, FAULT_NONE, 0, false);
	assert_true(r->revocation->sent);
	assert_int_equal(revoke_due(r, revoke_next_at(r)), REVOKE_LOOK);
}

static void test_approval_by_somebody_else(void **state)
{
	static const enum fault FAULTS[] = { FAULT_REFUSED, FAULT_AUTH, FAULT_CONFIG, FAULT_NOT_FOUND };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		_cleanup_(record_freep) struct record *r = revoking(88, NULL);
		struct job_update u;

		(void)answer(r, REVOKE_SEND, FAULT_NONE, 555, false);
		u = answer(r, REVOKE_APPROVE, FAULTS[i], 0, false);
		assert_true(u.persist && reported(&u, REPORT_APPROVAL));
		assert_true(r->revocation->refused && !r->revocation->sent);
		assert_int_equal(revoke_due(r, T0), REVOKE_LOOK);
		(void)answer(r, REVOKE_LOOK, FAULT_NONE, 0, false);
		assert_non_null(r->revocation);
		(void)answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
		assert_null(r->revocation);
		assert_int_equal(r->cert.revoked_at, T0);
	}
}

/* Nobody approves it: it must not be in the way of another for ever. */
static void test_looking_has_an_end(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, NULL);
	struct job_update u;

	(void)state;
	(void)answer(r, REVOKE_SEND, FAULT_NONE, 555, false);
	(void)answer(r, REVOKE_APPROVE, FAULT_REFUSED, 0, false);
	(void)answer_at(r, REVOKE_LOOK, FAULT_NONE, 0, false, T0 + 30 * DAY);
	assert_non_null(r->revocation);
	u = answer_at(r, REVOKE_LOOK, FAULT_NONE, 0, false, T0 + 30 * DAY + 1);
	assert_null(r->revocation);
	assert_true(u.persist && reported(&u, REPORT_REVOKE_FAILED));
	assert_int_equal(r->cert.revoked_at, 0);
}

/* Order info shows the present certificate only. */
static void test_of_another_certificate(void **state)
{
	_cleanup_(record_freep) struct record *taken = revoking(70, NULL);
	_cleanup_(record_freep) struct record *approved = revoking(70, NULL);
	_cleanup_(record_freep) struct record *refused = revoking(70, NULL);
	struct job_update u = answer(taken, REVOKE_SEND, FAULT_NONE, 0, false);

	(void)state;
	assert_true(u.persist && reported(&u, REPORT_REVOKE_DONE));
	assert_null(taken->revocation);
	assert_int_equal(taken->cert.revoked_at, 0);
	(void)answer(approved, REVOKE_SEND, FAULT_NONE, 555, false);
	u = answer(approved, REVOKE_APPROVE, FAULT_NONE, 0, false);
	assert_true(reported(&u, REPORT_REVOKE_DONE));
	assert_null(approved->revocation);
	(void)answer(refused, REVOKE_SEND, FAULT_NONE, 555, false);
	u = answer(refused, REVOKE_APPROVE, FAULT_REFUSED, 0, false);
	assert_true(reported(&u, REPORT_APPROVAL) && !reported(&u, REPORT_REVOKE_DONE));
	assert_null(refused->revocation);
	assert_int_equal(approved->cert.revoked_at + refused->cert.revoked_at, 0);
	/* Refused after a lost answer: nothing can be looked at. */
	{
		_cleanup_(record_freep) struct record *r = revoking(70, NULL);

		(void)answer(r, REVOKE_SEND, FAULT_UNCLEAR, 0, false);
		u = answer(r, REVOKE_SEND, FAULT_REFUSED, 0, false);
		assert_true(reported(&u, REPORT_REVOKE_FAILED));
		assert_null(r->revocation);
	}
}

/* OCSP was faster than order info, and the certificate has been replaced: the order shows the new one, for ever. */
static void test_replaced_while_it_was_looked_for(void **state)
{
	_cleanup_(record_freep) struct record *sent = revoking(88, NULL), *refused = revoking(88, NULL);
	struct job_update u;

	(void)state;
	(void)answer(sent, REVOKE_SEND, FAULT_NONE, 0, false);
	sent->cert.certificate_id = 89;
	u = answer(sent, REVOKE_LOOK, FAULT_NONE, 0, false);
	assert_true(reported(&u, REPORT_REVOKE_DONE));
	assert_null(sent->revocation);
	assert_int_equal(sent->cert.revoked_at, 0);
	(void)answer(refused, REVOKE_SEND, FAULT_NONE, 555, false);
	(void)answer(refused, REVOKE_APPROVE, FAULT_REFUSED, 0, false);
	refused->cert.certificate_id = 89;
	u = answer(refused, REVOKE_LOOK, FAULT_NONE, 0, false);
	assert_false(reported(&u, REPORT_REVOKE_DONE));
	assert_null(refused->revocation);
}

static void test_whole_order(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(0, NULL);
	struct job_update u;

	(void)state;
	(void)answer(r, REVOKE_SEND, FAULT_NONE, 0, false);
	/* The poll is faster than our look: nothing is bought. */
	(void)learn(r, (struct outside){ .order_state = ORDER_ENDED, .order_word = "revoked" });
	assert_true(r->cert.order_over && r->cert.revoked_at != 0);
	assert_int_equal(wanted(r), WANT_NOTHING);
	u = answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
	assert_true(reported(&u, REPORT_REVOKE_DONE) && reported(&u, REPORT_HELD));
	assert_true(r->held && r->cert.order_over);
	assert_string_equal(r->error.code, "revoked");
	assert_int_equal(wanted(r), WANT_NOTHING);
	/* A person says so: a new order, with a new key. */
	r->held = false;
	assert_int_equal(wanted(r), WANT_ORDER);
	assert_true(decide_needs_new_key(r));
}

static void test_whole_order_of_before(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(0, NULL);

	(void)state;
	r->cert.order_id = 78;
	(void)answer(r, REVOKE_SEND, FAULT_NONE, 0, false);
	(void)answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
	assert_null(r->revocation);
	assert_false(r->held || r->cert.order_over || r->cert.revoked_at);
}

/* A new order that is under way goes on; a reissue of the very order that was given up does not lead to another purchase. */
static void test_whole_order_with_a_job(void **state)
{
	(void)state;
	for (unsigned kind = JOB_ORDER; kind < JOB_KIND_NR; kind++) {
		_cleanup_(record_freep) struct record *r = revoking(0, NULL);

		r->job = xmalloc(sizeof(*r->job));
		r->job->kind = (enum job_kind)kind;
		r->job->of_order_id = 77;
		(void)answer(r, REVOKE_SEND, FAULT_NONE, 0, false);
		(void)answer(r, REVOKE_LOOK, FAULT_NONE, 0, true);
		assert_true(r->cert.order_over);
		assert_int_equal(r->held, kind == JOB_REISSUE);
	}
}

static void test_clock_that_was_far_ahead(void **state)
{
	_cleanup_(record_freep) struct record *r = revoking(88, NULL);

	(void)state;
	r->revocation->next_at = T0 + 5 * 365 * DAY;
	duty_end_far_pauses(r, T0, T0 + DAY);
	assert_int_equal(revoke_due(r, T0), REVOKE_SEND);
	r->revocation->next_at = T0 + 100;
	duty_end_far_pauses(r, T0, T0 + DAY);
	assert_int_equal(revoke_next_at(r), T0 + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_new),
		cmocka_unit_test(test_nothing_is_learned_without_a_certificate),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_the_reason_comes_later),
		cmocka_unit_test(test_order_is_over),
		cmocka_unit_test(test_reissued_by_somebody),
		cmocka_unit_test(test_order_is_found),
		cmocka_unit_test(test_end_of_the_plan),
		cmocka_unit_test(test_revoked_again),
		cmocka_unit_test(test_revoked_again_while_held),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_answers_without_a_revocation),
		cmocka_unit_test(test_sent_and_seen),
		cmocka_unit_test(test_sending_is_repeated),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_after_a_lost_answer),
		cmocka_unit_test(test_refused_for_good_after_a_lost_answer),
		cmocka_unit_test(test_revoked_while_a_job_uses_the_key),
		cmocka_unit_test(test_approved_by_ourselves),
		cmocka_unit_test(test_approval_by_somebody_else),
		cmocka_unit_test(test_looking_has_an_end),
		cmocka_unit_test(test_of_another_certificate),
		cmocka_unit_test(test_replaced_while_it_was_looked_for),
		cmocka_unit_test(test_whole_order),
		cmocka_unit_test(test_whole_order_of_before),
		cmocka_unit_test(test_whole_order_with_a_job),
		cmocka_unit_test(test_clock_that_was_far_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
