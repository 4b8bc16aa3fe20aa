/* SPDX-License-Identifier: Apache-2.0 */
/* Host names at the border. A name becomes part of a path, of a URL, of a request that costs money and of
 * a certificate, so only one spelling of it goes further: lower-case A-labels. libidn2 is asked only where
 * there is something for it to say; the plain rules are checked here, with messages that help. */
#include "config/names.h"

#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <string.h>

#include <idn2.h>

#define NAME_MAX_LEN  253
#define LABEL_MAX_LEN 63
/* A U-label may take more bytes than its A-label; nothing longer than this can become a name. */
#define NAME_INPUT_MAX 1000

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_ldh(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-';
}

static int name_check_characters(const char *name, struct err *reterr)
{
	if (strstr(name, "://") || strchr(name, '/'))
		return err_set(reterr, -EINVAL, "\"%s\" is not a host name: leave out https:// and any path",
			       name);
	if (strchr(name, '*'))
		return err_set(reterr, -EINVAL,
			       "\"%s\": a \"*\" may only be the whole first label, as in \"*.example.jp\"",
			       name);
	if (strchr(name, ':'))
		return err_set(reterr, -EINVAL,
			       "\"%s\" is not a host name: ports and IP addresses have no place here", name);
	if (strchr(name, '_'))
		return err_set(reterr, -EINVAL,
			       "\"%s\" contains \"_\", which host names in certificates may not", name);
	for (const char *c = name; *c; c++)
		if (!is_ldh(*c) && *c != '.')
			return err_set(reterr, -EINVAL,
				       "\"%s\" contains \"%c\"; only letters, digits, \"-\" and \".\" make a "
				       "host name",
				       name, *c);
	return 0;
}

static int name_check_label(const char *name, const char *label, size_t len, struct err *reterr)
{
	int n = (int)len;

	if (len == 0)
		return err_set(reterr, -EINVAL, "\"%s\" has an empty label (a dot too many)", name);
	if (len > LABEL_MAX_LEN)
		return err_set(reterr, -EINVAL,
			       "\"%s\": the label \"%.*s\" has %zu characters; a label has at most %d", name,
			       n, label, len, LABEL_MAX_LEN);
	if (label[0] == '-' || label[len - 1] == '-')
		return err_set(reterr, -EINVAL,
			       "\"%s\": the label \"%.*s\" may neither begin nor end with \"-\"", name, n,
			       label);
	/* RFC 5890 2.3.1 reserves them; the Baseline Requirements for subjectAltName take P-labels and
	 * non-reserved LDH labels only, so the order would be refused. */
	if (len >= 4 && label[2] == '-' && label[3] == '-' && memcmp(label, "xn", 2) != 0)
		return err_set(reterr, -EINVAL,
			       "\"%s\": the label \"%.*s\" has \"--\" where only \"xn--\" names may", name, n,
			       label);
	return 0;
}

/* name is lower case without a final dot. */
static int name_check_labels(const char *name, struct err *reterr)
{
	size_t n_labels = 0;
	const char *last = name;
	size_t last_len = 0;

	for (const char *at = name;;) {
		size_t len = strcspn(at, ".");
		int r = name_check_label(name, at, len, reterr);

		if (r < 0)
			return r;
		n_labels++;
		last = at;
		last_len = len;
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	if (strspn(last, "0123456789") == last_len)
		return err_set(
			reterr, -EINVAL,
			"\"%s\" is an IP address or ends in a number; a DV certificate needs a host name",
			name);
	if (n_labels < 2)
		return err_set(reterr, -EINVAL,
			       "\"%s\" has one label only; write the full name, such as %s.example.jp", name,
			       name);
	return 0;
}

static bool has_non_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return true;
	return false;
}

/* True when some label claims to be an A-label. */
static bool has_alabel(const char *s)
{
	for (const char *at = s; at; at = strchr(at, '.')) {
		at += *at == '.';
		if (strncasecmp(at, "xn--", 4) == 0)
			return true;
	}
	return false;
}

static void fold_case(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

static int name_to_ascii(const char *in, char **ret, struct err *reterr)
{
	char *out = NULL;
	int r = 0;

	if (!has_non_ascii(in) && !has_alabel(in)) {
		*ret = xstrdup(in);
		fold_case(*ret);
		return 0;
	}
	r = idn2_to_ascii_8z(in, &out, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r == IDN2_MALLOC)
		abort();
	if (r == IDN2_TOO_BIG_LABEL || r == IDN2_PUNYCODE_BIG_OUTPUT)
		return err_set(reterr, -EINVAL,
			       "\"%s\": a label is longer than %d characters in its xn-- form", in,
			       LABEL_MAX_LEN);
	if (r != IDN2_OK)
		return err_set(reterr, -EINVAL,
			       "\"%s\" is not a valid internationalised name (IDNA 2008): %s", in,
			       idn2_strerror(r));
	/* idn2_free() has to match idn2's allocator; ours may differ one day. */
	*ret = xstrdup(out);
	idn2_free(out);
	fold_case(*ret);
	return 0;
}

int name_normalize(const char *in, bool allow_wildcard, char **ret, struct err *reterr)
{
	bool wildcard = str_has_prefix(in, "*.");
	_cleanup_free_ char *name = NULL;
	size_t len = strlen(in);
	int r = 0;

	if (len == 0)
		return err_set(reterr, -EINVAL, "is empty; a host name such as www.example.jp is needed");
	if (len > NAME_INPUT_MAX)
		return err_set(reterr, -EINVAL, "is too long for a host name (%zu bytes; at most %d)", len,
			       NAME_MAX_LEN);
	if (wildcard && !allow_wildcard)
		return err_set(reterr, -EINVAL, "\"%s\": a wildcard is not possible here", in);
	r = name_to_ascii(wildcard ? in + 2 : in, &name, reterr);
	if (r < 0)
		return r;
	len = strlen(name);
	if (len > 1 && name[len - 1] == '.')
		name[--len] = '\0';
	if (len + (wildcard ? 2 : 0) > NAME_MAX_LEN)
		return err_set(reterr, -EINVAL, "\"%.64s...\" has %zu characters; a host name has at most %d",
			       name, len, NAME_MAX_LEN);
	r = name_check_characters(name, reterr);
	if (r < 0)
		return r;
	r = name_check_labels(name, reterr);
	if (r < 0)
		return r;
	*ret = wildcard ? xasprintf("*.%s", name) : TAKE_PTR(name);
	return 0;
}

bool name_is_safe_dir(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > NAME_MAX_LEN || s[0] == '-' || s[0] == '.' || s[0] == '_' ||
	    s[len - 1] == '.' || strstr(s, ".."))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_ldh(s[i]) && s[i] != '.' && s[i] != '_')
			return false;
	return true;
}
