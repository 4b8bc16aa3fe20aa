/* SPDX-License-Identifier: Apache-2.0 */
/* Every endpoint's request to the letter: method, path, body. And which refusals stop the key, which calls may be sent again. */
#include "tests/unit/fake_io.h"

#include "daemon/certcentral/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define URL "https://ca.example/services/v2"
#define CSR "-----BEGIN CERTIFICATE REQUEST-----\nMIH/+==\n-----END CERTIFICATE REQUEST-----\n"

static struct loop loop;
static struct config config;
static struct cc *cc;

/* The last request, and what its callback got. */
static struct {
	unsigned n;
	char *line; /* "PUT https://..." */
	char *body; /* NULL: none */
} sent;
static struct {
	unsigned n;
	struct outcome outcome;
	bool with_token;
	int64_t order_id;
	int64_t request_id;
	size_t n_certs;
	struct secret *secret; /* a copy */
} got;

static int answer_status;
static const char *answer_body;

static void answer(struct http_call *c)
{
	free(sent.line);
	free(sent.body);
	sent.n++;
	sent.line = xasprintf("%s %s", c->method, c->url);
	sent.body = xstrdup_opt(c->body);
	fake_say(c, answer_status, answer_body);
}

static void done(const struct cc_reply *r, void *owner)
{
	(void)owner;
	got.n++;
	got.outcome = r->outcome;
	got.with_token = r->dcv_token != NULL;
	got.order_id = r->order_id;
	got.request_id = r->request_id;
	got.n_certs = r->n_certs;
	secret_free(got.secret);
	got.secret = NULL;
	if (r->n_auth_keys > 0 && r->auth_keys[0].secret)
		got.secret =
			secret_new(secret_bytes(r->auth_keys[0].secret), secret_len(r->auth_keys[0].secret));
}

static int setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	memset(&sent, 0, sizeof(sent));
	memset(&got, 0, sizeof(got));
	config.refs = 1000; /* never freed: it lives here */
	config.certcentral.url = URL;
	config.certcentral.api_key = secret_new("KEY-1", 5);
	answer_status = 204;
	answer_body = "";
	fake_answer = answer;
	return cc_new(&loop, &config, &cc, NULL);
}

static int teardown(void **state)
{
	(void)state;
	cc_free(cc);
	free(sent.line);
	free(sent.body);
	secret_free(got.secret);
	secret_free(config.certcentral.api_key);
	assert_int_equal(fake_n_http, 0);
	assert_int_equal(fake_n_calls, 0);
	assert_null(loop.timers);
	return 0;
}

/* Runs what was started; it must be one request, answered once. */
static void run(const char *line, const char *body)
{
	fake_run(&loop, 100);
	assert_int_equal(sent.n, 1);
	assert_int_equal(got.n, 1);
	assert_string_equal(sent.line, line);
	if (body)
		assert_string_equal(sent.body, body);
	else
		assert_null(sent.body);
	sent.n = got.n = 0;
}

static void say(int status, const char *body)
{
	answer_status = status;
	answer_body = body;
}

static const char *const names[] = { "example.com", "www.example.com" };
static const struct cc_order order = {
	.product = "ssl_dv_geotrust",
	.names = names,
	.n_names = 2,
	.csr = CSR,
	.reference = "ref",
	.dcv_method = "http-token",
	.order_years = 1,
	.cert_days = 199,
	.payment_method = "balance",
};

#define CERTIFICATE                                                                                          \
	"{\"certificate\":{\"common_name\":\"example.com\",\"dns_names\":[\"www.example.com\"],\"csr\":"     \
	"\"-----BEGIN CERTIFICATE REQUEST-----\\nMIH/+==\\n-----END CERTIFICATE REQUEST-----\\n\","          \
	"\"signature_hash\":\"sha256\",\"server_platform\":{\"id\":-1}"

/* --- requests --- */

static void test_reissue(void **state)
{
	struct cc_call *c = NULL;

	(void)state;
	say(201, "{\"id\":12,\"certificate_id\":34,\"dcv_random_value\":\"tok\"}");
	cc_order_reissue(cc, 12, &order, 1, done, NULL, &c);
	run("POST " URL "/order/certificate/12/reissue",
	    CERTIFICATE ",\"cert_validity\":{\"days\":199}},\"skip_approval\":true}");
	assert_int_equal(got.order_id, 12);
	assert_true(got.with_token);
}

static void test_duplicate(void **state)
{
	(void)state;
	say(201, "{\"id\":12,\"requests\":[{\"id\":332211}]}");
	cc_order_duplicate(cc, 12, &order, 1, done, NULL, NULL);
	run("POST " URL "/order/certificate/12/duplicate", CERTIFICATE "}}");
	assert_int_equal(got.request_id, 332211);
	say(200, "{\"certificates\":[{\"id\":5}]}");
	cc_duplicates(cc, 12, 1, done, NULL, NULL);
	run("GET " URL "/order/certificate/12/duplicate", NULL);
	assert_int_equal(got.n_certs, 1);
}

static void test_proofs(void **state)
{
	(void)state;
	say(200, "{\"dcv_random_value\":\"tok\",\"expiration_date\":\"2026-12-21T08:00:00+00:00\"}");
	cc_dcv_method(cc, 12, "dns-txt-token", 1, done, NULL, NULL);
	run("PUT " URL "/order/certificate/12/dcv-method", "{\"dcv_method\":\"dns-txt-token\"}");
	assert_true(got.with_token);
	say(204, "");
	cc_resend_emails(cc, 12, 1, done, NULL, NULL);
	run("PUT " URL "/order/certificate/12/resend-emails", NULL);
	assert_int_equal(got.outcome.fault, FAULT_NONE);
}

static void test_revoke(void **state)
{
	const struct cc_revocation one = { .order_id = 12, .certificate_id = 34, .reason = "keyCompromise" };
	const struct cc_revocation all = { .order_id = 12 };

	(void)state;
	cc_revoke(cc, &one, 1, done, NULL, NULL);
	run("PUT " URL "/certificate/34/revoke",
	    "{\"comments\":\"Revoked by dvcertd\",\"comment\":\"Revoked by dvcertd\","
	    "\"revocation_reason\":\"keyCompromise\",\"skip_approval\":true}");
	assert_int_equal(got.outcome.fault, FAULT_NONE);
	assert_int_equal(got.request_id, 0);
	say(201, "{\"id\":1,\"type\":\"revoke\",\"status\":\"pending\"}");
	cc_revoke(cc, &all, 1, done, NULL, NULL);
	run("PUT " URL "/order/certificate/12/revoke",
	    "{\"comments\":\"Revoked by dvcertd\",\"comment\":\"Revoked by "
	    "dvcertd\",\"skip_approval\":true}");
	assert_int_equal(got.request_id, 1);
}

static void test_status_of_requests_and_orders(void **state)
{
	(void)state;
	cc_request_status(cc, 77, true, 1, done, NULL, NULL);
	run("PUT " URL "/request/77/status", "{\"status\":\"approved\"}");
	cc_request_status(cc, 77, false, 1, done, NULL, NULL);
	run("PUT " URL "/request/77/status", "{\"status\":\"rejected\"}");
	cc_order_cancel(cc, 12, 1, done, NULL, NULL);
	run("PUT " URL "/order/certificate/12/status", "{\"status\":\"CANCELED\"}");
	assert_int_equal(got.outcome.fault, FAULT_NONE);
}

static void test_auth_keys(void **state)
{
	(void)state;
	say(200, "{\"auth_keys\":[]}");
	cc_auth_keys(cc, 1, done, NULL, NULL);
	run("GET " URL "/account/auth-keys", NULL);
	assert_int_equal(got.outcome.fault, FAULT_NONE);
	say(200, "{\"auth_key_id\":\"ID\",\"auth_key\":\"the key\\/itself\"}");
	cc_auth_key(cc, NULL, 1, done, NULL, NULL);
	run("GET " URL "/account/auth-key", NULL);
	assert_null(got.secret); /* a key has no blanks */
	say(200, "{\"auth_key_id\":\"ID\",\"auth_key\":\"the-key\\/itself\"}");
	cc_auth_key(cc, "a/b ?", 1, done, NULL, NULL);
	run("GET " URL "/account/auth-key/a%2Fb%20%3F", NULL);
	assert_string_equal(secret_bytes(got.secret), "the-key/itself");
	cc_auth_key_create(cc, 0, 1, done, NULL, NULL);
	run("POST " URL "/account/auth-key", NULL);
	assert_non_null(got.secret);
	cc_auth_key_create(cc, 30, 1, done, NULL, NULL);
	run("POST " URL "/account/auth-key/30", NULL);
	assert_non_null(got.secret);
}

static void test_the_key(void **state)
{
	(void)state;
	say(200, "{\"access_roles\":[{\"name\":\"Administrator\"}]}");
	cc_user(cc, 1, done, NULL, NULL);
	run("GET " URL "/user/me", NULL);
	assert_int_equal(got.outcome.fault, FAULT_NONE);
	say(200, "{\"products\":[{\"name_id\":\"ssl_dv_geotrust\"}]}");
	cc_products(cc, 1, done, NULL, NULL);
	run("GET " URL "/product", NULL);
	assert_int_equal(got.outcome.fault, FAULT_NONE);
}

/* The bound of the body is computed, not guessed: whatever the texts are, nothing is cut. */
static void test_largest_order(void **state)
{
	static const char *const emails[] = { "\"\x01\x02\x03\"@example.com", "admin@example.com",
					      "webmaster@example.com" };
	const char *many[250];
	const struct cc_order o = {
		.product = "cloud_dv_geotrust",
		.names = many,
		.n_names = 250,
		.csr = CSR,
		.reference = "\x01\x02",
		.dcv_method = "email",
		.dcv_emails = emails,
		.n_dcv_emails = 3,
		.use_auth_key = true,
		.auth_key_id = "\x01\x02\x03\x04",
		.renewal_of_order_id = INT64_MAX,
		.order_years = 3,
	};
	char text[250][40];
	struct strbuf sb = STRBUF_INIT(1UL << 20);

	(void)state;
	for (size_t i = 0; i < 250; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "\x01%zu.example.com", i);
		many[i] = text[i];
	}
	say(201, "{\"id\":1}");
	cc_encode_order(&o, &sb);
	cc_order_submit(cc, &o, 1, done, NULL, NULL);
	run("POST " URL "/order/certificate/cloud_dv_geotrust", strbuf_str(&sb));
	strbuf_done(&sb);
}

/* --- which refusals stop the key --- */

/* Starts one call of an endpoint. */
static void start(enum cc_endpoint ep)
{
	const struct cc_revocation r = { .order_id = 12 };

	switch (ep) {
	case CC_ORDER: cc_order_submit(cc, &order, 1, done, NULL, NULL); break;
	case CC_FIND: cc_order_find(cc, "ref", 1, done, NULL, NULL); break;
	case CC_INFO: cc_order_info(cc, 12, 1, done, NULL, NULL); break;
	case CC_SERIAL: cc_order_by_serial(cc, "0aff", 1, done, NULL, NULL); break;
	case CC_TOKEN: cc_dcv_token(cc, 12, 1, done, NULL, NULL); break;
	case CC_CHECK: cc_dcv_check(cc, 12, 1, done, NULL, NULL); break;
	case CC_CHANGES: cc_status_changes(cc, 10, done, NULL, NULL); break;
	case CC_DOWNLOAD: cc_download(cc, 34, 1, done, NULL, NULL); break;
	case CC_REISSUE: cc_order_reissue(cc, 12, &order, 1, done, NULL, NULL); break;
	case CC_DUPLICATE: cc_order_duplicate(cc, 12, &order, 1, done, NULL, NULL); break;
	case CC_DUPLICATES: cc_duplicates(cc, 12, 1, done, NULL, NULL); break;
	case CC_METHOD: cc_dcv_method(cc, 12, "email", 1, done, NULL, NULL); break;
	case CC_RESEND: cc_resend_emails(cc, 12, 1, done, NULL, NULL); break;
	case CC_REVOKE: cc_revoke(cc, &r, 1, done, NULL, NULL); break;
	case CC_APPROVE: cc_request_status(cc, 77, true, 1, done, NULL, NULL); break;
	case CC_CANCEL: cc_order_cancel(cc, 12, 1, done, NULL, NULL); break;
	case CC_AUTH_KEYS: cc_auth_keys(cc, 1, done, NULL, NULL); break;
	case CC_AUTH_KEY: cc_auth_key(cc, NULL, 1, done, NULL, NULL); break;
	case CC_AUTH_KEY_CREATE: cc_auth_key_create(cc, 0, 1, done, NULL, NULL); break;
	case CC_USER: cc_user(cc, 1, done, NULL, NULL); break;
	case CC_PRODUCTS: cc_products(cc, 1, done, NULL, NULL); break;
	case CC_ENDPOINT_NR: break;
	}
}

/* A key that is limited to orders must go on with its orders after it asked for an AuthKey in vain. */
static void test_own_rights_do_not_stop_the_key(void **state)
{
	static const enum cc_endpoint own[] = { CC_SERIAL,   CC_REVOKE,		 CC_APPROVE, CC_AUTH_KEYS,
						CC_AUTH_KEY, CC_AUTH_KEY_CREATE, CC_USER,    CC_PRODUCTS };

	(void)state;
	for (int ep = CC_ORDER; ep < CC_ENDPOINT_NR; ep++) {
		bool is_own = false;

		for (size_t i = 0; i < ARRAY_SIZE(own); i++)
			is_own = is_own || own[i] == (enum cc_endpoint)ep;
		for (int status = 401; status <= 403; status += 2) {
			say(status, "{\"errors\":[{\"code\":\"access_denied|missing_permission\"}]}");
			start((enum cc_endpoint)ep);
			fake_run(&loop, 100);
			assert_int_equal(got.outcome.fault, FAULT_AUTH);
			assert_int_equal(cc_is_blocked(cc), status == 401 || !is_own);
			assert_int_equal(cc_reconfigure(cc, &config, NULL), 0);
		}
		say(403, "{\"errors\":[{\"code\":\"access_denied|invalid_approver\"}]}");
		start((enum cc_endpoint)ep);
		fake_run(&loop, 100);
		assert_int_equal(got.outcome.fault, FAULT_REFUSED);
		assert_false(cc_is_blocked(cc));
	}
}

/* --- what may be sent again --- */

/* 429 says that nothing was done. Still a POST is told to the caller, who keeps the books. */
static void test_throttled(void **state)
{
	static const enum cc_endpoint posts[] = { CC_ORDER, CC_REISSUE, CC_DUPLICATE, CC_AUTH_KEY_CREATE };

	(void)state;
	for (int ep = CC_ORDER; ep < CC_ENDPOINT_NR; ep++) {
		bool is_post = false;

		for (size_t i = 0; i < ARRAY_SIZE(posts); i++)
			is_post = is_post || posts[i] == (enum cc_endpoint)ep;
		sent.n = got.n = 0;
		say(429, "");
		start((enum cc_endpoint)ep);
		fake_run(&loop, 3600000);
		assert_int_equal(sent.n, is_post ? 1 : 8);
		assert_int_equal(got.n, 1);
		assert_int_equal(got.outcome.fault, FAULT_THROTTLED);
	}
}

static void test_unclear_is_never_repeated(void **state)
{
	(void)state;
	for (int ep = CC_ORDER; ep < CC_ENDPOINT_NR; ep++) {
		sent.n = got.n = 0;
		say(502, "<html>");
		start((enum cc_endpoint)ep);
		fake_run(&loop, 3600000);
		assert_int_equal(sent.n, 1);
		assert_int_equal(got.n, 1);
		assert_int_equal(got.outcome.fault, FAULT_UNCLEAR);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reissue),
		T(test_duplicate),
		T(test_proofs),
		T(test_revoke),
		T(test_status_of_requests_and_orders),
		T(test_auth_keys),
		T(test_the_key),
		T(test_largest_order),
		T(test_own_rights_do_not_stop_the_key),
		T(test_throttled),
		T(test_unclear_is_never_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
