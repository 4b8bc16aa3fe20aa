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
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
