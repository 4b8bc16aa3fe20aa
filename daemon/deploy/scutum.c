/* SPDX-License-Identifier: Apache-2.0 */
/* The push to Scutum. The body holds the private key in clear: it is built in a buffer that is wiped, not
 * through the JSON library, whose copies nobody wipes. Does not check the certificate (pki/chain
 * did) and does not prove that it is live (a look at the public name does). */
#include "daemon/deploy/scutum.h"

#include <assert.h>
#include <ctype.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#define PEM_BEGIN  "-----BEGIN CERTIFICATE-----"
#define PEM_END	   "-----END CERTIFICATE-----"
#define URL_MAX	   4096
#define ANSWER_MAX (64UL * 1024)
#define TEXT_MAX   200

struct scutum {
	struct loop *loop;
	struct config *config;
	struct http *http; /* a reload makes a new one; calls under way finish with theirs */
	struct scutum_call *calls;
	struct tally tally;
};

struct scutum_call {
	struct scutum *scutum;
	struct http_call *http_call;
	scutum_done_fn *done;
	void *owner;
	bool delivering;
	struct scutum_call *prev, *next;
};

/* --- body ----------------------------------------------------------------------------------------- */

/* What a JSON string may not hold as it is (RFC 8259 section 7). CR goes: Scutum documents "\n" only. */
static void add_escaped(struct strbuf *sb, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (ch == '\n')
			strbuf_adds(sb, "\\n");
		else if (ch == '"' || ch == '\\')
			strbuf_addf(sb, "\\%c", s[i]);
		else if (ch < 0x20)
			strbuf_addf(sb, "\\u%04x", (unsigned)ch);
		else
			strbuf_addc(sb, s[i]);
	}
}

static void add_pem(struct strbuf *sb, const char *s, size_t len)
{
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	strbuf_addc(sb, '"');
	for (size_t i = 0; i < len; i++)
		if (s[i] != '\r')
			add_escaped(sb, s + i, 1);
	strbuf_addc(sb, '"');
}

/* One string per certificate; what stands between the blocks is dropped. */
static void add_intermediates(struct strbuf *sb, const char *chain)
{
	const char *sep = ",\"im\":[";
	bool any = false;

	for (const char *p = strstr(chain, PEM_BEGIN); p; p = strstr(p, PEM_BEGIN)) {
		const char *end = strstr(p, PEM_END);

		if (!end)
			break;
		end += strlen(PEM_END);
		strbuf_adds(sb, sep);
		add_pem(sb, p, (size_t)(end - p));
		sep = ",";
		any = true;
		p = end;
	}
	if (any)
		strbuf_addc(sb, ']');
}

void scutum_encode(const struct scutum_push *p, struct strbuf *sb)
{
	const struct secret *pass = p->target->key_passphrase;

	strbuf_adds(sb, "{\"cert\":");
	add_pem(sb, p->cert, strlen(p->cert));
	strbuf_adds(sb, ",\"key\":");
	add_pem(sb, p->key, strlen(p->key));
	if (pass) {
		strbuf_adds(sb, ",\"password\":\"");
		add_escaped(sb, secret_bytes(pass), secret_len(pass));
		strbuf_addc(sb, '"');
	}
	add_intermediates(sb, p->chain);
	strbuf_addc(sb, '}');
}

/* More than the body can take: six bytes for each one that JSON escapes. */
static size_t body_bound(const struct scutum_push *p)
{
	const struct secret *pass = p->target->key_passphrase;

	return 256 +
	       6 * (strlen(p->cert) + strlen(p->key) + strlen(p->chain) + (pass ? secret_len(pass) : 0));
}

/* --- answer --------------------------------------------------------------------------------------- */

static const struct {
	const char *error;
	const char *hint;
} errors[] = {
	{ "Invalid Method", "please report this" },
	{ "certInvalid Method", "please report this" }, /* so spelled in the page's table */
	{ "Invalid Content Type", "please report this" },
	{ "Invalid JSON Type", "please report this" },
	{ "Invalid Cert", "the certificate is not accepted" },
	{ "Invalid Key", "the key is not accepted: try key type rsa, and check key_passphrase_file" },
	{ "Invalid IM", "the intermediates are not accepted" },
	{ "Key And Cert Not Match", "key and certificate do not belong together" },
};

static const char *hint_of(const char *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (strcasecmp(errors[i].error, error) == 0)
			return errors[i].hint;
	return NULL;
}

static const char *escaped_member(const struct json *j, const char *key, char *out, size_t out_len)
{
	const char *s = json_str(json_get(j, key));

	if (!s)
		s = "";
	return str_escape(s, strlen(s), out, out_len);
}

static void decode_success(const struct http_result *http, const struct json *j, struct outcome *ret)
{
	char start[81];
	const char *word = json_str(json_get(j, "status"));

	if (http->status == 200 && word && strcasecmp(word, "ok") == 0) {
		*ret = (struct outcome)OUTCOME_OK;
		return;
	}
	(void)outcome_set(ret, FAULT_UNCLEAR, "bad_answer",
			  "Scutum answered %d without status \"ok\": \"%s\"", http->status,
			  str_escape(http->body, http->body_len, start, sizeof(start)));
}

/* 400: error is one of the documented texts; error_on and error_id are for Scutum's support. */
static void decode_refusal(const struct http_result *http, const struct json *j, struct outcome *ret)
{
	char error[TEXT_MAX];
	char on[40];
	char id[64];
	const char *hint = NULL;

	if (*escaped_member(j, "error", error, sizeof(error)) == '\0') {
		char start[81];

		(void)outcome_set(ret, FAULT_REFUSED, "http_400", "Scutum answered 400: \"%s\"",
				  str_escape(http->body, http->body_len, start, sizeof(start)));
		return;
	}
	hint = hint_of(error);
	(void)outcome_set(ret, FAULT_REFUSED, error, "Scutum answered 400: %s%s%s (error_on %s, error_id %s)",
			  error, hint ? ": " : "", hint ? hint : "",
			  escaped_member(j, "error_on", on, sizeof(on)),
			  escaped_member(j, "error_id", id, sizeof(id)));
}

static enum fault fault_of_status(int status)
{
	switch (status) {
	case 401:
	case 403: return FAULT_AUTH;
	case 404: return FAULT_CONFIG;
	case 408:
	case 425: return FAULT_UNCLEAR;
	case 407: return FAULT_CONFIG;
	case 429: return FAULT_THROTTLED;
	default: return status >= 400 && status < 500 ? FAULT_REFUSED : FAULT_UNCLEAR;
	}
}

static const char *hint_of_status(int status)
{
	if (status == 401 || status == 403)
		return ": check api_key_file, host and id (a key is issued for one host)";
	if (status == 404)
		return ": check scutum.url, host and id";
	if (status == 407)
		return ": the proxy wants a password";
	if (status >= 300 && status < 400)
		return ": redirects are never followed, check scutum.url";
	return status >= 500 ? ": trouble on their side" : "";
}

void scutum_decode(const struct http_result *http, int64_t now, struct outcome *ret)
{
	if (http->outcome.fault != FAULT_NONE) {
		*ret = http->outcome;
		return;
	}

	_cleanup_(json_freep) struct json *j = NULL;
	/* Refusals may repeat what they refuse; logs and status are no place for a key. */
	const bool has_key = strstr(http->body, "PRIVATE KEY-----") != NULL;
	struct http_result shown = *http;
	char code[32];

	if (has_key) {
		shown.body = "(an answer with a private key in it)";
		shown.body_len = strlen(shown.body);
	}
	if (json_parse(http->body, http->body_len, ANSWER_MAX, &j, NULL) < 0)
		j = NULL;
	if (http->status >= 200 && http->status < 300) {
		decode_success(&shown, j, ret);
	} else if (http->status == 400) {
		decode_refusal(&shown, has_key ? NULL : j, ret);
	} else {
		(void)snprintf(code, sizeof(code), "http_%d", http->status);
		(void)outcome_set(ret, fault_of_status(http->status), code, "Scutum answered %d%s",
				  http->status, hint_of_status(http->status));
	}
	ret->http_status = http->status;
	ret->retry_after = http_retry_after(http->retry_after, now);
}

/* --- calls ---------------------------------------------------------------------------------------- */

static int client_new(struct loop *l, const struct config *c, struct http **ret, struct err *reterr)
{
	const struct http_options o = { .ca_file = c->scutum.ca_file, .proxy = c->proxy };
	int r = http_new(l, &o, ret, reterr);

	if (r < 0)
		err_prefix(reterr, "scutum");
	return r;
}

static void call_free(struct scutum_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->scutum->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

static void on_http(const struct http_result *http, void *owner)
{
	struct scutum_call *c = owner;
	struct outcome o = OUTCOME_OK;

	tally_add(&c->scutum->tally, 0, http->status);
	scutum_decode(http, clock_now(), &o);
	c->delivering = true;
	c->done(&o, c->owner);
	call_free(c);
}

static void send_body(struct scutum_call *c, const struct scutum_push *p, const char *url)
{
	struct strbuf body = STRBUF_INIT(body_bound(p));
	const struct http_header headers[] = {
		{ .name = "X-Scutum-API-Key", .secret = p->target->api_key },
		{ .name = "Content-Type", .value = "application/json" },
		{ .name = "Accept", .value = "application/json" },
	};

	scutum_encode(p, &body);
	assert(strbuf_ok(&body));

	const struct http_request rq = {
		.label = "scutum.push",
		.method = "POST",
		.url = url,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.body = strbuf_str(&body),
		.body_len = body.len,
		.hide = p->target->key_passphrase,
		.max_body = ANSWER_MAX,
	};

	http_start(c->scutum->http, &rq, on_http, c, &c->http_call);
	strbuf_wipe(&body);
}

void scutum_push_start(struct scutum *s, const struct scutum_push *p, scutum_done_fn *done, void *owner,
		       struct scutum_call **ret)
{
	struct scutum_call *c = xmalloc(sizeof(*c));
	struct strbuf url = STRBUF_INIT(URL_MAX);

	c->scutum = s;
	c->done = done;
	c->owner = owner;
	c->next = s->calls;
	if (c->next)
		c->next->prev = c;
	s->calls = c;
	if (ret)
		*ret = c;
	strbuf_addf(&url, "%s/update_cert?host=", s->config->scutum.url);
	str_percent_encode(&url, p->target->host);
	strbuf_adds(&url, "&id=");
	str_percent_encode(&url, p->target->id);
	send_body(c, p, strbuf_str(&url));
	strbuf_done(&url);
}

void scutum_cancel(struct scutum_call **call)
{
	struct scutum_call *c = *call;

	*call = NULL;
	if (!c || c->delivering)
		return;
	http_cancel(&c->http_call);
	call_free(c);
}

/* --- the object ----------------------------------------------------------------------------------- */

int scutum_new(struct loop *l, struct config *c, struct scutum **ret, struct err *reterr)
{
	struct http *http = NULL;
	int r = client_new(l, c, &http, reterr);

	if (r < 0)
		return r;

	struct scutum *s = xmalloc(sizeof(*s));

	s->loop = l;
	s->config = config_ref(c);
	s->http = http;
	*ret = s;
	return 0;
}

int scutum_reconfigure(struct scutum *s, struct config *c, struct err *reterr)
{
	struct http *http = NULL;
	int r = client_new(s->loop, c, &http, reterr);

	if (r < 0)
		return r;

	struct config *before = s->config;

	s->config = config_ref(c);
	config_unref(before);
	http_retire(s->http);
	s->http = http;
	return 0;
}

void scutum_free(struct scutum *s)
{
	if (!s)
		return;
	for (struct scutum_call *c = s->calls, *next = NULL; c; c = next) {
		next = c->next;
		assert(!c->delivering); /* not from a callback */
		scutum_cancel(&c);
	}
	http_free(s->http);
	tally_done(&s->tally);
	config_unref(s->config);
	free(s);
}

const struct tally *scutum_tally(const struct scutum *s)
{
	return &s->tally;
}
