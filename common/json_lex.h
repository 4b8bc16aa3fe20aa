/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, numbers and words of a JSON text, strictly after RFC 8259; a part of json.c that knows nothing
 * of json-c. Nobody else needs it. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/strbuf.h"

struct json_lex {
	const char *text;
	size_t len;
	size_t pos;
	struct strbuf str; /* the string read last, decoded */
	struct err *reterr;
};

/* -EBADMSG with "JSON: <what> at offset <pos>". */
int json_lex_fail(struct json_lex *p, const char *what);

/* The byte at the position, or -1 at the end. */
int json_lex_peek(const struct json_lex *p);

/* Steps over white space (RFC 8259 section 2). */
void json_lex_skip_blanks(struct json_lex *p);

/* Steps over the byte c; false when another one is there. */
bool json_lex_accept(struct json_lex *p, int c);

/* Reads a string with its quotes and leaves it decoded in p->str. 0 or -EBADMSG. */
int json_lex_string(struct json_lex *p) _must_check_;

/* Reads exactly this word. 0 or -EBADMSG. */
int json_lex_word(struct json_lex *p, const char *word) _must_check_;

struct json_number {
	char *text;  /* as written; the caller frees */
	bool is_i64; /* no fraction, no exponent, inside int64 */
	int64_t i64;
};

/* Reads a number; *ret is set on success only. 0 or -EBADMSG. */
int json_lex_number(struct json_lex *p, struct json_number *ret) _must_check_;
