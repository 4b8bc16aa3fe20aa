/* SPDX-License-Identifier: Apache-2.0 */
/* What others do to our certificates, and what we ask to be revoked. Certificates are revoked by the CA or by somebody in the console,
 * orders are reissued there: it is noticed here, written down, and decide() draws the conclusion. Pure, with the update of job.h. */
#pragma once

#include "daemon/core/job.h"

/* What was heard about the order of the installed certificate; 0 / NULL / false: nothing. */
struct outside {
	enum order_state order_state;
	const char *order_word;
	int64_t certificate_id;	   /* the order's present one */
	int64_t order_valid_until; /* end of the plan */
	bool revoked;		   /* our certificate is */
	int64_t revoked_at;	   /* 0: not told */
	const char *reason;	   /* RFC 5280; NULL: not told */
};

/* Writes down what is new in it. A certificate that is revoked again soon after it replaced a revoked one holds the domain:
 * something is wrong with it that another purchase does not mend. */
void outside_learn(struct record *rec, const struct job_env *env, const struct outside *o,
		   struct job_update *u);

/* The order of a certificate that was read off its files: order_id 0 when the CA knows none, and the next certificate is bought. */
void outside_found(struct record *rec, int64_t order_id, const struct outside *o, struct job_update *u);

/* --- revocations on command --- */

enum revoke_op {
	REVOKE_NONE,
	REVOKE_SEND,	/* PUT .../revoke */
	REVOKE_APPROVE, /* approve rec->revocation->request_id ourselves */
	REVOKE_LOOK	/* order info: is it done? */
};

/* Enters it; false when one is under way already. certificate_id 0: everything of the order. */
bool revoke_begin(struct record *rec, const struct job_env *env, int64_t order_id, int64_t certificate_id,
		  const char *reason, struct job_update *u);
/* What to do about rec->revocation now; NONE when its time has not come. */
enum revoke_op revoke_due(const struct record *rec, int64_t now);
/* DUE_NEVER: nothing. */
int64_t revoke_next_at(const struct record *rec);

/* The operation ended. request_id: SEND was answered with a request that waits for an approval. revoked: LOOK has seen it. What is not
 * seen within 30 days is given up. As long as a whole order is to be revoked, decide() wants nothing. */
void revoke_done(struct record *rec, const struct job_env *env, enum revoke_op op, const struct outcome *o,
		 int64_t request_id, bool revoked, struct job_update *u);
