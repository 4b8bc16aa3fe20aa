/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, loop and HTTP for tests of one module: time stands still unless fake_run() moves it, and every request is
 * answered by a function of the test. Included by one .c file per test program; its definitions win over the
 * library's. Checks the contract of daemon/io on the side: nothing calls back before a start function returns. */
#pragma once

#include "common/clock.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "daemon/io/http.h"
#include "daemon/io/loop.h"

#include <assert.h>

/* --- clock --- */

static int64_t fake_now_ms = 1000000;

int64_t clock_now(void)
{
	return 1800000000 + fake_now_ms / 1000;
}

int64_t clock_mono_ms(void)
{
	return fake_now_ms;
}

void clock_random(void *buf, size_t len)
{
	static uint32_t state = 12345;
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		state = state * 1664525u + 1013904223u;
		p[i] = (unsigned char)(state >> 24);
	}
}

/* --- loop --- */

struct loop {
	struct timer *timers;
	struct http_call *calls; /* requests under way */
	uint64_t order;
};

struct timer {
	struct loop *loop;
	struct timer *next;
	void (*fn)(void *arg);
	void *arg;
	bool armed;
	int64_t at_ms;
	uint64_t order;
};

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = xmalloc(sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->next = l->timers;
	l->timers = t;
	return t;
}

void timer_set(struct timer *t, int64_t ms)
{
	t->armed = true;
	t->at_ms = fake_now_ms + MAX(ms, 0);
	t->order = t->loop->order++;
}

void timer_clear(struct timer *t)
{
	t->armed = false;
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	for (struct timer **p = &t->loop->timers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	free(t);
}

/* --- HTTP --- */

struct http {
	struct loop *loop;
	struct http_options options;
	unsigned n_telling; /* callbacks that run */
	bool retired;
};

struct http_call {
	struct http *http;
	struct http_call *next;
	http_done_fn *done;
	void *owner;
	int64_t at_ms;
	uint64_t order;
	/* the request */
	char *method;
	char *url;
	char *headers; /* "Name: value\n"... */
	char *body;
	char *connect_to;
	struct http_request rq; /* numbers only */
	/* the answer */
	struct http_result result;
	char *result_body;
};

/* Fills c->result (NULL texts become "") and c->at_ms; result_body is freed. */
static void (*fake_answer)(struct http_call *c);
static unsigned fake_n_http;  /* objects alive */
static unsigned fake_n_calls; /* requests under way */
static unsigned fake_max_calls;
static uint64_t fake_n_started;

int http_new(struct loop *l, const struct http_options *o, struct http **ret, struct err *reterr)
{
	(void)reterr;
	*ret = xmalloc(sizeof(**ret));
	(*ret)->loop = l;
	(*ret)->options = *o;
	fake_n_http++;
	return 0;
}

static void fake_call_free(struct http_call *c)
{
	for (struct http_call **p = &c->http->loop->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			fake_n_calls--;
			break;
		}
	free(c->method);
	free(c->url);
	free(c->headers);
	free(c->body);
	free(c->connect_to);
	free(c->result_body);
	free(c);
}

static void fake_http_free_if_over(struct http *h)
{
	bool over = h->retired && h->n_telling == 0;

	for (struct http_call *c = h->loop->calls; c; c = c->next)
		over = over && c->http != h;
	if (!over)
		return;
	fake_n_http--;
	free(h);
}

void http_retire(struct http *h)
{
	if (!h)
		return;
	h->retired = true;
	fake_http_free_if_over(h);
}

void http_free(struct http *h)
{
	struct http_call *next = NULL;

	if (!h)
		return;
	for (struct http_call *c = h->loop->calls; c; c = next) {
		next = c->next;
		if (c->http == h)
			fake_call_free(c);
	}
	http_retire(h);
}

void http_start(struct http *h, const struct http_request *rq, http_done_fn *done, void *owner,
		struct http_call **ret)
{
	struct http_call *c = xmalloc(sizeof(*c));
	struct strbuf headers = STRBUF_INIT(65536);

	assert(!h->retired);
	for (size_t i = 0; i < rq->n_headers; i++)
		strbuf_addf(
			&headers, "%s: %s%s\n", rq->headers[i].name, rq->headers[i].secret ? "(secret) " : "",
			rq->headers[i].secret ? secret_bytes(rq->headers[i].secret) : rq->headers[i].value);
	c->http = h;
	c->done = done;
	c->owner = owner;
	c->method = xstrdup(rq->method);
	c->url = xstrdup(rq->url);
	c->headers = strbuf_take(&headers);
	c->body = rq->body ? xstrndup(rq->body, rq->body_len) : NULL;
	c->connect_to = xstrdup_opt(rq->connect_to);
	c->rq = *rq;
	c->at_ms = fake_now_ms + 10;
	c->order = h->loop->order++;
	c->next = h->loop->calls;
	h->loop->calls = c;
	fake_n_calls++;
	fake_n_started++;
	fake_max_calls = MAX(fake_max_calls, fake_n_calls);
	c->result = (struct http_result){
		.body = "", .content_type = "", .location = "", .retry_after = "", .date = ""
	};
	fake_answer(c);
	*ret = c;
}

void http_cancel(struct http_call **c)
{
	struct http_call *mine = *c;
	struct http *h = NULL;

	*c = NULL;
	if (!mine)
		return;
	h = mine->http;
	fake_call_free(mine);
	fake_http_free_if_over(h);
}

uint64_t http_request_count(const struct http *h)
{
	(void)h;
	return fake_n_started;
}

uint64_t http_connection_count(const struct http *h)
{
	(void)h;
	return 0;
}

/* Seconds only. */
int64_t http_retry_after(const char *value, int64_t now)
{
	(void)now;
	return value ? MIN(strtoll(value, NULL, 10), 3600) : 0;
}

/* For answers: status and a body. */
static _unused_ void fake_say(struct http_call *c, int status, const char *body)
{
	c->result.outcome = (struct outcome)OUTCOME_OK;
	c->result.status = status;
	free(c->result_body);
	c->result_body = xstrdup(body);
	c->result.body = c->result_body;
	c->result.body_len = strlen(body);
}

static void fake_deliver(struct http_call *c)
{
	struct http *h = c->http;

	for (struct http_call **p = &c->http->loop->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			fake_n_calls--;
			break;
		}
	h->loop->order++;
	h->n_telling++; /* the callback may free or retire it */
	c->done(&c->result, c->owner);
	fake_call_free(c);
	h->n_telling--;
	fake_http_free_if_over(h);
}

static struct timer *fake_first_timer(const struct loop *l)
{
	struct timer *first = NULL;

	for (struct timer *t = l->timers; t; t = t->next)
		if (t->armed && (!first || t->at_ms < first->at_ms ||
				 (t->at_ms == first->at_ms && t->order < first->order)))
			first = t;
	return first;
}

static struct http_call *fake_first_call(const struct loop *l)
{
	struct http_call *first = NULL;

	for (struct http_call *c = l->calls; c; c = c->next)
		if (!first || c->at_ms < first->at_ms ||
		    (c->at_ms == first->at_ms && c->order < first->order))
			first = c;
	return first;
}

/* Runs everything that is due within the next ms milliseconds, in order of time; timers before answers. */
static _unused_ void fake_run(struct loop *l, int64_t ms)
{
	int64_t end_ms = fake_now_ms + ms;

	for (;;) {
		struct timer *t = fake_first_timer(l);
		struct http_call *c = fake_first_call(l);
		int64_t timer_ms = t ? t->at_ms : INT64_MAX;
		int64_t call_ms = c ? c->at_ms : INT64_MAX;

		if (MIN(timer_ms, call_ms) > end_ms)
			break;
		fake_now_ms = MAX(fake_now_ms, MIN(timer_ms, call_ms));
		if (t && timer_ms <= call_ms) {
			t->armed = false;
			t->fn(t->arg);
		} else if (c) {
			fake_deliver(c);
		}
	}
	fake_now_ms = end_ms;
}
