/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by certificate id, and the wrong certificates of the `wrong-cert` fault. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void download_certificate(struct sandbox *sb, const struct request *rq, struct reply *rp);
