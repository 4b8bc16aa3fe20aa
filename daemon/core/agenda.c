/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive binary heap; slot i's children are 2i and 2i+1. */
#include "daemon/core/agenda.h"

#include "common/mem.h"

void agenda_done(struct agenda *a)
{
	free(a->heap);
	*a = (struct agenda){ 0 };
}

static void put(struct agenda *a, uint32_t slot, struct agenda_node *n)
{
	a->heap[slot] = n;
	n->slot = slot;
}

static void up(struct agenda *a, uint32_t slot)
{
	struct agenda_node *n = a->heap[slot];

	for (; slot > 1 && a->heap[slot / 2]->due_at > n->due_at; slot /= 2)
		put(a, slot, a->heap[slot / 2]);
	put(a, slot, n);
}

static void down(struct agenda *a, uint32_t slot)
{
	struct agenda_node *n = a->heap[slot];

	for (;;) {
		uint32_t child = slot * 2;

		if (child > a->n)
			break;
		if (child < a->n && a->heap[child + 1]->due_at < a->heap[child]->due_at)
			child++;
		if (a->heap[child]->due_at >= n->due_at)
			break;
		put(a, slot, a->heap[child]);
		slot = child;
	}
	put(a, slot, n);
}

void agenda_set(struct agenda *a, struct agenda_node *n, int64_t due_at)
{
	n->due_at = due_at;
	if (n->slot == 0) {
		if (a->n + 1 >= a->alloc) {
			a->alloc = a->alloc ? a->alloc * 2 : 64;
			a->heap = xrealloc_array(a->heap, a->alloc, sizeof(struct agenda_node *));
		}
		put(a, ++a->n, n);
	}
	up(a, n->slot);
	down(a, n->slot);
}

void agenda_remove(struct agenda *a, struct agenda_node *n)
{
	uint32_t slot = n->slot;
	struct agenda_node *last;

	if (slot == 0)
		return;
	n->slot = 0;
	last = a->heap[a->n--];
	if (last == n)
		return;
	put(a, slot, last);
	up(a, slot);
	down(a, last->slot);
}

struct agenda_node *agenda_first(const struct agenda *a)
{
	return a->n ? a->heap[1] : NULL;
}
