/* SPDX-License-Identifier: Apache-2.0 */
/* What the CA sends as a chain, and what may lie in a key or certificate file. Key, root and clock are fixed, so that the
 * corpus holds chains that pass and every check behind the first is reached. The private number of the key is 1: there is
 * nothing to keep secret. */
#include "common/mem.h"
#include "daemon/pki/chain.h"

#define NOW 1800000000

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
			      "MDECAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABoAoGCCqGSM49\n"
			      "AwEH\n"
			      "-----END EC PRIVATE KEY-----\n";

static const char root_pem[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIBXDCCAQOgAwIBAgIFEjRWeJAwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJRnV6\n"
			       "eiBSb290MB4XDTI0MDQyMDA4MDAwMFoXDTI5MTAxMTA4MDAwMFowFDESMBAGA1UE\n"
			       "AwwJRnV6eiBSb290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXsvk0aYzCkTI\n"
			       "9++VHUvxZebGtyHvramF+0FmG8bn/WyHNGQMSZj/fjdLBs4aZKLs2CqwNjhPuD2a\n"
			       "ebEnon1QMqNCMEAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU/Cy3ASlFL5Nk\n"
			       "ArmcnN6iZ0ErEoAwDgYDVR0PAQH/BAQDAgEGMAoGCCqGSM49BAMCA0cAMEQCIH51\n"
			       "GfZpSPvIGsvNShbB7Sc5Iyl+qoC+YsYw3noqzIEYAiB6ohylE0E8uPDRx55WrfSH\n"
			       "ysiV8l3XBODq/HOCWHkVwg==\n"
			       "-----END CERTIFICATE-----\n";

static struct key *key;
static struct trust *trust;

static void start(void)
{
	char path[] = "/tmp/fuzz_pem.XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, root_pem, strlen(root_pem)) == (ssize_t)strlen(root_pem));
	close(fd);
	CHECK(key_from_pem(key_pem, strlen(key_pem), &key, NULL) == 0);
	CHECK(trust_new(path, &trust, NULL) == 0);
	unlink(path);
}

static void check_text(const struct err *e)
{
	CHECK(e->code < 0 && e->text[0] != '\0');
	for (const char *p = e->text; *p != '\0'; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_info(const struct cert_info *i)
{
	CHECK(strlen(i->fingerprint) == 64 && strlen(i->serial) % 2 == 0 && i->n_names <= CHAIN_NAMES_MAX);
	for (size_t n = 0; n < i->n_names; n++)
		CHECK(i->names[n][0] != '\0' && strpbrk(i->names[n], "/\r\n \x1b%") == NULL);
}

static void try_chain(const char *pem, size_t len)
{
	const char *const names[] = { "www.example.com" };
	struct chain *c = NULL, *again = NULL;
	struct err e = ERR_INIT;

	if (chain_check(pem, len, key, names, 1, NOW, trust, &c, &e) < 0) {
		CHECK(c == NULL);
		check_text(&e);
		return;
	}
	check_info(&c->info);
	CHECK(c->info.not_after > NOW && c->info.n_names > 0);
	CHECK(cert_belongs(c->cert, strlen(c->cert), key) && strchr(c->fullchain, '\r') == NULL);
	/* what we wrote ourselves is as good as what came in */
	CHECK(chain_check(c->fullchain, strlen(c->fullchain), key, names, 1, NOW, trust, &again, NULL) == 0);
	CHECK(strcmp(again->fullchain, c->fullchain) == 0 && strcmp(again->chain, c->chain) == 0);
	chain_free(c);
	chain_free(again);
}

static void try_rest(const char *pem, size_t len)
{
	_cleanup_free_ char *text = xstrndup(pem, len);
	struct cert_info i = { 0 };
	struct err e = ERR_INIT;
	struct key *k = NULL;

	if (cert_read(pem, len, &i, &e) == 0)
		check_info(&i);
	else
		check_text(&e);
	cert_info_done(&i);
	(void)cert_belongs(pem, len, key);
	if (key_from_pem(pem, len, &k, &e) < 0)
		check_text(&e);
	key_free(k);
	(void)csr_same(text, key_pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (key == NULL)
		start();
	try_chain((const char *)data, size);
	try_rest((const char *)data, size);
	return 0;
}
