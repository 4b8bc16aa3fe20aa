/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/options.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/caa.h"
#include "tests/sandbox/dnsask.h"
#include "tests/sandbox/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>

enum {
	OPT_LISTEN = 256,
	OPT_PKI_HTTP,
	OPT_DIR,
	OPT_HTTP_PORT,
	OPT_HTTPS_PORT,
	OPT_DNS,
	OPT_VALIDITY,
	OPT_ISSUE_DELAY,
	OPT_CA_POLL,
	OPT_RATE,
	OPT_DCV_REPLIES,
	OPT_FIND_NONE,
	OPT_REQUIRE_APPROVAL,
	OPT_SET,
	OPT_GENERATION,
	OPT_CAA,
	OPT_API_KEY_FILE,
	OPT_SCUTUM,
	OPT_FAULT,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "pki-http", required_argument, NULL, OPT_PKI_HTTP },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "http-port", required_argument, NULL, OPT_HTTP_PORT },
	{ "https-port", required_argument, NULL, OPT_HTTPS_PORT },
	{ "dns", required_argument, NULL, OPT_DNS },
	{ "validity", required_argument, NULL, OPT_VALIDITY },
	{ "issue-delay", required_argument, NULL, OPT_ISSUE_DELAY },
	{ "ca-poll", required_argument, NULL, OPT_CA_POLL },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "dcv-replies", required_argument, NULL, OPT_DCV_REPLIES },
	{ "find-none", required_argument, NULL, OPT_FIND_NONE },
	{ "require-approval", no_argument, NULL, OPT_REQUIRE_APPROVAL },
	{ "set", required_argument, NULL, OPT_SET },
	{ "generation", required_argument, NULL, OPT_GENERATION },
	{ "caa", required_argument, NULL, OPT_CAA },
	{ "api-key-file", required_argument, NULL, OPT_API_KEY_FILE },
	{ "scutum", required_argument, NULL, OPT_SCUTUM },
	{ "fault", required_argument, NULL, OPT_FAULT },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: dvcert-sandbox --dir DIR [OPTION]...\n"
	"A CertCentral and a Scutum on loopback, for rehearsals and tests. What it issues is worth nothing.\n"
	"\n"
	"  --dir DIR               ca.pem, api-key, scutum-api-key and the CA's keys; made if absent\n"
	"  --listen ADDR:PORT      HTTPS on a loopback address, port 0 = any (127.0.0.1:9443)\n"
	"  --pki-http ADDR:PORT    OCSP and CRLs over plain HTTP, named in what is issued (none)\n"
	"  --http-port P           validation fetches http://NAME/ from 127.0.0.1:P (80)\n"
	"  --https-port P          where redirects to https://NAME/ lead (443)\n"
	"  --dns ADDR:PORT         server to ask for proofs in DNS (nobody looks there)\n"
	"  --validity DUR          life of certificates: 90s, 15m, 12h, 32d (199d)\n"
	"  --issue-delay DUR       from \"all names validated\" to \"issued\" (0s)\n"
	"  --ca-poll DUR           how often the CA looks for proofs by itself, 0s = never (60s)\n"
	"  --rate N/DUR            rolling window, repeatable; or \"off\" (100/5s and 1000/180s)\n"
	"  --set NAME=VALUE        a setting of the list below, repeatable\n"
	"  --generation old|new    all settings with (*) at once; the later option wins (new)\n"
	"  --caa NAME=failed|not_found   what CAA of a name says, repeatable (all may be issued)\n"
	"  --dcv-replies old|new   the same as --set dcv_replies=\n"
	"  --find-none 404|empty   the same as --set find_none=\n"
	"  --require-approval      the same as --set approval=required\n"
	"  --api-key-file FILE     the accepted X-DC-DEVKEY (DIR/api-key)\n"
	"  --scutum HOST:ID:FILE   accepted host, id and key file, repeatable (any, DIR/scutum-api-key)\n"
	"  --fault ENDPOINT:KIND[:key=value]...   misbehave, repeatable\n"
	"  --quiet                 no line per request on stderr\n"
	"  --help, --version\n"
	"\n"
	"Admin calls are below /sandbox/ on the same port; docs/SANDBOX.md describes them.\n"
	"\n"
	"Settings, the default first; (*) was otherwise in an older generation of the service:\n";

static enum options_result _printf_(1, 2) complain(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("dvcert-sandbox: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\nTry 'dvcert-sandbox --help'.\n", stderr);
	va_end(ap);
	return OPTIONS_USAGE;
}

static bool set_ipv4(const char *host, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	if (inet_pton(AF_INET, host, &in.sin_addr) != 1 || ntohl(in.sin_addr.s_addr) >> 24 != 127)
		return false;
	memcpy(ret, &in, sizeof(in));
	*ret_len = sizeof(in);
	return true;
}

static bool set_ipv6(const char *host, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	if (inet_pton(AF_INET6, host, &in.sin6_addr) != 1 || !IN6_IS_ADDR_LOOPBACK(&in.sin6_addr))
		return false;
	memcpy(ret, &in, sizeof(in));
	*ret_len = sizeof(in);
	return true;
}

static enum options_result set_address(const char *name, const char *text, struct sockaddr_storage *ret,
				       socklen_t *ret_len)
{
	const char *colon = strrchr(text, ':');
	uint64_t port = 0;
	if (!colon || str_parse_u64(colon + 1, &port) < 0 || port > 65535)
		return complain("--%s takes ADDR:PORT, not '%s'", name, text);
	size_t len = (size_t)(colon - text);
	bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
	_cleanup_free_ char *host = bracketed ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
	if (bracketed ? !set_ipv6(host, (uint16_t)port, ret, ret_len)
		      : !set_ipv4(host, (uint16_t)port, ret, ret_len))
		return complain("--%s %s: must be a loopback address (127.x.x.x or [::1]); whoever reaches "
				"this server gets certificates and can steer it",
				name, text);
	return OPTIONS_RUN;
}

static enum options_result set_port(const char *name, const char *text, unsigned *ret)
{
	uint64_t port = 0;
	if (str_parse_u64(text, &port) < 0 || port < 1 || port > 65535)
		return complain("--%s takes a port number, not '%s'", name, text);
	*ret = (unsigned)port;
	return OPTIONS_RUN;
}

static enum options_result set_duration(const char *name, const char *text, int64_t min, int64_t *ret)
{
	int64_t s = 0;
	if (str_parse_duration(text, &s) < 0 || s < min)
		return complain("--%s takes a duration like 90s, 15m, 12h or 32d, not '%s'", name, text);
	*ret = s;
	return OPTIONS_RUN;
}

static enum options_result set_setting(struct sandbox *sb, const char *option, const char *text)
{
	struct err e = ERR_INIT;
	if (settings_set_text(&sb->set, text, &e) < 0)
		return complain("%s: %s", option, e.text);
	return OPTIONS_RUN;
}

/* The options that are older than --set. */
static enum options_result set_word(struct sandbox *sb, const char *option, const char *name,
				    const char *word)
{
	_cleanup_free_ char *text = xasprintf("%s=%s", name, word);
	return set_setting(sb, option, text);
}

static enum options_result set_caa(struct sandbox *sb, const char *text)
{
	size_t len = strcspn(text, "=");
	_cleanup_free_ char *name = xstrndup(text, len);
	if (!text[len] || !caa_set(sb, name, text + len + 1))
		return complain("--caa takes NAME=failed|not_found, not '%s'", text);
	return OPTIONS_RUN;
}

static enum options_result set_generation(struct sandbox *sb, const char *text)
{
	bool old = !strcmp(text, "old");
	if (!old && strcmp(text, "new") != 0)
		return complain("--generation takes old|new, not '%s'", text);
	settings_set_generation(&sb->set, old);
	return OPTIONS_RUN;
}

static enum options_result set_rate(struct sandbox *sb, const char *text)
{
	if (!strcmp(text, "off"))
		rates_clear(&sb->rates);
	else if (rates_add_text(&sb->rates, text) < 0)
		return complain("--rate takes N/DUR like 100/5s (at most %d of them) or 'off', not '%s'",
				RATES_MAX, text);
	return OPTIONS_RUN;
}

static enum options_result set_fault(struct sandbox *sb, const char *text)
{
	struct fault f;
	struct err e = ERR_INIT;
	if (fault_parse_text(text, &f, &e) < 0)
		return complain("--fault %s: %s", text, e.text);
	faults_add(&sb->faults, &f);
	return OPTIONS_RUN;
}

static enum options_result add_scutum(struct options *o, const char *text)
{
	const char *first = strchr(text, ':');
	const char *second = first ? strchr(first + 1, ':') : NULL;
	if (!second || first == text || second == first + 1 || !second[1])
		return complain("--scutum takes HOST:ID:KEYFILE, not '%s'", text);
	char **slot = SBX_GROW(o->scutum, o->n_scutum);
	*slot = xstrdup(text);
	return OPTIONS_RUN;
}

static void replace(char **field, const char *val)
{
	free(*field);
	*field = xstrdup(val);
}

static enum options_result set_dns(struct sandbox *sb, const char *text)
{
	if (!dnsask_server_is_good(text))
		return complain("--dns takes ADDR:PORT, not '%s'", text);
	replace(&sb->dns, text);
	return OPTIONS_RUN;
}

/* Options that go into the settings. */
static enum options_result set_one(int opt, struct sandbox *sb)
{
	switch (opt) {
	case OPT_HTTP_PORT: return set_port("http-port", optarg, &sb->set.http_port);
	case OPT_HTTPS_PORT: return set_port("https-port", optarg, &sb->set.https_port);
	case OPT_DNS: return set_dns(sb, optarg);
	case OPT_VALIDITY: return set_duration("validity", optarg, 1, &sb->set.validity_s);
	case OPT_ISSUE_DELAY: return set_duration("issue-delay", optarg, 0, &sb->set.issue_delay_s);
	case OPT_CA_POLL: return set_duration("ca-poll", optarg, 0, &sb->set.ca_poll_s);
	case OPT_SET: return set_setting(sb, "--set", optarg);
	case OPT_GENERATION: return set_generation(sb, optarg);
	case OPT_CAA: return set_caa(sb, optarg);
	case OPT_DCV_REPLIES: return set_word(sb, "--dcv-replies", "dcv_replies", optarg);
	case OPT_FIND_NONE: return set_word(sb, "--find-none", "find_none", optarg);
	case OPT_REQUIRE_APPROVAL: return set_word(sb, "--require-approval", "approval", "required");
	case OPT_QUIET: sb->set.quiet = true; return OPTIONS_RUN;
	case OPT_RATE: return set_rate(sb, optarg);
	case OPT_FAULT: return set_fault(sb, optarg);
	default: return complain("unknown or incomplete option");
	}
}

static enum options_result handle(int opt, struct options *o, struct sandbox *sb)
{
	switch (opt) {
	case OPT_HELP:
		fputs(help_text, stdout);
		settings_print(stdout);
		return OPTIONS_DONE;
	case OPT_VERSION: puts("dvcert-sandbox " DVCERT_VERSION); return OPTIONS_DONE;
	case OPT_LISTEN: return set_address("listen", optarg, &o->addr, &o->addr_len);
	case OPT_PKI_HTTP: return set_address("pki-http", optarg, &o->pki_addr, &o->pki_addr_len);
	case OPT_DIR: replace(&o->dir, optarg); return OPTIONS_RUN;
	case OPT_API_KEY_FILE: replace(&o->api_key_file, optarg); return OPTIONS_RUN;
	case OPT_SCUTUM: return add_scutum(o, optarg);
	default: return set_one(opt, sb);
	}
}

enum options_result options_parse(int argc, char **argv, struct options *o, struct sandbox *sb)
{
	bool rates_said = false;
	opterr = 0;
	for (int opt = getopt_long(argc, argv, "", long_options, NULL); opt != -1;
	     opt = getopt_long(argc, argv, "", long_options, NULL)) {
		rates_said = rates_said || opt == OPT_RATE;
		enum options_result r =
			opt == '?' ? complain("unknown or incomplete option '%s'", argv[optind - 1])
				   : handle(opt, o, sb);
		if (r != OPTIONS_RUN)
			return r;
	}
	if (optind < argc)
		return complain("unexpected argument '%s'", argv[optind]);
	if (!o->dir)
		return complain("--dir DIR is needed");
	if (!o->addr_len && set_address("listen", "127.0.0.1:9443", &o->addr, &o->addr_len) != OPTIONS_RUN)
		return OPTIONS_USAGE;
	if (!rates_said) {
		(void)!rates_add(&sb->rates, 100, 5);
		(void)!rates_add(&sb->rates, 1000, 180);
	}
	return OPTIONS_RUN;
}

void options_done(struct options *o)
{
	free(o->dir);
	free(o->api_key_file);
	for (size_t i = 0; i < o->n_scutum; i++)
		free(o->scutum[i]);
	free(o->scutum);
}
