/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets live in pages of their own, because MADV_DONTDUMP works on whole pages. They are not locked
 * against swapping: the few bytes an unprivileged process may lock would make that a matter of luck. */
#include "common/secret.h"

#include <string.h>
#include <sys/mman.h>

#include "common/mem.h"

struct secret {
	size_t map_len;
	size_t len;
	char bytes[];
};

struct secret *secret_new(const void *data, size_t len)
{
	struct secret *s;
	size_t map_len;

	if (len > SIZE_MAX - sizeof(*s) - 1)
		abort();
	map_len = sizeof(*s) + len + 1;
	s = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		abort();
	/* Kernels without the advice still get the wipe. */
	(void)madvise(s, map_len, MADV_DONTDUMP);
	s->map_len = map_len;
	s->len = len;
	if (len)
		memcpy(s->bytes, data, len);
	return s;
}

void secret_free(struct secret *s)
{
	size_t map_len;

	if (!s)
		return;
	map_len = s->map_len;
	mem_wipe(s, map_len);
	(void)munmap(s, map_len);
}

const char *secret_bytes(const struct secret *s)
{
	return s->bytes;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	volatile unsigned char diff = 0;

	/* The length is not secret. */
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		diff = (unsigned char)(diff | (a->bytes[i] ^ b->bytes[i]));
	return diff == 0;
}
