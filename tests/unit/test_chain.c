/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain_fixture.h"

#include "common/strbuf.h"

#include <errno.h>
#include <pthread.h>

/* ---- what must pass ---- */

static void good_text(const char *pem, const char *want_chain)
{
	struct err e = ERR_INIT;
	struct chain *c = NULL;
	int r = check_at(pem, strlen(pem), wanted, 2, NOW, &c, &e);

	if (r != 0)
		print_error("%s\n", e.text);
	assert_int_equal(r, 0);
	assert_string_equal(c->cert, pki.leaf_pem);
	assert_string_equal(c->chain, want_chain);
	char *full = join(c->cert, c->chain, "");
	assert_string_equal(c->fullchain, full);
	assert_null(strchr(c->fullchain, '\r'));
	free(full);
	chain_free(c);
}

static void good_free(char *pem, const char *want_chain)
{
	good_text(pem, want_chain);
	free(pem);
}

static char *crlf(const char *s)
{
	struct strbuf sb = STRBUF_INIT(1u << 20);

	for (; *s != '\0'; s++) {
		if (*s == '\n')
			strbuf_addc(&sb, '\r');
		strbuf_addc(&sb, *s);
	}
	return strbuf_take(&sb);
}

static void test_good_forms(void **state)
{
	(void)state;
	good_text(pki.bundle, pki.ica_pem);
	good_free(crlf(pki.bundle), pki.ica_pem);
	good_free(join(pki.ica_pem, pki.leaf_pem, ""), pki.ica_pem);
	good_free(join(pki.root_pem, pki.ica_pem, pki.leaf_pem), pki.ica_pem);
	good_free(join(pki.bundle, pki.bundle, pki.root_pem), pki.ica_pem);
	good_free(join("\xef\xbb\xbf\n\nsubject=example.com\n", pki.leaf_pem, pki.ica_pem), pki.ica_pem);
	good_free(xasprintf("%sissuer: who knows\n%s\n\n%s bye", pki.leaf_pem, pki.ica_pem, pki.root_pem),
		  pki.ica_pem);
	/* an unrelated certificate is left out */
	char *foreign = testpki_pem(pki.other_root);
	good_free(join(foreign, pki.leaf_pem, pki.ica_pem), pki.ica_pem);
	free(foreign);
}

static void test_one_line_blocks(void **state)
{
	/* base64 without line breaks, header and footer kept: one of the forms the API uses */
	struct strbuf sb = STRBUF_INIT(1u << 20);
	const char *p = pki.bundle;

	(void)state;
	for (; *p != '\0'; p++)
		if (*p != '\n')
			strbuf_addc(&sb, *p);
	good_free(strbuf_take(&sb), pki.ica_pem);
}

static void test_info(void **state)
{
	struct chain *c = NULL;
	struct cert_info i;

	(void)state;
	assert_int_equal(check_at(pki.bundle, strlen(pki.bundle), wanted, 2, NOW, &c, NULL), 0);
	assert_int_equal(c->info.not_before, NOW - TESTPKI_DAY);
	assert_int_equal(c->info.not_after, NOW + 90 * TESTPKI_DAY);
	assert_int_equal(c->info.n_names, 3);
	assert_string_equal(c->info.names[0], "www.example.com");
	assert_int_equal(strlen(c->info.fingerprint), 64);
	assert_true(strlen(c->info.serial) % 2 == 0 && strncmp(c->info.serial, "12345678", 8) == 0);
	assert_int_equal(cert_read(c->fullchain, strlen(c->fullchain), &i, NULL), 0);
	assert_string_equal(i.fingerprint, c->info.fingerprint);
	assert_string_equal(i.serial, c->info.serial);
	cert_info_done(&i);
	assert_true(cert_belongs(c->cert, strlen(c->cert), pki.key));
	assert_false(cert_belongs(pki.ica_pem, strlen(pki.ica_pem), pki.key));
	assert_false(cert_belongs("", 0, pki.key));
	assert_int_equal(cert_read("nothing", 7, &i, NULL), -EBADMSG);
	chain_free(c);
}

static void test_good_names(void **state)
{
	const char *const names[] = { "a.wild.example.com", "WWW.Example.com", "*.wild.example.com" };
	struct chain *c = NULL;

	(void)state;
	assert_int_equal(check_at(pki.bundle, strlen(pki.bundle), names, 3, NOW, &c, NULL), 0);
	chain_free(c);
}

static void test_good_slightly_ahead(void **state)
{
	struct testpki_spec s = leaf_spec();
	struct err e = ERR_INIT;
	struct chain *c = NULL;

	(void)state;
	s.from = NOW + 3600;
	X509 *x = testpki_issue(&s);
	char *leaf = testpki_pem(x), *pem = join(leaf, pki.ica_pem, "");
	assert_int_equal(check_at(pem, strlen(pem), wanted, 2, NOW, &c, &e), 0);
	chain_free(c);
	X509_free(x);
	free(leaf);
	free(pem);
}

static void test_good_leaf_of_root(void **state)
{
	struct testpki_spec s = leaf_spec();
	struct chain *c = NULL;

	(void)state;
	s.issuer = pki.root;
	s.issuer_key = pki.root_key;
	X509 *x = testpki_issue(&s);
	char *pem = testpki_pem(x);
	assert_int_equal(check_at(pem, strlen(pem), wanted, 2, NOW, &c, NULL), 0);
	assert_string_equal(c->chain, "");
	assert_string_equal(c->fullchain, pem);
	chain_free(c);
	X509_free(x);
	free(pem);
}

/* The root is trusted itself, and its cross certificate by an older root was sent as well: it stays in. */
static void test_good_cross(void **state)
{
	X509 *cross = make_ca("Test Root", pki.root_key, pki.old_root, pki.other_key);
	char *cross_pem = testpki_pem(cross), *want = join(pki.ica_pem, cross_pem, "");

	(void)state;
	good_free(xasprintf("%s%s%s", cross_pem, pki.bundle, pki.root_pem), want);
	X509_free(cross);
	free(cross_pem);
	free(want);
	/* expired, it is dropped without harm */
	cross = testpki_issue(&(struct testpki_spec){ .cn = "Test Root",
						      .key = pki.root_key,
						      .issuer = pki.old_root,
						      .issuer_key = pki.other_key,
						      .bc = "critical,CA:TRUE",
						      .to = NOW - 1 });
	cross_pem = testpki_pem(cross);
	good_free(join(pki.bundle, cross_pem, ""), pki.ica_pem);
	X509_free(cross);
	free(cross_pem);
}

/* Two intermediates of one name and without key identifiers would both fit; the signature decides. */
static void test_good_twin(void **state)
{
	X509 *twin = make_ca("Test ICA", pki.ec2_key, pki.root, pki.root_key);
	char *twin_pem = testpki_pem(twin);

	(void)state;
	good_free(join(twin_pem, pki.ica_pem, pki.leaf_pem), pki.ica_pem);
	good_free(join(pki.ica_pem, twin_pem, pki.leaf_pem), pki.ica_pem);
	X509_free(twin);
	free(twin_pem);
}

/* ---- the rest ---- */

static void test_trust(void **state)
{
	struct err e = ERR_INIT;
	struct trust *t = NULL;
	char path[] = "/tmp/test_chain.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(trust_new("/nonexistent/ca.pem", &t, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/ca.pem"));
	assert_int_equal(trust_new(path, &t, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "no certificate"));
	assert_true(dprintf(fd, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") > 0);
	assert_int_equal(trust_new(path, &t, &e), -EBADMSG);
	assert_null(t);
	close(fd);
	unlink(path);
	trust_free(NULL);
	chain_free(NULL);
}

static void *hammer(void *arg)
{
	size_t *n_good = arg;

	for (int i = 0; i < 100; i++) {
		struct chain *c = NULL;

		if (check_at(pki.bundle, strlen(pki.bundle), wanted, 2, NOW, &c, NULL) == 0)
			(*n_good)++;
		chain_free(c);
		(void)check_at(pki.leaf_pem, strlen(pki.leaf_pem), wanted, 2, NOW, &c, NULL);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[4];
	size_t n_good[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, &n_good[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(n_good[i], 100);
	}
}

/* Every cut and many single-byte changes: an answer, never a crash, never another certificate. */
static void test_damage(void **state)
{
	size_t len = strlen(pki.bundle);
	char *s = xstrdup(pki.bundle);

	(void)state;
	for (size_t i = 0; i < len; i += 3) {
		struct chain *c = NULL;
		char keep = s[i];

		s[i] = (char)(keep ^ 4);
		if (check_at(s, len, wanted, 2, NOW, &c, NULL) == 0)
			assert_string_equal(c->cert, pki.leaf_pem);
		chain_free(c);
		c = NULL;
		s[i] = keep;
		if (i < strlen(pki.leaf_pem))
			assert_int_equal(check_at(s, i, wanted, 2, NOW, &c, NULL), -EBADMSG);
	}
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads), /* first: nobody has used the trusted roots yet */
		cmocka_unit_test(test_good_forms),
		cmocka_unit_test(test_one_line_blocks),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_good_names),
		cmocka_unit_test(test_good_slightly_ahead),
		cmocka_unit_test(test_good_leaf_of_root),
		cmocka_unit_test(test_good_cross),
		cmocka_unit_test(test_good_twin),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
