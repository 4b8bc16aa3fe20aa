/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ops/watchdog.h"

#include "common/mem.h"
#include "daemon/io/work.h"

struct watchdog {
	struct loop *loop;
	struct timer *timer;
	struct work *probe; /* under way through the pool */
	int64_t period_ms;
	uint64_t n_ended; /* at the last look */
	bool is_told;
	const struct watchdog_calls *calls;
	void *arg;
};

static void nothing(void *arg)
{
	(void)arg;
}

static void look(struct watchdog *w, bool probe_came)
{
	struct work_view v;
	bool moves;

	work_look(w->loop, &v);
	moves = probe_came || v.n_ended != w->n_ended;
	w->n_ended = v.n_ended;
	if (moves && v.oldest_ms < w->period_ms * WATCHDOG_WORK_MAX) {
		w->is_told = false;
		w->calls->ping(w->arg);
	} else if (!w->is_told) {
		w->is_told = true;
		w->calls->hung(v.oldest_for, v.oldest_ms, w->arg);
	}
}

static void probe_done(void *arg)
{
	struct watchdog *w = arg;

	w->probe = NULL;
	look(w, true);
}

static void due(void *arg)
{
	struct watchdog *w = arg;

	if (w->probe)
		look(w, false);
	else
		work_start(w->loop, nothing, probe_done, w, &w->probe);
	timer_set(w->timer, w->period_ms);
}

struct watchdog *watchdog_new(struct loop *l, int64_t period_ms, const struct watchdog_calls *calls,
			      void *arg)
{
	struct watchdog *w = xmalloc(sizeof(*w));

	*w = (struct watchdog){ .loop = l, .period_ms = period_ms, .calls = calls, .arg = arg };
	w->timer = timer_new(l, due, w);
	timer_set(w->timer, 0);
	return w;
}

void watchdog_free(struct watchdog *w)
{
	if (!w)
		return;
	timer_free(w->timer);
	/* It holds nothing of ours but the address. */
	work_cancel(&w->probe, NULL);
	free(w);
}
