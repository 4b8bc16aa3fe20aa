/* SPDX-License-Identifier: Apache-2.0 */
/* CertCentral Services API v2: one client per API key. Every request of the key passes here: it waits
 * for its turn (most urgent first), is kept inside the rolling rate windows, and is answered by exactly one
 * callback with a decoded reply. Sources are named at each function by the page's title below
 * dev.digicert.com "CertCentral Services API". */
#pragma once

#include "common/json.h"
#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/http.h"

struct cc;
struct cc_call;

/* c gives url, ca_file, api_key, rates and proxy; a reference is kept. */
int cc_new(struct loop *l, struct config *c, struct cc **ret, struct err *reterr) _must_check_;
/* A new snapshot after a reload: new calls use it, calls under way go on. A stop because of 401/403 is lifted. */
int cc_reconfigure(struct cc *cc, struct config *c, struct err *reterr) _must_check_;
void cc_free(struct cc *cc);

/* A word the CA uses for an order's or certificate's state. Anything unknown is CC_STATUS_UNKNOWN: keep, ask again, never
 * throw the order away. */
enum cc_status {
	CC_STATUS_UNKNOWN,
	CC_STATUS_PENDING,	  /* pending, processing, waiting_pickup */
	CC_STATUS_NEEDS_APPROVAL, /* needs_approval */
	CC_STATUS_ISSUED,	  /* issued, approved */
	CC_STATUS_REISSUE,	  /* reissue_pending, reissue: the old certificate is still good */
	CC_STATUS_REJECTED,	  /* rejected, denied */
	CC_STATUS_CANCELED,
	CC_STATUS_REVOKED,
	CC_STATUS_EXPIRED,
	CC_STATUS_NEEDS_CSR,
	CC_STATUS_NR
};
enum cc_status cc_status_parse(const char *word); /* case is ignored; NULL is UNKNOWN */
const char *cc_status_name(enum cc_status s);

struct cc_entry {
	int64_t order_id;
	int64_t certificate_id; /* 0: not told */
	enum cc_status status;
};

/* One reply for all endpoints; what an endpoint does not tell is 0 / NULL. Valid during the callback. */
struct cc_reply {
	struct outcome outcome; /* fault NONE: the members below hold */
	int64_t order_id;
	int64_t certificate_id;
	enum cc_status status;
	const char *status_word; /* as sent, sanitised */
	const char *dcv_token;	 /* random value */
	int64_t dcv_token_expires_at;
	bool needs_approval;	   /* order: only requests[] came back */
	bool validated;		   /* check-dcv: every name is proven */
	const char *not_validated; /* check-dcv: names not proven yet, blank separated, bounded; "" */
	const char *common_name;
	const char *csr;
	int64_t order_valid_until;	/* 0: not told */
	const struct cc_entry *entries; /* find, status-changes */
	size_t n_entries;
	const char *pem; /* download, or the chain of an instant answer joined */
	size_t pem_len;
};

typedef void cc_done_fn(const struct cc_reply *r, void *owner);

/* Lower goes first: the expiry time of the certificate that depends on the call is a good value; CC_PRIO_NOW is for polls that serve all. */
#define CC_PRIO_NOW INT64_MIN

struct cc_order {
	const char *product;
	const char *const *names; /* first one is the common name */
	size_t n_names;
	const char *csr;
	const char *reference;	/* alternative_order_id */
	const char *dcv_method; /* "http-token" */
	int64_t order_years;
	int64_t cert_days;	    /* 0: not sent */
	const char *payment_method; /* NULL: not sent */
};

/* Order DV SSL: POST /order/certificate/{product}. The only call that costs money. fault UNSENT means that it surely
 * did not arrive, UNCLEAR that nobody knows. */
void cc_order_submit(struct cc *cc, const struct cc_order *o, int64_t prio, cc_done_fn *done, void *owner,
		     struct cc_call **ret);
/* Get orders by alternative order ID: GET /order/alternate/{reference}. None (404 or empty) is FAULT_NONE with n_entries 0. */
void cc_order_find(struct cc *cc, const char *reference, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret);
/* Order info: GET /order/certificate/{order_id}. */
void cc_order_info(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret);
/* DV SSL: generate DCV token: PUT /order/certificate/{order_id}/dcv-random-value; the same value while it is valid. */
void cc_dcv_token(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		  struct cc_call **ret);
/* DV SSL: check DCV: PUT /order/certificate/{order_id}/check-dcv. "Not yet" (200 with pending names, or 400 invalid_dns_txt /
 * file_random_value_not_found) is FAULT_NONE with validated false. A 200 alone proves nothing. */
void cc_dcv_check(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		  struct cc_call **ret);
/* Status change list: GET /order/certificate/status-changes?minutes=N, all pages. minutes is cut to 1..10079. */
void cc_status_changes(struct cc *cc, int64_t minutes, cc_done_fn *done, void *owner, struct cc_call **ret);
/* Download certificate: GET /certificate/{certificate_id}/download/format/pem_all. Not issued yet: FAULT_NOT_FOUND. */
void cc_download(struct cc *cc, int64_t certificate_id, int64_t prio, cc_done_fn *done, void *owner,
		 struct cc_call **ret);

/* Silence from now on; a request that has left may still take effect. Clears *c. */
void cc_cancel(struct cc_call **c);

/* True while a 401/403 stops the key (until cc_reconfigure). */
bool cc_is_blocked(const struct cc *cc);
uint64_t cc_request_count(const struct cc *cc);

/* --- pure parts, for tests and the fuzzer (certcentral/decode.c, problem.c) --- */

/* Request body of an order; appends to sb. */
void cc_encode_order(const struct cc_order *o, struct strbuf *sb);

enum cc_endpoint { CC_ORDER, CC_FIND, CC_INFO, CC_TOKEN, CC_CHECK, CC_CHANGES, CC_DOWNLOAD };

struct cc_decoded; /* owns what a reply borrows */
/* Turns an HTTP answer into a reply. now is for Retry-After dates. Never fails: what cannot be understood is an outcome
 * (UNCLEAR). *ret is owned by the caller. */
const struct cc_reply *cc_decode(enum cc_endpoint ep, const struct http_result *http, int64_t now,
				 struct cc_decoded **ret);
void cc_decoded_free(struct cc_decoded *d);
DEFINE_CLEANUP(struct cc_decoded *, cc_decoded_free)

/* An error answer to an outcome: the table of error codes, "code|tail", object instead of array, HTML. */
void cc_problem(enum cc_endpoint ep, const struct http_result *http, int64_t now, struct outcome *ret);
