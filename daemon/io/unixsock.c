/* SPDX-License-Identifier: Apache-2.0 */
/* A line server on a unix socket. A client is closed at once only when the server is freed; all other ends go through the
 * client's timer, so that unixsock_send() and the callbacks never see a client vanish under them. */
#include "daemon/io/unixsock.h"

#include "common/mem.h"
#include "daemon/io/unixbind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uv.h>

#define CLIENTS_MAX 128U
#define LINE_CAP    (64UL * 1024)
#define WAITING_MAX (16UL * 1024 * 1024)
#define IDLE_MS	    30000
#define BACKLOG                                                                                              \
	32 /* well below CLIENTS_MAX: who is taken in must be heard before so many others are taken in */

struct unixsock_client {
	uv_pipe_t pipe;
	TAILQ_ENTRY(unixsock_client) entry;
	struct unixsock *server;
	struct timer *timer; /* idle, or 0: to be closed in the next turn */
	char *line;	     /* what came since the last newline */
	size_t line_len;
	bool alive;  /* counted: accepted and not doomed */
	bool known;  /* gone() is owed */
	bool held;   /* a request is open */
	bool leave;  /* close when all is sent */
	bool doomed; /* the timer closes it */
	bool closed;
	char chunk[4096];
};
TAILQ_HEAD(client_list, unixsock_client);

struct unixsock {
	uv_pipe_t pipe;
	struct loop *loop;
	struct unixsock_ops ops;
	void *arg;
	struct unixbind file;
	struct client_list clients;
	unsigned n_alive;
	int64_t idle_ms;
};

struct out {
	uv_write_t req;
	size_t len;
	char text[];
};

/* --- clients --------------------------------------------------------------------------------------- */

static void on_client_closed(uv_handle_t *handle)
{
	struct unixsock_client *c = handle->data;

	free(c->line);
	free(c);
}

static void client_close(struct unixsock_client *c)
{
	struct unixsock *s = c->server;

	if (c->closed)
		return;
	c->closed = true;
	TAILQ_REMOVE(&s->clients, c, entry);
	if (c->alive)
		s->n_alive--;
	c->alive = false;
	timer_free(c->timer);
	c->timer = NULL;
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
	if (c->known)
		s->ops.gone(c, s->arg);
}

static void on_client_timer(void *arg)
{
	client_close(arg);
}

static void client_doom(struct unixsock_client *c)
{
	if (c->closed || c->doomed)
		return;
	c->doomed = true;
	if (c->alive)
		c->server->n_alive--;
	c->alive = false;
	(void)uv_read_stop((uv_stream_t *)&c->pipe);
	timer_set(c->timer, 0);
}

/* Something happened for which this client deserves more time. */
static void client_touch(struct unixsock_client *c)
{
	if (c->closed || c->doomed)
		return;
	if (c->held && !c->leave)
		timer_clear(c->timer);
	else
		timer_set(c->timer, c->server->idle_ms);
}

static size_t waiting(const struct unixsock_client *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
}

static void on_written(uv_write_t *req, int status)
{
	struct out *o = req->data;
	struct unixsock_client *c = req->handle->data;

	free(o);
	if (status < 0 || (c->leave && waiting(c) == 0))
		client_doom(c);
	else
		client_touch(c);
}

void unixsock_send(struct unixsock_client *c, const char *text, size_t len, bool close_after)
{
	struct out *o = NULL;
	uv_buf_t buf;

	if (c->closed || c->doomed)
		return;
	o = xmalloc(sizeof *o + len + 1);
	o->req.data = o;
	o->len = len + 1;
	memcpy(o->text, text, len);
	o->text[len] = '\n';
	buf = uv_buf_init(o->text, (unsigned)o->len);
	c->leave = c->leave || close_after;
	if (uv_write(&o->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0) {
		free(o);
		client_doom(c);
	} else if (waiting(c) > WAITING_MAX) {
		client_doom(c);
	} else {
		client_touch(c);
	}
}

void unixsock_hold(struct unixsock_client *c, bool hold)
{
	c->held = hold;
	client_touch(c);
}

/* --- lines ------------------------------------------------------------------------------------------ */

static void line_append(struct unixsock_client *c, const char *data, size_t len)
{
	c->line = xrealloc_array(c->line, c->line_len + len + 1, 1);
	memcpy(c->line + c->line_len, data, len);
	c->line_len += len;
	c->line[c->line_len] = '\0';
}

/* Callbacks may doom the client or free the whole server; the client's memory stays until its close. */
static void take_input(struct unixsock_client *c, const char *data, size_t len)
{
	while (len > 0 && !c->closed && !c->doomed && !c->leave) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		_cleanup_free_ char *line = NULL;

		if (c->line_len + n > LINE_CAP) {
			client_doom(c);
			return;
		}
		line_append(c, data, n);
		data += n + (end ? 1 : 0);
		len -= n + (end ? 1 : 0);
		if (end) {
			size_t line_len = c->line_len;

			line = TAKE_PTR(c->line);
			c->line_len = 0;
			client_touch(c);
			c->server->ops.line(c, line, line_len, c->server->arg);
		}
	}
}

static void on_alloc(uv_handle_t *handle, _unused_ size_t hint, uv_buf_t *ret)
{
	struct unixsock_client *c = handle->data;

	*ret = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct unixsock_client *c = stream->data;

	if (n > 0) {
		take_input(c, buf->base, (size_t)n);
	} else if (n < 0) {
		/* It may have closed only its sending side: what it asked for already is still sent. */
		(void)uv_read_stop(stream);
		c->leave = true;
		if (n != UV_EOF || waiting(c) == 0)
			client_doom(c);
	}
}

/* --- the server ------------------------------------------------------------------------------------- */

static int peer_of(struct unixsock_client *c, struct unixsock_peer *ret)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof cred;
	uv_os_fd_t fd = -1;

	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof cred)
		return -EIO;
	*ret = (struct unixsock_peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
	return 0;
}

/* Who is to go when there are too many: whoever came first of those that want nothing at the moment, else of those that
 * do not read their answer. NULL: all wait for something. */
static struct unixsock_client *dispensable(struct unixsock *s, const struct unixsock_client *but)
{
	struct unixsock_client *c = NULL;
	struct unixsock_client *second = NULL;

	TAILQ_FOREACH(c, &s->clients, entry)
	{
		if (c == but || c->doomed || c->held)
			continue;
		if (waiting(c) == 0)
			return c;
		if (!second)
			second = c;
	}
	return second;
}

static void client_greet(struct unixsock_client *c)
{
	struct unixsock *s = c->server;
	struct unixsock_peer peer = { 0 };
	const char *refusal = NULL;

	if (peer_of(c, &peer) < 0) {
		client_doom(c);
		return;
	}
	if (s->n_alive >= CLIENTS_MAX) {
		struct unixsock_client *gone = dispensable(s, c);

		client_doom(gone ? gone : c);
		if (!gone)
			return;
	}
	s->n_alive++;
	c->alive = true;
	client_touch(c);
	if (!s->ops.accept(&peer, &refusal, s->arg)) {
		if (refusal)
			unixsock_send(c, refusal, strlen(refusal), true);
		else
			client_doom(c);
		return;
	}
	c->known = true;
	if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		client_doom(c);
}

static void on_incoming(uv_stream_t *stream, int status)
{
	struct unixsock *s = stream->data;
	struct unixsock_client *c = NULL;

	if (status < 0)
		return;
	c = xmalloc(sizeof *c);
	if (uv_pipe_init(loop_uv(s->loop), &c->pipe, 0) < 0) {
		free(c);
		return;
	}
	c->pipe.data = c;
	c->server = s;
	c->timer = timer_new(s->loop, on_client_timer, c);
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	if (uv_accept(stream, (uv_stream_t *)&c->pipe) < 0)
		client_doom(c);
	else
		client_greet(c);
}

static void on_server_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void unixsock_free(struct unixsock *s)
{
	struct unixsock_client *c = NULL;

	if (!s)
		return;
	while ((c = TAILQ_FIRST(&s->clients)))
		client_close(c);
	unixbind_close(&s->file);
	uv_close((uv_handle_t *)&s->pipe, on_server_closed);
}

DEFINE_CLEANUP(struct unixsock *, unixsock_free)

int unixsock_new(struct loop *l, const char *path, mode_t mode, const struct unixsock_ops *ops, void *arg,
		 struct unixsock **ret, struct err *reterr)
{
	_cleanup_(unixsock_freep) struct unixsock *s = NULL;
	_cleanup_close_ int fd = -1;
	struct unixbind file = { 0 };
	int r = 0;

	fd = unixbind_open(path, mode, &file, reterr);
	if (fd < 0)
		return fd;
	s = xmalloc(sizeof *s);
	s->file = file;
	s->loop = l;
	s->ops = *ops;
	s->arg = arg;
	s->idle_ms = IDLE_MS;
	TAILQ_INIT(&s->clients);
	r = uv_pipe_init(loop_uv(l), &s->pipe, 0);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot set up %s", path);
	s->pipe.data = s;
	r = uv_pipe_open(&s->pipe, fd);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot set up %s", path);
	(void)TAKE_FD(fd);
	r = uv_listen((uv_stream_t *)&s->pipe, BACKLOG, on_incoming);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot listen on %s", path);
	*ret = TAKE_PTR(s);
	return 0;
}

void unixsock_set_idle_ms(struct unixsock *s, int64_t ms)
{
	s->idle_ms = ms;
}
