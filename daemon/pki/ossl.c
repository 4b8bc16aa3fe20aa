/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's error queue as one short text. The queue belongs to a thread, not to a call: what one job
 * leaves behind would be blamed on the next one, so every entry point here ends with an empty queue. */
#include "daemon/pki/internal.h"

#include <openssl/err.h>
#include <stdarg.h>

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
