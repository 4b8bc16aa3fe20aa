/* SPDX-License-Identifier: Apache-2.0 */
/* Has the CA revoked a certificate? What OCSP responders (RFC 6960, and RFC 5019 for many clients) and CRLs (RFC 5280 section 5)
 * say, believed only when the issuer signed it and it is neither too old nor about something else. Asks nobody: the bytes come
 * from daemon/watch. Pure; all functions may run in pool threads. Answers come over plain HTTP, so every byte may be a liar's. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#define REVOCATION_OCSP_MAX (64u << 10) /* bytes of an OCSP answer */
#define REVOCATION_CRL_MAX  (16u << 20) /* bytes of a CRL */
#define REVOCATION_URL_MAX  1024	/* longer ones count as not there */
#define REVOCATION_SLACK_S  300		/* how far clocks may differ */

enum revocation_state { REVOCATION_UNKNOWN, REVOCATION_GOOD, REVOCATION_REVOKED };

struct revocation_status {
	enum revocation_state state;
	int64_t revoked_at;  /* 0: not revoked */
	char reason[32];     /* RFC 5280 section 5.3.1: "keyCompromise"; "" none */
	int64_t next_update; /* until when the answer is good; 0: it did not say */
};

/* The first http URL of each kind in the certificate; NULL: none. Others (ldap, https) are left out: answers are signed, and
 * TLS would need a certificate that can be revoked itself (RFC 5280 section 8). */
struct revocation_urls {
	char *ocsp;
	char *crl;	  /* a complete CRL by the issuer */
	char *issuer_url; /* the issuer's certificate */
};
void revocation_urls_done(struct revocation_urls *u);

/* All take a chain in PEM as it is installed: leaf first, its issuer second. -EBADMSG with a sentence when the chain is not one. */

/* The issuer need not be in the chain. */
int revocation_urls(const char *fullchain_pem, size_t len, struct revocation_urls *ret,
		    struct err *reterr) _must_check_;
/* DER of the request for the leaf, for free(): SHA-1 CertID, one certificate, no nonce, not signed (RFC 5019 section 2.1.1), so that
 * answers can be made beforehand and kept by caches. */
int revocation_ocsp_request(const char *fullchain_pem, size_t len, unsigned char **ret, size_t *ret_len,
			    struct err *reterr) _must_check_;
/* Reads an answer. 0: signed by the issuer, or by a responder that the issuer named (OCSPSigning), about our certificate, and
 * current at now; then the state is GOOD, REVOKED, or UNKNOWN when the responder does not know the certificate. Else -EBADMSG
 * with a sentence, also for answers like "tryLater". */
int revocation_ocsp_read(const char *fullchain_pem, size_t len, const unsigned char *der, size_t der_len,
			 int64_t now, struct revocation_status *ret, struct err *reterr) _must_check_;
/* The same for a CRL (DER), which never says UNKNOWN. Delta and indirect CRLs, and those for other distribution points, kinds of
 * certificates or reasons, are -EBADMSG. Takes about 4 ms for each MiB, and no copy of it. */
int revocation_crl_read(const char *fullchain_pem, size_t len, const unsigned char *der, size_t der_len,
			int64_t now, struct revocation_status *ret, struct err *reterr) _must_check_;
