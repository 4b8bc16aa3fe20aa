/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers to fault classes: one table for the codes of the pages "Errors", "Order DV SSL", "DV SSL:
 * check DCV" and "Status change list", one switch for statuses without a known code. Codes come with tails
 * ("not_found|order", "caa_check_failed|<any text>"), `errors` as an array or one object, messages may be
 * missing, and a page of a proxy may come instead. Does not decide what to do about a fault: that is core's. */
#include "daemon/certcentral/internal.h"

#include <ctype.h>
#include <strings.h>

#include "common/str.h"

#define EP(ep)	 (1u << (ep))
#define EP_ALL	 0xffu
#define EP_BY_ID (EP(CC_INFO) | EP(CC_TOKEN) | EP(CC_CHECK) | EP(CC_DOWNLOAD))

#define HINT_URL "check certcentral.url"
#define HINT_KEY "the API key is not accepted or lacks a right: check certcentral.api_key_file and reload"

struct row {
	const char *code; /* with its tail where the tail matters */
	unsigned endpoints;
	enum fault fault; /* NONE: an answer, not a problem ("not yet", "no such order") */
	const char *hint;
};

/* A full code is looked for first, then the part before the '|'. */
static const struct row rows[] = {
	/* any endpoint */
	{ "request_limit_exceeded", EP_ALL, FAULT_THROTTLED, NULL },
	{ "bad_request_format", EP_ALL, FAULT_REFUSED, "the request was malformed: please report this" },
	{ "access_denied", EP_ALL, FAULT_AUTH, HINT_KEY },
	{ "unauthorized", EP_ALL, FAULT_AUTH, HINT_KEY },
	{ "invalid_api_key", EP_ALL, FAULT_AUTH, "this is DigiCert ONE's answer: " HINT_URL " and the key" },
	{ "not_found|route", EP_ALL, FAULT_CONFIG, HINT_URL },
	{ "not_found|product", EP_ALL, FAULT_CONFIG, "check the product, and that the account may order it" },
	/* A bare not_found is a wrong address, but where an id is in the path it may as well be the id. */
	{ "not_found", EP(CC_ORDER) | EP(CC_CHANGES), FAULT_CONFIG, HINT_URL },
	{ "not_found", EP(CC_FIND), FAULT_NONE, NULL },
	{ "not_found", EP_BY_ID, FAULT_NOT_FOUND, NULL },
	/* order */
	{ "auth_key_not_setup", EP_ALL, FAULT_CONFIG, "this product needs an AuthKey in the account" },
	{ "ambiguous_product", EP_ALL, FAULT_CONFIG, "name the product exactly" },
	{ "cert_validity_exceeds_order_validity", EP_ALL, FAULT_CONFIG,
	  "lower certcentral.max_cert_days or raise certcentral.order_years" },
	{ "cert_transparency_turned_off_for_account", EP_ALL, FAULT_CONFIG, NULL },
	{ "csr_invalid_cannot_parse", EP_ALL, FAULT_REFUSED, NULL },
	{ "caa_check_failed", EP_ALL, FAULT_REFUSED, "allow digicert.com in the CAA records" },
	/* The records could not be read: DNS may be at fault, so it may pass by itself. */
	{ "caa_not_found", EP_ALL, FAULT_UNCLEAR, "the CAA records could not be read" },
	/* check-dcv; the last ones are the CA's own library's names for "not proven now" */
	{ "invalid_dns_txt", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "file_random_value_not_found", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_record_not_found", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_timeout", EP(CC_CHECK), FAULT_NONE, NULL },
	{ "dns_lookup_dnssec_failure", EP(CC_CHECK), FAULT_NONE, "the DNSSEC chain is broken" },
	{ "mpic_corroboration_error", EP(CC_CHECK), FAULT_NONE,
	  "not all of the CA's vantage points see the value: open port 80 to the world" },
	{ "random_value_expired", EP(CC_CHECK), FAULT_NONE, "the value must be fetched anew" },
	{ "invalid_dns_method", EP(CC_CHECK), FAULT_REFUSED, "the order has another DCV method" },
	/* status-changes */
	{ "time_frame_too_long", EP(CC_CHANGES), FAULT_REFUSED, NULL },
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

/* The sentence for people, from whatever the answer has. */
static void message_to_show(const struct said *said, const struct http_result *http, char *out,
			    size_t out_len)
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
	switch (ep) {
	case CC_ORDER:
	case CC_CHANGES: return FAULT_CONFIG;
	case CC_FIND: return looks_like_page(http) ? FAULT_UNCLEAR : FAULT_NONE;
	case CC_INFO:
	case CC_TOKEN:
	case CC_CHECK:
	case CC_DOWNLOAD: return looks_like_page(http) ? FAULT_UNCLEAR : FAULT_NOT_FOUND;
	}
	return FAULT_UNCLEAR;
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

static enum fault decide(enum cc_endpoint ep, const struct http_result *http, const struct said *said)
{
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
	if (ep == CC_ORDER && (http->status == 400 || http->status == 409 || http->status == 422) &&
	    says_duplicate(said, http->status))
		return FAULT_DUPLICATE;
	return fault_of_status(ep, http);
}

static const char *hint_for(enum fault fault, const struct said *said, const struct http_result *http)
{
	if (said->row && said->row->fault == fault)
		return said->row->hint;
	if (fault == FAULT_AUTH)
		return HINT_KEY;
	if (fault == FAULT_CONFIG)
		return http->status == 407 ? "the proxy wants a password" : HINT_URL;
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
	const char *hint = hint_for(fault, &said, http);

	code_to_show(&said, http->status, code, sizeof(code));
	message_to_show(&said, http, text, sizeof(text));
	if (ep == CC_FIND && fault == FAULT_NONE)
		*ret = (struct outcome)OUTCOME_OK;
	else
		(void)outcome_set(ret, fault, code, "CertCentral answered %d: %s%s%s", http->status, text,
				  hint ? "; " : "", hint ? hint : "");
	ret->http_status = http->status;
	ret->retry_after = http_retry_after(http->retry_after, now);
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
	message_to_show(&said, &http, text, sizeof(text));
	(void)outcome_set(ret, FAULT_UNCLEAR, code, "CertCentral answered %d with an error: %s", http_status,
			  text);
	return true;
}
