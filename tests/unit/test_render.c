/* SPDX-License-Identifier: Apache-2.0 */
/* The answers as people and scripts see them, and one question over a real socket. */
#include "daemon/ctl/render.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/ctl/client.h"

/* 2026-11-21T08:00:00Z */
#define NOW 1795248000

static char *render(render_fn *fn, const char *text, bool colour, unsigned columns)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(1u << 20);
	struct render_options o = { .now = NOW, .colour = colour, .columns = columns };
	struct err e = ERR_INIT;
	if (json_parse(text, strlen(text), 1u << 20, &j, &e) != 0)
		fail_msg("%s", e.text);
	fn(j, &o, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static void renders(render_fn *fn, const char *text, const char *expected)
{
	_cleanup_free_ char *s = render(fn, text, false, 0);
	assert_string_equal(s, expected);
}

static void test_now_is_what_it_says(void **state)
{
	char buf[TIMEFMT_MAX];
	(void)state;
	assert_string_equal(timefmt_rfc3339(NOW, buf), "2026-11-21T08:00:00Z");
}

static void test_show(void **state)
{
	(void)state;
	renders(render_show,
		"{\"ok\":true,\"domain\":{\"name\":\"www.jp\",\"state\":\"retrying\",\"names\":[\"www.jp\","
		"\"jp.jp\"],"
		"\"phase\":\"check\",\"product\":\"ssl_dv_geotrust\",\"key\":\"rsa "
		"2048\",\"dcv\":\"http-token\","
		"\"order_id\":112233,\"serial\":\"0a1b\",\"not_after\":\"2026-11-22T08:00:00Z\","
		"\"generation\":2,"
		"\"files\":{\"cert\":\"/l/cert.pem\",\"privkey\":\"/l/privkey.pem\"},"
		"\"next\":{\"action\":\"check\",\"at\":\"2026-11-21T08:00:00Z\"},"
		"\"deploy\":[{\"target\":\"scutum:www.jp\",\"state\":\"done\",\"at\":\"2026-11-21T07:00:"
		"00Z\","
		"\"attempts\":1,\"error\":null},{\"target\":\"scutum:b\",\"state\":\"retrying\",\"attempts\":"
		"4,"
		"\"error\":{\"code\":\"Invalid Key\",\"message\":\"no\"}}],"
		"\"error\":{\"code\":\"dns\",\"message\":\"gone\",\"at\":\"2026-11-21T07:59:00Z\","
		"\"attempts\":2},"
		"\"warnings\":[\"webroot\\nis shared\"]}}",
		"www.jp: retrying\n"
		"  names           www.jp jp.jp\n"
		"  product         ssl_dv_geotrust\n"
		"  key             rsa 2048\n"
		"  validation      http-token\n"
		"  phase           check\n"
		"  order           112233\n"
		"  serial          0a1b\n"
		"  generation      2\n"
		"  valid until     2026-11-22T08:00:00Z (in 24 h)\n"
		"  next            check 2026-11-21T08:00:00Z (now)\n"
		"  files\n"
		"                  cert       /l/cert.pem\n"
		"                  privkey    /l/privkey.pem\n"
		"  deploy          scutum:www.jp  done  60 min ago\n"
		"                  scutum:b  retrying  (4 attempts)  Invalid Key: no\n"
		"  problem         dns: gone\n"
		"  since           2026-11-21T07:59:00Z (60 s ago)\n"
		"  attempts        2\n"
		"  warning         webroot\\x0ais shared\n");
	renders(render_show, "{\"ok\":true}", "-: -\n");
}

static void test_small_answers(void **state)
{
	(void)state;
	renders(render_history,
		"{\"history\":[{\"at\":\"2026-11-21T08:00:00Z\",\"event\":\"order-placed\",\"message\":"
		"\"order 1\"},"
		"{\"at\":\"2026-11-21T08:00:09Z\",\"event\":\"issued\"}]}",
		"2026-11-21T08:00:00Z  order-placed  order 1\n2026-11-21T08:00:09Z  issued\n");
	renders(render_history, "{\"history\":[]}", "nothing has happened yet\n");
	renders(render_renew,
		"{\"accepted\":[\"a.jp\"],\"refused\":[{\"name\":\"b.jp\",\"reason\":\"not managed\"}]}",
		"a.jp: renewal started\nb.jp: refused: not managed\n");
	renders(render_deploy, "{\"accepted\":[\"a.jp\"],\"refused\":[]}", "a.jp: deployment started\n");
	renders(render_renew, "{\"accepted\":[],\"refused\":[]}", "nothing to do\n");
	renders(render_wait,
		"{\"domains\":[{\"name\":\"a.jp\",\"state\":\"valid\",\"error\":null},{\"name\":\"b.jp\","
		"\"state\":"
		"\"pending\",\"error\":{\"code\":\"x\",\"message\":\"y\"}}],\"result\":\"timeout\"}",
		"a.jp: valid\nb.jp: pending: x: y\nnot valid yet: gave up waiting (dvcertd goes on)\n");
	renders(render_reload, "{\"reloaded\":true,\"added\":1,\"removed\":0,\"changed\":2}",
		"reloaded: 1 added, 0 removed, 2 changed\n");
	renders(render_reload, "{\"added\":0,\"removed\":0,\"changed\":0,\"restart_needed\":\"state_dir\"}",
		"reloaded: 0 added, 0 removed, 0 changed\ntakes effect at the next start only: state_dir\n");
}

static void refusal(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	(void)o;
	render_refusal(answer, sb);
}

static void as_json(const struct json *answer, const struct render_options *o, struct strbuf *sb)
{
	(void)o;
	render_json(answer, sb);
}

static void test_refusal(void **state)
{
	(void)state;
	renders(refusal,
		"{\"ok\":false,\"code\":78,\"error\":\"2 problems\",\"problems\":[\"a.yaml:1:1: "
		"x\",\"a.yaml:2:1: y\"]}",
		"2 problems\na.yaml:1:1: x\na.yaml:2:1: y\n");
	renders(refusal, "{\"ok\":false,\"error\":\"two:\\na.yaml:1:1: \\u001b\\nb\\n\"}",
		"two:\na.yaml:1:1: \\x1b\nb\n");
	renders(refusal, "{\"ok\":false}", "refused without a reason\n");
}

static void test_json_is_pretty_and_has_no_ok(void **state)
{
	(void)state;
	renders(as_json,
		"{\"ok\":true,\"version\":1,\"domains\":[{\"name\":\"a\",\"names\":[\"a\",\"b\"],\"error\":"
		"null,\"ok\":false}],"
		"\"empty\":{},\"none\":[],\"q\\\"k\":\"\\u0001\"}",
		"{\n  \"version\": 1,\n  \"domains\": [\n    {\n      \"name\": \"a\",\n      \"names\": [\n "
		"       \"a\",\n"
		"        \"b\"\n      ],\n      \"error\": null,\n      \"ok\": false\n    }\n  ],\n  "
		"\"empty\": {},\n"
		"  \"none\": [],\n  \"q\\\"k\": \"\\u0001\"\n}\n");
	renders(as_json, "{\"ok\":true}", "{}\n");
}

/* ---- client ---- */

struct peer {
	int listen_fd;
	const char *answer; /* NULL: hang until the client leaves */
	char got[256];
};

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->listen_fd, NULL, NULL);
	for (size_t len = 0; !strchr(p->got, '\n');) {
		ssize_t n = recv(fd, p->got + len, sizeof(p->got) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (p->answer)
		(void)!send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
	else
		(void)!recv(fd, &(char){ 0 }, 1, 0);
	close(fd);
	return NULL;
}

struct place {
	char dir[64];
	char path[108];
};

static int place_make(void **state)
{
	struct place *p = xmalloc(sizeof(*p));
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/test_render.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	*state = p;
	return 0;
}

static int place_remove(void **state)
{
	struct place *p = *state;
	(void)unlink(p->path);
	(void)rmdir(p->dir);
	free(p);
	return 0;
}

/* Asks a peer that gives this answer; the result of client_call, the answer in ret. */
static int ask(const char *path, const char *answer, int64_t timeout_ms, char **ret, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct peer peer = { .answer = answer };
	size_t len = 0;
	pthread_t thread;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	peer.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(peer.listen_fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(peer.listen_fd, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, peer_run, &peer), 0);
	int r = client_call(path, "{\"verb\":\"status\"}", timeout_ms, ret, &len, e);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(peer.listen_fd);
	assert_string_equal(peer.got, "{\"verb\":\"status\"}\n");
	if (r == 0)
		assert_int_equal(len, strlen(*ret));
	return r;
}

static void test_client_answer(void **state)
{
	const struct place *p = *state;
	_cleanup_free_ char *s = NULL;
	assert_int_equal(ask(p->path, "{\"ok\":true}\nmore", 5000, &s, NULL), 0);
	assert_string_equal(s, "{\"ok\":true}");
}

static void test_client_failures(void **state)
{
	const struct place *p = *state;
	char long_path[300];
	char *s = NULL;
	size_t len;
	struct err e = ERR_INIT;
	assert_int_equal(ask(p->path, "{\"ok\":tr", 5000, &s, &e), -ECONNRESET);
	assert_non_null(strstr(e.text, "went away"));
	assert_int_equal(ask(p->path, NULL, 100, &s, &e), -ETIMEDOUT);
	/* The socket file is there, but nobody listens. */
	assert_int_equal(client_call(p->path, "{}", 1000, &s, &len, &e), -ECONNREFUSED);
	assert_non_null(strstr(e.text, "dvcertd is not running (no answer on "));
	assert_non_null(strstr(e.text, "): systemctl start dvcertd"));
	assert_int_equal(client_call("/nonexistent/s", "{}", 1000, &s, &len, &e), -ENOENT);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(client_call(long_path, "{}", 1000, &s, &len, &e), -ENAMETOOLONG);
	assert_null(s);
}

static void test_client_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(client_exit_code(-ENOENT), 69);
	assert_int_equal(client_exit_code(-ECONNREFUSED), 69);
	assert_int_equal(client_exit_code(-ECONNRESET), 69);
	assert_int_equal(client_exit_code(-EACCES), 77);
	assert_int_equal(client_exit_code(-ETIMEDOUT), 75);
	assert_int_equal(client_exit_code(-ENAMETOOLONG), 64);
	assert_int_equal(client_exit_code(-EFBIG), 1);
}

static void test_plan(void **state)
{
	(void)state;
	renders(render_plan,
		"{\"domains\":[{\"name\":\"new.jp\",\"action\":\"order\",\"reason\":\"there is no "
		"certificate "
		"yet\",\"at\":\"2026-11-21T08:00:00Z\",\"paid\":true,\"requests\":2,\"at_least\":true,"
		"\"calls\":[\"POST /order/certificate/x\",\"GET /y\"],"
		"\"then\":{\"action\":\"reissue\",\"at\":\"2026-11-23T08:00:00Z\"},"
		"\"warnings\":[\"look\\u001b out\"]},"
		"{\"name\":\"good.jp\",\"action\":\"none\",\"reason\":\"valid\",\"at\":null,\"paid\":false,"
		"\"requests\":0,\"calls\":[],\"then\":{\"action\":\"none\",\"at\":null},\"warnings\":[]},"
		"{\"name\":\"late.jp\",\"action\":\"order\",\"reason\":\"spent\",\"at\":\"2026-11-21T09:00:"
		"00Z\","
		"\"paid\":true,\"postponed\":true,\"requests\":0}],"
		"\"totals\":{\"domains\":1,\"orders\":1,\"reissues\":0,\"requests\":2},"
		"\"budget\":{\"max_orders_per_day\":50,\"left\":1,\"postponed\":[{\"name\":\"late.jp\","
		"\"until\":\"2026-11-21T09:00:00Z\"}]},"
		"\"changes\":{\"added\":[\"new.jp\"],\"removed\":[],\"changed\":[\"a.jp\",\"b.jp\"],"
		"\"restart_needed\":null},\"notes\":[\"and a poll\"]}",
		"new.jp: order, costs money: there is no certificate yet\n"
		"  at least 2 requests\n"
		"    POST /order/certificate/x\n"
		"    GET /y\n"
		"  then reissue 2026-11-23T08:00:00Z (in 2 d)\n"
		"  warning: look\\x1b out\n"
		"good.jp: nothing now: valid\n"
		"late.jp: order in 60 min, costs money: spent\n"
		"now: 1 order, 0 reissues, 2 requests\n"
		"  and a poll\n"
		"orders left today: 1 of 50\n"
		"  late.jp waits until 2026-11-21T09:00:00Z (in 60 min)\n"
		"added in the configuration on disk: new.jp (dvcertctl reload takes it over)\n"
		"changed in the configuration on disk: a.jp b.jp (dvcertctl reload takes it over)\n");
	renders(render_plan, "{}", "now: 0 orders, 0 reissues, 0 requests\norders left today: 0 of 0\n");
}

static void test_results(void **state)
{
	(void)state;
	renders(render_revoke, "{\"name\":\"a.jp\",\"result\":\"revoked\",\"message\":\"\"}",
		"a.jp: revoked\n");
	renders(render_revoke, "{\"name\":\"a.jp\",\"result\":\"failed\",\"message\":\"no\"}",
		"a.jp: not revoked: no\n");
	renders(render_revoke, "{\"name\":\"a.jp\",\"result\":\"dreaming\"}", "a.jp: dreaming\n");
	renders(render_cancel, "{\"name\":\"a.jp\",\"result\":\"nothing\"}",
		"a.jp: nothing to do: no issuance is under way\n");
	renders(render_check_dcv,
		"{\"name\":\"a.jp\",\"result\":\"not_validated\",\"not_validated\":[\"a.jp\",\"b.jp\"]}",
		"a.jp: the CA does not see the proof yet\n  not proven: a.jp b.jp\n");
	renders(render_resend_emails, "{\"name\":\"a.jp\",\"result\":\"sent\"}",
		"a.jp: the CA sends its mail again\n");
	renders(render_reissue, "{\"accepted\":[\"a.jp\"],\"refused\":[]}", "a.jp: reissue started\n");
	renders(render_duplicate,
		"{\"name\":\"a.jp\",\"result\":\"issued\",\"certificate_id\":7,\"serial\":\"0a\","
		"\"not_after\":\"2026-11-22T08:00:00Z\"}",
		"a.jp: a duplicate is issued\n"
		"  certificate 7, serial 0a, valid until 2026-11-22T08:00:00Z (in 24 h)\n");
	renders(render_duplicate, "{\"name\":\"a.jp\",\"result\":\"pending\",\"message\":\"slow\"}",
		"a.jp: not issued yet, run the same command again: slow\n");
}

static void test_account(void **state)
{
	(void)state;
	renders(render_auth_key, "{\"result\":\"nothing\",\"auth_keys\":[]}",
		"the account has no AuthKey: dvcertctl auth-key create --yes makes one\n");
	renders(render_auth_key,
		"{\"result\":\"created\",\"auth_keys\":[{\"id\":\"A1\",\"status\":\"active\",\"used\":true,"
		"\"expires_at\":null},{\"id\":\"B2\",\"status\":null,\"expires_at\":\"2026-11-22T08:00:00Z\"}"
		"]}",
		"created:\n"
		"A1  active  without an end  used by dvcertd\n"
		"B2  -  until 2026-11-22T08:00:00Z (in 24 h)\n"
		"The key itself is never shown: dvcertd reads it from the API when it needs it.\n");
	renders(render_budget,
		"{\"max_orders_per_day\":2,\"spent\":2,\"left\":0,\"next_at\":\"2026-11-21T09:00:00Z\","
		"\"rate_limits\":[{\"requests\":900,\"per\":180,\"left\":890}],\"key_blocked\":true,"
		"\"orders\":[{\"name\":\"a.jp\",\"at\":\"2026-11-20T09:00:00Z\"}]}",
		"orders in the last 24 hours: 2 of 2, 0 left\n"
		"  2026-11-20T09:00:00Z  a.jp\n"
		"the next one may be placed 2026-11-21T09:00:00Z (in 60 min)\n"
		"requests in 3m: room for 890 of 900\n"
		"CertCentral does not accept the API key: nothing is asked until a reload\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now_is_what_it_says),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_small_answers),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_json_is_pretty_and_has_no_ok),
		cmocka_unit_test_setup_teardown(test_client_answer, place_make, place_remove),
		cmocka_unit_test_setup_teardown(test_client_failures, place_make, place_remove),
		cmocka_unit_test(test_client_exit_codes),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_account),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
