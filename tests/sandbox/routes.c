/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/routes.h"

#include "common/log.h"
#include "common/mem.h"
#include "tests/sandbox/account.h"
#include "tests/sandbox/admin.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/authkeys.h"
#include "tests/sandbox/changes.h"
#include "tests/sandbox/dcv.h"
#include "tests/sandbox/download.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/revoked.h"
#include "tests/sandbox/scutum.h"

typedef void handler_fn(struct sandbox *sb, const struct request *rq, struct reply *rp);

struct route {
	const char *method;  /* NULL = all */
	const char *pattern; /* "*" stands for one segment */
	enum sbx_endpoint endpoint;
	handler_fn *handler;
};

/* The first match counts: the fixed word stands before the wildcard. */
static const struct route routes[] = {
	{ "POST", "/services/v2/order/certificate/*", SBX_ORDER, orders_place },
	{ "GET", "/services/v2/order/alternate/*", SBX_FIND, orders_find },
	{ "GET", "/services/v2/order/certificate/status-changes", SBX_CHANGES, orders_changes },
	{ "GET", "/services/v2/order/certificate/*", SBX_INFO, orders_info },
	{ "PUT", "/services/v2/order/certificate/*/dcv-random-value", SBX_TOKEN, dcv_random_value },
	{ "PUT", "/services/v2/order/certificate/*/check-dcv", SBX_CHECK, dcv_check },
	{ "GET", "/services/v2/certificate/*/download/format/*", SBX_DOWNLOAD, download_certificate },
	{ "GET", "/services/v2/certificate/download/order/*/format/*", SBX_DOWNLOAD, download_order },
	{ "GET", "/services/v2/certificate/*/chain", SBX_CHAIN, download_chain },
	{ "POST", "/services/v2/order/certificate/*/reissue", SBX_REISSUE, changes_reissue },
	{ "GET", "/services/v2/order/certificate/*/reissue", SBX_REISSUES, changes_list_reissues },
	{ "POST", "/services/v2/order/certificate/*/duplicate", SBX_DUPLICATE, changes_duplicate },
	{ "GET", "/services/v2/order/certificate/*/duplicate", SBX_DUPLICATES, changes_list_duplicates },
	{ "PUT", "/services/v2/order/certificate/*/revoke", SBX_REVOKE, approvals_revoke_order },
	{ "PUT", "/services/v2/certificate/*/revoke", SBX_REVOKE, approvals_revoke_certificate },
	{ "PUT", "/services/v2/request/*/status", SBX_APPROVE, approvals_settle_request },
	{ "PUT", "/services/v2/order/certificate/*/status", SBX_CANCEL, approvals_cancel },
	{ "PUT", "/services/v2/order/certificate/*/dcv-method", SBX_METHOD, changes_dcv_method },
	{ "PUT", "/services/v2/order/certificate/*/resend-emails", SBX_RESEND, changes_resend_emails },
	{ "GET", "/services/v2/order/certificate", SBX_LIST, account_orders },
	{ "GET", "/services/v2/user/me", SBX_ME, account_me },
	{ "GET", "/services/v2/product", SBX_PRODUCTS, account_products },
	{ "POST", "/services/v2/account/auth-key", SBX_AUTHKEY, authkeys_create },
	{ "POST", "/services/v2/account/auth-key/*", SBX_AUTHKEY, authkeys_create },
	{ "GET", "/services/v2/account/auth-key", SBX_AUTHKEY, authkeys_details },
	{ "GET", "/services/v2/account/auth-key/*", SBX_AUTHKEY, authkeys_details },
	{ "DELETE", "/services/v2/account/auth-key/*", SBX_AUTHKEY, authkeys_delete },
	{ "GET", "/services/v2/account/auth-keys", SBX_AUTHKEY, authkeys_list },
	{ NULL, "/api/v1/update_cert", SBX_SCUTUM, scutum_update },
};

static const struct route plain_routes[] = {
	{ "GET", "/ocsp/*", SBX_OCSP, revoked_answer_ocsp },
	{ "POST", "/ocsp", SBX_OCSP, revoked_answer_ocsp },
	{ "GET", "/crl/*", SBX_CRL, revoked_answer_crl },
};

static bool path_matches(struct request *rq, const char *pattern)
{
	size_t n_args = 0;
	const char *p = pattern + 1;
	for (size_t i = 0; i < rq->n_segments; i++) {
		size_t len = strcspn(p, "/");
		if (len == 1 && *p == '*') {
			if (rq->segment[i][0] == '\0')
				return false;
			rq->arg[n_args++] = rq->segment[i];
		} else if (strlen(rq->segment[i]) != len || strncmp(rq->segment[i], p, len) != 0) {
			return false;
		}
		bool last = i + 1 == rq->n_segments;
		if (p[len] == '\0')
			return last;
		p += len + 1;
	}
	return false;
}

static const struct route *find_route(const struct route *table, size_t n, struct request *rq)
{
	for (size_t i = 0; i < n && !rq->broken; i++)
		if ((!table[i].method || !strcmp(table[i].method, rq->method)) &&
		    path_matches(rq, table[i].pattern))
			return &table[i];
	return NULL;
}

static bool key_is_right(const struct sandbox *sb, const struct request *rq)
{
	return rq->api_key && !strcmp(rq->api_key, sb->api_key);
}

/* What happens before the handler, under the lock: counting, the rate window, the choice of the fault.
 * Returns the number of the request in the log. */
static int64_t admit(struct sandbox *sb, struct request *rq, enum sbx_endpoint ep, bool *ret_admitted)
{
	SBX_LOCKED(sb);
	sb->counts[ep]++;
	struct request_log *entry = SBX_GROW(sb->requests, sb->n_requests);
	*entry = (struct request_log){
		.at = sbx_now(sb),
		.endpoint = ep,
		.method = xstrdup(rq->method),
		.path = xstrdup(rq->uri),
	};
	*ret_admitted = ep == SBX_SCUTUM || !key_is_right(sb, rq) || rates_admit(&sb->rates, sbx_now_ms(sb));
	if (*ret_admitted)
		rq->fault = faults_take(&sb->faults, (int)ep);
	if (rq->fault.kind != FAULT_NONE)
		entry->fault = fault_kind_name(rq->fault.kind);
	return sb->requests_gone + (int64_t)sb->n_requests;
}

static void record_end(struct sandbox *sb, int64_t number, const struct request *rq, enum sbx_endpoint ep,
		       const struct reply *rp)
{
	unsigned status = rp->ending == REPLY_DROP ? 0 : rp->status;
	bool quiet;
	{
		SBX_LOCKED(sb);
		if (number > sb->requests_gone) {
			sb->requests[number - sb->requests_gone - 1].status = status;
			sb->count_429 += status == 429;
		}
		quiet = sb->set.quiet;
	}
	if (!quiet)
		log_event(LOG_LEVEL_INFO, NULL, NULL, "%s: %s %s -> %u%s%s", sbx_endpoint_name(ep),
			  rq->method, rq->uri, status, rq->fault.kind == FAULT_NONE ? "" : ", fault ",
			  rq->fault.kind == FAULT_NONE ? "" : fault_kind_name(rq->fault.kind));
}

static void answer_status_fault(const struct request *rq, enum sbx_endpoint ep, struct reply *rp)
{
	const struct fault *f = &rq->fault;
	const char *code = f->code, *message = f->message;
	if (f->status == 429) {
		code = code ? code : "request_limit_exceeded";
		message = message ? message : "Service unavailable, please limit request volume";
	}
	code = code ? code : "service_unavailable";
	message = message ? message : "Service is unavailable";
	if (ep == SBX_SCUTUM)
		scutum_error(rp, (unsigned)f->status, code, message);
	else
		(void)reply_error(rp, (unsigned)f->status, code, "%s", message);
	rp->retry_after = xstrdup_opt(f->retry_after);
}

static void run_handler(struct sandbox *sb, const struct route *route, const struct request *rq,
			struct reply *rp)
{
	if (rq->broken) {
		(void)reply_error(rp, 400, "bad_request_format", "The address of the request is malformed.");
		return;
	}
	if (!strbuf_ok(&rq->body)) {
		(void)reply_error(rp, 413, "bad_request_format", "The body is too large.");
		return;
	}
	bool services = rq->n_segments > 1 && !strcmp(rq->segment[0], "services");
	if (services && !rq->api_key)
		(void)reply_error(rp, 401, "access_denied|invalid_api_key",
				  "The header X-DC-DEVKEY is missing.");
	else if (services && !key_is_right(sb, rq))
		(void)reply_error(rp, 403, "access_denied|missing_permission",
				  "You do not have permission to perform this action.");
	else if (route)
		route->handler(sb, rq, rp);
	else
		(void)reply_error(rp, 404, "not_found|route", "There is no such route: %s", rq->method);
}

static void spoil(const struct request *rq, struct reply *rp)
{
	static const char garbage[] = "\x01\x02<html>\xff\xfe 502 from somebody in between {[\"";
	switch (rq->fault.kind) {
	case FAULT_DROP_AFTER: rp->ending = REPLY_DROP; break;
	case FAULT_TRUNCATE: rp->ending = REPLY_HALF; break;
	case FAULT_GARBAGE: reply_bytes(rp, 200, rp->content_type, garbage, sizeof(garbage) - 1); break;
	case FAULT_NONE:
	case FAULT_STATUS:
	case FAULT_DELAY:
	case FAULT_DROP_BEFORE:
	case FAULT_WRONG_CERT:
	case FAULT_KIND_NR: break;
	}
}

static void answer(struct sandbox *sb, const struct route *route, struct request *rq, struct reply *rp)
{
	enum sbx_endpoint ep = route ? route->endpoint : SBX_OTHER;
	bool admitted = false;
	int64_t number = admit(sb, rq, ep, &admitted);
	if (rq->fault.kind == FAULT_DELAY)
		sbx_sleep(sb, rq->fault.delay_ms);
	if (!admitted) {
		(void)reply_error(rp, 429, "request_limit_exceeded",
				  "Service unavailable, please limit request volume");
	} else if (rq->fault.kind == FAULT_DROP_BEFORE) {
		rp->ending = REPLY_DROP;
	} else if (rq->fault.kind == FAULT_STATUS) {
		answer_status_fault(rq, ep, rp);
	} else {
		run_handler(sb, route, rq, rp);
		spoil(rq, rp);
	}
	record_end(sb, number, rq, ep, rp);
}

void routes_answer(struct sandbox *sb, struct request *rq, struct reply *rp)
{
	if (rq->n_segments > 0 && !strcmp(rq->segment[0], "sandbox"))
		admin_answer(sb, rq, rp);
	else
		answer(sb, find_route(routes, ARRAY_SIZE(routes), rq), rq, rp);
}

void routes_answer_plain(struct sandbox *sb, struct request *rq, struct reply *rp)
{
	answer(sb, find_route(plain_routes, ARRAY_SIZE(plain_routes), rq), rq, rp);
}
