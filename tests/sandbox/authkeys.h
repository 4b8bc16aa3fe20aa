/* SPDX-License-Identifier: Apache-2.0 */
/* AuthKeys of the account: the keys that request tokens are made with. At most one never expires; in the
 * older generation of the API there is one at most. */
#pragma once

#include "tests/sandbox/order_request.h"
#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

#define AUTHKEYS_TEXT_MAX 65

void authkeys_create(struct sandbox *sb, const struct request *rq, struct reply *rp);
void authkeys_details(struct sandbox *sb, const struct request *rq, struct reply *rp);
void authkeys_delete(struct sandbox *sb, const struct request *rq, struct reply *rp);
void authkeys_list(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* The key for the request tokens of an order of this product, "" when none are to be looked for. With the lock held. 0, or
 * -1 with the error in *rp. */
int authkeys_choose(struct sandbox *sb, const char *product, const struct order_wish *w,
		    char ret[AUTHKEYS_TEXT_MAX], struct reply *rp) _must_check_;
