/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a DNS name on an order, and which names belong together. */
#pragma once

#include "common/base.h"

/* Letters, digits, hyphens (LDH), at least two labels, at most 253 characters, last label not all digits;
 * "*." in front only when wildcards are allowed. Upper case is accepted: names are lowered when stored. */
bool name_is_good(const char *name, bool wildcard_ok);
bool name_is_wildcard(const char *name);
/* The same last two labels: our approximation of "the same registrable domain". */
bool names_are_related(const char *a, const char *b);
/* A lower-case copy. */
char *name_lower(const char *name);
