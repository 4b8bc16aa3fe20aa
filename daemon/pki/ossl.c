/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's error queue as one short text. The queue belongs to a thread, not to a call: what one job
 * leaves behind would be blamed on the next one, so every entry point here ends with an empty queue. */
#include "common/mem.h"
#include "daemon/pki/internal.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>

/* OpenSSL takes NULL for an answer where 0 bytes were asked for, and gives us NULL to grow. */
static void *take(size_t size, _unused_ const char *file, _unused_ int line)
{
	return size > 0 ? xmalloc(size) : NULL;
}

static void give_back(void *p, _unused_ const char *file, _unused_ int line)
{
	free(p);
}

static void *resize(void *p, size_t size, _unused_ const char *file, _unused_ int line)
{
	if (size > 0)
		return xrealloc(p, size);
	free(p);
	return NULL;
}

void pki_begin(void)
{
	int r = CRYPTO_set_mem_functions(take, resize, give_back);

	assert(r == 1);
	(void)r;
}

int pki_err(struct err *reterr, int code, const char *fmt, ...)
{
	/* The newest entry is the outermost and says the least; the oldest names the cause. */
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	if (reason == NULL)
		return err_set(reterr, code, "%s", text);
	return err_set(reterr, code, "%s: %s", text, reason);
}

void pki_clear(const int *unused)
{
	(void)unused;
	ERR_clear_error();
}
