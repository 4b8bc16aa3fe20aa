/* SPDX-License-Identifier: Apache-2.0 */
/* `status` and `doctor` at the widths of real terminals, character by character; and which domains `--watch` marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "daemon/ctl/render_priv.h"
#include "daemon/ctl/watch.h"

/* 2026-11-21T08:00:00Z */
#define NOW 1795248000

static char *render_with(render_fn *fn, const char *text, const struct render_options *o)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(1u << 20);
	struct err e = ERR_INIT;
	if (json_parse(text, strlen(text), 1u << 20, &j, &e) != 0)
		fail_msg("%s", e.text);
	fn(j, o, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static char *render(render_fn *fn, const char *text, bool colour, unsigned columns)
{
	const struct render_options o = { .now = NOW, .colour = colour, .columns = columns };
	return render_with(fn, text, &o);
}

static void renders(render_fn *fn, const char *text, unsigned columns, const char *expected)
{
	_cleanup_free_ char *s = render(fn, text, false, columns);
	assert_string_equal(s, expected);
}

#define D(name, state, more) "{\"name\":\"" name "\",\"state\":\"" state "\"" more "}"
#define UNTIL(at)	     ",\"not_after\":\"" at "\""
#define NEXT(action, at)     ",\"next\":{\"action\":\"" action "\",\"at\":\"" at "\"}"
#define ERROR(code, text, n) ",\"error\":{\"code\":\"" code "\",\"message\":\"" text "\",\"attempts\":" n "}"
#define TARGET(name, state)  "{\"target\":\"" name "\",\"state\":\"" state "\"}"

static const char fleet[] =
	"{\"ok\":true,\"daemon\":{\"orders_today\":3,\"max_orders_per_day\":50},\"domains\":[" D(
		"b.late.jp", "valid",
		UNTIL("2027-06-01T08:00:00Z") NEXT(
			"reissue",
			"2027-04-29T08:00:00Z")) "," D("a.late.jp", "valid",
						       UNTIL("2027-06-01T08:00:00Z") NEXT(
							       "reissue",
							       "2027-04-29T08:00:00Z")) "," D("soon.jp",
											      "valid",
											      UNTIL("2027-06-"
												    "01T08:"
												    "00:00Z")
												      NEXT(
													      "reissue",
													      "2026-11-21T09:59:59Z")) "," D("new.jp", "new", "") "," D("deploying.jp", "deploying", UNTIL("2027-06-01T08:00:00Z") NEXT("deploy", "2026-11-21T08:01:00Z") ",\"deploy\":[" TARGET("files", "done") "," TARGET("reload:nginx.service", "todo") "," TARGET("verify:127.0.0.1:443", "todo") "]") "," D("first.pending.jp",
																																																		   "pending",
																																																		   UNTIL(
																																																			   "2026-11-24T08:00:00Z") ",\"phase\":\"wait\"" NEXT("wait",
																																																									      "2026-11-21T07:59:00Z")) "," D("pending.jp",
																																																													     "pending",
																																																													     ",\"phase\":\"check\"" NEXT("check",
																																																																	 "2026-11-21T08:00:05Z")) "," D("retrying.jp", "retrying", NEXT("order", "2026-11-21T11:02:00Z") ERROR("connect", "no route to host", "3")) "," D("failed.jp",
																																																																																			  "failed", UNTIL("2026-11-19T07:00:00Z") ERROR("csr_invalid", "bad \\u001b[31mred", "1")) "]}";

static void test_most_urgent_first(void **state)
{
	(void)state;
	renders(render_status, fleet, 0,

		"NAME              STATE      NEXT                EXPIRES   PROBLEM\n"
		"failed.jp         failed     -                   2 d ago   csr_invalid: bad \\x1b[31mred\n"
		"retrying.jp       retrying   order in 3 h        -         connect: no route to host (3 "
		"attempts)\n"
		"deploying.jp      deploying  deploy in 60 s      in 192 d  2 of 3 targets undone: "
		"reload:nginx.service verify:127.0.0.1:443\n"
		"first.pending.jp  pending    wait now            in 3 d\n"
		"pending.jp        pending    check in 5 s        -\n"
		"new.jp            new        -                   -\n"
		"soon.jp           valid      reissue in 119 min  in 192 d\n"
		"a.late.jp         valid      reissue in 159 d    in 192 d\n"
		"b.late.jp         valid      reissue in 159 d    in 192 d\n"
		"9 domains: 1 failed, 1 retrying, 1 deploying, 2 pending, 1 new, 3 valid; 3 of 50 orders of "
		"a day spent\n");
}

/* What does not fit beside goes below; nothing is longer than the terminal. */
static void test_eighty_columns(void **state)
{
	(void)state;
	renders(render_status, fleet, 80,
		"NAME              STATE      NEXT                EXPIRES\n"
		"failed.jp         failed     -                   2 d ago\n"
		"    csr_invalid: bad \\x1b[31mred\n"
		"retrying.jp       retrying   order in 3 h        -\n"
		"    connect: no route to host (3 attempts)\n"
		"deploying.jp      deploying  deploy in 60 s      in 192 d\n"
		"    2 of 3 targets undone: reload:nginx.service verify:127.0.0.1:443\n"
		"first.pending.jp  pending    wait now            in 3 d\n"
		"pending.jp        pending    check in 5 s        -\n"
		"new.jp            new        -                   -\n"
		"soon.jp           valid      reissue in 119 min  in 192 d\n"
		"a.late.jp         valid      reissue in 159 d    in 192 d\n"
		"b.late.jp         valid      reissue in 159 d    in 192 d\n"
		"9 domains: 1 failed, 1 retrying, 1 deploying, 2 pending, 1 new, 3 valid; 3 of 50 orders of "
		"a day spent\n");
}

static void test_narrow(void **state)
{
	(void)state;
	renders(render_status, fleet, 60,
		"NAME              STATE      NEXT                EXPIRES\n"
		"failed.jp         failed     -                   2 d ago\n"
		"    csr_invalid: bad \\x1b[31mred\n"
		"retrying.jp       retrying   order in 3 h        -\n"
		"    connect: no route to host (3 attempts)\n"
		"deploying.jp      deploying  deploy in 60 s      in 192 d\n"
		"    2 of 3 targets undone: reload:nginx.service\n"
		"    verify:127.0.0.1:443\n"
		"first.pending.jp  pending    wait now            in 3 d\n"
		"pending.jp        pending    check in 5 s        -\n"
		"new.jp            new        -                   -\n"
		"soon.jp           valid      reissue in 119 min  in 192 d\n"
		"a.late.jp         valid      reissue in 159 d    in 192 d\n"
		"b.late.jp         valid      reissue in 159 d    in 192 d\n"
		"9 domains: 1 failed, 1 retrying, 1 deploying, 2 pending, 1 new, 3 valid; 3 of 50 orders of "
		"a day spent\n");
}

static void test_long_and_wide_names(void **state)
{
	static const char names[] = "{\"domains\":[" D(
		"a-very-long-name-of-a-host-that-nobody-would-type.department.example.co.jp", "valid",
		UNTIL("2026-11-24T08:00:00Z")) "," D("xn--r8jz45g.xn--zckzah", "failed",
						     ERROR("x",
							   "\\u4f8b\\u3048.\\u30c6\\u30b9\\u30c8 is a wide "
							   "name that is told as it came",
							   "1")) "]}";
	(void)state;
	renders(render_status, names, 72,
		"NAME                                               STATE   NEXT  EXPIRES\n"
		"xn--r8jz45g.xn--zckzah                             failed  -     -\n"
		"    x: 例え.テスト is a wide name that is told as it came\n"
		"a-very-long-name-of-a-host-that-nobody-would-type.department.example.co.jp\n"
		"                                                   valid   -     in 3 d\n"
		"2 domains: 1 failed, 1 valid\n");
}

static void test_of_nothing(void **state)
{
	(void)state;
	renders(render_status, "{\"ok\":true,\"domains\":[]}", 0, "0 domains\n");
	renders(render_status, "{\"ok\":true}", 80, "0 domains\n");
	renders(render_status,
		"{\"daemon\":{\"api_key_stopped\":true,\"warnings\":[\"another\\nmachine\",7]},\"domains\":[]"
		"}",
		0,
		"0 domains\n"
		"warning: CertCentral does not accept the API key: nothing is asked until a reload\n"
		"warning: another\\x0amachine\nwarning: \n");
}

/* The whole day in one line, below the counts. */
static void test_revoked(void **state)
{
	(void)state;
	renders(render_status,
		"{\"daemon\":{\"revoked\":{\"domains\":412,\"failed\":2,\"postponed\":80,\"replaced_by\":"
		"\"2026-11-23T09:00:00Z\"}},\"domains\":[]}",
		0,
		"0 domains\n412 certificates are revoked and not replaced yet: the last of them will be in "
		"2 d at the "
		"earliest; 80 wait for the orders of another day (certcentral.max_orders_per_day); 2 need a "
		"person\n");
	renders(render_status,
		"{\"daemon\":{\"revoked\":{\"domains\":1,\"failed\":0,\"postponed\":1,\"replaced_by\":"
		"\"2026-11-21T08:00:00Z\"}},\"domains\":[]}",
		0,
		"0 domains\n1 certificate is revoked and not replaced yet; 1 "
		"waits for the "
		"orders of another day (certcentral.max_orders_per_day)\n");
	renders(render_status,
		"{\"daemon\":{\"revoked\":{\"domains\":1,\"failed\":1,\"postponed\":0,\"replaced_by\":null}},"
		"\"domains\":[]}",
		0, "0 domains\n1 certificate is revoked and not replaced yet; 1 needs a person\n");
	renders(render_status,
		"{\"daemon\":{\"revoked\":{\"domains\":0,\"failed\":0,\"postponed\":0,\"replaced_by\":null}},"
		"\"domains\":[]}",
		0, "0 domains\n");
}

static void test_strange_answers(void **state)
{
	(void)state;
	renders(render_status,
		"{\"domains\":[{\"name\":7,\"state\":null,\"not_after\":\"soon\",\"next\":[],\"error\":\"x\","
		"\"deploy\":[4]},4," D("a.jp", "dreaming", "") "]}",
		0,
		"NAME  STATE     NEXT  EXPIRES  PROBLEM\n"
		"-     -         -     -        1 of 1 target undone: -\n"
		"-     -         -     -\n"
		"a.jp  dreaming  -     -\n"
		"3 domains: 3 other\n");
}

static void test_colour_only_when_asked(void **state)
{
	_cleanup_free_ char *with = render(render_status, fleet, true, 0);
	_cleanup_free_ char *without = render(render_status, fleet, false, 0);
	(void)state;
	assert_non_null(strstr(with, "failed.jp         \033[1;31mfailed\033[0m     -"));
	assert_non_null(strstr(with, "soon.jp           \033[32mvalid\033[0m      reissue"));
	assert_null(strchr(without, '\033'));
}

static void test_marks_and_lines(void **state)
{
	struct words changed = WORDS_INIT;
	struct render_options o = { .now = NOW, .columns = 80, .lines = 4, .changed = &changed };
	_cleanup_free_ char *s = NULL;
	(void)state;
	words_add(&changed, "retrying.jp");
	s = render_with(render_status, fleet, &o);
	assert_string_equal(s, "  NAME              STATE      NEXT                EXPIRES\n"
			       "  failed.jp         failed     -                   2 d ago\n"
			       "      csr_invalid: bad \\x1b[31mred\n"
			       "... and 8 more\n"
			       "9 domains: 1 failed, 1 retrying, 1 deploying, 2 pending, 1 new, 3 valid; 3 "
			       "of 50 orders of a day spent\n");
	words_done(&changed);
}

static bool fits(const char *text, unsigned columns)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *save = NULL;
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (render_width(l) > columns)
			return false;
	}
	return true;
}

static void test_every_width(void **state)
{
	(void)state;
	for (unsigned columns = 58; columns < 200; columns++) {
		_cleanup_free_ char *s = render(render_status, fleet, false, columns);
		/* The line of counts is a sentence: the terminal wraps it. */
		*strstr(s, "9 domains") = '\0';
		if (!fits(s, columns))
			fail_msg("%u columns:\n%s", columns, s);
	}
}

static void test_one_line(void **state)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(4096);
	static const char text[] =
		D("a.jp", "failed", ERROR("x", "why", "2") ",\"deploy\":[" TARGET("files", "todo") "]");
	(void)state;
	assert_int_equal(json_parse(text, strlen(text), 4096, &j, NULL), 0);
	render_status_line(j, NOW, &sb);
	assert_string_equal(strbuf_str(&sb),
			    "a.jp failed, -; x: why (2 attempts); 1 of 1 target undone: files\n");
}

static void test_wrapped(void **state)
{
	static const struct {
		const char *text;
		unsigned indent, columns;
		const char *expected;
	} rows[] = {
		{ "", 2, 80, "  \n" },
		{ "one two", 0, 0, "one two\n" },
		{ "one two three", 2, 14, "  one two\n  three\n" },
		{ "one two three", 2, 15, "  one two three\n" },
		{ "one  two", 0, 13, "one  two\n" },
		{ "abcdefghijklmnop q", 0, 12, "abcdefghijkl\nmnop q\n" },
		{ "ab \xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b", 0, 11,
		  "ab\n\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\n" },
		{ "\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b", 0, 11,
		  "\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\xe4\xbe\x8b\n\xe4\xbe\x8b\n" },
		{ "one two three four", 8, 10, "        one two\n        three four\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(4096);
		render_wrapped(&sb, rows[i].text, rows[i].indent, rows[i].columns);
		assert_string_equal(strbuf_str(&sb), rows[i].expected);
	}
	assert_int_equal(render_width("a\xc3\xa4\xe4\xbe\x8b\xf0\x9f\x98\x80"), 6);
}

static void test_relative(void **state)
{
	static const struct {
		int64_t ahead;
		const char *expected;
	} rows[] = {
		{ 0, "now" },	       { 1, "in 1 s" },		 { -119, "119 s ago" },
		{ 120, "in 2 min" },   { -7199, "119 min ago" }, { 7200, "in 2 h" },
		{ 172799, "in 47 h" }, { 172800, "in 2 d" },	 { -8640000, "100 d ago" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(64);
		render_relative(&sb, NOW + rows[i].ahead, NOW);
		assert_string_equal(strbuf_str(&sb), rows[i].expected);
	}
}

/* ---- doctor ---- */

#define S(step, state, text, remedy)                                                                         \
	"{\"step\":\"" step "\",\"state\":\"" state "\",\"text\":\"" text "\",\"remedy\":" remedy "}"

static const char sick[] = "{\"name\":\"www.jp\",\"first_broken\":\"caa\",\"api_requests\":3,\"steps\":[" S(
	"config", "ok", "/etc/dvcertd/dvcertd.yaml is valid, and is the one in use",
	"null") "," S("record", "warning", "failed, held for a person",
		      "\"dvcertctl show www.jp\"") "," S("caa", "broken",
							 "www.jp: forbidden by jp: 0 issue "
							 "\\\"letsencrypt.org\\\"",
							 "\"add a record beside it: 0 issue "
							 "\\\"digicert.com\\\"\"") "," S("served", "skipped",
											 "needs files, which "
											 "is broken",
											 "null") "]}";

static void test_doctor(void **state)
{
	(void)state;
	renders(render_doctor, sick, 0,
		"www.jp\n"
		"  config    ok       /etc/dvcertd/dvcertd.yaml is valid, and is the one in use\n"
		"  record    warning  failed, held for a person\n"
		"  caa       broken   www.jp: forbidden by jp: 0 issue \"letsencrypt.org\"\n"
		"  served    skipped  needs files, which is broken\n"
		"First broken: caa (3 requests to CertCentral)\n"
		"  www.jp: forbidden by jp: 0 issue \"letsencrypt.org\"\n"
		"  Remedy: add a record beside it: 0 issue \"digicert.com\"\n");
	renders(render_doctor, sick, 48,
		"www.jp\n"
		"  config    ok       /etc/dvcertd/dvcertd.yaml\n"
		"                     is valid, and is the one in\n"
		"                     use\n"
		"  record    warning  failed, held for a person\n"
		"  caa       broken   www.jp: forbidden by jp: 0\n"
		"                     issue \"letsencrypt.org\"\n"
		"  served    skipped  needs files, which is\n"
		"                     broken\n"
		"First broken: caa (3 requests to CertCentral)\n"
		"  www.jp: forbidden by jp: 0 issue\n"
		"  \"letsencrypt.org\"\n"
		"  Remedy: add a record beside it: 0 issue\n"
		"  \"digicert.com\"\n");
}

static void test_doctor_of_the_well(void **state)
{
	static const char general[] = "{\"name\":null,\"first_broken\":null,\"api_requests\":1,\"steps\":[" S(
		"api", "ok", "fine", "null") "],\"status\":{\"domains\":[" D("a.jp", "valid", "") "]}}";
	static const char one[] = "{\"name\":\"a.jp\",\"steps\":[" S(
		"api", "warning", "odd", "null") "],\"status\":{\"domains\":[4]}}";
	(void)state;
	renders(render_doctor, general, 80,
		"  api       ok       fine\n"
		"Nothing that all domains share is broken (1 request to CertCentral)\n"
		"\n"
		"NAME  STATE  NEXT  EXPIRES\n"
		"a.jp  valid  -     -\n"
		"1 domain: 1 valid\n");
	renders(render_doctor, one, 80,
		"a.jp\n"
		"  api       warning  odd\n"
		"Nothing is broken, 1 warning (0 requests to CertCentral)\n");
	renders(render_doctor, "{}", 80,
		"Nothing that all domains share is broken (0 requests to CertCentral)\n");
}

static void test_doctor_in_colour(void **state)
{
	_cleanup_free_ char *s = render(render_doctor, sick, true, 0);
	(void)state;
	assert_non_null(strstr(s, "  caa       \033[1;31mbroken  \033[0m www.jp"));
}

/* ---- watch ---- */

static void differ(const char *a, const char *b, const char *expected)
{
	_cleanup_(json_freep) struct json *x = NULL, *y = NULL;
	_cleanup_words_ struct words names = WORDS_INIT;
	_cleanup_free_ char *joined = NULL;
	if (a)
		assert_int_equal(json_parse(a, strlen(a), 1u << 20, &x, NULL), 0);
	assert_int_equal(json_parse(b, strlen(b), 1u << 20, &y, NULL), 0);
	watch_changes(x, y, &names);
	joined = words_join(&names);
	assert_string_equal(joined ? joined : "", expected);
}

#define LIST(list) "{\"domains\":[" list "]}"

static void test_changes(void **state)
{
	(void)state;
	differ(NULL, LIST(D("a", "new", "")), "");
	differ(LIST(D("a", "new", "")), LIST(D("a", "new", "")), "");
	differ(LIST(D("a", "new", "") "," D("b", "new", "")), LIST(D("a", "new", "") "," D("b", "valid", "")),
	       "b");
	/* Times pass, and attempts are counted, without a word. */
	differ(LIST(D("a", "valid", NEXT("reissue", "2027-04-29T08:00:00Z"))),
	       LIST(D("a", "valid", NEXT("reissue", "2027-04-30T08:00:00Z"))), "");
	differ(LIST(D("a", "retrying", ERROR("x", "y", "1"))), LIST(D("a", "retrying", ERROR("x", "y", "2"))),
	       "");
	differ(LIST(D("a", "retrying", ERROR("x", "y", "1"))), LIST(D("a", "retrying", ERROR("x", "z", "1"))),
	       "a");
	differ(LIST(D("a", "pending", ",\"phase\":\"check\"")),
	       LIST(D("a", "pending", ",\"phase\":\"wait\"")), "a");
	differ(LIST(D("a", "deploying", ",\"deploy\":[" TARGET("files", "todo") "]")),
	       LIST(D("a", "deploying", ",\"deploy\":[" TARGET("files", "done") "]")), "a");
	/* Come and gone, and in another order. */
	differ(LIST(D("a", "new", "") "," D("c", "new", "")),
	       LIST(D("a", "new", "") "," D("b", "new", "") "," D("c", "new", "")), "b");
	differ(LIST(D("a", "new", "") "," D("b", "new", "")), LIST(D("b", "new", "") "," D("a", "new", "")),
	       "");
	differ(LIST(""), LIST(D("a", "new", "")), "a");
	differ("{}", "{}", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most_urgent_first),
		cmocka_unit_test(test_eighty_columns),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_long_and_wide_names),
		cmocka_unit_test(test_of_nothing),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_strange_answers),
		cmocka_unit_test(test_colour_only_when_asked),
		cmocka_unit_test(test_marks_and_lines),
		cmocka_unit_test(test_every_width),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_doctor),
		cmocka_unit_test(test_doctor_of_the_well),
		cmocka_unit_test(test_doctor_in_colour),
		cmocka_unit_test(test_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
