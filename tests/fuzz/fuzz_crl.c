/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back when a CRL is fetched over plain HTTP: from the CA, or from anybody on the way. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revocation_status s = { .next_update = -7 };
	struct err e = ERR_INIT;

	if (revocation_crl_read(fuzz_chain, strlen(fuzz_chain), data, size, FUZZ_NOW, &s, &e) < 0) {
		check_text(&e);
		CHECK(s.next_update == -7);
		return 0;
	}
	CHECK(e.code == 0 && s.state <= REVOCATION_REVOKED);
	CHECK((s.revoked_at == 0 && s.reason[0] == '\0') || s.state == REVOCATION_REVOKED);
	CHECK(s.state != REVOCATION_UNKNOWN && s.next_update >= FUZZ_NOW - REVOCATION_SLACK_S);
	return 0;
}
