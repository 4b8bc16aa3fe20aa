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
	char *cert_status_word;
	char *dcv_method;
	char *roles;
	char *products;
	struct cc_entry *entries;
	struct cc_cert *certs;
	size_t n_certs;
	struct cc_auth_key *auth_keys;
	size_t n_auth_keys;
	int64_t total; /* page.total; 0: not told */
};

/* Longest text of the CA that goes into a message, status words included. */
#define CC_TEXT_MAX 256
#define CC_WORD_MAX 64

/* The answer's cap: decode never sees more, json_parse refuses more. */
#define CC_BODY_MAX (1024UL * 1024)

/* --- the decoders of endpoints (decode_order.c, decode_dcv.c, decode_account.c) and what they share (decode.c) --- */

/* Fills d->reply from a JSON object that holds no error document. */
typedef void cc_decode_fn(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j);

cc_decode_fn cc_decode_order;	/* order, reissue, duplicate */
cc_decode_fn cc_decode_entries; /* find, status-changes */
cc_decode_fn cc_decode_info;
cc_decode_fn cc_decode_duplicates;
cc_decode_fn cc_decode_token; /* random value, change of method */
cc_decode_fn cc_decode_check;
cc_decode_fn cc_decode_revocation;
cc_decode_fn cc_decode_auth_keys; /* the list */
cc_decode_fn cc_decode_auth_key;  /* details, creation */
cc_decode_fn cc_decode_user;
cc_decode_fn cc_decode_products;

/* The answer is not understood. */
void cc_unclear(struct cc_decoded *d, const char *code, const char *why);
/* json_pick; false after cc_unclear. */
bool cc_pick(struct cc_decoded *d, const struct json *j, const char *path, const struct json_field *fields,
	     size_t n, void *target);
/* False after cc_unclear. */
bool cc_id_is_sane(struct cc_decoded *d, const char *path, int64_t id, int64_t least);
/* A copy of at most max bytes, controls escaped. */
char *cc_one_line(const char *s, size_t max);
/* status and status_word; NULL: nothing. */
void cc_take_status(struct cc_decoded *d, const char *word);
/* dcv_token; when it is not sane the outcome becomes otherwise, and false is returned. */
bool cc_take_token(struct cc_decoded *d, enum fault otherwise, const char *path, const char *token);
/* "yyyy-MM-dd" or RFC 3339; 0 when NULL or neither. */
int64_t cc_day_or_time(const char *s);
/* A copy, or NULL when it is too long or no plain PEM text. */
char *cc_sane_csr(const char *s);
/* Adds s without its carriage returns: PEM comes with CRLF inside JSON and sometimes outside. */
void cc_add_lf(struct strbuf *sb, const char *s, size_t len);

#define CC_PEM_BEGIN "-----BEGIN CERTIFICATE-----"

/* Answers of these may hold an AuthKey: their bodies are never quoted. */
bool cc_endpoint_is_secret(enum cc_endpoint ep);

/* An error document inside a 2xx answer: code and message for people, the fault stays UNCLEAR. False when
 * the body holds none. */
bool cc_problem_in_success(const struct json *j, int http_status, struct outcome *ret);

/* --- request bodies of one field (encode.c) --- */

/* {key: word} */
void cc_encode_word(const char *key, const char *word, struct strbuf *sb);

/* --- endpoints (requests.c) --- */

struct cc_endpoint_row {
	const char *label;
	const char *method;
	/* A right of its own (the account, an administrator): 403 says nothing about the key's other requests. */
	bool own_right;
};
extern const struct cc_endpoint_row cc_endpoints[CC_ENDPOINT_NR];

/* A call that is not queued yet; takes path. Its body may be set until it is queued. */
struct cc_call *cc_call_new(struct cc *cc, enum cc_endpoint ep, char *path, int64_t prio, cc_done_fn *done,
			    void *owner);
void cc_call_enqueue(struct cc_call *c, struct cc_call **ret);

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
	char *blame;	    /* for whom it is asked: io/blame.h */
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
