/* SPDX-License-Identifier: Apache-2.0 */
/* The files of `dvcertctl duplicate`, in a folder of the one who runs it. The private key is made here and goes nowhere. */
#pragma once

#include "common/err.h"
#include "common/json.h"

struct duplicate {
	int dir_fd; /* locked: nobody else makes a duplicate there meanwhile */
	char *dir;
	char *csr; /* for the daemon */
};

/* Opens (or makes, 0700) the folder and puts the request there, with its key (0600) when csr_file is NULL; both are on disk, synced,
 * when it returns. domain is what `show` says: names and kind of key. What an earlier run has left is used again, so that
 * the same duplicate is picked up; what is of somebody else is never replaced. -EBADMSG and -EINVAL: wrong use, -EBUSY: another
 * dvcertctl is at it, else errno. */
int duplicate_begin(const char *out_dir, const char *csr_file, const struct json *domain,
		    struct duplicate *ret, struct err *reterr) _must_check_;
/* Writes the chain of an answer with result "issued" beside it, once it is clear that it is for this request. */
int duplicate_finish(struct duplicate *d, const struct json *answer, struct err *reterr) _must_check_;
void duplicate_done(struct duplicate *d);
