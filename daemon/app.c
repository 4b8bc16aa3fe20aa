/* SPDX-License-Identifier: Apache-2.0 */
/* The composition root: brings the parts up in order, runs the loop, takes them down in reverse. Read
 * bring_up() as the map of the program. */
#include "daemon/app.h"
#include "daemon/authkey.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "config/load.h"
#include "daemon/io/blame.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"
#include "daemon/notices.h"
#include "daemon/ops/journal.h"
#include "daemon/ops/machine.h"
#include "daemon/ops/notify.h"
#include "daemon/store/home.h"
#include "daemon/stuck.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sysexits.h>

/* systemd gives 5 s (docs/STATE-MACHINE.md); what a pool thread cannot finish by then is not waited for. */
#define STOP_MS	  3000
#define STATUS_MS 1000

void app_die_of_disk(const char *what)
{
	blame_stop();
	log_event(LOG_LEVEL_ERROR, &MSG_STATE_WRITE, NULL,
		  "the disk refused to keep what was written (%s): stopping, the next start reads from disk "
		  "again",
		  what);
	_exit(EX_IOERR);
}

struct shared_trust *trust_get(struct app *a)
{
	a->trust->refs++;
	return a->trust;
}

void trust_put(struct shared_trust *t)
{
	if (!t || --t->refs > 0)
		return;
	trust_free(t->trust);
	free(t);
}

void app_set_log(const struct config *c)
{
	log_set_level(c->log_level);
	switch (c->log_format) {
	case CFG_LOG_AUTO: log_set_sink(journal_is_stderr() ? journal_sink : log_sink_text, NULL); break;
	case CFG_LOG_JOURNAL: log_set_sink(journal_sink, NULL); break;
	case CFG_LOG_TEXT: log_set_sink(log_sink_text, NULL); break;
	case CFG_LOG_JSON: log_set_sink(log_sink_json, NULL); break;
	}
}

/* --- telling systemd --- */

void app_tell_status(struct app *a, bool ready)
{
	char line[400];

	status_line(a, line, sizeof(line));
	if (ready)
		notify_ready(line);
	else
		notify_status(line);
}

static void status_due(void *arg)
{
	struct app *a = arg;

	a->status_is_due = false;
	if (!a->stopping)
		app_tell_status(a, false);
}

void app_state_changed(struct app *a)
{
	notices_look_soon(a);
	if (a->status_is_due || !a->is_up || a->stopping)
		return;
	a->status_is_due = true;
	timer_set(a->status_timer, STATUS_MS);
}

static void feed_watchdog(void *arg)
{
	struct app *a = arg;

	if (!a->stopping)
		notify_watchdog();
}

static void watchdog_starves(const char *who, int64_t busy_ms, void *arg)
{
	struct log_ctx name = { NULL, "DVCERT_NAME", who };
	struct app *a = arg;

	if (!a->stopping)
		log_event(LOG_LEVEL_ERROR, &MSG_HUNG, &name,
			  "worker threads hang (the longest for %lld s): the watchdog will end this process, "
			  "and "
			  "systemd start the next",
			  (long long)(busy_ms / 1000));
}

static void start_watchdog(struct app *a)
{
	static const struct watchdog_calls CALLS = { .ping = feed_watchdog, .hung = watchdog_starves };
	int64_t ms = notify_watchdog_ms();

	if (ms > 0)
		a->watchdog = watchdog_new(a->loop, MAX(ms * 2 / 3, 1), &CALLS, a);
}

static void agenda_due(void *arg)
{
	runner_tick(arg);
}

static void on_signal(int signum, void *arg)
{
	struct app *a = arg;

	if (signum == SIGHUP) {
		reconfigure(a, NULL);
		return;
	}
	if (a->stopping)
		return;
	a->stopping = true;
	blame_stop();
	notify_stopping("stopping");
	log_event(LOG_LEVEL_INFO, &MSG_STOPPING, NULL, "stopping on signal %d", signum);
	loop_stop(a->loop);
}

/* --- up --- */

static int load_trust(struct app *a, struct err *reterr)
{
	a->trust = xmalloc(sizeof(*a->trust));
	a->trust->refs = 1;
	return trust_new(a->config->certcentral.ca_file, &a->trust->trust, reterr);
}

static int open_store(struct app *a, struct err *reterr)
{
	char machine[MACHINE_ID_LEN + 1];
	struct err e = ERR_INIT;
	int rc = store_open(a->config->state_dir, &a->store, &e);

	if (rc == FS_ESYNC)
		app_die_of_disk(e.text);
	if (rc < 0) {
		*reterr = e;
		return rc;
	}
	a->dirs = (struct generation_dirs){ store_archive_fd(a->store), store_live_fd(a->store) };
	if (home_look(a->store, machine_id(machine) == 0 ? machine : NULL, &a->warnings) == FS_ESYNC)
		app_die_of_disk("fsync of a new file in state/");
	for (size_t i = 0; i < a->warnings.n; i++)
		log_event(LOG_LEVEL_WARNING, &MSG_MACHINE, NULL, "%s", a->warnings.list[i]);
	return 0;
}

static int open_responder(struct app *a, struct err *reterr)
{
	if (!a->config->responder_listen)
		return 0;
	return responder_new(a->loop, a->config->responder_listen, &a->responder, reterr);
}

static int open_control(struct app *a, struct err *reterr)
{
	return control_new(a->loop, a->config->control_socket, VERBS, N_VERBS, verbs_request_gone, a,
			   &a->control, reterr);
}

/* Its default is to end the process, and whoever edits the configuration while we start means something else: it waits until there is
 * somebody who reads it again. */
static void hold_hangup(int how)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(how, &set, NULL);
}

static int watch_signals(struct app *a, struct err *reterr)
{
	static const int SIGNALS[] = { SIGHUP, SIGTERM, SIGINT };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(SIGNALS); i++)
		rc = loop_on_signal(a->loop, SIGNALS[i], on_signal, a, reterr);
	if (rc == 0)
		hold_hangup(SIG_UNBLOCK);
	return rc;
}

static int new_cc(struct app *a, struct err *reterr)
{
	int rc = cc_new(a->loop, a->config, &a->cc, reterr);

	if (rc == 0)
		cc_keep_rates(a->cc, store_state_fd(a->store));
	return rc;
}

static int new_scutum(struct app *a, struct err *reterr)
{
	return scutum_new(a->loop, a->config, &a->scutum, reterr);
}

static int new_verify(struct app *a, struct err *reterr)
{
	return verify_new(a->loop, &a->verify, reterr);
}

static int new_preflight(struct app *a, struct err *reterr)
{
	return preflight_new(a->loop, &a->preflight, reterr);
}

static int new_dns(struct app *a, struct err *reterr)
{
	a->records = records_new(a->loop);
	return dnslook_new(a->loop, &a->dnslook, reterr);
}

static int new_revoked(struct app *a, struct err *reterr)
{
	return revoked_new(a->loop, a->config, &a->revoked, reterr);
}

static int new_loop(struct app *a, struct err *reterr)
{
	int rc = loop_new(&a->loop, reterr);

	if (rc < 0)
		return rc;
	a->timer = timer_new(a->loop, agenda_due, a);
	a->status_timer = timer_new(a->loop, status_due, a);
	a->budget = budget_new((uint32_t)a->config->certcentral.max_orders_per_day);
	return 0;
}

struct step {
	const char *what;
	int (*up)(struct app *a, struct err *reterr);
};

/* The state folder's lock comes first: two daemons never get further than that. */
static const struct step STEPS[] = {
	{ "state folder", open_store },
	{ "event loop", new_loop },
	{ "signals", watch_signals },
	{ "trust store", load_trust },
	{ "CertCentral", new_cc },
	{ "Scutum", new_scutum },
	{ "TLS look", new_verify },
	{ "preflight", new_preflight },
	{ "DNS", new_dns },
	{ "OCSP", new_revoked },
	{ "responder", open_responder },
	{ "records", load_domains },
	{ "control socket", open_control },
	{ "metrics", metrics_open },
	{ "notices", notices_open },
};

/* What the service manager and scripts are told (sysexits.h). */
static int exit_code_of(int rc)
{
	if (rc == -EPERM || rc == -EACCES)
		return EX_NOPERM;
	return rc == -EBUSY || rc == -EADDRINUSE ? EX_TEMPFAIL : EXIT_FAILURE;
}

static int bring_up(struct app *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
		struct err e = ERR_INIT;
		int rc = STEPS[i].up(a, &e);

		if (rc == 0)
			continue;
		log_event(LOG_LEVEL_ERROR, &MSG_START_FAILED, NULL, "cannot start: %s: %s", STEPS[i].what,
			  e.text);
		return exit_code_of(rc);
	}
	a->is_up = true;
	for (size_t i = 0; i < a->n_domains; i++)
		runner_admit(a->domains[i]);
	runner_tick(a);
	stuck_start(a);
	mem_trim();
	log_event(LOG_LEVEL_INFO, &MSG_STARTED, NULL, "dvcertd %s: %zu domains", DVCERT_VERSION,
		  a->n_domains);
	app_tell_status(a, true);
	start_watchdog(a);
	return 0;
}

/* --- down --- */

static void stop_domain(struct domain *d)
{
	if (!d->flight)
		return;
	operation_cancel(d);
	deploying_cancel(d);
	cleaning_cancel(d);
	revoking_cancel(d);
	watching_cancel(d);
}

/* Before the parts that they use are given back. */
static void stop_domains(struct app *a)
{
	struct domain *d;

	for (size_t i = 0; i < a->n_domains; i++)
		stop_domain(a->domains[i]);
	TAILQ_FOREACH(d, &a->leaving, leaving)
	{
		stop_domain(d);
	}
}

static void free_domains(struct app *a)
{
	struct domain *d;

	for (size_t i = 0; i < a->n_domains; i++)
		domain_free(a->domains[i]);
	free(a->domains);
	a->domains = NULL;
	a->n_domains = 0;
	while ((d = TAILQ_FIRST(&a->leaving))) {
		TAILQ_REMOVE(&a->leaving, d, leaving);
		domain_free(d);
	}
	agenda_done(&a->agenda);
	agenda_done(&a->ready);
}

static void stop_talking(struct app *a)
{
	verbs_done(a);
	control_free(TAKE_PTR(a->control));
	metrics_close(a);
	notices_close(a);
	stuck_stop(a);
	if (a->cc)
		poller_stop(a);
	stop_domains(a);
	cc_free(TAKE_PTR(a->cc));
	scutum_free(TAKE_PTR(a->scutum));
	verify_free(TAKE_PTR(a->verify));
	preflight_free(TAKE_PTR(a->preflight));
	records_free(TAKE_PTR(a->records));
	dnslook_free(TAKE_PTR(a->dnslook));
	revoked_free(TAKE_PTR(a->revoked));
	/* It listens: as long as it is there, the loop has something to wait for. */
	responder_free(TAKE_PTR(a->responder));
}

/* Records that are being written get written, the ones that wait for it too; then everything is given back. */
static void take_down(struct app *a)
{
	unsigned left = 0;

	a->stopping = true;
	blame_stop();
	stop_talking(a);
	if (a->loop) {
		timer_free(a->poller.timer);
		timer_free(a->timer);
		timer_free(a->status_timer);
		watchdog_free(TAKE_PTR(a->watchdog));
		a->timer = a->status_timer = a->poller.timer = NULL;
		(void)loop_drain(a->loop, STOP_MS);
	}
	runner_flush(a);
	free_domains(a);
	if (a->loop)
		left = loop_drain(a->loop, STOP_MS / 6);
	authkey_free(a);
	/* A pool thread that hangs on a disk or a huge key is not waited for: everything is on disk. */
	if (left > 0)
		_exit(a->exit_code);
	loop_free(a->loop);
	blame_close();
	words_done(&a->warnings);
	free(a->config_problem);
	trust_put(a->trust);
	budget_free(a->budget);
	store_close(a->store);
	config_unref(a->config);
}

static int print_report(const char *file, const struct config_report *r)
{
	for (size_t i = 0; i < r->n_problems; i++)
		fprintf(stderr, "%s\n", r->problems[i].text);
	if (r->truncated)
		fprintf(stderr, "%s: more problems are not shown\n", file);
	return EX_CONFIG;
}

int app_check(const char *config_file)
{
	_cleanup_(config_unrefp) struct config *c = NULL;
	struct config_report report = { 0 };
	int rc = 0;

	if (config_load(config_file, &c, &report) < 0)
		rc = print_report(config_file, &report);
	else
		printf("%s: ok, %zu domains\n", config_file, c->n_domains);
	config_report_done(&report);
	return rc;
}

int app_run(const char *config_file)
{
	struct app a = { .config_file = config_file };
	struct config_report report = { 0 };

	hold_hangup(SIG_BLOCK);
	TAILQ_INIT(&a.leaving);
	/* No core file and no ptrace by others of our user: private keys pass through this memory. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (config_load(config_file, &a.config, &report) < 0) {
		a.exit_code = print_report(config_file, &report);
		config_report_done(&report);
		return a.exit_code;
	}
	config_report_done(&report);
	app_set_log(a.config);
	a.started_at = a.config_loaded_at = clock_now();
	a.exit_code = bring_up(&a);
	if (a.exit_code == 0)
		loop_run(a.loop);
	take_down(&a);
	return a.exit_code;
}
