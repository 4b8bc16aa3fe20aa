/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share and nobody else may use. */
#pragma once

#include "daemon/certcentral/client.h"

/* A reply and what it borrows. */
struct cc_decoded {
	struct cc_reply reply;
	char *status_word;
	char *dcv_token;
	char *not_validated;
	char *common_name;
	char *csr;
	char *pem;
	struct cc_entry *entries;
	int64_t total; /* page.total; 0: not told */
};

/* Longest text of the CA that goes into a message, status words included. */
#define CC_TEXT_MAX 256
#define CC_WORD_MAX 64

/* The answer's cap: decode never sees more, json_parse refuses more. */
#define CC_BODY_MAX (1024UL * 1024)

/* An error document inside a 2xx answer: code and message for people, the fault stays UNCLEAR. False when
 * the body holds none. */
bool cc_problem_in_success(const struct json *j, int http_status, struct outcome *ret);

/* --- calls and their queue (queue.c): a binary heap, the smallest (prio, sequence) first --- */

#define CC_NOT_QUEUED SIZE_MAX

struct cc_call {
	struct cc *cc;
	enum cc_endpoint ep;
	char *path; /* below the base URL, without a page */
	char *body; /* NULL: none */
	size_t body_len;
	int64_t prio;
	uint64_t sequence;
	size_t heap_at;	 /* CC_NOT_QUEUED, or its place */
	bool delivering; /* its callback runs */
	cc_done_fn *done;
	void *owner;
	unsigned throttled; /* 429 so far */
	/* under way */
	struct http_call *http_call;
	struct http *http;   /* the one it left with */
	uint64_t stop_epoch; /* how many 429 stops there had been when it left */
	/* pages of status-changes */
	struct cc_entry *entries;
	size_t n_entries;
	/* list of all calls */
	struct cc_call *prev, *next;
};

struct cc_queue {
	struct cc_call **heap;
	size_t len;
	size_t alloc;
};

/* Takes a place in the queue; c must not be in one. */
void cc_queue_push(struct cc_queue *q, struct cc_call *c);
/* The most urgent call, or NULL. */
struct cc_call *cc_queue_pop(struct cc_queue *q);
/* Takes a call out from wherever it is; nothing happens when it is not in. */
void cc_queue_remove(struct cc_queue *q, struct cc_call *c);
/* Frees the heap, not the calls. */
void cc_queue_done(struct cc_queue *q);
