/* SPDX-License-Identifier: Apache-2.0 */
/* An error text on its way to a person. Functions return 0 or a negative errno; those that have more
 * to say than a number fill `struct err *reterr`, their last parameter (which may be NULL, and which
 * is left alone on success). Callers add context outward with err_prefix(). */
#pragma once

#include "common/base.h"

#define ERR_TEXT_MAX 512

struct err {
	int code;		 /* negative errno; 0 = no error */
	char text[ERR_TEXT_MAX]; /* one line, control characters escaped, cut at the end if too long */
};

#define ERR_INIT                                                                                             \
	{                                                                                                    \
		0                                                                                            \
	}

/* Sets code and text; returns code, so that `return err_set(reterr, -EINVAL, "...")` works. */
int err_set(struct err *reterr, int code, const char *fmt, ...) _printf_(3, 4);

/* Like err_set, with ": <strerror(-code)>" appended. */
int err_set_errno(struct err *reterr, int code, const char *fmt, ...) _printf_(3, 4);

/* Puts "<text>: " before the present text; does nothing when reterr is NULL or holds no error. */
void err_prefix(struct err *reterr, const char *fmt, ...) _printf_(2, 3);
