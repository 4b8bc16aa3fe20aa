/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the certificate as the world sees them: addresses, CAA, the zone that proofs are written to, and port 80. One name after the
 * other; the first one that is broken ends the step.
 *
 * Port 80 is only looked at: no file is put up for that, so a webroot of another server than the one that answers is not found out here
 * but by the look before an order (dcv/preflight.h). With the responder the whole way is tried, with a value of our own. */
#include "daemon/doctor.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/core/proof.h"
#include "daemon/dcv/webroot.h"
#include "daemon/io/child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#define HOPS_MAX    5
#define CONNECT_MS  2000
#define TOTAL_MS    5000
#define BODY_MAX    5000
#define SHOWN_MAX   200
#define ADDRESS_MAX (INET6_ADDRSTRLEN + 16)

static const char *without_star(const char *name)
{
	return str_has_prefix(name, "*.") ? name + 2 : name;
}

static bool is_by_http(const struct doctor *k)
{
	return k->spec->dcv.method == CFG_DCV_HTTP_TOKEN;
}

static const char *left_out(const struct doctor *k)
{
	return k->spec->n_names > DOCTOR_NAMES_MAX ? " (and further names that were not looked at)" : "";
}

/* --- dns: addresses --- */

static void names_next(struct doctor *k);

static void on_addresses(const struct dns_addresses *a, void *owner)
{
	struct doctor *k = owner;
	struct doctor_host *h = &k->hosts[k->i];
	bool is_needed = is_by_http(k) && k->config->preflight.http != CFG_LOOK_AT;

	k->dns_call = NULL;
	h->n = MIN(a->n, (size_t)DOCTOR_ADDRESSES_MAX);
	for (size_t i = 0; i < h->n; i++)
		h->at[i] = a->at[i];
	if (h->n == 0 && is_by_http(k))
		doctor_note(&k->note, is_needed ? DOCTOR_BROKEN : DOCTOR_WARNING,
			    strcmp(a->outcome.code, "no_address") == 0
				    ? "add an A or AAAA record for it"
				    : "look at its name servers and at this machine's resolver",
			    "%s: %.300s", h->name, a->outcome.message);
	k->i++;
	if (k->note.state == DOCTOR_BROKEN)
		doctor_end(k, "%s", "");
	else
		names_next(k);
}

static void names_next(struct doctor *k)
{
	const struct dns_query q = { .name = k->i < k->n_hosts ? k->hosts[k->i].name : "",
				     .server = doctor_resolver(k),
				     .recurse = true };
	size_t n = 0;

	if (k->i < k->n_hosts) {
		dns_addresses_start(k->dns, &q, on_addresses, k, &k->dns_call);
		return;
	}
	for (size_t i = 0; i < k->n_hosts; i++)
		n += k->hosts[i].n > 0;
	if (n < k->n_hosts)
		doctor_end(k, "%zu of %zu names have an address (%s needs none)%s", n, k->n_hosts,
			   cfg_dcv_method_name(k->spec->dcv.method), left_out(k));
	else
		doctor_end(k, "all names have an address%s", left_out(k));
}

void doctor_names(struct doctor *k)
{
	k->n_hosts = MIN(k->spec->n_names, (uint32_t)DOCTOR_NAMES_MAX);
	for (size_t i = 0; i < k->n_hosts; i++)
		k->hosts[i].name = without_star(k->spec->names[i]);
	if (k->config->preflight.dns == CFG_LOOK_OFF)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "preflight.dns is off");
	else if (doctor_dns(k))
		names_next(k);
}

/* --- caa --- */

static void caa_next(struct doctor *k);

static void on_caa(const struct caa_result *r, void *owner)
{
	struct doctor *k = owner;
	const char *name = k->spec->names[k->i];
	bool wild = str_has_prefix(name, "*.");

	k->caa = NULL;
	if (r->verdict == CAA_FORBIDDEN && r->critical)
		doctor_note(&k->note, DOCTOR_BROKEN, "remove that record, or its flag 128",
			    "%s: forbidden by %s, which is critical and not known", name, r->text);
	else if (r->verdict == CAA_FORBIDDEN)
		doctor_note(&k->note, DOCTOR_BROKEN,
			    wild ? "add a record beside it: 0 issuewild \"digicert.com\" (or issue, where "
				   "there is "
				   "no issuewild)"
				 : "add a record beside it: 0 issue \"digicert.com\"",
			    "%s: forbidden by %s", name, r->text);
	else if (r->verdict == CAA_UNREADABLE)
		doctor_note(&k->note, DOCTOR_WARNING,
			    "look at its name servers and at this machine's resolver",
			    "%s: the CAA records cannot be read: %.300s", name, r->text);
	k->i++;
	if (k->note.state == DOCTOR_BROKEN)
		doctor_end(k, "%s", "");
	else
		caa_next(k);
}

static void caa_next(struct doctor *k)
{
	if (k->i < MIN(k->spec->n_names, (uint32_t)DOCTOR_NAMES_MAX))
		caa_start(k->dns, k->spec->names[k->i], doctor_resolver(k), on_caa, k, &k->caa);
	else
		doctor_end(k, "DigiCert may issue for all names%s", left_out(k));
}

void doctor_caa(struct doctor *k)
{
	if (k->config->preflight.dns == CFG_LOOK_OFF)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "preflight.dns is off");
	else if (doctor_dns(k))
		caa_next(k);
}

/* --- zone: where proofs in DNS are written --- */

static void zone_next(struct doctor *k);
static void zone_climb(struct doctor *k, const char *name);

static void zone_bad(struct doctor *k, const char *message)
{
	const struct cfg_dns_provider *p = k->spec->dcv.provider;

	if (p->type == CFG_DNS_RFC2136)
		doctor_note(&k->note, DOCTOR_BROKEN,
			    "correct server and zone of the provider, or have that server serve the zone",
			    "provider %s: %s", p->name, message);
	else
		doctor_note(&k->note, DOCTOR_BROKEN, "is the domain registered, and delegated?", "%s",
			    message);
	doctor_end(k, "%s", "");
}

static void on_soa(const struct dns_answer *a, void *owner)
{
	struct doctor *k = owner;
	const struct cfg_dns_provider *p = k->spec->dcv.provider;
	const char *up = strchr(k->text, '.');
	char text[DOCTOR_TEXT_MAX];

	k->dns_call = NULL;
	if (a->outcome.fault != FAULT_NONE) {
		zone_bad(k, a->outcome.message);
	} else if (p->type == CFG_DNS_RFC2136 && !a->authoritative && !a->nxdomain) {
		(void)snprintf(text, sizeof(text), "%s does not serve the zone of %.250s", p->server,
			       k->text);
		zone_bad(k, text);
	} else if (a->n_values > 0 && strcasecmp(a->owner, k->text) == 0) {
		k->i++;
		zone_next(k);
	} else if (up && up[1] != '\0' && !p->zone) {
		zone_climb(k, up + 1);
	} else {
		(void)snprintf(text, sizeof(text), "%s%sno zone %s", p->server ? p->server : "",
			       p->server ? " has " : "there is ", p->zone ? p->zone : "for the proof");
		zone_bad(k, text);
	}
}

/* The server that will be written to is asked; where a program writes, the resolvers. */
static void zone_climb(struct doctor *k, const char *name)
{
	const struct cfg_dns_provider *p = k->spec->dcv.provider;
	char *copy = xstrdup(name);
	struct dns_query q = { .name = copy,
			       .type = DNS_SOA,
			       .server = p->type == CFG_DNS_RFC2136 ? p->server : doctor_resolver(k),
			       .recurse = p->type != CFG_DNS_RFC2136 };

	free(k->text);
	k->text = copy;
	dns_start(k->dns, &q, on_soa, k, &k->dns_call);
}

static void on_target(const struct outcome *o, const char *name, void *owner)
{
	struct doctor *k = owner;

	k->target = NULL;
	if (!name)
		zone_bad(k, o->message);
	else
		zone_climb(k, k->spec->dcv.provider->zone ? k->spec->dcv.provider->zone : name);
}

static void zone_next(struct doctor *k)
{
	const struct cfg_dcv *dcv = &k->spec->dcv;
	const char *name;
	_cleanup_free_ char *fqdn = NULL;

	if (k->i >= MIN(k->spec->n_names, (uint32_t)DOCTOR_NAMES_MAX)) {
		doctor_end(k, "provider %s: the zones of all proofs are there%s", dcv->provider->name,
			   left_out(k));
		return;
	}
	name = without_star(k->spec->names[k->i]);
	fqdn = strcmp(dcv->label, "@") == 0 ? xstrdup(name) : xasprintf("%s.%s", dcv->label, name);
	/* A CNAME proof is written where it is asked for: it is one itself. */
	if (dcv->method == CFG_DCV_DNS_TXT_TOKEN && k->config->preflight.dns != CFG_LOOK_OFF)
		dnslook_target_start(k->w.app->dnslook, fqdn, doctor_resolver(k), on_target, k, &k->target);
	else
		zone_climb(k, dcv->provider->zone ? dcv->provider->zone : fqdn);
}

void doctor_zone(struct doctor *k)
{
	const struct cfg_dns_provider *p = k->spec->dcv.provider;
	int r = p && p->type == CFG_DNS_EXEC ? child_check(p->command[0]) : 0;

	if (!p)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "the proof is not in DNS");
	else if (r < 0)
		doctor_say(k, DOCTOR_BROKEN, "it must be executable, and root's alone to change",
			   "provider %s: %s: %s", p->name, p->command[0], strerror(-r));
	else if (p->type == CFG_DNS_EXEC && k->config->preflight.dns == CFG_LOOK_OFF)
		doctor_say(k, DOCTOR_OK, NULL, "provider %s: its program can be run (preflight.dns is off)",
			   p->name);
	else if (doctor_dns(k))
		zone_next(k);
}

/* --- http: port 80 --- */

/* Item i of the sequence: one address of one host, or the name itself where no address was looked up. */
static const struct sockaddr_storage *http_item(const struct doctor *k, size_t at, const char **ret_name)
{
	for (size_t i = 0; i < k->n_hosts; i++) {
		const struct doctor_host *h = &k->hosts[i];
		bool plain = h->n == 0 || k->config->preflight.http == CFG_LOOK_AT;
		size_t n = plain ? 1 : h->n;

		*ret_name = h->name;
		if (at < n)
			return plain ? NULL : &h->at[at];
		at -= n;
	}
	*ret_name = NULL;
	return NULL;
}

static void show_address(const struct sockaddr_storage *at, char buf[ADDRESS_MAX])
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (at->ss_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)at)->sin6_addr, text, sizeof(text));
	else
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, text, sizeof(text));
	(void)snprintf(buf, ADDRESS_MAX, at->ss_family == AF_INET6 ? "[%s]:80" : "%s:80", text);
}

/* Nothing is sent by that. */
static bool has_route(const struct sockaddr_storage *at)
{
	struct sockaddr_storage to = *at;
	_cleanup_close_ int fd = socket(at->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = at->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (at->ss_family == AF_INET6)
		((struct sockaddr_in6 *)&to)->sin6_port = htons(80);
	else
		((struct sockaddr_in *)&to)->sin_port = htons(80);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&to, len) == 0;
}

static void on_http(const struct http_result *http, void *owner);

static void http_send(struct doctor *k, const char *connect_to)
{
	const struct http_header headers[] = { { .name = "User-Agent", .value = "DigiCert DCV Bot/1.1" } };
	const struct http_request rq = { .label = "doctor",
					 .method = "GET",
					 .url = k->text,
					 .headers = headers,
					 .n_headers = ARRAY_SIZE(headers),
					 .connect_to = connect_to,
					 .connect_ms = CONNECT_MS,
					 .total_ms = TOTAL_MS,
					 .max_body = BODY_MAX,
					 .cut_body = true };

	http_start(k->http, &rq, on_http, k, &k->http_call);
}

static void http_next(struct doctor *k)
{
	const char *name = NULL;
	const struct sockaddr_storage *at = http_item(k, k->i, &name);
	const struct cfg_preflight *p = &k->config->preflight;
	char address[ADDRESS_MAX] = "";

	if (!name || k->note.state == DOCTOR_BROKEN) {
		doctor_end(k,
			   k->token ? "port 80 of all names leads to the responder%s"
				    : "port 80 of all names answers%s",
			   left_out(k));
		return;
	}
	if (at)
		show_address(at, address);
	if (at && at->ss_family == AF_INET6 && !has_route(at)) {
		doctor_note(&k->note, DOCTOR_WARNING, NULL,
			    "%s: no way from here to %s; the CA may take it, so it has to answer", name,
			    address);
		k->i++;
		http_next(k);
		return;
	}
	k->hops = 0;
	free(k->text);
	k->text = xasprintf("http://%s%s", name, WEBROOT_URL_PATH);
	http_send(k, p->http == CFG_LOOK_AT ? p->http_addr : at ? address : NULL);
}

/* True: the look goes on behind a redirect. */
static bool http_follow(struct doctor *k, const struct http_result *http)
{
	char why[128] = "more than 5 redirects", to[SHOWN_MAX + 1];
	char *next = NULL;

	if (k->hops++ < HOPS_MAX && preflight_may_follow(k->text, http->location, &next, why, sizeof(why))) {
		free(k->text);
		k->text = next;
		http_send(k,
			  k->config->preflight.http == CFG_LOOK_AT ? k->config->preflight.http_addr : NULL);
		return true;
	}
	doctor_note(&k->note, DOCTOR_BROKEN, "serve this path without the redirect",
		    "%s: redirects to \"%s\", which the CA does not follow (%s)", k->text,
		    str_escape(http->location, strlen(http->location), to, sizeof(to)), why);
	return false;
}

static const char *http_remedy(int status)
{
	if (status == 401 || status == 403)
		return "allow this path without a password";
	return status >= 500 ? "the web server has a problem: look at its error log"
			     : "serve this path as a plain file";
}

static void http_judge(struct doctor *k, const struct http_result *http)
{
	bool ours = k->token && memmem(http->body, http->body_len, k->token, strlen(k->token));
	bool absent = http->status == 404 || http->status == 410;

	if (http->outcome.fault != FAULT_NONE)
		doctor_note(&k->note, DOCTOR_BROKEN,
			    "port 80 must be open to the world, and a web server listen there", "%s: %.300s",
			    k->text, http->outcome.message);
	else if (k->token && !ours && (http->status == 200 || absent))
		doctor_note(&k->note, DOCTOR_BROKEN,
			    "forward this path to the responder, with its Host (README.md)",
			    "%s: status %d, and not from the responder on %s", k->text, http->status,
			    k->config->responder_listen);
	else if (http->status != 200 && !absent)
		doctor_note(&k->note, DOCTOR_BROKEN, http_remedy(http->status), "%s: status %d", k->text,
			    http->status);
}

static void on_http(const struct http_result *http, void *owner)
{
	struct doctor *k = owner;
	bool redirect =
		http->status == 301 || http->status == 302 || http->status == 307 || http->status == 308;

	k->http_call = NULL;
	if (http->outcome.fault == FAULT_NONE && redirect) {
		if (http_follow(k, http))
			return;
	} else {
		http_judge(k, http);
	}
	k->i++;
	http_next(k);
}

void doctor_http_stop(struct doctor *k)
{
	for (size_t i = 0; k->token && i < k->n_hosts; i++)
		responder_remove(k->w.app->responder, k->hosts[i].name, k->token);
	free(TAKE_PTR(k->token));
}

/* The responder serves any number of values for a name, and the CA takes any of them: one more disturbs nobody. */
static void put_token(struct doctor *k)
{
	unsigned char random[16];
	char hex[2 * sizeof(random) + 1];

	clock_random(random, sizeof(random));
	k->token = xasprintf("doctor-%s", str_hex(random, sizeof(random), hex));
	for (size_t i = 0; i < k->n_hosts; i++)
		responder_add(k->w.app->responder, k->hosts[i].name, k->token);
}

void doctor_http(struct doctor *k)
{
	const struct http_options o = { .plain = true };
	struct err e = ERR_INIT;

	if (!is_by_http(k)) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "the proof is not served by HTTP");
	} else if (k->config->preflight.http == CFG_LOOK_OFF) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "preflight.http is off");
	} else if (!k->http && http_new(k->w.app->loop, &o, &k->http, &e) < 0) {
		doctor_say(k, DOCTOR_BROKEN, NULL, "%s", e.text);
	} else {
		if (k->spec->dcv.responder && k->w.app->responder)
			put_token(k);
		http_next(k);
	}
}
