/* SPDX-License-Identifier: Apache-2.0 */
/* What scenario.c (the world and its lives) and trouble.c (what happens in it) share. */
#pragma once

#include "tests/sim/plan.h"
#include "tests/sim/scenario.h"

#define HOUR_MS	  INT64_C(3600000)
#define DAY	  INT64_C(86400)
#define CALM_DAYS 2

struct scenario {
	char *dir, *state, *yaml;
	int64_t maintenance_until_ms;
	int64_t web_down_until_ms[PLAN_DOMAINS_MAX + 1];
	int64_t dns_slow_until_ms;
	unsigned max_cert_days; /* of the YAML */
	unsigned max_orders;
	bool approval;
	bool over;
};

extern struct scenario scenario;

/* A new YAML, moved into place like an editor does it. */
void scenario_write_yaml(void);
/* Plans days and hours, and the end of all trouble. */
void trouble_plan(void);
/* The CA has been asked for a certificate: somebody may look at it in the console before long. */
void trouble_asked(void);
