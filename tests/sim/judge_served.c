/* SPDX-License-Identifier: Apache-2.0 */
/* The judges of what web servers serve. They see the servers, the disk and the record on it. */
#include "tests/sim/targets.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/life.h"
#include "tests/sim/plan.h"

/* What a look has found is in the record so soon, whatever the disk does. */
#define WRITTEN_MS INT64_C(1800000)
/* A new generation has got to its servers so soon, in calm. */
#define DEPLOYED_MS INT64_C(3600000)

/* --- loading ---------------------------------------------------------------------------------------------- */

static void judge_durable(const struct site *s, unsigned generation)
{
	static const char *const FILES[] = { "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem" };
	const char *state = scenario_state_dir(), *name = s->actor->name;
	_cleanup_free_ char *link = xasprintf("%s/live/%s", state, name);
	_cleanup_free_ char *archive = xasprintf("%s/archive/%s", state, name);
	_cleanup_free_ char *folder = xasprintf("%s/%04u", archive, generation);
	bool good = disk_is_durable(link) && disk_is_durable(archive) && disk_is_durable(folder);

	for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, FILES[i]);

		good = good && disk_is_durable(path);
	}
	if (!good)
		bad("a server of %s is to load generation %04u, which a power cut would take away", name,
		    generation);
}

void judge_may_load(const struct site *s, const struct slot *t)
{
	unsigned live = targets_live(s);

	if (live == 0)
		bad("%s runs before there is a certificate of %s", t->name, s->actor->name);
	judge_durable(s, live);
}

void judge_loaded(const struct site *s, const struct node *n, unsigned generation)
{
	if (generation < n->best)
		bad("a server of %s goes back from generation %04u to %04u", s->actor->name, n->best,
		    generation);
}

/* Copies may be in the making. Once the daemon was told that they are there, and nobody has touched them since, they are a pair. */
static bool copies_are_made(const struct site *s)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].kind == SLOT_FILES)
			return s->slots[i].ok_ms != 0 && s->slots[i].ok_ms == s->slots[i].effect_ms;
	return false;
}

void judge_not_loaded(const struct site *s, const struct server *v)
{
	if (v->copies ? copies_are_made(s) : targets_live(s) != 0)
		bad("what a server of %s reads is no pair", s->actor->name);
}

/* --- what the record says ----------------------------------------------------------------------------------- */

static bool is_done(const struct record *r, const struct record_deploy *d)
{
	return d->state == DEPLOY_DONE && d->generation == r->cert.generation;
}

/* "Served" is what the last look has seen, at every address. */
static void judge_verify(const struct site *s, const struct record *r, const struct slot *t)
{
	const struct server *v = &s->servers[t->server];

	for (unsigned i = 0; i < v->n_nodes; i++) {
		const struct node *n = &v->nodes[i];

		if (!n->was_seen)
			bad("%s of %s is done, and address %u was never looked at", t->name, r->name, i);
		if (n->seen_life == targets.life && world_now_ms() - n->seen_ms > WRITTEN_MS &&
		    n->seen != r->cert.generation)
			bad("%s of %s is done for generation %04u, and the last look at address %u saw %04u",
			    t->name, r->name, r->cert.generation, i, n->seen);
	}
}

static int64_t done_ms(const struct site *s, const struct slot *t)
{
	const struct server *v = &s->servers[t->server];
	int64_t ms = INT64_MAX;

	if (t->kind != SLOT_VERIFY)
		return t->ok_ms;
	for (unsigned i = 0; i < v->n_nodes; i++)
		ms = MIN(ms, v->nodes[i].seen_ms);
	return ms;
}

/* What is done was done after what stands in front of it. */
static void judge_order(struct site *s, const struct record *r, uint32_t last)
{
	const struct slot *t = targets_slot(s, r->deploys[last].target);

	if (t->kind == SLOT_FILES)
		return;
	for (uint32_t i = 0; i < last; i++) {
		const struct slot *front = targets_slot(s, r->deploys[i].target);

		if (front && front->kind != SLOT_VERIFY && is_done(r, &r->deploys[i]) &&
		    done_ms(s, t) < front->ok_ms)
			bad("%s of %s counts as done, and %s in front of it was done later", t->name, r->name,
			    front->name);
	}
}

static void judge_done(struct site *s, const struct record *r, uint32_t i)
{
	const struct slot *t = targets_slot(s, r->deploys[i].target);

	if (!t || t->kind == SLOT_SCUTUM || !is_done(r, &r->deploys[i]))
		return;
	if (t->kind == SLOT_VERIFY)
		judge_verify(s, r, t);
	else if (t->ok_generation != r->cert.generation)
		bad("%s of %s counts as done for generation %04u, and was last done for %04u", t->name,
		    r->name, r->cert.generation, t->ok_generation);
	judge_order(s, r, i);
}

static void watch_live(struct site *s)
{
	if (s->actor->live == s->live) /* the other judges have looked behind the link */
		return;
	s->live = s->actor->live;
	s->live_since_ms = world_now_ms();
	if (targets.last_day_ms)
		s->n_late_causes++; /* and what a person asks for (targets.c) */
}

static void judge_sites(void)
{
	for (unsigned i = 0; i < n_actors; i++) {
		struct site *s = &sites[i];
		const struct record *r = s->n_slots > 0 ? judge_record(s->actor->name) : NULL;

		if (!r)
			continue;
		watch_live(s);
		for (uint32_t k = 0; k < r->n_deploys; k++)
			judge_done(s, r, k);
	}
}

/* Little happens in most hours. */
void judge_served(void)
{
	static uint64_t seen;
	static unsigned hours;

	if (seen == disk_changes() && ++hours % 4 != 0)
		return;
	seen = disk_changes();
	judge_sites();
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void judge_server(const struct site *s, struct server *v, unsigned i)
{
	for (unsigned k = 0; k < v->n_nodes; k++)
		if (!targets_shown(&v->nodes[k]) || v->nodes[k].generation != s->live)
			bad("server %u of %s shows generation %04u at the end, not %04u", i, s->actor->name,
			    targets_shown(&v->nodes[k]) ? v->nodes[k].generation : 0, s->live);
}

static void judge_all_done(struct site *s, const struct record *r)
{
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		const struct slot *t = targets_slot(s, r->deploys[i].target);

		if (t && !is_done(r, &r->deploys[i]))
			bad("%s of %s is not done at the end: %s", t->name, r->name,
			    r->deploys[i].message ? r->deploys[i].message : "");
	}
}

/* On the last day all is done: what runs then, runs for a new generation. */
static void judge_calm(const struct site *s)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].n_late > s->n_late_causes * s->n_slots)
			bad("%s of %s ran %u times on the last day, for %u reasons", s->slots[i].name,
			    s->actor->name, s->slots[i].n_late, s->n_late_causes);
}

void judge_served_settled(void)
{
	judge_sites();
	for (unsigned i = 0; i < n_actors; i++) {
		struct site *s = &sites[i];
		const struct record *r;

		if (s->n_slots == 0 || !s->actor->present)
			continue;
		judge_calm(s);
		if (world_now_ms() - s->live_since_ms < DEPLOYED_MS)
			continue;
		r = judge_record(s->actor->name);
		if (!r)
			continue;
		judge_all_done(s, r);
		for (unsigned k = 0; k < s->n_slots; k++)
			if (s->slots[k].in_yaml && s->slots[k].kind == SLOT_LOADER)
				judge_server(s, &s->servers[s->slots[k].server], s->slots[k].server);
	}
}
