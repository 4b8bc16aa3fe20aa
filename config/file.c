/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is asked of the open file, not of its name, so that nobody can swap it between question and
 * answer. What these files say is not judged here. */
#include "config/file.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int config_file_refuse_mode(mode_t mode, mode_t refused, struct err *reterr)
{
	const char *what = "is writable by its group";
	const char *remedy = "g-w";

	if (refused & 0005) {
		what = "is open to others";
		remedy = "o-rwx";
	} else if (refused & 0002) {
		what = "is writable by others";
		remedy = "o-w";
	}
	return err_set(reterr, -EPERM, "%s (mode %04o); run chmod %s on it", what, (unsigned)(mode & 07777),
		       remedy);
}

static int config_file_check(int fd, size_t cap, mode_t refuse_mode, size_t *ret_size, struct err *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(reterr, -errno, "cannot be examined");
	if (S_ISDIR(st.st_mode))
		return err_set(reterr, -EISDIR, "is a directory, not a file");
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "is not a regular file");
	if (st.st_mode & refuse_mode)
		return config_file_refuse_mode(st.st_mode, st.st_mode & refuse_mode, reterr);
	if ((uint64_t)st.st_size > cap)
		return err_set(reterr, -EFBIG, "is too large (%lld bytes; at most %zu)",
			       (long long)st.st_size, cap);
	*ret_size = (size_t)st.st_size;
	return 0;
}

int config_file_read(const char *path, size_t cap, mode_t refuse_mode, char **ret, size_t *ret_len,
		     struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *buf = NULL;
	size_t size = 0;
	size_t len = 0;
	int r = 0;

	if (fd < 0)
		return err_set_errno(reterr, -errno, "cannot be opened");
	r = config_file_check(fd, cap, refuse_mode, &size, reterr);
	if (r < 0)
		return r;
	buf = xmalloc(size + 1);
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = err_set_errno(reterr, -errno, "cannot be read");
			break;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (r < 0) {
		mem_wipe(buf, size);
		free(buf);
		return r;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	return 0;
}

char *config_file_join(const char *dir, const char *name)
{
	if (name[0] == '/' || strcmp(dir, ".") == 0)
		return xstrdup(name);
	return xasprintf("%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
}

char *config_file_dir(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return xstrdup(".");
	return slash == file ? xstrdup("/") : xstrndup(file, (size_t)(slash - file));
}
