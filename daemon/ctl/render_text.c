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

/* Rounded down to one unit, of which there are at least two: the second digit is what people decide by. */
static void add_duration(struct strbuf *sb, int64_t s)
{
	if (s < 120)
		strbuf_addf(sb, "%lld s", (long long)s);
	else if (s < 120 * 60)
		strbuf_addf(sb, "%lld min", (long long)(s / 60));
	else if (s < 48 * 3600)
		strbuf_addf(sb, "%lld h", (long long)(s / 3600));
	else
		strbuf_addf(sb, "%lld d", (long long)(s / 86400));
}

void render_relative(struct strbuf *sb, int64_t at, int64_t now)
{
	if (at == 0) {
		strbuf_adds(sb, "-");
	} else if (at == now) {
		strbuf_adds(sb, "now");
	} else if (at > now) {
		strbuf_adds(sb, "in ");
		add_duration(sb, at - now);
	} else {
		add_duration(sb, now - at);
		strbuf_adds(sb, " ago");
	}
}

static bool is_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/* Those of East Asian scripts take two (Unicode's East Asian Width, the blocks that are in use). */
static size_t width_at(const char *s)
{
	static const struct {
		unsigned first, last;
	} WIDE[] = {
		{ 0x1100, 0x115f }, { 0x2e80, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff },
		{ 0xfe30, 0xfe6f }, { 0xff00, 0xff60 }, { 0xffe0, 0xffe6 },
	};
	const unsigned char *p = (const unsigned char *)s;
	unsigned u;

	if (p[0] < 0xe0) /* one or two bytes: below U+0800 */
		return 1;
	if (p[0] >= 0xf0) /* four: pictures, and rare ideographs */
		return 2;
	u = (p[0] & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
	for (size_t i = 0; i < ARRAY_SIZE(WIDE); i++)
		if (u >= WIDE[i].first && u <= WIDE[i].last)
			return 2;
	return 1;
}

/* Whole characters only: render_escaped() leaves no others. */
size_t render_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += is_character(*s) ? width_at(s) : 0;
	return n;
}

/* Bytes of s that fit into room columns: up to a blank where there is one, else as many as there is room for. */
static size_t bytes_that_fit(const char *s, size_t room)
{
	size_t n = 0, blank = 0, i = 0;

	for (; s[i]; i++) {
		if (is_character(s[i]))
			n += width_at(s + i);
		if (n > room)
			break;
		if (s[i] == ' ')
			blank = i;
	}
	if (s[i] == '\0' || s[i] == ' ')
		return i;
	while (i > 0 && !is_character(s[i]))
		i--;
	return blank ? blank : i;
}

void render_wrapped(struct strbuf *sb, const char *text, unsigned indent, unsigned columns)
{
	size_t room = columns > indent + 10 ? columns - indent : columns ? 10 : SIZE_MAX;

	do {
		size_t n = bytes_that_fit(text, room);

		/* One that is wider than all there is room for. */
		if (n == 0 && *text)
			n = 1;

		strbuf_addf(sb, "%*s", (int)indent, "");
		strbuf_add(sb, text, n);
		strbuf_addc(sb, '\n');
		for (text += n; *text == ' ';)
			text++;
	} while (*text);
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
