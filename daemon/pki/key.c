/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys: made, read, written. Every buffer that held one is wiped. Does not touch files. */
#include "daemon/pki/key.h"

#include "common/mem.h"
#include "daemon/pki/internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define KEY_PEM_MAX (64u << 10)
#define KEY_RSA_MIN 2048
#define KEY_RSA_MAX 8192

DEFINE_CLEANUP(OSSL_DECODER_CTX *, OSSL_DECODER_CTX_free)

static struct key *key_wrap(EVP_PKEY *pkey)
{
	struct key *k = xmalloc(sizeof(*k));

	k->pkey = pkey;
	return k;
}

void key_free(struct key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* OpenSSL wipes private numbers itself */
	free(k);
}

int key_generate(enum key_type type, unsigned bits, struct key **ret, struct err *reterr)
{
	EVP_PKEY *pkey = NULL;
	_clear_queue_;

	switch (type) {
	case KEY_RSA:
		if (bits < KEY_RSA_MIN || bits > KEY_RSA_MAX)
			return err_set(reterr, -EINVAL, "an RSA key must have %d to %d bits, not %u",
				       KEY_RSA_MIN, KEY_RSA_MAX, bits);
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
		break;
	case KEY_EC_P256: pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"); break;
	case KEY_EC_P384: pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"); break;
	}
	if (pkey == NULL)
		return pki_err(reterr, -EIO, "cannot make a private key");
	*ret = key_wrap(pkey);
	return 0;
}

static bool group_is(const EVP_PKEY *pkey, const char *a, const char *b)
{
	char group[64];

	/* The provider answers with the name it was given: OpenSSL's own or NIST's. */
	return EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) ==
		       1 &&
	       (strcmp(group, a) == 0 || strcmp(group, b) == 0);
}

static bool is_type(const EVP_PKEY *pkey, enum key_type type, unsigned bits)
{
	switch (type) {
	case KEY_RSA: return EVP_PKEY_is_a(pkey, "RSA") && EVP_PKEY_get_bits(pkey) == (int)bits;
	case KEY_EC_P256: return EVP_PKEY_is_a(pkey, "EC") && group_is(pkey, "prime256v1", "P-256");
	case KEY_EC_P384: return EVP_PKEY_is_a(pkey, "EC") && group_is(pkey, "secp384r1", "P-384");
	}
	return false;
}

bool key_matches(const struct key *k, enum key_type type, unsigned bits)
{
	_clear_queue_;

	return k != NULL && is_type(k->pkey, type, bits);
}

/* Finds the one key block; an "EC PARAMETERS" block in front of it is what `openssl ecparam -genkey` writes. */
static int find_block(const char *pem, size_t len, struct pem_block *ret, struct err *reterr)
{
	size_t pos = 0;
	int r;

	do {
		r = pem_next(pem, len, &pos, ret, reterr);
	} while (r > 0 && pem_is(ret, "EC PARAMETERS"));
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(reterr, -EBADMSG, "there is no PEM private key in it");
	if (pem_is(ret, "ENCRYPTED PRIVATE KEY") ||
	    memmem(ret->body, ret->body_len, "Proc-Type:", 10) != NULL)
		return err_set(reterr, -EBADMSG, "the private key is encrypted with a pass phrase");
	if (!pem_is(ret, "RSA PRIVATE KEY") && !pem_is(ret, "EC PRIVATE KEY") && !pem_is(ret, "PRIVATE KEY"))
		return err_set(reterr, -EBADMSG, "the PEM block is a %.*s, not a private key",
			       (int)ret->label_len, ret->label);
	for (size_t i = ret->end; i < len; i++)
		if (!isspace((unsigned char)pem[i]))
			return err_set(reterr, -EBADMSG, "there is something behind the private key");
	return 0;
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1; /* without this OpenSSL asks on the terminal */
}

static int check_usable(const EVP_PKEY *pkey, struct err *reterr)
{
	int explicit_curve = 0;

	if (EVP_PKEY_is_a(pkey, "RSA")) {
		int bits = EVP_PKEY_get_bits(pkey);

		if (bits < KEY_RSA_MIN || bits > KEY_RSA_MAX)
			return err_set(reterr, -EBADMSG, "the RSA key has %d bits; %d to %d are usable", bits,
				       KEY_RSA_MIN, KEY_RSA_MAX);
		return 0;
	}
	(void)EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve);
	if (explicit_curve != 0 || (!is_type(pkey, KEY_EC_P256, 0) && !is_type(pkey, KEY_EC_P384, 0)))
		return err_set(reterr, -EBADMSG, "the key is neither RSA nor EC on P-256 or P-384");
	return 0;
}

/* What PEM_read_bio_PrivateKey() does, but told what to look for: it would set up a decoder for every kind of key that
 * OpenSSL knows, which costs more than all the rest of checking a chain. */
static EVP_PKEY *decode(const struct pem_block *b, const char *start, size_t len)
{
	const char *type = pem_is(b, "EC PRIVATE KEY") ? "EC" : pem_is(b, "RSA PRIVATE KEY") ? "RSA" : NULL;
	_cleanup_(OSSL_DECODER_CTX_freep) OSSL_DECODER_CTX *ctx = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	const unsigned char *p = (const unsigned char *)start;

	ctx = OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", type ? "type-specific" : "PrivateKeyInfo", type,
					    EVP_PKEY_KEYPAIR, NULL, NULL);
	if (ctx == NULL || OSSL_DECODER_CTX_set_pem_password_cb(ctx, no_passphrase, NULL) != 1 ||
	    OSSL_DECODER_from_data(ctx, &p, &len) != 1)
		return NULL;
	return TAKE_PTR(pkey);
}

int key_from_pem(const char *pem, size_t len, struct key **ret, struct err *reterr)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	struct pem_block b;
	const char *start;
	int r;
	_clear_queue_;

	if (len > KEY_PEM_MAX)
		return err_set(reterr, -EBADMSG, "the private key is larger than %u bytes", KEY_PEM_MAX);
	r = find_block(pem, len, &b, reterr);
	if (r < 0)
		return r;
	start = b.label - strlen("-----BEGIN ");
	pkey = decode(&b, start, (size_t)(pem + b.end - start));
	if (pkey == NULL)
		return pki_err(reterr, -EBADMSG, "cannot read the private key");
	r = check_usable(pkey, reterr);
	if (r < 0)
		return r;
	*ret = key_wrap(TAKE_PTR(pkey));
	return 0;
}

int key_to_pem(const struct key *k, const char *passphrase, char **ret, struct err *reterr)
{
	/* secmem: its buffer is wiped when it grows and when it is freed. */
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem());
	const EVP_CIPHER *cipher = passphrase != NULL ? EVP_aes_256_cbc() : NULL;
	size_t pass_len = passphrase != NULL ? strlen(passphrase) : 0;
	_cleanup_wipe_ char *pass = passphrase != NULL ? xstrdup(passphrase) : NULL;
	char *data = NULL;
	long n;
	_clear_queue_;

	/* An empty pass phrase would make OpenSSL ask on the terminal; OpenSSL's own limit is 1023. */
	if (passphrase != NULL && (pass_len == 0 || pass_len > 1000))
		return err_set(reterr, -EINVAL, "the pass phrase must have 1 to 1000 bytes");
	if (bio == NULL || PEM_write_bio_PrivateKey_traditional(bio, k->pkey, cipher, (unsigned char *)pass,
								(int)pass_len, no_passphrase, NULL) != 1)
		return pki_err(reterr, -EIO, "cannot write the private key as PEM");
	n = BIO_get_mem_data(bio, &data);
	if (n <= 0 || data == NULL)
		return pki_err(reterr, -EIO, "cannot write the private key as PEM");
	*ret = xstrndup(data, (size_t)n);
	return 0;
}
