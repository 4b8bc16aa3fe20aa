/* SPDX-License-Identifier: Apache-2.0 */
/* Which redirects the validator follows, and what the next URL is. */
#include "common/mem.h"
#include "daemon/dcv/preflight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FROM "http://www.example.co.jp/.well-known/pki-validation/fileauth.txt"

static const struct {
	const char *from;
	const char *location;
	const char *to; /* NULL: refused */
} rows[] = {
	/* the usual ones */
	{ FROM, "https://www.example.co.jp/.well-known/pki-validation/fileauth.txt",
	  "https://www.example.co.jp/.well-known/pki-validation/fileauth.txt" },
	{ FROM, "http://example.co.jp/x", "http://example.co.jp/x" },
	{ FROM, "HTTPS://Example.CO.jp:443/x?y=1#frag", "HTTPS://Example.CO.jp:443/x?y=1" },
	{ FROM, "http://a.b.example.co.jp:80/", "http://a.b.example.co.jp:80/" },
	{ FROM, "http://example.co.jp./x", "http://example.co.jp./x" },
	{ FROM, "http://example.co.jp:/x", "http://example.co.jp:/x" },
	{ "https://www.example.jp/a", "http://www.example.jp/b", "http://www.example.jp/b" },
	/* relative */
	{ FROM, "/other.txt", "http://www.example.co.jp/other.txt" },
	{ FROM, "//cdn.example.co.jp/f", "http://cdn.example.co.jp/f" },
	{ FROM, "other.txt", "http://www.example.co.jp/.well-known/pki-validation/other.txt" },
	{ FROM, "../x", "http://www.example.co.jp/.well-known/pki-validation/../x" },
	{ FROM, "?q", "http://www.example.co.jp/.well-known/pki-validation/fileauth.txt?q" },
	{ "https://a.jp", "b", "https://a.jp/b" },
	{ "https://a.jp", "?b", "https://a.jp/?b" },
	{ "https://a.jp?x/y", "b", "https://a.jp/b" },
	{ "https://a.jp/p/q?x/y", "b", "https://a.jp/p/b" },
	/* another registrable domain */
	{ FROM, "http://example.jp/", NULL },
	{ FROM, "http://other.co.jp/", NULL },
	{ FROM, "http://co.jp/", NULL },
	{ FROM, "http://www.example.co.jp.evil.example/", NULL },
	{ FROM, "http://evilexample.co.jp/", NULL },
	{ FROM, "//evil.example/", NULL },
	{ "http://a.github.io/", "http://b.github.io/", NULL },
	{ "http://co.jp/", "http://co.jp/x", "http://co.jp/x" },
	/* addresses stand for themselves */
	{ "http://192.0.2.1/", "http://192.0.2.1/x", "http://192.0.2.1/x" },
	{ "http://192.0.2.1/", "http://10.0.2.1/x", NULL },
	{ "http://[::1]/", "http://[::1]/x", "http://[::1]/x" },
	{ FROM, "http://127.0.0.1/", NULL },
	{ FROM, "http://[::1]/", NULL },
	{ FROM, "http://[www.example.co.jp]/", NULL },
	/* ports */
	{ FROM, "http://www.example.co.jp:8080/", NULL },
	{ FROM, "http://www.example.co.jp:443/", NULL },
	{ FROM, "https://www.example.co.jp:80/", NULL },
	{ FROM, "https://www.example.co.jp:8443/", NULL },
	{ FROM, "http://www.example.co.jp:080/", NULL },
	{ FROM, "http://www.example.co.jp:99999999999999999999/", NULL },
	/* schemes and rubbish */
	{ FROM, "", NULL },
	{ FROM, "ftp://www.example.co.jp/", NULL },
	{ FROM, "file:///etc/passwd", NULL },
	{ FROM, "javascript:alert(1)", NULL },
	{ FROM, "http:/x", NULL },
	{ FROM, "http:x", NULL },
	{ FROM, "http://", NULL },
	{ FROM, "http:///x", NULL },
	{ FROM, "///x", NULL },
	{ FROM, "http://user@www.example.co.jp/", NULL },
	{ FROM, "http://www.example.co.jp@evil.example/", NULL },
	{ FROM, "http://www.example.co.jp\\@evil.example/", NULL },
	{ FROM, "http://www.example.co.jp /", NULL },
	{ FROM, "http://www.example.co.jp/\r\nX: y", NULL },
	{ FROM, "http://www.ex%61mple.co.jp/", NULL },
	{ FROM, "http://\xe4\xbe\x8b.jp/", NULL },
	{ FROM, "http://www.example.co.jp;x/", NULL },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *to = NULL;
		char why[128] = "";
		bool yes = preflight_may_follow(rows[i].from, rows[i].location, &to, why, sizeof(why));

		if (yes != (rows[i].to != NULL))
			fail_msg("row %zu (%s): %s", i, rows[i].location, yes ? to : why);
		if (yes) {
			assert_string_equal(to, rows[i].to);
		} else {
			assert_null(to);
			assert_true(*why);
		}
	}
}

static void test_long(void **state)
{
	char location[4000];
	char *to = NULL;
	char why[8];

	(void)state;
	memset(location, 'a', sizeof(location) - 1);
	location[sizeof(location) - 1] = '\0';
	assert_false(preflight_may_follow(FROM, location, &to, why, sizeof(why)));
	assert_null(to);
	memcpy(location, "http://", 7);
	location[1500] = '\0';
	assert_false(preflight_may_follow(FROM, location, &to, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_long) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
