/* SPDX-License-Identifier: Apache-2.0 */
/* String builder with a cap. Growth doubles but never passes cap + 1 bytes, so that a buffer which an
 * attacker can feed costs at most what its declaration says. It copies and wipes instead of calling
 * realloc, so that strbuf_wipe leaves no old copy of a secret behind. */
#include "common/strbuf.h"

#include <string.h>

#include "common/mem.h"

#define FIRST_ALLOC 64

/* Makes room for len more bytes and the NUL, or sets the failure. */
static bool reserve(struct strbuf *sb, size_t len)
{
	size_t need, want;
	char *data;

	if (sb->cap == SIZE_MAX)
		sb->cap = SIZE_MAX - 1;
	if (len > sb->cap - sb->len) {
		sb->failed = true;
		return false;
	}
	need = sb->len + len + 1;
	if (need <= sb->alloc)
		return true;
	want = sb->alloc > SIZE_MAX / 2 ? need : sb->alloc * 2;
	want = MAX(want, (size_t)FIRST_ALLOC);
	want = MIN(want, sb->cap + 1);
	want = MAX(want, need);
	data = xmalloc(want);
	if (sb->data) {
		memcpy(data, sb->data, sb->len + 1);
		mem_wipe(sb->data, sb->alloc);
		free(sb->data);
	}
	sb->data = data;
	sb->alloc = want;
	return true;
}

void strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
	if (!reserve(sb, len))
		return;
	if (len)
		memcpy(sb->data + sb->len, data, len);
	sb->len += len;
	sb->data[sb->len] = '\0';
}

void strbuf_adds(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	_cleanup_wipe_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	strbuf_adds(sb, text);
}

bool strbuf_ok(const struct strbuf *sb)
{
	return !sb->failed;
}

const char *strbuf_str(const struct strbuf *sb)
{
	return sb->data ? sb->data : "";
}

char *strbuf_take(struct strbuf *sb)
{
	char *s = sb->data ? sb->data : xstrdup("");

	*sb = (struct strbuf)STRBUF_INIT(sb->cap);
	return s;
}

void strbuf_clear(struct strbuf *sb)
{
	sb->len = 0;
	sb->failed = false;
	if (sb->data)
		sb->data[0] = '\0';
}

void strbuf_done(struct strbuf *sb)
{
	free(sb->data);
	*sb = (struct strbuf)STRBUF_INIT(sb->cap);
}

void strbuf_wipe(struct strbuf *sb)
{
	mem_wipe(sb->data, sb->alloc);
	strbuf_done(sb);
}
