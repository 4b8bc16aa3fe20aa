/* SPDX-License-Identifier: Apache-2.0 */
/* Each proof is a trail: from its name towards the root until a zone is found (dnszone.c), then the same question to all its
 * servers, and on to the next name when they say CNAME. Names on the way are asked once per look, however many proofs pass
 * them. CNAMEs are followed one at a time, because a server's word counts for its own zone only.
 *
 * A good look from here proves little about the CA's other vantage points (anycast, views); a bad one tells exactly what is wrong. */
#include "daemon/dcv/dnslook.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/dcv/dnszone.h"

#include <assert.h>
#include <string.h>

#define AT_ONCE	    8
#define HOPS_MAX    8
#define LOOK_MS	    60000
#define SHOWN_MAX   80
#define VALUE_SHOWN 12
#define SAID_MAX    60

/* What one address said about one name. */
struct result {
	struct outcome outcome;
	char *cname; /* it leads here */
};

struct trail {
	struct dnslook_call *call;
	char *fqdn; /* of the proof */
	char *value;
	enum dnslook_type type;
	char *name;	   /* where we are: fqdn, or behind hops CNAMEs */
	struct zone *zone; /* that was asked for last */
	unsigned hops;
	bool asking; /* the zone's servers */
	bool over;
	struct result *results; /* one per address of the zone */
	size_t n_open;
	struct outcome outcome;
};

struct dnslook_call {
	LIST_ENTRY(dnslook_call) entry;
	struct dnslook *look;
	struct timer *deadline;
	LIST_HEAD(, zone) zones;
	struct zone *given; /* NULL: authoritative servers */
	struct trail *trails;
	size_t n;
	size_t n_over;
	size_t n_answers; /* for the message */
	size_t n_bad;
	size_t n_left_out;
	dnslook_done_fn *done;
	/* of a target call */
	dnslook_target_fn *target_done;
	char *name;
	char *server;
	unsigned hops;
	void *owner;
	bool delivering;
};

struct dnslook {
	struct loop *loop;
	struct asker *asker;
	LIST_HEAD(, dnslook_call) calls;
};

/* --- life of a call ------------------------------------------------------------------------------------- */

static void results_free(struct trail *t)
{
	for (size_t i = 0; t->results && i < t->zone->n_addresses; i++)
		free(t->results[i].cname);
	free(t->results);
	t->results = NULL;
}

static void call_free(struct dnslook_call *c)
{
	struct zone *z = NULL;

	LIST_REMOVE(c, entry);
	asker_cancel(c->look->asker, c);
	for (size_t i = 0; i < c->n; i++) {
		results_free(&c->trails[i]);
		free(c->trails[i].fqdn);
		free(c->trails[i].value);
		free(c->trails[i].name);
	}
	while ((z = LIST_FIRST(&c->zones))) {
		LIST_REMOVE(z, entry);
		zone_free(z);
	}
	zone_free(c->given);
	timer_free(c->deadline);
	free(c->trails);
	free(c->name);
	free(c->server);
	free(c);
}

static void deliver(struct dnslook_call *c, const struct outcome *o)
{
	c->delivering = true;
	if (c->target_done)
		c->target_done(o, o->fault == FAULT_NONE ? c->name : NULL, c->owner);
	else
		c->done(o, c->owner);
	call_free(c);
}

/* What is certain speaks before what is not, and the first proof before the others: the same fault gives the same text. */
static void deliver_look(struct dnslook_call *c)
{
	struct outcome o = OUTCOME_OK;
	char more[120] = "";
	int n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->trails[i].outcome.fault != FAULT_NONE &&
		    (o.fault == FAULT_NONE ||
		     (o.fault != FAULT_REFUSED && c->trails[i].outcome.fault == FAULT_REFUSED)))
			o = c->trails[i].outcome;
	if (c->n_bad > 0)
		n = snprintf(more, sizeof more, " (%zu of %zu answers are bad)", c->n_bad, c->n_answers);
	if (c->n_left_out > 0)
		(void)snprintf(more + n, sizeof more - (size_t)n,
			       "%sIPv6 addresses that were not asked, no route from here: %zu",
			       n > 0 ? "; " : "", c->n_left_out);
	if (more[0] != '\0') {
		const struct outcome plain = o;

		(void)outcome_set(&o, plain.fault, plain.code, "%.*s%s",
				  (int)(OUTCOME_MESSAGE_MAX - 1 - strlen(more)), plain.message, more);
	}
	deliver(c, &o);
}

static void on_deadline(void *arg)
{
	struct dnslook_call *c = arg;
	struct outcome o = OUTCOME_OK;

	asker_cancel(c->look->asker, c);
	for (size_t i = 0; i < c->n; i++)
		if (c->trails[i].outcome.fault == FAULT_REFUSED) {
			deliver_look(c);
			return;
		}
	(void)outcome_set(&o, FAULT_UNCLEAR, "timeout",
			  "the name servers were not done answering within %d s", LOOK_MS / 1000);
	deliver(c, &o);
}

/* --- what the servers of a zone say ----------------------------------------------------------------------- */

static const char *shown(const char *s, char buf[SHOWN_MAX + 1])
{
	return str_escape(s, strlen(s), buf, SHOWN_MAX + 1);
}

/* "ns1.example.jp (192.0.2.1:53)" */
static void show_server(const struct zone_address *a, char buf[200])
{
	char ns[SHOWN_MAX + 1];

	if (a->ns[0] == '\0')
		(void)snprintf(buf, 200, "%.100s", a->server);
	else
		(void)snprintf(buf, 200, "%s (%.100s)", shown(a->ns, ns), a->server);
}

static bool shows(const struct trail *t, const struct dns_answer *answer)
{
	size_t len = strlen(t->value);

	for (size_t i = 0; i < answer->n_values; i++) {
		if (t->type == DNSLOOK_TXT && strstr(answer->values[i], t->value))
			return true;
		if (t->type == DNSLOOK_CNAME && strlen(answer->values[i]) == len &&
		    strcasecmp(answer->values[i], t->value) == 0)
			return true;
	}
	return false;
}

static void judge_values(struct trail *t, const char *server, const struct dns_answer *answer,
			 struct result *r)
{
	const char *type = t->type == DNSLOOK_TXT ? "TXT" : "CNAME";
	char name[SHOWN_MAX + 1];
	char said[SAID_MAX + 1];

	(void)shown(t->name, name);
	if (answer->n_values > 0)
		(void)outcome_set(&r->outcome, FAULT_REFUSED, "wrong_value",
				  "%s: %s of %s is \"%s\"%s, not \"%.*s...\": an old or another record",
				  server, type, name,
				  str_escape(answer->values[0], strlen(answer->values[0]), said, sizeof said),
				  answer->n_values > 1 ? " and others" : "", VALUE_SHOWN, t->value);
	else if (!answer->nxdomain && !answer->authoritative && !t->call->given)
		(void)outcome_set(
			&r->outcome, FAULT_REFUSED, "lame",
			"%s: has no %s record at %s and does not serve its zone: correct the NS records",
			server, type, name);
	else
		(void)outcome_set(
			&r->outcome, FAULT_REFUSED, answer->nxdomain ? "nxdomain" : "no_data",
			"%s: %s %s: the record (\"%.*s...\") is not written, or has not reached this "
			"server yet",
			server, answer->nxdomain ? "there is no name" : "no such record at", name,
			VALUE_SHOWN, t->value);
}

static void judge_failure(struct zone_address *a, const struct dns_answer *answer, struct result *r)
{
	const char *code = answer->outcome.code;
	bool loop = strcmp(code, "cname_loop") == 0;
	char ns[SHOWN_MAX + 1];

	(void)outcome_set(&r->outcome, loop ? FAULT_REFUSED : FAULT_UNCLEAR, code, "%s%s%s", shown(a->ns, ns),
			  a->ns[0] == '\0' ? "" : ": ", answer->outcome.message);
	if (strcmp(code, "timeout") == 0 || strcmp(code, "connect") == 0 || strcmp(code, "no_route") == 0)
		a->dead = r->outcome;
}

/* IPv6 without a route, from a server that answers by IPv4. */
static bool may_leave_out(const struct trail *t, size_t i)
{
	const struct zone *z = t->zone;

	if (!z->addresses[i].v6 || strcmp(t->results[i].outcome.code, "no_route") != 0)
		return false;
	for (size_t j = 0; j < z->n_addresses; j++)
		if (!z->addresses[j].v6 && strcmp(z->addresses[j].ns, z->addresses[i].ns) == 0 &&
		    t->results[j].outcome.fault != FAULT_UNCLEAR)
			return true;
	return false;
}

static void count_answer(struct trail *t, const struct outcome *o)
{
	t->call->n_answers++;
	if (o->fault == FAULT_NONE)
		return;
	t->call->n_bad++;
	if (t->outcome.fault == FAULT_NONE ||
	    (t->outcome.fault != FAULT_REFUSED && o->fault == FAULT_REFUSED))
		t->outcome = *o;
}

/* Where the servers say that the name leads, or NULL. */
static const char *judge_all(struct trail *t)
{
	struct zone *z = t->zone;
	const char *cname = NULL;
	char server[200];
	char a[SHOWN_MAX + 1];
	char b[SHOWN_MAX + 1];

	for (size_t i = 0; i < z->n_addresses; i++) {
		struct result *r = &t->results[i];

		if (may_leave_out(t, i)) {
			t->call->n_left_out += z->addresses[i].left_out ? 0 : 1;
			z->addresses[i].left_out = true;
			continue;
		}
		cname = cname ? cname : r->cname;
		if (r->cname && strcasecmp(r->cname, cname) != 0) {
			show_server(&z->addresses[i], server);
			(void)outcome_set(&r->outcome, FAULT_REFUSED, "cname_differs",
					  "%s: the CNAME leads to %s, other servers say %s", server,
					  shown(r->cname, a), shown(cname, b));
		}
		count_answer(t, &r->outcome);
	}
	if (z->outcome.fault != FAULT_NONE)
		count_answer(t, &z->outcome);
	return cname;
}

/* --- trails --------------------------------------------------------------------------------------------- */

static void trail_walk(struct trail *t);

static void maybe_deliver(struct dnslook_call *c)
{
	if (c->n_over == c->n)
		deliver_look(c);
}

static void trail_end(struct trail *t)
{
	results_free(t);
	t->over = true;
	t->call->n_over++;
}

static void on_zone(struct zone *z)
{
	struct dnslook_call *c = z->owner;

	for (size_t i = 0; i < c->n; i++)
		if (c->trails[i].zone == z)
			trail_walk(&c->trails[i]);
	maybe_deliver(c);
}

static struct zone *zone_of(struct dnslook_call *c, const char *name)
{
	struct zone *z = c->given;

	if (z)
		return z;
	LIST_FOREACH(z, &c->zones, entry)
	{
		if (strcasecmp(z->name, name) == 0)
			return z;
	}
	z = zone_new(c->look->asker, name, c, on_zone, c);
	LIST_INSERT_HEAD(&c->zones, z, entry);
	return z;
}

static void trail_follow(struct trail *t, const char *cname)
{
	char *next = xstrdup(cname);
	char a[SHOWN_MAX + 1];
	char b[SHOWN_MAX + 1];

	if (t->hops++ == HOPS_MAX) {
		(void)outcome_set(&t->outcome, FAULT_REFUSED, "cname_loop",
				  "%s: more than %d CNAMEs, the last one to %s: correct the delegation",
				  shown(t->fqdn, a), HOPS_MAX, shown(next, b));
		t->call->n_bad++;
		free(next);
		trail_end(t);
		return;
	}
	results_free(t);
	free(t->name);
	t->name = next;
	t->zone = zone_of(t->call, t->name);
}

static void trail_judge(struct trail *t)
{
	const char *cname = judge_all(t);

	t->asking = false;
	if (t->outcome.fault == FAULT_NONE && cname)
		trail_follow(t, cname);
	else
		trail_end(t);
}

static void on_proof(const struct ask *a, const struct dns_answer *answer)
{
	struct trail *t = a->arg;
	struct zone_address *address = &t->zone->addresses[a->i];
	struct result *r = &t->results[a->i];
	char server[200];

	show_server(address, server);
	if (answer->outcome.fault != FAULT_NONE)
		judge_failure(address, answer, r);
	else if (answer->cname && (!t->call->given || answer->n_values == 0))
		r->cname = xstrdup(answer->cname);
	else if (!shows(t, answer))
		judge_values(t, server, answer, r);
	if (--t->n_open > 0)
		return;
	trail_judge(t);
	trail_walk(t);
	maybe_deliver(t->call);
}

static void trail_ask(struct trail *t)
{
	struct dnslook_call *c = t->call;
	struct zone *z = t->zone;
	struct ask a = { .name = t->name,
			 .type = t->type == DNSLOOK_TXT ? DNS_TXT : DNS_CNAME,
			 .recurse = c->given,
			 .then = on_proof,
			 .job = c,
			 .arg = t };

	t->asking = true;
	t->results = xcalloc(z->n_addresses, sizeof *t->results);
	for (a.i = 0; a.i < z->n_addresses; a.i++) {
		if (z->addresses[a.i].dead.fault != FAULT_NONE) {
			t->results[a.i].outcome = z->addresses[a.i].dead;
			continue;
		}
		a.server = z->addresses[a.i].server;
		t->n_open++;
		asker_ask(c->look->asker, &a);
	}
	if (t->n_open == 0)
		trail_judge(t);
}

/* The rest of a name behind its first label, or NULL. */
static const char *parent_of(const char *name)
{
	for (; *name != '\0' && *name != '.'; name++)
		if (name[0] == '\\' && name[1] != '\0')
			name++;
	return name[0] == '.' && name[1] != '\0' ? name + 1 : NULL;
}

static void trail_up(struct trail *t)
{
	const char *up = parent_of(t->zone->name);
	struct outcome o = OUTCOME_OK;
	char name[SHOWN_MAX + 1];

	if (up) {
		t->zone = zone_of(t->call, up);
		return;
	}
	(void)outcome_set(&o, FAULT_UNCLEAR, "no_zone", "no zone was found for %s: is the domain registered?",
			  shown(t->name, name));
	count_answer(t, &o);
	trail_end(t);
}

/* As far as it goes without waiting. */
static void trail_walk(struct trail *t)
{
	while (!t->over && !t->asking) {
		switch (t->zone->state) {
		case ZONE_ASKING: return;
		case ZONE_NONE: trail_up(t); break;
		case ZONE_READY: trail_ask(t); break;
		case ZONE_FAILED:
			count_answer(t, &t->zone->outcome);
			trail_end(t);
			break;
		}
	}
}

/* --- calls ------------------------------------------------------------------------------------------------ */

/* Without a final dot. */
static char *dup_name(const char *name)
{
	size_t len = strlen(name);

	return xstrndup(name, len > 0 && name[len - 1] == '.' ? len - 1 : len);
}

static struct dnslook_call *call_new(struct dnslook *d, void *owner, struct dnslook_call **ret)
{
	struct dnslook_call *c = xmalloc(sizeof *c);

	c->look = d;
	c->owner = owner;
	c->deadline = timer_new(d->loop, on_deadline, c);
	timer_set(c->deadline, LOOK_MS);
	LIST_INIT(&c->zones);
	LIST_INSERT_HEAD(&d->calls, c, entry);
	if (ret)
		*ret = c;
	return c;
}

void dnslook_start(struct dnslook *d, const struct dnslook_proof *proofs, size_t n, const char *server,
		   dnslook_done_fn *done, void *owner, struct dnslook_call **ret)
{
	struct dnslook_call *c = call_new(d, owner, ret);

	assert(n > 0);
	c->done = done;
	c->given = server ? zone_new_given(server) : NULL;
	c->n = n;
	c->trails = xcalloc(n, sizeof *c->trails);
	for (size_t i = 0; i < n; i++) {
		struct trail *t = &c->trails[i];

		t->call = c;
		t->fqdn = dup_name(proofs[i].fqdn);
		t->name = xstrdup(t->fqdn);
		t->type = proofs[i].type;
		t->value = t->type == DNSLOOK_CNAME ? dup_name(proofs[i].value) : xstrdup(proofs[i].value);
		t->zone = zone_of(c, t->name);
	}
	for (size_t i = 0; i < n; i++)
		trail_walk(&c->trails[i]); /* only asks: no answer can be here yet */
}

void dnslook_cancel(struct dnslook_call **call)
{
	struct dnslook_call *c = *call;

	*call = NULL;
	if (c && !c->delivering)
		call_free(c);
}

static void target_ask(struct dnslook_call *c);

static void on_target(const struct ask *a, const struct dns_answer *answer)
{
	struct dnslook_call *c = a->arg;
	struct outcome o = answer->outcome;
	char from[SHOWN_MAX + 1];

	if (o.fault == FAULT_NONE && answer->n_values > 0 && c->hops++ < HOPS_MAX) {
		free(c->name);
		c->name = xstrdup(answer->values[0]);
		target_ask(c);
		return;
	}
	if (o.fault != FAULT_NONE)
		o.fault = FAULT_UNCLEAR;
	else if (answer->n_values > 0)
		(void)outcome_set(&o, FAULT_REFUSED, "cname_loop",
				  "more than %d CNAMEs lead to %s: correct the delegation", HOPS_MAX,
				  shown(c->name, from));
	deliver(c, &o);
}

static void target_ask(struct dnslook_call *c)
{
	const struct ask a = { .name = c->name,
			       .type = DNS_CNAME,
			       .server = c->server,
			       .recurse = true,
			       .then = on_target,
			       .job = c,
			       .arg = c };

	asker_ask(c->look->asker, &a);
}

void dnslook_target_start(struct dnslook *d, const char *fqdn, const char *server, dnslook_target_fn *done,
			  void *owner, struct dnslook_call **ret)
{
	struct dnslook_call *c = call_new(d, owner, ret);

	c->target_done = done;
	c->name = dup_name(fqdn);
	c->server = xstrdup_opt(server);
	target_ask(c);
}

int dnslook_new(struct loop *l, struct dnslook **ret, struct err *reterr)
{
	_cleanup_free_ struct dnslook *d = xmalloc(sizeof *d);
	int r = asker_new(l, AT_ONCE, &d->asker, reterr);

	if (r < 0)
		return r;
	d->loop = l;
	LIST_INIT(&d->calls);
	*ret = TAKE_PTR(d);
	return 0;
}

void dnslook_free(struct dnslook *d)
{
	struct dnslook_call *c = NULL;

	if (!d)
		return;
	while ((c = LIST_FIRST(&d->calls))) {
		assert(!c->delivering);
		call_free(c);
	}
	asker_free(d->asker);
	free(d);
}

void dnslook_use_resolver(struct dnslook *d, const char *resolver, unsigned port)
{
	asker_use_resolver(d->asker, resolver, port);
}
