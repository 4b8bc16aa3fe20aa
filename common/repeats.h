/* SPDX-License-Identifier: Apache-2.0 */
/* What is said again and again is said ever more rarely. A retry every minute for a week is one trouble, not ten thousand records.
 *
 * A series is the same event with the same context (domain, order, error code) and the same message, numbers in it aside. Of a series
 * the 1st, 2nd, 4th, 8th, ... record is shown, and one every six hours at least, each with the count and the time of the first. A
 * series ends with a pause four times as long as the one between its last two, and with any event that is news (log_msgid.is_news) for the
 * same domain, or for none: then the next one is a first one again.
 *
 * The memory is a table of fixed size; where two series meet in it, the older one is forgotten, which shows more and never less. Any
 * thread. */
#pragma once

#include "common/log.h"

#define REPEATS_SHOW_S (6 * 3600)

struct repeats_verdict {
	bool show;
	uint64_t n;	  /* which one of its series this is: 1 is the first */
	int64_t first_at; /* of the series */
};

/* Judges one record, and counts it. */
struct repeats_verdict repeats_judge(const struct log_msgid *id, const struct log_ctx *ctx,
				     const char *message, int64_t now);
/* Forgets all: for tests. */
void repeats_forget(void);
