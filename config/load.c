/* SPDX-License-Identifier: Apache-2.0 */
/* Files to snapshot: the main file first, since conf.d/ needs its defaults, then conf.d/ in byte order.
 * Nothing of a load is visible to anybody before all of it is right. */
#include "config/load.h"

#include "common/mem.h"
#include "common/str.h"
#include "config/file.h"
#include "config/raw.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

struct load_entry {
	struct cfg_domain d;
	struct cfg_pos name_pos;
	size_t seq;
	uint32_t index; /* in its file's list */
};

struct load {
	struct arena *arena; /* the snapshot's */
	struct problems problems;
	struct reader r;
	struct raw_main raw;
	struct raw_domain defaults;
	bool default_dcv;
	bool main_ok; /* the main file could be parsed, so domains elsewhere can be judged */
	struct load_entry *entries;
	size_t n_entries;
	size_t n_alloc;
};

static void load_complain_file(struct load *l, const char *file, const char *text)
{
	struct cfg_pos pos = { file, 0, 0 };

	problems_add(&l->problems, &pos, NULL, "%s", text);
}

/* ------------------------------------------------------------------ domains */

static void load_keep_domain(struct load *l, const struct cfg_domain *d, const struct yaml_item *map,
			     uint32_t index)
{
	if (l->n_entries == l->n_alloc) {
		l->n_alloc = l->n_alloc ? l->n_alloc * 2 : 16;
		l->entries = xrealloc_array(l->entries, l->n_alloc, sizeof(*l->entries));
	}
	l->entries[l->n_entries] = (struct load_entry){
		.d = *d,
		.name_pos = reader_pos(&l->r, yaml_get(map, "name")),
		.seq = l->n_entries,
		.index = index,
	};
	l->n_entries++;
}

static void load_domains(struct load *l, const struct yaml_item *list)
{
	struct opt_path path = { NULL, "domains", 0 };
	const struct yaml_item *el = NULL;
	uint32_t i = 0;

	if (!list || list->kind == YAML_KIND_BAD || !reader_list(&l->r, list, &path, &el))
		return;
	for (; el; el = el->next, i++) {
		struct opt_path here = { &path, NULL, i };
		struct cfg_domain d = { 0 };
		const char *name = NULL;

		/* A wrong one still takes part in the search for names used twice. */
		(void)domain_read(&l->r, el, &here, &l->defaults, l->default_dcv, &d, &name);
		d.name = name;
		if (name)
			load_keep_domain(l, &d, el, i);
	}
}

/* ------------------------------------------------------------------ files */

static void load_main_text(struct load *l, const char *text, size_t len)
{
	_cleanup_(arena_freep) struct arena *tree = arena_new();
	const struct yaml_item *root = NULL;
	struct opt_path at_defaults = { NULL, "defaults", 0 };

	if (yaml_load(text, len, l->r.file, tree, &l->problems, &root) < 0)
		return;
	if (!root) {
		load_complain_file(
			l, l->r.file,
			"is empty; it needs at least certcentral: {api_key_file: FILE}, and domains to keep");
		return;
	}
	table_defaults(&l->r, &table_main, &l->raw);
	table_defaults(&l->r, &table_domain, &l->defaults);
	l->main_ok = root->kind == YAML_KIND_MAP;
	(void)table_read(&l->r, &table_main, root, NULL, &l->raw);
	l->raw.has_responder = yaml_get(root, "responder") != NULL;
	l->r.main = &l->raw;
	if (l->raw.defaults) {
		(void)table_read(&l->r, &table_defaults_of_domain, l->raw.defaults, &at_defaults,
				 &l->defaults);
		check_domain_options(&l->r, l->raw.defaults, &at_defaults);
	}
	l->default_dcv = yaml_get(l->raw.defaults, "dcv") != NULL;
	load_domains(l, l->raw.domains);
	l->raw.defaults = NULL;
	l->raw.domains = NULL;
}

/* conf.d holds `domains` only, so that one look at the main file tells all about the rest. */
static void load_part_text(struct load *l, const char *text, size_t len)
{
	_cleanup_(arena_freep) struct arena *tree = arena_new();
	const struct yaml_item *root = NULL;

	if (yaml_load(text, len, l->r.file, tree, &l->problems, &root) < 0)
		return;
	if (!root) {
		load_complain_file(l, l->r.file, "is empty; it needs a list of domains (or remove the file)");
		return;
	}
	if (root->kind != YAML_KIND_MAP) {
		reader_problem(&l->r, root, NULL, "must be a mapping with the one key domains");
		return;
	}
	for (const struct yaml_item *k = root->child; k; k = k->next) {
		struct opt_path here = { NULL, k->text, 0 };

		if (strcmp(k->text, "domains") != 0)
			reader_problem(&l->r, k, &here,
				       "only domains may stand here; all else belongs into %s",
				       l->problems.main_file);
	}
	if (l->main_ok)
		load_domains(l, yaml_get(root, "domains"));
}

typedef void load_text_fn(struct load *l, const char *text, size_t len);

static void load_file(struct load *l, const char *file, load_text_fn *fn)
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;

	l->r.file = arena_strdup(l->arena, file);
	if (config_file_read(file, CONFIG_FILE_MAX, 0002, &text, &len, &err) < 0)
		load_complain_file(l, l->r.file, err.text);
	else
		fn(l, text, len);
}

static int is_part(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_has_suffix(e->d_name, ".yaml");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_parts(struct load *l, const char *dir)
{
	_cleanup_free_ char *parts = config_file_join(dir, "conf.d");
	struct dirent **names = NULL;
	int n = scandir(parts, &names, is_part, by_bytes);

	if (n < 0 && errno != ENOENT) {
		struct err err = ERR_INIT;

		(void)err_set_errno(&err, -errno, "cannot be listed");
		load_complain_file(l, arena_strdup(l->arena, parts), err.text);
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = config_file_join(parts, names[i]->d_name);

		load_file(l, file, load_part_text);
		free(names[i]);
	}
	free(names);
}

/* ------------------------------------------------------------------ all domains */

/* Equal names in the order in which they were read. */
static int entry_compare(const void *left, const void *right)
{
	const struct load_entry *a = left;
	const struct load_entry *b = right;
	int by_name = strcmp(a->d.name, b->d.name);

	if (by_name != 0)
		return by_name;
	return a->seq < b->seq ? -1 : 1;
}

/* ------------------------------------------------------------------ names proven by CNAME */

struct cname_use {
	const char *name; /* without "*." */
	const struct load_entry *entry;
};

static int cname_compare(const void *left, const void *right)
{
	const struct cname_use *a = left;
	const struct cname_use *b = right;
	int by_name = strcmp(a->name, b->name);

	if (by_name != 0)
		return by_name;
	return a->entry->seq < b->entry->seq ? -1 : a->entry->seq > b->entry->seq;
}

/* The CA gives each order a value of its own, so two domains would write different CNAMEs at one name, for ever taking
 * the other's away. TXT records can stand side by side. */
static void load_complain_cname(struct load *l, const struct cname_use *first, const struct cname_use *second)
{
	const struct cfg_domain *a = &first->entry->d;
	const struct cfg_domain *b = &second->entry->d;
	char path[64];

	(void)snprintf(path, sizeof(path), "domains[%u]", second->entry->index);
	problems_add(&l->problems, &b->pos, path,
		     "\"%s\" is proven by dns-cname-token in \"%s\" (%s:%u:%u) too, and two CNAMEs cannot "
		     "stand at "
		     "one name; use dns-txt-token",
		     first->name, a->name, a->pos.file, a->pos.line, a->pos.column);
}

static void load_check_cnames(struct load *l)
{
	_cleanup_free_ struct cname_use *uses = NULL;
	const struct load_entry *told = NULL;
	size_t n = 0;

	for (size_t i = 0; i < l->n_entries; i++)
		if (l->entries[i].d.dcv.method == CFG_DCV_DNS_CNAME_TOKEN)
			n += l->entries[i].d.n_names;
	if (n == 0)
		return;
	uses = xmalloc(n * sizeof(*uses));
	n = 0;
	for (size_t i = 0; i < l->n_entries; i++) {
		const struct cfg_domain *d = &l->entries[i].d;

		for (uint32_t k = 0; d->dcv.method == CFG_DCV_DNS_CNAME_TOKEN && k < d->n_names; k++)
			uses[n++] = (struct cname_use){ dcv_base_name(d->names[k]), &l->entries[i] };
	}
	qsort(uses, n, sizeof(*uses), cname_compare);
	for (size_t i = 1; i < n; i++) {
		if (uses[i].entry == uses[i - 1].entry || uses[i].entry == told ||
		    strcmp(uses[i].name, uses[i - 1].name) != 0)
			continue;
		load_complain_cname(l, &uses[i - 1], &uses[i]);
		told = uses[i].entry;
	}
}

/* ------------------------------------------------------------------ end */

static void load_finish_domains(struct load *l, struct config *c)
{
	struct cfg_domain *kept = NULL;

	if (l->n_entries == 0)
		return;
	qsort(l->entries, l->n_entries, sizeof(*l->entries), entry_compare);
	for (size_t i = 1; i < l->n_entries; i++) {
		const struct load_entry *a = &l->entries[i - 1];
		const struct load_entry *b = &l->entries[i];
		char path[64];

		if (strcmp(a->d.name, b->d.name) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "domains[%u].name", b->index);
		problems_add(&l->problems, &b->name_pos, path,
			     "\"%s\" is here twice; the first one is at %s:%u:%u", b->d.name,
			     a->name_pos.file, a->name_pos.line, a->name_pos.column);
	}
	load_check_cnames(l);
	if (l->problems.n > 0)
		return;
	kept = arena_alloc(l->arena, l->n_entries * sizeof(*kept));
	for (size_t i = 0; i < l->n_entries; i++)
		kept[i] = l->entries[i].d;
	deploy_check_copies(&l->problems, kept, l->n_entries);
	c->domains = kept;
	c->n_domains = l->n_entries;
}

/* First of a colon separated list of absolute paths, as systemd sets it; NULL when there is none. The caller
 * frees. */
static char *env_first_dir(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] == '/' ? xstrndup(value, strcspn(value, ":")) : NULL;
}

char *config_default_socket(void)
{
	_cleanup_free_ char *dir = env_first_dir("RUNTIME_DIRECTORY");

	return xasprintf("%s/control.sock", dir ? dir : "/run/dvcertd");
}

static void load_fill_from_env(struct load *l, struct config *c)
{
	_cleanup_free_ char *state_dir = env_first_dir("STATE_DIRECTORY");
	_cleanup_free_ char *socket = config_default_socket();
	_cleanup_free_ char *final = NULL;
	struct cfg_pos pos = { l->problems.main_file, 0, 0 };
	struct err err = ERR_INIT;

	if (!c->state_dir)
		c->state_dir = arena_strdup(l->arena, state_dir ? state_dir : "/var/lib/dvcertd");
	if (c->control_socket)
		return;
	c->control_socket = arena_strdup(l->arena, socket);
	if (value_socket_path(socket, &final, &err) < 0)
		problems_add(&l->problems, &pos, "control_socket",
			     "the default from $RUNTIME_DIRECTORY %s; set it here", err.text);
}

static void load_init(struct load *l, const char *file)
{
	*l = (struct load){ .arena = arena_new() };
	l->problems.main_file = arena_strdup(l->arena, file);
	l->r.arena = l->arena;
	l->r.problems = &l->problems;
	l->r.file = l->problems.main_file;
	l->r.base_dir = ".";
}

/* Everything is read: a snapshot, or the report. */
static int load_finish(struct load *l, struct config **ret, struct config_report *report)
{
	struct config *c = arena_alloc(l->arena, sizeof(*c));
	int r = 0;

	*c = l->raw.c;
	c->file = l->problems.main_file;
	c->arena = l->arena;
	c->refs = 1;
	load_fill_from_env(l, c);
	load_finish_domains(l, c);
	free(l->entries);
	r = l->problems.n > 0 ? -EINVAL : 0;
	problems_finish(&l->problems, report);
	if (r < 0)
		arena_free(l->arena);
	else
		*ret = c;
	return r;
}

static int load_all(const char *file, bool with_secrets, struct config **ret, struct config_report *report)
{
	struct load l;
	_cleanup_free_ char *dir = config_file_dir(file);
	_cleanup_free_ char *absolute = realpath(dir, NULL);
	_cleanup_(secrets_freep) struct secrets *secrets = NULL;

	load_init(&l, file);
	/* What the snapshot names must still be found after somebody changed the working directory. */
	l.r.base_dir = absolute ? absolute : dir;
	if (with_secrets)
		secrets = secrets_new(l.r.base_dir, getenv("CREDENTIALS_DIRECTORY"), l.arena);
	l.r.secrets = secrets;
	load_file(&l, file, load_main_text);
	load_parts(&l, dir);
	return load_finish(&l, ret, report);
}

int config_load(const char *file, struct config **ret, struct config_report *report)
{
	return load_all(file, true, ret, report);
}

int config_load_without_secrets(const char *file, struct config **ret, struct config_report *report)
{
	return load_all(file, false, ret, report);
}

int config_load_memory(const char *text, size_t len, const char *name, struct config **ret,
		       struct config_report *report)
{
	struct load l;

	load_init(&l, name);
	load_main_text(&l, text, len);
	return load_finish(&l, ret, report);
}
