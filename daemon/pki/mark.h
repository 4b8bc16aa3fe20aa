/* SPDX-License-Identifier: Apache-2.0 */
/* What may be written down of a secret, to see whether it is still the same one. */
#pragma once

#include "common/secret.h"

/* 16 bits of an HMAC-SHA256 with the secret as the key: two secrets differ in it but for one case in 65,536, and a guess that fits
 * is almost certainly wrong. purpose: what it is for, so that marks of one secret in two places say nothing about each other. */
uint16_t mark_of_secret(const struct secret *s, const char *purpose);
