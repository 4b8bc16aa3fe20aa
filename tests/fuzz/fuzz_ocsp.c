/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back when an OCSP responder is asked over plain HTTP: from it, or from anybody on the way. An input in PEM is taken
 * for the certificate itself, which names the responder. */
#include "common/mem.h"
#include "daemon/pki/revocation.h"
#include "tests/fuzz/revocation_chain.h"

#include <errno.h>

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct err *e)
{
	CHECK(e->code == -EBADMSG && e->text[0] != '\0');
	for (const char *p = e->text; *p != '\0'; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void try_urls(const char *pem, size_t len)
{
	struct revocation_urls u = { 0 };
	struct err e = ERR_INIT;

	if (revocation_urls(pem, len, &u, &e) < 0)
		check_text(&e);
	const char *const urls[] = { u.ocsp, u.crl, u.issuer_url };
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++)
		for (const char *p = urls[i]; p != NULL && *p != '\0'; p++)
			CHECK(*p > ' ' && *p < 0x7f);
	revocation_urls_done(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revocation_status s = { .next_update = -7 };
	struct err e = ERR_INIT;

	if (size > 0 && data[0] == '-')
		try_urls((const char *)data, size);
	if (revocation_ocsp_read(fuzz_chain, strlen(fuzz_chain), data, size, FUZZ_NOW, &s, &e) < 0) {
		check_text(&e);
		CHECK(s.next_update == -7);
		return 0;
	}
	CHECK(e.code == 0 && s.state <= REVOCATION_REVOKED);
	CHECK((s.revoked_at == 0 && s.reason[0] == '\0') || s.state == REVOCATION_REVOKED);
	CHECK(s.next_update == 0 || s.next_update >= FUZZ_NOW - REVOCATION_SLACK_S);
	return 0;
}
