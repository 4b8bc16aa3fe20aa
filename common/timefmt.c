/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text. Own arithmetic instead of gmtime and strptime: those read the environment (TZ, locale)
 * and accept far more than RFC 3339. The calendar is the proleptic Gregorian one; the month arithmetic
 * counts years from 1 March, so that the leap day comes last. */
#include "common/timefmt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY_S	    INT64_C(86400)
#define ERA_DAYS    INT64_C(146097)	  /* 400 years */
#define EPOCH_SHIFT INT64_C(719468)	  /* days from 0000-03-01 to 1970-01-01 */
#define FIRST_AT    INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_AT	    INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Days since 1970; year 0 to 9999. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	int64_t era, year_of_era, day_of_year;

	if (m <= 2)
		y--;
	era = (y >= 0 ? y : y - 399) / 400;
	year_of_era = y - era * 400;
	day_of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       EPOCH_SHIFT;
}

static void civil_from_days(int64_t days, unsigned *y, unsigned *m, unsigned *d)
{
	int64_t z = days + EPOCH_SHIFT;
	int64_t era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
	int64_t doe = z - era * ERA_DAYS; /* day of era */
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153; /* month, March = 0 */

	*d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*y = (unsigned)(yoe + era * 400 + (*m <= 2));
}

const char *timefmt_rfc3339(int64_t at, char buf[TIMEFMT_MAX])
{
	unsigned y, m, d, secs;
	int64_t days;

	at = MAX(at, FIRST_AT);
	at = MIN(at, LAST_AT);
	days = (at >= 0 ? at : at - (DAY_S - 1)) / DAY_S;
	secs = (unsigned)(at - days * DAY_S);
	civil_from_days(days, &y, &m, &d);
	snprintf(buf, TIMEFMT_MAX, "%04u-%02u-%02uT%02u:%02u:%02uZ", y % 10000, m % 100, d % 100, secs / 3600,
		 secs / 60 % 60, secs % 60);
	return buf;
}

/* Exactly n digits within [min, max]; advances *s. */
static bool take_number(const char **s, unsigned n, unsigned min, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	for (unsigned i = 0; i < n; i++) {
		char c = **s;

		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (unsigned)(c - '0');
		(*s)++;
	}
	*ret = v;
	return v >= min && v <= max;
}

static bool take_char(const char **s, const char *set)
{
	if (**s == '\0' || !strchr(set, **s))
		return false;
	(*s)++;
	return true;
}

static unsigned month_days(unsigned y, unsigned m)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);

	return m == 2 && leap ? 29u : days[m - 1];
}

static bool take_date(const char **s, int64_t *ret_days)
{
	unsigned y, m, d;

	if (!take_number(s, 4, 0, 9999, &y) || !take_char(s, "-") || !take_number(s, 2, 1, 12, &m) ||
	    !take_char(s, "-") || !take_number(s, 2, 1, month_days(y, m), &d))
		return false;
	*ret_days = days_from_civil(y, m, d);
	return true;
}

static bool take_time(const char **s, int64_t *ret_secs)
{
	unsigned h, m, sec, digit;

	if (!take_number(s, 2, 0, 23, &h) || !take_char(s, ":") || !take_number(s, 2, 0, 59, &m) ||
	    !take_char(s, ":") || !take_number(s, 2, 0, 60, &sec))
		return false;
	/* A leap second ends an hour; here it is the first second of the next one. */
	if (sec == 60 && m % 30 != 29)
		return false;
	if (take_char(s, ".")) {
		if (!take_number(s, 1, 0, 9, &digit))
			return false;
		while (take_char(s, "0123456789"))
			;
	}
	*ret_secs = (int64_t)h * 3600 + m * 60 + sec;
	return true;
}

static bool take_offset(const char **s, int64_t *ret_secs)
{
	unsigned h, m;
	bool negative = **s == '-';

	*ret_secs = 0;
	if (take_char(s, "Zz"))
		return true;
	if (!take_char(s, "+-") || !take_number(s, 2, 0, 23, &h) || !take_char(s, ":") ||
	    !take_number(s, 2, 0, 59, &m))
		return false;
	*ret_secs = (int64_t)h * 3600 + m * 60;
	if (negative)
		*ret_secs = -*ret_secs;
	return true;
}

int timefmt_parse_rfc3339(const char *s, int64_t *ret)
{
	int64_t days, secs, offset;

	if (!s || !take_date(&s, &days) || !take_char(&s, "Tt ") || !take_time(&s, &secs) ||
	    !take_offset(&s, &offset) || *s)
		return -EINVAL;
	*ret = days * DAY_S + secs - offset;
	return 0;
}

/* "22 Nov 2026" */
static bool take_http_date(const char **s, int64_t *ret_days)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned d, y, month = 0;

	if (!take_number(s, 2, 1, 31, &d) || !take_char(s, " "))
		return false;
	while (month < 12 && strncmp(*s, months + 3 * (size_t)month, 3) != 0)
		month++;
	if (month == 12)
		return false;
	*s += 3;
	if (!take_char(s, " ") || !take_number(s, 4, 0, 9999, &y) || d > month_days(y, month + 1))
		return false;
	*ret_days = days_from_civil(y, month + 1, d);
	return true;
}

int timefmt_parse_http(const char *s, int64_t *ret)
{
	int64_t days, secs;

	if (!s || strlen(s) != strlen("Sun, 22 Nov 2026 08:00:00 GMT") || s[3] != ',' || s[4] != ' ')
		return -EINVAL;
	s += 5;
	if (!take_http_date(&s, &days) || !take_char(&s, " ") || !take_time(&s, &secs) ||
	    strcmp(s, " GMT") != 0)
		return -EINVAL;
	*ret = days * DAY_S + secs;
	return 0;
}

int timefmt_parse_date(const char *s, int64_t *ret)
{
	int64_t days;

	if (!s || !take_date(&s, &days) || *s)
		return -EINVAL;
	*ret = days * DAY_S;
	return 0;
}
