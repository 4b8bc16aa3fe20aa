/* SPDX-License-Identifier: Apache-2.0 */
/* What the account has: its orders (the list with filters), its user, its products. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void account_orders(struct sandbox *sb, const struct request *rq, struct reply *rp);
void account_me(struct sandbox *sb, const struct request *rq, struct reply *rp);
void account_products(struct sandbox *sb, const struct request *rq, struct reply *rp);
