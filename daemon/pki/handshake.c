/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL as a client between two memory BIOs. The chain is taken where OpenSSL would verify it, so nothing is verified and no path is
 * built (which a hostile chain could make costly).
 *
 * A server with certificates of two kinds shows each client one of them. Which is decided by the signature algorithms that the client
 * names (TLS 1.3) and by its cipher suites (TLS 1.2), so a kind is asked for by leaving the other out. The
 * algorithms for the kind EC include RSA with PKCS#1 padding: in TLS 1.3 these mean signatures in certificates only (RFC 8446
 * 4.2.3), and strict servers would otherwise not show an EC certificate that an RSA CA signed. */
#include "daemon/pki/handshake.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/served_priv.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define SHOWN_MAX     40
#define GROUPS	      "X25519:P-256:P-384:P-521"
#define SIGALGS_EC    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"
#define SIGALGS_PSS   "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512"
#define SIGALGS_PKCS1 "RSA+SHA256:RSA+SHA384:RSA+SHA512"

static const struct {
	const char *ciphers, *sigalgs; /* of TLS 1.2; of both */
} offers[] = {
	[SERVED_KIND_ANY] = { "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:kRSA+AESGCM:kRSA+AES:!PSK:!SRP",
			      SIGALGS_EC ":" SIGALGS_PSS ":" SIGALGS_PKCS1 },
	[SERVED_KIND_RSA] = { "ECDHE+aRSA+AESGCM:ECDHE+aRSA+CHACHA20:ECDHE+aRSA+AES:kRSA+AESGCM:kRSA+AES:!"
			      "PSK:!SRP",
			      SIGALGS_PSS ":" SIGALGS_PKCS1 },
	[SERVED_KIND_EC] = { "ECDHE+aECDSA+AESGCM:ECDHE+aECDSA+CHACHA20:ECDHE+aECDSA+AES",
			     SIGALGS_EC ":" SIGALGS_PKCS1 },
};

struct handshake {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	struct served *served;
	size_t n_received;
	unsigned char first[SHOWN_MAX]; /* of what came: tells plain text from TLS */
	size_t n_first;
	int n_certs; /* presented; 0: none yet */
	int alert;   /* fatal, that the server sent; -1: none */
	bool asked;  /* for a certificate of ours */
	bool complete;
};

/* --- what OpenSSL tells in between ------------------------------------------------------------------------ */

/* In the place of verification. */
static int on_certs(X509_STORE_CTX *store, void *arg)
{
	struct handshake *h = arg;
	const STACK_OF(X509) *stack = X509_STORE_CTX_get0_untrusted(store);

	h->n_certs = sk_X509_num(stack);
	if (h->n_certs >= 1 && h->n_certs <= CHAIN_CERTS_MAX && !h->served)
		h->served = served_new(stack);
	return 1;
}

/* The server asks for a certificate of ours. In TLS 1.2 it has proven by then that it holds its own key. */
static int on_asked(SSL *ssl, _unused_ X509 **x, _unused_ EVP_PKEY **key)
{
	struct handshake *h = SSL_get_app_data(ssl);

	h->asked = true;
	return 0; /* we have none */
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct handshake *h = SSL_get_app_data(ssl);

	if (where == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL)
		h->alert = value & 0xff;
}

/* OpenSSL only reads these, but its macros are older than const. */
static char *readable(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* --- birth and death ---------------------------------------------------------------------------------------- */

static bool set_up_context(struct handshake *h, enum served_kind kind)
{
	h->ctx = SSL_CTX_new(TLS_client_method());
	if (!h->ctx)
		return false;
	SSL_CTX_set_security_level(h->ctx, 0); /* whatever is presented is to be seen */
	SSL_CTX_set_verify(h->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(h->ctx, on_certs, h);
	SSL_CTX_set_client_cert_cb(h->ctx, on_asked);
	SSL_CTX_set_info_callback(h->ctx, on_info);
	(void)SSL_CTX_set_session_cache_mode(h->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_options(h->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT |
						  SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	return SSL_CTX_set_min_proto_version(h->ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(h->ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(h->ctx, offers[kind].ciphers) == 1 &&
	       SSL_CTX_set1_sigalgs_list(h->ctx, readable(offers[kind].sigalgs)) == 1 &&
	       SSL_CTX_set1_groups_list(h->ctx, readable(GROUPS)) == 1;
}

static bool set_up(struct handshake *h, const char *server_name)
{
	static const unsigned char protocols[] = "\x02h2\x08http/1.1";

	h->ssl = SSL_new(h->ctx);
	h->in = BIO_new(BIO_s_mem());
	h->out = BIO_new(BIO_s_mem());
	if (!h->ssl || !h->in || !h->out) {
		BIO_free(h->in);
		BIO_free(h->out);
		return false;
	}
	SSL_set_bio(h->ssl, h->in, h->out);
	(void)BIO_set_mem_eof_return(h->in, -1); /* empty means: wait */
	SSL_set_connect_state(h->ssl);
	return SSL_set_app_data(h->ssl, h) == 1 &&
	       SSL_set_tlsext_host_name(h->ssl, readable(server_name)) == 1 &&
	       SSL_set_alpn_protos(h->ssl, protocols, sizeof protocols - 1) == 0;
}

int handshake_new(const char *server_name, enum served_kind kind, struct handshake **ret, struct err *reterr)
{
	_cleanup_(handshake_freep) struct handshake *h = xmalloc(sizeof *h);
	_clear_queue_;

	h->alert = -1;
	if (server_name[0] == '\0' || strlen(server_name) > TLSEXT_MAXLEN_host_name)
		return err_set(reterr, -EINVAL, "no name to ask the server for");
	if (!set_up_context(h, kind) || !set_up(h, server_name))
		return pki_err(reterr, -EIO, "cannot prepare a TLS handshake");
	*ret = TAKE_PTR(h);
	return 0;
}

void handshake_free(struct handshake *h)
{
	if (!h)
		return;
	SSL_free(h->ssl);
	SSL_CTX_free(h->ctx);
	served_free(h->served);
	free(h);
}

/* --- what went wrong ------------------------------------------------------------------------------------------ */

/* What begins like this is no record of TLS (RFC 8446 5.1): a handshake or an alert, of version 3.x. */
static bool is_tls(const struct handshake *h)
{
	if (h->n_first > 0 && h->first[0] != SSL3_RT_HANDSHAKE && h->first[0] != SSL3_RT_ALERT)
		return false;
	return h->n_first < 2 || h->first[1] == SSL3_VERSION_MAJOR;
}

static int not_tls(const struct handshake *h, struct err *reterr)
{
	char text[SHOWN_MAX + 1];
	size_t n = 0;

	while (n < h->n_first && isascii(h->first[n]) && isprint(h->first[n]))
		n++;
	if (n == 0)
		return err_set(reterr, -EPROTO, "answers something that is not TLS");
	return err_set(reterr, -EPROTO, "answers plain text, not TLS (\"%s\")",
		       str_escape((const char *)h->first, n, text, sizeof text));
}

static int failed(const struct handshake *h, struct err *reterr)
{
	if (h->alert == SSL_AD_UNRECOGNIZED_NAME)
		return err_set(reterr, -EPROTO,
			       "does not know the name %.100s (TLS alert: unrecognized name)",
			       SSL_get_servername(h->ssl, TLSEXT_NAMETYPE_host_name));
	if (h->alert >= 0)
		return err_set(reterr, -EPROTO, "refuses the handshake (TLS alert: %s)",
			       SSL_alert_desc_string_long(h->alert));
	return pki_err(reterr, -EPROTO, "answers no proper TLS handshake");
}

/* --- the handshake -------------------------------------------------------------------------------------------- */

static int finish(struct handshake *h, struct err *reterr)
{
	if (h->n_certs > CHAIN_CERTS_MAX)
		return err_set(reterr, -EPROTO, "presents %d certificates, which is more than %d", h->n_certs,
			       CHAIN_CERTS_MAX);
	if (!h->served)
		return err_set(reterr, -EPROTO, "presents no certificate that can be read");
	h->complete = true;
	return 1;
}

/* Gave up for want of a certificate of ours: what we came for was shown before. */
static bool wanted_ours(const struct handshake *h)
{
	return h->asked && h->n_certs > 0;
}

/* Keeps the first bytes; false when there came too many. */
static bool take_in(struct handshake *h, const void *data, size_t len)
{
	size_t n = MIN(len, sizeof h->first - h->n_first);

	memcpy(h->first + h->n_first, data, n);
	h->n_first += n;
	h->n_received += len;
	return h->n_received <= HANDSHAKE_RECEIVED_MAX;
}

int handshake_feed(struct handshake *h, const void *data, size_t len, struct err *reterr)
{
	_clear_queue_;
	int r = 0;

	if (len > 0 && !take_in(h, data, len))
		return err_set(reterr, -EPROTO, "sends more than %u KiB instead of a handshake",
			       HANDSHAKE_RECEIVED_MAX >> 10);
	if (!is_tls(h))
		return not_tls(h, reterr);
	if (len > 0 && BIO_write(h->in, data, (int)len) != (int)len)
		return err_set(reterr, -EPROTO, "sends more than fits into memory");
	ERR_clear_error();
	r = SSL_do_handshake(h->ssl);
	if (r == 1) {
		(void)SSL_shutdown(h->ssl); /* puts the close_notify behind what is to be sent */
		return finish(h, reterr);
	}
	r = SSL_get_error(h->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return 0;
	if (wanted_ours(h))
		return finish(h, reterr);
	return failed(h, reterr);
}

int handshake_eof(struct handshake *h, struct err *reterr)
{
	_clear_queue_;

	if (wanted_ours(h))
		return finish(h, reterr);
	if (h->n_received == 0)
		return err_set(reterr, -EPROTO, "closes the connection without a word");
	return err_set(reterr, -EPROTO, "closes the connection in the middle of the handshake");
}

size_t handshake_pull(struct handshake *h, void *buf, size_t size)
{
	_clear_queue_;
	int n = BIO_read(h->out, buf, (int)MIN(size, INT_MAX));

	return n > 0 ? (size_t)n : 0;
}

struct served *handshake_take_served(struct handshake *h)
{
	return h->complete ? TAKE_PTR(h->served) : NULL;
}
