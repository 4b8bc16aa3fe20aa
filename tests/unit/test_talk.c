/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation in bytes: in order, within its deadline and its cap, with a proper end, and silent after cancel. */
#include "daemon/io/talk.h"

#include "common/clock.h"
#include "tests/unit/tls_server.h"

#include <errno.h>

#define LONG_MS 20000

static struct loop *loop;
static struct timer *guard;
static struct tlsd d;

/* What the owner does when it is told something. */
enum move { MOVE_NONE, MOVE_FINISH, MOVE_CANCEL };

static struct {
	struct talk *talk;
	const char *hello;
	enum move on_open, on_data;
	int n_open, n_data, n_end, r;
	char got[64];
	size_t len;
} seen;

static void move(enum move m)
{
	if (m == MOVE_FINISH)
		talk_finish(seen.talk);
	if (m != MOVE_CANCEL)
		return;
	talk_cancel(&seen.talk);
	loop_stop(loop);
}

static void on_open(_unused_ void *owner)
{
	seen.n_open++;
	talk_send(seen.talk, seen.hello, strlen(seen.hello));
	move(seen.on_open);
}

static void on_data(const char *data, size_t len, _unused_ void *owner)
{
	size_t n = MIN(len, sizeof seen.got - seen.len);

	assert_true(len > 0 && seen.n_end == 0);
	seen.n_data++;
	memcpy(seen.got + seen.len, data, n);
	seen.len += n;
	move(seen.on_data);
}

static void on_end(int r, _unused_ void *owner)
{
	seen.n_end++;
	seen.r = r;
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("nothing happened");
}

static void begin(const char *hello, enum move at_open, enum move at_data, int64_t timeout_ms)
{
	const struct sockaddr_storage to = tlsd_address(&d);
	const struct talk_spec spec = {
		.to = &to,
		.timeout_ms = timeout_ms,
		.received_max = 1000,
		.on_open = on_open,
		.on_data = on_data,
		.on_end = on_end,
	};

	memset(&seen, 0, sizeof seen);
	seen.hello = hello;
	seen.on_open = at_open;
	seen.on_data = at_data;
	talk_start(loop, &spec, &seen.talk);
	assert_int_equal(seen.n_open + seen.n_end, 0);
}

/* Returns how long it took. */
static int64_t talk(const char *hello, enum move at_open, enum move at_data, int64_t timeout_ms)
{
	int64_t start_ms = clock_mono_ms();

	begin(hello, at_open, at_data, timeout_ms);
	timer_set(guard, LONG_MS);
	loop_run(loop);
	timer_clear(guard);
	assert_int_equal(seen.n_end, at_open == MOVE_CANCEL || at_data == MOVE_CANCEL ? 0 : 1);
	return clock_mono_ms() - start_ms;
}

static void start(enum tlsd_mode mode, const char *say)
{
	d = (struct tlsd){ .mode = mode, .say = say, .say_len = say ? strlen(say) : 0 };
	tlsd_start(&d, AF_INET, 0);
}

static int setup(_unused_ void **state)
{
	(void)alarm(60);
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	return 0;
}

static int teardown(_unused_ void **state)
{
	tlsd_stop(&d);
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	return 0;
}

static void test_peer_closes(_unused_ void **state)
{
	start(TLSD_SAY_CLOSE, "answer");
	(void)talk("hello", MOVE_NONE, MOVE_NONE, LONG_MS);
	assert_int_equal(seen.r, 0);
	assert_int_equal(seen.n_open, 1);
	assert_memory_equal(seen.got, "answer", 6);
	assert_int_equal(seen.len, 6);
}

/* What was sent arrives before the end does, and what the peer still says is dropped. */
static void test_finish(_unused_ void **state)
{
	int64_t best_ms = INT64_MAX;

	start(TLSD_SAY, "answer");
	for (int i = 0; i < 5; i++) { /* a busy machine may be slow once */
		int64_t ms = talk("hello", MOVE_FINISH, MOVE_NONE, LONG_MS);

		best_ms = MIN(ms, best_ms);
		assert_int_equal(seen.r, 0);
		assert_int_equal(seen.n_open, 1);
		assert_int_equal(seen.n_data, 0);
	}
	assert_true(best_ms < 900); /* it closes when we do */
}

static void test_finish_in_an_answer(_unused_ void **state)
{
	start(TLSD_SAY, "answer");
	(void)talk("hello", MOVE_NONE, MOVE_FINISH, LONG_MS);
	assert_int_equal(seen.r, 0);
	assert_int_equal(seen.n_data, 1);
}

/* A peer that does not care that we are done is left after a second; one that talks on, at the cap. */
static void test_finish_alone(_unused_ void **state)
{
	int64_t ms = 0;

	start(TLSD_DEAF, NULL);
	ms = talk("hello", MOVE_FINISH, MOVE_NONE, LONG_MS);
	assert_in_range(ms, 900, 8000);
	assert_int_equal(seen.r, 0);
	tlsd_stop(&d);
	start(TLSD_FLOOD, "blah blah blah");
	(void)talk("hello", MOVE_FINISH, MOVE_NONE, LONG_MS);
	assert_int_equal(seen.r, 0);
	assert_int_equal(seen.n_data, 0);
}

static void test_deadline(_unused_ void **state)
{
	start(TLSD_MUTE, NULL);
	assert_in_range(talk("hello", MOVE_NONE, MOVE_NONE, 300), 280, 5000);
	assert_int_equal(seen.r, -ETIMEDOUT);
	assert_int_equal(seen.n_open, 1);
}

static void test_too_much(_unused_ void **state)
{
	start(TLSD_FLOOD, "blah blah blah");
	(void)talk("hello", MOVE_NONE, MOVE_NONE, LONG_MS);
	assert_int_equal(seen.r, -EMSGSIZE);
}

static void test_reset(_unused_ void **state)
{
	start(TLSD_RESET, NULL);
	(void)talk("hello", MOVE_NONE, MOVE_NONE, LONG_MS);
	assert_int_equal(seen.r, -ECONNRESET);
}

static void test_cannot_begin(_unused_ void **state)
{
	struct sockaddr_storage nowhere = { .ss_family = AF_UNIX };
	const struct talk_spec spec = { .to = &nowhere,
					.timeout_ms = LONG_MS,
					.on_open = on_open,
					.on_data = on_data,
					.on_end = on_end };

	start(TLSD_MUTE, NULL);
	memset(&seen, 0, sizeof seen);
	talk_start(loop, &spec, NULL);
	assert_int_equal(seen.n_end, 0);
	loop_run(loop);
	assert_int_equal(seen.n_end, 1);
	assert_true(seen.r < 0 && seen.r != -ETIMEDOUT);
}

static void test_cancel(_unused_ void **state)
{
	struct talk *none = NULL;

	talk_cancel(&none);
	start(TLSD_SAY, "answer");
	begin("hello", MOVE_NONE, MOVE_NONE, LONG_MS);
	talk_cancel(&seen.talk);
	assert_null(seen.talk);
	assert_int_equal(loop_drain(loop, 1000), 1); /* the guard */
	assert_int_equal(seen.n_open + seen.n_end, 0);
	(void)talk("hello", MOVE_CANCEL, MOVE_NONE, LONG_MS);
	(void)talk("hello", MOVE_NONE, MOVE_CANCEL, LONG_MS);
	assert_int_equal(seen.n_data, 1);
	assert_int_equal(loop_drain(loop, 1000), 1);
	assert_int_equal(seen.n_end, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_peer_closes),	 TEST(test_finish),	  TEST(test_finish_in_an_answer),
		TEST(test_finish_alone), TEST(test_deadline),	  TEST(test_too_much),
		TEST(test_reset),	 TEST(test_cannot_begin), TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
