/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a record: the loop makes a copy as JSON, a pool thread joins it with the history that is on disk
 * and replaces the file. The history is kept in the file only, so an idle domain costs no memory for it. */
#pragma once

#include "daemon/app.h"

struct save {
	const struct store *store;
	char *name;
	struct json *doc;
	struct history_list news;
	void *owner;
	int rc;
	struct err err;
};

/* Takes a copy of rec and all lines of the list (which is empty afterwards). */
struct save *save_new(const struct store *s, const struct record *rec, struct history_list *history);
/* In a pool thread: rc and err hold the result. */
void save_run(void *arg);
/* Gives the lines back to the front of the list: they were not written. */
void save_take_back(struct save *s, struct history_list *history);
void save_free(struct save *s);
void save_drop(void *arg);

/* The history of a domain as an array of {"at","event","message"}, oldest first; never NULL. */
struct json *save_read_history(const char *text, size_t len);
