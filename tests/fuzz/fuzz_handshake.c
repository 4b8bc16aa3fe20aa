/* SPDX-License-Identifier: Apache-2.0 */
/* What anybody may send to a TLS client that looks at a server. Our hello is another one each time, so no input comes to the end of a
 * handshake; but one that asks for a certificate of ours in TLS 1.2, with a key exchange by RSA, and then closes, has shown its own. */
#include "common/mem.h"
#include "daemon/pki/handshake.h"
#include "tests/fuzz/revocation_chain.h"

#include <errno.h>
#include <stdio.h>

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

#define PIECE_MAX 700

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct err *e)
{
	CHECK(e->code == -EPROTO && e->text[0] != '\0');
	for (const char *p = e->text; *p != '\0'; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_served(const struct served *s)
{
	struct served_facts f;
	struct wanted *w = NULL;
	char missing[SERVED_NAME_MAX];

	CHECK(served_count(s) > 0 && served_count(s) <= 10);
	served_facts(s, &f);
	CHECK(strpbrk(f.issuer, "\r\n\x1b") == NULL && f.serial[0] != '\0');
	CHECK(wanted_new(fuzz_chain, NULL, &w, NULL) == 0);
	CHECK((served_judge(s, w, FUZZ_NOW, missing) == SERVED_INCOMPLETE) == (missing[0] != '\0'));
	(void)served_leaf_kind(s);
	wanted_free(w);
}

static void pull_all(struct handshake *h)
{
	char buf[PIECE_MAX];
	size_t n = 0, sum = 0;

	while ((n = handshake_pull(h, buf, sizeof buf)) > 0)
		sum += n;
	CHECK(sum < 20000);
}

/* In pieces, as a network delivers them; then the peer closes. */
static void try_kind(enum served_kind kind, const uint8_t *data, size_t size, size_t piece)
{
	struct handshake *h = NULL;
	struct served *s = NULL;
	struct err e = ERR_INIT;
	int r;

	CHECK(handshake_new("www.example.jp", kind, &h, &e) == 0);
	r = handshake_feed(h, NULL, 0, &e);
	CHECK(r == 0);
	pull_all(h);
	for (size_t at = 0; r == 0 && at < size; at += piece) {
		r = handshake_feed(h, data + at, MIN(piece, size - at), &e);
		pull_all(h);
	}
	if (r == 0)
		r = handshake_eof(h, &e);
	s = handshake_take_served(h);
	CHECK((r == 1) == (s != NULL));
	if (s)
		check_served(s);
	else
		check_text(&e);
	served_free(s);
	handshake_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_kind(SERVED_KIND_ANY, data, size, PIECE_MAX);
	try_kind(size % 2 == 0 ? SERVED_KIND_RSA : SERVED_KIND_EC, data, size, size % PIECE_MAX + 1);
	return 0;
}
