/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/revoked.h"

#include "common/mem.h"
#include "tests/sandbox/ca.h"
#include "tests/sandbox/certificates.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#define OCSP_TYPE  "application/ocsp-response"
#define CRL_TYPE   "application/pkix-crl"
#define SILENCE_MS 60000

DEFINE_CLEANUP(X509_CRL *, X509_CRL_free)
DEFINE_CLEANUP(OCSP_REQUEST *, OCSP_REQUEST_free)
DEFINE_CLEANUP(OCSP_RESPONSE *, OCSP_RESPONSE_free)
DEFINE_CLEANUP(OCSP_BASICRESP *, OCSP_BASICRESP_free)
DEFINE_CLEANUP(OCSP_CERTID *, OCSP_CERTID_free)
DEFINE_CLEANUP(ASN1_INTEGER *, ASN1_INTEGER_free)
DEFINE_CLEANUP(ASN1_GENERALIZEDTIME *, ASN1_GENERALIZEDTIME_free)

/* OpenSSL has no answer here but "out of memory" or a mistake of ours. */
static void must(bool ok)
{
	if (ok)
		return;
	ERR_print_errors_fp(stderr);
	abort();
}

/* False when the setting took the request away; then *rp is filled. */
static bool is_served(struct sandbox *sb, enum revocation_mood other, const char *type, struct reply *rp)
{
	static const char garbage[] = "\x30\x03\x02\x01\x2a <html>502 from somebody in between</html>";
	enum revocation_mood mood;
	{
		SBX_LOCKED(sb);
		mood = (enum revocation_mood)sb->set.revocation;
	}
	if (mood == REVOCATION_SILENT) {
		sbx_sleep(sb, SILENCE_MS);
		rp->ending = REPLY_DROP;
	} else if (mood == REVOCATION_GARBAGE) {
		reply_bytes(rp, 200, type, garbage, sizeof(garbage) - 1);
	} else if (mood == other) {
		reply_bytes(rp, 503, "text/plain", "", 0);
	}
	return mood != REVOCATION_SILENT && mood != REVOCATION_GARBAGE && mood != other;
}

/* CRLReason (RFC 5280 section 5.3.1); -1 for none. "unspecified" is told by leaving it out, as the Baseline Requirements want. */
static int reason_code(const struct certificate *c)
{
	static const struct {
		const char *word;
		int code;
	} codes[] = { { "keyCompromise", CRL_REASON_KEY_COMPROMISE },
		      { "affiliationChanged", CRL_REASON_AFFILIATION_CHANGED },
		      { "superseded", CRL_REASON_SUPERSEDED },
		      { "cessationOfOperation", CRL_REASON_CESSATION_OF_OPERATION } };
	for (size_t i = 0; c->revoked_reason && i < ARRAY_SIZE(codes); i++)
		if (!strcmp(c->revoked_reason, codes[i].word))
			return codes[i].code;
	return -1;
}

static ASN1_INTEGER *serial_of(const struct certificate *c)
{
	BIGNUM *bn = NULL;
	must(BN_hex2bn(&bn, c->cert.serial) > 0);
	ASN1_INTEGER *ret = BN_to_ASN1_INTEGER(bn, NULL);
	must(ret != NULL);
	BN_free(bn);
	return ret;
}

static ASN1_GENERALIZEDTIME *moment(int64_t at)
{
	ASN1_GENERALIZEDTIME *t = ASN1_GENERALIZEDTIME_set(NULL, (time_t)at);
	must(t != NULL);
	return t;
}

/* --- OCSP ------------------------------------------------------------------------------------------- */

/* The body of a POST, or the base64 in the path of a GET (RFC 6960 appendix A.1). */
static OCSP_REQUEST *read_request(const struct request *rq)
{
	const unsigned char *p = (const unsigned char *)strbuf_str(&rq->body);
	if (!strcmp(rq->method, "POST"))
		return d2i_OCSP_REQUEST(NULL, &p, (long)rq->body.len);
	const char *text = rq->segment[1];
	size_t len = strlen(text), pad = 0;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	_cleanup_free_ unsigned char *der = xmalloc(len + 1);
	int n = EVP_DecodeBlock(der, (const unsigned char *)text, (int)len);
	p = der;
	return n > (int)pad ? d2i_OCSP_REQUEST(NULL, &p, n - (long)pad) : NULL;
}

static bool is_by_us(const struct sandbox *sb, OCSP_CERTID *id)
{
	ASN1_OBJECT *oid = NULL;
	(void)OCSP_id_get0_info(NULL, &oid, NULL, NULL, id);
	const EVP_MD *md = EVP_get_digestbyobj(oid);
	_cleanup_(OCSP_CERTID_freep) OCSP_CERTID *own =
		md ? OCSP_cert_to_id(md, NULL, ca_intermediate_cert(sb->ca)) : NULL;
	return own && OCSP_id_issuer_cmp(own, id) == 0;
}

static const struct certificate *find(const struct sandbox *sb, OCSP_CERTID *id)
{
	ASN1_INTEGER *serial = NULL;
	(void)OCSP_id_get0_info(NULL, NULL, NULL, &serial, id);
	for (size_t i = 0; i < sb->n_certificates; i++) {
		const struct certificate *c = sb->certificates[i];
		_cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *own = c->issued_at ? serial_of(c) : NULL;
		if (own && ASN1_INTEGER_cmp(own, serial) == 0)
			return c;
	}
	return NULL;
}

static void add_status(const struct sandbox *sb, OCSP_BASICRESP *basic, OCSP_CERTID *id, int64_t now)
{
	_cleanup_(ASN1_GENERALIZEDTIME_freep) ASN1_GENERALIZEDTIME *from = moment(now);
	_cleanup_(ASN1_GENERALIZEDTIME_freep) ASN1_GENERALIZEDTIME *to =
		moment(now + sb->set.revocation_life_s);
	_cleanup_(ASN1_GENERALIZEDTIME_freep) ASN1_GENERALIZEDTIME *at = NULL;
	const struct certificate *c = find(sb, id);
	int status = V_OCSP_CERTSTATUS_UNKNOWN, reason = -1;
	if (c && certificates_revoked(sb, c)) {
		status = V_OCSP_CERTSTATUS_REVOKED;
		at = moment(c->revoked_at);
		reason = reason_code(c);
	} else if (c) {
		status = V_OCSP_CERTSTATUS_GOOD;
	}
	must(OCSP_basic_add1_status(basic, id, status, reason, at, from, to) != NULL);
}

/* OpenSSL can only say "now" by the real clock, and offers producedAt to be read, not written. */
static void set_produced(const OCSP_BASICRESP *basic, int64_t now)
{
	const ASN1_GENERALIZEDTIME *produced = OCSP_resp_get0_produced_at(basic);
	ASN1_GENERALIZEDTIME *writable = NULL;
	memcpy(&writable, &produced, sizeof(writable));
	must(ASN1_GENERALIZEDTIME_set(writable, (time_t)now) != NULL);
}

/* With the lock held. NULL when the request is about another CA's certificates. */
static OCSP_BASICRESP *make_basic(const struct sandbox *sb, OCSP_REQUEST *asked)
{
	_cleanup_(OCSP_BASICRESP_freep) OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	int64_t now = sbx_now(sb);
	must(basic != NULL);
	for (int i = 0; i < OCSP_request_onereq_count(asked); i++) {
		OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(asked, i));
		if (!is_by_us(sb, id))
			return NULL;
		add_status(sb, basic, id, now);
	}
	(void)OCSP_copy_nonce(basic, asked);
	set_produced(basic, now);
	must(OCSP_basic_sign(basic, ca_intermediate_cert(sb->ca), ca_intermediate_key(sb->ca), EVP_sha256(),
			     NULL, OCSP_NOCERTS | OCSP_NOTIME) == 1);
	return TAKE_PTR(basic);
}

static void send_response(int status, OCSP_BASICRESP *basic, struct reply *rp)
{
	_cleanup_(OCSP_RESPONSE_freep) OCSP_RESPONSE *resp = OCSP_response_create(status, basic);
	unsigned char *der = NULL;
	int len = resp ? i2d_OCSP_RESPONSE(resp, &der) : -1;
	must(len > 0);
	reply_bytes(rp, 200, OCSP_TYPE, der, (size_t)len);
	OPENSSL_free(der);
}

void revoked_answer_ocsp(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (!is_served(sb, REVOCATION_CRL, OCSP_TYPE, rp))
		return;
	_cleanup_(OCSP_REQUEST_freep) OCSP_REQUEST *asked = read_request(rq);
	_cleanup_(OCSP_BASICRESP_freep) OCSP_BASICRESP *basic = NULL;
	int status = OCSP_RESPONSE_STATUS_MALFORMEDREQUEST;
	if (asked && OCSP_request_onereq_count(asked) > 0) {
		SBX_LOCKED(sb);
		basic = make_basic(sb, asked);
		status = basic ? OCSP_RESPONSE_STATUS_SUCCESSFUL : OCSP_RESPONSE_STATUS_UNAUTHORIZED;
	}
	ERR_clear_error();
	send_response(status, basic, rp);
}

/* --- CRL -------------------------------------------------------------------------------------------- */

static void add_entry(X509_CRL *crl, const struct certificate *c)
{
	_cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *serial = serial_of(c);
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)c->revoked_at);
	int code = reason_code(c);
	must(entry && at && X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
	     X509_REVOKED_set_revocationDate(entry, at) == 1);
	ASN1_TIME_free(at);
	if (code >= 0) {
		ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
		must(reason && ASN1_ENUMERATED_set(reason, code) == 1 &&
		     X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) == 1);
		ASN1_ENUMERATED_free(reason);
	}
	must(X509_CRL_add0_revoked(crl, entry) == 1);
}

static void add_crl_extensions(X509_CRL *crl, X509 *issuer, int64_t now)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
	X509_EXTENSION *key = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	must(key && X509_CRL_add_ext(crl, key, -1) == 1);
	must(number && ASN1_INTEGER_set_int64(number, now) == 1 &&
	     X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1);
	X509_EXTENSION_free(key);
	ASN1_INTEGER_free(number);
}

/* With the lock held. */
static X509_CRL *make_crl(const struct sandbox *sb)
{
	X509 *issuer = ca_intermediate_cert(sb->ca);
	int64_t now = sbx_now(sb);
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)now);
	ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)(now + sb->set.revocation_life_s));
	must(crl && from && to && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) == 1 &&
	     X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	for (size_t i = 0; i < sb->n_certificates; i++)
		if (sb->certificates[i]->issued_at && certificates_revoked(sb, sb->certificates[i]))
			add_entry(crl, sb->certificates[i]);
	add_crl_extensions(crl, issuer, now);
	must(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, ca_intermediate_key(sb->ca), EVP_sha256()) > 0);
	return crl;
}

void revoked_answer_crl(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (!is_served(sb, REVOCATION_OCSP, CRL_TYPE, rp))
		return;
	if (strcmp(rq->segment[1], CA_CRL_NAME) != 0) {
		reply_bytes(rp, 404, "text/plain", "", 0);
		return;
	}
	_cleanup_(X509_CRL_freep) X509_CRL *crl = NULL;
	{
		SBX_LOCKED(sb);
		crl = make_crl(sb);
	}
	unsigned char *der = NULL;
	int len = i2d_X509_CRL(crl, &der);
	must(len > 0);
	reply_bytes(rp, 200, CRL_TYPE, der, (size_t)len);
	OPENSSL_free(der);
}
