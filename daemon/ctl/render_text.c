/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of an answer, and writing them for people. */
#include "daemon/ctl/render_priv.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"

/* ---- reading ---- */

const char *render_text_of(const struct json *j, const char *key, const char *otherwise)
{
	const char *s = NULL;
	return json_get_str(j, key, &s) == 1 ? s : otherwise;
}

int64_t render_number_of(const struct json *j, const char *key)
{
	int64_t n = 0;
	return json_get_i64(j, key, &n) == 1 ? n : 0;
}

const struct json *render_list_of(const struct json *j, const char *key)
{
	const struct json *l = NULL;
	return json_get_arr(j, key, &l) == 1 ? l : NULL;
}

int64_t render_time_of(const struct json *j, const char *key)
{
	int64_t at = 0;
	const char *s = render_text_of(j, key, NULL);
	return s && timefmt_parse_rfc3339(s, &at) == 0 ? at : 0;
}

/* ---- writing ---- */

void render_escaped(struct strbuf *sb, const char *s)
{
	size_t len = MIN(strlen(s), CELL_MAX), out_len = 4 * len + 1;
	_cleanup_free_ char *out = xmalloc(out_len);
	strbuf_adds(sb, str_escape(s, len, out, out_len));
}

/* "in 3h 2m", "2d 1h ago", "now"; "-" for no time at all. */
void render_relative(struct strbuf *sb, int64_t at, int64_t now)
{
	char buf[STR_DURATION_MAX];
	if (at == 0)
		strbuf_adds(sb, "-");
	else if (at == now)
		strbuf_adds(sb, "now");
	else if (at > now)
		strbuf_addf(sb, "in %s", str_format_duration_human(at - now, buf));
	else
		strbuf_addf(sb, "%s ago", str_format_duration_human(now - at, buf));
}

/* A value of any type on one line: strings bare, lists of them with blanks between, the rest as JSON. */
void render_value(struct strbuf *sb, const struct json *v)
{
	if (json_str(v)) {
		render_escaped(sb, json_str(v));
	} else if (json_type(v) == JSON_ARRAY) {
		for (size_t i = 0; i < json_arr_len(v); i++) {
			strbuf_adds(sb, i ? " " : "");
			render_value(sb, json_arr_at(v, i));
		}
	} else if (json_type(v) == JSON_NULL) {
		strbuf_adds(sb, "-");
	} else {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT(CELL_MAX);
		json_write(v, 0, &text);
		render_escaped(sb, strbuf_str(&text));
	}
}

/* "code: message" of an error object; nothing for null. */
void render_error(struct strbuf *sb, const struct json *error)
{
	const char *code = render_text_of(error, "code", ""), *message = render_text_of(error, "message", "");
	render_escaped(sb, code);
	if (*code && *message)
		strbuf_adds(sb, ": ");
	render_escaped(sb, message);
}
