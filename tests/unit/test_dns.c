/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups against a server that misbehaves on request (the first label of the name says how), and the reader of messages
 * against bytes that nobody would send by accident. */
#include "daemon/io/dns.h"

#include "common/clock.h"
#include "tests/unit/dns_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HERE "127.0.0.1"

static struct loop *loop;
static struct dns *dns;
static char server[64];
static atomic_int n_dropped;

/* --- the server ---------------------------------------------------------------------------------------- */

static bool is(const struct dnsd_query *q, const char *label)
{
	size_t len = strlen(label);

	return strncmp(q->name, label, len) == 0 && q->name[len] == '.';
}

static void say_values(const struct dnsd_query *q, struct dnsd_reply *r)
{
	if (q->type == T_A)
		reply_rr(r, NULL, T_A, "\x7f\0\0\x05", 4);
	else if (q->type == T_AAAA)
		reply_rr(r, NULL, T_AAAA, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	else if (q->type == T_NS)
		reply_name(r, NULL, T_NS, "ns1.example.jp");
	else if (q->type == T_CNAME)
		reply_name(r, NULL, T_CNAME, "end.example.net");
	else if (q->type == T_CAA)
		reply_rr(r, NULL, T_CAA, "\x80\5issueca.example; a=\"b\"\n", 25);
	else if (q->type == T_SOA)
		reply_rr(r, NULL, T_SOA, "\2ns\0\4host\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5",
			 4 + 6 + 20);
	else
		reply_txt(r, NULL, "one");
}

static void say_many(struct dnsd_reply *r, unsigned n)
{
	char text[80];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(text, sizeof text, "record-%03u-%s", i, "abcdefghijklmnopqrstuvwxyz");
		reply_txt(r, NULL, text);
	}
}

/* Something else comes before the true answer. */
static void say_first(struct dnsd_reply *r, size_t at)
{
	memcpy(r->first, r->p, r->len);
	r->first_len = r->len;
	r->first[at] ^= 1;
	reply_txt(r, NULL, "true");
}

static void misbehave(const struct dnsd_query *q, struct dnsd_reply *r)
{
	if (is(q, "nx"))
		r->p[3] = 3;
	else if (is(q, "servfail"))
		r->p[3] = 2;
	else if (is(q, "refused"))
		r->p[3] = 5;
	else if (is(q, "wrongid"))
		say_first(r, 1);
	else if (is(q, "wrongquestion"))
		say_first(r, 13);
	else if (is(q, "garbage"))
		reply_rr(r, NULL, T_TXT,
			 "\xff"
			 "abc",
			 4);
	else if (is(q, "mute") || (is(q, "tcpmute") && q->tcp))
		r->len = 0;
	else if (is(q, "drop") && atomic_fetch_add(&n_dropped, 1) == 0)
		r->len = 0;
	else if (is(q, "formerr") && q->n_additional > 0)
		r->p[3] = 1;
	else if (is(q, "tcpmute"))
		r->p[2] |= 2;
	else
		say_values(q, r);
}

static void answer(const struct dnsd_query *q, struct dnsd_reply *r)
{
	reply_start(r, q, 0, !q->recurse);
	if (is(q, "joined"))
		reply_rr(r, NULL, T_TXT, "\3abc\0\4defg\3\n\x80\\", 1 + 3 + 1 + 1 + 4 + 1 + 3);
	else if (is(q, "fifty"))
		say_many(r, 50);
	else if (is(q, "thousand"))
		say_many(r, 1000);
	else if (is(q, "alias")) {
		reply_txt(r, "c.example.jp", "behind");
		reply_name(r, "B.example.jp", T_CNAME, "c.example.jp");
		reply_name(r, NULL, T_CNAME, "b.example.jp");
	} else if (!is(q, "nodata"))
		misbehave(q, r);
}

/* --- the client's side ----------------------------------------------------------------------------------- */

struct seen {
	struct dns_call *call;
	int n;
	struct outcome o;
	bool nx, aa;
	size_t n_values;
	char *first, *last;
	char *owner;
	char *cname;
	struct seen *also_cancel;
};

static int waiting;

static void done(const struct dns_answer *a, void *owner)
{
	struct seen *s = owner;

	dns_cancel(&s->call); /* of the call that is being told: allowed, does nothing */
	s->n++;
	s->o = a->outcome;
	s->nx = a->nxdomain;
	s->aa = a->authoritative;
	s->n_values = a->n_values;
	s->first = a->n_values > 0 ? xstrdup(a->values[0]) : NULL;
	s->last = a->n_values > 0 ? xstrdup(a->values[a->n_values - 1]) : NULL;
	s->owner = xstrdup(a->owner);
	s->cname = xstrdup_opt(a->cname);
	if (s->also_cancel)
		dns_cancel(&s->also_cancel->call);
	if (--waiting == 0)
		loop_stop(loop);
}

static void seen_done(struct seen *s)
{
	free(s->first);
	free(s->last);
	free(s->owner);
	free(s->cname);
	*s = (struct seen){ 0 };
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no answer within 10 s");
}

static void wait_for(int n)
{
	struct timer *guard = timer_new(loop, too_long, NULL);

	waiting = n;
	timer_set(guard, 10000);
	loop_run(loop);
	timer_free(guard);
}

static void begin(struct seen *s, const char *name, enum dns_type type, int64_t timeout_ms)
{
	const struct dns_query q = { .name = name, .type = type, .server = server, .timeout_ms = timeout_ms };

	dns_start(dns, &q, done, s, &s->call);
	assert_int_equal(s->n, 0);
}

static void look(struct seen *s, const char *name, enum dns_type type)
{
	seen_done(s);
	begin(s, name, type, 2000);
	wait_for(1);
	assert_int_equal(s->n, 1);
}

static int setup(_unused_ void **state)
{
	static const char *const addresses[] = { HERE };

	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(dns_new(loop, &dns, NULL), 0);
	dnsd_start(addresses, 1, answer);
	(void)snprintf(server, sizeof server, HERE ":%u", dnsd.port);
	return 0;
}

static int teardown(_unused_ void **state)
{
	dns_free(dns);
	assert_int_equal(loop_drain(loop, 1000), 0);
	loop_free(loop);
	dnsd_stop();
	return 0;
}

/* --- look-ups ------------------------------------------------------------------------------------------- */

static void test_types(_unused_ void **state)
{
	static const struct {
		enum dns_type type;
		const char *value;
	} cases[] = {
		{ DNS_A, "127.0.0.5" },
		{ DNS_AAAA, "2001:db8::1" },
		{ DNS_NS, "ns1.example.jp" },
		{ DNS_CNAME, "end.example.net" },
		{ DNS_SOA, "ns host 1 2 3 4 5" },
		{ DNS_TXT, "one" },
		{ DNS_CAA, "128 issue ca.example; a=\"b\"\\x0a" },
	};
	struct seen s = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		look(&s, "ok.example.jp.", cases[i].type);
		assert_int_equal(s.o.fault, FAULT_NONE);
		assert_true(s.aa && !s.nx && s.n_values == 1);
		assert_string_equal(s.first, cases[i].value);
		assert_string_equal(s.owner, "ok.example.jp");
		assert_null(s.cname);
	}
	seen_done(&s);
}

static void test_answers(_unused_ void **state)
{
	struct seen s = { 0 };

	look(&s, "nx.example.jp", DNS_TXT);
	assert_true(s.o.fault == FAULT_NONE && s.nx && s.n_values == 0);
	look(&s, "nodata.example.jp", DNS_TXT);
	assert_true(s.o.fault == FAULT_NONE && !s.nx && s.n_values == 0);
	look(&s, "joined.example.jp", DNS_TXT);
	assert_string_equal(s.first, "abcdefg\\x0a\\x80\\");
	look(&s, "alias.example.jp", DNS_TXT);
	assert_string_equal(s.first, "behind");
	assert_string_equal(s.owner, "c.example.jp");
	assert_string_equal(s.cname, "b.example.jp");
	look(&s, "servfail.example.jp", DNS_TXT);
	assert_int_equal(s.o.fault, FAULT_UNCLEAR);
	assert_string_equal(s.o.code, "servfail");
	assert_non_null(strstr(s.o.message, "TXT of servfail.example.jp: the server says servfail"));
	look(&s, "refused.example.jp", DNS_TXT);
	assert_string_equal(s.o.code, "refused");
	look(&s, "garbage.example.jp", DNS_TXT);
	assert_int_equal(s.o.fault, FAULT_UNCLEAR);
	assert_string_equal(s.o.code, "bad_answer");
	assert_true(s.n_values == 0 && s.owner[0] == '\0');
	seen_done(&s);
}

static void test_network(_unused_ void **state)
{
	struct seen s = { 0 };
	int n_tcp = atomic_load(&dnsd.n_tcp);

	look(&s, "fifty.example.jp", DNS_TXT);
	assert_int_equal(s.n_values, 50);
	assert_string_equal(s.last, "record-049-abcdefghijklmnopqrstuvwxyz");
	assert_int_equal(atomic_load(&dnsd.n_tcp), n_tcp + 1);
	look(&s, "thousand.example.jp", DNS_TXT);
	assert_int_equal(s.n_values, DNS_VALUES_MAX);
	look(&s, "tcpmute.example.jp", DNS_TXT);
	assert_int_equal(s.o.fault, FAULT_UNCLEAR);
	look(&s, "wrongid.example.jp", DNS_TXT);
	assert_string_equal(s.first, "true");
	look(&s, "wrongquestion.example.jp", DNS_TXT);
	assert_string_equal(s.first, "true");
	look(&s, "drop.example.jp", DNS_TXT);
	assert_string_equal(s.first, "one");
	look(&s, "formerr.example.jp", DNS_TXT); /* a server from before 1999 */
	assert_string_equal(s.first, "one");
	seen_done(&s);
}

static void test_timeout(_unused_ void **state)
{
	struct seen s = { 0 };
	int64_t start_ms = clock_mono_ms();
	int n_udp = atomic_load(&dnsd.n_udp);

	begin(&s, "mute.example.jp", DNS_TXT, 700);
	wait_for(1);
	assert_int_equal(s.o.fault, FAULT_UNCLEAR);
	assert_string_equal(s.o.code, "timeout");
	assert_in_range(clock_mono_ms() - start_ms, 650, 2500);
	assert_int_equal(atomic_load(&dnsd.n_udp) - n_udp, 3);
	seen_done(&s);
}

static void test_unreachable(_unused_ void **state)
{
	static const struct {
		const char *server, *name, *code;
	} cases[] = {
		{ HERE ":1", "a.example.jp", "connect" },
		{ "[fe80::1]:53", "a.example.jp", "no_route" }, /* of no interface */
		{ "ns1.example.jp", "a.example.jp", "bad_server" },
		{ HERE ":0", "a.example.jp", "bad_server" },
		{ HERE ":65536", "a.example.jp", "bad_server" },
		{ HERE ":", "a.example.jp", "bad_server" },
		{ "[::1", "a.example.jp", "bad_server" },
		{ "[::1]53", "a.example.jp", "bad_server" },
		{ HERE "," HERE, "a.example.jp", "bad_server" },
		{ HERE, "a..example.jp", "bad_name" },
		{ HERE, ".example.jp", "bad_name" },
		{ HERE, "", "bad_name" },
		{ HERE, "a\\25.example.jp", "bad_name" },
		{ HERE, "a\\", "bad_name" },
	};
	struct seen s = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct dns_query q = { .name = cases[i].name,
					     .server = cases[i].server,
					     .timeout_ms = 700 };

		dns_start(dns, &q, done, &s, &s.call);
		assert_int_equal(s.n, 0);
		wait_for(1);
		if (strcmp(s.o.code, cases[i].code) != 0)
			fail_msg("%s: %s: %s", cases[i].server, s.o.code, s.o.message);
		assert_int_equal(s.o.fault, strcmp(s.o.code, "connect") == 0 ? FAULT_UNCLEAR : FAULT_UNSENT);
		seen_done(&s);
	}
}

static void test_cancel(_unused_ void **state)
{
	struct seen a = { 0 };
	struct seen b = { 0 };
	struct seen c = { 0 };
	struct dns_call *none = NULL;

	dns_cancel(&none);
	begin(&a, "ok.example.jp", DNS_TXT, 0);
	dns_cancel(&a.call);
	assert_null(a.call);
	begin(&a, "mute.example.jp", DNS_TXT, 0);
	begin(&b, "ok.example.jp", DNS_TXT, 0);
	b.also_cancel = &a;
	wait_for(1);
	assert_int_equal(a.n, 0);
	assert_int_equal(b.n, 1);
	seen_done(&b);
	/* What is under way when everything goes. */
	begin(&a, "mute.example.jp", DNS_TXT, 0);
	begin(&b, "tcpmute.example.jp", DNS_TXT, 0);
	(void)loop_drain(loop, 50);
	begin(&c, "ok.example.jp", DNS_TXT, 0);
	dns_free(dns);
	assert_int_equal(loop_drain(loop, 500), 0);
	assert_int_equal(a.n + c.n, 0);
	assert_int_equal(dns_new(loop, &dns, NULL), 0);
	seen_done(&a);
	seen_done(&b);
}

static void test_many(_unused_ void **state)
{
	static struct seen s[200];

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		begin(&s[i], i % 3 == 0 ? "fifty.example.jp" : "ok.example.jp", DNS_TXT, 8000);
	wait_for((int)ARRAY_SIZE(s));
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		assert_int_equal(s[i].n, 1);
		if (s[i].o.fault != FAULT_NONE)
			fail_msg("%zu: %s", i, s[i].o.message);
		assert_int_equal(s[i].n_values, i % 3 == 0 ? 50 : 1);
		seen_done(&s[i]);
	}
}

/* --- addresses ------------------------------------------------------------------------------------------ */

struct found {
	struct dns_call *call;
	int n;
	struct outcome o;
	size_t n_at;
	char text[DNS_ADDRESSES_MAX][INET6_ADDRSTRLEN];
};

static void on_found(const struct dns_addresses *a, void *owner)
{
	struct found *f = owner;

	dns_cancel(&f->call);
	f->n++;
	f->o = a->outcome;
	f->n_at = a->n;
	for (size_t i = 0; i < a->n; i++) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->at[i];
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->at[i];
		bool is_v6 = a->at[i].ss_family == AF_INET6;

		assert_int_equal(is_v6 ? v6->sin6_port : v4->sin_port, 0);
		assert_non_null(inet_ntop(a->at[i].ss_family,
					  is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
					  f->text[i], sizeof f->text[i]));
	}
	if (--waiting == 0)
		loop_stop(loop);
}

static void find_begin(struct found *f, const char *name, const char *at)
{
	const struct dns_query q = { .name = name, .server = at, .timeout_ms = 1400 };

	*f = (struct found){ 0 };
	dns_addresses_start(dns, &q, on_found, f, &f->call);
	assert_int_equal(f->n, 0);
}

static void find(struct found *f, const char *name, const char *at)
{
	find_begin(f, name, at);
	wait_for(1);
	assert_int_equal(f->n, 1);
}

static void check_found(const struct found *f, size_t n, enum fault fault, const char *code)
{
	assert_string_equal(f->o.code, code);
	assert_int_equal(f->o.fault, fault);
	assert_int_equal(f->n_at, n);
}

static void test_addresses(_unused_ void **state)
{
	static struct found f;
	bool v4 = false, v6 = false;

	find(&f, "ok.example.jp", server);
	check_found(&f, 2, FAULT_NONE, "");
	for (size_t i = 0; i < f.n_at; i++) {
		v4 = v4 || strcmp(f.text[i], "127.0.0.5") == 0;
		v6 = v6 || strcmp(f.text[i], "2001:db8::1") == 0;
	}
	assert_true(v4 && v6);
	find(&f, "nx.example.jp", server);
	check_found(&f, 0, FAULT_UNSENT, "no_address");
	assert_non_null(strstr(f.o.message, ": addresses of nx.example.jp: there is none"));
	find(&f, "nodata.example.jp", server);
	check_found(&f, 0, FAULT_UNSENT, "no_address");
	find(&f, "mute.example.jp", server);
	check_found(&f, 0, FAULT_UNCLEAR, "timeout");
	find(&f, "servfail.example.jp", server);
	check_found(&f, 0, FAULT_UNCLEAR, f.o.code);
	find(&f, "ok.example.jp", "nobody");
	check_found(&f, 0, FAULT_UNSENT, "bad_server");
	find(&f, "a..example.jp", server);
	check_found(&f, 0, FAULT_UNSENT, "bad_name");
}

/* The hosts file of this machine, without a question to anybody. */
static void test_hosts_file(_unused_ void **state)
{
	static struct found f;
	int n_udp = atomic_load(&dnsd.n_udp);
	bool here = false;

	find(&f, "localhost", NULL);
	assert_int_equal(f.o.fault, FAULT_NONE);
	for (size_t i = 0; i < f.n_at; i++) {
		here = here || strcmp(f.text[i], HERE) == 0;
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(f.text[i], f.text[k]);
	}
	assert_true(here);
	assert_int_equal(atomic_load(&dnsd.n_udp), n_udp);
}

static void test_addresses_cancel(_unused_ void **state)
{
	static struct found a, b, c;

	find_begin(&a, "ok.example.jp", server);
	dns_cancel(&a.call);
	assert_null(a.call);
	find_begin(&b, "mute.example.jp", server);
	find_begin(&c, "localhost", NULL); /* c-ares has answered this one already */
	dns_free(dns);
	assert_int_equal(loop_drain(loop, 500), 0);
	assert_int_equal(a.n + b.n + c.n, 0);
	assert_int_equal(dns_new(loop, &dns, NULL), 0);
}

/* --- the reader ------------------------------------------------------------------------------------------ */

static struct dnsd_reply m;

/* An answer to "a.jp". */
static void msg_start(unsigned type)
{
	unsigned char wire[12 + 6 + 4] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 2, 'j', 'p', 0 };
	struct dnsd_query q = { .wire = wire, .question_len = sizeof wire };

	wire[18] = (unsigned char)(type >> 8);
	wire[19] = (unsigned char)type;
	wire[21] = 1;
	reply_start(&m, &q, 0, true);
}

static int parse(enum dns_type type, struct dns_parsed **ret)
{
	_cleanup_free_ unsigned char *exact = xmemdup(m.p, m.len); /* so that one byte too far is seen */
	struct err err = ERR_INIT;
	int r = dns_parse(exact, m.len, type, ret, &err);

	assert_true(r == 0 || (r == -EBADMSG && err.text[0] != '\0'));
	return r;
}

static void expect_bad(enum dns_type type)
{
	struct dns_parsed *p = NULL;

	assert_int_equal(parse(type, &p), -EBADMSG);
	assert_null(p);
}

static void test_parse_bad_header(_unused_ void **state)
{
	for (size_t len = 0; len < 22; len++) {
		msg_start(T_TXT);
		m.len = len;
		if (len > 0)
			expect_bad(DNS_TXT);
	}
	msg_start(T_TXT);
	m.p[2] &= 0x7f; /* a question */
	expect_bad(DNS_TXT);
	msg_start(T_TXT);
	m.p[2] |= 2; /* truncated */
	expect_bad(DNS_TXT);
	msg_start(T_TXT);
	m.p[5] = 2;
	expect_bad(DNS_TXT);
	msg_start(T_A);
	expect_bad(DNS_TXT);
	msg_start(T_TXT);
	m.p[21] = 3; /* CHAOS */
	expect_bad(DNS_TXT);
	msg_start(T_TXT);
	m.p[7] = 1; /* a record that is not there */
	expect_bad(DNS_TXT);
}

/* Owner, data and length of one record that must spoil the message. */
static void bad_record(enum dns_type type, unsigned number, const char *owner, size_t owner_len,
		       const char *data, size_t len, unsigned rdlen)
{
	msg_start(number);
	m.p[7] = 1;
	reply_bytes(&m, owner, owner_len);
	reply_u16(&m, number);
	reply_u16(&m, 1);
	reply_bytes(&m, "\0\0\0\0", 4);
	reply_u16(&m, rdlen);
	reply_bytes(&m, data, len);
	expect_bad(type);
}

static void test_parse_bad_records(_unused_ void **state)
{
	/* The record begins at 22, its data at 34. */
	bad_record(DNS_TXT, T_TXT, "\xc0\x16", 2, "\1a", 2, 2); /* to itself */
	bad_record(DNS_TXT, T_TXT, "\xc0\x17", 2, "\1a", 2, 2); /* into itself */
	bad_record(DNS_TXT, T_TXT, "\xff\xff", 2, "\1a", 2, 2); /* beyond the end */
	bad_record(DNS_TXT, T_TXT, "\x40", 1, "\1a", 2, 2);	/* reserved kinds of label */
	bad_record(DNS_TXT, T_TXT, "\x80", 1, "\1a", 2, 2);
	bad_record(DNS_TXT, T_TXT, "\1a\xc0\x16", 4, "\1a", 2, 2); /* a.a.a.a... */
	bad_record(DNS_TXT, T_TXT, "\xc0\x0c", 2, "\1a", 2, 3);	   /* longer than the message */
	bad_record(DNS_TXT, T_TXT, "\xc0\x0c", 2, "\1a", 2, 0xffff);
	bad_record(DNS_TXT, T_TXT, "\xc0\x0c", 2, "\2a", 2, 2); /* a string beyond its record */
	bad_record(DNS_TXT, T_TXT, "\xc0\x0c", 2, "", 0, 0);
	bad_record(DNS_A, T_A, "\xc0\x0c", 2, "\1\2\3", 3, 3);
	bad_record(DNS_A, T_A, "\xc0\x0c", 2, "\1\2\3\4\5", 5, 5);
	bad_record(DNS_AAAA, T_AAAA, "\xc0\x0c", 2, "\1\2\3\4", 4, 4);
	bad_record(DNS_NS, T_NS, "\xc0\x0c", 2, "\xc0\x22", 2, 2); /* to itself */
	bad_record(DNS_NS, T_NS, "\xc0\x0c", 2, "\1a\0x", 4, 4);   /* more than a name */
	bad_record(DNS_NS, T_NS, "\xc0\x0c", 2, "", 0, 0);
	bad_record(DNS_CNAME, T_CNAME, "\xc0\x0c", 2, "\5abc", 4, 4);
	bad_record(DNS_SOA, T_SOA, "\xc0\x0c", 2, "\0\0abcdefghijklmnopqrs", 21, 21);
	bad_record(DNS_SOA, T_SOA, "\xc0\x0c", 2, "\0", 1, 1);
	bad_record(DNS_CAA, T_CAA, "\xc0\x0c", 2, "", 0, 0);
	bad_record(DNS_CAA, T_CAA, "\xc0\x0c", 2, "\0", 1, 1);
	bad_record(DNS_CAA, T_CAA, "\xc0\x0c", 2, "\0\0;", 3, 3);     /* a tag of nothing */
	bad_record(DNS_CAA, T_CAA, "\xc0\x0c", 2, "\0\6issue", 7, 7); /* beyond its record */
	bad_record(DNS_CAA, T_CAA, "\xc0\x0c", 2, "\0\5is ue;", 8, 8);
}

/* 128 labels: a name of 257 bytes. */
static void test_parse_long_name(_unused_ void **state)
{
	struct dns_parsed *p = NULL;
	char data[300];

	for (size_t i = 0; i < 128; i++)
		memcpy(data + 2 * i, "\1\7", 2);
	data[256] = '\0';
	bad_record(DNS_NS, T_NS, "\xc0\x0c", 2, data, 257, 257);
	msg_start(T_NS);
	reply_rr(&m, NULL, T_NS, data + 2, 255);
	assert_int_equal(parse(DNS_NS, &p), 0);
	assert_int_equal(strlen(dns_parsed_answer(p)->values[0]), 127 * 4 + 126);
	assert_memory_equal(dns_parsed_answer(p)->values[0], "\\007.\\007.", 10);
	dns_parsed_free(p);
}

static void test_parse_cnames(_unused_ void **state)
{
	struct dns_parsed *p = NULL;
	const struct dns_answer *a = NULL;

	msg_start(T_TXT);
	reply_name(&m, NULL, T_CNAME, "b.jp");
	reply_name(&m, "b.jp", T_CNAME, "A.jp");
	assert_int_equal(parse(DNS_TXT, &p), 0);
	assert_string_equal(dns_parsed_answer(p)->outcome.code, "cname_loop");
	dns_parsed_free(p);

	msg_start(T_TXT);
	reply_name(&m, NULL, T_CNAME, "x\\y.z w");
	reply_txt(&m, "other.jp", "not ours");
	assert_int_equal(parse(DNS_TXT, &p), 0);
	a = dns_parsed_answer(p);
	assert_true(a->outcome.fault == FAULT_NONE && a->n_values == 0);
	assert_string_equal(a->owner, "x\\\\y.z\\032w");
	dns_parsed_free(p);

	msg_start(T_CNAME);
	reply_name(&m, NULL, T_CNAME, "b.jp");
	assert_int_equal(parse(DNS_CNAME, &p), 0);
	assert_null(dns_parsed_answer(p)->cname);
	assert_string_equal(dns_parsed_answer(p)->owner, "a.jp");
	dns_parsed_free(p);
}

/* As much as a message can hold, and a TXT record of 60,000 bytes. */
static void test_parse_large(_unused_ void **state)
{
	struct dns_parsed *p = NULL;
	int64_t start_ms = clock_mono_ms();
	static unsigned char long_txt[256 * 235];

	msg_start(T_TXT);
	while (m.len + 14 <= 65535)
		reply_txt(&m, NULL, "x");
	assert_int_equal(parse(DNS_TXT, &p), 0);
	assert_int_equal(dns_parsed_answer(p)->n_values, DNS_VALUES_MAX);
	dns_parsed_free(p);

	for (size_t i = 0; i < 235; i++)
		long_txt[256 * i] = 255;
	msg_start(T_TXT);
	reply_rr(&m, NULL, T_TXT, long_txt, sizeof long_txt);
	assert_int_equal(parse(DNS_TXT, &p), 0);
	assert_in_range(strlen(dns_parsed_answer(p)->values[0]), DNS_VALUE_MAX - 5, DNS_VALUE_MAX - 1);
	dns_parsed_free(p);
	assert_in_range(clock_mono_ms() - start_ms, 0, 1000);
}

static void test_build(_unused_ void **state)
{
	unsigned char out[DNS_QUERY_MAX];
	char name[600];
	size_t len = 0;

	assert_int_equal(dns_query_build("a\\.b.\\001\\jp", DNS_TXT, true, 0x1234, out, &len, NULL), 0);
	assert_int_equal(len, 12 + 9 + 4 + 11);
	assert_memory_equal(out, "\x12\x34\1\0\0\1\0\0\0\0\0\1\3a.b\3\1jp\0\0\x10\0\1", 25);
	for (size_t i = 0; i < 127; i++)
		memcpy(name + 2 * i, "a.", 2);
	name[253] = '\0'; /* 127 labels: 255 bytes */
	assert_int_equal(dns_query_build(name, DNS_A, false, 0, out, &len, NULL), 0);
	memcpy(name + 253, ".a", 3);
	assert_int_equal(dns_query_build(name, DNS_A, false, 0, out, &len, NULL), -EINVAL);
	memset(name, 'a', 64);
	memcpy(name + 63, ".jp", 4);
	assert_int_equal(dns_query_build(name, DNS_A, false, 0, out, &len, NULL), 0);
	memcpy(name + 63, "a.jp", 5);
	assert_int_equal(dns_query_build(name, DNS_A, false, 0, out, &len, NULL), -EINVAL);
	memset(name, 'a', 599);
	name[599] = '\0';
	assert_int_equal(dns_query_build(name, DNS_A, false, 0, out, &len, NULL), -EINVAL);
	assert_int_equal(dns_query_build("a\\256.jp", DNS_A, false, 0, out, &len, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_hosts_file),
		cmocka_unit_test(test_addresses_cancel),
		cmocka_unit_test(test_parse_bad_header),
		cmocka_unit_test(test_parse_bad_records),
		cmocka_unit_test(test_parse_long_name),
		cmocka_unit_test(test_parse_cnames),
		cmocka_unit_test(test_parse_large),
		cmocka_unit_test(test_build),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
