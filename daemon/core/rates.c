/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling windows by remembering times: a token bucket would let twice the limit through at a window's
 * edge, and the CA counts true windows (Services API, "Rate limits"). A window is half open: of the
 * requests in any [t, t + per) at most `requests` exist. Does not sleep and does not know a clock. */
#include "daemon/core/rates.h"

#include <assert.h>

#include "common/mem.h"

/* So many of the latest times stay even when no present window counts them: a reload may bring a longer
 * window, and the CA has counted all along. */
#define KEEP_MIN 2048

struct rates {
	struct rates_limit limits[RATES_MAX];
	size_t n_limits;
	int64_t longest_ms;
	int64_t stop_ms;
	int64_t latest_ms;
	int64_t *times; /* ring, oldest first, never decreasing */
	size_t alloc;	/* 0 or a power of two */
	size_t head;
	size_t len;
	size_t under_way;
};

static int64_t time_at(const struct rates *r, size_t i)
{
	return r->times[(r->head + i) & (r->alloc - 1)];
}

void rates_set_limits(struct rates *r, const struct rates_limit *limits, size_t n)
{
	assert(n >= 1 && n <= RATES_MAX);
	r->longest_ms = 0;
	for (size_t i = 0; i < n; i++) {
		assert(limits[i].requests >= 1 && limits[i].per_ms >= 1);
		r->limits[i] = limits[i];
		r->longest_ms = MAX(r->longest_ms, limits[i].per_ms);
	}
	r->n_limits = n;
}

struct rates *rates_new(const struct rates_limit *limits, size_t n)
{
	struct rates *r = xmalloc(sizeof(*r));

	r->stop_ms = INT64_MIN;
	r->latest_ms = INT64_MIN;
	rates_set_limits(r, limits, n);
	return r;
}

void rates_free(struct rates *r)
{
	if (!r)
		return;
	free(r->times);
	free(r);
}

/* The time at which the window has room again; INT64_MIN when it has room whatever the time is. */
static int64_t limit_opens_at(const struct rates *r, const struct rates_limit *l)
{
	size_t room;
	int64_t t;

	if (r->under_way >= l->requests)
		return INT64_MAX;
	room = l->requests - r->under_way;
	if (r->len < room)
		return INT64_MIN;
	t = time_at(r, r->len - room);

	return t > INT64_MAX - l->per_ms ? INT64_MAX : t + l->per_ms;
}

static void forget_old(struct rates *r)
{
	while (r->len > KEEP_MIN && r->latest_ms - time_at(r, 0) >= r->longest_ms) {
		r->head = (r->head + 1) & (r->alloc - 1);
		r->len--;
	}
}

static void remember(struct rates *r, int64_t now_ms)
{
	if (r->len == r->alloc) {
		size_t alloc = r->alloc ? r->alloc * 2 : 64;
		int64_t *times = xcalloc(alloc, sizeof(*times));

		for (size_t i = 0; i < r->len; i++)
			times[i] = time_at(r, i);
		free(r->times);
		r->times = times;
		r->alloc = alloc;
		r->head = 0;
	}
	r->times[(r->head + r->len) & (r->alloc - 1)] = now_ms;
	r->len++;
}

int64_t rates_begin(struct rates *r, int64_t now_ms)
{
	int64_t opens_ms = r->stop_ms;

	r->latest_ms = now_ms = MAX(now_ms, r->latest_ms);
	for (size_t i = 0; i < r->n_limits; i++) {
		int64_t t = limit_opens_at(r, &r->limits[i]);

		if (t == INT64_MAX)
			return RATES_WAIT_ANSWER;
		opens_ms = MAX(opens_ms, t);
	}
	if (opens_ms > now_ms)
		return opens_ms - now_ms;
	r->under_way++;
	return 0;
}

void rates_end(struct rates *r, int64_t now_ms)
{
	assert(r->under_way > 0);
	r->under_way--;
	r->latest_ms = now_ms = MAX(now_ms, r->latest_ms);
	forget_old(r);
	remember(r, now_ms);
}

void rates_recall(struct rates *r, int64_t at_ms)
{
	r->latest_ms = MAX(r->latest_ms, at_ms);
	forget_old(r);
	remember(r, r->latest_ms);
}

void rates_stop(struct rates *r, int64_t until_ms)
{
	r->stop_ms = MAX(r->stop_ms, until_ms);
}

/* How many remembered times count at now_ms: binary search for the first one inside the window. */
static size_t count_inside(const struct rates *r, int64_t per_ms, int64_t now_ms)
{
	size_t lo = 0;
	size_t hi = r->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (now_ms - time_at(r, mid) >= per_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return r->len - lo;
}

uint32_t rates_left_of(const struct rates *r, const struct rates_limit *l, int64_t now_ms)
{
	size_t used;

	now_ms = MAX(now_ms, r->latest_ms);
	if (r->stop_ms > now_ms)
		return 0;
	used = r->under_way + count_inside(r, l->per_ms, now_ms);
	return used >= l->requests ? 0 : l->requests - (uint32_t)used;
}

uint32_t rates_left(const struct rates *r, int64_t now_ms)
{
	uint32_t left = UINT32_MAX;

	for (size_t i = 0; i < r->n_limits; i++)
		left = MIN(left, rates_left_of(r, &r->limits[i], now_ms));
	return left;
}
