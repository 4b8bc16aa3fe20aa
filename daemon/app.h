/* SPDX-License-Identifier: Apache-2.0 */
/* The running program: everything hangs off one struct app, there are no globals. The files beside
 * this one share it:
 *   app.c          brings the parts up in order and takes them down in reverse: the map of the program
 *   runner.c       step -> persist -> start: the only place where decisions meet I/O
 *   domain.c       a domain comes and goes
 *   operations.c   the operations of a job and what their answers mean as events
 *   locals.c       those of them that block, on pool threads: keys, chains, webroots, generations
 *   places.c       what stands in public for a job: the responder, the turn in a webroot
 *   upkeep.c       what concerns all domains at once: the day's orders, a clock that was set
 *   dnsproof.c     what an order needs in DNS
 *   authkey.c      the account's AuthKey, for request tokens
 *   deploying.c    bringing a certificate to its targets, and seeing it served
 *   rollback.c     back to the generation before
 *   cleaning.c     taking proofs away again
 *   revoking.c     revocations on command
 *   watching.c     what others do to our certificates
 *   mending.c      the files of an installed certificate, and what was lost of them
 *   poller.c       the one status-changes poll for the account
 *   load.c         records from disk at the start
 *   crashes.c      a domain that the process died of again and again is set aside
 *   reconfigure.c  a reload
 *   leaving.c      the way out of a removed domain
 *   status.c       what a domain looks like from outside
 *   metrics.c      the same for a monitoring system, on a socket and in a file
 *   stuck.c        whether something does not go on that should
 *   notices.c      a program is told when a person should look
 *   verbs.c        what dvcertctl can ask for; verbs_*.c, duplicate.c, plan.c and doctor*.c are its longer verbs */
#pragma once

#include "common/log.h"
#include "common/words.h"
#include "config/model.h"
#include "daemon/certcentral/client.h"
#include "daemon/core/agenda.h"
#include "daemon/core/budget.h"
#include "daemon/core/decide.h"
#include "daemon/core/duty.h"
#include "daemon/core/job.h"
#include "daemon/core/outside.h"
#include "daemon/core/record.h"
#include "daemon/core/stuck.h"
#include "daemon/core/turns.h"
#include "daemon/dcv/dnslook.h"
#include "daemon/dcv/preflight.h"
#include "daemon/dcv/records.h"
#include "daemon/dcv/responder.h"
#include "daemon/deploy/generation.h"
#include "daemon/deploy/scutum.h"
#include "daemon/deploy/verify.h"
#include "daemon/io/loop.h"
#include "daemon/io/work.h"
#include "daemon/ops/control.h"
#include "daemon/ops/watchdog.h"
#include "daemon/pki/chain.h"
#include "daemon/store/store.h"
#include "daemon/watch/revoked.h"

#include <sys/queue.h>

/* As `dvcertctl status` names them. */
enum domain_state {
	STATE_NEW,
	STATE_PENDING,
	STATE_RETRYING,
	STATE_DEPLOYING,
	STATE_VALID,
	STATE_FAILED,
	STATE_NR
};
const char *domain_state_name(enum domain_state s);

struct app;
struct operation;  /* a job's operation under way: operations.c */
struct deploy_run; /* a deployment under way: deploying.c */
struct cleaning;   /* the same: cleaning.c */
struct revoking;   /* the same: revoking.c */
struct watching;   /* the same: watching.c */
struct authkeys;   /* authkey.c */

STAILQ_HEAD(history_list, history_line);

/* A line for the history of a domain, not yet on disk. */
struct history_line {
	STAILQ_ENTRY(history_line) link;
	int64_t at;
	const char *event; /* static */
	char text[];
};

/* What a domain needs only while something is going on; ten thousand idle domains have none. */
struct flight {
	struct operation *operation; /* the job's operation, at most one */
	struct deploy_run *deploying;
	struct cleaning *cleaning;
	struct revoking *revoking;
	struct watching *watching;
	struct work *saving;	/* the record is being written */
	bool dirty;		/* ... and has changed since */
	unsigned save_failures; /* in a row */
	char *save_error;
	enum job_op start_next; /* waits for the record to be written */
	struct chain *chain;	/* checked, ready to be installed */
	char *answer;		/* PEM that came with the answer to an order: no download is needed */
	struct history_list history;
};

/* A random value that the responder serves for a job. */
struct served {
	char *token;
	char *names;
};

struct domain {
	struct agenda_node due;	  /* in app->agenda: when to look at it again */
	struct agenda_node ready; /* in app->ready: wants to start, most urgent first */
	struct app *app;
	struct config *config; /* the snapshot that spec belongs to */
	const struct cfg_domain *spec;
	struct record *rec;
	struct flight *flight;
	struct served *served; /* NULL: nothing */
	struct turn turn;      /* in its webroot: locks.c */
	void (*turn_comes)(struct domain *d);
	int64_t save_retry_at;
	int64_t watch_at;	  /* when to ask whether the certificate was revoked; 0: not planned yet */
	int64_t watch_order_at;	  /* ask order info as well: status-changes named the order; 0: no need */
	int64_t told_revoked_at;  /* by its issuer, before its order was asked about; 0: not */
	unsigned told_generation; /* ... of this one */
	char *damage;	    /* what is wrong with the installed files; NULL: nothing known (mending.c) */
	int64_t damaged_at; /* ... first seen; 0: nothing is lost */
	struct stuck stuck; /* stuck.c */
	int64_t stuck_at;   /* ... since; 0: it is not */
	uint32_t progress;  /* counts up with everything that happens */
	uint8_t state;	    /* enum domain_state, as counted in app->counts */
	bool counted;
	bool is_pending;   /* counted in app->n_pending */
	bool is_installed; /* counted in app->n_installed */
	bool is_running;   /* counted in app->n_running */
	bool is_reserving; /* counted in app->n_reserved */
	bool is_leaving;   /* no longer in the YAML: goes when no paid answer and no write is awaited */
	bool is_going;	   /* ... and its end is on the way */
	bool is_fresh;	   /* new in a reload, not admitted yet */
	bool spec_changed; /* by the reload under way */
	bool redeploys;	   /* the same: a target is another place now */
	TAILQ_ENTRY(domain) leaving;
};

/* Trust anchors shared with pool threads. */
struct shared_trust {
	struct trust *trust;
	unsigned refs;
};

struct poller {
	struct timer *timer;
	struct cc_call *call;
	int64_t since;	       /* the last moment that a good poll covered; 0: none */
	int64_t since_mono_ms; /* the same on the monotonic clock */
	int64_t asked_at, asked_mono_ms;
	int64_t good_at; /* the last answer; 0: none since the start */
	int64_t due_ms;	 /* monotonic */
	unsigned failures;
};

TAILQ_HEAD(domain_list, domain);

struct app {
	const char *config_file;
	struct config *config;
	struct loop *loop;
	struct store *store;
	struct generation_dirs dirs;
	struct shared_trust *trust;
	struct cc *cc;
	struct scutum *scutum;
	struct verify *verify;
	struct preflight *preflight;
	struct dnslook *dnslook;
	struct records *records;
	struct revoked *revoked;
	struct authkeys *authkeys;   /* NULL: never asked for */
	struct responder *responder; /* NULL: not configured */
	struct control *control;
	struct metrics_service *metrics; /* NULL: not up yet */
	struct notices_service *notices; /* the same */
	struct budget *budget;
	uint64_t n_orders_placed; /* paid orders since the start */
	struct timer *stuck_timer;
	unsigned n_stuck; /* domains */
	uint64_t stuck_total;
	int64_t budget_told_until; /* the last day's limit that was logged */
	int64_t alarmed_ms; /* when all domains were last told to ask whether they are revoked (watching.c); 0: never */
	int64_t last_wall_at; /* both clocks at the last look: to see that one was set */
	int64_t last_mono_ms;
	struct domain **domains; /* sorted by name */
	size_t n_domains;
	struct agenda agenda;
	struct agenda ready;
	struct timer *timer;	   /* for the agenda */
	int64_t armed_ms;	   /* when it fires, on the monotonic clock; 0: it is not armed */
	struct watchdog *watchdog; /* NULL: the service manager has none */
	struct timer *status_timer;
	bool status_is_due;
	struct domain_list leaving; /* removed from the YAML, an answer is still awaited */
	struct poller poller;
	struct turns turns; /* in webroots; locks.c */
	unsigned counts[STATE_NR];
	unsigned n_pending;   /* orders that the CA works on */
	unsigned n_installed; /* domains with a certificate */
	unsigned n_running;   /* jobs with an operation under way */
	unsigned n_reserved;  /* jobs that will post an order */
	unsigned n_flights;
	struct words crashed;  /* while records are read: who is to be set aside (crashes.c) */
	struct words warnings; /* about the machine and its disk, as found at the start */
	int64_t started_at;
	int64_t config_loaded_at;
	int64_t config_refused_at; /* what is on disk now was refused; 0: it is in force */
	char *config_problem;	   /* ... for this and perhaps for more */
	struct waiter *waiters;
	struct control_request *reload_request; /* answered when the reload under way is done */
	struct control_request *reload_next;	/* ... when the one after that is done */
	bool reloading;
	bool reload_again;
	bool key_is_stopped; /* told: CertCentral does not accept the API key */
	bool is_up;
	bool stopping;
	int exit_code;
};

/* --- app.c --- */
/* Runs until SIGTERM; the exit code of the process. */
int app_run(const char *config_file);
/* `dvcertd --check`: prints what is wrong; 0 or 78. */
int app_check(const char *config_file);
void app_set_log(const struct config *c);
/* The STATUS line for systemd; ready: with READY=1. */
void app_tell_status(struct app *a, bool ready);
/* A state word changed: the STATUS line follows soon. */
void app_state_changed(struct app *a);
/* The disk can no longer be trusted (fsync failed): stop at once, read everything again at the next start. */
_noreturn_ void app_die_of_disk(const char *what);
struct shared_trust *trust_get(struct app *a);
void trust_put(struct shared_trust *t);

/* --- runner.c --- */
/* Feeds an event through job_step and carries the update out. */
void runner_event(struct domain *d, const struct job_event *ev);
/* The same for an update of a duty. */
void runner_update(struct domain *d, struct job_update *u);
/* Looks at a domain: starts what is due, sets when to look again. */
void runner_look(struct domain *d);
/* A domain enters (start, reload) or leaves: recovers what was under way. */
void runner_admit(struct domain *d);
/* When something should happen to d, by its record; 0: at once; DUE_NEVER: nothing, or others have to go first. */
int64_t runner_expected_at(const struct domain *d);
/* Counts and tells the state of d, after something that it depends on changed outside its record. */
void runner_refresh(struct domain *d);
/* Looks at everything that is due; arms the timer. */
void runner_tick(struct app *a);
/* Fills the environment of a step, and what a decision looks at. */
void runner_env(const struct domain *d, struct job_env *env);
void runner_view(const struct domain *d, struct view *ret);
/* Who goes first where only some can: decide_urgency(). */
int64_t runner_urgency(const struct domain *d);
/* Begins an issuance; nothing when one is under way. */
void runner_begin(struct domain *d, enum want want, bool new_key);
void runner_log(const struct domain *d, enum log_level level, const struct log_msgid *id, const char *fmt,
		...) _printf_(4, 5);
/* Writes what is dirty, on this thread: for the way out. */
void runner_flush(struct app *a);

/* Counts d in the app: what state it is in, and whether it is pending at the CA, running, and has a claim on the day's orders. */
void runner_recount(struct domain *d, enum domain_state state, bool pending, bool running, bool reserving);

/* --- domain.c --- */
struct domain *domain_find(const struct app *a, const char *name);
/* Takes rec. */
struct domain *domain_new(struct app *a, struct config *c, const struct cfg_domain *spec, struct record *rec);
/* Cancels what is under way and frees. */
void domain_free(struct domain *d);
/* What d needs while something is going on, made when it is not there; flight_settle() frees it when nothing is. */
struct flight *runner_flight(struct domain *d);
void flight_settle(struct domain *d);

/* --- leaving.c: nothing happens unless d->is_leaving --- */
/* Ends what can be ended. */
void leaving_let_go(struct domain *d);
/* Forgets it, when nothing is left to be done. */
void leaving_end(struct domain *d);

/* Sets when d is to be looked at again. */
void runner_set_due(struct domain *d);

/* --- upkeep.c --- */
/* Shows it on d, and tells it once for all. */
void upkeep_budget_is_spent(struct domain *d, int64_t until);
/* The post of that time was surely not taken. */
void upkeep_budget_refund(struct app *a, int64_t at);
/* A place in the day's orders may be free again: those who wait for tomorrow are looked at now. */
void upkeep_place_is_free(struct app *a);
bool upkeep_waits_for_budget(const struct domain *d);
/* Pauses that a clock far ahead has begun end now. */
void upkeep_end_far_pauses(struct domain *d);
/* The same for all, when the wall clock was set back. */
void upkeep_clock(struct app *a);

/* --- operations.c --- */
void operation_start(struct domain *d, enum job_op op);
/* Silence; a paid post that has left may still take effect. */
void operation_cancel(struct domain *d);
enum job_op operation_kind(const struct operation *o);
/* Is a pool thread at it? It cannot be stopped then. */
bool operation_is_local(const struct operation *o);

/* --- deploying.c --- */
void deploying_start(struct domain *d);
void deploying_cancel(struct domain *d);
/* A look at what is served is broken off: what follows looks again. False: something is being changed, which is not. */
bool deploying_may_begin_anew(struct domain *d);
/* The next deployment or daily look. */
int64_t deploying_next_at(const struct domain *d);

/* --- cleaning.c --- */
void cleaning_start(struct domain *d);
void cleaning_cancel(struct domain *d);

/* --- places.c --- */
/* The responder serves the value of a job from the time it is known until the order is issued. */
void places_serve(struct domain *d);
void places_unserve(struct domain *d);
/* Somebody waits for our webroot while our own proof is not seen: the turn goes round. The pause goes on, the proof is put
 * up again after it. */
void places_yield(struct domain *d);
/* The webroot is free for the next order when no proof of ours is left there. */
void places_free(struct domain *d);

/* --- revoking.c --- */
void revoking_start(struct domain *d);
void revoking_cancel(struct domain *d);

/* --- watching.c --- */
void watching_start(struct domain *d);
void watching_cancel(struct domain *d);
/* Something about the files of d or about its order has to be found out at once. */
void watching_now(struct domain *d);
int64_t watching_next_at(const struct domain *d);
/* Since when the installed certificate is revoked, as far as anybody told; 0: it is not. */
int64_t watching_revoked_at(const struct domain *d);
/* status-changes named the order of the installed certificate: ask what became of it. */
void watching_hint(struct domain *d, const struct cc_entry *e);

/* --- locks.c: one order at a time per webroot --- */
/* True: d holds the lock now. False: d is in the queue; granted(d) is called when its turn comes,
 * from within somebody's lock_release: it may start work, not more. */
bool lock_take(struct domain *d, const char *webroot, void (*granted)(struct domain *d));
void lock_leave_queue(struct domain *d);
/* Lets the lock go (and leaves the queue); the next in line is served. Nothing when d holds none. */
void lock_release(struct domain *d);
/* Who holds the lock that d is queued for, or NULL. */
struct domain *lock_owner(const struct domain *d);

/* --- poller.c --- */
/* What a word of the CA means to the core. */
enum order_state order_state_of(enum cc_status s);
/* Starts the poll when orders are pending. */
void poller_sync(struct app *a);
/* How often it asks, in seconds; 0: there is nothing to ask for. */
int64_t poller_interval(const struct app *a);
/* Ends it until an order is pending again. */
void poller_stop(struct app *a);

/* --- load.c --- */
/* Reads all records and makes the domains; -errno only when the state folder itself cannot be read. */
int load_domains(struct app *a, struct err *reterr) _must_check_;
/* The record of one domain; never NULL: one that cannot be read becomes a held record that orders nothing. */
struct record *load_record(struct app *a, const struct cfg_domain *spec);
/* Is r held because there was no record, and what is installed could not be seen either? */
bool load_was_blind(const struct record *r);

/* --- reconfigure.c --- */
void reconfigure(struct app *a, struct control_request *rq);

/* --- status.c --- */
enum domain_state domain_state(const struct domain *d);
/* What is wrong with a domain, as its status shows it. Borrows from d and from itself: not to be copied. */
struct problem {
	const char *code, *message; /* message may be NULL */
	int64_t at;
	unsigned attempts;
	char text[1024];
};
/* False: nothing. */
bool status_problem(const struct domain *d, struct problem *ret);
/* What happens next ("none", "order", "deploy", a phase, ...) and when; 0: not planned. */
const char *status_next(const struct domain *d, int64_t *ret_at);
struct json *status_all(const struct app *a, struct control_request *rq);
struct json *status_show(const struct domain *d);
/* One line for sd_notify. */
void status_line(const struct app *a, char *buf, size_t len);

/* --- verbs.c --- */
extern const struct control_verb VERBS[];
extern const size_t N_VERBS;
void verbs_request_gone(struct control_request *rq, void *arg);
/* Answers the waiters for whom it is decided. */
void verbs_state_changed(struct app *a, const struct domain *d);
/* The revocation of d was answered; who asked for it hears of it. */
void verbs_revocation(struct domain *d, const struct outcome *o);
/* The same as verbs_state_changed() after a reload that removed some. */
void verbs_domains_removed(struct app *a);
void verbs_done(struct app *a);
