/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown to visitors right now: by each server that a `verify` target names, and by the WAF. One look each, without waiting for
 * anything to settle. Nothing is pushed. */
#include "daemon/doctor.h"

#include "common/mem.h"

/* --- served --- */

static const struct cfg_deploy *target_at(const struct doctor *k, enum cfg_deploy_type type, size_t n)
{
	for (uint32_t i = 0; i < k->spec->n_deploy; i++) {
		if (k->spec->deploy[i].type == type && n-- == 0)
			return &k->spec->deploy[i];
	}
	return NULL;
}

static void served_next(struct doctor *k);

static void on_look(const struct verify_result *r, void *owner)
{
	struct doctor *k = owner;
	const struct cfg_deploy *t = target_at(k, CFG_DEPLOY_VERIFY, k->i);
	char again[DOCTOR_TEXT_MAX];

	k->look = NULL;
	(void)snprintf(again, sizeof(again),
		       "dvcertctl deploy %s; if that does not help, look at the configuration of that server",
		       k->spec->name);
	if (r->outcome.fault != FAULT_NONE)
		doctor_note(&k->note, DOCTOR_BROKEN, again, "%s: %s", t->target, r->outcome.message);
	k->i++;
	served_next(k);
}

static void served_next(struct doctor *k)
{
	const struct cfg_deploy *t = target_at(k, CFG_DEPLOY_VERIFY, k->i);
	struct verify_ask ask = { .target = t ? &t->verify : NULL, .fullchain = k->chain };

	if (t)
		verify_start(k->w.app->verify, &ask, on_look, k, &k->look);
	else
		doctor_end(k, "%zu server%s the installed certificate", k->i,
			   k->i == 1 ? " shows" : "s show");
}

void doctor_served(struct doctor *k)
{
	if (!target_at(k, CFG_DEPLOY_VERIFY, 0))
		doctor_say(k, DOCTOR_SKIPPED, NULL, "no `verify` target says where to look");
	else if (!k->chain)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "nothing is installed yet");
	else
		served_next(k);
}

/* --- waf --- */

static const struct record_deploy *failed_push(const struct record *r)
{
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		if (r->deploys[i].state != DEPLOY_DONE && r->deploys[i].code &&
		    record_deploy_type(r->deploys[i].target) == CFG_DEPLOY_SCUTUM)
			return &r->deploys[i];
	}
	return NULL;
}

static void on_waf(const struct http_result *r, void *owner)
{
	struct doctor *k = owner;
	const struct domain *d = doctor_domain(k); /* NULL: a reload came in between */
	const struct record_deploy *bad = d ? failed_push(d->rec) : NULL;
	char again[DOCTOR_TEXT_MAX];

	k->http_call = NULL;
	(void)snprintf(again, sizeof(again), "mend key, host or id, then dvcertctl deploy %s", k->spec->name);
	if (r->outcome.fault != FAULT_NONE)
		doctor_say(k, DOCTOR_BROKEN,
			   "look at the way to it (firewall, proxy, DNS), and at scutum.ca_file", "%s: %s",
			   k->config->scutum.url, r->outcome.message);
	else if (bad)
		doctor_say(k, DOCTOR_BROKEN, again, "%s: %s: %s", bad->target, bad->code,
			   bad->message ? bad->message : "");
	else
		doctor_say(k, DOCTOR_OK, NULL, "Scutum's API can be reached, nothing was pushed for that");
}

void doctor_waf(struct doctor *k)
{
	const struct http_options o = { .ca_file = k->config->scutum.ca_file, .proxy = k->config->proxy };
	const struct http_request rq = { .label = "doctor",
					 .method = "GET",
					 .url = k->config->scutum.url,
					 .cut_body = true,
					 .total_ms = 20000 };
	struct err e = ERR_INIT;

	if (!target_at(k, CFG_DEPLOY_SCUTUM, 0)) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "no `scutum` target");
		return;
	}
	http_free(TAKE_PTR(k->http)); /* that of the step before checks no certificates */
	if (http_new(k->w.app->loop, &o, &k->http, &e) < 0)
		doctor_say(k, DOCTOR_BROKEN, "correct scutum.ca_file", "%s", e.text);
	else
		http_start(k->http, &rq, on_waf, k, &k->http_call);
}
