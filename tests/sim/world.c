/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/timefmt.h"

/* 2027-01-01, a time before the caps of 99 and 46 days come. */
#define BEGIN_WALL INT64_C(1798761600)
#define BEGIN_MS   INT64_C(1000000)
#define TAIL_LINES 60
#define LINE_MAX_  400
/* Room for the streams that came after the first scenarios were kept. */
#define LATER_STREAMS 64

struct event {
	int64_t at_ms;
	uint64_t number;
	size_t slot; /* in the heap */
	enum owner owner;
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	uint64_t state[STREAM_NR];
	int64_t now_ms;
	int64_t skew_s;
	struct event **heap;
	size_t n, alloc;
	uint64_t number;
	bool by_world; /* an event of the world is running */
	uint64_t hash, lines;
	bool show;
	char tail[TAIL_LINES][LINE_MAX_];
} w;

/* --- randomness (splitmix64) --- */

uint64_t world_random(enum stream s)
{
	uint64_t z = (w.state[s] += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t world_range(enum stream s, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(world_random(s) % (uint64_t)(hi - lo + 1));
}

bool world_chance(enum stream s, int64_t n)
{
	return n > 0 && world_range(s, 0, 999999) < n;
}

void world_init(uint64_t seed)
{
	w.now_ms = BEGIN_MS;
	w.hash = UINT64_C(0xcbf29ce484222325);
	for (unsigned i = 0; i < STREAM_NR; i++) {
		w.state[i] = i < STREAM_TARGETS ? seed * STREAM_TARGETS + i : ~seed * LATER_STREAMS + i;
		w.state[i] = world_random((enum stream)i);
	}
}

/* --- time: what common/clock.c is in the daemon --- */

int64_t world_now_ms(void)
{
	return w.now_ms;
}

int64_t world_wall(void)
{
	return BEGIN_WALL + (w.now_ms - BEGIN_MS) / 1000;
}

void world_set_skew(int64_t s)
{
	w.skew_s = s;
}

int64_t world_skew(void)
{
	return w.skew_s;
}

int64_t clock_now(void)
{
	return world_wall() + w.skew_s;
}

int64_t clock_mono_ms(void)
{
	return w.now_ms;
}

void clock_random(void *buf, size_t len)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(world_random(STREAM_SECRET) >> 32);
}

/* --- the queue: a binary heap --- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void put(size_t slot, struct event *e)
{
	w.heap[slot] = e;
	e->slot = slot;
}

static void sift(size_t slot)
{
	struct event *e = w.heap[slot];

	while (slot > 0 && before(e, w.heap[(slot - 1) / 2])) {
		put(slot, w.heap[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	for (size_t kid; (kid = 2 * slot + 1) < w.n; slot = kid) {
		if (kid + 1 < w.n && before(w.heap[kid + 1], w.heap[kid]))
			kid++;
		if (!before(w.heap[kid], e))
			break;
		put(slot, w.heap[kid]);
	}
	put(slot, e);
}

static void take_out(struct event *e)
{
	struct event *last = w.heap[--w.n];

	if (last == e)
		return;
	put(e->slot, last);
	sift(e->slot);
}

struct event *world_after(enum owner o, int64_t after_ms, void (*fn)(void *arg), void *arg)
{
	struct event *e = xmalloc(sizeof(*e));

	*e = (struct event){ .at_ms = w.now_ms + MAX(after_ms, INT64_C(0)),
			     .number = w.number++,
			     .owner = o,
			     .fn = fn,
			     .arg = arg };
	if (w.n == w.alloc) {
		w.alloc = MAX(2 * w.alloc, (size_t)256);
		w.heap = xrealloc_array(w.heap, w.alloc, sizeof(struct event *));
	}
	put(w.n++, e);
	sift(e->slot);
	return e;
}

void world_drop(struct event **e)
{
	if (!*e)
		return;
	take_out(*e);
	free(*e);
	*e = NULL;
}

void world_drop_daemon(void)
{
	size_t n = 0;

	for (size_t i = 0; i < w.n; i++) {
		if (w.heap[i]->owner == OWNER_DAEMON)
			free(w.heap[i]);
		else
			put(n++, w.heap[i]);
	}
	w.by_world = false;
	/* One after the other: what is not in order yet must not be seen. */
	for (w.n = 0; w.n < n;) {
		w.n++;
		sift(w.n - 1);
	}
}

bool world_is_at_work(void)
{
	return w.by_world;
}

bool world_step(int64_t until_ms)
{
	struct event *e;
	void (*fn)(void *);
	void *arg;

	if (w.n == 0 || w.heap[0]->at_ms > until_ms) {
		w.now_ms = MAX(w.now_ms, until_ms);
		return false;
	}
	e = w.heap[0];
	take_out(e);
	w.now_ms = MAX(w.now_ms, e->at_ms);
	fn = e->fn;
	arg = e->arg;
	w.by_world = e->owner == OWNER_WORLD;
	free(e); /* before fn: a crash jumps out of it */
	fn(arg);
	w.by_world = false;
	return true;
}

/* --- trace --- */

static void add_line(const char *line)
{
	for (const char *p = line; *p; p++)
		w.hash = (w.hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	if (w.show)
		puts(line);
	snprintf(w.tail[w.lines++ % TAIL_LINES], LINE_MAX_, "%s", line);
}

void world_trace(const char *fmt, ...)
{
	char line[LINE_MAX_], at[TIMEFMT_MAX];
	va_list ap;
	int n = snprintf(line, sizeof(line), "%s.%03d ", timefmt_rfc3339(world_wall(), at),
			 (int)(w.now_ms % 1000));

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	add_line(line);
}

void world_show_trace(bool show)
{
	w.show = show;
}

uint64_t world_trace_hash(void)
{
	return w.hash;
}

uint64_t world_trace_lines(void)
{
	return w.lines;
}

void world_violation(const char *fmt, ...)
{
	va_list ap;

	if (!w.show)
		for (uint64_t i = w.lines > TAIL_LINES ? w.lines - TAIL_LINES : 0; i < w.lines; i++)
			printf("  %s\n", w.tail[i % TAIL_LINES]);
	printf("sim: VIOLATION: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_Exit(1);
}
