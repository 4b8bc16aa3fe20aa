/* SPDX-License-Identifier: Apache-2.0 */
/* Two orders need different values in the same fileauth.txt: they take turns (core/turns.h), and whoever has waited puts its
 * proof up as soon as it is its turn. */
#include "daemon/app.h"

bool lock_take(struct domain *d, const char *webroot, void (*granted)(struct domain *d))
{
	if (turn_is_at(&d->turn, webroot))
		return true;
	lock_release(d);
	d->turn_comes = granted;
	return turns_take(&d->app->turns, &d->turn, webroot);
}

void lock_leave_queue(struct domain *d)
{
	turns_leave_queue(&d->turn);
}

void lock_release(struct domain *d)
{
	struct turn *next = turns_end(&d->app->turns, &d->turn);
	struct domain *n = next ? container_of(next, struct domain, turn) : NULL;

	if (n)
		n->turn_comes(n);
}

struct domain *lock_owner(const struct domain *d)
{
	struct turn *owner = turn_awaited(&d->turn);

	return owner ? container_of(owner, struct domain, turn) : NULL;
}
