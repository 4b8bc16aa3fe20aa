/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that begin something for a domain: renew, reissue, deploy. */
#include "daemon/verbs.h"

#include "common/mem.h"
#include "common/timefmt.h"
#include "common/words.h"

#include <sysexits.h>

/* --- lists of what was taken and what was not --- */

struct taken {
	struct json *accepted;
	struct json *refused;
};

static void taken_add(struct taken *t, const char *name, const char *why)
{
	struct json *e;

	if (!why) {
		json_add_str(t->accepted, name);
		return;
	}
	e = json_new_obj();
	json_set_str(e, "name", name);
	json_set_str(e, "reason", why);
	json_add(t->refused, e);
}

static struct json *taken_answer(const struct taken *t)
{
	struct json *o = json_new_obj();

	json_set(o, "accepted", t->accepted);
	json_set(o, "refused", t->refused);
	return o;
}

/* --- which domains --- */

struct urgent {
	int64_t at;
	char *name;
};

static int urgent_compare(const void *pa, const void *pb)
{
	const struct urgent *a = pa, *b = pb;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Only some begin at once: who names nobody wants those first whose certificates are revoked, or expire. */
static void take_all(const struct app *a, struct words *ret)
{
	struct urgent *all = xcalloc(a->n_domains, sizeof(*all));

	for (size_t i = 0; i < a->n_domains; i++)
		all[i] = (struct urgent){ runner_urgency(a->domains[i]), a->domains[i]->rec->name };
	qsort(all, a->n_domains, sizeof(*all), urgent_compare);
	for (size_t i = 0; i < a->n_domains; i++)
		words_add(ret, all[i].name);
	free(all);
}

/* --all, or those that are named. False: the request was refused. */
static bool take_names(struct app *a, struct control_request *rq, const char *verb, struct words *ret)
{
	bool all = false;

	if (!verbs_flag(rq, "all", &all) || !verbs_know_names(a, rq))
		return false;
	if (all == (control_n_names(rq) > 0)) {
		control_refuse(rq, EX_USAGE, "%s needs names or --all%s", verb, all ? ", not both" : "");
		return false;
	}
	for (size_t i = 0; i < control_n_names(rq); i++)
		words_add(ret, control_name(rq, i));
	if (all)
		take_all(a, ret);
	return true;
}

/* --- those that wait for their turn --- */

/* As many as may be at work at the same time; each begins with a key that a pool thread makes. */
#define AT_ONCE 64

/* Begins it, or does nothing when it cannot begin any more. */
typedef void begin_fn(struct domain *d, bool new_key);

/* A person may want ten thousand at once: they begin one after the other, as those do that are due. A restart forgets the rest. */
struct queue {
	struct waiter w;
	struct timer *timer;
	begin_fn *begin;
	bool new_key;
	struct words names;
	size_t next;
};

static void queue_gone(struct waiter *w, _unused_ bool stopping)
{
	struct queue *q = container_of(w, struct queue, w);

	waiter_end(w);
	timer_free(q->timer);
	words_done(&q->names);
	free(q);
}

static void queue_go_on(void *arg)
{
	struct queue *q = arg;

	while (q->next < q->names.n && q->w.app->n_running < AT_ONCE) {
		struct domain *d = domain_find(q->w.app, q->names.list[q->next++]);

		if (d)
			q->begin(d, q->new_key);
	}
	if (q->next == q->names.n)
		queue_gone(&q->w, false);
}

/* Whoever changed its state is not done with it yet: in the next turn. */
static void queue_changed(struct waiter *w, _unused_ const struct domain *d)
{
	if (w->app->n_running < AT_ONCE)
		timer_set(container_of(w, struct queue, w)->timer, 0);
}

/* Takes the names; nothing when there are none. */
static void queue_new(struct app *a, struct words *names, begin_fn *begin, bool new_key)
{
	static const struct waiter_kind KIND = { .gone = queue_gone, .changed = queue_changed };
	struct queue *q;

	if (names->n == 0)
		return;
	q = xmalloc(sizeof(*q));
	q->begin = begin;
	q->new_key = new_key;
	q->names = *names;
	*names = (struct words)WORDS_INIT;
	q->timer = timer_new(a->loop, queue_go_on, q);
	waiter_begin(&q->w, a, NULL, &KIND);
	timer_set(q->timer, 0);
}

/* --- renew --- */

/* Whether it is free is not known until then. */
static const char LOOKED_UP[] =
	"its order is being looked up at CertCentral, without which it would be bought again: "
	"try again in a minute";

/* Does a renewal of this one buy something that the configuration does not ask for by itself? An order under way, and the first one
 * of a new domain, are wanted anyway. */
static bool costs_money(const struct domain *d)
{
	struct view v;

	runner_view(d, &v);
	return !d->rec->job && d->rec->cert.generation != 0 && !d->rec->cert.order_unknown &&
	       decide_replacement(&v, v.now, false) == WANT_ORDER;
}

/* Why it cannot begin; NULL when it has. */
static const char *begin_renewal(struct domain *d)
{
	enum want want;
	struct view v;

	if (d->rec->job)
		return NULL; /* under way, now without a pause */
	if (d->rec->cert.order_unknown)
		return LOOKED_UP;
	runner_view(d, &v);
	want = decide_replacement(&v, v.now, false);
	if (want == WANT_ORDER && v.order_allowed_at > v.now)
		return "certcentral.max_orders_per_day is reached";
	runner_begin(d, want, decide_needs_new_key(d->rec));
	return NULL;
}

static void renew_in_turn(struct domain *d, _unused_ bool new_key)
{
	if (!d->rec->held)
		(void)begin_renewal(d);
}

static const char *renew(struct domain *d, struct words *later)
{
	const struct record *r = d->rec;

	if (r->frozen)
		return VERBS_FROZEN;
	if (r->cert.order_unknown && !r->job)
		return LOOKED_UP;
	if (r->held || (r->job && r->job->next_at != 0))
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	if (r->job || d->app->n_running < AT_ONCE)
		return begin_renewal(d);
	words_add(later, r->name);
	return NULL;
}

static bool is_agreed(struct app *a, struct control_request *rq, const struct words *names)
{
	struct json *o, *paid;
	bool yes = false;

	if (!verbs_flag(rq, "yes", &yes))
		return false;
	if (yes)
		return true;
	paid = json_new_arr();
	for (size_t i = 0; i < names->n; i++) {
		if (costs_money(domain_find(a, names->list[i])))
			json_add_str(paid, names->list[i]);
	}
	if (json_arr_len(paid) == 0) {
		json_free(paid);
		return true;
	}
	o = json_new_obj();
	json_set(o, "paid", paid);
	control_refuse_with(rq, EX_USAGE, o,
			    "each of these needs a new order, which costs money, because its plan is over or "
			    "about to end; nothing was begun. If that is meant, add --yes");
	return false;
}

void verb_renew(struct control_request *rq, void *arg)
{
	_cleanup_words_ struct words names = WORDS_INIT, later = WORDS_INIT;
	struct app *a = arg;
	struct taken t;

	if (!take_names(a, rq, "renew", &names) || !is_agreed(a, rq, &names))
		return;
	t = (struct taken){ json_new_arr(), json_new_arr() };
	for (size_t i = 0; i < names.n; i++)
		taken_add(&t, names.list[i], renew(domain_find(a, names.list[i]), &later));
	control_answer(rq, taken_answer(&t));
	queue_new(a, &later, renew_in_turn, false);
}

/* --- reissue --- */

/* Why it cannot be reissued now, NULL when it can; the caller frees. */
static char *not_reissuable(const struct domain *d)
{
	const struct record_cert *c = &d->rec->cert;
	char at[TIMEFMT_MAX];
	struct view v;

	runner_view(d, &v);
	if (d->rec->frozen)
		return xstrdup(VERBS_FROZEN);
	if (d->rec->job)
		return xasprintf("an issuance is under way (%s)", job_phase_name(d->rec->job->phase));
	if (c->generation == 0)
		return xstrdup("nothing is installed yet");
	if (c->order_over)
		return xasprintf("order %lld is over at the CA: the next certificate needs a new order",
				 (long long)c->order_id);
	if (c->order_id == 0)
		return xstrdup("the order of its certificate is not known here");
	if (decide_replacement(&v, v.now, true) == WANT_REISSUE)
		return NULL;
	if (c->order_valid_until == 0)
		return xstrdup("the end of its plan is not known here");
	return xasprintf("its plan ends at %s: too soon for a reissue",
			 timefmt_rfc3339(c->order_valid_until, at));
}

static void begin_reissue(struct domain *d, bool new_key)
{
	if (d->rec->held)
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	runner_begin(d, WANT_REISSUE, new_key || decide_needs_new_key(d->rec));
}

/* While it waited it may have begun by itself, or have met a reason against it. */
static void reissue_in_turn(struct domain *d, bool new_key)
{
	_cleanup_free_ char *why = not_reissuable(d);

	if (!why)
		begin_reissue(d, new_key);
}

void verb_reissue(struct control_request *rq, void *arg)
{
	_cleanup_words_ struct words names = WORDS_INIT, later = WORDS_INIT;
	struct app *a = arg;
	bool new_key = false;
	struct taken t;

	if (!take_names(a, rq, "reissue", &names) || !verbs_flag(rq, "new_key", &new_key))
		return;
	t = (struct taken){ json_new_arr(), json_new_arr() };
	for (size_t i = 0; i < names.n; i++) {
		struct domain *d = domain_find(a, names.list[i]);
		_cleanup_free_ char *why = not_reissuable(d);

		taken_add(&t, d->rec->name, why);
		if (!why && a->n_running < AT_ONCE)
			begin_reissue(d, new_key);
		else if (!why)
			words_add(&later, d->rec->name);
	}
	control_answer(rq, taken_answer(&t));
	queue_new(a, &later, reissue_in_turn, new_key);
}

/* --- deploy --- */

static const char *redeploy(struct domain *d)
{
	struct job_update u = { .persist = true };

	if (d->rec->cert.generation == 0)
		return "nothing is installed yet";
	if (d->spec->n_deploy == 0)
		return "it has no deploy targets";
	if (!deploying_may_begin_anew(d))
		return "a deployment is under way";
	(void)duty_plan(d->rec, d->spec, true);
	runner_update(d, &u);
	return NULL;
}

void verb_deploy(struct control_request *rq, void *arg)
{
	struct taken t;
	struct app *a = arg;

	if (!verbs_know_names(a, rq))
		return;
	t = (struct taken){ json_new_arr(), json_new_arr() };
	for (size_t i = 0; i < control_n_names(rq); i++)
		taken_add(&t, control_name(rq, i), redeploy(domain_find(a, control_name(rq, i))));
	control_answer(rq, taken_answer(&t));
}
