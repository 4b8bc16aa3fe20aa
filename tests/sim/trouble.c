/* SPDX-License-Identifier: Apache-2.0 */
/* Days and hours: what people, the CA, web servers, DNS and the clock do to the daemon besides losing its requests. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/ca.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/life.h"
#include "tests/sim/net.h"
#include "tests/sim/scenario_priv.h"
#include "tests/sim/world.h"
#include "tests/sim/zone.h"

/* A certificate that replaced a revoked one and is revoked as well within a week is left to a person. */
#define AGAIN (9 * DAY)

/* --- reloads --- */

static void change_how(struct actor *a)
{
	static const enum how HOWS[] = { HOW_WEB, HOW_TXT, HOW_CNAME, HOW_EMAIL, HOW_WEB, HOW_TXT };
	enum how how = HOWS[world_range(STREAM_DNS, 0, (int64_t)ARRAY_SIZE(HOWS) - 1)];

	if (how == HOW_CNAME && !a->may_cname)
		how = HOW_TXT;
	a->how = how;
	a->by_program = world_chance(STREAM_DNS, 400000);
}

static void change_yaml(void)
{
	struct actor *a = &actors[world_range(STREAM_PLAN, 0, n_actors - 1)];

	switch (world_range(STREAM_PLAN, 0, 6)) {
	case 0: scenario.max_cert_days = scenario.max_cert_days > 99 ? 99 : 46; break;
	case 1: a->deploys = !a->deploys; break;
	case 2: a->reuses_key = !a->reuses_key; break;
	case 3: a->two_names = true; break;
	case 4:
		if (!a->present) {
			a->present = true;
			a->since = world_wall();
		}
		break;
	case 5: change_how(a); break;
	default: a->webroot = (unsigned)world_range(STREAM_PLAN, 0, n_actors); break;
	}
	scenario_write_yaml();
	world_trace("the YAML was changed: max_cert_days %u, %s: webroot %u, how %d", scenario.max_cert_days,
		    a->name, a->webroot, a->how);
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
	if (strcmp(what, "revoke") == 0)
		scenario_actor(o.name)->revoked_at = world_wall();
}

/* Wherever names are still to be proven: one of them is what has just been asked for. */
static void ask_for_values(_unused_ void *arg)
{
	for (size_t i = 0; i < ca_n_orders(); i++) {
		struct ca_order o;

		ca_order(i, &o);
		if (!plan.calm && ca_new_value(i))
			world_trace("console: another value for order %lld for %s", (long long)o.id, o.name);
	}
}

void trouble_asked(void)
{
	int64_t in_ms = world_range(STREAM_VALUES, 1, 600000);

	if (plan_strikes(TROUBLE_VALUES, STREAM_VALUES))
		(void)world_after(OWNER_WORLD, in_ms, ask_for_values, NULL);
}

/* Somebody reads the mail: after a day or two. */
static void read_mail(int64_t patience)
{
	for (size_t i = 0; i < ca_n_orders(); i++) {
		struct ca_order o;

		ca_order(i, &o);
		if (o.by_email && (o.pending || o.reissuing) && o.changed_at <= world_wall() - patience &&
		    ca_console(i, "issue"))
			world_trace("somebody read the mail about order %lld", (long long)o.id);
	}
}

/* An administrator looks once a day, and lets go on what needed him. */
static void look_after(void)
{
	for (size_t i = 0; i < ca_n_orders(); i++)
		if (scenario.approval && ca_console(i, "approve"))
			world_trace("console: approved");
	read_mail(plan.calm ? 0 : DAY / 2);
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
		scenario.approval = !scenario.approval;
		world_trace("CA: approvals %d", scenario.approval);
		ca_set(scenario.approval ? "approval=required" : "approval=off");
	} else {
		world_trace("CA: %s", set);
		ca_set(set);
	}
}

/* --- the CA's worst days --- */

static void shorten(void *arg)
{
	const unsigned *days = arg;
	_cleanup_free_ char *set = xasprintf("max_cert_days=%u", *days);

	world_trace("CA: from now on certificates last %u days", *days);
	ca_set(set);
}

static void revoke_one(size_t i, bool whole_order)
{
	struct ca_order o;
	struct actor *a;

	ca_order(i, &o);
	if (!o.usable || !(whole_order ? ca_console(i, "revoke") : ca_revoke_certificates(i)))
		return;
	a = scenario_actor(o.name);
	if (whole_order || (a->revoked_at && world_wall() - a->revoked_at < AGAIN))
		expect_person(o.name, 10);
	a->revoked_at = world_wall();
}

/* Most of them, or all; now and then the orders with them. */
static void revoke_many(_unused_ void *arg)
{
	int64_t share = world_chance(STREAM_MASS, 500000) ? 1000000 : 600000;
	bool whole_orders = world_chance(STREAM_MASS, 200000);

	world_trace("CA: %s are revoked", whole_orders ? "orders" : "certificates");
	for (size_t i = 0; i < ca_n_orders(); i++)
		if (world_chance(STREAM_MASS, share))
			revoke_one(i, whole_orders);
}

static void plan_the_ca(void)
{
	static unsigned shorter[] = { 99, 46 };
	int64_t at = 0, days = plan.days - CALM_DAYS;
	/* Early, so that what was issued for less than expected also ends in this world; or at any time. */
	int64_t latest = world_chance(STREAM_MASS, 500000) ? 2 : days - 1;

	for (size_t i = 0; i < ARRAY_SIZE(shorter) && plan.rate[TROUBLE_CAP] > 0; i++) {
		at = world_range(STREAM_MASS, at, latest);
		(void)world_after(OWNER_WORLD, at * 24 * HOUR_MS, shorten, &shorter[i]);
	}
	if (plan.rate[TROUBLE_MASS] > 0 && days >= 12)
		(void)world_after(OWNER_WORLD, world_range(STREAM_MASS, 24, (days - 8) * 24) * HOUR_MS,
				  revoke_many, NULL);
}

static void dns_fast(_unused_ void *arg)
{
	zone_set_lag(1, 0);
	zone_set_lag(2, 60000);
}

static void dns_slow(void)
{
	int64_t hours = world_range(STREAM_DNS, 1, 24);

	scenario.dns_slow_until_ms = world_now_ms() + hours * HOUR_MS;
	zone_set_lag((unsigned)world_range(STREAM_DNS, 1, 2), world_range(STREAM_DNS, 60, 21600) * 1000);
	world_trace("a secondary is behind for %lld hours", (long long)hours);
	(void)world_after(OWNER_WORLD, hours * HOUR_MS, dns_fast, NULL);
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
		shut_down(&scenario.maintenance_until_ms, "the CA is in maintenance",
			  world_chance(STREAM_NET, 200000) ? 72 : 3, STREAM_NET);
	if (plan_strikes(TROUBLE_DNS, STREAM_DNS))
		dns_slow();
	if (plan_strikes(TROUBLE_WEB, STREAM_NET))
		shut_down(&scenario.web_down_until_ms[world_range(STREAM_NET, 0, n_actors)],
			  "a web server is down", 48, STREAM_NET);
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
	if (plan.calm)
		read_mail(0);
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
}

static void let_there_be_calm(_unused_ void *arg)
{
	world_trace("from here on all is well");
	plan.calm = true;
	disk_arm(0, LIFE_KILLED);
	world_set_skew(0);
	scenario.maintenance_until_ms = scenario.dns_slow_until_ms = 0;
	memset(scenario.web_down_until_ms, 0, sizeof(scenario.web_down_until_ms));
	dns_fast(NULL);
	ca_set("revocation=both");
	scenario.approval = false;
	ca_set("approval=off");
	ca_set("issue_delay_s=0");
	ca_set("find_lag_s=0");
	ca_set("ca_poll_s=60");
	for (size_t i = 0; i < ca_n_orders(); i++)
		(void)ca_console(i, "approve");
	look_after();
}

void trouble_plan(void)
{
	plan_the_ca();
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
	(void)world_after(OWNER_WORLD, 24 * HOUR_MS, each_day, NULL);
	(void)world_after(OWNER_WORLD, (int64_t)(plan.days - CALM_DAYS) * 24 * HOUR_MS, let_there_be_calm,
			  NULL);
}
