/* SPDX-License-Identifier: Apache-2.0 */
/* The record in memory: making, freeing, the little lists in it. Its JSON is in record_encode.c and record_decode.c. */
#include "daemon/core/record.h"

#include "common/mem.h"
#include "common/strbuf.h"
#include "common/words.h"
#include "daemon/core/budget.h"

#define NAMES_MAX (256UL * 1024)

static const char *const KINDS[JOB_KIND_NR] = { [JOB_ORDER] = "order", [JOB_REISSUE] = "reissue" };
static const char *const PLACES[PROOF_PLACE_NR] = {
	[PROOF_WEBROOT] = "webroot", [PROOF_TXT] = "TXT", [PROOF_CNAME] = "CNAME"
};
static const char *const DEPLOY_STATES[DEPLOY_STATE_NR] = {
	[DEPLOY_TODO] = "todo", [DEPLOY_DONE] = "done", [DEPLOY_FAILED] = "failed"
};

const char *record_kind_word(enum job_kind k)
{
	return KINDS[k];
}

const char *record_place_word(enum proof_place p)
{
	return PLACES[p];
}

const char *record_deploy_word(enum deploy_state s)
{
	return DEPLOY_STATES[s];
}

struct record *record_new(const char *name)
{
	struct record *r = xmalloc(sizeof(*r));

	r->name = xstrdup(name);
	return r;
}

char *record_join_names(const char *const *names, size_t n)
{
	struct strbuf sb = STRBUF_INIT(NAMES_MAX);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addc(&sb, ' ');
		strbuf_adds(&sb, names[i]);
	}
	return strbuf_take(&sb);
}

bool record_names_are_among(const char *names, const char *among)
{
	_cleanup_words_ struct words w = WORDS_INIT;

	words_split(names, &w);
	for (size_t i = 0; i < w.n; i++) {
		if (!words_has(among, w.list[i]))
			return false;
	}
	return true;
}

const char *record_key_text(const struct cfg_key *k, char buf[RECORD_KEY_MAX])
{
	switch (k->type) {
	case CFG_KEY_RSA: (void)snprintf(buf, RECORD_KEY_MAX, "rsa %u", (unsigned)k->bits); break;
	case CFG_KEY_EC_P256: (void)snprintf(buf, RECORD_KEY_MAX, "ec P-256"); break;
	case CFG_KEY_EC_P384: (void)snprintf(buf, RECORD_KEY_MAX, "ec P-384"); break;
	}
	return buf;
}

void record_job_free(struct record_job *j)
{
	if (!j)
		return;
	free(j->reference);
	free(j->names);
	free(j->key);
	free(j->csr);
	free(j->dcv_token);
	free(j->targets);
	free(j);
}

void record_revocation_free(struct record_revocation *v)
{
	if (!v)
		return;
	free(v->reason);
	free(v);
}

static void cert_done(struct record_cert *c)
{
	free(c->serial);
	free(c->names);
	free(c->key);
	free(c->method);
	free(c->revoked_for);
}

static void previous_free(struct record_cert *c)
{
	if (!c)
		return;
	cert_done(c);
	free(c);
}

void record_keep_previous(struct record *r)
{
	struct record_cert *c = NULL;

	if (r->cert.generation == 0)
		return;
	c = xmalloc(sizeof(*c));
	*c = r->cert;
	c->serial = xstrdup_opt(c->serial);
	c->names = xstrdup_opt(c->names);
	c->key = xstrdup_opt(c->key);
	c->method = xstrdup_opt(c->method);
	c->revoked_for = xstrdup_opt(c->revoked_for);
	previous_free(r->previous);
	r->previous = c;
}

enum cfg_deploy_type record_deploy_type(const char *target)
{
	size_t len = strcspn(target, ":#");

	for (unsigned i = 0; i < CFG_DEPLOY_NR; i++) {
		const char *word = cfg_deploy_type_name((enum cfg_deploy_type)i);

		if (strlen(word) == len && strncmp(target, word, len) == 0)
			return (enum cfg_deploy_type)i;
	}
	return CFG_DEPLOY_NR;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	record_job_free(r->job);
	record_revocation_free(r->revocation);
	cert_done(&r->cert);
	previous_free(r->previous);
	free(r->error.code);
	free(r->error.message);
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		free(r->deploys[i].target);
		free(r->deploys[i].code);
		free(r->deploys[i].message);
	}
	free(r->deploys);
	while (r->n_proofs > 0)
		record_drop_proof(r, r->n_proofs - 1);
	free(r->proofs);
	free(r->paid_at);
	free(r->name);
	free(r);
}

void record_set_error(struct record *r, int64_t now, const char *code, const char *message)
{
	struct record_error *e = &r->error;
	bool same = code && e->code && strcmp(code, e->code) == 0;
	char *new_code = code ? xstrdup(code) : NULL;
	char *new_message = message ? xstrdup(message) : NULL;

	free(e->code);
	free(e->message);
	e->code = new_code;
	e->message = new_message;
	e->at = code ? now : 0;
	e->attempts = code ? (same ? e->attempts + 1 : 1) : 0;
}

void record_prune_paid(struct record *r, int64_t now)
{
	uint32_t keep = 0;

	for (uint32_t i = 0; i < r->n_paid; i++) {
		if (r->paid_at[i] > now - BUDGET_SPAN)
			r->paid_at[keep++] = r->paid_at[i];
	}
	r->n_paid = keep;
	if (keep == 0) {
		free(r->paid_at);
		r->paid_at = NULL;
	}
}

void record_add_paid(struct record *r, int64_t now)
{
	record_prune_paid(r, now);
	r->paid_at = xrealloc_array(r->paid_at, r->n_paid + 1, sizeof(*r->paid_at));
	r->paid_at[r->n_paid++] = now;
}

void record_drop_paid(struct record *r, int64_t at)
{
	for (uint32_t i = r->n_paid; i > 0; i--) {
		if (r->paid_at[i - 1] != at)
			continue;
		memmove(r->paid_at + i - 1, r->paid_at + i, (r->n_paid - i) * sizeof(*r->paid_at));
		r->n_paid--;
		return;
	}
}

static bool same_proof(const struct record_proof *a, const struct record_proof *b)
{
	return a->place == b->place && strcmp(a->where, b->where) == 0 && !a->name == !b->name &&
	       (!a->name || !b->name || strcmp(a->name, b->name) == 0) && strcmp(a->value, b->value) == 0;
}

uint32_t record_find_proof(const struct record *r, const struct record_proof *p)
{
	for (uint32_t i = 0; i < r->n_proofs; i++) {
		if (same_proof(&r->proofs[i], p))
			return i;
	}
	return UINT32_MAX;
}

void record_proof_copy(const struct record_proof *p, struct record_proof *ret)
{
	*ret = (struct record_proof){
		.place = p->place,
		.where = xstrdup(p->where),
		.name = p->name ? xstrdup(p->name) : NULL,
		.value = xstrdup(p->value),
	};
}

void record_proof_done(struct record_proof *p)
{
	free(p->where);
	free(p->name);
	free(p->value);
	*p = (struct record_proof){ 0 };
}

void record_add_proof(struct record *r, enum proof_place place, const char *where, const char *name,
		      const char *value)
{
	struct record_proof p = { .place = place };
	uint32_t i;

	p.where = (char *)(uintptr_t)where;
	p.name = (char *)(uintptr_t)name;
	p.value = (char *)(uintptr_t)value;
	i = record_find_proof(r, &p);
	if (i != UINT32_MAX) {
		r->proofs[i].again = true;
		return;
	}
	r->proofs = xrealloc_array(r->proofs, r->n_proofs + 1, sizeof(*r->proofs));
	record_proof_copy(&p, &r->proofs[r->n_proofs++]);
}

void record_drop_proof(struct record *r, uint32_t i)
{
	record_proof_done(&r->proofs[i]);
	r->proofs[i] = r->proofs[--r->n_proofs];
	if (r->n_proofs == 0) {
		free(r->proofs);
		r->proofs = NULL;
	}
}
