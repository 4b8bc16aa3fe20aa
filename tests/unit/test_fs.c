/* SPDX-License-Identifier: Apache-2.0 */
/* common/fs in a scratch directory, as the kernel does it; what happens when the kernel fails is in
 * test_fs_faults.c. */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/mem.h"

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
	snprintf(scratch, sizeof(scratch), "/tmp/test_fs.XXXXXX");
	if (!mkdtemp(scratch))
		return -1;
	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
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

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static bool exists(const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
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

static void check_read_fails(const char *name, size_t cap, int want)
{
	char *text = NULL;
	size_t len = 42;
	struct err e = ERR_INIT;

	assert_int_equal(fs_read_at(dir_fd, name, cap, &text, &len, &e), want);
	assert_null(text);
	assert_int_equal(len, 42);
	assert_int_equal(e.code, want);
	assert_non_null(strstr(e.text, name));
	assert_int_equal(fs_read_at(dir_fd, name, cap, &text, NULL, NULL), want);
}

static void test_open_dir(void **state)
{
	struct err e = ERR_INIT;
	int fd;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "sub", 0700), 0);
	assert_int_equal(symlinkat("sub", dir_fd, "link"), 0);
	put("file", "x");
	fd = fs_open_dir(dir_fd, "sub", &e);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fs_sync_dir(fd, &e), 0);
	(void)close(fd);
	fd = fs_open_dir(AT_FDCWD, scratch, NULL);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(fs_open_dir(dir_fd, "link", &e), -ENOTDIR);
	assert_int_equal(fs_open_dir(dir_fd, "file", &e), -ENOTDIR);
	assert_int_equal(fs_open_dir(dir_fd, "none", &e), -ENOENT);
	assert_string_equal(e.text, "open directory none: No such file or directory");
}

static void test_open_list(void **state)
{
	DIR *none = NULL;
	struct err e = ERR_INIT;
	unsigned n = 0;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "sub", 0700), 0);
	assert_int_equal(symlinkat("sub", dir_fd, "link"), 0);
	put("sub/a", "x");
	put("sub/b", "x");
	for (int i = 0; i < 2; i++) { /* each starts at the first entry */
		_cleanup_(fs_closedirp) DIR *d = NULL;

		assert_int_equal(fs_open_list(dir_fd, "sub", &d, &e), 0);
		assert_int_equal(fcntl(dirfd(d), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		while (readdir(d))
			n++;
	}
	assert_int_equal(n, 2 * 4);
	assert_int_equal(fs_open_list(dir_fd, "link", &none, &e), -ENOTDIR);
	assert_int_equal(fs_open_list(dir_fd, "sub/a", &none, NULL), -ENOTDIR);
	assert_int_equal(fs_open_list(dir_fd, "none", &none, &e), -ENOENT);
	assert_string_equal(e.text, "open directory none: No such file or directory");
	assert_null(none);
	fs_closedirp(&none);
}

static void test_read_cap(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	(void)state;
	put("empty", "");
	put("five", "12345");
	assert_int_equal(fs_read_at(dir_fd, "empty", 0, &text, &len, NULL), 0);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(TAKE_PTR(text));
	assert_int_equal(fs_read_at(dir_fd, "five", 5, &text, &len, NULL), 0);
	assert_string_equal(text, "12345");
	free(TAKE_PTR(text));
	assert_int_equal(fs_read_at(dir_fd, "five", SIZE_MAX, &text, NULL, NULL), 0);
	assert_string_equal(text, "12345");
	check_read_fails("five", 4, -EFBIG);
	check_read_fails("five", 0, -EFBIG);
}

/* Files of /proc say that they are empty. */
static void test_read_without_size(void **state)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t len = 0;
	char *none = NULL;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(fs_read_at(fd, "status", 1 << 16, &text, &len, NULL), 0);
	assert_true(len > 100);
	assert_int_equal(strlen(text), len);
	assert_int_equal(fs_read_at(fd, "status", 100, &none, NULL, NULL), -EFBIG);
	assert_null(none);
}

static void test_read_binary(void **state)
{
	static const char data[] = "a\0b\n\xff";
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(fs_write_new(dir_fd, "bin", data, sizeof(data), 0600, NULL), 0);
	assert_int_equal(fs_read_at(dir_fd, "bin", 100, &text, &len, NULL), 0);
	assert_int_equal(len, sizeof(data));
	assert_memory_equal(text, data, len);
	assert_int_equal(text[len], '\0');
}

static void test_read_refuses_other_kinds(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *text = NULL;

	(void)state;
	put("file", "x");
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0600), 0);
	assert_int_equal(mkdirat(dir_fd, "sub", 0700), 0);
	assert_int_equal(symlinkat("file", dir_fd, "link"), 0);
	assert_int_equal(symlinkat("none", dir_fd, "dangling"), 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", scratch);
	assert_int_equal(bind(sock, (struct sockaddr *)&sa, sizeof(sa)), 0);
	(void)alarm(20); /* an open that waits ends the test */
	check_read_fails("fifo", 100, -EINVAL);
	(void)alarm(0);
	check_read_fails("sub", 100, -EISDIR);
	check_read_fails("link", 100, -ELOOP);
	check_read_fails("dangling", 100, -ELOOP);
	check_read_fails("sock", 100, -ENXIO);
	check_read_fails("none", 100, -ENOENT);
	check_read_fails("file/x", 100, -ENOTDIR);
	assert_int_equal(fs_read_at(AT_FDCWD, "/dev/null", 100, &text, NULL, NULL), -EINVAL);
	assert_int_equal(fs_read_at(AT_FDCWD, "/dev/zero", 100, &text, NULL, NULL), -EINVAL);
}

static void test_write_new(void **state)
{
	uint64_t before = fs_sync_count();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_write_new(dir_fd, "a", "hello", 5, 0640, &e), 0);
	assert_int_equal(fs_sync_count() - before, 1);
	check_content("a", "hello");
	assert_int_equal(mode_of("a"), 0640);
	assert_int_equal(fs_write_new(dir_fd, "a", "other", 5, 0600, &e), -EEXIST);
	assert_string_equal(e.text, "create a: File exists");
	check_content("a", "hello");
	assert_int_equal(fs_write_new(dir_fd, "empty", NULL, 0, 0600, &e), 0);
	check_content("empty", "");
	assert_int_equal(symlinkat("target", dir_fd, "link"), 0);
	assert_int_equal(fs_write_new(dir_fd, "link", "x", 1, 0600, NULL), -EEXIST);
	assert_false(exists("target"));
	assert_int_equal(fs_write_new(dir_fd, "none/x", "x", 1, 0600, NULL), -ENOENT);
}

static void test_modes_ignore_umask(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	static const mode_t modes[] = { 0600, 0640, 0644, 0400, 0666 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		mode_t old = umask(masks[i]);

		for (size_t j = 0; j < ARRAY_SIZE(modes); j++) {
			assert_int_equal(fs_replace(dir_fd, "f", "x", 1, modes[j], NULL), 0);
			assert_int_equal(mode_of("f"), modes[j]);
			assert_int_equal(fs_write_new(dir_fd, "n", "x", 1, modes[j], NULL), 0);
			assert_int_equal(mode_of("n"), modes[j]);
			assert_int_equal(unlinkat(dir_fd, "n", 0), 0);
		}
		(void)umask(old);
	}
}

static void test_replace(void **state)
{
	uint64_t before = fs_sync_count();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_replace(dir_fd, "a", "one", 3, 0600, &e), 0);
	assert_int_equal(fs_sync_count() - before, 2);
	check_content("a", "one");
	assert_int_equal(fs_replace(dir_fd, "a", "two", 3, 0644, &e), 0);
	check_content("a", "two");
	assert_int_equal(mode_of("a"), 0644);
	assert_int_equal(n_entries(), 1);
	assert_int_equal(e.code, 0);
}

/* The link itself is replaced, not what it points at. */
static void test_replace_does_not_follow(void **state)
{
	(void)state;
	put("victim", "old");
	assert_int_equal(symlinkat("victim", dir_fd, "a"), 0);
	assert_int_equal(fs_replace(dir_fd, "a", "new", 3, 0600, NULL), 0);
	check_content("a", "new");
	check_content("victim", "old");
}

static void test_replace_refuses_names(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b", "/etc/passwd", "a/" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(fs_replace(dir_fd, names[i], "x", 1, 0600, &e), -EINVAL);
		assert_int_equal(fs_replace_symlink(dir_fd, names[i], "x", &e), -EINVAL);
	}
	assert_int_equal(mkdirat(dir_fd, "sub", 0700), 0);
	assert_int_equal(fs_replace(dir_fd, "sub", "x", 1, 0600, &e), -EISDIR);
	assert_int_equal(fs_replace_symlink(dir_fd, "sub", "x", &e), -EISDIR);
	assert_int_equal(n_entries(), 1);
}

/* A reader sees the old or the new content, whole. */
static void test_replace_keeps_open_readers(void **state)
{
	_cleanup_close_ int fd = -1;
	char buf[8] = { 0 };

	(void)state;
	put("a", "old");
	fd = openat(dir_fd, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fs_replace(dir_fd, "a", "newer", 5, 0600, NULL), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "old");
}

static void test_symlinks(void **state)
{
	_cleanup_free_ char *target = NULL;
	char *none = NULL;
	char longest[4096];

	(void)state;
	put("file", "x");
	assert_int_equal(fs_replace_symlink(dir_fd, "live", "gen-1", NULL), 0);
	assert_int_equal(fs_replace_symlink(dir_fd, "live", "gen-2", NULL), 0);
	assert_int_equal(fs_readlink(dir_fd, "live", &target), 0);
	assert_string_equal(target, "gen-2");
	assert_int_equal(fs_replace_symlink(dir_fd, "file", "gen-3", NULL), 0);
	free(TAKE_PTR(target));
	assert_int_equal(fs_readlink(dir_fd, "file", &target), 0);
	assert_string_equal(target, "gen-3");
	assert_int_equal(n_entries(), 2);
	put("plain", "x");
	assert_int_equal(fs_readlink(dir_fd, "plain", &none), -EINVAL);
	assert_int_equal(fs_readlink(dir_fd, "none", &none), -ENOENT);
	assert_null(none);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	free(TAKE_PTR(target));
	assert_int_equal(fs_replace_symlink(dir_fd, "long", longest, NULL), 0);
	assert_int_equal(fs_readlink(dir_fd, "long", &target), 0);
	assert_string_equal(target, longest);
}

static void test_mkdir(void **state)
{
	mode_t old = umask(077);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_mkdir(dir_fd, "d", 0755, &e), 1);
	assert_int_equal(mode_of("d"), 0755);
	assert_int_equal(fs_mkdir(dir_fd, "d", 0700, &e), 0);
	assert_int_equal(mode_of("d"), 0755);
	assert_int_equal(fs_mkdir(dir_fd, "g", 02750, &e), 1);
	assert_int_equal(mode_of("g"), 02750);
	(void)umask(old);
	put("file", "x");
	assert_int_equal(fs_mkdir(dir_fd, "file", 0755, &e), -ENOTDIR);
	assert_string_equal(e.text, "mkdir file: Not a directory");
	assert_int_equal(symlinkat("d", dir_fd, "link"), 0);
	assert_int_equal(fs_mkdir(dir_fd, "link", 0755, &e), -ENOTDIR);
	assert_int_equal(fs_mkdir(dir_fd, "none/d", 0755, &e), -ENOENT);
}

static void test_rename_dir(void **state)
{
	uint64_t before = fs_sync_count();

	(void)state;
	assert_int_equal(fs_mkdir(dir_fd, "gen.new", 0700, NULL), 1);
	put("gen.new/key", "k");
	assert_int_equal(fs_rename_dir(dir_fd, "gen.new", "gen-1", NULL), 0);
	assert_int_equal(fs_sync_count() - before, 1);
	check_content("gen-1/key", "k");
	assert_false(exists("gen.new"));
	assert_int_equal(fs_mkdir(dir_fd, "gen.new", 0700, NULL), 1);
	assert_int_equal(fs_rename_dir(dir_fd, "gen.new", "gen-1", NULL), -ENOTEMPTY);
	assert_int_equal(fs_rename_dir(dir_fd, "none", "x", NULL), -ENOENT);
}

/* Nothing above leaves a descriptor open. */
static void test_no_fd_leaks(void **state)
{
	int first = dup(dir_fd), second;
	char *text = NULL;

	(void)state;
	(void)close(first);
	put("a", "12345");
	for (int i = 0; i < 3; i++) {
		(void)!fs_read_at(dir_fd, "a", 0, &text, NULL, NULL);
		(void)!fs_read_at(dir_fd, ".", 2, &text, NULL, NULL);
		(void)!fs_write_new(dir_fd, "a", "x", 1, 0600, NULL);
		(void)!fs_replace(dir_fd, "a", "x", 1, 0600, NULL);
		(void)!fs_mkdir(dir_fd, "d", 0700, NULL);
	}
	second = dup(dir_fd);
	(void)close(second);
	assert_int_equal(first, second);
}

#define FS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_open_dir),
		FS_TEST(test_open_list),
		FS_TEST(test_read_cap),
		FS_TEST(test_read_without_size),
		FS_TEST(test_read_binary),
		FS_TEST(test_read_refuses_other_kinds),
		FS_TEST(test_write_new),
		FS_TEST(test_modes_ignore_umask),
		FS_TEST(test_replace),
		FS_TEST(test_replace_does_not_follow),
		FS_TEST(test_replace_refuses_names),
		FS_TEST(test_replace_keeps_open_readers),
		FS_TEST(test_symlinks),
		FS_TEST(test_mkdir),
		FS_TEST(test_rename_dir),
		FS_TEST(test_no_fd_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
