/* SPDX-License-Identifier: Apache-2.0 */
/* The look at http://NAME/.well-known/pki-validation/fileauth.txt before the CA looks: a failed validation costs
 * minutes of negative caching and tells little, our own look tells exactly. A good look from here proves
 * nothing about the CA's other vantage points, and a bad one is advice: the caller decides. */
#include "daemon/dcv/preflight.h"

#include <assert.h>

#include "common/mem.h"
#include "common/str.h"
#include "daemon/dcv/webroot.h"

#define AT_ONCE	      4
#define CONNECT_MS    2000
#define TOTAL_MS      5000
#define BODY_MAX      5000
#define HOPS_MAX      5
#define USER_AGENT    "DigiCert DCV Bot/1.1"
#define START_MAX     60
#define URL_SHOWN_MAX 140
#define TOKEN_SHOWN   12

struct look {
	struct preflight_call *call;
	const char *name;
	char *url; /* of the present hop */
	unsigned hops;
	struct http_call *http_call;
	struct outcome outcome;
};

struct preflight_call {
	struct preflight *preflight;
	char *token;
	char *connect_to;
	struct look *looks; /* one per name */
	char **names;
	size_t n;
	size_t n_started;
	size_t n_done;
	preflight_done_fn *done;
	void *owner;
	bool delivering;
	struct preflight_call *prev, *next;
};

struct preflight {
	struct http *http;
	struct preflight_call *calls;
};

static void on_http(const struct http_result *http, void *owner);

/* --- one name ------------------------------------------------------------------------------------- */

static void look_send(struct look *look)
{
	const struct preflight_call *c = look->call;
	const struct http_header headers[] = { { .name = "User-Agent", .value = USER_AGENT },
					       { .name = "Accept", .value = "*/*" } };
	const struct http_request rq = {
		.label = "preflight",
		.method = "GET",
		.url = look->url,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.connect_to = c->connect_to,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.max_body = BODY_MAX,
		.cut_body = true,
	};

	http_start(c->preflight->http, &rq, on_http, look, &look->http_call);
}

/* Where the last request went, short enough for a message. */
static const char *shown_url(const struct look *look, char buf[URL_SHOWN_MAX + 1])
{
	return str_escape(look->url, strlen(look->url), buf, URL_SHOWN_MAX + 1);
}

static void judge_body(struct look *look, const struct http_result *http)
{
	const char *token = look->call->token;
	char start[START_MAX + 1];
	char url[URL_SHOWN_MAX + 1];

	if (memmem(http->body, http->body_len, token, strlen(token))) {
		look->outcome = (struct outcome)OUTCOME_OK;
		return;
	}
	(void)outcome_set(
		&look->outcome, FAULT_REFUSED, "wrong_content",
		"%s: status 200 without the value \"%.*s...\", it begins with \"%s\": another file or "
		"server answers; correct dcv.webroot",
		shown_url(look, url), TOKEN_SHOWN, token,
		str_escape(http->body, http->body_len, start, sizeof(start)));
}

static const char *remedy_for_status(int status)
{
	if (status == 401 || status == 403)
		return "allow this path without a password";
	if (status >= 500)
		return "the web server has a problem";
	if (status >= 300 && status < 400)
		return "serve the file without this redirect";
	return "publish the file or correct dcv.webroot";
}

static void judge_status(struct look *look, const struct http_result *http)
{
	char url[URL_SHOWN_MAX + 1];

	(void)outcome_set(&look->outcome, FAULT_REFUSED, "http_status",
			  "%s: status %d (wanted 200 with the value \"%.*s...\"): %s", shown_url(look, url),
			  http->status, TOKEN_SHOWN, look->call->token, remedy_for_status(http->status));
}

/* True when the look goes on at the next address. */
static bool follow(struct look *look, const struct http_result *http)
{
	char *next = NULL;
	char why[128] = "";
	char target[81];
	char url[URL_SHOWN_MAX + 1];

	(void)str_escape(http->location, strlen(http->location), target, sizeof(target));
	if (look->hops >= HOPS_MAX) {
		(void)outcome_set(
			&look->outcome, FAULT_REFUSED, "redirects",
			"http://%s%s: more than %d redirects, the last one to \"%s\": serve the file "
			"without redirects",
			look->name, WEBROOT_URL_PATH, HOPS_MAX, target);
		return false;
	}
	if (!preflight_may_follow(look->url, http->location, &next, why, sizeof(why))) {
		(void)outcome_set(
			&look->outcome, FAULT_REFUSED, "redirect",
			"%s: status %d redirects to \"%s\", which the CA does not follow (%s): serve the "
			"file without this redirect",
			shown_url(look, url), http->status, target, why);
		return false;
	}
	/* The validator does not accept a value that stands in the URL it was led to. */
	if (strstr(next, look->call->token)) {
		(void)outcome_set(
			&look->outcome, FAULT_REFUSED, "redirect",
			"%s: status %d redirects to a URL with the value in it, which the CA does not "
			"accept",
			shown_url(look, url), http->status);
		free(next);
		return false;
	}
	free(look->url);
	look->url = next;
	look->hops++;
	return true;
}

static void judge_failure(struct look *look, const struct http_result *http)
{
	char url[URL_SHOWN_MAX + 1];
	char reason[161];

	(void)str_escape(http->outcome.message, strlen(http->outcome.message), reason, sizeof(reason));
	(void)outcome_set(&look->outcome, FAULT_UNCLEAR, http->outcome.code,
			  "%s: %s: the name must resolve and port 80 must be open to the world",
			  shown_url(look, url), reason);
}

/* --- one call ------------------------------------------------------------------------------------- */

static void call_free(struct preflight_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->preflight->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	for (size_t i = 0; i < c->n; i++) {
		http_cancel(&c->looks[i].http_call);
		free(c->looks[i].url);
		free(c->names[i]);
	}
	free(c->looks);
	free(c->names);
	free(c->token);
	free(c->connect_to);
	free(c);
}

/* The first bad name speaks, by its place in the order: the same fault gives the same text each time. */
static void call_deliver(struct preflight_call *c)
{
	const struct look *first = NULL;
	struct outcome o = OUTCOME_OK;
	size_t n_bad = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->looks[i].outcome.fault == FAULT_NONE)
			continue;
		n_bad++;
		if (!first)
			first = &c->looks[i];
	}
	if (first)
		o = first->outcome;
	if (n_bad > 1) {
		char more[80];

		(void)snprintf(more, sizeof(more), " (%zu of %zu names are bad)", n_bad, c->n);
		(void)outcome_set(&o, first->outcome.fault, first->outcome.code, "%.*s%s",
				  (int)(OUTCOME_MESSAGE_MAX - sizeof(more)), first->outcome.message, more);
	}
	c->delivering = true;
	c->done(&o, c->owner);
	call_free(c);
}

static void start_next(struct preflight_call *c)
{
	struct look *look = &c->looks[c->n_started++];

	look->url = xasprintf("http://%s%s", look->name, WEBROOT_URL_PATH);
	look_send(look);
}

static void on_http(const struct http_result *http, void *owner)
{
	struct look *look = owner;
	struct preflight_call *c = look->call;

	look->http_call = NULL;
	if (http->outcome.fault != FAULT_NONE) {
		judge_failure(look, http);
	} else if (http->status == 301 || http->status == 302 || http->status == 307 || http->status == 308) {
		if (follow(look, http)) {
			look_send(look);
			return;
		}
	} else if (http->status == 200) {
		judge_body(look, http);
	} else {
		judge_status(look, http);
	}
	look->outcome.http_status = http->status;
	c->n_done++;
	if (c->n_started < c->n)
		start_next(c);
	else if (c->n_done == c->n)
		call_deliver(c);
}

void preflight_start(struct preflight *p, const char *const *names, size_t n_names, const char *token,
		     const char *connect_to, preflight_done_fn *done, void *owner,
		     struct preflight_call **ret)
{
	struct preflight_call *c = xmalloc(sizeof(*c));

	assert(n_names > 0);
	c->preflight = p;
	c->token = xstrdup(token);
	c->connect_to = xstrdup_opt(connect_to);
	c->n = n_names;
	c->names = xcalloc(n_names, sizeof(char *));
	c->looks = xcalloc(n_names, sizeof(*c->looks));
	for (size_t i = 0; i < n_names; i++) {
		c->names[i] = xstrdup(names[i]);
		c->looks[i].call = c;
		c->looks[i].name = c->names[i];
	}
	c->done = done;
	c->owner = owner;
	c->next = p->calls;
	if (c->next)
		c->next->prev = c;
	p->calls = c;
	if (ret)
		*ret = c;
	while (c->n_started < MIN(c->n, (size_t)AT_ONCE))
		start_next(c);
}

void preflight_cancel(struct preflight_call **call)
{
	struct preflight_call *c = *call;

	*call = NULL;
	if (c && !c->delivering)
		call_free(c);
}

int preflight_new(struct loop *l, struct preflight **ret, struct err *reterr)
{
	/* Certificates are not checked, as the CA does not: a redirect to https behind an expired certificate is
	 * the ordinary state of a site that is about to be repaired. */
	const struct http_options o = { .plain = true };
	struct http *http = NULL;
	int r = http_new(l, &o, &http, reterr);

	if (r < 0) {
		err_prefix(reterr, "preflight");
		return r;
	}
	*ret = xmalloc(sizeof(**ret));
	(*ret)->http = http;
	return 0;
}

void preflight_free(struct preflight *p)
{
	if (!p)
		return;
	for (struct preflight_call *c = p->calls, *next = NULL; c; c = next) {
		next = c->next;
		assert(!c->delivering); /* not from a callback */
		call_free(c);
	}
	http_free(p->http);
	free(p);
}
