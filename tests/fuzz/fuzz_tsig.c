/* SPDX-License-Identifier: Apache-2.0 */
/* The key file of a DNS provider. Whatever stands in it, an error text never repeats a run of letters that could be the
 * secret. */
#include "config/tsig.h"

#include <string.h>

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

#define RUN_MAX 20 /* the shortest secret has 22 characters besides padding */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

static void check_text(const struct err *e)
{
	CHECK(e->code < 0 && strncmp(e->text, "line ", 5) == 0);
	for (const char *p = e->text; *p != '\0'; p++) {
		CHECK((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
		CHECK(strspn(p, base64) < RUN_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsig_key k = { 0 };
	struct err e = ERR_INIT;

	if (tsig_key_parse((const char *)data, size, &k, &e) < 0) {
		check_text(&e);
		CHECK(k.secret == NULL);
		return 0;
	}
	CHECK(strspn(k.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(k.name) &&
	      k.name[0] != '\0');
	CHECK(strcmp(k.algorithm, "hmac-sha256") == 0 || strcmp(k.algorithm, "hmac-sha512") == 0);
	CHECK(secret_len(k.secret) >= RUN_MAX && secret_len(k.secret) % 4 == 0);
	CHECK(strspn(secret_bytes(k.secret), base64) == secret_len(k.secret));
	tsig_key_done(&k);
	return 0;
}
