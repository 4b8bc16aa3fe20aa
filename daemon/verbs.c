/* SPDX-License-Identifier: Apache-2.0 */
/* What dvcertctl can ask for. A verb answers at once, or keeps the request and answers when it is decided. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/save.h"

#include <errno.h>
#include <sysexits.h>

#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S     86400

/* All names of the request are ours? Otherwise it is refused here. */
static bool know_names(struct app *a, struct control_request *rq)
{
	for (size_t i = 0; i < control_n_names(rq); i++) {
		if (domain_find(a, control_name(rq, i)))
			continue;
		control_refuse(rq, 1, "no domain named %s in the configuration", control_name(rq, i));
		return false;
	}
	return true;
}

static void verb_status(struct control_request *rq, void *arg)
{
	struct app *a = arg;

	if (know_names(a, rq))
		control_answer(rq, status_all(a, rq));
}

static void verb_show(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	struct json *o;

	if (!know_names(a, rq))
		return;
	o = json_new_obj();
	json_set(o, "domain", status_show(domain_find(a, control_name(rq, 0))));
	control_answer(rq, o);
}

/* --- history: read by a pool thread --- */

struct history_read {
	struct control_request *rq; /* NULL: the peer has left */
	const struct store *store;
	char *name;
	struct json *history;
	int rc;
	struct err err;
};

static void history_run(void *arg)
{
	struct history_read *h = arg;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	h->rc = store_load(h->store, h->name, &text, &len, &h->err);
	if (h->rc == 0)
		h->history = save_read_history(text, len);
}

static void history_done(void *arg)
{
	struct history_read *h = arg;
	struct json *o;

	if (h->rq) {
		free(control_data(h->rq));
		control_set_data(h->rq, NULL);
		if (h->rc < 0) {
			control_refuse(h->rq, 1, "%s", h->err.text);
		} else {
			o = json_new_obj();
			json_set_str(o, "name", h->name);
			json_set(o, "history", TAKE_PTR(h->history));
			control_answer(h->rq, o);
		}
	}
	json_free(h->history);
	free(h->name);
	free(h);
}

/* --- wait --- */

struct waiter {
	struct app *app;
	struct control_request *rq;
	struct timer *timer;
	struct waiter *next;
	size_t n_valid; /* so many names from the first on were valid when they were looked at */
};

/* One kind of pending request or the other: gone() must know which. */
enum pending_kind { PENDING_WAIT, PENDING_HISTORY, PENDING_RELOAD };

struct pending {
	enum pending_kind kind;
	struct waiter *waiter;
	struct history_read *history;
	struct app *app;
};

static struct pending *pending_new(struct app *a, struct control_request *rq, enum pending_kind kind)
{
	struct pending *p = xmalloc(sizeof(*p));

	p->kind = kind;
	p->app = a;
	control_set_data(rq, p);
	return p;
}

static void verb_history(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	struct history_read *h;

	if (!know_names(a, rq))
		return;
	h = xmalloc(sizeof(*h));
	h->rq = rq;
	h->store = a->store;
	h->name = xstrdup(control_name(rq, 0));
	pending_new(a, rq, PENDING_HISTORY)->history = h;
	work_start(a->loop, history_run, history_done, h, NULL);
}

static void waiter_free(struct waiter *w)
{
	struct waiter **p = &w->app->waiters;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	timer_free(w->timer);
	free(w);
}

static void wait_answer(struct waiter *w, const char *result)
{
	struct json *o = json_new_obj(), *list = json_new_arr();
	struct control_request *rq = w->rq;

	for (size_t i = 0; i < control_n_names(rq); i++) {
		const struct domain *d = domain_find(w->app, control_name(rq, i));
		struct json *e = json_new_obj();

		json_set_str(e, "name", control_name(rq, i));
		json_set_str(e, "state", d ? domain_state_name(domain_state(d)) : "removed");
		json_set_str(e, "error", d && d->rec->error.code ? d->rec->error.message : NULL);
		json_add(list, e);
	}
	json_set(o, "domains", list);
	json_set_str(o, "result", result);
	free(control_data(rq));
	control_set_data(rq, NULL);
	waiter_free(w);
	control_answer(rq, o);
}

static enum domain_state wait_state(const struct waiter *w, size_t i)
{
	const struct domain *d = domain_find(w->app, control_name(w->rq, i));

	return d ? domain_state(d) : STATE_FAILED;
}

static bool wait_has_failed(const struct waiter *w)
{
	for (size_t i = 0; i < control_n_names(w->rq); i++) {
		if (wait_state(w, i) == STATE_FAILED)
			return true;
	}
	return false;
}

/* Every change of state of every domain asks this: the names that are valid are not looked at again before all seem to be. */
static bool wait_is_over(struct waiter *w)
{
	size_t n = control_n_names(w->rq);

	while (w->n_valid < n && wait_state(w, w->n_valid) == STATE_VALID)
		w->n_valid++;
	if (w->n_valid < n)
		return false;
	for (w->n_valid = 0; w->n_valid < n; w->n_valid++) {
		if (wait_state(w, w->n_valid) != STATE_VALID)
			return false;
	}
	return true;
}

static void wait_over(void *arg)
{
	wait_answer(arg, "timeout");
}

static void verb_wait(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	int64_t timeout = WAIT_DEFAULT_S;
	struct waiter *w;

	if (!know_names(a, rq))
		return;
	if (json_get_i64(control_args(rq), "timeout", &timeout) < 0 || timeout < 0 || timeout > WAIT_MAX_S) {
		control_refuse(rq, EX_USAGE, "timeout must be a number of seconds up to %d", WAIT_MAX_S);
		return;
	}
	w = xmalloc(sizeof(*w));
	w->app = a;
	w->rq = rq;
	w->next = a->waiters;
	a->waiters = w;
	pending_new(a, rq, PENDING_WAIT)->waiter = w;
	if (wait_has_failed(w) || wait_is_over(w)) {
		wait_answer(w, wait_has_failed(w) ? "failed" : "valid");
		return;
	}
	w->timer = timer_new(a->loop, wait_over, w);
	timer_set(w->timer, timeout * 1000);
}

void verbs_state_changed(struct app *a, const struct domain *d)
{
	enum domain_state state = (enum domain_state)d->state;
	struct waiter *w = a->waiters, *next;

	for (; w; w = next) {
		next = w->next;
		if (state == STATE_FAILED && wait_has_failed(w))
			wait_answer(w, "failed");
		else if (state == STATE_VALID && wait_is_over(w))
			wait_answer(w, "valid");
	}
}

/* Nobody tells the state of a domain that is not there any more. */
void verbs_domains_removed(struct app *a)
{
	for (struct waiter *w = a->waiters, *next; w; w = next) {
		next = w->next;
		if (wait_has_failed(w))
			wait_answer(w, "failed");
	}
}

/* --- renew, deploy, reload --- */

/* Why a renewal cannot be started now; NULL when it was. */
static const char *renew(struct domain *d)
{
	const struct record *r = d->rec;
	int64_t now = clock_now();

	if (r->frozen)
		return "its state file cannot be used, see `dvcertctl show`";
	if (r->held || (r->job && r->job->next_at != 0))
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	if (r->job)
		return NULL; /* under way, now without a pause */
	if (budget_next_at(d->app->budget, now, d->app->n_reserved) > now)
		return "certcentral.max_orders_per_day is reached";
	runner_event(d, &(struct job_event){ .kind = EV_START });
	return NULL;
}

static const char *redeploy(struct domain *d)
{
	struct job_update u = { .persist = true };

	if (d->rec->cert.generation == 0)
		return "nothing is installed yet";
	if (d->spec->n_deploy == 0)
		return "it has no deploy targets";
	if (d->flight && d->flight->deploying)
		return "a deployment is under way";
	(void)duty_plan(d->rec, d->spec, true);
	runner_update(d, &u);
	return NULL;
}

static void for_names(struct app *a, struct control_request *rq, const char *(*fn)(struct domain *d))
{
	struct json *o, *accepted, *refused;

	if (!know_names(a, rq))
		return;
	o = json_new_obj();
	accepted = json_new_arr();
	refused = json_new_arr();
	for (size_t i = 0; i < control_n_names(rq); i++) {
		const char *why = fn(domain_find(a, control_name(rq, i)));
		struct json *e;

		if (!why) {
			json_add_str(accepted, control_name(rq, i));
			continue;
		}
		e = json_new_obj();
		json_set_str(e, "name", control_name(rq, i));
		json_set_str(e, "reason", why);
		json_add(refused, e);
	}
	json_set(o, "accepted", accepted);
	json_set(o, "refused", refused);
	control_answer(rq, o);
}

static void verb_renew(struct control_request *rq, void *arg)
{
	for_names(arg, rq, renew);
}

static void verb_deploy(struct control_request *rq, void *arg)
{
	for_names(arg, rq, redeploy);
}

static void verb_reload(struct control_request *rq, void *arg)
{
	struct app *a = arg;

	if (a->reload_request || a->reload_next) {
		control_refuse(rq, EX_TEMPFAIL, "a reload is under way, try again");
		return;
	}
	pending_new(a, rq, PENDING_RELOAD);
	reconfigure(a, rq);
}

void verbs_request_gone(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	struct pending *p = control_data(rq);

	if (!p)
		return;
	if (p->kind == PENDING_WAIT)
		waiter_free(p->waiter);
	else if (p->kind == PENDING_HISTORY)
		p->history->rq = NULL;
	else if (a->reload_request == rq)
		a->reload_request = NULL;
	else
		a->reload_next = NULL;
	free(p);
}

void verbs_done(struct app *a)
{
	while (a->waiters)
		wait_answer(a->waiters, "timeout");
}

const struct control_verb VERBS[] = {
	{ "status", verb_status, false }, { "show", verb_show, true },	 { "history", verb_history, true },
	{ "wait", verb_wait, true },	  { "renew", verb_renew, true }, { "deploy", verb_deploy, true },
	{ "reload", verb_reload, false },
};
const size_t N_VERBS = ARRAY_SIZE(VERBS);
