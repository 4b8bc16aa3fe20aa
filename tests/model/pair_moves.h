/* SPDX-License-Identifier: Apache-2.0 */
/* What can happen to two domains that share something. A move of one of them is made by the code of tests/model that makes it for
 * one; then the runner's rules about what is shared follow: whose turn it is, who lets whom in, what the day's orders allow. */
#pragma once

#include "tests/model/model_world.h"
#include "tests/model/pair_state.h"

/* Kinds of moves beside FAULTY and CALM: it helps this domain. Somebody releases it, or the CA sees its proof: what may never
 * happen, and must not keep the other one waiting. */
#define HELPS(i) (1u << (i))

typedef void p_emit_fn(void *arg, const char *label, enum m_kind kind, uint32_t helps, struct p_next *n);

struct p_from {
	const struct p_setup *p;
	const struct p_state *s;
	p_emit_fn *emit;
	void *arg;
	unsigned who; /* whose move it is */
	uint32_t helps;
};

/* --- what follows a step of one: the runner's carry_on() --- */

static inline void after_step(struct p_next *n, unsigned i);

static inline struct m_next part_of(const struct p_next *n, unsigned i)
{
	return (struct m_next){ .m = &n->p->m,
				.s = n->s.d[i],
				.allowed_in = allowed_at(n->p, &n->s, i, true) - T0 };
}

/* What one placed is counted as the CA counts: true windows. */
static inline void count_placed(struct p_next *n, const struct m_state *was, const struct m_state *is)
{
	unsigned placed = ages_count(n->s.placed);

	if (order_lives(was) || !order_lives(is) || n->p->max_per_day == 0)
		return;
	if (placed >= n->p->max_per_day)
		p_wrong(n, "more orders are placed within 24 hours than allowed");
	assert(placed < P_POSTS);
	n->s.placed[placed] = 1;
}

static inline void keep_ledger(struct p_next *n, const struct m_next *part)
{
	_cleanup_(budget_freep) struct budget *b = NULL;

	if (n->p->max_per_day == 0 || (!part->spend_at && !part->refund_at))
		return;
	b = budget_make(n->p, &n->s);
	if (part->refund_at)
		budget_refund(b, part->refund_at);
	if (part->spend_at)
		budget_spend(b, part->spend_at);
	budget_pack(n->p, b, &n->s);
}

/* There is one file. Whoever's turn it is replaces what is there. */
static inline void keep_file(struct p_next *n, unsigned i, bool was_there)
{
	struct m_world *other = &n->s.d[1 - i].w;

	if (was_there || n->s.d[i].w.web[0] == 0 || other->web[0] == 0)
		return;
	if (n->s.turn[1 - i] == TURN_HAS)
		p_wrong(n, "a proof is replaced while it is its turn");
	other->web[0] = 0;
}

/* Takes over what a move made of i, without what the runner does about it. */
static inline void absorb(struct p_next *n, unsigned i, const struct m_next *part)
{
	struct m_state was = n->s.d[i];

	n->s.d[i] = part->s;
	if (part->wrong)
		p_wrong(n, part->wrong);
	keep_ledger(n, part);
	count_placed(n, &was, &part->s);
	keep_file(n, i, was.w.web[0] == part->s.w.web[0]);
}

static inline void step_of(struct p_next *n, unsigned i, struct job_event *ev)
{
	struct m_next part = part_of(n, i);

	run_step(&part, ev);
	absorb(n, i, &part);
}

/* places_yield() */
static inline void yields(struct p_next *n, unsigned i)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct p_turns t;
	bool should;

	if (n->s.turn[i] != TURN_HAS || n->s.turn[1 - i] != TURN_WAITS)
		return;
	r = record_make(&n->p->m, &n->s.d[i].mem);
	turns_make(&n->s, &t);
	should = turn_should_yield(&t.who[i], r);
	turns_pack(&t, &n->s);
	if (should)
		step_of(n, i, &(struct job_event){ .kind = EV_YIELD });
}

/* places_free() */
static inline void frees(struct p_next *n, unsigned i)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct p_turns t;

	if (n->s.turn[i] != TURN_HAS || n->s.d[i].w.op == OP_PUBLISH)
		return;
	r = record_make(&n->p->m, &n->s.d[i].mem);
	turns_make(&n->s, &t);
	if (turn_is_done(&t.who[i], r))
		(void)turns_end(&t.t, &t.who[i]);
	turns_pack(&t, &n->s);
}

/* start_publish(): who has to wait asks whether it can be let in. */
static inline void queues(struct p_next *n, unsigned i)
{
	bool other_waited = n->s.turn[1 - i] == TURN_WAITS;
	struct p_turns t;
	bool taken;

	if (n->s.d[i].w.op != OP_PUBLISH || n->s.turn[i] != TURN_NONE || n->p->m.responder)
		return;
	turns_make(&n->s, &t);
	taken = turns_take(&t.t, &t.who[i], "W0");
	turns_pack(&t, &n->s);
	if (taken && other_waited)
		p_wrong(n, "one is let in again while the other one waits");
	if (!taken)
		after_step(n, 1 - i);
}

static inline void after_step(struct p_next *n, unsigned i)
{
	yields(n, i);
	queues(n, i);
	frees(n, i);
}

/* --- moves of one of the two --- */

static inline void on_part(void *arg, const char *label, enum m_kind kind, struct m_next *part)
{
	const struct p_from *f = arg;
	struct p_next n = { .p = f->p, .s = *f->s };

	if (f->s->d[f->who].w.clean && f->s->d[f->who].w.web[0] && !part->s.w.web[0])
		n.s.raced[f->who] = 1;
	absorb(&n, f->who, part);
	after_step(&n, f->who);
	f->emit(f->arg, label, kind, f->helps, &n);
}

static inline struct m_from m_from_of(struct p_from *f)
{
	return (struct m_from){ .m = &f->p->m,
				.s = &f->s->d[f->who],
				.emit = on_part,
				.arg = f,
				.allowed_in = allowed_at(f->p, f->s, f->who, true) - T0 };
}

/* Losses and refusals that leave something behind for the other one: a proof, a turn, a place among the day's orders. */
static const struct fault_row P_FAULTS[] = {
	{ OP_SUBMIT, FAULT_UNSENT, false, "submit: not sent" },
	{ OP_SUBMIT, FAULT_UNCLEAR, false, "submit: unclear, not placed" },
	{ OP_SUBMIT, FAULT_UNCLEAR, true, "submit: unclear, but placed" },
	{ OP_SUBMIT, FAULT_REFUSED, false, "submit: refused" },
	{ OP_SUBMIT, FAULT_AUTH, false, "submit: key not accepted" },
	{ OP_FIND, FAULT_UNCLEAR, false, "find: unclear" },
	{ OP_FIND, FAULT_REFUSED, false, "find: refused" },
	{ OP_INFO, FAULT_UNCLEAR, false, "info: unclear" },
	{ OP_INFO, FAULT_AUTH, false, "info: key not accepted" },
	{ OP_TOKEN, FAULT_UNCLEAR, true, "token: a new value, but the answer is lost" },
	{ OP_PUBLISH, FAULT_LOCAL, false, "publish: disk full" },
	{ OP_PUBLISH, FAULT_LOCAL, true, "publish: failed after the file was written" },
	{ OP_CHECK, FAULT_AUTH, false, "check: key not accepted" },
};

static inline void part_faults(const struct p_from *f, const struct m_from *m)
{
	if (f->p->ops && !(f->p->ops & 1u << m->s->w.op))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(P_FAULTS); i++) {
		struct m_next n = next_of(m);

		if (P_FAULTS[i].op != m->s->w.op)
			continue;
		if (P_FAULTS[i].after_effect)
			effect(&n);
		answer_fault(m, n, P_FAULTS[i].label, FAULTY, P_FAULTS[i].fault, 0);
	}
}

static inline void submitted(const struct m_from *m, uint8_t order, const char *label)
{
	struct m_next n = next_of(m);
	struct job_event ev = { .kind = EV_DONE, .order_id = ID_ORDER, .order_state = ORDER_PENDING };
	_cleanup_free_ char *token = NULL;

	place_order(&n, order);
	if (order == O_ISSUED) {
		ev.order_state = ORDER_ISSUED;
		ev.certificate_id = ID_CERTIFICATE;
	} else {
		ev.dcv_token = token = named('T', n.s.w.ca_token);
		ev.dcv_token_expires_at = token_time(TOKEN_ALIVE);
	}
	answer(m, n, label, CALM, ev);
}

/* Issued at once where no names are to be proven, or where the request token is seen. */
static inline void part_submit(struct p_from *f, const struct m_from *m)
{
	const struct m_job *j = &m->s->mem.job;

	if (f->p->instant_answer) {
		submitted(m, O_ISSUED, "submit: issued");
		return;
	}
	submitted(m, O_PENDING, "submit: placed");
	if (!j->instant || !is_shown(m, j->token, false))
		return;
	f->helps = HELPS(f->who);
	submitted(m, O_ISSUED, "submit: the request token is seen, issued");
	f->helps = 0;
}

static inline void part_info(const struct m_from *m)
{
	struct job_event ev = { .kind = EV_DONE,
				.order_id = ID_ORDER,
				.order_state = order_says(m->s->w.order),
				.order_word = "rejected",
				.certificate_id = m->s->w.order == O_ISSUED ? ID_CERTIFICATE : 0 };

	answer(m, next_of(m), "info", CALM, ev);
}

static inline void part_token(const struct m_from *m)
{
	struct m_next n = next_of(m);
	struct job_event ev = { .kind = EV_DONE, .dcv_token_expires_at = token_time(TOKEN_ALIVE) };
	_cleanup_free_ char *token = NULL;

	if (!names_are_open(m->s)) {
		answer_fault(m, n, "token: refused, no proof is needed", CALM, FAULT_REFUSED, 0);
		return;
	}
	effect(&n);
	ev.dcv_token = token = named('T', n.s.w.ca_token);
	answer(m, n, "token", CALM, ev);
}

/* A name that its web server serves from another folder is never seen. */
static inline void part_check(struct p_from *f, const struct m_from *m)
{
	struct m_next n = next_of(m);
	uint8_t order = m->s->w.order;

	if (!order_lives(m->s) || order == O_ISSUED)
		answer_fault(m, n, "check: refused, too late", CALM, FAULT_REFUSED, 0);
	if (order == O_PENDING)
		answer(m, n, "check: not yet", CALM,
		       (struct job_event){ .kind = EV_DONE, .order_state = ORDER_PENDING });
	if (order == O_VALIDATED || (order == O_PENDING && ca_sees(m))) {
		f->helps = order == O_PENDING ? HELPS(f->who) : 0;
		n.s.w.order = O_VALIDATED;
		answer(m, n, "check: validated", CALM,
		       (struct job_event){
			       .kind = EV_DONE, .validated = true, .order_state = ORDER_PENDING });
		f->helps = 0;
	}
}

static inline void part_look(struct p_from *f, const struct m_from *m)
{
	answer_fault(m, next_of(m), "look: not visible", CALM, FAULT_UNCLEAR, 0);
	if (!is_shown(m, m->s->mem.job.token, false))
		return;
	f->helps = HELPS(f->who);
	answers_local(m);
	f->helps = 0;
}

static inline void part_prepare(struct p_from *f, const struct m_from *m)
{
	if (f->p->stuck)
		answer_fault(m, next_of(m), "prepare: no key can be made", CALM, FAULT_LOCAL, 0);
	f->helps = f->p->stuck ? HELPS(f->who) : 0;
	answers_local(m);
	f->helps = 0;
}

static inline void part_answers(struct p_from *f, const struct m_from *m)
{
	switch ((enum job_op)m->s->w.op) {
	case OP_SUBMIT: part_submit(f, m); break;
	case OP_FIND: answers_find(m); break;
	case OP_INFO: part_info(m); break;
	case OP_TOKEN: part_token(m); break;
	case OP_CHECK: part_check(f, m); break;
	case OP_LOOK: part_look(f, m); break;
	case OP_EARLY: answers_early(m); break;
	case OP_DOWNLOAD: answers_download(m); break;
	case OP_PREPARE: part_prepare(f, m); break;
	case OP_PUBLISH:
	case OP_INSTALL: answers_local(m); break;
	case OP_METHOD:
	case OP_TARGETS:
	case OP_NONE:
	case OP_NR: return;
	}
	part_faults(f, m);
}

/* That names are proven helps; that what is proven is issued is the CA's duty. */
static inline void part_ca(struct p_from *f, const struct m_from *m)
{
	if (m->s->w.order == O_PENDING && ca_sees(m)) {
		f->helps = HELPS(f->who);
		ca_goes(m, O_VALIDATED, CALM, "CA: validated unasked");
		f->helps = 0;
	}
	if (m->s->w.order == O_VALIDATED)
		ca_goes(m, O_ISSUED, CALM, "CA: issued");
	if (order_is_ours(m->s) && m->s->w.order != O_ISSUED && !f->p->ops)
		ca_goes(m, O_ENDED, FAULTY, "CA: the order ends");
}

static inline void part_people(struct p_from *f, const struct m_from *m)
{
	const struct m_rec *mem = &m->s->mem;

	f->helps = HELPS(f->who);
	if (mem->held)
		event_move(m, (struct job_event){ .kind = EV_RELEASE }, "released", CALM);
	f->helps = 0;
	if (!mem->held && mem->job.on && mem->job.next && !f->p->ops)
		event_move(m, (struct job_event){ .kind = EV_RELEASE }, "told to go on at once", FAULTY);
}

static inline void part_decide(const struct p_from *f, struct decision *ret)
{
	struct cfg_domain spec = spec_make(&f->p->m, 0);
	_cleanup_(record_freep) struct record *r = record_make(&f->p->m, &f->s->d[f->who].mem);
	struct view v = { .spec = &spec, .rec = r, .now = T0, .cert_life = LIFE };

	v.order_allowed_at = allowed_at(f->p, f->s, f->who, false);
	decide(&v, ret);
}

static inline void part_moves(struct p_from *f)
{
	struct m_from m = m_from_of(f);
	const struct m_job *j = &m.s->mem.job;
	struct decision d;

	if (!is_queued(f->s, f->who))
		part_answers(f, &m);
	part_ca(f, &m);
	clean_moves(&m);
	part_people(f, &m);
	part_decide(f, &d);
	if (d.want == WANT_ORDER)
		event_move(&m, (struct job_event){ .kind = EV_START }, "an order is wanted", CALM);
	if (j->on && !m.s->mem.held && j->next == 1 && m.s->w.op == OP_NONE)
		event_move(&m, (struct job_event){ .kind = EV_WAKE }, "wake", CALM);
}

/* --- both --- */

/* What is under way had its effect, or not; the daemon knows what is on disk, and nothing else. */
static inline void dies(struct p_next *n, unsigned i, unsigned done, bool pause_over)
{
	struct m_next part = part_of(n, i);

	if (done & 1)
		effect(&part);
	if (done & 2)
		effect_clean(&part);
	part.s.w.op = part.s.w.op_web = part.s.w.clean = part.s.w.clean_i = part.s.w.clean_hit = 0;
	absorb(n, i, &part);
	n->s.d[i].mem = n->s.d[i].disk;
	if (pause_over)
		n->s.d[i].mem.job.next = n->s.d[i].mem.clean = 0;
}

static inline void reads_ledger(struct p_next *n)
{
	_cleanup_(budget_freep) struct budget *b = NULL;

	if (n->p->max_per_day == 0)
		return;
	memset(n->s.post, 0, sizeof(n->s.post));
	b = budget_make(n->p, &n->s);
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_(record_freep) struct record *r = record_make(&n->p->m, &n->s.d[i].disk);

		for (uint32_t k = 0; k < r->n_paid; k++)
			budget_spend(b, r->paid_at[k]);
	}
	budget_pack(n->p, b, &n->s);
}

/* done: two bits for each domain. The domains are admitted in the order of their names. */
static inline void restarts(const struct p_from *f, unsigned done, bool pause_over)
{
	struct p_next n = { .p = f->p, .s = *f->s };

	dies(&n, 0, done & 3, pause_over);
	dies(&n, 1, done >> 2, pause_over);
	memset(n.s.turn, 0, sizeof(n.s.turn));
	reads_ledger(&n);
	for (unsigned i = 0; i < 2; i++) {
		step_of(&n, i, &(struct job_event){ .kind = EV_RESTART });
		after_step(&n, i);
	}
	f->emit(f->arg, "crash", FAULTY, 0, &n);
}

static inline unsigned may_be_done(const struct p_state *s, unsigned i)
{
	const struct m_world *w = &s->d[i].w;

	return (op_has_effect(w->op) && !is_queued(s, i)) | (unsigned)(w->clean && !w->clean_hit) << 1;
}

static inline void p_crashes(const struct p_from *f)
{
	unsigned may = may_be_done(f->s, 0) | may_be_done(f->s, 1) << 2;
	bool rests = f->s->d[0].disk.job.next || f->s->d[0].disk.clean || f->s->d[1].disk.job.next ||
		     f->s->d[1].disk.clean;

	for (unsigned done = 0; done < 16; done++) {
		if (done & ~may)
			continue;
		restarts(f, done, false);
		if (rests && !f->p->m.days) /* else what is left of a pause is known */
			restarts(f, done, true);
	}
}

/* Ticks until i does something by itself: 0 now, -1 never. Who waits for its turn does nothing. */
static inline int64_t part_wake(const struct p_from *f)
{
	const struct m_state *s = &f->s->d[f->who];
	struct m_state idle = *s;
	struct decision d;
	int64_t at;

	if (is_queued(f->s, f->who))
		idle.w.op = OP_NONE;
	part_decide(f, &d);
	at = next_wake(&f->p->m, &idle, &d);
	if (at == -1 && d.reason == REASON_BUDGET)
		at = ticks(&f->p->m, d.due_at - T0);
	return at;
}

static inline void p_time(struct p_from *f)
{
	struct p_next n = { .p = f->p, .s = *f->s };
	int64_t wake[2];

	for (f->who = 0; f->who < 2; f->who++)
		wake[f->who] = part_wake(f);
	if (wake[0] == 0 || wake[1] == 0)
		return;
	if (wake[0] > 0 || wake[1] > 0) {
		p_age(f->p, &n.s, wake[0] < 0 ? wake[1] : wake[1] < 0 ? wake[0] : MIN(wake[0], wake[1]));
		f->emit(f->arg, "time passes", CALM, 0, &n);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (!p_is_settled(f->p, f->s, i) && !f->s->d[i].mem.held)
			p_wrong(&n, is_queued(f->s, i) ? "one waits for a turn that nobody has to end"
						       : "a domain is forgotten: nothing will ever happen");
	}
	if (n.wrong)
		f->emit(f->arg, "rest", CALM, 0, &n);
}

/* Every successor of a state. */
static inline void p_moves(struct p_from *f)
{
	if (!f->p->ops)
		p_crashes(f);
	for (f->who = 0; f->who < 2; f->who++)
		part_moves(f);
	p_time(f);
}

/* --- what must be true of every state --- */

/* Whoever asks the world to look has the turn, and nobody else's file is there. */
static inline const char *turns_wrong(const struct p_state *s)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct m_state *d = &s->d[i];

		if (d->w.op != OP_LOOK && d->w.op != OP_CHECK)
			continue;
		if (s->turn[i] != TURN_HAS)
			return "the CA is asked to look, and it is not its turn";
		if (s->d[1 - i].w.web[0])
			return "the CA is asked to look, and another's proof stands there";
		if (d->w.web[0] != d->mem.job.token && !s->raced[i])
			return "the CA is asked to look, and the proof is not there";
	}
	if (s->turn[0] == TURN_HAS && s->turn[1] == TURN_HAS)
		return "both have the turn";
	if ((s->turn[0] == TURN_WAITS && s->turn[1] != TURN_HAS) ||
	    (s->turn[1] == TURN_WAITS && s->turn[0] != TURN_HAS))
		return "one waits, and nobody has the turn";
	return NULL;
}

static inline const char *p_state_wrong(const struct p_setup *p, const struct p_state *s)
{
	const char *what = NULL;

	for (unsigned i = 0; i < 2 && !what; i++)
		what = state_wrong(&p->m, &s->d[i]);
	return what || p->m.responder ? what : turns_wrong(s);
}
