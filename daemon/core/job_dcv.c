/* SPDX-License-Identifier: Apache-2.0 */
/* The answers about the proof of control: the value, its places, putting it up, looking, and the CA's check. */
#include "daemon/core/job_priv.h"

#include "common/mem.h"
#include "daemon/core/proof.h"
#include "daemon/core/retry.h"

/* Our own look fails this often before the CA is asked all the same: it delays, it never blocks. */
#define LOOKS_BEFORE_ASKING 5
/* A value is renewed this long before it expires. */
#define VALUE_MARGIN 86400
/* The CA may look for another value than ours, and no answer says so: somebody made a new one in the console, or a request that makes
 * one reached the CA twice. So after that many checks in vain it is asked for a value again, which costs nothing: most of a day
 * of them, or an hour when our own look finds what the CA does not. Not sooner, because the servers of a name may lag, and would
 * then be behind for ever; and pauses go on growing, so that the next one takes longer. */
#define DOUBTS_MAX	   24
#define DOUBTS_THOUGH_SEEN 4

void job_take_value(struct record_job *j, const char *value, int64_t expires_at)
{
	job_set_str(&j->dcv_token, value);
	j->dcv_token_expires_at = expires_at;
	j->looked = false;
	j->looks = 0;
	j->doubts = 0;
}

bool job_value_is_usable(const struct job_ctx *c)
{
	const struct record_job *j = c->job;

	return j->dcv_token && j->doubts < DOUBTS_MAX &&
	       (j->dcv_token_expires_at == 0 || c->env->now < j->dcv_token_expires_at - VALUE_MARGIN);
}

bool job_waits_for_click(const struct job_ctx *c)
{
	return c->job->method == CFG_DCV_EMAIL && c->env->spec->dcv.method == CFG_DCV_EMAIL &&
	       (!c->job->method_asked || c->job->method_refused);
}

/* Who has to click what. The lists are cut where a person would stop reading. */
static char *click_text(const struct job_ctx *c)
{
	const struct cfg_dcv *dcv = &c->env->spec->dcv;
	_cleanup_free_ char *who = record_join_names(dcv->emails, dcv->n_emails);

	return xasprintf(
		"the CA has sent mail to %.150s: somebody there has to follow the link in it for %.150s", who,
		c->job->names);
}

/* Nothing is published: the CA has written to somebody, and that one's click is awaited. */
void job_wait_for_click(struct job_ctx *c)
{
	_cleanup_free_ char *text = click_text(c);

	if (!c->rec->error.code || strcmp(c->rec->error.code, "waits_for_email") != 0)
		job_report(c->u, REPORT_EMAIL, "order %lld: %s", (long long)c->job->order_id, text);
	record_set_error(c->rec, c->env->now, "waits_for_email", text);
	c->u->persist = true;
}

/* Records of the method or of the value before are being taken down. Beside a CNAME there can be no other record, so servers would drop the new one
 * without a word, or what was our own CNAME would pass for a delegation. */
static bool has_old_records(const struct job_ctx *c)
{
	for (uint32_t i = 0; i < c->rec->n_proofs; i++) {
		const struct record_proof *p = &c->rec->proofs[i];

		if (p->place != PROOF_WEBROOT && !proof_is_needed(c->rec, p))
			return true;
	}
	return false;
}

void job_on_token(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (c->ev->kind == EV_FAULT) {
		job_question_fault(c);
		return;
	}
	job_take_value(j, c->ev->dcv_token, c->ev->dcv_token_expires_at);
	j->republish = j->phase == PHASE_CHECK;
	c->u->persist = true;
	/* A value that is already expired would ask again and again: take it for good until the next check. */
	if (!job_value_is_usable(c))
		j->dcv_token_expires_at = 0;
	if (j->method == CFG_DCV_DNS_CNAME_TOKEN && has_old_records(c))
		j->next_at = c->env->now + c->env->tempo;
	else
		job_begin(c);
}

/* The CA may take it although its answer is lost, and the configuration may want the old one again by then. A method is the order's:
 * it stays when a reissue is given up. */
void job_doubt_method(struct job_ctx *c)
{
	c->job->method_asked = true;
	if (c->job->kind == JOB_REISSUE)
		job_set_str(&c->rec->cert.method, NULL);
	c->u->persist = true;
}

/* It was told again only because an answer was lost. That this is refused means that there is nothing to change, or that no name is to be
 * proven any more; which one it has stays unknown. */
static bool is_refused_again(const struct job_ctx *c)
{
	return c->ev->kind == EV_FAULT && c->ev->outcome->fault == FAULT_REFUSED &&
	       c->job->method == c->env->spec->dcv.method;
}

static void method_is_known(struct job_ctx *c)
{
	struct record_job *j = c->job;

	j->method = c->env->spec->dcv.method;
	j->method_asked = j->method_refused = false;
	if (j->kind == JOB_REISSUE)
		job_set_str(&c->rec->cert.method, cfg_dcv_method_name(j->method));
}

/* The configuration wants another method than the order was placed with. */
void job_on_method(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (c->ev->kind == EV_DONE) {
		method_is_known(c);
	} else if (is_refused_again(c)) {
		j->method_refused = true;
	} else {
		job_question_fault(c);
		return;
	}
	/* The value goes with the method; what a refusal does not tell is asked for. */
	job_take_value(j, c->ev->dcv_token, c->ev->dcv_token_expires_at);
	job_set_str(&j->targets, NULL);
	j->attempts = 0;
	c->u->persist = true;
	if (job_waits_for_click(c)) {
		job_wait_for_click(c);
		job_go_at(c, PHASE_WAIT, c->env->now + RETRY_INFO_FIRST * c->env->tempo);
		return;
	}
	if (proof_is_dns(c->env->spec->dcv.method) && has_old_records(c))
		j->next_at = c->env->now + c->env->tempo;
	else
		job_begin(c);
}

/* A name whose delegation cannot be found out is not written to: it would be the wrong place. */
void job_on_targets(struct job_ctx *c)
{
	const struct outcome *o = c->ev->outcome;

	if (c->ev->kind == EV_FAULT) {
		job_report(c->u, REPORT_RETRY, "%s", o->message);
		job_retry_at(c, o->code, o->message, job_pause(c, c->job->attempts, RETRY_CHECK_CAP));
		return;
	}
	job_set_str(&c->job->targets, c->ev->targets);
	job_begin(c);
}

void job_on_publish(struct job_ctx *c)
{
	if (c->ev->kind == EV_FAULT) {
		job_set_str(&c->job->targets,
			    NULL); /* perhaps the delegation led to the wrong place, and is mended */
		job_retry(c, c->ev->outcome);
		return;
	}
	c->job->looked = !c->env->look;
	c->job->republish = false;
	c->job->published = true;
	/* Put up again between two checks: no news, and the pauses go on growing. */
	if (c->job->phase != PHASE_PUBLISH) {
		job_begin(c);
		return;
	}
	record_set_error(c->rec, c->env->now, NULL, NULL);
	job_report(c->u, REPORT_PUBLISHED, "proof is published");
	job_go(c, PHASE_CHECK);
}

void job_on_look(struct job_ctx *c)
{
	struct record_job *j = c->job;
	const struct outcome *o = c->ev->outcome;

	if (c->ev->kind == EV_DONE) {
		j->looked = true;
		job_begin(c);
		return;
	}
	j->looks++;
	/* Servers drop a CNAME without a word as long as something else stands at its name. */
	j->republish = j->republish || (j->method == CFG_DCV_DNS_CNAME_TOKEN && o->fault == FAULT_REFUSED);
	record_set_error(c->rec, c->env->now, o->code, o->message);
	job_report(c->u, REPORT_NOT_VISIBLE, "%s", o->message);
	if (j->looks >= LOOKS_BEFORE_ASKING) {
		j->looked = true;
		job_begin(c);
		return;
	}
	job_retry_at(c, o->code, o->message, job_pause(c, j->attempts, RETRY_CHECK_CAP));
}

/* The proof may be gone (a site was deployed over it) or in the wrong place (the webroot changed): it is put up again. Then one look
 * of ours before each further check, for a message that tells what is wrong. */
static void not_seen(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;
	bool seen_by_us = c->env->look && j->looks < LOOKS_BEFORE_ASKING;
	_cleanup_free_ char *text = NULL;

	j->doubts += seen_by_us ? DOUBTS_THOUGH_SEEN : 1;
	j->republish = true;
	job_set_str(&j->targets, NULL);
	j->looked = !c->env->look;
	j->looks = LOOKS_BEFORE_ASKING - 1;
	if (ev->token_expired)
		job_take_value(j, NULL, 0);
	text = xasprintf("the CA does not see the proof yet%s%s%s", ev->detail ? ": " : "",
			 ev->detail ? ev->detail : "",
			 job_value_is_usable(c) ? "" : "; next it is asked for another value");
	job_retry_at(c, "not_validated", text, job_pause(c, j->attempts, RETRY_CHECK_CAP));
	job_report(c->u, REPORT_NOT_YET, "%s", c->rec->error.message);
}

void job_on_check(struct job_ctx *c)
{
	const struct job_event *ev = c->ev;
	struct record_job *j = c->job;

	if (ev->kind == EV_FAULT) {
		job_question_fault(c);
		return;
	}
	if (ev->order_state == ORDER_ISSUED) {
		job_order_issued(c);
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
	not_seen(c);
}
