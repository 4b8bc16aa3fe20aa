/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of DNS records: what runs now, what waits, and one outcome for many.
 *
 * An item waits in its call (updates; calls with waiting updates stand in a queue of their own) or in the lane of its provider
 * (programs). Whatever ends, for whatever reason, gives its slot to the next. Nothing that is started here calls back at once, so
 * starting is safe everywhere. */
#include "daemon/dcv/records.h"

#include "common/mem.h"
#include "daemon/dcv/exec.h"
#include "daemon/dcv/rfc2136.h"

#include <assert.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

enum state { WAITING, RUNNING, OVER };

struct item {
	TAILQ_ENTRY(item) entry; /* while WAITING */
	struct records_call *call;
	const struct cfg_dns_provider *provider;
	char *fqdn;
	char *value;
	bool cname;
	enum state state;
	struct lane *lane; /* NULL: an update, or over */
	struct rfc2136_call *update;
	struct exec_call *program;
};
TAILQ_HEAD(item_list, item);

/* Programs of one provider; there is one only while it has work. */
struct lane {
	TAILQ_ENTRY(lane) entry;
	char *name;
	struct item_list waiting;
	struct item *running;
};
TAILQ_HEAD(lane_list, lane);

struct records_call {
	TAILQ_ENTRY(records_call) entry;
	TAILQ_ENTRY(records_call) turn; /* while has_turn */
	bool has_turn;			/* updates wait */
	struct records *records;
	records_done_fn *done; /* NULL: it is being told */
	void *owner;
	bool present;
	char *domain;
	struct item *items; /* without duplicates */
	size_t n_items;
	size_t n_left;
	struct item_list waiting; /* updates */
	unsigned n_updates;	  /* under way */
	size_t n_failed;
	const struct item *first_failed; /* in the order of the list */
	struct outcome failure;
	struct timer *nothing; /* tells the end of an empty call; else NULL */
};
TAILQ_HEAD(call_list, records_call);

struct records {
	struct loop *loop;
	struct call_list calls;
	struct call_list turns; /* the first to come is the first to be served */
	unsigned n_updates;	/* under way, of all calls */
	struct lane_list lanes;
};

/* --- the end of a call ----------------------------------------------------------------------------- */

static void call_free(struct records_call *c)
{
	for (size_t i = 0; i < c->n_items; i++) {
		free(c->items[i].fqdn);
		free(c->items[i].value);
	}
	timer_free(c->nothing);
	free(c->items);
	free(c->domain);
	free(c);
}

/* The record is not named twice: messages have little room. */
static void summarize(const struct records_call *c, struct outcome *ret)
{
	const struct item *it = c->first_failed;
	bool named = strstr(c->failure.message, it->fqdn) != NULL;
	char more[64] = "";

	if (c->n_failed > 1)
		(void)snprintf(more, sizeof more, " (and %zu more of %zu failed)", c->n_failed - 1,
			       c->n_items);
	*ret = c->failure;
	(void)outcome_set(ret, c->failure.fault, c->failure.code, "DNS provider %.60s%s%s%s: %s",
			  it->provider->name, named ? "" : (it->cname ? ", CNAME record " : ", TXT record "),
			  named ? "" : it->fqdn, more, c->failure.message);
}

static void finish(struct records_call *c)
{
	struct outcome o = OUTCOME_OK;
	records_done_fn *done = c->done;

	if (c->n_failed > 0)
		summarize(c, &o);
	TAILQ_REMOVE(&c->records->calls, c, entry);
	c->done = NULL;
	done(&o, c->owner);
	call_free(c);
}

static void on_nothing(void *arg)
{
	finish(arg);
}

/* --- slots ----------------------------------------------------------------------------------------- */

static void on_item(const struct outcome *o, void *owner);

static void start_update(struct records *r, struct item *it)
{
	const struct rfc2136_update u = {
		.server = it->provider->server,
		.zone = it->provider->zone,
		.key = it->provider->tsig_key,
		.add = it->call->present,
		.fqdn = it->fqdn,
		.type = it->cname ? RFC2136_CNAME : RFC2136_TXT,
		.value = it->value,
		.ttl = it->provider->ttl,
	};

	TAILQ_REMOVE(&it->call->waiting, it, entry);
	it->state = RUNNING;
	it->call->n_updates++;
	r->n_updates++;
	rfc2136_start(r->loop, &u, on_item, it, &it->update);
}

/* Gives free slots to those who have waited longest. */
static void fill_updates(struct records *r)
{
	struct records_call *next = NULL;

	for (struct records_call *c = TAILQ_FIRST(&r->turns); c && r->n_updates < RECORDS_AT_ONCE; c = next) {
		next = TAILQ_NEXT(c, turn);
		while (!TAILQ_EMPTY(&c->waiting) && c->n_updates < RECORDS_PER_CALL &&
		       r->n_updates < RECORDS_AT_ONCE)
			start_update(r, TAILQ_FIRST(&c->waiting));
		if (TAILQ_EMPTY(&c->waiting)) {
			TAILQ_REMOVE(&r->turns, c, turn);
			c->has_turn = false;
		}
	}
}

static struct lane *get_lane(struct records *r, const char *name)
{
	struct lane *lane = NULL;

	TAILQ_FOREACH(lane, &r->lanes, entry)
	if (strcmp(lane->name, name) == 0)
		return lane;
	lane = xmalloc(sizeof *lane);
	lane->name = xstrdup(name);
	TAILQ_INIT(&lane->waiting);
	TAILQ_INSERT_TAIL(&r->lanes, lane, entry);
	return lane;
}

static void start_program(struct records *r, struct item *it)
{
	const struct exec_spec s = {
		.command = it->provider->command,
		.present = it->call->present,
		.fqdn = it->fqdn,
		.value = it->value,
		.domain = it->call->domain,
		.timeout_s = it->provider->timeout,
	};

	TAILQ_REMOVE(&it->lane->waiting, it, entry);
	it->state = RUNNING;
	it->lane->running = it;
	exec_start(r->loop, &s, on_item, it, &it->program);
}

/* Starts whatever may run now, and drops lanes that have nothing to do. There are at most as many as providers. */
static void pump(struct records *r)
{
	struct lane *next = NULL;

	fill_updates(r);
	for (struct lane *lane = TAILQ_FIRST(&r->lanes); lane; lane = next) {
		next = TAILQ_NEXT(lane, entry);
		if (!lane->running && !TAILQ_EMPTY(&lane->waiting))
			start_program(r, TAILQ_FIRST(&lane->waiting));
		if (lane->running)
			continue;
		TAILQ_REMOVE(&r->lanes, lane, entry);
		free(lane->name);
		free(lane);
	}
}

/* Takes an item out of whatever it is in; the slot is given away by pump(). */
static void leave(struct records *r, struct item *it)
{
	assert(it->state != OVER);
	if (it->state == WAITING) {
		TAILQ_REMOVE(it->lane ? &it->lane->waiting : &it->call->waiting, it, entry);
	} else if (it->lane) {
		it->lane->running = NULL;
	} else {
		it->call->n_updates--;
		r->n_updates--;
	}
	it->state = OVER;
	it->lane = NULL;
}

static void on_item(const struct outcome *o, void *owner)
{
	struct item *it = owner;
	struct records_call *c = it->call;
	struct records *r = c->records;

	/* Both are freed by those who call this. */
	it->update = NULL;
	it->program = NULL;
	leave(r, it);
	if (o->fault != FAULT_NONE) {
		c->n_failed++;
		if (!c->first_failed || it < c->first_failed) {
			c->first_failed = it;
			c->failure = *o;
		}
	}
	pump(r);
	if (--c->n_left == 0)
		finish(c);
}

/* --- calls ----------------------------------------------------------------------------------------- */

static bool same_record(const struct item *it, const struct records_item *other)
{
	return it->cname == other->cname && strcasecmp(it->fqdn, other->fqdn) == 0 &&
	       strcmp(it->value, other->value) == 0 && strcmp(it->provider->name, other->provider->name) == 0;
}

static void add_item(struct records_call *c, const struct records_item *from)
{
	struct item *it = &c->items[c->n_items];

	for (size_t i = 0; i < c->n_items; i++)
		if (same_record(&c->items[i], from))
			return;
	c->n_items++;
	it->call = c;
	it->provider = from->provider;
	it->fqdn = xstrdup(from->fqdn);
	it->value = xstrdup(from->value);
	it->cname = from->cname;
	it->state = WAITING;
	if (from->provider->type == CFG_DNS_EXEC)
		it->lane = get_lane(c->records, from->provider->name);
	TAILQ_INSERT_TAIL(it->lane ? &it->lane->waiting : &c->waiting, it, entry);
}

void records_start(struct records *r, const struct records_item *items, size_t n, bool present,
		   const char *domain, records_done_fn *done, void *owner, struct records_call **ret)
{
	struct records_call *c = xmalloc(sizeof *c);

	c->records = r;
	c->done = done;
	c->owner = owner;
	c->present = present;
	c->domain = xstrdup(domain);
	c->items = xcalloc(MAX(n, 1U), sizeof *c->items);
	TAILQ_INIT(&c->waiting);
	TAILQ_INSERT_TAIL(&r->calls, c, entry);
	for (size_t i = 0; i < n; i++)
		add_item(c, &items[i]);
	c->n_left = c->n_items;
	if (!TAILQ_EMPTY(&c->waiting)) {
		c->has_turn = true;
		TAILQ_INSERT_TAIL(&r->turns, c, turn);
	}
	*ret = c;
	if (n == 0) {
		c->nothing = timer_new(r->loop, on_nothing, c);
		timer_set(c->nothing, 0);
	}
	pump(r);
}

/* Everything leaves before any slot is given away, so that none goes to an item of this very call. */
static void abandon(struct records_call *c)
{
	struct records *r = c->records;

	TAILQ_REMOVE(&r->calls, c, entry);
	if (c->has_turn)
		TAILQ_REMOVE(&r->turns, c, turn);
	for (size_t i = 0; i < c->n_items; i++) {
		struct item *it = &c->items[i];

		if (it->state == OVER)
			continue;
		leave(r, it);
		rfc2136_cancel(&it->update);
		exec_cancel(&it->program);
	}
	call_free(c);
}

void records_cancel(struct records_call **c)
{
	struct records_call *call = TAKE_PTR(*c);
	struct records *r = NULL;

	if (!call || !call->done)
		return;
	r = call->records;
	abandon(call);
	pump(r);
}

struct records *records_new(struct loop *l)
{
	struct records *r = xmalloc(sizeof *r);

	r->loop = l;
	TAILQ_INIT(&r->calls);
	TAILQ_INIT(&r->turns);
	TAILQ_INIT(&r->lanes);
	return r;
}

void records_free(struct records *r)
{
	if (!r)
		return;
	while (!TAILQ_EMPTY(&r->calls))
		abandon(TAILQ_FIRST(&r->calls));
	pump(r); /* nothing is left to start: drops the lanes */
	free(r);
}
