/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/dns.h, daemon/dcv/rfc2136.h and the programs of daemon/io/child.h against the simulated zones (zone.h). An update that has
 * left and a program that was begun take effect whatever becomes of the daemon, but sooner than a new life can begin. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/dcv/rfc2136.h"
#include "daemon/io/dns.h"
#include "daemon/io/dnswire.h"
#include "tests/sim/disk.h"
#include "tests/sim/plan.h"
#include "tests/sim/programs.h"
#include "tests/sim/scenario.h"
#include "tests/sim/targets.h"
#include "tests/sim/world.h"
#include "tests/sim/zone.h"

#define UPDATE_MS   15000
#define ARRIVES_MAX 900 /* ms; a life is down for a second at least */

/* --- changes on their way --- */

struct change {
	bool add, cname;
	char *name, *value;
};

static void change_arrives(void *arg)
{
	struct change *c = arg;

	world_trace("dns: %s %s %s", c->add ? "add" : "remove", c->cname ? "CNAME" : "TXT", c->name);
	if (c->add)
		zone_add(c->name, c->cname, c->value);
	else
		zone_remove(c->name, c->cname, c->value);
	free(c->name);
	free(c->value);
	free(c);
	scenario_arrived("POST", "dns");
}

/* In how many milliseconds it takes effect. */
static int64_t send_change(bool add, bool cname, const char *name, const char *value)
{
	struct change *c = xmalloc(sizeof(*c));
	size_t len = strlen(name);
	int64_t ms = world_range(STREAM_DNS, 1, ARRIVES_MAX);

	*c = (struct change){ add, cname, xstrndup(name, len > 0 && name[len - 1] == '.' ? len - 1 : len),
			      xstrdup(value) };
	(void)world_after(OWNER_WORLD, ms, change_arrives, c);
	return ms;
}

/* --- dynamic updates --- */

struct rfc2136_call {
	struct event *event;
	struct outcome outcome;
	rfc2136_done_fn *done;
	void *owner;
};

static void update_over(void *arg)
{
	struct rfc2136_call *c = arg;

	c->event = NULL; /* a cancel from the callback leaves the rest to us */
	c->done(&c->outcome, c->owner);
	free(c);
}

void rfc2136_start(_unused_ struct loop *l, const struct rfc2136_update *u, rfc2136_done_fn *done,
		   void *owner, struct rfc2136_call **ret)
{
	struct rfc2136_call *c = xmalloc(sizeof(*c));
	enum { UNSENT, LOST, ANSWER_LOST };
	bool bad = plan_strikes(TROUBLE_DNS, STREAM_DNS);
	int64_t which = world_range(STREAM_DNS, UNSENT, ANSWER_LOST), ms = world_range(STREAM_DNS, 1, 300);

	disk_point();
	*c = (struct rfc2136_call){ .done = done, .owner = owner };
	if (!bad || which == ANSWER_LOST)
		ms += send_change(u->add, u->type == RFC2136_CNAME, u->fqdn, u->value);
	if (bad) {
		(void)outcome_set(&c->outcome, which == UNSENT ? FAULT_UNSENT : FAULT_UNCLEAR,
				  which == UNSENT ? "connect" : "timeout", "simulated: no answer about %s",
				  u->fqdn);
		world_trace("dns: an update fails: %s", c->outcome.code);
		ms = which == UNSENT ? ms : UPDATE_MS;
	}
	c->event = world_after(OWNER_DAEMON, ms, update_over, c);
	*ret = c;
}

void rfc2136_cancel(struct rfc2136_call **c)
{
	struct rfc2136_call *mine = TAKE_PTR(*c);

	if (!mine || !mine->event)
		return;
	world_drop(&mine->event);
	free(mine);
}

/* --- programs: they add and remove records as well --- */

/* argv: the program, "present" or "cleanup", name, value. */
int64_t dns_program(const struct child_spec *spec, struct child_result *r)
{
	enum { EXIT_BEFORE, EXIT_AFTER, HANGS_AFTER };
	bool bad = plan_strikes(TROUBLE_DNS, STREAM_DNS);
	int64_t which = world_range(STREAM_DNS, EXIT_BEFORE, HANGS_AFTER);
	int64_t ms = world_range(STREAM_DNS, 100, 3000);

	disk_point();
	if (!bad || which != EXIT_BEFORE)
		ms += send_change(strcmp(spec->argv[1], "present") == 0, false, spec->argv[2], spec->argv[3]);
	if (!bad)
		return ms;
	r->exit_code = which == EXIT_BEFORE ? 1 : which == EXIT_AFTER ? 75 : -1;
	r->timed_out = which == HANGS_AFTER;
	world_trace("dns: a program fails: code %d", r->exit_code);
	return which == HANGS_AFTER ? spec->timeout_ms : ms;
}

/* --- looks --- */

struct dns {
	int unused;
};

struct dns_call {
	struct event *event;
	char *name;
	enum dns_type type;
	unsigned server;
	bool recurse;
	struct outcome outcome;
	dns_done_fn *done;
	dns_addresses_fn *found; /* of a look for addresses */
	void *owner;
};

int dns_new(_unused_ struct loop *l, struct dns **ret, _unused_ struct err *reterr)
{
	*ret = xmalloc(sizeof(**ret));
	return 0;
}

void dns_free(struct dns *d)
{
	free(d);
}

/* "10.9.0.2:53" is the second one. A resolver asks any of them. */
static unsigned server_of(const char *text)
{
	unsigned n = 0;

	if (text && sscanf(text, "10.9.0.%u:53", &n) == 1 && n >= 1 && n <= ZONE_SERVERS)
		return n - 1;
	return (unsigned)world_range(STREAM_DNS, 0, ZONE_SERVERS - 1);
}

/* The zones' own records. Returns how many there are. */
static size_t own_records(const struct dns_call *c, const char *ret[ZONE_SERVERS])
{
	static char address[32];

	if (c->type == DNS_SOA && zone_is_top(c->name)) {
		ret[0] = "ns1.sim.example. hostmaster.sim.example. 1 7200 3600 1209600 300";
		return 1;
	}
	for (unsigned i = 0; i < ZONE_SERVERS; i++) {
		if (c->type == DNS_NS && zone_is_top(c->name)) {
			ret[i] = zone_server_name(i);
		} else if (c->type == DNS_A && strcmp(c->name, zone_server_name(i)) == 0) {
			snprintf(address, sizeof(address), "10.9.0.%u", i + 1);
			ret[0] = address;
			return 1;
		}
	}
	return c->type == DNS_NS && zone_is_top(c->name) ? ZONE_SERVERS : 0;
}

static void look_over(void *arg)
{
	struct dns_call *c = arg;
	struct dns_answer a = { .outcome = c->outcome, .authoritative = !c->recurse, .owner = "" };
	const char *own[ZONE_SERVERS];
	struct zone_view v;

	c->event = NULL;
	zone_look(c->server, c->name, &v);
	a.values = own;
	a.n_values = own_records(c, own);
	if (c->type == DNS_CNAME && v.cname) {
		own[0] = v.cname;
		a.n_values = 1;
	} else if (c->type == DNS_TXT) {
		a.cname = v.cname;
		a.values = v.txt;
		a.n_values = v.n;
	}
	if (a.n_values > 0)
		a.owner = c->name;
	if (c->outcome.fault != FAULT_NONE)
		a = (struct dns_answer){ .outcome = c->outcome, .owner = "" };
	c->done(&a, c->owner);
	free(c->name);
	free(c);
}

void dns_start(_unused_ struct dns *d, const struct dns_query *q, dns_done_fn *done, void *owner,
	       struct dns_call **ret)
{
	struct dns_call *c = xmalloc(sizeof(*c));
	bool bad = plan_strikes(TROUBLE_DNS, STREAM_DNS);
	int64_t ms = world_range(STREAM_DNS, 1, 60);

	*c = (struct dns_call){ .name = xstrdup(q->name),
				.type = q->type,
				.server = server_of(q->server),
				.recurse = q->recurse,
				.done = done,
				.owner = owner };
	if (bad && ms % 2)
		(void)outcome_set(&c->outcome, FAULT_UNCLEAR, "servfail", "simulated: SERVFAIL");
	else if (bad)
		(void)outcome_set(&c->outcome, FAULT_UNCLEAR, "timeout", "simulated: no answer");
	c->event = world_after(OWNER_DAEMON, bad && ms % 2 == 0 ? 5000 : ms, look_over, c);
	if (ret)
		*ret = c;
}

/* The addresses of web servers (targets.h). */
static void addresses_over(void *arg)
{
	struct dns_call *c = arg;
	struct sockaddr_storage at[NODES_MAX] = { 0 };
	unsigned x[NODES_MAX], y[NODES_MAX], n = targets_addresses(c->name, x, y);
	struct dns_addresses a = { .outcome = c->outcome, .at = at };

	c->event = NULL;
	for (unsigned i = 0; i < n; i++) {
		struct sockaddr_in *in = (struct sockaddr_in *)&at[i];

		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(10U << 24 | 8U << 16 | x[i] << 8 | y[i]);
	}
	if (a.outcome.fault == FAULT_NONE && n == 0)
		(void)outcome_set(&a.outcome, FAULT_UNSENT, "no_address", "simulated: no address");
	a.n = a.outcome.fault == FAULT_NONE ? n : 0;
	c->found(&a, c->owner);
	free(c->name);
	free(c);
}

void dns_addresses_start(_unused_ struct dns *d, const struct dns_query *q, dns_addresses_fn *done,
			 void *owner, struct dns_call **ret)
{
	struct dns_call *c = xmalloc(sizeof(*c));
	bool bad = plan_strikes(TROUBLE_DNS, STREAM_TARGETS);
	int64_t ms = bad ? 5000 : world_range(STREAM_TARGETS, 1, 60);

	*c = (struct dns_call){ .name = xstrdup(q->name), .found = done, .owner = owner };
	if (bad)
		(void)outcome_set(&c->outcome, FAULT_UNCLEAR, "timeout", "simulated: no answer");
	c->event = world_after(OWNER_DAEMON, ms, addresses_over, c);
	if (ret)
		*ret = c;
}

void dns_cancel(struct dns_call **c)
{
	struct dns_call *mine = TAKE_PTR(*c);

	if (!mine || !mine->event)
		return;
	world_drop(&mine->event);
	free(mine->name);
	free(mine);
}

/* --- messages: rfc2136_start() above is in front of them --- */

void dnswire_start(_unused_ struct loop *l, _unused_ const struct dnswire_query *q,
		   _unused_ dnswire_done_fn *done, _unused_ void *owner, _unused_ struct dnswire_call **ret)
{
	world_violation("a DNS message was asked for, which is not simulated");
}

void dnswire_cancel(struct dnswire_call **c)
{
	*c = NULL;
}
