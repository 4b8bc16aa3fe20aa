/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop (libuv) with what everybody needs from it: deferred calls, one-shot timers, signals
 * and clean accounting of what is still open.
 *
 * Contract of every *_start in daemon/io: it never calls back before it returns; exactly one callback
 * follows unless cancelled; cancel means silence; results are valid only during the callback. */
#pragma once

#include "common/base.h"
#include "common/err.h"

struct loop;

int loop_new(struct loop **ret, struct err *reterr) _must_check_;
/* Everything must have been closed; asserts that no handle is left. NULL accepted. */
void loop_free(struct loop *l);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Runs until nothing is open or pending, at most max_ms: for tear-down and tests. Returns open handles left. */
unsigned loop_drain(struct loop *l, int64_t max_ms);

/* Calls fn in a later turn of the loop, before it sleeps. */
void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg);

/* One-shot timer on the monotonic clock, embedded by pointer. */
struct timer;
struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
/* (Re)arms; ms <= 0 fires in the next turn. The loop wakes for nothing else. */
void timer_set(struct timer *t, int64_t ms);
void timer_clear(struct timer *t);
void timer_free(struct timer *t);
DEFINE_CLEANUP(struct timer *, timer_free)

/* Calls fn(signum, arg) from the loop for each delivery; SIGPIPE is ignored by loop_new. */
int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *arg), void *arg,
		   struct err *reterr) _must_check_;

/* Wake-ups so far (turns of the loop that ran a callback): for the benchmark and metrics. */
uint64_t loop_wakeups(const struct loop *l);

/* The longest time that the loop was busy before it looked at its descriptors again, in milliseconds, over the last five
 * to ten minutes: for so long something that happened went unnoticed. */
int64_t loop_busy_max_ms(const struct loop *l);

/* uv_loop_t of this loop, and its work in the pool (work.c), for the other files of daemon/io only. */
struct uv_loop_s;
struct uv_loop_s *loop_uv(struct loop *l);
struct work_account;
struct work_account *loop_work(struct loop *l);
