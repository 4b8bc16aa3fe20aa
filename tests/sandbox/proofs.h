/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a proof in a text that was found on the web or in DNS: the random value of an order, or a
 * request token, which a client makes itself from the AuthKey and its CSR ("immediate issuance"). */
#pragma once

#include "common/base.h"

#define PROOFS_TOKEN_LEN    64 /* yyyyMMddHHmmss and 50 digits of base 36 */
#define PROOFS_TOKEN_LIFE_S (30 * INT64_C(86400))

struct proof {
	const char *value;    /* the random value; NULL = a request token is looked for */
	const char *auth_key; /* for request tokens: the text of the key ... */
	const char *csr;      /* ... and of the CSR, in the spelling that the CA keeps */
	int64_t now;
};

/* Is it anywhere in these bytes? Of several candidates one good one is enough. */
bool proof_in(const struct proof *p, const char *text, size_t len);
/* The request token of this instant (14 digits, UTC) over key and CSR. */
void proof_make_token(const char *auth_key, const char *stamp, const char *csr,
		      char out[PROOFS_TOKEN_LEN + 1]);
