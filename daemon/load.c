/* SPDX-License-Identifier: Apache-2.0 */
/* Records from disk. Three rules: a record that cannot be read never leads to an order; a record that is missing beside an
 * installed certificate is rebuilt from that certificate; paid posts count, also those of domains that
 * are no longer in the YAML. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/messages.h"

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
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(STORE_RECORD_MAX);
	_cleanup_(json_freep) struct json *doc = record_encode(r);
	struct err e = ERR_INIT;

	json_write(doc, JSON_PRETTY, &sb);
	strbuf_addc(&sb, '\n');
	if (store_save(a->store, r->name, strbuf_str(&sb), sb.len, &e) < 0)
		log_event(LOG_LEVEL_ERROR, &MSG_STATE_WRITE,
			  &(struct log_ctx){ NULL, "DVCERT_NAME", r->name },
			  "the state cannot be written: %s", e.text);
}

/* There is no state file, but live/<name> points to a certificate: somebody lost the state folder, or restored half a
 * backup. What is installed is a fact; buying it again would be a mistake. */
static struct record *from_live(struct app *a, const char *name, unsigned generation)
{
	struct generation_files files = { 0 };
	struct cert_info info = { 0 };
	struct err e = ERR_INIT;
	struct record *r;

	if (generation_read(&a->dirs, name, generation, &files, &e) < 0 ||
	    cert_read(files.cert, strlen(files.cert), &info, &e) < 0) {
		generation_files_done(&files);
		return held_record(name, "state_missing",
				   "there is no state file, and what live/%s points to cannot be read: %s",
				   name, e.text);
	}
	r = record_new(name);
	r->cert.generation = generation;
	r->cert.serial = xstrdup(info.serial);
	r->cert.names = record_join_names((const char *const *)info.names, info.n_names);
	r->cert.not_before = info.not_before;
	r->cert.not_after = info.not_after;
	r->cert.installed_at = info.not_before;
	log_event(LOG_LEVEL_WARNING, &MSG_STATE_ADOPTED, &(struct log_ctx){ NULL, "DVCERT_NAME", name },
		  "there is no state file: going on with the certificate that live/%s points to", name);
	cert_info_done(&info);
	generation_files_done(&files);
	return r;
}

static struct record *from_nothing(struct app *a, const char *name)
{
	struct err e = ERR_INIT;
	unsigned generation = 0;

	if (generation_live(&a->dirs, name, &generation, &e) < 0)
		return held_record(name, "live_link", "%s", e.text);
	return generation ? from_live(a, name, generation) : record_new(name);
}

static struct record *from_text(struct app *a, const char *name, const char *text, size_t len)
{
	struct record *r = NULL;
	struct err e = ERR_INIT, q = ERR_INIT;
	int rc = record_decode(name, text, len, &r, &e);

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
	r = held_record(name, "state_unreadable",
			"state/%s.json cannot be used (%s) and was moved aside: nothing is ordered until "
			"`dvcertctl renew %s`, look into the console for an open order before that",
			name, e.text, name);
	keep(a, r);
	return r;
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
	int rc = store_each(a->store, each, &l, reterr);

	if (rc < 0) {
		for (size_t i = 0; i < c->n_domains; i++)
			record_free(recs[i]);
		return rc;
	}
	a->domains = xcalloc(c->n_domains + 1, sizeof(struct domain *));
	for (size_t i = 0; i < c->n_domains; i++) {
		struct record *r = recs[i] ? recs[i] : from_nothing(a, c->domains[i].name);

		check_link(a, r);
		a->domains[i] = domain_new(a, c, &c->domains[i], r);
	}
	a->n_domains = c->n_domains;
	return 0;
}
