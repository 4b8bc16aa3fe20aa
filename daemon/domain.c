/* SPDX-License-Identifier: Apache-2.0 */
/* A domain comes, is found, and goes; and what hangs off it only while something is under way. */
#include "daemon/app.h"

#include "common/mem.h"
#include "daemon/mending.h"
#include "daemon/save.h"
#include "daemon/stuck.h"

struct domain *domain_find(const struct app *a, const char *name)
{
	size_t lo = 0, hi = a->n_domains;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(name, a->domains[mid]->rec->name);

		if (cmp == 0)
			return a->domains[mid];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

struct flight *runner_flight(struct domain *d)
{
	if (!d->flight) {
		d->flight = xmalloc(sizeof(*d->flight));
		STAILQ_INIT(&d->flight->history);
		d->app->n_flights++;
	}
	return d->flight;
}

static void free_history(struct flight *f)
{
	struct history_line *h;

	while ((h = STAILQ_FIRST(&f->history))) {
		STAILQ_REMOVE_HEAD(&f->history, link);
		free(h);
	}
}

static void free_flight(struct domain *d)
{
	struct flight *f = d->flight;

	if (!f)
		return;
	free_history(f);
	free(f->save_error);
	chain_free(f->chain);
	free(f->answer);
	free(f);
	d->flight = NULL;
	d->app->n_flights--;
}

void flight_settle(struct domain *d)
{
	struct flight *f = d->flight;

	if (!f || f->operation || f->deploying || f->cleaning || f->revoking || f->watching || f->saving ||
	    f->dirty || f->start_next != OP_NONE || f->chain || f->answer || !STAILQ_EMPTY(&f->history))
		return;
	free_flight(d);
}

struct domain *domain_new(struct app *a, struct config *c, const struct cfg_domain *spec, struct record *rec)
{
	struct domain *d = xmalloc(sizeof(*d));

	d->app = a;
	d->config = config_ref(c);
	d->spec = spec;
	d->rec = rec;
	return d;
}

void domain_free(struct domain *d)
{
	struct app *a = d->app;

	if (d->flight) {
		operation_cancel(d);
		deploying_cancel(d);
		cleaning_cancel(d);
		revoking_cancel(d);
		watching_cancel(d);
		if (d->flight->saving)
			work_cancel(&d->flight->saving, save_drop);
	}
	agenda_remove(&a->agenda, &d->due);
	agenda_remove(&a->ready, &d->ready);
	lock_release(d);
	places_unserve(d);
	if (d->counted) {
		runner_recount(d, (enum domain_state)d->state, false, false, false);
		a->counts[d->state]--;
		a->n_installed -= d->is_installed;
	}
	free_flight(d);
	mending_forget(d);
	stuck_forget(d);
	config_unref(d->config);
	record_free(d->rec);
	free(d);
}
