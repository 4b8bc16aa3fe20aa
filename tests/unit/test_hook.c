/* SPDX-License-Identifier: Apache-2.0 */
/* A program after a renewal: what it is told, and what each of its ends means. */
#include "daemon/deploy/hook.h"

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

static struct hook_call *begin(const char *argument, int64_t timeout_s)
{
	const struct cfg_exec_target target = {
		.command = (const char *const[]){ hook, argument, NULL },
		.timeout = timeout_s,
	};
	const struct hook_ask ask = {
		.target = &target,
		.name = "www.example.jp",
		.names = "www.example.jp *.example.jp",
		.dir = "/var/lib/dvcertd/live/www.example.jp",
		.serial = "0a1b",
		.not_after = 1800000000,
	};
	struct hook_call *c = NULL;

	hook_start(loop, &ask, on_done, NULL, &c);
	assert_non_null(c);
	assert_int_equal(n_seen, 0); /* not before it returned */
	return c;
}

static void check(enum fault fault, const char *code, const char *message)
{
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(n_seen, 1);
	assert_string_equal(seen.message, message);
	assert_int_equal(seen.fault, fault);
	assert_string_equal(seen.code, code);
	n_seen = 0;
}

static void check_run(const char *body, const char *code, const char *said)
{
	_cleanup_free_ char *message = said ? xasprintf("%s %s", hook, said) : xstrdup("");

	make_hook(body, 0755);
	(void)begin("x", strcmp(code, "timeout") == 0 ? 1 : 60);
	loop_run(loop);
	check(said ? FAULT_UNCLEAR : FAULT_NONE, code, message);
}

static void check_not_run(const char *said)
{
	_cleanup_free_ char *message = xasprintf("cannot run %s: %s", hook, said);

	(void)begin("x", 60);
	loop_run(loop);
	check(FAULT_LOCAL, "exec", message);
}

static int setup(_unused_ void **state)
{
	(void)alarm(60);
	(void)snprintf(dir, sizeof dir, "/tmp/test_hook.XXXXXX");
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
	check_run("echo fine", "", NULL);
	check_run("echo busy; exit 75", "later", "asks to be called again later: busy");
	check_run("exit 75", "later", "asks to be called again later");
	check_run("echo 'nginx: bad luck' >&2; exit 1", "exit", "failed with exit code 1: nginx: bad luck");
	check_run("exit 78", "exit", "failed with exit code 78");
	check_run("kill -KILL $$", "signal", "was ended by signal 9");
	check_run("echo waiting; sleep 1000", "timeout", "did not end within 1 s: waiting");
}

/* Exactly what the contract names, whatever the daemon itself has. */
static void test_environment(_unused_ void **state)
{
	static const char expected[] = "DVCERT_API=1\n"
				       "DVCERT_CERT=/var/lib/dvcertd/live/www.example.jp/cert.pem\n"
				       "DVCERT_CHAIN=/var/lib/dvcertd/live/www.example.jp/chain.pem\n"
				       "DVCERT_DIR=/var/lib/dvcertd/live/www.example.jp\n"
				       "DVCERT_FULLCHAIN=/var/lib/dvcertd/live/www.example.jp/fullchain.pem\n"
				       "DVCERT_KEY=/var/lib/dvcertd/live/www.example.jp/privkey.pem\n"
				       "DVCERT_NAME=www.example.jp\n"
				       "DVCERT_NAMES=www.example.jp *.example.jp\n"
				       "DVCERT_NOT_AFTER=2027-01-15T08:00:00Z\n"
				       "DVCERT_SERIAL=0a1b\n"
				       "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
				       "RENEWED_DOMAINS=www.example.jp *.example.jp\n"
				       "RENEWED_LINEAGE=/var/lib/dvcertd/live/www.example.jp\n"
				       "[x]";
	_cleanup_free_ char *path = xasprintf("%s/out", dir);
	char got[2048] = "";
	int fd = -1;

	(void)setenv("CANARY", "secret", 1);
	(void)setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	check_run("{ tr '\\0' '\\n' </proc/$$/environ | LC_ALL=C sort; printf '[%s]' \"$@\"; } >${0%/*}/out",
		  "", NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, got, sizeof got - 1) > 0);
	close(fd);
	assert_string_equal(got, expected);
}

static void test_not_run(_unused_ void **state)
{
	check_not_run(
		"No such file or directory; neither it nor the interpreter in its first line may be missing");
	make_hook("exit 0", 0757);
	check_not_run("Operation not permitted; it must belong to root or to the daemon's user, and only its "
		      "owner may write to it");
}

static void test_cancel(_unused_ void **state)
{
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	struct hook_call *c = NULL;
	char text[4] = "";
	int fd = -1;

	hook_cancel(&c);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	make_hook("echo x >${0%/*}/fifo; sleep 1000", 0755);
	c = begin("x", 60);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text), 2); /* it runs */
	close(fd);
	hook_cancel(&c);
	assert_null(c);
	c = begin("x", 60);
	hook_cancel(&c);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(n_seen, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ends),
		TEST(test_environment),
		TEST(test_not_run),
		TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
