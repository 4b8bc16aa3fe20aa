/* SPDX-License-Identifier: Apache-2.0 */
/* The push to the WAF: the body as the manual shows it, each documented answer, and calls. */
#include "tests/unit/fake_io.h"

#include "common/json.h"
#include "daemon/deploy/scutum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CERT "-----BEGIN CERTIFICATE-----\nMIIDleaf\n-----END CERTIFICATE-----\n"
#define ICA1 "-----BEGIN CERTIFICATE-----\nMIIDone\n-----END CERTIFICATE-----\n"
#define ICA2 "-----BEGIN CERTIFICATE-----\r\nMIIDtwo\r\n-----END CERTIFICATE-----\r\n"
#define KEY  "-----BEGIN RSA PRIVATE KEY-----\nMIIEog\n-----END RSA PRIVATE KEY-----\n"

static struct loop loop;
static struct config config;
static struct scutum *scutum;
static struct cfg_scutum_target target;
static struct outcome got;
static unsigned n_got;
static int answer_status;
static char *last_url;
static char *last_headers;
static char *last_body;

static void answer(struct http_call *c)
{
	free(last_url);
	free(last_headers);
	free(last_body);
	last_url = xstrdup(c->url);
	last_headers = xstrdup(c->headers);
	last_body = xstrdup(c->body);
	assert_string_equal(c->method, "POST");
	fake_say(c, answer_status, "{\n \"status\" : \"ok\" }");
}

static void done(const struct outcome *o, void *owner)
{
	(void)owner;
	got = *o;
	n_got++;
}

static int setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	config.refs = 1000; /* never freed: it lives here */
	config.scutum.url = "https://api.scutum.example/api/v1";
	target = (struct cfg_scutum_target){ .host = "www.example.jp", .id = "ABC1234" };
	target.api_key = secret_new("17a1f5d1", 8);
	answer_status = 200;
	fake_answer = answer;
	n_got = 0;
	return scutum_new(&loop, &config, &scutum, NULL);
}

static int teardown(void **state)
{
	(void)state;
	scutum_free(scutum);
	secret_free(TAKE_PTR(target.api_key));
	secret_free(TAKE_PTR(target.key_passphrase));
	free(TAKE_PTR(last_url));
	free(TAKE_PTR(last_headers));
	free(TAKE_PTR(last_body));
	assert_int_equal(config.refs, 1000);
	assert_int_equal(fake_n_http, 0);
	assert_int_equal(fake_n_calls, 0);
	return 0;
}

static char *encode(const struct scutum_push *p)
{
	struct strbuf sb = STRBUF_INIT(65536);

	scutum_encode(p, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static void test_encode(void **state)
{
	struct scutum_push p = {
		.target = &target, .cert = CERT, .key = KEY, .chain = ICA1 "garbage\n" ICA2
	};
	_cleanup_free_ char *two = encode(&p);

	(void)state;
	assert_string_equal(
		two, "{\"cert\":\"-----BEGIN CERTIFICATE-----\\nMIIDleaf\\n-----END CERTIFICATE-----\","
		     "\"key\":\"-----BEGIN RSA PRIVATE KEY-----\\nMIIEog\\n-----END RSA PRIVATE KEY-----\","
		     "\"im\":[\"-----BEGIN CERTIFICATE-----\\nMIIDone\\n-----END CERTIFICATE-----\","
		     "\"-----BEGIN CERTIFICATE-----\\nMIIDtwo\\n-----END CERTIFICATE-----\"]}");
	p.chain = "";

	_cleanup_free_ char *none = encode(&p);

	assert_null(strstr(none, "\"im\""));
	assert_null(strstr(none, "password"));
	p.chain = "-----BEGIN CERTIFICATE-----\ncut";

	_cleanup_free_ char *cut = encode(&p);

	assert_null(strstr(cut, "\"im\""));
}

/* What comes out is JSON, and the passphrase survives the journey. */
static void test_encode_passphrase(void **state)
{
	static const char pass[] = "L}r\"\\\t\x01\xe3\x81\x82 /'";
	struct scutum_push p = { .target = &target, .cert = CERT, .key = KEY, .chain = ICA1 };
	_cleanup_(json_freep) struct json *j = NULL;
	const char *s = NULL;

	(void)state;
	target.key_passphrase = secret_new(pass, strlen(pass));

	_cleanup_free_ char *text = encode(&p);

	assert_int_equal(json_parse(text, strlen(text), 65536, &j, NULL), 0);
	assert_int_equal(json_get_str(j, "password", &s), 1);
	assert_string_equal(s, pass);
	assert_int_equal(json_get_str(j, "cert", &s), 1);
	assert_int_equal(json_arr_len(json_get(j, "im")), 1);
}

static struct outcome decode(int status, const char *body)
{
	const struct http_result http = {
		.status = status, .body = body, .body_len = strlen(body), .retry_after = "9"
	};
	struct outcome o;

	memset(&o, 0x5a, sizeof(o));
	scutum_decode(&http, 0, &o);
	assert_int_equal(o.http_status, status);
	assert_null(strchr(o.message, '\n'));
	return o;
}

static void test_documented_errors(void **state)
{
	static const char *const errors[] = { "Invalid Method",	      "certInvalid Method",
					      "Invalid Content Type", "Invalid JSON Type",
					      "Invalid Cert",	      "Invalid Key",
					      "Invalid IM",	      "Key And Cert Not Match" };
	char body[256];
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		(void)snprintf(body, sizeof(body),
			       "{\n \"error_on\" : \"7-p1\" , \"error_id\" : "
			       "\"67af83b7-7f43-4636-b088-c395dd1513b4\" , "
			       "\"error\" :\n \"%s\"\n}",
			       errors[i]);
		o = decode(400, body);
		assert_int_equal(o.fault, FAULT_REFUSED);
		assert_string_equal(o.code, errors[i]);
		assert_non_null(
			strstr(o.message, "(error_on 7-p1, error_id 67af83b7-7f43-4636-b088-c395dd1513b4)"));
	}
	o = decode(400, "{\"error\":\"Invalid Key\",\"error_on\":\"a\",\"error_id\":\"b\"}");
	assert_string_equal(o.message,
			    "Scutum answered 400: Invalid Key: the key is not accepted: try key type rsa, "
			    "and check key_passphrase_file (error_on a, error_id b)");
	/* A refusal that repeats what it refuses */
	o = decode(400, "{\"error\":\"Invalid -----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIA\"}");
	assert_int_equal(o.fault, FAULT_REFUSED);
	assert_string_equal(o.message, "Scutum answered 400: \"(an answer with a private key in it)\"");
	assert_string_equal(o.code, "http_400");
	o = decode(200, "-----BEGIN RSA PRIVATE KEY-----\nMHcCAQEEIA");
	assert_null(strstr(o.message, "MHc"));
	o = decode(200, "{\"status\":\"ok\",\"key\":\"-----BEGIN EC PRIVATE KEY-----\"}");
	assert_int_equal(o.fault, FAULT_NONE);
	o = decode(400, "{\"error\":\"Something\\nnew\"}");
	assert_int_equal(o.fault, FAULT_REFUSED);
	assert_string_equal(o.code, "Something\\x0anew");
	o = decode(400, "<html>");
	assert_int_equal(o.fault, FAULT_REFUSED);
	assert_string_equal(o.code, "http_400");
}

static void test_statuses(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum fault fault;
	} rows[] = {
		{ 200, "{\"status\":\"ok\"}", FAULT_NONE },
		{ 200, "{\"status\":\"ng\"}", FAULT_UNCLEAR },
		{ 200, "{\"status\":true}", FAULT_UNCLEAR },
		{ 200, "{}", FAULT_UNCLEAR },
		{ 200, "", FAULT_UNCLEAR },
		{ 200, "ok", FAULT_UNCLEAR },
		{ 200, "{\"status\":\"ok\"", FAULT_UNCLEAR },
		{ 200, "{\"status\":\"ok\",\"status\":\"ng\"}", FAULT_UNCLEAR },
		{ 200, "\xff\xfe", FAULT_UNCLEAR },
		{ 202, "{\"status\":\"ok\"}", FAULT_UNCLEAR },
		{ 204, "", FAULT_UNCLEAR },
		{ 302, "", FAULT_UNCLEAR },
		{ 401, "", FAULT_AUTH },
		{ 403, "", FAULT_AUTH },
		{ 404, "", FAULT_CONFIG },
		{ 405, "", FAULT_REFUSED },
		{ 407, "", FAULT_CONFIG },
		{ 408, "", FAULT_UNCLEAR },
		{ 413, "", FAULT_REFUSED },
		{ 429, "", FAULT_THROTTLED },
		{ 500, "{\"error\":\"Invalid Key\"}", FAULT_UNCLEAR },
		{ 503, "", FAULT_UNCLEAR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outcome o = decode(rows[i].status, rows[i].body);

		if (o.fault != rows[i].fault)
			fail_msg("row %zu: %s", i, fault_name(o.fault));
	}
	assert_int_equal(decode(429, "").retry_after, 9);
}

static void push(struct scutum_call **ret)
{
	const struct scutum_push p = { .target = &target, .cert = CERT, .key = KEY, .chain = ICA1 };

	scutum_push_start(scutum, &p, done, NULL, ret);
}

static void test_push(void **state)
{
	struct scutum_call *c = NULL;

	(void)state;
	target.host = "www.example.jp&id=other";
	target.id = "A B/\xe3\x81\x82";
	push(&c);
	assert_int_equal(n_got, 0);
	fake_run(&loop, 100);
	assert_int_equal(n_got, 1);
	assert_int_equal(got.fault, FAULT_NONE);
	assert_string_equal(last_url,
			    "https://api.scutum.example/api/v1/update_cert?host=www.example.jp%26id%3Dother"
			    "&id=A%20B%2F%E3%81%82");
	assert_non_null(strstr(last_headers, "X-Scutum-API-Key: (secret) 17a1f5d1\n"));
	assert_non_null(strstr(last_headers, "Content-Type: application/json\n"));
	assert_non_null(strstr(last_body, "MIIEog"));
}

static void test_push_large(void **state)
{
	struct strbuf chain = STRBUF_INIT(1024 * 1024);
	struct scutum_push p = { .target = &target, .cert = "\n\n\n\"\"\"\x01\x01", .key = "\\\\\\" };
	static const char pass[] = "\x01\x02\x03\x04\x05\x06\x07\x08";

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_adds(&chain, ICA1);
	p.chain = strbuf_str(&chain);
	target.key_passphrase = secret_new(pass, strlen(pass));
	scutum_push_start(scutum, &p, done, NULL, NULL);
	fake_run(&loop, 100);
	assert_int_equal(got.fault, FAULT_NONE);
	strbuf_done(&chain);
}

static void test_cancel_and_reload(void **state)
{
	struct scutum_call *c = NULL;
	struct config next = config;

	(void)state;
	push(&c);
	scutum_cancel(&c);
	assert_null(c);
	scutum_cancel(&c);
	fake_run(&loop, 100);
	assert_int_equal(n_got, 0);
	push(&c);
	next.scutum.url = "https://other.example";
	assert_int_equal(scutum_reconfigure(scutum, &next, NULL), 0);
	assert_int_equal(fake_n_http, 2); /* the old pool lives until its call is done */
	fake_run(&loop, 100);
	assert_int_equal(fake_n_http, 1);
	assert_int_equal(n_got, 1);
	push(&c);
	fake_run(&loop, 100);
	assert_int_equal(strncmp(last_url, "https://other.example/update_cert?", 34), 0);
	push(&c);
	assert_int_equal(scutum_reconfigure(scutum, &config, NULL), 0);
	push(&c);
	assert_int_equal(fake_n_http, 2); /* teardown frees both */
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_encode), T(test_encode_passphrase), T(test_documented_errors), T(test_statuses),
		T(test_push),	T(test_push_large),	   T(test_cancel_and_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
