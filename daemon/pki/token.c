/* SPDX-License-Identifier: Apache-2.0 */
/* Request tokens: time, HMAC and base 36. Pure; publishing them is the business of daemon/dcv. */
#include "daemon/pki/token.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "daemon/pki/internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define BACK_S	  300	       /* a clock that is some minutes fast must not put the token into the future */
#define YEAR_MAX  253402300800 /* 10000-01-01 */
#define STAMP_LEN 14
#define DIGITS	  50 /* 36^50 > 2^256 */
#define MAC_LEN	  32
#define VALUE_MAX (64UL * 1024)

void request_token_base36(const unsigned char number[MAC_LEN], char ret[DIGITS + 1])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	unsigned char rest[MAC_LEN];

	memcpy(rest, number, sizeof rest);
	ret[DIGITS] = '\0';
	for (size_t i = DIGITS; i-- > 0;) {
		unsigned carry = 0;

		for (size_t j = 0; j < sizeof rest; j++) {
			carry = carry << 8 | rest[j];
			rest[j] = (unsigned char)(carry / 36);
			carry %= 36;
		}
		ret[i] = digits[carry];
	}
}

static int format_stamp(int64_t at, char ret[STAMP_LEN + 1])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (at < 0 || at >= YEAR_MAX || !gmtime_r(&t, &tm) ||
	    strftime(ret, STAMP_LEN + 1, "%Y%m%d%H%M%S", &tm) != STAMP_LEN)
		return -EINVAL;
	return 0;
}

int request_token(const struct secret *auth_key, int64_t now, const char *value, size_t len,
		  char ret[REQUEST_TOKEN_LEN + 1])
{
	_clear_queue_;
	char stamp[STAMP_LEN + 1] = "";
	unsigned char mac[MAC_LEN];
	_cleanup_free_ unsigned char *text = NULL;
	size_t mac_len = 0;

	if (secret_len(auth_key) == 0 || len > VALUE_MAX || now < BACK_S ||
	    format_stamp(now - BACK_S, stamp) < 0)
		return -EINVAL;
	text = xmalloc(STAMP_LEN + len + 1);
	memcpy(text, stamp, STAMP_LEN);
	if (len > 0)
		memcpy(text + STAMP_LEN, value, len);
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret_bytes(auth_key), secret_len(auth_key), text,
		       STAMP_LEN + len, mac, sizeof mac, &mac_len) ||
	    mac_len != sizeof mac)
		return -EIO;
	memcpy(ret, stamp, STAMP_LEN);
	request_token_base36(mac, ret + STAMP_LEN);
	return 0;
}

/* --- spellings of a CSR ---------------------------------------------------------------------------- */

static bool is_armour(const char *line, size_t len)
{
	return len >= 5 && memcmp(line, "-----", 5) == 0;
}

static bool is_csr(const char *pem)
{
	return str_has_prefix(pem, "-----BEGIN CERTIFICATE REQUEST-----") ||
	       str_has_prefix(pem, "-----BEGIN NEW CERTIFICATE REQUEST-----");
}

/* All lines that are not empty, with eol between them. */
static char *join_lines(const char *pem, const char *eol, bool armour, bool last_eol)
{
	struct strbuf sb = STRBUF_INIT(2 * VALUE_MAX);

	for (const char *p = pem; *p; p += strspn(p, "\r\n")) {
		size_t len = strcspn(p, "\r\n");

		if (armour || !is_armour(p, len)) {
			strbuf_adds(&sb, sb.len > 0 ? eol : "");
			strbuf_add(&sb, p, len);
		}
		p += len;
	}
	strbuf_adds(&sb, last_eol ? eol : "");
	return strbuf_take(&sb);
}

size_t request_token_variants(const char *csr_pem, char *ret[REQUEST_TOKEN_VARIANTS])
{
	if (!is_csr(csr_pem) || strlen(csr_pem) > VALUE_MAX / 2)
		return 0;
	ret[0] = join_lines(csr_pem, "\n", true, true);
	ret[1] = join_lines(csr_pem, "\n", true, false);
	ret[2] = join_lines(csr_pem, "\r\n", true, true);
	ret[3] = join_lines(csr_pem, "", true, false);
	ret[4] = join_lines(csr_pem, "", false, false);
	return REQUEST_TOKEN_VARIANTS;
}
