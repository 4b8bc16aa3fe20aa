/* SPDX-License-Identifier: Apache-2.0 */
/* state/<name>.json: every field survives, and whatever is not understood is an error, never a guess. */
#include "daemon/core/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

#define T0   INT64_C(1795248000)
#define NAME "www.example.jp"

static struct record_job *full_job(void)
{
	struct record_job *j = xmalloc(sizeof(*j));

	*j = (struct record_job){
		.kind = JOB_REISSUE,
		.phase = PHASE_CHECK,
		.of_order_id = 4713,
		.new_key = true,
		.is_paid = true,
		.canceled = true,
		.method_asked = true,
		.method = CFG_DCV_DNS_TXT_TOKEN,
		.instant = true,
		.published = true,
		.spec_hash = UINT64_C(0xfedcba9876543210),
		.generation = 8,
		.started_at = T0 + 1,
		.submitted_at = T0 + 2,
		.posts = 3,
		.absent_at = T0 + 3,
		.absents = 4,
		.order_id = INT64_C(9007199254740993),
		.certificate_id = 1234567,
		.order_valid_until = T0 + 4,
		.dcv_token_expires_at = T0 + 5,
		.looks = 5,
		.doubts = 7,
		.looked = true,
		.republish = true,
		.yielded = true,
		.validated = true,
		.issued = true,
		.refusals = 1,
		.bad_certs = 6,
		.attempts = UINT32_MAX,
		.next_at = T0 + 6,
	};
	j->reference = xstrdup("dvcertd-0123456789abcdef");
	j->names = xstrdup("www.example.jp example.jp");
	j->csr = xstrdup("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n");
	j->dcv_token = xstrdup("_token-9");
	j->key = xstrdup("ec P-384");
	j->targets = xstrdup("_dnsauth.www.example.jp to.example.org");
	return j;
}

static void add_deploys(struct record *r)
{
	r->deploys = xcalloc(3, sizeof(*r->deploys));
	r->n_deploys = 3;
	r->deploys[0] = (struct record_deploy){
		.target = xstrdup("scutum:a"), .state = DEPLOY_DONE, .generation = 7, .at = T0 + 20
	};
	r->deploys[1] = (struct record_deploy){ .target = xstrdup("scutum:b"),
						.state = DEPLOY_TODO,
						.generation = 7,
						.attempts = 9,
						.at = T0 + 21,
						.next_at = T0 + 22,
						.code = xstrdup("503"),
						.message = xstrdup("busy \"now\"") };
	r->deploys[2] = (struct record_deploy){ .target = xstrdup("scutum:c"),
						.state = DEPLOY_FAILED,
						.generation = 6,
						.attempts = 1,
						.at = T0 + 23,
						.looked_at = T0 + 24,
						.differs = true,
						.older = true,
						.code = xstrdup("403"),
						.message = xstrdup("key refused") };
}

static struct record *full_record(void)
{
	struct record *r = record_new(NAME);

	r->held = true;
	r->cert = (struct record_cert){ .generation = 7,
					.order_id = 4711,
					.certificate_id = 4712,
					.not_before = T0 - 100,
					.not_after = T0 + 100,
					.order_valid_until = T0 + 101,
					.installed_at = T0 - 99,
					.revoked_at = T0 - 9,
					.order_unknown = true,
					.key_lost = true,
					.order_over = true,
					.replaces_revoked = true,
					.other_id = 4714 };
	r->cert.serial = xstrdup("0A:FF");
	r->cert.names = xstrdup("www.example.jp");
	r->cert.key = xstrdup("rsa 3072");
	r->cert.method = xstrdup("http-token");
	r->cert.revoked_for = xstrdup("keyCompromise");
	record_keep_previous(r);
	r->previous->generation = 6;
	r->previous->certificate_id = 4699;
	r->rest_until = T0 + 55;
	r->job = full_job();
	r->revocation = xmalloc(sizeof(*r->revocation));
	*r->revocation = (struct record_revocation){ .order_id = 4711,
						     .certificate_id = 4715,
						     .reason = xstrdup("superseded"),
						     .asked_at = T0 - 7,
						     .request_id = 4716,
						     .sent = true,
						     .refused = true,
						     .attempts = 13,
						     .next_at = T0 + 14 };
	record_set_error(r, T0 + 10, "not_validated", "line\twith \xe3\x81\x82 and \"quotes\"");
	r->error.attempts = 12;
	add_deploys(r);
	record_add_proof(r, PROOF_WEBROOT, "/srv/www", NULL, "t1");
	record_add_proof(r, PROOF_WEBROOT, "/srv/other", NULL, "t2");
	record_add_proof(r, PROOF_TXT, "corp", "_dnsauth.www.example.jp", "t3");
	record_add_proof(r, PROOF_CNAME, "corp", "_dnsauth.www.example.jp", "t3.dcv.digicert.com");
	r->clean_attempts = 2;
	r->clean_at = T0 + 30;
	record_add_paid(r, T0 - 5);
	record_add_paid(r, T0 - 5);
	record_add_paid(r, T0);
	return r;
}

static char *text_of(const struct record *r)
{
	_cleanup_(json_freep) struct json *o = record_encode(r);
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(2u << 20);

	json_write(o, JSON_PRETTY, &sb);
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

static struct record *read_back(const char *text)
{
	struct record *r = NULL;
	struct err e = ERR_INIT;

	if (record_decode(NAME, text, strlen(text), &r, &e) != 0)
		fail_msg("%s", e.text);
	return r;
}

static void same_text(const char *a, const char *b)
{
	if (!a || !b)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void same_job(const struct record_job *a, const struct record_job *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->phase, b->phase);
	assert_true(a->of_order_id == b->of_order_id);
	same_text(a->key, b->key);
	assert_int_equal(a->new_key, b->new_key);
	assert_int_equal(a->is_paid, b->is_paid);
	assert_int_equal(a->canceled, b->canceled);
	assert_int_equal(a->method_asked, b->method_asked);
	assert_int_equal(a->method, b->method);
	same_text(a->targets, b->targets);
	assert_int_equal(a->instant, b->instant);
	assert_int_equal(a->published, b->published);
	assert_true(a->spec_hash == b->spec_hash);
	same_text(a->reference, b->reference);
	assert_int_equal(a->generation, b->generation);
	same_text(a->names, b->names);
	same_text(a->csr, b->csr);
	assert_int_equal(a->started_at, b->started_at);
	assert_int_equal(a->submitted_at, b->submitted_at);
	assert_int_equal(a->posts, b->posts);
	assert_int_equal(a->absent_at, b->absent_at);
	assert_int_equal(a->absents, b->absents);
	assert_int_equal(a->order_id, b->order_id);
	assert_int_equal(a->certificate_id, b->certificate_id);
	assert_int_equal(a->order_valid_until, b->order_valid_until);
	same_text(a->dcv_token, b->dcv_token);
	assert_int_equal(a->dcv_token_expires_at, b->dcv_token_expires_at);
	assert_int_equal(a->looks, b->looks);
	assert_int_equal(a->doubts, b->doubts);
	assert_int_equal(a->looked, b->looked);
	assert_int_equal(a->republish, b->republish);
	assert_int_equal(a->yielded, b->yielded);
	assert_int_equal(a->validated, b->validated);
	assert_int_equal(a->issued, b->issued);
	assert_int_equal(a->refusals, b->refusals);
	assert_int_equal(a->bad_certs, b->bad_certs);
	assert_int_equal(a->attempts, b->attempts);
	assert_int_equal(a->next_at, b->next_at);
}

static void same_cert(const struct record_cert *a, const struct record_cert *b)
{
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->order_id, b->order_id);
	assert_int_equal(a->certificate_id, b->certificate_id);
	same_text(a->serial, b->serial);
	same_text(a->names, b->names);
	assert_int_equal(a->not_before, b->not_before);
	assert_int_equal(a->not_after, b->not_after);
	assert_int_equal(a->order_valid_until, b->order_valid_until);
	assert_int_equal(a->installed_at, b->installed_at);
	same_text(a->key, b->key);
	assert_int_equal(a->revoked_at, b->revoked_at);
	same_text(a->revoked_for, b->revoked_for);
	assert_int_equal(a->order_unknown, b->order_unknown);
	assert_int_equal(a->key_lost, b->key_lost);
	assert_int_equal(a->order_over, b->order_over);
	assert_int_equal(a->replaces_revoked, b->replaces_revoked);
	assert_int_equal(a->other_id, b->other_id);
	same_text(a->method, b->method);
}

static void same_revocation(const struct record_revocation *a, const struct record_revocation *b)
{
	assert_non_null(b);
	assert_int_equal(a->order_id, b->order_id);
	assert_int_equal(a->certificate_id, b->certificate_id);
	same_text(a->reason, b->reason);
	assert_int_equal(a->asked_at, b->asked_at);
	assert_int_equal(a->request_id, b->request_id);
	assert_int_equal(a->sent, b->sent);
	assert_int_equal(a->refused, b->refused);
	assert_int_equal(a->attempts, b->attempts);
	assert_int_equal(a->next_at, b->next_at);
}

static void same_deploy(const struct record_deploy *a, const struct record_deploy *b)
{
	same_text(a->target, b->target);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->attempts, b->attempts);
	assert_int_equal(a->at, b->at);
	assert_int_equal(a->next_at, b->next_at);
	assert_int_equal(a->looked_at, b->looked_at);
	assert_int_equal(a->differs, b->differs);
	assert_int_equal(a->older, b->older);
	same_text(a->code, b->code);
	same_text(a->message, b->message);
}

static void test_every_field_survives(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	_cleanup_(record_freep) struct record *b = read_back(text);
	_cleanup_free_ char *again = text_of(b);

	(void)state;
	assert_string_equal(b->name, NAME);
	assert_true(b->held);
	same_cert(&a->cert, &b->cert);
	assert_non_null(b->previous);
	same_cert(a->previous, b->previous);
	assert_int_equal(b->rest_until, T0 + 55);
	same_job(a->job, b->job);
	same_revocation(a->revocation, b->revocation);
	same_text(a->error.code, b->error.code);
	same_text(a->error.message, b->error.message);
	assert_int_equal(b->error.at, T0 + 10);
	assert_int_equal(b->error.attempts, 12);
	assert_int_equal(b->n_deploys, 3);
	for (uint32_t i = 0; i < 3; i++)
		same_deploy(&a->deploys[i], &b->deploys[i]);
	assert_int_equal(b->n_proofs, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(a->proofs[i].place, b->proofs[i].place);
		assert_string_equal(a->proofs[i].where, b->proofs[i].where);
		same_text(a->proofs[i].name, b->proofs[i].name);
		assert_string_equal(a->proofs[i].value, b->proofs[i].value);
	}
	assert_int_equal(b->clean_attempts, 2);
	assert_int_equal(b->clean_at, T0 + 30);
	assert_int_equal(b->n_paid, 3);
	assert_memory_equal(a->paid_at, b->paid_at, 3 * sizeof(*a->paid_at));
	assert_string_equal(text, again);
}

static void test_every_phase_survives(void **state)
{
	(void)state;
	for (unsigned p = 0; p < PHASE_NR; p++) {
		_cleanup_(record_freep) struct record *a = full_record(), *b = NULL;
		_cleanup_free_ char *text = NULL;

		a->job->phase = (enum job_phase)p;
		text = text_of(a);
		b = read_back(text);
		assert_int_equal(b->job->phase, p);
	}
}

static void test_empty_record(void **state)
{
	_cleanup_(record_freep) struct record *a = record_new(NAME);
	_cleanup_free_ char *text = text_of(a);
	_cleanup_(record_freep) struct record *b = read_back(text);

	(void)state;
	assert_false(b->held);
	assert_null(b->job);
	assert_null(b->error.code);
	assert_int_equal(b->cert.generation, 0);
	assert_int_equal(b->n_deploys + b->n_proofs + b->n_paid, 0);
}

static void test_job_before_anything_happened(void **state)
{
	_cleanup_(record_freep) struct record *a = record_new(NAME), *b = NULL;
	_cleanup_free_ char *text = NULL;

	(void)state;
	a->job = xmalloc(sizeof(*a->job));
	a->job->reference = xstrdup("r");
	a->job->names = xstrdup(NAME);
	a->job->key = xstrdup("rsa 2048");
	a->job->generation = 1;
	text = text_of(a);
	b = read_back(text);
	same_job(a->job, b->job);
}

static int decode(const char *name, const char *text, size_t len, struct err *e)
{
	_cleanup_(record_freep) struct record *r = NULL;
	int rc = record_decode(name, text, len, &r, e);

	assert_true((rc == 0) == (r != NULL));
	assert_true(rc == 0 || e->text[0] != '\0');
	return rc;
}

/* A file that was cut off anywhere is damaged; nothing that is lost may look like "no job". */
static void test_every_prefix_fails(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	size_t len = strlen(text);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		_cleanup_free_ char *cut =
			xmemdup(text, n + 1); /* its own memory, so that a read too far is seen */
		struct err e = ERR_INIT;

		assert_int_equal(decode(NAME, cut, n, &e), -EBADMSG);
	}
}

/* One byte is wrong: an error, or a record that can be written and read again. */
static void test_every_changed_byte_is_survived(void **state)
{
	static const char BYTES[] = { 0, ' ', '"', '0', '9', '}', '-', 'x', (char)0xff };
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	size_t len = strlen(text);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		for (size_t k = 0; k < sizeof(BYTES); k++) {
			_cleanup_(record_freep) struct record *b = NULL, *c = NULL;
			_cleanup_free_ char *again = NULL;
			struct err e = ERR_INIT;

			text[i] = BYTES[k];
			if (record_decode(NAME, text, len, &b, &e) < 0)
				continue;
			again = text_of(b);
			assert_int_equal(record_decode(NAME, again, strlen(again), &c, &e), 0);
		}
		text[i] = was;
	}
}

static char *replaced(const char *text, const char *from, const char *to)
{
	const char *p = strstr(text, from);

	if (!p)
		fail_msg("%s is not in %s", from, text);
	return xasprintf("%.*s%s%s", (int)(p - text), text, to, p + strlen(from));
}

static void test_damaged(void **state)
{
	static const struct {
		const char *from, *to;
		const char *says;
	} ROWS[] = {
		{ "\"version\": 1", "\"version\": 0", "version" },
		{ "\"version\": 1", "\"version\": \"1\"", "version" },
		{ "\"version\": 1", "\"version\": null", "version" },
		{ "\"name\": \"www.example.jp\"", "\"name\": \"www.example.com\"", "name" },
		{ "\"name\": \"www.example.jp\"", "\"name\": 5", "name" },
		{ "\"held\": true", "\"held\": \"true\"", "held" },
		{ "\"held\": true", "\"hold\": true", "held" },
		{ "\"phase\": \"check\"", "\"phase\": \"checking\"", "phase" },
		{ "\"phase\": \"check\"", "\"phase\": 4", "phase" },
		{ "\"phase\": \"check\"", "\"fase\": \"check\"", "phase" },
		{ "\"spec_hash\": \"fedcba9876543210\"", "\"spec_hash\": \"fedcba987654321\"", "spec_hash" },
		{ "\"spec_hash\": \"fedcba9876543210\"", "\"spec_hash\": \"fedcba987654321g\"", "spec_hash" },
		{ "\"spec_hash\": \"fedcba9876543210\"", "\"spec_hash\": null", "spec_hash" },
		{ "\"reference\": \"", "\"referenz\": \"", "reference" },
		{ "\"order_id\": 9007199254740993", "\"order_id\": \"9007199254740993\"", "order_id" },
		{ "\"order_id\": 9007199254740993", "\"order_id\": -1", "order_id" },
		{ "\"order_id\": 9007199254740993", "\"order_id\": 0", "order_id" },
		{ "\"order_id\": 9007199254740993", "\"order_id\": 92233720368547758080", "order_id" },
		{ "\"generation\": 8", "\"generation\": 0", "generation" },
		{ "\"generation\": 8", "\"generation\": 4294967296", "generation" },
		{ "\"generation\": 8", "\"generation\": -1", "generation" },
		{ "\"generation\": 7", "\"generation\": 0", "generation" },
		{ "\"csr\": \"", "\"csrx\": \"", "csr" },
		{ "\"posts\": 3", "\"posts\": 3.5", "posts" },
		{ "\"posts\": 3", "\"posts\": true", "posts" },
		{ "\"validated\": true", "\"validated\": 1", "validated" },
		{ "\"next_at\": \"", "\"next_at\": \"x", "next_at" },
		{ "\"serial\": \"0A:FF\"", "\"serial\": 17", "serial" },
		{ "\"state\": \"todo\"", "\"state\": \"toda\"", "state" },
		{ "\"target\": \"scutum:b\"", "\"target\": null", "target" },
		{ "\"where\": \"/srv/other\"", "\"where\": 1", "proofs" },
		{ "\"value\": \"t2\"", "\"value\": null", "proofs" },
		{ "\"place\": \"TXT\"", "\"place\": \"txt\"", "place" },
		{ "\"place\": \"TXT\"", "\"place\": \"webroot\"", "name in DNS only" },
		{ "\"place\": \"TXT\"", "\"plaice\": \"TXT\"", "place" },
		{ "\"place\": \"CNAME\"", "\"place\": 2", "place" },
		{ "\"name\": null", "\"name\": \"n\"", "DNS only" },
		{ "\"name\": null", "\"name\": 5", "DNS only" },
		{ "\"name\": \"_dnsauth.www.example.jp\"", "\"nome\": \"_dnsauth.www.example.jp\"",
		  "DNS only" },
		{ "\"name\": \"_dnsauth.www.example.jp\"", "\"name\": null", "DNS only" },
		{ "\"kind\": \"reissue\"", "\"kind\": \"renewal\"", "kind" },
		{ "\"kind\": \"reissue\"", "\"kinds\": \"reissue\"", "kind" },
		{ "\"of_order_id\": 4713", "\"of_order_id\": 0", "of_order_id" },
		{ "\"of_order_id\": 4713", "\"of_order_id\": -4713", "of_order_id" },
		{ "\"of_order_id\": 4713", "\"of_order\": 4713", "of_order_id" },
		{ "\"dcv_method\": \"dns-txt-token\"", "\"dcv_method\": \"dns\"", "dcv_method" },
		{ "\"dcv_method\": \"dns-txt-token\"", "\"method\": \"dns-txt-token\"", "dcv_method" },
		{ "\"key\": \"ec P-384\"", "\"kay\": \"ec P-384\"", "key" },
		{ "\"is_paid\": true", "\"is_free\": true", "is_paid" },
		{ "\"is_paid\": true", "\"is_paid\": \"yes\"", "is_paid" },
		{ "\"canceled\": true", "\"canceled\": 1", "canceled" },
		{ "\"new_key\": true", "\"new_key\": 1", "new_key" },
		{ "\"instant\": true", "\"instant\": 1", "instant" },
		{ "\"targets\": \"", "\"targets\": 1, \"targetx\": \"", "targets" },
		{ "\"revoked_at\": \"", "\"revoked_at\": \"x", "revoked_at" },
		{ "\"order_unknown\": true", "\"order_unknown\": 1", "order_unknown" },
		{ "\"key_lost\": true", "\"key_lost\": \"true\"", "key_lost" },
		{ "\"order_over\": true", "\"order_over\": \"true\"", "order_over" },
		{ "\"other_id\": 4714", "\"other_id\": \"4714\"", "other_id" },
		{ "\"previous\": {", "\"previous\": 1, \"previouss\": {", "must be" },
		{ "\"generation\": 6,\n    \"order_id\"", "\"generation\": 0,\n    \"order_id\"",
		  "previous: generation" },
		{ "\"rest_until\": \"", "\"rest_until\": \"x", "rest_until" },
		{ "\"looked_at\": \"", "\"looked_at\": \"x", "looked_at" },
		{ "\"differs\": true", "\"differs\": 1", "differs" },
		{ "\"revocation\": {", "\"revocation\": 1, \"revocatiom\": {", "must be" },
		{ "\"order_id\": 4711,\n    \"certificate_id\": 4715", "\"order_id\": 0", "order_id" },
		{ "\"order_id\": 4711,\n    \"certificate_id\": 4715", "\"certificate_id\": 4715",
		  "order_id" },
		{ "\"request_id\": 4716", "\"request_id\": 4716.5", "request_id" },
		{ "\"attempts\": 13", "\"attempts\": -13", "attempts" },
		{ "\"job\": {", "\"job\": 1, \"jobb\": {", "job" },
		{ "\"error\": {", "\"error\": [], \"errorr\": {", "must be" },
		{ "\"deploy\": [", "\"deploy\": {}, \"deployy\": [", "must be" },
		{ "\"paid_at\": [", "\"paid_at\": [ 1, ", "paid_at" },
		{ "\"version\": 1", "\"version\": 1, \"version\": 1", "duplicate" },
	};
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_free_ char *bad = replaced(text, ROWS[i].from, ROWS[i].to);
		struct err e = ERR_INIT;

		if (decode(NAME, bad, strlen(bad), &e) != -EBADMSG || !strstr(e.text, ROWS[i].says))
			fail_msg("%s: \"%s\"", ROWS[i].to, e.text);
	}
}

static void test_not_a_record(void **state)
{
	static const char *const TEXTS[] = { "",    "null", "[]", "1", "\"x\"", "{}", "{ \"version\": 1 }",
					     "{}{}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(TEXTS); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(decode(NAME, TEXTS[i], strlen(TEXTS[i]), &e), -EBADMSG);
	}
}

/* A downgrade finds a record that it must not touch, whatever else is in it. */
static void test_newer_version(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	_cleanup_free_ char *newer = replaced(text, "\"version\": 1", "\"version\": 2");
	static const char bare[] = "{ \"version\": 9223372036854775807 }";
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(decode(NAME, newer, strlen(newer), &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "newer"));
	assert_int_equal(decode(NAME, bare, strlen(bare), &e), -ENOTSUP);
}

static void test_of_another_domain(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(decode("example.jp", text, strlen(text), &e), -EBADMSG);
	assert_non_null(strstr(e.text, "name"));
}

static void test_unknown_members_are_left_alone(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record();
	_cleanup_free_ char *text = text_of(a);
	_cleanup_free_ char *more = replaced(text, "\"version\": 1", "\"version\": 1, \"history\": [ {} ]");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(decode(NAME, more, strlen(more), &e), 0);
}

/* n entries of a list, each different. */
static void add_list(struct strbuf *sb, const char *list, int n)
{
	strbuf_addf(sb, "{\"version\":1,\"name\":\"%s\",\"held\":false,\"%s\":[", NAME, list);
	for (int k = 0; k < n; k++)
		strbuf_addf(sb,
			    "%s{\"target\":\"t%d\",\"state\":\"todo\",\"place\":\"TXT\",\"where\":\"w\","
			    "\"name\":\"n%d\",\"value\":\"t\"}",
			    k ? "," : "", k, k);
	strbuf_adds(sb, "]}");
}

static void test_long_lists(void **state)
{
	static const struct {
		const char *list;
		int most;
	} ROWS[] = { { "deploy", 64 }, { "proofs", RECORD_PROOFS_MAX } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		_cleanup_(strbuf_done) struct strbuf fits = STRBUF_INIT(1u << 20);
		_cleanup_(strbuf_done) struct strbuf over = STRBUF_INIT(1u << 20);
		_cleanup_(record_freep) struct record *r = NULL;
		struct err e = ERR_INIT;

		add_list(&fits, ROWS[i].list, ROWS[i].most);
		r = read_back(strbuf_str(&fits));
		assert_int_equal(r->n_deploys + r->n_proofs, ROWS[i].most);
		add_list(&over, ROWS[i].list, ROWS[i].most + 1);
		assert_int_equal(decode(NAME, strbuf_str(&over), over.len, &e), -EBADMSG);
		assert_non_null(strstr(e.text, "more than"));
	}
}

/* The largest thing that a configuration can ask for: 250 names of full length, five request tokens for each, and what could
 * not be removed so far. Whoever writes more than can be read loses the order under way. */
static void test_the_largest_record_can_be_read(void **state)
{
	_cleanup_(record_freep) struct record *a = full_record(), *b = NULL;
	_cleanup_(strbuf_done) struct strbuf names = STRBUF_INIT(1u << 20);
	_cleanup_free_ char *text = NULL;
	char name[254], value[65];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(value, 'v', sizeof(value) - 1);
	name[sizeof(name) - 1] = value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 250; i++)
		strbuf_addf(&names, "%s ", name);
	free(a->cert.names);
	free(a->job->names);
	free(a->job->targets);
	a->cert.names = xstrdup(strbuf_str(&names));
	a->job->names = xstrdup(strbuf_str(&names));
	a->job->targets = xstrdup(strbuf_str(&names));
	while (a->n_proofs < RECORD_PROOFS_MAX) {
		(void)snprintf(value, 6, "%05u", a->n_proofs);
		value[5] = 'v';
		record_add_proof(a, PROOF_TXT, "a-provider-with-a-long-name", name, value);
	}
	text = text_of(a);
	assert_true(strlen(text) > 1u << 20);
	b = read_back(text);
	assert_int_equal(b->n_proofs, RECORD_PROOFS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_survives),
		cmocka_unit_test(test_every_phase_survives),
		cmocka_unit_test(test_empty_record),
		cmocka_unit_test(test_job_before_anything_happened),
		cmocka_unit_test(test_every_prefix_fails),
		cmocka_unit_test(test_every_changed_byte_is_survived),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_not_a_record),
		cmocka_unit_test(test_newer_version),
		cmocka_unit_test(test_of_another_domain),
		cmocka_unit_test(test_unknown_members_are_left_alone),
		cmocka_unit_test(test_long_lists),
		cmocka_unit_test(test_the_largest_record_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
