/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/helper/request.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NAME "\"name\":\"www.example.jp\""

static void refused(const char *line, const char *words)
{
	struct request rq = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(request_parse(line, strlen(line), &rq, &e), -EBADMSG);
	assert_null(rq.name);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" is not in: %s", words, e.text);
}

static void test_files(_unused_ void **state)
{
	static const char line[] =
		"{\"do\":\"files\"," NAME ",\"target\":\"files:/etc/x.pem\",\"generation\":4294967295}";
	struct request rq = { 0 };

	assert_int_equal(request_parse(line, strlen(line), &rq, NULL), 0);
	assert_int_equal(rq.verb, REQUEST_FILES);
	assert_string_equal(rq.name, "www.example.jp");
	assert_string_equal(rq.target, "files:/etc/x.pem");
	assert_int_equal(rq.generation, 4294967295U);
	request_done(&rq);
	assert_null(rq.target);
	request_done(&rq);
}

static void test_reload(_unused_ void **state)
{
	static const char line[] = "{\"target\":\"reload:nginx.service\"," NAME ",\"do\":\"reload\"}";
	struct request rq = { 0 };

	assert_int_equal(request_parse(line, strlen(line), &rq, NULL), 0);
	assert_int_equal(rq.verb, REQUEST_RELOAD);
	assert_string_equal(rq.target, "reload:nginx.service");
	assert_int_equal(rq.generation, 0);
	request_done(&rq);
}

static void test_refused(_unused_ void **state)
{
	refused("", "request");
	refused("null", "object");
	refused("[]", "object");
	refused("{}", "do");
	refused("{\"do\":\"exec\"," NAME ",\"target\":\"exec:/x\"}", "files or reload");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"files\"}", "generation");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"files\",\"generation\":null}", "generation");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"files\",\"generation\":0}", "generation");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"files\",\"generation\":4294967296}", "generation");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"files\",\"generation\":true}", "generation");
	refused("{\"do\":\"files\"," NAME ",\"target\":\"reload:a\",\"generation\":1}", "target");
	refused("{\"do\":\"reload\"," NAME ",\"target\":\"reload:a\",\"generation\":1}", "generation");
	refused("{\"do\":\"reload\"," NAME ",\"target\":\"reload:a\",\"unit\":\"b\"}", "unit");
	refused("{\"do\":\"reload\",\"name\":\"../x\",\"target\":\"reload:a\"}", "name");
	refused("{\"do\":\"reload\",\"name\":\"\",\"target\":\"reload:a\"}", "name");
	refused("{\"do\":\"reload\",\"do\":\"files\"," NAME ",\"target\":\"reload:a\"}", "request");
	refused("{\"do\":\"reload\"," NAME ",\"target\":\"reload:a\"} x", "request");
}

static void test_answers(_unused_ void **state)
{
	static const enum answer all[] = { ANSWER_FILES, ANSWER_RELOAD, ANSWER_TEST, ANSWER_REFUSED };
	static const char *const codes[] = { "files", "reload", "test", "refused" };
	struct strbuf sb = STRBUF_INIT(REQUEST_MAX);

	answer_write(ANSWER_OK, "not said", &sb);
	assert_string_equal(strbuf_str(&sb), "{\"ok\":true}\n");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_free_ char *want = xasprintf(
			"{\"ok\":false,\"code\":\"%s\",\"message\":\"a \\\"b\\\"\\\\x0a\"}\n", codes[i]);

		strbuf_clear(&sb);
		answer_write(all[i], "a \"b\"\n", &sb);
		assert_string_equal(strbuf_str(&sb), want);
	}
	strbuf_done(&sb);
}

/* Whatever the message is, it is one line that a reader takes. */
static void test_long_answer(_unused_ void **state)
{
	struct strbuf sb = STRBUF_INIT(REQUEST_MAX);
	char message[5000];
	struct json *j = NULL;

	memset(message, '"', sizeof message - 1);
	message[sizeof message - 1] = '\0';
	answer_write(ANSWER_TEST, message, &sb);
	assert_true(strbuf_ok(&sb) && sb.len <= REQUEST_MAX);
	assert_int_equal(json_parse(sb.data, sb.len, REQUEST_MAX, &j, NULL), 0);
	json_free(j);
	strbuf_done(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	    cmocka_unit_test(test_reload),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
