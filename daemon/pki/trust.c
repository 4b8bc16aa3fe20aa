/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors of trust, read once at start. Nothing is looked up in folders later: a check must not depend on
 * what the file system allows at that moment, and the store may be shared by threads as it is. */
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/pki/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define TRUST_FILE_MAX (8u << 20)

DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)

struct trust {
	X509_STORE *store;
};

/* Adds every certificate of a bundle. lenient: one that cannot be parsed is passed over. */
static int add_bundle(X509_STORE *store, const char *text, size_t len, bool lenient, struct err *reterr)
{
	size_t pos = 0, n = 0;
	struct pem_block b;
	int r;

	while ((r = pem_next(text, len, &pos, &b, reterr)) > 0) {
		_cleanup_free_ unsigned char *der = NULL;
		_cleanup_(X509_freep) X509 *x = NULL;
		size_t der_len = 0;

		if (!pem_is(&b, "CERTIFICATE"))
			continue;
		r = pem_decode(&b, &der, &der_len, reterr);
		if (r == 0)
			r = cert_parse(der, der_len, &x, reterr);
		if (r < 0 && lenient)
			continue;
		if (r < 0)
			return r;
		/* OpenSSL works out what the extensions say at the first use; now, while one thread knows it. */
		(void)X509_check_purpose(x, -1, 0);
		if (X509_STORE_add_cert(store, x) != 1)
			return pki_err(reterr, -ENOMEM, "cannot keep a root certificate");
		n++;
	}
	if (r < 0)
		return r;
	return n > 0 ? 0 : err_set(reterr, -EBADMSG, "there is no certificate in it");
}

static int add_file(X509_STORE *store, const char *path, bool lenient, struct err *reterr)
{
	/* Distributions link these files around; fs_read_at follows no link. */
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (real == NULL)
		return err_set_errno(reterr, -errno, "cannot read the root certificates %s", path);
	r = fs_read_at(AT_FDCWD, real, TRUST_FILE_MAX, &text, &len, reterr);
	if (r < 0)
		return r;
	r = add_bundle(store, text, len, lenient, reterr);
	if (r < 0)
		err_prefix(reterr, "root certificates %s", path);
	return r;
}

/* The first bundle that can be read: the administrator's (SSL_CERT_FILE), OpenSSL's own, then where
 * distributions keep theirs. */
static int add_system(X509_STORE *store, struct err *reterr)
{
	const char *const paths[] = {
		secure_getenv(X509_get_default_cert_file_env()),
		X509_get_default_cert_file(),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i] != NULL && paths[i][0] != '\0' && add_file(store, paths[i], true, NULL) == 0)
			return 0;
	return err_set(
		reterr, -ENOENT,
		"the system has no bundle of root certificates: install ca-certificates or name a file");
}

int trust_new(const char *ca_file, struct trust **ret, struct err *reterr)
{
	_cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
	struct trust *t;
	int r = 0;
	_clear_queue_;

	if (store == NULL)
		return pki_err(reterr, -ENOMEM, "cannot make a store for root certificates");
	if (ca_file != NULL)
		r = add_file(store, ca_file, false, reterr);
	if (r < 0)
		return r;
	r = add_system(store, ca_file == NULL ? reterr : NULL);
	if (r < 0 && ca_file == NULL)
		return r;
	t = xmalloc(sizeof(*t));
	t->store = TAKE_PTR(store);
	*ret = t;
	return 0;
}

void trust_free(struct trust *t)
{
	if (t == NULL)
		return;
	X509_STORE_free(t->store);
	free(t);
}

X509_STORE *trust_store(const struct trust *t)
{
	return t->store;
}
