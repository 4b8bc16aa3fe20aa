/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl wait`: until all names are valid, or one has failed. */
#include "daemon/verbs.h"

#include "common/mem.h"

#include <sysexits.h>

#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S     86400

struct wait {
	struct waiter w;
	struct timer *timer;
	size_t n_valid; /* so many names from the first on were valid when they were looked at */
};

static void wait_free(struct wait *w)
{
	timer_free(w->timer);
	free(w);
}

static void wait_answer(struct wait *w, const char *result)
{
	struct json *o = json_new_obj(), *list = json_new_arr();
	const struct control_request *rq = w->w.rq;

	for (size_t i = 0; i < control_n_names(rq); i++) {
		const struct domain *d = domain_find(w->w.app, control_name(rq, i));
		struct json *e = json_new_obj();

		json_set_str(e, "name", control_name(rq, i));
		json_set_str(e, "state", d ? domain_state_name(domain_state(d)) : "removed");
		json_set_str(e, "error", d && d->rec->error.code ? d->rec->error.message : NULL);
		json_add(list, e);
	}
	json_set(o, "domains", list);
	json_set_str(o, "result", result);
	waiter_answer(&w->w, o);
	wait_free(w);
}

static enum domain_state wait_state(const struct wait *w, size_t i)
{
	const struct domain *d = domain_find(w->w.app, control_name(w->w.rq, i));

	return d ? domain_state(d) : STATE_FAILED;
}

static bool wait_has_failed(const struct wait *w)
{
	for (size_t i = 0; i < control_n_names(w->w.rq); i++) {
		if (wait_state(w, i) == STATE_FAILED)
			return true;
	}
	return false;
}

/* Every change of state of every domain asks this: the names that are valid are not looked at again before all seem to be. */
static bool wait_is_over(struct wait *w)
{
	size_t n = control_n_names(w->w.rq);

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

static void wait_gone(struct waiter *waiter, _unused_ bool stopping)
{
	struct wait *w = container_of(waiter, struct wait, w);

	waiter_end(&w->w);
	wait_free(w);
}

static void wait_changed(struct waiter *waiter, const struct domain *d)
{
	struct wait *w = container_of(waiter, struct wait, w);

	if ((!d || d->state == STATE_FAILED) && wait_has_failed(w))
		wait_answer(w, "failed");
	else if (d && d->state == STATE_VALID && wait_is_over(w))
		wait_answer(w, "valid");
}

void verb_wait(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = wait_gone, .changed = wait_changed };
	struct app *a = arg;
	int64_t timeout = WAIT_DEFAULT_S;
	struct wait *w;

	if (!verbs_know_names(a, rq))
		return;
	if (json_get_i64(control_args(rq), "timeout", &timeout) < 0 || timeout < 0 || timeout > WAIT_MAX_S) {
		control_refuse(rq, EX_USAGE, "timeout must be a number of seconds up to %d", WAIT_MAX_S);
		return;
	}
	w = xmalloc(sizeof(*w));
	waiter_begin(&w->w, a, rq, &KIND);
	if (wait_has_failed(w) || wait_is_over(w)) {
		wait_answer(w, wait_has_failed(w) ? "failed" : "valid");
		return;
	}
	w->timer = timer_new(a->loop, wait_over, w);
	timer_set(w->timer, timeout * 1000);
}
