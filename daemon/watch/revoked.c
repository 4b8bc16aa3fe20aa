/* SPDX-License-Identifier: Apache-2.0 */
/* See revoked.h. A call goes through three jobs in the pool: read the chain, judge the OCSP answer, judge the CRL; between them it
 * waits for the network. What a job works on belongs to the job, so that a cancelled one can run to its end. */
#include "daemon/watch/revoked.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "daemon/io/http.h"
#include "daemon/io/work.h"
#include "daemon/watch/crls.h"

#include <assert.h>

#define TOTAL_MS   20000
#define CONNECT_MS 10000
#define GET_MAX	   255 /* RFC 5019 section 5: shorter ones go by GET, so that caches can answer */

enum stage { STAGE_CHAIN, STAGE_OCSP, STAGE_CRL };

struct job {
	struct revoked_call *call; /* for the loop only; gone when the job was dropped */
	enum stage stage;
	char *pem;
	int64_t now;
	/* CHAIN gives */
	struct revocation_urls urls;
	unsigned char *request;
	size_t request_len;
	/* OCSP and CRL take */
	unsigned char *answer;
	size_t answer_len;
	struct crl_blob *blob;
	/* all give */
	int r;
	struct err err;
	struct revocation_status status;
};

struct revoked_call {
	struct revoked *revoked;
	struct job *job;
	struct work *work;
	struct http_call *http_call;
	struct crls_wait *crls_wait;
	struct outcome problem; /* of the way that did not help */
	revoked_done_fn *done;
	void *owner;
	bool delivering;
	struct revoked_call *prev, *next;
};

struct revoked {
	struct loop *loop;
	struct config *config;
	struct http *http;
	struct crls *crls;
	struct revoked_call *calls;
};

/* --- in the pool ------------------------------------------------------------------------------------ */

static int read_chain(struct job *j)
{
	size_t len = strlen(j->pem);
	int r = revocation_urls(j->pem, len, &j->urls, &j->err);

	/* The issuer is needed as soon as there is something to ask. */
	if (r == 0 && (j->urls.ocsp || j->urls.crl))
		r = revocation_ocsp_request(j->pem, len, &j->request, &j->request_len, &j->err);
	return r;
}

static void job_run(void *arg)
{
	struct job *j = arg;
	size_t len = strlen(j->pem);

	switch (j->stage) {
	case STAGE_CHAIN: j->r = read_chain(j); break;
	case STAGE_OCSP:
		j->r = revocation_ocsp_read(j->pem, len, j->answer, j->answer_len, j->now, &j->status,
					    &j->err);
		break;
	case STAGE_CRL:
		j->r = revocation_crl_read(j->pem, len, j->blob->data, j->blob->len, j->now, &j->status,
					   &j->err);
		break;
	}
}

/* --- on the loop -------------------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
	free(j->pem);
	revocation_urls_done(&j->urls);
	free(j->request);
	free(j->answer);
	crl_blob_unref(j->blob);
	free(j);
}

static void job_drop(void *arg)
{
	job_free(arg);
}

static void call_free(struct revoked_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->revoked->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	http_cancel(&c->http_call);
	crls_cancel(&c->crls_wait);
	if (c->work)
		work_cancel(&c->work, job_drop);
	else
		job_free(c->job);
	free(c);
}

static void call_deliver(struct revoked_call *c, const struct outcome *o)
{
	const struct revocation_status unknown = { .state = REVOCATION_UNKNOWN };

	c->delivering = true;
	c->done(o, o->fault == FAULT_NONE ? &c->job->status : &unknown, c->owner);
	call_free(c);
}

static void call_succeed(struct revoked_call *c)
{
	const struct outcome ok = OUTCOME_OK;

	call_deliver(c, &ok);
}

/* Remembers why a way did not help. It was sent as soon as one of them was. */
static void note(struct revoked_call *c, const char *way, enum fault fault, const char *code, const char *why)
{
	struct outcome *p = &c->problem;
	char before[OUTCOME_MESSAGE_MAX];

	if (p->fault == FAULT_NONE) {
		(void)outcome_set(p, fault, code, "%s: %s", way, why);
		return;
	}
	(void)snprintf(before, sizeof(before), "%s", p->message);
	(void)outcome_set(p, fault == FAULT_UNSENT ? p->fault : fault, code, "%.190s; %s: %.190s", before,
			  way, why);
}

static enum fault fault_of_http(const struct outcome *o)
{
	return o->fault == FAULT_UNSENT ? FAULT_UNSENT : FAULT_UNCLEAR;
}

static void on_worked(void *arg);

static void begin_job(struct revoked_call *c, enum stage stage)
{
	c->job->stage = stage;
	c->job->now = clock_now();
	c->job->err = (struct err)ERR_INIT;
	work_start(c->revoked->loop, job_run, on_worked, c->job, &c->work);
}

/* --- CRL --- */

static void on_crl(const struct outcome *o, struct crl_blob *blob, void *owner)
{
	struct revoked_call *c = owner;

	c->crls_wait = NULL;
	if (o->fault != FAULT_NONE) {
		note(c, "CRL", fault_of_http(o), o->code, o->message);
		call_deliver(c, &c->problem);
		return;
	}
	c->job->blob = crl_blob_ref(blob);
	begin_job(c, STAGE_CRL);
}

static void on_crl_read(struct revoked_call *c)
{
	if (c->job->r < 0) {
		note(c, "CRL", FAULT_UNCLEAR, "crl", c->job->err.text);
		call_deliver(c, &c->problem);
		return;
	}
	crls_keep(c->revoked->crls, c->job->blob, c->job->status.next_update);
	call_succeed(c);
}

/* After OCSP, or without it. */
static void try_crl(struct revoked_call *c)
{
	if (c->job->urls.crl)
		crls_get(c->revoked->crls, c->job->urls.crl, on_crl, c, &c->crls_wait);
	else
		call_deliver(c, &c->problem);
}

/* --- OCSP --- */

static void add_base64(struct strbuf *sb, const unsigned char *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)data[i] << 16;

		v |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		v |= i + 2 < len ? (uint32_t)data[i + 2] : 0;
		strbuf_addc(sb, digits[v >> 18]);
		strbuf_addc(sb, digits[v >> 12 & 63]);
		strbuf_addc(sb, i + 1 < len ? digits[v >> 6 & 63] : '=');
		strbuf_addc(sb, i + 2 < len ? digits[v & 63] : '=');
	}
}

/* URL/BASE64 (RFC 6960 appendix A.1), or NULL when it is to go by POST. */
static char *get_url(const struct job *j)
{
	struct strbuf text = STRBUF_INIT(REVOCATION_OCSP_MAX);
	struct strbuf url = STRBUF_INIT(GET_MAX);
	bool fits;

	add_base64(&text, j->request, j->request_len);
	strbuf_addf(&url, "%s%s", j->urls.ocsp, str_has_suffix(j->urls.ocsp, "/") ? "" : "/");
	str_percent_encode(&url, strbuf_str(&text));
	fits = strbuf_ok(&text) && strbuf_ok(&url) && !strpbrk(j->urls.ocsp, "?#");
	strbuf_done(&text);
	if (fits)
		return strbuf_take(&url);
	strbuf_done(&url);
	return NULL;
}

static void on_ocsp(const struct http_result *http, void *owner)
{
	struct revoked_call *c = owner;
	char text[40];

	c->http_call = NULL;
	if (http->outcome.fault != FAULT_NONE) {
		note(c, "OCSP", fault_of_http(&http->outcome), http->outcome.code, http->outcome.message);
		try_crl(c);
	} else if (http->status != 200 || http->body_len == 0) {
		(void)snprintf(text, sizeof(text), "status %d with %zu bytes", http->status, http->body_len);
		note(c, "OCSP", FAULT_UNCLEAR, "http_status", text);
		try_crl(c);
	} else {
		c->job->answer = xmemdup(http->body, http->body_len);
		c->job->answer_len = http->body_len;
		begin_job(c, STAGE_OCSP);
	}
}

static void ask_ocsp(struct revoked_call *c)
{
	const struct http_header headers[] = {
		{ .name = "Accept", .value = "application/ocsp-response" },
		{ .name = "Content-Type", .value = "application/ocsp-request" },
	};
	_cleanup_free_ char *url = get_url(c->job);
	const struct http_request rq = {
		.label = "revoked.ocsp",
		.method = url ? "GET" : "POST",
		.url = url ? url : c->job->urls.ocsp,
		.headers = headers,
		.n_headers = url ? 1 : 2,
		.body = url ? NULL : c->job->request,
		.body_len = url ? 0 : c->job->request_len,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.max_body = REVOCATION_OCSP_MAX,
	};

	http_start(c->revoked->http, &rq, on_ocsp, c, &c->http_call);
}

static void on_ocsp_read(struct revoked_call *c)
{
	if (c->job->r < 0)
		note(c, "OCSP", FAULT_UNCLEAR, "ocsp", c->job->err.text);
	else if (c->job->status.state == REVOCATION_UNKNOWN)
		note(c, "OCSP", FAULT_UNCLEAR, "ocsp_unknown", "the responder does not know the certificate");
	if (c->problem.fault == FAULT_NONE)
		call_succeed(c);
	else
		try_crl(c);
}

/* --- chain --- */

static void on_chain_read(struct revoked_call *c)
{
	struct outcome o = OUTCOME_OK;

	if (c->job->r < 0) {
		(void)outcome_set(&o, FAULT_LOCAL, "chain", "%s", c->job->err.text);
		call_deliver(c, &o);
	} else if (c->job->urls.ocsp) {
		ask_ocsp(c);
	} else if (c->job->urls.crl) {
		try_crl(c);
	} else {
		call_succeed(c);
	}
}

static void on_worked(void *arg)
{
	const struct job *j = arg;
	struct revoked_call *c = j->call;

	c->work = NULL;
	switch (j->stage) {
	case STAGE_CHAIN: on_chain_read(c); break;
	case STAGE_OCSP: on_ocsp_read(c); break;
	case STAGE_CRL: on_crl_read(c); break;
	}
}

void revoked_start(struct revoked *r, const char *fullchain_pem, revoked_done_fn *done, void *owner,
		   struct revoked_call **ret)
{
	struct revoked_call *c = xmalloc(sizeof(*c));

	c->revoked = r;
	c->job = xmalloc(sizeof(*c->job));
	c->job->call = c;
	c->job->pem = xstrdup(fullchain_pem);
	c->done = done;
	c->owner = owner;
	c->next = r->calls;
	if (c->next)
		c->next->prev = c;
	r->calls = c;
	if (ret)
		*ret = c;
	begin_job(c, STAGE_CHAIN);
}

void revoked_cancel(struct revoked_call **call)
{
	struct revoked_call *c = *call;

	*call = NULL;
	if (c && !c->delivering)
		call_free(c);
}

/* --- the object --------------------------------------------------------------------------------------- */

static int client_new(struct loop *l, const struct config *c, struct http **ret, struct err *reterr)
{
	const struct http_options o = { .proxy = c->proxy, .plain = true };
	int r = http_new(l, &o, ret, reterr);

	if (r < 0)
		err_prefix(reterr, "revocation");
	return r;
}

int revoked_new(struct loop *l, struct config *c, struct revoked **ret, struct err *reterr)
{
	struct http *http = NULL;
	int r = client_new(l, c, &http, reterr);

	if (r < 0)
		return r;

	struct revoked *v = xmalloc(sizeof(*v));

	v->loop = l;
	v->config = config_ref(c);
	v->http = http;
	v->crls = crls_new(l, http);
	*ret = v;
	return 0;
}

int revoked_reconfigure(struct revoked *v, struct config *c, struct err *reterr)
{
	struct http *http = NULL;
	int r = client_new(v->loop, c, &http, reterr);

	if (r < 0)
		return r;

	struct config *before = v->config;

	v->config = config_ref(c);
	config_unref(before);
	crls_set_http(v->crls, http);
	http_retire(v->http);
	v->http = http;
	return 0;
}

void revoked_free(struct revoked *v)
{
	if (!v)
		return;
	for (struct revoked_call *c = v->calls, *next = NULL; c; c = next) {
		next = c->next;
		assert(!c->delivering); /* not from a callback */
		call_free(c);
	}
	crls_free(v->crls);
	http_free(v->http);
	config_unref(v->config);
	free(v);
}
