/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pki/mark.h"

#include "daemon/pki/internal.h"

#include <string.h>

uint16_t mark_of_secret(const struct secret *s, const char *purpose)
{
	_clear_queue_;
	unsigned char mac[32];
	size_t len = 0;

	/* Without it (no memory) every secret looks alike, for callers that is the safe side. */
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret_bytes(s), secret_len(s),
		       (const unsigned char *)purpose, strlen(purpose), mac, sizeof(mac), &len) ||
	    len != sizeof(mac))
		return 0;
	return (uint16_t)(mac[0] << 8 | mac[1]);
}
