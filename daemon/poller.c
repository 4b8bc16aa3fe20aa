/* SPDX-License-Identifier: Apache-2.0 */
/* One status-changes poll for the whole account: often while the CA works on an order of ours, calmly while there is a certificate that
 * somebody could revoke or reissue in the console. Its window reaches back to the last good poll plus an overlap and stays below
 * the API's limit of 10080 minutes; what lies further back is not guessed: every open order is asked one by one. A poll is a hint,
 * order info is the fact. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/core/retry.h"
#include "daemon/messages.h"

#include <stdlib.h>

#define WINDOW_MAX_MIN 10079
#define OVERLAP_S      300
#define BACK_S	       ((int64_t)(WINDOW_MAX_MIN - 1) * 60 - OVERLAP_S)
/* The calm pace, in tempos: an hour. */
#define CALM 60

static void poll_now(void *arg);

static int by_order_id(const void *a, const void *b)
{
	const struct cc_entry *x = a, *y = b;

	return (x->order_id > y->order_id) - (x->order_id < y->order_id);
}

/* What a word of the CA means to the core. */
enum order_state order_state_of(enum cc_status s)
{
	switch (s) {
	case CC_STATUS_PENDING:
	case CC_STATUS_REISSUE: return ORDER_PENDING;
	case CC_STATUS_NEEDS_APPROVAL: return ORDER_NEEDS_APPROVAL;
	case CC_STATUS_ISSUED: return ORDER_ISSUED;
	case CC_STATUS_REJECTED:
	case CC_STATUS_CANCELED:
	case CC_STATUS_REVOKED:
	case CC_STATUS_EXPIRED:
	case CC_STATUS_NEEDS_CSR: return ORDER_ENDED;
	case CC_STATUS_UNKNOWN:
	case CC_STATUS_NR: return ORDER_UNKNOWN;
	}
	return ORDER_UNKNOWN;
}

static void hint(struct domain *d, const struct cc_entry *e)
{
	struct job_event ev = { .kind = EV_HINT };

	ev.order_id = e->order_id;
	ev.certificate_id = e->certificate_id;
	ev.order_state = order_state_of(e->status);
	runner_event(d, &ev);
}

/* ORDER_ISSUED as a hint means "ask order info now", whatever it will say. */
static void ask_every_order(struct app *a)
{
	for (size_t i = 0; i < a->n_domains; i++) {
		struct domain *d = a->domains[i];

		if (d->is_pending)
			runner_event(d, &(struct job_event){ .kind = EV_HINT, .order_state = ORDER_ISSUED });
	}
}

static const struct cc_entry *entry_of(const struct cc_entry *sorted, size_t n, int64_t order_id)
{
	struct cc_entry key = { .order_id = order_id };

	return order_id ? bsearch(&key, sorted, n, sizeof(*sorted), by_order_id) : NULL;
}

static void spread(struct app *a, const struct cc_reply *r)
{
	struct cc_entry *sorted;

	if (r->n_entries == 0)
		return;
	sorted = xmemdup(r->entries, r->n_entries * sizeof(*sorted));
	qsort(sorted, r->n_entries, sizeof(*sorted), by_order_id);
	for (size_t i = 0; i < a->n_domains; i++) {
		struct domain *d = a->domains[i];
		const struct cc_entry *e = NULL;

		if (d->is_pending)
			e = entry_of(sorted, r->n_entries, d->rec->job->order_id);
		if (e)
			hint(d, e);
		e = entry_of(sorted, r->n_entries, d->rec->cert.order_id);
		if (e)
			watching_hint(d, e);
	}
	free(sorted);
}

static int64_t pace(const struct app *a)
{
	int64_t tempo = a->config->certcentral.poll_interval;

	return (a->n_pending > 0 ? tempo : tempo * CALM) * 1000;
}

int64_t poller_interval(const struct app *a)
{
	return a->poller.since == 0 ? 0 : pace(a) / 1000;
}

static void plan_in(struct app *a, int64_t in_ms)
{
	a->poller.due_ms = clock_mono_ms() + in_ms;
	timer_set(a->poller.timer, in_ms);
}

static void plan_next(struct app *a)
{
	plan_in(a, pace(a) * ((int64_t)1 << MIN(a->poller.failures, 4u)));
}

static void polled(const struct cc_reply *r, void *owner)
{
	struct app *a = owner;
	struct poller *p = &a->poller;

	p->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		if (p->failures++ == 0)
			log_event(LOG_LEVEL_WARNING, &MSG_POLL_FAILED, NULL, "status-changes: %s",
				  r->outcome.message);
	} else {
		p->failures = 0;
		p->since = p->asked_at;
		p->since_mono_ms = p->asked_mono_ms;
		p->good_at = clock_now();
		spread(a, r);
	}
	plan_next(a);
}

/* How long what the last good poll covered is ago, in seconds. The longer one of both clocks: the wall clock may have been set back,
 * and then the window would leave out what happened meanwhile; the monotonic one stands still while the machine sleeps. */
static int64_t gap_s(const struct poller *p)
{
	int64_t wall = clock_now() - p->since, mono = (clock_mono_ms() - p->since_mono_ms) / 1000;

	return MAX(wall, mono);
}

static void poll_now(void *arg)
{
	struct app *a = arg;
	struct poller *p = &a->poller;
	int64_t gap = gap_s(p), minutes;

	if (p->call || a->stopping)
		return;
	if (a->n_pending == 0 && a->n_installed == 0) {
		poller_stop(a);
		return;
	}
	/* The last order that was pending is done: from here on it is calm. */
	if (a->n_pending == 0 && gap * 1000 < pace(a)) {
		plan_in(a, pace(a) - gap * 1000);
		return;
	}
	minutes = (gap + OVERLAP_S + 59) / 60;
	if (minutes > WINDOW_MAX_MIN) {
		ask_every_order(a);
		minutes = WINDOW_MAX_MIN;
	}
	p->asked_at = clock_now();
	p->asked_mono_ms = clock_mono_ms();
	cc_status_changes(a->cc, minutes, polled, a, &p->call);
}

/* Called whenever the number of pending orders or installed certificates may have changed. */
void poller_sync(struct app *a)
{
	struct poller *p = &a->poller;

	if ((a->n_pending == 0 && a->n_installed == 0) || a->stopping)
		return;
	if (p->since != 0) {
		/* It goes on; an order that became pending does not wait for the calm pace. */
		if (!p->call && p->failures == 0 && p->due_ms > clock_mono_ms() + pace(a))
			plan_next(a);
		return;
	}
	if (!p->timer)
		p->timer = timer_new(a->loop, poll_now, a);
	/* What others did while we were not there is of interest, as far back as the API tells. At a start the domains come one by one,
	 * so the first of them does not say whether anything is installed. */
	p->since = clock_now() - BACK_S;
	p->since_mono_ms = clock_mono_ms() - BACK_S * 1000;
	p->failures = 0;
	plan_next(a);
}

void poller_stop(struct app *a)
{
	struct poller *p = &a->poller;

	cc_cancel(&p->call);
	p->since = 0;
	if (p->timer)
		timer_clear(p->timer);
}
