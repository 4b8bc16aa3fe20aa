/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts. Every text is formatted in full before it is escaped and cut, so that arguments may
 * point into the very struct err that is being filled. */
#include "common/err.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"

static void put_text(struct err *e, int code, const char *text)
{
	e->code = code;
	str_escape(text, strlen(text), e->text, sizeof(e->text));
}

int err_set(struct err *reterr, int code, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (!reterr)
		return code;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	put_text(reterr, code, text);
	return code;
}

int err_set_errno(struct err *reterr, int code, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *all = NULL;
	char buf[128];
	va_list ap;

	if (!reterr)
		return code;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	all = xasprintf("%s: %s", text, strerror_r(code < 0 ? -code : code, buf, sizeof(buf)));
	put_text(reterr, code, all);
	return code;
}

void err_prefix(struct err *reterr, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *all = NULL;
	va_list ap;

	if (!reterr || reterr->code == 0)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	all = xasprintf("%s: %s", text, reterr->text);
	put_text(reterr, reterr->code, all);
}
