/* SPDX-License-Identifier: Apache-2.0 */
/* One state of the explored system in as few bytes as behaviour needs: the record in memory, the record on
 * disk, and a world of one plan, one order or reissue, one key, two places for proofs. Everything is uint8_t, so a state has no padding
 * and is its own hash key.
 *
 * What keeps it finite: times are kept relative to a `now` that never moves (the clock advances by moving everything else
 * back), counters stop at the value from which on nothing but the length of a pause differs, and
 * references, keys and tokens are renamed in order of appearance, because the step only ever compares them for equality. */
#pragma once

#include "common/base.h"
#include "common/mem.h"
#include "daemon/core/decide.h"
#include "daemon/core/duty.h"
#include "daemon/core/retry.h"

#include <assert.h>
#include <stdio.h>

#define T0   INT64_C(1000000000)
#define DAY  INT64_C(86400)
#define LIFE (199 * DAY)
#define PLAN (300 * DAY) /* what is left of the paid plan, where there is one: it never ends by itself */

/* What the CA calls them. */
#define ID_ORDER       77
#define ID_PLAN	       66 /* the order of the installed certificate */
#define ID_CERTIFICATE 88

#define M_PROOFS 4
#define M_PAID	 3  /* posts in the ledger of a record */
#define M_NAMES	 12 /* references, keys, tokens in use at the same time */

/* Where counters stop: from there on only the length of a pause differs. */
#define M_ATTEMPTS  0
#define M_POSTS	    2
#define M_ABSENTS   4
#define M_REFUSALS  1
#define M_BAD_CERTS 0
/* Failed looks: none, one to go, too many. */
#define M_LOOKS_LAST 4
#define M_LOOKS	     5
/* Doubts of a value: none, one check to go, too many. */
#define M_DOUBTS 24
/* The unit of time. Every pause is rounded up to it: the model's timers are late, as timers may be. */
#define TICK	     (RETRY_ABSENT_AGE / 3) /* tempos */
#define M_LAG	     (RETRY_ABSENT_AGE / TICK)
#define M_ABSENT_AGE (2 * M_LAG)
/* Where days are counted, a tick is a quarter of one. */
#define M_DAY	    4
#define M_DAY_TEMPO (DAY / M_DAY / TICK)

enum { TOKEN_FOREVER, TOKEN_ALIVE, TOKEN_DEAD };
enum { CERT_NONE, CERT_FRESH, CERT_DUE };

struct m_job {
	uint8_t on, phase, spec, ref, gen, csr, submitted, posts, absents;
	uint8_t kind, paid_for, canceled, dns, dns_asked, dns_refused, instant, published;
	uint8_t target;	    /* of the TXT record: 0 not known, else 1 + place */
	uint8_t absent_age; /* 0: none, else 1 + ticks */
	uint8_t order, cert, token, token_left, looks, looked, republish, yielded, validated, issued,
		refusals, bad_certs, attempts, doubts;
	uint8_t next; /* 0: now, 1: due, else 1 + ticks */
};

struct m_rec {
	uint8_t held, cert, gen, paid, clean_attempts;
	uint8_t over;  /* the plan of the installed certificate is over, and that is known */
	uint8_t names; /* the installed certificate has both names */
	uint8_t dns;   /* its order was proven in DNS: 0 no, 1 yes, 2 not known */
	uint8_t clean; /* 0: due, else ticks */
	uint8_t n_proofs;
	uint8_t proof[M_PROOFS + 1]; /* token * 2 + place */
	uint8_t again[M_PROOFS + 1];
	uint8_t post[M_PAID]; /* where days are counted: 0 none, else 1 + ticks; the oldest first */
	struct m_job job;
};

enum { O_NONE, O_APPROVAL, O_PENDING, O_VALIDATED, O_ISSUED, O_ENDED };

/* There is one slot for what the CA works on: an order, or the reissue of the plan. One that was given up in the console is
 * gone, and the plan shows the certificate of before, or that of somebody else. A reissue without a reference is somebody else's. */
struct m_world {
	uint8_t plan; /* the order of the installed certificate can be reissued */
	uint8_t kind; /* enum job_kind: what the slot holds */
	uint8_t order, order_ref, order_csr;
	uint8_t order_age;  /* ticks since it was placed */
	uint8_t ca_token;   /* the value that the CA looks for */
	uint8_t ca_dns;	    /* ... in DNS: the method of the order, and of reissues of it */
	uint8_t web[2];	    /* what each place holds: the file in a webroot, or the newest record at a name */
	uint8_t older[2];   /* names only: records are added, not replaced */
	uint8_t delegated;  /* the name at which the CA looks for the record */
	uint8_t away;	    /* no longer in the YAML */
	uint8_t key;	    /* the key in <generation>.new */
	uint8_t spec;	    /* 0 or 1: which configuration is loaded */
	uint8_t op, op_web; /* the operation in flight */
	uint8_t clean;	    /* the withdrawal in flight: 1 + proof, index */
	uint8_t clean_i;
	uint8_t clean_hit; /* it has had its effect, and nobody knows yet */
	uint8_t faults;	   /* so far, when they are counted */
};

struct m_state {
	struct m_rec mem, disk;
	struct m_world w;
};

/* A whole run explores one of these. */
struct m_setup {
	const char *name;
	int64_t tempo;
	uint32_t rnd;
	bool look;
	bool responder;
	bool second_webroot; /* the other configuration names another webroot */
	bool yields;	     /* others want our webroot */
	bool plan;	     /* certificates come with a plan that can be reissued */
	bool console;	     /* somebody reissues there, too, and the plan may end */
	bool names;	     /* the other configuration has one more name */
	bool instant;
	bool values;  /* the value may change at the CA, and doubts of ours are counted */
	bool dns;     /* both configurations prove by TXT records */
	bool methods; /* the other one does, the first one has a webroot */
	bool leaves;  /* the domain is taken out of the YAML, and comes back */
	bool cancels; /* a person cancels */
	bool days; /* the posts of a day are remembered with their times, and pauses are as long as they are */
	uint8_t max_proofs; /* what happens with more open proofs than this is not followed */
	uint8_t max_faults; /* in one run; 0: any number */
};

static inline uint8_t u8(int64_t v)
{
	return (uint8_t)v;
}

static inline uint8_t u8_min(int64_t v, int64_t max)
{
	return (uint8_t)(v < max ? v : max);
}

static inline int64_t tick(const struct m_setup *m)
{
	return TICK * m->tempo;
}

static inline int64_t ticks(const struct m_setup *m, int64_t seconds)
{
	return (seconds + tick(m) - 1) / tick(m);
}

static inline char *named(char kind, uint8_t n)
{
	return n ? xasprintf("%c%u", kind, n) : NULL;
}

static inline uint8_t number(const char *s)
{
	return s ? u8(strtol(s + 1, NULL, 10)) : 0;
}

/* --- between the bytes and the struct that the shipped code works on --- */

static inline int64_t token_time(uint8_t left)
{
	return left == TOKEN_FOREVER ? 0 : left == TOKEN_ALIVE ? T0 + 30 * DAY : T0 + 1;
}

static inline uint8_t token_left(int64_t at)
{
	return at == 0 ? TOKEN_FOREVER : at > T0 + DAY ? TOKEN_ALIVE : TOKEN_DEAD;
}

/* --- places --- */

/* By HTTP, place 1 is another webroot; by DNS, another owner of the record. */
static inline bool spec_is_dns(const struct m_setup *m, uint8_t spec)
{
	return m->dns || (m->methods && spec);
}

static inline bool place_is_dns(const struct m_setup *m, uint8_t place)
{
	return m->dns || (m->methods && place);
}

static inline enum cfg_dcv_method method_of(bool dns)
{
	return dns ? CFG_DCV_DNS_TXT_TOKEN : CFG_DCV_HTTP_TOKEN;
}

static inline const char *spec_names(const struct m_setup *m, uint8_t spec)
{
	return m->names && spec ? "a.example b.example" : "a.example";
}

/* Do the configurations differ in more than their hash? */
static inline bool specs_differ(const struct m_setup *m)
{
	return m->second_webroot || m->names || m->methods;
}

static inline struct record_job *job_make(const struct m_setup *m, const struct m_job *j)
{
	struct record_job *r = xmalloc(sizeof(*r));

	r->kind = (enum job_kind)j->kind;
	r->is_paid = j->paid_for;
	r->canceled = j->canceled;
	r->method = method_of(j->dns);
	r->method_asked = j->dns_asked;
	r->method_refused = j->dns_refused;
	r->instant = j->instant;
	r->published = j->published;
	r->targets = j->target ? xasprintf("N%u", j->target - 1u) : NULL;
	r->of_order_id = j->kind == JOB_REISSUE ? ID_PLAN : 0;
	r->phase = (enum job_phase)j->phase;
	r->spec_hash = j->spec + 1u;
	r->reference = named('R', j->ref);
	r->generation = j->gen;
	r->names = xstrdup(spec_names(m, j->spec));
	r->csr = named('C', j->csr);
	r->started_at = T0;
	r->submitted_at = j->submitted ? T0 - (j->submitted - 1) * tick(m) : 0;
	r->posts = j->posts;
	r->absents = j->absents;
	r->absent_at = j->absent_age ? T0 - (j->absent_age - 1) * tick(m) : 0;
	r->order_id = !j->order ? 0 : j->kind == JOB_REISSUE ? ID_PLAN : ID_ORDER;
	r->certificate_id = j->cert ? ID_CERTIFICATE : 0;
	r->dcv_token = named('T', j->token);
	r->dcv_token_expires_at = token_time(j->token_left);
	r->looks = j->looks;
	r->doubts = j->doubts;
	r->looked = j->looked;
	r->republish = j->republish;
	r->yielded = j->yielded;
	r->validated = j->validated;
	r->issued = j->issued;
	r->refusals = j->refusals;
	r->bad_certs = j->bad_certs;
	r->attempts = j->attempts;
	r->next_at = j->next ? T0 + (j->next - 1) * tick(m) : 0;
	return r;
}

static inline struct record *record_make(const struct m_setup *m, const struct m_rec *s)
{
	struct record *r = record_new("a.example");

	r->held = s->held;
	r->clean_attempts = s->clean_attempts;
	r->clean_at = s->clean ? T0 + s->clean * tick(m) : 0;
	if (s->cert != CERT_NONE) {
		r->cert.generation = s->gen;
		r->cert.serial = xstrdup("01");
		r->cert.names = xstrdup(spec_names(m, s->names));
		r->cert.method = s->dns == 2 ? NULL : xstrdup(cfg_dcv_method_name(method_of(s->dns)));
		r->cert.order_id = ID_PLAN;
		r->cert.order_over = s->over;
		r->cert.order_valid_until = m->plan ? T0 + PLAN : 0;
		r->cert.not_after = s->cert == CERT_FRESH ? T0 + LIFE : T0;
		r->cert.not_before = r->cert.not_after - LIFE;
	}
	for (uint8_t i = 0; i < s->n_proofs; i++) {
		uint8_t place = s->proof[i] % 2;
		char token[16];

		snprintf(token, sizeof(token), "T%d", s->proof[i] / 2);
		if (place_is_dns(m, place))
			record_add_proof(r, PROOF_TXT, "P", place ? "N1" : "N0", token);
		else
			record_add_proof(r, PROOF_WEBROOT, place ? "W1" : "W0", NULL, token);
		r->proofs[i].again = s->again[i];
	}
	for (uint8_t i = 0; i < M_PAID; i++) {
		if (s->post[i])
			record_add_paid(r, T0 - (s->post[i] - 1) * tick(m));
	}
	if (s->paid && !m->days)
		record_add_paid(r, T0);
	if (s->job.on)
		r->job = job_make(m, &s->job);
	return r;
}

static inline struct m_job job_pack(const struct m_setup *m, const struct record_job *r)
{
	struct m_job j = { .on = 1 };

	j.kind = (uint8_t)r->kind;
	j.paid_for = r->is_paid;
	j.canceled = r->canceled;
	j.dns = r->method == CFG_DCV_DNS_TXT_TOKEN;
	j.dns_asked = r->method_asked;
	j.dns_refused = r->method_refused;
	j.instant = r->instant;
	j.published = r->published;
	j.target = r->targets ? u8(1 + number(r->targets)) : 0;
	j.phase = (uint8_t)r->phase;
	j.spec = u8((int64_t)r->spec_hash - 1);
	j.ref = number(r->reference);
	j.gen = (uint8_t)r->generation;
	j.csr = number(r->csr);
	j.submitted = r->submitted_at ? u8(1 + (m->days ? (T0 - r->submitted_at) / tick(m) : 0)) : 0;
	j.posts = u8_min(r->posts, M_POSTS);
	j.absents = u8_min(r->absents, M_ABSENTS);
	j.absent_age = r->absent_at ? u8_min(1 + (T0 - r->absent_at) / tick(m), 1 + M_ABSENT_AGE) : 0;
	j.order = r->order_id != 0;
	j.cert = r->certificate_id != 0;
	j.token = number(r->dcv_token);
	j.token_left = token_left(r->dcv_token_expires_at);
	j.looks = r->looks >= M_LOOKS ? M_LOOKS : r->looks ? M_LOOKS_LAST : 0;
	j.doubts = !m->values ? 0 : r->doubts >= M_DOUBTS ? M_DOUBTS : r->doubts ? M_DOUBTS - 1 : 0;
	j.looked = r->looked;
	j.republish = r->republish;
	j.yielded = r->yielded;
	j.validated = r->validated;
	j.issued = r->issued;
	j.refusals = u8_min(r->refusals, M_REFUSALS);
	j.bad_certs = u8_min(r->bad_certs, M_BAD_CERTS);
	j.attempts = u8_min(r->attempts, M_ATTEMPTS);
	j.next = r->next_at ? u8(1 + MAX(ticks(m, r->next_at - T0), 0)) : 0;
	return j;
}

/* The runner prunes whenever it writes a record. */
static inline void posts_pack(const struct m_setup *m, struct record *r, struct m_rec *s)
{
	uint8_t n = 0;

	record_prune_paid(r, T0);
	for (uint32_t i = 0; i < r->n_paid; i++) {
		assert(n < M_PAID);
		s->post[n++] = u8(1 + (T0 - r->paid_at[i]) / tick(m));
	}
}

static inline struct m_rec record_pack(const struct m_setup *m, struct record *r)
{
	struct m_rec s = { .held = r->held, .clean_attempts = u8_min(r->clean_attempts, M_ATTEMPTS) };

	s.clean = r->clean_at > T0 ? u8(ticks(m, r->clean_at - T0)) : 0;
	if (r->cert.generation != 0) {
		s.gen = (uint8_t)r->cert.generation;
		s.cert = r->cert.not_after > T0 ? CERT_FRESH : CERT_DUE;
		s.over = r->cert.order_over;
		s.names = strchr(r->cert.names, ' ') != NULL;
		s.dns = !r->cert.method ? 2 : strcmp(r->cert.method, "http-token") != 0;
	}
	for (uint32_t i = 0; i < r->n_proofs && i <= M_PROOFS; i++) {
		const struct record_proof *p = &r->proofs[i];

		s.again[i] = p->again;
		s.proof[s.n_proofs++] = u8(number(p->value) * 2 + number(p->name ? p->name : p->where));
	}
	if (r->job)
		s.job = job_pack(m, r->job);
	/* Only the post that may still be taken back matters to the step. */
	for (uint32_t i = 0; i < r->n_paid; i++)
		s.paid = s.paid || (r->job && r->job->submitted_at == r->paid_at[i]);
	if (m->days)
		posts_pack(m, r, &s);
	return s;
}

/* --- names that are compared for equality only --- */

struct rename {
	uint8_t to[M_NAMES + 1];
	uint8_t n;
	uint8_t max; /* the largest name seen, before renaming */
};

struct renames {
	struct rename ref, key, token;
};

static inline void name_see(struct rename *r, uint8_t *name)
{
	if (*name == 0)
		return;
	assert(*name <= M_NAMES);
	r->max = MAX(r->max, *name);
	if (r->to[*name] == 0)
		r->to[*name] = ++r->n;
	*name = r->to[*name];
}

/* A place and the token in it, in one byte. */
static inline void proof_see(struct rename *r, uint8_t *proof)
{
	uint8_t token = *proof / 2;

	name_see(r, &token);
	*proof = u8(token * 2 + *proof % 2);
}

/* Renames in order of appearance. */
static inline struct renames names_canonical(struct m_state *s)
{
	struct renames r = { .ref = { .n = 0 } };
	uint8_t *const refs[] = { &s->mem.job.ref, &s->disk.job.ref, &s->w.order_ref };
	uint8_t *const keys[] = { &s->mem.job.csr, &s->disk.job.csr, &s->w.order_csr, &s->w.key };
	uint8_t *const tokens[] = { &s->mem.job.token, &s->disk.job.token, &s->w.ca_token, &s->w.web[0],
				    &s->w.web[1],      &s->w.older[0],	   &s->w.older[1] };
	struct m_rec *const recs[] = { &s->mem, &s->disk };

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++)
		name_see(&r.ref, refs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		name_see(&r.key, keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
		name_see(&r.token, tokens[i]);
	for (size_t i = 0; i < ARRAY_SIZE(recs); i++) {
		for (uint8_t p = 0; p < recs[i]->n_proofs; p++)
			proof_see(&r.token, &recs[i]->proof[p]);
	}
	if (s->w.clean) {
		uint8_t proof = u8(s->w.clean - 1);

		proof_see(&r.token, &proof);
		s->w.clean = u8(proof + 1);
	}
	return r;
}

enum name_kind { NAME_REF, NAME_KEY, NAME_TOKEN };

/* A name that nobody uses. */
static inline uint8_t name_fresh(const struct m_state *s, enum name_kind kind)
{
	struct m_state copy = *s;
	struct renames r = names_canonical(&copy);

	switch (kind) {
	case NAME_REF: return u8(r.ref.max + 1);
	case NAME_KEY: return u8(r.key.max + 1);
	case NAME_TOKEN: return u8(r.token.max + 1);
	}
	return 0;
}

/* A pause that ends when a lag may be over: how long it is matters. */
static inline bool is_counting(const struct m_job *j)
{
	return j->phase == PHASE_RESOLVE || (j->order && j->absents);
}

/* The same of a placed order or reissue. */
static inline void placed_canonical(const struct m_setup *m, struct m_rec *r, bool on_disk)
{
	struct m_job *j = &r->job;

	j->submitted = 1;
	r->paid = j->paid_for;
	j->published = 0;
	if (!m->names)
		j->spec = 0;
	if (j->kind == JOB_ORDER || j->absents == 0)
		j->absents = j->absent_age = 0;
	if (j->kind == JOB_ORDER)
		j->posts = 1;
	if (j->phase != PHASE_CHECK)
		j->looked = j->republish = 0;
	if (j->issued)
		j->token = j->token_left = j->looks = j->yielded = j->target = 0;
	/* A restart and a release both go on with the question about the order. */
	if (on_disk || r->held) {
		j->phase = PHASE_WAIT;
		j->looked = j->republish = 0;
	}
	if (r->held)
		j->refusals = 0;
}

/* What a job still holds, but no step will ask for again, is written in one way. */
static inline void job_canonical(const struct m_setup *m, struct m_rec *r, bool on_disk)
{
	struct m_job *j = &r->job;

	if (!j->on)
		*j = (struct m_job){ .on = 0 };
	if (on_disk) {
		memset(r->again, 0, sizeof(r->again));
		j->dns_refused = 0;
	}
	/* How long a pause still is matters only while orders are looked for. On disk, a crash tries both
	 * that it is over and that it is not. */
	if (!m->days && (on_disk ? j->next != 0 : j->next > 2 && !is_counting(j)))
		j->next = 2;
	if (r->held)
		j->next = 0;
	if (on_disk || r->held)
		j->target = 0;
	if (j->order)
		placed_canonical(m, r, on_disk);
}

static inline bool order_lives(const struct m_state *s)
{
	return s->w.order != O_NONE && s->w.order != O_ENDED;
}

static inline void order_canonical(struct m_state *s)
{
	struct m_world *w = &s->w;

	if (w->order == O_ENDED && s->mem.job.ref != w->order_ref && s->disk.job.ref != w->order_ref)
		w->order = O_NONE;
	if (w->order != O_PENDING && w->order != O_APPROVAL)
		w->ca_token = 0;
	if (w->order == O_ENDED)
		w->order_csr = 0;
	if (w->order == O_NONE)
		w->order_ref = w->order_csr = w->order_age = w->kind = 0;
	else if (w->order_ref == 0 || (w->kind == JOB_ORDER && s->mem.job.order && s->disk.job.order))
		w->order_age = M_LAG;
}

static inline void world_canonical(struct m_state *s)
{
	order_canonical(s);
	if (!order_lives(s) && !s->w.plan)
		s->w.ca_dns = 0;
	if (!s->mem.job.on && !s->disk.job.on && s->w.op == OP_NONE && s->w.order == O_NONE)
		s->w.key = 0;
}

/* The same state, written in the one way. */
static inline void state_canonical(const struct m_setup *m, struct m_state *s)
{
	/* A certificate that replaced another is like a first one. */
	if (s->mem.gen == 2 && s->disk.gen == 2)
		s->mem.gen = s->disk.gen = 1;
	/* Configurations that differ in the hash only: it matters whether a job's is the loaded one. */
	if (!specs_differ(m)) {
		s->mem.job.spec ^= s->w.spec;
		s->disk.job.spec ^= s->w.spec;
		s->w.spec = 0;
	}
	/* Asks for one more withdrawal, nothing else. */
	if (!m->yields && !m->leaves && !s->w.clean)
		memset(s->mem.again, 0, sizeof(s->mem.again));
	job_canonical(m, &s->mem, false);
	job_canonical(m, &s->disk, true);
	world_canonical(s);
	(void)names_canonical(s);
}

/* --- time --- */

static inline void job_age(struct m_job *j, int64_t d)
{
	if (!j->on)
		return;
	if (j->next)
		j->next = u8(MAX(j->next - d, 1));
	if (j->absent_age)
		j->absent_age = u8_min(j->absent_age + d, 1 + M_ABSENT_AGE);
}

static inline void posts_age(struct m_rec *r, int64_t d)
{
	struct m_rec old = *r;
	uint8_t n = 0;

	memset(r->post, 0, sizeof(r->post));
	for (uint8_t i = 0; i < M_PAID; i++) {
		if (old.post[i] && old.post[i] - 1 + d < M_DAY)
			r->post[n++] = u8(old.post[i] + d);
	}
	if (r->job.on && r->job.submitted)
		r->job.submitted = u8_min(r->job.submitted + d, 1 + M_DAY);
}

static inline void state_age(const struct m_setup *m, struct m_state *s, int64_t d)
{
	struct m_rec *const recs[] = { &s->mem, &s->disk };

	for (size_t i = 0; i < ARRAY_SIZE(recs); i++) {
		recs[i]->clean = u8(MAX(recs[i]->clean - d, 0));
		job_age(&recs[i]->job, d);
		if (m->days)
			posts_age(recs[i], d);
	}
	if (s->w.order != O_NONE)
		s->w.order_age = u8_min(s->w.order_age + d, M_LAG);
}
