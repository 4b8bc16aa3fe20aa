/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the CA, over the ways that a certificate itself names, whether it was revoked: OCSP first, the CRL when that does not
 * help. Plain HTTP and no redirects: answers are signed, daemon/pki/revocation.h believes nothing else. Needs neither the
 * API nor a key, so it also notices what somebody did at the console, and what the CA did by itself. Does not decide when to ask. */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"
#include "daemon/pki/revocation.h"

struct revoked;
struct revoked_call;

/* References c, and uses its proxy. */
int revoked_new(struct loop *l, struct config *c, struct revoked **ret, struct err *reterr) _must_check_;
/* From the next question on; on failure nothing changes. CRLs that are held stay. */
int revoked_reconfigure(struct revoked *r, struct config *c, struct err *reterr) _must_check_;
/* Silences all calls. Not from a callback. NULL accepted. */
void revoked_free(struct revoked *r);

/* fault NONE: status holds, GOOD or REVOKED; or UNKNOWN when the certificate names nobody who could be asked. Else status->state
 * is UNKNOWN, and the message says what went wrong on each way: UNSENT (nobody was reached), UNCLEAR (no answer, none that can be
 * believed, or the CA says that it does not know the certificate), LOCAL (the chain is not one: code "chain"). */
typedef void revoked_done_fn(const struct outcome *o, const struct revocation_status *status, void *owner);
/* fullchain_pem (leaf first, its issuer second) is copied; it is read, and signatures are checked, in the pool. At most 20 s
 * for each way, and more while a CRL waits for others. */
void revoked_start(struct revoked *r, const char *fullchain_pem, revoked_done_fn *done, void *owner,
		   struct revoked_call **ret);
void revoked_cancel(struct revoked_call **c);
