/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing and small string helpers. */
#pragma once

#include "common/base.h"

struct strbuf;

/* Decimal digits only (no sign, no blanks, no overflow). 0, -EINVAL or -ERANGE. */
int str_parse_u64(const char *s, uint64_t *ret) _must_check_;

/* `90s`, `15m`, `12h`, `32d`: one number, one unit, in seconds. 0, -EINVAL or -ERANGE (more than 100 years). */
int str_parse_duration(const char *s, int64_t *ret_s) _must_check_;

#define STR_DURATION_MAX 32
/* Shortest exact form of a duration ("33d", "36h", "90s"); negative values get a leading '-'. */
const char *str_format_duration(int64_t s, char buf[STR_DURATION_MAX]);
/* For people: at most two units, rounded down ("33d 4h", "2m 5s", "now" for 0). */
const char *str_format_duration_human(int64_t s, char buf[STR_DURATION_MAX]);

bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);

/* The choice nearest to word by edit distance (at most 1 edit per 3 characters, at least 1 allowed),
 * or NULL. For "did you mean". */
const char *str_suggest(const char *word, const char *const *choices, size_t n_choices);

/* Lower-case hex of len bytes into out (2 * len + 1 bytes). Returns out. */
char *str_hex(const void *data, size_t len, char *out);

/* Bytes of the UTF-8 sequence at s (1 to 4; RFC 3629: no overlong forms, no surrogates, at most U+10FFFF),
 * or 0 when it is invalid or cut off after len bytes. */
size_t str_utf8_len(const char *s, size_t len);

/* Copies at most out_len - 1 bytes of s, with control characters, DEL and invalid UTF-8 written as
 * \xNN, so that text of others stays on one line of a log or terminal. Returns out. */
char *str_escape(const char *s, size_t len, char *out, size_t out_len);

/* Adds s to sb as one part of a path or one value of a query: only the unreserved characters of RFC 3986
 * section 2.3 stay, every other byte becomes %XX. */
void str_percent_encode(struct strbuf *sb, const char *s);

/* FNV-1a, 64 bit: for spreading (jitter), never for security. */
uint64_t str_hash(const char *s);
