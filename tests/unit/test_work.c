/* SPDX-License-Identifier: Apache-2.0 */
/* Work in the pool: done on the loop's thread, drop instead of done after a cancel, whether the work
 * waits, runs or has just ended. One pool thread, so that "waits" can be arranged. */
#include "daemon/io/work.h"

#include "daemon/io/blame.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct task {
	sem_t started;
	sem_t go;
	pthread_t pool_thread;
	pthread_t done_thread;
	int n_run;
	int n_done;
	int n_drop;
};

static void run(void *arg)
{
	struct task *t = arg;

	t->pool_thread = pthread_self();
	t->n_run++;
}

static void run_gated(void *arg)
{
	struct task *t = arg;

	t->n_run++;
	(void)sem_post(&t->started);
	(void)sem_wait(&t->go);
}

static void done(void *arg)
{
	struct task *t = arg;

	t->done_thread = pthread_self();
	t->n_done++;
}

static void drop(void *arg)
{
	struct task *t = arg;

	t->n_drop++;
}

static struct loop *loop;

static int setup(void **state)
{
	static struct task tasks[3];

	memset(tasks, 0, sizeof tasks);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		assert_int_equal(sem_init(&tasks[i].started, 0, 0), 0);
		assert_int_equal(sem_init(&tasks[i].go, 0, 0), 0);
	}
	assert_int_equal(loop_new(&loop, NULL), 0);
	*state = tasks;
	return 0;
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	return 0;
}

static void test_runs_elsewhere_and_ends_here(void **state)
{
	struct task *t = *state;
	struct work *w = NULL;

	work_start(loop, run, done, t, &w);
	assert_non_null(w);
	assert_int_equal(t->n_done, 0);
	work_start(loop, run, done, &t[1], NULL);
	assert_int_equal(loop_drain(loop, 2000), 0);
	assert_int_equal(t->n_done, 1);
	assert_int_equal(t[1].n_done, 1);
	assert_false(pthread_equal(t->pool_thread, pthread_self()));
	assert_true(pthread_equal(t->done_thread, pthread_self()));
}

static void test_cancel_running_and_waiting(void **state)
{
	struct task *t = *state;
	struct work *w[3] = { NULL };

	work_start(loop, run_gated, done, &t[0], &w[0]);
	work_start(loop, run, done, &t[1], &w[1]);
	work_start(loop, run, done, &t[2], &w[2]);
	assert_int_equal(sem_wait(&t[0].started), 0);
	work_cancel(&w[0], drop);
	work_cancel(&w[1], drop);
	assert_null(w[0]);
	assert_null(w[1]);
	assert_int_equal(t[0].n_drop + t[1].n_drop, 0); /* later, on the loop */
	assert_int_equal(sem_post(&t[0].go), 0);
	assert_int_equal(loop_drain(loop, 2000), 0);
	assert_int_equal(t[0].n_done, 0);
	assert_int_equal(t[0].n_drop, 1);
	assert_int_equal(t[1].n_run, 0); /* never started */
	assert_int_equal(t[1].n_done, 0);
	assert_int_equal(t[1].n_drop, 1);
	assert_int_equal(t[2].n_done, 1);
}

static void test_look(void **state)
{
	struct task *t = *state;
	struct work_view v;

	work_look(loop, &v);
	assert_int_equal(v.n_ended, 0);
	assert_int_equal(v.oldest_ms, 0);
	{
		BLAME("www.example.jp");
		work_start(loop, run_gated, done, &t[0], NULL);
	}
	work_start(loop, run, done, &t[1], NULL);
	assert_int_equal(sem_wait(&t[0].started), 0);
	work_look(loop, &v);
	assert_int_equal(v.n_ended, 0);
	assert_in_range(v.oldest_ms, 1, 10000);
	assert_string_equal(v.oldest_for, "www.example.jp");
	assert_int_equal(sem_post(&t[0].go), 0);
	assert_int_equal(loop_drain(loop, 2000), 0);
	work_look(loop, &v);
	assert_int_equal(v.n_ended, 2);
	assert_int_equal(v.oldest_ms, 0);
	assert_null(v.oldest_for);
}

static void test_cancel_after_the_end(void **state)
{
	struct task *t = *state;
	struct work *w = NULL;

	work_start(loop, run_gated, done, t, &w);
	assert_int_equal(sem_wait(&t->started), 0);
	assert_int_equal(sem_post(&t->go), 0);
	/* The pool's only thread has the first one behind it when the second starts. */
	work_start(loop, run_gated, done, &t[1], NULL);
	assert_int_equal(sem_wait(&t[1].started), 0);
	work_cancel(&w, drop);
	assert_int_equal(sem_post(&t[1].go), 0);
	assert_int_equal(loop_drain(loop, 2000), 0);
	assert_int_equal(t->n_drop, 1);
	assert_int_equal(t->n_done, 0);
	work_cancel(&w, drop); /* empty: nothing */
	assert_int_equal(t->n_drop, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_runs_elsewhere_and_ends_here, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_running_and_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_after_the_end, setup, teardown),
	};

	(void)setenv("UV_THREADPOOL_SIZE", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
