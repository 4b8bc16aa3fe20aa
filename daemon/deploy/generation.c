/* SPDX-License-Identifier: Apache-2.0 */
/* Key and certificate of one domain as they change together. The order of steps is the whole point:
 *
 *   begin:    privkey.pem synced -> <generation>.new synced -> archive/<name> synced
 *   install:  three files synced -> folder synced -> read back -> rename, archive/<name> synced -> live link
 *
 * A final name therefore means "complete, on disk, and read back". Every step can be repeated: what is
 * half done under .new is done again, what is done under the final name is compared. Nothing here decides
 * which generation is wanted. */
#include "daemon/deploy/generation.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "config/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define KEY_FILE "privkey.pem"
#define KEY_MAX	 (64u << 10)
#define CERT_MAX (1u << 20)
#define DIR_MAX	 24

/* "0002" and "0002.new" */
struct names {
	char final[DIR_MAX];
	char grow[DIR_MAX];
};

struct part {
	const char *file;
	const char *text;
};
#define N_PARTS 3

static int make_names(const char *name, unsigned generation, struct names *ret, struct err *reterr)
{
	if (!name_is_safe_dir(name))
		return err_set(reterr, -EINVAL, "\"%s\" cannot be the name of a folder", name);
	if (generation == 0)
		return err_set(reterr, -EINVAL, "generations of %s begin with 1", name);
	(void)snprintf(ret->final, sizeof(ret->final), "%04u", generation);
	(void)snprintf(ret->grow, sizeof(ret->grow), "%04u.new", generation);
	return 0;
}

/* ---- the live link ---- */

/* "../archive/<name>/NNNN", exactly as we write it. */
static int parse_target(const char *name, const char *target, unsigned *ret)
{
	_cleanup_free_ char *prefix = xasprintf("../archive/%s/", name);
	_cleanup_free_ char *again = NULL;
	uint64_t n = 0;

	if (!str_has_prefix(target, prefix) || str_parse_u64(target + strlen(prefix), &n) < 0 || n == 0 ||
	    n > UINT32_MAX)
		return -EINVAL;
	again = xasprintf("%s%04u", prefix, (unsigned)n);
	if (strcmp(again, target) != 0)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

int generation_live(const struct generation_dirs *d, const char *name, unsigned *ret, struct err *reterr)
{
	_cleanup_free_ char *target = NULL;
	struct names unused;
	int r = make_names(name, 1, &unused, reterr);

	if (r < 0)
		return r;
	r = fs_readlink(d->live_fd, name, &target);
	if (r == -ENOENT) {
		*ret = 0;
		return 0;
	}
	if (r == -EINVAL)
		return err_set(reterr, -EINVAL, "live/%s is not a symbolic link of ours: move it away", name);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot read the link live/%s", name);
	if (parse_target(name, target, ret) < 0)
		return err_set(reterr, -EINVAL,
			       "live/%s points to %s, not to a generation of ours: move it away", name,
			       target);
	return 0;
}

static int switch_live(const struct generation_dirs *d, const char *name, unsigned generation,
		       struct err *reterr)
{
	_cleanup_free_ char *target = xasprintf("../archive/%s/%04u", name, generation);
	unsigned now = 0;
	int r = generation_live(d, name, &now, reterr);

	if (r < 0)
		return r;
	if (now == generation) /* a crash may have come between the rename and its fsync */
		return fs_sync_dir(d->live_fd, reterr);
	r = fs_replace_symlink(d->live_fd, name, target, reterr);
	if (r < 0)
		err_prefix(reterr, "cannot switch live/%s", name);
	return r;
}

/* ---- folders and files ---- */

static int set_mode(int fd, mode_t mode, struct err *reterr)
{
	if (fchmod(fd, mode) < 0)
		return err_set_errno(reterr, -errno, "cannot change the mode of a folder");
	return 0;
}

static int open_archive(const struct generation_dirs *d, const char *name, struct err *reterr)
{
	int fd = fs_open_dir(d->archive_fd, name, reterr);

	if (fd < 0)
		err_prefix(reterr, "archive");
	return fd;
}

/* Opens the folder of a finished generation: 1, or 0 when there is none. Another failure must not pass for
 * "none": a second key would be made beside the one that is served. */
static int open_final(int name_fd, const char *final, int *ret, struct err *reterr)
{
	struct err e = ERR_INIT;
	int fd = fs_open_dir(name_fd, final, &e);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0) {
		if (reterr != NULL)
			*reterr = e;
		return fd;
	}
	*ret = fd;
	return 1;
}

/* Opens archive/<name>, made when missing. As long as nothing was ever installed there, mode and fsync are
 * repeated as well: a crash may have come right behind the mkdir. */
static int make_archive(const struct generation_dirs *d, const char *name, bool first, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int r = fs_mkdir(d->archive_fd, name, 0755, reterr);

	if (r >= 0)
		fd = r = open_archive(d, name, reterr);
	if (r >= 0 && first)
		r = set_mode(fd, 0755, reterr);
	if (r >= 0 && first)
		r = fs_sync_dir(d->archive_fd, reterr);
	if (r < 0) {
		err_prefix(reterr, "cannot make archive/%s", name);
		return r;
	}
	return TAKE_FD(fd);
}

/* Removes what an earlier attempt left, except for the file named keep (NULL: keeps nothing). */
static int clean_dir(int dir_fd, const char *keep, struct err *reterr)
{
	_cleanup_(fs_closedirp) DIR *dir = NULL;
	struct dirent *de;
	int r = fs_open_list(dir_fd, ".", &dir, reterr);

	if (r < 0)
		return r;
	while ((de = readdir(dir)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (keep != NULL && strcmp(de->d_name, keep) == 0)
			continue;
		if (unlinkat(dir_fd, de->d_name, 0) < 0 && errno != ENOENT)
			return err_set_errno(reterr, -errno, "cannot remove the left-over %s", de->d_name);
	}
	return 0;
}

/* Is the file there with exactly this content? 1, 0 (other content or absent) or an error. */
static int holds(int dir_fd, const char *file, const char *text, size_t cap, struct err *reterr)
{
	_cleanup_wipe_ char *got = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;
	int r = fs_read_at(dir_fd, file, cap, &got, &len, &e);

	if (r == -ENOENT || r == -EFBIG)
		return 0;
	if (r < 0) {
		if (reterr != NULL)
			*reterr = e;
		return r;
	}
	return len == strlen(text) && memcmp(got, text, len) == 0;
}

static int holds_all(int dir_fd, const struct part parts[N_PARTS], struct err *reterr)
{
	int r = 1;

	for (size_t i = 0; i < N_PARTS && r > 0; i++)
		r = holds(dir_fd, parts[i].file, parts[i].text, CERT_MAX, reterr);
	return r;
}

/* A usable key belongs to every generation; which one it is, the caller has checked against the certificate. */
static int check_key(int dir_fd, struct err *reterr)
{
	_cleanup_wipe_ char *key = NULL;
	size_t len = 0;
	int r = fs_read_at(dir_fd, KEY_FILE, KEY_MAX, &key, &len, reterr);

	if (r < 0)
		return r;
	return len > 0 ? 0 : err_set(reterr, -EIO, KEY_FILE " is empty");
}

/* ---- begin ---- */

static int write_key(int name_fd, const struct names *n, const char *key_pem, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int r = fs_mkdir(name_fd, n->grow, 0700, reterr);

	if (r < 0)
		return r;
	fd = fs_open_dir(name_fd, n->grow, reterr);
	if (fd < 0)
		return fd;
	if (r == 0) { /* it was there: from an earlier attempt, perhaps already opened for its final name */
		r = set_mode(fd, 0700, reterr);
		if (r == 0)
			r = clean_dir(fd, KEY_FILE, reterr);
		if (r < 0)
			return r;
	}
	/* Replaced in one step: a key that an order may rest on is never gone before its successor is there. */
	r = fs_replace(fd, KEY_FILE, key_pem, strlen(key_pem), 0600, reterr);
	return r < 0 ? r : fs_sync_dir(name_fd, reterr);
}

int generation_begin(const struct generation_dirs *d, const char *name, unsigned generation,
		     const char *key_pem, struct err *reterr)
{
	_cleanup_close_ int name_fd = -1, final_fd = -1;
	unsigned live = 0;
	struct names n;
	int r = make_names(name, generation, &n, reterr);

	if (r < 0)
		return r;
	if (key_pem[0] == '\0' || strlen(key_pem) > KEY_MAX)
		return err_set(reterr, -EINVAL, "the key of %s is empty or larger than %u bytes", name,
			       KEY_MAX);
	/* What would stop the installation is better known before the certificate is paid for. */
	r = generation_live(d, name, &live, reterr);
	if (r < 0)
		return r;
	name_fd = make_archive(d, name, live == 0, reterr);
	if (name_fd < 0)
		return name_fd;
	r = open_final(name_fd, n.final, &final_fd, reterr);
	if (r < 0)
		return r;
	if (r > 0) {
		r = holds(final_fd, KEY_FILE, key_pem, KEY_MAX, reterr);
		if (r != 0)
			return r < 0 ? r : 0;
		return err_set(reterr, -EEXIST, "archive/%s/%s is there already with another key", name,
			       n.final);
	}
	r = write_key(name_fd, &n, key_pem, reterr);
	if (r < 0)
		err_prefix(reterr, "cannot store the key archive/%s/%s/" KEY_FILE, name, n.grow);
	return r;
}

int generation_key(const struct generation_dirs *d, const char *name, unsigned generation, char **ret,
		   struct err *reterr)
{
	_cleanup_close_ int name_fd = -1;
	struct names n;
	int r = make_names(name, generation, &n, reterr);

	if (r < 0)
		return r;
	name_fd = open_archive(d, name, reterr);
	if (name_fd < 0)
		return name_fd;
	for (int i = 0; i < 2; i++) {
		_cleanup_close_ int fd = fs_open_dir(name_fd, i == 0 ? n.final : n.grow, NULL);
		size_t len = 0;

		if (fd == -ENOENT)
			continue;
		r = fd < 0 ? err_set_errno(reterr, fd, "cannot open the folder")
			   : fs_read_at(fd, KEY_FILE, KEY_MAX, ret, &len, reterr);
		if (r < 0)
			err_prefix(reterr, "archive/%s, generation %u", name, generation);
		return r;
	}
	return err_set(reterr, -ENOENT, "archive/%s has no generation %u", name, generation);
}

/* ---- install ---- */

/* Fills <generation>.new and makes it whole on disk: four fsyncs. */
static int write_parts(int fd, const struct part parts[N_PARTS], struct err *reterr)
{
	int r = check_key(fd, reterr);

	/* Left-overs of an earlier attempt, with the temporary files of a torn begin; the key stays. */
	if (r == 0)
		r = clean_dir(fd, KEY_FILE, reterr);
	for (size_t i = 0; i < N_PARTS && r == 0; i++)
		r = fs_write_new(fd, parts[i].file, parts[i].text, strlen(parts[i].text), 0644, reterr);
	if (r == 0)
		r = set_mode(fd, 0755, reterr);
	if (r == 0)
		r = fs_sync_dir(fd, reterr);
	return r;
}

static int finish(int name_fd, const struct names *n, const struct part parts[N_PARTS], struct err *reterr)
{
	_cleanup_close_ int fd = fs_open_dir(name_fd, n->grow, reterr);
	int r;

	if (fd < 0)
		return fd;
	r = write_parts(fd, parts, reterr);
	if (r < 0)
		return r;
	/* A file system that lies, or somebody else's hand: found here while the old pair still serves. */
	r = holds_all(fd, parts, reterr);
	if (r == 0)
		r = err_set(reterr, -EIO, "what was written is not what is read back");
	if (r > 0)
		r = check_key(fd, reterr);
	if (r < 0)
		return r;
	return fs_rename_dir(name_fd, n->grow, n->final, reterr);
}

/* The final folder is there: the same certificate means that an earlier call came this far. */
static int compare_final(int name_fd, int final_fd, const struct part parts[N_PARTS], struct err *reterr)
{
	int r = holds_all(final_fd, parts, reterr);

	if (r == 0)
		return err_set(reterr, -EEXIST, "the folder is there already with another certificate");
	if (r > 0)
		r = check_key(final_fd, reterr);
	/* Its rename may not have reached the disk. */
	return r < 0 ? r : fs_sync_dir(name_fd, reterr);
}

int generation_install(const struct generation_dirs *d, const char *name, unsigned generation,
		       const char *cert, const char *chain, const char *fullchain, struct err *reterr)
{
	const struct part parts[N_PARTS] = {
		{ "cert.pem", cert },
		{ "chain.pem", chain },
		{ "fullchain.pem", fullchain },
	};
	_cleanup_close_ int name_fd = -1, final_fd = -1;
	unsigned live = 0;
	struct names n;
	int r = make_names(name, generation, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < N_PARTS; i++)
		if (strlen(parts[i].text) > CERT_MAX)
			return err_set(reterr, -EFBIG, "%s of %s is larger than %u bytes", parts[i].file,
				       name, CERT_MAX);
	r = generation_live(d, name, &live, reterr);
	if (r < 0)
		return r;
	name_fd = open_archive(d, name, reterr);
	if (name_fd < 0)
		return name_fd;
	r = open_final(name_fd, n.final, &final_fd, reterr);
	if (r > 0)
		r = compare_final(name_fd, final_fd, parts, reterr);
	else if (r == 0)
		r = finish(name_fd, &n, parts, reterr);
	if (r < 0) {
		err_prefix(reterr, "cannot install archive/%s/%s", name, n.final);
		return r;
	}
	return switch_live(d, name, generation, reterr);
}

/* ---- the rest ---- */

void generation_files_done(struct generation_files *f)
{
	free(f->cert);
	free(f->chain);
	free(f->fullchain);
	mem_wipe_free(f->key);
	*f = (struct generation_files){ 0 };
}

static int open_generation(const struct generation_dirs *d, const char *name, unsigned generation, int *ret,
			   struct err *reterr)
{
	_cleanup_close_ int name_fd = -1;
	struct names n;
	int r = make_names(name, generation, &n, reterr);

	if (r < 0)
		return r;
	name_fd = open_archive(d, name, reterr);
	if (name_fd < 0)
		return name_fd;
	*ret = fs_open_dir(name_fd, n.final, reterr);
	return *ret < 0 ? *ret : 0;
}

static int cannot_read(const char *name, unsigned generation, int r, struct err *reterr)
{
	err_prefix(reterr, "cannot read archive/%s/%04u", name, generation);
	return r;
}

int generation_chain(const struct generation_dirs *d, const char *name, unsigned generation, char **ret,
		     struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	size_t len = 0;
	int r = open_generation(d, name, generation, &fd, reterr);

	if (r >= 0)
		r = fs_read_at(fd, "fullchain.pem", CERT_MAX, ret, &len, reterr);
	return r < 0 ? cannot_read(name, generation, r, reterr) : 0;
}

int generation_read(const struct generation_dirs *d, const char *name, unsigned generation,
		    struct generation_files *ret, struct err *reterr)
{
	_cleanup_(generation_files_done) struct generation_files f = { 0 };
	_cleanup_close_ int fd = -1;
	size_t len = 0;
	int r = open_generation(d, name, generation, &fd, reterr);

	if (r >= 0)
		r = fs_read_at(fd, "cert.pem", CERT_MAX, &f.cert, &len, reterr);
	if (r >= 0)
		r = fs_read_at(fd, "chain.pem", CERT_MAX, &f.chain, &len, reterr);
	if (r >= 0)
		r = fs_read_at(fd, "fullchain.pem", CERT_MAX, &f.fullchain, &len, reterr);
	if (r >= 0)
		r = fs_read_at(fd, KEY_FILE, KEY_MAX, &f.key, &len, reterr);
	if (r < 0)
		return cannot_read(name, generation, r, reterr);
	*ret = f;
	f = (struct generation_files){ 0 };
	return 0;
}

int generation_mend(const struct generation_dirs *d, const char *name, unsigned generation, const char *cert,
		    const char *chain, const char *fullchain, struct err *reterr)
{
	const struct part parts[N_PARTS] = {
		{ "cert.pem", cert },
		{ "chain.pem", chain },
		{ "fullchain.pem", fullchain },
	};
	_cleanup_close_ int fd = -1;
	int r = open_generation(d, name, generation, &fd, reterr);

	if (r >= 0)
		r = check_key(fd, reterr);
	for (size_t i = 0; i < N_PARTS && r >= 0; i++)
		r = fs_replace(fd, parts[i].file, parts[i].text, strlen(parts[i].text), 0644, reterr);
	if (r < 0)
		err_prefix(reterr, "cannot mend archive/%s/%04u", name, generation);
	return r;
}

int generation_relink(const struct generation_dirs *d, const char *name, unsigned generation,
		      struct err *reterr)
{
	return switch_live(d, name, generation, reterr);
}

bool generation_is_whole(const struct generation_dirs *d, const char *name, unsigned generation)
{
	static const char *const FILES[] = { "cert.pem", "chain.pem", "fullchain.pem", KEY_FILE };
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (open_generation(d, name, generation, &fd, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
		if (fstatat(fd, FILES[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			return false;
	}
	return true;
}

/* A number that a folder of this name can carry, else 0: "0002", not "0002.new". */
static unsigned number_of(const char *folder)
{
	uint64_t n = 0;

	return str_parse_u64(folder, &n) == 0 && n <= UINT32_MAX ? (unsigned)n : 0;
}

int generation_next(const struct generation_dirs *d, const char *name, unsigned wish, unsigned *ret,
		    struct err *reterr)
{
	_cleanup_(fs_closedirp) DIR *dir = NULL;
	struct names n;
	struct dirent *de;
	int r = make_names(name, wish, &n, reterr);

	if (r < 0)
		return r;
	*ret = wish;
	r = fs_open_list(d->archive_fd, name, &dir, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set_errno(reterr, r, "cannot open archive/%s", name);
	while ((de = readdir(dir)) != NULL) {
		unsigned there = number_of(de->d_name);

		if (there >= *ret && there < UINT32_MAX)
			*ret = there + 1;
	}
	return 0;
}
