/* SPDX-License-Identifier: Apache-2.0 */
/* Writes dvcertd.yaml(5): copies the template on stdin to stdout and puts the options where it says so, from
 * the same rows that the loader reads by. Part of the build only; nothing that is installed links it. */
#include "config/raw.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#define MARK "@OPTIONS@"

/* Text inside a line: a backslash would begin an escape. */
static void put_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else
			putchar(*s);
	}
}

/* A comment of the tables as a sentence. A word of the configuration keeps its case: it is followed by more than
 * letters ("rsa: size"), or is one of the row's own. */
static void put_sentence(const char *s, const char *const *words)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz");
	bool plain = s[len] == ' ' || s[len] == '\'' || s[len] == '\0';

	for (size_t i = 0; words && words[i]; i++)
		plain = plain && !(strncmp(words[i], s, len) == 0 && words[i][len] == '\0');
	fputs("\\&", stdout); /* a dot or a quote at its beginning would make it a request */
	if (len > 0 && plain)
		putchar(*s++ - 'a' + 'A');
	put_text(s);
	puts(".");
}

/* One argument of a macro. The \& keeps a short word from being taken for a macro or for punctuation. */
static void put_arg(const char *s)
{
	fputs(" \"\\&", stdout);
	for (; *s; s++) {
		if (*s == '"')
			putchar('"');
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
	putchar('"');
}

static bool has_section(const char *path, const char *name, const char *suffix)
{
	_cleanup_free_ char *want = xasprintf("%s%s%s%s", path, *path ? "." : "", name, suffix);
	size_t n = 0;
	const struct opt_section *s = opt_sections(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].path, want) == 0)
			return true;
	}
	return false;
}

static const char *kind_of_text(const struct opt_row *row)
{
	static const struct {
		value_fn *check;
		const char *kind;
	} KINDS[] = {
		{ value_url, "URL" },
		{ value_certcentral_url, "URL" },
		{ value_proxy, "URL" },
		{ value_addr_port, "ADDR:PORT" },
		{ value_server, "ADDR|ADDR:PORT" },
		{ value_local_listen, "ADDR:PORT|unix:PATH" },
		{ value_textfile, "path" },
		{ value_zone, "name" },
		{ value_label, "_dnsauth|@" },
		{ value_path, "path" },
		{ value_socket_path, "path" },
		{ value_word, "word" },
		{ value_host, "name" },
		{ value_host_or_wildcard, "name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		if (row->check == KINDS[i].check)
			return KINDS[i].kind;
	}
	return "text";
}

static const char *kind_of_custom(const struct opt_row *row)
{
	if (row->read == read_ca_file || row->read == read_tsig_key)
		return "file";
	if (row->read == read_command || row->read == read_emails)
		return "list";
	return row->read == read_look_http || row->read == read_look_dns ? "on|off|ADDR:PORT" : "value";
}

/* What stands behind the colon: a placeholder; words are listed by the caller. */
static const char *kind_of(const char *path, const struct opt_row *row)
{
	if (has_section(path, row->name, "[]"))
		return "list";
	if (has_section(path, row->name, ".NAME"))
		return "mapping";
	switch (row->type) {
	case OPT_TEXT: return kind_of_text(row);
	case OPT_INT: return "number";
	case OPT_BOOL: return "true|false";
	case OPT_DURATION: return row->flags & OPT_AUTO ? "auto|duration" : "duration";
	case OPT_WORD: return NULL;
	case OPT_API_KEY:
	case OPT_PASSPHRASE: return "file";
	case OPT_MAP: return "mapping";
	case OPT_CUSTOM: return kind_of_custom(row);
	case OPT_LATER: return row->sub ? "mapping" : "list";
	}
	return NULL;
}

static void put_words(const char *const *words)
{
	for (size_t i = 0; words && words[i]; i++) {
		fputs(i ? " | Cm" : " Cm", stdout);
		put_arg(words[i]);
	}
}

static void put_range(const struct opt_row *row)
{
	char min[STR_DURATION_MAX], max[STR_DURATION_MAX];

	if (row->type == OPT_INT)
		printf("From %lld to %lld%s%s.\n", (long long)row->min, (long long)row->max,
		       row->unit ? " " : "", row->unit ? row->unit : "");
	else if (row->type == OPT_DURATION && row->max)
		printf("From %s to %s.\n", str_format_duration(row->min, min),
		       str_format_duration(row->max, max));
	else if (row->type == OPT_DURATION)
		printf("At least %s.\n", str_format_duration(row->min, min));
}

static void put_row(const char *path, const struct opt_row *row)
{
	const char *kind = kind_of(path, row);

	fputs(".It Cm", stdout);
	put_arg(row->name);
	fputs(" :", stdout);
	if (kind) {
		fputs(" Ar", stdout);
		put_arg(kind);
	} else {
		put_words(row->words);
	}
	putchar('\n');
	put_sentence(row->doc, row->words);
	put_range(row);
	if (row->flags & OPT_REQUIRED)
		puts("Required.");
	if (row->def) {
		fputs("Default:\n.Cm", stdout);
		put_arg(row->def);
		puts(" .");
	}
}

static void put_section(const struct opt_section *s)
{
	fputs(".Ss", stdout);
	put_arg(*s->path ? s->path : "Top level");
	putchar('\n');
	put_sentence(s->doc, NULL);
	puts(".Bl -tag -width 4n");
	for (size_t i = 0; i < s->table->n_rows; i++)
		put_row(s->path, &s->table->rows[i]);
	puts(".El");
}

int main(void)
{
	char line[4096];
	size_t n = 0, n_marks = 0;
	const struct opt_section *sections = opt_sections(&n);

	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, MARK "\n") != 0) {
			fputs(line, stdout);
			continue;
		}
		n_marks++;
		for (size_t i = 0; i < n; i++)
			put_section(&sections[i]);
	}
	if (n_marks != 1)
		fprintf(stderr, "gen: the template needs one line " MARK ", and has %zu\n", n_marks);
	return n_marks == 1 && !ferror(stdin) && fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
