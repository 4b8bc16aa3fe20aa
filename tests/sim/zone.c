/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/zone.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "tests/sim/judge.h"
#include "tests/sim/world.h"

#define FOR_EVER INT64_MAX
/* Nobody lags more than this; what went before then is forgotten. */
#define MEMORY_MS INT64_C(86400000)

struct rr {
	struct rr *next;
	char *name;
	char *value;
	bool cname;
	bool foreign;
	int64_t from_ms, to_ms;
};

static struct rr *all;
static int64_t lag_ms[ZONE_SERVERS];

const char *zone_server_name(unsigned i)
{
	static const char *const NAMES[ZONE_SERVERS] = { "ns1.sim.example", "ns2.sim.example",
							 "ns3.sim.example" };

	return NAMES[i];
}

bool zone_is_top(const char *name)
{
	return strcasecmp(name, "example.jp") == 0 || strcasecmp(name, "example.net") == 0;
}

static bool stands(const struct rr *r, int64_t at_ms)
{
	return r->from_ms <= at_ms && at_ms < r->to_ms;
}

static void forget_old(void)
{
	struct rr **at = &all;

	while (*at) {
		struct rr *r = *at;

		if (r->to_ms >= world_now_ms() - MEMORY_MS) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		free(r->name);
		free(r->value);
		free(r);
	}
}

static void enter(const char *name, bool cname, const char *value, bool foreign)
{
	struct rr *r = xmalloc(sizeof(*r));

	*r = (struct rr){ .next = all,
			  .name = xstrdup(name),
			  .value = xstrdup(value),
			  .cname = cname,
			  .foreign = foreign,
			  .from_ms = foreign ? 0 : world_now_ms(),
			  .to_ms = FOR_EVER };
	all = r;
}

void zone_add_foreign(const char *name, bool cname, const char *value)
{
	enter(name, cname, value, true);
}

static void end(struct rr *r)
{
	if (r->foreign)
		world_violation("the record %s %s of somebody else was taken away", r->name, r->value);
	r->to_ms = world_now_ms();
}

void zone_add(const char *name, bool cname, const char *value)
{
	struct rr *other = NULL;

	for (struct rr *r = all; r; r = r->next) {
		if (!stands(r, world_now_ms()) || strcasecmp(r->name, name) != 0)
			continue;
		if (r->cname != cname)
			return;
		if (strcmp(r->value, value) == 0)
			return;
		other = r;
	}
	judge_proof_is_recorded(name, value);
	if (cname && other)
		end(other);
	enter(name, cname, value, false);
	forget_old();
}

void zone_remove(const char *name, bool cname, const char *value)
{
	for (struct rr *r = all; r; r = r->next)
		if (stands(r, world_now_ms()) && r->cname == cname && strcasecmp(r->name, name) == 0 &&
		    strcmp(r->value, value) == 0)
			end(r);
}

void zone_set_lag(unsigned server, int64_t ms)
{
	lag_ms[server] = ms;
}

void zone_look(unsigned server, const char *name, struct zone_view *ret)
{
	*ret = (struct zone_view){ 0 };
	for (const struct rr *r = all; r; r = r->next) {
		if (!stands(r, world_now_ms() - lag_ms[server]) || strcasecmp(r->name, name) != 0)
			continue;
		if (r->cname)
			ret->cname = r->value;
		else if (ret->n < ZONE_VALUES_MAX)
			ret->txt[ret->n++] = r->value;
	}
}

void zone_each_of_ours(void (*fn)(const char *name, const char *value))
{
	for (const struct rr *r = all; r; r = r->next)
		if (!r->foreign && stands(r, world_now_ms()))
			fn(r->name, r->value);
}
