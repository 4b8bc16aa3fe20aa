/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain looks like from outside: the state word, the JSON of `dvcertctl status` and `show`, the STATUS line for
 * systemd. Everything is computed from the record; nothing is kept. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"

static const char *const STATES[STATE_NR] = {
	[STATE_NEW] = "new",	       [STATE_PENDING] = "pending",
	[STATE_RETRYING] = "retrying", [STATE_DEPLOYING] = "deploying",
	[STATE_VALID] = "valid",       [STATE_FAILED] = "failed",
};

const char *domain_state_name(enum domain_state s)
{
	return s < STATE_NR ? STATES[s] : "?";
}

static enum domain_state job_state(const struct domain *d)
{
	const struct record *r = d->rec;
	bool waits = r->error.code && (strcmp(r->error.code, "needs_approval") == 0 ||
				       strcmp(r->error.code, "waits_for_email") == 0);

	return r->error.code && r->job->next_at != 0 && !waits ? STATE_RETRYING : STATE_PENDING;
}

static enum domain_state deploy_state(const struct record *r)
{
	enum domain_state s = STATE_VALID;

	for (uint32_t i = 0; i < r->n_deploys; i++) {
		if (r->deploys[i].state == DEPLOY_FAILED)
			return STATE_FAILED;
		if (r->deploys[i].state == DEPLOY_TODO)
			s = STATE_DEPLOYING;
	}
	return s;
}

enum domain_state domain_state(const struct domain *d)
{
	const struct record *r = d->rec;
	enum domain_state s;

	if (r->held || d->stuck_at)
		return STATE_FAILED;
	if (d->flight && d->flight->save_failures > 0)
		return STATE_RETRYING;
	if (r->job)
		return job_state(d);
	s = r->cert.generation ? deploy_state(r) : STATE_NEW;
	/* Clients refuse it. Its successor waits for its turn only: what else could stop it was looked at above, or is an error. */
	if (watching_revoked_at(d) && s == STATE_VALID && !r->error.code)
		return STATE_PENDING;
	return (r->error.code || d->damage) && (s == STATE_VALID || s == STATE_NEW) ? STATE_RETRYING : s;
}

/* --- JSON --- */

static struct json *error_json(const char *code, const char *message, int64_t at, unsigned attempts)
{
	struct json *o = json_new_obj();

	json_set_str(o, "code", code);
	json_set_str(o, "message", message ? message : "");
	json_set_time(o, "at", at);
	json_set_i64(o, "attempts", attempts);
	return o;
}

static const struct record_deploy *failing_deploy(const struct record *r)
{
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		if (r->deploys[i].state != DEPLOY_DONE && r->deploys[i].code)
			return &r->deploys[i];
	}
	return NULL;
}

/* Whatever is done about it: until then, servers show a certificate that clients refuse. */
static void revoked_problem(const struct domain *d, struct problem *ret)
{
	const struct record_cert *c = &d->rec->cert;

	*ret = (struct problem){ .code = "revoked", .at = watching_revoked_at(d), .attempts = 1 };
	snprintf(ret->text, sizeof(ret->text), "the installed certificate is revoked%s%s",
		 c->revoked_for ? ": " : "", c->revoked_for ? c->revoked_for : "");
	ret->message = ret->text;
}

/* What makes a problem worse stands in front of it. */
static void put_in_front(struct problem *p, const char *first)
{
	char rest[sizeof(p->text)];

	snprintf(rest, sizeof(rest), "%s", p->message ? p->message : p->code);
	snprintf(p->text, sizeof(p->text), "%s, and: %.*s", first,
		 (int)(sizeof(rest) - strlen(first) - sizeof(", and: ")), rest);
	p->message = p->text;
}

static void record_problem(const struct domain *d, struct problem *ret)
{
	const struct record *r = d->rec;

	*ret = (struct problem){ .code = r->error.code,
				 .message = r->error.message,
				 .at = r->error.at,
				 .attempts = r->error.attempts };
	/* What keeps its successor away is worse for that. */
	if (watching_revoked_at(d) && !r->held)
		put_in_front(ret, "the installed certificate is revoked");
}

static void deploy_problem(const struct record_deploy *bad, struct problem *ret)
{
	*ret = (struct problem){ .code = bad->code, .at = bad->at, .attempts = bad->attempts };
	snprintf(ret->text, sizeof(ret->text), "%s: %s", bad->target, bad->message ? bad->message : "");
	ret->message = ret->text;
}

static bool find_problem(const struct domain *d, struct problem *ret)
{
	const struct record *r = d->rec;
	const struct record_deploy *bad = failing_deploy(r);

	if (d->flight && d->flight->save_error)
		*ret = (struct problem){ .code = "state_write",
					 .message = d->flight->save_error,
					 .at = clock_now(),
					 .attempts = d->flight->save_failures };
	else if (d->stuck_at)
		*ret = (struct problem){
			.code = "stuck",
			.message = "nothing happens although it should: an error of dvcertd, see its log",
			.at = d->stuck_at,
			.attempts = 1
		};
	else if (r->error.code)
		record_problem(d, ret);
	else if (bad)
		deploy_problem(bad, ret);
	else if (d->damage)
		*ret = (struct problem){
			.code = "files", .message = d->damage, .at = d->damaged_at, .attempts = 1
		};
	else if (watching_revoked_at(d))
		revoked_problem(d, ret);
	else
		return false;
	return true;
}

/* Whatever else there is, this comes first: visitors are turned away. */
bool status_problem(const struct domain *d, struct problem *ret)
{
	static const char expired[] = "the installed certificate has expired";
	const struct record_cert *c = &d->rec->cert;
	bool found = find_problem(d, ret);

	if (c->generation == 0 || clock_now() < c->not_after)
		return found;
	if (found)
		put_in_front(ret, expired);
	else
		*ret = (struct problem){
			.code = "expired", .message = expired, .at = c->not_after, .attempts = 1
		};
	return true;
}

static void add_error(struct json *o, const struct domain *d)
{
	struct problem p;

	if (status_problem(d, &p))
		json_set(o, "error", error_json(p.code, p.message, p.at, p.attempts));
	else
		json_set_null(o, "error");
}

const char *status_next(const struct domain *d, int64_t *ret_at)
{
	const struct record *r = d->rec;
	struct decision dec;
	struct view v;
	int64_t deploy_at = duty_deploy_next_at(r), at;
	const char *action = "none";

	runner_view(d, &v);
	decide(&v, &dec);
	at = dec.due_at == DUE_NEVER ? 0 : dec.due_at;
	if (r->held) {
		action = "none";
	} else if (r->job) {
		action = job_phase_name(r->job->phase);
		at = r->job->next_at ? r->job->next_at : v.now;
	} else if (deploy_at != DUE_NEVER) {
		action = "deploy";
		at = MAX(deploy_at, v.now);
	} else if (r->cert.generation == 0) {
		action = "order";
		at = MAX(at, v.now);
	} else if (failing_deploy(r)) {
		action = "none";
		at = 0;
	} else {
		enum want want = dec.want != WANT_NOTHING ? dec.want : dec.then;

		action = want == WANT_REISSUE ? "reissue" : "renew";
		at = at ? at : v.now;
	}
	*ret_at = at;
	return action;
}

static void add_next(struct json *o, const struct domain *d)
{
	struct json *next = json_new_obj();
	int64_t at = 0;

	json_set_str(next, "action", status_next(d, &at));
	json_set_time(next, "at", at);
	json_set(o, "next", next);
}

static struct json *deploy_json(const struct record *r, bool with_error)
{
	struct json *a = json_new_arr();

	for (uint32_t i = 0; i < r->n_deploys; i++) {
		const struct record_deploy *t = &r->deploys[i];
		struct json *o = json_new_obj();

		json_set_str(o, "target", t->target);
		json_set_str(o, "state", record_deploy_word(t->state));
		json_set_time(o, "at", t->at);
		if (with_error) {
			json_set_i64(o, "attempts", t->attempts);
			json_set_time(o, "next_at", t->next_at);
			if (t->code)
				json_set(o, "error", error_json(t->code, t->message, t->at, t->attempts));
			else
				json_set_null(o, "error");
		}
		json_add(a, o);
	}
	return a;
}

static struct json *names_json(const struct cfg_domain *spec)
{
	struct json *a = json_new_arr();

	for (uint32_t i = 0; i < spec->n_names; i++)
		json_add_str(a, spec->names[i]);
	return a;
}

static void set_id(struct json *o, const char *key, int64_t id)
{
	if (id)
		json_set_i64(o, key, id);
	else
		json_set_null(o, key);
}

static struct json *domain_json(const struct domain *d, bool whole)
{
	const struct record *r = d->rec;
	const struct record_cert *c = &r->cert;
	bool installed = c->generation != 0;
	enum domain_state state = domain_state(d);
	struct json *o = json_new_obj();

	json_set_str(o, "name", r->name);
	json_set_str(o, "state", domain_state_name(state));
	if (r->job)
		json_set_str(o, "phase", job_phase_name(r->job->phase));
	else
		json_set_null(o, "phase");
	json_set(o, "names", names_json(d->spec));
	set_id(o, "order_id", !installed && r->job ? r->job->order_id : c->order_id);
	set_id(o, "certificate_id", !installed && r->job ? r->job->certificate_id : c->certificate_id);
	json_set_str(o, "serial", installed ? c->serial : NULL);
	json_set_time(o, "not_before", c->not_before);
	json_set_time(o, "not_after", c->not_after);
	json_set_time(o, "order_valid_until", c->order_valid_until);
	json_set_time(o, "revoked_at", watching_revoked_at(d));
	json_set_i64(o, "generation", c->generation);
	add_next(o, d);
	json_set(o, "deploy", deploy_json(r, whole));
	add_error(o, d);
	return o;
}

/* The file is not what is in force: nobody should find that out at the next restart. */
static void add_refusal(struct json *warnings, const struct app *a)
{
	_cleanup_free_ char *text = NULL;
	char at[TIMEFMT_MAX];

	if (!a->config_refused_at)
		return;
	text = xasprintf("the configuration was refused at %s, the one before stays in force: %s",
			 timefmt_rfc3339(a->config_refused_at, at), a->config_problem);
	json_add_str(warnings, text);
}

/* --- a day on which the CA revokes many --- */

/* Of one replacement: what became of its order, the post, check-dcv, order info, the download. */
#define REQUESTS 5

struct revocations {
	uint32_t n, n_postponed, n_held;
};

static void count_revoked(const struct app *a, struct revocations *ret)
{
	*ret = (struct revocations){ 0 };
	for (size_t i = 0; i < a->n_domains; i++) {
		const struct domain *d = a->domains[i];

		if (!watching_revoked_at(d))
			continue;
		ret->n++;
		ret->n_held += d->rec->held;
		ret->n_postponed += !d->rec->held && !d->rec->job && upkeep_waits_for_budget(d);
	}
}

/* When the last of them can be there at the earliest: so long takes the slowest rate window, and so many days the orders that each day has
 * too few of. What else there is to do, and how long validation takes, nobody knows. */
static int64_t replaced_by(const struct app *a, const struct revocations *v)
{
	const struct cfg_certcentral *c = &a->config->certcentral;
	uint32_t max = (uint32_t)MAX(c->max_orders_per_day, INT64_C(1)), last = v->n_postponed - 1;
	int64_t now = clock_now(), requests = (int64_t)(v->n - v->n_held) * REQUESTS, by = now;

	for (uint32_t i = 0; i < c->n_rates; i++)
		by = MAX(by, now + requests / c->rates[i].requests * c->rates[i].per);
	if (v->n_postponed > 0)
		by = MAX(by, budget_next_at(a->budget, now, a->n_reserved + last % max) +
				     (int64_t)(last / max) * BUDGET_SPAN);
	return by;
}

static struct json *revocations_json(const struct app *a)
{
	struct json *o = json_new_obj();
	struct revocations v;

	count_revoked(a, &v);
	json_set_i64(o, "domains", v.n);
	json_set_i64(o, "failed", v.n_held);
	json_set_i64(o, "postponed", v.n_postponed);
	json_set_time(o, "replaced_by", v.n > v.n_held ? replaced_by(a, &v) : 0);
	return o;
}

static struct json *daemon_json(const struct app *a)
{
	struct json *o = json_new_obj(), *warnings = json_new_arr();

	json_set_i64(o, "pid", getpid());
	json_set_time(o, "started_at", a->started_at);
	json_set_time(o, "config_loaded_at", a->config_loaded_at);
	json_set_str(o, "version", DVCERT_VERSION);
	json_set_i64(o, "orders_today", budget_spent(a->budget, clock_now()));
	json_set_i64(o, "max_orders_per_day", a->config->certcentral.max_orders_per_day);
	json_set_bool(o, "api_key_stopped", cc_is_blocked(a->cc));
	json_set_i64(o, "api_requests", (int64_t)cc_request_count(a->cc));
	json_set(o, "revoked", revocations_json(a));
	for (size_t i = 0; i < a->warnings.n; i++)
		json_add_str(warnings, a->warnings.list[i]);
	add_refusal(warnings, a);
	json_set(o, "warnings", warnings);
	return o;
}

struct json *status_all(const struct app *a, struct control_request *rq)
{
	struct json *o = json_new_obj(), *list = json_new_arr();
	size_t n = control_n_names(rq);

	json_set_i64(o, "version", 1);
	json_set(o, "daemon", daemon_json(a));
	if (n == 0) {
		for (size_t i = 0; i < a->n_domains; i++)
			json_add(list, domain_json(a->domains[i], false));
	}
	for (size_t i = 0; i < n; i++)
		json_add(list, domain_json(domain_find(a, control_name(rq, i)), false));
	json_set(o, "domains", list);
	return o;
}

static void add_files(struct json *o, const struct domain *d)
{
	static const char *const FILES[] = { "cert", "chain", "fullchain", "privkey" };
	struct json *files = json_new_obj();

	for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
		_cleanup_free_ char *path =
			xasprintf("%s/live/%s/%s.pem", d->config->state_dir, d->rec->name, FILES[i]);

		json_set_str(files, FILES[i], d->rec->cert.generation ? path : NULL);
	}
	json_set(o, "files", files);
}

static void add_key(struct json *o, const struct cfg_key *key)
{
	static const char *const CURVES[] = {
		[CFG_KEY_RSA] = NULL, [CFG_KEY_EC_P256] = "P-256", [CFG_KEY_EC_P384] = "P-384"
	};
	struct json *k = json_new_obj();

	json_set_str(k, "type", key->type == CFG_KEY_RSA ? "rsa" : "ec");
	if (key->type == CFG_KEY_RSA)
		json_set_i64(k, "bits", key->bits);
	else
		json_set_str(k, "curve", CURVES[key->type]);
	json_set_bool(k, "reuse", key->reuse);
	json_set(o, "key", k);
}

static void warn(struct json *w, const char *fmt, ...) _printf_(2, 3);
static void warn(struct json *w, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_add_str(w, text);
}

static void warn_of_names(struct json *w, const struct domain *d)
{
	struct decision dec;
	struct view v;

	runner_view(d, &v);
	decide(&v, &dec);
	if (!dec.names_differ)
		return;
	if (decide_replacement(&v, v.now, true) != WANT_REISSUE)
		warn(w,
		     "the names in the configuration differ from those of the certificate, and its plan is "
		     "over: the next order brings them, `dvcertctl renew` places a (paid) one now");
	else
		warn(w,
		     "the names in the configuration differ from those of the certificate: a reissue brings "
		     "them");
	if (dec.loses_names)
		warn(w, "the certificate has names that the configuration does not have any more: 48 to 72 "
			"hours "
			"after the reissue DigiCert revokes the earlier certificates of the order");
}

/* What became of the certificate at the CA. */
static void warn_of_outside(struct json *w, const struct record *r)
{
	const struct record_cert *c = &r->cert;

	if (c->revoked_at)
		warn(w, "the installed certificate is revoked%s%s", c->revoked_for ? ": " : "",
		     c->revoked_for ? c->revoked_for : "");
	if (c->order_over)
		warn(w, "order %lld is over at the CA: the next certificate needs a new order",
		     (long long)c->order_id);
	if (c->other_id)
		warn(w, "order %lld was reissued by somebody else: certificate %lld, whose key is not here",
		     (long long)c->order_id, (long long)c->other_id);
	if (r->revocation && r->revocation->refused && !r->revocation->sent)
		warn(w, "a revocation waits for an approval in the CertCentral console: request %lld",
		     (long long)r->revocation->request_id);
	else if (r->revocation)
		warn(w, "a revocation is under way");
}

static void add_warnings(struct json *o, const struct domain *d)
{
	struct json *w = json_new_arr();
	const struct domain *owner = lock_owner(d);

	warn_of_names(w, d);
	warn_of_outside(w, d->rec);
	if (owner)
		warn(w, "waits for %s, whose proof stands in the same webroot %s", owner->rec->name,
		     d->spec->dcv.webroot);
	json_set(o, "warnings", w);
}

static void add_dcv(struct json *o, const struct cfg_dcv *dcv)
{
	struct json *e = json_new_obj(), *emails;

	json_set_str(e, "method", cfg_dcv_method_name(dcv->method));
	if (dcv->method == CFG_DCV_HTTP_TOKEN) {
		json_set_str(e, "webroot", dcv->webroot);
		json_set_bool(e, "responder", dcv->responder);
	}
	if (dcv->provider) {
		json_set_str(e, "provider", dcv->provider->name);
		json_set_str(e, "label", dcv->label);
	}
	if (dcv->n_emails > 0) {
		emails = json_new_arr();
		for (uint32_t i = 0; i < dcv->n_emails; i++)
			json_add_str(emails, dcv->emails[i]);
		json_set(e, "emails", emails);
	}
	json_set(o, "dcv", e);
}

struct json *status_show(const struct domain *d)
{
	const struct record_job *j = d->rec->job;
	struct json *o = domain_json(d, true);

	json_set_str(o, "product", d->spec->product);
	json_set_str(o, "common_name", d->spec->common_name);
	add_key(o, &d->spec->key);
	add_dcv(o, &d->spec->dcv);
	add_files(o, d);
	json_set_str(o, "issuance", j ? record_kind_word(j->kind) : NULL);
	json_set_str(o, "reference", j ? j->reference : NULL);
	if (j && j->order_id)
		json_set_i64(o, "pending_order_id", j->order_id);
	json_set_time(o, "dcv_token_expires_at", j ? j->dcv_token_expires_at : 0);
	add_warnings(o, d);
	return o;
}

void status_line(const struct app *a, char *buf, size_t len)
{
	const struct agenda_node *first = agenda_first(&a->agenda);
	char at[TIMEFMT_MAX];
	size_t used;
	unsigned busy = a->counts[STATE_PENDING] + a->counts[STATE_RETRYING] + a->counts[STATE_NEW];
	struct revocations revoked;

	snprintf(buf, len, "%zu domains: %u valid, %u under way, %u deploying, %u failed; next event %s",
		 a->n_domains, a->counts[STATE_VALID], busy, a->counts[STATE_DEPLOYING],
		 a->counts[STATE_FAILED],
		 first ? timefmt_rfc3339(MAX(first->due_at, clock_now()), at) : "none");
	used = strlen(buf);
	count_revoked(a, &revoked);
	if (revoked.n > 0)
		used += (size_t)MAX(
			snprintf(buf + used, len - used, "; %u revoked and not replaced yet", revoked.n), 0);
	used = MIN(used, len);
	if (a->config_refused_at)
		snprintf(buf + used, len - used, "; configuration of %s refused: %s",
			 timefmt_rfc3339(a->config_refused_at, at), a->config_problem);
}
