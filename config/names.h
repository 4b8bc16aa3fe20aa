/* SPDX-License-Identifier: Apache-2.0 */
/* Host names as certificates want them. The only file that includes libidn2 is names.c. */
#pragma once

#include "common/base.h"
#include "common/err.h"

/* Checks and normalises a DNS name: U-labels become A-labels (IDNA 2008, RFC 5891, non-transitional),
 * case is folded, one trailing dot is dropped. Afterwards: LDH labels of 1..63 bytes that neither begin
 * nor end with '-' nor have "--" in places 3 and 4 (but for A-labels), at most 253 bytes, at least two
 * labels, last label not all digits (so never an IP address). A leading "*." is accepted when
 * allow_wildcard. *ret belongs to the caller. -EINVAL with what is wrong and how to mend it. */
int name_normalize(const char *in, bool allow_wildcard, char **ret, struct err *reterr) _must_check_;

/* True for what may name a directory: [a-z0-9][a-z0-9._-]{0,252}, no "..", not ending in '.'. */
bool name_is_safe_dir(const char *s);
