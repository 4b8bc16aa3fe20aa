/* SPDX-License-Identifier: Apache-2.0 */
/* The circuit breaker on paid orders: at most N posts in any 24 hours, over all domains. Its memory is
 * the paid_at of the records, so it survives restarts. Pure. */
#pragma once

#include "daemon/core/record.h"

#define BUDGET_SPAN 86400

struct budget;

struct budget *budget_new(uint32_t max_per_day);
void budget_free(struct budget *b);
DEFINE_CLEANUP(struct budget *, budget_free)
void budget_set_max(struct budget *b, uint32_t max_per_day);

/* One post was (or is about to be) made. */
void budget_spend(struct budget *b, int64_t at);

/* The post of that time was surely not processed: it does not count. */
void budget_refund(struct budget *b, int64_t at);

/* The earliest time at which another post may be made (now, when it may be at once) if `reserved` others have a prior claim. */
int64_t budget_next_at(struct budget *b, int64_t now, uint32_t reserved);

/* The same for the job of rec, out of `claims` that there are in all. Whoever has a claim does not stand behind other claims: where there
 * are more than places, each would wait for the others, for ever. */
int64_t budget_post_at(struct budget *b, int64_t now, uint32_t claims, const struct record *rec);

/* Has this domain a claim on a place in the day's orders: will its job post one that costs money? */
bool budget_is_claimed_by(const struct record *rec);

/* Posts in the 24 hours before now. */
uint32_t budget_spent(struct budget *b, int64_t now);
