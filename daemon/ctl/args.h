/* SPDX-License-Identifier: Apache-2.0 */
/* What dvcertctl can do, as a table, and its command line. Prints nothing itself. */
#pragma once

#include "common/err.h"
#include "daemon/ctl/render.h"

#define ARGS_NAMES_ANY SIZE_MAX

/* What may follow a verb. */
enum ctl_option {
	CTL_TIMEOUT = 1u << 0,
	CTL_ALL = 1u << 1,
	CTL_YES = 1u << 2,
	CTL_NEW_KEY = 1u << 3,
	CTL_CSR = 1u << 4,
	CTL_OUT = 1u << 5,
	CTL_REASON = 1u << 6,
	CTL_CERTIFICATE_ID = 1u << 7,
	CTL_ORDER = 1u << 8,
	CTL_DAYS = 1u << 9,
	CTL_WATCH = 1u << 10,
	CTL_CONFIG = 1u << 11
};

struct ctl_verb {
	const char *name;
	const char *synopsis; /* for --help: "wait NAME... [--timeout 60s]" */
	const char *summary;
	size_t min_names;
	size_t max_names; /* ARGS_NAMES_ANY: no limit */
	bool has_action;  /* the "name" is a word like show or create */
	unsigned options; /* bits of enum ctl_option */
	render_fn *render;
	/* The exit code of an answer with "ok": true; NULL: 0. */
	int (*exit_code)(const struct json *answer);
};

/* The table, ended by a row without a name. */
extern const struct ctl_verb ctl_verbs[];

enum ctl_action { CTL_RUN, CTL_HELP, CTL_VERSION };

enum ctl_colour { CTL_COLOUR_AUTO, CTL_COLOUR_NEVER, CTL_COLOUR_ALWAYS };

#define CTL_TIMEOUT_DEFAULT 60 /* seconds that `wait` and `duplicate` wait */
#define CTL_WATCH_DEFAULT   2  /* seconds between two looks of `status --watch` */

struct ctl_args {
	enum ctl_action action;
	const struct ctl_verb *verb; /* CTL_RUN only */
	const char *socket;	     /* NULL: the default one */
	bool json;
	enum ctl_colour colour;
	unsigned given;	 /* bits of enum ctl_option */
	int64_t timeout; /* seconds */
	const char *csr_file;
	const char *out_dir;
	const char *reason;
	int64_t certificate_id;
	int64_t days;
	int64_t watch; /* seconds */
	const char *config_file;
	char *const *names; /* borrowed from argv */
	size_t n_names;
};

/* Options may stand anywhere. argv is permuted (getopt_long). -EINVAL with a sentence for people that says what would
 * be right; then *ret is not to be used. */
int ctl_args_parse(int argc, char **argv, struct ctl_args *ret, struct err *reterr) _must_check_;

/* The request line for the daemon, without its newline: {"verb":"wait","names":["a"],"timeout":60}. csr: the text that `duplicate`
 * sends, else NULL. */
void ctl_args_request(const struct ctl_args *a, const char *csr, struct strbuf *sb);

/* The text of --help. */
void ctl_args_help(struct strbuf *sb);
