/* SPDX-License-Identifier: Apache-2.0 */
/* String builder with a cap that is fixed at birth.
 *
 * Invariants: data is NULL (nothing added yet) or NUL-terminated at data[len]; len <= cap.
 * An addition that would pass the cap adds nothing and sets a sticky failure; ask once, at the end. */
#pragma once

#include "common/base.h"

struct strbuf {
	char *data;
	size_t len;
	size_t alloc;
	size_t cap;
	bool failed;
};

#define STRBUF_INIT(max)                                                                                     \
	{                                                                                                    \
		.cap = (max)                                                                                 \
	}

void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_adds(struct strbuf *sb, const char *s);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) _printf_(2, 3);

/* False when any addition since the start (or since strbuf_clear) passed the cap. */
bool strbuf_ok(const struct strbuf *sb);

/* The text so far, never NULL; valid until the next addition. */
const char *strbuf_str(const struct strbuf *sb);

/* Hands the text over (never NULL; the caller frees) and leaves an empty buffer with the same cap. */
char *strbuf_take(struct strbuf *sb);

/* Empties, forgets a failure, keeps the memory. */
void strbuf_clear(struct strbuf *sb);

/* Frees (strbuf_wipe: overwrites first). Both accept a half-built buffer and can be called twice. */
void strbuf_done(struct strbuf *sb);
void strbuf_wipe(struct strbuf *sb);
