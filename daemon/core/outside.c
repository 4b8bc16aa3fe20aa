/* SPDX-License-Identifier: Apache-2.0 */
/* Facts from outside, and the to-do that brings one about. */
#include "daemon/core/outside.h"

#include "common/mem.h"
#include "daemon/core/decide.h"
#include "daemon/core/retry.h"

/* A replacement that is revoked sooner than this is not replaced again without a person. */
#define AGAIN (7 * INT64_C(86400))

/* A revocation that the CA does not show for this long (an approval was denied, perhaps) is given up, so that another may be asked for. */
#define LOOK_LIFE (30 * INT64_C(86400))

static void hold(struct record *rec, const struct job_env *env, const char *code, const char *message,
		 struct job_update *u)
{
	rec->held = true;
	rec->held_for_key = false;
	record_set_error(rec, env->now, code, message);
	u->persist = true;
	job_report(u, REPORT_HELD, "%s", message);
}

/* An issuance that is under way may be about to use the key once more. What was not sent yet starts over with another one; spec_hash is
 * never 0. */
static void needs_new_key(struct record *rec)
{
	struct record_job *j = rec->job;

	if (!j || j->new_key || !decide_needs_new_key(rec))
		return;
	j->new_key = true;
	if (j->submitted_at == 0 && j->order_id == 0)
		j->spec_hash = 0;
}

static void is_revoked(struct record *rec, const struct job_env *env, int64_t at, const char *reason,
		       struct job_update *u)
{
	struct record_cert *c = &rec->cert;

	if (c->revoked_at != 0) {
		/* The reason may be heard later than the fact, and decides about the key. */
		if (reason && reason[0] && !c->revoked_for) {
			job_set_str(&c->revoked_for, reason);
			u->persist = true;
			needs_new_key(rec);
		}
		return;
	}
	c->revoked_at = at ? at : env->now;
	job_set_str(&c->revoked_for, reason && reason[0] ? reason : NULL);
	u->persist = true;
	needs_new_key(rec);
	job_report(u, REPORT_REVOKED, "certificate %lld is revoked at the CA%s%s",
		   (long long)c->certificate_id, c->revoked_for ? ": " : "",
		   c->revoked_for ? c->revoked_for : "");
	if (c->replaces_revoked && env->now - c->installed_at < AGAIN && !rec->held)
		hold(rec, env, "revoked_again",
		     "the certificate that replaced a revoked one was revoked as well: find out why, then "
		     "dvcertctl renew",
		     u);
}

static void order_is_over(struct record *rec, const struct outside *o, struct job_update *u)
{
	struct record_cert *c = &rec->cert;

	if (c->order_over)
		return;
	c->order_over = true;
	u->persist = true;
	job_report(u, REPORT_ORDER_OVER, "order %lld is %s: the next certificate needs a new order",
		   (long long)c->order_id, o->order_word ? o->order_word : "over");
}

/* Another certificate than ours is the order's present one. While a job of ours is at it, that is ours. */
static void is_reissued(struct record *rec, const struct outside *o, struct job_update *u)
{
	struct record_cert *c = &rec->cert;
	int64_t other_id = o->certificate_id == c->certificate_id ? 0 : o->certificate_id;

	if (rec->job || other_id == c->other_id)
		return;
	c->other_id = other_id;
	u->persist = true;
	if (c->other_id)
		job_report(
			u, REPORT_REISSUED_OUTSIDE,
			"order %lld was reissued by somebody else: certificate %lld, whose key is not here",
			(long long)c->order_id, (long long)c->other_id);
}

void outside_learn(struct record *rec, const struct job_env *env, const struct outside *o,
		   struct job_update *u)
{
	struct record_cert *c = &rec->cert;
	bool word_revoked = o->order_word && strcmp(o->order_word, "revoked") == 0;

	if (c->generation == 0)
		return;
	if (o->order_state == ORDER_ENDED)
		order_is_over(rec, o, u);
	if (o->revoked || (o->order_state == ORDER_ENDED && word_revoked))
		is_revoked(rec, env, o->revoked_at, o->reason, u);
	if (o->certificate_id != 0 && o->order_state == ORDER_ISSUED)
		is_reissued(rec, o, u);
	if (o->order_valid_until != 0 && o->order_valid_until != c->order_valid_until) {
		c->order_valid_until = o->order_valid_until;
		u->persist = true;
	}
}

void outside_found(struct record *rec, int64_t order_id, const struct outside *o, struct job_update *u)
{
	struct record_cert *c = &rec->cert;

	if (!c->order_unknown)
		return;
	c->order_unknown = false;
	c->order_id = order_id;
	c->certificate_id = order_id ? o->certificate_id : 0;
	c->order_valid_until = order_id ? o->order_valid_until : 0;
	u->persist = true;
	if (order_id)
		job_report(u, REPORT_ADOPTED, "the installed certificate is %lld of order %lld",
			   (long long)c->certificate_id, (long long)order_id);
	else
		job_report(
			u, REPORT_ORDER_OVER,
			"CertCentral knows no order of the installed certificate: the next one needs a new "
			"order");
}

bool revoke_begin(struct record *rec, const struct job_env *env, int64_t order_id, int64_t certificate_id,
		  const char *reason, struct job_update *u)
{
	struct record_revocation *v;

	if (rec->revocation)
		return false;
	v = rec->revocation = xmalloc(sizeof(*v));
	v->order_id = order_id;
	v->certificate_id = certificate_id;
	v->reason = reason ? xstrdup(reason) : NULL;
	v->asked_at = env->now;
	u->persist = true;
	if (certificate_id)
		job_report(u, REPORT_REVOKING, "certificate %lld is to be revoked",
			   (long long)certificate_id);
	else
		job_report(u, REPORT_REVOKING, "order %lld is to be revoked, with all its certificates",
			   (long long)order_id);
	return true;
}

static enum revoke_op next_op(const struct record_revocation *v)
{
	if (!v->sent && v->request_id == 0)
		return REVOKE_SEND;
	if (!v->sent && !v->refused)
		return REVOKE_APPROVE;
	return REVOKE_LOOK;
}

enum revoke_op revoke_due(const struct record *rec, int64_t now)
{
	const struct record_revocation *v = rec->revocation;

	return v && v->next_at <= now ? next_op(v) : REVOKE_NONE;
}

int64_t revoke_next_at(const struct record *rec)
{
	return rec->revocation ? rec->revocation->next_at : DUE_NEVER;
}

static void end(struct record *rec, struct job_update *u)
{
	record_revocation_free(rec->revocation);
	rec->revocation = NULL;
	u->persist = true;
}

/* It is true now. A whole order that a person gave up is not bought again without one. */
static void is_done(struct record *rec, const struct job_env *env, struct job_update *u)
{
	const struct record_revocation *v = rec->revocation;
	struct record_cert *c = &rec->cert;

	if (v->certificate_id)
		job_report(u, REPORT_REVOKE_DONE, "certificate %lld is revoked",
			   (long long)v->certificate_id);
	else
		job_report(u, REPORT_REVOKE_DONE, "order %lld is revoked", (long long)v->order_id);
	if (v->order_id == c->order_id &&
	    (v->certificate_id == 0 || v->certificate_id == c->certificate_id)) {
		c->revoked_at = c->revoked_at ? c->revoked_at : env->now;
		if (v->reason)
			job_set_str(&c->revoked_for, v->reason[0] ? v->reason : NULL);
		c->replaces_revoked = false;
	}
	if (v->certificate_id == 0 && v->order_id == c->order_id) {
		c->order_over = true;
		if (!rec->job || (rec->job->kind == JOB_REISSUE && rec->job->of_order_id == v->order_id))
			hold(rec, env, "revoked",
			     "its order was revoked on command: dvcertctl renew places a new (paid) one", u);
	}
	end(rec, u);
}

static void try_later(struct record *rec, const struct job_env *env, const struct outcome *o,
		      struct job_update *u)
{
	struct record_revocation *v = rec->revocation;
	int64_t delay = retry_delay(env->tempo, v->attempts++, RETRY_INFO_CAP, env->rnd);

	v->next_at = env->now + MAX(delay, o->retry_after);
	u->persist = true;
	if (o->fault != FAULT_NONE)
		job_report(u, REPORT_REVOKE_RETRY, "revocation: %s", o->message);
}

static bool is_final(const struct outcome *o)
{
	return o->fault == FAULT_REFUSED || o->fault == FAULT_NOT_FOUND || o->fault == FAULT_AUTH ||
	       o->fault == FAULT_CONFIG;
}

/* Order info shows the present certificate only; of another one nothing more can be learned. */
static bool can_be_seen(const struct record *rec)
{
	const struct record_revocation *v = rec->revocation;

	return v->certificate_id == 0 || v->certificate_id == rec->cert.certificate_id;
}

static void sent(struct record *rec, const struct job_env *env, const struct outcome *o, int64_t request_id,
		 struct job_update *u)
{
	struct record_revocation *v = rec->revocation;

	/* Refused after an attempt that nobody answered: perhaps because that one was taken. */
	if ((o->fault == FAULT_REFUSED || o->fault == FAULT_NOT_FOUND) && v->attempts > 0 &&
	    can_be_seen(rec)) {
		v->sent = v->refused = true;
		v->attempts = 0;
		u->persist = true;
		return;
	}
	if (is_final(o)) {
		job_report(u, REPORT_REVOKE_FAILED, "not revoked: %s", o->message);
		end(rec, u);
		return;
	}
	if (o->fault != FAULT_NONE) {
		try_later(rec, env, o, u);
		return;
	}
	v->attempts = 0;
	v->request_id = request_id;
	v->sent = request_id == 0;
	u->persist = true;
	if (v->sent && !can_be_seen(rec))
		is_done(rec, env, u);
}

static void approved(struct record *rec, const struct job_env *env, const struct outcome *o,
		     struct job_update *u)
{
	struct record_revocation *v = rec->revocation;

	if (o->fault != FAULT_NONE && !is_final(o)) {
		try_later(rec, env, o, u);
		return;
	}
	v->attempts = 0;
	v->sent = o->fault == FAULT_NONE;
	v->refused = !v->sent;
	u->persist = true;
	if (v->refused)
		job_report(
			u, REPORT_APPROVAL,
			"the revocation waits for an approval in the CertCentral console (request %lld): %s",
			(long long)v->request_id, o->message);
	if (!can_be_seen(rec) && v->refused)
		end(rec, u);
	else if (!can_be_seen(rec))
		is_done(rec, env, u);
}

static void looked(struct record *rec, const struct job_env *env, const struct outcome *o, bool revoked,
		   struct job_update *u)
{
	const struct record_revocation *v = rec->revocation;

	/* Its certificate may have been replaced meanwhile: then it is not shown any more. */
	if (revoked || (v->sent && !can_be_seen(rec))) {
		is_done(rec, env, u);
	} else if (!can_be_seen(rec) || env->now - v->asked_at > LOOK_LIFE ||
		   (v->sent && v->refused && o->fault == FAULT_NONE)) {
		job_report(
			u, REPORT_REVOKE_FAILED,
			"not revoked, as far as can be seen: look at order %lld in the CertCentral console",
			(long long)v->order_id);
		end(rec, u);
	} else {
		try_later(rec, env, o, u);
	}
}

void revoke_done(struct record *rec, const struct job_env *env, enum revoke_op op, const struct outcome *o,
		 int64_t request_id, bool revoked, struct job_update *u)
{
	if (!rec->revocation)
		return;
	switch (op) {
	case REVOKE_SEND: sent(rec, env, o, request_id, u); break;
	case REVOKE_APPROVE: approved(rec, env, o, u); break;
	case REVOKE_LOOK: looked(rec, env, o, revoked, u); break;
	case REVOKE_NONE: break;
	}
}
