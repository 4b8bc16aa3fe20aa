/* SPDX-License-Identifier: Apache-2.0 */
/* /sandbox/...: how tests and people look at the sandbox and steer it. No key, loopback only. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void admin_answer(struct sandbox *sb, const struct request *rq, struct reply *rp);
