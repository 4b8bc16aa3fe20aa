/* SPDX-License-Identifier: Apache-2.0 */
/* The pauses after a failure grow to six hours and each is only a warning of something that may pass. What people have to know is not the
 * tenth failure but how little time is left, so that is said by itself. */
#include "daemon/expiry.h"

#include "common/clock.h"
#include "common/timefmt.h"
#include "daemon/messages.h"

bool expiry_is_near(const struct domain *d, int64_t now)
{
	const struct record_cert *c = &d->rec->cert;
	int64_t renew_at;
	struct view v;

	if (!c->generation)
		return false;
	runner_view(d, &v);
	renew_at = decide_renew_at(&v);
	return now > c->not_after - (c->not_after - renew_at) / 2;
}

static void tell(const struct domain *d, int64_t now)
{
	const struct record_cert *c = &d->rec->cert;
	bool expired = now >= c->not_after;
	const char *reason = "no reason is known";
	char at[TIMEFMT_MAX];
	struct problem p;

	if (status_problem(d, &p))
		reason = p.message ? p.message : p.code;
	else if (d->rec->job)
		reason = "its successor is under way";
	timefmt_rfc3339(c->not_after, at);
	if (expired)
		runner_log(d, LOG_LEVEL_ERROR, &MSG_EXPIRED, "expired at %s: %s", at, reason);
	else
		runner_log(d, LOG_LEVEL_WARNING, &MSG_EXPIRING,
			   "expires at %s, and nothing follows it yet: %s", at, reason);
}

void expiry_tell(const struct app *a)
{
	int64_t now = clock_now();

	for (size_t i = 0; i < a->n_domains; i++) {
		if (!a->domains[i]->is_leaving && expiry_is_near(a->domains[i], now))
			tell(a->domains[i], now);
	}
}
