/* SPDX-License-Identifier: Apache-2.0 */
/* Everything the sandbox knows, in one struct under one mutex. The ledger lives in memory: a restart is
 * a new account with the same CA. Rule of the house: the mutex is never held during network I/O, and
 * orders are never freed before the end, so that a thread may keep a pointer across an unlock. */
#pragma once

#include "common/base.h"
#include "tests/sandbox/ca.h"
#include "tests/sandbox/csr.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/rates.h"

#include <pthread.h>
#include <stdatomic.h>

enum sbx_endpoint {
	SBX_ORDER,
	SBX_FIND,
	SBX_INFO,
	SBX_TOKEN,
	SBX_CHECK,
	SBX_CHANGES,
	SBX_DOWNLOAD,
	SBX_CHAIN,
	SBX_SCUTUM,
	SBX_REISSUE,
	SBX_REISSUES,
	SBX_DUPLICATE,
	SBX_DUPLICATES,
	SBX_REVOKE,
	SBX_APPROVE,
	SBX_CANCEL,
	SBX_METHOD,
	SBX_RESEND,
	SBX_LIST,
	SBX_ME,
	SBX_PRODUCTS,
	SBX_AUTHKEY,
	SBX_OCSP,
	SBX_CRL,
	SBX_OTHER,
	SBX_ENDPOINT_NR
};

enum dcv_method { DCV_EMAIL, DCV_DNS_TXT, DCV_DNS_CNAME, DCV_HTTP };

#define SBX_STATUS_MAX	   41
#define SBX_TOKEN_LEN	   32
#define SBX_CA_POLL_LIFE_S (10 * INT64_C(86400)) /* ... and CertCentral looks by itself for 10 */

struct order;

enum certificate_kind { CERTIFICATE_PRIMARY, CERTIFICATE_REISSUE, CERTIFICATE_DUPLICATE };

/* One certificate of an order, from the wish on. Never freed before the end. */
struct certificate {
	int64_t id;
	struct order *order;
	enum certificate_kind kind;
	char **names; /* names[0] is the common name; no duplicates */
	bool *proven;
	size_t n_names;
	struct csr *csr;
	bool foreign_key; /* made at the console: its key is not the CSR's, and nobody here has it */
	char signature_hash[8];
	int64_t server_platform;
	int64_t days; /* asked for by cert_validity; 0 = not said */
	int64_t created_at;
	int64_t validated_ms;	    /* when the last name was proven; 0 = not yet */
	int64_t issued_at;	    /* 0 = not issued */
	int64_t revoked_at;	    /* may be to come; 0 = not revoked */
	const char *revoked_reason; /* CertCentral's word, a literal; NULL = none */
	bool waits;		    /* for approval: nobody has been told its id yet */
	bool dropped;		    /* its request was canceled or rejected */
	struct ca_cert cert;
};

enum approval_kind { APPROVAL_ORDER, APPROVAL_REISSUE, APPROVAL_DUPLICATE, APPROVAL_REVOKE };
enum approval_status { APPROVAL_PENDING, APPROVAL_APPROVED, APPROVAL_REJECTED };

/* What CertCentral calls a request: a wish that an administrator may have to approve. */
struct approval {
	int64_t id;
	struct order *order;
	struct certificate *subject; /* NULL = all certificates of the order */
	enum approval_kind kind;
	enum approval_status status;
	int64_t at;
	char *comments;	    /* NULL = none */
	const char *reason; /* of a revocation: CertCentral's word, a literal; NULL = none */
};

struct order {
	int64_t id;
	const char *product; /* a literal of the product table */
	char status[SBX_STATUS_MAX];
	char *alternative_order_id; /* NULL = none */
	char *payment_method;	    /* NULL = not said */
	char *dcv_emails;	    /* the list as JSON, NULL = not said */
	enum dcv_method dcv_method;
	struct certificate
		*active; /* what CertCentral calls the primary: the order's latest issued, or the first */
	struct certificate *next; /* the reissue that is under way; NULL = none */
	struct certificate **certificates;
	size_t n_certificates;
	struct approval **approvals; /* [0] is the order's own */
	size_t n_approvals;
	int64_t order_days;  /* life of the plan ... */
	int64_t order_until; /* ... or its last second, when a date was asked for; else 0 */
	int64_t valid_till;  /* the plan begins with the first certificate; 0 = not yet */
	int64_t created_at;
	int64_t changed_at; /* of the status word; the birth of an order is no change */
	int64_t polled_ms;  /* last look of the CA by itself */
	char token[SBX_TOKEN_LEN + 1];
	int64_t token_expires_at;
	bool renewal_notices_off;
	int64_t renewal_of; /* order id; 0 = none */
	int64_t renewed_by;
};

/* A key for request tokens. */
struct auth_key {
	char id[17];
	char key[65];
	int64_t created_at;
	int64_t expires_at; /* 0 = never */
};

/* What the CA finds in DNS when it asks for CAA of this name and of what is below it. */
struct caa_rule {
	char *name;
	bool unreadable; /* no answer; else records that leave DigiCert out */
};

/* One accepted (host, id, key) of Scutum. */
struct scutum_account {
	char *host;
	char *id;
	char *key;
};

struct scutum_push {
	int64_t at;
	char *host;
	char *id;
	char *serial;
	char **names;
	size_t n_names;
	size_t n_intermediates;
	bool encrypted_key;
	unsigned status;
};

struct request_log {
	int64_t at;
	enum sbx_endpoint endpoint;
	char *method;
	char *path;
	unsigned status;   /* 0 = dropped, or still being answered */
	const char *fault; /* kind, a literal; NULL = none */
};

/* Which of the ways to ask for revocations works. */
enum revocation_mood {
	REVOCATION_BOTH,
	REVOCATION_OCSP,
	REVOCATION_CRL,
	REVOCATION_SILENT,
	REVOCATION_GARBAGE
};

/* The uint8_t are words of the table in settings.c: 0 is the default, 1 the other one. */
struct settings {
	int64_t validity_s;
	int64_t issue_delay_s;
	int64_t ca_poll_s;
	int64_t find_lag_s;
	int64_t max_cert_days;	   /* 0 = no cap but validity_s */
	int64_t old_revoke_s;	   /* from a reissue without a name to the end of the earlier certificates */
	int64_t revocation_life_s; /* from thisUpdate to nextUpdate of OCSP answers and CRLs */
	int64_t token_days;	   /* life of random values made from now on */
	uint8_t dcv_replies_old;
	uint8_t find_none_empty;
	uint8_t auth_key_default_old;	/* use_auth_key left out means true */
	uint8_t auth_keys_one;		/* the account has one AuthKey at most */
	uint8_t plan_end_absent;	/* order info does not tell the end of the plan */
	uint8_t revoke_approval_always; /* skip_approval of revoke is not heeded */
	uint8_t require_approval;
	uint8_t approver_other;	   /* the owner of the key may not approve */
	uint8_t role_user;	   /* the key is not an administrator's */
	uint8_t scope_orders;	   /* the key may not see the account */
	uint8_t reissue_dcv_reuse; /* names of the certificate before need no new proof */
	uint8_t instant_reissue;   /* request tokens are looked for at a reissue too */
	uint8_t method_value_same; /* another method keeps the random value */
	uint8_t lists_primary;	   /* lists of reissues and duplicates begin with the primary */
	uint8_t csr_spelling;	   /* enum csr_spelling */
	uint8_t revocation;	   /* enum revocation_mood */
	unsigned http_port;
	unsigned https_port;
	bool quiet;
};

struct sandbox {
	pthread_mutex_t lock;
	pthread_cond_t wake;   /* broadcast when time, settings or `stopping` change, and by sbx_wake_by() */
	int64_t worker_due_ms; /* until when the worker sleeps (sandbox time); INT64_MIN = it is awake */
	atomic_bool stopping;

	int64_t base_wall_ms; /* wall clock and monotonic clock of one instant at the start */
	int64_t base_mono_ms;
	int64_t offset_s; /* distance of the sandbox clock to the real one */

	struct settings set;
	char *api_key;
	char *scutum_key; /* for any host and id when there are no accounts */
	struct scutum_account *accounts;
	size_t n_accounts;
	struct ca *ca;
	char *dns; /* ADDR:PORT to ask for proofs in DNS; NULL = nobody looks there */

	/* All three by id: orders[i]->id == first_id + i. */
	struct order **orders;
	size_t n_orders;
	int64_t first_id;
	struct certificate **certificates;
	size_t n_certificates;
	int64_t first_certificate_id;
	struct approval **approvals;
	size_t n_approvals;
	int64_t first_approval_id;
	struct auth_key *auth_keys;
	size_t n_auth_keys;
	struct caa_rule *caa;
	size_t n_caa;

	struct fault_list faults;
	struct rates rates;

	struct request_log *requests;
	size_t n_requests;
	int64_t requests_gone; /* how many were emptied out: number of requests[0] minus 1 */
	int64_t counts[SBX_ENDPOINT_NR];
	int64_t count_429;

	struct scutum_push *pushes;
	size_t n_pushes;
};

/* Prepares an empty sandbox with the documented defaults; sbx_done frees everything. */
void sbx_init(struct sandbox *sb);
void sbx_done(struct sandbox *sb);

/* The sandbox clock. With the lock held. */
int64_t sbx_now(const struct sandbox *sb);
int64_t sbx_now_ms(const struct sandbox *sb);

/* Waits on `wake` for at most ms milliseconds, the lock held. */
void sbx_wait_locked(struct sandbox *sb, int64_t ms);
/* Something is to be done at due_ms (sandbox time): wakes the worker if it sleeps longer than that. Ten
 * thousand orders would otherwise wake it, and have it look through them all, at every step of each. */
void sbx_wake_by(struct sandbox *sb, int64_t due_ms);
/* Sleeps ms milliseconds of real time, lock not held; ends early when the sandbox stops. */
void sbx_sleep(struct sandbox *sb, int64_t ms);
/* Tells every waiting thread to end. */
void sbx_stop(struct sandbox *sb);

const char *sbx_endpoint_name(enum sbx_endpoint ep);
/* The name as written in faults; "*" is not one. -EINVAL when unknown. */
int sbx_endpoint_parse(const char *name, enum sbx_endpoint *ret) _must_check_;

/* Grows a plain array by one zeroed element and returns the new element; *n counts it already. */
void *sbx_grow(void **array, size_t *n, size_t size);
#define SBX_GROW(array, n) ((__typeof__(array))sbx_grow((void **)&(array), &(n), sizeof(*(array))))

static inline void sbx_unlockp(struct sandbox **sb)
{
	if (*sb)
		pthread_mutex_unlock(&(*sb)->lock);
}

static inline struct sandbox *sbx_lock(struct sandbox *sb)
{
	pthread_mutex_lock(&sb->lock);
	return sb;
}

/* Holds the lock until the end of the block. */
#define SBX_LOCKED(sb) _cleanup_(sbx_unlockp) _unused_ struct sandbox *_locked = sbx_lock(sb)
