/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/helper/systemd.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/helper/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PRIVATE_SOCKET "unix:path=/run/systemd/private"
#define SERVICE	       "org.freedesktop.systemd1"
#define MANAGER_PATH   "/org/freedesktop/systemd1"
#define MANAGER	       "org.freedesktop.systemd1.Manager"
#define CALL_MS	       25000 /* at most, for one answer that is no job */
#define STOP_USEC      2000000ULL
#define GRACE_MS       6000 /* systemd ends a program that is too slow; that takes this long at most */
#define RANDOM_LEN     8

struct systemd {
	sd_bus *bus;
	sd_bus_slot *slot;
	/* The job that is waited for. Its end may be told before the answer with its name, but sd_bus_call() keeps all signals for later. */
	char *job;
	char *result;  /* "done", "failed", ...; NULL: not yet */
	int output_fd; /* of a program; -1: none */
	struct strbuf *output;
};

void systemd_close(struct systemd *s)
{
	(void)sd_bus_slot_unref(s->slot);
	(void)sd_bus_flush_close_unref(s->bus);
	free(s->job);
	free(s->result);
	closep(&s->output_fd);
	free(s);
}

/* JobRemoved(u id, o job, s unit, s result) */
static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct systemd *s = arg;
	const char *job = NULL, *unit = NULL, *result = NULL;
	uint32_t id = 0;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
		return 0;
	if (s->job && strcmp(s->job, job) == 0 && !s->result)
		s->result = xstrdup(result);
	return 0;
}

static int subscribe(struct systemd *s, struct err *reterr)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_match_signal(s->bus, &s->slot, SERVICE, MANAGER_PATH, MANAGER, "JobRemoved",
				    on_job_removed, s);

	if (r >= 0)
		r = sd_bus_call_method(s->bus, SERVICE, MANAGER_PATH, MANAGER, "Subscribe", &e, NULL, "");
	if (r < 0)
		(void)err_set(reterr, r, "cannot talk to systemd: %s", e.message ? e.message : strerror(-r));
	sd_bus_error_free(&e);
	return MIN(r, 0);
}

static int open_private(sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, PRIVATE_SOCKET);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		(void)sd_bus_unref(bus);
	else
		*ret = bus;
	return r;
}

int systemd_open(struct systemd **ret, struct err *reterr)
{
	_cleanup_(systemd_closep) struct systemd *s = xmalloc(sizeof(*s));
	int first, r;

	s->output_fd = -1;
	first = r = sd_bus_open_system(&s->bus);
	if (r < 0 && geteuid() == 0)
		r = open_private(&s->bus);
	if (r < 0 && geteuid() != 0)
		return err_set(reterr, first,
			       "this user cannot reach systemd by the system bus (%s); " HELPER_NEEDED,
			       strerror(-first));
	if (r < 0)
		return err_set(reterr, first,
			       "cannot reach systemd by the system bus (%s): is this a machine that runs "
			       "systemd and "
			       "dbus?",
			       strerror(-first));
	(void)sd_bus_set_method_call_timeout(s->bus, CALL_MS * 1000ULL);
	r = subscribe(s, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

/* --- waiting ----------------------------------------------------------------------------------------- */

static void forget(struct systemd *s)
{
	free(TAKE_PTR(s->job));
	free(TAKE_PTR(s->result));
}

/* Keeps the last half at least; the rest is only taken out of the pipe. */
static void keep_output(struct systemd *s, const char *data, size_t len)
{
	strbuf_add(s->output, data, len);
	if (s->output->failed) {
		_cleanup_free_ char *tail = xstrdup(strbuf_str(s->output) + s->output->len / 2);

		strbuf_clear(s->output);
		strbuf_adds(s->output, tail);
		strbuf_add(s->output, data, len);
	}
}

static void drain(struct systemd *s)
{
	char buf[1024];
	ssize_t n;

	while (s->output_fd >= 0 && (n = read(s->output_fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			buf[i] = buf[i] ? buf[i] : ' ';
		keep_output(s, buf, (size_t)n);
	}
	closep(&s->output_fd);
	s->output_fd = -1;
}

static int wait_once(struct systemd *s, int64_t left_ms)
{
	int events = sd_bus_get_events(s->bus);
	uint64_t usec = UINT64_MAX;
	struct pollfd p[] = {
		{ .fd = sd_bus_get_fd(s->bus), .events = (short)events },
		{ .fd = s->output_fd, .events = POLLIN },
	};

	if (events < 0 || p[0].fd < 0)
		return events < 0 ? events : p[0].fd;
	(void)sd_bus_get_timeout(s->bus, &usec);
	if (usec == 0)
		left_ms = 0;
	if (poll(p, 2, (int)MIN(left_ms, 1000)) < 0 && errno != EINTR)
		return -errno;
	drain(s);
	return 0;
}

static int wait_for_job(struct systemd *s, int64_t deadline_ms)
{
	while (!s->result) {
		int64_t left_ms = deadline_ms - clock_mono_ms();
		int r = sd_bus_process(s->bus, NULL);

		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (left_ms <= 0)
			return -ETIMEDOUT;
		r = wait_once(s, left_ms);
		if (r < 0)
			return r;
	}
	drain(s);
	return 0;
}

/* Sends a call that starts a job and waits for the job. 0 with s->result, or negative; e: what systemd said against it. */
static int run_job(struct systemd *s, sd_bus_message *call, int64_t deadline_ms, sd_bus_error *e)
{
	int64_t left_ms = MAX(deadline_ms - clock_mono_ms(), 1);
	sd_bus_message *reply = NULL;
	const char *job = NULL;
	int r = sd_bus_call(s->bus, call, (uint64_t)MIN(left_ms, CALL_MS) * 1000, e, &reply);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job);
	if (r >= 0) {
		s->job = xstrdup(job);
		r = wait_for_job(s, deadline_ms);
	}
	(void)sd_bus_message_unref(reply);
	return MIN(r, 0);
}

/* --- reload ------------------------------------------------------------------------------------------ */

static int explain_call(struct err *reterr, int r, const char *unit, const sd_bus_error *e)
{
	if (r == -ETIMEDOUT)
		return err_set(reterr, r,
			       "the reload of %s did not end in time; look at: systemctl status %s", unit,
			       unit);
	if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit") ||
	    sd_bus_error_has_name(e, "org.freedesktop.systemd1.LoadFailed"))
		return err_set(reterr, r,
			       "there is no unit %s here: install its service, or correct reload.unit", unit);
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return err_set(reterr, r, "systemd does not let this user reload %s; " HELPER_NEEDED, unit);
	return err_set(reterr, r, "systemd does not reload %s: %s", unit,
		       e->message ? e->message : strerror(-r));
}

int systemd_reload(struct systemd *s, const char *unit, int64_t deadline_ms, struct err *reterr)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(s->bus, &m, SERVICE, MANAGER_PATH, MANAGER,
					       "ReloadOrTryRestartUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = run_job(s, m, deadline_ms, &e);
	if (r < 0)
		(void)explain_call(reterr, r, unit, &e);
	else if (strcmp(s->result, "done") != 0)
		r = err_set(reterr, -EIO, "the reload of %s ended as \"%s\"; look at: journalctl -u %s", unit,
			    s->result, unit);
	forget(s);
	(void)sd_bus_message_unref(m);
	sd_bus_error_free(&e);
	return r;
}

/* --- a program as a unit ------------------------------------------------------------------------------ */

static int append_exec(sd_bus_message *m, const char *const *argv)
{
	char **words = (char **)(uintptr_t)argv; /* only read; the type is older than const */
	int r = sd_bus_message_open_container(m, 'r', "sv");

	if (r >= 0)
		r = sd_bus_message_append(m, "s", "ExecStart");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", argv[0]);
	if (r >= 0)
		r = sd_bus_message_append_strv(m, words);
	if (r >= 0)
		r = sd_bus_message_append(m, "b", false);
	for (int i = 0; i < 4 && r >= 0; i++)
		r = sd_bus_message_close_container(m);
	return r;
}

static int append_properties(sd_bus_message *m, const char *const *argv, int output, int64_t left_ms)
{
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s",
					  "configuration test for dvcertd", "Type", "s", "oneshot",
					  "CollectMode", "s", "inactive-or-failed", "TimeoutStartUSec", "t",
					  (uint64_t)left_ms * 1000, "TimeoutStopUSec", "t", STOP_USEC,
					  "StandardOutputFileDescriptor", "h", output,
					  "StandardErrorFileDescriptor", "h", output);
	if (r >= 0)
		r = append_exec(m, argv);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int make_call(struct systemd *s, const char *const *argv, int output, int64_t left_ms,
		     sd_bus_message **ret)
{
	unsigned char noise[RANDOM_LEN];
	char hex[2 * RANDOM_LEN + 1], unit[64];
	int r = sd_bus_message_new_method_call(s->bus, ret, SERVICE, MANAGER_PATH, MANAGER,
					       "StartTransientUnit");

	clock_random(noise, sizeof(noise));
	(void)snprintf(unit, sizeof(unit), "dvcertd-test-%s.service", str_hex(noise, sizeof(noise), hex));
	if (r >= 0)
		r = sd_bus_message_append(*ret, "ss", unit, "fail");
	if (r >= 0)
		r = append_properties(*ret, argv, output, left_ms);
	if (r >= 0)
		r = sd_bus_message_append(*ret, "a(sa(sv))", 0);
	return r;
}

static int explain_run(struct err *reterr, int r, const char *program, const sd_bus_error *e)
{
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return err_set(reterr, -EACCES,
			       "systemd does not let this user run the test %s; " HELPER_NEEDED, program);
	return err_set(reterr, r, "systemd does not run the test %s: %s", program,
		       e->message ? e->message : strerror(-r));
}

int systemd_run(struct systemd *s, const char *const *argv, int64_t deadline_ms, struct strbuf *output,
		struct err *reterr)
{
	int64_t left_ms = MAX(deadline_ms - clock_mono_ms(), 1);
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set_errno(reterr, -errno, "cannot make a pipe");
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	s->output_fd = fds[0];
	s->output = output;
	r = make_call(s, argv, fds[1], left_ms, &m);
	(void)close(fds[1]); /* the message has its own */
	if (r >= 0)
		r = run_job(s, m, deadline_ms + GRACE_MS, &e);
	if (r == -ETIMEDOUT || (r >= 0 && strcmp(s->result, "done") != 0 && clock_mono_ms() >= deadline_ms))
		r = err_set(reterr, -ETIMEDOUT, "did not end in time");
	else if (r < 0)
		r = explain_run(reterr, r, argv[0], &e);
	else if (strcmp(s->result, "done") != 0)
		r = err_set(reterr, -ECHILD, "failed");
	closep(&s->output_fd);
	s->output_fd = -1;
	forget(s);
	(void)sd_bus_message_unref(m);
	sd_bus_error_free(&e);
	return r;
}
