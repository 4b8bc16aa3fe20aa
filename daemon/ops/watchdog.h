/* SPDX-License-Identifier: Apache-2.0 */
/* When the service manager's watchdog is fed: after a turn of the loop that also saw the pool's threads at work. A hung loop feeds
 * nothing by itself; hung threads are found here:
 *
 *   nobody ends anything    an empty piece of work is sent through the pool each time; while it waits behind others, any of them that
 *                           ends is as good
 *   one thread hangs        a piece of work that takes WATCHDOG_WORK_MAX times the period: the others go on, but its domain never
 *                           would
 *
 * The longest single piece of work that is right is a key of 4096 bits, seconds even on a small machine; a long queue of them ends
 * one after the other. What the death of the process is blamed on is io/blame's business. */
#pragma once

#include "daemon/io/loop.h"

/* Five times what the service manager waits. */
#define WATCHDOG_WORK_MAX 15

struct watchdog;

struct watchdog_calls {
	void (*ping)(void *arg);
	/* It will not be fed, and why: once, until it is fed again. who: the domain whose work has run longest, for busy_ms; NULL: nobody's
	 * in particular. */
	void (*hung)(const char *who, int64_t busy_ms, void *arg);
};

/* period_ms: a third of what the service manager waits, so that hung() comes before its signal. The first look is at once. */
struct watchdog *watchdog_new(struct loop *l, int64_t period_ms, const struct watchdog_calls *calls,
			      void *arg);
/* Silence. NULL accepted. */
void watchdog_free(struct watchdog *w);
