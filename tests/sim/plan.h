/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed means: how many domains for how long, and how often what goes wrong. */
#pragma once

#include "common/base.h"

/* Kinds of trouble; each can be left out by name (--without). */
enum trouble {
	TROUBLE_LOST,	     /* requests or answers are lost, late or cut off */
	TROUBLE_WRONG,	     /* 5xx, 429 and garbage from something in between */
	TROUBLE_TWICE,	     /* a request takes effect twice, or long after its client gave up */
	TROUBLE_MAINTENANCE, /* the CA answers 503 for hours or days */
	TROUBLE_DISK,	     /* ENOSPC, EIO, EMFILE */
	TROUBLE_SYNC,	     /* fsync fails */
	TROUBLE_KILL,	     /* kill -9 */
	TROUBLE_POWER,	     /* what was not synced may be lost */
	TROUBLE_RESTART,     /* an orderly stop, and a new start */
	TROUBLE_RELOAD,	     /* the YAML changes */
	TROUBLE_CLOCK,	     /* the daemon's wall clock is wrong for hours */
	TROUBLE_CONSOLE,     /* people at the CA: approvals, rejections, revocations */
	TROUBLE_CA,	     /* slow to issue, lists that lag, wrong certificates */
	TROUBLE_WEB,	     /* web servers are down */
	TROUBLE_DNS,	     /* updates and programs fail or are not answered, secondaries lag */
	TROUBLE_CAP,	     /* the CA issues for ever shorter: 199, 99, 46 days */
	TROUBLE_MASS,	     /* the CA revokes (nearly) everything on one day */
	/* Drawn from a stream of their own, so that kept scenarios stay what they are. */
	TROUBLE_TARGETS, /* no trouble yet: domains are deployed to web servers */
	TROUBLE_SERVERS, /* these, the helper, hooks and people make mistakes */
	TROUBLE_VALUES,	 /* people at the CA ask for another random value */
	TROUBLE_NR
};

const char *trouble_name(enum trouble t);
/* -EINVAL when there is no such word. */
int trouble_parse(const char *name, enum trouble *ret) _must_check_;

#define PLAN_DOMAINS_MAX 20

struct plan {
	uint64_t seed;
	unsigned n_domains;
	unsigned days;
	unsigned domains_asked, days_asked; /* by the command line; 0: as the seed says */
	bool without[TROUBLE_NR];
	int64_t rate[TROUBLE_NR]; /* in a million chances; 0: never */
	bool calm;		  /* the last two days: nothing goes wrong any more */
};

extern struct plan plan;

/* Fills the rest of plan from its seed. */
void plan_make(void);
/* Does it happen, at this chance? Draws from `stream` (enum stream) in any case. */
bool plan_strikes(enum trouble t, int stream);
/* Is this kind of trouble possible now? */
bool plan_has(enum trouble t);
