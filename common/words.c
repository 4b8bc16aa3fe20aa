/* SPDX-License-Identifier: Apache-2.0 */
/* Splitting and joining. */
#include "common/words.h"

#include "common/mem.h"

void words_add(struct words *w, const char *word)
{
	w->list = xrealloc_array(w->list, w->n + 1, sizeof(*w->list));
	w->list[w->n++] = xstrdup(word);
}

void words_split(const char *text, struct words *ret)
{
	_cleanup_free_ char *copy = text ? xstrdup(text) : NULL;
	char *save = NULL;

	*ret = (struct words)WORDS_INIT;
	for (char *s = copy ? strtok_r(copy, " ", &save) : NULL; s; s = strtok_r(NULL, " ", &save))
		words_add(ret, s);
}

void words_done(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->list[i]);
	free(w->list);
	*w = (struct words)WORDS_INIT;
}

char *words_join(const struct words *w)
{
	size_t len = 1, at = 0;
	char *text;

	for (size_t i = 0; i < w->n; i++)
		len += strlen(w->list[i]) + 1;
	text = xmalloc(len);
	for (size_t i = 0; i < w->n; i++) {
		size_t n = strlen(w->list[i]);

		if (i > 0)
			text[at++] = ' ';
		memcpy(text + at, w->list[i], n);
		at += n;
	}
	text[at] = '\0';
	return text;
}

bool words_contain(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->list[i], word) == 0)
			return true;
	}
	return false;
}

bool words_has(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = text; s && *s; s += strcspn(s, " ")) {
		s += strspn(s, " ");
		if (strncmp(s, word, len) == 0 && (s[len] == ' ' || s[len] == '\0'))
			return true;
	}
	return false;
}
