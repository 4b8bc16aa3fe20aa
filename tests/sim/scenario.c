/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scenario.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/str.h"
#include "tests/sim/ca.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/life.h"
#include "tests/sim/net.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario_priv.h"
#include "tests/sim/targets.h"
#include "tests/sim/world.h"
#include "tests/sim/zone.h"

#define LIVES_MAX 20000

struct actor actors[PLAN_DOMAINS_MAX];
unsigned n_actors;

struct scenario scenario;

const char *scenario_state_dir(void)
{
	return scenario.state;
}

unsigned scenario_max_orders(void)
{
	return scenario.max_orders;
}

struct actor *scenario_actor(const char *name)
{
	for (unsigned i = 0; i < n_actors; i++)
		if (strcmp(actors[i].name, name) == 0)
			return &actors[i];
	return NULL;
}

bool scenario_maintenance(void)
{
	return world_now_ms() < scenario.maintenance_until_ms;
}

enum web_kind world_web(const char *name, const char **ret_root)
{
	static char root[512];
	const char *bare = str_has_prefix(name, "www.") ? name + 4 : name;
	const struct actor *a = scenario_actor(bare);

	if (!a || !a->present || a->how != HOW_WEB)
		return WEB_NOTHING;
	if (!plan.calm && world_now_ms() < scenario.web_down_until_ms[a->webroot])
		return WEB_DOWN;
	if (a->webroot == 0)
		return WEB_RESPONDER;
	snprintf(root, sizeof(root), "%s/web%u", scenario.dir, a->webroot);
	*ret_root = root;
	return WEB_ROOT;
}

bool scenario_is_fair(const struct actor *a)
{
	return life_is_on() && !scenario_maintenance() && world_now_ms() >= scenario.dns_slow_until_ms &&
	       world_skew() == 0 && !scenario.approval && ca_tells() &&
	       (a->how != HOW_WEB || world_now_ms() >= scenario.web_down_until_ms[a->webroot]);
}

/* --- files --- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0 || chmod(path, 0600) < 0) {
		perror(path);
		exit(2);
	}
}

static void write_in(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", scenario.dir, name);

	write_file(path, text);
}

static void make_folder(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", scenario.dir, name);

	if (mkdir(path, 0755) < 0) {
		perror(path);
		exit(2);
	}
}

static void write_proof(FILE *f, const struct actor *a)
{
	switch (a->how) {
	case HOW_WEB:
		if (a->webroot == 0)
			fprintf(f, "    dcv: {method: http-token, responder: true}\n");
		else
			fprintf(f, "    dcv: {method: http-token, webroot: %s/web%u}\n", scenario.dir,
				a->webroot);
		break;
	case HOW_TXT:
		fprintf(f, "    dcv: {method: dns-txt-token, provider: %s}\n",
			a->by_program ? "program" : "corp");
		break;
	case HOW_CNAME: fprintf(f, "    dcv: {method: dns-cname-token, provider: corp}\n"); break;
	case HOW_EMAIL: fprintf(f, "    dcv: {method: email, emails: [admin@%s]}\n", a->name); break;
	}
}

static void write_domain(FILE *f, const struct actor *a)
{
	fprintf(f, "  - name: %s\n", a->name);
	if (a->two_names)
		fprintf(f, "    dns_names: [www.%s]\n", a->name);
	fprintf(f, "    key: {type: ec, curve: P-256, reuse: %s}\n", a->reuses_key ? "true" : "false");
	write_proof(f, a);
	targets_write(f, a);
}

void scenario_write_yaml(void)
{
	_cleanup_free_ char *tmp = xasprintf("%s.new", scenario.yaml);
	FILE *f = fopen(tmp, "we");

	if (!f)
		abort();
	fprintf(f, "state_dir: %s\ncontrol_socket: %s/control.sock\nlog: {level: error, format: text}\n",
		scenario.state, scenario.dir);
	fprintf(f,
		"certcentral:\n  url: %s\n  ca_file: %s/ca/ca.pem\n  api_key_file: api-key\n"
		"  max_cert_days: %u\n  max_orders_per_day: %u\n",
		CA_API_URL, scenario.dir, scenario.max_cert_days, scenario.max_orders);
	fprintf(f, "scutum: {url: \"%s\", ca_file: %s/ca/ca.pem}\n", CA_SCUTUM_URL, scenario.dir);
	fprintf(f, "dns_providers:\n"
		   "  corp: {type: rfc2136, server: 10.9.0.1, tsig_key_file: tsig-key}\n"
		   "  program: {type: exec, command: [/bin/true], timeout: 60s}\n");
	fprintf(f, "responder: {listen: \"127.0.0.1:8402\"}\ndomains:\n");
	for (unsigned i = 0; i < n_actors; i++)
		if (actors[i].present)
			write_domain(f, &actors[i]);
	if (fclose(f) != 0 || rename(tmp, scenario.yaml) < 0)
		abort();
}

/* --- the beginning --- */

static enum how draw_how(void)
{
	int64_t n = world_range(STREAM_DNS, 0, 99);

	return n < 60 ? HOW_WEB : n < 82 ? HOW_TXT : n < 93 ? HOW_CNAME : HOW_EMAIL;
}

/* How it is proven, and what other people have in DNS: at the name itself, where the proof belongs, or a delegation of that. */
static void make_dns(struct actor *a)
{
	_cleanup_free_ char *place = xasprintf("_dnsauth.%s", a->name);
	_cleanup_free_ char *end = xasprintf("%s.proofs.example.net", a->name);
	int64_t what = world_range(STREAM_DNS, 0, 3);

	a->how = draw_how();
	a->by_program = world_chance(STREAM_DNS, 400000);
	a->may_cname = a->how == HOW_CNAME || world_chance(STREAM_DNS, 300000);
	zone_add_foreign(a->name, false, "v=spf1 -all");
	if (a->may_cname)
		return;
	if (what == 0)
		zone_add_foreign(place, true, end);
	if (what == 1)
		zone_add_foreign(place, false, "somebody-elses-proof-0123456789");
	if (what <= 2)
		zone_add_foreign(end, false, "somebody-elses-proof-abcdefghij");
}

static void make_actors(void)
{
	int64_t roots = world_range(STREAM_PLAN, 1, plan.n_domains);

	n_actors = plan.n_domains;
	for (unsigned i = 0; i < n_actors; i++) {
		struct actor *a = &actors[i];
		bool late = i > 0 && plan.rate[TROUBLE_RELOAD] > 0 && world_chance(STREAM_PLAN, 200000);

		snprintf(a->name, sizeof(a->name), "d%02u.example.jp", i);
		a->present = !late;
		a->two_names = world_chance(STREAM_PLAN, 300000);
		a->webroot =
			world_chance(STREAM_PLAN, 250000) ? 0 : (unsigned)world_range(STREAM_PLAN, 1, roots);
		a->deploys = world_chance(STREAM_PLAN, 400000);
		a->reuses_key = world_chance(STREAM_PLAN, 300000);
		a->since = world_wall();
		make_dns(a);
	}
	zone_set_lag(1, world_range(STREAM_DNS, 0, 30) * 1000);
	zone_set_lag(2, world_range(STREAM_DNS, 0, 90) * 1000);
}

static void make_world(const char *dir)
{
	_cleanup_free_ char *undo = xasprintf("%s/undo", dir), *ca = xasprintf("%s/ca", dir);
	bool asks;

	scenario.dir = xstrdup(dir);
	scenario.state = xasprintf("%s/dvcertd-state", dir);
	scenario.yaml = xasprintf("%s/dvcertd.yaml", dir);
	make_folder("undo");
	make_folder("ca");
	make_folder("dvcertd-state");
	make_folder("copies");
	for (unsigned i = 1; i <= n_actors; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web%u", i);
		make_folder(name);
	}
	write_in("api-key", CA_API_KEY "\n");
	write_in("scutum-key", CA_SCUTUM_KEY "\n");
	write_in("tsig-key", "key \"sim\" {\n\talgorithm hmac-sha256;\n"
			     "\tsecret \"0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8=\";\n};\n");
	disk_begin(undo);
	/* Asking for revocations takes most of the time: not in every world. */
	asks = world_chance(STREAM_PLAN, 200000);
	ca_begin(ca, asks || plan.rate[TROUBLE_MASS] > 0);
	/* The system's bundle takes longer to read than most lives last, and no certificate here chains to it. */
	(void)setenv("SSL_CERT_FILE", xasprintf("%s/ca.pem", ca), 1);
	scenario.max_cert_days = world_chance(STREAM_PLAN, 300000)   ? 46
				 : world_chance(STREAM_PLAN, 500000) ? 99
								     : 199;
	/* Few a day only where the world lasts long enough for all. */
	scenario.max_orders = world_chance(STREAM_PLAN, 200000) && plan.days > n_actors / 2 + 7 ? 2 : 50;
	scenario_write_yaml();
}

/* --- crashes --- */

void scenario_arrived(const char *method, const char *url)
{
	bool paid = strcmp(method, "POST") == 0 && strstr(url, "/order/certificate/");
	bool change = strcmp(method, "GET") != 0 || strstr(url, "/download/");
	bool kill = plan_strikes(TROUBLE_KILL, STREAM_CRASH), cut = plan_strikes(TROUBLE_POWER, STREAM_CRASH);
	bool now = paid || world_chance(STREAM_CRASH, change ? 500000 : 20000);
	int64_t points = world_range(STREAM_CRASH, 1, paid ? 12 : 40);

	if (now && (kill || cut))
		disk_arm((unsigned)points, cut ? LIFE_POWER_CUT : LIFE_KILLED);
	if (paid)
		trouble_asked();
}

/* --- lives --- */

static void finish(_unused_ void *arg)
{
	judge_settled();
	judge_served_settled();
	scenario.over = true;
	if (!net_signal(SIGTERM) && life_is_on())
		world_violation("the daemon does not hear SIGTERM");
}

static void after_life(enum life_end how, int code)
{
	world_trace("life ended: %s, code %d",
		    how == LIFE_ENDED	 ? "exit"
		    : how == LIFE_KILLED ? "killed"
					 : "cut",
		    code);
	if (how == LIFE_ENDED && code == 78)
		world_violation("the daemon does not understand its configuration");
	/* After a failed fsync the page cache may say what the disk does not: the next life reads the disk. */
	if (how == LIFE_POWER_CUT || disk_sync_failed_ms() != 0)
		disk_power_cut();
	disk_arm(0, LIFE_KILLED);
	judge_disk();
	targets_life_over(how == LIFE_POWER_CUT);
}

static int64_t time_down(enum life_end how)
{
	if (plan.calm || how == LIFE_ENDED || !world_chance(STREAM_CRASH, 50000))
		return world_range(STREAM_CRASH, 1, 60) * 1000;
	return world_range(STREAM_CRASH, 1, 48) * HOUR_MS;
}

void scenario_run(const char *dir)
{
	unsigned n_lives = 0;

	plan_make();
	make_actors();
	targets_make(dir);
	make_world(dir);
	trouble_plan();
	targets_start();
	(void)world_after(OWNER_WORLD, (int64_t)plan.days * 24 * HOUR_MS, finish, NULL);
	while (!scenario.over) {
		int64_t up_ms;
		enum life_end how;
		int code = 0;

		if (++n_lives > LIVES_MAX)
			world_violation("the daemon does not stay alive");
		world_trace("life %u begins", n_lives);
		how = life_run(scenario.yaml, &code);
		after_life(how, code);
		for (up_ms = world_now_ms() + time_down(how); !scenario.over && world_step(up_ms);)
			;
	}
	ca_end();
}
