/* SPDX-License-Identifier: Apache-2.0 */
/* What does this domain want, why, and when is it worth looking again? Stateless and level-triggered: from
 * facts and the time, never from history. */
#pragma once

#include "config/model.h"
#include "daemon/core/record.h"

enum want { WANT_NOTHING, WANT_ORDER };

enum reason {
	REASON_GOOD,	  /* valid, due_at is its renewal */
	REASON_UNDER_WAY, /* a job is there */
	REASON_HELD,	  /* waits for a person */
	REASON_NEW,	  /* there is no certificate */
	REASON_EXPIRED,
	REASON_RENEWAL, /* the renewal point has passed */
	REASON_BUDGET,	/* something is wanted, but the day's orders are spent */
	REASON_NR
};

/* A sentence for people. */
const char *reason_text(enum reason r);

struct view {
	const struct cfg_domain *spec;
	const struct record *rec;
	int64_t now;
	int64_t order_allowed_at; /* core/budget */
};

#define DUE_NEVER INT64_MAX

struct decision {
	enum want want;
	enum reason reason;
	int64_t due_at;	   /* the earliest time at which the answer can change by itself; DUE_NEVER */
	bool names_differ; /* the YAML names others than the certificate has: the next issuance brings them */
};

/* Fills ret; allocates nothing that stays. */
void decide(const struct view *v, struct decision *ret);

/* When the installed certificate is to be renewed; 0 when there is none. */
int64_t decide_renew_at(const struct cfg_domain *spec, const struct record *rec);
