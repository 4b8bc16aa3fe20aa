/* SPDX-License-Identifier: Apache-2.0 */
/* DNS as everybody sees it: two zones, one primary, two secondaries that lag behind, records of ours and of other people. Whoever changes
 * it is judged at once; how the daemon gets here is dns.c's part. */
#pragma once

#include "common/base.h"

#define ZONE_SERVERS 3 /* 0: the primary */
#define ZONE_SUFFIX  ".dcv.digicert.com"

/* "ns1.sim.example" */
const char *zone_server_name(unsigned i);
/* Is it the top of a zone? */
bool zone_is_top(const char *name);

/* Records of other people, which nobody of ours may touch. */
void zone_add_foreign(const char *name, bool cname, const char *value);

/* What a dynamic update does (RFC 2136 section 3.4.2): adding what is there and removing what is not there is nothing, a CNAME replaces
 * another one, and a record beside a CNAME (or the other way round) is dropped without a word. */
void zone_add(const char *name, bool cname, const char *value);
void zone_remove(const char *name, bool cname, const char *value);

/* The secondaries are so far behind from now on. */
void zone_set_lag(unsigned server, int64_t ms);

/* What the server shows at this name. */
#define ZONE_VALUES_MAX 16
struct zone_view {
	const char *cname; /* NULL: none */
	const char *txt[ZONE_VALUES_MAX];
	size_t n;
};
void zone_look(unsigned server, const char *name, struct zone_view *ret);

/* Calls fn for every record of ours that stands in the zone. */
void zone_each_of_ours(void (*fn)(const char *name, const char *value));
