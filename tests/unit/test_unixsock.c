/* SPDX-License-Identifier: Apache-2.0 */
/* The line server on a unix socket: its file, its bounds, and what happens when either side leaves. */
#include "daemon/io/unixsock.h"

#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static struct {
	char dir[64];
	char path[96];
	struct loop *loop;
	struct unixsock *sock;
	const char *refusal;
	struct unixsock_peer peer;
	struct unixsock_client *kept;
	int n_lines;
	int n_gone;
	size_t last_len;
} t;

static bool on_accept(const struct unixsock_peer *peer, const char **refusal, void *arg)
{
	assert_ptr_equal(arg, &t);
	t.peer = *peer;
	*refusal = t.refusal;
	return !t.refusal;
}

/* "keep" waits for the test, "bye" closes, "free" ends the server, "flood" does what it says. */
static void on_line(struct unixsock_client *c, const char *line, size_t len, _unused_ void *arg)
{
	t.n_lines++;
	t.last_len = len;
	if (strcmp(line, "keep") == 0) {
		t.kept = c;
		unixsock_hold(c, true);
	} else if (strcmp(line, "free") == 0) {
		unixsock_free(t.sock);
		t.sock = NULL;
	} else if (strcmp(line, "flood") == 0) {
		_cleanup_free_ char *mib = xmalloc(1 << 20);

		for (int i = 0; i < 20; i++)
			unixsock_send(c, mib, 1 << 20, false);
	} else {
		unixsock_send(c, line, MIN(len, (size_t)100), strcmp(line, "bye") == 0);
	}
}

static void on_gone(struct unixsock_client *c, _unused_ void *arg)
{
	t.n_gone++;
	unixsock_send(c, "too late", 8, false);
	unixsock_hold(c, false);
	if (t.kept == c)
		t.kept = NULL;
}

static const struct unixsock_ops ops = { .accept = on_accept, .line = on_line, .gone = on_gone };

static int start(struct err *err)
{
	return unixsock_new(t.loop, t.path, 0600, &ops, &t, &t.sock, err);
}

static int setup(_unused_ void **state)
{
	memset(&t, 0, sizeof t);
	(void)snprintf(t.dir, sizeof t.dir, "/tmp/test_unixsock.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.path, sizeof t.path, "%s/ctl", t.dir);
	assert_int_equal(loop_new(&t.loop, NULL), 0);
	assert_int_equal(start(NULL), 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	unixsock_free(t.sock);
	assert_int_equal(loop_drain(t.loop, 2000), 0);
	loop_free(t.loop);
	(void)unlink(t.path);
	assert_int_equal(rmdir(t.dir), 0);
	return 0;
}

static void settle(void)
{
	(void)loop_drain(t.loop, 3);
}

static void address(struct sockaddr_un *a)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	(void)snprintf(a->sun_path, sizeof a->sun_path, "%s", t.path);
}

static int dial(void)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address(&a);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until `want` came or the server closed ("\x04" stands for that). */
static void expect(int fd, const char *want)
{
	char buf[1000] = "";
	size_t len = 0;
	int64_t until = clock_mono_ms() + 3000;

	while (clock_mono_ms() < until && len < strlen(want)) {
		ssize_t n = recv(fd, buf + len, sizeof buf - 1 - len, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			settle();
			continue;
		}
		if (n <= 0)
			buf[len++] = 4;
		else
			len += (size_t)n;
		if (n <= 0)
			break;
	}
	buf[len] = '\0';
	assert_string_equal(buf, want);
}

static void test_lines_come_and_go(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();

	put(fd, "one\n");
	expect(fd, "one\n");
	put(fd, "tw");
	settle();
	put(fd, "o\nthree\n\nfo");
	expect(fd, "two\nthree\n\n");
	put(fd, "ur\nbye\nnever seen\n");
	expect(fd, "four\nbye\n\x04");
	settle();
	assert_int_equal(t.n_lines, 6);
	assert_int_equal(t.n_gone, 1);
	assert_int_equal(t.peer.uid, getuid());
	assert_int_equal(t.peer.pid, getpid());
}

static void test_refusal(_unused_ void **state)
{
	_cleanup_close_ int fd = -1;

	t.refusal = "not you";
	fd = dial();
	put(fd, "order\n");
	expect(fd, "not you\n\x04");
	assert_int_equal(t.n_lines, 0);
	assert_int_equal(t.n_gone, 0);
}

static void test_file(_unused_ void **state)
{
	struct err err = ERR_INIT;
	struct unixsock *other = NULL;
	struct stat st;

	assert_int_equal(lstat(t.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(unixsock_new(t.loop, t.path, 0600, &ops, &t, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, t.path));
	unixsock_free(t.sock);
	t.sock = NULL;
	assert_int_equal(lstat(t.path, &st), -1);
	assert_int_equal(loop_drain(t.loop, 1000), 0);
	unixsock_free(NULL);
}

static void test_mode_is_exact_whatever_the_umask(_unused_ void **state)
{
	static const mode_t umasks[] = { 0, 022, 077, 0777 };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(umasks); i++) {
		mode_t before = umask(umasks[i]);

		unixsock_free(t.sock);
		t.sock = NULL;
		assert_int_equal(unixsock_new(t.loop, t.path, 0660, &ops, &t, &t.sock, NULL), 0);
		(void)umask(before);
		assert_int_equal(lstat(t.path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
	}
}

/* A process that was killed leaves its socket behind. */
static void test_stale_socket_is_replaced(_unused_ void **state)
{
	struct sockaddr_un a;
	_cleanup_close_ int fd = -1;
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unixsock_free(t.sock);
	t.sock = NULL;
	address(&a);
	assert_int_equal(bind(dead, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(close(dead), 0);
	assert_int_equal(start(NULL), 0);
	fd = dial();
	put(fd, "hello\n");
	expect(fd, "hello\n");
}

static void test_other_files_are_left_alone(_unused_ void **state)
{
	struct err err = ERR_INIT;
	struct stat st;
	int fd = -1;

	/* Replaced while we run: not ours any more. */
	assert_int_equal(unlink(t.path), 0);
	fd = open(t.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	unixsock_free(t.sock);
	t.sock = NULL;
	assert_int_equal(lstat(t.path, &st), 0);
	assert_int_equal(start(&err), -EEXIST);
	assert_non_null(strstr(err.text, "not a socket"));
	assert_int_equal(unlink(t.path), 0);
	assert_int_equal(symlink("/dev/null", t.path), 0);
	assert_int_equal(start(&err), -EEXIST);
}

static void test_long_path(_unused_ void **state)
{
	struct err err = ERR_INIT;
	struct unixsock *s = NULL;
	char path[200];

	memset(path, 'p', sizeof path);
	path[108] = '\0';
	assert_int_equal(unixsock_new(t.loop, path, 0600, &ops, &t, &s, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "107"));
	assert_int_equal(unixsock_new(t.loop, "/nonexistent/dir/ctl", 0600, &ops, &t, &s, &err), -ENOENT);
	assert_null(s);
}

static void test_line_cap(_unused_ void **state)
{
	_cleanup_free_ char *big = xmalloc(65538);
	_cleanup_close_ int fd = dial();
	_cleanup_close_ int bad = dial();

	memset(big, 'x', 65536);
	for (size_t at = 0; at < 65536; at += 8192) {
		assert_int_equal(send(fd, big + at, 8192, MSG_NOSIGNAL), 8192);
		assert_int_equal(send(bad, big + at, 8192, MSG_NOSIGNAL), 8192);
		settle();
	}
	put(fd, "\n");
	big[100] = '\n';
	big[101] = '\0';
	expect(fd, big);
	assert_int_equal(t.last_len, 65536);
	put(bad, "x\n");
	expect(bad, "\x04");
	assert_int_equal(t.n_lines, 1);
}

static void test_reader_that_does_not_read(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();
	int64_t until = clock_mono_ms() + 3000;

	put(fd, "flood\n");
	while (t.n_gone == 0 && clock_mono_ms() < until)
		settle();
	assert_int_equal(t.n_gone, 1);
}

static void test_idle_unless_held(_unused_ void **state)
{
	_cleanup_close_ int idle = -1;
	_cleanup_close_ int held = -1;
	int64_t before = clock_mono_ms();

	unixsock_set_idle_ms(t.sock, 50);
	held = dial();
	idle = dial();
	put(held, "keep\n");
	while (t.n_gone == 0 && clock_mono_ms() - before < 3000) {
		(void)send(idle, "x", 1, MSG_NOSIGNAL); /* half a line is no sign of life */
		settle();
	}
	assert_in_range(clock_mono_ms() - before, 40, 1000);
	assert_non_null(t.kept);
	unixsock_send(t.kept, "done", 4, false);
	unixsock_hold(t.kept, false);
	expect(held, "done\n\x04"); /* idle from now on */
	assert_int_equal(t.n_gone, 2);
}

static void test_peer_leaves(_unused_ void **state)
{
	_cleanup_close_ int half = -1;
	int fd = dial();

	put(fd, "keep\n");
	settle();
	assert_non_null(t.kept);
	assert_int_equal(close(fd), 0);
	settle();
	assert_int_equal(t.n_gone, 1);
	assert_null(t.kept);
	half = dial(); /* `echo status | socat - UNIX:...` */
	put(half, "status\n");
	assert_int_equal(shutdown(half, SHUT_WR), 0);
	expect(half, "status\n\x04");
}

static void test_free_inside_a_callback(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();
	_cleanup_close_ int other = dial();

	put(other, "keep\n");
	settle();
	put(fd, "free\nmore\n");
	expect(fd, "\x04");
	expect(other, "\x04");
	assert_int_equal(t.n_gone, 2);
	assert_int_equal(t.n_lines, 2);
	assert_int_equal(loop_drain(t.loop, 1000), 0);
}

/* Clients that hang do not keep others out: the oldest without a request goes. */
static void test_client_limit(_unused_ void **state)
{
	int fds[128];
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int again = -1;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial();
		settle();
	}
	put(fds[0], "keep\n");
	settle();
	fd = dial();
	put(fd, "x\n");
	expect(fd, "x\n");
	expect(fds[1], "\x04");
	again = dial();
	put(again, "y\n");
	expect(again, "y\n");
	expect(fds[2], "\x04");
	for (size_t i = 3; i < ARRAY_SIZE(fds); i++) {
		put(fds[i], "x\n");
		expect(fds[i], "x\n");
	}
	assert_non_null(t.kept); /* its request is open */
	unixsock_send(t.kept, "z", 1, false);
	expect(fds[0], "z\n");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(close(fds[i]), 0);
}

/* ... but when all of them wait for an answer, there is no room. */
static void test_client_limit_of_requests(_unused_ void **state)
{
	int fds[128];
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int again = -1;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial();
		put(fds[i], "keep\n");
		settle();
	}
	fd = dial();
	expect(fd, "\x04");
	assert_int_equal(t.n_gone, 0);
	assert_int_equal(close(fds[7]), 0);
	settle();
	again = dial();
	put(again, "y\n");
	expect(again, "y\n");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (i != 7)
			assert_int_equal(close(fds[i]), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_lines_come_and_go),
		T(test_refusal),
		T(test_file),
		T(test_mode_is_exact_whatever_the_umask),
		T(test_stale_socket_is_replaced),
		T(test_other_files_are_left_alone),
		T(test_long_path),
		T(test_line_cap),
		T(test_reader_that_does_not_read),
		T(test_idle_unless_held),
		T(test_peer_leaves),
		T(test_free_inside_a_callback),
		T(test_client_limit),
		T(test_client_limit_of_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
