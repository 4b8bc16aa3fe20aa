/* SPDX-License-Identifier: Apache-2.0 */
/* Readers for the values that a row alone cannot describe: lists of maps, files that are opened, and
 * words that are either a boolean or an address. */
#include "config/raw.h"

#include "common/mem.h"
#include "config/file.h"

#include <string.h>

#define CA_FILE_MAX	  (4u << 20)
#define EMAILS_MAX	  16
#define COMMAND_WORDS_MAX 32

void read_rates(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		const struct opt_path *path, void *field)
{
	static const struct cfg_rate defaults[] = { { 90, 5 }, { 900, 180 } };
	struct cfg_certcentral *cc = field;
	const struct yaml_item *el = NULL;

	if (!path) {
		memcpy(cc->rates, defaults, sizeof(defaults));
		cc->n_rates = ARRAY_SIZE(defaults);
		return;
	}
	if (!reader_list(r, item, path, &el))
		return;
	cc->n_rates = 0;
	if (!el)
		reader_problem(r, item, path,
			       "must hold at least one window, such as {requests: 90, per: 5s}");
	for (size_t i = 0; el; el = el->next, i++) {
		struct opt_path here = { path, NULL, i };
		struct raw_rate rate = { 0 };

		if (i == CFG_RATES_MAX) {
			reader_problem(r, el, &here, "at most %d windows are possible", CFG_RATES_MAX);
			return;
		}
		if (table_read(r, row->sub, el, &here, &rate))
			cc->rates[cc->n_rates++] = (struct cfg_rate){ (uint32_t)rate.requests, rate.per };
	}
}

static void read_look(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		      enum cfg_look *how, const char **addr)
{
	const char *text = reader_text(r, item, path);
	bool on = false;

	if (!text)
		return;
	*addr = NULL;
	/* People who were bitten by YAML's booleans quote these words. */
	if (yaml_is_bool(item, &on) || strcmp(text, "off") == 0) {
		*how = on ? CFG_LOOK_ON : CFG_LOOK_OFF;
	} else if (strcmp(text, "on") == 0) {
		*how = CFG_LOOK_ON;
	} else if (!strchr(text, ':')) {
		reader_problem(r, item, path, "must be on, off or \"ADDR:PORT\", not \"%.100s\"", text);
	} else {
		*how = CFG_LOOK_AT;
		*addr = reader_checked(r, item, path, text, value_addr_port);
	}
}

void read_look_http(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field)
{
	struct cfg_preflight *p = field;

	(void)row;
	read_look(r, item, path, &p->http, &p->http_addr);
}

void read_look_dns(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		   const struct opt_path *path, void *field)
{
	struct cfg_preflight *p = field;

	(void)row;
	read_look(r, item, path, &p->dns, &p->dns_addr);
}

static bool read_email(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		       const char *found[], const struct yaml_item *places[], uint32_t n)
{
	const char *text = item->kind == YAML_KIND_BAD ? NULL : reader_text(r, item, path);
	const char *final = text ? reader_checked(r, item, path, text, value_email) : NULL;

	if (!final)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(found[i], final) != 0)
			continue;
		reader_problem(r, item, path, "\"%s\" is here twice; the first one is at %s:%u:%u", final,
			       r->file, places[i]->line, places[i]->column);
		return false;
	}
	found[n] = final;
	places[n] = item;
	return true;
}

void read_emails(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		 const struct opt_path *path, void *field)
{
	struct raw_dcv *dcv = field;
	const char *found[EMAILS_MAX] = { 0 };
	const struct yaml_item *places[EMAILS_MAX] = { 0 };
	const struct yaml_item *el = NULL;
	bool ok = true;
	uint32_t n = 0;

	(void)row;
	dcv->emails = NULL;
	dcv->n_emails = 0;
	if (!item || !reader_list(r, item, path, &el))
		return;
	if (!el)
		reader_problem(r, item, path, "must hold at least one address, such as [admin@example.jp]");
	for (size_t i = 0; el; el = el->next, i++) {
		struct opt_path here = { path, NULL, i };

		if (n == EMAILS_MAX) {
			reader_problem(r, el, &here, "at most %d addresses are possible", EMAILS_MAX);
			return;
		}
		if (read_email(r, el, &here, found, places, n))
			n++;
		else
			ok = false;
	}
	if (ok && n > 0) {
		const char **kept = arena_alloc(r->arena, n * sizeof(*kept));

		memcpy(kept, found, n * sizeof(*kept));
		dcv->emails = kept;
		dcv->n_emails = n;
	}
}

void read_ca_file(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		  const struct opt_path *path, void *field)
{
	const char *text = item ? reader_text(r, item, path) : NULL;
	_cleanup_free_ char *full = NULL;
	_cleanup_free_ char *pem = NULL;
	size_t len = 0;
	struct err err = ERR_INIT;

	(void)row;
	*(const char **)field = NULL;
	if (!text)
		return;
	full = config_file_join(r->base_dir, text);
	if (r->secrets && config_file_read(full, CA_FILE_MAX, 0002, &pem, &len, &err) < 0)
		reader_problem(r, item, path, "%s: %s", full, err.text);
	else if (pem && !strstr(pem, "-----BEGIN CERTIFICATE-----"))
		reader_problem(r, item, path, "%s holds no certificate in PEM form", full);
	else
		*(const char **)field = reader_keep(r, full);
}

void read_command(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		  const struct opt_path *path, void *field)
{
	const char *words[COMMAND_WORDS_MAX + 1] = { 0 };
	const char *const **command = field;
	const struct yaml_item *el = NULL;
	const char **kept = NULL;
	size_t n = 0;

	(void)row;
	*command = NULL;
	if (!item || !reader_list(r, item, path, &el))
		return;
	if (!el)
		reader_problem(r, item, path,
			       "must hold at least the program, as in [/usr/local/bin/program, argument]");
	for (; el; el = el->next, n++) {
		struct opt_path here = { path, NULL, n };
		const char *text = NULL;

		if (n == COMMAND_WORDS_MAX) {
			reader_problem(r, el, &here, "at most %d words are possible", COMMAND_WORDS_MAX);
			return;
		}
		text = el->kind == YAML_KIND_BAD ? NULL : reader_text(r, el, &here);
		if (text)
			words[n] = reader_checked(r, el, &here, text, n == 0 ? value_path : NULL);
	}
	kept = arena_alloc(r->arena, (n + 1) * sizeof(*kept));
	memcpy(kept, words, (n + 1) * sizeof(*kept));
	*command = kept;
}
