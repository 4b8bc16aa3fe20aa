/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files that an administrator put there: unlike the daemon's own files they may be symlinks. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#include <sys/types.h>

/* Reads a regular file of at most cap bytes, following links, never waiting for a FIFO or a device. The
 * mode is looked at before the content: when it has a bit of refuse_mode, -EPERM. *ret is NUL-terminated,
 * the caller frees. -EFBIG when larger than cap. The text does not repeat the path. */
int config_file_read(const char *path, size_t cap, mode_t refuse_mode, char **ret, size_t *ret_len,
		     struct err *reterr) _must_check_;

/* "<dir>/<name>", or name alone when it is absolute or dir is ".". The caller frees. */
char *config_file_join(const char *dir, const char *name);

/* The folder of a file, "." when it has none. The caller frees. */
char *config_file_dir(const char *file);
