/* SPDX-License-Identifier: Apache-2.0 */
/* The record in memory: making, freeing, the little lists in it. Its JSON is in record_json.c. */
#include "daemon/core/record.h"

#include "common/mem.h"
#include "common/strbuf.h"
#include "daemon/core/budget.h"

#define NAMES_MAX (256UL * 1024)

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

void record_job_free(struct record_job *j)
{
	if (!j)
		return;
	free(j->reference);
	free(j->names);
	free(j->csr);
	free(j->dcv_token);
	free(j);
}

void record_free(struct record *r)
{
	if (!r)
		return;
	record_job_free(r->job);
	free(r->cert.serial);
	free(r->cert.names);
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

void record_add_proof(struct record *r, const char *webroot, const char *token)
{
	struct record_proof *p;

	for (uint32_t i = 0; i < r->n_proofs; i++) {
		if (strcmp(r->proofs[i].webroot, webroot) != 0 || strcmp(r->proofs[i].token, token) != 0)
			continue;
		r->proofs[i].again = true;
		return;
	}
	r->proofs = xrealloc_array(r->proofs, r->n_proofs + 1, sizeof(*r->proofs));
	p = &r->proofs[r->n_proofs++];
	p->webroot = xstrdup(webroot);
	p->token = xstrdup(token);
	p->again = false;
}

void record_drop_proof(struct record *r, uint32_t i)
{
	free(r->proofs[i].webroot);
	free(r->proofs[i].token);
	r->proofs[i] = r->proofs[--r->n_proofs];
	if (r->n_proofs == 0) {
		free(r->proofs);
		r->proofs = NULL;
	}
}
