/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the way that an issuance takes when nothing goes wrong. The one status-changes poll of the account is not
 * among them: it is shared by all orders, and how often it is sent is up to the CA's speed. */
#include "daemon/core/forecast.h"

#include "common/mem.h"
#include "daemon/core/job.h"
#include "daemon/core/proof.h"

static const char *const ACTIONS[FORECAST_NR] = {
	[FORECAST_NONE] = "none",     [FORECAST_ORDER] = "order",   [FORECAST_REISSUE] = "reissue",
	[FORECAST_RESUME] = "resume", [FORECAST_DEPLOY] = "deploy",
};

const char *forecast_action_name(enum forecast_action a)
{
	return a < FORECAST_NR ? ACTIONS[a] : "?";
}

/* --- calls --- */

static void call(struct forecast *f, const char *fmt, ...) _printf_(2, 3);
static void call(struct forecast *f, const char *fmt, ...)
{
	va_list ap;

	if (f->n_calls == FORECAST_CALLS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(f->calls[f->n_calls++], FORECAST_CALL_LEN, fmt, ap);
	va_end(ap);
}

struct ids {
	char order[24];
	char certificate[24];
};

static void set_id(char buf[24], int64_t id, const char *unknown)
{
	if (id)
		snprintf(buf, 24, "%lld", (long long)id);
	else
		snprintf(buf, 24, "%s", unknown);
}

static struct ids ids_of(int64_t order_id, int64_t certificate_id)
{
	struct ids ids;

	set_id(ids.order, order_id, "{order_id}");
	set_id(ids.certificate, certificate_id, "{certificate_id}");
	return ids;
}

static void call_info(struct forecast *f, const struct ids *ids)
{
	call(f, "GET /order/certificate/%s", ids->order);
}

static void call_token(struct forecast *f, const struct ids *ids)
{
	call(f, "PUT /order/certificate/%s/dcv-random-value", ids->order);
}

static void call_download(struct forecast *f, const struct ids *ids)
{
	call(f, "GET /certificate/%s/download/format/pem_all", ids->certificate);
}

/* The order is placed and its value is known: proof, and what comes after it. */
static void call_rest(struct forecast *f, const struct ids *ids, bool email)
{
	if (email)
		f->at_least = true;
	else
		call(f, "PUT /order/certificate/%s/check-dcv", ids->order);
	call_info(f, ids);
	call_download(f, ids);
}

static void call_issuance(const struct forecast_env *env, struct forecast *f, bool reissue)
{
	const struct cfg_domain *spec = env->view.spec;
	struct ids ids = ids_of(reissue ? env->view.rec->cert.order_id : 0, 0);

	if (!reissue && env->instant && proof_can_be_early(spec->dcv.method)) {
		f->asks_auth_key = !env->auth_key_known;
		if (f->asks_auth_key)
			call(f, "GET /account/auth-keys");
		call(f, "POST /order/certificate/%s", spec->product);
		return;
	}
	if (reissue)
		call(f, "POST /order/certificate/%s/reissue", ids.order);
	else
		call(f, "POST /order/certificate/%s", spec->product);
	call_rest(f, &ids, spec->dcv.method == CFG_DCV_EMAIL);
}

/* The post may be out there: it is looked for, and what is found has no value yet. */
static void call_resolve(const struct forecast_env *env, struct forecast *f)
{
	const struct record_job *j = env->view.rec->job;
	struct ids ids = ids_of(j->kind == JOB_REISSUE ? j->of_order_id : 0, 0);
	bool email = j->method == CFG_DCV_EMAIL;

	if (j->kind == JOB_REISSUE)
		call_info(f, &ids);
	else
		call(f, "GET /order/alternate/%s", j->reference);
	call_info(f, &ids);
	if (!email)
		call_token(f, &ids);
	call_rest(f, &ids, email);
}

static void call_publish(const struct forecast_env *env, struct forecast *f, const struct ids *ids)
{
	const struct record_job *j = env->view.rec->job;
	enum cfg_dcv_method wanted = env->view.spec->dcv.method;

	if (j->method != wanted)
		call(f, "PUT /order/certificate/%s/dcv-method", ids->order);
	else if (!j->dcv_token && wanted != CFG_DCV_EMAIL)
		call_token(f, ids);
	call_rest(f, ids, wanted == CFG_DCV_EMAIL);
}

static void call_wait(const struct forecast_env *env, struct forecast *f, const struct ids *ids)
{
	const struct record_job *j = env->view.rec->job;
	bool click = j->method == CFG_DCV_EMAIL && env->view.spec->dcv.method == CFG_DCV_EMAIL;

	call_info(f, ids);
	if (j->validated || j->issued || click)
		call_download(f, ids);
	else
		call_publish(env, f, ids);
	f->at_least = f->at_least || click;
}

static void call_resume(const struct forecast_env *env, struct forecast *f)
{
	const struct record_job *j = env->view.rec->job;
	struct ids ids = ids_of(j->order_id, j->certificate_id);

	switch (j->phase) {
	case PHASE_PREPARE: call_issuance(env, f, j->kind == JOB_REISSUE); break;
	case PHASE_SUBMIT:
		if (j->submitted_at == 0) {
			call_issuance(env, f, j->kind == JOB_REISSUE);
		} else if (!j->instant) { /* on its way, the answer is awaited */
			ids = ids_of(j->kind == JOB_REISSUE ? j->of_order_id : 0, 0);
			call_rest(f, &ids, j->method == CFG_DCV_EMAIL);
		}
		break;
	case PHASE_RESOLVE: call_resolve(env, f); break;
	case PHASE_PUBLISH: call_publish(env, f, &ids); break;
	case PHASE_CHECK: call_rest(f, &ids, false); break;
	case PHASE_WAIT: call_wait(env, f, &ids); break;
	case PHASE_DOWNLOAD: call_download(f, &ids); break;
	case PHASE_INSTALL:
	case PHASE_NR: break;
	}
}

/* --- what comes after --- */

static void set_then(struct forecast *f, enum want want, int64_t at)
{
	f->then = at == DUE_NEVER ? WANT_NOTHING : want;
	f->then_at = f->then == WANT_NOTHING ? DUE_NEVER : at;
}

/* The same rule again, for the certificate that would be installed then. */
static void look_further(const struct forecast_env *env, struct forecast *f, bool reissue)
{
	const struct view *v = &env->view;
	int64_t begin = MAX(f->at, v->now);
	int64_t plan_end = reissue ? v->rec->cert.order_valid_until : begin + env->plan_life;
	_cleanup_free_ char *names = job_names(v->spec);
	struct record next = { .name = v->rec->name };
	struct view later = *v;
	struct decision dec;
	char serial[] = "00";

	next.cert = (struct record_cert){ .generation = 1,
					  .order_id = 1,
					  .serial = serial,
					  .names = names,
					  .not_before = begin,
					  .not_after = MIN(begin + v->cert_life, plan_end),
					  .order_valid_until = plan_end };
	later.rec = &next;
	later.now = begin;
	decide(&later, &dec);
	set_then(f, dec.then, dec.due_at);
}

static bool has_targets_left(const struct view *v)
{
	const struct record *r = v->rec;

	for (uint32_t i = 0; i < v->spec->n_deploy && r->cert.generation != 0; i++) {
		bool is_done = false;

		for (uint32_t k = 0; k < r->n_deploys; k++) {
			const struct record_deploy *t = &r->deploys[k];

			if (strcmp(t->target, v->spec->deploy[i].target) == 0)
				is_done = t->state != DEPLOY_TODO && t->generation == r->cert.generation;
		}
		if (!is_done)
			return true;
	}
	return false;
}

static void is_under_way(const struct forecast_env *env, struct forecast *f)
{
	const struct record_job *j = env->view.rec->job;

	f->action = FORECAST_RESUME;
	f->at = j->next_at ? j->next_at : env->view.now;
	f->is_paid = j->is_paid && j->order_id == 0 && j->submitted_at == 0;
	call_resume(env, f);
	look_further(env, f, j->kind == JOB_REISSUE);
}

static void is_wanted(const struct forecast_env *env, struct forecast *f, const struct decision *dec)
{
	const struct view *v = &env->view;
	bool reissue = dec->want == WANT_REISSUE;

	f->action = reissue ? FORECAST_REISSUE : FORECAST_ORDER;
	f->is_paid = !reissue || dec->gains_names;
	f->postponed = f->is_paid && v->order_allowed_at > v->now;
	f->at = f->postponed ? v->order_allowed_at : v->now;
	if (f->postponed)
		f->reason = REASON_BUDGET;
	call_issuance(env, f, reissue);
	look_further(env, f, reissue);
}

void forecast(const struct forecast_env *env, struct forecast *ret)
{
	struct view v = env->view;
	char key[RECORD_KEY_MAX];
	struct decision dec;

	*ret = (struct forecast){ .then = WANT_NOTHING, .then_at = DUE_NEVER };
	v.order_allowed_at = v.now; /* what is wanted, whether it may be done yet or not */
	decide(&v, &dec);
	ret->reason = dec.reason;
	ret->names_differ = dec.names_differ;
	ret->loses_names = dec.loses_names;
	ret->gains_names = dec.gains_names;
	ret->key_differs = v.rec->cert.generation != 0 && v.rec->cert.key &&
			   strcmp(v.rec->cert.key, record_key_text(&v.spec->key, key)) != 0;
	if (v.rec->held)
		return;
	if (v.rec->job) {
		is_under_way(env, ret);
		return;
	}
	if (dec.want != WANT_NOTHING) {
		is_wanted(env, ret, &dec);
		return;
	}
	if (has_targets_left(&v)) {
		ret->action = FORECAST_DEPLOY;
		ret->at = v.now;
	}
	set_then(ret, dec.then, dec.due_at);
}
