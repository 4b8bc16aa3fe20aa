/* SPDX-License-Identifier: Apache-2.0 */
/* A state file that is not exactly as it was written is not believed, whatever happened to it. */
#include "daemon/store/seal.h"

#include "tests/unit/job_fixture.h"

#include <errno.h>

#include "common/strbuf.h"
#include "daemon/core/decide.h"

#define NAME "a.example"

/* An order that was posted and not answered: the one record whose loss costs money. About 4 kB, as a real one. */
static struct record *posted(void)
{
	struct record *r = record_in(PHASE_SUBMIT);
	char csr[2600];

	memset(csr, 'M', sizeof(csr));
	csr[sizeof(csr) - 1] = '\0';
	job_fixture_set(&r->job->csr, csr);
	r->cert = (struct record_cert){ .generation = 1,
					.order_id = 70,
					.certificate_id = 71,
					.not_before = T0 - 100,
					.not_after = T0 + 100 };
	r->cert.serial = xstrdup("0aff");
	r->cert.names = xstrdup("a.example b.example");
	record_add_proof(r, PROOF_WEBROOT, "/srv/www", NULL, "token");
	return r;
}

static char *sealed(const struct record *r, size_t *ret_len)
{
	_cleanup_(json_freep) struct json *doc = record_encode(r);
	struct strbuf sb = STRBUF_INIT(1u << 20);

	seal_write(doc, &sb);
	assert_true(strbuf_ok(&sb));
	*ret_len = sb.len;
	return strbuf_take(&sb);
}

/* As load.c reads a file. */
static struct record *read_file(const char *text, size_t len)
{
	struct record *r = NULL;
	struct err e = ERR_INIT;
	int good = seal_check(text, len, &e);

	assert_true(good == 0 || e.text[0] != '\0');
	if (record_decode(NAME, text, len, &r, &e) < 0)
		return NULL;
	if (good < 0)
		record_free(TAKE_PTR(r));
	return r;
}

/* What a start does with it: does it post? */
static bool posts(struct record *r)
{
	struct job_update u = step(r, (struct job_event){ .kind = EV_RESTART });

	return u.start == OP_SUBMIT;
}

static void test_good(void **state)
{
	_cleanup_(record_freep) struct record *a = posted(), *b = NULL;
	size_t len = 0;
	_cleanup_free_ char *text = sealed(a, &len);
	_cleanup_(json_freep) struct json *doc = NULL;
	const char *check = NULL;

	(void)state;
	assert_true(len > 3500);
	assert_int_equal(seal_check(text, len, NULL), 0);
	/* Still JSON for everybody else. */
	assert_int_equal(json_parse(text, len, 1u << 20, &doc, NULL), 0);
	assert_int_equal(json_get_str(doc, "check", &check), 1);
	assert_int_equal(strlen(check), 16);
	assert_string_equal(text + len - 3, "\n}\n");
	b = read_file(text, len);
	assert_non_null(b);
	assert_false(posts(b));
}

static void test_every_flipped_bit_is_seen(void **state)
{
	_cleanup_(record_freep) struct record *a = posted();
	size_t len = 0;
	_cleanup_free_ char *text = sealed(a, &len);

	(void)state;
	for (size_t i = 0; i < len * 8; i++) {
		struct record *r;

		text[i / 8] = (char)(text[i / 8] ^ (1 << (i % 8)));
		r = read_file(text, len);
		if (r)
			fail_msg("bit %zu of byte %zu changed, and nobody saw it", i % 8, i / 8);
		text[i / 8] = (char)(text[i / 8] ^ (1 << (i % 8)));
	}
	assert_int_equal(seal_check(text, len, NULL), 0);
}

/* Without the checksum some of them would buy a second certificate: this is why it is there. */
static void test_flips_that_would_post(void **state)
{
	_cleanup_(record_freep) struct record *a = posted();
	size_t len = 0;
	_cleanup_free_ char *text = sealed(a, &len);
	unsigned n_posts = 0;

	(void)state;
	for (size_t i = 0; i < len * 8; i++) {
		struct record *r = NULL;

		text[i / 8] = (char)(text[i / 8] ^ (1 << (i % 8)));
		if (record_decode(NAME, text, len, &r, NULL) == 0 && posts(r))
			n_posts++;
		record_free(r);
		text[i / 8] = (char)(text[i / 8] ^ (1 << (i % 8)));
	}
	assert_true(n_posts > 0);
}

static void test_every_length(void **state)
{
	_cleanup_(record_freep) struct record *a = posted();
	size_t len = 0;
	_cleanup_free_ char *text = sealed(a, &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		_cleanup_free_ char *cut = xmemdup(text, n + 1); /* so that a read too far is seen */

		cut[n] = '\0';
		assert_int_equal(seal_check(cut, n, NULL), -EBADMSG);
		assert_null(read_file(cut, n));
	}
}

/* What file systems leave after a power failure: a piece of zeros, or of another file. */
static void test_torn_blocks(void **state)
{
	_cleanup_(record_freep) struct record *a = posted(), *b = posted();
	size_t len = 0, other_len = 0;
	_cleanup_free_ char *text = sealed(a, &len), *other = NULL;

	(void)state;
	b->job->submitted_at = 0;
	b->job->posts = 0;
	other = sealed(b, &other_len);
	for (size_t at = 0; at + 512 <= len; at += 64) {
		_cleanup_free_ char *zeroed = xmemdup(text, len + 1), *mixed = xmemdup(text, len + 1);

		memset(zeroed + at, 0, 512);
		assert_null(read_file(zeroed, len));
		if (at + 512 > other_len || memcmp(mixed + at, other + at, 512) == 0)
			continue;
		memcpy(mixed + at, other + at, 512);
		assert_null(read_file(mixed, len));
	}
}

static void test_edited(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} ROWS[] = {
		{ "", "missing" },
		{ "{}", "missing" },
		{ "{\n  \"version\": 1\n}\n", "missing" },
		{ "{\n  \"version\": 1,\n  \"check\": \"0123456789abcdef\"\n}\n", "wrong" },
		{ "{\n  \"version\": 1,\n  \"check\": \"0123456789abcde\"\n}\n", "missing" },
		{ ",\n  \"check\": \"cbf29ce484222325\"\n}\n", "missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(seal_check(ROWS[i].text, strlen(ROWS[i].text), &e), -EBADMSG);
		if (!strstr(e.text, ROWS[i].says))
			fail_msg("row %zu: %s", i, e.text);
	}
}

static void test_too_large(void **state)
{
	_cleanup_(record_freep) struct record *a = posted();
	_cleanup_(json_freep) struct json *doc = record_encode(a);

	(void)state;
	for (size_t cap = 10; cap < 8000; cap += 1) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(cap);

		seal_write(doc, &sb);
		assert_true(!strbuf_ok(&sb) || seal_check(strbuf_str(&sb), sb.len, NULL) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_flipped_bit_is_seen),
		cmocka_unit_test(test_flips_that_would_post),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_torn_blocks),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
