/* SPDX-License-Identifier: Apache-2.0 */
/* What others do to our certificates. About once a day the CA's OCSP responder (or CRL) is asked whether an installed one is
 * revoked: that needs no API and cannot be forgotten. Each domain has its own minute of the day, so the looks of many are spread over it;
 * and one that is revoked makes all others look soon, because a CA that has to revoke seldom revokes one. Of a thousand that are revoked
 * together the first is found within minutes, and all of them a few minutes later. And where status-changes names the order of one (revoked, reissued in the
 * console, ...), order info tells what became of it. A responder may tell of a revocation before status-changes does: whether the order
 * is over as well decides what can replace the certificate, so it is asked about first. What is learned goes to core/outside.h. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/mending.h"

/* In tempos: a day, and within the first hour after a start. */
#define PERIOD 1440
#define FIRST  60
#define AGAIN  60
#define SOON   5
/* After one was found revoked the others look within so many, and not again before AGAIN is over. */
#define ALARM 10
/* So close to the end of a certificate an answer that may mean anything is taken for a no. */
#define LAST_DAYS 3

struct watching {
	struct domain *domain;
	unsigned generation;  /* the one that is looked at */
	struct outside found; /* what the responder said, while the order is asked about too */
	char reason[32];
	struct cc_call *call;
	struct revoked_call *ocsp;
	struct mending *mending;
};

static int64_t tempos(const struct domain *d, int64_t n)
{
	return n * d->config->certcentral.poll_interval;
}

/* A certificate that is known to be revoked, or has expired, need not be asked about. */
static bool is_of_interest(const struct domain *d)
{
	const struct record_cert *c = &d->rec->cert;

	return c->generation != 0 && c->revoked_at == 0 && clock_now() < c->not_after && !d->is_leaving;
}

/* From now to the minute of the day that is this domain's, but never at once again. */
static int64_t to_daily(const struct domain *d)
{
	int64_t day = tempos(d, PERIOD), at = (int64_t)(str_hash(d->rec->name) % (uint64_t)day);
	int64_t in = (at - clock_now() % day + day) % day;

	return in < tempos(d, AGAIN) ? in + day : in;
}

/* Where one was revoked without our doing, others may have been. What each of them costs is one small question to a responder. */
static void alarm_all(struct app *a)
{
	int64_t now = clock_now();

	for (size_t i = 0; i < a->n_domains; i++) {
		struct domain *d = a->domains[i];
		uint64_t within = (uint64_t)tempos(d, ALARM);
		int64_t at = now + 1 + (int64_t)(str_hash(d->rec->name) % within);

		if (!is_of_interest(d) || (d->watch_at != 0 && d->watch_at <= at))
			continue;
		d->watch_at = at;
		runner_set_due(d);
	}
}

static void alarm_others(const struct domain *d)
{
	int64_t now_ms = clock_mono_ms();

	/* A revocation on command is one of one. */
	if (d->rec->revocation ||
	    (d->app->alarmed_ms != 0 && now_ms - d->app->alarmed_ms < tempos(d, AGAIN) * 1000))
		return;
	d->app->alarmed_ms = now_ms;
	alarm_all(d->app);
}

/* Before the order is asked about, which takes its turn with the requests of all others. */
static void is_told_revoked(struct domain *d, int64_t at)
{
	d->told_revoked_at = at ? at : clock_now();
	d->told_generation = d->rec->cert.generation;
	alarm_others(d);
	runner_refresh(d);
}

int64_t watching_revoked_at(const struct domain *d)
{
	const struct record_cert *c = &d->rec->cert;

	if (c->revoked_at != 0 || c->generation == 0 || d->told_generation != c->generation)
		return c->revoked_at;
	return d->told_revoked_at;
}

/* Over; a new certificate may have been installed meanwhile: then it was about the old one. */
static void finish(struct watching *v, const struct outside *what, int64_t next_in)
{
	struct domain *d = v->domain;
	bool was_revoked = d->rec->cert.revoked_at != 0;
	struct job_update u = { 0 };
	struct job_env env;

	d->flight->watching = NULL;
	if (next_in > 0)
		d->watch_at = clock_now() + next_in;
	runner_env(d, &env);
	if (what && d->rec->cert.generation == v->generation)
		outside_learn(d->rec, &env, what, &u);
	free(v);
	if (!was_revoked && d->rec->cert.revoked_at != 0)
		alarm_others(d);
	runner_update(d, &u);
	runner_look(d);
}

static void asked_order(const struct cc_reply *r, void *owner)
{
	struct watching *v = owner;
	struct domain *d = v->domain;
	const struct record_cert *c = &d->rec->cert;
	struct outside what = v->found;

	v->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		d->watch_order_at = clock_now() + tempos(d, AGAIN);
		if (what.revoked)
			runner_log(d, LOG_LEVEL_WARNING, NULL,
				   "its issuer says that it is revoked; asked again, because the order "
				   "cannot be "
				   "looked at: %s",
				   r->outcome.message);
		finish(v, NULL, what.revoked ? tempos(d, AGAIN) : 0);
		return;
	}
	what.order_word = r->status_word;
	what.certificate_id = r->certificate_id;
	what.order_valid_until = r->order_valid_until;
	what.order_state = order_state_of(r->status);
	what.revoked = what.revoked ||
		       (r->cert_status == CC_STATUS_REVOKED && r->certificate_id == c->certificate_id);
	finish(v, &what, v->found.revoked ? to_daily(d) : 0);
}

static void ask_order(struct watching *v)
{
	struct domain *d = v->domain;

	cc_order_info(d->app->cc, d->rec->cert.order_id, decide_urgency_revoked(&d->rec->cert, clock_now()),
		      asked_order, v, &v->call);
}

static void asked_ocsp(const struct outcome *o, const struct revocation_status *status, void *owner)
{
	struct watching *v = owner;
	struct domain *d = v->domain;

	v->ocsp = NULL;
	if (o->fault != FAULT_NONE) {
		log_event(LOG_LEVEL_DEBUG, NULL, NULL, "%s: revocation: %s", d->rec->name, o->message);
		finish(v, NULL, tempos(d, AGAIN));
		return;
	}
	if (status->state != REVOCATION_REVOKED) {
		finish(v, NULL, to_daily(d));
		return;
	}
	snprintf(v->reason, sizeof(v->reason), "%s", status->reason);
	v->found.revoked = true;
	v->found.revoked_at = status->revoked_at;
	v->found.reason = v->reason;
	if (d->rec->cert.generation == v->generation)
		is_told_revoked(d, status->revoked_at);
	if (d->rec->cert.generation == v->generation && d->rec->cert.order_id != 0)
		ask_order(v);
	else
		finish(v, &v->found, to_daily(d));
}

/* The files first, and what they hold is what the responder is asked about. */
static void looked_at_files(const char *chain, bool again, void *owner)
{
	struct watching *v = owner;

	v->mending = NULL;
	if (chain && !again)
		revoked_start(v->domain->app->revoked, chain, asked_ocsp, v, &v->ocsp);
	else
		finish(v, NULL, tempos(v->domain, again ? SOON : AGAIN));
}

/* --- the order of a certificate that was read off its files --- */

static bool is_final(const struct domain *d, enum fault f)
{
	/* The CA may say so of a certificate that it does not know, or the key is bad: in the end the former. */
	if (f == FAULT_AUTH)
		return d->rec->cert.not_after - clock_now() < LAST_DAYS * 86400;
	return f == FAULT_REFUSED || f == FAULT_NOT_FOUND || f == FAULT_CONFIG;
}

static void asked_serial(const struct cc_reply *r, void *owner)
{
	struct watching *v = owner;
	struct domain *d = v->domain;
	struct outside what = { .certificate_id = r->certificate_id,
				.order_word = r->status_word,
				.order_state = order_state_of(r->status),
				.order_valid_until = r->order_valid_until };
	bool found = r->outcome.fault == FAULT_NONE && r->order_id > 0;
	struct job_update u = { 0 };

	v->call = NULL;
	if (!found && r->outcome.fault != FAULT_NONE && !is_final(d, r->outcome.fault)) {
		d->watch_order_at = clock_now() + tempos(d, SOON);
		runner_log(d, LOG_LEVEL_WARNING, NULL,
			   "the order of the installed certificate cannot be looked up yet: %s",
			   r->outcome.message);
		finish(v, NULL, 0);
		return;
	}
	if (d->rec->cert.generation == v->generation)
		outside_found(d->rec, found ? r->order_id : 0, &what, &u);
	runner_update(d, &u);
	finish(v, found ? &what : NULL, 0);
}

static void ask_serial(struct watching *v)
{
	const struct record_cert *c = &v->domain->rec->cert;

	cc_order_by_serial(v->domain->app->cc, c->serial, c->not_after, asked_serial, v, &v->call);
}

/* Its order may be over too, and that decides what can replace it. */
static bool is_order_of_interest(const struct domain *d)
{
	const struct record_cert *c = &d->rec->cert;

	return c->generation != 0 && (c->order_id != 0 || c->order_unknown) && !c->order_over &&
	       !d->is_leaving;
}

static bool is_order_due(const struct domain *d)
{
	return d->watch_order_at != 0 && d->watch_order_at <= clock_now() && is_order_of_interest(d);
}

int64_t watching_next_at(const struct domain *d)
{
	int64_t at = is_of_interest(d) ? d->watch_at : DUE_NEVER;

	return d->watch_order_at != 0 && is_order_of_interest(d) ? MIN(at, d->watch_order_at) : at;
}

void watching_start(struct domain *d)
{
	bool order = is_order_due(d);
	struct watching *v;

	if ((!order && !is_of_interest(d)) || (d->flight && d->flight->watching))
		return;
	if (d->watch_at == 0)
		d->watch_at = clock_now() + tempos(d, (int64_t)(str_hash(d->rec->name) % FIRST) + 1);
	/* After a clock that was far ahead. */
	d->watch_at = MIN(d->watch_at, clock_now() + tempos(d, PERIOD + AGAIN));
	if (!order && d->watch_at > clock_now())
		return;
	if (order)
		d->watch_order_at = 0;
	v = xmalloc(sizeof(*v));
	v->domain = d;
	v->generation = d->rec->cert.generation;
	runner_flight(d)->watching = v;
	if (order && d->rec->cert.order_unknown)
		ask_serial(v);
	else if (order)
		ask_order(v);
	else
		mending_start(d, looked_at_files, v, &v->mending);
}

void watching_now(struct domain *d)
{
	d->watch_at = clock_now();
	if (d->rec->cert.order_unknown)
		d->watch_order_at = clock_now();
}

/* Only what is news: the windows of the polls overlap, and our own orders are in them. */
void watching_hint(struct domain *d, const struct cc_entry *e)
{
	const struct record_cert *c = &d->rec->cert;
	bool over = order_state_of(e->status) == ORDER_ENDED && !c->order_over;
	bool other = order_state_of(e->status) == ORDER_ISSUED && e->certificate_id != 0 && !d->rec->job &&
		     e->certificate_id != c->certificate_id && e->certificate_id != c->other_id;

	if (!is_order_of_interest(d) || (!over && !other))
		return;
	d->watch_order_at = clock_now();
	runner_look(d);
}

void watching_cancel(struct domain *d)
{
	struct watching *v = d->flight->watching;

	if (!v)
		return;
	cc_cancel(&v->call);
	revoked_cancel(&v->ocsp);
	mending_cancel(&v->mending);
	d->flight->watching = NULL;
	free(v);
}
