/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the simulated world besides the daemon: configurations, people, web servers, the CA's bad days. */
#pragma once

#include "common/base.h"

/* How control of its names is proven. */
enum how { HOW_WEB, HOW_TXT, HOW_CNAME, HOW_EMAIL };

/* One domain of the simulated YAML. */
struct actor {
	char name[40];
	bool present;	/* in the YAML now */
	bool two_names; /* www. as well */
	enum how how;
	unsigned webroot; /* WEB: number of its folder; 0: the responder */
	bool by_program;  /* TXT: a program writes the records, not a dynamic update */
	bool may_cname;	  /* nobody else has a record where its proof belongs */
	bool deploys;
	bool reuses_key;
	int64_t since;	      /* when it came */
	int64_t person_until; /* something happened that needs a person; until then it may be held */
	int64_t revoked_at;   /* somebody revoked its certificate */
	unsigned live;	      /* the generation that was seen behind its link */
};

extern struct actor actors[];
extern unsigned n_actors;

/* Runs the whole of the seed in a fresh folder below dir; returns when every judge is content. */
void scenario_run(const char *dir);

const char *scenario_state_dir(void);
struct actor *scenario_actor(const char *name);
bool scenario_maintenance(void);
/* Nothing that the world does now keeps this domain from a new certificate. */
bool scenario_is_fair(const struct actor *a);
/* A request has taken effect: a good moment for a crash. */
void scenario_arrived(const char *method, const char *url);
unsigned scenario_max_orders(void);
