/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates in one answer of a CA: told apart from what is no answer at all, parsed once each, and
 * linked from our leaf upward. Signatures and trust are chain.c's business; here a signature is only
 * looked at when two certificates could be the issuer. */
#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/internal.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/x509v3.h>

#define RSA_BITS_MAX 8192

void certs_done(struct certs *c)
{
	for (size_t i = 0; i < c->n; i++) {
		X509_free(c->at[i].x);
		free(c->at[i].der);
	}
	*c = (struct certs){ 0 };
}

const char *cert_name(const X509_NAME *n, char buf[CERT_NAME_MAX])
{
	int i = X509_NAME_get_index_by_NID(n, NID_commonName, -1);
	const ASN1_STRING *s = NULL;

	if (i < 0) /* some roots have an organisational unit only */
		i = X509_NAME_get_index_by_NID(n, NID_organizationalUnitName, -1);
	if (i >= 0)
		s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, i));
	if (s == NULL || ASN1_STRING_length(s) <= 0)
		(void)snprintf(buf, CERT_NAME_MAX, "(no name)");
	else
		(void)str_escape((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s), buf,
				 CERT_NAME_MAX);
	return buf;
}

int64_t cert_time(const ASN1_TIME *t)
{
	struct tm tm = { 0 };

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return INT64_MIN;
	return (int64_t)timegm(&tm);
}

bool cert_valid_at(const X509 *x, int64_t at)
{
	int64_t from = cert_time(X509_get0_notBefore(x)), to = cert_time(X509_get0_notAfter(x));

	return from != INT64_MIN && to != INT64_MIN && from <= at && at < to;
}

/* What would cost much time later, or cannot be judged, is refused before anything is computed with it. */
static int check_key(X509 *x, struct err *reterr)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	char name[CERT_NAME_MAX];
	int explicit_curve = 0;

	(void)cert_name(X509_get_subject_name(x), name);
	if (key == NULL)
		return pki_err(reterr, -EBADMSG, "the public key of \"%s\" cannot be read", name);
	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) > RSA_BITS_MAX)
		return err_set(reterr, -EBADMSG, "the RSA key of \"%s\" has %d bits; %d is the limit", name,
			       EVP_PKEY_get_bits(key), RSA_BITS_MAX);
	if (EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) ==
		    1 &&
	    explicit_curve != 0)
		return err_set(reterr, -EBADMSG,
			       "the EC key of \"%s\" spells out its curve instead of naming it", name);
	return 0;
}

int cert_parse(const unsigned char *der, size_t len, X509 **ret, struct err *reterr)
{
	const unsigned char *p = der;
	_cleanup_(X509_freep) X509 *x = d2i_X509(NULL, &p, (long)len);

	if (x == NULL)
		return pki_err(reterr, -EBADMSG, "a certificate cannot be parsed");
	if (p != der + len)
		return err_set(reterr, -EBADMSG, "a certificate has data behind its end");
	*ret = TAKE_PTR(x);
	return 0;
}

/* The usual wrong things under a name of their own: "no certificate in it" helps nobody. */
static int check_kind(const char *s, size_t len, struct err *reterr)
{
	size_t i = 0;

	if (len > CHAIN_PEM_MAX)
		return err_set(reterr, -EBADMSG, "the answer has %zu bytes; a chain has at most %u", len,
			       CHAIN_PEM_MAX);
	if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	while (i < len && isspace((unsigned char)s[i]))
		i++;
	if (i == len)
		return err_set(reterr, -EBADMSG, "the answer is empty instead of a chain in PEM");
	if (len - i >= 2 && s[i] == 'P' && s[i + 1] == 'K')
		return err_set(reterr, -EBADMSG, "the answer is a zip archive, not a chain in PEM");
	if (s[i] == '{' || s[i] == '[')
		return err_set(reterr, -EBADMSG, "the answer is JSON, not a chain in PEM");
	if (s[i] == '<')
		return err_set(reterr, -EBADMSG, "the answer is HTML or XML, not a chain in PEM");
	if (s[i] == 0x30)
		return err_set(reterr, -EBADMSG, "the answer looks like DER, not like a chain in PEM");
	return 0;
}

/* Takes one block. Duplicates are found by their bytes, before the costly parsing. */
static int add_block(struct certs *c, const struct pem_block *b, struct err *reterr)
{
	_cleanup_free_ unsigned char *der = NULL;
	X509 *x = NULL;
	size_t len = 0;
	int r;

	if (!pem_is(b, "CERTIFICATE") && !pem_is(b, "X509 CERTIFICATE"))
		return err_set(reterr, -EBADMSG, "there is a %.*s among the certificates", (int)b->label_len,
			       b->label);
	r = pem_decode(b, &der, &len, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].der_len == len && memcmp(c->at[i].der, der, len) == 0)
			return 0;
	r = cert_parse(der, len, &x, reterr);
	if (r < 0)
		return r;
	c->at[c->n++] = (struct cert){ .x = x, .der = TAKE_PTR(der), .der_len = len };
	return check_key(x, reterr);
}

int certs_parse(const char *pem, size_t len, struct certs *ret, struct err *reterr)
{
	_cleanup_(certs_done) struct certs c = { 0 };
	struct pem_block b;
	size_t pos = 0, n_blocks = 0;
	int r = check_kind(pem, len, reterr);

	if (r < 0)
		return r;
	while ((r = pem_next(pem, len, &pos, &b, reterr)) > 0) {
		if (++n_blocks > CHAIN_CERTS_MAX)
			return err_set(reterr, -EBADMSG, "there are more than %d certificates in the answer",
				       CHAIN_CERTS_MAX);
		r = add_block(&c, &b, reterr);
		if (r < 0) {
			err_prefix(reterr, "certificate %zu of the answer", n_blocks);
			return r;
		}
	}
	if (r < 0)
		return r;
	if (c.n == 0)
		return err_set(reterr, -EBADMSG, "there is no certificate in the answer");
	*ret = c;
	c = (struct certs){ 0 };
	return 0;
}

static int find_leaf(const struct certs *c, const struct key *k, const struct cert **ret, struct err *reterr)
{
	const struct cert *leaf = NULL;

	for (size_t i = 0; i < c->n; i++) {
		if (EVP_PKEY_eq(X509_get0_pubkey(c->at[i].x), k->pkey) != 1)
			continue;
		if (leaf != NULL)
			return err_set(reterr, -EBADMSG,
				       "two different certificates in the answer belong to our key");
		leaf = &c->at[i];
	}
	if (leaf == NULL)
		return err_set(reterr, -EBADMSG,
			       "none of the %zu certificates in the answer belongs to our private key", c->n);
	*ret = leaf;
	return 0;
}

static bool is_root(X509 *x)
{
	return X509_self_signed(x, 0) == 1;
}

/* Of two possible issuers: one that is valid now, then one that is not self-signed (a root's cross
 * certificate reaches older clients as well), then the one that lives longer. */
static bool better_issuer(X509 *a, X509 *b, int64_t now)
{
	if (cert_valid_at(a, now) != cert_valid_at(b, now))
		return cert_valid_at(a, now);
	if (is_root(a) != is_root(b))
		return !is_root(a);
	return cert_time(X509_get0_notAfter(a)) > cert_time(X509_get0_notAfter(b));
}

static bool in_path(const struct path *p, const struct cert *c)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i] == c)
			return true;
	return false;
}

static const struct cert *find_issuer(const struct certs *c, const struct path *p, int64_t now)
{
	X509 *child = p->at[p->n - 1]->x;
	const struct cert *fit[CHAIN_CERTS_MAX], *best = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (!in_path(p, &c->at[i]) && X509_check_issued(c->at[i].x, child) == X509_V_OK)
			fit[n++] = &c->at[i];
	for (size_t i = 0; i < n; i++) {
		if (n > 1 && X509_verify(child, X509_get0_pubkey(fit[i]->x)) != 1)
			continue;
		if (best == NULL || better_issuer(fit[i]->x, best->x, now))
			best = fit[i];
	}
	return best;
}

int certs_link(const struct certs *c, const struct key *k, int64_t now, struct path *ret, struct err *reterr)
{
	struct path p = { .n = 1 };
	int r = find_leaf(c, k, &p.at[0], reterr);

	if (r < 0)
		return r;
	while (!is_root(p.at[p.n - 1]->x)) {
		const struct cert *issuer = find_issuer(c, &p, now);

		if (issuer == NULL || is_root(issuer->x))
			break;
		p.at[p.n++] = issuer;
	}
	*ret = p;
	return 0;
}
