/* SPDX-License-Identifier: Apache-2.0 */
/* common/fs when the kernel fails halfway. write, fsync and renameat are replaced by ones that fail when
 * told to; the linker prefers them to those of the C library. */
#include "common/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static struct {
	bool armed;
	size_t max_write;   /* at most this many bytes per call; 0 = all */
	unsigned n_eintr;   /* so many calls say EINTR first */
	int write_errno;    /* then fail like this ... */
	size_t write_after; /* ... after so many bytes */
	size_t written;	    /* bytes so far */
	int fsync_errno;    /* the n-th fsync fails like this */
	unsigned fsync_nth; /* 1 = first */
	unsigned n_fsync;   /* calls so far */
	int rename_errno;
} fault;

ssize_t write(int fd, const void *buf, size_t n)
{
	ssize_t r;

	if (fault.armed) {
		if (fault.n_eintr > 0) {
			fault.n_eintr--;
			errno = EINTR;
			return -1;
		}
		if (fault.write_errno && fault.written >= fault.write_after) {
			errno = fault.write_errno;
			return -1;
		}
		if (fault.max_write)
			n = MIN(n, fault.max_write);
	}
	r = syscall(SYS_write, fd, buf, n);
	if (r > 0)
		fault.written += (size_t)r;
	return r;
}

int fsync(int fd)
{
	if (fault.armed && ++fault.n_fsync == fault.fsync_nth) {
		errno = fault.fsync_errno;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (fault.armed && fault.rename_errno) {
		errno = fault.rename_errno;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

static char scratch[64];
static int dir_fd = -1;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	memset(&fault, 0, sizeof(fault));
	snprintf(scratch, sizeof(scratch), "/tmp/test_fs_faults.XXXXXX");
	if (!mkdtemp(scratch))
		return -1;
	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	fault.armed = false;
	(void)close(dir_fd);
	return nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void check_content(const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;

	assert_int_equal(fs_read_at(dir_fd, name, 1 << 20, &text, &len, &e), 0);
	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
	assert_int_equal(e.code, 0);
}

/* Entries of the scratch directory besides "." and "..". */
static size_t n_entries(void)
{
	DIR *d = opendir(scratch);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

static void test_short_writes_and_signals(void **state)
{
	(void)state;
	fault.max_write = 3;
	fault.n_eintr = 4;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "0123456789", 10, 0600, NULL), 0);
	fault.armed = false;
	check_content("a", "0123456789");
}

static void test_interrupted_fsync(void **state)
{
	(void)state;
	fault.fsync_errno = EINTR;
	fault.fsync_nth = 1;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "x", 1, 0600, NULL), 0);
	assert_int_equal(fault.n_fsync, 3);
}

static void test_disk_full(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("a", "old");
	fault.max_write = 4;
	fault.write_errno = ENOSPC;
	fault.write_after = 8;
	fault.written = 0;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "0123456789", 10, 0600, &e), -ENOSPC);
	assert_string_equal(e.text, "write a: No space left on device");
	fault.written = 0;
	assert_int_equal(fs_write_new(dir_fd, "b", "0123456789", 10, 0600, &e), -ENOSPC);
	fault.armed = false;
	check_content("a", "old");
	assert_int_equal(n_entries(), 1);
}

static void test_fsync_fails(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("a", "old");
	fault.fsync_errno = EIO;
	fault.fsync_nth = 1;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "new", 3, 0600, &e), FS_ESYNC);
	assert_int_equal(e.code, FS_ESYNC);
	assert_string_equal(e.text, "fsync a: Input/output error");
	fault.n_fsync = 0;
	assert_int_equal(fs_write_new(dir_fd, "b", "new", 3, 0600, NULL), FS_ESYNC);
	fault.armed = false;
	check_content("a", "old");
	assert_int_equal(n_entries(), 1);
}

static void test_fsync_of_directory_fails(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("a", "old");
	fault.fsync_errno = EIO;
	fault.fsync_nth = 2;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "new", 3, 0600, &e), FS_ESYNC);
	assert_int_equal(e.code, FS_ESYNC);
	fault.fsync_nth = 1;
	fault.n_fsync = 0;
	assert_int_equal(fs_replace_symlink(dir_fd, "l", "x", &e), FS_ESYNC);
	fault.n_fsync = 0;
	assert_int_equal(fs_rename_dir(dir_fd, "l", "m", &e), FS_ESYNC);
	fault.n_fsync = 0;
	assert_int_equal(fs_sync_dir(dir_fd, NULL), FS_ESYNC);
}

static void test_rename_fails(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put("a", "old");
	fault.rename_errno = EPERM;
	fault.armed = true;
	assert_int_equal(fs_replace(dir_fd, "a", "new", 3, 0600, &e), -EPERM);
	assert_string_equal(e.text, "replace a: Operation not permitted");
	assert_int_equal(fs_replace_symlink(dir_fd, "a", "x", &e), -EPERM);
	assert_int_equal(fs_rename_dir(dir_fd, "a", "b", &e), -EPERM);
	assert_string_equal(e.text, "rename a to b: Operation not permitted");
	fault.armed = false;
	check_content("a", "old");
	assert_int_equal(n_entries(), 1);
}

/* Failures close what they opened. */
static void test_no_fd_leaks(void **state)
{
	int first = dup(dir_fd), second;

	(void)state;
	(void)close(first);
	for (unsigned nth = 1; nth <= 2; nth++) {
		fault = (__typeof__(fault)){ .armed = true, .fsync_nth = nth, .fsync_errno = EIO };
		(void)!fs_replace(dir_fd, "a", "x", 1, 0600, NULL);
		fault = (__typeof__(fault)){ .armed = true, .write_errno = EIO };
		(void)!fs_replace(dir_fd, "a", "x", 1, 0600, NULL);
		fault = (__typeof__(fault)){ .armed = true, .rename_errno = EIO };
		(void)!fs_replace(dir_fd, "a", "x", 1, 0600, NULL);
		(void)!fs_replace_symlink(dir_fd, "a", "x", NULL);
	}
	second = dup(dir_fd);
	(void)close(second);
	assert_int_equal(first, second);
}

#define FS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_short_writes_and_signals),
		FS_TEST(test_interrupted_fsync),
		FS_TEST(test_disk_full),
		FS_TEST(test_fsync_fails),
		FS_TEST(test_fsync_of_directory_fails),
		FS_TEST(test_rename_fails),
		FS_TEST(test_no_fd_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
