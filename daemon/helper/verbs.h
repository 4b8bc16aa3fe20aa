/* SPDX-License-Identifier: Apache-2.0 */
/* What the helper does. Each blocks until it is done; the alarm of main.c ends what never is. */
#pragma once

#include "config/model.h"
#include "daemon/helper/request.h"

#include <sys/types.h>

struct helper {
	int state_fd;	   /* the daemon's state folder */
	uid_t state_owner; /* whose files in it are copied; root's are too */
	uid_t peer;	   /* who asks: the owner of that folder, or root */
};

/* Every copy of the target, then group and mode of the live key (its owner too when root asks). What can be done is done even when
 * something else of it fails; message gets the first failure. ret_written: files that were not right before. */
enum answer files_do(const struct helper *h, const struct cfg_files_target *t, const char *name,
		     unsigned generation, unsigned *ret_written, struct err *message);

/* The test, then the reload; both within the target's timeout. */
enum answer reload_do(const struct cfg_reload_target *t, struct err *message);
