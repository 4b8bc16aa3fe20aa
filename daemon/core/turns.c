/* SPDX-License-Identifier: Apache-2.0 */
/* A place exists only while it is somebody's turn there. */
#include "daemon/core/turns.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/core/job.h"

#include <assert.h>

/* Out of memory aborts like everywhere else. And uthash's own function falls through its switch without a word,
 * which clang does not allow here. */
#define uthash_malloc(n)		  xmalloc(n)
#define HASH_FUNCTION(keyptr, len, hashv) ((void)(len), (hashv) = (unsigned)str_hash(keyptr))
#include <uthash.h>

struct turns_place {
	UT_hash_handle hh;
	struct turn *owner;
	TAILQ_HEAD(, turn) queue;
	char name[];
};

static struct turns_place *place_of(struct turns *t, const char *name)
{
	struct turns_place *p = NULL;
	size_t len = strlen(name);

	HASH_FIND(hh, t->places, name, len, p);
	if (p)
		return p;
	p = xmalloc(sizeof(*p) + len + 1);
	memcpy(p->name, name, len + 1);
	TAILQ_INIT(&p->queue);
	HASH_ADD_KEYPTR(hh, t->places, p->name, len, p);
	return p;
}

bool turns_take(struct turns *t, struct turn *who, const char *place)
{
	struct turns_place *p = place_of(t, place);

	assert(!who->has && !who->waits);
	if (!p->owner) {
		p->owner = who;
		who->has = p;
		return true;
	}
	who->waits = p;
	TAILQ_INSERT_TAIL(&p->queue, who, link);
	return false;
}

struct turn *turns_end(struct turns *t, struct turn *who)
{
	struct turns_place *p = who->has;
	struct turn *next;

	turns_leave_queue(who);
	if (!p)
		return NULL;
	who->has = NULL;
	next = TAILQ_FIRST(&p->queue);
	if (!next) {
		HASH_DEL(t->places, p);
		free(p);
		return NULL;
	}
	turns_leave_queue(next);
	p->owner = next;
	next->has = p;
	return next;
}

void turns_leave_queue(struct turn *who)
{
	if (!who->waits)
		return;
	TAILQ_REMOVE(&who->waits->queue, who, link);
	who->waits = NULL;
}

bool turn_is_at(const struct turn *who, const char *place)
{
	return who->has && strcmp(who->has->name, place) == 0;
}

bool turn_is_wanted(const struct turn *who)
{
	return who->has && !TAILQ_EMPTY(&who->has->queue);
}

struct turn *turn_awaited(const struct turn *who)
{
	return who->waits ? who->waits->owner : NULL;
}

bool turn_should_yield(const struct turn *who, const struct record *rec)
{
	return turn_is_wanted(who) && job_may_yield(rec);
}

bool turn_is_done(const struct turn *who, const struct record *rec)
{
	if (!who->has)
		return false;
	for (uint32_t i = 0; i < rec->n_proofs; i++) {
		const struct record_proof *p = &rec->proofs[i];

		if (p->place == PROOF_WEBROOT && turn_is_at(who, p->where))
			return false;
	}
	return true;
}
