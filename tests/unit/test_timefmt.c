/* SPDX-License-Identifier: Apache-2.0 */
/* common/timefmt, checked against the C library's own calendar (which the program itself may not use). */
#include "common/timefmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIRST_AT INT64_C(-62167219200)
#define LAST_AT	 INT64_C(253402300799)

static void check_format(int64_t at, const char *want)
{
	char buf[TIMEFMT_MAX];

	assert_ptr_equal(timefmt_rfc3339(at, buf), buf);
	assert_string_equal(buf, want);
}

static void test_format(void **state)
{
	(void)state;
	check_format(0, "1970-01-01T00:00:00Z");
	check_format(-1, "1969-12-31T23:59:59Z");
	check_format(951782400, "2000-02-29T00:00:00Z");
	check_format(1795248000, "2026-11-21T08:00:00Z");
	check_format(INT64_C(4107542399), "2100-02-28T23:59:59Z");
	check_format(INT64_C(4107542400), "2100-03-01T00:00:00Z");
	check_format(FIRST_AT, "0000-01-01T00:00:00Z");
	check_format(LAST_AT, "9999-12-31T23:59:59Z");
}

static void test_format_clamps(void **state)
{
	(void)state;
	check_format(FIRST_AT - 1, "0000-01-01T00:00:00Z");
	check_format(INT64_MIN, "0000-01-01T00:00:00Z");
	check_format(LAST_AT + 1, "9999-12-31T23:59:59Z");
	check_format(INT64_MAX, "9999-12-31T23:59:59Z");
}

/* Every day of ten thousand years, at a second that moves, there and back. */
static void test_calendar_against_libc(void **state)
{
	int64_t day = FIRST_AT / 86400;

	(void)state;
	for (; day <= LAST_AT / 86400; day++) {
		int64_t at = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
		time_t t = (time_t)at;
		struct tm tm;
		char want[64], got[TIMEFMT_MAX];
		int64_t back = 1;

		assert_non_null(gmtime_r(&t, &tm));
		snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		timefmt_rfc3339(at, got);
		if (strcmp(want, got) != 0)
			assert_string_equal(got, want);
		if (timefmt_parse_rfc3339(got, &back) != 0 || back != at)
			fail_msg("%s comes back as %lld", got, (long long)back);
	}
}

static void test_parse(void **state)
{
	static const struct {
		const char *s;
		int64_t at;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01 00:00:00Z", 0 },
		{ "1970-01-01t00:00:00z", 0 },
		{ "2026-11-21T08:00:00Z", 1795248000 },
		{ "2026-11-21T08:00:00.999999999999999999999Z", 1795248000 },
		{ "2026-11-21T08:00:00.5+00:00", 1795248000 },
		{ "2026-11-21T08:00:00-00:00", 1795248000 },
		{ "2026-11-21T10:00:00+02:00", 1795248000 },
		{ "2026-11-20T20:30:00-11:30", 1795248000 },
		{ "2026-11-22T07:59:00+23:59", 1795248000 },
		{ "1970-01-01T00:00:00+00:01", -60 },
		{ "2000-02-29T00:00:00Z", 951782400 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
		{ "2016-12-31T15:59:60-08:00", 1483228800 },
		{ "2017-01-01T05:29:60+05:30", 1483228800 },
		{ "0000-01-01T00:00:00Z", FIRST_AT },
		{ "0000-01-01T00:00:00+01:00", FIRST_AT - 3600 },
		{ "9999-12-31T23:59:59-23:59", LAST_AT + 86340 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t at = 42;

		if (timefmt_parse_rfc3339(rows[i].s, &at) != 0 || at != rows[i].at)
			fail_msg("%s: %lld", rows[i].s, (long long)at);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const rows[] = {
		"",
		"2026",
		"2026-11-21",
		"2026-11-21T08:00:00",
		"2026-11-21T08:00Z",
		"2026-11-21T08:00:00z ",
		" 2026-11-21T08:00:00Z",
		"2026-11-21  08:00:00Z",
		"2026-11-21_08:00:00Z",
		"2026-11-21T08:00:00 Z",
		"2026-11-21T08:00:00.Z",
		"2026-11-21T08:00:00,5Z",
		"2026-11-21T08:00:00ZZ",
		"2026-11-21T08:00:00+0200",
		"2026-11-21T08:00:00+02",
		"2026-11-21T08:00:00+24:00",
		"2026-11-21T08:00:00+02:60",
		"2026-11-21T08:00:00+-2:00",
		"2026-11-21T24:00:00Z",
		"2026-11-21T08:60:00Z",
		"2026-11-21T08:00:60Z",
		"2026-11-21T08:59:61Z",
		"2026-00-21T08:00:00Z",
		"2026-13-21T08:00:00Z",
		"2026-11-00T08:00:00Z",
		"2026-11-31T08:00:00Z",
		"2026-02-29T08:00:00Z",
		"1900-02-29T08:00:00Z",
		"+026-11-21T08:00:00Z",
		"-026-11-21T08:00:00Z",
		"12026-11-21T08:00:00Z",
		"2026-1-21T08:00:00Z",
		"2026-11-21T8:00:00Z",
		"2026/11/21T08:00:00Z",
		"2026-11-21T08.00.00Z",
		"Sat, 21 Nov 2026 08:00:00 GMT",
	};
	int64_t at = 42;

	(void)state;
	assert_int_equal(timefmt_parse_rfc3339(NULL, &at), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (timefmt_parse_rfc3339(rows[i], &at) != -EINVAL)
			fail_msg("accepted: %s", rows[i]);
	assert_int_equal(at, 42);
}

/* Cutting a good text anywhere makes it bad, and never reads past its end. */
static void test_parse_every_prefix(void **state)
{
	static const char good[] = "2026-11-21T08:00:00.25+02:00";
	char buf[sizeof(good)];
	int64_t at = 42;

	(void)state;
	assert_int_equal(timefmt_parse_rfc3339(good, &at), 0);
	for (size_t n = 0; n < sizeof(good) - 1; n++) {
		memcpy(buf, good, n);
		buf[n] = '\0';
		assert_int_equal(timefmt_parse_rfc3339(buf, &at), -EINVAL);
	}
}

static void test_parse_date(void **state)
{
	static const char *const bad[] = {
		"",	      "2026-11-2", "2026-11-210", "2026-11-21T00:00:00Z",
		"2026-02-30", "26-11-21",  " 2026-11-21", "2026-11-21 ",
	};
	int64_t at = 42;

	(void)state;
	assert_int_equal(timefmt_parse_date(NULL, &at), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(timefmt_parse_date(bad[i], &at), -EINVAL);
	assert_int_equal(at, 42);
	assert_int_equal(timefmt_parse_date("2026-11-21", &at), 0);
	assert_int_equal(at, 1795219200);
	assert_int_equal(timefmt_parse_date("2024-02-29", &at), 0);
	assert_int_equal(at, 1709164800);
	assert_int_equal(timefmt_parse_date("1969-12-31", &at), 0);
	assert_int_equal(at, -86400);
}

static void test_parse_http(void **state)
{
	static const char *const bad[] = {
		"",
		"Sun, 22 Nov 2026 08:00:00",
		"Sun, 22 Nov 2026 08:00:00 UTC",
		"Sunday, 22-Nov-26 08:00:00 GMT",
		"Sun Nov 22 08:00:00 2026",
		"Sun, 31 Nov 2026 08:00:00 GMT",
		"Sun, 22 Nox 2026 08:00:00 GMT",
		"Sun, 22 ovD 2026 08:00:00 GMT",
		"Sun, 22 Nov 2026 24:00:00 GMT",
		"Sun, 2  Nov 2026 08:00:00 GMT",
		"Sun, 22 Nov 2026 08:00:00 GMT ",
	};
	int64_t at = 42;

	(void)state;
	assert_int_equal(timefmt_parse_http(NULL, &at), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(timefmt_parse_http(bad[i], &at), -EINVAL);
	assert_int_equal(at, 42);
	assert_int_equal(timefmt_parse_http("Sun, 22 Nov 2026 08:00:00 GMT", &at), 0);
	assert_int_equal(at, 1795334400);
	assert_int_equal(timefmt_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &at), 0);
	assert_int_equal(at, 784111777);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_clamps),
		cmocka_unit_test(test_calendar_against_libc),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_every_prefix),
		cmocka_unit_test(test_parse_date),
		cmocka_unit_test(test_parse_http),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
