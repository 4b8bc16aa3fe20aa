/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns all domains at once: the day's orders are spent or one is given back, and the wall clock was set back. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/timefmt.h"
#include "daemon/core/retry.h"
#include "daemon/messages.h"

/* A wall clock that falls behind the monotonic one by more than this was set back. */
#define CLOCK_BACK_S 120

/* Shown for every domain that waits, told once: thousands may be wanted on a first day. */
void upkeep_budget_is_spent(struct domain *d, int64_t until)
{
	struct app *a = d->app;
	enum log_level level;
	const struct log_msgid *id = message_of_report(REPORT_BUDGET, &level);
	char buf[TIMEFMT_MAX];

	if (!d->rec->error.code)
		record_set_error(d->rec, clock_now(), "max_orders_per_day", reason_text(REASON_BUDGET));
	if (a->budget_told_until >= until)
		return;
	a->budget_told_until = until;
	log_event(level, id, NULL, "%s: nothing is ordered before %s, beginning with %s",
		  reason_text(REASON_BUDGET), timefmt_rfc3339(until, buf), d->rec->name);
}

bool upkeep_waits_for_budget(const struct domain *d)
{
	return d->rec->error.code && strcmp(d->rec->error.code, "max_orders_per_day") == 0;
}

void upkeep_budget_refund(struct app *a, int64_t at)
{
	budget_refund(a->budget, at);
	a->budget_told_until = 0;
	upkeep_place_is_free(a);
}

void upkeep_place_is_free(struct app *a)
{
	for (size_t i = 0; i < a->n_domains; i++) {
		struct domain *d = a->domains[i];

		if (!d->rec->job && upkeep_waits_for_budget(d))
			runner_set_due(d);
	}
}

void upkeep_end_far_pauses(struct domain *d)
{
	int64_t now = clock_now();

	duty_end_far_pauses(d->rec, now, now + RETRY_LONGEST(d->config->certcentral.poll_interval));
}

void upkeep_clock(struct app *a)
{
	int64_t wall = clock_now(), mono_ms = clock_mono_ms();
	int64_t behind = (mono_ms - a->last_mono_ms) / 1000 - (wall - a->last_wall_at);
	bool was_set_back = a->last_wall_at != 0 && behind > CLOCK_BACK_S;

	a->last_wall_at = wall;
	a->last_mono_ms = mono_ms;
	if (!was_set_back)
		return;
	for (size_t i = 0; i < a->n_domains; i++) {
		upkeep_end_far_pauses(a->domains[i]);
		runner_set_due(a->domains[i]);
	}
}
