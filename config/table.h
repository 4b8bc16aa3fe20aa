/* SPDX-License-Identifier: Apache-2.0 */
/* Options as rows: one row says how an option is called, what it may hold, its default and what it is for.
 * The loader reads by the rows and the manual page is written from them, so they cannot disagree. */
#pragma once

#include "config/arena.h"
#include "config/problems.h"
#include "config/secrets.h"
#include "config/values.h"
#include "config/yaml.h"

/* A place in the tree of options, for messages: "domains[3].dcv.method". key NULL: an index. */
struct opt_path {
	const struct opt_path *up;
	const char *key;
	size_t index;
};

#define READER_CACHE 64u

/* What reading a file needs. */
struct reader {
	struct arena *arena; /* the snapshot's: for everything that stays */
	struct problems *problems;
	const char *file;
	const char *base_dir;
	struct secrets *secrets;     /* NULL: files are named but not opened (fuzzing) */
	const struct raw_main *main; /* once the main file is read */
	const char *cache[READER_CACHE];
};

enum opt_type {
	OPT_TEXT,	/* const char * */
	OPT_INT,	/* int64_t */
	OPT_BOOL,	/* bool */
	OPT_DURATION,	/* int64_t, seconds */
	OPT_WORD,	/* int: index into words; -1 after a wrong one */
	OPT_API_KEY,	/* struct secret *, by the name of its file */
	OPT_PASSPHRASE, /* the same */
	OPT_MAP,	/* a struct at offset, described by sub */
	OPT_CUSTOM,	/* read() knows; path is NULL when it is asked for the default, and item too when
			   there is none */
	OPT_LATER,	/* const struct yaml_item *, for the loader to read once the rest is known */
};

enum {
	OPT_REQUIRED = 1,
	OPT_AUTO = 2,	  /* OPT_DURATION: `auto` is 0 */
	OPT_FROM_ENV = 4, /* the environment may know better than def; the loader fills it in */
};

struct opt_table;
struct opt_row;
typedef void opt_read_fn(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
			 const struct opt_path *path, void *field);

struct opt_row {
	const char *name;
	enum opt_type type;
	unsigned flags;
	size_t offset;
	int64_t min, max;	  /* OPT_INT, OPT_DURATION (seconds); 0, 0: any */
	const char *unit;	  /* documentation: "days" */
	const char *def;	  /* as it would be written; NULL: none */
	const char *const *words; /* OPT_WORD, ends with NULL */
	value_fn *check;	  /* OPT_TEXT; may be NULL */
	opt_read_fn *read;
	const struct opt_table *sub; /* OPT_MAP; OPT_CUSTOM: the elements', for documentation */
	const char *doc;
};

struct opt_table {
	const struct opt_row *rows;
	size_t n_rows;
	/* Called after a map was read without any problem: what one row cannot say. May be NULL. */
	void (*check)(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		      const void *target);
};

/* Fills in all defaults. */
void table_defaults(struct reader *r, const struct opt_table *t, void *target);

/* Reads a map over what target holds. Options that are absent leave the target alone; a sub-map that is
 * there begins with its own defaults. map may be an empty value. Returns false when it added a problem. */
bool table_read(struct reader *r, const struct opt_table *t, const struct yaml_item *map,
		const struct opt_path *path, void *target);

/* One value by its row. */
bool table_read_row(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field);

/* For custom readers: the scalar's text, or NULL after a problem was added. */
const char *reader_text(struct reader *r, const struct yaml_item *item, const struct opt_path *path);
/* The list's first element in *ret (NULL: empty); false after a problem was added. */
bool reader_list(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		 const struct yaml_item **ret);
/* Runs check over text and keeps the result in the arena; NULL after a problem was added. */
const char *reader_checked(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
			   const char *text, value_fn *check);

/* Keeps a string; equal strings that come close together share their memory. */
const char *reader_keep(struct reader *r, const char *s);

/* Adds a problem at item. Says nothing about an item that was refused before. */
void reader_problem(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *fmt, ...) _printf_(4, 5);
/* The same at a place that was kept. */
struct cfg_pos reader_pos(const struct reader *r, const struct yaml_item *item);

#define OPT_PATH_MAX 256
/* "domains[3].dcv.method" into buf; what does not fit is left out. Returns buf. */
const char *opt_path_format(const struct opt_path *path, char buf[OPT_PATH_MAX]);

/* All tables by the path of their map ("" for the file, "domains[].key"), for the manual page. */
struct opt_section {
	const char *path;
	const struct opt_table *table;
	const char *doc;
};
const struct opt_section *opt_sections(size_t *ret_n);
