/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing and small string helpers. Nothing here asks the locale; every loop is bounded by a
 * length that the caller gave. */
#include "common/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/strbuf.h"

/* Longer words are never typing mistakes of ours; the bound keeps the table on the stack. */
#define SUGGEST_MAX 64

#define DURATION_LIMIT_S (INT64_C(36525) * 86400) /* 100 years */

static const struct unit {
	char name;
	uint64_t secs;
} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

/* Reads the digits at the start of s; *end is the first byte after them. */
static int parse_digits(const char *s, const char **end, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = s;
	bool overflow = false;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			overflow = true;
		else
			v = v * 10 + digit;
	}
	*end = p;
	if (p == s)
		return -EINVAL;
	if (overflow)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_parse_u64(const char *s, uint64_t *ret)
{
	const char *end;
	uint64_t v = 0;
	int r;

	if (!s)
		return -EINVAL;
	r = parse_digits(s, &end, &v);
	if (*end)
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = v;
	return 0;
}

int str_parse_duration(const char *s, int64_t *ret_s)
{
	const char *end;
	uint64_t v = 0;
	int r;

	if (!s)
		return -EINVAL;
	r = parse_digits(s, &end, &v);
	if (r == -EINVAL || !end[0] || end[1])
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (units[i].name != *end)
			continue;
		if (r < 0 || v > (uint64_t)DURATION_LIMIT_S / units[i].secs)
			return -ERANGE;
		*ret_s = (int64_t)(v * units[i].secs);
		return 0;
	}
	return -EINVAL;
}

/* The absolute value, also of INT64_MIN. */
static uint64_t magnitude(int64_t s)
{
	return s < 0 ? 0 - (uint64_t)s : (uint64_t)s;
}

const char *str_format_duration(int64_t s, char buf[STR_DURATION_MAX])
{
	const char *sign = s < 0 ? "-" : "";
	uint64_t v = magnitude(s);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (v % units[i].secs != 0 || (v == 0 && units[i].secs != 1))
			continue;
		snprintf(buf, STR_DURATION_MAX, "%s%" PRIu64 "%c", sign, v / units[i].secs, units[i].name);
		break;
	}
	return buf;
}

const char *str_format_duration_human(int64_t s, char buf[STR_DURATION_MAX])
{
	const char *sign = s < 0 ? "-" : "";
	uint64_t v = magnitude(s);

	if (v == 0) {
		snprintf(buf, STR_DURATION_MAX, "now");
		return buf;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t n = v / units[i].secs;
		uint64_t rest = v % units[i].secs;
		uint64_t next = i + 1 < ARRAY_SIZE(units) ? rest / units[i + 1].secs : 0;

		if (n == 0)
			continue;
		if (next)
			snprintf(buf, STR_DURATION_MAX, "%s%" PRIu64 "%c %" PRIu64 "%c", sign, n,
				 units[i].name, next, units[i + 1].name);
		else
			snprintf(buf, STR_DURATION_MAX, "%s%" PRIu64 "%c", sign, n, units[i].name);
		break;
	}
	return buf;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s);
	size_t suffix_len = strlen(suffix);

	return len >= suffix_len && memcmp(s + len - suffix_len, suffix, suffix_len) == 0;
}

/* Optimal string alignment: insert, delete, replace and swap of two neighbours cost 1 each. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][SUGGEST_MAX + 1];
	unsigned *before = rows[0], *prev = rows[1], *cur = rows[2];

	memset(rows, 0, sizeof(rows));
	for (size_t j = 0; j <= b_len; j++)
		prev[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *oldest = before;

		cur[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = prev[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, prev[j] + 1);
			best = MIN(best, cur[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1);
			cur[j] = best;
		}
		before = prev;
		prev = cur;
		cur = oldest;
	}
	return prev[b_len];
}

const char *str_suggest(const char *word, const char *const *choices, size_t n_choices)
{
	size_t len = strlen(word);
	unsigned best = len >= 6 ? (unsigned)(len / 3) + 1 : 2; /* one more than what is allowed */
	const char *found = NULL;

	if (len == 0 || len > SUGGEST_MAX)
		return NULL;
	for (size_t i = 0; i < n_choices; i++) {
		size_t choice_len = strlen(choices[i]);
		unsigned d;

		if (choice_len > SUGGEST_MAX)
			continue;
		d = edit_distance(word, len, choices[i], choice_len);
		if (d < best) {
			best = d;
			found = choices[i];
		}
	}
	return found;
}

static const char hex_digits[] = "0123456789abcdef";

char *str_hex(const void *data, size_t len, char *out)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = hex_digits[p[i] >> 4];
		out[2 * i + 1] = hex_digits[p[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

/* RFC 3629 section 4: the second byte has a narrower range after E0, ED, F0 and F4. */
static const struct utf8_row {
	unsigned char first, last; /* the first byte */
	unsigned char low, high;   /* the second byte */
	unsigned char len;
} utf8_rows[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t str_utf8_len(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(utf8_rows); i++) {
		const struct utf8_row *row = &utf8_rows[i];

		if (p[0] < row->first || p[0] > row->last)
			continue;
		if (len < row->len || p[1] < row->low || p[1] > row->high)
			return 0;
		for (size_t k = 2; k < row->len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return row->len;
	}
	return 0;
}

/* What has no shape of its own, and turns the direction of what stands beside it or breaks its line: U+061C, U+200B to U+200F,
 * U+2028 to U+202E, U+2060 to U+206F, U+FEFF. A line with them reads otherwise than it is. */
static bool is_invisible(const unsigned char *p, size_t n)
{
	if (n == 2)
		return p[0] == 0xd8 && p[1] == 0x9c;
	if (n != 3)
		return false;
	if (p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	return (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf) ||
	       (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
}

/* Bytes at s that may be shown as they are, 0 for one byte that must be escaped. U+0080 to U+009F are
 * control characters too; terminals obey some of them (U+009B starts a command). */
static size_t printable_len(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = str_utf8_len(s, len);

	if (n == 1 && (p[0] < 0x20 || p[0] == 0x7f))
		return 0;
	if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
		return 0;
	return is_invisible(p, n) ? 0 : n;
}

char *str_escape(const char *s, size_t len, char *out, size_t out_len)
{
	size_t o = 0;

	if (out_len == 0)
		return out;
	for (size_t i = 0; i < len;) {
		size_t n = printable_len(s + i, len - i);
		unsigned char c = (unsigned char)s[i];

		/* Neither a character nor an escape is ever cut in two. */
		if ((n ? n : 4) > out_len - 1 - o)
			break;
		if (n) {
			memcpy(out + o, s + i, n);
			o += n;
			i += n;
			continue;
		}
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex_digits[c >> 4];
		out[o++] = hex_digits[c & 15];
		i++;
	}
	out[o] = '\0';
	return out;
}

void str_percent_encode(struct strbuf *sb, const char *s)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	while (*s) {
		size_t n = strspn(s, unreserved);

		strbuf_add(sb, s, n);
		for (s += n; *s && !strchr(unreserved, *s); s++)
			strbuf_addf(sb, "%%%02X", (unsigned)(unsigned char)*s);
	}
}

uint64_t str_hash(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++) {
		h ^= (unsigned char)*s;
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}
