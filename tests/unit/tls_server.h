/* SPDX-License-Identifier: Apache-2.0 */
/* TLS servers for tests, each with a thread of its own and one connection at a time: a proper one (OpenSSL) with one or two
 * certificates that may change after some handshakes, and ones that misbehave on request. */
#pragma once

#include "tests/unit/testpki.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Needs those above. */
#include <cmocka.h>

/* A certificate with its key and the two above it. */
struct site {
	EVP_PKEY *key, *ca_key;
	X509 *root, *inter, *leaf;
	char *leaf_pem, *inter_pem, *fullchain;
};

static inline _unused_ struct site *site_new(EVP_PKEY *key, const char *cn, int64_t days)
{
	struct site *s = xmalloc(sizeof *s);
	int64_t now = (int64_t)time(NULL);
	EVP_PKEY *root_key = testpki_ec();

	s->key = key;
	s->ca_key = testpki_ec();
	s->root = testpki_issue(&(struct testpki_spec){ .cn = "Test Root",
							.key = root_key,
							.bc = "critical,CA:TRUE",
							.from = now - 20 * TESTPKI_DAY,
							.to = now + 900 * TESTPKI_DAY });
	s->inter = testpki_issue(&(struct testpki_spec){ .cn = "Test Intermediate",
							 .key = s->ca_key,
							 .issuer = s->root,
							 .issuer_key = root_key,
							 .bc = "critical,CA:TRUE",
							 .from = now - 20 * TESTPKI_DAY,
							 .to = now + 900 * TESTPKI_DAY });
	s->leaf = testpki_issue(&(struct testpki_spec){ .cn = cn,
							.key = key,
							.issuer = s->inter,
							.issuer_key = s->ca_key,
							.sans = "DNS:www.example.jp",
							.from = now - 10 * TESTPKI_DAY,
							.to = now + days * TESTPKI_DAY });
	s->leaf_pem = testpki_pem(s->leaf);
	s->inter_pem = testpki_pem(s->inter);
	s->fullchain = xasprintf("%s%s", s->leaf_pem, s->inter_pem);
	EVP_PKEY_free(root_key);
	return s;
}

static inline _unused_ void site_free(struct site *s)
{
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->ca_key);
	X509_free(s->root);
	X509_free(s->inter);
	X509_free(s->leaf);
	free(s->leaf_pem);
	free(s->inter_pem);
	free(s->fullchain);
	free(s);
}

enum tlsd_mode {
	TLSD_PROPER,
	TLSD_MUTE,	/* accepts and says nothing */
	TLSD_CLOSE,	/* after the ClientHello, */
	TLSD_RESET,	/* and rudely */
	TLSD_SAY,	/* says `say`, then waits for the client to go */
	TLSD_SAY_CLOSE, /* the same, then closes */
	TLSD_SLOW,	/* a byte of `say` now and then */
	TLSD_FLOOD,	/* `say` again and again */
	TLSD_DEAF,	/* reads no more and keeps the connection open until tlsd_stop */
};

struct tlsd {
	int fd;
	sa_family_t family;
	uint16_t port;
	pthread_t thread;
	atomic_int n_accepted, n_done,
		n_clean; /* handshakes that came to their end; that ended with a close_notify */
	atomic_int conn; /* the present connection; -1 */
	atomic_bool stopping;
	enum tlsd_mode mode;
	unsigned host; /* 127.0.0.HOST; 0: 1 */
	const char *say;
	size_t say_len;
	SSL_CTX *ctx, *later; /* later: from handshake number switch_at on */
	int switch_at;
	char sni[256];
};

static inline _unused_ SSL_CTX *tlsd_context(int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert(ctx != NULL);
	SSL_CTX_set_security_level(ctx, 0);
	if (version != 0) {
		assert(SSL_CTX_set_min_proto_version(ctx, version) == 1);
		assert(SSL_CTX_set_max_proto_version(ctx, version) == 1);
	}
	return ctx;
}

enum tlsd_chain { TLSD_LEAF, TLSD_CHAIN, TLSD_CHAIN_AND_ROOT, TLSD_BACKWARDS };

/* Another certificate for ctx; with more than one kind of key the server has both. */
static inline _unused_ void tlsd_add(SSL_CTX *ctx, const struct site *s, enum tlsd_chain chain)
{
	STACK_OF(X509) *more = sk_X509_new_null();

	if (chain == TLSD_BACKWARDS)
		assert(sk_X509_push(more, s->root) > 0);
	if (chain != TLSD_LEAF)
		assert(sk_X509_push(more, s->inter) > 0);
	if (chain == TLSD_CHAIN_AND_ROOT)
		assert(sk_X509_push(more, s->root) > 0);
	assert(SSL_CTX_use_cert_and_key(ctx, s->leaf, s->key, more, 1) == 1);
	sk_X509_free(more);
}

static inline int tlsd_read(int fd)
{
	char buf[4096];

	return (int)recv(fd, buf, sizeof buf, 0);
}

static inline void tlsd_shake(struct tlsd *d, int fd, int n)
{
	SSL *ssl = SSL_new(d->later && n >= d->switch_at ? d->later : d->ctx);
	const char *name = NULL;
	char c;

	assert(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
	if (SSL_accept(ssl) == 1) {
		name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		(void)snprintf(d->sni, sizeof d->sni, "%s", name ? name : "");
		if (SSL_get_error(ssl, SSL_read(ssl, &c, 1)) == SSL_ERROR_ZERO_RETURN)
			atomic_fetch_add(&d->n_clean, 1);
		atomic_fetch_add(&d->n_done, 1);
	}
	SSL_free(ssl);
}

static inline void tlsd_speak(const struct tlsd *d, int fd)
{
	if (d->mode == TLSD_SAY || d->mode == TLSD_SAY_CLOSE)
		(void)send(fd, d->say, d->say_len, MSG_NOSIGNAL);
	for (size_t i = 0; d->mode == TLSD_SLOW && i < d->say_len; i++) {
		if (send(fd, d->say + i, 1, MSG_NOSIGNAL) != 1)
			break;
		(void)usleep(20000);
	}
	while (d->mode == TLSD_FLOOD && send(fd, d->say, d->say_len, MSG_NOSIGNAL) > 0)
		;
}

static inline void tlsd_misbehave(struct tlsd *d, int fd)
{
	const struct linger hard = { .l_onoff = 1 };
	bool waits = d->mode == TLSD_MUTE || d->mode == TLSD_SAY || d->mode == TLSD_SLOW;

	if (d->mode != TLSD_MUTE)
		(void)tlsd_read(fd);
	if (d->mode == TLSD_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	tlsd_speak(d, fd);
	while (d->mode == TLSD_DEAF && !atomic_load(&d->stopping))
		(void)usleep(5000);
	while (waits && tlsd_read(fd) > 0)
		;
}

static inline void *tlsd_run(void *arg)
{
	struct tlsd *d = arg;

	for (int fd; (fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
		int n = atomic_fetch_add(&d->n_accepted, 1);

		atomic_store(&d->conn, fd);
		if (atomic_load(&d->stopping)) {
			(void)close(fd);
			break;
		}
		if (d->mode == TLSD_PROPER)
			tlsd_shake(d, fd, n);
		else
			tlsd_misbehave(d, fd);
		atomic_store(&d->conn, -1);
		(void)close(fd);
	}
	return NULL;
}

/* port 0: the kernel's choice. ctx (and later) may be NULL for a server that misbehaves; they are freed by tlsd_stop. */
static inline _unused_ void tlsd_start(struct tlsd *d, sa_family_t family, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *at = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
	const int on = 1;

	v4.sin_port = v6.sin6_port = htons(port);
	if (d->host > 0)
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + d->host);
	d->family = family;
	d->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(d->fd >= 0);
	assert_int_equal(setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	assert_int_equal(bind(d->fd, at, len), 0);
	assert_int_equal(listen(d->fd, 16), 0);
	assert_int_equal(getsockname(d->fd, at, &len), 0);
	d->port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	atomic_store(&d->conn, -1);
	assert_int_equal(pthread_create(&d->thread, NULL, tlsd_run, d), 0);
}

static inline _unused_ struct sockaddr_storage tlsd_address(const struct tlsd *d)
{
	struct sockaddr_storage ret = { 0 };
	socklen_t len = sizeof ret;

	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&ret, &len), 0);
	return ret;
}

static inline _unused_ void tlsd_stop(struct tlsd *d)
{
	int conn;

	atomic_store(&d->stopping, true);
	(void)shutdown(d->fd, SHUT_RDWR); /* ends accept */
	conn = atomic_load(&d->conn);
	if (conn >= 0)
		(void)shutdown(conn, SHUT_RDWR);
	assert_int_equal(pthread_join(d->thread, NULL), 0);
	(void)close(d->fd);
	SSL_CTX_free(d->ctx);
	SSL_CTX_free(d->later);
	*d = (struct tlsd){ 0 };
}
