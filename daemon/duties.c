/* SPDX-License-Identifier: Apache-2.0 */
/* The duties of a domain beside its issuance: bringing the installed generation to its targets, one after the
 * other in the order of the YAML, and removing proofs from webroots and DNS. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "config/diff.h"
#include "daemon/core/proof.h"
#include "daemon/dcv/webroot.h"
#include "daemon/dnsproof.h"

struct duty_run {
	struct domain *domain;
	char *what;		     /* deploy: target */
	unsigned generation;	     /* deploy: which one is brought there */
	struct record_proof *proofs; /* clean: what is removed: one file, or records of one provider */
	size_t n_proofs;
	struct dnsproof *dns;
	struct config *config; /* keeps the target and its secrets alive */
	const struct cfg_deploy *target;
	struct scutum_call *push;
	struct work *work;
};

struct duty_work {
	struct duty_run *run;
	struct generation_dirs dirs;
	char *name;
	unsigned generation;
	struct secret *passphrase;
	struct generation_files files;
	char *webroot;
	char *token;
	int rc;
	struct err err;
};

static void run_free(struct duty_run *r)
{
	config_unref(r->config);
	free(r->what);
	for (size_t i = 0; i < r->n_proofs; i++)
		record_proof_done(&r->proofs[i]);
	free(r->proofs);
	free(r);
}

static void work_free(struct duty_work *w)
{
	generation_files_done(&w->files);
	secret_free(w->passphrase);
	free(w->name);
	free(w->webroot);
	free(w->token);
	free(w);
}

static void work_drop(void *arg)
{
	work_free(arg);
}

/* --- deploy --- */

static uint32_t find_deploy(const struct record *rec, const char *target)
{
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (strcmp(rec->deploys[i].target, target) == 0)
			return i;
	}
	return DUTY_NONE;
}

static const struct cfg_deploy *find_target(const struct domain *d, const char *target)
{
	for (uint32_t i = 0; i < d->spec->n_deploy; i++) {
		if (strcmp(d->spec->deploy[i].target, target) == 0)
			return &d->spec->deploy[i];
	}
	return NULL;
}

/* A reload may have dropped the target meanwhile, or given it another key or id, and a renewal may have made another
 * generation due: then what was brought there is not what is wanted, and the to-do stays. */
static bool is_wanted(const struct duty_run *r, uint32_t i)
{
	const struct domain *d = r->domain;
	const struct cfg_deploy *now = find_target(d, r->what);

	return i != DUTY_NONE && d->rec->deploys[i].generation == r->generation && now &&
	       config_same_deploy(now, r->target);
}

static void deployed(struct duty_run *r, const struct outcome *o)
{
	struct domain *d = r->domain;
	struct job_update u = { 0 };
	struct job_env env;
	uint32_t i = find_deploy(d->rec, r->what);

	d->flight->deploying = NULL;
	runner_env(d, &env);
	if (is_wanted(r, i))
		duty_deploy_done(d->rec, i, &env, o, &u);
	run_free(r);
	runner_update(d, &u);
}

static void pushed(const struct outcome *o, void *owner)
{
	struct duty_run *r = owner;
	struct outcome copy = *o;

	r->push = NULL;
	deployed(r, &copy);
}

/* Reads the generation; with a passphrase the key is encrypted for the journey. */
static void read_run(void *arg)
{
	struct duty_work *w = arg;
	_cleanup_(key_freep) struct key *key = NULL;
	char *encrypted = NULL;

	w->rc = generation_read(&w->dirs, w->name, w->generation, &w->files, &w->err);
	if (w->rc < 0 || !w->passphrase)
		return;
	w->rc = key_from_pem(w->files.key, strlen(w->files.key), &key, &w->err);
	if (w->rc == 0)
		w->rc = key_to_pem(key, secret_bytes(w->passphrase), &encrypted, &w->err);
	if (w->rc < 0)
		return;
	mem_wipe_free(w->files.key);
	w->files.key = encrypted;
}

static void read_done(void *arg)
{
	struct duty_work *w = arg;
	struct duty_run *r = w->run;
	struct scutum_push push;

	r->work = NULL;
	if (w->rc < 0) {
		struct outcome o = OUTCOME_OK;

		(void)outcome_set(&o, FAULT_LOCAL, "local", "%s", w->err.text);
		work_free(w);
		deployed(r, &o);
		return;
	}
	push = (struct scutum_push){
		.target = &r->target->scutum,
		.cert = w->files.cert,
		.key = w->files.key,
		.chain = w->files.chain,
	};
	scutum_push_start(r->domain->app->scutum, &push, pushed, r, &r->push);
	work_free(w);
}

static void start_deploy(struct domain *d, uint32_t i)
{
	const struct record_deploy *item = &d->rec->deploys[i];
	const struct cfg_deploy *target = find_target(d, item->target);
	struct duty_run *r;
	struct duty_work *w;

	if (!target) /* duty_plan keeps both lists alike; nothing to do for a target that is gone */
		return;
	r = xmalloc(sizeof(*r));
	w = xmalloc(sizeof(*w));
	r->domain = d;
	r->what = xstrdup(item->target);
	r->generation = item->generation;
	r->config = config_ref(d->config);
	r->target = target;
	w->run = r;
	w->dirs = d->app->dirs;
	w->name = xstrdup(d->rec->name);
	w->generation = item->generation;
	if (target->scutum.key_passphrase)
		w->passphrase = secret_new(secret_bytes(target->scutum.key_passphrase),
					   secret_len(target->scutum.key_passphrase));
	runner_flight(d)->deploying = r;
	work_start(d->app->loop, read_run, read_done, w, &r->work);
}

/* --- clean --- */

static void withdraw_run(void *arg)
{
	struct duty_work *w = arg;

	w->rc = webroot_withdraw(w->webroot, w->token, &w->err);
}

/* All that this run was for has the same fate. */
static void cleaned(struct duty_run *r, const struct outcome *o)
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
	struct duty_work *w = arg;
	struct duty_run *r = w->run;
	struct outcome o = OUTCOME_OK;

	r->work = NULL;
	if (w->rc < 0)
		(void)outcome_set(&o, FAULT_LOCAL, "webroot", "%s", w->err.text);
	work_free(w);
	cleaned(r, &o);
}

static void records_gone(const struct outcome *o, const char *targets, void *owner)
{
	struct duty_run *r = owner;
	struct outcome copy = *o;

	(void)targets;
	r->dns = NULL;
	cleaned(r, &copy);
}

static void take_proof(struct duty_run *r, const struct record_proof *p)
{
	r->proofs = xrealloc_array(r->proofs, r->n_proofs + 1, sizeof(*r->proofs));
	record_proof_copy(p, &r->proofs[r->n_proofs++]);
}

/* All records of the provider together; one by one when that failed, so that each has an outcome of its own. */
static void clean_records(struct duty_run *r, const struct record *rec, uint32_t first)
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
	struct duty_run *r = xmalloc(sizeof(*r));
	struct duty_work *w;

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

void duties_start(struct domain *d)
{
	int64_t now;
	uint32_t i;

	if (d->rec->n_proofs == 0 && d->rec->n_deploys == 0)
		return;
	now = clock_now();
	if (!d->flight || !d->flight->cleaning) {
		i = duty_clean_due(d->rec, now);
		if (i != DUTY_NONE)
			start_clean(d, i);
	}
	if (!d->is_leaving && (!d->flight || !d->flight->deploying)) {
		i = duty_deploy_due(d->rec, now);
		if (i != DUTY_NONE)
			start_deploy(d, i);
	}
}

static void cancel(struct duty_run **r)
{
	if (!*r)
		return;
	scutum_cancel(&(*r)->push);
	dnsproof_cancel(&(*r)->dns);
	if ((*r)->work)
		work_cancel(&(*r)->work, work_drop);
	run_free(*r);
	*r = NULL;
}

void duties_cancel(struct domain *d)
{
	cancel(&d->flight->deploying);
	cancel(&d->flight->cleaning);
}
