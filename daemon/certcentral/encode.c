/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies. Only fields that the pages document are sent ("Order DV SSL", parameters), and those
 * whose default has changed over the years are always said: use_auth_key, skip_approval, dcv_method. */
#include "daemon/certcentral/client.h"

/* "Other": the download format is asked for by name, so no platform may choose a zip for us. */
#define PLATFORM_OTHER (-1)

static struct json *encode_certificate(const struct cc_order *o)
{
	struct json *cert = json_new_obj();

	/* The API does not read names from the CSR ("DV certificate lifecycle"). */
	json_set_str(cert, "common_name", o->names[0]);
	if (o->n_names > 1) {
		struct json *names = json_new_arr();

		for (size_t i = 1; i < o->n_names; i++)
			json_add_str(names, o->names[i]);
		json_set(cert, "dns_names", names);
	}
	json_set_str(cert, "csr", o->csr);
	json_set_str(cert, "signature_hash", "sha256");

	struct json *platform = json_new_obj();

	json_set_i64(platform, "id", PLATFORM_OTHER);
	json_set(cert, "server_platform", platform);
	if (o->cert_days > 0) {
		struct json *validity = json_new_obj();

		json_set_i64(validity, "days", o->cert_days);
		json_set(cert, "cert_validity", validity);
	}
	return cert;
}

void cc_encode_order(const struct cc_order *o, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct json *validity = json_new_obj();

	json_set(j, "certificate", encode_certificate(o));
	json_set_i64(validity, "years", o->order_years);
	json_set(j, "order_validity", validity);
	json_set_str(j, "dcv_method", o->dcv_method);
	json_set_bool(j, "use_auth_key", false);
	/* Without it the request may sit in needs_approval and never get a certificate_id. */
	json_set_bool(j, "skip_approval", true);
	json_set_str(j, "alternative_order_id", o->reference);
	json_set_bool(j, "disable_renewal_notifications", true);
	if (o->payment_method)
		json_set_str(j, "payment_method", o->payment_method);
	json_write(j, 0, sb);
}
