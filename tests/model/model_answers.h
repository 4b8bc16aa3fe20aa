/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: what they do to the world, and every answer they may get: true, lost before or after the effect, refused. A
 * move is calm when it is no fault: from every state, calm moves alone must be able to lead to an installed certificate. */
#pragma once

#include "tests/model/model_step.h"

/* What is due is neither: it is no fault that counts, and nothing may depend on it. */
enum m_kind { FAULTY, CALM, DUE };

typedef void m_emit_fn(void *arg, const char *label, enum m_kind kind, struct m_next *n);

struct m_from {
	const struct m_setup *m;
	const struct m_state *s;
	m_emit_fn *emit;
	void *arg;
	int64_t allowed_in; /* seconds until the day's orders have room */
};

static inline struct m_next next_of(const struct m_from *f)
{
	return (struct m_next){ .m = f->m, .s = *f->s, .allowed_in = f->allowed_in };
}

/* --- effects of operations --- */

/* Lives, and is not somebody else's reissue. */
static inline bool order_is_ours(const struct m_state *s)
{
	return order_lives(s) && s->w.order_ref != 0;
}

/* Would the CA take what the job posts? One reissue at a time, and only while the plan lives. */
static inline bool ca_takes(const struct m_state *s)
{
	return s->mem.job.kind == JOB_ORDER || (s->w.plan && (!order_lives(s) || order_is_ours(s)));
}

static inline void place_order(struct m_next *n, uint8_t state)
{
	struct m_world *w = &n->s.w;
	const struct m_job *j = &n->s.mem.job;

	if (!ca_takes(&n->s))
		return;
	if (order_is_ours(&n->s))
		wrong(n, "a second order is placed for the same need");
	if (w->key != j->csr)
		wrong(n, "an order is placed for a key that is not there any more");
	w->kind = j->kind;
	w->order = state;
	w->order_ref = j->ref;
	w->order_csr = j->csr;
	w->order_age = 0;
	w->ca_token = name_fresh(&n->s, NAME_TOKEN);
	if (j->kind == JOB_ORDER)
		w->ca_dns = j->dns;
}

static inline void effect_token(struct m_next *n)
{
	if (n->s.w.order != O_NONE)
		n->s.w.ca_token = name_fresh(&n->s, NAME_TOKEN);
}

static inline bool names_are_open(const struct m_state *s)
{
	return s->w.order == O_PENDING || s->w.order == O_APPROVAL;
}

/* Taken as long as names are to be proven. */
static inline void effect_method(struct m_next *n)
{
	if (!names_are_open(&n->s))
		return;
	effect_token(n);
	n->s.w.ca_dns = spec_is_dns(n->m, n->s.w.spec);
}

/* A file is replaced, a record joins those that are there. */
static inline void effect_publish(struct m_next *n)
{
	struct m_world *w = &n->s.w;
	uint8_t i = w->op_web, token = n->s.mem.job.token;

	if (w->web[i] == token)
		return;
	if (place_is_dns(n->m, i) && w->older[i] != token)
		w->older[i] = w->web[i];
	w->web[i] = token;
}

static inline void effect(struct m_next *n)
{
	struct m_world *w = &n->s.w;

	switch ((enum job_op)w->op) {
	case OP_PREPARE: w->key = name_fresh(&n->s, NAME_KEY); break;
	case OP_SUBMIT: place_order(n, O_PENDING); break;
	case OP_METHOD: effect_method(n); break;
	case OP_TOKEN: effect_token(n); break;
	case OP_PUBLISH: effect_publish(n); break;
	case OP_EARLY:
	case OP_TARGETS:
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
	return op == OP_PREPARE || op == OP_SUBMIT || op == OP_METHOD || op == OP_TOKEN || op == OP_PUBLISH;
}

static inline void effect_clean(struct m_next *n)
{
	struct m_world *w = &n->s.w;
	uint8_t place = u8((w->clean - 1) % 2), token = u8((w->clean - 1) / 2);

	if (w->older[place] == token)
		w->older[place] = 0;
	if (w->web[place] == token) {
		w->web[place] = w->older[place];
		w->older[place] = 0;
	}
}

/* Does the world see that value when it asks for the proof in DNS, or by HTTP? */
static inline bool is_shown(const struct m_from *f, uint8_t token, bool dns)
{
	const struct m_world *w = &f->s->w;
	uint8_t place = web_index(f->m, w->spec);

	if (dns)
		place = f->m->methods ? 1 : w->delegated;
	else if (f->m->methods)
		place = 0;
	return token && (w->web[place] == token || (dns && w->older[place] == token));
}

static inline bool ca_sees(const struct m_from *f)
{
	return is_shown(f, f->s->w.ca_token, f->s->w.ca_dns);
}

/* --- answers --- */

/* A step that would spend money is also taken on a day on which no more may be spent. */
static inline void step_and_emit(const struct m_from *f, struct m_next n, const char *label, enum m_kind kind,
				 struct job_event *ev)
{
	struct m_next poor = n;

	run_step(&n, ev);
	f->emit(f->arg, label, kind, &n);
	if (!n.submits || f->m->days)
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
	{ OP_EARLY, FAULT_UNCLEAR, false, "request tokens: unclear" },
	{ OP_EARLY, FAULT_REFUSED, false, "request tokens: no AuthKey" },
	{ OP_TARGETS, FAULT_UNCLEAR, false, "targets: not found out" },
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
	return op == OP_FIND || op == OP_INFO || op == OP_METHOD || op == OP_TOKEN || op == OP_CHECK ||
	       op == OP_DOWNLOAD;
}

/* What is refused was not taken; that the order to be reissued is not there is said when it is true. */
static inline bool is_impossible(const struct m_from *f, const struct fault_row *r)
{
	return r->op == OP_SUBMIT && ((r->after_effect && !ca_takes(f->s)) ||
				      (r->fault == FAULT_NOT_FOUND && f->s->mem.job.kind == JOB_REISSUE));
}

/* The method that was lost is told again: the CA refuses it only when it has it already. */
static inline bool method_is_needed(const struct m_from *f)
{
	bool dns = spec_is_dns(f->m, f->s->w.spec);

	return f->s->w.op == OP_METHOD && names_are_open(f->s) && f->s->mem.job.dns == dns &&
	       f->s->w.ca_dns != dns;
}

static inline void faults(const struct m_from *f)
{
	int64_t later = RETRY_INFO_FIRST * f->m->tempo;
	struct m_next n;

	for (size_t i = 0; i < ARRAY_SIZE(FAULTS); i++) {
		if (FAULTS[i].op != f->s->w.op)
			continue;
		if (is_impossible(f, &FAULTS[i]))
			continue;
		n = next_of(f);
		if (FAULTS[i].after_effect)
			effect(&n);
		answer_fault(f, n, FAULTS[i].label, FAULTY, FAULTS[i].fault,
			     FAULTS[i].fault == FAULT_THROTTLED ? later : 0);
	}
	for (size_t i = 0; is_question(f->s->w.op) && i < ARRAY_SIZE(QUESTION_FAULTS); i++) {
		if (method_is_needed(f) && QUESTION_FAULTS[i].fault == FAULT_REFUSED)
			continue;
		answer_fault(f, next_of(f), QUESTION_FAULTS[i].label, FAULTY, QUESTION_FAULTS[i].fault,
			     QUESTION_FAULTS[i].fault == FAULT_THROTTLED ? later : 0);
	}
	if (f->s->w.op == OP_TOKEN || f->s->w.op == OP_METHOD) {
		n = next_of(f);
		effect(&n);
		answer_fault(f, n, "a new value, but the answer is lost", FAULTY, FAULT_UNCLEAR, 0);
	}
}

static inline int64_t order_id(const struct m_from *f)
{
	return f->s->mem.job.kind == JOB_REISSUE ? ID_PLAN : ID_ORDER;
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

	if (!ca_takes(f->s)) {
		answer_fault(f, next_of(f), "submit: it cannot be reissued", CALM, FAULT_REFUSED, 0);
		if (!f->s->w.plan)
			answer_fault(f, next_of(f), "submit: no such order", CALM, FAULT_NOT_FOUND, 0);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(WAYS); i++) {
		struct m_next n = next_of(f);
		struct job_event ev = { .kind = EV_DONE,
					.order_id = order_id(f),
					.order_state = WAYS[i].says };
		_cleanup_free_ char *token = NULL;

		place_order(&n, WAYS[i].state);
		token = WAYS[i].token ? named('T', n.s.w.ca_token) : NULL;
		ev.dcv_token = token;
		ev.dcv_token_expires_at = token ? token_time(TOKEN_ALIVE) : 0;
		ev.certificate_id = WAYS[i].state == O_ISSUED ? ID_CERTIFICATE : 0;
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

/* An order is found by our reference. In the plan it shows that a reissue is pending, whose ever it is, or the request of the
 * certificate that it has now. */
static inline bool can_find(const struct m_from *f)
{
	const struct m_world *w = &f->s->w;
	const struct m_job *j = &f->s->mem.job;

	if (j->kind != w->kind || w->order == O_NONE)
		return false;
	if (j->kind == JOB_ORDER)
		return w->order_ref == j->ref;
	return w->order != O_ISSUED || w->order_csr == j->csr;
}

static inline void answers_find(const struct m_from *f)
{
	const struct m_world *w = &f->s->w;
	bool there = can_find(f);

	if (f->s->mem.job.kind == JOB_REISSUE && !w->plan) {
		answer(f, next_of(f), "find: the plan is over", CALM,
		       (struct job_event){ .kind = EV_DONE, .order_state = ORDER_ENDED });
		return;
	}
	if (there)
		answer(f, next_of(f), "find: our order", CALM,
		       (struct job_event){ .kind = EV_DONE, .n_matches = 1, .order_id = order_id(f) });
	if (!there)
		answer(f, next_of(f), "find: none", CALM, (struct job_event){ .kind = EV_DONE });
	else if (w->order_age < M_LAG)
		answer(f, next_of(f), "find: none, because the list lags", FAULTY,
		       (struct job_event){ .kind = EV_DONE });
}

/* What order info shows of the plan that is being reissued. */
static inline void answers_info_reissue(const struct m_from *f, struct job_event ev)
{
	struct job_event stale = {
		.kind = EV_DONE, .order_id = ID_PLAN, .order_state = ORDER_ISSUED, .stale = true
	};

	if (!f->s->w.plan) {
		ev.order_state = ORDER_ENDED;
		answer(f, next_of(f), "info: the plan is over", CALM, ev);
		return;
	}
	if (!can_find(f)) {
		answer(f, next_of(f), "info: another certificate", CALM, stale);
		return;
	}
	if (f->s->w.order_age < M_LAG)
		answer(f, next_of(f), "info: another certificate, because it lags", FAULTY, stale);
	answer(f, next_of(f), "info", CALM, ev);
}

static inline void answers_info(const struct m_from *f)
{
	struct job_event ev = { .kind = EV_DONE,
				.order_id = order_id(f),
				.order_state = order_says(f->s->w.order) };

	answer(f, next_of(f), "info: an unknown word", FAULTY,
	       (struct job_event){ .kind = EV_DONE, .order_id = ev.order_id, .order_state = ORDER_UNKNOWN });
	ev.order_word = "rejected";
	if (f->s->w.order == O_ISSUED && can_find(f)) {
		answer(f, next_of(f), "info: issued, no certificate named", FAULTY, ev);
		ev.certificate_id = ID_CERTIFICATE;
	}
	if (f->s->mem.job.kind == JOB_REISSUE) {
		answers_info_reissue(f, ev);
		return;
	}
	answer(f, next_of(f), "info", CALM, ev);
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

	if (!names_are_open(f->s))
		answer_fault(f, next_of(f), "refused, no proof is needed", CALM, FAULT_REFUSED, 0);
	if (f->s->w.op == OP_METHOD ? !names_are_open(f->s) : !order_lives(f->s))
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

static inline void answers_method(const struct m_from *f)
{
	struct m_next n = next_of(f);

	answers_token(f);
	if (!names_are_open(f->s))
		return;
	effect(&n);
	answer(f, n, "method: no value told", CALM, (struct job_event){ .kind = EV_DONE });
}

static inline void answers_check(const struct m_from *f)
{
	uint8_t order = f->s->w.order;
	struct m_next n = next_of(f);

	if (!order_lives(f->s) || order == O_ISSUED)
		answer_fault(f, n, "check: refused, too late", CALM, FAULT_REFUSED, 0);
	if (order == O_ISSUED)
		answer(f, n, "check: issued", CALM,
		       (struct job_event){ .kind = EV_DONE, .validated = true, .order_state = ORDER_ISSUED });
	if (order == O_VALIDATED || (order == O_PENDING && ca_sees(f))) {
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

/* The certificate is installed: what was ordered has become the plan, or is its certificate. */
static inline void order_is_done(struct m_next *n)
{
	struct m_world *w = &n->s.w;

	if (!n->m->plan || w->op != OP_INSTALL)
		return;
	if (w->kind == JOB_ORDER)
		w->plan = w->order == O_ISSUED;
	if (w->order == O_ISSUED || w->order == O_ENDED)
		w->order = O_NONE;
}

static inline void answers_local(const struct m_from *f)
{
	struct record_cert cert = { .not_before = T0, .not_after = T0 + LIFE };
	struct m_next n = next_of(f);
	struct job_event ev = { .kind = EV_DONE, .cert = &cert };
	_cleanup_free_ char *csr = NULL, *serial = xstrdup("01");

	cert.serial = serial;
	effect(&n);
	order_is_done(&n);
	ev.csr = csr = named('C', n.s.w.key);
	answer(f, n, job_op_name((enum job_op)f->s->w.op), CALM, ev);
}

static inline void answers_early(const struct m_from *f)
{
	_cleanup_free_ char *token = named('T', name_fresh(f->s, NAME_TOKEN));

	answer(f, next_of(f), "request tokens", CALM,
	       (struct job_event){ .kind = EV_DONE, .dcv_token = token });
}

static inline void answers_look(const struct m_from *f)
{
	if (is_shown(f, f->s->mem.job.token, spec_is_dns(f->m, f->s->w.spec)))
		answers_local(f);
	else
		answer_fault(f, next_of(f), "look: not visible", CALM, FAULT_UNCLEAR, 0);
}

static inline void answers(const struct m_from *f)
{
	switch ((enum job_op)f->s->w.op) {
	case OP_SUBMIT: answers_submit(f); break;
	case OP_FIND: answers_find(f); break;
	case OP_INFO: answers_info(f); break;
	case OP_METHOD: answers_method(f); break;
	case OP_TOKEN: answers_token(f); break;
	case OP_CHECK: answers_check(f); break;
	case OP_DOWNLOAD: answers_download(f); break;
	case OP_EARLY: answers_early(f); break;
	case OP_TARGETS:
		answer(f, next_of(f), "targets", CALM,
		       (struct job_event){ .kind = EV_DONE,
					   .targets = f->m->methods || f->s->w.delegated ? "N1" : "N0" });
		break;
	case OP_LOOK: answers_look(f); break;
	case OP_PREPARE:
	case OP_PUBLISH:
	case OP_INSTALL: answers_local(f); break;
	case OP_NONE:
	case OP_NR: return;
	}
	faults(f);
}
