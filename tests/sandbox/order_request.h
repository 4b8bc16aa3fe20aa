/* SPDX-License-Identifier: Apache-2.0 */
/* The body of "Order DV SSL": every documented field, its type, and the rules between them. */
#pragma once

#include "common/json.h"
#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

struct order_wish {
	char **names; /* lower case, no duplicates, names[0] = common name */
	size_t n_names;
	struct csr *csr;
	char *alternative_order_id;
	char *payment_method;
	char *dcv_emails; /* the list as JSON, NULL = not said */
	char *comments;
	char *auth_key_id; /* NULL = not said */
	bool use_auth_key_said;
	bool use_auth_key;
	enum dcv_method dcv_method;
	char signature_hash[8];
	int64_t server_platform;
	int64_t order_days;
	int64_t order_until; /* 0 = no date was asked for */
	int64_t certificate_days;
	int64_t renewal_of; /* order id; 0 = none */
	bool skip_approval;
	bool renewal_notices_off;
};

#define ORDER_PRODUCTS_NR 7
const char *order_product_at(size_t i); /* i < ORDER_PRODUCTS_NR */
/* The table's own copy of a product id, or NULL when CertCentral would not know it. */
const char *order_product(const char *id);
/* Encryption Everywhere: request tokens are looked for whatever the order says. */
bool order_product_needs_auth_key(const char *product);
const char *order_dcv_word(enum dcv_method m); /* "http-token" */
/* The method of a word. 0, or -1 with the error in *rp. */
int order_method_parse(const char *word, enum dcv_method *ret, struct reply *rp) _must_check_;
/* Can all of these names be proven so? 0, or -1 with the error in *rp. */
int order_check_method(enum dcv_method method, char *const *names, size_t n, struct reply *rp) _must_check_;

/* 0, or -1 with the error in *rp. order_wish_done in both cases. */
int order_wish_parse(const struct json *body, const char *product, int64_t now, struct order_wish *w,
		     struct reply *rp) _must_check_;
/* The body of a reissue, or of a duplicate of this order: certificate, comments, skip_approval; a reissue also
 * use_auth_key and auth_key_id, which the caller refuses when they mean nothing. With the lock held. 0, or -1 with the error in *rp. order_wish_done in both cases. */
int order_wish_parse_change(const struct json *body, const struct order *o, bool duplicate, int64_t now,
			    struct order_wish *w, struct reply *rp) _must_check_;
void order_wish_done(struct order_wish *w);
