/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `dvcertctl doctor` share. One run walks a table of steps, one after the other; each ends with doctor_say() or
 * doctor_end(), now or later. Nothing is changed by any of them, and nothing is ordered.
 *   doctor.c         the walk, and the verb
 *   doctor_here.c    what is on this machine: secrets, record, webroot, files, targets
 *   doctor_ca.c      CertCentral and its clock, the orders that are left
 *   doctor_names.c   the names in DNS and by HTTP
 *   doctor_served.c  what the servers and the WAF show */
#pragma once

#include "daemon/dcv/caa.h"
#include "daemon/verbs.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_BROKEN, DOCTOR_SKIPPED };

/* In the order in which they are walked. dvcertctl puts its own in front: config and daemon. */
enum doctor_step {
	DOCTOR_SECRETS,
	DOCTOR_RECORD,
	DOCTOR_CLOCK,
	DOCTOR_API,
	DOCTOR_PRODUCT,
	DOCTOR_BUDGET,
	DOCTOR_ORDER,
	DOCTOR_DNS,
	DOCTOR_CAA,
	DOCTOR_ZONE,
	DOCTOR_HTTP,
	DOCTOR_WEBROOT,
	DOCTOR_FILES,
	DOCTOR_TARGETS,
	DOCTOR_SERVED,
	DOCTOR_WAF,
	DOCTOR_NR
};

#define DOCTOR_TEXT_MAX	     480
#define DOCTOR_NAMES_MAX     32 /* of one domain that are looked at */
#define DOCTOR_ADDRESSES_MAX 4	/* of one name */

/* What was found. remedy "": none is needed, or the text has it. */
struct doctor_note {
	enum doctor_state state;
	char text[DOCTOR_TEXT_MAX];
	char remedy[DOCTOR_TEXT_MAX];
};

struct doctor_host {
	const char *name; /* in the snapshot; without the star of a wildcard */
	struct sockaddr_storage at[DOCTOR_ADDRESSES_MAX];
	size_t n;
};

struct doctor;

/* For a pool thread: copies, and what does not change. */
struct doctor_job {
	struct doctor *k;
	void (*run)(struct doctor_job *j);
	struct config *config; /* the snapshot that counts */
	const struct cfg_domain *spec;
	struct generation_dirs dirs;
	char *config_file;
	char *serial;
	unsigned generation;
	char *failure; /* of a target, as the record tells it; NULL: none */
	/* results */
	struct doctor_note note;
	char *chain;
};

struct doctor {
	struct waiter w;
	struct config *config;
	const struct cfg_domain *spec; /* NULL: only what concerns all */
	enum doctor_step at;
	bool ended; /* the step at `at` */
	struct doctor_note notes[DOCTOR_NR];
	struct doctor_note note; /* the first worst of this step so far */
	struct timer *next;
	struct timer *late;
	int64_t until_ms;
	unsigned n_requests;
	/* found on the way */
	bool symptom; /* the record has an error: one of the steps has to explain it */
	struct outcome api;
	bool api_asked;
	char *roles;
	struct doctor_host hosts[DOCTOR_NAMES_MAX];
	size_t n_hosts;
	char *chain; /* fullchain.pem of the installed certificate */
	/* what the step has under way */
	size_t i, n; /* of a sequence */
	struct cc_call *call;
	struct dns *dns;
	struct dns_call *dns_call;
	struct caa_call *caa;
	struct dnslook_call *target;
	char *text; /* a name or URL that is being followed, a failure that may be explained */
	struct http *http;
	struct http_call *http_call;
	unsigned hops;
	char *token; /* that the responder serves for us */
	struct verify_call *look;
	struct work *work;
};

/* --- doctor.c --- */
/* Ends the step. remedy NULL: none. */
void doctor_say(struct doctor *k, enum doctor_state s, const char *remedy, const char *fmt, ...)
	_printf_(4, 5);
/* Remembers something; the first of the worst is kept. */
void doctor_note(struct doctor_note *n, enum doctor_state s, const char *remedy, const char *fmt, ...)
	_printf_(4, 5);
/* Ends the step with what was noted, or with OK and this text. */
void doctor_end(struct doctor *k, const char *fmt, ...) _printf_(2, 3);
/* Our domain, or NULL: without a name, or gone with a reload. */
struct domain *doctor_domain(const struct doctor *k);
/* Runs it in the pool; its note (and, when there is none worse, its text) ends the step. */
void doctor_in_pool(struct doctor *k, void (*run)(struct doctor_job *j));
/* The DNS client of this run; NULL after the step was ended because there is none. */
struct dns *doctor_dns(struct doctor *k);
/* Whom to ask in DNS: preflight.dns; NULL: the system's resolvers. */
const char *doctor_resolver(const struct doctor *k);

/* --- the steps --- */
void doctor_secrets(struct doctor *k);
void doctor_record(struct doctor *k);
void doctor_webroot(struct doctor *k);
void doctor_files(struct doctor *k);
void doctor_targets(struct doctor *k);
void doctor_clock(struct doctor *k);
void doctor_api(struct doctor *k);
void doctor_product(struct doctor *k);
void doctor_budget(struct doctor *k);
void doctor_order(struct doctor *k);
void doctor_names(struct doctor *k);
void doctor_caa(struct doctor *k);
void doctor_zone(struct doctor *k);
void doctor_http(struct doctor *k);
/* What doctor_http() leaves when it is cut short. */
void doctor_http_stop(struct doctor *k);
void doctor_served(struct doctor *k);
void doctor_waf(struct doctor *k);
