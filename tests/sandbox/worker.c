/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/worker.h"

#include "tests/sandbox/dcv.h"
#include "tests/sandbox/orders.h"

#define IDLE_MS (3600 * INT64_C(1000))

/* When the CA looks at this order next, in sandbox time; INT64_MAX = never. */
static int64_t next_look_ms(const struct sandbox *sb, const struct order *o)
{
	const struct certificate *c = orders_subject(o);
	if (!sb->set.ca_poll_s || c->validated_ms || !dcv_can_look(sb, o) || !orders_wants_proof(o))
		return INT64_MAX;
	if (sbx_now(sb) >= c->created_at + SBX_CA_POLL_LIFE_S)
		return INT64_MAX;
	return o->polled_ms + sb->set.ca_poll_s * 1000;
}

static int64_t issue_due_ms(const struct sandbox *sb, const struct order *o)
{
	const struct certificate *c = orders_subject(o);
	if (!c->validated_ms || !orders_wants_proof(o) || !orders_may_issue(sb, o))
		return INT64_MAX;
	return c->validated_ms + sb->set.issue_delay_s * 1000;
}

/* Issues what is due; returns an order to look at, or NULL and how long nothing is due. */
static struct order *next_work(struct sandbox *sb, int64_t *ret_wait_ms)
{
	int64_t now = sbx_now_ms(sb);
	int64_t soonest = now + IDLE_MS;
	for (size_t i = 0; i < sb->n_orders; i++) {
		struct order *o = sb->orders[i];
		orders_issue_if_due(sb, o);
		int64_t look = next_look_ms(sb, o);
		if (look <= now) {
			o->polled_ms = now;
			return o;
		}
		soonest = MIN(soonest, MIN(look, issue_due_ms(sb, o)));
	}
	*ret_wait_ms = MAX(soonest - now, INT64_C(1));
	sb->worker_due_ms = soonest;
	return NULL;
}

void *worker_run(void *sandbox)
{
	struct sandbox *sb = sandbox;
	pthread_mutex_lock(&sb->lock);
	while (!atomic_load(&sb->stopping)) {
		int64_t wait_ms = 0;
		struct order *o = next_work(sb, &wait_ms);
		if (!o) {
			sbx_wait_locked(sb, wait_ms);
			sb->worker_due_ms = INT64_MIN;
			continue;
		}
		pthread_mutex_unlock(&sb->lock);
		dcv_look(sb, o);
		pthread_mutex_lock(&sb->lock);
	}
	pthread_mutex_unlock(&sb->lock);
	return NULL;
}
