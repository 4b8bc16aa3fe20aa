/* SPDX-License-Identifier: Apache-2.0 */
/* The engine behind the rows. It goes on after a problem, so that one run shows all of them, and it knows
 * nothing of single options. */
#include "config/table.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define TEXT_MAX 4096

static void path_add(const struct opt_path *path, struct strbuf *sb)
{
	if (path->up)
		path_add(path->up, sb);
	if (path->key)
		strbuf_addf(sb, "%s%.64s", sb->len ? "." : "", path->key);
	else
		strbuf_addf(sb, "[%zu]", path->index);
}

const char *opt_path_format(const struct opt_path *path, char buf[OPT_PATH_MAX])
{
	struct strbuf sb = STRBUF_INIT(OPT_PATH_MAX - 1);

	if (path)
		path_add(path, &sb);
	memcpy(buf, strbuf_str(&sb), sb.len + 1);
	strbuf_done(&sb);
	return buf;
}

struct cfg_pos reader_pos(const struct reader *r, const struct yaml_item *item)
{
	return (struct cfg_pos){ r->file, item ? item->line : 0, item ? item->column : 0 };
}

void reader_problem(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *fmt, ...)
{
	struct cfg_pos pos = reader_pos(r, item);
	char where[OPT_PATH_MAX];
	char text[768];
	va_list ap;

	if ((item && item->kind == YAML_KIND_BAD) || problems_full(r->problems))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	problems_add(r->problems, &pos, opt_path_format(path, where), "%s", text);
}

const char *reader_keep(struct reader *r, const char *s)
{
	const char **slot = &r->cache[str_hash(s) % READER_CACHE];

	if (!*slot || strcmp(*slot, s) != 0)
		*slot = arena_strdup(r->arena, s);
	return *slot;
}

/* ------------------------------------------------------------------ scalars */

static const char *kind_name(const struct yaml_item *item)
{
	return item->kind == YAML_KIND_LIST ? "a list" : "a mapping";
}

const char *reader_text(struct reader *r, const struct yaml_item *item, const struct opt_path *path)
{
	size_t len = 0;

	if (item->kind != YAML_KIND_SCALAR) {
		reader_problem(r, item, path, "must be a single value, not %s", kind_name(item));
		return NULL;
	}
	if (yaml_is_null(item)) {
		reader_problem(r, item, path, "has no value");
		return NULL;
	}
	len = strlen(item->text);
	if (len == 0) {
		reader_problem(r, item, path, "must not be empty");
		return NULL;
	}
	if (len > TEXT_MAX) {
		reader_problem(r, item, path, "is too long (%zu bytes; at most %d)", len, TEXT_MAX);
		return NULL;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)item->text[i] < 0x20 || item->text[i] == 0x7f) {
			reader_problem(r, item, path, "contains a line break, tab or control character");
			return NULL;
		}
	}
	return item->text;
}

bool reader_list(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		 const struct yaml_item **ret)
{
	*ret = NULL;
	if (item->kind == YAML_KIND_LIST) {
		*ret = item->child;
		return true;
	}
	if (yaml_is_null(item))
		return true;
	if (item->kind == YAML_KIND_SCALAR)
		reader_problem(r, item, path, "must be a list; write [%.100s]", item->text);
	else
		reader_problem(r, item, path, "must be a list; begin each element with \"- \"");
	return false;
}

const char *reader_checked(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
			   const char *text, value_fn *check)
{
	_cleanup_free_ char *final = NULL;
	struct err err = ERR_INIT;

	if (check && check(text, &final, &err) < 0) {
		reader_problem(r, item, path, "%s", err.text);
		return NULL;
	}
	return reader_keep(r, final ? final : text);
}

static bool read_text(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		      const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	const char *kept = text ? reader_checked(r, item, path, text, row->check) : NULL;

	if (kept)
		*(const char **)field = kept;
	return kept != NULL;
}

static bool read_int(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		     const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	uint64_t n = 0;

	if (!text)
		return false;
	/* "010" is 8 in YAML 1.1 and 10 to everybody else. */
	if (!item->plain || str_parse_u64(text, &n) < 0 || (text[0] == '0' && text[1] != '\0')) {
		reader_problem(r, item, path, "must be a whole number from %lld to %lld%s%s, not \"%.100s\"",
			       (long long)row->min, (long long)row->max, row->unit ? " " : "",
			       row->unit ? row->unit : "", text);
		return false;
	}
	if (n < (uint64_t)row->min || n > (uint64_t)row->max) {
		reader_problem(r, item, path, "must be from %lld to %lld%s%s, not %.40s", (long long)row->min,
			       (long long)row->max, row->unit ? " " : "", row->unit ? row->unit : "", text);
		return false;
	}
	*(int64_t *)field = (int64_t)n;
	return true;
}

static bool read_bool(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		      void *field)
{
	const char *text = reader_text(r, item, path);

	if (!text)
		return false;
	if (!yaml_is_bool(item, field)) {
		reader_problem(r, item, path, "must be true or false, without quotes, not \"%.100s\"", text);
		return false;
	}
	return true;
}

static void complain_range(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
			   const struct opt_path *path)
{
	char min[STR_DURATION_MAX];
	char max[STR_DURATION_MAX];

	if (row->max)
		reader_problem(r, item, path, "must be from %s to %s, not %.40s",
			       str_format_duration(row->min, min), str_format_duration(row->max, max),
			       item->text);
	else
		reader_problem(r, item, path, "must be at least %s, not %.40s",
			       str_format_duration(row->min, min), item->text);
}

static bool read_duration(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
			  const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	int64_t s = 0;
	uint64_t plain = 0;

	if (!text)
		return false;
	if ((row->flags & OPT_AUTO) && strcmp(text, "auto") == 0) {
		*(int64_t *)field = 0;
		return true;
	}
	if (str_parse_duration(text, &s) < 0) {
		reader_problem(r, item, path, "\"%.100s\" is not a duration; write %s90s, 15m, 12h or 32d%s",
			       text, row->flags & OPT_AUTO ? "auto, " : "",
			       str_parse_u64(text, &plain) == 0 ? " (the unit is missing)" : "");
		return false;
	}
	if (s < row->min || (row->max && s > row->max)) {
		complain_range(r, row, item, path);
		return false;
	}
	*(int64_t *)field = s;
	return true;
}

static size_t count_words(const char *const *words)
{
	size_t n = 0;

	while (words && words[n])
		n++;
	return n;
}

static void complain_word(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
			  const struct opt_path *path)
{
	size_t n = count_words(row->words);
	const char *meant = str_suggest(item->text, row->words, n);
	struct strbuf sb = STRBUF_INIT(256);

	for (size_t i = 0; i < n; i++)
		strbuf_addf(&sb, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", row->words[i]);
	if (meant)
		reader_problem(r, item, path, "no such %s \"%.100s\" (did you mean \"%s\"?)", row->name,
			       item->text, meant);
	else
		reader_problem(r, item, path, "no such %s \"%.100s\"; write %s", row->name, item->text,
			       strbuf_str(&sb));
	strbuf_done(&sb);
}

static bool read_word(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		      const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	const int none = -1;

	/* So that nobody goes on with the default: what follows from it would not be what was meant. */
	memcpy(field, &none, sizeof(none));
	if (!text)
		return false;
	for (size_t i = 0; row->words[i]; i++) {
		int index = (int)i;

		if (strcmp(text, row->words[i]) == 0) {
			memcpy(field, &index, sizeof(index));
			return true;
		}
	}
	complain_word(r, row, item, path);
	return false;
}

static bool read_secret(struct reader *r, enum secret_kind kind, const struct yaml_item *item,
			const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	struct err err = ERR_INIT;

	if (!text)
		return false;
	if (!r->secrets)
		return true;
	if (secrets_load(r->secrets, text, kind, field, &err) < 0) {
		reader_problem(r, item, path, "%s", err.text);
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------ maps */

static bool read_map(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		     const struct opt_path *path, void *field)
{
	table_defaults(r, row->sub, field);
	return table_read(r, row->sub, item, path, field);
}

bool table_read_row(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field)
{
	size_t before = r->problems->total;

	if (item->kind == YAML_KIND_BAD)
		return false;
	switch (row->type) {
	case OPT_TEXT: return read_text(r, row, item, path, field);
	case OPT_INT: return read_int(r, row, item, path, field);
	case OPT_BOOL: return read_bool(r, item, path, field);
	case OPT_DURATION: return read_duration(r, row, item, path, field);
	case OPT_WORD: return read_word(r, row, item, path, field);
	case OPT_API_KEY: return read_secret(r, SECRET_API_KEY, item, path, field);
	case OPT_PASSPHRASE: return read_secret(r, SECRET_PASSPHRASE, item, path, field);
	case OPT_MAP: return read_map(r, row, item, path, field);
	case OPT_CUSTOM: row->read(r, row, item, path, field); return r->problems->total == before;
	case OPT_LATER: *(const struct yaml_item **)field = item; return true;
	}
	return false;
}

static void clear_field(const struct opt_row *row, void *field)
{
	if (row->type == OPT_TEXT)
		*(const char **)field = NULL;
	else if (row->type == OPT_API_KEY || row->type == OPT_PASSPHRASE)
		*(struct secret **)field = NULL;
}

void table_defaults(struct reader *r, const struct opt_table *t, void *target)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct opt_row *row = &t->rows[i];
		struct yaml_item item = { .text = row->def, .kind = YAML_KIND_SCALAR, .plain = 1 };
		void *field = (char *)target + row->offset;

		if (row->type == OPT_MAP)
			table_defaults(r, row->sub, field);
		else if (!row->def && row->type == OPT_CUSTOM)
			row->read(r, row, NULL, NULL, field);
		else if (!row->def || (row->flags & OPT_FROM_ENV))
			clear_field(row, field);
		else if (row->type == OPT_TEXT)
			*(const char **)field = row->def; /* shared by all, and final */
		else
			(void)table_read_row(r, row, &item, NULL, field);
	}
}

static void complain_unknown(struct reader *r, const struct opt_table *t, const struct yaml_item *key,
			     const struct opt_path *path)
{
	const char *names[32] = { 0 };
	const char *meant = NULL;
	size_t n = MIN(t->n_rows, ARRAY_SIZE(names));
	struct strbuf sb = STRBUF_INIT(400);

	if (problems_full(r->problems))
		return;
	for (size_t i = 0; i < n; i++) {
		names[i] = t->rows[i].name;
		strbuf_addf(&sb, "%s%s", i ? ", " : "", names[i]);
	}
	meant = str_suggest(key->text, names, n);
	if (meant)
		reader_problem(r, key, path, "unknown key (did you mean \"%s\"?)", meant);
	else
		reader_problem(r, key, path, "unknown key; known here: %s", strbuf_str(&sb));
	strbuf_done(&sb);
}

static const struct opt_row *find_row(const struct opt_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_rows; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return &t->rows[i];
	return NULL;
}

static bool read_pairs(struct reader *r, const struct opt_table *t, const struct yaml_item *map,
		       const struct opt_path *path, void *target, uint64_t *ret_seen)
{
	bool ok = true;

	for (const struct yaml_item *k = map->child; k; k = k->next) {
		struct opt_path here = { path, k->text, 0 };
		const struct opt_row *row = k->kind == YAML_KIND_BAD ? NULL : find_row(t, k->text);
		uint64_t bit = row ? UINT64_C(1) << (row - t->rows) : 0;

		if (k->kind == YAML_KIND_BAD || !k->child) {
			ok = false;
		} else if (!row) {
			complain_unknown(r, t, k, &here);
			ok = false;
		} else if (!(*ret_seen & bit)) { /* a second one was reported by the parser */
			*ret_seen |= bit;
			ok = table_read_row(r, row, k->child, &here, (char *)target + row->offset) && ok;
		}
	}
	return ok;
}

bool table_read(struct reader *r, const struct opt_table *t, const struct yaml_item *map,
		const struct opt_path *path, void *target)
{
	uint64_t seen = 0;
	bool ok = true;

	if (map->kind == YAML_KIND_BAD)
		return false;
	if (map->kind != YAML_KIND_MAP && !yaml_is_null(map)) {
		reader_problem(r, map, path, "must be a mapping (\"key: value\"), not %s",
			       map->kind == YAML_KIND_LIST ? "a list" : "a single value");
		return false;
	}
	if (map->kind == YAML_KIND_MAP)
		ok = read_pairs(r, t, map, path, target, &seen);
	for (size_t i = 0; i < t->n_rows; i++) {
		struct opt_path here = { path, t->rows[i].name, 0 };

		if (!(t->rows[i].flags & OPT_REQUIRED) || (seen & (UINT64_C(1) << i)))
			continue;
		reader_problem(r, map, &here, "is missing: %s", t->rows[i].doc);
		ok = false;
	}
	if (ok && t->check) {
		size_t before = r->problems->total;

		t->check(r, map, path, target);
		ok = r->problems->total == before;
	}
	return ok;
}
