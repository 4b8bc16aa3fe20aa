/* SPDX-License-Identifier: Apache-2.0 */
/* Mistakes of operators, each with the exact line that names it. */
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include <string.h>

/* Line 1 of every file here; what a test adds begins on line 2. */
#define CC "certcentral: {api_key_file: k}\n"
/* Lines 1 and 2; domains begin on line 4. */
#define HEAD CC "defaults: {dcv: {webroot: /srv/www}}\ndomains:\n"

static void test_top(void **state)
{
	static const struct row rows[] = {
		{ "", "t.yaml: is empty; it needs at least certcentral: {api_key_file: FILE}, and domains to "
		      "keep\n" },
		{ "# nothing\n", "t.yaml: is empty; it needs at least certcentral: {api_key_file: FILE}, and "
				 "domains to keep\n" },
		{ "{}",
		  "t.yaml:1:1: certcentral: is missing: the CA's account; it needs at least api_key_file\n" },
		{ "[]", "t.yaml:1:1: must be a mapping (\"key: value\"), not a list\n" },
		{ "certcentral:\n", "t.yaml:1:13: certcentral.api_key_file: is missing: the file that holds "
				    "the CertCentral API key\n" },
		{ CC "domain: []\n", "t.yaml:2:1: domain: unknown key (did you mean \"domains\"?)\n" },
		{ CC "files: {}\n",
		  "t.yaml:2:1: files: unknown key; known here: state_dir, control_socket, helper_socket, "
		  "log, "
		  "certcentral, scutum, proxy, dns_providers, preflight, responder, metrics, notify, "
		  "defaults, "
		  "domains\n" },
		{ CC "state_dir: var\n",
		  "t.yaml:2:12: state_dir: \"var\" must be an absolute path (begin with \"/\")\n" },
		{ CC "state_dir: /a/../b\n",
		  "t.yaml:2:12: state_dir: \"/a/../b\" must not contain \"..\"\n" },
		{ CC "log: {level: inf}\n",
		  "t.yaml:2:14: log.level: no such level \"inf\" (did you mean \"info\"?)\n" },
		{ CC "log: {format: xml}\n",
		  "t.yaml:2:15: log.format: no such format \"xml\"; write auto, text, json or journal\n" },
		{ CC "responder: {}\n", "t.yaml:2:12: responder.listen: is missing: where the built-in "
					"server for fileauth.txt listens, such as "
					"127.0.0.1:8402\n" },
		{ CC "responder: {listen: 'localhost:80'}\n",
		  "t.yaml:2:21: responder.listen: \"localhost:80\" is not ADDR:PORT with an IP address, such "
		  "as "
		  "127.0.0.1:8080\n" },
		{ CC "responder: {listen: '127.0.0.1'}\n",
		  "t.yaml:2:21: responder.listen: \"127.0.0.1\" lacks a port; write ADDR:PORT, such as "
		  "127.0.0.1:8080\n" },
		{ CC "responder: {listen: '127.0.0.1:0'}\n",
		  "t.yaml:2:21: responder.listen: the port must be a number from 1 to 65535, not \"0\"\n" },
		{ CC "responder: {listen: '::1:80'}\n", "t.yaml:2:21: responder.listen: \"::1:80\": an IPv6 "
							"address needs brackets, as in [::1]:8080\n" },
		{ CC "responder: {listen: '[::1:80'}\n",
		  "t.yaml:2:21: responder.listen: \"[::1:80\" lacks the closing \"]\" of an IPv6 address\n" },
		{ CC "preflight: {http: maybe}\n",
		  "t.yaml:2:19: preflight.http: must be on, off or \"ADDR:PORT\", not \"maybe\"\n" },
		{ CC "preflight: {http: 'a:b'}\n",
		  "t.yaml:2:19: preflight.http: the port must be a number from 1 to 65535, not \"b\"\n" },
		{ CC "preflight: {dns: maybe}\n",
		  "t.yaml:2:18: preflight.dns: must be on, off or \"ADDR:PORT\", not \"maybe\"\n" },
		{ CC "preflight: {dns: 'ns.example.jp:53'}\n",
		  "t.yaml:2:18: preflight.dns: \"ns.example.jp:53\" is not ADDR:PORT with an IP address, "
		  "such as "
		  "127.0.0.1:8080\n" },
		{ CC "preflight: {smtp: on}\n",
		  "t.yaml:2:13: preflight.smtp: unknown key; known here: http, dns\n" },
		{ CC "domains: x\n", "t.yaml:2:10: domains: must be a list; write [x]\n" },
		{ CC "domains: {name: x}\n",
		  "t.yaml:2:10: domains: must be a list; begin each element with \"- \"\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_socket_path(void **state)
{
	char text[256];
	char path[120];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	(void)snprintf(text, sizeof(text), CC "control_socket: %s\n", path);
	load_bad(text, strlen(text),
		 "t.yaml:2:17: control_socket: is 108 bytes long; the path of a socket has at most 107\n");
	path[107] = '\0';
	(void)snprintf(text, sizeof(text), CC "control_socket: %s\n", path);
	config_unref(load_good(text));
}

static void test_urls(void **state)
{
#define URL(u) "certcentral: {api_key_file: k, url: '" u "'}\n"
#define AT     "t.yaml:1:37: certcentral.url: "
	static const struct row rows[] = {
		{ URL("http://www.digicert.com/services/v2"),
		  AT "must begin with https://, not http://: an API key travels over it\n" },
		{ URL("www.digicert.com/services/v2"),
		  AT "\"www.digicert.com/services/v2\" is not a URL that begins with https://\n" },
		{ URL("https://www.digicert.com"),
		  AT "must end in /services/v2, as in https://www.digicert.com/services/v2\n" },
		{ URL("https://www.digicert.com/services/v2/services/v2"),
		  AT "/services/v2 is in it twice\n" },
		{ URL("https://u:p@www.digicert.com/services/v2"),
		  AT "a user name or password (@) has no place in this URL\n" },
		{ URL("https://www.digicert.com/services/v2?a=b"),
		  AT "a query (?) or fragment (#) has no place in this URL\n" },
		{ URL("https://www.digicert.com/services/v2#a"),
		  AT "a query (?) or fragment (#) has no place in this URL\n" },
		{ URL("https:///services/v2"), AT "the host is missing\n" },
		{ URL("https://a b/services/v2"), AT "a blank or a character that URLs cannot hold\n" },
		{ URL("https://a_b/services/v2"), AT "\"a_b\" is not a host name\n" },
		{ URL("https://a:0/services/v2"),
		  AT "the port must be a number from 1 to 65535, not \"0\"\n" },
		{ URL("https://a:99999/services/v2"),
		  AT "the port must be a number from 1 to 65535, not \"99999\"\n" },
		{ URL("https://[::g]/services/v2"), AT "\"::g\" is not an IPv6 address\n" },
		{ CC "scutum: {url: 'http://api.scutum.jp/api/v1'}\n",
		  "t.yaml:2:15: scutum.url: must begin with https://, not http://: an API key travels over "
		  "it\n" },
		{ CC "proxy: 'proxy:3128'\n", "t.yaml:2:8: proxy: must have the form http://HOST:PORT\n" },
		{ CC "proxy: 'http://proxy'\n",
		  "t.yaml:2:8: proxy: the port is missing; write http://proxy:3128\n" },
		{ CC "proxy: 'http://u:p@proxy:1'\n",
		  "t.yaml:2:8: proxy: a user name or password (@) has no place in this URL\n" },
		{ CC "proxy: 'http://proxy:1/x'\n",
		  "t.yaml:2:8: proxy: must have the form http://HOST:PORT, without a path\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_certcentral(void **state)
{
#define OPT(o) "certcentral:\n  api_key_file: k\n  " o "\n"
	static const struct row rows[] = {
		{ OPT("order_years: 4"),
		  "t.yaml:3:16: certcentral.order_years: must be from 1 to 3 years, not 4\n" },
		{ OPT("max_cert_days: 399"),
		  "t.yaml:3:18: certcentral.max_cert_days: must be from 1 to 398 days, not 399\n" },
		{ OPT("poll_interval: 2h"),
		  "t.yaml:3:18: certcentral.poll_interval: must be from 1s to 1h, not 2h\n" },
		{ OPT("max_orders_per_day: 0"),
		  "t.yaml:3:23: certcentral.max_orders_per_day: must be from 1 to 1000000 orders, not 0\n" },
		{ OPT("product: 'a b'"), "t.yaml:3:12: certcentral.product: \"a b\" is not a word of "
					 "letters, digits, \"_\" and \"-\"\n" },
		{ OPT("files: false"),
		  "t.yaml:3:3: certcentral.files: unknown key; known here: url, ca_file, "
		  "api_key_file, product, order_years, max_cert_days, payment_method, "
		  "instant_issuance, auth_key_file, auth_key_id, rate_limit, "
		  "poll_interval, max_orders_per_day\n" },
		{ OPT("instant_issuance: 1"), "t.yaml:3:21: certcentral.instant_issuance: must be true or "
					      "false, without quotes, not \"1\"\n" },
		{ OPT("auth_key_file:"), "t.yaml:3:17: certcentral.auth_key_file: has no value\n" },
		{ OPT("auth_key_id: 'a b'"), "t.yaml:3:16: certcentral.auth_key_id: \"a b\" is not a word of "
					     "letters, digits, \"_\" and \"-\"\n" },
		{ OPT("rate_limit: []"), "t.yaml:3:15: certcentral.rate_limit: must hold at least one "
					 "window, such as {requests: 90, per: 5s}\n" },
		{ OPT("rate_limit: [{requests: 0, per: 5s}]"),
		  "t.yaml:3:27: certcentral.rate_limit[0].requests: must be from 1 to 1000000, not 0\n" },
		{ OPT("rate_limit: [{requests: 1, per: 0s}]"),
		  "t.yaml:3:35: certcentral.rate_limit[0].per: must be from 1s to 1d, not 0s\n" },
		{ OPT("rate_limit: [{requests: 1}]"),
		  "t.yaml:3:16: certcentral.rate_limit[0].per: is missing: length of the rolling window\n" },
		{ OPT("rate_limit: {requests: 1, per: 1s}"),
		  "t.yaml:3:15: certcentral.rate_limit: must be a list; begin each element with \"- \"\n" },
		{ OPT("rate_limit: [{requests: 1, per: 1s}, {requests: 1, per: 1s}, {requests: 1, per: 1s}, "
		      "{requests: 1, per: 1s}, "
		      "{requests: 1, per: 1s}, {requests: 1, per: 1s}, {requests: 1, per: 1s}, {requests: 1, "
		      "per: 1s}, 9]"),
		  "t.yaml:3:208: certcentral.rate_limit[8]: at most 8 windows are possible\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_key(void **state)
{
#define KEY(k) HEAD "  - name: a.jp\n    key: {" k "}\n"
	static const struct row rows[] = {
		{ KEY("type: dsa"),
		  "t.yaml:5:17: domains[0].key.type: no such type \"dsa\" (did you mean \"rsa\"?)\n" },
		{ KEY("bits: 1024"),
		  "t.yaml:5:17: domains[0].key.bits: must be from 2048 to 8192 bits, not 1024\n" },
		{ KEY("bits: 2500"), "t.yaml:5:17: domains[0].key.bits: must be a multiple of 1024, such as "
				     "2048, 3072 or 4096, not 2500\n" },
		{ KEY("type: ec, bits: 2048"), "t.yaml:5:27: domains[0].key.bits: is for rsa keys; an ec key "
					       "has a curve (P-256 or P-384)\n" },
		{ KEY("curve: P-256"), "t.yaml:5:18: domains[0].key.curve: is for ec keys; add type: ec, or "
				       "give bits for an rsa key\n" },
		{ KEY("type: ec, curve: p-256"),
		  "t.yaml:5:28: domains[0].key.curve: no such curve \"p-256\" (did you mean \"P-256\"?)\n" },
		{ KEY("reuse: 'yes'"),
		  "t.yaml:5:18: domains[0].key.reuse: must be true or false, without quotes, not \"yes\"\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_names(void **state)
{
	static const struct row rows[] = {
		{ HEAD "  - dns_names: [a.jp]\n", "t.yaml:4:5: domains[0].name: is missing: names the "
						  "directory, and is the common name unless common_name "
						  "is given\n" },
		{ HEAD "  - name: ../../etc\n", "t.yaml:4:11: domains[0].name: \"../../etc\" is not a host "
						"name: leave out https:// and any path\n" },
		{ HEAD "  - {name: ../../etc, common_name: a.jp}\n",
		  "t.yaml:4:12: domains[0].name: \"../../etc\" cannot name a directory: use up to 253 of "
		  "a-z, 0-9, \".\", "
		  "\"_\", \"-\", and begin with a letter or digit\n" },
		{ HEAD "  - {name: .hidden, common_name: a.jp}\n",
		  "t.yaml:4:12: domains[0].name: \".hidden\" cannot name a directory: use up to 253 of a-z, "
		  "0-9, \".\", "
		  "\"_\", \"-\", and begin with a letter or digit\n" },
		{ HEAD "  - name: '*.a.jp'\n", "t.yaml:4:11: domains[0].name: a wildcard cannot name a "
					       "directory: write name: wildcard.a.jp and "
					       "common_name: \"*.a.jp\"\n" },
		{ HEAD "  - name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.jp\n",
		  "t.yaml:4:11: domains[0].name: "
		  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.jp\": "
		  "the label \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" has 64 "
		  "characters; a "
		  "label has at most 63\n" },
		{ HEAD "  - name: 💩.jp\n", "t.yaml:4:11: domains[0].name: \"💩.jp\" is not a valid "
					   "internationalised name (IDNA 2008): string "
					   "contains a disallowed character\n" },
		{ HEAD "  - name: no\n", "t.yaml:4:11: domains[0].name: \"no\" has one label only; write the "
					 "full name, such as no.example.jp\n" },
		{ HEAD "  - {name: a.jp, dns_names: [b.jp, B.JP.]}\n",
		  "t.yaml:4:36: domains[0].dns_names[1]: \"b.jp\" is here twice; the first one is at "
		  "t.yaml:4:30\n" },
		{ HEAD "  - {name: a.jp, dns_names: [A.jp]}\n",
		  "t.yaml:4:30: domains[0].dns_names[0]: \"a.jp\" is the common name already; remove it "
		  "here\n" },
		{ HEAD "  - {name: a.jp, dns_names: b.jp}\n",
		  "t.yaml:4:29: domains[0].dns_names: must be a list; write [b.jp]\n" },
		{ HEAD "  - {name: a.jp, dns_names: [[b.jp]]}\n",
		  "t.yaml:4:30: domains[0].dns_names[0]: must be a single value, not a list\n" },
		{ HEAD "  - {name: a.jp, common_name: x}\n", "t.yaml:4:31: domains[0].common_name: \"x\" has "
							     "one label only; write the full name, such as "
							     "x.example.jp\n" },
		{ HEAD "  - a.jp\n",
		  "t.yaml:4:5: domains[0]: must be a mapping (\"key: value\"), not a single value\n" },
		{ HEAD "  - name: a.jp\n  - name: b.jp\n  - name: A.JP\n",
		  "t.yaml:6:11: domains[2].name: \"a.jp\" is here twice; the first one is at t.yaml:4:11\n" },
		/* A wrong domain still takes part. */
		{ HEAD "  - name: a.jp\n    x: 1\n  - name: A.JP\n",
		  "t.yaml:5:5: domains[0].x: unknown key; known here: name, common_name, dns_names, product, "
		  "key, dcv, "
		  "renew_before, deploy\n"
		  "t.yaml:6:11: domains[1].name: \"a.jp\" is here twice; the first one is at t.yaml:4:11\n" },
		{ CC "defaults: {name: a.jp, dcv: {webroot: /a}}\n",
		  "t.yaml:2:12: defaults.name: unknown key; known here: product, key, dcv, renew_before, "
		  "deploy\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_renew_before(void **state)
{
	static const struct row rows[] = {
		{ HEAD "  - {name: a.jp, renew_before: 199d}\n",
		  "t.yaml:4:32: domains[0].renew_before: 199d is not shorter than a certificate's life "
		  "(certcentral.max_cert_days: 199); write auto, or less\n" },
		{ "certcentral: {api_key_file: k, max_cert_days: 46}\ndefaults: {renew_before: 46d}\n",
		  "t.yaml:2:26: defaults.renew_before: 46d is not shorter than a certificate's life "
		  "(certcentral.max_cert_days: 46); write auto, or less\n" },
		{ HEAD "  - {name: a.jp, renew_before: 0s}\n",
		  "t.yaml:4:32: domains[0].renew_before: must be at least 1s, not 0s\n" },
		/* A mistake of the defaults is told once, however many domains there are. */
		{ CC "defaults: {renew_before: 999d, dcv: {webroot: /a}}\ndomains: [{name: a.jp}, {name: "
		     "b.jp}]\n",
		  "t.yaml:2:26: defaults.renew_before: 999d is not shorter than a certificate's life "
		  "(certcentral.max_cert_days: 199); write auto, or less\n" },
		{ CC "defaults: {dcv: {webroot: a}}\ndomains: [{name: a.jp}, {name: b.jp}]\n",
		  "t.yaml:2:27: defaults.dcv.webroot: \"a\" must be an absolute path (begin with \"/\")\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_deploy(void **state)
{
#define DEPLOY(d) HEAD "  - name: a.jp\n    deploy:\n      - " d "\n"
#define SCUTUM	  "scutum: {host: a.jp, id: A1, api_key_file: k}"
	static const struct row rows[] = {
		{ DEPLOY(SCUTUM "\n      - " SCUTUM),
		  "t.yaml:7:9: domains[0].deploy[1]: target \"scutum:a.jp\" is here twice; the first one is "
		  "at t.yaml:6:9\n" },
		{ DEPLOY("scutm: {}"),
		  "t.yaml:6:9: domains[0].deploy[0].scutm: unknown key (did you mean \"scutum\"?)\n" },
		{ DEPLOY("scutum: {host: a.jp}"), "t.yaml:6:17: domains[0].deploy[0].scutum.id: is missing: "
						  "the management panel's id of that FQDN\n"
						  "t.yaml:6:17: domains[0].deploy[0].scutum.api_key_file: is "
						  "missing: the file that holds the Scutum API key "
						  "of that FQDN\n" },
		{ DEPLOY("scutum: {host: '*.a.jp', id: A1, api_key_file: k}"),
		  "t.yaml:6:24: domains[0].deploy[0].scutum.host: \"*.a.jp\": a wildcard is not possible "
		  "here\n" },
		{ DEPLOY("scutum: {host: a.jp, id: 'A&b=c', api_key_file: k}"),
		  "t.yaml:6:34: domains[0].deploy[0].scutum.id: \"A&b=c\" is not a word of letters, digits, "
		  "\"_\" and \"-\"\n" },
		{ DEPLOY("scutum"), "t.yaml:6:9: domains[0].deploy[0]: must be a mapping (\"key: value\"), "
				    "not a single value\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_top),	     cmocka_unit_test(test_socket_path),
		cmocka_unit_test(test_urls),	     cmocka_unit_test(test_certcentral),
		cmocka_unit_test(test_key),	     cmocka_unit_test(test_names),
		cmocka_unit_test(test_renew_before), cmocka_unit_test(test_deploy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
