/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of dvcertctl, its request lines, and the exit codes of answers. */
#include "daemon/ctl/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGV_MAX 8

/* Parses words that are separated by single blanks; "" stands for an empty word. */
static int parse(const char *line, struct ctl_args *ret, struct err *e)
{
	static char words[256];
	static char *argv[ARGV_MAX + 2];
	int argc = 0;
	argv[argc++] = (char *)(uintptr_t) "dvcertctl";
	assert_true(strlen(line) < sizeof(words));
	memcpy(words, line, strlen(line) + 1);
	for (char *p = words; p && *p;) {
		char *blank = strchr(p, ' ');
		if (blank)
			*blank++ = '\0';
		assert_true(argc <= ARGV_MAX);
		if (strcmp(p, "\"\"") == 0)
			*p = '\0';
		argv[argc++] = p;
		p = blank;
	}
	argv[argc] = NULL;
	return ctl_args_parse(argc, argv, ret, e);
}

static void accepts(const char *line, const char *request)
{
	struct ctl_args a = { 0 };
	struct err e = ERR_INIT;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(4096);
	if (parse(line, &a, &e) != 0)
		fail_msg("%s: %s", line, e.text);
	assert_int_equal(a.action, CTL_RUN);
	ctl_args_request(&a, &sb);
	assert_string_equal(strbuf_str(&sb), request);
}

static void refuses(const char *line, const char *said)
{
	struct ctl_args a = { 0 };
	struct err e = ERR_INIT;
	if (parse(line, &a, &e) != -EINVAL)
		fail_msg("%s: accepted", line);
	if (!strstr(e.text, said))
		fail_msg("%s: \"%s\" does not say \"%s\"", line, e.text, said);
}

static void test_requests(void **state)
{
	(void)state;
	accepts("status", "{\"verb\":\"status\",\"names\":[]}");
	accepts("status a.jp b.jp", "{\"verb\":\"status\",\"names\":[\"a.jp\",\"b.jp\"]}");
	accepts("show a.jp", "{\"verb\":\"show\",\"names\":[\"a.jp\"]}");
	accepts("history a.jp", "{\"verb\":\"history\",\"names\":[\"a.jp\"]}");
	accepts("renew a.jp b.jp", "{\"verb\":\"renew\",\"names\":[\"a.jp\",\"b.jp\"]}");
	accepts("deploy a.jp", "{\"verb\":\"deploy\",\"names\":[\"a.jp\"]}");
	accepts("reload", "{\"verb\":\"reload\",\"names\":[]}");
	accepts("wait a.jp", "{\"verb\":\"wait\",\"names\":[\"a.jp\"],\"timeout\":60}");
	accepts("wait a.jp --timeout 5m b.jp",
		"{\"verb\":\"wait\",\"names\":[\"a.jp\",\"b.jp\"],\"timeout\":300}");
	accepts("--timeout=2s wait a.jp", "{\"verb\":\"wait\",\"names\":[\"a.jp\"],\"timeout\":2}");
	accepts("status -- --odd", "{\"verb\":\"status\",\"names\":[\"--odd\"]}");
	accepts("status a\"b", "{\"verb\":\"status\",\"names\":[\"a\\\"b\"]}");
}

static void test_options(void **state)
{
	struct ctl_args a = { 0 };
	(void)state;
	assert_int_equal(parse("status", &a, NULL), 0);
	assert_null(a.socket);
	assert_false(a.json);
	assert_int_equal(parse("-s /run/x status --json", &a, NULL), 0);
	assert_string_equal(a.socket, "/run/x");
	assert_true(a.json);
	assert_int_equal(parse("status --socket=/run/y", &a, NULL), 0);
	assert_string_equal(a.socket, "/run/y");
	assert_int_equal(parse("--help", &a, NULL), 0);
	assert_int_equal(a.action, CTL_HELP);
	assert_int_equal(parse("status -h", &a, NULL), 0);
	assert_int_equal(a.action, CTL_HELP);
	assert_int_equal(parse("--version", &a, NULL), 0);
	assert_int_equal(a.action, CTL_VERSION);
}

static void test_refusals(void **state)
{
	(void)state;
	refuses("", "which command?");
	refuses("stauts", "did you mean \"status\"");
	refuses("relaod", "did you mean \"reload\"");
	refuses("frobnicate", "no such command \"frobnicate\"");
	refuses("show", "dvcertctl show NAME");
	refuses("show a.jp b.jp", "one name only");
	refuses("history", "needs a name");
	refuses("renew", "needs a name");
	refuses("wait --timeout 5s", "needs a name");
	refuses("reload a.jp", "takes no names");
	refuses("status \"\"", "empty name");
	refuses("status --timeout 5s", "knows no --timeout");
	refuses("wait a.jp --timeout 5", "not a duration");
	refuses("wait a.jp --timeout", "--timeout needs a value");
	refuses("status -s", "-s needs a value");
	refuses("status -x", "no such option -x");
	refuses("status --jsno", "--jsno is not understood");
	refuses("status --json=1", "not understood");
}

static const struct ctl_verb *verb(const char *name)
{
	const struct ctl_verb *v = ctl_verbs;
	while (strcmp(v->name, name) != 0)
		v++;
	return v;
}

static int code_of(const char *name, const char *text)
{
	_cleanup_(json_freep) struct json *j = NULL;
	assert_int_equal(json_parse(text, strlen(text), 4096, &j, NULL), 0);
	return verb(name)->exit_code ? verb(name)->exit_code(j) : 0;
}

static void test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(code_of("wait", "{\"result\":\"valid\"}"), 0);
	assert_int_equal(code_of("wait", "{\"result\":\"failed\"}"), 1);
	assert_int_equal(code_of("wait", "{\"result\":\"timeout\"}"), 75);
	assert_int_equal(code_of("wait", "{}"), 1);
	assert_int_equal(code_of("renew", "{\"accepted\":[\"a\"],\"refused\":[]}"), 0);
	assert_int_equal(
		code_of("renew", "{\"accepted\":[\"a\"],\"refused\":[{\"name\":\"b\",\"reason\":\"x\"}]}"),
		1);
	assert_int_equal(code_of("renew", "{\"accepted\":[],\"refused\":[]}"), 2);
	assert_int_equal(code_of("status", "{\"domains\":[]}"), 0);
}

static void test_help_names_every_verb(void **state)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(8192);
	(void)state;
	ctl_args_help(&sb);
	assert_true(strbuf_ok(&sb));
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++) {
		assert_non_null(strstr(strbuf_str(&sb), v->synopsis));
		assert_non_null(strstr(strbuf_str(&sb), v->summary));
		assert_non_null(v->render);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_help_names_every_verb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
