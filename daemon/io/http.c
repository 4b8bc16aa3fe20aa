/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP client: libcurl's multi interface, driven by the loop (curlmulti.c). What a
 * call is, what it may do, and what its end means.
 *
 * Sent at most once. libcurl repeats a request on a fresh connection when a reused one died before a
 * byte of the answer came (Curl_retry_request), whatever the method; for an order that may mean paying
 * twice. CURLOPT_PREREQFUNCTION is called each time a connection is ready and the request is about to be
 * written, so it refuses the second time for every method but GET and HEAD. That leaves reuse (and its
 * saved handshakes) in place, which CURLOPT_FRESH_CONNECT would not, and it also covers requests that
 * share one HTTP/2 connection, where "fresh" protects only the first of them.
 * The same callback is what tells UNSENT from UNCLEAR: a call that never reached it wrote nothing.
 *
 * Callers are called back only from on_turn, when no libcurl function is on the stack, so they may
 * start, cancel and free what they like. */
#include "daemon/io/http.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "daemon/io/curlmulti.h"
#include "daemon/io/headers.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define DEFAULT_CONNECT_MS  10000
#define DEFAULT_TOTAL_MS    60000
#define DEFAULT_MAX_BODY    (1024UL * 1024)
#define DEFAULT_CONNECTIONS 8
#define HEADERS_MAX	    (128UL * 1024) /* of an answer */
#define POOL_MAX	    32
#define CA_CACHE_S	    3600L
#define RETRY_AFTER_MAX_S   3600

TAILQ_HEAD(call_list, http_call);

struct http {
	struct loop *loop;
	struct curlmulti *multi;
	struct timer *kick; /* delivers calls that failed before libcurl saw them */
	char *ca_file;
	char *proxy;
	bool plain;
	struct call_list active; /* in the multi handle */
	struct call_list done;	 /* finished, not yet told */
	CURL *pool[POOL_MAX];
	unsigned n_pool;
	unsigned n_delivering;
	bool retired; /* nobody's any more: the last call to end frees */
	uint64_t n_requests;
	uint64_t n_connections;
};

struct http_call {
	TAILQ_ENTRY(http_call) entry;
	struct call_list *list; /* active or done; NULL while it is being told */
	struct http *http;
	CURL *easy;
	http_done_fn *done;
	void *owner;
	char *label;
	char *method;
	char *url;
	char *body;
	size_t body_len;
	struct headers headers;
	struct curl_slist *connect_to;
	struct strbuf answer;
	size_t headers_len; /* of the answer so far */
	bool headers_end;   /* its empty line was seen */
	int64_t started_ms;
	CURLcode rc;
	bool cut_body;
	bool repeatable; /* GET and HEAD */
	bool sent;	 /* the request was about to be written at least once */
	bool sent_again; /* ... and libcurl wanted to a second time */
	bool over;	 /* the answer is larger than allowed */
	char problem[CURL_ERROR_SIZE];
};

/* --- a call's memory ------------------------------------------------------------------------------- */

static void pool_put(struct http *h, CURL *easy)
{
	curl_easy_reset(easy); /* options, private data and error buffer are forgotten, buffers kept */
	if (h->n_pool < POOL_MAX)
		h->pool[h->n_pool++] = easy;
	else
		curl_easy_cleanup(easy);
}

static CURL *pool_get(struct http *h)
{
	CURL *easy = h->n_pool > 0 ? h->pool[--h->n_pool] : curl_easy_init();

	if (!easy)
		abort(); /* out of memory, see common/mem.h */
	return easy;
}

static void call_move(struct http_call *c, struct call_list *to)
{
	if (c->list)
		TAILQ_REMOVE(c->list, c, entry);
	c->list = to;
	if (to)
		TAILQ_INSERT_TAIL(to, c, entry);
}

/* Out of its list and of the multi handle; what it opened is counted here because a cancelled call counts too. */
static void call_detach(struct http_call *c)
{
	long n = 0;

	if (c->list == &c->http->active) {
		curlmulti_remove(c->http->multi, c->easy);
		if (curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &n) == CURLE_OK && n > 0)
			c->http->n_connections += (uint64_t)n;
	}
	call_move(c, NULL);
}

static void call_free(struct http_call *c)
{
	call_detach(c);
	pool_put(c->http, c->easy);
	headers_done(&c->headers);
	curl_slist_free_all(c->connect_to);
	mem_wipe(c->body, c->body_len);
	free(c->body);
	strbuf_wipe(&c->answer);
	free(c->label);
	free(c->method);
	free(c->url);
	free(c);
}

/* --- callbacks of a transfer ------------------------------------------------------------------------ */

static size_t on_body(char *data, _unused_ size_t one, size_t len, void *arg)
{
	struct http_call *c = arg;
	size_t room = c->answer.cap - c->answer.len;

	strbuf_add(&c->answer, data, MIN(len, room));
	if (len > room)
		c->over = true; /* a short count makes libcurl give up: CURLE_WRITE_ERROR */
	return MIN(len, room);
}

/* libcurl takes a connection that ends within the headers for a complete answer without a body. */
static size_t on_header(char *data, _unused_ size_t one, size_t len, void *arg)
{
	struct http_call *c = arg;

	c->headers_len += len;
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
		c->headers_end = false;
	else if (data[0] == '\r' || data[0] == '\n')
		c->headers_end = true;
	return c->headers_len > HEADERS_MAX ? 0 : len;
}

static int on_about_to_send(void *arg, _unused_ char *remote, _unused_ char *local, _unused_ int remote_port,
			    _unused_ int local_port)
{
	struct http_call *c = arg;

	if (c->sent && !c->repeatable) {
		c->sent_again = true;
		return CURL_PREREQFUNC_ABORT;
	}
	c->sent = true;
	return CURL_PREREQFUNC_OK;
}

/* libcurl 7.88 does not ask for close-on-exec: hooks must not inherit connections to the CA. */
static curl_socket_t on_open_socket(_unused_ void *arg, _unused_ curlsocktype purpose,
				    struct curl_sockaddr *a)
{
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- result ---------------------------------------------------------------------------------------- */

/* A word per CURLcode; all others are "http". */
static const struct {
	CURLcode rc;
	const char *word;
} words[] = {
	{ CURLE_OK, "dropped" }, /* within the headers */
	{ CURLE_GOT_NOTHING, "dropped" },
	{ CURLE_RECV_ERROR, "dropped" },
	{ CURLE_SEND_ERROR, "dropped" },
	{ CURLE_PARTIAL_FILE, "dropped" },
	{ CURLE_HTTP2, "dropped" },
	{ CURLE_HTTP2_STREAM, "dropped" },
	{ CURLE_ABORTED_BY_CALLBACK, "dropped" }, /* not sent again */
	{ CURLE_COULDNT_RESOLVE_HOST, "resolve" },
	{ CURLE_COULDNT_RESOLVE_PROXY, "resolve" },
	{ CURLE_COULDNT_CONNECT, "connect" },
	{ CURLE_PROXY, "connect" },
	{ CURLE_OPERATION_TIMEDOUT, "timeout" },
	{ CURLE_SSL_CONNECT_ERROR, "tls" },
	{ CURLE_PEER_FAILED_VERIFICATION, "tls" },
	{ CURLE_SSL_CACERT_BADFILE, "tls" },
	{ CURLE_SSL_CERTPROBLEM, "tls" },
};

static const char *problem_word(const struct http_call *c)
{
	const char *word = "http";

	if (c->over || c->headers_len > HEADERS_MAX)
		return "too_large";
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].rc == c->rc)
			word = words[i].word;
	/* Dropped before it was sent: by a proxy that refused, or went away. */
	return strcmp(word, "dropped") == 0 && !c->sent ? "connect" : word;
}

/* "api.example.com" of a URL; the text itself may hold things that nobody wants in a log. */
static char *host_of(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL;
	char *ret = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		ret = xstrdup(host);
	curl_free(host);
	curl_url_cleanup(u);
	return ret ? ret : xstrdup("unusable URL");
}

static void set_problem(const struct http_call *c, struct outcome *o)
{
	_cleanup_free_ char *host = host_of(c->url);
	const char *why = c->problem[0] != '\0' ? c->problem : curl_easy_strerror(c->rc);

	if (c->over)
		why = "the answer is larger than allowed";
	else if (c->headers_len > HEADERS_MAX)
		why = "the answer's headers are larger than allowed";
	else if (c->rc == CURLE_OK)
		why = "the connection was closed within the answer's headers";
	else if (c->sent_again)
		why = "the connection was closed after the request was sent; it is not sent twice";
	(void)outcome_set(o, c->sent ? FAULT_UNCLEAR : FAULT_UNSENT, problem_word(c), "%s: %s", host, why);
}

static const char *header_of(CURL *easy, const char *name)
{
	struct curl_header *h = NULL;

	/* -1: of the last answer (a proxy's or a 1xx answer came before it) */
	return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : "";
}

static void call_deliver(struct http_call *c)
{
	struct http_result r = { .content_type = "", .location = "", .retry_after = "", .date = "" };
	bool complete = c->headers_end && (c->rc == CURLE_OK || (c->over && c->cut_body));
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	r.status = (int)status;
	r.content_type = header_of(c->easy, "Content-Type");
	r.location = header_of(c->easy, "Location");
	r.retry_after = header_of(c->easy, "Retry-After");
	r.date = header_of(c->easy, "Date");
	headers_strike(&c->headers, c->answer.data, c->answer.len);
	r.body = strbuf_str(&c->answer);
	r.body_len = c->answer.len;
	if (!complete)
		set_problem(c, &r.outcome);
	r.outcome.http_status = r.status;
	log_event(LOG_LEVEL_DEBUG, NULL, NULL, "%s: %s: status %d, %zu bytes, %lld ms%s%s", c->label,
		  c->method, r.status, r.body_len, (long long)(clock_mono_ms() - c->started_ms),
		  complete ? "" : ": ", complete ? "" : r.outcome.message);
	c->done(&r, c->owner);
}

static void free_if_over(struct http *h)
{
	if (!h->retired || h->n_delivering > 0 || !TAILQ_EMPTY(&h->active) || !TAILQ_EMPTY(&h->done))
		return;
	for (unsigned i = 0; i < h->n_pool; i++)
		curl_easy_cleanup(h->pool[i]);
	curlmulti_free(h->multi);
	timer_free(h->kick);
	free(h->ca_file);
	free(h->proxy);
	free(h);
}

/* After libcurl has run, and (kick) after calls failed before libcurl saw them. */
static void on_turn(void *arg)
{
	struct http *h = arg;
	struct http_call *c = NULL;

	h->n_delivering++;
	while ((c = TAILQ_FIRST(&h->done))) {
		call_move(c, NULL);
		call_deliver(c);
		call_free(c);
	}
	h->n_delivering--;
	free_if_over(h);
}

static void on_finished(void *easy, int code, _unused_ void *arg)
{
	struct http_call *c = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
	assert(c);
	c->rc = (CURLcode)code;
	call_detach(c);
	call_move(c, &c->http->done);
}

/* --- life ------------------------------------------------------------------------------------------- */

int http_new(struct loop *l, const struct http_options *o, struct http **ret, struct err *reterr)
{
	_cleanup_free_ struct http *h = xmalloc(sizeof *h);
	int r = 0;

	if (o->ca_file && access(o->ca_file, R_OK) < 0)
		return err_set_errno(reterr, -errno, "cannot read the CA file %s", o->ca_file);
	r = curlmulti_new(l, o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS, on_finished,
			  on_turn, h, &h->multi, reterr);
	if (r < 0)
		return r;
	h->kick = timer_new(l, on_turn, h);
	h->ca_file = xstrdup_opt(o->ca_file);
	h->proxy = xstrdup(o->proxy ? o->proxy : "");
	h->plain = o->plain;
	TAILQ_INIT(&h->active);
	TAILQ_INIT(&h->done);
	*ret = TAKE_PTR(h);
	return 0;
}

void http_free(struct http *h)
{
	struct http_call *c = NULL;

	if (!h)
		return;
	while ((c = TAILQ_FIRST(&h->active)) || (c = TAILQ_FIRST(&h->done)))
		call_free(c);
	http_retire(h);
}

void http_retire(struct http *h)
{
	if (!h)
		return;
	h->retired = true;
	free_if_over(h);
}

/* --- a call ------------------------------------------------------------------------------------------- */

static bool add_headers(struct http_call *c, const struct http_request *rq)
{
	bool has_type = false;

	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct http_header *h = &rq->headers[i];
		const char *value = h->secret ? secret_bytes(h->secret) : h->value;
		size_t len = h->secret ? secret_len(h->secret) : strlen(h->value);

		has_type = has_type || strcasecmp(h->name, "Content-Type") == 0;
		if (!headers_add(&c->headers, h->name, value, len, h->secret != NULL)) {
			(void)snprintf(c->problem, sizeof c->problem, "the value of header %s is unusable",
				       h->name);
			return false;
		}
	}
	headers_add_line(&c->headers, "Expect:"); /* no wait for "100 Continue" */
	if (!has_type && !c->repeatable)
		headers_add_line(&c->headers, "Content-Type:"); /* libcurl would claim a form */
	return true;
}

/* clang-format off */
#define SET(option, value) \
	rc = rc == CURLE_OK ? curl_easy_setopt(c->easy, (option), (value)) : rc
/* clang-format on */

static CURLcode set_trust_and_route(struct http_call *c)
{
	const struct http *h = c->http;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_PROTOCOLS_STR, h->plain ? "http,https" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, h->plain ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, h->plain ? 0L : 2L);
	/* The loaded store is cached in the multi handle only when no CApath is set (Debian sets one). */
	SET(CURLOPT_CAPATH, NULL);
	if (h->ca_file)
		SET(CURLOPT_CAINFO, h->ca_file);
	SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_PIPEWAIT, h->plain ? 0L : 1L); /* share one HTTP/2 connection rather than open eight */
	/* Both explicit, so that http_proxy, all_proxy, no_proxy of the environment mean nothing. */
	SET(CURLOPT_PROXY, h->proxy);
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* our headers are not for the proxy */
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	return rc;
}

static CURLcode set_machinery(struct http_call *c)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	/* Without it, giving up on a name that is still being resolved joins the resolver's thread. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_ERRORBUFFER, c->problem);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, c);
	SET(CURLOPT_PREREQFUNCTION, on_about_to_send);
	SET(CURLOPT_PREREQDATA, c);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_USERAGENT, "dvcertd/" DVCERT_VERSION);
	return rc;
}

static CURLcode set_request(struct http_call *c, const struct http_request *rq)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, c->url);
	if (strcmp(c->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (c->repeatable) {
		SET(CURLOPT_HTTPGET, 1L);
	} else {
		/* Without a body it says "Content-Length: 0". */
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, c->body ? c->body : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
		SET(CURLOPT_CUSTOMREQUEST, c->method);
	}
	SET(CURLOPT_HTTPHEADER, c->headers.lines);
	if (c->connect_to)
		SET(CURLOPT_CONNECT_TO, c->connect_to);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(rq->connect_ms > 0 ? rq->connect_ms : DEFAULT_CONNECT_MS));
	SET(CURLOPT_TIMEOUT_MS, (long)(rq->total_ms > 0 ? rq->total_ms : DEFAULT_TOTAL_MS));
	return rc;
}

#undef SET

static struct http_call *call_new(struct http *h, const struct http_request *rq, http_done_fn *done,
				  void *owner)
{
	struct http_call *c = xmalloc(sizeof *c);

	c->http = h;
	c->easy = pool_get(h);
	c->done = done;
	c->owner = owner;
	c->label = xstrdup(rq->label ? rq->label : "http");
	c->method = xstrdup(rq->method);
	c->url = xstrdup(rq->url);
	if (rq->body && rq->body_len > 0) {
		c->body = xmemdup(rq->body, rq->body_len);
		c->body_len = rq->body_len;
	}
	c->answer = (struct strbuf)STRBUF_INIT(rq->max_body ? rq->max_body : DEFAULT_MAX_BODY);
	c->cut_body = rq->cut_body;
	c->repeatable = strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0;
	c->started_ms = clock_mono_ms();
	if (rq->connect_to) {
		_cleanup_free_ char *to = xasprintf("::%s", rq->connect_to);

		c->connect_to = curl_slist_append(NULL, to);
		if (!c->connect_to)
			abort();
	}
	return c;
}

void http_start(struct http *h, const struct http_request *rq, http_done_fn *done, void *owner,
		struct http_call **ret)
{
	struct http_call *c = call_new(h, rq, done, owner);

	assert(!h->retired);
	h->n_requests++;
	if (ret)
		*ret = c;
	if (rq->hide)
		headers_hide(&c->headers, secret_bytes(rq->hide));
	if (!add_headers(c, rq))
		c->rc = CURLE_BAD_FUNCTION_ARGUMENT;
	if (c->rc == CURLE_OK)
		c->rc = set_trust_and_route(c);
	if (c->rc == CURLE_OK)
		c->rc = set_machinery(c);
	if (c->rc == CURLE_OK)
		c->rc = set_request(c, rq);
	/* Adding only arms libcurl's timer: nothing happens before the next turn. */
	if (c->rc == CURLE_OK && curlmulti_add(h->multi, c->easy) < 0)
		c->rc = CURLE_FAILED_INIT;
	if (c->rc == CURLE_OK) {
		call_move(c, &h->active);
		return;
	}
	call_move(c, &h->done);
	timer_set(h->kick, 0);
}

void http_cancel(struct http_call **c)
{
	struct http_call *mine = *c;
	struct http *h = NULL;

	*c = NULL;
	if (!mine || !mine->list) /* not one that is being told: its memory is in use until that returns */
		return;
	h = mine->http;
	call_free(mine);
	free_if_over(h);
}

uint64_t http_request_count(const struct http *h)
{
	return h->n_requests;
}

uint64_t http_connection_count(const struct http *h)
{
	return h->n_connections;
}

int64_t http_retry_after(const char *value, int64_t now)
{
	uint64_t s = 0;
	time_t at = 0;

	if (!value || value[0] == '\0')
		return 0;
	if (strspn(value, "0123456789") == strlen(value))
		return str_parse_u64(value, &s) < 0 || s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (int64_t)s;
	at = curl_getdate(value, NULL);
	if (at < 0 || (int64_t)at <= now)
		return 0;
	return MIN((int64_t)at - now, RETRY_AFTER_MAX_S);
}
