/* SPDX-License-Identifier: Apache-2.0 */
/* The journal sink. sd_journal_sendv is defined here and so replaces the one of libsystemd. */
#include "daemon/ops/journal.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cmocka.h>

int sd_journal_sendv(const struct iovec *iov, int n);

static char sent[4000];
static int n_fields;
static int reply;

int sd_journal_sendv(const struct iovec *iov, int n)
{
	size_t len = 0;

	n_fields = n;
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(sent + len, sizeof sent - len, "%.*s|", (int)iov[i].iov_len,
					(const char *)iov[i].iov_base);
	return reply;
}

static const struct log_msgid id = { .uuid = "0123456789abcdef0123456789abcdef", .name = "order-placed" };

static void test_fields(_unused_ void **state)
{
	const struct log_ctx app = { NULL, "DVCERT_NAME", "www.example.jp" };
	const struct log_ctx none = { &app, "ERROR_CODE", NULL };
	const struct log_ctx order = { &none, "ORDER_ID", "4711" };
	const struct log_record rec = { LOG_LEVEL_WARNING, &id, &order, "placed" };

	journal_sink(&rec, NULL);
	assert_string_equal(sent, "MESSAGE=www.example.jp: placed|PRIORITY=4|SYSLOG_IDENTIFIER=dvcertd|"
				  "MESSAGE_ID=0123456789abcdef0123456789abcdef|ORDER_ID=4711|"
				  "DVCERT_NAME=www.example.jp|");
}

static void test_levels_and_nothing_else(_unused_ void **state)
{
	static const char *const want[] = { "PRIORITY=3|", "PRIORITY=4|", "PRIORITY=6|", "PRIORITY=7|" };

	for (int i = 0; i < LOG_LEVEL_NR; i++) {
		const struct log_record rec = { (enum log_level)i, NULL, NULL, "m" };

		journal_sink(&rec, NULL);
		assert_non_null(strstr(sent, want[i]));
		assert_int_equal(n_fields, 3);
	}
}

static void test_inner_value_wins(_unused_ void **state)
{
	const struct log_ctx outer = { NULL, "DVCERT_NAME", "outer" };
	const struct log_ctx inner = { &outer, "DVCERT_NAME", "inner" };
	const struct log_record rec = { LOG_LEVEL_INFO, NULL, &inner, "m" };

	journal_sink(&rec, NULL);
	assert_non_null(strstr(sent, "DVCERT_NAME=inner|"));
	assert_null(strstr(sent, "outer"));
}

static void test_endless_context_is_bounded(_unused_ void **state)
{
	struct log_ctx ctx[60];
	char keys[60][16];
	const struct log_record rec = { LOG_LEVEL_INFO, NULL, &ctx[59], "m" };

	for (int i = 0; i < 60; i++) {
		(void)snprintf(keys[i], sizeof keys[i], "KEY_%d", i);
		ctx[i] = (struct log_ctx){ i > 0 ? &ctx[i - 1] : NULL, keys[i], "v" };
	}
	journal_sink(&rec, NULL);
	assert_int_equal(n_fields, 32);
}

/* Runs body with stderr in a file; returns its text, the caller frees. */
static char *with_stderr(const struct log_record *rec, bool *ret_is_journal)
{
	char path[] = "/tmp/test_journal.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	int saved = dup(STDERR_FILENO);
	char stream[64];
	char buf[500] = "";
	struct stat st;

	assert_true(fd >= 0 && saved >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	(void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	*ret_is_journal = journal_is_stderr();
	if (rec)
		journal_sink(rec, NULL);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_true(pread(fd, buf, sizeof buf - 1, 0) >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(saved), 0);
	return xstrdup(buf);
}

static void test_falls_back_to_text(_unused_ void **state)
{
	const struct log_record rec = { LOG_LEVEL_ERROR, NULL, NULL, "disk is full" };
	_cleanup_free_ char *ok = NULL;
	_cleanup_free_ char *text = NULL;
	bool is_journal = false;

	ok = with_stderr(&rec, &is_journal);
	assert_string_equal(ok, "");
	reply = -ENOENT;
	text = with_stderr(&rec, &is_journal);
	reply = 0;
	assert_non_null(strstr(text, "disk is full\n"));
}

static void test_is_stderr(_unused_ void **state)
{
	static const char *const bad[] = { "", "1", "1:", "x:y", "1:1" };
	bool is_journal = false;
	_cleanup_free_ char *text = with_stderr(NULL, &is_journal);

	assert_true(is_journal);
	assert_string_equal(text, "");
	assert_false(journal_is_stderr()); /* the variable is still there, stderr is another file */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(setenv("JOURNAL_STREAM", bad[i], 1), 0);
		assert_false(journal_is_stderr());
	}
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_false(journal_is_stderr());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_levels_and_nothing_else),
		cmocka_unit_test(test_inner_value_wins),
		cmocka_unit_test(test_endless_context_is_bounded),
		cmocka_unit_test(test_falls_back_to_text),
		cmocka_unit_test(test_is_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
