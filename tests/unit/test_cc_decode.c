/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as they were recorded or documented, both generations of check-dcv, every word of a status, and
 * answers that were made to hurt. */
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

static const struct cc_reply *decode_bytes(enum cc_endpoint ep, int status, const char *body, size_t len)
{
	const struct http_result http = { .status = status,
					  .body = body,
					  .body_len = len,
					  .content_type = "",
					  .location = "",
					  .retry_after = "",
					  .date = "" };
	const struct cc_reply *r = NULL;

	cc_decoded_free(TAKE_PTR(held));
	r = cc_decode(ep, &http, NOW, &held);
	assert_non_null(r->not_validated);
	assert_int_equal(r->outcome.http_status, status);
	return r;
}

static const struct cc_reply *decode(enum cc_endpoint ep, int status, const char *body)
{
	return decode_bytes(ep, status, body, strlen(body));
}

static int release(void **state)
{
	(void)state;
	cc_decoded_free(TAKE_PTR(held));
	return 0;
}

/* --- status words --- */

static void test_status_words(void **state)
{
	static const struct {
		const char *word;
		enum cc_status status;
	} rows[] = {
		{ "pending", CC_STATUS_PENDING },
		{ "processing", CC_STATUS_PENDING },
		{ "waiting_pickup", CC_STATUS_PENDING },
		{ "needs_approval", CC_STATUS_NEEDS_APPROVAL },
		{ "issued", CC_STATUS_ISSUED },
		{ "approved", CC_STATUS_ISSUED },
		{ "reissue_pending", CC_STATUS_REISSUE },
		{ "reissue", CC_STATUS_REISSUE },
		{ "rejected", CC_STATUS_REJECTED },
		{ "denied", CC_STATUS_REJECTED },
		{ "canceled", CC_STATUS_CANCELED },
		{ "CANCELED", CC_STATUS_CANCELED },
		{ "cancelled", CC_STATUS_CANCELED },
		{ "revoked", CC_STATUS_REVOKED },
		{ "expired", CC_STATUS_EXPIRED },
		{ "needs_csr", CC_STATUS_NEEDS_CSR },
		{ "Issued", CC_STATUS_ISSUED },
		{ "issued ", CC_STATUS_UNKNOWN },
		{ "", CC_STATUS_UNKNOWN },
		{ "archived", CC_STATUS_UNKNOWN },
		{ NULL, CC_STATUS_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(cc_status_parse(rows[i].word), rows[i].status);
	for (int s = CC_STATUS_PENDING; s < CC_STATUS_NR; s++)
		assert_int_equal(cc_status_parse(cc_status_name((enum cc_status)s)), s);
	assert_string_equal(cc_status_name(CC_STATUS_UNKNOWN), "unknown");
	assert_string_equal(cc_status_name(CC_STATUS_NR), "?");
}

/* --- order --- */

static void test_order_shapes(void **state)
{
	const struct cc_reply *r = decode(CC_ORDER, 201, "{\"id\":112233,\"certificate_id\":123456}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->order_id, 112233);
	assert_int_equal(r->certificate_id, 123456);
	assert_null(r->dcv_token);
	assert_false(r->needs_approval);

	r = decode(CC_ORDER, 201,
		   "{\"id\":112233,\"certificate_id\":123456,\"dcv_random_value\":\"icru1984rnekfj\"}");
	assert_string_equal(r->dcv_token, "icru1984rnekfj");

	r = decode(CC_ORDER, 201, "{\"id\":112233,\"requests\":[{\"id\":332211,\"status\":\"pending\"}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_true(r->needs_approval);
	assert_int_equal(r->status, CC_STATUS_NEEDS_APPROVAL);
	assert_int_equal(r->certificate_id, 0);

	r = decode(CC_ORDER, 201, "{\"id\":112233,\"certificate_id\":9,\"requests\":[{\"id\":332211}]}");
	assert_false(r->needs_approval);

	r = decode(CC_ORDER, 201, "{\"id\":112233}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_false(r->needs_approval);

	/* quirks elsewhere do not matter */
	r = decode(CC_ORDER, 201,
		   "{\"id\":1,\"is_multi_year_plan\":\"1\",\"certificate_id\":2,\"domains\":\"?\","
		   "\"requests\":{}}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
}

static void test_order_tokens_per_domain(void **state)
{
	const struct cc_reply *r =
		decode(CC_ORDER, 201,
		       "{\"id\":1,\"certificate_id\":2,\"domains\":[{\"id\":7,\"name\":\"a.jp\",\"dcv_"
		       "token\":{\"token\":"
		       "\"tok_1\",\"status\":\"active\",\"expiration_date\":\"2026-12-01T00:00:00+00:00\"}},"
		       "{\"id\":8,\"dns_name\":\"b.jp\",\"dcv_token\":{\"token\":\"tok_1\"}}]}");

	(void)state;
	assert_string_equal(r->dcv_token, "tok_1");
	r = decode(CC_ORDER, 201,
		   "{\"id\":1,\"domains\":[{\"dcv_token\":{\"token\":\"a\"}},{\"dcv_token\":{\"token\":\"b\"}"
		   "}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_null(r->dcv_token);
}

#define LEAF "-----BEGIN CERTIFICATE-----\\r\\nMIIB\\/leaf\\r\\n-----END CERTIFICATE-----\\r\\n"
#define ICA  "-----BEGIN CERTIFICATE-----\\r\\nMIIBica\\r\\n-----END CERTIFICATE-----"

static void test_order_instant(void **state)
{
	const struct cc_reply *r = decode(CC_ORDER, 201,
					  "{\"id\":112339,\"certificate_id\":132345,\"certificate_chain\":["
					  "{\"subject_common_name\":\"example.com\",\"pem\":\"" LEAF "\"},"
					  "{\"subject_common_name\":\"CA\",\"pem\":\"" ICA "\"}]}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->status, CC_STATUS_ISSUED);
	assert_string_equal(r->pem, "-----BEGIN CERTIFICATE-----\nMIIB/leaf\n-----END CERTIFICATE-----\n"
				    "-----BEGIN CERTIFICATE-----\nMIIBica\n-----END CERTIFICATE-----\n");
	assert_int_equal(r->pem_len, strlen(r->pem));
	/* an odd chain is dropped, the order is not */
	r = decode(CC_ORDER, 201, "{\"id\":1,\"certificate_id\":2,\"certificate_chain\":[{\"pem\":7}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_null(r->pem);
	assert_int_equal(r->certificate_id, 2);
	r = decode(CC_ORDER, 201,
		   "{\"id\":1,\"certificate_id\":2,\"certificate_chain\":[{\"pem\":\"<pem>\"}]}");
	assert_null(r->pem);
	assert_int_equal(r->status, CC_STATUS_UNKNOWN);
}

/* --- find, status-changes --- */

static void test_find(void **state)
{
	const struct cc_reply *r =
		decode(CC_FIND, 200,
		       "{\"orders\":[{\"order_id\":5,\"certificate_id\":6,\"status\":\"issued\"},"
		       "{\"order_id\":7,\"certificate_id\":null,\"status\":\"CANCELED\"},{\"order_id\":8}],"
		       "\"page\":{\"total\":3,\"limit\":1000,\"offset\":0}}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->n_entries, 3);
	assert_int_equal(r->entries[0].order_id, 5);
	assert_int_equal(r->entries[0].certificate_id, 6);
	assert_int_equal(r->entries[0].status, CC_STATUS_ISSUED);
	assert_int_equal(r->entries[1].certificate_id, 0);
	assert_int_equal(r->entries[1].status, CC_STATUS_CANCELED);
	assert_int_equal(r->entries[2].status, CC_STATUS_UNKNOWN);
}

static void test_find_none(void **state)
{
	static const struct {
		int status;
		const char *body;
	} none[] = {
		{ 200, "{}" },
		{ 200, "{\"orders\":[]}" },
		{ 200, "{\"orders\":null,\"page\":{\"total\":0}}" },
		{ 404, "{\"errors\":[{\"code\":\"not_found|order\",\"message\":\"\"}]}" },
		{ 404, "" },
	};
	static const struct {
		int status;
		const char *body;
	} unclear[] = {
		{ 200, "" },
		{ 204, "" },
		{ 200, "[]" },
		{ 200, "null" },
		{ 200, "{\"orders\":{}}" },
		{ 200, "{\"orders\":[{}]}" },
		{ 200, "{\"orders\":[7]}" },
		{ 200, "{\"orders\":[],\"page\":{\"total\":1}}" },
		{ 200, "{\"orders\":[{\"order_id\":\"5\"}]}" },
		{ 200, "{\"errors\":[{\"code\":\"x\"}]}" },
		{ 200, "<html>maintenance</html>" },
		{ 404, "<html>404</html>" },
		{ 500, "{}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		const struct cc_reply *r = decode(CC_FIND, none[i].status, none[i].body);

		assert_int_equal(r->outcome.fault, FAULT_NONE);
		assert_int_equal(r->n_entries, 0);
	}
	/* "None" leads to a purchase: nothing but a clear word may say it. */
	for (size_t i = 0; i < ARRAY_SIZE(unclear); i++)
		assert_int_equal(decode(CC_FIND, unclear[i].status, unclear[i].body)->outcome.fault,
				 FAULT_UNCLEAR);
}

static void test_changes(void **state)
{
	const struct cc_reply *r = decode(
		CC_CHANGES, 200,
		"{\"orders\": [{\"order_id\": 112233,\"certificate_id\": 123456,\"status\": \"issued\"}]}");

	(void)state;
	assert_int_equal(r->n_entries, 1);
	r = decode(CC_CHANGES, 200, "{}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->n_entries, 0);
	r = decode(CC_CHANGES, 200, "{\"orders\":[{\"order_id\":1},{\"order_id\":1.5}]}");
	assert_int_equal(r->outcome.fault, FAULT_UNCLEAR);
	assert_non_null(strstr(r->outcome.message, "orders[1].order_id"));
	assert_int_equal(r->n_entries, 0);
}

/* --- order info --- */

static const char info[] =
	"{\"id\":112233,\"certificate\":{\"id\":123456,\"thumbprint\":\"ABC\",\"serial_number\":\"0A\","
	"\"common_name\":\"example.com\",\"dns_names\":[\"example.com\",\"www.example.com\"],"
	"\"date_created\":\"2026-06-16T15:30:37+00:00\",\"valid_from\":\"2026-06-16\",\"valid_till\":\"2027-"
	"01-01\","
	"\"days_remaining\":40,\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\r\\nMII\\/x\\r\\n\","
	"\"cert_validity\":{\"days\":199},\"status\":\"approved\"},\"status\":\"issued\",\"is_renewal\":"
	"false,"
	"\"is_multi_year_plan\":\"1\",\"renewed_order_id\":0,\"order_valid_till\":\"2027-06-16\","
	"\"dcv_method\":\"http-token\",\"requests\":[{\"id\":1,\"status\":\"approved\"}],\"price\":141.5,"
	"\"product\":{\"name_id\":\"ssl_dv_geotrust\"},\"alternative_order_id\":\"ref\"}";

static void test_info(void **state)
{
	const struct cc_reply *r = decode(CC_INFO, 200, info);

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->order_id, 112233);
	assert_int_equal(r->certificate_id, 123456);
	assert_int_equal(r->status, CC_STATUS_ISSUED);
	assert_string_equal(r->status_word, "issued");
	assert_string_equal(r->common_name, "example.com");
	assert_string_equal(r->csr, "-----BEGIN CERTIFICATE REQUEST-----\r\nMII/x\r\n");
	assert_int_equal(r->order_valid_until, 1813104000); /* 2027-06-16 00:00 UTC */

	r = decode(CC_INFO, 200, "{\"id\":1,\"status\":\"brand_new\\nword\",\"order_valid_till\":\"soon\"}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->status, CC_STATUS_UNKNOWN);
	assert_string_equal(r->status_word, "brand_new\\x0aword");
	assert_int_equal(r->order_valid_until, 0);
	assert_int_equal(r->certificate_id, 0);

	r = decode(CC_INFO, 200, "{\"id\":1,\"status\":\"pending\",\"certificate\":{\"csr\":\"a\\u0007b\"}}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_null(r->csr);

	r = decode(CC_INFO, 200, "{\"id\":1,\"status\":\"pending\",\"certificate\":{\"id\":\"7\"}}");
	assert_int_equal(r->outcome.fault, FAULT_UNCLEAR);
	assert_non_null(strstr(r->outcome.message, "certificate.id"));
	r = decode(CC_INFO, 200, "{\"id\":1}");
	assert_non_null(strstr(r->outcome.message, "status: missing"));
}

/* --- random value --- */

static void test_token(void **state)
{
	const struct cc_reply *r = decode(
		CC_TOKEN, 200,
		"{\"dcv_random_value\":\"fm32wkkj\",\"expiration_date\":\"2026-12-21T08:00:00+00:00\"}");
	char body[600];
	char word[300];

	(void)state;
	assert_string_equal(r->dcv_token, "fm32wkkj");
	assert_int_equal(r->dcv_token_expires_at, 1797840000);
	r = decode(CC_TOKEN, 200, "{\"dcv_random_value\":\"A-_9\",\"expiration_date\":\"?\"}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_int_equal(r->dcv_token_expires_at, 0);

	memset(word, 'a', sizeof(word));
	for (size_t len = 255; len <= 257; len++) {
		(void)snprintf(body, sizeof(body), "{\"dcv_random_value\":\"%.*s\"}", (int)len, word);
		assert_int_equal(decode(CC_TOKEN, 200, body)->outcome.fault,
				 len <= 256 ? FAULT_NONE : FAULT_REFUSED);
	}
}

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = { "",		 "../../etc/passwd",
					   "a b",	 "a\\nb",
					   "$(id)",	 "a/b",
					   "<script>",	 "%n%n",
					   "\\u202eabc", "\\u001b[2J",
					   "a.b",	 "a\\u00e9",
					   "`reboot`",	 "a\\\\b",
					   "..",	 "a;b",
					   "\\t",	 "http://x/",
					   "a\\r\\nX: y" };
	char body[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct cc_reply *r = NULL;

		(void)snprintf(body, sizeof(body), "{\"id\":1,\"dcv_random_value\":\"%s\"}", bad[i]);
		r = decode(CC_TOKEN, 200, body);
		assert_int_equal(r->outcome.fault, FAULT_REFUSED);
		assert_string_equal(r->outcome.code, "bad_dcv_token");
		assert_null(r->dcv_token);
		assert_null(strchr(r->outcome.message, '\n'));
		r = decode(CC_ORDER, 201, body);
		assert_int_equal(r->outcome.fault, FAULT_UNCLEAR);
		assert_null(r->dcv_token);
	}
}

/* --- check-dcv --- */

static void test_check_old(void **state)
{
	const struct cc_reply *r =
		decode(CC_CHECK, 200,
		       "{\"order_status\":\"pending\",\"certificate_id\":123456,\"dcv_status\":\"valid\"}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_true(r->validated);
	assert_int_equal(r->status, CC_STATUS_PENDING);
	assert_int_equal(r->certificate_id, 123456);
	r = decode(CC_CHECK, 400,
		   "{\"errors\":[{\"code\":\"file_random_value_not_found\",\"message\":\"Could not find the "
		   "random "
		   "value at the expected file location for one or more domains.\"}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_false(r->validated);
	assert_string_equal(r->outcome.code, "file_random_value_not_found");
	assert_non_null(strstr(r->outcome.message, "Could not find the random value"));
	r = decode(CC_CHECK, 400,
		   "{\"errors\":[{\"code\":\"invalid_dns_txt\",\"message\":\"Could not find a valid TXT "
		   "record\"}]}");
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_false(r->validated);
	r = decode(CC_CHECK, 200, "{\"order_status\":\"pending\",\"dcv_status\":\"pending\"}");
	assert_false(r->validated);
}

static void test_check_newer(void **state)
{
	const struct cc_reply *r = decode(CC_CHECK, 200,
					  "{\"order_status\":\"pending\",\"dns_name_validations\":[{\"dns_"
					  "name\":\"a.jp\",\"status\":\"approved\"},"
					  "{\"dns_name\":\"b.jp\",\"status\":\"pending\"},{\"dns_name\":"
					  "\"c\\nd\",\"status\":\"unapproved\"}]}");

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_false(r->validated);
	assert_string_equal(r->not_validated, "b.jp c\\x0ad");

	r = decode(
		CC_CHECK, 200,
		"{\"order_status\":\"pending\",\"dns_name_validations\":[{\"dns_name\":\"a.jp\",\"status\":"
		"\"approved\"},{\"dns_name\":\"b.jp\",\"status\":\"valid\"}]}");
	assert_true(r->validated);
	assert_string_equal(r->not_validated, "");

	/* the list wins over the old word, an issued order wins over all */
	r = decode(CC_CHECK, 200,
		   "{\"order_status\":\"pending\",\"dcv_status\":\"valid\",\"dns_name_validations\":[{\"dns_"
		   "name\":"
		   "\"a.jp\",\"status\":\"pending\"}]}");
	assert_false(r->validated);
	r = decode(CC_CHECK, 200,
		   "{\"order_status\":\"issued\",\"dns_names_validations\":[{\"dns_name\":\"a.jp\"}]}");
	assert_true(r->validated);
	r = decode(CC_CHECK, 200,
		   "{\"order_status\":\"pending\",\"dns_names_validations\":[{\"dns_name\":\"a.jp\"}]}");
	assert_false(r->validated);
	assert_string_equal(r->not_validated, "a.jp");

	/* A 200 alone proves nothing. */
	assert_false(decode(CC_CHECK, 200, "{}")->validated);
	assert_false(decode(CC_CHECK, 200, "{\"order_status\":\"pending\",\"dns_name_validations\":[]}")
			     ->validated);
	assert_false(decode(CC_CHECK, 200, "{\"dns_name_validations\":[{}]}")->validated);
	assert_int_equal(decode(CC_CHECK, 200, "{\"dns_name_validations\":[7]}")->outcome.fault,
			 FAULT_UNCLEAR);
	assert_int_equal(decode(CC_CHECK, 200, "")->outcome.fault, FAULT_UNCLEAR);
}

static void test_check_names_are_bounded(void **state)
{
	struct strbuf sb = STRBUF_INIT(100000);
	const struct cc_reply *r = NULL;

	(void)state;
	strbuf_adds(&sb, "{\"dns_name_validations\":[");
	for (int i = 0; i < 500; i++)
		strbuf_addf(&sb, "%s{\"dns_name\":\"host%d.example.jp\",\"status\":\"pending\"}",
			    i ? "," : "", i);
	strbuf_adds(&sb, "]}");
	r = decode(CC_CHECK, 200, strbuf_str(&sb));
	assert_false(r->validated);
	assert_true(strlen(r->not_validated) <= 1024);
	assert_true(str_has_prefix(r->not_validated, "host0.example.jp host1.example.jp "));
	strbuf_done(&sb);
}

/* --- download --- */

static void test_download(void **state)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\r\nMIIB\r\n-----END CERTIFICATE-----\r\n";
	static const char nul[] = "-----BEGIN CERTIFICATE-----\0-----END CERTIFICATE-----";
	const struct cc_reply *r = decode(CC_DOWNLOAD, 200, pem);

	(void)state;
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_string_equal(r->pem, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	assert_int_equal(r->pem_len, strlen(r->pem));

	r = decode_bytes(CC_DOWNLOAD, 200, "PK\x03\x04\0\0\0", 7);
	assert_int_equal(r->outcome.fault, FAULT_BAD_CERT);
	assert_string_equal(r->outcome.code, "zip");
	r = decode(CC_DOWNLOAD, 200, " \n{\"intermediates\":[{\"pem\":\"-----BEGIN CERTIFICATE-----\"}]}");
	assert_string_equal(r->outcome.code, "json");
	assert_string_equal(decode(CC_DOWNLOAD, 200, "<html>")->outcome.code, "not_pem");
	assert_string_equal(decode(CC_DOWNLOAD, 200, "-----BEGIN PKCS7-----")->outcome.code, "not_pem");
	assert_string_equal(decode(CC_DOWNLOAD, 200, "")->outcome.code, "empty");
	assert_string_equal(decode_bytes(CC_DOWNLOAD, 200, nul, sizeof(nul) - 1)->outcome.code, "not_pem");
	assert_int_equal(decode(CC_DOWNLOAD, 400, "{\"errors\":[{\"code\":\"certificate_not_issued\"}]}")
				 ->outcome.fault,
			 FAULT_NOT_FOUND);
}

/* --- hostile --- */

static const char *const hostile[] = {
	"",
	" ",
	"{",
	"}",
	"{\"id\":1",
	"{\"id\":1}x",
	"{\"id\":1,\"id\":2}",
	"{'id':1}",
	"{\"id\":\"1\"}",
	"{\"id\":true}",
	"{\"id\":1e3}",
	"{\"id\":1.0}",
	"{\"id\":100000000000000000000}",
	"{\"id\":-5}",
	"{\"id\":0}",
	"{\"id\":NaN}",
	"{\"id\":Infinity}",
	"{\"id\":null}",
	"{\"id\":[1]}",
	"{\"id\":{\"id\":1}}",
	"{\"id\":1,\"certificate_id\":\"12abc\"}",
	"{\"id\":1,\"certificate_id\":-1}",
	"{\"id\":1,\"certificate_id\":{}}",
	"{\"id\":1,\"dcv_random_value\":\"a\\u0000b\"}",
	"{\"id\":1,\"dcv_random_value\":17}",
	"{\"id\":1,\"dcv_random_value\":[]}",
	"{\"id\":1,\"dcv_random_value\":\"\xff\xfe\"}",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
	"\"a\":{\"a\":"
	"{\"a\":1}}}}}}}}}}}}}}}}},\"id\":1}",
	"\xef\xbb\xbf{\"id\":1}",
	"/* c */{\"id\":1}",
	"\"id\"",
	"1",
	"null",
	"true",
	"<?xml version=\"1.0\"?><id>1</id>",
	"HTTP/1.1 201 Created\r\n\r\n{\"id\":1}",
};

static void test_hostile(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
		for (int ep = CC_ORDER; ep < CC_ENDPOINT_NR; ep++) {
			const struct cc_reply *r = decode((enum cc_endpoint)ep, 200, hostile[i]);

			if (ep == CC_ORDER && r->outcome.fault != FAULT_UNCLEAR)
				fail_msg("body %zu: %s", i, fault_name(r->outcome.fault));
			assert_null(strchr(r->outcome.message, '\n'));
			if (r->outcome.fault != FAULT_NONE) {
				assert_null(r->dcv_token);
				assert_int_equal(r->n_entries, 0);
			}
		}
}

/* Every text of an answer replaced: what comes out is one line, bounded, and no token. */
static void test_hostile_texts(void **state)
{
	static const char *const texts[] = { "../../x",	    "$(id)",   "\\n",	  "%s%n",
					     "\\u001b[31m", "\\u202e", "\\u0085", "a\\\"b",
					     "<b>",	    "'",       "\\\\",	  "\\uD83D\\uDE00" };
	char body[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct cc_reply *r = NULL;

		(void)snprintf(body, sizeof(body),
			       "{\"id\":1,\"status\":\"%s\",\"order_valid_till\":\"%s\",\"certificate\":{"
			       "\"common_name\":"
			       "\"%s\",\"csr\":\"%s\"}}",
			       texts[i], texts[i], texts[i], texts[i]);
		r = decode(CC_INFO, 200, body);
		assert_int_equal(r->outcome.fault, FAULT_NONE);
		assert_int_equal(r->status, CC_STATUS_UNKNOWN);
		assert_null(strpbrk(r->status_word, "\n\x1b"));
		assert_null(strpbrk(r->common_name, "\n\x1b"));
	}
}

static void test_large(void **state)
{
	size_t len = 1200 * 1024;
	_cleanup_free_ char *body = xmalloc(len + 1);

	(void)state;
	memset(body, ' ', len);
	memcpy(body, "{\"id\":1,\"certificate_id\":2}", 27);
	assert_int_equal(decode(CC_ORDER, 201, body)->outcome.fault, FAULT_UNCLEAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_words),
		cmocka_unit_test(test_order_shapes),
		cmocka_unit_test(test_order_tokens_per_domain),
		cmocka_unit_test(test_order_instant),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_find_none),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_bad_tokens),
		cmocka_unit_test(test_check_old),
		cmocka_unit_test(test_check_newer),
		cmocka_unit_test(test_check_names_are_bounded),
		cmocka_unit_test(test_download),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
