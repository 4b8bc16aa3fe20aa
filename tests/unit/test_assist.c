/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side of the helper. This program copies itself into a folder of its own, because the helper is looked for beside the
 * daemon: there a script plays it. */
#include "daemon/deploy/assist.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#define LONG_MS 30000

static struct {
	char dir[64];
	char *socket, *helper;
	struct loop *loop;
	int n_done;
	struct outcome o;
} t;

static void on_done(const struct outcome *o, void *owner)
{
	assert_ptr_equal(owner, &t);
	t.n_done++;
	t.o = *o;
	loop_stop(t.loop);
}

static const struct assist_ask *ask_for(const char *target)
{
	static struct assist_ask ask;

	ask = (struct assist_ask){
		.socket = t.socket,
		.config_file = "/etc/no such/dvcertd.yaml",
		.state_dir = "state",
		.name = "www.example.jp",
		.target = target,
		.generation = 7,
		.timeout_ms = LONG_MS,
	};
	return &ask;
}

static const struct outcome *run(const struct assist_ask *ask)
{
	struct assist_call *c = NULL;
	int before = t.n_done;

	assist_start(t.loop, ask, on_done, &t, &c);
	assert_non_null(c);
	assert_int_equal(t.n_done, before);
	loop_run(t.loop);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	assert_int_equal(t.n_done, before + 1);
	return &t.o;
}

static void check(const struct outcome *o, enum fault fault, const char *code, const char *words)
{
	if (o->fault != fault || strcmp(o->code, code) != 0 || !strstr(o->message, words))
		fail_msg("%s, \"%s\": %s", fault_name(o->fault), o->code, o->message);
}

static void put_helper(const char *body)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\n%s\n", body);
	int fd = open(t.helper, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static int setup(_unused_ void **state)
{
	(void)alarm(60);
	t.n_done = 0;
	return loop_new(&t.loop, NULL);
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	loop_free(t.loop);
	(void)unlink(t.helper);
	(void)unlink(t.socket);
	return 0;
}

/* --- as a child --------------------------------------------------------------------------------------- */

static void test_child_is_asked(_unused_ void **state)
{
	_cleanup_free_ char *seen = xasprintf("%s/seen", t.dir);
	_cleanup_free_ char *body = xasprintf(
		"printf '[%%s]' \"$@\" >%s; cat >>%s; env >>%s; echo '{\"ok\":true}'", seen, seen, seen);
	char text[2000] = "", cwd[300];
	int fd;

	put_helper(body);
	assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/x", 1), 0);
	check(run(ask_for("files:/etc/x.pem")), FAULT_NONE, "", "");
	assert_int_equal(unsetenv("DBUS_SYSTEM_BUS_ADDRESS"), 0);
	fd = open(seen, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	assert_int_equal(unlink(seen), 0);
	/* The folder was named from where we are, and the child is elsewhere. */
	_cleanup_free_ char *want = xasprintf(
		"[-c][/etc/no "
		"such/dvcertd.yaml][--state-dir][%s/state]{\"do\":\"files\",\"name\":\"www.example.jp\","
		"\"target\":\"files:/etc/x.pem\",\"generation\":7}\n",
		getcwd(cwd, sizeof cwd));
	assert_true(str_has_prefix(text, want));
	assert_non_null(strstr(text, "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/x\n"));
	assert_non_null(strstr(text, "PATH=/usr/local/sbin:"));
	assert_null(strstr(text, "HOME="));
}

static void test_answers_of_a_child(_unused_ void **state)
{
	static const struct {
		const char *code;
		enum fault fault;
	} codes[] = { { "files", FAULT_LOCAL },
		      { "refused", FAULT_LOCAL },
		      { "reload", FAULT_UNCLEAR },
		      { "test", FAULT_UNCLEAR } };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		_cleanup_free_ char *body =
			xasprintf("cat >/dev/null; echo '{\"ok\":false,\"code\":\"%s\",\"message\":\"a "
				  "\\\"b\\\" \u00fc\"}'",
				  codes[i].code);

		put_helper(body);
		check(run(ask_for("reload:a.service")), codes[i].fault, codes[i].code, "a \"b\" \u00fc");
	}
}

static void test_garbage_of_a_child(_unused_ void **state)
{
	static const char *const bad[] = {
		"true",
		"echo",
		"echo yes",
		"echo null",
		"echo '[]'",
		"echo '{}'",
		"echo '{\"ok\":1}'",
		"echo '{\"ok\":true,\"code\":\"files\"}'",
		"echo '{\"ok\":true,\"x\":1}'",
		"echo '{\"ok\":false}'",
		"echo '{\"ok\":false,\"code\":\"files\"}'",
		"echo '{\"ok\":false,\"code\":\"other\",\"message\":\"x\"}'",
		"echo '{\"ok\":true}'; echo '{\"ok\":true}'",
		"echo '{\"ok\":true}'; echo oops >&2",
		"yes '{\"ok\":true}' | head -c 9000000",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_helper(bad[i]);
		check(run(ask_for("files")), FAULT_UNCLEAR, "helper", "no answer");
	}
}

static void test_end_of_a_child(_unused_ void **state)
{
	put_helper("echo why; exit 3");
	check(run(ask_for("files")), FAULT_UNCLEAR, "helper", "exit code 3: why");
	put_helper("echo '{\"ok\":true}'; exit 1"); /* who fails has not done it */
	check(run(ask_for("files")), FAULT_UNCLEAR, "helper", "exit code 1");
	put_helper("kill -KILL $$");
	check(run(ask_for("files")), FAULT_UNCLEAR, "helper", "signal 9");
	(void)unlink(t.helper);
	check(run(ask_for("files")), FAULT_UNCLEAR, "helper", "systemctl enable --now dvcertd-helper.socket");
	assert_non_null(strstr(t.o.message, t.socket));
}

static void test_child_that_hangs(_unused_ void **state)
{
	struct assist_ask ask = *ask_for("files");

	ask.timeout_ms = 100;
	put_helper("exec sleep 600");
	check(run(&ask), FAULT_UNCLEAR, "helper", "in time");
}

static void test_cancel(_unused_ void **state)
{
	struct assist_call *c = NULL;

	assist_cancel(&c);
	put_helper("exec sleep 600");
	assist_start(t.loop, ask_for("files"), on_done, &t, &c);
	assist_cancel(&c);
	assert_null(c);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	assist_start(t.loop, ask_for("files"), on_done, &t, &c);
	(void)loop_drain(t.loop, 50); /* the child is running */
	assist_cancel(&c);
	assert_int_equal(loop_drain(t.loop, LONG_MS), 0);
	assert_int_equal(t.n_done, 0);
}

/* --- by the socket ------------------------------------------------------------------------------------ */

struct server {
	int listener;
	const char *answer;
	char question[1000];
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	(void)!read(fd, s->question, sizeof s->question - 1);
	(void)!write(fd, s->answer, strlen(s->answer));
	(void)close(fd);
	return NULL;
}

static const struct outcome *run_with(struct server *s, const char *target)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	pthread_t thread;

	(void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", t.socket);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
	(void)run(ask_for(target));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(s->listener);
	(void)unlink(t.socket);
	return &t.o;
}

static void test_socket(_unused_ void **state)
{
	struct server s = { .answer = "{\"ok\":true}\n" };

	put_helper("exit 9"); /* not to be run */
	check(run_with(&s, "reload:nginx.service"), FAULT_NONE, "", "");
	assert_string_equal(
		s.question,
		"{\"do\":\"reload\",\"name\":\"www.example.jp\",\"target\":\"reload:nginx.service\"}\n");
	s.answer = "{\"ok\":false,\"code\":\"test\",\"message\":\"no\"}\n";
	check(run_with(&s, "reload:nginx.service"), FAULT_UNCLEAR, "test", "no");
	s.answer = "hello\n";
	check(run_with(&s, "reload:nginx.service"), FAULT_UNCLEAR, "helper", "hello");
	s.answer = "";
	check(run_with(&s, "files"), FAULT_UNCLEAR, "helper", "journalctl -t dvcertd-helper");
}

static void test_stale_socket(_unused_ void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", t.socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	close(fd);
	put_helper("echo '{\"ok\":true}'");
	check(run(ask_for("files")), FAULT_NONE, "", "");
}

/* --- a folder of our own ------------------------------------------------------------------------------ */

static int move_out(char **argv)
{
	char dir[] = "/tmp/test_assist.XXXXXX";
	_cleanup_free_ char *copy = NULL;
	struct stat st;
	int from, to;

	if (!mkdtemp(dir))
		return 1;
	copy = xasprintf("%s/test_assist", dir);
	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	to = open(copy, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return 1;
	while (st.st_size > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)st.st_size);

		if (n <= 0)
			return 1;
		st.st_size -= n;
	}
	close(to);
	argv[0] = copy;
	execv(copy, (char *[]){ copy, dir, NULL });
	return 1;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_child_is_asked), TEST(test_answers_of_a_child), TEST(test_garbage_of_a_child),
		TEST(test_end_of_a_child), TEST(test_child_that_hangs),	  TEST(test_cancel),
		TEST(test_socket),	   TEST(test_stale_socket),
	};
	int failed;

	if (argc < 2)
		return move_out(argv);
	(void)snprintf(t.dir, sizeof t.dir, "%s", argv[1]);
	t.socket = xasprintf("%s/socket", t.dir);
	t.helper = xasprintf("%s/dvcertd-helper", t.dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(t.socket);
	free(t.helper);
	(void)unlink(argv[0]);
	return rmdir(t.dir) < 0 || failed;
}
