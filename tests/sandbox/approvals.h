/* SPDX-License-Identifier: Apache-2.0 */
/* What CertCentral calls requests (an order, a reissue, a duplicate, a revocation that somebody may have to
 * approve), and the calls that make or settle them without a new certificate: revoke, approve, cancel. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void approvals_settle_request(struct sandbox *sb, const struct request *rq, struct reply *rp);
void approvals_revoke_certificate(struct sandbox *sb, const struct request *rq, struct reply *rp);
void approvals_revoke_order(struct sandbox *sb, const struct request *rq, struct reply *rp);
void approvals_cancel(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* All below: with the lock held. */

/* Notes a request; when it does not wait it counts as approved. Copies comments (NULL = none). */
struct approval *approvals_add(struct sandbox *sb, struct order *o, struct certificate *subject,
			       enum approval_kind kind, bool waits, const char *comments);
/* Does what is asked for now wait for somebody? Only an administrator's key skips that. */
bool approvals_needed(const struct sandbox *sb, bool skip);
/* May it be approved now? What would issue a certificate that cannot live may not. 0, or -1 with the error in *rp. */
int approvals_check(const struct sandbox *sb, const struct approval *a, struct reply *rp) _must_check_;
/* Carries the request out, or gives it up. It must be pending. */
void approvals_settle(struct sandbox *sb, struct approval *a, bool approve);
/* The oldest one that waits; NULL = none does. */
struct approval *approvals_waiting(const struct order *o);
/* Gives the reissue under way up: the order is as it was. */
void approvals_drop_reissue(struct sandbox *sb, struct order *o);
/* [{"id","date","type","status","comments"}] of the order. */
struct json *approvals_json(const struct order *o);
