/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the installed generation to one target after the other, in the order of the YAML, and looks daily whether it is still served. What
 * follows from success and failure is core/duty.c's. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "config/diff.h"
#include "daemon/deploy/assist.h"
#include "daemon/deploy/hook.h"

/* How many earlier certificates a served one is compared with. */
#define OLDER_MAX 3

/* Beyond the target's own time: connecting to the helper, its start, reading the YAML of thousands of domains. */
#define HELPER_MS 30000

struct deploy_run {
	struct domain *domain;
	char *target;	       /* its name */
	unsigned generation;   /* which one is brought there */
	struct config *config; /* keeps spec and its secrets alive */
	const struct cfg_deploy *spec;
	struct work *work; /* at most one of these is under way */
	struct scutum_call *push;
	struct verify_call *look;
	struct assist_call *help;
	struct hook_call *hook;
};

/* What a pool thread gets: copies. */
struct deploy_work {
	struct deploy_run *run;
	struct generation_dirs dirs;
	char *name;
	unsigned generation;
	struct secret *passphrase; /* scutum: the key is encrypted for the journey; NULL: not */
	unsigned n_older;	   /* how many older ones are wanted */
	/* result */
	struct generation_files files;
	char *older[OLDER_MAX + 1];
	int rc;
	struct err err;
};

static void run_free(struct deploy_run *r)
{
	config_unref(r->config);
	free(r->target);
	free(r);
}

static void work_free(struct deploy_work *w)
{
	generation_files_done(&w->files);
	for (unsigned i = 0; i < OLDER_MAX; i++)
		free(w->older[i]);
	secret_free(w->passphrase);
	free(w->name);
	free(w);
}

static void work_drop(void *arg)
{
	work_free(arg);
}

/* --- the end of a run --- */

static uint32_t find_deploy(const struct record *rec, const char *target)
{
	for (uint32_t i = 0; i < rec->n_deploys; i++) {
		if (strcmp(rec->deploys[i].target, target) == 0)
			return i;
	}
	return DUTY_NONE;
}

static const struct cfg_deploy *find_target(const struct domain *d, const char *target)
{
	for (uint32_t i = 0; i < d->spec->n_deploy; i++) {
		if (strcmp(d->spec->deploy[i].target, target) == 0)
			return &d->spec->deploy[i];
	}
	return NULL;
}

/* A reload may have dropped the target meanwhile, or given it another key or id, and a renewal may have made another
 * generation due: then what was brought there is not what is wanted, and the to-do stays. */
static bool is_wanted(const struct deploy_run *r, uint32_t i)
{
	const struct domain *d = r->domain;
	const struct cfg_deploy *now = find_target(d, r->target);

	return i != DUTY_NONE && d->rec->deploys[i].generation == r->generation && now &&
	       config_same_deploy(now, r->spec);
}

static void deployed(struct deploy_run *r, const struct outcome *o, bool is_old)
{
	struct domain *d = r->domain;
	struct job_update u = { 0 };
	struct job_env env;
	uint32_t i = find_deploy(d->rec, r->target);

	d->flight->deploying = NULL;
	runner_env(d, &env);
	if (is_wanted(r, i))
		duty_deploy_done(d->rec, i, &env, o, is_old, &u);
	run_free(r);
	runner_update(d, &u);
}

static void pushed(const struct outcome *o, void *owner)
{
	struct deploy_run *r = owner;

	r->push = NULL;
	deployed(r, o, false);
}

static void helped(const struct outcome *o, void *owner)
{
	struct deploy_run *r = owner;

	r->help = NULL;
	deployed(r, o, false);
}

static void hooked(const struct outcome *o, void *owner)
{
	struct deploy_run *r = owner;

	r->hook = NULL;
	deployed(r, o, false);
}

static void looked(const struct verify_result *res, void *owner)
{
	struct deploy_run *r = owner;

	r->look = NULL;
	deployed(r, &res->outcome, res->is_old);
}

/* --- what needs the files of the generation --- */

static int encrypt_key(struct deploy_work *w)
{
	_cleanup_(key_freep) struct key *key = NULL;
	char *encrypted = NULL;
	int rc = key_from_pem(w->files.key, strlen(w->files.key), &key, &w->err);

	if (rc == 0)
		rc = key_to_pem(key, secret_bytes(w->passphrase), &encrypted, &w->err);
	if (rc < 0)
		return rc;
	mem_wipe_free(w->files.key);
	w->files.key = encrypted;
	return 0;
}

/* The newest first, also those above the present one, which was rolled back to. One that is gone from the archive is not missed: what is
 * served cannot be compared with it, that is all. */
static void read_older(struct deploy_work *w)
{
	unsigned next = 1;
	unsigned n = 0;

	if (w->n_older == 0 || generation_next(&w->dirs, w->name, 1, &next, NULL) < 0)
		return;
	for (unsigned g = next - 1; g > 0 && n < w->n_older && next - g <= 2 * OLDER_MAX; g--) {
		if (g != w->generation && generation_chain(&w->dirs, w->name, g, &w->older[n], NULL) == 0)
			n++;
	}
}

static void read_run(void *arg)
{
	struct deploy_work *w = arg;

	w->rc = generation_read(&w->dirs, w->name, w->generation, &w->files, &w->err);
	if (w->rc == 0 && w->passphrase)
		w->rc = encrypt_key(w);
	if (w->rc == 0)
		read_older(w);
}

static void start_push(struct deploy_run *r, const struct deploy_work *w)
{
	struct scutum_push push = {
		.target = &r->spec->scutum,
		.cert = w->files.cert,
		.key = w->files.key,
		.chain = w->files.chain,
	};

	scutum_push_start(r->domain->app->scutum, &push, pushed, r, &r->push);
}

static void start_look(struct deploy_run *r, const struct deploy_work *w)
{
	uint32_t i = find_deploy(r->domain->rec, r->target);
	/* What was seen to be right once has settled. */
	bool settles = i == DUTY_NONE || r->domain->rec->deploys[i].state != DEPLOY_DONE;
	struct verify_ask ask = {
		.target = &r->spec->verify,
		.fullchain = w->files.fullchain,
		.older = (const char *const *)w->older,
		.settle_ms = settles ? r->spec->verify.settle * 1000 : 0,
	};

	verify_start(r->domain->app->verify, &ask, looked, r, &r->look);
}

static void read_done(void *arg)
{
	struct deploy_work *w = arg;
	struct deploy_run *r = w->run;

	r->work = NULL;
	if (w->rc < 0) {
		struct outcome o = OUTCOME_OK;

		(void)outcome_set(&o, FAULT_LOCAL, "local", "%s", w->err.text);
		deployed(r, &o, false);
	} else if (r->spec->type == CFG_DEPLOY_SCUTUM) {
		start_push(r, w);
	} else {
		start_look(r, w);
	}
	work_free(w);
}

static void start_read(struct deploy_run *r)
{
	const struct domain *d = r->domain;
	const struct secret *passphrase =
		r->spec->type == CFG_DEPLOY_SCUTUM ? r->spec->scutum.key_passphrase : NULL;
	struct deploy_work *w = xmalloc(sizeof(*w));

	w->run = r;
	w->dirs = d->app->dirs;
	w->name = xstrdup(d->rec->name);
	w->generation = r->generation;
	w->n_older = r->spec->type == CFG_DEPLOY_VERIFY ? OLDER_MAX : 0;
	if (passphrase)
		w->passphrase = secret_new(secret_bytes(passphrase), secret_len(passphrase));
	work_start(d->app->loop, read_run, read_done, w, &r->work);
}

/* --- what others do with them --- */

static void start_help(struct deploy_run *r)
{
	const struct domain *d = r->domain;
	int64_t own = r->spec->type == CFG_DEPLOY_RELOAD ? r->spec->reload.timeout * 1000 : 0;
	struct assist_ask ask = {
		.socket = d->config->helper_socket,
		.config_file = d->config->file,
		.state_dir = d->config->state_dir,
		.name = d->rec->name,
		.target = r->target,
		.generation = r->generation,
		.timeout_ms = own + HELPER_MS,
	};

	assist_start(d->app->loop, &ask, helped, r, &r->help);
}

static void start_hook(struct deploy_run *r)
{
	const struct domain *d = r->domain;
	_cleanup_free_ char *dir = xasprintf("%s/live/%s", d->config->state_dir, d->rec->name);
	struct hook_ask ask = {
		.target = &r->spec->exec,
		.name = d->rec->name,
		.names = d->rec->cert.names,
		.dir = dir,
		.serial = d->rec->cert.serial,
		.not_after = d->rec->cert.not_after,
	};

	hook_start(d->app->loop, &ask, hooked, r, &r->hook);
}

static void start(struct domain *d, uint32_t i)
{
	const struct record_deploy *item = &d->rec->deploys[i];
	const struct cfg_deploy *spec = find_target(d, item->target);
	struct deploy_run *r;

	if (!spec) /* duty_plan keeps both lists alike; nothing to do for a target that is gone */
		return;
	r = xmalloc(sizeof(*r));
	r->domain = d;
	r->target = xstrdup(item->target);
	r->generation = item->generation;
	r->config = config_ref(d->config);
	r->spec = spec;
	runner_flight(d)->deploying = r;
	switch (spec->type) {
	case CFG_DEPLOY_FILES:
	case CFG_DEPLOY_RELOAD: start_help(r); break;
	case CFG_DEPLOY_EXEC: start_hook(r); break;
	case CFG_DEPLOY_VERIFY:
	case CFG_DEPLOY_SCUTUM: start_read(r); break;
	case CFG_DEPLOY_NR: break;
	}
}

void deploying_start(struct domain *d)
{
	int64_t now = clock_now();
	uint32_t i;

	if (d->is_leaving || d->rec->n_deploys == 0 || (d->flight && d->flight->deploying))
		return;
	i = duty_deploy_due(d->rec, now);
	if (i == DUTY_NONE)
		i = duty_look_due(d->rec, d->config->certcentral.poll_interval, now);
	if (i != DUTY_NONE)
		start(d, i);
}

int64_t deploying_next_at(const struct domain *d)
{
	return MIN(duty_deploy_next_at(d->rec),
		   duty_look_next_at(d->rec, d->config->certcentral.poll_interval));
}

bool deploying_may_begin_anew(struct domain *d)
{
	const struct deploy_run *r = d->flight ? d->flight->deploying : NULL;

	if (r && r->spec->type != CFG_DEPLOY_VERIFY)
		return false;
	if (r)
		deploying_cancel(d);
	return true;
}

void deploying_cancel(struct domain *d)
{
	struct deploy_run *r = TAKE_PTR(d->flight->deploying);

	if (!r)
		return;
	scutum_cancel(&r->push);
	verify_cancel(&r->look);
	assist_cancel(&r->help);
	hook_cancel(&r->hook);
	if (r->work)
		work_cancel(&r->work, work_drop);
	run_free(r);
}
