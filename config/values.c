/* SPDX-License-Identifier: Apache-2.0 */
/* URLs and addresses are taken apart by hand: what is accepted here is much less than their grammars
 * allow, and every refusal should say what to write instead. */
#include "config/values.h"

#include "common/mem.h"
#include "common/str.h"
#include "config/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SERVICES_PATH "/services/v2"

static int value_port(const char *port, struct err *reterr)
{
	uint64_t n = 0;

	if (str_parse_u64(port, &n) < 0 || n < 1 || n > 65535)
		return err_set(reterr, -EINVAL, "the port must be a number from 1 to 65535, not \"%s\"",
			       port);
	return 0;
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.';
}

/* What a name server could look up, or an IPv4 address; "localhost" is fine. */
static int value_plain_host(const char *host, struct err *reterr)
{
	if (host[0] == '\0')
		return err_set(reterr, -EINVAL, "the host is missing");
	if (strlen(host) > 253)
		return err_set(reterr, -EINVAL, "the host is longer than 253 characters");
	for (const char *c = host; *c; c++)
		if (!is_host_char(*c))
			return err_set(reterr, -EINVAL, "\"%s\" is not a host name", host);
	if (host[0] == '.' || host[0] == '-' || strstr(host, ".."))
		return err_set(reterr, -EINVAL, "\"%s\" is not a host name", host);
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port"; the text is cut up. *ret_port is NULL when there is none. */
static int value_split_authority(char *text, const char **ret_host, const char **ret_port, struct err *reterr)
{
	char *end = NULL;
	struct in6_addr v6;
	int r = 0;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end)
			return err_set(reterr, -EINVAL, "\"%s\" lacks the closing \"]\" of an IPv6 address",
				       text);
		*end++ = '\0';
		*ret_host = text + 1;
		if (inet_pton(AF_INET6, *ret_host, &v6) != 1)
			return err_set(reterr, -EINVAL, "\"%s\" is not an IPv6 address", *ret_host);
		if (*end != '\0' && *end != ':')
			return err_set(reterr, -EINVAL, "\"%s\" behind \"]\"; only a port may follow", end);
	} else {
		end = text + strcspn(text, ":");
		*ret_host = text;
	}
	*ret_port = *end == ':' ? end + 1 : NULL;
	*end = '\0';
	if (text[0] != '[')
		r = value_plain_host(*ret_host, reterr);
	if (r == 0 && *ret_port)
		r = value_port(*ret_port, reterr);
	return r;
}

static int value_check_url(const char *in, const char *scheme, struct err *reterr)
{
	const char *rest = in + strlen(scheme);
	size_t len = strcspn(rest, "/");
	_cleanup_free_ char *authority = NULL;
	const char *host = NULL;
	const char *port = NULL;

	if (strchr(rest, '?') || strchr(rest, '#'))
		return err_set(reterr, -EINVAL, "a query (?) or fragment (#) has no place in this URL");
	for (const char *c = rest; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\\\"<>^`{|}", *c))
			return err_set(reterr, -EINVAL, "a blank or a character that URLs cannot hold");
	if (memchr(rest, '@', len))
		return err_set(reterr, -EINVAL, "a user name or password (@) has no place in this URL");
	authority = xstrndup(rest, len);
	return value_split_authority(authority, &host, &port, reterr);
}

static void value_drop_slashes(const char *in, size_t keep, char **ret)
{
	size_t len = strlen(in);

	while (len > keep && in[len - 1] == '/')
		len--;
	if (in[len] != '\0')
		*ret = xstrndup(in, len);
}

int value_url(const char *in, char **ret, struct err *reterr)
{
	int r = 0;

	if (strncasecmp(in, "http://", 7) == 0)
		return err_set(reterr, -EINVAL,
			       "must begin with https://, not http://: an API key travels over it");
	if (!str_has_prefix(in, "https://"))
		return err_set(reterr, -EINVAL, "\"%s\" is not a URL that begins with https://", in);
	r = value_check_url(in, "https://", reterr);
	if (r < 0)
		return r;
	value_drop_slashes(in, strlen("https://"), ret);
	return 0;
}

int value_certcentral_url(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *shorter = NULL;
	const char *url = NULL;
	int r = value_url(in, &shorter, reterr);

	if (r < 0)
		return r;
	url = shorter ? shorter : in;
	if (!str_has_suffix(url, SERVICES_PATH))
		return err_set(reterr, -EINVAL,
			       "must end in " SERVICES_PATH ", as in https://www.digicert.com" SERVICES_PATH);
	if (strstr(url, SERVICES_PATH) + strlen(SERVICES_PATH) != url + strlen(url))
		return err_set(reterr, -EINVAL, SERVICES_PATH " is in it twice");
	if (shorter)
		*ret = TAKE_PTR(shorter);
	return 0;
}

int value_proxy(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *shorter = NULL;
	_cleanup_free_ char *authority = NULL;
	const char *host = NULL;
	const char *port = NULL;
	const char *url = NULL;
	int r = 0;

	if (!str_has_prefix(in, "http://"))
		return err_set(reterr, -EINVAL, "must have the form http://HOST:PORT");
	r = value_check_url(in, "http://", reterr);
	if (r < 0)
		return r;
	value_drop_slashes(in, strlen("http://"), &shorter);
	url = shorter ? shorter : in;
	if (strchr(url + strlen("http://"), '/'))
		return err_set(reterr, -EINVAL, "must have the form http://HOST:PORT, without a path");
	authority = xstrdup(url + strlen("http://"));
	r = value_split_authority(authority, &host, &port, reterr);
	if (r < 0)
		return r;
	if (!port)
		return err_set(reterr, -EINVAL, "the port is missing; write http://%s:3128",
			       url + strlen("http://"));
	if (shorter)
		*ret = TAKE_PTR(shorter);
	return 0;
}

int value_addr_port(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *copy = xstrdup(in);
	const char *host = NULL;
	const char *port = NULL;
	struct in_addr v4;
	int r = 0;

	(void)ret;
	if (in[0] != '[' && strchr(in, ':') != strrchr(in, ':'))
		return err_set(reterr, -EINVAL, "\"%s\": an IPv6 address needs brackets, as in [::1]:8080",
			       in);
	r = value_split_authority(copy, &host, &port, reterr);
	if (r < 0)
		return r;
	if (in[0] != '[' && inet_pton(AF_INET, host, &v4) != 1)
		return err_set(reterr, -EINVAL,
			       "\"%s\" is not ADDR:PORT with an IP address, such as 127.0.0.1:8080", in);
	if (!port)
		return err_set(reterr, -EINVAL,
			       "\"%s\" lacks a port; write ADDR:PORT, such as 127.0.0.1:8080", in);
	return 0;
}

int value_server(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *copy = xstrdup(in);
	const char *host = NULL;
	const char *port = NULL;
	struct in_addr v4;
	struct in6_addr v6;
	int r = 0;

	if (inet_pton(AF_INET6, in, &v6) == 1) {
		*ret = xasprintf("[%s]", in);
		return 0;
	}
	if (in[0] != '[' && strchr(in, ':') != strrchr(in, ':'))
		return err_set(reterr, -EINVAL,
			       "\"%s\": an IPv6 address with a port needs brackets, as in [::1]:53", in);
	r = value_split_authority(copy, &host, &port, reterr);
	if (r < 0)
		return r;
	if (in[0] != '[' && inet_pton(AF_INET, host, &v4) != 1)
		return err_set(reterr, -EINVAL,
			       "\"%s\" is not the IP address of a DNS server, such as 192.0.2.53 or "
			       "\"192.0.2.53:53\"",
			       in);
	return 0;
}

/* What name_normalize() refuses because no certificate can hold it. */
static bool is_plain_zone(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

	if (strlen(s) > 253)
		return false;
	for (;;) {
		size_t len = strspn(s, allowed);

		if (len == 0 || len > 63 || (s[len] != '.' && s[len] != '\0'))
			return false;
		if (s[len] == '\0')
			return true;
		s += len + 1;
	}
}

int value_zone(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *lower = NULL;
	size_t len = strlen(in);

	if (name_normalize(in, false, ret, NULL) == 0)
		return 0;
	lower = xstrndup(in, len > 0 && in[len - 1] == '.' ? len - 1 : len);
	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (!is_plain_zone(lower))
		return err_set(reterr, -EINVAL,
			       "\"%s\" is not the name of a DNS zone, such as example.jp or "
			       "_dnsauth.example.jp",
			       in);
	*ret = TAKE_PTR(lower);
	return 0;
}

int value_email(const char *in, char **ret, struct err *reterr)
{
	/* RFC 5321 section 4.1.2, Dot-string; sizes: section 4.5.3.1. */
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      "!#$%&'*+-/=?^_`{|}~.";
	const char *at = strrchr(in, '@');
	size_t len = at ? (size_t)(at - in) : 0;
	_cleanup_free_ char *domain = NULL;
	int r = 0;

	if (!at || at[1] == '\0')
		return err_set(reterr, -EINVAL, "\"%s\" is not an e-mail address, such as admin@example.jp",
			       in);
	if (len == 0 || len > 64 || strspn(in, allowed) != len || in[0] == '.' || at[-1] == '.' ||
	    (strstr(in, "..") && strstr(in, "..") < at))
		return err_set(
			reterr, -EINVAL,
			"\"%s\" is not an e-mail address: before the \"@\" there must be 1 to 64 letters, "
			"digits or signs, without quotes and blanks",
			in);
	r = name_normalize(at + 1, false, &domain, reterr);
	if (r < 0)
		return r;
	*ret = xasprintf("%.*s@%s", (int)len, in, domain);
	return 0;
}

int value_label(const char *in, char **ret, struct err *reterr)
{
	(void)ret;
	if (strcmp(in, "_dnsauth") != 0 && strcmp(in, "@") != 0)
		return err_set(
			reterr, -EINVAL,
			"must be _dnsauth or \"@\" (the name itself), not \"%s\": the CA looks nowhere else",
			in);
	return 0;
}

int value_path(const char *in, char **ret, struct err *reterr)
{
	if (in[0] != '/')
		return err_set(reterr, -EINVAL, "\"%s\" must be an absolute path (begin with \"/\")", in);
	if (strstr(in, "/../") || str_has_suffix(in, "/.."))
		return err_set(reterr, -EINVAL, "\"%s\" must not contain \"..\"", in);
	value_drop_slashes(in, 1, ret);
	return 0;
}

int value_socket_path(const char *in, char **ret, struct err *reterr)
{
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	size_t len = strlen(in);

	if (len > max)
		return err_set(reterr, -EINVAL, "is %zu bytes long; the path of a socket has at most %zu",
			       len, max);
	return value_path(in, ret, reterr);
}

int value_word(const char *in, char **ret, struct err *reterr)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	(void)ret;
	if (in[0] == '\0' || strlen(in) > 64 || in[strspn(in, allowed)] != '\0')
		return err_set(reterr, -EINVAL, "\"%s\" is not a word of letters, digits, \"_\" and \"-\"",
			       in);
	return 0;
}

int value_host(const char *in, char **ret, struct err *reterr)
{
	return name_normalize(in, false, ret, reterr);
}

int value_host_or_wildcard(const char *in, char **ret, struct err *reterr)
{
	return name_normalize(in, true, ret, reterr);
}

int value_connect(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *copy = xstrdup(in);
	_cleanup_free_ char *final = NULL;
	const char *host = NULL;
	const char *port = NULL;
	struct in_addr v4;
	int r = 0;

	if (in[0] != '[' && strchr(in, ':') != strrchr(in, ':'))
		return err_set(reterr, -EINVAL, "\"%s\": an IPv6 address needs brackets, as in [::1]:443",
			       in);
	r = value_split_authority(copy, &host, &port, reterr);
	if (r < 0)
		return r;
	if (!port)
		return err_set(reterr, -EINVAL, "\"%s\" lacks a port; write HOST:PORT, such as 127.0.0.1:443",
			       in);
	if (in[0] == '[' || inet_pton(AF_INET, host, &v4) == 1 || strcmp(host, "localhost") == 0)
		return 0;
	r = name_normalize(host, false, &final, reterr);
	if (r == 0)
		*ret = xasprintf("%s:%s", final, port);
	return r;
}

int value_copy_path(const char *in, char **ret, struct err *reterr)
{
	static const char placeholder[] = "{name}";

	for (const char *c = in; (c = strpbrk(c, "{}")); c += sizeof(placeholder) - 1)
		if (!str_has_prefix(c, placeholder))
			return err_set(reterr, -EINVAL, "\"%s\": only %s may stand in braces", in,
				       placeholder);
	if (str_has_suffix(in, "/") || str_has_suffix(in, "/."))
		return err_set(reterr, -EINVAL, "\"%s\" must be the path of a file, not of a folder", in);
	return value_path(in, ret, reterr);
}

int value_account(const char *in, char **ret, struct err *reterr)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t plain = strspn(in, allowed);

	(void)ret;
	if (plain == 0 || strlen(in) > 32 || in[0] == '-' || in[0] == '.' ||
	    (in[plain] != '\0' && strcmp(in + plain, "$") != 0))
		return err_set(reterr, -EINVAL, "\"%s\" is not the name or number of an account", in);
	return 0;
}

/* systemd.unit(5), "Unit name". */
int value_unit(const char *in, char **ret, struct err *reterr)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
	static const char *const others[] = { ".socket", ".target", ".timer", ".mount", ".path", ".slice" };
	bool bare = !str_has_suffix(in, ".service");

	if (in[0] == '\0' || in[0] == '.' || in[0] == '-' || strlen(in) > 240 ||
	    in[strspn(in, allowed)] != '\0' || strcmp(in, ".service") == 0)
		return err_set(reterr, -EINVAL, "\"%s\" is not the name of a unit, such as nginx.service",
			       in);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_has_suffix(in, others[i]))
			return err_set(reterr, -EINVAL, "\"%s\" is no service; only services can be reloaded",
				       in);
	if (bare)
		*ret = xasprintf("%s.service", in);
	return 0;
}
