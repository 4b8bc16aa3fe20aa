/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a raw server that misbehaves on request: what each way of failing means
 * (unsent or unclear), that a POST is never sent twice, and that cancel is silent. */
#include "daemon/io/http.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/raw_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* --- the client's side -------------------------------------------------------------------------- */

struct seen {
	struct http_call *call;
	int n;
	enum fault fault;
	int status;
	char code[OUTCOME_CODE_MAX];
	char message[OUTCOME_MESSAGE_MAX];
	char *body;
	size_t body_len;
	char type[64];
	char location[64];
	char retry_after[64];
	char date[64];
	struct seen *also_cancel;
};

static struct loop *loop;
static struct http *http;
static struct timer *guard;
static int waiting;

static void copy(char out[64], const char *s)
{
	(void)snprintf(out, 64, "%s", s);
}

static void done(const struct http_result *r, void *owner)
{
	struct seen *s = owner;

	http_cancel(&s->call); /* of the call that is being told: allowed, does nothing */
	s->n++;
	s->fault = r->outcome.fault;
	s->status = r->status;
	assert_int_equal(r->outcome.http_status, r->status);
	(void)snprintf(s->code, sizeof s->code, "%s", r->outcome.code);
	(void)snprintf(s->message, sizeof s->message, "%s", r->outcome.message);
	assert_int_equal(r->body[r->body_len], '\0');
	free(s->body);
	s->body = xstrndup(r->body, r->body_len);
	s->body_len = r->body_len;
	copy(s->type, r->content_type);
	copy(s->location, r->location);
	copy(s->retry_after, r->retry_after);
	copy(s->date, r->date);
	if (s->also_cancel)
		http_cancel(&s->also_cancel->call);
	if (--waiting == 0)
		loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no answer within 8 s");
}

static void new_client(const struct http_options *o)
{
	struct err err = ERR_INIT;

	if (http_new(loop, o, &http, &err) < 0)
		fail_msg("http_new: %s", err.text);
}

static int setup(_unused_ void **state)
{
	server_start();
	assert_int_equal(loop_new(&loop, NULL), 0);
	new_client(&(struct http_options){ .plain = true });
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 8000);
	waiting = 0;
	return 0;
}

static int teardown(_unused_ void **state)
{
	http_free(http);
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	server_stop();
	return 0;
}

static void start(struct seen *s, struct http_request rq, const char *path)
{
	char url[128];

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", srv.port, path);
	rq.label = "test";
	rq.method = rq.method ? rq.method : "GET";
	rq.url = path[0] == '/' ? url : path;
	waiting++;
	http_start(http, &rq, done, s, &s->call);
	assert_non_null(s->call);
}

/* One call, until its answer. */
static void ask(struct seen *s, struct http_request rq, const char *path)
{
	free(s->body);
	memset(s, 0, sizeof *s);
	start(s, rq, path);
	assert_int_equal(s->n, 0);
	loop_run(loop);
	assert_int_equal(s->n, 1);
}

static void forget(struct seen *s)
{
	free(s->body);
	s->body = NULL;
}
#define _cleanup_seen_ _cleanup_(forget)

static void test_answers(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };

	ask(&s, (struct http_request){ 0 }, "/ok");
	assert_int_equal(s.fault, FAULT_NONE);
	assert_int_equal(s.status, 200);
	assert_string_equal(s.body, "hello");
	assert_string_equal(s.type, "text/html");
	assert_string_equal(s.message, "");
	ask(&s, (struct http_request){ 0 }, "/chunked");
	assert_string_equal(s.body, "hello world");
	assert_string_equal(s.type, "");
	ask(&s, (struct http_request){ .method = "HEAD" }, "/redirect");
	assert_int_equal(s.status, 302);
	ask(&s, (struct http_request){ 0 }, "/slow-down");
	assert_int_equal(s.fault, FAULT_NONE); /* an answer is an answer */
	assert_int_equal(s.status, 429);
	assert_string_equal(s.retry_after, "17");
	assert_string_equal(s.date, "Sat, 21 Nov 2026 08:00:00 GMT");
	assert_int_equal(http_request_count(http), 4);
	assert_int_equal(http_connection_count(http), 1); /* kept alive */
	assert_int_equal(atomic_load(&srv.n_threads), 1);
}

static void test_redirect_is_not_followed(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };

	ask(&s, (struct http_request){ 0 }, "/redirect");
	assert_int_equal(s.fault, FAULT_NONE);
	assert_int_equal(s.status, 302);
	assert_string_equal(s.location, "http://127.0.0.1:1/elsewhere");
	assert_int_equal(atomic_load(&srv.n_requests), 1);
}

static void test_requests_arrive_intact(_unused_ void **state)
{
	_cleanup_(secret_freep) struct secret *key = secret_new("s3cret-key", 10);
	const struct http_header h[] = { { .name = "X-DC-DEVKEY", .secret = key },
					 { .name = "Content-Type", .value = "application/json" },
					 { .name = "X-Empty", .value = "" } };
	_cleanup_seen_ struct seen s = { 0 };
	_cleanup_free_ char *big = xmalloc(50001);
	_cleanup_free_ char *got = NULL;

	memset(big, 'x', 50000);
	ask(&s,
	    (struct http_request){
		    .method = "POST", .headers = h, .n_headers = 3, .body = big, .body_len = 50000 },
	    "/echo");
	assert_int_equal(s.status, 200);
	assert_int_equal(strncmp(s.body, "POST /echo HTTP/1.1\r\n", 21), 0);
	got = server_last();
	assert_non_null(strstr(got, "\r\nX-DC-DEVKEY: s3cret-key\r\n"));
	assert_non_null(strstr(s.body, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(s.body, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(s.body, "\r\nUser-Agent: dvcertd/"));
	assert_null(strstr(s.body, "Expect"));
	assert_string_equal(strstr(s.body, "\r\n\r\n") + 4, big);
	ask(&s, (struct http_request){ .method = "PUT" }, "/echo");
	assert_int_equal(strncmp(s.body, "PUT ", 4), 0);
	assert_non_null(strstr(s.body, "\r\nContent-Length: 0\r\n"));
	assert_null(strstr(s.body, "Content-Type"));
	assert_null(strstr(s.body, "s3cret")); /* nothing is left in a reused handle */
	ask(&s, (struct http_request){ 0 }, "/echo");
	assert_int_equal(strncmp(s.body, "GET ", 4), 0);
	assert_null(strstr(s.body, "Content-Length"));
}

/* The error page of a CA, or of a proxy that looks into TLS, may repeat the request. */
static void test_repeated_secrets_are_struck_out(_unused_ void **state)
{
	_cleanup_(secret_freep) struct secret *key = secret_new("s3cret-key", 10);
	_cleanup_(secret_freep) struct secret *odd = secret_new("it's \"a\\b/c\"", 12);
	_cleanup_(secret_freep) struct secret *small = secret_new("eight-1", 7);
	const struct http_header h[] = { { .name = "X-DC-DEVKEY", .secret = key },
					 { .name = "X-Small", .secret = small },
					 { .name = "X-Other", .value = "no secret" } };
	static const char BODY[] = "s3cret-key, s3cret-keys3cret-key! it's \"a\\b/c\" "
				   "\"it's \\\"a\\\\b/c\\\"\", \"it's \\\"a\\\\b\\/c\\\"\" s3cret-ke";
	_cleanup_seen_ struct seen s = { 0 };
	_cleanup_free_ char *got = NULL;

	ask(&s,
	    (struct http_request){ .method = "POST",
				   .headers = h,
				   .n_headers = 3,
				   .body = BODY,
				   .body_len = sizeof BODY - 1,
				   .hide = odd },
	    "/echo");
	got = server_last();
	assert_non_null(strstr(got, BODY));
	assert_non_null(strstr(s.body, "\r\nX-DC-DEVKEY: **********\r\n"));
	assert_non_null(strstr(s.body, "\r\nX-Small: eight-1\r\n"));
	assert_non_null(strstr(s.body, "\r\nX-Other: no secret\r\n"));
	assert_string_equal(strstr(s.body, "\r\n\r\n") + 4,
			    "**********, ********************! ************ "
			    "\"***************\", \"****************\" s3cret-ke");
	ask(&s, (struct http_request){ .method = "POST", .body = "s3cret-key", .body_len = 10 }, "/echo");
	assert_non_null(strstr(s.body, "s3cret-key")); /* of another call */
}

static void test_header_cannot_break_out(_unused_ void **state)
{
	_cleanup_(secret_freep) struct secret *key = secret_new("a\r\nX-Evil: 1", 12);
	const struct http_header h = { .name = "X-DC-DEVKEY", .secret = key };
	_cleanup_seen_ struct seen s = { 0 };

	ask(&s, (struct http_request){ .headers = &h, .n_headers = 1 }, "/ok");
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "http");
	assert_non_null(strstr(s.message, "X-DC-DEVKEY"));
	assert_null(strstr(s.message, "Evil"));
	assert_int_equal(atomic_load(&srv.n_threads), 0);
}

static void test_caps(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };

	ask(&s, (struct http_request){ .max_body = 1000 }, "/endless-body");
	assert_int_equal(s.fault, FAULT_UNCLEAR);
	assert_string_equal(s.code, "too_large");
	ask(&s, (struct http_request){ .max_body = 1000, .cut_body = true }, "/endless-body");
	assert_int_equal(s.fault, FAULT_NONE);
	assert_int_equal(s.status, 200);
	assert_int_equal(s.body_len, 1000);
	ask(&s, (struct http_request){ .max_body = 5 }, "/ok"); /* exactly */
	assert_int_equal(s.fault, FAULT_NONE);
	ask(&s, (struct http_request){ .max_body = 4 }, "/ok");
	assert_string_equal(s.code, "too_large");
	ask(&s, (struct http_request){ 0 }, "/endless-body"); /* the default cap */
	assert_string_equal(s.code, "too_large");
	ask(&s, (struct http_request){ 0 }, "/endless-headers");
	assert_string_equal(s.code, "too_large");
	ask(&s, (struct http_request){ 0 }, "/endless-100");
	assert_string_equal(s.code, "too_large");
}

static void test_broken_answers_are_unclear(_unused_ void **state)
{
	static const char *const paths[] = { "/drop", "/partial-header", "/short", "/short-chunk" };
	_cleanup_seen_ struct seen s = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		ask(&s, (struct http_request){ .method = "POST", .body = "{}", .body_len = 2 }, paths[i]);
		assert_int_equal(s.fault, FAULT_UNCLEAR);
		assert_string_equal(s.code, "dropped");
		assert_non_null(strstr(s.message, "127.0.0.1: "));
	}
	ask(&s, (struct http_request){ 0 }, "/garbage");
	assert_int_equal(s.fault, FAULT_UNCLEAR);
	assert_string_equal(s.code, "http");
	assert_int_equal(atomic_load(&srv.n_requests), 5);
}

static void test_time_outs(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };
	char url[64];

	ask(&s, (struct http_request){ .total_ms = 40 }, "/hang");
	assert_int_equal(s.fault, FAULT_UNCLEAR);
	assert_string_equal(s.code, "timeout");
	/* A peer that accepts but never finishes the TLS handshake: nothing of the request left. */
	(void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", srv.port);
	ask(&s, (struct http_request){ .connect_ms = 40 }, url);
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "timeout");
	ask(&s, (struct http_request){ .total_ms = 40 }, url);
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "timeout");
}

static void test_unsent(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };
	_cleanup_close_ int fd = -1;
	unsigned port = 0;
	char url[64];
	int64_t before = clock_mono_ms();

	fd = listen_local(&port); /* bound, so that nobody else has it, but not listening */
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
	ask(&s, (struct http_request){ .method = "POST", .body = "x", .body_len = 1 }, url);
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "connect");
	assert_int_equal(s.status, 0);
	ask(&s, (struct http_request){ 0 }, "ftp://127.0.0.1/");
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "http");
	ask(&s, (struct http_request){ 0 }, "http://user:pw@127.0.0.1/");
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_null(strstr(s.message, "pw"));
	/* Where no resolver answers this is a time-out; it must not wait for the resolver's thread. */
	ask(&s, (struct http_request){ .total_ms = 300 }, "http://no-such-host.invalid/");
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_true(strcmp(s.code, "resolve") == 0 || strcmp(s.code, "timeout") == 0);
	assert_non_null(strstr(s.message, "no-such-host.invalid"));
	assert_true(clock_mono_ms() - before < 2000);
}

/* Left to itself, libcurl sends the request again on a fresh connection: a second paid order. */
static void test_post_is_sent_once(_unused_ void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE" };
	_cleanup_seen_ struct seen s = { 0 };

	for (int i = 0; i < 6; i++) {
		const char *body = i < 3 ? "{\"order\":1}" : NULL;

		ask(&s, (struct http_request){ 0 }, "/ok");
		atomic_store(&srv.n_dies, 0);
		ask(&s,
		    (struct http_request){
			    .method = methods[i % 3], .body = body, .body_len = body ? 11 : 0 },
		    "/dies");
		assert_int_equal(atomic_load(&srv.n_dies), 1);
		assert_int_equal(s.fault, FAULT_UNCLEAR);
		assert_string_equal(s.code, "dropped");
		assert_int_equal(s.status, 0);
	}
	/* Reading again is harmless, and hides a server that closes idle connections. */
	ask(&s, (struct http_request){ 0 }, "/ok");
	atomic_store(&srv.n_dies, 0);
	ask(&s, (struct http_request){ 0 }, "/dies");
	assert_int_equal(s.fault, FAULT_NONE);
	assert_int_equal(atomic_load(&srv.n_dies), 2);
}

static void test_cancel_is_silent(_unused_ void **state)
{
	_cleanup_seen_ struct seen ok = { 0 };
	struct seen hang = { 0 };
	struct seen early = { 0 };

	start(&early, (struct http_request){ 0 }, "/ok");
	http_cancel(&early.call);
	assert_null(early.call);
	http_cancel(&early.call);
	start(&hang, (struct http_request){ 0 }, "/hang");
	start(&ok, (struct http_request){ 0 }, "/ok");
	ok.also_cancel = &hang; /* while its request is at the server */
	waiting = 1;
	loop_run(loop);
	assert_int_equal(ok.n, 1);
	assert_null(hang.call);
	start(&hang, (struct http_request){ 0 }, "/hang");
	http_free(http); /* silent as well */
	http = NULL;
	timer_clear(guard);
	(void)loop_drain(loop, 500);
	assert_int_equal(hang.n, 0);
	assert_int_equal(early.n, 0);
}

/* Two calls that have both failed already: the first one's owner cancels the second. */
static void test_cancel_of_a_finished_call(_unused_ void **state)
{
	const struct http_header bad = { .name = "X", .value = "\n" };
	_cleanup_seen_ struct seen a = { 0 };
	struct seen b = { 0 };

	start(&a, (struct http_request){ .headers = &bad, .n_headers = 1 }, "/ok");
	start(&b, (struct http_request){ .headers = &bad, .n_headers = 1 }, "/ok");
	a.also_cancel = &b;
	waiting = 1;
	loop_run(loop);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 0);
}

static void done_and_free(const struct http_result *r, void *owner)
{
	int *n = owner;

	(*n)++;
	http_free(http);
	http = NULL;
	assert_string_equal(r->body, "hello"); /* valid until the callback returns */
	loop_stop(loop);
}

static void test_free_in_callback(_unused_ void **state)
{
	char url[64];
	int n = 0;

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/ok", srv.port);
	for (int i = 0; i < 3; i++)
		http_start(http, &(struct http_request){ .method = "GET", .url = url }, done_and_free, &n,
			   NULL);
	loop_run(loop);
	assert_int_equal(n, 1);
}

/* --- retire: the client goes with its last call; a leak or a use after free is the sanitizers' business --- */

static void retire(void)
{
	http_retire(http);
	http = NULL;
}

static void test_retire_without_calls(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };

	http_retire(NULL);
	retire();
	new_client(&(struct http_options){ .plain = true });
	ask(&s, (struct http_request){ 0 }, "/ok"); /* leaves an idle connection */
	assert_int_equal(atomic_load(&srv.n_serving), 1);
	retire();
	server_wait_idle();
}

static void test_retire_with_calls(_unused_ void **state)
{
	const struct http_header bad = { .name = "X", .value = "\n" };
	struct seen s[4] = { 0 };

	for (size_t i = 0; i < 3; i++)
		start(&s[i], (struct http_request){ .method = i > 0 ? "POST" : "GET" }, "/ok");
	start(&s[3], (struct http_request){ .headers = &bad, .n_headers = 1 }, "/ok"); /* failed already */
	retire();
	loop_run(loop);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		assert_int_equal(s[i].n, 1);
		assert_int_equal(s[i].fault, i < 3 ? FAULT_NONE : FAULT_UNSENT);
		forget(&s[i]);
	}
	server_wait_idle();
}

/* The last call ends by being cancelled: from outside, and by the callback of the last but one. */
static void test_retire_then_cancel(_unused_ void **state)
{
	_cleanup_seen_ struct seen ok = { 0 };
	struct seen hang = { 0 };
	struct seen early = { 0 };

	start(&hang, (struct http_request){ 0 }, "/hang");
	start(&early, (struct http_request){ 0 }, "/ok");
	start(&ok, (struct http_request){ 0 }, "/ok");
	retire();
	http_cancel(&early.call);
	ok.also_cancel = &hang; /* while its request is at the server */
	waiting = 1;
	loop_run(loop);
	assert_int_equal(ok.n, 1);
	server_wait_idle();
	new_client(&(struct http_options){ .plain = true });
	start(&hang, (struct http_request){ 0 }, "/hang");
	start(&early, (struct http_request){ 0 }, "/ok");
	retire();
	http_cancel(&hang.call);
	http_cancel(&early.call);
	timer_clear(guard);
	(void)loop_drain(loop, 500);
	assert_int_equal(hang.n + early.n, 0);
}

static void done_and_retire(const struct http_result *r, void *owner)
{
	int *left = owner;

	retire(); /* of the second one on there is none */
	assert_int_equal(r->outcome.fault, FAULT_NONE);
	assert_string_equal(r->body, "hello"); /* valid until the callback returns */
	if (--*left == 0)
		loop_stop(loop);
}

static void test_retire_in_callback(_unused_ void **state)
{
	char url[64];

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/ok", srv.port);
	for (int n = 1; n <= 3; n += 2) { /* as the last one, and with others under way */
		int left = n;

		if (!http)
			new_client(&(struct http_options){ .plain = true });
		for (int i = 0; i < n; i++)
			http_start(http, &(struct http_request){ .method = "GET", .url = url },
				   done_and_retire, &left, NULL);
		loop_run(loop);
		assert_int_equal(left, 0);
		server_wait_idle();
	}
	assert_int_equal(atomic_load(&srv.n_requests), 4);
}

static void test_many_at_once(_unused_ void **state)
{
	static struct seen s[200];

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		start(&s[i], (struct http_request){ .method = i % 2 ? "POST" : "GET" }, "/ok");
	loop_run(loop);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		assert_int_equal(s[i].n, 1);
		assert_int_equal(s[i].fault, FAULT_NONE);
		assert_string_equal(s[i].body, "hello");
		forget(&s[i]);
	}
	assert_int_equal(atomic_load(&srv.n_requests), 200);
	assert_in_range(http_connection_count(http), 1, 8);
	assert_int_equal(atomic_load(&srv.n_threads), http_connection_count(http));
}

static void test_environment_is_ignored(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };

	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("all_proxy", "http://127.0.0.1:1", 1), 0);
	ask(&s, (struct http_request){ 0 }, "/ok");
	assert_int_equal(s.status, 200);
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_int_equal(unsetenv("all_proxy"), 0);
}

static void test_proxy(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };
	_cleanup_free_ char *got = NULL;
	char proxy[64];

	http_free(http);
	(void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", srv.port);
	new_client(&(struct http_options){ .plain = true, .proxy = proxy });
	assert_int_equal(setenv("no_proxy", "*", 1), 0);
	ask(&s, (struct http_request){ 0 }, "http://public.example.test/ok");
	assert_int_equal(s.status, 200);
	got = server_last();
	assert_int_equal(strncmp(got, "GET http://public.example.test/ok ", 34), 0);
	assert_int_equal(unsetenv("no_proxy"), 0);
	/* The proxy refuses the tunnel: the peer has seen nothing. */
	ask(&s, (struct http_request){ .method = "POST" }, "https://api.example.test/order");
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "connect");
}

static void test_connect_to(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };
	char to[64];

	(void)snprintf(to, sizeof to, "127.0.0.1:%u", srv.port);
	ask(&s, (struct http_request){ .connect_to = to }, "http://www.example.test/echo");
	assert_int_equal(s.status, 200);
	assert_non_null(strstr(s.body, "\r\nHost: www.example.test\r\n"));
}

static void test_idle_connections_do_not_wake(_unused_ void **state)
{
	_cleanup_seen_ struct seen s = { 0 };
	uint64_t before = 0;

	ask(&s, (struct http_request){ 0 }, "/ok");
	timer_clear(guard);
	(void)loop_drain(loop, 20);
	before = loop_wakeups(loop);
	timer_set(guard, 60000);
	(void)loop_drain(loop, 60);
	assert_true(loop_wakeups(loop) - before <= 1);
}

static void test_retry_after(_unused_ void **state)
{
	const int64_t now = 1795248000; /* 2026-11-21T08:00:00Z */

	assert_int_equal(http_retry_after(NULL, now), 0);
	assert_int_equal(http_retry_after("", now), 0);
	assert_int_equal(http_retry_after("0", now), 0);
	assert_int_equal(http_retry_after("120", now), 120);
	assert_int_equal(http_retry_after("86400", now), 3600);
	assert_int_equal(http_retry_after("99999999999999999999999", now), 3600);
	assert_int_equal(http_retry_after("-5", now), 0);
	assert_int_equal(http_retry_after("soon", now), 0);
	assert_int_equal(http_retry_after("Sat, 21 Nov 2026 08:01:00 GMT", now), 60);
	assert_int_equal(http_retry_after("Sat, 21 Nov 2026 07:59:00 GMT", now), 0);
	assert_int_equal(http_retry_after("Sun, 21 Nov 2027 08:00:00 GMT", now), 3600);
}

static void test_bad_ca_file(_unused_ void **state)
{
	struct http *h = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(http_new(loop, &(struct http_options){ .ca_file = "/nonexistent" }, &h, &err),
			 -ENOENT);
	assert_null(h);
	assert_non_null(strstr(err.text, "/nonexistent"));
	http_free(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_answers),
		T(test_redirect_is_not_followed),
		T(test_requests_arrive_intact),
		T(test_repeated_secrets_are_struck_out),
		T(test_header_cannot_break_out),
		T(test_caps),
		T(test_broken_answers_are_unclear),
		T(test_time_outs),
		T(test_unsent),
		T(test_post_is_sent_once),
		T(test_cancel_is_silent),
		T(test_cancel_of_a_finished_call),
		T(test_free_in_callback),
		T(test_retire_without_calls),
		T(test_retire_with_calls),
		T(test_retire_then_cancel),
		T(test_retire_in_callback),
		T(test_many_at_once),
		T(test_environment_is_ignored),
		T(test_proxy),
		T(test_connect_to),
		T(test_idle_connections_do_not_wake),
		T(test_retry_after),
		T(test_bad_ca_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
