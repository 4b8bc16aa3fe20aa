/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS server's answer to a dynamic update, or to the question for the zone (the first byte of the input says which). The
 * query's MAC, the key and the clock are fixed, so that the corpus holds answers whose signature is right. */
#include "daemon/dcv/rfc2136.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>

#define NOW  1800000000
#define NAME "_dnsauth.www.example.test"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tsig_key key;

static void start(void)
{
	static const char text[] = "key upd { algorithm hmac-sha256; secret "
				   "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"; };";

	CHECK(tsig_key_parse(text, strlen(text), &key, NULL) == 0);
}

static void check_answer(const struct rfc2136_answer *a, bool soa)
{
	CHECK(a->rcode < 16 && a->tsig_error < 65536);
	CHECK(!a->has_clock || a->tsig_error == RFC2136_BADTIME);
	CHECK(soa || (a->zone[0] == '\0' && !a->alias && !a->referral));
	if (a->zone[0] != '\0') {
		size_t n = strlen(NAME), m = strlen(a->zone);

		/* the very name or one of its parents, in whatever case */
		CHECK(m <= n && (m == n || NAME[n - m - 1] == '.'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool soa = size > 0 && (data[0] & 1) != 0;
	unsigned char header[12] = { 0x12, 0x34, soa ? 0x00 : 0x28 };
	struct rfc2136_message query = {
		.wire = header, .len = sizeof header, .mac_len = 34, .signed_at = NOW
	};
	struct rfc2136_answer a = { 0 };
	struct err e = ERR_INIT;

	if (!key.secret)
		start();
	query.mac[1] = 32;
	if (size == 0)
		return 0;
	if (rfc2136_read(&query, &key, soa ? NAME : NULL, NOW, data + 1, size - 1, &a, &e) < 0)
		CHECK(e.code < 0 && str_has_prefix(e.text, "the answer"));
	else
		check_answer(&a, soa);
	return 0;
}
