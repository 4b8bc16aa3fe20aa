/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pki/revocation.h"

#include "tests/unit/testpki.h"

#include <errno.h>
#include <openssl/ocsp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW  TESTPKI_NOW
#define DAY  TESTPKI_DAY
#define OCSP "http://ocsp.example/a"
#define CRL  "http://crl.example/p1.crl"

static struct {
	EVP_PKEY *root_key, *ica_key, *leaf_key, *other_key, *rsa_key;
	X509 *root, *ica, *leaf, *sibling, *other_ica, *rsa_ica, *rsa_leaf;
	char *chain, *rsa_chain;
} pki;

static void add_urls(X509 *x)
{
	testpki_ext(x, x, NID_info_access,
		    "OCSP;URI:ldap://no.example/,OCSP;URI:" OCSP ",OCSP;URI:http://second.example/,"
		    "caIssuers;URI:HTTP://ca.example/ica.crt");
	testpki_ext(x, x, NID_crl_distribution_points,
		    "URI:ldap://no.example/,URI:" CRL ",URI:http://second.example/c");
}

static X509 *make_ca(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *ku)
{
	return testpki_issue(&(struct testpki_spec){ .cn = cn,
						     .key = key,
						     .issuer = issuer,
						     .issuer_key = issuer_key,
						     .bc = "critical,CA:TRUE",
						     .ku = ku,
						     .from = NOW - 1000 * DAY,
						     .to = NOW + 1000 * DAY });
}

static X509 *make_leaf(X509 *issuer, EVP_PKEY *issuer_key, int64_t serial, void (*tweak)(X509 *))
{
	return testpki_issue(&(struct testpki_spec){ .cn = "example.com",
						     .key = pki.leaf_key,
						     .issuer = issuer,
						     .issuer_key = issuer_key,
						     .serial = serial,
						     .tweak = tweak });
}

static char *chain_of(X509 *a, X509 *b)
{
	_cleanup_free_ char *pa = testpki_pem(a);
	_cleanup_free_ char *pb = b != NULL ? testpki_pem(b) : xstrdup("");

	return xasprintf("%s%s", pa, pb);
}

static int setup(void **state)
{
	const char *ku = "critical,keyCertSign,cRLSign";

	(void)state;
	pki.root_key = testpki_ec();
	pki.ica_key = testpki_ec();
	pki.leaf_key = testpki_ec();
	pki.other_key = testpki_ec();
	pki.rsa_key = testpki_rsa(2048);
	pki.root = make_ca("Root", pki.root_key, NULL, NULL, ku);
	pki.ica = make_ca("ICA", pki.ica_key, pki.root, pki.root_key, ku);
	/* the same name with another key */
	pki.other_ica = make_ca("ICA", pki.other_key, pki.root, pki.root_key, ku);
	pki.rsa_ica = make_ca("RSA ICA", pki.rsa_key, pki.root, pki.root_key, ku);
	pki.leaf = make_leaf(pki.ica, pki.ica_key, 0x81828384, add_urls);
	pki.sibling = make_leaf(pki.ica, pki.ica_key, 0x828384, NULL);
	pki.rsa_leaf = make_leaf(pki.rsa_ica, pki.rsa_key, 77, NULL);
	pki.chain = chain_of(pki.leaf, pki.ica);
	pki.rsa_chain = chain_of(pki.rsa_leaf, pki.rsa_ica);
	return 0;
}

static int teardown(void **state)
{
	EVP_PKEY *keys[] = { pki.root_key, pki.ica_key, pki.leaf_key, pki.other_key, pki.rsa_key };
	X509 *certs[] = {
		pki.root, pki.ica, pki.leaf, pki.sibling, pki.other_ica, pki.rsa_ica, pki.rsa_leaf
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(certs); i++)
		X509_free(certs[i]);
	free(pki.chain);
	free(pki.rsa_chain);
	return 0;
}

struct der {
	unsigned char *data;
	size_t len;
};

static void der_done(struct der *d)
{
	free(d->data);
	*d = (struct der){ 0 };
}

/* Exactly as long as it is, so that reading too far is seen. */
static struct der der_of(unsigned char *openssl, int len)
{
	struct der d = { 0 };

	assert_true(len > 0);
	d.len = (size_t)len;
	d.data = xmemdup(openssl, d.len);
	OPENSSL_free(openssl);
	return d;
}

/* --- addresses --------------------------------------------------------------------------------------- */

static void test_urls(void **state)
{
	struct revocation_urls u = { 0 };
	struct err e = ERR_INIT;
	_cleanup_free_ char *alone = chain_of(pki.leaf, NULL);
	_cleanup_free_ char *bare = chain_of(pki.sibling, pki.ica);

	(void)state;
	assert_int_equal(revocation_urls(pki.chain, strlen(pki.chain), &u, &e), 0);
	assert_string_equal(u.ocsp, OCSP);
	assert_string_equal(u.crl, CRL);
	assert_string_equal(u.issuer_url, "HTTP://ca.example/ica.crt");
	revocation_urls_done(&u);
	assert_int_equal(revocation_urls(alone, strlen(alone), &u, &e), 0);
	assert_string_equal(u.ocsp, OCSP);
	revocation_urls_done(&u);
	assert_int_equal(revocation_urls(bare, strlen(bare), &u, &e), 0);
	assert_null(u.ocsp);
	assert_null(u.crl);
	assert_null(u.issuer_url);
	assert_int_equal(revocation_urls("x", 1, &u, &e), -EBADMSG);
	assert_true(e.text[0] != '\0');
}

static void add_odd_urls(X509 *x)
{
	GENERAL_NAME *n = GENERAL_NAME_new();
	ACCESS_DESCRIPTION *a = ACCESS_DESCRIPTION_new();
	AUTHORITY_INFO_ACCESS *list = sk_ACCESS_DESCRIPTION_new_null();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	assert_true(ASN1_STRING_set(s, "http://a.example/\r\nX: y", -1));
	GENERAL_NAME_set0_value(n, GEN_URI, s);
	GENERAL_NAME_free(a->location);
	a->location = n;
	ASN1_OBJECT_free(a->method);
	a->method = OBJ_nid2obj(NID_ad_OCSP);
	assert_true(sk_ACCESS_DESCRIPTION_push(list, a) > 0);
	assert_int_equal(X509_add1_ext_i2d(x, NID_info_access, list, 0, 0), 1);
	AUTHORITY_INFO_ACCESS_free(list);
}

static void add_broken_points(X509 *x)
{
	ASN1_OBJECT *o = OBJ_nid2obj(NID_crl_distribution_points);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	assert_true(ASN1_OCTET_STRING_set(data, (const unsigned char *)"\x30\x07\x01", 3));
	e = X509_EXTENSION_create_by_OBJ(NULL, o, 0, data);
	assert_true(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
}

static void test_urls_odd(void **state)
{
	X509 *odd = make_leaf(pki.ica, pki.ica_key, 5, add_odd_urls);
	X509 *broken = make_leaf(pki.ica, pki.ica_key, 6, add_broken_points);
	_cleanup_free_ char *odd_pem = chain_of(odd, pki.ica);
	_cleanup_free_ char *broken_pem = chain_of(broken, pki.ica);
	struct revocation_urls u = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(revocation_urls(odd_pem, strlen(odd_pem), &u, &e), 0);
	assert_null(u.ocsp);
	assert_int_equal(revocation_urls(broken_pem, strlen(broken_pem), &u, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "CRL distribution points"));
	X509_free(odd);
	X509_free(broken);
}

/* --- request ----------------------------------------------------------------------------------------- */

static void test_request(void **state)
{
	_cleanup_(der_done) struct der d = { 0 };
	struct err e = ERR_INIT;
	const unsigned char *p;
	OCSP_REQUEST *rq;
	OCSP_CERTID *id;

	(void)state;
	assert_int_equal(revocation_ocsp_request(pki.chain, strlen(pki.chain), &d.data, &d.len, &e), 0);
	p = d.data;
	rq = d2i_OCSP_REQUEST(NULL, &p, (long)d.len);
	assert_non_null(rq);
	assert_ptr_equal(p, d.data + d.len);
	assert_int_equal(OCSP_request_onereq_count(rq), 1);
	assert_int_equal(OCSP_REQUEST_get_ext_count(rq), 0);
	id = OCSP_cert_to_id(EVP_sha1(), pki.leaf, pki.ica);
	assert_int_equal(OCSP_id_cmp(id, OCSP_onereq_get0_id(OCSP_request_onereq_get0(rq, 0))), 0);
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(rq);
}

static void test_bad_chains(void **state)
{
	_cleanup_free_ char *alone = chain_of(pki.leaf, NULL);
	_cleanup_free_ char *swapped = chain_of(pki.ica, pki.leaf);
	_cleanup_free_ char *namesake = chain_of(pki.leaf, pki.other_ica);
	const char *const chains[] = { alone, swapped, namesake, "", "no PEM" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		struct revocation_status s = { .state = REVOCATION_REVOKED };
		unsigned char *der = NULL;
		size_t len = 0;
		struct err e = ERR_INIT;

		assert_int_equal(revocation_ocsp_request(chains[i], strlen(chains[i]), &der, &len, &e),
				 -EBADMSG);
		assert_true(e.text[0] != '\0');
		assert_int_equal(revocation_ocsp_read(chains[i], strlen(chains[i]), NULL, 0, NOW, &s, &e),
				 -EBADMSG);
		assert_int_equal(revocation_crl_read(chains[i], strlen(chains[i]), NULL, 0, NOW, &s, &e),
				 -EBADMSG);
		assert_null(der);
		assert_int_equal(s.state, REVOCATION_REVOKED);
	}
}

/* --- OCSP -------------------------------------------------------------------------------------------- */

struct ocsp_spec {
	X509 *subject, *issuer; /* of the CertID; NULL: leaf, ica */
	const EVP_MD *id_md;	/* SHA-1 */
	X509 *signer;		/* ica */
	EVP_PKEY *signer_key;
	const EVP_MD *md; /* SHA-256 */
	unsigned long flags;
	int status, reason; /* V_OCSP_CERTSTATUS_ */
	int64_t revoked_at;
	int64_t from, to; /* an hour ago, tomorrow; to -1: none */
	X509 *also;	  /* a second answer, in front */
	bool break_signature;
};

static void add_single(OCSP_BASICRESP *b, const struct ocsp_spec *s, X509 *subject, int status)
{
	OCSP_CERTID *id = OCSP_cert_to_id(s->id_md != NULL ? s->id_md : EVP_sha1(), subject,
					  s->issuer != NULL ? s->issuer : pki.ica);
	ASN1_TIME *from = ASN1_GENERALIZEDTIME_set(NULL, s->from != 0 ? s->from : NOW - 3600);
	ASN1_TIME *to = s->to == -1 ? NULL : ASN1_GENERALIZEDTIME_set(NULL, s->to != 0 ? s->to : NOW + DAY);
	ASN1_TIME *at = ASN1_GENERALIZEDTIME_set(NULL, s->revoked_at);

	assert_non_null(OCSP_basic_add1_status(b, id, status, s->reason,
					       status == V_OCSP_CERTSTATUS_REVOKED ? at : NULL, from, to));
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	ASN1_TIME_free(at);
}

static struct der make_ocsp(const struct ocsp_spec *s)
{
	OCSP_BASICRESP *b = OCSP_BASICRESP_new();
	OCSP_RESPONSE *resp;
	unsigned char *der = NULL;
	struct der d;
	int len;

	if (s->also != NULL)
		add_single(b, s, s->also, V_OCSP_CERTSTATUS_REVOKED);
	add_single(b, s, s->subject != NULL ? s->subject : pki.leaf, s->status);
	assert_int_equal(OCSP_basic_sign(b, s->signer != NULL ? s->signer : pki.ica,
					 s->signer_key != NULL ? s->signer_key : pki.ica_key,
					 s->md != NULL ? s->md : EVP_sha256(), NULL, s->flags),
			 1);
	if (s->break_signature) {
		const ASN1_OCTET_STRING *sig = OCSP_resp_get0_signature(b);
		unsigned char *bytes = NULL;
		const unsigned char *const at = ASN1_STRING_get0_data(sig) + ASN1_STRING_length(sig) - 3;

		memcpy(&bytes, &at, sizeof(bytes));
		*bytes ^= 1;
	}
	resp = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, b);
	len = i2d_OCSP_RESPONSE(resp, &der);
	d = der_of(der, len);
	OCSP_RESPONSE_free(resp);
	OCSP_BASICRESP_free(b);
	return d;
}

static int read_ocsp(const struct ocsp_spec *s, struct revocation_status *ret, struct err *e)
{
	_cleanup_(der_done) struct der d = make_ocsp(s);

	*ret = (struct revocation_status){ 0 };
	*e = (struct err)ERR_INIT;
	return revocation_ocsp_read(pki.chain, strlen(pki.chain), d.data, d.len, NOW, ret, e);
}

static void good(const struct ocsp_spec *s)
{
	struct revocation_status st;
	struct err e;

	if (read_ocsp(s, &st, &e) != 0)
		fail_msg("refused: %s", e.text);
	assert_int_equal(st.state, REVOCATION_GOOD);
	assert_int_equal(st.revoked_at, 0);
	assert_string_equal(st.reason, "");
}

static void refused(const struct ocsp_spec *s, const char *why)
{
	struct revocation_status st;
	struct err e;

	assert_int_equal(read_ocsp(s, &st, &e), -EBADMSG);
	assert_int_equal(st.state, REVOCATION_UNKNOWN);
	if (strstr(e.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void test_ocsp_good(void **state)
{
	struct revocation_status st;
	struct err e;

	(void)state;
	good(&(struct ocsp_spec){ 0 });
	good(&(struct ocsp_spec){ .flags = OCSP_NOCERTS });
	good(&(struct ocsp_spec){ .flags = OCSP_RESPID_KEY });
	good(&(struct ocsp_spec){ .id_md = EVP_sha256() });
	good(&(struct ocsp_spec){ .also = pki.sibling });
	good(&(struct ocsp_spec){ .md = EVP_sha384() });
	assert_int_equal(read_ocsp(&(struct ocsp_spec){ 0 }, &st, &e), 0);
	assert_int_equal(st.next_update, NOW + DAY);
	assert_int_equal(read_ocsp(&(struct ocsp_spec){ .to = -1 }, &st, &e), 0);
	assert_int_equal(st.next_update, 0);
}

static void test_ocsp_rsa(void **state)
{
	struct ocsp_spec s = { .subject = pki.rsa_leaf,
			       .issuer = pki.rsa_ica,
			       .signer = pki.rsa_ica,
			       .signer_key = pki.rsa_key };
	_cleanup_(der_done) struct der d = make_ocsp(&s);
	struct revocation_status st = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		revocation_ocsp_read(pki.rsa_chain, strlen(pki.rsa_chain), d.data, d.len, NOW, &st, &e), 0);
	assert_int_equal(st.state, REVOCATION_GOOD);
}

static void test_ocsp_revoked(void **state)
{
	static const char *const words[] = {
		"unspecified",	 "keyCompromise",	 "cACompromise",    "affiliationChanged",
		"superseded",	 "cessationOfOperation", "certificateHold", "",
		"removeFromCRL", "privilegeWithdrawn",	 "aACompromise",    ""
	};
	struct revocation_status st;
	struct err e;

	(void)state;
	for (int i = -1; i < (int)ARRAY_SIZE(words); i++) {
		struct ocsp_spec s = { .status = V_OCSP_CERTSTATUS_REVOKED,
				       .reason = i,
				       .revoked_at = NOW - 7 };

		assert_int_equal(read_ocsp(&s, &st, &e), 0);
		assert_int_equal(st.state, REVOCATION_REVOKED);
		assert_int_equal(st.revoked_at, NOW - 7);
		assert_string_equal(st.reason, i >= 0 ? words[i] : "");
	}
}

static void test_ocsp_unknown(void **state)
{
	struct ocsp_spec s = { .status = V_OCSP_CERTSTATUS_UNKNOWN };
	/* RFC 6960 section 2.2: never issued */
	struct ocsp_spec never = { .status = V_OCSP_CERTSTATUS_REVOKED, .reason = 6, .revoked_at = 0 };
	struct revocation_status st;
	struct err e;

	(void)state;
	assert_int_equal(read_ocsp(&s, &st, &e), 0);
	assert_int_equal(st.state, REVOCATION_UNKNOWN);
	assert_int_equal(read_ocsp(&never, &st, &e), 0);
	assert_int_equal(st.state, REVOCATION_UNKNOWN);
	assert_int_equal(st.revoked_at, 0);
	never.revoked_at = 1;
	assert_int_equal(read_ocsp(&never, &st, &e), 0);
	assert_int_equal(st.state, REVOCATION_REVOKED);
}

static void test_ocsp_times(void **state)
{
	(void)state;
	refused(&(struct ocsp_spec){ .to = NOW - 301 }, "too old");
	good(&(struct ocsp_spec){ .to = NOW - 299 });
	refused(&(struct ocsp_spec){ .from = NOW + 301 }, "is to come");
	good(&(struct ocsp_spec){ .from = NOW + 299 });
	refused(&(struct ocsp_spec){ .from = NOW + 200, .to = NOW + 100 }, "dates");
	refused(&(struct ocsp_spec){ .from = NOW - 2 * DAY, .to = -1 }, "too old");
}

static void test_ocsp_of_others(void **state)
{
	(void)state;
	refused(&(struct ocsp_spec){ .subject = pki.sibling }, "another certificate");
	refused(&(struct ocsp_spec){ .issuer = pki.other_ica }, "another certificate");
	/* the same name, another key */
	refused(&(struct ocsp_spec){ .signer = pki.other_ica, .signer_key = pki.other_key }, "signature");
	refused(&(struct ocsp_spec){ .signer = pki.root, .signer_key = pki.root_key },
		"no responder of our issuer");
	refused(&(struct ocsp_spec){ .signer = pki.root, .signer_key = pki.root_key, .flags = OCSP_NOCERTS },
		"neither by our issuer");
	refused(&(struct ocsp_spec){ .signer = pki.leaf, .signer_key = pki.leaf_key }, "may not sign");
	refused(&(struct ocsp_spec){ .break_signature = true }, "signature");
	refused(&(struct ocsp_spec){ .md = EVP_sha1() }, "hash that is not accepted");
}

static X509 *make_responder(X509 *issuer, EVP_PKEY *issuer_key, const char *eku, int64_t from, int64_t to)
{
	return testpki_issue(&(struct testpki_spec){ .cn = "Responder",
						     .key = pki.other_key,
						     .issuer = issuer,
						     .issuer_key = issuer_key,
						     .eku = eku,
						     .from = from,
						     .to = to });
}

static void with_responder(X509 *issuer, EVP_PKEY *issuer_key, const char *eku, int64_t from, int64_t to,
			   const char *why)
{
	X509 *x = make_responder(issuer, issuer_key, eku, from, to);
	struct ocsp_spec s = { .signer = x, .signer_key = pki.other_key };

	if (why != NULL)
		refused(&s, why);
	else
		good(&s);
	s.flags = OCSP_RESPID_KEY;
	if (why != NULL)
		refused(&s, why);
	else
		good(&s);
	s.flags = OCSP_NOCERTS;
	refused(&s, "neither by our issuer");
	X509_free(x);
}

static void test_ocsp_delegated(void **state)
{
	(void)state;
	with_responder(pki.ica, pki.ica_key, "OCSPSigning", 0, 0, NULL);
	with_responder(pki.ica, pki.ica_key, "serverAuth,OCSPSigning", 0, 0, NULL);
	with_responder(pki.ica, pki.ica_key, NULL, 0, 0, "may not sign");
	with_responder(pki.ica, pki.ica_key, "serverAuth", 0, 0, "may not sign");
	with_responder(pki.ica, pki.ica_key, "anyExtendedKeyUsage", 0, 0, "may not sign");
	with_responder(pki.root, pki.root_key, "OCSPSigning", 0, 0, "no responder of our issuer");
	/* says that it is by our issuer */
	with_responder(pki.ica, pki.other_key, "OCSPSigning", 0, 0, "no responder of our issuer");
	with_responder(pki.ica, pki.ica_key, "OCSPSigning", NOW - 2 * DAY, NOW - 301, "not valid now");
	with_responder(pki.ica, pki.ica_key, "OCSPSigning", NOW - 2 * DAY, NOW - 299, NULL);
	with_responder(pki.ica, pki.ica_key, "OCSPSigning", NOW + 301, NOW + DAY, "not valid now");
}

static void test_ocsp_failures(void **state)
{
	static const char *const words[] = { NULL, "malformedRequest", "internalError", "tryLater",
					     NULL, "sigRequired",      "unauthorized" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		OCSP_RESPONSE *resp = OCSP_response_create((int)i, NULL);
		struct revocation_status st = { 0 };
		struct err e = ERR_INIT;
		unsigned char *der = NULL;
		int len = i2d_OCSP_RESPONSE(resp, &der);
		_cleanup_(der_done) struct der d = der_of(der, len);

		assert_int_equal(
			revocation_ocsp_read(pki.chain, strlen(pki.chain), d.data, d.len, NOW, &st, &e),
			-EBADMSG);
		if (words[i] != NULL)
			assert_non_null(strstr(e.text, words[i]));
		OCSP_RESPONSE_free(resp);
	}
}

/* Every beginning of a good answer, and every answer with one byte changed: all of it is signed, or holds it together. */
static void test_ocsp_damaged(void **state)
{
	struct ocsp_spec s = {
		.status = V_OCSP_CERTSTATUS_REVOKED, .reason = 1, .revoked_at = NOW - 7, .flags = OCSP_NOCERTS
	};
	_cleanup_(der_done) struct der d = make_ocsp(&s);
	struct revocation_status st;
	size_t chain_len = strlen(pki.chain);

	(void)state;
	for (size_t len = 0; len < d.len; len++) {
		_cleanup_free_ unsigned char *part = len > 0 ? xmemdup(d.data, len) : NULL;

		assert_int_equal(revocation_ocsp_read(pki.chain, chain_len, part, len, NOW, &st, NULL),
				 -EBADMSG);
	}
	for (size_t i = 0; i < d.len; i++) {
		d.data[i] ^= 0x41;
		assert_int_equal(revocation_ocsp_read(pki.chain, chain_len, d.data, d.len, NOW, &st, NULL),
				 -EBADMSG);
		d.data[i] ^= 0x41;
	}
	assert_int_equal(revocation_ocsp_read(pki.chain, chain_len, d.data, d.len, NOW, &st, NULL), 0);
}

static void test_garbage(void **state)
{
	static const char html[] = "<html>502</html>";
	const unsigned char *text = (const unsigned char *)html;
	_cleanup_free_ unsigned char *large = xmalloc(REVOCATION_CRL_MAX + 1);
	_cleanup_(der_done) struct der d = make_ocsp(&(struct ocsp_spec){ 0 });
	struct revocation_status st;
	struct err e = ERR_INIT;
	size_t len = strlen(pki.chain);

	(void)state;
	assert_int_equal(revocation_ocsp_read(pki.chain, len, text, strlen(html), NOW, &st, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "not an OCSP response"));
	assert_int_equal(revocation_crl_read(pki.chain, len, text, strlen(html), NOW, &st, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "not a CRL"));
	assert_int_equal(revocation_ocsp_read(pki.chain, len, large, REVOCATION_OCSP_MAX + 1, NOW, &st, &e),
			 -EBADMSG);
	assert_non_null(strstr(e.text, "limit"));
	assert_int_equal(revocation_crl_read(pki.chain, len, large, REVOCATION_CRL_MAX + 1, NOW, &st, &e),
			 -EBADMSG);
	assert_non_null(strstr(e.text, "limit"));
	memcpy(large, d.data, d.len);
	assert_int_equal(revocation_ocsp_read(pki.chain, len, large, d.len + 1, NOW, &st, &e), -EBADMSG);
	assert_int_equal(revocation_crl_read(pki.chain, len, d.data, d.len, NOW, &st, &e), -EBADMSG);
	assert_int_equal(revocation_ocsp_read(pki.chain, len, NULL, 0, NOW, &st, &e), -EBADMSG);
	assert_int_equal(revocation_crl_read(pki.chain, len, NULL, 0, NOW, &st, &e), -EBADMSG);
}

/* --- CRL --------------------------------------------------------------------------------------------- */

struct crl_spec {
	X509 *issuer; /* ica */
	EVP_PKEY *key;
	const EVP_MD *md;
	int64_t from, to;  /* an hour ago, tomorrow; to -1: none */
	int64_t serial;	   /* one entry; 0: none */
	unsigned n_others; /* entries in front of it */
	int reason;	   /* of that entry; 0: none */
	const char *idp;   /* value of the extension, in the words of x509v3_config(5) */
	int nid;	   /* another extension: 05 00 */
	bool critical;
	bool v1;
};

static void add_entry(X509_CRL *crl, int64_t serial, int reason)
{
	X509_REVOKED *rev = X509_REVOKED_new();
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, NOW - 9);

	assert_true(ASN1_INTEGER_set_int64(n, serial));
	assert_true(X509_REVOKED_set_serialNumber(rev, n) && X509_REVOKED_set_revocationDate(rev, at));
	if (reason > 0) {
		ASN1_ENUMERATED *r = ASN1_ENUMERATED_new();

		assert_true(ASN1_ENUMERATED_set(r, reason));
		assert_int_equal(X509_REVOKED_add1_ext_i2d(rev, NID_crl_reason, r, 0, 0), 1);
		ASN1_ENUMERATED_free(r);
	}
	assert_true(X509_CRL_add0_revoked(crl, rev));
	ASN1_INTEGER_free(n);
	ASN1_TIME_free(at);
}

static void add_idp(X509_CRL *crl, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, pki.ica, NULL, NULL, crl, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, NID_issuing_distribution_point, value);
	assert_non_null(e);
	assert_true(X509_CRL_add_ext(crl, e, -1));
	X509_EXTENSION_free(e);
}

static void add_odd_ext(X509_CRL *crl, int nid, bool critical)
{
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	assert_true(ASN1_OCTET_STRING_set(data, (const unsigned char *)"\x02\x01\x05", 3));
	e = X509_EXTENSION_create_by_NID(NULL, nid, critical, data);
	assert_true(X509_CRL_add_ext(crl, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
}

static struct der make_crl(const struct crl_spec *s)
{
	X509_CRL *crl = X509_CRL_new();
	X509 *issuer = s->issuer != NULL ? s->issuer : pki.ica;
	ASN1_TIME *from = ASN1_TIME_set(NULL, s->from != 0 ? s->from : NOW - 3600);
	ASN1_TIME *to = ASN1_TIME_set(NULL, s->to != 0 ? s->to : NOW + DAY);
	unsigned char *der = NULL;
	struct der d;
	int len;

	assert_true(s->v1 || X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	assert_true(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)));
	assert_true(X509_CRL_set1_lastUpdate(crl, from));
	assert_true(s->to == -1 || X509_CRL_set1_nextUpdate(crl, to));
	for (unsigned i = 0; i < s->n_others; i++)
		add_entry(crl, 0x100000 + i, (int)i % 3);
	if (s->serial != 0)
		add_entry(crl, s->serial, s->reason);
	if (s->idp != NULL)
		add_idp(crl, s->idp);
	if (s->nid != 0)
		add_odd_ext(crl, s->nid, s->critical);
	assert_true(X509_CRL_sign(crl, s->key != NULL ? s->key : pki.ica_key,
				  s->md != NULL ? s->md : EVP_sha256()) > 0);
	len = i2d_X509_CRL(crl, &der);
	d = der_of(der, len);
	X509_CRL_free(crl);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return d;
}

static int read_crl(const struct crl_spec *s, struct revocation_status *ret, struct err *e)
{
	_cleanup_(der_done) struct der d = make_crl(s);

	*ret = (struct revocation_status){ 0 };
	*e = (struct err)ERR_INIT;
	return revocation_crl_read(pki.chain, strlen(pki.chain), d.data, d.len, NOW, ret, e);
}

static void crl_says(const struct crl_spec *s, enum revocation_state want, const char *reason)
{
	struct revocation_status st;
	struct err e;

	if (read_crl(s, &st, &e) != 0)
		fail_msg("refused: %s", e.text);
	assert_int_equal(st.state, want);
	assert_string_equal(st.reason, reason);
	assert_int_equal(st.revoked_at, want == REVOCATION_REVOKED ? NOW - 9 : 0);
	assert_int_equal(st.next_update, s->to != 0 ? s->to : NOW + DAY);
}

static void crl_refused(const struct crl_spec *s, const char *why)
{
	struct revocation_status st;
	struct err e;

	assert_int_equal(read_crl(s, &st, &e), -EBADMSG);
	assert_int_equal(st.state, REVOCATION_UNKNOWN);
	if (strstr(e.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void test_crl(void **state)
{
	(void)state;
	crl_says(&(struct crl_spec){ 0 }, REVOCATION_GOOD, "");
	crl_says(&(struct crl_spec){ .v1 = true }, REVOCATION_GOOD, "");
	crl_says(&(struct crl_spec){ .v1 = true, .serial = 0x81828384 }, REVOCATION_REVOKED, "");
	crl_says(&(struct crl_spec){ .serial = 0x81828384 }, REVOCATION_REVOKED, "");
	crl_says(&(struct crl_spec){ .serial = 0x81828384, .reason = 1 }, REVOCATION_REVOKED,
		 "keyCompromise");
	crl_says(
		&(struct crl_spec){
			.serial = 0x81828384, .reason = 4, .n_others = 300, .nid = NID_crl_number },
		REVOCATION_REVOKED, "superseded");
	/* the end of ours, ours with the other sign, ours with another end */
	crl_says(&(struct crl_spec){ .serial = 0x828384, .n_others = 300 }, REVOCATION_GOOD, "");
	crl_says(&(struct crl_spec){ .serial = -INT64_C(0x81828384) }, REVOCATION_GOOD, "");
	crl_says(&(struct crl_spec){ .serial = 0x81828385 }, REVOCATION_GOOD, "");
}

static void test_crl_rsa(void **state)
{
	struct crl_spec s = { .issuer = pki.rsa_ica, .key = pki.rsa_key, .serial = 77, .reason = 5 };
	_cleanup_(der_done) struct der d = make_crl(&s);
	struct revocation_status st = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		revocation_crl_read(pki.rsa_chain, strlen(pki.rsa_chain), d.data, d.len, NOW, &st, &e), 0);
	assert_string_equal(st.reason, "cessationOfOperation");
}

static void test_crl_refused(void **state)
{
	(void)state;
	crl_refused(&(struct crl_spec){ .to = NOW - 301 }, "too old");
	crl_says(&(struct crl_spec){ .to = NOW - 299 }, REVOCATION_GOOD, "");
	crl_refused(&(struct crl_spec){ .from = NOW + 301 }, "is to come");
	crl_refused(&(struct crl_spec){ .to = -1 }, "dates");
	crl_refused(&(struct crl_spec){ .to = -1, .serial = 1 }, "dates");
	crl_refused(&(struct crl_spec){ .issuer = pki.root, .key = pki.root_key }, "not our issuer");
	crl_refused(&(struct crl_spec){ .key = pki.other_key }, "signature");
	crl_refused(&(struct crl_spec){ .key = pki.rsa_key }, "not accepted");
	crl_refused(&(struct crl_spec){ .md = EVP_sha1() }, "not accepted");
	crl_refused(&(struct crl_spec){ .nid = NID_delta_crl, .critical = true }, "changes only");
	crl_refused(&(struct crl_spec){ .nid = NID_delta_crl }, "changes only");
	crl_refused(&(struct crl_spec){ .nid = NID_netscape_comment, .critical = true },
		    "critical extension");
	crl_says(&(struct crl_spec){ .nid = NID_netscape_comment }, REVOCATION_GOOD, "");
}

static void test_crl_points(void **state)
{
	(void)state;
	crl_says(&(struct crl_spec){ .idp = "critical,fullname:URI:" CRL }, REVOCATION_GOOD, "");
	crl_says(&(struct crl_spec){ .idp = "fullname:URI:http://second.example/c", .serial = 0x81828384 },
		 REVOCATION_REVOKED, "");
	crl_says(&(struct crl_spec){ .idp = "critical,onlyuser:TRUE" }, REVOCATION_GOOD, "");
	crl_refused(&(struct crl_spec){ .idp = "critical,fullname:URI:http://crl.example/p2.crl" },
		    "another distribution point");
	crl_refused(&(struct crl_spec){ .idp = "critical,onlyCA:TRUE" }, "other certificates");
	crl_refused(&(struct crl_spec){ .idp = "critical,onlyAA:TRUE" }, "other certificates");
	crl_refused(&(struct crl_spec){ .idp = "critical,onlysomereasons:keyCompromise" }, "some reasons");
	crl_refused(&(struct crl_spec){ .idp = "critical,indirectCRL:TRUE" }, "several issuers");
	crl_refused(&(struct crl_spec){ .nid = NID_issuing_distribution_point, .critical = true },
		    "distribution point of the CRL");
}

/* The issuer's certificate says that its key is for other things. */
static void test_crl_usage(void **state)
{
	X509 *ica = make_ca("ICA", pki.ica_key, pki.root, pki.root_key, "critical,keyCertSign");
	_cleanup_free_ char *chain = chain_of(pki.leaf, ica);
	_cleanup_(der_done) struct der d = make_crl(&(struct crl_spec){ 0 });
	struct revocation_status st;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(revocation_crl_read(chain, strlen(chain), d.data, d.len, NOW, &st, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "may not sign CRLs"));
	X509_free(ica);
}

/* Every byte of a CRL is signed or is the signature: no change is believed. */
static void test_crl_damaged(void **state)
{
	_cleanup_(der_done) struct der d = make_crl(&(struct crl_spec){
		.serial = 0x81828384, .reason = 1, .n_others = 5, .idp = "critical,onlyuser:TRUE" });
	struct revocation_status st;
	size_t len = strlen(pki.chain);

	(void)state;
	for (size_t n = 0; n < d.len; n++) {
		_cleanup_free_ unsigned char *part = n > 0 ? xmemdup(d.data, n) : NULL;

		assert_int_equal(revocation_crl_read(pki.chain, len, part, n, NOW, &st, NULL), -EBADMSG);
	}
	for (size_t i = 0; i < d.len; i++) {
		d.data[i] ^= 0x01;
		assert_int_equal(revocation_crl_read(pki.chain, len, d.data, d.len, NOW, &st, NULL),
				 -EBADMSG);
		d.data[i] ^= 0x01;
	}
	assert_int_equal(revocation_crl_read(pki.chain, len, d.data, d.len, NOW, &st, NULL), 0);
	assert_int_equal(st.state, REVOCATION_REVOKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_urls_odd),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_bad_chains),
		cmocka_unit_test(test_ocsp_good),
		cmocka_unit_test(test_ocsp_rsa),
		cmocka_unit_test(test_ocsp_revoked),
		cmocka_unit_test(test_ocsp_unknown),
		cmocka_unit_test(test_ocsp_times),
		cmocka_unit_test(test_ocsp_of_others),
		cmocka_unit_test(test_ocsp_delegated),
		cmocka_unit_test(test_ocsp_failures),
		cmocka_unit_test(test_ocsp_damaged),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_crl),
		cmocka_unit_test(test_crl_rsa),
		cmocka_unit_test(test_crl_refused),
		cmocka_unit_test(test_crl_points),
		cmocka_unit_test(test_crl_usage),
		cmocka_unit_test(test_crl_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
