/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a job: starting each one with copies of what it needs, and translating its answer into an
 * event of the core. Callbacks translate and nothing else. */
#include "daemon/operations_priv.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/words.h"
#include "daemon/core/proof.h"
#include "daemon/messages.h"
#include "daemon/pki/token.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

enum job_op operation_kind(const struct operation *o)
{
	return o ? o->op : OP_NONE;
}

bool operation_is_local(const struct operation *o)
{
	return o && o->work;
}

/* A domain on its way out hears only what has to be on disk: an order that was placed, a generation that is live. The end of
 * anything else would lead on, to a paid post at worst, for a domain that nobody wants any more. */
static bool is_heard(const struct domain *d, enum job_op op)
{
	return !d->is_leaving || op == OP_SUBMIT || op == OP_INSTALL;
}

/* The operation is over: the event goes to the core. The operation is gone before, so that the event can
 * start the next one. */
void operation_finish(struct operation *o, struct job_event *ev)
{
	struct domain *d = o->domain;
	struct job_update nothing = { 0 };

	ev->op = o->op;
	d->flight->operation = NULL;
	free(o);
	if (is_heard(d, ev->op))
		runner_event(d, ev);
	else
		runner_update(d, &nothing);
}

void operation_fault(struct operation *o, const struct outcome *outcome)
{
	struct outcome copy = *outcome;

	operation_finish(o, &(struct job_event){ .kind = EV_FAULT, .outcome = &copy });
}

/* --- answers of CertCentral --- */

/* Not ours: the order has another common name or another request than the intent. What it does not
 * tell cannot contradict. */
static bool is_foreign(const struct record_job *j, const struct cc_reply *r)
{
	size_t len = strcspn(j->names, " ");

	if (r->common_name &&
	    (strlen(r->common_name) != len || strncasecmp(r->common_name, j->names, len) != 0))
		return true;
	return r->csr && j->csr && !csr_same(r->csr, j->csr);
}

/* Several orders with our reference should not exist. The best one to go on with: issued before pending
 * before ended, the oldest first. */
static const struct cc_entry *best_entry(const struct cc_reply *r)
{
	static const int RANK[] = { [ORDER_ISSUED] = 0,
				    [ORDER_PENDING] = 1,
				    [ORDER_NEEDS_APPROVAL] = 2,
				    [ORDER_UNKNOWN] = 3,
				    [ORDER_ENDED] = 4 };
	const struct cc_entry *best = NULL;

	for (size_t i = 0; i < r->n_entries; i++) {
		const struct cc_entry *e = &r->entries[i];
		int rank = RANK[order_state_of(e->status)];

		if (!best || rank < RANK[order_state_of(best->status)] ||
		    (rank == RANK[order_state_of(best->status)] && e->order_id < best->order_id))
			best = e;
	}
	return best;
}

static void find_event(const struct cc_reply *r, struct job_event *ev)
{
	const struct cc_entry *e = best_entry(r);

	ev->n_matches = (unsigned)r->n_entries;
	if (!e)
		return;
	ev->order_id = e->order_id;
	ev->certificate_id = e->certificate_id;
	ev->order_state = order_state_of(e->status);
}

/* Once for all domains: each of them shows it as well. */
static void key_is_stopped(struct app *a, const struct outcome *o)
{
	if (a->key_is_stopped)
		return;
	a->key_is_stopped = true;
	log_event(LOG_LEVEL_ERROR, &MSG_KEY_STOPPED, NULL,
		  "nothing is asked with this API key any more until a reload or a restart: %s", o->message);
}

/* The order to be reissued, asked for our request: it shows ours once it is issued, and before that only that one is pending.
 * Nobody else should reissue an order of ours; should it happen, the certificate does not fit our key, and is not installed. */
static void find_reissue(const struct record_job *j, const struct cc_reply *r, struct job_event *ev)
{
	bool is_ours = r->csr && csr_same(r->csr, j->csr);

	ev->n_matches = is_ours || r->reissue_pending;
	ev->certificate_id = is_ours ? r->certificate_id : 0;
}

static void info_event(const struct record *rec, const struct cc_reply *r, struct job_event *ev)
{
	const struct record_job *j = rec->job;

	if (j->kind == JOB_ORDER) {
		ev->foreign = is_foreign(j, r);
		return;
	}
	/* Whoever was given a random value need not be approved any more. */
	if (r->reissue_pending)
		ev->order_state = r->needs_approval && !j->dcv_token ? ORDER_NEEDS_APPROVAL : ORDER_PENDING;
	ev->stale = ev->order_state == ORDER_ISSUED &&
		    (r->csr ? !csr_same(r->csr, j->csr) : r->certificate_id == rec->cert.certificate_id);
	/* As long as the reissue is pending, the order shows the certificate of before. */
	if (ev->stale || ev->order_state != ORDER_ISSUED)
		ev->certificate_id = 0;
}

/* The answer to an order: with request tokens it brings the chain, if the CA took them. */
static void submit_event(struct domain *d, const struct cc_reply *r, struct job_event *ev)
{
	if (r->pem) {
		ev->order_state = ORDER_ISSUED;
		free(d->flight->answer);
		d->flight->answer = xstrndup(r->pem, r->pem_len);
	} else if (d->rec->job->instant) {
		authkey_forget(d->app); /* perhaps it is another one now */
	}
}

static void fill_event(struct domain *d, enum job_op op, const struct cc_reply *r, struct job_event *ev)
{
	ev->order_id = r->order_id;
	ev->certificate_id = r->certificate_id;
	ev->order_state =
		r->needs_approval && op == OP_SUBMIT ? ORDER_NEEDS_APPROVAL : order_state_of(r->status);
	ev->order_word = r->status_word;
	ev->order_valid_until = r->order_valid_until;
	ev->dcv_token = r->dcv_token;
	ev->dcv_token_expires_at = r->dcv_token_expires_at;
	ev->validated = r->validated;
	ev->detail = r->not_validated && r->not_validated[0] ? r->not_validated : r->outcome.message;
	if (ev->detail && !ev->detail[0])
		ev->detail = NULL;
	ev->token_expired = strcmp(r->outcome.code, "random_value_expired") == 0;
	if (op == OP_FIND && d->rec->job->kind == JOB_REISSUE)
		find_reissue(d->rec->job, r, ev);
	else if (op == OP_FIND)
		find_event(r, ev);
	else if (op == OP_SUBMIT)
		submit_event(d, r, ev);
	else if (op == OP_INFO)
		info_event(d->rec, r, ev);
}

/* A reissue that is refused: perhaps the order is over, and nobody has told. Whoever goes on from there has to know. */
static void refused(const struct operation *o, const struct outcome *outcome)
{
	if (o->op == OP_SUBMIT && outcome->fault == FAULT_REFUSED && o->domain->rec->job->kind == JOB_REISSUE)
		o->domain->watch_order_at = clock_now();
}

static void answered(const struct cc_reply *r, void *owner)
{
	struct operation *o = owner;
	struct job_event ev = { .kind = EV_DONE };

	o->call = NULL;
	if (r->outcome.fault == FAULT_AUTH)
		key_is_stopped(o->domain->app, &r->outcome);
	if (r->outcome.fault != FAULT_NONE) {
		refused(o, &r->outcome);
		operation_fault(o, &r->outcome);
		return;
	}
	if (o->op == OP_DOWNLOAD) {
		local_check(o, r->pem, r->pem_len);
		return;
	}
	fill_event(o->domain, o->op, r, &ev);
	operation_finish(o, &ev);
}

/* --- proofs --- */

static void deferred_done(void *arg)
{
	struct operation *o = arg;

	if (!o->domain) { /* cancelled meanwhile */
		free(o);
		return;
	}
	operation_finish(o, &(struct job_event){ .kind = EV_DONE });
}

static void dns_done(const struct outcome *outcome, const char *targets, void *owner)
{
	struct operation *o = owner;

	o->dns = NULL;
	if (outcome->fault != FAULT_NONE)
		operation_fault(o, outcome);
	else
		operation_finish(o, &(struct job_event){ .kind = EV_DONE, .targets = targets });
}

static void start_publish(struct operation *o)
{
	struct domain *d = o->domain;

	if (proof_is_dns(d->spec->dcv.method)) {
		dnsproof_publish(d, dns_done, o, &o->dns);
		return;
	}
	if (!d->spec->dcv.webroot) { /* served by the runner since the value is known */
		o->deferred = true;
		loop_defer(d->app->loop, deferred_done, o);
		return;
	}
	if (lock_take(d, d->spec->dcv.webroot, local_publish))
		local_publish(d);
	else
		runner_look(lock_owner(d)); /* it may be able to let us in */
}

static void looked(const struct outcome *outcome, void *owner)
{
	struct operation *o = owner;

	o->look = NULL;
	if (outcome->fault != FAULT_NONE)
		operation_fault(o, outcome);
	else
		operation_finish(o, &(struct job_event){ .kind = EV_DONE });
}

static void start_look(struct operation *o)
{
	struct domain *d = o->domain;
	const struct cfg_preflight *p = &d->config->preflight;
	_cleanup_words_ struct words names = WORDS_INIT;
	_cleanup_free_ char *text = NULL;

	if (proof_is_dns(d->spec->dcv.method)) {
		dnsproof_look(d, dns_done, o, &o->dns);
		return;
	}
	text = proof_file_text(d->rec->job->dcv_token);
	words_split(d->rec->job->names, &names);
	preflight_start(d->app->preflight, (const char *const *)names.list, names.n, text,
			p->http == CFG_LOOK_AT ? p->http_addr : NULL, looked, o, &o->look);
}

/* --- request tokens --- */

/* One for each spelling of the CSR that the CA may hash; any one of them is enough. */
static int make_tokens(const struct secret *key, const char *csr, char **ret)
{
	_cleanup_words_ struct words tokens = WORDS_INIT;
	char *texts[REQUEST_TOKEN_VARIANTS], token[REQUEST_TOKEN_LEN + 1];
	size_t n = request_token_variants(csr, texts);
	int rc = n > 0 ? 0 : -EINVAL;

	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = request_token(key, clock_now(), texts[i], strlen(texts[i]), token);
		if (rc == 0)
			words_add(&tokens, token);
		free(texts[i]);
	}
	if (rc == 0)
		*ret = words_join(&tokens);
	return rc;
}

static void got_key(const struct outcome *outcome, const struct secret *key, void *owner)
{
	struct operation *o = owner;
	_cleanup_free_ char *tokens = NULL;
	struct outcome bad = OUTCOME_OK;

	o->authkey = NULL;
	if (outcome->fault != FAULT_NONE) {
		operation_fault(o, outcome);
	} else if (make_tokens(key, o->domain->rec->job->csr, &tokens) < 0) {
		(void)outcome_set(&bad, FAULT_REFUSED, "request_token",
				  "no request token can be made of this AuthKey and CSR");
		operation_fault(o, &bad);
	} else {
		operation_finish(o, &(struct job_event){ .kind = EV_DONE, .dcv_token = tokens });
	}
}

/* --- requests --- */

/* A certificate must not outlive its plan; where the plan is shorter than what may be asked for, nothing is asked for, and the CA
 * gives what is left. */
static int64_t days_to_ask(const struct domain *d)
{
	const struct cfg_certcentral *c = &d->config->certcentral;
	int64_t plan = c->order_years * 365 * 86400;

	if (d->rec->job->kind == JOB_REISSUE && d->rec->cert.order_valid_until)
		plan = d->rec->cert.order_valid_until - clock_now();
	return c->max_cert_days * 86400 < plan ? c->max_cert_days : 0;
}

static void start_submit(struct operation *o)
{
	struct domain *d = o->domain;
	const struct cfg_certcentral *c = &d->config->certcentral;
	const struct record_job *j = d->rec->job;
	_cleanup_words_ struct words names = WORDS_INIT;
	struct cc_order order = {
		.product = d->spec->product,
		.csr = j->csr,
		.reference = j->reference,
		.dcv_method = cfg_dcv_method_name(j->method),
		.dcv_emails = d->spec->dcv.emails,
		.n_dcv_emails = d->spec->dcv.n_emails,
		.use_auth_key = j->instant,
		.auth_key_id = c->auth_key_id,
		.order_years = c->order_years,
		.cert_days = days_to_ask(d),
		.payment_method = c->payment_method,
	};

	words_split(j->names, &names);
	order.names = (const char *const *)names.list;
	order.n_names = names.n;
	if (j->kind == JOB_REISSUE) {
		cc_order_reissue(d->app->cc, j->of_order_id, &order, runner_urgency(d), answered, o,
				 &o->call);
		return;
	}
	order.renewal_of_order_id = j->of_order_id;
	cc_order_submit(d->app->cc, &order, runner_urgency(d), answered, o, &o->call);
}

static void start_find(struct operation *o)
{
	struct domain *d = o->domain;
	const struct record_job *j = d->rec->job;

	if (j->kind == JOB_REISSUE)
		cc_order_info(d->app->cc, j->of_order_id, runner_urgency(d), answered, o, &o->call);
	else
		cc_order_find(d->app->cc, j->reference, runner_urgency(d), answered, o, &o->call);
}

/* What came with the answer to the order needs no request. */
static void start_download(struct operation *o)
{
	struct domain *d = o->domain;
	_cleanup_free_ char *pem = TAKE_PTR(d->flight->answer);

	if (pem)
		local_check(o, pem, strlen(pem));
	else
		cc_download(d->app->cc, d->rec->job->certificate_id, runner_urgency(d), answered, o,
			    &o->call);
}

void operation_start(struct domain *d, enum job_op op)
{
	struct operation *o = xmalloc(sizeof(*o));
	struct cc *cc = d->app->cc;
	const struct record_job *j = d->rec->job;
	int64_t prio = runner_urgency(d);

	assert(!runner_flight(d)->operation);
	o->domain = d;
	o->op = op;
	d->flight->operation = o;
	switch (op) {
	case OP_PREPARE: local_prepare(o); break;
	case OP_EARLY: authkey_get(d->app, prio, got_key, o, &o->authkey); break;
	case OP_SUBMIT: start_submit(o); break;
	case OP_FIND: start_find(o); break;
	case OP_INFO: cc_order_info(cc, j->order_id, prio, answered, o, &o->call); break;
	case OP_METHOD:
		cc_dcv_method(cc, j->order_id, cfg_dcv_method_name(d->spec->dcv.method), prio, answered, o,
			      &o->call);
		break;
	case OP_TOKEN: cc_dcv_token(cc, j->order_id, prio, answered, o, &o->call); break;
	case OP_TARGETS: dnsproof_targets(d, dns_done, o, &o->dns); break;
	case OP_PUBLISH: start_publish(o); break;
	case OP_LOOK: start_look(o); break;
	case OP_CHECK: cc_dcv_check(cc, j->order_id, prio, answered, o, &o->call); break;
	case OP_DOWNLOAD: start_download(o); break;
	case OP_INSTALL: local_install(o); break;
	case OP_NONE:
	case OP_NR: break;
	}
}

void operation_cancel(struct domain *d)
{
	struct operation *o = d->flight ? d->flight->operation : NULL;

	if (!o)
		return;
	d->flight->operation = NULL;
	lock_leave_queue(d);
	cc_cancel(&o->call);
	preflight_cancel(&o->look);
	dnsproof_cancel(&o->dns);
	authkey_cancel(&o->authkey);
	local_cancel(o);
	o->domain = NULL;
	if (!o->deferred) /* else deferred_done frees it */
		free(o);
}
