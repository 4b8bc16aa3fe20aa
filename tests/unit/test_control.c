/* SPDX-License-Identifier: Apache-2.0 */
/* The control protocol: what lines are requests, what is answered to those that are not, requests that
 * are answered later, and peers that leave before. */
#include "daemon/ops/control.h"

#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct {
	char dir[64];
	char path[96];
	struct loop *loop;
	struct control *control;
	struct control_request *waiting;
	int n_gone;
} t;

static void verb_status(struct control_request *rq, void *arg)
{
	struct json *j = json_new_obj();
	struct json *names = json_new_arr();

	assert_ptr_equal(arg, &t);
	for (size_t i = 0; i < control_n_names(rq); i++)
		json_add_str(names, control_name(rq, i));
	json_set(j, "names", names);
	control_answer(rq, j);
}

static void verb_wait(struct control_request *rq, _unused_ void *arg)
{
	control_set_data(rq, &t.n_gone);
	t.waiting = rq;
}

static void verb_refuse(struct control_request *rq, _unused_ void *arg)
{
	const char *why = "";

	assert_true(json_get_str(control_args(rq), "why", &why) >= 0);
	control_refuse(rq, 69, "not now: %s", why);
}

static const struct control_verb verbs[] = {
	{ "status", verb_status, false },
	{ "wait", verb_wait, true },
	{ "refuse", verb_refuse, false },
};

static void on_gone(struct control_request *rq, void *arg)
{
	assert_ptr_equal(arg, &t);
	assert_ptr_equal(rq, t.waiting);
	assert_ptr_equal(control_data(rq), &t.n_gone);
	t.waiting = NULL;
	t.n_gone++;
}

static int setup(_unused_ void **state)
{
	memset(&t, 0, sizeof t);
	(void)snprintf(t.dir, sizeof t.dir, "/tmp/test_control.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.path, sizeof t.path, "%s/ctl", t.dir);
	assert_int_equal(loop_new(&t.loop, NULL), 0);
	assert_int_equal(control_new(t.loop, t.path, verbs, ARRAY_SIZE(verbs), on_gone, &t, &t.control, NULL),
			 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	control_free(t.control);
	assert_int_equal(loop_drain(t.loop, 2000), 0);
	loop_free(t.loop);
	assert_int_equal(rmdir(t.dir), 0);
	return 0;
}

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", t.path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next line; the caller frees. */
static char *get(int fd)
{
	char buf[2000] = "";
	size_t len = 0;
	int64_t until = clock_mono_ms() + 3000;

	while (clock_mono_ms() < until && len < sizeof buf - 1 && (len == 0 || buf[len - 1] != '\n')) {
		ssize_t n = recv(fd, buf + len, 1, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			(void)loop_drain(t.loop, 2);
		else if (n <= 0)
			break;
		else
			len++;
	}
	buf[len] = '\0';
	return xstrdup(buf);
}

static void expect(int fd, const char *request, const char *answer)
{
	_cleanup_free_ char *got = NULL;

	put(fd, request);
	got = get(fd);
	assert_string_equal(got, answer);
}

static void test_several_requests_in_sequence(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();

	expect(fd, "{\"verb\":\"status\"}\n", "{\"names\":[],\"ok\":true}\n");
	expect(fd, "{\"verb\":\"status\",\"names\":[\"a\",\"b\"]}\n",
	       "{\"names\":[\"a\",\"b\"],\"ok\":true}\n");
	expect(fd, "{\"verb\":\"refuse\",\"why\":\"say \\\"please\\\"\"}\n",
	       "{\"ok\":false,\"code\":69,\"error\":\"not now: say \\\"please\\\"\"}\n");
	expect(fd, "{\"verb\":\"status\"}\n{\"verb\":\"refuse\"}\n", "{\"names\":[],\"ok\":true}\n");
	expect(fd, "", "{\"ok\":false,\"code\":69,\"error\":\"not now: \"}\n");
}

static void test_bad_requests(_unused_ void **state)
{
	static const struct {
		const char *request;
		const char *why;
	} cases[] = {
		{ "\n", "" },
		{ "status\n", "" },
		{ "{\"verb\":\"status\"\n", "" },
		{ "{\"verb\":\"status\",\"verb\":\"wait\"}\n", "" },
		{ "[]\n", "a request is an object" },
		{ "{}\n", "needs a \\\"verb\\\"" },
		{ "{\"verb\":7}\n", "needs a \\\"verb\\\"" },
		{ "{\"verb\":\"stauts\"}\n", "unknown verb \\\"stauts\\\" (did you mean \\\"status\\\"?)" },
		{ "{\"verb\":\"explode\"}\n", "unknown verb \\\"explode\\\"\"" },
		{ "{\"verb\":\"\\u001b[31m\"}\n", "unknown verb" },
		{ "{\"verb\":\"status\",\"names\":\"a\"}\n", "must be an array" },
		{ "{\"verb\":\"status\",\"names\":[1]}\n", "names[0]" },
		{ "{\"verb\":\"status\",\"names\":[\"a\",\"\"]}\n", "names[1]" },
		{ "{\"verb\":\"wait\"}\n", "wait needs at least one name" },
		{ "{\"verb\":\"wait\",\"names\":[]}\n", "wait needs at least one name" },
		{ "{\"verb\":\"wait\",\"names\":null}\n", "wait needs at least one name" },
	};
	_cleanup_close_ int fd = dial();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;

		put(fd, cases[i].request);
		got = get(fd);
		if (strncmp(got, "{\"ok\":false,\"code\":64,\"error\":\"", 31) != 0 ||
		    !strstr(got, cases[i].why))
			fail_msg("%s-> %s", cases[i].request, got);
		assert_null(strchr(got, '\x1b'));
	}
	assert_null(t.waiting);
	expect(fd, "{\"verb\":\"status\"}\n", "{\"names\":[],\"ok\":true}\n");
}

static void test_later_answer(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();
	_cleanup_close_ int other = dial();
	_cleanup_free_ char *got = NULL;

	expect(fd, "{\"verb\":\"wait\",\"names\":[\"a\"]}\n{\"verb\":\"status\"}\n",
	       "{\"ok\":false,\"code\":64,\"error\":\"the previous request of this connection is still "
	       "open\"}\n");
	assert_non_null(t.waiting);
	expect(other, "{\"verb\":\"status\"}\n", "{\"names\":[],\"ok\":true}\n");
	control_answer(t.waiting, json_new_obj());
	got = get(fd);
	assert_string_equal(got, "{\"ok\":true}\n");
	expect(fd, "{\"verb\":\"status\"}\n", "{\"names\":[],\"ok\":true}\n");
	assert_int_equal(t.n_gone, 0);
}

static void test_peer_leaves_before_the_answer(_unused_ void **state)
{
	int fd = dial();

	put(fd, "{\"verb\":\"wait\",\"names\":[\"a\"]}\n");
	(void)loop_drain(t.loop, 5);
	assert_non_null(t.waiting);
	assert_int_equal(close(fd), 0);
	(void)loop_drain(t.loop, 5);
	assert_null(t.waiting);
	assert_int_equal(t.n_gone, 1);
}

static void test_free_with_an_open_request(_unused_ void **state)
{
	_cleanup_close_ int fd = dial();

	put(fd, "{\"verb\":\"wait\",\"names\":[\"a\"]}\n");
	(void)loop_drain(t.loop, 5);
	control_free(t.control);
	t.control = NULL;
	assert_int_equal(t.n_gone, 1);
	assert_int_equal(loop_drain(t.loop, 1000), 0);
}

/* Another user who got past the file's mode is refused by uid. Needs root to become somebody else. */
static void test_other_users_are_refused(_unused_ void **state)
{
	static const char want[] = "{\"ok\":false,\"code\":77,";
	int status = 0;
	pid_t pid = -1;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(t.dir, 0755), 0);
	assert_int_equal(chmod(t.path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		char buf[200] = "";
		int fd = setuid(65534) == 0 ? dial() : -1;

		_exit(fd >= 0 && recv(fd, buf, sizeof buf - 1, 0) > 0 && strstr(buf, want) == buf ? 0 : 1);
	}
	assert_true(pid > 0);
	while (waitpid(pid, &status, WNOHANG) == 0)
		(void)loop_drain(t.loop, 2);
	assert_int_equal(status, 0);
}

static void test_socket_mode_and_errors(_unused_ void **state)
{
	struct control *c = NULL;
	struct err err = ERR_INIT;
	struct stat st;

	assert_int_equal(lstat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(control_new(t.loop, t.path, verbs, 3, NULL, NULL, &c, &err), -EADDRINUSE);
	assert_int_equal(strncmp(err.text, "control socket: ", 16), 0);
	assert_null(c);
}

static void test_parse(_unused_ void **state)
{
	struct control_query q = { 0 };
	struct err err = ERR_INIT;
	const char with_nul[] = "{\"verb\":\"status\"}\0";

	assert_int_equal(control_parse("{}", 2, NULL, 0, &q, &err), -EBADMSG);
	assert_null(q.args);
	assert_int_equal(control_parse(with_nul, sizeof with_nul - 1, verbs, 3, &q, &err), -EBADMSG);
	assert_int_equal(control_parse("{\"verb\":\"wait\",\"names\":[\"x\"]}", 29, verbs, 3, &q, &err), 0);
	assert_ptr_equal(q.verb, &verbs[1]);
	assert_int_equal(json_arr_len(q.names), 1);
	json_free(q.args);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_several_requests_in_sequence),
		T(test_bad_requests),
		T(test_later_answer),
		T(test_peer_leaves_before_the_answer),
		T(test_free_with_an_open_request),
		T(test_other_users_are_refused),
		T(test_socket_mode_and_errors),
		T(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
