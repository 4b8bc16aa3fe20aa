/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to replies. Only what is needed is picked, so that quirks elsewhere ("is_multi_year_plan": "1")
 * cannot hurt; a needed field of another type makes the answer UNCLEAR and is named. Text of the CA is
 * checked or escaped here, at the border: behind it a token may become a file's content and a word a log line.
 * Does not check certificates (pki/chain) and does not compare ids (the runner knows what it asked for). */
#include "daemon/certcentral/internal.h"

#include <strings.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "daemon/core/token.h"

#define CSR_LEN_MAX   (16UL * 1024)
#define NAMES_LEN_MAX 1024
#define PEM_BEGIN     "-----BEGIN CERTIFICATE-----"

void cc_decoded_free(struct cc_decoded *d)
{
	if (!d)
		return;
	free(d->status_word);
	free(d->dcv_token);
	free(d->not_validated);
	free(d->common_name);
	free(d->csr);
	free(d->pem);
	free(d->entries);
	free(d);
}

static void unclear(struct cc_decoded *d, const char *code, const char *why)
{
	(void)outcome_set(&d->reply.outcome, FAULT_UNCLEAR, code,
			  "CertCentral's answer %d is not understood: %s", d->reply.outcome.http_status, why);
}

/* --- text at the border --- */

static char *one_line(const char *s, size_t max)
{
	char buf[CC_TEXT_MAX + 1];

	return xstrdup(str_escape(s, strlen(s), buf, MIN(max + 1, sizeof(buf))));
}

static void take_status(struct cc_decoded *d, const char *word)
{
	if (!word)
		return;
	d->reply.status = cc_status_parse(word);
	free(d->status_word);
	d->reply.status_word = d->status_word = one_line(word, CC_WORD_MAX);
}

static bool take_token(struct cc_decoded *d, enum fault otherwise, const char *path, const char *token)
{
	char start[65];

	if (token_is_sane(token)) {
		d->reply.dcv_token = d->dcv_token = xstrdup(token);
		return true;
	}
	(void)outcome_set(&d->reply.outcome, otherwise, "bad_dcv_token",
			  "%s from CertCentral is not made of 1 to %d letters, digits, '_' and '-': \"%s\"",
			  path, TOKEN_LEN_MAX, str_escape(token, strlen(token), start, sizeof(start)));
	return false;
}

/* A CSR is only compared with ours; one that is not plain PEM text cannot be equal. */
static char *sane_csr(const char *s)
{
	for (size_t n = 0; s[n]; n++)
		if (n >= CSR_LEN_MAX || (s[n] != '\r' && s[n] != '\n' && (s[n] < 0x20 || s[n] > 0x7e)))
			return NULL;
	return xstrdup(s);
}

/* PEM comes with CRLF inside JSON and sometimes outside. */
static void add_lf(struct strbuf *sb, const char *s, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i < len; i++)
		if (s[i] == '\r') {
			strbuf_add(sb, s + start, i - start);
			start = i + 1;
		}
	strbuf_add(sb, s + start, len - start);
}

/* --- picking --- */

static bool pick(struct cc_decoded *d, const struct json *j, const char *path,
		 const struct json_field *fields, size_t n, void *target)
{
	struct err err = ERR_INIT;

	if (json_pick(j, path, fields, n, 0, target, &err) == 0)
		return true;
	unclear(d, "bad_answer", err.text);
	return false;
}

static bool id_is_sane(struct cc_decoded *d, const char *path, int64_t id, int64_t least)
{
	char why[80];

	if (id >= least)
		return true;
	(void)snprintf(why, sizeof(why), "%s: %lld is no id", path, (long long)id);
	unclear(d, "bad_answer", why);
	return false;
}

/* --- order --- */

struct order_fields {
	int64_t id;
	int64_t certificate_id;
	char *token;
};

static const struct json_field order_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct order_fields, id), JSON_REQUIRED },
	{ "certificate_id", JSON_WANT_I64, offsetof(struct order_fields, certificate_id), 0 },
	{ "dcv_random_value", JSON_WANT_STR, offsetof(struct order_fields, token), 0 },
};

/* Newer answers may carry the token per domain. One value serves all names of a DV order; if they differ, none
 * is taken and the token is asked for. */
static const char *token_of_domains(const struct json *domains)
{
	const char *first = NULL;

	for (size_t i = 0; i < json_arr_len(domains); i++) {
		const struct json *t = json_get(json_arr_at(domains, i), "dcv_token");
		const char *token = json_str(json_get(t, "token"));

		if (!token || (first && strcmp(first, token) != 0))
			return NULL;
		first = token;
	}
	return first;
}

/* The chain of an instant answer is a gift: what is odd in it is dropped, the download will tell. */
static void take_chain(struct cc_decoded *d, const struct json *chain)
{
	struct strbuf sb = STRBUF_INIT(CC_BODY_MAX);

	for (size_t i = 0; i < json_arr_len(chain); i++) {
		const char *pem = json_str(json_get(json_arr_at(chain, i), "pem"));

		if (!pem || !strstr(pem, PEM_BEGIN)) {
			strbuf_done(&sb);
			return;
		}
		add_lf(&sb, pem, strlen(pem));
		if (strbuf_str(&sb)[sb.len - 1] != '\n')
			strbuf_addc(&sb, '\n');
	}
	if (sb.len > 0 && strbuf_ok(&sb)) {
		d->reply.pem_len = sb.len;
		d->reply.pem = d->pem = strbuf_take(&sb);
	}
	strbuf_done(&sb);
}

/* Which keys are there decides, not what was asked for: the ordinary answer may come where an instant one was
 * expected, and the other way round. */
static void decode_order(struct cc_decoded *d, const struct json *j)
{
	struct order_fields f = { 0 };
	bool ok = pick(d, j, "", order_fields, ARRAY_SIZE(order_fields), &f);
	_cleanup_free_ char *token = f.token;

	if (!ok || !id_is_sane(d, "id", f.id, 1) || !id_is_sane(d, "certificate_id", f.certificate_id, 0))
		return;

	const char *t = token ? token : token_of_domains(json_get(j, "domains"));

	if (t && !take_token(d, FAULT_UNCLEAR, "dcv_random_value", t))
		return;
	d->reply.order_id = f.id;
	d->reply.certificate_id = f.certificate_id;
	d->reply.needs_approval = f.certificate_id == 0 && json_arr_len(json_get(j, "requests")) > 0;
	if (d->reply.needs_approval)
		take_status(d, "needs_approval");
	take_chain(d, json_get(j, "certificate_chain"));
	if (d->reply.pem && f.certificate_id != 0)
		take_status(d, "issued");
}

/* --- find, status-changes --- */

struct entry_fields {
	int64_t order_id;
	int64_t certificate_id;
	char *status;
};

static const struct json_field entry_fields[] = {
	{ "order_id", JSON_WANT_I64, offsetof(struct entry_fields, order_id), JSON_REQUIRED },
	{ "certificate_id", JSON_WANT_I64, offsetof(struct entry_fields, certificate_id), 0 },
	{ "status", JSON_WANT_STR, offsetof(struct entry_fields, status), 0 },
};

static bool decode_entry(struct cc_decoded *d, const struct json *j, size_t i, struct cc_entry *ret)
{
	struct entry_fields f = { 0 };
	char path[48];

	(void)snprintf(path, sizeof(path), "orders[%zu]", i);

	bool ok = pick(d, j, path, entry_fields, ARRAY_SIZE(entry_fields), &f);
	_cleanup_free_ char *status = f.status;

	if (!ok || !id_is_sane(d, path, f.order_id, 1) || !id_is_sane(d, path, f.certificate_id, 0))
		return false;
	*ret = (struct cc_entry){ .order_id = f.order_id,
				  .certificate_id = f.certificate_id,
				  .status = cc_status_parse(status) };
	return true;
}

/* None is `{}` for status changes and a 404, `{}` or an empty list for a look-up. */
static void decode_entries(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	const struct json *orders = NULL;
	const struct json *page = NULL;

	if (json_get_arr(j, "orders", &orders) < 0) {
		unclear(d, "bad_answer", "orders: not an array");
		return;
	}
	if (json_get_obj(j, "page", &page) < 0 || json_get_i64(page, "total", &d->total) < 0)
		d->total = 0; /* only helps to turn pages */

	size_t n = json_arr_len(orders);

	/* A page beyond the last one is empty too, but a look-up has one page. */
	if (ep == CC_FIND && n == 0 && d->total > 0) {
		unclear(d, "bad_answer", "page.total counts orders that are not there");
		return;
	}
	d->entries = xcalloc(n + 1, sizeof(*d->entries));
	for (size_t i = 0; i < n; i++)
		if (!decode_entry(d, json_arr_at(orders, i), i, &d->entries[i]))
			return;
	d->reply.entries = d->entries;
	d->reply.n_entries = n;
}

/* --- order info --- */

struct info_fields {
	int64_t id;
	char *status;
	char *order_valid_till;
	const struct json *certificate;
};

static const struct json_field info_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct info_fields, id), JSON_REQUIRED },
	{ "status", JSON_WANT_STR, offsetof(struct info_fields, status), JSON_REQUIRED },
	{ "order_valid_till", JSON_WANT_STR, offsetof(struct info_fields, order_valid_till), 0 },
	{ "certificate", JSON_WANT_OBJ, offsetof(struct info_fields, certificate), 0 },
};

struct cert_fields {
	int64_t id;
	char *common_name;
	char *csr;
};

static const struct json_field cert_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct cert_fields, id), 0 },
	{ "common_name", JSON_WANT_STR, offsetof(struct cert_fields, common_name), 0 },
	{ "csr", JSON_WANT_STR, offsetof(struct cert_fields, csr), 0 },
};

static int64_t day_or_time(const char *s)
{
	int64_t at = 0;

	if (!s || (timefmt_parse_date(s, &at) < 0 && timefmt_parse_rfc3339(s, &at) < 0))
		return 0;
	return at;
}

static void decode_info(struct cc_decoded *d, const struct json *j)
{
	struct info_fields f = { 0 };
	struct cert_fields c = { 0 };
	bool ok = pick(d, j, "", info_fields, ARRAY_SIZE(info_fields), &f) &&
		  (!f.certificate ||
		   pick(d, f.certificate, "certificate", cert_fields, ARRAY_SIZE(cert_fields), &c));
	_cleanup_free_ char *status = f.status;
	_cleanup_free_ char *till = f.order_valid_till;
	_cleanup_free_ char *common_name = c.common_name;
	_cleanup_free_ char *csr = c.csr;

	if (!ok || !id_is_sane(d, "id", f.id, 1) || !id_is_sane(d, "certificate.id", c.id, 0))
		return;
	d->reply.order_id = f.id;
	d->reply.certificate_id = c.id;
	take_status(d, status);
	d->reply.order_valid_until = day_or_time(till);
	if (common_name)
		d->reply.common_name = d->common_name = one_line(common_name, CC_TEXT_MAX);
	if (csr)
		d->reply.csr = d->csr = sane_csr(csr);
}

/* --- random value --- */

struct token_fields {
	char *token;
	char *expires;
};

static const struct json_field token_fields[] = {
	{ "dcv_random_value", JSON_WANT_STR, offsetof(struct token_fields, token), JSON_REQUIRED },
	{ "expiration_date", JSON_WANT_STR, offsetof(struct token_fields, expires), 0 },
};

static void decode_token(struct cc_decoded *d, const struct json *j)
{
	struct token_fields f = { 0 };
	bool ok = pick(d, j, "", token_fields, ARRAY_SIZE(token_fields), &f);
	_cleanup_free_ char *token = f.token;
	_cleanup_free_ char *expires = f.expires;

	/* Asking again gives the same value, so a bad one is final. */
	if (!ok || !take_token(d, FAULT_REFUSED, "dcv_random_value", token))
		return;
	d->reply.dcv_token_expires_at = day_or_time(expires);
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
			unclear(d, "bad_answer", why);
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

static void decode_check(struct cc_decoded *d, const struct json *j)
{
	struct check_fields f = { 0 };
	bool ok = pick(d, j, "", check_fields, ARRAY_SIZE(check_fields), &f);
	_cleanup_free_ char *order_status = f.order_status;
	_cleanup_free_ char *dcv_status = f.dcv_status;
	const struct json *names = f.names ? f.names : f.names_alt;
	struct strbuf sb = STRBUF_INIT(NAMES_LEN_MAX);
	size_t bad = 0;

	if (!ok || !id_is_sane(d, "certificate_id", f.certificate_id, 0) ||
	    !names_not_proven(d, names, &bad, &sb)) {
		strbuf_done(&sb);
		return;
	}
	d->reply.certificate_id = f.certificate_id;
	take_status(d, order_status);
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

/* --- download --- */

static void bad_cert(struct cc_decoded *d, const char *code, const char *what)
{
	(void)outcome_set(&d->reply.outcome, FAULT_BAD_CERT, code, "the download is %s instead of PEM text",
			  what);
}

static void decode_download(struct cc_decoded *d, const struct http_result *http)
{
	const char *body = http->body;
	size_t skip = strspn(body, " \t\r\n");

	if (http->body_len == 0) {
		bad_cert(d, "empty", "empty");
	} else if (str_has_prefix(body, "PK")) {
		bad_cert(d, "zip", "a zip archive");
	} else if (body[skip] == '{' || body[skip] == '[') {
		bad_cert(d, "json", "JSON");
	} else if (strlen(body) != http->body_len || !strstr(body, PEM_BEGIN)) {
		bad_cert(d, "not_pem", "something else");
	} else {
		struct strbuf sb = STRBUF_INIT(CC_BODY_MAX);

		add_lf(&sb, body, http->body_len);
		if (strbuf_ok(&sb)) {
			d->reply.pem_len = sb.len;
			d->reply.pem = d->pem = strbuf_take(&sb);
		} else {
			bad_cert(d, "too_large", "more than 1 MiB");
		}
		strbuf_done(&sb);
	}
}

/* --- */

static void decode_json(enum cc_endpoint ep, struct cc_decoded *d, const struct http_result *http)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(http->body, http->body_len, CC_BODY_MAX, &j, &err) < 0) {
		unclear(d, "bad_json", err.text);
		return;
	}
	if (json_type(j) != JSON_OBJECT) {
		unclear(d, "bad_answer", "not an object");
		return;
	}
	if (cc_problem_in_success(j, http->status, &d->reply.outcome))
		return;
	switch (ep) {
	case CC_ORDER: decode_order(d, j); break;
	case CC_FIND:
	case CC_CHANGES: decode_entries(d, ep, j); break;
	case CC_INFO: decode_info(d, j); break;
	case CC_TOKEN: decode_token(d, j); break;
	case CC_CHECK: decode_check(d, j); break;
	case CC_DOWNLOAD: break;
	}
}

const struct cc_reply *cc_decode(enum cc_endpoint ep, const struct http_result *http, int64_t now,
				 struct cc_decoded **ret)
{
	struct cc_decoded *d = xmalloc(sizeof(*d));

	d->reply.not_validated = "";
	if (http->outcome.fault != FAULT_NONE || http->status < 200 || http->status > 299) {
		cc_problem(ep, http, now, &d->reply.outcome);
	} else {
		d->reply.outcome = (struct outcome)OUTCOME_OK;
		d->reply.outcome.http_status = http->status;
		if (ep == CC_DOWNLOAD)
			decode_download(d, http);
		else
			decode_json(ep, d, http);
	}
	*ret = d;
	return &d->reply;
}
