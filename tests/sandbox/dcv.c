/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/dcv.h"

#include "common/mem.h"
#include "tests/sandbox/dnsask.h"
#include "tests/sandbox/fetch.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/orders.h"

/* Calls that change something take no body, or an empty object. The subset form of check-dcv is refused:
 * the reference spells its array in two ways, so no client can rely on either. */
static int check_body(const struct request *rq, struct reply *rp)
{
	if (rq->body.len == 0)
		return 0;
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body)
		return -1;
	return fields_check(body, "", NULL, 0, rp);
}

static bool is_over(const struct order *o)
{
	if (order_is(o, "reissue_pending"))
		return orders_subject(o)->waits;
	return !order_is(o, "pending") && !order_is(o, "issued") && !order_is(o, "processing") &&
	       !order_is(o, "waiting_pickup");
}

static struct order *get_live(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (o && is_over(o)) {
		(void)reply_error(rp, 400, "invalid_order_status", "The order is %s.", o->status);
		return NULL;
	}
	return o;
}

void dcv_random_value(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (check_body(rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	struct order *o = get_live(sb, rq, rp);
	if (!o)
		return;
	if (o->dcv_method == DCV_EMAIL) {
		(void)reply_error(rp, 400, "invalid_dns_method",
				  "An error occurred while processing your request.");
		return;
	}
	if (sbx_now(sb) >= o->token_expires_at)
		orders_new_token(sb, o);
	char buf[ORDERS_TIME_MAX];
	struct json *j = json_new_obj();
	json_set_str(j, "dcv_random_value", o->token);
	json_set_str(j, "expiration_date", orders_time(o->token_expires_at, buf));
	reply_json(rp, 200, j);
}

/* A name that was proven with a value stays proven, but only if that value still is the order's. */
static void note_proof(struct sandbox *sb, struct certificate *c, size_t i, const char *token)
{
	SBX_LOCKED(sb);
	struct order *o = c->order;
	if (strcmp(o->token, token) != 0 || !orders_wants_proof(o) || orders_subject(o) != c)
		return;
	c->proven[i] = true;
	if (!c->validated_ms && orders_all_proven(c))
		c->validated_ms = sbx_now_ms(sb);
	orders_issue_if_due(sb, o);
	if (c->validated_ms && !c->issued_at)
		sbx_wake_by(sb, c->validated_ms + sb->set.issue_delay_s * 1000);
}

/* One name, by the method of its order; lock not held. */
static bool proves(struct sandbox *sb, const struct fetch_ports *ports, enum dcv_method method,
		   const char *name, const struct proof *p)
{
	switch (method) {
	case DCV_HTTP: return fetch_proves(ports, name, p, &sb->stopping);
	case DCV_DNS_TXT: return sb->dns && dnsask_txt_proves(sb->dns, name, p, &sb->stopping);
	case DCV_DNS_CNAME:
		return sb->dns && p->value && dnsask_cname_proves(sb->dns, name, p->value, &sb->stopping);
	case DCV_EMAIL: break;
	}
	return false;
}

bool dcv_can_look(const struct sandbox *sb, const struct order *o)
{
	return o->dcv_method == DCV_HTTP || (o->dcv_method != DCV_EMAIL && sb->dns);
}

static struct fetch_ports ports_of(const struct sandbox *sb)
{
	return (struct fetch_ports){ .http = sb->set.http_port, .https = sb->set.https_port };
}

void dcv_look(struct sandbox *sb, struct order *o)
{
	struct fetch_ports ports;
	char token[SBX_TOKEN_LEN + 1];
	struct certificate *c = NULL;
	for (size_t i = 0; !c || i < c->n_names; i++) {
		enum dcv_method method;
		struct proof p = { .value = token };
		{
			SBX_LOCKED(sb);
			if (!c)
				c = orders_subject(o);
			if (!dcv_can_look(sb, o) || !orders_wants_proof(o) || orders_subject(o) != c ||
			    sbx_now(sb) >= o->token_expires_at)
				return;
			if (c->proven[i])
				continue;
			method = o->dcv_method;
			ports = ports_of(sb);
			memcpy(token, o->token, sizeof(token));
		}
		if (atomic_load(&sb->stopping))
			return;
		if (proves(sb, &ports, method, c->names[i], &p))
			note_proof(sb, c, i, token);
	}
}

bool dcv_request_tokens_prove(struct sandbox *sb, const struct certificate *c, const char *auth_key)
{
	struct proof p = { .auth_key = auth_key };
	_cleanup_free_ char *csr = NULL;
	struct fetch_ports ports;
	enum dcv_method method;
	{
		SBX_LOCKED(sb);
		method = c->order->dcv_method;
		if (!orders_wants_proof(c->order) || (method != DCV_HTTP && method != DCV_DNS_TXT))
			return false;
		p.csr = csr = csr_spelled(c->csr, (enum csr_spelling)sb->set.csr_spelling);
		p.now = sbx_now(sb);
		ports = ports_of(sb);
	}
	for (size_t i = 0; i < c->n_names; i++)
		if (atomic_load(&sb->stopping) || !proves(sb, &ports, method, c->names[i], &p))
			return false;
	return true;
}

static struct json *validations_json(const struct certificate *c)
{
	struct json *list = json_new_arr();
	for (size_t i = 0; i < c->n_names; i++) {
		struct json *v = json_new_obj();
		json_set_str(v, "dns_name", c->names[i]);
		json_set_str(v, "status", c->proven[i] || c->issued_at ? "approved" : "pending");
		json_add(list, v);
	}
	return list;
}

static void answer_check(struct sandbox *sb, const struct order *o, struct reply *rp)
{
	const struct certificate *c = orders_subject(o);
	bool all = orders_all_proven(c) || c->issued_at;
	bool old = sb->set.dcv_replies_old;
	if (!all && sbx_now(sb) >= o->token_expires_at) {
		(void)reply_error(rp, 400, "random_value_expired", "The random value has expired.");
		return;
	}
	if (!all && o->dcv_method == DCV_HTTP) {
		(void)reply_error(
			rp, 400, "file_random_value_not_found",
			"Could not find the random value at the expected file location for one or more "
			"domains.");
		return;
	}
	if (!all && old) {
		(void)reply_error(rp, 400, "invalid_dns_txt",
				  "Could not find a valid TXT record for one or more domains.");
		return;
	}
	struct json *j = json_new_obj();
	json_set_str(j, "order_status", o->status);
	json_set_i64(j, "certificate_id", c->id);
	if (old)
		json_set_str(j, "dcv_status", "valid");
	else
		json_set(j, "dns_name_validations", validations_json(c));
	reply_json(rp, 200, j);
}

void dcv_check(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (check_body(rq, rp) < 0)
		return;
	struct order *o;
	{
		SBX_LOCKED(sb);
		o = get_live(sb, rq, rp);
		if (!o)
			return;
		if (o->dcv_method == DCV_EMAIL) {
			(void)reply_error(rp, 400, "invalid_dns_method",
					  "An error occurred while processing your request.");
			return;
		}
	}
	dcv_look(sb, o);
	SBX_LOCKED(sb);
	orders_issue_if_due(sb, o);
	answer_check(sb, o, rp);
}
