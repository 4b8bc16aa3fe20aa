/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer of CertCentral: the first byte picks the endpoint, the next two the status, the rest is the body. Checked: what
 * a reply promises whatever came in. */
#include "common/mem.h"
#include "daemon/certcentral/client.h"

#include <ctype.h>

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *s, size_t max)
{
	size_t n = 0;

	for (; s && s[n]; n++)
		CHECK((unsigned char)s[n] >= 0x20 && s[n] != 0x7f);
	CHECK(n <= max);
}

static void check_token(const char *s)
{
	for (; s && *s; s++)
		CHECK(isalnum((unsigned char)*s) || *s == '-' || *s == '_');
}

static void check_lists(const struct cc_reply *r)
{
	for (size_t i = 0; i < r->n_certs; i++) {
		CHECK(r->certs[i].certificate_id >= 0 && r->certs[i].status < CC_STATUS_NR);
		check_token(r->certs[i].serial);
	}
	for (size_t i = 0; i < r->n_auth_keys; i++) {
		CHECK(r->auth_keys[i].id && r->auth_keys[i].id[0]);
		check_line(r->auth_keys[i].id, 128);
		check_line(r->auth_keys[i].status_word, 64);
		CHECK(!r->auth_keys[i].secret || secret_len(r->auth_keys[i].secret) > 0);
	}
}

static void check_texts(const struct cc_reply *r)
{
	check_line(r->outcome.code, OUTCOME_CODE_MAX - 1);
	check_line(r->outcome.message, OUTCOME_MESSAGE_MAX - 1);
	check_line(r->status_word, 64);
	check_line(r->cert_status_word, 64);
	check_line(r->dcv_method, 64);
	check_line(r->common_name, 256);
	check_line(r->not_validated, 1024);
	check_token(r->dcv_token);
	CHECK(!r->pem || (strlen(r->pem) == r->pem_len && !strchr(r->pem, '\r')));
}

/* A fault tells nothing else. */
static void check_nothing_told(const struct cc_reply *r)
{
	CHECK(!r->validated && !r->needs_approval && !r->reissue_pending);
	CHECK(!r->dcv_token && !r->pem && !r->csr && !r->dcv_method && !r->cert_status_word);
	CHECK(r->order_id == 0 && r->request_id == 0 && r->renewed_order_id == 0);
	CHECK(r->n_entries == 0 && r->n_certs == 0 && r->n_auth_keys == 0);
}

static void check_reply(const struct cc_reply *r)
{
	CHECK(r->outcome.fault < FAULT_NR && r->status < CC_STATUS_NR && r->cert_status < CC_STATUS_NR);
	CHECK(r->not_validated);
	CHECK(r->order_id >= 0 && r->certificate_id >= 0 && r->request_id >= 0 && r->renewed_order_id >= 0);
	check_texts(r);
	for (size_t i = 0; i < r->n_entries; i++)
		CHECK(r->entries[i].order_id > 0 && r->entries[i].certificate_id >= 0);
	check_lists(r);
	if (r->outcome.fault != FAULT_NONE)
		check_nothing_told(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(cc_decoded_freep) struct cc_decoded *d = NULL;

	if (size < 3)
		return 0;

	_cleanup_free_ char *body = xmalloc(size - 3 + 1);
	int status = 100 + (data[1] * 256 + data[2]) % 500;
	enum cc_endpoint ep = (enum cc_endpoint)(data[0] % CC_ENDPOINT_NR);

	memcpy(body, data + 3, size - 3);

	const struct http_result http = { .status = status,
					  .body = body,
					  .body_len = size - 3,
					  .content_type = "",
					  .location = "",
					  .retry_after = "5",
					  .date = "" };

	check_reply(cc_decode(ep, &http, 1800000000, &d));
	return 0;
}
