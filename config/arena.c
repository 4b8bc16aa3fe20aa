/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that double up to a limit; objects grow from the block's front, strings from its back, so that
 * strings need no padding. The doubling keeps a small configuration small and a big one cheap. */
#include "config/arena.h"

#include "common/mem.h"

#include <string.h>

#define ARENA_BLOCK_MIN 2048u
#define ARENA_BLOCK_MAX (256u << 10)
#define ARENA_ALIGN	sizeof(int64_t)

struct arena_block {
	struct arena_block *next;
	size_t front; /* first free byte */
	size_t back;  /* first byte used by strings */
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena_owned {
	struct arena_owned *next;
	arena_own_fn *fn;
	void *p;
};

struct arena {
	struct arena_block *blocks; /* the first one is filled */
	struct arena_owned *owned;
	size_t next_size;
	size_t size;
};

struct arena *arena_new(void)
{
	struct arena *a = xmalloc(sizeof(*a));

	a->next_size = ARENA_BLOCK_MIN;
	a->size = sizeof(*a);
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct arena_owned *o = a->owned; o; o = o->next)
		o->fn(o->p);
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	free(a);
}

static struct arena_block *arena_add_block(struct arena *a, size_t room)
{
	struct arena_block *b = xmalloc(sizeof(*b) + room);

	b->back = room;
	a->size += sizeof(*b) + room;
	return b;
}

/* A block with at least size bytes between front and back. */
static struct arena_block *arena_room(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;

	if (b && b->back - b->front >= size)
		return b;
	/* Something big gets a block of its own behind the first one, so that the first one's rest is not lost. */
	if (size > ARENA_BLOCK_MAX / 4) {
		struct arena_block *own = arena_add_block(a, size);

		if (b) {
			own->next = b->next;
			b->next = own;
		} else {
			a->blocks = own;
		}
		return own;
	}
	while (a->next_size < size)
		a->next_size *= 2;
	b = arena_add_block(a, a->next_size);
	b->next = a->blocks;
	a->blocks = b;
	if (a->next_size < ARENA_BLOCK_MAX)
		a->next_size *= 2;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t want = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	struct arena_block *b = arena_room(a, want);
	void *p = b->data + b->front;

	b->front += want;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	struct arena_block *b = arena_room(a, n + 1);

	b->back -= n + 1;
	memcpy(b->data + b->back, s, n);
	b->data[b->back + n] = '\0';
	return b->data + b->back;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

void arena_own(struct arena *a, arena_own_fn *fn, void *p)
{
	struct arena_owned *o = arena_alloc(a, sizeof(*o));

	o->fn = fn;
	o->p = p;
	o->next = a->owned;
	a->owned = o;
}

size_t arena_size(const struct arena *a)
{
	return a->size;
}
