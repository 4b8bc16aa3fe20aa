/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/names.h"

#include "common/mem.h"

#include <strings.h>

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool label_is_good(const char *s, size_t len)
{
	if (len < 1 || len > 63 || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_letter(s[i]) && !is_digit(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool name_is_wildcard(const char *name)
{
	return name[0] == '*' && name[1] == '.';
}

bool name_is_good(const char *name, bool wildcard_ok)
{
	if (strlen(name) > 253)
		return false;
	if (name_is_wildcard(name)) {
		if (!wildcard_ok)
			return false;
		name += 2;
	}
	size_t n_labels = 0;
	bool digits_only = true;
	for (const char *p = name;; p++) {
		size_t len = strcspn(p, ".");
		if (!label_is_good(p, len))
			return false;
		digits_only = strspn(p, "0123456789") >= len;
		n_labels++;
		p += len;
		if (*p == '\0')
			break;
	}
	return n_labels >= 2 && !digits_only;
}

static const char *last_two_labels(const char *name)
{
	const char *dot = strrchr(name, '.');
	if (!dot)
		return name;
	while (dot > name && dot[-1] != '.')
		dot--;
	return dot;
}

bool names_are_related(const char *a, const char *b)
{
	return strcasecmp(last_two_labels(a), last_two_labels(b)) == 0;
}

char *name_lower(const char *name)
{
	char *s = xstrdup(name);
	for (char *p = s; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	return s;
}
