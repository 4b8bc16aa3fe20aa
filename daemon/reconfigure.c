/* SPDX-License-Identifier: Apache-2.0 */
/* A reload: the new configuration is read and checked whole by a pool thread, together with the records of domains that
 * are new in it. Then it is taken over in one turn of the loop, or the old one stays. A reload never orders for a domain
 * that has a certificate or an order; a domain that is gone is only forgotten. */
#include "daemon/app.h"
#include "daemon/authkey.h"
#include "daemon/crashes.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/timefmt.h"
#include "config/diff.h"
#include "config/load.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"
#include "daemon/notices.h"
#include "daemon/ops/notify.h"

#include <sysexits.h>

struct reload {
	struct app *app;
	struct config *old;
	struct config *now; /* result; NULL: refused */
	struct config_report report;
	struct record **recs; /* of added domains, by index in now->domains */
	struct shared_trust *trust;
	struct err err;
};

struct takeover {
	struct app *app;
	struct reload *reload;
	struct domain **domains; /* the new array */
	size_t n;
	struct domain **changed;
	size_t n_changed;
	int64_t added, removed, n_same, n_differ;
};

/* --- in the pool thread --- */

static void read_added(enum config_change change, const struct cfg_domain *old, const struct cfg_domain *now,
		       void *arg)
{
	struct reload *r = arg;

	(void)old;
	if (change == CONFIG_ADDED)
		r->recs[now - r->now->domains] = load_record(r->app, now);
}

static void reload_run(void *arg)
{
	struct reload *r = arg;

	if (config_load(r->app->config_file, &r->now, &r->report) < 0)
		return;
	r->trust = xmalloc(sizeof(*r->trust));
	r->trust->refs = 1;
	if (trust_new(r->now->certcentral.ca_file, &r->trust->trust, &r->err) < 0) {
		free(TAKE_PTR(r->trust));
		return;
	}
	r->recs = xcalloc(r->now->n_domains + 1, sizeof(struct record *));
	config_diff(r->old, r->now, read_added, r);
}

/* --- on the loop --- */

static void reload_free(struct reload *r)
{
	for (size_t i = 0; r->recs && i < r->now->n_domains; i++)
		record_free(r->recs[i]);
	free(r->recs);
	trust_put(r->trust);
	config_report_done(&r->report);
	config_unref(r->now);
	config_unref(r->old);
	free(r);
}

static void add_problem(struct json *problems, const char *text)
{
	log_event(LOG_LEVEL_ERROR, &MSG_CONFIG_BAD, NULL, "%s", text);
	json_add_str(problems, text);
}

static void answer_refused(struct app *a, const struct reload *r)
{
	static const char SUMMARY[] = "the new configuration is refused, the old one stays in force";
	struct control_request *rq = a->reload_request;
	struct json *o = json_new_obj(), *problems = json_new_arr();

	a->config_refused_at = clock_now();
	free(a->config_problem);
	a->config_problem = xstrdup(r->report.n_problems > 0 ? r->report.problems[0].text : r->err.text);
	for (size_t i = 0; i < r->report.n_problems; i++)
		add_problem(problems, r->report.problems[i].text);
	if (r->err.code)
		add_problem(problems, r->err.text);
	json_set(o, "problems", problems);
	log_event(LOG_LEVEL_ERROR, &MSG_CONFIG_BAD, NULL, "%s", SUMMARY);
	if (!rq) {
		json_free(o);
		return;
	}
	a->reload_request = NULL;
	free(control_data(rq));
	control_set_data(rq, NULL);
	control_refuse_with(rq, EX_CONFIG, o, SUMMARY);
}

static void answer_done(struct app *a, const struct takeover *t, const char *restart)
{
	struct control_request *rq = a->reload_request;
	struct json *o;

	log_event(LOG_LEVEL_INFO, &MSG_RELOADED, NULL,
		  "configuration reloaded: %zu domains, %lld added, %lld removed, %lld changed", a->n_domains,
		  (long long)t->added, (long long)t->removed, (long long)t->n_differ);
	if (restart[0])
		log_event(LOG_LEVEL_WARNING, &MSG_RELOADED, NULL,
			  "changed, but in force only after a restart: %s", restart);
	if (!rq)
		return;
	a->reload_request = NULL;
	free(control_data(rq));
	control_set_data(rq, NULL);
	o = json_new_obj();
	json_set_bool(o, "reloaded", true);
	json_set_i64(o, "added", t->added);
	json_set_i64(o, "removed", t->removed);
	json_set_i64(o, "changed", t->n_differ);
	json_set_str(o, "restart_needed", restart[0] ? restart : NULL);
	control_answer(rq, o);
}

static void adopt_spec(struct domain *d, struct config *now, const struct cfg_domain *spec)
{
	struct config *old = d->config;

	d->config = config_ref(now);
	d->spec = spec;
	config_unref(old);
}

/* What a person may have mended with this reload: a key, an account, a name. Never a state that we could
 * not read: an order may be hidden behind it. */
static bool may_release(const struct domain *d, bool differs)
{
	const struct record *r = d->rec;

	if (!r->held || r->frozen || crashes_is_aside(r) || load_was_blind(r) ||
	    (r->error.code && strncmp(r->error.code, "state_", 6) == 0))
		return false;
	return r->job || differs;
}

static bool retry_failed_deploys(struct record *r)
{
	bool any = false;

	for (uint32_t i = 0; i < r->n_deploys; i++) {
		if (r->deploys[i].state != DEPLOY_FAILED)
			continue;
		r->deploys[i].state = DEPLOY_TODO;
		r->deploys[i].next_at = 0;
		any = true;
	}
	return any;
}

static void add_domain(struct takeover *t, const struct cfg_domain *now)
{
	struct app *a = t->app;
	struct reload *r = t->reload;
	size_t i = (size_t)(now - r->now->domains);
	struct domain *d;

	TAILQ_FOREACH(d, &a->leaving, leaving)
	{
		if (strcmp(d->rec->name, now->name) == 0)
			break;
	}
	if (d) { /* it was on its way out: its state in memory is newer than the file */
		TAILQ_REMOVE(&a->leaving, d, leaving);
		d->is_leaving = false;
		d->is_fresh = !d->flight || (!d->flight->operation && d->flight->start_next == OP_NONE);
		adopt_spec(d, r->now, now);
	} else {
		d = domain_new(a, r->now, now, TAKE_PTR(r->recs[i]));
		d->is_fresh = true;
		if (d->rec->cert.order_unknown)
			watching_now(d);
	}
	t->domains[t->n++] = d;
	t->changed[t->n_changed++] = d;
	t->added++;
}

static void remove_domain(struct takeover *t, struct domain *d)
{
	d->is_leaving = true;
	TAILQ_INSERT_TAIL(&t->app->leaving, d, leaving);
	t->changed[t->n_changed++] = d;
	t->removed++;
}

/* Is it another place now? The id decides whose certificate it is at Scutum (the name of the target has the host only); another key
 * to push with changes nothing there. */
static bool has_moved(const struct cfg_deploy *a, const struct cfg_deploy *b)
{
	if (a->type == CFG_DEPLOY_SCUTUM && b->type == CFG_DEPLOY_SCUTUM)
		return strcmp(a->scutum.id, b->scutum.id) != 0;
	return !config_same_deploy(a, b);
}

static bool redo_moved(struct record *rec, const struct cfg_domain *old, const struct cfg_domain *now)
{
	bool any = false;

	for (uint32_t i = 0; i < now->n_deploy; i++) {
		for (uint32_t k = 0; k < old->n_deploy; k++) {
			const struct cfg_deploy *a = &old->deploy[k], *b = &now->deploy[i];

			if (strcmp(a->target, b->target) == 0 && has_moved(a, b))
				any = duty_redo(rec, b->target) || any;
		}
	}
	return any;
}

static void take_over(enum config_change change, const struct cfg_domain *old, const struct cfg_domain *now,
		      void *arg)
{
	struct takeover *t = arg;
	struct domain *d = old ? domain_find(t->app, old->name) : NULL;
	bool differs = change == CONFIG_CHANGED;

	if (!d) {
		if (now)
			add_domain(t, now);
		return;
	}
	if (!now) {
		remove_domain(t, d);
		return;
	}
	d->redeploys = differs && redo_moved(d->rec, old, now);
	adopt_spec(d, t->reload->now, now);
	d->spec_changed = differs && old->spec_hash != now->spec_hash;
	t->domains[t->n++] = d;
	t->n_differ += differs;
	if (differs || d->rec->held || d->state == STATE_FAILED || upkeep_waits_for_budget(d))
		t->changed[t->n_changed++] = d;
}

/* The proof may have another place now, and a pause may have been earned by what was just mended. An order that was placed
 * goes on by asking for its state; the post itself is never touched. */
static void begin_again(struct domain *d)
{
	const struct record_job *j = d->rec->job;

	if (!j || d->rec->held)
		return;
	if (j->next_at != 0) {
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	} else if (j->phase == PHASE_PUBLISH || j->phase == PHASE_CHECK ||
		   (j->phase == PHASE_PREPARE && j->csr)) { /* something is put up, or about to be */
		operation_cancel(d);
		runner_flight(d)->start_next = OP_NONE;
		runner_event(d, &(struct job_event){ .kind = EV_RESTART });
	}
}

/* A reload reissues inside the plan, but never orders: where the plan is over, what the YAML says now and what is served differ
 * for a while. Say until when. */
static void tell_names(const struct domain *d)
{
	struct decision dec;
	struct view v;
	char at[TIMEFMT_MAX];

	runner_view(d, &v);
	decide(&v, &dec);
	if (dec.names_differ && dec.want == WANT_NOTHING && !d->rec->job)
		runner_log(d, LOG_LEVEL_WARNING, &MSG_NAMES_DIFFER,
			   "the certificate has other names than the configuration until its renewal at %s; "
			   "dvcertctl renew %s orders it now",
			   timefmt_rfc3339(decide_renew_at(&v), at), d->rec->name);
}

static void go_on(struct domain *d)
{
	struct job_update u = { 0 };
	bool spec_changed = d->spec_changed;

	d->spec_changed = false;
	if (d->is_leaving || d->is_fresh) {
		bool is_fresh = d->is_fresh;

		d->is_fresh = false;
		runner_admit(d);
		if (is_fresh) /* one that has to wait until tomorrow says so now */
			runner_look(d);
		return;
	}
	if (may_release(d, spec_changed) || (d->rec->job && upkeep_waits_for_budget(d)))
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	else if (spec_changed)
		begin_again(d);
	if (spec_changed)
		tell_names(d);
	u.persist = duty_plan(d->rec, d->spec, false);
	u.persist = retry_failed_deploys(d->rec) || u.persist || d->redeploys;
	d->redeploys = false;
	runner_update(d, &u);
	runner_look(d);
}

static int scutum_part(struct app *a, struct config *c, struct err *reterr)
{
	return scutum_reconfigure(a->scutum, c, reterr);
}

static int revoked_part(struct app *a, struct config *c, struct err *reterr)
{
	return revoked_reconfigure(a->revoked, c, reterr);
}

static int cc_part(struct app *a, struct config *c, struct err *reterr)
{
	return cc_reconfigure(a->cc, c, reterr);
}

/* All or nothing: those that took the new configuration go back when a later one cannot. */
static int parts_reconfigure(struct app *a, struct config *c, struct err *reterr)
{
	static int (*const PARTS[])(struct app * a, struct config * c,
				    struct err * reterr) = { scutum_part, revoked_part, cc_part };

	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
		int rc = PARTS[i](a, c, reterr);

		if (rc == 0)
			continue;
		while (i-- > 0) {
			if (PARTS[i](a, a->config, NULL) < 0)
				err_prefix(reterr, "there is no way back to the old configuration, restart "
						   "dvcertd");
		}
		return rc;
	}
	return 0;
}

static void swap(struct app *a, struct reload *r)
{
	struct takeover t = { .app = a, .reload = r };
	char restart[256] = "";
	struct shared_trust *old_trust = a->trust;
	struct domain **old_domains = a->domains;

	(void)config_needs_restart(r->old, r->now, restart, sizeof(restart));
	t.domains = xcalloc(r->now->n_domains + 1, sizeof(struct domain *));
	t.changed = xcalloc(r->now->n_domains + r->old->n_domains + 1, sizeof(struct domain *));
	config_diff(r->old, r->now, take_over, &t);
	a->domains = t.domains;
	a->n_domains = t.n;
	a->config = config_ref(r->now);
	a->trust = TAKE_PTR(r->trust);
	trust_put(old_trust);
	config_unref(r->old); /* the app's own reference; reload_free drops the reload's */
	a->key_is_stopped = false;
	authkey_forget(a);
	a->config_loaded_at = clock_now();
	a->config_refused_at = 0;
	free(TAKE_PTR(a->config_problem));
	budget_set_max(a->budget, (uint32_t)a->config->certcentral.max_orders_per_day);
	app_set_log(a->config);
	for (size_t i = 0; i < t.n_changed; i++)
		go_on(t.changed[i]);
	if (t.removed > 0)
		verbs_domains_removed(a);
	answer_done(a, &t, restart);
	free(old_domains);
	free(t.changed);
}

static void reload_done(void *arg)
{
	struct reload *r = arg;
	struct app *a = r->app;
	bool again;

	a->reloading = false;
	if (a->stopping) { /* what would take it over has gone */
		reload_free(r);
		return;
	}
	if (r->now && r->trust && parts_reconfigure(a, r->now, &r->err) == 0)
		swap(a, r);
	else
		answer_refused(a, r);
	metrics_changed(a);
	notices_look_soon(a);
	reload_free(r);
	mem_trim();
	app_tell_status(a, true);
	again = a->reload_again;
	a->reload_again = false;
	if (again && !a->stopping)
		reconfigure(a, TAKE_PTR(a->reload_next));
}

void reconfigure(struct app *a, struct control_request *rq)
{
	struct reload *r;

	/* The file may have changed since it was read: it is read once more, and that answers. */
	if (a->reloading) {
		a->reload_again = true;
		a->reload_next = rq ? rq : a->reload_next;
		return;
	}
	a->reload_request = rq;
	a->reloading = true;
	notify_reloading();
	r = xmalloc(sizeof(*r));
	r->app = a;
	r->old = config_ref(a->config);
	work_start(a->loop, reload_run, reload_done, r, NULL);
}
