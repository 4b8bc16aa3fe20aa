/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as the rest of the program reads it: an immutable, reference-counted snapshot. All
 * strings and arrays live in the snapshot's arena and die with it. Every value is final: defaults are
 * filled in, names are lower-case A-labels, secrets are loaded. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/log.h"
#include "common/secret.h"

struct arena;	 /* config/arena.h */
struct tsig_key; /* config/tsig.h */

/* A place in a YAML file, for messages. line and column count from 1. */
struct cfg_pos {
	const char *file;
	uint32_t line;
	uint32_t column;
};

enum cfg_key_type { CFG_KEY_RSA, CFG_KEY_EC_P256, CFG_KEY_EC_P384 };

struct cfg_key {
	enum cfg_key_type type;
	uint32_t bits; /* RSA only: 2048..8192 */
	bool reuse;    /* keep the key over renewals */
};

enum cfg_dns_type { CFG_DNS_RFC2136, CFG_DNS_EXEC };

/* A way to write records into DNS. */
struct cfg_dns_provider {
	const char *name;
	enum cfg_dns_type type;
	const char *server;		 /* rfc2136: "ADDR" or "ADDR:PORT" */
	const char *zone;		 /* rfc2136: NULL: found by SOA */
	const struct tsig_key *tsig_key; /* rfc2136: config/tsig.h; owned by the snapshot */
	uint32_t ttl;			 /* rfc2136: seconds, of added records */
	const char *const *command;	 /* exec: NULL-terminated, the program is absolute */
	int64_t timeout;		 /* exec: seconds */
};

enum cfg_dcv_method {
	CFG_DCV_HTTP_TOKEN,
	CFG_DCV_DNS_TXT_TOKEN,
	CFG_DCV_DNS_CNAME_TOKEN,
	CFG_DCV_EMAIL,
	CFG_DCV_NR
};

/* The word of the YAML, which is the API's. */
const char *cfg_dcv_method_name(enum cfg_dcv_method m);

struct cfg_dcv {
	enum cfg_dcv_method method;
	const char *webroot; /* http-token: absolute; NULL when the responder serves the file */
	bool responder;
	const struct cfg_dns_provider *provider; /* dns-*: not NULL */
	const char *label;			 /* dns-*: "_dnsauth", or "@" for the name itself */
	const char *const *emails;		 /* email: who may be asked, at least one for each name */
	uint32_t n_emails;
};

enum cfg_deploy_type {
	CFG_DEPLOY_FILES,
	CFG_DEPLOY_RELOAD,
	CFG_DEPLOY_EXEC,
	CFG_DEPLOY_VERIFY,
	CFG_DEPLOY_SCUTUM,
	CFG_DEPLOY_NR
};

/* The key of the YAML, which also begins a target's name. */
const char *cfg_deploy_type_name(enum cfg_deploy_type t);

/* Which copies a `files` target writes. BUNDLE is fullchain and key in one file, as HAProxy wants it. */
enum cfg_copy {
	CFG_COPY_BUNDLE,
	CFG_COPY_CERT,
	CFG_COPY_CHAIN,
	CFG_COPY_FULLCHAIN,
	CFG_COPY_KEY,
	CFG_COPY_NR
};
/* "bundle", "cert", ... */
const char *cfg_copy_name(enum cfg_copy c);

struct cfg_files_target {
	const char *owner;		/* account name or number; NULL: whoever writes it */
	const char *group;		/* the same */
	uint32_t mode;			/* of what holds the key; the rest is that and readable for all */
	const char *paths[CFG_COPY_NR]; /* absolute; NULL: no such copy */
};

struct cfg_reload_target {
	const char *unit; /* "nginx.service" */
	const char *const
		*test;	 /* NULL: none. A program that must end with 0 before: NULL-terminated, absolute */
	int64_t timeout; /* seconds, for test and reload together */
};

struct cfg_exec_target {
	const char *const *command; /* NULL-terminated, the program is absolute */
	int64_t timeout;	    /* seconds */
};

struct cfg_verify_target {
	const char *connect;	 /* "ADDR:PORT", "[v6]:PORT" or "HOST:PORT": every address of the host */
	const char *server_name; /* SNI: a host name, no wildcard */
	int64_t settle;		 /* seconds in which a wrong answer may still become the right one */
};

struct cfg_scutum_target {
	const char *host;
	const char *id;
	struct secret *api_key;	       /* owned by the snapshot */
	struct secret *key_passphrase; /* NULL: the key is pushed unencrypted */
};

struct cfg_deploy {
	enum cfg_deploy_type type;
	const char *target; /* "scutum:www.example.jp": unique within its domain, named in status */
	union {
		struct cfg_files_target files;
		struct cfg_reload_target reload;
		struct cfg_exec_target exec;
		struct cfg_verify_target verify;
		struct cfg_scutum_target scutum;
	};
};

struct cfg_domain {
	const char *name;	  /* directory name */
	const char *common_name;  /* first of names */
	const char *const *names; /* common name first, then dns_names; no duplicates */
	uint32_t n_names;
	uint32_t n_deploy;
	const struct cfg_deploy *deploy;
	const char *product;
	struct cfg_key key;
	struct cfg_dcv dcv;
	int64_t renew_before; /* seconds; 0 = auto */
	struct cfg_pos pos;
	/* Hash over everything that shapes an order (names, product, key, dcv): when it changes, a held
	 * job may be tried again. Never 0. */
	uint64_t spec_hash;
};

struct cfg_rate {
	uint32_t requests;
	int64_t per; /* seconds */
};

#define CFG_RATES_MAX 8

struct cfg_certcentral {
	const char *url;     /* https, no trailing slash */
	const char *ca_file; /* NULL: system store */
	struct secret *api_key;
	const char *product;
	int64_t order_years;
	int64_t max_cert_days;
	const char *payment_method; /* NULL: not sent */
	struct cfg_rate rates[CFG_RATES_MAX];
	uint32_t n_rates;
	int64_t poll_interval; /* seconds; also the unit of all waiting times, see core/retry.h */
	int64_t max_orders_per_day;
	bool instant_issuance;	 /* prove the names by request tokens before the order is placed */
	struct secret *auth_key; /* NULL: asked from the API */
	const char *auth_key_id; /* NULL: the account's AuthKey without an end */
};

struct cfg_scutum {
	const char *url; /* https, no trailing slash */
	const char *ca_file;
};

enum cfg_look { CFG_LOOK_OFF, CFG_LOOK_ON, CFG_LOOK_AT };

struct cfg_preflight {
	enum cfg_look http;
	const char *http_addr; /* CFG_LOOK_AT: "127.0.0.1:8080" or "[::1]:8080" */
	enum cfg_look dns;
	const char *dns_addr; /* CFG_LOOK_AT */
};

/* How the daemon shows itself to a monitoring system. */
struct cfg_metrics {
	const char *listen;   /* NULL: no server; "127.0.0.1:9402", "[::1]:9402" or "unix:/path" */
	const char *textfile; /* NULL: none; absolute */
};

/* A program that is told what a person should know. */
struct cfg_notify {
	const char *const *command; /* NULL: none; NULL-terminated, the program is absolute */
	int64_t timeout;	    /* seconds */
};

enum cfg_log_format { CFG_LOG_AUTO, CFG_LOG_TEXT, CFG_LOG_JSON, CFG_LOG_JOURNAL };

struct config {
	const char *file;
	const char *state_dir;	    /* absolute */
	const char *control_socket; /* absolute, at most 107 bytes */
	const char *helper_socket;  /* where dvcertd-helper listens; absolute, at most 107 bytes */
	enum log_level log_level;
	enum cfg_log_format log_format;
	struct cfg_certcentral certcentral;
	struct cfg_scutum scutum;
	const char *proxy; /* NULL: none; "http://host:port" */
	struct cfg_preflight preflight;
	struct cfg_metrics metrics;
	struct cfg_notify notify;
	const char *responder_listen;		  /* NULL: no responder; "127.0.0.1:8402" */
	const struct cfg_dns_provider *providers; /* sorted by name (strcmp) */
	size_t n_providers;
	const struct cfg_domain *domains; /* sorted by name (strcmp) */
	size_t n_domains;
	struct arena *arena;
	uint32_t refs;
};

/* Adds / drops a reference; the last one frees everything and wipes the secrets. NULL accepted. */
struct config *config_ref(struct config *c);
void config_unref(struct config *c);
DEFINE_CLEANUP(struct config *, config_unref)

/* Binary search; NULL when there is none. */
const struct cfg_dns_provider *config_provider(const struct config *c, const char *name);
const struct cfg_domain *config_find(const struct config *c, const char *name);
