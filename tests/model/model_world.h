/* SPDX-License-Identifier: Apache-2.0 */
/* What happens beside answers: crashes, the CA's own moves, people, others who want the webroot, the passing of time. */
#pragma once

#include "tests/model/model_answers.h"

/* --- crashes --- */

static inline void restart(const struct m_from *f, bool op_done, bool clean_done, bool pause_over)
{
	static const char *const LABELS[2][2] = {
		{ "crash", "crash after the withdrawal" },
		{ "crash after the effect", "crash after the effect and the withdrawal" },
	};
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_RESTART };

	if (op_done)
		effect(&n);
	if (clean_done)
		effect_clean(&n);
	n.s.w.op = n.s.w.op_web = n.s.w.clean = n.s.w.clean_i = n.s.w.clean_hit = n.s.w.away = 0;
	if (f->m->responder)
		n.s.w.web[0] = 0;
	n.s.mem = n.s.disk;
	if (pause_over)
		n.s.mem.job.next = n.s.mem.clean = 0;
	step_and_emit(f, n, LABELS[op_done][clean_done], FAULTY, &ev);
}

static inline void crashes(const struct m_from *f)
{
	bool op = op_has_effect(f->s->w.op), clean = f->s->w.clean && !f->s->w.clean_hit;

	for (int done = 0; done < 4; done++) {
		if (((done & 1) && !op) || ((done & 2) && !clean))
			continue;
		restart(f, done & 1, done & 2, true);
		if (f->s->disk.job.next || f->s->disk.clean)
			restart(f, done & 1, done & 2, false);
	}
}

static inline void ca_goes(const struct m_from *f, uint8_t to, enum m_kind kind, const char *label)
{
	struct m_next n = next_of(f);

	n.s.w.order = to;
	f->emit(f->arg, label, kind, &n);
}

/* Ours is canceled or rejected; a reissue leaves the plan as it was before. */
static inline void ca_ends(const struct m_from *f)
{
	if (f->s->w.kind == JOB_ORDER)
		ca_goes(f, O_ENDED, FAULTY, "CA: the order ends");
	else if (f->s->w.order == O_ISSUED)
		ca_goes(f, O_NONE, FAULTY, "console: another reissue takes the place of ours");
	else
		ca_goes(f, O_NONE, FAULTY, "console: the reissue is canceled");
}

static inline void plan_moves(const struct m_from *f)
{
	struct m_next n = next_of(f);

	if (f->s->w.plan && f->s->w.order == O_NONE) {
		n.s.w.kind = JOB_REISSUE;
		n.s.w.order = O_PENDING;
		n.s.w.ca_token = name_fresh(f->s, NAME_TOKEN);
		f->emit(f->arg, "console: somebody else reissues", FAULTY, &n);
		n = next_of(f);
	}
	if (f->s->w.plan) {
		n.s.w.plan = 0;
		if (n.s.w.kind == JOB_REISSUE)
			n.s.w.order = O_NONE;
		f->emit(f->arg, "CA: the plan is over", FAULTY, &n);
	} else if (f->s->mem.cert != CERT_NONE && !f->s->mem.over) {
		run_outside(&n);
		f->emit(f->arg, "seen: the plan is over", CALM, &n);
	}
}

/* Ours is stale from here on, and no answer says so: somebody asked for a new value in the console, or a request that makes one
 * reached the CA twice. */
static inline void value_changes(const struct m_from *f)
{
	struct m_next n = next_of(f);

	effect_token(&n);
	f->emit(f->arg, "CA: another value", FAULTY, &n);
}

static inline void ca_moves(const struct m_from *f)
{
	bool ours = order_is_ours(f->s);

	switch (f->s->w.order) {
	case O_APPROVAL: ca_goes(f, O_PENDING, CALM, "CA: approved"); break;
	case O_PENDING:
		if (ca_sees(f))
			ca_goes(f, O_VALIDATED, CALM, "CA: validated unasked");
		break;
	case O_VALIDATED:
		if (ours)
			ca_goes(f, O_ISSUED, CALM, "CA: issued");
		break;
	default: break;
	}
	if (f->m->values && ours && names_are_open(f->s))
		value_changes(f);
	if (ours)
		ca_ends(f);
	else if (order_lives(f->s))
		ca_goes(f, O_NONE, CALM, "console: the other reissue is issued or canceled");
	if (f->m->console)
		plan_moves(f);
}

/* --- people, and other domains --- */

static inline void event_move(const struct m_from *f, struct job_event ev, const char *label,
			      enum m_kind kind)
{
	step_and_emit(f, next_of(f), label, kind, &ev);
}

/* With its method the place of the proof changes: who publishes or checks starts over, who rests goes on at once. */
static inline void method_changes(const struct m_from *f, bool op_done)
{
	const struct m_job *j = &f->s->mem.job;
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_RELEASE };

	n.s.w.spec ^= 1;
	if (j->on && !f->s->mem.held && j->next == 0) {
		if (j->phase != PHASE_PUBLISH && j->phase != PHASE_CHECK) {
			f->emit(f->arg, "method changes", FAULTY, &n);
			return;
		}
		n.s.w.spec ^= 1;
		if (op_done)
			effect(&n);
		n.s.w.spec ^= 1;
		n.s.w.op = n.s.w.op_web = 0;
		ev.kind = EV_RESTART;
	}
	step_and_emit(f, n, "method changes", FAULTY, &ev);
}

static inline void configuration(const struct m_from *f)
{
	struct m_next n = next_of(f);

	if (f->m->methods) {
		method_changes(f, false);
		if (op_has_effect(f->s->w.op))
			method_changes(f, true);
		return;
	}
	n.s.w.spec ^= 1;
	f->emit(f->arg, "configuration changes", FAULTY, &n);
}

static inline void site_moves(const struct m_from *f)
{
	struct m_next n = next_of(f);

	for (uint8_t i = 0; i < 2 && !f->m->responder; i++) {
		struct m_next gone = n;

		gone.s.w.web[i] = 0;
		if (f->s->w.web[i] && !place_is_dns(f->m, i))
			f->emit(f->arg, "a site is deployed over the proof", FAULTY, &gone);
	}
	n.s.w.delegated ^= 1;
	if (f->m->dns)
		f->emit(f->arg, "the name is delegated elsewhere", FAULTY, &n);
}

/* What was asked is not awaited, unless a pool thread is at it or it costs money. */
static inline void leave(const struct m_from *f, bool op_done)
{
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_LEAVE };

	if (op_done)
		effect(&n);
	n.s.w.op = n.s.w.op_web = 0;
	n.s.w.away = 1;
	step_and_emit(f, n, "removed from the YAML", FAULTY, &ev);
}

static inline void leaves(const struct m_from *f)
{
	uint8_t op = f->s->w.op;

	if (!f->m->leaves || op == OP_SUBMIT || op == OP_PREPARE || op == OP_PUBLISH || op == OP_INSTALL)
		return;
	leave(f, false);
	if (op_has_effect(op))
		leave(f, true);
}

/* The command first calls off what is under way for a job of which nothing can be at the CA, unless a pool thread is at it. */
static inline void cancel(const struct m_from *f, bool op_done)
{
	const struct m_job *j = &f->s->mem.job;
	struct m_next n = next_of(f);
	struct job_event cancel = { .kind = EV_CANCEL }, restart = { .kind = EV_RESTART };

	if (op_done)
		effect(&n);
	n.s.w.op = n.s.w.op_web = 0;
	run_step(&n, &cancel);
	if (n.s.mem.job.on)
		run_step(&n, &restart);
	if (n.s.mem.job.on && j->next == 0)
		wrong(&n, "a job goes on although it was canceled in time");
	f->emit(f->arg, "a person cancels, what is under way is called off", FAULTY, &n);
}

static inline void cancels(const struct m_from *f)
{
	const struct m_job *j = &f->s->mem.job;
	uint8_t op = f->s->w.op;

	if (!f->m->cancels || !j->on || j->canceled)
		return;
	event_move(f, (struct job_event){ .kind = EV_CANCEL }, "a person cancels", FAULTY);
	if (j->submitted || j->order || op == OP_NONE || op == OP_PREPARE || op == OP_PUBLISH)
		return;
	cancel(f, false);
	if (op_has_effect(op))
		cancel(f, true);
}

static inline void people(const struct m_from *f)
{
	const struct m_state *s = f->s;
	const struct m_job *j = &s->mem.job;

	if (s->mem.held)
		event_move(f, (struct job_event){ .kind = EV_RELEASE }, "released", CALM);
	else if (j->on && j->next)
		event_move(f, (struct job_event){ .kind = EV_RELEASE }, "told to go on at once", FAULTY);
	configuration(f);
	leaves(f);
	cancels(f);
	if (f->m->yields && m_may_yield(f->m, s))
		event_move(f, (struct job_event){ .kind = EV_YIELD }, "another order wants the webroot",
			   FAULTY);
	/* Neither has to do with a method; that world is large enough. */
	if (f->m->methods)
		return;
	site_moves(f);
	if (j->on && s->w.order != O_NONE && s->w.order_ref == j->ref)
		event_move(f,
			   (struct job_event){ .kind = EV_HINT,
					       .order_id = order_id(f),
					       .order_state = order_says(s->w.order) },
			   "hint", FAULTY);
}

static inline void clean_moves(const struct m_from *f)
{
	struct m_next n = next_of(f);
	uint32_t i;

	if (f->s->w.clean == 0) {
		i = m_clean_due(f->m, f->s, 0);
		if (i == DUTY_NONE)
			return;
		n.s.w.clean = u8(1 + f->s->mem.proof[i]);
		n.s.w.clean_i = u8(i);
		f->emit(f->arg, "withdraw the proof", CALM, &n);
		return;
	}
	run_clean_done(&n, FAULT_LOCAL);
	f->emit(f->arg, "withdraw: failed", FAULTY, &n);
	n = next_of(f);
	if (!f->s->w.clean_hit) {
		effect_clean(&n);
		n.s.w.clean_hit = 1;
		/* Who does not share the webroot never puts up what is being withdrawn: the answer may come at once. */
		if (f->m->yields || f->m->leaves) {
			f->emit(f->arg, "withdraw: the file is removed", CALM, &n);
			return;
		}
	}
	run_clean_done(&n, FAULT_NONE);
	f->emit(f->arg, "withdraw: done", CALM, &n);
}

/* --- time --- */

/* Ticks until something is to be done: 0 now, -1 never. */
static inline int64_t next_wake(const struct m_setup *m, const struct m_state *s, const struct decision *d)
{
	int64_t at = INT64_MAX;

	if (s->w.clean != 0 || d->want != WANT_NOTHING)
		return 0;
	if (s->mem.job.on && !s->mem.held && s->w.op == OP_NONE)
		at = s->mem.job.next ? s->mem.job.next - 1 : INT64_MAX;
	if (m_clean_due(m, s, 255) != DUTY_NONE)
		at = MIN(at, s->mem.clean);
	if (at == INT64_MAX)
		return s->w.op != OP_NONE ? 0 : -1;
	return at;
}

/* A month in which nobody did anything: every pause is over, every value has expired. */
static inline void long_pause(const struct m_from *f)
{
	struct m_next n = next_of(f);
	struct m_job *const jobs[] = { &n.s.mem.job, &n.s.disk.job };

	state_age(f->m, &n.s, 200);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (jobs[i]->token_left == TOKEN_ALIVE)
			jobs[i]->token_left = TOKEN_DEAD;
	}
	f->emit(f->arg, "a month passes", FAULTY, &n);
}

static inline void renewal_comes(const struct m_from *f)
{
	struct m_next n = next_of(f);

	n.s.mem.cert = n.s.disk.cert = CERT_DUE;
	/* The order did what it was paid for: the next certificate is a new need. */
	if (n.s.w.order == O_ISSUED)
		n.s.w.order = O_NONE;
	f->emit(f->arg, "the renewal point comes", f->m->plan ? DUE : FAULTY, &n);
}

/* Nothing is to be done, at no time: only right when a certificate waits for its renewal. */
static inline void rest(const struct m_from *f, const struct decision *d)
{
	const struct m_rec *mem = &f->s->mem;
	struct m_next n = next_of(f);

	if (mem->job.on)
		wrong(&n, "a job rests without a wake-up");
	else if (mem->cert != CERT_FRESH)
		wrong(&n, "nothing is installed and nothing will ever happen");
	else if (d->due_at == DUE_NEVER)
		wrong(&n, "a certificate without a renewal date");
	if (n.wrong)
		f->emit(f->arg, "rest", CALM, &n);
	else if (f->s->disk.cert == CERT_FRESH)
		renewal_comes(f);
}

static inline void time_moves(const struct m_from *f)
{
	const struct m_rec *mem = &f->s->mem;
	struct decision d = m_decide(f->m, f->s);
	int64_t wake = next_wake(f->m, f->s, &d);
	struct m_next n = next_of(f);

	if (d.want == WANT_ORDER)
		event_move(f, (struct job_event){ .kind = EV_START }, "an order is wanted", CALM);
	if (d.want == WANT_REISSUE)
		event_move(f, (struct job_event){ .kind = EV_START, .job_kind = JOB_REISSUE },
			   "a reissue is wanted", CALM);
	if (mem->job.on && !mem->held && mem->job.next == 1 && f->s->w.op == OP_NONE)
		event_move(f, (struct job_event){ .kind = EV_WAKE }, "wake", CALM);
	if (wake > 0) {
		state_age(f->m, &n.s, wake);
		f->emit(f->arg, "time passes", CALM, &n);
	}
	if (wake == -1 && !mem->held)
		rest(f, &d);
	long_pause(f);
}

/* A domain that is not in the YAML only removes its proofs. */
static inline void away_moves(const struct m_from *f)
{
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_RESTART };

	n.s.w.away = 0;
	step_and_emit(f, n, "back in the YAML", CALM, &ev);
}

/* Every successor of a state. */
static inline void all_moves(const struct m_from *f)
{
	crashes(f);
	ca_moves(f);
	clean_moves(f);
	if (f->s->w.away) {
		away_moves(f);
		return;
	}
	answers(f);
	people(f);
	time_moves(f);
}
