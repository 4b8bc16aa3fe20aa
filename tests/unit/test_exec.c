/* SPDX-License-Identifier: Apache-2.0 */
/* The program that writes DNS records: what it is called with, what it may rely on, and what each of its ends means. A
 * hook shows what it got by printing it and failing: then it is in the message. */
#include "daemon/dcv/exec.h"

#include "common/mem.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LONG_MS 60000
#define PATH_VAR                                                                                             \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\\x0aDVCERT_API=1\\x0a"            \
	"DVCERT_NAME=www.example.jp"

static char dir[40], hook[64];
static struct loop *loop;
static struct outcome seen;
static int n_seen;

static void on_done(const struct outcome *o, _unused_ void *owner)
{
	seen = *o;
	n_seen++;
	loop_stop(loop);
}

static void make_hook(const char *body, mode_t mode)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\n%s\n", body);
	int fd = open(hook, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct exec_call *begin(const char *value, bool present, int64_t timeout_s)
{
	struct exec_spec s = {
		.command = (const char *const[]){ hook, "dns_cf", NULL },
		.present = present,
		.fqdn = "_dnsauth.example.jp",
		.value = value,
		.domain = "www.example.jp",
		.timeout_s = timeout_s,
	};
	struct exec_call *c = NULL;

	exec_start(loop, &s, on_done, NULL, &c);
	assert_non_null(c);
	assert_int_equal(n_seen, 0); /* not before it returned */
	return c;
}

static void check(enum fault fault, const char *message)
{
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(n_seen, 1);
	assert_string_equal(seen.message, message);
	assert_int_equal(seen.fault, fault);
	assert_string_equal(seen.code, fault == FAULT_NONE ? "" : "exec");
	assert_int_equal(seen.retry_after, 0);
	n_seen = 0;
}

static void check_run(const char *body, int64_t timeout_s, enum fault fault, const char *said)
{
	_cleanup_free_ char *message =
		fault == FAULT_NONE ? xstrdup("") : xasprintf("%s present %s", hook, said);

	make_hook(body, 0755);
	(void)begin("tok", true, timeout_s);
	loop_run(loop);
	check(fault, message);
}

static void check_not_run(const char *said)
{
	_cleanup_free_ char *message = xasprintf("cannot run %s: %s", hook, said);

	(void)begin("tok", true, 60);
	loop_run(loop);
	check(FAULT_LOCAL, message);
}

static int setup(_unused_ void **state)
{
	(void)alarm(60);
	(void)snprintf(dir, sizeof dir, "/tmp/test_exec.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(hook, sizeof hook, "%s/hook", dir);
	n_seen = 0;
	return loop_new(&loop, NULL);
}

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int flag,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	loop_free(loop);
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_ends(_unused_ void **state)
{
	check_run("echo fine", 60, FAULT_NONE, "");
	check_run("echo busy; exit 75", 60, FAULT_UNCLEAR, "asks to be called again later: busy");
	check_run("exit 75", 60, FAULT_UNCLEAR, "asks to be called again later");
	check_run("echo 'no such zone' >&2; exit 1", 60, FAULT_UNCLEAR,
		  "failed with exit code 1: no such zone");
	check_run("exit 78", 60, FAULT_UNCLEAR, "failed with exit code 78");
	check_run("kill -KILL $$", 60, FAULT_UNCLEAR, "was ended by signal 9");
	check_run("echo waiting; sleep 1000", 1, FAULT_UNCLEAR, "did not end within 1 s: waiting");
}

static void check_arguments(bool present, const char *value, const char *shown)
{
	_cleanup_free_ char *message =
		xasprintf("%s %s failed with exit code 1: [dns_cf][%s][_dnsauth.example.jp.][%s]", hook,
			  present ? "present" : "cleanup", present ? "present" : "cleanup", shown);

	make_hook("printf '[%s]' \"$@\"; exit 1", 0755);
	(void)begin(value, present, 60);
	loop_run(loop);
	check(FAULT_UNCLEAR, message);
}

static void test_arguments(_unused_ void **state)
{
	check_arguments(true, "tok", "tok");
	check_arguments(false, "tok", "tok");
	check_arguments(true, ";id $(id) `id` 'a\" *\nb", ";id $(id) `id` 'a\" *\\x0ab");
	check_arguments(true, "-n", "-n");
	check_arguments(true, "", "");
}

static void test_environment(_unused_ void **state)
{
	static const char show[] = "tr '\\0' '\\n' </proc/$$/environ; exit 1";

	(void)setenv("CANARY", "secret", 1);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	check_run(show, 60, FAULT_UNCLEAR, "failed with exit code 1: " PATH_VAR);
	(void)setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	check_run(show, 60, FAULT_UNCLEAR,
		  "failed with exit code 1: " PATH_VAR "\\x0a"
		  "CREDENTIALS_DIRECTORY=/run/credentials/x");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

/* A message has room for 400 bytes: the end of the output is what must be in it, whole characters only. */
static void test_long_output(_unused_ void **state)
{
	size_t len = 0;

	make_hook("seq 1 9999 | tr '\\n' ' '; echo 'the reason'; exit 1", 0755);
	(void)begin("tok", true, 60);
	loop_run(loop);
	assert_non_null(strstr(seen.message, " present failed with exit code 1: 99"));
	len = strlen(seen.message);
	assert_string_equal(seen.message + len - 15, "9999 the reason");
	n_seen = 0;
	make_hook("for i in $(seq 300); do printf '\\343\\201\\202'; done; exit 1", 0755);
	(void)begin("tok", true, 60);
	loop_run(loop);
	assert_null(strstr(seen.message, "\\x"));
	assert_non_null(strstr(seen.message, "exit code 1: \xe3\x81\x82"));
}

static void test_not_run(_unused_ void **state)
{
	check_not_run(
		"No such file or directory; neither it nor the interpreter in its first line may be missing");
	make_hook("exit 0", 0644);
	check_not_run("Permission denied; it must be a file that the daemon's user may execute");
	make_hook("exit 0", 0757);
	check_not_run("Operation not permitted; it must belong to root or to the daemon's user, and only its "
		      "owner may "
		      "write to it");
	(void)snprintf(hook, sizeof hook, "hook");
	check_not_run("Invalid argument; it must be named by its whole path");
}

static void test_cancel(_unused_ void **state)
{
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	struct exec_call *c = NULL;
	char text[4] = "";
	int fd = -1;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	make_hook("echo x >${0%/*}/fifo; sleep 1000", 0755);
	c = begin("tok", true, 60);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text), 2); /* it runs */
	close(fd);
	exec_cancel(&c);
	assert_null(c);
	exec_cancel(&c);
	c = begin("tok", false, 60);
	exec_cancel(&c);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(n_seen, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ends),	TEST(test_arguments), TEST(test_environment),
		TEST(test_long_output), TEST(test_not_run),   TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
