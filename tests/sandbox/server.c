/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/server.h"

#include "common/mem.h"
#include "tests/sandbox/request.h"
#include "tests/sandbox/routes.h"

#include <errno.h>
#include <microhttpd.h>

#define CONNECTIONS_MAX 512u
#define IDLE_TIMEOUT_S	120u

struct server {
	struct MHD_Daemon *mhd;
	struct sandbox *sandbox;
	bool plain;
};

/* One request on its way in. */
struct exchange {
	struct request rq;
	bool begun;
};

/* The bytes of a reply that is to break off. */
struct half {
	char *body;
	size_t len;
};

/* The first MHD hears of a request; what it returns is the *con_cls of the handler. The only place where
 * the undecoded target of the request can be had. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *con)
{
	(void)cls;
	(void)con;
	struct exchange *ex = xmalloc(sizeof(*ex));
	ex->rq.body = (struct strbuf)STRBUF_INIT(REQUEST_BODY_MAX);
	ex->rq.broken = request_set_uri(&ex->rq, uri) < 0;
	return ex;
}

static void on_completed(void *cls, struct MHD_Connection *con, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	(void)cls;
	(void)con;
	(void)why;
	struct exchange *ex = *con_cls;
	if (!ex)
		return;
	request_done(&ex->rq);
	free(ex);
	*con_cls = NULL;
}

static char *header(struct MHD_Connection *con, const char *name)
{
	return xstrdup_opt(MHD_lookup_connection_value(con, MHD_HEADER_KIND, name));
}

static void begin(struct exchange *ex, struct MHD_Connection *con, const char *method)
{
	ex->begun = true;
	ex->rq.method = xstrdup(method);
	ex->rq.api_key = header(con, "X-DC-DEVKEY");
	ex->rq.scutum_key = header(con, "X-Scutum-API-Key");
	ex->rq.content_type = header(con, "Content-Type");
}

static ssize_t read_half(void *cls, uint64_t pos, char *buf, size_t max)
{
	const struct half *h = cls;
	size_t end = h->len / 2;
	if (pos >= end)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	size_t n = MIN(max, end - (size_t)pos);
	memcpy(buf, h->body + pos, n);
	return (ssize_t)n;
}

static void free_half(void *cls)
{
	struct half *h = cls;
	free(h->body);
	free(h);
}

static struct MHD_Response *make_response(struct reply *rp)
{
	if (rp->ending != REPLY_HALF) {
		struct MHD_Response *res =
			MHD_create_response_from_buffer(rp->len, rp->body, MHD_RESPMEM_MUST_FREE);
		if (res)
			rp->body = NULL;
		return res;
	}
	struct half *h = xmalloc(sizeof(*h));
	*h = (struct half){ .body = TAKE_PTR(rp->body), .len = rp->len };
	struct MHD_Response *res = MHD_create_response_from_callback(h->len, 4096, read_half, h, free_half);
	if (!res)
		free_half(h);
	return res;
}

static enum MHD_Result send_reply(struct MHD_Connection *con, struct reply *rp)
{
	if (rp->ending == REPLY_DROP) {
		reply_done(rp);
		return MHD_NO; /* MHD closes the connection without a word */
	}
	struct MHD_Response *res = make_response(rp);
	enum MHD_Result ok = MHD_NO;
	if (res) {
		if (rp->content_type)
			(void)MHD_add_response_header(res, "Content-Type", rp->content_type);
		if (rp->retry_after)
			(void)MHD_add_response_header(res, "Retry-After", rp->retry_after);
		ok = MHD_queue_response(con, rp->status, res);
		MHD_destroy_response(res);
	}
	reply_done(rp);
	return ok;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *con, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **con_cls)
{
	(void)url;
	(void)version;
	struct server *s = cls;
	struct exchange *ex = *con_cls;
	if (!ex)
		return MHD_NO;
	if (!ex->begun) {
		begin(ex, con, method);
		return MHD_YES;
	}
	if (*data_len > 0) {
		strbuf_add(&ex->rq.body, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	struct reply rp = { 0 };
	if (s->plain)
		routes_answer_plain(s->sandbox, &ex->rq, &rp);
	else
		routes_answer(s->sandbox, &ex->rq, &rp);
	return send_reply(con, &rp);
}

/* MHD reports each client that hangs up; that is daily business here. */
static void _printf_(2, 0) on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

int server_start(struct sandbox *sb, int listen_fd, const char *cert_pem, const char *key_pem,
		 struct server **ret, struct err *reterr)
{
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_mhd_log, NULL },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, NULL },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, NULL },
		{ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned flags =
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC;
	struct server *s = xmalloc(sizeof(*s));
	*s = (struct server){ .sandbox = sb, .plain = cert_pem == NULL };
	s->mhd = s->plain ? MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_ARRAY, options,
					     MHD_OPTION_END)
			  : MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, on_request, s,
					     MHD_OPTION_HTTPS_MEM_CERT, cert_pem, MHD_OPTION_HTTPS_MEM_KEY,
					     key_pem, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (!s->mhd) {
		free(s);
		close(listen_fd);
		return err_set(reterr, -EIO, "the HTTP server does not start (libmicrohttpd without TLS?)");
	}
	*ret = s;
	return 0;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	MHD_stop_daemon(s->mhd);
	free(s);
}
