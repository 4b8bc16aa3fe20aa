/* SPDX-License-Identifier: Apache-2.0 */
/* The socket file never has a wider mode than asked for: its inode gets the mode before bind (which can only narrow it by
 * the umask), and it is made exact before anybody listens. */
#include "daemon/io/unixbind.h"

#include "common/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void fill_address(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, strlen(path) + 1);
}

/* 0 when the path is free (a dead socket was removed), or why it is not. */
static int make_way(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un a;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set_errno(reterr, -errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(reterr, -EEXIST, "%s is there and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "cannot make a socket");
	fill_address(&a, path);
	/* EAGAIN: somebody listens and is busy. */
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 || errno == EAGAIN)
		return err_set(reterr, -EADDRINUSE, "%s: another process listens there", path);
	if (errno != ECONNREFUSED)
		return err_set_errno(reterr, -errno, "cannot tell whether %s is in use", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set_errno(reterr, -errno, "cannot remove the dead socket %s", path);
	return 0;
}

int unixbind_open(const char *path, mode_t mode, struct unixbind *ret, struct err *reterr)
{
	const size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un a;
	struct stat st;
	int r = 0;

	if (strlen(path) > max || path[0] == '\0')
		return err_set(reterr, -ENAMETOOLONG, "the socket's path %s must have 1 to %zu bytes", path,
			       max);
	r = make_way(path, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "cannot make a socket");
	fill_address(&a, path);
	if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&a, sizeof a) < 0)
		return err_set_errno(reterr, -errno, "cannot bind %s", path);
	if (chmod(path, mode) < 0 || lstat(path, &st) < 0) {
		r = err_set_errno(reterr, -errno, "cannot set the mode of %s", path);
		(void)unlink(path);
		return r;
	}
	*ret = (struct unixbind){ xstrdup(path), st.st_dev, st.st_ino };
	return TAKE_FD(fd);
}

void unixbind_close(struct unixbind *b)
{
	struct stat st;

	if (b->ino != 0 && lstat(b->path, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino)
		(void)unlink(b->path);
	free(b->path);
	*b = (struct unixbind){ 0 };
}
