/* SPDX-License-Identifier: Apache-2.0 */
/* The list of mappings is not part of an object, because a signal handler has to find it. */
#include "daemon/io/mapped.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_MAPS 4

static struct mapping {
	const char *name;
	char *at; /* NULL: free */
	size_t len;
} maps[N_MAPS];

static void *map_file(int dir_fd, const char *name, size_t len)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;
	void *at;

	/* Room first: on a full disk the first touch of a page that has none would be SIGBUS. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || posix_fallocate(fd, 0, (off_t)len) != 0)
		return NULL;
	at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

void *mapped_open(int dir_fd, const char *name, size_t len)
{
	struct mapping *m = NULL;

	for (size_t i = 0; i < N_MAPS; i++) {
		if (maps[i].at && strcmp(maps[i].name, name) == 0)
			mapped_close(maps[i].at);
		if (!maps[i].at)
			m = &maps[i];
	}
	if (!m)
		return NULL;
	m->name = name;
	m->len = len;
	m->at = map_file(dir_fd, name, len);
	return m->at;
}

void mapped_close(void *at)
{
	for (size_t i = 0; at && i < N_MAPS; i++) {
		if (maps[i].at != at)
			continue;
		maps[i].at = NULL;
		(void)munmap(at, maps[i].len);
	}
}

bool mapped_forgive(const siginfo_t *si)
{
	const char *at = si->si_addr;

	if (si->si_signo != SIGBUS || si->si_code <= 0)
		return false;
	for (size_t i = 0; i < N_MAPS; i++) {
		const struct mapping *m = &maps[i];

		if (m->at && at >= m->at && at < m->at + m->len)
			return mmap(m->at, m->len, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	}
	return false;
}
