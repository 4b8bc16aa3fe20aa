/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers: every code of the documentation, every status, and documents that keep no rule. */
#include "common/mem.h"
#include "common/str.h"
#include "daemon/certcentral/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1800000000

static struct outcome problem(enum cc_endpoint ep, int status, const char *body)
{
	const struct http_result http = { .status = status,
					  .body = body,
					  .body_len = strlen(body),
					  .content_type = "",
					  .location = "",
					  .retry_after = "",
					  .date = "" };
	struct outcome o;

	memset(&o, 0x5a, sizeof(o));
	cc_problem(ep, &http, NOW, &o);
	assert_int_equal(o.http_status, status);
	assert_null(strchr(o.message, '\n'));
	assert_true(strlen(o.message) < OUTCOME_MESSAGE_MAX && strlen(o.code) < OUTCOME_CODE_MAX);
	return o;
}

#define DOC(code) "{\"errors\":[{\"code\":\"" code "\",\"message\":\"An error occurred.\"}]}"
#define ALL	  -1

static const struct {
	int ep;
	int status;
	const char *body;
	enum fault fault;
	const char *code;
} codes[] = {
	/* any endpoint */
	{ ALL, 400, DOC("bad_request_format"), FAULT_REFUSED, "bad_request_format" },
	{ ALL, 403, DOC("access_denied|missing_permission"), FAULT_AUTH, "access_denied|missing_permission" },
	{ ALL, 401, DOC("access_denied|invalid_api_key"), FAULT_AUTH, "access_denied|invalid_api_key" },
	{ ALL, 403, DOC("access_denied|invalid_approver"), FAULT_REFUSED, "access_denied|invalid_approver" },
	{ ALL, 400, DOC("access_denied"), FAULT_AUTH, "access_denied" },
	{ ALL, 401, DOC("unauthorized"), FAULT_AUTH, "unauthorized" },
	{ ALL, 400, DOC("Unauthorized"), FAULT_AUTH, "Unauthorized" },
	{ ALL, 404, DOC("not_found|route"), FAULT_CONFIG, "not_found|route" },
	{ ALL, 404, DOC("not_found|product"), FAULT_CONFIG, "not_found|product" },
	{ ALL, 429, DOC("request_limit_exceeded"), FAULT_THROTTLED, "request_limit_exceeded" },
	{ ALL, 403, DOC("request_limit_exceeded"), FAULT_THROTTLED, "request_limit_exceeded" },
	{ ALL, 503, DOC("request_limit_exceeded"), FAULT_UNCLEAR, "request_limit_exceeded" },
	/* order */
	{ CC_ORDER, 404, DOC("not_found"), FAULT_CONFIG, "not_found" },
	{ CC_ORDER, 400, DOC("auth_key_not_setup"), FAULT_CONFIG, "auth_key_not_setup" },
	{ CC_ORDER, 400, DOC("ambiguous_product"), FAULT_CONFIG, "ambiguous_product" },
	{ CC_ORDER, 400, DOC("csr_invalid_cannot_parse"), FAULT_REFUSED, "csr_invalid_cannot_parse" },
	{ CC_ORDER, 400, DOC("cert_validity_exceeds_order_validity"), FAULT_CONFIG,
	  "cert_validity_exceeds_order_validity" },
	{ CC_ORDER, 400, DOC("cert_transparency_turned_off_for_account"), FAULT_CONFIG,
	  "cert_transparency_turned_off_for_account" },
	{ CC_ORDER, 400, DOC("invalid_field|auth_key_id"), FAULT_CONFIG, "invalid_field|auth_key_id" },
	{ CC_ORDER, 400, DOC("inactive_auth_key"), FAULT_CONFIG, "inactive_auth_key" },
	{ CC_ORDER, 404, DOC("not_found|auth_key"), FAULT_CONFIG, "not_found|auth_key" },
	{ CC_ORDER, 500, DOC("inactive_auth_key"), FAULT_UNCLEAR, "inactive_auth_key" },
	{ CC_ORDER, 409, DOC("auth_key_is_busy"), FAULT_UNCLEAR, "auth_key_is_busy" },
	{ CC_ORDER, 400, DOC("invalid_field|renewal_of_order_id"), FAULT_REFUSED,
	  "invalid_field|renewal_of_order_id" },
	/* a 400 is not an order, and DNS may get well by itself */
	{ ALL, 400, DOC("caa_check_failed|CAA of x.example.jp forbids it"), FAULT_UNSENT,
	  "caa_check_failed" },
	{ ALL, 400, DOC("caa_not_found|x.example.jp"), FAULT_UNSENT, "caa_not_found|x.example.jp" },
	{ ALL, 502, DOC("caa_not_found|x.example.jp"), FAULT_UNCLEAR, "caa_not_found|x.example.jp" },
	{ CC_ORDER, 400, DOC("no_funds_or_whatever"), FAULT_REFUSED, "no_funds_or_whatever" },
	{ CC_ORDER, 400, DOC("alternative_order_id_repeated"), FAULT_DUPLICATE,
	  "alternative_order_id_repeated" },
	{ CC_ORDER, 409, DOC("duplicate_order"), FAULT_DUPLICATE, "duplicate_order" },
	{ CC_ORDER, 409, DOC("conflict"), FAULT_UNCLEAR, "conflict" },
	{ CC_ORDER, 400, DOC("invalid_alternative_order_id"), FAULT_REFUSED, "invalid_alternative_order_id" },
	/* look-up, information */
	{ CC_FIND, 404, DOC("not_found|order"), FAULT_NONE, "" },
	{ CC_FIND, 404, DOC("not_found"), FAULT_NONE, "" },
	{ CC_FIND, 400, DOC("not_found|order"), FAULT_UNCLEAR, "not_found|order" },
	{ CC_INFO, 404, DOC("not_found|order"), FAULT_NOT_FOUND, "not_found|order" },
	{ CC_TOKEN, 404, DOC("not_found|order"), FAULT_NOT_FOUND, "not_found|order" },
	{ CC_CHECK, 404, DOC("not_found|order"), FAULT_NOT_FOUND, "not_found|order" },
	{ CC_DOWNLOAD, 404, DOC("not_found|certificate"), FAULT_NOT_FOUND, "not_found|certificate" },
	{ CC_DOWNLOAD, 400, DOC("not_issued_yet"), FAULT_NOT_FOUND, "not_issued_yet" },
	/* check-dcv */
	{ CC_CHECK, 400, DOC("invalid_dns_txt"), FAULT_NONE, "invalid_dns_txt" },
	{ CC_CHECK, 400, DOC("file_random_value_not_found"), FAULT_NONE, "file_random_value_not_found" },
	{ CC_CHECK, 400, DOC("mpic_corroboration_error"), FAULT_NONE, "mpic_corroboration_error" },
	{ CC_CHECK, 400, DOC("dns_lookup_timeout"), FAULT_NONE, "dns_lookup_timeout" },
	{ CC_CHECK, 400, DOC("dns_lookup_record_not_found"), FAULT_NONE, "dns_lookup_record_not_found" },
	{ CC_CHECK, 400, DOC("dns_lookup_dnssec_failure"), FAULT_NONE, "dns_lookup_dnssec_failure" },
	{ CC_CHECK, 400, DOC("random_value_expired"), FAULT_NONE, "random_value_expired" },
	{ CC_CHECK, 400, DOC("invalid_dns_method"), FAULT_REFUSED, "invalid_dns_method" },
	{ CC_RESEND, 400, DOC("invalid_dns_method"), FAULT_REFUSED, "invalid_dns_method" },
	{ CC_ORDER, 400, DOC("file_random_value_not_found"), FAULT_REFUSED, "file_random_value_not_found" },
	/* status-changes */
	{ CC_CHANGES, 400, DOC("time_frame_too_long"), FAULT_REFUSED, "time_frame_too_long" },
	/* reissue, duplicate and the rest of an order's life */
	{ CC_REISSUE, 404, DOC("not_found|order"), FAULT_NOT_FOUND, "not_found|order" },
	{ CC_REISSUE, 404, DOC("not_found"), FAULT_NOT_FOUND, "not_found" },
	{ CC_REISSUE, 400, DOC("invalid_order_status"), FAULT_REFUSED, "invalid_order_status" },
	{ CC_REISSUE, 400, DOC("cert_validity_exceeds_order_validity"), FAULT_CONFIG,
	  "cert_validity_exceeds_order_validity" },
	{ CC_REISSUE, 400, DOC("csr_invalid_cannot_parse"), FAULT_REFUSED, "csr_invalid_cannot_parse" },
	{ CC_REISSUE, 400, DOC("alternative_order_id_repeated"), FAULT_REFUSED,
	  "alternative_order_id_repeated" },
	{ CC_DUPLICATE, 400, DOC("invalid_dns_name_on_duplicate"), FAULT_REFUSED,
	  "invalid_dns_name_on_duplicate" },
	{ CC_DUPLICATES, 404, DOC("not_found|order"), FAULT_NOT_FOUND, "not_found|order" },
	{ CC_METHOD, 400, DOC("invalid_field|dcv_method"), FAULT_REFUSED, "invalid_field|dcv_method" },
	{ CC_REVOKE, 404, DOC("not_found|certificate"), FAULT_NOT_FOUND, "not_found|certificate" },
	{ CC_REVOKE, 400, DOC("invalid_order_status"), FAULT_REFUSED, "invalid_order_status" },
	{ CC_APPROVE, 404, DOC("not_found|request"), FAULT_NOT_FOUND, "not_found|request" },
	{ CC_APPROVE, 400, DOC("invalid_request_status"), FAULT_REFUSED, "invalid_request_status" },
	{ CC_CANCEL, 400, DOC("invalid_field|status"), FAULT_REFUSED, "invalid_field|status" },
	/* AuthKeys */
	{ CC_AUTH_KEYS, 404, DOC("not_found"), FAULT_NOT_FOUND, "not_found" },
	{ CC_AUTH_KEY, 404, DOC("not_found|auth_key"), FAULT_NOT_FOUND, "not_found|auth_key" },
	{ CC_AUTH_KEY, 400, DOC("multiple_auth_keys"), FAULT_CONFIG, "multiple_auth_keys" },
	{ CC_AUTH_KEY, 400, DOC("odd_auth_key_thing"), FAULT_REFUSED, "odd_auth_key_thing" },
	{ CC_AUTH_KEY_CREATE, 400, DOC("auth_key_exists_for_account"), FAULT_REFUSED,
	  "auth_key_exists_for_account" },
	{ CC_AUTH_KEY_CREATE, 400, DOC("invalid_field|days"), FAULT_REFUSED, "invalid_field|days" },
	{ CC_AUTH_KEY_CREATE, 404, DOC("not_found"), FAULT_CONFIG, "not_found" },
};

static void test_codes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		for (int ep = CC_ORDER; ep < CC_ENDPOINT_NR; ep++) {
			if (codes[i].ep != ALL && codes[i].ep != ep)
				continue;

			struct outcome o = problem((enum cc_endpoint)ep, codes[i].status, codes[i].body);

			if (o.fault != codes[i].fault)
				fail_msg("row %zu, endpoint %d: %s instead of %s", i, ep, fault_name(o.fault),
					 fault_name(codes[i].fault));
			assert_string_equal(o.code, codes[i].code);
		}
}

/* Answers without a code that we know: the status decides. */
static void test_statuses(void **state)
{
	static const struct {
		int status;
		enum fault order, find, info, download;
	} rows[] = {
		{ 301, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 308, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 400, FAULT_REFUSED, FAULT_REFUSED, FAULT_REFUSED, FAULT_NOT_FOUND },
		{ 401, FAULT_AUTH, FAULT_AUTH, FAULT_AUTH, FAULT_AUTH },
		{ 402, FAULT_REFUSED, FAULT_REFUSED, FAULT_REFUSED, FAULT_NOT_FOUND },
		{ 403, FAULT_AUTH, FAULT_AUTH, FAULT_AUTH, FAULT_AUTH },
		{ 404, FAULT_CONFIG, FAULT_NONE, FAULT_NOT_FOUND, FAULT_NOT_FOUND },
		{ 407, FAULT_CONFIG, FAULT_CONFIG, FAULT_CONFIG, FAULT_CONFIG },
		{ 408, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 409, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 422, FAULT_REFUSED, FAULT_REFUSED, FAULT_REFUSED, FAULT_NOT_FOUND },
		{ 429, FAULT_THROTTLED, FAULT_THROTTLED, FAULT_THROTTLED, FAULT_THROTTLED },
		{ 500, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 502, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 503, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
		{ 599, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR, FAULT_UNCLEAR },
	};
	static const char *const bodies[] = { "", "{}", DOC("some_new_code"), "{\"errors\":[]}", "[]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t b = 0; b < ARRAY_SIZE(bodies); b++) {
			assert_int_equal(problem(CC_ORDER, rows[i].status, bodies[b]).fault, rows[i].order);
			assert_int_equal(problem(CC_FIND, rows[i].status, bodies[b]).fault, rows[i].find);
			assert_int_equal(problem(CC_INFO, rows[i].status, bodies[b]).fault, rows[i].info);
			assert_int_equal(problem(CC_DOWNLOAD, rows[i].status, bodies[b]).fault,
					 rows[i].download);
		}
}

/* The newer endpoints: where an id is in the path a 404 is about the id. */
static void test_statuses_of_changes(void **state)
{
	static const enum cc_endpoint by_id[] = { CC_REISSUE,  CC_DUPLICATE, CC_DUPLICATES, CC_METHOD,
						  CC_RESEND,   CC_REVOKE,    CC_APPROVE,    CC_CANCEL,
						  CC_AUTH_KEY, CC_AUTH_KEYS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(by_id); i++) {
		assert_int_equal(problem(by_id[i], 400, "").fault, FAULT_REFUSED);
		assert_int_equal(problem(by_id[i], 401, "").fault, FAULT_AUTH);
		assert_int_equal(problem(by_id[i], 403, "").fault, FAULT_AUTH);
		assert_int_equal(problem(by_id[i], 404, "").fault, FAULT_NOT_FOUND);
		assert_int_equal(problem(by_id[i], 404, "<html>").fault, FAULT_UNCLEAR);
		assert_int_equal(problem(by_id[i], 409, "").fault, FAULT_UNCLEAR);
		assert_int_equal(problem(by_id[i], 429, "").fault, FAULT_THROTTLED);
		assert_int_equal(problem(by_id[i], 503, "").fault, FAULT_UNCLEAR);
	}
	assert_int_equal(problem(CC_AUTH_KEY_CREATE, 404, "").fault, FAULT_CONFIG);
}

/* Where a person can do something, the message says what. */
static void test_remedies(void **state)
{
	static const struct {
		enum cc_endpoint ep;
		int status;
		const char *body;
		const char *remedy;
	} rows_of_remedies[] = {
		{ CC_ORDER, 400, DOC("auth_key_not_setup"), "dvcertctl auth-key create" },
		{ CC_ORDER, 400, DOC("invalid_field|auth_key_id"), "check certcentral.auth_key_id" },
		{ CC_REISSUE, 400, DOC("expired_auth_key"), "check certcentral.auth_key_id" },
		{ CC_ORDER, 400, DOC("caa_check_failed|x"), "allow digicert.com in the CAA records" },
		{ CC_ORDER, 400, DOC("caa_not_found|x"), "check the name servers" },
		{ CC_ORDER, 400, DOC("cert_validity_exceeds_order_validity"),
		  "lower certcentral.max_cert_days" },
		{ CC_ORDER, 404, DOC("not_found|product"), "check the product" },
		{ CC_ORDER, 404, DOC("not_found|route"), "check certcentral.url" },
		{ CC_ORDER, 403, DOC("access_denied|missing_permission"), "check certcentral.api_key_file" },
		{ CC_DUPLICATE, 400, DOC("invalid_dns_name_on_duplicate"), "reissue it for other names" },
		{ CC_CANCEL, 400, DOC("invalid_order_status"), "look at it in the CertCentral console" },
		{ CC_RESEND, 400, DOC("invalid_dns_method"), "the order has another DCV method" },
		{ CC_APPROVE, 403, DOC("access_denied|invalid_approver"), "another one has to" },
		{ CC_APPROVE, 403, DOC("access_denied|missing_permission"),
		  "the API key of an administrator" },
		{ CC_REVOKE, 403, "", "the API key of an administrator" },
		{ CC_REVOKE, 401, "", "check certcentral.api_key_file" },
		{ CC_AUTH_KEYS, 403, DOC("access_denied|missing_permission"), "certcentral.auth_key_file" },
		{ CC_AUTH_KEY, 403, "", "certcentral.auth_key_file" },
		{ CC_AUTH_KEY, 401, DOC("access_denied|invalid_api_key"), "check certcentral.api_key_file" },
		{ CC_AUTH_KEY, 400, DOC("multiple_auth_keys"), "set certcentral.auth_key_id" },
		{ CC_AUTH_KEY, 404, DOC("not_found|auth_key"), "dvcertctl auth-key create" },
		{ CC_AUTH_KEY_CREATE, 400, DOC("auth_key_exists_for_account"), "dvcertctl auth-key show" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_remedies); i++) {
		struct outcome o =
			problem(rows_of_remedies[i].ep, rows_of_remedies[i].status, rows_of_remedies[i].body);

		if (!strstr(o.message, rows_of_remedies[i].remedy))
			fail_msg("row %zu: %s", i, o.message);
	}
}

/* An answer that may hold an AuthKey is not quoted, whatever it looks like. */
static void test_secret_bodies(void **state)
{
	static const char *const bodies[] = { "S3CRET", "<p>S3CRET", "{\"auth_key\":\"S3CRET\"}",
					      "[\"S3CRET\"]", "{\"auth_keys\":[{\"auth_key\":\"S3CRET\"}]}" };
	static const int statuses[] = { 100, 302, 400, 403, 404, 409, 429, 500 };

	(void)state;
	for (int ep = CC_AUTH_KEYS; ep <= CC_AUTH_KEY_CREATE; ep++)
		for (size_t b = 0; b < ARRAY_SIZE(bodies); b++)
			for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
				struct outcome o = problem((enum cc_endpoint)ep, statuses[i], bodies[b]);

				assert_null(strstr(o.message, "S3CRET"));
				assert_null(strstr(o.code, "S3CRET"));
				assert_non_null(strstr(o.message, "no error document"));
			}
	assert_non_null(strstr(problem(CC_INFO, 500, "S3CRET").message, "S3CRET"));
}

/* A page is not the CA's word: "no such order" may not be read from a load balancer's 404. */
static void test_page(void **state)
{
	static const char page[] = "<html>\r\n<head><title>404 Not Found</title></head>\x1b[31m";
	struct outcome o = problem(CC_FIND, 404, page);

	(void)state;
	assert_int_equal(o.fault, FAULT_UNCLEAR);
	assert_string_equal(o.code, "http_404");
	assert_string_equal(o.message,
			    "CertCentral answered 404: no error document but \"<html>\\x0d\\x0a<head>"
			    "<title>404 Not Found</title></head>\\x1b[31m\"");
	assert_int_equal(problem(CC_INFO, 404, page).fault, FAULT_UNCLEAR);
	assert_int_equal(problem(CC_ORDER, 404, page).fault, FAULT_CONFIG);
	assert_int_equal(problem(CC_ORDER, 503, page).fault, FAULT_UNCLEAR);
}

static void test_shapes(void **state)
{
	struct outcome o = problem(CC_ORDER, 400, "{\"errors\":{\"code\":\"csr_invalid_cannot_parse\"}}");

	(void)state;
	/* an object instead of an array, no message */
	assert_int_equal(o.fault, FAULT_REFUSED);
	assert_string_equal(o.message, "CertCentral answered 400: csr_invalid_cannot_parse; the CSR was not "
				       "understood: please report this");
	/* top level */
	o = problem(CC_ORDER, 400, "{\"code\":\"bad_request_format\",\"message\":\"no\"}");
	assert_string_equal(o.code, "bad_request_format");
	o = problem(CC_ORDER, 400, "{\"error\":\"something\"}");
	assert_string_equal(o.code, "http_400");
	assert_string_equal(o.message, "CertCentral answered 400: something");
	/* text instead of objects, wrong types */
	o = problem(CC_ORDER, 400, "{\"errors\":[\"plain\",7,null,{\"code\":5,\"message\":{}}]}");
	assert_string_equal(o.message, "CertCentral answered 400: plain");
	/* several: the one that is known speaks */
	o = problem(
		CC_ORDER, 400,
		"{\"errors\":[{\"code\":\"x\",\"message\":\"one\"},{\"code\":\"csr_invalid_cannot_parse\","
		"\"message\":\"two\"},{\"code\":\"z\"}]}");
	assert_string_equal(o.code, "csr_invalid_cannot_parse");
	assert_true(str_has_prefix(o.message, "CertCentral answered 400: two (and 2 more); "));
	/* a tail that is text goes to the message */
	o = problem(CC_ORDER, 400,
		    "{\"errors\":[{\"code\":\"caa_check_failed|a b\\n<c>\",\"message\":\"CAA\"}]}");
	assert_string_equal(o.message, "CertCentral answered 400: caa_check_failed|a b\\x0a<c>: CAA; allow "
				       "digicert.com in the CAA records");
}

static void test_duplicate_words(void **state)
{
	static const char *const yes[] = {
		"alternative order id repeated",
		"The alternative_order_id already exists for this account.",
		"Duplicate Alternative Order ID",
		"alternative_order_id is already in use",
		"alternative_order_id not unique",
	};
	char body[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		(void)snprintf(body, sizeof(body), "{\"errors\":[{\"code\":\"invalid\",\"message\":\"%s\"}]}",
			       yes[i]);
		assert_int_equal(problem(CC_ORDER, 400, body).fault, FAULT_DUPLICATE);
		assert_int_equal(problem(CC_ORDER, 409, body).fault, FAULT_DUPLICATE);
		assert_int_equal(problem(CC_INFO, 400, body).fault, FAULT_REFUSED);
		assert_int_equal(problem(CC_ORDER, 500, body).fault, FAULT_UNCLEAR);
	}
	assert_int_equal(problem(CC_ORDER, 400, DOC("domain_already_exists")).fault, FAULT_REFUSED);
}

static void test_long_texts_are_cut(void **state)
{
	struct strbuf sb = STRBUF_INIT(100000);

	(void)state;
	strbuf_adds(&sb, "{\"errors\":[{\"code\":\"");
	for (int i = 0; i < 5000; i++)
		strbuf_addc(&sb, 'c');
	strbuf_adds(&sb, "\",\"message\":\"");
	for (int i = 0; i < 5000; i++)
		strbuf_adds(&sb, "\\u001b");
	strbuf_adds(&sb, "\"}]}");

	struct outcome o = problem(CC_ORDER, 400, strbuf_str(&sb));

	assert_int_equal(o.fault, FAULT_REFUSED);
	assert_string_equal(o.code, "http_400");
	strbuf_done(&sb);
}

static void test_retry_after(void **state)
{
	struct http_result http = { .status = 429, .body = "", .retry_after = "17", .location = "" };
	struct outcome o = OUTCOME_OK;

	(void)state;
	cc_problem(CC_INFO, &http, NOW, &o);
	assert_int_equal(o.fault, FAULT_THROTTLED);
	assert_int_equal(o.retry_after, 17);
	http.status = 503;
	cc_problem(CC_INFO, &http, NOW, &o);
	assert_int_equal(o.fault, FAULT_UNCLEAR);
	assert_int_equal(o.retry_after, 17);
}

static void test_transport(void **state)
{
	struct http_result http = {
		.outcome = { .fault = FAULT_UNSENT, .code = "connect", .message = "no route" },
		.body = "",
		.retry_after = ""
	};
	struct outcome o = OUTCOME_OK;

	(void)state;
	cc_problem(CC_ORDER, &http, NOW, &o);
	assert_int_equal(o.fault, FAULT_UNSENT);
	assert_string_equal(o.code, "connect");
	http.outcome.fault = FAULT_UNCLEAR;
	http.status = 404; /* a part of an answer is none */
	cc_problem(CC_FIND, &http, NOW, &o);
	assert_int_equal(o.fault, FAULT_UNCLEAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_statuses_of_changes),
		cmocka_unit_test(test_remedies),
		cmocka_unit_test(test_secret_bodies),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_duplicate_words),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
