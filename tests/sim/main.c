/* SPDX-License-Identifier: Apache-2.0 */
/* sim: the whole daemon in a world that obeys one seed. Each seed is a process of its own: what a crash of the simulated
 * daemon leaks ends with it, and a real crash is a result like any other. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/mem.h"
#include "common/str.h"
#include "tests/sim/disk.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define DAYS_MIN 5
#define RC_BAD	 1
#define RC_USAGE 64

static const char USAGE[] = "usage: sim --seed N [--days D] [--domains M] [--without KIND]... [--trace]\n"
			    "       sim --seeds A-B [--jobs N] [--first]\n"
			    "       sim --shrink N         the smallest scenario of seed N that still fails\n"
			    "       sim --twice A-B        every seed twice: the traces must be the same\n"
			    "       sim --replay FILE...   scenarios that were kept\n";

static bool show_trace, stop_at_first;

/* --- one seed, in this process --- */

static char *make_dir(void)
{
	const char *base = getenv("SIM_DIR");
	char *dir;

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	dir = xasprintf("%s/dvcert-sim-XXXXXX", base);
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(2);
	}
	return dir;
}

struct result {
	uint64_t hash, lines;
	uint64_t domain_days; /* how much life was simulated */
};

/* --- a process for each --- */

struct run {
	struct plan plan;
	char *dir;
	int fd;
	pid_t pid;
};

static void start(struct run *r, const struct plan *p, bool quiet)
{
	int fds[2];

	r->plan = *p;
	r->dir = make_dir();
	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	r->pid = fork();
	if (r->pid == 0) {
		struct result res;
		int fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 900);

		if (quiet && !freopen("/dev/null", "w", stdout))
			abort();
		if (!show_trace && !freopen("/dev/null", "w", stderr))
			abort();
		plan = *p;
		world_init(plan.seed);
		world_show_trace(show_trace && !quiet);
		scenario_run(r->dir);
		fflush(stdout);
		res = (struct result){ world_trace_hash(), world_trace_lines(),
				       (uint64_t)plan.n_domains * plan.days };
		if (write(fd, &res, sizeof(res)) != sizeof(res))
			abort();
		_Exit(0);
	}
	close(fds[1]);
	r->fd = fds[0];
}

/* 0 when the seed is good. */
static int finish_run(struct run *r, struct result *ret)
{
	int status = 0, rc;

	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	rc = WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
	*ret = (struct result){ 0 };
	if (rc == 0 && read(r->fd, ret, sizeof(*ret)) != sizeof(*ret))
		rc = 99;
	close(r->fd);
	disk_remove_tree(r->dir);
	free(r->dir);
	r->dir = NULL;
	if (rc > 100)
		printf("sim: seed %" PRIu64 " ended with signal %d\n", r->plan.seed, rc - 100);
	return rc;
}

static int run_one(const struct plan *p, bool quiet, struct result *ret)
{
	struct run r = { 0 };

	start(&r, p, quiet);
	return finish_run(&r, ret);
}

static void print_command(const struct plan *p)
{
	printf("sim --seed %" PRIu64, p->seed);
	if (p->days_asked)
		printf(" --days %u", p->days_asked);
	if (p->domains_asked)
		printf(" --domains %u", p->domains_asked);
	for (unsigned i = 0; i < TROUBLE_NR; i++)
		if (p->without[i])
			printf(" --without %s", trouble_name((enum trouble)i));
	printf("\n");
}

/* --- smaller --- */

static bool still_fails(const struct plan *p)
{
	struct result res;

	return run_one(p, true, &res) != 0;
}

/* False when it does not fail as it is. */
static bool shrink(struct plan *p)
{
	if (!still_fails(p))
		return false;
	for (unsigned i = 0; i < TROUBLE_NR; i++) {
		p->without[i] = true;
		p->without[i] = still_fails(p);
	}
	for (unsigned n = 1; n <= 3; n++) {
		struct plan q = *p;

		q.domains_asked = n;
		if (!still_fails(&q))
			continue;
		*p = q;
		break;
	}
	for (unsigned days = DAYS_MIN; days < 400; days *= 2) {
		struct plan q = *p;

		q.days_asked = days;
		if (!still_fails(&q))
			continue;
		*p = q;
		break;
	}
	return true;
}

/* --- many --- */

static int report(const struct plan *p, int rc)
{
	printf("sim: FAILED: seed %" PRIu64 ", again with:\n  ", p->seed);
	print_command(p);
	fflush(stdout);
	return rc;
}

static int run_many(uint64_t first, uint64_t last, unsigned jobs)
{
	struct run runs[64] = { 0 };
	unsigned n_bad = 0;
	uint64_t n = 0, lines = 0, domain_days = 0, next = first;

	for (unsigned i = 0; n < last - first + 1; i = (i + 1) % jobs) {
		struct result res;

		if (runs[i].dir) {
			n++;
			if (finish_run(&runs[i], &res) != 0) {
				(void)report(&runs[i].plan, 1);
				n_bad++;
			}
			if (n_bad && stop_at_first)
				last = next - 1;
			lines += res.lines;
			domain_days += res.domain_days;
		}
		if (next <= last)
			start(&runs[i], &(struct plan){ .seed = next++ }, false);
	}
	printf("sim: %" PRIu64 " seeds, %" PRIu64 " virtual domain-years, %" PRIu64 " events, %u failed\n", n,
	       domain_days / 365, lines, n_bad);
	return n_bad ? RC_BAD : 0;
}

static int run_twice(uint64_t first, uint64_t last)
{
	for (uint64_t seed = first; seed <= last; seed++) {
		struct plan p = { .seed = seed };
		struct result a, b;

		if (run_one(&p, false, &a) != 0 || run_one(&p, true, &b) != 0)
			return report(&p, RC_BAD);
		if (a.hash != b.hash || a.lines != b.lines) {
			printf("sim: seed %" PRIu64 " is not the same twice (%" PRIu64 " and %" PRIu64
			       " events)\n",
			       seed, a.lines, b.lines);
			return RC_BAD;
		}
	}
	printf("sim: the same trace twice for seeds %" PRIu64 " to %" PRIu64 "\n", first, last);
	return 0;
}

/* --- the command line --- */

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	if (str_parse_u64(text, &n) < 0) {
		fputs(USAGE, stderr);
		exit(RC_USAGE);
	}
	return n;
}

static void range(char *text, uint64_t *first, uint64_t *last)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash = '\0';
	*first = number(text);
	*last = dash ? number(dash + 1) : *first;
}

enum mode { MODE_NONE, MODE_ONE, MODE_MANY, MODE_SHRINK, MODE_TWICE, MODE_REPLAY };

struct arguments {
	enum mode mode;
	struct plan plan;
	uint64_t first, last;
	unsigned jobs;
};

static bool set_option(struct arguments *a, int opt, char *text)
{
	enum trouble t;

	switch (opt) {
	case 's':
		a->mode = a->mode == MODE_SHRINK ? MODE_SHRINK : MODE_ONE;
		a->plan.seed = number(text);
		return true;
	case 'S':
		a->mode = MODE_MANY;
		range(text, &a->first, &a->last);
		return true;
	case 't':
		a->mode = MODE_TWICE;
		range(text, &a->first, &a->last);
		return true;
	case 'k':
		a->mode = MODE_SHRINK;
		a->plan.seed = number(text);
		return true;
	case 'd': a->plan.days_asked = (unsigned)number(text); return a->plan.days_asked >= DAYS_MIN;
	case 'm':
		a->plan.domains_asked = (unsigned)number(text);
		return a->plan.domains_asked >= 1 && a->plan.domains_asked <= PLAN_DOMAINS_MAX;
	case 'w':
		if (trouble_parse(text, &t) < 0)
			return false;
		a->plan.without[t] = true;
		return true;
	case 'j': a->jobs = (unsigned)number(text); return a->jobs >= 1 && a->jobs <= 64;
	case 'v': show_trace = true; return true;
	case 'f': stop_at_first = true; return true;
	case 'r': a->mode = MODE_REPLAY; return true;
	default: return false;
	}
}

static bool parse(int argc, char **argv, struct arguments *a)
{
	static const struct option OPTIONS[] = {
		{ "seed", required_argument, NULL, 's' },    { "seeds", required_argument, NULL, 'S' },
		{ "twice", required_argument, NULL, 't' },   { "shrink", required_argument, NULL, 'k' },
		{ "days", required_argument, NULL, 'd' },    { "domains", required_argument, NULL, 'm' },
		{ "without", required_argument, NULL, 'w' }, { "jobs", required_argument, NULL, 'j' },
		{ "trace", no_argument, NULL, 'v' },	     { "first", no_argument, NULL, 'f' },

		{ "replay", no_argument, NULL, 'r' },	     { NULL, 0, NULL, 0 },
	};
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
		if (!set_option(a, opt, optarg))
			return false;
	return true;
}

static int run_asked(const struct arguments *a)
{
	struct plan p = a->plan;
	struct result res;
	int rc;

	rc = run_one(&p, false, &res);
	if (rc != 0)
		return report(&p, RC_BAD);
	printf("sim: seed %" PRIu64 ": %" PRIu64 " events, trace %016" PRIx64 "\n", p.seed, res.lines,
	       res.hash);
	return 0;
}

/* A kept scenario is a file of options; lines with # say what it showed. */
static int replay(const char *path)
{
	struct arguments a = { .jobs = 1 };
	char line[1024], *argv[64] = { xstrdup("sim") };
	FILE *f = fopen(path, "re");
	int argc = 1, rc;

	while (f && fgets(line, sizeof(line), f))
		for (char *rest = line, *word; line[0] != '#' && (word = strsep(&rest, " \n"));)
			if (*word && argc < 63)
				argv[argc++] = xstrdup(word);
	if (!f || !parse(argc, argv, &a) || a.mode != MODE_ONE) {
		fprintf(stderr, "sim: %s is no scenario\n", path);
		return RC_USAGE;
	}
	fclose(f);
	printf("%s: ", path);
	rc = run_asked(&a);
	while (argc > 0)
		free(argv[--argc]);
	return rc;
}

int main(int argc, char **argv)
{
	struct arguments a = { .jobs = 2 };
	struct result res;
	int rc = 0;

	(void)unsetenv("NOTIFY_SOCKET");
	if (!parse(argc, argv, &a) || a.mode == MODE_NONE) {
		fputs(USAGE, stderr);
		return RC_USAGE;
	}
	switch (a.mode) {
	case MODE_MANY: return run_many(a.first, a.last, a.jobs);
	case MODE_TWICE: return run_twice(a.first, a.last);
	case MODE_REPLAY:
		for (int i = optind; i < argc && rc == 0; i++)
			rc = replay(argv[i]);
		return rc;
	case MODE_SHRINK:
		if (!shrink(&a.plan)) {
			printf("sim: seed %" PRIu64 " does not fail\n", a.plan.seed);
			return RC_BAD;
		}
		print_command(&a.plan);
		(void)run_one(&a.plan, false, &res);
		return 0;
	case MODE_ONE:
	case MODE_NONE: break;
	}
	return run_asked(&a);
}
