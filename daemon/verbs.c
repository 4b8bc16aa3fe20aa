/* SPDX-License-Identifier: Apache-2.0 */
/* What dvcertctl can ask for: the table, the requests that are open, and the verbs that only tell. The other verbs are in
 * verbs_*.c, duplicate.c, plan.c and doctor.c. A verb answers at once, or keeps the request and answers when it is decided. */
#include "daemon/verbs.h"

#include "common/mem.h"
#include "daemon/save.h"

#include <sysexits.h>

/* --- open requests --- */

void waiter_begin(struct waiter *w, struct app *a, struct control_request *rq, const struct waiter_kind *kind)
{
	w->app = a;
	w->rq = rq;
	w->kind = kind;
	w->next = a->waiters;
	a->waiters = w;
	if (rq)
		control_set_data(rq, w);
}

void waiter_end(struct waiter *w)
{
	struct waiter **p = &w->app->waiters;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
}

static struct control_request *take_request(struct waiter *w)
{
	struct control_request *rq = w->rq;

	waiter_end(w);
	w->rq = NULL;
	if (rq)
		control_set_data(rq, NULL);
	return rq;
}

void waiter_answer(struct waiter *w, struct json *answer)
{
	struct control_request *rq = take_request(w);

	if (rq)
		control_answer(rq, answer);
	else
		json_free(answer);
}

void waiter_refuse_with(struct waiter *w, int exit_code, struct json *answer, const char *text)
{
	struct control_request *rq = take_request(w);

	if (rq)
		control_refuse_with(rq, exit_code, answer, text);
	else
		json_free(answer);
}

void waiter_refuse(struct waiter *w, int exit_code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	waiter_refuse_with(w, exit_code, json_new_obj(), text);
}

void verbs_request_gone(struct control_request *rq, _unused_ void *arg)
{
	struct waiter *w = control_data(rq);

	if (w)
		w->kind->gone(w, false);
}

void verbs_state_changed(struct app *a, const struct domain *d)
{
	for (struct waiter *w = a->waiters, *next; w; w = next) {
		next = w->next;
		if (w->kind->changed)
			w->kind->changed(w, d);
	}
}

/* Nobody tells the state of a domain that is not there any more. */
void verbs_domains_removed(struct app *a)
{
	verbs_state_changed(a, NULL);
}

void verbs_revocation(struct domain *d, const struct outcome *o)
{
	for (struct waiter *w = d->app->waiters, *next; w; w = next) {
		next = w->next;
		if (w->kind->revoked)
			w->kind->revoked(w, d, o);
	}
}

void verbs_done(struct app *a)
{
	struct waiter *w;

	while ((w = a->waiters)) {
		waiter_refuse(w, EX_TEMPFAIL, "dvcertd is being stopped");
		w->kind->gone(w, true);
	}
}

/* --- what requests say --- */

const char VERBS_FROZEN[] = "its state file cannot be used, see `dvcertctl show`";

int verbs_code_of(const struct outcome *o)
{
	return fault_may_pass(o->fault) ? EX_TEMPFAIL : EXIT_FAILURE;
}

bool verbs_know_names(struct app *a, struct control_request *rq)
{
	for (size_t i = 0; i < control_n_names(rq); i++) {
		if (domain_find(a, control_name(rq, i)))
			continue;
		control_refuse(rq, EXIT_FAILURE, "no domain named %s in the configuration",
			       control_name(rq, i));
		return false;
	}
	return true;
}

struct domain *verbs_one(struct app *a, struct control_request *rq)
{
	if (control_n_names(rq) != 1) {
		control_refuse(rq, EX_USAGE, "one name is needed, and no more");
		return NULL;
	}
	return verbs_know_names(a, rq) ? domain_find(a, control_name(rq, 0)) : NULL;
}

struct domain *verbs_one_to_change(struct app *a, struct control_request *rq)
{
	struct domain *d = verbs_one(a, rq);

	if (!d || !d->rec->frozen)
		return d;
	control_refuse(rq, EXIT_FAILURE, "%s: %s", d->rec->name, VERBS_FROZEN);
	return NULL;
}

bool verbs_flag(struct control_request *rq, const char *key, bool *ret)
{
	*ret = false;
	if (json_get_bool(control_args(rq), key, ret) >= 0)
		return true;
	control_refuse(rq, EX_USAGE, "%s must be true or false", key);
	return false;
}

bool verbs_number(struct control_request *rq, const char *key, int64_t *ret)
{
	*ret = 0;
	if (json_get_i64(control_args(rq), key, ret) >= 0 && *ret >= 0)
		return true;
	control_refuse(rq, EX_USAGE, "%s must be a number, and not negative", key);
	return false;
}

bool verbs_text(struct control_request *rq, const char *key, const char **ret)
{
	*ret = NULL;
	if (json_get_str(control_args(rq), key, ret) >= 0)
		return true;
	control_refuse(rq, EX_USAGE, "%s must be a text", key);
	return false;
}

/* --- the verbs that only tell --- */

static void verb_status(struct control_request *rq, void *arg)
{
	struct app *a = arg;

	if (verbs_know_names(a, rq))
		control_answer(rq, status_all(a, rq));
}

static void verb_show(struct control_request *rq, void *arg)
{
	struct domain *d = verbs_one(arg, rq);
	struct json *o;

	if (!d)
		return;
	o = json_new_obj();
	json_set(o, "domain", status_show(d));
	control_answer(rq, o);
}

/* History: read by a pool thread. */
struct history_read {
	struct waiter w;
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

	if (h->rc < 0) {
		waiter_refuse(&h->w, EXIT_FAILURE, "%s", h->err.text);
	} else {
		o = json_new_obj();
		json_set_str(o, "name", h->name);
		json_set(o, "history", TAKE_PTR(h->history));
		waiter_answer(&h->w, o);
	}
	free(h->name);
	free(h);
}

/* The pool thread ends with history_done(), also without a peer. */
static void history_gone(struct waiter *w, _unused_ bool stopping)
{
	w->rq = NULL;
}

static void verb_history(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = history_gone };
	struct domain *d = verbs_one(arg, rq);
	struct history_read *h;

	if (!d)
		return;
	h = xmalloc(sizeof(*h));
	h->store = d->app->store;
	h->name = xstrdup(d->rec->name);
	waiter_begin(&h->w, d->app, rq, &KIND);
	work_start(d->app->loop, history_run, history_done, h, NULL);
}

/* --- reload --- */

/* reconfigure.c answers, and frees the request's data. */
static void reload_gone(struct waiter *w, _unused_ bool stopping)
{
	struct app *a = w->app;

	if (a->reload_request == w->rq)
		a->reload_request = NULL;
	else
		a->reload_next = NULL;
	free(w);
}

static void verb_reload(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = reload_gone };
	struct app *a = arg;
	struct waiter *w;

	if (a->reload_request || a->reload_next) {
		control_refuse(rq, EX_TEMPFAIL, "a reload is under way, try again");
		return;
	}
	w = xmalloc(sizeof(*w));
	waiter_begin(w, a, rq, &KIND);
	waiter_end(w);
	reconfigure(a, rq);
}

const struct control_verb VERBS[] = {
	{ "status", verb_status, false },      { "show", verb_show, true },
	{ "history", verb_history, true },     { "plan", verb_plan, false },
	{ "doctor", verb_doctor, false },      { "wait", verb_wait, true },
	{ "renew", verb_renew, false },	       { "reissue", verb_reissue, false },
	{ "revoke", verb_revoke, true },       { "cancel", verb_cancel, true },
	{ "check-dcv", verb_check_dcv, true }, { "resend-emails", verb_resend_emails, true },
	{ "duplicate", verb_duplicate, true }, { "deploy", verb_deploy, true },
	{ "rollback", verb_rollback, true },   { "auth-key", verb_auth_key, false },
	{ "budget", verb_budget, false },      { "reload", verb_reload, false },
};
const size_t N_VERBS = ARRAY_SIZE(VERBS);
