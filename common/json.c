/* SPDX-License-Identifier: Apache-2.0 */
/* JSON behind a fence. json-c keeps the tree; neither its tokener nor its printer is used. A strict scan
 * in front of the tokener would have left two grammars that may disagree, and the tokener does not tell
 * an integer that it cut to the limit of int64 from one that was there. So the text is read here, once.
 *
 * struct json is json-c's struct json_object under another name; a JSON null is a NULL pointer, as in
 * json-c. */
#include "common/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* Both sides have an `enum json_type`. */
#define json_type json_c_type
#include <json-c/json_object.h>
#include <json-c/linkhash.h>
#undef json_type

#include "common/json_lex.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"

/* json-c's readers that cache inside the object take it without const; nobody sees the difference. */
static struct json_object *to_c(const struct json *j)
{
	return (struct json_object *)(uintptr_t)j;
}

static struct json *from_c(struct json_object *o)
{
	return (struct json *)(void *)o;
}

/* json-c reports memory that ran out; this program does not outlive that. */
static struct json_object *have(struct json_object *o)
{
	if (!o)
		abort();
	return o;
}

/* ---- parsing ---------------------------------------------------------------------------------- */

/* Reads tokens, counts the depth. */
struct parser {
	struct json_lex lex;
	unsigned depth;
};

static int parse_value(struct parser *p, struct json_object **ret);

static void json_object_putp(struct json_object **o)
{
	json_object_put(*o);
}

/* An integer outside int64 becomes a double that remembers its text: it may be passed over and written
 * back, but never be read as an integer. */
static int parse_number(struct parser *p, struct json_object **ret)
{
	struct json_number number = { 0 };
	int r = json_lex_number(&p->lex, &number);

	if (r < 0)
		return r;
	if (number.is_i64)
		*ret = have(json_object_new_int64(number.i64));
	else
		*ret = have(json_object_new_double_s(strtod(number.text, NULL), number.text));
	free(number.text);
	return 0;
}

static int parse_member(struct parser *p, struct json_object *obj)
{
	_cleanup_free_ char *key = NULL;
	struct json_object *val = NULL;
	int r;

	json_lex_skip_blanks(&p->lex);
	r = json_lex_string(&p->lex);
	if (r < 0)
		return r;
	/* json-c's table is hashed with a random seed, so this look-up cannot be made slow from outside. */
	if (json_object_object_get_ex(obj, strbuf_str(&p->lex.str), NULL))
		return json_lex_fail(&p->lex, "duplicate key");
	key = xstrdup(strbuf_str(&p->lex.str));
	json_lex_skip_blanks(&p->lex);
	if (!json_lex_accept(&p->lex, ':'))
		return json_lex_fail(&p->lex, "expected ':'");
	r = parse_value(p, &val);
	if (r < 0)
		return r;
	if (json_object_object_add_ex(obj, key, val, JSON_C_OBJECT_ADD_KEY_IS_NEW) < 0)
		abort();
	return 0;
}

static int parse_object(struct parser *p, struct json_object **ret)
{
	_cleanup_(json_object_putp) struct json_object *obj = have(json_object_new_object());

	p->lex.pos++;
	json_lex_skip_blanks(&p->lex);
	if (!json_lex_accept(&p->lex, '}')) {
		do {
			int r = parse_member(p, obj);

			if (r < 0)
				return r;
			json_lex_skip_blanks(&p->lex);
		} while (json_lex_accept(&p->lex, ','));
		if (!json_lex_accept(&p->lex, '}'))
			return json_lex_fail(&p->lex, "expected ',' or '}'");
	}
	*ret = TAKE_PTR(obj);
	return 0;
}

static int parse_array(struct parser *p, struct json_object **ret)
{
	_cleanup_(json_object_putp) struct json_object *arr = have(json_object_new_array());

	p->lex.pos++;
	json_lex_skip_blanks(&p->lex);
	if (!json_lex_accept(&p->lex, ']')) {
		do {
			struct json_object *val = NULL;
			int r = parse_value(p, &val);

			if (r < 0)
				return r;
			if (json_object_array_add(arr, val) < 0)
				abort();
			json_lex_skip_blanks(&p->lex);
		} while (json_lex_accept(&p->lex, ','));
		if (!json_lex_accept(&p->lex, ']'))
			return json_lex_fail(&p->lex, "expected ',' or ']'");
	}
	*ret = TAKE_PTR(arr);
	return 0;
}

static int parse_nested(struct parser *p, int c, struct json_object **ret)
{
	int r;

	if (p->depth == JSON_DEPTH_MAX)
		return json_lex_fail(&p->lex, "nested too deeply");
	p->depth++;
	r = c == '{' ? parse_object(p, ret) : parse_array(p, ret);
	p->depth--;
	return r;
}

/* Blanks before the value are skipped, blanks after it are not. */
static int parse_value(struct parser *p, struct json_object **ret)
{
	int c, r;

	json_lex_skip_blanks(&p->lex);
	c = json_lex_peek(&p->lex);
	switch (c) {
	case '{':
	case '[': return parse_nested(p, c, ret);
	case '"':
		r = json_lex_string(&p->lex);
		if (r == 0)
			*ret = have(json_object_new_string_len(strbuf_str(&p->lex.str), (int)p->lex.str.len));
		return r;
	case 't':
	case 'f':
		r = json_lex_word(&p->lex, c == 't' ? "true" : "false");
		if (r == 0)
			*ret = have(json_object_new_boolean(c == 't'));
		return r;
	case 'n': return json_lex_word(&p->lex, "null");
	case -1: return json_lex_fail(&p->lex, "unexpected end");
	default: return parse_number(p, ret);
	}
}

int json_parse(const char *text, size_t len, size_t cap, struct json **ret, struct err *reterr)
{
	_cleanup_(json_object_putp) struct json_object *root = NULL;
	struct parser p = { .lex = { .text = text, .len = len, .str = STRBUF_INIT(len), .reterr = reterr } };
	int r;

	/* json-c counts the bytes of a string in an int. */
	if (len > cap || len > INT_MAX)
		return err_set(reterr, -EFBIG, "JSON: larger than %zu bytes", cap);
	r = parse_value(&p, &root);
	if (r == 0) {
		json_lex_skip_blanks(&p.lex);
		if (p.lex.pos < p.lex.len)
			r = json_lex_fail(&p.lex, "something after the value");
	}
	strbuf_wipe(&p.lex.str);
	if (r < 0)
		return r;
	*ret = from_c(TAKE_PTR(root));
	return 0;
}

void json_free(struct json *j)
{
	json_object_put(to_c(j));
}

/* json-c hands its own buffer out; an overwritten string keeps its length. The depth is bounded by the parser. */
void json_wipe(struct json *j)
{
	struct json_object *o = to_c(j);
	struct lh_entry *e;

	if (json_type(j) == JSON_STRING)
		mem_wipe((void *)(uintptr_t)json_object_get_string(o), (size_t)json_object_get_string_len(o));
	for (size_t i = 0; i < json_arr_len(j); i++)
		json_wipe(from_c(json_object_array_get_idx(o, i)));
	if (json_type(j) != JSON_OBJECT)
		return;
	lh_foreach(json_object_get_object(o), e) json_wipe(from_c(lh_entry_v(e)));
}

/* ---- reading ---------------------------------------------------------------------------------- */

enum json_type json_type(const struct json *j)
{
	switch (json_object_get_type(to_c(j))) {
	case json_type_null: return JSON_NULL;
	case json_type_boolean: return JSON_BOOL;
	case json_type_double: return JSON_DOUBLE;
	case json_type_int: return JSON_INT;
	case json_type_object: return JSON_OBJECT;
	case json_type_array: return JSON_ARRAY;
	case json_type_string: return JSON_STRING;
	}
	return JSON_NULL;
}

const struct json *json_get(const struct json *j, const char *key)
{
	struct json_object *val = NULL;

	if (json_type(j) != JSON_OBJECT || !json_object_object_get_ex(to_c(j), key, &val))
		return NULL;
	return from_c(val);
}

/* The member with this type: 1, 0 when absent or null, -EBADMSG. */
static int get_typed(const struct json *j, const char *key, enum json_type type, const struct json **ret)
{
	const struct json *val = json_get(j, key);

	if (!val)
		return 0;
	if (json_type(val) != type)
		return -EBADMSG;
	*ret = val;
	return 1;
}

int json_get_str(const struct json *j, const char *key, const char **ret)
{
	const struct json *val = NULL;
	int r = get_typed(j, key, JSON_STRING, &val);

	if (r == 1)
		*ret = json_object_get_string(to_c(val));
	return r;
}

int json_get_i64(const struct json *j, const char *key, int64_t *ret)
{
	const struct json *val = json_get(j, key);

	if (!val)
		return 0;
	/* The parser makes a double of what int64 cannot hold. */
	if (json_type(val) != JSON_INT)
		return -EBADMSG;
	*ret = json_object_get_int64(to_c(val));
	return 1;
}

int json_get_bool(const struct json *j, const char *key, bool *ret)
{
	const struct json *val = NULL;
	int r = get_typed(j, key, JSON_BOOL, &val);

	if (r == 1)
		*ret = json_object_get_boolean(to_c(val));
	return r;
}

int json_get_obj(const struct json *j, const char *key, const struct json **ret)
{
	return get_typed(j, key, JSON_OBJECT, ret);
}

int json_get_arr(const struct json *j, const char *key, const struct json **ret)
{
	return get_typed(j, key, JSON_ARRAY, ret);
}

size_t json_arr_len(const struct json *j)
{
	return json_type(j) == JSON_ARRAY ? json_object_array_length(to_c(j)) : 0;
}

const struct json *json_arr_at(const struct json *j, size_t i)
{
	return i < json_arr_len(j) ? from_c(json_object_array_get_idx(to_c(j), i)) : NULL;
}

const char *json_str(const struct json *j)
{
	return json_type(j) == JSON_STRING ? json_object_get_string(to_c(j)) : NULL;
}

int json_each(const struct json *j, int (*fn)(const char *key, const struct json *val, void *arg), void *arg)
{
	struct lh_entry *e;

	if (json_type(j) != JSON_OBJECT)
		return 0;
	lh_foreach(json_object_get_object(to_c(j)), e)
	{
		int r = fn(lh_entry_k(e), from_c(lh_entry_v(e)), arg);

		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* NULL when s is UTF-8, else a copy that is. */
static char *repaired(const char *s)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(SIZE_MAX);
	size_t len = strlen(s);
	bool bad = false;

	for (size_t i = 0, n; i < len && !bad; i += n) {
		n = str_utf8_len(s + i, len - i);
		bad = n == 0;
	}
	if (!bad)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(s + i, len - i);

		if (n)
			strbuf_add(&sb, s + i, n);
		else
			strbuf_adds(&sb, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	return strbuf_take(&sb);
}

static struct json *new_str(const char *s)
{
	_cleanup_free_ char *copy = repaired(s);

	return from_c(have(json_object_new_string(copy ? copy : s)));
}

struct json *json_new_obj(void)
{
	return from_c(have(json_object_new_object()));
}

struct json *json_new_arr(void)
{
	return from_c(have(json_object_new_array()));
}

void json_set(struct json *obj, const char *key, struct json *val)
{
	_cleanup_free_ char *copy = repaired(key);

	assert(json_type(obj) == JSON_OBJECT && obj != val);
	if (json_object_object_add(to_c(obj), copy ? copy : key, to_c(val)) < 0)
		abort();
}

void json_set_str(struct json *obj, const char *key, const char *val)
{
	json_set(obj, key, val ? new_str(val) : NULL);
}

void json_set_i64(struct json *obj, const char *key, int64_t val)
{
	json_set(obj, key, from_c(have(json_object_new_int64(val))));
}

void json_set_bool(struct json *obj, const char *key, bool val)
{
	json_set(obj, key, from_c(have(json_object_new_boolean(val))));
}

void json_set_null(struct json *obj, const char *key)
{
	json_set(obj, key, NULL);
}

void json_add(struct json *arr, struct json *val)
{
	assert(json_type(arr) == JSON_ARRAY && arr != val);
	if (json_object_array_add(to_c(arr), to_c(val)) < 0)
		abort();
}

void json_add_str(struct json *arr, const char *val)
{
	json_add(arr, val ? new_str(val) : NULL);
}

void json_set_time(struct json *obj, const char *key, int64_t at)
{
	char buf[TIMEFMT_MAX];

	json_set_str(obj, key, at ? timefmt_rfc3339(at, buf) : NULL);
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* json-c's own printer leaves out what it finds no memory for, and says nothing: a request without one of its words, a record without
 * one of its members. Here memory that runs out ends the process. The text is what json-c writes,
 * but for {} and [], which stay on one line. */

static void write_escape(struct strbuf *sb, unsigned char c)
{
	static const char NAMED[] = "\"\\\b\f\n\r\t", LETTERS[] = "\"\\bfnrt";
	const char *at = c ? strchr(NAMED, c) : NULL;

	if (at) {
		strbuf_addc(sb, '\\');
		strbuf_addc(sb, LETTERS[at - NAMED]);
	} else {
		strbuf_addf(sb, "\\u%04x", c);
	}
}

static void write_text(struct strbuf *sb, const char *s, size_t len)
{
	size_t done = 0;

	strbuf_addc(sb, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		strbuf_add(sb, s + done, i - done);
		write_escape(sb, c);
		done = i + 1;
	}
	strbuf_add(sb, s + done, len - done);
	strbuf_addc(sb, '"');
}

/* level: how deep, or -1 for a text without white space. */
static void write_break(struct strbuf *sb, int level)
{
	if (level < 0)
		return;
	strbuf_addc(sb, '\n');
	for (int i = 0; i < level; i++)
		strbuf_adds(sb, "  ");
}

static void write_value(struct strbuf *sb, struct json_object *o, int level);

static void write_object(struct strbuf *sb, struct json_object *o, int level)
{
	int below = level < 0 ? level : level + 1;
	size_t n = 0;

	strbuf_addc(sb, '{');
	for (const struct lh_entry *e = lh_table_head(json_object_get_object(o)); e; e = e->next) {
		const char *key = e->k;

		if (n++ > 0)
			strbuf_addc(sb, ',');
		write_break(sb, below);
		write_text(sb, key, strlen(key));
		strbuf_adds(sb, level < 0 ? ":" : ": ");
		write_value(sb, lh_entry_v(e), below);
	}
	if (n > 0)
		write_break(sb, level);
	strbuf_addc(sb, '}');
}

static void write_array(struct strbuf *sb, struct json_object *o, int level)
{
	int below = level < 0 ? level : level + 1;
	size_t n = json_object_array_length(o);

	strbuf_addc(sb, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addc(sb, ',');
		write_break(sb, below);
		write_value(sb, json_object_array_get_idx(o, i), below);
	}
	if (n > 0)
		write_break(sb, level);
	strbuf_addc(sb, ']');
}

static void write_value(struct strbuf *sb, struct json_object *o, int level)
{
	switch (json_object_get_type(o)) {
	case json_type_null: strbuf_adds(sb, "null"); break;
	case json_type_boolean: strbuf_adds(sb, json_object_get_boolean(o) ? "true" : "false"); break;
	case json_type_int: strbuf_addf(sb, "%" PRId64, json_object_get_int64(o)); break;
	/* The text that the parser kept: there are no others. */
	case json_type_double: strbuf_adds(sb, json_object_get_userdata(o)); break;
	case json_type_string:
		write_text(sb, json_object_get_string(o), (size_t)json_object_get_string_len(o));
		break;
	case json_type_object: write_object(sb, o, level); break;
	case json_type_array: write_array(sb, o, level); break;
	}
}

void json_write(const struct json *j, unsigned flags, struct strbuf *sb)
{
	bool failed_before = sb->failed;
	size_t from = sb->len;

	sb->failed = false;
	write_value(sb, to_c(j), flags & JSON_PRETTY ? 0 : -1);
	if (sb->failed && sb->data) { /* all of it or nothing */
		sb->len = from;
		sb->data[from] = '\0';
	}
	sb->failed |= failed_before;
}
