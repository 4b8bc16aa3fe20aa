/* SPDX-License-Identifier: Apache-2.0 */
/* A generation, read out of a folder of the daemon by somebody who trusts the daemon with nothing: whatever it put there, what comes back is a
 * certificate, its chain and its key in plain form, out of files of its own. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#include <sys/types.h>

struct pair {
	char *cert, *chain, *fullchain, *key;
	int key_fd; /* the file that key was read from, to change its group and mode */
};

/* name may name a folder (name_is_safe_dir). owners: who may own the files; n_owners of them. A file is a plain one with a single link; no symlink is followed below state_fd.
 * -EPERM, -ELOOP, -EBADMSG, -ENOENT and others, with a sentence. */
int pair_read(int state_fd, const char *name, unsigned generation, const uid_t *owners, size_t n_owners,
	      struct pair *ret, struct err *reterr) _must_check_;
/* Wipes the key. A pair that is { .key_fd = -1 } is accepted. */
void pair_done(struct pair *p);
