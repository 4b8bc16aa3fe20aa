/* SPDX-License-Identifier: Apache-2.0 */
/* Records from disk. Three rules: a record that cannot be read never leads to an order; a record that is missing beside an
 * installed certificate is rebuilt from that certificate; paid posts count, also those of domains that
 * are no longer in the YAML. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/crashes.h"
#include "daemon/io/blame.h"
#include "daemon/mending.h"
#include "daemon/messages.h"
#include "daemon/save.h"
#include "daemon/store/seal.h"

#include <errno.h>

static struct record *held_record(const char *name, const char *code, const char *fmt, ...) _printf_(3, 4);

static struct record *held_record(const char *name, const char *code, const char *fmt, ...)
{
	struct record *r = record_new(name);
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->held = true;
	record_set_error(r, clock_now(), code, text);
	log_event(LOG_LEVEL_ERROR, &MSG_STATE_BAD, &(struct log_ctx){ NULL, "DVCERT_NAME", name }, "%s",
		  text);
	return r;
}

/* The file that was moved aside must leave a trace: without one the next start would find nothing and order. */
static void keep(struct app *a, const struct record *r)
{
	struct history_list none = STAILQ_HEAD_INITIALIZER(none);
	struct save *s = save_new(a->store, r, &none);

	save_run(s);
	if (s->rc == FS_ESYNC)
		app_die_of_disk(s->err.text);
	if (s->rc < 0)
		log_event(LOG_LEVEL_ERROR, &MSG_STATE_WRITE,
			  &(struct log_ctx){ NULL, "DVCERT_NAME", r->name },
			  "the state cannot be written: %s", s->err.text);
	save_free(s);
}

/* Reads off an installed certificate what a record says about it. Only its order is not known then: the CA is asked (watching.c). */
static int read_facts(const struct app *a, struct record *r, unsigned generation, struct err *reterr)
{
	struct generation_files files = { 0 };
	struct cert_info info = { 0 };
	int rc = generation_read(&a->dirs, r->name, generation, &files, reterr);

	if (rc == 0)
		rc = cert_read(files.cert, strlen(files.cert), &info, reterr);
	generation_files_done(&files);
	if (rc < 0)
		return rc;
	r->cert.generation = generation;
	r->cert.order_unknown = true;
	r->cert.serial = xstrdup(info.serial);
	r->cert.names = record_join_names((const char *const *)info.names, info.n_names);
	r->cert.not_before = info.not_before;
	r->cert.not_after = info.not_after;
	r->cert.installed_at = info.not_before;
	cert_info_done(&info);
	return 0;
}

/* The generation that live/<name> points to, or where that link is lost as well the last one in archive/<name>. */
static int find_installed(const struct app *a, const char *name, unsigned *ret, struct err *reterr)
{
	int rc = generation_live(&a->dirs, name, ret, reterr);
	unsigned next = 1;

	if (rc < 0 || *ret != 0)
		return rc;
	rc = generation_next(&a->dirs, name, 1, &next, reterr);
	*ret = next - 1;
	return rc;
}

/* There is no state file, but a certificate: somebody lost the state folder, or restored half a backup. What is installed is a
 * fact; buying it again would be a mistake. */
static struct record *from_nothing(struct app *a, const char *name)
{
	struct record *r = record_new(name);
	struct err e = ERR_INIT;
	unsigned generation = 0;

	if (find_installed(a, name, &generation, &e) < 0) {
		record_free(r);
		return held_record(name, "live_link", "%s", e.text);
	}
	if (generation == 0)
		return r;
	if (read_facts(a, r, generation, &e) < 0) {
		record_free(r);
		return held_record(
			name, "state_missing",
			"there is no state file, and the installed certificate cannot be read: %s; "
			"restore state/, or order anew with `dvcertctl renew %s`",
			e.text, name);
	}
	log_event(LOG_LEVEL_WARNING, &MSG_STATE_ADOPTED, &(struct log_ctx){ NULL, "DVCERT_NAME", name },
		  "there is no state file: going on with the certificate in archive/%s/%04u", name,
		  generation);
	return r;
}

bool load_was_blind(const struct record *r)
{
	const char *code = r->held && r->error.code ? r->error.code : "";

	return strcmp(code, "live_link") == 0 || strcmp(code, "state_missing") == 0;
}

/* Held by from_nothing(), and written since because of something else: it knows nothing that the next look could not tell. */
static bool is_to_be_looked_at(const struct record *r)
{
	return load_was_blind(r) && !r->job && r->cert.generation == 0 && r->n_paid == 0;
}

static int decode_sealed(const struct app *a, const char *name, const char *text, size_t len,
			 struct record **ret, struct err *reterr)
{
	_cleanup_free_ char *who = crashes_reader(name);
	BLAME(who);
	struct err sum = ERR_INIT;
	int sealed = seal_check(text, len, &sum), rc;

	if (crashes_when_read(a, name))
		return err_set(reterr, -EBADMSG, "dvcertd crashes when it reads it");
	rc = record_decode(name, text, len, ret, reterr);
	if (rc == -ENOTSUP && sealed < 0)
		err_prefix(reterr, "perhaps it is damaged (%s), or", sum.text);
	if (rc < 0 || sealed == 0)
		return rc;
	record_free(TAKE_PTR(*ret));
	*reterr = sum;
	return sealed;
}

/* What was moved aside may have known of an order; what is installed can still be read off, so that the person who goes on from here
 * need not buy what is there. */
static struct record *from_quarantine(struct app *a, const char *name, const char *why)
{
	struct record *r =
		held_record(name, "state_unreadable",
			    "state/%s.json cannot be used (%s) and was moved aside: nothing is "
			    "ordered until `dvcertctl renew %s`, look into the console for an open "
			    "order before that; a good copy of the file can also be put back while "
			    "dvcertd is stopped",
			    name, why, name);
	unsigned generation = 0;

	if (find_installed(a, name, &generation, NULL) == 0 && generation != 0)
		(void)read_facts(a, r, generation, NULL);
	keep(a, r);
	return r;
}

static struct record *from_text(struct app *a, const char *name, const char *text, size_t len)
{
	struct record *r = NULL;
	struct err e = ERR_INIT, q = ERR_INIT;
	int rc = decode_sealed(a, name, text, len, &r, &e);

	if (rc == 0 && is_to_be_looked_at(r)) {
		record_free(r);
		return from_nothing(a, name);
	}
	if (rc == 0)
		return r;
	if (rc == -ENOTSUP) {
		r = held_record(name, "state_newer",
				"state/%s.json is left alone, this program is too old for it: %s", name,
				e.text);
		r->frozen = true;
		return r;
	}
	if (store_quarantine(a->store, name, &q) < 0) {
		r = held_record(name, "state_unreadable", "state/%s.json: %s; moving it aside failed: %s",
				name, e.text, q.text);
		r->frozen = true;
		return r;
	}
	return from_quarantine(a, name, e.text);
}

/* Not even read: it may be good, so it is not replaced. */
static struct record *unreadable(const char *name, const char *why)
{
	struct record *r = held_record(name, "state_unreadable", "%s", why);

	r->frozen = true;
	return r;
}

struct record *load_record(struct app *a, const struct cfg_domain *spec)
{
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;

	if (store_load(a->store, spec->name, &text, &len, &e) < 0)
		return unreadable(spec->name, e.text);
	return text ? from_text(a, spec->name, text, len) : from_nothing(a, spec->name);
}

/* A flag is not believed without the thing itself: what the record calls installed must be what servers find. */
static void check_link(struct app *a, const struct record *r)
{
	struct err e = ERR_INIT;
	unsigned live = 0;
	int rc = r->cert.generation ? generation_live(&a->dirs, r->name, &live, &e) : 0;

	/* With a job under way the switch may have come before a crash: the job does it again. */
	if (rc == 0 && (live == r->cert.generation || r->job))
		return;
	log_event(LOG_LEVEL_ERROR, &MSG_LINK, &(struct log_ctx){ NULL, "DVCERT_NAME", r->name },
		  "live/%s is not the certificate that was installed (generation %04u): %s", r->name,
		  r->cert.generation,
		  rc < 0 ? e.text : "point it to ../archive/NAME/GENERATION again, or run dvcertctl renew");
}

struct loading {
	struct app *app;
	struct config *config;
	struct record **recs; /* by index in config->domains */
};

static void count_paid(struct app *a, const struct record *r)
{
	for (uint32_t i = 0; i < r->n_paid; i++)
		budget_spend(a->budget, r->paid_at[i]);
}

/* Posts of a domain that is not managed any more. */
static void count_stranger(struct app *a, const char *name, const char *text, size_t len)
{
	_cleanup_(record_freep) struct record *r = NULL;

	if (text && record_decode(name, text, len, &r, NULL) == 0)
		count_paid(a, r);
}

static void each(const char *name, const char *text, size_t len, const struct err *e, void *arg)
{
	struct loading *l = arg;
	const struct cfg_domain *spec = config_find(l->config, name);
	struct record *r;

	if (!spec) {
		count_stranger(l->app, name, text, len);
		return;
	}
	r = text ? from_text(l->app, name, text, len) : unreadable(name, e ? e->text : "cannot be read");
	count_paid(l->app, r);
	l->recs[spec - l->config->domains] = r;
}

int load_domains(struct app *a, struct err *reterr)
{
	struct config *c = a->config;
	_cleanup_free_ struct record **recs = xcalloc(c->n_domains + 1, sizeof(*recs));
	struct loading l = { .app = a, .config = c, .recs = recs };
	int rc;

	crashes_begin(a);
	rc = store_each(a->store, each, &l, reterr);
	if (rc < 0) {
		for (size_t i = 0; i < c->n_domains; i++)
			record_free(recs[i]);
		return rc;
	}
	a->domains = xcalloc(c->n_domains + 1, sizeof(struct domain *));
	for (size_t i = 0; i < c->n_domains; i++) {
		struct record *r = recs[i] ? recs[i] : from_nothing(a, c->domains[i].name);

		if (crashes_judge(a, r) && !r->frozen)
			keep(a, r);
		check_link(a, r);
		a->domains[i] = domain_new(a, c, &c->domains[i], r);
		if (r->cert.order_unknown || mending_is_urgent(a, r))
			watching_now(a->domains[i]);
	}
	a->n_domains = c->n_domains;
	crashes_end(a);
	return 0;
}
