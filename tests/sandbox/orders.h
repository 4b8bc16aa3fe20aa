/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: orders are placed, found, read, listed, issued. Handlers take the lock themselves; the
 * functions that say so want it held. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void orders_place(struct sandbox *sb, const struct request *rq, struct reply *rp);
void orders_find(struct sandbox *sb, const struct request *rq, struct reply *rp);
void orders_info(struct sandbox *sb, const struct request *rq, struct reply *rp);
void orders_changes(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* Issues the certificate under way at once when all its names show good request tokens, and puts the chain into *rp;
 * else leaves *rp alone. Lock not held. */
void orders_try_instantly(struct sandbox *sb, struct certificate *c, const char *auth_key, struct reply *rp);

/* All below: with the lock held. */

/* The order a path segment names; NULL with 404 in *rp (which may be NULL). */
struct order *orders_get(struct sandbox *sb, const char *id, struct reply *rp);
void orders_set_status(struct sandbox *sb, struct order *o, const char *status);
/* The certificate that proofs are for: the reissue under way, or the first one. */
struct certificate *orders_subject(const struct order *o);
/* Pending, and not because somebody has to approve. */
bool orders_wants_proof(const struct order *o);
/* Issues what is under way and sets `issued`, whatever the proofs say. An order that waits for no
 * certificate only gets the word back. */
void orders_issue(struct sandbox *sb, struct order *o);
/* May the certificate under way be issued: is there life left for it, and does CAA allow it? */
bool orders_may_issue(const struct sandbox *sb, const struct order *o);
/* Issues a pending order whose names are all proven, when the issue delay has gone by. */
void orders_issue_if_due(struct sandbox *sb, struct order *o);
void orders_issue_all_due(struct sandbox *sb);
/* After the sandbox clock jumped: nothing may have happened in the future. */
void orders_clock_moved(struct sandbox *sb);
bool orders_all_proven(const struct certificate *c);
bool order_is(const struct order *o, const char *status);
/* needs_approval: nobody has been told a certificate id yet. */
bool orders_has_certificate_id(const struct order *o);

/* "2026-11-21T08:00:00+00:00", the form CertCentral writes. */
#define ORDERS_TIME_MAX 48
const char *orders_time(int64_t at, char buf[ORDERS_TIME_MAX]);
/* A new random value, valid for token_days. */
void orders_new_token(struct sandbox *sb, struct order *o);
