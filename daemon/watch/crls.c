/* SPDX-License-Identifier: Apache-2.0 */
/* See crls.h. One entry for each URL; it goes from queued over loading to held or failed, and back to queued when somebody wants
 * it and it is too old. Few are held, so lists are searched. */
#include "daemon/watch/crls.h"

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/pki/revocation.h"

#include <sys/queue.h>

#define TOTAL_MS   20000
#define CONNECT_MS 10000
#define FAILED_MAX 32

enum entry_state { ENTRY_QUEUED, ENTRY_LOADING, ENTRY_HELD, ENTRY_FAILED };

struct crls_wait {
	TAILQ_ENTRY(crls_wait) link;
	struct entry *entry;
	crls_done_fn *done;
	void *owner;
};

struct entry {
	TAILQ_ENTRY(entry) link; /* oldest first */
	struct crls *crls;
	char *url;
	enum entry_state state;
	struct http_call *http_call;
	struct crl_blob *blob;	/* HELD */
	struct outcome outcome; /* FAILED */
	int64_t loaded_ms;
	int64_t life_ms;
	int64_t next_update; /* wall clock; 0: not known */
	TAILQ_HEAD(, crls_wait) waits;
};

struct crls {
	struct http *http;
	struct timer *kick; /* tells those who asked for what is held */
	TAILQ_HEAD(, entry) entries;
	unsigned n_loading;
};

struct crl_blob *crl_blob_ref(struct crl_blob *b)
{
	b->refs++;
	return b;
}

void crl_blob_unref(struct crl_blob *b)
{
	if (!b || --b->refs > 0)
		return;
	free(b->data);
	free(b);
}

/* --- entries ------------------------------------------------------------------------------------- */

static bool is_settled(const struct entry *e)
{
	return e->state == ENTRY_HELD || e->state == ENTRY_FAILED;
}

static bool is_fresh(const struct entry *e)
{
	/* both clocks: the wall clock may have been set back since */
	return is_settled(e) && clock_mono_ms() - e->loaded_ms < e->life_ms &&
	       (e->next_update == 0 || clock_now() < e->next_update);
}

static void entry_clear(struct entry *e)
{
	crl_blob_unref(e->blob);
	e->blob = NULL;
	e->next_update = 0;
}

static void entry_free(struct entry *e)
{
	struct crls_wait *w = NULL;

	http_cancel(&e->http_call);
	while ((w = TAILQ_FIRST(&e->waits))) {
		TAILQ_REMOVE(&e->waits, w, link);
		free(w);
	}
	TAILQ_REMOVE(&e->crls->entries, e, link);
	entry_clear(e);
	free(e->url);
	free(e);
}

static struct entry *entry_find(struct crls *c, const char *url)
{
	struct entry *e = NULL;

	TAILQ_FOREACH(e, &c->entries, link)
	if (strcmp(e->url, url) == 0)
		return e;
	e = xmalloc(sizeof(*e));
	e->crls = c;
	e->url = xstrdup(url);
	TAILQ_INIT(&e->waits);
	TAILQ_INSERT_TAIL(&c->entries, e, link);
	return e;
}

/* The oldest of this state that nobody waits for, when there are too many of them or too many bytes. */
static struct entry *surplus(struct crls *c, enum entry_state state, unsigned max, size_t max_bytes)
{
	struct entry *e = NULL, *oldest = NULL;
	unsigned n = 0;
	size_t bytes = 0;

	TAILQ_FOREACH(e, &c->entries, link)
	{
		if (e->state != state)
			continue;
		n++;
		bytes += e->blob ? e->blob->len : 0;
		if (!oldest && TAILQ_EMPTY(&e->waits))
			oldest = e;
	}
	return n > max || bytes > max_bytes ? oldest : NULL;
}

static void trim(struct crls *c)
{
	struct entry *e = NULL;

	while ((e = surplus(c, ENTRY_HELD, CRLS_HELD_MAX, CRLS_HELD_BYTES_MAX)) ||
	       (e = surplus(c, ENTRY_FAILED, FAILED_MAX, SIZE_MAX)))
		entry_free(e);
}

/* --- fetching -------------------------------------------------------------------------------------- */

static void on_http(const struct http_result *http, void *owner);

static void load(struct entry *e)
{
	const struct http_header headers[] = { { .name = "Accept", .value = "application/pkix-crl, */*" } };
	const struct http_request rq = {
		.label = "revoked.crl",
		.method = "GET",
		.url = e->url,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.max_body = REVOCATION_CRL_MAX,
	};

	e->state = ENTRY_LOADING;
	e->crls->n_loading++;
	http_start(e->crls->http, &rq, on_http, e, &e->http_call);
}

/* Not all at once: each may take REVOCATION_CRL_MAX of memory. */
static void pump(struct crls *c)
{
	struct entry *e = NULL;

	TAILQ_FOREACH(e, &c->entries, link)
	if (e->state == ENTRY_QUEUED && c->n_loading < CRLS_LOADING_MAX)
		load(e);
}

static void deliver(struct entry *e)
{
	struct outcome ok = OUTCOME_OK;
	struct crls_wait *w = NULL;

	while ((w = TAILQ_FIRST(&e->waits))) {
		TAILQ_REMOVE(&e->waits, w, link);
		w->done(e->state == ENTRY_HELD ? &ok : &e->outcome, e->blob, w->owner);
		free(w);
	}
}

/* Callbacks may ask for more, so the search begins anew each time. */
static void deliver_all(struct crls *c)
{
	struct entry *e = NULL;

	do {
		TAILQ_FOREACH(e, &c->entries, link)
		if (is_settled(e) && !TAILQ_EMPTY(&e->waits))
			break;
		if (e)
			deliver(e);
	} while (e);
	trim(c);
	pump(c);
}

static void on_kick(void *arg)
{
	deliver_all(arg);
}

static void on_http(const struct http_result *http, void *owner)
{
	struct entry *e = owner;
	struct crls *c = e->crls;

	e->http_call = NULL;
	c->n_loading--;
	e->loaded_ms = clock_mono_ms();
	e->life_ms = CRLS_DOUBT_MS;
	e->state = ENTRY_FAILED;
	if (http->outcome.fault != FAULT_NONE) {
		e->outcome = http->outcome;
	} else if (http->status != 200 || http->body_len == 0) {
		(void)outcome_set(&e->outcome, FAULT_UNCLEAR, "http_status", "%s: status %d with %zu bytes",
				  e->url, http->status, http->body_len);
	} else {
		e->state = ENTRY_HELD;
		e->blob = xmalloc(sizeof(*e->blob));
		e->blob->refs = 1;
		e->blob->data = xmemdup(http->body, http->body_len);
		e->blob->len = http->body_len;
	}
	e->outcome.http_status = http->status;
	/* the newest is the last to go */
	TAILQ_REMOVE(&c->entries, e, link);
	TAILQ_INSERT_TAIL(&c->entries, e, link);
	deliver_all(c);
}

/* --- for revoked.c ----------------------------------------------------------------------------------- */

void crls_get(struct crls *c, const char *url, crls_done_fn *done, void *owner, struct crls_wait **ret)
{
	struct crls_wait *w = xmalloc(sizeof(*w));
	struct entry *e = entry_find(c, url);

	/* while some are still to be told, what is held is theirs as well */
	if (is_settled(e) && !is_fresh(e) && TAILQ_EMPTY(&e->waits)) {
		entry_clear(e);
		e->state = ENTRY_QUEUED;
	}
	w->entry = e;
	w->done = done;
	w->owner = owner;
	TAILQ_INSERT_TAIL(&e->waits, w, link);
	*ret = w;
	if (is_settled(e))
		timer_set(c->kick, 0);
	else
		pump(c);
}

void crls_cancel(struct crls_wait **wait)
{
	struct crls_wait *w = *wait;

	*wait = NULL;
	if (!w)
		return;
	TAILQ_REMOVE(&w->entry->waits, w, link);
	free(w);
}

void crls_keep(struct crls *c, const struct crl_blob *blob, int64_t next_update)
{
	struct entry *e = NULL;

	TAILQ_FOREACH(e, &c->entries, link)
	if (e->blob == blob) {
		e->life_ms = CRLS_LIFE_MS;
		e->next_update = next_update;
	}
}

struct crls *crls_new(struct loop *l, struct http *http)
{
	struct crls *c = xmalloc(sizeof(*c));

	c->http = http;
	c->kick = timer_new(l, on_kick, c);
	TAILQ_INIT(&c->entries);
	return c;
}

void crls_set_http(struct crls *c, struct http *http)
{
	c->http = http;
}

void crls_free(struct crls *c)
{
	struct entry *e = NULL;

	if (!c)
		return;
	while ((e = TAILQ_FIRST(&c->entries)))
		entry_free(e);
	timer_free(c->kick);
	free(c);
}
