/* SPDX-License-Identifier: Apache-2.0 */
/* The table of message ids. The reports of the core have ids of their own, so that the whole story of a
 * domain can be filtered by kind. */
#include "daemon/messages.h"

#define X(id, msg_name, msg_uuid)                                                                            \
	const struct log_msgid MSG_##id = { .uuid = msg_uuid, .name = msg_name, .is_news = true };
MESSAGES_NEWS(X)
#undef X
#define X(id, msg_name, msg_uuid) const struct log_msgid MSG_##id = { .uuid = msg_uuid, .name = msg_name };
MESSAGES(X)
#undef X

struct report_row {
	struct log_msgid id;
	enum log_level level;
};

#define ANY_ROW(lvl, n, hex, news)                                                                           \
	{                                                                                                    \
		{ "a1f6c1de3f8e4b0e9f0c6c3d5b8f1b" hex, n, news }, LOG_LEVEL_##lvl                           \
	}
#define ROW(lvl, n, hex)  ANY_ROW(lvl, n, hex, false)
#define NEWS(lvl, n, hex) ANY_ROW(lvl, n, hex, true)

static const struct report_row REPORTS[REPORT_NR] = {
	[REPORT_STARTED] = ROW(INFO, "issuance-started", "01"),
	[REPORT_SUBMITTING] = ROW(INFO, "order-submitting", "02"),
	[REPORT_ORDERED] = NEWS(INFO, "order-placed", "03"),
	[REPORT_ADOPTED] = NEWS(WARNING, "order-adopted", "04"),
	[REPORT_ORDER_ABSENT] = ROW(WARNING, "order-absent", "05"),
	[REPORT_MANY_ORDERS] = ROW(ERROR, "order-duplicated", "06"),
	[REPORT_BUDGET] = ROW(ERROR, "order-budget", "07"),
	[REPORT_PUBLISHED] = ROW(INFO, "proof-published", "08"),
	[REPORT_NOT_VISIBLE] = ROW(WARNING, "proof-not-visible", "09"),
	[REPORT_NOT_YET] = ROW(WARNING, "proof-not-accepted", "0a"),
	[REPORT_VALIDATED] = NEWS(INFO, "order-validated", "0b"),
	[REPORT_APPROVAL] = ROW(WARNING, "order-needs-approval", "0c"),
	[REPORT_UNKNOWN_STATUS] = ROW(WARNING, "order-status-unknown", "0d"),
	[REPORT_ISSUED] = NEWS(INFO, "order-issued", "0e"),
	[REPORT_BAD_CERT] = ROW(ERROR, "certificate-refused", "0f"),
	[REPORT_INSTALLED] = NEWS(INFO, "certificate-installed", "10"),
	[REPORT_RETRY] = ROW(WARNING, "retry", "11"),
	[REPORT_HELD] = ROW(ERROR, "domain-failed", "12"),
	[REPORT_RELEASED] = NEWS(INFO, "domain-released", "13"),
	[REPORT_DEPLOYED] = NEWS(INFO, "deployed", "14"),
	[REPORT_DEPLOY_RETRY] = ROW(WARNING, "deploy-retry", "15"),
	[REPORT_DEPLOY_FAILED] = ROW(ERROR, "deploy-failed", "16"),
	[REPORT_CLEAN_RETRY] = ROW(WARNING, "proof-not-removed", "17"),
	[REPORT_EMAIL] = ROW(WARNING, "order-waits-for-email", "18"),
	[REPORT_NAMES_LOST] = ROW(WARNING, "names-lost", "19"),
	[REPORT_REVOKED] = ROW(ERROR, "certificate-revoked", "1a"),
	[REPORT_REISSUED_OUTSIDE] = ROW(WARNING, "order-reissued-outside", "1b"),
	[REPORT_ORDER_OVER] = ROW(WARNING, "order-over", "1c"),
	[REPORT_REVOKING] = NEWS(WARNING, "revocation-started", "1d"),
	[REPORT_REVOKE_DONE] = NEWS(WARNING, "revocation-done", "1e"),
	[REPORT_REVOKE_RETRY] = ROW(WARNING, "revocation-retry", "1f"),
	[REPORT_REVOKE_FAILED] = ROW(ERROR, "revocation-failed", "20"),
	[REPORT_NOT_SERVED] = ROW(ERROR, "not-served", "21"),
};

const struct log_msgid *message_of_report(enum report_kind k, enum log_level *ret_level)
{
	*ret_level = REPORTS[k].level;
	return &REPORTS[k].id;
}
