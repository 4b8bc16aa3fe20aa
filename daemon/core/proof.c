/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs as values: a name, a place, a text. */
#include "daemon/core/proof.h"

#include "common/mem.h"
#include "common/words.h"

char *proof_names(const char *names, const char *label)
{
	_cleanup_words_ struct words in = WORDS_INIT, out = WORDS_INIT;

	words_split(names, &in);
	for (size_t i = 0; i < in.n; i++) {
		const char *host = strncmp(in.list[i], "*.", 2) == 0 ? in.list[i] + 2 : in.list[i];
		_cleanup_free_ char *name =
			strcmp(label, "@") == 0 ? xstrdup(host) : xasprintf("%s.%s", label, host);

		if (!words_contain(&out, name))
			words_add(&out, name);
	}
	return words_join(&out);
}

/* Where withdrawing fails for months, a record must not grow until it cannot be read any more. */
static void add(struct record *rec, enum proof_place place, const char *where, const char *name,
		const char *value)
{
	for (uint32_t i = rec->n_proofs; i > 0 && rec->n_proofs >= RECORD_PROOFS_MAX; i--) {
		if (!proof_is_needed(rec, &rec->proofs[i - 1]))
			record_drop_proof(rec, i - 1);
	}
	record_add_proof(rec, place, where, name, value);
}

static void record_txts(struct record *rec, const char *provider)
{
	_cleanup_words_ struct words at = WORDS_INIT, values = WORDS_INIT;

	words_split(rec->job->targets, &at);
	words_split(rec->job->dcv_token, &values);
	for (size_t i = 0; i < at.n; i++) {
		for (size_t k = 0; k < values.n; k++)
			add(rec, PROOF_TXT, provider, at.list[i], values.list[k]);
	}
}

static void record_cnames(struct record *rec, const struct cfg_dcv *dcv)
{
	_cleanup_free_ char *names = proof_names(rec->job->names, dcv->label);
	_cleanup_free_ char *target = xasprintf("%s" PROOF_CNAME_SUFFIX, rec->job->dcv_token);
	_cleanup_words_ struct words at = WORDS_INIT;

	words_split(names, &at);
	for (size_t i = 0; i < at.n; i++)
		add(rec, PROOF_CNAME, dcv->provider->name, at.list[i], target);
}

bool proof_record(struct record *rec, const struct cfg_domain *spec)
{
	switch (spec->dcv.method) {
	case CFG_DCV_HTTP_TOKEN:
		if (!spec->dcv.webroot)
			return false;
		add(rec, PROOF_WEBROOT, spec->dcv.webroot, NULL, rec->job->dcv_token);
		return true;
	case CFG_DCV_DNS_TXT_TOKEN: record_txts(rec, spec->dcv.provider->name); return true;
	case CFG_DCV_DNS_CNAME_TOKEN: record_cnames(rec, &spec->dcv); return true;
	case CFG_DCV_EMAIL:
	case CFG_DCV_NR: break;
	}
	return false;
}

char *proof_file_text(const char *value)
{
	char *text = xstrdup(value);

	for (char *s = text; (s = strchr(s, ' ')); s++)
		*s = '\n';
	return text;
}

bool proof_is_needed(const struct record *rec, const struct record_proof *p)
{
	const struct record_job *j = rec->job;
	size_t len;

	if (!j || j->issued || j->yielded || !j->dcv_token)
		return false;
	switch (p->place) {
	case PROOF_WEBROOT: return j->method == CFG_DCV_HTTP_TOKEN && strcmp(j->dcv_token, p->value) == 0;
	case PROOF_TXT: return j->method == CFG_DCV_DNS_TXT_TOKEN && words_has(j->dcv_token, p->value);
	case PROOF_CNAME:
		len = strlen(j->dcv_token);
		return j->method == CFG_DCV_DNS_CNAME_TOKEN && strncmp(p->value, j->dcv_token, len) == 0 &&
		       strcmp(p->value + len, PROOF_CNAME_SUFFIX) == 0;
	case PROOF_PLACE_NR: break;
	}
	return false;
}

bool proof_can_be_early(enum cfg_dcv_method m)
{
	return m == CFG_DCV_HTTP_TOKEN || m == CFG_DCV_DNS_TXT_TOKEN;
}

bool proof_is_dns(enum cfg_dcv_method m)
{
	return m == CFG_DCV_DNS_TXT_TOKEN || m == CFG_DCV_DNS_CNAME_TOKEN;
}
