/* SPDX-License-Identifier: Apache-2.0 */
/* One issuance through its phases: a pure function from (record, event) to (record, update).
 *
 * Callbacks translate, the step decides, the runner acts: the runner makes the record durable when the
 * update says so, then starts the operation, then reports. docs/STATE-MACHINE.md has the drawing. */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/core/record.h"

/* What the runner is asked to do. All but OP_SUBMIT are safe to repeat. */
enum job_op {
	OP_NONE,
	OP_PREPARE,  /* key and CSR into <generation>.new */
	OP_EARLY,    /* request tokens for job->csr */
	OP_SUBMIT,   /* the order with job->reference, or the reissue of job->of_order_id */
	OP_FIND,     /* orders with job->reference, or our CSR in job->of_order_id */
	OP_INFO,     /* order info of job->order_id */
	OP_METHOD,   /* tell job->order_id the method that the configuration wants now */
	OP_TOKEN,    /* random value of job->order_id */
	OP_TARGETS,  /* where the TXT records belong: the ends of the CNAMEs at their names */
	OP_PUBLISH,  /* the proofs of the record into webroot or DNS */
	OP_LOOK,     /* our own look at the proof, for all names */
	OP_CHECK,    /* check-dcv of job->order_id */
	OP_DOWNLOAD, /* job->certificate_id, and check what came */
	OP_INSTALL,  /* write the generation, switch the link */
	OP_NR
};

const char *job_op_name(enum job_op op);

/* What an order is, as far as the step cares; the runner maps the CA's words. */
enum order_state {
	ORDER_UNKNOWN, /* a word we do not know: keep, ask again */
	ORDER_PENDING,
	ORDER_NEEDS_APPROVAL,
	ORDER_ISSUED,
	ORDER_ENDED /* rejected, canceled, revoked, expired */
};

enum job_event_kind {
	EV_START,   /* an issuance is wanted (kind, new_key); no job yet */
	EV_DONE,    /* the operation named by op succeeded */
	EV_FAULT,   /* the operation named by op failed: outcome */
	EV_WAKE,    /* job->next_at has come */
	EV_RESTART, /* the process starts: whatever was under way may or may not have happened */
	EV_HINT,    /* status-changes named our order */
	EV_RELEASE, /* a person or a reload lets a held domain go on */
	EV_LEAVE,   /* no longer in the YAML, and nothing is under way */
	EV_YIELD,   /* another order waits for the webroot in which our proof is not seen */
	EV_CANCEL   /* a person does not want it any more: what the CA has is canceled by the caller */
};

struct job_event {
	enum job_event_kind kind;
	enum job_op op;
	enum job_kind job_kind;	       /* EV_START */
	bool new_key;		       /* EV_START */
	const struct outcome *outcome; /* EV_FAULT */
	/* What an answer told; 0 / NULL when it did not. */
	int64_t order_id;
	int64_t certificate_id;
	enum order_state order_state;
	const char *order_word; /* the CA's own word, for messages */
	const char *dcv_token;
	int64_t dcv_token_expires_at;
	int64_t order_valid_until; /* INFO */
	bool validated;
	bool token_expired; /* CHECK: the value is too old: a new one is needed */
	const char *detail; /* CHECK: what is not proven yet */
	bool foreign;	    /* INFO: the order does not carry our names or our CSR */
	bool stale;	    /* INFO: the order to be reissued shows another certificate than ours as issued */
	const char *targets;		/* TARGETS: blank separated */
	unsigned n_matches;		/* FIND: orders with our reference (0: none) */
	unsigned generation;		/* PREPARE: the number that the key got; 0: as wished */
	const char *csr;		/* PREPARE */
	const struct record_cert *cert; /* INSTALL: the facts of what was installed (strings are copied) */
};

struct job_env {
	const struct cfg_domain *spec;
	int64_t tempo;	   /* certcentral.poll_interval */
	bool look;	   /* preflight of the method is not off */
	bool instant;	   /* certcentral.instant_issuance */
	int64_t plan_life; /* certcentral.order_years, in seconds */
	int64_t now;
	uint32_t rnd;
	int64_t order_allowed_at;    /* budget: <= now: an order may be posted now */
	const char *fresh_reference; /* never used before */
};

enum report_kind {
	REPORT_STARTED,
	REPORT_SUBMITTING,
	REPORT_ORDERED,
	REPORT_ADOPTED,
	REPORT_ORDER_ABSENT,
	REPORT_MANY_ORDERS,
	REPORT_BUDGET,
	REPORT_PUBLISHED,
	REPORT_NOT_VISIBLE,
	REPORT_NOT_YET,
	REPORT_VALIDATED,
	REPORT_APPROVAL,
	REPORT_UNKNOWN_STATUS,
	REPORT_ISSUED,
	REPORT_BAD_CERT,
	REPORT_INSTALLED,
	REPORT_RETRY,
	REPORT_HELD,
	REPORT_RELEASED,
	REPORT_DEPLOYED,
	REPORT_DEPLOY_RETRY,
	REPORT_DEPLOY_FAILED,
	REPORT_CLEAN_RETRY,
	REPORT_EMAIL,
	REPORT_NAMES_LOST,
	REPORT_REVOKED,
	REPORT_REISSUED_OUTSIDE,
	REPORT_ORDER_OVER,
	REPORT_REVOKING,
	REPORT_REVOKE_DONE,
	REPORT_REVOKE_RETRY,
	REPORT_REVOKE_FAILED,
	REPORT_NOT_SERVED,
	REPORT_NR
};

#define JOB_REPORTS_MAX 4
#define JOB_REPORT_TEXT 480

struct job_report {
	enum report_kind kind;
	char text[JOB_REPORT_TEXT];
};

struct job_update {
	bool persist;	    /* first: make the record durable */
	enum job_op start;  /* then: start this */
	int64_t spend_at;   /* not 0: a post of this time enters the ledger of paid orders (before start) */
	int64_t refund_at;  /* not 0: the post of that time was surely not processed */
	bool installed;	    /* a new generation is live: deploy it */
	unsigned n_reports; /* then: tell */
	struct job_report reports[JOB_REPORTS_MAX];
};

/* Changes rec in memory and says what is to be done. Impossible events (an answer to an operation that the phase did not
 * start) change nothing. */
void job_step(struct record *rec, const struct job_env *env, const struct job_event *ev,
	      struct job_update *ret);

/* True when the order is placed and its state is worth a status-changes poll. */
bool job_is_pending_at_ca(const struct record *rec);

/* May another order have the webroot for now (EV_YIELD)? */
bool job_may_yield(const struct record *rec);

/* The names of an order as the record keeps them: blank separated, common name first. Caller frees. */
char *job_names(const struct cfg_domain *spec);

/* Replaces an owned string of a record; src may be NULL. */
void job_set_str(char **dst, const char *src);

/* Adds a report; used by core/duty.c as well. */
void job_report(struct job_update *u, enum report_kind kind, const char *fmt, ...) _printf_(3, 4);

/* May this phase follow that one? The table of allowed moves, for docs and tests. */
bool job_may_go(enum job_phase from, enum job_phase to);
