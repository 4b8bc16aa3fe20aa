/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl plan`: what a reload of the configuration as it is on disk now, and the time, would make dvcertd do. The file is
 * read by a pool thread, as for a reload; nothing is taken over, nothing is written, nobody is asked. */
#include "daemon/authkey.h"
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/words.h"
#include "config/diff.h"
#include "config/load.h"
#include "daemon/core/forecast.h"
#include "daemon/store/seal.h"

#include <sysexits.h>

struct planning {
	struct waiter w;
	struct config *old;
	struct config *now; /* result; NULL: it is wrong */
	struct config_report report;
	struct record **recs; /* of added domains, by index in now->domains */
	struct err err;
};

/* --- in the pool thread --- */

/* As load_record() does it, but what cannot be used stays where it is. */
static struct record *read_record(struct app *a, const struct cfg_domain *spec)
{
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	struct record *r = NULL;
	size_t len = 0;

	if (store_load(a->store, spec->name, &text, &len, &e) == 0) {
		if (!text)
			return load_record(a, spec);
		if (seal_check(text, len, &e) == 0 && record_decode(spec->name, text, len, &r, &e) == 0)
			return r;
	}
	r = record_new(spec->name);
	r->held = true;
	record_set_error(r, clock_now(), "state_unreadable", e.text);
	return r;
}

static void read_added(enum config_change change, const struct cfg_domain *old, const struct cfg_domain *now,
		       void *arg)
{
	struct planning *p = arg;

	(void)old;
	if (change == CONFIG_ADDED)
		p->recs[now - p->now->domains] = read_record(p->w.app, now);
}

static void plan_run(void *arg)
{
	struct planning *p = arg;
	_cleanup_(trust_freep) struct trust *trust = NULL;

	if (config_load(p->w.app->config_file, &p->now, &p->report) < 0)
		return;
	p->recs = xcalloc(p->now->n_domains + 1, sizeof(struct record *));
	if (trust_new(p->now->certcentral.ca_file, &trust, &p->err) == 0)
		config_diff(p->old, p->now, read_added, p);
}

/* --- who may order when --- */

struct wish {
	size_t i; /* index in the configuration */
	int64_t urgency;
};

/* One turn of the loop: domains, records and the ledger hold still. */
struct plan {
	struct app *app;
	const struct planning *reading;
	int64_t now;
	int64_t *allowed_at; /* by index in the configuration */
	bool auth_key_known;
	int64_t n_now, n_orders, n_reissues, n_requests;
	bool polls; /* an order will be pending at the CA for a while */
	struct json *domains;
	struct json *postponed;
};

static const struct record *record_of(const struct plan *p, size_t i)
{
	const struct domain *d = domain_find(p->app, p->reading->now->domains[i].name);

	return d ? d->rec : p->reading->recs[i];
}

static void look_at(const struct plan *p, size_t i, struct forecast *ret)
{
	const struct config *c = p->reading->now;
	struct forecast_env env = {
		.view = { .spec = &c->domains[i],
			  .rec = record_of(p, i),
			  .now = p->now,
			  .order_allowed_at = p->allowed_at[i],
			  .cert_life = c->certcentral.max_cert_days * 86400 },
		.plan_life = c->certcentral.order_years * 365 * 86400,
		.instant = c->certcentral.instant_issuance,
		.auth_key_known = p->auth_key_known || c->certcentral.auth_key,
	};

	forecast(&env, ret);
}

static int wish_compare(const void *pa, const void *pb)
{
	const struct wish *a = pa, *b = pb;

	if (a->urgency != b->urgency)
		return a->urgency < b->urgency ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

/* Those that expire first have the orders that are left today; the others wait for the posts of yesterday to leave the window. */
static void share_budget(struct plan *p)
{
	const struct config *c = p->reading->now;
	struct wish *wishes = xcalloc(c->n_domains + 1, sizeof(*wishes));
	struct forecast f;
	uint32_t n = 0;

	for (size_t i = 0; i < c->n_domains; i++) {
		p->allowed_at[i] = p->now;
		look_at(p, i, &f);
		if (f.is_paid && f.action != FORECAST_RESUME)
			wishes[n++] = (struct wish){ i, decide_urgency(record_of(p, i), p->now) };
	}
	qsort(wishes, n, sizeof(*wishes), wish_compare);
	budget_set_max(p->app->budget, (uint32_t)c->certcentral.max_orders_per_day);
	for (uint32_t k = 0; k < n; k++)
		p->allowed_at[wishes[k].i] = budget_next_at(p->app->budget, p->now, p->app->n_reserved + k);
	budget_set_max(p->app->budget, (uint32_t)p->app->config->certcentral.max_orders_per_day);
	free(wishes);
}

/* --- warnings --- */

static void warn(struct json *w, const char *fmt, ...) _printf_(2, 3);
static void warn(struct json *w, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_add_str(w, text);
}

/* Those of `names` that are not among the others, blank separated. */
static char *names_without(const char *names, const char *others)
{
	_cleanup_words_ struct words all = WORDS_INIT, left = WORDS_INIT;

	words_split(names, &all);
	for (size_t i = 0; i < all.n; i++) {
		if (!words_has(others, all.list[i]))
			words_add(&left, all.list[i]);
	}
	return words_join(&left);
}

static void warn_of_names(struct json *w, const struct cfg_domain *spec, const struct record *r,
			  const struct forecast *f)
{
	_cleanup_free_ char *wanted = job_names(spec), *lost = names_without(r->cert.names, wanted),
			    *gained = names_without(wanted, r->cert.names);

	if (f->action == FORECAST_NONE || f->action == FORECAST_DEPLOY)
		warn(w,
		     "the names differ from those of the certificate, but its plan is over or about to end: "
		     "the next order brings them, `dvcertctl renew %s --yes` places a (paid) one now",
		     spec->name);
	if (f->loses_names && f->action != FORECAST_ORDER)
		warn(w,
		     "%s will be missing: 48 to 72 hours after the reissue DigiCert revokes all earlier "
		     "certificates of order %lld",
		     lost, (long long)r->cert.order_id);
	if (f->gains_names && f->action == FORECAST_REISSUE)
		warn(w, "%s comes new into the plan, which may cost money", gained);
}

static struct json *warnings(const struct plan *p, const struct cfg_domain *spec, const struct record *r,
			     const struct forecast *f)
{
	const struct cfg_domain *before = config_find(p->app->config, spec->name);
	struct json *w = json_new_arr();
	char key[RECORD_KEY_MAX];

	if (r->held)
		warn(w, "it is held, see `dvcertctl show`: %s", r->error.message ? r->error.message : "");
	if (f->names_differ && !r->held)
		warn_of_names(w, spec, r, f);
	if (f->key_differs)
		warn(w, "the key will be %s, it is %s now", record_key_text(&spec->key, key), r->cert.key);
	if (before && strcmp(before->product, spec->product) != 0 && r->cert.generation != 0)
		warn(w, "product %s holds from the next order on: reissues stay with that of order %lld",
		     spec->product, (long long)r->cert.order_id);
	if (r->cert.other_id)
		warn(w, "order %lld was reissued by somebody else: certificate %lld, whose key is not here",
		     (long long)r->cert.order_id, (long long)r->cert.other_id);
	return w;
}

/* --- the answer --- */

static const char *then_word(enum want w)
{
	return w == WANT_ORDER ? "order" : w == WANT_REISSUE ? "reissue" : "none";
}

static struct json *domain_json(const struct plan *p, size_t i, const struct forecast *f)
{
	const struct cfg_domain *spec = &p->reading->now->domains[i];
	struct json *o = json_new_obj(), *calls = json_new_arr(), *then = json_new_obj();

	json_set_str(o, "name", spec->name);
	json_set_str(o, "action", forecast_action_name(f->action));
	json_set_str(o, "reason", reason_text(f->reason));
	json_set_time(o, "at", f->at);
	json_set_bool(o, "paid", f->is_paid);
	json_set_bool(o, "postponed", f->postponed);
	json_set_i64(o, "requests", f->n_calls);
	json_set_bool(o, "at_least", f->at_least);
	for (unsigned k = 0; k < f->n_calls; k++)
		json_add_str(calls, f->calls[k]);
	json_set(o, "calls", calls);
	json_set_str(then, "action", then_word(f->then));
	json_set_time(then, "at", f->then_at == DUE_NEVER ? 0 : f->then_at);
	json_set(o, "then", then);
	json_set(o, "warnings", warnings(p, spec, record_of(p, i), f));
	return o;
}

/* What has been placed already is not placed again. */
static bool is_to_be_placed(const struct record *r, enum forecast_action a, enum job_kind kind)
{
	enum forecast_action placing = kind == JOB_REISSUE ? FORECAST_REISSUE : FORECAST_ORDER;

	return a == placing || (a == FORECAST_RESUME && r->job->kind == kind && r->job->order_id == 0 &&
				r->job->submitted_at == 0);
}

static void count(struct plan *p, const struct record *r, const struct forecast *f)
{
	if (f->action == FORECAST_NONE || f->postponed)
		return;
	p->n_now++;
	p->n_orders += is_to_be_placed(r, f->action, JOB_ORDER);
	p->n_reissues += is_to_be_placed(r, f->action, JOB_REISSUE);
	p->n_requests += f->n_calls;
	p->auth_key_known = p->auth_key_known || f->asks_auth_key;
	p->polls = p->polls || f->n_calls >= 3;
}

static bool is_asked_for(const struct control_request *rq, const char *name)
{
	size_t n = control_n_names(rq);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(control_name(rq, i), name) == 0)
			return true;
	}
	return n == 0;
}

static void add_domain(struct plan *p, size_t i)
{
	const char *name = p->reading->now->domains[i].name;
	struct forecast f;
	struct json *e;

	if (!is_asked_for(p->reading->w.rq, name))
		return;
	look_at(p, i, &f);
	count(p, record_of(p, i), &f);
	json_add(p->domains, domain_json(p, i, &f));
	if (!f.postponed)
		return;
	e = json_new_obj();
	json_set_str(e, "name", name);
	json_set_time(e, "until", f.at);
	json_add(p->postponed, e);
}

struct changes {
	struct json *added, *removed, *changed;
};

static void add_change(enum config_change change, const struct cfg_domain *old, const struct cfg_domain *now,
		       void *arg)
{
	struct changes *c = arg;

	switch (change) {
	case CONFIG_ADDED: json_add_str(c->added, now->name); break;
	case CONFIG_REMOVED: json_add_str(c->removed, old->name); break;
	case CONFIG_CHANGED: json_add_str(c->changed, now->name); break;
	case CONFIG_SAME: break;
	}
}

static struct json *changes_json(const struct plan *p)
{
	struct changes c = { json_new_arr(), json_new_arr(), json_new_arr() };
	struct json *o = json_new_obj();
	char restart[256] = "";

	config_diff(p->app->config, p->reading->now, add_change, &c);
	(void)config_needs_restart(p->app->config, p->reading->now, restart, sizeof(restart));
	json_set(o, "added", c.added);
	json_set(o, "removed", c.removed);
	json_set(o, "changed", c.changed);
	json_set_str(o, "restart_needed", restart[0] ? restart : NULL);
	return o;
}

static struct json *budget_json(struct plan *p)
{
	int64_t max = p->reading->now->certcentral.max_orders_per_day;
	int64_t used = (int64_t)budget_spent(p->app->budget, p->now) + p->app->n_reserved;
	struct json *o = json_new_obj();

	json_set_i64(o, "max_orders_per_day", max);
	json_set_i64(o, "left", MAX(max - used, (int64_t)0));
	json_set(o, "postponed", p->postponed);
	return o;
}

static struct json *notes_json(const struct plan *p)
{
	struct json *notes = json_new_arr();

	if (p->polls)
		json_add_str(notes,
			     "and one status-changes request per poll_interval while an order is pending");
	if (p->n_reissues > 0)
		json_add_str(notes,
			     "and PUT .../dcv-random-value where the answer to a reissue brings no value");
	return notes;
}

static struct json *plan_json(struct plan *p)
{
	struct json *o = json_new_obj(), *totals = json_new_obj();

	p->domains = json_new_arr();
	p->postponed = json_new_arr();
	share_budget(p);
	for (size_t i = 0; i < p->reading->now->n_domains; i++)
		add_domain(p, i);
	json_set_i64(totals, "domains", p->n_now);
	json_set_i64(totals, "orders", p->n_orders);
	json_set_i64(totals, "reissues", p->n_reissues);
	json_set_i64(totals, "requests", p->n_requests);
	json_set(o, "domains", p->domains);
	json_set(o, "totals", totals);
	json_set(o, "budget", budget_json(p));
	json_set(o, "changes", changes_json(p));
	json_set(o, "notes", notes_json(p));
	return o;
}

/* --- on the loop --- */

static void planning_free(struct planning *p)
{
	for (size_t i = 0; p->recs && i < p->now->n_domains; i++)
		record_free(p->recs[i]);
	free(p->recs);
	config_report_done(&p->report);
	config_unref(p->now);
	config_unref(p->old);
	free(p);
}

static void refuse_config(struct planning *p)
{
	struct json *o = json_new_obj(), *problems = json_new_arr();

	for (size_t i = 0; i < p->report.n_problems; i++)
		json_add_str(problems, p->report.problems[i].text);
	if (p->err.code)
		json_add_str(problems, p->err.text);
	json_set(o, "problems", problems);
	waiter_refuse_with(&p->w, EX_CONFIG, o,
			   "the configuration on disk is wrong, a reload would refuse it");
}

static void answer(struct planning *p)
{
	struct app *a = p->w.app;
	const struct control_request *rq = p->w.rq;
	struct plan plan = { .app = a, .reading = p, .now = clock_now() };

	for (size_t i = 0; i < control_n_names(rq); i++) {
		if (!config_find(p->now, control_name(rq, i))) {
			waiter_refuse(&p->w, EXIT_FAILURE, "no domain named %s in the configuration on disk",
				      control_name(rq, i));
			return;
		}
	}
	for (size_t i = 0; i < p->now->n_domains; i++) {
		if (!p->recs[i] && !domain_find(a, p->now->domains[i].name)) {
			waiter_refuse(&p->w, EX_TEMPFAIL,
				      "the configuration was reloaded meanwhile, try again");
			return;
		}
	}
	plan.auth_key_known = authkey_is_known(a);
	plan.allowed_at = xcalloc(p->now->n_domains + 1, sizeof(*plan.allowed_at));
	waiter_answer(&p->w, plan_json(&plan));
	free(plan.allowed_at);
}

static void plan_done(void *arg)
{
	struct planning *p = arg;

	if (!p->w.rq)
		waiter_end(&p->w);
	else if (!p->now || p->err.code)
		refuse_config(p);
	else
		answer(p);
	planning_free(p);
}

/* The pool thread ends with plan_done(), also without a peer. */
static void plan_gone(struct waiter *w, _unused_ bool stopping)
{
	w->rq = NULL;
}

void verb_plan(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = plan_gone };
	struct app *a = arg;
	struct planning *p = xmalloc(sizeof(*p));

	p->old = config_ref(a->config);
	waiter_begin(&p->w, a, rq, &KIND);
	work_start(a->loop, plan_run, plan_done, p, NULL);
}
