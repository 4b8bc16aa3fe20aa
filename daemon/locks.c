/* SPDX-License-Identifier: Apache-2.0 */
/* Two orders need different values in the same fileauth.txt: one after the other, in the order of asking.
 * A lock exists only while somebody holds it. */
#include "daemon/app.h"

#include "common/mem.h"
#include "common/str.h"

/* Out of memory aborts like everywhere else. And uthash's own function falls through its switch without a word,
 * which clang does not allow here. */
#define uthash_malloc(n)		  xmalloc(n)
#define HASH_FUNCTION(keyptr, len, hashv) ((void)(len), (hashv) = (unsigned)str_hash(keyptr))
#include <uthash.h>

struct lock_waiter {
	TAILQ_ENTRY(lock_waiter) link;
	struct webroot_lock *lock;
	struct domain *domain;
	void (*granted)(struct domain *d);
};

struct webroot_lock {
	UT_hash_handle hh;
	struct app *app;
	struct domain *owner;
	TAILQ_HEAD(, lock_waiter) waiters;
	char webroot[];
};

static struct webroot_lock *lock_of(struct app *a, const char *webroot)
{
	struct webroot_lock *l = NULL;
	size_t len = strlen(webroot);

	HASH_FIND(hh, a->locks, webroot, len, l);
	if (l)
		return l;
	l = xmalloc(sizeof(*l) + len + 1);
	memcpy(l->webroot, webroot, len + 1);
	l->app = a;
	TAILQ_INIT(&l->waiters);
	HASH_ADD_KEYPTR(hh, a->locks, l->webroot, len, l);
	return l;
}

bool lock_take(struct domain *d, const char *webroot, void (*granted)(struct domain *d))
{
	struct webroot_lock *l;
	struct lock_waiter *w;

	if (d->holds && strcmp(d->holds->webroot, webroot) == 0)
		return true;
	lock_release(d);
	l = lock_of(d->app, webroot);
	if (!l->owner) {
		l->owner = d;
		d->holds = l;
		return true;
	}
	w = xmalloc(sizeof(*w));
	w->lock = l;
	w->domain = d;
	w->granted = granted;
	d->waits = w;
	TAILQ_INSERT_TAIL(&l->waiters, w, link);
	return false;
}

static void pass_on(struct webroot_lock *l)
{
	struct app *a = l->app;
	struct lock_waiter *w = TAILQ_FIRST(&l->waiters);
	struct domain *d;

	if (!w) {
		HASH_DEL(a->locks, l);
		free(l);
		return;
	}
	d = w->domain;
	d->waits = NULL;
	d->holds = l;
	l->owner = d;
	TAILQ_REMOVE(&l->waiters, w, link);
	w->granted(d);
	free(w);
}

void lock_leave_queue(struct domain *d)
{
	struct lock_waiter *w = d->waits;

	if (!w)
		return;
	d->waits = NULL;
	TAILQ_REMOVE(&w->lock->waiters, w, link);
	free(w);
}

void lock_release(struct domain *d)
{
	struct webroot_lock *l = d->holds;

	lock_leave_queue(d);
	if (!l)
		return;
	d->holds = NULL;
	l->owner = NULL;
	pass_on(l);
}

bool lock_is_wanted(const struct domain *d)
{
	return d->holds && !TAILQ_EMPTY(&d->holds->waiters);
}

bool lock_is_for(const struct domain *d, const char *webroot)
{
	return d->holds && strcmp(d->holds->webroot, webroot) == 0;
}

struct domain *lock_owner(const struct domain *d)
{
	return d->waits ? d->waits->lock->owner : NULL;
}
