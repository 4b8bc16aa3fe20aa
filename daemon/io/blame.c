/* SPDX-License-Identifier: Apache-2.0 */
/* The mapped file. Not part of an object, because a signal handler has to find it. */
#include "daemon/io/blame.h"

#include "common/clock.h"
#include "daemon/io/mapped.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAGIC	 UINT32_C(0x64766331)
#define N_SLOTS	 32
#define NAME_LEN 256
/* A handler that ran out of stack needs another one; the kernel's least plus what the handler takes. */
#define STACK_LEN 16384

struct slot {
	int64_t since_ms; /* on the monotonic clock */
	int32_t hit;	  /* its thread met a fatal signal */
	char name[NAME_LEN];
};

struct blame_file {
	uint32_t magic;
	int32_t quiet;	   /* an orderly end has begun */
	int64_t killed_ms; /* a fatal signal came from another process then: from a watchdog; 0: none */
	struct slot slots[N_SLOTS];
};

static const int SIGNALS[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

static struct blame_file *map;
static struct sigaction before[ARRAY_SIZE(SIGNALS)];
static bool has_handlers;
static atomic_uint n_threads;
static _Thread_local unsigned my_slot; /* counted from 1; 0: none yet */
static _Thread_local const char *my_name;
static _Thread_local char my_stack[STACK_LEN];

static struct slot *slot_of_thread(void)
{
	return map && my_slot > 0 && my_slot <= N_SLOTS ? &map->slots[my_slot - 1] : NULL;
}

/* --- the end --- */

static void mark(const siginfo_t *si)
{
	bool from_outside = si->si_code == SI_USER && si->si_pid != getpid();
	struct slot *s = slot_of_thread();

	if (!map)
		return;
	if (from_outside)
		map->killed_ms = clock_mono_ms(); /* to all threads alike: the slots say who hangs */
	else if (s)
		s->hit = si->si_signo;
}

static void on_fatal(int signum, siginfo_t *si, _unused_ void *context)
{
	int saved = errno;

	/* Going on without a mapped file is better than to die of it. */
	if (mapped_forgive(si)) {
		errno = saved;
		return;
	}
	mark(si);
	for (size_t i = 0; i < ARRAY_SIZE(SIGNALS); i++) {
		if (SIGNALS[i] == signum)
			(void)sigaction(signum, &before[i], NULL);
	}
	/* A fault comes again by itself when the instruction is repeated; what was sent does not. */
	if (si->si_code <= 0)
		(void)raise(signum);
	errno = saved;
}

static void install_handlers(void)
{
	struct sigaction sa = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (has_handlers)
		return;
	has_handlers = true;
	for (size_t i = 0; i < ARRAY_SIZE(SIGNALS); i++)
		(void)sigaction(SIGNALS[i], &sa, &before[i]);
}

static void remove_handlers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(SIGNALS) && has_handlers; i++)
		(void)sigaction(SIGNALS[i], &before[i], NULL);
	has_handlers = false;
}

/* --- the beginning --- */

static bool is_guilty(const struct slot *s, bool any_hit, int64_t end_ms)
{
	if (s->name[0] == '\0')
		return false;
	return any_hit ? s->hit != 0 : end_ms - s->since_ms >= BLAME_HANG_MS;
}

/* The file may be damaged like any other: nothing in it is believed beyond its bounds. */
static void read_last(struct blame_file *f, struct words *ret)
{
	int64_t end_ms = f->killed_ms ? f->killed_ms : clock_mono_ms();
	bool any_hit = false;

	if (f->magic != MAGIC || f->quiet)
		return;
	for (size_t i = 0; i < N_SLOTS; i++) {
		f->slots[i].name[NAME_LEN - 1] = '\0';
		any_hit = any_hit || f->slots[i].hit != 0;
	}
	for (size_t i = 0; i < N_SLOTS; i++) {
		bool is_new = true;

		for (size_t k = 0; k < ret->n; k++)
			is_new = is_new && strcmp(ret->list[k], f->slots[i].name) != 0;
		if (is_new && is_guilty(&f->slots[i], any_hit, end_ms))
			words_add(ret, f->slots[i].name);
	}
}

void blame_open(int dir_fd, struct words *ret)
{
	/* Still open: this process did not die, whatever ended its last life (the simulator has many). */
	bool is_first = !map;

	blame_close();
	install_handlers();
	map = mapped_open(dir_fd, BLAME_FILE, sizeof(*map));
	if (!map)
		return;
	if (is_first)
		read_last(map, ret);
	memset(map, 0, sizeof(*map));
	map->magic = MAGIC;
	my_name = NULL;
}

void blame_stop(void)
{
	if (map)
		map->quiet = 1;
}

void blame_close(void)
{
	remove_handlers();
	if (!map)
		return;
	map->quiet = 1;
	mapped_close(map);
	map = NULL;
}

/* --- in between --- */

static void first_time(void)
{
	stack_t now = { 0 };
	stack_t own = { .ss_sp = my_stack, .ss_size = sizeof(my_stack) };

	my_slot = atomic_fetch_add(&n_threads, 1) + 1;
	/* Whoever has one already (a sanitizer) keeps it. */
	if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0)
		(void)sigaltstack(&own, NULL);
}

static void write_slot(const char *name)
{
	struct slot *s = slot_of_thread();
	size_t len = name ? strnlen(name, NAME_LEN - 1) : 0;

	if (!s)
		return;
	s->name[0] = '\0';
	s->since_ms = len ? clock_mono_ms() : 0;
	if (len > 0)
		memcpy(s->name, name, len);
	s->name[len] = '\0';
}

struct blame blame_enter(const char *name)
{
	struct blame b = { .before = my_name };

	if (my_slot == 0 && map)
		first_time();
	if (name != my_name)
		write_slot(name);
	my_name = name;
	return b;
}

void blame_leave(struct blame *b)
{
	if (b->before != my_name)
		write_slot(b->before);
	my_name = b->before;
}

const char *blame_name(void)
{
	return my_name;
}
