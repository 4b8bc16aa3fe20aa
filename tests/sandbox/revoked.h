/* SPDX-License-Identifier: Apache-2.0 */
/* What the CA tells everybody about revoked certificates, over plain HTTP: OCSP (RFC 6960) and a CRL (RFC 5280), both signed by the
 * intermediate and by the sandbox's clock. The setting `revocation` takes one or both of them away. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void revoked_answer_ocsp(struct sandbox *sb, const struct request *rq, struct reply *rp);
void revoked_answer_crl(struct sandbox *sb, const struct request *rq, struct reply *rp);
