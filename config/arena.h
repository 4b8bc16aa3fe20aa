/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that lives and dies as one: the snapshot and the parse trees. Objects have no header of their
 * own and cannot be freed alone. */
#pragma once

#include "common/base.h"

struct arena;

/* Never NULL. */
struct arena *arena_new(void);

/* Runs what arena_own() registered, latest first, then frees everything. NULL accepted. */
void arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free)

/* size bytes, zeroed, aligned for pointers and int64_t. Never NULL. Strings cost their bytes only. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));

/* Calls fn(p) when the arena is freed: for things that need more than free(), such as secrets. */
typedef void arena_own_fn(void *p);
void arena_own(struct arena *a, arena_own_fn *fn, void *p);

/* Bytes taken from the system so far; for the benchmark. */
size_t arena_size(const struct arena *a);
