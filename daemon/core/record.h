/* SPDX-License-Identifier: Apache-2.0 */
/* The durable facts of one domain: what is installed, the issuance under way, what still has to be
 * deployed, what lies in webroots, and what went wrong last. This struct is what state/<name>.json holds.
 *
 * There is no "in flight" in it: a stored phase means "this may or may not have happened". */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/json.h"

#define RECORD_VERSION 1

/* Where an issuance stands. The names are those of `dvcertctl status`. */
enum job_phase {
	PHASE_PREPARE,	/* make key and CSR, put them on disk */
	PHASE_SUBMIT,	/* place the order: the only step that costs money */
	PHASE_RESOLVE,	/* may have been placed: ask the CA for an order with our reference */
	PHASE_PUBLISH,	/* get the random value, show it to the world */
	PHASE_CHECK,	/* look at it ourselves, then tell the CA to look */
	PHASE_WAIT,	/* the CA works; learn the order's state */
	PHASE_DOWNLOAD, /* fetch the chain, check it */
	PHASE_INSTALL,	/* write the generation, switch the link */
	PHASE_NR
};

const char *job_phase_name(enum job_phase p);

struct record_error {
	char *code;    /* the CA's or our own short word; NULL: no error */
	char *message; /* one line */
	int64_t at;
	unsigned attempts;
};

struct record_job {
	enum job_phase phase;
	uint64_t spec_hash; /* of the configuration it was started for */
	char *reference;    /* alternative_order_id, unique for this intent */
	unsigned generation;
	char *names; /* blank separated, common name first */
	char *csr;   /* PEM; NULL before PREPARE is done */
	int64_t started_at;
	int64_t submitted_at; /* a POST with our reference may have been accepted since; 0: surely none */
	unsigned posts;	      /* how often it was posted */
	int64_t absent_at;    /* first look-up since then that found nothing; 0: none */
	unsigned absents;
	int64_t order_id; /* 0: none known */
	int64_t certificate_id;
	int64_t order_valid_until; /* 0: not told */
	char *dcv_token;
	int64_t dcv_token_expires_at; /* 0: unknown */
	unsigned looks;		      /* how often our own look failed for this value */
	bool looked;		      /* our own look is done with (seen, switched off, or given up) */
	bool republish;	   /* the CA did not see the proof: put it up again before it is asked again */
	bool yielded;	   /* the proof may go: another order has the webroot until this one is tried again */
	bool validated;	   /* the CA said that every name is proven */
	bool issued;	   /* the order showed issued: the proof may go */
	unsigned refusals; /* refused calls about a placed order: the second one needs a person */
	unsigned bad_certs; /* downloads that could not be installed */
	unsigned attempts;  /* failures in a row in this phase */
	int64_t next_at;    /* when to go on; 0: now */
};

struct record_cert {
	unsigned generation; /* 0: nothing is installed */
	int64_t order_id;
	int64_t certificate_id;
	char *serial;
	char *names; /* blank separated */
	int64_t not_before;
	int64_t not_after;
	int64_t order_valid_until; /* 0: unknown */
	int64_t installed_at;
};

enum deploy_state { DEPLOY_TODO, DEPLOY_DONE, DEPLOY_FAILED };

struct record_deploy {
	char *target;
	enum deploy_state state;
	unsigned generation; /* what is (to be) deployed */
	unsigned attempts;
	int64_t at;	 /* of the last change of state */
	int64_t next_at; /* TODO: when to try; 0: now */
	char *code;	 /* of the last failure; NULL: none */
	char *message;
};

/* A proof that may stand in a webroot. It is recorded before it is written. */
struct record_proof {
	char *webroot;
	char *token;
	bool again; /* in memory only: put up more than once since the last withdrawal */
};

struct record {
	char *name;
	bool held;	   /* nothing goes on by itself until a person (or a reload) says so */
	bool held_for_key; /* ... because of the API key: a new start of the program may bring another one */
	bool frozen;	   /* in memory only: the file on disk is not ours to replace */
	struct record_cert cert;
	struct record_job *job; /* NULL: none */
	struct record_error error;
	struct record_deploy *deploys;
	uint32_t n_deploys;
	uint32_t n_proofs;
	struct record_proof *proofs;
	unsigned clean_attempts;
	int64_t clean_at; /* when to try again to remove proofs; 0: now */
	int64_t *paid_at; /* posts of the last 24 hours, oldest first */
	uint32_t n_paid;
};

struct record *record_new(const char *name);
void record_free(struct record *r);
DEFINE_CLEANUP(struct record *, record_free)
void record_job_free(struct record_job *j);

/* Names as a record keeps them, blank separated; the caller frees. Whoever compares names compares this text. */
char *record_join_names(const char *const *names, size_t n);

/* "todo", "done" or "failed". */
const char *record_deploy_word(enum deploy_state s);

/* Sets or (code NULL) clears the error; attempts counts up while the code stays the same. */
void record_set_error(struct record *r, int64_t now, const char *code, const char *message);

/* To and from the JSON of state/<name>.json. decode: -EBADMSG with what is wrong; -ENOTSUP for a newer version, which must not
 * be touched. The name in the text must be `name`. */
struct json *record_encode(const struct record *r);
int record_decode(const char *name, const char *text, size_t len, struct record **ret,
		  struct err *reterr) _must_check_;

/* Sums posts younger than 24 h into the ledger of paid orders: see core/budget.h. Older ones are dropped. */
void record_prune_paid(struct record *r, int64_t now);
void record_add_paid(struct record *r, int64_t now);
/* The post of that time surely never reached the CA. */
void record_drop_paid(struct record *r, int64_t at);

/* The list of proofs: adding a pair that is there only notes that it was put up again; dropping moves the last one to i. */
void record_add_proof(struct record *r, const char *webroot, const char *token);
void record_drop_proof(struct record *r, uint32_t i);
