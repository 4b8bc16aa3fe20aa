/* SPDX-License-Identifier: Apache-2.0 */
/* Knot and BIND for tests, started as plain processes on loopback ports with a zone in a temporary folder. What is in the zone
 * is asked by a TXT question made by hand. Which one it is, is in kind. */
#pragma once

#include "common/mem.h"
#include "common/strbuf.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

/* For assertions only; the order is cmocka's wish. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECRET	"0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="
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

/* A program that is a name server. */
struct kind {
	const char *name;
	const char *program;
	const char *conf;
	const char *const args[5]; /* before the name of conf */
	const char *wrong_key;	   /* expected code */
	const char *forbidden;
};

static const _unused_ struct kind knot = { "knot",   "/usr/sbin/knotd", knot_conf, { "knotd", "-c", NULL },
					   "BADSIG", "BADKEY" };
static const _unused_ struct kind bind9 = { "bind",	"/usr/sbin/named",
					    named_conf, { "named", "-g", "-n", "1", "-c" },
					    "BADSIG",	"REFUSED" };

static const struct kind *kind;
static char folder[64];
static char server[64];
static unsigned port;
static pid_t pid;

/* --- running them --------------------------------------------------------------------------------------- */

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

static size_t make_question(const char *name, unsigned char *buf, size_t len)
{
	struct strbuf sb = STRBUF_INIT(len);
	size_t n = 0;

	strbuf_add(&sb, "\1\2\0\0\0\1\0\0\0\0\0\0", 12);
	for (const char *p = name; *p; p += *p == '.') {
		size_t label = strcspn(p, ".");

		strbuf_addc(&sb, (char)label);
		strbuf_add(&sb, p, label);
		p += label;
	}
	strbuf_add(&sb, "\0\0\x10\0\1", 5);
	assert_true(strbuf_ok(&sb));
	n = sb.len;
	memcpy(buf, sb.data, n);
	strbuf_done(&sb);
	return n;
}

/* The answer to a TXT question over TCP, as bytes; 0 when none comes. */
static size_t ask_txt(const char *name, unsigned char *buf, size_t len)
{
	const struct timeval limit = { .tv_sec = 2 };
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons((uint16_t)port) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned char q[2 + 512] = { 0 };
	size_t n = make_question(name, q + 2, sizeof q - 2);
	ssize_t got = 0;

	q[1] = (unsigned char)n;
	assert_true(n < 256);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0 ||
	    send(fd, q, n + 2, MSG_NOSIGNAL) != (ssize_t)n + 2 || recv(fd, q, 2, MSG_WAITALL) != 2)
		return 0;
	n = (size_t)q[0] << 8 | q[1];
	assert_true(n <= len);
	got = recv(fd, buf, n, MSG_WAITALL);
	return got == (ssize_t)n ? n : 0;
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

/* Kind is the test's state. cmocka's skip() works in tests only, so folder is empty where the program is not installed. */
static void open_folder(const struct kind *k)
{
	kind = k;
	folder[0] = '\0';
	if (access(kind->program, X_OK) < 0)
		return;
	(void)snprintf(folder, sizeof folder, "/tmp/real_%s.XXXXXX", kind->name);
	assert_non_null(mkdtemp(folder));
	write_file("zone", zone_text);
}

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int flag,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static void close_folder(void)
{
	stop_server();
	assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
