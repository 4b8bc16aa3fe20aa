/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of a domain that a reload removed from the YAML: what cannot be stopped is awaited, what must be on disk is
 * written, its proofs are withdrawn; then it is forgotten. Nothing is revoked, its files stay. */
#include "daemon/app.h"

#include "common/clock.h"

static void gone(void *arg)
{
	struct domain *d = arg;

	d->is_going = false;
	if (d->app->stopping || !d->is_leaving) /* the way out frees it, or a reload brought it back */
		return;
	TAILQ_REMOVE(&d->app->leaving, d, leaving);
	domain_free(d);
}

/* What a domain that is no longer in the YAML still has to bring to an end: a paid post, and what a pool thread is about to
 * write. Should the domain come back meanwhile, a late key would replace that of its next order. */
static bool is_busy(const struct domain *d)
{
	const struct flight *f = d->flight;

	return f && (f->start_next == OP_SUBMIT || operation_kind(f->operation) == OP_SUBMIT ||
		     operation_is_local(f->operation));
}

/* Ends all else, and lets its proofs go. */
void leaving_let_go(struct domain *d)
{
	struct job_update u;
	struct job_env env;

	if (!d->is_leaving || is_busy(d))
		return;
	operation_cancel(d);
	if (d->flight) {
		revoking_cancel(d);
		watching_cancel(d);
		d->flight->start_next = OP_NONE;
	}
	runner_env(d, &env);
	job_step(d->rec, &env, &(struct job_event){ .kind = EV_LEAVE }, &u);
	if (u.persist && !d->rec->frozen)
		runner_flight(d)->dirty = true;
}

/* Forgotten, when what must be on disk is written, and its proofs are gone; one that cannot be removed now stays. */
void leaving_end(struct domain *d)
{
	const struct flight *f = d->flight;

	if (!d->is_leaving || d->is_going || is_busy(d) || (f && (f->dirty || f->saving || f->cleaning)) ||
	    (!d->app->stopping && duty_clean_due(d->rec, clock_now()) != DUTY_NONE))
		return;
	d->is_going = true;
	loop_defer(d->app->loop, gone, d);
}
