/* SPDX-License-Identifier: Apache-2.0 */
/* dns_providers: what is read, and every mistake with its place. */
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include "config/tsig.h"

#include <string.h>

#define CC  "certcentral: {api_key_file: k}\n"
#define KEY "key \"upd\" {\n\talgorithm hmac-sha256;\n\tsecret \"" B64 "\";\n};\n"
#define B64 "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
/* The provider stands on line 3. */
#define P(p) CC "dns_providers:\n  p: {" p "}\n"
#define AT   "t.yaml:3:"

static void test_none(void **state)
{
	static const char *const texts[] = { CC, CC "dns_providers:\n", CC "dns_providers: {}\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config *c = load_good(texts[i]);

		assert_int_equal(c->n_providers, 0);
		assert_null(config_provider(c, "p"));
		config_unref(c);
	}
	assert_null(config_provider(NULL, "p"));
}

static void test_values(void **state)
{
	struct config *c = load_good(
		CC "dns_providers:\n"
		   "  one: {type: rfc2136, server: 192.0.2.53, tsig_key_file: t}\n"
		   "  Two.2_-: {type: rfc2136, server: '[2001:db8::1]:5353', zone: _DNSauth.Example.jp., "
		   "tsig_key_file: t, ttl: 1d}\n"
		   "  all: {type: exec, command: [/usr/bin/x/, dns_cf, 7, true]}\n"
		   "  some: {type: exec, command: [/x], timeout: 1h}\n");
	const struct cfg_dns_provider *one = config_provider(c, "one");
	const struct cfg_dns_provider *two = config_provider(c, "Two.2_-");
	const struct cfg_dns_provider *all = config_provider(c, "all");

	(void)state;
	assert_int_equal(c->n_providers, 4);
	for (size_t i = 1; i < c->n_providers; i++)
		assert_true(strcmp(c->providers[i - 1].name, c->providers[i].name) < 0);
	assert_null(config_provider(c, "two.2_-"));
	assert_string_equal(one->name, "one");
	assert_int_equal(one->type, CFG_DNS_RFC2136);
	assert_string_equal(one->server, "192.0.2.53");
	assert_null(one->zone);
	assert_int_equal(one->ttl, 60);
	assert_null(one->command);
	assert_string_equal(two->server, "[2001:db8::1]:5353");
	assert_string_equal(two->zone, "_dnsauth.example.jp");
	assert_int_equal(two->ttl, 86400);
	assert_int_equal(all->type, CFG_DNS_EXEC);
	assert_string_equal(all->command[0], "/usr/bin/x");
	assert_string_equal(all->command[1], "dns_cf");
	assert_string_equal(all->command[2], "7");
	assert_string_equal(all->command[3], "true");
	assert_null(all->command[4]);
	assert_int_equal(all->timeout, 120);
	assert_null(all->server);
	assert_int_equal(config_provider(c, "some")->timeout, 3600);
	config_unref(c);
}

static void test_servers_and_zones(void **state)
{
	static const char *const servers[][2] = {
		{ "192.0.2.53:53", "192.0.2.53:53" }, { "'[::1]'", "[::1]" },	    { "'::1'", "[::1]" },
		{ "'[::1]:1'", "[::1]:1" },	      { "127.0.0.1", "127.0.0.1" },
	};
	static const char *const zones[][2] = {
		{ "Corp", "corp" },
		{ "example.jp.", "example.jp" },
		{ "日本語.jp", "xn--wgv71a119e.jp" },
		{ "_a._b", "_a._b" },
		{ "0/26.2.0.192.in-addr.arpa", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		_cleanup_free_ char *text =
			xasprintf(CC "dns_providers: {p: {type: rfc2136, server: %s, tsig_key_file: t}}\n",
				  servers[i][0]);
		struct config *c = load_good(text);

		assert_string_equal(c->providers[0].server, servers[i][1]);
		config_unref(c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		_cleanup_free_ char *text = xasprintf(
			P("type: rfc2136, server: 10.0.0.1, tsig_key_file: t, zone: %s"), zones[i][0]);
		struct config *c = NULL;

		if (!zones[i][1]) {
			load_bad(text, strlen(text),
				 AT "64: dns_providers.p.zone: \"0/26.2.0.192.in-addr.arpa\" is not the name "
				    "of a DNS "
				    "zone, such as example.jp or _dnsauth.example.jp\n");
			continue;
		}
		c = load_good(text);
		assert_string_equal(c->providers[0].zone, zones[i][1]);
		config_unref(c);
	}
}

static void test_names(void **state)
{
#define X "{type: exec, command: [/x]}"
	static const struct row rows[] = {
		{ CC "dns_providers: corp\n", "t.yaml:2:16: dns_providers: must be a mapping of names to "
					      "providers, not a single value\n" },
		{ CC "dns_providers: [" X "]\n",
		  "t.yaml:2:16: dns_providers: must be a mapping of names to providers, not a list\n" },
		{ CC "dns_providers: {a b: " X "}\n", "t.yaml:2:17: dns_providers.a b: \"a b\" cannot name a "
						      "provider: use 1 to 64 letters, digits, "
						      "\"_\", \".\" and \"-\"\n" },
		{ CC "dns_providers: {'': " X "}\n", "t.yaml:2:17: dns_providers.: \"\" cannot name a "
						     "provider: use 1 to 64 letters, digits, \"_\", "
						     "\".\" and \"-\"\n" },
		{ CC "dns_providers: {p: " X ", q: " X ", p: " X "}\n",
		  "t.yaml:2:81: dns_providers.p: this key is here twice; the first one is at t.yaml:2:17\n" },
		{ CC "dns_providers: {p: }\n",
		  "t.yaml:2:20: dns_providers.p.type: is missing: how records are "
		  "written: by dynamic update (RFC 2136), or by a program\n" },
		{ CC "dns_providers: {p: x}\n",
		  "t.yaml:2:20: dns_providers.p: must be a mapping (\"key: value\"), not a single value\n" },
	};
	char name[66];
	_cleanup_free_ char *text = NULL;

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
	memset(name, 'n', sizeof(name));
	name[64] = '\0';
	text = xasprintf(CC "dns_providers: {%s: " X "}\n", name);
	config_unref(load_good(text));
	free(text);
	name[64] = 'n';
	name[65] = '\0';
	text = xasprintf(CC "dns_providers: {? %s : " X "}\n", name);
	{
		_cleanup_free_ char *wanted = xasprintf("t.yaml:2:19: dns_providers.%.64s: \"%s\" cannot "
							"name a provider: use 1 to 64 letters, "
							"digits, \"_\", \".\" and \"-\"\n",
							name, name);

		load_bad(text, strlen(text), wanted);
	}
}

static void test_types(void **state)
{
	static const struct row rows[] = {
		{ P("type: nsupdate"),
		  AT "13: dns_providers.p.type: no such type \"nsupdate\"; write rfc2136 or exec\n" },
		{ P("type: rfc2136"),
		  AT "6: dns_providers.p.server: is missing: the address of the DNS server\n" AT
		     "6: dns_providers.p.tsig_key_file: is missing: the file that holds the TSIG "
		     "key, as tsig-keygen prints it\n" },
		{ P("type: exec"),
		  AT "6: dns_providers.p.command: is missing: the program and its arguments\n" },
		{ P("type: rfc2136, server: 10.0.0.1, tsig_key_file: t, command: [/x], timeout: 9s"),
		  AT "67: dns_providers.p.command: is for type exec; the type here is rfc2136\n" AT
		     "82: dns_providers.p.timeout: is for type exec; the type here is rfc2136\n" },
		{ P("type: exec, command: [/x], server: 10.0.0.1, zone: jp, tsig_key_file: t, ttl: 9s"),
		  AT "42: dns_providers.p.server: is for type rfc2136; the type here is exec\n" AT
		     "58: dns_providers.p.zone: is for type rfc2136; the type here is exec\n" AT
		     "77: dns_providers.p.tsig_key_file: is for type rfc2136; the type here is exec\n" AT
		     "85: dns_providers.p.ttl: is for type rfc2136; the type here is exec\n" },
		{ P("type: exec, comand: [/x]"),
		  AT "19: dns_providers.p.comand: unknown key (did you mean \"command\"?)\n" },
		{ P("type: exec, token: x"),
		  AT "19: dns_providers.p.token: unknown key; known here: type, server, "
		     "zone, tsig_key_file, ttl, command, timeout\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_wrong_values(void **state)
{
#define SERVER(s) P("type: rfc2136, tsig_key_file: t, server: '" s "'")
#define AT_S	  AT "48: dns_providers.p.server: "
	static const struct row rows[] = {
		{ SERVER("ns.example.jp"),
		  AT_S "\"ns.example.jp\" is not the IP address of a DNS server, such as "
		       "192.0.2.53 or \"192.0.2.53:53\"\n" },
		{ SERVER("::1:x"),
		  AT_S "\"::1:x\": an IPv6 address with a port needs brackets, as in [::1]:53\n" },
		{ SERVER("[::1"), AT_S "\"[::1\" lacks the closing \"]\" of an IPv6 address\n" },
		{ SERVER("[::1]53"), AT_S "\"53\" behind \"]\"; only a port may follow\n" },
		{ SERVER("[fe80::1%eth0]"), AT_S "\"fe80::1%eth0\" is not an IPv6 address\n" },
		{ SERVER("10.0.0.1:0"), AT_S "the port must be a number from 1 to 65535, not \"0\"\n" },
		{ SERVER("10.0.0.1:"), AT_S "the port must be a number from 1 to 65535, not \"\"\n" },
		{ P("type: rfc2136, server: 10.0.0.1, tsig_key_file: t, zone: a..b"), AT
		  "64: dns_providers.p.zone: \"a..b\" is not the name of a DNS zone, such as example.jp or "
		  "_dnsauth.example.jp\n" },
		{ P("type: rfc2136, server: 10.0.0.1, tsig_key_file: t, ttl: 0s"),
		  AT "63: dns_providers.p.ttl: must be from 1s to 1d, not 0s\n" },
		{ P("type: rfc2136, server: 10.0.0.1, tsig_key_file: t, ttl: 60"),
		  AT "63: dns_providers.p.ttl: \"60\" is not a duration; write 90s, 15m, 12h or 32d (the "
		     "unit is "
		     "missing)\n" },
		{ P("type: exec, command: [/x], timeout: 61m"),
		  AT "43: dns_providers.p.timeout: must be from 1s to 1h, not 61m\n" },
		{ P("type: exec, command: /x"),
		  AT "28: dns_providers.p.command: must be a list; write [/x]\n" },
		{ P("type: exec, command: []"),
		  AT "28: dns_providers.p.command: must hold at least the program, as "
		     "in [/usr/local/bin/program, argument]\n" },
		{ P("type: exec, command: [acme-dnsapi, /x]"),
		  AT "29: dns_providers.p.command[0]: \"acme-dnsapi\" must be an absolute path (begin with "
		     "\"/\")\n" },
		{ P("type: exec, command: [/x, [y], '']"),
		  AT "33: dns_providers.p.command[1]: must be a single value, not a list\n" AT
		     "38: dns_providers.p.command[2]: must not be empty\n" },
		{ P("type: exec, command: "
		    "[/x,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2]"),
		  AT "94: dns_providers.p.command[32]: at most 32 words are possible\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
	config_unref(load_good(P(
		"type: exec, command: [/x,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1]")));
}

/* ------------------------------------------------------------------ the key's file */

static struct config *load_box(const struct box *b, struct config_report *report)
{
	_cleanup_free_ char *file = box_path(b, "dvcertd.yaml");
	struct config *c = NULL;
	int r = config_load(file, &c, report);

	assert_int_equal(r == 0, c != NULL);
	return c;
}

static void wrong_key(const struct box *b, const char *text, mode_t mode, const char *part)
{
	_cleanup_free_ char *wanted =
		xasprintf("%s/dvcertd.yaml:3:69: dns_providers.p.tsig_key_file: %s", b->dir, part);
	struct config_report report;

	box_write_bytes(b, "t", text, strlen(text), mode);
	assert_null(load_box(b, &report));
	assert_int_equal(report.n_problems, 1);
	assert_true(report_has(&report, wanted));
	assert_null(strstr(report.problems[0].text, B64));
	config_report_done(&report);
}

static void test_key_file(void **state)
{
	struct config_report report;
	struct config *c = NULL;
	struct box box;
	_cleanup_free_ char *creds = NULL;
	_cleanup_free_ char *wanted = NULL;

	(void)state;
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	box_open(&box);
	box_write(&box, "k", "KEY\n");
	box_write(&box, "dvcertd.yaml", P("type: rfc2136, server: '10.0.0.1:53', ttl: 9s, tsig_key_file: t"));
	assert_null(load_box(&box, &report));
	wanted = xasprintf("dns_providers.p.tsig_key_file: no such file: %s/t", box.dir);
	assert_true(report_has(&report, wanted));
	config_report_done(&report);
	free(wanted);
	wanted = xasprintf("%s/t: is open to others (mode 0644); run chmod o-rwx on it", box.dir);
	wrong_key(&box, KEY, 0644, wanted);
	free(wanted);
	wanted = xasprintf("%s/t: line 2: \";\" is missing after the algorithm", box.dir);
	wrong_key(&box, "key a { algorithm hmac-sha256\n secret \"" B64 "\"; };\n", 0600, wanted);
	free(wanted);
	wanted = xasprintf(
		"%s/t: line 1: hmac-md5 is too weak; make a new key with tsig-keygen -a hmac-sha256",
		box.dir);
	wrong_key(&box, "key a { algorithm hmac-md5; secret \"" B64 "\"; };\n", 0600, wanted);
	/* BIND's own file: root:bind, 0640. */
	box_write_bytes(&box, "t", KEY, strlen(KEY), 0640);
	c = load_box(&box, &report);
	assert_non_null(c);
	assert_string_equal(c->providers[0].tsig_key->name, "upd");
	assert_string_equal(c->providers[0].tsig_key->algorithm, "hmac-sha256");
	assert_string_equal(secret_bytes(c->providers[0].tsig_key->secret), B64);
	config_report_done(&report);
	config_unref(c);
	box_mkdir(&box, "creds");
	box_write(&box, "creds/t", "key other { algorithm hmac-sha512; secret \"" B64 "\"; };\n");
	creds = box_path(&box, "creds");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", creds, 1), 0);
	c = load_box(&box, &report);
	assert_non_null(c);
	assert_string_equal(c->providers[0].tsig_key->name, "other");
	config_report_done(&report);
	config_unref(c);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	box_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_servers_and_zones),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_key_file),
	};

	return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
