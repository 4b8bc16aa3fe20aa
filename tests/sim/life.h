/* SPDX-License-Identifier: Apache-2.0 */
/* One life of the daemon: app_run() from its start to its end, whatever that is. A crash jumps out of it; what it had in
 * memory is lost (and leaked: the process of a seed lives for seconds). */
#pragma once

#include "common/base.h"

enum life_end {
	LIFE_ENDED, /* app_run() returned, or the program called _exit() */
	LIFE_KILLED,
	LIFE_POWER_CUT,
};

/* Starts the daemon and lets the world run until the life is over. */
enum life_end life_run(const char *config_file, int *ret_code);
bool life_is_on(void);
/* To be called from within a life: it ends here. */
_noreturn_ void life_crash(enum life_end how);
/* The program's own _exit(). */
_noreturn_ void life_exit(int code);
