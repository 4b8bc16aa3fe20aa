/* SPDX-License-Identifier: Apache-2.0 */
/* The gate in front of every installation: the CA's API has been seen to return other customers' and old
 * certificates, archives and error pages under status 200. Certificates and their links come from
 * certs.c; here they are judged, each signature once, and written out again in our own PEM. */
#include "daemon/pki/chain.h"

#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/pki/internal.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <strings.h>

#define CLOCK_SKEW_MAX 3600 /* CAs back-date a little; our clock may be behind theirs */
#define SECURITY_LEVEL 2    /* 112 bits: RSA from 2048, EC from 224, no SHA-1 */

DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)

static void borrowed_free(STACK_OF(X509) * s)
{
	sk_X509_free(s);
}
DEFINE_CLEANUP(STACK_OF(X509) *, borrowed_free)

void chain_free(struct chain *c)
{
	if (c == NULL)
		return;
	free(c->cert);
	free(c->chain);
	free(c->fullchain);
	cert_info_done(&c->info);
	free(c);
}

/* RFC 6125 6.4.3 at its strictest: "*" stands for exactly one whole left-most label. */
static bool name_covers(const char *pattern, const char *name)
{
	const char *dot;

	if (strcasecmp(pattern, name) == 0)
		return true;
	if (strncmp(pattern, "*.", 2) != 0 || strchr(pattern + 2, '.') == NULL || name[0] == '*')
		return false;
	dot = strchr(name, '.');
	return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static int check_names(const struct cert_info *i, const char *const *names, size_t n_names,
		       struct err *reterr)
{
	for (size_t w = 0; w < n_names; w++) {
		bool found = false;

		for (size_t n = 0; n < i->n_names && !found; n++)
			found = name_covers(i->names[n], names[w]);
		if (!found)
			return err_set(reterr, -EBADMSG,
				       "the certificate is not for %s: of its %zu names the first is %s",
				       names[w], i->n_names, i->n_names > 0 ? i->names[0] : "missing");
	}
	return 0;
}

static int check_dates(const struct cert_info *i, int64_t now, struct err *reterr)
{
	char at[TIMEFMT_MAX];

	if (i->not_after <= now)
		return err_set(reterr, -EBADMSG, "the certificate expired at %s",
			       timefmt_rfc3339(i->not_after, at));
	if (i->not_before > now + CLOCK_SKEW_MAX)
		return err_set(reterr, -EBADMSG, "the certificate is valid from %s only: is the clock right?",
			       timefmt_rfc3339(i->not_before, at));
	return 0;
}

/* What can be said of the leaf alone, cheapest first: most wrong answers end before any signature. */
static int check_leaf(const struct cert *leaf, const struct cert_info *i, const char *const *names,
		      size_t n_names, int64_t now, struct err *reterr)
{
	int r = check_dates(i, now, reterr);

	if (r < 0)
		return r;
	r = check_names(i, names, n_names, reterr);
	if (r < 0)
		return r;
	if (X509_get_version(leaf->x) != X509_VERSION_3)
		return err_set(reterr, -EBADMSG, "the certificate is not X.509 version 3");
	if ((X509_get_extension_flags(leaf->x) & EXFLAG_INVALID) != 0)
		return pki_err(reterr, -EBADMSG, "the extensions of the certificate are broken");
	/* check_ca alone lets a CA pass whose key usage forgot to say so */
	if (X509_check_ca(leaf->x) != 0 || (X509_get_extension_flags(leaf->x) & EXFLAG_CA) != 0)
		return err_set(reterr, -EBADMSG, "the certificate is one of a CA, not of a server");
	if (X509_self_signed(leaf->x, 0) == 1)
		return err_set(reterr, -EBADMSG, "the certificate is self-signed");
	/* UINT32_MAX: no such extension */
	if ((X509_get_extended_key_usage(leaf->x) & XKU_SSL_SERVER) == 0)
		return err_set(
			reterr, -EBADMSG,
			"the certificate is not for servers: serverAuth is not in its extended key usage");
	return 0;
}

static int explain(X509_STORE_CTX *ctx, struct err *reterr)
{
	int code = X509_STORE_CTX_get_error(ctx);
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);
	char subject[CERT_NAME_MAX] = "?", issuer[CERT_NAME_MAX] = "?";

	if (x != NULL) {
		(void)cert_name(X509_get_subject_name(x), subject);
		(void)cert_name(X509_get_issuer_name(x), issuer);
	}
	switch (code) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return err_set(reterr, -EBADMSG,
			       "no path to a trusted root: \"%s\", the issuer of \"%s\", was not sent and is "
			       "no trusted root",
			       issuer, subject);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return err_set(reterr, -EBADMSG, "no path to a trusted root: the root \"%s\" is not trusted",
			       subject);
	default:
		return err_set(reterr, -EBADMSG, "certificate \"%s\": %s", subject,
			       X509_verify_cert_error_string(code));
	}
}

static bool sent(const struct path *p, const X509 *x)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i]->x == x || X509_cmp(p->at[i]->x, x) == 0)
			return true;
	return false;
}

static bool verified(const STACK_OF(X509) * chain, const X509 *x)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (sk_X509_value(chain, i) == x || X509_cmp(sk_X509_value(chain, i), x) == 0)
			return true;
	return false;
}

/* The path that was verified may use what only we have, and may be shorter than what was sent (a root that
 * we trust directly, cross-signed for older clients). The first would break clients, so it is refused;
 * the rest of the second stays in as long as it is sound. */
static int compare_paths(struct path *p, const STACK_OF(X509) * chain, int64_t at, struct err *reterr)
{
	char name[CERT_NAME_MAX];

	for (int i = 1; i < sk_X509_num(chain) - 1; i++) {
		X509 *x = sk_X509_value(chain, i);

		if (!sent(p, x))
			return err_set(reterr, -EBADMSG, "the intermediate certificate \"%s\" was not sent",
				       cert_name(X509_get_subject_name(x), name));
	}
	for (size_t i = 1; i < p->n; i++) {
		X509 *x = p->at[i]->x;

		if (verified(chain, x))
			continue;
		if (!cert_valid_at(x, at) || X509_check_ca(x) != 1 ||
		    X509_verify(p->at[i - 1]->x, X509_get0_pubkey(x)) != 1) {
			p->n = i;
			break;
		}
	}
	return 0;
}

static int verify(struct path *p, int64_t at, const struct trust *trust, struct err *reterr)
{
	_cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	_cleanup_(borrowed_freep) STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509_VERIFY_PARAM *param;

	if (ctx == NULL || untrusted == NULL)
		return pki_err(reterr, -ENOMEM, "cannot verify a certificate");
	for (size_t i = 1; i < p->n; i++)
		if (sk_X509_push(untrusted, p->at[i]->x) <= 0)
			return pki_err(reterr, -ENOMEM, "cannot verify a certificate");
	if (X509_STORE_CTX_init(ctx, trust_store(trust), p->at[0]->x, untrusted) != 1)
		return pki_err(reterr, -ENOMEM, "cannot verify a certificate");
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, (time_t)at);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_CERTS_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) != 1)
		return pki_err(reterr, -EIO, "cannot verify a certificate");
	if (X509_verify_cert(ctx) != 1)
		return explain(ctx, reterr);
	return compare_paths(p, X509_STORE_CTX_get0_chain(ctx), at, reterr);
}

static struct chain *render(const struct path *p)
{
	/* base64 and line ends of at most CHAIN_PEM_MAX bytes that were PEM already: at most a bit longer */
	struct strbuf sb = STRBUF_INIT(2 * CHAIN_PEM_MAX);
	struct chain *c = xmalloc(sizeof(*c));

	pem_append(&sb, "CERTIFICATE", p->at[0]->der, p->at[0]->der_len);
	c->cert = strbuf_take(&sb);
	for (size_t i = 1; i < p->n; i++)
		pem_append(&sb, "CERTIFICATE", p->at[i]->der, p->at[i]->der_len);
	c->chain = strbuf_take(&sb);
	c->fullchain = xasprintf("%s%s", c->cert, c->chain);
	return c;
}

int chain_check(const char *pem, size_t len, const struct key *k, const char *const *names, size_t n_names,
		int64_t now, const struct trust *trust, struct chain **ret, struct err *reterr)
{
	_cleanup_(certs_done) struct certs certs = { 0 };
	_cleanup_(cert_info_done) struct cert_info info = { 0 };
	struct path path = { 0 };
	int r;
	_clear_queue_;

	r = certs_parse(pem, len, &certs, reterr);
	if (r < 0)
		return r;
	r = certs_link(&certs, k, now, &path, reterr);
	if (r < 0)
		return r;
	r = cert_info_fill(path.at[0], &info, reterr);
	if (r < 0)
		return r;
	r = check_leaf(path.at[0], &info, names, n_names, now, reterr);
	if (r < 0)
		return r;
	/* One that begins within the allowed skew is judged as of its first second. */
	r = verify(&path, MAX(now, info.not_before), trust, reterr);
	if (r < 0)
		return r;
	*ret = render(&path);
	(*ret)->info = info;
	info = (struct cert_info){ 0 };
	return 0;
}
