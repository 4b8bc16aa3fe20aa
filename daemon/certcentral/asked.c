/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of requests that were answered, and a few places for those under way, which are all alike. An entry that is torn by a kill
 * in the middle of it is lost; the windows are a tenth smaller than the CA's. */
#include "daemon/certcentral/asked.h"

#include "common/mem.h"
#include "daemon/io/mapped.h"

#include <stdatomic.h>
#include <stdlib.h>

struct entry {
	int64_t at_ms;	   /* monotonic, of that boot */
	int64_t at;	   /* wall */
	uint64_t sequence; /* of the ring: its place is this modulo ASKED_MAX; 0: none */
	uint64_t key;
	uint64_t check; /* over all before it */
};

struct asked_file {
	struct entry under_way[ASKED_UNDER_WAY];
	struct entry ring[ASKED_MAX];
};

struct asked {
	struct asked_file *file;
	uint16_t key;
	uint64_t sequence; /* of the latest */
	size_t n_under_way;
};

struct found {
	int64_t times[ASKED_MAX + ASKED_UNDER_WAY];
	size_t n;
};

/* FNV-1a: against accidents, not against people. */
static uint64_t sum(const struct entry *e)
{
	const unsigned char *p = (const unsigned char *)e;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct entry, check); i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_whole(const struct entry *e)
{
	return e->sequence != 0 && e->check == sum(e);
}

static void write_entry(const struct asked *a, struct entry *to, uint64_t sequence, int64_t at_ms, int64_t at)
{
	struct entry e = { .at_ms = at_ms, .at = at, .sequence = sequence, .key = a->key };

	e.check = sum(&e);
	*to = e;
}

static void add(struct asked *a, int64_t at_ms, int64_t at)
{
	a->sequence++;
	write_entry(a, &a->file->ring[a->sequence % ASKED_MAX], a->sequence, at_ms, at);
}

struct asked *asked_open(int dir_fd, uint16_t key)
{
	struct asked_file *file = mapped_open(dir_fd, ASKED_FILE, sizeof(*file));
	struct asked *a;

	if (!file)
		return NULL;
	a = xmalloc(sizeof(*a));
	*a = (struct asked){ .file = file, .key = key };
	return a;
}

void asked_close(struct asked *a)
{
	if (!a)
		return;
	mapped_close(a->file);
	free(a);
}

void asked_set_key(struct asked *a, uint16_t key)
{
	if (a)
		a->key = key;
}

/* Its time on our monotonic clock, or false. Nothing is believed that a clock, another boot or chance could have written.
 *
 * The boot id is not needed (and cannot be read where /proc is closed, systemd's ProcSubset=pid). A monotonic time that lies ahead is of
 * another boot: then the wall clock decides. One that does not is of this boot, or of one that had lasted shorter by then than this one
 * has by now: in truth it is older than it looks, which makes us wait for a window at most. */
static bool time_of(const struct asked *a, const struct entry *e, int64_t now_ms, int64_t now, int64_t *ret)
{
	bool by_wall = e->at_ms > now_ms;
	int64_t then = by_wall ? e->at : e->at_ms;
	int64_t today = by_wall ? now : now_ms;
	int64_t unit = by_wall ? 1000 : 1;

	if (e->key != a->key || then < 0 || then > today || today - then > ASKED_MEMORY_MS / unit)
		return false;
	/* Seconds were cut off twice: rather a second too young. */
	*ret = now_ms - MAX(0, (today - then) * unit - (unit - 1));
	return true;
}

static int by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void find_answered(struct asked *a, int64_t now_ms, int64_t now, struct found *f)
{
	for (size_t i = 0; i < ASKED_MAX; i++) {
		const struct entry *e = &a->file->ring[i];

		if (!is_whole(e) || e->sequence % ASKED_MAX != i)
			continue;
		a->sequence = MAX(a->sequence, e->sequence);
		if (time_of(a, e, now_ms, now, &f->times[f->n]))
			f->n++;
	}
}

/* Whether and when they arrived nobody knows: not later than now. */
static void end_under_way(struct asked *a, int64_t now_ms, int64_t now, struct found *f)
{
	for (size_t i = 0; i < ASKED_UNDER_WAY; i++) {
		struct entry *e = &a->file->under_way[i];
		int64_t began_ms;

		if (is_whole(e) && time_of(a, e, now_ms, now, &began_ms)) {
			add(a, now_ms, now);
			f->times[f->n++] = now_ms;
		}
		e->sequence = 0;
	}
}

void asked_recall(struct asked *a, int64_t now_ms, int64_t now, struct rates *r)
{
	_cleanup_free_ struct found *f = NULL;

	if (!a)
		return;
	f = xmalloc(sizeof(*f));
	f->n = 0;
	find_answered(a, now_ms, now, f);
	end_under_way(a, now_ms, now, f);
	qsort(f->times, f->n, sizeof(f->times[0]), by_time);
	for (size_t i = 0; i < f->n; i++)
		rates_recall(r, f->times[i]);
}

void asked_begin(struct asked *a, int64_t now_ms, int64_t now)
{
	if (!a)
		return;
	if (a->n_under_way < ASKED_UNDER_WAY)
		write_entry(a, &a->file->under_way[a->n_under_way], 1, now_ms, now);
	a->n_under_way++;
}

void asked_end(struct asked *a, int64_t now_ms, int64_t now)
{
	if (!a)
		return;
	/* In this order: a kill in between counts it twice, not never. */
	add(a, now_ms, now);
	atomic_signal_fence(memory_order_seq_cst);
	a->n_under_way--;
	if (a->n_under_way < ASKED_UNDER_WAY)
		a->file->under_way[a->n_under_way].sequence = 0;
}
