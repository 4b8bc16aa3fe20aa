/* SPDX-License-Identifier: Apache-2.0 */
/* The request bodies, the one that costs money first: exactly the documented fields, and nothing else. */
#include "common/mem.h"
#include "daemon/certcentral/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CSR                                                                                                  \
	"-----BEGIN CERTIFICATE REQUEST-----\nMIHQMHgCAQAwFjEUMBIGA1UEAwwL/+==\n"                            \
	"-----END CERTIFICATE REQUEST-----\n"

static const char *const names[] = { "example.com", "www.example.com", "xn--r8jz45g.jp" };

static char *encode(const struct cc_order *o)
{
	struct strbuf sb = STRBUF_INIT(65536);

	cc_encode_order(o, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static void test_all_fields(void **state)
{
	const struct cc_order o = {
		.product = "ssl_dv_geotrust",
		.names = names,
		.n_names = 3,
		.csr = CSR,
		.reference = "ref-1",
		.dcv_method = "http-token",
		.order_years = 1,
		.cert_days = 199,
		.payment_method = "balance",
	};
	_cleanup_free_ char *text = encode(&o);

	(void)state;
	assert_string_equal(
		text, "{\"certificate\":{\"common_name\":\"example.com\","
		      "\"dns_names\":[\"www.example.com\",\"xn--r8jz45g.jp\"],"
		      "\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\nMIHQMHgCAQAwFjEUMBIGA1UEAwwL/+==\\n"
		      "-----END CERTIFICATE REQUEST-----\\n\","
		      "\"signature_hash\":\"sha256\",\"server_platform\":{\"id\":-1},"
		      "\"cert_validity\":{\"days\":199}},"
		      "\"order_validity\":{\"years\":1},\"dcv_method\":\"http-token\","
		      "\"use_auth_key\":false,\"skip_approval\":true,\"alternative_order_id\":\"ref-1\","
		      "\"disable_renewal_notifications\":true,\"payment_method\":\"balance\"}");
}

static void test_optional_fields_stay_out(void **state)
{
	const struct cc_order o = {
		.product = "ssl_dv_geotrust",
		.names = names,
		.n_names = 1,
		.csr = CSR,
		.reference = "ref \"2\"",
		.dcv_method = "http-token",
		.order_years = 3,
	};
	_cleanup_free_ char *text = encode(&o);

	(void)state;
	assert_null(strstr(text, "dns_names"));
	assert_null(strstr(text, "cert_validity"));
	assert_null(strstr(text, "payment_method"));
	assert_null(strstr(text, "auth_key_id"));
	assert_null(strstr(text, "renewal_of_order_id"));
	assert_null(strstr(text, "dcv_emails"));
	assert_non_null(strstr(text, "\"use_auth_key\":false"));
	assert_non_null(strstr(text, "\"order_validity\":{\"years\":3}"));
	assert_non_null(strstr(text, "\"ref \\\"2\\\"\""));
}

static struct cc_order minimal(const char *const *list, size_t n)
{
	return (struct cc_order){ .product = "wildcard_dv_geotrust",
				  .names = list,
				  .n_names = n,
				  .csr = CSR,
				  .reference = "r",
				  .dcv_method = "dns-txt-token",
				  .order_years = 1 };
}

static void test_instant_and_renewal(void **state)
{
	struct cc_order o = minimal(names, 1);
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *without = NULL;

	(void)state;
	o.use_auth_key = true;
	o.auth_key_id = "ABC";
	o.renewal_of_order_id = 112233;
	text = encode(&o);
	assert_non_null(
		strstr(text, "\"dcv_method\":\"dns-txt-token\",\"use_auth_key\":true,\"auth_key_id\":\"ABC\","
			     "\"skip_approval\":true,\"alternative_order_id\":\"r\","
			     "\"renewal_of_order_id\":112233,"));
	/* an id alone would make some accounts look for a token */
	o.use_auth_key = false;
	without = encode(&o);
	assert_non_null(strstr(without, "\"use_auth_key\":false"));
	assert_null(strstr(without, "auth_key_id"));
}

static void test_emails(void **state)
{
	static const char *const list[] = { "*.example.com", "Example.COM", "my.example.com", "example.jp",
					    "notexample.com" };
	static const char *const emails[] = { "hostmaster@example.com", "admin@my.example.com", "nobody",
					      "root@", "x@com.example.com" };
	struct cc_order o = minimal(list, ARRAY_SIZE(list));
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *other_method = NULL;
	_cleanup_free_ char *none = NULL;

	(void)state;
	o.dcv_emails = emails;
	o.n_dcv_emails = ARRAY_SIZE(emails);
	other_method = encode(&o);
	assert_null(strstr(other_method, "dcv_emails"));
	o.dcv_method = "email";
	text = encode(&o);
	/* the wildcard and its base are proven once, names without an address of theirs are left out */
	assert_non_null(strstr(text, "\"dcv_method\":\"email\",\"dcv_emails\":["
				     "{\"dns_name\":\"example.com\",\"email_domain\":\"example.com\","
				     "\"email\":\"hostmaster@example.com\"},"
				     "{\"dns_name\":\"my.example.com\",\"email_domain\":\"example.com\","
				     "\"email\":\"hostmaster@example.com\"},"
				     "{\"dns_name\":\"my.example.com\",\"email_domain\":\"my.example.com\","
				     "\"email\":\"admin@my.example.com\"}],\"use_auth_key\""));
	o.n_names = 1;
	o.names = list + 4;
	none = encode(&o);
	assert_null(strstr(none, "dcv_emails"));
}

static void test_reissue_and_duplicate(void **state)
{
	struct cc_order o = minimal(names, 2);
	struct strbuf reissue = STRBUF_INIT(65536);
	struct strbuf duplicate = STRBUF_INIT(65536);

	(void)state;
	o.cert_days = 90;
	o.payment_method = "balance";
	o.use_auth_key = true;
	o.auth_key_id = "ABC";
	o.renewal_of_order_id = 5;
	cc_encode_reissue(&o, &reissue);
	cc_encode_duplicate(&o, &duplicate);
	assert_string_equal(
		strbuf_str(&reissue),
		"{\"certificate\":{\"common_name\":\"example.com\",\"dns_names\":[\"www.example.com\"],"
		"\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\nMIHQMHgCAQAwFjEUMBIGA1UEAwwL/+==\\n"
		"-----END CERTIFICATE REQUEST-----\\n\",\"signature_hash\":\"sha256\","
		"\"server_platform\":{\"id\":-1},\"cert_validity\":{\"days\":90}},"
		"\"skip_approval\":true}");
	/* the end is the original's: no validity; the page knows no skip_approval */
	assert_string_equal(
		strbuf_str(&duplicate),
		"{\"certificate\":{\"common_name\":\"example.com\",\"dns_names\":[\"www.example.com\"],"
		"\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\nMIHQMHgCAQAwFjEUMBIGA1UEAwwL/+==\\n"
		"-----END CERTIFICATE REQUEST-----\\n\",\"signature_hash\":\"sha256\","
		"\"server_platform\":{\"id\":-1}}}");
	strbuf_clear(&reissue);
	o.cert_days = 0;
	cc_encode_reissue(&o, &reissue);
	assert_null(strstr(strbuf_str(&reissue), "cert_validity"));
	strbuf_done(&reissue);
	strbuf_done(&duplicate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_optional_fields_stay_out),
		cmocka_unit_test(test_instant_and_renewal),
		cmocka_unit_test(test_emails),
		cmocka_unit_test(test_reissue_and_duplicate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
