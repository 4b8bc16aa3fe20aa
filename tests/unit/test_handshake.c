/* SPDX-License-Identifier: Apache-2.0 */
/* A handshake in memory, against OpenSSL's server in memory: in pieces of any size, with a proper end, under its cap. With real
 * connections and hostile servers: test_tlslook.c. */
#include "daemon/pki/handshake.h"

#include "tests/unit/tls_server.h"

#include <errno.h>

static struct site *site;

static struct {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
} server;

static void server_start(int version)
{
	server.ctx = tlsd_context(version);
	tlsd_add(server.ctx, site, TLSD_CHAIN);
	server.ssl = SSL_new(server.ctx);
	server.in = BIO_new(BIO_s_mem());
	server.out = BIO_new(BIO_s_mem());
	SSL_set_bio(server.ssl, server.in, server.out);
	SSL_set_accept_state(server.ssl);
}

static void server_stop(void)
{
	SSL_free(server.ssl);
	SSL_CTX_free(server.ctx);
}

/* What the client wants to say, piece by piece. */
static void to_server(struct handshake *h, size_t piece)
{
	char buf[5000];
	size_t n = 0;

	assert_true(piece <= sizeof buf);
	while ((n = handshake_pull(h, buf, piece)) > 0)
		assert_int_equal(BIO_write(server.in, buf, (int)n), n);
	(void)SSL_do_handshake(server.ssl);
}

/* 1 when the client is through. */
static int to_client(struct handshake *h, size_t piece)
{
	char buf[5000];
	int n = 0, r = 0;

	while (r == 0 && (n = BIO_read(server.out, buf, (int)piece)) > 0)
		r = handshake_feed(h, buf, (size_t)n, NULL);
	return r;
}

static void shake(int version, size_t piece)
{
	struct handshake *h = NULL;
	struct served *s = NULL;
	int r = 0;
	char c;

	server_start(version);
	assert_int_equal(handshake_new("www.example.jp", SERVED_KIND_ANY, &h, NULL), 0);
	assert_int_equal(handshake_feed(h, NULL, 0, NULL), 0);
	assert_null(handshake_take_served(h));
	for (int i = 0; i < 4 && r == 0; i++) {
		to_server(h, piece);
		r = to_client(h, piece);
	}
	assert_int_equal(r, 1);
	to_server(h, piece);
	assert_int_equal(SSL_is_init_finished(server.ssl), 1);
	assert_int_equal(SSL_version(server.ssl), version);
	assert_int_equal(SSL_get_error(server.ssl, SSL_read(server.ssl, &c, 1)), SSL_ERROR_ZERO_RETURN);
	s = handshake_take_served(h);
	assert_non_null(s);
	assert_int_equal(served_count(s), 2);
	assert_null(handshake_take_served(h)); /* once */
	served_free(s);
	handshake_free(h);
	server_stop();
}

static void test_pieces(_unused_ void **state)
{
	static const size_t pieces[] = { 1, 7, 5000 };

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		shake(TLS1_2_VERSION, pieces[i]);
		shake(TLS1_3_VERSION, pieces[i]);
	}
}

/* What a browser would say: both versions, the name, both protocols. */
static void test_hello(_unused_ void **state)
{
	static const unsigned char alpn[] = "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1";
	struct handshake *h = NULL;
	char buf[2000];
	size_t n = 0;

	assert_int_equal(handshake_new("www.example.jp", SERVED_KIND_ANY, &h, NULL), 0);
	assert_int_equal(handshake_feed(h, NULL, 0, NULL), 0);
	n = handshake_pull(h, buf, sizeof buf);
	assert_in_range(n, 100, 1500);
	assert_memory_equal(buf, "\x16\x03\x01", 3);
	assert_non_null(memmem(buf, n, "www.example.jp", 14));
	assert_non_null(memmem(buf, n, alpn, sizeof alpn - 1));
	assert_non_null(memmem(buf, n, "\x00\x2b\x00\x05\x04\x03\x04\x03\x03", 9)); /* supported_versions */
	assert_int_equal(handshake_pull(h, buf, sizeof buf), 0);
	handshake_free(h);
}

static void test_names(_unused_ void **state)
{
	struct handshake *h = NULL;
	struct err err = ERR_INIT;
	char name[300] = "";

	assert_int_equal(handshake_new("", SERVED_KIND_ANY, &h, &err), -EINVAL);
	memset(name, 'a', 255);
	assert_int_equal(handshake_new(name, SERVED_KIND_ANY, &h, NULL), 0);
	handshake_free(h);
	h = NULL;
	name[255] = 'a';
	assert_int_equal(handshake_new(name, SERVED_KIND_ANY, &h, &err), -EINVAL);
	assert_null(h);
	handshake_free(NULL);
}

/* Nobody says so much that OpenSSL would not have lost patience before, in one piece at least. */
static void test_cap(_unused_ void **state)
{
	static char much[HANDSHAKE_RECEIVED_MAX + 1];
	struct handshake *h = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(handshake_new("www.example.jp", SERVED_KIND_EC, &h, NULL), 0);
	assert_int_equal(handshake_feed(h, NULL, 0, NULL), 0);
	much[0] = 0x16;
	much[1] = 3;
	assert_int_equal(handshake_feed(h, much, sizeof much, &err), -EPROTO);
	assert_string_equal(err.text, "sends more than 256 KiB instead of a handshake");
	assert_null(handshake_take_served(h));
	handshake_free(h);
}

static void test_eof(_unused_ void **state)
{
	struct handshake *h = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(handshake_new("www.example.jp", SERVED_KIND_RSA, &h, NULL), 0);
	assert_int_equal(handshake_feed(h, NULL, 0, NULL), 0);
	assert_int_equal(handshake_eof(h, &err), -EPROTO);
	assert_string_equal(err.text, "closes the connection without a word");
	assert_int_equal(handshake_feed(h, "\x16", 1, NULL), 0);
	assert_int_equal(handshake_eof(h, &err), -EPROTO);
	assert_string_equal(err.text, "closes the connection in the middle of the handshake");
	handshake_free(h);
}

static int group_setup(_unused_ void **state)
{
	site = site_new(testpki_ec(), "www.example.jp", 90);
	return 0;
}

static int group_teardown(_unused_ void **state)
{
	site_free(site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces), cmocka_unit_test(test_hello), cmocka_unit_test(test_names),
		cmocka_unit_test(test_cap),    cmocka_unit_test(test_eof),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
