/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a job that block: keys, chains, webroots, generations. Pool threads get copies and give values back. */
#include "daemon/operations_priv.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/words.h"
#include "daemon/core/proof.h"
#include "daemon/dcv/webroot.h"

#include <assert.h>

/* What a pool thread gets: copies, never pointers into the program (but for the store's descriptors and the
 * counted trust). */
struct local_work {
	struct operation *operation;
	struct generation_dirs dirs;
	struct shared_trust *trust;
	char *name;
	unsigned generation;
	unsigned reuse_generation; /* not 0: take the key of this one if it fits */
	enum key_type key_type;
	unsigned key_bits;
	struct words names;
	char *webroot;
	char *token;
	struct words own; /* values of ours that may be replaced */
	char *pem;
	struct chain *chain;
	char *csr; /* result */
	enum fault fault_if_bad;
	const char *code;
	int rc;
	struct err err;
};

static void local_free(struct local_work *w)
{
	if (!w)
		return;
	free(w->name);
	words_done(&w->names);
	words_done(&w->own);
	free(w->webroot);
	free(w->token);
	free(w->pem);
	chain_free(w->chain);
	free(w->csr);
	trust_put(w->trust);
	free(w);
}

static void local_drop(void *arg)
{
	local_free(arg);
}

static struct local_work *local_new(struct operation *o)
{
	const struct domain *d = o->domain;
	struct local_work *w = xmalloc(sizeof(*w));

	w->operation = o;
	w->dirs = d->app->dirs;
	w->name = xstrdup(d->rec->name);
	w->generation = d->rec->job->generation;
	w->fault_if_bad = FAULT_LOCAL;
	w->code = "local";
	return w;
}

static void fault_of(const struct local_work *w, struct outcome *o)
{
	(void)outcome_set(o, w->fault_if_bad, w->code, "%s", w->err.text);
}

/* A place of ours that cannot be read or written is tried again; what the world must mend as well. */
static void local_done(void *arg)
{
	struct local_work *w = arg;
	struct operation *o = w->operation;
	struct job_event ev = { .kind = EV_DONE };
	struct record_cert cert = { 0 };
	struct outcome fault = OUTCOME_OK;

	o->work = NULL;
	if (w->rc == FS_ESYNC)
		app_die_of_disk(w->err.text);
	if (w->rc < 0) {
		fault_of(w, &fault);
		if (o->op == OP_INSTALL) /* checked already: only the writing is repeated */
			o->domain->flight->chain = TAKE_PTR(w->chain);
		local_free(w);
		operation_fault(o, &fault);
		return;
	}
	if (o->op == OP_DOWNLOAD) {
		chain_free(o->domain->flight->chain);
		o->domain->flight->chain = TAKE_PTR(w->chain);
	}
	if (o->op == OP_INSTALL && w->chain) {
		cert.serial = w->chain->info.serial;
		cert.not_before = w->chain->info.not_before;
		cert.not_after = w->chain->info.not_after;
		ev.cert = &cert;
	}
	ev.csr = w->csr;
	ev.generation = w->generation;
	operation_finish(o, &ev);
	local_free(w);
}

static void run_local(struct operation *o, struct local_work *w, void (*fn)(void *arg))
{
	work_start(o->domain->app->loop, fn, local_done, w, &o->work);
}

static int take_key(struct local_work *w, struct key **ret)
{
	_cleanup_wipe_ char *pem = NULL;

	if (w->reuse_generation != 0 &&
	    generation_key(&w->dirs, w->name, w->reuse_generation, &pem, NULL) == 0 &&
	    key_from_pem(pem, strlen(pem), ret, NULL) == 0) {
		if (key_matches(*ret, w->key_type, w->key_bits))
			return 0;
		key_free(TAKE_PTR(*ret));
	}
	return key_generate(w->key_type, w->key_bits, ret, &w->err);
}

static void prepare_run(void *arg)
{
	struct local_work *w = arg;
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_wipe_ char *pem = NULL;

	w->rc = take_key(w, &key);
	if (w->rc == 0)
		w->rc = csr_make(key, (const char *const *)w->names.list, w->names.n, &w->csr, &w->err);
	if (w->rc == 0)
		w->rc = key_to_pem(key, NULL, &pem, &w->err);
	if (w->rc == 0)
		w->rc = generation_next(&w->dirs, w->name, w->generation, &w->generation, &w->err);
	if (w->rc == 0)
		w->rc = generation_begin(&w->dirs, w->name, w->generation, pem, &w->err);
}

void local_prepare(struct operation *o)
{
	static const enum key_type TYPES[] = {
		[CFG_KEY_RSA] = KEY_RSA, [CFG_KEY_EC_P256] = KEY_EC_P256, [CFG_KEY_EC_P384] = KEY_EC_P384
	};
	const struct domain *d = o->domain;
	struct local_work *w = local_new(o);

	w->key_type = TYPES[d->spec->key.type];
	w->key_bits = d->spec->key.bits;
	w->reuse_generation = d->spec->key.reuse && !d->rec->job->new_key ? d->rec->cert.generation : 0;
	words_split(d->rec->job->names, &w->names);
	run_local(o, w, prepare_run);
}

static void publish_run(void *arg)
{
	struct local_work *w = arg;

	w->rc = webroot_publish(w->webroot, w->token, (const char *const *)w->own.list, w->own.n, &w->err);
}

static void add_own(struct local_work *w, const struct record *r)
{
	for (uint32_t i = 0; i < r->n_proofs; i++) {
		const struct record_proof *p = &r->proofs[i];
		_cleanup_free_ char *text = NULL;

		if (p->place != PROOF_WEBROOT || strcmp(p->where, w->webroot) != 0)
			continue;
		text = proof_file_text(p->value);
		words_add(&w->own, text);
	}
}

/* The lock of the webroot is ours: what another domain has there is of before a restart or of before its webroot was changed,
 * and it puts its value up again when its turn comes. */
void local_publish(struct domain *d)
{
	const struct app *a = d->app;
	const struct domain *leaving;
	struct local_work *w = local_new(d->flight->operation);

	w->code = "webroot";
	w->webroot = xstrdup(d->spec->dcv.webroot);
	w->token = proof_file_text(d->rec->job->dcv_token);
	for (size_t i = 0; i < a->n_domains; i++)
		add_own(w, a->domains[i]->rec);
	TAILQ_FOREACH(leaving, &a->leaving, leaving)
	{
		add_own(w, leaving->rec);
	}
	run_local(d->flight->operation, w, publish_run);
}

static void check_run(void *arg)
{
	struct local_work *w = arg;
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_wipe_ char *key_pem = NULL;

	w->rc = generation_key(&w->dirs, w->name, w->generation, &key_pem, &w->err);
	if (w->rc == 0)
		w->rc = key_from_pem(key_pem, strlen(key_pem), &key, &w->err);
	if (w->rc < 0) {
		err_prefix(&w->err, "our own key");
		return;
	}
	w->rc = chain_check(w->pem, strlen(w->pem), key, (const char *const *)w->names.list, w->names.n,
			    clock_now(), w->trust->trust, &w->chain, &w->err);
	if (w->rc < 0) {
		w->fault_if_bad = FAULT_BAD_CERT;
		w->code = "bad_certificate";
	}
}

void local_check(struct operation *o, const char *pem, size_t len)
{
	struct local_work *w = local_new(o);

	w->pem = xstrndup(pem, len);
	w->trust = trust_get(o->domain->app);
	words_split(o->domain->rec->job->names, &w->names);
	run_local(o, w, check_run);
}

static void install_run(void *arg)
{
	struct local_work *w = arg;

	w->rc = generation_install(&w->dirs, w->name, w->generation, w->chain->cert, w->chain->chain,
				   w->chain->fullchain, &w->err);
}

/* What was checked is still in memory; when it is not, it is fetched again. */
void local_install(struct operation *o)
{
	struct flight *f = o->domain->flight;
	struct local_work *w = local_new(o);

	assert(f->chain);
	w->code = "install";
	w->chain = TAKE_PTR(f->chain);
	run_local(o, w, install_run);
}

void local_cancel(struct operation *o)
{
	if (o->work)
		work_cancel(&o->work, local_drop);
}
