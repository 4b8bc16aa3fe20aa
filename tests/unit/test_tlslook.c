/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one server: what proper ones present, by TLS 1.2 and 1.3, with one kind of certificate or two, and what all kinds of
 * others do instead. */
#include "daemon/deploy/tlslook.h"

#include "common/clock.h"
#include "tests/unit/tls_server.h"

#include <errno.h>

#define LONG_MS	 20000
#define SHORT_MS 400

static struct loop *loop;
static struct timer *guard;
static struct site *rsa, *ec;
static struct tlsd d;

static struct {
	int n;
	struct outcome o;
	int error;
	size_t count;
	enum served_kind kind;
	struct served_facts facts;
	enum served_verdict rsa, ec;
} seen;

static void on_done(const struct tlslook_result *r, _unused_ void *owner)
{
	struct wanted *w = NULL;
	char missing[SERVED_NAME_MAX];

	seen.n++;
	seen.o = r->outcome;
	seen.error = r->error;
	seen.count = r->served ? served_count(r->served) : 0;
	if (r->served) {
		seen.kind = served_leaf_kind(r->served);
		served_facts(r->served, &seen.facts);
		assert_int_equal(wanted_new(rsa->fullchain, NULL, &w, NULL), 0);
		seen.rsa = served_judge(r->served, w, clock_now(), missing);
		wanted_free(w);
		assert_int_equal(wanted_new(ec->fullchain, NULL, &w, NULL), 0);
		seen.ec = served_judge(r->served, w, clock_now(), missing);
		wanted_free(w);
	}
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("nothing happened");
}

static struct tlslook *begin(enum served_kind kind, int64_t timeout_ms)
{
	struct tlslook_ask ask = {
		.to = tlsd_address(&d),
		.server_name = "www.example.jp",
		.kind = kind,
		.timeout_ms = timeout_ms,
	};
	struct tlslook *k = NULL;

	memset(&seen, 0, sizeof seen);
	tlslook_start(loop, &ask, on_done, NULL, &k);
	assert_int_equal(seen.n, 0);
	return k;
}

static void look(enum served_kind kind, int64_t timeout_ms)
{
	(void)begin(kind, timeout_ms);
	timer_set(guard, LONG_MS);
	loop_run(loop);
	timer_clear(guard);
	assert_int_equal(seen.n, 1);
}

/* One that ends in a colon goes on in OpenSSL's words, which change. */
static void check_tls(const char *message)
{
	size_t len = strlen(message);

	if (message[len - 1] == ' ')
		assert_true(strlen(seen.o.message) > len && strncmp(seen.o.message, message, len) == 0);
	else
		assert_string_equal(seen.o.message, message);
	assert_string_equal(seen.o.code, "tls");
	assert_int_equal(seen.o.fault, FAULT_UNCLEAR);
	assert_int_equal(seen.count, 0);
}

/* A server that says this to whatever it is sent. */
static void look_at(enum tlsd_mode mode, const char *say, size_t len, const char *message)
{
	d = (struct tlsd){ .mode = mode, .say = say, .say_len = len };
	tlsd_start(&d, AF_INET, 0);
	look(SERVED_KIND_ANY, mode == TLSD_MUTE || mode == TLSD_SLOW ? SHORT_MS : LONG_MS);
	check_tls(message);
	tlsd_stop(&d);
}

static void start_proper(int version, const struct site *a, const struct site *b, enum tlsd_chain chain)
{
	d = (struct tlsd){ .ctx = tlsd_context(version) };
	tlsd_add(d.ctx, a, chain);
	if (b)
		tlsd_add(d.ctx, b, chain);
}

static void check_served(const struct site *s, size_t count)
{
	assert_string_equal(seen.o.message, "");
	assert_int_equal(seen.o.fault, FAULT_NONE);
	assert_int_equal(seen.count, count);
	assert_int_equal(s == rsa ? seen.rsa : seen.ec, count == 1 ? SERVED_INCOMPLETE : SERVED_OURS);
	assert_int_equal(s == rsa ? seen.ec : seen.rsa, SERVED_OTHER);
	assert_int_equal(seen.kind, s == rsa ? SERVED_KIND_RSA : SERVED_KIND_EC);
	assert_string_equal(seen.facts.issuer, "Test Intermediate");
}

static int setup(_unused_ void **state)
{
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	return 0;
}

static int teardown(_unused_ void **state)
{
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	return 0;
}

/* --- proper servers ------------------------------------------------------------------------------------- */

static void test_versions(_unused_ void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 4; i++) {
		start_proper(versions[i / 2], rsa, NULL, TLSD_CHAIN);
		tlsd_start(&d, families[i % 2], 0);
		look(SERVED_KIND_ANY, 0);
		check_served(rsa, 2);
		look(SERVED_KIND_RSA, 0);
		check_served(rsa, 2);
		look(SERVED_KIND_EC, 0);
		check_tls("refuses the handshake (TLS alert: handshake failure)");
		/* The good-bye was heard before the result was told. */
		assert_int_equal(atomic_load(&d.n_done), 2);
		assert_int_equal(atomic_load(&d.n_clean), 2);
		assert_string_equal(d.sni, "www.example.jp");
		tlsd_stop(&d);
	}
}

static void test_chains(_unused_ void **state)
{
	static const struct {
		enum tlsd_chain chain;
		size_t count;
	} cases[] = {
		{ TLSD_LEAF, 1 }, { TLSD_CHAIN, 2 }, { TLSD_CHAIN_AND_ROOT, 3 }, { TLSD_BACKWARDS, 3 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start_proper(0, ec, NULL, cases[i].chain);
		SSL_CTX_set_mode(d.ctx, SSL_MODE_NO_AUTO_CHAIN);
		tlsd_start(&d, AF_INET, 0);
		look(SERVED_KIND_ANY, 0);
		check_served(ec, cases[i].count);
		tlsd_stop(&d);
	}
}

/* Both kinds on one server, whatever it prefers. */
static void test_two_kinds(_unused_ void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < 4; i++) {
		start_proper(versions[i / 2], rsa, ec, TLSD_CHAIN);
		if (i % 2 == 1)
			(void)SSL_CTX_set_options(d.ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
		tlsd_start(&d, AF_INET, 0);
		look(SERVED_KIND_EC, 0);
		check_served(ec, 2);
		look(SERVED_KIND_RSA, 0);
		check_served(rsa, 2);
		look(SERVED_KIND_ANY, 0);
		assert_int_equal(seen.count, 2);
		tlsd_stop(&d);
	}
}

/* A server that lets nobody in without a certificate has shown its own before. */
static void test_client_certificate(_unused_ void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		start_proper(versions[i], ec, NULL, TLSD_CHAIN);
		SSL_CTX_set_verify(d.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		tlsd_start(&d, AF_INET, 0);
		look(SERVED_KIND_ANY, 0);
		check_served(ec, 2);
		assert_int_equal(atomic_load(&d.n_done), 0);
		tlsd_stop(&d);
	}
}

static int no_such_name(_unused_ SSL *ssl, int *alert, _unused_ void *arg)
{
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void test_refusals(_unused_ void **state)
{
	start_proper(0, ec, NULL, TLSD_CHAIN);
	SSL_CTX_set_tlsext_servername_callback(d.ctx, no_such_name);
	tlsd_start(&d, AF_INET, 0);
	look(SERVED_KIND_ANY, 0);
	check_tls("does not know the name www.example.jp (TLS alert: unrecognized name)");
	tlsd_stop(&d);
	start_proper(TLS1_1_VERSION, ec, NULL, TLSD_CHAIN);
	tlsd_start(&d, AF_INET, 0);
	look(SERVED_KIND_ANY, 0);
	check_tls("refuses the handshake (TLS alert: protocol version)");
	tlsd_stop(&d);
}

static void start_long_chain(unsigned n)
{
	d = (struct tlsd){ .ctx = tlsd_context(0) };
	tlsd_add(d.ctx, ec, TLSD_CHAIN);
	for (unsigned i = 2; i < n; i++)
		assert_int_equal(SSL_CTX_add1_chain_cert(d.ctx, ec->root), 1);
	tlsd_start(&d, AF_INET, 0);
}

static void test_long_chain(_unused_ void **state)
{
	start_long_chain(10);
	look(SERVED_KIND_ANY, 0);
	check_served(ec, 10);
	tlsd_stop(&d);
	start_long_chain(11);
	look(SERVED_KIND_ANY, 0);
	check_tls("presents 11 certificates, which is more than 10");
	tlsd_stop(&d);
	start_long_chain(1000);
	look(SERVED_KIND_ANY, 0);
	assert_int_equal(seen.o.fault, FAULT_UNCLEAR);
	assert_string_equal(seen.o.code, "tls");
	tlsd_stop(&d);
}

/* --- the others ------------------------------------------------------------------------------------------- */

#define SAY(s) (s), sizeof(s) - 1

static void test_not_tls(_unused_ void **state)
{
	look_at(TLSD_SAY, SAY("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"),
		"answers plain text, not TLS (\"HTTP/1.1 400 Bad Request\")");
	look_at(TLSD_SAY_CLOSE,
		SAY("220 mail.example.jp ESMTP ready, and many other words that nobody needs"),
		"answers plain text, not TLS (\"220 mail.example.jp ESMTP ready, and man\")");
	look_at(TLSD_SAY, SAY("\x80\x01\x02\x03garbage"), "answers something that is not TLS");
	look_at(TLSD_SAY, SAY("\x16\x05\x01\x00\x01\x00"), "answers something that is not TLS");
	look_at(TLSD_SAY, SAY("\0"), "answers something that is not TLS");
}

static void test_broken_tls(_unused_ void **state)
{
	look_at(TLSD_SAY, SAY("\x15\x03\x03\x00\x02\x02\x28"),
		"refuses the handshake (TLS alert: handshake failure)");
	look_at(TLSD_SAY_CLOSE, SAY("\x15\x03\x03\x00\x02\x02\x50"),
		"refuses the handshake (TLS alert: internal error)");
	look_at(TLSD_SAY, SAY("\x16\x03\x03\x00\x04\x0e\x00\x00\x00"), "answers no proper TLS handshake: ");
	look_at(TLSD_SAY, SAY("\x16\x03\x03\xff\xff\x02"), "answers no proper TLS handshake: ");
	look_at(TLSD_CLOSE, "", 0, "closes the connection without a word");
	look_at(TLSD_SAY_CLOSE, SAY("\x16\x03\x03\x00\x40\x02\x00"),
		"closes the connection in the middle of the handshake");
	look_at(TLSD_RESET, "", 0, "breaks off the handshake: Connection reset by peer");
}

static void test_without_end(_unused_ void **state)
{
	static char record[16384 + 5] = "\x16\x03\x03\x40\x00\x02\x00\xff\xff"; /* a ServerHello of 64 KiB */
	static char empty[] = "\x16\x03\x03\x00\x00";
	static const char slow[] =
		"\x16\x03\x03\x00\x80\x02\x00\x00\x7c\x03\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

	look_at(TLSD_MUTE, "", 0, "does not come to the end of the handshake");
	look_at(TLSD_SLOW, slow, sizeof slow, "does not come to the end of the handshake");
	look_at(TLSD_FLOOD, record, sizeof record, "answers no proper TLS handshake: ");
	look_at(TLSD_FLOOD, empty, sizeof empty - 1, "answers no proper TLS handshake: ");
	look_at(TLSD_FLOOD, SAY("\x15\x03\x03\x00\x02\x01\x5a"), /* user canceled, a warning */
		"answers no proper TLS handshake: ");
}

/* --- no connection ------------------------------------------------------------------------------------------ */

static void check_connect(int error, const char *message)
{
	assert_string_equal(seen.o.message, message);
	assert_string_equal(seen.o.code, "connect");
	assert_int_equal(seen.o.fault, FAULT_UNSENT);
	assert_int_equal(seen.error, error);
}

static void test_refused(_unused_ void **state)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	const int keep = 1;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		d = (struct tlsd){ .mode = TLSD_MUTE };
		tlsd_start(&d, families[i], 0);
		assert_int_equal(setsockopt(d.fd, SOL_SOCKET, SO_REUSEADDR, &keep, sizeof keep), 0);
		(void)shutdown(d.fd, SHUT_RDWR); /* bound, so nobody else gets the port, but not listening */
		look(SERVED_KIND_ANY, 0);
		check_connect(-ECONNREFUSED, "refuses the connection: no server listens there");
		tlsd_stop(&d);
	}
}

/* A full queue: the kernel answers no further SYN. */
static void test_no_answer(_unused_ void **state)
{
	struct sockaddr_storage to;
	int waiting[8];
	int64_t start_ms = 0;

	d = (struct tlsd){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(d.fd >= 0);
	assert_int_equal(listen(d.fd, 0), 0);
	to = tlsd_address(&d);
	((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(waiting[i], (struct sockaddr *)&to, sizeof(struct sockaddr_in));
	}
	start_ms = clock_mono_ms();
	look(SERVED_KIND_ANY, SHORT_MS);
	assert_in_range(clock_mono_ms() - start_ms, SHORT_MS - 20, SHORT_MS + 5000);
	check_connect(-ETIMEDOUT, "does not answer: is it up, and does a firewall let us through?");
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		(void)close(waiting[i]);
	(void)close(d.fd);
}

static void test_cancel(_unused_ void **state)
{
	struct tlslook *k = NULL;

	tlslook_cancel(&k);
	d = (struct tlsd){ .mode = TLSD_MUTE };
	tlsd_start(&d, AF_INET, 0);
	k = begin(SERVED_KIND_ANY, LONG_MS);
	tlslook_cancel(&k); /* before it connected */
	assert_null(k);
	k = begin(SERVED_KIND_ANY, LONG_MS);
	(void)loop_drain(loop, 50);
	tlslook_cancel(&k);			     /* in the handshake */
	assert_int_equal(loop_drain(loop, 2000), 1); /* the guard */
	assert_int_equal(seen.n, 0);
	tlsd_stop(&d);
}

static void test_bad_name(_unused_ void **state)
{
	struct tlslook_ask ask = { .server_name = "" };

	d = (struct tlsd){ .mode = TLSD_MUTE };
	tlsd_start(&d, AF_INET, 0);
	ask.to = tlsd_address(&d);
	memset(&seen, 0, sizeof seen);
	tlslook_start(loop, &ask, on_done, NULL, NULL);
	assert_int_equal(seen.n, 0);
	loop_run(loop);
	assert_int_equal(seen.o.fault, FAULT_LOCAL);
	assert_string_equal(seen.o.message, "no name to ask the server for");
	assert_int_equal(atomic_load(&d.n_accepted), 0);
	tlsd_stop(&d);
}

static int group_setup(_unused_ void **state)
{
	(void)alarm(120);
	rsa = site_new(testpki_rsa(2048), "www.example.jp", 90);
	ec = site_new(testpki_ec(), "www.example.jp", 90);
	return 0;
}

static int group_teardown(_unused_ void **state)
{
	site_free(rsa);
	site_free(ec);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_versions),	TEST(test_chains),
		TEST(test_two_kinds),	TEST(test_client_certificate),
		TEST(test_refusals),	TEST(test_long_chain),
		TEST(test_not_tls),	TEST(test_broken_tls),
		TEST(test_without_end), TEST(test_refused),
		TEST(test_no_answer),	TEST(test_cancel),
		TEST(test_bad_name),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
