/* SPDX-License-Identifier: Apache-2.0 */
/* Stores that survive the process, and files that do not survive it. */
#include "daemon/io/mapped.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/words.h"
#include "daemon/io/blame.h"

#define LEN 10000

static char dir_path[] = "/tmp/test_mapped.XXXXXX";
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
	static const char *const NAMES[] = { "a", "b", BLAME_FILE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
		(void)unlinkat(dir_fd, NAMES[i], 0);
	(void)close(dir_fd);
	return rmdir(dir_path);
}

static int in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		for (int s = 1; s < 32; s++)
			(void)signal(s, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void write_and_die(void)
{
	char *at = mapped_open(dir_fd, "a", LEN);

	if (!at)
		_exit(99);
	memset(at, 'x', LEN);
	(void)kill(getpid(), SIGKILL);
}

static void test_survives_kill_9(void **state)
{
	struct stat st;
	char *at;

	(void)state;
	assert_true(WIFSIGNALED(in_child(write_and_die)));
	at = mapped_open(dir_fd, "a", LEN);
	assert_non_null(at);
	for (size_t i = 0; i < LEN; i++)
		assert_int_equal(at[i], 'x');
	assert_int_equal(fstatat(dir_fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, LEN);
	mapped_close(at);
	mapped_close(NULL);
}

static void test_the_same_again(void **state)
{
	char *other = mapped_open(dir_fd, "b", 8);
	char *at = NULL;

	(void)state;
	assert_non_null(other);
	/* More often than there are places: the earlier one is let go. */
	for (int i = 0; i < 50; i++) {
		at = mapped_open(dir_fd, "a", LEN);
		assert_non_null(at);
	}
	at[0] = 'y';
	other[0] = 'z';
	mapped_close(at);
	mapped_close(other);
}

static void test_no_file(void **state)
{
	(void)state;
	(void)unlinkat(dir_fd, "b", 0);
	assert_int_equal(symlinkat("a", dir_fd, "b"), 0);
	assert_null(mapped_open(dir_fd, "b", 8));
	(void)unlinkat(dir_fd, "b", 0);
	assert_int_equal(mkfifoat(dir_fd, "b", 0600), 0);
	assert_null(mapped_open(dir_fd, "b", 8));
	(void)unlinkat(dir_fd, "b", 0);
	assert_int_equal(mkdirat(dir_fd, "b", 0700), 0);
	assert_null(mapped_open(dir_fd, "b", 8));
	assert_int_equal(unlinkat(dir_fd, "b", AT_REMOVEDIR), 0);
}

/* With the handlers that the daemon has; the second file is not the one of the handlers. */
static void cut_off(void)
{
	_cleanup_words_ struct words died = WORDS_INIT;
	volatile char *at = mapped_open(dir_fd, "a", LEN);
	int fd = openat(dir_fd, "a", O_RDWR | O_CLOEXEC);

	blame_open(dir_fd, &died);
	if (!at || fd < 0 || ftruncate(fd, 0) < 0)
		_exit(99);
	at[LEN - 1] = 'n';
	at[0] = 'm';
	_exit(at[0] == 'm' && at[LEN - 1] == 'n' ? 0 : 98);
}

static void test_cut_off_while_mapped(void **state)
{
	int status = in_child(cut_off);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_other_faults_are_not_forgiven(void **state)
{
	char elsewhere = 0;
	siginfo_t si = { .si_signo = SIGBUS, .si_code = BUS_ADRERR };
	char *at = mapped_open(dir_fd, "a", LEN);

	(void)state;
	si.si_addr = &elsewhere;
	assert_false(mapped_forgive(&si));
	si.si_addr = at + LEN;
	assert_false(mapped_forgive(&si));
	si.si_addr = at + LEN - 1;
	si.si_signo = SIGSEGV;
	assert_false(mapped_forgive(&si));
	si.si_signo = SIGBUS;
	assert_true(mapped_forgive(&si));
	mapped_close(at);
	assert_false(mapped_forgive(&si));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survives_kill_9),
		cmocka_unit_test(test_the_same_again),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_cut_off_while_mapped),
		cmocka_unit_test(test_other_faults_are_not_forgiven),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
