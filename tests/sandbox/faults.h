/* SPDX-License-Identifier: Apache-2.0 */
/* Misbehaviour on demand. A fault waits in a list until a matching request comes; one request takes at
 * most one fault, the oldest that matches. The server carries it out. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/json.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_STATUS,
	FAULT_DELAY,
	FAULT_DROP_BEFORE,
	FAULT_DROP_AFTER,
	FAULT_TRUNCATE,
	FAULT_GARBAGE,
	FAULT_WRONG_CERT,
	FAULT_KIND_NR
};

enum fault_variant {
	VARIANT_OTHER_KEY,
	VARIANT_EXPIRED,
	VARIANT_OTHER_NAMES,
	VARIANT_SELF_SIGNED,
	VARIANT_NO_CHAIN,
	VARIANT_ZIP,
	VARIANT_CA,
	VARIANT_NR
};

struct fault {
	int endpoint; /* enum sbx_endpoint, or -1 for every one */
	enum fault_kind kind;
	int64_t times; /* left; 0 = until cleared */
	int64_t skip;  /* matching requests to leave alone first */
	int64_t status;
	char *code;	   /* NULL = by status */
	char *message;	   /* NULL = by status */
	char *retry_after; /* NULL = no header */
	int64_t delay_ms;
	enum fault_variant variant;
};

struct fault_list {
	struct fault *f;
	size_t n;
};

const char *fault_kind_name(enum fault_kind k); /* "drop-before" */

/* "order:drop-after:times=1", as --fault takes it. */
int fault_parse_text(const char *text, struct fault *ret, struct err *reterr) _must_check_;
/* The body of POST /sandbox/faults. */
int fault_parse_json(const struct json *j, struct fault *ret, struct err *reterr) _must_check_;
void fault_done(struct fault *f);

void faults_add(struct fault_list *l, struct fault *f); /* takes the contents of *f */
void faults_clear(struct fault_list *l);
/* The fault for a request at this endpoint (a copy: free with fault_done); kind FAULT_NONE when there is none. */
struct fault faults_take(struct fault_list *l, int endpoint);
/* {"faults":[...]} with what is left of each. */
struct json *faults_to_json(const struct fault_list *l);
