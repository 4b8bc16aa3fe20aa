/* SPDX-License-Identifier: Apache-2.0 */
/* Programs as hooks are in life: failing, hanging, flooding, leaving children behind; and what they are given. This
 * program is its own hook (helper_main), because a shell would add to what it shows. Nothing here sleeps: who must
 * be waited for writes to a FIFO or is reaped. */
#include "daemon/io/child.h"

#include "common/clock.h"
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
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define N_AT_ONCE  50
#define NOBODY	   65534
#define LONG_MS	   60000
#define SWAP_TRIES 300

static char dir[40], helper[64];
static struct loop *loop;
static const char *const no_env[] = { NULL };

struct seen {
	int n;
	struct child_result r;
	char *output;
};

static struct seen seen;
static int n_awaited;

/* --- the hook ---------------------------------------------------------------------------------------- */

/* Which descriptors are open, what runs here, and how signals stand. */
static void show_self(void)
{
	char link[300], cwd[100], line[200];
	DIR *d = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/status", "re");
	mode_t mask = umask(0);

	for (int fd = 0; d && fd < 4096; fd++) {
		(void)snprintf(line, sizeof line, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(line, link, sizeof link - 1);

		if (n > 0 && fd != dirfd(d) && fd != fileno(f))
			printf("%d%s ", fd, strncmp(link, "/dev/null", 9) == 0 ? "=null" : "");
	}
	printf("%s umask %03o cwd %s ", getsid(0) == getpid() && getpgrp() == getpid() ? "leader" : "member",
	       (unsigned)mask, getcwd(cwd, sizeof cwd));
	while (f && fgets(line, sizeof line, f))
		if (str_has_prefix(line, "SigBlk:") || str_has_prefix(line, "SigIgn:"))
			printf("%.6s %llx ", line, strtoull(line + 7, NULL, 16));
	if (d)
		(void)closedir(d);
	if (f)
		(void)fclose(f);
}

static int helper_main(int argc, char **argv)
{
	if (strcmp(argv[1], "--self") == 0)
		show_self();
	for (int i = 2; strcmp(argv[1], "--args") == 0 && i < argc; i++)
		printf("[%s]", argv[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}

/* --- fixture ----------------------------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static char *make_file(const char *name, const char *text, mode_t mode)
{
	char *path = in_dir(name);
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static void copy_file(const char *from_path, const char *to_path, mode_t mode)
{
	int from = open(from_path, O_RDONLY | O_CLOEXEC);
	int to = open(to_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	char buf[65536];
	ssize_t n = 0;

	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, buf, sizeof buf)) > 0)
		assert_int_equal(write(to, buf, (size_t)n), n);
	assert_int_equal(fchmod(to, mode), 0);
	close(from);
	close(to);
}

static char *make_script(const char *body)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\n%s\n", body);

	return make_file("hook", text, 0755);
}

static void on_done(const struct child_result *r, void *owner)
{
	struct seen *s = owner;

	s->n++;
	s->r = *r;
	free(s->output);
	s->output = xstrdup(r->output);
	s->r.output = s->output;
	if (--n_awaited == 0)
		loop_stop(loop);
}

static struct child *begin(const char *const *argv, const char *const *env, int64_t timeout_ms)
{
	struct child_spec spec = { .argv = argv, .env = env, .label = "test", .timeout_ms = timeout_ms };
	struct child *c = NULL;

	child_start(loop, &spec, on_done, &seen, &c);
	assert_non_null(c);
	return c;
}

static const struct child_result *run_with(const char *const *argv, const char *const *env,
					   int64_t timeout_ms)
{
	int before = seen.n;

	n_awaited = 1;
	(void)begin(argv, env, timeout_ms);
	assert_int_equal(seen.n, before); /* not before it returned */
	loop_run(loop);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(seen.n, before + 1);
	return &seen.r;
}

static const struct child_result *run(const char *program)
{
	return run_with((const char *[]){ program, NULL }, no_env, LONG_MS);
}

static const struct child_result *run_script(const char *body, int64_t timeout_ms)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	_cleanup_free_ char *path = make_script(body);

	return run_with((const char *[]){ path, dir, NULL }, env, timeout_ms);
}

static void check_exit(const struct child_result *r, int code)
{
	assert_int_equal(r->start_error, 0);
	assert_int_equal(r->exit_code, code);
	assert_int_equal(r->signal, 0);
	assert_false(r->timed_out);
}

static void check_not_started(const struct child_result *r, int error)
{
	assert_int_equal(r->start_error, error);
	assert_int_equal(r->exit_code, -1);
	assert_int_equal(r->signal, 0);
	assert_false(r->timed_out);
	assert_string_equal(r->output, "");
}

/* Orphans come to us (PR_SET_CHILD_SUBREAPER): waits until this one is gone, and says how it went. */
static int reap_orphan(uint64_t pid)
{
	int status = 0;

	assert_true(pid > 1);
	assert_int_equal(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static char *make_fifo(void)
{
	char *path = in_dir("fifo");

	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	return path;
}

/* A number that a hook writes to the FIFO; until then we wait. */
static uint64_t read_number(const char *fifo)
{
	char text[32] = "";
	int fd = open(fifo, O_RDONLY | O_CLOEXEC);
	uint64_t n = 0;

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	assert_int_equal(str_parse_u64(text, &n), 0);
	return n;
}

static int setup(_unused_ void **state)
{
	(void)alarm(60);
	assert_int_equal(loop_new(&loop, NULL), 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	loop_free(loop);
	free(seen.output);
	memset(&seen, 0, sizeof seen);
	while (waitpid(-1, NULL, 0) >
	       0) /* orphans that were killed; a living one would keep us here (alarm) */
		;
	assert_int_equal(errno, ECHILD);
	return 0;
}

/* --- how it ends ------------------------------------------------------------------------------------- */

static void test_exit_codes(_unused_ void **state)
{
	check_exit(run_script("exit 0", LONG_MS), 0);
	assert_string_equal(seen.output, "");
	check_exit(run_script("exit 1", LONG_MS), 1);
	check_exit(run_script("exit 75", LONG_MS), 75);
	check_exit(run_script("exec >&- 2>&-; exit 4", LONG_MS),
		   4); /* the end of the output is not the end */
}

static void test_signal(_unused_ void **state)
{
	const struct child_result *r = run_script("kill -KILL $$", LONG_MS);

	assert_int_equal(r->start_error, 0);
	assert_int_equal(r->exit_code, -1);
	assert_int_equal(r->signal, SIGKILL);
	assert_false(r->timed_out);
}

/* Who started us may have ignored SIGCHLD, and then no status would come. */
static void test_ignored_sigchld(_unused_ void **state)
{
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	check_exit(run_script("exit 3", LONG_MS), 3);
}

static void test_deadline(_unused_ void **state)
{
	int64_t start = clock_mono_ms();
	const struct child_result *r = run_script("sleep 1000", 50);

	assert_true(r->timed_out);
	assert_int_equal(r->exit_code, -1);
	assert_int_equal(r->signal, SIGTERM);
	assert_true(clock_mono_ms() - start >= 50);
	r = run_script("trap 'echo bye; exit 0' TERM; sleep 1000 & wait", 200);
	assert_true(r->timed_out);
	assert_int_equal(r->exit_code, -1); /* not by itself */
	assert_int_equal(r->signal, 0);
	assert_string_equal(r->output, "bye");
}

static void test_deadline_ignored(_unused_ void **state)
{
	int64_t start = clock_mono_ms();
	const struct child_result *r = run_script("trap '' TERM; echo no; while :; do sleep 1000; done", 200);

	assert_true(r->timed_out);
	assert_int_equal(r->signal, SIGKILL);
	assert_string_equal(r->output, "no");
	assert_true(clock_mono_ms() - start >= 2200);
}

/* The signal may find it before it has a group, or before it is the program. */
static void test_deadline_at_once(_unused_ void **state)
{
	for (int i = 0; i < 40; i++) {
		const struct child_result *r = run_script("sleep 1000", i % 3);

		assert_true(r->timed_out);
		assert_int_equal(r->signal, SIGTERM);
	}
}

static void test_children_left_behind(_unused_ void **state)
{
	uint64_t pid = 0;

	check_exit(run_script("trap '' TERM; sleep 1000 & echo $!", LONG_MS), 0);
	assert_int_equal(str_parse_u64(seen.output, &pid), 0);
	assert_int_equal(reap_orphan(pid), SIGKILL);
}

/* A session of its own is out of reach; the pipe that it holds open must not matter. */
static void test_runaway(_unused_ void **state)
{
	_cleanup_free_ char *fifo = make_fifo();
	uint64_t pid = 0;

	assert_non_null(fifo);
	check_exit(run_script("f=$1/fifo; export f\n"
			      "setsid sh -c 'echo $$ >$f; exec sleep 1000' &\nread x <$f; echo $x",
			      LONG_MS),
		   0);
	assert_int_equal(str_parse_u64(seen.output, &pid), 0);
	assert_int_equal(kill((pid_t)pid, SIGUSR1), 0);
	assert_int_equal(reap_orphan(pid), SIGUSR1);
}

/* --- output ------------------------------------------------------------------------------------------ */

static void test_output(_unused_ void **state)
{
	check_exit(run_script("echo out; echo err >&2; printf 'a\\033b\\n\\n'", LONG_MS), 0);
	assert_string_equal(seen.output, "out\\x0aerr\\x0aa\\x1bb");
}

static void test_output_is_the_end(_unused_ void **state)
{
	char want[CHILD_OUTPUT_MAX + 1] = "";

	/* Around the cap: the ring wraps in the middle of a write. */
	for (size_t n = CHILD_OUTPUT_MAX - 2; n <= CHILD_OUTPUT_MAX + 2; n++) {
		_cleanup_free_ char *body = xasprintf("printf '%%0%zud' 7; printf 89", n);
		size_t kept = MIN(n + 2, CHILD_OUTPUT_MAX);

		check_exit(run_script(body, LONG_MS), 0);
		memset(want, '0', kept);
		memcpy(want + kept - 3, "789", 4);
		assert_string_equal(seen.output, want);
	}
}

static void test_flood(_unused_ void **state)
{
	struct rusage before, after;
	size_t len = 0;

	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	check_exit(run_script("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last words", LONG_MS), 0);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	len = strlen(seen.output);
	assert_int_equal(len, CHILD_OUTPUT_MAX - 1 + 3); /* a newline less, another one escaped */
	assert_string_equal(seen.output + len - 15, "x\\x0alast words");
	assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024); /* KiB */
}

static void test_flood_without_end(_unused_ void **state)
{
	const struct child_result *r = run_script("exec yes", 300);

	assert_true(r->timed_out);
	assert_int_equal(r->signal, SIGTERM);
	assert_true(strlen(r->output) >= CHILD_OUTPUT_MAX - 1);
}

/* --- what it is given -------------------------------------------------------------------------------- */

static void test_environment(_unused_ void **state)
{
	const char *const argv[] = { "/usr/bin/env", NULL };
	const char *const env[] = { "PATH=/nowhere", "A=;id\nB", NULL };

	check_exit(run_with(argv, env, LONG_MS), 0);
	assert_string_equal(seen.output, "PATH=/nowhere\\x0aA=;id\\x0aB");
	check_exit(run_with(argv, no_env, LONG_MS), 0);
	assert_string_equal(seen.output, "");
}

static void test_arguments(_unused_ void **state)
{
	const char *const argv[] = { helper,  "--args", ";id", "a\nb", "$(id) `id`", "*",
				     "'\"\\", "",	"-n",  "\xff", NULL };

	check_exit(run_with(argv, no_env, LONG_MS), 0);
	assert_string_equal(seen.output, "[;id][a\\x0ab][$(id) `id`][*]['\"\\][][-n][\\xff]");
}

/* Descriptors that nobody marked, blocked and ignored signals, and another folder are not passed on. */
static void test_clean_process(_unused_ void **state)
{
	static const char want[] = "0=null 1 2 leader umask 077 cwd / SigBlk 0 SigIgn 0 ";
	_cleanup_free_ char *line = xasprintf("#!%s --self\n", helper);
	_cleanup_free_ char *script = make_file("script", line, 0755);
	int leak = dup2(STDERR_FILENO, 50);
	mode_t mask = umask(022);
	sigset_t some, old;

	assert_int_equal(leak, 50);
	(void)sigemptyset(&some);
	(void)sigaddset(&some, SIGUSR1);
	(void)sigaddset(&some, SIGTERM);
	(void)sigaddset(&some, SIGRTMIN);
	assert_int_equal(sigprocmask(SIG_BLOCK, &some, &old), 0);
	assert_true(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
	check_exit(run_with((const char *[]){ helper, "--self", NULL }, no_env, LONG_MS), 0);
	assert_string_equal(seen.output, want);
	check_exit(run(script), 0); /* a script: by its path, with the same care */
	assert_string_equal(seen.output, want);
	assert_true(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
	(void)umask(mask);
	close(leak);
}

/* Our own 0 to 2 may be closed: then the pipes have these numbers. */
static void test_without_stdio(_unused_ void **state)
{
	int saved[3];

	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	(void)run_with((const char *[]){ helper, "--self", NULL }, no_env, LONG_MS);
	for (int i = 0; i < 3; i++) {
		(void)dup2(saved[i], i);
		close(saved[i]);
	}
	check_exit(&seen.r, 0);
	assert_true(str_has_prefix(seen.output, "0=null 1 2 leader"));
}

/* --- what is not run --------------------------------------------------------------------------------- */

static void check_refused(const char *name, const char *text, mode_t mode, int error)
{
	_cleanup_free_ char *path = make_file(name, text, mode);

	check_not_started(run(path), error);
	assert_int_equal(unlink(path), 0);
}

static void test_refused(_unused_ void **state)
{
	_cleanup_free_ char *missing = in_dir("missing");
	_cleanup_free_ char *below = in_dir("hook/below");
	_cleanup_free_ char *fifo = make_fifo();
	_cleanup_free_ char *ok = make_script("exit 0");
	static const char text[] = "#!/bin/sh\nexit 0\n";

	check_exit(run(ok), 0);
	assert_int_equal(child_check(ok), 0);
	assert_int_equal(child_check(missing), -ENOENT);
	assert_int_equal(child_check("bin/true"), -EINVAL);
	assert_int_equal(child_check(dir), -EACCES);
	check_not_started(run(missing), -ENOENT);
	check_not_started(run(below), -ENOTDIR);
	check_not_started(run("bin/true"), -EINVAL);
	check_not_started(run(dir), -EACCES);
	assert_int_equal(chmod(fifo, 0700), 0);
	check_not_started(run(fifo), -EACCES);
	check_not_started(run("/dev/null"), -EACCES);
	check_refused("plain", text, 0644, -EACCES);
	check_refused("world", text, 0757, -EPERM);
	check_refused("group", text, 0775, -EPERM);
	check_refused("garbage", "\1\2\3", 0755, -ENOEXEC);
	check_refused("empty", "", 0755, -ENOEXEC);
	check_refused("nosh", "#!/nowhere/sh\n", 0755, -ENOENT);
	if (geteuid() == 0) {
		assert_int_equal(chown(ok, NOBODY, NOBODY), 0);
		check_not_started(run(ok), -EPERM);
		assert_int_equal(unlink(ok), 0);
	}
}

static void test_by_link(_unused_ void **state)
{
	_cleanup_free_ char *link = in_dir("link");
	_cleanup_free_ char *target = make_script("exit 7");

	assert_int_equal(symlink(target, link), 0);
	check_exit(run(link), 7);
	assert_int_equal(chmod(target, 0777), 0);
	assert_int_equal(child_check(link), -EPERM);
	check_not_started(run(link), -EPERM);
	assert_int_equal(unlink(link), 0);
}

static atomic_bool stop_swapping;

static void *swap(void *arg)
{
	char *const *paths = arg;

	while (!atomic_load(&stop_swapping))
		if (renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) < 0)
			abort();
	return NULL;
}

/* A binary that is swapped all the time: what is executed is what was checked. */
static void test_swapped(_unused_ void **state)
{
	_cleanup_free_ char *good = in_dir("good");
	_cleanup_free_ char *bad = in_dir("bad");
	char *paths[] = { good, bad };
	int n_run = 0, n_refused = 0;
	pthread_t thread;

	copy_file("/bin/true", good, 0755);
	copy_file("/bin/false", bad, 0777);
	assert_int_equal(pthread_create(&thread, NULL, swap, paths), 0);
	for (int i = 0; i < SWAP_TRIES || n_run == 0 || n_refused == 0; i++) {
		if (run(good)->start_error == 0)
			n_run++;
		else
			n_refused++;
		if (seen.r.start_error == 0)
			check_exit(&seen.r, 0);
		else
			check_not_started(&seen.r, -EPERM);
	}
	atomic_store(&stop_swapping, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Whatever the call that fails: one callback, and nothing is left behind. */
static void test_out_of_descriptors(_unused_ void **state)
{
	_cleanup_free_ char *ok = make_script("exit 5");
	int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit old, few;
	int n_failed = 0;

	assert_true(probe >= 0);
	close(probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	for (few.rlim_cur = (rlim_t)probe; run(ok)->start_error != 0 || n_failed == 0; few.rlim_cur++) {
		if (n_failed > 0)
			assert_int_equal(seen.r.start_error, -EMFILE);
		else
			check_exit(&seen.r, 5);
		n_failed++;
		assert_true(n_failed < 20);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(n_failed >= 5); /* two pipes and a pidfd, at least */
	check_exit(&seen.r, 5);
}

/* --- cancel, and many -------------------------------------------------------------------------------- */

static void test_cancel_running(_unused_ void **state)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	_cleanup_free_ char *fifo = make_fifo();
	_cleanup_free_ char *path = make_script("trap '' TERM; sleep 1000 & echo $! >$1/fifo; wait");
	struct child *c = begin((const char *[]){ path, dir, NULL }, env, LONG_MS);
	uint64_t pid = read_number(fifo);

	child_cancel(&c);
	assert_null(c);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(seen.n, 0);
	assert_int_equal(reap_orphan(pid), SIGKILL);
	child_cancel(&c); /* empty: nothing */
}

static void test_cancel_at_once(_unused_ void **state)
{
	_cleanup_free_ char *path = make_script("sleep 1000");
	const char *const argv[] = { path, NULL };
	struct rlimit old, few;
	struct child *c = NULL;

	for (int i = 0; i < 20; i++) {
		c = begin(argv, no_env, LONG_MS);
		child_cancel(&c);
	}
	c = begin((const char *[]){ "/nowhere", NULL }, no_env, LONG_MS);
	child_cancel(&c);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 4;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	c = begin(argv, no_env, LONG_MS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	child_cancel(&c);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(seen.n, 0);
}

/* Its end is there already, but nobody has looked. */
static void test_cancel_after_the_end(_unused_ void **state)
{
	struct child *c = begin((const char *[]){ "/bin/true", NULL }, no_env, LONG_MS);
	siginfo_t si;

	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	child_cancel(&c);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	assert_int_equal(seen.n, 0);
}

static void test_many_at_once(_unused_ void **state)
{
	_cleanup_free_ char *path = make_script("echo $1; exit $1");
	static struct seen each[N_AT_ONCE];
	struct child_spec spec = { .env = no_env, .timeout_ms = LONG_MS };

	n_awaited = N_AT_ONCE;
	for (int i = 0; i < N_AT_ONCE; i++) {
		_cleanup_free_ char *code = xasprintf("%d", i);
		const char *argv[] = { path, code, NULL };

		spec.argv = argv; /* gone when the program starts */
		child_start(loop, &spec, on_done, &each[i], NULL);
	}
	loop_run(loop);
	for (int i = 0; i < N_AT_ONCE; i++) {
		_cleanup_free_ char *code = xasprintf("%d", i);

		assert_int_equal(each[i].n, 1);
		check_exit(&each[i].r, i);
		assert_string_equal(each[i].output, code);
		free(each[i].output);
	}
}

/* --- all of it --------------------------------------------------------------------------------------- */

static int group_setup(_unused_ void **state)
{
	(void)snprintf(dir, sizeof dir, "/tmp/test_child.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(helper, sizeof helper, "%s/helper", dir);
	/* Under a mode and an owner that we know: the build may be group-writable. */
	copy_file("/proc/self/exe", helper, 0700);
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int flag,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static int group_teardown(_unused_ void **state)
{
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- input --------------------------------------------------------------------------------------------- */

static const struct child_result *run_input(const char *body, const char *input)
{
	_cleanup_free_ char *path = make_script(body);
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	const char *argv[] = { path, NULL };
	struct child_spec spec = { .argv = argv, .env = env, .timeout_ms = LONG_MS, .input = input };

	n_awaited = 1;
	child_start(loop, &spec, on_done, &seen, NULL);
	loop_run(loop);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	return &seen.r;
}

static void test_input(_unused_ void **state)
{
	char full[CHILD_INPUT_MAX + 2];

	check_exit(run_input("cat; echo .", "one\ntwo"), 0);
	assert_string_equal(seen.output, "one\\x0atwo.");
	check_exit(run_input("cat; echo .", ""), 0); /* its end is seen at once */
	assert_string_equal(seen.output, ".");
	check_exit(run_input("exit 3", "nobody reads this"), 3);

	memset(full, 'x', sizeof full);
	full[CHILD_INPUT_MAX] = '\0';
	check_exit(run_input("wc -c", full), 0);
	assert_string_equal(seen.output, "4096");
	full[CHILD_INPUT_MAX] = 'x';
	full[CHILD_INPUT_MAX + 1] = '\0';
	check_not_started(run_input("exit 0", full), -EFBIG);
}

/* Pipes have the numbers of the standard descriptors when those were closed. */
static void test_input_without_standard_descriptors(_unused_ void **state)
{
	int kept = dup(STDIN_FILENO);

	assert_true(kept > 2);
	(void)close(STDIN_FILENO);
	check_exit(run_input("cat", "through"), 0);
	assert_string_equal(seen.output, "through");
	check_exit(run_script("cat; exit 5", LONG_MS), 5);
	assert_string_equal(seen.output, "");
	assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
	(void)close(kept);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exit_codes),
		TEST(test_signal),
		TEST(test_ignored_sigchld),
		TEST(test_deadline),
		TEST(test_deadline_ignored),
		TEST(test_deadline_at_once),
		TEST(test_children_left_behind),
		TEST(test_runaway),
		TEST(test_output),
		TEST(test_output_is_the_end),
		TEST(test_flood),
		TEST(test_flood_without_end),
		TEST(test_environment),
		TEST(test_arguments),
		TEST(test_clean_process),
		TEST(test_without_stdio),
		TEST(test_refused),
		TEST(test_by_link),
		TEST(test_swapped),
		TEST(test_out_of_descriptors),
		TEST(test_cancel_running),
		TEST(test_cancel_at_once),
		TEST(test_cancel_after_the_end),
		TEST(test_many_at_once),
		TEST(test_input),
		TEST(test_input_without_standard_descriptors),
	};

	if (argc > 1)
		return helper_main(argc, argv);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
