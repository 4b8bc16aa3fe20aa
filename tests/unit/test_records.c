/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of DNS records over updates and programs that end when the test says so: what runs beside what, in which order, and
 * what comes out. test_records_real.c has the real ones. */
#include "daemon/dcv/records.h"

#include "common/mem.h"
#include "daemon/dcv/exec.h"
#include "daemon/dcv/rfc2136.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- operations of the test; these definitions win over the library's ------------------------------- */

#define OPS_MAX 256

struct op {
	bool exec;
	char what[640]; /* "provider verb TYPE fqdn value" */
	char provider[32];
	rfc2136_done_fn *done;
	void *owner;
};

/* Under way, in the order of their starts. */
static struct op *ops[OPS_MAX];
static size_t n_ops;
static int n_cancelled, n_started;
static bool in_cancel; /* of the test: nothing may call back */

struct rfc2136_call {
	struct op op;
};

struct exec_call {
	struct op op;
};

static void op_add(struct op *op)
{
	assert_true(n_ops < OPS_MAX);
	ops[n_ops++] = op;
	n_started++;
}

static void op_remove(const struct op *op)
{
	size_t i = 0;

	while (i < n_ops && ops[i] != op)
		i++;
	assert_true(i < n_ops);
	memmove(ops + i, ops + i + 1, (n_ops - i - 1) * sizeof *ops);
	n_ops--;
}

/* The server is "s:PROVIDER", so that an operation knows whose it is. */
void rfc2136_start(_unused_ struct loop *l, const struct rfc2136_update *u, rfc2136_done_fn *done,
		   void *owner, struct rfc2136_call **ret)
{
	struct rfc2136_call *c = xmalloc(sizeof *c);

	assert_ptr_equal(u->key, (const struct tsig_key *)ops); /* see update_provider */
	assert_string_equal(u->zone, "example.jp");
	assert_int_equal(u->ttl, 60);
	c->op.done = done;
	c->op.owner = owner;
	(void)snprintf(c->op.provider, sizeof c->op.provider, "%s", u->server + 2);
	(void)snprintf(c->op.what, sizeof c->op.what, "%s %s %s %s %s", c->op.provider,
		       u->add ? "add" : "delete", u->type == RFC2136_TXT ? "TXT" : "CNAME", u->fqdn,
		       u->value);
	op_add(&c->op);
	*ret = c;
}

void rfc2136_cancel(struct rfc2136_call **c)
{
	struct rfc2136_call *mine = TAKE_PTR(*c);

	if (!mine)
		return;
	op_remove(&mine->op);
	n_cancelled++;
	free(mine);
}

/* The first word of the command is the provider. */
void exec_start(_unused_ struct loop *l, const struct exec_spec *s, exec_done_fn *done, void *owner,
		struct exec_call **ret)
{
	struct exec_call *c = xmalloc(sizeof *c);

	assert_int_equal(s->timeout_s, 30);
	assert_string_equal(s->domain, "www.example.jp");
	c->op.exec = true;
	c->op.done = done;
	c->op.owner = owner;
	(void)snprintf(c->op.provider, sizeof c->op.provider, "%s", s->command[0]);
	(void)snprintf(c->op.what, sizeof c->op.what, "%s %s - %s %s", s->command[0],
		       s->present ? "present" : "cleanup", s->fqdn, s->value);
	op_add(&c->op);
	*ret = c;
}

void exec_cancel(struct exec_call **c)
{
	struct exec_call *mine = TAKE_PTR(*c);

	if (!mine)
		return;
	op_remove(&mine->op);
	n_cancelled++;
	free(mine);
}

static void end_as(size_t i, enum fault fault, const char *code, const char *message)
{
	struct op *op = ops[i];
	struct outcome o = OUTCOME_OK;

	if (fault != FAULT_NONE)
		(void)outcome_set(&o, fault, code, "%s", message);
	o.retry_after = fault == FAULT_THROTTLED ? 7 : 0;
	op_remove(op);
	op->done(&o, op->owner);
	free(op);
}

static void end(size_t i)
{
	end_as(i, FAULT_NONE, "", "");
}

/* --- providers and lists --------------------------------------------------------------------------- */

static struct cfg_dns_provider update_provider(const char *name, const char *server)
{
	return (struct cfg_dns_provider){ .name = name,
					  .type = CFG_DNS_RFC2136,
					  .server = server,
					  .zone = "example.jp",
					  .tsig_key = (const struct tsig_key *)ops,
					  .ttl = 60 };
}

static const char *const hook_a[] = { "a", NULL };
static const char *const hook_b[] = { "b", NULL };
static struct cfg_dns_provider corp, other, exec_a, exec_b;

static struct loop *loop;
static struct records *records;

struct seen {
	struct records_call *call;
	int n;
	struct outcome o;
	bool again; /* starts another one from its callback */
};

static void on_done(const struct outcome *o, void *owner)
{
	struct seen *s = owner;
	bool again = s->again;

	assert_false(in_cancel);
	s->n++;
	s->o = *o;
	records_cancel(&s->call); /* of the call that is being told: allowed, does nothing */
	assert_null(s->call);
	s->again = false;
	if (again) {
		const struct records_item it = { .provider = &exec_a, .fqdn = "again", .value = "v" };

		records_start(records, &it, 1, true, "www.example.jp", on_done, s, &s->call);
	}
}

static void start(struct seen *s, const struct records_item *items, size_t n, bool present)
{
	int before = s->n;

	records_start(records, items, n, present, "www.example.jp", on_done, s, &s->call);
	assert_non_null(s->call);
	assert_int_equal(s->n, before);
}

/* n records of one provider with values of their own; prefix begins the value. */
static void start_many(struct seen *s, const struct cfg_dns_provider *p, size_t n, const char *prefix)
{
	_cleanup_free_ struct records_item *items = xcalloc(n, sizeof *items);
	_cleanup_free_ char *values = xcalloc(n, 32);

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(values + i * 32, 32, "%s%zu", prefix, i);
		items[i] = (struct records_item){ p, "_dnsauth.example.jp", false, values + i * 32 };
	}
	start(s, items, n, true);
}

static void cancel(struct seen *s)
{
	in_cancel = true;
	records_cancel(&s->call);
	in_cancel = false;
	assert_null(s->call);
}

static void is_running(size_t i, const char *what)
{
	assert_true(i < n_ops);
	assert_string_equal(ops[i]->what, what);
}

static int setup(_unused_ void **state)
{
	n_ops = 0;
	n_cancelled = n_started = 0;
	corp = update_provider("corp", "s:corp");
	other = update_provider("other", "s:other");
	exec_a = (struct cfg_dns_provider){
		.name = "a", .type = CFG_DNS_EXEC, .command = hook_a, .timeout = 30
	};
	exec_b = exec_a;
	exec_b.name = "b";
	exec_b.command = hook_b;
	if (loop_new(&loop, NULL) < 0)
		return -1;
	records = records_new(loop);
	return 0;
}

static int teardown(_unused_ void **state)
{
	records_free(records);
	assert_int_equal(n_ops, 0);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------------ */

static void test_words(_unused_ void **state)
{
	struct seen s = { 0 };
	const struct records_item items[] = {
		{ &corp, "_dnsauth.www.example.jp", false, "tok 1" },
		{ &corp, "_dnsauth.example.jp", true, "x.dcv.example.com" },
		{ &exec_a, "_dnsauth.example.jp", false, "tok 2" },
	};

	start(&s, items, 3, true);
	assert_int_equal(n_ops, 3);
	is_running(0, "corp add TXT _dnsauth.www.example.jp tok 1");
	is_running(1, "corp add CNAME _dnsauth.example.jp x.dcv.example.com");
	is_running(2, "a present - _dnsauth.example.jp tok 2");
	end(1);
	end(1);
	assert_int_equal(s.n, 0);
	end(0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.o.fault, FAULT_NONE);
	assert_string_equal(s.o.message, "");
	start(&s, items, 3, false);
	is_running(0, "corp delete TXT _dnsauth.www.example.jp tok 1");
	is_running(2, "a cleanup - _dnsauth.example.jp tok 2");
	end(0);
	end(0);
	end(0);
	assert_int_equal(s.n, 2);
}

static void test_none(_unused_ void **state)
{
	struct seen s = { 0 };
	struct seen left = { 0 };

	start(&s, NULL, 0, true);
	assert_int_equal(loop_drain(loop, 2000), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.o.fault, FAULT_NONE);
	start(&s, NULL, 0, true);
	cancel(&s);
	start(&left, NULL, 0, false); /* goes with records_free */
	records_free(records);
	assert_int_equal(loop_drain(loop, 2000), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(left.n, 0);
	records = records_new(loop);
}

static void test_duplicates(_unused_ void **state)
{
	struct seen s = { 0 };
	struct cfg_dns_provider copy = corp; /* of another snapshot */
	const struct records_item items[] = {
		{ &corp, "n.example.jp", false, "v" },	 { &exec_a, "n.example.jp", false, "v" },
		{ &copy, "N.Example.jp", false, "v" },	 { &corp, "n.example.jp", true, "v" },
		{ &corp, "n.example.jp", false, "V" },	 { &corp, "m.example.jp", false, "v" },
		{ &exec_a, "n.example.jp", false, "v" }, { &other, "n.example.jp", false, "v" },
	};

	start(&s, items, ARRAY_SIZE(items), true);
	assert_int_equal(n_ops, 6);
	is_running(0, "corp add TXT n.example.jp v");
	is_running(1, "corp add CNAME n.example.jp v");
	is_running(2, "corp add TXT n.example.jp V");
	is_running(3, "corp add TXT m.example.jp v");
	is_running(4, "other add TXT n.example.jp v");
	is_running(5, "a present - n.example.jp v");
	while (n_ops > 0)
		end(0);
	assert_int_equal(s.n, 1);
	assert_int_equal(n_started, 6);
}

/* Caller's memory may go as soon as records_start returned; only the provider stays. */
static void test_copies(_unused_ void **state)
{
	struct seen s = { 0 };
	char fqdn[] = "n.example.jp", value[] = "first";
	struct records_item items[2] = { { &exec_a, fqdn, false, value },
					 { &exec_a, fqdn, false, "second" } };

	start(&s, items, 2, true);
	memset(fqdn, 'x', 5);
	memset(value, 'x', 5);
	memset(items, 0, sizeof items);
	end(0);
	is_running(0, "a present - n.example.jp second");
	end(0);
	assert_int_equal(s.n, 1);
}

static void test_update_limits(_unused_ void **state)
{
	struct seen s[5] = { { 0 } };

	start_many(&s[0], &corp, 20, "a");
	assert_int_equal(n_ops, RECORDS_PER_CALL);
	is_running(7, "corp add TXT _dnsauth.example.jp a7");
	end(3);
	assert_int_equal(n_ops, RECORDS_PER_CALL);
	is_running(7, "corp add TXT _dnsauth.example.jp a8");
	start_many(&s[1], &other, 20, "b");
	start_many(&s[2], &corp, 8, "c");
	start_many(&s[3], &corp, 9, "d");
	assert_int_equal(n_ops, RECORDS_AT_ONCE);
	start_many(&s[4], &other, 2, "e");
	assert_int_equal(n_ops, RECORDS_AT_ONCE);
	end(0); /* of the first call, which is also the first in the queue */
	is_running(31, "corp add TXT _dnsauth.example.jp a9");
	end(14); /* of the second */
	is_running(31, "other add TXT _dnsauth.example.jp b8");
	end(16); /* the third has nothing that waits, and the others are full but the last */
	is_running(31, "other add TXT _dnsauth.example.jp e0");
	end(22); /* of the fourth */
	is_running(31, "corp add TXT _dnsauth.example.jp d8");
}

static void test_program_order(_unused_ void **state)
{
	struct seen s[3] = { { 0 } };
	struct cfg_dns_provider reloaded = exec_a; /* another snapshot, the same provider */

	start_many(&s[0], &exec_a, 2, "first");
	start_many(&s[1], &exec_b, 1, "b");
	start_many(&s[2], &reloaded, 2, "second");
	assert_int_equal(n_ops, 2);
	is_running(0, "a present - _dnsauth.example.jp first0");
	is_running(1, "b present - _dnsauth.example.jp b0");
	end(1);
	assert_int_equal(s[1].n, 1);
	assert_int_equal(n_ops, 1);
	end(0);
	is_running(0, "a present - _dnsauth.example.jp first1");
	s[0].again = true;
	end(0);
	assert_int_equal(s[0].n, 1);
	is_running(0, "a present - _dnsauth.example.jp second0");
	end(0);
	is_running(0, "a present - _dnsauth.example.jp second1");
	end(0);
	assert_int_equal(s[2].n, 1);
	is_running(0, "a present - again v");
	end(0);
	assert_int_equal(s[0].n, 2);
	assert_int_equal(n_ops, 0);
}

static void check_seen(const struct seen *s, enum fault fault, const char *code, const char *message)
{
	assert_int_equal(s->n, 1);
	assert_string_equal(s->o.message, message);
	assert_int_equal(s->o.fault, fault);
	assert_string_equal(s->o.code, code);
}

static void test_failures(_unused_ void **state)
{
	struct seen s = { 0 };

	/* The second of three. */
	start_many(&s, &exec_a, 3, "v");
	end(0);
	end_as(0, FAULT_UNCLEAR, "exec", "/bin/hook present failed with exit code 1: no");
	assert_int_equal(s.n, 0);
	end(0);
	check_seen(&s, FAULT_UNCLEAR, "exec",
		   "DNS provider a, TXT record _dnsauth.example.jp: /bin/hook present failed with exit code "
		   "1: no");
	/* The order of the list counts, not that of the answers. */
	s.n = 0;
	start_many(&s, &corp, 4, "v");
	end_as(3, FAULT_UNSENT, "connect", "later");
	end_as(1, FAULT_REFUSED, "BADKEY", "DNS server 1, add _dnsauth.example.jp: see its log");
	end_as(1, FAULT_UNCLEAR, "timeout", "too late");
	end(0);
	check_seen(&s, FAULT_REFUSED, "BADKEY",
		   "DNS provider corp (and 2 more of 4 failed): DNS server 1, add _dnsauth.example.jp: see "
		   "its log");
	s.n = 0;
	start_many(&s, &corp, 1, "v");
	end_as(0, FAULT_THROTTLED, "busy", "not now");
	check_seen(&s, FAULT_THROTTLED, "busy", "DNS provider corp, TXT record _dnsauth.example.jp: not now");
	assert_int_equal(s.o.retry_after, 7);
}

static void test_failure_of_cname(_unused_ void **state)
{
	struct seen s = { 0 };
	const struct records_item it = { &exec_a, "n.example.jp", true, "x.example.com" };

	start(&s, &it, 1, true);
	end_as(0, FAULT_LOCAL, "exec", "cannot run");
	check_seen(&s, FAULT_LOCAL, "exec", "DNS provider a, CNAME record n.example.jp: cannot run");
}

static void test_cancel(_unused_ void **state)
{
	struct seen s[4] = { { 0 } };

	start_many(&s[0], &exec_a, 2, "x");
	start_many(&s[1], &exec_a, 2, "y");
	start_many(&s[2], &exec_a, 1, "z");
	cancel(&s[1]); /* it waits */
	assert_int_equal(n_cancelled, 0);
	is_running(0, "a present - _dnsauth.example.jp x0");
	cancel(&s[0]); /* it runs: its second one must not take the place */
	assert_int_equal(n_cancelled, 1);
	is_running(0, "a present - _dnsauth.example.jp z0");
	end(0);
	assert_int_equal(s[2].n, 1);
	assert_int_equal(n_ops, 0);
	cancel(&s[0]); /* is gone */
	n_cancelled = 0;
	for (size_t i = 0; i < 4; i++)
		start_many(&s[i], &corp, 20, "u");
	assert_int_equal(n_ops, 32);
	start_many(&s[2], &other, 3, "w");
	assert_int_equal(n_ops, 32);
	n_started = 0;
	cancel(&s[0]);
	assert_int_equal(n_cancelled, 8);
	assert_int_equal(n_started, 3); /* the other calls are full */
	is_running(31 - 5, "other add TXT _dnsauth.example.jp w2");
	assert_int_equal(s[0].n + s[1].n + s[3].n, 0);
}

static void test_close(_unused_ void **state)
{
	struct seen s[3] = { { 0 } };

	start_many(&s[0], &exec_a, 3, "x");
	start_many(&s[1], &exec_a, 3, "y");
	start_many(&s[2], &corp, 20, "u");
	n_started = 0;
	records_free(records);
	assert_int_equal(n_ops, 0);
	assert_int_equal(n_started, 0);
	assert_int_equal(n_cancelled, 9);
	assert_int_equal(s[0].n + s[1].n + s[2].n, 0);
	records_free(NULL);
	records = records_new(loop);
}

static void test_many(_unused_ void **state)
{
	struct seen s[2] = { { 0 } };

	start_many(&s[0], &corp, 200, "v");
	start_many(&s[1], &exec_a, 200, "v");
	for (int n = 400; n > 0; n--) {
		assert_true(n_ops >= 1 && n_ops <= RECORDS_PER_CALL + 1);
		end((size_t)n % n_ops);
	}
	assert_int_equal(n_ops, 0);
	assert_int_equal(n_started, 400);
	assert_int_equal(s[0].n, 1);
	assert_int_equal(s[1].n, 1);
}

/* --- everything at once ----------------------------------------------------------------------------- */

static uint32_t seed = 1;

static size_t pick(size_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Never more than allowed, and never nothing while something waits. */
static void check_slots(const struct seen *s, size_t n)
{
	size_t n_updates = 0, n_exec[2] = { 0, 0 };
	size_t n_open = 0;

	for (size_t i = 0; i < n_ops; i++)
		if (ops[i]->exec)
			n_exec[ops[i]->provider[0] == 'b']++;
		else
			n_updates++;
	assert_true(n_updates <= RECORDS_AT_ONCE && n_exec[0] <= 1 && n_exec[1] <= 1);
	for (size_t i = 0; i < n; i++)
		n_open += s[i].call != NULL;
	assert_true(n_open == 0 || n_ops > 0);
}

static void test_random(_unused_ void **state)
{
	enum { CALLS = 12 };
	const struct cfg_dns_provider *const providers[] = { &corp, &other, &exec_a, &exec_b };
	struct seen s[CALLS] = { { 0 } };
	int n_begun = 0, n_told = 0, n_silent = 0;

	for (int step = 0; step < 20000; step++) {
		size_t i = pick(CALLS);

		if (!s[i].call && step < 19000) {
			struct records_item items[24];
			size_t n = 1 + pick(24);
			char values[24][24];

			for (size_t k = 0; k < n; k++) {
				(void)snprintf(values[k], sizeof values[k], "%zu", k);
				items[k] = (struct records_item){ providers[pick(4)], "n", false, values[k] };
			}
			start(&s[i], items, n, true);
			n_begun++;
		} else if (s[i].call && pick(40) == 0) {
			cancel(&s[i]);
			n_silent++;
		} else if (n_ops > 0) {
			end_as(pick(n_ops), pick(5) == 0 ? FAULT_UNCLEAR : FAULT_NONE, "x", "failed");
		}
		check_slots(s, CALLS);
	}
	while (n_ops > 0)
		end(pick(n_ops));
	for (size_t i = 0; i < CALLS; i++) {
		assert_null(s[i].call);
		n_told += s[i].n;
	}
	assert_int_equal(n_told + n_silent, n_begun);
	assert_true(n_told > 100 && n_silent > 100);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_words),	  TEST(test_none),
		TEST(test_duplicates),	  TEST(test_copies),
		TEST(test_update_limits), TEST(test_program_order),
		TEST(test_failures),	  TEST(test_failure_of_cname),
		TEST(test_cancel),	  TEST(test_close),
		TEST(test_many),	  TEST(test_random),
	};

	return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
