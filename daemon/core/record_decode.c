/* SPDX-License-Identifier: Apache-2.0 */
/* state/<name>.json as it is read. Whatever cannot be understood is an error: a guess here could buy a certificate
 * twice. */
#include "daemon/core/record.h"

#include "common/mem.h"
#include "common/timefmt.h"

#include <errno.h>

#define RECORD_TEXT_MAX (2u << 20)
#define RECORD_LIST_MAX 64

static int get_time(const struct json *o, const char *key, int64_t *ret, struct err *reterr)
{
	const char *s = NULL;
	int rc = json_get_str(o, key, &s);

	if (rc == 0)
		return 0;
	if (rc < 0 || timefmt_parse_rfc3339(s, ret) < 0)
		return err_set(reterr, -EBADMSG, "%s: not a time", key);
	return 0;
}

static int get_uint(const struct json *o, const char *key, unsigned *ret, struct err *reterr)
{
	int64_t v = 0;
	int rc = json_get_i64(o, key, &v);

	if (rc == 0)
		return 0;
	if (rc < 0 || v < 0 || v > UINT32_MAX)
		return err_set(reterr, -EBADMSG, "%s: not a count", key);
	*ret = (unsigned)v;
	return 0;
}

struct time_field {
	const char *key;
	size_t offset;
};

static int get_times(const struct json *o, const struct time_field *f, size_t n, void *target,
		     struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		int rc = get_time(o, f[i].key, (int64_t *)(void *)((char *)target + f[i].offset), reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int get_uints(const struct json *o, const struct time_field *f, size_t n, void *target,
		     struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		int rc = get_uint(o, f[i].key, (unsigned *)(void *)((char *)target + f[i].offset), reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int decode_cert(const struct json *o, const char *where, struct record_cert *c, struct err *reterr)
{
	static const struct json_field F[] = {
		{ "order_id", JSON_WANT_I64, offsetof(struct record_cert, order_id), JSON_REQUIRED },
		{ "certificate_id", JSON_WANT_I64, offsetof(struct record_cert, certificate_id),
		  JSON_REQUIRED },
		{ "serial", JSON_WANT_STR, offsetof(struct record_cert, serial), JSON_REQUIRED },
		{ "names", JSON_WANT_STR, offsetof(struct record_cert, names), JSON_REQUIRED },
		{ "key", JSON_WANT_STR, offsetof(struct record_cert, key), 0 },
		{ "dcv_method", JSON_WANT_STR, offsetof(struct record_cert, method), 0 },
		{ "revoked_for", JSON_WANT_STR, offsetof(struct record_cert, revoked_for), 0 },
		{ "order_unknown", JSON_WANT_BOOL, offsetof(struct record_cert, order_unknown), 0 },
		{ "key_lost", JSON_WANT_BOOL, offsetof(struct record_cert, key_lost), 0 },
		{ "order_over", JSON_WANT_BOOL, offsetof(struct record_cert, order_over), 0 },
		{ "replaces_revoked", JSON_WANT_BOOL, offsetof(struct record_cert, replaces_revoked), 0 },
		{ "other_id", JSON_WANT_I64, offsetof(struct record_cert, other_id), 0 },
	};
	static const struct time_field T[] = {
		{ "not_before", offsetof(struct record_cert, not_before) },
		{ "not_after", offsetof(struct record_cert, not_after) },
		{ "order_valid_until", offsetof(struct record_cert, order_valid_until) },
		{ "installed_at", offsetof(struct record_cert, installed_at) },
		{ "revoked_at", offsetof(struct record_cert, revoked_at) },
	};
	static const struct time_field U[] = { { "generation", offsetof(struct record_cert, generation) } };
	int rc = json_pick(o, where, F, ARRAY_SIZE(F), 0, c, reterr);

	if (rc == 0)
		rc = get_times(o, T, ARRAY_SIZE(T), c, reterr);
	if (rc == 0)
		rc = get_uints(o, U, ARRAY_SIZE(U), c, reterr);
	if (rc == 0 && (c->generation == 0 || c->not_after == 0))
		rc = err_set(reterr, -EBADMSG, "%s: generation and not_after are needed", where);
	return rc;
}

typedef const char *word_fn(unsigned i);

static const char *phase_word(unsigned i)
{
	return job_phase_name((enum job_phase)i);
}

static const char *kind_word(unsigned i)
{
	return record_kind_word((enum job_kind)i);
}

static const char *method_word(unsigned i)
{
	return cfg_dcv_method_name((enum cfg_dcv_method)i);
}

static const char *place_word(unsigned i)
{
	return record_place_word((enum proof_place)i);
}

static const char *deploy_word(unsigned i)
{
	return record_deploy_word((enum deploy_state)i);
}

/* One of n words, as its number. */
static int get_word(const struct json *o, const char *where, const char *key, word_fn *words, unsigned n,
		    unsigned *ret, struct err *reterr)
{
	const char *word = NULL;

	if (json_get_str(o, key, &word) == 1) {
		for (unsigned i = 0; i < n; i++) {
			if (strcmp(word, words(i)) == 0) {
				*ret = i;
				return 0;
			}
		}
	}
	return err_set(reterr, -EBADMSG, "%s.%s: unknown word", where, key);
}

static int decode_job_words(const struct json *o, struct record_job *j, struct err *reterr)
{
	unsigned phase = 0, kind = 0, method = 0;
	int rc = get_word(o, "job", "phase", phase_word, PHASE_NR, &phase, reterr);

	if (rc == 0)
		rc = get_word(o, "job", "kind", kind_word, JOB_KIND_NR, &kind, reterr);
	if (rc == 0)
		rc = get_word(o, "job", "dcv_method", method_word, CFG_DCV_NR, &method, reterr);
	j->phase = (enum job_phase)phase;
	j->kind = (enum job_kind)kind;
	j->method = (enum cfg_dcv_method)method;
	return rc;
}

static int decode_hash(const struct json *o, struct record_job *j, struct err *reterr)
{
	const char *s = NULL;
	char *end = NULL;

	if (json_get_str(o, "spec_hash", &s) != 1 || strlen(s) != 16)
		return err_set(reterr, -EBADMSG, "job.spec_hash: 16 hex digits are needed");
	j->spec_hash = strtoull(s, &end, 16);
	if (*end)
		return err_set(reterr, -EBADMSG, "job.spec_hash: 16 hex digits are needed");
	return 0;
}

static int decode_job_fields(const struct json *o, struct record_job *j, struct err *reterr)
{
	static const struct json_field F[] = {
		{ "reference", JSON_WANT_STR, offsetof(struct record_job, reference), JSON_REQUIRED },
		{ "names", JSON_WANT_STR, offsetof(struct record_job, names), JSON_REQUIRED },
		{ "csr", JSON_WANT_STR, offsetof(struct record_job, csr), 0 },
		{ "of_order_id", JSON_WANT_I64, offsetof(struct record_job, of_order_id), 0 },
		{ "key", JSON_WANT_STR, offsetof(struct record_job, key), JSON_REQUIRED },
		{ "new_key", JSON_WANT_BOOL, offsetof(struct record_job, new_key), 0 },
		{ "is_paid", JSON_WANT_BOOL, offsetof(struct record_job, is_paid), JSON_REQUIRED },
		{ "canceled", JSON_WANT_BOOL, offsetof(struct record_job, canceled), 0 },
		{ "dcv_method_asked", JSON_WANT_BOOL, offsetof(struct record_job, method_asked), 0 },
		{ "targets", JSON_WANT_STR, offsetof(struct record_job, targets), 0 },
		{ "instant", JSON_WANT_BOOL, offsetof(struct record_job, instant), 0 },
		{ "published", JSON_WANT_BOOL, offsetof(struct record_job, published), 0 },
		{ "order_id", JSON_WANT_I64, offsetof(struct record_job, order_id), JSON_REQUIRED },
		{ "certificate_id", JSON_WANT_I64, offsetof(struct record_job, certificate_id),
		  JSON_REQUIRED },
		{ "dcv_token", JSON_WANT_STR, offsetof(struct record_job, dcv_token), 0 },
		{ "looked", JSON_WANT_BOOL, offsetof(struct record_job, looked), 0 },
		{ "republish", JSON_WANT_BOOL, offsetof(struct record_job, republish), 0 },
		{ "yielded", JSON_WANT_BOOL, offsetof(struct record_job, yielded), 0 },
		{ "validated", JSON_WANT_BOOL, offsetof(struct record_job, validated), 0 },
		{ "issued", JSON_WANT_BOOL, offsetof(struct record_job, issued), 0 },
	};
	static const struct time_field T[] = {
		{ "started_at", offsetof(struct record_job, started_at) },
		{ "submitted_at", offsetof(struct record_job, submitted_at) },
		{ "absent_at", offsetof(struct record_job, absent_at) },
		{ "order_valid_until", offsetof(struct record_job, order_valid_until) },
		{ "dcv_token_expires_at", offsetof(struct record_job, dcv_token_expires_at) },
		{ "next_at", offsetof(struct record_job, next_at) },
	};
	static const struct time_field U[] = {
		{ "generation", offsetof(struct record_job, generation) },
		{ "posts", offsetof(struct record_job, posts) },
		{ "absents", offsetof(struct record_job, absents) },
		{ "looks", offsetof(struct record_job, looks) },
		{ "doubts", offsetof(struct record_job, doubts) },
		{ "refusals", offsetof(struct record_job, refusals) },
		{ "bad_certs", offsetof(struct record_job, bad_certs) },
		{ "attempts", offsetof(struct record_job, attempts) },
	};
	int rc = json_pick(o, "job", F, ARRAY_SIZE(F), 0, j, reterr);

	if (rc == 0)
		rc = get_times(o, T, ARRAY_SIZE(T), j, reterr);
	return rc == 0 ? get_uints(o, U, ARRAY_SIZE(U), j, reterr) : rc;
}

/* What the step relies on: a record that contradicts itself is damaged, whoever wrote it. */
static int check_job(const struct record_job *j, struct err *reterr)
{
	if (j->generation == 0 || j->order_id < 0)
		return err_set(reterr, -EBADMSG, "job: generation and order_id are out of range");
	if (j->phase >= PHASE_PUBLISH && j->order_id == 0)
		return err_set(reterr, -EBADMSG, "job: phase %s needs an order_id", job_phase_name(j->phase));
	if (j->kind == JOB_REISSUE && j->of_order_id <= 0)
		return err_set(reterr, -EBADMSG, "job: a reissue needs of_order_id");
	if (j->phase != PHASE_PREPARE && !j->csr)
		return err_set(reterr, -EBADMSG, "job: phase %s needs a csr", job_phase_name(j->phase));
	return 0;
}

static int decode_job(const struct json *o, struct record *r, struct err *reterr)
{
	struct record_job *j = r->job = xmalloc(sizeof(*j));
	int rc = decode_job_words(o, j, reterr);

	if (rc == 0)
		rc = decode_hash(o, j, reterr);
	if (rc == 0)
		rc = decode_job_fields(o, j, reterr);
	return rc == 0 ? check_job(j, reterr) : rc;
}

static int decode_error(const struct json *o, struct record_error *e, struct err *reterr)
{
	static const struct json_field F[] = {
		{ "code", JSON_WANT_STR, offsetof(struct record_error, code), JSON_REQUIRED },
		{ "message", JSON_WANT_STR, offsetof(struct record_error, message), 0 },
	};
	int rc = json_pick(o, "error", F, ARRAY_SIZE(F), 0, e, reterr);

	if (rc == 0)
		rc = get_time(o, "at", &e->at, reterr);
	return rc == 0 ? get_uint(o, "attempts", &e->attempts, reterr) : rc;
}

static int decode_deploy(const struct json *o, struct record_deploy *d, struct err *reterr)
{
	static const struct json_field F[] = {
		{ "target", JSON_WANT_STR, offsetof(struct record_deploy, target), JSON_REQUIRED },
		{ "code", JSON_WANT_STR, offsetof(struct record_deploy, code), 0 },
		{ "message", JSON_WANT_STR, offsetof(struct record_deploy, message), 0 },
		{ "differs", JSON_WANT_BOOL, offsetof(struct record_deploy, differs), 0 },
		{ "older", JSON_WANT_BOOL, offsetof(struct record_deploy, older), 0 },
	};
	static const struct time_field T[] = {
		{ "at", offsetof(struct record_deploy, at) },
		{ "next_at", offsetof(struct record_deploy, next_at) },
		{ "looked_at", offsetof(struct record_deploy, looked_at) },
	};
	static const struct time_field U[] = {
		{ "generation", offsetof(struct record_deploy, generation) },
		{ "attempts", offsetof(struct record_deploy, attempts) },
	};
	unsigned state = 0;
	int rc = json_pick(o, "deploy[]", F, ARRAY_SIZE(F), 0, d, reterr);

	if (rc == 0)
		rc = get_times(o, T, ARRAY_SIZE(T), d, reterr);
	if (rc == 0)
		rc = get_uints(o, U, ARRAY_SIZE(U), d, reterr);
	if (rc == 0)
		rc = get_word(o, "deploy[]", "state", deploy_word, DEPLOY_STATE_NR, &state, reterr);
	d->state = (enum deploy_state)state;
	return rc;
}

static int decode_deploys(const struct json *a, struct record *r, struct err *reterr)
{
	size_t n = json_arr_len(a);

	if (n > RECORD_LIST_MAX)
		return err_set(reterr, -EBADMSG, "deploy: more than %d entries", RECORD_LIST_MAX);
	r->deploys = xcalloc(MAX(n, 1u), sizeof(*r->deploys));
	for (size_t i = 0; i < n; i++) {
		r->n_deploys++;
		if (decode_deploy(json_arr_at(a, i), &r->deploys[i], reterr) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int decode_proofs(const struct json *a, struct record *r, struct err *reterr)
{
	if (json_arr_len(a) > RECORD_PROOFS_MAX)
		return err_set(reterr, -EBADMSG, "proofs: more than %d entries", RECORD_PROOFS_MAX);
	for (size_t i = 0; i < json_arr_len(a); i++) {
		const struct json *o = json_arr_at(a, i);
		const char *where = NULL, *name = NULL, *value = NULL;
		unsigned place = 0;
		int rc = get_word(o, "proofs[]", "place", place_word, PROOF_PLACE_NR, &place, reterr), named;

		if (rc < 0)
			return rc;
		named = json_get_str(o, "name", &name);
		if (json_get_str(o, "where", &where) != 1 || json_get_str(o, "value", &value) != 1 ||
		    named != (place == PROOF_WEBROOT ? 0 : 1))
			return err_set(reterr, -EBADMSG,
				       "proofs[%zu]: where and value are needed, and name in DNS only", i);
		record_add_proof(r, (enum proof_place)place, where, name, value);
	}
	return 0;
}

static int decode_revocation(const struct json *o, struct record *r, struct err *reterr)
{
	static const struct json_field F[] = {
		{ "order_id", JSON_WANT_I64, offsetof(struct record_revocation, order_id), JSON_REQUIRED },
		{ "certificate_id", JSON_WANT_I64, offsetof(struct record_revocation, certificate_id), 0 },
		{ "reason", JSON_WANT_STR, offsetof(struct record_revocation, reason), 0 },
		{ "request_id", JSON_WANT_I64, offsetof(struct record_revocation, request_id), 0 },
		{ "sent", JSON_WANT_BOOL, offsetof(struct record_revocation, sent), 0 },
		{ "refused", JSON_WANT_BOOL, offsetof(struct record_revocation, refused), 0 },
	};
	static const struct time_field T[] = {
		{ "asked_at", offsetof(struct record_revocation, asked_at) },
		{ "next_at", offsetof(struct record_revocation, next_at) },
	};
	struct record_revocation *v = r->revocation = xmalloc(sizeof(*v));
	int rc = json_pick(o, "revocation", F, ARRAY_SIZE(F), 0, v, reterr);

	if (rc == 0)
		rc = get_times(o, T, ARRAY_SIZE(T), v, reterr);
	if (rc == 0)
		rc = get_uint(o, "attempts", &v->attempts, reterr);
	if (rc == 0 && v->order_id <= 0)
		rc = err_set(reterr, -EBADMSG, "revocation: order_id is needed");
	/* Whoever wrote this may have died with the request on its way. */
	v->attempts = MAX(v->attempts, 1u);
	return rc;
}

static int decode_paid(const struct json *a, struct record *r, struct err *reterr)
{
	size_t n = json_arr_len(a);

	r->paid_at = xcalloc(MAX(n, 1u), sizeof(*r->paid_at));
	for (size_t i = 0; i < n; i++) {
		const char *s = json_str(json_arr_at(a, i));

		if (!s || timefmt_parse_rfc3339(s, &r->paid_at[i]) < 0)
			return err_set(reterr, -EBADMSG, "paid_at[%zu]: not a time", i);
		r->n_paid++;
	}
	return 0;
}

static int decode_lists(const struct json *o, struct record *r, struct err *reterr)
{
	const struct json *a = NULL;
	int rc;

	rc = json_get_arr(o, "deploy", &a);
	if (rc == 1)
		rc = decode_deploys(a, r, reterr);
	if (rc >= 0)
		rc = json_get_arr(o, "proofs", &a);
	if (rc == 1)
		rc = decode_proofs(a, r, reterr);
	if (rc >= 0)
		rc = json_get_arr(o, "paid_at", &a);
	if (rc == 1)
		rc = decode_paid(a, r, reterr);
	if (rc < 0 && reterr && reterr->code == 0)
		err_set(reterr, -EBADMSG, "deploy, proofs and paid_at must be arrays");
	return rc;
}

static int decode_certs(const struct json *o, struct record *r, struct err *reterr)
{
	const struct json *part = NULL;
	int rc = json_get_obj(o, "certificate", &part);

	if (rc == 1)
		rc = decode_cert(part, "certificate", &r->cert, reterr);
	if (rc >= 0)
		rc = json_get_obj(o, "previous", &part);
	if (rc != 1)
		return rc;
	r->previous = xmalloc(sizeof(*r->previous));
	return decode_cert(part, "previous", r->previous, reterr);
}

static int decode_parts(const struct json *o, struct record *r, struct err *reterr)
{
	const struct json *part = NULL;
	int rc = decode_certs(o, r, reterr);

	if (rc >= 0)
		rc = json_get_obj(o, "job", &part);
	if (rc == 1)
		rc = decode_job(part, r, reterr);
	if (rc >= 0)
		rc = json_get_obj(o, "error", &part);
	if (rc == 1)
		rc = decode_error(part, &r->error, reterr);
	if (rc >= 0)
		rc = json_get_obj(o, "revocation", &part);
	if (rc == 1)
		rc = decode_revocation(part, r, reterr);
	if (rc < 0 && reterr && reterr->code == 0)
		err_set(reterr, -EBADMSG, "certificate, previous, job, error and revocation must be objects");
	return rc;
}

static int decode_head(const char *name, const struct json *o, struct record *r, struct err *reterr)
{
	int64_t version = 0;
	const char *s = NULL;

	if (json_get_i64(o, "version", &version) != 1 || version < 1)
		return err_set(reterr, -EBADMSG, "version: missing");
	if (version > RECORD_VERSION)
		return err_set(reterr, -ENOTSUP, "version %lld is newer than this program knows (%d)",
			       (long long)version, RECORD_VERSION);
	if (json_get_str(o, "name", &s) != 1 || strcmp(s, name) != 0)
		return err_set(reterr, -EBADMSG, "name: is not \"%s\"", name);
	if (json_get_bool(o, "held", &r->held) != 1)
		return err_set(reterr, -EBADMSG, "held: missing");
	if (json_get_bool(o, "held_for_key", &r->held_for_key) < 0)
		return err_set(reterr, -EBADMSG, "held_for_key: not a boolean");
	if (get_uint(o, "clean_attempts", &r->clean_attempts, reterr) < 0 ||
	    get_time(o, "rest_until", &r->rest_until, reterr) < 0)
		return -EBADMSG;
	return get_time(o, "clean_at", &r->clean_at, reterr);
}

int record_decode(const char *name, const char *text, size_t len, struct record **ret, struct err *reterr)
{
	_cleanup_(json_freep) struct json *o = NULL;
	_cleanup_(record_freep) struct record *r = record_new(name);
	int rc = json_parse(text, len, RECORD_TEXT_MAX, &o, reterr);

	if (rc < 0)
		return rc;
	rc = decode_head(name, o, r, reterr);
	if (rc >= 0)
		rc = decode_parts(o, r, reterr);
	if (rc >= 0)
		rc = decode_lists(o, r, reterr);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(r);
	return 0;
}
