/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in server, over real sockets, and the preflight looking at it as the CA would. */
#include "common/mem.h"
#include "daemon/dcv/preflight.h"
#include "daemon/dcv/responder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct loop *loop;
static struct responder *responder;
static struct http *http;
static char address[32];
static int status;
static char *body;
static char type[64];
static struct outcome looked;

static void on_answer(const struct http_result *r, void *owner)
{
	(void)owner;
	status = r->status;
	free(body);
	body = xstrndup(r->body, r->body_len);
	(void)snprintf(type, sizeof(type), "%s", r->content_type);
	loop_stop(loop);
}

static int setup(void **state)
{
	const struct http_options o = { .plain = true };

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(responder_new(loop, "127.0.0.1:0", &responder, NULL), 0);
	assert_int_equal(http_new(loop, &o, &http, NULL), 0);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", responder_port(responder));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(http);
	responder_free(responder);
	assert_int_equal(loop_drain(loop, 5000), 0);
	loop_free(loop);
	free(TAKE_PTR(body));
	return 0;
}

static int ask(const char *method, const char *url)
{
	struct http_call *c = NULL;
	const struct http_request rq = {
		.label = "test", .method = method, .url = url, .connect_to = address, .total_ms = 5000
	};

	status = 0;
	http_start(http, &rq, on_answer, NULL, &c);
	loop_run(loop);
	return status;
}

#define PATH "/.well-known/pki-validation/fileauth.txt"

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "http://www.example.jp" PATH), 404);
	responder_add(responder, "www.example.jp", "a b"); /* no value of the CA */
	assert_int_equal(ask("GET", "http://www.example.jp" PATH), 404);
	responder_add(responder, "www.example.jp", "tok-1");
	responder_add(responder, "www.example.jp", "tok-1");
	responder_add(responder, "other.example.jp", "tok-9");
	assert_int_equal(ask("GET", "http://www.example.jp" PATH), 200);
	assert_string_equal(body, "tok-1\n");
	assert_non_null(strstr(type, "text/plain"));
	responder_add(responder, "WWW.example.jp", "tok-2");
	assert_int_equal(ask("GET", "http://WWW.Example.jp" PATH), 200);
	assert_string_equal(body, "tok-1\ntok-2\n");
	assert_int_equal(ask("HEAD", "http://www.example.jp" PATH), 200);
	assert_string_equal(body, "");

	assert_int_equal(ask("GET", "http://www.example.jp" PATH "/"), 404);
	assert_int_equal(ask("GET", "http://www.example.jp/.well-known/pki-validation/FILEAUTH.txt"), 404);
	assert_int_equal(ask("GET", "http://www.example.jp/"), 404);
	assert_int_equal(ask("GET", "http://example.jp" PATH), 404);
	assert_int_equal(ask("GET", "http://127.0.0.1" PATH), 404);

	responder_remove(responder, "www.example.jp", "tok-1");
	responder_remove(responder, "www.example.jp", "tok-1");
	responder_remove(responder, "nobody.example.jp", "tok-1");
	assert_int_equal(ask("GET", "http://www.example.jp" PATH), 200);
	assert_string_equal(body, "tok-2\n");
	responder_remove(responder, "www.example.jp", "tok-2");
	assert_int_equal(ask("GET", "http://www.example.jp" PATH), 404);
	assert_int_equal(ask("GET", "http://other.example.jp" PATH), 200);
}

static void on_look(const struct outcome *o, void *owner)
{
	(void)owner;
	looked = *o;
	loop_stop(loop);
}

static void test_preflight_sees_it(void **state)
{
	static const char *const names[] = { "a.example.jp", "b.example.jp", "c.example.jp",
					     "d.example.jp", "e.example.jp", "f.example.jp" };
	struct preflight *p = NULL;
	struct preflight_call *c = NULL;

	(void)state;
	assert_int_equal(preflight_new(loop, &p, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		responder_add(responder, names[i], "tok-1");
	preflight_start(p, names, ARRAY_SIZE(names), "tok-1", address, on_look, NULL, &c);
	loop_run(loop);
	assert_int_equal(looked.fault, FAULT_NONE);
	responder_remove(responder, "b.example.jp", "tok-1");
	preflight_start(p, names, ARRAY_SIZE(names), "tok-1", address, on_look, NULL, &c);
	loop_run(loop);
	assert_int_equal(looked.fault, FAULT_REFUSED);
	assert_string_equal(looked.message,
			    "http://b.example.jp" PATH ": status 404 (wanted 200 with the value "
			    "\"tok-1...\"): publish the file or correct dcv.webroot");
	preflight_start(p, names, 1, "tok-1", "127.0.0.1:1", on_look, NULL, &c);
	loop_run(loop);
	assert_int_equal(looked.fault, FAULT_UNCLEAR);
	preflight_start(p, names, 6, "tok-1", address, on_look, NULL, &c);
	preflight_free(p);
}

static void test_address_in_use(void **state)
{
	struct responder *second = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_true(responder_new(loop, address, &second, &err) < 0);
	assert_null(second);
	assert_int_equal(strncmp(err.text, "responder: ", 11), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_values), T(test_preflight_sees_it),
					    T(test_address_in_use) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
