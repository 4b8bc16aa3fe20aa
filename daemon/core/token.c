/* SPDX-License-Identifier: Apache-2.0 */
/* What the CA's random value may be made of: nothing that means something in a path, a URL or a log line. */
#include "daemon/core/token.h"

#include <string.h>

static size_t sane_len(const char *s)
{
	return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
}

bool token_is_sane(const char *token)
{
	size_t n = token ? sane_len(token) : 0;

	return n > 0 && n <= TOKEN_LEN_MAX && token[n] == '\0';
}

bool token_text_is_sane(const char *text)
{
	size_t n;

	if (!text || strlen(text) > TOKEN_TEXT_MAX)
		return false;
	for (;; text += n + 1) {
		n = sane_len(text);
		if (n == 0 || n > TOKEN_LEN_MAX)
			return false;
		if (text[n] != '\n')
			return text[n] == '\0';
	}
}
