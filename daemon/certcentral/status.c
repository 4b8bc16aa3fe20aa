/* SPDX-License-Identifier: Apache-2.0 */
/* The words of orders and certificates. The API's glossary is not complete: "processing", "needs_csr",
 * "expired", "approved", "denied" and "reissue" were seen by other clients only, and an unknown word is
 * no reason to give an order up. */
#include "daemon/certcentral/client.h"

#include <strings.h>

static const struct {
	const char *word;
	enum cc_status status;
} words[] = {
	{ "pending", CC_STATUS_PENDING },
	{ "processing", CC_STATUS_PENDING },
	{ "waiting_pickup", CC_STATUS_PENDING },
	{ "needs_approval", CC_STATUS_NEEDS_APPROVAL },
	{ "issued", CC_STATUS_ISSUED },
	{ "approved", CC_STATUS_ISSUED },
	{ "reissue_pending", CC_STATUS_REISSUE },
	{ "reissue", CC_STATUS_REISSUE },
	{ "rejected", CC_STATUS_REJECTED },
	{ "denied", CC_STATUS_REJECTED },
	{ "canceled", CC_STATUS_CANCELED },
	{ "cancelled", CC_STATUS_CANCELED }, /* not documented; the spelling differs between pages already */
	{ "revoked", CC_STATUS_REVOKED },
	{ "expired", CC_STATUS_EXPIRED },
	{ "needs_csr", CC_STATUS_NEEDS_CSR },
};

enum cc_status cc_status_parse(const char *word)
{
	if (!word)
		return CC_STATUS_UNKNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(word, words[i].word) == 0)
			return words[i].status;
	return CC_STATUS_UNKNOWN;
}

const char *cc_status_name(enum cc_status s)
{
	switch (s) {
	case CC_STATUS_UNKNOWN: return "unknown";
	case CC_STATUS_PENDING: return "pending";
	case CC_STATUS_NEEDS_APPROVAL: return "needs_approval";
	case CC_STATUS_ISSUED: return "issued";
	case CC_STATUS_REISSUE: return "reissue_pending";
	case CC_STATUS_REJECTED: return "rejected";
	case CC_STATUS_CANCELED: return "canceled";
	case CC_STATUS_REVOKED: return "revoked";
	case CC_STATUS_EXPIRED: return "expired";
	case CC_STATUS_NEEDS_CSR: return "needs_csr";
	case CC_STATUS_NR: break;
	}
	return "?";
}
