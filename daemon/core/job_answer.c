/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers to a job's operations mean. One function per operation; those about the proof of control are in
 * job_dcv.c, the events that are not answers in job.c. */
#include "daemon/core/job_priv.h"

#include "common/mem.h"
#include "daemon/core/outside.h"
#include "daemon/core/retry.h"

/* Downloads that cannot be installed are an error, no longer a hiccup, from this one on. */
#define BAD_CERTS_LOUD 3

static void adopt_order(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	j->order_id = ev->order_id;
	if (ev->certificate_id)
		j->certificate_id = ev->certificate_id;
	/* Request tokens have done what they could: from here on the CA's random value counts. */
	if (ev->dcv_token || j->instant)
		job_take_value(j, ev->dcv_token, ev->dcv_token_expires_at);
	j->instant = false;
	j->absents = 0; /* of the reference; what is counted from here on is something else */
	record_set_error(c->rec, c->env->now, NULL, NULL);
	c->u->persist = true;
}

static void on_prepare(struct job_ctx *c)
{
	if (c->ev->kind == EV_FAULT) {
		job_retry(c, c->ev->outcome);
		return;
	}
	job_set_str(&c->job->csr, c->ev->csr);
	if (c->ev->generation)
		c->job->generation = c->ev->generation;
	c->job->attempts = 0;
	job_begin(c);
}

/* Good for 30 days; the last five are left to the CA's clock and to pauses. */
#define EARLY_LIFE (25 * INT64_C(86400))

/* Without an AuthKey there is still the ordinary way: a certificate that is late is worse than one more request. */
static void no_early_proof(struct job_ctx *c)
{
	c->job->instant = false;
	job_report(c->u, REPORT_RETRY, "no instant issuance, the ordinary way is taken: %s",
		   c->ev->outcome->message);
	job_begin(c);
}

static void on_early(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (c->ev->kind == EV_FAULT) {
		if (fault_may_pass(c->ev->outcome->fault))
			job_retry(c, c->ev->outcome);
		else
			no_early_proof(c);
		return;
	}
	job_take_value(j, c->ev->dcv_token, c->env->now + EARLY_LIFE);
	j->published = false;
	j->attempts = 0;
	c->u->persist = true;
	job_begin(c);
}

/* The CA surely did not take the post: nothing of ours is out there, and nothing was spent. */
static void not_taken(struct job_ctx *c)
{
	struct record_job *j = c->job;

	/* One that was free of charge has no entry: that of the same second is somebody else's. */
	if (j->is_paid) {
		record_drop_paid(c->rec, j->submitted_at);
		c->u->refund_at = j->submitted_at;
	}
	j->submitted_at = 0;
	j->posts--;
}

/* A key that is not accepted may be another one when the program starts again; a product or an address is not. */
static void hold_for(struct job_ctx *c, const struct outcome *o)
{
	job_hold(c, o->code, o->message);
	c->rec->held_for_key = o->fault == FAULT_AUTH;
}

static void ask_first(struct job_ctx *c)
{
	const struct outcome *o = c->ev->outcome;

	record_set_error(c->rec, c->env->now, o->code, o->message);
	c->u->persist = true;
	job_report(c->u, REPORT_RETRY, "submit: %s; asking whether it was taken", o->message);
	job_go(c, PHASE_RESOLVE);
}

/* The CA does not accept the old order as the one to be renewed (renewed already, another account, too old). */
static bool is_about_renewal(const struct job_ctx *c, const struct outcome *o)
{
	return c->job->kind == JOB_ORDER && c->job->of_order_id != 0 &&
	       (strstr(o->code, "renewal") || strstr(o->message, "renewal_of_order_id"));
}

/* It was not taken. A certificate that runs out is worse than an order that does not name its predecessor. */
static void order_afresh(struct job_ctx *c, const struct outcome *o)
{
	c->job->of_order_id = 0;
	job_report(c->u, REPORT_RETRY, "submit: %s; ordering without naming the old order", o->message);
	job_begin(c);
}

static void submit_fault(struct job_ctx *c, const struct outcome *o)
{
	switch (o->fault) {
	case FAULT_UNSENT:
	case FAULT_THROTTLED:
	case FAULT_LOCAL:
	case FAULT_BUSY:
		not_taken(c);
		job_retry(c, o);
		break;
	case FAULT_REFUSED:
		not_taken(c);
		if (is_about_renewal(c, o))
			order_afresh(c, o);
		else
			job_give_up(c, o->code, o->message);
		break;
	case FAULT_NOT_FOUND:
		if (c->job->kind == JOB_ORDER) {
			ask_first(c);
			break;
		}
		not_taken(c);
		c->rec->cert.order_over = true;
		job_give_up(c, o->code, o->message);
		break;
	case FAULT_AUTH:
	case FAULT_CONFIG:
		not_taken(c);
		hold_for(c, o);
		break;
	case FAULT_UNCLEAR:
	case FAULT_DUPLICATE:
	case FAULT_BAD_CERT:
	case FAULT_NONE:
	case FAULT_NR: ask_first(c); break;
	}
}

static void on_submit(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	bool was_instant = c->job->instant;

	if (ev->kind == EV_FAULT) {
		submit_fault(c, ev->outcome);
		return;
	}
	adopt_order(c);
	job_report(c->u, REPORT_ORDERED, "order %lld %s", (long long)ev->order_id,
		   c->job->kind == JOB_REISSUE ? "is being reissued" : "placed");
	if (ev->order_state == ORDER_ISSUED && c->job->certificate_id) {
		c->job->issued = true;
		job_go(c, PHASE_DOWNLOAD);
	} else if (ev->order_state == ORDER_NEEDS_APPROVAL) {
		job_go(c, PHASE_WAIT);
	} else if (job_waits_for_click(c)) {
		job_wait_for_click(c);
		job_go_at(c, PHASE_WAIT, c->env->now + RETRY_INFO_FIRST * c->env->tempo);
	} else {
		if (was_instant)
			job_report(c->u, REPORT_RETRY,
				   "order %lld: the CA did not take the request tokens, the ordinary way is "
				   "taken",
				   (long long)ev->order_id);
		job_go(c, PHASE_PUBLISH);
	}
}

/* Faults of requests that may be repeated freely. */
void job_question_fault(struct job_ctx *c)
{
	const struct outcome *o = c->ev->outcome;

	switch (o->fault) {
	case FAULT_AUTH:
	case FAULT_CONFIG: hold_for(c, o); break;
	case FAULT_REFUSED:
	case FAULT_DUPLICATE:
		if (c->job->refusals++ > 0 || c->job->phase == PHASE_RESOLVE) {
			job_hold(c, o->code, o->message);
		} else if (c->job->phase == PHASE_WAIT) {
			job_retry(c, o);
		} else {
			record_set_error(c->rec, c->env->now, o->code, o->message);
			job_report(c->u, REPORT_RETRY, "%s: %s; asking for the order's state",
				   job_phase_name(c->job->phase), o->message);
			job_go(c, PHASE_WAIT);
		}
		break;
	case FAULT_UNSENT:
	case FAULT_UNCLEAR:
	case FAULT_THROTTLED:
	case FAULT_NOT_FOUND:
	case FAULT_LOCAL:
	case FAULT_BAD_CERT:
	case FAULT_BUSY:
	case FAULT_NONE:
	case FAULT_NR: job_retry(c, o); break;
	}
}

/* "Not found" is not "not ordered" until it was said several times over a while: lists lag. Each further
 * post of the same intent doubles the while. */
static bool absence_is_proven(const struct job_ctx *c)
{
	const struct record_job *j = c->job;
	unsigned doublings = MIN(j->posts > 0 ? j->posts - 1 : 0, 5u);
	int64_t age = c->env->tempo * RETRY_ABSENT_AGE * ((int64_t)1 << doublings);

	return j->absents >= RETRY_ABSENT_LOOKS && c->env->now - j->absent_at >= age;
}

static void order_ended(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	int64_t id = c->job->order_id ? c->job->order_id : c->job->of_order_id;
	_cleanup_free_ char *code = xasprintf("order_%s", ev->order_word ? ev->order_word : "ended");
	_cleanup_free_ char *text =
		xasprintf("order %lld is %s", (long long)id, ev->order_word ? ev->order_word : "ended");

	/* The end of the plan in use: what follows from it is the same, whoever hears of it first. */
	if (c->job->kind == JOB_REISSUE) {
		outside_learn(c->rec, c->env,
			      &(struct outside){ .order_state = ORDER_ENDED, .order_word = ev->order_word },
			      c->u);
		if (!c->job->canceled) {
			job_end(c);
			return;
		}
	}
	job_give_up(c, code, text);
}

static void on_find(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	if (ev->kind == EV_FAULT) {
		job_question_fault(c);
		return;
	}
	if (ev->order_state == ORDER_ENDED && c->job->kind == JOB_REISSUE) {
		order_ended(c);
		return;
	}
	if (ev->n_matches > 0) {
		adopt_order(c);
		job_report(c->u, REPORT_ADOPTED, "order %lld carries our %s: adopted",
			   (long long)ev->order_id, j->kind == JOB_REISSUE ? "request" : "reference");
		if (ev->n_matches > 1)
			job_report(c->u, REPORT_MANY_ORDERS,
				   "%u orders carry reference %s: going on with %lld, look at the others in "
				   "the console",
				   ev->n_matches, j->reference, (long long)ev->order_id);
		job_go(c, PHASE_WAIT);
		return;
	}
	if (j->absents++ == 0)
		j->absent_at = c->env->now;
	c->u->persist = true;
	if (absence_is_proven(c)) {
		job_report(c->u, REPORT_ORDER_ABSENT, "nothing at the CA carries our %s: it was never taken",
			   j->kind == JOB_REISSUE ? "request" : "reference");
		j->submitted_at = 0;
		job_go(c, PHASE_SUBMIT);
		return;
	}
	j->next_at = c->env->now + job_pause(c, MIN(j->absents, 4u), RETRY_CAP);
}

void job_order_issued(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (c->ev->certificate_id)
		j->certificate_id = c->ev->certificate_id;
	j->validated = true;
	j->issued = true;
	/* Order info confirms it, names the certificate and tells the end of the plan. */
	if (j->phase != PHASE_WAIT) {
		job_go(c, PHASE_WAIT);
		return;
	}
	if (j->certificate_id == 0) {
		job_retry_at(c, "no_certificate_id", "the order is issued but names no certificate yet",
			     job_pause(c, j->attempts, RETRY_CHECK_CAP));
		return;
	}
	job_report(c->u, REPORT_ISSUED, "order %lld is issued, certificate %lld", (long long)j->order_id,
		   (long long)j->certificate_id);
	job_go(c, PHASE_DOWNLOAD);
}

/* Slow reconciliation: the poll of status-changes is only a hint. */
static void wait_more(struct job_ctx *c)
{
	int64_t pace = RETRY_INFO_FIRST * job_pause(c, c->job->attempts, RETRY_INFO_CAP / RETRY_INFO_FIRST);

	c->job->attempts++;
	c->job->next_at = c->env->now + pace;
}

static void info_done(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	switch (ev->order_state) {
	case ORDER_ISSUED: job_order_issued(c); break;
	case ORDER_ENDED: order_ended(c); break;
	case ORDER_PENDING:
		if (!j->validated && job_waits_for_click(c)) {
			job_wait_for_click(c);
			wait_more(c);
			break;
		}
		if (!j->validated) {
			job_go(c, PHASE_PUBLISH);
			break;
		}
		record_set_error(c->rec, c->env->now, NULL, NULL);
		wait_more(c);
		break;
	case ORDER_NEEDS_APPROVAL:
		record_set_error(c->rec, c->env->now, "needs_approval",
				 "the order waits for an approval in the CertCentral console");
		job_report(c->u, REPORT_APPROVAL, "order %lld: %s", (long long)j->order_id,
			   c->rec->error.message);
		wait_more(c);
		break;
	case ORDER_UNKNOWN:
		job_report(c->u, REPORT_UNKNOWN_STATUS,
			   "order %lld has the unknown status \"%s\": asking again", (long long)j->order_id,
			   ev->order_word ? ev->order_word : "");
		wait_more(c);
		break;
	}
}

/* The order that we reissue is issued, and what it shows is not our request. Answers may lag; after a while it is clear that somebody
 * canceled ours, or reissued the order after us. */
static void on_stale(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (j->absents++ == 0)
		j->absent_at = c->env->now;
	if (absence_is_proven(c)) {
		if (j->canceled)
			job_give_up(c, "reissue_canceled", "the reissue was canceled");
		else
			job_give_up(c, "reissue_gone",
				    "the reissue was canceled or replaced by somebody: look at the order in "
				    "the console");
		return;
	}
	c->u->persist = true;
	j->next_at = c->env->now + job_pause(c, MIN(j->absents, 4u), RETRY_CAP);
}

static void on_info(struct job_ctx *c)
{
	if (c->ev->kind == EV_FAULT) {
		job_question_fault(c);
		return;
	}
	/* One that has ended binds nobody: the next attempt has a reference of its own. */
	if (c->ev->foreign && c->ev->order_state != ORDER_ENDED) {
		job_hold(c, "foreign_order",
			 "the order with our reference has other names or another CSR: look at it "
			 "in the console before you release this domain");
		return;
	}
	if (c->ev->order_valid_until)
		c->job->order_valid_until = c->ev->order_valid_until;
	if (c->ev->stale) {
		on_stale(c);
		return;
	}
	c->job->absents = 0;
	if (c->ev->certificate_id)
		c->job->certificate_id = c->ev->certificate_id;
	info_done(c);
}

static void bad_cert(struct job_ctx *c)
{
	struct record_job *j = c->job;
	const struct outcome *o = c->ev->outcome;
	int64_t delay = job_pause(c, j->bad_certs, RETRY_CAP);

	j->bad_certs++;
	record_set_error(c->rec, c->env->now, o->code, o->message);
	c->u->persist = true;
	job_report(c->u, j->bad_certs >= BAD_CERTS_LOUD ? REPORT_BAD_CERT : REPORT_RETRY,
		   "certificate %lld is not installed: %s", (long long)j->certificate_id, o->message);
	/* The order's current certificate may be another one by then: ask first. */
	job_go_at(c, PHASE_WAIT, c->env->now + delay);
}

static void on_download(struct job_ctx *c)
{
	if (c->ev->kind == EV_DONE)
		job_go(c, PHASE_INSTALL);
	else if (c->ev->outcome->fault == FAULT_BAD_CERT || c->ev->outcome->fault == FAULT_REFUSED)
		bad_cert(c);
	else
		job_question_fault(c);
}

/* Where the CA does not tell the end of the plan, it is as long as was ordered. */
static int64_t plan_end(const struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (j->order_valid_until)
		return j->order_valid_until;
	if (j->kind == JOB_REISSUE)
		return c->rec->cert.order_valid_until;
	return (j->submitted_at ? j->submitted_at : j->started_at) + c->env->plan_life;
}

static void on_install(struct job_ctx *c)
{
	const struct record_cert *in = c->ev->cert;
	struct record_cert *cert = &c->rec->cert;

	if (c->ev->kind == EV_FAULT) {
		if (c->ev->outcome->fault == FAULT_BAD_CERT)
			bad_cert(c);
		else
			job_retry(c, c->ev->outcome);
		return;
	}
	record_keep_previous(c->rec);
	c->rec->rest_until = 0;
	job_set_str(&cert->serial, in->serial);
	job_set_str(&cert->names, c->job->names);
	job_set_str(&cert->key, c->job->key);
	job_set_str(&cert->method, c->job->method_asked ? NULL : cfg_dcv_method_name(c->job->method));
	job_set_str(&cert->revoked_for, NULL);
	cert->order_valid_until = plan_end(c);
	cert->replaces_revoked = cert->revoked_at != 0;
	cert->revoked_at = 0;
	cert->order_over = false;
	cert->order_unknown = false;
	cert->key_lost = false;
	cert->other_id = 0;
	cert->generation = c->job->generation;
	cert->order_id = c->job->order_id;
	cert->certificate_id = c->job->certificate_id;
	cert->not_before = in->not_before;
	cert->not_after = in->not_after;
	cert->installed_at = c->env->now;
	record_set_error(c->rec, c->env->now, NULL, NULL);
	job_end(c);
	c->u->installed = true;
	job_report(c->u, REPORT_INSTALLED, "generation %04u is live, certificate %lld of order %lld",
		   cert->generation, (long long)cert->certificate_id, (long long)cert->order_id);
}

void job_answer(struct job_ctx *c)
{
	if (c->job->next_at != 0 || c->rec->held || job_end_if_canceled(c))
		return;
	/* An answer to what is not asked any more (the value expired meanwhile): ask the right thing. */
	if (c->ev->op != job_next_op(c)) {
		job_begin(c);
		return;
	}
	switch (c->ev->op) {
	case OP_PREPARE: on_prepare(c); break;
	case OP_EARLY: on_early(c); break;
	case OP_SUBMIT: on_submit(c); break;
	case OP_FIND: on_find(c); break;
	case OP_INFO: on_info(c); break;
	case OP_METHOD: job_on_method(c); break;
	case OP_TOKEN: job_on_token(c); break;
	case OP_TARGETS: job_on_targets(c); break;
	case OP_PUBLISH: job_on_publish(c); break;
	case OP_LOOK: job_on_look(c); break;
	case OP_CHECK: job_on_check(c); break;
	case OP_DOWNLOAD: on_download(c); break;
	case OP_INSTALL: on_install(c); break;
	case OP_NONE:
	case OP_NR: break;
	}
}
