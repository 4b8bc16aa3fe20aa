/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers to fault classes: one table for the codes of the pages "Errors", "Order DV SSL", "DV SSL:
 * check DCV" and "Status change list", one switch for statuses without a known code. Codes come with tails
 * ("not_found|order", "caa_check_failed|<any text>"), `errors` as an array or one object, messages may be
 * missing, and a page of a proxy may come instead. Does not decide what to do about a fault: that is core's. */
#include "daemon/certcentral/internal.h"

#include <ctype.h>
#include <strings.h>

#include "common/str.h"

#define EP(ep)	   (1u << (ep))
#define EP_ALL	   (EP(CC_ENDPOINT_NR) - 1)
#define EP_POST	   (EP(CC_ORDER) | EP(CC_REISSUE) | EP(CC_DUPLICATE))
#define EP_ACCOUNT (EP(CC_AUTH_KEYS) | EP(CC_AUTH_KEY) | EP(CC_AUTH_KEY_CREATE))
#define EP_ADMIN   (EP(CC_REVOKE) | EP(CC_APPROVE))
/* No id in the path that could be the one that is not found. */
#define EP_NO_ID (EP(CC_ORDER) | EP(CC_CHANGES) | EP(CC_AUTH_KEY_CREATE))
#define EP_BY_ID (EP_ALL & ~(EP_NO_ID | EP(CC_FIND)))

#define HINT_URL "check certcentral.url"
#define HINT_KEY "the API key is not accepted or lacks a right: check certcentral.api_key_file and reload"
#define HINT_ACCOUNT                                                                                         \
	"AuthKeys belong to the account: use an API key that is not limited to orders, or give the AuthKey " \
	"itself in certcentral.auth_key_file"
#define HINT_ADMIN    "use the API key of an administrator, or do it in the CertCentral console"
#define HINT_AUTH_KEY "the AuthKey is unknown, inactive or expired: check certcentral.auth_key_id"
#define HINT_METHOD   "the order has another DCV method"

struct row {
	const char *code; /* with its tail where the tail matters */
	unsigned endpoints;
	enum fault fault; /* NONE: an answer, not a problem ("not yet", "no such order") */
	const char *hint;
};

/* A full code is looked for first, then the part before the '|'. Of several rows that fit the first counts. */
static const struct row rows[] = {
	/* any endpoint */
	{ "request_limit_exceeded", EP_ALL, FAULT_THROTTLED, NULL },
	{ "bad_request_format", EP_ALL, FAULT_REFUSED, "the request was malformed: please report this" },
	{ "access_denied|invalid_api_key", EP_ALL, FAULT_AUTH, HINT_KEY },
	/* About this one request, not about the key: usually the requester may not approve. */
	{ "access_denied|invalid_approver", EP_ALL, FAULT_REFUSED,
	  "the API key's user may not approve this request: another one has to, in the CertCentral console" },
	{ "access_denied", EP_ACCOUNT, FAULT_AUTH, HINT_ACCOUNT },
	{ "access_denied", EP_ADMIN, FAULT_AUTH, HINT_ADMIN },
	{ "access_denied", EP_ALL, FAULT_AUTH, HINT_KEY },
	{ "unauthorized", EP_ALL, FAULT_AUTH, HINT_KEY },
	{ "invalid_api_key", EP_ALL, FAULT_AUTH, "this is DigiCert ONE's answer: " HINT_URL " and the key" },
	{ "not_found|route", EP_ALL, FAULT_CONFIG, HINT_URL },
	{ "not_found|product", EP_ALL, FAULT_CONFIG, "check the product, and that the account may order it" },
	{ "not_found|auth_key", EP_POST, FAULT_CONFIG, HINT_AUTH_KEY },
	{ "not_found|auth_key", EP_ACCOUNT, FAULT_NOT_FOUND,
	  "check certcentral.auth_key_id, or create one: dvcertctl auth-key create" },
	/* A bare not_found is a wrong address, but where an id is in the path it may as well be the id. */
	{ "not_found", EP_NO_ID, FAULT_CONFIG, HINT_URL },
	{ "not_found", EP(CC_FIND), FAULT_NONE, NULL },
	{ "not_found", EP_BY_ID, FAULT_NOT_FOUND, NULL },
	/* order, reissue, duplicate */
	{ "auth_key_not_setup", EP_ALL, FAULT_CONFIG,
	  "the account has no AuthKey: create one (dvcertctl auth-key create), or turn "
	  "certcentral.instant_issuance off if the product allows it" },
	{ "invalid_field|auth_key_id", EP_ALL, FAULT_CONFIG, HINT_AUTH_KEY },
	{ "invalid_field|renewal_of_order_id", EP_ALL, FAULT_REFUSED,
	  "the order to be renewed is not one of this account's" },
	{ "ambiguous_product", EP_ALL, FAULT_CONFIG, "name the product exactly" },
	{ "cert_validity_exceeds_order_validity", EP_ALL, FAULT_CONFIG,
	  "lower certcentral.max_cert_days or raise certcentral.order_years" },
	{ "cert_transparency_turned_off_for_account", EP_ALL, FAULT_CONFIG,
	  "the account may not choose about certificate transparency" },
	{ "csr_invalid_cannot_parse", EP_ALL, FAULT_REFUSED,
	  "the CSR was not understood: please report this" },
	{ "invalid_dns_name_on_duplicate", EP_ALL, FAULT_REFUSED,
	  "a duplicate has the names of the certificate: reissue it for other names" },
	{ "invalid_order_status", EP_ALL, FAULT_REFUSED,
	  "the order is in a state that does not allow this: look at it in the CertCentral console" },
	/* Nothing was made, and what is wrong is in DNS, where it passes by itself or by a person's hand: so it is the class
	 * that repeats, ever more slowly. REFUSED would leave the domain to be released by hand after one glitch of a name
	 * server; UNCLEAR would look for an order that the CA surely did not make and count each try as paid. */
	{ "caa_check_failed", EP_ALL, FAULT_UNSENT, "allow digicert.com in the CAA records" },
	{ "caa_not_found", EP_ALL, FAULT_UNSENT,
	  "the CAA records could not be read: check the name servers, from outside" },
	/* check-dcv; the last ones are the CA's own library's names for "not proven now" */
	{ "invalid_dns_txt", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "file_random_value_not_found", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_record_not_found", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_timeout", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_dnssec_failure", EP(CC_CHECK), FAULT_NONE, "the DNSSEC chain is broken" },
	{ "mpic_corroboration_error", EP(CC_CHECK), FAULT_NONE,
	  "not all of the CA's vantage points see the value: open port 80, or all name servers, to the "
	  "world" },
	{ "random_value_expired", EP(CC_CHECK), FAULT_NONE, "the value must be fetched anew" },
	{ "invalid_dns_method", EP_ALL, FAULT_REFUSED, HINT_METHOD },
	/* status-changes */
	{ "time_frame_too_long", EP(CC_CHANGES), FAULT_REFUSED, NULL },
	/* requests */
	{ "invalid_request_status", EP_ALL, FAULT_REFUSED, "the request has been settled already" },
	/* AuthKeys */
	{ "auth_key_exists_for_account", EP_ALL, FAULT_REFUSED,
	  "the account has an AuthKey that never expires already: dvcertctl auth-key show" },
	{ "multiple_auth_keys", EP_ALL, FAULT_CONFIG,
	  "the account has several AuthKeys: set certcentral.auth_key_id" },
};

/* What an error document says. code and message are borrowed from the document; NULL when absent. */
struct said {
	const char *code;
	const char *message;
	const struct row *row;
	size_t n_more;
};

static bool row_fits(const struct row *row, enum cc_endpoint ep, const char *code, size_t len)
{
	return (row->endpoints & EP(ep)) && strlen(row->code) == len &&
	       strncasecmp(row->code, code, len) == 0;
}

static const struct row *find_row(enum cc_endpoint ep, const char *code)
{
	if (!code)
		return NULL;

	size_t full_len = strlen(code);
	size_t base_len = strcspn(code, "|");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (row_fits(&rows[i], ep, code, full_len))
			return &rows[i];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (row_fits(&rows[i], ep, code, base_len))
			return &rows[i];
	return NULL;
}

/* Text of one key when it is there and is text; other types tell us nothing. */
static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s && *s ? s : NULL;
}

static void hear_item(enum cc_endpoint ep, const struct json *item, struct said *said)
{
	const char *code = json_type(item) == JSON_OBJECT ? text_of(item, "code") : NULL;
	const char *message = json_type(item) == JSON_OBJECT ? text_of(item, "message") : json_str(item);
	const struct row *row = find_row(ep, code);

	if (!code && !message)
		return;
	/* The first item speaks, unless a later one is the first that we know. */
	if (said->code || said->message)
		said->n_more++;
	if ((!said->code && !said->message) || (row && !said->row)) {
		said->code = code;
		said->message = message;
		said->row = row;
	}
}

static void hear(enum cc_endpoint ep, const struct json *j, struct said *said)
{
	const struct json *errors = json_get(j, "errors");

	if (json_type(errors) == JSON_ARRAY)
		for (size_t i = 0; i < json_arr_len(errors); i++)
			hear_item(ep, json_arr_at(errors, i), said);
	else if (errors)
		hear_item(ep, errors, said);
	if (said->code || said->message)
		return;
	hear_item(ep, j, said); /* {"code": .., "message": ..} at the top */
	if (!said->code && !said->message)
		said->message = text_of(j, "error");
}

/* A code that is safe and short enough to be shown as one; anything else is text and belongs to the message. */
static size_t plain_code_len(const char *code)
{
	size_t n = 0;

	while (code[n] && (isalnum((unsigned char)code[n]) || strchr("_-.|", code[n])))
		n++;
	if (code[n])
		n = MIN(n, strcspn(code, "|"));
	return n < OUTCOME_CODE_MAX ? n : 0;
}

static void code_to_show(const struct said *said, int http_status, char *out, size_t out_len)
{
	size_t n = said->code ? plain_code_len(said->code) : 0;

	if (n > 0)
		(void)snprintf(out, out_len, "%.*s", (int)n, said->code);
	else
		(void)snprintf(out, out_len, "http_%d", http_status);
}

/* The sentence for people, from whatever the answer has; its raw body only where it cannot hold a secret. */
static void message_to_show(enum cc_endpoint ep, const struct said *said, const struct http_result *http,
			    char *out, size_t out_len)
{
	char text[CC_TEXT_MAX + 1];
	char code[CC_TEXT_MAX + 1] = "";

	if (said->code && said->code[plain_code_len(said->code)])
		(void)str_escape(said->code, strlen(said->code), code, sizeof(code));
	if (said->message || said->code) {
		const char *m = said->message ? said->message : said->code;

		(void)str_escape(m, strlen(m), text, sizeof(text));
		(void)snprintf(out, out_len, "%s%s%s", code, *code ? ": " : "", text);
		if (said->n_more > 0) {
			size_t len = strlen(out);

			(void)snprintf(out + len, out_len - len, " (and %zu more)", said->n_more);
		}
	} else if (http->body_len == 0) {
		(void)snprintf(out, out_len, "empty body");
	} else if (cc_endpoint_is_secret(ep)) {
		(void)snprintf(out, out_len, "no error document");
	} else {
		char start[81];

		(void)str_escape(http->body, http->body_len, start, sizeof(start));
		(void)snprintf(out, out_len, "no error document but \"%s\"", start);
	}
}

static bool has_any(const char *s, const char *const *needles, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s && strcasestr(s, needles[i]))
			return true;
	return false;
}

/* "alternative order id repeated" and its relatives. The exact words are not documented, and a wrong guess is
 * harmless: DUPLICATE only makes the core look the order up. */
static bool says_duplicate(const struct said *said, int status)
{
	static const char *const about[] = { "alternative order id", "alternative_order_id",
					     "alternate order id", "alternate_order_id" };
	static const char *const again[] = {
		"repeat", "duplicat", "already", "exists", "in use", "not unique"
	};
	bool is_about = has_any(said->code, about, ARRAY_SIZE(about)) ||
			has_any(said->message, about, ARRAY_SIZE(about));
	bool is_again = has_any(said->code, again, ARRAY_SIZE(again)) ||
			has_any(said->message, again, ARRAY_SIZE(again));

	return is_again && (is_about || status == 409);
}

/* A page (of a proxy, a load balancer, a maintenance server) instead of JSON proves nothing about our order. */
static bool looks_like_page(const struct http_result *http)
{
	size_t i = 0;

	while (i < http->body_len && isspace((unsigned char)http->body[i]))
		i++;
	return i < http->body_len && http->body[i] != '{' && http->body[i] != '[';
}

static enum fault fault_of_404(enum cc_endpoint ep, const struct http_result *http)
{
	if (EP(ep) & EP_NO_ID)
		return FAULT_CONFIG;
	if (looks_like_page(http))
		return FAULT_UNCLEAR;
	return ep == CC_FIND ? FAULT_NONE : FAULT_NOT_FOUND;
}

/* "AuthKey inactive, expired, absent" is an error of the order, but its name is not documented. */
static bool is_about_auth_key(enum cc_endpoint ep, const struct said *said)
{
	return (EP(ep) & EP_POST) && said->code && strcasestr(said->code, "auth_key");
}

static enum fault fault_of_status(enum cc_endpoint ep, const struct http_result *http)
{
	switch (http->status) {
	case 401:
	case 403: return FAULT_AUTH;
	case 404: return fault_of_404(ep, http);
	case 407: return FAULT_CONFIG;
	case 408: /* the server gave up waiting; what it got before is unknown */
	case 409:
	case 425: return FAULT_UNCLEAR;
	case 429: return FAULT_THROTTLED;
	default: return ep == CC_DOWNLOAD ? FAULT_NOT_FOUND : FAULT_REFUSED;
	}
}

/* What a code that is in no row says all the same. NONE: nothing. */
static enum fault fault_of_words(enum cc_endpoint ep, int status, const struct said *said)
{
	bool is_refusal = status == 400 || status == 404 || status == 422;

	if (ep == CC_ORDER && (status == 400 || status == 409 || status == 422) &&
	    says_duplicate(said, status))
		return FAULT_DUPLICATE;
	return is_refusal && is_about_auth_key(ep, said) ? FAULT_CONFIG : FAULT_NONE;
}

static enum fault decide(enum cc_endpoint ep, const struct http_result *http, const struct said *said)
{
	enum fault fault = FAULT_NONE;

	if (http->status < 400 || http->status >= 500)
		return FAULT_UNCLEAR;
	if (http->status == 401 || http->status == 429)
		return fault_of_status(ep, http);
	if (said->row) {
		/* "No such order" decides about money: only the status that means it may say so. */
		if (ep == CC_FIND && said->row->fault == FAULT_NONE && http->status != 404)
			return FAULT_UNCLEAR;
		return said->row->fault;
	}
	fault = fault_of_words(ep, http->status, said);
	return fault != FAULT_NONE ? fault : fault_of_status(ep, http);
}

static const char *hint_of_auth(enum cc_endpoint ep, int status)
{
	if (status != 403)
		return HINT_KEY;
	if (EP(ep) & EP_ACCOUNT)
		return HINT_ACCOUNT;
	return EP(ep) & EP_ADMIN ? HINT_ADMIN : HINT_KEY;
}

static const char *hint_of_config(enum cc_endpoint ep, int status, const struct said *said)
{
	if (status == 407)
		return "the proxy wants a password";
	return is_about_auth_key(ep, said) ? HINT_AUTH_KEY : HINT_URL;
}

static const char *hint_for(enum cc_endpoint ep, enum fault fault, const struct said *said,
			    const struct http_result *http)
{
	if (said->row && said->row->fault == fault)
		return said->row->hint;
	if (fault == FAULT_AUTH)
		return hint_of_auth(ep, http->status);
	if (fault == FAULT_CONFIG)
		return hint_of_config(ep, http->status, said);
	if (http->status >= 300 && http->status < 400)
		return "redirects are never followed: " HINT_URL;
	return NULL;
}

void cc_problem(enum cc_endpoint ep, const struct http_result *http, int64_t now, struct outcome *ret)
{
	if (http->outcome.fault != FAULT_NONE) {
		*ret = http->outcome;
		return;
	}

	_cleanup_(json_freep) struct json *j = NULL;
	struct said said = { 0 };
	char code[OUTCOME_CODE_MAX];
	char text[OUTCOME_MESSAGE_MAX];

	if (json_parse(http->body, http->body_len, CC_BODY_MAX, &j, NULL) == 0)
		hear(ep, j, &said);

	enum fault fault = decide(ep, http, &said);
	const char *hint = hint_for(ep, fault, &said, http);

	code_to_show(&said, http->status, code, sizeof(code));
	message_to_show(ep, &said, http, text, sizeof(text));
	if (ep == CC_FIND && fault == FAULT_NONE)
		*ret = (struct outcome)OUTCOME_OK;
	else
		(void)outcome_set(ret, fault, code, "CertCentral answered %d: %s%s%s", http->status, text,
				  hint ? "; " : "", hint ? hint : "");
	ret->http_status = http->status;
	ret->retry_after = http_retry_after(http->retry_after, now);
	if (cc_endpoint_is_secret(ep))
		json_wipe(j);
}

bool cc_problem_in_success(const struct json *j, int http_status, struct outcome *ret)
{
	struct said said = { 0 };
	char code[OUTCOME_CODE_MAX];
	char text[OUTCOME_MESSAGE_MAX];
	const struct http_result http = { .status = http_status, .body = "" };

	if (!json_get(j, "errors"))
		return false;
	hear(CC_ORDER, j, &said);
	code_to_show(&said, http_status, code, sizeof(code));
	message_to_show(CC_ORDER, &said, &http, text, sizeof(text));
	(void)outcome_set(ret, FAULT_UNCLEAR, code, "CertCentral answered %d with an error: %s", http_status,
			  text);
	return true;
}
