/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection by libuv. The memory of a talk outlives its end until libuv has let go of the handle. */
#include "daemon/io/talk.h"

#include "common/clock.h"
#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#define READ_SIZE 16384
#define LINGER_MS 1000

struct talk {
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_shutdown_t shutdown;
	struct talk_spec spec;
	struct timer *timer;
	int64_t deadline_ms;
	size_t n_received;
	int start_error;
	bool finishing;
	bool over; /* told or cancelled; libuv still has the handle */
	char buf[READ_SIZE];
};

struct sending {
	uv_write_t req;
	char data[];
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void dispose(struct talk *t)
{
	t->over = true;
	timer_free(TAKE_PTR(t->timer));
	uv_close((uv_handle_t *)&t->tcp, on_closed);
}

static void end(struct talk *t, int r)
{
	if (t->over)
		return;
	dispose(t);
	t->spec.on_end(r, t->spec.owner);
}

/* While finishing nothing is an error any more. */
static void fail(struct talk *t, int r)
{
	end(t, t->finishing ? 0 : r);
}

static void on_timer(void *arg)
{
	struct talk *t = arg;

	fail(t, t->start_error < 0 ? t->start_error : -ETIMEDOUT);
}

static void on_buffer(uv_handle_t *handle, _unused_ size_t wish, uv_buf_t *ret)
{
	struct talk *t = handle->data;

	*ret = uv_buf_init(t->buf, sizeof t->buf);
}

static void on_read(uv_stream_t *stream, ssize_t n, _unused_ const uv_buf_t *buf)
{
	struct talk *t = stream->data;

	if (n == UV_EOF) {
		end(t, 0);
	} else if (n < 0) {
		fail(t, (int)n);
	} else if (n > 0) {
		t->n_received += (size_t)n;
		if (t->n_received > t->spec.received_max)
			fail(t, -EMSGSIZE);
		else if (!t->finishing)
			t->spec.on_data(t->buf, (size_t)n, t->spec.owner);
	}
}

static void on_connect(uv_connect_t *req, int status)
{
	struct talk *t = req->data;
	int r = status;

	if (t->over)
		return;
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&t->tcp, on_buffer, on_read);
	if (r < 0)
		fail(t, r);
	else
		t->spec.on_open(t->spec.owner);
}

void talk_start(struct loop *l, const struct talk_spec *spec, struct talk **ret)
{
	struct talk *t = xmalloc(sizeof *t);
	int r = uv_tcp_init(loop_uv(l), &t->tcp);

	assert(r == 0); /* makes no socket yet */
	t->tcp.data = t->connect.data = t->shutdown.data = t;
	t->spec = *spec;
	t->timer = timer_new(l, on_timer, t);
	t->deadline_ms = clock_mono_ms() + spec->timeout_ms;
	t->start_error = uv_tcp_connect(&t->connect, &t->tcp, (const struct sockaddr *)spec->to, on_connect);
	timer_set(t->timer, t->start_error < 0 ? 0 : spec->timeout_ms);
	(void)r;
	if (ret)
		*ret = t;
}

/* Who cannot be written to may still have said why: the reader tells how it ends. */
static void on_sent(uv_write_t *req, _unused_ int status)
{
	free(container_of(req, struct sending, req));
}

void talk_send(struct talk *t, const void *data, size_t len)
{
	struct sending *s = NULL;
	uv_buf_t buf;

	if (t->over || len == 0)
		return;
	s = xmalloc(sizeof *s + len);
	memcpy(s->data, data, len);
	buf = uv_buf_init(s->data, (unsigned)len);
	if (uv_write(&s->req, (uv_stream_t *)&t->tcp, &buf, 1, on_sent) < 0)
		free(s);
}

static void on_shutdown(_unused_ uv_shutdown_t *req, _unused_ int status)
{
}

void talk_finish(struct talk *t)
{
	int64_t left_ms = t->deadline_ms - clock_mono_ms();

	if (t->over || t->finishing)
		return;
	t->finishing = true;
	if (uv_shutdown(&t->shutdown, (uv_stream_t *)&t->tcp, on_shutdown) < 0)
		left_ms = 0;
	timer_set(t->timer, MIN(left_ms, LINGER_MS));
}

void talk_cancel(struct talk **t)
{
	struct talk *mine = *t;

	*t = NULL;
	if (mine && !mine->over)
		dispose(mine);
}
