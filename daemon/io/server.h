/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny GET/HEAD server on the loop (libmicrohttpd, no thread of its own): for fileauth.txt and /metrics. Bodies of requests
 * are refused, headers are bounded, slow and idle clients are dropped after 10 s, the number of clients is bounded: who comes
 * when there are more takes the place of the one that has been there longest. */
#pragma once

#include "daemon/io/loop.h"

struct server;

struct server_request {
	const char *method; /* "GET" or "HEAD" */
	const char *path;   /* without the query */
	const char *host;   /* Host header without port, lower case; "" when absent */
	const char *accept; /* Accept header; "" when absent */
};

struct server_reply {
	int status;		  /* 200, 404, ... */
	const char *content_type; /* NULL: text/plain */
	const char *body;	  /* copied by the server, unless release is set; NULL: empty */
	size_t body_len;	  /* with release */
	/* Set: the body is not copied, and this is called once when nobody needs it any more. For large ones that many share. */
	void (*release)(void *arg);
	void *release_arg;
};

/* Fills reply; called on the loop. */
typedef void server_fn(const struct server_request *rq, struct server_reply *reply, void *arg);

struct server_options {
	const char *listen; /* "ADDR:PORT", "[v6]:PORT", "unix:PATH" (whoever reaches the path may connect) */
	unsigned clients_max; /* 0: 256 */
};
int server_open(struct loop *l, const struct server_options *o, server_fn *fn, void *arg, struct server **ret,
		struct err *reterr) _must_check_;
/* The same with defaults. */
int server_new(struct loop *l, const char *listen, server_fn *fn, void *arg, struct server **ret,
	       struct err *reterr) _must_check_;
void server_free(struct server *s);
/* Another time than 10 s for clients that connect from now on; for tests. */
void server_set_client_ms(struct server *s, int64_t ms);
/* The port really bound (for ":0"). */
unsigned server_port(const struct server *s);
