/* SPDX-License-Identifier: Apache-2.0 */
/* CAA records are few and written by people, so all that is strange in them is said as it is. A property value that is no proper
 * issuer domain name allows nobody (RFC 8659 section 4.2), parameters behind it are not judged: what DigiCert makes of them only it
 * knows.
 *
 * A CNAME is followed by the resolver, and the climb goes on at the parent of the name itself, not at that of the alias (section 3). */
#include "daemon/dcv/caa.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>

#define TIMEOUT_MS 5000
#define SHOWN_MAX  200
#define VALUE_MAX  256

/* DigiCert's certification practice statement, section 4.2.1: the identifiers that it recognizes as its own. */
static const char *const ISSUERS[] = {
	"digicert.com",
	"www.digicert.com",
	"digicert.ne.jp",
	"cybertrust.ne.jp",
	"symantec.com",
	"thawte.com",
	"geotrust.com",
	"rapidssl.com",
	"quovadisglobal.com",
	"digitalcertvalidation.com",
	"volusion.digitalcertvalidation.com",
	"stratossl.digitalcertvalidation.com",
	"intermediatecertificate.digitalcertvalidation.com",
	"1and1.digitalcertvalidation.com",
	"amazon.com",
	"amazontrust.com",
	"awstrust.com",
	"amazonaws.com",
	"pkioverheid.nl",
	"flipkart.com",
};

/* Those of the IANA registry that are in use: a CA may be expected to know them, also when they are not for it. */
static const char *const TAGS[] = { "issue",	    "issuewild", "iodef",    "contactemail",
				    "contactphone", "issuevmc",	 "issuemail" };

struct property {
	unsigned flags;
	char tag[16]; /* lower case; cut when it is longer than any that we know */
	const char *value;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* False: not what io/dnsmsg makes. */
static bool property_read(const char *text, struct property *ret)
{
	size_t n = 0;

	ret->flags = 0;
	for (; *text >= '0' && *text <= '9' && ret->flags < 256; text++)
		ret->flags = ret->flags * 10 + (unsigned)(*text - '0');
	if (*text++ != ' ')
		return false;
	for (; *text != '\0' && *text != ' '; text++)
		if (n < sizeof ret->tag - 1)
			ret->tag[n++] = lower(*text);
	ret->tag[n] = '\0';
	if (*text != ' ' || n == 0)
		return false;
	ret->value = text + 1;
	return true;
}

/* A label is letters, digits and hyphens inside (RFC 8659 section 4.2, `label`). */
static bool is_domain(const char *s, size_t len)
{
	size_t label = 0;

	for (size_t i = 0; i < len; i++) {
		bool alnum = (s[i] >= '0' && s[i] <= '9') || (lower(s[i]) >= 'a' && lower(s[i]) <= 'z');

		if (s[i] == '.' ? label == 0 || s[i - 1] == '-' : !alnum && (s[i] != '-' || label == 0))
			return false;
		label = s[i] == '.' ? 0 : label + 1;
	}
	return label > 0 && s[len - 1] != '-';
}

/* The issuer domain name of a value: behind blanks, up to blanks or ";". */
static bool allows_us(const char *value)
{
	size_t len = 0;

	while (is_blank(*value))
		value++;
	while (value[len] != '\0' && value[len] != ';' && !is_blank(value[len]))
		len++;
	for (size_t i = len; value[i] != ';' && value[i] != '\0'; i++)
		if (!is_blank(value[i]))
			return false;
	if (!is_domain(value, len))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ISSUERS); i++)
		if (strlen(ISSUERS[i]) == len && strncasecmp(ISSUERS[i], value, len) == 0)
			return true;
	return false;
}

static bool is_known(const char *tag)
{
	for (size_t i = 0; i < ARRAY_SIZE(TAGS); i++)
		if (strcmp(TAGS[i], tag) == 0)
			return true;
	return false;
}

static void decide(struct caa_result *ret, enum caa_verdict v, const char *owner, const struct property *p)
{
	ret->verdict = v;
	(void)snprintf(ret->text, sizeof ret->text, "%.150s: %u %s \"%.*s\"", owner, p->flags, p->tag,
		       SHOWN_MAX, p->value);
}

void caa_judge(const char *owner, const char *const *values, size_t n, bool wildcard, struct caa_result *ret)
{
	struct property list[DNS_VALUES_MAX], *p = NULL;
	const char *tag = "issue";
	size_t n_list = 0;
	bool denied = false;

	*ret = (struct caa_result){ .verdict = CAA_ALLOWED };
	for (size_t i = 0; i < n && n_list < ARRAY_SIZE(list); i++) {
		p = &list[n_list];
		if (!property_read(values[i], p))
			continue;
		n_list++;
		if ((p->flags & 128) != 0 && !is_known(p->tag)) {
			decide(ret, CAA_FORBIDDEN, owner, p);
			ret->critical = true;
			return;
		}
		if (wildcard && strcmp(p->tag, "issuewild") == 0)
			tag = "issuewild";
	}
	for (size_t i = 0; i < n_list; i++) {
		p = &list[i];
		if (strcmp(p->tag, tag) != 0)
			continue;
		if (allows_us(p->value)) {
			decide(ret, CAA_ALLOWED, owner, p);
			return;
		}
		if (!denied)
			decide(ret, CAA_FORBIDDEN, owner, p);
		denied = true;
	}
}

/* --- climbing --------------------------------------------------------------------------------------- */

struct caa_call {
	struct dns *dns;
	struct dns_call *dns_call;
	char *name;
	const char *at; /* in name: where we are */
	bool wildcard;
	char *server;
	caa_done_fn *done;
	void *owner;
};

static void call_free(struct caa_call *c)
{
	dns_cancel(&c->dns_call);
	free(c->name);
	free(c->server);
	free(c);
}

static void deliver(struct caa_call *c, const struct caa_result *r)
{
	caa_done_fn *done = c->done;
	void *owner = c->owner;

	call_free(c);
	done(r, owner);
}

static void ask(struct caa_call *c);

static void on_answer(const struct dns_answer *a, void *owner)
{
	struct caa_call *c = owner;
	struct caa_result r = { .verdict = CAA_ALLOWED };
	const char *dot = strchr(c->at, '.');

	c->dns_call = NULL;
	if (a->outcome.fault != FAULT_NONE) {
		r.verdict = CAA_UNREADABLE;
		(void)snprintf(r.text, sizeof r.text, "%s", a->outcome.message);
		deliver(c, &r);
	} else if (a->n_values > 0) {
		caa_judge(a->owner, a->values, a->n_values, c->wildcard, &r);
		deliver(c, &r);
	} else if (dot && dot[1] != '\0') {
		c->at = dot + 1;
		ask(c);
	} else {
		deliver(c, &r);
	}
}

static void ask(struct caa_call *c)
{
	const struct dns_query q = {
		.name = c->at, .type = DNS_CAA, .server = c->server, .recurse = true, .timeout_ms = TIMEOUT_MS
	};

	dns_start(c->dns, &q, on_answer, c, &c->dns_call);
}

void caa_start(struct dns *d, const char *name, const char *server, caa_done_fn *done, void *owner,
	       struct caa_call **ret)
{
	struct caa_call *c = xmalloc(sizeof *c);

	c->dns = d;
	c->wildcard = str_has_prefix(name, "*.");
	c->name = xstrdup(c->wildcard ? name + 2 : name);
	c->at = c->name;
	c->server = xstrdup_opt(server);
	c->done = done;
	c->owner = owner;
	ask(c);
	if (ret)
		*ret = c;
}

void caa_cancel(struct caa_call **c)
{
	struct caa_call *mine = *c;

	*c = NULL;
	if (mine)
		call_free(mine);
}
