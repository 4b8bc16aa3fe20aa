/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking work in libuv's thread pool. The work function runs in a pool thread and may touch only arg
 * (which holds copies); done runs on the loop. Works with UV_THREADPOOL_SIZE=1. */
#pragma once

#include "daemon/io/loop.h"

struct work;

/* Never calls back before it returns. *ret (may be NULL) is valid until done runs. */
void work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg, struct work **ret);

/* What the pool is doing, seen from the loop's thread. */
struct work_view {
	uint64_t n_ended;  /* pieces of work that a pool thread has brought to an end, ever */
	int64_t oldest_ms; /* how long the longest of those that run now has been running; 0: none runs */
	const char *
		oldest_for; /* ... and for which domain; NULL: for nobody in particular. Valid until the next turn */
};
void work_look(struct loop *l, struct work_view *ret);

/* The work itself cannot be stopped once it runs; its done is replaced by drop(arg), which runs on the
 * loop later and must free arg. Clears *w. NULL content accepted. */
void work_cancel(struct work **w, void (*drop)(void *arg));
