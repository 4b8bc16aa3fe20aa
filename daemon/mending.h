/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the installed certificate, looked at once a day and early after a start: are they there, and are they what was installed?
 * What was lost is brought back where that costs nothing:
 *
 *   the link live/NAME             made again
 *   certificate, chain             downloaded again by certificate id, and checked against the key
 *   the key (or all of it)         the CA never had it: a reissue inside the plan, with another key
 *
 * A loss has to be seen twice, ten tempos apart: a disk that is not mounted yet, or a backup that is being restored, is not one. What
 * somebody put there on purpose, and what cannot be read, is only named. Nothing here leads to an order. */
#pragma once

#include "daemon/app.h"

struct mending;

/* chain: fullchain.pem as it is there, NULL when it cannot be used; again: look again soon. Valid during the call. */
typedef void mending_done_fn(const char *chain, bool again, void *owner);

/* Looks at (and mends) the present generation of d. */
void mending_start(struct domain *d, mending_done_fn *done, void *owner, struct mending **ret);
/* Silence; clears *m. NULL content accepted. */
void mending_cancel(struct mending **m);

/* Another generation was installed: what was wrong with the one before is no matter any more. */
void mending_forget(struct domain *d);
/* At the start, from the names of the files alone: is it worth looking at once? */
bool mending_is_urgent(const struct app *a, const struct record *r);
