/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/order_request.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/names.h"

#define DAY_S	      INT64_C(86400)
#define NAMES_MAX     250
#define REFERENCE_MAX 255

/* "Order DV SSL", request parameters. */
static const struct field top_fields[] = {
	{ "certificate", JSON_OBJECT, true },
	{ "order_validity", JSON_OBJECT, false },
	{ "validity_years", JSON_INT, false },
	{ "validity_days", JSON_INT, false },
	{ "custom_expiration_date", JSON_STRING, false },
	{ "dcv_method", JSON_STRING, false },
	{ "dcv_emails", JSON_ARRAY, false },
	{ "use_auth_key", JSON_BOOL, false },
	{ "auth_key_id", JSON_STRING, false },
	{ "renewal_of_order_id", JSON_INT, false },
	{ "alternative_order_id", JSON_STRING, false },
	{ "skip_approval", JSON_BOOL, false },
	{ "payment_method", JSON_STRING, false },
	{ "locale", JSON_STRING, false },
	{ "comments", JSON_STRING, false },
	{ "container", JSON_OBJECT, false },
	{ "custom_fields", JSON_ARRAY, false },
	{ "disable_renewal_notifications", JSON_BOOL, false },
	{ "custom_renewal_message", JSON_STRING, false },
	{ "technical_contact", JSON_OBJECT, false },
	{ "disable_ct", JSON_BOOL, false },
	{ "additional_emails", JSON_ARRAY, false },
	{ "auto_renew", JSON_INT, false },
	{ "auto_reissue", JSON_INT, false },
};

static const struct field certificate_fields[] = {
	{ "common_name", JSON_STRING, true },
	{ "dns_names", JSON_ARRAY, false },
	{ "csr", JSON_STRING, true },
	{ "signature_hash", JSON_STRING, true },
	{ "server_platform", JSON_OBJECT, false },
	{ "ca_cert_id", JSON_STRING, false },
	{ "profile_option", JSON_STRING, false },
	{ "cert_validity", JSON_OBJECT, false },
	{ "organization_units", JSON_ARRAY, false },
};

/* "Reissue certificate" and "Duplicate certificate". */
static const struct field change_fields[] = {
	{ "certificate", JSON_OBJECT, true },
	{ "comments", JSON_STRING, false },
	{ "skip_approval", JSON_BOOL, false },
	{ "use_auth_key", JSON_BOOL, false }, /* the last two: not for duplicates */
	{ "auth_key_id", JSON_STRING, false },
};

static const struct field change_certificate_fields[] = {
	{ "common_name", JSON_STRING, true },
	{ "csr", JSON_STRING, true },
	{ "signature_hash", JSON_STRING, true },
	{ "dns_names", JSON_ARRAY, false },
	{ "server_platform", JSON_OBJECT, false },
	{ "cert_validity", JSON_OBJECT, false }, /* last: not for duplicates */
};

static const struct field email_fields[] = {
	{ "dns_name", JSON_STRING, true },
	{ "email_domain", JSON_STRING, true },
	{ "email", JSON_STRING, true },
};

static const struct field id_fields[] = { { "id", JSON_INT, true } };

static const struct field validity_fields[] = {
	{ "years", JSON_INT, false },
	{ "days", JSON_INT, false },
	{ "custom_expiration_date", JSON_STRING, false },
};

/* Encryption Everywhere exists, but no page tells its id: this one is the sandbox's own. */
static const char ENCRYPTION_EVERYWHERE[] = "ssl_dv_ee";

static const char *const products[ORDER_PRODUCTS_NR] = {
	"ssl_dv_geotrust",   "ssl_dv_rapidssl",	     "wildcard_dv_geotrust", "wildcard_dv_rapidssl",
	"cloud_dv_geotrust", "ssl_dv_geotrust_flex", ENCRYPTION_EVERYWHERE,
};

static const char *const dcv_words[] = {
	[DCV_EMAIL] = "email",
	[DCV_DNS_TXT] = "dns-txt-token",
	[DCV_DNS_CNAME] = "dns-cname-token",
	[DCV_HTTP] = "http-token",
};

const char *order_product_at(size_t i)
{
	return products[i];
}

const char *order_product(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(products); i++)
		if (!strcmp(id, products[i]))
			return products[i];
	return NULL;
}

bool order_product_needs_auth_key(const char *product)
{
	return !strcmp(product, ENCRYPTION_EVERYWHERE);
}

const char *order_dcv_word(enum dcv_method m)
{
	return dcv_words[m];
}

static int find_word(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return (int)i;
	return -1;
}

/* The types are checked already: absent and present are the only cases left. */
static const char *opt_str(const struct json *j, const char *key)
{
	return json_str(json_get(j, key));
}

static bool opt_i64(const struct json *j, const char *key, int64_t *ret)
{
	return json_get_i64(j, key, ret) == 1;
}

static int add_name(struct order_wish *w, const char *product, const char *name, const char *field,
		    struct reply *rp)
{
	bool wildcard_ok = strcmp(product, "ssl_dv_geotrust") != 0 &&
			   strcmp(product, "ssl_dv_rapidssl") != 0 && !order_product_needs_auth_key(product);
	if (!name || !name_is_good(name, wildcard_ok)) {
		_cleanup_free_ char *code = xasprintf("invalid_field|%s", field);
		return reply_error(rp, 400, code, "'%s' is not a name that %s can cover.",
				   name ? name : "(no string)", product);
	}
	_cleanup_free_ char *low = name_lower(name);
	for (size_t i = 0; i < w->n_names; i++)
		if (!strcmp(w->names[i], low))
			return 0;
	if (w->n_names == NAMES_MAX)
		return reply_error(rp, 400, "invalid_field|certificate.dns_names", "More than %d names.",
				   NAMES_MAX);
	char **slot = SBX_GROW(w->names, w->n_names);
	*slot = TAKE_PTR(low);
	return 0;
}

static int parse_names(const struct json *cert, const char *product, struct order_wish *w, struct reply *rp)
{
	const char *cn = opt_str(cert, "common_name");
	if (add_name(w, product, cn, "certificate.common_name", rp) < 0)
		return -1;
	if (!strncmp(product, "wildcard_", 9) && !name_is_wildcard(cn))
		return reply_error(rp, 400, "invalid_field|certificate.common_name",
				   "A wildcard product needs a wildcard common name.");
	const struct json *list = json_get(cert, "dns_names");
	for (size_t i = 0; i < json_arr_len(list); i++)
		if (add_name(w, product, json_str(json_arr_at(list, i)), "certificate.dns_names", rp) < 0)
			return -1;
	return 0;
}

static int parse_csr(const struct json *cert, struct order_wish *w, struct reply *rp)
{
	switch (csr_parse(opt_str(cert, "csr"), &w->csr)) {
	case CSR_GOOD: return 0;
	case CSR_UNREADABLE:
		return reply_error(rp, 400, "csr_invalid_cannot_parse",
				   "The CSR is invalid or cannot be parsed (PEM, PKCS#10, self-signed).");
	case CSR_WEAK_KEY: break;
	}
	return reply_error(
		rp, 400, "csr_invalid_key",
		"The key of the CSR must be RSA with 2048 to 8192 bits, or EC P-256, P-384 or P-521.");
}

static int parse_certificate(const struct json *cert, const struct field *table, size_t n,
			     const char *product, struct order_wish *w, struct reply *rp)
{
	static const char *const hashes[] = { "sha256", "sha384", "sha512" };
	if (fields_check(cert, "certificate.", table, n, rp) < 0)
		return -1;
	const char *hash = opt_str(cert, "signature_hash");
	if (!hash || find_word(hash, hashes, ARRAY_SIZE(hashes)) < 0)
		return reply_error(rp, 400, "invalid_field|certificate.signature_hash",
				   "Must be sha256, sha384 or sha512.");
	snprintf(w->signature_hash, sizeof(w->signature_hash), "%s", hash);
	w->server_platform = -1;
	const struct json *platform = json_get(cert, "server_platform");
	if (platform) {
		if (fields_check(platform, "certificate.server_platform.", id_fields, ARRAY_SIZE(id_fields),
				 rp) < 0)
			return -1;
		(void)opt_i64(platform, "id", &w->server_platform);
	}
	if (parse_names(cert, product, w, rp) < 0)
		return -1;
	return parse_csr(cert, w, rp);
}

static int bad_validity(struct reply *rp, const char *prefix, const char *name, const char *message)
{
	_cleanup_free_ char *code = xasprintf("invalid_field|%s%s", prefix, name);
	return reply_error(rp, 400, code, "%s", message);
}

/* Custom date > days > years, as CertCentral ranks them; *ret_days stays 0 when none is there. *ret_until (which
 * may be NULL) is the last second of the date. */
static int read_validity(const struct json *j, const char *prefix, const char *stem, int64_t now,
			 int64_t *ret_days, int64_t *ret_until, struct reply *rp)
{
	_cleanup_free_ char *days_key = xasprintf("%sdays", stem);
	_cleanup_free_ char *years_key = xasprintf("%syears", stem);
	int64_t n = 0, until = 0;
	const char *date = opt_str(j, "custom_expiration_date");
	if (date) {
		if (timefmt_parse_date(date, &until) < 0 || until <= now)
			return bad_validity(rp, prefix, "custom_expiration_date",
					    "Must be a yyyy-MM-dd to come.");
		*ret_days = (until - now + DAY_S - 1) / DAY_S;
		if (ret_until)
			*ret_until = until + DAY_S - 1;
	} else if (opt_i64(j, days_key, &n)) {
		if (n < 1 || n > 3 * 366)
			return bad_validity(rp, prefix, days_key, "Must be 1 to 1098.");
		*ret_days = n;
	} else if (opt_i64(j, years_key, &n)) {
		if (n < 1 || n > 3)
			return bad_validity(rp, prefix, years_key, "Must be 1 to 3.");
		*ret_days = n * 365;
	}
	return 0;
}

static int parse_cert_validity(const struct json *cert, int64_t now, struct order_wish *w, struct reply *rp)
{
	const struct json *val = json_get(cert, "cert_validity");
	const char *prefix = "certificate.cert_validity.";
	if (val && (fields_check(val, prefix, validity_fields, ARRAY_SIZE(validity_fields), rp) < 0 ||
		    read_validity(val, prefix, "", now, &w->certificate_days, NULL, rp) < 0))
		return -1;
	if (w->certificate_days > w->order_days)
		return reply_error(rp, 400, "cert_validity_exceeds_order_validity",
				   "The certificate cannot outlive the order.");
	return 0;
}

static int parse_validity(const struct json *body, int64_t now, struct order_wish *w, struct reply *rp)
{
	const struct json *order = json_get(body, "order_validity");
	if (order &&
	    (fields_check(order, "order_validity.", validity_fields, ARRAY_SIZE(validity_fields), rp) < 0 ||
	     read_validity(order, "order_validity.", "", now, &w->order_days, &w->order_until, rp) < 0))
		return -1;
	if (!order && read_validity(body, "", "validity_", now, &w->order_days, &w->order_until, rp) < 0)
		return -1;
	if (w->order_days == 0)
		return reply_error(rp, 400, "missing_field|order_validity",
				   "Say how long the order is valid.");
	return parse_cert_validity(json_get(body, "certificate"), now, w, rp);
}

int order_method_parse(const char *word, enum dcv_method *ret, struct reply *rp)
{
	int method = find_word(word, dcv_words, ARRAY_SIZE(dcv_words));
	if (method < 0)
		return reply_error(rp, 400, "invalid_field|dcv_method",
				   "Must be email, dns-txt-token, dns-cname-token or http-token.");
	*ret = (enum dcv_method)method;
	return 0;
}

int order_check_method(enum dcv_method method, char *const *names, size_t n, struct reply *rp)
{
	for (size_t i = 0; method == DCV_HTTP && i < n; i++)
		if (name_is_wildcard(names[i]))
			return reply_error(rp, 400, "invalid_field|dcv_method",
					   "'%s': wildcard names cannot use http-token.", names[i]);
	return 0;
}

static int bad_email(struct reply *rp, const char *name, const char *message)
{
	_cleanup_free_ char *code = xasprintf("invalid_field|dcv_emails.%s", name);
	return reply_error(rp, 400, code, "%s", message);
}

/* Where the mail for one name goes: a name of the order, itself or a domain above it, an address. */
static int parse_email(const struct json *j, const struct order_wish *w, struct reply *rp)
{
	if (json_type(j) != JSON_OBJECT)
		return reply_error(rp, 400, "invalid_field|dcv_emails", "Must be objects.");
	if (fields_check(j, "dcv_emails.", email_fields, ARRAY_SIZE(email_fields), rp) < 0)
		return -1;
	_cleanup_free_ char *name = name_lower(opt_str(j, "dns_name"));
	_cleanup_free_ char *domain = name_lower(opt_str(j, "email_domain"));
	bool found = false;
	for (size_t i = 0; i < w->n_names; i++)
		found = found || !strcmp(w->names[i], name) ||
			(name_is_wildcard(w->names[i]) && !strcmp(w->names[i] + 2, name));
	if (!found)
		return bad_email(rp, "dns_name", "Not a name of the order.");
	_cleanup_free_ char *tail = xasprintf(".%s", domain);
	if (!name_is_good(domain, false) || (strcmp(name, domain) != 0 && !str_has_suffix(name, tail)))
		return bad_email(rp, "email_domain", "Must be the name, or a domain above it.");
	const char *email = opt_str(j, "email"), *at = strchr(email, '@');
	if (!at || at == email || !name_is_good(at + 1, false))
		return bad_email(rp, "email", "Not an address.");
	return 0;
}

static char *json_text(const struct json *j)
{
	struct strbuf sb = STRBUF_INIT(SIZE_MAX);
	json_write(j, 0, &sb);
	return strbuf_take(&sb);
}

static int parse_dcv(const struct json *body, struct order_wish *w, struct reply *rp)
{
	const char *word = opt_str(body, "dcv_method");
	const struct json *emails = json_get(body, "dcv_emails");
	if (word && order_method_parse(word, &w->dcv_method, rp) < 0)
		return -1;
	if (w->dcv_method != DCV_EMAIL && emails)
		return reply_error(rp, 400, "invalid_field|dcv_emails", "Only with dcv_method email.");
	for (size_t i = 0; i < json_arr_len(emails); i++)
		if (parse_email(json_arr_at(emails, i), w, rp) < 0)
			return -1;
	w->dcv_emails = emails ? json_text(emails) : NULL;
	return order_check_method(w->dcv_method, w->names, w->n_names, rp);
}

static void read_auth_key(const struct json *body, struct order_wish *w)
{
	w->auth_key_id = xstrdup_opt(opt_str(body, "auth_key_id"));
	w->use_auth_key_said = json_get_bool(body, "use_auth_key", &w->use_auth_key) == 1;
}

static int parse_rest(const struct json *body, struct order_wish *w, struct reply *rp)
{
	static const char *const payments[] = { "balance", "card", "profile" };
	const char *payment = opt_str(body, "payment_method");
	if (payment && find_word(payment, payments, ARRAY_SIZE(payments)) < 0)
		return reply_error(rp, 400, "invalid_field|payment_method",
				   "Must be balance, card or profile.");
	const char *reference = opt_str(body, "alternative_order_id");
	if (reference && (!*reference || strlen(reference) > REFERENCE_MAX))
		return reply_error(rp, 400, "invalid_field|alternative_order_id",
				   "Must be 1 to %d characters.", REFERENCE_MAX);
	bool ct_off = false;
	if (json_get_bool(body, "disable_ct", &ct_off) == 1 && ct_off)
		return reply_error(rp, 400, "cert_transparency_turned_off_for_account",
				   "The account may not choose about certificate transparency.");
	const struct json *container = json_get(body, "container");
	if (container && fields_check(container, "container.", id_fields, ARRAY_SIZE(id_fields), rp) < 0)
		return -1;
	(void)opt_i64(body, "renewal_of_order_id", &w->renewal_of);
	read_auth_key(body, w);
	w->payment_method = xstrdup_opt(payment);
	w->alternative_order_id = xstrdup_opt(reference);
	(void)!json_get_bool(body, "skip_approval", &w->skip_approval);
	(void)!json_get_bool(body, "disable_renewal_notifications", &w->renewal_notices_off);
	return 0;
}

int order_wish_parse(const struct json *body, const char *product, int64_t now, struct order_wish *w,
		     struct reply *rp)
{
	if (fields_check(body, "", top_fields, ARRAY_SIZE(top_fields), rp) < 0 ||
	    parse_certificate(json_get(body, "certificate"), certificate_fields,
			      ARRAY_SIZE(certificate_fields), product, w, rp) < 0 ||
	    parse_validity(body, now, w, rp) < 0 || parse_dcv(body, w, rp) < 0)
		return -1;
	return parse_rest(body, w, rp);
}

int order_wish_parse_change(const struct json *body, const struct order *o, bool duplicate, int64_t now,
			    struct order_wish *w, struct reply *rp)
{
	const struct json *cert = json_get(body, "certificate");
	size_t n = ARRAY_SIZE(change_certificate_fields) - (duplicate ? 1 : 0);
	w->order_days = o->order_days;
	if (fields_check(body, "", change_fields, ARRAY_SIZE(change_fields) - (duplicate ? 2 : 0), rp) < 0 ||
	    parse_certificate(cert, change_certificate_fields, n, o->product, w, rp) < 0 ||
	    parse_cert_validity(cert, now, w, rp) < 0 ||
	    order_check_method(o->dcv_method, w->names, w->n_names, rp) < 0)
		return -1;
	w->comments = xstrdup_opt(opt_str(body, "comments"));
	(void)!json_get_bool(body, "skip_approval", &w->skip_approval);
	read_auth_key(body, w);
	return 0;
}

void order_wish_done(struct order_wish *w)
{
	for (size_t i = 0; i < w->n_names; i++)
		free(w->names[i]);
	free(w->names);
	csr_free(w->csr);
	free(w->alternative_order_id);
	free(w->payment_method);
	free(w->dcv_emails);
	free(w->comments);
	free(w->auth_key_id);
	*w = (struct order_wish){ 0 };
}
