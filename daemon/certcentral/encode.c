/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies. Only fields that the pages document are sent ("Order DV SSL", "Reissue certificate", "Duplicate certificate",
 * "Revoke certificate": parameters), and those whose default has changed over the years are always said:
 * use_auth_key, skip_approval, dcv_method. */
#include "daemon/certcentral/internal.h"

#include <strings.h>

#include "common/str.h"

/* "Other": the download format is asked for by name, so no platform may choose a zip for us. */
#define PLATFORM_OTHER (-1)
/* For the approver, and for whoever reads the order's history in the console. */
#define REVOKED_BY "Revoked by dvcertd"

/* The API does not read names from the CSR ("DV certificate lifecycle"). */
static void encode_names(struct json *cert, const struct cc_order *o)
{
	json_set_str(cert, "common_name", o->names[0]);
	if (o->n_names < 2)
		return;

	struct json *names = json_new_arr();

	for (size_t i = 1; i < o->n_names; i++)
		json_add_str(names, o->names[i]);
	json_set(cert, "dns_names", names);
}

static struct json *encode_certificate(const struct cc_order *o)
{
	struct json *cert = json_new_obj();
	struct json *platform = json_new_obj();

	encode_names(cert, o);
	json_set_str(cert, "csr", o->csr);
	json_set_str(cert, "signature_hash", "sha256");
	json_set_i64(platform, "id", PLATFORM_OTHER);
	json_set(cert, "server_platform", platform);
	return cert;
}

static void encode_cert_validity(struct json *cert, const struct cc_order *o)
{
	struct json *validity = NULL;

	if (o->cert_days <= 0)
		return;
	validity = json_new_obj();
	json_set_i64(validity, "days", o->cert_days);
	json_set(cert, "cert_validity", validity);
}

/* The name that is proven: of a wildcard, what comes after the star. */
static const char *proven_name(const char *name)
{
	return str_has_prefix(name, "*.") ? name + 2 : name;
}

static bool is_or_is_below(const char *name, const char *domain)
{
	size_t name_len = strlen(name);
	size_t len = strlen(domain);

	if (len == 0 || len > name_len || strcasecmp(name + name_len - len, domain) != 0)
		return false;
	return len == name_len || name[name_len - len - 1] == '.';
}

/* True when an earlier name of the order is proven by the same. */
static bool is_said(const struct cc_order *o, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcasecmp(proven_name(o->names[i]), proven_name(o->names[at])) == 0)
			return true;
	return false;
}

static void encode_emails_of(struct json *list, const struct cc_order *o, const char *name)
{
	for (size_t i = 0; i < o->n_dcv_emails; i++) {
		const char *at = strrchr(o->dcv_emails[i], '@');
		struct json *item = NULL;

		if (!at || !is_or_is_below(name, at + 1))
			continue;
		item = json_new_obj();
		json_set_str(item, "dns_name", name);
		json_set_str(item, "email_domain", at + 1);
		json_set_str(item, "email", o->dcv_emails[i]);
		json_add(list, item);
	}
}

static void encode_emails(struct json *j, const struct cc_order *o)
{
	struct json *list = NULL;

	if (o->n_dcv_emails == 0 || strcmp(o->dcv_method, "email") != 0)
		return;
	list = json_new_arr();
	for (size_t i = 0; i < o->n_names; i++)
		if (!is_said(o, i))
			encode_emails_of(list, o, proven_name(o->names[i]));
	if (json_arr_len(list) > 0)
		json_set(j, "dcv_emails", list);
	else
		json_free(list);
}

void cc_encode_order(const struct cc_order *o, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct json *cert = encode_certificate(o);
	struct json *validity = json_new_obj();

	encode_cert_validity(cert, o);
	json_set(j, "certificate", cert);
	json_set_i64(validity, "years", o->order_years);
	json_set(j, "order_validity", validity);
	json_set_str(j, "dcv_method", o->dcv_method);
	encode_emails(j, o);
	json_set_bool(j, "use_auth_key", o->use_auth_key);
	if (o->use_auth_key && o->auth_key_id)
		json_set_str(j, "auth_key_id", o->auth_key_id);
	/* Without it the request may sit in needs_approval and never get a certificate_id. */
	json_set_bool(j, "skip_approval", true);
	json_set_str(j, "alternative_order_id", o->reference);
	if (o->renewal_of_order_id > 0)
		json_set_i64(j, "renewal_of_order_id", o->renewal_of_order_id);
	json_set_bool(j, "disable_renewal_notifications", true);
	if (o->payment_method)
		json_set_str(j, "payment_method", o->payment_method);
	json_write(j, 0, sb);
}

/* skip_approval stands at the top: the sample of the DV guide that has it inside certificate is wrong. */
void cc_encode_reissue(const struct cc_order *o, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct json *cert = encode_certificate(o);

	encode_cert_validity(cert, o);
	json_set(j, "certificate", cert);
	json_set_bool(j, "skip_approval", true);
	json_write(j, 0, sb);
}

/* It ends when the original ends, so it has no validity of its own. */
void cc_encode_duplicate(const struct cc_order *o, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();

	json_set(j, "certificate", encode_certificate(o));
	json_write(j, 0, sb);
}

void cc_encode_revocation(const struct cc_revocation *r, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();

	/* The samples say `comments`, the table says `comment`. */
	json_set_str(j, "comments", REVOKED_BY);
	json_set_str(j, "comment", REVOKED_BY);
	if (r->reason)
		json_set_str(j, "revocation_reason", r->reason);
	json_set_bool(j, "skip_approval", true);
	json_write(j, 0, sb);
}

void cc_encode_word(const char *key, const char *word, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();

	json_set_str(j, key, word);
	json_write(j, 0, sb);
}
