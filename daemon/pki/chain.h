/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA sent, checked and put into order. Nothing that fails here is ever installed. */
#pragma once

#include "daemon/pki/key.h"

#define CHAIN_PEM_MAX	(256u << 10) /* bytes */
#define CHAIN_CERTS_MAX 10
#define CHAIN_NAMES_MAX 500

/* Trust anchors, loaded once (the system's bundle costs 64 ms) and shared by all threads. */
struct trust;
/* ca_file NULL: the system's store. With a ca_file: that file, and the system's store as well when it can be read
 * (the CA's API may be pinned while its certificates chain to another root). */
int trust_new(const char *ca_file, struct trust **ret, struct err *reterr) _must_check_;
void trust_free(struct trust *t);
DEFINE_CLEANUP(struct trust *, trust_free)

struct cert_info {
	char serial[65];      /* lower-case hex, no leading zero bytes beyond DER's minimum */
	char fingerprint[65]; /* SHA-256 of the DER, lower-case hex */
	int64_t not_before;
	int64_t not_after;
	char **names; /* DNS subjectAltNames, lower case */
	size_t n_names;
};
void cert_info_done(struct cert_info *i);

struct chain {
	char *cert;	 /* the leaf, PEM with LF */
	char *chain;	 /* intermediates in order, root left out; "" when the leaf was issued by a root */
	char *fullchain; /* both */
	struct cert_info info;
};
void chain_free(struct chain *c);
DEFINE_CLEANUP(struct chain *, chain_free)

/* Takes PEM text as CertCentral sends it (LF or CRLF, any order, with or without the root, duplicates, text
 * between blocks), finds the leaf by k's public key, links the rest to it, and checks: every wanted name
 * covered (RFC 6125 wildcards: one left-most label), dates (not expired at now; not_before at most 1 h
 * ahead), not a CA certificate, serverAuth in the extended key usage when there is one, signature and path to an anchor of trust.
 * -EBADMSG with a sentence that says which check failed. Runs in a pool thread. */
int chain_check(const char *pem, size_t len, const struct key *k, const char *const *names, size_t n_names,
		int64_t now, const struct trust *trust, struct chain **ret, struct err *reterr) _must_check_;

/* Facts of the first certificate of a PEM file (an installed cert.pem). */
int cert_read(const char *pem, size_t len, struct cert_info *ret, struct err *reterr) _must_check_;
/* True when the first certificate of the PEM text belongs to k. */
bool cert_belongs(const char *pem, size_t len, const struct key *k);

/* Nothing but certificates that can be read, written as this program writes them: no byte before, between or behind, at most
 * CHAIN_CERTS_MAX. The empty text is none. -EBADMSG. */
int certs_plain(const char *pem, size_t len, struct err *reterr) _must_check_;
/* The same for one unencrypted private key. */
int key_plain(const char *pem, size_t len, struct key **ret, struct err *reterr) _must_check_;
