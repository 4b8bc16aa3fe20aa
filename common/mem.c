/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that aborts instead of failing. The message goes out with write(2) alone, because
 * anything that formats might want memory itself. */
#include "common/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static _noreturn_ void die_of_memory(void)
{
	static const char text[] = "dvcertd: out of memory\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	abort();
}

void *xmalloc(size_t size)
{
	return xcalloc(1, size);
}

void *xcalloc(size_t n, size_t size)
{
	/* A size of 0 may give NULL, which callers must never see. calloc checks the product. */
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		die_of_memory();
	return p;
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
	/* reallocarray(p, 0) would free p and return NULL. */
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		die_of_memory();
	return q;
}

void *xrealloc(void *p, size_t size)
{
	return xrealloc_array(p, size, 1);
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xstrdup_opt(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = xmalloc(len + 1);

	memcpy(copy, s, len);
	return copy;
}

void *xmemdup(const void *p, size_t n)
{
	void *copy = xmalloc(n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0 || !s)
		die_of_memory();
	return s;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}

void mem_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

void mem_wipe_free(char *s)
{
	if (!s)
		return;
	mem_wipe(s, strlen(s));
	free(s);
}

void mem_trim(void)
{
	(void)malloc_trim(0);
}
