/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/caa.h"

#include "common/mem.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/names.h"

static struct caa_rule *exactly(const struct sandbox *sb, const char *name)
{
	for (size_t i = 0; i < sb->n_caa; i++)
		if (!strcmp(sb->caa[i].name, name))
			return &sb->caa[i];
	return NULL;
}

/* The closest records count, from the name upwards (RFC 8659 section 3). */
static const struct caa_rule *rule_of(const struct sandbox *sb, const char *name)
{
	const char *at = name_is_wildcard(name) ? name + 2 : name;
	const struct caa_rule *r = exactly(sb, at);
	for (const char *dot = strchr(at, '.'); !r && dot; dot = strchr(dot + 1, '.'))
		r = exactly(sb, dot + 1);
	return r;
}

static const char *text_of(const struct caa_rule *r)
{
	return r->unreadable ? "CAA records could not be read"
			     : "CAA records do not allow digicert.com to issue";
}

int caa_check(const struct sandbox *sb, char *const *names, size_t n, struct reply *rp)
{
	for (size_t i = 0; i < n; i++) {
		const struct caa_rule *r = rule_of(sb, names[i]);
		if (!r)
			continue;
		_cleanup_free_ char *code =
			xasprintf("%s|%s", r->unreadable ? "caa_not_found" : "caa_check_failed", names[i]);
		return reply_error(rp, 400, code, "%s: %s.", names[i], text_of(r));
	}
	return 0;
}

bool caa_blocks(const struct sandbox *sb, const struct certificate *c)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (rule_of(sb, c->names[i]))
			return true;
	return false;
}

struct json *caa_status_json(const struct sandbox *sb, const struct certificate *c)
{
	struct json *j = json_new_obj();
	for (size_t i = 0; i < c->n_names; i++) {
		const struct caa_rule *r = rule_of(sb, c->names[i]);
		const char *text = r ? text_of(r) : "CAA check passed";
		json_set_str(j, c->names[i], c->proven[i] ? text : "CAA check is not called yet");
	}
	return j;
}

void caa_get(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	struct json *list = json_new_arr(), *all = json_new_obj();
	for (size_t i = 0; i < sb->n_caa; i++) {
		struct json *j = json_new_obj();
		json_set_str(j, "name", sb->caa[i].name);
		json_set_str(j, "answer", sb->caa[i].unreadable ? "not_found" : "failed");
		json_add(list, j);
	}
	json_set(all, "caa", list);
	reply_json(rp, 200, all);
}

bool caa_set(struct sandbox *sb, const char *name, const char *answer)
{
	bool unreadable = !strcmp(answer, "not_found");
	if (!name_is_good(name, false) || (!unreadable && strcmp(answer, "failed") != 0))
		return false;
	_cleanup_free_ char *low = name_lower(name);
	struct caa_rule *r = exactly(sb, low);
	if (!r) {
		r = SBX_GROW(sb->caa, sb->n_caa);
		r->name = TAKE_PTR(low);
	}
	r->unreadable = unreadable;
	return true;
}

void caa_post(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	static const struct field known[] = { { "name", JSON_STRING, true },
					      { "answer", JSON_STRING, true } };
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	if (!body || fields_check(body, "", known, ARRAY_SIZE(known), rp) < 0)
		return;
	if (caa_set(sb, json_str(json_get(body, "name")), json_str(json_get(body, "answer"))))
		caa_get(sb, rq, rp);
	else
		(void)reply_error(rp, 400, "invalid_field|answer",
				  "A name without a star, and failed or not_found.");
}

void caa_delete(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	for (size_t i = 0; i < sb->n_caa; i++)
		free(sb->caa[i].name);
	free(sb->caa);
	sb->caa = NULL;
	sb->n_caa = 0;
	/* What waited for nothing else is issued now. */
	pthread_cond_broadcast(&sb->wake);
	caa_get(sb, rq, rp);
}
