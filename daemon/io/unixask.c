/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens is asked of the connection (SO_PEERCRED), not of the file: that cannot be swapped, and systemd gives the file to whoever may
 * connect. Everything begins in the timer, so that nothing is called back before the start has returned. */
#include "daemon/io/unixask.h"

#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#define BUSY_MS 50 /* until another try when its backlog is full */

struct unixask {
	uv_poll_t poll;
	struct loop *loop;
	unixask_done_fn *done;
	void *owner;
	char *path;
	char *out; /* the line with its newline */
	size_t out_len, out_at;
	struct timer *timer;
	int64_t deadline_ms;
	int fd; /* -1: not connected */
	bool polling;
	char in[UNIXASK_MAX + 1];
	size_t in_len;
};

static void ask_free(struct unixask *a)
{
	free(a->path);
	mem_wipe_free(a->out);
	free(a);
}

static void on_closed(uv_handle_t *handle)
{
	ask_free(handle->data);
}

/* Out of the loop; freed when libuv has let go. */
static void dispose(struct unixask *a)
{
	timer_free(TAKE_PTR(a->timer));
	if (a->polling)
		uv_close((uv_handle_t *)&a->poll, on_closed);
	closep(&a->fd);
	a->fd = -1;
	if (!a->polling)
		ask_free(a);
}

static void finish(struct unixask *a, int error)
{
	const struct unixask_result r = { .error = error, .line = error == 0 ? a->in : NULL };

	timer_clear(a->timer);
	if (a->polling)
		(void)uv_poll_stop(&a->poll);
	a->done(&r, a->owner);
	dispose(a);
}

/* --- talking ----------------------------------------------------------------------------------------- */

/* 1: all is out; 0: later. One who answers without having read everything is no error: reading tells. */
static int send_some(struct unixask *a)
{
	while (a->out_at < a->out_len) {
		ssize_t n = send(a->fd, a->out + a->out_at, a->out_len - a->out_at, MSG_NOSIGNAL);

		if (n > 0)
			a->out_at += (size_t)n;
		else if (errno == EPIPE || errno == ECONNRESET)
			a->out_at = a->out_len;
		else if (errno != EINTR)
			return errno == EAGAIN ? 0 : -errno;
	}
	return 1;
}

/* 1: the line is there; 0: later. */
static int receive_some(struct unixask *a)
{
	for (;;) {
		ssize_t n = recv(a->fd, a->in + a->in_len, sizeof(a->in) - a->in_len, 0);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		end = memchr(a->in + a->in_len, '\n', (size_t)n);
		a->in_len += (size_t)n;
		if (end) {
			*end = '\0';
			return memchr(a->in, '\0', (size_t)(end - a->in)) ? -EBADMSG : 1;
		}
		if (a->in_len == sizeof(a->in))
			return -EFBIG;
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct unixask *a = poll->data;
	int r = status < 0 ? 1 : send_some(a);

	(void)events;
	if (r > 0)
		r = receive_some(a);
	if (r > 0)
		finish(a, 0);
	else if (
		r == 0 &&
		status <
			0) /* libuv's word for "reset", and it looks no longer; what came before could still be read */
		finish(a, -ECONNRESET);
	else if (r < 0)
		finish(a, r);
	else if (a->out_at == a->out_len)
		(void)uv_poll_start(&a->poll, UV_READABLE, on_ready); /* cannot fail for one that runs */
}

/* --- connecting -------------------------------------------------------------------------------------- */

static int check_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

/* 0: connected; -EAGAIN: its backlog is full. To a unix socket, connect() never takes longer. */
static int connect_now(struct unixask *a)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(a->path);
	_cleanup_close_ int fd = -1;
	int r;

	if (len >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, a->path, len + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	r = check_peer(fd);
	if (r < 0)
		return r;
	r = uv_poll_init(loop_uv(a->loop), &a->poll, fd);
	if (r < 0)
		return r;
	a->poll.data = a;
	a->polling = true;
	a->fd = TAKE_FD(fd);
	return uv_poll_start(&a->poll, UV_READABLE | UV_WRITABLE, on_ready);
}

static void on_timer(void *arg)
{
	struct unixask *a = arg;
	int64_t left_ms = a->deadline_ms - clock_mono_ms();
	int r = -ETIMEDOUT;

	if (left_ms > 0 && a->fd < 0)
		r = connect_now(a);
	if (r == 0)
		timer_set(a->timer, left_ms);
	else if (r == -EAGAIN || r == -EINTR)
		timer_set(a->timer, MIN(left_ms, BUSY_MS));
	else
		finish(a, r);
}

void unixask_start(struct loop *l, const char *path, const char *line, int64_t timeout_ms,
		   unixask_done_fn *done, void *owner, struct unixask **ret)
{
	struct unixask *a = xmalloc(sizeof(*a));

	a->loop = l;
	a->done = done;
	a->owner = owner;
	a->path = xstrdup(path);
	a->out = xasprintf("%s\n", line);
	a->out_len = strlen(a->out);
	a->fd = -1;
	a->deadline_ms = clock_mono_ms() + MAX(timeout_ms, 1);
	a->timer = timer_new(l, on_timer, a);
	timer_set(a->timer, 0);
	if (ret)
		*ret = a;
}

void unixask_cancel(struct unixask **a)
{
	struct unixask *mine = *a;

	if (!mine)
		return;
	*a = NULL;
	dispose(mine);
}
