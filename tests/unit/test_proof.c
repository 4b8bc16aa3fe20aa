/* SPDX-License-Identifier: Apache-2.0 */
/* Which records or file a proof is, and which of them are still needed. */
#include "tests/unit/job_fixture.h"

#include "daemon/core/proof.h"

static void test_names(void **state)
{
	static const struct {
		const char *names, *label, *proofs;
	} ROWS[] = {
		{ "a.example", "_dnsauth", "_dnsauth.a.example" },
		{ "a.example b.example", "_dnsauth", "_dnsauth.a.example _dnsauth.b.example" },
		{ "a.example", "@", "a.example" },
		/* A wildcard is proven at the name below its star: the apex and it need one record. */
		{ "*.a.example", "_dnsauth", "_dnsauth.a.example" },
		{ "*.a.example a.example", "_dnsauth", "_dnsauth.a.example" },
		{ "a.example b.example *.a.example", "@", "a.example b.example" },
		{ "*.a.example *.b.a.example", "@", "a.example b.a.example" },
		/* One name that ends in another is another. */
		{ "b.a.example a.example", "@", "b.a.example a.example" },
		{ "", "_dnsauth", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_free_ char *proofs = proof_names(ROWS[i].names, ROWS[i].label);

		assert_string_equal(proofs, ROWS[i].proofs);
	}
}

static void expect_proof(const struct record *r, uint32_t i, enum proof_place place, const char *where,
			 const char *name, const char *value)
{
	assert_true(i < r->n_proofs);
	assert_int_equal(r->proofs[i].place, place);
	assert_string_equal(r->proofs[i].where, where);
	if (name)
		assert_string_equal(r->proofs[i].name, name);
	else
		assert_null(r->proofs[i].name);
	assert_string_equal(r->proofs[i].value, value);
}

static void test_record_webroot(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);

	(void)state;
	assert_true(proof_record(r, &SPEC));
	assert_int_equal(r->n_proofs, 1);
	expect_proof(r, 0, PROOF_WEBROOT, "/srv/www", NULL, "token");
	/* The responder needs nothing, nor does mail. */
	record_drop_proof(r, 0);
	assert_false(proof_record(r, &OTHER));
	assert_false(proof_record(r, &SPEC_EMAIL));
	assert_int_equal(r->n_proofs, 0);
}

/* Each value at each place: request tokens come in several spellings. */
static void test_record_txt(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);

	(void)state;
	job_fixture_set(&r->job->targets, "_dnsauth.a.example else.example");
	job_fixture_set(&r->job->dcv_token, "t1 t2");
	assert_true(proof_record(r, &SPEC_TXT));
	assert_int_equal(r->n_proofs, 4);
	expect_proof(r, 0, PROOF_TXT, "corp", "_dnsauth.a.example", "t1");
	expect_proof(r, 1, PROOF_TXT, "corp", "_dnsauth.a.example", "t2");
	expect_proof(r, 2, PROOF_TXT, "corp", "else.example", "t1");
	expect_proof(r, 3, PROOF_TXT, "corp", "else.example", "t2");
	assert_true(proof_record(r, &SPEC_TXT));
	assert_int_equal(r->n_proofs, 4);
	assert_true(r->proofs[0].again && r->proofs[3].again);
}

static void test_record_cname(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);

	(void)state;
	job_fixture_set(&r->job->names, "a.example *.a.example b.example");
	assert_true(proof_record(r, &SPEC_CNAME));
	assert_int_equal(r->n_proofs, 2);
	expect_proof(r, 0, PROOF_CNAME, "corp", "_dnsauth.a.example", "token.dcv.digicert.com");
	expect_proof(r, 1, PROOF_CNAME, "corp", "_dnsauth.b.example", "token.dcv.digicert.com");
}

/* Withdrawing that fails for months must not make the record unreadable; what is needed now is never forgotten. */
static void test_old_proofs_are_forgotten_in_the_end(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_PUBLISH);
	unsigned needed = 0;

	(void)state;
	for (int i = 0; i < RECORD_PROOFS_MAX - 1; i++) {
		_cleanup_free_ char *name = xasprintf("n%d.example", i);

		record_add_proof(r, PROOF_TXT, "corp", name, i == 7 ? "t1" : "old");
	}
	r->job->method = CFG_DCV_DNS_TXT_TOKEN;
	job_fixture_set(&r->job->dcv_token, "t1 t2");
	job_fixture_set(&r->job->targets, "x.example y.example");
	assert_true(proof_record(r, &SPEC_TXT));
	assert_int_equal(r->n_proofs, RECORD_PROOFS_MAX);
	for (uint32_t i = 0; i < r->n_proofs; i++)
		needed += proof_is_needed(r, &r->proofs[i]);
	assert_int_equal(needed, 5);
}

static void test_file_text(void **state)
{
	_cleanup_free_ char *one = proof_file_text("value");
	_cleanup_free_ char *three = proof_file_text("t1 t2 t3");

	(void)state;
	assert_string_equal(one, "value");
	assert_string_equal(three, "t1\nt2\nt3");
}

static void test_words_about_methods(void **state)
{
	(void)state;
	for (unsigned m = 0; m < CFG_DCV_NR; m++) {
		bool txt = m == CFG_DCV_DNS_TXT_TOKEN;

		assert_int_equal(proof_can_be_early((enum cfg_dcv_method)m), m == CFG_DCV_HTTP_TOKEN || txt);
		assert_int_equal(proof_is_dns((enum cfg_dcv_method)m), m == CFG_DCV_DNS_CNAME_TOKEN || txt);
	}
}

static struct record_proof proof(enum proof_place place, const char *value)
{
	return (struct record_proof){ .place = place, .value = (char *)(uintptr_t)value };
}

static bool is_needed(const struct record *r, enum proof_place place, const char *value)
{
	struct record_proof p = proof(place, value);

	return proof_is_needed(r, &p);
}

static void test_needed_by_its_method_only(void **state)
{
	static const struct {
		enum cfg_dcv_method method;
		enum proof_place place;
		const char *value;
		bool needed;
	} ROWS[] = {
		{ CFG_DCV_HTTP_TOKEN, PROOF_WEBROOT, "t1 t2", true },
		{ CFG_DCV_HTTP_TOKEN, PROOF_WEBROOT, "t1", false },
		{ CFG_DCV_HTTP_TOKEN, PROOF_TXT, "t1", false },
		{ CFG_DCV_DNS_TXT_TOKEN, PROOF_TXT, "t1", true },
		{ CFG_DCV_DNS_TXT_TOKEN, PROOF_TXT, "t2", true },
		{ CFG_DCV_DNS_TXT_TOKEN, PROOF_TXT, "t", false },
		{ CFG_DCV_DNS_TXT_TOKEN, PROOF_WEBROOT, "t1 t2", false },
		{ CFG_DCV_DNS_TXT_TOKEN, PROOF_CNAME, "t1 t2.dcv.digicert.com", false },
		{ CFG_DCV_DNS_CNAME_TOKEN, PROOF_CNAME, "t1 t2.dcv.digicert.com", true },
		{ CFG_DCV_DNS_CNAME_TOKEN, PROOF_CNAME, "t1 t2.dcv.digicert.org", false },
		{ CFG_DCV_DNS_CNAME_TOKEN, PROOF_CNAME, "t1 t2", false },
		{ CFG_DCV_DNS_CNAME_TOKEN, PROOF_CNAME, "t3.dcv.digicert.com", false },
		{ CFG_DCV_DNS_CNAME_TOKEN, PROOF_TXT, "t1", false },
		{ CFG_DCV_EMAIL, PROOF_WEBROOT, "t1 t2", false },
		{ CFG_DCV_EMAIL, PROOF_TXT, "t1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);

		r->job->method = ROWS[i].method;
		job_fixture_set(&r->job->dcv_token, "t1 t2");
		if (is_needed(r, ROWS[i].place, ROWS[i].value) != ROWS[i].needed)
			fail_msg("row %d", (int)i);
	}
}

static void test_not_needed_any_more(void **state)
{
	_cleanup_(record_freep) struct record *r = record_in(PHASE_CHECK);

	(void)state;
	assert_true(is_needed(r, PROOF_WEBROOT, "token"));
	r->held = true; /* it may go on any time */
	assert_true(is_needed(r, PROOF_WEBROOT, "token"));
	r->job->yielded = true;
	assert_false(is_needed(r, PROOF_WEBROOT, "token"));
	r->job->yielded = false;
	r->job->issued = true;
	assert_false(is_needed(r, PROOF_WEBROOT, "token"));
	r->job->issued = false;
	job_fixture_set(&r->job->dcv_token, "another");
	assert_false(is_needed(r, PROOF_WEBROOT, "token"));
	job_fixture_set(&r->job->dcv_token, NULL);
	assert_false(is_needed(r, PROOF_WEBROOT, "token"));
	record_job_free(TAKE_PTR(r->job));
	assert_false(is_needed(r, PROOF_WEBROOT, "token"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_record_webroot),
		cmocka_unit_test(test_record_txt),
		cmocka_unit_test(test_record_cname),
		cmocka_unit_test(test_old_proofs_are_forgotten_in_the_end),
		cmocka_unit_test(test_file_text),
		cmocka_unit_test(test_words_about_methods),
		cmocka_unit_test(test_needed_by_its_method_only),
		cmocka_unit_test(test_not_needed_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
