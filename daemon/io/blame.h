/* SPDX-License-Identifier: Apache-2.0 */
/* Which domain a thread works for, kept where the death of the process does not erase it: state/blame is mapped shared, with one
 * slot for each thread. Whoever starts next reads which domain the last process died of. What is done with that is
 * daemon/crashes.c's business.
 *
 * A slot counts when its thread met a fatal signal (SIGSEGV, SIGABRT, ...), or when the process was killed (by a watchdog, for want of
 * memory) while the slot was busy for at least BLAME_HANG_MS. A kill -9 at any other moment, SIGTERM and an orderly exit count for
 * nobody. Costs two copies of a name and nothing else; no fsync, because it need not survive the machine. */
#pragma once

#include "common/base.h"
#include "common/words.h"

#define BLAME_FILE    "blame"
#define BLAME_HANG_MS 3000

/* Maps the file in this folder; adds to ret the names that the last process died of, each once. Best effort: where it cannot be mapped
 * nobody is ever blamed. Installs handlers for fatal signals, which pass each on to whoever had it before. */
void blame_open(int dir_fd, struct words *ret);
/* Nothing that happens from here on is to be blamed on a domain. */
void blame_stop(void);
void blame_close(void);

/* The calling thread works for this domain until the end of the block. name must outlive it; NULL: for nobody. Nests. */
struct blame {
	const char *before;
};
struct blame blame_enter(const char *name);
void blame_leave(struct blame *b);
#define BLAME(name) _cleanup_(blame_leave) _unused_ struct blame blame_of_block = blame_enter(name)

/* For whom the calling thread works, or NULL: for work that is handed on. */
const char *blame_name(void);
