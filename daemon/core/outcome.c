/* SPDX-License-Identifier: Apache-2.0 */
/* Names of faults, and the one way to fill an outcome: text of others is escaped and cut here, so that
 * whoever prints an outcome need not think about it. Decides nothing. */
#include "daemon/core/outcome.h"

#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *fault_name(enum fault f)
{
	switch (f) {
	case FAULT_NONE: return "none";
	case FAULT_UNSENT: return "unsent";
	case FAULT_UNCLEAR: return "unclear";
	case FAULT_THROTTLED: return "throttled";
	case FAULT_REFUSED: return "refused";
	case FAULT_DUPLICATE: return "duplicate";
	case FAULT_AUTH: return "auth";
	case FAULT_CONFIG: return "config";
	case FAULT_NOT_FOUND: return "not_found";
	case FAULT_LOCAL: return "local";
	case FAULT_BAD_CERT: return "bad_cert";
	case FAULT_BUSY: return "busy";
	case FAULT_NR: break;
	}
	return "unknown";
}

bool fault_may_pass(enum fault f)
{
	switch (f) {
	case FAULT_UNSENT:
	case FAULT_UNCLEAR:
	case FAULT_THROTTLED:
	case FAULT_LOCAL:
	case FAULT_BUSY: return true;
	case FAULT_NONE:
	case FAULT_REFUSED:
	case FAULT_DUPLICATE:
	case FAULT_AUTH:
	case FAULT_CONFIG:
	case FAULT_NOT_FOUND:
	case FAULT_BAD_CERT:
	case FAULT_NR: break;
	}
	return false;
}

struct outcome *outcome_set(struct outcome *o, enum fault f, const char *code, const char *fmt, ...)
{
	char raw[OUTCOME_MESSAGE_MAX] = "";
	va_list ap;

	o->fault = f;
	(void)str_escape(code ? code : "", code ? strlen(code) : 0, o->code, sizeof o->code);
	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	(void)str_escape(raw, strlen(raw), o->message, sizeof o->message);
	return o;
}
