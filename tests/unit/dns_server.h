/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS server of sockets only, for tests: UDP and TCP on one port of 127.0.0.1, one thread, and a function of the test that
 * decides what to send. */
#pragma once

#include "common/mem.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/* For assertions only; the order is cmocka's wish. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define QUERY_MAX 65535

/* Whom to answer. */
struct peer {
	bool tcp;
	int fd;
	struct sockaddr_in from; /* UDP */
};

static struct {
	int udp, tcp;
	int stop[2];
	unsigned port;
	pthread_t thread;
	/* on the thread; a test may give another one while it runs */
	void (*_Atomic answer)(const struct peer *p, const unsigned char *q, size_t len);
	atomic_int n_udp, n_tcp;
} dns;

static _unused_ void peer_send_raw(const struct peer *p, const void *data, size_t len)
{
	if (p->tcp)
		(void)send(p->fd, data, len, MSG_NOSIGNAL);
	else
		(void)sendto(p->fd, data, len, 0, (const struct sockaddr *)&p->from, sizeof p->from);
}

/* With the length in front on TCP. */
static _unused_ void peer_send(const struct peer *p, const void *data, size_t len)
{
	const unsigned char prefix[2] = { (unsigned char)(len >> 8), (unsigned char)len };

	if (p->tcp)
		peer_send_raw(p, prefix, sizeof prefix);
	peer_send_raw(p, data, len);
}

static void serve_udp(unsigned char *buf)
{
	struct peer p = { .fd = dns.udp };
	socklen_t from_len = sizeof p.from;
	ssize_t n = recvfrom(dns.udp, buf, QUERY_MAX, MSG_DONTWAIT, (struct sockaddr *)&p.from, &from_len);

	if (n < 0)
		return;
	atomic_fetch_add(&dns.n_udp, 1);
	dns.answer(&p, buf, (size_t)n);
}

static void serve_tcp(unsigned char *buf)
{
	const struct timeval limit = { .tv_sec = 2 };
	struct peer p = { .tcp = true, .fd = accept(dns.tcp, NULL, NULL) };
	unsigned char prefix[2];
	size_t len = 0;

	if (p.fd < 0)
		return;
	(void)setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	atomic_fetch_add(&dns.n_tcp, 1);
	if (recv(p.fd, prefix, 2, MSG_WAITALL) == 2) {
		len = (size_t)prefix[0] << 8 | prefix[1];
		if (len > 0 && recv(p.fd, buf, len, MSG_WAITALL) == (ssize_t)len)
			dns.answer(&p, buf, len);
	}
	close(p.fd);
}

static void *serve(_unused_ void *arg)
{
	_cleanup_free_ unsigned char *buf = xmalloc(QUERY_MAX);

	for (;;) {
		struct pollfd fds[] = { { .fd = dns.stop[0], .events = POLLIN },
					{ .fd = dns.udp, .events = POLLIN },
					{ .fd = dns.tcp, .events = POLLIN } };

		if (poll(fds, 3, -1) < 0 || fds[0].revents)
			return NULL;
		if (fds[1].revents)
			serve_udp(buf);
		if (fds[2].revents)
			serve_tcp(buf);
	}
}

/* Both kinds on one port: whichever TCP got, tried until UDP is free there too. */
static bool open_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	dns.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	dns.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(dns.tcp, (struct sockaddr *)&a, sizeof a) == 0 && listen(dns.tcp, 8) == 0 &&
	    getsockname(dns.tcp, (struct sockaddr *)&a, &len) == 0 &&
	    bind(dns.udp, (struct sockaddr *)&a, sizeof a) == 0) {
		dns.port = ntohs(a.sin_port);
		return true;
	}
	close(dns.tcp);
	close(dns.udp);
	return false;
}

static _unused_ void dns_server_start(void)
{
	unsigned tries = 0;

	while (!open_port())
		assert_true(++tries < 50);
	assert_int_equal(pipe(dns.stop), 0);
	atomic_store(&dns.n_udp, 0);
	atomic_store(&dns.n_tcp, 0);
	assert_int_equal(pthread_create(&dns.thread, NULL, serve, NULL), 0);
}

static _unused_ void dns_server_stop(void)
{
	assert_int_equal(write(dns.stop[1], "x", 1), 1);
	assert_int_equal(pthread_join(dns.thread, NULL), 0);
	close(dns.stop[0]);
	close(dns.stop[1]);
	close(dns.udp);
	close(dns.tcp);
}
