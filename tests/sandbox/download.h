/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by certificate id or by order (its active certificate), and the wrong certificates of the `wrong-cert` fault. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void download_certificate(struct sandbox *sb, const struct request *rq, struct reply *rp);
void download_order(struct sandbox *sb, const struct request *rq, struct reply *rp);
void download_chain(struct sandbox *sb, const struct request *rq, struct reply *rp);
