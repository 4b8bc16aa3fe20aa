/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that cannot fail: when memory is out, the process aborts. That is safe because every
 * state is on disk before its effect, and simple because no caller has an untested error path. */
#pragma once

#include "common/base.h"

#include <stdarg.h>

/* size bytes, zeroed. Never NULL. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));

/* n * size bytes, zeroed; aborts on overflow of the product. */
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));

/* Grows or shrinks p to n * size bytes (new bytes are not zeroed); p may be NULL. */
void *xrealloc_array(void *p, size_t n, size_t size) _must_check_;

/* The same for one size in bytes; what libraries want that let their allocator be replaced. */
void *xrealloc(void *p, size_t size) _must_check_;

/* Copies; s must not be NULL. xstrdup_opt(NULL) is NULL. */
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrdup_opt(const char *s);
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));

/* Formats into a new string that the caller frees. */
char *xasprintf(const char *fmt, ...) _printf_(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0) __attribute__((malloc, returns_nonnull));

/* Overwrites n bytes in a way that the compiler may not drop. p may be NULL when n is 0. */
void mem_wipe(void *p, size_t n);

/* Wipes a NUL-terminated string and frees it; NULL is accepted. For keys and tokens. */
void mem_wipe_free(char *s);

/* Gives free memory back to the system, of all threads' arenas: after something large was freed (a configuration).
 * Takes milliseconds. */
void mem_trim(void);

static inline _unused_ void mem_wipe_freep(char **s)
{
	mem_wipe_free(*s);
}
#define _cleanup_wipe_ _cleanup_(mem_wipe_freep)
