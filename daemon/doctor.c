/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of `dvcertctl doctor`: the table of steps, their order and what they depend on, deadlines, and the answer. What a step looks at
 * is in doctor_*.c. */
#include "daemon/doctor.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "config/load.h"

#include <sysexits.h>

#define STEP_MS	 30000
#define TOTAL_MS 180000

#define NEEDS(step) (1u << (step))

static const struct step {
	const char *name;
	void (*run)(struct doctor *k);
	unsigned needs; /* bits of steps that must not be broken */
	bool general;	/* also without a domain */
} STEPS[DOCTOR_NR] = {
	[DOCTOR_SECRETS] = { "secrets", doctor_secrets, 0, true },
	[DOCTOR_RECORD] = { "record", doctor_record, 0, false },
	[DOCTOR_CLOCK] = { "clock", doctor_clock, 0, true },
	[DOCTOR_API] = { "api", doctor_api, 0, true },
	[DOCTOR_PRODUCT] = { "product", doctor_product, NEEDS(DOCTOR_API), true },
	[DOCTOR_BUDGET] = { "budget", doctor_budget, 0, true },
	[DOCTOR_ORDER] = { "order", doctor_order, NEEDS(DOCTOR_API), false },
	[DOCTOR_DNS] = { "dns", doctor_names, 0, false },
	[DOCTOR_CAA] = { "caa", doctor_caa, 0, false },
	[DOCTOR_ZONE] = { "zone", doctor_zone, 0, false },
	[DOCTOR_HTTP] = { "http", doctor_http, NEEDS(DOCTOR_DNS), false },
	[DOCTOR_WEBROOT] = { "webroot", doctor_webroot, 0, false },
	[DOCTOR_FILES] = { "files", doctor_files, 0, false },
	[DOCTOR_TARGETS] = { "targets", doctor_targets, 0, false },
	[DOCTOR_SERVED] = { "served", doctor_served, NEEDS(DOCTOR_FILES), false },
	[DOCTOR_WAF] = { "waf", doctor_waf, 0, false },
};

static const char *state_word(enum doctor_state s)
{
	static const char *const WORDS[] = { "ok", "warning", "broken", "skipped" };

	return WORDS[s];
}

/* --- the end of a run --- */

/* Silence for all that the present step has under way; for the pool see job_drop(). */
static void job_drop(void *arg);

static void stop_step(struct doctor *k)
{
	cc_cancel(&k->call);
	dns_cancel(&k->dns_call);
	caa_cancel(&k->caa);
	dnslook_cancel(&k->target);
	http_cancel(&k->http_call);
	verify_cancel(&k->look);
	doctor_http_stop(k);
	if (k->work)
		work_cancel(&k->work, job_drop);
	free(TAKE_PTR(k->text));
}

static void doctor_free(struct doctor *k)
{
	stop_step(k);
	dns_free(k->dns);
	http_free(k->http);
	timer_free(k->next);
	timer_free(k->late);
	free(k->roles);
	free(k->chain);
	config_unref(k->config);
	free(k);
}

static void gone(struct waiter *w, _unused_ bool stopping)
{
	waiter_end(w);
	doctor_free(container_of(w, struct doctor, w));
}

/* --- what a step says --- */

static void note_v(struct doctor_note *n, enum doctor_state s, const char *remedy, const char *fmt,
		   va_list ap) _printf_(4, 0);
static void note_v(struct doctor_note *n, enum doctor_state s, const char *remedy, const char *fmt,
		   va_list ap)
{
	n->state = s;
	(void)vsnprintf(n->text, sizeof(n->text), fmt, ap);
	(void)snprintf(n->remedy, sizeof(n->remedy), "%s", remedy ? remedy : "");
}

void doctor_note(struct doctor_note *n, enum doctor_state s, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	if (n->text[0] && (n->state == DOCTOR_SKIPPED || n->state >= s))
		return;
	va_start(ap, fmt);
	note_v(n, s, remedy, fmt, ap);
	va_end(ap);
}

/* The step is over: the walk goes on in the next turn of the loop. */
static void step_ended(struct doctor *k)
{
	timer_clear(k->late);
	k->ended = true;
	timer_set(k->next, 0);
}

void doctor_say(struct doctor *k, enum doctor_state s, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_v(&k->notes[k->at], s, remedy, fmt, ap);
	va_end(ap);
	step_ended(k);
}

void doctor_end(struct doctor *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (k->note.text[0])
		k->notes[k->at] = k->note;
	else
		note_v(&k->notes[k->at], DOCTOR_OK, NULL, fmt, ap);
	va_end(ap);
	step_ended(k);
}

struct domain *doctor_domain(const struct doctor *k)
{
	return k->spec ? domain_find(k->w.app, k->spec->name) : NULL;
}

/* --- what steps use --- */

static void job_free(struct doctor_job *j)
{
	config_unref(j->config);
	free(j->config_file);
	free(j->serial);
	free(j->failure);
	free(j->chain);
	free(j);
}

static void job_drop(void *arg)
{
	job_free(arg);
}

static void job_run(void *arg)
{
	struct doctor_job *j = arg;

	j->run(j);
}

static void job_done(void *arg)
{
	struct doctor_job *j = arg;
	struct doctor *k = j->k;

	k->work = NULL;
	k->note = j->note;
	if (j->chain)
		k->chain = TAKE_PTR(j->chain);
	job_free(j);
	doctor_end(k, "fine");
}

void doctor_in_pool(struct doctor *k, void (*run)(struct doctor_job *j))
{
	const struct domain *d = doctor_domain(k);
	struct doctor_job *j = xmalloc(sizeof(*j));

	j->k = k;
	j->run = run;
	j->config = config_ref(k->config);
	j->spec = k->spec;
	j->dirs = k->w.app->dirs;
	j->config_file = xstrdup(k->w.app->config_file);
	j->failure = TAKE_PTR(k->text);
	if (d) {
		j->serial = xstrdup_opt(d->rec->cert.serial);
		j->generation = d->rec->cert.generation;
	}
	work_start(k->w.app->loop, job_run, job_done, j, &k->work);
}

struct dns *doctor_dns(struct doctor *k)
{
	struct err e = ERR_INIT;

	if (!k->dns && dns_new(k->w.app->loop, &k->dns, &e) < 0)
		doctor_say(k, DOCTOR_BROKEN, NULL, "%s", e.text);
	return k->dns;
}

const char *doctor_resolver(const struct doctor *k)
{
	const struct cfg_preflight *p = &k->config->preflight;

	return p->dns == CFG_LOOK_AT ? p->dns_addr : NULL;
}

/* --- the answer --- */

static struct json *note_json(enum doctor_step at, const struct doctor_note *n)
{
	struct json *o = json_new_obj();

	json_set_str(o, "step", STEPS[at].name);
	json_set_str(o, "state", state_word(n->state));
	json_set_str(o, "text", n->text);
	json_set_str(o, "remedy", n->remedy[0] ? n->remedy : NULL);
	return o;
}

static bool is_broken(const struct doctor *k)
{
	for (int i = 0; i < DOCTOR_NR; i++) {
		if (k->notes[i].state == DOCTOR_BROKEN)
			return true;
	}
	return false;
}

static void finish(struct doctor *k)
{
	struct json *o = json_new_obj(), *steps = json_new_arr();

	/* The error is the effect of something that is right now, or that cannot be seen from here. */
	if (k->symptom && !is_broken(k))
		k->notes[DOCTOR_RECORD].state = DOCTOR_BROKEN;
	for (int i = 0; i < DOCTOR_NR; i++) {
		if (k->spec || STEPS[i].general)
			json_add(steps, note_json((enum doctor_step)i, &k->notes[i]));
	}
	json_set_str(o, "name", k->spec ? k->spec->name : NULL);
	json_set_str(o, "config_file", k->w.app->config_file);
	json_set_time(o, "config_loaded_at", k->w.app->config_loaded_at);
	json_set_i64(o, "config_domains", (int64_t)k->w.app->config->n_domains);
	json_set_i64(o, "api_requests", k->n_requests);
	json_set(o, "steps", steps);
	json_set(o, "status", status_all(k->w.app, k->w.rq));
	waiter_answer(&k->w, o);
	doctor_free(k);
}

/* --- the walk --- */

/* The step that this one needs and that did not end well; DOCTOR_NR: none. */
static enum doctor_step obstacle(const struct doctor *k, const struct step *s)
{
	for (int i = 0; i < DOCTOR_NR; i++) {
		if ((s->needs & NEEDS(i)) && k->notes[i].state == DOCTOR_BROKEN)
			return (enum doctor_step)i;
	}
	return DOCTOR_NR;
}

static void begin_step(struct doctor *k)
{
	const struct step *s = &STEPS[k->at];
	enum doctor_step in_the_way = obstacle(k, s);

	k->ended = false;
	k->note = (struct doctor_note){ .state = DOCTOR_OK };
	k->i = k->n = 0;
	if (!k->spec && !s->general) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "no domain was named");
	} else if (in_the_way != DOCTOR_NR) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "needs %s, which is broken", STEPS[in_the_way].name);
	} else if (clock_mono_ms() >= k->until_ms) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "the steps before it took too long (%d s)",
			   TOTAL_MS / 1000);
	} else {
		timer_set(k->late, STEP_MS);
		s->run(k);
	}
}

static void on_next(void *arg)
{
	struct doctor *k = arg;

	if (k->spec && !doctor_domain(k)) {
		waiter_refuse(&k->w, EX_TEMPFAIL, "%s left the configuration meanwhile", k->spec->name);
		doctor_free(k);
		return;
	}
	if (k->ended) {
		stop_step(k);
		k->at = (enum doctor_step)(k->at + 1);
	}
	if (k->at == DOCTOR_NR)
		finish(k);
	else
		begin_step(k);
}

static void on_late(void *arg)
{
	struct doctor *k = arg;

	stop_step(k);
	if (k->at == DOCTOR_CLOCK) { /* it only borrows the first answer of the next step */
		doctor_say(k, DOCTOR_SKIPPED, NULL, "CertCentral did not answer within %d s", STEP_MS / 1000);
		return;
	}
	doctor_note(&k->note, DOCTOR_BROKEN, NULL, "no result within %d s", STEP_MS / 1000);
	doctor_end(k, "%s", "");
}

void verb_doctor(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = gone };
	struct app *a = arg;
	const struct domain *d = NULL;
	struct doctor *k;

	if (control_n_names(rq) > 0) {
		d = verbs_one(a, rq);
		if (!d)
			return;
	}
	k = xmalloc(sizeof(*k));
	k->config = config_ref(d ? d->config : a->config);
	k->spec = d ? d->spec : NULL;
	k->until_ms = clock_mono_ms() + TOTAL_MS;
	k->next = timer_new(a->loop, on_next, k);
	k->late = timer_new(a->loop, on_late, k);
	waiter_begin(&k->w, a, rq, &KIND);
	timer_set(k->next, 0);
}
