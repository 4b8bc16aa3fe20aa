/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of an issuance: their table, moving between them, starting operations, and the events that
 * are not answers (those are in job_answer.c). job_go() is the only place that changes the phase and checks
 * the table; job_begin() is the only place that starts an operation, and with it the only place that
 * can lead to a paid order. */
#include "daemon/core/job_priv.h"

#include "common/mem.h"
#include "daemon/core/proof.h"
#include "daemon/core/retry.h"

#include <assert.h>

#define BIT(p) (1u << (p))

struct phase_row {
	const char *name;
	enum job_op op;
	unsigned next; /* bit set of allowed successors */
};

static const struct phase_row PHASES[PHASE_NR] = {
	[PHASE_PREPARE] = { "prepare", OP_PREPARE, BIT(PHASE_SUBMIT) },
	[PHASE_SUBMIT] = { "submit", OP_SUBMIT,
			   BIT(PHASE_PREPARE) | BIT(PHASE_RESOLVE) | BIT(PHASE_PUBLISH) | BIT(PHASE_WAIT) |
				   BIT(PHASE_DOWNLOAD) },
	[PHASE_RESOLVE] = { "resolve", OP_FIND, BIT(PHASE_SUBMIT) | BIT(PHASE_WAIT) },
	[PHASE_PUBLISH] = { "publish", OP_PUBLISH, BIT(PHASE_CHECK) | BIT(PHASE_WAIT) },
	[PHASE_CHECK] = { "check", OP_CHECK, BIT(PHASE_WAIT) },
	[PHASE_WAIT] = { "wait", OP_INFO, BIT(PHASE_PUBLISH) | BIT(PHASE_DOWNLOAD) },
	[PHASE_DOWNLOAD] = { "download", OP_DOWNLOAD, BIT(PHASE_INSTALL) | BIT(PHASE_WAIT) },
	[PHASE_INSTALL] = { "install", OP_INSTALL, BIT(PHASE_WAIT) },
};

static const char *const OPS[OP_NR] = {
	[OP_NONE] = "none",	    [OP_PREPARE] = "prepare", [OP_EARLY] = "early",   [OP_SUBMIT] = "submit",
	[OP_FIND] = "find",	    [OP_INFO] = "info",	      [OP_METHOD] = "method", [OP_TOKEN] = "token",
	[OP_TARGETS] = "targets",   [OP_PUBLISH] = "publish", [OP_LOOK] = "look",     [OP_CHECK] = "check",
	[OP_DOWNLOAD] = "download", [OP_INSTALL] = "install",
};

const char *job_phase_name(enum job_phase p)
{
	return p < PHASE_NR ? PHASES[p].name : "?";
}

const char *job_op_name(enum job_op op)
{
	return op < OP_NR ? OPS[op] : "?";
}

bool job_may_go(enum job_phase from, enum job_phase to)
{
	return from < PHASE_NR && to < PHASE_NR && (PHASES[from].next & BIT(to));
}

bool job_is_pending_at_ca(const struct record *rec)
{
	return rec->job && rec->job->order_id != 0 && !rec->held && rec->job->phase < PHASE_DOWNLOAD;
}

/* Between two steps of a placed order, before the order of one that proves its names early, or held: whatever comes next puts
 * the proof up again when it is still needed. Early proof that the CA may be looking at stays while the job goes on. */
bool job_may_yield(const struct record *rec)
{
	const struct record_job *j = rec->job;

	return j && !j->yielded && (rec->held || j->next_at != 0) &&
	       ((j->phase >= PHASE_PUBLISH && j->phase <= PHASE_WAIT) ||
		(j->instant && j->phase <= PHASE_RESOLVE && (rec->held || j->submitted_at == 0)));
}

void job_report(struct job_update *u, enum report_kind kind, const char *fmt, ...)
{
	struct job_report *r;
	va_list ap;

	assert(u->n_reports < JOB_REPORTS_MAX);
	r = &u->reports[u->n_reports++];
	r->kind = kind;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

void job_set_str(char **dst, const char *src)
{
	char *copy = src ? xstrdup(src) : NULL;

	free(*dst);
	*dst = copy;
}

int64_t job_pause(const struct job_ctx *c, unsigned attempt, int64_t cap)
{
	return retry_delay(c->env->tempo, attempt, cap, c->env->rnd);
}

/* --- moving and starting --- */

void job_go_at(struct job_ctx *c, enum job_phase to, int64_t at)
{
	struct record_job *j = c->job;

	assert(job_may_go(j->phase, to));
	j->phase = to;
	j->attempts = 0;
	j->next_at = at;
	if (at == 0)
		job_begin(c);
}

void job_go(struct job_ctx *c, enum job_phase to)
{
	job_go_at(c, to, 0);
}

/* The operation of this phase failed; it is tried again by itself. */
void job_retry_at(struct job_ctx *c, const char *code, const char *message, int64_t delay)
{
	struct record_job *j = c->job;

	j->attempts++;
	j->next_at = c->env->now + delay;
	record_set_error(c->rec, c->env->now, code, message);
	c->u->persist = true;
}

void job_retry(struct job_ctx *c, const struct outcome *o)
{
	int64_t delay = job_pause(c, c->job->attempts, RETRY_CAP);

	if (o->retry_after > delay)
		delay = o->retry_after;
	job_retry_at(c, o->code, o->message, delay);
	job_report(c->u, REPORT_RETRY, "%s: %s", job_phase_name(c->job->phase), o->message);
}

/* Nothing goes on by itself; the phase stays, so that a release continues where it stopped. */
void job_hold(struct job_ctx *c, const char *code, const char *message)
{
	c->rec->held = true;
	c->rec->held_for_key = false;
	record_set_error(c->rec, c->env->now, code, message);
	c->u->persist = true;
	job_report(c->u, REPORT_HELD, "%s", message);
}

void job_end(struct job_ctx *c)
{
	record_job_free(c->rec->job);
	c->rec->job = c->job = NULL;
	c->u->persist = true;
}

/* The order is over and brought nothing: forget the job, wait for a person. */
void job_give_up(struct job_ctx *c, const char *code, const char *message)
{
	job_hold(c, code, message);
	job_end(c);
}

/* Where the records go is found out before they are recorded, because a name may be delegated by a CNAME. */
static bool needs_targets(const struct job_ctx *c)
{
	return c->env->spec->dcv.method == CFG_DCV_DNS_TXT_TOKEN && !c->job->targets;
}

/* Instant issuance: the names are proven before the order is placed, so that it is issued at once. */
static enum job_op next_early_op(const struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (!j->csr)
		return OP_PREPARE;
	if (!j->instant)
		return OP_NONE;
	if (!job_value_is_usable(c))
		return OP_EARLY;
	if (!j->published && needs_targets(c))
		return OP_TARGETS;
	if (!j->published)
		return OP_PUBLISH;
	return j->looked ? OP_NONE : OP_LOOK;
}

static enum job_op next_publish_op(const struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (j->method != c->env->spec->dcv.method || (j->method_asked && !j->method_refused))
		return OP_METHOD;
	if (!job_value_is_usable(c))
		return OP_TOKEN;
	return needs_targets(c) ? OP_TARGETS : OP_PUBLISH;
}

/* Put up again where the CA did not see it, or another value, then our own look, then the CA's. */
static enum job_op next_check_op(const struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (!job_value_is_usable(c))
		return OP_TOKEN;
	if (j->republish)
		return needs_targets(c) ? OP_TARGETS : OP_PUBLISH;
	return j->looked ? OP_CHECK : OP_LOOK;
}

/* What the phase has to do now; values, places, looks and putting a proof up again are steps within one phase. NONE: it
 * is over. */
enum job_op job_next_op(const struct job_ctx *c)
{
	switch (c->job->phase) {
	case PHASE_PREPARE: return next_early_op(c);
	case PHASE_PUBLISH: return next_publish_op(c);
	case PHASE_CHECK: return next_check_op(c);
	case PHASE_SUBMIT:
	case PHASE_RESOLVE:
	case PHASE_WAIT:
	case PHASE_DOWNLOAD:
	case PHASE_INSTALL:
	case PHASE_NR: break;
	}
	return PHASES[c->job->phase].op;
}

static void warn_of_lost_names(struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (j->kind == JOB_REISSUE && !record_names_are_among(c->rec->cert.names, j->names))
		job_report(
			c->u, REPORT_NAMES_LOST,
			"the present certificate has names that this one does not have: 48 to 72 hours after "
			"the reissue DigiCert revokes the earlier certificates of order %lld",
			(long long)j->of_order_id);
}

/* An order names its method; a reissue cannot, and has that of its order until the CA is told another one. */
static enum cfg_dcv_method method_at_ca(const struct job_ctx *c)
{
	const char *word = c->rec->cert.method;

	for (unsigned i = 0; c->job->kind == JOB_REISSUE && word && i < CFG_DCV_NR; i++) {
		if (strcmp(word, cfg_dcv_method_name((enum cfg_dcv_method)i)) == 0)
			return (enum cfg_dcv_method)i;
	}
	return c->env->spec->dcv.method;
}

/* What is wanted now, as far as the configuration says it. */
static void take_spec(struct job_ctx *c)
{
	const struct cfg_domain *spec = c->env->spec;
	struct record_job *j = c->job;
	char key[RECORD_KEY_MAX];

	free(j->names);
	j->names = job_names(spec);
	job_set_str(&j->key, record_key_text(&spec->key, key));
	j->spec_hash = spec->spec_hash;
	j->method = method_at_ca(c);
	j->method_asked =
		j->kind == JOB_REISSUE && !c->rec->cert.method; /* not known: it is told in any case */
	j->instant = j->kind == JOB_ORDER && c->env->instant && proof_can_be_early(spec->dcv.method);
	j->is_paid = j->kind == JOB_ORDER || !record_names_are_among(j->names, c->rec->cert.names);
	j->published = false;
	job_take_value(j, NULL, 0);
	job_set_str(&j->targets, NULL);
}

/* The configuration changed before anything was bought: start over with what is wanted now. PREPARE replaces the
 * key, so the record on disk must not go on naming a CSR of the old one: after a crash it could be ordered. */
static void start_over(struct job_ctx *c)
{
	struct record_job *j = c->job;

	job_set_str(&j->csr, NULL);
	job_set_str(&j->reference, c->env->fresh_reference);
	take_spec(c);
	warn_of_lost_names(c);
	j->posts = 0;
	c->u->persist = true;
	if (j->phase != PHASE_PREPARE)
		job_go(c, PHASE_PREPARE);
}

/* Nothing is spent on a reissue inside the plan, so the day's orders do not bound it. */
static bool may_spend(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (!j->is_paid || c->env->order_allowed_at <= c->env->now)
		return true;
	j->next_at = c->env->order_allowed_at;
	record_set_error(c->rec, c->env->now, "max_orders_per_day",
			 "certcentral.max_orders_per_day is reached: no order is placed before next.at");
	c->u->persist = true;
	job_report(c->u, REPORT_BUDGET, "%s", c->rec->error.message);
	return false;
}

static void report_submit(struct job_ctx *c)
{
	const struct record_job *j = c->job;

	if (j->kind == JOB_REISSUE)
		job_report(c->u, REPORT_SUBMITTING, "reissuing order %lld%s", (long long)j->of_order_id,
			   j->is_paid ? " with more names" : "");
	else
		job_report(c->u, REPORT_SUBMITTING, "ordering %s with reference %s", c->env->spec->product,
			   j->reference);
}

/* The only way to a request that may cost money: nothing of ours may be out there (submitted_at == 0), the intent is what
 * the configuration wants, its early proof is up, the budget allows it, and the record that says so is durable first. */
static void begin_submit(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (j->submitted_at != 0) {
		job_go(c, PHASE_RESOLVE);
		return;
	}
	if (j->spec_hash != c->env->spec->spec_hash) {
		start_over(c);
		return;
	}
	if (!may_spend(c))
		return;
	if (j->instant && (!j->published || !job_value_is_usable(c))) {
		job_go(c, PHASE_PREPARE);
		return;
	}
	j->submitted_at = c->env->now;
	j->absent_at = 0;
	j->absents = 0;
	j->posts++;
	if (j->is_paid) {
		record_add_paid(c->rec, c->env->now);
		c->u->spend_at = c->env->now;
	}
	c->u->persist = true;
	c->u->start = OP_SUBMIT;
	report_submit(c);
}

bool job_end_if_canceled(struct job_ctx *c)
{
	if (!c->job->canceled || c->job->submitted_at != 0 || c->job->order_id != 0)
		return false;
	job_give_up(c, "canceled", "canceled before anything was ordered");
	return true;
}

void job_begin(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (job_end_if_canceled(c))
		return;
	j->next_at = 0;
	if (j->phase == PHASE_PREPARE && j->csr && j->spec_hash != c->env->spec->spec_hash)
		start_over(c);
	if (j->phase == PHASE_SUBMIT) {
		begin_submit(c);
		return;
	}
	c->u->start = job_next_op(c);
	if (c->u->start == OP_NONE) {
		job_go(c, PHASE_SUBMIT);
		return;
	}
	if (c->u->start == OP_METHOD && !j->method_asked)
		job_doubt_method(c);
	if (c->u->start != OP_PUBLISH)
		return;
	/* What must be removed later is on disk before it is put up. */
	j->yielded = false;
	if (proof_record(c->rec, c->env->spec))
		c->u->persist = true;
}

char *job_names(const struct cfg_domain *spec)
{
	return record_join_names(spec->names, spec->n_names);
}

/* --- events that are not answers --- */

/* CertCentral takes a renewal until 30 days after the end of the old order. */
#define RENEWAL_GRACE (30 * INT64_C(86400))

static int64_t predecessor(const struct job_ctx *c)
{
	const struct record_cert *cert = &c->rec->cert;
	int64_t end = MAX(cert->order_valid_until, cert->not_after);

	if (c->ev->job_kind == JOB_REISSUE)
		return cert->order_id;
	return cert->order_over || c->env->now > end + RENEWAL_GRACE ? 0 : cert->order_id;
}

static void on_start(struct job_ctx *c)
{
	struct record_job *j = xmalloc(sizeof(*j));

	j->kind = c->ev->job_kind;
	j->phase = PHASE_PREPARE;
	j->of_order_id = predecessor(c);
	j->new_key = c->ev->new_key;
	j->reference = xstrdup(c->env->fresh_reference);
	j->generation = c->rec->cert.generation + 1;
	j->started_at = c->env->now;
	c->rec->job = c->job = j;
	take_spec(c);
	record_set_error(c->rec, c->env->now, NULL, NULL);
	job_report(c->u, REPORT_STARTED, "a certificate for %s is wanted (%s): generation %04u", j->names,
		   record_kind_word(j->kind), j->generation);
	warn_of_lost_names(c);
	job_begin(c);
}

/* Nobody knows what was under way. A placed order is asked about; before that, submitted_at tells
 * whether a post may be out there (job_begin). */
static void resume(struct job_ctx *c, int64_t at)
{
	struct record_job *j = c->job;

	if (j->order_id != 0)
		j->phase = PHASE_WAIT;
	job_set_str(&j->targets, NULL); /* the world may have changed */
	j->next_at = at;
	if (at == 0)
		job_begin(c);
}

static void on_restart(struct job_ctx *c)
{
	int64_t latest = c->env->now + RETRY_LONGEST(c->env->tempo);
	int64_t at = c->job->next_at;

	/* A pause that was begun is kept, unless it comes from a clock that was far ahead. */
	resume(c, at > c->env->now && at <= latest ? at : 0);
}

static void on_release(struct job_ctx *c)
{
	c->rec->held = false;
	c->rec->held_for_key = false;
	record_set_error(c->rec, c->env->now, NULL, NULL);
	c->u->persist = true;
	job_report(c->u, REPORT_RELEASED, "released: going on");
	if (!c->job)
		return;
	c->job->attempts = 0;
	c->job->refusals = 0;
	resume(c, 0);
}

static void on_wake(struct job_ctx *c)
{
	if (c->job->next_at != 0 && c->job->next_at <= c->env->now)
		job_begin(c);
}

/* Polls overlap: that this certificate is issued is known, and is no reason to end the pause that it earned. Nor is that the
 * order to be reissued was issued before. */
static bool is_known(const struct job_ctx *c)
{
	const struct record_job *j = c->job;
	int64_t id = c->ev->certificate_id;

	if (c->ev->order_state != ORDER_ISSUED || id == 0)
		return false;
	return (j->issued && id == j->certificate_id) ||
	       (j->kind == JOB_REISSUE && id == c->rec->cert.certificate_id);
}

static void on_hint(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (j->order_id == 0 || j->next_at == 0 || j->phase < PHASE_PUBLISH || j->phase > PHASE_WAIT)
		return;
	if (c->ev->order_state != ORDER_ISSUED && c->ev->order_state != ORDER_ENDED)
		return;
	if (is_known(c))
		return;
	if (j->phase == PHASE_WAIT)
		job_begin(c);
	else
		job_go(c, PHASE_WAIT);
}

/* A name that cannot be validated must not keep all others of its webroot waiting: while it pauses, or is held, the next one
 * has its turn. */
static void on_yield(struct job_ctx *c)
{
	struct record_job *j = c->job;

	if (!job_may_yield(c->rec))
		return;
	j->republish = j->phase == PHASE_CHECK;
	j->published = false;
	j->yielded = true;
	c->u->persist = true;
}

/* As long as nothing can be at the CA it ends without another post: here, or when the operation under way is over, because a proof
 * that is being put up must stay listed. An order of the CA is canceled by the caller; what order info says then ends the job. */
static void on_cancel(struct job_ctx *c)
{
	c->job->canceled = true;
	c->u->persist = true;
	if (c->rec->held || c->job->next_at != 0)
		(void)job_end_if_canceled(c);
}

/* Nobody looks after the proof from here on, and it would be in the way of others. Should the domain come back, its order goes
 * on like after a restart, and puts it up again. */
static void on_leave(struct job_ctx *c)
{
	if (c->job->yielded || c->rec->n_proofs == 0)
		return;
	c->job->yielded = true;
	c->job->published = false;
	c->u->persist = true;
}

static bool is_live(const struct record *rec)
{
	return rec->job && !rec->held;
}

void job_step(struct record *rec, const struct job_env *env, const struct job_event *ev,
	      struct job_update *ret)
{
	struct job_ctx c = { .rec = rec, .job = rec->job, .env = env, .ev = ev, .u = ret };

	*ret = (struct job_update){ 0 };
	switch (ev->kind) {
	case EV_START:
		if (!rec->job && !rec->held)
			on_start(&c);
		break;
	case EV_DONE:
	case EV_FAULT:
		if (rec->job)
			job_answer(&c);
		break;
	case EV_WAKE:
		if (is_live(rec))
			on_wake(&c);
		break;
	case EV_RESTART:
		if (is_live(rec))
			on_restart(&c);
		break;
	case EV_HINT:
		if (is_live(rec))
			on_hint(&c);
		break;
	case EV_LEAVE:
		if (rec->job)
			on_leave(&c);
		break;
	case EV_YIELD:
		if (rec->job)
			on_yield(&c);
		break;
	case EV_CANCEL:
		if (rec->job)
			on_cancel(&c);
		break;
	case EV_RELEASE:
		if (rec->held || (rec->job && rec->job->next_at != 0))
			on_release(&c);
		break;
	}
}
