/* SPDX-License-Identifier: Apache-2.0 */
/* The list of problems of one load. Bounded: a broken file of 8 MB must not become 80 MB of complaints. */
#include "config/problems.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdarg.h>
#include <string.h>

#define PROBLEM_TEXT_MAX 1024

struct problems_entry {
	struct cfg_pos pos;
	size_t seq;
	bool in_main;
	char *text;
};

static void problems_place(const struct cfg_pos *pos, char *out, size_t out_len)
{
	char file[512];

	(void)str_escape(pos->file, strlen(pos->file), file, sizeof(file));
	if (pos->line)
		(void)snprintf(out, out_len, "%s:%u:%u: ", file, pos->line, pos->column);
	else
		(void)snprintf(out, out_len, "%s: ", file);
}

bool problems_full(struct problems *p)
{
	if (p->n < CONFIG_PROBLEMS_MAX)
		return false;
	p->total++;
	p->truncated = true;
	return true;
}

void problems_add(struct problems *p, const struct cfg_pos *pos, const char *path, const char *fmt, ...)
{
	char raw[PROBLEM_TEXT_MAX];
	char text[PROBLEM_TEXT_MAX];
	char safe_path[256];
	char place[600];
	va_list ap;

	if (problems_full(p))
		return;
	p->total++;
	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	(void)str_escape(raw, strlen(raw), text, sizeof(text));
	(void)str_escape(path ? path : "", path ? strlen(path) : 0, safe_path, sizeof(safe_path));
	problems_place(pos, place, sizeof(place));

	if (p->n == p->n_alloc) {
		p->n_alloc = p->n_alloc ? p->n_alloc * 2 : 8;
		p->v = xrealloc_array(p->v, p->n_alloc, sizeof(*p->v));
	}
	p->v[p->n] = (struct problems_entry){
		.pos = *pos,
		.seq = p->n,
		.in_main = p->main_file && strcmp(p->main_file, pos->file) == 0,
		.text = xasprintf("%s%s%s%s", place, safe_path, safe_path[0] ? ": " : "", text),
	};
	p->n++;
}

static int problems_compare(const void *left, const void *right)
{
	const struct problems_entry *a = left;
	const struct problems_entry *b = right;
	int by_file = strcmp(a->pos.file, b->pos.file);

	if (a->in_main != b->in_main)
		return a->in_main ? -1 : 1;
	if (by_file != 0)
		return by_file;
	if (a->pos.line != b->pos.line)
		return a->pos.line < b->pos.line ? -1 : 1;
	if (a->pos.column != b->pos.column)
		return a->pos.column < b->pos.column ? -1 : 1;
	return a->seq < b->seq ? -1 : 1;
}

void problems_finish(struct problems *p, struct config_report *report)
{
	*report = (struct config_report){ .truncated = p->truncated };
	if (p->n > 0) {
		qsort(p->v, p->n, sizeof(*p->v), problems_compare);
		report->problems = xcalloc(p->n, sizeof(*report->problems));
		for (size_t i = 0; i < p->n; i++)
			report->problems[i].text = TAKE_PTR(p->v[i].text);
		report->n_problems = p->n;
	}
	problems_done(p);
}

void problems_done(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].text);
	free(p->v);
	*p = (struct problems){ 0 };
}

void config_report_done(struct config_report *report)
{
	for (size_t i = 0; i < report->n_problems; i++)
		free(report->problems[i].text);
	free(report->problems);
	*report = (struct config_report){ 0 };
}
