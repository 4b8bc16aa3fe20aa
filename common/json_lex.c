/* SPDX-License-Identifier: Apache-2.0 */
/* The words of RFC 8259. Every function reads at the position and moves it; nothing here allocates more
 * than the text is long. */
#include "common/json_lex.h"

#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"

int json_lex_fail(struct json_lex *p, const char *what)
{
	return err_set(p->reterr, -EBADMSG, "JSON: %s at offset %zu", what, p->pos);
}

int json_lex_peek(const struct json_lex *p)
{
	return p->pos < p->len ? (unsigned char)p->text[p->pos] : -1;
}

void json_lex_skip_blanks(struct json_lex *p)
{
	int c;

	while ((c = json_lex_peek(p)) == ' ' || c == '\t' || c == '\n' || c == '\r')
		p->pos++;
}

bool json_lex_accept(struct json_lex *p, int c)
{
	if (json_lex_peek(p) != c)
		return false;
	p->pos++;
	return true;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool take_hex4(struct json_lex *p, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int digit = hex_value(json_lex_peek(p));

		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
		p->pos++;
	}
	*ret = v;
	return true;
}

static void add_utf8(struct strbuf *sb, uint32_t c)
{
	if (c < 0x80) {
		strbuf_addc(sb, (char)c);
	} else if (c < 0x800) {
		strbuf_addc(sb, (char)(0xc0 | c >> 6));
		strbuf_addc(sb, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		strbuf_addc(sb, (char)(0xe0 | c >> 12));
		strbuf_addc(sb, (char)(0x80 | (c >> 6 & 0x3f)));
		strbuf_addc(sb, (char)(0x80 | (c & 0x3f)));
	} else {
		strbuf_addc(sb, (char)(0xf0 | c >> 18));
		strbuf_addc(sb, (char)(0x80 | (c >> 12 & 0x3f)));
		strbuf_addc(sb, (char)(0x80 | (c >> 6 & 0x3f)));
		strbuf_addc(sb, (char)(0x80 | (c & 0x3f)));
	}
}

/* After "\u". Halves of a surrogate pair are no characters and have no UTF-8 form. */
static int parse_unicode(struct json_lex *p)
{
	uint32_t c, low;

	if (!take_hex4(p, &c))
		return json_lex_fail(p, "bad \\u escape");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!json_lex_accept(p, '\\') || !json_lex_accept(p, 'u') || !take_hex4(p, &low) ||
		    low < 0xdc00 || low > 0xdfff)
			return json_lex_fail(p, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return json_lex_fail(p, "half of a surrogate pair");
	}
	if (c == 0)
		return json_lex_fail(p, "NUL in a string");
	add_utf8(&p->str, c);
	return 0;
}

/* After the backslash. */
static int parse_escape(struct json_lex *p)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	int c = json_lex_peek(p);
	const char *at;

	if (c == 'u') {
		p->pos++;
		return parse_unicode(p);
	}
	at = c > 0 ? strchr(from, c) : NULL;
	if (!at)
		return json_lex_fail(p, "bad escape");
	p->pos++;
	strbuf_addc(&p->str, to[at - from]);
	return 0;
}

int json_lex_string(struct json_lex *p)
{
	strbuf_clear(&p->str);
	if (!json_lex_accept(p, '"'))
		return json_lex_fail(p, "expected a string");
	for (;;) {
		size_t n;
		int c = json_lex_peek(p);
		int r;

		if (c < 0)
			return json_lex_fail(p, "unfinished string");
		if (c < 0x20)
			return json_lex_fail(p, "control character in a string");
		if (json_lex_accept(p, '"'))
			return 0;
		if (json_lex_accept(p, '\\')) {
			r = parse_escape(p);
			if (r < 0)
				return r;
			continue;
		}
		n = str_utf8_len(p->text + p->pos, p->len - p->pos);
		if (n == 0)
			return json_lex_fail(p, "invalid UTF-8");
		strbuf_add(&p->str, p->text + p->pos, n);
		p->pos += n;
	}
}

static bool skip_digits(struct json_lex *p)
{
	size_t start = p->pos;

	while (is_digit(json_lex_peek(p)))
		p->pos++;
	return p->pos > start;
}

/* Digits with an optional '-', as checked before. False when the value is outside int64. */
static bool int_value(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;

	if (str_parse_u64(s + negative, &v) < 0 || v > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* RFC 8259 section 6. */
int json_lex_number(struct json_lex *p, struct json_number *ret)
{
	size_t start = p->pos;
	bool whole = true;

	if (json_lex_peek(p) != '-' && !is_digit(json_lex_peek(p)))
		return json_lex_fail(p, "unexpected character");
	(void)json_lex_accept(p, '-');
	if (!json_lex_accept(p, '0') && !skip_digits(p))
		return json_lex_fail(p, "bad number");
	if (json_lex_accept(p, '.')) {
		whole = false;
		if (!skip_digits(p))
			return json_lex_fail(p, "bad number");
	}
	if (json_lex_accept(p, 'e') || json_lex_accept(p, 'E')) {
		whole = false;
		if (!json_lex_accept(p, '+'))
			(void)json_lex_accept(p, '-');
		if (!skip_digits(p))
			return json_lex_fail(p, "bad number");
	}
	ret->text = xstrndup(p->text + start, p->pos - start);
	ret->is_i64 = whole && int_value(ret->text, &ret->i64);
	return 0;
}

int json_lex_word(struct json_lex *p, const char *word)
{
	size_t n = strlen(word);

	if (p->len - p->pos < n || memcmp(p->text + p->pos, word, n) != 0)
		return json_lex_fail(p, "unexpected character");
	p->pos += n;
	return 0;
}
