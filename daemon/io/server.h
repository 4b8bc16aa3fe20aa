/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny GET/HEAD server on the loop (libmicrohttpd, no thread of its own): for fileauth.txt. Bodies of requests
 * are refused, headers are bounded, slow and idle clients are dropped after 10 s, at most 256 clients: who comes when
 * there are more takes the place of the one that has been there longest. */
#pragma once

#include "daemon/io/loop.h"

struct server;

struct server_request {
	const char *method; /* "GET" or "HEAD" */
	const char *path;   /* without the query */
	const char *host;   /* Host header without port, lower case; "" when absent */
};

struct server_reply {
	int status;		  /* 200, 404, ... */
	const char *content_type; /* NULL: text/plain */
	const char *body;	  /* copied by the server; NULL: empty */
};

/* Fills reply; called on the loop. */
typedef void server_fn(const struct server_request *rq, struct server_reply *reply, void *arg);

/* listen: "ADDR:PORT", "[v6]:PORT". */
int server_new(struct loop *l, const char *listen, server_fn *fn, void *arg, struct server **ret,
	       struct err *reterr) _must_check_;
void server_free(struct server *s);
/* Another time than 10 s for clients that connect from now on; for tests. */
void server_set_client_ms(struct server *s, int64_t ms);
/* The port really bound (for ":0"). */
unsigned server_port(const struct server *s);
