/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its answer: which endpoint, is the key right, is there room in the window, does a
 * fault apply; the request log and the counts. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

/* The HTTPS side: CertCentral, Scutum, the admin endpoint. */
void routes_answer(struct sandbox *sb, struct request *rq, struct reply *rp);
/* The plain side, for everybody: OCSP and CRLs. */
void routes_answer_plain(struct sandbox *sb, struct request *rq, struct reply *rp);
