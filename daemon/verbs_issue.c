/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that begin something for a domain: renew, reissue, deploy, cancel. */
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/timefmt.h"

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

/* --- renew --- */

/* Does a renewal of this one buy something that the configuration does not ask for by itself? An order under way, and the first one
 * of a new domain, are wanted anyway. */
static bool costs_money(const struct domain *d)
{
	struct view v;

	runner_view(d, &v);
	return !d->rec->job && d->rec->cert.generation != 0 &&
	       decide_replacement(&v, v.now, false) == WANT_ORDER;
}

/* Why a renewal cannot be started now; NULL when it was. */
static const char *renew(struct domain *d)
{
	const struct record *r = d->rec;
	enum want want;
	struct view v;

	if (r->frozen)
		return VERBS_FROZEN;
	if (r->held || (r->job && r->job->next_at != 0))
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	if (r->job)
		return NULL; /* under way, now without a pause */
	runner_view(d, &v);
	want = decide_replacement(&v, v.now, false);
	if (want == WANT_ORDER && v.order_allowed_at > v.now)
		return "certcentral.max_orders_per_day is reached";
	runner_begin(d, want, decide_needs_new_key(r));
	return NULL;
}

static bool is_agreed(struct app *a, struct control_request *rq)
{
	struct json *o, *paid;
	bool yes = false;

	if (!verbs_flag(rq, "yes", &yes))
		return false;
	if (yes)
		return true;
	paid = json_new_arr();
	for (size_t i = 0; i < control_n_names(rq); i++) {
		if (costs_money(domain_find(a, control_name(rq, i))))
			json_add_str(paid, control_name(rq, i));
	}
	if (json_arr_len(paid) == 0) {
		json_free(paid);
		return true;
	}
	o = json_new_obj();
	json_set(o, "paid", paid);
	control_refuse_with(
		rq, EX_USAGE, o,
		"the plan of these is over or about to end, so each needs a new order, which costs "
		"money; nothing was begun. If that is meant, add --yes:");
	return false;
}

void verb_renew(struct control_request *rq, void *arg)
{
	struct taken t;
	struct app *a = arg;

	if (!verbs_know_names(a, rq) || !is_agreed(a, rq))
		return;
	t = (struct taken){ json_new_arr(), json_new_arr() };
	for (size_t i = 0; i < control_n_names(rq); i++)
		taken_add(&t, control_name(rq, i), renew(domain_find(a, control_name(rq, i))));
	control_answer(rq, taken_answer(&t));
}

/* --- deploy --- */

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
