/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of tables.c read into, before defaults are merged and names are settled. */
#pragma once

#include "config/model.h"
#include "config/table.h"

struct raw_key {
	int type; /* 0 rsa, 1 ec */
	int64_t bits;
	int curve; /* 0 P-256, 1 P-384 */
	bool reuse;
};

struct raw_dcv {
	int method; /* enum cfg_dcv_method */
	const char *webroot;
	bool responder;
};

struct raw_domain {
	const char *name; /* as written */
	const char *common_name;
	const struct yaml_item *dns_names;
	const char *product; /* NULL: certcentral.product */
	struct raw_key key;
	struct raw_dcv dcv;
	int64_t renew_before;
	const struct cfg_deploy *deploy;
	uint32_t n_deploy;
};

struct raw_main {
	struct config c;
	bool has_responder; /* the section is there, right or wrong */
	const struct yaml_item *defaults;
	const struct yaml_item *domains;
};

extern const struct opt_table table_main;		/* struct raw_main */
extern const struct opt_table table_defaults_of_domain; /* struct raw_domain */
extern const struct opt_table table_domain;		/* struct raw_domain */
extern const struct opt_table table_rate;		/* struct raw_rate */
extern const struct opt_table table_target;		/* struct raw_target */

struct raw_rate {
	int64_t requests;
	int64_t per;
};

struct raw_target {
	struct cfg_scutum_target scutum;
};

/* domain.c: one element of `domains`. Fills ret and returns true when it is right; *ret_name is the
 * directory name whenever that much is known (else NULL). */
bool domain_read(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		 const struct raw_domain *defaults, bool default_dcv, struct cfg_domain *ret,
		 const char **ret_name);

/* check.c: what one row cannot say. The first two are hooks of tables. */
void check_key(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
	       const void *target);
void check_dcv(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
	       const void *target);
/* The options that `defaults` and a domain share; map is where they are written. */
void check_domain_options(struct reader *r, const struct yaml_item *map, const struct opt_path *path);
void check_wildcard(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *name, enum cfg_dcv_method method);

/* custom.c: values that need more than a grammar. */
void read_rates(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		const struct opt_path *path, void *field);
void read_look(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
	       const struct opt_path *path, void *field);
void read_ca_file(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		  const struct opt_path *path, void *field);
void read_deploy(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		 const struct opt_path *path, void *field);
