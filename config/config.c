/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a snapshot. It lies inside its own arena, so that dropping the arena drops everything. */
#include "config/model.h"

#include "config/arena.h"

#include <string.h>

struct config *config_ref(struct config *c)
{
	if (c)
		c->refs++;
	return c;
}

void config_unref(struct config *c)
{
	if (c && --c->refs == 0)
		arena_free(c->arena);
}

const char *cfg_dcv_method_name(enum cfg_dcv_method m)
{
	switch (m) {
	case CFG_DCV_HTTP_TOKEN: return "http-token";
	case CFG_DCV_DNS_TXT_TOKEN: return "dns-txt-token";
	case CFG_DCV_DNS_CNAME_TOKEN: return "dns-cname-token";
	case CFG_DCV_EMAIL: return "email";
	case CFG_DCV_NR: break;
	}
	return "?";
}

const struct cfg_dns_provider *config_provider(const struct config *c, const char *name)
{
	size_t low = 0;
	size_t high = c ? c->n_providers : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, c->providers[mid].name);

		if (order == 0)
			return &c->providers[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct cfg_domain *config_find(const struct config *c, const char *name)
{
	size_t low = 0;
	size_t high = c ? c->n_domains : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, c->domains[mid].name);

		if (order == 0)
			return &c->domains[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
