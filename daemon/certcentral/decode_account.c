/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about the account: AuthKeys, and requests that a person has to approve. An AuthKey goes from the parsed text into a
 * struct secret and nowhere else; the text is wiped by decode.c, the answer's buffer by io/http. */
#include "daemon/certcentral/internal.h"

#include <strings.h>

#include "common/mem.h"
#include "common/strbuf.h"

#define LISTED_MAX	    1000
#define LISTED_LEN_MAX	    (64UL * 1024)
#define AUTH_KEYS_MAX	    200 /* each secret has pages of its own */
#define AUTH_KEY_LEN_MAX    1024
#define AUTH_KEY_ID_LEN_MAX 128

/* --- revoke --- */

struct request_fields {
	int64_t id;
	char *status;
};

static const struct json_field request_fields[] = {
	{ "id", JSON_WANT_I64, offsetof(struct request_fields, id), JSON_REQUIRED },
	{ "status", JSON_WANT_STR, offsetof(struct request_fields, status), 0 },
};

/* "pending" by the page, "submitted" by another client: whatever is not approved has to be. */
void cc_decode_revocation(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	struct request_fields f = { 0 };
	bool ok = cc_pick(d, j, "", request_fields, ARRAY_SIZE(request_fields), &f);
	_cleanup_free_ char *status = f.status;

	(void)ep;
	if (!ok || !cc_id_is_sane(d, "id", f.id, 1))
		return;
	d->reply.request_id = f.id;
	d->reply.needs_approval = !status || strcasecmp(status, "approved") != 0;
}

/* --- AuthKeys --- */

struct auth_key_fields {
	char *id;
	char *expires;
	char *status;
};

static const struct json_field auth_key_fields[] = {
	{ "auth_key_id", JSON_WANT_STR, offsetof(struct auth_key_fields, id), JSON_REQUIRED },
	{ "expiration_datetime", JSON_WANT_STR, offsetof(struct auth_key_fields, expires), 0 },
	{ "status", JSON_WANT_STR, offsetof(struct auth_key_fields, status), 0 },
};

/* Printable ASCII without blanks. */
static bool is_one_word(const char *s, size_t max)
{
	size_t n = 0;

	while (s[n] > 0x20 && s[n] < 0x7f)
		n++;
	return n > 0 && n <= max && !s[n];
}

static void complain(struct cc_decoded *d, const char *path, const char *what)
{
	char why[120];

	(void)snprintf(why, sizeof(why), "%s%s%s", path, *path ? "." : "", what);
	cc_unclear(d, "bad_answer", why);
}

/* The key is borrowed from the text: no copy of it is made but the secret. What is wrong with it is said without it. */
static bool take_key(struct cc_decoded *d, const struct json *j, const char *path, struct cc_auth_key *k)
{
	const char *key = NULL;

	if (json_get_str(j, "auth_key", &key) < 0 || (key && !is_one_word(key, AUTH_KEY_LEN_MAX))) {
		complain(d, path, "auth_key: not a word");
		return false;
	}
	if (key)
		k->secret = secret_new(key, strlen(key));
	return true;
}

static bool decode_auth_key(struct cc_decoded *d, const struct json *j, const char *path)
{
	struct auth_key_fields f = { 0 };
	struct cc_auth_key *k = &d->auth_keys[d->n_auth_keys];
	bool ok = cc_pick(d, j, path, auth_key_fields, ARRAY_SIZE(auth_key_fields), &f);
	_cleanup_free_ char *id = f.id;
	_cleanup_free_ char *expires = f.expires;
	_cleanup_free_ char *status = f.status;

	if (!ok)
		return false;
	if (!is_one_word(id, AUTH_KEY_ID_LEN_MAX)) {
		complain(d, path, "auth_key_id: not a word");
		return false;
	}
	/* "Never expires" must not be read from a date that is not understood. */
	if (expires && cc_day_or_time(expires) == 0) {
		complain(d, path, "expiration_datetime: not a time");
		return false;
	}
	if (!take_key(d, j, path, k))
		return false;
	d->n_auth_keys++;
	k->id = TAKE_PTR(id);
	k->expires_at = cc_day_or_time(expires);
	if (status)
		k->status_word = cc_one_line(status, CC_WORD_MAX);
	return true;
}

static int is_there(const char *key, const struct json *val, void *arg)
{
	(void)key;
	(void)val;
	(void)arg;
	return 1;
}

/* None is an empty list or `{}`. An object without the list tells nothing: "none" may make a person create a key. */
void cc_decode_auth_keys(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	const struct json *list = NULL;
	int r = json_get_arr(j, "auth_keys", &list);
	size_t n = json_arr_len(list);

	(void)ep;
	if (r < 0 || n > AUTH_KEYS_MAX || (r == 0 && json_each(j, is_there, NULL) != 0)) {
		cc_unclear(d, "bad_answer",
			   r == 0 ? "auth_keys: missing" : "auth_keys: not a list, or too long");
		return;
	}
	d->auth_keys = xcalloc(n + 1, sizeof(*d->auth_keys));
	for (size_t i = 0; i < n; i++) {
		char path[48];

		(void)snprintf(path, sizeof(path), "auth_keys[%zu]", i);
		if (!decode_auth_key(d, json_arr_at(list, i), path))
			return;
	}
	d->reply.auth_keys = d->auth_keys;
	d->reply.n_auth_keys = d->n_auth_keys;
}

void cc_decode_auth_key(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	d->auth_keys = xcalloc(1, sizeof(*d->auth_keys));
	if (!decode_auth_key(d, j, ""))
		return;
	if (!d->auth_keys[0].secret) {
		cc_unclear(d, "bad_answer", "auth_key: missing");
		return;
	}
	d->reply.auth_keys = d->auth_keys;
	d->reply.n_auth_keys = 1;
}

/* --- what the key is and may do --- */

/* The texts at key of the objects in a list, sanitised; what is none is left out. NULL: there is no such list. */
static char *texts_of(const struct json *j, const char *list_key, const char *key, const char *between,
		      bool words)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(LISTED_LEN_MAX);
	const struct json *list = NULL;

	if (json_get_arr(j, list_key, &list) != 1)
		return NULL;
	for (size_t i = 0; i < MIN(json_arr_len(list), (size_t)LISTED_MAX); i++) {
		const struct json *o = json_arr_at(list, i);
		const char *s = NULL;
		_cleanup_free_ char *line = NULL;

		if (json_type(o) != JSON_OBJECT || json_get_str(o, key, &s) != 1 || *s == '\0' ||
		    (words && !is_one_word(s, CC_WORD_MAX)))
			continue;
		line = cc_one_line(s, CC_WORD_MAX);
		strbuf_addf(&sb, "%s%s", sb.len ? between : "", line);
	}
	return strbuf_ok(&sb) ? strbuf_take(&sb) : NULL;
}

/* Only shown to a person: what is missing there is no reason to doubt the key. */
void cc_decode_user(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	d->reply.roles = d->roles = texts_of(j, "access_roles", "name", ", ", false);
}

void cc_decode_products(struct cc_decoded *d, enum cc_endpoint ep, const struct json *j)
{
	(void)ep;
	d->reply.products = d->products = texts_of(j, "products", "name_id", " ", true);
	if (!d->products)
		cc_unclear(d, "bad_answer", "products: not a list, or too long");
}
