/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that asks the system for the time and for randomness; tests and the simulator link
 * another implementation of this header. */
#pragma once

#include "common/base.h"

/* Wall clock, seconds since 1970 UTC. */
int64_t clock_now(void);

/* Monotonic milliseconds; only differences mean anything. */
int64_t clock_mono_ms(void);

/* Cryptographically secure random bytes; aborts when the kernel has none to give. */
void clock_random(void *buf, size_t len);
