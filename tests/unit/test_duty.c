/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments and proofs as durable to-dos. */
#include "daemon/core/duty.h"
#include "daemon/core/proof.h"

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

static const struct cfg_deploy TARGETS[] = { { .target = "scutum:a" },
					     { .target = "scutum:b" },
					     { .target = "scutum:c" } };
static const struct cfg_domain AB = { .name = "a.example", .deploy = TARGETS, .n_deploy = 2 };
static const struct cfg_domain BC = { .name = "a.example", .deploy = TARGETS + 1, .n_deploy = 2 };
static const struct cfg_domain NOBODY = { .name = "a.example" };
static const struct job_env ENV = { .tempo = TEMPO, .now = T0 };

static struct record *installed(unsigned generation)
{
	struct record *r = record_new("a.example");

	r->cert.generation = generation;
	return r;
}

static struct job_update deploy_ends(struct record *r, uint32_t i, enum fault f, int64_t retry_after)
{
	struct outcome o = { .fault = f, .retry_after = retry_after, .code = "503", .message = "busy" };
	struct job_update u = { 0 };

	duty_deploy_done(r, i, &ENV, &o, false, &u);
	return u;
}

static void test_plan_follows_the_configuration(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(3);

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	assert_int_equal(r->n_deploys, 2);
	assert_string_equal(r->deploys[0].target, "scutum:a");
	assert_int_equal(r->deploys[1].generation, 3);
	assert_int_equal(r->deploys[1].state, DEPLOY_TODO);
	assert_false(duty_plan(r, &AB, false));

	(void)deploy_ends(r, 1, FAULT_NONE, 0);
	assert_false(duty_plan(r, &AB, false));
	assert_int_equal(r->deploys[1].state, DEPLOY_DONE);

	/* b stays done though its place changes, a vanishes, c is new. */
	assert_true(duty_plan(r, &BC, false));
	assert_string_equal(r->deploys[0].target, "scutum:b");
	assert_int_equal(r->deploys[0].state, DEPLOY_DONE);
	assert_string_equal(r->deploys[1].target, "scutum:c");
	assert_int_equal(r->deploys[1].state, DEPLOY_TODO);

	assert_true(duty_plan(r, &NOBODY, false));
	assert_int_equal(r->n_deploys, 0);
	assert_false(duty_plan(r, &NOBODY, true));
}

/* Whoever is told "unchanged" does not write the record. */
static void test_plan_tells_every_change(void **state)
{
	static const struct cfg_deploy SWAPPED[] = { { .target = "scutum:c" }, { .target = "scutum:b" } };
	static const struct cfg_domain CB = { .name = "a.example", .deploy = SWAPPED, .n_deploy = 2 };
	_cleanup_(record_freep) struct record *r = installed(0);

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	assert_true(duty_plan(r, &BC, false));
	assert_true(duty_plan(r, &CB, false));
	assert_string_equal(r->deploys[0].target, "scutum:c");
	assert_false(duty_plan(r, &CB, false));
}

static void test_plan_after_an_installation(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(3);

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	(void)deploy_ends(r, 0, FAULT_NONE, 0);
	(void)deploy_ends(r, 1, FAULT_REFUSED, 0);
	r->cert.generation = 4;
	assert_true(duty_plan(r, &AB, false));
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(r->deploys[i].state, DEPLOY_TODO);
		assert_int_equal(r->deploys[i].generation, 4);
		assert_int_equal(r->deploys[i].attempts, 0);
		assert_null(r->deploys[i].code);
	}
}

static void test_plan_again_on_demand(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(3);

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	(void)deploy_ends(r, 0, FAULT_NONE, 0);
	(void)deploy_ends(r, 1, FAULT_AUTH, 0);
	assert_true(duty_plan(r, &AB, true));
	assert_int_equal(r->deploys[0].state, DEPLOY_TODO);
	assert_int_equal(r->deploys[1].state, DEPLOY_TODO);
	assert_int_equal(r->deploys[1].next_at, 0);
}

static void test_nothing_is_deployed_before_something_is_installed(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(0);

	(void)state;
	assert_true(duty_plan(r, &AB, true));
	assert_int_equal(duty_deploy_due(r, T0), DUTY_NONE);
	assert_int_equal(duty_deploy_next_at(r), DUE_NEVER);
	r->cert.generation = 1;
	assert_true(duty_plan(r, &AB, false));
	assert_int_equal(duty_deploy_due(r, T0), 0);
	assert_int_equal(duty_deploy_next_at(r), 0);
}

static void test_deploy_done(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(1);
	struct job_update u;

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	u = deploy_ends(r, 0, FAULT_NONE, 0);
	assert_true(u.persist);
	assert_int_equal(u.n_reports, 1);
	assert_int_equal(u.reports[0].kind, REPORT_DEPLOYED);
	assert_non_null(strstr(u.reports[0].text, "has generation 0001"));
	assert_int_equal(r->deploys[0].at, T0);
	assert_int_equal(duty_deploy_due(r, T0), 1);
	(void)deploy_ends(r, 1, FAULT_NONE, 0);
	assert_int_equal(duty_deploy_due(r, T0), DUTY_NONE);
	assert_int_equal(duty_deploy_next_at(r), DUE_NEVER);
}

/* What went well with a reservation says so once. */
static void test_deploy_done_with_a_note(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(1);
	struct outcome o = { .message = "[::1]:443 was not looked at" };
	struct job_update u = { 0 };
	struct job_env env = { .now = T0, .tempo = 60 };

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	duty_deploy_done(r, 0, &env, &o, false, &u);
	assert_int_equal(u.reports[0].kind, REPORT_DEPLOYED);
	assert_non_null(strstr(u.reports[0].text, "has generation 0001; [::1]:443 was not looked at"));
	assert_int_equal(r->deploys[0].state, DEPLOY_DONE);
}

static void test_deploy_is_tried_again(void **state)
{
	static const enum fault AGAIN[] = { FAULT_UNSENT,    FAULT_UNCLEAR, FAULT_THROTTLED,
					    FAULT_NOT_FOUND, FAULT_LOCAL,   FAULT_BUSY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(AGAIN); i++) {
		_cleanup_(record_freep) struct record *r = installed(1);
		struct job_update u;

		assert_true(duty_plan(r, &AB, false));
		u = deploy_ends(r, 0, AGAIN[i], 0);
		assert_true(u.persist);
		assert_int_equal(u.reports[0].kind, REPORT_DEPLOY_RETRY);
		assert_int_equal(r->deploys[0].state, DEPLOY_TODO);
		assert_int_equal(r->deploys[0].next_at, T0 + TEMPO);
		assert_string_equal(r->deploys[0].code, "503");
		/* The other one does not wait. */
		assert_int_equal(duty_deploy_due(r, T0), 1);
		assert_int_equal(duty_deploy_next_at(r), 0);
		(void)deploy_ends(r, 1, FAULT_NONE, 0);
		assert_int_equal(duty_deploy_next_at(r), T0 + TEMPO);
		assert_int_equal(duty_deploy_due(r, T0 + TEMPO - 1), DUTY_NONE);
		assert_int_equal(duty_deploy_due(r, T0 + TEMPO), 0);
	}
}

static void test_pauses_of_a_deployment_grow(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(1);

	(void)state;
	assert_true(duty_plan(r, &AB, false));
	for (unsigned i = 0; i < 40; i++) {
		(void)deploy_ends(r, 0, FAULT_UNCLEAR, 0);
		assert_int_equal(r->deploys[0].next_at, T0 + (i < 9 ? TEMPO << i : TEMPO * RETRY_CAP));
	}
	r->deploys[0].attempts = UINT32_MAX;
	(void)deploy_ends(r, 0, FAULT_UNCLEAR, 0);
	assert_int_equal(r->deploys[0].next_at, T0 + TEMPO * RETRY_CAP);
	/* What the other side asks for counts when it is longer. */
	r->deploys[0].attempts = 0;
	(void)deploy_ends(r, 0, FAULT_THROTTLED, 7200);
	assert_int_equal(r->deploys[0].next_at, T0 + 7200);
	r->deploys[0].attempts = 0;
	(void)deploy_ends(r, 0, FAULT_THROTTLED, 5);
	assert_int_equal(r->deploys[0].next_at, T0 + TEMPO);
}

static void test_deploy_needs_a_person(void **state)
{
	static const enum fault FINAL[] = { FAULT_REFUSED, FAULT_AUTH, FAULT_CONFIG, FAULT_BAD_CERT };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(FINAL); i++) {
		_cleanup_(record_freep) struct record *r = installed(1);
		struct job_update u;

		assert_true(duty_plan(r, &AB, false));
		u = deploy_ends(r, 0, FINAL[i], 0);
		assert_int_equal(u.reports[0].kind, REPORT_DEPLOY_FAILED);
		assert_int_equal(r->deploys[0].state, DEPLOY_FAILED);
		assert_int_equal(duty_deploy_due(r, T0), 1);
		assert_string_equal(r->deploys[0].message, "busy");
	}
}

static void add_job(struct record *r, const char *token, bool issued)
{
	r->job = xmalloc(sizeof(*r->job));
	r->job->dcv_token = xstrdup_opt(token);
	r->job->issued = issued;
}

static void test_a_proof_stays_while_it_is_needed(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	assert_int_equal(duty_clean_next_at(r), DUE_NEVER);
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "new");
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "old");
	add_job(r, "new", false);
	assert_true(proof_is_needed(r, &r->proofs[0]));
	assert_false(proof_is_needed(r, &r->proofs[1]));
	assert_int_equal(duty_clean_due(r, T0), 1);
	record_drop_proof(r, 1);
	assert_int_equal(duty_clean_due(r, T0), DUTY_NONE);
	assert_int_equal(duty_clean_next_at(r), DUE_NEVER);
	r->job->issued = true;
	assert_int_equal(duty_clean_due(r, T0), 0);
	r->job->issued = false;
	/* No value known: whatever is there is old. */
	free(TAKE_PTR(r->job->dcv_token));
	assert_int_equal(duty_clean_due(r, T0), 0);
	record_job_free(TAKE_PTR(r->job));
	assert_int_equal(duty_clean_due(r, T0), 0);
	assert_int_equal(duty_clean_next_at(r), 0);
}

static void test_clean_done(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct outcome o = OUTCOME_OK;
	struct job_update u = { 0 };

	(void)state;
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t");
	r->clean_attempts = 4;
	r->clean_at = T0;
	duty_clean_done(r, 0, &ENV, &o, &u);
	assert_true(u.persist);
	assert_int_equal(u.n_reports, 0);
	assert_int_equal(r->n_proofs, 0);
	assert_int_equal(r->clean_attempts, 0);
	assert_int_equal(r->clean_at, 0);

	/* While a job runs its next write carries it. */
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t");
	add_job(r, "x", false);
	u = (struct job_update){ 0 };
	duty_clean_done(r, 0, &ENV, &o, &u);
	assert_false(u.persist);
	assert_int_equal(r->n_proofs, 0);
}

/* A yielded proof is put up again while its withdrawal is under way: which of them touched the file last, nobody
 * knows, so another withdrawal must follow before it may be forgotten. */
static void test_clean_of_what_is_put_up_again(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct outcome o = OUTCOME_OK;
	struct job_update u = { 0 };

	(void)state;
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t");
	add_job(r, "t", false);
	r->job->yielded = true;
	assert_int_equal(duty_clean_due(r, T0), 0);
	r->job->yielded = false;
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t");
	duty_clean_done(r, 0, &ENV, &o, &u);
	assert_int_equal(r->n_proofs, 1);
	assert_int_equal(duty_clean_due(r, T0), DUTY_NONE);
	r->job->issued = true;
	assert_int_equal(duty_clean_due(r, T0), 0);
	duty_clean_done(r, 0, &ENV, &o, &u);
	assert_int_equal(r->n_proofs, 0);
}

/* What cannot be removed goes behind the others, and what the server says it cannot have is left alone in the end. */
static void test_clean_of_what_is_elsewhere(void **state)
{
	static const char *const CODES[] = { "no-zone", "REFUSED" };

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(CODES); n++) {
		_cleanup_(record_freep) struct record *r = record_new("a.example");
		struct outcome o = OUTCOME_OK;
		struct job_update u = { 0 };

		record_add_proof(r, PROOF_TXT, "corp", "x.elsewhere.example", "v");
		record_add_proof(r, PROOF_TXT, "corp", "_dnsauth.a.example", "v");
		(void)outcome_set(&o, FAULT_REFUSED, CODES[n], "no");
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(r->n_proofs, 2);
			u = (struct job_update){ 0 };
			duty_clean_done(r, i == 0 ? 0 : 1, &ENV, &o, &u);
			assert_string_equal(r->proofs[r->n_proofs - 1].name,
					    r->n_proofs == 1 ? "_dnsauth.a.example" : "x.elsewhere.example");
		}
		assert_int_equal(r->n_proofs, n == 0 ? 1 : 2);
		assert_true(n != 0 ||
			    strstr(u.reports[0].text, "TXT record x.elsewhere.example is left alone"));
	}
}

static void test_clean_never_gives_up(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t");
	for (unsigned f = FAULT_UNSENT; f < FAULT_NR; f++) {
		struct outcome o = { .fault = (enum fault)f, .code = "x", .message = "no" };
		struct job_update u = { 0 };

		r->clean_attempts = f == FAULT_UNSENT ? UINT32_MAX : 0;
		duty_clean_done(r, 0, &ENV, &o, &u);
		assert_true(u.persist);
		assert_int_equal(u.reports[0].kind, REPORT_CLEAN_RETRY);
		assert_int_equal(r->n_proofs, 1);
		assert_int_equal(r->clean_at, T0 + (f == FAULT_UNSENT ? TEMPO * RETRY_CAP : TEMPO));
		assert_int_equal(duty_clean_next_at(r), r->clean_at);
		assert_int_equal(duty_clean_due(r, r->clean_at - 1), DUTY_NONE);
		assert_int_equal(duty_clean_due(r, r->clean_at), 0);
	}
}

static void test_pauses_of_a_wrong_clock_end(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(1);
	int64_t latest = T0 + RETRY_LONGEST(TEMPO);

	(void)state;
	(void)duty_plan(r, &AB, false);
	r->job = xmalloc(sizeof(*r->job));
	r->job->next_at = latest + 1;
	r->clean_at = latest;
	r->deploys[0].next_at = T0 + 300 * INT64_C(86400);
	r->deploys[1].next_at = T0 + 60;
	duty_end_far_pauses(r, T0, latest);
	assert_int_equal(r->job->next_at, T0);
	assert_int_equal(r->clean_at, latest);
	assert_int_equal(r->deploys[0].next_at, T0);
	assert_int_equal(r->deploys[1].next_at, T0 + 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_follows_the_configuration),
		cmocka_unit_test(test_plan_tells_every_change),
		cmocka_unit_test(test_plan_after_an_installation),
		cmocka_unit_test(test_plan_again_on_demand),
		cmocka_unit_test(test_nothing_is_deployed_before_something_is_installed),
		cmocka_unit_test(test_deploy_done),
		cmocka_unit_test(test_deploy_done_with_a_note),
		cmocka_unit_test(test_deploy_is_tried_again),
		cmocka_unit_test(test_pauses_of_a_deployment_grow),
		cmocka_unit_test(test_deploy_needs_a_person),
		cmocka_unit_test(test_a_proof_stays_while_it_is_needed),
		cmocka_unit_test(test_clean_done),
		cmocka_unit_test(test_clean_of_what_is_put_up_again),
		cmocka_unit_test(test_clean_of_what_is_elsewhere),
		cmocka_unit_test(test_clean_never_gives_up),
		cmocka_unit_test(test_pauses_of_a_wrong_clock_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
