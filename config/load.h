/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files to a checked snapshot. All problems of all files are collected before it gives up. */
#pragma once

#include "config/model.h"

/* One problem: "dvcertd.yaml:41:7: domains[3].dcv.method: no such method \"htp-token\" (did you mean
 * \"http-token\"?)". line 0: the file as a whole. */
struct config_problem {
	char *text; /* complete, with place */
};

struct config_report {
	struct config_problem *problems;
	size_t n_problems;
	bool truncated; /* more than CONFIG_PROBLEMS_MAX */
};
#define CONFIG_PROBLEMS_MAX 200
#define CONFIG_FILE_MAX	    (8u << 20) /* bytes, each file */

#define CONFIG_DEFAULT_FILE "/etc/dvcertd/dvcertd.yaml"

/* Loads file and conf.d/ *.yaml beside it. 0 and *ret, or -EINVAL with at least one problem in report
 * (never NULL). The environment is read for $STATE_DIRECTORY, $RUNTIME_DIRECTORY and
 * $CREDENTIALS_DIRECTORY only. */
int config_load(const char *file, struct config **ret, struct config_report *report) _must_check_;

/* The same, and no other file that it names is opened: secrets stay NULL. For programs that have no business with them. */
int config_load_without_secrets(const char *file, struct config **ret,
				struct config_report *report) _must_check_;

/* The same for a main file that is in memory: no conf.d, and no file that it names is opened (secrets stay
 * NULL). For tests, fuzzing and benchmarks. name is what messages call it. */
int config_load_memory(const char *text, size_t len, const char *name, struct config **ret,
		       struct config_report *report) _must_check_;

void config_report_done(struct config_report *report);

/* Where the control socket is when nobody said otherwise: $RUNTIME_DIRECTORY/control.sock or
 * /run/dvcertd/control.sock. Returned string belongs to the caller. Used by dvcertctl too. */
char *config_default_socket(void);
