/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of proof as they are written, right ones and wrong ones. */
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include <string.h>

/* Two lines. */
#define CC                                                                                                   \
	"certcentral: {api_key_file: k}\n"                                                                   \
	"dns_providers: {p: {type: exec, command: [/p]}, q.2: {type: exec, command: [/q, x]}}\n"
/* The section stands on line 5. */
#define DCV(d) CC "domains:\n  - name: a.jp\n    dcv: {" d "}\n"
#define AT     "t.yaml:5:"

static void test_method_names(void **state)
{
	(void)state;
	for (int m = 0; m < CFG_DCV_NR; m++) {
		static const char *const more[] = {
			[CFG_DCV_HTTP_TOKEN] = "webroot: /a",
			[CFG_DCV_DNS_TXT_TOKEN] = "provider: p",
			[CFG_DCV_DNS_CNAME_TOKEN] = "provider: p",
			[CFG_DCV_EMAIL] = "emails: [a@a.jp]",
		};
		_cleanup_free_ char *text =
			xasprintf("%sdomains: [{name: a.jp, dcv: {method: %s, %s}}]\n", CC,
				  cfg_dcv_method_name((enum cfg_dcv_method)m), more[m]);
		struct config *c = load_good(text);

		assert_int_equal(c->domains[0].dcv.method, m);
		config_unref(c);
	}
}

static void test_http(void **state)
{
	static const struct row rows[] = {
		{ DCV("method: htp-token, webroot: /a"),
		  AT "19: domains[0].dcv.method: no such method \"htp-token\" (did you mean "
		     "\"http-token\"?)\n" },
		{ DCV("method: acme"),
		  AT "19: domains[0].dcv.method: no such method \"acme\"; write http-token, "
		     "dns-txt-token, dns-cname-token or email\n" },
		{ DCV(""),
		  AT "10: domains[0].dcv: needs webroot: /path/of/the/web/server, or responder: true\n" },
		{ DCV("webroot: www"),
		  AT "20: domains[0].dcv.webroot: \"www\" must be an absolute path (begin "
		     "with \"/\")\n" },
		{ DCV("responder: true"),
		  AT "22: domains[0].dcv.responder: needs the section responder: {listen: "
		     "\"127.0.0.1:8402\"} at the top of the main file\n" },
		{ "responder: {listen: '127.0.0.1:1'}\n" DCV("webroot: /a, responder: true"),
		  "t.yaml:6:35: domains[0].dcv.responder: excludes webroot; remove one of the two\n" },
		{ CC "domains: [{name: a.jp}]\n", "t.yaml:3:11: domains[0].dcv: is missing: say here or in "
						  "`defaults` how the CA can check the names, as in "
						  "dcv: {method: http-token, webroot: /var/www/html}\n" },
		{ CC "defaults: {dcv: {webroot: /a}}\ndomains:\n"
		     "  - {name: w, common_name: '*.a.jp', dns_names: [b.jp, '*.b.jp']}\n",
		  AT
		  "28: domains[0].common_name: \"*.a.jp\": a wildcard cannot be proven with http-token; use "
		  "dns-txt-token, or list the host names one by one in dns_names\n" AT
		  "56: domains[0].dns_names[1]: \"*.b.jp\": a wildcard cannot be proven with http-token; use "
		  "dns-txt-token, or list the host names one by one in dns_names\n" },
		/* One mistake, one line: what a wrong method means for the names is not known. */
		{ CC "domains:\n  - {name: w, common_name: '*.a.jp', dcv: {method: dns-text-token, provider: "
		     "p}}\n",
		  "t.yaml:4:52: domains[0].dcv.method: no such method \"dns-text-token\" (did you mean "
		  "\"dns-txt-token\"?)\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_foreign_options(void **state)
{
	static const struct row rows[] = {
		{ DCV("method: dns-txt-token, provider: p, webroot: /a"),
		  AT "56: domains[0].dcv.webroot: is for http-token; the method here is dns-txt-token\n" },
		{ DCV("method: dns-cname-token, provider: p, responder: false"), AT
		  "60: domains[0].dcv.responder: is for http-token; the method here is dns-cname-token\n" },
		{ DCV("provider: p"),
		  AT "21: domains[0].dcv.provider: is for dns-txt-token and dns-cname-token; "
		     "the method here is http-token\n" },
		{ DCV("webroot: /a, label: _dnsauth"),
		  AT "31: domains[0].dcv.label: is for dns-txt-token and dns-cname-token; the method here is "
		     "http-token\n" },
		{ DCV("webroot: /a, emails: [a@a.jp]"),
		  AT "32: domains[0].dcv.emails: is for email; the method here is http-token\n" },
		{ DCV("method: email, emails: [a@a.jp], provider: p, label: '@'"), AT
		  "54: domains[0].dcv.provider: is for dns-txt-token and dns-cname-token; the method here is "
		  "email\n" AT
		  "64: domains[0].dcv.label: is for dns-txt-token and dns-cname-token; the method here is "
		  "email\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_dns(void **state)
{
	static const struct row rows[] = {
		{ DCV("method: dns-txt-token"),
		  AT "10: domains[0].dcv.provider: is missing: the name of one of dns_providers\n" },
		{ DCV("method: dns-txt-token, provider: q2"),
		  AT "44: domains[0].dcv.provider: no such provider \"q2\" (did you mean \"q.2\"?); "
		     "dns_providers "
		     "has p, q.2\n" },
		{ DCV("method: dns-txt-token, provider: cloudflare"),
		  AT "44: domains[0].dcv.provider: no such provider \"cloudflare\"; dns_providers has p, "
		     "q.2\n" },
		{ DCV("method: dns-txt-token, provider: [p]"),
		  AT "44: domains[0].dcv.provider: must be a single value, not a list\n" },
		{ "certcentral: {api_key_file: k}\ndefaults: {dcv: {method: dns-txt-token, provider: p}}\n",
		  "t.yaml:2:51: defaults.dcv.provider: no such provider \"p\"; the main file has no section "
		  "dns_providers\n" },
		{ DCV("method: dns-txt-token, provider: p, label: _acme-challenge"),
		  AT "54: domains[0].dcv.label: must be _dnsauth or \"@\" (the name itself), not "
		     "\"_acme-challenge\": the CA looks nowhere else\n" },
		{ DCV("method: dns-cname-token, provider: p, label: '@'"),
		  AT "56: domains[0].dcv.label: \"@\" is for dns-txt-token: a CNAME cannot stand at the top "
		     "of a "
		     "zone; remove it, or use dns-txt-token\n" },
		/* The default is wrong, and a domain that has no section of its own takes it. */
		{ "certcentral: {api_key_file: k}\ndefaults: {dcv: {method: dns-txt-token, povider: p}}\n"
		  "domains: [{name: a.jp}]\n",
		  "t.yaml:2:41: defaults.dcv.povider: unknown key (did you mean \"provider\"?)\n" },
		/* A provider that is wrong is there all the same. */
		{ "certcentral: {api_key_file: k}\ndns_providers: {p: {type: x}}\n"
		  "defaults: {dcv: {method: dns-txt-token, provider: p}}\n",
		  "t.yaml:2:27: dns_providers.p.type: no such type \"x\"; write rfc2136 or exec\n" },
		{ "certcentral: {api_key_file: k}\ndns_providers: [p]\n"
		  "defaults: {dcv: {method: dns-txt-token, provider: p}}\n",
		  "t.yaml:2:16: dns_providers: must be a mapping of names to providers, not a list\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_good_dns(void **state)
{
	struct config *c = load_good(
		CC
		"domains:\n"
		"  - {name: a.jp, dcv: {method: dns-txt-token, provider: p}}\n"
		"  - {name: b, common_name: '*.b.jp', dns_names: [b.jp], dcv: {method: dns-txt-token, "
		"provider: "
		"q.2, label: '@'}}\n"
		"  - {name: c.jp, dns_names: ['*.c.jp'], dcv: {method: dns-cname-token, provider: p, label: "
		"_dnsauth}}\n"
		/* The same names as a.jp and b: TXT records stand side by side. */
		"  - {name: d, common_name: a.jp, dns_names: [b.jp], dcv: {method: dns-txt-token, provider: "
		"p}}\n");
	const struct cfg_domain *a = config_find(c, "a.jp");
	const struct cfg_domain *b = config_find(c, "b");
	const struct cfg_domain *d = config_find(c, "c.jp");

	(void)state;
	assert_ptr_equal(a->dcv.provider, config_provider(c, "p"));
	assert_string_equal(a->dcv.label, "_dnsauth");
	assert_null(a->dcv.webroot);
	assert_int_equal(b->dcv.method, CFG_DCV_DNS_TXT_TOKEN);
	assert_ptr_equal(b->dcv.provider, config_provider(c, "q.2"));
	assert_string_equal(b->dcv.label, "@");
	assert_int_equal(d->dcv.method, CFG_DCV_DNS_CNAME_TOKEN);
	assert_string_equal(d->dcv.label, "_dnsauth");
	config_unref(c);
}

/* Nothing of a default section stays behind in a domain that has its own. */
static void test_section_replaces_default(void **state)
{
	static const char head[] = CC "defaults: {dcv: {method: email, emails: [x@a.jp]}}\ndomains:\n"
				      "  - {name: a.jp}\n";
	static const char bad[] = CC "defaults: {dcv: {method: email, emails: [x@a.jp]}}\ndomains:\n"
				     "  - {name: b.jp, dcv: {method: email}}\n"
				     "  - {name: c.jp, dcv: {method: dns-txt-token}}\n";
	struct config *c = NULL;
	_cleanup_free_ char *text =
		xasprintf("%s  - {name: b.jp, dcv: {method: dns-txt-token, provider: p}}\n", head);

	(void)state;
	c = load_good(text);
	assert_int_equal(c->domains[0].dcv.n_emails, 1);
	assert_null(c->domains[0].dcv.provider);
	assert_null(c->domains[0].dcv.label);
	assert_int_equal(c->domains[1].dcv.n_emails, 0);
	assert_null(c->domains[1].dcv.emails);
	config_unref(c);
	load_bad(bad, strlen(bad),
		 "t.yaml:5:23: domains[0].dcv.emails: is missing: the addresses that the CA may ask, such as "
		 "[admin@example.jp]\n"
		 "t.yaml:6:23: domains[1].dcv.provider: is missing: the name of one of dns_providers\n");
}

static void test_emails(void **state)
{
#define EMAILS(e) DCV("method: email, emails: " e)
	static const struct row rows[] = {
		{ DCV("method: email"),
		  AT "10: domains[0].dcv.emails: is missing: the addresses that the CA may "
		     "ask, such as [admin@example.jp]\n" },
		{ EMAILS("[]"), AT "34: domains[0].dcv.emails: must hold at least one address, such as "
				   "[admin@example.jp]\n" },
		{ EMAILS("a@a.jp"), AT "34: domains[0].dcv.emails: must be a list; write [a@a.jp]\n" },
		{ EMAILS("[a.jp]"), AT "35: domains[0].dcv.emails[0]: \"a.jp\" is not an e-mail address, "
				       "such as admin@example.jp\n" },
		{ EMAILS("[a@localhost]"),
		  AT "35: domains[0].dcv.emails[0]: \"localhost\" has one label only; "
		     "write the full name, such as localhost.example.jp\n" },
		{ EMAILS("['a@*.a.jp']"),
		  AT "35: domains[0].dcv.emails[0]: \"*.a.jp\": a wildcard is not possible here\n" },
		{ EMAILS("[a@a.jp, A@a.jp, a@A.JP]"), AT "51: domains[0].dcv.emails[2]: \"a@a.jp\" is here "
							 "twice; the first one is at t.yaml:5:35\n" },
		{ EMAILS("[b@a.jp, [x]]"),
		  AT "43: domains[0].dcv.emails[1]: must be a single value, not a list\n" },
		{ EMAILS("[1@a.jp, 2@a.jp, 3@a.jp, 4@a.jp, 5@a.jp, 6@a.jp, 7@a.jp, 8@a.jp, 9@a.jp, a@a.jp, "
			 "b@a.jp, "
			 "c@a.jp, d@a.jp, e@a.jp, f@a.jp, g@a.jp, h@a.jp]"),
		  AT "163: domains[0].dcv.emails[16]: at most 16 addresses are possible\n" },
		{ EMAILS("[a@b.jp]"), "t.yaml:4:11: domains[0].name: \"a.jp\": no address of dcv.emails is "
				      "at this name or at a domain "
				      "above it; add one, such as admin@a.jp\n" },
		{ CC "domains:\n  - {name: w, common_name: '*.www.a.jp', dns_names: [xa.jp, b.a.jp, "
		     "'*.jp.xa.jp'],\n"
		     "     dcv: {method: email, emails: [x@b.a.jp, x@a.jp, y@www.xa.jp]}}\n",
		  "t.yaml:4:54: domains[0].dns_names[0]: \"xa.jp\": no address of dcv.emails is at this name "
		  "or at "
		  "a domain above it; add one, such as admin@xa.jp\n"
		  "t.yaml:4:69: domains[0].dns_names[2]: \"*.jp.xa.jp\": no address of dcv.emails is at this "
		  "name "
		  "or at a domain above it; add one, such as admin@jp.xa.jp\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_bad_local_parts(void **state)
{
	static const char *const bad[] = { "@a.jp",    ".a@a.jp",  "a.@a.jp",  "a..b@a.jp",  "a b@a.jp",
					   "a,b@a.jp", "<a>@a.jp", "a@b@a.jp", "\u00fc@a.jp" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *text = xasprintf(
			"%sdefaults:\n  dcv:\n    method: email\n    emails:\n      - '%s'\n", CC, bad[i]);
		_cleanup_free_ char *wanted = xasprintf(
			"t.yaml:7:9: defaults.dcv.emails[0]: \"%s\" is not an e-mail address: before the "
			"\"@\" "
			"there must be 1 to 64 letters, digits or signs, without quotes and blanks\n",
			bad[i]);

		load_bad(text, strlen(text), wanted);
	}
}

static void test_good_emails(void **state)
{
	struct config *c = load_good(
		CC "domains:\n"
		   "  - name: a.jp\n"
		   "    dns_names: ['*.a.jp', www.b.jp, xn--wgv71a119e.jp]\n"
		   "    dcv: {method: email, emails: [Host.Master+x@A.jp., admin@b.jp, o'k@日本語.jp]}\n");
	const struct cfg_dcv *dcv = &c->domains[0].dcv;

	(void)state;
	assert_int_equal(dcv->n_emails, 3);
	assert_string_equal(dcv->emails[0], "Host.Master+x@a.jp");
	assert_string_equal(dcv->emails[1], "admin@b.jp");
	assert_string_equal(dcv->emails[2], "o'k@xn--wgv71a119e.jp");
	config_unref(c);
}

/* Each order has a value of its own, so the second CNAME would take the first one away. */
static void test_two_cnames(void **state)
{
	static const struct row rows[] = {
		{ CC "defaults: {dcv: {method: dns-cname-token, provider: p}}\ndomains:\n"
		     "  - {name: b.jp, dns_names: [c.jp, d.jp]}\n"
		     "  - {name: a, common_name: '*.d.jp', dns_names: [c.jp]}\n"
		     "  - {name: e.jp, dns_names: ['*.e.jp']}\n",
		  "t.yaml:6:5: domains[1]: \"c.jp\" is proven by dns-cname-token in \"b.jp\" (t.yaml:5:5) "
		  "too, "
		  "and two CNAMEs cannot stand at one name; use dns-txt-token\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
	config_unref(load_good(
		CC "defaults: {dcv: {method: dns-cname-token, provider: p}}\ndomains:\n"
		   "  - {name: b.jp, dns_names: [c.jp, '*.c.jp', '*.b.jp']}\n"
		   "  - {name: a, common_name: c.jp, dcv: {method: dns-txt-token, provider: p}}\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_method_names),	cmocka_unit_test(test_http),
		cmocka_unit_test(test_foreign_options), cmocka_unit_test(test_dns),
		cmocka_unit_test(test_good_dns),	cmocka_unit_test(test_section_replaces_default),
		cmocka_unit_test(test_emails),		cmocka_unit_test(test_bad_local_parts),
		cmocka_unit_test(test_good_emails),	cmocka_unit_test(test_two_cnames),
	};

	return cmocka_run_group_tests_name("dcv", tests, NULL, NULL);
}
