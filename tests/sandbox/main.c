/* SPDX-License-Identifier: Apache-2.0 */
/* dvcert-sandbox: a CertCentral and a Scutum on loopback. This file wires the parts: options, the state
 * directory, the CA, the listening socket, the server and the CA's own thread; then it waits for a signal. */
#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/options.h"
#include "tests/sandbox/server.h"
#include "tests/sandbox/state.h"
#include "tests/sandbox/worker.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define EXIT_USAGE_ERROR 64
#define KEY_FILE_MAX	 4096

/* The key in a file, without the blanks and line ends around it. */
static int read_key(int dirfd, const char *path, char **ret, struct err *reterr)
{
	_cleanup_wipe_ char *text = NULL;
	size_t len = 0;
	int r = fs_read_at(dirfd, path, KEY_FILE_MAX, &text, &len, reterr);
	if (r < 0)
		return r;
	const char *start = text + strspn(text, " \t\r\n");
	size_t n = strcspn(start, " \t\r\n");
	if (n == 0 || start[n + strspn(start + n, " \t\r\n")] || strlen(text) != len)
		return err_set(reterr, -EBADMSG, "%s: must hold one key and nothing else", path);
	*ret = xstrndup(start, n);
	return 0;
}

/* The key in DIR/name, made when it is not there. */
static int own_key(int dirfd, const char *name, size_t n_bytes, char **ret, struct err *reterr)
{
	if (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return read_key(dirfd, name, ret, reterr);
	unsigned char raw[64];
	char hex[2 * sizeof(raw) + 2];
	clock_random(raw, n_bytes);
	str_hex(raw, n_bytes, hex);
	memcpy(hex + 2 * n_bytes, "\n", 2);
	int r = fs_replace(dirfd, name, hex, 2 * n_bytes + 1, 0600, reterr);
	if (r == 0)
		*ret = xstrndup(hex, 2 * n_bytes);
	mem_wipe(raw, sizeof(raw));
	mem_wipe(hex, sizeof(hex));
	return r;
}

static int load_scutum(struct sandbox *sb, const struct options *o, struct err *reterr)
{
	for (size_t i = 0; i < o->n_scutum; i++) {
		_cleanup_free_ char *copy = xstrdup(o->scutum[i]);
		char *rest = copy;
		const char *host = strsep(&rest, ":");
		const char *id = strsep(&rest, ":");
		_cleanup_wipe_ char *key = NULL;
		int r = read_key(AT_FDCWD, rest, &key, reterr);
		if (r < 0)
			return r;
		struct scutum_account *a = SBX_GROW(sb->accounts, sb->n_accounts);
		*a = (struct scutum_account){ .host = xstrdup(host),
					      .id = xstrdup(id),
					      .key = TAKE_PTR(key) };
	}
	return 0;
}

/* A key file in DIR that would not be accepted only misleads: it is not made when an option names another. */
static int open_dir(struct sandbox *sb, const struct options *o, struct err *reterr)
{
	int r = fs_mkdir(AT_FDCWD, o->dir, 0700, reterr);
	if (r < 0)
		return r;
	_cleanup_close_ int dirfd = fs_open_dir(AT_FDCWD, o->dir, reterr);
	if (dirfd < 0)
		return dirfd;
	r = ca_open(dirfd, clock_now(), &sb->ca, reterr);
	if (r == 0)
		r = o->api_key_file ? read_key(AT_FDCWD, o->api_key_file, &sb->api_key, reterr)
				    : own_key(dirfd, "api-key", 32, &sb->api_key, reterr);
	if (r == 0 && o->n_scutum == 0)
		r = own_key(dirfd, "scutum-api-key", 18, &sb->scutum_key, reterr);
	if (r < 0) {
		err_prefix(reterr, "%s", o->dir);
		return r;
	}
	return load_scutum(sb, o, reterr);
}

static int open_socket(const char *option, const struct sockaddr_storage *addr, socklen_t len,
		       struct err *reterr)
{
	_cleanup_close_ int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set_errno(reterr, -errno, "socket");
	int on = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)(const void *)addr, len) < 0 || listen(fd, 128) < 0)
		return err_set_errno(reterr, -errno, "cannot listen on the address of --%s", option);
	return TAKE_FD(fd);
}

/* "127.0.0.1:9443" of a listening socket. */
static char *address_of(int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "";
	(void)getsockname(fd, (struct sockaddr *)(void *)&at, &len);
	if (at.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&at;
		(void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		return xasprintf("[%s]:%u", host, (unsigned)ntohs(in->sin6_port));
	}
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&at;
	(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
	return xasprintf("%s:%u", host, (unsigned)ntohs(in->sin_port));
}

static void say_ready(int fd, const struct options *o)
{
	_cleanup_free_ char *address = address_of(fd);
	printf("dvcert-sandbox: ready on https://%s (dir %s)\n", address, o->dir);
	fflush(stdout);
}

/* Before anything is issued, because certificates name the address. */
static int start_plain(struct sandbox *sb, const struct options *o, struct server **ret, struct err *reterr)
{
	if (!o->pki_addr_len)
		return 0;
	int fd = open_socket("pki-http", &o->pki_addr, o->pki_addr_len, reterr);
	if (fd < 0)
		return fd;
	_cleanup_free_ char *address = address_of(fd);
	_cleanup_free_ char *url = xasprintf("http://%s", address);
	ca_set_pki_url(sb->ca, url);
	return server_start(sb, fd, NULL, NULL, ret, reterr);
}

static int start_tls(struct sandbox *sb, int fd, struct server **ret, struct err *reterr)
{
	_cleanup_free_ char *cert = NULL;
	_cleanup_wipe_ char *key = NULL;
	ca_server_identity(sb->ca, clock_now(), &cert, &key);
	return server_start(sb, fd, cert, key, ret, reterr);
}

static int serve(struct sandbox *sb, const struct options *o, const sigset_t *signals, struct err *reterr)
{
	struct server *server = NULL, *plain = NULL;
	int fd = open_socket("listen", &o->addr, o->addr_len, reterr);
	if (fd < 0)
		return fd;
	int r = start_plain(sb, o, &plain, reterr);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = start_tls(sb, fd, &server, reterr);
	if (r < 0) {
		server_stop(plain);
		return r;
	}
	pthread_t worker;
	r = -pthread_create(&worker, NULL, worker_run, sb);
	if (r == 0) {
		say_ready(fd, o);
		int sig = 0;
		(void)sigwait(signals, &sig);
	}
	sbx_stop(sb);
	server_stop(server);
	server_stop(plain);
	if (r < 0)
		return err_set_errno(reterr, r, "cannot start a thread");
	(void)pthread_join(worker, NULL);
	return 0;
}

static int run(struct sandbox *sb, const struct options *o, struct err *reterr)
{
	/* Blocked before any thread is made, so that only sigwait sees them. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	int r = open_dir(sb, o, reterr);
	if (r < 0)
		return r;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(reterr, -EIO, "libcurl does not start");
	r = serve(sb, o, &signals, reterr);
	curl_global_cleanup();
	return r;
}

int main(int argc, char **argv)
{
	struct sandbox sb;
	struct options o = { 0 };
	struct err e = ERR_INIT;
	int code = EXIT_SUCCESS;
	sbx_init(&sb);
	switch (options_parse(argc, argv, &o, &sb)) {
	case OPTIONS_RUN:
		if (run(&sb, &o, &e) < 0) {
			fprintf(stderr, "dvcert-sandbox: %s\n", e.text);
			code = EXIT_FAILURE;
		}
		break;
	case OPTIONS_DONE: break;
	case OPTIONS_USAGE: code = EXIT_USAGE_ERROR; break;
	}
	options_done(&o);
	sbx_done(&sb);
	return code;
}
