/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate whose state is asked for, whom to ask about it, and what OCSP and CRLs have in common. */
#include "daemon/pki/revocation_priv.h"

#include "common/mem.h"
#include "common/timefmt.h"

#include <errno.h>
#include <openssl/objects.h>
#include <strings.h>

DEFINE_CLEANUP(AUTHORITY_INFO_ACCESS *, AUTHORITY_INFO_ACCESS_free)
DEFINE_CLEANUP(CRL_DIST_POINTS *, CRL_DIST_POINTS_free)

void revocation_urls_done(struct revocation_urls *u)
{
	free(u->ocsp);
	free(u->crl);
	free(u->issuer_url);
	*u = (struct revocation_urls){ 0 };
}

void revocation_pair_done(struct revocation_pair *p)
{
	certs_done(&p->certs);
	*p = (struct revocation_pair){ 0 };
}

int revocation_pair_read(const char *pem, size_t len, struct revocation_pair *ret, struct err *reterr)
{
	_cleanup_(revocation_pair_done) struct revocation_pair p = { 0 };
	char leaf[CERT_NAME_MAX], issuer[CERT_NAME_MAX];
	int r = certs_parse(pem, len, &p.certs, reterr);

	if (r < 0)
		return r;
	if (p.certs.n < 2)
		return err_set(reterr, -EBADMSG, "the issuer of the certificate is not in the chain");
	p.leaf = p.certs.at[0].x;
	p.issuer = p.certs.at[1].x;
	if (X509_check_issued(p.issuer, p.leaf) != X509_V_OK ||
	    X509_verify(p.leaf, X509_get0_pubkey(p.issuer)) != 1)
		return err_set(reterr, -EBADMSG,
			       "\"%s\", the second of the chain, is not the issuer of \"%s\"",
			       cert_name(X509_get_subject_name(p.issuer), issuer),
			       cert_name(X509_get_subject_name(p.leaf), leaf));
	*ret = p;
	p = (struct revocation_pair){ 0 };
	return 0;
}

bool revocation_is_strong(const X509_ALGOR *alg, int *ret_hash, int *ret_key)
{
	const ASN1_OBJECT *oid = NULL;
	int hash = NID_undef, key = NID_undef;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (oid == NULL || OBJ_find_sigid_algs(OBJ_obj2nid(oid), &hash, &key) != 1)
		return false;
	if (ret_hash != NULL)
		*ret_hash = hash;
	if (ret_key != NULL)
		*ret_key = key;
	return hash == NID_sha256 || hash == NID_sha384 || hash == NID_sha512;
}

int revocation_check_times(const char *what, int64_t from, int64_t to, int64_t now, struct err *reterr)
{
	char at[TIMEFMT_MAX];

	if (from == INT64_MIN || to == INT64_MIN || to < from)
		return err_set(reterr, -EBADMSG, "the dates of %s cannot be read", what);
	if (from > now + REVOCATION_SLACK_S)
		return err_set(reterr, -EBADMSG, "%s is of %s, which is to come: is the clock right?", what,
			       timefmt_rfc3339(from, at));
	if (to < now - REVOCATION_SLACK_S)
		return err_set(reterr, -EBADMSG, "%s is too old: it was good until %s", what,
			       timefmt_rfc3339(to, at));
	return 0;
}

void revocation_set_revoked(struct revocation_status *s, int64_t at, long code)
{
	/* RFC 5280 section 5.3.1; 7 is not used */
	static const char *const words[] = {
		"unspecified",	 "keyCompromise",	 "cACompromise",    "affiliationChanged",
		"superseded",	 "cessationOfOperation", "certificateHold", "",
		"removeFromCRL", "privilegeWithdrawn",	 "aACompromise",
	};
	const char *word = code >= 0 && (size_t)code < ARRAY_SIZE(words) ? words[code] : "";

	s->state = REVOCATION_REVOKED;
	s->revoked_at = at;
	(void)snprintf(s->reason, sizeof(s->reason), "%s", word);
}

char *revocation_url_of(const GENERAL_NAME *name)
{
	int type = 0;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	const unsigned char *data;
	int len;

	if (type != GEN_URI)
		return NULL;
	data = ASN1_STRING_get0_data(s);
	len = ASN1_STRING_length(s);
	if (len <= 7 || len > REVOCATION_URL_MAX || strncasecmp((const char *)data, "http://", 7) != 0)
		return NULL;
	for (int i = 0; i < len; i++)
		if (data[i] <= ' ' || data[i] >= 0x7f)
			return NULL;
	return xstrndup((const char *)data, (size_t)len);
}

static void keep_first(char **place, char *url)
{
	if (*place == NULL)
		*place = url;
	else
		free(url);
}

static int urls_of_access(const X509 *leaf, struct revocation_urls *u, struct err *reterr)
{
	int crit = 0;
	_cleanup_(AUTHORITY_INFO_ACCESS_freep) AUTHORITY_INFO_ACCESS *list =
		X509_get_ext_d2i(leaf, NID_info_access, &crit, NULL);

	if (list == NULL)
		return crit == -1 ? 0
				  : pki_err(reterr, -EBADMSG,
					    "the authority information of the certificate cannot be read");
	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(list); i++) {
		const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(list, i);
		int nid = OBJ_obj2nid(a->method);

		if (nid == NID_ad_OCSP)
			keep_first(&u->ocsp, revocation_url_of(a->location));
		else if (nid == NID_ad_ca_issuers)
			keep_first(&u->issuer_url, revocation_url_of(a->location));
	}
	return 0;
}

static int urls_of_points(const X509 *leaf, struct revocation_urls *u, struct err *reterr)
{
	int crit = 0;
	_cleanup_(CRL_DIST_POINTS_freep) CRL_DIST_POINTS *list =
		X509_get_ext_d2i(leaf, NID_crl_distribution_points, &crit, NULL);

	if (list == NULL)
		return crit == -1 ? 0
				  : pki_err(reterr, -EBADMSG,
					    "the CRL distribution points of the certificate cannot be read");
	for (int i = 0; i < sk_DIST_POINT_num(list); i++) {
		const DIST_POINT *p = sk_DIST_POINT_value(list, i);

		/* somebody else's CRL, or one for some reasons only: revocation_crl_read would refuse it */
		if (p->CRLissuer != NULL || p->reasons != NULL || p->distpoint == NULL ||
		    p->distpoint->type != 0)
			continue;
		for (int n = 0; n < sk_GENERAL_NAME_num(p->distpoint->name.fullname); n++)
			keep_first(&u->crl,
				   revocation_url_of(sk_GENERAL_NAME_value(p->distpoint->name.fullname, n)));
	}
	return 0;
}

int revocation_urls(const char *fullchain_pem, size_t len, struct revocation_urls *ret, struct err *reterr)
{
	_cleanup_(certs_done) struct certs certs = { 0 };
	_cleanup_(revocation_urls_done) struct revocation_urls u = { 0 };
	int r;
	_clear_queue_;

	r = certs_parse(fullchain_pem, len, &certs, reterr);
	if (r == 0)
		r = urls_of_access(certs.at[0].x, &u, reterr);
	if (r == 0)
		r = urls_of_points(certs.at[0].x, &u, reterr);
	if (r < 0)
		return r;
	*ret = u;
	u = (struct revocation_urls){ 0 };
	return 0;
}
