/* SPDX-License-Identifier: Apache-2.0 */
/* Questions in a bounded number, and zones: is there a SOA record at this very name, which servers does its NS set name, and which
 * addresses do they have? The walk from a name towards the root is the caller's. */
#include "daemon/dcv/dnszone.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>

#define PORT	  53
#define SHOWN_MAX 100

TAILQ_HEAD(ask_list, ask);

struct asker {
	struct dns *dns;
	struct ask_list asks; /* those under way come first */
	unsigned n_at_once;
	unsigned n_running;
	char *resolver;
	unsigned port;
};

/* --- questions ---------------------------------------------------------------------------------------- */

static void on_answer(const struct dns_answer *answer, void *owner);

static void pump(struct asker *asker)
{
	struct ask *a = NULL;

	TAILQ_FOREACH(a, &asker->asks, entry)
	{
		if (asker->n_running >= asker->n_at_once)
			return;
		if (!a->dns_call) {
			const struct dns_query q = { .name = a->name,
						     .type = a->type,
						     .server = a->server ? a->server : asker->resolver,
						     .recurse = a->recurse };

			asker->n_running++;
			dns_start(asker->dns, &q, on_answer, a, &a->dns_call);
		}
	}
}

static void ask_free(struct ask *a)
{
	free(a->name);
	free(a->server);
	free(a);
}

static void on_answer(const struct dns_answer *answer, void *owner)
{
	struct ask *a = owner;
	struct asker *asker = a->asker;

	TAILQ_REMOVE(&asker->asks, a, entry);
	asker->n_running--;
	a->then(a, answer);
	ask_free(a);
	pump(asker);
}

void asker_ask(struct asker *asker, const struct ask *what)
{
	struct ask *a = xmemdup(what, sizeof *what);

	a->asker = asker;
	a->dns_call = NULL;
	a->name = xstrdup(what->name);
	a->server = xstrdup_opt(what->server);
	TAILQ_INSERT_TAIL(&asker->asks, a, entry);
	pump(asker);
}

void asker_cancel(struct asker *asker, const void *job)
{
	struct ask *next = NULL;

	for (struct ask *a = TAILQ_FIRST(&asker->asks); a; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (a->job != job)
			continue;
		asker->n_running -= a->dns_call ? 1 : 0;
		dns_cancel(&a->dns_call);
		TAILQ_REMOVE(&asker->asks, a, entry);
		ask_free(a);
	}
	pump(asker);
}

int asker_new(struct loop *l, unsigned n_at_once, struct asker **ret, struct err *reterr)
{
	_cleanup_free_ struct asker *a = xmalloc(sizeof *a);
	int r = dns_new(l, &a->dns, reterr);

	if (r < 0)
		return r;
	TAILQ_INIT(&a->asks);
	a->n_at_once = n_at_once;
	a->port = PORT;
	*ret = TAKE_PTR(a);
	return 0;
}

void asker_free(struct asker *a)
{
	if (!a)
		return;
	dns_free(a->dns);
	free(a->resolver);
	free(a);
}

void asker_use_resolver(struct asker *a, const char *resolver, unsigned port)
{
	free(a->resolver);
	a->resolver = xstrdup_opt(resolver);
	a->port = port;
}

/* --- zones -------------------------------------------------------------------------------------------- */

static const char *shown(const char *s, char buf[SHOWN_MAX + 1])
{
	return str_escape(s, strlen(s), buf, SHOWN_MAX + 1);
}

static void settle(struct zone *z, enum zone_state state)
{
	z->state = state;
	z->changed(z); /* z may be gone now */
}

static void zone_ask(struct zone *z, const char *name, enum dns_type type, size_t i,
		     void (*then)(const struct ask *, const struct dns_answer *))
{
	const struct ask a = { .name = (char *)(uintptr_t)name,
			       .type = type,
			       .recurse = true,
			       .then = then,
			       .job = z->job,
			       .arg = z,
			       .i = i };

	z->n_open++;
	asker_ask(z->asker, &a);
}

static void add_address(struct zone *z, const char *ns, const char *text, bool v6)
{
	struct zone_address *a = &z->addresses[z->n_addresses];

	if (z->n_addresses == ZONE_ADDRESSES_MAX)
		return;
	z->n_addresses++;
	a->ns = xstrdup(ns);
	a->server = xasprintf(v6 ? "[%s]:%u" : "%s:%u", text, z->asker->port);
	a->v6 = v6;
}

static bool has_address(const struct zone *z, const char *ns)
{
	for (size_t i = 0; i < z->n_addresses; i++)
		if (strcmp(z->addresses[i].ns, ns) == 0)
			return true;
	return false;
}

/* A server that certainly has no address misleads nobody: resolvers go to the others. One whose addresses we could not learn
 * may be the one that lags. */
static void addresses_known(struct zone *z)
{
	char name[SHOWN_MAX + 1];

	for (size_t i = 0; i < z->n_ns && z->outcome.fault == FAULT_NONE; i++)
		if (!has_address(z, z->ns[i]))
			z->outcome = z->ns_outcome[i];
	if (z->n_addresses == 0 && z->outcome.fault == FAULT_NONE)
		(void)outcome_set(&z->outcome, FAULT_UNCLEAR, "no_servers",
				  "none of the name servers of %s has an address", shown(z->name, name));
	settle(z, z->n_addresses > 0 ? ZONE_READY : ZONE_FAILED);
}

static void on_address(const struct ask *a, const struct dns_answer *answer)
{
	struct zone *z = a->arg;

	/* A speaks before AAAA: the same fault gives the same text. */
	if (answer->outcome.fault != FAULT_NONE &&
	    (a->type == DNS_A || z->ns_outcome[a->i].fault == FAULT_NONE))
		(void)outcome_set(&z->ns_outcome[a->i], FAULT_UNCLEAR, answer->outcome.code,
				  "the address of name server %.100s is not known: %s", z->ns[a->i],
				  answer->outcome.message);
	for (size_t i = 0; i < answer->n_values; i++)
		add_address(z, z->ns[a->i], answer->values[i], a->type == DNS_AAAA);
	if (--z->n_open == 0)
		addresses_known(z);
}

static void on_ns(const struct ask *a, const struct dns_answer *answer)
{
	struct zone *z = a->arg;

	z->n_open--;
	if (answer->outcome.fault != FAULT_NONE) {
		z->outcome = answer->outcome;
		z->outcome.fault = FAULT_UNCLEAR;
		settle(z, ZONE_FAILED);
		return;
	}
	z->n_ns = MIN(answer->n_values, (size_t)ZONE_SERVERS_MAX);
	for (size_t i = 0; i < z->n_ns; i++)
		z->ns[i] = xstrdup(answer->values[i]);
	for (size_t i = 0; i < z->n_ns; i++) {
		zone_ask(z, z->ns[i], DNS_A, i, on_address);
		zone_ask(z, z->ns[i], DNS_AAAA, i, on_address);
	}
	if (z->n_ns == 0)
		addresses_known(z);
}

/* A resolver follows a CNAME also for SOA, and fails when what stands behind it is broken (or a validator's host that need not
 * exist). That says nothing about the zone of the name itself: a name with a CNAME is no zone's top. */
static void on_cname(const struct ask *a, const struct dns_answer *answer)
{
	struct zone *z = a->arg;

	z->n_open--;
	settle(z, answer->outcome.fault == FAULT_NONE && answer->n_values > 0 ? ZONE_NONE : ZONE_FAILED);
}

static void on_soa(const struct ask *a, const struct dns_answer *answer)
{
	struct zone *z = a->arg;

	z->n_open--;
	if (answer->outcome.fault != FAULT_NONE) {
		z->outcome = answer->outcome;
		z->outcome.fault = FAULT_UNCLEAR;
		zone_ask(z, z->name, DNS_CNAME, 0, on_cname);
	} else if (answer->n_values == 0 ||
		   strcasecmp(answer->owner, z->name) != 0) { /* a CNAME leads elsewhere */
		settle(z, ZONE_NONE);
	} else {
		zone_ask(z, z->name, DNS_NS, 0, on_ns);
	}
}

struct zone *zone_new(struct asker *a, const char *name, const void *job, void (*changed)(struct zone *z),
		      void *owner)
{
	struct zone *z = xmalloc(sizeof *z);

	z->name = xstrdup(name);
	z->asker = a;
	z->job = job;
	z->changed = changed;
	z->owner = owner;
	zone_ask(z, z->name, DNS_SOA, 0, on_soa);
	return z;
}

struct zone *zone_new_given(const char *server)
{
	struct zone *z = xmalloc(sizeof *z);

	z->name = xstrdup("");
	z->state = ZONE_READY;
	z->n_addresses = 1;
	z->addresses[0].ns = xstrdup("");
	z->addresses[0].server = xstrdup(server);
	return z;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	for (size_t i = 0; i < z->n_ns; i++)
		free(z->ns[i]);
	for (size_t i = 0; i < z->n_addresses; i++) {
		free(z->addresses[i].ns);
		free(z->addresses[i].server);
	}
	free(z->name);
	free(z);
}
