/* SPDX-License-Identifier: Apache-2.0 */
/* CertCentral: two questions about the key and one about the order, through the queue that all requests pass, and what our own books
 * say about orders. */
#include "daemon/doctor.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "common/words.h"

/* Requests of a person who waits, behind polls that serve all. */
#define PRIO 0

/* Dates of certificates and of updates in DNS (TSIG allows 300 s) go wrong beyond these. */
#define SKEW_SHOWN  60
#define SKEW_BROKEN 300

/* A stopped key is answered without a request. */
static void count_request(struct doctor *k)
{
	k->n_requests += cc_is_blocked(k->w.app->cc) ? 0 : 1;
}

/* --- clock, api --- */

static void judge_clock(struct doctor *k, int64_t server_at)
{
	int64_t ahead = clock_now() - server_at, off = ahead < 0 ? -ahead : ahead;
	char buf[STR_DURATION_MAX];

	if (server_at == 0)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "CertCentral did not tell its time");
	else if (off > SKEW_SHOWN)
		doctor_say(k, off > SKEW_BROKEN ? DOCTOR_BROKEN : DOCTOR_WARNING,
			   "set the clock: timedatectl set-ntp true", "this machine is %s %s of CertCentral",
			   str_format_duration_human(off, buf), ahead > 0 ? "ahead" : "behind");
	else
		doctor_say(k, DOCTOR_OK, NULL, "within a minute of CertCentral's");
}

static void on_user(const struct cc_reply *r, void *owner)
{
	struct doctor *k = owner;

	k->call = NULL;
	k->api = r->outcome;
	k->api_asked = true;
	k->roles = r->roles ? xstrdup(r->roles) : NULL;
	judge_clock(k, r->server_at);
}

/* The first answer of CertCentral tells the time and what it thinks of the key; the next step reads the rest. */
void doctor_clock(struct doctor *k)
{
	count_request(k);
	cc_user(k->w.app->cc, PRIO, on_user, k, &k->call);
}

static const char *remedy_of(const struct outcome *o)
{
	switch (o->fault) {
	case FAULT_AUTH:
		return "replace the key (certcentral.api_key_file), restart dvcertd when it is a credential "
		       "of "
		       "systemd, else dvcertctl reload";
	case FAULT_CONFIG: return "correct certcentral.url, then dvcertctl reload";
	case FAULT_UNSENT:
	case FAULT_UNCLEAR: return "look at the way to it (firewall, proxy, DNS) and at status.digicert.com";
	case FAULT_THROTTLED:
		return "another program uses this key: lower certcentral.rate_limit, or give it a key of its "
		       "own";
	case FAULT_NONE:
	case FAULT_REFUSED:
	case FAULT_DUPLICATE:
	case FAULT_NOT_FOUND:
	case FAULT_LOCAL:
	case FAULT_BAD_CERT:
	case FAULT_BUSY:
	case FAULT_NR: break;
	}
	return NULL;
}

void doctor_api(struct doctor *k)
{
	const struct outcome *o = &k->api;

	if (!k->api_asked)
		doctor_say(k, DOCTOR_BROKEN,
			   "look at the way to it (firewall, proxy, DNS) and at status.digicert.com",
			   "%s does not answer", k->config->certcentral.url);
	else if (o->fault == FAULT_NONE)
		doctor_say(k, DOCTOR_OK, NULL, "TLS and key are accepted%s%s", k->roles ? ", role " : "",
			   k->roles ? k->roles : "");
	else if (o->fault == FAULT_AUTH && o->http_status == 403 && !cc_is_blocked(k->w.app->cc))
		/* As for a key that is limited to orders. */
		doctor_say(k, DOCTOR_OK, NULL, "TLS and key are accepted, the key may not ask who it is");
	else
		doctor_say(k, DOCTOR_BROKEN, remedy_of(o), "%s", o->message);
}

/* --- product --- */

/* The first product in use that is not among them, or NULL. */
static const char *missing_product(const struct doctor *k, const char *products)
{
	const struct config *c = k->config;

	if (k->spec)
		return words_has(products, k->spec->product) ? NULL : k->spec->product;
	for (size_t i = 0; i < c->n_domains; i++) {
		if (!words_has(products, c->domains[i].product))
			return c->domains[i].product;
	}
	return words_has(products, c->certcentral.product) ? NULL : c->certcentral.product;
}

static void on_products(const struct cc_reply *r, void *owner)
{
	struct doctor *k = owner;
	const char *missing = r->products ? missing_product(k, r->products) : NULL;

	k->call = NULL;
	if (r->outcome.fault == FAULT_AUTH && r->outcome.http_status == 403)
		doctor_say(k, DOCTOR_WARNING, NULL,
			   "the key may not list products, so the product is not looked at");
	else if (r->outcome.fault != FAULT_NONE)
		doctor_say(k, DOCTOR_BROKEN, remedy_of(&r->outcome), "%s", r->outcome.message);
	else if (missing)
		doctor_say(k, DOCTOR_BROKEN,
			   "correct `product`, then dvcertctl reload; or have it enabled for the account",
			   "the account cannot order %s; it can order: %.300s", missing, r->products);
	else
		doctor_say(k, DOCTOR_OK, NULL, "the account can order %s",
			   k->spec ? k->spec->product : "all that are configured");
}

void doctor_product(struct doctor *k)
{
	count_request(k);
	cc_products(k->w.app->cc, PRIO, on_products, k, &k->call);
}

/* --- budget --- */

void doctor_budget(struct doctor *k)
{
	struct app *a = k->w.app;
	const struct domain *d = doctor_domain(k);
	struct cc_rate rates[CFG_RATES_MAX];
	size_t n = cc_rates(a->cc, rates);
	int64_t now = clock_now(), max = a->config->certcentral.max_orders_per_day;
	int64_t next_at = budget_next_at(a->budget, now, a->n_reserved);
	char at[TIMEFMT_MAX];

	for (size_t i = 0; i < n; i++) {
		if (rates[i].left == 0)
			doctor_note(&k->note, DOCTOR_WARNING, NULL,
				    "all %u requests of %lld s are made: the others wait", rates[i].requests,
				    (long long)rates[i].per);
	}
	if (next_at > now)
		doctor_note(&k->note, d && upkeep_waits_for_budget(d) ? DOCTOR_BROKEN : DOCTOR_WARNING,
			    "find out why (dvcertctl budget) before you raise certcentral.max_orders_per_day",
			    "the %lld orders of a day are spent, the next one at %s", (long long)max,
			    timefmt_rfc3339(next_at, at));
	doctor_end(k, "%u of %lld orders of a day are spent, the rate windows have room",
		   budget_spent(a->budget, now), (long long)max);
}

/* --- order --- */

static void judge_states(struct doctor *k, const struct cc_reply *r)
{
	char renew[DOCTOR_TEXT_MAX];

	(void)snprintf(renew, sizeof(renew), "dvcertctl renew %s --yes places a new (paid) one",
		       k->spec->name);
	switch (r->status) {
	case CC_STATUS_REVOKED:
		doctor_note(&k->note, DOCTOR_BROKEN, renew, "order %lld is revoked", (long long)r->order_id);
		break;
	case CC_STATUS_REJECTED:
	case CC_STATUS_CANCELED:
	case CC_STATUS_NEEDS_CSR:
		doctor_note(&k->note, DOCTOR_BROKEN, renew, "order %lld is %s", (long long)r->order_id,
			    cc_status_name(r->status));
		break;
	case CC_STATUS_EXPIRED:
		doctor_note(&k->note, DOCTOR_WARNING, NULL,
			    "order %lld has expired: the next certificate needs a new (paid) one",
			    (long long)r->order_id);
		break;
	case CC_STATUS_NEEDS_APPROVAL:
		doctor_note(&k->note, DOCTOR_BROKEN,
			    "approve it in the CertCentral console, or reject it there",
			    "order %lld waits for an administrator's approval", (long long)r->order_id);
		break;
	case CC_STATUS_UNKNOWN:
	case CC_STATUS_PENDING:
	case CC_STATUS_ISSUED:
	case CC_STATUS_REISSUE:
	case CC_STATUS_NR: break;
	}
	if (r->cert_status == CC_STATUS_REVOKED)
		doctor_note(&k->note, DOCTOR_BROKEN, NULL, "the certificate of order %lld is revoked",
			    (long long)r->order_id);
	if (r->order_valid_until && r->order_valid_until < clock_now())
		doctor_note(&k->note, DOCTOR_WARNING, NULL,
			    "the paid plan is over: the next certificate needs a new (paid) order");
}

static void on_info(const struct cc_reply *r, void *owner)
{
	struct doctor *k = owner;
	char at[TIMEFMT_MAX];

	k->call = NULL;
	if (r->outcome.fault == FAULT_NOT_FOUND) {
		doctor_say(k, DOCTOR_BROKEN, "is this key of the account that placed it?",
			   "CertCentral does not know the order: %s", r->outcome.message);
	} else if (r->outcome.fault != FAULT_NONE) {
		doctor_say(k, DOCTOR_BROKEN, remedy_of(&r->outcome), "%s", r->outcome.message);
	} else {
		judge_states(k, r);
		doctor_end(k, "order %lld is %s%s%s%s", (long long)r->order_id,
			   r->status_word ? r->status_word : "there",
			   r->reissue_pending ? ", a reissue waits" : "",
			   r->order_valid_until ? ", its plan ends " : "",
			   r->order_valid_until ? timefmt_rfc3339(r->order_valid_until, at) : "");
	}
}

void doctor_order(struct doctor *k)
{
	const struct record *r = doctor_domain(k)->rec;
	int64_t id = r->job && r->job->order_id ? r->job->order_id : r->cert.order_id;

	if (id == 0) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "nothing was ordered yet");
		return;
	}
	count_request(k);
	cc_order_info(k->w.app->cc, id, PRIO, on_info, k, &k->call);
}
