/* SPDX-License-Identifier: Apache-2.0 */
/* Every option there is, one row each. Nothing is known to the loader or to the manual page that does not
 * stand here. */
#include "config/raw.h"

#define DAY INT64_C(86400)

#define MAIN(member)   offsetof(struct raw_main, c.member)
#define CC(member)     offsetof(struct cfg_certcentral, member)
#define DOMAIN(member) offsetof(struct raw_domain, member)

static const char *const words_level[] = { "error", "warning", "info", "debug", NULL };
static const char *const words_format[] = { "auto", "text", "json", "journal", NULL };
static const char *const words_key_type[] = { "rsa", "ec", NULL };
static const char *const words_curve[] = { "P-256", "P-384", NULL };
static const char *const words_dns_type[] = { "rfc2136", "exec", NULL }; /* enum cfg_dns_type */
static const char *const words_method[] = {				 /* enum cfg_dcv_method */
					    "http-token", "dns-txt-token", "dns-cname-token", "email", NULL
};

static const struct opt_row rows_log[] = {
	{ .name = "level",
	  .type = OPT_WORD,
	  .offset = MAIN(log_level),
	  .def = "info",
	  .words = words_level,
	  .doc = "the least important records that are written" },
	{ .name = "format",
	  .type = OPT_WORD,
	  .offset = MAIN(log_format),
	  .def = "auto",
	  .words = words_format,
	  .doc = "auto is the journal under systemd and text on standard error elsewhere" },
};
static const struct opt_table table_log = { rows_log, ARRAY_SIZE(rows_log), NULL };

static const struct opt_row rows_rate[] = {
	{ .name = "requests",
	  .type = OPT_INT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct raw_rate, requests),
	  .min = 1,
	  .max = 1000000,
	  .doc = "how many requests a window may hold" },
	{ .name = "per",
	  .type = OPT_DURATION,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct raw_rate, per),
	  .min = 1,
	  .max = DAY,
	  .doc = "length of the rolling window" },
};
const struct opt_table table_rate = { rows_rate, ARRAY_SIZE(rows_rate), NULL };

static const struct opt_row rows_certcentral[] = {
	{ .name = "url",
	  .type = OPT_TEXT,
	  .offset = CC(url),
	  .def = "https://www.digicert.com/services/v2",
	  .check = value_certcentral_url,
	  .doc = "the API; https://certcentral.digicert.eu/services/v2 for accounts in the EU" },
	{ .name = "ca_file",
	  .type = OPT_CUSTOM,
	  .offset = CC(ca_file),
	  .read = read_ca_file,
	  .doc = "certificates (PEM) to trust instead of the system's" },
	{ .name = "api_key_file",
	  .type = OPT_API_KEY,
	  .flags = OPT_REQUIRED,
	  .offset = CC(api_key),
	  .doc = "the file that holds the CertCentral API key" },
	{ .name = "product",
	  .type = OPT_TEXT,
	  .offset = CC(product),
	  .def = "ssl_dv_geotrust",
	  .check = value_word,
	  .doc = "product to order; a domain may choose another" },
	{ .name = "order_years",
	  .type = OPT_INT,
	  .offset = CC(order_years),
	  .min = 1,
	  .max = 3,
	  .unit = "years",
	  .def = "1",
	  .doc = "length of the paid plan" },
	{ .name = "max_cert_days",
	  .type = OPT_INT,
	  .offset = CC(max_cert_days),
	  .min = 1,
	  .max = 398,
	  .unit = "days",
	  .def = "199",
	  .doc = "longest life of one certificate; the industry's limit falls to 99 in 2027-03 and 46 in "
		 "2029" },
	{ .name = "payment_method",
	  .type = OPT_TEXT,
	  .offset = CC(payment_method),
	  .check = value_word,
	  .doc = "balance, card or profile; sent only when set" },
	{ .name = "instant_issuance",
	  .type = OPT_BOOL,
	  .offset = CC(instant_issuance),
	  .def = "false",
	  .doc = "true: prove the names by request tokens before the order is placed, for http-token and "
		 "dns-txt-token" },
	{ .name = "auth_key_file",
	  .type = OPT_API_KEY,
	  .offset = CC(auth_key),
	  .doc = "the file that holds the account's AuthKey, for request tokens; else it is read from the "
		 "API" },
	{ .name = "auth_key_id",
	  .type = OPT_TEXT,
	  .offset = CC(auth_key_id),
	  .check = value_word,
	  .doc = "id of the AuthKey, when the account has several" },
	{ .name = "rate_limit",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_rates,
	  .sub = &table_rate,
	  .def = "[{requests: 90, per: 5s}, {requests: 900, per: 180s}]",
	  .doc = "rolling windows that all requests with this key keep to; 1 to 8 of them" },
	{ .name = "poll_interval",
	  .type = OPT_DURATION,
	  .offset = CC(poll_interval),
	  .min = 1,
	  .max = 3600,
	  .def = "60s",
	  .doc = "how often the state of orders is asked for, while any is pending" },
	{ .name = "max_orders_per_day",
	  .type = OPT_INT,
	  .offset = CC(max_orders_per_day),
	  .min = 1,
	  .max = 1000000,
	  .unit = "orders",
	  .def = "50",
	  .doc = "circuit breaker on paid orders; beyond it nothing is ordered" },
};
static const struct opt_table table_certcentral = { rows_certcentral, ARRAY_SIZE(rows_certcentral), NULL };

static const struct opt_row rows_scutum[] = {
	{ .name = "url",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_scutum, url),
	  .def = "https://api.scutum.jp/api/v1",
	  .check = value_url,
	  .doc = "the API of the Scutum cloud WAF" },
	{ .name = "ca_file",
	  .type = OPT_CUSTOM,
	  .offset = offsetof(struct cfg_scutum, ca_file),
	  .read = read_ca_file,
	  .doc = "certificates (PEM) to trust instead of the system's" },
};
static const struct opt_table table_scutum = { rows_scutum, ARRAY_SIZE(rows_scutum), NULL };

static const struct opt_row rows_preflight[] = {
	{ .name = "http",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_look_http,
	  .def = "on",
	  .doc = "fetch the file before the CA does: off, on, or \"ADDR:PORT\" to connect there instead of "
		 "to the name's addresses" },
	{ .name = "dns",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_look_dns,
	  .def = "on",
	  .doc = "look for the record before the CA does: off, on, or \"ADDR:PORT\" to ask that server "
		 "instead "
		 "of the name's own" },
};
static const struct opt_table table_preflight = { rows_preflight, ARRAY_SIZE(rows_preflight), NULL };

static const struct opt_row rows_provider[] = {
	{ .name = "type",
	  .type = OPT_WORD,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct raw_provider, type),
	  .words = words_dns_type,
	  .doc = "how records are written: by dynamic update (RFC 2136), or by a program" },
	{ .name = "server",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct raw_provider, server),
	  .check = value_server,
	  .doc = "rfc2136, required: the server that takes updates of the zone; port 53 unless given" },
	{ .name = "zone",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct raw_provider, zone),
	  .check = value_zone,
	  .doc = "rfc2136: the zone to update; else that server is asked for it" },
	{ .name = "tsig_key_file",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_tsig_key,
	  .doc = "rfc2136, required: the file that holds the TSIG key, as tsig-keygen prints it" },
	{ .name = "ttl",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct raw_provider, ttl),
	  .min = 1,
	  .max = DAY,
	  .def = "60s",
	  .doc = "rfc2136: time to live of the records" },
	{ .name = "command",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_command,
	  .doc = "exec, required: the program, an absolute path, and its first arguments; 1 to 32 words" },
	{ .name = "timeout",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct raw_provider, timeout),
	  .min = 1,
	  .max = 3600,
	  .def = "120s",
	  .doc = "exec: how long one call may take" },
};
const struct opt_table table_provider = { rows_provider, ARRAY_SIZE(rows_provider), check_provider };

static const struct opt_row rows_responder[] = {
	{ .name = "listen",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = MAIN(responder_listen),
	  .check = value_addr_port,
	  .doc = "where the built-in server for fileauth.txt listens, such as 127.0.0.1:8402" },
};
static const struct opt_table table_responder = { rows_responder, ARRAY_SIZE(rows_responder), NULL };

static const struct opt_row rows_key[] = {
	{ .name = "type",
	  .type = OPT_WORD,
	  .offset = offsetof(struct raw_key, type),
	  .def = "rsa",
	  .words = words_key_type,
	  .doc = "kind of private key" },
	{ .name = "bits",
	  .type = OPT_INT,
	  .offset = offsetof(struct raw_key, bits),
	  .min = 2048,
	  .max = 8192,
	  .unit = "bits",
	  .def = "2048",
	  .doc = "rsa: size, a multiple of 1024" },
	{ .name = "curve",
	  .type = OPT_WORD,
	  .offset = offsetof(struct raw_key, curve),
	  .def = "P-256",
	  .words = words_curve,
	  .doc = "ec: the curve" },
	{ .name = "reuse",
	  .type = OPT_BOOL,
	  .offset = offsetof(struct raw_key, reuse),
	  .def = "false",
	  .doc = "keep the key over renewals instead of making a new one each time" },
};
static const struct opt_table table_key = { rows_key, ARRAY_SIZE(rows_key), check_key };

static const struct opt_row rows_dcv[] = {
	{ .name = "method",
	  .type = OPT_WORD,
	  .offset = offsetof(struct raw_dcv, method),
	  .def = "http-token",
	  .words = words_method,
	  .doc = "how the CA checks control of the names" },
	{ .name = "webroot",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct raw_dcv, webroot),
	  .check = value_path,
	  .doc = "http-token: folder that the web server serves as / for all names over http on port 80" },
	{ .name = "responder",
	  .type = OPT_BOOL,
	  .offset = offsetof(struct raw_dcv, responder),
	  .def = "false",
	  .doc = "http-token: true for the built-in server to answer instead of a webroot" },
	{ .name = "provider",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct raw_dcv, provider),
	  .doc = "dns-txt-token, dns-cname-token: which of dns_providers writes the record" },
	{ .name = "label",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct raw_dcv, label),
	  .def = "_dnsauth",
	  .check = value_label,
	  .doc = "dns-txt-token: where the record stands: _dnsauth in front of the name, or \"@\" for the "
		 "name "
		 "itself" },
	{ .name = "emails",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_emails,
	  .doc = "email: the addresses that the CA may ask, 1 to 16 of them; for each name at least one at "
		 "that "
		 "name or at a domain above it" },
};
static const struct opt_table table_dcv = { rows_dcv, ARRAY_SIZE(rows_dcv), check_dcv };

static const struct opt_row rows_scutum_target[] = {
	{ .name = "host",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, host),
	  .check = value_host,
	  .doc = "the FQDN as Scutum knows it" },
	{ .name = "id",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, id),
	  .check = value_word,
	  .doc = "the management panel's id of that FQDN" },
	{ .name = "api_key_file",
	  .type = OPT_API_KEY,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, api_key),
	  .doc = "the file that holds the Scutum API key of that FQDN" },
	{ .name = "key_passphrase_file",
	  .type = OPT_PASSPHRASE,
	  .offset = offsetof(struct cfg_scutum_target, key_passphrase),
	  .doc = "the file that holds a passphrase to encrypt the private key with on its way" },
};
static const struct opt_table table_scutum_target = { rows_scutum_target, ARRAY_SIZE(rows_scutum_target),
						      NULL };

static const struct opt_row rows_target[] = {
	{ .name = "scutum",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, scutum),
	  .sub = &table_scutum_target,
	  .doc = "push to the Scutum cloud WAF" },
};
const struct opt_table table_target = { rows_target, ARRAY_SIZE(rows_target), NULL };

/* The names first: `defaults` takes what stands behind them. */
#define N_NAME_ROWS 3
static const struct opt_row rows_domain[] = {
	{ .name = "name",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = DOMAIN(name),
	  .doc = "names the directory, and is the common name unless common_name is given" },
	{ .name = "common_name",
	  .type = OPT_TEXT,
	  .offset = DOMAIN(common_name),
	  .check = value_host_or_wildcard,
	  .doc = "first name of the certificate, when name is not it" },
	{ .name = "dns_names",
	  .type = OPT_LATER,
	  .offset = DOMAIN(dns_names),
	  .doc = "further names of the certificate" },
	{ .name = "product",
	  .type = OPT_TEXT,
	  .offset = DOMAIN(product),
	  .check = value_word,
	  .doc = "product to order, when not certcentral.product" },
	{ .name = "key",
	  .type = OPT_MAP,
	  .offset = DOMAIN(key),
	  .sub = &table_key,
	  .doc = "the private key" },
	{ .name = "dcv",
	  .type = OPT_MAP,
	  .offset = DOMAIN(dcv),
	  .sub = &table_dcv,
	  .doc = "how the CA checks control of the names" },
	{ .name = "renew_before",
	  .type = OPT_DURATION,
	  .flags = OPT_AUTO,
	  .offset = DOMAIN(renew_before),
	  .min = 1,
	  .def = "auto",
	  .doc = "how long before expiry to renew; auto is one sixth of the certificate's life" },
	{ .name = "deploy",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_deploy,
	  .sub = &table_target,
	  .doc = "where the certificate is taken to after it is installed" },
};
const struct opt_table table_domain = { rows_domain, ARRAY_SIZE(rows_domain), NULL };
const struct opt_table table_defaults_of_domain = { rows_domain + N_NAME_ROWS,
						    ARRAY_SIZE(rows_domain) - N_NAME_ROWS, NULL };

static const struct opt_row rows_main[] = {
	{ .name = "state_dir",
	  .type = OPT_TEXT,
	  .flags = OPT_FROM_ENV,
	  .offset = MAIN(state_dir),
	  .def = "/var/lib/dvcertd",
	  .check = value_path,
	  .doc = "where everything is kept; $STATE_DIRECTORY when that is set" },
	{ .name = "control_socket",
	  .type = OPT_TEXT,
	  .flags = OPT_FROM_ENV,
	  .offset = MAIN(control_socket),
	  .def = "/run/dvcertd/control.sock",
	  .check = value_socket_path,
	  .doc = "where dvcertctl finds the daemon; below $RUNTIME_DIRECTORY when that is set" },
	{ .name = "log", .type = OPT_MAP, .sub = &table_log, .doc = "what is logged, and how" },
	{ .name = "certcentral",
	  .type = OPT_MAP,
	  .flags = OPT_REQUIRED,
	  .offset = MAIN(certcentral),
	  .sub = &table_certcentral,
	  .doc = "the CA's account; it needs at least api_key_file" },
	{ .name = "scutum",
	  .type = OPT_MAP,
	  .offset = MAIN(scutum),
	  .sub = &table_scutum,
	  .doc = "the WAF's API" },
	{ .name = "proxy",
	  .type = OPT_TEXT,
	  .offset = MAIN(proxy),
	  .check = value_proxy,
	  .doc = "http://HOST:PORT for both APIs; proxies in the environment are ignored" },
	{ .name = "dns_providers",
	  .type = OPT_CUSTOM,
	  .offset = 0,
	  .read = read_providers,
	  .sub = &table_provider,
	  .doc = "ways to write records into DNS, by names of your choice" },
	{ .name = "preflight",
	  .type = OPT_MAP,
	  .offset = MAIN(preflight),
	  .sub = &table_preflight,
	  .doc = "look before the CA looks; a failed look delays and warns" },
	{ .name = "responder",
	  .type = OPT_MAP,
	  .sub = &table_responder,
	  .doc = "built-in server for fileauth.txt" },
	{ .name = "defaults",
	  .type = OPT_LATER,
	  .offset = offsetof(struct raw_main, defaults),
	  .sub = &table_defaults_of_domain,
	  .doc = "any option of a domain but its names; what a domain sets replaces it whole" },
	{ .name = "domains",
	  .type = OPT_LATER,
	  .offset = offsetof(struct raw_main, domains),
	  .sub = &table_domain,
	  .doc = "the certificates to keep; more of them in conf.d/*.yaml" },
};
const struct opt_table table_main = { rows_main, ARRAY_SIZE(rows_main), NULL };

static const struct opt_section sections[] = {
	{ "", &table_main, "the file" },
	{ "log", &table_log, "log" },
	{ "certcentral", &table_certcentral, "the CA" },
	{ "certcentral.rate_limit[]", &table_rate, "one rolling window" },
	{ "scutum", &table_scutum, "the WAF" },
	{ "dns_providers.NAME", &table_provider, "one way to write records" },
	{ "preflight", &table_preflight, "looking before the CA looks" },
	{ "responder", &table_responder, "the built-in server" },
	{ "domains[]", &table_domain, "one certificate" },
	{ "domains[].key", &table_key, "its private key" },
	{ "domains[].dcv", &table_dcv, "its proof of control" },
	{ "domains[].deploy[]", &table_target, "one target, one key each" },
	{ "domains[].deploy[].scutum", &table_scutum_target, "a Scutum FQDN" },
};

const struct opt_section *opt_sections(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(sections);
	return sections;
}
