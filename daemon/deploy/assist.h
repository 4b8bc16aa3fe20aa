/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon has no privilege for is done by dvcertd-helper (daemon/helper): giving files to other owners and reloading units. The daemon
 * names a domain and one of its targets, never a path or a command; the helper looks them up in the configuration itself.
 *
 * Under systemd the helper is started by its socket and runs as root. Without the socket the daemon runs the same program as its own child, with
 * its own rights: that is all that is needed where the daemon is root, or where owner and group are its own. */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

struct assist_call;

struct assist_ask {
	const char *socket;	 /* config->helper_socket */
	const char *config_file; /* for a helper that is our child */
	const char *state_dir;	 /* the same */
	const char *name;	 /* of the domain */
	const char *target;	 /* "files:...", "reload:..." */
	unsigned generation;	 /* files: which one is copied */
	int64_t timeout_ms;	 /* for all of it */
};

/* fault NONE: done. UNCLEAR: code "helper" (it cannot be reached, died, said nothing in time), "reload" (the unit's reload failed), "test"
 * (the configuration test failed; the message ends with what it printed last). LOCAL: code "files" (a copy could not be
 * written: path and remedy), "refused" (this target is not in the configuration on disk, or that is not safe to be followed). All of
 * them may pass after somebody mended something, so none is final. */
typedef void assist_done_fn(const struct outcome *o, void *owner);

/* Copies all of ask. Contract of callbacks: head of io/loop.h. */
void assist_start(struct loop *l, const struct assist_ask *ask, assist_done_fn *done, void *owner,
		  struct assist_call **ret);
/* What the helper has begun it ends by itself; silence from now on; clears *c. NULL content accepted. */
void assist_cancel(struct assist_call **c);

/* The helper's program: beside the daemon (a build tree), or where it is installed, be it there or not. The caller frees. */
char *assist_program(void);

/* The helper's program, for a child: beside the daemon's own (a build tree), else where it is installed. The caller frees. */
char *assist_program(void);
