/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of a state file. A single bit can turn "posted" into "not posted", and the file still reads well: what is not exactly as
 * it was written is not believed. The last member of the JSON says it, so that a person (and jq) can read the file as before:
 *
 *   ...,
 *     "check": "0123456789abcdef"
 *   }
 *
 * FNV-1a (64 bit) over every byte before the comma. It finds any changed byte for certain and all else but for one case in 2^64; it is
 * no protection against somebody who means to deceive: whoever may write here may do worse. */
#pragma once

#include "common/err.h"
#include "common/json.h"

/* Writes doc (an object that is not empty, without a "check") to sb, with the checksum and a newline. */
void seal_write(const struct json *doc, struct strbuf *sb);

/* 0, or -EBADMSG: it has no checksum, or another text. */
int seal_check(const char *text, size_t len, struct err *reterr) _must_check_;
