/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/proofs.h"

#include "common/mem.h"
#include "common/timefmt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define STAMP_LEN  14
#define DIGITS_LEN (PROOFS_TOKEN_LEN - STAMP_LEN)
#define MAC_LEN	   32

/* A 256-bit number in base 36, lower case, with leading zeros: long division, from the last digit on. */
static void base36(unsigned char mac[MAC_LEN], char *out)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	for (size_t i = DIGITS_LEN; i-- > 0;) {
		unsigned rest = 0;
		for (size_t k = 0; k < MAC_LEN; k++) {
			unsigned part = rest << 8 | mac[k];
			mac[k] = (unsigned char)(part / 36);
			rest = part % 36;
		}
		out[i] = digits[rest];
	}
	out[DIGITS_LEN] = '\0';
}

void proof_make_token(const char *auth_key, const char *stamp, const char *csr,
		      char out[PROOFS_TOKEN_LEN + 1])
{
	_cleanup_free_ char *text = xasprintf("%.*s%s", STAMP_LEN, stamp, csr);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	if (!HMAC(EVP_sha256(), auth_key, (int)strlen(auth_key), (const unsigned char *)text, strlen(text),
		  mac, &len) ||
	    len != MAC_LEN)
		abort();
	memcpy(out, stamp, STAMP_LEN);
	base36(mac, out + STAMP_LEN);
}

/* yyyyMMddHHmmss in UTC; false when it is no such instant. */
static bool read_stamp(const char *s, int64_t *ret)
{
	if (strspn(s, "0123456789") < STAMP_LEN)
		return false;
	_cleanup_free_ char *text =
		xasprintf("%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s, s + 4, s + 6, s + 8, s + 10, s + 12);
	return timefmt_parse_rfc3339(text, ret) == 0;
}

/* Made in the future: refused, without any tolerance. Older than 30 days: refused. */
static bool token_is_good(const struct proof *p, const char token[PROOFS_TOKEN_LEN + 1])
{
	int64_t at = 0;
	if (!read_stamp(token, &at) || at > p->now || p->now - at > PROOFS_TOKEN_LIFE_S)
		return false;
	char want[PROOFS_TOKEN_LEN + 1];
	proof_make_token(p->auth_key, token, p->csr, want);
	return !strcmp(want, token);
}

/* Candidates are 64 characters that begin with the digits of this year or the last. */
static bool token_in(const struct proof *p, const char *text, size_t len)
{
	char today[TIMEFMT_MAX], before[TIMEFMT_MAX];
	timefmt_rfc3339(p->now, today);
	timefmt_rfc3339(p->now - 365 * INT64_C(86400), before);
	for (size_t i = 0; i + PROOFS_TOKEN_LEN <= len; i++) {
		if (memcmp(text + i, today, 4) != 0 && memcmp(text + i, before, 4) != 0)
			continue;
		char token[PROOFS_TOKEN_LEN + 1];
		memcpy(token, text + i, PROOFS_TOKEN_LEN);
		token[PROOFS_TOKEN_LEN] = '\0';
		if (token_is_good(p, token))
			return true;
	}
	return false;
}

bool proof_in(const struct proof *p, const char *text, size_t len)
{
	if (p->value)
		return memmem(text, len, p->value, strlen(p->value)) != NULL;
	return token_in(p, text, len);
}
