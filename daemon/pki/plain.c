/* SPDX-License-Identifier: Apache-2.0 */
/* Is a text nothing but what it should be? A block is written anew and compared, so there is no room for a byte of anybody's choice. */
#include "daemon/pki/internal.h"

#include "common/mem.h"

#include <errno.h>
#include <string.h>

/* labels: NULL-terminated, one of them for each block. */
static int is_plain(const char *text, size_t len, const char *const *labels, size_t max, struct err *reterr)
{
	_cleanup_(strbuf_wipe) struct strbuf again = STRBUF_INIT(len);
	struct pem_block b;
	size_t pos = 0, n = 0;
	int r;

	while ((r = pem_next(text, len, &pos, &b, reterr)) > 0) {
		unsigned char *der = NULL;
		size_t der_len = 0, i = 0;

		while (labels[i] && !pem_is(&b, labels[i]))
			i++;
		if (!labels[i] || ++n > max)
			return err_set(reterr, -EBADMSG, "holds something else than a %s", labels[0]);
		r = pem_decode(&b, &der, &der_len, reterr);
		if (r < 0)
			return r;
		pem_append(&again, labels[i], der, der_len);
		mem_wipe(der, der_len);
		free(der);
	}
	if (r < 0)
		return r;
	if (again.failed || again.len != len || (len > 0 && memcmp(strbuf_str(&again), text, len) != 0))
		return err_set(reterr, -EBADMSG, "holds something else beside a %s", labels[0]);
	return 0;
}

int certs_plain(const char *pem, size_t len, struct err *reterr)
{
	static const char *const labels[] = { "CERTIFICATE", NULL };
	_cleanup_(certs_done) struct certs certs = { 0 };
	int r = is_plain(pem, len, labels, CHAIN_CERTS_MAX, reterr);

	return r < 0 || len == 0 ? r : certs_parse(pem, len, &certs, reterr);
}

int key_plain(const char *pem, size_t len, struct key **ret, struct err *reterr)
{
	static const char *const labels[] = { "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", NULL };
	int r = is_plain(pem, len, labels, 1, reterr);

	return r < 0 ? r : key_from_pem(pem, len, ret, reterr);
}
