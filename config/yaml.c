/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events to a tree. Events, not libyaml's documents: those resolve aliases (a few hundred bytes
 * can become gigabytes), let a duplicate key pass and build any depth before anybody can object. */
#include "config/yaml.h"

#include "common/mem.h"
#include "common/strbuf.h"

#include <errno.h>
#include <string.h>

#include <yaml.h>

struct yaml_frame {
	struct yaml_item *item;
	struct yaml_item *last; /* last element or key */
	struct yaml_item *key;	/* map: waits for its value */
	size_t n;
	bool drop; /* map: the value that comes belongs to a refused key */
};

struct yaml_builder {
	struct arena *arena;
	struct problems *problems;
	const char *file;
	const struct yaml_item *root;
	struct yaml_frame frames[YAML_DEPTH_MAX];
	size_t depth;
	size_t n_items;
	bool has_document;
};

/* Where the builder stands, "domains[3].dcv": the frames from the root, without the innermost when upto
 * leaves it out. */
static void yaml_path(const struct yaml_builder *b, size_t upto, struct strbuf *sb)
{
	for (size_t i = 0; i < upto; i++) {
		const struct yaml_frame *f = &b->frames[i];

		if (f->item->kind == YAML_KIND_LIST)
			strbuf_addf(sb, "[%zu]", f->n);
		else if (f->key)
			strbuf_addf(sb, "%s%.64s", sb->len ? "." : "", f->key->text);
	}
}

static void yaml_complain(struct yaml_builder *b, const yaml_mark_t *mark, const char *text)
{
	struct strbuf sb = STRBUF_INIT(256);
	struct cfg_pos pos = { b->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };

	yaml_path(b, b->depth, &sb);
	problems_add(b->problems, &pos, strbuf_str(&sb), "%s", text);
	strbuf_done(&sb);
}

static struct yaml_item *yaml_item_new(struct yaml_builder *b, enum yaml_kind kind, const yaml_mark_t *mark)
{
	struct yaml_item *it = arena_alloc(b->arena, sizeof(*it));

	it->kind = (unsigned)kind & 3u;
	it->line = (uint32_t)mark->line + 1;
	it->column = ((uint32_t)mark->column + 1) & 0xffffffu;
	b->n_items++;
	return it;
}

/* Hangs a finished value, or the key of a pair, below the innermost frame. */
static void yaml_attach(struct yaml_builder *b, struct yaml_item *it)
{
	struct yaml_frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;
	bool is_value = f && (f->key || f->drop);

	if (!f) {
		b->root = it;
	} else if (f->item->kind == YAML_KIND_MAP && is_value) {
		if (!f->drop)
			f->key->child = it;
		f->key = NULL;
		f->drop = false;
	} else {
		if (f->last)
			f->last->next = it;
		else
			f->item->child = it;
		f->last = it;
		if (f->item->kind == YAML_KIND_MAP)
			f->key = it;
		f->n++;
	}
}

/* True when the next node is a key of a map. */
static bool yaml_wants_key(const struct yaml_builder *b)
{
	const struct yaml_frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;

	return f && f->item->kind == YAML_KIND_MAP && !f->key && !f->drop;
}

static void yaml_check_decoration(struct yaml_builder *b, const yaml_event_t *ev, const yaml_char_t *anchor,
				  const yaml_char_t *tag)
{
	if (anchor)
		yaml_complain(b, &ev->start_mark,
			      "anchors (&) are not supported; write the value out, or use `defaults`");
	if (tag)
		yaml_complain(b, &ev->start_mark,
			      "tags (!) are not supported; a value that begins with \"!\" needs quotes");
}

static int yaml_on_scalar(struct yaml_builder *b, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct yaml_item *it = NULL;

	yaml_check_decoration(b, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
	if (yaml_wants_key(b) && plain && len == 2 && memcmp(text, "<<", 2) == 0) {
		yaml_complain(b, &ev->start_mark, "merge keys (<<) are not supported; use `defaults`");
		b->frames[b->depth - 1].drop = true;
		return 0;
	}
	if (memchr(text, '\0', len)) {
		yaml_complain(b, &ev->start_mark, "a NUL character (\\0) is not allowed");
		it = yaml_item_new(b, YAML_KIND_BAD, &ev->start_mark);
		it->text = "";
	} else {
		it = yaml_item_new(b, YAML_KIND_SCALAR, &ev->start_mark);
		it->text = len ? arena_strndup(b->arena, text, len) : "";
		it->plain = plain;
	}
	yaml_attach(b, it);
	return 0;
}

static int yaml_on_alias(struct yaml_builder *b, const yaml_event_t *ev)
{
	yaml_complain(b, &ev->start_mark,
		      "aliases (*) are not supported; a value that begins with \"*\" needs quotes: "
		      "\"*.example.jp\"");
	if (yaml_wants_key(b)) {
		b->frames[b->depth - 1].drop = true;
		return 0;
	}
	yaml_attach(b, yaml_item_new(b, YAML_KIND_BAD, &ev->start_mark));
	return 0;
}

static int yaml_on_open(struct yaml_builder *b, const yaml_event_t *ev, enum yaml_kind kind)
{
	struct yaml_item *it = NULL;

	if (yaml_wants_key(b)) {
		yaml_complain(b, &ev->start_mark, "a key must be a word, not a list or a mapping");
		return -EINVAL;
	}
	if (b->depth == YAML_DEPTH_MAX) {
		struct cfg_pos pos = { b->file, (uint32_t)ev->start_mark.line + 1,
				       (uint32_t)ev->start_mark.column + 1 };

		problems_add(b->problems, &pos, NULL, "nested deeper than %d levels", YAML_DEPTH_MAX);
		return -EINVAL;
	}
	it = yaml_item_new(b, kind, &ev->start_mark);
	b->frames[b->depth] = (struct yaml_frame){ .item = it };
	b->depth++;
	return 0;
}

static int yaml_compare_keys(const void *left, const void *right)
{
	const struct yaml_item *a = *(const struct yaml_item *const *)left;
	const struct yaml_item *b = *(const struct yaml_item *const *)right;
	int by_text = strcmp(a->text, b->text);

	if (by_text != 0)
		return by_text;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column < b->column ? -1 : a->column > b->column;
}

static void yaml_complain_twice(struct yaml_builder *b, const struct yaml_item *first,
				const struct yaml_item *again)
{
	struct strbuf sb = STRBUF_INIT(256);
	struct cfg_pos pos = { b->file, again->line, again->column };

	if (problems_full(b->problems))
		return;
	yaml_path(b, b->depth - 1, &sb);
	strbuf_addf(&sb, "%s%.64s", sb.len ? "." : "", again->text);
	problems_add(b->problems, &pos, strbuf_str(&sb),
		     "this key is here twice; the first one is at %s:%u:%u", b->file, first->line,
		     first->column);
	strbuf_done(&sb);
}

/* Sorting, not comparing all pairs: a file may hold a million keys in one map. */
static void yaml_check_keys(struct yaml_builder *b, const struct yaml_frame *f)
{
	const struct yaml_item *few[16] = { 0 };
	_cleanup_free_ const struct yaml_item **many = NULL;
	const struct yaml_item **keys = few;
	size_t n = 0;
	size_t first = 0;

	if (f->n < 2)
		return;
	if (f->n > ARRAY_SIZE(few))
		keys = many = xcalloc(f->n, sizeof(*many));
	for (const struct yaml_item *k = f->item->child; k && n < f->n; k = k->next)
		keys[n++] = k;
	qsort(keys, n, sizeof(*keys), yaml_compare_keys);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(keys[first]->text, keys[i]->text) == 0)
			yaml_complain_twice(b, keys[first], keys[i]);
		else
			first = i;
	}
}

static int yaml_on_close(struct yaml_builder *b)
{
	struct yaml_frame *f = &b->frames[b->depth - 1];
	struct yaml_item *it = f->item;

	if (it->kind == YAML_KIND_MAP)
		yaml_check_keys(b, f);
	b->depth--;
	yaml_attach(b, it);
	return 0;
}

static int yaml_on_document(struct yaml_builder *b, const yaml_event_t *ev)
{
	if (b->has_document) {
		yaml_complain(b, &ev->start_mark, "a second document (---) begins here; a file holds one");
		return -EINVAL;
	}
	b->has_document = true;
	return 0;
}

static int yaml_on_event(struct yaml_builder *b, const yaml_event_t *ev)
{
	if (b->n_items >= YAML_ITEMS_MAX) {
		yaml_complain(b, &ev->start_mark,
			      "too many values in one file; spread the domains over conf.d/*.yaml");
		return -EINVAL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT: return yaml_on_scalar(b, ev);
	case YAML_ALIAS_EVENT: return yaml_on_alias(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		yaml_check_decoration(b, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
		return yaml_on_open(b, ev, YAML_KIND_LIST);
	case YAML_MAPPING_START_EVENT:
		yaml_check_decoration(b, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		return yaml_on_open(b, ev, YAML_KIND_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: return yaml_on_close(b);
	case YAML_DOCUMENT_START_EVENT: return yaml_on_document(b, ev);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT: return 0;
	}
	return 0;
}

/* The reader knows byte offsets only. */
static void yaml_complain_bytes(struct yaml_builder *b, const yaml_parser_t *p, const char *text, size_t len)
{
	struct cfg_pos pos = { b->file, 1, 1 };
	size_t offset = MIN(p->problem_offset, len);

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			pos.line++;
			pos.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			pos.column++;
		}
	}
	if (p->problem && strstr(p->problem, "control characters"))
		problems_add(b->problems, &pos, NULL, "control character 0x%02x is not allowed",
			     (unsigned)p->problem_value);
	else
		problems_add(b->problems, &pos, NULL, "not UTF-8: %s",
			     p->problem ? p->problem : "unreadable byte");
}

/* True when the blanks at the beginning of a line (from 0) hold a tab; *ret is its column from 1. */
static bool yaml_tab_in_indent(const char *text, size_t len, size_t line, uint32_t *ret)
{
	size_t i = 0;
	uint32_t column = 1;

	for (size_t at = 0; at < line; at++) {
		const char *nl = memchr(text + i, '\n', len - i);

		if (!nl)
			return false;
		i = (size_t)(nl - text) + 1;
	}
	for (; i < len && (text[i] == ' ' || text[i] == '\t'); i++, column++) {
		if (text[i] == '\t') {
			*ret = column;
			return true;
		}
	}
	return false;
}

static void yaml_complain_syntax(struct yaml_builder *b, const yaml_parser_t *p, const char *text, size_t len)
{
	struct cfg_pos pos = { b->file, (uint32_t)p->problem_mark.line + 1,
			       (uint32_t)p->problem_mark.column + 1 };
	const char *what = p->problem ? p->problem : "malformed";
	uint32_t tab = 0;

	if (yaml_tab_in_indent(text, len, p->problem_mark.line, &tab)) {
		pos.column = tab;
		problems_add(b->problems, &pos, NULL, "a tab in the indentation; YAML takes blanks only");
	} else if (p->context && strstr(p->context, "alias")) {
		problems_add(b->problems, &pos, NULL,
			     "aliases (*) are not supported; a value that begins with \"*\" needs quotes: "
			     "\"*.example.jp\"");
	} else if (p->context && (p->context_mark.line != p->problem_mark.line ||
				  p->context_mark.column != p->problem_mark.column)) {
		problems_add(b->problems, &pos, NULL,
			     "not valid YAML: %s (%s that begins at line %zu, column %zu)", what, p->context,
			     p->context_mark.line + 1, p->context_mark.column + 1);
	} else {
		problems_add(b->problems, &pos, NULL, "not valid YAML: %s", what);
	}
}

static void yaml_complain_parser(struct yaml_builder *b, const yaml_parser_t *p, const char *text, size_t len)
{
	if (p->error == YAML_READER_ERROR)
		yaml_complain_bytes(b, p, text, len);
	else
		yaml_complain_syntax(b, p, text, len);
}

static int yaml_run(struct yaml_builder *b, yaml_parser_t *p, const char *text, size_t len)
{
	bool end = false;
	int r = 0;

	while (!end && r == 0) {
		yaml_event_t ev;

		if (!yaml_parser_parse(p, &ev)) {
			if (p->error == YAML_MEMORY_ERROR)
				abort(); /* see common/mem.h: no mistake of whoever wrote the file */
			yaml_complain_parser(b, p, text, len);
			return -EINVAL;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		r = yaml_on_event(b, &ev);
		yaml_event_delete(&ev);
	}
	return r;
}

int yaml_load(const char *text, size_t len, const char *file, struct arena *a, struct problems *problems,
	      const struct yaml_item **ret)
{
	struct yaml_builder b = { .arena = a, .problems = problems, .file = file };
	struct cfg_pos whole = { file, 0, 0 };
	yaml_parser_t p;
	int r = 0;

	if (len > CONFIG_FILE_MAX) {
		problems_add(problems, &whole, NULL,
			     "larger than %u MB; spread the domains over conf.d/*.yaml",
			     CONFIG_FILE_MAX >> 20);
		return -EINVAL;
	}
	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	r = yaml_run(&b, &p, text, len);
	yaml_parser_delete(&p);
	if (r < 0)
		return r;
	/* An empty document is one empty scalar. */
	*ret = b.root && yaml_is_null(b.root) && b.root->text[0] == '\0' ? NULL : b.root;
	return 0;
}

const struct yaml_item *yaml_get(const struct yaml_item *map, const char *key)
{
	if (!map || map->kind != YAML_KIND_MAP)
		return NULL;
	for (const struct yaml_item *k = map->child; k; k = k->next)
		if (strcmp(k->text, key) == 0)
			return k->child;
	return NULL;
}

static bool yaml_is_one_of(const struct yaml_item *item, const char *const *words, size_t n)
{
	if (!item || item->kind != YAML_KIND_SCALAR || !item->plain)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(item->text, words[i]) == 0)
			return true;
	return false;
}

bool yaml_is_null(const struct yaml_item *item)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	return yaml_is_one_of(item, words, ARRAY_SIZE(words));
}

bool yaml_is_bool(const struct yaml_item *item, bool *ret)
{
	static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON" };
	static const char *const no[] = { "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF" };

	if (yaml_is_one_of(item, yes, ARRAY_SIZE(yes))) {
		*ret = true;
		return true;
	}
	if (yaml_is_one_of(item, no, ARRAY_SIZE(no))) {
		*ret = false;
		return true;
	}
	return false;
}
