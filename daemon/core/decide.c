/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered chain of small checks: the first that applies names what is wanted and why. */
#include "daemon/core/decide.h"

#include "common/str.h"
#include "daemon/core/job.h"
#include "daemon/core/window.h"

/* A certificate that is missing is as urgent as one that has so long. */
#define MISSING INT64_C(604800)
/* A plan that ends sooner is over: a certificate that the CA issues may take a day. */
#define LEAST_REST INT64_C(86400)

static const char *const TEXTS[REASON_NR] = {
	[REASON_GOOD] = "valid",
	[REASON_UNDER_WAY] = "an issuance is under way",
	[REASON_HELD] = "waits for a person",
	[REASON_NEW] = "there is no certificate yet",
	[REASON_EXPIRED] = "the certificate has expired",
	[REASON_REVOKED] = "the CA has revoked the certificate",
	[REASON_NAMES] = "the configuration names others than the certificate has",
	[REASON_KEY] = "the configuration wants another kind of key",
	[REASON_RENEWAL] = "the renewal point has passed",
	[REASON_BUDGET] = "certcentral.max_orders_per_day is reached",
	[REASON_KEY_LOST] = "the private key is lost",
	[REASON_LOOKING] = "its order is being looked up at CertCentral",
	[REASON_RESTING] = "rolled back, so nothing is renewed for a while",
	[REASON_REVOKING] = "its order is being revoked on command",
};

const char *reason_text(enum reason r)
{
	return r < REASON_NR ? TEXTS[r] : "?";
}

/* How long before its end a certificate of full life is renewed. As window_renew_at(): what is not shorter than the life counts as
 * auto. */
static int64_t full_window(const struct view *v)
{
	int64_t before = v->spec->renew_before;

	return before > 0 && before < v->cert_life ? before : v->cert_life / 6;
}

/* The plan's end cut this certificate short, so its successor is a paid order, which can meet more that has to be settled by a person:
 * it gets the time that it would have with a certificate of full life, not a sixth of a few days. */
static bool is_cut_short(const struct view *v)
{
	const struct record_cert *c = &v->rec->cert;
	int64_t rest = c->order_valid_until - c->not_after;

	return c->order_valid_until != 0 && rest < LEAST_REST && c->not_after - c->not_before < v->cert_life;
}

int64_t decide_renew_at(const struct view *v)
{
	const struct record_cert *c = &v->rec->cert;
	int64_t before = v->spec->renew_before;

	if (c->generation == 0)
		return 0;
	if (is_cut_short(v))
		before = full_window(v);
	return window_renew_at(c->not_before, c->not_after, before,
			       str_hash(v->rec->name) ^ str_hash(c->serial));
}

/* A reissue never outlives the plan, and the renewal window of the next certificate is lost to it: where less than half a window would be
 * gained, the plan is ending. With 199 days of life in a plan of 365 that means one order and one reissue. */
enum want decide_replacement(const struct view *v, int64_t at, bool forced)
{
	const struct record_cert *c = &v->rec->cert;
	int64_t rest = c->order_valid_until - at;
	int64_t window = full_window(v);

	if (c->generation == 0 || c->order_id == 0 || c->order_over || rest < LEAST_REST)
		return WANT_ORDER;
	return forced || rest >= window + window / 2 ? WANT_REISSUE : WANT_ORDER;
}

bool decide_needs_new_key(const struct record *rec)
{
	static const char *const HARMLESS[] = { "superseded", "affiliationChanged", "cessationOfOperation" };
	const struct record_cert *c = &rec->cert;

	if (c->key_lost)
		return true;
	for (size_t i = 0; c->revoked_for && i < ARRAY_SIZE(HARMLESS); i++) {
		if (strcmp(c->revoked_for, HARMLESS[i]) == 0)
			return false;
	}
	return c->revoked_at != 0;
}

/* A thousandth of what it had left, a few hours at most: enough to put those of one day in order, and still in front of nearly everything
 * that is good. */
int64_t decide_urgency_revoked(const struct record_cert *c, int64_t at)
{
	return MIN(c->not_after, at + MAX(c->not_after - at, INT64_C(0)) / 1000);
}

int64_t decide_urgency(const struct record *rec, int64_t now)
{
	const struct record_cert *c = &rec->cert;

	if (c->generation == 0)
		return now + MISSING;
	return c->revoked_at ? decide_urgency_revoked(c, c->revoked_at) : c->not_after;
}

/* Each check returns true when it has the answer. */
static bool is_held(const struct view *v, struct decision *d)
{
	if (!v->rec->held)
		return false;
	d->reason = REASON_HELD;
	return true;
}

static bool is_under_way(const struct view *v, struct decision *d)
{
	if (!v->rec->job)
		return false;
	d->reason = REASON_UNDER_WAY;
	return true;
}

static bool has_no_certificate(const struct view *v, struct decision *d)
{
	if (v->rec->cert.generation != 0)
		return false;
	d->want = WANT_ORDER;
	d->reason = REASON_NEW;
	return true;
}

/* Rebuilt from its files: whether its next certificate is free only the CA can say. */
static bool is_looked_up(const struct view *v, struct decision *d)
{
	if (!v->rec->cert.order_unknown)
		return false;
	d->reason = REASON_LOOKING;
	return true;
}

static bool is_revoked(const struct view *v, struct decision *d)
{
	if (v->rec->cert.revoked_at == 0)
		return false;
	d->want = decide_replacement(v, v->now, true);
	d->reason = REASON_REVOKED;
	d->new_key = decide_needs_new_key(v->rec);
	return true;
}

static bool has_expired(const struct view *v, struct decision *d)
{
	if (v->now < v->rec->cert.not_after)
		return false;
	d->want = decide_replacement(v, v->now, false);
	d->reason = REASON_EXPIRED;
	return true;
}

/* The newer certificate is there and nobody wants it now; another one would be no better. */
static bool is_resting(const struct view *v, struct decision *d)
{
	if (v->rec->rest_until <= v->now)
		return false;
	d->reason = REASON_RESTING;
	d->due_at = v->rec->rest_until;
	d->then = decide_replacement(v, d->due_at, false);
	return true;
}

static bool is_past_renewal(const struct view *v, struct decision *d)
{
	int64_t at = decide_renew_at(v);

	if (v->now < at) {
		d->due_at = at;
		d->then = decide_replacement(v, at, false);
		return false;
	}
	d->want = decide_replacement(v, v->now, false);
	d->reason = REASON_RENEWAL;
	return true;
}

/* Inside the plan a change is free; it never leads to an order by itself. */
static bool is_another(const struct view *v, struct decision *d)
{
	const struct record_cert *c = &v->rec->cert;
	char key[RECORD_KEY_MAX];
	bool key_differs = c->key && strcmp(c->key, record_key_text(&v->spec->key, key)) != 0;

	if ((!d->names_differ && !key_differs) || decide_replacement(v, v->now, true) != WANT_REISSUE)
		return false;
	d->want = WANT_REISSUE;
	d->reason = d->names_differ ? REASON_NAMES : REASON_KEY;
	d->due_at = DUE_NEVER;
	d->then = WANT_NOTHING;
	return true;
}

/* Servers that have it loaded go on; the next one that starts does not. Inside the plan another one is free; an order is left to the
 * renewal, or a person. */
static bool has_lost_its_key(const struct view *v, struct decision *d)
{
	if (!v->rec->cert.key_lost || decide_replacement(v, v->now, true) != WANT_REISSUE)
		return false;
	d->want = WANT_REISSUE;
	d->reason = REASON_KEY_LOST;
	d->new_key = true;
	d->due_at = DUE_NEVER;
	d->then = WANT_NOTHING;
	return true;
}

typedef bool check_fn(const struct view *v, struct decision *d);

static check_fn *const CHECKS[] = { is_held,	      is_under_way, has_no_certificate, is_looked_up,
				    is_revoked,	      has_expired,  is_resting,		is_past_renewal,
				    has_lost_its_key, is_another };

static void compare_names(const struct view *v, struct decision *d)
{
	_cleanup_free_ char *wanted = NULL;

	if (v->rec->cert.generation == 0)
		return;
	wanted = job_names(v->spec);
	/* Every look at every domain comes here, and nearly always they are the same text. */
	if (strcmp(wanted, v->rec->cert.names) == 0)
		return;
	d->loses_names = !record_names_are_among(v->rec->cert.names, wanted);
	d->gains_names = !record_names_are_among(wanted, v->rec->cert.names);
	d->names_differ = d->loses_names || d->gains_names; /* their order does not matter */
}

/* Whoever gives a whole order up does not want the next one to be bought by itself, nor anything reissued in it. Its end is heard from
 * several sides, and any of them may be faster than our own look. */
static bool is_given_up(const struct record *rec)
{
	const struct record_revocation *r = rec->revocation;

	return r && r->certificate_id == 0 && r->order_id == rec->cert.order_id;
}

void decide(const struct view *v, struct decision *ret)
{
	*ret = (struct decision){ .want = WANT_NOTHING, .reason = REASON_GOOD, .due_at = DUE_NEVER };
	compare_names(v, ret);
	for (size_t i = 0; i < ARRAY_SIZE(CHECKS); i++) {
		if (CHECKS[i](v, ret))
			break;
	}
	ret->new_key = ret->new_key || (ret->want != WANT_NOTHING && v->rec->cert.key_lost);
	if (ret->want != WANT_NOTHING && is_given_up(v->rec)) {
		ret->want = WANT_NOTHING;
		ret->reason = REASON_REVOKING;
		ret->due_at = DUE_NEVER;
	} else if (ret->want == WANT_ORDER && v->order_allowed_at > v->now) {
		ret->want = WANT_NOTHING;
		ret->reason = REASON_BUDGET;
		ret->due_at = v->order_allowed_at;
		ret->then = WANT_ORDER;
	}
}
