/* SPDX-License-Identifier: Apache-2.0 */
/* CAA record sets as they are met, those of RFC 8659's examples among them, and the climb to them in a small DNS. */
#include "daemon/dcv/caa.h"

#include "tests/unit/dns_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* --- the judge -------------------------------------------------------------------------------------------- */

struct row {
	const char *values[5];
	bool plain, wild; /* may be issued */
	const char *text; /* of the plain one; NULL: not looked at */
};

static const struct row rows[] = {
	{ { NULL }, true, true, "" },
	{ { "0 issue digicert.com" }, true, true, "example.jp: 0 issue \"digicert.com\"" },
	{ { "0 issue DigiCert.COM" }, true, true, NULL },
	{ { "0 ISSUE digicert.com" }, true, true, NULL },
	{ { "0 issue geotrust.com" }, true, true, NULL },
	{ { "0 issue www.digicert.com" }, true, true, NULL },
	{ { "0 issue letsencrypt.org" }, false, false, "example.jp: 0 issue \"letsencrypt.org\"" },
	{ { "0 issue letsencrypt.org", "0 issue digicert.com" },
	  true,
	  true,
	  "example.jp: 0 issue \"digicert.com\"" },
	{ { "0 issue a.example", "0 issue b.example" }, false, false, "example.jp: 0 issue \"a.example\"" },
	/* RFC 8659 section 4.2: parameters, blanks, nobody */
	{ { "0 issue digicert.com; account=230123" }, true, true, NULL },
	{ { "0 issue  digicert.com ;a=1;b=2" }, true, true, NULL },
	{ { "0 issue ca1.example.net; account=230123" }, false, false, NULL },
	{ { "0 issue ;" }, false, false, NULL },
	{ { "0 issue " }, false, false, NULL },
	{ { "0 issue ; digicert.com" }, false, false, NULL },
	{ { "0 issue %%%%%" }, false, false, NULL },
	{ { "0 issue digicert.com account=1" }, false, false, NULL },
	{ { "0 issue digicert.com." }, false, false, NULL },
	{ { "0 issue .digicert.com" }, false, false, NULL },
	{ { "0 issue xdigicert.com" }, false, false, NULL },
	{ { "0 issue digicert.com.evil.example" }, false, false, NULL },
	{ { "0 issue -" }, false, false, NULL },
	{ { "0 issue ;", "0 issue digicert.com" }, true, true, NULL },
	/* section 4.3: issuewild, and only it, for wildcards */
	{ { "0 issue digicert.com", "0 issuewild ;" }, true, false, NULL },
	{ { "0 issue digicert.com", "0 issuewild letsencrypt.org" }, true, false, NULL },
	{ { "0 issue letsencrypt.org", "0 issuewild digicert.com" }, false, true, NULL },
	{ { "0 issuewild digicert.com" }, true, true, "" },
	{ { "0 issuewild letsencrypt.org" }, true, false, "" },
	{ { "0 issuewild ;", "0 issuewild digicert.com" }, true, true, NULL },
	/* section 4.4 and others: they forbid nothing */
	{ { "0 iodef mailto:security@example.jp" }, true, true, "" },
	{ { "128 iodef mailto:security@example.jp" }, true, true, "" },
	{ { "0 contactemail a@example.jp", "0 issuevmc ;", "0 issuemail ;" }, true, true, "" },
	/* section 4.1: critical and not known */
	{ { "0 tbs Unknown" }, true, true, "" },
	{ { "128 tbs Unknown" }, false, false, "example.jp: 128 tbs \"Unknown\"" },
	{ { "128 tbs Unknown", "0 issue digicert.com" }, false, false, NULL },
	{ { "0 issue digicert.com", "128 tbs Unknown" }, false, false, NULL },
	{ { "129 tbs Unknown", "0 issue digicert.com" }, false, false, NULL },
	{ { "1 tbs Unknown", "0 issue digicert.com" }, true, true, NULL },
	{ { "128 issue digicert.com" }, true, true, NULL },
	{ { "128 issuewildandlongerthanall x" }, false, false, NULL },
	/* not of io/dnsmsg */
	{ { "issue digicert.com" }, true, true, "" },
	{ { "0 issue" }, true, true, "" },
	{ { "" }, true, true, "" },
};

static void test_judge(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct caa_result r;
		size_t n = 0;

		while (n < ARRAY_SIZE(rows[i].values) && rows[i].values[n])
			n++;
		caa_judge("example.jp", rows[i].values, n, true, &r);
		if ((r.verdict == CAA_ALLOWED) != rows[i].wild)
			fail_msg("row %zu (%s), wildcard: %d, %s", i, n ? rows[i].values[0] : "",
				 (int)r.verdict, r.text);
		caa_judge("example.jp", rows[i].values, n, false, &r);
		if ((r.verdict == CAA_ALLOWED) != rows[i].plain)
			fail_msg("row %zu (%s): %d, %s", i, n ? rows[i].values[0] : "", (int)r.verdict,
				 r.text);
		if (rows[i].text)
			assert_string_equal(r.text, rows[i].text);
		assert_true(r.verdict == CAA_ALLOWED || r.text[0] != '\0');
	}
}

static void test_judge_tells_critical(void **state)
{
	const char *const critical = "128 tbs x", *const other = "0 issue a.example";
	struct caa_result r;

	(void)state;
	caa_judge("a.jp", &critical, 1, false, &r);
	assert_true(r.critical);
	caa_judge("a.jp", &other, 1, false, &r);
	assert_false(r.critical);
}

/* --- the climb -------------------------------------------------------------------------------------------- */

#define HERE "127.0.0.1"

static struct loop *loop;
static struct dns *dns;
static char server[64];
static atomic_int n_asked;

static void say_caa(struct dnsd_reply *r, const char *owner, const char *tag, const char *value)
{
	unsigned char data[200];
	int n = snprintf((char *)data, sizeof data, "%c%c%s%s", 1, (int)strlen(tag), tag, value);

	data[0] = 0;
	reply_rr(r, owner, T_CAA, data, (size_t)n);
}

static void serve(const struct dnsd_query *q, struct dnsd_reply *r)
{
	atomic_fetch_add(&n_asked, 1);
	if (strncmp(q->name, "mute.", 5) == 0)
		return;
	reply_start(r, q,
		    strncmp(q->name, "broken.", 7) == 0 ? 2
		    : strncmp(q->name, "nx.", 3) == 0	? 3
							: 0,
		    true);
	if (q->type != T_CAA)
		return;
	if (strcmp(q->name, "forbids.jp") == 0)
		say_caa(r, NULL, "issue", "ca.example");
	if (strcmp(q->name, "allows.forbids.jp") == 0)
		say_caa(r, NULL, "issue", "digicert.com");
	if (strcmp(q->name, "wild.jp") == 0) {
		say_caa(r, NULL, "issue", "digicert.com");
		say_caa(r, NULL, "issuewild", ";");
	}
	if (strcmp(q->name, "alias.jp") == 0) {
		reply_name(r, NULL, T_CNAME, "elsewhere.example");
		say_caa(r, "elsewhere.example", "issue", "ca.example");
	}
	if (strcmp(q->name, "bare.allows.jp") == 0)
		reply_name(r, NULL, T_CNAME, "www.forbids.jp");
}

struct seen {
	struct caa_call *call;
	struct caa_result r;
	int n;
};

static void done(const struct caa_result *r, void *owner)
{
	struct seen *s = owner;

	s->call = NULL;
	s->r = *r;
	s->n++;
	loop_stop(loop);
}

static const struct caa_result *look(const char *name)
{
	static struct seen s;

	s = (struct seen){ 0 };
	caa_start(dns, name, server, done, &s, &s.call);
	assert_int_equal(s.n, 0);
	loop_run(loop);
	assert_int_equal(s.n, 1);
	return &s.r;
}

static int setup(void **state)
{
	static const char *const addresses[] = { HERE };

	(void)state;
	dnsd_start(addresses, 1, serve);
	(void)snprintf(server, sizeof server, HERE ":%u", dnsd.port);
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(dns_new(loop, &dns, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dns_free(dns);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	dnsd_stop();
	return 0;
}

static void test_climb(void **state)
{
	const struct caa_result *r = look("www.nothing.jp");

	(void)state;
	assert_int_equal(r->verdict, CAA_ALLOWED);
	assert_string_equal(r->text, "");
	assert_int_equal(atomic_load(&n_asked), 3); /* and not the root */
	r = look("a.b.forbids.jp");
	assert_int_equal(r->verdict, CAA_FORBIDDEN);
	assert_string_equal(r->text, "forbids.jp: 0 issue \"ca.example\"");
	assert_int_equal(look("www.allows.forbids.jp")->verdict, CAA_ALLOWED);
	assert_int_equal(look("nx.forbids.jp")->verdict, CAA_FORBIDDEN);
	assert_int_equal(look("www.wild.jp")->verdict, CAA_ALLOWED);
	r = look("*.wild.jp");
	assert_int_equal(r->verdict, CAA_FORBIDDEN);
	assert_string_equal(r->text, "wild.jp: 0 issuewild \";\"");
}

/* The alias' own records count; of its parents, those of the name do (RFC 8659 section 3). */
static void test_climb_and_alias(void **state)
{
	(void)state;
	assert_string_equal(look("www.alias.jp")->text, "elsewhere.example: 0 issue \"ca.example\"");
	assert_int_equal(look("bare.allows.jp")->verdict, CAA_ALLOWED);
}

static void test_unreadable(void **state)
{
	const struct caa_result *r = look("www.broken.forbids.jp");

	(void)state;
	assert_int_equal(r->verdict, CAA_UNREADABLE);
	assert_non_null(strstr(r->text, "servfail"));
}

static void test_cancel(void **state)
{
	struct seen s = { 0 };

	(void)state;
	caa_start(dns, "www.mute.jp", server, done, &s, &s.call);
	caa_cancel(&s.call);
	assert_null(s.call);
	caa_cancel(&s.call);
	assert_int_equal(s.n, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_judge_tells_critical),
		T(test_climb),
		T(test_climb_and_alias),
		T(test_unreadable),
		T(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
