/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a secret: where they are looked for and which ones are refused. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/secret.h"
#include "config/arena.h"
#include "config/tsig.h"

enum secret_kind {
	SECRET_API_KEY,	   /* goes into an HTTP header: printable ASCII without blanks */
	SECRET_PASSPHRASE, /* one line */
};

#define SECRETS_FILE_MAX (64u << 10)

/* Remembers what was read, so that a file named by many domains is read and held once. */
struct secrets;

/* base_dir: the config file's folder; credentials_dir: $CREDENTIALS_DIRECTORY or NULL. The secrets belong
 * to owner, the snapshot's arena. */
struct secrets *secrets_new(const char *base_dir, const char *credentials_dir, struct arena *owner);
void secrets_free(struct secrets *s);
DEFINE_CLEANUP(struct secrets *, secrets_free)

/* An absolute name is taken as it is; another one is looked up in the credentials folder, then beside the
 * config file. Refused: readable by others or writable by the group, not a regular file, empty, larger
 * than SECRETS_FILE_MAX, control characters inside. One final line end is dropped. *ret is borrowed from
 * the owner. The text names the file and never what is in it. */
int secrets_load(struct secrets *s, const char *name, enum secret_kind kind, struct secret **ret,
		 struct err *reterr) _must_check_;

/* The same for the file of a TSIG key (config/tsig.h), looked for and refused in the same way but for what may be in it.
 * The key is wiped with the owner. The text has the line. */
int secrets_load_tsig(struct secrets *s, const char *name, const struct tsig_key **ret,
		      struct err *reterr) _must_check_;
