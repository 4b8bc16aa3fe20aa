/* SPDX-License-Identifier: Apache-2.0 */
/* When the watchdog is fed: by a pool that works, not by a loop that merely turns. Two pool threads. */
#include "daemon/ops/watchdog.h"

#include "common/clock.h"
#include "daemon/io/blame.h"
#include "daemon/io/work.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PERIOD_MS 40
#define THREADS	  2

static struct loop *loop;
static struct watchdog *dog;
static sem_t go;
static unsigned n_pings, n_hung, wanted_pings;
static char hung_for[64];
static int64_t hung_ms;

static void ping(_unused_ void *arg)
{
	if (++n_pings == wanted_pings)
		loop_stop(loop);
}

static void hung(const char *who, int64_t busy_ms, _unused_ void *arg)
{
	n_hung++;
	hung_ms = busy_ms;
	(void)snprintf(hung_for, sizeof(hung_for), "%s", who ? who : "nobody");
	loop_stop(loop);
}

static const struct watchdog_calls CALLS = { .ping = ping, .hung = hung };

static int setup(_unused_ void **state)
{
	n_pings = n_hung = wanted_pings = 0;
	assert_int_equal(sem_init(&go, 0, 0), 0);
	assert_int_equal(loop_new(&loop, NULL), 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	watchdog_free(dog);
	dog = NULL;
	assert_int_equal(loop_drain(loop, 5000), 0);
	loop_free(loop);
	return 0;
}

static void wait_for_go(_unused_ void *arg)
{
	while (sem_wait(&go) < 0)
		;
}

static void take_a_moment(_unused_ void *arg)
{
	const struct timespec t = { .tv_nsec = PERIOD_MS * 1000000 / 2 };

	(void)nanosleep(&t, NULL);
}

static void fed(unsigned n)
{
	wanted_pings = n_pings + n;
	loop_run(loop);
}

static void test_an_idle_process_is_fed(_unused_ void **state)
{
	int64_t began = clock_mono_ms();

	dog = watchdog_new(loop, PERIOD_MS, &CALLS, NULL);
	fed(4);
	assert_int_equal(n_hung, 0);
	assert_true(clock_mono_ms() - began >= 3 * PERIOD_MS); /* once each period, not more */
}

static void test_all_threads_hang(_unused_ void **state)
{
	dog = watchdog_new(loop, PERIOD_MS, &CALLS, NULL);
	fed(1);
	{
		BLAME("www.example.jp");
		for (int i = 0; i < THREADS; i++)
			work_start(loop, wait_for_go, NULL, NULL, NULL);
	}
	fed(100); /* until hung() stops the loop */
	assert_int_equal(n_hung, 1);
	assert_true(n_pings <= 2);
	assert_string_equal(hung_for, "www.example.jp");
	assert_in_range(hung_ms, 1, 20 * PERIOD_MS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(sem_post(&go), 0);
	n_pings = 0;
	fed(3); /* they came back in time: it is fed again */
	assert_int_equal(n_hung, 1);
}

/* A long queue of long work, each piece as long as half a period: no thread hangs. */
static void test_a_long_queue_is_no_hang(_unused_ void **state)
{
	dog = watchdog_new(loop, PERIOD_MS, &CALLS, NULL);
	for (int i = 0; i < 60; i++)
		work_start(loop, take_a_moment, NULL, NULL, NULL);
	fed(8);
	assert_int_equal(n_hung, 0);
}

static void test_one_thread_hangs_for_long(_unused_ void **state)
{
	int64_t began = clock_mono_ms();

	dog = watchdog_new(loop, PERIOD_MS, &CALLS, NULL);
	work_start(loop, wait_for_go, NULL, NULL, NULL);
	fed(1000);
	assert_int_equal(n_hung, 1);
	assert_true(n_pings >= 5); /* for a while that is no reason to end the others */
	assert_true(clock_mono_ms() - began >= WATCHDOG_WORK_MAX * PERIOD_MS);
	assert_string_equal(hung_for, "nobody");
	assert_int_equal(sem_post(&go), 0);
	fed(1);
}

static void test_freed_while_the_probe_is_out(_unused_ void **state)
{
	for (int i = 0; i < THREADS; i++)
		work_start(loop, wait_for_go, NULL, NULL, NULL);
	dog = watchdog_new(loop, PERIOD_MS, &CALLS, NULL);
	fed(100);
	assert_int_equal(n_hung, 1);
	watchdog_free(dog);
	dog = NULL;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(sem_post(&go), 0);
	assert_int_equal(loop_drain(loop, 5000), 0);
	assert_int_equal(n_pings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_idle_process_is_fed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_threads_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_queue_is_no_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_thread_hangs_for_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_while_the_probe_is_out, setup, teardown),
	};

	(void)setenv("UV_THREADPOOL_SIZE", "2", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
