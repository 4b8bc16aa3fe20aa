/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the main file. Either a snapshot or at least one problem comes out, never both, and every
 * line of a report is one line. No file that the input names is opened. */
#include "config/diff.h"
#include "config/load.h"
#include "config/names.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_report(const struct config_report *report, bool loaded)
{
	must(loaded == (report->n_problems == 0));
	must(report->n_problems <= CONFIG_PROBLEMS_MAX);
	for (size_t i = 0; i < report->n_problems; i++)
		for (const char *c = report->problems[i].text; *c; c++)
			must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_dcv(const struct config *c, const struct cfg_dcv *dcv)
{
	bool dns = dcv->method == CFG_DCV_DNS_TXT_TOKEN || dcv->method == CFG_DCV_DNS_CNAME_TOKEN;

	must(dcv->method >= CFG_DCV_HTTP_TOKEN && dcv->method < CFG_DCV_NR);
	must(dns == (dcv->provider != NULL) && dns == (dcv->label != NULL));
	must((dcv->method == CFG_DCV_EMAIL) == (dcv->n_emails > 0));
	if (dns)
		must(config_provider(c, dcv->provider->name) == dcv->provider);
	if (dcv->method == CFG_DCV_DNS_CNAME_TOKEN)
		must(strcmp(dcv->label, "_dnsauth") == 0);
	for (uint32_t i = 0; i < dcv->n_emails; i++)
		must(strchr(dcv->emails[i], '@') != NULL);
	if (dcv->method == CFG_DCV_HTTP_TOKEN)
		must(dcv->responder ? c->responder_listen != NULL : dcv->webroot[0] == '/');
	else
		must(!dcv->responder && !dcv->webroot);
}

/* No file is opened here, so there is never a TSIG key. */
static void check_provider(const struct cfg_dns_provider *p)
{
	if (p->type == CFG_DNS_RFC2136)
		must(p->server && p->ttl >= 1 && p->ttl <= 86400 && !p->command && !p->tsig_key);
	else
		must(p->command[0][0] == '/' && p->timeout >= 1 && !p->server && !p->zone);
}

/* What the rest of the program relies on. */
static void check_config(const struct config *c)
{
	must(c->state_dir[0] == '/' && c->control_socket[0] == '/');
	must(c->certcentral.n_rates >= 1 && c->certcentral.n_rates <= CFG_RATES_MAX);
	for (size_t i = 0; i < c->n_providers; i++) {
		check_provider(&c->providers[i]);
		must(i == 0 || strcmp(c->providers[i - 1].name, c->providers[i].name) < 0);
	}
	for (size_t i = 0; i < c->n_domains; i++) {
		const struct cfg_domain *d = &c->domains[i];

		must(name_is_safe_dir(d->name));
		must(d->n_names >= 1 && d->names[0] == d->common_name && d->spec_hash != 0);
		check_dcv(c, &d->dcv);
		must(i == 0 || strcmp(c->domains[i - 1].name, d->name) < 0);
		must(config_find(c, d->name) == d);
		for (uint32_t k = 0; k < d->n_deploy; k++)
			must(d->deploy[k].target && d->deploy[k].scutum.host && d->deploy[k].scutum.id);
	}
}

static void must_be_same(enum config_change change, const struct cfg_domain *old,
			 const struct cfg_domain *now, void *arg)
{
	(void)old;
	(void)now;
	(void)arg;
	must(change == CONFIG_SAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_report report;
	struct config *c = NULL;
	int r = config_load_memory((const char *)data, size, "fuzz.yaml", &c, &report);

	check_report(&report, r == 0);
	config_report_done(&report);
	if (r == 0) {
		check_config(c);
		config_diff(c, c, must_be_same, NULL);
		config_unref(c);
	}
	return 0;
}
