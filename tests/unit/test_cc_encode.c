/* SPDX-License-Identifier: Apache-2.0 */
/* The one request body that costs money: exactly the documented fields, and nothing else. */
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
	assert_non_null(strstr(text, "\"order_validity\":{\"years\":3}"));
	assert_non_null(strstr(text, "\"ref \\\"2\\\"\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_optional_fields_stay_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
