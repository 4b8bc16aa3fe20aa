/* SPDX-License-Identifier: Apache-2.0 */
/* JSON behind a fence: json.c is the only file that includes json-c. The fence exists because json-c
 * saturates large integers silently, converts "7" and true to integers, lets a duplicate key win and
 * accepts single quotes even in strict mode. Here: RFC 8259 only, depth 16, a byte cap, duplicate
 * keys refused, no embedded NUL in strings, nothing after the value, and no conversion between types.
 * An integer outside int64 counts as JSON_DOUBLE and keeps its text. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/strbuf.h"

struct json; /* a value; children are borrowed from their parent */

#define JSON_DEPTH_MAX 16

/* Parses len bytes (at most cap). -EBADMSG, its text names the offset; -EFBIG. *ret is owned by the caller;
 * the text "null" gives NULL and 0. */
int json_parse(const char *text, size_t len, size_t cap, struct json **ret, struct err *reterr) _must_check_;
void json_free(struct json *j);
DEFINE_CLEANUP(struct json *, json_free)
/* Overwrites the text of every string in j (not the keys of members): for answers that hold a secret. */
void json_wipe(struct json *j);

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum json_type json_type(const struct json *j); /* NULL counts as JSON_NULL */

/* Reading. Getters return 1 and set *ret when the key is there with this type, 0 when it is absent or
 * null, -EBADMSG when it has another type (or, for i64, a value outside int64). j may be NULL (0). */
int json_get_str(const struct json *j, const char *key, const char **ret) _must_check_;
int json_get_i64(const struct json *j, const char *key, int64_t *ret) _must_check_;
int json_get_bool(const struct json *j, const char *key, bool *ret) _must_check_;
int json_get_obj(const struct json *j, const char *key, const struct json **ret) _must_check_;
int json_get_arr(const struct json *j, const char *key, const struct json **ret) _must_check_;
/* Whatever its type; NULL when absent. */
const struct json *json_get(const struct json *j, const char *key);
size_t json_arr_len(const struct json *j);			/* 0 when not an array */
const struct json *json_arr_at(const struct json *j, size_t i); /* NULL out of range */
const char *json_str(const struct json *j);			/* NULL when not a string */
/* Calls fn for every member in order of appearance; stops when fn returns non-zero and returns that. */
int json_each(const struct json *j, int (*fn)(const char *key, const struct json *val, void *arg), void *arg);

/* Reading by table: one row per field. Strings are copied into `char *` (caller frees), numbers into
 * int64_t, booleans into bool, objects and arrays are borrowed into `const struct json *`. Fields that
 * are absent leave the target alone. Unknown members are ignored unless JSON_PICK_STRICT.
 * A string that is in the target already is freed when it is replaced, so the target starts initialised. */
enum json_want { JSON_WANT_STR, JSON_WANT_I64, JSON_WANT_BOOL, JSON_WANT_OBJ, JSON_WANT_ARR };
enum { JSON_REQUIRED = 1, JSON_PICK_STRICT = 2 };
struct json_field {
	const char *key;
	enum json_want want;
	size_t offset;
	unsigned flags; /* JSON_REQUIRED */
};
/* 0, or -EBADMSG with a text that names the path ("orders[2].order_id: ...", path may be ""). Fields
 * picked before the failure keep their values: free the target as a whole. */
int json_pick(const struct json *j, const char *path, const struct json_field *fields, size_t n_fields,
	      unsigned flags, void *target, struct err *reterr) _must_check_;

/* Writing. Strings must be UTF-8; invalid bytes are replaced by U+FFFD. */
struct json *json_new_obj(void);
struct json *json_new_arr(void);
void json_set_str(struct json *obj, const char *key, const char *val); /* NULL val writes null */
void json_set_i64(struct json *obj, const char *key, int64_t val);
void json_set_bool(struct json *obj, const char *key, bool val);
void json_set_null(struct json *obj, const char *key);
void json_set(struct json *obj, const char *key, struct json *val); /* takes val */
void json_add(struct json *arr, struct json *val);		    /* takes val */
void json_add_str(struct json *arr, const char *val);
/* "2026-11-21T08:00:00Z", or null when at is 0. */
void json_set_time(struct json *obj, const char *key, int64_t at);

enum { JSON_PRETTY = 1 };
/* Appends the text (slashes not escaped, no final newline), or nothing where it would pass the cap. */
void json_write(const struct json *j, unsigned flags, struct strbuf *sb);
