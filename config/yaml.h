/* SPDX-License-Identifier: Apache-2.0 */
/* YAML 1.1 text to a tree that knows where everything stood. The only file that includes libyaml is
 * yaml.c; nothing of libyaml shows here.
 *
 * Narrower than YAML on purpose: UTF-8, one document, at most YAML_DEPTH_MAX levels, no anchors, aliases,
 * tags and merge keys, no key twice. What is refused is a problem with its place; reading goes on where
 * it can, so that the operator sees everything at once. */
#pragma once

#include "config/arena.h"
#include "config/problems.h"

#define YAML_DEPTH_MAX 16
#define YAML_ITEMS_MAX (2u << 20)

enum yaml_kind {
	YAML_KIND_BAD, /* refused and reported already: say nothing more about it */
	YAML_KIND_SCALAR,
	YAML_KIND_LIST,
	YAML_KIND_MAP
};

struct yaml_item {
	const char *text;	       /* scalar or key; no NUL inside */
	const struct yaml_item *child; /* list: first element; map: first key; key: its value */
	const struct yaml_item *next;  /* next element or key */
	uint32_t line;		       /* from 1 */
	uint32_t column : 24;	       /* from 1, in characters */
	uint32_t kind : 2;	       /* enum yaml_kind */
	uint32_t plain : 1;	       /* scalar without quotes: may be a boolean, a number or null */
};

/* Parses len bytes (at most CONFIG_FILE_MAX) into a, which owns the tree. 0 and *ret (NULL when the text
 * holds nothing but comments), or -EINVAL when it had to stop; see problems either way. file is for
 * messages and must outlive problems. */
int yaml_load(const char *text, size_t len, const char *file, struct arena *a, struct problems *problems,
	      const struct yaml_item **ret) _must_check_;

/* The value of key in a map; NULL when absent or map is NULL. */
const struct yaml_item *yaml_get(const struct yaml_item *map, const char *key);

/* True for an empty value, `~` and `null`, unquoted. */
bool yaml_is_null(const struct yaml_item *item);

/* YAML 1.1's boolean words, unquoted (y and n alone are not taken: they are more often a mistake). */
bool yaml_is_bool(const struct yaml_item *item, bool *ret);
