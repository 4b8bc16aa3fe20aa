/* SPDX-License-Identifier: Apache-2.0 */
/* Back to the certificate that was installed before, and forth again: docs/DEPLOYMENT.md. Pure. */
#pragma once

#include "daemon/core/record.h"

/* The longest time in which nothing is renewed after a rollback. */
#define ROLLBACK_REST_MAX INT64_C(604800)

/* 0 when rec can be rolled back now; -EINVAL with the reason for people. */
int rollback_check(const struct record *rec, int64_t now, struct err *reterr) _must_check_;

/* The two change places. The plan stays that of the newer one. Its targets are not touched: see duty_plan(). */
void rollback_apply(struct record *rec, int64_t now);
