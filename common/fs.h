/* SPDX-License-Identifier: Apache-2.0 */
/* Files, always relative to an open directory. Nothing is ever written in place.
 *
 * When fsync itself fails, the page cache no longer tells the truth (the kernel may have dropped the
 * dirty pages); such a call returns FS_ESYNC and the process must stop and re-read from disk. All
 * other failures leave what was there before. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#include <dirent.h>
#include <sys/types.h>

#define FS_ESYNC (-121) /* -EREMOTEIO, which no file call used here returns */

/* Temporary names start like this; a crash may leave one behind, to be ignored or removed by who lists. */
#define FS_TMP_PREFIX ".dvcert-tmp-"

/* Opens a directory (O_PATH is not used: the fd can be synced). Below dirfd no symlink is followed in
 * the last component. dirfd may be AT_FDCWD. Returns the fd or a negative errno. */
int fs_open_dir(int dirfd, const char *path, struct err *reterr) _must_check_;

/* The same, to list it with readdir. The caller closes: _cleanup_(fs_closedirp). */
int fs_open_list(int dirfd, const char *path, DIR **ret, struct err *reterr) _must_check_;
void fs_closedirp(DIR **d);

/* Reads a whole regular file of at most cap bytes; FIFOs, devices, directories and (last component)
 * symlinks are refused. *ret is NUL-terminated, the caller frees. -EFBIG when larger than cap. */
int fs_read_at(int dirfd, const char *path, size_t cap, char **ret, size_t *ret_len,
	       struct err *reterr) _must_check_;

/* Creates name exclusively, writes, fsyncs and closes; the directory is not synced. For files of a
 * folder that nobody uses yet. The mode is exact whatever the umask. -EEXIST when it is there. */
int fs_write_new(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		 struct err *reterr) _must_check_;

/* Replaces name durably: temporary file in the same directory, write, fsync, rename, fsync of the
 * directory. On any failure the old content stays and no temporary file is left. */
int fs_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
	       struct err *reterr) _must_check_;

/* Points the symlink name at target durably (temporary link, rename, fsync of the directory). */
int fs_replace_symlink(int dirfd, const char *name, const char *target, struct err *reterr) _must_check_;

/* Target of a symlink; the caller frees. -EINVAL when name is not a symlink, -ENOENT. */
int fs_readlink(int dirfd, const char *name, char **ret) _must_check_;

/* mkdir with an exact mode; an existing directory is accepted (its mode stays). Returns 1 when it was
 * made, 0 when it was there. Does not sync the parent. */
int fs_mkdir(int dirfd, const char *name, mode_t mode, struct err *reterr) _must_check_;

/* fsync of a directory. */
int fs_sync_dir(int dirfd, struct err *reterr) _must_check_;

/* All of it, however many pieces the system takes; 0 or -errno (-EIO when it takes nothing more). */
int fs_write_all(int fd, const void *buf, size_t len) _must_check_;

/* Renames durably within one directory (rename, fsync of the directory). */
int fs_rename_dir(int dirfd, const char *from, const char *to, struct err *reterr) _must_check_;

/* How many fsync/fdatasync calls this process made through this module; for the benchmark. */
uint64_t fs_sync_count(void);
