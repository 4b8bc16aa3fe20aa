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
#include "tests/sim/world.h"

#define HOUR_MS	  INT64_C(3600000)
#define DAY	  INT64_C(86400)
#define CALM_DAYS 2
#define LIVES_MAX 20000
#define ROOTS_MAX PLAN_DOMAINS_MAX

struct actor actors[PLAN_DOMAINS_MAX];
unsigned n_actors;

static struct {
	char *dir, *state, *yaml;
	int64_t end_ms;
	int64_t maintenance_until_ms;
	int64_t web_down_until_ms[ROOTS_MAX + 1];
	unsigned max_cert_days, max_orders;
	bool approval;
	bool over;
	bool wants_power_cut;
} s;

const char *scenario_state_dir(void)
{
	return s.state;
}

unsigned scenario_max_orders(void)
{
	return s.max_orders;
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
	return world_now_ms() < s.maintenance_until_ms;
}

enum web_kind world_web(const char *name, const char **ret_root)
{
	static char root[512];
	const char *bare = str_has_prefix(name, "www.") ? name + 4 : name;
	const struct actor *a = scenario_actor(bare);

	if (!a || !a->present)
		return WEB_NOTHING;
	if (!plan.calm && world_now_ms() < s.web_down_until_ms[a->webroot])
		return WEB_DOWN;
	if (a->webroot == 0)
		return WEB_RESPONDER;
	snprintf(root, sizeof(root), "%s/web%u", s.dir, a->webroot);
	*ret_root = root;
	return WEB_ROOT;
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
	_cleanup_free_ char *path = xasprintf("%s/%s", s.dir, name);

	write_file(path, text);
}

static void make_folder(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", s.dir, name);

	if (mkdir(path, 0755) < 0) {
		perror(path);
		exit(2);
	}
}

static void write_domain(FILE *f, const struct actor *a)
{
	fprintf(f, "  - name: %s\n", a->name);
	if (a->two_names)
		fprintf(f, "    dns_names: [www.%s]\n", a->name);
	fprintf(f, "    key: {type: ec, curve: P-256, reuse: %s}\n", a->reuses_key ? "true" : "false");
	if (a->webroot == 0)
		fprintf(f, "    dcv: {method: http-token, responder: true}\n");
	else
		fprintf(f, "    dcv: {method: http-token, webroot: %s/web%u}\n", s.dir, a->webroot);
	if (a->deploys)
		fprintf(f, "    deploy: [{scutum: {host: %s, id: ID1, api_key_file: scutum-key}}]\n",
			a->name);
}

/* A new file each time, moved into place like an editor does it. */
static void write_yaml(void)
{
	_cleanup_free_ char *tmp = xasprintf("%s.new", s.yaml);
	FILE *f = fopen(tmp, "we");

	if (!f)
		abort();
	fprintf(f, "state_dir: %s\ncontrol_socket: %s/control.sock\nlog: {level: error, format: text}\n",
		s.state, s.dir);
	fprintf(f,
		"certcentral:\n  url: %s\n  ca_file: %s/ca/ca.pem\n  api_key_file: api-key\n"
		"  max_cert_days: %u\n  max_orders_per_day: %u\n",
		CA_API_URL, s.dir, s.max_cert_days, s.max_orders);
	fprintf(f, "scutum: {url: \"%s\", ca_file: %s/ca/ca.pem}\n", CA_SCUTUM_URL, s.dir);
	fprintf(f, "responder: {listen: \"127.0.0.1:8402\"}\ndomains:\n");
	for (unsigned i = 0; i < n_actors; i++)
		if (actors[i].present)
			write_domain(f, &actors[i]);
	if (fclose(f) != 0 || rename(tmp, s.yaml) < 0)
		abort();
}

/* --- the beginning --- */

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
	}
}

static void make_world(const char *dir)
{
	_cleanup_free_ char *undo = xasprintf("%s/undo", dir), *ca = xasprintf("%s/ca", dir);

	s.dir = xstrdup(dir);
	s.state = xasprintf("%s/dvcertd-state", dir);
	s.yaml = xasprintf("%s/dvcertd.yaml", dir);
	make_folder("undo");
	make_folder("ca");
	make_folder("dvcertd-state");
	for (unsigned i = 1; i <= n_actors; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web%u", i);
		make_folder(name);
	}
	write_in("api-key", CA_API_KEY "\n");
	write_in("scutum-key", CA_SCUTUM_KEY "\n");
	disk_begin(undo);
	/* Asking for revocations takes most of the time: not in every world. */
	ca_begin(ca, world_chance(STREAM_PLAN, 200000));
	/* The system's bundle takes longer to read than most lives last, and no certificate here chains to it. */
	(void)setenv("SSL_CERT_FILE", xasprintf("%s/ca.pem", ca), 1);
	s.max_cert_days = world_chance(STREAM_PLAN, 300000)   ? 46
			  : world_chance(STREAM_PLAN, 500000) ? 99
							      : 199;
	s.max_orders = world_chance(STREAM_PLAN, 200000) ? 2 : 50;
	write_yaml();
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
}

/* --- reloads --- */

static void change_yaml(void)
{
	struct actor *a = &actors[world_range(STREAM_PLAN, 0, n_actors - 1)];

	switch (world_range(STREAM_PLAN, 0, 5)) {
	case 0: s.max_cert_days = s.max_cert_days > 99 ? 99 : 46; break;
	case 1: a->deploys = !a->deploys; break;
	case 2: a->reuses_key = !a->reuses_key; break;
	case 3: a->two_names = true; break;
	case 4:
		if (!a->present) {
			a->present = true;
			a->since = world_wall();
		}
		break;
	default: a->webroot = (unsigned)world_range(STREAM_PLAN, 0, n_actors); break;
	}
	write_yaml();
	world_trace("the YAML was changed: max_cert_days %u, %s: webroot %u", s.max_cert_days, a->name,
		    a->webroot);
	(void)net_signal(SIGHUP);
}

/* --- people --- */

static void expect_person(const char *name, int64_t days)
{
	struct actor *a = scenario_actor(name);

	if (a)
		a->person_until = MAX(a->person_until, world_wall() + days * DAY);
}

static void work_at_console(void)
{
	size_t n = ca_n_orders();
	struct ca_order o;
	size_t i;
	const char *what = "cancel";
	bool done;

	if (n == 0)
		return;
	i = (size_t)world_range(STREAM_CONSOLE, 0, (int64_t)n - 1);
	ca_order(i, &o);
	switch (world_range(STREAM_CONSOLE, 0, 2)) {
	case 0: done = ca_cancel(i); break;
	case 1: done = ca_console(i, what = "revoke"); break;
	default: done = ca_console(i, what = "reissue-by-console"); break;
	}
	if (!done)
		return;
	world_trace("console: %s order %lld for %s", what, (long long)o.id, o.name);
	expect_person(o.name, 10);
}

/* An administrator looks once a day, and lets go on what needed him. */
static void look_after(void)
{
	for (size_t i = 0; i < ca_n_orders(); i++)
		if (s.approval && ca_console(i, "approve"))
			world_trace("console: approved");
	for (unsigned i = 0; i < n_actors; i++) {
		_cleanup_free_ char *line = NULL;

		if (!actors[i].present || actors[i].person_until < world_wall() ||
		    !judge_is_held(actors[i].name))
			continue;
		line = xasprintf("{\"verb\":\"renew\",\"names\":[\"%s\"],\"yes\":true}", actors[i].name);
		world_trace("dvcertctl renew %s", actors[i].name);
		(void)net_control(line);
	}
}

/* --- days and hours --- */

static void clock_right(_unused_ void *arg)
{
	world_trace("the clock is right again");
	world_set_skew(0);
}

static void jump_clock(void)
{
	static const int64_t FAR[] = { 60, 3600, 21600, 2 * DAY };
	int64_t far = FAR[world_range(STREAM_CLOCK, 0, (int64_t)ARRAY_SIZE(FAR) - 1)];

	world_set_skew(world_range(STREAM_CLOCK, -far, far));
	world_trace("the clock is wrong by %lld s", (long long)world_skew());
	(void)world_after(OWNER_WORLD, world_range(STREAM_CLOCK, 1, 30) * HOUR_MS, clock_right, NULL);
}

static void trouble_the_ca(void)
{
	static const char *const SETTINGS[] = {
		"issue_delay_s=0",   "issue_delay_s=7200", "find_lag_s=0",	"find_lag_s=240",
		"ca_poll_s=0",	     "ca_poll_s=60",	   "dcv_replies=old",	"dcv_replies=new",
		"find_none=empty",   "find_none=404",	   "reissue_dcv=reuse", "order_valid_till=absent",
		"lists=primary",     "method_value=same",  "revocation=ocsp",	"revocation=crl",
		"revocation=silent", "revocation=garbage"
	};
	static const char *const WRONG[] = { "other-key", "expired", "other-names", "self-signed",
					     "no-chain",  "ca",	     "zip" };
	const char *set = SETTINGS[world_range(STREAM_CONSOLE, 0, (int64_t)ARRAY_SIZE(SETTINGS) - 1)];
	int64_t which = world_range(STREAM_CONSOLE, 0, (int64_t)ARRAY_SIZE(WRONG) - 1);
	_cleanup_free_ char *fault = xasprintf("download:wrong-cert:times=2:variant=%s", WRONG[which]);

	if (world_chance(STREAM_CONSOLE, 200000)) {
		world_trace("CA: %s", fault);
		ca_fault(fault);
	} else if (world_chance(STREAM_CONSOLE, 150000)) {
		s.approval = !s.approval;
		world_trace("CA: approvals %d", s.approval);
		ca_set(s.approval ? "approval=required" : "approval=off");
	} else {
		world_trace("CA: %s", set);
		ca_set(set);
	}
}

static void shut_down(int64_t *until_ms, const char *what, int64_t most_hours, enum stream stream)
{
	*until_ms = world_now_ms() + world_range(stream, 1, most_hours) * HOUR_MS;
	world_trace("%s for %lld hours", what, (long long)((*until_ms - world_now_ms()) / HOUR_MS));
}

static void each_day(void *arg);

static void day_of_trouble(void)
{
	if (plan_strikes(TROUBLE_RELOAD, STREAM_PLAN))
		change_yaml();
	if (plan_strikes(TROUBLE_CLOCK, STREAM_CLOCK))
		jump_clock();
	if (plan_strikes(TROUBLE_CONSOLE, STREAM_CONSOLE))
		work_at_console();
	if (plan_strikes(TROUBLE_CA, STREAM_CONSOLE))
		trouble_the_ca();
	if (plan_strikes(TROUBLE_MAINTENANCE, STREAM_NET))
		shut_down(&s.maintenance_until_ms, "the CA is in maintenance",
			  world_chance(STREAM_NET, 200000) ? 72 : 3, STREAM_NET);
	if (plan_strikes(TROUBLE_WEB, STREAM_NET))
		shut_down(&s.web_down_until_ms[world_range(STREAM_NET, 0, n_actors)], "a web server is down",
			  48, STREAM_NET);
	if (plan_strikes(TROUBLE_RESTART, STREAM_PLAN)) {
		world_trace("restart");
		(void)net_signal(SIGTERM);
	}
}

static void each_day(_unused_ void *arg)
{
	day_of_trouble();
	look_after();
	(void)world_after(OWNER_WORLD, world_range(STREAM_PLAN, 20, 28) * HOUR_MS, each_day, NULL);
}

static void each_hour(_unused_ void *arg)
{
	judge_now();
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
}

static void let_there_be_calm(_unused_ void *arg)
{
	world_trace("from here on all is well");
	plan.calm = true;
	disk_arm(0, LIFE_KILLED);
	world_set_skew(0);
	s.maintenance_until_ms = 0;
	s.approval = false;
	ca_set("approval=off");
	ca_set("issue_delay_s=0");
	ca_set("find_lag_s=0");
	ca_set("ca_poll_s=60");
	for (size_t i = 0; i < ca_n_orders(); i++)
		(void)ca_console(i, "approve");
	look_after();
}

static void finish(_unused_ void *arg)
{
	judge_settled();
	s.over = true;
	if (!net_signal(SIGTERM) && life_is_on())
		world_violation("the daemon does not hear SIGTERM");
}

/* --- lives --- */

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
	make_world(dir);
	s.end_ms = world_now_ms() + (int64_t)plan.days * 24 * HOUR_MS;
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
	(void)world_after(OWNER_WORLD, 24 * HOUR_MS, each_day, NULL);
	(void)world_after(OWNER_WORLD, (int64_t)(plan.days - CALM_DAYS) * 24 * HOUR_MS, let_there_be_calm,
			  NULL);
	(void)world_after(OWNER_WORLD, (int64_t)plan.days * 24 * HOUR_MS, finish, NULL);
	while (!s.over) {
		int64_t up_ms;
		enum life_end how;
		int code = 0;

		if (++n_lives > LIVES_MAX)
			world_violation("the daemon does not stay alive");
		world_trace("life %u begins", n_lives);
		how = life_run(s.yaml, &code);
		after_life(how, code);
		for (up_ms = world_now_ms() + time_down(how); !s.over && world_step(up_ms);)
			;
	}
	ca_end();
}
