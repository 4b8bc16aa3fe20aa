/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of DNS messages against a server that loses, cuts, forges and stalls. */
#include "daemon/io/dnswire.h"

#include "common/clock.h"
#include "tests/unit/dns_server.h"

#define QUERY_LEN 40

struct seen {
	struct dnswire_call *call;
	int n;
	struct outcome outcome;
	unsigned char answer[DNSWIRE_ANSWER_MAX];
	size_t len;
	bool tcp;
};

static struct loop *loop;
static struct timer *guard;
static char server[64];
static unsigned char query[QUERY_LEN] = { 0x12, 0x34, 0x28, 0x00, [12] = 'q' }; /* opcode 5 */

static void done(const struct dnswire_result *r, void *owner)
{
	struct seen *s = owner;

	dnswire_cancel(&s->call); /* of the call that is being told: allowed, does nothing */
	s->n++;
	s->outcome = r->outcome;
	s->len = r->len;
	s->tcp = r->tcp;
	if (r->answer)
		memcpy(s->answer, r->answer, r->len);
	else
		assert_int_equal(r->len, 0);
	assert_int_equal(r->outcome.fault == FAULT_NONE, r->answer != NULL);
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no answer within 8 s");
}

static int setup(_unused_ void **state)
{
	dns_server_start();
	(void)snprintf(server, sizeof server, "127.0.0.1:%u", dns.port);
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 8000);
	return 0;
}

static int teardown(_unused_ void **state)
{
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	dns_server_stop();
	return 0;
}

static void start(struct seen *s, struct dnswire_query q)
{
	memset(s, 0, sizeof *s);
	q.server = q.server ? q.server : server;
	q.message = q.message ? q.message : query;
	q.len = q.len ? q.len : sizeof query;
	dnswire_start(loop, &q, done, s, &s->call);
	assert_non_null(s->call);
	assert_int_equal(s->n, 0);
}

static void ask(struct seen *s, struct dnswire_query q)
{
	start(s, q);
	loop_run(loop);
	assert_int_equal(s->n, 1);
	assert_null(s->call);
}

static void expect(const struct seen *s, enum fault fault, const char *code)
{
	assert_int_equal(s->outcome.fault, fault);
	assert_string_equal(s->outcome.code, code);
	assert_memory_equal(s->outcome.message, "DNS server ", 11);
}

/* --- answers --------------------------------------------------------------------------------------- */

/* The query with QR set, and flags (TC) and an id of choice. */
static void send_changed(const struct peer *p, const unsigned char *q, size_t len, unsigned char id,
			 unsigned char set, unsigned char clear)
{
	_cleanup_free_ unsigned char *a = xmemdup(q, len);

	a[0] = (unsigned char)(a[0] ^ id);
	a[2] = (unsigned char)((a[2] | 0x80 | set) & ~clear);
	peer_send(p, a, len);
}

static void echo(const struct peer *p, const unsigned char *q, size_t len)
{
	send_changed(p, q, len, 0, 0, 0);
}

static void lose_two(const struct peer *p, const unsigned char *q, size_t len)
{
	if (atomic_load(&dns.n_udp) > 2)
		echo(p, q, len);
}

static void truncate_udp(const struct peer *p, const unsigned char *q, size_t len)
{
	send_changed(p, q, p->tcp ? len : 12, 0, p->tcp ? 0 : 0x02, 0);
}

static void silent(_unused_ const struct peer *p, _unused_ const unsigned char *q, _unused_ size_t len)
{
	if (p->tcp) /* until the client leaves */
		(void)recv(p->fd, (char[1]){ 0 }, 1, 0);
}

static void garbage(const struct peer *p, const unsigned char *q, size_t len)
{
	peer_send(p, "", 0);
	peer_send(p, "\x12\x34\xa8", 3);
	send_changed(p, q, 11, 0, 0, 0);
	send_changed(p, q, len, 1, 0, 0);    /* another id */
	send_changed(p, q, len, 0, 0, 0x80); /* a query */
	send_changed(p, q, len, 0, 0x40, 0); /* another opcode */
}

static void garbage_then_good(const struct peer *p, const unsigned char *q, size_t len)
{
	garbage(p, q, len);
	echo(p, q, len);
}

static void forge(const struct peer *p, const unsigned char *q, size_t len)
{
	struct peer other = *p;

	other.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	echo(&other, q, len);
	close(other.fd);
}

static void forge_then_good(const struct peer *p, const unsigned char *q, size_t len)
{
	forge(p, q, len);
	send_changed(p, q, len, 0, 0x04, 0);
}

static void large(const struct peer *p, const unsigned char *q, size_t len)
{
	_cleanup_free_ unsigned char *a = xmalloc(DNSWIRE_ANSWER_MAX);

	memcpy(a, q, MIN(len, (size_t)DNSWIRE_ANSWER_MAX));
	a[2] |= 0x80;
	peer_send(p, a, DNSWIRE_ANSWER_MAX);
}

static void too_large(const struct peer *p, _unused_ const unsigned char *q, _unused_ size_t len)
{
	peer_send_raw(p, "\x40\x01xxx", 5);
	silent(p, q, len);
}

static void trickle(const struct peer *p, const unsigned char *q, size_t len)
{
	unsigned char a[2 + QUERY_LEN] = { 0, QUERY_LEN };

	assert_int_equal(len, QUERY_LEN);
	memcpy(a + 2, q, len);
	a[4] |= 0x80;
	for (size_t i = 0; i < sizeof a; i++) {
		peer_send_raw(p, a + i, 1);
		(void)usleep(500);
	}
}

static void cut(const struct peer *p, const unsigned char *q, size_t len)
{
	peer_send_raw(p, "\0\x28", 2);
	peer_send_raw(p, q, len / 2);
}

static void close_at_once(_unused_ const struct peer *p, _unused_ const unsigned char *q, _unused_ size_t len)
{
}

static void wrong_id(const struct peer *p, const unsigned char *q, size_t len)
{
	send_changed(p, q, len, 1, 0, 0);
}

static void empty(const struct peer *p, _unused_ const unsigned char *q, _unused_ size_t len)
{
	peer_send_raw(p, "\0\0", 2);
}

/* --- UDP ------------------------------------------------------------------------------------------- */

static void test_udp(_unused_ void **state)
{
	struct seen s;

	dns.answer = echo;
	ask(&s, (struct dnswire_query){ 0 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_int_equal(s.len, QUERY_LEN);
	assert_int_equal(s.answer[2], 0xa8);
	assert_false(s.tcp);
	assert_int_equal(dns.n_udp, 1);
}

static void test_retransmission(_unused_ void **state)
{
	int64_t before = clock_mono_ms();
	struct seen s;

	dns.answer = lose_two;
	ask(&s, (struct dnswire_query){ .retry_ms = 50 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_int_equal(dns.n_udp, 3);
	assert_true(clock_mono_ms() - before >= 145); /* 50 and 100 */
}

static void test_udp_timeout(_unused_ void **state)
{
	int64_t before = clock_mono_ms();
	struct seen s;

	dns.answer = silent;
	ask(&s, (struct dnswire_query){ .retry_ms = 30, .timeout_ms = 300 });
	expect(&s, FAULT_UNCLEAR, "timeout");
	assert_true(clock_mono_ms() - before >= 295);
	assert_in_range(dns.n_udp, 3, 4); /* 0, 30, 90, 210 ms */
}

static void test_garbage(_unused_ void **state)
{
	struct seen s;

	dns.answer = garbage;
	ask(&s, (struct dnswire_query){ .timeout_ms = 200 });
	expect(&s, FAULT_UNCLEAR, "timeout");
	dns.answer = garbage_then_good;
	ask(&s, (struct dnswire_query){ 0 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_memory_equal(s.answer, "\x12\x34\xa8", 3);
}

static void test_wrong_source(_unused_ void **state)
{
	struct seen s;

	dns.answer = forge;
	ask(&s, (struct dnswire_query){ .timeout_ms = 200 });
	expect(&s, FAULT_UNCLEAR, "timeout");
	dns.answer = forge_then_good;
	ask(&s, (struct dnswire_query){ 0 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_int_equal(s.answer[2], 0xac);
}

static void test_large_datagram(_unused_ void **state)
{
	struct seen s;

	dns.answer = large;
	ask(&s, (struct dnswire_query){ 0 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_int_equal(s.len, DNSWIRE_ANSWER_MAX);
	assert_false(s.tcp);
}

/* --- TCP ------------------------------------------------------------------------------------------- */

static void test_truncation(_unused_ void **state)
{
	struct seen s;

	dns.answer = truncate_udp;
	ask(&s, (struct dnswire_query){ 0 });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	assert_true(s.tcp);
	assert_int_equal(s.len, QUERY_LEN);
	assert_int_equal(dns.n_udp, 1);
	assert_int_equal(dns.n_tcp, 1);
}

static void test_tcp(_unused_ void **state)
{
	_cleanup_free_ unsigned char *big = xmalloc(QUERY_MAX);
	struct seen s;

	dns.answer = echo;
	ask(&s, (struct dnswire_query){ .tcp = true });
	assert_true(s.tcp && s.outcome.fault == FAULT_NONE);
	/* too long for UDP */
	ask(&s, (struct dnswire_query){ .message = big, .len = 513 });
	assert_true(s.tcp && s.outcome.fault == FAULT_NONE);
	assert_int_equal(dns.n_udp, 0);
	ask(&s, (struct dnswire_query){ .message = big, .len = 512 });
	assert_false(s.tcp);
	dns.answer = trickle;
	ask(&s, (struct dnswire_query){ .tcp = true });
	assert_int_equal(s.outcome.fault, FAULT_NONE);
	dns.answer = large;
	ask(&s, (struct dnswire_query){ .tcp = true });
	assert_int_equal(s.len, DNSWIRE_ANSWER_MAX);
	ask(&s, (struct dnswire_query){ .tcp = true, .message = big, .len = QUERY_MAX });
}

static void test_bad_tcp(_unused_ void **state)
{
	static const struct {
		void (*answer)(const struct peer *, const unsigned char *, size_t);
		const char *code;
	} cases[] = { { cut, "connection" },	  { close_at_once, "connection" },
		      { too_large, "too-large" }, { wrong_id, "garbage" },
		      { empty, "garbage" },	  { silent, "timeout" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen s;

		dns.answer = cases[i].answer;
		ask(&s, (struct dnswire_query){ .tcp = true, .timeout_ms = 300 });
		expect(&s, FAULT_UNCLEAR, cases[i].code);
	}
}

/* --- nobody there ---------------------------------------------------------------------------------- */

static void test_unreachable(_unused_ void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	/* Bound and not listening: nobody else gets the port; datagrams to it are for a closed one. */
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char closed[64];
	struct seen s;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(closed, sizeof closed, "127.0.0.1:%u", ntohs(a.sin_port));
	ask(&s, (struct dnswire_query){ .server = closed });
	expect(&s, FAULT_UNSENT, "connect");
	ask(&s, (struct dnswire_query){ .server = closed, .tcp = true });
	expect(&s, FAULT_UNSENT, "connect");
}

static void test_addresses(_unused_ void **state)
{
	static const char *const bad[] = { "",
					   "ns.example.jp:53",
					   "127.0.0.1:",
					   "127.0.0.1:0",
					   "127.0.0.1:x",
					   "127.0.0.1:65536",
					   "127.0.0.1:53:1",
					   "[::1",
					   "[::1]x",
					   "[127.0.0.1]:53",
					   "::1",
					   "[]:53" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct seen s;

		ask(&s, (struct dnswire_query){ .server = bad[i] });
		expect(&s, FAULT_UNSENT, "address");
	}
}

static void test_cancel(_unused_ void **state)
{
	static const char *const servers[] = { NULL, "nonsense" };
	struct seen s[4];
	struct seen last;

	dns.answer = silent;
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		start(&s[i], (struct dnswire_query){ .server = servers[i / 2], .tcp = i % 2 == 1 });
		if (i == 0)
			dnswire_cancel(&s[i].call);
	}
	for (size_t i = 1; i < ARRAY_SIZE(s); i++) {
		dnswire_cancel(&s[i].call);
		assert_null(s[i].call);
		dnswire_cancel(&s[i].call);
	}
	ask(&last, (struct dnswire_query){ .timeout_ms = 100 });
	/* in the middle of TCP */
	start(&s[0], (struct dnswire_query){ .tcp = true });
	ask(&last, (struct dnswire_query){ .timeout_ms = 100 });
	dnswire_cancel(&s[0].call);
	ask(&last, (struct dnswire_query){ .timeout_ms = 20 });
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		assert_int_equal(s[i].n, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_udp),	      T(test_retransmission), T(test_udp_timeout), T(test_garbage),
		T(test_wrong_source), T(test_large_datagram), T(test_truncation),  T(test_tcp),
		T(test_bad_tcp),      T(test_unreachable),    T(test_addresses),   T(test_cancel),
	};

	return cmocka_run_group_tests_name("dnswire", tests, NULL, NULL);
}
