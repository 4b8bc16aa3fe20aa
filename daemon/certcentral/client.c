/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on their way: queue, rate gate, HTTP, reply. One timer releases what may leave; a 429 stops the whole
 * key, a 401/403 closes it until the next reload. Nothing is repeated here but a throttled GET or PUT: what
 * an unclear answer means is the core's question. A POST is never repeated.
 * What is sent to which endpoint is in requests.c. */
#include "daemon/certcentral/internal.h"

#include <assert.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "daemon/certcentral/asked.h"
#include "daemon/core/rates.h"
#include "daemon/io/blame.h"
#include "daemon/pki/mark.h"

#define IN_FLIGHT_MAX 32
/* "Rate limits" names no Retry-After; without one the key waits 5 s, then twice as long each time. */
#define STOP_FIRST_MS INT64_C(5000)
#define STOP_MAX_MS   INT64_C(180000)
/* After so many 429 for one call the caller hears of it. */
#define THROTTLED_MAX 8
#define PAGE_LEN      1000
#define PAGES_MAX     50
#define URL_MAX	      4096

struct cc {
	struct loop *loop;
	struct config *config;
	struct http *http; /* a reload makes a new one; calls under way finish with theirs */
	struct rates *rates;
	struct asked *asked; /* the same over restarts; NULL: not kept */
	struct timer *timer;
	struct cc_queue queue;
	struct cc_call *calls; /* all of them */
	uint64_t sequence;
	unsigned n_in_flight;
	uint64_t n_sent;
	struct tally tally;
	int64_t stop_ms; /* length of the last 429 stop; 0: none since the last success */
	uint64_t stop_epoch;
	bool blocked;
	struct outcome blocked_by;
};

static void on_http(const struct http_result *http, void *owner);

/* --- connections ---------------------------------------------------------------------------------- */

static int client_new(struct loop *l, const struct config *c, struct http **ret, struct err *reterr)
{
	const struct http_options o = { .ca_file = c->certcentral.ca_file,
					.proxy = c->proxy,
					.max_connections = IN_FLIGHT_MAX };
	int r = http_new(l, &o, ret, reterr);

	if (r < 0)
		err_prefix(reterr, "certcentral");
	return r;
}

/* --- calls ---------------------------------------------------------------------------------------- */

static void call_unlink(struct cc_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->cc->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

static void call_free(struct cc_call *c)
{
	cc_queue_remove(&c->cc->queue, c);
	call_unlink(c);
	free(c->path);
	free(c->body);
	free(c->entries);
	free(c->blame);
	free(c);
}

/* The one callback. The call is gone afterwards. */
static void call_deliver(struct cc_call *c, const struct cc_reply *r)
{
	c->delivering = true;
	c->done(r, c->owner);
	call_free(c);
}

static void call_left(struct cc_call *c)
{
	c->http_call = NULL;
	c->cc->n_in_flight--;
	rates_end(c->cc->rates, clock_mono_ms());
	asked_end(c->cc->asked, clock_mono_ms(), clock_now());
}

static void wake(struct cc *cc)
{
	if (cc->queue.len > 0)
		timer_set(cc->timer, 0);
}

struct cc_call *cc_call_new(struct cc *cc, enum cc_endpoint ep, char *path, int64_t prio, cc_done_fn *done,
			    void *owner)
{
	struct cc_call *c = xmalloc(sizeof(*c));

	c->cc = cc;
	c->ep = ep;
	c->path = path;
	c->prio = prio;
	c->sequence = cc->sequence++;
	c->heap_at = CC_NOT_QUEUED;
	c->done = done;
	c->owner = owner;
	c->blame = blame_name() ? xstrdup(blame_name()) : NULL;
	c->next = cc->calls;
	if (c->next)
		c->next->prev = c;
	cc->calls = c;
	return c;
}

void cc_call_enqueue(struct cc_call *c, struct cc_call **ret)
{
	cc_queue_push(&c->cc->queue, c);
	if (ret)
		*ret = c;
	/* In the next turn: all that is asked for in this one is sorted first. */
	wake(c->cc);
}

/* --- sending -------------------------------------------------------------------------------------- */

static void call_url(const struct cc_call *c, struct strbuf *sb)
{
	strbuf_adds(sb, c->cc->config->certcentral.url);
	strbuf_adds(sb, c->path);
	if (c->ep == CC_CHANGES)
		strbuf_addf(sb, "&limit=%d&offset=%zu", PAGE_LEN, c->n_entries);
}

static void call_send(struct cc_call *c)
{
	struct cc *cc = c->cc;
	struct strbuf url = STRBUF_INIT(URL_MAX);
	const struct http_header headers[] = {
		{ .name = "X-DC-DEVKEY", .secret = cc->config->certcentral.api_key },
		{ .name = "Content-Type", .value = "application/json" },
		{ .name = "Accept", .value = c->ep == CC_DOWNLOAD ? "*/*" : "application/json" },
	};

	call_url(c, &url);

	const struct http_request rq = {
		.label = cc_endpoints[c->ep].label,
		.method = cc_endpoints[c->ep].method,
		.url = strbuf_str(&url),
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.body = c->body,
		.body_len = c->body_len,
		.max_body = CC_BODY_MAX,
	};

	c->http = cc->http;
	c->stop_epoch = cc->stop_epoch;
	cc->n_in_flight++;
	cc->n_sent++;
	http_start(c->http, &rq, on_http, c, &c->http_call);
	strbuf_done(&url);
}

/* Answers what waits without a request; what a callback asks for anew is answered in the next turn. */
static void refuse_all(struct cc *cc)
{
	const struct cc_reply r = { .outcome = cc->blocked_by, .not_validated = "" };

	for (size_t n = cc->queue.len; n > 0 && cc->blocked; n--) {
		struct cc_call *c = cc_queue_pop(&cc->queue);

		if (!c)
			break;
		call_deliver(c, &r);
	}
}

static void on_timer(void *arg)
{
	struct cc *cc = arg;

	if (cc->blocked) {
		refuse_all(cc);
		return;
	}
	while (cc->queue.len > 0) {
		/* After a 429 one call at a time feels its way. */
		if (cc->n_in_flight >= (cc->stop_ms > 0 ? 1 : IN_FLIGHT_MAX))
			return; /* the next answer wakes us */

		int64_t wait_ms = rates_begin(cc->rates, clock_mono_ms());

		if (wait_ms == RATES_WAIT_ANSWER)
			return;
		if (wait_ms > 0) {
			timer_set(cc->timer, wait_ms);
			return;
		}
		asked_begin(cc->asked, clock_mono_ms(), clock_now());
		call_send(cc_queue_pop(&cc->queue));
	}
}

/* --- answers -------------------------------------------------------------------------------------- */

/* Up to a quarter more: many clients that were stopped together should not come back together. */
static int64_t with_jitter(int64_t ms)
{
	uint32_t r = 0;

	clock_random(&r, sizeof(r));
	return ms + (int64_t)(r % (uint32_t)(ms / 4 + 1));
}

static void stop_key(struct cc *cc, const struct cc_call *c, const struct outcome *o)
{
	int64_t now_ms = clock_mono_ms();

	/* Calls that left before the present stop say nothing new, unless they name a time. */
	if (c->stop_epoch == cc->stop_epoch) {
		cc->stop_ms = cc->stop_ms == 0 ? STOP_FIRST_MS : MIN(cc->stop_ms * 2, STOP_MAX_MS);
		cc->stop_epoch++;
		if (o->retry_after == 0)
			rates_stop(cc->rates, now_ms + MIN(with_jitter(cc->stop_ms), STOP_MAX_MS));
	}
	if (o->retry_after > 0)
		rates_stop(cc->rates, now_ms + o->retry_after * 1000);
	log_event(LOG_LEVEL_DEBUG, NULL, NULL, "certcentral: %s was throttled, the key waits",
		  cc_endpoints[c->ep].label);
}

static void learn(struct cc *cc, const struct cc_call *c, const struct outcome *o)
{
	if (o->fault == FAULT_THROTTLED) {
		stop_key(cc, c, o);
	} else if (o->fault == FAULT_AUTH) {
		/* An answer to the key of before a reload says nothing about the new one. */
		if (c->http == cc->http && !cc->blocked &&
		    (o->http_status == 401 || !cc_endpoints[c->ep].own_right)) {
			cc->blocked = true;
			cc->blocked_by = *o;
		}
	} else if (o->http_status >= 200 && o->http_status < 500 && c->stop_epoch == cc->stop_epoch) {
		cc->stop_ms = 0;
	}
}

/* A server that ignores the offset sends its first page for ever. */
static bool same_page_again(const struct cc_call *c, const struct cc_decoded *d)
{
	const struct cc_entry *a = c->entries;
	const struct cc_entry *b = d->reply.entries;

	return c->n_entries > 0 && d->reply.n_entries > 0 && a->order_id == b->order_id &&
	       a->certificate_id == b->certificate_id;
}

static bool wants_next_page(const struct cc_call *c, const struct cc_decoded *d)
{
	if (c->n_entries >= (size_t)PAGE_LEN * PAGES_MAX)
		return false;
	return d->total > 0 ? d->total > (int64_t)c->n_entries : d->reply.n_entries >= PAGE_LEN;
}

/* Adds a page to what came before; true when the call goes on with the next one. */
static bool take_page(struct cc_call *c, struct cc_decoded *d)
{
	size_t n = same_page_again(c, d) ? 0 : d->reply.n_entries;

	c->entries = xrealloc_array(c->entries, c->n_entries + n + 1, sizeof(*c->entries));
	for (size_t i = 0; i < n; i++)
		c->entries[c->n_entries + i] = d->reply.entries[i];
	c->n_entries += n;
	if (n > 0 && wants_next_page(c, d))
		return true;
	d->reply.entries = c->entries;
	d->reply.n_entries = c->n_entries;
	return false;
}

/* True when the call waits again instead of being answered. */
static bool goes_on(struct cc_call *c, struct cc_decoded *d)
{
	if (d->reply.outcome.fault == FAULT_THROTTLED)
		return strcmp(cc_endpoints[c->ep].method, "POST") != 0 && ++c->throttled < THROTTLED_MAX;
	if (d->reply.outcome.fault == FAULT_NONE && c->ep == CC_CHANGES)
		return take_page(c, d);
	return false;
}

static void on_http(const struct http_result *http, void *owner)
{
	struct cc_call *c = owner;
	struct cc *cc = c->cc;
	_cleanup_free_ char *name = c->blame ? xstrdup(c->blame) : NULL; /* outlives c */
	BLAME(name);
	_cleanup_(cc_decoded_freep) struct cc_decoded *d = NULL;
	const struct cc_reply *r = cc_decode(c->ep, http, clock_now(), &d);

	tally_add(&cc->tally, c->ep, http->status);
	learn(cc, c, &r->outcome);
	call_left(c);
	if (goes_on(c, d)) {
		cc_queue_push(&cc->queue, c);
		wake(cc);
	} else {
		wake(cc);
		call_deliver(c, r);
	}
}

/* --- the object ----------------------------------------------------------------------------------- */

static size_t limits_of(const struct config *c, struct rates_limit limits[static RATES_MAX])
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->certcentral.n_rates && n < RATES_MAX; i++) {
		const struct cfg_rate *r = &c->certcentral.rates[i];

		limits[n++] = (struct rates_limit){ .requests = r->requests, .per_ms = r->per * 1000 };
	}
	if (n == 0) /* a tenth below the documented limits */
		limits[n++] = (struct rates_limit){ .requests = 90, .per_ms = 5000 };
	return n;
}

static uint16_t mark_of_key(const struct config *c)
{
	return mark_of_secret(c->certcentral.api_key, "state/" ASKED_FILE);
}

int cc_new(struct loop *l, struct config *c, struct cc **ret, struct err *reterr)
{
	struct http *http = NULL;
	struct rates_limit limits[RATES_MAX];
	int r = client_new(l, c, &http, reterr);

	if (r < 0)
		return r;

	struct cc *cc = xmalloc(sizeof(*cc));
	size_t n = limits_of(c, limits);

	cc->loop = l;
	cc->config = config_ref(c);
	cc->http = http;
	cc->rates = rates_new(limits, n);
	cc->timer = timer_new(l, on_timer, cc);
	*ret = cc;
	return 0;
}

void cc_keep_rates(struct cc *cc, int state_fd)
{
	assert(!cc->asked && cc->n_sent == 0);
	cc->asked = asked_open(state_fd, mark_of_key(cc->config));
	asked_recall(cc->asked, clock_mono_ms(), clock_now(), cc->rates);
}

int cc_reconfigure(struct cc *cc, struct config *c, struct err *reterr)
{
	struct http *http = NULL;
	struct rates_limit limits[RATES_MAX];
	int r = client_new(cc->loop, c, &http, reterr);

	if (r < 0)
		return r;

	size_t n = limits_of(c, limits);
	struct config *before = cc->config;

	cc->config = config_ref(c);
	config_unref(before);
	http_retire(cc->http);
	cc->http = http;
	rates_set_limits(cc->rates, limits, n);
	asked_set_key(cc->asked, mark_of_key(c));
	cc->blocked = false;
	wake(cc);
	return 0;
}

void cc_free(struct cc *cc)
{
	if (!cc)
		return;
	for (struct cc_call *c = cc->calls, *next = NULL; c; c = next) {
		next = c->next;
		assert(!c->delivering); /* not from a callback */
		cc_cancel(&c);
	}
	timer_free(cc->timer);
	http_free(cc->http);
	rates_free(cc->rates);
	asked_close(cc->asked);
	cc_queue_done(&cc->queue);
	tally_done(&cc->tally);
	config_unref(cc->config);
	free(cc);
}

void cc_cancel(struct cc_call **call)
{
	struct cc_call *c = *call;

	*call = NULL;
	if (!c || c->delivering)
		return;
	if (c->http_call) {
		http_cancel(&c->http_call);
		call_left(c);
		wake(c->cc);
	}
	call_free(c);
}

bool cc_is_blocked(const struct cc *cc)
{
	return cc->blocked;
}

const struct tally *cc_tally(const struct cc *cc)
{
	return &cc->tally;
}

const char *cc_endpoint_label(enum cc_endpoint ep)
{
	return ep < CC_ENDPOINT_NR ? cc_endpoints[ep].label : "?";
}

uint64_t cc_request_count(const struct cc *cc)
{
	return cc->n_sent;
}

size_t cc_rates(const struct cc *cc, struct cc_rate ret[static CFG_RATES_MAX])
{
	struct rates_limit limits[RATES_MAX];
	size_t n = limits_of(cc->config, limits);

	for (size_t i = 0; i < n && i < CFG_RATES_MAX; i++) {
		ret[i].requests = limits[i].requests;
		ret[i].per = limits[i].per_ms / 1000;
		ret[i].left = rates_left_of(cc->rates, &limits[i], clock_mono_ms());
	}
	return n;
}
