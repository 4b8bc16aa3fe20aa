/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of orders: wished for, issued, cut to the plan, revoked. Knows nothing of status words
 * and of proofs; orders.c does. All with the lock held. */
#pragma once

#include "tests/sandbox/order_request.h"
#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

/* A new certificate of the order. Takes names and CSR out of the wish. */
struct certificate *certificates_add(struct sandbox *sb, struct order *o, enum certificate_kind kind,
				     struct order_wish *w);
/* Signs it. A reissue becomes the order's active certificate. */
void certificates_issue(struct sandbox *sb, struct certificate *c);
/* Is there any life left for it: of the order's plan and, for a duplicate, of the original? */
bool certificates_can_live(const struct sandbox *sb, const struct certificate *c);
bool certificates_plan_over(const struct sandbox *sb, const struct order *o);
/* A reissue as somebody makes it at the console: issued at once, for a key that nobody here has. */
void certificates_reissue_by_console(struct sandbox *sb, struct order *o);
/* The certificate a path segment names by id; NULL with 404 in *rp. */
struct certificate *certificates_get(struct sandbox *sb, const char *id, struct reply *rp);
/* The same, also by serial number; only what is issued. */
struct certificate *certificates_get_issued(struct sandbox *sb, const char *id_or_serial, struct reply *rp);
bool certificates_revoked(const struct sandbox *sb, const struct certificate *c);
/* Revokes one certificate, or with c NULL all of the order, and leaves the order what it is. Is one left that is good? */
bool certificates_revoke_only(struct sandbox *sb, struct order *o, struct certificate *c, const char *reason);
/* Revokes one certificate, or with c NULL all of the order and the order itself. The order is revoked
 * also when its last good certificate is. reason: CertCentral's word, a literal; NULL = none. */
void certificates_revoke(struct sandbox *sb, struct order *o, struct certificate *c, const char *reason);
size_t certificates_count(const struct order *o, enum certificate_kind kind); /* issued ones */
/* [{"subject_common_name","pem"}]: leaf, intermediate, root. */
struct json *certificates_chain_json(const struct sandbox *sb, const struct certificate *c);
/* {"id","certificate_id","certificate_chain"}: what an order answers that is issued at once. */
struct json *certificates_issued_json(const struct sandbox *sb, const struct certificate *c);
/* As order info shows it. */
struct json *certificates_json(const struct sandbox *sb, const struct certificate *c);

void json_set_moment(struct json *j, const char *key, int64_t at); /* "2026-11-21T08:00:00+00:00" */
/* A date without a time: nobody may plan by it, and this is how CertCentral tempts people to. */
void json_set_date(struct json *j, const char *key, int64_t at);
