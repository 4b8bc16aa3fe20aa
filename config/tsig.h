/* SPDX-License-Identifier: Apache-2.0 */
/* The key that signs dynamic updates, from the file that BIND's tsig-keygen writes. Nothing is signed here. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/secret.h"

struct tsig_key {
	char name[256];	       /* lower case, no final dot */
	char algorithm[32];    /* "hmac-sha256" or "hmac-sha512" */
	struct secret *secret; /* base64 text */
};

/* A BIND `key "name" { algorithm hmac-sha256; secret "..."; };` clause as tsig-keygen prints it. -EINVAL with line and
 * remedy, also for more than one key, for hmac-md5, -sha1 and -sha224 (weak) and for hmac-sha384 (ldns 1.8.3 cannot). The
 * secret is never in the text. *ret is released by tsig_key_done. */
int tsig_key_parse(const char *text, size_t len, struct tsig_key *ret, struct err *reterr) _must_check_;
void tsig_key_done(struct tsig_key *k);

/* The same name, algorithm and secret; NULL is the same as NULL only. */
bool tsig_key_equal(const struct tsig_key *a, const struct tsig_key *b);
