/* SPDX-License-Identifier: Apache-2.0 */
/* Counts events by kind and HTTP status, for metrics. Pure. What the other side may choose (the status) cannot make it grow
 * without bound: after TALLY_MAX different ones the rest is counted as TALLY_OTHER. */
#pragma once

#include "common/base.h"

#define TALLY_MAX   128
#define TALLY_OTHER (-1)

struct tally_row {
	unsigned kind;
	int code; /* 0: no answer; TALLY_OTHER */
	uint64_t n;
};

/* All zero is empty. */
struct tally {
	struct tally_row *rows; /* by kind, then code */
	size_t n;
};

/* One more event. */
void tally_add(struct tally *t, unsigned kind, int code);
/* Frees and empties; can be called twice. */
void tally_done(struct tally *t);
