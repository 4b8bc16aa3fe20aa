/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of an issuance cost when each is done alone: CPU time of this process, kernel included. The
 * sum is what a certificate may cost at best; bench.py compares it with what the daemon really takes.
 *
 *   bench_parts KEY.pem FULLCHAIN.pem CA.pem NAME URL DIR
 *
 * Prints one line per part: its name, CPU milliseconds per round, rounds. Measures only: it asserts
 * nothing about the figures, but ends with 1 when a part does not work at all. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "daemon/io/http.h"
#include "daemon/io/loop.h"
#include "daemon/pki/chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FILE_CAP (1u << 20)
#define RECORD	 2500 /* bytes; what a record with a request in it and some history has */

struct bench {
	const char *name, *url, *ca_file;
	char *key_pem, *chain_pem;
	struct key *key;
	struct trust *trust;
	int dir_fd;
	struct loop *loop;
	struct http *http;
	int http_status;
};

static double cpu_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static _noreturn_ void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_parts: %s: %s\n", what, e->text);
	exit(EXIT_FAILURE);
}

/* --- the parts --- */

static int part_key(struct bench *b, struct err *e)
{
	_cleanup_(key_freep) struct key *k = NULL;

	(void)b;
	return key_generate(KEY_EC_P256, 0, &k, e);
}

static int part_csr(struct bench *b, struct err *e)
{
	_cleanup_free_ char *csr = NULL;

	return csr_make(b->key, &b->name, 1, &csr, e);
}

/* As the daemon does it: the key is read from its PEM for that. */
static int part_chain(struct bench *b, struct err *e)
{
	_cleanup_(key_freep) struct key *k = NULL;
	_cleanup_(chain_freep) struct chain *c = NULL;
	int rc = key_from_pem(b->key_pem, strlen(b->key_pem), &k, e);

	if (rc < 0)
		return rc;
	return chain_check(b->chain_pem, strlen(b->chain_pem), k, &b->name, 1, clock_now(), b->trust, &c, e);
}

static int part_write(struct bench *b, struct err *e)
{
	char text[RECORD];

	memset(text, 'x', sizeof(text));
	return fs_replace(b->dir_fd, "record", text, sizeof(text), 0600, e);
}

static void answered(const struct http_result *r, void *owner)
{
	struct bench *b = owner;

	b->http_status = r->status;
	loop_stop(b->loop);
}

static int part_request(struct bench *b, struct err *e)
{
	struct http_request rq = { .label = "bench", .method = "GET", .url = b->url };
	struct http_call *call = NULL;

	b->http_status = 0;
	http_start(b->http, &rq, answered, b, &call);
	loop_run(b->loop);
	return b->http_status == 200 ? 0 : err_set(e, -1, "%s: status %d", b->url, b->http_status);
}

static int open_http(struct bench *b, struct err *e)
{
	struct http_options o = { .ca_file = b->ca_file };

	return http_new(b->loop, &o, &b->http, e);
}

/* A client of its own for each request, so that nothing is kept of connection and handshake. */
static int part_connection(struct bench *b, struct err *e)
{
	int rc = open_http(b, e);

	if (rc == 0)
		rc = part_request(b, e);
	http_free(TAKE_PTR(b->http));
	(void)loop_drain(b->loop, 1000);
	return rc;
}

/* --- running them --- */

static void run(struct bench *b, const char *name, unsigned rounds,
		int (*part)(struct bench *b, struct err *e))
{
	struct err e = ERR_INIT;
	double began;

	/* The first one pays for what is set up lazily. */
	if (part(b, &e) < 0)
		die(name, &e);
	began = cpu_ms();
	for (unsigned i = 0; i < rounds; i++) {
		if (part(b, &e) < 0)
			die(name, &e);
	}
	printf("%s %.4f %u\n", name, (cpu_ms() - began) / rounds, rounds);
	fflush(stdout);
}

static char *read_file(const char *path)
{
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t len = 0;

	if (fs_read_at(AT_FDCWD, path, FILE_CAP, &text, &len, &e) < 0)
		die(path, &e);
	return text;
}

static void set_up(struct bench *b, char **argv)
{
	struct err e = ERR_INIT;

	b->key_pem = read_file(argv[1]);
	b->chain_pem = read_file(argv[2]);
	b->ca_file = argv[3];
	b->name = argv[4];
	b->url = argv[5];
	b->dir_fd = fs_open_dir(AT_FDCWD, argv[6], &e);
	if (b->dir_fd < 0 || trust_new(b->ca_file, &b->trust, &e) < 0 ||
	    key_generate(KEY_EC_P256, 0, &b->key, &e) < 0 || loop_new(&b->loop, &e) < 0)
		die("set-up", &e);
}

static void tear_down(struct bench *b)
{
	http_free(b->http);
	(void)loop_drain(b->loop, 1000);
	loop_free(b->loop);
	trust_free(b->trust);
	key_free(b->key);
	mem_wipe_free(b->key_pem);
	free(b->chain_pem);
	(void)close(b->dir_fd);
}

int main(int argc, char **argv)
{
	struct bench b = { .dir_fd = -1 };
	struct err e = ERR_INIT;

	if (argc != 7) {
		fprintf(stderr, "usage: bench_parts KEY.pem FULLCHAIN.pem CA.pem NAME URL DIR\n");
		return 64;
	}
	set_up(&b, argv);
	run(&b, "key", 500, part_key);
	run(&b, "csr", 500, part_csr);
	run(&b, "chain", 500, part_chain);
	run(&b, "write", 200, part_write);
	run(&b, "connection", 50, part_connection);
	if (open_http(&b, &e) < 0)
		die("http", &e);
	run(&b, "request", 1000, part_request);
	tear_down(&b);
	return 0;
}
