/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the administrator, by fork and exec of our own. uv_spawn would do most of it, but it waits on the
 * loop's thread until the exec is done (a program on a dead NFS server would stop everything), leaves descriptors
 * open that somebody forgot to mark, and looks the program up by name after we looked at it.
 *
 * So the child itself opens, checks and executes the program, and tells through a close-on-exec pipe what went
 * wrong; the parent reads that when the child has ended. What runs between fork and exec calls only what is
 * async-signal-safe (another thread may hold any lock).
 *
 * The program is opened with O_PATH and executed by that descriptor, so a binary is the file that was checked. The
 * kernel refuses (ENOENT) to run a script by a descriptor that will be closed, because its interpreter opens it by
 * name; one that stays open would be inherited by the hook and all its children, and make $0 useless. So
 * scripts are executed by their path right after the check: who can swap a script in between may write to its folder.
 *
 * setsid() and not only setpgid(): without a terminal nothing can ask for a password and hang, and Ctrl-C on a daemon
 * in the foreground does not reach hooks behind our back. What starts a session or process group of its own again is out of
 * reach; the service manager's cgroup is for that.
 *
 * The process number is ours until the child is reaped. Its end is seen by a pidfd, the group is killed
 * then, and only after that comes the reaping: no signal can ever hit a stranger. */
#include "daemon/io/child.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <uv.h>

#define KILL_AFTER_MS  2000
#define GIVE_UP_MS     2000	    /* after SIGKILL: a process in an uninterruptible wait does not end */
#define READ_SIZE      (32U * 1024) /* on the stack */
#define READS_PER_TURN 32	    /* of one child, then the others have their turn */
#define ESCAPED_MAX    (4 * CHILD_OUTPUT_MAX + 1)
#define EXIT_NOT_RUN   127

/* A descriptor that the loop watches. */
struct watch {
	uv_poll_t poll;
	int fd; /* -1: not watched */
};

enum stage { STAGE_RUNNING, STAGE_TERM, STAGE_KILL };

struct child {
	struct loop *loop;
	child_done_fn *done; /* NULL: cancelled, or told already: only to be reaped */
	void *owner;
	char *label;
	struct timer *timer;
	struct watch end;    /* pidfd */
	struct watch output; /* what the program writes to 1 and 2 */
	unsigned n_open;     /* poll handles that libuv still knows */
	int status_fd;	     /* a negative errno comes from here when the program was not run; -1: none */
	pid_t pid;	     /* 0: there is none, or it is reaped */
	int start_error;
	enum stage stage;
	bool over; /* nothing is to happen any more; freed when n_open is 0 */
	int64_t started_ms;
	char tail[CHILD_OUTPUT_MAX]; /* ring of the last bytes */
	size_t tail_at;		     /* where the next byte goes */
	size_t tail_len;
};

/* --- between fork and exec -------------------------------------------------------------------------- */

/* By the kernel's own call: libc refuses to touch the two real-time signals that it keeps for itself, but who started us may
 * have ignored them, and that is inherited. All zeros mean the default, whatever the layout of the architecture. */
static void default_signals(void)
{
	static const unsigned char dfl[64];
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)syscall(SYS_rt_sigaction, i, dfl, NULL, sizeof(uint64_t)); /* not for KILL and STOP */
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* 0 = input or /dev/null (-1), 1 and 2 = output, all others closed by exec. Returns where status is now, or a negative errno. */
static int place_descriptors(int input, int output, int status)
{
	/* Out of the way first: a daemon started without descriptors 0-2 has its pipes there. */
	status = fcntl(status, F_DUPFD_CLOEXEC, 3);
	output = fcntl(output, F_DUPFD_CLOEXEC, 3);
	input = input >= 0 ? fcntl(input, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (status < 0 || output < 0 || input < 0)
		return -errno;
	/* 0 itself may be /dev/null now, and a dup2() to itself would leave it to be closed by exec. */
	if ((input == STDIN_FILENO ? fcntl(input, F_SETFD, 0) : dup2(input, STDIN_FILENO)) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return status;
}

static int judge_program(const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || (st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
		return -EACCES;
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 || (st->st_uid != 0 && st->st_uid != geteuid()))
		return -EPERM;
	return 0;
}

int child_check(const char *program)
{
	struct stat st;

	if (program[0] != '/')
		return -EINVAL;
	return stat(program, &st) < 0 ? -errno : judge_program(&st);
}

/* Returns only when it fails. */
static int check_and_exec(const struct child_spec *spec)
{
	/* Both are only read by the kernel; their type is older than const. */
	char *const *argv = (char *const *)(uintptr_t)spec->argv;
	char *const *env = (char *const *)(uintptr_t)spec->env;
	struct stat st;
	int fd = -1, r;

	if (!argv[0] || argv[0][0] != '/')
		return -EINVAL;
	fd = open(argv[0], O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = judge_program(&st);
	if (r < 0)
		return r;
	(void)execveat(fd, "", argv, env, AT_EMPTY_PATH);
	if (errno == ENOENT)
		(void)execve(argv[0], argv, env);
	return -errno;
}

_noreturn_ static void run_program(const struct child_spec *spec, int input, int output, int status)
{
	int r = place_descriptors(input, output, status);

	if (r >= 0) {
		status = r;
		(void)setsid();
		(void)umask(077);
		r = chdir("/") < 0 ? -errno : 0;
		default_signals();
	}
	if (r >= 0)
		r = check_and_exec(spec);
	(void)!write(status, &r, sizeof r);
	_exit(EXIT_NOT_RUN);
}

/* --- memory and descriptors -------------------------------------------------------------------------- */

static void free_if_closed(struct child *c)
{
	if (!c->over || c->n_open > 0)
		return;
	free(c->label);
	free(c);
}

static void on_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	c->n_open--;
	free_if_closed(c);
}

static void watch_close(struct watch *w)
{
	if (w->fd < 0)
		return;
	uv_close((uv_handle_t *)&w->poll, on_closed); /* out of epoll at once */
	(void)close(w->fd);
	w->fd = -1;
}

/* Takes fd in any case. */
static int watch_open(struct child *c, struct watch *w, int fd, uv_poll_cb fn)
{
	int r = uv_poll_init(loop_uv(c->loop), &w->poll, fd);

	if (r < 0) {
		(void)close(fd);
		return r;
	}
	w->fd = fd;
	w->poll.data = c;
	c->n_open++;
	r = uv_poll_start(&w->poll, UV_READABLE, fn);
	if (r < 0)
		watch_close(w);
	return r;
}

static void close_status(struct child *c)
{
	if (c->status_fd >= 0)
		(void)close(c->status_fd);
	c->status_fd = -1;
}

/* The last thing that is done with a child. */
static void dispose(struct child *c)
{
	watch_close(&c->end);
	watch_close(&c->output);
	close_status(c);
	timer_free(TAKE_PTR(c->timer));
	c->over = true;
	free_if_closed(c);
}

/* --- output ------------------------------------------------------------------------------------------ */

static void tail_add(struct child *c, const char *data, size_t len)
{
	if (len > CHILD_OUTPUT_MAX) {
		data += len - CHILD_OUTPUT_MAX;
		len = CHILD_OUTPUT_MAX;
	}
	c->tail_len = MIN(c->tail_len + len, CHILD_OUTPUT_MAX);
	while (len > 0) {
		size_t n = MIN(len, CHILD_OUTPUT_MAX - c->tail_at);

		memcpy(c->tail + c->tail_at, data, n);
		c->tail_at = (c->tail_at + n) % CHILD_OUTPUT_MAX;
		data += n;
		len -= n;
	}
}

/* Without newlines at the end, on one line; the caller frees. */
static char *tail_text(const struct child *c)
{
	char flat[CHILD_OUTPUT_MAX];
	size_t start = (c->tail_at + CHILD_OUTPUT_MAX - c->tail_len) % CHILD_OUTPUT_MAX;
	size_t first = MIN(c->tail_len, CHILD_OUTPUT_MAX - start);
	size_t len = c->tail_len;

	memcpy(flat, c->tail + start, first);
	memcpy(flat + first, c->tail, len - first);
	while (len > 0 && (flat[len - 1] == '\n' || flat[len - 1] == '\r'))
		len--;
	return str_escape(flat, len, xmalloc(ESCAPED_MAX), ESCAPED_MAX);
}

/* Reads what is there, at most READS_PER_TURN times; false when nothing will come any more. */
static bool read_output(struct child *c)
{
	char buf[READ_SIZE];

	for (unsigned i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = read(c->output.fd, buf, sizeof buf);

		if (n > 0)
			tail_add(c, buf, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		else if (errno == EAGAIN)
			return true;
	}
	return true;
}

static void on_output(uv_poll_t *poll, _unused_ int status, _unused_ int events)
{
	struct child *c = poll->data;

	if (!read_output(c))
		watch_close(&c->output);
}

/* --- the end ----------------------------------------------------------------------------------------- */

static void signal_group(const struct child *c, int signum)
{
	if (c->pid <= 0)
		return;
	/* No such group: it has not come to its setsid() yet, and is alone. */
	if (kill(-c->pid, signum) < 0 && errno == ESRCH)
		(void)kill(c->pid, signum);
}

static bool has_ended(const struct child *c, int options, siginfo_t *ret)
{
	*ret = (siginfo_t){ 0 };
	return waitid(P_PIDFD, (id_t)c->end.fd, ret, WEXITED | WNOHANG | options) == 0 && ret->si_pid != 0;
}

/* Tells the owner, once; leaves c to whoever must still reap it. */
static void deliver(struct child *c, const siginfo_t *si)
{
	_cleanup_free_ char *text = tail_text(c);
	child_done_fn *done = c->done;
	bool ran = c->start_error == 0;
	struct child_result r = { .start_error = c->start_error, .exit_code = -1, .output = text };

	r.timed_out = c->stage != STAGE_RUNNING;
	if (ran && si->si_code == CLD_EXITED && !r.timed_out)
		r.exit_code = si->si_status;
	else if (ran && (si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED))
		r.signal = si->si_status;
	c->done = NULL;
	if (!done)
		return;
	log_event(LOG_LEVEL_DEBUG, NULL, NULL, "%s: start error %d, exit %d, signal %d, %lld ms%s", c->label,
		  r.start_error, r.exit_code, r.signal, (long long)(clock_mono_ms() - c->started_ms),
		  r.timed_out ? ", timed out" : "");
	done(&r, c->owner);
}

/* The child is a zombie: what it left behind goes, then it is reaped and told. */
static void finish(struct child *c)
{
	siginfo_t si;

	signal_group(c, SIGKILL);
	if (!has_ended(c, 0, &si))
		return;
	c->pid = 0;
	/* All that the program wrote is in the pipe by now. One who got away may still hold it open: no waiting. */
	if (c->output.fd >= 0)
		(void)read_output(c);
	if (c->status_fd >= 0 && read(c->status_fd, &c->start_error, sizeof c->start_error) < 0)
		c->start_error = 0;
	if (c->start_error != 0)
		c->stage = STAGE_RUNNING;
	timer_clear(c->timer);
	deliver(c, &si);
	dispose(c);
}

static void on_end(uv_poll_t *poll, _unused_ int status, _unused_ int events)
{
	struct child *c = poll->data;
	siginfo_t si;

	if (has_ended(c, WNOWAIT, &si))
		finish(c);
}

static void on_timer(void *arg)
{
	struct child *c = arg;
	siginfo_t si = { 0 };

	if (c->pid == 0) { /* it could not be started */
		deliver(c, &si);
		dispose(c);
	} else if (has_ended(c, WNOWAIT, &si)) { /* in this very turn */
		finish(c);
	} else if (c->stage == STAGE_RUNNING) {
		c->stage = STAGE_TERM;
		signal_group(c, SIGTERM);
		timer_set(c->timer, KILL_AFTER_MS);
	} else if (c->stage == STAGE_TERM) {
		c->stage = STAGE_KILL;
		signal_group(c, SIGKILL);
		timer_set(c->timer, GIVE_UP_MS);
	} else {
		deliver(c, &si); /* reaped whenever the kernel lets it go */
	}
}

/* --- start and cancel -------------------------------------------------------------------------------- */

/* An ignored SIGCHLD, inherited from who started us, makes the kernel reap by itself and lose the status. */
static void keep_zombies(void)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN) {
		sa.sa_handler = SIG_DFL;
		(void)sigaction(SIGCHLD, &sa, NULL);
	}
}

/* With all signals blocked, so that none runs a handler of ours in the child (libuv's writes to a pipe that the
 * child shares with us: the daemon would take the child's SIGTERM for its own). */
static pid_t fork_program(const struct child_spec *spec, int input, int output, int status)
{
	sigset_t all, old;
	pid_t pid = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		run_program(spec, input, output, status);
	pid = pid < 0 ? -errno : pid;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* All of the input is in the pipe before anybody reads it: it fits, so nobody has to wait. -1: there is none. */
static int make_input(const char *text, int *ret)
{
	_cleanup_close_ int end = -1;
	int fds[2] = { -1, -1 };
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return 0;
	if (len > CHILD_INPUT_MAX)
		return -EFBIG;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret = fds[0];
	end = fds[1];
	return write(end, text, len) == (ssize_t)len ? 0 : -EIO;
}

static int start(struct child *c, const struct child_spec *spec)
{
	_cleanup_close_ int input = -1;
	_cleanup_close_ int output = -1;
	_cleanup_close_ int status = -1;
	int fds[2] = { -1, -1 };
	int pidfd = -1;
	int r = make_input(spec->input, &input);

	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	c->status_fd = fds[0];
	status = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	output = fds[1];
	r = watch_open(c, &c->output, fds[0],
		       on_output); /* makes our end non-blocking; the hook's blocks as usual */
	if (r < 0)
		return r;
	keep_zombies();
	c->pid = fork_program(spec, input, output, status);
	if (c->pid < 0)
		return c->pid;
	pidfd = pidfd_open(c->pid, 0);
	r = pidfd < 0 ? -errno : watch_open(c, &c->end, pidfd, on_end);
	if (r < 0) {
		/* Out of descriptors. It has hardly begun, so this wait is as short as fork was. */
		signal_group(c, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}

void child_start(struct loop *l, const struct child_spec *spec, child_done_fn *done, void *owner,
		 struct child **ret)
{
	struct child *c = xmalloc(sizeof *c);
	int r = 0;

	c->loop = l;
	c->done = done;
	c->owner = owner;
	c->label = xstrdup(spec->label ? spec->label : spec->argv[0]);
	c->timer = timer_new(l, on_timer, c);
	c->end.fd = c->output.fd = c->status_fd = -1;
	c->started_ms = clock_mono_ms();
	r = start(c, spec);
	if (r < 0) {
		c->start_error = r;
		c->pid = 0;
		watch_close(&c->end);
		watch_close(&c->output);
	}
	timer_set(c->timer, r < 0 ? 0 : spec->timeout_ms);
	if (ret)
		*ret = c;
}

void child_cancel(struct child **c)
{
	struct child *mine = *c;

	if (!mine)
		return;
	*c = NULL;
	mine->done = NULL;
	if (mine->pid == 0) {
		dispose(mine);
		return;
	}
	signal_group(mine, SIGKILL);
	watch_close(&mine->output);
	timer_clear(mine->timer); /* what is left is to reap it when it ends */
}
