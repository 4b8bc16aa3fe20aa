/* SPDX-License-Identifier: Apache-2.0 */
/* Request tokens: the proof that can be published before the order is placed, so that the order is issued at once (CertCentral,
 * "Immediate issuance with a request token"; what DigiCert's open-source validator checks decides where the pages are
 * vague). A token is bound to one CSR and to the account's AuthKey, and is good for 30 days. It is not the CA's random value. */
#pragma once

#include "common/secret.h"

#define REQUEST_TOKEN_LEN      64 /* 14 digits of time, 50 of MAC */
#define REQUEST_TOKEN_VARIANTS 5

/* yyyyMMddHHmmss, five minutes before now in UTC (the validator refuses the future, without tolerance), then the HMAC-SHA256 of
 * that time and value with the text of the AuthKey as the key, as a number to base 36, lower case, 50 digits. 0, -EINVAL (no
 * key, or no year of four digits), -EIO (OpenSSL). */
int request_token(const struct secret *auth_key, int64_t now, const char *value, size_t len,
		  char ret[REQUEST_TOKEN_LEN + 1]) _must_check_;

/* The spellings of one CSR over which the CA may compute the MAC; nobody has documented which text it keeps, and the validator
 * takes the first token that matches, so one token for each is published. In this order: LF with a final newline, LF without,
 * CRLF, one line with the armour, base64 only. Line ends of csr_pem do not matter. The number of texts in ret, which the
 * caller frees: REQUEST_TOKEN_VARIANTS, or 0 when csr_pem is no CSR in PEM. */
size_t request_token_variants(const char *csr_pem, char *ret[REQUEST_TOKEN_VARIANTS]);

/* The second half of a token, for the tests: 256 bits, most significant byte first. */
void request_token_base36(const unsigned char number[32], char ret[51]);
