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

static int64_t renewal_of(const struct record *r)
{
	return decide_renew_at(&(struct view){ .spec = &SPEC, .rec = r });
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
	assert_int_equal(renewal_of(r), 0);
}

static void test_valid_until_its_renewal(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);
	int64_t at = renewal_of(r);

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
	int64_t first = renewal_of(r), other = first;

	(void)state;
	assert_int_equal(renewal_of(r), first);
	for (unsigned i = 2; i < 12 && other == first; i++) {
		free(r->cert.serial);
		r->cert.serial = xasprintf("%02X", i);
		other = renewal_of(r);
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

/* --- order or reissue --- */

static struct view view_of(const struct record *r, const struct cfg_domain *spec, int64_t now, int64_t cap)
{
	return (struct view){
		.spec = spec, .rec = r, .now = now, .order_allowed_at = now, .cert_life = cap * DAY
	};
}

static struct decision decided_in(const struct record *r, const struct cfg_domain *spec, int64_t now)
{
	struct view v = view_of(r, spec, now, 199);
	struct decision d;

	decide(&v, &d);
	return d;
}

/* A certificate of a plan that ends at plan_end (0: unknown). */
static struct record *in_plan(int64_t not_after, int64_t plan_end)
{
	struct record *r = valid_record(not_after);

	r->cert.order_id = 77;
	r->cert.certificate_id = 88;
	r->cert.order_valid_until = plan_end;
	return r;
}

struct years {
	unsigned orders, reissues;
	int64_t least_gain; /* the smallest step from one issuance to the next */
	int64_t plan_left;  /* the most that an order gave away of the plan before */
	int64_t least_lead; /* the shortest time that an order had until the end of the certificate */
};

/* Three years of a domain: every issuance at the time that was foretold, each certificate as the CA would make it. */
static struct years simulate(const struct cfg_domain *spec, int64_t cap, unsigned serial)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct years y = { .least_gain = INT64_MAX, .least_lead = INT64_MAX };
	int64_t now = T0, last = 0;

	r->cert.names = xstrdup("a.example b.example");
	while (now < T0 + 3 * 365 * DAY) {
		struct view v = view_of(r, spec, now, cap);
		struct decision d;

		decide(&v, &d);
		if (d.want == WANT_NOTHING) {
			enum want then = d.then;

			assert_int_equal(d.reason, REASON_GOOD);
			assert_true(d.due_at > now && d.due_at < r->cert.not_after);
			v.now = d.due_at - 1;
			decide(&v, &d);
			assert_int_equal(d.want, WANT_NOTHING);
			now = v.now = d.due_at;
			decide(&v, &d);
			assert_int_equal(d.want, then);
			assert_int_equal(d.reason, REASON_RENEWAL);
		}
		assert_true(r->cert.generation == 0 || now < r->cert.not_after); /* no day is uncovered */
		if (last)
			y.least_gain = MIN(y.least_gain, now - last);
		last = now;
		if (d.want == WANT_ORDER) {
			y.orders++;
			if (r->cert.generation) {
				y.plan_left = MAX(y.plan_left, r->cert.order_valid_until - now);
				y.least_lead = MIN(y.least_lead, r->cert.not_after - now);
			}
			r->cert.order_valid_until = now + 365 * DAY;
			r->cert.order_id++;
		} else {
			y.reissues++;
		}
		free(r->cert.serial);
		r->cert.serial = xasprintf("%X", serial++);
		r->cert.generation++;
		r->cert.not_before = now;
		r->cert.not_after = MIN(now + cap * DAY, r->cert.order_valid_until);
	}
	return y;
}

static void test_three_years(void **state)
{
	static const struct {
		int64_t cap, renew_before;
		unsigned orders, reissues_min, reissues_max;
		int64_t plan_left; /* days of a paid plan that an order may give away */
	} ROWS[] = {
		{ 199, 0, 4, 3, 4, 50 }, /* one order and one reissue for each plan */
		{ 99, 0, 4, 10, 13, 25 },
		{ 46, 0, 4, 24, 30, 12 },
		{ 199, 30 * DAY, 4, 3, 4, 45 },
		{ 99, 10 * DAY, 4, 9, 13, 15 },
		{ 46, 5 * DAY, 4, 22, 28, 8 },
		/* Not shorter than the life: counts as auto, for the end of the plan as well. */
		{ 46, 60 * DAY, 4, 24, 30, 12 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		struct cfg_domain spec = SPEC;
		int64_t window = ROWS[i].cap * DAY / 6;

		spec.renew_before = ROWS[i].renew_before;
		if (spec.renew_before > 0 && spec.renew_before < ROWS[i].cap * DAY)
			window = spec.renew_before;
		for (unsigned serial = 0; serial < 400; serial += 7) {
			struct years y = simulate(&spec, ROWS[i].cap, serial);

			if (y.orders != ROWS[i].orders || y.reissues < ROWS[i].reissues_min ||
			    y.reissues > ROWS[i].reissues_max || y.plan_left > ROWS[i].plan_left * DAY)
				fail_msg("%d: %u orders, %u reissues, %lld", (int)i, y.orders, y.reissues,
					 (long long)y.plan_left);
			assert_true(y.least_gain >= window / 2);
			/* An order may meet what only a person can settle: it has the window of a full life, less
			 * jitter, also where the plan's end cut the certificate short. */
			assert_true(y.least_lead >= window - window / 10);
		}
	}
}

static void test_renewal_is_a_reissue_as_long_as_it_pays(void **state)
{
	struct cfg_domain automatic = SPEC;
	int64_t window = 199 * DAY / 6;

	(void)state;
	automatic.renew_before = 0;
	for (int i = 0; i < 2; i++) {
		const struct cfg_domain *spec = i ? &automatic : &SPEC;
		int64_t w = i ? window : 30 * DAY;
		_cleanup_(record_freep) struct record *r = in_plan(T0, T0 + w + w / 2);
		struct view v = view_of(r, spec, T0, 199);

		assert_int_equal(decide_replacement(&v, T0, false), WANT_REISSUE);
		assert_int_equal(decide_replacement(&v, T0 + 1, false), WANT_ORDER);
		/* A person wants it now: any certificate inside the plan will do, but a day of it must be left. */
		assert_int_equal(decide_replacement(&v, T0 + 1, true), WANT_REISSUE);
		r->cert.order_valid_until = T0 + DAY;
		assert_int_equal(decide_replacement(&v, T0, true), WANT_REISSUE);
		assert_int_equal(decide_replacement(&v, T0 + 1, true), WANT_ORDER);
	}
}

static void test_what_cannot_be_reissued(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);
	struct view v = view_of(r, &SPEC, T0, 199);

	(void)state;
	assert_int_equal(decide_replacement(&v, T0, true), WANT_REISSUE);
	r->cert.order_over = true;
	assert_int_equal(decide_replacement(&v, T0, true), WANT_ORDER);
	r->cert.order_over = false;
	r->cert.order_valid_until = 0; /* unknown */
	assert_int_equal(decide_replacement(&v, T0, true), WANT_ORDER);
	assert_int_equal(decided_in(r, &SPEC, T0).then, WANT_ORDER);
	r->cert.order_valid_until = T0 + 300 * DAY;
	r->cert.order_id = 0;
	assert_int_equal(decide_replacement(&v, T0, true), WANT_ORDER);
	r->cert.order_id = 77;
	r->cert.generation = 0;
	assert_int_equal(decide_replacement(&v, T0, true), WANT_ORDER);
}

/* What will be wanted is foretold for the time at which it will be. */
static void test_then(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);
	int64_t at = renewal_of(r);
	struct view v;
	struct decision d;

	(void)state;
	assert_int_equal(decided_in(r, &SPEC, T0).then, WANT_REISSUE);
	r->cert.order_valid_until = at + 45 * DAY;
	assert_int_equal(decided_in(r, &SPEC, T0).then, WANT_REISSUE);
	r->cert.order_valid_until = at + 45 * DAY - 1;
	d = decided_in(r, &SPEC, T0);
	assert_int_equal(d.then, WANT_ORDER);
	assert_int_equal(d.due_at, at);
	d = decided_in(r, &SPEC, at);
	assert_int_equal(d.want, WANT_ORDER);
	/* The day's orders are spent: an order it will be. */
	v = view_of(r, &SPEC, at, 199);
	v.order_allowed_at = at + 5;
	decide(&v, &d);
	expect(d, WANT_NOTHING, REASON_BUDGET, at + 5);
	assert_int_equal(d.then, WANT_ORDER);
	/* A reissue inside the plan is not bounded by them. */
	r->cert.order_valid_until = T0 + 300 * DAY;
	decide(&v, &d);
	expect(d, WANT_REISSUE, REASON_RENEWAL, DUE_NEVER);
}

static void test_expired_inside_the_plan(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0, T0 + 100 * DAY);

	(void)state;
	expect(decided_in(r, &SPEC, T0), WANT_REISSUE, REASON_EXPIRED, DUE_NEVER);
	expect(decided_in(r, &SPEC, T0 + 90 * DAY), WANT_ORDER, REASON_EXPIRED, DUE_NEVER);
}

/* Read off its files: whether the next certificate is free only the CA can say, so nothing is wanted, whatever the time is. */
static void test_order_unknown(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);

	(void)state;
	r->cert.order_unknown = true;
	for (int64_t day = 0; day < 300; day += 10)
		expect(decided(r, T0 + day * DAY, T0), WANT_NOTHING, REASON_LOOKING, DUE_NEVER);
	r->cert.revoked_at = T0;
	expect(decided(r, T0, T0), WANT_NOTHING, REASON_LOOKING, DUE_NEVER);
	r->cert.order_unknown = false;
	assert_int_equal(decided(r, T0, T0).want, WANT_ORDER);
}

/* A lost key is replaced where that is free; it never buys anything before the renewal. */
static void test_key_lost(void **state)
{
	_cleanup_(record_freep) struct record *r = valid_record(T0 + 100 * DAY);

	(void)state;
	r->cert.key_lost = true;
	assert_true(decide_needs_new_key(r));
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
	assert_int_equal(decided(r, T0 + 100 * DAY, T0).want, WANT_ORDER);
	assert_true(decided(r, T0 + 100 * DAY, T0).new_key);
	r->cert.order_id = 7;
	r->cert.order_valid_until = T0 + 200 * DAY;
	expect(decided(r, T0, T0), WANT_REISSUE, REASON_KEY_LOST, DUE_NEVER);
	assert_true(decided(r, T0, T0).new_key);
	r->cert.order_over = true;
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
	r->cert.order_over = false;
	r->held = true;
	assert_int_equal(decided(r, T0, T0).want, WANT_NOTHING);
}

static void test_revoked(void **state)
{
	static const struct {
		const char *reason;
		bool new_key;
	} ROWS[] = {
		{ NULL, true },		 { "unspecified", true },	  { "keyCompromise", true },
		{ "superseded", false }, { "affiliationChanged", false }, { "cessationOfOperation", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 2 * DAY);
		struct decision d;

		assert_false(decide_needs_new_key(r));
		r->cert.revoked_at = T0 - 5;
		r->cert.revoked_for = ROWS[i].reason ? xstrdup(ROWS[i].reason) : NULL;
		assert_int_equal(decide_needs_new_key(r), ROWS[i].new_key);
		d = decided_in(r, &SPEC, T0);
		expect(d, WANT_REISSUE, REASON_REVOKED, DUE_NEVER);
		assert_int_equal(d.new_key, ROWS[i].new_key);
		r->cert.order_over = true;
		d = decided_in(r, &SPEC, T0);
		expect(d, WANT_ORDER, REASON_REVOKED, DUE_NEVER);
		assert_int_equal(d.new_key, ROWS[i].new_key);
		r->held = true;
		assert_int_equal(decided_in(r, &SPEC, T0).reason, REASON_HELD);
	}
}

/* Whoever gives a whole order up does not want another to be bought, whoever hears first that it is over. */
/* Revoked ones go before what is good, but not before what ends within hours; of one day the one that expires first. */
static void test_urgency(void **state)
{
	_cleanup_(record_freep) struct record *none = record_new("a.example");
	_cleanup_(record_freep) struct record *soon = valid_record(T0 + 40 * DAY),
					      *late = valid_record(T0 + 199 * DAY);
	_cleanup_(record_freep) struct record *due = valid_record(T0 + 2 * DAY),
					      *last = valid_record(T0 + 60);

	(void)state;
	assert_int_equal(decide_urgency(none, T0), T0 + 7 * DAY);
	assert_true(decide_urgency(soon, T0) < decide_urgency(late, T0));
	soon->cert.revoked_at = T0 - 30;
	late->cert.revoked_at = T0 - 60;
	assert_true(decide_urgency(soon, T0) < decide_urgency(late, T0));
	assert_true(decide_urgency(late, T0) < decide_urgency(due, T0));
	assert_true(decide_urgency(last, T0) < decide_urgency(soon, T0));
	/* Never later than its own end, whenever it was heard of. */
	late->cert.revoked_at = T0 + 300 * DAY;
	assert_int_equal(decide_urgency(late, T0), T0 + 199 * DAY);
}

static void test_whole_order_is_being_revoked(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);

	(void)state;
	r->revocation = xmalloc(sizeof(*r->revocation));
	r->revocation->order_id = 77;
	assert_int_equal(decided_in(r, &SPEC, T0).reason, REASON_GOOD);
	expect(decided_in(r, &SPEC, T0 + 99 * DAY), WANT_NOTHING, REASON_REVOKING, DUE_NEVER);
	r->cert.revoked_at = T0 - 1;
	r->cert.order_over = true;
	expect(decided_in(r, &SPEC, T0), WANT_NOTHING, REASON_REVOKING, DUE_NEVER);
	r->revocation->certificate_id = 88; /* one certificate: it is replaced */
	assert_int_equal(decided_in(r, &SPEC, T0).want, WANT_ORDER);
	r->revocation->certificate_id = 0;
	r->revocation->order_id = 76; /* an older order */
	assert_int_equal(decided_in(r, &SPEC, T0).want, WANT_ORDER);
}

static void test_names_differ(void **state)
{
	static const struct {
		const char *has;
		bool lost, gained;
	} ROWS[] = {
		{ "a.example b.example", false, false },
		{ "b.example a.example", false, false },
		{ "a.example", false, true },
		{ "a.example b.example c.example", true, false },
		{ "b.example c.example", true, true },
		{ "aa.example b.example", true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);
		bool differ = ROWS[i].lost || ROWS[i].gained;
		struct decision d;

		free(r->cert.names);
		r->cert.names = xstrdup(ROWS[i].has);
		d = decided_in(r, &SPEC, T0);
		assert_int_equal(d.loses_names, ROWS[i].lost);
		assert_int_equal(d.gains_names, ROWS[i].gained);
		assert_int_equal(d.names_differ, differ);
		assert_int_equal(d.want, differ ? WANT_REISSUE : WANT_NOTHING);
		assert_int_equal(d.reason, differ ? REASON_NAMES : REASON_GOOD);
		if (!differ)
			continue;
		assert_int_equal(d.due_at, DUE_NEVER);
		assert_int_equal(d.then, WANT_NOTHING);
	}
}

static void test_key_differs(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);
	struct cfg_domain spec = SPEC;

	(void)state;
	spec.key = (struct cfg_key){ .type = CFG_KEY_RSA, .bits = 2048 };
	assert_int_equal(decided_in(r, &spec, T0).want, WANT_NOTHING); /* an old record does not know */
	r->cert.key = xstrdup("rsa 2048");
	assert_int_equal(decided_in(r, &spec, T0).want, WANT_NOTHING);
	spec.key.bits = 3072;
	expect(decided_in(r, &spec, T0), WANT_REISSUE, REASON_KEY, DUE_NEVER);
	spec.key = (struct cfg_key){ .type = CFG_KEY_EC_P384 };
	expect(decided_in(r, &spec, T0), WANT_REISSUE, REASON_KEY, DUE_NEVER);
	free(r->cert.key);
	r->cert.key = xstrdup("ec P-384");
	assert_int_equal(decided_in(r, &spec, T0).want, WANT_NOTHING);
	spec.key.reuse = true; /* is not another kind */
	assert_int_equal(decided_in(r, &spec, T0).want, WANT_NOTHING);
}

/* A changed configuration alone never buys anything. */
static void test_a_difference_never_leads_to_an_order(void **state)
{
	_cleanup_(record_freep) struct record *r = in_plan(T0 + 100 * DAY, T0 + 300 * DAY);
	int64_t at = renewal_of(r);

	(void)state;
	free(r->cert.names);
	r->cert.names = xstrdup("c.example");
	r->cert.key = xstrdup("ec P-256");
	for (unsigned i = 0; i < 4; i++) {
		struct decision d;

		r->cert.order_over = i == 0;
		r->cert.order_valid_until = i == 1 ? 0 : i == 2 ? T0 + DAY - 1 : T0 + 300 * DAY;
		r->cert.order_id = i == 3 ? 0 : 77;
		d = decided_in(r, &SPEC, T0);
		expect(d, WANT_NOTHING, REASON_GOOD, at);
		assert_int_equal(d.then, WANT_ORDER);
		assert_true(d.names_differ);
	}
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
		cmocka_unit_test(test_three_years),
		cmocka_unit_test(test_renewal_is_a_reissue_as_long_as_it_pays),
		cmocka_unit_test(test_what_cannot_be_reissued),
		cmocka_unit_test(test_then),
		cmocka_unit_test(test_expired_inside_the_plan),
		cmocka_unit_test(test_order_unknown),
		cmocka_unit_test(test_key_lost),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_urgency),
		cmocka_unit_test(test_whole_order_is_being_revoked),
		cmocka_unit_test(test_names_differ),
		cmocka_unit_test(test_key_differs),
		cmocka_unit_test(test_a_difference_never_leads_to_an_order),
		cmocka_unit_test(test_every_reason_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
