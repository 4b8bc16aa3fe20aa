/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and certificates: with the right root it talks, with any other set-up nothing of the
 * request leaves. The peer is libmicrohttpd with a certificate that is made here. */
#include "common/mem.h"
#include "daemon/io/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
	struct MHD_Daemon *daemon;
	unsigned port;
	atomic_int n_requests;
	char dir[64];
	char ca_file[96];
	char other_file[96];
} srv;

static struct loop *loop;
static struct timer *guard;

/* --- certificates --------------------------------------------------------------------------------- */

static void add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext = NULL;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* Signed by itself when issuer is NULL. */
static X509 *make_cert(EVP_PKEY *key, const char *cn, X509 *issuer, EVP_PKEY *issuer_key, long days)
{
	X509 *cert = X509_new();

	assert_non_null(cert);
	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer ? 2 : 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3L * 86400));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400));
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
						    (const unsigned char *)cn, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	if (issuer)
		add_ext(cert, issuer, NID_subject_alt_name, "DNS:api.example.test,IP:127.0.0.1");
	else
		add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(cert, issuer ? issuer_key : key, EVP_sha256()) > 0);
	return cert;
}

static void write_pem(X509 *cert, const char *path)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	assert_int_equal(fclose(f), 0);
}

/* PEM of a key or a certificate; the caller frees. */
static char *to_pem(EVP_PKEY *key, X509 *cert)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL;
	char *ret = NULL;
	long len = 0;

	if (key)
		assert_int_equal(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_bio_X509(b, cert), 1);
	len = BIO_get_mem_data(b, &data);
	ret = xstrndup(data, (size_t)len);
	BIO_free(b);
	return ret;
}

/* --- the server ----------------------------------------------------------------------------------- */

static enum MHD_Result answer(_unused_ void *arg, struct MHD_Connection *c, _unused_ const char *url,
			      _unused_ const char *method, _unused_ const char *version,
			      _unused_ const char *data, _unused_ size_t *len, void **mine)
{
	struct MHD_Response *r = NULL;
	enum MHD_Result ret = MHD_NO;
	static char body[] = "over TLS";

	if (!*mine) {
		*mine = body;
		return MHD_YES;
	}
	atomic_fetch_add(&srv.n_requests, 1);
	r = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
	ret = MHD_queue_response(c, 200, r);
	MHD_destroy_response(r);
	return ret;
}

static void server_start(long days)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = make_cert(ca_key, "Test Root", NULL, NULL, 30);
	X509 *other = make_cert(key, "Other Root", NULL, NULL, 30);
	X509 *leaf = make_cert(key, "api.example.test", ca, ca_key, days);
	_cleanup_free_ char *key_pem = to_pem(key, NULL);
	_cleanup_free_ char *cert_pem = to_pem(NULL, leaf);

	write_pem(ca, srv.ca_file);
	write_pem(other, srv.other_file);
	srv.daemon = MHD_start_daemon(MHD_USE_TLS | MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer,
				      NULL, MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_HTTPS_MEM_KEY, key_pem,
				      MHD_OPTION_HTTPS_MEM_CERT, cert_pem, MHD_OPTION_END);
	assert_non_null(srv.daemon);
	srv.port = MHD_get_daemon_info(srv.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	atomic_store(&srv.n_requests, 0);
	X509_free(ca);
	X509_free(other);
	X509_free(leaf);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

/* --- the client ------------------------------------------------------------------------------------ */

struct seen {
	struct http *http;
	int n;
	enum fault fault;
	char code[OUTCOME_CODE_MAX];
	char message[OUTCOME_MESSAGE_MAX];
	char body[32];
};

static void done(const struct http_result *r, void *owner)
{
	struct seen *s = owner;

	s->n++;
	s->fault = r->outcome.fault;
	(void)snprintf(s->code, sizeof s->code, "%s", r->outcome.code);
	(void)snprintf(s->message, sizeof s->message, "%s", r->outcome.message);
	(void)snprintf(s->body, sizeof s->body, "%s", r->body);
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no answer within 8 s");
}

static void ask(struct seen *s, const char *host)
{
	_cleanup_free_ char *url = xasprintf("https://%s:%u/", host, srv.port);
	_cleanup_free_ char *to = xasprintf("127.0.0.1:%u", srv.port);

	s->n = 0;
	http_start(s->http, &(struct http_request){ .method = "POST", .url = url, .connect_to = to }, done, s,
		   NULL);
	loop_run(loop);
	assert_int_equal(s->n, 1);
}

static void ask_with(struct seen *s, const struct http_options *o, const char *host)
{
	assert_int_equal(http_new(loop, o, &s->http, NULL), 0);
	ask(s, host);
	http_free(s->http);
}

static int setup(_unused_ void **state)
{
	memset(&srv, 0, sizeof srv);
	(void)snprintf(srv.dir, sizeof srv.dir, "/tmp/test_http_tls.XXXXXX");
	assert_non_null(mkdtemp(srv.dir));
	(void)snprintf(srv.ca_file, sizeof srv.ca_file, "%s/ca.pem", srv.dir);
	(void)snprintf(srv.other_file, sizeof srv.other_file, "%s/other.pem", srv.dir);
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 8000);
	return 0;
}

static int teardown(_unused_ void **state)
{
	MHD_stop_daemon(srv.daemon);
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	(void)unlink(srv.ca_file);
	(void)unlink(srv.other_file);
	assert_int_equal(rmdir(srv.dir), 0);
	return 0;
}

static void test_right_root(_unused_ void **state)
{
	struct seen s = { 0 };

	server_start(10);
	assert_int_equal(http_new(loop, &(struct http_options){ .ca_file = srv.ca_file }, &s.http, NULL), 0);
	for (int i = 0; i < 5; i++) {
		ask(&s, "api.example.test");
		assert_int_equal(s.fault, FAULT_NONE);
		assert_string_equal(s.body, "over TLS");
	}
	assert_int_equal(atomic_load(&srv.n_requests), 5);
	assert_int_equal(http_connection_count(s.http), 1); /* POST reuses the connection too */
	http_free(s.http);
}

static void assert_refused(const struct seen *s)
{
	assert_int_equal(s->fault, FAULT_UNSENT);
	assert_string_equal(s->code, "tls");
	assert_non_null(strstr(s->message, "example.test: "));
	assert_int_equal(atomic_load(&srv.n_requests), 0);
}

static void test_wrong_roots_and_names(_unused_ void **state)
{
	struct seen s = { 0 };

	server_start(10);
	ask_with(&s, &(struct http_options){ .ca_file = srv.other_file }, "api.example.test");
	assert_refused(&s);
	ask_with(&s, &(struct http_options){ .ca_file = NULL }, "api.example.test"); /* the system's */
	assert_refused(&s);
	ask_with(&s, &(struct http_options){ .ca_file = srv.ca_file }, "other.example.test");
	assert_refused(&s);
	ask_with(&s, &(struct http_options){ .plain = true }, "other.example.test");
	assert_int_equal(s.fault, FAULT_NONE);
	/* http:// where only https may be spoken */
	assert_int_equal(http_new(loop, &(struct http_options){ .ca_file = srv.ca_file }, &s.http, NULL), 0);
	s.n = 0;
	http_start(s.http, &(struct http_request){ .method = "GET", .url = "http://127.0.0.1/" }, done, &s,
		   NULL);
	loop_run(loop);
	assert_int_equal(s.fault, FAULT_UNSENT);
	assert_string_equal(s.code, "http");
	http_free(s.http);
}

static void test_expired(_unused_ void **state)
{
	struct seen s = { 0 };

	server_start(-1);
	ask_with(&s, &(struct http_options){ .ca_file = srv.ca_file }, "api.example.test");
	assert_refused(&s);
}

static void test_unusable_ca_file(_unused_ void **state)
{
	struct seen s = { 0 };
	FILE *f = NULL;

	server_start(10);
	f = fopen(srv.ca_file, "we");
	assert_non_null(f);
	assert_true(fputs("no certificate in here\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	ask_with(&s, &(struct http_options){ .ca_file = srv.ca_file }, "api.example.test");
	assert_refused(&s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_right_root),
		T(test_wrong_roots_and_names),
		T(test_expired),
		T(test_unusable_ca_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
