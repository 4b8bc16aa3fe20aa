/* SPDX-License-Identifier: Apache-2.0 */
/* Scutum's "update certificate" call: checks what the manual names, in its words, and keeps a list of what
 * was accepted. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void scutum_update(struct sandbox *sb, const struct request *rq, struct reply *rp);
/* {"error_on","error_id","error"} */
void scutum_error(struct reply *rp, unsigned status, const char *error_on, const char *error);
