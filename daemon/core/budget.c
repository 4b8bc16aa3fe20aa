/* SPDX-License-Identifier: Apache-2.0 */
/* Times of paid posts, sorted; only the last 24 hours are kept. */
#include "daemon/core/budget.h"

#include "common/mem.h"

struct budget {
	uint32_t max;
	int64_t *at; /* ascending */
	size_t n, alloc;
};

struct budget *budget_new(uint32_t max_per_day)
{
	struct budget *b = xmalloc(sizeof(*b));

	b->max = max_per_day;
	return b;
}

void budget_free(struct budget *b)
{
	if (!b)
		return;
	free(b->at);
	free(b);
}

void budget_set_max(struct budget *b, uint32_t max_per_day)
{
	b->max = max_per_day;
}

static void forget_old(struct budget *b, int64_t now)
{
	size_t old = 0;

	while (old < b->n && b->at[old] <= now - BUDGET_SPAN)
		old++;
	if (old == 0)
		return;
	memmove(b->at, b->at + old, (b->n - old) * sizeof(*b->at));
	b->n -= old;
}

void budget_spend(struct budget *b, int64_t at)
{
	size_t i = b->n;

	if (b->n == b->alloc) {
		b->alloc = b->alloc ? b->alloc * 2 : 16;
		b->at = xrealloc_array(b->at, b->alloc, sizeof(*b->at));
	}
	for (; i > 0 && b->at[i - 1] > at; i--)
		b->at[i] = b->at[i - 1];
	b->at[i] = at;
	b->n++;
}

void budget_refund(struct budget *b, int64_t at)
{
	for (size_t i = b->n; i > 0; i--) {
		if (b->at[i - 1] != at)
			continue;
		memmove(b->at + i - 1, b->at + i, (b->n - i) * sizeof(*b->at));
		b->n--;
		return;
	}
}

/* A clock that went back leaves posts "in the future": they count, which errs on the safe side. */
uint32_t budget_spent(struct budget *b, int64_t now)
{
	forget_old(b, now);
	return (uint32_t)b->n;
}

bool budget_is_claimed_by(const struct record *rec)
{
	const struct record_job *j = rec->job;

	if (!j || rec->held || !j->is_paid)
		return false;
	/* What cannot be prepared now may never be. */
	return j->phase == PHASE_PREPARE ? j->next_at == 0 : j->phase == PHASE_SUBMIT && j->submitted_at == 0;
}

int64_t budget_next_at(struct budget *b, int64_t now, uint32_t reserved)
{
	uint64_t used = (uint64_t)budget_spent(b, now) + reserved;
	uint64_t too_many;

	if (used < b->max)
		return now;
	/* The post that must leave the window before there is room again. */
	too_many = used - b->max;
	if (too_many < b->n)
		return b->at[too_many] + BUDGET_SPAN + 1;
	return now + BUDGET_SPAN;
}

int64_t budget_post_at(struct budget *b, int64_t now, uint32_t claims, const struct record *rec)
{
	return budget_next_at(b, now, budget_is_claimed_by(rec) ? 0 : claims);
}
