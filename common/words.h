/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names as one text, separated by blanks: how records keep them. */
#pragma once

#include "common/base.h"

struct words {
	char **list;
	size_t n;
};

#define WORDS_INIT                                                                                           \
	{                                                                                                    \
		NULL, 0                                                                                      \
	}

/* The words of a text (NULL: none), as copies. words_done frees them and the array. */
void words_split(const char *text, struct words *ret);
void words_add(struct words *w, const char *word);
void words_done(struct words *w);
#define _cleanup_words_ _cleanup_(words_done)

/* All words with one blank between them; the caller frees. */
char *words_join(const struct words *w);

/* Is this word one of them? */
bool words_contain(const struct words *w, const char *word);
/* Is this word in the text (which may be NULL)? */
bool words_has(const char *text, const char *word);
