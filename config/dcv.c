/* SPDX-License-Identifier: Apache-2.0 */
/* How the CA is shown that the names are ours. Each method has options of its own; one that belongs to another method
 * is refused, because whoever wrote it expects it to do something. */
#include "config/raw.h"

#include "common/str.h"
#include "common/strbuf.h"

#include <string.h>

#define HTTP  (1u << CFG_DCV_HTTP_TOKEN)
#define DNS   ((1u << CFG_DCV_DNS_TXT_TOKEN) | (1u << CFG_DCV_DNS_CNAME_TOKEN))
#define EMAIL (1u << CFG_DCV_EMAIL)

static const struct {
	const char *key;
	unsigned methods;
	const char *names; /* of the methods */
} options[] = {
	{ "webroot", HTTP, "http-token" },
	{ "responder", HTTP, "http-token" },
	{ "provider", DNS, "dns-txt-token and dns-cname-token" },
	{ "label", DNS, "dns-txt-token and dns-cname-token" },
	{ "emails", EMAIL, "email" },
};

static bool check_foreign(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
			  enum cfg_dcv_method method)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct yaml_item *item = yaml_get(map, options[i].key);
		struct opt_path here = { path, options[i].key, 0 };

		if (!item || (options[i].methods & (1u << method)))
			continue;
		reader_problem(r, item, &here, "is for %s; the method here is %s", options[i].names,
			       cfg_dcv_method_name(method));
		ok = false;
	}
	return ok;
}

static void check_http(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		       const struct raw_dcv *dcv)
{
	const struct yaml_item *responder = yaml_get(map, "responder");
	const struct yaml_item *at = responder ? responder : map;
	struct opt_path here = { path, "responder", 0 };

	if (dcv->webroot && dcv->responder)
		reader_problem(r, at, &here, "excludes webroot; remove one of the two");
	else if (!dcv->webroot && !dcv->responder)
		reader_problem(r, map, path, "needs webroot: /path/of/the/web/server, or responder: true");
	if (dcv->responder && r->main && !r->main->has_responder)
		reader_problem(r, at, &here,
			       "needs the section responder: {listen: \"127.0.0.1:8402\"} at the top of the "
			       "main file");
}

#define NAMES_SHOWN 16u

static void complain_provider(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
			      const char *name)
{
	const struct config *c = &r->main->c;
	const char *names[NAMES_SHOWN] = { 0 };
	size_t n = MIN(c->n_providers, (size_t)NAMES_SHOWN);
	struct strbuf sb = STRBUF_INIT(400);
	const char *meant = NULL;

	for (size_t i = 0; i < n; i++) {
		names[i] = c->providers[i].name;
		strbuf_addf(&sb, "%s%s", i ? ", " : "", names[i]);
	}
	meant = str_suggest(name, names, n);
	if (n == 0)
		reader_problem(r, item, path,
			       "no such provider \"%.64s\"; the main file has no section dns_providers",
			       name);
	else
		reader_problem(r, item, path, "no such provider \"%.64s\"%s%s%s; dns_providers has %s%s",
			       name, meant ? " (did you mean \"" : "", meant ? meant : "",
			       meant ? "\"?)" : "", strbuf_str(&sb), c->n_providers > n ? ", ..." : "");
	strbuf_done(&sb);
}

static void check_dns(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		      const struct raw_dcv *dcv)
{
	struct opt_path at_provider = { path, "provider", 0 };
	struct opt_path at_label = { path, "label", 0 };

	if (!dcv->provider)
		reader_problem(r, map, &at_provider, "is missing: the name of one of dns_providers");
	else if (r->main && !r->main->bad_providers && !config_provider(&r->main->c, dcv->provider))
		complain_provider(r, yaml_get(map, "provider"), &at_provider, dcv->provider);
	/* RFC 1034 section 3.6.2: no other data beside a CNAME, and SOA and NS are there. */
	if (dcv->method == CFG_DCV_DNS_CNAME_TOKEN && strcmp(dcv->label, "@") == 0)
		reader_problem(r, yaml_get(map, "label"), &at_label,
			       "\"@\" is for dns-txt-token: a CNAME cannot stand at the top of a zone; "
			       "remove it, or "
			       "use dns-txt-token");
}

void check_dcv(struct reader *r, const struct yaml_item *map, const struct opt_path *path, const void *target)
{
	const struct raw_dcv *dcv = target;
	struct opt_path at_emails = { path, "emails", 0 };

	if (!check_foreign(r, map, path, (enum cfg_dcv_method)dcv->method))
		return;
	switch ((enum cfg_dcv_method)dcv->method) {
	case CFG_DCV_HTTP_TOKEN: check_http(r, map, path, dcv); break;
	case CFG_DCV_DNS_TXT_TOKEN:
	case CFG_DCV_DNS_CNAME_TOKEN: check_dns(r, map, path, dcv); break;
	case CFG_DCV_EMAIL:
		if (!dcv->emails)
			reader_problem(r, map, &at_emails,
				       "is missing: the addresses that the CA may ask, such as "
				       "[admin@example.jp]");
		break;
	case CFG_DCV_NR: break;
	}
}

/* ------------------------------------------------------------------ names */

const char *dcv_base_name(const char *name)
{
	return str_has_prefix(name, "*.") ? name + 2 : name;
}

/* Is there an address at the name or at a domain above it? */
static bool has_email(const struct raw_dcv *dcv, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < dcv->n_emails; i++) {
		const char *domain = strrchr(dcv->emails[i], '@') + 1;
		size_t n = strlen(domain);

		if (n <= len && strcmp(name + len - n, domain) == 0 && (n == len || name[len - n - 1] == '.'))
			return true;
	}
	return false;
}

void check_dcv_name(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *name, const struct raw_dcv *dcv)
{
	const char *base = dcv_base_name(name);

	/* Baseline Requirements 3.2.2.4.18: not for wildcards. */
	if (dcv->method == CFG_DCV_HTTP_TOKEN && base != name)
		reader_problem(
			r, item, path,
			"\"%s\": a wildcard cannot be proven with http-token; use dns-txt-token, or list the "
			"host names one by one in dns_names",
			name);
	if (dcv->method == CFG_DCV_EMAIL && dcv->n_emails > 0 && !has_email(dcv, base))
		reader_problem(
			r, item, path,
			"\"%s\": no address of dcv.emails is at this name or at a domain above it; add one, "
			"such as admin@%s",
			name, base);
}

/* ------------------------------------------------------------------ final form */

struct cfg_dcv dcv_final(const struct reader *r, const struct raw_dcv *raw)
{
	struct cfg_dcv dcv = { .method = (enum cfg_dcv_method)raw->method };

	switch (dcv.method) {
	case CFG_DCV_HTTP_TOKEN:
		dcv.webroot = raw->webroot;
		dcv.responder = raw->responder;
		break;
	case CFG_DCV_DNS_TXT_TOKEN:
	case CFG_DCV_DNS_CNAME_TOKEN:
		/* NULL after a mistake in `defaults`, which leaves the domain itself right. */
		dcv.provider = raw->provider ? config_provider(&r->main->c, raw->provider) : NULL;
		dcv.label = raw->label;
		break;
	case CFG_DCV_EMAIL:
		dcv.emails = raw->emails;
		dcv.n_emails = raw->n_emails;
		break;
	case CFG_DCV_NR: break;
	}
	return dcv;
}
