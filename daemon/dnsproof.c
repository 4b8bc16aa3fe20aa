/* SPDX-License-Identifier: Apache-2.0 */
/* Translates between the record of a domain and the parts that know DNS. */
#include "daemon/dnsproof.h"

#include "common/mem.h"
#include "common/words.h"
#include "daemon/core/proof.h"

#include <strings.h>

struct target {
	struct dnsproof *p;
	struct dnslook_call *call;
	char *name;
	char *end; /* NULL: not known yet */
};

struct dnsproof {
	struct app *app;
	struct config *config; /* keeps the provider alive */
	dnsproof_done_fn *done;
	void *owner;
	struct dnsproof **handle;
	struct records_call *records;
	struct dnslook_call *look;
	bool deferred;
	struct outcome outcome; /* deferred, targets: the first failure */
	char *text;		/* deferred: targets */
	struct target *targets;
	size_t n_targets;
	size_t n_open;
};

static char *names_of(const struct domain *d)
{
	return proof_names(d->rec->job->names, d->spec->dcv.label);
}

/* --- life of a call --- */

static struct dnsproof *proof_new(struct domain *d, dnsproof_done_fn *done, void *owner,
				  struct dnsproof **ret)
{
	struct dnsproof *p = xmalloc(sizeof(*p));

	p->app = d->app;
	p->config = config_ref(d->config);
	p->done = done;
	p->owner = owner;
	p->handle = ret;
	*ret = p;
	return p;
}

static void proof_free(struct dnsproof *p)
{
	for (size_t i = 0; i < p->n_targets; i++) {
		dnslook_cancel(&p->targets[i].call);
		free(p->targets[i].name);
		free(p->targets[i].end);
	}
	free(p->targets);
	free(p->text);
	config_unref(p->config);
	free(p);
}

/* The call is gone before its owner hears of it: it may start the next one there. */
static void finish(struct dnsproof *p, const struct outcome *o, const char *targets)
{
	struct outcome copy = *o;
	_cleanup_free_ char *text = targets ? xstrdup(targets) : NULL;
	dnsproof_done_fn *done = p->done;
	void *owner = p->owner;

	*p->handle = NULL;
	proof_free(p);
	done(&copy, text, owner);
}

static void deferred(void *arg)
{
	struct dnsproof *p = arg;

	if (!p->done) { /* cancelled meanwhile */
		proof_free(p);
		return;
	}
	finish(p, &p->outcome, p->text);
}

static void finish_later(struct dnsproof *p)
{
	p->deferred = true;
	loop_defer(p->app->loop, deferred, p);
}

void dnsproof_cancel(struct dnsproof **ret)
{
	struct dnsproof *p = *ret;

	if (!p)
		return;
	*ret = NULL;
	records_cancel(&p->records);
	dnslook_cancel(&p->look);
	if (p->deferred)
		p->done = NULL; /* deferred() frees it */
	else
		proof_free(p);
}

/* --- where --- */

static void join_targets(struct dnsproof *p)
{
	_cleanup_words_ struct words ends = WORDS_INIT;

	for (size_t i = 0; i < p->n_targets; i++)
		words_add(&ends, p->targets[i].end);
	p->text = words_join(&ends);
}

/* The record of a proof by dns-cname-token is no delegation: nobody but the CA can write where it leads. */
static bool is_proof(const char *name)
{
	size_t len = strlen(name), suffix = strlen(PROOF_CNAME_SUFFIX);

	return len > suffix && strcasecmp(name + len - suffix, PROOF_CNAME_SUFFIX) == 0;
}

static void found(const struct outcome *o, const char *name, void *owner)
{
	struct target *t = owner;
	struct dnsproof *p = t->p;

	t->call = NULL;
	if (name && is_proof(name))
		(void)outcome_set(
			&p->outcome, FAULT_UNCLEAR, "old_cname",
			"%.100s: a CNAME to %.100s still stands there, the proof of an order with "
			"dns-cname-token; no TXT record can be beside it: remove it, if it does not go",
			t->name, name);
	else if (name)
		t->end = xstrdup(name);
	else if (p->outcome.fault == FAULT_NONE)
		(void)outcome_set(&p->outcome, o->fault, o->code, "%.100s: %s", t->name, o->message);
	if (--p->n_open > 0)
		return;
	if (p->outcome.fault == FAULT_NONE)
		join_targets(p);
	finish(p, &p->outcome, p->text);
}

void dnsproof_targets(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret)
{
	struct dnsproof *p = proof_new(d, done, owner, ret);
	const struct cfg_preflight *look = &p->config->preflight;
	_cleanup_free_ char *names = names_of(d);
	_cleanup_words_ struct words w = WORDS_INIT;

	if (look->dns == CFG_LOOK_OFF) {
		p->text = TAKE_PTR(names);
		finish_later(p);
		return;
	}
	words_split(names, &w);
	p->targets = xcalloc(w.n, sizeof(*p->targets));
	p->n_targets = p->n_open = w.n;
	for (size_t i = 0; i < w.n; i++) {
		struct target *t = &p->targets[i];

		t->p = p;
		t->name = xstrdup(w.list[i]);
		dnslook_target_start(p->app->dnslook, t->name, look->dns_addr, found, t, &t->call);
	}
}

/* --- putting up and taking down --- */

static void changed(const struct outcome *o, void *owner)
{
	struct dnsproof *p = owner;

	p->records = NULL;
	finish(p, o, NULL);
}

void dnsproof_publish(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret)
{
	struct dnsproof *p = proof_new(d, done, owner, ret);
	const struct record *rec = d->rec;
	struct records_item *items = xcalloc(rec->n_proofs + 1, sizeof(*items));
	size_t n = 0;

	for (uint32_t i = 0; i < rec->n_proofs; i++) {
		const struct record_proof *q = &rec->proofs[i];

		if (q->place == PROOF_WEBROOT || strcmp(q->where, d->spec->dcv.provider->name) != 0 ||
		    !proof_is_needed(rec, q))
			continue;
		/* Where a delegation led before it was mended. */
		if (q->place == PROOF_TXT && !words_has(rec->job->targets, q->name))
			continue;
		items[n++] = (struct records_item){ .provider = d->spec->dcv.provider,
						    .fqdn = q->name,
						    .cname = q->place == PROOF_CNAME,
						    .value = q->value };
	}
	records_start(p->app->records, items, n, true, rec->name, changed, p, &p->records);
	free(items);
}

void dnsproof_withdraw(struct domain *d, const struct record_proof *list, size_t n, dnsproof_done_fn *done,
		       void *owner, struct dnsproof **ret)
{
	struct dnsproof *p = proof_new(d, done, owner, ret);
	const struct cfg_dns_provider *provider = config_provider(p->config, list[0].where);
	struct records_item *items;

	if (!provider) {
		(void)outcome_set(&p->outcome, FAULT_LOCAL, "provider",
				  "dns_providers has no \"%s\" any more: put it back, or remove %s %s \"%s\" "
				  "yourself",
				  list[0].where, list[0].name, record_place_word(list[0].place),
				  list[0].value);
		finish_later(p);
		return;
	}
	items = xcalloc(n, sizeof(*items));
	for (size_t i = 0; i < n; i++)
		items[i] = (struct records_item){ .provider = provider,
						  .fqdn = list[i].name,
						  .cname = list[i].place == PROOF_CNAME,
						  .value = list[i].value };
	records_start(p->app->records, items, n, false, d->rec->name, changed, p, &p->records);
	free(items);
}

/* --- looking --- */

static void looked(const struct outcome *o, void *owner)
{
	struct dnsproof *p = owner;

	p->look = NULL;
	finish(p, o, NULL);
}

void dnsproof_look(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret)
{
	struct dnsproof *p = proof_new(d, done, owner, ret);
	const struct record_job *j = d->rec->job;
	bool cname = d->spec->dcv.method == CFG_DCV_DNS_CNAME_TOKEN;
	_cleanup_free_ char *names = names_of(d), *target = xasprintf("%s" PROOF_CNAME_SUFFIX, j->dcv_token);
	_cleanup_words_ struct words at = WORDS_INIT, values = WORDS_INIT;
	struct dnslook_proof *proofs;
	size_t n = 0;

	words_split(names, &at);
	words_split(cname ? target : j->dcv_token, &values);
	proofs = xcalloc(at.n * values.n + 1, sizeof(*proofs));
	for (size_t i = 0; i < at.n; i++) {
		for (size_t k = 0; k < values.n; k++)
			proofs[n++] = (struct dnslook_proof){ at.list[i], cname ? DNSLOOK_CNAME : DNSLOOK_TXT,
							      values.list[k] };
	}
	dnslook_start(p->app->dnslook, proofs, n, p->config->preflight.dns_addr, looked, p, &p->look);
	free(proofs);
}
