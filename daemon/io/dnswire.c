/* SPDX-License-Identifier: Apache-2.0 */
/* One DNS message over UDP or TCP on the loop.
 *
 * The UDP socket is connected: the kernel then drops datagrams of other senders, reports "port unreachable", and draws a
 * random source port for every call. What gets through and does not carry our id and opcode is dropped here, so that a
 * forger who guesses the port can at most be ignored; who guesses all of it is stopped by the TSIG, which is the
 * caller's business. */
#include "daemon/io/dnswire.h"

#include "common/mem.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_RETRY_MS   1000
#define PREFIX_LEN	   2 /* length in front of a message on TCP, RFC 1035 section 4.2.2 */
#define MESSAGE_MAX	   65535
#define SHOWN_MAX	   64 /* of the server's address in a text */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct dnswire_call {
	struct loop *loop;
	dnswire_done_fn *done; /* NULL: told or cancelled */
	void *owner;
	char *server;
	union address address;
	struct timer *deadline;
	struct timer *retry;
	int64_t retry_ms; /* until the next retransmission */
	uv_udp_t udp;
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	bool udp_open;
	bool tcp_open;
	unsigned n_closing;
	bool released; /* free it when the last handle is closed */
	bool sent;     /* the server may have seen the message */
	unsigned n_datagrams;
	struct outcome early;	/* found out before dnswire_start returned */
	unsigned char *message; /* with PREFIX_LEN bytes in front */
	size_t len;		/* without them */
	unsigned char *answer;	/* PREFIX_LEN + DNSWIRE_ANSWER_MAX; a datagram leaves the prefix unused */
	size_t answer_len;	/* on TCP: with the prefix */
};

/* --- address --------------------------------------------------------------------------------------- */

static int parse_server(const char *text, union address *ret)
{
	bool v6 = text[0] == '[';
	const char *end = v6 ? strchr(text, ']') : text + strcspn(text, ":");
	_cleanup_free_ char *host = NULL;
	union address a = { 0 };
	uint64_t port = 53;

	if (!end)
		return -EINVAL;
	host = xstrndup(v6 ? text + 1 : text, (size_t)(end - text) - (v6 ? 1 : 0));
	end += v6 ? 1 : 0;
	if (*end == ':' && (str_parse_u64(end + 1, &port) < 0 || port == 0 || port > 65535))
		return -EINVAL;
	if (*end != '\0' && *end != ':')
		return -EINVAL;
	if (v6) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
	}
	if (inet_pton(a.any.sa_family, host, v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

/* --- the end of a call ----------------------------------------------------------------------------- */

static void call_free(struct dnswire_call *c)
{
	if (!c->released || c->n_closing > 0)
		return;
	free(c->server);
	free(c->message);
	free(c->answer);
	free(c);
}

static void on_closed(uv_handle_t *handle)
{
	struct dnswire_call *c = handle->data;

	c->n_closing--;
	call_free(c);
}

static void close_udp(struct dnswire_call *c)
{
	if (!c->udp_open)
		return;
	c->udp_open = false;
	c->n_closing++;
	uv_close((uv_handle_t *)&c->udp, on_closed);
}

static void close_all(struct dnswire_call *c)
{
	timer_free(TAKE_PTR(c->deadline));
	timer_free(TAKE_PTR(c->retry));
	close_udp(c);
	if (!c->tcp_open)
		return;
	c->tcp_open = false;
	c->n_closing++;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void release(struct dnswire_call *c)
{
	c->released = true;
	call_free(c);
}

static void finish(struct dnswire_call *c, const struct dnswire_result *r)
{
	dnswire_done_fn *done = c->done;

	assert(done);
	close_all(c);
	c->done = NULL;
	done(r, c->owner);
	release(c);
}

static void fail(struct dnswire_call *c, const char *code, const char *what)
{
	struct dnswire_result r = { .outcome = OUTCOME_OK };

	(void)outcome_set(&r.outcome, c->sent ? FAULT_UNCLEAR : FAULT_UNSENT, code, "DNS server %s: %s",
			  c->server, what);
	finish(c, &r);
}

static void on_deadline(void *arg)
{
	struct dnswire_call *c = arg;

	if (c->early.fault != FAULT_NONE) {
		struct dnswire_result r = { .outcome = c->early };

		finish(c, &r);
		return;
	}
	fail(c, "timeout", c->tcp_open && c->sent ? "no answer over TCP in time" : "no answer in time");
}

/* Before dnswire_start has returned nobody may be told: the deadline does it in the next turn. */
static void fail_later(struct dnswire_call *c, const char *code, const char *what)
{
	(void)outcome_set(&c->early, FAULT_UNSENT, code, "DNS server %s: %s", c->server, what);
	timer_set(c->deadline, 0);
}

/* --- answers --------------------------------------------------------------------------------------- */

/* Is it an answer (QR) with the id and opcode of our message? RFC 1035 section 4.1.1. */
static bool is_ours(const struct dnswire_call *c, const unsigned char *m, size_t len)
{
	const unsigned char *sent = c->message + PREFIX_LEN;

	return len >= DNSWIRE_HEADER_LEN && m[0] == sent[0] && m[1] == sent[1] && (m[2] & 0x80) != 0 &&
	       ((m[2] ^ sent[2]) & 0x78) == 0;
}

static void deliver(struct dnswire_call *c, const unsigned char *m, size_t len, bool tcp)
{
	const struct dnswire_result r = { .outcome = OUTCOME_OK, .answer = m, .len = len, .tcp = tcp };

	finish(c, &r);
}

/* --- TCP ------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, _unused_ size_t suggested, uv_buf_t *buf)
{
	struct dnswire_call *c = handle->data;
	size_t room = PREFIX_LEN + DNSWIRE_ANSWER_MAX - c->answer_len;

	*buf = uv_buf_init((char *)c->answer + c->answer_len, (unsigned)room);
}

static void on_read(uv_stream_t *stream, ssize_t n, _unused_ const uv_buf_t *buf)
{
	struct dnswire_call *c = stream->data;
	size_t want = 0;

	if (n == UV_EOF || n < 0) {
		fail(c, "connection",
		     n == UV_EOF ? "closed the connection without an answer" : uv_strerror((int)n));
		return;
	}
	c->answer_len += (size_t)n;
	if (c->answer_len < PREFIX_LEN)
		return;
	want = (size_t)c->answer[0] << 8 | c->answer[1];
	if (want > DNSWIRE_ANSWER_MAX) {
		fail(c, "too-large", "the answer is larger than 16 KiB");
		return;
	}
	if (c->answer_len < PREFIX_LEN + want)
		return;
	if (!is_ours(c, c->answer + PREFIX_LEN, want)) {
		fail(c, "garbage", "what came over TCP is not the answer to what was asked");
		return;
	}
	deliver(c, c->answer + PREFIX_LEN, want, true);
}

static void on_written(uv_write_t *req, int status)
{
	struct dnswire_call *c = req->data;

	if (status < 0 && c->done)
		fail(c, "connection", uv_strerror(status));
}

static void on_connected(uv_connect_t *req, int status)
{
	struct dnswire_call *c = req->data;
	uv_buf_t out = uv_buf_init((char *)c->message, (unsigned)(PREFIX_LEN + c->len));
	int r = status;

	if (!c->done) /* closed */
		return;
	if (r < 0) {
		fail(c, "connect", uv_strerror(r));
		return;
	}
	c->sent = true;
	c->write.data = c;
	r = uv_write(&c->write, (uv_stream_t *)&c->tcp, &out, 1, on_written);
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	if (r < 0)
		fail(c, "connection", uv_strerror(r));
}

static int tcp_start(struct dnswire_call *c)
{
	int r = uv_tcp_init(loop_uv(c->loop), &c->tcp);

	if (r < 0)
		return r;
	c->tcp_open = true;
	c->tcp.data = c;
	c->connect.data = c;
	return uv_tcp_connect(&c->connect, &c->tcp, &c->address.any, on_connected);
}

/* --- UDP ------------------------------------------------------------------------------------------- */

static void on_udp_alloc(uv_handle_t *handle, _unused_ size_t suggested, uv_buf_t *buf)
{
	struct dnswire_call *c = handle->data;

	*buf = uv_buf_init((char *)c->answer + PREFIX_LEN, DNSWIRE_ANSWER_MAX);
}

/* A truncated answer (TC, RFC 1035 section 4.2.1), or one that the buffer could not hold. */
static void go_tcp(struct dnswire_call *c)
{
	int r = 0;

	close_udp(c);
	timer_clear(c->retry);
	r = tcp_start(c);
	if (r < 0)
		fail(c, "connect", uv_strerror(r));
}

static void on_datagram(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
			unsigned flags)
{
	struct dnswire_call *c = udp->data;
	const unsigned char *m = (const unsigned char *)buf->base;

	if (!c->udp_open || (n == 0 && !from)) /* nothing more to read */
		return;
	if (n < 0) {
		/* "Port unreachable" is about the only datagram there was, so nobody has read it. */
		c->sent = n != UV_ECONNREFUSED || c->n_datagrams > 1;
		fail(c, "connect", uv_strerror((int)n));
		return;
	}
	if (!is_ours(c, m, (size_t)n))
		return;
	if ((m[2] & 0x02) != 0 || (flags & UV_UDP_PARTIAL) != 0)
		go_tcp(c);
	else
		deliver(c, m, (size_t)n, false);
}

/* A full queue is no failure: the datagram counts as lost, and is repeated. */
static int udp_send(struct dnswire_call *c)
{
	uv_buf_t out = uv_buf_init((char *)c->message + PREFIX_LEN, (unsigned)c->len);
	int r = uv_udp_try_send(&c->udp, &out, 1, NULL);

	if (r < 0 && r != UV_EAGAIN && r != UV_ENOBUFS)
		return r;
	if (r >= 0) {
		c->n_datagrams++;
		c->sent = true;
	}
	timer_set(c->retry, c->retry_ms);
	c->retry_ms *= 2;
	return 0;
}

static void on_retry(void *arg)
{
	struct dnswire_call *c = arg;
	int r = udp_send(c);

	if (r < 0)
		fail(c, "connect", uv_strerror(r));
}

static int udp_start(struct dnswire_call *c)
{
	int r = uv_udp_init(loop_uv(c->loop), &c->udp);

	if (r < 0)
		return r;
	c->udp_open = true;
	c->udp.data = c;
	r = uv_udp_connect(&c->udp, &c->address.any);
	if (r == 0)
		r = uv_udp_recv_start(&c->udp, on_udp_alloc, on_datagram);
	return r < 0 ? r : udp_send(c);
}

/* --- calls ----------------------------------------------------------------------------------------- */

void dnswire_start(struct loop *l, const struct dnswire_query *q, dnswire_done_fn *done, void *owner,
		   struct dnswire_call **ret)
{
	struct dnswire_call *c = xmalloc(sizeof *c);
	char shown[SHOWN_MAX];
	int r = 0;

	assert(q->len >= DNSWIRE_HEADER_LEN && q->len <= MESSAGE_MAX);
	c->loop = l;
	c->done = done;
	c->owner = owner;
	c->server = xstrdup(str_escape(q->server, strlen(q->server), shown, sizeof shown));
	c->len = q->len;
	c->message = xmalloc(PREFIX_LEN + q->len);
	c->message[0] = (unsigned char)(q->len >> 8);
	c->message[1] = (unsigned char)(q->len & 0xff);
	memcpy(c->message + PREFIX_LEN, q->message, q->len);
	c->answer = xmalloc(PREFIX_LEN + DNSWIRE_ANSWER_MAX);
	c->retry_ms = q->retry_ms > 0 ? q->retry_ms : DEFAULT_RETRY_MS;
	c->deadline = timer_new(l, on_deadline, c);
	c->retry = timer_new(l, on_retry, c);
	*ret = c;
	timer_set(c->deadline, q->timeout_ms > 0 ? q->timeout_ms : DEFAULT_TIMEOUT_MS);
	if (parse_server(q->server, &c->address) < 0) {
		fail_later(c, "address", "is not ADDR:PORT with an IP address");
		return;
	}
	r = q->tcp || q->len > DNSWIRE_UDP_MAX ? tcp_start(c) : udp_start(c);
	if (r < 0)
		fail_later(c, "connect", uv_strerror(r));
}

void dnswire_cancel(struct dnswire_call **c)
{
	struct dnswire_call *call = TAKE_PTR(*c);

	if (!call || !call->done)
		return;
	call->done = NULL;
	close_all(call);
	release(call);
}
