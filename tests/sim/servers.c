/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to web servers and their targets besides the daemon: starts, stops, people, bad days. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/net.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario_priv.h"
#include "tests/sim/targets.h"

/* What somebody else's server shows: the CA's own certificate does as well as any. */
static char *foreign;

static bool draw(int64_t percent)
{
	return world_range(STREAM_TARGETS, 1, 100) <= percent;
}

/* --- starts and stops of servers --- */

static void stop(struct node *n)
{
	n->is_up = false;
	free(n->shown);
	free(n->next);
	n->shown = n->next = NULL;
	n->generation = 0;
}

static void start(struct site *s, struct server *v, struct node *n)
{
	stop(n);
	n->down_until_ms = 0;
	n->is_up = targets_load(s, v, n, 0);
}

static void each_node(void (*fn)(struct site *s, struct server *v, struct node *n))
{
	for (unsigned i = 0; i < n_actors; i++)
		for (unsigned k = 0; k < sites[i].n_servers; k++)
			for (unsigned m = 0; m < sites[i].servers[k].n_nodes; m++)
				fn(&sites[i], &sites[i].servers[k], &sites[i].servers[k].nodes[m]);
}

/* A person does: it serves this text, which it takes. */
static void put(struct node *n, char *text, unsigned generation)
{
	stop(n);
	n->is_up = true;
	n->down_until_ms = 0;
	n->shown = text;
	n->generation = n->best = generation;
}

/* The host starts: so do its servers, but for those that a person has shut down. */
static void boot(struct site *s, struct server *v, struct node *n)
{
	bool was_foreign = v->is_foreign && n->shown;

	if (n->down_until_ms > world_now_ms()) {
		stop(n);
		return;
	}
	if (was_foreign) /* that one reads other files */
		return;
	start(s, v, n);
}

void targets_life_over(bool power_cut)
{
	targets.life++;
	if (!power_cut)
		return;
	targets.cut++;
	each_node(boot);
}

/* As it came out of its box, before it was ever loaded. */
static void begin(_unused_ struct site *s, _unused_ struct server *v, struct node *n)
{
	put(n, xstrdup(foreign), 0);
}

/* --- what goes wrong --- */

static int64_t in_hours(int64_t most)
{
	return world_now_ms() + world_range(STREAM_TARGETS, 1, most) * HOUR_MS;
}

/* Is everything done, and has the last look at this server seen that it is? What changes there then is for the daemon to mend. */
static bool is_in_its_care(struct site *s, const struct server *v)
{
	const struct record *r = judge_record(s->actor->name);

	for (uint32_t i = 0; r && i < r->n_deploys; i++) {
		const struct record_deploy *d = &r->deploys[i];
		const struct slot *t = targets_slot(s, d->target);
		bool looks = t && t->kind == SLOT_VERIFY;

		if (d->generation != r->cert.generation || (!looks && d->state != DEPLOY_DONE))
			return false;
		if (looks && &s->servers[t->server] == v)
			return d->looked_at != 0 && !d->differs;
	}
	return false;
}

/* An earlier generation, out of a backup. What the daemon does not mend is for another person. */
static void put_older(struct site *s, struct server *v, struct node *n)
{
	unsigned g = targets_live(s);
	_cleanup_free_ char *path = xasprintf("%s/archive/%s/%04u/fullchain.pem", scenario_state_dir(),
					      s->actor->name, g > 0 ? g - 1 : 0);
	char *text = g > 1 ? targets_read(path) : NULL;

	if (!text)
		return;
	world_trace("somebody puts generation %u on a server of %s", g - 1, s->actor->name);
	if (!is_in_its_care(s, v))
		v->is_foreign = true;
	put(n, text, g - 1);
}

/* One that has been down for long enough, now and then with what a backup had; or that could not start, for want of files. */
static void start_again(struct site *s, struct server *v, struct node *n)
{
	bool was_down = n->down_until_ms != 0;

	if (n->is_up || n->down_until_ms > world_now_ms())
		return;
	start(s, v, n);
	if (n->is_up && was_down && !plan.calm && draw(30))
		put_older(s, v, n);
}

static void put_foreign(struct site *s, struct server *v, struct node *n)
{
	world_trace("somebody puts another certificate on a server of %s", s->actor->name);
	put(n, xstrdup(foreign), 0);
	v->is_foreign = true;
}

static void each_server_is_right(struct site *s, struct server *v, struct node *n)
{
	n->down_until_ms = 0;
	v->refuses_until_ms = 0;
	start_again(s, v, n);
}

static void shut_down(const struct site *s, struct node *n)
{
	stop(n);
	n->down_until_ms = in_hours(48);
	world_trace("a server of %s is down", s->actor->name);
}

/* A target more or less, a hook that was written anew: servers of the YAML come and go, and their files stay. */
static void change_targets(struct site *s)
{
	unsigned v = (unsigned)world_range(STREAM_TARGETS, 0, s->n_servers - 1);
	bool on = false;

	for (unsigned i = 0; i < s->n_slots; i++) {
		struct slot *t = &s->slots[i];

		if ((t->kind == SLOT_LOADER || t->kind == SLOT_VERIFY) && t->server == v)
			on = t->in_yaml = !t->in_yaml;
	}
	world_trace("the YAML was changed: server %u of %s is%s there", v, s->actor->name, on ? "" : " not");
	scenario_write_yaml();
	(void)net_signal(SIGHUP);
}

static bool has_loader(const struct site *s, const struct server *v)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].kind == SLOT_LOADER && &s->servers[s->slots[i].server] == v)
			return s->slots[i].in_yaml;
	return false;
}

static void trouble_one(struct site *s)
{
	struct server *v = &s->servers[world_range(STREAM_TARGETS, 0, s->n_servers - 1)];
	struct node *n = &v->nodes[world_range(STREAM_TARGETS, 0, v->n_nodes - 1)];
	bool ours = s->actor->present && has_loader(s, v);

	switch (world_range(STREAM_TARGETS, 0, 8)) {
	case 0:
	case 1: shut_down(s, n); break;
	case 2:
		v->refuses_until_ms = in_hours(48);
		world_trace("a server of %s refuses reloads", s->actor->name);
		break;
	case 3: targets.helper_away_until_ms = in_hours(30); break;
	case 4: targets.hooks_broken_until_ms = in_hours(48); break;
	case 5:
	case 6:
		if (ours)
			put_older(s, v, n);
		break;
	case 7:
		if (ours)
			put_foreign(s, v, n);
		break;
	default:
		if (plan.rate[TROUBLE_RELOAD] > 0)
			change_targets(s);
		break;
	}
}

/* Somebody sees what the daemon has left alone, and tells it to go ahead. */
static void mend_foreign(struct site *s)
{
	_cleanup_free_ char *line = NULL;
	bool any = false;

	for (unsigned i = 0; i < s->n_servers; i++)
		any = any || (s->servers[i].is_foreign && has_loader(s, &s->servers[i]));
	if (!any || !s->actor->present)
		return;
	line = xasprintf("{\"verb\":\"deploy\",\"names\":[\"%s\"]}", s->actor->name);
	world_trace("dvcertctl deploy %s", s->actor->name);
	if (net_control(line) && targets.last_day_ms)
		s->n_late_causes++;
}

static void each_day(_unused_ void *arg)
{
	for (unsigned i = 0; i < n_actors; i++) {
		if (sites[i].n_slots == 0)
			continue;
		mend_foreign(&sites[i]);
		if (plan_strikes(TROUBLE_SERVERS, STREAM_TARGETS))
			trouble_one(&sites[i]);
	}
	(void)world_after(OWNER_WORLD, world_range(STREAM_TARGETS, 20, 28) * HOUR_MS, each_day, NULL);
}

static void each_hour(_unused_ void *arg)
{
	each_node(start_again);
	for (unsigned i = 0; i < n_actors && plan.calm; i++)
		mend_foreign(&sites[i]);
	judge_served();
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
}

static void let_there_be_calm(_unused_ void *arg)
{
	targets.helper_away_until_ms = targets.hooks_broken_until_ms = 0;
	each_node(each_server_is_right);
}

static void begin_last_day(_unused_ void *arg)
{
	targets.last_day_ms = world_now_ms();
}

void targets_start(void)
{
	_cleanup_free_ char *path = xasprintf("%s/ca/ca.pem", scenario.dir);
	int64_t calm_ms = (int64_t)(plan.days - CALM_DAYS) * 24 * HOUR_MS;

	if (plan.rate[TROUBLE_TARGETS] == 0)
		return;
	foreign = targets_read(path);
	each_node(begin);
	(void)world_after(OWNER_WORLD, HOUR_MS, each_hour, NULL);
	(void)world_after(OWNER_WORLD, 24 * HOUR_MS, each_day, NULL);
	(void)world_after(OWNER_WORLD, calm_ms, let_there_be_calm, NULL);
	(void)world_after(OWNER_WORLD, calm_ms + 26 * HOUR_MS, begin_last_day, NULL);
}
