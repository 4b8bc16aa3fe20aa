/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that must never be printed. No formatter takes a struct secret; whoever needs the bytes says
 * secret_bytes() and can be found by grep. The memory is kept out of core dumps and wiped on free. */
#pragma once

#include "common/base.h"

struct secret;

/* Copies len bytes (a NUL is appended that does not count). Never NULL. */
struct secret *secret_new(const void *data, size_t len);

/* Wipes and frees; NULL accepted. */
void secret_free(struct secret *s);
DEFINE_CLEANUP(struct secret *, secret_free)

/* The bytes, NUL-terminated; valid as long as the secret. */
const char *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);

/* Constant-time comparison. */
bool secret_equal(const struct secret *a, const struct secret *b);
