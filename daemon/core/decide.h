/* SPDX-License-Identifier: Apache-2.0 */
/* What does this domain want, why, and when is it worth looking again? Stateless and level-triggered: from
 * facts and the time, never from history. */
#pragma once

#include "config/model.h"
#include "daemon/core/record.h"

enum want { WANT_NOTHING, WANT_ORDER, WANT_REISSUE };

enum reason {
	REASON_GOOD,	  /* valid, due_at is its renewal */
	REASON_UNDER_WAY, /* a job is there */
	REASON_HELD,	  /* waits for a person */
	REASON_NEW,	  /* there is no certificate */
	REASON_EXPIRED,
	REASON_REVOKED,	 /* the CA revoked the certificate */
	REASON_NAMES,	 /* the YAML names others than the certificate has */
	REASON_KEY,	 /* ... or another kind of key */
	REASON_RENEWAL,	 /* the renewal point has passed */
	REASON_BUDGET,	 /* something is wanted, but the day's orders are spent */
	REASON_KEY_LOST, /* the key of the certificate is gone from our disk */
	REASON_LOOKING,	 /* the certificate was read off its files: its order is being looked up */
	REASON_RESTING, /* rolled back: a person looks into it, and the older certificate is good for a while */
	REASON_REVOKING, /* something is wanted, but a person is having its whole order revoked */
	REASON_NR
};

/* A sentence for people. */
const char *reason_text(enum reason r);

struct view {
	const struct cfg_domain *spec;
	const struct record *rec;
	int64_t now;
	int64_t order_allowed_at; /* core/budget */
	int64_t cert_life;	  /* certcentral.max_cert_days, in seconds */
};

#define DUE_NEVER INT64_MAX

struct decision {
	enum want want;
	enum reason reason;
	int64_t due_at;	   /* the earliest time at which the answer can change by itself; DUE_NEVER */
	enum want then;	   /* what it will be at due_at, as far as can be seen now */
	bool new_key;	   /* the present key must not be used again */
	bool names_differ; /* the YAML names others than the certificate has: the next issuance brings them */
	bool loses_names;  /* ... and some of those of the certificate are not among them */
	bool gains_names;
};

/* Fills ret; allocates nothing that stays. */
void decide(const struct view *v, struct decision *ret);

/* What a replacement at that time has to be: a reissue inside the paid plan where that brings a certificate worth having, else
 * an order. forced: a person wants it now, so any certificate inside the plan is worth having. */
enum want decide_replacement(const struct view *v, int64_t at, bool forced);

/* Is a key that was used until now good enough for the next certificate? Not after a revocation for a reason that is about the key,
 * or that nobody told. */
bool decide_needs_new_key(const struct record *rec);

/* Who goes first where only some can, as a time: the certificate that expires first. One that is missing counts as if it had a week,
 * one that is revoked as if it had expired then, and of those that were revoked together the one that expires first is in front. */
int64_t decide_urgency(const struct record *rec, int64_t now);
/* The same for one that was revoked at that time, or may have been. */
int64_t decide_urgency_revoked(const struct record_cert *c, int64_t at);

/* When the installed certificate is to be renewed; 0 when there is none. */
int64_t decide_renew_at(const struct view *v);
