/* SPDX-License-Identifier: Apache-2.0 */
/* The look at fileauth.txt: what is asked, what is followed, and the sentences that people get. */
#include "tests/unit/fake_io.h"

#include "common/str.h"
#include "daemon/dcv/preflight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TOKEN "icru1984rnekfj-value"
#define PATH  "/.well-known/pki-validation/fileauth.txt"

static struct loop loop;
static struct preflight *preflight;
static struct outcome got;
static unsigned n_got;
static struct http_request last_rq;
static char last_url[512];
static char last_headers[512];
static char last_connect_to[64];

/* A web server per URL. */
static const struct page {
	const char *url;
	int status;
	const char *text; /* body, or Location of a 3xx */
} pages[] = {
	{ "http://good.example.jp" PATH, 200, TOKEN },
	{ "http://inside.example.jp" PATH, 200, "one\ntwo " TOKEN "\n" },
	{ "http://moved.example.jp" PATH, 301, "https://moved.example.jp" PATH },
	{ "https://moved.example.jp" PATH, 308, "/final.txt" },
	{ "https://moved.example.jp/final.txt", 200, TOKEN },
	{ "http://away.example.jp" PATH, 302, "http://login.example.net/?next=/" },
	{ "http://loop.example.jp" PATH, 307, "/" },
	{ "http://loop.example.jp/", 302, "/" },
	{ "http://see.example.jp" PATH, 303, "/" },
	{ "http://leak.example.jp" PATH, 301, "/" TOKEN },
	{ "http://old.example.jp" PATH, 200, "another-value\n<b>" },
	{ "http://secret.example.jp" PATH, 401, "" },
	{ "http://down.example.jp" PATH, 503, "" },
};

static void answer_pages(struct http_call *c)
{
	last_rq = c->rq;
	(void)snprintf(last_url, sizeof(last_url), "%s", c->url);
	(void)snprintf(last_headers, sizeof(last_headers), "%s", c->headers);
	(void)snprintf(last_connect_to, sizeof(last_connect_to), "%s", c->connect_to ? c->connect_to : "");
	if (strstr(c->url, "dead.")) {
		(void)outcome_set(&c->result.outcome, FAULT_UNSENT, "connect", "Connection refused");
		return;
	}
	fake_say(c, 404, "<html>");
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (strcmp(pages[i].url, c->url) == 0) {
			bool moves = pages[i].status >= 300 && pages[i].status < 400;

			fake_say(c, pages[i].status, moves ? "" : pages[i].text);
			c->result.location = moves ? pages[i].text : "";
		}
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
	fake_answer = answer_pages;
	fake_max_calls = 0;
	fake_n_started = 0;
	n_got = 0;
	return preflight_new(&loop, &preflight, NULL);
}

static int teardown(void **state)
{
	(void)state;
	preflight_free(preflight);
	assert_int_equal(fake_n_http, 0);
	assert_int_equal(fake_n_calls, 0);
	return 0;
}

static const struct outcome *look(const char *const *names, size_t n)
{
	struct preflight_call *c = NULL;

	n_got = 0;
	preflight_start(preflight, names, n, TOKEN, NULL, done, NULL, &c);
	assert_int_equal(n_got, 0);
	fake_run(&loop, 10000);
	assert_int_equal(n_got, 1);
	return &got;
}

static void expect(const char *name, enum fault fault, const char *code, const char *message)
{
	const struct outcome *o = look(&name, 1);

	if (o->fault != fault)
		fail_msg("%s: %s: %s", name, fault_name(o->fault), o->message);
	assert_string_equal(o->code, code);
	assert_string_equal(o->message, message);
}

static void test_answers(void **state)
{
	(void)state;
	expect("good.example.jp", FAULT_NONE, "", "");
	expect("inside.example.jp", FAULT_NONE, "", "");
	expect("moved.example.jp", FAULT_NONE, "", "");
	expect("absent.example.jp", FAULT_REFUSED, "http_status",
	       "http://absent.example.jp" PATH
	       ": status 404 (wanted 200 with the value \"icru1984rnek...\"): publish "
	       "the file or correct dcv.webroot");
	expect("old.example.jp", FAULT_REFUSED, "wrong_content",
	       "http://old.example.jp" PATH
	       ": status 200 without the value \"icru1984rnek...\", it begins with "
	       "\"another-value\\x0a<b>\": another file or server answers; correct dcv.webroot");
	expect("secret.example.jp", FAULT_REFUSED, "http_status",
	       "http://secret.example.jp" PATH
	       ": status 401 (wanted 200 with the value \"icru1984rnek...\"): allow "
	       "this path without a password");
	expect("down.example.jp", FAULT_REFUSED, "http_status",
	       "http://down.example.jp" PATH
	       ": status 503 (wanted 200 with the value \"icru1984rnek...\"): the web "
	       "server has a problem");
	expect("see.example.jp", FAULT_REFUSED, "http_status",
	       "http://see.example.jp" PATH
	       ": status 303 (wanted 200 with the value \"icru1984rnek...\"): serve the "
	       "file without this redirect");
	expect("away.example.jp", FAULT_REFUSED, "redirect",
	       "http://away.example.jp" PATH
	       ": status 302 redirects to \"http://login.example.net/?next=/\", which "
	       "the CA does not follow (login.example.net is another registrable domain than "
	       "away.example.jp): serve "
	       "the file without this redirect");
	expect("loop.example.jp", FAULT_REFUSED, "redirects",
	       "http://loop.example.jp" PATH
	       ": more than 5 redirects, the last one to \"/\": serve the file without "
	       "redirects");
	expect("leak.example.jp", FAULT_REFUSED, "redirect",
	       "http://leak.example.jp" PATH
	       ": status 301 redirects to a URL with the value in it, which the CA does "
	       "not accept");
	expect("dead.example.jp", FAULT_UNCLEAR, "connect",
	       "http://dead.example.jp" PATH
	       ": Connection refused: the name must resolve and port 80 must be open to "
	       "the world");
}

static void test_request(void **state)
{
	const char *name = "good.example.jp";
	struct preflight_call *c = NULL;

	(void)state;
	preflight_start(preflight, &name, 1, TOKEN, "127.0.0.1:8080", done, NULL, &c);
	fake_run(&loop, 100);
	assert_int_equal(got.fault, FAULT_NONE);
	assert_string_equal(last_url, "http://good.example.jp" PATH);
	assert_string_equal(last_connect_to, "127.0.0.1:8080");
	assert_non_null(strstr(last_headers, "User-Agent: DigiCert DCV Bot/1.1\n"));
	assert_int_equal(last_rq.connect_ms, 2000);
	assert_int_equal(last_rq.total_ms, 5000);
	assert_int_equal(last_rq.max_body, 5000);
	assert_true(last_rq.cut_body);
}

static void test_many_names(void **state)
{
	static const char *const names[] = { "good.example.jp", "moved.example.jp",  "good.example.jp",
					     "good.example.jp", "inside.example.jp", "good.example.jp",
					     "old.example.jp",	"good.example.jp",   "dead.example.jp" };

	(void)state;
	assert_int_equal(look(names, 6)->fault, FAULT_NONE);
	assert_int_equal(fake_max_calls, 4);
	assert_int_equal(fake_n_started, 8); /* two more for the redirects */
	/* the first bad name speaks */
	assert_int_equal(look(names, 9)->fault, FAULT_REFUSED);
	assert_non_null(strstr(got.message, "http://old.example.jp/"));
	assert_true(str_has_suffix(got.message, " (2 of 9 names are bad)"));
	assert_true(str_has_suffix(look(names, 7)->message, "correct dcv.webroot"));
	assert_int_equal(look(&names[7], 2)->fault, FAULT_UNCLEAR);
}

static void test_long_name(void **state)
{
	char long_name[254];
	const char *names[] = { long_name, long_name, "old.example.jp" };

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(look(names, 3)->fault, FAULT_REFUSED);
	assert_true(str_has_suffix(got.message, "correct dcv.webroot (3 of 3 names are bad)"));
}

static void test_cancel(void **state)
{
	static const char *const names[] = { "good.example.jp", "moved.example.jp", "good.example.jp",
					     "good.example.jp", "inside.example.jp" };
	struct preflight_call *c = NULL;

	(void)state;
	preflight_start(preflight, names, 5, TOKEN, NULL, done, NULL, &c);
	fake_run(&loop, 15);
	preflight_cancel(&c);
	assert_null(c);
	preflight_cancel(&c);
	fake_run(&loop, 1000);
	assert_int_equal(n_got, 0);
	preflight_start(preflight, names, 5, TOKEN, NULL, done, NULL, &c); /* teardown frees it */
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_answers), T(test_request), T(test_many_names), T(test_long_name), T(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
