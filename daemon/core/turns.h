/* SPDX-License-Identifier: Apache-2.0 */
/* Turns at places where only one may be at a time: the fileauth.txt of a webroot that several orders share. One after the
 * other, in the order of asking. Does not know what is done there, nor who has to be told that it is his turn. Pure. */
#pragma once

#include "daemon/core/record.h"

#include <sys/queue.h>

struct turns_place;

/* One who takes turns; embedded in its owner, all zero at first. At one place at a time: it has the turn there, or waits. */
struct turn {
	struct turns_place *has;   /* NULL: no turn */
	struct turns_place *waits; /* NULL: in no queue */
	TAILQ_ENTRY(turn) link;	   /* while it waits */
};

/* All places where somebody is; all zero at first. Holds no memory when nobody has a turn. */
struct turns {
	struct turns_place *places;
};

/* True: it is who's turn at that place now. False: who is last in the queue there. who has no turn and waits nowhere. */
bool turns_take(struct turns *t, struct turn *who, const char *place);

/* who wants nothing any more: its turn is over, or it leaves the queue. Returns whose turn it is now instead, or NULL. */
struct turn *turns_end(struct turns *t, struct turn *who);

/* Leaves the queue; nothing when who is in none. */
void turns_leave_queue(struct turn *who);

/* Is it who's turn there? */
bool turn_is_at(const struct turn *who, const char *place);

/* Does anybody wait for who's turn to end? */
bool turn_is_wanted(const struct turn *who);

/* Whose turn who waits for; NULL when it does not wait. */
struct turn *turn_awaited(const struct turn *who);

/* Is this the moment to let the others in (EV_YIELD): somebody waits, and the job of rec rests? */
bool turn_should_yield(const struct turn *who, const struct record *rec);

/* May who's turn end: no proof of rec is left there? False without a turn. */
bool turn_is_done(const struct turn *who, const struct record *rec);
