/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/certificates.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/pem.h"

#include <strings.h>

#define DAY_S	     INT64_C(86400)
#define BACKDATE_S   5 /* a certificate begins a little before its issue */
#define PEM_TEXT_MAX (256 * 1024)

static struct certificate *enter(struct sandbox *sb, struct certificate *c)
{
	c->id = sb->first_certificate_id + (int64_t)sb->n_certificates;
	c->created_at = sbx_now(sb);
	c->proven = xcalloc(c->n_names, sizeof(bool));
	struct certificate **all = SBX_GROW(sb->certificates, sb->n_certificates);
	*all = c;
	struct certificate **own = SBX_GROW(c->order->certificates, c->order->n_certificates);
	*own = c;
	return c;
}

struct certificate *certificates_add(struct sandbox *sb, struct order *o, enum certificate_kind kind,
				     struct order_wish *w)
{
	struct certificate *c = xmalloc(sizeof(*c));
	*c = (struct certificate){
		.order = o,
		.kind = kind,
		.n_names = w->n_names,
		.names = TAKE_PTR(w->names),
		.csr = TAKE_PTR(w->csr),
		.server_platform = w->server_platform,
		.days = w->certificate_days,
	};
	w->n_names = 0;
	memcpy(c->signature_hash, w->signature_hash, sizeof(c->signature_hash));
	return enter(sb, c);
}

bool certificates_plan_over(const struct sandbox *sb, const struct order *o)
{
	int64_t end = o->valid_till ? o->valid_till : o->order_until;
	return end && sbx_now(sb) >= end;
}

bool certificates_can_live(const struct sandbox *sb, const struct certificate *c)
{
	return !certificates_plan_over(sb, c->order) &&
	       (c->kind != CERTIFICATE_DUPLICATE || sbx_now(sb) < c->order->active->cert.not_after);
}

/* The shortest of all limits counts; longer wishes are cut without a word, as CertCentral does. */
static int64_t end_of_life(const struct sandbox *sb, const struct certificate *c, int64_t now)
{
	if (c->kind == CERTIFICATE_DUPLICATE)
		return c->order->active->cert.not_after;
	int64_t life = sb->set.validity_s;
	if (sb->set.max_cert_days)
		life = MIN(life, sb->set.max_cert_days * DAY_S);
	if (c->days)
		life = MIN(life, c->days * DAY_S);
	return MIN(now + life, c->order->valid_till);
}

static bool has_name(const struct certificate *c, const char *name)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (!strcmp(c->names[i], name))
			return true;
	return false;
}

/* "Changing or removing names makes DigiCert revoke the earlier certificates of the order after 48 to 72 h". */
static void doom_others(struct sandbox *sb, const struct certificate *c)
{
	bool lost = false;
	const struct certificate *before = c->order->active;
	for (size_t i = 0; i < before->n_names; i++)
		lost = lost || !has_name(c, before->names[i]);
	for (size_t i = 0; lost && i < c->order->n_certificates; i++) {
		struct certificate *old = c->order->certificates[i];
		if (old != c && old->issued_at && !old->revoked_at)
			old->revoked_at = sbx_now(sb) + sb->set.old_revoke_s;
	}
}

/* Issued from the console: what was waited for is there. */
static void settle_wishes(const struct certificate *c)
{
	for (size_t i = 0; i < c->order->n_approvals; i++) {
		struct approval *a = c->order->approvals[i];
		if (a->subject == c && a->kind != APPROVAL_REVOKE && a->status == APPROVAL_PENDING)
			a->status = APPROVAL_APPROVED;
	}
}

void certificates_issue(struct sandbox *sb, struct certificate *c)
{
	struct order *o = c->order;
	int64_t now = sbx_now(sb);
	if (!o->valid_till)
		o->valid_till = o->order_until ? o->order_until : now + o->order_days * DAY_S;
	struct ca_request req = {
		.key = c->foreign_key ? NULL : c->csr->key,
		.key_is_rsa = !c->foreign_key && c->csr->rsa,
		.names = (const char *const *)c->names,
		.n_names = c->n_names,
		.not_before = now - BACKDATE_S,
		.not_after = end_of_life(sb, c, now),
		.hash = c->signature_hash,
	};
	ca_issue(sb->ca, &req, &c->cert);
	c->issued_at = now;
	c->waits = false;
	settle_wishes(c);
	if (c->kind != CERTIFICATE_REISSUE)
		return;
	doom_others(sb, c);
	o->active = c;
	o->next = NULL;
}

void certificates_reissue_by_console(struct sandbox *sb, struct order *o)
{
	const struct certificate *before = o->active;
	struct certificate *c = xmalloc(sizeof(*c));
	*c = (struct certificate){
		.order = o,
		.kind = CERTIFICATE_REISSUE,
		.n_names = before->n_names,
		.names = xcalloc(before->n_names, sizeof(char *)),
		.csr = csr_copy(before->csr),
		.foreign_key = true,
		.server_platform = before->server_platform,
	};
	memcpy(c->signature_hash, before->signature_hash, sizeof(c->signature_hash));
	for (size_t i = 0; i < c->n_names; i++)
		c->names[i] = xstrdup(before->names[i]);
	certificates_issue(sb, enter(sb, c));
	o->changed_at = sbx_now(sb);
}

static struct certificate *by_id(struct sandbox *sb, const char *id)
{
	uint64_t n = 0, first = (uint64_t)sb->first_certificate_id;
	if (str_parse_u64(id, &n) < 0 || n < first || n - first >= sb->n_certificates)
		return NULL;
	return sb->certificates[n - first];
}

static struct certificate *not_found(struct reply *rp)
{
	(void)reply_error(rp, 404, "not_found|certificate", "The certificate could not be found.");
	return NULL;
}

struct certificate *certificates_get(struct sandbox *sb, const char *id, struct reply *rp)
{
	struct certificate *c = by_id(sb, id);
	return c ? c : not_found(rp);
}

struct certificate *certificates_get_issued(struct sandbox *sb, const char *id_or_serial, struct reply *rp)
{
	struct certificate *c = by_id(sb, id_or_serial);
	for (size_t i = 0; !c && i < sb->n_certificates; i++)
		if (sb->certificates[i]->issued_at &&
		    strcasecmp(sb->certificates[i]->cert.serial, id_or_serial) == 0)
			c = sb->certificates[i];
	return c && c->issued_at ? c : not_found(rp);
}

bool certificates_revoked(const struct sandbox *sb, const struct certificate *c)
{
	return c->revoked_at && sbx_now(sb) >= c->revoked_at;
}

bool certificates_revoke_only(struct sandbox *sb, struct order *o, struct certificate *c, const char *reason)
{
	bool good_left = false;
	for (size_t i = 0; i < o->n_certificates; i++) {
		struct certificate *one = o->certificates[i];
		if (!one->issued_at)
			continue;
		if ((!c || c == one) && !certificates_revoked(sb, one)) {
			one->revoked_at = sbx_now(sb);
			one->revoked_reason = reason;
		}
		good_left = good_left || !certificates_revoked(sb, one);
	}
	return good_left;
}

void certificates_revoke(struct sandbox *sb, struct order *o, struct certificate *c, const char *reason)
{
	if (!certificates_revoke_only(sb, o, c, reason))
		orders_set_status(sb, o, "revoked");
}

size_t certificates_count(const struct order *o, enum certificate_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < o->n_certificates; i++)
		n += o->certificates[i]->kind == kind && o->certificates[i]->issued_at;
	return n;
}

static void add_link(struct json *list, const char *name, const char *pem)
{
	struct strbuf text = STRBUF_INIT(PEM_TEXT_MAX);
	pem_add_crlf(&text, pem);
	struct json *j = json_new_obj();
	json_set_str(j, "subject_common_name", name);
	json_set_str(j, "pem", strbuf_str(&text));
	json_add(list, j);
	strbuf_done(&text);
}

struct json *certificates_chain_json(const struct sandbox *sb, const struct certificate *c)
{
	struct json *list = json_new_arr();
	add_link(list, c->names[0], c->cert.pem);
	add_link(list, ca_intermediate_name(sb->ca), ca_intermediate_pem(sb->ca));
	add_link(list, "dvcert-sandbox Root", ca_root_pem(sb->ca));
	return list;
}

struct json *certificates_issued_json(const struct sandbox *sb, const struct certificate *c)
{
	struct json *j = json_new_obj();
	json_set_i64(j, "id", c->order->id);
	json_set_i64(j, "certificate_id", c->id);
	json_set(j, "certificate_chain", certificates_chain_json(sb, c));
	return j;
}

void json_set_moment(struct json *j, const char *key, int64_t at)
{
	char buf[ORDERS_TIME_MAX];
	json_set_str(j, key, orders_time(at, buf));
}

void json_set_date(struct json *j, const char *key, int64_t at)
{
	char buf[TIMEFMT_MAX];
	timefmt_rfc3339(at, buf);
	buf[strcspn(buf, "T")] = '\0';
	json_set_str(j, key, buf);
}

static void set_platform(struct json *j, const struct certificate *c)
{
	struct json *p = json_new_obj();
	json_set_i64(p, "id", c->server_platform);
	json_set_str(p, "name", c->server_platform == -1 ? "OTHER" : "Platform");
	json_set(j, "server_platform", p);
}

struct json *certificates_json(const struct sandbox *sb, const struct certificate *c)
{
	struct json *j = json_new_obj();
	if (!c->waits && orders_has_certificate_id(c->order))
		json_set_i64(j, "id", c->id);
	if (c->issued_at) {
		json_set_str(j, "thumbprint", c->cert.thumbprint);
		json_set_str(j, "serial_number", c->cert.serial);
		bool revoked = order_is(c->order, "revoked") || certificates_revoked(sb, c);
		json_set_str(j, "status", revoked ? "revoked" : "issued");
	}
	json_set_str(j, "common_name", c->names[0]);
	struct json *names = json_new_arr();
	for (size_t i = 0; i < c->n_names; i++)
		json_add_str(names, c->names[i]);
	json_set(j, "dns_names", names);
	json_set_moment(j, "date_created", c->created_at);
	if (c->issued_at) {
		json_set_moment(j, "date_issued", c->issued_at);
		json_set_date(j, "valid_from", c->cert.not_before);
		json_set_date(j, "valid_till", c->cert.not_after);
		json_set_i64(j, "days_remaining", (c->cert.not_after - sbx_now(sb)) / DAY_S);
	}
	struct strbuf csr = STRBUF_INIT(PEM_TEXT_MAX);
	pem_add_crlf(&csr, c->csr->pem);
	json_set_str(j, "csr", strbuf_str(&csr));
	strbuf_done(&csr);
	set_platform(j, c);
	json_set_str(j, "signature_hash", c->signature_hash);
	json_set_i64(j, "key_size", c->csr->bits);
	struct json *ca = json_new_obj();
	json_set_str(ca, "id", "5A9D0B0CAFE1");
	json_set_str(ca, "name", ca_intermediate_name(sb->ca));
	json_set(j, "ca_cert", ca);
	if (c->days) {
		struct json *v = json_new_obj();
		json_set_i64(v, "days", c->days);
		json_set(j, "cert_validity", v);
	}
	return j;
}
