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

/* What the rest of the program relies on. */
static void check_config(const struct config *c)
{
	must(c->state_dir[0] == '/' && c->control_socket[0] == '/');
	must(c->certcentral.n_rates >= 1 && c->certcentral.n_rates <= CFG_RATES_MAX);
	for (size_t i = 0; i < c->n_domains; i++) {
		const struct cfg_domain *d = &c->domains[i];

		must(name_is_safe_dir(d->name));
		must(d->n_names >= 1 && d->names[0] == d->common_name && d->spec_hash != 0);
		must(d->dcv.responder ? c->responder_listen != NULL : d->dcv.webroot[0] == '/');
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
