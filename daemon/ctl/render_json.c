/* SPDX-License-Identifier: Apache-2.0 */
/* An answer as JSON for scripts. Written here rather than by common/json.c, because a member has to go and values cannot
 * be taken out of a parsed document. */
#include "daemon/ctl/render.h"

#include <string.h>

#define KEY_MAX 65536u

struct json_walk {
	struct strbuf *sb;
	int depth;
	bool first;
};

static void walk_value(const struct json *v, int depth, struct strbuf *sb);

static void walk_separator(struct json_walk *w)
{
	strbuf_adds(w->sb, w->first ? "\n" : ",\n");
	w->first = false;
	strbuf_addf(w->sb, "%*s", 2 * (w->depth + 1), "");
}

/* The key as a JSON string: what the writer makes of a list of one, without the brackets. */
static void walk_key(const char *key, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *list = json_new_arr();
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT(KEY_MAX);
	json_add_str(list, key);
	json_write(list, 0, &text);
	const char *s = strbuf_str(&text), *from = strchr(s, '"'), *to = strrchr(s, '"');
	if (from && to > from)
		strbuf_add(sb, from, (size_t)(to - from) + 1);
}

static int walk_member(const char *key, const struct json *val, void *arg)
{
	struct json_walk *w = arg;
	if (w->depth == 0 && strcmp(key, "ok") == 0)
		return 0;
	walk_separator(w);
	walk_key(key, w->sb);
	strbuf_adds(w->sb, ": ");
	walk_value(val, w->depth + 1, w->sb);
	return 0;
}

static void walk_list(const struct json *v, struct json_walk *w)
{
	for (size_t i = 0; i < json_arr_len(v); i++) {
		walk_separator(w);
		walk_value(json_arr_at(v, i), w->depth + 1, w->sb);
	}
}

/* Recursion is bounded by JSON_DEPTH_MAX, which the parser has enforced. */
static void walk_value(const struct json *v, int depth, struct strbuf *sb)
{
	struct json_walk w = { .sb = sb, .depth = depth, .first = true };
	bool object = json_type(v) == JSON_OBJECT, list = json_type(v) == JSON_ARRAY;
	if (!object && !list) {
		json_write(v, 0, sb);
		return;
	}
	strbuf_addc(sb, object ? '{' : '[');
	if (object)
		(void)json_each(v, walk_member, &w);
	else
		walk_list(v, &w);
	if (!w.first)
		strbuf_addf(sb, "\n%*s", 2 * depth, "");
	strbuf_addc(sb, object ? '}' : ']');
}

void render_json(const struct json *answer, struct strbuf *sb)
{
	walk_value(answer, 0, sb);
	strbuf_addc(sb, '\n');
}
