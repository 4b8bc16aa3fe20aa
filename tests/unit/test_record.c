/* SPDX-License-Identifier: Apache-2.0 */
/* The record in memory: errors that count, the ledger of paid posts, the list of proofs. */
#include "daemon/core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "daemon/core/budget.h"

#define T0 INT64_C(1795248000)

static void test_new_is_empty(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	assert_string_equal(r->name, "a.example");
	assert_null(r->job);
	assert_false(r->held);
	assert_int_equal(r->cert.generation, 0);
	assert_int_equal(r->n_deploys + r->n_proofs + r->n_paid, 0);
	record_free(NULL);
	record_job_free(NULL);
	record_revocation_free(NULL);
}

static void test_names_and_words(void **state)
{
	const char *const names[] = { "a.example", "*.b.example", "c.example" };
	_cleanup_free_ char *none = record_join_names(names, 0);
	_cleanup_free_ char *one = record_join_names(names, 1);
	_cleanup_free_ char *all = record_join_names(names, 3);

	(void)state;
	assert_string_equal(none, "");
	assert_string_equal(one, "a.example");
	assert_string_equal(all, "a.example *.b.example c.example");
	assert_string_equal(record_deploy_word(DEPLOY_TODO), "todo");
	assert_string_equal(record_deploy_word(DEPLOY_DONE), "done");
	assert_string_equal(record_deploy_word(DEPLOY_FAILED), "failed");
}

static void test_words_of_kinds_and_places(void **state)
{
	char buf[RECORD_KEY_MAX];

	(void)state;
	assert_string_equal(record_kind_word(JOB_ORDER), "order");
	assert_string_equal(record_kind_word(JOB_REISSUE), "reissue");
	assert_string_equal(record_place_word(PROOF_WEBROOT), "webroot");
	assert_string_equal(record_place_word(PROOF_TXT), "TXT");
	assert_string_equal(record_place_word(PROOF_CNAME), "CNAME");
	assert_string_equal(record_key_text(&(struct cfg_key){ .type = CFG_KEY_RSA, .bits = 8192 }, buf),
			    "rsa 8192");
	assert_string_equal(record_key_text(&(struct cfg_key){ .type = CFG_KEY_EC_P256 }, buf), "ec P-256");
	assert_string_equal(record_key_text(&(struct cfg_key){ .type = CFG_KEY_EC_P384 }, buf), "ec P-384");
}

static void test_names_among(void **state)
{
	(void)state;
	assert_true(record_names_are_among("a.example", "b.example a.example"));
	assert_true(record_names_are_among("a.example b.example", "b.example a.example"));
	assert_false(record_names_are_among("a.example c.example", "b.example a.example"));
	assert_false(record_names_are_among("a.example", "aa.example a.example.jp"));
	assert_false(record_names_are_among("a.example", NULL));
	assert_true(record_names_are_among("", "a.example"));
	assert_true(record_names_are_among(NULL, NULL));
}

static void test_error_counts_while_it_stays_the_same(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_set_error(r, T0, "connect", "no route");
	assert_int_equal(r->error.attempts, 1);
	record_set_error(r, T0 + 5, "connect", "refused");
	assert_int_equal(r->error.attempts, 2);
	assert_int_equal(r->error.at, T0 + 5);
	assert_string_equal(r->error.message, "refused");
	record_set_error(r, T0 + 6, "429", NULL);
	assert_int_equal(r->error.attempts, 1);
	assert_null(r->error.message);
	record_set_error(r, T0 + 7, NULL, "ignored");
	assert_null(r->error.code);
	assert_int_equal(r->error.attempts, 0);
	assert_int_equal(r->error.at, 0);
}

/* A caller may hand in the very strings that are replaced. */
static void test_error_from_itself(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_set_error(r, T0, "connect", "no route");
	record_set_error(r, T0, r->error.code, r->error.message);
	assert_string_equal(r->error.code, "connect");
	assert_string_equal(r->error.message, "no route");
	assert_int_equal(r->error.attempts, 2);
}

static void test_ledger_keeps_a_day(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_add_paid(r, T0);
	record_add_paid(r, T0 + 1);
	assert_int_equal(r->n_paid, 2);
	record_prune_paid(r, T0 + BUDGET_SPAN - 1);
	assert_int_equal(r->n_paid, 2);
	record_prune_paid(r, T0 + BUDGET_SPAN);
	assert_int_equal(r->n_paid, 1);
	assert_int_equal(r->paid_at[0], T0 + 1);
	record_prune_paid(r, T0 + BUDGET_SPAN + 1);
	assert_int_equal(r->n_paid, 0);
	assert_null(r->paid_at);
	record_prune_paid(r, T0);
	/* A clock that went back: what lies in the future is kept. */
	record_add_paid(r, T0);
	record_add_paid(r, T0 - 30 * BUDGET_SPAN);
	assert_int_equal(r->n_paid, 2);
}

static void test_ledger_takes_back(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_drop_paid(r, T0);
	record_add_paid(r, T0);
	record_add_paid(r, T0);
	record_add_paid(r, T0 + 9);
	record_drop_paid(r, T0 + 1);
	assert_int_equal(r->n_paid, 3);
	record_drop_paid(r, T0);
	assert_int_equal(r->n_paid, 2);
	assert_int_equal(r->paid_at[0], T0);
	assert_int_equal(r->paid_at[1], T0 + 9);
	record_drop_paid(r, T0);
	record_drop_paid(r, T0);
	assert_int_equal(r->n_paid, 1);
	assert_int_equal(r->paid_at[0], T0 + 9);
}

/* Another in place, name or value is another. */
static void test_proofs_in_dns(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");
	struct record_proof copy = { 0 };

	(void)state;
	record_add_proof(r, PROOF_WEBROOT, "p", NULL, "t");
	record_add_proof(r, PROOF_TXT, "p", "n", "t");
	record_add_proof(r, PROOF_CNAME, "p", "n", "t");
	record_add_proof(r, PROOF_TXT, "p", "n2", "t");
	record_add_proof(r, PROOF_TXT, "p", "n", "t2");
	record_add_proof(r, PROOF_TXT, "p2", "n", "t");
	assert_int_equal(r->n_proofs, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_false(r->proofs[i].again);
		assert_int_equal(record_find_proof(r, &r->proofs[i]), i);
	}
	record_add_proof(r, PROOF_TXT, "p", "n", "t");
	assert_int_equal(r->n_proofs, 6);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(r->proofs[i].again, i == 1);
	record_proof_copy(&r->proofs[1], &copy);
	assert_false(copy.again);
	record_drop_proof(r, 1);
	assert_int_equal(record_find_proof(r, &copy), UINT32_MAX);
	record_proof_done(&copy);
	assert_null(copy.where);
	record_proof_done(&copy);
}

static void test_proofs(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new("a.example");

	(void)state;
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t1");
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t2");
	record_add_proof(r, PROOF_WEBROOT, "/srv/b", NULL, "t1");
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t1");
	assert_int_equal(r->n_proofs, 3);
	record_drop_proof(r, 0);
	assert_int_equal(r->n_proofs, 2);
	assert_string_equal(r->proofs[0].where, "/srv/b");
	assert_string_equal(r->proofs[1].value, "t2");
	record_drop_proof(r, 1);
	record_drop_proof(r, 0);
	assert_int_equal(r->n_proofs, 0);
	assert_null(r->proofs);
	record_add_proof(r, PROOF_WEBROOT, "/srv/a", NULL, "t1");
	assert_int_equal(r->n_proofs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_is_empty),
		cmocka_unit_test(test_names_and_words),
		cmocka_unit_test(test_error_counts_while_it_stays_the_same),
		cmocka_unit_test(test_error_from_itself),
		cmocka_unit_test(test_ledger_keeps_a_day),
		cmocka_unit_test(test_ledger_takes_back),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_proofs_in_dns),
		cmocka_unit_test(test_words_of_kinds_and_places),
		cmocka_unit_test(test_names_among),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
