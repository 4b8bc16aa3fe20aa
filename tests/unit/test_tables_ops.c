/* SPDX-License-Identifier: Apache-2.0 */
/* metrics and notify: what is read, and what is refused with a remedy. */
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include "config/diff.h"

#include <string.h>

#define CC "certcentral: {api_key_file: k}\n"

static void test_absent(void **state)
{
	struct config *c = load_good(CC);

	(void)state;
	assert_null(c->metrics.listen);
	assert_null(c->metrics.textfile);
	assert_null(c->notify.command);
	config_unref(c);
}

static void test_values(void **state)
{
	static const char *const listens[] = { "127.0.0.1:9402", "127.1.2.3:1", "[::1]:65535",
					       "unix:/run/dvcertd/metrics.sock" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(listens); i++) {
		_cleanup_free_ char *text = xasprintf(
			CC "metrics: {listen: '%s', textfile: /var/lib/x/dvcertd.prom}\n", listens[i]);
		struct config *c = load_good(text);

		assert_string_equal(c->metrics.listen, listens[i]);
		assert_string_equal(c->metrics.textfile, "/var/lib/x/dvcertd.prom");
		config_unref(c);
	}
}

static void test_notify(void **state)
{
	struct config *c = load_good(CC "notify: {command: [/usr/local/bin/tell, --quiet]}\n");
	struct config *other = load_good(CC "notify: {command: [/x], timeout: 5m}\n");

	(void)state;
	assert_string_equal(c->notify.command[0], "/usr/local/bin/tell");
	assert_string_equal(c->notify.command[1], "--quiet");
	assert_null(c->notify.command[2]);
	assert_int_equal(c->notify.timeout, 60);
	assert_int_equal(other->notify.timeout, 300);
	config_unref(c);
	config_unref(other);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "metrics: {}\n", "t.yaml:2:10: metrics: needs listen, textfile or both" },
		{ "metrics: {listen: '0.0.0.0:9402'}\n",
		  "\"0.0.0.0:9402\" can be reached from elsewhere, and there is "
		  "no password: use 127.0.0.1:9402, [::1]:9402 or unix:PATH" },
		{ "metrics: {listen: '[::]:9402'}\n", "can be reached from elsewhere" },
		{ "metrics: {listen: '[::1]'}\n", "lacks a port" },
		{ "metrics: {listen: '127.0.0.1'}\n", "lacks a port" },
		{ "metrics: {listen: '127.0.0.1:0'}\n", "the port must be a number from 1 to 65535" },
		{ "metrics: {listen: '9402'}\n", "not ADDR:PORT" },
		{ "metrics: {listen: 'localhost:9402'}\n", "not ADDR:PORT with an IP address" },
		{ "metrics: {listen: 'unix:metrics.sock'}\n", "must be an absolute path" },
		{ "metrics: {textfile: x.prom}\n", "must be an absolute path" },
		{ "metrics: {textfile: /x/y.txt}\n",
		  "must end in .prom: node_exporter reads no other files" },
		{ "notify: {timeout: 5s}\n", "notify.command" },
		{ "notify: {command: [tell]}\n", "must be an absolute path" },
		{ "notify: {command: []}\n", "must hold at least the program" },
		{ "notify: {command: [/x], timeout: 0s}\n", "notify.timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = xasprintf(CC "%s", rows[i].text);
		struct config *c = NULL;
		struct config_report report = { 0 };

		assert_int_equal(config_load_memory(text, strlen(text), "t.yaml", &c, &report), -EINVAL);
		assert_int_equal(report.n_problems, 1);
		if (!strstr(report.problems[0].text, rows[i].problem))
			fail_msg("%s: %s", rows[i].text, report.problems[0].text);
		config_report_done(&report);
	}
}

static void test_restart(void **state)
{
	struct config *a = load_good(CC "metrics: {listen: '127.0.0.1:1'}\n");
	struct config *b = load_good(CC "metrics: {listen: '127.0.0.1:1', textfile: /x.prom}\n");
	struct config *c = load_good(CC "metrics: {listen: '127.0.0.1:2'}\n");
	char names[64];

	(void)state;
	assert_false(config_needs_restart(a, b, names, sizeof(names)));
	assert_true(config_needs_restart(a, c, names, sizeof(names)));
	assert_string_equal(names, "metrics.listen");
	config_unref(a);
	config_unref(b);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),	cmocka_unit_test(test_values),	cmocka_unit_test(test_notify),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
