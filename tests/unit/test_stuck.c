/* SPDX-License-Identifier: Apache-2.0 */
/* The stuck detector: when it speaks, and that it stays silent over everything that only looks like it. The second half plants lost
 * wake-ups: the runner is the test's own here, and does not keep what it promises. */
#include "daemon/stuck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/expiry.h"
#include "daemon/messages.h"
#include "daemon/metrics.h"
#include "tests/unit/fake_io.h"

#include <string.h>

#define NOW 1800000000

static struct stuck_view view(int64_t due_at, bool busy, uint32_t progress)
{
	return (struct stuck_view){
		.due_at = due_at, .busy = busy, .progress = progress, .slack_ms = 600000, .limit_ms = 4000000
	};
}

static void test_overdue(_unused_ void **state)
{
	struct stuck s = { 0 };
	struct stuck_view v = view(NOW - 1, false, 7);

	assert_int_equal(stuck_look(&s, &v, NOW, 1000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW + 300, 300000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW + 601, 601000), STUCK_FOUND);
	assert_int_equal(stuck_look(&s, &v, NOW + 900, 900000), STUCK_NO_NEWS); /* once */
	v.due_at = NOW + 5000;
	assert_int_equal(stuck_look(&s, &v, NOW + 901, 901000), STUCK_OVER);
	assert_int_equal(stuck_look(&s, &v, NOW + 902, 902000), STUCK_NO_NEWS);
}

/* Due, and done late or in time, or put off: never stuck. */
static void test_progress(_unused_ void **state)
{
	struct stuck s = { 0 };

	for (uint32_t i = 0; i < 100; i++) {
		struct stuck_view v = view(NOW - 1, false, i);

		assert_int_equal(stuck_look(&s, &v, NOW, 1000 + i * 590000), STUCK_NO_NEWS);
	}
	for (int64_t i = 0; i < 100; i++) {
		struct stuck_view v = view(NOW - 100 + i, false, 0);

		assert_int_equal(stuck_look(&s, &v, NOW, 1000000000 + i * 590000), STUCK_NO_NEWS);
	}
}

/* The clock is set a year ahead, or the machine sleeps: everything is overdue at once, and nobody is to blame. */
static void test_clock_jump(_unused_ void **state)
{
	struct stuck s = { 0 };
	struct stuck_view v = view(NOW + 86400, false, 0);

	assert_int_equal(stuck_look(&s, &v, NOW, 1000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW + 365 * 86400, 2000), STUCK_NO_NEWS);
	v = view(NOW + 366 * 86400, false, 1);
	assert_int_equal(stuck_look(&s, &v, NOW + 365 * 86400, 300000), STUCK_NO_NEWS);
	assert_int_equal(s.since_ms, 0);
}

static void test_busy(_unused_ void **state)
{
	struct stuck s = { 0 };
	struct stuck_view v = view(INT64_MAX, true, 3);

	assert_int_equal(stuck_look(&s, &v, NOW, 1000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW, 3900000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW, 4001000), STUCK_FOUND);
	v.progress++;
	assert_int_equal(stuck_look(&s, &v, NOW, 4002000), STUCK_OVER);
	assert_int_equal(stuck_look(&s, &v, NOW, 8001000), STUCK_NO_NEWS);
	assert_int_equal(stuck_look(&s, &v, NOW, 8003000), STUCK_FOUND);
}

/* --- the daemon's side --- */

static int64_t expected_at;
static unsigned n_admitted, n_looked, n_errors, n_infos;
static char last_text[1024];

int64_t runner_expected_at(_unused_ const struct domain *d)
{
	return expected_at;
}

void runner_admit(_unused_ struct domain *d)
{
	n_admitted++;
}

void runner_look(_unused_ struct domain *d)
{
	n_looked++;
}

void runner_refresh(_unused_ struct domain *d)
{
}

void metrics_changed(_unused_ struct app *a)
{
}

static unsigned n_told;

void expiry_tell(_unused_ const struct app *a)
{
	n_told++;
}

struct domain *lock_owner(_unused_ const struct domain *d)
{
	return NULL;
}

void runner_log(_unused_ const struct domain *d, enum log_level level, const struct log_msgid *id,
		const char *fmt, ...)
{
	va_list ap;

	assert_ptr_equal(id, level == LOG_LEVEL_ERROR ? &MSG_STUCK : &MSG_UNSTUCK);
	n_errors += level == LOG_LEVEL_ERROR;
	n_infos += level == LOG_LEVEL_INFO;
	va_start(ap, fmt);
	vsnprintf(last_text, sizeof(last_text), fmt, ap);
	va_end(ap);
}

struct box {
	struct loop loop;
	struct app app;
	struct config config;
	struct cfg_domain spec;
	struct domain domain, *list[1];
	struct record *rec;
	struct record_job job;
	struct flight flight;
};

static int setup(void **state)
{
	struct box *b = xmalloc(sizeof(*b));

	b->config.certcentral.poll_interval = 60;
	b->app = (struct app){ .config = &b->config, .loop = &b->loop, .domains = b->list, .n_domains = 1 };
	b->rec = record_new("www.example.jp");
	b->domain = (struct domain){ .app = &b->app, .config = &b->config, .spec = &b->spec, .rec = b->rec };
	b->list[0] = &b->domain;
	expected_at = INT64_MAX;
	n_admitted = n_looked = n_errors = n_infos = 0;
	stuck_start(&b->app);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	stuck_stop(&b->app);
	b->rec->job = NULL;
	record_free(b->rec);
	free(b);
	return 0;
}

static void pass(struct box *b, int64_t s)
{
	fake_run(&b->loop, s * 1000);
}

/* The agenda forgot a domain that is due. */
static void test_lost_wakeup(void **state)
{
	struct box *b = *state;

	n_told = 0;
	pass(b, 3600);
	assert_int_equal(n_errors, 0);
	assert_in_range(n_told, 17, 19); /* those that run out are told of by the same timer */
	expected_at = clock_now() + 1000;
	pass(b, 1000 + 590);
	assert_int_equal(n_errors, 0);
	pass(b, 600);
	assert_int_equal(n_errors, 1);
	assert_non_null(strstr(last_text, "nothing has happened since"));
	assert_int_equal(n_looked, 1);
	assert_int_equal(b->app.n_stuck, 1);
	assert_int_equal(b->domain.stuck_at > 0, 1);
	pass(b, 86400);
	assert_int_equal(n_errors, 1); /* told once */
	expected_at = INT64_MAX;
	pass(b, 600);
	assert_int_equal(n_infos, 1);
	assert_int_equal(b->app.n_stuck, 0);
	assert_int_equal(b->app.stuck_total, 1);
	assert_int_equal(b->domain.stuck_at, 0);
}

/* A job whose operation got lost: no time is planned for it, because its end would have gone on. It is treated as after a restart. */
static void test_lost_operation(void **state)
{
	struct box *b = *state;

	b->rec->job = &b->job;
	b->job.phase = PHASE_SUBMIT;
	pass(b, 1200);
	assert_int_equal(n_errors, 1);
	assert_non_null(strstr(last_text, "it should go on at once"));
	assert_int_equal(n_admitted, 1);
	assert_int_equal(n_looked, 0);
}

/* A job that pauses, one that a person has to look after, one whose record is being written: not lost. */
static void test_what_waits_rightly(void **state)
{
	struct box *b = *state;

	b->rec->job = &b->job;
	b->job.next_at = clock_now() + 864000;
	pass(b, 7200);
	b->job.next_at = 0;
	b->rec->held = true;
	pass(b, 7200);
	b->rec->held = false;
	b->domain.flight = &b->flight;
	b->flight.dirty = true;
	pass(b, 7200);
	assert_int_equal(n_errors, 0);
}

/* An operation that never calls back. */
static void test_lost_answer(void **state)
{
	struct box *b = *state;

	b->rec->job = &b->job;
	b->domain.flight = &b->flight;
	b->flight.operation = (struct operation *)&b->job; /* never looked into */
	pass(b, 3600);
	assert_int_equal(n_errors, 0);
	stuck_progress(&b->domain);
	pass(b, 3600);
	assert_int_equal(n_errors, 0);
	pass(b, 1400);
	assert_int_equal(n_errors, 1);
	assert_non_null(strstr(last_text, "has not ended long after every time limit"));
	assert_int_equal(n_admitted + n_looked, 0);
	b->domain.flight = NULL;
	b->rec->job = NULL;
	pass(b, 600);
	assert_int_equal(n_infos, 1);
}

/* Its own time limits are the administrator's business. */
static void test_limits_of_hooks(void **state)
{
	struct box *b = *state;
	const struct cfg_deploy hook = { .type = CFG_DEPLOY_EXEC, .exec = { .timeout = 3600 } };

	b->spec.deploy = &hook;
	b->spec.n_deploy = 1;
	b->domain.flight = &b->flight;
	b->flight.deploying = (struct deploy_run *)&b->job;
	pass(b, 7200);
	assert_int_equal(n_errors, 0);
	pass(b, 1400);
	assert_int_equal(n_errors, 1);
}

/* A domain that goes away takes its count with it. */
static void test_forget(void **state)
{
	struct box *b = *state;

	expected_at = 0;
	pass(b, 1200);
	assert_int_equal(b->app.n_stuck, 1);
	stuck_forget(&b->domain);
	stuck_forget(&b->domain);
	assert_int_equal(b->app.n_stuck, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_clock_jump),
		cmocka_unit_test(test_busy),
		T(test_lost_wakeup),
		T(test_lost_operation),
		T(test_what_waits_rightly),
		T(test_lost_answer),
		T(test_limits_of_hooks),
		T(test_forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
