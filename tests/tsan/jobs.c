/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into dvcertd of a TSAN=1 build: notes which functions are given to the pool, by their distance from the beginning of the
 * program, one a line, in the file that DVCERT_TSAN_JOBS names. tests/tsan/check.py wants to see them all. */
#include "daemon/io/work.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const char __executable_start[];

void __real_work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg,
		       struct work **ret);
void __wrap_work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg,
		       struct work **ret);

static void note(uintptr_t at)
{
	const char *path = getenv("DVCERT_TSAN_JOBS");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	(void)dprintf(fd, "%zx\n", at - (uintptr_t)__executable_start);
	(void)close(fd);
}

void __wrap_work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg,
		       struct work **ret)
{
	note((uintptr_t)fn);
	__real_work_start(l, fn, done, arg, ret);
}
