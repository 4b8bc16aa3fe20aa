/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that a server presented, compared by their bytes. Small lists: ten at most on each side. */
#include "daemon/pki/served.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/served_priv.h"

#define OLDER_MAX	 8
#define SERIAL_BYTES_MAX 32

struct served {
	struct certs certs;
};

struct wanted {
	struct certs chain; /* leaf first; intermediates; without a root */
	struct certs older;
};

static bool same(const struct cert *a, const struct cert *b)
{
	return a->der_len == b->der_len && memcmp(a->der, b->der, a->der_len) == 0;
}

static bool holds(const struct certs *list, const struct cert *c)
{
	for (size_t i = 0; i < list->n; i++)
		if (same(&list->at[i], c))
			return true;
	return false;
}

static enum served_kind kind_of(X509 *x)
{
	EVP_PKEY *key = X509_get0_pubkey(x);

	if (key && EVP_PKEY_is_a(key, "RSA"))
		return SERVED_KIND_RSA;
	return key && EVP_PKEY_is_a(key, "EC") ? SERVED_KIND_EC : SERVED_KIND_ANY;
}

/* --- what is presented --------------------------------------------------------------------------------- */

static bool add(struct certs *c, X509 *x)
{
	unsigned char *encoded = NULL;
	int len = i2d_X509(x, &encoded);

	if (len <= 0)
		return false;
	if (!X509_up_ref(x)) {
		OPENSSL_free(encoded);
		return false;
	}
	c->at[c->n++] = (struct cert){ .x = x, .der = xmemdup(encoded, (size_t)len), .der_len = (size_t)len };
	OPENSSL_free(encoded);
	return true;
}

struct served *served_new(const STACK_OF(X509) * stack)
{
	_cleanup_(served_freep) struct served *s = xmalloc(sizeof *s);
	_clear_queue_;

	for (int i = 0; i < sk_X509_num(stack); i++)
		if (s->certs.n == CHAIN_CERTS_MAX || !add(&s->certs, sk_X509_value(stack, i)))
			return NULL;
	return s->certs.n > 0 ? TAKE_PTR(s) : NULL;
}

void served_free(struct served *s)
{
	if (!s)
		return;
	certs_done(&s->certs);
	free(s);
}

size_t served_count(const struct served *s)
{
	return s->certs.n;
}

enum served_kind served_leaf_kind(const struct served *s)
{
	_clear_queue_;

	return kind_of(s->certs.at[0].x);
}

/* --- what is wanted ------------------------------------------------------------------------------------- */

static bool is_root(const struct cert *c)
{
	return X509_NAME_cmp(X509_get_subject_name(c->x), X509_get_issuer_name(c->x)) == 0;
}

static void drop(struct certs *c, size_t i)
{
	X509_free(c->at[i].x);
	free(c->at[i].der);
	c->n--;
	memmove(&c->at[i], &c->at[i + 1], (c->n - i) * sizeof c->at[0]);
}

static void add_older(struct wanted *w, const char *pem)
{
	struct certs c = { 0 };

	if (w->older.n < OLDER_MAX && certs_parse(pem, strlen(pem), &c, NULL) == 0 && c.n > 0) {
		w->older.at[w->older.n++] = c.at[0];
		c.at[0] = (struct cert){ 0 };
	}
	certs_done(&c);
}

int wanted_new(const char *fullchain, const char *const *older, struct wanted **ret, struct err *reterr)
{
	_cleanup_(wanted_freep) struct wanted *w = xmalloc(sizeof *w);
	_clear_queue_;
	int r = certs_parse(fullchain, strlen(fullchain), &w->chain, reterr);

	if (r < 0)
		return r;
	for (size_t i = 1; i < w->chain.n;) {
		if (is_root(&w->chain.at[i]))
			drop(&w->chain, i);
		else
			i++;
	}
	for (; older && *older; older++)
		add_older(w, *older);
	*ret = TAKE_PTR(w);
	return 0;
}

void wanted_free(struct wanted *w)
{
	if (!w)
		return;
	certs_done(&w->chain);
	certs_done(&w->older);
	free(w);
}

enum served_kind wanted_kind(const struct wanted *w)
{
	_clear_queue_;

	return kind_of(w->chain.at[0].x);
}

/* --- facts and judgement -------------------------------------------------------------------------------- */

static void fill(const struct cert *c, struct served_facts *ret)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(c->x);
	int len = ASN1_STRING_length(serial);
	int64_t end = cert_time(X509_get0_notAfter(c->x));

	*ret = (struct served_facts){ .serial = "?", .not_after = end == INT64_MIN ? 0 : end };
	if (ASN1_STRING_type(serial) != V_ASN1_NEG_INTEGER && len > 0 && len <= SERIAL_BYTES_MAX)
		(void)str_hex(ASN1_STRING_get0_data(serial), (size_t)len, ret->serial);
	(void)cert_name(X509_get_issuer_name(c->x), ret->issuer);
}

void wanted_facts(const struct wanted *w, struct served_facts *ret)
{
	_clear_queue_;

	fill(&w->chain.at[0], ret);
}

void served_facts(const struct served *s, struct served_facts *ret)
{
	_clear_queue_;

	fill(&s->certs.at[0], ret);
}

enum served_verdict served_judge(const struct served *s, const struct wanted *w, int64_t now,
				 char missing[SERVED_NAME_MAX])
{
	_clear_queue_;
	const struct cert *leaf = &s->certs.at[0];

	missing[0] = '\0';
	if (!same(leaf, &w->chain.at[0]))
		return holds(&w->older, leaf) ? SERVED_OLDER : SERVED_OTHER;
	for (size_t i = 0; i < w->chain.n; i++)
		if (cert_time(X509_get0_notAfter(w->chain.at[i].x)) <= now)
			return SERVED_EXPIRED;
	for (size_t i = 1; i < w->chain.n; i++) {
		if (holds(&s->certs, &w->chain.at[i]))
			continue;
		(void)cert_name(X509_get_subject_name(w->chain.at[i].x), missing);
		return SERVED_INCOMPLETE;
	}
	return SERVED_OURS;
}
