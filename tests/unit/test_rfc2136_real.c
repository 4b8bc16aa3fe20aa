/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic updates against Knot and BIND. Each is skipped where it is not installed. */
#include "daemon/dcv/rfc2136.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/real_dns.h"

#define WRONG "AAAAUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="

static struct loop *loop;
static struct timer *guard;

/* --- clock ----------------------------------------------------------------------------------------- */

static int64_t clock_shift_s;

/* ldns takes the time of its signatures from here, as the first definition in the program wins. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts = { 0 };

	(void)tz;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec + clock_shift_s;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no end within 60 s");
}

static int setup(void **state)
{
	open_folder(*state);
	if (folder[0] == '\0')
		return 0;
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 60000);
	return 0;
}

static int teardown(_unused_ void **state)
{
	if (folder[0] == '\0')
		return 0;
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	close_folder();
	return 0;
}

/* --- the test -------------------------------------------------------------------------------------- */

static void done(const struct outcome *o, void *owner)
{
	*(struct outcome *)owner = *o;
	loop_stop(loop);
}

static void expect(struct rfc2136_update u, const char *key_name, const char *secret, enum fault fault,
		   const char *code)
{
	struct tsig_key k = { .algorithm = "hmac-sha256" };
	struct outcome o = { .fault = FAULT_NR };
	struct rfc2136_call *call = NULL;

	(void)snprintf(k.name, sizeof k.name, "%s", key_name);
	if (strcmp(key_name, "strong") == 0)
		(void)snprintf(k.algorithm, sizeof k.algorithm, "hmac-sha512");
	k.secret = secret_new(secret, strlen(secret));
	u.server = server;
	u.key = &k;
	u.ttl = 60;
	rfc2136_start(loop, &u, done, &o, &call);
	loop_run(loop);
	tsig_key_done(&k);
	if (o.fault != fault || strcmp(o.code, code) != 0)
		fail_msg("%s: got %s, %s: %s\ninstead of %s, %s", kind->name, fault_name(o.fault), o.code,
			 o.message, fault_name(fault), code);
	if (fault != FAULT_NONE)
		(void)printf("  %s: %s\n", kind->name, o.message);
}

static void good(bool add, const char *value, const char *zone)
{
	const struct rfc2136_update u = { .add = add, .fqdn = ALLOWED, .value = value, .zone = zone };

	expect(u, "upd.keys.example.test", SECRET, FAULT_NONE, "");
}

static void has(const char *value, bool want)
{
	unsigned char buf[4096];
	size_t n = ask_txt(ALLOWED, buf, sizeof buf);

	assert_true(n > 12);
	assert_int_equal(memmem(buf, n, value, strlen(value)) != NULL, want);
}

static void check_good(void)
{
	char longer[301] = "";

	good(true, "first-token", "example.test");
	good(true, "second token with spaces", NULL);
	good(true, "second token with spaces", NULL); /* once more: no harm */
	has("first-token", true);
	has("second token with spaces", true);
	good(false, "first-token", NULL);
	has("first-token", false);
	has("second token with spaces", true);
	good(false, "never there", NULL);
	memset(longer, 'v', 300);
	good(true, longer, NULL);
	has("vvvvv", true);
	good(false, longer, NULL);
	has("vvvvv", false);
	expect((struct rfc2136_update){ .add = true, .fqdn = ALLOWED, .value = "by sha512" }, "strong",
	       SECRET, FAULT_NONE, "");
	has("by sha512", true);
	has("second token with spaces", true);
	good(false, "by sha512", NULL);
	good(false, "second token with spaces", NULL);
	expect(
		(struct rfc2136_update){
			.add = true, .fqdn = ALLOWED, .type = RFC2136_CNAME, .value = "x.dcv.example.com" },
		"upd.keys.example.test", SECRET, FAULT_NONE, "");
	has("\3dcv\7example\3com", true);
	expect((struct rfc2136_update){ .fqdn = ALLOWED,
					.type = RFC2136_CNAME,
					.value = "x.dcv.example.com." },
	       "upd.keys.example.test", SECRET, FAULT_NONE, "");
	has("\3dcv\7example\3com", false);
}

static void check_refused(void)
{
	const struct rfc2136_update u = {
		.add = true, .fqdn = ALLOWED, .value = "refused-token", .zone = "example.test"
	};
	struct rfc2136_update other = u;

	expect(u, "upd.keys.example.test", WRONG, FAULT_REFUSED, kind->wrong_key);
	expect(u, "nobody", SECRET, FAULT_REFUSED, "BADKEY");
	other.zone = NULL;
	expect(other, "upd.keys.example.test", WRONG, FAULT_REFUSED, kind->wrong_key);
	other.fqdn = "_dnsauth.mail.example.test";
	expect(other, "upd.keys.example.test", SECRET, FAULT_REFUSED, kind->forbidden);
	other.fqdn = "_dnsauth.www.example.jp";
	expect(other, "upd.keys.example.test", SECRET, FAULT_REFUSED, "no-zone");
	other.fqdn = "_dnsauth.sub.example.test";
	expect(other, "upd.keys.example.test", SECRET, FAULT_REFUSED, "no-zone");
	other.zone = "example.jp";
	other.fqdn = "_dnsauth.www.example.jp";
	expect(other, "upd.keys.example.test", SECRET, FAULT_REFUSED, "NOTAUTH");
	clock_shift_s = -3600;
	expect(u, "upd.keys.example.test", SECRET, FAULT_REFUSED, "BADTIME");
	clock_shift_s = 0;
	has("refused-token", false);
}

static void test_server(_unused_ void **state)
{
	if (folder[0] == '\0')
		skip();
	start_server();
	check_good();
	check_refused();
}

static void *as_state(const struct kind *k)
{
	return (void *)(uintptr_t)k;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "knot", test_server, setup, teardown, as_state(&knot) },
		{ "bind", test_server, setup, teardown, as_state(&bind9) },
	};

	return cmocka_run_group_tests_name("rfc2136_real", tests, NULL, NULL);
}
