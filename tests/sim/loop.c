/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/loop.h and daemon/io/work.h on the virtual queue. A pool thread is an event: what it does happens at once, but
 * at a time and in an order that the seed chooses. */
#include "daemon/io/loop.h"

#include <assert.h>

#include "common/mem.h"
#include "daemon/io/work.h"
#include "tests/sim/judge.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#define SIGNALS_MAX 8

struct loop {
	bool stopped;
	unsigned n_busy; /* deferred calls and works: what a drain waits for */
	uint64_t wakeups;
};

struct timer {
	struct loop *loop;
	struct event *event;
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	int signum;
	void (*fn)(int signum, void *arg);
	void *arg;
} handlers[SIGNALS_MAX];
static size_t n_handlers;

int loop_new(struct loop **ret, _unused_ struct err *reterr)
{
	n_handlers = 0;
	*ret = xmalloc(sizeof(**ret));
	judge_time_begin(ret);
	return 0;
}

void loop_free(struct loop *l)
{
	n_handlers = 0;
	free(l);
}

void loop_run(struct loop *l)
{
	while (!l->stopped) {
		if (!world_step(INT64_MAX / 2))
			world_violation("the world has come to a standstill");
		judge_time();
		l->wakeups++;
	}
	l->stopped = false;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

unsigned loop_drain(struct loop *l, int64_t max_ms)
{
	int64_t end = world_now_ms() + max_ms;

	while (l->n_busy > 0 && world_step(end))
		;
	return l->n_busy;
}

uint64_t loop_wakeups(const struct loop *l)
{
	return l->wakeups;
}

/* Whatever happens at one moment takes no time here. */
int64_t loop_busy_max_ms(_unused_ const struct loop *l)
{
	return 0;
}

/* --- deferred calls --- */

struct deferred {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
};

static void run_deferred(void *arg)
{
	struct deferred d = *(struct deferred *)arg;

	free(arg);
	d.loop->n_busy--;
	d.fn(d.arg);
}

void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct deferred *d = xmalloc(sizeof(*d));

	*d = (struct deferred){ l, fn, arg };
	l->n_busy++;
	(void)world_after(OWNER_DAEMON, 0, run_deferred, d);
}

/* --- timers --- */

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = xmalloc(sizeof(*t));

	*t = (struct timer){ .loop = l, .fn = fn, .arg = arg };
	return t;
}

static void timer_due(void *arg)
{
	struct timer *t = arg;

	t->event = NULL;
	t->fn(t->arg);
}

void timer_set(struct timer *t, int64_t ms)
{
	world_drop(&t->event);
	t->event = world_after(OWNER_DAEMON, ms, timer_due, t);
}

void timer_clear(struct timer *t)
{
	if (t)
		world_drop(&t->event);
}

void timer_free(struct timer *t)
{
	timer_clear(t);
	free(t);
}

/* --- signals --- */

int loop_on_signal(_unused_ struct loop *l, int signum, void (*fn)(int signum, void *arg), void *arg,
		   _unused_ struct err *reterr)
{
	assert(n_handlers < SIGNALS_MAX);
	handlers[n_handlers].signum = signum;
	handlers[n_handlers].fn = fn;
	handlers[n_handlers++].arg = arg;
	return 0;
}

bool net_signal(int signum)
{
	for (size_t i = 0; i < n_handlers; i++) {
		if (handlers[i].signum != signum)
			continue;
		handlers[i].fn(signum, handlers[i].arg);
		return true;
	}
	return false;
}

void loop_forget(void)
{
	n_handlers = 0;
}

/* --- the pool --- */

struct work {
	struct loop *loop;
	struct event *event;
	bool has_run;
	void (*fn)(void *arg);
	void (*done)(void *arg); /* after a cancel: the caller's drop, or NULL */
	void *arg;
};

/* A thread may be slow, and now and then the disk under it is very slow. */
static int64_t pool_delay(void)
{
	return world_chance(STREAM_POOL, 5000) ? world_range(STREAM_POOL, 100, 20000)
					       : world_range(STREAM_POOL, 0, 8);
}

static void work_over(void *arg)
{
	struct work w = *(struct work *)arg;

	free(arg);
	w.loop->n_busy--;
	if (w.done)
		w.done(w.arg);
}

static void work_run(void *arg)
{
	struct work *w = arg;

	w->has_run = true;
	w->fn(w->arg);
	w->event = world_after(OWNER_DAEMON, pool_delay(), work_over, w);
}

void work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg, struct work **ret)
{
	struct work *w = xmalloc(sizeof(*w));

	*w = (struct work){ .loop = l, .fn = fn, .done = done, .arg = arg };
	l->n_busy++;
	w->event = world_after(OWNER_DAEMON, pool_delay(), work_run, w);
	if (ret)
		*ret = w;
}

/* No watchdog looks here. */
void work_look(_unused_ struct loop *l, struct work_view *ret)
{
	*ret = (struct work_view){ 0 };
}

void work_cancel(struct work **work, void (*drop)(void *arg))
{
	struct work *w = *work;

	if (!w)
		return;
	*work = NULL;
	w->done = drop;
	if (w->has_run)
		return;
	world_drop(&w->event);
	w->event = world_after(OWNER_DAEMON, 0, work_over, w);
}
