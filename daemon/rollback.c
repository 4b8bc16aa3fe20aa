/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl rollback`: the link first, on a pool thread, once the older pair was read and found whole; then the record and the targets. After
 * a crash between both the link leads to the older one, which is shown, and the same command finishes it. */
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/core/rollback.h"
#include "daemon/mending.h"
#include "daemon/messages.h"

#include <errno.h>
#include <sysexits.h>

struct rollback {
	struct waiter w;
	char *name;
	struct work *work;
};

struct rollback_work {
	struct rollback *rollback;
	struct generation_dirs dirs;
	char *name;
	unsigned generation;
	int rc;
	struct err err;
};

static void rollback_free(struct rollback *r)
{
	free(r->name);
	free(r);
}

static void work_free(struct rollback_work *w)
{
	free(w->name);
	free(w);
}

static void work_drop(void *arg)
{
	work_free(arg);
}

static int check_pair(struct rollback_work *w)
{
	struct generation_files files = { 0 };
	_cleanup_(key_freep) struct key *key = NULL;
	int rc = generation_read(&w->dirs, w->name, w->generation, &files, &w->err);

	if (rc == 0)
		rc = key_from_pem(files.key, strlen(files.key), &key, &w->err);
	if (rc == 0 && !cert_belongs(files.cert, strlen(files.cert), key))
		rc = err_set(&w->err, -EBADMSG,
			     "key and certificate of generation %04u do not belong together", w->generation);
	generation_files_done(&files);
	return rc;
}

static void switch_run(void *arg)
{
	struct rollback_work *w = arg;

	w->rc = check_pair(w);
	if (w->rc == 0)
		w->rc = generation_relink(&w->dirs, w->name, w->generation, &w->err);
}

static struct json *answer_of(const struct domain *d)
{
	struct json *o = json_new_obj();

	json_set_str(o, "name", d->rec->name);
	json_set_i64(o, "generation", d->rec->cert.generation);
	json_set_i64(o, "left", d->rec->previous->generation);
	json_set_time(o, "not_after", d->rec->cert.not_after);
	json_set_time(o, "rest_until", d->rec->rest_until);
	return o;
}

/* The link is switched: whatever happened meanwhile, the record follows it. */
static void follow(struct domain *d)
{
	struct job_update u = { .persist = true };

	rollback_apply(d->rec, clock_now());
	(void)duty_plan(d->rec, d->spec, true);
	mending_forget(d);
	runner_log(d, LOG_LEVEL_WARNING, &MSG_ROLLED_BACK, "generation %04u is live again instead of %04u",
		   d->rec->cert.generation, d->rec->previous->generation);
	runner_update(d, &u);
}

static void switched(void *arg)
{
	struct rollback_work *w = arg;
	struct rollback *r = w->rollback;
	struct domain *d = domain_find(r->w.app, r->name);

	r->work = NULL;
	if (w->rc == FS_ESYNC)
		app_die_of_disk(w->err.text);
	if (w->rc < 0) {
		waiter_refuse(&r->w, EXIT_FAILURE, "%s: %s", r->name, w->err.text);
	} else if (!d || !d->rec->previous || d->rec->previous->generation != w->generation) {
		waiter_refuse(&r->w, EX_TEMPFAIL, "%s: it has changed meanwhile, try again", r->name);
	} else {
		follow(d);
		waiter_answer(&r->w, answer_of(d));
	}
	work_free(w);
	rollback_free(r);
}

/* With or without its peer, what has begun is finished: only the end of the program stops it. */
static void gone(struct waiter *w, bool stopping)
{
	struct rollback *r = container_of(w, struct rollback, w);

	w->rq = NULL;
	if (!stopping)
		return;
	work_cancel(&r->work, work_drop);
	waiter_end(w);
	rollback_free(r);
}

void verb_rollback(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = gone };
	struct domain *d = verbs_one_to_change(arg, rq);
	struct err err = ERR_INIT;
	struct rollback_work *w;
	struct rollback *r;

	if (!d)
		return;
	if (rollback_check(d->rec, clock_now(), &err) < 0) {
		control_refuse(rq, EXIT_FAILURE, "%s: %s", d->rec->name, err.text);
		return;
	}
	if (!deploying_may_begin_anew(d)) {
		control_refuse(rq, EX_TEMPFAIL, "%s: a deployment is under way, try again", d->rec->name);
		return;
	}
	r = xmalloc(sizeof(*r));
	w = xmalloc(sizeof(*w));
	r->name = xstrdup(d->rec->name);
	w->rollback = r;
	w->dirs = d->app->dirs;
	w->name = xstrdup(d->rec->name);
	w->generation = d->rec->previous->generation;
	waiter_begin(&r->w, d->app, rq, &KIND);
	work_start(d->app->loop, switch_run, switched, w, &r->work);
}
