/* SPDX-License-Identifier: Apache-2.0 */
/* What dvcertctl can do, as a table, and its command line. Prints nothing itself. */
#pragma once

#include "common/err.h"
#include "daemon/ctl/render.h"

#define ARGS_NAMES_ANY SIZE_MAX

struct ctl_verb {
	const char *name;
	const char *synopsis; /* for --help: "wait NAME... [--timeout 60s]" */
	const char *summary;
	size_t min_names;
	size_t max_names; /* ARGS_NAMES_ANY: no limit */
	bool has_timeout;
	render_fn *render;
	/* The exit code of an answer with "ok": true; NULL: 0. */
	int (*exit_code)(const struct json *answer);
};

/* The table, ended by a row without a name. */
extern const struct ctl_verb ctl_verbs[];

enum ctl_action { CTL_RUN, CTL_HELP, CTL_VERSION };

#define CTL_TIMEOUT_DEFAULT 60 /* seconds that `wait` waits */

struct ctl_args {
	enum ctl_action action;
	const struct ctl_verb *verb; /* CTL_RUN only */
	const char *socket;	     /* NULL: the default one */
	bool json;
	int64_t timeout;    /* seconds; has_timeout only */
	char *const *names; /* borrowed from argv */
	size_t n_names;
};

/* Options may stand anywhere. argv is permuted (getopt_long). -EINVAL with a sentence for people that says what would
 * be right; then *ret is not to be used. */
int ctl_args_parse(int argc, char **argv, struct ctl_args *ret, struct err *reterr) _must_check_;

/* The request line for the daemon, without its newline: {"verb":"wait","names":["a"],"timeout":60}. */
void ctl_args_request(const struct ctl_args *a, struct strbuf *sb);

/* The text of --help. */
void ctl_args_help(struct strbuf *sb);
