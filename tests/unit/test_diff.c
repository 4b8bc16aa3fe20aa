/* SPDX-License-Identifier: Apache-2.0 */
#include "config/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include <string.h>

#define HEAD "certcentral: {api_key_file: k}\ndefaults: {dcv: {webroot: /srv/www}}\n"

/* Writes "+a.jp =b.jp " and so on. */
static void note(enum config_change change, const struct cfg_domain *old, const struct cfg_domain *now,
		 void *arg)
{
	static const char marks[] = {
		[CONFIG_ADDED] = '+', [CONFIG_REMOVED] = '-', [CONFIG_CHANGED] = '~', [CONFIG_SAME] = '='
	};
	char *out = arg;
	size_t len = strlen(out);

	assert_int_equal(old == NULL, change == CONFIG_ADDED);
	assert_int_equal(now == NULL, change == CONFIG_REMOVED);
	if (old && now)
		assert_string_equal(old->name, now->name);
	(void)snprintf(out + len, 200 - len, "%c%s ", marks[change], now ? now->name : old ? old->name : "?");
}

static void diff_as(const char *old_text, const char *now_text, const char *wanted)
{
	struct config *old = old_text ? load_good(old_text) : NULL;
	struct config *now = load_good(now_text);
	char out[200] = "";

	config_diff(old, now, note, out);
	assert_string_equal(out, wanted);
	config_unref(old);
	config_unref(now);
}

static void test_lists(void **state)
{
	(void)state;
	diff_as(NULL, HEAD, "");
	diff_as(NULL, HEAD "domains: [{name: b.jp}, {name: a.jp}]", "+a.jp +b.jp ");
	diff_as(HEAD "domains: [{name: b.jp}, {name: a.jp}]", HEAD, "-a.jp -b.jp ");
	diff_as(HEAD "domains: [{name: b.jp}, {name: c.jp}]",
		HEAD "domains: [{name: c.jp}, {name: a.jp}, {name: d.jp}]", "+a.jp -b.jp =c.jp +d.jp ");
}

#define S(host, id) "{scutum: {host: " host ", id: " id ", api_key_file: k}}"

static void test_changes(void **state)
{
	static const char *const now[] = {
		"{name: a.jp, dns_names: [b.jp]}", "{name: a.jp, product: p}",
		"{name: a.jp, key: {bits: 3072}}", "{name: a.jp, dcv: {webroot: /x}}",
		"{name: a.jp, renew_before: 1d}",  "{name: a.jp, deploy: [" S("a.jp", "A") "]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		_cleanup_free_ char *text = xasprintf("%sdomains: [%s]", HEAD, now[i]);

		diff_as(HEAD "domains: [{name: a.jp}]", text, "~a.jp ");
		diff_as(text, text, "=a.jp ");
	}
	diff_as(HEAD "domains: [{name: a.jp, deploy: [" S("a.jp", "A") "]}]",
		HEAD "domains: [{name: a.jp, deploy: [" S("a.jp", "B") "]}]", "~a.jp ");
	diff_as(HEAD "domains: [{name: a.jp, deploy: [" S("a.jp", "A") "]}]",
		HEAD "domains: [{name: a.jp, deploy: [" S("b.jp", "A") "]}]", "~a.jp ");
}

/* The YAML is the same, the file with the key is not. */
static void test_secrets(void **state)
{
	struct box box;
	_cleanup_free_ char *file = NULL;
	struct config_report report;
	struct config *snapshots[3] = { NULL };
	static const char *const keys[] = { "KEY1", "KEY1\n", "KEY2" };
	char out[200] = "";

	(void)state;
	box_open(&box);
	file = box_path(&box, "dvcertd.yaml");
	box_write(&box, "dvcertd.yaml", HEAD "domains: [{name: a.jp, deploy: [" S("a.jp", "A") "]}]");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		box_write(&box, "k", keys[i]);
		assert_int_equal(config_load(file, &snapshots[i], &report), 0);
		config_report_done(&report);
	}
	config_diff(snapshots[0], snapshots[1], note, out);
	config_diff(snapshots[1], snapshots[2], note, out);
	assert_string_equal(out, "=a.jp ~a.jp ");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		config_unref(snapshots[i]);
	box_close(&box);
}

#define PROVIDERS                                                                                            \
	"dns_providers: {p: {type: exec, command: [/p, x]}, q: {type: exec, command: [/q]}, " R "}\n"
#define R	"r: {type: rfc2136, server: 10.0.0.1, tsig_key_file: t}"
#define DNS	"certcentral: {api_key_file: k}\n" PROVIDERS
#define USES(d) "domains: [{name: a.jp, dcv: {method: " d "}}]\n"
#define TXT_P	USES("dns-txt-token, provider: p")

/* What shapes the proof is a change; what other domains use is none. */
static void test_providers(void **state)
{
	static const struct {
		const char *provider;
		const char *now;
		char mark;
	} rows[] = {
		{ "p", "p: {type: exec, command: [/p, x]}", '=' },
		{ "p", "p: {type: exec, command: [/p, x]}, q: {type: exec, command: [/q]}", '=' },
		{ "p", "p: {type: exec, command: [/p, y]}", '~' },
		{ "p", "p: {type: exec, command: [/p]}", '~' },
		{ "p", "p: {type: exec, command: [/p, x, y]}", '~' },
		{ "p", "p: {type: exec, command: [/p, x], timeout: 1s}", '~' },
		{ "p", "p: {type: rfc2136, server: 10.0.0.1, tsig_key_file: t}", '~' },
		{ "r", "r: {type: rfc2136, server: 10.0.0.1, tsig_key_file: t}", '=' },
		{ "r", "r: {type: rfc2136, server: 10.0.0.1, tsig_key_file: other}",
		  '=' }, /* not opened here */
		{ "r", "r: {type: rfc2136, server: 10.0.0.2, tsig_key_file: t}", '~' },
		{ "r", "r: {type: rfc2136, server: 10.0.0.1, tsig_key_file: t, zone: jp}", '~' },
		{ "r", "r: {type: rfc2136, server: 10.0.0.1, tsig_key_file: t, ttl: 61s}", '~' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char format[] =
			"certcentral: {api_key_file: k}\ndns_providers: {%s}\n"
			"domains: [{name: a.jp, dcv: {method: dns-txt-token, provider: %s}}]\n";
		_cleanup_free_ char *old =
			xasprintf(format, "p: {type: exec, command: [/p, x]}, " R, rows[i].provider);
		_cleanup_free_ char *now = xasprintf(format, rows[i].now, rows[i].provider);
		char wanted[] = { rows[i].mark, 'a', '.', 'j', 'p', ' ', '\0' };

		diff_as(old, now, wanted);
		diff_as(now, old, wanted);
	}
	diff_as(DNS TXT_P, DNS USES("dns-txt-token, provider: q"), "~a.jp ");
	diff_as(DNS TXT_P, DNS USES("dns-txt-token, provider: p, label: '@'"), "~a.jp ");
	diff_as(DNS TXT_P, DNS USES("dns-cname-token, provider: p"), "~a.jp ");
	diff_as(DNS TXT_P, DNS USES("http-token, webroot: /a"), "~a.jp ");
	diff_as(DNS TXT_P, DNS USES("email, emails: [x@a.jp]"), "~a.jp ");
	diff_as(DNS USES("email, emails: [x@a.jp]"), DNS USES("email, emails: [x@a.jp, y@a.jp]"), "~a.jp ");
}

#define TSIG(name, c) "key " name " { algorithm hmac-sha256; secret \"AAAAAAAAAAAAAAAAAAAAA" c "==\"; };\n"

/* A TSIG key that was replaced in its file is a change, but not of what is ordered. */
static void test_tsig_key(void **state)
{
	static const struct {
		const char *text;
		const char *wanted;
	} rows[] = {
		{ TSIG("a", "A"), "=a.jp " },
		{ "# moved\n" TSIG("a", "A"), "=a.jp " },
		{ TSIG("b", "A"), "~a.jp " },
		{ TSIG("b", "Q"), "~a.jp " },
	};
	struct box box;
	_cleanup_free_ char *file = NULL;
	struct config_report report;
	struct config *old = NULL;

	(void)state;
	box_open(&box);
	file = box_path(&box, "dvcertd.yaml");
	box_write(&box, "k", "KEY");
	box_write(&box, "t", TSIG("a", "A"));
	box_write(&box, "dvcertd.yaml",
		  "certcentral: {api_key_file: k}\ndns_providers: {" R
		  "}\n" USES("dns-txt-token, provider: r"));
	assert_int_equal(config_load(file, &old, &report), 0);
	config_report_done(&report);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config *now = NULL;
		char out[200] = "";

		box_write(&box, "t", rows[i].text);
		assert_int_equal(config_load(file, &now, &report), 0);
		config_report_done(&report);
		config_diff(old, now, note, out);
		assert_string_equal(out, rows[i].wanted);
		assert_true(old->domains[0].spec_hash == now->domains[0].spec_hash);
		config_unref(old);
		old = now;
	}
	config_unref(old);
	box_close(&box);
}

static void test_restart(void **state)
{
	struct config *a = load_good(HEAD);
	struct config *b =
		load_good(HEAD "state_dir: /x\ncontrol_socket: /y\nresponder: {listen: '127.0.0.1:1'}\n");
	struct config *c = load_good(HEAD "log: {level: debug}\ndomains: [{name: a.jp}]\n");
	char names[100] = "";

	(void)state;
	assert_true(config_needs_restart(a, b, names, sizeof(names)));
	assert_string_equal(names, "state_dir, control_socket, responder.listen");
	assert_false(config_needs_restart(a, c, names, sizeof(names)));
	assert_string_equal(names, "");
	assert_true(config_needs_restart(b, a, NULL, 0));
	config_unref(a);
	config_unref(b);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),	 cmocka_unit_test(test_changes),
		cmocka_unit_test(test_secrets),	 cmocka_unit_test(test_providers),
		cmocka_unit_test(test_tsig_key), cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
