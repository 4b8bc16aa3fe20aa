/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of DNS records by real programs and with real name servers (Knot and BIND, skipped where they are not installed). */
#include "daemon/dcv/records.h"

#include "common/fs.h"
#include "common/mem.h"
#include "daemon/dcv/rfc2136.h"
#include "tests/unit/real_dns.h"

#define LONG_MS 60000

static struct loop *loop;
static struct records *records;
static struct timer *guard;
static char dir[48], hook[64];
static const char *const command[] = { hook, NULL };
static struct cfg_dns_provider one, two;

struct seen {
	struct records_call *call;
	int n;
	struct outcome o;
};

static int n_running; /* calls */

static void on_done(const struct outcome *o, void *owner)
{
	struct seen *s = owner;

	s->n++;
	s->o = *o;
	s->call = NULL;
	if (--n_running == 0)
		loop_stop(loop);
}

static void start(struct seen *s, const struct records_item *items, size_t n, bool present)
{
	memset(s, 0, sizeof *s);
	n_running++;
	records_start(records, items, n, present, "www.example.jp", on_done, s, &s->call);
	assert_int_equal(s->n, 0);
}

static void expect(const struct seen *s, enum fault fault, const char *code, const char *part)
{
	assert_int_equal(s->n, 1);
	if (s->o.fault != fault || strcmp(s->o.code, code) != 0 || !strstr(s->o.message, part))
		fail_msg("got %s, %s: %s\ninstead of %s, %s, \"%s\"", fault_name(s->o.fault), s->o.code,
			 s->o.message, fault_name(fault), code, part);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no end within 60 s");
}

static void begin(void)
{
	n_running = 0;
	assert_int_equal(loop_new(&loop, NULL), 0);
	records = records_new(loop);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, LONG_MS);
}

static void finish(void)
{
	records_free(records);
	timer_free(guard);
	assert_int_equal(loop_drain(loop, LONG_MS), 0);
	loop_free(loop);
}

/* --- programs --------------------------------------------------------------------------------------- */

static int setup_hook(_unused_ void **state)
{
	(void)snprintf(dir, sizeof dir, "/tmp/test_records.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(hook, sizeof hook, "%s/hook", dir);
	one = (struct cfg_dns_provider){
		.name = "one", .type = CFG_DNS_EXEC, .command = command, .timeout = 60
	};
	two = one;
	two.name = "two";
	begin();
	return 0;
}

static int teardown_hook(_unused_ void **state)
{
	finish();
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_hook(const char *body)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\n"
					      "d=${0%%/*}\n%s\n",
					      body);
	_cleanup_close_ int fd = open(hook, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void start_values(struct seen *s, const struct cfg_dns_provider *p, const char *const *values,
			 size_t n)
{
	struct records_item items[32];

	assert_true(n <= ARRAY_SIZE(items));
	for (size_t i = 0; i < n; i++)
		items[i] = (struct records_item){ p, "_dnsauth.example.jp", false, values[i] };
	start(s, items, n, true);
}

static void check_file(const char *name, const char *want)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[1024] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof text - 1) >= 0);
	assert_string_equal(text, want);
}

/* As hooks do that change a zone: two at once would fail, or lose a value. */
static void test_never_two(_unused_ void **state)
{
	const char *const values[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
	struct seen s[2];

	make_hook("mkdir $d/lock || exit 9\n"
		  "[ ! -f $d/zone ] || cat $d/zone >$d/new\n"
		  "printf %s $3 >>$d/new\n"
		  "mv $d/new $d/zone\n"
		  "rmdir $d/lock");
	start_values(&s[0], &one, values, 10);
	start_values(&s[1], &one, values, 10);
	loop_run(loop);
	expect(&s[0], FAULT_NONE, "", "");
	expect(&s[1], FAULT_NONE, "", "");
	check_file("zone", "01234567890123456789");
}

/* Each waits for the other. */
static void test_providers_side_by_side(_unused_ void **state)
{
	const char *const writes = "w";
	const char *const reads = "r";
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	struct seen s[2];

	assert_int_equal(mkfifo(fifo, 0600), 0);
	make_hook("if [ $3 = w ]; then echo x >$d/fifo; else read x <$d/fifo; fi");
	start_values(&s[0], &one, &writes, 1);
	start_values(&s[1], &two, &reads, 1);
	loop_run(loop);
	expect(&s[0], FAULT_NONE, "", "");
	expect(&s[1], FAULT_NONE, "", "");
}

static void test_ends(_unused_ void **state)
{
	const char *const values[] = { "good", "later", "bad", "good", "end" };
	struct seen s;

	make_hook("printf '%s ' $3 >>$d/log\n"
		  "case $3 in\n"
		  "later) echo busy; exit 75 ;;\n"
		  "bad) echo no; exit 1 ;;\n"
		  "esac");
	start_values(&s, &one, values, 5);
	loop_run(loop);
	expect(&s, FAULT_UNCLEAR, "exec",
	       "DNS provider one, TXT record _dnsauth.example.jp (and 1 more of 4 failed): ");
	expect(&s, FAULT_UNCLEAR, "exec", "asks to be called again later: busy");
	check_file("log", "good later bad end ");
	start_values(&s, &one, values + 2, 1);
	loop_run(loop);
	expect(&s, FAULT_UNCLEAR, "exec", " present failed with exit code 1: no");
}

/* The next of the same provider has its turn afterwards. */
static void test_hang(_unused_ void **state)
{
	struct cfg_dns_provider hasty = one;
	const struct records_item items[] = {
		{ &hasty, "_dnsauth.example.jp", false, "hang" },
		{ &one, "_dnsauth.example.jp", false, "good" },
	};
	struct seen s;

	hasty.timeout = 1;
	make_hook("[ $3 != hang ] || exec sleep 1000\n"
		  "printf %s $3 >>$d/log");
	start(&s, items, 2, true);
	loop_run(loop);
	expect(&s, FAULT_UNCLEAR, "exec", " did not end within 1 s");
	check_file("log", "good");
}

/* Nothing of the program's last words is cut off, though the record stands in front. */
static void test_long_output(_unused_ void **state)
{
	const char *const value = "v";
	struct seen s;
	size_t len = 0;

	make_hook("seq 1 9999 | tr '\\n' ' '; echo 'the reason'; exit 1");
	start_values(&s, &one, &value, 1);
	loop_run(loop);
	expect(&s, FAULT_UNCLEAR, "exec", "DNS provider one, TXT record _dnsauth.example.jp: ");
	len = strlen(s.o.message);
	assert_string_equal(s.o.message + len - 15, "9999 the reason");
}

/* The one that runs is killed, and the next in the queue starts. */
static void test_cancel_running(_unused_ void **state)
{
	const char *const values[] = { "hang", "never" };
	const char *const good = "good";
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	struct seen s[2];
	char text[4] = "";
	int fd = -1;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	make_hook("[ $3 != hang ] || { echo x >$d/fifo; sleep 1000; }\nprintf %s $3 >>$d/log");
	start_values(&s[0], &one, values, 2);
	start_values(&s[1], &one, &good, 1);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text), 2); /* it runs */
	close(fd);
	records_cancel(&s[0].call);
	assert_null(s[0].call);
	n_running--;
	loop_run(loop);
	expect(&s[1], FAULT_NONE, "", "");
	assert_int_equal(s[0].n, 0);
	check_file("log", "good");
}

static void test_free_running(_unused_ void **state)
{
	const char *const values[] = { "a", "b" };
	struct seen s;

	make_hook("exec sleep 1000");
	start_values(&s, &one, values, 2);
	records_free(records);
	records = records_new(loop);
	timer_clear(guard);
	assert_int_equal(loop_drain(loop, 10000), 1); /* the guard is left */
	assert_int_equal(s.n, 0);
}

/* --- name servers ----------------------------------------------------------------------------------- */

#define N_VALUES 20

static struct tsig_key key;

static int setup_server(void **state)
{
	open_folder(*state);
	if (folder[0] == '\0')
		return 0;
	key = (struct tsig_key){ .name = "upd.keys.example.test", .algorithm = "hmac-sha256" };
	key.secret = secret_new(SECRET, strlen(SECRET));
	one = (struct cfg_dns_provider){
		.name = "one", .type = CFG_DNS_RFC2136, .server = server, .tsig_key = &key, .ttl = 60
	};
	begin();
	return 0;
}

static int teardown_server(_unused_ void **state)
{
	if (folder[0] == '\0')
		return 0;
	finish();
	tsig_key_done(&key);
	close_folder();
	return 0;
}

static void run(struct seen *s, const struct records_item *items, size_t n, bool present)
{
	start(s, items, n, present);
	loop_run(loop);
}

/* How many TXT records ALLOWED has, and whether this value is among them. */
static unsigned count(const char *value, bool *has)
{
	unsigned char buf[4096];
	size_t n = ask_txt(ALLOWED, buf, sizeof buf);

	assert_true(n >= 12);
	*has = memmem(buf + 12, n - 12, value, strlen(value)) != NULL;
	return (unsigned)buf[6] << 8 | buf[7];
}

static void expect_records(unsigned n, const char *value, bool want)
{
	bool has = false;

	assert_int_equal(count(value, &has), n);
	assert_int_equal(has, want);
}

/* All at one name, beside what somebody else has there. */
static void check_many(void)
{
	const struct records_item foreign = { &one, ALLOWED, false, "of somebody else" };
	struct records_item items[N_VALUES];
	char values[N_VALUES][32];
	struct seen s;

	for (size_t i = 0; i < N_VALUES; i++) {
		(void)snprintf(values[i], sizeof values[i], "<value %zu>", i);
		items[i] = (struct records_item){ &one, ALLOWED, false, values[i] };
	}
	run(&s, &foreign, 1, true);
	expect(&s, FAULT_NONE, "", "");
	for (unsigned twice = 0; twice < 2; twice++) {
		run(&s, items, N_VALUES, true);
		expect(&s, FAULT_NONE, "", "");
		for (size_t i = 0; i < N_VALUES; i++)
			expect_records(N_VALUES + 1, values[i], true);
	}
	for (size_t i = 0; i < N_VALUES; i++) {
		run(&s, &items[i], 1, false);
		expect(&s, FAULT_NONE, "", "");
		expect_records((unsigned)(N_VALUES - i), values[i], false);
		expect_records((unsigned)(N_VALUES - i), "of somebody else", true);
	}
	run(&s, items, N_VALUES, true);
	run(&s, items, N_VALUES, false); /* and all at once */
	expect(&s, FAULT_NONE, "", "");
	run(&s, items, N_VALUES, false);
	expect(&s, FAULT_NONE, "", "");
	expect_records(1, "of somebody else", true);
	run(&s, &foreign, 1, false);
	expect(&s, FAULT_NONE, "", "");
	expect_records(0, "of somebody else", false);
}

static void check_forbidden_second(void)
{
	const struct records_item items[] = {
		{ &one, ALLOWED, false, "first" },
		{ &one, "_dnsauth.mail.example.test", false, "second" },
		{ &one, ALLOWED, false, "third" },
	};
	struct seen s;

	run(&s, items, 3, true);
	expect(&s, FAULT_REFUSED, kind->forbidden, "DNS provider one: DNS server 127.0.0.1:");
	expect(&s, FAULT_REFUSED, kind->forbidden, "_dnsauth.mail.example.test");
	expect_records(2, "first", true);
	expect_records(2, "third", true);
	run(&s, items, 3, false);
	expect_records(0, "first", false);
}

/* What a second CNAME, and a TXT record beside one, do: the facts in records.h. */
static void check_cname(void)
{
	const struct records_item first = { &one, ALLOWED, true, "one.dcv.example.com" };
	const struct records_item second = { &one, ALLOWED, true, "two.dcv.example.com" };
	const struct records_item txt = { &one, ALLOWED, false, "dropped" };
	struct seen s;

	run(&s, &first, 1, true);
	run(&s, &second, 1, true);
	expect(&s, FAULT_NONE, "", "");
	expect_records(1, "\3one\3dcv", false);
	expect_records(1, "\3two\3dcv", true);
	run(&s, &txt, 1, true);
	expect(&s, FAULT_NONE, "", "");
	expect_records(1, "dropped", false);
	run(&s, &first, 1, false); /* is not there: the other one stays */
	expect(&s, FAULT_NONE, "", "");
	expect_records(1, "\3two\3dcv", true);
	run(&s, &second, 1, false);
	expect(&s, FAULT_NONE, "", "");
	expect_records(0, "\3two\3dcv", false);
}

static void test_server(_unused_ void **state)
{
	if (folder[0] == '\0')
		skip();
	start_server();
	check_many();
	check_forbidden_second();
	check_cname();
}

static void *as_state(const struct kind *k)
{
	return (void *)(uintptr_t)k;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_hook, teardown_hook)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_never_two),
		TEST(test_providers_side_by_side),
		TEST(test_ends),
		TEST(test_hang),
		TEST(test_long_output),
		TEST(test_cancel_running),
		TEST(test_free_running),
		{ "knot", test_server, setup_server, teardown_server, as_state(&knot) },
		{ "bind", test_server, setup_server, teardown_server, as_state(&bind9) },
	};

	return cmocka_run_group_tests_name("records_real", tests, NULL, NULL);
}
