/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/dns.h, daemon/dcv/rfc2136.h and the programs of daemon/io/child.h against the simulated zones (zone.h). An update that has
 * left and a program that was begun take effect whatever becomes of the daemon, but sooner than a new life can begin. */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/dcv/rfc2136.h"
#include "daemon/io/child.h"
#include "daemon/io/dns.h"
#include "daemon/io/dnswire.h"
#include "tests/sim/disk.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario.h"
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

struct child {
	struct event *event;
	struct child_result result;
	child_done_fn *done;
	void *owner;
};

static void child_over(void *arg)
{
	struct child *c = arg;

	c->event = NULL;
	c->done(&c->result, c->owner);
	free(c);
}

/* argv: the program, "present" or "cleanup", name, value. */
void child_start(_unused_ struct loop *l, const struct child_spec *spec, child_done_fn *done, void *owner,
		 struct child **ret)
{
	enum { EXIT_BEFORE, EXIT_AFTER, HANGS_AFTER };
	struct child *c = xmalloc(sizeof(*c));
	bool bad = plan_strikes(TROUBLE_DNS, STREAM_DNS);
	int64_t which = world_range(STREAM_DNS, EXIT_BEFORE, HANGS_AFTER);
	int64_t ms = world_range(STREAM_DNS, 100, 3000);

	if (strcmp(spec->label, "dns.exec") != 0)
		world_violation("%s was asked for, which is not simulated", spec->label);
	disk_point();
	*c = (struct child){ .result.output = "", .done = done, .owner = owner };
	if (!bad || which != EXIT_BEFORE)
		ms += send_change(strcmp(spec->argv[1], "present") == 0, false, spec->argv[2], spec->argv[3]);
	if (bad) {
		c->result.exit_code = which == EXIT_BEFORE ? 1 : which == EXIT_AFTER ? 75 : -1;
		c->result.timed_out = which == HANGS_AFTER;
		ms = which == HANGS_AFTER ? spec->timeout_ms : ms;
		world_trace("dns: a program fails: code %d", c->result.exit_code);
	}
	c->event = world_after(OWNER_DAEMON, ms, child_over, c);
	if (ret)
		*ret = c;
}

int child_check(_unused_ const char *program)
{
	return 0;
}

void child_cancel(struct child **c)
{
	struct child *mine = TAKE_PTR(*c);

	if (!mine || !mine->event)
		return;
	world_drop(&mine->event);
	free(mine);
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

/* For doctor, which nobody here sees. */
void dns_addresses_start(_unused_ struct dns *d, const struct dns_query *q, _unused_ dns_addresses_fn *done,
			 _unused_ void *owner, _unused_ struct dns_call **ret)
{
	world_violation("the addresses of %s were asked for, which is not simulated", q->name);
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
