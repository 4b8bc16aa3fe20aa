/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to replies: which endpoint's answer is read by whom, and what all readers share. Only what is needed is picked, so that
 * quirks elsewhere ("is_multi_year_plan": "1") cannot hurt; a needed field of another type makes the answer UNCLEAR and is
 * named. Text of the CA is checked or escaped here, at the border: behind it a token may become a file's content and a word a log
 * line. Does not check certificates (pki/chain) and does not compare ids (the runner knows what it asked for). */
#include "daemon/certcentral/internal.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "daemon/core/token.h"

#define CSR_LEN_MAX (16UL * 1024)

static void certs_free(struct cc_cert *certs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(certs[i].csr);
		free(certs[i].serial);
	}
	free(certs);
}

static void auth_keys_free(struct cc_auth_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(keys[i].id);
		secret_free(keys[i].secret);
		free(keys[i].status_word);
	}
	free(keys);
}

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
	free(d->cert_status_word);
	free(d->dcv_method);
	free(d->roles);
	free(d->products);
	certs_free(d->certs, d->n_certs);
	auth_keys_free(d->auth_keys, d->n_auth_keys);
	free(d->entries);
	free(d);
}

void cc_unclear(struct cc_decoded *d, const char *code, const char *why)
{
	(void)outcome_set(&d->reply.outcome, FAULT_UNCLEAR, code,
			  "CertCentral's answer %d is not understood: %s", d->reply.outcome.http_status, why);
}

/* --- text at the border --- */

char *cc_one_line(const char *s, size_t max)
{
	char buf[CC_TEXT_MAX + 1];

	return xstrdup(str_escape(s, strlen(s), buf, MIN(max + 1, sizeof(buf))));
}

void cc_take_status(struct cc_decoded *d, const char *word)
{
	if (!word)
		return;
	d->reply.status = cc_status_parse(word);
	free(d->status_word);
	d->reply.status_word = d->status_word = cc_one_line(word, CC_WORD_MAX);
}

bool cc_take_token(struct cc_decoded *d, enum fault otherwise, const char *path, const char *token)
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
char *cc_sane_csr(const char *s)
{
	for (size_t n = 0; s[n]; n++)
		if (n >= CSR_LEN_MAX || (s[n] != '\r' && s[n] != '\n' && (s[n] < 0x20 || s[n] > 0x7e)))
			return NULL;
	return xstrdup(s);
}

void cc_add_lf(struct strbuf *sb, const char *s, size_t len)
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

bool cc_pick(struct cc_decoded *d, const struct json *j, const char *path, const struct json_field *fields,
	     size_t n, void *target)
{
	struct err err = ERR_INIT;

	if (json_pick(j, path, fields, n, 0, target, &err) == 0)
		return true;
	cc_unclear(d, "bad_answer", err.text);
	return false;
}

bool cc_id_is_sane(struct cc_decoded *d, const char *path, int64_t id, int64_t least)
{
	char why[80];

	if (id >= least)
		return true;
	(void)snprintf(why, sizeof(why), "%s: %lld is no id", path, (long long)id);
	cc_unclear(d, "bad_answer", why);
	return false;
}

int64_t cc_day_or_time(const char *s)
{
	int64_t at = 0;

	if (!s || (timefmt_parse_date(s, &at) < 0 && timefmt_parse_rfc3339(s, &at) < 0))
		return 0;
	return at;
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
	} else if (strlen(body) != http->body_len || !strstr(body, CC_PEM_BEGIN)) {
		bad_cert(d, "not_pem", "something else");
	} else {
		struct strbuf sb = STRBUF_INIT(CC_BODY_MAX);

		cc_add_lf(&sb, body, http->body_len);
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

static const struct {
	cc_decode_fn *decode; /* NULL: nothing is told but that it was done */
	bool may_be_empty;    /* 204, or an older 200 without a body, means done */
} readers[CC_ENDPOINT_NR] = {
	[CC_ORDER] = { cc_decode_order, false },
	[CC_FIND] = { cc_decode_entries, false },
	[CC_INFO] = { cc_decode_info, false },
	[CC_SERIAL] = { cc_decode_info, false },
	[CC_TOKEN] = { cc_decode_token, false },
	[CC_CHECK] = { cc_decode_check, false },
	[CC_CHANGES] = { cc_decode_entries, false },
	[CC_DOWNLOAD] = { NULL, false },
	[CC_REISSUE] = { cc_decode_order, false },
	[CC_DUPLICATE] = { cc_decode_order, false },
	[CC_DUPLICATES] = { cc_decode_duplicates, false },
	[CC_METHOD] = { cc_decode_token, false },
	[CC_RESEND] = { NULL, true },
	[CC_REVOKE] = { cc_decode_revocation, true },
	[CC_APPROVE] = { NULL, true },
	[CC_CANCEL] = { NULL, true },
	[CC_AUTH_KEYS] = { cc_decode_auth_keys, false },
	[CC_AUTH_KEY] = { cc_decode_auth_key, false },
	[CC_AUTH_KEY_CREATE] = { cc_decode_auth_key, false },
	[CC_USER] = { cc_decode_user, false },
	[CC_PRODUCTS] = { cc_decode_products, false },
};

bool cc_endpoint_is_secret(enum cc_endpoint ep)
{
	return ep == CC_AUTH_KEYS || ep == CC_AUTH_KEY || ep == CC_AUTH_KEY_CREATE;
}

static bool is_done_without_body(enum cc_endpoint ep, const struct http_result *http)
{
	return readers[ep].may_be_empty && http->body_len == 0 &&
	       (http->status == 200 || http->status == 204);
}

static void decode_value(enum cc_endpoint ep, struct cc_decoded *d, const struct json *j)
{
	if (json_type(j) != JSON_OBJECT)
		cc_unclear(d, "bad_answer", "not an object");
	else if (!cc_problem_in_success(j, d->reply.outcome.http_status, &d->reply.outcome) &&
		 readers[ep].decode)
		readers[ep].decode(d, ep, j);
}

static void decode_json(enum cc_endpoint ep, struct cc_decoded *d, const struct http_result *http)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	if (is_done_without_body(ep, http))
		return;
	if (json_parse(http->body, http->body_len, CC_BODY_MAX, &j, &err) < 0) {
		cc_unclear(d, "bad_json", err.text);
		return;
	}
	decode_value(ep, d, j);
	if (cc_endpoint_is_secret(ep))
		json_wipe(j);
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
	if (timefmt_parse_http(http->date, &d->reply.server_at) < 0)
		d->reply.server_at = 0;
	*ret = d;
	return &d->reply;
}
