/* SPDX-License-Identifier: Apache-2.0 */
/* Key and request are durable before the daemon is asked: a certificate whose key was lost is worth nothing. */
#include "daemon/ctl/duplicate.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "daemon/pki/chain.h"

#define KEY_FILE     "privkey.pem"
#define CSR_FILE     "request.csr"
#define KEY_MAX	     (64u << 10)
#define FILE_MAX     (1u << 20)
#define DEFAULT_BITS 2048

void duplicate_done(struct duplicate *d)
{
	if (d->dir_fd > 0)
		(void)close(d->dir_fd);
	free(d->dir);
	free(d->csr);
	*d = (struct duplicate){ 0 };
}

/* --- the folder --- */

static int sync_parent(const char *real, struct err *reterr)
{
	_cleanup_free_ char *parent = xstrndup(real, (size_t)(strrchr(real, '/') - real) + 1);
	_cleanup_close_ int fd = fs_open_dir(AT_FDCWD, parent, reterr);
	return fd < 0 ? fd : fs_sync_dir(fd, reterr);
}

static int open_folder(const char *path, struct duplicate *d, struct err *reterr)
{
	_cleanup_free_ char *real = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int made = fs_mkdir(AT_FDCWD, path, 0700, reterr), r = 0;
	if (made < 0)
		return made;
	real = realpath(path, NULL);
	if (!real)
		return err_set_errno(reterr, -errno, "--out %s", path);
	if (made > 0)
		r = sync_parent(real, reterr);
	if (r < 0)
		return r;
	fd = fs_open_dir(AT_FDCWD, real, reterr);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set_errno(reterr, -errno, "--out %s", path);
	if (st.st_mode & S_IWOTH)
		return err_set(reterr, -EINVAL, "--out %s: others may write there, a key is not safe in it",
			       path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(reterr, -EBUSY, "--out %s: another dvcertctl is at work there", path);
	d->dir = xstrdup(path);
	d->dir_fd = TAKE_FD(fd);
	return 0;
}

/* 0 with *ret NULL when it is not there. */
static int read_there(const struct duplicate *d, const char *name, size_t max, char **ret, struct err *reterr)
{
	size_t len = 0;
	int r = fs_read_at(d->dir_fd, name, max, ret, &len, reterr);
	if (r == -ENOENT) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		err_prefix(reterr, "%s/%s", d->dir, name);
	return r;
}

static int write_there(const struct duplicate *d, const char *name, const char *text, mode_t mode,
		       struct err *reterr)
{
	int r = fs_replace(d->dir_fd, name, text, strlen(text), mode, reterr);
	if (r < 0)
		err_prefix(reterr, "%s/%s", d->dir, name);
	return r;
}

/* --- key and request --- */

static int key_kind(const struct json *domain, enum key_type *ret, unsigned *ret_bits)
{
	const struct json *key = json_get(domain, "key");
	const char *type = NULL, *curve = NULL;
	int64_t bits = DEFAULT_BITS;
	if (json_get_str(key, "type", &type) < 0 || json_get_str(key, "curve", &curve) < 0 ||
	    json_get_i64(key, "bits", &bits) < 0 || bits < 0 || bits > 65536)
		return -EBADMSG;
	*ret = KEY_RSA;
	*ret_bits = (unsigned)bits;
	if (type && strcmp(type, "ec") == 0)
		*ret = curve && strcmp(curve, "P-384") == 0 ? KEY_EC_P384 : KEY_EC_P256;
	return 0;
}

static int make_key(const struct duplicate *d, const struct json *domain, struct key **ret,
		    struct err *reterr)
{
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_wipe_ char *pem = NULL;
	enum key_type type = KEY_RSA;
	unsigned bits = 0;
	if (key_kind(domain, &type, &bits) < 0)
		return err_set(reterr, -EPROTO, "dvcertd does not tell the kind of key");
	int r = key_generate(type, bits, &key, reterr);
	if (r == 0)
		r = key_to_pem(key, NULL, &pem, reterr);
	if (r == 0)
		r = write_there(d, KEY_FILE, pem, 0600, reterr);
	if (r == 0)
		*ret = TAKE_PTR(key);
	return r;
}

/* NULL when there is none. */
static int read_key(const struct duplicate *d, struct key **ret, struct err *reterr)
{
	_cleanup_wipe_ char *pem = NULL;
	int r = read_there(d, KEY_FILE, KEY_MAX, &pem, reterr);
	*ret = NULL;
	if (r < 0 || !pem)
		return r;
	r = key_from_pem(pem, strlen(pem), ret, reterr);
	if (r < 0)
		err_prefix(reterr, "%s/%s is in the way", d->dir, KEY_FILE);
	return r;
}

static int make_request(struct duplicate *d, const struct key *key, const struct json *domain,
			struct err *reterr)
{
	const struct json *list = json_get(domain, "names");
	size_t n = json_arr_len(list);
	_cleanup_free_ const char **names = xcalloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++) {
		names[i] = json_str(json_arr_at(list, i));
		if (!names[i])
			return err_set(reterr, -EPROTO, "dvcertd does not tell the names");
	}
	int r = csr_make(key, names, n, &d->csr, reterr);
	return r == 0 ? write_there(d, CSR_FILE, d->csr, 0644, reterr) : r;
}

/* A key of our own: what is there is taken up where an earlier run ended. */
static int own_key(struct duplicate *d, const struct json *domain, struct err *reterr)
{
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_free_ char *csr = NULL;
	int r = read_there(d, CSR_FILE, CSR_READ_MAX, &csr, reterr);
	if (r == 0)
		r = read_key(d, &key, reterr);
	if (r < 0)
		return r;
	if (csr && (!key || !csr_belongs(csr, strlen(csr), key)))
		return err_set(reterr, -EINVAL, "%s/%s is in the way: it is not the request of the key there",
			       d->dir, CSR_FILE);
	if (csr) {
		d->csr = TAKE_PTR(csr);
		return 0;
	}
	if (!key)
		r = make_key(d, domain, &key, reterr);
	return r == 0 ? make_request(d, key, domain, reterr) : r;
}

static int read_file(const char *path, char **ret, struct err *reterr)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	size_t len = 0;
	if (!real)
		return err_set_errno(reterr, -errno, "--csr %s", path);
	int r = fs_read_at(AT_FDCWD, real, CSR_READ_MAX, ret, &len, reterr);
	if (r == 0 && strlen(*ret) != len)
		r = err_set(reterr, -EBADMSG, "not a text: a request in PEM is needed");
	if (r < 0)
		err_prefix(reterr, "--csr %s", path);
	return r;
}

/* A request of somebody else. */
static int their_request(struct duplicate *d, char **csr, struct err *reterr)
{
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_free_ char *there = NULL;
	int r = read_there(d, CSR_FILE, CSR_READ_MAX, &there, reterr);
	if (r == 0)
		r = read_key(d, &key, reterr);
	if (r < 0)
		return r;
	if (there && !csr_same(there, *csr))
		return err_set(reterr, -EINVAL, "%s holds another request: take another folder", d->dir);
	if (key && !csr_belongs(*csr, strlen(*csr), key))
		return err_set(reterr, -EINVAL, "%s holds another key: take another folder", d->dir);
	if (!there)
		r = write_there(d, CSR_FILE, *csr, 0644, reterr);
	d->csr = TAKE_PTR(*csr);
	return r;
}

int duplicate_begin(const char *out_dir, const char *csr_file, const struct json *domain,
		    struct duplicate *ret, struct err *reterr)
{
	_cleanup_(duplicate_done) struct duplicate d = { .dir_fd = -1 };
	_cleanup_(key_freep) struct key *key = NULL;
	_cleanup_wipe_ char *csr = NULL; /* it may be a private key by mistake */
	int r = csr_file ? read_file(csr_file, &csr, reterr) : 0;
	if (r == 0 && csr_file) {
		r = csr_key(csr, strlen(csr), &key, reterr);
		if (r < 0)
			err_prefix(reterr, "--csr %s", csr_file);
	}
	if (r == 0)
		r = open_folder(out_dir, &d, reterr);
	if (r == 0)
		r = csr_file ? their_request(&d, &csr, reterr) : own_key(&d, domain, reterr);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct duplicate){ .dir_fd = -1 };
	return 0;
}

int duplicate_finish(struct duplicate *d, const struct json *answer, struct err *reterr)
{
	static const char *const PARTS[][2] = { { "chain", "chain.pem" },
						{ "fullchain", "fullchain.pem" },
						{ "cert", "cert.pem" } };
	_cleanup_(key_freep) struct key *key = NULL;
	const char *texts[ARRAY_SIZE(PARTS)] = { NULL };
	int r = csr_key(d->csr, strlen(d->csr), &key, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
		if (json_get_str(answer, PARTS[i][0], &texts[i]) != 1)
			return err_set(reterr, -EPROTO, "dvcertd's answer has no %s", PARTS[i][0]);
	}
	for (size_t i = 1; i < ARRAY_SIZE(PARTS); i++) {
		if (!cert_belongs(texts[i], strlen(texts[i]), key))
			return err_set(reterr, -EPROTO,
				       "the certificate is not for this key; nothing was written");
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(PARTS); i++)
		r = write_there(d, PARTS[i][1], texts[i], 0644, reterr);
	return r;
}
