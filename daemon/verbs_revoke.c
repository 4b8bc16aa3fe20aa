/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl revoke`: enters the revocation into the record, and waits a while for what the CA says to it. What happens
 * after that is revoking.c's business, with or without somebody who waits. */
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/mem.h"

#include <strings.h>
#include <sysexits.h>

#define WAIT_S 30

/* RFC 5280, as far as CertCentral takes them ("Revoke certificate"). */
static const char *const REASONS[] = { "keyCompromise", "affiliationChanged", "superseded",
				       "cessationOfOperation", "unspecified" };

struct target {
	int64_t order_id;
	int64_t certificate_id; /* 0: everything of the order */
	const char *reason;	/* NULL: none */
	bool installed;		/* what is served now is among it */
};

struct revoke {
	struct waiter w;
	struct timer *timer;
	char *name;
	int64_t until;
	int64_t request_id; /* a request waits for its approval; 0: not heard of one */
	struct target target;
};

static void revoke_free(struct revoke *r)
{
	timer_free(r->timer);
	free(r->name);
	free(r);
}

static struct json *answer_new(const char *name, const struct target *t, const char *result,
			       const char *message)
{
	struct json *o = json_new_obj();

	json_set_str(o, "name", name);
	json_set_i64(o, "order_id", t->order_id);
	if (t->certificate_id)
		json_set_i64(o, "certificate_id", t->certificate_id);
	else
		json_set_null(o, "certificate_id");
	json_set_str(o, "result", result);
	json_set_str(o, "message", message);
	return o;
}

static void end(struct revoke *r, const char *result, const char *message)
{
	waiter_answer(&r->w, answer_new(r->name, &r->target, result, message));
	revoke_free(r);
}

static void time_is_up(void *arg)
{
	end(arg, "pending", "the CA does not show it yet; dvcertd goes on until it does");
}

static void gone(struct waiter *w, _unused_ bool stopping)
{
	waiter_end(w);
	revoke_free(container_of(w, struct revoke, w));
}

static void removed(struct waiter *w, const struct domain *d)
{
	struct revoke *r = container_of(w, struct revoke, w);

	if (!d && !domain_find(w->app, r->name))
		end(r, "pending", "the domain was removed from the configuration: nothing goes on");
}

static void over(struct revoke *r, const struct outcome *o)
{
	if (o->fault == FAULT_NONE)
		end(r, "revoked", "");
	else if (r->request_id != 0)
		end(r, "approval", o->message);
	else
		end(r, "failed", o->message);
}

static void answered(struct waiter *w, struct domain *d, const struct outcome *o)
{
	struct revoke *r = container_of(w, struct revoke, w);
	const struct record_revocation *v = d->rec->revocation;

	if (strcmp(r->name, d->rec->name) != 0)
		return;
	if (!v) {
		over(r, o);
		return;
	}
	r->request_id = v->request_id;
	if (v->refused && !v->sent)
		end(r, "approval", o->message);
	else if (v->next_at > r->until)
		end(r, "pending", o->fault != FAULT_NONE ? o->message : "sent; the CA does not show it yet");
}

/* --- what is asked for --- */

static bool take_reason(struct control_request *rq, struct target *t)
{
	const char *word = NULL;

	if (!verbs_text(rq, "reason", &word))
		return false;
	for (size_t i = 0; word && i < ARRAY_SIZE(REASONS); i++) {
		if (strcasecmp(word, REASONS[i]) == 0)
			t->reason = REASONS[i];
	}
	if (!word || t->reason)
		return true;
	control_refuse(rq, EX_USAGE,
		       "no such reason: one of keyCompromise, affiliationChanged, superseded, "
		       "cessationOfOperation, unspecified");
	return false;
}

static bool take_target(struct control_request *rq, const struct domain *d, struct target *t)
{
	const struct record_cert *c = &d->rec->cert;
	bool order = false;

	if (!verbs_flag(rq, "order", &order) || !verbs_number(rq, "certificate_id", &t->certificate_id) ||
	    !take_reason(rq, t))
		return false;
	if (order && t->certificate_id) {
		control_refuse(rq, EX_USAGE, "either a certificate or the whole order");
		return false;
	}
	t->order_id = c->order_id;
	if (!order && t->certificate_id == 0)
		t->certificate_id = c->certificate_id;
	t->installed = c->generation != 0 && (order || t->certificate_id == c->certificate_id);
	if (c->generation == 0)
		control_refuse(rq, EXIT_FAILURE,
			       "%s: nothing is installed; an order under way is ended by `dvcertctl cancel`",
			       d->rec->name);
	else if (t->order_id == 0 || (!order && t->certificate_id == 0))
		control_refuse(rq, EXIT_FAILURE,
			       "%s: the ids of its certificate are not known here: revoke it in the "
			       "CertCentral console",
			       d->rec->name);
	else
		return true;
	return false;
}

static bool is_agreed(struct control_request *rq, const struct domain *d, const struct target *t)
{
	const char *name = d->rec->name;
	bool yes = false;

	if (!verbs_flag(rq, "yes", &yes))
		return false;
	if (yes)
		return true;
	if (t->certificate_id == 0)
		control_refuse(rq, EX_USAGE,
			       "%s: this revokes every certificate of order %lld, for good. The one that is "
			       "served is among them: clients will refuse it, and the domain is held until "
			       "`dvcertctl renew` places a new (paid) order. If that is meant, add --yes",
			       name, (long long)t->order_id);
	else if (t->installed)
		control_refuse(
			rq, EX_USAGE,
			"%s: this revokes certificate %lld, for good. It is the one that is served: "
			"clients will refuse it until the next one is deployed, which dvcertd gets at "
			"once, with a new key: by a reissue or, where the order has no other good "
			"certificate, by a new (paid) order. If that is meant, add --yes. To replace it "
			"first: dvcertctl reissue %s --new-key, then revoke it by --certificate-id",
			name, (long long)t->certificate_id, name);
	else
		control_refuse(rq, EX_USAGE,
			       "%s: this revokes certificate %lld, for good: whoever serves it is refused by "
			       "clients. If that is meant, add --yes",
			       name, (long long)t->certificate_id);
	return false;
}

/* True: answered. */
static bool is_no_news(struct control_request *rq, const struct domain *d, const struct target *t)
{
	const struct record_revocation *v = d->rec->revocation;

	if (v && (v->order_id != t->order_id || v->certificate_id != t->certificate_id)) {
		control_refuse(rq, EX_TEMPFAIL, "%s: another revocation is under way, try again later",
			       d->rec->name);
		return true;
	}
	if (v || d->rec->cert.revoked_at == 0 || t->certificate_id != d->rec->cert.certificate_id)
		return false;
	control_answer(rq, answer_new(d->rec->name, t, "nothing", "it is revoked already"));
	return true;
}

void verb_revoke(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = gone, .changed = removed, .revoked = answered };
	struct domain *d = verbs_one_to_change(arg, rq);
	struct target t = { 0 };
	struct job_update u = { 0 };
	struct job_env env;
	struct revoke *r;

	if (!d || !take_target(rq, d, &t) || is_no_news(rq, d, &t) || !is_agreed(rq, d, &t))
		return;
	r = xmalloc(sizeof(*r));
	r->name = xstrdup(d->rec->name);
	r->target = t;
	r->until = clock_now() + WAIT_S;
	waiter_begin(&r->w, d->app, rq, &KIND);
	r->timer = timer_new(d->app->loop, time_is_up, r);
	timer_set(r->timer, (int64_t)WAIT_S * 1000);
	/* One that is under way for the same is waited for. */
	runner_env(d, &env);
	(void)revoke_begin(d->rec, &env, t.order_id, t.certificate_id, t.reason, &u);
	runner_update(d, &u);
}
