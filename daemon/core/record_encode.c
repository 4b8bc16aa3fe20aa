/* SPDX-License-Identifier: Apache-2.0 */
/* state/<name>.json as it is written: readable by a person; times are RFC 3339, states are words. */
#include "daemon/core/record.h"

#include "common/mem.h"
#include "common/timefmt.h"

static struct json *encode_cert(const struct record_cert *c)
{
	struct json *o = json_new_obj();

	json_set_i64(o, "generation", c->generation);
	json_set_i64(o, "order_id", c->order_id);
	json_set_i64(o, "certificate_id", c->certificate_id);
	json_set_str(o, "serial", c->serial);
	json_set_str(o, "names", c->names);
	json_set_time(o, "not_before", c->not_before);
	json_set_time(o, "not_after", c->not_after);
	json_set_time(o, "order_valid_until", c->order_valid_until);
	json_set_time(o, "installed_at", c->installed_at);
	json_set_str(o, "key", c->key);
	json_set_str(o, "dcv_method", c->method);
	if (c->revoked_at) {
		json_set_time(o, "revoked_at", c->revoked_at);
		json_set_str(o, "revoked_for", c->revoked_for);
	}
	if (c->order_unknown)
		json_set_bool(o, "order_unknown", true);
	if (c->key_lost)
		json_set_bool(o, "key_lost", true);
	if (c->order_over)
		json_set_bool(o, "order_over", true);
	if (c->replaces_revoked)
		json_set_bool(o, "replaces_revoked", true);
	if (c->other_id)
		json_set_i64(o, "other_id", c->other_id);
	return o;
}

static struct json *encode_job(const struct record_job *j)
{
	_cleanup_free_ char *hash = xasprintf("%016llx", (unsigned long long)j->spec_hash);
	struct json *o = json_new_obj();

	json_set_str(o, "kind", record_kind_word(j->kind));
	json_set_str(o, "phase", job_phase_name(j->phase));
	json_set_str(o, "spec_hash", hash);
	json_set_str(o, "reference", j->reference);
	if (j->of_order_id)
		json_set_i64(o, "of_order_id", j->of_order_id);
	json_set_str(o, "key", j->key);
	if (j->new_key)
		json_set_bool(o, "new_key", true);
	json_set_bool(o, "is_paid", j->is_paid);
	if (j->canceled)
		json_set_bool(o, "canceled", true);
	json_set_str(o, "dcv_method", cfg_dcv_method_name(j->method));
	if (j->method_asked)
		json_set_bool(o, "dcv_method_asked", true);
	json_set_i64(o, "generation", j->generation);
	json_set_str(o, "names", j->names);
	json_set_str(o, "csr", j->csr);
	json_set_time(o, "started_at", j->started_at);
	json_set_time(o, "submitted_at", j->submitted_at);
	json_set_i64(o, "posts", j->posts);
	json_set_time(o, "absent_at", j->absent_at);
	json_set_i64(o, "absents", j->absents);
	json_set_i64(o, "order_id", j->order_id);
	json_set_i64(o, "certificate_id", j->certificate_id);
	json_set_time(o, "order_valid_until", j->order_valid_until);
	json_set_str(o, "dcv_token", j->dcv_token);
	json_set_time(o, "dcv_token_expires_at", j->dcv_token_expires_at);
	json_set_str(o, "targets", j->targets);
	if (j->instant) {
		json_set_bool(o, "instant", true);
		json_set_bool(o, "published", j->published);
	}
	json_set_i64(o, "looks", j->looks);
	json_set_i64(o, "doubts", j->doubts);
	json_set_bool(o, "looked", j->looked);
	json_set_bool(o, "republish", j->republish);
	json_set_bool(o, "yielded", j->yielded);
	json_set_bool(o, "validated", j->validated);
	json_set_bool(o, "issued", j->issued);
	json_set_i64(o, "refusals", j->refusals);
	json_set_i64(o, "bad_certs", j->bad_certs);
	json_set_i64(o, "attempts", j->attempts);
	json_set_time(o, "next_at", j->next_at);
	return o;
}

static struct json *encode_error(const struct record_error *e)
{
	struct json *o = json_new_obj();

	json_set_str(o, "code", e->code);
	json_set_str(o, "message", e->message);
	json_set_time(o, "at", e->at);
	json_set_i64(o, "attempts", e->attempts);
	return o;
}

static struct json *encode_deploys(const struct record *r)
{
	struct json *a = json_new_arr();

	for (uint32_t i = 0; i < r->n_deploys; i++) {
		const struct record_deploy *d = &r->deploys[i];
		struct json *o = json_new_obj();

		json_set_str(o, "target", d->target);
		json_set_str(o, "state", record_deploy_word(d->state));
		json_set_i64(o, "generation", d->generation);
		json_set_i64(o, "attempts", d->attempts);
		json_set_time(o, "at", d->at);
		json_set_time(o, "next_at", d->next_at);
		if (d->looked_at) {
			json_set_time(o, "looked_at", d->looked_at);
			json_set_bool(o, "differs", d->differs);
			json_set_bool(o, "older", d->older);
		}
		json_set_str(o, "code", d->code);
		json_set_str(o, "message", d->message);
		json_add(a, o);
	}
	return a;
}

static struct json *encode_proofs(const struct record *r)
{
	struct json *a = json_new_arr();

	for (uint32_t i = 0; i < r->n_proofs; i++) {
		struct json *o = json_new_obj();

		json_set_str(o, "place", record_place_word(r->proofs[i].place));
		json_set_str(o, "where", r->proofs[i].where);
		json_set_str(o, "name", r->proofs[i].name);
		json_set_str(o, "value", r->proofs[i].value);
		json_add(a, o);
	}
	return a;
}

static struct json *encode_revocation(const struct record_revocation *v)
{
	struct json *o = json_new_obj();

	json_set_i64(o, "order_id", v->order_id);
	json_set_i64(o, "certificate_id", v->certificate_id);
	json_set_str(o, "reason", v->reason);
	json_set_time(o, "asked_at", v->asked_at);
	json_set_i64(o, "request_id", v->request_id);
	json_set_bool(o, "sent", v->sent);
	json_set_bool(o, "refused", v->refused);
	json_set_i64(o, "attempts", v->attempts);
	json_set_time(o, "next_at", v->next_at);
	return o;
}

static struct json *encode_paid(const struct record *r)
{
	struct json *a = json_new_arr();
	char buf[TIMEFMT_MAX];

	for (uint32_t i = 0; i < r->n_paid; i++)
		json_add_str(a, timefmt_rfc3339(r->paid_at[i], buf));
	return a;
}

struct json *record_encode(const struct record *r)
{
	struct json *o = json_new_obj();

	json_set_i64(o, "version", RECORD_VERSION);
	json_set_str(o, "name", r->name);
	json_set_bool(o, "held", r->held);
	if (r->held_for_key)
		json_set_bool(o, "held_for_key", true);
	if (r->cert.generation != 0)
		json_set(o, "certificate", encode_cert(&r->cert));
	if (r->previous)
		json_set(o, "previous", encode_cert(r->previous));
	if (r->rest_until)
		json_set_time(o, "rest_until", r->rest_until);
	if (r->job)
		json_set(o, "job", encode_job(r->job));
	if (r->revocation)
		json_set(o, "revocation", encode_revocation(r->revocation));
	if (r->error.code)
		json_set(o, "error", encode_error(&r->error));
	if (r->n_deploys)
		json_set(o, "deploy", encode_deploys(r));
	if (r->n_proofs) {
		json_set(o, "proofs", encode_proofs(r));
		json_set_i64(o, "clean_attempts", r->clean_attempts);
		json_set_time(o, "clean_at", r->clean_at);
	}
	if (r->n_paid)
		json_set(o, "paid_at", encode_paid(r));
	return o;
}
