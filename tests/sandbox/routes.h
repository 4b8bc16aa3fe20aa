/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its answer: which endpoint, is the key right, is there room in the window, does a
 * fault apply; the request log and the counts. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void routes_answer(struct sandbox *sb, struct request *rq, struct reply *rp);
