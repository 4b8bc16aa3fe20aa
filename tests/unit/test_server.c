/* SPDX-License-Identifier: Apache-2.0 */
/* The GET/HEAD server, spoken to over raw sockets: what it answers, what it refuses, whom it drops. */
#include "daemon/io/server.h"

#include "common/clock.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct server *server;
static struct server_request last;
static char last_host[300];
static char last_path[300];
static char last_accept[300];
static int n_calls;
static int n_released;
static char *shared_body;
#define SHARED_LEN (4u << 20)

static void release(void *arg)
{
	assert_ptr_equal(arg, &n_released);
	n_released++;
}

static void answer(const struct server_request *rq, struct server_reply *reply, void *arg)
{
	assert_ptr_equal(arg, &n_calls);
	n_calls++;
	last = *rq;
	(void)snprintf(last_host, sizeof last_host, "%s", rq->host);
	(void)snprintf(last_path, sizeof last_path, "%s", rq->path);
	(void)snprintf(last_accept, sizeof last_accept, "%s", rq->accept);
	if (strcmp(rq->path, "/shared") == 0)
		*reply = (struct server_reply){ .status = 200,
						.body = shared_body,
						.body_len = SHARED_LEN,
						.release = release,
						.release_arg = &n_released };
	if (strcmp(rq->path, "/fileauth.txt") == 0)
		*reply = (struct server_reply){ .status = 200, .body = "_random_" };
	if (strcmp(rq->path, "/page") == 0)
		*reply = (struct server_reply){ .status = 200, .content_type = "text/html", .body = "<p>" };
}

static int setup(_unused_ void **state)
{
	n_calls = 0;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(server_new(loop, "127.0.0.1:0", answer, &n_calls, &server, NULL), 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	server_free(server);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)server_port(server)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* What the server says until it closes; at most max_ms. The caller frees. */
static char *listen_to(int fd, int64_t max_ms)
{
	char buf[8192];
	size_t len = 0;
	int64_t until = clock_mono_ms() + max_ms;

	while (clock_mono_ms() < until) {
		ssize_t n = recv(fd, buf + len, sizeof buf - 1 - len, MSG_DONTWAIT);

		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
		else
			(void)loop_drain(loop, 1);
	}
	buf[len] = '\0';
	return xstrdup(buf);
}

static char *talk(const char *request)
{
	_cleanup_close_ int fd = dial();

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	return listen_to(fd, 3000);
}

static void assert_status(const char *answer_text, int status)
{
	char want[32];

	(void)snprintf(want, sizeof want, "HTTP/1.1 %d ", status);
	if (strncmp(answer_text, want, strlen(want)) != 0)
		fail_msg("wanted %d, got: %s", status, answer_text);
}

static void expect_status(const char *request, int status)
{
	_cleanup_free_ char *a = talk(request);

	assert_status(a, status);
}

static void test_get(_unused_ void **state)
{
	_cleanup_free_ char *a = talk("GET /fileauth.txt?x=1 HTTP/1.1\r\nHost: WWW.Example.JP:80\r\n\r\n");

	assert_status(a, 200);
	assert_non_null(strstr(a, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(a, "\r\nContent-Length: 8\r\n"));
	assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n_random_");
	assert_string_equal(last_host, "www.example.jp");
	assert_string_equal(last_path, "/fileauth.txt");
	assert_int_equal(n_calls, 1);
}

static void test_head_and_type(_unused_ void **state)
{
	_cleanup_free_ char *a = talk("HEAD /page HTTP/1.1\r\nHost: [::1]:8402\r\n\r\n");

	assert_status(a, 200);
	assert_non_null(strstr(a, "\r\nContent-Type: text/html\r\n"));
	assert_non_null(strstr(a, "\r\nContent-Length: 3\r\n"));
	assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n");
	assert_string_equal(last_host, "[::1]");
}

static void test_default_is_not_found(_unused_ void **state)
{
	expect_status("GET /other HTTP/1.1\r\nHost: a\r\n\r\n", 404);
	expect_status("GET /%66ileauth.txt HTTP/1.1\r\nHost: a\r\n\r\n", 404);
	assert_string_equal(last_path, "/%66ileauth.txt");
	expect_status("GET /fileauth.txt%00x HTTP/1.1\r\nHost: a\r\n\r\n", 404);
	expect_status("GET /../fileauth.txt HTTP/1.1\r\nHost: a\r\n\r\n", 404);
}

static void test_odd_hosts(_unused_ void **state)
{
	_cleanup_free_ char *none = talk("GET /fileauth.txt HTTP/1.0\r\n\r\n");
	_cleanup_free_ char *v6 = NULL;
	char rq[700];

	assert_non_null(strstr(none, "_random_"));
	assert_string_equal(last_host, "");
	v6 = talk("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n");
	assert_string_equal(last_host, "");
	(void)snprintf(rq, sizeof rq, "GET / HTTP/1.1\r\nHost: %0500d\r\n\r\n", 1);
	expect_status(rq, 404);
	assert_string_equal(last_host, "");
}

static void test_refusals(_unused_ void **state)
{
	_cleanup_free_ char *huge = xmalloc(40001);
	_cleanup_free_ char *rq = NULL;
	_cleanup_free_ char *a = NULL;

	expect_status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405);
	expect_status("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 405);
	expect_status("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 413);
	expect_status("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413);
	memset(huge, 'h', 40000);
	rq = xasprintf("GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n", huge);
	a = talk(rq);
	assert_true(a[0] == '\0' || strstr(a, " 431 ") || strstr(a, " 413 "));
	assert_int_equal(n_calls, 0);
	expect_status("GET /fileauth.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200);
}

/* One byte at a time does not buy more time. */
static void test_slow_client_is_dropped(_unused_ void **state)
{
	_cleanup_close_ int slow = -1;
	_cleanup_close_ int idle = -1;
	_cleanup_free_ char *a = NULL;
	int64_t before = clock_mono_ms();
	char c = 0;

	server_set_client_ms(server, 80);
	slow = dial();
	idle = dial();
	while (clock_mono_ms() - before < 3000 && recv(slow, &c, 1, MSG_DONTWAIT) < 0) {
		(void)send(slow, "G", 1, MSG_NOSIGNAL);
		(void)loop_drain(loop, 5);
	}
	assert_in_range(clock_mono_ms() - before, 60, 1500);
	a = listen_to(idle, 1000);
	assert_string_equal(a, "");
	assert_in_range(clock_mono_ms() - before, 60, 2500);
	expect_status("GET /fileauth.txt HTTP/1.1\r\nHost: a\r\n\r\n", 200);
}

/* 256 silent clients: the next one waits until one of them leaves, and is then served. */
/* Clients that hang do not keep the CA out: the oldest goes. */
static void test_client_limit(_unused_ void **state)
{
	static int fds[300];
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *first = NULL;
	const char *rq = "GET /fileauth.txt HTTP/1.1\r\nHost: a\r\n\r\n";

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial();
		assert_int_equal(send(fds[i], rq, 9, MSG_NOSIGNAL), 9);
		(void)loop_drain(loop, 1);
	}
	fd = dial();
	assert_int_equal(send(fd, rq, strlen(rq), MSG_NOSIGNAL), (ssize_t)strlen(rq));
	first = listen_to(fd, 3000); /* a slow client has 10 s */
	assert_status(first, 200);
	assert_int_equal(recv(fds[0], (char[1]){ 0 }, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[ARRAY_SIZE(fds) - 1], (char[1]){ 0 }, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(close(fds[i]), 0);
}

static void test_free_with_clients(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();

	(void)loop_drain(loop, 5);
	server_free(server);
	server = NULL;
	assert_int_equal(loop_drain(loop, 1000), 0);
	server_free(NULL);
	assert_true(fd >= 0);
}

static void test_idle_does_not_wake(_unused_ void **state)
{
	uint64_t before = 0;

	expect_status("GET /fileauth.txt HTTP/1.1\r\nHost: a\r\n\r\n", 200);
	(void)loop_drain(loop, 10);
	before = loop_wakeups(loop);
	(void)loop_drain(loop, 60);
	assert_true(loop_wakeups(loop) - before <= 1);
}

static void test_listen_addresses(_unused_ void **state)
{
	static const char *const bad[] = {
		"",	 "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "localhost:80",
		"[::1]", "[::1:80",   "::1:80",	    "[127.0.0.1]:80"
	};
	struct server *other = NULL;
	struct err err = ERR_INIT;
	char taken[32];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(server_new(loop, bad[i], answer, NULL, &other, &err), -EINVAL);
		assert_non_null(strstr(err.text, "listen address"));
	}
	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u", server_port(server));
	assert_int_equal(server_new(loop, taken, answer, NULL, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, taken));
	assert_null(other);
}

static void test_accept_header(_unused_ void **state)
{
	free(talk("GET /page HTTP/1.1\r\nHost: x\r\nAccept: text/plain;q=0.5\r\n\r\n"));
	assert_string_equal(last_accept, "text/plain;q=0.5");
	free(talk("GET /page HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_string_equal(last_accept, "");
}

/* A large body that is not copied: given back once for each client, also for one that never reads it. */
static void test_shared_body(_unused_ void **state)
{
	static const char RQ[] = "GET /shared HTTP/1.1\r\nHost: x\r\n\r\n";
	int slow = dial();
	int fd = dial();
	size_t len = 0;
	ssize_t n = 0;
	char buf[65536];

	n_released = 0;
	shared_body = xmalloc(SHARED_LEN);
	memset(shared_body, 'x', SHARED_LEN);
	assert_int_equal(send(slow, RQ, sizeof RQ - 1, MSG_NOSIGNAL), (ssize_t)sizeof RQ - 1);
	assert_int_equal(send(fd, RQ, sizeof RQ - 1, MSG_NOSIGNAL), (ssize_t)sizeof RQ - 1);
	for (int64_t until = clock_mono_ms() + 5000; clock_mono_ms() < until;) {
		n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0)
			break;
		else
			(void)loop_drain(loop, 1);
	}
	assert_true(len > SHARED_LEN && len < SHARED_LEN + 1000);
	for (int64_t until = clock_mono_ms() + 5000; n_released == 0 && clock_mono_ms() < until;)
		(void)loop_drain(loop, 1);
	assert_int_equal(n_released, 1);
	close(fd);
	server_free(server);
	server = NULL;
	assert_int_equal(n_released, 2);
	close(slow);
	free(shared_body);
}

static void test_unix_socket(_unused_ void **state)
{
	char dir[] = "/tmp/dvcert-server-XXXXXX";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct server *other = NULL;
	struct err err = ERR_INIT;
	struct stat st;
	char *text = NULL;
	int fd = -1;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s/m.sock", dir);
	_cleanup_free_ char *listen_on = xasprintf("unix:%s", a.sun_path);
	const struct server_options o = { .listen = listen_on, .clients_max = 4 };

	server_free(server);
	server = NULL;
	assert_int_equal(server_open(loop, &o, answer, &n_calls, &server, NULL), 0);
	assert_int_equal(stat(a.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(server_open(loop, &o, answer, &n_calls, &other, &err), -EADDRINUSE);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	text = xstrdup("GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	free(text);
	text = listen_to(fd, 3000);
	assert_status(text, 200);
	free(text);
	close(fd);
	server_free(server);
	server = NULL;
	assert_int_equal(stat(a.sun_path, &st), -1);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_get),
		T(test_head_and_type),
		T(test_default_is_not_found),
		T(test_odd_hosts),
		T(test_refusals),
		T(test_slow_client_is_dropped),
		T(test_client_limit),
		T(test_free_with_clients),
		T(test_idle_does_not_wake),
		T(test_listen_addresses),
		T(test_accept_header),
		T(test_shared_body),
		T(test_unix_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
