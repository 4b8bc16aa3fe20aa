/* SPDX-License-Identifier: Apache-2.0 */
/* One copy at its place: there with exactly this content, owner and mode, or as it was before. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#include <sys/types.h>

struct copy {
	const char *path; /* absolute */
	const char *text;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

#define COPY_MAX (1u << 20) /* bytes */

/* 1: written (a file beside it, owner and mode before any name, synced, renamed, folder synced, read back). 0: it was so already, nothing was
 * touched. Negative: a sentence with path and remedy; the old file stays, but for -EIO after a failed look at what was written.
 * What lies at the path is replaced when it is a plain file, and refused when it is anything else. The folder: trust_open_folder(). */
int copy_write(const struct copy *c, struct err *reterr) _must_check_;
