/* SPDX-License-Identifier: Apache-2.0 */
/* Name servers for tests: one thread, raw sockets (UDP and TCP) on several addresses of 127.0.0.0/8 and one port. What they
 * say is the test's own function, which may send any bytes. */
#pragma once

#include "common/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#define DNSD_MAX 8

enum { T_A = 1, T_NS = 2, T_CNAME = 5, T_SOA = 6, T_TXT = 16, T_AAAA = 28, T_CAA = 257 };

struct dnsd_query {
	const char *address; /* that was asked */
	char name[300];	     /* lower case, no final dot */
	unsigned type;
	unsigned n_additional;
	bool tcp;
	bool recurse;
	const unsigned char *wire;
	size_t question_len; /* header and question */
};

struct dnsd_reply {
	unsigned char p[65536];
	size_t len; /* 0: silence */
	/* A datagram that is sent before (UDP only). */
	unsigned char first[600];
	size_t first_len;
};

typedef void dnsd_fn(const struct dnsd_query *q, struct dnsd_reply *r);

static struct {
	const char *addresses[DNSD_MAX];
	size_t n;
	unsigned port;
	struct pollfd fds[2 * DNSD_MAX + 1]; /* UDP and TCP in turn; the last one ends the thread */
	int stop;
	dnsd_fn *fn;
	pthread_t thread;
	atomic_int n_udp;
	atomic_int n_tcp;
	struct dnsd_reply reply;
} dnsd;

/* --- building a reply ----------------------------------------------------------------------------- */

static void _unused_ reply_bytes(struct dnsd_reply *r, const void *p, size_t len)
{
	assert(r->len + len <= sizeof r->p);
	memcpy(r->p + r->len, p, len);
	r->len += len;
}

static void _unused_ reply_u16(struct dnsd_reply *r, unsigned v)
{
	unsigned char b[2] = { (unsigned char)(v >> 8), (unsigned char)v };

	reply_bytes(r, b, 2);
}

/* "a.b" in bytes. */
static size_t _unused_ name_bytes(const char *name, unsigned char *out)
{
	size_t n = 0;

	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		out[n++] = (unsigned char)len;
		memcpy(out + n, name, len);
		n += len;
		name += len + (name[len] == '.');
	}
	out[n++] = 0;
	return n;
}

static void _unused_ reply_start(struct dnsd_reply *r, const struct dnsd_query *q, unsigned rcode, bool aa)
{
	r->len = 0;
	reply_bytes(r, q->wire, q->question_len);
	r->p[2] = (unsigned char)(0x80 | (aa ? 4 : 0) | (q->recurse ? 1 : 0));
	r->p[3] = (unsigned char)rcode;
	memset(r->p + 6, 0, 6);
}

/* A record; owner NULL: a pointer to the question. */
static void _unused_ reply_rr(struct dnsd_reply *r, const char *owner, unsigned type, const void *data,
			      size_t len)
{
	unsigned char name[300] = { 0xc0, 12 };
	unsigned n = ((unsigned)r->p[6] << 8 | r->p[7]) + 1;

	reply_bytes(r, name, owner ? name_bytes(owner, name) : 2);
	reply_u16(r, type);
	reply_u16(r, 1);
	reply_bytes(r, "\0\0\0\x3c", 4);
	reply_u16(r, (unsigned)len);
	reply_bytes(r, data, len);
	r->p[6] = (unsigned char)(n >> 8);
	r->p[7] = (unsigned char)n;
}

static void _unused_ reply_txt(struct dnsd_reply *r, const char *owner, const char *text)
{
	unsigned char data[256];
	size_t len = strlen(text);

	assert(len < 256);
	data[0] = (unsigned char)len;
	memcpy(data + 1, text, len);
	reply_rr(r, owner, T_TXT, data, len + 1);
}

static void _unused_ reply_name(struct dnsd_reply *r, const char *owner, unsigned type, const char *name)
{
	unsigned char data[300];

	reply_rr(r, owner, type, data, name_bytes(name, data));
}

/* --- the thread ------------------------------------------------------------------------------------- */

static bool dnsd_read(const char *address, bool tcp, const unsigned char *p, size_t len, struct dnsd_query *q)
{
	size_t at = 12;
	size_t n = 0;

	*q = (struct dnsd_query){ .address = address, .tcp = tcp, .wire = p };
	while (at < len && p[at] != 0 && p[at] < 64 && at + p[at] < len && n + p[at] + 2 < sizeof q->name) {
		if (n > 0)
			q->name[n++] = '.';
		for (size_t i = 1; i <= p[at]; i++)
			q->name[n++] =
				(char)(p[at + i] >= 'A' && p[at + i] <= 'Z' ? p[at + i] + 32 : p[at + i]);
		at += 1 + (size_t)p[at];
	}
	if (len < 12 || at + 5 > len)
		return false;
	q->type = (unsigned)p[at + 1] << 8 | p[at + 2];
	q->n_additional = p[11];
	q->recurse = p[2] & 1;
	q->question_len = at + 5;
	return true;
}

static void dnsd_udp(size_t i)
{
	unsigned char buf[600];
	struct sockaddr_in from;
	socklen_t from_len = sizeof from;
	struct dnsd_query q;
	int fd = dnsd.fds[2 * i].fd;
	ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len);

	if (n < 0 || !dnsd_read(dnsd.addresses[i], false, buf, (size_t)n, &q))
		return;
	atomic_fetch_add(&dnsd.n_udp, 1);
	dnsd.reply.len = dnsd.reply.first_len = 0;
	dnsd.fn(&q, &dnsd.reply);
	if (dnsd.reply.first_len > 0)
		(void)sendto(fd, dnsd.reply.first, dnsd.reply.first_len, 0, (struct sockaddr *)&from,
			     from_len);
	if (dnsd.reply.len > 1232) {
		dnsd.reply.p[2] |= 2; /* truncated */
		dnsd.reply.len = q.question_len;
		memset(dnsd.reply.p + 6, 0, 6);
	}
	if (dnsd.reply.len > 0)
		(void)sendto(fd, dnsd.reply.p, dnsd.reply.len, 0, (struct sockaddr *)&from, from_len);
}

/* One question per connection. */
static void dnsd_tcp(size_t i)
{
	const struct timeval tv = { .tv_sec = 2 };
	unsigned char buf[600];
	unsigned char head[2];
	struct dnsd_query q;
	_cleanup_close_ int fd = accept(dnsd.fds[2 * i + 1].fd, NULL, NULL);
	ssize_t n = 0;

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	n = recv(fd, buf, 2, MSG_WAITALL);
	if (n == 2)
		n = recv(fd, buf + 2, MIN((size_t)buf[0] << 8 | buf[1], sizeof buf - 2), MSG_WAITALL);
	if (n <= 0 || !dnsd_read(dnsd.addresses[i], true, buf + 2, (size_t)n, &q))
		return;
	atomic_fetch_add(&dnsd.n_tcp, 1);
	dnsd.reply.len = dnsd.reply.first_len = 0;
	dnsd.fn(&q, &dnsd.reply);
	if (dnsd.reply.len == 0)
		return; /* closes */
	head[0] = (unsigned char)(dnsd.reply.len >> 8);
	head[1] = (unsigned char)dnsd.reply.len;
	(void)send(fd, head, 2, MSG_NOSIGNAL);
	(void)send(fd, dnsd.reply.p, dnsd.reply.len, MSG_NOSIGNAL);
	(void)recv(fd, buf, 1, 0); /* until the client closes */
}

static void *dnsd_run(_unused_ void *arg)
{
	for (;;) {
		(void)poll(dnsd.fds, 2 * dnsd.n + 1, -1);
		if (dnsd.fds[2 * dnsd.n].revents)
			return NULL;
		for (size_t i = 0; i < dnsd.n; i++) {
			if (dnsd.fds[2 * i].revents)
				dnsd_udp(i);
			if (dnsd.fds[2 * i + 1].revents)
				dnsd_tcp(i);
		}
	}
}

static int dnsd_socket(const char *address, int type, unsigned port)
{
	const int one = 1;
	const int room = 1 << 20; /* for many questions at once */
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	_cleanup_close_ int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, address, &a.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return -1;
	if (type == SOCK_STREAM && listen(fd, 128) < 0)
		return -1;
	return TAKE_FD(fd);
}

static void dnsd_close(void)
{
	for (size_t i = 0; i < 2 * dnsd.n; i++)
		if (dnsd.fds[i].fd >= 0)
			close(dnsd.fds[i].fd);
}

/* All of them on one port; false: another program has it on one of the addresses. */
static bool dnsd_bind(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	bool ok = true;

	for (size_t i = 0; i < dnsd.n; i++) {
		dnsd.fds[2 * i + 1] = (struct pollfd){ .fd = dnsd_socket(dnsd.addresses[i], SOCK_STREAM,
									 i == 0 ? 0 : dnsd.port),
						       .events = POLLIN };
		if (i == 0 && getsockname(dnsd.fds[1].fd, (struct sockaddr *)&a, &len) == 0)
			dnsd.port = ntohs(a.sin_port);
		dnsd.fds[2 * i] =
			(struct pollfd){ .fd = dnsd_socket(dnsd.addresses[i], SOCK_DGRAM, dnsd.port),
					 .events = POLLIN };
		ok = ok && dnsd.fds[2 * i].fd >= 0 && dnsd.fds[2 * i + 1].fd >= 0;
	}
	if (!ok)
		dnsd_close();
	return ok;
}

static void dnsd_start(const char *const *addresses, size_t n, dnsd_fn *fn)
{
	int ends[2] = { -1, -1 };
	bool ok = pipe(ends) == 0;
	bool bound = false;

	dnsd.n = n;
	dnsd.fn = fn;
	for (size_t i = 0; i < n; i++)
		dnsd.addresses[i] = addresses[i];
	for (unsigned tries = 0; tries < 20 && !bound; tries++)
		bound = dnsd_bind();
	dnsd.fds[2 * n] = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	dnsd.stop = ends[1];
	if (!ok || !bound || pthread_create(&dnsd.thread, NULL, dnsd_run, NULL) != 0)
		abort();
}

static void dnsd_stop(void)
{
	close(dnsd.stop);
	(void)pthread_join(dnsd.thread, NULL);
	close(dnsd.fds[2 * dnsd.n].fd);
	dnsd_close();
}
