/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and small macros that every file may use. Includes nothing of ours. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)	    __attribute__((cleanup(f)))
#define _must_check_	    __attribute__((warn_unused_result))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_	    __attribute__((unused))
#define _noreturn_	    __attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Hands an owned pointer over and leaves NULL behind, so that a _cleanup_ finds nothing to free. */
#define TAKE_PTR(p)                                                                                          \
	({                                                                                                   \
		__typeof__(p) *_pp = &(p);                                                                   \
		__typeof__(p) _p = *_pp;                                                                     \
		*_pp = NULL;                                                                                 \
		_p;                                                                                          \
	})

/* The same for a file descriptor; -EBADF is left behind. */
#define TAKE_FD(fd)                                                                                          \
	({                                                                                                   \
		int *_fdp = &(fd);                                                                           \
		int _fd = *_fdp;                                                                             \
		*_fdp = -9;                                                                                  \
		_fd;                                                                                         \
	})

/* Defines the cleanup function x_freep() for a destructor x_free() that takes a T* and accepts NULL. */
#define DEFINE_CLEANUP(T, fn)                                                                                \
	static inline _unused_ void fn##p(T *_p)                                                             \
	{                                                                                                    \
		if (*_p)                                                                                     \
			fn(*_p);                                                                             \
	}

static inline _unused_ void freep(void *p)
{
	free(*(void **)p);
}

static inline _unused_ void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_	_cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
