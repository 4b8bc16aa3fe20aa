/* SPDX-License-Identifier: Apache-2.0 */
/* Two domains that share a webroot, or the orders of a day: their states side by side, and what they share. What the daemon
 * keeps in memory for both (whose turn it is, the posts of the day) is packed into bytes, and handed to the shipped code as the
 * structs that it works on. */
#pragma once

#include "daemon/core/budget.h"
#include "daemon/core/turns.h"
#include "tests/model/model_rules.h"

#define P_POSTS 4

enum { TURN_NONE, TURN_WAITS, TURN_HAS };

struct p_state {
	struct m_state d[2];
	uint8_t turn[2]; /* in the webroot */
	uint8_t raced
		[2]; /* a withdrawal of before has taken away what was put up again: the next check sees it */
	uint8_t post
		[P_POSTS]; /* what the daemon remembers of the day: 0 none, else 1 + ticks; the oldest first */
	uint8_t placed[P_POSTS]; /* the same, as the CA saw it */
	uint8_t faults;
};

/* A whole run explores one of these. */
struct p_setup {
	struct m_setup m;
	uint8_t max_per_day; /* orders; 0: no matter */
	bool instant_answer; /* the CA issues at once: no names are to be proven */
	bool stuck;	     /* the key of either may be impossible to make */
	uint32_t
		ops; /* only these operations fail, a bit for each, and nothing else does; 0: everything may */
	uint8_t max_faults;
};

/* A successor under construction. */
struct p_next {
	const struct p_setup *p;
	struct p_state s;
	const char *wrong; /* NULL: nothing */
};

static inline void p_wrong(struct p_next *n, const char *what)
{
	if (!n->wrong)
		n->wrong = what;
}

/* --- turns --- */

struct p_turns {
	struct turns t;
	struct turn who[2];
};

static inline void turns_make(const struct p_state *s, struct p_turns *ret)
{
	*ret = (struct p_turns){ .t = { NULL } };
	for (int pass = TURN_HAS; pass > TURN_NONE; pass--) {
		for (unsigned i = 0; i < 2; i++) {
			if (s->turn[i] == pass)
				(void)turns_take(&ret->t, &ret->who[i], "W0");
		}
	}
}

static inline void turns_pack(struct p_turns *t, struct p_state *s)
{
	for (unsigned i = 0; i < 2; i++)
		s->turn[i] = turn_is_at(&t->who[i], "W0") ? TURN_HAS
			     : turn_awaited(&t->who[i])	  ? TURN_WAITS
							  : TURN_NONE;
	for (unsigned i = 0; i < 4; i++)
		(void)turns_end(&t->t, &t->who[i % 2]);
}

/* Is the operation of i held back until its turn comes? */
static inline bool is_queued(const struct p_state *s, unsigned i)
{
	return s->turn[i] == TURN_WAITS;
}

/* --- the orders of a day --- */

static inline struct budget *budget_make(const struct p_setup *p, const struct p_state *s)
{
	struct budget *b = budget_new(p->max_per_day);

	for (unsigned i = 0; i < P_POSTS; i++) {
		if (s->post[i])
			budget_spend(b, T0 - (s->post[i] - 1) * tick(&p->m));
	}
	return b;
}

/* What is forgotten from one tick to the next has that age. */
static inline void budget_pack(const struct p_setup *p, struct budget *b, struct p_state *s)
{
	uint32_t left = budget_spent(b, T0);
	unsigned n = 0;

	memset(s->post, 0, sizeof(s->post));
	for (uint8_t age = M_DAY - 1; left > 0; age--) {
		uint32_t now = budget_spent(b, T0 + (M_DAY - age) * tick(&p->m));

		for (; left > now; left--) {
			assert(n < P_POSTS);
			s->post[n++] = u8(1 + age);
		}
	}
}

/* As much of the record of i as a claim depends on. */
struct p_claim {
	struct record r;
	struct record_job j;
};

static inline const struct record *claim_make(const struct p_setup *p, const struct p_state *s, unsigned i,
					      struct p_claim *ret)
{
	const struct m_job *j = &s->d[i].mem.job;

	ret->j = (struct record_job){ .is_paid = j->paid_for,
				      .phase = (enum job_phase)j->phase,
				      .submitted_at = j->submitted,
				      .next_at = j->next ? T0 + (j->next - 1) * tick(&p->m) : 0 };
	ret->r = (struct record){ .held = s->d[i].mem.held, .job = j->on ? &ret->j : NULL };
	return &ret->r;
}

/* As the runner asks, for a job (a step) and for a wish (a decision). */
static inline int64_t allowed_at(const struct p_setup *p, const struct p_state *s, unsigned i, bool job)
{
	_cleanup_(budget_freep) struct budget *b = NULL;
	struct p_claim c[2];
	uint32_t claims = 0;

	if (p->max_per_day == 0)
		return T0;
	b = budget_make(p, s);
	for (unsigned k = 0; k < 2; k++)
		claims += budget_is_claimed_by(claim_make(p, s, k, &c[k]));
	return job ? budget_post_at(b, T0, claims, &c[i].r) : budget_next_at(b, T0, claims);
}

static inline void ages_grow(uint8_t age[P_POSTS], int64_t d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < P_POSTS; i++) {
		uint8_t a = age[i];

		age[i] = 0;
		if (a && a - 1 + d < M_DAY)
			age[n++] = u8(a + d);
	}
}

static inline unsigned ages_count(const uint8_t age[P_POSTS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < P_POSTS; i++)
		n += age[i] != 0;
	return n;
}

/* --- the whole --- */

static inline void p_canonical(const struct p_setup *p, struct p_state *s)
{
	for (unsigned i = 0; i < 2; i++) {
		state_canonical(&p->m, &s->d[i]);
		if (!s->d[i].mem.job.on || s->d[i].mem.job.phase != PHASE_CHECK || s->d[i].w.web[0])
			s->raced[i] = 0;
	}
}

static inline void p_age(const struct p_setup *p, struct p_state *s, int64_t d)
{
	for (unsigned i = 0; i < 2; i++)
		state_age(&p->m, &s->d[i], d);
	ages_grow(s->post, d);
	ages_grow(s->placed, d);
}

/* Nothing of i is left to be done. */
static inline bool p_is_settled(const struct p_setup *p, const struct p_state *s, unsigned i)
{
	return state_is_settled(&p->m, &s->d[i]) && s->turn[i] == TURN_NONE;
}
