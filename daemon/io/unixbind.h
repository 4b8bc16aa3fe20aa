/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a listening unix socket: taken over from a process that died, never from one that lives, and removed
 * again only by who made it. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#include <sys/types.h>

struct unixbind {
	char *path;
	dev_t dev;
	ino_t ino; /* 0: there is no file of ours */
};

/* Binds path with exactly this mode, and does not listen yet. A stale socket (nobody listens) is replaced, a live one is
 * -EADDRINUSE, another kind of file is -EEXIST. A path too long for sun_path is -ENAMETOOLONG, with the limit in the text.
 * Returns the descriptor (close-on-exec, non-blocking) or a negative errno. */
int unixbind_open(const char *path, mode_t mode, struct unixbind *ret, struct err *reterr) _must_check_;
/* Removes the file if it is still ours, and frees. Can be called twice, and for one that is all zero. */
void unixbind_close(struct unixbind *b);
