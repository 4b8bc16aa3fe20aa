/* SPDX-License-Identifier: Apache-2.0 */
/* .well-known/pki-validation/fileauth.txt below a webroot that belongs to somebody else.
 *
 * The webroot itself (named by the admin) is opened following links; below it no step follows a link or crosses a mount, so
 * that its owner cannot lead us out. Thread-safe; meant for pool threads. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#define WEBROOT_FILE	 ".well-known/pki-validation/fileauth.txt"
#define WEBROOT_URL_PATH "/" WEBROOT_FILE

/* Puts token into the file: folders that are missing are created 0755, the file 0644, by temporary file
 * and rename. A file that is there is replaced only when it is a plain file whose whole content (but
 * for white space at its end) is one of own[] or token itself; else -EEXIST. A symlink or another kind of file anywhere on the way is
 * -ELOOP / -ENOTDIR / -EEXIST. The text names the path and the remedy. */
int webroot_publish(const char *webroot, const char *token, const char *const *own, size_t n_own,
		    struct err *reterr) _must_check_;

/* Removes the file when it is a plain file holding exactly token, durably. Absent, or another's content: 0, left alone. */
int webroot_withdraw(const char *webroot, const char *token, struct err *reterr) _must_check_;
