/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that wait for the rate gate, most urgent first. A heap, because ten thousand domains may wait at
 * once after an outage, and any of them may be cancelled. Equal urgency keeps the order of arrival. */
#include "daemon/certcentral/internal.h"

#include <assert.h>

#include "common/mem.h"

static bool goes_before(const struct cc_call *a, const struct cc_call *b)
{
	if (a->prio != b->prio)
		return a->prio < b->prio;
	return a->sequence < b->sequence;
}

static void put(struct cc_queue *q, size_t at, struct cc_call *c)
{
	q->heap[at] = c;
	c->heap_at = at;
}

static void sift_up(struct cc_queue *q, size_t at, struct cc_call *c)
{
	while (at > 0) {
		size_t up = (at - 1) / 2;

		if (!goes_before(c, q->heap[up]))
			break;
		put(q, at, q->heap[up]);
		at = up;
	}
	put(q, at, c);
}

static void sift_down(struct cc_queue *q, size_t at, struct cc_call *c)
{
	for (;;) {
		size_t down = 2 * at + 1;

		if (down >= q->len)
			break;
		if (down + 1 < q->len && goes_before(q->heap[down + 1], q->heap[down]))
			down++;
		if (!goes_before(q->heap[down], c))
			break;
		put(q, at, q->heap[down]);
		at = down;
	}
	put(q, at, c);
}

void cc_queue_push(struct cc_queue *q, struct cc_call *c)
{
	assert(c->heap_at == CC_NOT_QUEUED);
	if (q->len == q->alloc) {
		q->alloc = q->alloc ? q->alloc * 2 : 16;
		q->heap = xrealloc_array(q->heap, q->alloc, sizeof(struct cc_call *));
	}
	q->len++;
	sift_up(q, q->len - 1, c);
}

void cc_queue_remove(struct cc_queue *q, struct cc_call *c)
{
	size_t at = c->heap_at;

	if (at == CC_NOT_QUEUED)
		return;
	assert(at < q->len && q->heap[at] == c);
	c->heap_at = CC_NOT_QUEUED;
	q->len--;
	if (at == q->len)
		return;

	struct cc_call *last = q->heap[q->len];

	if (at > 0 && goes_before(last, q->heap[(at - 1) / 2]))
		sift_up(q, at, last);
	else
		sift_down(q, at, last);
}

struct cc_call *cc_queue_pop(struct cc_queue *q)
{
	struct cc_call *c = q->len > 0 ? q->heap[0] : NULL;

	if (c)
		cc_queue_remove(q, c);
	return c;
}

void cc_queue_done(struct cc_queue *q)
{
	free(q->heap);
	*q = (struct cc_queue){ 0 };
}
