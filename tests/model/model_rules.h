/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true of every state, whatever led to it; when a domain is settled; and a state as text, for traces. */
#pragma once

#include "tests/model/model_answers.h"

/* --- invariants of every state --- */

static inline const char *proofs_wrong(const struct m_state *s)
{
	for (uint8_t i = 0; i < 2; i++) {
		if (s->w.web[i] && !lists_proof(&s->disk, s->w.web[i], i))
			return "a proof stands in a webroot, but not in the record on disk";
		if (s->w.web[i] && !lists_proof(&s->mem, s->w.web[i], i))
			return "a proof stands in a webroot, but not in the record in memory";
		if (s->w.older[i] &&
		    (!lists_proof(&s->disk, s->w.older[i], i) || !lists_proof(&s->mem, s->w.older[i], i)))
			return "a proof stands in DNS, but not in the record";
	}
	return NULL;
}

static inline const char *state_wrong(const struct m_setup *m, const struct m_state *s)
{
	const struct m_job *j = &s->mem.job;

	if (j->on && !s->mem.held && j->next == 0 && s->w.op == OP_NONE && !s->w.away)
		return "nothing is in flight, and the job has no time to go on";
	if (order_is_ours(s) && (m->plan || s->w.order != O_ISSUED) && !s->disk.job.on)
		return "an order is open and the record on disk has forgotten it";
	if (order_is_ours(s) && s->disk.job.on && s->disk.job.ref == s->w.order_ref &&
	    s->w.key != s->w.order_csr)
		return "the key of a paid order was overwritten";
	return m->responder ? NULL : proofs_wrong(s);
}

/* A certificate is installed, and nothing is left to be done. */
static inline bool state_is_settled(const struct m_setup *m, const struct m_state *s)
{
	const struct m_rec *const recs[] = { &s->mem, &s->disk };

	for (size_t i = 0; i < ARRAY_SIZE(recs); i++) {
		if (recs[i]->held || recs[i]->job.on || recs[i]->cert != CERT_FRESH || recs[i]->n_proofs)
			return false;
	}
	return s->w.op == OP_NONE && s->w.clean == 0 && !s->w.away &&
	       (m->responder ||
		(s->w.web[0] == 0 && s->w.web[1] == 0 && s->w.older[0] == 0 && s->w.older[1] == 0));
}

/* --- text --- */

static inline void print_job(const struct m_job *j)
{
	if (!j->on) {
		printf("no job");
		return;
	}
	printf("%s%s%s R%u csr%u%s%s%s%s%s%s", record_kind_word((enum job_kind)j->kind),
	       j->paid_for ? "" : " (free)", j->canceled ? " CANCELED" : "", j->ref, j->csr,
	       j->submitted ? " submitted" : "", j->order ? " order" : "", j->issued ? " issued" : "",
	       j->instant ? " instant" : "", j->published ? " published" : "", j->yielded ? " yielded" : "");
	printf(", %s", job_phase_name((enum job_phase)j->phase));
	if (j->token)
		printf(" T%u%s", j->token, j->token_left == TOKEN_DEAD ? "(expired)" : "");
	if (j->absents)
		printf(" absent %ux in %u", j->absents, j->absent_age - 1);
	if (j->next)
		printf(" next in %u", j->next - 1);
}

static inline void print_record(const char *label, const struct m_rec *r)
{
	printf("      %s %s%s%s gen %u, ", label, r->held ? "HELD " : "", r->cert == CERT_DUE ? "due" : "",
	       r->over ? " over" : "", r->gen);
	print_job(&r->job);
	printf("\n");
}

static inline void print_state(const struct m_state *s)
{
	static const char *const ORDERS[] = { "none", "approval", "pending", "validated", "issued", "ended" };
	const struct m_world *w = &s->w;

	print_record("memory:", &s->mem);
	print_record("disk:  ", &s->disk);
	printf("      world:  %s%s %s R%u csr%u age %u, key %u, token T%u%s, places T%u+T%u T%u+T%u, proofs "
	       "%u/%u, "
	       "spec %u, in flight %s%s%s\n",
	       w->plan ? "plan, " : "", record_kind_word((enum job_kind)w->kind), ORDERS[w->order],
	       w->order_ref, w->order_csr, w->order_age, w->key, w->ca_token, w->ca_dns ? " in DNS" : "",
	       w->web[0], w->older[0], w->web[1], w->older[1], s->mem.n_proofs, s->disk.n_proofs, w->spec,
	       job_op_name((enum job_op)w->op), w->clean ? ", withdraw" : "", w->away ? ", AWAY" : "");
}
