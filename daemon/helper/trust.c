/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/helper/trust.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 16

struct walk {
	int fd;	    /* where we are: a folder, or at the end whatever was named */
	char *rest; /* still to go */
	char *here; /* the path of fd, for messages */
	bool strict;
	bool loose; /* somebody else had a hand in the way to here */
	unsigned n_links;
};

static void walk_done(struct walk *w)
{
	closep(&w->fd);
	free(w->rest);
	free(w->here);
}

static bool is_firm_owner(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool is_firm(const struct stat *st)
{
	return is_firm_owner(st->st_uid) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Whose hand is it? */
static int complain(const char *path, const struct stat *st, struct err *reterr)
{
	if (!is_firm_owner(st->st_uid))
		return err_set(reterr, -EPERM,
			       "%s belongs to user %u, so it cannot be followed with the rights of others; "
			       "run chown "
			       "root on it",
			       path, (unsigned)st->st_uid);
	return err_set(
		reterr, -EPERM,
		"%s can be written by others (mode %04o), so it cannot be followed; run chmod go-w on it",
		path, (unsigned)(st->st_mode & 07777));
}

static int walk_to_root(struct walk *w, struct err *reterr)
{
	closep(&w->fd);
	w->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(w->here);
	w->here = xstrdup("");
	return w->fd < 0 ? err_set_errno(reterr, -errno, "cannot open /") : 0;
}

/* The next component, which the caller frees; NULL at the end. */
static char *take_component(struct walk *w)
{
	const char *start = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(start, "/");
	char *name = len > 0 ? xstrndup(start, len) : NULL;
	char *rest = xstrdup(start + len);

	free(w->rest);
	w->rest = rest;
	return name;
}

/* May what is below here be relied on? st is here, next what is to be entered. */
static int judge(struct walk *w, const struct stat *st, const struct stat *next, const char *name,
		 struct err *reterr)
{
	bool sticky = is_firm_owner(st->st_uid) && (st->st_mode & S_ISVTX) != 0;

	/* What was loose once stays so: a firm folder below may have been moved there. */
	if (!w->loose && (is_firm(st) || (sticky && S_ISDIR(next->st_mode) && is_firm_owner(next->st_uid))))
		return 0;
	if (w->strict && sticky && !is_firm_owner(next->st_uid)) {
		_cleanup_free_ char *path = xasprintf("%s/%s", w->here, name);

		return complain(path, next, reterr);
	}
	if (w->strict)
		return complain(w->here[0] ? w->here : "/", st, reterr);
	w->loose = true;
	if (S_ISLNK(next->st_mode) || strcmp(name, "..") == 0)
		return err_set(
			reterr, -ELOOP,
			"%s/%s is a symbolic link in a folder that others may change, and is not followed; "
			"name the real folder",
			w->here, name);
	return 0;
}

static int follow(struct walk *w, int link_fd, const char *name, struct err *reterr)
{
	_cleanup_free_ char *target = NULL;
	char *rest = NULL;
	int r = fs_readlink(link_fd, "", &target);

	if (r == 0 && (target[0] == '\0' || ++w->n_links > LINKS_MAX))
		r = -ELOOP;
	if (r < 0)
		return err_set_errno(reterr, r, "cannot follow %s/%s", w->here, name);
	rest = xasprintf("%s%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	return target[0] == '/' ? walk_to_root(w, reterr) : 0;
}

static int step(struct walk *w, const char *name, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st, next;
	char *here = NULL;
	int r;

	if (strcmp(name, ".") == 0)
		return 0;
	fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &next) < 0 || fstat(w->fd, &st) < 0)
		return err_set_errno(reterr, -errno, "%s/%s", w->here, name);
	r = judge(w, &st, &next, name, reterr);
	if (r < 0)
		return r;
	if (S_ISLNK(next.st_mode))
		return follow(w, fd, name, reterr);
	here = xasprintf("%s/%s", w->here, name);
	free(w->here);
	w->here = here;
	closep(&w->fd);
	w->fd = TAKE_FD(fd);
	return 0;
}

static int walk(struct walk *w, const char *path, struct err *reterr)
{
	int r;

	if (path[0] != '/')
		return err_set(reterr, -EINVAL, "%s is not an absolute path", path);
	w->rest = xstrdup(path);
	r = walk_to_root(w, reterr);
	while (r == 0) {
		_cleanup_free_ char *name = take_component(w);

		if (!name)
			return 0;
		r = step(w, name, reterr);
	}
	return r;
}

int trust_open(const char *path, struct err *reterr)
{
	_cleanup_(walk_done) struct walk w = { .fd = -1, .strict = true };
	struct stat st;
	int r = walk(&w, path, reterr);

	if (r < 0)
		return r;
	if (fstat(w.fd, &st) < 0)
		return err_set_errno(reterr, -errno, "%s", path);
	if (!is_firm(&st))
		return complain(w.here[0] ? w.here : "/", &st, reterr);
	return TAKE_FD(w.fd);
}

int trust_open_folder(const char *path, struct err *reterr)
{
	_cleanup_(walk_done) struct walk w = { .fd = -1 };
	int r = walk(&w, path, reterr);
	int fd;

	if (r < 0)
		return r;
	fd = openat(w.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set_errno(reterr, -errno, "%s", path) : fd;
}

/* --- the configuration ------------------------------------------------------------------------------ */

static int check_file(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = trust_open(path, reterr);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "%s is not a file", path);
	return 0;
}

static int check_parts(const char *folder, int fd, struct err *reterr)
{
	_cleanup_(fs_closedirp) DIR *dir = NULL;
	struct dirent *de;
	int r = fs_open_list(fd, ".", &dir, reterr);

	while (r == 0 && (de = readdir(dir))) {
		if (de->d_name[0] != '.' && str_has_suffix(de->d_name, ".yaml")) {
			_cleanup_free_ char *path = config_file_join(folder, de->d_name);

			r = check_file(path, reterr);
		}
	}
	return r;
}

int trust_check_config(const char *file, struct err *reterr)
{
	_cleanup_free_ char *folder = config_file_dir(file);
	_cleanup_free_ char *parts = config_file_join(folder, "conf.d");
	_cleanup_close_ int fd = -1;
	int r = check_file(file, reterr);

	if (r < 0)
		return r;
	fd = trust_open(parts, reterr);
	if (fd == -ENOENT) {
		if (reterr)
			*reterr = (struct err)ERR_INIT;
		return 0;
	}
	return fd < 0 ? fd : check_parts(parts, fd, reterr);
}
