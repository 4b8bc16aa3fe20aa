/* SPDX-License-Identifier: Apache-2.0 */
/* The runner: carries out what the core decides, in a fixed order. A record that changed is made durable
 * before the operation that relies on it starts; reports go to the log and to the domain's history.
 * Nothing here decides about certificates. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/core/proof.h"
#include "daemon/core/retry.h"
#include "daemon/crashes.h"
#include "daemon/io/blame.h"
#include "daemon/mending.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"
#include "daemon/save.h"
#include "daemon/stuck.h"

/* Jobs whose operation is under way at the same time; the others wait, most urgent first. Bounds
 * memory and the queue of the thread pool, not the speed: the rate windows are far tighter. */
#define RUNNING_MAX 64
/* The wall clock can jump or stand still (suspend), so the loop looks at it at least this often. */
#define LOOK_MAX_MS	    60000
#define HISTORY_PENDING_MAX 64

static void carry_on(struct domain *d);

void runner_env(const struct domain *d, struct job_env *env)
{
	static char reference[48]; /* one loop, one thread */
	unsigned char rnd[20];
	char hex[33];

	clock_random(rnd, sizeof(rnd));
	snprintf(reference, sizeof(reference), "dvcertd-%s", str_hex(rnd, 16, hex));
	*env = (struct job_env){
		.spec = d->spec,
		.tempo = d->config->certcentral.poll_interval,
		.look = (proof_is_dns(d->spec->dcv.method) ? d->config->preflight.dns
							   : d->config->preflight.http) != CFG_LOOK_OFF,
		.instant = d->config->certcentral.instant_issuance,
		.plan_life = d->config->certcentral.order_years * 365 * 86400,
		.now = clock_now(),
		.fresh_reference = reference,
	};
	memcpy(&env->rnd, rnd + 16, sizeof(env->rnd));
	env->order_allowed_at = budget_post_at(d->app->budget, env->now, d->app->n_reserved, d->rec);
}

void runner_view(const struct domain *d, struct view *ret)
{
	*ret = (struct view){
		.spec = d->spec,
		.rec = d->rec,
		.now = clock_now(),
		.cert_life = d->config->certcentral.max_cert_days * 86400,
	};
	ret->order_allowed_at = budget_next_at(d->app->budget, ret->now, d->app->n_reserved);
}

/* --- telling --- */

void runner_log(const struct domain *d, enum log_level level, const struct log_msgid *id, const char *fmt,
		...)
{
	char order[24] = "", cert[24] = "", text[1024];
	const struct record_job *j = d->rec->job;
	int64_t order_id = j && j->order_id ? j->order_id : d->rec->cert.order_id;
	int64_t cert_id = j && j->order_id ? j->certificate_id : d->rec->cert.certificate_id;
	struct log_ctx name = { NULL, "DVCERT_NAME", d->rec->name };
	struct log_ctx c_order = { &name, "ORDER_ID", order_id ? order : NULL };
	struct log_ctx c_cert = { &c_order, "CERTIFICATE_ID", cert_id ? cert : NULL };
	struct log_ctx c_code = { &c_cert, "ERROR_CODE",
				  level <= LOG_LEVEL_WARNING ? d->rec->error.code : NULL };
	va_list ap;

	snprintf(order, sizeof(order), "%lld", (long long)order_id);
	snprintf(cert, sizeof(cert), "%lld", (long long)cert_id);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(level, id, &c_code, "%s", text);
}

static void remember(struct domain *d, const char *event, const char *text)
{
	struct flight *f = runner_flight(d);
	size_t len = strlen(text);
	struct history_line *h, *old;
	unsigned n = 0;

	STAILQ_FOREACH(old, &f->history, link)
	{
		n++;
	}
	if (n >= HISTORY_PENDING_MAX)
		return;
	h = xmalloc(sizeof(*h) + len + 1);
	h->at = clock_now();
	h->event = event;
	memcpy(h->text, text, len + 1);
	STAILQ_INSERT_TAIL(&f->history, h, link);
}

/* An order that is found by its reference was placed by a post of ours whose answer was lost. */
static void count_order(struct domain *d, enum report_kind kind)
{
	if ((kind == REPORT_ORDERED || kind == REPORT_ADOPTED) && d->rec->job &&
	    d->rec->job->kind == JOB_ORDER)
		d->app->n_orders_placed++;
}

static void tell(struct domain *d, const struct job_update *u)
{
	for (unsigned i = 0; i < u->n_reports; i++) {
		enum log_level level;
		const struct log_msgid *id = message_of_report(u->reports[i].kind, &level);

		runner_log(d, level, id, "%s", u->reports[i].text);
		count_order(d, u->reports[i].kind);
		remember(d, id->name, u->reports[i].text);
	}
}

/* --- durable first --- */

static void save_done(void *arg)
{
	struct save *s = arg;
	struct domain *d = s->owner;
	struct flight *f = d->flight;

	f->saving = NULL;
	if (s->rc == FS_ESYNC)
		app_die_of_disk(s->err.text);
	if (s->rc < 0) {
		f->dirty = true;
		d->save_retry_at = clock_now() + retry_delay(d->config->certcentral.poll_interval,
							     f->save_failures++, 15, 0);
		free(f->save_error);
		f->save_error = xstrdup(s->err.text);
		runner_log(d, LOG_LEVEL_ERROR, &MSG_STATE_WRITE,
			   "the state cannot be written, nothing goes on: %s", s->err.text);
		save_take_back(s, &f->history);
	} else {
		f->save_failures = 0;
		free(f->save_error);
		f->save_error = NULL;
	}
	save_free(s);
	stuck_progress(d);
	carry_on(d);
}

static void start_save(struct domain *d)
{
	struct flight *f = d->flight;
	struct save *s;

	d->save_retry_at = 0;
	record_prune_paid(d->rec, clock_now());
	s = save_new(d->app->store, d->rec, &f->history);
	s->owner = d;
	f->dirty = false;
	work_start(d->app->loop, save_run, save_done, s, &f->saving);
}

static void flush(struct domain *d)
{
	struct save *s;

	if (!d->flight || !d->flight->dirty)
		return;
	s = save_new(d->app->store, d->rec, &d->flight->history);
	save_run(s);
	if (s->rc == FS_ESYNC)
		app_die_of_disk(s->err.text);
	if (s->rc < 0)
		runner_log(d, LOG_LEVEL_ERROR, &MSG_STATE_WRITE, "the state cannot be written: %s",
			   s->err.text);
	else
		d->flight->dirty = false;
	save_free(s);
}

void runner_flush(struct app *a)
{
	struct domain *d;

	for (size_t i = 0; i < a->n_domains; i++)
		flush(a->domains[i]);
	TAILQ_FOREACH(d, &a->leaving, leaving)
	{
		flush(d);
	}
}

/* --- what follows from a record --- */

void runner_recount(struct domain *d, enum domain_state state, bool pending, bool running, bool reserving)
{
	bool installed = d->rec->cert.generation != 0;
	bool claim_ends = d->is_reserving && !reserving;
	struct app *a = d->app;

	if (d->counted)
		a->counts[d->state]--;
	a->counts[state]++;
	a->n_pending += (unsigned)pending - (unsigned)d->is_pending;
	a->n_installed += (unsigned)installed - (unsigned)d->is_installed;
	a->n_running += (unsigned)running - (unsigned)d->is_running;
	a->n_reserved += (unsigned)reserving - (unsigned)d->is_reserving;
	d->counted = true;
	d->state = (uint8_t)state;
	d->is_pending = pending;
	d->is_installed = installed;
	d->is_running = running;
	d->is_reserving = reserving;
	if (claim_ends && !a->stopping)
		upkeep_place_is_free(a);
}

static void arm_in(struct app *a, int64_t ms);

void runner_refresh(struct domain *d)
{
	const struct record_job *j = d->rec->job;
	bool live = j && !d->rec->held;
	enum domain_state before = (enum domain_state)d->state, state = domain_state(d);
	bool changed = !d->counted || before != state;

	runner_recount(d, state, job_is_pending_at_ca(d->rec), live && j->next_at == 0,
		       budget_is_claimed_by(d->rec));
	poller_sync(d->app);
	metrics_changed(d->app);
	if (changed) {
		verbs_state_changed(d->app, d);
		app_state_changed(d->app);
	}
	if (d->app->ready.n > 0 && d->app->n_running < RUNNING_MAX)
		arm_in(d->app, 0);
}

/* What there is to do beside the issuance; what is under way looks again when it ends. */
static int64_t duties_due_at(const struct domain *d)
{
	const struct record *r = d->rec;
	const struct flight *f = d->flight;
	int64_t at = DUE_NEVER;

	if (!f || !f->deploying)
		at = MIN(at, deploying_next_at(d));
	if (!f || !f->cleaning)
		at = MIN(at, duty_clean_next_at(r));
	if (!f || !f->revoking)
		at = MIN(at, revoke_next_at(r));
	if (!f || !f->watching)
		at = MIN(at, watching_next_at(d));
	return at;
}

static int64_t due_at(const struct domain *d)
{
	const struct record *r = d->rec;
	struct decision dec;
	struct view v;
	int64_t at;

	runner_view(d, &v);
	decide(&v, &dec);
	at = dec.want == WANT_NOTHING ? dec.due_at : v.now;
	if (d->ready.slot)
		at = DUE_NEVER;
	if (d->save_retry_at)
		at = MIN(at, d->save_retry_at);
	if (r->job && !r->held && r->job->next_at)
		at = MIN(at, r->job->next_at);
	/* While the record is being written nothing is started; the end of that looks again. */
	if ((d->flight && (d->flight->dirty || d->flight->saving)) || crashes_is_aside(r))
		return at;
	return MIN(at, duties_due_at(d));
}

/* A removed domain only has to be written. */
static int64_t due_of_leaving(const struct domain *d)
{
	return d->save_retry_at ? d->save_retry_at : DUE_NEVER;
}

int64_t runner_expected_at(const struct domain *d)
{
	if (d->is_leaving)
		return due_of_leaving(d);
	if (d->ready.slot)
		return d->app->n_running < RUNNING_MAX ? 0 : DUE_NEVER;
	return due_at(d);
}

void runner_set_due(struct domain *d)
{
	int64_t at = d->is_leaving ? due_of_leaving(d) : due_at(d);

	if (at == DUE_NEVER)
		agenda_remove(&d->app->agenda, &d->due);
	else
		agenda_set(&d->app->agenda, &d->due, at);
}

/* Never later than it is armed already: something happens all the time, and the look at the clock that is due once a minute
 * must not be put off by it for ever. */
static void arm_in(struct app *a, int64_t ms)
{
	int64_t at_ms = clock_mono_ms() + ms;

	if (a->armed_ms != 0 && a->armed_ms <= at_ms)
		return;
	a->armed_ms = at_ms;
	timer_set(a->timer, ms);
}

static void arm(struct app *a)
{
	struct agenda_node *first = agenda_first(&a->agenda);
	int64_t ms = LOOK_MAX_MS;

	if (!a->is_up || a->stopping || (!first && a->ready.n == 0))
		return;
	if (first)
		ms = MIN(MAX(first->due_at - clock_now(), (int64_t)0), LOOK_MAX_MS / 1000) * 1000;
	if (a->ready.n > 0 && a->n_running < RUNNING_MAX)
		ms = 0;
	arm_in(a, ms);
}

static void start_pending(struct domain *d)
{
	enum job_op op = d->flight->start_next;

	/* A removed domain finishes nothing but a post whose intent is on disk already. */
	if (op == OP_NONE || (d->is_leaving && op != OP_SUBMIT))
		return;
	d->flight->start_next = OP_NONE;
	operation_start(d, op);
}

/* The record first: true while something must still be written. */
static bool write_first(struct domain *d)
{
	struct flight *f = d->flight;

	if (!f)
		return false;
	if (f->dirty && !f->saving && d->save_retry_at <= clock_now() && !d->app->stopping)
		start_save(d);
	return f->dirty || f->saving;
}

/* Writes, then starts, then looks what else there is: called whenever something about d has changed. */
static void carry_on(struct domain *d)
{
	bool may_start;

	places_yield(d);
	leaving_let_go(d);
	may_start = !write_first(d) && !d->app->stopping;

	if (may_start && d->flight && !d->flight->operation)
		start_pending(d);
	places_serve(d);
	runner_refresh(d);
	if (may_start && !crashes_is_aside(d->rec)) {
		cleaning_start(d);
		deploying_start(d);
		revoking_start(d);
		watching_start(d);
	}
	places_free(d);
	runner_set_due(d);
	flight_settle(d);
	arm(d->app);
	leaving_end(d);
}

void runner_update(struct domain *d, struct job_update *u)
{
	BLAME(d->rec->name);
	struct flight *f = runner_flight(d);

	stuck_progress(d);
	if (u->installed) {
		/* A server need not settle any more on what is replaced. */
		(void)deploying_may_begin_anew(d);
		(void)duty_plan(d->rec, d->spec, false);
		mending_forget(d);
	}
	if (u->refund_at)
		upkeep_budget_refund(d->app, u->refund_at);
	if (u->spend_at)
		budget_spend(d->app->budget, u->spend_at);
	tell(d, u);
	if (u->persist && !d->rec->frozen)
		f->dirty = true;
	if (u->start != OP_NONE)
		f->start_next = u->start;
	carry_on(d);
}

void runner_event(struct domain *d, const struct job_event *ev)
{
	BLAME(d->rec->name);
	struct job_update u;
	struct job_env env;

	runner_env(d, &env);
	job_step(d->rec, &env, ev, &u);
	runner_update(d, &u);
}

/* --- the agenda --- */

int64_t runner_urgency(const struct domain *d)
{
	return decide_urgency(d->rec, clock_now());
}

void runner_begin(struct domain *d, enum want want, bool new_key)
{
	d->rec->rest_until = 0;
	runner_event(d, &(struct job_event){ .kind = EV_START,
					     .job_kind = want == WANT_REISSUE ? JOB_REISSUE : JOB_ORDER,
					     .new_key = new_key });
}

/* Where it has come to its turn it begins. Else it waits for the end of this one, also where there is room: others may come to want the
 * same at this moment, as those do that wait for the day's orders, and the most urgent goes first. */
static void look(struct domain *d, bool is_its_turn)
{
	BLAME(d->rec->name);
	const struct record_job *j = d->rec->job;
	struct decision dec;
	struct view v;

	runner_view(d, &v);
	if (j && !d->rec->held && j->next_at != 0 && j->next_at <= v.now &&
	    !(d->flight && d->flight->start_next != OP_NONE)) {
		runner_event(d, &(struct job_event){ .kind = EV_WAKE });
		return;
	}
	decide(&v, &dec);
	if (dec.want != WANT_NOTHING && !d->is_leaving && is_its_turn)
		runner_begin(d, dec.want, dec.new_key);
	else if (dec.want != WANT_NOTHING && !d->is_leaving)
		agenda_set(&d->app->ready, &d->ready, runner_urgency(d));
	else if (dec.reason == REASON_BUDGET && !d->is_leaving)
		upkeep_budget_is_spent(d, dec.due_at);
	carry_on(d);
}

void runner_look(struct domain *d)
{
	look(d, false);
}

void runner_admit(struct domain *d)
{
	BLAME(d->rec->name);
	struct job_update u = { 0 };

	if (d->is_leaving) {
		agenda_remove(&d->app->ready, &d->ready);
		carry_on(d);
		return;
	}
	upkeep_end_far_pauses(d);
	u.persist = duty_plan(d->rec, d->spec, false);
	if (u.persist)
		runner_update(d, &u);
	if (d->rec->held_for_key)
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	else if (d->rec->job)
		runner_event(d, &(struct job_event){ .kind = EV_RESTART });
	else
		carry_on(d);
}

void runner_tick(struct app *a)
{
	struct agenda_node *n;
	int64_t now = clock_now();
	unsigned budget = 256; /* other events of the loop get their turn */

	a->armed_ms = 0;
	upkeep_clock(a);
	while (!a->stopping && budget-- > 0 && (n = agenda_first(&a->agenda)) && n->due_at <= now) {
		/* Out of the agenda first: what is looked at and still due is not looked at for ever. */
		agenda_remove(&a->agenda, n);
		runner_look(container_of(n, struct domain, due));
	}
	/* Only when all have said what they want. */
	if ((n = agenda_first(&a->agenda)) && n->due_at <= now) {
		arm(a);
		return;
	}
	while (!a->stopping && a->n_running < RUNNING_MAX && (n = agenda_first(&a->ready))) {
		agenda_remove(&a->ready, n);
		look(container_of(n, struct domain, ready), true);
	}
	arm(a);
}
