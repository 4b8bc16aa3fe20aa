/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/download.h"

#include "common/mem.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/pem.h"

#define DAY_S	  INT64_C(86400)
#define CHAIN_MAX (4 * 1024 * 1024)

struct format {
	const char *name;
	bool intermediate;
	bool root;
};

static const struct format formats[] = {
	{ "pem_all", true, true },
	{ "pem_noroot", true, false },
	{ "pem_nointermediate", false, false },
};

static void send_chain(const struct sandbox *sb, const char *leaf, const struct format *f, bool chain,
		       struct reply *rp)
{
	struct strbuf out = STRBUF_INIT(CHAIN_MAX);
	pem_add_crlf(&out, leaf);
	if (chain && f->intermediate)
		pem_add_crlf(&out, ca_intermediate_pem(sb->ca));
	if (chain && f->root)
		pem_add_crlf(&out, ca_root_pem(sb->ca));
	reply_bytes(rp, 200, "text/plain", strbuf_str(&out), out.len);
	strbuf_done(&out);
}

static void send_zip(struct reply *rp)
{
	/* The end record of an empty archive after a local header: enough to begin with "PK". */
	static const char zip[] = "PK\x03\x04\x14\0\0\0\0\0PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	reply_bytes(rp, 200, "application/zip", zip, sizeof(zip) - 1);
}

/* A certificate for the same order that must not be deployed; the ledger does not change. */
static void send_wrong(const struct sandbox *sb, const struct certificate *c, enum fault_variant v,
		       const struct format *f, struct reply *rp)
{
	static const char *const others[] = { "somebody-else.example", "www.somebody-else.example" };
	struct ca_request req = {
		.key = c->foreign_key ? NULL : c->csr->key,
		.key_is_rsa = c->csr->rsa,
		.names = (const char *const *)c->names,
		.n_names = c->n_names,
		.not_before = c->cert.not_before,
		.not_after = c->cert.not_after,
		.hash = c->signature_hash,
	};
	switch (v) {
	case VARIANT_OTHER_KEY:
		req.key = NULL;
		req.key_is_rsa = false;
		break;
	case VARIANT_EXPIRED:
		req.not_after = sbx_now(sb) - 3600;
		req.not_before = req.not_after - 90 * DAY_S;
		break;
	case VARIANT_OTHER_NAMES:
		req.names = others;
		req.n_names = ARRAY_SIZE(others);
		break;
	case VARIANT_SELF_SIGNED: req.signer = CA_SIGNER_STRANGER; break;
	case VARIANT_CA: req.make_ca = true; break;
	case VARIANT_ZIP: send_zip(rp); return;
	case VARIANT_NO_CHAIN: send_chain(sb, c->cert.pem, f, false, rp); return;
	case VARIANT_NR: return;
	}
	struct ca_cert wrong;
	ca_issue(sb->ca, &req, &wrong);
	send_chain(sb, wrong.pem, f, v != VARIANT_SELF_SIGNED, rp);
	ca_cert_done(&wrong);
}

static const struct format *get_format(const struct request *rq, struct reply *rp)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(rq->arg[1], formats[i].name))
			return &formats[i];
	(void)reply_error(rp, 400, "invalid_field|format",
			  "The sandbox knows pem_all, pem_noroot and pem_nointermediate.");
	return NULL;
}

/* After what was due has been issued. */
static bool is_there(struct sandbox *sb, const struct certificate *c, struct reply *rp)
{
	orders_issue_if_due(sb, c->order);
	if (!c->issued_at)
		(void)reply_error(rp, 404, "not_found|certificate", "The certificate has not been issued.");
	return c->issued_at != 0;
}

static void send(struct sandbox *sb, const struct request *rq, const struct certificate *c,
		 const struct format *f, struct reply *rp)
{
	if (rq->fault.kind == FAULT_WRONG_CERT)
		send_wrong(sb, c, rq->fault.variant, f, rp);
	else
		send_chain(sb, c->cert.pem, f, true, rp);
}

void download_certificate(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const struct format *f = get_format(rq, rp);
	if (!f)
		return;
	SBX_LOCKED(sb);
	const struct certificate *c = certificates_get(sb, rq->arg[0], rp);
	if (c && is_there(sb, c, rp))
		send(sb, rq, c, f, rp);
}

/* "Only the active certificate": during a reissue that is still the old one. */
void download_order(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	const struct format *f = get_format(rq, rp);
	if (!f)
		return;
	SBX_LOCKED(sb);
	struct order *o = orders_get(sb, rq->arg[0], rp);
	if (!o)
		return;
	orders_issue_if_due(sb, o);
	if (is_there(sb, o->active, rp))
		send(sb, rq, o->active, f, rp);
}

/* Named for the intermediates, the list begins with the leaf. */
void download_chain(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	SBX_LOCKED(sb);
	const struct certificate *c = certificates_get(sb, rq->arg[0], rp);
	if (!c || !is_there(sb, c, rp))
		return;
	struct json *j = json_new_obj();
	json_set(j, "intermediates", certificates_chain_json(sb, c));
	reply_json(rp, 200, j);
}
