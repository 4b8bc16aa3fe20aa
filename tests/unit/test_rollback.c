/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/rollback.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "daemon/core/decide.h"
#include "daemon/core/job.h"

#define T0  INT64_C(1795248000)
#define DAY INT64_C(86400)

static const struct cfg_domain SPEC = { .name = "a.example",
					.names = (const char *const[]){ "a.example" },
					.n_names = 1,
					.key = { .type = CFG_KEY_RSA, .bits = 2048 } };

static void fill(struct record_cert *c, unsigned generation, int64_t from, int64_t until)
{
	c->generation = generation;
	c->order_id = 100 + generation;
	c->certificate_id = 1000 + generation;
	c->serial = xasprintf("%02u", generation);
	c->names = xstrdup("a.example");
	c->key = xstrdup("rsa 2048");
	c->not_before = from;
	c->not_after = until;
	c->order_valid_until = from + 365 * DAY;
}

/* Renewed yesterday, in an order of its own; the older one has 20 days left. */
static struct record *renewed(void)
{
	struct record *r = record_new("a.example");

	fill(&r->cert, 1, T0 - 179 * DAY, T0 + 20 * DAY);
	record_keep_previous(r);
	free(r->cert.serial);
	free(r->cert.names);
	free(r->cert.key);
	fill(&r->cert, 2, T0 - DAY, T0 + 198 * DAY);
	return r;
}

static enum want wanted(const struct record *r, int64_t now, enum reason *ret_reason)
{
	struct view v = { .spec = &SPEC, .rec = r, .now = now, .cert_life = 199 * DAY };
	struct decision d;

	decide(&v, &d);
	*ret_reason = d.reason;
	return d.want;
}

static void test_there_and_back(void **state)
{
	_cleanup_(record_freep) struct record *r = renewed();

	(void)state;
	assert_int_equal(rollback_check(r, T0, NULL), 0);
	rollback_apply(r, T0);
	assert_int_equal(r->cert.generation, 1);
	assert_string_equal(r->cert.serial, "01");
	assert_int_equal(r->cert.certificate_id, 1001);
	assert_int_equal(r->cert.not_after, T0 + 20 * DAY);
	assert_int_equal(r->previous->generation, 2);
	/* The plan that was paid last, and no surprise that its order has another certificate. */
	assert_int_equal(r->cert.order_id, 102);
	assert_int_equal(r->cert.order_valid_until, T0 + 364 * DAY);
	assert_int_equal(r->cert.other_id, 1002);

	assert_int_equal(rollback_check(r, T0 + DAY, NULL), 0);
	rollback_apply(r, T0 + DAY);
	assert_int_equal(r->cert.generation, 2);
	assert_int_equal(r->cert.order_id, 102);
	assert_int_equal(r->cert.certificate_id, 1002);
	assert_int_equal(r->cert.other_id, 0);
	assert_int_equal(r->rest_until, 0);
}

/* Its renewal point is long past: without a rest the next one would be ordered in the same second. */
static void test_rest(void **state)
{
	_cleanup_(record_freep) struct record *r = renewed();
	enum reason reason;

	(void)state;
	rollback_apply(r, T0);
	assert_int_equal(r->rest_until, T0 + 7 * DAY);
	assert_int_equal(wanted(r, T0, &reason), WANT_NOTHING);
	assert_int_equal(reason, REASON_RESTING);
	assert_int_equal(wanted(r, r->rest_until, &reason), WANT_REISSUE);
	assert_int_equal(reason, REASON_RENEWAL);
	/* A rest does not keep anybody from replacing what clients refuse. */
	r->cert.revoked_at = T0;
	assert_int_equal(wanted(r, T0, &reason), WANT_REISSUE);
}

static void test_rest_leaves_half(void **state)
{
	_cleanup_(record_freep) struct record *r = renewed();

	(void)state;
	r->previous->not_after = T0 + 2 * DAY;
	rollback_apply(r, T0);
	assert_int_equal(r->rest_until, T0 + DAY);
}

static void refuses(const struct record *r, const char *part)
{
	struct err err = ERR_INIT;

	assert_int_equal(rollback_check(r, T0, &err), -EINVAL);
	if (!strstr(err.text, part))
		print_error("%s\n", err.text);
	assert_non_null(strstr(err.text, part));
}

static void test_refused(void **state)
{
	_cleanup_(record_freep) struct record *empty = record_new("a.example");
	_cleanup_(record_freep) struct record *first = record_new("a.example");
	_cleanup_(record_freep) struct record *r = renewed();

	(void)state;
	refuses(empty, "nothing is installed");
	fill(&first->cert, 1, T0, T0 + DAY);
	refuses(first, "no certificate before generation 0001");
	r->previous->not_after = T0;
	refuses(r, "has expired");
	r->previous->not_after = T0 + DAY;
	r->previous->revoked_at = T0 - 1;
	refuses(r, "is revoked");
	r->previous->revoked_at = 0;
	r->previous->key_lost = true;
	refuses(r, "key of generation 0001 is lost");
	r->previous->key_lost = false;
	r->job = xmalloc(sizeof(*r->job));
	refuses(r, "an issuance is under way (prepare)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_rest_leaves_half),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
