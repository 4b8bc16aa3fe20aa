/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder: its lock, its layout, one JSON file per domain. Contents are the business of
 * core/record.c; this file knows names, modes and durability. */
#pragma once

#include "common/base.h"
#include "common/err.h"

#define STORE_RECORD_MAX (2u << 20)

struct store;

/* Creates what is missing (state_dir 0711 when it is made here, state/ 0700, live/ and archive/ 0755), checks owner (ours) and
 * modes (nobody else may write) and takes the lock (flock on state/lock). -EBUSY when another daemon has it: the text names
 * its pid. -EPERM / -EACCES with path and remedy. */
int store_open(const char *state_dir, struct store **ret, struct err *reterr) _must_check_;
void store_close(struct store *s);

int store_state_fd(const struct store *s);   /* state/ */
int store_live_fd(const struct store *s);    /* live/ */
int store_archive_fd(const struct store *s); /* archive/ */

/* Replaces state/<name>.json durably. Thread-safe; meant for pool threads. FS_ESYNC: stop the process. */
int store_save(const struct store *s, const char *name, const char *text, size_t len,
	       struct err *reterr) _must_check_;

/* *ret is NULL (and the result 0) when there is none. */
int store_load(const struct store *s, const char *name, char **ret, size_t *ret_len,
	       struct err *reterr) _must_check_;

/* Calls fn for every state/<name>.json, in no order; text is NUL-terminated and valid during the call. A file that
 * cannot be read is passed with text NULL and the reason in e. Left-over temporary files are removed. Other
 * files are left alone. */
typedef void store_each_fn(const char *name, const char *text, size_t len, const struct err *e, void *arg);
int store_each(const struct store *s, store_each_fn *fn, void *arg, struct err *reterr) _must_check_;

/* Moves an unreadable record aside to state/<name>.json.bad-<time>; never deletes. */
int store_quarantine(const struct store *s, const char *name, struct err *reterr) _must_check_;
