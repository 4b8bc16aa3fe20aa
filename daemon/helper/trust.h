/* SPDX-License-Identifier: Apache-2.0 */
/* Which places of the file system nobody but root (and we, when we are not root) can have arranged.
 *
 * A path is walked one step at a time, each an open file, so nothing can be swapped between question and answer. A folder is firm when
 * it belongs to root or to us and neither its group nor others may write to it. In a folder like /tmp (sticky) a firm owner's
 * folder cannot be moved away by others and is as good, but no file and no link there is. */
#pragma once

#include "common/base.h"
#include "common/err.h"

/* A firm folder or file on a path that is firm all the way; symlinks on it are followed, since only a firm hand can have put them there.
 * For the configuration. Returns an O_PATH descriptor. -EPERM with what is loose and the remedy; -ENOENT and others from open(). */
int trust_open(const char *path, struct err *reterr) _must_check_;

/* A folder to write to, wherever it is: symlinks are followed as long as all before them is firm. From the first folder on
 * that somebody else may change, a symlink is refused (-ELOOP), and so is "..": he could lead us anywhere. Returns a descriptor that can
 * be read and synced. */
int trust_open_folder(const char *path, struct err *reterr) _must_check_;

/* 0 when file, the folder conf.d beside it and each *.yaml in that are firm; all absolute. */
int trust_check_config(const char *file, struct err *reterr) _must_check_;
