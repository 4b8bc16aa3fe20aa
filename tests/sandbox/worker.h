/* SPDX-License-Identifier: Apache-2.0 */
/* The one background thread: what the CA does by itself, that is look for proofs now and then, and issue
 * when the delay is over. Sleeps on the sandbox's condition until something is due. */
#pragma once

#include "tests/sandbox/state.h"

/* Runs until sbx_stop(); for pthread_create. */
void *worker_run(void *sandbox);
