/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/approvals.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/orders.h"

static const char *const kind_words[] = {
	[APPROVAL_ORDER] = "new_request",
	[APPROVAL_REISSUE] = "reissue",
	[APPROVAL_DUPLICATE] = "duplicate",
	[APPROVAL_REVOKE] = "revoke",
};

static const char *const status_words[] = {
	[APPROVAL_PENDING] = "pending",
	[APPROVAL_APPROVED] = "approved",
	[APPROVAL_REJECTED] = "rejected",
};

struct approval *approvals_add(struct sandbox *sb, struct order *o, struct certificate *subject,
			       enum approval_kind kind, bool waits, const char *comments)
{
	struct approval *a = xmalloc(sizeof(*a));
	*a = (struct approval){
		.id = sb->first_approval_id + (int64_t)sb->n_approvals,
		.order = o,
		.subject = subject,
		.kind = kind,
		.status = waits ? APPROVAL_PENDING : APPROVAL_APPROVED,
		.at = sbx_now(sb),
		.comments = xstrdup_opt(comments),
	};
	struct approval **all = SBX_GROW(sb->approvals, sb->n_approvals);
	*all = a;
	struct approval **own = SBX_GROW(o->approvals, o->n_approvals);
	*own = a;
	return a;
}

bool approvals_needed(const struct sandbox *sb, bool skip)
{
	return sb->set.require_approval && (!skip || sb->set.role_user);
}

struct approval *approvals_waiting(const struct order *o)
{
	for (size_t i = 0; i < o->n_approvals; i++)
		if (o->approvals[i]->status == APPROVAL_PENDING)
			return o->approvals[i];
	return NULL;
}

void approvals_drop_reissue(struct sandbox *sb, struct order *o)
{
	for (size_t i = 0; i < o->n_approvals; i++)
		if (o->approvals[i]->subject == o->next && o->approvals[i]->kind == APPROVAL_REISSUE)
			o->approvals[i]->status = APPROVAL_REJECTED;
	o->next->dropped = true;
	o->next = NULL;
	orders_set_status(sb, o, "issued");
}

static void approve(struct sandbox *sb, struct approval *a)
{
	struct order *o = a->order;
	switch (a->kind) {
	case APPROVAL_ORDER: orders_set_status(sb, o, "pending"); break;
	case APPROVAL_REISSUE:
		a->subject->waits = false;
		sbx_wake_by(sb, INT64_MIN + 1);
		orders_issue_if_due(sb, o);
		break;
	case APPROVAL_DUPLICATE: certificates_issue(sb, a->subject); break;
	case APPROVAL_REVOKE: certificates_revoke(sb, o, a->subject, a->reason); break;
	}
}

static void reject(struct sandbox *sb, struct approval *a)
{
	switch (a->kind) {
	case APPROVAL_ORDER: orders_set_status(sb, a->order, "rejected"); break;
	case APPROVAL_REISSUE:
		if (a->order->next == a->subject)
			approvals_drop_reissue(sb, a->order);
		break;
	case APPROVAL_DUPLICATE: a->subject->dropped = true; break;
	case APPROVAL_REVOKE: break;
	}
}

int approvals_check(const struct sandbox *sb, const struct approval *a, struct reply *rp)
{
	if (a->kind == APPROVAL_REVOKE || certificates_can_live(sb, a->subject))
		return 0;
	return reply_error(rp, 400, "invalid_order_status", "The order, or its certificate, has expired.");
}

void approvals_settle(struct sandbox *sb, struct approval *a, bool yes)
{
	a->status = yes ? APPROVAL_APPROVED : APPROVAL_REJECTED;
	if (yes)
		approve(sb, a);
	else
		reject(sb, a);
}

static struct json *approval_json(const struct approval *a)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "id", a->id);
	json_set_moment(j, "date", a->at);
	json_set_str(j, "type", kind_words[a->kind]);
	json_set_str(j, "status", status_words[a->status]);
	if (a->comments)
		json_set_str(j, "comments", a->comments);
	return j;
}

struct json *approvals_json(const struct order *o)
{
	struct json *list = json_new_arr();
	for (size_t i = 0; i < o->n_approvals; i++)
		json_add(list, approval_json(o->approvals[i]));
	return list;
}

static struct approval *get(struct sandbox *sb, const char *id, struct reply *rp)
{
	uint64_t n = 0, first = (uint64_t)sb->first_approval_id;
	if (str_parse_u64(id, &n) == 0 && n >= first && n - first < sb->n_approvals)
		return sb->approvals[n - first];
	(void)reply_error(rp, 404, "not_found|request", "The request could not be found.");
	return NULL;
}

void approvals_settle_request(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "status", JSON_STRING, true },
					      { "processor_comment", JSON_STRING, false } };
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	const char *word = json_str(json_get(body, "status"));
	bool yes = !strcmp(word, "approved");
	SBX_LOCKED(sb);
	struct approval *a = get(sb, rq->arg[0], rp);
	if (!a)
		return;
	if (!yes && strcmp(word, "rejected") != 0)
		(void)reply_error(rp, 400, "invalid_field|status", "Must be approved or rejected.");
	else if (sb->set.role_user)
		(void)reply_error(rp, 403, "access_denied|missing_permission",
				  "You do not have permission to perform this action.");
	else if (sb->set.approver_other)
		(void)reply_error(rp, 403, "access_denied|invalid_approver",
				  "You may not approve this request.");
	else if (a->status != APPROVAL_PENDING)
		(void)reply_error(rp, 400, "invalid_request_status", "The request is %s.",
				  status_words[a->status]);
	else if (!yes || approvals_check(sb, a, rp) == 0) {
		approvals_settle(sb, a, yes);
		reply_bytes(rp, 204, "application/json", "", 0);
	}
}

static struct json *revocation_json(const struct approval *a)
{
	struct json *j = approval_json(a);
	struct json *who = json_new_obj();
	json_set_i64(who, "id", 14);
	json_set_str(who, "first_name", "Sandbox");
	json_set_str(who, "last_name", "User");
	json_set_str(who, "email", "user@dvcert-sandbox.example");
	json_set(j, "requester", who);
	return j;
}

/* The reasons that may be given; NULL for any other, and for none. */
static const char *reason_literal(const char *word)
{
	static const char *const reasons[] = { "unspecified", "keyCompromise", "affiliationChanged",
					       "superseded", "cessationOfOperation" };
	for (size_t i = 0; word && i < ARRAY_SIZE(reasons); i++)
		if (!strcmp(word, reasons[i]))
			return reasons[i];
	return NULL;
}

/* The samples say `comments`, the table says `comment`: both are taken. */
static struct json *revocation_body(const struct request *rq, struct reply *rp)
{
	static const struct field known[] = {
		{ "comments", JSON_STRING, false },
		{ "comment", JSON_STRING, false },
		{ "revocation_reason", JSON_STRING, false },
		{ "skip_approval", JSON_BOOL, false },
	};
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return NULL;
	const char *reason = json_str(json_get(body, "revocation_reason"));
	if (reason && !reason_literal(reason)) {
		(void)reply_error(rp, 400, "invalid_field|revocation_reason",
				  "'%s' is no reason that may be given.", reason);
		return NULL;
	}
	return TAKE_PTR(body);
}

static void revoke_or_ask(struct sandbox *sb, struct order *o, struct certificate *c, const struct json *body,
			  struct reply *rp)
{
	bool skip = false;
	(void)!json_get_bool(body, "skip_approval", &skip);
	if (!o->active->issued_at || order_is(o, "revoked") || (c && certificates_revoked(sb, c))) {
		(void)reply_error(rp, 400, "invalid_order_status", "There is nothing to revoke.");
		return;
	}
	if (o->next) {
		(void)reply_error(rp, 400, "invalid_order_status", "A reissue is pending.");
		return;
	}
	const char *comments = json_str(json_get(body, "comments"));
	if (!comments)
		comments = json_str(json_get(body, "comment"));
	/* Older: "this step is required and cannot be skipped". Newer: an administrator's key can. */
	skip = skip && !sb->set.revoke_approval_always && !sb->set.role_user;
	struct approval *a = approvals_add(sb, o, c, APPROVAL_REVOKE, true, comments);
	a->reason = reason_literal(json_str(json_get(body, "revocation_reason")));
	if (skip) {
		approvals_settle(sb, a, true);
		reply_bytes(rp, 204, "application/json", "", 0);
		return;
	}
	reply_json(rp, 201, revocation_json(a));
}

void approvals_revoke_certificate(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = revocation_body(rq, rp);
	if (!body)
		return;
	SBX_LOCKED(sb);
	struct certificate *c = certificates_get_issued(sb, rq->arg[0], rp);
	if (c)
		revoke_or_ask(sb, c->order, c, body, rp);
}

void approvals_revoke_order(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = revocation_body(rq, rp);
	if (!body)
		return;
	SBX_LOCKED(sb);
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (o)
		revoke_or_ask(sb, o, NULL, body, rp);
}

void approvals_cancel(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "status", JSON_STRING, true },
					      { "note", JSON_STRING, false } };
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	SBX_LOCKED(sb);
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (!o)
		return;
	orders_issue_if_due(sb, o);
	if (strcmp(json_str(json_get(body, "status")), "CANCELED") != 0) {
		(void)reply_error(rp, 400, "invalid_field|status", "Must be CANCELED, in capitals.");
	} else if (o->next && order_is(o, "reissue_pending")) {
		approvals_drop_reissue(sb, o);
		reply_bytes(rp, 204, "application/json", "", 0);
	} else if (order_is(o, "pending") || order_is(o, "waiting_pickup")) {
		orders_set_status(sb, o, "canceled");
		reply_bytes(rp, 204, "application/json", "", 0);
	} else {
		(void)reply_error(rp, 400, "invalid_order_status", "The order is %s.", o->status);
	}
}
