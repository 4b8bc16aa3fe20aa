/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic update: the messages, made and read by ldns. Sends nothing and knows no order; that is rfc2136_call.c.
 *
 * Of ldns only what is pure is used. Its resolver blocks; its signer takes the time by itself; its parser loses memory
 * when a message has two OPT records; its verifier takes any algorithm, looks at no clock, and loses memory when it does not
 * know the algorithm. So every answer is walked over before ldns sees it, and name, algorithm and time are checked
 * here. ldns decodes the key into the heap for each signature and does not wipe it. */
#include "daemon/dcv/rfc2136.h"

/* ldns declares functions with types that OpenSSL hides when it is told to hide what is deprecated. */
#undef OPENSSL_NO_DEPRECATED

#include "common/mem.h"
#include "daemon/io/dnswire.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <string.h>

#define FUDGE_S	    300 /* RFC 8945 section 10 recommends it */
#define STRING_MAX  255 /* RFC 1035 section 3.3 */
#define TSIG_FIELDS 7	/* algorithm, time, fudge, MAC, id, error, other data; RFC 8945 section 4.2 */

DEFINE_CLEANUP(ldns_pkt *, ldns_pkt_free)
DEFINE_CLEANUP(ldns_rr *, ldns_rr_free)
DEFINE_CLEANUP(ldns_rdf *, ldns_rdf_deep_free)

/* --- making ---------------------------------------------------------------------------------------- */

static int parse_name(const char *text, ldns_rdf **ret, struct err *reterr)
{
	size_t len = strlen(text);

	*ret = NULL;
	if (len > 0 && len <= RFC2136_NAME_MAX + 1 && !strchr(text, '\\'))
		*ret = ldns_dname_new_frm_str(text); /* absolute, whether there is a final dot or not */
	if (!*ret)
		return err_set(reterr, -EINVAL, "\"%s\" is not a DNS name", text);
	return 0;
}

static ldns_rr *new_record(const ldns_rdf *owner, ldns_rr_type type, ldns_rr_class class, uint32_t ttl)
{
	ldns_rr *rr = ldns_rr_new();

	if (!rr)
		abort(); /* out of memory, see common/mem.h */
	ldns_rr_set_owner(rr, ldns_rdf_clone(owner));
	ldns_rr_set_type(rr, type);
	ldns_rr_set_class(rr, class);
	ldns_rr_set_ttl(rr, ttl);
	return rr;
}

static void push_field(ldns_rr *rr, ldns_rdf *field)
{
	if (!field || !ldns_rr_push_rdf(rr, field))
		abort(); /* out of memory */
}

static int push_txt(ldns_rr *rr, const char *value, struct err *reterr)
{
	size_t len = strlen(value);

	if (len == 0 || len > RFC2136_VALUE_MAX)
		return err_set(reterr, -EINVAL, "a TXT value must have 1 to %d bytes, not %zu",
			       RFC2136_VALUE_MAX, len);
	while (len > 0) {
		unsigned char string[1 + STRING_MAX];
		size_t n = MIN(len, (size_t)STRING_MAX);

		string[0] = (unsigned char)n;
		memcpy(string + 1, value, n);
		push_field(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, n + 1, string));
		value += n;
		len -= n;
	}
	return 0;
}

/* Our record as it goes into the update section. To delete exactly one record its class is NONE and its TTL 0 (RFC 2136
 * section 2.5.4). */
static int make_record(const struct rfc2136_update *u, const ldns_rdf *owner, ldns_rr **ret,
		       struct err *reterr)
{
	bool txt = u->type == RFC2136_TXT;
	_cleanup_(ldns_rr_freep) ldns_rr *rr =
		new_record(owner, txt ? LDNS_RR_TYPE_TXT : LDNS_RR_TYPE_CNAME,
			   u->add ? LDNS_RR_CLASS_IN : LDNS_RR_CLASS_NONE, u->add ? u->ttl : 0);
	ldns_rdf *target = NULL;
	int r = 0;

	if (txt)
		r = push_txt(rr, u->value, reterr);
	else
		r = parse_name(u->value, &target, reterr);
	if (r < 0)
		return r;
	if (target)
		push_field(rr, target);
	*ret = TAKE_PTR(rr);
	return 0;
}

static void push_question(ldns_pkt *p, const ldns_rdf *owner)
{
	ldns_rr *rr = new_record(owner, LDNS_RR_TYPE_SOA, LDNS_RR_CLASS_IN, 0);

	ldns_rr_set_question(rr, true);
	if (!ldns_pkt_push_rr(p, LDNS_SECTION_QUESTION, rr))
		abort(); /* out of memory */
}

static ldns_pkt *new_packet(unsigned id, ldns_pkt_opcode opcode)
{
	ldns_pkt *p = ldns_pkt_new();

	if (!p)
		abort(); /* out of memory */
	ldns_pkt_set_id(p, (uint16_t)id);
	ldns_pkt_set_opcode(p, opcode);
	return p;
}

/* Six bytes, RFC 8945 section 4.2. */
static int64_t read_time(const uint8_t *p)
{
	int64_t t = 0;

	for (size_t i = 0; i < 6; i++)
		t = t << 8 | p[i];
	return t;
}

static int sign(ldns_pkt *p, const struct tsig_key *k, struct rfc2136_message *ret, struct err *reterr)
{
	struct rfc2136_message m = { 0 };
	const ldns_rdf *mac = NULL;
	ldns_status s = ldns_pkt_tsig_sign(p, k->name, secret_bytes(k->secret), FUDGE_S, k->algorithm, NULL);

	if (s != LDNS_STATUS_OK)
		return err_set(reterr, -EINVAL, "cannot sign with key %s (%s): %s", k->name, k->algorithm,
			       ldns_get_errorstr_by_id(s));
	mac = ldns_rr_rdf(ldns_pkt_tsig(p), 3);
	if (ldns_rdf_size(mac) > sizeof m.mac)
		return err_set(reterr, -EINVAL, "cannot sign with key %s: the signature is too long",
			       k->name);
	m.mac_len = ldns_rdf_size(mac);
	memcpy(m.mac, ldns_rdf_data(mac), m.mac_len);
	m.signed_at = read_time(ldns_rdf_data(ldns_rr_rdf(ldns_pkt_tsig(p), 1)));
	s = ldns_pkt2wire(&m.wire, p, &m.len);
	if (s != LDNS_STATUS_OK)
		return err_set(reterr, -EINVAL, "cannot make the message: %s", ldns_get_errorstr_by_id(s));
	*ret = m;
	return 0;
}

int rfc2136_make_update(const struct rfc2136_update *u, const char *zone, unsigned id,
			struct rfc2136_message *ret, struct err *reterr)
{
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *apex = NULL;
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *owner = NULL;
	_cleanup_(ldns_pkt_freep) ldns_pkt *p = NULL;
	ldns_rr *record = NULL;
	int r = parse_name(zone, &apex, reterr);

	if (r == 0)
		r = parse_name(u->fqdn, &owner, reterr);
	if (r < 0)
		return r;
	if (ldns_dname_compare(owner, apex) != 0 && !ldns_dname_is_subdomain(owner, apex))
		return err_set(reterr, -EINVAL,
			       "%s is not within zone %s; correct the provider's zone, or leave it out",
			       u->fqdn, zone);
	r = make_record(u, owner, &record, reterr);
	if (r < 0)
		return r;
	p = new_packet(id, LDNS_PACKET_UPDATE);
	push_question(p, apex);
	if (!ldns_pkt_push_rr(p, LDNS_SECTION_AUTHORITY,
			      record)) /* which RFC 2136 calls the update section */
		abort();	       /* out of memory */
	return sign(p, u->key, ret, reterr);
}

int rfc2136_make_soa(const char *name, const struct tsig_key *k, unsigned id, struct rfc2136_message *ret,
		     struct err *reterr)
{
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *owner = NULL;
	_cleanup_(ldns_pkt_freep) ldns_pkt *p = NULL;
	int r = parse_name(name, &owner, reterr);

	if (r < 0)
		return r;
	p = new_packet(id, LDNS_PACKET_QUERY);
	push_question(p, owner);
	return sign(p, k, ret, reterr);
}

/* --- reading --------------------------------------------------------------------------------------- */

static unsigned read_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* The first byte behind the name at pos; 0 when it passes the end. */
static size_t skip_name(const unsigned char *wire, size_t len, size_t pos)
{
	while (pos < len) {
		if (wire[pos] == 0)
			return pos + 1;
		if ((wire[pos] & 0xc0) == 0xc0)
			return pos + 2;
		if ((wire[pos] & 0xc0) != 0)
			return 0;
		pos += 1U + wire[pos];
	}
	return 0;
}

/* May ldns have it? All sections end where the message ends; at most one OPT; a TSIG only as the very last record. */
static bool is_well_formed(const unsigned char *wire, size_t len)
{
	size_t pos = DNSWIRE_HEADER_LEN;
	unsigned n_questions = read_u16(wire + 4);
	unsigned n = n_questions + read_u16(wire + 6) + read_u16(wire + 8) + read_u16(wire + 10);
	unsigned n_before_additional = n - read_u16(wire + 10);
	unsigned n_opt = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned type = 0;

		pos = skip_name(wire, len, pos);
		if (pos == 0 || len - MIN(pos, len) < (i < n_questions ? 4 : 10))
			return false;
		if (i < n_questions) {
			pos += 4;
			continue;
		}
		type = read_u16(wire + pos);
		n_opt += type == LDNS_RR_TYPE_OPT;
		if (n_opt > 1 || (type == LDNS_RR_TYPE_OPT && i < n_before_additional) ||
		    (type == LDNS_RR_TYPE_TSIG && (i < n_before_additional || i + 1 != n)))
			return false;
		pos += 10 + read_u16(wire + pos + 8);
	}
	return pos == len;
}

static bool same_name(const ldns_rdf *name, const char *text)
{
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *other = ldns_dname_new_frm_str(text);

	return other && name && ldns_rdf_get_type(name) == LDNS_RDF_TYPE_DNAME &&
	       ldns_dname_compare(name, other) == 0;
}

static bool has_size(const ldns_rr *tsig, size_t field, size_t min)
{
	const ldns_rdf *f = ldns_rr_rdf(tsig, field);

	return f && ldns_rdf_size(f) >= min;
}

static enum rfc2136_trust check_mac(const struct rfc2136_message *query, const struct tsig_key *k,
				    int64_t now, ldns_pkt *p, const unsigned char *wire, size_t len)
{
	const ldns_rr *tsig = ldns_pkt_tsig(p);
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *mac = NULL;
	int64_t signed_at = read_time(ldns_rdf_data(ldns_rr_rdf(tsig, 1)));
	int64_t fudge = read_u16(ldns_rdf_data(ldns_rr_rdf(tsig, 2)));
	bool late = signed_at > now + fudge || signed_at < now - fudge;

	if (ldns_rdf_size(ldns_rr_rdf(tsig, 3)) <= 2)
		return RFC2136_UNSIGNED;
	if (!same_name(ldns_rr_owner(tsig), k->name) || !same_name(ldns_rr_rdf(tsig, 0), k->algorithm))
		return RFC2136_BAD;
	/* BADTIME repeats our time (RFC 8945 section 5.2.3), whatever clock is right. */
	if (late && read_u16(ldns_rdf_data(ldns_rr_rdf(tsig, 5))) != RFC2136_BADTIME)
		return RFC2136_BAD;
	mac = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16_DATA, query->mac_len, query->mac);
	if (!mac)
		abort(); /* out of memory */
	return ldns_pkt_tsig_verify(p, wire, len, k->name, secret_bytes(k->secret), mac) ? RFC2136_GOOD
											 : RFC2136_BAD;
}

static int read_tsig(const struct rfc2136_message *query, const struct tsig_key *k, int64_t now, ldns_pkt *p,
		     const unsigned char *wire, size_t len, struct rfc2136_answer *ret, struct err *reterr)
{
	static const size_t min_sizes[TSIG_FIELDS] = { 1, 6, 2, 2, 2, 2, 2 };
	const ldns_rr *tsig = ldns_pkt_tsig(p);
	const ldns_rdf *other = NULL;

	if (!tsig)
		return 0;
	for (size_t i = 0; i < TSIG_FIELDS; i++)
		if (!has_size(tsig, i, min_sizes[i]))
			return err_set(reterr, -EBADMSG, "the answer's TSIG record is cut off");
	ret->tsig_error = read_u16(ldns_rdf_data(ldns_rr_rdf(tsig, 5)));
	other = ldns_rr_rdf(tsig, 6);
	if (ret->tsig_error == RFC2136_BADTIME && ldns_rdf_size(other) == 2 + 6) {
		ret->has_clock = true;
		ret->clock_ahead_s = read_time(ldns_rdf_data(other) + 2) - query->signed_at;
	}
	ret->trust = check_mac(query, k, now, p, wire, len);
	return 0;
}

static const ldns_rr *find_type(const ldns_rr_list *list, ldns_rr_type type)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++)
		if (ldns_rr_get_type(ldns_rr_list_rr(list, i)) == type)
			return ldns_rr_list_rr(list, i);
	return NULL;
}

/* The SOA record stands in the answer when name is the zone itself, else in the authority section (RFC 2308 section 2).
 * Behind an alias it may be that of the other end. */
static void read_soa(const ldns_pkt *p, const char *name, struct rfc2136_answer *ret)
{
	_cleanup_(ldns_rdf_deep_freep) ldns_rdf *asked = ldns_dname_new_frm_str(name);
	const ldns_rr *soa = find_type(ldns_pkt_answer(p), LDNS_RR_TYPE_SOA);
	_cleanup_free_ char *text = NULL;
	const ldns_rdf *owner = NULL;

	ret->authoritative = ldns_pkt_aa(p);
	ret->alias = find_type(ldns_pkt_answer(p), LDNS_RR_TYPE_CNAME) ||
		     find_type(ldns_pkt_answer(p), LDNS_RR_TYPE_DNAME);
	if (!soa)
		soa = find_type(ldns_pkt_authority(p), LDNS_RR_TYPE_SOA);
	ret->referral = !soa && !ret->authoritative && find_type(ldns_pkt_authority(p), LDNS_RR_TYPE_NS);
	owner = soa ? ldns_rr_owner(soa) : NULL;
	if (!asked || !owner ||
	    (ldns_dname_compare(asked, owner) != 0 && !ldns_dname_is_subdomain(asked, owner)))
		return;
	text = ldns_rdf2str(owner);
	if (!text || strlen(text) > sizeof ret->zone || strlen(text) < 2)
		return; /* the root is nobody's zone */
	(void)snprintf(ret->zone, sizeof ret->zone, "%.*s", (int)strlen(text) - 1, text);
}

int rfc2136_read(const struct rfc2136_message *query, const struct tsig_key *k, const char *name, int64_t now,
		 const unsigned char *wire, size_t len, struct rfc2136_answer *ret, struct err *reterr)
{
	_cleanup_(ldns_pkt_freep) ldns_pkt *p = NULL;
	struct rfc2136_answer a = { 0 };
	int r = 0;

	if (len < DNSWIRE_HEADER_LEN || !is_well_formed(wire, len) ||
	    ldns_wire2pkt(&p, wire, len) != LDNS_STATUS_OK)
		return err_set(reterr, -EBADMSG, "the answer is not a DNS message");
	if (memcmp(wire, query->wire, 2) != 0 || !ldns_pkt_qr(p) || ((wire[2] ^ query->wire[2]) & 0x78) != 0)
		return err_set(reterr, -EBADMSG, "the answer belongs to another message");
	a.rcode = ldns_pkt_get_rcode(p);
	r = read_tsig(query, k, now, p, wire, len, &a, reterr);
	if (r < 0)
		return r;
	if (name)
		read_soa(p, name, &a);
	*ret = a;
	return 0;
}
