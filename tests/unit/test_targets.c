/* SPDX-License-Identifier: Apache-2.0 */
/* `deploy`: what may stand there, and what becomes of it. */
#include "tests/unit/config_box.h"

#include "config/diff.h"

#include <string.h>

#define HEAD	  "certcentral: {api_key_file: k}\ndefaults: {dcv: {webroot: /srv/www}}\ndomains:\n"
#define DEPLOY(d) HEAD "  - name: a.jp\n    deploy:\n      - " d "\n"
#define AT	  "t.yaml:6:"
#define PATH0	  "domains[0].deploy[0]."

static const struct cfg_domain *only(const struct config *c)
{
	assert_int_equal(c->n_domains, 1);
	return c->domains;
}

static void test_all_kinds(void **state)
{
	_cleanup_(config_unrefp) struct config *c = load_good(
		DEPLOY("files: {owner: root, group: ssl-cert, mode: \"0640\", bundle: /etc/haproxy/www.pem}\n"
		       "      - reload: {unit: nginx, test: [/usr/sbin/nginx, -t], timeout: 5m}\n"
		       "      - exec: {command: [/usr/local/bin/after, --now], timeout: 2s}\n"
		       "      - verify: {connect: \"127.0.0.1:443\", server_name: WWW.a.jp, settle: 3m}\n"
		       "      - scutum: {host: a.jp, id: A1, api_key_file: k}"));
	const struct cfg_deploy *d = only(c)->deploy;

	(void)state;
	assert_int_equal(only(c)->n_deploy, 5);
	assert_int_equal(d[0].type, CFG_DEPLOY_FILES);
	assert_string_equal(d[0].target, "files:/etc/haproxy/www.pem");
	assert_string_equal(d[0].files.owner, "root");
	assert_string_equal(d[0].files.group, "ssl-cert");
	assert_int_equal(d[0].files.mode, 0640);
	assert_string_equal(d[0].files.paths[CFG_COPY_BUNDLE], "/etc/haproxy/www.pem");
	assert_null(d[0].files.paths[CFG_COPY_KEY]);
	assert_string_equal(d[1].target, "reload:nginx.service");
	assert_string_equal(d[1].reload.test[0], "/usr/sbin/nginx");
	assert_string_equal(d[1].reload.test[1], "-t");
	assert_null(d[1].reload.test[2]);
	assert_int_equal(d[1].reload.timeout, 300);
	assert_string_equal(d[2].target, "exec:/usr/local/bin/after");
	assert_string_equal(d[2].exec.command[1], "--now");
	assert_int_equal(d[2].exec.timeout, 2);
	assert_string_equal(d[3].target, "verify:127.0.0.1:443");
	assert_string_equal(d[3].verify.server_name, "www.a.jp");
	assert_int_equal(d[3].verify.settle, 180);
	assert_string_equal(d[4].target, "scutum:a.jp");
}

static void test_defaults_of_targets(void **state)
{
	_cleanup_(config_unrefp) struct config *c = load_good(DEPLOY("files: {group: ssl-cert}\n"
								     "      - reload: {unit: a@b.service}\n"
								     "      - exec: {command: [/bin/true]}\n"
								     "      - verify: {}"));
	const struct cfg_deploy *d = only(c)->deploy;

	(void)state;
	assert_string_equal(d[0].target, "files");
	assert_int_equal(d[0].files.mode, 0600);
	assert_null(d[0].files.owner);
	assert_string_equal(d[1].target, "reload:a@b.service");
	assert_null(d[1].reload.test);
	assert_int_equal(d[1].reload.timeout, 90);
	assert_int_equal(d[2].exec.timeout, 60);
	assert_string_equal(d[3].target, "verify:a.jp:443");
	assert_string_equal(d[3].verify.server_name, "a.jp");
	assert_string_equal(d[3].verify.connect, "a.jp:443");
	assert_int_equal(d[3].verify.settle, 10);
	assert_string_equal(c->helper_socket, "/run/dvcertd-helper/socket");
}

/* One list for all, filled in for each. */
static void test_shared_list(void **state)
{
	_cleanup_(config_unrefp) struct config *c =
		load_good("certcentral: {api_key_file: k}\n"
			  "dns_providers: {x: {type: exec, command: [/bin/true]}}\n"
			  "defaults:\n"
			  "  dcv: {method: dns-txt-token, provider: x}\n"
			  "  deploy:\n"
			  "    - files: {bundle: \"/etc/haproxy/{name}.pem\", key: \"/k/{name}/{name}\"}\n"
			  "    - verify: {connect: \"127.0.0.1:443\"}\n"
			  "domains:\n"
			  "  - {name: b.jp, common_name: \"*.b.jp\", dns_names: [x.b.jp]}\n"
			  "  - {name: w.c.jp, common_name: \"*.c.jp\"}\n"
			  "  - {name: d.jp, deploy: [{reload: {unit: nginx}}]}\n");

	(void)state;
	assert_string_equal(config_find(c, "b.jp")->deploy[0].files.paths[CFG_COPY_BUNDLE],
			    "/etc/haproxy/b.jp.pem");
	assert_string_equal(config_find(c, "b.jp")->deploy[0].files.paths[CFG_COPY_KEY], "/k/b.jp/b.jp");
	assert_string_equal(config_find(c, "b.jp")->deploy[1].verify.server_name, "x.b.jp");
	assert_string_equal(config_find(c, "w.c.jp")->deploy[1].verify.server_name, "w.c.jp");
	assert_int_equal(config_find(c, "d.jp")->n_deploy, 1);
}

/* Nothing in it depends on the domain: thousands of them share one. */
static void test_closed_list_is_shared(void **state)
{
	_cleanup_(config_unrefp) struct config *c =
		load_good("certcentral: {api_key_file: k}\n"
			  "defaults: {dcv: {webroot: /w}, deploy: [{reload: {unit: nginx}}]}\n"
			  "domains: [{name: a.jp}, {name: b.jp}]\n");

	(void)state;
	assert_ptr_equal(c->domains[0].deploy, c->domains[1].deploy);
}

static void test_second_of_a_name(void **state)
{
	_cleanup_(config_unrefp) struct config *c =
		load_good(DEPLOY("exec: {command: [/bin/true, 1]}\n"
				 "      - exec: {command: [/bin/true, 2]}\n"
				 "      - exec: {command: [/bin/true, 3]}\n"
				 "      - verify: {connect: \"[::1]:443\"}\n"
				 "      - verify: {connect: \"[::1]:443\", server_name: b.a.jp}\n"
				 "      - verify: {connect: \"Front.jp:8443\"}"));
	const struct cfg_deploy *d = only(c)->deploy;

	(void)state;
	assert_string_equal(d[0].target, "exec:/bin/true");
	assert_string_equal(d[1].target, "exec:/bin/true#2");
	assert_string_equal(d[2].target, "exec:/bin/true#3");
	assert_string_equal(d[4].target, "verify:[::1]:443#2");
	assert_string_equal(d[5].target, "verify:front.jp:8443");
}

#define MODE_TEXT(m)                                                                                         \
	"must be the permissions of a private key in octal, such as \"0640\": its owner reads it, nobody "   \
	"outside its group does; not \"" m "\"\n"

static void test_refused(void **state)
{
	static const struct row rows[] = {
		{ DEPLOY("{}"), AT "9: domains[0].deploy[0]: must name a target: files, reload, exec, verify "
				   "or scutum, such as "
				   "reload: {unit: nginx.service}\n" },
		{ DEPLOY("{reload: {unit: a}, exec: {command: [/b]}}"),
		  AT "9: domains[0].deploy[0]: names 2 targets; each is an element of the list, with a \"-\" "
		     "of its own\n" },
		{ DEPLOY("reload: {unit: nginx}\n      - reload: {unit: nginx.service}"),
		  "t.yaml:7:9: domains[0].deploy[1]: target \"reload:nginx.service\" is here twice; the "
		  "first one is at "
		  "t.yaml:6:9\n" },
		{ DEPLOY("files: {mode: \"0644\"}"), AT "23: " PATH0 "files.mode: " MODE_TEXT("0644") },
		{ DEPLOY("files: {mode: \"0750\"}"), AT "23: " PATH0 "files.mode: " MODE_TEXT("0750") },
		{ DEPLOY("files: {mode: \"0240\"}"), AT "23: " PATH0 "files.mode: " MODE_TEXT("0240") },
		{ DEPLOY("files: {mode: rw}"), AT "23: " PATH0 "files.mode: " MODE_TEXT("rw") },
		{ DEPLOY("files: {mode: 0o640}"), AT "23: " PATH0 "files.mode: " MODE_TEXT("0o640") },
		{ DEPLOY("files: {mode: 100000000000000000000640}"),
		  AT "23: " PATH0 "files.mode: " MODE_TEXT("100000000000000000000640") },
		{ DEPLOY("files: {owner: \"-x\"}"),
		  AT "24: " PATH0 "files.owner: \"-x\" is not the name or number of an account\n" },
		{ DEPLOY("files: {group: \"a b\"}"),
		  AT "24: " PATH0 "files.group: \"a b\" is not the name or number of an account\n" },
		{ DEPLOY("files: {key: etc/key}"),
		  AT "22: " PATH0 "files.key: \"etc/key\" must be an absolute path (begin with \"/\")\n" },
		{ DEPLOY("files: {key: /etc/}"),
		  AT "22: " PATH0 "files.key: \"/etc/\" must be the path of a file, not of a folder\n" },
		{ DEPLOY("files: {key: \"/etc/{host}\"}"),
		  AT "22: " PATH0 "files.key: \"/etc/{host}\": only {name} may stand in braces\n" },
		{ DEPLOY("reload: {}"),
		  AT "17: " PATH0 "reload.unit: is missing: the service to reload, such as nginx.service; "
		     "one that cannot reload is restarted, one that does not run is left alone\n" },
		{ DEPLOY("reload: {unit: \"a b\"}"),
		  AT "24: " PATH0 "reload.unit: \"a b\" is not the name of a unit, such as nginx.service\n" },
		{ DEPLOY("reload: {unit: \"../x\"}"), AT
		  "24: " PATH0 "reload.unit: \"../x\" is not the name of a unit, such as nginx.service\n" },
		{ DEPLOY("reload: {unit: a.timer}"),
		  AT "24: " PATH0 "reload.unit: \"a.timer\" is no service; only services can be reloaded\n" },
		{ DEPLOY("exec: {}"),
		  AT "15: " PATH0 "exec.command: is missing: the program, an absolute path, and its "
		     "arguments; 1 to 32 words, no shell\n" },
		{ DEPLOY("exec: {command: [true]}"),
		  AT "26: " PATH0 "exec.command[0]: \"true\" must be an absolute path (begin with \"/\")\n" },
		{ DEPLOY("exec: {command: []}"),
		  AT "25: " PATH0 "exec.command: must hold at least the program, as in "
		     "[/usr/local/bin/program, argument]\n" },
		{ DEPLOY("verify: {connect: a.jp}"),
		  AT "27: " PATH0
		     "verify.connect: \"a.jp\" lacks a port; write HOST:PORT, such as 127.0.0.1:443\n" },
		{ DEPLOY("verify: {connect: \"::1:443\"}"),
		  AT "27: " PATH0
		     "verify.connect: \"::1:443\": an IPv6 address needs brackets, as in [::1]:443\n" },
		{ DEPLOY("verify: {server_name: \"*.a.jp\"}"),
		  AT "31: " PATH0 "verify.server_name: \"*.a.jp\": a wildcard is not possible here\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_names_that_nobody_can_ask_for(void **state)
{
	static const struct row rows[] = {
		{ "certcentral: {api_key_file: k}\n"
		  "dns_providers: {x: {type: exec, command: [/bin/true]}}\n"
		  "defaults: {dcv: {method: dns-txt-token, provider: x}, deploy: [{verify: {}}]}\n"
		  "domains: [{name: other, common_name: \"*.a.jp\"}]\n",
		  "t.yaml:4:11: domains[0].deploy[0].verify: needs server_name: the name to ask the server "
		  "for, since all "
		  "names of this certificate are wildcards\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_one_path_twice(void **state)
{
	static const struct row rows[] = {
		{ "certcentral: {api_key_file: k}\n"
		  "defaults: {dcv: {webroot: /w}, deploy: [{files: {bundle: /etc/b.pem}}]}\n"
		  "domains: [{name: a.jp}, {name: b.jp}]\n",
		  "t.yaml:3:25: deploy: \"b.jp\" writes /etc/b.pem, which \"a.jp\" (t.yaml:3:11) writes too: "
		  "each copy needs a "
		  "path of its own; {name} stands for the domain's name\n" },
		{ DEPLOY("files: {bundle: /x, key: /x}"),
		  "t.yaml:4:5: deploy: \"a.jp\" writes /x, which \"a.jp\" (t.yaml:4:5) writes too: each copy "
		  "needs a path of its "
		  "own; {name} stands for the domain's name\n" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static bool same(const char *left, const char *right)
{
	_cleanup_(config_unrefp) struct config *a = load_good(left);
	_cleanup_(config_unrefp) struct config *b = load_good(right);

	return config_same_deploy(only(a)->deploy, only(b)->deploy);
}

static void test_what_is_another_place(void **state)
{
	(void)state;
	assert_true(same(DEPLOY("files: {key: /k}"), DEPLOY("files: {key: /k, mode: \"0600\"}")));
	assert_false(same(DEPLOY("files: {key: /k}"), DEPLOY("files: {key: /k, mode: \"0640\"}")));
	assert_false(same(DEPLOY("files: {key: /k}"), DEPLOY("files: {key: /k, group: web}")));
	assert_false(same(DEPLOY("files: {cert: /c}"), DEPLOY("files: {cert: /c, key: /k}")));
	assert_true(same(DEPLOY("reload: {unit: a}"), DEPLOY("reload: {unit: a, timeout: 1s, test: [/t]}")));
	assert_false(same(DEPLOY("reload: {unit: a}"), DEPLOY("reload: {unit: b}")));
	assert_true(
		same(DEPLOY("exec: {command: [/a, b]}"), DEPLOY("exec: {command: [/a, b], timeout: 1s}")));
	assert_false(same(DEPLOY("exec: {command: [/a, b]}"), DEPLOY("exec: {command: [/a, c]}")));
	assert_true(same(DEPLOY("verify: {}"), DEPLOY("verify: {settle: 1s, server_name: a.jp}")));
	assert_false(same(DEPLOY("verify: {connect: \"h.jp:443\"}"),
			  DEPLOY("verify: {connect: \"h.jp:443\", server_name: b.jp}")));
	assert_false(same(DEPLOY("exec: {command: [/a]}"), DEPLOY("verify: {}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_defaults_of_targets),
		cmocka_unit_test(test_shared_list),
		cmocka_unit_test(test_closed_list_is_shared),
		cmocka_unit_test(test_second_of_a_name),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names_that_nobody_can_ask_for),
		cmocka_unit_test(test_one_path_twice),
		cmocka_unit_test(test_what_is_another_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
