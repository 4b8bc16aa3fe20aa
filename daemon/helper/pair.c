/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/helper/pair.h"

#include "common/mem.h"
#include "daemon/pki/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_MAX	  (64u << 10)
#define PLACE_MAX 320

/* One name without a slash after the other, none of them a link: nothing can lead out of the first folder. (openat2() would say it in
 * one call, and is what RestrictSUIDSGID= of the unit takes away.) */
static int open_steps(int dirfd, const char *const steps[], size_t n, const char *file)
{
	_cleanup_close_ int at = -1;
	int fd;

	for (size_t i = 0; i < n; i++) {
		fd = openat(i == 0 ? dirfd : at, steps[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		closep(&at);
		at = fd;
	}
	fd = openat(at, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_open(int fd, size_t cap, char **ret, size_t *ret_len)
{
	_cleanup_wipe_ char *buf = xmalloc(cap + 2);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, cap + 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
		if (len > cap)
			return -EFBIG;
	}
	if (memchr(buf, '\0', len))
		return -EBADMSG;
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

struct source {
	int state_fd;
	const char *name;
	unsigned generation;
	const uid_t *owners;
	size_t n_owners;
};

static bool is_owner(const struct source *s, uid_t uid)
{
	for (size_t i = 0; i < s->n_owners; i++)
		if (s->owners[i] == uid)
			return true;
	return false;
}

static int judge(const struct source *s, int fd, const char *place, struct err *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(reterr, -errno, "%s", place);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "%s is not a plain file", place);
	if (st.st_nlink != 1)
		return err_set(reterr, -EPERM, "%s has several hard links, and is not read", place);
	if (!is_owner(s, st.st_uid))
		return err_set(reterr, -EPERM, "%s belongs to user %u, not to the daemon's; run chown on it",
			       place, (unsigned)st.st_uid);
	return 0;
}

static int read_file(const struct source *s, const char *file, size_t cap, char **ret, size_t *ret_len,
		     int *ret_fd, struct err *reterr)
{
	char place[PLACE_MAX], generation[16];
	const char *const steps[] = { "archive", s->name, generation };
	_cleanup_close_ int fd = -1;
	int r;

	(void)snprintf(generation, sizeof(generation), "%04u", s->generation);
	(void)snprintf(place, sizeof(place), "archive/%s/%s/%s", s->name, generation, file);
	fd = open_steps(s->state_fd, steps, ARRAY_SIZE(steps), file);
	if (fd == -ELOOP || fd == -ENOTDIR)
		return err_set(reterr, fd, "%s is reached by a symbolic link, and is not read", place);
	if (fd < 0)
		return err_set_errno(reterr, fd, "%s cannot be opened", place);
	r = judge(s, fd, place, reterr);
	if (r < 0)
		return r;
	r = read_open(fd, cap, ret, ret_len);
	if (r < 0)
		return err_set_errno(reterr, r, "%s cannot be read", place);
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Lengths of the four texts. */
struct sizes {
	size_t cert, chain, fullchain, key;
};

/* What the files say fits together and holds nothing else. */
static int check(const struct pair *p, const struct sizes *n, struct err *reterr)
{
	_cleanup_(key_freep) struct key *key = NULL;
	int r = certs_plain(p->cert, n->cert, reterr);

	if (r == 0 && n->cert == 0)
		r = err_set(reterr, -EBADMSG, "is empty");
	if (r < 0) {
		err_prefix(reterr, "cert.pem");
		return r;
	}
	r = certs_plain(p->chain, n->chain, reterr);
	if (r < 0) {
		err_prefix(reterr, "chain.pem");
		return r;
	}
	if (n->fullchain != n->cert + n->chain || memcmp(p->fullchain, p->cert, n->cert) != 0 ||
	    memcmp(p->fullchain + n->cert, p->chain, n->chain) != 0)
		return err_set(reterr, -EBADMSG, "fullchain.pem is not cert.pem and chain.pem");
	r = key_plain(p->key, n->key, &key, reterr);
	if (r < 0) {
		err_prefix(reterr, "privkey.pem");
		return r;
	}
	if (!cert_belongs(p->cert, n->cert, key))
		return err_set(reterr, -EBADMSG, "privkey.pem and cert.pem do not belong together");
	return 0;
}

int pair_read(int state_fd, const char *name, unsigned generation, const uid_t *owners, size_t n_owners,
	      struct pair *ret, struct err *reterr)
{
	const struct source s = { state_fd, name, generation, owners, n_owners };
	_cleanup_(pair_done) struct pair p = { .key_fd = -1 };
	struct sizes n = { 0 };
	int r = read_file(&s, "cert.pem", CHAIN_PEM_MAX, &p.cert, &n.cert, NULL, reterr);

	if (r == 0)
		r = read_file(&s, "chain.pem", CHAIN_PEM_MAX, &p.chain, &n.chain, NULL, reterr);
	if (r == 0)
		r = read_file(&s, "fullchain.pem", 2 * CHAIN_PEM_MAX, &p.fullchain, &n.fullchain, NULL,
			      reterr);
	if (r == 0)
		r = read_file(&s, "privkey.pem", KEY_MAX, &p.key, &n.key, &p.key_fd, reterr);
	if (r < 0)
		return r;
	r = check(&p, &n, reterr);
	if (r < 0) {
		err_prefix(reterr, "archive/%s/%04u", name, generation);
		return r;
	}
	*ret = p;
	p = (struct pair){ .key_fd = -1 };
	return 0;
}

void pair_done(struct pair *p)
{
	free(p->cert);
	free(p->chain);
	free(p->fullchain);
	mem_wipe_free(p->key);
	closep(&p->key_fd);
	*p = (struct pair){ .key_fd = -1 };
}
