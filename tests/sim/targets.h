/* SPDX-License-Identifier: Apache-2.0 */
/* The web servers of the simulated host. A server reads certificate and key when it starts and when it is made to load them, from live/NAME or from the
 * copies of a `files` target, and serves what it has read until then, whatever becomes of the files. Servers survive the daemon; a power
 * cut of the host starts them anew.
 *
 * targets.c: what there is. servers.c: what the seed and people do to it. helper.c: dvcertd-helper and hooks. tls.c: what a look at a server sees.
 * judge_served.c: what must be so. */
#pragma once

#include <stdio.h>

#include "tests/sim/scenario.h"

#define SERVERS_MAX 2
#define NODES_MAX   2 /* addresses of one server */
#define SLOTS_MAX   8

/* One address. What it serves is a text in PEM. */
struct node {
	bool is_up;
	int64_t down_until_ms;
	char *shown;	     /* NULL: nothing */
	unsigned generation; /* of shown; 0: not ours */
	char *next;	     /* was loaded, and is shown from next_at_ms on; NULL: nothing */
	unsigned next_generation;
	int64_t next_at_ms;
	unsigned best; /* the newest it has had, unless a person put an older one there since */
	/* What the daemon's last look found. */
	bool was_seen;
	unsigned seen;
	int64_t seen_ms;
	unsigned seen_life;
};

struct server {
	bool by_hook;	 /* a hook loads it, not a unit's reload */
	bool has_verify; /* the daemon looks at it */
	bool by_name;	 /* its addresses have to be looked up */
	unsigned n_nodes;
	struct node nodes[NODES_MAX];
	int64_t refuses_until_ms; /* its configuration is broken: no reload */
	bool is_foreign; /* a person put something there that the daemon leaves alone; another one mends it */
	bool copies;	 /* reads the copies, not live/NAME */
};

/* A target, in the order of the YAML. */
enum slot_kind { SLOT_FILES, SLOT_LOADER, SLOT_VERIFY, SLOT_SIDE, SLOT_SCUTUM };

struct slot {
	enum slot_kind kind;
	unsigned server; /* LOADER, VERIFY */
	bool in_yaml;
	char name[320]; /* as records call it */
	/* The last time that the daemon was told that it is done. */
	unsigned ok_generation;
	int64_t ok_ms;
	int64_t effect_ms; /* the last time that it happened, whatever the daemon was told */
	unsigned n_late;   /* how often it ran on the last day */
};

struct site {
	const struct actor *actor;
	bool bundle; /* one file for both */
	char *copies[2];
	unsigned n_slots;
	struct slot slots[SLOTS_MAX];
	unsigned n_servers;
	struct server servers[SERVERS_MAX];
	unsigned live; /* generation, and since when it is seen behind the link */
	int64_t live_since_ms;
	unsigned n_late_causes; /* reasons of the last day to bring it there */
};

/* n_actors of them; without slots: not deployed to anything here. */
extern struct site sites[];
struct targets {
	unsigned life;
	unsigned cut; /* power cuts so far */
	int64_t helper_away_until_ms, hooks_broken_until_ms;
	int64_t last_day_ms; /* the end of what trouble may still cause; 0: not yet */
};
extern struct targets targets;

/* Draws them; before the first YAML is written. */
void targets_make(const char *dir);
/* Plans their days, and judges every hour. */
void targets_start(void);
/* The list of targets of a domain, with Scutum when it has that. */
void targets_write(FILE *f, const struct actor *a);
void targets_life_over(bool power_cut);

struct site *targets_site(const char *name);
/* NULL when there is no such target in the YAML. */
struct slot *targets_slot(struct site *s, const char *target);

/* A whole file; NULL when it cannot be read. The caller frees. */
char *targets_read(const char *path);
/* Reads its files; `lag_ms` later they are shown. False, and nothing changes, when they are not a pair. */
bool targets_load(struct site *s, struct server *v, struct node *n, int64_t lag_ms);
/* What it serves now: the daemon's look arrives. NULL: nobody answers. */
const char *targets_shown(struct node *n);
/* The generation behind the link; 0: none. */
unsigned targets_live(const struct site *s);
/* The server behind 10.8.x.y. NULL: nobody. */
struct node *targets_node(unsigned x, unsigned y, struct server **ret_server);
/* Addresses of "web0.NAME", as last parts of 10.8.x.y. */
unsigned targets_addresses(const char *host, unsigned ret_x[NODES_MAX], unsigned ret_y[NODES_MAX]);

/* --- judge_served.c --- */

/* The daemon asks for this, or it takes effect: what is in live/NAME must stay. */
void judge_may_load(const struct site *s, const struct slot *t);
void judge_loaded(const struct site *s, const struct node *n, unsigned generation);
/* Its files are no pair. */
void judge_not_loaded(const struct site *s, const struct server *v);
/* Once an hour. */
void judge_served(void);
/* Two days after the last trouble. */
void judge_served_settled(void);
