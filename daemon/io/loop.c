/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop. libuv does the waiting; this file adds what its handles lack: a queue of deferred
 * calls, timers whose memory outlives their closing, and an account of what is still open.
 *
 * Nothing here ticks: when no timer is armed and no descriptor is ready, the process sleeps. */
#include "daemon/io/loop.h"

#include "common/mem.h"
#include "daemon/io/work_priv.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/queue.h>
#include <uv.h>

/* One entry of the queue of deferred calls: an allocation of loop_defer, or part of a timer. */
struct deferred {
	TAILQ_ENTRY(deferred) entry;
	struct deferred_list *list; /* NULL: not queued */
	struct timer *timer;	    /* NULL: from loop_defer */
	void (*fn)(void *arg);
	void *arg;
};
TAILQ_HEAD(deferred_list, deferred);

struct watch {
	SLIST_ENTRY(watch) entry;
	uv_signal_t handle;
	void (*fn)(int signum, void *arg);
	void *arg;
};

#define BUSY_WINDOW_NS (UINT64_C(300) * 1000000000)

/* The longest turn of this window and of the one before. */
struct busy {
	uint64_t window_began, turn_began; /* ns; turn_began 0: no turn yet */
	uint64_t slept;			   /* by libuv's account, when the turn began */
	uint64_t longest, longest_before;
};

struct loop {
	uv_loop_t uv;
	uv_idle_t idle;	      /* active while something is deferred: makes the loop poll without sleeping */
	uv_check_t check;     /* counts turns; referenced only inside loop_run, which it keeps running */
	uv_prepare_t prepare; /* the end of a turn: the loop is about to look at its descriptors */
	struct busy busy;
	uv_timer_t deadline; /* of loop_drain */
	bool expired;
	uint64_t wakeups;
	struct deferred_list queue;   /* for the next turn */
	struct deferred_list running; /* of this turn */
	SLIST_HEAD(, watch) watches;
	struct work_account work;
};

struct timer {
	uv_timer_t handle;
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	struct deferred soon; /* a timer of 0 ms goes through the queue: libuv 1.44 would run one that is
				 re-armed with 0 by its own callback again and again without polling */
};

/* Functions that fail only on misuse (a closing handle, a NULL callback). */
static void must(int rc)
{
	assert(rc == 0);
	(void)rc;
}

/* --- deferred calls ------------------------------------------------------------------------------- */

static void run_one(struct deferred *d)
{
	void (*fn)(void *) = d->fn;
	void *arg = d->arg;

	TAILQ_REMOVE(d->list, d, entry);
	d->list = NULL;
	if (!d->timer)
		free(d);
	fn(arg);
}

static void on_idle(uv_idle_t *handle)
{
	struct loop *l = handle->data;
	struct deferred *d = NULL;

	/* Calls that are deferred from here on belong to the next turn. */
	TAILQ_FOREACH(d, &l->queue, entry)
	d->list = &l->running;
	TAILQ_CONCAT(&l->running, &l->queue, entry);
	while ((d = TAILQ_FIRST(&l->running)))
		run_one(d);
	if (TAILQ_EMPTY(&l->queue))
		must(uv_idle_stop(&l->idle));
}

static void enqueue(struct loop *l, struct deferred *d)
{
	if (d->list)
		return;
	d->list = &l->queue;
	TAILQ_INSERT_TAIL(&l->queue, d, entry);
	must(uv_idle_start(&l->idle, on_idle));
}

static void dequeue(struct deferred *d)
{
	if (!d->list)
		return;
	TAILQ_REMOVE(d->list, d, entry);
	d->list = NULL;
}

void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct deferred *d = xmalloc(sizeof *d);

	d->fn = fn;
	d->arg = arg;
	enqueue(l, d);
}

/* --- timers --------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
	struct timer *t = handle->data;

	t->fn(t->arg);
}

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = xmalloc(sizeof *t);

	must(uv_timer_init(&l->uv, &t->handle));
	t->handle.data = t;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->soon = (struct deferred){ .timer = t, .fn = fn, .arg = arg };
	return t;
}

void timer_set(struct timer *t, int64_t ms)
{
	if (ms <= 0) {
		must(uv_timer_stop(&t->handle));
		enqueue(t->loop, &t->soon);
		return;
	}
	dequeue(&t->soon);
	/* libuv counts from the start of this turn, which may lie back when the turn was long. */
	uv_update_time(&t->loop->uv);
	must(uv_timer_start(&t->handle, on_timer, (uint64_t)ms, 0));
}

void timer_clear(struct timer *t)
{
	dequeue(&t->soon);
	must(uv_timer_stop(&t->handle));
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	dequeue(&t->soon);
	uv_close((uv_handle_t *)&t->handle, on_timer_closed);
}

/* --- signals -------------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int signum)
{
	struct watch *w = handle->data;

	w->fn(signum, w->arg);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *arg), void *arg,
		   struct err *reterr)
{
	struct watch *w = xmalloc(sizeof *w);
	int r = 0;

	must(uv_signal_init(&l->uv, &w->handle));
	w->handle.data = w;
	w->fn = fn;
	w->arg = arg;
	r = uv_signal_start(&w->handle, on_signal, signum);
	if (r < 0) {
		uv_close((uv_handle_t *)&w->handle, on_watch_closed);
		return err_set_errno(reterr, r, "cannot watch signal %d", signum);
	}
	uv_unref((uv_handle_t *)&w->handle);
	SLIST_INSERT_HEAD(&l->watches, w, entry);
	return 0;
}

/* --- the loop ------------------------------------------------------------------------------------- */

static void on_check(uv_check_t *handle)
{
	struct loop *l = handle->data;

	l->wakeups++;
}

/* The window that is over becomes the one before; after a longer sleep both are over. */
static void turn_window(struct busy *b, uint64_t now)
{
	uint64_t age = now - b->window_began;

	if (age < BUSY_WINDOW_NS)
		return;
	b->longest_before = age < 2 * BUSY_WINDOW_NS ? b->longest : 0;
	b->longest = 0;
	b->window_began = now;
}

/* A turn goes from here to here: libuv runs the callbacks of descriptors where it sleeps. */
static void on_prepare(uv_prepare_t *handle)
{
	struct loop *l = handle->data;
	struct busy *b = &l->busy;
	uint64_t now = uv_hrtime(), slept = uv_metrics_idle_time(&l->uv);

	turn_window(b, now);
	if (b->turn_began != 0)
		b->longest = MAX(b->longest, now - b->turn_began - (slept - b->slept));
	b->turn_began = now;
	b->slept = slept;
}

int64_t loop_busy_max_ms(const struct loop *l)
{
	struct busy b = l->busy;

	turn_window(&b, uv_hrtime());
	return (int64_t)(MAX(b.longest, b.longest_before) / 1000000);
}

int loop_new(struct loop **ret, struct err *reterr)
{
	static bool replaced;
	_cleanup_free_ struct loop *l = xmalloc(sizeof *l);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int r = 0;

	/* Where memory is out the process ends: libuv would fail a call here and there. Once, before there are threads. */
	if (!replaced)
		must(uv_replace_allocator(xmalloc, xrealloc, xcalloc, free));
	replaced = true;
	r = uv_loop_init(&l->uv);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot set up the event loop");
	must(uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME));
	TAILQ_INIT(&l->queue);
	TAILQ_INIT(&l->running);
	SLIST_INIT(&l->watches);
	TAILQ_INIT(&l->work.all);
	must(uv_idle_init(&l->uv, &l->idle));
	must(uv_check_init(&l->uv, &l->check));
	must(uv_prepare_init(&l->uv, &l->prepare));
	must(uv_timer_init(&l->uv, &l->deadline));
	l->prepare.data = l;
	l->idle.data = l;
	l->check.data = l;
	l->deadline.data = l;
	must(uv_check_start(&l->check, on_check));
	must(uv_prepare_start(&l->prepare, on_prepare));
	uv_unref((uv_handle_t *)&l->check);
	uv_unref((uv_handle_t *)&l->prepare);
	uv_unref((uv_handle_t *)&l->deadline);
	must(sigaction(SIGPIPE, &ignore, NULL));
	*ret = TAKE_PTR(l);
	return 0;
}

void loop_run(struct loop *l)
{
	uv_ref((uv_handle_t *)&l->check);
	(void)uv_run(&l->uv, UV_RUN_DEFAULT);
	uv_unref((uv_handle_t *)&l->check);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

struct census {
	struct loop *loop;
	unsigned n_open;
};

static void count_handle(uv_handle_t *handle, void *arg)
{
	struct census *c = arg;

	if (handle == (uv_handle_t *)&c->loop->idle || handle == (uv_handle_t *)&c->loop->check ||
	    handle == (uv_handle_t *)&c->loop->prepare || handle == (uv_handle_t *)&c->loop->deadline ||
	    handle->type == UV_SIGNAL)
		return;
	c->n_open++;
}

static unsigned n_open(struct loop *l)
{
	struct census c = { .loop = l };

	uv_walk(&l->uv, count_handle, &c);
	return c.n_open + l->uv.active_reqs.count;
}

static void on_deadline(uv_timer_t *handle)
{
	struct loop *l = handle->data;

	l->expired = true;
	uv_stop(handle->loop); /* uv_run looks at timers before it polls, and would then sleep on */
}

unsigned loop_drain(struct loop *l, int64_t max_ms)
{
	l->expired = max_ms <= 0;
	uv_update_time(&l->uv);
	if (!l->expired)
		must(uv_timer_start(&l->deadline, on_deadline, (uint64_t)max_ms, 0));
	while (uv_loop_alive(&l->uv) && !l->expired)
		(void)uv_run(&l->uv, UV_RUN_ONCE);
	must(uv_timer_stop(&l->deadline));
	return n_open(l);
}

void loop_free(struct loop *l)
{
	struct watch *w = NULL;

	if (!l)
		return;
	/* Closing takes a turn, and a deferred call may have something to close. */
	for (unsigned i = 0; i < 16 && uv_loop_alive(&l->uv); i++)
		(void)uv_run(&l->uv, UV_RUN_NOWAIT);
	assert(n_open(l) == 0 && TAILQ_EMPTY(&l->queue));
	while ((w = SLIST_FIRST(&l->watches))) {
		SLIST_REMOVE_HEAD(&l->watches, entry);
		uv_close((uv_handle_t *)&w->handle, on_watch_closed);
	}
	uv_close((uv_handle_t *)&l->idle, NULL);
	uv_close((uv_handle_t *)&l->check, NULL);
	uv_close((uv_handle_t *)&l->prepare, NULL);
	uv_close((uv_handle_t *)&l->deadline, NULL);
	(void)uv_run(&l->uv, UV_RUN_NOWAIT);
	must(uv_loop_close(&l->uv));
	free(l);
}

uint64_t loop_wakeups(const struct loop *l)
{
	return l->wakeups;
}

struct uv_loop_s *loop_uv(struct loop *l)
{
	return &l->uv;
}

struct work_account *loop_work(struct loop *l)
{
	return &l->work;
}
