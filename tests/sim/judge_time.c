/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of time: after every event each domain has a next moment, or somebody who brings it on, or a reason why a person has to; and
 * a moment that has passed is worked on. This is the one judge that looks into the daemon's memory: what nobody will ever do can be
 * seen nowhere else. It believes nothing there but when something is to happen. */
#include <string.h>

#include "common/clock.h"
#include "daemon/app.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/life.h"
#include "tests/sim/plan.h"

/* The loop looks at the clock once a minute. */
#define OVERDUE_MS INT64_C(300000)
/* What is under way has a deadline of its own: a request with its turn in the queue and its pauses, a program, a look into DNS. */
#define AT_WORK_MS INT64_C(3600000)

static const struct app *app;

/* What was seen of a domain, and since when nothing of it has changed. */
static struct seen {
	uint64_t state;
	int64_t since_ms;
} seen[PLAN_DOMAINS_MAX];

/* The first thing that app_run() makes, and the place of the rest. */
void judge_time_begin(struct loop **made)
{
	app = (const struct app *)(const void *)((const char *)made - offsetof(struct app, loop));
	memset(seen, 0, sizeof(seen));
}

void judge_time_forget(void)
{
	app = NULL;
}

static uint64_t mix(uint64_t h, uint64_t n)
{
	return (h ^ n) * UINT64_C(0x100000001b3);
}

/* Changes whenever something was done. */
static uint64_t state_of(const struct domain *d)
{
	const struct flight *f = d->flight;
	const struct record_job *j = d->rec->job;
	/* Never what it is before anything was seen. */
	uint64_t h = mix(mix(UINT64_C(0xcbf29ce484222325), d->due.slot ? (uint64_t)d->due.due_at : 1),
			 d->ready.slot);

	if (f) {
		h = mix(h, (uintptr_t)f->operation);
		h = mix(mix(h, (uintptr_t)f->deploying), (uintptr_t)f->cleaning);
		h = mix(mix(h, (uintptr_t)f->revoking), (uintptr_t)f->watching);
		h = mix(mix(h, (uintptr_t)f->saving), (uint64_t)f->start_next);
	}
	if (j)
		h = mix(mix(mix(h, (uint64_t)j->phase), j->attempts), j->looks);
	return mix(h, d->rec->n_proofs);
}

static bool is_at_work(const struct flight *f)
{
	return f && (f->operation || f->deploying || f->cleaning || f->revoking || f->watching || f->saving);
}

static void judge_domain(const struct domain *d)
{
	struct seen *s = &seen[scenario_actor(d->rec->name) - actors];
	bool works = is_at_work(d->flight), late = d->due.slot && d->due.due_at < clock_now();
	uint64_t state = state_of(d);

	if (!d->due.slot && !works && !d->ready.slot && !lock_owner(d) &&
	    !(d->rec->held && d->rec->error.code))
		bad("%s has no next time: nothing is under way, and nobody is told why", d->rec->name);
	if (state != s->state || !(late || works || d->ready.slot)) {
		*s = (struct seen){ state, world_now_ms() };
		return;
	}
	if (world_now_ms() - s->since_ms > (works ? AT_WORK_MS : OVERDUE_MS))
		bad("%s: the time was %lld s ago, and nothing is done%s", d->rec->name,
		    (long long)(clock_now() - d->due.due_at), works ? " any more" : "");
}

void judge_time(void)
{
	if (!app || !life_is_on() || !app->is_up || app->stopping)
		return;
	/* The daemon's own detector (daemon/stuck.c) is slower than this judge: it has nothing to find, or it is a false alarm. */
	if (app->stuck_total > 0)
		bad("the daemon says that a domain is stuck");
	for (size_t i = 0; i < app->n_domains; i++)
		if (!app->domains[i]->is_fresh && !app->domains[i]->is_leaving)
			judge_domain(app->domains[i]);
}
