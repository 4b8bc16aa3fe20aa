/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers to a job's operations mean. One function per operation; the events that are not answers
 * are in job.c. */
#include "daemon/core/job_priv.h"

#include "common/mem.h"
#include "daemon/core/retry.h"

/* Our own look fails this often before the CA is asked all the same: it delays, it never blocks. */
#define LOOKS_BEFORE_ASKING 5
/* Downloads that cannot be installed are an error, no longer a hiccup, from this one on. */
#define BAD_CERTS_LOUD 3

static void adopt_order(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	j->order_id = ev->order_id;
	if (ev->certificate_id)
		j->certificate_id = ev->certificate_id;
	if (ev->dcv_token) {
		job_set_str(&j->dcv_token, ev->dcv_token);
		j->dcv_token_expires_at = ev->dcv_token_expires_at;
	}
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
	job_go(c, PHASE_SUBMIT);
}

/* The CA surely did not take the post: nothing of ours is out there, and nothing was spent. */
static void not_taken(struct job_ctx *c)
{
	struct record_job *j = c->job;

	record_drop_paid(c->rec, j->submitted_at);
	c->u->refund_at = j->submitted_at;
	j->submitted_at = 0;
	j->posts--;
}

/* A key that is not accepted may be another one when the program starts again; a product or an address is not. */
static void hold_for(struct job_ctx *c, const struct outcome *o)
{
	job_hold(c, o->code, o->message);
	c->rec->held_for_key = o->fault == FAULT_AUTH;
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
		job_give_up(c, o->code, o->message);
		break;
	case FAULT_AUTH:
	case FAULT_CONFIG:
		not_taken(c);
		hold_for(c, o);
		break;
	case FAULT_UNCLEAR:
	case FAULT_DUPLICATE:
	case FAULT_NOT_FOUND:
	case FAULT_BAD_CERT:
	case FAULT_NONE:
	case FAULT_NR:
		record_set_error(c->rec, c->env->now, o->code, o->message);
		c->u->persist = true;
		job_report(c->u, REPORT_RETRY, "submit: %s; asking for an order with our reference",
			   o->message);
		job_go(c, PHASE_RESOLVE);
		break;
	}
}

static void on_submit(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;

	if (ev->kind == EV_FAULT) {
		submit_fault(c, ev->outcome);
		return;
	}
	adopt_order(c);
	job_report(c->u, REPORT_ORDERED, "order %lld placed", (long long)ev->order_id);
	if (ev->order_state == ORDER_ISSUED && c->job->certificate_id) {
		c->job->issued = true;
		job_go(c, PHASE_DOWNLOAD);
	} else if (ev->order_state == ORDER_NEEDS_APPROVAL) {
		job_go(c, PHASE_WAIT);
	} else {
		job_go(c, PHASE_PUBLISH);
	}
}

/* Faults of requests that may be repeated freely. */
static void question_fault(struct job_ctx *c)
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

static void on_find(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	if (ev->kind == EV_FAULT) {
		question_fault(c);
		return;
	}
	if (ev->n_matches > 0) {
		adopt_order(c);
		job_report(c->u, REPORT_ADOPTED, "order %lld carries our reference: adopted",
			   (long long)ev->order_id);
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
		job_report(c->u, REPORT_ORDER_ABSENT, "no order with reference %s: it was never placed",
			   j->reference);
		j->submitted_at = 0;
		job_go(c, PHASE_SUBMIT);
		return;
	}
	j->next_at = c->env->now + job_pause(c, MIN(j->absents, 4u), RETRY_CAP);
}

static void order_ended(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	_cleanup_free_ char *code = xasprintf("order_%s", ev->order_word ? ev->order_word : "ended");
	_cleanup_free_ char *text = xasprintf("order %lld is %s", (long long)c->job->order_id,
					      ev->order_word ? ev->order_word : "ended");

	job_give_up(c, code, text);
}

static void order_issued(struct job_ctx *c)
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
	case ORDER_ISSUED: order_issued(c); break;
	case ORDER_ENDED: order_ended(c); break;
	case ORDER_PENDING:
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

static void on_info(struct job_ctx *c)
{
	if (c->ev->kind == EV_FAULT) {
		question_fault(c);
		return;
	}
	/* One that has ended binds nobody: the next attempt has a reference of its own. */
	if (c->ev->foreign && c->ev->order_state != ORDER_ENDED) {
		job_hold(c, "foreign_order",
			 "the order with our reference has other names or another CSR: look at it "
			 "in the console before you release this domain");
		return;
	}
	if (c->ev->certificate_id)
		c->job->certificate_id = c->ev->certificate_id;
	if (c->ev->order_valid_until)
		c->job->order_valid_until = c->ev->order_valid_until;
	info_done(c);
}

static void on_token(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (c->ev->kind == EV_FAULT) {
		question_fault(c);
		return;
	}
	job_set_str(&j->dcv_token, c->ev->dcv_token);
	j->dcv_token_expires_at = c->ev->dcv_token_expires_at;
	j->looked = false;
	j->looks = 0;
	c->u->persist = true;
	/* A value that is already expired would ask again and again: take it for good until the next check. */
	if (!job_token_is_usable(c))
		j->dcv_token_expires_at = 0;
	job_begin(c);
}

static void on_publish(struct job_ctx *c)
{
	if (c->ev->kind == EV_FAULT) {
		job_retry(c, c->ev->outcome);
		return;
	}
	c->job->looked = !c->env->look;
	c->job->republish = false;
	/* Put up again between two checks: no news, and the pauses go on growing. */
	if (c->job->phase == PHASE_CHECK) {
		job_begin(c);
		return;
	}
	record_set_error(c->rec, c->env->now, NULL, NULL);
	job_report(c->u, REPORT_PUBLISHED, "proof is published");
	job_go(c, PHASE_CHECK);
}

static void on_look(struct job_ctx *c)
{
	struct record_job *j = c->job;
	const struct outcome *o = c->ev->outcome;

	if (c->ev->kind == EV_DONE) {
		j->looked = true;
		job_begin(c);
		return;
	}
	j->looks++;
	record_set_error(c->rec, c->env->now, o->code, o->message);
	job_report(c->u, REPORT_NOT_VISIBLE, "%s", o->message);
	if (j->looks >= LOOKS_BEFORE_ASKING) {
		j->looked = true;
		job_begin(c);
		return;
	}
	job_retry_at(c, o->code, o->message, job_pause(c, j->attempts, RETRY_CHECK_CAP));
}

static void on_check(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	if (ev->kind == EV_FAULT) {
		question_fault(c);
		return;
	}
	if (ev->order_state == ORDER_ISSUED) {
		order_issued(c);
		return;
	}
	if (ev->validated) {
		j->validated = true;
		record_set_error(c->rec, c->env->now, NULL, NULL);
		job_report(c->u, REPORT_VALIDATED, "all names of order %lld are validated",
			   (long long)j->order_id);
		job_go_at(c, PHASE_WAIT, c->env->now + RETRY_INFO_FIRST * c->env->tempo);
		return;
	}
	/* The proof may be gone (a site was deployed over it) or in the wrong place (the webroot changed): put it up
	 * again. Then one look of ours before each further check, for a message that tells what is wrong. */
	j->republish = true;
	j->looked = !c->env->look;
	j->looks = LOOKS_BEFORE_ASKING - 1;
	job_retry_at(c, "not_validated", ev->detail ? ev->detail : "the CA does not see the proof yet",
		     job_pause(c, j->attempts, RETRY_CHECK_CAP));
	job_report(c->u, REPORT_NOT_YET, "%s", c->rec->error.message);
	if (ev->token_expired)
		job_set_str(&j->dcv_token, NULL);
	if (!job_token_is_usable(c))
		job_go_at(c, PHASE_PUBLISH, j->next_at);
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
		question_fault(c);
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
	job_set_str(&cert->serial, in->serial);
	job_set_str(&cert->names, c->job->names);
	cert->generation = c->job->generation;
	cert->order_id = c->job->order_id;
	cert->certificate_id = c->job->certificate_id;
	cert->not_before = in->not_before;
	cert->not_after = in->not_after;
	cert->order_valid_until = c->job->order_valid_until;
	cert->installed_at = c->env->now;
	record_set_error(c->rec, c->env->now, NULL, NULL);
	record_job_free(c->rec->job);
	c->rec->job = c->job = NULL;
	c->u->persist = true;
	c->u->installed = true;
	job_report(c->u, REPORT_INSTALLED, "generation %04u is live, certificate %lld of order %lld",
		   cert->generation, (long long)cert->certificate_id, (long long)cert->order_id);
}

void job_answer(struct job_ctx *c)
{
	if (c->job->next_at != 0 || c->rec->held)
		return;
	/* An answer to what is not asked any more (the value expired meanwhile): ask the right thing. */
	if (c->ev->op != job_next_op(c)) {
		job_begin(c);
		return;
	}
	switch (c->ev->op) {
	case OP_PREPARE: on_prepare(c); break;
	case OP_SUBMIT: on_submit(c); break;
	case OP_FIND: on_find(c); break;
	case OP_INFO: on_info(c); break;
	case OP_TOKEN: on_token(c); break;
	case OP_PUBLISH: on_publish(c); break;
	case OP_LOOK: on_look(c); break;
	case OP_CHECK: on_check(c); break;
	case OP_DOWNLOAD: on_download(c); break;
	case OP_INSTALL: on_install(c); break;
	case OP_NONE:
	case OP_NR: break;
	}
}
