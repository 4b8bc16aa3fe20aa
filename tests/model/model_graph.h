/* SPDX-License-Identifier: Apache-2.0 */
/* The set of states that were reached, breadth first, so that the way to a violation is a shortest one; and whether something
 * stays reachable. A state is its bytes: no padding, one way of writing it. */
#pragma once

#include "common/base.h"
#include "common/mem.h"

#include <stdio.h>

#define STATES_MAX (1u << 23)
#define NOBODY	   UINT32_MAX

struct edge {
	uint32_t from, to;
	uint32_t kind; /* bits; the caller's */
};

struct node {
	uint32_t parent;
	const char *label;
};

struct graph {
	const char *program; /* for messages */
	size_t size;	     /* of a state */
	uint8_t *states;
	struct node *nodes;
	size_t n, alloc;
	uint32_t *slots; /* hash table: 1 + node */
	size_t n_slots;
	struct edge *edges; /* those that were kept */
	size_t n_edges, alloc_edges;
	uint64_t transitions;
	uint32_t at; /* the node that is being expanded */
};

static inline const void *graph_state(const struct graph *g, uint32_t i)
{
	return g->states + i * g->size;
}

static inline uint64_t graph_hash(const void *state, size_t size)
{
	const uint8_t *p = state;
	uint64_t h = UINT64_C(14695981039346656037), word;

	for (size_t i = 0; i < size; i += sizeof(word)) {
		word = 0;
		memcpy(&word, p + i, MIN(sizeof(word), size - i));
		h = (h ^ word) * UINT64_C(1099511628211);
		h ^= h >> 32;
	}
	return h;
}

static inline void graph_grow_table(struct graph *g)
{
	free(g->slots);
	g->n_slots = g->n_slots ? g->n_slots * 2 : 1u << 16;
	g->slots = xcalloc(g->n_slots, sizeof(*g->slots));
	for (uint32_t i = 0; i < g->n; i++) {
		size_t h = graph_hash(graph_state(g, i), g->size) & (g->n_slots - 1);

		while (g->slots[h])
			h = (h + 1) & (g->n_slots - 1);
		g->slots[h] = i + 1;
	}
}

/* The number of this state; a new one is put at the end, to be expanded later. */
static inline uint32_t graph_add(struct graph *g, const void *state, const char *label)
{
	size_t h;

	if (g->n * 2 >= g->n_slots)
		graph_grow_table(g);
	for (h = graph_hash(state, g->size) & (g->n_slots - 1); g->slots[h]; h = (h + 1) & (g->n_slots - 1)) {
		if (memcmp(graph_state(g, g->slots[h] - 1), state, g->size) == 0)
			return g->slots[h] - 1;
	}
	if (g->n == g->alloc) {
		g->alloc = g->alloc ? g->alloc * 2 : 1u << 15;
		g->nodes = xrealloc_array(g->nodes, g->alloc, sizeof(*g->nodes));
		g->states = xrealloc_array(g->states, g->alloc, g->size);
	}
	if (g->n == STATES_MAX) {
		printf("%s: more than %u states\n", g->program, STATES_MAX);
		exit(1);
	}
	memcpy(g->states + g->n * g->size, state, g->size);
	g->nodes[g->n] = (struct node){ .parent = g->n ? g->at : NOBODY, .label = label };
	g->slots[h] = (uint32_t)++g->n;
	return (uint32_t)g->n - 1;
}

/* Keeps a move for graph_trap(). */
static inline void graph_keep(struct graph *g, uint32_t to, uint32_t kind)
{
	if (g->n_edges == g->alloc_edges) {
		g->alloc_edges = g->alloc_edges ? g->alloc_edges * 2 : 1u << 16;
		g->edges = xrealloc_array(g->edges, g->alloc_edges, sizeof(*g->edges));
	}
	g->edges[g->n_edges++] = (struct edge){ g->at, to, kind };
}

/* The states from which each state was reached: those of state i are from[first[i]] to from[first[i + 1] - 1]. */
static inline void graph_backwards(const struct graph *g, uint32_t without, uint32_t *first, uint32_t *from)
{
	for (size_t i = 0; i < g->n_edges; i++)
		first[g->edges[i].to + 2] += !(g->edges[i].kind & without);
	for (size_t i = 2; i < g->n + 2; i++)
		first[i] += first[i - 1];
	for (size_t i = 0; i < g->n_edges; i++) {
		if (!(g->edges[i].kind & without))
			from[first[g->edges[i].to + 1]++] = g->edges[i].from;
	}
}

typedef bool graph_goal_fn(const void *state, const void *arg);

/* Walks the kept moves, but for those of the kinds `without`, backwards from the goals. The first state that is not met is a trap;
 * NOBODY: from every state a goal can be reached. */
static inline uint32_t graph_trap(const struct graph *g, graph_goal_fn *goal, const void *arg,
				  uint32_t without)
{
	size_t n = g->n, n_queue = 0;
	_cleanup_free_ uint32_t *first = xcalloc(n + 2, sizeof(*first));
	_cleanup_free_ uint32_t *from = xcalloc(g->n_edges + 1, sizeof(*from));
	_cleanup_free_ uint32_t *queue = xcalloc(n, sizeof(*queue));
	_cleanup_free_ bool *seen = xcalloc(n, sizeof(*seen));

	graph_backwards(g, without, first, from);
	for (uint32_t i = 0; i < n; i++) {
		seen[i] = goal(graph_state(g, i), arg);
		if (seen[i])
			queue[n_queue++] = i;
	}
	for (size_t i = 0; i < n_queue; i++) {
		for (uint32_t e = first[queue[i]]; e < first[queue[i] + 1]; e++) {
			if (!seen[from[e]]) {
				seen[from[e]] = true;
				queue[n_queue++] = from[e];
			}
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!seen[i])
			return i;
	}
	return NOBODY;
}

static inline void graph_done(struct graph *g)
{
	free(g->states);
	free(g->nodes);
	free(g->slots);
	free(g->edges);
}
