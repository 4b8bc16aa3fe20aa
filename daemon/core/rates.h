/* SPDX-License-Identifier: Apache-2.0 */
/* The rolling request windows of one API key, exact: every request's time is remembered as long as it
 * counts. Pure: time comes in. */
#pragma once

#include "common/base.h"

#define RATES_MAX 8

struct rates_limit {
	uint32_t requests;
	int64_t per_ms;
};

struct rates;

/* n limits (1..RATES_MAX), each requests >= 1. Returns an owned object. */
struct rates *rates_new(const struct rates_limit *limits, size_t n);
void rates_free(struct rates *r);
DEFINE_CLEANUP(struct rates *, rates_free)

/* Room depends on the answer to a request under way. */
#define RATES_WAIT_ANSWER INT64_MAX

/* 0 when a request may leave at now_ms, else the milliseconds to wait, or RATES_WAIT_ANSWER. The CA counts a request when
 * it arrives, which is some time between leaving and its answer: it counts here from rates_begin until a window after
 * rates_end, so that no delay on the way can push it into a window that is full. Times must not go back; an earlier one counts as
 * the latest seen. */
int64_t rates_begin(struct rates *r, int64_t now_ms);
/* The answer came, or will not come any more: once for each rates_begin that returned 0. */
void rates_end(struct rates *r, int64_t now_ms);

/* A request of before this object, answered at at_ms. Before the first rates_begin, the oldest first; from then on now_ms must
 * not be earlier. */
void rates_recall(struct rates *r, int64_t at_ms);

/* Nothing may leave before until_ms (429, Retry-After). The later of two stops wins. */
void rates_stop(struct rates *r, int64_t until_ms);

/* Same requests so far, other limits (reload). */
void rates_set_limits(struct rates *r, const struct rates_limit *limits, size_t n);

/* How many requests could leave right now (the tightest window): for `status` and metrics. */
uint32_t rates_left(const struct rates *r, int64_t now_ms);
/* The same for one window of so many requests, whether it is one of its limits or not. */
uint32_t rates_left_of(const struct rates *r, const struct rates_limit *l, int64_t now_ms);
