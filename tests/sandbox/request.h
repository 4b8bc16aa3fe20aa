/* SPDX-License-Identifier: Apache-2.0 */
/* One request as the handlers see it, and the answer they fill. No word about MHD here, so that the
 * handlers can be read (and reused) without it. */
#pragma once

#include "common/base.h"
#include "common/json.h"
#include "common/strbuf.h"
#include "tests/sandbox/faults.h"

#define REQUEST_BODY_MAX     (1024 * 1024)
#define REQUEST_SEGMENTS_MAX 10
#define REQUEST_QUERY_MAX    16

struct request_pair {
	char *key;
	char *val;
};

struct request {
	char *method;
	char *uri;			     /* as sent, with the query */
	char *segment[REQUEST_SEGMENTS_MAX]; /* decoded */
	size_t n_segments;
	struct request_pair query[REQUEST_QUERY_MAX]; /* decoded */
	size_t n_query;
	char *api_key;	    /* X-DC-DEVKEY; NULL = not sent */
	char *scutum_key;   /* X-Scutum-API-Key */
	char *content_type; /* NULL = not sent */
	struct strbuf body; /* failed when it was larger than REQUEST_BODY_MAX */
	bool broken;	    /* the address could not be read; segments and query are incomplete */
	const char *arg[2]; /* what the wildcards of the route matched */
	struct fault fault;
};

enum reply_ending {
	REPLY_WHOLE,
	REPLY_HALF, /* the head promises all, half of the body comes, then the connection ends */
	REPLY_DROP, /* nothing comes, the connection ends */
};

struct reply {
	unsigned status;
	const char *content_type;
	char *body;
	size_t len;
	char *retry_after;
	enum reply_ending ending;
};

/* Splits uri into decoded segments and query pairs; -EBADMSG when it is broken or has too many. */
int request_set_uri(struct request *rq, const char *uri) _must_check_;
void request_done(struct request *rq);
/* The value of a query parameter, or NULL. */
const char *request_query(const struct request *rq, const char *key);
/* "application/json", with or without parameters. */
bool request_is_json(const struct request *rq);

void reply_done(struct reply *rp);
/* Replaces what was there. */
void reply_bytes(struct reply *rp, unsigned status, const char *content_type, const void *data, size_t len);
/* Takes j. Slashes are written as \/ like CertCentral does: a client must not compare texts. */
void reply_json(struct reply *rp, unsigned status, struct json *j);
/* {"errors":[{"code","message"}]}; always returns -1, so that checks can `return reply_error(...)`. */
int reply_error(struct reply *rp, unsigned status, const char *code, const char *fmt, ...) _printf_(4, 5);
