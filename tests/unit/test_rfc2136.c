/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic updates against a server in the test: it checks every message with ldns, and seals its answers with OpenSSL's HMAC
 * itself, so that signer and verifier are not the same code. */
#include "daemon/dcv/rfc2136.h"

#include "common/clock.h"
#include "tests/unit/dns_server.h"

#undef OPENSSL_NO_DEPRECATED
#include <ldns/ldns.h>
#include <openssl/evp.h>

#define SECRET "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
#define NAME   "_dnsauth.www.example.test"

enum seal { SEAL_NONE, SEAL_GOOD, SEAL_WRONG, SEAL_EMPTY, SEAL_LATE, SEAL_OTHER_NAME, SEAL_OTHER_ALGORITHM };

/* What follows belongs to the test, but while the loop runs to the server's thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What the server says. */
static struct {
	unsigned rcode;
	unsigned tsig_error;
	enum seal seal;
	int64_t clock_ahead_s; /* of BADTIME */
	bool truncate;	       /* over UDP */
	bool update_only;      /* SOA questions are answered by zone */
	const char *soa_owner; /* of SOA answers; NULL: REFUSED */
	bool alias, referral;
	const unsigned char *raw; /* instead of all that; the id is put in */
	size_t raw_len;
} say;

static struct {
	int n_soa, n_updates;
	char update[6000]; /* the last one, as ldns prints it */
	char zone[256];
	bool verified;
} got;

/* --- the server ------------------------------------------------------------------------------------ */

struct out {
	unsigned char data[2048];
	size_t len;
};

static void put(struct out *o, const void *data, size_t len)
{
	if (len > 0)
		memcpy(o->data + o->len, data, len);
	o->len += len;
}

static void put_number(struct out *o, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0)
		o->data[o->len++] = (unsigned char)(n >> (8 * bytes));
}

static void put_name(struct out *o, const char *name)
{
	for (const char *p = name; *p; p += *p == '.') {
		size_t n = strcspn(p, ".");

		put_number(o, n, 1);
		put(o, p, n);
		p += n;
	}
	put_number(o, 0, 1);
}

static void put_record(struct out *o, const char *owner, unsigned type, const char *target)
{
	struct out rdata = { .len = 0 };

	put_name(&rdata, target);
	if (type == 6) { /* SOA */
		put_name(&rdata, "h.test");
		put(&rdata, (const char[20]){ 0 }, 20);
	}
	put_name(o, owner);
	put_number(o, type, 2);
	put_number(o, 1, 2);
	put_number(o, 60, 4);
	put_number(o, rdata.len, 2);
	put(o, rdata.data, rdata.len);
}

/* RFC 8945 section 4.2 and 4.3, for HMAC-SHA256. */
static void put_tsig(struct out *o, const ldns_rdf *query_mac, uint64_t query_time)
{
	unsigned char key[64];
	unsigned char mac[32] = { 0 };
	struct out digest = { .len = 0 };
	struct out other = { .len = 0 };
	uint64_t at = (uint64_t)clock_now() - (say.seal == SEAL_LATE ? 400 : 0);
	const char *algorithm = say.seal == SEAL_OTHER_ALGORITHM ? "hmac-sha1" : "hmac-sha256";
	const char *name = say.seal == SEAL_OTHER_NAME ? "other" : "upd";
	bool sealed = say.seal != SEAL_EMPTY;

	if (say.tsig_error == 18) {
		put_number(&other, query_time + (uint64_t)say.clock_ahead_s, 6);
		at = query_time;
	}
	assert_int_equal(EVP_DecodeBlock(key, (const unsigned char *)SECRET, 44),
			 33); /* with one of padding */
	put(&digest, ldns_rdf_data(query_mac), ldns_rdf_size(query_mac));
	put(&digest, o->data, o->len);
	put_name(&digest, name);
	put_number(&digest, 255, 2);
	put_number(&digest, 0, 4);
	put_name(&digest, algorithm);
	put_number(&digest, at, 6);
	put_number(&digest, 300, 2);
	put_number(&digest, say.tsig_error, 2);
	put_number(&digest, other.len, 2);
	put(&digest, other.data, other.len);
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, digest.data, digest.len, mac,
				  sizeof mac, NULL));
	mac[5] = (unsigned char)(mac[5] ^ (say.seal == SEAL_WRONG));
	put_name(o, name);
	put_number(o, 250, 2);
	put_number(o, 255, 2);
	put_number(o, 0, 4);
	put_number(o, strlen(algorithm) + 2 + 16 + (sealed ? sizeof mac : 0) + other.len, 2);
	put_name(o, algorithm);
	put_number(o, at, 6);
	put_number(o, 300, 2);
	put_number(o, sealed ? sizeof mac : 0, 2);
	put(o, mac, sealed ? sizeof mac : 0);
	put(o, o->data, 2);
	put_number(o, say.tsig_error, 2);
	put_number(o, other.len, 2);
	put(o, other.data, other.len);
	o->data[11]++; /* ARCOUNT */
}

static void put_soa_answer(struct out *o, const char *asked)
{
	bool apex = say.soa_owner && strcmp(asked, say.soa_owner) == 0;
	size_t n = strlen(asked);
	size_t m = say.soa_owner ? strlen(say.soa_owner) : 0;
	bool within = say.soa_owner && n >= m && strcmp(asked + n - m, say.soa_owner) == 0;

	if (say.referral) {
		put_record(o, asked, 2, "ns.elsewhere.test");
		o->data[9] = 1;
	} else if (!within) {
		o->data[3] = 5;
	} else if (say.alias && !apex) {
		o->data[2] |= 0x04;
		put_record(o, asked, 5, "x.test");
		put_record(o, "test", 6, "ns.test");
		o->data[7] = 1;
		o->data[9] = 1;
	} else {
		o->data[2] |= 0x04;
		o->data[3] = apex ? 0 : 3;
		put_record(o, say.soa_owner, 6, "ns.test");
		o->data[apex ? 7 : 9] = 1;
	}
}

static void without_dot(char *s)
{
	s[strlen(s) - 1] = '\0';
}

static void note_message(ldns_pkt *p, const unsigned char *q, size_t len)
{
	ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(p), 0);
	char *zone = ldns_rdf2str(ldns_rr_owner(question));
	char *update = ldns_rr_list2str(ldns_pkt_authority(p));

	without_dot(zone);
	(void)snprintf(got.zone, sizeof got.zone, "%s", zone);
	(void)snprintf(got.update, sizeof got.update, "%s", update);
	got.verified = ldns_pkt_tsig_verify(p, q, len, "upd", SECRET, NULL) && ldns_pkt_qdcount(p) == 1 &&
		       ldns_rr_get_type(question) == LDNS_RR_TYPE_SOA &&
		       ldns_rr_get_class(question) == LDNS_RR_CLASS_IN && ldns_pkt_ancount(p) == 0 &&
		       !ldns_pkt_rd(p) && !ldns_pkt_qr(p);
	free(zone);
	free(update);
}

static void answer_locked(const struct peer *peer, const unsigned char *q, size_t len)
{
	struct out o = { .len = 0 };
	ldns_pkt *p = NULL;
	bool soa = false;
	uint64_t query_time = 0;

	if (ldns_wire2pkt(&p, q, len) != LDNS_STATUS_OK || !ldns_pkt_tsig(p)) {
		got.verified = false;
		return;
	}
	soa = ldns_pkt_get_opcode(p) == LDNS_PACKET_QUERY;
	note_message(p, q, len);
	got.n_soa += soa;
	got.n_updates += !soa;
	for (size_t i = 0; i < 6; i++)
		query_time = query_time << 8 | ldns_rdf_data(ldns_rr_rdf(ldns_pkt_tsig(p), 1))[i];
	if (say.raw) {
		put(&o, say.raw, say.raw_len);
		memcpy(o.data, q, 2);
		o.data[2] = (unsigned char)((q[2] & 0x78) | 0x80);
	} else {
		put(&o, q, 4);
		put(&o, "\0\0\0\0\0\0\0\0", 8);
		o.data[2] |= 0x80;
		if (say.truncate && !peer->tcp)
			o.data[2] |= 0x02;
		if (soa && say.update_only)
			put_soa_answer(&o, got.zone);
		else
			o.data[3] = (unsigned char)say.rcode;
		if (say.seal != SEAL_NONE)
			put_tsig(&o, ldns_rr_rdf(ldns_pkt_tsig(p), 3), query_time);
	}
	peer_send(peer, o.data, o.len);
	ldns_pkt_free(p);
}

static void answer(const struct peer *peer, const unsigned char *q, size_t len)
{
	(void)pthread_mutex_lock(&lock);
	answer_locked(peer, q, len);
	(void)pthread_mutex_unlock(&lock);
}

/* --- the client ------------------------------------------------------------------------------------ */

struct seen {
	struct rfc2136_call *call;
	int n;
	struct outcome o;
};

static struct loop *loop;
static struct timer *guard;
static struct tsig_key key;
static char server[64];

static void done(const struct outcome *o, void *owner)
{
	struct seen *s = owner;

	rfc2136_cancel(&s->call); /* of the call that is being told: allowed, does nothing */
	s->n++;
	s->o = *o;
	loop_stop(loop);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no answer within 8 s");
}

static int setup(_unused_ void **state)
{
	(void)pthread_mutex_lock(&lock);
	memset(&say, 0, sizeof say);
	memset(&got, 0, sizeof got);
	say.seal = SEAL_GOOD;
	dns.answer = answer;
	dns_server_start();
	(void)snprintf(server, sizeof server, "127.0.0.1:%u", dns.port);
	key = (struct tsig_key){ .name = "upd", .algorithm = "hmac-sha256" };
	key.secret = secret_new(SECRET, strlen(SECRET));
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 8000);
	return 0;
}

static int teardown(_unused_ void **state)
{
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	(void)pthread_mutex_unlock(&lock);
	dns_server_stop();
	tsig_key_done(&key);
	return 0;
}

static struct rfc2136_update txt(bool add)
{
	return (struct rfc2136_update){ .server = server,
					.zone = "example.test",
					.key = &key,
					.add = add,
					.fqdn = NAME,
					.type = RFC2136_TXT,
					.value = "first token",
					.ttl = 60 };
}

static void update(struct seen *s, struct rfc2136_update u)
{
	memset(s, 0, sizeof *s);
	rfc2136_start(loop, &u, done, s, &s->call);
	assert_int_equal(s->n, 0);
	(void)pthread_mutex_unlock(&lock);
	loop_run(loop);
	(void)pthread_mutex_lock(&lock);
	assert_int_equal(s->n, 1);
	assert_null(strstr(s->o.message, "0XIy"));
}

static void expect(const struct seen *s, enum fault fault, const char *code, const char *part)
{
	if (s->o.fault != fault || strcmp(s->o.code, code) != 0 || !strstr(s->o.message, part))
		fail_msg("got %s, %s: %s\ninstead of %s, %s, \"%s\"", fault_name(s->o.fault), s->o.code,
			 s->o.message, fault_name(fault), code, part);
	if (fault != FAULT_NONE)
		assert_non_null(strstr(s->o.message, server));
}

static void good(struct rfc2136_update u, const char *want)
{
	struct seen s;

	update(&s, u);
	expect(&s, FAULT_NONE, "", "");
	assert_string_equal(got.update, want);
	assert_true(got.verified);
	assert_string_equal(got.zone, "example.test");
}

static void test_messages(_unused_ void **state)
{
	struct rfc2136_update u = txt(true);
	char value[RFC2136_VALUE_MAX + 2] = "";
	char want[400] = "";

	good(u, NAME ".\t60\tIN\tTXT\t\"first token\"\n");
	good(txt(false), NAME ".\t0\tNONE\tTXT\t\"first token\"\n");
	u.type = RFC2136_CNAME;
	u.value = "x.dcv.example.com";
	good(u, NAME ".\t60\tIN\tCNAME\tx.dcv.example.com.\n");
	u.add = false;
	u.value = "x.dcv.example.com.";
	u.fqdn = NAME ".";
	u.zone = "example.test.";
	good(u, NAME ".\t0\tNONE\tCNAME\tx.dcv.example.com.\n");
	u = txt(true);
	u.fqdn = "example.test";
	u.value = "\"\\;";
	good(u, "example.test.\t60\tIN\tTXT\t\"\\\"\\\\;\"\n");
	u = txt(true);
	memset(value, 'v', 257);
	u.value = value;
	(void)snprintf(want, sizeof want, NAME ".\t60\tIN\tTXT\t\"%.255s\" \"vv\"\n", value);
	good(u, want);
	assert_int_equal(dns.n_tcp, 0);
	/* too long for UDP */
	memset(value, 'v', RFC2136_VALUE_MAX);
	update(&(struct seen){ 0 }, u);
	assert_int_equal(dns.n_tcp, 1);
	assert_true(got.verified);
}

static void test_bad_input(_unused_ void **state)
{
	char value[RFC2136_VALUE_MAX + 2] = "";
	char name[300];
	struct seen s;
	struct rfc2136_update u = txt(true);

	memset(value, 'v', RFC2136_VALUE_MAX + 1);
	memset(name, 'n', sizeof name);
	name[64] = '\0';
	u.value = value;
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "4097");
	u.value = "";
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "1 to 4096 bytes");
	u = txt(true);
	u.zone = "xample.test";
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "is not within zone");
	u.zone = "";
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "is not a DNS name");
	u = txt(true);
	u.zone = NULL;
	u.fqdn = name;
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "is not a DNS name");
	u.fqdn = "a..b";
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "is not a DNS name");
	u = txt(true);
	u.type = RFC2136_CNAME;
	u.value = "a\\.b";
	update(&s, u);
	expect(&s, FAULT_REFUSED, "name", "is not a DNS name");
	assert_int_equal(got.n_soa + got.n_updates, 0);
	u = txt(true);
	u.server = "nonsense";
	memset(&s, 0, sizeof s);
	rfc2136_start(loop, &u, done, &s, &s.call);
	loop_run(loop);
	assert_int_equal(s.o.fault, FAULT_UNSENT);
	assert_string_equal(s.o.code, "address");
}

static void test_errors(_unused_ void **state)
{
	static const struct {
		unsigned rcode, tsig_error;
		enum seal seal;
		enum fault fault;
		const char *code, *part;
	} cases[] = {
		{ 9, 17, SEAL_EMPTY, FAULT_REFUSED, "BADKEY",
		  "zone example.test, add " NAME
		  ": NOTAUTH, TSIG error BADKEY (not signed), key upd: the server does not" },
		{ 9, 17, SEAL_GOOD, FAULT_REFUSED, "BADKEY", "BADKEY, key upd" },
		{ 9, 16, SEAL_EMPTY, FAULT_REFUSED, "BADSIG", "another secret" },
		{ 9, 22, SEAL_GOOD, FAULT_REFUSED, "BADTRUNC", "hmac-sha256" },
		{ 9, 99, SEAL_GOOD, FAULT_REFUSED, "TSIG99", "NOTAUTH, TSIG error TSIG99" },
		{ 9, 0, SEAL_GOOD, FAULT_REFUSED, "NOTAUTH", "not the primary" },
		{ 5, 0, SEAL_GOOD, FAULT_REFUSED, "REFUSED", "REFUSED, key upd: its rules" },
		{ 5, 0, SEAL_NONE, FAULT_REFUSED, "REFUSED", "REFUSED (not signed)" },
		{ 5, 0, SEAL_WRONG, FAULT_REFUSED, "REFUSED", "REFUSED (with a wrong signature)" },
		{ 10, 0, SEAL_GOOD, FAULT_REFUSED, "NOTZONE", "not in the zone" },
		{ 4, 0, SEAL_GOOD, FAULT_REFUSED, "NOTIMP", "dynamic updates" },
		{ 1, 0, SEAL_NONE, FAULT_REFUSED, "FORMERR", "dynamic updates" },
		{ 3, 0, SEAL_GOOD, FAULT_REFUSED, "NXDOMAIN", "log" },
		{ 15, 0, SEAL_GOOD, FAULT_REFUSED, "RCODE15", "log" },
		{ 2, 0, SEAL_GOOD, FAULT_UNCLEAR, "SERVFAIL", "journal" },
		{ 2, 0, SEAL_NONE, FAULT_UNCLEAR, "SERVFAIL", "not signed" },
		{ 0, 17, SEAL_GOOD, FAULT_REFUSED, "BADKEY", "NOERROR, TSIG error BADKEY" },
		/* nothing of this is success */
		{ 0, 0, SEAL_NONE, FAULT_UNCLEAR, "unsigned", "NOERROR (not signed), which is not believed" },
		{ 0, 0, SEAL_EMPTY, FAULT_UNCLEAR, "unsigned", "not believed" },
		{ 0, 0, SEAL_WRONG, FAULT_UNCLEAR, "bad-signature", "wrong signature" },
		{ 0, 0, SEAL_LATE, FAULT_UNCLEAR, "bad-signature", "wrong signature" },
		{ 0, 0, SEAL_OTHER_NAME, FAULT_UNCLEAR, "bad-signature", "wrong signature" },
		{ 0, 0, SEAL_OTHER_ALGORITHM, FAULT_UNCLEAR, "bad-signature", "wrong signature" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen s;

		say.rcode = cases[i].rcode;
		say.tsig_error = cases[i].tsig_error;
		say.seal = cases[i].seal;
		update(&s, txt(true));
		expect(&s, cases[i].fault, cases[i].code, cases[i].part);
	}
}

static void test_clocks(_unused_ void **state)
{
	struct seen s;

	say.rcode = 9;
	say.tsig_error = 18;
	say.clock_ahead_s = 600;
	update(&s, txt(true));
	expect(&s, FAULT_REFUSED, "BADTIME", "BADTIME, key upd: the server's clock is 10m ahead of ours");
	say.clock_ahead_s = -7265;
	update(&s, txt(false));
	expect(&s, FAULT_REFUSED, "BADTIME", "delete " NAME);
	expect(&s, FAULT_REFUSED, "BADTIME", "is 2h 1m behind ours");
}

static void test_truncated(_unused_ void **state)
{
	struct seen s;

	say.truncate = true;
	update(&s, txt(true));
	expect(&s, FAULT_NONE, "", "");
	assert_int_equal(dns.n_tcp, 1);
	assert_int_equal(got.n_updates, 2);
}

static void test_hostile(_unused_ void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} cases[] = {
#define RAW(s)	{ s, sizeof(s) - 1 }
#define H(rest) RAW("iixx" rest)
#define TSIG	"\0\0\xfa\0\xff\0\0\0\0\0\x11\0\0\0\0\0\0\0\x01\x2c\0\0\0\0\0\0\0\0"
#define OPT	"\0\0\x29\x04\0\0\0\0\0\0\0"
		H("\0\0\0\0\0\0\0\0trailing"),
		H("\xff\xff\xff\xff\xff\xff\xff\xff"),
		H("\0\1\0\0\0\0\0\0\xc0\x0c\0\6\0\1"),
		H("\0\1\0\0\0\0\0\0\x3f"),
		H("\0\1\0\0\0\0\0\0\x80\0\0\6\0\1"),
		H("\0\0\0\1\0\0\0\0\0\0\6\0\1\0\0\0\0\xff\xff"),
		H("\0\0\0\0\0\0\0\2" TSIG TSIG),
		H("\0\0\0\1\0\0\0\0" TSIG),
		H("\0\0\0\0\0\0\0\2" TSIG OPT),
		H("\0\0\0\0\0\0\0\2" OPT OPT),
		H("\0\0\0\0\0\0\0\1\0\0\xfa\0\xff\0\0\0\0\0\0"),
	};
	struct seen s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		say.raw = (const unsigned char *)cases[i].data;
		say.raw_len = cases[i].len;
		update(&s, txt(true));
		expect(&s, FAULT_UNCLEAR, "garbage", "the answer");
	}
}

/* --- the zone -------------------------------------------------------------------------------------- */

static void find(struct seen *s, const char *zone, int n_soa)
{
	struct rfc2136_update u = txt(true);

	memset(&got, 0, sizeof got);
	u.zone = NULL;
	say.update_only = true;
	update(s, u);
	if (zone) {
		expect(s, FAULT_NONE, "", "");
		assert_string_equal(got.zone, zone);
		assert_true(got.verified);
	}
	assert_int_equal(got.n_soa, n_soa);
	assert_int_equal(got.n_updates, zone ? 1 : 0);
}

static void test_zone(_unused_ void **state)
{
	struct seen s;

	say.soa_owner = "example.test";
	find(&s, "example.test", 1);
	say.soa_owner = NAME;
	find(&s, NAME, 1);
	/* the authority section speaks of the alias's zone */
	say.alias = true;
	say.soa_owner = "example.test";
	find(&s, "example.test", 3);
	say.alias = false;
	say.soa_owner = "nowhere.test";
	find(&s, NULL, 4);
	expect(&s, FAULT_REFUSED, "no-zone", "last answer was REFUSED");
	say.referral = true;
	find(&s, NULL, 1);
	expect(&s, FAULT_REFUSED, "no-zone", "delegated to other servers");
	say.referral = false;
	say.soa_owner = "example.test";
	say.seal = SEAL_NONE;
	find(&s, NULL, 1);
	expect(&s, FAULT_UNCLEAR, "unsigned", "search for the zone of " NAME ": NXDOMAIN (not signed)");
	say.tsig_error = 16;
	say.seal = SEAL_EMPTY;
	find(&s, NULL, 1);
	expect(&s, FAULT_REFUSED, "BADSIG", "search for the zone of " NAME);
	/* PowerDNS, whatever is wrong with the signature */
	say.tsig_error = 0;
	say.seal = SEAL_NONE;
	say.update_only = false;
	say.rcode = 9;
	update(&s, (struct rfc2136_update){
			   .server = server, .key = &key, .add = true, .fqdn = NAME, .value = "t" });
	expect(&s, FAULT_REFUSED, "NOTAUTH", "NOTAUTH (not signed), key upd: it does not accept the key");
}

static void test_cancel(_unused_ void **state)
{
	struct rfc2136_update u = txt(true);
	struct seen s[3] = { { 0 } };
	struct seen last;

	rfc2136_start(loop, &u, done, &s[0], &s[0].call);
	u.fqdn = "";
	rfc2136_start(loop, &u, done, &s[1], &s[1].call);
	u.server = "nonsense";
	rfc2136_start(loop, &u, done, &s[2], &s[2].call);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		rfc2136_cancel(&s[i].call);
		assert_null(s[i].call);
		rfc2136_cancel(&s[i].call);
	}
	update(&last, txt(true));
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		assert_int_equal(s[i].n, 0);
}

static void test_sha512(_unused_ void **state)
{
	struct rfc2136_update u = txt(true);
	struct rfc2136_message m = { 0 };
	struct err err = ERR_INIT;
	ldns_pkt *p = NULL;

	(void)snprintf(key.algorithm, sizeof key.algorithm, "hmac-sha512");
	assert_int_equal(rfc2136_make_update(&u, "example.test", 7, &m, &err), 0);
	assert_int_equal(m.mac_len, 66);
	assert_int_equal(ldns_wire2pkt(&p, m.wire, m.len), LDNS_STATUS_OK);
	assert_true(ldns_pkt_tsig_verify(p, m.wire, m.len, "upd", SECRET, NULL));
	ldns_pkt_free(p);
	free(m.wire);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_messages), T(test_bad_input), T(test_errors), T(test_clocks), T(test_truncated),
		T(test_hostile),  T(test_zone),	     T(test_cancel), T(test_sha512),
	};

	return cmocka_run_group_tests_name("rfc2136", tests, NULL, NULL);
}
