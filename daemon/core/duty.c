/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments and proofs as to-dos. */
#include "daemon/core/duty.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/core/decide.h"
#include "daemon/core/proof.h"
#include "daemon/core/retry.h"

static void deploy_set_error(struct record_deploy *d, const struct outcome *o)
{
	free(d->code);
	free(d->message);
	d->code = o ? xstrdup(o->code) : NULL;
	d->message = o ? xstrdup(o->message) : NULL;
}

/* Nothing that was done or that failed so far counts. */
static void deploy_begin_anew(struct record_deploy *d)
{
	d->state = DEPLOY_TODO;
	d->attempts = 0;
	d->next_at = 0;
	d->looked_at = 0;
	d->differs = d->older = false;
	deploy_set_error(d, NULL);
}

static void deploy_done(struct record_deploy *d)
{
	free(d->target);
	free(d->code);
	free(d->message);
}

static bool is_at(const struct record *rec, uint32_t i, const char *target)
{
	return i < rec->n_deploys && rec->deploys[i].target && strcmp(rec->deploys[i].target, target) == 0;
}

static struct record_deploy take_or_new(struct record *rec, const char *target)
{
	struct record_deploy d = { .state = DEPLOY_TODO };

	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (rec->deploys[i].target && strcmp(rec->deploys[i].target, target) == 0) {
			d = rec->deploys[i];
			rec->deploys[i] = (struct record_deploy){ 0 };
			return d;
		}
	}
	d.target = xstrdup(target);
	return d;
}

bool duty_plan(struct record *rec, const struct cfg_domain *spec, bool redo)
{
	struct record_deploy *list = spec->n_deploy ? xcalloc(spec->n_deploy, sizeof(*list)) : NULL;
	bool changed = rec->n_deploys != spec->n_deploy;

	for (uint32_t i = 0; i < spec->n_deploy; i++) {
		bool same_place = is_at(rec, i, spec->deploy[i].target);
		struct record_deploy d = take_or_new(rec, spec->deploy[i].target);

		changed = changed || !same_place;
		if (rec->cert.generation != 0 && (redo || d.generation != rec->cert.generation)) {
			deploy_begin_anew(&d);
			d.generation = rec->cert.generation;
			changed = true;
		}
		list[i] = d;
	}
	for (uint32_t i = 0; i < rec->n_deploys; i++)
		deploy_done(&rec->deploys[i]);
	free(rec->deploys);
	rec->deploys = list;
	rec->n_deploys = spec->n_deploy;
	return changed;
}

bool duty_redo(struct record *rec, const char *target)
{
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (strcmp(rec->deploys[i].target, target) != 0)
			continue;
		deploy_begin_anew(&rec->deploys[i]);
		return true;
	}
	return false;
}

static bool is_todo(const struct record *rec, const struct record_deploy *d)
{
	return d->state == DEPLOY_TODO && rec->cert.generation != 0;
}

uint32_t duty_deploy_due(const struct record *rec, int64_t now)
{
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (is_todo(rec, &rec->deploys[i]) && rec->deploys[i].next_at <= now)
			return i;
	}
	return DUTY_NONE;
}

int64_t duty_deploy_next_at(const struct record *rec)
{
	int64_t at = DUE_NEVER;

	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (is_todo(rec, &rec->deploys[i]))
			at = MIN(at, rec->deploys[i].next_at);
	}
	return at;
}

/* Asked for every target of every domain once a minute. */
static bool is_verify(const struct record_deploy *d)
{
	return str_has_prefix(d->target, cfg_deploy_type_name(CFG_DEPLOY_VERIFY));
}

static int64_t look_at(const struct record_deploy *d, int64_t tempo)
{
	return d->state == DEPLOY_DONE && is_verify(d) ? d->looked_at + RETRY_LOOK * tempo : DUE_NEVER;
}

uint32_t duty_look_due(const struct record *rec, int64_t tempo, int64_t now)
{
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (look_at(&rec->deploys[i], tempo) <= now)
			return i;
	}
	return DUTY_NONE;
}

int64_t duty_look_next_at(const struct record *rec, int64_t tempo)
{
	int64_t at = DUE_NEVER;

	for (uint32_t i = 0; i < rec->n_deploys; i++)
		at = MIN(at, look_at(&rec->deploys[i], tempo));
	return at;
}

static bool needs_a_person(enum fault f)
{
	return f == FAULT_REFUSED || f == FAULT_AUTH || f == FAULT_CONFIG || f == FAULT_BAD_CERT;
}

/* May what this kind does have been done in vain, because something in front of it was not done yet? */
static bool depends_on_others(enum cfg_deploy_type t)
{
	return t == CFG_DEPLOY_RELOAD || t == CFG_DEPLOY_EXEC || t == CFG_DEPLOY_VERIFY;
}

/* Target i changed something: those behind it that ran before it, because it had failed or is new, run again. */
static void run_again_behind(struct record *rec, uint32_t i)
{
	for (uint32_t k = i + 1; k < rec->n_deploys; k++) {
		struct record_deploy *d = &rec->deploys[k];

		if (!depends_on_others(record_deploy_type(d->target)))
			continue;
		if (d->state == DEPLOY_DONE)
			deploy_begin_anew(d);
		else if (d->state == DEPLOY_TODO)
			d->next_at = 0; /* its error stays until it is mended */
	}
}

/* Has the last look that got an answer seen ours? (One that got none since then may have made it a to-do again.) */
static bool was_seen(const struct record_deploy *d)
{
	return d->state == DEPLOY_DONE || (d->looked_at != 0 && !d->differs);
}

/* An earlier certificate of ours is back: what brought the present one there is repeated. */
static void run_again_before(struct record *rec, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++) {
		if (!is_verify(&rec->deploys[k]) && rec->deploys[k].state == DEPLOY_DONE)
			deploy_begin_anew(&rec->deploys[k]);
	}
}

static void deploy_succeeded(struct record *rec, uint32_t i, int64_t now, const struct outcome *o,
			     struct job_update *u)
{
	struct record_deploy *d = &rec->deploys[i];
	bool only_looked = d->state == DEPLOY_DONE;

	if (is_verify(d)) {
		d->looked_at = now;
		d->differs = d->older = false;
	}
	if (only_looked)
		return;
	d->state = DEPLOY_DONE;
	d->at = now;
	d->attempts = 0;
	d->next_at = 0;
	deploy_set_error(d, NULL);
	job_report(u, REPORT_DEPLOYED, "%s has generation %04u%s%s", d->target, d->generation,
		   o->message[0] != '\0' ? "; " : "", o->message);
	if (!is_verify(d))
		run_again_behind(rec, i);
}

/* What deploy/verify.h calls an answer that is not ours; what was not reached, or could not be compared, says nothing. */
static bool serves_something_else(const struct outcome *o)
{
	static const char *const CODES[] = { "not-served", "chain-incomplete", "expired" };

	for (size_t i = 0; i < ARRAY_SIZE(CODES); i++) {
		if (strcmp(o->code, CODES[i]) == 0)
			return true;
	}
	return false;
}

void duty_deploy_done(struct record *rec, uint32_t i, const struct job_env *env, const struct outcome *o,
		      bool is_old, struct job_update *u)
{
	struct record_deploy *d = &rec->deploys[i];
	bool is_news = d->state == DEPLOY_DONE; /* it had been served */
	bool is_back = false;
	int64_t delay;

	u->persist = true;
	if (o->fault == FAULT_NONE) {
		deploy_succeeded(rec, i, env->now, o, u);
		return;
	}
	d->at = env->now;
	deploy_set_error(d, o);
	if (is_verify(d) && serves_something_else(o)) {
		is_news = was_seen(d);
		/* Also after somebody else's, or after one that could not be told from that because the archive was not readable. */
		is_back = is_old && (is_news || (d->looked_at != 0 && !d->older));
		d->looked_at = env->now;
		d->differs = true;
		d->older = is_old;
	}
	if (needs_a_person(o->fault)) {
		d->attempts++;
		d->state = DEPLOY_FAILED;
		job_report(u, REPORT_DEPLOY_FAILED, "%s: %s", d->target, o->message);
		return;
	}
	d->state = DEPLOY_TODO;
	delay = retry_delay(env->tempo, d->attempts++, RETRY_CAP, env->rnd);
	d->next_at = env->now + MAX(delay, o->retry_after);
	job_report(u, is_news ? REPORT_NOT_SERVED : REPORT_DEPLOY_RETRY, "%s: %s", d->target, o->message);
	if (is_back)
		run_again_before(rec, i);
}

static void end_if_far(int64_t *at, int64_t now, int64_t latest)
{
	if (*at > latest)
		*at = now;
}

void duty_end_far_pauses(struct record *rec, int64_t now, int64_t latest)
{
	if (rec->job)
		end_if_far(&rec->job->next_at, now, latest);
	if (rec->revocation)
		end_if_far(&rec->revocation->next_at, now, latest);
	end_if_far(&rec->clean_at, now, latest);
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		end_if_far(&rec->deploys[i].next_at, now, latest);
		end_if_far(&rec->deploys[i].looked_at, now, now);
	}
}

uint32_t duty_clean_due(const struct record *rec, int64_t now)
{
	if (rec->clean_at > now)
		return DUTY_NONE;
	for (uint32_t i = 0; i < rec->n_proofs; i++) {
		if (!proof_is_needed(rec, &rec->proofs[i]))
			return i;
	}
	return DUTY_NONE;
}

int64_t duty_clean_next_at(const struct record *rec)
{
	return duty_clean_due(rec, INT64_MAX) == DUTY_NONE ? DUE_NEVER : rec->clean_at;
}

/* From this refusal on, what stands in a zone that the server does not have is left alone. */
#define REFUSALS_MAX 4

/* What cannot be removed must not keep the others waiting. */
static uint32_t move_last(struct record *rec, uint32_t i)
{
	struct record_proof p = rec->proofs[i];

	memmove(&rec->proofs[i], &rec->proofs[i + 1], (rec->n_proofs - i - 1) * sizeof(p));
	rec->proofs[rec->n_proofs - 1] = p;
	return rec->n_proofs - 1;
}

/* A delegation that led to where the provider cannot write: nothing was put up there, and no waiting helps. */
static bool is_elsewhere(const struct outcome *o)
{
	return o->fault == FAULT_REFUSED && (strcmp(o->code, "no-zone") == 0 ||
					     strcmp(o->code, "name") == 0 || strcmp(o->code, "NOTZONE") == 0);
}

void duty_clean_done(struct record *rec, uint32_t i, const struct job_env *env, const struct outcome *o,
		     struct job_update *u)
{
	if (o->fault == FAULT_NONE) {
		/* Put up again, perhaps while this withdrawal was under way: the file may be back, so one more is needed. */
		if (rec->proofs[i].again)
			rec->proofs[i].again = false;
		else
			record_drop_proof(rec, i);
		rec->clean_attempts = 0;
		rec->clean_at = 0;
		/* While a job runs, its next write carries this along; otherwise it is written now. */
		u->persist = !rec->job;
		return;
	}
	i = move_last(rec, i);
	rec->clean_at = env->now + retry_delay(env->tempo, rec->clean_attempts++, RETRY_CAP, env->rnd);
	u->persist = true;
	if (rec->clean_attempts < REFUSALS_MAX || !is_elsewhere(o)) {
		job_report(u, REPORT_CLEAN_RETRY, "%s", o->message);
		return;
	}
	job_report(u, REPORT_CLEAN_RETRY, "%s record %s is left alone, remove it yourself if it is there: %s",
		   record_place_word(rec->proofs[i].place), rec->proofs[i].name, o->message);
	record_drop_proof(rec, i);
}
