/* SPDX-License-Identifier: Apache-2.0 */
/* Domain control validation of an order: its random value, the check on request, and the CA's own looks. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void dcv_random_value(struct sandbox *sb, const struct request *rq, struct reply *rp);
void dcv_check(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* Fetches the missing proofs of an order and notes them; lock not held. */
void dcv_look(struct sandbox *sb, struct order *o);
