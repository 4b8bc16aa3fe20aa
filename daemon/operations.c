/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a job: starting each one with copies of what it needs, and translating its answer into an
 * event of the core. Callbacks translate and nothing else. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/dcv/webroot.h"
#include "daemon/messages.h"

#include <assert.h>
#include <strings.h>

struct operation {
	struct domain *domain;
	enum job_op op;
	struct cc_call *call;
	struct preflight_call *look;
	struct work *work;
	bool deferred; /* its answer comes from loop_defer */
};

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
	char **names;
	size_t n_names;
	char *webroot;
	char *token;
	char **own; /* values of ours that may be replaced */
	size_t n_own;
	char *pem;
	struct chain *chain;
	char *csr; /* result */
	enum fault fault_if_bad;
	const char *code;
	int rc;
	struct err err;
};

enum job_op operation_kind(const struct operation *o)
{
	return o ? o->op : OP_NONE;
}

bool operation_is_local(const struct operation *o)
{
	return o && o->work;
}

static void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void local_free(struct local_work *w)
{
	if (!w)
		return;
	free(w->name);
	free_list(w->names, w->n_names);
	free_list(w->own, w->n_own);
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

static void split_names(const char *names, char ***ret, size_t *ret_n)
{
	_cleanup_free_ char *copy = xstrdup(names);
	char *save = NULL;
	char **list = NULL;
	size_t n = 0;

	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		list = xrealloc_array(list, n + 1, sizeof(*list));
		list[n++] = xstrdup(s);
	}
	*ret = list;
	*ret_n = n;
}

/* The operation is over: the event goes to the core. The operation is gone before, so that the event can
 * start the next one. */
static void finish(struct operation *o, struct job_event *ev)
{
	struct domain *d = o->domain;

	ev->op = o->op;
	d->flight->operation = NULL;
	free(o);
	runner_event(d, ev);
}

static void finish_fault(struct operation *o, const struct outcome *outcome)
{
	struct outcome copy = *outcome;

	finish(o, &(struct job_event){ .kind = EV_FAULT, .outcome = &copy });
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

static void start_download_check(struct operation *o, const struct cc_reply *r);

/* Once for all domains: each of them shows it as well. */
static void key_is_stopped(struct app *a, const struct outcome *o)
{
	if (a->key_is_stopped)
		return;
	a->key_is_stopped = true;
	log_event(LOG_LEVEL_ERROR, &MSG_KEY_STOPPED, NULL,
		  "nothing is asked with this API key any more until a reload or a restart: %s", o->message);
}

static void answered(const struct cc_reply *r, void *owner)
{
	struct operation *o = owner;
	struct job_event ev = { .kind = EV_DONE };

	o->call = NULL;
	if (r->outcome.fault == FAULT_AUTH)
		key_is_stopped(o->domain->app, &r->outcome);
	if (r->outcome.fault != FAULT_NONE) {
		finish_fault(o, &r->outcome);
		return;
	}
	if (o->op == OP_DOWNLOAD) {
		start_download_check(o, r);
		return;
	}
	ev.order_id = r->order_id;
	ev.certificate_id = r->certificate_id;
	ev.order_state = r->needs_approval ? ORDER_NEEDS_APPROVAL : order_state_of(r->status);
	ev.order_word = r->status_word;
	ev.order_valid_until = r->order_valid_until;
	ev.dcv_token = r->dcv_token;
	ev.dcv_token_expires_at = r->dcv_token_expires_at;
	ev.validated = r->validated;
	ev.detail = r->not_validated && r->not_validated[0] ? r->not_validated : r->outcome.message;
	if (ev.detail && !ev.detail[0])
		ev.detail = NULL;
	ev.token_expired = strcmp(r->outcome.code, "random_value_expired") == 0;
	if (o->op == OP_FIND)
		find_event(r, &ev);
	if (o->op == OP_SUBMIT && r->pem)
		ev.order_state = ORDER_ISSUED;
	ev.foreign = o->op == OP_INFO && is_foreign(o->domain->rec->job, r);
	finish(o, &ev);
}

/* --- local work --- */

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
		finish_fault(o, &fault);
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
	finish(o, &ev);
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
		w->rc = csr_make(key, (const char *const *)w->names, w->n_names, &w->csr, &w->err);
	if (w->rc == 0)
		w->rc = key_to_pem(key, NULL, &pem, &w->err);
	if (w->rc == 0)
		w->rc = generation_next(&w->dirs, w->name, w->generation, &w->generation, &w->err);
	if (w->rc == 0)
		w->rc = generation_begin(&w->dirs, w->name, w->generation, pem, &w->err);
}

static void start_prepare(struct operation *o)
{
	static const enum key_type TYPES[] = {
		[CFG_KEY_RSA] = KEY_RSA, [CFG_KEY_EC_P256] = KEY_EC_P256, [CFG_KEY_EC_P384] = KEY_EC_P384
	};
	const struct domain *d = o->domain;
	struct local_work *w = local_new(o);

	w->key_type = TYPES[d->spec->key.type];
	w->key_bits = d->spec->key.bits;
	w->reuse_generation = d->spec->key.reuse ? d->rec->cert.generation : 0;
	split_names(d->rec->job->names, &w->names, &w->n_names);
	run_local(o, w, prepare_run);
}

static void publish_run(void *arg)
{
	struct local_work *w = arg;

	w->rc = webroot_publish(w->webroot, w->token, (const char *const *)w->own, w->n_own, &w->err);
}

static void add_own(struct local_work *w, const struct record *r)
{
	for (uint32_t i = 0; i < r->n_proofs; i++) {
		if (strcmp(r->proofs[i].webroot, w->webroot) != 0)
			continue;
		w->own = xrealloc_array(w->own, w->n_own + 1, sizeof(*w->own));
		w->own[w->n_own++] = xstrdup(r->proofs[i].token);
	}
}

/* The lock of the webroot is ours: what another domain has there is of before a restart or of before its webroot was changed,
 * and it puts its value up again when its turn comes. */
static void publish_now(struct domain *d)
{
	const struct app *a = d->app;
	const struct domain *leaving;
	struct local_work *w = local_new(d->flight->operation);

	w->code = "webroot";
	w->webroot = xstrdup(d->spec->dcv.webroot);
	w->token = xstrdup(d->rec->job->dcv_token);
	for (size_t i = 0; i < a->n_domains; i++)
		add_own(w, a->domains[i]->rec);
	TAILQ_FOREACH(leaving, &a->leaving, leaving)
	{
		add_own(w, leaving->rec);
	}
	run_local(d->flight->operation, w, publish_run);
}

static void deferred_done(void *arg)
{
	struct operation *o = arg;

	if (!o->domain) { /* cancelled meanwhile */
		free(o);
		return;
	}
	finish(o, &(struct job_event){ .kind = EV_DONE });
}

static void start_publish(struct operation *o)
{
	struct domain *d = o->domain;

	if (d->spec->dcv.responder) { /* served by the runner since the value is known */
		o->deferred = true;
		loop_defer(d->app->loop, deferred_done, o);
		return;
	}
	if (lock_take(d, d->spec->dcv.webroot, publish_now))
		publish_now(d);
	else
		runner_look(lock_owner(d)); /* it may be able to let us in */
}

static void looked(const struct outcome *outcome, void *owner)
{
	struct operation *o = owner;

	o->look = NULL;
	if (outcome->fault != FAULT_NONE)
		finish_fault(o, outcome);
	else
		finish(o, &(struct job_event){ .kind = EV_DONE });
}

static void start_look(struct operation *o)
{
	struct domain *d = o->domain;
	const struct cfg_preflight *p = &d->config->preflight;
	char **names = NULL;
	size_t n = 0;

	split_names(d->rec->job->names, &names, &n);
	preflight_start(d->app->preflight, (const char *const *)names, n, d->rec->job->dcv_token,
			p->http == CFG_LOOK_AT ? p->http_addr : NULL, looked, o, &o->look);
	free_list(names, n);
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
	w->rc = chain_check(w->pem, strlen(w->pem), key, (const char *const *)w->names, w->n_names,
			    clock_now(), w->trust->trust, &w->chain, &w->err);
	if (w->rc < 0) {
		w->fault_if_bad = FAULT_BAD_CERT;
		w->code = "bad_certificate";
	}
}

static void start_download_check(struct operation *o, const struct cc_reply *r)
{
	struct local_work *w = local_new(o);

	w->pem = xstrndup(r->pem, r->pem_len);
	w->trust = trust_get(o->domain->app);
	split_names(o->domain->rec->job->names, &w->names, &w->n_names);
	run_local(o, w, check_run);
}

static void install_run(void *arg)
{
	struct local_work *w = arg;

	w->rc = generation_install(&w->dirs, w->name, w->generation, w->chain->cert, w->chain->chain,
				   w->chain->fullchain, &w->err);
}

/* What was checked is still in memory; when it is not, it is fetched again. */
static void start_install(struct operation *o)
{
	struct flight *f = o->domain->flight;
	struct local_work *w = local_new(o);

	assert(f->chain);
	w->code = "install";
	w->chain = TAKE_PTR(f->chain);
	run_local(o, w, install_run);
}

/* --- requests --- */

static int64_t priority_of(const struct domain *d)
{
	return d->rec->cert.generation ? d->rec->cert.not_after : clock_now() + 7 * 86400;
}

static void start_submit(struct operation *o)
{
	struct domain *d = o->domain;
	const struct cfg_certcentral *c = &d->config->certcentral;
	char **names = NULL;
	size_t n = 0;

	split_names(d->rec->job->names, &names, &n);
	cc_order_submit(d->app->cc,
			&(struct cc_order){ .product = d->spec->product,
					    .names = (const char *const *)names,
					    .n_names = n,
					    .csr = d->rec->job->csr,
					    .reference = d->rec->job->reference,
					    .dcv_method = "http-token",
					    .order_years = c->order_years,
					    .cert_days = c->max_cert_days,
					    .payment_method = c->payment_method },
			priority_of(d), answered, o, &o->call);
	free_list(names, n);
}

static void start_request(struct operation *o)
{
	struct domain *d = o->domain;
	struct cc *cc = d->app->cc;
	const struct record_job *j = d->rec->job;
	int64_t prio = priority_of(d);

	if (o->op == OP_FIND)
		cc_order_find(cc, j->reference, prio, answered, o, &o->call);
	else if (o->op == OP_INFO)
		cc_order_info(cc, j->order_id, prio, answered, o, &o->call);
	else if (o->op == OP_TOKEN)
		cc_dcv_token(cc, j->order_id, prio, answered, o, &o->call);
	else if (o->op == OP_CHECK)
		cc_dcv_check(cc, j->order_id, prio, answered, o, &o->call);
	else
		cc_download(cc, j->certificate_id, prio, answered, o, &o->call);
}

void operation_start(struct domain *d, enum job_op op)
{
	struct operation *o = xmalloc(sizeof(*o));

	assert(!runner_flight(d)->operation);
	o->domain = d;
	o->op = op;
	d->flight->operation = o;
	switch (op) {
	case OP_PREPARE: start_prepare(o); break;
	case OP_SUBMIT: start_submit(o); break;
	case OP_PUBLISH: start_publish(o); break;
	case OP_LOOK: start_look(o); break;
	case OP_INSTALL: start_install(o); break;
	case OP_FIND:
	case OP_INFO:
	case OP_TOKEN:
	case OP_CHECK:
	case OP_DOWNLOAD: start_request(o); break;
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
	if (o->work)
		work_cancel(&o->work, local_drop);
	o->domain = NULL;
	if (!o->deferred) /* else deferred_done frees it */
		free(o);
}
