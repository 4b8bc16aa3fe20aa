/* SPDX-License-Identifier: Apache-2.0 */
/* Is it served? Against real servers on both loopback addresses, with a resolver that says what a test wants. */
#include "daemon/deploy/verify.h"

#include "common/clock.h"
#include "daemon/io/dns.h"
#include "tests/unit/tls_server.h"

#include <errno.h>

#define LONG_MS	 20000
#define NO_ROUTE "ff02::1"

static struct loop *loop;
static struct timer *guard;
static struct verify *verify;
static struct site *ours, *older, *other, *old_rsa, *gone;

static struct {
	int n;
	struct verify_result r;
} seen;

/* --- the resolver --------------------------------------------------------------------------------------- */

struct dns {
	struct loop *loop;
};

/* What it is asked next: addresses in turn for each question; the last one stays. */
static struct {
	const char *answers[8]; /* blank separated; NULL: no such name */
	int n_asked;
	char name[100];
} names;

struct dns_call {
	struct dns *dns;
	dns_addresses_fn *done;
	void *owner;
	bool cancelled;
};

int dns_new(struct loop *l, struct dns **ret, _unused_ struct err *reterr)
{
	*ret = xmalloc(sizeof **ret);
	(*ret)->loop = l;
	return 0;
}

void dns_free(struct dns *d)
{
	free(d);
}

static void dns_answer(void *arg)
{
	struct dns_call *c = arg;
	struct sockaddr_storage at[DNS_ADDRESSES_MAX] = { 0 };
	struct dns_addresses a = { .at = at };
	const char *answer = names.answers[MIN(names.n_asked, 7)];
	char *copy = xstrdup_opt(answer);
	char *rest = copy;

	if (!c->cancelled && names.answers[names.n_asked + 1])
		names.n_asked++;
	for (char *one; rest && (one = strsep(&rest, " "));) {
		at[a.n].ss_family = strchr(one, ':') ? AF_INET6 : AF_INET;
		assert_int_equal(inet_pton(at[a.n].ss_family, one,
					   at[a.n].ss_family == AF_INET6
						   ? (void *)&((struct sockaddr_in6 *)&at[a.n])->sin6_addr
						   : (void *)&((struct sockaddr_in *)&at[a.n])->sin_addr),
				 1);
		a.n++;
	}
	if (a.n == 0)
		(void)outcome_set(&a.outcome, FAULT_UNSENT, "no_address", "there is none");
	if (!c->cancelled)
		c->done(&a, c->owner);
	free(copy);
	free(c);
}

void dns_addresses_start(struct dns *d, const struct dns_query *q, dns_addresses_fn *done, void *owner,
			 struct dns_call **ret)
{
	struct dns_call *c = xmalloc(sizeof *c);

	*c = (struct dns_call){ .dns = d, .done = done, .owner = owner };
	(void)snprintf(names.name, sizeof names.name, "%s", q->name);
	loop_defer(d->loop, dns_answer, c);
	*ret = c;
}

void dns_cancel(struct dns_call **c)
{
	if (*c)
		(*c)->cancelled = true;
	*c = NULL;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

static void on_done(const struct verify_result *r, _unused_ void *owner)
{
	seen.n++;
	seen.r = *r;
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no verdict");
}

static struct verify_call *begin(const char *connect, const char *fullchain, int64_t settle_ms)
{
	const struct cfg_verify_target target = { .connect = connect, .server_name = "www.example.jp" };
	const char *const olds[] = { "rubbish", older->leaf_pem, old_rsa->leaf_pem, NULL };
	const struct verify_ask ask = {
		.target = &target, .fullchain = fullchain, .older = olds, .settle_ms = settle_ms
	};
	struct verify_call *c = NULL;

	memset(&seen, 0, sizeof seen);
	verify_start(verify, &ask, on_done, NULL, &c);
	assert_int_equal(seen.n, 0);
	return c;
}

static void ask_for(const char *connect, const char *fullchain, int64_t settle_ms)
{
	(void)begin(connect, fullchain, settle_ms);
	timer_set(guard, LONG_MS);
	loop_run(loop);
	timer_clear(guard);
	assert_int_equal(seen.n, 1);
}

static void ask_port(const char *host, uint16_t port, int64_t settle_ms)
{
	_cleanup_free_ char *connect = xasprintf("%s:%u", host, port);

	ask_for(connect, ours->fullchain, settle_ms);
}

static void check(enum fault fault, const char *code, const char *part)
{
	if (fault != seen.r.outcome.fault || strcmp(code, seen.r.outcome.code) != 0 ||
	    !strstr(seen.r.outcome.message, part))
		fail_msg("%s: %s: %s", fault_name(seen.r.outcome.fault), seen.r.outcome.code,
			 seen.r.outcome.message);
}

static void check_noted(const char *note)
{
	check(FAULT_NONE, "", "");
	assert_string_equal(seen.r.outcome.message, note);
	assert_false(seen.r.is_old);
}

static void check_fine(void)
{
	check_noted("");
}

/* A server with this certificate; port 0: any. */
static void start(struct tlsd *d, sa_family_t family, uint16_t port, const struct site *s,
		  enum tlsd_chain chain)
{
	*d = (struct tlsd){ .ctx = tlsd_context(0) };
	tlsd_add(d->ctx, s, chain);
	SSL_CTX_set_mode(d->ctx, SSL_MODE_NO_AUTO_CHAIN);
	tlsd_start(d, family, port);
}

/* That shows another one from its nth handshake on. */
static void start_lagging(struct tlsd *d, const struct site *first, const struct site *then, int n)
{
	*d = (struct tlsd){ .ctx = tlsd_context(0), .later = tlsd_context(0), .switch_at = n };
	tlsd_add(d->ctx, first, TLSD_CHAIN);
	tlsd_add(d->later, then, TLSD_CHAIN);
	tlsd_start(d, AF_INET, 0);
}

static int setup(_unused_ void **state)
{
	memset(&names, 0, sizeof names);
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(verify_new(loop, &verify, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	return 0;
}

static int teardown(_unused_ void **state)
{
	verify_free(verify);
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 3000), 0);
	loop_free(loop);
	return 0;
}

/* --- one address ---------------------------------------------------------------------------------------- */

static void test_served(_unused_ void **state)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	static const enum tlsd_chain chains[] = { TLSD_CHAIN, TLSD_CHAIN_AND_ROOT, TLSD_BACKWARDS };
	_cleanup_free_ char *root = testpki_pem(ours->root);
	_cleanup_free_ char *with_root = xasprintf("%s%s", ours->fullchain, root);
	_cleanup_free_ char *connect = NULL;
	struct tlsd d;

	for (size_t i = 0; i < 6; i++) {
		start(&d, families[i % 2], 0, ours, chains[i / 2]);
		ask_port(i % 2 == 0 ? "127.0.0.1" : "[::1]", d.port, 0);
		check_fine();
		assert_int_equal(atomic_load(&d.n_accepted), 1);
		assert_int_equal(atomic_load(&d.n_clean), 1);
		tlsd_stop(&d);
	}
	start(&d, AF_INET, 0, ours, TLSD_CHAIN);
	connect = xasprintf("127.0.0.1:%u", d.port);
	ask_for(connect, with_root, 0); /* a root of ours need not be served */
	check_fine();
	assert_int_equal(names.name[0], '\0'); /* nobody was asked for an address */
	tlsd_stop(&d);
}

static void test_not_served(_unused_ void **state)
{
	struct tlsd d;
	_cleanup_free_ char *serial = NULL;
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(other->leaf), NULL);
	char *hex = BN_bn2hex(bn);

	for (char *p = hex; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'F' ? *p - 'A' + 'a' : *p);
	serial = xasprintf(" serves the certificate %s (until 20", hex);
	start(&d, AF_INET, 0, other, TLSD_CHAIN);
	ask_port("127.0.0.1", d.port, 0);
	check(FAULT_LOCAL, "not-served", serial);
	check(FAULT_LOCAL, "not-served", "of Test Intermediate), not ");
	check(FAULT_LOCAL, "not-served", "which files does that server read");
	assert_memory_equal(seen.r.outcome.message, "127.0.0.1:", 10);
	assert_false(seen.r.is_old);
	tlsd_stop(&d);
	OPENSSL_free(hex);
	BN_free(bn);
}

static void test_older(_unused_ void **state)
{
	struct tlsd d;

	start(&d, AF_INET6, 0, older, TLSD_CHAIN);
	ask_port("[::1]", d.port, 0);
	check(FAULT_LOCAL, "not-served", "still serves our previous certificate");
	assert_memory_equal(seen.r.outcome.message, "[::1]:", 6);
	assert_true(seen.r.is_old);
	tlsd_stop(&d);
	/* Of another kind of key than ours: seen all the same. */
	start(&d, AF_INET, 0, old_rsa, TLSD_CHAIN);
	ask_port("127.0.0.1", d.port, 0);
	check(FAULT_LOCAL, "not-served", "still serves our previous certificate");
	assert_true(seen.r.is_old);
	assert_int_equal(atomic_load(&d.n_accepted), 2); /* also asked for our kind */
	tlsd_stop(&d);
}

static void test_incomplete_and_expired(_unused_ void **state)
{
	_cleanup_free_ char *connect = NULL;
	struct tlsd d;

	start(&d, AF_INET, 0, ours, TLSD_LEAF);
	ask_port("127.0.0.1", d.port, 0);
	check(FAULT_LOCAL, "chain-incomplete", "without the intermediate \"Test Intermediate\"");
	check(FAULT_LOCAL, "chain-incomplete", "fullchain.pem, not cert.pem");
	assert_false(seen.r.is_old);
	tlsd_stop(&d);
	start(&d, AF_INET, 0, gone, TLSD_CHAIN);
	connect = xasprintf("127.0.0.1:%u", d.port);
	ask_for(connect, gone->fullchain, 0);
	check(FAULT_LOCAL, "expired", "has to be renewed");
	assert_false(seen.r.is_old);
	tlsd_stop(&d);
}

/* A server for clients of both kinds, which prefers the kind that is not ours. */
static void test_two_kinds(_unused_ void **state)
{
	struct site *rsa = site_new(testpki_rsa(2048), "www.example.jp", 90);
	_cleanup_free_ char *connect = NULL;
	struct tlsd d = { .ctx = tlsd_context(0) };

	tlsd_add(d.ctx, other, TLSD_CHAIN); /* EC */
	tlsd_add(d.ctx, rsa, TLSD_CHAIN);
	(void)SSL_CTX_set_options(d.ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	tlsd_start(&d, AF_INET, 0);
	connect = xasprintf("127.0.0.1:%u", d.port);
	ask_for(connect, rsa->fullchain, 0);
	check_fine();
	assert_int_equal(atomic_load(&d.n_accepted), 2);
	ask_for(connect, other->fullchain, 0);
	check_fine();
	ask_for(connect, old_rsa->fullchain, 0);
	check(FAULT_LOCAL, "not-served", "serves the certificate");
	tlsd_stop(&d);
	site_free(rsa);
}

static void test_down(_unused_ void **state)
{
	struct tlsd d = { .mode = TLSD_SAY, .say = "HTTP/1.1 400 Bad Request\r\n\r\n", .say_len = 28 };

	tlsd_start(&d, AF_INET, 0);
	ask_port("127.0.0.1", d.port, 0);
	check(FAULT_UNCLEAR, "tls", " answers plain text, not TLS (\"HTTP/1.1 400 Bad Request\")");
	(void)shutdown(d.fd, SHUT_RDWR);
	ask_port("127.0.0.1", d.port, 0);
	check(FAULT_UNSENT, "connect", " refuses the connection: no server listens there");
	tlsd_stop(&d);
}

static void test_unusable_file(_unused_ void **state)
{
	ask_for("127.0.0.1:1", "no certificate", LONG_MS);
	check(FAULT_LOCAL, "files", "the installed certificate cannot be read: ");
}

/* --- time to settle --------------------------------------------------------------------------------------- */

static void test_settles(_unused_ void **state)
{
	int64_t start_ms = clock_mono_ms();
	struct tlsd d;

	start_lagging(&d, older, ours, 3);
	ask_port("127.0.0.1", d.port, 4000);
	check_fine();
	assert_int_equal(atomic_load(&d.n_accepted), 4);
	assert_in_range(clock_mono_ms() - start_ms, 3450, 15000); /* 500 + 1000 + 2000 */
	tlsd_stop(&d);
}

static void test_does_not_settle(_unused_ void **state)
{
	int64_t start_ms = clock_mono_ms();
	struct tlsd d;

	start_lagging(&d, older, ours, 100);
	ask_port("127.0.0.1", d.port, 400);
	check(FAULT_LOCAL, "not-served", "still serves our previous certificate");
	assert_true(seen.r.is_old);
	assert_in_range(clock_mono_ms() - start_ms, 400, 5000);
	assert_in_range(atomic_load(&d.n_accepted), 2, 5); /* at 0, 50, 150, 350 and 400 ms, or later */
	tlsd_stop(&d);
	/* Without time for it: one look. */
	start_lagging(&d, older, ours, 1);
	ask_port("127.0.0.1", d.port, 0);
	assert_true(seen.r.is_old);
	assert_int_equal(atomic_load(&d.n_accepted), 1);
	tlsd_stop(&d);
}

static struct tlsd late;

static void start_late(_unused_ void *arg)
{
	start(&late, AF_INET, late.port, ours, TLSD_CHAIN);
}

/* A server that is just being started. */
static void test_comes_up(_unused_ void **state)
{
	struct timer *t = timer_new(loop, start_late, NULL);
	_cleanup_free_ char *connect = NULL;

	start(&late, AF_INET, 0, ours, TLSD_CHAIN);
	connect = xasprintf("127.0.0.1:%u", late.port);
	{
		uint16_t port = late.port;

		tlsd_stop(&late);
		late.port = port;
	}
	timer_set(t, 150);
	ask_for(connect, ours->fullchain, LONG_MS);
	check_fine();
	timer_free(t);
	tlsd_stop(&late);
}

/* --- many addresses ---------------------------------------------------------------------------------------- */

static void test_both_families(_unused_ void **state)
{
	struct tlsd four, six;

	start(&four, AF_INET, 0, ours, TLSD_CHAIN);
	start(&six, AF_INET6, four.port, ours, TLSD_CHAIN);
	names.answers[0] = "127.0.0.1 ::1";
	ask_port("www.example.jp", four.port, 0);
	check_fine();
	assert_string_equal(names.name, "www.example.jp");
	assert_int_equal(atomic_load(&four.n_done), 1);
	assert_int_equal(atomic_load(&six.n_done), 1);
	tlsd_stop(&six);
	/* The one that is not ours is told, whatever else is wrong. */
	start(&six, AF_INET6, four.port, other, TLSD_CHAIN);
	names.answers[0] = "127.0.0.1 ::1 127.0.0.2";
	ask_port("www.example.jp", four.port, 0);
	check(FAULT_LOCAL, "not-served", "2 of 3 addresses are wrong: [::1]:");
	assert_false(seen.r.is_old);
	tlsd_stop(&six);
	start(&six, AF_INET6, four.port, older, TLSD_CHAIN);
	ask_port("www.example.jp", four.port, 0);
	check(FAULT_LOCAL, "not-served", "2 of 3 addresses are wrong: [::1]:");
	assert_true(seen.r.is_old); /* the third one is down, and so serves nothing wrong */
	tlsd_stop(&six);
	tlsd_stop(&four);
}

/* One serves an earlier one, one something else: reloading would not help. */
static void test_old_and_other(_unused_ void **state)
{
	struct tlsd four, six;

	start(&four, AF_INET, 0, older, TLSD_CHAIN);
	start(&six, AF_INET6, four.port, other, TLSD_CHAIN);
	names.answers[0] = "127.0.0.1 ::1";
	ask_port("www.example.jp", four.port, 0);
	check(FAULT_LOCAL, "not-served", "[::1]:");
	assert_false(seen.r.is_old);
	tlsd_stop(&six);
	start(&six, AF_INET6, four.port, ours, TLSD_LEAF);
	ask_port("www.example.jp", four.port, 0);
	check(FAULT_LOCAL, "not-served", "127.0.0.1:");
	assert_false(seen.r.is_old);
	tlsd_stop(&six);
	tlsd_stop(&four);
}

static void test_names(_unused_ void **state)
{
	struct tlsd d;

	start(&d, AF_INET, 0, ours, TLSD_CHAIN);
	ask_port("nowhere.example.jp", d.port, 0);
	check(FAULT_UNSENT, "resolve", "the addresses of nowhere.example.jp cannot be found: there is none");
	/* Addresses that change while it settles: only those of now count. */
	names.answers[0] = "127.0.0.2";
	names.answers[1] = "127.0.0.1";
	ask_port("www.example.jp", d.port, 800);
	check_fine();
	assert_int_equal(names.n_asked, 1);
	tlsd_stop(&d);
}

static void test_many(_unused_ void **state)
{
	struct tlsd d[VERIFY_ADDRESSES_MAX];
	char list[300] = "127.0.0.1";

	start(&d[0], AF_INET, 0, ours, TLSD_CHAIN);
	for (unsigned i = 1; i < VERIFY_ADDRESSES_MAX; i++) {
		d[i] = (struct tlsd){ .ctx = tlsd_context(0), .host = i + 1 };
		tlsd_add(d[i].ctx, ours, TLSD_CHAIN);
		tlsd_start(&d[i], AF_INET, d[0].port);
	}
	for (unsigned i = 2; i <= VERIFY_ADDRESSES_MAX + 4; i++) /* nobody listens at the last four */
		(void)snprintf(list + strlen(list), sizeof list - strlen(list), " 127.0.0.%u", i);
	names.answers[0] = list;
	ask_port("www.example.jp", d[0].port, 0);
	check_noted("of 20 addresses 16 were looked at");
	for (unsigned i = 0; i < VERIFY_ADDRESSES_MAX; i++) {
		assert_int_equal(atomic_load(&d[i].n_done), 1);
		tlsd_stop(&d[i]);
	}
}

/* To a group of hosts no TCP connection leads, so the kernel says the same as where there is no route. */
static void test_no_route(_unused_ void **state)
{
	_cleanup_free_ char *note = NULL;
	struct tlsd d;

	start(&d, AF_INET, 0, ours, TLSD_CHAIN);
	names.answers[0] = "127.0.0.1 " NO_ROUTE;
	ask_port("www.example.jp", d.port, 0);
	note = xasprintf("[" NO_ROUTE "]:%u was not looked at: this machine has no route for IPv6", d.port);
	check_noted(note);
	names.answers[0] = NO_ROUTE; /* then it is all there is */
	ask_port("www.example.jp", d.port, 0);
	check(FAULT_UNSENT, "connect", "this machine has no route there");
	names.answers[0] = "127.0.0.1 ::1 " NO_ROUTE; /* there is IPv6 */
	ask_port("www.example.jp", d.port, 0);
	check(FAULT_UNSENT, "connect", "2 of 3 addresses are wrong: ");
	names.answers[0] = "127.0.0.2 " NO_ROUTE; /* wrong in the family that can be seen */
	ask_port("www.example.jp", d.port, 0);
	check(FAULT_UNSENT, "connect", "127.0.0.2:");
	tlsd_stop(&d);
}

/* --- cancel -------------------------------------------------------------------------------------------------- */

static void test_cancel(_unused_ void **state)
{
	_cleanup_free_ char *connect = NULL;
	struct verify_call *c = NULL;
	struct tlsd d;

	verify_cancel(&c);
	start(&d, AF_INET, 0, older, TLSD_CHAIN);
	connect = xasprintf("127.0.0.1:%u", d.port);
	c = begin(connect, ours->fullchain, LONG_MS);
	verify_cancel(&c); /* before the first turn */
	assert_null(c);
	c = begin("www.example.jp:1", ours->fullchain, LONG_MS);
	(void)loop_drain(loop, 1);
	verify_cancel(&c);
	c = begin(connect, ours->fullchain, LONG_MS);
	(void)loop_drain(loop, 300); /* in a pause */
	assert_true(atomic_load(&d.n_accepted) > 0);
	verify_cancel(&c);
	(void)begin(connect, ours->fullchain, LONG_MS);
	(void)begin(connect, ours->fullchain, LONG_MS);
	verify_free(verify);			     /* with everything that is under way */
	assert_int_equal(loop_drain(loop, 2000), 1); /* the guard */
	assert_int_equal(seen.n, 0);
	assert_int_equal(verify_new(loop, &verify, NULL), 0);
	tlsd_stop(&d);
}

static int group_setup(_unused_ void **state)
{
	(void)alarm(120);
	ours = site_new(testpki_ec(), "www.example.jp", 90);
	older = site_new(testpki_ec(), "www.example.jp", 5);
	other = site_new(testpki_ec(), "www.example.jp", 60);
	old_rsa = site_new(testpki_rsa(2048), "www.example.jp", 5);
	gone = site_new(testpki_ec(), "www.example.jp", -1);
	return 0;
}

static int group_teardown(_unused_ void **state)
{
	site_free(ours);
	site_free(older);
	site_free(other);
	site_free(old_rsa);
	site_free(gone);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_served),	    TEST(test_not_served),
		TEST(test_older),	    TEST(test_incomplete_and_expired),
		TEST(test_two_kinds),	    TEST(test_down),
		TEST(test_unusable_file),   TEST(test_settles),
		TEST(test_does_not_settle), TEST(test_comes_up),
		TEST(test_both_families),   TEST(test_old_and_other),
		TEST(test_names),	    TEST(test_many),
		TEST(test_no_route),	    TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
