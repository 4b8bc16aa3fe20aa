/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dcv/webroot.h"

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
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY	     65534
#define TOKEN	     "0a1b2c3d_-XYZ"
#define WK	     ".well-known"
#define PV	     WK "/pki-validation"
#define ATTACK_TRIES 20000

/* t.web is the webroot, t.victim a folder beside it where nothing may ever appear. */
static struct {
	char dir[40], web[64], victim[64];
} t;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	umask(077);
	(void)alarm(120); /* a FIFO that hangs must fail, not wait */
	/* tmpfs: the attacker loop syncs a file in each try */
	(void)snprintf(t.dir, sizeof(t.dir), "/dev/shm/test_webroot.XXXXXX");
	if (mkdtemp(t.dir) == NULL) {
		(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test_webroot.XXXXXX");
		assert_non_null(mkdtemp(t.dir));
	}
	(void)snprintf(t.web, sizeof(t.web), "%s/web", t.dir);
	(void)snprintf(t.victim, sizeof(t.victim), "%s/victim", t.dir);
	assert_int_equal(mkdir(t.web, 0755), 0);
	assert_int_equal(mkdir(t.victim, 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)alarm(0);
	(void)nftw(t.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static char *in_web(const char *rest)
{
	return xasprintf("%s/%s", t.web, rest);
}

static void make_dir(const char *rest)
{
	char *p = in_web(rest);

	assert_int_equal(mkdir(p, 0755), 0);
	free(p);
}

static void make_link(const char *target, const char *rest)
{
	char *p = in_web(rest);

	assert_int_equal(symlink(target, p), 0);
	free(p);
}

static void make_file(const char *rest, const char *text, size_t len)
{
	char *p = in_web(rest);
	int fd = open(p, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	free(p);
}

static void make_folders(void)
{
	make_dir(WK);
	make_dir(PV);
}

static void check_file(const char *want)
{
	char *p = in_web(WEBROOT_FILE), *text = NULL;
	size_t len = 0;

	assert_int_equal(fs_read_at(AT_FDCWD, p, 4096, &text, &len, NULL), 0);
	assert_string_equal(text, want);
	free(text);
	free(p);
}

static bool file_there(void)
{
	char *p = in_web(WEBROOT_FILE);
	struct stat st;
	bool yes = lstat(p, &st) == 0;

	free(p);
	return yes;
}

static mode_t mode_of(const char *rest)
{
	char *p = in_web(rest);
	struct stat st;

	assert_int_equal(lstat(p, &st), 0);
	free(p);
	return st.st_mode & 07777;
}

static size_t count(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d)) != NULL;)
		n += strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
	closedir(d);
	return n;
}

static size_t count_web(const char *rest)
{
	char *p = in_web(rest);
	size_t n = count(p);

	free(p);
	return n;
}

static void fails(const char *web, const char *token, int code, const char *say)
{
	struct err e = ERR_INIT;
	int r = webroot_publish(web, token, NULL, 0, &e);

	if (r != code || strstr(e.text, say) == NULL)
		print_error("wanted %d \"%s\", got %d: %s\n", code, say, r, e.text);
	assert_int_equal(r, code);
	assert_non_null(strstr(e.text, say));
	assert_int_equal(webroot_publish(web, token, NULL, 0, NULL), code);
}

/* ---- the good way ---- */

static void test_publish(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, &e), 0);
	check_file(TOKEN); /* no line end */
	assert_int_equal(mode_of(WK), 0755);
	assert_int_equal(mode_of(PV), 0755);
	assert_int_equal(mode_of(WEBROOT_FILE), 0644);
	assert_int_equal(count_web(PV), 1);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, &e), 0);
	assert_int_equal(webroot_withdraw(t.web, "other", &e), 0);
	check_file(TOKEN);
	assert_int_equal(webroot_withdraw(t.web, TOKEN, &e), 0);
	assert_false(file_there());
	assert_int_equal(webroot_withdraw(t.web, TOKEN, &e), 0);
	assert_int_equal(count_web(PV), 0);
}

static void test_modes_of_others_stay(void **state)
{
	char *p = in_web(WK);

	(void)state;
	make_folders();
	assert_int_equal(chmod(p, 0700), 0);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	assert_int_equal(mode_of(WK), 0700);
	free(p);
}

static void test_replace_own(void **state)
{
	const char *const own[] = { "earlier", "older" };

	(void)state;
	make_folders();
	make_file(WEBROOT_FILE, "older\r\n \t", 9);
	fails(t.web, TOKEN, -EEXIST, "holds something that is not ours");
	assert_int_equal(webroot_publish(t.web, TOKEN, own, 2, NULL), 0);
	check_file(TOKEN);
	/* the same token with white space of an editor behind it, or not readable for the web server */
	make_file(WEBROOT_FILE, TOKEN "\n", strlen(TOKEN) + 1);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	check_file(TOKEN);
	char *p = in_web(WEBROOT_FILE);
	assert_int_equal(chmod(p, 0600), 0);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	assert_int_equal(mode_of(WEBROOT_FILE), 0644);
	free(p);
}

/* Counts: this definition goes before the one of libc. */
static atomic_uint n_synced;

int fsync(int fd)
{
	(void)fd;
	n_synced++;
	return 0;
}

/* A power cut may undo what was not synced, also the renaming that put another file in the place of ours. */
static void test_withdrawal_is_durable(void **state)
{
	static const char *const mine[] = { TOKEN };
	static const char other[] = "another_token_of_the_same_webroot";

	(void)state;
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	assert_int_equal(webroot_publish(t.web, other, mine, 1, NULL), 0);
	n_synced = 0;
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_int_equal(n_synced, 1);
	check_file(other);
	assert_int_equal(webroot_withdraw(t.web, other, NULL), 0);
	assert_int_equal(n_synced, 2);
}

static void test_symlinked_webroot(void **state)
{
	char *link = xasprintf("%s/link", t.dir);

	(void)state;
	assert_int_equal(symlink("web", link), 0); /* named by the administrator: followed */
	assert_int_equal(webroot_publish(link, TOKEN, NULL, 0, NULL), 0);
	check_file(TOKEN);
	free(link);
}

static void test_leftover_temp(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char *p = in_web(PV "/.dvcert-proof-0123456789abcdef"), *q = in_web(PV "/.dvcert-proof-notours");

	(void)state;
	make_folders();
	make_file(PV "/.dvcert-proof-0123456789abcdef", "x", 1);
	make_file(PV "/.dvcert-proof-notours", "x", 1);
	make_file(PV "/.dvcert-proof-0123456789abcdee", "x", 1); /* fresh: perhaps of another publisher */
	assert_int_equal(utimensat(AT_FDCWD, p, old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, q, old, 0), 0);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	assert_int_equal(count_web(PV), 3);
	assert_int_equal(access(p, F_OK), -1);
	free(p);
	free(q);
}

/* ---- what lies in the way ---- */

static void test_foreign_file(void **state)
{
	char big[5000];

	(void)state;
	make_folders();
	memset(big, 'x', sizeof(big));
	make_file(WEBROOT_FILE, "another's", 9);
	fails(t.web, TOKEN, -EEXIST, "remove it");
	check_file("another's");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	check_file("another's");
	make_file(WEBROOT_FILE, "", 0);
	fails(t.web, TOKEN, -EEXIST, "not ours");
	make_file(WEBROOT_FILE, TOKEN "\0", strlen(TOKEN) + 1);
	fails(t.web, TOKEN, -EEXIST, "not ours");
	make_file(WEBROOT_FILE, big, sizeof(big));
	fails(t.web, TOKEN, -EEXIST, "not ours");
	assert_int_equal(count_web(PV), 1);
}

static void test_symlinked_folders(void **state)
{
	char *pv = xasprintf("%s/pki-validation", t.victim);

	(void)state;
	assert_int_equal(mkdir(pv, 0755), 0);
	make_link(t.victim, WK);
	fails(t.web, TOKEN, -ELOOP, ".well-known is a symbolic link");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_int_equal(count(pv), 0);
	char *p = in_web(WK);
	assert_int_equal(unlink(p), 0);
	free(p);
	make_dir(WK);
	make_link(pv, PV);
	fails(t.web, TOKEN, -ELOOP, "pki-validation is a symbolic link");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_int_equal(count(pv), 0);
	/* even one that stays inside */
	p = in_web(PV);
	assert_int_equal(unlink(p), 0);
	free(p);
	make_dir("inside");
	make_link("../inside", PV);
	fails(t.web, TOKEN, -ELOOP, "symbolic link");
	assert_int_equal(count_web("inside"), 0);
	free(pv);
}

static void test_symlinked_file(void **state)
{
	char *target = xasprintf("%s/passwd", t.victim), *text = NULL;
	char *p = in_web(WEBROOT_FILE);
	int fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	(void)state;
	assert_int_equal(write(fd, TOKEN, strlen(TOKEN)), strlen(TOKEN));
	close(fd);
	make_folders();
	make_link(target, WEBROOT_FILE);
	fails(t.web, "another", -ELOOP, "symbolic link");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_true(file_there());
	assert_int_equal(fs_read_at(AT_FDCWD, target, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, TOKEN);
	free(text);
	/* dangling: nothing may come into being at its end */
	assert_int_equal(unlink(target), 0);
	fails(t.web, TOKEN, -ELOOP, "symbolic link");
	assert_int_equal(count(t.victim), 0);
	assert_int_equal(unlink(p), 0);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	free(target);
	free(p);
}

static void test_dangling_folder(void **state)
{
	char *target = xasprintf("%s/none", t.victim);

	(void)state;
	make_link(target, WK);
	fails(t.web, TOKEN, -ELOOP, "symbolic link");
	assert_int_equal(count(t.victim), 0);
	free(target);
}

static void test_hard_link(void **state)
{
	char *other = xasprintf("%s/other", t.victim), *p = in_web(WEBROOT_FILE), *text = NULL;
	const char *const own[] = { "mine" };
	int fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	(void)state;
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	make_folders();
	assert_int_equal(link(other, p), 0);
	struct err e = ERR_INIT;
	assert_int_equal(webroot_publish(t.web, TOKEN, own, 1, &e), -EEXIST);
	assert_non_null(strstr(e.text, "several hard links"));
	assert_int_equal(webroot_withdraw(t.web, "mine", NULL), 0);
	assert_true(file_there());
	assert_int_equal(fs_read_at(AT_FDCWD, other, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, "mine");
	free(text);
	free(other);
	free(p);
}

static void test_odd_kinds(void **state)
{
	char *p = in_web(WEBROOT_FILE), *wk = in_web(WK);

	(void)state;
	make_folders();
	assert_int_equal(mkfifo(p, 0666), 0);
	fails(t.web, TOKEN, -EEXIST, "not a plain file");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_true(file_there());
	assert_int_equal(unlink(p), 0);
	assert_int_equal(mkdir(p, 0755), 0);
	fails(t.web, TOKEN, -EEXIST, "not a plain file");
	assert_int_equal(rmdir(p), 0);
	if (geteuid() == 0 && mknod(p, S_IFCHR | 0666, 0x0103) == 0) { /* /dev/null */
		fails(t.web, TOKEN, -EEXIST, "not a plain file");
		assert_int_equal(unlink(p), 0);
	}
	(void)nftw(wk, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkfifo(wk, 0666), 0);
	fails(t.web, TOKEN, -ENOTDIR, "not a folder");
	assert_int_equal(unlink(wk), 0);
	make_file(WK, "", 0);
	fails(t.web, TOKEN, -ENOTDIR, "not a folder");
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	free(p);
	free(wk);
}

static void test_missing_webroot(void **state)
{
	char *none = xasprintf("%s/none", t.dir), *file = xasprintf("%s/f", t.web);
	char *want = xasprintf("webroot %s does not exist: create it or correct dcv.webroot", none);

	(void)state;
	fails(none, TOKEN, -ENOENT, want);
	assert_int_equal(access(none, F_OK), -1);
	assert_int_equal(webroot_withdraw(none, TOKEN, NULL), 0);
	make_file("f", "", 0);
	fails(file, TOKEN, -ENOTDIR, "not a folder");
	free(none);
	free(file);
	free(want);
}

/* Runs fn as nobody; its result is the exit code. */
static int as_nobody(int (*fn)(void))
{
	int status = -1;
	pid_t p = fork();

	if (p == 0) {
		if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
			_exit(99);
		_exit(fn());
	}
	assert_int_equal(waitpid(p, &status, 0), p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int publish_refused(void)
{
	struct err e = ERR_INIT;

	if (webroot_publish(t.web, TOKEN, NULL, 0, &e) != -EACCES)
		return 1;
	return strstr(e.text, t.web) != NULL && strstr(e.text, "needs access") != NULL ? 0 : 2;
}

static int publish_works(void)
{
	return webroot_publish(t.web, TOKEN, NULL, 0, NULL) == 0 ? 0 : 1;
}

static int withdraw_refused(void)
{
	return webroot_withdraw(t.web, TOKEN, NULL) == -EACCES ? 0 : 1;
}

static void test_no_permission(void **state)
{
	char *wk = in_web(WK), *pv = in_web(PV);

	(void)state;
	if (geteuid() != 0) {
		free(wk);
		free(pv);
		skip(); /* our own folders do not refuse us */
	}
	assert_int_equal(chmod(t.dir, 0755), 0);
	assert_int_equal(chmod(t.web, 0755), 0);
	assert_int_equal(as_nobody(publish_refused), 0); /* cannot make .well-known */
	assert_int_equal(count(t.web), 0);
	make_folders();
	assert_int_equal(chmod(wk, 0755), 0);
	assert_int_equal(chmod(pv, 0755), 0);
	assert_int_equal(as_nobody(publish_refused), 0); /* cannot make the file */
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	assert_int_equal(as_nobody(publish_works), 0); /* it is there already */
	assert_int_equal(as_nobody(withdraw_refused), 0);
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_int_equal(chown(pv, NOBODY, NOBODY), 0);
	/* write and search are all that is needed, to list is not */
	assert_int_equal(chmod(pv, 0300), 0);
	assert_int_equal(as_nobody(publish_works), 0);
	check_file(TOKEN);
	/* root in a folder of others */
	assert_int_equal(chmod(pv, 0755), 0);
	assert_int_equal(webroot_withdraw(t.web, TOKEN, NULL), 0);
	assert_int_equal(webroot_publish(t.web, TOKEN, NULL, 0, NULL), 0);
	free(wk);
	free(pv);
}

static void test_tokens(void **state)
{
	const char *const bad[] = { "../x", "a/b",   "",	 "a\n", "\n",	"a b",
				    "a.b",  "a\x01", "\xc3\xa4", "%n",	"$(id)" };
	char longest[258];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		fails(t.web, bad[i], -EINVAL, "token");
	memset(longest, 'a', sizeof(longest));
	longest[257] = '\0';
	fails(t.web, longest, -EINVAL, "token");
	assert_int_equal(count(t.web), 0);
	longest[256] = '\0';
	assert_int_equal(webroot_publish(t.web, longest, NULL, 0, NULL), 0);
	check_file(longest);
}

/* ---- an attacker who swaps a folder for a link all the time ---- */

struct attack {
	char real[128], evil[128];
	atomic_bool stop;
	unsigned long n;
};

static void *attack_run(void *arg)
{
	struct attack *a = arg;

	while (!atomic_load(&a->stop)) {
		(void)renameat2(AT_FDCWD, a->real, AT_FDCWD, a->evil, RENAME_EXCHANGE);
		a->n++;
	}
	return NULL;
}

static void attack(const char *what, const char *target)
{
	struct attack a = { .stop = false };
	int n_done = 0, n_gone = 0;
	pthread_t th;

	(void)snprintf(a.real, sizeof(a.real), "%s/%s", t.web, what);
	(void)snprintf(a.evil, sizeof(a.evil), "%s/evil", t.web);
	assert_int_equal(symlink(target, a.evil), 0);
	assert_int_equal(pthread_create(&th, NULL, attack_run, &a), 0);
	for (int i = 0; i < ATTACK_TRIES; i++) {
		int r = webroot_publish(t.web, TOKEN, NULL, 0, NULL);

		n_done += r == 0;
		n_gone += r == 0 && webroot_withdraw(t.web, TOKEN, NULL) == 0;
	}
	atomic_store(&a.stop, true);
	pthread_join(th, NULL);
	print_message("%s: %d of %d published, %d withdrawn, %lu swaps\n", what, n_done, ATTACK_TRIES, n_gone,
		      a.n);
}

static void test_attack_outer(void **state)
{
	char *pv = xasprintf("%s/pki-validation", t.victim);

	(void)state;
	assert_int_equal(mkdir(pv, 0755), 0);
	make_folders();
	attack(WK, t.victim);
	assert_int_equal(count(pv), 0);
	assert_int_equal(count(t.victim), 1);
	free(pv);
}

static void test_attack_inner(void **state)
{
	(void)state;
	make_folders();
	attack(PV, t.victim);
	assert_int_equal(count(t.victim), 0);
}

static void test_attack_missing(void **state)
{
	(void)state;
	/* the folder below does not exist in either: what is made must be made inside */
	make_dir(WK);
	attack(WK, t.victim);
	assert_int_equal(count(t.victim), 0);
}

static void test_attack_file(void **state)
{
	char *target = xasprintf("%s/passwd", t.victim);

	(void)state;
	make_folders();
	attack(WEBROOT_FILE, target);
	assert_int_equal(count(t.victim), 0);
	free(target);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_publish),
		T(test_modes_of_others_stay),
		T(test_replace_own),
		T(test_withdrawal_is_durable),
		T(test_symlinked_webroot),
		T(test_leftover_temp),
		T(test_foreign_file),
		T(test_symlinked_folders),
		T(test_symlinked_file),
		T(test_dangling_folder),
		T(test_hard_link),
		T(test_odd_kinds),
		T(test_missing_webroot),
		T(test_no_permission),
		T(test_tokens),
		T(test_attack_outer),
		T(test_attack_inner),
		T(test_attack_missing),
		T(test_attack_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
