/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking on purpose: a command line tool has nothing else to do meanwhile. Every wait goes through poll() with
 * what is left of the deadline, so that a daemon that hangs cannot hang its operator. */
#include "daemon/ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/strbuf.h"

enum {
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 64,
	EXIT_CODE_ABSENT = 69,
	EXIT_CODE_AGAIN = 75,
	EXIT_CODE_DENIED = 77
};

int client_exit_code(int code)
{
	switch (code) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ENOTDIR: return EXIT_CODE_ABSENT;
	case -EACCES:
	case -EPERM: return EXIT_CODE_DENIED;
	case -ETIMEDOUT: return EXIT_CODE_AGAIN;
	case -ENAMETOOLONG: return EXIT_CODE_USAGE;
	default: return EXIT_CODE_FAILED;
	}
}

static int connect_error(int code, const char *path, struct err *reterr)
{
	switch (client_exit_code(code)) {
	case EXIT_CODE_ABSENT:
		return err_set(reterr, code,
			       "dvcertd is not running (no answer on %s): systemctl start dvcertd", path);
	case EXIT_CODE_DENIED:
		return err_set(reterr, code,
			       "%s: permission denied (root and the daemon's own user may talk to it)", path);
	case EXIT_CODE_AGAIN: return err_set(reterr, code, "dvcertd does not answer on %s", path);
	default: return err_set_errno(reterr, code, "cannot connect to %s", path);
	}
}

/* Waits until fd is ready; 0, -ETIMEDOUT or another negative errno. */
static int wait_ready(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - clock_mono_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = events };
		int n = poll(&p, 1, (int)MIN(left, 60000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* A non-blocking connect() to a unix socket succeeds at once or says EAGAIN when the backlog is full. */
static int connect_to(const char *path, int64_t deadline_ms, int *ret_fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	if (len >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, len + 1);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_mono_ms() >= deadline_ms)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, 20);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A daemon that refuses this peer may answer and close before it has read the question, so that sending fails
 * although an answer waits: -EPIPE is not an error here, reading tells. */
static int send_all(int fd, const char *text, size_t len, int64_t deadline_ms)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n >= 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = wait_ready(fd, POLLOUT, deadline_ms);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_line(int fd, int64_t deadline_ms, struct strbuf *sb)
{
	char buf[16384];
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0) {
			const char *end = memchr(buf, '\n', (size_t)n);
			strbuf_add(sb, buf, end ? (size_t)(end - buf) : (size_t)n);
			if (!strbuf_ok(sb))
				return -EFBIG;
			if (end)
				return 0;
			continue;
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = wait_ready(fd, POLLIN, deadline_ms);
		if (r < 0)
			return r;
	}
}

int client_open(const char *socket_path, int64_t timeout_ms, int *ret_fd, struct err *reterr)
{
	int r = connect_to(socket_path, clock_mono_ms() + timeout_ms, ret_fd);
	return r < 0 ? connect_error(r, socket_path, reterr) : 0;
}

int client_ask(int fd, const char *socket_path, const char *request, int64_t timeout_ms, char **ret,
	       size_t *ret_len, struct err *reterr)
{
	int64_t deadline_ms = clock_mono_ms() + timeout_ms;
	int r = send_all(fd, request, strlen(request), deadline_ms);
	if (r == 0)
		r = send_all(fd, "\n", 1, deadline_ms);
	_cleanup_(strbuf_done) struct strbuf answer = STRBUF_INIT(CLIENT_ANSWER_MAX);
	if (r == 0)
		r = read_line(fd, deadline_ms, &answer);
	if (r == -ETIMEDOUT)
		return err_set(reterr, r, "dvcertd did not answer within %lld s on %s",
			       (long long)(timeout_ms / 1000), socket_path);
	if (r == -ECONNRESET)
		return err_set(reterr, r, "dvcertd went away without an answer (%s)", socket_path);
	if (r < 0)
		return err_set_errno(reterr, r, "talking to dvcertd on %s", socket_path);
	*ret_len = answer.len;
	*ret = strbuf_take(&answer);
	return 0;
}

int client_call(const char *socket_path, const char *request, int64_t timeout_ms, char **ret, size_t *ret_len,
		struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int64_t begin_ms = clock_mono_ms();
	int r = client_open(socket_path, timeout_ms, &fd, reterr);
	if (r < 0)
		return r;
	return client_ask(fd, socket_path, request, timeout_ms - (clock_mono_ms() - begin_ms), ret, ret_len,
			  reterr);
}
