/* SPDX-License-Identifier: Apache-2.0 */
/* One small file in a folder whose owner we do not trust, perhaps written as root. Below the webroot every
 * folder is opened by one openat() step relative to its parent, and what is written is always a new file
 * that we created, moved into place by rename: nothing that lies there is ever opened for writing.
 * What it cannot prevent: the owner may remove or replace our file at any time. It is his webroot. */
#include "daemon/dcv/webroot.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/core/token.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX    (TOKEN_TEXT_MAX + 64) /* white space of an editor at the end */
#define FILE_NAME   "fileauth.txt"
#define TMP_PREFIX  ".dvcert-proof-"
#define TMP_RANDOM  8
#define TMP_AGE_MAX 600 /* seconds; a publish takes milliseconds */
#define SWEEP_MAX   256 /* entries looked at: the folder may be huge by intent */
#define USER_MAX    64

static const char *const steps[] = { ".well-known", "pki-validation" };

/* ---- opening ---- */

/* Do both lie on the same mount? Where the kernel does not tell (before 5.8), on the same device. */
static bool is_same_mount(int a, int b)
{
	struct statx sa, sb;

	if (statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &sa) < 0 ||
	    statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &sb) < 0)
		return false;
	if ((sa.stx_mask & sb.stx_mask & STATX_MNT_ID) != 0)
		return sa.stx_mnt_id == sb.stx_mnt_id;
	return sa.stx_dev_major == sb.stx_dev_major && sa.stx_dev_minor == sb.stx_dev_minor;
}

static bool is_link(int dirfd, const char *name, int flags)
{
	struct stat st;

	return fstatat(dirfd, name, &st, flags) == 0 && S_ISLNK(st.st_mode);
}

/* One step: name has no slash and is not "..", so the one thing that could lead out is a link in its place, and O_NOFOLLOW
 * takes that in the same step. openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV) would do no more, and the unit's
 * RestrictSUIDSGID= takes it away. */
static int open_beneath(int dirfd, const char *name, int flags)
{
	_cleanup_close_ int fd = -1;
	int r = 0;

	do
		fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		r = -errno;
		/* with O_DIRECTORY a link is "not a directory"; only for the text */
		return r == -ENOTDIR && is_link(dirfd, name, AT_SYMLINK_NOFOLLOW) ? -ELOOP : r;
	}
	if (is_link(fd, "", AT_EMPTY_PATH)) /* O_PATH opens the link itself */
		return -ELOOP;
	return is_same_mount(dirfd, fd) ? TAKE_FD(fd) : -EXDEV;
}

static const char *our_user(char buf[USER_MAX])
{
	char space[1024];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(geteuid(), &pw, space, sizeof(space), &found) == 0 && found != NULL)
		(void)snprintf(buf, USER_MAX, "\"%s\"", pw.pw_name);
	else
		(void)snprintf(buf, USER_MAX, "%u", geteuid());
	return buf;
}

/* One text for every way in which the path can be wrong. what: "open", "create", "write". */
static int explain(struct err *reterr, int r, const char *what, const char *path)
{
	char user[USER_MAX];

	switch (-r) {
	case ELOOP:
		return err_set(reterr, r, "%s is a symbolic link: it is never followed; put a real one there",
			       path);
	case ENOTDIR: return err_set(reterr, r, "%s is not a folder: move it away", path);
	case EXDEV:
		return err_set(reterr, r,
			       "%s is on another file system than the webroot: name a webroot there", path);
	case EACCES:
	case EPERM:
		return err_set(reterr, r, "cannot %s %s: %s; user %s needs access", what, path, strerror(-r),
			       our_user(user));
	default: return err_set_errno(reterr, r, "cannot %s %s", what, path);
	}
}

static int open_webroot(const char *webroot, struct err *reterr)
{
	int fd = open(webroot, O_PATH | O_DIRECTORY | O_CLOEXEC), r = -errno;

	if (fd >= 0)
		return fd;
	if (r == -ENOENT)
		return err_set(reterr, r,
			       "webroot %s does not exist: create it or correct dcv.webroot (under systemd, "
			       "name it in BindPaths= of the unit)",
			       webroot);
	if (r == -ENOTDIR)
		return err_set(reterr, r, "webroot %s is not a folder: correct dcv.webroot", webroot);
	return explain(reterr, r, "open", webroot);
}

/* Opens a folder that was just made, and gives it the mode that umask may have taken from it. It might have
 * been swapped since: only an own folder without any bit beyond ours is touched. */
static int open_made(int parent, const char *name)
{
	int fd = open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 07777 & ~(mode_t)(S_ISGID | 0755)) == 0 && (st.st_mode & 0777) != 0755 &&
	    fchmod(fd, (st.st_mode & S_ISGID) | 0755) < 0)
		(void)fchmod(fd,
			     0755); /* RestrictSUIDSGID= lets nobody set the group's bit, not even again */
	return fd;
}

/* One step down. With make a missing folder is created. */
static int step_down(int parent, const char *name, bool make, const char *path, struct err *reterr)
{
	int fd = open_beneath(parent, name, O_PATH | O_DIRECTORY);

	if (fd == -ENOENT && make) {
		if (mkdirat(parent, name, 0755) == 0)
			fd = open_made(parent, name);
		else if (errno == EEXIST) /* somebody was faster */
			fd = open_beneath(parent, name, O_PATH | O_DIRECTORY);
		else
			return explain(reterr, -errno, "create", path);
	}
	return fd < 0 ? explain(reterr, fd, "open", path) : fd;
}

/* Opens the folder of the file. */
static int open_folder(const char *webroot, bool make, struct err *reterr)
{
	_cleanup_close_ int fd = open_webroot(webroot, reterr);
	_cleanup_free_ char *path = xstrdup(webroot);

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		char *longer = xasprintf("%s/%s", path, steps[i]);
		int next;

		free(path);
		path = longer;
		next = step_down(fd, steps[i], make, path, reterr);
		if (next < 0)
			return next;
		close(fd);
		fd = next;
	}
	return TAKE_FD(fd);
}

/* ---- looking at what is there ---- */

enum there { THERE_NOTHING, THERE_FOREIGN, THERE_TEXT };

/* Reads the file if it is a plain one of one link. Type first, then open: to open a device can do something,
 * and to open a FIFO can hang (O_NONBLOCK for the swap in between). */
static int look(int dir, char text[FILE_MAX + 1], size_t *ret_len, struct stat *st, enum there *ret)
{
	_cleanup_close_ int fd = -1;
	ssize_t n;

	*ret = THERE_FOREIGN;
	if (fstatat(dir, FILE_NAME, st, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret = THERE_NOTHING;
		return errno == ENOENT ? 0 : -errno;
	}
	if (!S_ISREG(st->st_mode))
		return 0;
	fd = open_beneath(dir, FILE_NAME, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd == -ENOENT) {
		*ret = THERE_NOTHING;
		return 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_size > FILE_MAX)
		return 0;
	do
		n = read(fd, text, FILE_MAX + 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n > FILE_MAX)
		return 0;
	text[n] = '\0';
	*ret_len = (size_t)n;
	*ret = THERE_TEXT;
	return 0;
}

static const char *kind(const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return "is a symbolic link, which is never followed";
	if (!S_ISREG(st->st_mode))
		return "is not a plain file";
	if (st->st_nlink != 1)
		return "has several hard links";
	return "holds something that is not ours";
}

static bool is_ours(const char *text, size_t len, const char *token, const char *const *own, size_t n_own)
{
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0')
		len--;
	if (strlen(token) == len && memcmp(token, text, len) == 0)
		return true;
	for (size_t i = 0; i < n_own; i++)
		if (len > 0 && strlen(own[i]) == len && memcmp(own[i], text, len) == 0)
			return true;
	return false;
}

/* ---- writing ---- */

static bool is_our_temp(const char *name)
{
	const char *hex = name + strlen(TMP_PREFIX);

	return str_has_prefix(name, TMP_PREFIX) && strlen(hex) == 2 * TMP_RANDOM &&
	       strspn(hex, "0123456789abcdef") == 2 * TMP_RANDOM;
}

/* Removes temporary files of publishers that were killed. Best effort: the folder may not be readable. */
static void sweep(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		closep(&fd);
		return;
	}
	for (int i = 0; i < SWEEP_MAX; i++) {
		struct dirent *de = readdir(d);
		struct stat st;

		if (de == NULL)
			break;
		if (is_our_temp(de->d_name) && fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
		    st.st_mtime < clock_now() - TMP_AGE_MAX)
			(void)unlinkat(fd, de->d_name, 0);
	}
	closedir(d);
}

/* Moves the new file into place. replace: something of ours was seen there. */
static int put_in_place(int dir, const char *tmp, bool replace)
{
	/* NOREPLACE: what appeared meanwhile is not ours. Some file systems do not know it (EINVAL). */
	if (!replace && renameat2(dir, tmp, dir, FILE_NAME, RENAME_NOREPLACE) == 0)
		return 0;
	if (!replace && errno != EINVAL && errno != ENOSYS)
		return -errno;
	return renameat(dir, tmp, dir, FILE_NAME) < 0 ? -errno : 0;
}

static int write_file(int dir, const char *token, bool replace, const char *path, struct err *reterr)
{
	char tmp[sizeof(TMP_PREFIX) + 2 * TMP_RANDOM] = TMP_PREFIX;
	unsigned char noise[TMP_RANDOM];
	int r;

	clock_random(noise, sizeof(noise));
	(void)str_hex(noise, sizeof(noise), tmp + strlen(TMP_PREFIX));
	/* Synced, so that a power cut cannot leave an empty file that would then count as another's. */
	r = fs_write_new(dir, tmp, token, strlen(token), 0644, NULL);
	if (r == FS_ESYNC) /* of somebody else's disk: no reason to stop the process */
		r = -EIO;
	if (r < 0)
		return explain(reterr, r, "write", path);
	r = put_in_place(dir, tmp, replace);
	if (r == 0)
		return 0;
	(void)unlinkat(dir, tmp, 0);
	if (r == -EEXIST || r == -EISDIR)
		return err_set(reterr, -EEXIST, "%s was put there by somebody else just now: remove it",
			       path);
	return explain(reterr, r, "write", path);
}

int webroot_publish(const char *webroot, const char *token, const char *const *own, size_t n_own,
		    struct err *reterr)
{
	_cleanup_free_ char *path = xasprintf("%s" WEBROOT_URL_PATH, webroot);
	_cleanup_close_ int dir = -1;
	char text[FILE_MAX + 1];
	enum there there;
	struct stat st;
	size_t len = 0;
	int r;

	if (!token_text_is_sane(token))
		return err_set(reterr, -EINVAL, "the CA's token is not 1 to %d letters, digits, '_' and '-'",
			       TOKEN_LEN_MAX);
	dir = open_folder(webroot, true, reterr);
	if (dir < 0)
		return dir;
	r = look(dir, text, &len, &st, &there);
	if (r < 0)
		return explain(reterr, r, "read", path);
	if (there == THERE_FOREIGN || (there == THERE_TEXT && !is_ours(text, len, token, own, n_own)))
		return err_set(reterr, S_ISLNK(st.st_mode) ? -ELOOP : -EEXIST, "%s %s: remove it", path,
			       kind(&st));
	if (there == THERE_TEXT && len == strlen(token) && memcmp(text, token, len) == 0 &&
	    (st.st_mode & 0444) == 0444)
		return 0;
	sweep(dir);
	return write_file(dir, token, there == THERE_TEXT, path, reterr);
}

/* The record forgets the proof when it is gone, so it must be gone for good: a power cut that brings the file back would
 * leave something there that is nobody's, and every later order of this webroot would stop in front of it. */
static int sync_folder(int dir)
{
	_cleanup_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) /* a folder that we may not read cannot be synced either */
		return errno == EACCES || errno == EPERM ? 0 : -errno;
	/* Somebody else's disk: no reason to stop the process. Some file systems cannot sync a folder (EINVAL). */
	return fsync(fd) < 0 && errno != EINVAL ? -EIO : 0;
}

static int take_away(int dir, const char *token, const char *path, struct err *reterr)
{
	char text[FILE_MAX + 1];
	enum there there;
	struct stat st;
	bool is_ours;
	size_t len = 0;
	int r = look(dir, text, &len, &st, &there);

	if (r < 0)
		return r == -ELOOP ? 0 : explain(reterr, r, "read", path);
	is_ours = there == THERE_TEXT && len == strlen(token) && memcmp(text, token, len) == 0;
	if (is_ours && unlinkat(dir, FILE_NAME, 0) < 0 && errno != ENOENT)
		return explain(reterr, -errno, "remove", path);
	/* Also when nothing is there, because an earlier try may have ended between the two steps; or another file, because a power cut
	 * may undo the renaming that put it in the place of ours. */
	r = sync_folder(dir);
	return r < 0 ? explain(reterr, r, "sync the folder of", path) : 0;
}

int webroot_withdraw(const char *webroot, const char *token, struct err *reterr)
{
	_cleanup_free_ char *path = xasprintf("%s" WEBROOT_URL_PATH, webroot);
	_cleanup_close_ int dir = -1;
	struct err e = ERR_INIT;

	dir = open_folder(webroot, false, &e);
	/* No way to our file means that there is none of ours: a link or a mount was put there by others. */
	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP || dir == -EXDEV)
		return 0;
	if (dir < 0) {
		if (reterr != NULL)
			*reterr = e;
		return dir;
	}
	return take_away(dir, token, path, reterr);
}
