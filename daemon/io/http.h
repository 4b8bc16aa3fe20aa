/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP client: libcurl on the loop (http.c, headers.c and curlmulti.c are the only files that include it).
 *
 * One struct http per peer service: it owns the connection pool, the trust (loaded once and cached) and
 * the proxy. Never follows a redirect (libcurl 7.88 would send X-DC-DEVKEY to the other host; a 3xx is
 * an answer like any other), ignores proxy variables of the environment, TLS 1.2 at least, verified. */
#pragma once

#include "common/secret.h"
#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

struct http;
struct http_call;

struct http_options {
	const char *ca_file; /* NULL: the system's store */
	const char *proxy;   /* NULL: none */
	bool plain;	     /* also allow http://, and do not check certificates: only for looking at public
				 files the way the CA looks (DigiCert's own validator does not check them) */
	unsigned max_connections; /* per host; 0 = 8 */
};

int http_new(struct loop *l, const struct http_options *o, struct http **ret,
	     struct err *reterr) _must_check_;
/* Cancels all calls silently and closes all connections (asynchronously; drain the loop). NULL accepted. */
void http_free(struct http *h);
/* Hands h over to its calls, so that a new client can take its place while they finish as ever: h frees itself
 * when the last one has ended (called back or cancelled), at once when there is none. To the caller h is gone:
 * no call may be started with it any more. May be called from a callback. NULL accepted. */
void http_retire(struct http *h);

struct http_header {
	const char *name;
	const char *value; /* NULL when secret is set */
	const struct secret
		*secret; /* value that must not be logged; where the answer repeats it, it is struck out */
};

struct http_request {
	const char *label;  /* for logs: "order.submit" */
	const char *method; /* "GET", "PUT", "POST" */
	const char *url;
	const struct http_header *headers;
	size_t n_headers;
	const void *body; /* copied; NULL: none. The copy is wiped */
	size_t body_len;
	const struct secret
		*hide; /* in the body, to be struck out of the answer like a secret header; NULL: none */
	const char *connect_to; /* "ADDR:PORT" to go to instead of the URL's host and port; NULL: no */
	int64_t connect_ms;	/* 0 = 10,000 */
	int64_t total_ms;	/* whole call; 0 = 60,000 */
	size_t max_body;	/* answer's cap; 0 = 1 MiB */
	bool cut_body;		/* true: an answer beyond max_body is cut there and is not a failure */
};

struct http_result {
	/* FAULT_NONE when a complete answer arrived, whatever its status; FAULT_UNSENT when the request
	 * cannot have reached the peer; else FAULT_UNCLEAR. code and message say why. */
	struct outcome outcome;
	int status;	  /* 0 when there is no answer */
	const char *body; /* NUL-terminated, never NULL */
	size_t body_len;
	const char *content_type; /* or "" */
	const char *location;	  /* of a 3xx, or "" */
	const char *retry_after;  /* raw header, or "" */
	const char *date;	  /* raw header, or "" */
};

typedef void http_done_fn(const struct http_result *r, void *owner);

/* GET and HEAD may be sent again when a connection that was kept open turns out to be dead; all other
 * methods are sent at most once. Waiting for one of max_connections counts as connecting. */
void http_start(struct http *h, const struct http_request *rq, http_done_fn *done, void *owner,
		struct http_call **ret);
/* Silence from now on; clears *c. NULL content accepted. */
void http_cancel(struct http_call **c);

/* Requests started so far, connections opened so far. */
uint64_t http_request_count(const struct http *h);
uint64_t http_connection_count(const struct http *h);

/* Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3). Seconds from now, 0 when absent or unusable;
 * capped at one hour. */
int64_t http_retry_after(const char *value, int64_t now);
