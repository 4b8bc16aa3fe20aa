/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets from files. They are checked for the accidents that really happen (a Windows line end, a key
 * pasted with a blank line, mode 0644) because the CA would only answer "401". */
#include "config/secrets.h"

#include "common/mem.h"
#include "common/str.h"
#include "config/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SECRETS_BUCKETS	    1024u
#define SECRET_MODE_REFUSED 0027 /* writable by the group, anything for others */

struct secrets_entry {
	struct secrets_entry *next;
	enum secret_kind kind;
	struct secret *secret; /* NULL: refused, text says why */
	char *text;
	char name[];
};

struct secrets {
	char *base_dir;
	char *credentials_dir;
	struct arena *owner;
	struct secrets_entry *buckets[SECRETS_BUCKETS];
};

struct secrets *secrets_new(const char *base_dir, const char *credentials_dir, struct arena *owner)
{
	struct secrets *s = xmalloc(sizeof(*s));

	s->base_dir = xstrdup(base_dir);
	s->credentials_dir = credentials_dir && credentials_dir[0] == '/' ? xstrdup(credentials_dir) : NULL;
	s->owner = owner;
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SECRETS_BUCKETS; i++) {
		while (s->buckets[i]) {
			struct secrets_entry *e = s->buckets[i];

			s->buckets[i] = e->next;
			free(e->text);
			free(e);
		}
	}
	free(s->base_dir);
	free(s->credentials_dir);
	free(s);
}

static void secret_free_any(void *p)
{
	secret_free(p);
}

static bool path_is_absent(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* ".." would lead out of the credentials folder into whatever lies beside it. */
static bool has_dotdot(const char *name)
{
	return strcmp(name, "..") == 0 || str_has_prefix(name, "../") || strstr(name, "/../") ||
	       str_has_suffix(name, "/..");
}

static int secrets_locate(const struct secrets *s, const char *name, char **ret, struct err *reterr)
{
	_cleanup_free_ char *beside = config_file_join(s->base_dir, name);
	_cleanup_free_ char *credential = NULL;

	if (name[0] != '/' && s->credentials_dir && !has_dotdot(name))
		credential = config_file_join(s->credentials_dir, name);
	if (credential && !path_is_absent(credential)) {
		*ret = TAKE_PTR(credential);
		return 0;
	}
	if (!path_is_absent(beside)) {
		*ret = TAKE_PTR(beside);
		return 0;
	}
	if (credential)
		return err_set(reterr, -ENOENT, "no such file: neither %s nor %s", credential, beside);
	return err_set(reterr, -ENOENT, "no such file: %s", beside);
}

static int secret_check_bytes(const char *path, const char *data, size_t len, enum secret_kind kind,
			      struct err *reterr)
{
	if (len == 0)
		return err_set(reterr, -EINVAL, "%s is empty; it must hold the secret on one line", path);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\n' || c == '\r')
			return err_set(reterr, -EINVAL,
				       "%s has more than one line; it must hold the secret alone", path);
		if (c < 0x20 || c == 0x7f)
			return err_set(
				reterr, -EINVAL,
				"%s contains a control character (byte %zu); it must hold the secret alone",
				path, i + 1);
		if (kind == SECRET_API_KEY && c == ' ')
			return err_set(reterr, -EINVAL,
				       "%s contains a blank (byte %zu), which no API key does", path, i + 1);
		if (kind == SECRET_API_KEY && c >= 0x80)
			return err_set(
				reterr, -EINVAL,
				"%s contains a byte that is not ASCII (byte %zu), which no API key does",
				path, i + 1);
	}
	return 0;
}

static int secret_read(const char *path, enum secret_kind kind, struct secret **ret, struct err *reterr)
{
	char *data = NULL;
	size_t size = 0;
	size_t len = 0;
	int r = config_file_read(path, SECRETS_FILE_MAX, SECRET_MODE_REFUSED, &data, &size, reterr);

	if (r < 0) {
		err_prefix(reterr, "%s", path);
		return r;
	}
	len = size;
	if (len > 0 && data[len - 1] == '\n')
		len--;
	if (len < size && len > 0 && data[len - 1] == '\r')
		len--;
	r = secret_check_bytes(path, data, len, kind, reterr);
	if (r == 0)
		*ret = secret_new(data, len);
	mem_wipe(data, size);
	free(data);
	return r;
}

static void tsig_key_done_any(void *p)
{
	tsig_key_done(p);
}

int secrets_load_tsig(struct secrets *s, const char *name, const struct tsig_key **ret, struct err *reterr)
{
	_cleanup_free_ char *path = NULL;
	struct tsig_key key = { 0 };
	struct tsig_key *kept = NULL;
	char *data = NULL;
	size_t size = 0;
	int r = secrets_locate(s, name, &path, reterr);

	if (r < 0)
		return r;
	r = config_file_read(path, SECRETS_FILE_MAX, SECRET_MODE_REFUSED, &data, &size, reterr);
	if (r == 0) {
		r = tsig_key_parse(data, size, &key, reterr);
		mem_wipe(data, size);
		free(data);
	}
	if (r < 0) {
		err_prefix(reterr, "%s", path);
		return r;
	}
	kept = arena_alloc(s->owner, sizeof(*kept));
	*kept = key;
	arena_own(s->owner, tsig_key_done_any, kept);
	*ret = kept;
	return 0;
}

static struct secrets_entry *secrets_entry_new(struct secrets *s, const char *name, enum secret_kind kind)
{
	size_t len = strlen(name) + 1;
	struct secrets_entry *e = xmalloc(sizeof(*e) + len);
	_cleanup_free_ char *path = NULL;
	struct err err = ERR_INIT;

	e->kind = kind;
	memcpy(e->name, name, len);
	if (secrets_locate(s, name, &path, &err) < 0 || secret_read(path, kind, &e->secret, &err) < 0)
		e->text = xstrdup(err.text);
	else
		arena_own(s->owner, secret_free_any, e->secret);
	return e;
}

int secrets_load(struct secrets *s, const char *name, enum secret_kind kind, struct secret **ret,
		 struct err *reterr)
{
	size_t bucket = str_hash(name) % SECRETS_BUCKETS;
	struct secrets_entry *e = s->buckets[bucket];

	while (e && (e->kind != kind || strcmp(e->name, name) != 0))
		e = e->next;
	if (!e) {
		e = secrets_entry_new(s, name, kind);
		e->next = s->buckets[bucket];
		s->buckets[bucket] = e;
	}
	if (!e->secret)
		return err_set(reterr, -EINVAL, "%s", e->text);
	*ret = e->secret;
	return 0;
}
