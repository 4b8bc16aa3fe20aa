/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder on disk. Most of this file is about refusing to start: a lock that two daemons hold, or a
 * folder that others may write to, costs money or keys, so every refusal names the path and the remedy.
 * What a record means is not known here. */
#include "daemon/store/store.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"
#include "config/names.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_NAME	 "lock"
#define SUFFIX		 ".json"
#define LOCK_TRIES	 16
#define QUARANTINE_TRIES 100

struct store {
	int dir_fd, state_fd, live_fd, archive_fd, lock_fd;
	/* store_each removes left-over temporary files; it must not meet those of a save under way. A pointer,
	 * because saving leaves the store itself as it is (const). */
	pthread_rwlock_t *saving;
};

/* strerror names the fault; this names the remedy, as far as there is one to name. */
static const char *remedy(int r)
{
	switch (-r) {
	case ENOSPC: return "; make room on its file system";
	case EDQUOT: return "; the user's disk quota is used up";
	case EROFS: return "; mount its file system read-write, or name the folder in BindPaths= of the unit";
	case EACCES:
	case EPERM: return "; the daemon's user needs access to it and to every folder above it";
	case ENOTDIR:
	case ELOOP: return "; it must be a folder, neither a file nor a link";
	case ENOENT: return "; create the folder above it, or correct state_dir";
	default: return "";
	}
}

static int fail(struct err *reterr, int r, const char *what, const char *path)
{
	return err_set(reterr, r, "cannot %s %s: %s%s", what, path, strerror(-r), remedy(r));
}

/* Ours, and nobody else may write: otherwise others could swap keys, or make us forget an order. */
static int check_owner(int fd, const char *path, struct err *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(reterr, -errno, "look at", path);
	if (st.st_uid != geteuid())
		return err_set(reterr, -EPERM,
			       "%s belongs to user %u, but the daemon runs as user %u: chown -R %u %s, or "
			       "run it as that user",
			       path, st.st_uid, geteuid(), geteuid(), path);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(reterr, -EPERM, "%s may be written by others (mode %04o): chmod go-w %s", path,
			       st.st_mode & 07777, path);
	return 0;
}

/* Makes (1) or finds (0) the folder at the top. A symlink is followed here, and only here: the administrator
 * named the path, and systemd's DynamicUser= makes /var/lib/<name> a link. */
static int open_top(const char *path, int *ret, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	bool made = false;
	int r;

	if (mkdir(path, 0711) == 0)
		made = true;
	else if (errno != EEXIST)
		return fail(reterr, -errno, "create", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(reterr, -errno, "open", path);
	if (made && fchmod(fd, 0711) < 0) /* whatever the umask */
		return fail(reterr, -errno, "change the mode of", path);
	r = check_owner(fd, path, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return made ? 1 : 0;
}

/* A start that was killed between mkdir and chmod left it like this; later it holds something, or somebody has closed it. */
static bool is_half_made(int fd)
{
	_cleanup_(fs_closedirp) DIR *d = NULL;
	struct dirent *de;
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0700 || fs_open_list(fd, ".", &d, NULL) < 0)
		return false;
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return false;
	}
	return true;
}

static int open_sub(int top_fd, const char *top, const char *name, mode_t mode, int *ret, struct err *reterr)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", top, name);
	_cleanup_close_ int fd = -1;
	int made, r;

	made = fs_mkdir(top_fd, name, mode, NULL);
	if (made < 0)
		return fail(reterr, made, "create", path);
	fd = fs_open_dir(top_fd, name, NULL);
	if (fd < 0)
		return fail(reterr, fd, "open", path);
	r = check_owner(fd, path, reterr);
	if (r < 0)
		return r;
	if (made == 0 && is_half_made(fd) && fchmod(fd, mode) < 0)
		return fail(reterr, -errno, "change the mode of", path);
	*ret = TAKE_FD(fd);
	return made;
}

static int lock_busy(int fd, const char *dir, struct err *reterr)
{
	char buf[32] = "";
	uint64_t pid = 0;
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	if (n > 0)
		buf[strcspn(buf, "\n")] = '\0';
	if (n > 0 && str_parse_u64(buf, &pid) == 0)
		return err_set(reterr, -EBUSY, "another dvcertd (pid %llu) is using %s",
			       (unsigned long long)pid, dir);
	return err_set(reterr, -EBUSY, "another dvcertd is using %s", dir);
}

/* Only there for the text above: a full disk must not keep the daemon from starting and raising the alarm. */
static void write_pid(int fd)
{
	char buf[32];
	int len = snprintf(buf, sizeof(buf), "%d\n", (int)getpid());

	if (pwrite(fd, buf, (size_t)len, 0) == len && ftruncate(fd, len) < 0)
		return;
}

static bool same_file(int fd, int dirfd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The lock is the flock, never the existence of the file: it ends with the process, however that ends. */
static int take_lock(int state_fd, const char *dir, int *ret, struct err *reterr)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		_cleanup_close_ int fd = openat(state_fd, LOCK_NAME,
						O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0)
			return err_set(reterr, -errno, "cannot open the lock %s/state/" LOCK_NAME ": %s%s",
				       dir, strerror(errno), remedy(-errno));
		if (!S_ISREG(st.st_mode))
			return err_set(reterr, -EINVAL,
				       "%s/state/" LOCK_NAME " is not a plain file: remove it", dir);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				return lock_busy(fd, dir, reterr);
			return err_set_errno(reterr, -errno, "cannot lock %s/state/" LOCK_NAME, dir);
		}
		/* Somebody removed the file in between: ours is a lock that nobody else would see. */
		if (!same_file(fd, state_fd, LOCK_NAME))
			continue;
		write_pid(fd);
		*ret = TAKE_FD(fd);
		return 0;
	}
	return err_set(reterr, -EBUSY, "%s/state/" LOCK_NAME " is being removed again and again", dir);
}

/* For live/ and archive/ only at start, right after the lock was taken: nobody else can be at work. */
static int list_dir(int dir_fd, bool remove_temps, char ***ret, size_t *ret_n, struct err *reterr)
{
	_cleanup_(fs_closedirp) DIR *d = NULL;
	char **names = NULL;
	size_t n = 0, alloc = 0;
	int r = fs_open_list(dir_fd, ".", &d, reterr);

	if (r < 0)
		return r;
	for (;;) {
		struct dirent *de;

		errno = 0;
		de = readdir(d);
		if (de == NULL)
			break;
		if (remove_temps && str_has_prefix(de->d_name, FS_TMP_PREFIX))
			(void)unlinkat(dir_fd, de->d_name, 0);
		if (ret == NULL || de->d_name[0] == '.' || !str_has_suffix(de->d_name, SUFFIX))
			continue;
		if (n == alloc) {
			alloc = MAX(2 * alloc, (size_t)64);
			names = xrealloc_array(names, alloc, sizeof(char *));
		}
		names[n++] = xstrndup(de->d_name, strlen(de->d_name) - strlen(SUFFIX));
	}
	if (errno != 0) {
		r = err_set_errno(reterr, -errno, "cannot read a folder");
		while (n > 0)
			free(names[--n]);
		free(names);
		return r;
	}
	if (ret != NULL) {
		*ret = names;
		*ret_n = n;
	}
	return 0;
}

static int open_all(struct store *s, const char *dir, struct err *reterr)
{
	struct {
		const char *name;
		mode_t mode;
		int *fd;
	} subs[] = {
		{ "state", 0700, &s->state_fd },
		{ "live", 0755, &s->live_fd },
		{ "archive", 0755, &s->archive_fd },
	};
	_cleanup_close_ int up = -1;
	int r = open_top(dir, &s->dir_fd, reterr);

	for (size_t i = 0; i < ARRAY_SIZE(subs) && r >= 0; i++)
		r = open_sub(s->dir_fd, dir, subs[i].name, subs[i].mode, subs[i].fd, reterr);
	if (r >= 0)
		r = take_lock(s->state_fd, dir, &s->lock_fd, reterr);
	if (r < 0)
		return r;
	/* Also when nothing was made now: the start that made them may have ended before this, and a power cut would take
	 * state/ away with every record in it. */
	r = fs_sync_dir(s->dir_fd, reterr);
	up = openat(s->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && up >= 0)
		r = fs_sync_dir(up, reterr);
	if (r < 0)
		return r;
	return list_dir(s->live_fd, true, NULL, NULL, reterr);
}

int store_open(const char *state_dir, struct store **ret, struct err *reterr)
{
	struct store *s = xmalloc(sizeof(*s));
	int r;

	s->dir_fd = s->state_fd = s->live_fd = s->archive_fd = s->lock_fd = -EBADF;
	s->saving = xmalloc(sizeof(*s->saving));
	(void)pthread_rwlock_init(s->saving, NULL);
	r = open_all(s, state_dir, reterr);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	closep(&s->archive_fd);
	closep(&s->live_fd);
	closep(&s->state_fd);
	closep(&s->dir_fd);
	closep(&s->lock_fd); /* last: whoever gets the lock finds us gone */
	(void)pthread_rwlock_destroy(s->saving);
	free(s->saving);
	free(s);
}

int store_state_fd(const struct store *s)
{
	return s->state_fd;
}

int store_live_fd(const struct store *s)
{
	return s->live_fd;
}

int store_archive_fd(const struct store *s)
{
	return s->archive_fd;
}

static int check_name(const char *name, struct err *reterr)
{
	if (!name_is_safe_dir(name))
		return err_set(reterr, -EINVAL, "\"%s\" cannot be the name of a state file", name);
	return 0;
}

int store_save(const struct store *s, const char *name, const char *text, size_t len, struct err *reterr)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, name);
	int r = check_name(name, reterr);

	if (r < 0)
		return r;
	/* What could not be read back must not be written. */
	if (len > STORE_RECORD_MAX)
		return err_set(reterr, -EFBIG, "the state of %s has %zu bytes; %u is the limit", name, len,
			       STORE_RECORD_MAX);
	(void)pthread_rwlock_rdlock(s->saving);
	r = fs_replace(s->state_fd, file, text, len, 0600, reterr);
	(void)pthread_rwlock_unlock(s->saving);
	if (r == FS_ESYNC)
		err_prefix(reterr, "cannot save the state of %s, the disk failed", name);
	else if (r < 0)
		err_prefix(reterr, "cannot save the state of %s", name);
	return r;
}

static int load(const struct store *s, const char *name, char **ret, size_t *ret_len, struct err *reterr)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, name);
	int r = fs_read_at(s->state_fd, file, STORE_RECORD_MAX, ret, ret_len, reterr);

	if (r < 0)
		err_prefix(reterr, "cannot read the state of %s", name);
	return r;
}

int store_load(const struct store *s, const char *name, char **ret, size_t *ret_len, struct err *reterr)
{
	struct err e = ERR_INIT;
	int r = check_name(name, reterr);

	if (r < 0)
		return r;
	r = load(s, name, ret, ret_len, &e);
	if (r == -ENOENT) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	if (r < 0 && reterr != NULL)
		*reterr = e;
	return r;
}

int store_each(const struct store *s, store_each_fn *fn, void *arg, struct err *reterr)
{
	char **names = NULL;
	size_t n = 0;
	int r;

	/* The list first: fn may save or move files, and a folder that changes is read at random. */
	(void)pthread_rwlock_wrlock(s->saving);
	r = list_dir(s->state_fd, true, &names, &n, reterr);
	(void)pthread_rwlock_unlock(s->saving);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = NULL;
		struct err e = ERR_INIT;
		size_t len = 0;

		r = load(s, names[i], &text, &len, &e);
		if (r == 0)
			fn(names[i], text, len, NULL, arg);
		else if (r != -ENOENT)
			fn(names[i], NULL, 0, &e, arg);
		free(names[i]);
	}
	free(names);
	return 0;
}

int store_quarantine(const struct store *s, const char *name, struct err *reterr)
{
	_cleanup_free_ char *from = xasprintf("%s" SUFFIX, name);
	char at[TIMEFMT_MAX];
	int r = check_name(name, reterr);

	if (r < 0)
		return r;
	(void)timefmt_rfc3339(clock_now(), at);
	for (int i = 1; i <= QUARANTINE_TRIES; i++) {
		_cleanup_free_ char *to =
			i == 1 ? xasprintf("%s.bad-%s", from, at) : xasprintf("%s.bad-%s-%d", from, at, i);

		/* NOREPLACE: an earlier one of the same second is evidence as well. */
		if (renameat2(s->state_fd, from, s->state_fd, to, RENAME_NOREPLACE) == 0)
			return fs_sync_dir(s->state_fd, reterr);
		if (errno != EEXIST)
			return err_set_errno(reterr, -errno, "cannot move state/%s aside", from);
	}
	return err_set(reterr, -EEXIST, "too many files state/%s.bad-%s: look at them and remove some", from,
		       at);
}
