/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3339 times in UTC to and from seconds since 1970. No locale, no time zone database. */
#pragma once

#include "common/base.h"

#define TIMEFMT_MAX 40

/* "2026-11-21T08:00:00Z"; years outside 0..9999 are clamped. Returns buf. */
const char *timefmt_rfc3339(int64_t at, char buf[TIMEFMT_MAX]);

/* Accepts "Z" or "+hh:mm"/"-hh:mm", a fraction of a second (dropped), and "T" or one blank between
 * date and time. RFC 3339 section 5.6. 0 or -EINVAL; *ret is left alone on failure. */
int timefmt_parse_rfc3339(const char *s, int64_t *ret) _must_check_;

/* "Sun, 22 Nov 2026 08:00:00 GMT", the only form of a date that servers may send today (RFC 9110 section 5.6.7). The day of the
 * week is not compared. 0 or -EINVAL. */
int timefmt_parse_http(const char *s, int64_t *ret) _must_check_;

/* "yyyy-MM-dd" at 00:00 UTC, as order_valid_till comes. 0 or -EINVAL. */
int timefmt_parse_date(const char *s, int64_t *ret) _must_check_;
