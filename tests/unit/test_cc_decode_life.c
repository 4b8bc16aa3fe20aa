/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of what comes after the order: reissue, duplicate, change of method, revoke, cancel, requests, AuthKeys, and what order
 * info tells of them; documented samples, older and newer shapes, and answers that were made to hurt. */
#include "common/mem.h"
#include "common/str.h"
#include "daemon/certcentral/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1800000000

static struct cc_decoded *held;

static const struct cc_reply *decode(enum cc_endpoint ep, int status, const char *body)
{
	const struct http_result http = { .status = status,
					  .body = body,
					  .body_len = strlen(body),
					  .content_type = "",
					  .location = "",
					  .retry_after = "",
					  .date = "" };

	cc_decoded_free(TAKE_PTR(held));
	return cc_decode(ep, &http, NOW, &held);
}

static int release(void **state)
{
	(void)state;
	cc_decoded_free(TAKE_PTR(held));
	return 0;
}

/* --- reissue, duplicate --- */

#define LEAF "-----BEGIN CERTIFICATE-----\\r\\nMIIB\\/leaf\\r\\n-----END CERTIFICATE-----\\r\\n"
#define ICA  "-----BEGIN CERTIFICATE-----\\r\\nMIIBica\\r\\n-----END CERTIFICATE-----\\r\\n"
#define ROOT "-----BEGIN CERTIFICATE-----\\r\\nMIIBroot\\r\\n-----END CERTIFICATE-----\\r\\n"

static void check_shapes(enum cc_endpoint ep)
{
	const struct cc_reply *r = decode(ep, 201, "{\"id\":112233,\"requests\":[{\"id\":332211}]}");

	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->order_id, 112233);
	assert_int_equal(r->request_id, 332211);
	assert_int_equal(r->certificate_id, 0);
	assert_true(r->needs_approval);

	r = decode(ep, 201, "{\"id\":112233,\"certificate_id\":111112}");
	assert_int_equal(r->certificate_id, 111112);
	assert_int_equal(r->request_id, 0);
	assert_false(r->needs_approval);
	assert_null(r->dcv_token);
	assert_null(r->pem);

	r = decode(ep, 201,
		   "{\"id\":112233,\"certificate_id\":111112,\"dcv_random_value\":\"icru1984rnekfj\"}");
	assert_string_equal(r->dcv_token, "icru1984rnekfj");

	r = decode(ep, 201,
		   "{\"id\":1234567,\"certificate_id\":987654321,\"certificate_chain\":["
		   "{\"subject_common_name\":\"www.digicert.com\",\"pem\":\"" LEAF "\"},"
		   "{\"subject_common_name\":\"CA\",\"pem\":\"" ICA "\"},"
		   "{\"subject_common_name\":\"Root CA\",\"pem\":\"" ROOT "\"}]}");
	assert_int_equal(r->status, CC_STATUS_ISSUED);
	assert_string_equal(r->pem, "-----BEGIN CERTIFICATE-----\nMIIB/leaf\n-----END CERTIFICATE-----\n"
				    "-----BEGIN CERTIFICATE-----\nMIIBica\n-----END CERTIFICATE-----\n"
				    "-----BEGIN CERTIFICATE-----\nMIIBroot\n-----END CERTIFICATE-----\n");

	/* a request that is not understood only cannot be approved from here */
	r = decode(ep, 201, "{\"id\":1,\"requests\":[{\"id\":\"x\"}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_true(r->needs_approval);
	assert_int_equal(r->request_id, 0);

	assert_int_equal(decode(ep, 201, "")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(ep, 204, "")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(ep, 201, "{}")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(ep, 201, "<html>")->outcome.fault, FAULT_UNCLEAR);
}

static void test_reissue_and_duplicate(void **state)
{
	(void)state;
	check_shapes(CC_REISSUE);
	check_shapes(CC_DUPLICATE);
}

/* --- list of duplicates --- */

static void test_duplicates(void **state)
{
	const struct cc_reply *r = decode(
		CC_DUPLICATES, 200,
		"{\"certificates\":[{\"id\":10,\"serial_number\":\"0A0B\",\"status\":\"approved\",\"csr\":"
		"\"-----BEGIN CERTIFICATE REQUEST-----\\r\\nMII\\/x\\r\\n\",\"dns_names\":[\"a.jp\"]},"
		"{\"id\":11,\"serial_number\":\"0a0b\",\"status\":\"approved\"}," /* the same again */
		"{\"id\":12,\"serial_number\":\"0C\",\"status\":\"revoked\"},"
		"{\"id\":13,\"status\":\"pending\"},{\"id\":13},"
		"{\"id\":14,\"serial_number\":\"not hex\",\"status\":\"brand_new\",\"csr\":\"a\\u0007b\"},"
		"{\"thumbprint\":\"T\"},{\"thumbprint\":\"T\"}]}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->n_certs, 6);
	assert_int_equal(r->certs[0].certificate_id, 10);
	assert_int_equal(r->certs[0].status, CC_STATUS_ISSUED);
	assert_string_equal(r->certs[0].serial, "0A0B");
	assert_string_equal(r->certs[0].csr, "-----BEGIN CERTIFICATE REQUEST-----\r\nMII/x\r\n");
	assert_int_equal(r->certs[1].certificate_id, 12);
	assert_int_equal(r->certs[1].status, CC_STATUS_REVOKED);
	assert_int_equal(r->certs[2].certificate_id, 13);
	assert_int_equal(r->certs[2].status, CC_STATUS_PENDING);
	assert_null(r->certs[2].serial);
	assert_int_equal(r->certs[3].certificate_id, 14);
	assert_int_equal(r->certs[3].status, CC_STATUS_UNKNOWN);
	assert_null(r->certs[3].serial);
	assert_null(r->certs[3].csr);
	assert_int_equal(r->certs[5].certificate_id, 0); /* nothing says that these two are one */
}

static void test_duplicates_none_and_bad(void **state)
{
	static const char *const none[] = { "{}", "{\"certificates\":[]}", "{\"certificates\":null}" };
	static const char *const bad[] = { "",
					   "[]",
					   "{\"certificates\":{}}",
					   "{\"certificates\":[7]}",
					   "{\"certificates\":[{\"id\":1},{\"id\":\"2\"}]}",
					   "{\"certificates\":[{\"id\":-1}]}",
					   "{\"certificates\":[{\"csr\":\"x\"},{\"serial_number\":5}]}" };
	struct strbuf sb = STRBUF_INIT(100000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(decode(CC_DUPLICATES, 200, none[i])->outcome.fault, FAULT_NONE);
		assert_int_equal(decode(CC_DUPLICATES, 200, none[i])->n_certs, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(decode(CC_DUPLICATES, 200, bad[i])->outcome.fault, FAULT_UNCLEAR);
		assert_int_equal(decode(CC_DUPLICATES, 200, bad[i])->n_certs, 0);
	}
	strbuf_adds(&sb, "{\"certificates\":[");
	for (int i = 0; i < 1001; i++)
		strbuf_addf(&sb, "%s{\"id\":%d}", i ? "," : "", i + 1);
	strbuf_adds(&sb, "]}");
	assert_int_equal(decode(CC_DUPLICATES, 200, strbuf_str(&sb))->outcome.fault, FAULT_UNCLEAR);
	strbuf_done(&sb);
}

/* --- change of method, e-mails --- */

static void test_method(void **state)
{
	const struct cc_reply *r = decode(
		CC_METHOD, 200,
		"{\"dcv_random_value\":\"fm32wkkj\",\"expiration_date\":\"2026-12-21T08:00:00+00:00\"}");

	(void)state;
	assert_string_equal(r->dcv_token, "fm32wkkj");
	assert_int_equal(r->dcv_token_expires_at, 1797840000);
	/* to "email" */
	r = decode(CC_METHOD, 200, "{}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_null(r->dcv_token);
	/* where the value is all that was asked for it may not be missing */
	assert_int_equal(decode(CC_TOKEN, 200, "{}")->outcome.fault, FAULT_UNCLEAR);
	assert_non_null(strstr(decode(CC_TOKEN, 200, "{}")->outcome.message, "dcv_random_value: missing"));
	assert_int_equal(decode(CC_METHOD, 200, "{\"dcv_random_value\":\"../x\"}")->outcome.fault,
			 FAULT_REFUSED);
	assert_int_equal(decode(CC_METHOD, 200, "")->outcome.fault, FAULT_UNCLEAR);
}

/* Those that answer 204; also when something else comes instead. */
static void test_done_without_a_word(void **state)
{
	static const enum cc_endpoint ends[] = { CC_RESEND, CC_REVOKE, CC_APPROVE, CC_CANCEL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct cc_reply *r = decode(ends[i], 204, "");

		assert_int_equal(r->outcome.fault, FAULT_NONE);
		assert_int_equal(r->outcome.http_status, 204);
		assert_int_equal(r->request_id, 0);
		assert_false(r->needs_approval);
		assert_int_equal(decode(ends[i], 200, "")->outcome.fault, FAULT_NONE);
		assert_int_equal(decode(ends[i], 202, "")->outcome.fault, FAULT_UNCLEAR);
		assert_int_equal(decode(ends[i], 200, "<html>login</html>")->outcome.fault, FAULT_UNCLEAR);
		assert_int_equal(decode(ends[i], 200, "[]")->outcome.fault, FAULT_UNCLEAR);
		assert_int_equal(decode(ends[i], 200, "{\"errors\":[{\"code\":\"x\"}]}")->outcome.fault,
				 FAULT_UNCLEAR);
		assert_int_equal(decode(ends[i], 302, "")->outcome.fault, FAULT_UNCLEAR);
		if (ends[i] != CC_REVOKE)
			assert_int_equal(decode(ends[i], 200, "{\"id\":1}")->outcome.fault, FAULT_NONE);
	}
}

/* --- revoke --- */

static void test_revocation_request(void **state)
{
	static const struct {
		const char *body;
		int64_t request_id;
		bool needs_approval;
	} rows[] = {
		{ "{\"id\":1,\"date\":\"2016-02-10T17:06:15+00:00\",\"type\":\"revoke\",\"status\":"
		  "\"pending\","
		  "\"requester\":{\"id\":14,\"first_name\":\"John\"},\"comments\":\"I no longer need this "
		  "cert.\"}",
		  1, true },
		{ "{\"id\":2,\"status\":\"submitted\"}", 2, true },
		{ "{\"id\":3,\"status\":\"approved\"}", 3, false },
		{ "{\"id\":4}", 4, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct cc_reply *r = decode(CC_REVOKE, 201, rows[i].body);

		assert_int_equal(r->outcome.fault, FAULT_NONE);
		assert_int_equal(r->request_id, rows[i].request_id);
		assert_int_equal(r->needs_approval, rows[i].needs_approval);
	}
	assert_int_equal(decode(CC_REVOKE, 201, "{}")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(CC_REVOKE, 201, "{\"id\":0}")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(CC_REVOKE, 201, "")->outcome.fault, FAULT_UNCLEAR);
}

/* --- order info --- */

static void test_info_of_a_life(void **state)
{
	const struct cc_reply *r = decode(
		CC_INFO, 200,
		"{\"id\":1,\"status\":\"reissue_pending\",\"certificate\":{\"id\":2,\"status\":\"issued\"},"
		"\"is_renewed\":true,\"renewed_order_id\":99,\"dcv_method\":\"dns-txt-token\","
		"\"requests\":[{\"id\":5,\"type\":\"new_request\",\"status\":\"approved\"},"
		"{\"id\":6,\"type\":\"reissue\",\"status\":\"approved\"}]}");

	(void)state;
	assert_int_equal(r->status, CC_STATUS_REISSUE);
	assert_true(r->reissue_pending);
	assert_int_equal(r->cert_status, CC_STATUS_ISSUED);
	assert_string_equal(r->cert_status_word, "issued");
	assert_int_equal(r->renewed_order_id, 99);
	assert_string_equal(r->dcv_method, "dns-txt-token");
	assert_int_equal(r->request_id, 0); /* none waits */
	assert_false(r->needs_approval);

	/* the order says issued, and a reissue waits for an approval */
	r = decode(CC_INFO, 200,
		   "{\"id\":1,\"status\":\"issued\",\"renewed_order_id\":0,\"certificate\":{\"status\":"
		   "\"revoked\"},\"requests\":[{\"id\":6,\"type\":\"reissue\",\"status\":\"pending\"}]}");
	assert_true(r->reissue_pending);
	assert_int_equal(r->request_id, 6);
	assert_true(r->needs_approval);
	assert_int_equal(r->cert_status, CC_STATUS_REVOKED);
	assert_int_equal(r->renewed_order_id, 0);

	r = decode(CC_INFO, 200,
		   "{\"id\":1,\"status\":\"issued\",\"requests\":[{\"id\":7,\"type\":\"revoke\",\"status\":"
		   "\"pending\"},{\"id\":6,\"type\":\"reissue\",\"status\":\"rejected\"}]}");
	assert_false(r->reissue_pending);
	assert_int_equal(r->request_id, 7);
	assert_false(r->needs_approval);
	assert_null(r->cert_status_word);
	assert_int_equal(r->cert_status, CC_STATUS_UNKNOWN);
	assert_null(r->dcv_method);
}

/* What only informs may be as odd as it likes. */
static void test_info_quirks(void **state)
{
	const struct cc_reply *r = decode(
		CC_INFO, 200,
		"{\"id\":1,\"status\":\"issued\",\"certificate\":{\"id\":2,\"status\":7},\"renewed_order_"
		"id\":\"9\","
		"\"dcv_method\":[],\"requests\":[7,null,{\"id\":\"x\",\"type\":5,\"status\":\"pending\"}]}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->certificate_id, 2);
	assert_int_equal(r->renewed_order_id, 0);
	assert_null(r->cert_status_word);
	assert_null(r->dcv_method);
	assert_false(r->reissue_pending);
	assert_int_equal(r->request_id, 0);
	r = decode(CC_INFO, 200,
		   "{\"id\":1,\"status\":\"issued\",\"certificate\":{\"status\":\"odd\\n\\u001bword\"},"
		   "\"requests\":{},\"dcv_method\":\"a\\nb\",\"renewed_order_id\":-3}");
	assert_string_equal(r->cert_status_word, "odd\\x0a\\x1bword");
	assert_int_equal(r->cert_status, CC_STATUS_UNKNOWN);
	assert_string_equal(r->dcv_method, "a\\x0ab");
	assert_int_equal(r->renewed_order_id, 0);
}

/* --- AuthKeys --- */

static void test_auth_key(void **state)
{
	const struct cc_reply *r =
		decode(CC_AUTH_KEY_CREATE, 200, "{\"auth_key_id\":\"ABC\",\"auth_key\":\"0123\\/cdef\"}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->n_auth_keys, 1);
	assert_string_equal(r->auth_keys[0].id, "ABC");
	assert_int_equal(secret_len(r->auth_keys[0].secret), 9);
	assert_string_equal(secret_bytes(r->auth_keys[0].secret), "0123/cdef");
	assert_int_equal(r->auth_keys[0].expires_at, 0);
	assert_null(r->auth_keys[0].status_word);

	r = decode(CC_AUTH_KEY, 200,
		   "{\"auth_key_id\":\"ABC\",\"auth_key\":\"k\",\"status\":\"active\","
		   "\"expiration_datetime\":\"2026-12-21T08:00:00+00:00\",\"created_datetime\":7}");
	assert_int_equal(r->auth_keys[0].expires_at, 1797840000);
	assert_string_equal(r->auth_keys[0].status_word, "active");
}

static void test_auth_key_list(void **state)
{
	static const char *const none[] = { "{}", "{\"auth_keys\":[]}" };
	const struct cc_reply *r = decode(
		CC_AUTH_KEYS, 200,
		"{\"auth_keys\":[{\"auth_key_id\":\"A\",\"status\":\"active\",\"expiration_datetime\":null},"
		"{\"auth_key_id\":\"B\",\"auth_key\":\"kb\",\"expiration_datetime\":\"2026-12-21T08:00:00Z\"}"
		"]}");

	(void)state;
	assert_int_equal(r->n_auth_keys, 2);
	assert_string_equal(r->auth_keys[0].id, "A");
	assert_null(r->auth_keys[0].secret);
	assert_int_equal(r->auth_keys[0].expires_at, 0);
	assert_string_equal(secret_bytes(r->auth_keys[1].secret), "kb");
	assert_int_equal(r->auth_keys[1].expires_at, 1797840000);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		r = decode(CC_AUTH_KEYS, 200, none[i]);
		assert_int_equal(r->outcome.fault, FAULT_NONE);
		assert_int_equal(r->n_auth_keys, 0);
	}
	/* A list under another name is not "none". */
	r = decode(CC_AUTH_KEYS, 200, "{\"keys\":[]}");
	assert_int_equal(r->outcome.fault, FAULT_UNCLEAR);
	assert_non_null(strstr(r->outcome.message, "auth_keys: missing"));
}

/* Whatever is wrong with the answer, the key is in no message. */
static void test_bad_auth_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"S3CRET",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\"",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\",\"auth_key\":\"S3CRET\"}",
		"{\"auth_key\":\"S3CRET\"}",
		"{\"auth_key_id\":7,\"auth_key\":\"S3CRET\"}",
		"{\"auth_key_id\":\"\",\"auth_key\":\"S3CRET\"}",
		"{\"auth_key_id\":\"a b\",\"auth_key\":\"S3CRET\"}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\\n\"}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET \\u00e9\"}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"\"}",
		"{\"auth_key_id\":\"A\",\"auth_key\":[\"S3CRET\"]}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\",\"expiration_datetime\":\"soon\"}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\",\"expiration_datetime\":1797840000}",
		"{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\",\"errors\":[{\"code\":\"x\"}]}",
		"[{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\"}]",
		"{\"auth_keys\":{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\"}}",
		"{\"auth_keys\":[\"S3CRET\"]}",
		"{\"auth_keys\":[{\"auth_key_id\":\"A\",\"auth_key\":\"S3CRET\"},{\"auth_key\":\"S3CRET\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (int ep = CC_AUTH_KEYS; ep <= CC_AUTH_KEY_CREATE; ep++) {
			const struct cc_reply *r = decode((enum cc_endpoint)ep, 200, bad[i]);

			if (r->outcome.fault != FAULT_UNCLEAR)
				fail_msg("body %zu: %s", i, fault_name(r->outcome.fault));
			assert_int_equal(r->n_auth_keys, 0);
			assert_null(strstr(r->outcome.message, "S3CRET"));
		}
	/* details and creation exist for the key itself */
	assert_int_equal(decode(CC_AUTH_KEY, 200, "{\"auth_key_id\":\"A\"}")->outcome.fault, FAULT_UNCLEAR);
}

static void test_too_many_auth_keys(void **state)
{
	struct strbuf sb = STRBUF_INIT(100000);

	(void)state;
	strbuf_adds(&sb, "{\"auth_keys\":[");
	for (int i = 0; i < 201; i++)
		strbuf_addf(&sb, "%s{\"auth_key_id\":\"k%d\"}", i ? "," : "", i);
	strbuf_adds(&sb, "]}");
	assert_int_equal(decode(CC_AUTH_KEYS, 200, strbuf_str(&sb))->outcome.fault, FAULT_UNCLEAR);
	strbuf_done(&sb);
}

static void test_user_and_products(void **state)
{
	const struct cc_reply *r = decode(
		CC_USER, 200,
		"{\"id\":14,\"access_roles\":[{\"id\":1,\"name\":\"Admin\\u001bistrator\"},7,{\"name\":4},"
		"{\"name\":\"Standard User\"}]}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_string_equal(r->roles, "Admin\\x1bistrator, Standard User");
	r = decode(CC_USER, 200, "{\"id\":14}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_null(r->roles);
	r = decode(CC_PRODUCTS, 200,
		   "{\"products\":[{\"name_id\":\"ssl_dv_geotrust\",\"allowed_validity_years\":[1]},{\"name_"
		   "id\":"
		   "\"two words\"},{\"name_id\":\"\"},null,{\"name_id\":\"ssl_plus\"}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_string_equal(r->products, "ssl_dv_geotrust ssl_plus");
	assert_string_equal(decode(CC_PRODUCTS, 200, "{\"products\":[]}")->products, "");
	assert_int_equal(decode(CC_PRODUCTS, 200, "{}")->outcome.fault, FAULT_UNCLEAR);
	assert_int_equal(decode(CC_PRODUCTS, 200, "{\"products\":{}}")->outcome.fault, FAULT_UNCLEAR);
}

/* The server's clock is told by every answer, also by a refusal. */
static void test_server_clock(void **state)
{
	struct http_result http = { .status = 401,
				    .body = "{}",
				    .body_len = 2,
				    .content_type = "",
				    .location = "",
				    .retry_after = "",
				    .date = "Sun, 06 Nov 1994 08:49:37 GMT" };
	struct cc_decoded *d = NULL;

	(void)state;
	assert_int_equal(cc_decode(CC_USER, &http, NOW, &d)->server_at, 784111777);
	cc_decoded_free(d);
	http.date = "yesterday";
	assert_int_equal(cc_decode(CC_USER, &http, NOW, &d)->server_at, 0);
	cc_decoded_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reissue_and_duplicate),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_duplicates_none_and_bad),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_done_without_a_word),
		cmocka_unit_test(test_revocation_request),
		cmocka_unit_test(test_info_of_a_life),
		cmocka_unit_test(test_info_quirks),
		cmocka_unit_test(test_auth_key),
		cmocka_unit_test(test_auth_key_list),
		cmocka_unit_test(test_bad_auth_keys),
		cmocka_unit_test(test_too_many_auth_keys),
		cmocka_unit_test(test_user_and_products),
		cmocka_unit_test(test_server_clock),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
