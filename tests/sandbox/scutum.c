/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/scutum.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/sandbox/pem.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* What arrived, decoded. certs[0] is the server certificate, the rest the intermediates. */
struct push {
	X509 *certs[PEM_CERTS_MAX];
	size_t n_certs;
	EVP_PKEY *key;
	bool encrypted_key;
};

/* The manual shows one value of error_on ("7-p1", with "Key And Cert Not Match"); the others are made up
 * in its style. */
enum complaint { BAD_METHOD, BAD_TYPE, BAD_JSON, BAD_CERT, BAD_KEY, BAD_IM, BAD_MATCH };

static const struct {
	const char *error_on;
	const char *error;
} complaints[] = {
	[BAD_METHOD] = { "1-p1", "Invalid Method" },
	[BAD_TYPE] = { "2-p1", "Invalid Content Type" },
	[BAD_JSON] = { "3-p1", "Invalid JSON Type" },
	[BAD_CERT] = { "4-p1", "Invalid Cert" },
	[BAD_KEY] = { "5-p1", "Invalid Key" },
	[BAD_IM] = { "6-p1", "Invalid IM" },
	[BAD_MATCH] = { "7-p1", "Key And Cert Not Match" },
};

void scutum_error(struct reply *rp, unsigned status, const char *error_on, const char *error)
{
	unsigned char r[16];
	clock_random(r, sizeof(r));
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	char uuid[37];
	snprintf(uuid, sizeof(uuid), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
		 r[14], r[15]);
	struct json *j = json_new_obj();
	json_set_str(j, "error_on", error_on);
	json_set_str(j, "error_id", uuid);
	json_set_str(j, "error", error);
	reply_json(rp, status, j);
}

static int complain(struct reply *rp, enum complaint c)
{
	scutum_error(rp, 400, complaints[c].error_on, complaints[c].error);
	return -1;
}

static bool is_authorized(const struct sandbox *sb, const struct request *rq)
{
	const char *host = request_query(rq, "host"), *id = request_query(rq, "id");
	if (!host || !*host || !id || !*id || !rq->scutum_key)
		return false;
	if (sb->n_accounts == 0)
		return !strcmp(rq->scutum_key, sb->scutum_key);
	for (size_t i = 0; i < sb->n_accounts; i++) {
		const struct scutum_account *a = &sb->accounts[i];
		if (!strcmp(a->host, host) && !strcmp(a->id, id))
			return !strcmp(a->key, rq->scutum_key);
	}
	return false;
}

/* Every field is a string; only `im` may also be an array of strings. */
static int check_field(const char *key, const struct json *val, void *arg)
{
	(void)arg;
	if (!strcmp(key, "cert") || !strcmp(key, "key") || !strcmp(key, "password"))
		return json_type(val) == JSON_STRING ? 0 : -1;
	if (strcmp(key, "im") != 0)
		return -1;
	if (json_type(val) != JSON_ARRAY)
		return json_type(val) == JSON_STRING ? 0 : -1;
	for (size_t i = 0; i < json_arr_len(val); i++)
		if (!json_str(json_arr_at(val, i)))
			return -1;
	return 0;
}

static bool is_self_signed(X509 *x)
{
	return X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
}

static bool is_issued_by(X509 *x, X509 *issuer)
{
	bool good =
		X509_check_issued(issuer, x) == X509_V_OK && X509_verify(x, X509_get0_pubkey(issuer)) == 1;
	ERR_clear_error();
	return good;
}

static int read_intermediates(const struct json *im, struct push *p)
{
	const char *text = json_str(im);
	if (text)
		return pem_read_certs(text, p->certs, &p->n_certs);
	for (size_t i = 0; i < json_arr_len(im); i++)
		if (pem_read_certs(json_str(json_arr_at(im, i)), p->certs, &p->n_certs) < 0)
			return -1;
	return 0;
}

/* Each one issued by the next, none of them a root; a certificate that has an issuer needs it here. */
static bool chain_links(const struct push *p)
{
	if (p->n_certs == 1)
		return is_self_signed(p->certs[0]);
	for (size_t i = 1; i < p->n_certs; i++)
		if (is_self_signed(p->certs[i]) || X509_check_ca(p->certs[i]) == 0 ||
		    !is_issued_by(p->certs[i - 1], p->certs[i]))
			return false;
	return true;
}

static int read_push(const struct json *body, struct push *p, struct reply *rp)
{
	const char *cert = json_str(json_get(body, "cert"));
	const char *key = json_str(json_get(body, "key"));
	const char *password = json_str(json_get(body, "password"));
	if (!cert || pem_read_certs(cert, p->certs, &p->n_certs) < 0 || p->n_certs != 1)
		return complain(rp, BAD_CERT);
	p->key = key ? pem_read_key(key, password, &p->encrypted_key) : NULL;
	if (!p->key)
		return complain(rp, BAD_KEY);
	if (read_intermediates(json_get(body, "im"), p) < 0 || !chain_links(p))
		return complain(rp, BAD_IM);
	if (X509_check_private_key(p->certs[0], p->key) != 1) {
		ERR_clear_error();
		return complain(rp, BAD_MATCH);
	}
	return 0;
}

static char *serial_hex(X509 *x)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = bn ? BN_bn2hex(bn) : NULL;
	char *copy = xstrdup(hex ? hex : "");
	OPENSSL_free(hex);
	BN_free(bn);
	return copy;
}

static void add_dns_names(struct scutum_push *rec, X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		if (g->type != GEN_DNS)
			continue;
		char **slot = SBX_GROW(rec->names, rec->n_names);
		*slot = xstrndup((const char *)ASN1_STRING_get0_data(g->d.dNSName),
				 (size_t)ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(all);
}

static void record_push(struct sandbox *sb, const struct request *rq, const struct push *p)
{
	SBX_LOCKED(sb);
	struct scutum_push *rec = SBX_GROW(sb->pushes, sb->n_pushes);
	*rec = (struct scutum_push){
		.at = sbx_now(sb),
		.host = xstrdup(request_query(rq, "host")),
		.id = xstrdup(request_query(rq, "id")),
		.serial = serial_hex(p->certs[0]),
		.n_intermediates = p->n_certs - 1,
		.encrypted_key = p->encrypted_key,
		.status = rq->fault.kind == FAULT_DROP_AFTER ? 0 : 200,
	};
	add_dns_names(rec, p->certs[0]);
}

static void push_done(struct push *p)
{
	for (size_t i = 0; i < p->n_certs; i++)
		X509_free(p->certs[i]);
	EVP_PKEY_free(p->key);
}

void scutum_update(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (strcmp(rq->method, "POST") != 0) {
		(void)complain(rp, BAD_METHOD);
		return;
	}
	if (!is_authorized(sb, rq)) {
		scutum_error(rp, 401, "0-p1", "Unauthorized");
		return;
	}
	if (!request_is_json(rq)) {
		(void)complain(rp, BAD_TYPE);
		return;
	}
	_cleanup_(json_freep) struct json *body = NULL;
	if (json_parse(strbuf_str(&rq->body), rq->body.len, REQUEST_BODY_MAX, &body, NULL) < 0 ||
	    json_type(body) != JSON_OBJECT || json_each(body, check_field, NULL) != 0) {
		(void)complain(rp, BAD_JSON);
		return;
	}
	struct push p = { 0 };
	if (read_push(body, &p, rp) == 0) {
		record_push(sb, rq, &p);
		struct json *ok = json_new_obj();
		json_set_str(ok, "status", "ok");
		reply_json(rp, 200, ok);
	}
	push_done(&p);
}
