/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic updates against Knot and BIND, started as plain processes on loopback ports with a zone in a temporary folder. Each
 * is skipped where it is not installed. What is in the zone afterwards is asked by a TXT question made by hand. */
#include "daemon/dcv/rfc2136.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <cmocka.h>

#define SECRET	"0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
#define WRONG	"AAAAUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
#define ALLOWED "_dnsauth.www.example.test"

static const char zone_text[] =
	"$ORIGIN example.test.\n$TTL 60\n"
	"@ IN SOA ns.example.test. h.example.test. 1 3600 600 86400 60\n"
	"@ IN NS ns\nns IN A 127.0.0.1\nwww IN A 127.0.0.1\nsub IN NS ns.other.test.\n";

static const char knot_conf[] =
	"server:\n    rundir: \"%F\"\n    listen: 127.0.0.1@%P\n"
	"    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
	"log:\n  - target: stderr\n    any: warning\n"
	"database:\n    storage: \"%F\"\n    journal-db-max-size: 16M\n"
	"key:\n  - id: upd.keys.example.test\n    algorithm: hmac-sha256\n    secret: " SECRET "\n"
	"  - id: strong\n    algorithm: hmac-sha512\n    secret: " SECRET "\n"
	"acl:\n  - id: upd\n    key: [upd.keys.example.test, strong]\n    action: update\n"
	"    update-type: [TXT, CNAME]\n"
	"    update-owner: name\n    update-owner-match: sub-or-equal\n"
	"    update-owner-name: [_dnsauth.www]\n"
	"zone:\n  - domain: example.test\n    storage: \"%F\"\n    file: zone\n    acl: upd\n"
	"    zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: all\n";

static const char named_conf[] =
	"options { directory \"%F\"; listen-on port %P { 127.0.0.1; }; listen-on-v6 { none; };\n"
	"  recursion no; pid-file \"%F/pid\"; session-keyfile \"%F/sk\"; notify no;\n"
	"  lock-file none; geoip-directory none; managed-keys-directory \"%F\"; };\n"
	"controls { };\n"
	"key upd.keys.example.test { algorithm hmac-sha256; secret \"" SECRET "\"; };\n"
	"key strong { algorithm hmac-sha512; secret \"" SECRET "\"; };\n"
	"zone example.test { type primary; file \"zone\"; update-policy {\n"
	"  grant upd.keys.example.test name " ALLOWED ". TXT CNAME; grant strong name " ALLOWED
	". TXT; }; };\n";

struct kind {
	const char *name;
	const char *program;
	const char *conf;
	const char *const args[5]; /* before the name of conf */
	const char *wrong_key;	   /* expected code */
	const char *forbidden;
};

static const struct kind knot = { "knot",   "/usr/sbin/knotd", knot_conf, { "knotd", "-c", NULL },
				  "BADSIG", "BADKEY" };
static const struct kind bind9 = { "bind",     "/usr/sbin/named",
				   named_conf, { "named", "-g", "-n", "1", "-c" },
				   "BADSIG",   "REFUSED" };

static struct loop *loop;
static struct timer *guard;
static const struct kind *kind;
static char folder[64];
static char server[64];
static unsigned port;
static pid_t pid;

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

/* --- servers --------------------------------------------------------------------------------------- */

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Free for both protocols a moment ago. */
static unsigned free_port(void)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof a;
		_cleanup_close_ int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		_cleanup_close_ int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (bind(tcp, (struct sockaddr *)&a, sizeof a) == 0 &&
		    getsockname(tcp, (struct sockaddr *)&a, &len) == 0 &&
		    bind(udp, (struct sockaddr *)&a, sizeof a) == 0)
			return ntohs(a.sin_port);
	}
	fail_msg("no free port");
	return 0;
}

/* %F is the folder, %P the port. */
static char *fill_in(const char *conf)
{
	struct strbuf sb = STRBUF_INIT(16384);

	for (const char *p = conf; *p; p++) {
		if (p[0] == '%' && p[1] == 'F')
			strbuf_adds(&sb, folder);
		else if (p[0] == '%' && p[1] == 'P')
			strbuf_addf(&sb, "%u", port);
		else
			strbuf_addc(&sb, *p);
		p += p[0] == '%';
	}
	assert_true(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

/* The packages' AppArmor profiles are tied to the paths of the programs, and would keep them out of our folder. */
static char *copy_program(void)
{
	_cleanup_free_ char *path = xasprintf("%s/program", folder);
	_cleanup_close_ int from = open(kind->program, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(from >= 0 && to >= 0);
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	return TAKE_PTR(path);
}

static void run_server(void)
{
	_cleanup_free_ char *program = copy_program();
	_cleanup_free_ char *conf = xasprintf("%s/conf", folder);
	_cleanup_free_ char *log = xasprintf("%s/log", folder);
	char *argv[8] = { NULL };
	size_t n = 0;

	for (; n < ARRAY_SIZE(kind->args) && kind->args[n]; n++)
		argv[n] = xstrdup(kind->args[n]);
	argv[n] = conf;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		(void)dup2(fd, 1);
		(void)dup2(fd, 2);
		(void)execv(program, argv);
		_exit(127);
	}
	while (n > 0)
		free(argv[--n]);
}

/* The answer to a TXT question, as bytes; 0 when none comes within 200 ms. */
static size_t ask_txt(const char *name, unsigned char *buf, size_t len)
{
	const struct timeval limit = { .tv_usec = 200000 };
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons((uint16_t)port) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct strbuf sb = STRBUF_INIT(512);
	ssize_t n = 0;

	strbuf_add(&sb, "\1\2\0\0\0\1\0\0\0\0\0\0", 12);
	for (const char *p = name; *p; p += *p == '.') {
		size_t label = strcspn(p, ".");

		strbuf_addc(&sb, (char)label);
		strbuf_add(&sb, p, label);
		p += label;
	}
	strbuf_add(&sb, "\0\0\x10\0\1", 5);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
	    send(fd, sb.data, sb.len, 0) == (ssize_t)sb.len)
		n = recv(fd, buf, len, 0);
	strbuf_done(&sb);
	return n > 0 ? (size_t)n : 0;
}

static void stop_server(void)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGTERM);
	for (unsigned tries = 0; tries < 100; tries++) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			pid = 0;
			return;
		}
		(void)usleep(50000);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	pid = 0;
}

/* False when it has ended by itself. */
static bool wait_for_server(void)
{
	unsigned char buf[512];

	for (unsigned tries = 0; tries < 200; tries++) {
		/* authoritative: the zone is loaded */
		if (ask_txt("example.test", buf, sizeof buf) >= 12 && (buf[2] & 0x04) != 0)
			return true;
		(void)usleep(50000);
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			pid = 0;
			return false;
		}
	}
	return false;
}

static void show_log(void)
{
	_cleanup_free_ char *path = xasprintf("%s/log", folder);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	ssize_t n = 0;

	while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0)
		(void)fwrite(buf, 1, (size_t)n, stderr);
}

/* Somebody else may have taken the port meanwhile: three tries. */
static void start_server(void)
{
	for (unsigned tries = 0; tries < 3; tries++) {
		_cleanup_free_ char *conf = NULL;

		port = free_port();
		(void)snprintf(server, sizeof server, "127.0.0.1:%u", port);
		conf = fill_in(kind->conf);
		write_file("conf", conf);
		run_server();
		if (wait_for_server())
			return;
		stop_server();
	}
	show_log();
	fail_msg("%s does not serve the zone", kind->name);
}

static void too_long(_unused_ void *arg)
{
	fail_msg("no end within 60 s");
}

/* cmocka's skip() works in tests only, so the setup leaves folder empty instead. */
static int setup(void **state)
{
	kind = *state;
	folder[0] = '\0';
	if (access(kind->program, X_OK) < 0)
		return 0;
	(void)snprintf(folder, sizeof folder, "/tmp/rfc2136_%s.XXXXXX", kind->name);
	assert_non_null(mkdtemp(folder));
	write_file("zone", zone_text);
	assert_int_equal(loop_new(&loop, NULL), 0);
	guard = timer_new(loop, too_long, NULL);
	timer_set(guard, 60000);
	return 0;
}

static int teardown(_unused_ void **state)
{
	char *argv[] = { (char[]){ "rm" }, (char[]){ "-rf" }, folder, NULL };
	pid_t rm = 0;

	if (folder[0] == '\0')
		return 0;
	timer_free(guard);
	assert_int_equal(loop_drain(loop, 2000), 0);
	loop_free(loop);
	stop_server();
	rm = fork();
	if (rm == 0) {
		(void)execv("/bin/rm", argv);
		_exit(127);
	}
	(void)waitpid(rm, NULL, 0);
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
