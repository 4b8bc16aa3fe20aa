/* SPDX-License-Identifier: Apache-2.0 */
/* The GET/HEAD server: libmicrohttpd in external epoll mode, so that it runs in our thread. The only
 * file that knows libmicrohttpd.
 *
 * One request per connection, and ten seconds for all of it: libmicrohttpd's own time-out starts again
 * with every byte, which a client that sends one byte at a time can use for ever. The path is compared
 * as it came (no percent-decoding): those who may fetch the file know its name. */
#include "daemon/io/server.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/unixbind.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uv.h>

#define CLIENTS_MAX   256U
#define CLIENT_MS     10000
#define CLIENT_MEMORY (16UL * 1024) /* headers and everything else of one connection */
#define BACKLOG	      128
#define UNIX_PREFIX   "unix:"
#define HOST_MAX      256

struct client {
	TAILQ_ENTRY(client) entry;
	int fd;
	int64_t until_ms;
	bool dropped;
};
TAILQ_HEAD(client_list, client);

struct server {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	uv_poll_t *poll; /* on the heap: outlives the server until libuv has closed it */
	struct timer *work;
	struct timer *reaper;	    /* armed for the oldest client only */
	struct client_list clients; /* oldest first */
	server_fn *fn;
	void *arg;
	unsigned n_clients, clients_max;
	struct unixbind file; /* of a unix socket */
	bool run_again;
	unsigned port;
	int64_t client_ms;
};

/* --- requests ------------------------------------------------------------------------------------- */

/* "WWW.Example.jp:80" -> "www.example.jp", "[::1]:80" -> "[::1]"; "" when it does not fit. */
static void copy_host(const char *raw, char out[HOST_MAX])
{
	size_t len = 0;

	out[0] = '\0';
	if (!raw)
		return;
	len = raw[0] == '[' ? strcspn(raw, "]") + 1 : strcspn(raw, ":");
	if (len >= HOST_MAX || len > strlen(raw))
		return;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)raw[i]);
	out[len] = '\0';
}

static enum MHD_Result reply_with(struct MHD_Connection *c, const struct server_reply *reply)
{
	const char *body = reply->body ? reply->body : "";
	const char *type = reply->content_type ? reply->content_type : "text/plain";
	struct MHD_Response *r = NULL;
	enum MHD_Result ret = MHD_NO;

	/* The buffer is not written to, the parameter merely lacks its const. */
	if (reply->release)
		r = MHD_create_response_from_buffer_with_free_callback_cls(
			reply->body_len, (void *)(uintptr_t)body, reply->release, reply->release_arg);
	else
		r = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body,
						    MHD_RESPMEM_MUST_COPY);
	if (!r) {
		if (reply->release)
			reply->release(reply->release_arg);
		return MHD_NO;
	}
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(c, (unsigned)reply->status, r);
	MHD_destroy_response(r);
	return ret;
}

static bool has_body(struct MHD_Connection *c)
{
	const char *len = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (len && strcmp(len, "0") != 0) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* libmicrohttpd calls this once when the headers are there, and again when the body is. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				  _unused_ const char *version, _unused_ const char *data, size_t *data_len,
				  void **seen)
{
	static char mark;
	struct server *s = arg;
	struct server_reply reply = { .status = MHD_HTTP_NOT_FOUND };
	char host[HOST_MAX];
	struct server_request rq = { .method = method, .path = url, .host = host };
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply_with(c, &(struct server_reply){ .status = MHD_HTTP_METHOD_NOT_ALLOWED });
	if (has_body(c))
		return reply_with(c, &(struct server_reply){ .status = MHD_HTTP_CONTENT_TOO_LARGE });
	if (!*seen) {
		*seen = &mark;
		return MHD_YES;
	}
	*data_len = 0;
	copy_host(MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST), host);
	rq.accept = accept ? accept : "";
	s->fn(&rq, &reply, s->arg);
	return reply_with(c, &reply);
}

static size_t keep_escapes(_unused_ void *arg, _unused_ struct MHD_Connection *c, char *text)
{
	return strlen(text);
}

/* --- clients -------------------------------------------------------------------------------------- */

static void arm_reaper(struct server *s)
{
	struct client *k = NULL;

	TAILQ_FOREACH(k, &s->clients, entry)
	if (!k->dropped)
		break;
	if (k)
		timer_set(s->reaper, MAX(k->until_ms - clock_mono_ms(), 1));
	else
		timer_clear(s->reaper);
}

/* Shutting the descriptor down, which is libmicrohttpd's, makes it notice and close. */
static void drop(struct client *k)
{
	k->dropped = true;
	(void)shutdown(k->fd, SHUT_RDWR);
}

/* With the last place taken, whoever has been here longest goes: clients that hang must not keep the CA out. */
static void make_room(struct server *s)
{
	struct client *k = NULL;

	if (s->n_clients < s->clients_max)
		return;
	TAILQ_FOREACH(k, &s->clients, entry)
	{
		if (k->dropped)
			continue;
		drop(k);
		s->run_again = true;
		return;
	}
}

static void on_connection(void *arg, struct MHD_Connection *c, void **mine,
			  enum MHD_ConnectionNotificationCode what)
{
	struct server *s = arg;
	struct client *k = *mine;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		k = xmalloc(sizeof *k);
		k->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		k->until_ms = clock_mono_ms() + s->client_ms;
		TAILQ_INSERT_TAIL(&s->clients, k, entry);
		*mine = k;
		s->n_clients++;
		if (TAILQ_FIRST(&s->clients) == k)
			arm_reaper(s);
		make_room(s);
	} else if (k) {
		TAILQ_REMOVE(&s->clients, k, entry);
		free(k);
		/* It stopped listening at the limit, and starts again only when it is run once more. */
		s->run_again = s->run_again || s->n_clients == s->clients_max;
		s->n_clients--;
		*mine = NULL;
		if (TAILQ_EMPTY(&s->clients))
			timer_clear(s->reaper);
	}
}

/* --- the loop's side ------------------------------------------------------------------------------- */

static void run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	s->run_again = false;
	(void)MHD_run(s->daemon);
	if (s->run_again)
		timer_set(s->work, 0);
	else if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
		timer_set(s->work, ms > CLIENT_MS ? CLIENT_MS : (int64_t)ms);
	else
		timer_clear(s->work);
}

static void on_work(void *arg)
{
	run(arg);
}

static void on_poll(uv_poll_t *poll, _unused_ int status, _unused_ int events)
{
	run(poll->data);
}

static void on_reaper(void *arg)
{
	struct server *s = arg;
	struct client *k = NULL;
	int64_t now_ms = clock_mono_ms();

	TAILQ_FOREACH(k, &s->clients, entry)
	{
		if (k->until_ms > now_ms)
			break;
		drop(k);
	}
	arm_reaper(s);
	run(s);
}

/* --- life ------------------------------------------------------------------------------------------ */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int parse_listen(const char *text, union address *ret, socklen_t *ret_len, struct err *reterr)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *host = NULL;
	union address a = { 0 };
	uint64_t port = 0;

	if (!colon || str_parse_u64(colon + 1, &port) < 0 || port > 65535)
		return err_set(reterr, -EINVAL, "listen address %s: expected ADDR:PORT or [V6]:PORT", text);
	host = xstrndup(text, (size_t)(colon - text));
	if (host[0] == '[' && str_has_suffix(host, "]")) {
		host[strlen(host) - 1] = '\0';
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		*ret_len = sizeof a.v6;
		if (inet_pton(AF_INET6, host + 1, &a.v6.sin6_addr) != 1)
			return err_set(reterr, -EINVAL, "listen address %s: not an IPv6 address", text);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		*ret_len = sizeof a.v4;
		if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1)
			return err_set(reterr, -EINVAL, "listen address %s: not an IPv4 address", text);
	}
	*ret = a;
	return 0;
}

/* Whoever reaches the path may connect, as everybody on this machine may connect to a loopback address. */
static int open_unix_listener(const char *path, struct unixbind *ret, struct err *reterr)
{
	_cleanup_close_ int fd = unixbind_open(path, 0666, ret, reterr);

	if (fd < 0)
		return TAKE_FD(fd);
	if (listen(fd, BACKLOG) < 0)
		return err_set_errno(reterr, -errno, "cannot listen on %s", path);
	return TAKE_FD(fd);
}

static int open_listener(const char *text, unsigned *ret_port, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	union address a = { 0 };
	socklen_t len = 0;
	const int one = 1;
	int r = parse_listen(text, &a, &len, reterr);

	if (r < 0)
		return r;
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "cannot make a socket for %s", text);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || bind(fd, &a.any, len) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, &a.any, &len) < 0)
		return err_set_errno(reterr, -errno, "cannot listen on %s", text);
	*ret_port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
	return TAKE_FD(fd);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static int start_polling(struct server *s, struct err *reterr)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	_cleanup_free_ uv_poll_t *poll = xmalloc(sizeof *poll);
	int r = 0;

	if (!info)
		return err_set(reterr, -EIO, "libmicrohttpd has no epoll descriptor");
	r = uv_poll_init(loop_uv(s->loop), poll, info->epoll_fd);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot watch the server's sockets");
	poll->data = s;
	s->poll = TAKE_PTR(poll);
	r = uv_poll_start(s->poll, UV_READABLE, on_poll);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot watch the server's sockets");
	run(s);
	return 0;
}

DEFINE_CLEANUP(struct server *, server_free)

int server_new(struct loop *l, const char *listen_on, server_fn *fn, void *arg, struct server **ret,
	       struct err *reterr)
{
	const struct server_options o = { .listen = listen_on };

	return server_open(l, &o, fn, arg, ret, reterr);
}

int server_open(struct loop *l, const struct server_options *o, server_fn *fn, void *arg, struct server **ret,
		struct err *reterr)
{
	_cleanup_(server_freep) struct server *s = xmalloc(sizeof *s);
	_cleanup_close_ int fd = -1;
	int r = 0;

	TAILQ_INIT(&s->clients);
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->client_ms = CLIENT_MS;
	s->work = timer_new(l, on_work, s);
	s->reaper = timer_new(l, on_reaper, s);
	s->clients_max = o->clients_max > 0 ? o->clients_max : CLIENTS_MAX;
	if (str_has_prefix(o->listen, UNIX_PREFIX))
		fd = open_unix_listener(o->listen + strlen(UNIX_PREFIX), &s->file, reterr);
	else
		fd = open_listener(o->listen, &s->port, reterr);
	if (fd < 0)
		return fd;
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET,
				     fd, MHD_OPTION_CONNECTION_LIMIT, s->clients_max,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_MEMORY,
				     MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
				     MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
	if (!s->daemon)
		return err_set(reterr, -EIO, "cannot start the server on %s", o->listen);
	(void)TAKE_FD(fd); /* libmicrohttpd closes it */
	r = start_polling(s, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	if (s->poll) {
		(void)uv_poll_stop(s->poll);
		uv_close((uv_handle_t *)s->poll, on_poll_closed);
	}
	if (s->daemon)
		MHD_stop_daemon(s->daemon); /* closes all clients, on_connection is called for each */
	unixbind_close(&s->file);
	timer_free(s->work);
	timer_free(s->reaper);
	free(s);
}

void server_set_client_ms(struct server *s, int64_t ms)
{
	s->client_ms = ms;
}

unsigned server_port(const struct server *s)
{
	return s->port;
}
