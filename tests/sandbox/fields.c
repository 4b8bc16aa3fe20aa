/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/fields.h"

#include "common/mem.h"

struct check {
	const char *prefix;
	const struct field *table;
	size_t n;
	struct reply *rp;
};

static int fail(const struct check *c, const char *kind, const char *name, const char *message)
{
	_cleanup_free_ char *code = xasprintf("%s|%s%s", kind, c->prefix, name);
	return reply_error(c->rp, 400, code, "%s", message);
}

static int check_member(const char *key, const struct json *val, void *arg)
{
	const struct check *c = arg;
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(key, c->table[i].name) != 0)
			continue;
		if (json_type(val) != c->table[i].type)
			return fail(c, "invalid_field", key, "The field has the wrong type.");
		return 0;
	}
	return fail(c, "unknown_field", key, "The field is not documented.");
}

int fields_check(const struct json *obj, const char *prefix, const struct field *table, size_t n,
		 struct reply *rp)
{
	struct check c = { .prefix = prefix, .table = table, .n = n, .rp = rp };
	if (json_each(obj, check_member, &c) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!table[i].required)
			continue;
		const struct json *val = json_get(obj, table[i].name);
		const char *text = json_str(val);
		if (!val || (text && !*text))
			return fail(&c, "missing_field", table[i].name, "The field is required.");
	}
	return 0;
}

struct json *fields_body(const struct request *rq, struct reply *rp)
{
	if (!request_is_json(rq)) {
		(void)reply_error(rp, 400, "bad_request_format", "Content-Type must be application/json.");
		return NULL;
	}
	struct err e = ERR_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	if (json_parse(strbuf_str(&rq->body), rq->body.len, REQUEST_BODY_MAX, &j, &e) < 0) {
		(void)reply_error(rp, 400, "bad_request_format", "The body is not JSON: %s", e.text);
		return NULL;
	}
	if (json_type(j) != JSON_OBJECT) {
		(void)reply_error(rp, 400, "bad_request_format", "The body is not a JSON object.");
		return NULL;
	}
	return TAKE_PTR(j);
}
