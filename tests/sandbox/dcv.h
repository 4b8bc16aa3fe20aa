/* SPDX-License-Identifier: Apache-2.0 */
/* Domain control validation of an order: its random value, the check on request, and the CA's own looks. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void dcv_random_value(struct sandbox *sb, const struct request *rq, struct reply *rp);
void dcv_check(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* Is there any place to look at for this order? With the lock held. */
bool dcv_can_look(const struct sandbox *sb, const struct order *o);
/* Fetches the missing proofs of an order and notes them; lock not held. */
void dcv_look(struct sandbox *sb, struct order *o);
/* Does every name of the certificate show a good request token, by the method of its order (which must be HTTP or TXT,
 * and the certificate one that is to be proven)? Lock not held. */
bool dcv_request_tokens_prove(struct sandbox *sb, const struct certificate *c, const char *auth_key);
