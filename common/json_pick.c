/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an object by a table of fields. Uses the getters of json.h only, and names every failure by
 * its path, because the person who reads it sees the text and not our tables. */
#include "common/json.h"

#include <errno.h>
#include <string.h>

#include "common/mem.h"

static const char *want_name(enum json_want want)
{
	switch (want) {
	case JSON_WANT_STR: return "a string";
	case JSON_WANT_I64: return "a 64-bit integer";
	case JSON_WANT_BOOL: return "true or false";
	case JSON_WANT_OBJ: return "an object";
	case JSON_WANT_ARR: return "an array";
	}
	return "?";
}

static int pick_field(const struct json *j, const struct json_field *f, void *target)
{
	void *at = (char *)target + f->offset;
	const char *s = NULL;
	char **owned = at;
	int r;

	switch (f->want) {
	case JSON_WANT_STR:
		r = json_get_str(j, f->key, &s);
		if (r == 1) {
			free(*owned);
			*owned = xstrdup(s);
		}
		return r;
	case JSON_WANT_I64: return json_get_i64(j, f->key, at);
	case JSON_WANT_BOOL: return json_get_bool(j, f->key, at);
	case JSON_WANT_OBJ: return json_get_obj(j, f->key, at);
	case JSON_WANT_ARR: return json_get_arr(j, f->key, at);
	}
	return -EINVAL;
}

static int complain(const char *path, const char *key, const char *what, const char *arg, struct err *reterr)
{
	return err_set(reterr, -EBADMSG, "%s%s%s: %s%s", path, *path ? "." : "", key, what, arg);
}

struct known {
	const struct json_field *fields;
	size_t n_fields;
	const char *stranger; /* first key that no field has */
};

static int find_stranger(const char *key, const struct json *val, void *arg)
{
	struct known *known = arg;

	(void)val;
	for (size_t i = 0; i < known->n_fields; i++)
		if (strcmp(known->fields[i].key, key) == 0)
			return 0;
	known->stranger = key;
	return 1;
}

int json_pick(const struct json *j, const char *path, const struct json_field *fields, size_t n_fields,
	      unsigned flags, void *target, struct err *reterr)
{
	struct known known = { .fields = fields, .n_fields = n_fields };

	if (json_type(j) != JSON_OBJECT)
		return err_set(reterr, -EBADMSG, "%s%sexpected an object", path, *path ? ": " : "");
	for (size_t i = 0; i < n_fields; i++) {
		int r = pick_field(j, &fields[i], target);

		if (r < 0)
			return complain(path, fields[i].key, "expected ", want_name(fields[i].want), reterr);
		if (r == 0 && (fields[i].flags & JSON_REQUIRED))
			return complain(path, fields[i].key, "missing", "", reterr);
	}
	if ((flags & JSON_PICK_STRICT) && json_each(j, find_stranger, &known) != 0)
		return complain(path, known.stranger, "unknown field", "", reterr);
	return 0;
}
