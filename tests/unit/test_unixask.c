/* SPDX-License-Identifier: Apache-2.0 */
/* One line to a socket and one back, with servers as nobody wants them. */
#include "daemon/io/unixask.h"

#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LONG_MS 30000

static struct {
	char dir[40], path[64];
	struct loop *loop;
	int listener;
	pthread_t server;
	const char *answer; /* of the server */
	bool in_pieces;
	bool reads; /* the question first */
	bool hangs; /* until the peer is gone */
	char question[2 * UNIXASK_MAX];
	int n_done;
	int error;
	char *line;
} t;

static int make_listener(int backlog)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", t.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* One connection. */
static void *serve(_unused_ void *arg)
{
	int fd = accept4(t.listener, NULL, NULL, SOCK_CLOEXEC);
	size_t len = 0, out = strlen(t.answer);
	char c;

	while (t.reads && len < sizeof t.question - 1 && !strchr(t.question, '\n')) {
		ssize_t n = read(fd, t.question + len, sizeof t.question - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	for (size_t i = 0; i < out; i += t.in_pieces ? 1 : out)
		(void)send(fd, t.answer + i, t.in_pieces ? 1 : out, MSG_NOSIGNAL);
	while (t.hangs && read(fd, &c, 1) > 0)
		;
	(void)close(fd);
	return NULL;
}

static void on_done(const struct unixask_result *r, void *owner)
{
	assert_ptr_equal(owner, &t);
	t.n_done++;
	t.error = r->error;
	assert_true((r->error == 0) == (r->line != NULL));
	free(t.line);
	t.line = xstrdup_opt(r->line);
	loop_stop(t.loop);
}

static int ask(const char *line, int64_t timeout_ms)
{
	struct unixask *a = NULL;
	int before = t.n_done;

	unixask_start(t.loop, t.path, line, timeout_ms, on_done, &t, &a);
	assert_non_null(a);
	assert_int_equal(t.n_done, before); /* not before it returned */
	loop_run(t.loop);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	assert_int_equal(t.n_done, before + 1);
	return t.error;
}

static int ask_server(const char *line, int64_t timeout_ms)
{
	t.listener = make_listener(5);
	assert_int_equal(pthread_create(&t.server, NULL, serve, NULL), 0);
	(void)ask(line, timeout_ms);
	assert_int_equal(pthread_join(t.server, NULL), 0);
	(void)close(t.listener);
	assert_int_equal(unlink(t.path), 0);
	return t.error;
}

static int setup(_unused_ void **state)
{
	memset(&t, 0, sizeof t);
	(void)alarm(60);
	(void)snprintf(t.dir, sizeof t.dir, "/tmp/test_unixask.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	assert_int_equal(chmod(t.dir, 0755), 0);
	(void)snprintf(t.path, sizeof t.path, "%s/socket", t.dir);
	t.answer = "";
	t.reads = true;
	return loop_new(&t.loop, NULL);
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	loop_free(t.loop);
	free(t.line);
	(void)unlink(t.path);
	return rmdir(t.dir);
}

static void test_answer(_unused_ void **state)
{
	t.answer = "yes\n";
	assert_int_equal(ask_server("is it?", LONG_MS), 0);
	assert_string_equal(t.line, "yes");
	assert_string_equal(t.question, "is it?\n");
	t.in_pieces = t.hangs = true;
	assert_int_equal(ask_server("is it?", LONG_MS), 0);
	assert_string_equal(t.line, "yes");
}

/* Whatever follows the line is nothing. */
static void test_more_than_a_line(_unused_ void **state)
{
	t.answer = "\nmore\n";
	assert_int_equal(ask_server("x", LONG_MS), 0);
	assert_string_equal(t.line, "");
}

/* It need not have read the question to refuse. */
static void test_answer_without_reading(_unused_ void **state)
{
	t.answer = "no\n";
	t.reads = false;
	assert_int_equal(ask_server("x", LONG_MS), 0);
	assert_string_equal(t.line, "no");
}

static void test_no_answer(_unused_ void **state)
{
	assert_int_equal(ask_server("x", LONG_MS), -ECONNRESET);
	t.answer = "cut off";
	assert_int_equal(ask_server("x", LONG_MS), -ECONNRESET);
}

static void test_long_answers(_unused_ void **state)
{
	char text[UNIXASK_MAX + 3];

	memset(text, 'x', sizeof text);
	text[UNIXASK_MAX] = '\n';
	text[UNIXASK_MAX + 1] = '\0';
	t.answer = text;
	assert_int_equal(ask_server("x", LONG_MS), 0);
	assert_int_equal(strlen(t.line), UNIXASK_MAX);
	text[UNIXASK_MAX] = 'x';
	text[UNIXASK_MAX + 1] = '\n';
	text[UNIXASK_MAX + 2] = '\0';
	assert_int_equal(ask_server("x", LONG_MS), -EFBIG);
}

static void test_hanging_server(_unused_ void **state)
{
	int64_t start_ms = clock_mono_ms();

	t.hangs = true;
	assert_int_equal(ask_server("x", 50), -ETIMEDOUT);
	t.answer = "half";
	assert_int_equal(ask_server("x", 50), -ETIMEDOUT);
	assert_true(clock_mono_ms() - start_ms >= 100);
}

static void test_nobody(_unused_ void **state)
{
	assert_int_equal(ask("x", LONG_MS), -ENOENT);
	close(make_listener(1));
	assert_int_equal(ask("x", LONG_MS), -ECONNREFUSED);
	assert_int_equal(unlink(t.path), 0);
	memset(t.path + strlen(t.path), 'x', 1);
	assert_int_equal(ask("x", LONG_MS), -ENOENT);
}

static void test_long_path(_unused_ void **state)
{
	char long_path[200];
	struct unixask *a = NULL;

	memset(long_path, 'x', sizeof long_path);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	unixask_start(t.loop, long_path, "x", LONG_MS, on_done, &t, &a);
	loop_run(t.loop);
	assert_int_equal(t.error, -ENAMETOOLONG);
}

/* With nobody who accepts, a full backlog is waited for. */
static void test_full_backlog(_unused_ void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fds[2];

	t.listener = make_listener(0);
	(void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", t.path);
	for (int i = 0; i < 2; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fds[i], (struct sockaddr *)&sa, sizeof sa);
	}
	assert_int_equal(ask("x", 150), -ETIMEDOUT);
	close(fds[0]);
	close(fds[1]);
	close(t.listener);
}

static void test_cancel(_unused_ void **state)
{
	struct unixask *a = NULL;

	unixask_start(t.loop, t.path, "x", LONG_MS, on_done, &t, &a);
	unixask_cancel(&a);
	assert_null(a);
	unixask_cancel(&a);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	t.listener = make_listener(1);
	unixask_start(t.loop, t.path, "x", LONG_MS, on_done, &t, &a);
	(void)loop_drain(t.loop, 20); /* connected, and waiting */
	unixask_cancel(&a);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	assert_int_equal(t.n_done, 0);
	close(t.listener);
}

/* A server of another user is not told anything. */
static void test_foreign_server(_unused_ void **state)
{
	int ready[2], status = 0;
	char c = 0;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(chmod(t.dir, 0777), 0);
	pid = fork();
	if (pid == 0) {
		char buf[16];
		int fd;

		if (setresuid(45003, 45003, 45003) < 0)
			_exit(9);
		t.listener = make_listener(1);
		(void)!write(ready[1], "", 1);
		fd = accept(t.listener, NULL, NULL);
		_exit(read(fd, buf, sizeof buf) > 0 ? 1 : 0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(ask("secret", LONG_MS), -EPERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),    TEST(test_more_than_a_line), TEST(test_answer_without_reading),
		TEST(test_no_answer), TEST(test_long_answers),	   TEST(test_hanging_server),
		TEST(test_nobody),    TEST(test_long_path),	   TEST(test_full_backlog),
		TEST(test_cancel),    TEST(test_foreign_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
