/* SPDX-License-Identifier: Apache-2.0 */
/* Only a file that we made ourselves is ever written to, and only by its descriptor; what lies there is read and then
 * replaced by its name. So whoever may write to the folder can take our file away, which he could anyway, and nothing else. */
#include "daemon/helper/copy.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "config/file.h"
#include "daemon/helper/request.h"
#include "daemon/helper/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TMP_RANDOM   8
#define TMP_NAME_MAX (sizeof(FS_TMP_PREFIX) + 2 * TMP_RANDOM)
#define TMP_AGE_MAX  600  /* seconds; a write takes milliseconds */
#define SWEEP_MAX    1000 /* entries that are looked at */

static int explain(struct err *reterr, int r, const char *what, const char *path)
{
	bool root = geteuid() == 0;

	switch (-r) {
	case EROFS:
		if (!root) /* of the daemon's own sandbox, most of all */
			return err_set(reterr, r, "cannot %s %s: %s; " HELPER_NEEDED, what, path,
				       strerror(-r));
		return err_set(
			reterr, r,
			"cannot %s %s: read-only file system; if it is not, allow its folder: systemctl edit "
			"dvcertd-helper@.service, [Service], ReadWritePaths=",
			what, path);
	case EACCES:
	case EPERM:
		return err_set(reterr, r, "cannot %s %s: %s%s", what, path, strerror(-r),
			       root ? "" : "; " HELPER_NEEDED);
	case ENOENT:
		return err_set(
			reterr, r,
			"cannot %s %s: its folder does not exist; make it, or correct the path in files:",
			what, path);
	default: return err_set_errno(reterr, r, "cannot %s %s", what, path);
	}
}

/* --- what is there ---------------------------------------------------------------------------------- */

static bool same_text(int fd, const char *text)
{
	size_t len = strlen(text), at = 0;
	char buf[8192];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (size_t)n > len - at || memcmp(buf, text + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	mem_wipe(buf, sizeof(buf));
	return at == len;
}

/* 1: the file is as it should be; 0: it is not there or is another one; negative: something that is not to be replaced. */
static int look(int dir, const char *name, const struct copy *c, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* The type first, then the opening: to open a device can do something. O_NONBLOCK is for a FIFO swapped in between. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : explain(reterr, -errno, "look at", c->path);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EEXIST,
			       "%s is %s, and is not replaced: move it away, or name another path", c->path,
			       S_ISLNK(st.st_mode) ? "a symbolic link" : "not a plain file");
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return st.st_nlink == 1 && st.st_uid == c->uid && st.st_gid == c->gid &&
	       (st.st_mode & 07777) == c->mode && same_text(fd, c->text);
}

/* --- writing ---------------------------------------------------------------------------------------- */

static int fill(int fd, const struct copy *c, struct err *reterr)
{
	struct stat st;
	int r;

	/* Content goes in while nobody else can read it; giving it away is the last step. */
	r = fs_write_all(fd, c->text, strlen(c->text));
	if (r < 0)
		return explain(reterr, r, "write", c->path);
	if (fstat(fd, &st) < 0)
		return explain(reterr, -errno, "look at", c->path);
	if ((st.st_uid != c->uid || st.st_gid != c->gid) && fchown(fd, c->uid, c->gid) < 0)
		return explain(reterr, -errno, "give away", c->path);
	if (fchmod(fd, c->mode) < 0)
		return explain(reterr, -errno, "set the mode of", c->path);
	while ((r = fsync(fd)) < 0 && errno == EINTR)
		;
	return r < 0 ? explain(reterr, -errno, "sync", c->path) : 0;
}

static int put(int dir, const char *name, const struct copy *c, struct err *reterr)
{
	unsigned char noise[TMP_RANDOM];
	char tmp[TMP_NAME_MAX] = FS_TMP_PREFIX;
	_cleanup_close_ int fd = -1;
	int r;

	clock_random(noise, sizeof(noise));
	(void)str_hex(noise, sizeof(noise), tmp + sizeof(FS_TMP_PREFIX) - 1);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return explain(reterr, -errno, "write", c->path);
	r = fill(fd, c, reterr);
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = explain(reterr, -errno, "replace", c->path);
	if (r < 0) {
		(void)unlinkat(dir, tmp, 0);
		return r;
	}
	r = fs_sync_dir(dir, reterr);
	if (r < 0)
		err_prefix(reterr, "%s", c->path);
	return r;
}

/* What a crash or a kill left behind holds a key: it goes. */
static void sweep(int dir_fd)
{
	_cleanup_(fs_closedirp) DIR *dir = NULL;
	struct dirent *de;
	struct stat st;

	if (fs_open_list(dir_fd, ".", &dir, NULL) < 0)
		return;
	for (unsigned i = 0; i < SWEEP_MAX && (de = readdir(dir)); i++) {
		if (!str_has_prefix(de->d_name, FS_TMP_PREFIX) ||
		    fstatat(dir_fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode) && clock_now() - st.st_mtim.tv_sec > TMP_AGE_MAX)
			(void)unlinkat(dir_fd, de->d_name, 0);
	}
}

int copy_write(const struct copy *c, struct err *reterr)
{
	_cleanup_free_ char *folder = config_file_dir(c->path);
	const char *name = strrchr(c->path, '/') + 1;
	_cleanup_close_ int dir = -1;
	int r;

	if (strlen(c->text) > COPY_MAX)
		return err_set(reterr, -EFBIG, "%s would be too large", c->path);
	dir = trust_open_folder(folder, reterr);
	if (dir < 0) {
		int code = dir;

		/* A refusal says its own; the rest is a common error that wants a remedy. */
		return code == -ELOOP ? code : explain(reterr, code, "write", c->path);
	}
	r = look(dir, name, c, reterr);
	if (r != 0)
		return r < 0 ? r : 0;
	sweep(dir);
	r = put(dir, name, c, reterr);
	if (r < 0)
		return r;
	r = look(dir, name, c, reterr);
	if (r == 0)
		r = err_set(reterr, -EIO, "%s is not what was just written: somebody else writes there too",
			    c->path);
	return r;
}
