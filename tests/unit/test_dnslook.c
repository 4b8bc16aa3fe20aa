/* SPDX-License-Identifier: Apache-2.0 */
/* The look at proofs in a small world: a resolver and several name servers on 127.0.0.x, each with its own idea of the zones. */
#include "daemon/dcv/dnslook.h"

#include "common/clock.h"
#include "tests/unit/dns_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TOKEN	 "2026112100000012ab34cd56ef78gh90"
#define RESOLVER "127.0.0.1"

/* Who knows what: address, name ("*.x": a wildcard), type, value ("": the name exists), tokens are TXT. */
struct fact {
	const char *address;
	const char *name;
	unsigned type;
	const char *value;
};

/* Two of ns1 and ns2 are the same for all. The resolver follows nothing but what stands here. */
static const struct fact facts[] = {
	/* the resolver's view */
	{ RESOLVER, "example.jp", T_SOA, "" },
	{ RESOLVER, "example.jp", T_NS, "ns1.example.jp" },
	{ RESOLVER, "example.jp", T_NS, "ns2.example.jp" },
	{ RESOLVER, "ns1.example.jp", T_A, "127.0.0.2" },
	{ RESOLVER, "ns2.example.jp", T_A, "127.0.0.3" },
	{ RESOLVER, "sub.example.jp", T_SOA, "" },
	{ RESOLVER, "sub.example.jp", T_NS, "ns3.example.net" },
	{ RESOLVER, "ns3.example.net", T_A, "127.0.0.4" },
	{ RESOLVER, "dcv.example.net", T_SOA, "" },
	{ RESOLVER, "dcv.example.net", T_NS, "ns3.example.net" },
	{ RESOLVER, "_dnsauth.away.example.jp", T_CNAME, "away.dcv.example.net" },
	{ RESOLVER, "_dnsauth.loop.example.jp", T_CNAME, "loop2.example.jp" },
	{ RESOLVER, "loop2.example.jp", T_CNAME, "_dnsauth.loop.example.jp" },
	{ RESOLVER, "v6.example", T_SOA, "" },
	{ RESOLVER, "v6.example", T_NS, "ns1.v6.example" },
	{ RESOLVER, "ns1.v6.example", T_A, "127.0.0.2" },
	{ RESOLVER, "ns1.v6.example", T_AAAA, "fe80::1" },
	{ RESOLVER, "only6.example", T_SOA, "" },
	{ RESOLVER, "only6.example", T_NS, "ns1.only6.example" },
	{ RESOLVER, "only6.example", T_NS, "ns1.example.jp" },
	{ RESOLVER, "ns1.only6.example", T_AAAA, "fe80::1" },
	{ RESOLVER, "down.example", T_SOA, "" },
	{ RESOLVER, "down.example", T_NS, "ns1.example.jp" },
	{ RESOLVER, "down.example", T_NS, "ns9.example.jp" },
	{ RESOLVER, "ns9.example.jp", T_A, "127.0.0.9" },
	{ RESOLVER, "gone.example", T_SOA, "" },
	{ RESOLVER, "gone.example", T_NS, "ns1.example.jp" },
	{ RESOLVER, "gone.example", T_NS, "nowhere.example.jp" },
	{ RESOLVER, "empty.example", T_SOA, "" },
	{ RESOLVER, "empty.example", T_NS, "nowhere.example.jp" },
	{ RESOLVER, "lost.example", T_SOA, "" },
	{ RESOLVER, "lost.example", T_NS, "ns1.example.jp" },
	{ RESOLVER, "lost.example", T_NS, "servfail.example.jp" },
	{ RESOLVER, "_dnsauth.given.example", T_TXT, TOKEN },
	{ RESOLVER, "_dnsauth.dead.example.jp", T_CNAME, TOKEN ".dcv.digicert.com" },
	/* ns1 and ns2 */
	{ "127.0.0.2", "_dnsauth.www.example.jp", T_TXT, "other" },
	{ "127.0.0.2", "_dnsauth.www.example.jp", T_TXT, "prefix " TOKEN " suffix" },
	{ "127.0.0.3", "_dnsauth.www.example.jp", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.lag.example.jp", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.old.example.jp", T_TXT, TOKEN },
	{ "127.0.0.3", "_dnsauth.old.example.jp", T_TXT, "yesterday's" },
	{ "127.0.0.2", "_dnsauth.cn.example.jp", T_CNAME, TOKEN ".dcv.digicert.com" },
	{ "127.0.0.3", "_dnsauth.cn.example.jp", T_CNAME, TOKEN ".DCV.digicert.com" },
	{ "127.0.0.2", "_dnsauth.away.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.3", "_dnsauth.away.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.2", "_dnsauth.late.example.jp", T_CNAME, "late.dcv.example.net" },
	{ "127.0.0.3", "_dnsauth.late.example.jp", T_CNAME, "late.dcv.example.net" },
	{ "127.0.0.2", "_dnsauth.half.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.2", "_dnsauth.two.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.3", "_dnsauth.two.example.jp", T_CNAME, "late.dcv.example.net" },
	{ "127.0.0.2", "_dnsauth.loop.example.jp", T_CNAME, "loop2.example.jp" },
	{ "127.0.0.3", "_dnsauth.loop.example.jp", T_CNAME, "loop2.example.jp" },
	{ "127.0.0.2", "loop2.example.jp", T_CNAME, "_dnsauth.loop.example.jp" },
	{ "127.0.0.3", "loop2.example.jp", T_CNAME, "_dnsauth.loop.example.jp" },
	{ "127.0.0.2", "*.wild.example.jp", T_TXT, "v=spf1 -all" },
	{ "127.0.0.3", "*.wild.example.jp", T_TXT, "v=spf1 -all" },
	{ "127.0.0.2", "*.wildc.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.3", "*.wildc.example.jp", T_CNAME, "away.dcv.example.net" },
	{ "127.0.0.2", "_dnsauth.v6.example", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.only6.example", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.down.example", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.gone.example", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.lost.example", T_TXT, TOKEN },
	{ "127.0.0.2", "_dnsauth.dead.example.jp", T_CNAME, TOKEN ".dcv.digicert.com" },
	{ "127.0.0.3", "_dnsauth.dead.example.jp", T_CNAME, TOKEN ".dcv.digicert.com" },
	/* ns3: a zone below example.jp, and the one that proofs are delegated to */
	{ "127.0.0.4", "_dnsauth.a.sub.example.jp", T_TXT, TOKEN },
	{ "127.0.0.4", "away.dcv.example.net", T_TXT, TOKEN },
};

static struct loop *loop;
static struct dnslook *look;
static atomic_int n_recursive; /* questions with RD to others than the resolver */
static atomic_int n_soa;

/* --- the world ------------------------------------------------------------------------------------------ */

static void say_fact(struct dnsd_reply *r, const struct fact *f)
{
	unsigned char a[16];

	if (f->value[0] == '\0')
		reply_rr(r, NULL, T_SOA, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
	else if (f->type == T_A && inet_pton(AF_INET, f->value, a))
		reply_rr(r, NULL, T_A, a, 4);
	else if (f->type == T_AAAA && inet_pton(AF_INET6, f->value, a))
		reply_rr(r, NULL, T_AAAA, a, 16);
	else if (f->type == T_TXT)
		reply_txt(r, NULL, f->value);
	else
		reply_name(r, NULL, f->type, f->value);
}

static bool fits(const struct fact *f, const struct dnsd_query *q, bool wild)
{
	size_t tail = strlen(f->name);
	size_t len = strlen(q->name);

	if (strcmp(f->address, q->address) != 0)
		return false;
	if (!wild || f->name[0] != '*')
		return !wild && strcmp(f->name, q->name) == 0;
	return len > tail && strcmp(q->name + len - tail + 1, f->name + 1) == 0;
}

static bool say_facts(struct dnsd_reply *r, const struct dnsd_query *q, bool wild)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		if (!fits(&facts[i], q, wild))
			continue;
		known = true;
		if (facts[i].type == q->type || facts[i].type == T_CNAME)
			say_fact(r, &facts[i]);
	}
	return known;
}

static void answer(const struct dnsd_query *q, struct dnsd_reply *r)
{
	bool resolver = strcmp(q->address, RESOLVER) == 0;

	if (!resolver && q->recurse)
		atomic_fetch_add(&n_recursive, 1);
	if (q->type == T_SOA)
		atomic_fetch_add(&n_soa, 1);
	reply_start(r, q, 0, !resolver);
	if (strcmp(q->name, "servfail.example.jp") == 0 || strstr(q->name, "broken.") ||
	    (resolver && q->type != T_CNAME && strstr(q->name, ".dead.")))
		r->p[3] = 2;
	else if (strcmp(q->address, "127.0.0.4") == 0 && strstr(q->name, "lame."))
		r->p[2] &= 0xfb; /* a referral */
	else if (!say_facts(r, q, false) && !say_facts(r, q, true))
		r->p[3] = 3;
}

/* --- the client's side ------------------------------------------------------------------------------------ */

static struct outcome got;
static char *got_name;
static int n_got;

static void done(const struct outcome *o, _unused_ void *owner)
{
	got = *o;
	n_got++;
	loop_stop(loop);
}

static void target_done(const struct outcome *o, const char *name, _unused_ void *owner)
{
	free(got_name);
	got_name = xstrdup_opt(name);
	done(o, owner);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no end within 20 s");
}

static void wait_for_it(void)
{
	struct timer *guard = timer_new(loop, too_long, NULL);

	assert_int_equal(n_got, 0);
	timer_set(guard, 20000);
	loop_run(loop);
	timer_free(guard);
	assert_int_equal(n_got, 1);
}

static void look_at(const struct dnslook_proof *proofs, size_t n, const char *server)
{
	n_got = 0;
	dnslook_start(look, proofs, n, server, done, NULL, NULL);
	wait_for_it();
}

static void expect_at(const char *fqdn, const char *server, enum fault fault, const char *code,
		      const char *message)
{
	const struct dnslook_proof p = { .fqdn = fqdn, .type = DNSLOOK_TXT, .value = TOKEN };
	_cleanup_free_ char *want = NULL;
	const char *port = strstr(message, "@");

	/* "@" stands for the port. */
	want = port ? xasprintf("%.*s%u%s", (int)(port - message), message, dnsd.port, port + 1)
		    : xstrdup(message);
	look_at(&p, 1, server);
	if (got.fault != fault || strcmp(got.code, code) != 0 || strcmp(got.message, want) != 0)
		fail_msg("%s: %s, %s: %s\nwanted %s", fqdn, fault_name(got.fault), got.code, got.message,
			 want);
}

static void expect(const char *fqdn, enum fault fault, const char *code, const char *message)
{
	expect_at(fqdn, NULL, fault, code, message);
}

static int setup(_unused_ void **state)
{
	static const char *const addresses[] = { RESOLVER, "127.0.0.2", "127.0.0.3", "127.0.0.4" };
	char resolver[64];

	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(dnslook_new(loop, &look, NULL), 0);
	dnsd_start(addresses, ARRAY_SIZE(addresses), answer);
	(void)snprintf(resolver, sizeof resolver, RESOLVER ":%u", dnsd.port);
	dnslook_use_resolver(look, resolver, dnsd.port);
	return 0;
}

static int teardown(_unused_ void **state)
{
	dnslook_free(look);
	assert_int_equal(loop_drain(loop, 1000), 0);
	loop_free(loop);
	dnsd_stop();
	free(got_name);
	return 0;
}

/* --- looks ------------------------------------------------------------------------------------------------ */

static void test_good(_unused_ void **state)
{
	struct dnslook_proof cname = { .fqdn = "_dnsauth.cn.example.jp.",
				       .type = DNSLOOK_CNAME,
				       .value = TOKEN ".dcv.digicert.com." };

	expect("_dnsauth.www.example.jp", FAULT_NONE, "", "");
	expect("_DNSAUTH.www.Example.JP.", FAULT_NONE, "", "");
	expect("_dnsauth.a.sub.example.jp", FAULT_NONE, "", "");
	expect("_dnsauth.away.example.jp", FAULT_NONE, "", "");
	expect("any.wildc.example.jp", FAULT_NONE, "", ""); /* a wildcard that leads to the value */
	expect("_dnsauth.gone.example", FAULT_NONE, "", "");
	look_at(&cname, 1, NULL);
	assert_int_equal(got.fault, FAULT_NONE);
	cname.fqdn = "_dnsauth.dead.example.jp"; /* the resolver fails behind the CNAME */
	look_at(&cname, 1, NULL);
	assert_string_equal(got.message, "");
	assert_int_equal(got.fault, FAULT_NONE);
	assert_int_equal(atomic_load(&n_recursive), 0);
}

static void test_lacking(_unused_ void **state)
{
	expect("_dnsauth.lag.example.jp", FAULT_REFUSED, "nxdomain",
	       "ns2.example.jp (127.0.0.3:@): there is no name _dnsauth.lag.example.jp: the record "
	       "(\"202611210000...\") is not written, or has not reached this server yet (1 of 2 answers are "
	       "bad)");
	expect("_dnsauth.old.example.jp", FAULT_REFUSED, "wrong_value",
	       "ns2.example.jp (127.0.0.3:@): TXT of _dnsauth.old.example.jp is \"yesterday's\", not "
	       "\"202611210000...\": an old or another record (1 of 2 answers are bad)");
	expect("_dnsauth.absent.example.jp", FAULT_REFUSED, "nxdomain",
	       "ns1.example.jp (127.0.0.2:@): there is no name _dnsauth.absent.example.jp: the record "
	       "(\"202611210000...\") is not written, or has not reached this server yet (2 of 2 answers are "
	       "bad)");
	expect("_dnsauth.x.wild.example.jp", FAULT_REFUSED, "wrong_value",
	       "ns1.example.jp (127.0.0.2:@): TXT of _dnsauth.x.wild.example.jp is \"v=spf1 -all\", not "
	       "\"202611210000...\": an old or another record (2 of 2 answers are bad)");
	expect("_dnsauth.lame.sub.example.jp", FAULT_REFUSED, "lame",
	       "ns3.example.net (127.0.0.4:@): has no TXT record at _dnsauth.lame.sub.example.jp and does "
	       "not serve "
	       "its zone: correct the NS records (1 of 1 answers are bad)");
}

static void test_cnames(_unused_ void **state)
{
	const struct dnslook_proof cname = { .fqdn = "_dnsauth.away.example.jp",
					     .type = DNSLOOK_CNAME,
					     .value = TOKEN ".dcv.digicert.com" };

	expect("_dnsauth.late.example.jp", FAULT_REFUSED, "nxdomain",
	       "ns3.example.net (127.0.0.4:@): there is no name late.dcv.example.net: the record "
	       "(\"202611210000...\") is not written, or has not reached this server yet (1 of 3 answers are "
	       "bad)");
	expect("_dnsauth.half.example.jp", FAULT_REFUSED, "nxdomain",
	       "ns2.example.jp (127.0.0.3:@): there is no name _dnsauth.half.example.jp: the record "
	       "(\"202611210000...\") is not written, or has not reached this server yet (1 of 2 answers are "
	       "bad)");
	expect("_dnsauth.two.example.jp", FAULT_REFUSED, "cname_differs",
	       "ns2.example.jp (127.0.0.3:@): the CNAME leads to late.dcv.example.net, other servers say "
	       "away.dcv.example.net (1 of 2 answers are bad)");
	expect("_dnsauth.loop.example.jp", FAULT_REFUSED, "cname_loop",
	       "_dnsauth.loop.example.jp: more than 8 CNAMEs, the last one to loop2.example.jp: correct the "
	       "delegation (1 of 18 answers are bad)");
	look_at(&cname, 1, NULL);
	assert_int_equal(got.fault, FAULT_REFUSED);
	assert_non_null(
		strstr(got.message, "CNAME of _dnsauth.away.example.jp is \"away.dcv.example.net\", not "));
}

static void test_unclear(_unused_ void **state)
{
	expect("_dnsauth.v6.example", FAULT_NONE, "",
	       "IPv6 addresses that were not asked, no route from here: 1");
	expect("_dnsauth.only6.example", FAULT_UNCLEAR, "no_route",
	       "ns1.only6.example: [fe80::1]:@: TXT of _dnsauth.only6.example: no route to this address "
	       "(1 of 2 answers are bad)");
	expect("_dnsauth.down.example", FAULT_UNCLEAR, "connect",
	       "ns9.example.jp: 127.0.0.9:@: TXT of _dnsauth.down.example: the port is closed, or the "
	       "connection was "
	       "dropped (1 of 2 answers are bad)");
	expect("_dnsauth.empty.example", FAULT_UNCLEAR, "no_servers",
	       "none of the name servers of empty.example has an address (1 of 1 answers are bad)");
	expect("_dnsauth.unregistered.test", FAULT_UNCLEAR, "no_zone",
	       "no zone was found for _dnsauth.unregistered.test: is the domain registered? (1 of 1 answers "
	       "are bad)");
	expect("_dnsauth.broken.example.jp", FAULT_UNCLEAR, "servfail",
	       RESOLVER
	       ":@: SOA of _dnsauth.broken.example.jp: the server says servfail (1 of 1 answers are bad)");
	expect("_dnsauth.lost.example", FAULT_UNCLEAR, "servfail",
	       "the address of name server servfail.example.jp is not known: " RESOLVER
	       ":@: A of servfail.example.jp: the server says servfail (1 of 2 answers are bad)");
}

static void test_given_server(_unused_ void **state)
{
	char server[64];
	int soa = atomic_load(&n_soa);

	(void)snprintf(server, sizeof server, RESOLVER ":%u", dnsd.port);
	expect_at("_dnsauth.given.example", server, FAULT_NONE, "", "");
	expect_at(
		"_dnsauth.loop.example.jp", server, FAULT_REFUSED, "cname_loop",
		"_dnsauth.loop.example.jp: more than 8 CNAMEs, the last one to loop2.example.jp: correct the "
		"delegation (1 of 9 answers are bad)");
	expect_at("_dnsauth.none.example", server, FAULT_REFUSED, "nxdomain",
		  RESOLVER
		  ":@: there is no name _dnsauth.none.example: the record (\"202611210000...\") is not "
		  "written, or has not reached this server yet (1 of 1 answers are bad)");
	assert_int_equal(atomic_load(&n_soa), soa);
}

/* Several proofs: what is certain speaks first, names on the way are asked once, a dead server is waited for once. */
static void test_many(_unused_ void **state)
{
	static char names[100][64];
	struct dnslook_proof proofs[100];
	int soa = atomic_load(&n_soa);
	char want[64];

	for (size_t i = 0; i < ARRAY_SIZE(proofs); i++) {
		(void)snprintf(names[i], sizeof names[i], "h%zu.wildc.example.jp", i);
		proofs[i] = (struct dnslook_proof){ .fqdn = names[i], .value = TOKEN };
	}
	look_at(proofs, ARRAY_SIZE(proofs), NULL);
	assert_string_equal(got.message, "");
	assert_int_equal(got.fault, FAULT_NONE);
	/* 100 names, wildc.example.jp, example.jp, away.dcv.example.net, dcv.example.net */
	assert_int_equal(atomic_load(&n_soa) - soa, 104);

	proofs[0].fqdn = "_dnsauth.down.example";
	proofs[1].fqdn = "_dnsauth.lag.example.jp";
	look_at(proofs, ARRAY_SIZE(proofs), NULL);
	assert_int_equal(got.fault, FAULT_REFUSED);
	(void)snprintf(want, sizeof want, "ns2.example.jp (127.0.0.3:%u): ", dnsd.port);
	assert_memory_equal(got.message, want, strlen(want));
	assert_non_null(strstr(got.message, "(2 of "));
}

static void test_target(_unused_ void **state)
{
	static const struct {
		const char *fqdn, *name, *code;
	} cases[] = {
		{ "_dnsauth.www.example.jp.", "_dnsauth.www.example.jp", "" },
		{ "_dnsauth.away.example.jp", "away.dcv.example.net", "" },
		{ "_dnsauth.loop.example.jp", NULL, "cname_loop" },
		{ "_dnsauth.broken.example.jp", NULL, "servfail" },
	};
	char server[64];

	(void)snprintf(server, sizeof server, RESOLVER ":%u", dnsd.port);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		n_got = 0;
		dnslook_target_start(look, cases[i].fqdn, server, target_done, NULL, NULL);
		wait_for_it();
		assert_string_equal(got.code, cases[i].code);
		assert_int_equal(got.fault == FAULT_NONE, cases[i].name != NULL);
		assert_true(cases[i].name ? strcmp(got_name, cases[i].name) == 0 : !got_name);
	}
}

static void test_cancel(_unused_ void **state)
{
	const struct dnslook_proof p[] = {
		{ .fqdn = "_dnsauth.www.example.jp", .value = TOKEN },
		{ .fqdn = "_dnsauth.away.example.jp", .value = TOKEN },
	};
	struct dnslook_call *c = NULL;

	n_got = 0;
	dnslook_cancel(&c);
	dnslook_target_start(look, p[0].fqdn, NULL, target_done, NULL, &c);
	dnslook_cancel(&c);
	/* At every stage. */
	for (int64_t ms = 0; ms < 12; ms++) {
		n_got = 0;
		dnslook_start(look, p, ARRAY_SIZE(p), NULL, done, NULL, &c);
		if (ms > 0)
			(void)loop_drain(loop, ms);
		if (n_got == 0)
			dnslook_cancel(&c);
		n_got = 0;
		(void)loop_drain(loop, 5);
		assert_int_equal(n_got, 0);
	}
	expect("_dnsauth.www.example.jp", FAULT_NONE, "", "");
	dnslook_start(look, p, ARRAY_SIZE(p), NULL, done, NULL, NULL); /* for dnslook_free() */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	     cmocka_unit_test(test_lacking),
		cmocka_unit_test(test_cnames),	     cmocka_unit_test(test_unclear),
		cmocka_unit_test(test_given_server), cmocka_unit_test(test_many),
		cmocka_unit_test(test_target),	     cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
