/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages, read with suspicion: whoever answers may be hostile, and everything that is said in a message is a length
 * or an offset. Every read is checked against the end; a compression pointer must lead to before the place where it was
 * met, so that a name ends; the work for one message is linear in its size. One malformed record
 * spoils the whole message: what stands beside it is not worth believing.
 *
 * Authority and additional sections are not read: nothing in them is needed, and glue is the classic way to poison. */
#include "daemon/io/dnsmsg.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define HEADER_LEN   12
#define LABEL_MAX    63
#define NAME_MAX_LEN 255
#define CHAIN_MAX    8
#define CNAMES_MAX   16 /* that are looked at: a chain is no longer than half of it */
#define CLASS_IN     1
#define TYPE_OPT     41
#define RCODE_NX     3
#define TXT_MAX	     65536

static const struct {
	const char *name;
	uint16_t number;
} types[] = {
	[DNS_A] = { "A", 1 },	    [DNS_AAAA] = { "AAAA", 28 }, [DNS_NS] = { "NS", 2 },
	[DNS_SOA] = { "SOA", 6 },   [DNS_TXT] = { "TXT", 16 },	 [DNS_CNAME] = { "CNAME", 5 },
	[DNS_CAA] = { "CAA", 257 },
};

static const char *const rcodes[16] = { "noerror",  "formerr", "servfail", "nxdomain", "notimp",  "refused",
					"yxdomain", "yxrrset", "nxrrset",  "notauth",  "notzone", "rcode11",
					"rcode12",  "rcode13", "rcode14",  "rcode15" };

struct msg {
	const unsigned char *p;
	size_t len;
};

struct rr {
	char owner[DNS_NAME_TEXT_MAX];
	unsigned type, class;
	size_t at, len; /* of its data */
	size_t end;
};

struct dns_parsed {
	struct dns_answer answer;
	char *values[DNS_VALUES_MAX];
	char owner[DNS_NAME_TEXT_MAX];
	char cname[DNS_NAME_TEXT_MAX];
};

const char *dns_type_name(enum dns_type t)
{
	return types[t].name;
}

/* --- a question ------------------------------------------------------------------------------------- */

static void put16(unsigned char *p, unsigned v)
{
	p[0] = (unsigned char)(v >> 8);
	p[1] = (unsigned char)v;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One byte of a label at *s, unescaped; *s moves behind it. -1 when the escape is none. */
static int label_byte(const char **s)
{
	const char *p = *s;
	int v = 0;

	if (*p != '\\') {
		*s = p + 1;
		return (unsigned char)*p;
	}
	if (!is_digit(p[1])) {
		*s = p + 2;
		return p[1] == '\0' ? -1 : (unsigned char)p[1];
	}
	if (!is_digit(p[2]) || !is_digit(p[3]))
		return -1;
	v = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
	*s = p + 4;
	return v > 255 ? -1 : v;
}

/* Bytes written, or 0. */
static size_t name_write(const char *name, unsigned char out[NAME_MAX_LEN])
{
	size_t n = 0;

	if (*name == '\0' || *name == '.')
		return 0;
	while (*name != '\0') {
		size_t start = n++;

		while (*name != '\0' && *name != '.') {
			int b = label_byte(&name);

			if (b < 0 || n >= NAME_MAX_LEN - 1)
				return 0;
			out[n++] = (unsigned char)b;
		}
		if (n - start - 1 == 0 || n - start - 1 > LABEL_MAX || n >= NAME_MAX_LEN)
			return 0;
		out[start] = (unsigned char)(n - start - 1);
		name += *name == '.';
	}
	out[n++] = 0;
	return n;
}

int dns_query_build(const char *name, enum dns_type type, bool recurse, uint16_t id,
		    unsigned char out[DNS_QUERY_MAX], size_t *ret_len, struct err *reterr)
{
	size_t n = name_write(name, out + HEADER_LEN);
	unsigned char *p = out + HEADER_LEN + n;

	if (n == 0)
		return err_set(reterr, -EINVAL, "\"%.300s\" is not a name that DNS can carry", name);
	memset(out, 0, HEADER_LEN);
	put16(out, id);
	out[2] = recurse ? 1 : 0;
	put16(out + 4, 1);  /* questions */
	put16(out + 10, 1); /* additional: OPT */
	put16(p, types[type].number);
	put16(p + 2, CLASS_IN);
	memset(p + 4, 0, 11);
	put16(p + 5, TYPE_OPT); /* of the root */
	put16(p + 7, DNS_UDP_MAX);
	*ret_len = HEADER_LEN + n + 15;
	return 0;
}

/* --- reading ------------------------------------------------------------------------------------------ */

static unsigned get16(const struct msg *m, size_t at)
{
	return ((unsigned)m->p[at] << 8) | m->p[at + 1];
}

static unsigned long get32(const struct msg *m, size_t at)
{
	return ((unsigned long)get16(m, at) << 16) | get16(m, at + 2);
}

static size_t label_text(const unsigned char *p, size_t len, char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] <= ' ' || p[i] >= 0x7f) {
			text[n++] = '\\';
			text[n++] = (char)('0' + p[i] / 100);
			text[n++] = (char)('0' + p[i] / 10 % 10);
			text[n++] = (char)('0' + p[i] % 10);
			continue;
		}
		if (p[i] == '.' || p[i] == '\\')
			text[n++] = '\\';
		text[n++] = (char)p[i];
	}
	return n;
}

/* The name at at, without final dot; *ret_end is behind it. */
static bool name_read(const struct msg *m, size_t at, char text[DNS_NAME_TEXT_MAX], size_t *ret_end)
{
	size_t before = at; /* where pointers may lead: strictly less, so that this ends */
	size_t wire_len = 1;
	size_t n = 0;
	bool jumped = false;

	while (at < m->len && m->p[at] != 0) {
		unsigned len = m->p[at];

		if ((len & 0xc0) == 0xc0) {
			if (m->len - at < 2 || (get16(m, at) & 0x3fff) >= before)
				return false;
			if (!jumped)
				*ret_end = at + 2;
			jumped = true;
			at = before = get16(m, at) & 0x3fff;
			continue;
		}
		wire_len += len + 1;
		if (len > LABEL_MAX || wire_len > NAME_MAX_LEN || m->len - at - 1 < len)
			return false;
		if (n > 0)
			text[n++] = '.';
		n += label_text(m->p + at + 1, len, text + n);
		at += len + 1;
	}
	if (at >= m->len)
		return false;
	if (!jumped)
		*ret_end = at + 1;
	text[n] = '\0';
	return true;
}

static bool rr_read(const struct msg *m, size_t at, struct rr *rr)
{
	if (!name_read(m, at, rr->owner, &at) || m->len - at < 10)
		return false;
	rr->type = get16(m, at);
	rr->class = get16(m, at + 2);
	rr->at = at + 10;
	rr->len = get16(m, at + 8);
	rr->end = rr->at + rr->len;
	return rr->end <= m->len;
}

/* A name that fills the data of a record exactly. */
static bool rr_name(const struct msg *m, const struct rr *rr, char text[DNS_NAME_TEXT_MAX])
{
	size_t end = 0;

	return name_read(m, rr->at, text, &end) && end == rr->end;
}

/* --- values --------------------------------------------------------------------------------------------- */

static char *txt_value(const struct msg *m, const struct rr *rr)
{
	struct strbuf sb = STRBUF_INIT(TXT_MAX);
	char *ret = NULL;
	size_t at = rr->at;

	while (at < rr->end && m->p[at] <= rr->end - at - 1) {
		strbuf_add(&sb, m->p + at + 1, m->p[at]);
		at += 1 + (size_t)m->p[at];
	}
	if (at == rr->end && rr->len > 0) {
		size_t room = MIN(4 * sb.len + 1, (size_t)DNS_VALUE_MAX);

		ret = xmalloc(room);
		(void)str_escape(strbuf_str(&sb), sb.len, ret, room);
	}
	strbuf_done(&sb);
	return ret;
}

static char *soa_value(const struct msg *m, const struct rr *rr)
{
	char mname[DNS_NAME_TEXT_MAX];
	char rname[DNS_NAME_TEXT_MAX];
	size_t at = rr->at;

	if (!name_read(m, at, mname, &at) || !name_read(m, at, rname, &at) || at > rr->end ||
	    rr->end - at != 20)
		return NULL;
	return xasprintf("%s %s %lu %lu %lu %lu %lu", mname, rname, get32(m, at), get32(m, at + 4),
			 get32(m, at + 8), get32(m, at + 12), get32(m, at + 16));
}

/* RFC 8659 section 4.1: flags, the length of the tag, the tag (letters and digits), and the rest is the value. */
static char *caa_value(const struct msg *m, const struct rr *rr)
{
	char value[DNS_VALUE_MAX - 300];
	size_t len = rr->len < 2 ? 0 : m->p[rr->at + 1];
	const char *tag = (const char *)m->p + rr->at + 2;

	if (len == 0 || len > rr->len - 2)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!is_digit(tag[i]) && ((tag[i] | 0x20) < 'a' || (tag[i] | 0x20) > 'z'))
			return NULL;
	return xasprintf("%u %.*s %s", m->p[rr->at], (int)len, tag,
			 str_escape(tag + len, rr->len - 2 - len, value, sizeof value));
}

/* NULL: malformed. */
static char *rr_value(const struct msg *m, const struct rr *rr, enum dns_type type)
{
	char text[DNS_NAME_TEXT_MAX];
	int family = type == DNS_A ? AF_INET : AF_INET6;
	size_t want = type == DNS_A ? 4 : 16;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (rr->len != want || !inet_ntop(family, m->p + rr->at, text, sizeof text))
			return NULL;
		return xstrdup(text);
	case DNS_NS:
	case DNS_CNAME: return rr_name(m, rr, text) ? xstrdup(text) : NULL;
	case DNS_SOA: return soa_value(m, rr);
	case DNS_TXT: return txt_value(m, rr);
	case DNS_CAA: return caa_value(m, rr);
	}
	return NULL;
}

/* --- an answer ------------------------------------------------------------------------------------------ */

struct cnames {
	struct {
		char from[DNS_NAME_TEXT_MAX], to[DNS_NAME_TEXT_MAX];
	} list[CNAMES_MAX];
	size_t n;
};

static bool collect_cnames(const struct msg *m, size_t at, unsigned n, struct cnames *ret)
{
	struct rr rr;

	for (unsigned i = 0; i < n; i++, at = rr.end) {
		if (!rr_read(m, at, &rr))
			return false;
		if (rr.type != types[DNS_CNAME].number || rr.class != CLASS_IN || ret->n == CNAMES_MAX)
			continue;
		if (!rr_name(m, &rr, ret->list[ret->n].to))
			return false;
		memcpy(ret->list[ret->n++].from, rr.owner, sizeof rr.owner);
	}
	return true;
}

static const char *cname_of(const struct cnames *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcasecmp(c->list[i].from, name) == 0)
			return c->list[i].to;
	return NULL;
}

/* From the asked name, which stands in p->owner, to the end of the chain. False: it has none. */
static bool follow(struct dns_parsed *p, const struct cnames *c)
{
	const char *to = cname_of(c, p->owner);

	if (to) {
		(void)snprintf(p->cname, sizeof p->cname, "%s", to);
		p->answer.cname = p->cname;
	}
	for (unsigned hops = 0; to; hops++, to = cname_of(c, p->owner)) {
		if (hops == CHAIN_MAX)
			return false;
		(void)snprintf(p->owner, sizeof p->owner, "%s", to);
	}
	return true;
}

static bool collect_values(const struct msg *m, size_t at, unsigned n, enum dns_type type,
			   struct dns_parsed *p)
{
	struct rr rr;

	for (unsigned i = 0; i < n; i++, at = rr.end) {
		char *value = NULL;

		if (!rr_read(m, at, &rr))
			return false;
		if (rr.type != types[type].number || rr.class != CLASS_IN ||
		    strcasecmp(rr.owner, p->owner) != 0)
			continue;
		value = rr_value(m, &rr, type);
		if (!value)
			return false;
		if (p->answer.n_values < DNS_VALUES_MAX)
			p->values[p->answer.n_values++] = value;
		else
			free(value);
	}
	return true;
}

static int parse_answers(const struct msg *m, size_t at, enum dns_type type, struct dns_parsed *p,
			 struct err *reterr)
{
	_cleanup_free_ struct cnames *cnames = xmalloc(sizeof *cnames);
	unsigned n = get16(m, 6);

	if (!collect_cnames(m, at, n, cnames))
		return err_set(reterr, -EBADMSG, "a malformed record");
	if (type != DNS_CNAME && !follow(p, cnames)) {
		(void)outcome_set(&p->answer.outcome, FAULT_UNCLEAR, "cname_loop",
				  "the CNAMEs in the answer do not end");
		return 0;
	}
	if (!collect_values(m, at, n, type, p))
		return err_set(reterr, -EBADMSG, "a malformed %s record", types[type].name);
	return 0;
}

int dns_parse(const unsigned char *wire, size_t len, enum dns_type type, struct dns_parsed **ret,
	      struct err *reterr)
{
	_cleanup_(dns_parsed_freep) struct dns_parsed *p = xmalloc(sizeof *p);
	const struct msg m = { .p = wire, .len = len };
	unsigned flags = 0;
	size_t at = HEADER_LEN;
	int r = 0;

	if (len < HEADER_LEN || len > UINT16_MAX)
		return err_set(reterr, -EBADMSG, "%zu bytes are not a DNS message", len);
	flags = get16(&m, 2);
	if ((flags & 0xf800) != 0x8000 || get16(&m, 4) != 1)
		return err_set(reterr, -EBADMSG, "not an answer to a question");
	if (flags & 0x0200)
		return err_set(reterr, -EBADMSG, "a truncated answer");
	if (!name_read(&m, at, p->owner, &at) || len - at < 4 || get16(&m, at) != types[type].number ||
	    get16(&m, at + 2) != CLASS_IN)
		return err_set(reterr, -EBADMSG, "an answer to another question");
	p->answer.values = (const char *const *)p->values;
	p->answer.owner = p->owner;
	p->answer.authoritative = flags & 0x0400;
	p->answer.nxdomain = (flags & 15) == RCODE_NX;
	if ((flags & 15) != 0 && !p->answer.nxdomain)
		(void)outcome_set(&p->answer.outcome, FAULT_UNCLEAR, rcodes[flags & 15], "the server says %s",
				  rcodes[flags & 15]);
	else
		r = parse_answers(&m, at + 4, type, p, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

const struct dns_answer *dns_parsed_answer(const struct dns_parsed *p)
{
	return &p->answer;
}

void dns_parsed_free(struct dns_parsed *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->answer.n_values; i++)
		free(p->values[i]);
	free(p);
}
