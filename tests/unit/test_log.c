/* SPDX-License-Identifier: Apache-2.0 */
/* common/log. Standard error is a pipe in packet mode here: one read gives what one write(2) wrote. The
 * clock stands still; its three functions replace common/clock.c. */
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/repeats.h"

int64_t clock_now(void)
{
	return 1795248000; /* 2026-11-21T08:00:00Z */
}

int64_t clock_mono_ms(void)
{
	return 1;
}

void clock_random(void *buf, size_t len)
{
	memset(buf, 7, len);
}

static const struct log_msgid placed = { .uuid = "0123456789abcdef0123456789abcdef", .name = "order-placed" };
static const struct log_ctx app = { NULL, "DVCERT_INSTANCE", "main" };
static const struct log_ctx job = { &app, "DVCERT_NAME", "web-1" };
static const struct log_ctx call = { &job, "DVCERT_ORDER", "4711" };

static char got[16384];

/* What fn writes to standard error; the number of writes is returned. */
static unsigned capture(void (*fn)(void))
{
	int p[2], saved = dup(STDERR_FILENO);
	unsigned n_writes = 0;
	size_t len = 0;
	ssize_t n;

	assert_true(saved >= 0);
	assert_int_equal(pipe2(p, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	repeats_forget();
	fn();
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	while ((n = read(p[0], got + len, sizeof(got) - 1 - len)) > 0) {
		len += (size_t)n;
		n_writes++;
	}
	got[len] = '\0';
	(void)close(saved);
	(void)close(p[0]);
	(void)close(p[1]);
	return n_writes;
}

static int reset(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	log_set_sink(NULL, NULL);
	repeats_forget();
	return 0;
}

static void say_plain(void)
{
	log_event(LOG_LEVEL_INFO, NULL, NULL, "started %d workers", 4);
}

static void say_full(void)
{
	log_event(LOG_LEVEL_WARNING, &placed, &call, "order refused");
}

static void test_text(void **state)
{
	(void)state;
	assert_int_equal(capture(say_plain), 1);
	assert_string_equal(got, "2026-11-21T08:00:00Z info: started 4 workers\n");
	assert_int_equal(capture(say_full), 1);
	assert_string_equal(got, "2026-11-21T08:00:00Z warning web-1: order refused "
				 "(EVENT=order-placed DVCERT_ORDER=4711 DVCERT_INSTANCE=main)\n");
}

static void say_hostile(void)
{
	const struct log_ctx ctx = { NULL, "DVCERT_DETAIL", "x\n2026 fake\x1b[2J\xff" };

	log_event(LOG_LEVEL_ERROR, NULL, &ctx, "server said %s", "a\r\nb\xc2\x9b");
}

static void test_text_is_one_line(void **state)
{
	(void)state;
	assert_int_equal(capture(say_hostile), 1);
	assert_string_equal(got, "2026-11-21T08:00:00Z error: server said a\\x0d\\x0ab\\xc2\\x9b "
				 "(DVCERT_DETAIL=x\\x0a2026 fake\\x1b[2J\\xff)\n");
}

static void say_shadowed(void)
{
	const struct log_ctx outer = { NULL, "DVCERT_NAME", "outer" };
	const struct log_ctx skipped = { &outer, "DVCERT_NONE", NULL };
	const struct log_ctx outer_step = { &skipped, "DVCERT_STEP", "1" };
	const struct log_ctx no_name = { &outer_step, "DVCERT_NAME", NULL };
	const struct log_ctx inner = { &no_name, "DVCERT_STEP", "2" };

	log_event(LOG_LEVEL_INFO, NULL, &inner, "m");
}

static void test_inner_context_wins(void **state)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *s = NULL;

	(void)state;
	(void)capture(say_shadowed);
	assert_string_equal(got, "2026-11-21T08:00:00Z info outer: m (DVCERT_STEP=2)\n");
	log_set_sink(log_sink_json, NULL);
	(void)capture(say_shadowed);
	assert_int_equal(json_parse(got, strlen(got), sizeof(got), &j, NULL), 0);
	assert_int_equal(json_get_str(j, "dvcert_step", &s), 1);
	assert_string_equal(s, "2");
	assert_int_equal(json_get_str(j, "dvcert_name", &s), 1);
	assert_string_equal(s, "outer");
	assert_null(json_get(j, "dvcert_none"));
}

static void say_long(void)
{
	_cleanup_free_ char *big = xmalloc(100001);
	struct log_ctx chain[40];

	memset(big, 'x', 100000);
	for (size_t i = 0; i < ARRAY_SIZE(chain); i++)
		chain[i] = (struct log_ctx){ i ? &chain[i - 1] : NULL, i % 2 ? "ODD" : "EVEN", big };
	chain[39].key = "DVCERT_NAME";
	log_event(LOG_LEVEL_INFO, &placed, &chain[39], "%s", big);
}

static void say_many(void)
{
	static char keys[400][16], val[300];
	static struct log_ctx chain[400];

	memset(val, 'v', sizeof(val) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(chain); i++) {
		snprintf(keys[i], sizeof(keys[i]), "KEY_%zu", i);
		chain[i] = (struct log_ctx){ i ? &chain[i - 1] : NULL, keys[i], val };
	}
	log_event(LOG_LEVEL_INFO, &placed, &chain[399], "still here");
}

static void test_long_lines_are_cut(void **state)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *s = NULL;

	(void)state;
	(void)capture(say_long);
	assert_true(strlen(got) > 2000 && strlen(got) <= 8192);
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
	(void)capture(say_many);
	assert_true(strlen(got) <= 8192);
	assert_non_null(strstr(got, "info: still here (EVENT=order-placed KEY_399=vvv"));
	assert_string_equal(got + strlen(got) - 2, ")\n");
	log_set_sink(log_sink_json, NULL);
	(void)capture(say_many);
	assert_int_equal(json_parse(got, strlen(got), sizeof(got), &j, NULL), 0);
	assert_int_equal(json_get_str(j, "message", &s), 1);
	assert_string_equal(s, "still here");
}

static void say_clash(void)
{
	const struct log_ctx a = { NULL, "MESSAGE", "mine\n" };
	const struct log_ctx b = { &a, "TIME", "never" };

	log_event(LOG_LEVEL_DEBUG, &placed, &b, "a \"quoted\"\n\xff text");
}

static void test_json(void **state)
{
	(void)state;
	log_set_sink(log_sink_json, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(capture(say_full), 1);
	assert_string_equal(
		got, "{\"time\":\"2026-11-21T08:00:00Z\",\"level\":\"warning\",\"message\":\"order refused\","
		     "\"message_id\":\"0123456789abcdef0123456789abcdef\",\"event\":\"order-placed\","
		     "\"dvcert_order\":\"4711\",\"dvcert_name\":\"web-1\",\"dvcert_instance\":\"main\"}\n");
	assert_int_equal(capture(say_plain), 1);
	assert_string_equal(got, "{\"time\":\"2026-11-21T08:00:00Z\",\"level\":\"info\","
				 "\"message\":\"started 4 workers\"}\n");
	assert_int_equal(capture(say_clash), 1);
	assert_string_equal(
		got, "{\"time\":\"2026-11-21T08:00:00Z\",\"level\":\"debug\","
		     "\"message\":\"a \\\"quoted\\\"\\\\x0a\\\\xff text\","
		     "\"message_id\":\"0123456789abcdef0123456789abcdef\",\"event\":\"order-placed\"}\n");
}

struct seen {
	unsigned n;
	enum log_level level;
	const struct log_msgid *id;
	const struct log_ctx *ctx;
	char message[64];
};

static void remember(const struct log_record *rec, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	seen->level = rec->level;
	seen->id = rec->id;
	seen->ctx = rec->ctx;
	snprintf(seen->message, sizeof(seen->message), "%s", rec->message);
	errno = E2BIG;
}

static void say_nine_times(void)
{
	for (int i = 1; i <= 9; i++)
		log_event(LOG_LEVEL_WARNING, &placed, &job, "no answer, attempt %d", i);
}

static void test_repeats_are_counted(void **state)
{
	static const char *const wanted[] = { "attempt 1 (EVENT",
					      "attempt 2 (2 times since 2026-11-21T08:00:00Z)",
					      "attempt 4 (4 times since 2026-11-21T08:00:00Z)",
					      "attempt 8 (8 times since 2026-11-21T08:00:00Z)" };
	(void)state;

	assert_int_equal(capture(say_nine_times), 4);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_non_null(strstr(got, wanted[i]));
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(capture(say_nine_times), 9);
	assert_null(strstr(got, "times since"));
}

static void test_own_sink(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	log_set_sink(remember, &seen);
	errno = ENOENT;
	log_event(LOG_LEVEL_WARNING, &placed, &call, "hello\t%m");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.level, LOG_LEVEL_WARNING);
	assert_ptr_equal(seen.id, &placed);
	assert_ptr_equal(seen.ctx, &call);
	assert_string_equal(seen.message, "hello\\x09No such file or directory");
}

static void test_levels(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	log_set_sink(remember, &seen);
	for (unsigned limit = 0; limit < LOG_LEVEL_NR; limit++) {
		log_set_level((enum log_level)limit);
		for (unsigned level = 0; level < LOG_LEVEL_NR; level++) {
			seen.n = 0;
			log_event((enum log_level)level, NULL, NULL, "x");
			assert_int_equal(seen.n, level <= limit);
			assert_int_equal(log_enabled((enum log_level)level), level <= limit);
		}
	}
}

static void test_level_names(void **state)
{
	static const char *const bad[] = { "", "INFO", "info ", "warn", "err", "notice", "?" };
	enum log_level level = LOG_LEVEL_NR;

	(void)state;
	for (unsigned i = 0; i < LOG_LEVEL_NR; i++) {
		assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
		assert_int_equal(level, i);
	}
	assert_string_equal(log_level_name(LOG_LEVEL_NR), "?");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(log_level_parse(bad[i], &level), -EINVAL);
	assert_int_equal(log_level_parse(NULL, &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

/* A standard error that nobody reads must not stop or kill the caller's record. */
static void test_stderr_closed(void **state)
{
	int saved = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(close(STDERR_FILENO), 0);
	say_full();
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
}

/* Sinks are called with their own argument only. */
static char first_arg, second_arg;
static atomic_uint n_mixed, n_first, n_second;

static void first_sink(_unused_ const struct log_record *rec, void *arg)
{
	atomic_fetch_add(arg == &first_arg ? &n_first : &n_mixed, 1);
}

static void second_sink(_unused_ const struct log_record *rec, void *arg)
{
	atomic_fetch_add(arg == &second_arg ? &n_second : &n_mixed, 1);
}

static void *say_much(_unused_ void *arg)
{
	while (atomic_load(&n_first) < 100 || atomic_load(&n_second) < 100)
		log_event(LOG_LEVEL_INFO, NULL, NULL, "x");
	return NULL;
}

/* As a reload does it while a pool thread complains about a state file; under ThreadSanitizer this shows more. */
static void test_sink_changes_while_others_log(void **state)
{
	pthread_t t;

	(void)state;
	log_set_sink(first_sink, &first_arg);
	assert_int_equal(pthread_create(&t, NULL, say_much, NULL), 0);
	while (atomic_load(&n_first) < 100 || atomic_load(&n_second) < 100) {
		log_set_level(LOG_LEVEL_INFO);
		log_set_sink(second_sink, &second_arg);
		log_set_sink(first_sink, &first_arg);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(atomic_load(&n_mixed), 0);
}

#define LOG_TEST(fn) cmocka_unit_test_setup(fn, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_text),
		LOG_TEST(test_text_is_one_line),
		LOG_TEST(test_inner_context_wins),
		LOG_TEST(test_long_lines_are_cut),
		LOG_TEST(test_json),
		LOG_TEST(test_repeats_are_counted),
		LOG_TEST(test_own_sink),
		LOG_TEST(test_levels),
		LOG_TEST(test_level_names),
		LOG_TEST(test_stderr_closed),
		LOG_TEST(test_sink_changes_while_others_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
