/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/mending.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/words.h"
#include "daemon/messages.h"

#include <errno.h>

#define CONFIRM 10 /* tempos */

enum damage {
	DAMAGE_NONE,
	DAMAGE_LINK,	   /* live/NAME is not ours: left alone */
	DAMAGE_FOREIGN,	   /* another pair that fits together: left alone */
	DAMAGE_UNREADABLE, /* permission, disk, not a plain file: left alone */
	DAMAGE_CERT,
	DAMAGE_KEY
};

/* What a pool thread gets: copies. */
struct mending_work {
	struct mending *mending;
	struct generation_dirs dirs;
	struct shared_trust *trust;
	char *name;
	char *serial;
	struct words names;
	unsigned generation;
	bool look_at_link;
	char *pem; /* downloaded: to be checked and put in place */
	/* result */
	enum damage damage;
	bool relinked;
	char *chain;
	int rc;
	struct err err;
};

struct mending {
	struct domain *domain;
	unsigned generation;
	mending_done_fn *done;
	void *owner;
	struct work *work;
	struct cc_call *call;
};

static void work_free(struct mending_work *w)
{
	trust_put(w->trust);
	free(w->name);
	free(w->serial);
	words_done(&w->names);
	free(w->pem);
	free(w->chain);
	free(w);
}

static void work_drop(void *arg)
{
	work_free(arg);
}

static struct mending_work *work_new(struct mending *m)
{
	const struct domain *d = m->domain;
	struct mending_work *w = xmalloc(sizeof(*w));

	w->mending = m;
	w->dirs = d->app->dirs;
	w->trust = trust_get(d->app);
	w->name = xstrdup(d->rec->name);
	w->serial = xstrdup(d->rec->cert.serial);
	w->generation = m->generation;
	/* An issuance may be about to switch it. */
	w->look_at_link = !d->rec->job;
	words_split(d->rec->cert.names, &w->names);
	return w;
}

/* --- in the pool --- */

/* Gone or broken is damage; what may be good and cannot be read is not touched. */
static enum damage damage_of(int rc, enum damage lost)
{
	return rc == -ENOENT || rc == -EBADMSG || rc == -EFBIG || rc == -EINVAL ? lost : DAMAGE_UNREADABLE;
}

static enum damage look_at_key(struct mending_work *w, struct key **ret)
{
	_cleanup_wipe_ char *pem = NULL;
	int rc = generation_key(&w->dirs, w->name, w->generation, &pem, &w->err);

	if (rc < 0)
		return damage_of(rc, DAMAGE_KEY);
	rc = key_from_pem(pem, strlen(pem), ret, &w->err);
	return rc < 0 ? DAMAGE_KEY : DAMAGE_NONE;
}

static bool is_ours(const char *pem, const char *serial, struct err *reterr)
{
	struct cert_info info = { 0 };
	bool same;

	if (cert_read(pem, strlen(pem), &info, reterr) < 0)
		return false;
	same = strcmp(info.serial, serial) == 0;
	cert_info_done(&info);
	if (!same)
		(void)err_set(reterr, -EBADMSG,
			      "it holds another certificate than the one that was installed");
	return same;
}

static enum damage look_at_cert(struct mending_work *w, const struct key *key)
{
	struct generation_files files = { 0 };
	enum damage damage = DAMAGE_NONE;
	int rc = generation_read(&w->dirs, w->name, w->generation, &files, &w->err);

	if (rc < 0)
		return damage_of(rc, DAMAGE_CERT);
	if (!is_ours(files.cert, w->serial, &w->err))
		damage = cert_belongs(files.cert, strlen(files.cert), key) ? DAMAGE_FOREIGN : DAMAGE_CERT;
	else if (!is_ours(files.fullchain, w->serial, &w->err))
		damage = DAMAGE_CERT;
	else if (!cert_belongs(files.cert, strlen(files.cert), key))
		damage = err_set(&w->err, -EBADMSG, "privkey.pem does not belong to cert.pem") < 0
				 ? DAMAGE_KEY
				 : DAMAGE_NONE;
	else
		w->chain = TAKE_PTR(files.fullchain);
	generation_files_done(&files);
	return damage;
}

static enum damage look_at_link(struct mending_work *w)
{
	unsigned live = 0;

	if (!w->look_at_link)
		return DAMAGE_NONE;
	w->rc = generation_live(&w->dirs, w->name, &live, &w->err);
	if (w->rc < 0)
		return DAMAGE_LINK;
	if (live == w->generation)
		return DAMAGE_NONE;
	if (live != 0) {
		(void)err_set(
			&w->err, -EBADMSG,
			"live/%s points to generation %04u, not to %04u, which was installed last: point "
			"it to ../archive/%s/%04u again, or run dvcertctl renew (or rollback, if that was "
			"meant)",
			w->name, live, w->generation, w->name, w->generation);
		return DAMAGE_LINK;
	}
	w->rc = generation_relink(&w->dirs, w->name, w->generation, &w->err);
	w->relinked = w->rc == 0;
	return w->rc < 0 ? DAMAGE_LINK : DAMAGE_NONE;
}

static void look_run(void *arg)
{
	struct mending_work *w = arg;
	_cleanup_(key_freep) struct key *key = NULL;

	w->damage = look_at_key(w, &key);
	if (w->damage == DAMAGE_NONE)
		w->damage = look_at_cert(w, key);
	if (w->damage == DAMAGE_NONE)
		w->damage = look_at_link(w);
}

static void mend_run(void *arg)
{
	struct mending_work *w = arg;
	_cleanup_(chain_freep) struct chain *chain = NULL;
	_cleanup_(key_freep) struct key *key = NULL;

	if (look_at_key(w, &key) != DAMAGE_NONE) {
		w->rc = -EBADMSG;
		return;
	}
	w->rc = chain_check(w->pem, strlen(w->pem), key, (const char *const *)w->names.list, w->names.n,
			    clock_now(), w->trust->trust, &chain, &w->err);
	if (w->rc == 0 && strcmp(chain->info.serial, w->serial) != 0)
		w->rc = err_set(&w->err, -EBADMSG, "CertCentral sent another certificate");
	if (w->rc == 0)
		w->rc = generation_mend(&w->dirs, w->name, w->generation, chain->cert, chain->chain,
					chain->fullchain, &w->err);
	if (w->rc == 0)
		w->chain = TAKE_PTR(chain->fullchain);
}

/* --- on the loop --- */

static void end(struct mending *m, const char *chain, bool again)
{
	mending_done_fn *done = m->done;
	void *owner = m->owner;

	free(m);
	done(chain, again, owner);
}

/* Tells it once, and shows it until it is mended. */
static void show(struct domain *d, const char *text)
{
	bool is_news = !d->damage || strcmp(d->damage, text) != 0;

	if (!is_news)
		return;
	runner_log(d, LOG_LEVEL_ERROR, &MSG_LINK, "%s", text);
	free(d->damage);
	d->damage = xstrdup(text);
}

static void show_err(struct domain *d, const struct err *e, const char *what_follows)
{
	_cleanup_free_ char *text = xasprintf("the installed files are damaged: %s%s", e->text, what_follows);

	show(d, text);
}

void mending_forget(struct domain *d)
{
	free(TAKE_PTR(d->damage));
	d->damaged_at = 0;
}

static void mended(void *arg)
{
	struct mending_work *w = arg;
	struct mending *m = w->mending;
	struct domain *d = m->domain;

	m->work = NULL;
	if (w->rc == FS_ESYNC)
		app_die_of_disk(w->err.text);
	if (w->rc == 0) {
		mending_forget(d);
		runner_log(d, LOG_LEVEL_WARNING, &MSG_MENDED,
			   "the files of generation %04u were downloaded again", m->generation);
	} else {
		show_err(d, &w->err, "; the certificate that was downloaded again cannot take its place");
	}
	end(m, w->chain, w->rc < 0);
	work_free(w);
}

static void downloaded(const struct cc_reply *r, void *owner)
{
	struct mending *m = owner;
	struct mending_work *w;

	m->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		runner_log(m->domain, LOG_LEVEL_WARNING, NULL,
			   "its certificate cannot be downloaded again: %s", r->outcome.message);
		end(m, NULL, true);
		return;
	}
	w = work_new(m);
	w->pem = xstrndup(r->pem, r->pem_len);
	work_start(m->domain->app->loop, mend_run, mended, w, &m->work);
}

/* Seen for long enough to be believed? */
static bool is_confirmed(struct domain *d)
{
	int64_t now = clock_now();

	if (d->damaged_at == 0 || d->damaged_at > now)
		d->damaged_at = now;
	return now - d->damaged_at >= CONFIRM * d->config->certcentral.poll_interval;
}

static void lost_cert(struct mending *m, const struct err *e)
{
	struct domain *d = m->domain;

	if (d->rec->cert.certificate_id == 0) {
		show_err(d, e, "; which certificate it was is not known: dvcertctl renew");
		end(m, NULL, true);
		return;
	}
	show_err(d, e, "; the certificate is going to be downloaded again");
	if (is_confirmed(d))
		cc_download(d->app->cc, d->rec->cert.certificate_id, d->rec->cert.not_after, downloaded, m,
			    &m->call);
	else
		end(m, NULL, true);
}

static void lost_key(struct mending *m, const struct err *e)
{
	struct domain *d = m->domain;
	struct job_update u = { .persist = true };
	struct view v;

	runner_view(d, &v);
	show_err(d, e,
		 decide_replacement(&v, v.now, true) == WANT_REISSUE
			 ? "; the key is lost, so a reissue (free of charge) brings another one"
			 : "; the key is lost and no reissue is possible: restore it from a backup, or place "
			   "a (paid) order with dvcertctl renew");
	if (!is_confirmed(d) || d->rec->cert.key_lost) {
		end(m, NULL, true);
		return;
	}
	d->rec->cert.key_lost = true;
	end(m, NULL, true);
	runner_update(d, &u);
	runner_look(d);
}

static void looked(void *arg)
{
	struct mending_work *w = arg;
	struct mending *m = w->mending;
	struct domain *d = m->domain;
	enum damage damage = w->damage;

	m->work = NULL;
	/* Replaced meanwhile: all that was about the one before. */
	if (d->rec->cert.generation != m->generation)
		damage = DAMAGE_NONE;
	if (w->relinked)
		runner_log(d, LOG_LEVEL_WARNING, &MSG_MENDED, "live/%s was gone, it points to %04u again",
			   w->name, w->generation);
	switch (damage) {
	case DAMAGE_NONE:
		mending_forget(d);
		end(m, w->chain, false);
		break;
	case DAMAGE_LINK:
		show(d, w->err.text);
		end(m, w->chain, true);
		break;
	case DAMAGE_FOREIGN:
	case DAMAGE_UNREADABLE:
		show_err(d, &w->err, "; it is left alone");
		end(m, NULL, true);
		break;
	case DAMAGE_CERT: lost_cert(m, &w->err); break;
	case DAMAGE_KEY: lost_key(m, &w->err); break;
	}
	work_free(w);
}

void mending_start(struct domain *d, mending_done_fn *done, void *owner, struct mending **ret)
{
	struct mending *m = xmalloc(sizeof(*m));

	m->domain = d;
	m->generation = d->rec->cert.generation;
	m->done = done;
	m->owner = owner;
	*ret = m;
	work_start(d->app->loop, look_run, looked, work_new(m), &m->work);
}

void mending_cancel(struct mending **m)
{
	struct mending *mine = *m;

	if (!mine)
		return;
	*m = NULL;
	cc_cancel(&mine->call);
	if (mine->work)
		work_cancel(&mine->work, work_drop);
	free(mine);
}

bool mending_is_urgent(const struct app *a, const struct record *r)
{
	unsigned live = 0;

	if (r->cert.generation == 0)
		return false;
	return generation_live(&a->dirs, r->name, &live, NULL) < 0 || live != r->cert.generation ||
	       !generation_is_whole(&a->dirs, r->name, r->cert.generation);
}
