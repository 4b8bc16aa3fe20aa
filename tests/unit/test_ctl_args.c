/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of dvcertctl, its request lines, and the exit codes of answers. */
#include "daemon/ctl/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGV_MAX 12

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
	ctl_args_request(&a, NULL, &sb);
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
	accepts("renew --all --yes", "{\"verb\":\"renew\",\"names\":[],\"all\":true,\"yes\":true}");
	accepts("plan", "{\"verb\":\"plan\",\"names\":[]}");
	accepts("plan a.jp b.jp", "{\"verb\":\"plan\",\"names\":[\"a.jp\",\"b.jp\"]}");
	accepts("reissue a.jp", "{\"verb\":\"reissue\",\"names\":[\"a.jp\"]}");
	accepts("reissue --all", "{\"verb\":\"reissue\",\"names\":[],\"all\":true}");
	accepts("reissue a.jp b.jp", "{\"verb\":\"reissue\",\"names\":[\"a.jp\",\"b.jp\"]}");
	accepts("reissue --new-key a.jp", "{\"verb\":\"reissue\",\"names\":[\"a.jp\"],\"new_key\":true}");
	accepts("revoke a.jp --yes", "{\"verb\":\"revoke\",\"names\":[\"a.jp\"],\"yes\":true}");
	accepts("revoke a.jp", "{\"verb\":\"revoke\",\"names\":[\"a.jp\"]}");
	accepts("revoke a.jp --reason superseded --certificate-id 7 --yes",
		"{\"verb\":\"revoke\",\"names\":[\"a.jp\"],\"yes\":true,\"reason\":\"superseded\","
		"\"certificate_id\":7}");
	accepts("revoke a.jp --order", "{\"verb\":\"revoke\",\"names\":[\"a.jp\"],\"order\":true}");
	accepts("cancel a.jp --yes", "{\"verb\":\"cancel\",\"names\":[\"a.jp\"],\"yes\":true}");
	accepts("check-dcv a.jp", "{\"verb\":\"check-dcv\",\"names\":[\"a.jp\"]}");
	accepts("resend-emails a.jp", "{\"verb\":\"resend-emails\",\"names\":[\"a.jp\"]}");
	accepts("auth-key show", "{\"verb\":\"auth-key\",\"names\":[],\"action\":\"show\"}");
	accepts("auth-key create --days 30 --yes",
		"{\"verb\":\"auth-key\",\"names\":[],\"action\":\"create\",\"yes\":true,\"days\":30}");
	accepts("budget", "{\"verb\":\"budget\",\"names\":[]}");
	accepts("deploy a.jp", "{\"verb\":\"deploy\",\"names\":[\"a.jp\"]}");
	accepts("rollback a.jp", "{\"verb\":\"rollback\",\"names\":[\"a.jp\"]}");
	accepts("doctor", "{\"verb\":\"doctor\",\"names\":[]}");
	accepts("doctor a.jp --config /etc/x", "{\"verb\":\"doctor\",\"names\":[\"a.jp\"]}");
	accepts("status --watch 5 a.jp", "{\"verb\":\"status\",\"names\":[\"a.jp\"]}");
	accepts("status --watch a.jp", "{\"verb\":\"status\",\"names\":[\"a.jp\"]}");
	accepts("reload", "{\"verb\":\"reload\",\"names\":[]}");
	accepts("wait a.jp", "{\"verb\":\"wait\",\"names\":[\"a.jp\"],\"timeout\":60}");
	accepts("wait a.jp --timeout 5m b.jp",
		"{\"verb\":\"wait\",\"names\":[\"a.jp\",\"b.jp\"],\"timeout\":300}");
	accepts("--timeout=2s wait a.jp", "{\"verb\":\"wait\",\"names\":[\"a.jp\"],\"timeout\":2}");
	accepts("status -- --odd", "{\"verb\":\"status\",\"names\":[\"--odd\"]}");
	accepts("status a\"b", "{\"verb\":\"status\",\"names\":[\"a\\\"b\"]}");
}

/* Key and folder are dvcertctl's business: only the request goes over the socket. */
static void test_duplicate_sends_the_request_only(void **state)
{
	struct ctl_args a = { 0 };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(4096);
	(void)state;
	assert_int_equal(parse("duplicate a.jp --new-key --out /d --timeout 5s", &a, NULL), 0);
	assert_string_equal(a.out_dir, "/d");
	assert_null(a.csr_file);
	ctl_args_request(&a, "CSR", &sb);
	assert_string_equal(strbuf_str(&sb), "{\"verb\":\"duplicate\",\"names\":[\"a.jp\"],\"csr\":"
					     "\"CSR\",\"timeout\":5}");
	assert_int_equal(parse("duplicate --csr f --out d a.jp", &a, NULL), 0);
	assert_string_equal(a.csr_file, "f");
	assert_string_equal(a.out_dir, "d");
	assert_int_equal(a.timeout, 60);
}

static int64_t watch_of(const char *line)
{
	struct ctl_args a = { 0 };
	assert_int_equal(parse(line, &a, NULL), 0);
	return a.watch;
}

/* The word behind it is a time only when it can be nothing else. */
static void test_watch(void **state)
{
	(void)state;
	assert_int_equal(watch_of("status"), 0);
	assert_int_equal(watch_of("status --watch"), CTL_WATCH_DEFAULT);
	assert_int_equal(watch_of("status --watch 5"), 5);
	assert_int_equal(watch_of("status --watch 2m a.jp"), 120);
	assert_int_equal(watch_of("status --watch=90s"), 90);
	assert_int_equal(watch_of("--watch status"), CTL_WATCH_DEFAULT);
	assert_int_equal(watch_of("status --watch 7.example.jp"), CTL_WATCH_DEFAULT);
	assert_int_equal(watch_of("status --watch --json"), CTL_WATCH_DEFAULT);
}

static void test_colour(void **state)
{
	struct ctl_args a = { 0 };
	(void)state;
	assert_int_equal(parse("status", &a, NULL), 0);
	assert_int_equal(a.colour, CTL_COLOUR_AUTO);
	assert_int_equal(parse("--color=never status", &a, NULL), 0);
	assert_int_equal(a.colour, CTL_COLOUR_NEVER);
	assert_int_equal(parse("show --color always a.jp", &a, NULL), 0);
	assert_int_equal(a.colour, CTL_COLOUR_ALWAYS);
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
	refuses("renew", "needs names or --all");
	refuses("renew a.jp --all", "needs names or --all, and not both");
	refuses("renew a.jp --new-key", "renew knows no --new-key");
	refuses("reissue", "needs names or --all");
	refuses("reissue a.jp --all", "needs names or --all, and not both");
	refuses("reissue a.jp --yes", "reissue knows no --yes");
	refuses("revoke --yes", "needs a name");
	refuses("revoke a.jp --order --certificate-id 5", "not both");
	refuses("revoke a.jp --certificate-id x", "not a number above 0");
	refuses("revoke a.jp --certificate-id 0", "not a number above 0");
	refuses("revoke a.jp --certificate-id -5", "not a number above 0");
	refuses("revoke a.jp --reason", "--reason needs a value");
	refuses("revoke a.jp --reason --yes", "--reason needs a value");
	refuses("cancel", "needs a name");
	refuses("cancel a.jp --order", "cancel knows no --order");
	refuses("check-dcv", "needs a name");
	refuses("resend-emails", "needs a name");
	refuses("duplicate a.jp --out d", "either --csr or --new-key");
	refuses("duplicate a.jp --new-key --csr f --out d", "either --csr or --new-key");
	refuses("duplicate a.jp --new-key", "needs --out");
	refuses("duplicate --new-key --out d", "needs a name");
	refuses("duplicate a.jp --new-key --out", "--out needs a value");
	refuses("duplicate a.jp --out --new-key", "--out needs a value");
	refuses("auth-key", "needs a word");
	refuses("auth-key delete", "show or create");
	refuses("auth-key show create", "one word");
	refuses("auth-key show --days 5", "show takes no options");
	refuses("auth-key create --days 0", "not a number above 0");
	refuses("budget a.jp", "takes no names");
	refuses("plan --yes", "plan knows no --yes");
	refuses("status --watch=0", "not a time above 0");
	refuses("status --watch 0", "not a time above 0");
	refuses("status --watch=x", "not a time above 0");
	refuses("show a.jp --watch", "knows no --watch");
	refuses("status --color sometimes", "auto, never or always");
	refuses("doctor a.jp b.jp", "one name only");
	refuses("status --config f", "knows no --config");
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
	assert_int_equal(code_of("plan", "{\"totals\":{\"domains\":1}}"), 0);
	assert_int_equal(code_of("plan", "{\"totals\":{\"domains\":0}}"), 2);
	assert_int_equal(code_of("plan", "{}"), 1);
	assert_int_equal(code_of("reissue", "{\"accepted\":[],\"refused\":[{\"name\":\"b\"}]}"), 1);
	assert_int_equal(code_of("revoke", "{\"result\":\"revoked\"}"), 0);
	assert_int_equal(code_of("revoke", "{\"result\":\"pending\"}"), 75);
	assert_int_equal(code_of("revoke", "{\"result\":\"approval\"}"), 75);
	assert_int_equal(code_of("revoke", "{\"result\":\"failed\"}"), 1);
	assert_int_equal(code_of("revoke", "{\"result\":\"nothing\"}"), 2);
	assert_int_equal(code_of("cancel", "{\"result\":\"canceled\"}"), 0);
	assert_int_equal(code_of("check-dcv", "{\"result\":\"not_validated\"}"), 75);
	assert_int_equal(code_of("auth-key", "{\"result\":\"nothing\"}"), 2);
	assert_int_equal(code_of("duplicate", "{\"result\":\"issued\"}"), 0);
	assert_int_equal(code_of("duplicate", "{\"result\":\"dreaming\"}"), 1);
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
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_duplicate_sends_the_request_only),
		cmocka_unit_test(test_options),	   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_help_names_every_verb),
		cmocka_unit_test(test_watch),	   cmocka_unit_test(test_colour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
