/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi interface on the loop.
 *
 * Rules: one heap object per socket, freed only when libuv has closed it; an error of the poll is told
 * to libcurl; finished transfers are collected after every action, not only while others still run (the
 * last one would be lost); a timer of 0 ms comes in the next turn, because libcurl must not be entered
 * from its own callback. */
#include "daemon/io/curlmulti.h"

#include "common/mem.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <sys/queue.h>
#include <uv.h>

#define IDLE_CONNECTIONS_MAX 32L

struct sock {
	uv_poll_t poll;
	LIST_ENTRY(sock) entry;
	struct curlmulti *multi;
	curl_socket_t fd;
};

struct curlmulti {
	struct loop *loop;
	CURLM *curl;
	struct timer *timer;
	LIST_HEAD(, sock) socks;
	curlmulti_finished_fn *finished;
	curlmulti_turn_fn *turn;
	void *arg;
};

static void collect(struct curlmulti *m)
{
	CURLMsg *msg = NULL;
	int left = 0;

	while ((msg = curl_multi_info_read(m->curl, &left))) {
		if (msg->msg == CURLMSG_DONE)
			m->finished(msg->easy_handle, (int)msg->data.result, m->arg);
	}
	m->turn(m->arg); /* m may be gone now */
}

/* An error of the whole handle (out of memory, a socket that cannot be watched) leaves libcurl without having told which sockets and
 * which time it waits for, and nobody knows of what: all calls would wait for ever. A new process knows where it was. */
static void act(struct curlmulti *m, curl_socket_t fd, int flags)
{
	int running = 0;
	CURLMcode rc = curl_multi_socket_action(m->curl, fd, flags, &running);

	if (rc != CURLM_OK) {
		(void)fprintf(stderr, "dvcertd: libcurl cannot go on: %s\n", curl_multi_strerror(rc));
		abort();
	}
	collect(m);
}

static void on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(_unused_ CURLM *curl, long ms, void *arg)
{
	struct curlmulti *m = arg;

	if (ms < 0)
		timer_clear(m->timer);
	else
		timer_set(m->timer, ms);
	return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = poll->data;
	int flags = 0;

	flags |= status < 0 ? CURL_CSELECT_ERR : 0;
	flags |= status == 0 && (events & UV_READABLE) ? CURL_CSELECT_IN : 0;
	flags |= status == 0 && (events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0;
	act(s->multi, s->fd, flags);
}

static void on_sock_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void sock_close(struct sock *s)
{
	LIST_REMOVE(s, entry);
	/* Stops at once, so that libcurl may close the descriptor and get the same number again. */
	(void)uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_sock_closed);
}

static struct sock *sock_new(struct curlmulti *m, curl_socket_t fd)
{
	_cleanup_free_ struct sock *s = xmalloc(sizeof *s);

	if (uv_poll_init(loop_uv(m->loop), &s->poll, fd) < 0)
		return NULL;
	s->poll.data = s;
	s->multi = m;
	s->fd = fd;
	LIST_INSERT_HEAD(&m->socks, s, entry);
	return TAKE_PTR(s);
}

static int on_curl_socket(_unused_ CURL *easy, curl_socket_t fd, int what, void *arg, void *sock)
{
	struct curlmulti *m = arg;
	struct sock *s = sock;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s)
			sock_close(s);
		return 0;
	}
	if (!s) {
		s = sock_new(m, fd);
		if (!s)
			return -1;
		(void)curl_multi_assign(m->curl, fd, s); /* one of the few calls allowed in here */
	}
	events |= (what & CURL_POLL_IN) ? UV_READABLE : 0;
	events |= (what & CURL_POLL_OUT) ? UV_WRITABLE : 0;
	return uv_poll_start(&s->poll, events, on_poll) < 0 ? -1 : 0;
}

int curlmulti_new(struct loop *l, unsigned max_host_connections, curlmulti_finished_fn *finished,
		  curlmulti_turn_fn *turn, void *arg, struct curlmulti **ret, struct err *reterr)
{
	static bool ready;
	struct curlmulti *m = NULL;
	CURLM *curl = NULL;

	/* Where memory is out the process ends: libcurl would call it a failed request, or forget a transfer. */
	if (!ready &&
	    curl_global_init_mem(CURL_GLOBAL_DEFAULT, xmalloc, free, xrealloc, xstrdup, xcalloc) != CURLE_OK)
		return err_set(reterr, -EIO, "cannot set up libcurl");
	ready = true;
	curl = curl_multi_init();
	if (!curl)
		return err_set(reterr, -ENOMEM, "cannot set up libcurl's multi handle");
	m = xmalloc(sizeof *m);
	m->loop = l;
	m->curl = curl;
	m->timer = timer_new(l, on_timer, m);
	m->finished = finished;
	m->turn = turn;
	m->arg = arg;
	LIST_INIT(&m->socks);
	(void)curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	(void)curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, m);
	(void)curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	(void)curl_multi_setopt(curl, CURLMOPT_TIMERDATA, m);
	(void)curl_multi_setopt(curl, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
	(void)curl_multi_setopt(curl, CURLMOPT_MAX_HOST_CONNECTIONS, (long)max_host_connections);
	*ret = m;
	return 0;
}

void curlmulti_free(struct curlmulti *m)
{
	struct sock *s = NULL;

	if (!m)
		return;
	(void)curl_multi_cleanup(m->curl);
	/* libcurl stops watching a connection when it becomes idle; this is for the one it forgot. */
	while ((s = LIST_FIRST(&m->socks)))
		sock_close(s);
	timer_free(m->timer);
	free(m);
}

int curlmulti_add(struct curlmulti *m, void *easy)
{
	return curl_multi_add_handle(m->curl, easy) == CURLM_OK ? 0 : -EIO;
}

void curlmulti_remove(struct curlmulti *m, void *easy)
{
	(void)curl_multi_remove_handle(m->curl, easy);
}
