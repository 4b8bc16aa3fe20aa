/* SPDX-License-Identifier: Apache-2.0 */
/* The client on a clock, a loop and an HTTP of the test's own: order of release, rate gate, 429, 401/403, pages,
 * cancel, reload. */
#include "tests/unit/fake_io.h"

#include "daemon/certcentral/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ANSWERS_MAX 4096

static struct loop loop;
static struct config config;
static struct cc *cc;

/* What the callbacks got, in order. */
static struct {
	intptr_t who;
	enum fault fault;
	int64_t order_id;
	size_t n_entries;
	int64_t last_entry;
	char code[OUTCOME_CODE_MAX];
} got[ANSWERS_MAX];
static size_t n_got;

/* What was sent, in order. */
static struct {
	char *method;
	char *url;
	char *headers;
	char *body;
	int64_t at_ms;
} sent[ANSWERS_MAX];
static size_t n_sent;

static int answer_status;
static const char *answer_body;
static const char *answer_retry_after;
static int64_t answer_delay_ms;

static void remember_request(const struct http_call *c)
{
	assert_true(n_sent < ANSWERS_MAX);
	sent[n_sent].method = xstrdup(c->method);
	sent[n_sent].url = xstrdup(c->url);
	sent[n_sent].headers = xstrdup(c->headers);
	sent[n_sent].body = xstrdup_opt(c->body);
	sent[n_sent].at_ms = fake_now_ms;
	n_sent++;
}

static void answer_same(struct http_call *c)
{
	remember_request(c);
	fake_say(c, answer_status, answer_body);
	c->result.retry_after = answer_retry_after;
	c->at_ms = fake_now_ms + answer_delay_ms;
}

static void done(const struct cc_reply *r, void *owner)
{
	assert_true(n_got < ANSWERS_MAX);
	got[n_got].who = (intptr_t)owner;
	got[n_got].fault = r->outcome.fault;
	got[n_got].order_id = r->order_id;
	got[n_got].n_entries = r->n_entries;
	got[n_got].last_entry = r->n_entries > 0 ? r->entries[r->n_entries - 1].order_id : 0;
	(void)snprintf(got[n_got].code, sizeof(got[n_got].code), "%s", r->outcome.code);
	n_got++;
}

static void *who(intptr_t n)
{
	return (void *)n;
}

static void forget(void)
{
	for (size_t i = 0; i < n_sent; i++) {
		free(sent[i].method);
		free(sent[i].url);
		free(sent[i].headers);
		free(sent[i].body);
	}
	n_sent = 0;
	n_got = 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	config.refs = 1000; /* never freed: it lives here */
	config.certcentral.url = "https://ca.example/services/v2";
	config.certcentral.api_key = secret_new("KEY-1", 5);
	config.certcentral.rates[0] = (struct cfg_rate){ 90, 5 };
	config.certcentral.rates[1] = (struct cfg_rate){ 900, 180 };
	config.certcentral.n_rates = 2;
	answer_status = 200;
	answer_body = "{\"id\":7,\"status\":\"pending\"}";
	answer_retry_after = "";
	answer_delay_ms = 10;
	fake_answer = answer_same;
	fake_max_calls = 0;
	return cc_new(&loop, &config, &cc, NULL);
}

static int teardown(void **state)
{
	(void)state;
	cc_free(cc);
	cc = NULL;
	forget();
	secret_free(config.certcentral.api_key);
	assert_int_equal(config.refs, 1000);
	assert_int_equal(fake_n_http, 0);
	assert_int_equal(fake_n_calls, 0);
	assert_null(loop.timers);
	return 0;
}

static const char *const names[] = { "example.com", "www.example.com" };
static const struct cc_order order = {
	.product = "ssl dv/geotrust",
	.names = names,
	.n_names = 2,
	.csr = "CSR\n",
	.reference = "ref",
	.dcv_method = "http-token",
	.order_years = 1,
};

/* --- requests --- */

static void test_requests(void **state)
{
	static const char *const expected[][2] = {
		{ "POST", "https://ca.example/services/v2/order/certificate/ssl%20dv%2Fgeotrust" },
		{ "GET", "https://ca.example/services/v2/order/alternate/a%2Fb%3Fc?limit=1000&offset=0" },
		{ "GET", "https://ca.example/services/v2/order/certificate/12" },
		{ "PUT", "https://ca.example/services/v2/order/certificate/12/dcv-random-value" },
		{ "PUT", "https://ca.example/services/v2/order/certificate/12/check-dcv" },
		{ "GET", "https://ca.example/services/v2/certificate/34/download/format/pem_all" },
		{ "GET", "https://ca.example/services/v2/order/certificate/status-changes?minutes=10079"
			 "&limit=1000&offset=0" },
	};
	struct cc_call *c = NULL;

	(void)state;
	cc_order_submit(cc, &order, 1, done, who(0), &c);
	cc_order_find(cc, "a/b?c", 2, done, who(1), &c);
	cc_order_info(cc, 12, 3, done, who(2), &c);
	cc_dcv_token(cc, 12, 4, done, who(3), &c);
	cc_dcv_check(cc, 12, 5, done, who(4), &c);
	cc_download(cc, 34, 6, done, who(5), &c);
	assert_int_equal(n_sent, 0); /* not before the next turn */
	fake_run(&loop, 100);
	cc_status_changes(cc, 99999, done, who(6), NULL);
	fake_run(&loop, 100);
	assert_int_equal(n_sent, ARRAY_SIZE(expected));
	assert_int_equal(n_got, ARRAY_SIZE(expected));
	assert_int_equal(cc_request_count(cc), ARRAY_SIZE(expected));
	for (size_t i = 0; i < n_sent; i++) {
		assert_string_equal(sent[i].method, expected[i][0]);
		assert_string_equal(sent[i].url, expected[i][1]);
		assert_non_null(strstr(sent[i].headers, "X-DC-DEVKEY: (secret) KEY-1\n"));
		assert_non_null(strstr(sent[i].headers, "Content-Type: application/json\n"));
		assert_int_equal(sent[i].body != NULL, i == 0);
	}
	assert_non_null(strstr(sent[0].body, "\"alternative_order_id\":\"ref\""));
}

static void test_most_urgent_first(void **state)
{
	static const int64_t prio[] = { 50, 10, 40, 10, 99, CC_PRIO_NOW, 20 };
	static const intptr_t expected[] = { 5, 1, 3, 6, 2, 0, 4 };
	struct cc_call *c = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(prio); i++)
		cc_order_info(cc, (int64_t)i, prio[i], done, who((intptr_t)i), &c);
	fake_run(&loop, 1000);
	assert_int_equal(n_got, ARRAY_SIZE(prio));
	for (size_t i = 0; i < n_got; i++)
		assert_int_equal(got[i].who, expected[i]);
}

/* A heap is easy to break by removing from its middle. */
static void test_cancel_in_queue(void **state)
{
	struct cc_call *calls[200] = { NULL };
	int64_t last = -1;

	(void)state;
	for (int i = 0; i < 200; i++)
		cc_order_info(cc, (i * 37) % 101, (i * 37) % 101, done, who((i * 37) % 101), &calls[i]);
	for (int i = 0; i < 200; i += 3) {
		cc_cancel(&calls[i]);
		assert_null(calls[i]);
	}
	cc_cancel(&calls[0]);
	fake_run(&loop, 60000);
	assert_int_equal(n_got, 133);
	assert_int_equal(n_sent, 133);
	for (size_t i = 0; i < n_got; i++) {
		assert_true(got[i].who >= last);
		last = got[i].who;
	}
}

static void test_windows_hold(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++)
		cc_order_info(cc, i, i, done, who(i), NULL);
	fake_run(&loop, 600000);
	assert_int_equal(n_got, 2000);
	for (size_t i = 0; i < n_sent; i++) {
		assert_true(i < 90 || sent[i].at_ms - sent[i - 90].at_ms >= 5000);
		assert_true(i < 900 || sent[i].at_ms - sent[i - 900].at_ms >= 180000);
	}
}

static void test_in_flight_bound(void **state)
{
	(void)state;
	answer_delay_ms = 2000;
	for (int i = 0; i < 80; i++)
		cc_order_info(cc, i, i, done, who(i), NULL);
	fake_run(&loop, 1000);
	assert_int_equal(fake_n_calls, 32);
	fake_run(&loop, 60000);
	assert_int_equal(n_got, 80);
	assert_int_equal(fake_max_calls, 32);
}

/* --- 429 --- */

static void test_throttled_get_is_repeated(void **state)
{
	struct cc_call *c = NULL;
	int64_t start_ms = fake_now_ms;

	(void)state;
	answer_status = 429;
	cc_order_info(cc, 1, 1, done, who(1), &c);
	fake_run(&loop, 100);
	assert_int_equal(n_sent, 1);
	cc_order_info(cc, 2, 0, done, who(2), NULL); /* all of the key waits */
	fake_run(&loop, 4000);
	assert_int_equal(n_sent, 1);
	answer_status = 200;
	fake_run(&loop, 3000);
	assert_int_equal(n_sent, 3);
	assert_true(sent[1].at_ms - start_ms >= 5000);
	assert_true(sent[2].at_ms >= sent[1].at_ms + 10); /* one feels its way */
	assert_int_equal(n_got, 2);
	assert_int_equal(got[0].who, 2);
	assert_int_equal(got[1].who, 1);
	assert_int_equal(got[1].fault, FAULT_NONE);
}

static void test_back_off_grows_and_ends(void **state)
{
	int64_t gap_ms = 5000;

	(void)state;
	answer_status = 429;
	cc_order_info(cc, 1, 1, done, who(1), NULL);
	fake_run(&loop, 3600000);
	assert_int_equal(n_sent, 8);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].fault, FAULT_THROTTLED);
	for (size_t i = 1; i < n_sent; i++) {
		int64_t d = sent[i].at_ms - sent[i - 1].at_ms;

		assert_true(d >= gap_ms && d <= MIN(gap_ms + gap_ms / 4 + 10, 180010));
		gap_ms = MIN(gap_ms * 2, 180000);
	}
	/* a success ends the growth */
	answer_status = 200;
	cc_order_info(cc, 1, 1, done, who(1), NULL);
	fake_run(&loop, 3600000);
	answer_status = 429;
	forget();
	cc_order_info(cc, 1, 1, done, who(1), NULL);
	fake_run(&loop, 6500);
	assert_int_equal(n_sent, 2);
}

static void test_many_throttled_at_once_are_one_stop(void **state)
{
	(void)state;
	answer_status = 429;
	for (int i = 0; i < 20; i++)
		cc_order_info(cc, i, i, done, who(i), NULL);
	fake_run(&loop, 100);
	assert_int_equal(n_sent, 20);
	answer_status = 200;
	fake_run(&loop, 6400); /* 5 s and a quarter at most, not 5 s doubled twenty times */
	assert_int_equal(n_got, 20);
}

static void test_retry_after(void **state)
{
	int64_t start_ms = fake_now_ms;

	(void)state;
	answer_status = 429;
	answer_retry_after = "37";
	cc_order_info(cc, 1, 1, done, who(1), NULL);
	fake_run(&loop, 100);
	answer_status = 200;
	fake_run(&loop, 60000);
	assert_int_equal(n_sent, 2);
	assert_int_equal(sent[1].at_ms - start_ms, 37010);
}

static void test_throttled_order_is_reported(void **state)
{
	(void)state;
	answer_status = 429;
	cc_order_submit(cc, &order, 1, done, who(1), NULL);
	fake_run(&loop, 600000);
	assert_int_equal(n_sent, 1);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].fault, FAULT_THROTTLED);
}

/* --- transport --- */

static void answer_unclear(struct http_call *c)
{
	remember_request(c);
	(void)outcome_set(&c->result.outcome, FAULT_UNCLEAR, "timeout", "no answer");
}

static void answer_unsent(struct http_call *c)
{
	remember_request(c);
	(void)outcome_set(&c->result.outcome, FAULT_UNSENT, "connect", "refused");
}

static void test_nothing_is_repeated(void **state)
{
	(void)state;
	fake_answer = answer_unclear;
	cc_order_submit(cc, &order, 1, done, who(1), NULL);
	fake_run(&loop, 600000);
	fake_answer = answer_unsent;
	cc_order_submit(cc, &order, 1, done, who(2), NULL);
	fake_run(&loop, 600000);
	answer_status = 502;
	fake_answer = answer_same;
	cc_order_submit(cc, &order, 1, done, who(3), NULL);
	fake_run(&loop, 600000);
	assert_int_equal(n_sent, 3);
	assert_int_equal(n_got, 3);
	assert_int_equal(got[0].fault, FAULT_UNCLEAR);
	assert_int_equal(got[1].fault, FAULT_UNSENT);
	assert_int_equal(got[2].fault, FAULT_UNCLEAR);
}

/* --- 401, 403 --- */

static void again(const struct cc_reply *r, void *owner)
{
	done(r, owner);
	if (n_got < 10)
		cc_order_info(cc, 1, 0, again, owner, NULL);
}

static void test_auth_stops_the_key(void **state)
{
	struct cc_call *c = NULL;

	(void)state;
	config.certcentral.rates[0] = (struct cfg_rate){ 1, 5 };
	assert_int_equal(cc_reconfigure(cc, &config, NULL), 0);
	answer_status = 403;
	answer_body = "{\"errors\":[{\"code\":\"access_denied|missing_permission\"}]}";
	for (int i = 0; i < 30; i++)
		cc_order_info(cc, i, i, done, who(i), &c);
	fake_run(&loop, 100);
	assert_int_equal(n_sent, 1);
	assert_int_equal(n_got, 30);
	assert_true(cc_is_blocked(cc));
	for (size_t i = 0; i < n_got; i++) {
		assert_int_equal(got[i].fault, FAULT_AUTH);
		assert_string_equal(got[i].code, "access_denied|missing_permission");
	}
	/* later calls too, not before they return, and a cancelled one never */
	cc_order_info(cc, 1, 1, done, who(31), &c);
	cc_order_info(cc, 1, 1, done, who(32), NULL);
	assert_int_equal(n_got, 30);
	cc_cancel(&c);
	fake_run(&loop, 10);
	assert_int_equal(n_got, 31);
	assert_int_equal(got[30].who, 32);
	assert_int_equal(n_sent, 1);
	assert_int_equal(cc_reconfigure(cc, &config, NULL), 0);
	assert_false(cc_is_blocked(cc));
	answer_status = 200;
	answer_body = "{\"id\":7,\"status\":\"pending\"}";
	cc_order_info(cc, 1, 1, done, who(33), NULL);
	fake_run(&loop, 10000);
	assert_int_equal(got[31].fault, FAULT_NONE);
}

/* A caller that asks again from its callback must not keep the loop in one turn for ever. */
static void test_blocked_caller_asks_again(void **state)
{
	(void)state;
	answer_status = 401;
	answer_body = "";
	cc_order_info(cc, 1, 0, again, who(1), NULL);
	fake_run(&loop, 1000);
	assert_int_equal(n_got, 10);
	assert_int_equal(n_sent, 1);
}

static void test_old_key_does_not_block_the_new(void **state)
{
	struct secret *before = config.certcentral.api_key;
	struct config next = config;

	(void)state;
	answer_status = 401;
	cc_order_info(cc, 1, 0, done, who(1), NULL);
	fake_run(&loop, 5);
	assert_int_equal(n_sent, 1);
	next.certcentral.api_key = secret_new("KEY-2", 5);
	next.certcentral.url = "https://eu.example/services/v2";
	assert_int_equal(cc_reconfigure(cc, &next, NULL), 0);
	assert_int_equal(fake_n_http, 2); /* the old pool lives until its call is done */
	fake_run(&loop, 1000);
	assert_int_equal(fake_n_http, 1);
	assert_int_equal(got[0].fault, FAULT_AUTH);
	assert_false(cc_is_blocked(cc));
	answer_status = 200;
	cc_order_info(cc, 1, 0, done, who(2), NULL);
	fake_run(&loop, 1000);
	assert_non_null(strstr(sent[1].headers, "KEY-2"));
	assert_non_null(strstr(sent[1].url, "https://eu.example/services/v2/order"));
	cc_order_info(cc, 1, 0, done, who(3), NULL);
	fake_run(&loop, 5);
	assert_int_equal(cc_reconfigure(cc, &config, NULL), 0);
	assert_int_equal(fake_n_http, 2); /* teardown frees both */
	secret_free(next.certcentral.api_key);
	assert_ptr_equal(config.certcentral.api_key, before);
}

/* --- cancel --- */

static struct cc_call *own;

static void cancel_own(const struct cc_reply *r, void *owner)
{
	done(r, owner);
	cc_cancel(&own);
}

static void test_cancel(void **state)
{
	struct cc_call *c = NULL;

	(void)state;
	cc_order_info(cc, 1, 0, done, who(1), &c);
	cc_cancel(&c); /* never sent */
	fake_run(&loop, 100);
	assert_int_equal(n_sent, 0);
	cc_order_info(cc, 1, 0, done, who(2), &c);
	fake_run(&loop, 5);
	assert_int_equal(fake_n_calls, 1);
	cc_cancel(&c); /* under way */
	assert_int_equal(fake_n_calls, 0);
	fake_run(&loop, 100);
	assert_int_equal(n_got, 0);
	cc_order_info(cc, 1, 0, cancel_own, who(3), &own); /* inside its callback */
	fake_run(&loop, 100);
	assert_int_equal(n_got, 1);
	assert_null(own);
	cc_cancel(&own);
}

static void test_free_with_calls(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		cc_order_info(cc, i, i, done, who(i), NULL);
	fake_run(&loop, 5);
	assert_int_equal(fake_n_calls, 32);
	cc_free(cc);
	cc = NULL;
	fake_run(&loop, 1000);
	assert_int_equal(n_got, 0);
}

/* --- pages --- */

static size_t list_len; /* orders that the CA has */
static bool list_ignores_offset;
static bool list_tells_total;

static void answer_list(struct http_call *c)
{
	struct strbuf sb = STRBUF_INIT(1024 * 1024);
	const char *at = strstr(c->url, "offset=");
	size_t offset = list_ignores_offset ? 0 : strtoul(at + 7, NULL, 10);
	size_t end = MIN(offset + 1000, list_len);

	remember_request(c);
	strbuf_adds(&sb, "{\"orders\":[");
	for (size_t i = offset; i < end; i++)
		strbuf_addf(&sb, "%s{\"order_id\":%zu,\"status\":\"issued\"}", i > offset ? "," : "", i + 1);
	strbuf_adds(&sb, "]");
	if (list_tells_total)
		strbuf_addf(&sb, ",\"page\":{\"total\":%zu}", list_len);
	strbuf_adds(&sb, "}");
	fake_say(c, 200, strbuf_str(&sb));
	strbuf_done(&sb);
}

static void one_list(size_t len, size_t n_requests)
{
	forget();
	list_len = len;
	cc_status_changes(cc, 0, done, who(1), NULL);
	fake_run(&loop, 60000);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].fault, FAULT_NONE);
	assert_int_equal(got[0].n_entries, len);
	assert_int_equal(got[0].last_entry, len);
	assert_int_equal(n_sent, n_requests);
	assert_non_null(strstr(sent[0].url, "minutes=1&"));
}

static void test_pages(void **state)
{
	(void)state;
	fake_answer = answer_list;
	list_tells_total = false;
	one_list(0, 1);
	one_list(1, 1);
	one_list(999, 1);
	one_list(1000, 2);
	one_list(2500, 3);
	list_tells_total = true;
	one_list(1000, 1);
	one_list(2500, 3);
	list_ignores_offset = true;
	list_tells_total = false;
	one_list(1000, 2); /* the same page again ends it */
	list_ignores_offset = false;
}

static void answer_list_then_fault(struct http_call *c)
{
	if (strstr(c->url, "offset=0"))
		answer_list(c);
	else
		answer_unclear(c);
}

static void test_pages_fault(void **state)
{
	(void)state;
	fake_answer = answer_list_then_fault;
	list_len = 1500;
	cc_status_changes(cc, 15, done, who(1), NULL);
	fake_run(&loop, 60000);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].fault, FAULT_UNCLEAR);
	assert_int_equal(got[0].n_entries, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_requests),
		T(test_most_urgent_first),
		T(test_cancel_in_queue),
		T(test_windows_hold),
		T(test_in_flight_bound),
		T(test_throttled_get_is_repeated),
		T(test_back_off_grows_and_ends),
		T(test_many_throttled_at_once_are_one_stop),
		T(test_retry_after),
		T(test_throttled_order_is_reported),
		T(test_nothing_is_repeated),
		T(test_auth_stops_the_key),
		T(test_blocked_caller_asks_again),
		T(test_old_key_does_not_block_the_new),
		T(test_cancel),
		T(test_free_with_calls),
		T(test_pages),
		T(test_pages_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
