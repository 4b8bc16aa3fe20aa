/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that render answers. */
#pragma once

#include "daemon/ctl/render.h"

#define CELL_MAX 8192u

/* A member; what is missing or of another type is `otherwise`, 0 or NULL. time_of reads RFC 3339. */
const char *render_text_of(const struct json *j, const char *key, const char *otherwise);
int64_t render_number_of(const struct json *j, const char *key);
const struct json *render_list_of(const struct json *j, const char *key);
int64_t render_time_of(const struct json *j, const char *key);

/* Appends text of others, so that it cannot steer a terminal. */
void render_escaped(struct strbuf *sb, const char *s);
/* "in 3 h", "2 d ago", "now": rounded down to one unit; "-" for no time at all. */
void render_relative(struct strbuf *sb, int64_t at, int64_t now);
/* A value of any type on one line: strings bare, lists of them with blanks between, the rest as JSON. */
void render_value(struct strbuf *sb, const struct json *v);
/* "code: message" of an error object; nothing for null. */
void render_error(struct strbuf *sb, const struct json *error);
/* The lists `accepted` and `refused`, one line for each name; what: "renewal". */
void render_taken(struct strbuf *sb, const struct json *answer, const char *what);
/* Text in lines of at most columns (0: one line), broken at blanks, each with indent in front. */
void render_wrapped(struct strbuf *sb, const char *text, unsigned indent, unsigned columns);
/* The columns of a terminal that a text takes. */
size_t render_width(const char *s);
/* The escape sequence for a state word; "" for none. */
const char *render_state_colour(const char *state);
#define RENDER_PLAIN "\033[0m"
