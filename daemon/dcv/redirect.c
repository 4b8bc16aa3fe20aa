/* SPDX-License-Identifier: Apache-2.0 */
/* Which redirects the CA's validator follows (DigiCert's domain-control-validation library,
 * CustomRedirectStrategy): same registrable domain, http or https, the scheme's own port. The only file that
 * includes libpsl. Not a general URL library: what a well-behaved web server does not send is refused. */
#include "daemon/dcv/preflight.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>

#include <libpsl.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"

#define URL_LEN_MAX  2048UL
#define HOST_LEN_MAX 253

/* Parts of an absolute URL, borrowed from it. */
struct url {
	bool https;
	const char *host; /* brackets of an IPv6 address included */
	size_t host_len;
	const char *rest; /* path and query, perhaps empty */
};

static bool refuse(char *why, size_t why_len, const char *fmt, ...) _printf_(3, 4);
static bool refuse(char *why, size_t why_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, why_len, fmt, ap);
	va_end(ap);
	return false;
}

static size_t host_len_of(const char *s)
{
	size_t n = 0;

	if (*s == '[') {
		n = 1 + strspn(s + 1, "0123456789abcdefABCDEF:.");
		return s[n] == ']' ? n + 1 : 0;
	}
	while (isalnum((unsigned char)s[n]) || s[n] == '-' || s[n] == '.' || s[n] == '_')
		n++;
	return n;
}

/* After "://": host, port, rest. A port other than the scheme's own, a user name and odd characters are refused. */
static bool parse_authority(const char *s, struct url *u, char *why, size_t why_len)
{
	const char *port_own = u->https ? "443" : "80";
	size_t port_len = 0;

	if (memchr(s, '@', strcspn(s, "/?#")))
		return refuse(why, why_len, "a user name in the URL");
	u->host = s;
	u->host_len = host_len_of(s);
	if (u->host_len == 0 || u->host_len > HOST_LEN_MAX)
		return refuse(why, why_len, "no usable host");
	s += u->host_len;
	if (*s == ':') {
		s++;
		port_len = strspn(s, "0123456789");
		if (port_len > 0 && (port_len != strlen(port_own) || strncmp(s, port_own, port_len) != 0))
			return refuse(why, why_len, "port %.*s is not the scheme's own",
				      (int)MIN(port_len, 8u), s);
		s += port_len;
	}
	if (*s && !strchr("/?#", *s))
		return refuse(why, why_len, "no usable host");
	u->rest = s;
	return true;
}

static size_t scheme_len(const char *s)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '+' || s[n] == '-' || s[n] == '.')
		n++;
	return s[n] == ':' ? n : 0;
}

static bool parse_url(const char *s, struct url *u, char *why, size_t why_len)
{
	if (strncasecmp(s, "http://", 7) == 0) {
		u->https = false;
		return parse_authority(s + 7, u, why, why_len);
	}
	if (strncasecmp(s, "https://", 8) == 0) {
		u->https = true;
		return parse_authority(s + 8, u, why, why_len);
	}
	return refuse(why, why_len, "neither http nor https");
}

/* Path of a base without its last part ("/a/b?q" gives "/a/"), RFC 3986 section 5.2.3. */
static size_t folder_len(const char *rest)
{
	size_t n = strcspn(rest, "?#");

	while (n > 0 && rest[n - 1] != '/')
		n--;
	return n;
}

/* Location against its base, RFC 3986 section 5.2.2; the fragment goes. Dot segments are left to the client. */
static char *resolve(const struct url *from, const char *location)
{
	struct strbuf sb = STRBUF_INIT(3 * URL_LEN_MAX);
	size_t len = strcspn(location, "#");

	if (scheme_len(location) == 0) {
		strbuf_adds(&sb, from->https ? "https:" : "http:");
		if (!str_has_prefix(location, "//")) {
			strbuf_adds(&sb, "//");
			strbuf_add(&sb, from->host, from->host_len);
			if (*location == '?')
				strbuf_add(&sb, from->rest, strcspn(from->rest, "?#"));
			else if (*location != '/')
				strbuf_add(&sb, from->rest, folder_len(from->rest));
			if (*location != '/' && *from->rest != '/')
				strbuf_addc(&sb, '/');
		}
	}
	strbuf_add(&sb, location, len);
	return strbuf_take(&sb);
}

/* Lower case and without a final dot, as the list wants it. */
static void host_text(const struct url *u, char out[HOST_LEN_MAX + 1])
{
	size_t n = u->host_len;

	while (n > 1 && u->host[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)tolower((unsigned char)u->host[i]);
	out[n] = '\0';
}

static bool looks_like_address(const char *host)
{
	return *host == '[' || strspn(host, "0123456789.") == strlen(host);
}

static bool same_site(const char *a, const char *b)
{
	const psl_ctx_t *psl = psl_builtin();

	if (strcmp(a, b) == 0)
		return true;
	if (!psl || looks_like_address(a) || looks_like_address(b))
		return false;

	/* NULL: the name is a public suffix itself and stands only for itself. */
	const char *site_a = psl_registrable_domain(psl, a);
	const char *site_b = psl_registrable_domain(psl, b);

	return site_a && site_b && strcmp(site_a, site_b) == 0;
}

bool preflight_may_follow(const char *from_url, const char *location, char **ret, char *why, size_t why_len)
{
	struct url from = { .host = "", .rest = "" };
	struct url to = { .host = "", .rest = "" };
	char from_host[HOST_LEN_MAX + 1];
	char to_host[HOST_LEN_MAX + 1];

	if (*location == '\0')
		return refuse(why, why_len, "no Location");
	if (strlen(location) > URL_LEN_MAX || strlen(from_url) > 2 * URL_LEN_MAX)
		return refuse(why, why_len, "the URL is too long");
	for (const char *p = location; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("\\\"<>^`{|}", *p))
			return refuse(why, why_len, "characters that no URL has");
	if (!parse_url(from_url, &from, why, why_len))
		return false;

	_cleanup_free_ char *url = resolve(&from, location);

	if (!parse_url(url, &to, why, why_len))
		return false;
	host_text(&from, from_host);
	host_text(&to, to_host);
	if (!same_site(from_host, to_host))
		return refuse(why, why_len, "%s is another registrable domain than %s", to_host, from_host);
	*ret = TAKE_PTR(url);
	return true;
}
