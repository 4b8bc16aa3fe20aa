/* SPDX-License-Identifier: Apache-2.0 */
/* Generations: archive/<name>/0001/{cert.pem,chain.pem,fullchain.pem,privkey.pem} and the one symlink
 * live/<name> -> ../archive/<name>/0001, so that key and chain change together.
 *
 * A generation grows in archive/<name>/0002.new (the key first, before any order) and gets its final name by one rename when it is
 * complete and synced. All functions are thread-safe, meant for pool threads, and can be repeated after a crash at any point. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/secret.h"

struct generation_dirs {
	int archive_fd;
	int live_fd;
};

/* Writes <generation>.new/privkey.pem (0600) durably; anything older in that folder is replaced. */
int generation_begin(const struct generation_dirs *d, const char *name, unsigned generation,
		     const char *key_pem, struct err *reterr) _must_check_;

/* The key of a generation, begun or installed; *ret is wiped and freed by the caller. -ENOENT. */
int generation_key(const struct generation_dirs *d, const char *name, unsigned generation, char **ret,
		   struct err *reterr) _must_check_;

/* Adds the three certificate files, syncs, renames to the final name, reads everything back, then
 * switches live/<name>. Already done (same cert) is success. FS_ESYNC: stop the process. */
int generation_install(const struct generation_dirs *d, const char *name, unsigned generation,
		       const char *cert, const char *chain, const char *fullchain,
		       struct err *reterr) _must_check_;

/* Puts the three certificate files of an installed generation back, each in one step; the key stays. FS_ESYNC: stop the process. */
int generation_mend(const struct generation_dirs *d, const char *name, unsigned generation, const char *cert,
		    const char *chain, const char *fullchain, struct err *reterr) _must_check_;
/* Points live/<name> to an installed generation. */
int generation_relink(const struct generation_dirs *d, const char *name, unsigned generation,
		      struct err *reterr) _must_check_;
/* Are its four files there, as plain files? Nothing is read. */
bool generation_is_whole(const struct generation_dirs *d, const char *name, unsigned generation);

/* Reads a whole installed generation for a deployment; members are freed by generation_files_done (key wiped). */
struct generation_files {
	char *cert, *chain, *fullchain, *key;
};
int generation_read(const struct generation_dirs *d, const char *name, unsigned generation,
		    struct generation_files *ret, struct err *reterr) _must_check_;
void generation_files_done(struct generation_files *f);
/* fullchain.pem of an installed generation alone; the caller frees. */
int generation_chain(const struct generation_dirs *d, const char *name, unsigned generation, char **ret,
		     struct err *reterr) _must_check_;

/* The generation that live/<name> points to; 0 when there is no link. -EINVAL when it points elsewhere. */
int generation_live(const struct generation_dirs *d, const char *name, unsigned *ret,
		    struct err *reterr) _must_check_;

/* The number for a new generation: wish, or the first one above all that are installed. (A record may know less than the
 * disk: after a crash between the switch of the link and the record, or when the state was restored from a backup.) */
int generation_next(const struct generation_dirs *d, const char *name, unsigned wish, unsigned *ret,
		    struct err *reterr) _must_check_;
