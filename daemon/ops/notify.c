/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to systemd. A message that cannot be sent is no reason to do anything else: systemd draws
 * its own conclusions when READY or a ping does not come. */
#include "daemon/ops/notify.h"

#include "common/clock.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define STATUS_MAX 400

static char last_status[STATUS_MAX];

/* Escapes (a newline would start another assignment) and remembers. */
static const char *keep_status(const char *status)
{
	return str_escape(status, strlen(status), last_status, sizeof last_status);
}

void notify_ready(const char *status)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", keep_status(status));
}

void notify_reloading(void)
{
	/* Rounded up: a time before systemd's own note of the signal would not count as an answer to it. */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", ((long long)clock_mono_ms() + 1) * 1000);
}

void notify_stopping(const char *status)
{
	(void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", keep_status(status));
}

void notify_status(const char *status)
{
	char before[STATUS_MAX];

	memcpy(before, last_status, sizeof before);
	if (strcmp(before, keep_status(status)) != 0)
		(void)sd_notifyf(0, "STATUS=%s", last_status);
}

void notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

int64_t notify_watchdog_ms(void)
{
	uint64_t usec = 0;

	/* Looks at $WATCHDOG_PID too; an unusable value counts as no watchdog. */
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	return MAX((int64_t)(usec / 2000), 1);
}
