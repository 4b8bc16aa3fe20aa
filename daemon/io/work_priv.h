/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop knows of its work in the pool, for work_look(). Inside daemon/io only. */
#pragma once

#include "common/base.h"

#include <stdatomic.h>
#include <sys/queue.h>

struct work;
TAILQ_HEAD(work_list, work);

struct work_account {
	struct work_list all;	      /* waiting, running, and not yet told: the loop's thread only */
	atomic_uint_fast64_t n_ended; /* counted by the pool threads */
};
