/* SPDX-License-Identifier: Apache-2.0 */
/* Right files, and everything that has to do with several files, the environment and the disk. */
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include "common/clock.h"
#include "config/arena.h"
#include "config/tsig.h"

#include <string.h>

#define HEAD "certcentral: {api_key_file: k}\ndefaults: {dcv: {webroot: /srv/www}}\ndomains:\n"

static struct box box;

static int setup(void **state)
{
	(void)state;
	(void)unsetenv("STATE_DIRECTORY");
	(void)unsetenv("RUNTIME_DIRECTORY");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	box_open(&box);
	box_write(&box, "k", "KEY\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	box_close(&box);
	return 0;
}

/* The snapshot of the box's dvcertd.yaml, or NULL and a report. */
static struct config *load(struct config_report *report)
{
	_cleanup_free_ char *file = box_path(&box, "dvcertd.yaml");
	struct config *c = NULL;
	int r = config_load(file, &c, report);

	assert_int_equal(r == 0, c != NULL);
	assert_int_equal(r == 0, report->n_problems == 0);
	return c;
}

static struct config *load_right(void)
{
	struct config_report report;
	struct config *c = load(&report);

	for (size_t i = 0; i < report.n_problems; i++)
		print_message("%s\n", report.problems[i].text);
	config_report_done(&report);
	assert_non_null(c);
	return c;
}

/* Each part, after the box's folder, must be in some line. */
static void load_wrong(const char *file, const char *part)
{
	_cleanup_free_ char *line = xasprintf("%s/%s: %s", box.dir, file, part);
	struct config_report report;

	assert_null(load(&report));
	assert_true(report_has(&report, line));
	config_report_done(&report);
}

static void test_defaults(void **state)
{
	struct config *c = load_good("certcentral: {api_key_file: k}\n");

	(void)state;
	assert_string_equal(c->file, "t.yaml");
	assert_string_equal(c->state_dir, "/var/lib/dvcertd");
	assert_string_equal(c->control_socket, "/run/dvcertd/control.sock");
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->log_format, CFG_LOG_AUTO);
	assert_string_equal(c->certcentral.url, "https://www.digicert.com/services/v2");
	assert_null(c->certcentral.ca_file);
	assert_string_equal(c->certcentral.product, "ssl_dv_geotrust");
	assert_int_equal(c->certcentral.order_years, 1);
	assert_int_equal(c->certcentral.max_cert_days, 199);
	assert_null(c->certcentral.payment_method);
	assert_int_equal(c->certcentral.n_rates, 2);
	assert_int_equal(c->certcentral.rates[0].requests, 90);
	assert_int_equal(c->certcentral.rates[0].per, 5);
	assert_int_equal(c->certcentral.rates[1].requests, 900);
	assert_int_equal(c->certcentral.rates[1].per, 180);
	assert_int_equal(c->certcentral.poll_interval, 60);
	assert_int_equal(c->certcentral.max_orders_per_day, 50);
	assert_string_equal(c->scutum.url, "https://api.scutum.jp/api/v1");
	assert_null(c->proxy);
	assert_false(c->certcentral.instant_issuance);
	assert_null(c->certcentral.auth_key);
	assert_null(c->certcentral.auth_key_id);
	assert_int_equal(c->preflight.http, CFG_LOOK_ON);
	assert_null(c->preflight.http_addr);
	assert_int_equal(c->preflight.dns, CFG_LOOK_ON);
	assert_null(c->preflight.dns_addr);
	assert_int_equal(c->n_providers, 0);
	assert_null(c->responder_listen);
	assert_int_equal(c->n_domains, 0);
	config_unref(c);
}

static void test_top_values(void **state)
{
	struct config *c = load_good("state_dir: /x/\n"
				     "control_socket: /y\n"
				     "log: {level: debug, format: json}\n"
				     "certcentral:\n"
				     "  api_key_file: k\n"
				     "  url: https://[::1]:9443/services/v2//\n"
				     "  product: p\n"
				     "  order_years: 3\n"
				     "  max_cert_days: 46\n"
				     "  payment_method: balance\n"
				     "  rate_limit: [{requests: 1, per: 2s}]\n"
				     "  poll_interval: 1s\n"
				     "  max_orders_per_day: 7\n"
				     "  instant_issuance: true\n"
				     "  auth_key_id: ABC-1\n"
				     "scutum: {url: 'https://127.0.0.1:9443/api/v1/'}\n"
				     "proxy: http://proxy.example.jp:3128/\n"
				     "preflight: {http: '[::1]:8080', dns: '127.0.0.1:5353'}\n"
				     "responder: {listen: '127.0.0.1:8402'}\n"
				     "defaults:\n"
				     "domains:\n");

	(void)state;
	assert_string_equal(c->state_dir, "/x");
	assert_string_equal(c->control_socket, "/y");
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->log_format, CFG_LOG_JSON);
	assert_string_equal(c->certcentral.url, "https://[::1]:9443/services/v2");
	assert_string_equal(c->certcentral.product, "p");
	assert_int_equal(c->certcentral.order_years, 3);
	assert_int_equal(c->certcentral.max_cert_days, 46);
	assert_string_equal(c->certcentral.payment_method, "balance");
	assert_int_equal(c->certcentral.n_rates, 1);
	assert_int_equal(c->certcentral.rates[0].per, 2);
	assert_int_equal(c->certcentral.poll_interval, 1);
	assert_int_equal(c->certcentral.max_orders_per_day, 7);
	assert_string_equal(c->scutum.url, "https://127.0.0.1:9443/api/v1");
	assert_string_equal(c->proxy, "http://proxy.example.jp:3128");
	assert_int_equal(c->preflight.http, CFG_LOOK_AT);
	assert_string_equal(c->preflight.http_addr, "[::1]:8080");
	assert_int_equal(c->preflight.dns, CFG_LOOK_AT);
	assert_string_equal(c->preflight.dns_addr, "127.0.0.1:5353");
	assert_true(c->certcentral.instant_issuance);
	assert_string_equal(c->certcentral.auth_key_id, "ABC-1");
	assert_string_equal(c->responder_listen, "127.0.0.1:8402");
	config_unref(c);
}

static void test_preflight_words(void **state)
{
	static const struct {
		const char *word;
		enum cfg_look wanted;
	} rows[] = {
		{ "on", CFG_LOOK_ON },	 { "true", CFG_LOOK_ON },     { "'on'", CFG_LOOK_ON },
		{ "off", CFG_LOOK_OFF }, { "\"off\"", CFG_LOOK_OFF }, { "No", CFG_LOOK_OFF },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text =
			xasprintf("certcentral: {api_key_file: k}\npreflight: {http: %s}\n", rows[i].word);
		_cleanup_free_ char *dns =
			xasprintf("certcentral: {api_key_file: k}\npreflight: {dns: %s}\n", rows[i].word);
		struct config *c = load_good(text);

		assert_int_equal(c->preflight.http, rows[i].wanted);
		assert_int_equal(c->preflight.dns, CFG_LOOK_ON);
		config_unref(c);
		c = load_good(dns);
		assert_int_equal(c->preflight.http, CFG_LOOK_ON);
		assert_int_equal(c->preflight.dns, rows[i].wanted);
		config_unref(c);
	}
}

static void test_domain_values(void **state)
{
	struct config *c = load_good(HEAD "  - name: WWW.b.jp\n"
					  "    dns_names: [日本語.jp, B.jp]\n"
					  "    product: q\n"
					  "    key: {type: ec, curve: P-384, reuse: yes}\n"
					  "    renew_before: 5s\n"
					  "    deploy:\n"
					  "      - scutum: {host: W.b.jp, id: 12, api_key_file: k}\n"
					  "  - {name: Folder_1, common_name: a.jp}\n");
	const struct cfg_domain *d = config_find(c, "www.b.jp");

	(void)state;
	assert_int_equal(c->n_domains, 2);
	assert_ptr_equal(d, &c->domains[1]);
	assert_null(config_find(c, "b.jp"));
	assert_null(config_find(NULL, "b.jp"));
	assert_string_equal(d->common_name, "www.b.jp");
	assert_int_equal(d->n_names, 3);
	assert_ptr_equal(d->names[0], d->common_name);
	assert_string_equal(d->names[1], "xn--wgv71a119e.jp");
	assert_string_equal(d->names[2], "b.jp");
	assert_string_equal(d->product, "q");
	assert_int_equal(d->key.type, CFG_KEY_EC_P384);
	assert_true(d->key.reuse);
	assert_int_equal(d->renew_before, 5);
	assert_string_equal(d->dcv.webroot, "/srv/www");
	assert_int_equal(d->n_deploy, 1);
	assert_string_equal(d->deploy[0].target, "scutum:w.b.jp");
	assert_string_equal(d->deploy[0].scutum.host, "w.b.jp");
	assert_string_equal(d->deploy[0].scutum.id, "12");
	assert_string_equal(d->pos.file, "t.yaml");
	assert_int_equal(d->pos.line, 4);
	assert_int_equal(d->pos.column, 5);
	assert_true(d->spec_hash != 0);
	d = config_find(c, "folder_1");
	assert_int_equal(d->n_names, 1);
	assert_string_equal(d->common_name, "a.jp");
	assert_string_equal(d->product, "ssl_dv_geotrust");
	assert_int_equal(d->key.type, CFG_KEY_RSA);
	assert_int_equal(d->key.bits, 2048);
	assert_false(d->key.reuse);
	assert_int_equal(d->renew_before, 0);
	config_unref(c);
}

/* A section of a domain replaces the default section whole. */
static void test_defaults_of_domains(void **state)
{
	struct config *c = load_good("certcentral: {api_key_file: k}\n"
				     "responder: {listen: '127.0.0.1:1'}\n"
				     "domains:\n"
				     "  - name: a.jp\n"
				     "  - {name: b.jp, key: {reuse: true}, dcv: {responder: true}, "
				     "renew_before: auto, deploy: []}\n"
				     "defaults:\n"
				     "  product: p\n"
				     "  key: {type: rsa, bits: 4096}\n"
				     "  dcv: {webroot: /srv/}\n"
				     "  renew_before: 9d\n"
				     "  deploy: [{scutum: {host: w.jp, id: A, api_key_file: k}}]\n");
	const struct cfg_domain *a = config_find(c, "a.jp");
	const struct cfg_domain *b = config_find(c, "b.jp");

	(void)state;
	assert_int_equal(a->key.bits, 4096);
	assert_string_equal(a->dcv.webroot, "/srv");
	assert_false(a->dcv.responder);
	assert_int_equal(a->renew_before, 9 * 86400);
	assert_int_equal(a->n_deploy, 1);
	assert_string_equal(a->product, "p");
	assert_int_equal(b->key.bits, 2048);
	assert_true(b->key.reuse);
	assert_null(b->dcv.webroot);
	assert_true(b->dcv.responder);
	assert_int_equal(b->renew_before, 0);
	assert_int_equal(b->n_deploy, 0);
	assert_string_equal(b->product, "p");
	config_unref(c);
}

static void test_environment(void **state)
{
	struct config *c = NULL;
	char long_dir[200];

	(void)state;
	assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/private/a:/b", 1), 0);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1), 0);
	c = load_good("certcentral: {api_key_file: k}\n");
	assert_string_equal(c->state_dir, "/var/lib/private/a");
	assert_string_equal(c->control_socket, "/run/a/control.sock");
	config_unref(c);
	c = load_good("certcentral: {api_key_file: k}\nstate_dir: /x\ncontrol_socket: /y\n");
	assert_string_equal(c->state_dir, "/x");
	assert_string_equal(c->control_socket, "/y");
	config_unref(c);
	memset(long_dir, 'a', sizeof(long_dir));
	long_dir[0] = '/';
	long_dir[150] = '\0';
	assert_int_equal(setenv("RUNTIME_DIRECTORY", long_dir, 1), 0);
	load_bad("certcentral: {api_key_file: k}\n", 31,
		 "t.yaml: control_socket: the default from $RUNTIME_DIRECTORY is 163 bytes long; the path of "
		 "a socket has at "
		 "most 107; set it here\n");
}

static void test_files(void **state)
{
	struct config *c = NULL;

	(void)state;
	box_write(&box, "dvcertd.yaml", HEAD "  - name: m.jp\n");
	box_mkdir(&box, "conf.d");
	box_write(&box, "conf.d/20.yaml", "domains:\n  - {name: z.jp, dcv: {webroot: /z}}\n");
	box_write(&box, "conf.d/10.yaml", "domains: [{name: a.jp}]\n");
	box_write(&box, "conf.d/other.yml", "nonsense: 1\n");
	box_write(&box, "conf.d/.hidden.yaml", "nonsense: 1\n");
	box_write(&box, "conf.d/30.yaml", "domains:\n");
	c = load_right();
	assert_int_equal(c->n_domains, 3);
	assert_string_equal(c->domains[0].name, "a.jp");
	assert_string_equal(c->domains[0].dcv.webroot, "/srv/www");
	assert_string_equal(c->domains[2].dcv.webroot, "/z");
	assert_non_null(strstr(c->domains[2].pos.file, "/conf.d/20.yaml"));
	assert_string_equal(secret_bytes(c->certcentral.api_key), "KEY");
	/* Two owners, one memory. */
	assert_ptr_equal(config_ref(c), c);
	config_unref(c);
	assert_int_equal(c->n_domains, 3);
	config_unref(c);
	config_unref(NULL);
	assert_null(config_ref(NULL));
}

static void test_bad_parts(void **state)
{
	struct config_report report;
	_cleanup_free_ char *twice = NULL;

	(void)state;
	box_write(&box, "dvcertd.yaml", HEAD "  - name: m.jp\n  - name: n.jp\n    x: 1\n");
	box_mkdir(&box, "conf.d");
	box_write(&box, "conf.d/a.yaml", "certcentral: {}\ndomains: [{name: M.jp}]\n");
	box_write(&box, "conf.d/b.yaml", "");
	box_write(&box, "conf.d/c.yaml", "[]\n");
	box_write(&box, "conf.d/d.yaml", "domains: [\n");
	assert_null(load(&report));
	assert_int_equal(report.n_problems, 6);
	/* The main file first, then the others by name. */
	assert_non_null(strstr(report.problems[0].text, "/dvcertd.yaml:6:5: domains[1].x: unknown key"));
	assert_non_null(strstr(
		report.problems[1].text,
		"/conf.d/a.yaml:1:1: certcentral: only domains may stand here; all else belongs into "));
	twice = xasprintf(
		"%s/conf.d/a.yaml:2:18: domains[0].name: \"m.jp\" is here twice; the first one is at "
		"%s/dvcertd.yaml:4:11",
		box.dir, box.dir);
	assert_string_equal(report.problems[2].text, twice);
	assert_non_null(strstr(report.problems[3].text, "/conf.d/b.yaml: is empty"));
	assert_non_null(strstr(report.problems[4].text, "/conf.d/c.yaml:1:1: must be a mapping"));
	assert_non_null(strstr(report.problems[5].text, "/conf.d/d.yaml:2:1: not valid YAML"));
	config_report_done(&report);
	/* When the main file cannot be read as YAML, nothing is said about missing defaults elsewhere. */
	box_write(&box, "dvcertd.yaml", "a: [\n");
	assert_null(load(&report));
	assert_false(strstr(report.problems[0].text, "dvcertd.yaml:2:1") == NULL);
	for (size_t i = 0; i < report.n_problems; i++)
		assert_null(strstr(report.problems[i].text, "dcv"));
	config_report_done(&report);
}

static void test_bad_files(void **state)
{
	_cleanup_free_ char *path = box_path(&box, "dvcertd.yaml");
	_cleanup_free_ char *big = xmalloc(10u << 20);

	(void)state;
	load_wrong("dvcertd.yaml", "cannot be opened: No such file or directory");
	box_mkdir(&box, "dvcertd.yaml");
	load_wrong("dvcertd.yaml", "is a directory, not a file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	load_wrong("dvcertd.yaml", "is not a regular file");
	assert_int_equal(unlink(path), 0);
	box_write_bytes(&box, "dvcertd.yaml", HEAD, strlen(HEAD), 0646);
	load_wrong("dvcertd.yaml", "is writable by others (mode 0646); run chmod o-w on it");
	memset(big, '#', 10u << 20);
	box_write_bytes(&box, "dvcertd.yaml", big, 10u << 20, 0600);
	load_wrong("dvcertd.yaml", "is too large (10485760 bytes; at most 8388608)");
	box_write(&box, "dvcertd.yaml", "certcentral: {api_key_file: k}\n");
	box_write(&box, "conf.d", "a file\n");
	load_wrong("conf.d", "cannot be listed: Not a directory");
}

static void test_named_files(void **state)
{
	_cleanup_free_ char *where = NULL;
	struct config *c = NULL;

	(void)state;
	box_write(&box, "dvcertd.yaml",
		  "certcentral:\n  api_key_file: absent\n  ca_file: ca.pem\nscutum: {ca_file: ca.pem}\n");
	where = xasprintf("certcentral.api_key_file: no such file: %s/absent", box.dir);
	load_wrong("dvcertd.yaml:2:17", where);
	free(where);
	where = xasprintf("certcentral.ca_file: %s/ca.pem: cannot be opened: No such file or directory",
			  box.dir);
	load_wrong("dvcertd.yaml:3:12", where);
	box_write(&box, "ca.pem", "no PEM\n");
	free(where);
	where = xasprintf("scutum.ca_file: %s/ca.pem holds no certificate in PEM form", box.dir);
	load_wrong("dvcertd.yaml:4:19", where);
	box_write(&box, "ca.pem", "-----BEGIN CERTIFICATE-----\n");
	box_write(&box, "dvcertd.yaml", "certcentral: {api_key_file: k, ca_file: ca.pem}\n");
	c = load_right();
	free(where);
	where = box_path(&box, "ca.pem");
	assert_string_equal(c->certcentral.ca_file, where);
	config_unref(c);
	box_write_bytes(&box, "k", "KEY", 3, 0644);
	free(where);
	where = xasprintf(
		"certcentral.api_key_file: %s/k: is open to others (mode 0644); run chmod o-rwx on it",
		box.dir);
	load_wrong("dvcertd.yaml:1:29", where);
}

static void test_auth_key(void **state)
{
	struct config *c = NULL;

	(void)state;
	box_write(&box, "dvcertd.yaml", "certcentral:\n  api_key_file: k\n  auth_key_file: a\n");
	load_wrong("dvcertd.yaml:3:18", "certcentral.auth_key_file: no such file: ");
	box_write(&box, "a", "AUTH\nKEY\n");
	load_wrong("dvcertd.yaml:3:18", "certcentral.auth_key_file: ");
	box_write(&box, "a", "\n");
	load_wrong("dvcertd.yaml:3:18", "certcentral.auth_key_file: ");
	box_write(&box, "a", "AUTHKEY\n");
	c = load_right();
	assert_string_equal(secret_bytes(c->certcentral.auth_key), "AUTHKEY");
	config_unref(c);
}

static void test_credentials(void **state)
{
	_cleanup_free_ char *creds = box_path(&box, "creds");
	struct config *c = NULL;

	(void)state;
	box_mkdir(&box, "creds");
	box_write(&box, "creds/k", "CREDENTIAL\n");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", creds, 1), 0);
	box_write(&box, "dvcertd.yaml", "certcentral: {api_key_file: k}\n");
	c = load_right();
	assert_string_equal(secret_bytes(c->certcentral.api_key), "CREDENTIAL");
	config_unref(c);
}

/* A relative name of the config file, from another working directory later. */
static void test_relative(void **state)
{
	_cleanup_free_ char *before = getcwd(NULL, 0);
	struct config_report report;
	struct config *c = NULL;

	(void)state;
	box_write(&box, "dvcertd.yaml", "certcentral: {api_key_file: k, ca_file: ca.pem}\n");
	box_write(&box, "ca.pem", "-----BEGIN CERTIFICATE-----\n");
	box_mkdir(&box, "conf.d");
	box_write(&box, "conf.d/a.yaml", "domains: [{name: a.jp, dcv: {webroot: /a}}]\n");
	assert_int_equal(chdir(box.dir), 0);
	assert_int_equal(config_load("dvcertd.yaml", &c, &report), 0);
	config_report_done(&report);
	assert_int_equal(chdir(before), 0);
	assert_true(c->certcentral.ca_file[0] == '/');
	assert_string_equal(c->domains[0].pos.file, "conf.d/a.yaml");
	config_unref(c);
}

static void copy_example(const char *name)
{
	_cleanup_free_ char *from = xasprintf("config/examples/%s", name);
	_cleanup_close_ int fd = open(from, O_RDONLY | O_CLOEXEC);
	char text[16384];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

	assert_true(n > 0);
	box_write_bytes(&box, "dvcertd.yaml", text, (size_t)n, 0644);
}

static void test_examples(void **state)
{
	struct config *c = NULL;

	(void)state;
	box_write(&box, "certcentral-api-key", "KEY\n");
	box_write(&box, "scutum-www", "KEY\n");
	box_write(&box, "scutum-www-passphrase", "pass phrase\n");
	box_write(&box, "sandbox-ca.pem", "-----BEGIN CERTIFICATE-----\n");
	copy_example("minimal.yaml");
	c = load_right();
	assert_int_equal(c->n_domains, 1);
	config_unref(c);
	box_write(&box, "certcentral-auth-key", "AUTHKEY\n");
	box_write(
		&box, "corp.tsig",
		"key \"dvcertd\" {\n\talgorithm hmac-sha256;\n\tsecret \"AAAAAAAAAAAAAAAAAAAAAA==\";\n};\n");
	copy_example("dns-rfc2136.yaml");
	c = load_right();
	assert_string_equal(c->domains[0].dcv.provider->tsig_key->name, "dvcertd");
	config_unref(c);
	copy_example("dns-exec.yaml");
	c = load_right();
	assert_string_equal(c->domains[0].common_name, "*.example.jp");
	assert_string_equal(c->domains[0].dcv.provider->command[0], "/usr/libexec/dvcertd/acme-dnsapi");
	config_unref(c);
	copy_example("email.yaml");
	c = load_right();
	assert_int_equal(c->domains[0].dcv.n_emails, 2);
	config_unref(c);
	copy_example("full.yaml");
	c = load_right();
	assert_int_equal(c->n_domains, 6);
	assert_int_equal(c->n_providers, 2);
	assert_string_equal(secret_bytes(config_find(c, "www.example.jp")->deploy[4].scutum.key_passphrase),
			    "pass phrase");
	config_unref(c);
}

static char *many_domains(size_t n, const char *extra)
{
	char *text = xmalloc(256 + n * 256);
	size_t at = (size_t)snprintf(text, 256, "%s", HEAD);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(
			text + at, 256,
			"  - name: www.site%05zu.example.jp\n    dns_names: [site%05zu.example.jp]\n%s", i, i,
			extra);
	return text;
}

static void test_ten_thousand(void **state)
{
	_cleanup_free_ char *text =
		many_domains(10000, "    dcv: {method: http-token, webroot: /var/www/html}\n");
	int64_t begin = clock_mono_ms();
	struct config *c = load_good(text);
	int64_t took = clock_mono_ms() - begin;

	(void)state;
	print_message("10,000 domains: %lld ms, %zu bytes each\n", (long long)took,
		      arena_size(c->arena) / 10000);
	assert_int_equal(c->n_domains, 10000);
	assert_non_null(config_find(c, "www.site04711.example.jp"));
	assert_true(arena_size(c->arena) < 500 * (size_t)10000);
	/* Generous: sanitizers and busy machines. */
	assert_true(took < 3000);
	config_unref(c);
}

static void test_too_many_problems(void **state)
{
	_cleanup_free_ char *text = many_domains(10000, "    x: 1\n");
	struct config_report report;
	struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load_memory(text, strlen(text), "t", &c, &report), -EINVAL);
	assert_int_equal(report.n_problems, CONFIG_PROBLEMS_MAX);
	assert_true(report.truncated);
	config_report_done(&report);
}

#define PROVIDERS "dns_providers: {p: {type: exec, command: [/p]}, q: {type: exec, command: [/p]}}\n"

static void test_spec_hash(void **state)
{
	static const char *const texts[] = {
		"  - {name: a.jp}\n",
		"  - {name: a.jp, dns_names: [b.jp]}\n",
		"  - {name: a.jp, common_name: c.jp}\n",
		"  - {name: a.jp, product: p}\n",
		"  - {name: a.jp, key: {bits: 4096}}\n",
		"  - {name: a.jp, key: {type: ec}}\n",
		"  - {name: a.jp, key: {reuse: true}}\n",
		"  - {name: a.jp, dcv: {webroot: /x}}\n",
		"  - {name: a.jp, dcv: {method: dns-txt-token, provider: p}}\n",
		"  - {name: a.jp, dcv: {method: dns-txt-token, provider: q}}\n",
		"  - {name: a.jp, dcv: {method: dns-txt-token, provider: p, label: '@'}}\n",
		"  - {name: a.jp, dcv: {method: dns-cname-token, provider: p}}\n",
		"  - {name: a.jp, dcv: {method: email, emails: [x@a.jp]}}\n",
		"  - {name: a.jp, dcv: {method: email, emails: [x@a.jp, y@a.jp]}}\n",
	};
	enum { FIRST_DNS = 8 };
	uint64_t seen[ARRAY_SIZE(texts)] = { 0 };
	struct config *c = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *text = xasprintf(PROVIDERS "%s%s", HEAD, texts[i]);

		c = load_good(text);
		seen[i] = c->domains[0].spec_hash;
		for (size_t k = 0; k < i; k++)
			assert_true(seen[k] != seen[i]);
		config_unref(c);
	}
	/* What does not shape an order does not count, nor does the place in the file. */
	c = load_good(HEAD "\n\n  - {name: a.jp, renew_before: 1d, deploy: [{scutum: {host: a.jp, id: A, "
			   "api_key_file: k}}]}\n");
	assert_true(c->domains[0].spec_hash == seen[0]);
	config_unref(c);
	/* Nor does how a provider works. */
	c = load_good("dns_providers: {p: {type: exec, command: [/other], timeout: 9s}}\n" HEAD
		      "  - {name: a.jp, dcv: {method: dns-txt-token, provider: p}}\n");
	assert_true(c->domains[0].spec_hash == seen[FIRST_DNS]);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_top_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preflight_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_defaults_of_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_auth_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credentials, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_examples, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ten_thousand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_problems, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spec_hash, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
