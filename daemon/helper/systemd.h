/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's D-Bus interface, as much of it as is needed: reload a unit, run a program as a unit of its own, and wait for the end of
 * either. https://www.freedesktop.org/wiki/Software/systemd/dbus/ */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/strbuf.h"

struct systemd;

/* The system bus; without one, root reaches systemd by its private socket. Negative: a sentence. */
int systemd_open(struct systemd **ret, struct err *reterr) _must_check_;
void systemd_close(struct systemd *s);
DEFINE_CLEANUP(struct systemd *, systemd_close)

/* ReloadOrTryRestartUnit, then waits for the end of that job until deadline_ms (monotonic). 0, or negative: a sentence that names
 * the unit and what to look at. */
int systemd_reload(struct systemd *s, const char *unit, int64_t deadline_ms, struct err *reterr) _must_check_;

/* Runs a program as a transient unit: outside of our own sandbox, since a test has to see what the server will see (its
 * ports, its logs, its name servers), with systemd's clean environment and in a cgroup that is ended as a whole. 0: it ended with 0. -ECHILD: it
 * did not; -ETIMEDOUT. Others: it could not be started. output: what it printed last, any bytes. */
int systemd_run(struct systemd *s, const char *const *argv, int64_t deadline_ms, struct strbuf *output,
		struct err *reterr) _must_check_;
