/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about proofs: the random value, the change of a method, and both generations of check-dcv. */
#include "daemon/certcentral/internal.h"

#include <strings.h>

#include "common/str.h"

#define NAMES_LEN_MAX 1024

/* --- random value --- */

struct token_fields {
	char *token;
	char *expires;
};

static const struct json_field token_fields[] = {
	{ "dcv_random_value", JSON_WANT_STR, offsetof(struct token_fields, token), 0 },
	{ "expiration_date", JSON_WANT_STR, offsetof(struct token_fields, expires), 0 },
};

/* The change of a method answers without a value when the new one has none. */
void cc_decode_token(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	struct token_fields f = { 0 };
	bool ok = cc_pick(d, j, "", token_fields, ARRAY_SIZE(token_fields), &f);
	_cleanup_free_ char *token = f.token;
	_cleanup_free_ char *expires = f.expires;

	if (!ok)
		return;
	if (!token && ep != CC_METHOD) {
		cc_unclear(d, "bad_answer", "dcv_random_value: missing");
		return;
	}
	/* Asking again gives the same value, so a bad one is final. */
	if (token && !cc_take_token(d, FAULT_REFUSED, "dcv_random_value", token))
		return;
	d->reply.dcv_token_expires_at = cc_day_or_time(expires);
}

/* --- check-dcv --- */

struct check_fields {
	char *order_status;
	int64_t certificate_id;
	char *dcv_status;
	const struct json *names;
	const struct json *names_alt;
};

/* The page spells the list in two ways. */
static const struct json_field check_fields[] = {
	{ "order_status", JSON_WANT_STR, offsetof(struct check_fields, order_status), 0 },
	{ "certificate_id", JSON_WANT_I64, offsetof(struct check_fields, certificate_id), 0 },
	{ "dcv_status", JSON_WANT_STR, offsetof(struct check_fields, dcv_status), 0 },
	{ "dns_name_validations", JSON_WANT_ARR, offsetof(struct check_fields, names), 0 },
	{ "dns_names_validations", JSON_WANT_ARR, offsetof(struct check_fields, names_alt), 0 },
};

static bool word_means_proven(const char *word)
{
	return word && (strcasecmp(word, "approved") == 0 || strcasecmp(word, "valid") == 0);
}

/* Adds the names that are not proven to sb; false when the list is not what it should be. */
static bool names_not_proven(struct cc_decoded *d, const struct json *names, size_t *ret_n, struct strbuf *sb)
{
	size_t bad = 0;

	for (size_t i = 0; i < json_arr_len(names); i++) {
		const struct json *item = json_arr_at(names, i);
		const char *name = "?";
		const char *status = NULL;
		char shown[CC_TEXT_MAX + 1];
		char why[80];

		if (json_type(item) != JSON_OBJECT || json_get_str(item, "dns_name", &name) < 0 ||
		    json_get_str(item, "status", &status) < 0) {
			(void)snprintf(why, sizeof(why), "dns_name_validations[%zu]: wrong type", i);
			cc_unclear(d, "bad_answer", why);
			return false;
		}
		if (word_means_proven(status))
			continue;
		bad++;
		strbuf_addf(sb, "%s%s", bad > 1 ? " " : "",
			    str_escape(name, strlen(name), shown, sizeof(shown)));
	}
	*ret_n = bad;
	return true;
}

void cc_decode_check(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	struct check_fields f = { 0 };
	bool ok = cc_pick(d, j, "", check_fields, ARRAY_SIZE(check_fields), &f);
	_cleanup_free_ char *order_status = f.order_status;
	_cleanup_free_ char *dcv_status = f.dcv_status;
	const struct json *names = f.names ? f.names : f.names_alt;
	struct strbuf sb = STRBUF_INIT(NAMES_LEN_MAX);
	size_t bad = 0;

	if (!ok || !cc_id_is_sane(d, "certificate_id", f.certificate_id, 0) ||
	    !names_not_proven(d, names, &bad, &sb)) {
		strbuf_done(&sb);
		return;
	}
	d->reply.certificate_id = f.certificate_id;
	cc_take_status(d, order_status);
	/* A 200 alone proves nothing; an issued order proves all; else the newer list wins over the old word. */
	if (d->reply.status == CC_STATUS_ISSUED)
		d->reply.validated = true;
	else if (json_arr_len(names) > 0)
		d->reply.validated = bad == 0;
	else
		d->reply.validated = dcv_status && strcasecmp(dcv_status, "valid") == 0;
	if (!d->reply.validated)
		d->reply.not_validated = d->not_validated = strbuf_take(&sb);
	strbuf_done(&sb);
}
