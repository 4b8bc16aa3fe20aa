/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/deploy/generation.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "www.example.com"

static struct {
	char dir[32];
	struct generation_dirs d;
} t;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	int top;

	(void)state;
	umask(077);
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test_gen.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	top = fs_open_dir(AT_FDCWD, t.dir, NULL);
	assert_int_equal(mkdirat(top, "archive", 0755), 0);
	assert_int_equal(mkdirat(top, "live", 0755), 0);
	t.d.archive_fd = fs_open_dir(top, "archive", NULL);
	t.d.live_fd = fs_open_dir(top, "live", NULL);
	close(top);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(t.d.archive_fd);
	close(t.d.live_fd);
	(void)nftw(t.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* ---- helpers; contents are "<what>-<generation>\n" ---- */

static char *text_of(const char *what, unsigned gen)
{
	return xasprintf("%s-%u\n", what, gen);
}

static int begin(unsigned gen, struct err *e)
{
	char *key = text_of("key", gen);
	int r = generation_begin(&t.d, NAME, gen, key, e);

	free(key);
	return r;
}

static int install(unsigned gen, struct err *e)
{
	char *a = text_of("cert", gen), *b = text_of("chain", gen), *c = text_of("full", gen);
	int r = generation_install(&t.d, NAME, gen, a, b, c, e);

	free(a);
	free(b);
	free(c);
	return r;
}

static void put(const char *path, const char *text)
{
	int fd = openat(t.d.archive_fd, path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool there(const char *path)
{
	return faccessat(t.d.archive_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void check_mode(const char *path, mode_t want)
{
	struct stat st;

	assert_int_equal(fstatat(t.d.archive_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, want);
}

static size_t count(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d)) != NULL;)
		n += de->d_name[0] != '.' || str_has_prefix(de->d_name, FS_TMP_PREFIX);
	closedir(d);
	return n;
}

static void check_complete(unsigned gen)
{
	char *want[4] = { text_of("cert", gen), text_of("chain", gen), text_of("full", gen),
			  text_of("key", gen) };
	struct generation_files f = { 0 };
	char dir[64], path[128];

	assert_int_equal(generation_read(&t.d, NAME, gen, &f, NULL), 0);
	assert_string_equal(f.cert, want[0]);
	assert_string_equal(f.chain, want[1]);
	assert_string_equal(f.fullchain, want[2]);
	assert_string_equal(f.key, want[3]);
	generation_files_done(&f);
	(void)snprintf(dir, sizeof(dir), NAME "/%04u", gen);
	check_mode(NAME, 0755);
	check_mode(dir, 0755);
	assert_int_equal(count(t.d.archive_fd, dir), 4);
	(void)snprintf(path, sizeof(path), "%s/privkey.pem", dir);
	check_mode(path, 0600);
	(void)snprintf(path, sizeof(path), "%s/fullchain.pem", dir);
	check_mode(path, 0644);
	for (int i = 0; i < 4; i++)
		free(want[i]);
}

static unsigned live(void)
{
	unsigned n = 99;

	assert_int_equal(generation_live(&t.d, NAME, &n, NULL), 0);
	return n;
}

/* ---- tests ---- */

static void test_whole_way(void **state)
{
	uint64_t syncs = fs_sync_count();
	char *key = NULL, *target = NULL;

	(void)state;
	assert_int_equal(live(), 0);
	assert_int_equal(begin(1, NULL), 0);
	assert_int_equal(fs_sync_count() - syncs, 4); /* key, .new, archive/<name>, archive (first time) */
	check_mode(NAME "/0001.new", 0700);
	check_mode(NAME "/0001.new/privkey.pem", 0600);
	assert_int_equal(live(), 0);
	assert_int_equal(generation_key(&t.d, NAME, 1, &key, NULL), 0);
	assert_string_equal(key, "key-1\n");
	mem_wipe_free(key);
	syncs = fs_sync_count();
	assert_int_equal(install(1, NULL), 0);
	assert_int_equal(fs_sync_count() - syncs, 6); /* three files, .new, archive/<name>, live */
	check_complete(1);
	assert_int_equal(live(), 1);
	assert_int_equal(fs_readlink(t.d.live_fd, NAME, &target), 0);
	assert_string_equal(target, "../archive/" NAME "/0001");
	free(target);
	syncs = fs_sync_count();
	assert_int_equal(begin(2, NULL), 0);
	assert_int_equal(fs_sync_count() - syncs, 3);
	assert_int_equal(install(2, NULL), 0);
	check_complete(1);
	check_complete(2);
	assert_int_equal(live(), 2);
	assert_int_equal(generation_key(&t.d, NAME, 2, &key, NULL), 0);
	assert_string_equal(key, "key-2\n");
	mem_wipe_free(key);
}

static void test_empty_chain(void **state)
{
	struct generation_files f = { 0 };

	(void)state;
	assert_int_equal(begin(1, NULL), 0);
	assert_int_equal(generation_install(&t.d, NAME, 1, "c", "", "c", NULL), 0);
	assert_int_equal(generation_read(&t.d, NAME, 1, &f, NULL), 0);
	assert_string_equal(f.chain, "");
	generation_files_done(&f);
}

static void test_repeat(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(begin(7, NULL), 0);
	assert_int_equal(begin(7, NULL), 0);
	assert_int_equal(install(7, NULL), 0);
	assert_int_equal(install(7, NULL), 0);
	assert_int_equal(begin(7, NULL), 0); /* the same key */
	check_complete(7);
	assert_int_equal(generation_begin(&t.d, NAME, 7, "another", &e), -EEXIST);
	assert_non_null(strstr(e.text, "another key"));
	assert_int_equal(generation_install(&t.d, NAME, 7, "x", "y", "z", &e), -EEXIST);
	assert_non_null(strstr(e.text, "another certificate"));
	check_complete(7);
	assert_int_equal(live(), 7);
}

static void test_begin_replaces(void **state)
{
	char *key = NULL;

	(void)state;
	assert_int_equal(generation_begin(&t.d, NAME, 3, "old", NULL), 0);
	put(NAME "/0003.new/cert.pem", "of the old key");
	put(NAME "/0003.new/" FS_TMP_PREFIX "11", "torn");
	assert_int_equal(begin(3, NULL), 0);
	assert_int_equal(count(t.d.archive_fd, NAME "/0003.new"), 1);
	assert_int_equal(generation_key(&t.d, NAME, 3, &key, NULL), 0);
	assert_string_equal(key, "key-3\n");
	mem_wipe_free(key);
}

/* What a crash in the middle of an installation may leave. */
static void test_partial(void **state)
{
	(void)state;
	assert_int_equal(begin(1, NULL), 0);
	put(NAME "/0001.new/cert.pem", "cer");
	put(NAME "/0001.new/chain.pem", "");
	put(NAME "/0001.new/" FS_TMP_PREFIX "22", "torn key");
	assert_int_equal(install(1, NULL), 0);
	check_complete(1);
	/* renamed, but the link not switched */
	assert_int_equal(unlinkat(t.d.live_fd, NAME, 0), 0);
	assert_int_equal(live(), 0);
	assert_int_equal(install(1, NULL), 0);
	assert_int_equal(live(), 1);
	/* a temporary link left behind does no harm */
	assert_int_equal(symlinkat("x", t.d.live_fd, FS_TMP_PREFIX "33"), 0);
	assert_int_equal(begin(2, NULL), 0);
	assert_int_equal(install(2, NULL), 0);
	assert_int_equal(live(), 2);
}

static void test_no_key(void **state)
{
	struct err e = ERR_INIT;
	char *key = NULL;

	(void)state;
	assert_int_equal(install(1, &e), -ENOENT);
	assert_int_equal(generation_key(&t.d, NAME, 1, &key, &e), -ENOENT);
	assert_int_equal(begin(1, NULL), 0);
	assert_int_equal(install(2, &e), -ENOENT);
	assert_int_equal(generation_key(&t.d, NAME, 2, &key, &e), -ENOENT);
	assert_int_equal(unlinkat(t.d.archive_fd, NAME "/0001.new/privkey.pem", 0), 0);
	assert_int_equal(install(1, &e), -ENOENT);
	assert_non_null(strstr(e.text, "privkey.pem"));
	put(NAME "/0001.new/privkey.pem", "");
	assert_int_equal(install(1, &e), -EIO);
	assert_int_equal(generation_begin(&t.d, NAME, 1, "", &e), -EINVAL);
	assert_int_equal(live(), 0);
}

static void foreign_live(const char *say)
{
	struct err e = ERR_INIT;
	unsigned n = 42;

	assert_int_equal(generation_live(&t.d, NAME, &n, &e), -EINVAL);
	assert_int_equal(n, 42);
	assert_non_null(strstr(e.text, say));
	assert_int_equal(begin(2, &e), -EINVAL); /* before anything is paid for */
	assert_int_equal(install(1, &e), -EINVAL);
}

static void test_foreign_live(void **state)
{
	const char *const targets[] = {
		"/etc/letsencrypt/live/x",
		"../archive/other/0001",
		"../archive/" NAME "/1",
		"../archive/" NAME "/0001.new",
		"../archive/" NAME "/0000",
		"../archive/" NAME "/00001",
		"../archive/" NAME "/",
		"../archive/" NAME "/0001/",
		"../archive/" NAME "/99999999999",
		"../archive/" NAME "/../x/0001",
	};
	char *target = NULL;

	(void)state;
	assert_int_equal(begin(1, NULL), 0);
	assert_int_equal(mkdirat(t.d.live_fd, NAME, 0755), 0);
	foreign_live("not a symbolic link");
	assert_int_equal(unlinkat(t.d.live_fd, NAME, AT_REMOVEDIR), 0);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_int_equal(symlinkat(targets[i], t.d.live_fd, NAME), 0);
		foreign_live("points to");
		assert_int_equal(fs_readlink(t.d.live_fd, NAME, &target), 0);
		assert_string_equal(target, targets[i]);
		free(target);
		assert_int_equal(unlinkat(t.d.live_fd, NAME, 0), 0);
	}
	/* another generation of ours is replaced, and numbers may have more digits */
	assert_int_equal(symlinkat("../archive/" NAME "/12345", t.d.live_fd, NAME), 0);
	assert_int_equal(live(), 12345);
	assert_int_equal(install(1, NULL), 0);
	assert_int_equal(live(), 1);
}

static void mend(unsigned gen)
{
	char *a = text_of("cert", gen), *b = text_of("chain", gen), *c = text_of("full", gen);

	assert_int_equal(generation_mend(&t.d, NAME, gen, a, b, c, NULL), 0);
	free(a);
	free(b);
	free(c);
}

static void test_mend(void **state)
{
	static const char *const FILES[] = { "cert.pem", "chain.pem", "fullchain.pem" };

	(void)state;
	assert_false(generation_is_whole(&t.d, NAME, 1));
	assert_int_equal(begin(1, NULL), 0);
	assert_false(generation_is_whole(&t.d, NAME, 1)); /* still growing */
	assert_int_equal(generation_mend(&t.d, NAME, 1, "a", "b", "c", NULL), -ENOENT);
	assert_int_equal(install(1, NULL), 0);
	assert_true(generation_is_whole(&t.d, NAME, 1));
	for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), NAME "/0001/%s", FILES[i]);
		assert_int_equal(unlinkat(t.d.archive_fd, path, 0), 0);
		assert_false(generation_is_whole(&t.d, NAME, 1));
		mend(1);
		check_complete(1);
		put(path, "");
		mend(1);
		check_complete(1);
		assert_int_equal(unlinkat(t.d.archive_fd, path, 0), 0);
		assert_int_equal(symlinkat("/etc/passwd", t.d.archive_fd, path), 0);
		assert_false(generation_is_whole(&t.d, NAME, 1));
		mend(1); /* the link is replaced, not what it points to */
		check_complete(1);
	}
	/* Without a key there is nothing that certificates could belong to. */
	assert_int_equal(unlinkat(t.d.archive_fd, NAME "/0001/privkey.pem", 0), 0);
	assert_int_equal(generation_mend(&t.d, NAME, 1, "a", "b", "c", NULL), -ENOENT);
}

static void test_relink(void **state)
{
	(void)state;
	assert_int_equal(begin(1, NULL), 0);
	assert_int_equal(install(1, NULL), 0);
	assert_int_equal(unlinkat(t.d.live_fd, NAME, 0), 0);
	assert_int_equal(live(), 0);
	assert_int_equal(generation_relink(&t.d, NAME, 1, NULL), 0);
	assert_int_equal(live(), 1);
	assert_int_equal(generation_relink(&t.d, NAME, 1, NULL), 0);
	assert_int_equal(unlinkat(t.d.live_fd, NAME, 0), 0);
	assert_int_equal(symlinkat("/etc", t.d.live_fd, NAME), 0);
	assert_int_equal(generation_relink(&t.d, NAME, 1, NULL), -EINVAL); /* somebody's own */
}

static unsigned next(unsigned wish)
{
	unsigned got = 0;

	assert_int_equal(generation_next(&t.d, NAME, wish, &got, NULL), 0);
	return got;
}

static void test_next(void **state)
{
	(void)state;
	assert_int_equal(next(1), 1); /* nothing there at all */
	assert_int_equal(begin(1, NULL), 0);
	assert_true(there(NAME "/0001.new"));
	assert_int_equal(next(1), 1); /* begun is not installed: the attempt is repeated */
	assert_int_equal(install(1, NULL), 0);
	assert_int_equal(next(1), 2);
	assert_int_equal(next(7), 7);
	assert_int_equal(begin(12, NULL), 0);
	assert_int_equal(install(12, NULL), 0);
	assert_int_equal(next(2), 13); /* a record that knows less than the disk */
	assert_int_equal(mkdirat(t.d.archive_fd, NAME "/foreign", 0755), 0);
	assert_int_equal(next(2), 13);
}

/* Whatever stands at the final name is not "nothing": no second key beside it. */
static void test_final_not_a_folder(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(begin(1, NULL), 0);
	put(NAME "/0001", "a file");
	assert_int_equal(begin(1, &e), -ENOTDIR);
	assert_int_equal(install(1, &e), -ENOTDIR);
	assert_int_equal(live(), 0);
}

static void test_bad_names(void **state)
{
	const char *const bad[] = { "", ".", "..", "../x", "a/b", ".x", "x\n" };
	struct generation_files f = { 0 };
	char *key = NULL;
	unsigned n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(generation_begin(&t.d, bad[i], 1, "k", NULL), -EINVAL);
		assert_int_equal(generation_install(&t.d, bad[i], 1, "a", "b", "c", NULL), -EINVAL);
		assert_int_equal(generation_key(&t.d, bad[i], 1, &key, NULL), -EINVAL);
		assert_int_equal(generation_read(&t.d, bad[i], 1, &f, NULL), -EINVAL);
		assert_int_equal(generation_live(&t.d, bad[i], &n, NULL), -EINVAL);
		assert_int_equal(generation_next(&t.d, bad[i], 1, &n, NULL), -EINVAL);
	}
	assert_int_equal(generation_begin(&t.d, NAME, 0, "k", NULL), -EINVAL);
	assert_int_equal(generation_read(&t.d, NAME, 1, &f, NULL), -ENOENT);
}

/* ---- killed before each system call ---- */

static void child_work(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(3);
	(void)raise(SIGSTOP);
	_exit(begin(2, NULL) == 0 && install(2, NULL) == 0 ? 0 : 1);
}

/* Runs the work and kills it at the n-th stop at a system call (two stops for each). 1: it was killed, 0: it
 * had ended before, -1: no ptrace here. */
static int run_killed(int n)
{
	int status = 0;
	pid_t p = fork();

	if (p == 0)
		child_work();
	assert_int_equal(waitpid(p, &status, 0), p);
	if (!WIFSTOPPED(status))
		return -1;
	for (int i = 0; i < n; i++) {
		if (ptrace(PTRACE_SYSCALL, p, NULL, NULL) != 0)
			return -1;
		assert_int_equal(waitpid(p, &status, 0), p);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return 0;
		}
	}
	(void)kill(p, SIGKILL);
	assert_int_equal(waitpid(p, &status, 0), p);
	return 1;
}

static void test_kill_sweep(void **state)
{
	int r = 1, n;

	for (n = 1; r > 0; n++) {
		unsigned now;

		assert_int_equal(begin(1, NULL), 0);
		assert_int_equal(install(1, NULL), 0);
		r = run_killed(n);
		if (r < 0)
			skip();
		/* whatever the moment: one complete generation is served */
		now = live();
		assert_true(now == 1 || now == 2);
		check_complete(now);
		/* and the same calls again lead to the end */
		assert_int_equal(begin(2, NULL), 0);
		assert_int_equal(install(2, NULL), 0);
		assert_int_equal(live(), 2);
		check_complete(2);
		assert_int_equal(count(t.d.archive_fd, NAME), 2);
		(void)teardown(state);
		(void)setup(state);
	}
	print_message("killed at %d points\n", n - 2);
	assert_true(n > 50);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whole_way),  T(test_empty_chain), T(test_repeat),       T(test_begin_replaces),
		T(test_partial),    T(test_no_key),	 T(test_foreign_live), T(test_mend),
		T(test_bad_names),  T(test_relink),	 T(test_next),	       T(test_final_not_a_folder),
		T(test_kill_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
