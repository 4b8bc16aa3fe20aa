/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3). Without $NOTIFY_SOCKET all of it does nothing. */
#pragma once

#include "common/base.h"

void notify_ready(const char *status);
/* RELOADING=1 with MONOTONIC_USEC (systemd 253 and later want it); followed by notify_ready. */
void notify_reloading(void);
void notify_stopping(const char *status);
/* STATUS=; one line, sent only when it differs from the last one. */
void notify_status(const char *status);
void notify_watchdog(void);
/* Milliseconds between two pings (half of $WATCHDOG_USEC), 0 when no watchdog is wanted of this process. */
int64_t notify_watchdog_ms(void);
