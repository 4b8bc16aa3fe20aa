/* SPDX-License-Identifier: Apache-2.0 */
/* The durable facts of one domain: what is installed, the issuance under way, what still has to be
 * deployed, what lies in webroots and DNS, a revocation that was asked for, and what went wrong last. This struct is what state/<name>.json holds.
 *
 * There is no "in flight" in it: a stored phase means "this may or may not have happened". */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/json.h"
#include "config/model.h"

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

enum job_kind {
	JOB_ORDER,   /* a new order: a paid plan and its first certificate */
	JOB_REISSUE, /* another certificate inside the plan of the present one */
	JOB_KIND_NR
};

struct record_job {
	enum job_kind kind;
	enum job_phase phase;
	uint64_t spec_hash;  /* of the configuration it was started for */
	char *reference;     /* alternative_order_id, unique for this intent */
	int64_t of_order_id; /* REISSUE: the order; ORDER: the one that it renews, 0: none */
	unsigned generation;
	char *names;   /* blank separated, common name first */
	char *key;     /* kind of key: record_key_text() */
	bool new_key;  /* the present one must not be used again, whatever the configuration says */
	bool is_paid;  /* its post costs money, or may: a reissue that brings names */
	bool canceled; /* a person asked the CA to cancel it */
	enum cfg_dcv_method method; /* the CA was told this one */
	bool method_asked;	    /* ... or another one: that was asked for, and no answer has come */
	bool method_refused;	    /* in memory only: told again, and refused */
	char *csr;		    /* PEM; NULL before it is made */
	int64_t started_at;
	int64_t submitted_at; /* a POST with our reference may have been accepted since; 0: surely none */
	unsigned posts;	      /* how often it was posted */
	int64_t absent_at;    /* first look-up since then that found nothing; 0: none */
	unsigned absents;
	int64_t order_id; /* 0: none known */
	int64_t certificate_id;
	int64_t order_valid_until; /* 0: not told */
	char *dcv_token; /* the CA's random value; before the order: our request tokens, blank separated */
	int64_t dcv_token_expires_at; /* 0: unknown */
	char *targets;		      /* where the TXT records belong, blank separated; NULL: not known yet */
	bool instant;		      /* request tokens are published before the order is placed */
	bool published;		      /* ... and they are up */
	unsigned looks;		      /* how often our own look failed for this value */
	unsigned doubts;   /* how much speaks against this value: checks in which the CA did not see it */
	bool looked;	   /* our own look is done with (seen, switched off, or given up) */
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
	char *names;  /* blank separated */
	char *key;    /* kind of key; NULL: not known */
	char *method; /* of proof, as the CA was told for its order: a reissue names none; NULL: not known */
	int64_t not_before;
	int64_t not_after;
	int64_t order_valid_until; /* end of the paid plan; 0: unknown */
	int64_t installed_at;
	/* What became of it at the CA, whoever did it. */
	int64_t revoked_at; /* 0: it is good */
	char *revoked_for;  /* reason as RFC 5280 names it; NULL: not told */
	bool order_unknown; /* rebuilt from the files: its order is looked up at the CA before anything else */
	bool key_lost;	    /* its key is gone or damaged: a reissue brings another one */
	bool order_over;    /* the order was revoked, canceled or has expired: it cannot be reissued */
	bool replaces_revoked; /* it was issued because its predecessor was revoked */
	int64_t other_id;      /* somebody reissued the order: the certificate that it has now; 0: ours */
};

/* A revocation that a person asked for: repeated until the CA shows it. */
struct record_revocation {
	int64_t order_id;
	int64_t certificate_id; /* 0: everything of the order */
	char *reason;		/* NULL: none */
	int64_t asked_at;
	int64_t request_id; /* waits for an approval; 0: does not */
	bool sent;	    /* the CA took it: only its effect is awaited */
	bool refused; /* we may not approve it ourselves; with sent: refused, perhaps because it is done already */
	unsigned attempts;
	int64_t next_at; /* 0: now */
};

enum deploy_state { DEPLOY_TODO, DEPLOY_DONE, DEPLOY_FAILED, DEPLOY_STATE_NR };

struct record_deploy {
	char *target;
	enum deploy_state state;
	bool differs;	     /* verify: the last look saw something else than ours */
	bool older;	     /* ... which was an earlier one of ours */
	unsigned generation; /* what is (to be) deployed */
	unsigned attempts;
	int64_t at;	   /* of the last change of state */
	int64_t next_at;   /* TODO: when to try; 0: now */
	int64_t looked_at; /* verify: of the last look that got an answer; 0: none */
	char *code;	   /* of the last failure; NULL: none */
	char *message;
};

/* More proofs make a record unreadable: 250 names, 5 request tokens each, and old ones that could not be removed yet. */
#define RECORD_PROOFS_MAX 2048

enum proof_place { PROOF_WEBROOT, PROOF_TXT, PROOF_CNAME, PROOF_PLACE_NR };

/* A proof that may stand in a webroot or in DNS. It is recorded before it is written. */
struct record_proof {
	enum proof_place place;
	char *where; /* the webroot, or the name of the DNS provider */
	char *name;  /* DNS: owner of the record; NULL in a webroot */
	char *value;
	bool again; /* in memory only: put up more than once since the last withdrawal */
};

struct record {
	char *name;
	bool held;	   /* nothing goes on by itself until a person (or a reload) says so */
	bool held_for_key; /* ... because of the API key: a new start of the program may bring another one */
	bool frozen;	   /* in memory only: the file on disk is not ours to replace */
	struct record_cert cert;
	struct record_cert *previous; /* what was installed before it, or left by a rollback; NULL: none */
	int64_t rest_until;	      /* rolled back: no renewal by itself until then; 0: none */
	struct record_job *job;	      /* NULL: none */
	struct record_revocation *revocation; /* NULL: none */
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
/* The certificate of r becomes its previous one; what is left in r->cert has the same values, and strings of its own. Nothing when
 * there is none. */
void record_keep_previous(struct record *r);
/* What kind of target is this, by its name; CFG_DEPLOY_NR: none that is known. */
enum cfg_deploy_type record_deploy_type(const char *target);
void record_revocation_free(struct record_revocation *v);

/* Names as a record keeps them, blank separated; the caller frees. Whoever compares names compares this text. */
char *record_join_names(const char *const *names, size_t n);

/* Is every name of the list `names` in the list `among` as well? Both blank separated; among may be NULL. */
bool record_names_are_among(const char *names, const char *among);

/* A kind of key as a record keeps it: "rsa 2048", "ec P-256". Whoever compares kinds compares this text. */
#define RECORD_KEY_MAX 16
const char *record_key_text(const struct cfg_key *k, char buf[RECORD_KEY_MAX]);

/* The words of a record and of `dvcertctl`: "order", "reissue"; "webroot", "TXT", "CNAME"; "todo", "done", "failed". */
const char *record_kind_word(enum job_kind k);
const char *record_place_word(enum proof_place p);
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

/* The list of proofs: adding one that is there only notes that it was put up again; dropping moves the last one to i. name is NULL
 * in a webroot. */
void record_add_proof(struct record *r, enum proof_place place, const char *where, const char *name,
		      const char *value);
void record_drop_proof(struct record *r, uint32_t i);
/* DUTY_NONE (UINT32_MAX) when there is none like p. */
uint32_t record_find_proof(const struct record *r, const struct record_proof *p);
void record_proof_copy(const struct record_proof *p, struct record_proof *ret);
void record_proof_done(struct record_proof *p);
