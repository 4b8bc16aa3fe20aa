/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/ca.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define PEM_FILE_MAX 65536
#define YEAR_S	     (366 * INT64_C(86400))
#define CN_MAX	     64 /* ub-common-name, RFC 5280 appendix A.1 */

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

struct ca {
	X509 *root;
	X509 *intermediate;
	EVP_PKEY *root_key;
	EVP_PKEY *intermediate_key;
	char *root_pem;
	char *intermediate_pem;
	char *pki_url; /* NULL = none */
};

static const char INTERMEDIATE_CN[] = "dvcert-sandbox TLS ECC P256 CA1";

/* OpenSSL has no answer here but "out of memory" or a mistake of ours. */
static void must(bool ok)
{
	if (ok)
		return;
	ERR_print_errors_fp(stderr);
	abort();
}

static char *bio_text(BIO *bio)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	return xstrndup(data ? data : "", (size_t)len);
}

static char *cert_pem(X509 *x)
{
	_cleanup_(BIO_free_allp) BIO *out = BIO_new(BIO_s_mem());
	must(out && PEM_write_bio_X509(out, x) == 1);
	return bio_text(out);
}

static char *key_pem(EVP_PKEY *key)
{
	_cleanup_(BIO_free_allp) BIO *out = BIO_new(BIO_s_mem());
	must(out && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
	return bio_text(out);
}

static EVP_PKEY *new_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	must(key != NULL);
	return key;
}

/* 16 random bytes, the first one never 0 and never negative: always 32 hex digits. */
static void set_serial(X509 *x)
{
	unsigned char raw[16];
	clock_random(raw, sizeof(raw));
	raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40);
	BIGNUM *bn = BN_bin2bn(raw, sizeof(raw), NULL);
	must(bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

static void set_times(X509 *x, int64_t not_before, int64_t not_after)
{
	must(ASN1_TIME_set(X509_getm_notBefore(x), (time_t)not_before) != NULL);
	must(ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after) != NULL);
}

static void add_name(X509_NAME *name, const char *field, const char *val)
{
	must(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)val, -1, -1, 0) ==
	     1);
}

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

static X509 *new_cert(EVP_PKEY *key, int64_t not_before, int64_t not_after)
{
	X509 *x = X509_new();
	must(x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
	set_serial(x);
	set_times(x, not_before, not_after);
	return x;
}

static X509 *make_authority(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, int64_t now)
{
	X509 *x = new_cert(key, now - 10 * YEAR_S, now + (issuer ? 30 : 40) * YEAR_S);
	X509_NAME *name = X509_get_subject_name(x);
	add_name(name, "C", "US");
	add_name(name, "O", "dvcert-sandbox (worth nothing)");
	add_name(name, "CN", cn);
	X509 *signer = issuer ? issuer : x;
	must(X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1);
	add_ext(x, signer, NID_basic_constraints, issuer ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE");
	add_ext(x, signer, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
	add_ext(x, signer, NID_subject_key_identifier, "hash");
	add_ext(x, signer, NID_authority_key_identifier, "keyid:always");
	must(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	return x;
}

static int save(int dirfd, const char *name, const char *text, mode_t mode, struct err *reterr)
{
	return fs_replace(dirfd, name, text, strlen(text), mode, reterr);
}

static int save_key(int dirfd, const char *name, EVP_PKEY *key, struct err *reterr)
{
	_cleanup_wipe_ char *pem = key_pem(key);
	return save(dirfd, name, pem, 0600, reterr);
}

/* ca.pem is written last: when it is there, everything else is. */
static int make_files(int dirfd, struct ca *ca, int64_t now, struct err *reterr)
{
	ca->root_key = new_key();
	ca->root = make_authority("dvcert-sandbox Root", ca->root_key, NULL, ca->root_key, now);
	ca->intermediate_key = new_key();
	ca->intermediate = make_authority(INTERMEDIATE_CN, ca->intermediate_key, ca->root, ca->root_key, now);
	_cleanup_free_ char *root = cert_pem(ca->root);
	_cleanup_free_ char *intermediate = cert_pem(ca->intermediate);
	int r = save_key(dirfd, "ca-key.pem", ca->root_key, reterr);
	if (r == 0)
		r = save_key(dirfd, "intermediate-key.pem", ca->intermediate_key, reterr);
	if (r == 0)
		r = save(dirfd, "intermediate.pem", intermediate, 0644, reterr);
	if (r == 0)
		r = save(dirfd, "ca.pem", root, 0644, reterr);
	return r;
}

static int load_cert(int dirfd, const char *name, X509 **ret, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = fs_read_at(dirfd, name, PEM_FILE_MAX, &text, &len, reterr);
	if (r < 0)
		return r;
	_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(text, (int)len);
	must(in != NULL);
	*ret = PEM_read_bio_X509(in, NULL, NULL, NULL);
	if (!*ret) {
		ERR_clear_error();
		return err_set(reterr, -EBADMSG, "%s: not a certificate in PEM", name);
	}
	return 0;
}

static int load_key(int dirfd, const char *name, X509 *cert, EVP_PKEY **ret, struct err *reterr)
{
	_cleanup_wipe_ char *text = NULL;
	size_t len = 0;
	int r = fs_read_at(dirfd, name, PEM_FILE_MAX, &text, &len, reterr);
	if (r < 0)
		return r;
	_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(text, (int)len);
	must(in != NULL);
	*ret = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	if (!*ret || X509_check_private_key(cert, *ret) != 1) {
		ERR_clear_error();
		return err_set(reterr, -EBADMSG, "%s: not the key of its certificate", name);
	}
	return 0;
}

static int load_files(int dirfd, struct ca *ca, struct err *reterr)
{
	int r = load_cert(dirfd, "ca.pem", &ca->root, reterr);
	if (r == 0)
		r = load_cert(dirfd, "intermediate.pem", &ca->intermediate, reterr);
	if (r == 0)
		r = load_key(dirfd, "ca-key.pem", ca->root, &ca->root_key, reterr);
	if (r == 0)
		r = load_key(dirfd, "intermediate-key.pem", ca->intermediate, &ca->intermediate_key, reterr);
	if (r == 0 && X509_verify(ca->intermediate, ca->root_key) != 1) {
		ERR_clear_error();
		return err_set(reterr, -EBADMSG, "intermediate.pem: not issued by ca.pem");
	}
	return r;
}

int ca_open(int dirfd, int64_t now, struct ca **ret, struct err *reterr)
{
	struct ca *ca = xmalloc(sizeof(*ca));
	int r = faccessat(dirfd, "ca.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0
			? load_files(dirfd, ca, reterr)
			: make_files(dirfd, ca, now, reterr);
	if (r < 0) {
		ca_free(ca);
		return r;
	}
	ca->root_pem = cert_pem(ca->root);
	ca->intermediate_pem = cert_pem(ca->intermediate);
	*ret = ca;
	return 0;
}

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	X509_free(ca->root);
	X509_free(ca->intermediate);
	EVP_PKEY_free(ca->root_key);
	EVP_PKEY_free(ca->intermediate_key);
	free(ca->root_pem);
	free(ca->intermediate_pem);
	free(ca->pki_url);
	free(ca);
}

void ca_set_pki_url(struct ca *ca, const char *url)
{
	free(ca->pki_url);
	ca->pki_url = xstrdup(url);
}

X509 *ca_intermediate_cert(const struct ca *ca)
{
	return ca->intermediate;
}

EVP_PKEY *ca_intermediate_key(const struct ca *ca)
{
	return ca->intermediate_key;
}

const char *ca_root_pem(const struct ca *ca)
{
	return ca->root_pem;
}

const char *ca_intermediate_pem(const struct ca *ca)
{
	return ca->intermediate_pem;
}

const char *ca_intermediate_name(const struct ca *ca)
{
	(void)ca;
	return INTERMEDIATE_CN;
}

/* "DNS:a,DNS:b"; the names are letters, digits, '-', '.' and '*' only, so nothing needs quoting. A subject
 * without a common name makes the extension critical (RFC 5280 section 4.2.1.6). */
static void add_alt_names(X509 *x, X509 *issuer, const struct ca_request *req, bool critical)
{
	struct strbuf sb = STRBUF_INIT(1024 * 1024);
	strbuf_adds(&sb, critical ? "critical" : "");
	for (size_t i = 0; i < req->n_names; i++)
		strbuf_addf(&sb, "%sDNS:%s", sb.len ? "," : "", req->names[i]);
	add_ext(x, issuer, NID_subject_alt_name, strbuf_str(&sb));
	strbuf_done(&sb);
}

/* CA/B Forum: domain validated. */
static void add_policy(X509 *x)
{
	POLICYINFO *info = POLICYINFO_new();
	must(info != NULL);
	ASN1_OBJECT_free(info->policyid);
	info->policyid = OBJ_txt2obj("2.23.140.1.2.1", 1);
	CERTIFICATEPOLICIES *all = CERTIFICATEPOLICIES_new();
	must(info->policyid && all && sk_POLICYINFO_push(all, info) > 0);
	must(X509_add1_ext_i2d(x, NID_certificate_policies, all, 0, X509V3_ADD_DEFAULT) == 1);
	CERTIFICATEPOLICIES_free(all);
}

static void add_leaf_extensions(X509 *x, X509 *issuer, const struct ca_request *req, bool have_cn)
{
	add_ext(x, issuer, NID_authority_key_identifier, issuer == x ? "keyid" : "keyid:always");
	add_ext(x, issuer, NID_subject_key_identifier, "hash");
	add_alt_names(x, issuer, req, !have_cn);
	add_policy(x);
	if (req->make_ca)
		add_ext(x, issuer, NID_key_usage, "critical,keyCertSign,digitalSignature");
	else
		add_ext(x, issuer, NID_key_usage,
			req->key_is_rsa ? "critical,digitalSignature,keyEncipherment"
					: "critical,digitalSignature");
	add_ext(x, issuer, NID_ext_key_usage, "serverAuth");
	add_ext(x, issuer, NID_basic_constraints, req->make_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
}

static void add_pki_urls(const struct ca *ca, X509 *x, X509 *issuer)
{
	if (!ca->pki_url)
		return;
	_cleanup_free_ char *ocsp = xasprintf("OCSP;URI:%s/ocsp", ca->pki_url);
	_cleanup_free_ char *crl = xasprintf("URI:%s/crl/%s", ca->pki_url, CA_CRL_NAME);
	add_ext(x, issuer, NID_info_access, ocsp);
	add_ext(x, issuer, NID_crl_distribution_points, crl);
}

static void describe(X509 *x, const struct ca_request *req, struct ca_cert *ret)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	must(bn != NULL);
	char *hex = BN_bn2hex(bn);
	must(hex != NULL);
	snprintf(ret->serial, sizeof(ret->serial), "%s", hex);
	OPENSSL_free(hex);
	BN_free(bn);
	unsigned char sha1[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	must(X509_digest(x, EVP_sha1(), sha1, &len) == 1 && len == 20);
	for (unsigned i = 0; i < len; i++)
		snprintf(ret->thumbprint + 2 * (size_t)i, 3, "%02X", sha1[i]);
	ret->pem = cert_pem(x);
	ret->not_before = req->not_before;
	ret->not_after = req->not_after;
}

void ca_issue(const struct ca *ca, const struct ca_request *req, struct ca_cert *ret)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *fresh = req->key ? NULL : new_key();
	_cleanup_(X509_freep) X509 *x = new_cert(fresh ? fresh : req->key, req->not_before, req->not_after);
	bool have_cn = strlen(req->names[0]) <= CN_MAX;
	if (have_cn)
		add_name(X509_get_subject_name(x), "CN", req->names[0]);
	bool stranger = req->signer == CA_SIGNER_STRANGER;
	X509 *issuer = stranger ? x : ca->intermediate;
	must(X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1);
	add_leaf_extensions(x, issuer, req, have_cn);
	add_pki_urls(ca, x, issuer);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *thrown = stranger ? new_key() : NULL;
	const EVP_MD *md = EVP_get_digestbyname(req->hash);
	must(md && X509_sign(x, thrown ? thrown : ca->intermediate_key, md) > 0);
	*ret = (struct ca_cert){ 0 };
	describe(x, req, ret);
}

void ca_cert_done(struct ca_cert *c)
{
	free(c->pem);
	*c = (struct ca_cert){ 0 };
}

void ca_server_identity(const struct ca *ca, int64_t now, char **ret_cert_pem, char **ret_key_pem)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = new_key();
	_cleanup_(X509_freep) X509 *x = new_cert(key, now - 5 * YEAR_S, now + 20 * YEAR_S);
	add_name(X509_get_subject_name(x), "CN", "localhost");
	must(X509_set_issuer_name(x, X509_get_subject_name(ca->root)) == 1);
	add_ext(x, ca->root, NID_authority_key_identifier, "keyid:always");
	add_ext(x, ca->root, NID_subject_key_identifier, "hash");
	add_ext(x, ca->root, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
	add_ext(x, ca->root, NID_key_usage, "critical,digitalSignature");
	add_ext(x, ca->root, NID_ext_key_usage, "serverAuth");
	add_ext(x, ca->root, NID_basic_constraints, "critical,CA:FALSE");
	must(X509_sign(x, ca->root_key, EVP_sha256()) > 0);
	*ret_cert_pem = cert_pem(x);
	*ret_key_pem = key_pem(key);
}
