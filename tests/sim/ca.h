/* SPDX-License-Identifier: Apache-2.0 */
/* The CA: the code of dvcert-sandbox in this process, on the virtual clock. Its ledger is what the judges believe. No
 * header of the daemon beside this one: both have a FAULT_NONE. */
#pragma once

#include "common/base.h"

#define CA_API_KEY    "simulated-api-key-0123456789abcdef"
#define CA_SCUTUM_KEY "simulated-scutum-key"
#define CA_API_URL    "https://ca.sim.example/services/v2"
#define CA_SCUTUM_URL "https://scutum.sim.example/api/v1"
#define CA_PKI_URL    "http://pki.sim.example"

/* Makes the CA with its files in dir. tells_revocations: its certificates name where to ask for OCSP answers and CRLs. */
void ca_begin(const char *dir, bool tells_revocations);
void ca_end(void);

struct ca_call {
	bool plain;
	const char *method;
	const char *target; /* path and query */
	const char *api_key, *scutum_key, *content_type;
	const void *body;
	size_t body_len;
};

struct ca_answer {
	unsigned status; /* 0: the connection ended without a word */
	char *body;
	size_t len;
	const char *content_type;
	char *retry_after;
};

/* One request takes effect now. The caller frees body and retry_after. */
void ca_call(const struct ca_call *c, struct ca_answer *ret);

/* --- what the seed does to it --- */

/* "find_lag_s=600" and so on; aborts when there is no such setting. */
void ca_set(const char *setting);
/* "download:wrong-cert:times=1:variant=expired" */
void ca_fault(const char *fault);
/* What somebody does at the console: "approve", "reject", "issue", "revoke", "reissue-by-console". False when the order is not in a
 * state for that. */
bool ca_console(size_t order, const char *action);
bool ca_cancel(size_t order);
/* Somebody asks for another random value, and the daemon is not told. */
bool ca_new_value(size_t order);
/* Its certificates are revoked, and the order goes on: as CAs do it when they had to revoke many, so that each can be reissued for free. */
bool ca_revoke_certificates(size_t order);

/* --- the ledger --- */

struct ca_order {
	int64_t id;
	const char *reference;
	const char *name; /* the common name */
	const char *status;
	int64_t created_at;
	int64_t changed_at; /* its last certificate was asked for */
	int64_t valid_till; /* of the plan; 0: no certificate yet */
	bool pending;	    /* it may still become a certificate */
	bool issued;	    /* it has a good one */
	bool reissuing;
	bool usable;   /* it can be reissued, whatever became of its certificate */
	bool by_email; /* somebody has to read an e-mail first */
	int64_t renewal_of;
	int64_t not_after; /* of its certificate */
};

size_t ca_n_orders(void);
void ca_order(size_t i, struct ca_order *ret);
/* The request (PEM, the CA's own spelling) of what the order is working on or has. */
const char *ca_csr(size_t i);
/* Was the certificate of this serial number revoked? */
bool ca_serial_revoked(const char *serial);
/* Does it tell of revocations now, to everybody who asks? */
bool ca_tells(void);
/* 429s that the CA itself gave. */
int64_t ca_n_429(void);
/* Posts of orders that were accepted. */
size_t ca_n_certificates(void);
