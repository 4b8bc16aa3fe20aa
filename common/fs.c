/* SPDX-License-Identifier: Apache-2.0 */
/* Files. Names are always looked up below an open directory and never through a symlink, so that
 * whoever may write next to us cannot lead a write or a chmod elsewhere. */
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#define TMP_RANDOM   8
#define TMP_NAME_MAX (sizeof(FS_TMP_PREFIX) + 2 * TMP_RANDOM)
#define TMP_TRIES    16

static _Atomic uint64_t sync_count;

uint64_t fs_sync_count(void)
{
	return atomic_load(&sync_count);
}

/* fsync; a signal is the only failure after which asking again means anything. */
static int sync_fd(int fd)
{
	int r;

	atomic_fetch_add(&sync_count, 1);
	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int fs_open_dir(int dirfd, const char *path, struct err *reterr)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(reterr, -errno, "open directory %s", path);
	return fd;
}

int fs_open_list(int dirfd, const char *path, DIR **ret, struct err *reterr)
{
	_cleanup_close_ int fd = fs_open_dir(dirfd, path, reterr);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd < 0)
		return fd;
	if (!d)
		return err_set_errno(reterr, -errno, "read directory %s", path);
	(void)TAKE_FD(fd); /* d owns it now */
	*ret = d;
	return 0;
}

void fs_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Reads until the end or until more than cap bytes came. */
static int read_all(int fd, size_t cap, size_t guess, char **ret, size_t *ret_len)
{
	size_t alloc = MIN(guess, cap) + 2; /* one byte that proves "too large", one NUL */
	_cleanup_free_ char *buf = xmalloc(alloc);
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (len == alloc - 1) {
			alloc = MIN(alloc * 2, cap + 2);
			buf = xrealloc_array(buf, alloc, 1);
		}
		n = read(fd, buf + len, alloc - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > cap)
			return -EFBIG;
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

int fs_read_at(int dirfd, const char *path, size_t cap, char **ret, size_t *ret_len, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char *data = NULL;
	size_t len = 0;
	int r;

	cap = MIN(cap, (size_t)PTRDIFF_MAX / 4);
	/* O_NONBLOCK: opening a FIFO would otherwise wait for its writer. */
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_set_errno(reterr, -errno, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return err_set_errno(reterr, -EISDIR, "read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "read %s: not a regular file", path);
	r = st.st_size > (off_t)cap ? -EFBIG : read_all(fd, cap, (size_t)st.st_size, &data, &len);
	if (r == -EFBIG)
		return err_set(reterr, r, "read %s: larger than %zu bytes", path, cap);
	if (r < 0)
		return err_set_errno(reterr, r, "read %s", path);
	*ret = data;
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fs_write_all(int fd, const void *buf, size_t len)
{
	const char *data = buf;

	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Mode, content, disk. The mode comes first: no byte is ever readable for more people than intended. */
static int fill_file(int fd, const void *data, size_t len, mode_t mode, const char *name, struct err *reterr)
{
	int r;

	if (fchmod(fd, mode & 07777) < 0)
		return err_set_errno(reterr, -errno, "chmod %s", name);
	r = fs_write_all(fd, data, len);
	if (r < 0)
		return err_set_errno(reterr, r, "write %s", name);
	r = sync_fd(fd);
	if (r < 0) {
		(void)err_set_errno(reterr, r, "fsync %s", name);
		if (reterr)
			reterr->code = FS_ESYNC;
		return FS_ESYNC;
	}
	return 0;
}

/* name is what is created, shown is what a person knows it by. */
static int create_file(int dirfd, const char *name, const char *shown, const void *data, size_t len,
		       mode_t mode, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "create %s", shown);
	r = fill_file(fd, data, len, mode, shown, reterr);
	/* After a good fsync close has nothing left to lose, and on Linux the fd is gone even on EINTR. */
	if (r == 0 && close(TAKE_FD(fd)) < 0 && errno != EINTR)
		r = err_set_errno(reterr, -errno, "close %s", shown);
	if (r < 0)
		(void)unlinkat(dirfd, name, 0);
	return r;
}

int fs_write_new(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct err *reterr)
{
	return create_file(dirfd, name, name, data, len, mode, reterr);
}

static void random_name(char name[TMP_NAME_MAX])
{
	unsigned char noise[TMP_RANDOM];

	clock_random(noise, sizeof(noise));
	memcpy(name, FS_TMP_PREFIX, sizeof(FS_TMP_PREFIX) - 1);
	str_hex(noise, sizeof(noise), name + sizeof(FS_TMP_PREFIX) - 1);
}

/* The temporary file must be made in the directory that is synced: a name is one component. */
static int check_name(const char *name, struct err *reterr)
{
	if (*name == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(reterr, -EINVAL, "\"%s\" is not a file name", name);
	return 0;
}

/* Moves tmp over name and syncs the directory. */
static int put_in_place(int dirfd, const char *tmp, const char *name, struct err *reterr)
{
	if (renameat(dirfd, tmp, dirfd, name) < 0) {
		int r = -errno;

		(void)unlinkat(dirfd, tmp, 0);
		return err_set_errno(reterr, r, "replace %s", name);
	}
	return fs_sync_dir(dirfd, reterr);
}

int fs_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct err *reterr)
{
	char tmp[TMP_NAME_MAX];
	int r = check_name(name, reterr);

	if (r < 0)
		return r;
	for (int i = 0; i < TMP_TRIES; i++) {
		random_name(tmp);
		r = create_file(dirfd, tmp, name, data, len, mode, reterr);
		if (r != -EEXIST)
			break;
	}
	if (r < 0)
		return r;
	return put_in_place(dirfd, tmp, name, reterr);
}

int fs_replace_symlink(int dirfd, const char *name, const char *target, struct err *reterr)
{
	char tmp[TMP_NAME_MAX];
	int r = check_name(name, reterr);

	if (r < 0)
		return r;
	for (int i = 0; i < TMP_TRIES; i++) {
		random_name(tmp);
		r = symlinkat(target, dirfd, tmp) < 0 ? -errno : 0;
		if (r != -EEXIST)
			break;
	}
	if (r < 0)
		return err_set_errno(reterr, r, "create symbolic link %s", name);
	return put_in_place(dirfd, tmp, name, reterr);
}

int fs_readlink(int dirfd, const char *name, char **ret)
{
	char buf[4096]; /* PATH_MAX; no Linux file system stores a longer target */
	ssize_t n = readlinkat(dirfd, name, buf, sizeof(buf));

	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(buf))
		return -ENAMETOOLONG;
	*ret = xstrndup(buf, (size_t)n);
	return 0;
}

int fs_mkdir(int dirfd, const char *name, mode_t mode, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (mkdirat(dirfd, name, 0700) < 0) {
		if (errno != EEXIST)
			return err_set_errno(reterr, -errno, "mkdir %s", name);
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_set_errno(reterr, -errno, "stat %s", name);
		if (!S_ISDIR(st.st_mode))
			return err_set_errno(reterr, -ENOTDIR, "mkdir %s", name);
		return 0;
	}
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode & 07777) < 0) {
		r = -errno;
		(void)unlinkat(dirfd, name, AT_REMOVEDIR);
		return err_set_errno(reterr, r, "chmod %s", name);
	}
	return 1;
}

int fs_sync_dir(int dirfd, struct err *reterr)
{
	int r = sync_fd(dirfd);

	if (r == 0)
		return 0;
	(void)err_set_errno(reterr, r, "fsync of a directory");
	if (reterr)
		reterr->code = FS_ESYNC;
	return FS_ESYNC;
}

int fs_rename_dir(int dirfd, const char *from, const char *to, struct err *reterr)
{
	if (renameat(dirfd, from, dirfd, to) < 0)
		return err_set_errno(reterr, -errno, "rename %s to %s", from, to);
	return fs_sync_dir(dirfd, reterr);
}
