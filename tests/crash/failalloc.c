/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into dvcertd: knows every allocation of the program and of all its libraries by the place that it comes from, and lets one
 * fail, or all from there on. alloc.py says which, in a file that both have mapped (DVCERT_ALLOC_FILE, struct board), while the daemon
 * runs. Without that variable nothing is done.
 *
 * A place is a chain of return addresses, each relative to its file: the innermost LIBRARY ones in libraries, then, however far up,
 * the innermost OWN ones in the program. So it is the same in every run of the same binaries, whatever threads and time do to the order.
 *
 * Never allocates itself. Not seen: mmap (stacks of threads), and what the dynamic loader has for itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#define LIBRARY	   3
#define OWN	   3
#define FRAMES	   (LIBRARY + OWN)
#define WALK_MAX   80 /* frames to the first one of the program */
#define FILES_MAX  64
#define NAME_SIZE  64
#define PLACES_MAX 16384u
#define TRIES	   64u

enum mode { MODE_OFF, MODE_RECORD, MODE_ONCE, MODE_ALWAYS };

/* A frame: 16 bits of a hash of the file's name, 48 bits of offset in it. 0: none. */
struct place {
	uint64_t n; /* 0: free */
	uint64_t frames[FRAMES];
};

/* alloc.py knows this layout. */
struct board {
	uint64_t mode;
	uint64_t nth;	 /* allocation of target, from 1, is to fail */
	uint64_t seen;	 /* of target so far */
	uint64_t failed; /* all that failed */
	uint64_t total;
	uint64_t n_lost; /* places that found no room: nobody sees them */
	uint64_t target[FRAMES];
	char files[FILES_MAX][NAME_SIZE];
	struct place places[PLACES_MAX];
};

struct walk {
	unsigned n_seen, n_library, n_own;
	bool is_other; /* than the target */
	uint64_t frames[FRAMES];
};

/* What glibc has for those who replace malloc. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static struct board *board;
static pthread_once_t opened = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The kind of thread-local storage that is there from the start: the other one allocates. */
static __thread bool is_inside __attribute__((tls_model("initial-exec")));

static void open_board(void)
{
	const char *path = getenv("DVCERT_ALLOC_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = MAP_FAILED;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p != MAP_FAILED)
		board = p;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static uint16_t name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (uint16_t)(h ^ h >> 16);
}

/* Leaves the name of a file for alloc.py. */
static void note_file(const char *name)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		char *slot = board->files[i];

		if (slot[0] == '\0')
			memcpy(slot, name, strnlen(name, NAME_SIZE - 1));
		if (strncmp(slot, name, NAME_SIZE - 1) == 0)
			return;
	}
}

/* Where a frame of this kind goes, or FRAMES when it does not count. */
static unsigned slot_of(struct walk *w, bool is_own)
{
	if (is_own)
		return w->n_own < OWN ? LIBRARY + w->n_own++ : FRAMES;
	return w->n_own == 0 && w->n_library < LIBRARY ? w->n_library++ : FRAMES;
}

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;
	uintptr_t pc = (uintptr_t)_Unwind_GetIP(context);
	struct dl_find_object found, shim;
	const char *path = NULL;
	unsigned slot = FRAMES;

	if (pc == 0 || _dl_find_object((void *)(pc - 1), &found) != 0)
		return _URC_END_OF_STACK;
	if (_dl_find_object((void *)(uintptr_t)open_board, &shim) == 0 &&
	    shim.dlfo_link_map == found.dlfo_link_map)
		return _URC_NO_REASON;
	path = found.dlfo_link_map->l_name; /* "" is the program */
	slot = slot_of(w, path[0] == '\0');
	if (slot < FRAMES) {
		const char *name = base_name(path);

		w->frames[slot] = (uint64_t)name_hash(name) << 48 | (pc - found.dlfo_link_map->l_addr);
		if (board->mode == MODE_RECORD && path[0])
			note_file(name);
		w->is_other = board->mode != MODE_RECORD && w->frames[slot] != board->target[slot];
	}
	return w->is_other || w->n_own == OWN || ++w->n_seen == WALK_MAX ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void record(const struct walk *w)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < FRAMES; i++) {
		hash = (hash ^ w->frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		struct place *p = &board->places[(hash + i) % PLACES_MAX];

		if (p->n == 0)
			memcpy(p->frames, w->frames, sizeof(p->frames));
		if (memcmp(p->frames, w->frames, sizeof(p->frames)) == 0) {
			p->n++;
			return;
		}
	}
	board->n_lost++;
}

/* Is this the one that is to fail? */
static bool look(void)
{
	struct walk w = { 0 };
	bool fails = false;

	is_inside = true;
	(void)pthread_mutex_lock(&lock);
	board->total++;
	(void)_Unwind_Backtrace(on_frame, &w);
	if (board->mode == MODE_RECORD)
		record(&w);
	else if (!w.is_other && memcmp(w.frames, board->target, sizeof(w.frames)) == 0)
		fails = ++board->seen == board->nth;
	if (fails)
		board->failed++;
	(void)pthread_mutex_unlock(&lock);
	is_inside = false;
	return fails;
}

static bool must_fail(void)
{
	bool fails = false;

	if (is_inside)
		return false;
	(void)pthread_once(&opened, open_board);
	if (!board || board->mode == MODE_OFF)
		return false;
	if (board->failed == 0 || board->mode == MODE_RECORD) {
		fails = look();
	} else if (board->mode == MODE_ALWAYS) {
		fails = true;
		(void)__atomic_add_fetch(&board->failed, 1, __ATOMIC_RELAXED);
	}
	if (fails)
		errno = ENOMEM;
	return fails;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t all = 0;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return must_fail() ? NULL : __libc_realloc(p, all);
}

void *memalign(size_t align, size_t size)
{
	return must_fail() ? NULL : __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return must_fail() ? NULL : __libc_memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	void *p = must_fail() ? NULL : __libc_memalign(align, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}
