/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling windows per API key ("1000 requests per 3 minutes and 100 per 5 seconds"). Exact, not a token
 * bucket: the time of each admitted request is kept, so that a burst at the edge of a window counts the
 * way CertCentral says it does. Refused requests are not counted. */
#pragma once

#include "common/base.h"

#define RATES_MAX	   8
#define RATES_REQUESTS_MAX 1000000

struct rate {
	size_t requests;
	int64_t per_ms;
	int64_t *at_ms; /* ring of the last `requests` admissions */
	size_t next;
	size_t used;
};

struct rates {
	struct rate rule[RATES_MAX];
	size_t n;
};

void rates_clear(struct rates *r); /* no limit at all */
/* -EINVAL when there are too many rules or a number is out of range. */
int rates_add(struct rates *r, int64_t requests, int64_t per_s) _must_check_;
/* "100/5s"; -EINVAL */
int rates_add_text(struct rates *r, const char *text) _must_check_;
/* Admits and counts a request, or says no (false). A clock that went back empties the windows. */
bool rates_admit(struct rates *r, int64_t now_ms);
