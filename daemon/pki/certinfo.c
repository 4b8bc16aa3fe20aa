/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of one certificate as text and numbers, for status, logs and the comparison with what a server
 * shows. Does not judge. */
#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/internal.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/x509v3.h>

#define SERIAL_BYTES_MAX 32
#define DNS_NAME_MAX	 255

DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)

void cert_info_done(struct cert_info *i)
{
	for (size_t n = 0; n < i->n_names; n++)
		free(i->names[n]);
	free(i->names);
	*i = (struct cert_info){ 0 };
}

/* Names go to logs, terminals and comparisons: whatever is no host name is refused, not cleaned. */
static char *dns_name(const ASN1_STRING *s)
{
	const unsigned char *data = ASN1_STRING_get0_data(s);
	size_t len = ASN1_STRING_length(s) > 0 ? (size_t)ASN1_STRING_length(s) : 0;
	char *name;

	if (len == 0 || len > DNS_NAME_MAX)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!isascii(data[i]) || (!isalnum(data[i]) && strchr(".-_*", data[i]) == NULL) ||
		    data[i] == '\0')
			return NULL;
	name = xstrndup((const char *)data, len);
	for (char *p = name; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return name;
}

static int fill_names(const X509 *x, struct cert_info *i, struct err *reterr)
{
	int crit = 0;
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *list =
		X509_get_ext_d2i(x, NID_subject_alt_name, &crit, NULL);
	int n;

	if (list == NULL && crit == -1)
		return 0; /* no such extension */
	if (list == NULL)
		return pki_err(reterr, -EBADMSG, "the alternative names of the certificate cannot be read");
	n = sk_GENERAL_NAME_num(list);
	if (n > CHAIN_NAMES_MAX)
		return err_set(reterr, -EBADMSG, "the certificate has %d names; %d is the limit", n,
			       CHAIN_NAMES_MAX);
	i->names = xcalloc((size_t)MAX(n, 1), sizeof(char *));
	for (int j = 0; j < n; j++) {
		int type = 0;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, j), &type);

		if (type != GEN_DNS)
			continue;
		i->names[i->n_names] = dns_name(s);
		if (i->names[i->n_names] == NULL)
			return err_set(reterr, -EBADMSG,
				       "alternative name %d of the certificate is no host name", j + 1);
		i->n_names++;
	}
	return 0;
}

static int fill_serial(const X509 *x, struct cert_info *i, struct err *reterr)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	int len = ASN1_STRING_length(serial);

	/* RFC 5280 4.1.2.2: positive, at most 20 bytes. Zero exists on old roots. */
	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER || len < 0 || len > SERIAL_BYTES_MAX)
		return err_set(reterr, -EBADMSG,
			       "the serial number of the certificate is negative or too long");
	(void)str_hex(ASN1_STRING_get0_data(serial), (size_t)len, i->serial);
	return 0;
}

int cert_info_fill(const struct cert *c, struct cert_info *ret, struct err *reterr)
{
	_cleanup_(cert_info_done) struct cert_info i = { 0 };
	unsigned char sum[EVP_MAX_MD_SIZE];
	size_t sum_len = 0;
	int r;

	if (EVP_Q_digest(NULL, "SHA256", NULL, c->der, c->der_len, sum, &sum_len) != 1)
		return pki_err(reterr, -EIO, "cannot compute a SHA-256 sum");
	(void)str_hex(sum, sum_len, i.fingerprint);
	i.not_before = cert_time(X509_get0_notBefore(c->x));
	i.not_after = cert_time(X509_get0_notAfter(c->x));
	if (i.not_before == INT64_MIN || i.not_after == INT64_MIN)
		return err_set(reterr, -EBADMSG, "the dates of the certificate cannot be read");
	r = fill_serial(c->x, &i, reterr);
	if (r == 0)
		r = fill_names(c->x, &i, reterr);
	if (r < 0)
		return r;
	*ret = i;
	i = (struct cert_info){ 0 };
	return 0;
}

static int first_cert(const char *pem, size_t len, struct cert *ret, struct err *reterr)
{
	_cleanup_free_ unsigned char *der = NULL;
	struct pem_block b = { 0 };
	size_t pos = 0, der_len = 0;
	int r;

	if (len > CHAIN_PEM_MAX)
		return err_set(reterr, -EBADMSG, "the certificate file is larger than %u bytes",
			       CHAIN_PEM_MAX);
	r = pem_next(pem, len, &pos, &b, reterr);
	if (r < 0)
		return r;
	if (r == 0 || !pem_is(&b, "CERTIFICATE"))
		return err_set(reterr, -EBADMSG, "there is no certificate in it");
	r = pem_decode(&b, &der, &der_len, reterr);
	if (r < 0)
		return r;
	r = cert_parse(der, der_len, &ret->x, reterr);
	if (r < 0)
		return r;
	ret->der = TAKE_PTR(der);
	ret->der_len = der_len;
	return 0;
}

int cert_read(const char *pem, size_t len, struct cert_info *ret, struct err *reterr)
{
	_cleanup_(certs_done) struct certs c = { .n = 1 };
	int r;
	_clear_queue_;

	r = first_cert(pem, len, &c.at[0], reterr);
	return r < 0 ? r : cert_info_fill(&c.at[0], ret, reterr);
}

bool cert_belongs(const char *pem, size_t len, const struct key *k)
{
	_cleanup_(certs_done) struct certs c = { .n = 1 };
	EVP_PKEY *pub;
	_clear_queue_;

	if (first_cert(pem, len, &c.at[0], NULL) < 0)
		return false;
	pub = X509_get0_pubkey(c.at[0].x);
	return pub != NULL && EVP_PKEY_eq(pub, k->pkey) == 1;
}
