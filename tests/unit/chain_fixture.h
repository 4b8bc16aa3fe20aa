/* SPDX-License-Identifier: Apache-2.0 */
/* The CA, the key and the good chain that the tests of chain_check share. */
#pragma once

#include "daemon/pki/chain.h"

#include "tests/unit/testpki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW  TESTPKI_NOW
#define SANS "DNS:www.example.com,DNS:example.com,DNS:*.wild.example.com"

/* root <- ica <- leaf; other_root is trusted by nobody; old_root is trusted and has cross-signed new_root */
static struct {
	EVP_PKEY *root_key, *ica_key, *leaf_key, *other_key, *ec2_key;
	X509 *root, *ica, *leaf, *other_root, *old_root, *stored_ica;
	char *root_pem, *ica_pem, *leaf_pem, *bundle;
	struct key *key;
	struct trust *trust;
} pki;

static const char *const wanted[] = { "example.com", "www.example.com" };

static inline _unused_ int check_at(const char *pem, size_t len, const char *const *names, size_t n_names,
				    int64_t now, struct chain **ret, struct err *e)
{
	return chain_check(pem, len, pki.key, names, n_names, now, pki.trust, ret, e);
}

static inline _unused_ char *join(const char *a, const char *b, const char *c)
{
	return xasprintf("%s%s%s", a, b, c);
}

static inline _unused_ X509 *make_ca(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	return testpki_issue(&(struct testpki_spec){ .cn = cn,
						     .key = key,
						     .issuer = issuer,
						     .issuer_key = issuer_key,
						     .bc = "critical,CA:TRUE",
						     .ku = "critical,keyCertSign,cRLSign",
						     .from = NOW - 1000 * TESTPKI_DAY,
						     .to = NOW + 1000 * TESTPKI_DAY });
}

static inline _unused_ struct testpki_spec leaf_spec(void)
{
	return (struct testpki_spec){ .cn = "example.com",
				      .key = pki.leaf_key,
				      .issuer = pki.ica,
				      .issuer_key = pki.ica_key,
				      .sans = SANS,
				      .ku = "critical,digitalSignature",
				      .eku = "serverAuth" };
}

static inline _unused_ int setup(void **state)
{
	char path[] = "/tmp/test_chain.XXXXXX";
	char *other, *old;
	int fd;

	(void)state;
	pki.root_key = testpki_ec();
	pki.ica_key = testpki_ec();
	pki.leaf_key = testpki_ec();
	pki.other_key = testpki_ec();
	pki.ec2_key = testpki_ec();
	pki.root = make_ca("Test Root", pki.root_key, NULL, NULL);
	pki.old_root = make_ca("Old Root", pki.other_key, NULL, NULL);
	pki.other_root = make_ca("Foreign Root", pki.ec2_key, NULL, NULL);
	pki.ica = make_ca("Test ICA", pki.ica_key, pki.root, pki.root_key);
	pki.stored_ica = make_ca("Stored ICA", pki.ec2_key, pki.root, pki.root_key);
	struct testpki_spec s = leaf_spec();
	pki.leaf = testpki_issue(&s);
	pki.root_pem = testpki_pem(pki.root);
	pki.ica_pem = testpki_pem(pki.ica);
	pki.leaf_pem = testpki_pem(pki.leaf);
	pki.bundle = join(pki.leaf_pem, pki.ica_pem, "");
	pki.key = testpki_key(pki.leaf_key);
	other = testpki_pem(pki.stored_ica);
	old = testpki_pem(pki.old_root);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "%s%s%s", pki.root_pem, old, other) > 0);
	close(fd);
	assert_int_equal(trust_new(path, &pki.trust, NULL), 0);
	unlink(path);
	free(other);
	free(old);
	return 0;
}

static inline _unused_ int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(pki.root_key);
	EVP_PKEY_free(pki.ica_key);
	EVP_PKEY_free(pki.leaf_key);
	EVP_PKEY_free(pki.other_key);
	EVP_PKEY_free(pki.ec2_key);
	X509_free(pki.root);
	X509_free(pki.ica);
	X509_free(pki.leaf);
	X509_free(pki.other_root);
	X509_free(pki.old_root);
	X509_free(pki.stored_ica);
	free(pki.root_pem);
	free(pki.ica_pem);
	free(pki.leaf_pem);
	free(pki.bundle);
	key_free(pki.key);
	trust_free(pki.trust);
	return 0;
}
