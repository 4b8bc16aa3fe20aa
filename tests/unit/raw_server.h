/* SPDX-License-Identifier: Apache-2.0 */
/* A raw HTTP server for test_http.c that misbehaves on request: one thread per connection, and the path
 * says how to behave. Real servers are too polite for these tests. */
#pragma once

#include "common/mem.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/* For assertions only; the order is cmocka's wish. */
#include <setjmp.h>

#include <cmocka.h>

#define CONNECTIONS_MAX 64
#define REQUEST_MAX	70000

static struct {
	int fd;
	unsigned port;
	pthread_t acceptor;
	pthread_t threads[CONNECTIONS_MAX];
	int fds[CONNECTIONS_MAX];
	atomic_size_t n_threads; /* connections that were ever accepted */
	atomic_int n_requests;
	atomic_int n_dies;    /* requests for /dies */
	atomic_int n_serving; /* connections that are open */
	pthread_mutex_t lock;
	char last[REQUEST_MAX + 1]; /* under the lock */
} srv;

static bool say(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool says(int fd, const char *s)
{
	return say(fd, s, strlen(s));
}

/* Reads one request into buf; false at the end of the connection. */
static bool read_request(int fd, char *buf)
{
	size_t len = 0;
	size_t want = 0;

	buf[0] = '\0';
	while (want == 0 || len < want) {
		ssize_t n = recv(fd, buf + len, REQUEST_MAX - len, 0);
		const char *end = NULL;
		const char *cl = NULL;

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		cl = strcasestr(buf, "\r\nContent-Length: ");
		if (end)
			want = (size_t)(end - buf) + 4 + (cl && cl < end ? strtoul(cl + 18, NULL, 10) : 0);
	}
	return true;
}

static bool answer_odd(int fd, const char *path)
{
	char many[2000];

	memset(many, 'h', sizeof many);
	if (strcmp(path, "/hang") == 0)
		return recv(fd, many, 1, 0) > 0; /* until the client goes */
	if (strcmp(path, "/partial-header") == 0)
		(void)says(fd, "HTTP/1.1 200 OK\r\nContent-Le");
	if (strcmp(path, "/short") == 0)
		(void)says(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
	if (strcmp(path, "/short-chunk") == 0)
		(void)says(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nabc");
	if (strcmp(path, "/garbage") == 0)
		(void)says(fd, "SSH-2.0-nothing\r\n\r\n");
	if (strcmp(path, "/endless-headers") == 0) {
		(void)says(fd, "HTTP/1.1 200 OK\r\n");
		while (says(fd, "X-More: ") && say(fd, many, sizeof many) && says(fd, "\r\n"))
			;
	}
	if (strcmp(path, "/endless-body") == 0) {
		(void)says(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
		while (say(fd, many, sizeof many))
			;
	}
	if (strcmp(path, "/endless-100") == 0)
		while (says(fd, "HTTP/1.1 100 Continue\r\n\r\n"))
			;
	return false; /* close */
}

/* True: keep the connection. */
static bool answer(int fd, const char *path, const char *request, unsigned nth)
{
	_cleanup_free_ char *text = NULL;

	if (strncmp(request, "CONNECT ", 8) == 0)
		return says(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	if (strcmp(path, "/dies") == 0) {
		atomic_fetch_add(&srv.n_dies, 1);
		if (nth > 0)
			return false; /* as if the server gave up on an old connection while answering */
	}
	if (strcmp(path, "/chunked") == 0)
		return says(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
	if (strcmp(path, "/redirect") == 0)
		return says(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\n"
				"Content-Length: 0\r\n\r\n");
	if (strcmp(path, "/slow-down") == 0)
		return says(fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 17\r\n"
				"Date: Sat, 21 Nov 2026 08:00:00 GMT\r\nContent-Length: 2\r\n\r\nno");
	if (strcmp(path, "/echo") == 0)
		text = xasprintf(
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
			strlen(request), request);
	else if (strcmp(path, "/ok") == 0 || strcmp(path, "/dies") == 0)
		text = xstrdup(
			"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello");
	return text ? says(fd, text) : answer_odd(fd, path);
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	_cleanup_free_ char *buf = xmalloc(REQUEST_MAX + 1);

	for (unsigned nth = 0; read_request(fd, buf); nth++) {
		char path[64] = "";
		const char *where = NULL;

		atomic_fetch_add(&srv.n_requests, 1);
		(void)pthread_mutex_lock(&srv.lock);
		memcpy(srv.last, buf, strlen(buf) + 1);
		(void)pthread_mutex_unlock(&srv.lock);
		where = strstr(buf, "://"); /* absolute form, as to a proxy */
		where = where && where < strchr(buf, '\r') ? strchr(where + 3, '/') : strchr(buf, ' ') + 1;
		(void)sscanf(where, "%63s", path);
		if (!answer(fd, path, buf, nth))
			break;
	}
	(void)shutdown(fd, SHUT_RDWR);
	atomic_fetch_sub(&srv.n_serving, 1);
	return NULL;
}

static void *accept_all(_unused_ void *arg)
{
	for (;;) {
		int fd = accept(srv.fd, NULL, NULL);
		size_t i = atomic_load(&srv.n_threads);

		if (fd < 0 || i == CONNECTIONS_MAX)
			return NULL;
		srv.fds[i] = fd;
		/* Before there is an answer, because a test that has one may look. */
		atomic_fetch_add(&srv.n_serving, 1);
		atomic_fetch_add(&srv.n_threads, 1);
		if (pthread_create(&srv.threads[i], NULL, serve, &srv.fds[i]) != 0)
			abort();
	}
}

static int listen_local(unsigned *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void server_start(void)
{
	memset(&srv, 0, sizeof srv);
	(void)pthread_mutex_init(&srv.lock, NULL);
	srv.fd = listen_local(&srv.port);
	assert_int_equal(listen(srv.fd, 128), 0);
	assert_int_equal(pthread_create(&srv.acceptor, NULL, accept_all, NULL), 0);
}

/* The last request as it came; the caller frees. */
static _unused_ char *server_last(void)
{
	char *last;

	(void)pthread_mutex_lock(&srv.lock);
	last = xstrdup(srv.last);
	(void)pthread_mutex_unlock(&srv.lock);
	return last;
}

/* Until the client has closed all its connections. */
static _unused_ void server_wait_idle(void)
{
	for (int i = 0; i < 500 && atomic_load(&srv.n_serving) > 0; i++)
		(void)usleep(10000);
	assert_int_equal(atomic_load(&srv.n_serving), 0);
}

static void server_stop(void)
{
	(void)shutdown(srv.fd, SHUT_RDWR);
	(void)pthread_join(srv.acceptor, NULL);
	for (size_t i = 0; i < srv.n_threads; i++) {
		(void)shutdown(srv.fds[i], SHUT_RDWR);
		(void)pthread_join(srv.threads[i], NULL);
		(void)close(srv.fds[i]);
	}
	(void)close(srv.fd);
}
