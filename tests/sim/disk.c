/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "common/mem.h"
#include "tests/sim/plan.h"
#include "tests/sim/world.h"

/* Descriptors of the world stand above those of the daemon. */
#define FD_BASE	 500
#define PATH_LEN 512
/* So many changes of one folder are not on disk at most: the oldest get there by themselves. */
#define OPS_MAX 48

enum op_kind { OP_MADE, OP_REMOVED, OP_MOVED };

/* A change of a folder that is not synced. */
struct op {
	struct op *older;
	enum op_kind kind;
	char *name;
	char *to;	/* MOVED */
	unsigned saved; /* what the name held before, in the undo folder; 0: nothing */
};

struct folder {
	struct folder *next;
	ino_t ino;
	int fd;
	struct op *newest;
	unsigned n;
};

/* A file whose content is not synced. */
struct file {
	struct file *next;
	ino_t ino;
	int fd;
};

static struct {
	int undo_fd;
	unsigned n_saved;
	struct folder *folders;
	struct file *files;
	unsigned armed;
	enum life_end how;
	int64_t sync_failed_ms, life_began_ms;
	uint64_t changes;
} disk;

int __real_openat(int dirfd, const char *path, int flags, mode_t mode);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_unlinkat(int dirfd, const char *name, int flags);
int __real_symlinkat(const char *target, int dirfd, const char *name);
int __real_mkdirat(int dirfd, const char *name, mode_t mode);
int __real_fchmod(int fd, mode_t mode);

int __wrap_openat(int dirfd, const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __wrap_symlinkat(const char *target, int dirfd, const char *name);
int __wrap_mkdirat(int dirfd, const char *name, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
_noreturn_ void __wrap__exit(int code);

void __wrap__exit(int code)
{
	life_exit(code);
}

/* The judges use the same functions, and nothing happens to them. */
static bool is_daemon(void)
{
	return life_is_on() && !world_is_at_work();
}

/* --- points --- */

void disk_arm(unsigned n, enum life_end how)
{
	disk.armed = n;
	disk.how = how;
}

void disk_point(void)
{
	if (!is_daemon() || disk.armed == 0 || --disk.armed > 0)
		return;
	world_trace("crash: %s", disk.how == LIFE_KILLED ? "killed" : "power cut");
	life_crash(disk.how);
}

/* Does this call fail? The first moment of a life is spared: a record that cannot be read then needs a person. */
static bool fails(const char *call, const char *name)
{
	static const int ERRORS[] = { ENOSPC, EIO, EMFILE, EDQUOT };
	bool strikes = plan_strikes(TROUBLE_DISK, STREAM_DISK_FAULT);
	int64_t which = world_range(STREAM_DISK_FAULT, 0, 3);

	if (!strikes || world_now_ms() == disk.life_began_ms)
		return false;
	errno = ERRORS[which];
	world_trace("disk: %s %s fails: %s", call, name, strerror(errno));
	errno = ERRORS[which];
	return true;
}

/* --- the journal --- */

static struct folder *folder_of(int dirfd)
{
	struct folder *f;
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return NULL;
	for (f = disk.folders; f; f = f->next)
		if (f->ino == st.st_ino)
			return f;
	f = xmalloc(sizeof(*f));
	f->ino = st.st_ino;
	f->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, FD_BASE);
	f->next = disk.folders;
	disk.folders = f;
	return f;
}

/* errno stays. */
static void let_go(unsigned saved)
{
	int e = errno;
	char name[24];

	snprintf(name, sizeof(name), "%u", saved);
	if (saved)
		(void)__real_unlinkat(disk.undo_fd, name, 0);
	errno = e;
}

static void op_free(struct op *op)
{
	let_go(op->saved);
	free(op->name);
	free(op->to);
	free(op);
}

/* An inode number may be used again, so that a folder is not kept when nothing of it is open. */
static void folder_forget(struct folder *f)
{
	struct folder **at = &disk.folders;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	close(f->fd);
	free(f);
}

static void folder_synced(ino_t ino)
{
	for (struct folder *f = disk.folders; f; f = f->next) {
		if (f->ino != ino)
			continue;
		while (f->newest) {
			struct op *op = f->newest;

			f->newest = op->older;
			op_free(op);
		}
		folder_forget(f);
		return;
	}
}

/* Keeps what a name holds, because it may come back. */
static unsigned keep(int dirfd, const char *name)
{
	char saved[24];

	snprintf(saved, sizeof(saved), "%u", ++disk.n_saved);
	return linkat(dirfd, name, disk.undo_fd, saved, 0) == 0 ? disk.n_saved : 0;
}

static void drop_oldest(struct folder *f)
{
	struct op **at = &f->newest;

	while ((*at)->older)
		at = &(*at)->older;
	op_free(*at);
	*at = NULL;
	f->n--;
}

static void note(int dirfd, enum op_kind kind, const char *name, const char *to, unsigned saved)
{
	struct folder *f = folder_of(dirfd);
	struct op *op = xmalloc(sizeof(*op));

	assert(f);
	disk.changes++;
	*op = (struct op){
		.older = f->newest, .kind = kind, .name = xstrdup(name), .to = xstrdup_opt(to), .saved = saved
	};
	f->newest = op;
	if (++f->n > OPS_MAX)
		drop_oldest(f);
}

static void file_synced(ino_t ino)
{
	for (struct file **at = &disk.files; *at; at = &(*at)->next) {
		struct file *f = *at;

		if (f->ino != ino)
			continue;
		*at = f->next;
		close(f->fd);
		free(f);
		return;
	}
}

static void note_file(int fd, ino_t ino)
{
	struct file *f;

	for (f = disk.files; f; f = f->next)
		if (f->ino == ino)
			return;
	f = xmalloc(sizeof(*f));
	*f = (struct file){ .next = disk.files, .ino = ino, .fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_BASE) };
	disk.files = f;
}

/* --- the calls --- */

static void set_times(int fd)
{
	struct timespec at[2] = { { .tv_sec = world_wall() + world_skew() }, { 0 } };

	at[1] = at[0];
	(void)futimens(fd, at);
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	bool makes;
	va_list ap;
	int fd;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (!is_daemon())
		return __real_openat(dirfd, path, flags, mode);
	disk_point();
	if (fails("open", flags & O_CREAT ? "a new file" : path))
		return -1;
	makes = (flags & O_CREAT) && faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	fd = __real_openat(dirfd, path, flags, mode);
	if (fd >= 0 && makes) {
		note(dirfd, OP_MADE, path, NULL, 0);
		set_times(fd);
	}
	return fd;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	struct stat st;
	ssize_t n;

	if (!is_daemon() || fd <= STDERR_FILENO || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return __real_write(fd, data, len);
	disk_point();
	if (fails("write", "")) {
		(void)!__real_write(fd, data, len / 2); /* what is half written */
		note_file(fd, st.st_ino);
		return -1;
	}
	note_file(fd, st.st_ino);
	n = __real_write(fd, data, len > 1 && world_chance(STREAM_DISK_FAULT, 1000) ? len / 2 : len);
	set_times(fd);
	return n;
}

static bool is_ours(int fd)
{
	char link[64], path[PATH_LEN + 1];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_LEN);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/dvcertd-state/") != NULL;
}

int __wrap_fsync(int fd)
{
	struct stat st;
	int r;

	if (!is_daemon() || fstat(fd, &st) < 0)
		return __real_fsync(fd);
	disk_point();
	if (plan_strikes(TROUBLE_SYNC, STREAM_DISK_FAULT)) {
		world_trace("disk: fsync of a %s fails", S_ISDIR(st.st_mode) ? "folder" : "file");
		if (is_ours(fd) && !disk.sync_failed_ms)
			disk.sync_failed_ms = world_now_ms();
		errno = EIO;
		return -1;
	}
	r = 0; /* nothing to be gained from syncing a tmpfs */
	if (S_ISDIR(st.st_mode))
		folder_synced(st.st_ino);
	else
		file_synced(st.st_ino);
	return r;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	unsigned saved;
	int r;

	if (!is_daemon())
		return __real_renameat(from_dir, from, to_dir, to);
	assert(from_dir == to_dir);
	disk_point();
	if (fails("rename", to))
		return -1;
	saved = keep(to_dir, to);
	r = __real_renameat(from_dir, from, to_dir, to);
	if (r == 0)
		note(to_dir, OP_MOVED, from, to, saved);
	else
		let_go(saved);
	return r;
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	int r;

	if (!is_daemon())
		return __real_renameat2(from_dir, from, to_dir, to, flags);
	assert(from_dir == to_dir);
	disk_point();
	if (fails("rename", to))
		return -1;
	r = __real_renameat2(from_dir, from, to_dir, to, flags);
	if (r == 0)
		note(to_dir, OP_MOVED, from, to, 0);
	return r;
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
	unsigned saved;
	int r;

	if (!is_daemon())
		return __real_unlinkat(dirfd, name, flags);
	disk_point();
	if (fails("unlink", "a file"))
		return -1;
	saved = keep(dirfd, name);
	r = __real_unlinkat(dirfd, name, flags);
	if (r == 0)
		note(dirfd, OP_REMOVED, name, NULL, saved);
	else
		let_go(saved);
	return r;
}

int __wrap_symlinkat(const char *target, int dirfd, const char *name)
{
	int r;

	if (!is_daemon())
		return __real_symlinkat(target, dirfd, name);
	disk_point();
	if (fails("symlink", "a link"))
		return -1;
	r = __real_symlinkat(target, dirfd, name);
	if (r == 0)
		note(dirfd, OP_MADE, name, NULL, 0);
	return r;
}

int __wrap_mkdirat(int dirfd, const char *name, mode_t mode)
{
	int r;

	if (!is_daemon())
		return __real_mkdirat(dirfd, name, mode);
	disk_point();
	if (fails("mkdir", name))
		return -1;
	r = __real_mkdirat(dirfd, name, mode);
	if (r == 0)
		note(dirfd, OP_MADE, name, NULL, 0);
	return r;
}

int __wrap_fchmod(int fd, mode_t mode)
{
	disk_point();
	return __real_fchmod(fd, mode);
}

/* --- a power cut --- */

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int kind,
			_unused_ struct FTW *where)
{
	return remove(path);
}

void disk_remove_tree(const char *path)
{
	if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		perror(path);
}

static void remove_all(int dirfd, const char *name)
{
	_cleanup_free_ char *full = NULL;
	char link[64], path[PATH_LEN + 1];
	ssize_t n;

	if (__real_unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, PATH_LEN);
	if (n < 0)
		return;
	path[n] = '\0';
	full = xasprintf("%s/%s", path, name);
	disk_remove_tree(full);
}

static void undo(const struct folder *f, struct op *op)
{
	char saved[24];

	snprintf(saved, sizeof(saved), "%u", op->saved);
	switch (op->kind) {
	case OP_MADE: remove_all(f->fd, op->name); break;
	case OP_MOVED: (void)__real_renameat(f->fd, op->to, f->fd, op->name); break;
	case OP_REMOVED: break;
	}
	if (op->saved)
		(void)__real_renameat(disk.undo_fd, saved, f->fd, op->to ? op->to : op->name);
	op->saved = 0;
}

/* A later change of the same name that reached the disk took the earlier one with it. */
static bool is_pinned(const struct op *newest_kept[], size_t n, const struct op *op)
{
	for (size_t i = 0; i < n; i++) {
		const struct op *k = newest_kept[i];

		if (!strcmp(k->name, op->name) || (k->to && !strcmp(k->to, op->name)) ||
		    (op->to && (!strcmp(k->name, op->to) || (k->to && !strcmp(k->to, op->to)))))
			return true;
	}
	return false;
}

static void cut_folder(struct folder *f, int64_t lost)
{
	const struct op *kept[OPS_MAX];
	size_t n_kept = 0;

	for (struct op *op = f->newest; op; op = op->older) {
		if (is_pinned(kept, n_kept, op) || !world_chance(STREAM_CRASH, lost)) {
			kept[n_kept++] = op;
			continue;
		}
		world_trace("power cut: lost: %s %s",
			    op->kind == OP_MADE	   ? "making"
			    : op->kind == OP_MOVED ? "moving to"
						   : "removing",
			    op->to ? op->to : op->name);
		undo(f, op);
	}
	folder_synced(f->ino);
}

void disk_power_cut(void)
{
	/* Nothing lost, everything lost, or anything. */
	static const int64_t LOST[] = { 0, 1000000, 500000, 500000, 900000, 1000000 };
	int64_t lost = LOST[world_range(STREAM_CRASH, 0, (int64_t)ARRAY_SIZE(LOST) - 1)];

	disk.changes++;
	while (disk.files) {
		struct stat st;

		if (fstat(disk.files->fd, &st) == 0 && world_chance(STREAM_CRASH, lost))
			if (ftruncate(disk.files->fd,
				      world_chance(STREAM_CRASH, 500000) ? 0 : st.st_size / 2) < 0)
				abort();
		file_synced(disk.files->ino);
	}
	while (disk.folders)
		cut_folder(disk.folders, lost);
}

static bool concerns(const struct op *op, const char *name)
{
	return strcmp(op->name, name) == 0 || (op->to && strcmp(op->to, name) == 0);
}

bool disk_is_durable(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(name - path));
	struct stat st;

	if (lstat(path, &st) < 0)
		return false;
	for (const struct file *f = disk.files; f; f = f->next)
		if (f->ino == st.st_ino)
			return false;
	if (stat(parent, &st) < 0)
		return false;
	for (const struct folder *f = disk.folders; f; f = f->next)
		for (const struct op *op = f->ino == st.st_ino ? f->newest : NULL; op; op = op->older)
			if (concerns(op, name))
				return false;
	return true;
}

/* --- lives --- */

uint64_t disk_changes(void)
{
	return disk.changes;
}

int64_t disk_sync_failed_ms(void)
{
	return disk.sync_failed_ms;
}

void disk_begin(const char *undo_path)
{
	int fd = open(undo_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	disk.undo_fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_BASE);
	assert(disk.undo_fd >= 0);
	close(fd);
}

void disk_life_begins(void)
{
	disk.life_began_ms = world_now_ms();
	disk.sync_failed_ms = 0;
}

void disk_close_all(void)
{
	if (close_range(STDERR_FILENO + 1, FD_BASE - 1, 0) < 0)
		abort();
}
