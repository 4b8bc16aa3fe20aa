/* SPDX-License-Identifier: Apache-2.0 */
/* When the last requests were made, kept in state/rates where the death of the process does not erase it: the CA goes on counting
 * over a restart, so the windows have to (core/rates.h). Best effort: without the file a new process begins with empty windows.
 * Writes all, decides nothing. docs/ARCHITECTURE.md says what damage, clocks and power cuts do. */
#pragma once

#include "daemon/core/rates.h"

#define ASKED_FILE "rates"
/* So many requests are known, and so many that were under way. CertCentral's own windows are of 1,000; of larger ones in the
 * configuration that many are kept over a restart. */
#define ASKED_MAX	1024
#define ASKED_UNDER_WAY 32
/* What is older counts in no window that can be configured. */
#define ASKED_MEMORY_MS INT64_C(86400000)

struct asked;

/* Maps the file in this folder. key: the mark of the API key. NULL where it cannot be mapped; all functions accept that. */
struct asked *asked_open(int dir_fd, uint16_t key);
void asked_close(struct asked *a);
DEFINE_CLEANUP(struct asked *, asked_close)

/* Adds to r, which has not been asked yet, what the last processes asked with this key, as it is known at now_ms (monotonic) and
 * now (wall). What was under way counts from now on. Once, after asked_open. */
void asked_recall(struct asked *a, int64_t now_ms, int64_t now, struct rates *r);
/* Another key from here on. */
void asked_set_key(struct asked *a, uint16_t key);

/* Beside rates_begin that returned 0, and beside rates_end. */
void asked_begin(struct asked *a, int64_t now_ms, int64_t now);
void asked_end(struct asked *a, int64_t now_ms, int64_t now);
