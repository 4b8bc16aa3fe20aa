/* SPDX-License-Identifier: Apache-2.0 */
/* What would be done now, with which requests, and what after that. */
#include "daemon/core/forecast.h"

#include "tests/unit/job_fixture.h"

#include "common/strbuf.h"

#define LIFE (199 * DAY)
#define PLAN (365 * DAY)

static struct forecast look_with(const struct forecast_env *env)
{
	struct forecast f;

	forecast(env, &f);
	return f;
}

static struct forecast_env looking_at(const struct cfg_domain *spec, const struct record *r)
{
	return (struct forecast_env){
		.view = { .spec = spec, .rec = r, .now = T0, .order_allowed_at = T0, .cert_life = LIFE },
		.plan_life = PLAN
	};
}

static struct forecast look(const struct record *r)
{
	struct forecast_env env = looking_at(&SPEC, r);

	return look_with(&env);
}

static struct record *installed(int64_t age, int64_t plan_left)
{
	struct record *r = record_new("a.example");

	r->cert.generation = 1;
	r->cert.order_id = 77;
	r->cert.certificate_id = 88;
	r->cert.serial = xstrdup("01");
	r->cert.names = xstrdup("b.example a.example");
	r->cert.key = xstrdup("rsa 2048");
	r->cert.not_before = T0 - age;
	r->cert.not_after = T0 - age + LIFE;
	r->cert.order_valid_until = T0 + plan_left;
	return r;
}

/* All calls, with commas between them. */
static void calls(const struct forecast *f, const char *expected)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(FORECAST_CALLS_MAX * FORECAST_CALL_LEN);

	for (unsigned i = 0; i < f->n_calls; i++)
		strbuf_addf(&sb, "%s%s", i ? ", " : "", f->calls[i]);
	assert_string_equal(strbuf_str(&sb), expected);
}

static const struct cfg_domain RSA = { .name = "a.example",
				       .common_name = "a.example",
				       .names = NAMES,
				       .n_names = 2,
				       .product = "ssl_dv_geotrust",
				       .key = { .type = CFG_KEY_RSA, .bits = 2048 },
				       .spec_hash = 1 };

static struct cfg_domain with_method(enum cfg_dcv_method m)
{
	struct cfg_domain spec = RSA;

	spec.dcv.method = m;
	return spec;
}

static void test_new(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct forecast f = look(r);

	(void)state;
	assert_int_equal(f.action, FORECAST_ORDER);
	assert_int_equal(f.reason, REASON_NEW);
	assert_int_equal(f.at, T0);
	assert_true(f.is_paid);
	assert_false(f.postponed);
	assert_false(f.at_least);
	calls(&f, "POST /order/certificate/ssl_dv_geotrust, PUT /order/certificate/{order_id}/check-dcv, "
		  "GET /order/certificate/{order_id}, "
		  "GET /certificate/{certificate_id}/download/format/pem_all");
	/* 199 of 365 days: the next one is a reissue inside the plan. */
	assert_int_equal(f.then, WANT_REISSUE);
	assert_true(f.then_at > T0 + 150 * DAY && f.then_at < T0 + LIFE);
}

static void test_every_dns_method_takes_the_same_calls(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	static const enum cfg_dcv_method METHODS[] = { CFG_DCV_HTTP_TOKEN, CFG_DCV_DNS_TXT_TOKEN,
						       CFG_DCV_DNS_CNAME_TOKEN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(METHODS); i++) {
		struct cfg_domain spec = with_method(METHODS[i]);
		struct forecast_env env = looking_at(&spec, r);

		assert_int_equal(look_with(&env).n_calls, 4);
	}
}

static void test_email_waits_for_a_click(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct cfg_domain spec = with_method(CFG_DCV_EMAIL);
	struct forecast_env env = looking_at(&spec, r);
	struct forecast f = look_with(&env);

	(void)state;
	assert_true(f.at_least);
	calls(&f, "POST /order/certificate/ssl_dv_geotrust, GET /order/certificate/{order_id}, "
		  "GET /certificate/{certificate_id}/download/format/pem_all");
}

static void test_instant(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct cfg_domain cname = with_method(CFG_DCV_DNS_CNAME_TOKEN);
	struct forecast_env env = looking_at(&RSA, r);
	struct forecast f;

	(void)state;
	env.instant = true;
	f = look_with(&env);
	assert_true(f.asks_auth_key);
	calls(&f, "GET /account/auth-keys, POST /order/certificate/ssl_dv_geotrust");
	env.auth_key_known = true;
	f = look_with(&env);
	assert_false(f.asks_auth_key);
	calls(&f, "POST /order/certificate/ssl_dv_geotrust");
	/* Request tokens are for TXT and HTTP only. */
	env.view.spec = &cname;
	assert_int_equal(look_with(&env).n_calls, 4);
}

static void test_good_until_its_renewal(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(DAY, 364 * DAY);
	struct forecast_env env = looking_at(&RSA, r);
	struct forecast f = look_with(&env);

	(void)state;
	assert_int_equal(f.action, FORECAST_NONE);
	assert_int_equal(f.reason, REASON_GOOD);
	assert_int_equal(f.at, 0);
	assert_int_equal(f.n_calls, 0);
	assert_int_equal(f.then, WANT_REISSUE);
	assert_int_equal(f.then_at, decide_renew_at(&env.view));
	assert_false(f.names_differ);
	assert_false(f.key_differs);
}

static void test_reissue_inside_the_plan(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(190 * DAY, 175 * DAY);
	struct forecast_env env = looking_at(&RSA, r);
	struct forecast f = look_with(&env);

	(void)state;
	assert_int_equal(f.action, FORECAST_REISSUE);
	assert_int_equal(f.reason, REASON_RENEWAL);
	assert_false(f.is_paid);
	calls(&f, "POST /order/certificate/77/reissue, PUT /order/certificate/77/check-dcv, "
		  "GET /order/certificate/77, GET /certificate/{certificate_id}/download/format/pem_all");
	/* That one lasts as long as the plan: then an order. */
	assert_int_equal(f.then, WANT_ORDER);
	assert_true(f.then_at > T0 + 100 * DAY && f.then_at < T0 + 175 * DAY);
}

static void test_other_names_and_keys(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(DAY, 364 * DAY);
	struct forecast_env env = looking_at(&RSA, r);
	struct cfg_domain ec = RSA;
	struct forecast f;

	(void)state;
	free(r->cert.names);
	r->cert.names = xstrdup("a.example c.example");
	f = look_with(&env);
	assert_int_equal(f.action, FORECAST_REISSUE);
	assert_int_equal(f.reason, REASON_NAMES);
	assert_true(f.names_differ && f.loses_names && f.gains_names && f.is_paid);
	free(r->cert.names);
	r->cert.names = xstrdup("a.example b.example");
	ec.key = (struct cfg_key){ .type = CFG_KEY_EC_P256 };
	env.view.spec = &ec;
	f = look_with(&env);
	assert_int_equal(f.action, FORECAST_REISSUE);
	assert_int_equal(f.reason, REASON_KEY);
	assert_true(f.key_differs);
	assert_false(f.is_paid);
	/* When the plan is over, it is only said. */
	r->cert.order_valid_until = T0 + DAY / 2;
	f = look_with(&env);
	assert_int_equal(f.action, FORECAST_NONE);
	assert_true(f.key_differs);
}

static void test_budget_postpones_what_costs(void **state)
{
	_cleanup_(record_freep) struct record *fresh = record_new("a.example");
	_cleanup_(record_freep) struct record *old = installed(190 * DAY, 175 * DAY);
	struct forecast_env env = looking_at(&RSA, fresh);
	struct forecast f;

	(void)state;
	env.view.order_allowed_at = T0 + 500;
	f = look_with(&env);
	assert_int_equal(f.action, FORECAST_ORDER);
	assert_int_equal(f.reason, REASON_BUDGET);
	assert_true(f.postponed);
	assert_int_equal(f.at, T0 + 500);
	env.view.rec = old;
	f = look_with(&env);
	assert_int_equal(f.action, FORECAST_REISSUE);
	assert_false(f.postponed);
	assert_int_equal(f.at, T0);
}

static void resumes(enum job_phase phase, const char *expected)
{
	_cleanup_(record_freep) struct record *r = record_in(phase);
	struct forecast f = look(r);

	assert_int_equal(f.action, FORECAST_RESUME);
	assert_int_equal(f.reason, REASON_UNDER_WAY);
	calls(&f, expected);
}

#define REST	  "PUT /order/certificate/77/check-dcv, GET /order/certificate/77, "
#define FETCH(id) "GET /certificate/" id "/download/format/pem_all"

static void test_what_is_left_of_a_job(void **state)
{
	(void)state;
	resumes(PHASE_PREPARE,
		"POST /order/certificate/ssl_dv_geotrust, PUT /order/certificate/{order_id}/check-dcv, "
		"GET /order/certificate/{order_id}, " FETCH("{certificate_id}"));
	resumes(PHASE_SUBMIT, "PUT /order/certificate/{order_id}/check-dcv, "
			      "GET /order/certificate/{order_id}, " FETCH("{certificate_id}"));
	resumes(PHASE_RESOLVE,
		"GET /order/alternate/ours, GET /order/certificate/{order_id}, "
		"PUT /order/certificate/{order_id}/dcv-random-value, "
		"PUT /order/certificate/{order_id}/check-dcv, GET /order/certificate/{order_id}, " FETCH(
			"{certificate_id}"));
	resumes(PHASE_PUBLISH, REST FETCH("{certificate_id}"));
	resumes(PHASE_CHECK, REST FETCH("{certificate_id}"));
	resumes(PHASE_WAIT,
		"GET /order/certificate/77, PUT /order/certificate/77/dcv-random-value, " REST FETCH(
			"{certificate_id}"));
	resumes(PHASE_DOWNLOAD, FETCH("88"));
	resumes(PHASE_INSTALL, "");
}

static void test_what_is_left_depends_on_the_facts(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
	struct cfg_domain txt = with_method(CFG_DCV_DNS_TXT_TOKEN), email = with_method(CFG_DCV_EMAIL);
	struct forecast_env env = looking_at(&RSA, r);
	struct forecast f;

	(void)state;
	r->job->validated = true;
	r->job->next_at = T0 + 300;
	f = look_with(&env);
	assert_int_equal(f.at, T0 + 300);
	assert_false(f.is_paid);
	calls(&f, "GET /order/certificate/77, " FETCH("{certificate_id}"));
	r->job->validated = false;
	env.view.spec = &txt;
	f = look_with(&env);
	calls(&f, "GET /order/certificate/77, PUT /order/certificate/77/dcv-method, " REST FETCH(
			  "{certificate_id}"));
	r->job->method = CFG_DCV_EMAIL;
	env.view.spec = &email;
	f = look_with(&env);
	assert_true(f.at_least);
	calls(&f, "GET /order/certificate/77, " FETCH("{certificate_id}"));
}

static void test_reissue_that_may_be_out_there(void **state)
{
	_cleanup_(record_freep) struct record *r = installed(190 * DAY, 175 * DAY);
	_cleanup_(record_freep) struct record *other = record_in(PHASE_RESOLVE);
	struct forecast f;

	(void)state;
	r->job = TAKE_PTR(other->job);
	r->job->kind = JOB_REISSUE;
	r->job->of_order_id = 77;
	f = look(r);
	calls(&f, "GET /order/certificate/77, GET /order/certificate/77, "
		  "PUT /order/certificate/77/dcv-random-value, " REST FETCH("{certificate_id}"));
	assert_int_equal(f.then, WANT_ORDER);
}

static void test_held(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);
	struct forecast f;

	(void)state;
	r->held = true;
	f = look(r);
	assert_int_equal(f.action, FORECAST_NONE);
	assert_int_equal(f.reason, REASON_HELD);
	assert_int_equal(f.n_calls, 0);
	assert_int_equal(f.then_at, DUE_NEVER);
}

static void test_targets(void **state)
{
	static const struct cfg_deploy TARGET = { .target = "scutum:a.example" };
	_cleanup_(record_freep) struct record *r = installed(DAY, 364 * DAY);
	struct cfg_domain spec = RSA;
	struct forecast_env env = looking_at(&spec, r);

	(void)state;
	spec.deploy = &TARGET;
	spec.n_deploy = 1;
	assert_int_equal(look_with(&env).action, FORECAST_DEPLOY);
	r->deploys = xcalloc(1, sizeof(*r->deploys));
	r->n_deploys = 1;
	r->deploys[0] = (struct record_deploy){ .target = xstrdup("scutum:a.example"),
						.state = DEPLOY_DONE,
						.generation = 1 };
	assert_int_equal(look_with(&env).action, FORECAST_NONE);
	r->deploys[0].state = DEPLOY_TODO;
	assert_int_equal(look_with(&env).action, FORECAST_DEPLOY);
	r->deploys[0].state = DEPLOY_FAILED; /* waits for a person */
	assert_int_equal(look_with(&env).action, FORECAST_NONE);
	assert_string_equal(forecast_action_name(FORECAST_DEPLOY), "deploy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_every_dns_method_takes_the_same_calls),
		cmocka_unit_test(test_email_waits_for_a_click),
		cmocka_unit_test(test_instant),
		cmocka_unit_test(test_good_until_its_renewal),
		cmocka_unit_test(test_reissue_inside_the_plan),
		cmocka_unit_test(test_other_names_and_keys),
		cmocka_unit_test(test_budget_postpones_what_costs),
		cmocka_unit_test(test_what_is_left_of_a_job),
		cmocka_unit_test(test_what_is_left_depends_on_the_facts),
		cmocka_unit_test(test_reissue_that_may_be_out_there),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
