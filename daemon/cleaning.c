/* SPDX-License-Identifier: Apache-2.0 */
/* A duty of a domain beside its issuance: removing proofs from webroots and DNS. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/core/proof.h"
#include "daemon/dcv/webroot.h"
#include "daemon/dnsproof.h"

struct cleaning {
	struct domain *domain;
	struct record_proof *proofs; /* what is removed: one file, or records of one provider */
	size_t n_proofs;
	struct dnsproof *dns;
	struct work *work;
};

struct clean_work {
	struct cleaning *run;
	char *webroot;
	char *token;
	int rc;
	struct err err;
};

static void run_free(struct cleaning *r)
{
	for (size_t i = 0; i < r->n_proofs; i++)
		record_proof_done(&r->proofs[i]);
	free(r->proofs);
	free(r);
}

static void work_free(struct clean_work *w)
{
	free(w->webroot);
	free(w->token);
	free(w);
}

static void work_drop(void *arg)
{
	work_free(arg);
}

static void withdraw_run(void *arg)
{
	struct clean_work *w = arg;

	w->rc = webroot_withdraw(w->webroot, w->token, &w->err);
}

/* All that this run was for has the same fate. */
static void cleaned(struct cleaning *r, const struct outcome *o)
{
	struct domain *d = r->domain;
	struct job_update u = { 0 };
	struct job_env env;

	d->flight->cleaning = NULL;
	runner_env(d, &env);
	for (size_t i = 0; i < r->n_proofs; i++) {
		uint32_t at = record_find_proof(d->rec, &r->proofs[i]);

		if (at == DUTY_NONE)
			continue;
		duty_clean_done(d->rec, at, &env, o, &u);
		if (o->fault != FAULT_NONE)
			break;
	}
	run_free(r);
	runner_update(d, &u);
}

static void withdraw_done(void *arg)
{
	struct clean_work *w = arg;
	struct cleaning *r = w->run;
	struct outcome o = OUTCOME_OK;

	r->work = NULL;
	if (w->rc < 0)
		(void)outcome_set(&o, FAULT_LOCAL, "webroot", "%s", w->err.text);
	work_free(w);
	cleaned(r, &o);
}

static void records_gone(const struct outcome *o, const char *targets, void *owner)
{
	struct cleaning *r = owner;
	struct outcome copy = *o;

	(void)targets;
	r->dns = NULL;
	cleaned(r, &copy);
}

static void take_proof(struct cleaning *r, const struct record_proof *p)
{
	r->proofs = xrealloc_array(r->proofs, r->n_proofs + 1, sizeof(*r->proofs));
	record_proof_copy(p, &r->proofs[r->n_proofs++]);
}

/* All records of the provider together; one by one when that failed, so that each has an outcome of its own. */
static void clean_records(struct cleaning *r, const struct record *rec, uint32_t first)
{
	const char *provider = rec->proofs[first].where;

	take_proof(r, &rec->proofs[first]);
	for (uint32_t i = first + 1; i < rec->n_proofs && rec->clean_attempts == 0; i++) {
		const struct record_proof *p = &rec->proofs[i];

		if (p->place != PROOF_WEBROOT && strcmp(p->where, provider) == 0 && !proof_is_needed(rec, p))
			take_proof(r, p);
	}
	dnsproof_withdraw(r->domain, r->proofs, r->n_proofs, records_gone, r, &r->dns);
}

static void start_clean(struct domain *d, uint32_t i)
{
	const struct record_proof *p = &d->rec->proofs[i];
	struct cleaning *r = xmalloc(sizeof(*r));
	struct clean_work *w;

	r->domain = d;
	runner_flight(d)->cleaning = r;
	if (p->place != PROOF_WEBROOT) {
		clean_records(r, d->rec, i);
		return;
	}
	take_proof(r, p);
	w = xmalloc(sizeof(*w));
	w->run = r;
	w->token = proof_file_text(p->value);
	w->webroot = xstrdup(p->where);
	work_start(d->app->loop, withdraw_run, withdraw_done, w, &r->work);
}

void cleaning_start(struct domain *d)
{
	uint32_t i;

	if (d->rec->n_proofs == 0 || (d->flight && d->flight->cleaning))
		return;
	i = duty_clean_due(d->rec, clock_now());
	if (i != DUTY_NONE)
		start_clean(d, i);
}

void cleaning_cancel(struct domain *d)
{
	struct cleaning *r = TAKE_PTR(d->flight->cleaning);

	if (!r)
		return;
	dnsproof_cancel(&r->dns);
	if (r->work)
		work_cancel(&r->work, work_drop);
	run_free(r);
}
