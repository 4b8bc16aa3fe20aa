/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the facts for daemon/ops/metrics.c and takes the text to whoever reads it.
 *
 * Clients share one text for a second, so that those who ask often cost nothing, and slow ones hold no copy of their own: a
 * text of ten thousand domains has ten megabytes. When clients that do not read keep several texts alive, the newest of these
 * is served until they are dropped, after ten seconds at most. */
#include "daemon/metrics.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/io/server.h"
#include "daemon/messages.h"
#include "daemon/notices.h"
#include "daemon/ops/metrics.h"
#include "daemon/ops/notices.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

_Static_assert(METRICS_EVENTS == NOTICE_NR, "one row for each event");

#define TEXT_MAX      (512UL << 20)
#define TEXT_FRESH_MS 1000
#define TEXTS_MAX     4 /* alive at the same time, before one is served a while longer */
#define CLIENTS_MAX   16

/* The file follows a change after this time at most, and is written now and then without one: its age tells that we live. */
#define FILE_PAUSE_MS 15000
#define FILE_BEAT_MS  300000

/* Its text is what ten thousand domains have in common; the file format knows no OpenMetrics. */
enum format { FORMAT_PLAIN, FORMAT_OPEN, FORMAT_NR };

struct text {
	struct metrics_service *service;
	unsigned refs;
	struct strbuf sb;
	int64_t made_ms;
};

struct metrics_service {
	struct app *app;
	struct server *server; /* NULL: none */
	struct text *newest[FORMAT_NR];
	unsigned n_texts;     /* alive */
	struct timer *ageing; /* drops texts that nobody reads */
	struct timer *file_timer;
	struct work *writing;
	bool file_is_due;   /* something has changed since it was written */
	bool file_failed;   /* ... and that was told */
	int64_t file_at_ms; /* when it was last begun; 0: never */
};

/* --- facts --- */

#define COUNTS_MAX (TALLY_MAX + CC_ENDPOINT_NR)

/* Everything that one exposition borrows. */
struct facts {
	struct metrics m;
	struct metrics_domain *domains;
	struct metrics_look *looks;
	size_t n_looks;
	struct metrics_count api[COUNTS_MAX], scutum[COUNTS_MAX];
	struct metrics_window windows[CFG_RATES_MAX];
	const char *states[STATE_NR];
	struct problem problem;
};

static void facts_done(struct facts *f)
{
	free(f->domains);
	free(f->looks);
}

/* What a look saw holds until the next one, also while that is repeated. */
static void fill_looks(struct facts *f, const struct record *r, struct metrics_domain *ret)
{
	ret->first_look = (uint32_t)f->n_looks;
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		const struct record_deploy *t = &r->deploys[i];

		if (t->looked_at == 0)
			continue;
		f->looks = xrealloc_array(f->looks, f->n_looks + 1, sizeof(*f->looks));
		f->looks[f->n_looks++] = (struct metrics_look){ t->target, !t->differs, t->looked_at };
		ret->n_looks++;
	}
}

static void fill_domain(struct facts *f, const struct domain *d, struct metrics_domain *ret)
{
	const struct record *r = d->rec;
	struct view v;

	runner_view(d, &v);
	*ret = (struct metrics_domain){
		.name = r->name,
		.state = domain_state(d),
		.renew_at = r->cert.generation ? decide_renew_at(&v) : 0,
		.order_valid_until = r->cert.order_valid_until,
	};
	if (r->cert.generation) {
		ret->not_before = r->cert.not_before;
		ret->not_after = r->cert.not_after;
	}
	ret->action = status_next(d, &ret->action_at);
	if (status_problem(d, &f->problem))
		ret->error_code = f->problem.code;
	for (uint32_t i = 0; i < r->n_deploys; i++)
		ret->n_undone += r->deploys[i].state != DEPLOY_DONE;
	fill_looks(f, r, ret);
}

static void fill_domains(struct facts *f, const struct app *a)
{
	f->domains = xcalloc(a->n_domains + 1, sizeof(*f->domains));
	for (size_t i = 0; i < a->n_domains; i++)
		fill_domain(f, a->domains[i], &f->domains[i]);
	f->m.domains = f->domains;
	f->m.n_domains = a->n_domains;
	f->m.looks = f->looks;
	for (unsigned s = 0; s < STATE_NR; s++)
		f->states[s] = domain_state_name((enum domain_state)s);
	f->m.states = f->states;
	f->m.n_states = STATE_NR;
}

static size_t fill_counts(const struct tally *t, bool by_endpoint, struct metrics_count *ret)
{
	size_t n = MIN(t->n, (size_t)COUNTS_MAX);

	for (size_t i = 0; i < n; i++) {
		const struct tally_row *row = &t->rows[i];

		ret[i] = (struct metrics_count){ .code = row->code, .n = row->n };
		if (by_endpoint)
			ret[i].what = cc_endpoint_label((enum cc_endpoint)row->kind);
	}
	return n;
}

static void fill_requests(struct facts *f, const struct app *a)
{
	struct cc_rate rates[CFG_RATES_MAX];

	f->m.n_windows = cc_rates(a->cc, rates);
	for (size_t i = 0; i < f->m.n_windows; i++)
		f->windows[i] = (struct metrics_window){ rates[i].per, rates[i].requests, rates[i].left };
	f->m.windows = f->windows;
	f->m.n_api = fill_counts(cc_tally(a->cc), true, f->api);
	f->m.api = f->api;
	f->m.n_scutum = fill_counts(scutum_tally(a->scutum), false, f->scutum);
	f->m.scutum = f->scutum;
	f->m.key_is_accepted = !cc_is_blocked(a->cc);
}

static void fill(struct facts *f, const struct app *a)
{
	f->m = (struct metrics){
		.version = DVCERT_VERSION,
		.started_at = a->started_at,
		.config_loaded_at = a->config_loaded_at,
		.config_is_good = a->config_refused_at == 0,
		.orders_allowed = a->config->certcentral.max_orders_per_day,
		.orders_today = budget_spent(a->budget, clock_now()),
		.orders_placed = a->n_orders_placed,
		.polled_at = a->poller.good_at,
		.poll_interval = poller_interval(a),
		.busy_max_ms = loop_busy_max_ms(a->loop),
		.n_stuck = a->n_stuck,
		.stuck_total = a->stuck_total,
	};
	for (unsigned i = 0; i < METRICS_EVENTS; i++)
		notices_calls(a, i, &f->m.notices[i].event, &f->m.notices[i].n_done,
			      &f->m.notices[i].n_failed);
	fill_domains(f, a);
	fill_requests(f, a);
}

static void render(const struct app *a, enum format format, int64_t textfile_at, struct strbuf *sb)
{
	struct facts *f = xmalloc(sizeof(*f));

	fill(f, a);
	f->m.textfile_at = textfile_at;
	metrics_render(&f->m, format == FORMAT_OPEN, sb);
	facts_done(f);
	free(f);
}

/* --- texts that clients share --- */

static void text_drop(void *arg)
{
	struct text *t = arg;

	if (--t->refs > 0)
		return;
	t->service->n_texts--;
	strbuf_done(&t->sb);
	free(t);
}

static void drop_newest(struct metrics_service *s, enum format format)
{
	if (s->newest[format])
		text_drop(TAKE_PTR(s->newest[format]));
}

/* Nobody reads it any more: it is not kept for the next one, who is given fresh figures. */
static void on_ageing(void *arg)
{
	struct metrics_service *s = arg;
	bool again = false;

	for (int format = 0; format < FORMAT_NR; format++) {
		struct text *t = s->newest[format];

		if (t && t->refs == 1 && clock_mono_ms() - t->made_ms >= TEXT_FRESH_MS)
			drop_newest(s, (enum format)format);
		again = again || s->newest[format];
	}
	if (again)
		timer_set(s->ageing, TEXT_FRESH_MS);
}

static struct text *text_for(struct metrics_service *s, enum format format)
{
	struct text *t = s->newest[format];

	if (t && (clock_mono_ms() - t->made_ms < TEXT_FRESH_MS || s->n_texts >= TEXTS_MAX))
		return t;
	t = xmalloc(sizeof(*t));
	t->service = s;
	t->refs = 1;
	t->sb = (struct strbuf)STRBUF_INIT(TEXT_MAX);
	t->made_ms = clock_mono_ms();
	s->n_texts++;
	render(s->app, format, 0, &t->sb);
	drop_newest(s, format);
	s->newest[format] = t;
	timer_set(s->ageing, TEXT_FRESH_MS);
	return t;
}

static void answer(const struct server_request *rq, struct server_reply *reply, void *arg)
{
	struct metrics_service *s = arg;
	enum format format = metrics_wants_openmetrics(rq->accept) ? FORMAT_OPEN : FORMAT_PLAIN;
	struct text *t;

	if (strcmp(rq->path, "/metrics") != 0) {
		reply->body = "not found: /metrics is what is here\n";
		return;
	}
	t = text_for(s, format);
	if (!strbuf_ok(&t->sb)) {
		*reply = (struct server_reply){ .status = 503, .body = "too many domains for one text\n" };
		return;
	}
	t->refs++;
	*reply = (struct server_reply){
		.status = 200,
		.content_type = metrics_content_type(format == FORMAT_OPEN),
		.body = strbuf_str(&t->sb),
		.body_len = t->sb.len,
		.release = text_drop,
		.release_arg = t,
	};
}

/* --- the file --- */

struct file_work {
	struct metrics_service *service;
	char *path;
	struct strbuf sb;
	int rc;
	struct err err;
};

static void file_work_free(void *arg)
{
	struct file_work *w = arg;

	strbuf_done(&w->sb);
	free(w->path);
	free(w);
}

static void file_run(void *arg)
{
	struct file_work *w = arg;
	_cleanup_free_ char *dir_text = xstrdup(w->path), *name_text = xstrdup(w->path);
	_cleanup_close_ int dir = open(dirname(dir_text), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		w->rc = err_set_errno(&w->err, -errno, "cannot open the folder of it");
	else
		w->rc = fs_replace(dir, basename(name_text), strbuf_str(&w->sb), w->sb.len, 0644, &w->err);
}

static void file_plan(struct metrics_service *s);

static void file_done(void *arg)
{
	struct file_work *w = arg;
	struct metrics_service *s = w->service;

	s->writing = NULL;
	if (w->rc < 0 && !s->file_failed)
		log_event(LOG_LEVEL_ERROR, &MSG_METRICS, NULL, "the metrics cannot be written to %s: %s",
			  w->path, w->err.text);
	else if (w->rc == 0 && s->file_failed)
		log_event(LOG_LEVEL_INFO, &MSG_METRICS, NULL, "the metrics are written to %s again", w->path);
	s->file_failed = w->rc < 0;
	file_work_free(w);
	file_plan(s);
}

static void file_write(void *arg)
{
	struct metrics_service *s = arg;
	const char *path = s->app->config->metrics.textfile;
	struct file_work *w;

	if (!path || s->writing || s->app->stopping)
		return;
	w = xmalloc(sizeof(*w));
	w->service = s;
	w->path = xstrdup(path);
	w->sb = (struct strbuf)STRBUF_INIT(TEXT_MAX);
	render(s->app, FORMAT_PLAIN, clock_now(), &w->sb);
	s->file_is_due = false;
	s->file_at_ms = clock_mono_ms();
	work_start(s->app->loop, file_run, file_done, w, &s->writing);
}

static void file_plan(struct metrics_service *s)
{
	int64_t pause_ms = s->file_is_due ? FILE_PAUSE_MS : FILE_BEAT_MS;
	int64_t in_ms = s->file_at_ms == 0 ? 0 : s->file_at_ms + pause_ms - clock_mono_ms();

	if (s->app->config->metrics.textfile && !s->writing)
		timer_set(s->file_timer, in_ms);
	else
		timer_clear(s->file_timer);
}

void metrics_changed(struct app *a)
{
	struct metrics_service *s = a->metrics;

	if (!s || s->file_is_due || a->stopping)
		return;
	s->file_is_due = true;
	file_plan(s);
}

/* --- life --- */

static void open_server(struct metrics_service *s, const char *listen)
{
	const struct server_options o = { .listen = listen, .clients_max = CLIENTS_MAX };
	struct err e = ERR_INIT;

	if (server_open(s->app->loop, &o, answer, s, &s->server, &e) < 0)
		log_event(LOG_LEVEL_ERROR, &MSG_METRICS, NULL, "there will be no metrics to read: %s",
			  e.text);
}

int metrics_open(struct app *a, struct err *reterr)
{
	struct metrics_service *s = xmalloc(sizeof(*s));

	(void)reterr;
	s->app = a;
	s->ageing = timer_new(a->loop, on_ageing, s);
	s->file_timer = timer_new(a->loop, file_write, s);
	if (a->config->metrics.listen)
		open_server(s, a->config->metrics.listen);
	a->metrics = s;
	file_plan(s);
	return 0;
}

void metrics_close(struct app *a)
{
	struct metrics_service *s = TAKE_PTR(a->metrics);

	if (!s)
		return;
	server_free(s->server); /* every client gives its text back */
	for (int format = 0; format < FORMAT_NR; format++)
		drop_newest(s, (enum format)format);
	if (s->writing)
		work_cancel(&s->writing, file_work_free);
	timer_free(s->ageing);
	timer_free(s->file_timer);
	free(s);
}
