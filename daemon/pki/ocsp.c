/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP: the question, and what an answer is worth. The signer is found and proven here and not by OCSP_basic_verify's search: no
 * key that the answer brings along is computed with before the issuer's signature on it was checked, and the issuer in the chain
 * is the one anchor, whatever else this machine trusts. */
#include "daemon/pki/revocation_priv.h"

#include "common/mem.h"

#include <errno.h>
#include <openssl/ocsp.h>
#include <openssl/sha.h>

#define SIGNERS_MAX 10		/* certificates in an answer that are looked at */
#define NO_NEXT_S   (24 * 3600) /* life of an answer that does not say when the next one comes */
#define HOLD	    6		/* certificateHold */

DEFINE_CLEANUP(OCSP_REQUEST *, OCSP_REQUEST_free)
DEFINE_CLEANUP(OCSP_RESPONSE *, OCSP_RESPONSE_free)
DEFINE_CLEANUP(OCSP_BASICRESP *, OCSP_BASICRESP_free)
DEFINE_CLEANUP(OCSP_CERTID *, OCSP_CERTID_free)

static void borrowed_free(STACK_OF(X509) * s)
{
	sk_X509_free(s);
}
DEFINE_CLEANUP(STACK_OF(X509) *, borrowed_free)

int revocation_ocsp_request(const char *fullchain_pem, size_t len, unsigned char **ret, size_t *ret_len,
			    struct err *reterr)
{
	_cleanup_(revocation_pair_done) struct revocation_pair pair = { 0 };
	_cleanup_(OCSP_REQUEST_freep) OCSP_REQUEST *rq = OCSP_REQUEST_new();
	_cleanup_(OCSP_CERTID_freep) OCSP_CERTID *id = NULL;
	unsigned char *der = NULL;
	int n, r;
	_clear_queue_;

	r = revocation_pair_read(fullchain_pem, len, &pair, reterr);
	if (r < 0)
		return r;
	id = OCSP_cert_to_id(EVP_sha1(), pair.leaf, pair.issuer);
	if (rq == NULL || id == NULL || OCSP_request_add0_id(rq, id) == NULL)
		return pki_err(reterr, -EIO, "cannot make an OCSP request");
	(void)TAKE_PTR(id);
	n = i2d_OCSP_REQUEST(rq, &der);
	if (n <= 0)
		return pki_err(reterr, -EIO, "cannot make an OCSP request");
	*ret = xmemdup(der, (size_t)n);
	*ret_len = (size_t)n;
	OPENSSL_free(der);
	return 0;
}

/* RFC 6960 section 4.2.1 */
static int check_response_status(OCSP_RESPONSE *resp, struct err *reterr)
{
	static const char *const words[] = { "",	 "malformedRequest", "internalError", "tryLater",
					     "(unused)", "sigRequired",	     "unauthorized" };
	int code = OCSP_response_status(resp);

	if (code == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return 0;
	return err_set(reterr, -EBADMSG, "the OCSP responder says %s",
		       code > 0 && (size_t)code < ARRAY_SIZE(words) ? words[code]
								    : "a word that is not known");
}

static int parse(const unsigned char *der, size_t len, OCSP_BASICRESP **ret, struct err *reterr)
{
	_cleanup_(OCSP_RESPONSE_freep) OCSP_RESPONSE *resp = NULL;
	const unsigned char *p = der;
	int r;

	if (len > REVOCATION_OCSP_MAX)
		return err_set(reterr, -EBADMSG, "the OCSP answer has %zu bytes; %u is the limit", len,
			       REVOCATION_OCSP_MAX);
	resp = d2i_OCSP_RESPONSE(NULL, &p, (long)len);
	if (resp == NULL || p != der + len)
		return pki_err(reterr, -EBADMSG, "the answer is not an OCSP response");
	r = check_response_status(resp, reterr);
	if (r < 0)
		return r;
	*ret = OCSP_response_get1_basic(resp);
	return *ret != NULL ? 0 : pki_err(reterr, -EBADMSG, "the OCSP answer cannot be read");
}

/* --- who signed it ---------------------------------------------------------------------------------- */

static bool is_named(const OCSP_BASICRESP *basic, X509 *x)
{
	const ASN1_OCTET_STRING *hash = NULL;
	const X509_NAME *name = NULL;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned sum_len = 0;

	if (OCSP_resp_get0_id(basic, &hash, &name) != 1)
		return false;
	if (name != NULL)
		return X509_NAME_cmp(name, X509_get_subject_name(x)) == 0;
	return hash != NULL && X509_pubkey_digest(x, EVP_sha1(), sum, &sum_len) == 1 &&
	       (unsigned)ASN1_STRING_length(hash) == sum_len &&
	       memcmp(ASN1_STRING_get0_data(hash), sum, sum_len) == 0;
}

static bool is_current(const X509 *x, int64_t now)
{
	return cert_valid_at(x, now) || cert_valid_at(x, now + REVOCATION_SLACK_S) ||
	       cert_valid_at(x, now - REVOCATION_SLACK_S);
}

/* RFC 6960 section 4.2.2.2: issued directly by the CA in question, and marked for this use. */
static int check_delegate(X509 *x, X509 *issuer, int64_t now, struct err *reterr)
{
	const X509_ALGOR *alg = NULL;
	uint32_t eku = X509_get_extended_key_usage(x);
	char name[CERT_NAME_MAX];

	(void)cert_name(X509_get_subject_name(x), name);
	X509_get0_signature(NULL, &alg, x);
	if (X509_check_issued(issuer, x) != X509_V_OK || !revocation_is_strong(alg, NULL, NULL) ||
	    X509_verify(x, X509_get0_pubkey(issuer)) != 1)
		return err_set(reterr, -EBADMSG,
			       "\"%s\", who signed the OCSP answer, is no responder of our issuer", name);
	/* UINT32_MAX: no such extension, which is not enough here */
	if (eku == UINT32_MAX || (eku & XKU_OCSP_SIGN) == 0 ||
	    (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) == 0)
		return err_set(reterr, -EBADMSG,
			       "\"%s\", who signed the OCSP answer, may not sign such answers", name);
	if (!is_current(x, now))
		return err_set(reterr, -EBADMSG,
			       "the certificate of \"%s\", who signed the OCSP answer, is not valid now",
			       name);
	return 0;
}

static int find_signer(const OCSP_BASICRESP *basic, X509 *issuer, int64_t now, X509 **ret, struct err *reterr)
{
	const STACK_OF(X509) *sent = OCSP_resp_get0_certs(basic);

	if (is_named(basic, issuer)) {
		*ret = issuer;
		return 0;
	}
	for (int i = 0; i < MIN(sk_X509_num(sent), SIGNERS_MAX); i++) {
		X509 *x = sk_X509_value(sent, i);

		if (!is_named(basic, x))
			continue;
		*ret = x;
		return check_delegate(x, issuer, now, reterr);
	}
	return err_set(
		reterr, -EBADMSG,
		"the OCSP answer is neither by our issuer nor by a responder whose certificate it holds");
}

static int check_signature(OCSP_BASICRESP *basic, X509 *issuer, int64_t now, struct err *reterr)
{
	_cleanup_(borrowed_freep) STACK_OF(X509) *signers = sk_X509_new_null();
	X509 *signer = NULL;
	int r;

	if (!revocation_is_strong(OCSP_resp_get0_tbs_sigalg(basic), NULL, NULL))
		return err_set(reterr, -EBADMSG,
			       "the OCSP answer is signed with a hash that is not accepted");
	r = find_signer(basic, issuer, now, &signer, reterr);
	if (r < 0)
		return r;
	if (signers == NULL || sk_X509_push(signers, signer) <= 0)
		return pki_err(reterr, -ENOMEM, "cannot check an OCSP answer");
	/* With a signer of ours and TRUSTOTHER it checks the signature and nothing else. */
	if (OCSP_basic_verify(basic, signers, NULL, OCSP_NOINTERN | OCSP_TRUSTOTHER) != 1)
		return pki_err(reterr, -EBADMSG, "the signature of the OCSP answer is wrong");
	return 0;
}

/* --- what it says ------------------------------------------------------------------------------------- */

static OCSP_SINGLERESP *find_by_hash(OCSP_BASICRESP *basic, const struct revocation_pair *pair,
				     const EVP_MD *md)
{
	_cleanup_(OCSP_CERTID_freep) OCSP_CERTID *id = OCSP_cert_to_id(md, pair->leaf, pair->issuer);
	int at = id != NULL ? OCSP_resp_find(basic, id, -1) : -1;

	return at >= 0 ? OCSP_resp_get0(basic, at) : NULL;
}

/* Responders copy the CertID of the request, but one that keeps answers may hold it with SHA-256. */
static OCSP_SINGLERESP *find_ours(OCSP_BASICRESP *basic, const struct revocation_pair *pair)
{
	OCSP_SINGLERESP *single = find_by_hash(basic, pair, EVP_sha1());

	return single != NULL ? single : find_by_hash(basic, pair, EVP_sha256());
}

static int judge(OCSP_SINGLERESP *single, int64_t now, struct revocation_status *ret, struct err *reterr)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *to = NULL;
	int reason = -1, state = OCSP_single_get0_status(single, &reason, &revoked, &from, &to);
	struct revocation_status s = { .state = REVOCATION_UNKNOWN };
	int64_t from_at = cert_time(from), to_at = to != NULL ? cert_time(to) : from_at + NO_NEXT_S;
	int r = revocation_check_times("the OCSP answer", from_at, from_at == INT64_MIN ? from_at : to_at,
				       now, reterr);

	if (r < 0)
		return r;
	s.next_update = to != NULL ? to_at : 0;
	if (state == V_OCSP_CERTSTATUS_GOOD) {
		s.state = REVOCATION_GOOD;
	} else if (state == V_OCSP_CERTSTATUS_REVOKED) {
		int64_t at = cert_time(revoked);

		if (at == INT64_MIN)
			return err_set(reterr, -EBADMSG, "the OCSP answer has no moment of revocation");
		/* RFC 6960 section 2.2: on hold since 1970 is how a certificate is called that was never issued,
		 * which the responder may believe of one that it has not heard of yet. */
		if (at != 0 || reason != HOLD)
			revocation_set_revoked(&s, at, reason);
	}
	*ret = s;
	return 0;
}

int revocation_ocsp_read(const char *fullchain_pem, size_t len, const unsigned char *der, size_t der_len,
			 int64_t now, struct revocation_status *ret, struct err *reterr)
{
	_cleanup_(revocation_pair_done) struct revocation_pair pair = { 0 };
	_cleanup_(OCSP_BASICRESP_freep) OCSP_BASICRESP *basic = NULL;
	OCSP_SINGLERESP *single;
	int r;
	_clear_queue_;

	r = revocation_pair_read(fullchain_pem, len, &pair, reterr);
	if (r < 0)
		return r;
	r = parse(der, der_len, &basic, reterr);
	if (r < 0)
		return r;
	single = find_ours(basic, &pair);
	if (single == NULL)
		return err_set(reterr, -EBADMSG, "the OCSP answer is about another certificate");
	r = check_signature(basic, pair.issuer, now, reterr);
	if (r < 0)
		return r;
	return judge(single, now, ret, reterr);
}
