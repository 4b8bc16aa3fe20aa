/* SPDX-License-Identifier: Apache-2.0 */
/* For dnslook.c: questions a few at a time, and the zone of a name with the addresses of its servers. */
#pragma once

#include "daemon/io/dns.h"

#include <sys/queue.h>

/* --- questions ---------------------------------------------------------------------------------------- */

struct asker;
struct ask;
struct ask {
	TAILQ_ENTRY(ask) entry;
	struct asker *asker;
	struct dns_call *dns_call; /* NULL: waits for its turn */
	char *name;
	enum dns_type type;
	char *server; /* NULL: the asker's resolver */
	bool recurse;
	void (*then)(const struct ask *a, const struct dns_answer *answer);
	const void *job; /* whose it is, for asker_cancel() */
	void *arg;
	size_t i;
};

/* n_at_once questions are under way at most, the others wait. */
int asker_new(struct loop *l, unsigned n_at_once, struct asker **ret, struct err *reterr) _must_check_;
void asker_free(struct asker *a);
/* Another resolver than the system's, and another port of name servers than 53. */
void asker_use_resolver(struct asker *a, const char *resolver, unsigned port);
/* Copies what (name, type, server, recurse, then, job, arg, i). Never calls then before it returns. */
void asker_ask(struct asker *a, const struct ask *what);
/* Silence for all questions of this job. */
void asker_cancel(struct asker *a, const void *job);

/* --- zones -------------------------------------------------------------------------------------------- */

enum zone_state {
	ZONE_ASKING,
	ZONE_NONE,   /* the name is within a zone, not its top */
	ZONE_READY,  /* its servers are known */
	ZONE_FAILED, /* outcome says why nobody knows */
};

struct zone_address {
	char *ns;     /* name of its server */
	char *server; /* "ADDR:PORT", "[v6]:PORT" */
	bool v6;
	struct outcome dead; /* not NONE: it does not answer, why ask again */
	bool left_out;	     /* no route, see dnslook.h */
};

#define ZONE_SERVERS_MAX   16
#define ZONE_ADDRESSES_MAX 64

struct zone {
	LIST_ENTRY(zone) entry;
	char *name;
	enum zone_state state;
	struct outcome outcome; /* READY: not NONE when a server's addresses could not be learned */
	char *ns[ZONE_SERVERS_MAX];
	struct outcome ns_outcome[ZONE_SERVERS_MAX];
	size_t n_ns;
	size_t n_open; /* questions */
	struct zone_address addresses[ZONE_ADDRESSES_MAX];
	size_t n_addresses;
	void (*changed)(struct zone *z);
	struct asker *asker;
	const void *job;
	void *owner;
};

/* Is name the top of a zone, and which addresses serve it? changed() tells when state is no longer ASKING. */
struct zone *zone_new(struct asker *a, const char *name, const void *job, void (*changed)(struct zone *z),
		      void *owner);
/* A zone that one given server stands for. */
struct zone *zone_new_given(const char *server);
void zone_free(struct zone *z);
