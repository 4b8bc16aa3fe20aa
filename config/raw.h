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
	const char *provider;
	const char *label;
	const char *const *emails; /* NULL: none, or a wrong one among them */
	uint32_t n_emails;
};

/* One element of `dns_providers`. */
struct raw_provider {
	int type; /* enum cfg_dns_type */
	const char *server;
	const char *zone;
	const struct tsig_key *tsig_key;
	int64_t ttl;
	const char *const *command;
	int64_t timeout;
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
	bool bad_providers; /* not all names of dns_providers could be read */
	const struct yaml_item *defaults;
	const struct yaml_item *domains;
};

extern const struct opt_table table_main;		/* struct raw_main */
extern const struct opt_table table_defaults_of_domain; /* struct raw_domain */
extern const struct opt_table table_domain;		/* struct raw_domain */
extern const struct opt_table table_rate;		/* struct raw_rate */
extern const struct opt_table table_target;		/* struct raw_target */
extern const struct opt_table table_files_target;	/* struct cfg_files_target */
extern const struct opt_table table_reload_target;	/* struct cfg_reload_target */
extern const struct opt_table table_exec_target;	/* struct cfg_exec_target */
extern const struct opt_table table_verify_target;	/* struct cfg_verify_target */
extern const struct opt_table table_scutum_target;	/* struct cfg_scutum_target */
extern const struct opt_table table_provider;		/* struct raw_provider */
extern const struct opt_table table_metrics;		/* struct cfg_metrics */
extern const struct opt_table table_notify;		/* struct cfg_notify */

struct raw_rate {
	int64_t requests;
	int64_t per;
};

/* One element of `deploy`: only the section that is there counts. */
struct raw_target {
	struct cfg_files_target files;
	struct cfg_reload_target reload;
	struct cfg_exec_target exec;
	struct cfg_verify_target verify;
	struct cfg_scutum_target scutum;
};

/* domain.c: one element of `domains`. Fills ret and returns true when it is right; *ret_name is the
 * directory name whenever that much is known (else NULL). */
bool domain_read(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		 const struct raw_domain *defaults, bool default_dcv, struct cfg_domain *ret,
		 const char **ret_name);

/* check.c: what one row cannot say. The first one is a hook of a table. */
void check_key(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
	       const void *target);
/* The options that `defaults` and a domain share; map is where they are written. */
void check_domain_options(struct reader *r, const struct yaml_item *map, const struct opt_path *path);

/* dcv.c: the methods of proof. check_dcv() is a hook of a table. */
void check_dcv(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
	       const void *target);
/* Can this name be proven in this way? item is where it is written. */
void check_dcv_name(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *name, const struct raw_dcv *dcv);
/* name without a leading "*.": what is proven. */
const char *dcv_base_name(const char *name);
/* The final form. Complete when nothing was wrong with the section, wherever it stands. */
struct cfg_dcv dcv_final(const struct reader *r, const struct raw_dcv *raw);

/* provider.c: `dns_providers` and what is in it. check_provider() is a hook of a table. */
void read_providers(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field);
void read_tsig_key(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		   const struct opt_path *path, void *field);
void check_provider(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		    const void *target);

/* tables_ops.c. */
void check_metrics(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		   const void *target);

/* custom.c: values that need more than a grammar. */
void read_rates(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		const struct opt_path *path, void *field);
void read_look_http(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		    const struct opt_path *path, void *field);
void read_look_dns(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		   const struct opt_path *path, void *field);
void read_emails(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		 const struct opt_path *path, void *field);
void read_ca_file(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		  const struct opt_path *path, void *field);
/* const char *const *: a program, absolute, and its arguments. */
void read_command(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		  const struct opt_path *path, void *field);

/* deploy.c: the targets of a domain. */
void read_deploy(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
		 const struct opt_path *path, void *field);
void read_mode(struct reader *r, const struct opt_row *row, const struct yaml_item *item,
	       const struct opt_path *path, void *field);
/* The targets in their final form: what depends on the names of the domain is filled in. map is where the domain is written. */
void deploy_final(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		  struct cfg_domain *d);
/* No two copies may have one path. */
void deploy_check_copies(struct problems *problems, const struct cfg_domain *list, size_t n);
