/* SPDX-License-Identifier: Apache-2.0 */
/* What is not known for sure: a method that the CA may have taken. */
#include "tests/unit/job_fixture.h"

/* The CA may have taken the method although its answer is lost; what is wanted by then is told in any case. */
static void test_method_is_told_again(void **state)
{
	static const struct cfg_dns_provider provider = { .name = "corp" };
	_cleanup_(record_freep) struct record *r = record_in(PHASE_WAIT);
	struct cfg_domain dns = SPEC;
	struct job_env env = ENV;
	struct job_update u;

	(void)state;
	dns.dcv = (struct cfg_dcv){ .method = CFG_DCV_DNS_TXT_TOKEN,
				    .provider = &provider,
				    .label = "_dnsauth" };
	env.spec = &dns;
	u = step_in(r, &env,
		    (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_int_equal(u.start, OP_METHOD);
	assert_true(u.persist && r->job->method_asked);
	/* The configuration goes back before the answer comes. */
	u = step(r, (struct job_event){ .kind = EV_RESTART });
	assert_int_equal(u.start, OP_INFO);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_INFO, .order_state = ORDER_PENDING });
	assert_int_equal(u.start, OP_METHOD);
	u = step(r, (struct job_event){ .kind = EV_DONE, .op = OP_METHOD, .dcv_token = "tok" });
	assert_int_equal(u.start, OP_PUBLISH);
	assert_true(u.persist && !r->job->method_asked);
	assert_int_equal(r->job->method, CFG_DCV_HTTP_TOKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_method_is_told_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
