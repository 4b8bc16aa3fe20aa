/* SPDX-License-Identifier: Apache-2.0 */
/* One element of `domains`: merges it with the defaults, settles its names and fixes the final values. A
 * section that a domain sets replaces the default section whole: half of a dcv section from here and half
 * from there would be two methods at once. */
#include "config/raw.h"

#include "common/mem.h"
#include "common/str.h"
#include "config/names.h"

#include <string.h>

/* More names than this no CA puts into one certificate. */
#define NAMES_MAX 250

struct names {
	const char *v[NAMES_MAX];
	const struct yaml_item *at[NAMES_MAX];
	size_t n;
};

/* With a common name beside it, name is only a folder and need not be a host name. */
static char *fold_folder_name(const char *text)
{
	char *name = NULL;

	if (name_normalize(text, false, &name, NULL) == 0)
		return name;
	name = xstrdup(text);
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return name;
}

static const char *domain_read_name(struct reader *r, const struct yaml_item *map,
				    const struct opt_path *path, const char *text)
{
	const struct yaml_item *item = yaml_get(map, "name");
	struct opt_path here = { path, "name", 0 };
	_cleanup_free_ char *name = NULL;
	struct err err = ERR_INIT;

	if (!text)
		return NULL;
	if (yaml_get(map, "common_name")) {
		name = fold_folder_name(text);
		if (!name_is_safe_dir(name)) {
			reader_problem(r, item, &here,
				       "\"%s\" cannot name a directory: use up to 253 of a-z, 0-9, \".\", "
				       "\"_\", \"-\", and begin with a letter or digit",
				       text);
			return NULL;
		}
	} else if (str_has_prefix(text, "*.")) {
		reader_problem(
			r, item, &here,
			"a wildcard cannot name a directory: write name: wildcard%s and common_name: \"%s\"",
			text + 1, text);
		return NULL;
	} else if (name_normalize(text, false, &name, &err) < 0) {
		reader_problem(r, item, &here, "%s", err.text);
		return NULL;
	} else if (!name_is_safe_dir(name)) {
		reader_problem(r, item, &here, "\"%s\" cannot name a directory", name);
		return NULL;
	}
	return reader_keep(r, name);
}

/* False when nothing more fits. */
static bool names_add(struct reader *r, struct names *names, const char *name, const struct yaml_item *item,
		      const struct opt_path *path)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->v[i], name) != 0)
			continue;
		if (i == 0)
			reader_problem(r, item, path, "\"%s\" is the common name already; remove it here",
				       name);
		else
			reader_problem(r, item, path, "\"%s\" is here twice; the first one is at %s:%u:%u",
				       name, r->file, names->at[i]->line, names->at[i]->column);
		return true;
	}
	if (names->n == NAMES_MAX) {
		reader_problem(r, item, path, "a certificate holds at most %d names", NAMES_MAX);
		return false;
	}
	names->v[names->n] = name;
	names->at[names->n++] = item;
	return true;
}

static void domain_read_names(struct reader *r, const struct raw_domain *raw, const struct yaml_item *map,
			      const struct opt_path *path, const char *name, struct names *names)
{
	const struct yaml_item *cn = yaml_get(map, raw->common_name ? "common_name" : "name");
	struct opt_path at_cn = { path, raw->common_name ? "common_name" : "name", 0 };
	struct opt_path at_list = { path, "dns_names", 0 };
	const struct yaml_item *el = NULL;

	(void)names_add(r, names, raw->common_name ? raw->common_name : name, cn, &at_cn);
	check_dcv_name(r, cn, &at_cn, names->v[0], &raw->dcv);
	if (!raw->dns_names || !reader_list(r, raw->dns_names, &at_list, &el))
		return;
	for (size_t i = 0; el; el = el->next, i++) {
		struct opt_path here = { &at_list, NULL, i };
		const char *text = el->kind == YAML_KIND_BAD ? NULL : reader_text(r, el, &here);
		const char *final = text ? reader_checked(r, el, &here, text, value_host_or_wildcard) : NULL;

		if (!final)
			continue;
		check_dcv_name(r, el, &here, final, &raw->dcv);
		if (!names_add(r, names, final, el, &here))
			return;
	}
}

static struct cfg_key domain_key(const struct raw_key *raw)
{
	struct cfg_key key = { .reuse = raw->reuse };

	if (raw->type == 0) {
		key.type = CFG_KEY_RSA;
		key.bits = (uint32_t)raw->bits;
	} else {
		key.type = raw->curve == 0 ? CFG_KEY_EC_P256 : CFG_KEY_EC_P384;
	}
	return key;
}

/* ------------------------------------------------------------------ spec_hash */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
	return h * UINT64_C(0x100000001b3);
}

/* Stable over runs and builds: it is compared with what an earlier run kept. */
static uint64_t domain_spec_hash(const struct cfg_domain *d)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < d->n_names; i++)
		h = mix(h, str_hash(d->names[i]));
	h = mix(h, d->n_names);
	h = mix(h, str_hash(d->product));
	h = mix(h, (uint64_t)d->key.type);
	h = mix(h, d->key.bits);
	h = mix(h, d->key.reuse);
	h = mix(h, (uint64_t)d->dcv.method);
	h = mix(h, d->dcv.webroot ? str_hash(d->dcv.webroot) : 0);
	h = mix(h, d->dcv.responder);
	/* How a provider works does not shape an order: its name only. */
	if (d->dcv.provider) {
		h = mix(h, str_hash(d->dcv.provider->name));
		h = mix(h, str_hash(d->dcv.label));
	}
	for (uint32_t i = 0; i < d->dcv.n_emails; i++)
		h = mix(h, str_hash(d->dcv.emails[i]));
	return h ? h : 1;
}

static void domain_fill(struct reader *r, const struct raw_domain *raw, const struct yaml_item *map,
			const char *name, const struct names *names, struct cfg_domain *ret)
{
	const char **kept = arena_alloc(r->arena, names->n * sizeof(*kept));

	memcpy(kept, names->v, names->n * sizeof(*kept));
	*ret = (struct cfg_domain){
		.name = name,
		.common_name = kept[0],
		.names = kept,
		.n_names = (uint32_t)names->n,
		.n_deploy = raw->n_deploy,
		.deploy = raw->deploy,
		.product = raw->product ? raw->product : r->main->c.certcentral.product,
		.key = domain_key(&raw->key),
		.dcv = dcv_final(r, &raw->dcv),
		.renew_before = raw->renew_before,
		.pos = reader_pos(r, map),
	};
	ret->spec_hash = domain_spec_hash(ret);
}

bool domain_read(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		 const struct raw_domain *defaults, bool default_dcv, struct cfg_domain *ret,
		 const char **ret_name)
{
	struct raw_domain raw = *defaults;
	struct names names;
	bool ok = table_read(r, &table_domain, map, path, &raw);
	size_t before = r->problems->total;
	struct opt_path at_dcv = { path, "dcv", 0 };

	*ret_name = NULL;
	if (map->kind != YAML_KIND_MAP)
		return false;
	check_domain_options(r, map, path);
	if (!default_dcv && !yaml_get(map, "dcv"))
		reader_problem(r, map, &at_dcv,
			       "is missing: say here or in `defaults` how the CA can check the names, as in "
			       "dcv: {method: http-token, webroot: /var/www/html}");
	*ret_name = domain_read_name(r, map, path, raw.name);
	if (!*ret_name || (yaml_get(map, "common_name") && !raw.common_name))
		return false;
	names.n = 0;
	domain_read_names(r, &raw, map, path, *ret_name, &names);
	if (!ok || r->problems->total != before)
		return false;
	domain_fill(r, &raw, map, *ret_name, &names, ret);
	deploy_final(r, map, path, ret);
	return r->problems->total == before;
}
