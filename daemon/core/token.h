/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's random value, by which it recognises that a name is ours. */
#pragma once

#include "common/base.h"

#define TOKEN_LEN_MAX 256

/* [A-Za-z0-9_-]{1,256}. The CA's text becomes a file's content and a URL's comparison value, so it is
 * checked at every border that it passes. False for NULL. */
bool token_is_sane(const char *token);

#define TOKEN_TEXT_MAX (4 * TOKEN_LEN_MAX)
/* The text of a file: one value, or several request tokens with a line end between two of them; in all at most TOKEN_TEXT_MAX. */
bool token_text_is_sane(const char *text);
