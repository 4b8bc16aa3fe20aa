/* SPDX-License-Identifier: Apache-2.0 */
/* The exposition: both formats, escapes, what is left out, and how long ten thousand domains take. */
#include "daemon/ops/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

#include <string.h>

static const char *const STATES[] = { "new", "valid", "failed" };

static const struct metrics_look LOOKS[] = { { "verify:127.0.0.1:443", true, 1700000300 },
					     { "verify:[::1]:443", false, 1700000400 },
					     { "verify:never", false, 0 } };

static const struct metrics_domain DOMAINS[] = {
	{ .name = "a.example.jp",
	  .state = 1,
	  .not_before = 1690000000,
	  .not_after = 1707193600,
	  .renew_at = 1704300000,
	  .order_valid_until = 1721500000,
	  .action = "reissue",
	  .action_at = 1704300000,
	  .n_undone = 2,
	  .n_looks = 3 },
	{ .name = "b.example.jp", .state = 0, .error_code = "bad \"code\"\\\nend" },
};

static const struct metrics_count API[] = { { "order.submit", 201, 3 },
					    { "order.info", 0, 1 },
					    { "order.info", -1, 2 } };
static const struct metrics_count SCUTUM[] = { { NULL, 200, 7 } };
static const struct metrics_window WINDOWS[] = { { 5, 90, 88 } };

static const struct metrics FULL = {
	.version = "0.1.0",
	.states = STATES,
	.n_states = ARRAY_SIZE(STATES),
	.domains = DOMAINS,
	.n_domains = ARRAY_SIZE(DOMAINS),
	.looks = LOOKS,
	.started_at = 1700000000,
	.config_loaded_at = 1700000100,
	.config_is_good = true,
	.key_is_accepted = true,
	.api = API,
	.n_api = ARRAY_SIZE(API),
	.scutum = SCUTUM,
	.n_scutum = ARRAY_SIZE(SCUTUM),
	.windows = WINDOWS,
	.n_windows = ARRAY_SIZE(WINDOWS),
	.orders_allowed = 50,
	.orders_today = 4,
	.orders_placed = 4,
	.polled_at = 1700000200,
	.poll_interval = 3600,
	.busy_max_ms = 1023,
	.n_stuck = 1,
	.stuck_total = 5,
	.notices = { { "expiring", 1, 0 }, { "failed", 2, 1 }, { "recovered", 0, 0 } },
};

static char *render(const struct metrics *m, bool openmetrics)
{
	struct strbuf sb = STRBUF_INIT(64u << 20);

	metrics_render(m, openmetrics, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static void assert_has(const char *text, const char *line)
{
	_cleanup_free_ char *whole = xasprintf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("\"%s\" is not in:\n%s", line, text);
}

static void test_samples(_unused_ void **state)
{
	static const char *const lines[] = {
		"dvcertd_build_info{version=\"0.1.0\"} 1",
		"dvcertd_start_timestamp_seconds 1700000000",
		"dvcertd_config_load_timestamp_seconds 1700000100",
		"dvcertd_config_load_success 1",
		"dvcertd_domains 2",
		"dvcertd_api_requests_total{endpoint=\"order.submit\",code=\"201\"} 3",
		"dvcertd_api_requests_total{endpoint=\"order.info\",code=\"none\"} 1",
		"dvcertd_api_requests_total{endpoint=\"order.info\",code=\"other\"} 2",
		"dvcertd_scutum_requests_total{code=\"200\"} 7",
		"dvcertd_api_window_requests{window=\"5s\"} 90",
		"dvcertd_api_window_left{window=\"5s\"} 88",
		"dvcertd_api_key_accepted 1",
		"dvcertd_orders_allowed_per_day 50",
		"dvcertd_orders_last_day 4",
		"dvcertd_orders_placed_total 4",
		"dvcertd_poll_success_timestamp_seconds 1700000200",
		"dvcertd_poll_interval_seconds 3600",
		"dvcertd_loop_busy_max_seconds 1.023",
		"dvcertd_stuck_domains 1",
		"dvcertd_stuck_total 5",
		"dvcertd_notify_calls_total{event=\"failed\",result=\"done\"} 2",
		"dvcertd_notify_calls_total{event=\"failed\",result=\"failed\"} 1",
		"dvcertd_domain_state{name=\"a.example.jp\",state=\"valid\"} 1",
		"dvcertd_domain_state{name=\"a.example.jp\",state=\"failed\"} 0",
		"dvcertd_domain_state{name=\"b.example.jp\",state=\"new\"} 1",
		"dvcertd_certificate_not_before_timestamp_seconds{name=\"a.example.jp\"} 1690000000",
		"dvcertd_certificate_not_after_timestamp_seconds{name=\"a.example.jp\"} 1707193600",
		"dvcertd_certificate_renewal_timestamp_seconds{name=\"a.example.jp\"} 1704300000",
		"dvcertd_order_valid_until_timestamp_seconds{name=\"a.example.jp\"} 1721500000",
		"dvcertd_domain_next_action_timestamp_seconds{name=\"a.example.jp\",action=\"reissue\"} "
		"1704300000",
		"dvcertd_domain_error_info{name=\"b.example.jp\",code=\"bad \\\"code\\\"\\\\\\nend\"} 1",
		"dvcertd_deploy_undone{name=\"a.example.jp\"} 2",
		"dvcertd_deploy_undone{name=\"b.example.jp\"} 0",
		"dvcertd_served_serial_match{name=\"a.example.jp\",target=\"verify:127.0.0.1:443\"} 1",
		"dvcertd_served_serial_match{name=\"a.example.jp\",target=\"verify:[::1]:443\"} 0",
		"dvcertd_served_look_timestamp_seconds{name=\"a.example.jp\",target=\"verify:[::1]:443\"} "
		"1700000400",
	};

	for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
		_cleanup_free_ char *text = render(&FULL, openmetrics);

		for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
			assert_has(text, lines[i]);
	}
}

static void test_formats(_unused_ void **state)
{
	_cleanup_free_ char *open = render(&FULL, true);
	_cleanup_free_ char *plain = render(&FULL, false);

	assert_has(open, "# TYPE dvcertd_api_requests counter");
	assert_has(open, "# TYPE dvcertd_build info");
	assert_string_equal(open + strlen(open) - 7, "\n# EOF\n");
	assert_has(plain, "# TYPE dvcertd_api_requests_total counter");
	assert_has(plain, "# TYPE dvcertd_domain_error_info gauge");
	assert_null(strstr(plain, "# EOF"));
}

/* What is not known is not there; it is never 0, which would be 1970. */
static void test_absent(_unused_ void **state)
{
	struct metrics m = FULL;
	_cleanup_free_ char *text = NULL;

	m.polled_at = 0;
	text = render(&m, true);
	assert_null(strstr(text, "dvcertd_poll_success"));
	assert_null(strstr(text, "dvcertd_textfile_timestamp"));
	assert_null(strstr(text, "timestamp_seconds{name=\"b.example.jp\""));
	assert_null(strstr(text, "verify:never"));
	assert_null(strstr(text, "_seconds 0\n# HELP dvcertd_loop"));
}

static void test_textfile(_unused_ void **state)
{
	struct metrics m = FULL;
	_cleanup_free_ char *text = NULL;

	m.textfile_at = 1700000555;
	text = render(&m, false);
	assert_has(text, "dvcertd_textfile_timestamp_seconds 1700000555");
}

static void test_accept(_unused_ void **state)
{
	static const char *const open[] = {
		"application/openmetrics-text",
		"application/openmetrics-text;version=1.0.0,application/"
		"openmetrics-text;version=0.0.1;q=0.75,text/plain;"
		"version=0.0.4;q=0.5,*/*;q=0.1",
		"text/plain; q=0.5 , Application/OpenMetrics-Text ; version=1.0.0; q=0.6",
	};
	static const char *const plain[] = { "",
					     "*/*",
					     "text/html, text/plain",
					     "application/openmetrics-text;q=0",
					     "application/openmetrics-text;q=0.3,text/plain",
					     ",,;q=,  ,",
					     "application/openmetrics-text;q=" };

	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		assert_true(metrics_wants_openmetrics(open[i]));
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_false(metrics_wants_openmetrics(plain[i]));
}

/* The cap of the buffer holds, and says so. */
static void test_cap(_unused_ void **state)
{
	struct strbuf sb = STRBUF_INIT(1000);

	metrics_render(&FULL, true, &sb);
	assert_false(strbuf_ok(&sb));
	strbuf_done(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_absent),	cmocka_unit_test(test_textfile),
		cmocka_unit_test(test_accept),	cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
