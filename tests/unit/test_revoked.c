/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/watch/revoked.h"

#include "daemon/io/work.h"
#include "daemon/watch/crls.h"
#include "tests/unit/fake_io.h"
#include "tests/unit/testpki.h"

#include <openssl/ocsp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* --- pool: runs in the next turn --- */

struct work {
	struct timer *timer;
	void (*fn)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

static unsigned n_work;

static void on_work(void *arg)
{
	struct work *w = arg;
	void (*done)(void *) = w->done;
	void *its = w->arg;

	w->fn(its);
	timer_free(w->timer);
	free(w);
	n_work--;
	done(its);
}

void work_start(struct loop *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg, struct work **ret)
{
	struct work *w = xmalloc(sizeof(*w));

	w->timer = timer_new(l, on_work, w);
	w->fn = fn;
	w->done = done;
	w->arg = arg;
	timer_set(w->timer, 1);
	n_work++;
	*ret = w;
}

void work_cancel(struct work **w, void (*drop)(void *arg))
{
	(*w)->done = drop;
	*w = NULL;
}

/* --- CA --- */

#define OCSP "http://ocsp.example/"
#define CRL  "http://crl.example/%u.crl"

static struct {
	EVP_PKEY *ica_key, *leaf_key;
	X509 *ica;
	struct loop loop;
	struct revoked *revoked;
	/* what the CA says */
	int ocsp_status; /* V_OCSP_CERTSTATUS_; -1: 500 */
	int crl_status;	 /* HTTP */
	bool crl_revoked;
	bool unreachable;
	bool garbage;
	int64_t crl_life;
	size_t crl_size; /* at least */
	/* what it was asked */
	unsigned n_ocsp, n_crl, n_post;
	X509 *leaf; /* whom it answers about */
	char last_url[2000];
	int64_t crl_takes_ms;
} t;

static const char *leaf_ocsp;
static unsigned leaf_crl; /* 0: none */

static void add_urls(X509 *x)
{
	_cleanup_free_ char *access = xasprintf("OCSP;URI:%s", leaf_ocsp ? leaf_ocsp : "");
	_cleanup_free_ char *point = xasprintf("URI:" CRL, leaf_crl);

	if (leaf_ocsp)
		testpki_ext(x, x, NID_info_access, access);
	if (leaf_crl)
		testpki_ext(x, x, NID_crl_distribution_points, point);
}

/* Its chain; the caller frees. */
static char *make_leaf(const char *ocsp, unsigned crl)
{
	_cleanup_free_ char *issuer = testpki_pem(t.ica);

	leaf_ocsp = ocsp;
	leaf_crl = crl;
	X509_free(t.leaf);
	t.leaf = testpki_issue(&(struct testpki_spec){ .cn = "example.com",
						       .key = t.leaf_key,
						       .issuer = t.ica,
						       .issuer_key = t.ica_key,
						       .tweak = add_urls });
	_cleanup_free_ char *leaf = testpki_pem(t.leaf);

	return xasprintf("%s%s", leaf, issuer);
}

static void say_der(struct http_call *c, unsigned char *der, int len)
{
	assert_true(len > 0);
	fake_say(c, 200, "");
	free(c->result_body);
	c->result_body = xmalloc((size_t)len + 1);
	memcpy(c->result_body, der, (size_t)len);
	c->result.body = c->result_body;
	c->result.body_len = (size_t)len;
	OPENSSL_free(der);
}

static void say_ocsp(struct http_call *c)
{
	OCSP_BASICRESP *b = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), t.leaf, t.ica);
	ASN1_TIME *from = ASN1_GENERALIZEDTIME_set(NULL, clock_now());
	ASN1_TIME *to = ASN1_GENERALIZEDTIME_set(NULL, clock_now() + 3600);
	unsigned char *der = NULL;
	OCSP_RESPONSE *resp;
	int len;

	(void)OCSP_basic_add1_status(b, id, t.ocsp_status, 1,
				     t.ocsp_status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL, from, to);
	assert_int_equal(OCSP_basic_sign(b, t.ica, t.ica_key, EVP_sha256(), NULL, 0), 1);
	resp = OCSP_response_create(0, b);
	len = i2d_OCSP_RESPONSE(resp, &der);
	say_der(c, der, len);
	OCSP_RESPONSE_free(resp);
	OCSP_BASICRESP_free(b);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

static void pad_crl(X509_CRL *crl)
{
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	_cleanup_free_ unsigned char *zeros = xmalloc(t.crl_size);
	X509_EXTENSION *e;

	assert_true(ASN1_OCTET_STRING_set(data, zeros, (int)t.crl_size));
	e = X509_EXTENSION_create_by_NID(NULL, NID_netscape_comment, 0, data);
	assert_true(X509_CRL_add_ext(crl, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
}

static void say_crl(struct http_call *c)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = ASN1_TIME_set(NULL, clock_now());
	ASN1_TIME *to = ASN1_TIME_set(NULL, clock_now() + t.crl_life);
	unsigned char *der = NULL;
	int len;

	assert_true(X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		    X509_CRL_set_issuer_name(crl, X509_get_subject_name(t.ica)) &&
		    X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to));
	if (t.crl_revoked) {
		X509_REVOKED *rev = X509_REVOKED_new();

		assert_true(X509_REVOKED_set_serialNumber(rev, X509_get_serialNumber(t.leaf)) &&
			    X509_REVOKED_set_revocationDate(rev, from) && X509_CRL_add0_revoked(crl, rev));
	}
	if (t.crl_size > 0)
		pad_crl(crl);
	assert_true(X509_CRL_sign(crl, t.ica_key, EVP_sha256()) > 0);
	len = i2d_X509_CRL(crl, &der);
	say_der(c, der, len);
	X509_CRL_free(crl);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

static void answer(struct http_call *c)
{
	bool crl = strstr(c->url, "crl.example") != NULL;

	assert_true(strncmp(c->url, "http://", 7) == 0);
	assert_int_equal(c->rq.max_body, crl ? REVOCATION_CRL_MAX : REVOCATION_OCSP_MAX);
	assert_int_equal(c->rq.total_ms, 20000);
	assert_true(strlen(c->url) < sizeof(t.last_url));
	(void)snprintf(t.last_url, sizeof(t.last_url), "%s", c->url);
	t.n_ocsp += !crl;
	t.n_crl += crl;
	t.n_post += strcmp(c->method, "POST") == 0;
	c->at_ms = fake_now_ms + (crl ? t.crl_takes_ms : 10);
	if (t.unreachable)
		(void)outcome_set(&c->result.outcome, FAULT_UNSENT, "connect", "no way there");
	else if (t.garbage)
		fake_say(c, 200, "<html>");
	else if (crl ? t.crl_status != 200 : t.ocsp_status < 0)
		fake_say(c, crl ? t.crl_status : 500, "x");
	else if (crl)
		say_crl(c);
	else
		say_ocsp(c);
}

static int setup(void **state)
{
	struct config *config = xmalloc(sizeof(*config));

	(void)state;
	memset(&t, 0, sizeof(t));
	config->refs = 2; /* never the last one: it has no arena */
	fake_answer = answer;
	t.ica_key = testpki_ec();
	t.leaf_key = testpki_ec();
	t.ica = testpki_issue(&(struct testpki_spec){ .cn = "ICA",
						      .key = t.ica_key,
						      .bc = "critical,CA:TRUE",
						      .ku = "critical,keyCertSign,cRLSign" });
	t.ocsp_status = V_OCSP_CERTSTATUS_GOOD;
	t.crl_status = 200;
	t.crl_life = 30 * 86400;
	t.crl_takes_ms = 10;
	assert_int_equal(revoked_new(&t.loop, config, &t.revoked, NULL), 0);
	*state = config;
	return 0;
}

static int teardown(void **state)
{
	revoked_free(t.revoked);
	fake_run(&t.loop, 100000);
	assert_null(t.loop.timers);
	assert_int_equal(fake_n_http, 0);
	assert_int_equal(fake_n_calls, 0);
	assert_int_equal(n_work, 0);
	EVP_PKEY_free(t.ica_key);
	EVP_PKEY_free(t.leaf_key);
	X509_free(t.ica);
	X509_free(t.leaf);
	free(*state);
	return 0;
}

/* --- asking --- */

struct got {
	unsigned n;
	struct outcome o;
	struct revocation_status s;
	struct revoked_call *call;
	bool cancel; /* itself, from the callback */
};

static void on_done(const struct outcome *o, const struct revocation_status *s, void *owner)
{
	struct got *g = owner;

	g->n++;
	g->o = *o;
	g->s = *s;
	if (g->cancel)
		revoked_cancel(&g->call);
	g->call = NULL;
}

static struct got ask(const char *chain)
{
	struct got g = { 0 };

	revoked_start(t.revoked, chain, on_done, &g, &g.call);
	assert_int_equal(g.n, 0);
	fake_run(&t.loop, 60000);
	assert_int_equal(g.n, 1);
	return g;
}

static void expect(const struct got *g, enum fault fault, enum revocation_state state)
{
	if (g->o.fault != fault)
		fail_msg("%s: %s", fault_name(g->o.fault), g->o.message);
	assert_int_equal(g->s.state, state);
}

/* RFC 6960 appendix A.1: base64, then percent-encoded, behind exactly one slash. */
static void check_request(const char *url)
{
	unsigned char text[400] = "", der[300];
	const unsigned char *p = der;
	const char *in = url + strlen(OCSP);
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), t.leaf, t.ica);
	OCSP_REQUEST *rq;
	size_t n = 0;

	assert_true(strncmp(url, OCSP, strlen(OCSP)) == 0 && strpbrk(in, "/+=") == NULL);
	for (; *in != '\0'; in += *in == '%' ? 3 : 1)
		text[n++] = *in == '%' ? (unsigned char)strtoul((char[]){ in[1], in[2], 0 }, NULL, 16)
				       : (unsigned char)*in;
	assert_true(EVP_DecodeBlock(der, text, (int)n) > 0);
	rq = d2i_OCSP_REQUEST(NULL, &p, sizeof(der));
	assert_non_null(rq);
	assert_int_equal(OCSP_id_cmp(id, OCSP_onereq_get0_id(OCSP_request_onereq_get0(rq, 0))), 0);
	OCSP_REQUEST_free(rq);
	OCSP_CERTID_free(id);
}

static void test_ocsp(void **state)
{
	_cleanup_free_ char *chain = make_leaf(OCSP, 1);
	struct got g = ask(chain);

	(void)state;
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	assert_int_equal(t.n_ocsp, 1);
	assert_int_equal(t.n_crl + t.n_post, 0);
	check_request(t.last_url);
	t.ocsp_status = V_OCSP_CERTSTATUS_REVOKED;
	g = ask(chain);
	expect(&g, FAULT_NONE, REVOCATION_REVOKED);
	assert_string_equal(g.s.reason, "keyCompromise");
	assert_true(g.s.revoked_at > 0);
	assert_int_equal(t.n_crl, 0);
}

static void test_ocsp_url(void **state)
{
	_cleanup_free_ char *bare = make_leaf("http://ocsp.example", 0);
	struct got g = ask(bare);
	char long_url[200] = "http://ocsp.example/";

	(void)state;
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	check_request(t.last_url);

	memset(long_url + strlen(long_url), 'x', sizeof(long_url) - strlen(long_url) - 1);
	_cleanup_free_ char *far = make_leaf(long_url, 0);

	g = ask(far);
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	assert_string_equal(t.last_url, long_url);
	assert_int_equal(t.n_post, 1);

	_cleanup_free_ char *query = make_leaf("http://ocsp.example/?ca=1", 0);

	g = ask(query);
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	assert_string_equal(t.last_url, "http://ocsp.example/?ca=1");
	assert_int_equal(t.n_post, 2);
}

static void test_fallback(void **state)
{
	static const int bad[] = { -1, V_OCSP_CERTSTATUS_UNKNOWN };
	_cleanup_free_ char *chain = make_leaf(OCSP, 1);
	struct got g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		t.ocsp_status = bad[i];
		g = ask(chain);
		expect(&g, FAULT_NONE, REVOCATION_GOOD);
	}
	assert_int_equal(t.n_ocsp, 2);
	assert_int_equal(t.n_crl, 1); /* the second time it is there already */
}

static void test_crl_only(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g;

	(void)state;
	t.crl_revoked = true;
	g = ask(chain);
	expect(&g, FAULT_NONE, REVOCATION_REVOKED);
	assert_int_equal(t.n_ocsp, 0);
}

static void test_failures(void **state)
{
	_cleanup_free_ char *both = make_leaf(OCSP, 1);
	struct got g;

	(void)state;
	t.unreachable = true;
	g = ask(both);
	expect(&g, FAULT_UNSENT, REVOCATION_UNKNOWN);
	assert_string_equal(g.o.message, "OCSP: no way there; CRL: no way there");
	t.unreachable = false;
	t.ocsp_status = -1;
	g = ask(both); /* the failure of the CRL is remembered, and nobody asks at once again */
	expect(&g, FAULT_UNCLEAR, REVOCATION_UNKNOWN);
	assert_string_equal(g.o.message, "OCSP: status 500 with 1 bytes; CRL: no way there");
	assert_int_equal(t.n_crl, 1);
	fake_run(&t.loop, CRLS_DOUBT_MS);
	t.crl_status = 404;
	g = ask(both);
	expect(&g, FAULT_UNCLEAR, REVOCATION_UNKNOWN);
	assert_non_null(strstr(g.o.message, "CRL: http://crl.example/1.crl: status 404"));
	fake_run(&t.loop, CRLS_DOUBT_MS);
	t.garbage = true;
	g = ask(both);
	expect(&g, FAULT_UNCLEAR, REVOCATION_UNKNOWN);
	assert_non_null(strstr(g.o.message, "OCSP: the answer is not an OCSP response"));
	assert_non_null(strstr(g.o.message, "; CRL: the answer is not a CRL"));

	_cleanup_free_ char *ocsp = make_leaf(OCSP, 0);

	t.garbage = false;
	t.ocsp_status = V_OCSP_CERTSTATUS_UNKNOWN;
	g = ask(ocsp);
	expect(&g, FAULT_UNCLEAR, REVOCATION_UNKNOWN);
	assert_string_equal(g.o.code, "ocsp_unknown");
}

static void test_nobody_to_ask(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 0);
	_cleanup_free_ char *leaf = make_leaf(OCSP, 1);
	struct got g = ask(chain);

	(void)state;
	expect(&g, FAULT_NONE, REVOCATION_UNKNOWN);
	g = ask("no chain");
	expect(&g, FAULT_LOCAL, REVOCATION_UNKNOWN);
	assert_string_equal(g.o.code, "chain");
	strstr(leaf, "-----END CERTIFICATE-----\n")[strlen("-----END CERTIFICATE-----\n")] = '\0';
	g = ask(leaf); /* without its issuer */
	expect(&g, FAULT_LOCAL, REVOCATION_UNKNOWN);
	assert_int_equal(t.n_ocsp + t.n_crl, 0);
}

static void test_one_download(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g[100] = { 0 };

	(void)state;
	t.crl_takes_ms = 5000;
	for (size_t i = 0; i < ARRAY_SIZE(g); i++)
		revoked_start(t.revoked, chain, on_done, &g[i], &g[i].call);
	fake_run(&t.loop, 1000);
	revoked_cancel(&g[3].call);
	fake_run(&t.loop, 10000);
	for (size_t i = 0; i < ARRAY_SIZE(g); i++)
		assert_int_equal(g[i].n, i != 3);
	expect(&g[99], FAULT_NONE, REVOCATION_GOOD);
	assert_int_equal(t.n_crl, 1);
}

static void test_cache_life(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g = ask(chain);

	(void)state;
	fake_run(&t.loop, CRLS_LIFE_MS - 120000);
	g = ask(chain);
	assert_int_equal(t.n_crl, 1);
	fake_run(&t.loop, 120000);
	t.crl_revoked = true;
	t.crl_life = 3600; /* sooner than CRLS_LIFE_MS */
	g = ask(chain);
	expect(&g, FAULT_NONE, REVOCATION_REVOKED);
	assert_int_equal(t.n_crl, 2);
	fake_run(&t.loop, 3600 * 1000);
	g = ask(chain);
	expect(&g, FAULT_NONE, REVOCATION_REVOKED);
	assert_int_equal(t.n_crl, 3);
}

/* One that nobody could use is not kept for long. */
static void test_cache_doubt(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g;

	(void)state;
	t.garbage = true;
	g = ask(chain);
	expect(&g, FAULT_UNCLEAR, REVOCATION_UNKNOWN);
	g = ask(chain);
	assert_int_equal(t.n_crl, 1);
	t.garbage = false;
	fake_run(&t.loop, CRLS_DOUBT_MS);
	g = ask(chain);
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	assert_int_equal(t.n_crl, 2);
}

static void ask_for(unsigned crl)
{
	_cleanup_free_ char *chain = make_leaf(NULL, crl);
	struct got g = ask(chain);

	expect(&g, FAULT_NONE, REVOCATION_GOOD);
}

static void test_cache_number(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= CRLS_HELD_MAX + 1; i++)
		ask_for(i);
	assert_int_equal(t.n_crl, CRLS_HELD_MAX + 1);
	ask_for(CRLS_HELD_MAX + 1); /* there */
	ask_for(2);		    /* there */
	assert_int_equal(t.n_crl, CRLS_HELD_MAX + 1);
	ask_for(1); /* the oldest made room */
	assert_int_equal(t.n_crl, CRLS_HELD_MAX + 2);
}

static void test_cache_bytes(void **state)
{
	(void)state;
	t.crl_size = 12u << 20;
	ask_for(1);
	ask_for(2);
	ask_for(3);
	ask_for(3);
	ask_for(2);
	assert_int_equal(t.n_crl, 3);
	ask_for(1);
	assert_int_equal(t.n_crl, 4);
}

static void test_few_downloads_at_once(void **state)
{
	_cleanup_free_ char *chains[6] = { 0 };
	struct got g[6] = { 0 };

	(void)state;
	t.crl_takes_ms = 5000;
	fake_max_calls = 0;
	for (unsigned i = 0; i < 6; i++) {
		chains[i] = make_leaf(NULL, i + 1);
		revoked_start(t.revoked, chains[i], on_done, &g[i], &g[i].call);
	}
	fake_run(&t.loop, 60000);
	for (unsigned i = 0; i < 6; i++)
		expect(&g[i], FAULT_NONE, REVOCATION_GOOD);
	assert_int_equal(fake_max_calls, CRLS_LOADING_MAX);
	assert_int_equal(t.n_crl, 6);
	for (unsigned i = 0; i < 6; i++)
		free(TAKE_PTR(chains[i]));
}

/* At every moment: silence, and everything is given back (teardown looks). */
static void test_cancel(void **state)
{
	_cleanup_free_ char *chain = make_leaf(OCSP, 1);
	struct got g = { 0 };

	(void)state;
	t.ocsp_status = -1;
	for (int64_t ms = 0; ms < 40; ms++) {
		revoked_start(t.revoked, chain, on_done, &g, &g.call);
		fake_run(&t.loop, ms);
		if (g.n > 0)
			break;
		revoked_cancel(&g.call);
		assert_null(g.call);
		fake_run(&t.loop, 100);
		assert_int_equal(g.n, 0);
		fake_run(&t.loop, CRLS_LIFE_MS);
	}
	assert_int_equal(g.n, 1); /* it was long enough to see all of them */
	g = (struct got){ .cancel = true };
	revoked_start(t.revoked, chain, on_done, &g, &g.call);
	fake_run(&t.loop, 1000);
	assert_int_equal(g.n, 1);
	revoked_start(t.revoked, chain, on_done, &g, NULL); /* ended by teardown */
}

static void test_free_under_way(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g = { 0 };

	(void)state;
	revoked_start(t.revoked, chain, on_done, &g, NULL);
	fake_run(&t.loop, 5);
	assert_int_equal(fake_n_calls, 1);
	revoked_start(t.revoked, chain, on_done, &g, NULL);
	revoked_free(TAKE_PTR(t.revoked));
	fake_run(&t.loop, 60000);
	assert_int_equal(g.n, 0);
}

static void test_reconfigure(void **state)
{
	_cleanup_free_ char *chain = make_leaf(NULL, 1);
	struct got g = { 0 };

	t.crl_takes_ms = 5000;
	revoked_start(t.revoked, chain, on_done, &g, NULL);
	fake_run(&t.loop, 1000);
	assert_int_equal(revoked_reconfigure(t.revoked, *state, NULL), 0);
	assert_int_equal(fake_n_http, 2);
	fake_run(&t.loop, 10000);
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
	assert_int_equal(fake_n_http, 1);
	g = ask(chain);
	assert_int_equal(t.n_crl, 1); /* held ones stay */
	expect(&g, FAULT_NONE, REVOCATION_GOOD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ocsp),	 TEST(test_ocsp_url),	    TEST(test_fallback),
		TEST(test_crl_only),	 TEST(test_failures),	    TEST(test_nobody_to_ask),
		TEST(test_one_download), TEST(test_cache_life),	    TEST(test_cache_doubt),
		TEST(test_cache_number), TEST(test_cache_bytes),    TEST(test_few_downloads_at_once),
		TEST(test_cancel),	 TEST(test_free_under_way), TEST(test_reconfigure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
