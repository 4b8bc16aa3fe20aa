/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs. OpenSSL would make an object of some hundred bytes from each of the entries, which can be half a million, to look at one
 * of them; so the list of entries is walked as it lies there, and OpenSSL reads the rest: the CRL without its entries. The signature
 * is checked over the bytes that came. */
#include "daemon/pki/revocation_priv.h"

#include "common/mem.h"

#include <errno.h>
#include <openssl/asn1.h>

DEFINE_CLEANUP(X509_CRL *, X509_CRL_free)
DEFINE_CLEANUP(X509_REVOKED *, X509_REVOKED_free)
DEFINE_CLEANUP(ISSUING_DIST_POINT *, ISSUING_DIST_POINT_free)
DEFINE_CLEANUP(CRL_DIST_POINTS *, CRL_DIST_POINTS_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

/* One element of DER. */
struct tlv {
	int tag; /* universal; -1 for other classes */
	const unsigned char *at;
	size_t len;
	const unsigned char *body;
	size_t body_len;
};

/* The parts of a CRL (RFC 5280 section 5.1). */
struct parts {
	struct tlv tbs, alg, signature;
	struct tlv revoked; /* len 0: no entries */
};

static const char broken[] = "the answer is not a CRL";

/* The element at *p, which moves behind it. */
static bool next_of(const unsigned char **p, const unsigned char *end, struct tlv *ret)
{
	const unsigned char *body = *p;
	long len = 0;
	int tag = 0, class = 0, flags;

	if (*p >= end)
		return false;
	flags = ASN1_get_object(&body, &len, &tag, &class, end - *p);
	/* 0x80: broken or longer than what is there; 1: without a length, which DER does not have */
	if ((flags & 0x81) != 0)
		return false;
	*ret = (struct tlv){ .tag = class == V_ASN1_UNIVERSAL ? tag : -1,
			     .at = *p,
			     .len = (size_t)(body - *p) + (size_t)len,
			     .body = body,
			     .body_len = (size_t)len };
	*p = body + len;
	return true;
}

static bool next_is(const unsigned char **p, const unsigned char *end, int tag, struct tlv *ret)
{
	return next_of(p, end, ret) && ret->tag == tag;
}

static bool is_time(const struct tlv *t)
{
	return t->tag == V_ASN1_UTCTIME || t->tag == V_ASN1_GENERALIZEDTIME;
}

/* Finds the entries among the fields of the signed part. */
static bool split_tbs(struct parts *s)
{
	const unsigned char *p = s->tbs.body, *end = p + s->tbs.body_len;
	struct tlv t = { 0 };

	if (!next_of(&p, end, &t) || (t.tag == V_ASN1_INTEGER && !next_of(&p, end, &t)))
		return false;
	/* the algorithm stands outside of the signed part once more */
	if (t.len != s->alg.len || memcmp(t.at, s->alg.at, t.len) != 0)
		return false;
	if (!next_is(&p, end, V_ASN1_SEQUENCE, &t) || !next_of(&p, end, &t) || !is_time(&t))
		return false;
	if (p < end && !next_of(&p, end, &t))
		return false;
	if (is_time(&t) && p < end && !next_of(&p, end, &t))
		return false;
	if (t.tag == V_ASN1_SEQUENCE)
		s->revoked = t;
	return p <= end;
}

static bool split(const unsigned char *der, size_t len, struct parts *ret)
{
	const unsigned char *p = der, *end = der + len;
	struct tlv whole = { 0 };

	if (!next_is(&p, end, V_ASN1_SEQUENCE, &whole) || p != end)
		return false;
	p = whole.body;
	return next_is(&p, end, V_ASN1_SEQUENCE, &ret->tbs) && next_is(&p, end, V_ASN1_SEQUENCE, &ret->alg) &&
	       next_is(&p, end, V_ASN1_BIT_STRING, &ret->signature) && p == end && split_tbs(ret);
}

/* --- the CRL without its entries ------------------------------------------------------------------------ */

static unsigned char *put(unsigned char *to, const unsigned char *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static X509_CRL *parse_head(const struct parts *s)
{
	size_t before = s->revoked.len > 0 ? (size_t)(s->revoked.at - s->tbs.body) : s->tbs.body_len;
	size_t after = s->tbs.body_len - before - s->revoked.len;
	int tbs_len = ASN1_object_size(1, (int)(before + after), V_ASN1_SEQUENCE);
	int body_len = tbs_len + (int)(s->alg.len + s->signature.len);
	int len = ASN1_object_size(1, body_len, V_ASN1_SEQUENCE);
	_cleanup_free_ unsigned char *der = xmalloc((size_t)len);
	const unsigned char *start = der;
	unsigned char *p = der;

	ASN1_put_object(&p, 1, body_len, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	ASN1_put_object(&p, 1, (int)(before + after), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	p = put(p, s->tbs.body, before);
	p = put(p, s->tbs.body + before + s->revoked.len, after);
	p = put(p, s->alg.at, s->alg.len);
	(void)put(p, s->signature.at, s->signature.len);
	return d2i_X509_CRL(NULL, &start, len);
}

/* --- is it for our certificate -------------------------------------------------------------------------- */

static bool names_share_url(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(a); i++)
		for (int j = 0; j < sk_GENERAL_NAME_num(b); j++) {
			const GENERAL_NAME *x = sk_GENERAL_NAME_value(a, i), *y = sk_GENERAL_NAME_value(b, j);

			if (x->type == GEN_URI && y->type == GEN_URI &&
			    ASN1_STRING_cmp(x->d.uniformResourceIdentifier, y->d.uniformResourceIdentifier) ==
				    0)
				return true;
		}
	return false;
}

/* RFC 5280 section 6.3.3 (b)(2)(i): the CRL of one partition says nothing about certificates of another. */
static bool point_is_ours(const DIST_POINT_NAME *point, const X509 *leaf)
{
	_cleanup_(CRL_DIST_POINTS_freep) CRL_DIST_POINTS *list =
		X509_get_ext_d2i(leaf, NID_crl_distribution_points, NULL, NULL);

	for (int i = 0; i < sk_DIST_POINT_num(list); i++) {
		const DIST_POINT_NAME *own = sk_DIST_POINT_value(list, i)->distpoint;

		if (own != NULL && own->type == 0 && point->type == 0 &&
		    names_share_url(own->name.fullname, point->name.fullname))
			return true;
	}
	return false;
}

static int check_scope(const X509_CRL *crl, const X509 *leaf, struct err *reterr)
{
	int crit = 0;
	_cleanup_(ISSUING_DIST_POINT_freep) ISSUING_DIST_POINT *idp =
		X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &crit, NULL);

	if (idp == NULL && crit != -1)
		return pki_err(reterr, -EBADMSG, "the distribution point of the CRL cannot be read");
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return err_set(reterr, -EBADMSG, "the CRL holds changes only");
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *e = X509_CRL_get_ext(crl, i);

		if (X509_EXTENSION_get_critical(e) != 0 &&
		    OBJ_obj2nid(X509_EXTENSION_get_object(e)) != NID_issuing_distribution_point)
			return err_set(reterr, -EBADMSG,
				       "the CRL has a critical extension that is not known");
	}
	if (idp == NULL)
		return 0;
	if (idp->indirectCRL != 0)
		return err_set(reterr, -EBADMSG, "the CRL is for certificates of several issuers");
	if (idp->onlyCA != 0 || idp->onlyattr != 0 || idp->onlysomereasons != NULL)
		return err_set(reterr, -EBADMSG,
			       "the CRL is for other certificates, or for some reasons only");
	if (idp->distpoint != NULL && !point_is_ours(idp->distpoint, leaf))
		return err_set(reterr, -EBADMSG, "the CRL is for another distribution point");
	return 0;
}

static int check_issuer(const X509_CRL *crl, X509 *issuer, struct err *reterr)
{
	char name[CERT_NAME_MAX];

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
		return err_set(reterr, -EBADMSG, "the CRL is by \"%s\", who is not our issuer",
			       cert_name(X509_CRL_get_issuer(crl), name));
	if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0)
		return err_set(reterr, -EBADMSG, "our issuer may not sign CRLs");
	return 0;
}

static int check_signature(const X509_CRL *crl, const struct parts *s, X509 *issuer, struct err *reterr)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	const X509_ALGOR *alg = NULL;
	int hash = 0, key_type = 0;

	X509_CRL_get0_signature(crl, NULL, &alg);
	if (!revocation_is_strong(alg, &hash, &key_type) || EVP_PKEY_get_base_id(key) != key_type)
		return err_set(reterr, -EBADMSG, "the CRL is signed in a way that is not accepted");
	/* the first byte of a BIT STRING tells how many bits of the last one do not count */
	if (s->signature.body_len < 2 || s->signature.body[0] != 0)
		return err_set(reterr, -EBADMSG, "%s", broken);
	if (ctx == NULL || EVP_DigestVerifyInit(ctx, NULL, EVP_get_digestbynid(hash), NULL, key) != 1)
		return pki_err(reterr, -EIO, "cannot check a CRL");
	if (EVP_DigestVerify(ctx, s->signature.body + 1, s->signature.body_len - 1, s->tbs.at, s->tbs.len) !=
	    1)
		return pki_err(reterr, -EBADMSG, "the signature of the CRL is wrong");
	return 0;
}

/* --- our entry ------------------------------------------------------------------------------------------- */

static int read_entry(const struct tlv *entry, struct revocation_status *s, struct err *reterr)
{
	const unsigned char *p = entry->at;
	_cleanup_(X509_REVOKED_freep) X509_REVOKED *rev = d2i_X509_REVOKED(NULL, &p, (long)entry->len);
	int64_t at = rev != NULL ? cert_time(X509_REVOKED_get0_revocationDate(rev)) : INT64_MIN;
	ASN1_ENUMERATED *reason;
	long code = -1;

	if (at == INT64_MIN)
		return pki_err(reterr, -EBADMSG, "our entry in the CRL cannot be read");
	reason = X509_REVOKED_get_ext_d2i(rev, NID_crl_reason, NULL, NULL);
	if (reason != NULL)
		code = ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
	revocation_set_revoked(s, at, code);
	return 0;
}

/* Looks for the serial number, spelled as in the certificate (DER leaves no choice). */
static int look_up(const struct tlv *revoked, const struct tlv *serial, struct revocation_status *s,
		   struct err *reterr)
{
	const unsigned char *p = revoked->body, *end = revoked->len > 0 ? p + revoked->body_len : p;
	struct tlv entry = { 0 }, number = { 0 };

	while (p < end) {
		const unsigned char *q;

		if (!next_is(&p, end, V_ASN1_SEQUENCE, &entry))
			return err_set(reterr, -EBADMSG, "%s", broken);
		q = entry.body;
		if (!next_is(&q, entry.body + entry.body_len, V_ASN1_INTEGER, &number))
			return err_set(reterr, -EBADMSG, "%s", broken);
		if (number.len == serial->len && memcmp(number.at, serial->at, serial->len) == 0)
			return read_entry(&entry, s, reterr);
	}
	s->state = REVOCATION_GOOD;
	return 0;
}

static int find_serial(const struct parts *parts, const X509 *leaf, struct revocation_status *s,
		       struct err *reterr)
{
	unsigned char *der = NULL;
	int len = i2d_ASN1_INTEGER(X509_get0_serialNumber(leaf), &der);
	struct tlv serial = { .at = der, .len = len > 0 ? (size_t)len : 0 };
	int r = len > 0 ? look_up(&parts->revoked, &serial, s, reterr)
			: pki_err(reterr, -EIO, "cannot spell a serial number");

	OPENSSL_free(der);
	return r;
}

static int check(const X509_CRL *crl, const struct parts *parts, const struct revocation_pair *pair,
		 int64_t now, struct err *reterr)
{
	/* RFC 5280 section 5.1.2.5: nextUpdate must be there */
	int r = revocation_check_times("the CRL", cert_time(X509_CRL_get0_lastUpdate(crl)),
				       cert_time(X509_CRL_get0_nextUpdate(crl)), now, reterr);

	if (r == 0)
		r = check_issuer(crl, pair->issuer, reterr);
	if (r == 0)
		r = check_scope(crl, pair->leaf, reterr);
	return r < 0 ? r : check_signature(crl, parts, pair->issuer, reterr);
}

int revocation_crl_read(const char *fullchain_pem, size_t len, const unsigned char *der, size_t der_len,
			int64_t now, struct revocation_status *ret, struct err *reterr)
{
	_cleanup_(revocation_pair_done) struct revocation_pair pair = { 0 };
	_cleanup_(X509_CRL_freep) X509_CRL *crl = NULL;
	struct revocation_status s = { 0 };
	struct parts parts = { 0 };
	int r;
	_clear_queue_;

	r = revocation_pair_read(fullchain_pem, len, &pair, reterr);
	if (r < 0)
		return r;
	if (der_len > REVOCATION_CRL_MAX)
		return err_set(reterr, -EBADMSG, "the CRL has %zu bytes; %u is the limit", der_len,
			       REVOCATION_CRL_MAX);
	if (!split(der, der_len, &parts))
		return pki_err(reterr, -EBADMSG, "%s", broken);
	crl = parse_head(&parts);
	if (crl == NULL)
		return pki_err(reterr, -EBADMSG, "%s", broken);
	r = check(crl, &parts, &pair, now, reterr);
	if (r == 0)
		r = find_serial(&parts, pair.leaf, &s, reterr);
	if (r < 0)
		return r;
	s.next_update = cert_time(X509_CRL_get0_nextUpdate(crl));
	*ret = s;
	return 0;
}
