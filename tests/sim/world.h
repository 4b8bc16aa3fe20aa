/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world below everything else: one seed, one clock, one queue of events, one trace. Knows neither the
 * daemon nor the CA. Everything here is one thread. */
#pragma once

#include "common/base.h"

/* Each part draws from a stream of its own, so that leaving out one kind of fault does not change the others. */
enum stream {
	STREAM_SECRET, /* what clock_random() gives: names of temporary files, jitter, references, serials */
	STREAM_PLAN,
	STREAM_POOL,
	STREAM_NET,
	STREAM_NET_FAULT,
	STREAM_DISK_FAULT,
	STREAM_CRASH,
	STREAM_CLOCK,
	STREAM_CONSOLE,
	STREAM_DNS,
	STREAM_MASS, /* what the CA does to all certificates at once */
	/* What came later: whatever is added behind here changes nothing of what the streams above give. */
	STREAM_TARGETS,
	STREAM_VALUES,
	STREAM_NR
};

void world_init(uint64_t seed);
uint64_t world_random(enum stream s);
/* lo to hi, both included. */
int64_t world_range(enum stream s, int64_t lo, int64_t hi);
/* True in n of a million cases. */
bool world_chance(enum stream s, int64_t n);

/* --- time --- */

/* Virtual milliseconds since the beginning: the true time, and the daemon's monotonic clock. */
int64_t world_now_ms(void);
/* The true wall clock, in seconds. */
int64_t world_wall(void);
/* How far the daemon's wall clock is ahead of the true one. */
void world_set_skew(int64_t s);
int64_t world_skew(void);

/* --- events --- */

/* What belongs to the daemon is forgotten when its life ends; the rest of the world goes on. */
enum owner { OWNER_WORLD, OWNER_DAEMON };

struct event;
/* Calls fn(arg) in after_ms; events of the same time come in the order in which they were made. The event is gone when fn runs. */
struct event *world_after(enum owner o, int64_t after_ms, void (*fn)(void *arg), void *arg);
/* Clears *e. NULL content accepted. */
void world_drop(struct event **e);
/* Drops all events of the daemon. */
void world_drop_daemon(void);
/* Is an event of the world running, and not the daemon? */
bool world_is_at_work(void);
/* Runs the next event; false when there is none up to that time, which it is then. */
bool world_step(int64_t until_ms);

/* --- trace --- */

/* A line of the trace, with the time in front. What comes from real randomness (keys, signatures, sizes) must not be in it. */
void world_trace(const char *fmt, ...) _printf_(1, 2);
/* Prints the lines from now on. */
void world_show_trace(bool show);
uint64_t world_trace_hash(void);
uint64_t world_trace_lines(void);
/* A judge's verdict: prints it with the last lines of the trace and ends the process with 1. */
_noreturn_ void world_violation(const char *fmt, ...) _printf_(1, 2);
