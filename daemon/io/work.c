/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking work in libuv's pool. The request lives on the heap until libuv has handed it back, so a
 * cancelled one still finds its memory; nothing else is shared with the pool thread but arg. */
#include "daemon/io/work.h"

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/io/blame.h"
#include "daemon/io/work_priv.h"

#include <assert.h>
#include <uv.h>

#define NOT_STARTED INT64_C(-1)
#define ENDED	    INT64_C(-2)

struct work {
	uv_work_t req;
	TAILQ_ENTRY(work) entry;
	struct work_account *account;
	_Atomic(int64_t) since_ms; /* when a pool thread took it */
	void (*fn)(void *arg);
	void (*done)(void *arg); /* after a cancel: the caller's drop, or NULL */
	void *arg;
	char *blame; /* for whom it is done; NULL: nobody in particular */
};

static void in_pool(uv_work_t *req)
{
	struct work *w = req->data;
	BLAME(w->blame);

	atomic_store(&w->since_ms, clock_mono_ms());
	w->fn(w->arg);
	atomic_store(&w->since_ms, ENDED);
	atomic_fetch_add(&w->account->n_ended, 1);
}

/* status is UV_ECANCELED when the work never ran; only work_cancel asks for that. */
static void on_loop(uv_work_t *req, _unused_ int status)
{
	struct work *w = req->data;
	void (*done)(void *) = w->done;
	void *arg = w->arg;
	_cleanup_free_ char *name = w->blame;
	BLAME(name);

	TAILQ_REMOVE(&w->account->all, w, entry);
	free(w);
	if (done)
		done(arg);
}

void work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg, struct work **ret)
{
	struct work *w = xmalloc(sizeof *w);
	int r = 0;

	w->req.data = w;
	w->fn = fn;
	w->done = done;
	w->arg = arg;
	w->blame = blame_name() ? xstrdup(blame_name()) : NULL;
	w->account = loop_work(l);
	atomic_store(&w->since_ms, NOT_STARTED);
	TAILQ_INSERT_TAIL(&w->account->all, w, entry);
	r = uv_queue_work(loop_uv(l), &w->req, in_pool, on_loop);
	assert(r == 0);
	(void)r;
	if (ret)
		*ret = w;
}

void work_look(struct loop *l, struct work_view *ret)
{
	struct work_account *a = loop_work(l);
	int64_t now = clock_mono_ms();
	const struct work *w;

	*ret = (struct work_view){ .n_ended = atomic_load(&a->n_ended) };
	TAILQ_FOREACH(w, &a->all, entry)
	{
		int64_t since = atomic_load(&w->since_ms);

		/* 1 at least: it runs */
		if (since < 0 || MAX(now - since, 1) <= ret->oldest_ms)
			continue;
		ret->oldest_ms = MAX(now - since, 1);
		ret->oldest_for = w->blame;
	}
}

void work_cancel(struct work **w, void (*drop)(void *arg))
{
	struct work *mine = *w;

	if (!mine)
		return;
	*w = NULL;
	mine->done = drop;
	/* -EBUSY when it runs already: then it runs to its end. */
	(void)uv_cancel((uv_req_t *)&mine->req);
}
