/* SPDX-License-Identifier: Apache-2.0 */
/* What the CA's random value may be made of: nothing that means something in a path, a URL or a log line. */
#include "daemon/core/token.h"

#include <string.h>

bool token_is_sane(const char *token)
{
	size_t n = 0;

	if (token == NULL)
		return false;
	n = strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
	return n > 0 && n <= TOKEN_LEN_MAX && token[n] == '\0';
}
