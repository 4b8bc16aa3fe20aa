/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/http.h against the simulated CA and web. A request that has left is the world's: it arrives, or not, or twice,
 * or late, whatever becomes of the daemon and of the call meanwhile. */
#include "tests/sim/net.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/http.h"
#include "tests/sim/ca.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define TOTAL_MS   60000
#define WEB_PATH   "/.well-known/pki-validation/fileauth.txt"
#define WEB_MAX	   5000
#define LATE_MAX_S 480 /* a proxy that holds a request back does not do so for longer */

struct http {
	struct http_call *calls;
	bool retired;
	uint64_t n_requests;
};

/* What the network does to one call. */
enum fate {
	FATE_FINE,
	FATE_UNSENT,
	FATE_LOST,
	FATE_ANSWER_LOST,
	FATE_CUT,
	FATE_STATUS,
	FATE_GARBAGE,
	FATE_TWICE,
	FATE_LATE
};

static const char *const fate_names[] = { "fine",   "unsent",  "lost",	"answer lost", "cut",
					  "status", "garbage", "twice", "late" };

struct http_call {
	struct http *http;
	struct http_call *next, **link;
	struct event *event; /* the daemon's: it hears of it */
	http_done_fn *done;
	void *owner;
	struct outcome outcome;
	int status;
	char *body;
	size_t len;
	char *content_type;
	char *retry_after;
};

/* A request on its way. */
struct parcel {
	struct parcel *next, **link;
	struct http_call *call; /* NULL: nobody waits for an answer any more */
	enum fate fate;
	bool again;
	unsigned status; /* of FATE_STATUS */
	char *method, *url, *api_key, *scutum_key, *content_type;
	void *body;
	size_t body_len;
};

static struct parcel *parcels;

/* --- clients --- */

int http_new(_unused_ struct loop *l, _unused_ const struct http_options *o, struct http **ret,
	     _unused_ struct err *reterr)
{
	*ret = xmalloc(sizeof(**ret));
	return 0;
}

/* Out of the list; a retired client goes with its last call. */
static void call_unlink(struct http_call *c)
{
	struct http *h = c->http;

	for (struct parcel *p = parcels; p; p = p->next)
		if (p->call == c)
			p->call = NULL;
	world_drop(&c->event);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	if (h->retired && !h->calls)
		free(h);
}

static void call_free(struct http_call *c)
{
	free(c->body);
	free(c->content_type);
	free(c->retry_after);
	free(c);
}

static void call_drop(struct http_call *c)
{
	call_unlink(c);
	call_free(c);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->calls)
		call_drop(h->calls);
	free(h);
}

void http_retire(struct http *h)
{
	if (!h)
		return;
	h->retired = true;
	if (!h->calls)
		free(h);
}

void http_cancel(struct http_call **c)
{
	if (!*c)
		return;
	call_drop(*c);
	*c = NULL;
}

uint64_t http_request_count(const struct http *h)
{
	return h->n_requests;
}

uint64_t http_connection_count(const struct http *h)
{
	return h->n_requests;
}

/* The simulated world says it in seconds only. */
int64_t http_retry_after(const char *value, _unused_ int64_t now)
{
	uint64_t s = 0;

	return value && str_parse_u64(value, &s) == 0 ? (int64_t)MIN(s, UINT64_C(3600)) : 0;
}

/* --- answers --- */

static void deliver(void *arg)
{
	struct http_call *c = arg;
	struct http_result r = { .outcome = c->outcome,
				 .status = c->status,
				 .body = c->body ? c->body : "",
				 .body_len = c->len,
				 .content_type = c->content_type ? c->content_type : "",
				 .location = "",
				 .retry_after = c->retry_after ? c->retry_after : "",
				 .date = "" };

	c->event = NULL;
	call_unlink(c); /* first: the callback may free the client */
	c->done(&r, c->owner);
	call_free(c);
}

static void fail_in(struct http_call *c, int64_t ms, enum fault fault, const char *word)
{
	(void)outcome_set(&c->outcome, fault, word, "simulated: %s", word);
	world_drop(&c->event);
	c->event = world_after(OWNER_DAEMON, ms, deliver, c);
}

static int64_t latency(void)
{
	return world_chance(STREAM_NET, 20000) ? world_range(STREAM_NET, 400, 20000)
					       : world_range(STREAM_NET, 10, 250);
}

static void answer(struct http_call *c, const struct ca_answer *a)
{
	c->outcome = (struct outcome)OUTCOME_OK;
	c->status = (int)a->status;
	c->len = a->len;
	c->body = xmalloc(a->len + 1);
	if (a->len)
		memcpy(c->body, a->body, a->len);
	c->content_type = xstrdup(a->content_type ? a->content_type : "");
	c->retry_after = xstrdup_opt(a->retry_after);
	/* The time-out of the call still stands. */
	struct event *timeout = c->event;
	int64_t ms = latency();

	c->event = world_after(OWNER_DAEMON, ms, deliver, c);
	world_drop(&timeout);
}

/* --- the other side --- */

/* Host and the rest of a URL; what stands before them does not matter here. */
static const char *split_url(const char *url, char host[256])
{
	const char *start = strstr(url, "://");
	size_t n;

	start = start ? start + 3 : url;
	n = strcspn(start, "/:");
	snprintf(host, 256, "%.*s", (int)n, start);
	start += n;
	return start + strcspn(start, "/");
}

static void web_answer(const char *host, const char *path, struct ca_answer *ret)
{
	char text[WEB_MAX + 1] = "";
	int status = strcmp(path, WEB_PATH) == 0 ? web_get(host, text, sizeof(text)) : 404;

	*ret = (struct ca_answer){ .status = (unsigned)status,
				   .body = xstrdup(text),
				   .len = strlen(text),
				   .content_type = "text/plain" };
}

static void take_effect(const struct parcel *p, struct ca_answer *ret)
{
	char host[256];
	const char *target = split_url(p->url, host);
	struct ca_call c = { .method = p->method,
			     .target = target,
			     .api_key = p->api_key,
			     .scutum_key = p->scutum_key,
			     .content_type = p->content_type,
			     .body = p->body,
			     .body_len = p->body_len };
	size_t orders = ca_n_orders(), certificates = ca_n_certificates();

	if (strcmp(host, "ca.sim.example") == 0 || strcmp(host, "scutum.sim.example") == 0) {
		if (plan_has(TROUBLE_MAINTENANCE) && scenario_maintenance()) {
			*ret = (struct ca_answer){ .status = 503,
						   .body = xstrdup("<html>maintenance</html>"),
						   .len = 24,
						   .content_type = "text/html" };
			return;
		}
		ca_call(&c, ret);
		judge_ca_changed(orders, certificates);
	} else if (strcmp(host, "pki.sim.example") == 0) {
		c.plain = true;
		ca_call(&c, ret);
	} else {
		web_answer(host, target, ret);
	}
}

static void parcel_free(struct parcel *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	free(p->method);
	free(p->url);
	free(p->api_key);
	free(p->scutum_key);
	free(p->content_type);
	free(p->body);
	free(p);
}

static void trace_parcel(const struct parcel *p, unsigned status)
{
	char host[256];
	const char *path = split_url(p->url, host);
	bool pki = strcmp(host, "pki.sim.example") == 0; /* the address has a hash of a real key in it */

	world_trace("net %s %s%.*s -> %u%s%s%s", p->method, host, pki ? 4 : (int)strcspn(path, "?"), path,
		    status, p->fate == FATE_FINE ? "" : ", ", p->fate == FATE_FINE ? "" : fate_names[p->fate],
		    p->call ? "" : ", nobody waits");
}

static void spoil(struct parcel *p, struct ca_answer *a)
{
	static const char garbage[] = "<html>\x01 502 from somebody in between {[\"";

	if (p->fate == FATE_GARBAGE) {
		free(a->body);
		*a = (struct ca_answer){ .status = 200,
					 .body = xstrdup(garbage),
					 .len = sizeof(garbage) - 1,
					 .content_type = "application/json",
					 .retry_after = a->retry_after };
	}
}

static void arrive(void *arg)
{
	struct parcel *p = arg;
	struct ca_answer a = { 0 };

	if (p->fate == FATE_STATUS)
		a = (struct ca_answer){ .status = p->status,
					.body = xstrdup("<html>busy</html>"),
					.len = 17,
					.content_type = "text/html",
					.retry_after = p->status == 429 ? xstrdup("30") : NULL };
	else
		take_effect(p, &a);
	trace_parcel(p, a.status);
	scenario_arrived(p->method, p->url);
	spoil(p, &a);
	if (p->call && a.status == 0)
		fail_in(p->call, latency(), FAULT_UNCLEAR, "connection");
	else if (p->call && p->fate == FATE_CUT)
		fail_in(p->call, latency(), FAULT_UNCLEAR, "truncated");
	else if (p->call && p->fate != FATE_ANSWER_LOST)
		answer(p->call, &a);
	free(a.body);
	free(a.retry_after);
	if (p->fate == FATE_TWICE && !p->again) {
		p->again = true;
		p->call = NULL;
		(void)world_after(OWNER_WORLD, world_range(STREAM_NET, 1, 90000), arrive, p);
		return;
	}
	parcel_free(p);
}

/* --- sending --- */

static enum fate draw_fate(unsigned *ret_status)
{
	static const unsigned STATUS[] = { 429, 500, 502, 503, 504, 429 };
	static const enum fate LOST[] = { FATE_UNSENT, FATE_LOST, FATE_ANSWER_LOST, FATE_CUT };
	bool lost = plan_strikes(TROUBLE_LOST, STREAM_NET_FAULT);
	bool wrong = plan_strikes(TROUBLE_WRONG, STREAM_NET_FAULT);
	bool twice = plan_strikes(TROUBLE_TWICE, STREAM_NET_FAULT);
	int64_t which = world_range(STREAM_NET_FAULT, 0, 1000);

	*ret_status = STATUS[which % (int64_t)ARRAY_SIZE(STATUS)];
	if (lost)
		return LOST[which % (int64_t)ARRAY_SIZE(LOST)];
	if (wrong)
		return which % 3 == 0 ? FATE_GARBAGE : FATE_STATUS;
	if (twice)
		return which % 2 == 0 ? FATE_TWICE : FATE_LATE;
	return FATE_FINE;
}

static struct parcel *pack(const struct http_request *rq, struct http_call *c)
{
	struct parcel *p = xmalloc(sizeof(*p));

	p->call = c;
	p->method = xstrdup(rq->method);
	p->url = xstrdup(rq->url);
	if (rq->body) {
		p->body = xmemdup(rq->body, rq->body_len);
		p->body_len = rq->body_len;
	}
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct http_header *h = &rq->headers[i];
		const char *val = h->secret ? secret_bytes(h->secret) : h->value;

		if (strcmp(h->name, "X-DC-DEVKEY") == 0)
			p->api_key = xstrdup(val);
		else if (strcmp(h->name, "X-Scutum-API-Key") == 0)
			p->scutum_key = xstrdup(val);
		else if (strcmp(h->name, "Content-Type") == 0)
			p->content_type = xstrdup(val);
	}
	p->next = parcels;
	p->link = &parcels;
	if (p->next)
		p->next->link = &p->next;
	parcels = p;
	return p;
}

static struct http_call *new_call(struct http *h, http_done_fn *done, void *owner)
{
	struct http_call *c = xmalloc(sizeof(*c));

	*c = (struct http_call){
		.http = h, .done = done, .owner = owner, .next = h->calls, .link = &h->calls
	};
	if (c->next)
		c->next->link = &c->next;
	h->calls = c;
	h->n_requests++;
	return c;
}

static void trace_lost(const struct parcel *p)
{
	char host[256];

	(void)split_url(p->url, host);
	world_trace("net %s %s: %s", p->method, host, fate_names[p->fate]);
}

void http_start(struct http *h, const struct http_request *rq, http_done_fn *done, void *owner,
		struct http_call **ret)
{
	struct http_call *c;
	struct parcel *p;
	int64_t way = latency();

	disk_point();
	c = new_call(h, done, owner);
	p = pack(rq, c);
	judge_request(rq->method, rq->url, rq->body, rq->body_len);
	p->fate = draw_fate(&p->status);
	/* A CA that takes one order twice under the same reference is outside of what anybody here can mend. */
	if (p->fate == FATE_TWICE && strcmp(p->method, "POST") == 0)
		p->fate = FATE_LATE;
	if (ret)
		*ret = c;
	if (p->fate == FATE_UNSENT || p->fate == FATE_LOST) {
		trace_lost(p);
		fail_in(c,
			p->fate == FATE_UNSENT ? way
			: rq->total_ms	       ? rq->total_ms
					       : TOTAL_MS,
			p->fate == FATE_UNSENT ? FAULT_UNSENT : FAULT_UNCLEAR,
			p->fate == FATE_UNSENT ? "connect" : "timeout");
		parcel_free(p);
		return;
	}
	fail_in(c, rq->total_ms ? rq->total_ms : TOTAL_MS, FAULT_UNCLEAR, "timeout");
	if (p->fate == FATE_LATE)
		way = world_range(STREAM_NET, 60, LATE_MAX_S) * 1000;
	(void)world_after(OWNER_WORLD, way, arrive, p);
}

void net_forget_daemon(void)
{
	for (struct parcel *p = parcels; p; p = p->next)
		p->call = NULL;
	sockets_forget();
	loop_forget();
}
