/* SPDX-License-Identifier: Apache-2.0 */
/* The runner of the model: hands an event to the shipped step, makes the record durable when it is told to, then
 * starts the operation. Every rule that concerns one step is checked here; what is wrong is a text in m_next.wrong. */
#pragma once

#include "daemon/core/outside.h"
#include "tests/model/model_state.h"

/* A successor under construction. */
struct m_next {
	const struct m_setup *m;
	struct m_state s;
	bool budget_spent;
	int64_t allowed_in; /* seconds until the day's orders have room, when others share them */
	int64_t spend_at;   /* what the last step wants of the ledger */
	int64_t refund_at;
	bool submits;	   /* the last step started a submit */
	const char *wrong; /* NULL: nothing */
};

/* How long the budget makes an order wait, in ticks. */
#define BUDGET_PAUSE 4

/* How often each move of the table was taken, over all runs. */
static uint64_t m_moves[PHASE_NR][PHASE_NR];

static inline void wrong(struct m_next *n, const char *what)
{
	if (!n->wrong)
		n->wrong = what;
}

static inline const char *spec_webroot(const struct m_setup *m, uint8_t spec)
{
	if (m->responder)
		return NULL;
	return spec && m->second_webroot ? "W1" : "W0";
}

static inline uint8_t web_index(const struct m_setup *m, uint8_t spec)
{
	return spec && m->second_webroot;
}

static inline struct cfg_domain spec_make(const struct m_setup *m, uint8_t spec)
{
	static const char *const names[] = { "a.example", "b.example" };
	static const struct cfg_dns_provider provider = { .name = "P" };
	bool dns = spec_is_dns(m, spec);

	return (struct cfg_domain){
		.name = "a.example",
		.common_name = "a.example",
		.names = names,
		.n_names = m->names && spec ? 2 : 1,
		.product = "ssl_dv",
		.dcv = { .method = dns ? CFG_DCV_DNS_TXT_TOKEN : CFG_DCV_HTTP_TOKEN,
			 .webroot = dns ? NULL : spec_webroot(m, spec),
			 .responder = m->responder,
			 .provider = dns ? &provider : NULL,
			 .label = "_dnsauth" },
		.spec_hash = spec + 1u,
	};
}

/* Where OP_PUBLISH puts the proof. */
static inline uint8_t publish_place(const struct m_setup *m, const struct m_state *s)
{
	if (spec_is_dns(m, s->w.spec))
		return s->mem.job.target ? u8(s->mem.job.target - 1) : 0;
	return web_index(m, s->w.spec);
}

/* The tables of moves say what may follow; one step may make two moves when the first one has nothing to start. */
static inline void check_moves(struct m_next *n, const struct m_job *from, const struct m_job *to,
			       enum job_event_kind kind)
{
	enum job_phase a = (enum job_phase)from->phase, b = (enum job_phase)to->phase;

	if (!to->on)
		return;
	if (!from->on) {
		if (b != PHASE_PREPARE)
			wrong(n, "a job begins in another phase than prepare");
		return;
	}
	if (a == b)
		return;
	if (job_may_go(a, b)) {
		m_moves[a][b]++;
	} else if (job_may_go(a, PHASE_SUBMIT) && job_may_go(PHASE_SUBMIT, b)) {
		m_moves[a][PHASE_SUBMIT]++;
		m_moves[PHASE_SUBMIT][b]++;
	} else if ((kind != EV_RESTART && kind != EV_RELEASE) || b != PHASE_WAIT) {
		wrong(n, "a move that the table does not have");
	}
}

static inline bool lists_proof(const struct m_rec *r, uint8_t token, uint8_t place)
{
	for (uint8_t i = 0; i < r->n_proofs; i++) {
		if (r->proof[i] == token * 2 + place)
			return true;
	}
	return false;
}

static inline void check_ledger(struct m_next *n, const struct job_update *u)
{
	const struct m_rec *d = &n->s.disk;
	bool must_pay = n->s.mem.job.kind == JOB_ORDER || n->s.mem.names < n->s.mem.job.spec;

	if (n->m->names && d->job.paid_for != must_pay)
		wrong(n, "the record is wrong about what costs money");
	if (d->job.paid_for && (u->spend_at != T0 || !d->paid))
		wrong(n, "submit is started without an entry in the ledger of paid orders");
	if (!d->job.paid_for && (u->spend_at != 0 || d->paid))
		wrong(n, "a free reissue is entered in the ledger of paid orders");
	if (d->job.paid_for && n->budget_spent)
		wrong(n, "submit is started although the budget is spent");
}

static inline void check_submit(struct m_next *n, const struct job_update *u)
{
	const struct m_job *d = &n->s.disk.job;
	uint8_t place = web_index(n->m, n->s.w.spec);

	if (!u->persist)
		wrong(n, "submit is started without making the record durable");
	if (!d->on || !d->ref || !d->csr || !d->submitted || d->ref != n->s.mem.job.ref)
		wrong(n, "submit is started while reference, csr or submitted_at is not on disk");
	if (d->canceled)
		wrong(n, "submit is started although a person canceled it");
	if (n->m->instant && d->instant &&
	    (d->yielded || d->token_left == TOKEN_DEAD ||
	     (!n->m->responder && !lists_proof(&n->s.disk, d->token, place))))
		wrong(n, "submit counts on a proof that may be gone");
	check_ledger(n, u);
}

static inline void check_refund(struct m_next *n, const struct m_job *was)
{
	if (!was->on || !was->submitted || n->s.mem.job.submitted)
		wrong(n, "a post is taken back that nobody made");
	if (was->on && !was->paid_for)
		wrong(n, "a post is taken back that nobody paid for");
}

/* What was posted, and what is known of it. */
static inline void check_posts(struct m_next *n, const struct m_job *was, const struct job_update *u)
{
	const struct m_job *j = &n->s.mem.job;

	if (u->start == OP_SUBMIT)
		check_submit(n, u);
	else if (u->spend_at)
		wrong(n, "money is spent without a submit");
	if (u->refund_at)
		check_refund(n, was);
	if (was->on && was->submitted && j->on && !j->submitted && was->ref == j->ref && !u->persist)
		wrong(n, "submitted_at is forgotten in memory only");
}

static inline void check_installed(struct m_next *n, const struct m_rec *before, const struct job_event *ev)
{
	const struct m_rec *r = &n->s.mem;

	if (ev->kind != EV_DONE || ev->op != OP_INSTALL)
		wrong(n, "called installed without an installation");
	if (r->job.on || r->cert != CERT_FRESH || r->gen != before->gen + 1 || r->over)
		wrong(n, "installed, but the record does not say so");
}

/* A job ends with a certificate, with a person, or because the plan that it was to reissue is over. */
static inline void check_end(struct m_next *n, const struct m_rec *before, const struct job_event *ev,
			     const struct job_update *u)
{
	bool over = before->job.kind == JOB_REISSUE && !n->s.w.plan && n->s.mem.over;

	if (u->installed) {
		check_installed(n, before, ev);
		return;
	}
	if (!before->job.on || n->s.mem.job.on)
		return;
	if (!n->s.mem.held && !over)
		wrong(n, "a job is given up, and nothing keeps the next one from being bought");
	if (n->s.w.op != OP_NONE)
		wrong(n, "a job ends while its operation is under way");
}

static inline void check_update(struct m_next *n, const struct m_rec *before, const struct job_event *ev,
				const struct job_update *u)
{
	const struct m_job *j = &n->s.mem.job;

	check_posts(n, &before->job, u);
	check_end(n, before, ev, u);
	if (u->start && (n->s.mem.held || !j->on || j->next != 0))
		wrong(n, "an operation is started while the job rests");
}

/* One step, with what the runner does about it. */
static inline void run_step(struct m_next *n, struct job_event *ev)
{
	struct cfg_domain spec = spec_make(n->m, n->s.w.spec);
	struct job_env env = { .spec = &spec,
			       .tempo = n->m->tempo,
			       .look = n->m->look,
			       .instant = n->m->instant,
			       .plan_life = 365 * DAY,
			       .now = T0,
			       .rnd = n->m->rnd };
	_cleanup_(record_freep) struct record *r = record_make(n->m, &n->s.mem);
	_cleanup_free_ char *fresh = NULL;
	struct m_rec before = n->s.mem;
	struct job_update u;

	fresh = named('R', name_fresh(&n->s, NAME_REF));
	env.fresh_reference = fresh;
	env.order_allowed_at = T0 + (n->budget_spent ? BUDGET_PAUSE * tick(n->m) : n->allowed_in);
	job_step(r, &env, ev, &u);
	n->s.mem = record_pack(n->m, r);
	if (u.persist)
		n->s.disk = n->s.mem;
	check_moves(n, &before.job, &n->s.mem.job, ev->kind);
	check_update(n, &before, ev, &u);
	n->submits = u.start == OP_SUBMIT;
	n->spend_at = u.spend_at;
	n->refund_at = u.refund_at;
	if (u.start == OP_NONE)
		return;
	if (n->s.w.op != OP_NONE)
		wrong(n, "a second operation is started");
	n->s.w.op = (uint8_t)u.start;
	n->s.w.op_web = u.start == OP_PUBLISH ? publish_place(n->m, &n->s) : 0;
}

static inline struct decision m_decide(const struct m_setup *m, const struct m_state *s)
{
	struct cfg_domain spec = spec_make(m, s->w.spec);
	_cleanup_(record_freep) struct record *r = record_make(m, &s->mem);
	struct view v = { .spec = &spec, .rec = r, .now = T0, .order_allowed_at = T0, .cert_life = LIFE };
	struct decision d;

	decide(&v, &d);
	return d;
}

/* Index of the proof that is to be withdrawn at that time (ticks from now), or DUTY_NONE. */
static inline uint32_t m_clean_due(const struct m_setup *m, const struct m_state *s, int64_t at)
{
	_cleanup_(record_freep) struct record *r = record_make(m, &s->mem);

	return duty_clean_due(r, T0 + at * tick(m));
}

/* May others have the place now? As the runner asks it. */
static inline bool m_may_yield(const struct m_setup *m, const struct m_state *s)
{
	_cleanup_(record_freep) struct record *r = record_make(m, &s->mem);

	return job_may_yield(r);
}

/* Order info of the installed certificate: the plan is over. */
static inline void run_outside(struct m_next *n)
{
	_cleanup_(record_freep) struct record *r = record_make(n->m, &n->s.mem);
	struct job_env env = { .tempo = n->m->tempo, .now = T0, .rnd = n->m->rnd };
	struct outside o = { .order_state = ORDER_ENDED, .order_word = "canceled" };
	struct job_update u = { 0 };

	outside_learn(r, &env, &o, &u);
	n->s.mem = record_pack(n->m, r);
	if (u.persist)
		n->s.disk = n->s.mem;
}

static inline void run_clean_done(struct m_next *n, enum fault f)
{
	_cleanup_(record_freep) struct record *r = record_make(n->m, &n->s.mem);
	struct job_env env = { .tempo = n->m->tempo, .now = T0, .rnd = n->m->rnd };
	struct outcome o = { .fault = f, .code = "io", .message = "no" };
	struct job_update u = { 0 };
	uint8_t i = n->s.w.clean_i;

	if (i >= n->s.mem.n_proofs || n->s.mem.proof[i] != n->s.w.clean - 1)
		wrong(n, "the withdrawn proof moved in the list");
	else
		duty_clean_done(r, i, &env, &o, &u);
	n->s.mem = record_pack(n->m, r);
	if (u.persist)
		n->s.disk = n->s.mem;
	n->s.w.clean = n->s.w.clean_i = n->s.w.clean_hit = 0;
}
