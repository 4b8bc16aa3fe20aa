/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered chain of small checks: the first that applies names what is wanted and why. */
#include "daemon/core/decide.h"

#include "common/str.h"
#include "daemon/core/job.h"
#include "daemon/core/window.h"

static const char *const TEXTS[REASON_NR] = {
	[REASON_GOOD] = "valid",
	[REASON_UNDER_WAY] = "an issuance is under way",
	[REASON_HELD] = "waits for a person",
	[REASON_NEW] = "there is no certificate yet",
	[REASON_EXPIRED] = "the certificate has expired",
	[REASON_RENEWAL] = "the renewal point has passed",
	[REASON_BUDGET] = "certcentral.max_orders_per_day is reached",
};

const char *reason_text(enum reason r)
{
	return r < REASON_NR ? TEXTS[r] : "?";
}

int64_t decide_renew_at(const struct cfg_domain *spec, const struct record *rec)
{
	uint64_t seed;

	if (rec->cert.generation == 0)
		return 0;
	seed = str_hash(rec->name) ^ str_hash(rec->cert.serial);
	return window_renew_at(rec->cert.not_before, rec->cert.not_after, spec->renew_before, seed);
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

static bool has_expired(const struct view *v, struct decision *d)
{
	if (v->now < v->rec->cert.not_after)
		return false;
	d->want = WANT_ORDER;
	d->reason = REASON_EXPIRED;
	return true;
}

static bool is_past_renewal(const struct view *v, struct decision *d)
{
	int64_t at = decide_renew_at(v->spec, v->rec);

	if (v->now < at) {
		d->due_at = at;
		return false;
	}
	d->want = WANT_ORDER;
	d->reason = REASON_RENEWAL;
	return true;
}

typedef bool check_fn(const struct view *v, struct decision *d);

static check_fn *const CHECKS[] = { is_held, is_under_way, has_no_certificate, has_expired, is_past_renewal };

static bool names_differ(const struct view *v)
{
	_cleanup_free_ char *wanted = NULL;

	if (v->rec->cert.generation == 0)
		return false;
	wanted = job_names(v->spec);
	return strcmp(wanted, v->rec->cert.names) != 0;
}

void decide(const struct view *v, struct decision *ret)
{
	*ret = (struct decision){ .want = WANT_NOTHING, .reason = REASON_GOOD, .due_at = DUE_NEVER };
	for (size_t i = 0; i < ARRAY_SIZE(CHECKS); i++) {
		if (CHECKS[i](v, ret))
			break;
	}
	ret->names_differ = names_differ(v);
	if (ret->want == WANT_ORDER && v->order_allowed_at > v->now) {
		ret->want = WANT_NOTHING;
		ret->reason = REASON_BUDGET;
		ret->due_at = v->order_allowed_at;
	}
}
