/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the members of a request object against a table of all documented fields, so that a client's
 * typo is an error here and not, as with the real API, a wish that is silently lost. */
#pragma once

#include "common/base.h"
#include "common/json.h"
#include "tests/sandbox/request.h"

struct field {
	const char *name;
	enum json_type type;
	bool required; /* present, and not "" */
};

/* 0, or -1 with the error in *rp: `unknown_field|x`, `invalid_field|x`, `missing_field|x`, where x is
 * prefix + name. */
int fields_check(const struct json *obj, const char *prefix, const struct field *table, size_t n,
		 struct reply *rp);
/* Parses the body as one JSON object (content type included). NULL with the error in *rp. The caller frees. */
struct json *fields_body(const struct request *rq, struct reply *rp);
