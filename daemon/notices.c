/* SPDX-License-Identifier: Apache-2.0 */
/* The notify command: rounds over all domains (ops/notices.h says who is news), then one call for each event with all names
 * that it concerns, one call at a time. A thousand domains that fail together are one call: after a change a round waits a few
 * seconds for the others. What was told is on disk before the program is called, so a crash may cost a notice and never repeats one. */
#include "daemon/notices.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/expiry.h"
#include "daemon/io/child.h"
#include "daemon/io/program.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"
#include "daemon/ops/notices.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FILE_NAME "notices"
#define FILE_MAX  (64u << 20)
/* A round waits until nothing has changed for so long, and no longer than the second. */
#define COLLECT_MS     5000
#define COLLECT_MAX_MS 60000
#define ROUND_TEMPO    60 /* in tempos: what only time brings about, such as an end that comes nearer */
#define TRIES_MAX      4
/* A program's environment: 128 KiB for one variable (MAX_ARG_STRLEN), and less is easier to read. */
#define NAMES_MAX   (64u << 10)
#define MESSAGE_MAX 2048
/* A deployment that failed so often is no hiccup: half an hour at the usual tempo. */
#define ATTEMPTS_TO_TELL 5

struct event_state {
	unsigned failures; /* of the present call */
	int64_t again_ms;  /* it is repeated then; 0: at once */
	uint64_t n_done, n_failed;
};

struct notices_service {
	struct app *app;
	struct notices *memory;
	struct timer *round;
	struct timer *repeat;
	bool is_loaded;
	int64_t changed_ms; /* the first change since the last round, by the monotonic clock; 0: none */
	struct work *saving;
	struct child *child;
	enum notice_event calling; /* while child is set */
	struct event_state events[NOTICE_NR];
};

static void go_on(struct notices_service *s);

/* --- what a domain is like --- */

static bool has_failed(const struct domain *d)
{
	const struct record *r = d->rec;

	for (uint32_t i = 0; i < r->n_deploys; i++) {
		const struct record_deploy *t = &r->deploys[i];

		if (t->differs || (t->state == DEPLOY_TODO && t->code && t->attempts >= ATTEMPTS_TO_TELL))
			return true;
	}
	return domain_state(d) == STATE_FAILED;
}

static void make_round(struct notices_service *s)
{
	struct app *a = s->app;
	int64_t now = clock_now();

	notices_begin(s->memory);
	for (size_t i = 0; i < a->n_domains; i++) {
		const struct domain *d = a->domains[i];
		bool failed = has_failed(d), expiring = expiry_is_near(d, now);

		notices_show(s->memory, d->rec->name, failed, expiring,
			     !failed && !expiring && domain_state(d) == STATE_VALID, now);
	}
	notices_end(s->memory, now);
}

/* --- the file --- */

struct file_work {
	struct notices_service *service;
	int dir;
	struct strbuf sb;
	int rc;
	struct err err;
};

static void file_free(void *arg)
{
	struct file_work *w = arg;

	strbuf_done(&w->sb);
	free(w);
}

static void file_run(void *arg)
{
	struct file_work *w = arg;

	w->rc = fs_replace(w->dir, FILE_NAME, strbuf_str(&w->sb), w->sb.len, 0600, &w->err);
}

/* A disk that is full is what people have to be told of: that the file cannot be written stops nothing. */
static void file_done(void *arg)
{
	struct file_work *w = arg;
	struct notices_service *s = w->service;

	s->saving = NULL;
	if (w->rc == FS_ESYNC)
		app_die_of_disk(w->err.text);
	if (w->rc < 0)
		log_event(LOG_LEVEL_WARNING, &MSG_NOTICE_FAILED, NULL,
			  "state/" FILE_NAME " cannot be written, people may be told twice: %s", w->err.text);
	file_free(w);
	go_on(s);
}

static void save(struct notices_service *s)
{
	struct file_work *w = xmalloc(sizeof(*w));

	w->service = s;
	w->dir = store_state_fd(s->app->store);
	w->sb = (struct strbuf)STRBUF_INIT(FILE_MAX);
	notices_encode(s->memory, &w->sb);
	work_start(s->app->loop, file_run, file_done, w, &s->saving);
}

/* Once, when there is somebody to be told. */
static void load(struct notices_service *s)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;
	int r;

	if (s->is_loaded)
		return;
	s->is_loaded = true;
	r = fs_read_at(store_state_fd(s->app->store), FILE_NAME, FILE_MAX, &text, &len, &e);
	if (r == 0)
		r = notices_decode(s->memory, text, len, &e);
	if (r < 0 && r != -ENOENT)
		log_event(LOG_LEVEL_WARNING, &MSG_NOTICE_FAILED, NULL,
			  "state/" FILE_NAME " cannot be used, people may be told twice: %s", e.text);
}

/* --- the call --- */

/* What the domains of one call have in common, and the first of them: the one that ends soonest. */
struct story {
	struct app *app;
	enum notice_event event;
	size_t n;
	struct strbuf names, text;
	const struct domain *first;
	const char *state; /* NULL: not the same for all */
	char *code;	   /* the same */
	bool one_code;
	struct problem problem;
};

static int64_t end_of(const struct domain *d)
{
	return d->rec->cert.generation ? d->rec->cert.not_after : INT64_MAX;
}

static void take_in(const char *name, void *arg)
{
	struct story *st = arg;
	const struct domain *d = domain_find(st->app, name);
	const char *state, *code;

	if (!d) /* it left the configuration since the round */
		return;
	state = domain_state_name(domain_state(d));
	code = status_problem(d, &st->problem) ? st->problem.code : "";
	if (st->n == 0) {
		st->state = state;
		st->code = xstrdup(code);
	}
	if (st->state && strcmp(st->state, state) != 0)
		st->state = NULL;
	st->one_code = st->one_code && strcmp(st->code, code) == 0;
	if (!st->first || end_of(d) < end_of(st->first))
		st->first = d;
	st->n++;
	if (strbuf_ok(&st->names))
		strbuf_addf(&st->names, "%s%s", st->names.len ? " " : "", name);
}

/* A sentence for the subject of a mail. */
static void write_message(struct story *st)
{
	static const char *const ONE[NOTICE_NR] = { "needs a person", "expires soon and nothing follows",
						    "is well again" };
	static const char *const MANY[NOTICE_NR] = { "domains need a person",
						     "certificates expire soon and nothing follows",
						     "domains are well again" };
	const char *name = st->first->rec->name;
	char end[TIMEFMT_MAX];

	if (st->n == 1)
		strbuf_addf(&st->text, "%s %s", name, ONE[st->event]);
	else
		strbuf_addf(&st->text, "%zu %s, such as %s", st->n, MANY[st->event], name);
	if (st->event == NOTICE_EXPIRING)
		strbuf_addf(&st->text, " (%s)", timefmt_rfc3339(end_of(st->first), end));
	if (st->event != NOTICE_RECOVERED && status_problem(st->first, &st->problem))
		strbuf_addf(&st->text, ": %s", st->problem.message ? st->problem.message : st->problem.code);
}

#define ENV_MAX 16

static void add_env(char *env[ENV_MAX], size_t *n, const char *key, const char *val)
{
	assert(*n + 1 < ENV_MAX);
	env[(*n)++] = xasprintf("%s=%s", key, val);
}

static void build_env(struct story *st, char *env[ENV_MAX])
{
	const struct record_cert *c = &st->first->rec->cert;
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char number[24], end[TIMEFMT_MAX];
	size_t n = 0;

	(void)snprintf(number, sizeof(number), "%zu", st->n);
	env[n++] = xstrdup(PROGRAM_PATH);
	add_env(env, &n, "DVCERT_API", "1");
	add_env(env, &n, "DVCERT_EVENT", notice_word(st->event));
	add_env(env, &n, "DVCERT_NAME", st->first->rec->name);
	add_env(env, &n, "DVCERT_NAMES", strbuf_str(&st->names));
	add_env(env, &n, "DVCERT_COUNT", number);
	add_env(env, &n, "DVCERT_NAMES_CUT", strbuf_ok(&st->names) ? "0" : "1");
	add_env(env, &n, "DVCERT_STATE", st->state ? st->state : "");
	add_env(env, &n, "DVCERT_ERROR_CODE", st->one_code ? st->code : "");
	add_env(env, &n, "DVCERT_MESSAGE", strbuf_str(&st->text));
	add_env(env, &n, "DVCERT_NOT_AFTER", c->generation ? timefmt_rfc3339(c->not_after, end) : "");
	if (folder)
		add_env(env, &n, "CREDENTIALS_DIRECTORY", folder);
}

static int64_t pause_ms(const struct notices_service *s, unsigned failures)
{
	static const int64_t TEMPOS[] = { 1, 5, 15 };

	return TEMPOS[MIN(failures, (unsigned)ARRAY_SIZE(TEMPOS)) - 1] *
	       s->app->config->certcentral.poll_interval * 1000;
}

static void call_failed(struct notices_service *s, enum notice_event ev, const struct outcome *o)
{
	struct event_state *e = &s->events[ev];

	e->n_failed++;
	e->failures++;
	if (e->failures < TRIES_MAX) {
		e->again_ms = clock_mono_ms() + pause_ms(s, e->failures);
		log_event(LOG_LEVEL_WARNING, &MSG_NOTICE_FAILED, NULL, "notify %s: %s", notice_word(ev),
			  o->message);
		return;
	}
	log_event(LOG_LEVEL_ERROR, &MSG_NOTICE_FAILED, NULL, "notify %s: given up after %d tries: %s",
		  notice_word(ev), TRIES_MAX, o->message);
	e->failures = 0;
	notices_done(s->memory, ev);
}

static void on_child(const struct child_result *r, void *owner)
{
	struct notices_service *s = owner;
	enum notice_event ev = s->calling;
	const struct cfg_notify *cfg = &s->app->config->notify;
	struct outcome o = OUTCOME_OK;

	s->child = NULL;
	program_outcome(r, cfg->command ? cfg->command[0] : "the program", "", cfg->timeout, &o);
	if (o.fault == FAULT_NONE) {
		s->events[ev].n_done++;
		s->events[ev].failures = 0;
		notices_done(s->memory, ev);
	} else {
		call_failed(s, ev, &o);
	}
	metrics_changed(s->app);
	go_on(s);
}

/* False: none of the domains is there any more. */
static bool call(struct notices_service *s, enum notice_event ev)
{
	const struct cfg_notify *cfg = &s->app->config->notify;
	struct story st = { .app = s->app,
			    .event = ev,
			    .one_code = true,
			    .names = STRBUF_INIT(NAMES_MAX),
			    .text = STRBUF_INIT(MESSAGE_MAX) };
	char *env[ENV_MAX] = { 0 };
	struct child_spec spec = { .argv = cfg->command,
				   .env = (const char *const *)env,
				   .label = "notify",
				   .timeout_ms = cfg->timeout * 1000 };

	notices_each_taken(s->memory, ev, take_in, &st);
	if (st.n > 0) {
		write_message(&st);
		build_env(&st, env);
		log_event(LOG_LEVEL_INFO, &MSG_NOTICE, NULL, "notify %s: %s", notice_word(ev),
			  strbuf_str(&st.text));
		s->calling = ev;
		child_start(s->app->loop, &spec, on_child, s, &s->child);
	}
	for (size_t i = 0; i < ENV_MAX; i++)
		free(env[i]);
	strbuf_done(&st.names);
	strbuf_done(&st.text);
	free(st.code);
	return st.n > 0;
}

/* One call at a time, the worst news first. */
static void go_on(struct notices_service *s)
{
	int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;

	if (s->child || s->saving || s->app->stopping || !s->app->config->notify.command)
		return;
	for (enum notice_event ev = 0; ev < NOTICE_NR; ev++) {
		struct event_state *e = &s->events[ev];

		if (e->failures > 0 && e->again_ms > now_ms) {
			next_ms = MIN(next_ms, e->again_ms);
			continue;
		}
		if (notices_take(s->memory, ev) == 0)
			continue;
		if (call(s, ev))
			return;
		notices_done(s->memory, ev);
	}
	if (next_ms != INT64_MAX)
		timer_set(s->repeat, next_ms - now_ms);
}

static void on_repeat(void *arg)
{
	go_on(arg);
}

/* --- rounds --- */

static void on_round(void *arg)
{
	struct notices_service *s = arg;
	struct app *a = s->app;

	s->changed_ms = 0;
	if (!a->config->notify.command || a->stopping)
		return;
	if (s->saving) { /* what this round would find must be written after that */
		timer_set(s->round, COLLECT_MS);
		return;
	}
	timer_set(s->round, ROUND_TEMPO * a->config->certcentral.poll_interval * 1000);
	load(s);
	make_round(s);
	if (notices_changed(s->memory))
		save(s);
	else
		go_on(s);
}

void notices_look_soon(struct app *a)
{
	struct notices_service *s = a->notices;
	int64_t now_ms = clock_mono_ms();

	if (!s || !a->config->notify.command || a->stopping)
		return;
	if (s->changed_ms == 0)
		s->changed_ms = now_ms;
	timer_set(s->round,
		  MIN((int64_t)COLLECT_MS, MAX(s->changed_ms + COLLECT_MAX_MS - now_ms, (int64_t)1)));
}

void notices_calls(const struct app *a, unsigned event, const char **ret_event, uint64_t *ret_done,
		   uint64_t *ret_failed)
{
	*ret_event = notice_word((enum notice_event)event);
	*ret_done = a->notices ? a->notices->events[event].n_done : 0;
	*ret_failed = a->notices ? a->notices->events[event].n_failed : 0;
}

/* --- life --- */

int notices_open(struct app *a, struct err *reterr)
{
	struct notices_service *s = xmalloc(sizeof(*s));

	(void)reterr;
	s->app = a;
	s->memory = notices_new();
	s->round = timer_new(a->loop, on_round, s);
	s->repeat = timer_new(a->loop, on_repeat, s);
	a->notices = s;
	notices_look_soon(a);
	return 0;
}

void notices_close(struct app *a)
{
	struct notices_service *s = TAKE_PTR(a->notices);

	if (!s)
		return;
	child_cancel(&s->child);
	if (s->saving)
		work_cancel(&s->saving, file_free);
	timer_free(s->round);
	timer_free(s->repeat);
	notices_free(s->memory);
	free(s);
}
