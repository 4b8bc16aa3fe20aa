/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/store.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	char *dir = xstrdup("/tmp/test_store.XXXXXX");

	umask(077);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	(void)nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

static char *in(void **state, const char *name)
{
	return xasprintf("%s/%s", (const char *)*state, name);
}

static mode_t mode_of(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

static void fails(const char *dir, int code, const char *say)
{
	struct err e = ERR_INIT;
	struct store *s = NULL;
	int r = store_open(dir, &s, &e);

	if (r != code || strstr(e.text, say) == NULL)
		print_error("wanted %d \"%s\", got %d: %s\n", code, say, r, e.text);
	assert_int_equal(r, code);
	assert_null(s);
	assert_non_null(strstr(e.text, say));
	assert_int_equal(store_open(dir, &s, NULL), code);
}

static void test_layout(void **state)
{
	char *dir = in(state, "s");
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(mode_of(dir, "."), 0711);
	assert_int_equal(mode_of(dir, "state"), 0700);
	assert_int_equal(mode_of(dir, "live"), 0755);
	assert_int_equal(mode_of(dir, "archive"), 0755);
	assert_true(store_state_fd(s) >= 0 && store_live_fd(s) >= 0 && store_archive_fd(s) >= 0);
	store_close(s);
	assert_int_equal(chmod(dir, 0755), 0); /* tightened or opened by the administrator: left alone */
	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(mode_of(dir, "."), 0755);
	store_close(s);
	store_close(NULL);
	free(dir);
}

static void test_symlinked_top(void **state)
{
	char *dir = in(state, "s"), *link = in(state, "link");
	struct store *s = NULL;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(symlink("s", link), 0);
	assert_int_equal(store_open(link, &s, NULL), 0);
	store_close(s);
	free(dir);
	free(link);
}

static void test_refusals(void **state)
{
	char *dir = in(state, "s"), *sub = in(state, "s/state"), *none = in(state, "no/such"),
	     *file = in(state, "f");
	char *live = in(state, "s/live");
	struct store *s = NULL;
	int fd;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	store_close(s);
	assert_int_equal(chmod(sub, 0770), 0);
	fails(dir, -EPERM, "chmod go-w");
	assert_int_equal(chmod(sub, 0702), 0);
	fails(dir, -EPERM, "s/state may be written by others (mode 0702)");
	assert_int_equal(chmod(sub, 0700), 0);
	assert_int_equal(chmod(dir, 0775), 0);
	fails(dir, -EPERM, "chmod go-w");
	assert_int_equal(chmod(dir, 0711), 0);
	fails(none, -ENOENT, "create the folder above it");
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	fails(file, -ENOTDIR, "it must be a folder");
	assert_int_equal(rmdir(live), 0);
	assert_int_equal(symlink("state", live), 0);
	fails(dir, -ENOTDIR, "s/live");
	free(dir);
	free(sub);
	free(none);
	free(file);
	free(live);
}

static void test_foreign_owner(void **state)
{
	char *dir = in(state, "s"), *sub = in(state, "s/archive");
	struct store *s = NULL;

	if (geteuid() != 0)
		skip();
	assert_int_equal(store_open(dir, &s, NULL), 0);
	store_close(s);
	assert_int_equal(chown(sub, NOBODY, NOBODY), 0);
	fails(dir, -EPERM, "s/archive belongs to user 65534");
	assert_int_equal(chown(sub, 0, 0), 0);
	assert_int_equal(chown(dir, NOBODY, NOBODY), 0);
	fails(dir, -EPERM, "chown -R 0");
	free(dir);
	free(sub);
}

/* As another user: neither the parent nor an existing folder may be used. */
static void test_no_access(void **state)
{
	char *dir = in(state, "s"), *sub = in(state, "s/x");
	int status = 0;
	pid_t p;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(*state, 0755), 0);
	p = fork();
	if (p == 0) {
		struct err e = ERR_INIT;
		struct store *s = NULL;

		if (setuid(NOBODY) != 0)
			_exit(9);
		if (store_open(sub, &s, &e) != -EACCES || strstr(e.text, "needs access") == NULL)
			_exit(1);
		if (store_open(dir, &s, &e) != -EACCES || strstr(e.text, "cannot open") == NULL)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(p, &status, 0), p);
	assert_int_equal(status, 0);
	free(dir);
	free(sub);
}

static void test_lock(void **state)
{
	char *dir = in(state, "s"), want[64];
	struct store *s = NULL, *again = NULL;
	int up[2], down[2], status = 0;
	char c = 0;
	pid_t p;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	p = fork();
	if (p == 0) {
		if (store_open(dir, &s, NULL) != 0 || write(up[1], "x", 1) != 1)
			_exit(1);
		_exit(read(down[0], &c, 1) == 1
			      ? 0
			      : 1); /* the lock ends with the process, not with store_close */
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	(void)snprintf(want, sizeof(want), "pid %d", (int)p);
	fails(dir, -EBUSY, want);
	assert_int_equal(write(down[1], "x", 1), 1);
	assert_int_equal(waitpid(p, &status, 0), p);
	assert_int_equal(status, 0);
	/* the file is still there, the lock is not */
	assert_int_equal(store_open(dir, &s, NULL), 0);
	(void)snprintf(want, sizeof(want), "pid %d", (int)getpid());
	fails(dir, -EBUSY, want);
	store_close(s);
	assert_int_equal(store_open(dir, &again, NULL), 0);
	store_close(again);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
	free(dir);
}

static void test_lock_not_plain(void **state)
{
	char *dir = in(state, "s"), *lock = in(state, "s/state/lock");
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	store_close(s);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(mkfifo(lock, 0600), 0);
	fails(dir, -EINVAL, "not a plain file");
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(symlink("/etc/passwd", lock), 0);
	fails(dir, -ELOOP, "lock");
	free(dir);
	free(lock);
}

static void test_save_load(void **state)
{
	char *dir = in(state, "s"), *text = NULL, *big = xmalloc(STORE_RECORD_MAX + 1);
	const char *const bad[] = { "", "..", "../x", "a/b", ".hidden", "a\nb" };
	struct err e = ERR_INIT;
	struct store *s = NULL;
	size_t len = 7;
	uint64_t syncs;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(store_load(s, "www.example.com", &text, &len, &e), 0);
	assert_null(text);
	assert_int_equal(e.code, 0);
	syncs = fs_sync_count();
	assert_int_equal(store_save(s, "www.example.com", "{}", 2, &e), 0);
	assert_int_equal(fs_sync_count() - syncs, 2);
	assert_int_equal(mode_of(dir, "state/www.example.com.json"), 0600);
	assert_int_equal(store_save(s, "www.example.com", "{\"a\":1}", 7, &e), 0);
	assert_int_equal(store_load(s, "www.example.com", &text, &len, &e), 0);
	assert_int_equal(len, 7);
	assert_string_equal(text, "{\"a\":1}");
	free(text);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(store_save(s, bad[i], "{}", 2, &e), -EINVAL);
		assert_int_equal(store_load(s, bad[i], &text, &len, &e), -EINVAL);
		assert_int_equal(store_quarantine(s, bad[i], &e), -EINVAL);
	}
	memset(big, 'x', STORE_RECORD_MAX + 1);
	assert_int_equal(store_save(s, "big", big, STORE_RECORD_MAX, &e), 0);
	assert_int_equal(store_save(s, "big", big, STORE_RECORD_MAX + 1, &e), -EFBIG);
	free(big);
	store_close(s);
	free(dir);
}

struct seen {
	size_t n, n_bad;
	char last[64], why[ERR_TEXT_MAX + 64];
};

static void note(const char *name, const char *text, size_t len, const struct err *e, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	if (text == NULL) {
		seen->n_bad++;
		(void)snprintf(seen->why, sizeof(seen->why), "%s: %s", name, e->text);
		return;
	}
	assert_null(e);
	assert_int_equal(strlen(text), len);
	(void)snprintf(seen->last, sizeof(seen->last), "%s", name);
}

static void put(const struct store *s, const char *name, const char *text)
{
	int fd = openat(store_state_fd(s), name, O_CREAT | O_WRONLY | O_CLOEXEC | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_each(void **state)
{
	char *dir = in(state, "s");
	struct seen seen = { 0 };
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(store_save(s, "a.example", "{}", 2, NULL), 0);
	put(s, FS_TMP_PREFIX "0123456789abcdef", "half");
	put(s, FS_TMP_PREFIX "0123456789abcdee.json", "half");
	put(s, "notes.txt", "mine");
	put(s, "b.example.json.bad-x", "old");
	assert_int_equal(mkdirat(store_state_fd(s), "c.json", 0700), 0);
	assert_int_equal(store_each(s, note, &seen, NULL), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.n_bad, 1);
	assert_string_equal(seen.last, "a.example");
	assert_int_equal(strncmp(seen.why, "c: cannot read the state of c", 29), 0);
	assert_int_equal(faccessat(store_state_fd(s), FS_TMP_PREFIX "0123456789abcdef", F_OK, 0), -1);
	assert_int_equal(faccessat(store_state_fd(s), FS_TMP_PREFIX "0123456789abcdee.json", F_OK, 0), -1);
	assert_int_equal(faccessat(store_state_fd(s), "notes.txt", F_OK, 0), 0);
	assert_int_equal(faccessat(store_state_fd(s), "b.example.json.bad-x", F_OK, 0), 0);
	assert_int_equal(faccessat(store_state_fd(s), "lock", F_OK, 0), 0);
	store_close(s);
	free(dir);
}

static void test_live_leftover(void **state)
{
	char *dir = in(state, "s");
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(symlinkat("../archive/x/0001", store_live_fd(s), FS_TMP_PREFIX "00"), 0);
	assert_int_equal(symlinkat("../archive/x/0001", store_live_fd(s), "x"), 0);
	store_close(s);
	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(faccessat(store_live_fd(s), FS_TMP_PREFIX "00", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(faccessat(store_live_fd(s), "x", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	store_close(s);
	free(dir);
}

static void move_aside(const char *name, const char *text, size_t len, const struct err *e, void *arg)
{
	(void)text, (void)len, (void)e;
	assert_int_equal(store_quarantine(arg, name, NULL), 0);
}

static void test_quarantine(void **state)
{
	char *dir = in(state, "s"), *path = in(state, "s/state");
	struct err e = ERR_INIT;
	struct store *s = NULL;
	size_t n_bad = 0;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	/* three in one second: none may overwrite another */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_save(s, "x", "{", 1, NULL), 0);
		assert_int_equal(store_each(s, move_aside, s, NULL), 0);
	}
	assert_int_equal(store_quarantine(s, "x", &e), -ENOENT);
	DIR *d = opendir(path);
	for (struct dirent *de; (de = readdir(d)) != NULL;)
		n_bad += str_has_prefix(de->d_name, "x.json.bad-2");
	closedir(d);
	assert_int_equal(n_bad, 3);
	store_close(s);
	free(dir);
	free(path);
}

static void test_each_is_fast(void **state)
{
	char *dir = in(state, "s"), text[2001];
	struct seen seen = { 0 };
	struct store *s = NULL;
	int64_t t;

	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(store_open(dir, &s, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "host-%d.example.com.json", i);
		put(s, name, text);
	}
	t = clock_mono_ms();
	assert_int_equal(store_each(s, note, &seen, NULL), 0);
	t = clock_mono_ms() - t;
	assert_int_equal(seen.n, 10000);
	print_message("10000 records in %lld ms\n", (long long)t);
	assert_true(t < 2000); /* about 100 without a sanitizer; the rest is for busy machines */
	store_close(s);
	free(dir);
}

struct saver {
	const struct store *s;
	int id, r;
};

static void *saver_run(void *arg)
{
	struct saver *v = arg;
	char name[16];

	(void)snprintf(name, sizeof(name), "t%d", v->id);
	for (int i = 0; i < 50 && v->r == 0; i++)
		v->r = store_save(v->s, name, "{}", 2, NULL);
	return NULL;
}

/* The removal of left-overs must not take the temporary file of a save under way. */
static void test_each_beside_saves(void **state)
{
	char *dir = in(state, "s");
	struct saver v[3];
	struct store *s = NULL;
	pthread_t t[3];

	assert_int_equal(store_open(dir, &s, NULL), 0);
	for (int i = 0; i < 3; i++) {
		v[i] = (struct saver){ .s = s, .id = i };
		assert_int_equal(pthread_create(&t[i], NULL, saver_run, &v[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		struct seen seen = { 0 };

		assert_int_equal(store_each(s, note, &seen, NULL), 0);
		assert_int_equal(seen.n_bad, 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(v[i].r, 0);
	}
	store_close(s);
	free(dir);
}

/* A tmpfs of its own that is full: the old record stays, the text says why. */
static void test_full_disk(void **state)
{
	char *mnt = in(state, "mnt"), *dir = in(state, "mnt/s"), *text = NULL, *big = xmalloc(100000);
	struct err e = ERR_INIT;
	struct store *s = NULL;
	size_t len = 0;
	int fd, filled;

	assert_int_equal(mkdir(mnt, 0700), 0);
	if (mount("tmpfs", mnt, "tmpfs", 0, "size=64k,mode=0700") != 0) {
		free(mnt);
		free(dir);
		free(big);
		skip();
	}
	memset(big, 'x', 100000);
	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(store_save(s, "a", "{}", 2, NULL), 0);
	fd = openat(store_archive_fd(s), "fill", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	filled = write(fd, big, 100000) > 0;
	close(fd);
	assert_true(filled);
	assert_int_equal(store_save(s, "a", big, 50000, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "cannot save the state of a"));
	assert_non_null(strstr(e.text, "No space left"));
	assert_int_equal(store_load(s, "a", &text, &len, NULL), 0);
	assert_string_equal(text, "{}");
	free(text);
	store_close(s);
	/* full, but there: the daemon can start, and say so */
	assert_int_equal(store_open(dir, &s, NULL), 0);
	store_close(s);
	assert_int_equal(umount2(mnt, MNT_DETACH), 0);
	free(mnt);
	free(dir);
	free(big);
}

static void test_read_only(void **state)
{
	char *mnt = in(state, "mnt"), *dir = in(state, "mnt/s");

	assert_int_equal(mkdir(mnt, 0700), 0);
	if (mount("tmpfs", mnt, "tmpfs", MS_RDONLY, "size=64k,mode=0700") == 0) {
		fails(dir, -EROFS, "BindPaths");
		assert_int_equal(umount2(mnt, MNT_DETACH), 0);
	}
	free(mnt);
	free(dir);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_layout),
		T(test_symlinked_top),
		T(test_refusals),
		T(test_foreign_owner),
		T(test_no_access),
		T(test_lock),
		T(test_lock_not_plain),
		T(test_save_load),
		T(test_each),
		T(test_live_leftover),
		T(test_quarantine),
		T(test_each_is_fast),
		T(test_each_beside_saves),
		T(test_full_disk),
		T(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
