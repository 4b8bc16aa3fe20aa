/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates took two thirds of the time of a simulation, and they are always the same ones: what was parsed once is shared.
 * The program's own definition of d2i_X509() goes before the one of libcrypto. */
#include <openssl/x509.h>

#include <string.h>

#include "common/mem.h"

#define KEPT_MAX 256

static struct kept {
	X509 *x;
	unsigned char *der;
	long len;
} kept[KEPT_MAX];

static size_t slot_of(const unsigned char *der, long len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (long i = 0; i < len; i++)
		h = (h ^ der[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h % KEPT_MAX);
}

static X509 *keep(struct kept *k, X509 *x, const unsigned char *der, long len)
{
	X509_free(k->x);
	free(k->der);
	*k = (struct kept){ x, xmemdup(der, (size_t)len), len };
	(void)X509_up_ref(x);
	return x;
}

X509 *d2i_X509(X509 **ret, const unsigned char **in, long len)
{
	const unsigned char *from = *in;
	struct kept *k;
	X509 *x;

	if (ret || len <= 0) /* into one that is there: nobody here does that */
		return (X509 *)(void *)ASN1_item_d2i((ASN1_VALUE **)(void *)ret, in, len,
						     ASN1_ITEM_rptr(X509));
	k = &kept[slot_of(from, len)];
	if (k->x && k->len == len && memcmp(k->der, from, (size_t)len) == 0) {
		*in += len;
		(void)X509_up_ref(k->x);
		return k->x;
	}
	x = (X509 *)(void *)ASN1_item_d2i(NULL, in, len, ASN1_ITEM_rptr(X509));
	return x && *in == from + len ? keep(k, x, from, len) : x;
}
