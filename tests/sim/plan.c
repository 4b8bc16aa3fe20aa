/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/plan.h"

#include <errno.h>
#include <string.h>

#include "tests/sim/world.h"

struct plan plan;

static const struct {
	const char *name;
	int64_t most; /* in a million chances */
} kinds[TROUBLE_NR] = {
	[TROUBLE_LOST] = { "lost", 60000 },
	[TROUBLE_WRONG] = { "wrong", 40000 },
	[TROUBLE_TWICE] = { "twice", 20000 },
	[TROUBLE_MAINTENANCE] = { "maintenance", 60000 }, /* of a day */
	[TROUBLE_DISK] = { "disk", 3000 },		  /* of a call */
	[TROUBLE_SYNC] = { "sync", 15000 },
	[TROUBLE_KILL] = { "kill", 300000 }, /* of a request that changes something */
	[TROUBLE_POWER] = { "power", 300000 },
	[TROUBLE_RESTART] = { "restart", 100000 }, /* of a day */
	[TROUBLE_RELOAD] = { "reload", 100000 },
	[TROUBLE_CLOCK] = { "clock", 60000 },
	[TROUBLE_CONSOLE] = { "console", 40000 },
	[TROUBLE_CA] = { "ca", 100000 },
	[TROUBLE_WEB] = { "web", 60000 },
	[TROUBLE_DNS] = { "dns", 150000 },  /* of a call */
	[TROUBLE_CAP] = { "cap", 1000000 }, /* of a seed */
	[TROUBLE_MASS] = { "mass", 1000000 },
	[TROUBLE_TARGETS] = { "targets", 1000000 },
	[TROUBLE_SERVERS] = { "servers", 200000 }, /* of a call, and of a day */
	[TROUBLE_VALUES] = { "values", 500000 },   /* of an order or reissue */
};

const char *trouble_name(enum trouble t)
{
	return kinds[t].name;
}

int trouble_parse(const char *name, enum trouble *ret)
{
	for (unsigned i = 0; i < TROUBLE_NR; i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		*ret = (enum trouble)i;
		return 0;
	}
	return -EINVAL;
}

/* Most worlds are small: they are fast, and what they show is easy to read. Some are wide, some are long, none is both. */
void plan_make(void)
{
	int64_t shape = world_range(STREAM_PLAN, 0, 9);
	bool is_wide = shape == 0, is_long = shape == 1;
	int64_t n = world_range(STREAM_PLAN, 1, is_wide ? PLAN_DOMAINS_MAX : is_long ? 2 : 5);
	int64_t days = world_range(STREAM_PLAN, 30, is_wide ? 60 : is_long ? 400 : 100);

	plan.n_domains = plan.domains_asked ? plan.domains_asked : (unsigned)n;
	plan.days = plan.days_asked ? plan.days_asked : (unsigned)days;
	for (unsigned i = 0; i < TROUBLE_NR; i++) {
		enum stream s = i < TROUBLE_TARGETS  ? STREAM_PLAN
				: i < TROUBLE_VALUES ? STREAM_TARGETS
						     : STREAM_VALUES;
		bool on = world_chance(s, i == TROUBLE_MASS ? 200000 : 600000);
		int64_t rate = world_range(s, 1, 10) * kinds[i].most / 10;

		plan.rate[i] = on && !plan.without[i] ? rate : 0;
	}
}

bool plan_has(enum trouble t)
{
	return !plan.calm && plan.rate[t] > 0;
}

bool plan_strikes(enum trouble t, int stream)
{
	return world_range((enum stream)stream, 0, 999999) < (plan.calm ? 0 : plan.rate[t]);
}
