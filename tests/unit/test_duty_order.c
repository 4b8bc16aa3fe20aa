/* SPDX-License-Identifier: Apache-2.0 */
/* Targets in a row: what runs again when something in front of it, or behind it, turned out otherwise (docs/DEPLOYMENT.md). */
#include "daemon/core/duty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "daemon/core/decide.h"
#include "daemon/core/retry.h"

#define T0    INT64_C(1795248000)
#define TEMPO 60
#define DAY   (RETRY_LOOK * TEMPO)

enum { FILES, RELOAD, HOOK, LOOK, PUSH, LOOK2, N };

static const struct cfg_deploy TARGETS[N] = {
	{ .target = "files:/etc/x.pem" },	   { .target = "reload:nginx.service" },
	{ .target = "exec:/usr/local/bin/after" }, { .target = "verify:127.0.0.1:443" },
	{ .target = "scutum:a.example" },	   { .target = "verify:a.example:443" }
};
static const struct cfg_domain ALL = { .name = "a.example", .deploy = TARGETS, .n_deploy = N };

static struct record *installed(void)
{
	struct record *r = record_new("a.example");

	r->cert.generation = 2;
	assert_true(duty_plan(r, &ALL, false));
	return r;
}

/* The run of target i ends at `now`. code NULL: well. */
static struct job_update ends(struct record *r, uint32_t i, int64_t now, enum fault f, const char *code,
			      bool is_old)
{
	struct job_env env = { .tempo = TEMPO, .now = now };
	struct outcome o = OUTCOME_OK;
	struct job_update u = { 0 };

	if (code)
		(void)outcome_set(&o, f, code, "trouble");
	duty_deploy_done(r, i, &env, &o, is_old, &u);
	return u;
}

static void well(struct record *r, uint32_t i, int64_t now)
{
	(void)ends(r, i, now, FAULT_NONE, NULL, false);
}

/* All that is due at `now`, in order, as a string of digits. */
static const char *run_all(struct record *r, int64_t now, char buf[32])
{
	size_t n = 0;
	uint32_t i;

	while ((i = duty_deploy_due(r, now)) != DUTY_NONE && n < 31) {
		buf[n++] = (char)('0' + i);
		well(r, i, now);
	}
	buf[n] = '\0';
	return buf;
}

static void test_in_the_order_of_the_configuration(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	assert_string_equal(run_all(r, T0, ran), "012345");
	assert_int_equal(duty_deploy_next_at(r), DUE_NEVER);
}

static void test_what_failed_in_front_makes_the_rest_run_again(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)ends(r, FILES, T0, FAULT_LOCAL, "files", false);
	/* It does not hold up the others. */
	assert_string_equal(run_all(r, T0, ran), "12345");
	/* The push was of the pair itself: it needs no other target. */
	assert_string_equal(run_all(r, T0 + TEMPO, ran), "01235");
	assert_int_equal(duty_deploy_next_at(r), DUE_NEVER);
}

static void test_hook_that_failed(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	well(r, FILES, T0);
	well(r, RELOAD, T0);
	(void)ends(r, HOOK, T0, FAULT_UNCLEAR, "exit", false);
	assert_string_equal(run_all(r, T0, ran), "345");
	assert_string_equal(run_all(r, T0 + TEMPO, ran), "235");
}

static void test_look_that_failed_makes_nothing_run(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	for (uint32_t i = FILES; i < LOOK; i++)
		well(r, i, T0);
	(void)ends(r, LOOK, T0, FAULT_LOCAL, "not-served", true);
	assert_true(r->deploys[LOOK].differs);
	assert_int_equal(r->deploys[LOOK].looked_at, T0);
	assert_string_equal(run_all(r, T0, ran), "45");
	assert_string_equal(run_all(r, T0 + TEMPO, ran), "3");
	assert_false(r->deploys[LOOK].differs);
}

/* Added to the configuration later, in front: what is behind it has not seen it. */
static void test_target_added_later(void **state)
{
	static const struct cfg_domain before = { .name = "a.example", .deploy = TARGETS + 1, .n_deploy = 2 };
	static const struct cfg_domain now = { .name = "a.example", .deploy = TARGETS, .n_deploy = 3 };
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	char ran[32];

	(void)state;
	r->cert.generation = 2;
	assert_true(duty_plan(r, &before, false));
	assert_string_equal(run_all(r, T0, ran), "01");
	assert_true(duty_plan(r, &now, false));
	assert_string_equal(run_all(r, T0, ran), "012");
}

/* What a failing target behind waits for may just have come: it does not sit out its pause. Its error stays until it is mended. */
static void test_pause_behind_ends(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)ends(r, FILES, T0, FAULT_LOCAL, "files", false);
	for (unsigned k = 0; k < 6; k++)
		(void)ends(r, RELOAD, T0, FAULT_UNCLEAR, "test", false);
	assert_true(r->deploys[RELOAD].next_at > T0 + 10 * TEMPO);
	well(r, FILES, T0 + TEMPO);
	assert_string_equal(r->deploys[RELOAD].code, "test");
	assert_int_equal(r->deploys[RELOAD].attempts, 6);
	assert_string_equal(run_all(r, T0 + TEMPO, ran), "12345");
}

static void test_final_refusal_stays(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)ends(r, PUSH, T0, FAULT_AUTH, "403", false);
	assert_string_equal(run_all(r, T0, ran), "01235");
	assert_int_equal(r->deploys[PUSH].state, DEPLOY_FAILED);
}

static void test_daily_look(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u;
	char ran[32];

	(void)state;
	assert_int_equal(duty_look_next_at(r, TEMPO), DUE_NEVER);
	(void)run_all(r, T0, ran);
	assert_int_equal(duty_look_next_at(r, TEMPO), T0 + DAY);
	assert_int_equal(duty_look_due(r, TEMPO, T0 + DAY - 1), DUTY_NONE);
	assert_int_equal(duty_look_due(r, TEMPO, T0 + DAY), LOOK);
	u = ends(r, LOOK, T0 + DAY, FAULT_NONE, NULL, false);
	assert_true(u.persist);
	assert_int_equal(u.n_reports, 0);
	assert_int_equal(r->deploys[LOOK].at, T0);
	assert_int_equal(r->deploys[LOOK].looked_at, T0 + DAY);
	assert_int_equal(duty_look_due(r, TEMPO, T0 + DAY), LOOK2);
	assert_int_equal(duty_deploy_next_at(r), DUE_NEVER);
}

static void test_an_earlier_certificate_is_back(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u;
	char ran[32];

	(void)state;
	(void)run_all(r, T0, ran);
	u = ends(r, LOOK2, T0 + DAY, FAULT_LOCAL, "not-served", true);
	assert_int_equal(u.n_reports, 1);
	assert_int_equal(u.reports[0].kind, REPORT_NOT_SERVED);
	assert_int_equal(r->deploys[LOOK2].state, DEPLOY_TODO);
	assert_string_equal(r->deploys[LOOK2].code, "not-served");
	assert_true(r->deploys[LOOK2].differs);
	/* Everything that brought it there, once, and both looks. */
	assert_string_equal(run_all(r, T0 + DAY, ran), "012345");
	assert_false(r->deploys[LOOK2].differs);
	/* Once: as long as it is not seen to be right, it is only looked at. */
	(void)ends(r, LOOK2, T0 + 2 * DAY, FAULT_LOCAL, "not-served", true);
	for (uint32_t i = 0; i < LOOK2; i++)
		well(r, i, T0 + 2 * DAY);
	(void)ends(r, LOOK2, T0 + 2 * DAY, FAULT_LOCAL, "not-served", true);
	assert_int_equal(duty_deploy_due(r, T0 + 2 * DAY), DUTY_NONE);
	assert_string_equal(run_all(r, T0 + 3 * DAY, ran), "5");
}

static void test_somebody_elses_certificate(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)run_all(r, T0, ran);
	(void)ends(r, LOOK, T0 + DAY, FAULT_LOCAL, "not-served", false);
	assert_true(r->deploys[LOOK].differs);
	assert_string_equal(run_all(r, T0 + DAY + TEMPO, ran), "3");
}

/* It was not known for an earlier one of ours at first (its folder could not be read), or took the place of somebody else's. */
static void test_an_earlier_certificate_behind_another_one(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u;
	char ran[32];

	(void)state;
	(void)run_all(r, T0, ran);
	u = ends(r, LOOK2, T0 + DAY, FAULT_LOCAL, "not-served", false);
	assert_int_equal(u.reports[0].kind, REPORT_NOT_SERVED);
	assert_int_equal(duty_deploy_due(r, T0 + DAY), DUTY_NONE);
	u = ends(r, LOOK2, T0 + DAY + TEMPO, FAULT_LOCAL, "not-served", true);
	assert_int_equal(u.reports[0].kind, REPORT_DEPLOY_RETRY);
	assert_int_equal(duty_deploy_due(r, T0 + DAY + TEMPO), FILES);
	for (uint32_t i = 0; i < LOOK2; i++)
		well(r, i, T0 + DAY + TEMPO);
	/* Once. */
	(void)ends(r, LOOK2, T0 + DAY + TEMPO, FAULT_LOCAL, "not-served", true);
	assert_int_equal(duty_deploy_due(r, T0 + DAY + TEMPO), DUTY_NONE);
	assert_string_equal(run_all(r, T0 + 2 * DAY, ran), "5");
	assert_false(r->deploys[LOOK2].differs || r->deploys[LOOK2].older);
}

static void test_server_that_is_away(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)run_all(r, T0, ran);
	(void)ends(r, LOOK, T0 + DAY, FAULT_UNSENT, "connect", false);
	assert_false(r->deploys[LOOK].differs);
	assert_int_equal(r->deploys[LOOK].looked_at, T0);
	assert_int_equal(r->deploys[LOOK].state, DEPLOY_TODO);
	assert_string_equal(run_all(r, T0 + DAY + TEMPO, ran), "3");
}

/* Down at the daily look, and then up again with what a backup had: nobody but us can have been right there before. */
static void test_server_that_comes_back_with_an_earlier_certificate(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	struct job_update u;
	char ran[32];

	(void)state;
	(void)run_all(r, T0, ran);
	u = ends(r, LOOK, T0 + DAY, FAULT_UNSENT, "connect", false);
	assert_int_equal(u.reports[0].kind, REPORT_NOT_SERVED);
	u = ends(r, LOOK, T0 + DAY + TEMPO, FAULT_UNSENT, "connect", false);
	assert_int_equal(u.reports[0].kind, REPORT_DEPLOY_RETRY);
	u = ends(r, LOOK, T0 + DAY + 3 * TEMPO, FAULT_LOCAL, "not-served", true);
	assert_int_equal(u.reports[0].kind, REPORT_NOT_SERVED);
	for (uint32_t i = FILES; i <= LOOK; i++)
		assert_int_equal(r->deploys[i].state, DEPLOY_TODO);
	/* Once: when that does not help, it is the server's configuration. */
	well(r, FILES, T0 + DAY + 3 * TEMPO);
	well(r, RELOAD, T0 + DAY + 3 * TEMPO);
	well(r, HOOK, T0 + DAY + 3 * TEMPO);
	u = ends(r, LOOK, T0 + DAY + 3 * TEMPO, FAULT_LOCAL, "not-served", true);
	assert_int_equal(u.reports[0].kind, REPORT_DEPLOY_RETRY);
	assert_int_equal(r->deploys[RELOAD].state, DEPLOY_DONE);
}

/* Never right since this generation was installed: it reads other files, and no reload changes that. */
static void test_earlier_certificate_from_the_beginning(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();

	(void)state;
	well(r, FILES, T0);
	well(r, RELOAD, T0);
	well(r, HOOK, T0);
	(void)ends(r, LOOK, T0, FAULT_UNSENT, "connect", false);
	(void)ends(r, LOOK, T0 + TEMPO, FAULT_LOCAL, "not-served", true);
	assert_int_equal(r->deploys[RELOAD].state, DEPLOY_DONE);
}

static void test_clock_that_was_ahead(void **state)
{
	_cleanup_(record_freep) struct record *r = installed();
	char ran[32];

	(void)state;
	(void)run_all(r, T0 + 400 * DAY, ran);
	duty_end_far_pauses(r, T0, T0 + 2 * DAY);
	assert_int_equal(duty_look_next_at(r, TEMPO), T0 + DAY);
}

static void test_names_of_targets(void **state)
{
	(void)state;
	assert_int_equal(record_deploy_type("files"), CFG_DEPLOY_FILES);
	assert_int_equal(record_deploy_type("files#2"), CFG_DEPLOY_FILES);
	assert_int_equal(record_deploy_type("verify:[::1]:443#2"), CFG_DEPLOY_VERIFY);
	assert_int_equal(record_deploy_type("scutum:a"), CFG_DEPLOY_SCUTUM);
	assert_int_equal(record_deploy_type("filesystem:x"), CFG_DEPLOY_NR);
	assert_int_equal(record_deploy_type(""), CFG_DEPLOY_NR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_of_the_configuration),
		cmocka_unit_test(test_what_failed_in_front_makes_the_rest_run_again),
		cmocka_unit_test(test_hook_that_failed),
		cmocka_unit_test(test_look_that_failed_makes_nothing_run),
		cmocka_unit_test(test_target_added_later),
		cmocka_unit_test(test_pause_behind_ends),
		cmocka_unit_test(test_final_refusal_stays),
		cmocka_unit_test(test_daily_look),
		cmocka_unit_test(test_an_earlier_certificate_is_back),
		cmocka_unit_test(test_somebody_elses_certificate),
		cmocka_unit_test(test_an_earlier_certificate_behind_another_one),
		cmocka_unit_test(test_server_that_is_away),
		cmocka_unit_test(test_server_that_comes_back_with_an_earlier_certificate),
		cmocka_unit_test(test_earlier_certificate_from_the_beginning),
		cmocka_unit_test(test_clock_that_was_ahead),
		cmocka_unit_test(test_names_of_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
