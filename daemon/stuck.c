/* SPDX-License-Identifier: Apache-2.0 */
/* The stuck detector. It has a timer of its own and asks the records, not the agenda, what should have happened: what it looks for
 * is a wake-up that was lost. A domain that waits for one in vain is told of and then treated as after a restart of the program, which is safe
 * in every phase; one whose operation does not end can only be told of. */
#include "daemon/stuck.h"

#include "common/clock.h"
#include "common/timefmt.h"
#include "daemon/expiry.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"

/* In tempos. Ten minutes late is no matter of load: the agenda is looked at once a minute at least. */
#define SLACK	    10
#define SLACK_MIN_S 120
/* What a call of the API may take with every wait that is meant to be: eight stops of the whole key, and a queue. */
#define CALL_MAX_S 3600

static int64_t slack_ms(const struct app *a)
{
	return MAX(SLACK * a->config->certcentral.poll_interval, (int64_t)SLACK_MIN_S) * 1000;
}

static int64_t limit_of_target(const struct cfg_deploy *t)
{
	switch (t->type) {
	case CFG_DEPLOY_RELOAD: return t->reload.timeout;
	case CFG_DEPLOY_EXEC: return t->exec.timeout;
	case CFG_DEPLOY_VERIFY: return t->verify.settle;
	case CFG_DEPLOY_FILES:
	case CFG_DEPLOY_SCUTUM:
	case CFG_DEPLOY_NR: break;
	}
	return 0;
}

/* A program for DNS may be called for each name, to put records up and to take others away. */
static int64_t limit_ms(const struct domain *d)
{
	const struct cfg_dns_provider *p = d->spec->dcv.provider;
	int64_t s = CALL_MAX_S;

	if (p && p->type == CFG_DNS_EXEC)
		s += p->timeout * 2 * (d->spec->n_names + d->rec->n_proofs);
	for (uint32_t i = 0; i < d->spec->n_deploy; i++)
		s += limit_of_target(&d->spec->deploy[i]);
	return slack_ms(d->app) + s * 1000;
}

static bool is_busy(const struct domain *d)
{
	const struct flight *f = d->flight;

	return f && !lock_owner(d) &&
	       (f->operation || f->deploying || f->cleaning || f->revoking || f->watching || f->saving);
}

/* The record says that it goes on at once, and nothing is there that would. */
static bool is_orphan(const struct domain *d)
{
	const struct record_job *j = d->rec->job;
	const struct flight *f = d->flight;

	return j && !d->rec->held && j->next_at == 0 && !lock_owner(d) &&
	       !(f && (f->operation || f->saving || f->dirty));
}

static void tell(struct domain *d, bool orphan)
{
	char at[TIMEFMT_MAX];

	if (d->stuck.busy)
		runner_log(d, LOG_LEVEL_ERROR, &MSG_STUCK,
			   "what is under way has not ended long after every time limit: this is an error of "
			   "dvcertd; please report it, a restart helps for now");
	else if (orphan || d->stuck.due_at == 0)
		runner_log(d, LOG_LEVEL_ERROR, &MSG_STUCK,
			   "nothing happens, although it should go on at once: this is an error of dvcertd; "
			   "please "
			   "report it (it is woken now)");
	else
		runner_log(
			d, LOG_LEVEL_ERROR, &MSG_STUCK,
			"nothing has happened since %s, when something was due: this is an error of dvcertd; "
			"please report it (it is woken now)",
			timefmt_rfc3339(d->stuck.due_at, at));
}

static void found(struct domain *d, bool orphan)
{
	struct app *a = d->app;

	a->n_stuck++;
	a->stuck_total++;
	d->stuck_at = clock_now();
	tell(d, orphan);
	runner_refresh(d);
	if (d->stuck.busy)
		return;
	if (orphan)
		runner_admit(d);
	else
		runner_look(d);
}

static void over(struct domain *d)
{
	stuck_forget(d);
	runner_log(d, LOG_LEVEL_INFO, &MSG_UNSTUCK, "it goes on again");
	runner_refresh(d);
}

static void look(struct domain *d)
{
	int64_t now = clock_now();
	bool orphan = is_orphan(d);
	struct stuck_view v = {
		.due_at = orphan ? 0 : runner_expected_at(d),
		.progress = d->progress,
		.busy = is_busy(d),
		.slack_ms = slack_ms(d->app),
		.limit_ms = limit_ms(d),
	};

	/* "Now" is another value at each look. */
	if (v.due_at == now)
		v.due_at = 0;
	switch (stuck_look(&d->stuck, &v, now, clock_mono_ms())) {
	case STUCK_FOUND: found(d, orphan); break;
	case STUCK_OVER: over(d); break;
	case STUCK_NO_NEWS: break;
	}
}

void stuck_look_at_all(struct app *a)
{
	for (size_t i = 0; i < a->n_domains && !a->stopping; i++)
		look(a->domains[i]);
}

static void on_timer(void *arg)
{
	struct app *a = arg;

	if (a->stopping)
		return;
	stuck_look_at_all(a);
	expiry_tell(a);
	timer_set(a->stuck_timer, slack_ms(a) / 3);
}

void stuck_start(struct app *a)
{
	a->stuck_timer = timer_new(a->loop, on_timer, a);
	timer_set(a->stuck_timer, slack_ms(a) / 3);
}

void stuck_stop(struct app *a)
{
	timer_free(TAKE_PTR(a->stuck_timer));
}

void stuck_progress(struct domain *d)
{
	d->progress++;
}

void stuck_forget(struct domain *d)
{
	if (d->stuck_at == 0)
		return;
	d->stuck_at = 0;
	d->app->n_stuck--;
	metrics_changed(d->app);
}
