/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can happen next: answers (true, lost before or after their effect, refused), crashes, the CA's own
 * moves, the passing of time, people. A move is calm when it is no fault: from every state, calm moves alone must be able to
 * lead to an installed certificate. */
#pragma once

#include "tests/model/model_step.h"

enum m_kind { FAULTY, CALM };

typedef void m_emit_fn(void *arg, const char *label, enum m_kind kind, struct m_next *n);

struct m_from {
	const struct m_setup *m;
	const struct m_state *s;
	m_emit_fn *emit;
	void *arg;
};

static inline struct m_next next_of(const struct m_from *f)
{
	return (struct m_next){ .m = f->m, .s = *f->s };
}

/* --- effects of operations --- */

static inline bool order_lives(const struct m_state *s)
{
	return s->w.order != O_NONE && s->w.order != O_ENDED;
}

static inline void place_order(struct m_next *n, uint8_t state)
{
	struct m_world *w = &n->s.w;
	const struct m_job *j = &n->s.mem.job;

	if (order_lives(&n->s))
		wrong(n, "a second order is placed for the same need");
	if (w->key != j->csr)
		wrong(n, "an order is placed for a key that is not there any more");
	w->order = state;
	w->order_ref = j->ref;
	w->order_csr = j->csr;
	w->order_age = 0;
	w->ca_token = name_fresh(&n->s, NAME_TOKEN);
}

static inline void effect_token(struct m_next *n)
{
	if (n->s.w.order != O_NONE)
		n->s.w.ca_token = name_fresh(&n->s, NAME_TOKEN);
}

static inline void effect(struct m_next *n)
{
	struct m_world *w = &n->s.w;
	const struct m_job *j = &n->s.mem.job;

	switch ((enum job_op)w->op) {
	case OP_PREPARE: w->key = name_fresh(&n->s, NAME_KEY); break;
	case OP_SUBMIT: place_order(n, O_PENDING); break;
	case OP_TOKEN: effect_token(n); break;
	case OP_PUBLISH: w->web[w->op_web] = j->token; break;
	case OP_INSTALL:
	case OP_NONE:
	case OP_FIND:
	case OP_INFO:
	case OP_LOOK:
	case OP_CHECK:
	case OP_DOWNLOAD:
	case OP_NR: break;
	}
}

static inline bool op_has_effect(uint8_t op)
{
	return op == OP_PREPARE || op == OP_SUBMIT || op == OP_TOKEN || op == OP_PUBLISH;
}

static inline void effect_clean(struct m_next *n)
{
	struct m_world *w = &n->s.w;
	uint8_t *web = &w->web[(w->clean - 1) % 2];

	if (*web == (w->clean - 1) / 2)
		*web = 0;
}

/* --- answers --- */

/* A step that would spend money is also taken on a day on which no more may be spent. */
static inline void step_and_emit(const struct m_from *f, struct m_next n, const char *label, enum m_kind kind,
				 struct job_event *ev)
{
	struct m_next poor = n;

	run_step(&n, ev);
	f->emit(f->arg, label, kind, &n);
	if (!n.submits)
		return;
	poor.budget_spent = true;
	run_step(&poor, ev);
	f->emit(f->arg, label, FAULTY, &poor);
}

/* The operation is over; the step hears ev. */
static inline void answer(const struct m_from *f, struct m_next n, const char *label, enum m_kind kind,
			  struct job_event ev)
{
	ev.op = (enum job_op)n.s.w.op;
	n.s.w.op = OP_NONE;
	n.s.w.op_web = 0;
	step_and_emit(f, n, label, kind, &ev);
}

static inline void answer_fault(const struct m_from *f, struct m_next n, const char *label, enum m_kind kind,
				enum fault fault, int64_t retry_after)
{
	struct outcome o = { .fault = fault, .retry_after = retry_after, .code = "x", .message = "x" };

	answer(f, n, label, kind, (struct job_event){ .kind = EV_FAULT, .outcome = &o });
}

struct fault_row {
	enum job_op op;
	enum fault fault;
	bool after_effect;
	const char *label;
};

static const struct fault_row FAULTS[] = {
	{ OP_PREPARE, FAULT_LOCAL, false, "prepare: disk full" },
	{ OP_PREPARE, FAULT_LOCAL, true, "prepare: failed after the key was written" },
	{ OP_SUBMIT, FAULT_UNSENT, false, "submit: not sent" },
	{ OP_SUBMIT, FAULT_UNCLEAR, false, "submit: unclear, not placed" },
	{ OP_SUBMIT, FAULT_UNCLEAR, true, "submit: unclear, but placed" },
	{ OP_SUBMIT, FAULT_THROTTLED, false, "submit: 429" },
	{ OP_SUBMIT, FAULT_REFUSED, false, "submit: refused" },
	{ OP_SUBMIT, FAULT_DUPLICATE, false, "submit: called a duplicate without reason" },
	{ OP_SUBMIT, FAULT_DUPLICATE, true, "submit: placed, then called a duplicate" },
	{ OP_SUBMIT, FAULT_AUTH, false, "submit: key not accepted" },
	{ OP_SUBMIT, FAULT_CONFIG, false, "submit: wrong product" },
	{ OP_SUBMIT, FAULT_NOT_FOUND, false, "submit: 404" },
	{ OP_SUBMIT, FAULT_LOCAL, false, "submit: local" },
	{ OP_PUBLISH, FAULT_LOCAL, false, "publish: disk full" },
	{ OP_PUBLISH, FAULT_LOCAL, true, "publish: failed after the file was written" },
	{ OP_PUBLISH, FAULT_BUSY, false, "publish: place is taken" },
	{ OP_LOOK, FAULT_UNCLEAR, false, "look: not reachable" },
	{ OP_DOWNLOAD, FAULT_BAD_CERT, false, "download: bad certificate" },
	{ OP_INSTALL, FAULT_LOCAL, false, "install: disk full" },
	{ OP_INSTALL, FAULT_BAD_CERT, false, "install: bad certificate" },
};

/* What every question to the CA can be answered with. */
static const struct {
	enum fault fault;
	const char *label;
} QUESTION_FAULTS[] = {
	{ FAULT_UNSENT, "not sent" },	  { FAULT_UNCLEAR, "unclear" }, { FAULT_THROTTLED, "429" },
	{ FAULT_REFUSED, "refused" },	  { FAULT_AUTH, "auth" },	{ FAULT_CONFIG, "config" },
	{ FAULT_NOT_FOUND, "not found" }, { FAULT_LOCAL, "local" },
};

static inline bool is_question(uint8_t op)
{
	return op == OP_FIND || op == OP_INFO || op == OP_TOKEN || op == OP_CHECK || op == OP_DOWNLOAD;
}

static inline void faults(const struct m_from *f)
{
	int64_t later = RETRY_INFO_FIRST * f->m->tempo;
	struct m_next n;

	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		if (FAULTS[i].op != f->s->w.op)
			continue;
		n = next_of(f);
		if (FAULTS[i].after_effect)
			effect(&n);
		answer_fault(f, n, FAULTS[i].label, FAULTY, FAULTS[i].fault,
			     FAULTS[i].fault == FAULT_THROTTLED ? later : 0);
	}
	for (size_t i = 0; is_question(f->s->w.op) && i < ARRAY_SIZE(QUESTION_FAULTS); i++)
		answer_fault(f, next_of(f), QUESTION_FAULTS[i].label, FAULTY, QUESTION_FAULTS[i].fault,
			     QUESTION_FAULTS[i].fault == FAULT_THROTTLED ? later : 0);
	if (f->s->w.op == OP_TOKEN) {
		n = next_of(f);
		effect(&n);
		answer_fault(f, n, "token: made, answer lost", FAULTY, FAULT_UNCLEAR, 0);
	}
}

static inline void answers_submit(const struct m_from *f)
{
	static const struct {
		uint8_t state;
		enum order_state says;
		bool token;
		const char *label;
	} WAYS[] = {
		{ O_PENDING, ORDER_PENDING, false, "submit: placed" },
		{ O_PENDING, ORDER_PENDING, true, "submit: placed, with a value" },
		{ O_APPROVAL, ORDER_NEEDS_APPROVAL, false, "submit: placed, needs approval" },
		{ O_VALIDATED, ORDER_PENDING, false, "submit: placed, names proven before" },
		{ O_ISSUED, ORDER_ISSUED, false, "submit: placed and issued at once" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(WAYS); i++) {
		struct m_next n = next_of(f);
		struct job_event ev = { .kind = EV_DONE, .order_id = 77, .order_state = WAYS[i].says };
		_cleanup_free_ char *token = NULL;

		place_order(&n, WAYS[i].state);
		token = WAYS[i].token ? named('T', n.s.w.ca_token) : NULL;
		ev.dcv_token = token;
		ev.dcv_token_expires_at = token ? token_time(TOKEN_ALIVE) : 0;
		ev.certificate_id = WAYS[i].state == O_ISSUED ? 88 : 0;
		answer(f, n, WAYS[i].label, CALM, ev);
	}
}

static inline enum order_state order_says(uint8_t order)
{
	switch (order) {
	case O_APPROVAL: return ORDER_NEEDS_APPROVAL;
	case O_ISSUED: return ORDER_ISSUED;
	case O_ENDED:
	case O_NONE: return ORDER_ENDED;
	default: return ORDER_PENDING;
	}
}

static inline void answers_find(const struct m_from *f)
{
	const struct m_world *w = &f->s->w;
	bool there = w->order != O_NONE && w->order_ref == f->s->mem.job.ref;

	if (there)
		answer(f, next_of(f), "find: our order", CALM,
		       (struct job_event){ .kind = EV_DONE, .n_matches = 1, .order_id = 77 });
	if (!there)
		answer(f, next_of(f), "find: none", CALM, (struct job_event){ .kind = EV_DONE });
	else if (w->order_age < M_LAG)
		answer(f, next_of(f), "find: none, because the list lags", FAULTY,
		       (struct job_event){ .kind = EV_DONE });
}

static inline void answers_info(const struct m_from *f)
{
	struct job_event ev = { .kind = EV_DONE, .order_id = 77, .order_state = order_says(f->s->w.order) };

	ev.order_word = "rejected";
	if (f->s->w.order == O_ISSUED) {
		answer(f, next_of(f), "info: issued, no certificate named", FAULTY, ev);
		ev.certificate_id = 88;
	}
	answer(f, next_of(f), "info", CALM, ev);
	answer(f, next_of(f), "info: an unknown word", FAULTY,
	       (struct job_event){ .kind = EV_DONE, .order_id = 77, .order_state = ORDER_UNKNOWN });
	answer(f, next_of(f), "info: called foreign", FAULTY,
	       (struct job_event){ .kind = EV_DONE, .foreign = true });
}

static inline void answers_token(const struct m_from *f)
{
	static const struct {
		uint8_t left;
		enum m_kind kind;
		const char *label;
	} WAYS[] = {
		{ TOKEN_ALIVE, CALM, "token" },
		{ TOKEN_FOREVER, CALM, "token: end not told" },
		{ TOKEN_DEAD, FAULTY, "token: expired already" },
	};

	if (f->s->w.order != O_PENDING && f->s->w.order != O_APPROVAL)
		answer_fault(f, next_of(f), "token: refused, no proof is needed", CALM, FAULT_REFUSED, 0);
	if (!order_lives(f->s))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(WAYS); i++) {
		struct m_next n = next_of(f);
		struct job_event ev = { .kind = EV_DONE, .dcv_token_expires_at = token_time(WAYS[i].left) };
		_cleanup_free_ char *token = NULL;

		effect(&n);
		ev.dcv_token = token = named('T', n.s.w.ca_token);
		answer(f, n, WAYS[i].label, WAYS[i].kind, ev);
	}
}

/* What the world sees when it asks for the proof. */
static inline uint8_t shown(const struct m_from *f)
{
	return f->s->w.web[web_index(f->m, f->s->w.spec)];
}

static inline void answers_check(const struct m_from *f)
{
	uint8_t order = f->s->w.order;
	struct m_next n = next_of(f);

	if (order == O_ENDED || order == O_NONE || order == O_ISSUED)
		answer_fault(f, n, "check: refused, too late", CALM, FAULT_REFUSED, 0);
	if (order == O_ISSUED)
		answer(f, n, "check: issued", CALM,
		       (struct job_event){ .kind = EV_DONE, .validated = true, .order_state = ORDER_ISSUED });
	if (order == O_VALIDATED ||
	    (order == O_PENDING && f->s->w.ca_token && shown(f) == f->s->w.ca_token)) {
		n.s.w.order = O_VALIDATED;
		answer(f, n, "check: validated", CALM,
		       (struct job_event){
			       .kind = EV_DONE, .validated = true, .order_state = ORDER_PENDING });
	}
	if (order == O_PENDING || order == O_APPROVAL)
		answer(f, next_of(f), "check: not yet", CALM,
		       (struct job_event){ .kind = EV_DONE, .order_state = ORDER_PENDING });
}

static inline void answers_download(const struct m_from *f)
{
	if (f->s->w.order != O_ISSUED)
		answer_fault(f, next_of(f), "download: refused, not issued", CALM, FAULT_REFUSED, 0);
	else if (f->s->w.key != f->s->w.order_csr)
		answer_fault(f, next_of(f), "download: for another key", CALM, FAULT_BAD_CERT, 0);
	else
		answer(f, next_of(f), "download", CALM, (struct job_event){ .kind = EV_DONE });
}

static inline void answers_local(const struct m_from *f)
{
	struct record_cert cert = { .not_before = T0, .not_after = T0 + LIFE };
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_DONE, .cert = &cert };
	_cleanup_free_ char *csr = NULL, *serial = xstrdup("01");

	cert.serial = serial;
	effect(&n);
	ev.csr = csr = named('C', n.s.w.key);
	answer(f, n, job_op_name((enum job_op)f->s->w.op), CALM, ev);
}

static inline void answers(const struct m_from *f)
{
	switch ((enum job_op)f->s->w.op) {
	case OP_SUBMIT: answers_submit(f); break;
	case OP_FIND: answers_find(f); break;
	case OP_INFO: answers_info(f); break;
	case OP_TOKEN: answers_token(f); break;
	case OP_CHECK: answers_check(f); break;
	case OP_DOWNLOAD: answers_download(f); break;
	case OP_LOOK:
		if (shown(f) == f->s->mem.job.token)
			answers_local(f);
		else
			answer_fault(f, next_of(f), "look: not visible", CALM, FAULT_UNCLEAR, 0);
		break;
	case OP_PREPARE:
	case OP_PUBLISH:
	case OP_INSTALL: answers_local(f); break;
	case OP_NONE:
	case OP_NR: return;
	}
	faults(f);
}

/* --- what happens by itself --- */

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
	n.s.w.op = n.s.w.op_web = n.s.w.clean = n.s.w.clean_i = n.s.w.clean_hit = 0;
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

static inline void ca_moves(const struct m_from *f)
{
	switch (f->s->w.order) {
	case O_APPROVAL: ca_goes(f, O_PENDING, CALM, "CA: approved"); break;
	case O_PENDING:
		if (f->s->w.ca_token && shown(f) == f->s->w.ca_token)
			ca_goes(f, O_VALIDATED, CALM, "CA: validated unasked");
		break;
	case O_VALIDATED: ca_goes(f, O_ISSUED, CALM, "CA: issued"); break;
	default: break;
	}
	if (order_lives(f->s))
		ca_goes(f, O_ENDED, FAULTY, "CA: the order ends");
}

static inline void event_move(const struct m_from *f, struct job_event ev, const char *label,
			      enum m_kind kind)
{
	step_and_emit(f, next_of(f), label, kind, &ev);
}

static inline bool may_yield(const struct m_rec *r)
{
	return r->job.on && r->job.phase >= PHASE_PUBLISH && r->job.phase <= PHASE_WAIT &&
	       (r->job.next || r->held);
}

static inline void people(const struct m_from *f)
{
	const struct m_state *s = f->s;
	struct m_next n = next_of(f);

	if (s->mem.held)
		event_move(f, (struct job_event){ .kind = EV_RELEASE }, "released", CALM);
	else if (s->mem.job.on && s->mem.job.next)
		event_move(f, (struct job_event){ .kind = EV_RELEASE }, "told to go on at once", FAULTY);
	for (uint8_t i = 0; i < 2 && !f->m->responder; i++) {
		struct m_next gone = n;

		gone.s.w.web[i] = 0;
		if (f->s->w.web[i])
			f->emit(f->arg, "a site is deployed over the proof", FAULTY, &gone);
	}
	n.s.w.spec ^= 1;
	f->emit(f->arg, "configuration changes", FAULTY, &n);
	if (f->m->yields && may_yield(&s->mem))
		event_move(f, (struct job_event){ .kind = EV_YIELD }, "another order wants the webroot",
			   FAULTY);
	if (s->mem.job.on && s->w.order != O_NONE && s->w.order_ref == s->mem.job.ref)
		event_move(f,
			   (struct job_event){
				   .kind = EV_HINT, .order_id = 77, .order_state = order_says(s->w.order) },
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
		if (f->m->yields) {
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

	if (s->w.clean != 0 || d->want == WANT_ORDER)
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

	state_age(&n.s, 200);
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
	f->emit(f->arg, "the renewal point comes", FAULTY, &n);
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
	if (mem->job.on && !mem->held && mem->job.next == 1 && f->s->w.op == OP_NONE)
		event_move(f, (struct job_event){ .kind = EV_WAKE }, "wake", CALM);
	if (wake > 0) {
		state_age(&n.s, wake);
		f->emit(f->arg, "time passes", CALM, &n);
	}
	if (wake == -1 && !mem->held)
		rest(f, &d);
	long_pause(f);
}

/* Every successor of a state. */
static inline void all_moves(const struct m_from *f)
{
	answers(f);
	crashes(f);
	ca_moves(f);
	people(f);
	clean_moves(f);
	time_moves(f);
}
