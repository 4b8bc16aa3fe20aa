/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at all addresses of a target in rounds: find the addresses, a handshake with each, and, while something is wrong and there is
 * time to settle, a pause and all of it again. Every round begins from nothing, so what counts is that all addresses were right in one and
 * the same round, whatever DNS or a load balancer changed meanwhile.
 *
 * A server may have certificates for RSA and for ECDSA, and only one of them is ours. The first look is that of a browser. When it shows a
 * certificate of the other kind, a second look asks for our kind. */
#include "daemon/deploy/verify.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/deploy/tlslook.h"
#include "daemon/io/blame.h"
#include "daemon/io/dns.h"
#include "daemon/pki/served.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define AT_ONCE	       4
#define DNS_TIMEOUT_MS 10000
#define PAUSE_FIRST_MS 1000
#define PAUSE_MAX_MS   15000
#define PAUSE_PARTS    8 /* the first pause is at most this part of the whole time */
#define SHOWN_MAX      72
#define DAY_LEN	       10 /* "2026-11-21" */

/* The greatest one of all addresses is told. */
enum trouble {
	TROUBLE_NONE,
	TROUBLE_NO_ROUTE,
	TROUBLE_CONNECT,
	TROUBLE_TLS,
	TROUBLE_INCOMPLETE,
	TROUBLE_EXPIRED,
	TROUBLE_OLDER,
	TROUBLE_OTHER,
};

/* One address. */
struct spot {
	struct verify_call *call;
	struct sockaddr_storage at;
	char shown[SHOWN_MAX]; /* "[::1]:443" */
	struct tlslook *look;
	bool second; /* asks for our kind of certificate */
	enum trouble trouble;
	struct served_facts facts; /* of what is served */
	char missing[SERVED_NAME_MAX];
	struct outcome outcome; /* of NO_ROUTE, CONNECT, TLS */
};

struct verify {
	struct loop *loop;
	struct dns *dns;
	LIST_HEAD(, verify_call) calls;
};

struct verify_call {
	LIST_ENTRY(verify_call) entry;
	struct verify *verify;
	struct wanted *wanted;
	struct err wanted_err; /* when there is none */
	char *host, *server_name;
	char *blame; /* for which domain */
	uint16_t port;
	verify_done_fn *done;
	void *owner;
	struct timer *timer;
	int64_t settle_until_ms, pause_ms;
	struct dns_call *dns_call;
	struct outcome resolve;		  /* NONE: there are addresses */
	size_t n_found;			  /* of which VERIFY_ADDRESSES_MAX are looked at */
	size_t n_spots, n_begun, n_ended; /* of this round */
	struct spot spots[VERIFY_ADDRESSES_MAX];
};

static void begin_looks(struct verify_call *c);

/* --- life of a call ----------------------------------------------------------------------------------------- */

static void call_free(struct verify_call *c)
{
	LIST_REMOVE(c, entry);
	for (size_t i = 0; i < c->n_spots; i++)
		tlslook_cancel(&c->spots[i].look);
	dns_cancel(&c->dns_call);
	timer_free(c->timer);
	wanted_free(c->wanted);
	free(c->host);
	free(c->server_name);
	free(c->blame);
	free(c);
}

static void deliver(struct verify_call *c, const struct verify_result *r)
{
	verify_done_fn *done = c->done;
	void *owner = c->owner;

	call_free(c);
	done(r, owner);
}

/* --- the verdict --------------------------------------------------------------------------------------------- */

static bool is_family(const struct spot *s, sa_family_t family)
{
	return s->at.ss_family == family;
}

/* IPv4 or IPv6 that this machine does not have, while the other one works: what is served there cannot be seen from here, and nobody
 * has done anything wrong. */
static bool is_out_of_sight(const struct verify_call *c, sa_family_t family)
{
	bool others = false;

	for (size_t i = 0; i < c->n_spots; i++) {
		const struct spot *s = &c->spots[i];
		bool no_route = s->trouble == TROUBLE_NO_ROUTE;

		if (is_family(s, family) && !no_route)
			return false;
		others = others || (!is_family(s, family) && !no_route);
	}
	return others;
}

/* Whom to tell about: the address with the greatest trouble; NULL when all is well. */
static const struct spot *worst(const struct verify_call *c, unsigned *ret_n, bool *ret_is_old)
{
	const struct spot *ret = NULL;
	unsigned n_other = 0, n_old = 0;

	*ret_n = 0;
	for (size_t i = 0; i < c->n_spots; i++) {
		const struct spot *s = &c->spots[i];

		if (s->trouble == TROUBLE_NONE ||
		    (s->trouble == TROUBLE_NO_ROUTE && is_out_of_sight(c, s->at.ss_family)))
			continue;
		++*ret_n;
		n_old += s->trouble == TROUBLE_OLDER;
		n_other += s->trouble > TROUBLE_TLS && s->trouble != TROUBLE_OLDER;
		if (!ret || s->trouble > ret->trouble)
			ret = s;
	}
	*ret_is_old = n_old > 0 && n_other == 0;
	return ret;
}

static const char *day(int64_t at, char buf[TIMEFMT_MAX])
{
	(void)timefmt_rfc3339(at, buf);
	buf[DAY_LEN] = '\0';
	return buf;
}

static void tell_served(const struct verify_call *c, const struct spot *s, const char *first,
			struct outcome *ret)
{
	const struct served_facts *f = &s->facts;
	struct served_facts ours;
	char until[TIMEFMT_MAX], our_until[TIMEFMT_MAX];

	wanted_facts(c->wanted, &ours);
	(void)day(f->not_after, until);
	(void)day(ours.not_after, our_until);
	if (s->trouble == TROUBLE_OTHER)
		(void)outcome_set(
			ret, FAULT_LOCAL, "not-served",
			"%s%s serves the certificate %s (until %s, of %.50s), not %s (until %s): which "
			"files does that server read, and is it ours?",
			first, s->shown, f->serial, until, f->issuer, ours.serial, our_until);
	else if (s->trouble == TROUBLE_OLDER)
		(void)outcome_set(
			ret, FAULT_LOCAL, "not-served",
			"%s%s still serves our previous certificate %s (until %s), not %s (until %s): was it "
			"reloaded, and does it read the files below live?",
			first, s->shown, f->serial, until, ours.serial, our_until);
	else if (s->trouble == TROUBLE_EXPIRED)
		(void)outcome_set(
			ret, FAULT_LOCAL, "expired",
			"%s%s serves our certificate %s (until %s), but it or an intermediate of it has "
			"expired: it has to be renewed",
			first, s->shown, f->serial, until);
	else
		(void)outcome_set(
			ret, FAULT_LOCAL, "chain-incomplete",
			"%s%s serves our certificate %s without the intermediate \"%s\": the server "
			"has to read fullchain.pem, not cert.pem",
			first, s->shown, f->serial, s->missing);
}

static void tell(const struct verify_call *c, const struct spot *s, unsigned n, struct outcome *ret)
{
	char first[64] = "";

	if (n > 1)
		(void)snprintf(first, sizeof first, "%u of %zu addresses are wrong: ", n, c->n_spots);
	if (s->trouble > TROUBLE_TLS)
		tell_served(c, s, first, ret);
	else
		(void)outcome_set(ret, s->outcome.fault, s->outcome.code, "%s%s %s", first, s->shown,
				  s->outcome.message);
}

/* The first address that was not looked at, in an outcome that says that all is well. */
static void note_unseen(const struct verify_call *c, struct outcome *ret)
{
	static const struct {
		sa_family_t family;
		const char *name;
	} families[] = { { AF_INET6, "IPv6" }, { AF_INET, "IPv4" } };

	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		for (size_t i = 0; i < c->n_spots; i++)
			if (is_family(&c->spots[i], families[f].family) &&
			    is_out_of_sight(c, families[f].family)) {
				(void)outcome_set(ret, FAULT_NONE, "",
						  "%s was not looked at: this machine has no route for %s",
						  c->spots[i].shown, families[f].name);
				return;
			}
	if (c->n_found > c->n_spots)
		(void)outcome_set(ret, FAULT_NONE, "", "of %zu addresses %zu were looked at", c->n_found,
				  c->n_spots);
}

static void round_over(struct verify_call *c)
{
	struct verify_result r = { .outcome = c->resolve };
	int64_t left_ms = c->settle_until_ms - clock_mono_ms();
	unsigned n = 0;
	const struct spot *s = worst(c, &n, &r.is_old);

	if ((s || r.outcome.fault != FAULT_NONE) && left_ms > 0) {
		timer_set(c->timer, MIN(c->pause_ms, left_ms));
		c->pause_ms = MIN(2 * c->pause_ms, PAUSE_MAX_MS);
		return;
	}
	if (s)
		tell(c, s, n, &r.outcome);
	else if (r.outcome.fault == FAULT_NONE)
		note_unseen(c, &r.outcome);
	deliver(c, &r);
}

/* --- one address ---------------------------------------------------------------------------------------------- */

/* An address of a kind that this machine does not have (EADDRNOTAVAIL: IPv6 is switched off). */
static bool is_no_route(int error)
{
	return error == -ENETUNREACH || error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
}

static enum trouble trouble_of(enum served_verdict v)
{
	switch (v) {
	case SERVED_OURS: return TROUBLE_NONE;
	case SERVED_OTHER: return TROUBLE_OTHER;
	case SERVED_OLDER: return TROUBLE_OLDER;
	case SERVED_EXPIRED: return TROUBLE_EXPIRED;
	case SERVED_INCOMPLETE: return TROUBLE_INCOMPLETE;
	}
	return TROUBLE_OTHER;
}

static void on_look(const struct tlslook_result *r, void *owner);

static void look(struct spot *s)
{
	const struct verify_call *c = s->call;
	const struct tlslook_ask ask = {
		.to = s->at,
		.server_name = c->server_name,
		.kind = s->second ? wanted_kind(c->wanted) : SERVED_KIND_ANY,
	};

	tlslook_start(c->verify->loop, &ask, on_look, s, &s->look);
}

/* May the server have our kind of certificate too? */
static bool needs_second(const struct spot *s, const struct served *served)
{
	enum served_kind ours = wanted_kind(s->call->wanted);

	return !s->second && ours != SERVED_KIND_ANY && served_leaf_kind(served) != ours;
}

static void take_served(struct spot *s, const struct served *served)
{
	s->trouble = trouble_of(served_judge(served, s->call->wanted, clock_now(), s->missing));
	served_facts(served, &s->facts);
}

static void take_failure(struct spot *s, const struct tlslook_result *r)
{
	if (s->second) /* the first look stands */
		return;
	s->outcome = r->outcome;
	if (is_no_route(r->error))
		s->trouble = TROUBLE_NO_ROUTE;
	else
		s->trouble = r->error < 0 ? TROUBLE_CONNECT : TROUBLE_TLS;
}

static void on_look(const struct tlslook_result *r, void *owner)
{
	struct spot *s = owner;
	struct verify_call *c = s->call;

	s->look = NULL;
	if (r->served)
		take_served(s, r->served);
	else
		take_failure(s, r);
	if (r->served && needs_second(s, r->served)) {
		s->second = true;
		look(s);
		return;
	}
	c->n_ended++;
	begin_looks(c);
}

/* --- a round ---------------------------------------------------------------------------------------------------- */

static void begin_looks(struct verify_call *c)
{
	if (c->n_ended == c->n_spots) {
		round_over(c);
		return;
	}
	while (c->n_begun < c->n_spots && c->n_begun - c->n_ended < AT_ONCE)
		look(&c->spots[c->n_begun++]);
}

static void add_spot(struct verify_call *c, const struct sockaddr_storage *at)
{
	struct spot *s = &c->spots[c->n_spots];
	struct sockaddr_in *v4 = (struct sockaddr_in *)&s->at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s->at;
	bool is_v6 = at->ss_family == AF_INET6;
	char text[SHOWN_MAX - 10] = "?";

	c->n_found++;
	if (c->n_spots == VERIFY_ADDRESSES_MAX)
		return;
	*s = (struct spot){ .call = c, .at = *at };
	if (is_v6)
		v6->sin6_port = htons(c->port);
	else
		v4->sin_port = htons(c->port);
	(void)getnameinfo((const struct sockaddr *)&s->at, is_v6 ? sizeof *v6 : sizeof *v4, text, sizeof text,
			  NULL, 0, NI_NUMERICHOST);
	(void)snprintf(s->shown, sizeof s->shown, is_v6 ? "[%s]:%u" : "%s:%u", text, c->port);
	c->n_spots++;
}

static void on_addresses(const struct dns_addresses *a, void *owner)
{
	struct verify_call *c = owner;
	_cleanup_free_ char *name = xstrdup_opt(c->blame); /* outlives c */
	BLAME(name);

	c->dns_call = NULL;
	if (a->outcome.fault != FAULT_NONE)
		(void)outcome_set(&c->resolve, FAULT_UNSENT, "resolve",
				  "the addresses of %.100s cannot be found: %.200s", c->host,
				  a->outcome.message);
	for (size_t i = 0; i < a->n; i++)
		add_spot(c, &a->at[i]);
	begin_looks(c);
}

/* Only numbers: never asks anybody. */
static bool add_literal(struct verify_call *c)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	struct sockaddr_storage at = { 0 };

	if (getaddrinfo(c->host, NULL, &hints, &ai) != 0)
		return false;
	memcpy(&at, ai->ai_addr, MIN(ai->ai_addrlen, sizeof at));
	freeaddrinfo(ai);
	add_spot(c, &at);
	return true;
}

/* The timer: the first turn, and the end of each pause. */
static void begin_round(void *arg)
{
	struct verify_call *c = arg;
	struct verify_result r = { 0 };
	const struct dns_query q = { .name = c->host, .timeout_ms = DNS_TIMEOUT_MS };
	_cleanup_free_ char *name = xstrdup_opt(c->blame);
	BLAME(name);

	if (!c->wanted) {
		(void)outcome_set(&r.outcome, FAULT_LOCAL, "files",
				  "the installed certificate cannot be read: %s", c->wanted_err.text);
		deliver(c, &r);
		return;
	}
	c->resolve = (struct outcome)OUTCOME_OK;
	c->n_found = c->n_spots = c->n_begun = c->n_ended = 0;
	if (add_literal(c))
		begin_looks(c);
	else
		dns_addresses_start(c->verify->dns, &q, on_addresses, c, &c->dns_call);
}

/* --- start and cancel ---------------------------------------------------------------------------------------------- */

/* "ADDR:PORT", "[v6]:PORT", "HOST:PORT", as the configuration has checked it. */
static void split(struct verify_call *c, const char *connect)
{
	const char *colon = strrchr(connect, ':');
	size_t len = colon ? (size_t)(colon - connect) : strlen(connect);

	c->port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
	if (len >= 2 && connect[0] == '[' && connect[len - 1] == ']')
		c->host = xstrndup(connect + 1, len - 2);
	else
		c->host = xstrndup(connect, len);
}

void verify_start(struct verify *v, const struct verify_ask *ask, verify_done_fn *done, void *owner,
		  struct verify_call **ret)
{
	struct verify_call *c = xmalloc(sizeof *c);

	c->verify = v;
	c->done = done;
	c->owner = owner;
	c->server_name = xstrdup(ask->target->server_name);
	split(c, ask->target->connect);
	c->blame = xstrdup_opt(blame_name());
	if (wanted_new(ask->fullchain, ask->older, &c->wanted, &c->wanted_err) < 0)
		c->wanted = NULL; /* told in the first turn */
	c->settle_until_ms = clock_mono_ms() + ask->settle_ms;
	c->pause_ms = MAX(1, MIN(PAUSE_FIRST_MS, ask->settle_ms / PAUSE_PARTS));
	c->timer = timer_new(v->loop, begin_round, c);
	timer_set(c->timer, 0);
	LIST_INSERT_HEAD(&v->calls, c, entry);
	if (ret)
		*ret = c;
}

void verify_cancel(struct verify_call **c)
{
	struct verify_call *mine = *c;

	*c = NULL;
	if (mine)
		call_free(mine);
}

int verify_new(struct loop *l, struct verify **ret, struct err *reterr)
{
	_cleanup_free_ struct verify *v = xmalloc(sizeof *v);
	int r = dns_new(l, &v->dns, reterr);

	if (r < 0)
		return r;
	v->loop = l;
	LIST_INIT(&v->calls);
	*ret = TAKE_PTR(v);
	return 0;
}

void verify_free(struct verify *v)
{
	struct verify_call *c = NULL;

	if (!v)
		return;
	while ((c = LIST_FIRST(&v->calls)))
		call_free(c);
	dns_free(v->dns);
	free(v);
}
