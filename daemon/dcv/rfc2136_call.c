/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic update: the order of questions (which zone, then the update), and what an answer means to a person.
 *
 * The zone is asked of the very server that will be updated, and with the same key: views of the server may depend on the
 * key, and what the rest of the world sees does not matter here. */
#include "daemon/dcv/rfc2136.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/dnswire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TOTAL_MS  15000
#define SHOWN_MAX 256 /* of a remedy */
#define WORD_MAX  16

enum rcode {
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_NOTAUTH = 9,
	RCODE_NOTZONE = 10
};

struct rfc2136_call {
	struct loop *loop;
	rfc2136_done_fn *done; /* NULL: it is being told */
	void *owner;
	struct rfc2136_update u; /* copies, each its own allocation */
	struct tsig_key key;
	char *server, *zone, *fqdn, *value;
	const char *candidate; /* NULL: the update is under way; else the part of fqdn that may be the zone */
	int64_t started_ms;
	struct rfc2136_message message; /* that was sent last */
	struct dnswire_call *wire;
	struct timer *later; /* tells what was found out before rfc2136_start returned */
	struct outcome early;
};

/* --- words ----------------------------------------------------------------------------------------- */

/* IANA, DNS RCODEs. */
static const char *rcode_name(unsigned rcode, char buf[WORD_MAX])
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
					     "NOTIMP",	"REFUSED", "YXDOMAIN", "YXRRSET",
					     "NXRRSET", "NOTAUTH", "NOTZONE" };

	if (rcode < ARRAY_SIZE(names))
		return names[rcode];
	(void)snprintf(buf, WORD_MAX, "RCODE%u", rcode);
	return buf;
}

static const char *tsig_error_name(unsigned error, char buf[WORD_MAX])
{
	switch (error) {
	case RFC2136_BADSIG: return "BADSIG";
	case RFC2136_BADKEY: return "BADKEY";
	case RFC2136_BADTIME: return "BADTIME";
	case RFC2136_BADTRUNC: return "BADTRUNC";
	default: (void)snprintf(buf, WORD_MAX, "TSIG%u", error); return buf;
	}
}

static void explain_clocks(const struct rfc2136_answer *a, char *buf, size_t len)
{
	char ahead[STR_DURATION_MAX];
	int64_t s = a->clock_ahead_s;

	if (!a->has_clock)
		(void)snprintf(buf, len, "the clocks differ by more than 5 minutes; set both by NTP");
	else
		(void)snprintf(buf, len, "the server's clock is %s %s ours; set both by NTP",
			       str_format_duration_human(s < 0 ? -s : s, ahead),
			       s < 0 ? "behind" : "ahead of");
}

static void explain_tsig(const struct rfc2136_call *c, const struct rfc2136_answer *a, char *buf, size_t len)
{
	switch (a->tsig_error) {
	case RFC2136_BADKEY:
		(void)snprintf(
			buf, len,
			"the server does not know the key, or (Knot) its rules do not let the key change "
			"this name; compare name, algorithm, secret and rules there");
		break;
	case RFC2136_BADSIG:
		(void)snprintf(buf, len,
			       "the server has another secret or algorithm for the key; copy the key again");
		break;
	case RFC2136_BADTIME: explain_clocks(a, buf, len); break;
	default:
		(void)snprintf(buf, len, "the server does not take %s; see its log", c->key.algorithm);
		break;
	}
}

static void explain(const struct rfc2136_call *c, const struct rfc2136_answer *a, char *buf, size_t len)
{
	const char *text = "see the server's log";

	if (a->tsig_error != 0) {
		explain_tsig(c, a, buf, len);
		return;
	}
	switch (a->rcode) {
	case RCODE_REFUSED:
		text = "its rules do not let the key change this name; see update-policy (BIND), acl (Knot); "
		       "PowerDNS: dnsupdate is off, TSIG-ALLOW-DNSUPDATE lacks the key, the key is wrong, "
		       "or a CNAME would stand beside other records";
		break;
	case RCODE_NOTAUTH:
		text = "it is not the primary server of the zone; correct server or zone";
		/* A question meets this only for its signature (RFC 8945 section 5.2); PowerDNS leaves out the TSIG
		 * record that would say what is wrong with it. */
		if (c->candidate)
			text = "it does not accept the key (PowerDNS does not say why); compare name, "
			       "algorithm, secret and both clocks, and see its log";
		break;
	case RCODE_NOTZONE:
		text = "the name is not in the zone; correct the provider's zone, or leave it out";
		break;
	case RCODE_FORMERR:
	case RCODE_NOTIMP: text = "it does not do dynamic updates, or not of this zone; see its log"; break;
	case RCODE_SERVFAIL:
		text = "it failed itself; see its log (is the zone loaded, its journal writable?)";
		break;
	default: break;
	}
	(void)snprintf(buf, len, "%s", text);
}

static const char *trust_text(enum rfc2136_trust t)
{
	switch (t) {
	case RFC2136_UNSIGNED: return " (not signed)";
	case RFC2136_BAD: return " (with a wrong signature)";
	case RFC2136_GOOD: break;
	}
	return "";
}

/* What was asked, for the front of a message. */
static void describe(const struct rfc2136_call *c, char *buf, size_t len)
{
	if (c->candidate)
		(void)snprintf(buf, len, "DNS server %s, search for the zone of %s", c->server, c->fqdn);
	else
		(void)snprintf(buf, len, "DNS server %s, zone %s, %s %s", c->server, c->zone,
			       c->u.add ? "add" : "delete", c->fqdn);
}

/* Anything but a signed success. */
static void judge_failure(const struct rfc2136_call *c, const struct rfc2136_answer *a, struct outcome *ret)
{
	char what[OUTCOME_MESSAGE_MAX];
	char remedy[SHOWN_MAX];
	char rcode_buf[WORD_MAX], tsig_buf[WORD_MAX];
	bool tsig = a->tsig_error != 0;
	const char *rcode = rcode_name(a->rcode, rcode_buf);
	const char *tsig_error = tsig ? tsig_error_name(a->tsig_error, tsig_buf) : "";

	describe(c, what, sizeof what);
	if ((a->rcode == RCODE_NOERROR || (c->candidate && a->rcode == RCODE_NXDOMAIN)) && !tsig) {
		(void)outcome_set(
			ret, FAULT_UNCLEAR, a->trust == RFC2136_BAD ? "bad-signature" : "unsigned",
			"%s: %s%s, which is not believed; the server must know key %s, and nobody may "
			"change its answers on the way",
			what, rcode, trust_text(a->trust), c->key.name);
		return;
	}
	explain(c, a, remedy, sizeof remedy);
	(void)outcome_set(ret, a->rcode == RCODE_SERVFAIL && !tsig ? FAULT_UNCLEAR : FAULT_REFUSED,
			  tsig ? tsig_error : rcode, "%s: %s%s%s%s, key %s: %s", what, rcode,
			  tsig ? ", TSIG error " : "", tsig_error, trust_text(a->trust), c->key.name, remedy);
}

/* --- the end of a call ----------------------------------------------------------------------------- */

static void call_free(struct rfc2136_call *c)
{
	dnswire_cancel(&c->wire);
	timer_free(c->later);
	tsig_key_done(&c->key);
	free(c->message.wire);
	free(c->server);
	free(c->zone);
	free(c->fqdn);
	free(c->value);
	free(c);
}

static void finish(struct rfc2136_call *c, const struct outcome *o)
{
	rfc2136_done_fn *done = c->done;

	assert(done);
	c->done = NULL;
	done(o, c->owner);
	call_free(c);
}

static void on_later(void *arg)
{
	struct rfc2136_call *c = arg;
	const struct outcome o = c->early;

	finish(c, &o);
}

/* In the next turn: rfc2136_start may still be on the stack. */
static void finish_later(struct rfc2136_call *c, enum fault f, const char *code, const char *text)
{
	char what[OUTCOME_MESSAGE_MAX];

	describe(c, what, sizeof what);
	(void)outcome_set(&c->early, f, code, "%s: %s", what, text);
	timer_set(c->later, 0);
}

/* --- questions ------------------------------------------------------------------------------------- */

static void on_answer(const struct dnswire_result *r, void *owner);

/* The question for the candidate, or the update when the zone is known. */
static void ask(struct rfc2136_call *c)
{
	struct dnswire_query q = { .server = c->server };
	int64_t left_ms = c->started_ms + TOTAL_MS - clock_mono_ms();
	struct err err = ERR_INIT;
	uint16_t id = 0;
	int r = 0;

	clock_random(&id, sizeof id);
	free(TAKE_PTR(c->message.wire));
	if (c->candidate)
		r = rfc2136_make_soa(c->candidate, &c->key, id, &c->message, &err);
	else
		r = rfc2136_make_update(&c->u, c->zone, id, &c->message, &err);
	if (r < 0) {
		finish_later(c, FAULT_REFUSED, "name", err.text);
		return;
	}
	q.message = c->message.wire;
	q.len = c->message.len;
	q.timeout_ms = MAX(left_ms, 1);
	dnswire_start(c->loop, &q, on_answer, c, &c->wire);
}

static void next_candidate(struct rfc2136_call *c, const struct rfc2136_answer *a)
{
	const char *dot = strchr(c->candidate, '.');
	char text[SHOWN_MAX];
	char rcode[WORD_MAX];

	if (dot) {
		c->candidate = dot + 1;
		ask(c);
		return;
	}
	(void)snprintf(
		text, sizeof text,
		"it has no zone for this name (its last answer was %s); correct the server, or name the zone",
		rcode_name(a->rcode, rcode));
	finish_later(c, FAULT_REFUSED, "no-zone", text);
}

static void on_zone(struct rfc2136_call *c, const struct rfc2136_answer *a)
{
	struct outcome o = OUTCOME_OK;
	bool answered = a->rcode == RCODE_NOERROR || a->rcode == RCODE_NXDOMAIN;

	/* Servers refuse names that they have no zone for. */
	if (a->tsig_error == 0 && a->rcode == RCODE_REFUSED) {
		next_candidate(c, a);
		return;
	}
	if (!answered || a->tsig_error != 0 || a->trust != RFC2136_GOOD) {
		judge_failure(c, a, &o);
		finish(c, &o);
		return;
	}
	/* Beneath a cut the parent's server would take the record, and nobody would ever see it. */
	if (a->referral) {
		finish_later(c, FAULT_REFUSED, "no-zone",
			     "it says that this name is delegated to other servers; correct the server");
		return;
	}
	if (!a->authoritative || a->alias || a->zone[0] == '\0') {
		next_candidate(c, a);
		return;
	}
	c->candidate = NULL;
	c->zone = xstrdup(a->zone);
	ask(c);
}

static void on_updated(struct rfc2136_call *c, const struct rfc2136_answer *a)
{
	struct outcome o = OUTCOME_OK;

	if (a->rcode != RCODE_NOERROR || a->tsig_error != 0 || a->trust != RFC2136_GOOD)
		judge_failure(c, a, &o);
	finish(c, &o);
}

static void on_answer(const struct dnswire_result *r, void *owner)
{
	struct rfc2136_call *c = owner;
	struct rfc2136_answer a = { 0 };
	struct err err = ERR_INIT;

	c->wire = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		const struct outcome o = r->outcome;

		finish_later(c, o.fault, o.code, o.message);
		return;
	}
	if (rfc2136_read(&c->message, &c->key, c->candidate, clock_now(), r->answer, r->len, &a, &err) < 0)
		finish_later(c, FAULT_UNCLEAR, "garbage", err.text);
	else if (c->candidate)
		on_zone(c, &a);
	else
		on_updated(c, &a);
}

/* --- calls ----------------------------------------------------------------------------------------- */

static char *without_dot(const char *name)
{
	size_t len = strlen(name);

	return xstrndup(name, len > 1 && name[len - 1] == '.' ? len - 1 : len);
}

void rfc2136_start(struct loop *l, const struct rfc2136_update *u, rfc2136_done_fn *done, void *owner,
		   struct rfc2136_call **ret)
{
	struct rfc2136_call *c = xmalloc(sizeof *c);

	c->loop = l;
	c->done = done;
	c->owner = owner;
	c->key = *u->key;
	c->key.secret = secret_new(secret_bytes(u->key->secret), secret_len(u->key->secret));
	c->server = xstrdup(u->server);
	c->zone = u->zone ? without_dot(u->zone) : NULL;
	c->fqdn = without_dot(u->fqdn);
	c->value = xstrdup(u->value);
	c->u = *u;
	c->u.key = &c->key;
	c->u.fqdn = c->fqdn;
	c->u.value = c->value;
	c->u.server = c->server;
	c->u.zone = NULL;
	c->candidate = c->zone ? NULL : c->fqdn;
	c->started_ms = clock_mono_ms();
	c->later = timer_new(l, on_later, c);
	*ret = c;
	ask(c);
}

void rfc2136_cancel(struct rfc2136_call **c)
{
	struct rfc2136_call *call = TAKE_PTR(*c);

	if (!call || !call->done)
		return;
	call_free(call);
}
