/* SPDX-License-Identifier: Apache-2.0 */
/* Processes end in every way, and the next one has to name the right domain, or none. */
#include "daemon/io/blame.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "daemon/io/loop.h"
#include "daemon/io/work.h"

static char dir_path[] = "/tmp/test_blame.XXXXXX";
static int dir_fd = -1;

static int group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir_path));
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0;
}

static int group_teardown(void **state)
{
	(void)state;
	(void)unlinkat(dir_fd, BLAME_FILE, 0);
	(void)close(dir_fd);
	return rmdir(dir_path);
}

/* A process that opens the file, does something, and ends; returns its wait status. */
static int in_child(void (*fn)(int told), int told)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		_cleanup_words_ struct words died = WORDS_INIT;

		/* No report of a sanitizer: the death is meant. */
		for (int s = 1; s < 32; s++)
			(void)signal(s, SIG_DFL);
		blame_open(dir_fd, &died);
		fn(told);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Whom the next start blames, blank separated; the caller frees. */
static char *guilty(void)
{
	_cleanup_words_ struct words died = WORDS_INIT;
	char *text;

	blame_open(dir_fd, &died);
	blame_close();
	text = words_join(&died);
	return text;
}

static void expect(const char *names)
{
	_cleanup_free_ char *now = guilty(), *again = guilty();

	assert_string_equal(now, names);
	assert_string_equal(again, ""); /* told once */
}

static void die_of(int signum)
{
	BLAME("a.example");
	(void)raise(signum);
}

static void test_signals(void **state)
{
	static const int SIGNALS[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(SIGNALS); i++) {
		int status = in_child(die_of, SIGNALS[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGNALS[i]);
		expect("a.example");
	}
}

static void real_fault(int told)
{
	volatile int *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	BLAME("fault.example");
	*nowhere = told;
}

static int recurse(volatile char *above, int n)
{
	volatile char here[4096];

	here[0] = above ? above[0] : (char)n;
	return n < 0 ? 0 : recurse(here, n + 1) + here[0];
}

static void overflow(int told)
{
	BLAME("stack.example");
	_exit(recurse(NULL, told));
}

static void test_real_faults(void **state)
{
	(void)state;
	assert_true(WIFSIGNALED(in_child(real_fault, 1)));
	expect("fault.example");
	assert_true(WIFSIGNALED(in_child(overflow, 1)));
	expect("stack.example");
}

static void die_afterwards(int signum)
{
	{
		BLAME("a.example");
	}
	(void)raise(signum);
}

static void inner(int signum)
{
	BLAME("inner.example");
	if (signum)
		(void)raise(signum);
}

static void die_inside(int signum)
{
	BLAME("outer.example");
	inner(signum);
}

static void die_outside(int signum)
{
	BLAME("outer.example");
	inner(0);
	assert_string_equal(blame_name(), "outer.example");
	(void)raise(signum);
}

static void die_for_nobody(int signum)
{
	struct blame outer = blame_enter("outer.example");
	struct blame none = blame_enter(NULL);

	(void)raise(signum);
	blame_leave(&none);
	blame_leave(&outer);
}

static void test_blocks(void **state)
{
	(void)state;
	(void)in_child(die_afterwards, SIGABRT);
	expect("");
	(void)in_child(die_inside, SIGABRT);
	expect("inner.example");
	(void)in_child(die_outside, SIGABRT);
	expect("outer.example");
	(void)in_child(die_for_nobody, SIGABRT);
	expect("");
}

static void stop_then_die(int signum)
{
	BLAME("a.example");
	blame_stop();
	(void)raise(signum);
}

static void leave_quietly(int told)
{
	BLAME("a.example");
	(void)told;
	blame_close();
}

static void test_orderly_ends(void **state)
{
	(void)state;
	(void)in_child(stop_then_die, SIGSEGV);
	expect("");
	assert_int_equal(in_child(leave_quietly, 0), 0);
	expect("");
	/* SIGTERM that nobody handles, and kill -9 by a person: both short after the work began. */
	(void)in_child(die_of, SIGTERM);
	expect("");
	(void)in_child(die_of, SIGKILL);
	expect("");
}

/* --- several threads --- */

static void *busy(void *arg)
{
	BLAME("bystander.example");
	int fd = *(int *)arg;
	char c = 'x';

	assert_int_equal(write(fd, &c, 1), 1);
	for (;;)
		(void)pause();
	return NULL;
}

/* Beside a thread that works for another domain. */
static void die_beside(int signum)
{
	int ends[2];
	pthread_t t;
	char c = 0;
	BLAME("a.example");

	if (pipe(ends) < 0 || pthread_create(&t, NULL, busy, &ends[1]) != 0 || read(ends[0], &c, 1) != 1)
		_exit(99);
	(void)raise(signum);
}

static void test_only_the_thread_that_crashed(void **state)
{
	(void)state;
	(void)in_child(die_beside, SIGSEGV);
	expect("a.example");
}

/* What a watchdog meets: told is the signal, sent by the parent when the work has lasted long enough. */
static int ready[2];

static void hang(int told)
{
	BLAME("hangs.example");
	char c = 'x';

	(void)told;
	if (write(ready[1], &c, 1) != 1)
		_exit(99);
	for (;;)
		(void)pause();
}

static void killed_after(int signum, int64_t ms, const char *names)
{
	struct words died = WORDS_INIT;
	int64_t until;
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		for (int s = 1; s < 32; s++)
			(void)signal(s, SIG_DFL);
		blame_open(dir_fd, &died);
		hang(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	until = clock_mono_ms() + ms;
	while (clock_mono_ms() < until)
		usleep(10000);
	assert_int_equal(kill(pid, signum), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(ready[0]);
	(void)close(ready[1]);
	expect(names);
}

static void test_watchdog(void **state)
{
	(void)state;
	killed_after(SIGABRT, 0, "");
	killed_after(SIGABRT, BLAME_HANG_MS + 200, "hangs.example");
	killed_after(SIGKILL, BLAME_HANG_MS + 200, "hangs.example");
}

/* --- work that is handed to the pool --- */

static char seen[64];

static void crash(void *arg)
{
	(void)raise(*(int *)arg);
}

static void look(void *arg)
{
	(void)arg;
	snprintf(seen, sizeof(seen), "%s", blame_name() ? blame_name() : "nobody");
}

static void done(void *arg)
{
	(void)arg;
	assert_string_equal(blame_name() ? blame_name() : "nobody", seen);
}

static void pool_dies(int signum)
{
	struct loop *l = NULL;

	if (loop_new(&l, NULL) < 0)
		_exit(99);
	{
		BLAME("pool.example");
		work_start(l, crash, NULL, &signum, NULL);
	}
	(void)loop_drain(l, 10000);
}

static void test_pool(void **state)
{
	struct loop *l = NULL;

	(void)state;
	assert_int_equal(loop_new(&l, NULL), 0);
	{
		BLAME("a.example");
		work_start(l, look, done, NULL, NULL);
	}
	assert_int_equal(loop_drain(l, 10000), 0);
	assert_string_equal(seen, "a.example");
	work_start(l, look, done, NULL, NULL);
	assert_int_equal(loop_drain(l, 10000), 0);
	assert_string_equal(seen, "nobody");
	assert_null(blame_name());
	loop_free(l);
	(void)in_child(pool_dies, SIGSEGV);
	expect("pool.example");
}

/* --- the file itself is damaged --- */

static void nothing(int told)
{
	(void)told;
}

static void test_damaged_file(void **state)
{
	unsigned char bytes[16384];
	struct stat st;
	int fd;

	(void)state;
	(void)in_child(die_of, SIGABRT);
	assert_int_equal(fstatat(dir_fd, BLAME_FILE, &st, 0), 0);
	for (int fill = 0; fill < 256; fill += 51) {
		_cleanup_free_ char *names = NULL;

		fd = openat(dir_fd, BLAME_FILE, O_WRONLY | O_TRUNC | O_CLOEXEC);
		memset(bytes, fill, sizeof(bytes));
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
		(void)close(fd);
		names = guilty();
		assert_string_equal(names, "");
	}
	for (off_t len = 0; len < st.st_size; len += 97) {
		_cleanup_free_ char *names = NULL;

		(void)in_child(die_of, SIGABRT);
		fd = openat(dir_fd, BLAME_FILE, O_RDWR | O_CLOEXEC);
		assert_int_equal(ftruncate(fd, len), 0);
		(void)close(fd);
		names = guilty();
		assert_true(strlen(names) <= strlen("a.example"));
	}
	(void)unlinkat(dir_fd, BLAME_FILE, 0);
	assert_int_equal(symlinkat("/dev/null", dir_fd, BLAME_FILE), 0);
	assert_int_equal(in_child(nothing, 0), 0);
	expect("");
	(void)unlinkat(dir_fd, BLAME_FILE, 0);
	assert_int_equal(mkdirat(dir_fd, BLAME_FILE, 0700), 0);
	assert_int_equal(in_child(nothing, 0), 0);
	expect("");
	(void)unlinkat(dir_fd, BLAME_FILE, AT_REMOVEDIR);
}

/* Cut off under a running process: the pages are gone, and touching them would be the end. */
static void cut_off(int told)
{
	int fd = openat(dir_fd, BLAME_FILE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ftruncate(fd, told) < 0)
		_exit(99);
	{
		BLAME("a.example");
	}
	{
		BLAME("b.example");
		_exit(strcmp(blame_name(), "b.example") == 0 ? 0 : 98);
	}
}

static void test_cut_off_while_mapped(void **state)
{
	int status;

	(void)state;
	status = in_child(cut_off, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect("");
}

static void test_cost(void **state)
{
	_cleanup_words_ struct words died = WORDS_INIT;
	int64_t from;

	(void)state;
	blame_open(dir_fd, &died);
	from = clock_mono_ms();
	for (int i = 0; i < 1000000; i++) {
		BLAME("a-name-of-a-usual-length.example.jp");
	}
	/* 0.1 us each; the bound is for machines under load and sanitizers. */
	assert_true(clock_mono_ms() - from < 5000);
	blame_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_real_faults),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_orderly_ends),
		cmocka_unit_test(test_only_the_thread_that_crashed),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_damaged_file),
		cmocka_unit_test(test_cut_off_while_mapped),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
