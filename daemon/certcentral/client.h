/* SPDX-License-Identifier: Apache-2.0 */
/* CertCentral Services API v2: one client per API key. Every request of the key passes here: it waits
 * for its turn (most urgent first), is kept inside the rolling rate windows, and is answered by exactly one
 * callback with a decoded reply. Sources are named at each function by the page's title below
 * dev.digicert.com "CertCentral Services API". */
#pragma once

#include "common/json.h"
#include "common/secret.h"
#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/core/tally.h"
#include "daemon/io/http.h"

struct cc;
struct cc_call;

/* c gives url, ca_file, api_key, rates and proxy; a reference is kept. */
int cc_new(struct loop *l, struct config *c, struct cc **ret, struct err *reterr) _must_check_;
/* A new snapshot after a reload: new calls use it, calls under way go on. A stop because of 401/403 is lifted. */
int cc_reconfigure(struct cc *cc, struct config *c, struct err *reterr) _must_check_;
/* The rate windows begin with what the last process asked, as state/rates in this folder tells it, and are kept there from now on.
 * Before the first request. */
void cc_keep_rates(struct cc *cc, int state_fd);
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

/* A certificate in a list of an order. */
struct cc_cert {
	int64_t certificate_id; /* 0: not told */
	enum cc_status status;
	char *csr;    /* NULL: not told, or not plain PEM text */
	char *serial; /* hex digits as sent; NULL: not told */
};

/* An AuthKey of the account. Whoever needs the key for longer than the callback copies it. */
struct cc_auth_key {
	char *id;	       /* printable, no blanks */
	struct secret *secret; /* NULL: not told */
	int64_t expires_at;    /* 0: never */
	char *status_word;     /* "active", ...; sanitised; NULL: not told */
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
	int64_t request_id; /* order, reissue, duplicate, revoke: the request that was made; info: the one that waits */
	bool needs_approval; /* order, reissue, duplicate: only requests[] came back; revoke: a person has to approve; info: the reissue */
	bool validated;		   /* check-dcv: every name is proven */
	const char *not_validated; /* check-dcv: names not proven yet, blank separated, bounded; "" */
	const char *common_name;
	const char *csr;	      /* info: of the present certificate, line ends as sent */
	int64_t order_valid_until;    /* info: end of the plan; 0: not told */
	bool reissue_pending;	      /* info: by the order's status, or by a request that waits */
	const char *cert_status_word; /* info: of the present certificate; NULL: not told */
	enum cc_status cert_status;
	int64_t renewed_order_id;	/* info: the order that took this one's place */
	const char *dcv_method;		/* info */
	const struct cc_entry *entries; /* find, status-changes */
	size_t n_entries;
	const struct cc_cert *certs; /* duplicates, each once */
	size_t n_certs;
	const struct cc_auth_key *auth_keys;
	size_t n_auth_keys;
	const char *roles;    /* user: of the key's user, comma separated; NULL: not told */
	const char *products; /* products: ids, blank separated; NULL: not told */
	int64_t server_at;    /* the server's clock, whatever the answer; 0: not told */
	const char *
		pem; /* download, or the chain of an instant answer joined: leaf first, the root may be last */
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
	/* For method "email": each name is given those addresses whose domain is the name or one above it; the star of
	 * a wildcard does not count. Names without any are left to the CA's own addresses. */
	const char *const *dcv_emails;
	size_t n_dcv_emails;
	bool use_auth_key;	     /* always said: its default has changed over the years */
	const char *auth_key_id;     /* NULL: not sent; sent with use_auth_key only */
	int64_t renewal_of_order_id; /* 0: not sent */
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
/* The same by the serial number (hex) of its primary certificate. Whatever is refused here does not stop the key: it may be a
 * certificate of somebody else. */
void cc_order_by_serial(struct cc *cc, const char *serial, int64_t prio, cc_done_fn *done, void *owner,
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

/* Reissue certificate: POST /order/certificate/{order_id}/reissue. Of *o all names, the CSR and cert_days are sent (all again,
 * also what does not change); names that are missing cost the certificates before their validity. Replies like cc_order_submit,
 * and is never repeated either: an answer that is UNCLEAR is settled by cc_order_info. */
void cc_order_reissue(struct cc *cc, int64_t order_id, const struct cc_order *o, int64_t prio,
		      cc_done_fn *done, void *owner, struct cc_call **ret);
/* Duplicate certificate: POST /order/certificate/{order_id}/duplicate. Of *o names and CSR are sent; the page documents no
 * skip_approval, so the answer may be a request that waits (needs_approval, request_id). UNCLEAR: see cc_duplicates. */
void cc_order_duplicate(struct cc *cc, int64_t order_id, const struct cc_order *o, int64_t prio,
			cc_done_fn *done, void *owner, struct cc_call **ret);
/* List duplicates: GET /order/certificate/{order_id}/duplicate. Replies certs; the order's own certificate may be among them. */
void cc_duplicates(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		   struct cc_call **ret);
/* DV SSL: change DCV method: PUT /order/certificate/{order_id}/dcv-method. The value may be a new one: dcv_token, NULL when
 * the answer has none (to "email"). */
void cc_dcv_method(struct cc *cc, int64_t order_id, const char *method, int64_t prio, cc_done_fn *done,
		   void *owner, struct cc_call **ret);
/* DV SSL: resend emails: PUT /order/certificate/{order_id}/resend-emails. */
void cc_resend_emails(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		      struct cc_call **ret);

struct cc_revocation {
	int64_t order_id; /* used when certificate_id is 0: the whole order, with its duplicates */
	int64_t certificate_id;
	const char *reason; /* revocation_reason; NULL: not sent */
};
/* Revoke certificate: PUT /certificate/{id}/revoke; Revoke order certificates: PUT /order/certificate/{id}/revoke. Either done
 * (neither request_id nor needs_approval), or a request that an administrator has to approve; only the order's or
 * certificate's status says when it is final. */
void cc_revoke(struct cc *cc, const struct cc_revocation *r, int64_t prio, cc_done_fn *done, void *owner,
	       struct cc_call **ret);
/* Update request status: PUT /request/{request_id}/status. */
void cc_request_status(struct cc *cc, int64_t request_id, bool approve, int64_t prio, cc_done_fn *done,
		       void *owner, struct cc_call **ret);
/* Update order status: PUT /order/certificate/{order_id}/status. Ends an order that is pending; in reissue_pending only the reissue. */
void cc_order_cancel(struct cc *cc, int64_t order_id, int64_t prio, cc_done_fn *done, void *owner,
		     struct cc_call **ret);

/* The AuthKeys belong to the account: a key limited to orders gets FAULT_AUTH here, and that does not stop it elsewhere. */
/* List AuthKeys: GET /account/auth-keys. Active ones; none is FAULT_NONE with n_auth_keys 0. The keys themselves may be left out. */
void cc_auth_keys(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret);
/* AuthKey details: GET /account/auth-key/{id}, or with id NULL GET /account/auth-key: the only one (several: FAULT_CONFIG).
 * auth_keys[0] has the key. None: FAULT_NOT_FOUND. */
void cc_auth_key(struct cc *cc, const char *id, int64_t prio, cc_done_fn *done, void *owner,
		 struct cc_call **ret);
/* Create AuthKey: POST /account/auth-key/{days}, or with days 0 POST /account/auth-key: the one that never expires (there is
 * one already: FAULT_REFUSED). auth_keys[0] has the key. Never repeated. */
void cc_auth_key_create(struct cc *cc, int64_t days, int64_t prio, cc_done_fn *done, void *owner,
			struct cc_call **ret);

/* What the key is and may do; both may be forbidden to a key that is limited to orders, and that does not stop it elsewhere. */
/* User info: GET /user/me. */
void cc_user(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret);
/* Product list: GET /product: what the account may order. */
void cc_products(struct cc *cc, int64_t prio, cc_done_fn *done, void *owner, struct cc_call **ret);

/* Silence from now on; a request that has left may still take effect. Clears *c. */
void cc_cancel(struct cc_call **c);

/* True while a 401/403 stops the key (until cc_reconfigure). */
bool cc_is_blocked(const struct cc *cc);
uint64_t cc_request_count(const struct cc *cc);
/* Requests that ended by endpoint (kind: enum cc_endpoint) and HTTP status, since the start. */
const struct tally *cc_tally(const struct cc *cc);

/* One rolling window of the key, and how many requests it has room for right now. */
struct cc_rate {
	uint32_t requests;
	int64_t per; /* seconds */
	uint32_t left;
};
/* Fills ret; returns how many there are. */
size_t cc_rates(const struct cc *cc, struct cc_rate ret[static CFG_RATES_MAX]);

/* --- pure parts, for tests and the fuzzer (certcentral/encode.c, decode*.c, problem.c) --- */

/* Request bodies; they append to sb. */
void cc_encode_order(const struct cc_order *o, struct strbuf *sb);
void cc_encode_reissue(const struct cc_order *o, struct strbuf *sb);
void cc_encode_duplicate(const struct cc_order *o, struct strbuf *sb);
void cc_encode_revocation(const struct cc_revocation *r, struct strbuf *sb);

enum cc_endpoint {
	CC_ORDER,
	CC_FIND,
	CC_INFO,
	CC_SERIAL,
	CC_TOKEN,
	CC_CHECK,
	CC_CHANGES,
	CC_DOWNLOAD,
	CC_REISSUE,
	CC_DUPLICATE,
	CC_DUPLICATES,
	CC_METHOD,
	CC_RESEND,
	CC_REVOKE,
	CC_APPROVE,
	CC_CANCEL,
	CC_AUTH_KEYS,
	CC_AUTH_KEY,
	CC_AUTH_KEY_CREATE,
	CC_USER,
	CC_PRODUCTS,
	CC_ENDPOINT_NR
};
/* "order.submit" */
const char *cc_endpoint_label(enum cc_endpoint ep);

struct cc_decoded; /* owns what a reply borrows */
/* Turns an HTTP answer into a reply. now is for Retry-After dates. Never fails: what cannot be understood is an outcome
 * (UNCLEAR). *ret is owned by the caller. */
const struct cc_reply *cc_decode(enum cc_endpoint ep, const struct http_result *http, int64_t now,
				 struct cc_decoded **ret);
void cc_decoded_free(struct cc_decoded *d);
DEFINE_CLEANUP(struct cc_decoded *, cc_decoded_free)

/* An error answer to an outcome: the table of error codes, "code|tail", object instead of array, HTML. */
void cc_problem(enum cc_endpoint ep, const struct http_result *http, int64_t now, struct outcome *ret);
