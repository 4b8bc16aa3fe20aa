/* SPDX-License-Identifier: Apache-2.0 */
/* `deploy`: where a certificate is taken to. A list may stand in `defaults` and serve every domain, so a target is read once and gets what
 * depends on the names of a domain at the end; as long as nothing does, all domains share one list. */
#include "config/raw.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "config/names.h"

#include <limits.h>
#include <string.h>

#define TARGETS_MAX 32

const char *cfg_deploy_type_name(enum cfg_deploy_type t)
{
	switch (t) {
	case CFG_DEPLOY_FILES: return "files";
	case CFG_DEPLOY_RELOAD: return "reload";
	case CFG_DEPLOY_EXEC: return "exec";
	case CFG_DEPLOY_VERIFY: return "verify";
	case CFG_DEPLOY_SCUTUM: return "scutum";
	case CFG_DEPLOY_NR: break;
	}
	return "?";
}

const char *cfg_copy_name(enum cfg_copy c)
{
	switch (c) {
	case CFG_COPY_BUNDLE: return "bundle";
	case CFG_COPY_CERT: return "cert";
	case CFG_COPY_CHAIN: return "chain";
	case CFG_COPY_FULLCHAIN: return "fullchain";
	case CFG_COPY_KEY: return "key";
	case CFG_COPY_NR: break;
	}
	return "?";
}

/* A key that everybody may read is no secret, and nothing of it is a program. */
#define MODE_ALLOWED 0660u

void read_mode(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
	       const struct opt_path *path, void *field)
{
	const char *text = reader_text(r, item, path);
	unsigned mode = 0;

	(void)row;
	if (!text)
		return;
	for (const char *c = text; *c; c++)
		mode = *c >= '0' && *c <= '7' && mode <= 07777 ? mode * 8 + (unsigned)(*c - '0') : 010000;
	if (text[0] == '\0' || (mode & ~MODE_ALLOWED) != 0 || (mode & 0400) == 0)
		reader_problem(r, item, path,
			       "must be the permissions of a private key in octal, such as \"0640\": its "
			       "owner reads it, "
			       "nobody outside its group does; not \"%.100s\"",
			       text);
	else
		*(uint32_t *)field = mode;
}

/* ------------------------------------------------------------------ one target */

static bool read_target(struct reader *r, const struct opt_table *t, const struct yaml_item *el,
			const struct opt_path *path, struct cfg_deploy *ret)
{
	struct raw_target raw = { 0 };
	unsigned n = 0;

	if (!table_read(r, t, el, path, &raw))
		return false;
	for (unsigned i = 0; i < CFG_DEPLOY_NR; i++) {
		if (yaml_get(el, cfg_deploy_type_name(i))) {
			ret->type = (enum cfg_deploy_type)i;
			n++;
		}
	}
	if (n != 1) {
		reader_problem(
			r, el, path,
			n == 0 ? "must name a target: files, reload, exec, verify or scutum, such as "
				 "reload: {unit: nginx.service}"
			       : "names %u targets; each is an element of the list, with a \"-\" of its own",
			n);
		return false;
	}
	switch (ret->type) {
	case CFG_DEPLOY_FILES: ret->files = raw.files; break;
	case CFG_DEPLOY_RELOAD: ret->reload = raw.reload; break;
	case CFG_DEPLOY_EXEC: ret->exec = raw.exec; break;
	case CFG_DEPLOY_VERIFY: ret->verify = raw.verify; break;
	case CFG_DEPLOY_SCUTUM: ret->scutum = raw.scutum; break;
	case CFG_DEPLOY_NR: break;
	}
	return true;
}

/* What a target is about: the part of its name behind the colon. NULL: nothing, the type says it all. */
static const char *main_value(const struct cfg_deploy *t)
{
	switch (t->type) {
	case CFG_DEPLOY_FILES:
		for (unsigned i = 0; i < CFG_COPY_NR; i++)
			if (t->files.paths[i])
				return t->files.paths[i];
		return NULL;
	case CFG_DEPLOY_RELOAD: return t->reload.unit;
	case CFG_DEPLOY_EXEC: return t->exec.command[0];
	case CFG_DEPLOY_VERIFY: return t->verify.connect;
	case CFG_DEPLOY_SCUTUM: return t->scutum.host;
	case CFG_DEPLOY_NR: break;
	}
	return NULL;
}

static const char *full_name(struct arena *arena, const struct cfg_deploy *t, unsigned nth)
{
	const char *value = main_value(t);
	_cleanup_free_ char *name =
		xasprintf("%s%s%s", cfg_deploy_type_name(t->type), value ? ":" : "", value ? value : "");
	_cleanup_free_ char *numbered = nth > 1 ? xasprintf("%s#%u", name, nth) : NULL;

	return arena_strdup(arena, numbered ? numbered : name);
}

/* All of them get their names, the second one of a name a number. */
static void name_targets(struct arena *arena, struct cfg_deploy *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *value = main_value(&list[i]);
		unsigned nth = 1;

		for (uint32_t k = 0; k < i; k++) {
			const char *other = main_value(&list[k]);

			if (list[k].type == list[i].type &&
			    (value == other || (value && other && strcmp(value, other) == 0)))
				nth++;
		}
		list[i].target = full_name(arena, &list[i], nth);
	}
}

/* ------------------------------------------------------------------ a list of them */

/* A second push or reload of the same thing is a slip of the pen, and would be done for nothing. */
static bool must_be_once(const struct cfg_deploy *t)
{
	return t->type == CFG_DEPLOY_RELOAD || t->type == CFG_DEPLOY_SCUTUM;
}

static void complain_twice(struct reader *r, const struct yaml_item *el, const struct opt_path *path,
			   const struct cfg_deploy *t, const struct yaml_item *first)
{
	reader_problem(r, el, path, "target \"%s:%s\" is here twice; the first one is at %s:%u:%u",
		       cfg_deploy_type_name(t->type), main_value(t), r->file, first->line, first->column);
}

static const char *const PLACEHOLDER = "{name}";

/* Does it need to know its domain? */
static bool is_open(const struct cfg_deploy *t)
{
	if (t->type == CFG_DEPLOY_VERIFY)
		return !t->verify.server_name || !t->verify.connect;
	for (unsigned i = 0; t->type == CFG_DEPLOY_FILES && i < CFG_COPY_NR; i++)
		if (t->files.paths[i] && strstr(t->files.paths[i], PLACEHOLDER))
			return true;
	return false;
}

static bool any_is_open(const struct cfg_deploy *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (is_open(&list[i]))
			return true;
	return false;
}

void read_deploy(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		 const struct opt_path *path, void *field)
{
	struct raw_domain *d = field;
	struct cfg_deploy found[TARGETS_MAX] = { 0 };
	const struct yaml_item *places[TARGETS_MAX] = { 0 };
	const struct yaml_item *el = NULL;
	struct cfg_deploy *kept = NULL;
	uint32_t n = 0;

	d->deploy = NULL;
	d->n_deploy = 0;
	if (!item || !reader_list(r, item, path, &el))
		return;
	for (size_t i = 0; el; el = el->next, i++) {
		struct opt_path here = { path, NULL, i };

		if (n == TARGETS_MAX) {
			reader_problem(r, el, &here, "at most %d targets are possible", TARGETS_MAX);
			return;
		}
		if (!read_target(r, row->sub, el, &here, &found[n]))
			continue;
		for (uint32_t k = 0; k < n && must_be_once(&found[n]); k++)
			if (found[k].type == found[n].type &&
			    strcmp(main_value(&found[k]), main_value(&found[n])) == 0)
				complain_twice(r, el, &here, &found[n], places[k]);
		places[n++] = el;
	}
	if (n == 0)
		return;
	kept = arena_alloc(r->arena, n * sizeof(*kept));
	memcpy(kept, found, n * sizeof(*kept));
	if (!any_is_open(kept, n))
		name_targets(r->arena, kept, n);
	d->deploy = kept;
	d->n_deploy = n;
}

/* ------------------------------------------------------------------ for one domain */

static const char *fill_in_name(struct arena *arena, const char *path, const char *name)
{
	struct strbuf sb = STRBUF_INIT(PATH_MAX);
	const char *at = NULL;
	const char *kept = NULL;

	while ((at = strstr(path, PLACEHOLDER))) {
		strbuf_addf(&sb, "%.*s%s", (int)(at - path), path, name);
		path = at + strlen(PLACEHOLDER);
	}
	strbuf_addf(&sb, "%s", path);
	kept = arena_strdup(arena, strbuf_str(&sb));
	strbuf_done(&sb);
	return kept;
}

/* The name that a client would ask for, when the YAML does not say one; NULL when all of them are wildcards of others. */
static const char *first_server_name(const struct cfg_domain *d)
{
	for (uint32_t i = 0; i < d->n_names; i++)
		if (!str_has_prefix(d->names[i], "*."))
			return d->names[i];
	for (uint32_t i = 0; i < d->n_names; i++) {
		const char *dot = strchr(d->name, '.');

		if (dot && strcmp(dot, d->names[i] + 1) == 0)
			return d->name;
	}
	return NULL;
}

static void fill_in_verify(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
			   const struct cfg_domain *d, struct cfg_verify_target *v)
{
	if (!v->server_name)
		v->server_name = first_server_name(d);
	if (!v->server_name) {
		reader_problem(r, map, path,
			       "needs server_name: the name to ask the server for, since all names of this "
			       "certificate are "
			       "wildcards");
		return;
	}
	if (!v->connect) {
		_cleanup_free_ char *connect = xasprintf("%s:443", v->server_name);

		v->connect = arena_strdup(r->arena, connect);
	}
}

void deploy_final(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		  struct cfg_domain *d)
{
	struct opt_path at_list = { path, "deploy", 0 };
	size_t before = r->problems->total;
	struct cfg_deploy *kept = NULL;

	if (!any_is_open(d->deploy, d->n_deploy))
		return;
	kept = arena_alloc(r->arena, d->n_deploy * sizeof(*kept));
	memcpy(kept, d->deploy, d->n_deploy * sizeof(*kept));
	for (uint32_t i = 0; i < d->n_deploy; i++) {
		struct opt_path at_target = { &at_list, NULL, i };
		struct opt_path here = { &at_target, cfg_deploy_type_name(kept[i].type), 0 };

		if (kept[i].type == CFG_DEPLOY_VERIFY)
			fill_in_verify(r, map, &here, d, &kept[i].verify);
		for (unsigned k = 0; kept[i].type == CFG_DEPLOY_FILES && k < CFG_COPY_NR; k++)
			if (kept[i].files.paths[k])
				kept[i].files.paths[k] =
					fill_in_name(r->arena, kept[i].files.paths[k], d->name);
	}
	if (r->problems->total != before)
		return;
	name_targets(r->arena, kept, d->n_deploy);
	d->deploy = kept;
}

/* ------------------------------------------------------------------ all domains */

struct copy_use {
	const char *path;
	const struct cfg_domain *domain;
	size_t seq;
};

static int copy_compare(const void *left, const void *right)
{
	const struct copy_use *a = left;
	const struct copy_use *b = right;
	int by_path = strcmp(a->path, b->path);

	return by_path != 0 ? by_path : (a->seq > b->seq) - (a->seq < b->seq);
}

/* The copies of all domains; NULL: only counts them. */
static size_t collect_copies(const struct cfg_domain *list, size_t n, struct copy_use *ret)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		for (uint32_t t = 0; t < list[i].n_deploy; t++) {
			const struct cfg_deploy *d = &list[i].deploy[t];

			for (unsigned k = 0; d->type == CFG_DEPLOY_FILES && k < CFG_COPY_NR; k++) {
				if (!d->files.paths[k])
					continue;
				if (ret)
					ret[found] = (struct copy_use){ d->files.paths[k], &list[i], found };
				found++;
			}
		}
	}
	return found;
}

void deploy_check_copies(struct problems *problems, const struct cfg_domain *list, size_t n)
{
	size_t count = collect_copies(list, n, NULL);
	_cleanup_free_ struct copy_use *uses = count ? xmalloc(count * sizeof(*uses)) : NULL;

	if (count == 0)
		return;
	(void)collect_copies(list, n, uses);
	qsort(uses, count, sizeof(*uses), copy_compare);
	for (size_t i = 1; i < count; i++) {
		const struct cfg_domain *a = uses[i - 1].domain;
		const struct cfg_domain *b = uses[i].domain;

		if (strcmp(uses[i].path, uses[i - 1].path) != 0)
			continue;
		problems_add(problems, &b->pos, "deploy",
			     "\"%s\" writes %s, which \"%s\" (%s:%u:%u) writes too: each copy needs a path "
			     "of its own; "
			     "{name} stands for the domain's name",
			     b->name, uses[i].path, a->name, a->pos.file, a->pos.line, a->pos.column);
	}
}
