/* SPDX-License-Identifier: Apache-2.0 */
/* Who is next: a binary heap of (due time, owner). An owner embeds the node, so that ten thousand idle
 * domains cost ten thousand pointers and one timer. */
#pragma once

#include "common/base.h"

struct agenda_node {
	int64_t due_at;
	uint32_t slot; /* 1-based place in the heap; 0: not in it */
};

struct agenda {
	struct agenda_node **heap;
	uint32_t n, alloc;
};

void agenda_done(struct agenda *a);

/* Puts the node in, or moves it to its new time. */
void agenda_set(struct agenda *a, struct agenda_node *n, int64_t due_at);
/* Takes it out; nothing when it is not in. */
void agenda_remove(struct agenda *a, struct agenda_node *n);
/* The earliest, or NULL. */
struct agenda_node *agenda_first(const struct agenda *a);
