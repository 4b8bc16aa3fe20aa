/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: order of deferred calls and timers, signals, accounting, and that idling costs nothing. */
#include "daemon/io/loop.h"

#include "common/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

struct trace {
	struct loop *loop;
	struct timer *timer;
	struct timer *other;
	char text[64];
	size_t len;
	unsigned n;
};

static void note(struct trace *t, char c)
{
	if (t->len + 1 < sizeof t->text)
		t->text[t->len++] = c;
}

static void defer_b(void *arg)
{
	note(arg, 'b');
}

static void defer_a(void *arg)
{
	struct trace *t = arg;

	note(t, 'a');
	loop_defer(t->loop, defer_b, t);
	note(t, 'A');
}

static int setup(void **state)
{
	static struct trace t;

	memset(&t, 0, sizeof t);
	assert_int_equal(loop_new(&t.loop, NULL), 0);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct trace *t = *state;

	assert_int_equal(loop_drain(t->loop, 1000), 0);
	loop_free(t->loop);
	return 0;
}

static void test_defer_is_later_and_in_order(void **state)
{
	struct trace *t = *state;

	loop_defer(t->loop, defer_a, t);
	loop_defer(t->loop, defer_b, t);
	assert_string_equal(t->text, "");
	assert_int_equal(loop_drain(t->loop, 1000), 0);
	assert_string_equal(t->text, "aAbb");
}

static void stop(void *arg)
{
	struct trace *t = arg;

	note(t, 's');
	loop_stop(t->loop);
}

static void test_run_until_stop(void **state)
{
	struct trace *t = *state;

	t->timer = timer_new(t->loop, stop, t);
	timer_set(t->timer, 1);
	loop_run(t->loop);
	assert_string_equal(t->text, "s");
	loop_defer(t->loop, stop, t);
	loop_run(t->loop);
	assert_string_equal(t->text, "ss");
	timer_free(t->timer);
}

static void again(void *arg)
{
	struct trace *t = arg;

	note(t, 't');
	if (++t->n < 3)
		timer_set(t->timer, 0);
	else
		loop_stop(t->loop);
}

/* Re-armed with 0 by its own callback, libuv 1.44's timers would never let the loop poll. */
static void test_timer_of_zero_is_next_turn(void **state)
{
	struct trace *t = *state;
	uint64_t before = loop_wakeups(t->loop);

	t->timer = timer_new(t->loop, again, t);
	timer_set(t->timer, 0);
	timer_set(t->timer, -5);
	assert_string_equal(t->text, "");
	loop_run(t->loop);
	assert_string_equal(t->text, "ttt");
	assert_int_equal(loop_wakeups(t->loop) - before, 3);
	timer_free(t->timer);
}

static void fired(void *arg)
{
	note(arg, 'f');
}

static void test_timer_order_and_clear(void **state)
{
	struct trace *t = *state;

	t->timer = timer_new(t->loop, stop, t);
	t->other = timer_new(t->loop, fired, t);
	timer_set(t->timer, 6);
	timer_set(t->other, 2);
	loop_run(t->loop);
	assert_string_equal(t->text, "fs");
	timer_set(t->timer, 4);
	timer_set(t->other, 0);
	timer_clear(t->other); /* a queued one as well */
	timer_set(t->other, 1);
	timer_clear(t->other);
	loop_run(t->loop);
	assert_string_equal(t->text, "fss");
	timer_set(t->timer, 3);
	timer_set(t->other, 0);
	timer_set(t->other, 60000); /* re-armed: the 0 is forgotten */
	loop_run(t->loop);
	assert_string_equal(t->text, "fsss");
	timer_free(t->timer);
	timer_free(t->other);
}

static void free_both(void *arg)
{
	struct trace *t = arg;

	note(t, 'x');
	timer_free(t->timer);
	timer_free(t->other);
	t->timer = NULL;
	t->other = NULL;
}

/* A timer may free itself and one that is due in the same turn. */
static void test_timer_freed_in_callback(void **state)
{
	struct trace *t = *state;

	t->timer = timer_new(t->loop, free_both, t);
	t->other = timer_new(t->loop, fired, t);
	timer_set(t->timer, 0);
	timer_set(t->other, 0);
	assert_int_equal(loop_drain(t->loop, 1000), 0);
	assert_string_equal(t->text, "x");
	timer_free(NULL);
}

static void on_usr1(int signum, void *arg)
{
	struct trace *t = arg;

	note(t, signum == SIGUSR1 ? '1' : '?');
	loop_stop(t->loop);
}

static void test_signal(void **state)
{
	struct trace *t = *state;
	struct err err = ERR_INIT;

	assert_int_equal(loop_on_signal(t->loop, SIGUSR1, on_usr1, t, &err), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run(t->loop);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run(t->loop);
	assert_string_equal(t->text, "11");
	assert_true(loop_on_signal(t->loop, SIGKILL, on_usr1, t, &err) < 0);
	assert_non_null(strstr(err.text, "signal 9"));
	assert_int_equal(raise(SIGPIPE), 0); /* ignored */
}

static void test_drain_reports_what_is_open(void **state)
{
	struct trace *t = *state;
	int64_t before = clock_mono_ms();

	t->timer = timer_new(t->loop, fired, t);
	timer_set(t->timer, 60000);
	assert_int_equal(loop_drain(t->loop, 5), 1);
	assert_true(clock_mono_ms() - before < 1000);
	assert_int_equal(loop_drain(t->loop, 0), 1);
	timer_clear(t->timer);
	assert_int_equal(loop_drain(t->loop, 60000), 1); /* cannot do anything any more: no wait */
	timer_free(t->timer);
}

/* 60 ms with a far timer and a signal watched: one wake-up, of the timer that ends the test. */
static void test_idle_does_not_wake(void **state)
{
	struct trace *t = *state;
	struct rusage a = { 0 };
	struct rusage b = { 0 };
	uint64_t before = 0;

	assert_int_equal(loop_on_signal(t->loop, SIGUSR1, on_usr1, t, NULL), 0);
	t->timer = timer_new(t->loop, stop, t);
	t->other = timer_new(t->loop, fired, t);
	timer_set(t->timer, 60);
	timer_set(t->other, 60000);
	before = loop_wakeups(t->loop);
	assert_int_equal(getrusage(RUSAGE_SELF, &a), 0);
	loop_run(t->loop);
	assert_int_equal(getrusage(RUSAGE_SELF, &b), 0);
	assert_true(loop_wakeups(t->loop) - before <= 2);
	assert_true(b.ru_nvcsw - a.ru_nvcsw < 20);
	timer_free(t->timer);
	timer_free(t->other);
}

static void linger(void *arg)
{
	int64_t until = clock_mono_ms() + 80;

	while (clock_mono_ms() < until)
		;
	(void)arg;
}

static void linger_on_signal(_unused_ int signum, void *arg)
{
	linger(NULL);
	stop(arg);
}

/* The same for a callback of a descriptor, which libuv runs elsewhere. */
static void test_busy_with_input(void **state)
{
	struct trace *t = *state;

	assert_int_equal(loop_on_signal(t->loop, SIGUSR1, linger_on_signal, t, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run(t->loop);
	t->timer = timer_new(t->loop, stop, t);
	timer_set(t->timer, 1);
	loop_run(t->loop);
	assert_in_range(loop_busy_max_ms(t->loop), 75, 2000);
	timer_free(t->timer);
}

/* Sleeping is not being busy; what a callback takes is. */
static void test_busy(void **state)
{
	struct trace *t = *state;

	t->timer = timer_new(t->loop, stop, t);
	timer_set(t->timer, 60);
	loop_run(t->loop);
	assert_true(loop_busy_max_ms(t->loop) < 50);
	t->other = timer_new(t->loop, linger, t);
	timer_set(t->other, 1);
	timer_set(t->timer, 100);
	loop_run(t->loop);
	assert_in_range(loop_busy_max_ms(t->loop), 75, 2000);
	timer_free(t->timer);
	timer_free(t->other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defer_is_later_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_until_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_of_zero_is_next_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_order_and_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_freed_in_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_reports_what_is_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_does_not_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy_with_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
