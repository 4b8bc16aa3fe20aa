/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/helper/request.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "config/names.h"

#include <errno.h>
#include <string.h>

struct raw {
	char *verb;
	char *name;
	char *target;
	int64_t generation;
};

static const struct json_field FIELDS[] = {
	{ "do", JSON_WANT_STR, offsetof(struct raw, verb), JSON_REQUIRED },
	{ "name", JSON_WANT_STR, offsetof(struct raw, name), JSON_REQUIRED },
	{ "target", JSON_WANT_STR, offsetof(struct raw, target), JSON_REQUIRED },
	{ "generation", JSON_WANT_I64, offsetof(struct raw, generation), 0 },
};

static void raw_done(struct raw *r)
{
	free(r->verb);
	free(r->name);
	free(r->target);
}

static int check(const struct raw *raw, const struct json *j, struct err *reterr)
{
	bool files = strcmp(raw->verb, "files") == 0;

	if (!files && strcmp(raw->verb, "reload") != 0)
		return err_set(reterr, -EBADMSG, "do: must be files or reload");
	if (!name_is_safe_dir(raw->name))
		return err_set(reterr, -EBADMSG, "name: is not the name of a domain");
	if (!str_has_prefix(raw->target, raw->verb))
		return err_set(reterr, -EBADMSG, "target: is not one of %s", raw->verb);
	if (files && (raw->generation < 1 || raw->generation > UINT32_MAX))
		return err_set(reterr, -EBADMSG, "generation: must be 1 or more");
	if (!files && json_get(j, "generation"))
		return err_set(reterr, -EBADMSG, "generation: belongs to files only");
	return 0;
}

int request_parse(const char *line, size_t len, struct request *ret, struct err *reterr)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(raw_done) struct raw raw = { 0 };
	int r = json_parse(line, len, REQUEST_MAX, &j, reterr);

	if (r == 0 && json_type(j) != JSON_OBJECT)
		r = err_set(reterr, -EBADMSG, "is not an object");
	if (r == 0)
		r = json_pick(j, "", FIELDS, ARRAY_SIZE(FIELDS), JSON_PICK_STRICT, &raw, reterr);
	if (r == 0)
		r = check(&raw, j, reterr);
	if (r < 0) {
		err_prefix(reterr, "the request");
		return -EBADMSG;
	}
	*ret = (struct request){
		.verb = strcmp(raw.verb, "files") == 0 ? REQUEST_FILES : REQUEST_RELOAD,
		.name = TAKE_PTR(raw.name),
		.target = TAKE_PTR(raw.target),
		.generation = (unsigned)raw.generation,
	};
	return 0;
}

void request_done(struct request *r)
{
	free(r->name);
	free(r->target);
	*r = (struct request){ 0 };
}

static const char *code_of(enum answer a)
{
	switch (a) {
	case ANSWER_OK: break;
	case ANSWER_FILES: return "files";
	case ANSWER_RELOAD: return "reload";
	case ANSWER_TEST: return "test";
	case ANSWER_REFUSED: return "refused";
	}
	return "?";
}

void answer_write(enum answer a, const char *message, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *j = json_new_obj();
	char text[ANSWER_MESSAGE_MAX + 1];

	json_set_bool(j, "ok", a == ANSWER_OK);
	if (a != ANSWER_OK) {
		json_set_str(j, "code", code_of(a));
		json_set_str(j, "message", str_escape(message, strlen(message), text, sizeof(text)));
	}
	json_write(j, 0, sb);
	strbuf_addc(sb, '\n');
}
