/* SPDX-License-Identifier: Apache-2.0 */
/* What is wanted of a server: which files can say so, and what is known of them. What servers present is held against it in
 * test_tlslook.c and test_verify.c. */
#include "daemon/pki/served.h"

#include "tests/unit/tls_server.h"

static struct site *site;

static void test_wanted(_unused_ void **state)
{
	struct site *rsa = site_new(testpki_rsa(2048), "www.example.jp", 90);
	struct wanted *w = NULL;
	struct served_facts f;
	int64_t now = (int64_t)time(NULL);

	assert_int_equal(wanted_new(site->fullchain, NULL, &w, NULL), 0);
	assert_int_equal(wanted_kind(w), SERVED_KIND_EC);
	wanted_facts(w, &f);
	assert_string_equal(f.issuer, "Test Intermediate");
	assert_in_range(f.not_after, now + 90 * TESTPKI_DAY - 60, now + 90 * TESTPKI_DAY);
	assert_true(strlen(f.serial) >= 2 && strspn(f.serial, "0123456789abcdef") == strlen(f.serial));
	wanted_free(w);
	assert_int_equal(wanted_new(rsa->leaf_pem, NULL, &w, NULL), 0);
	assert_int_equal(wanted_kind(w), SERVED_KIND_RSA);
	wanted_free(w);
	site_free(rsa);
}

static void test_unreadable(_unused_ void **state)
{
	static const char *const bad[] = { "", "rubbish",
					   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
	const char *const older[] = { bad[0], bad[1], bad[2], NULL };
	struct err err = ERR_INIT;
	struct wanted *w = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(wanted_new(bad[i], NULL, &w, &err) < 0);
		assert_null(w);
		assert_int_not_equal(err.text[0], '\0');
	}
	assert_int_equal(wanted_new(site->fullchain, older, &w, NULL), 0);
	wanted_free(w);
	wanted_free(NULL);
	served_free(NULL);
}

/* More of them than are kept: the newest come first, so these count. */
static void test_many_older(_unused_ void **state)
{
	const char *older[33] = { NULL };
	struct wanted *w = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(older) - 1; i++)
		older[i] = site->fullchain;
	assert_int_equal(wanted_new(site->leaf_pem, older, &w, NULL), 0);
	wanted_free(w);
}

static int group_setup(_unused_ void **state)
{
	site = site_new(testpki_ec(), "www.example.jp", 90);
	return 0;
}

static int group_teardown(_unused_ void **state)
{
	site_free(site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_many_older),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
