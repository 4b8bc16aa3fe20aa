/* SPDX-License-Identifier: Apache-2.0 */
/* `dns_providers`: a map whose keys are names. Providers that are wrong are kept by their name, so that a domain
 * which uses one is not told that it does not exist. */
#include "config/raw.h"

#include <string.h>

void read_tsig_key(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		   const struct opt_path *path, void *field)
{
	const char *text = item ? reader_text(r, item, path) : NULL;
	struct raw_provider *p = field;
	struct err err = ERR_INIT;

	(void)row;
	p->tsig_key = NULL;
	if (text && r->secrets && secrets_load_tsig(r->secrets, text, &p->tsig_key, &err) < 0)
		reader_problem(r, item, path, "%s", err.text);
}

/* ------------------------------------------------------------------ one provider */

static const struct {
	const char *key;
	enum cfg_dns_type type;
	const char *needed; /* what it is; NULL: optional */
} options[] = {
	{ "server", CFG_DNS_RFC2136, "the address of the DNS server" },
	{ "zone", CFG_DNS_RFC2136, NULL },
	{ "tsig_key_file", CFG_DNS_RFC2136, "the file that holds the TSIG key, as tsig-keygen prints it" },
	{ "ttl", CFG_DNS_RFC2136, NULL },
	{ "command", CFG_DNS_EXEC, "the program and its arguments" },
	{ "timeout", CFG_DNS_EXEC, NULL },
};

void check_provider(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		    const void *target)
{
	const struct raw_provider *p = target;
	bool rfc2136 = p->type == CFG_DNS_RFC2136;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct yaml_item *item = yaml_get(map, options[i].key);
		bool mine = (int)options[i].type == p->type;
		struct opt_path here = { path, options[i].key, 0 };

		if (item && !mine)
			reader_problem(r, item, &here, "is for type %s; the type here is %s",
				       rfc2136 ? "exec" : "rfc2136", rfc2136 ? "rfc2136" : "exec");
		else if (!item && mine && options[i].needed)
			reader_problem(r, map, &here, "is missing: %s", options[i].needed);
	}
}

static void provider_read(struct reader *r, const struct opt_table *t, const struct yaml_item *key,
			  const struct opt_path *path, struct cfg_dns_provider *ret)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	struct raw_provider raw = { 0 };
	size_t len = strlen(key->text);

	*ret = (struct cfg_dns_provider){ .name = reader_keep(r, key->text) };
	if (len == 0 || len > 64 || key->text[strspn(key->text, allowed)] != '\0')
		reader_problem(
			r, key, path,
			"\"%.100s\" cannot name a provider: use 1 to 64 letters, digits, \"_\", \".\" and "
			"\"-\"",
			key->text);
	table_defaults(r, t, &raw);
	if (!table_read(r, t, key->child, path, &raw))
		return;
	ret->type = (enum cfg_dns_type)raw.type;
	if (ret->type == CFG_DNS_RFC2136) {
		ret->server = raw.server;
		ret->zone = raw.zone;
		ret->tsig_key = raw.tsig_key;
		ret->ttl = (uint32_t)raw.ttl;
	} else {
		ret->command = raw.command;
		ret->timeout = raw.timeout;
	}
}

/* ------------------------------------------------------------------ all of them */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct cfg_dns_provider *)a)->name, ((const struct cfg_dns_provider *)b)->name);
}

void read_providers(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field)
{
	struct raw_main *m = field;
	struct cfg_dns_provider *kept = NULL;
	size_t n = 0;

	m->c.providers = NULL;
	m->c.n_providers = 0;
	if (!item)
		return;
	if (item->kind != YAML_KIND_MAP) {
		if (yaml_is_null(item))
			return;
		m->bad_providers = true;
		reader_problem(r, item, path, "must be a mapping of names to providers, not %s",
			       item->kind == YAML_KIND_LIST ? "a list" : "a single value");
		return;
	}
	for (const struct yaml_item *k = item->child; k; k = k->next)
		n++;
	kept = arena_alloc(r->arena, n * sizeof(*kept));
	n = 0;
	for (const struct yaml_item *k = item->child; k; k = k->next) {
		struct opt_path here = { path, k->text, 0 };

		if (k->kind == YAML_KIND_BAD || !k->child)
			m->bad_providers = true;
		else
			provider_read(r, row->sub, k, &here, &kept[n++]);
	}
	/* A name that is there twice was reported by the parser. */
	if (n > 0)
		qsort(kept, n, sizeof(*kept), by_name);
	m->c.providers = kept;
	m->c.n_providers = n;
}
