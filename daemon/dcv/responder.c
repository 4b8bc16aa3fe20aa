/* SPDX-License-Identifier: Apache-2.0 */
/* Values by host name, and the server that shows them. The body of a host is kept ready, so that an answer is
 * one look-up. Knows nothing about orders; whoever adds a value removes it. */
#include "daemon/dcv/responder.h"

#include <ctype.h>

/* The macros' own out-of-memory path would exit quietly, and their own hash does not compile cleanly. Names are
 * added by the daemon only, so nobody can aim at collisions. */
#define uthash_malloc(n)		  xmalloc(n)
#define HASH_FUNCTION(keyptr, len, hashv) ((void)(len), (hashv) = (unsigned)str_hash(keyptr))
#include <uthash.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "daemon/core/token.h"
#include "daemon/dcv/webroot.h"

#define NAME_MAX_LEN 255
#define BODY_CAP     (1024UL * 1024)

struct host {
	UT_hash_handle hh;
	char *name;
	char **tokens; /* in the order of arrival */
	size_t n_tokens;
	char *body; /* one per line */
};

struct responder {
	struct server *server;
	struct host *hosts;
};

/* Lower case, without a final dot: "WWW.Example.JP." of a Host header is the name of the order. */
static size_t normalise(const char *name, char out[NAME_MAX_LEN + 1])
{
	size_t n = strnlen(name, NAME_MAX_LEN);

	if (n > 0 && name[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[n] = '\0';
	return n;
}

static struct host *find_host(struct responder *r, const char *name)
{
	char key[NAME_MAX_LEN + 1];
	size_t n = normalise(name, key);
	struct host *h = NULL;

	HASH_FIND(hh, r->hosts, key, n, h);
	return h;
}

static struct host *add_host(struct responder *r, const char *name)
{
	struct host *h = xmalloc(sizeof(*h));
	char key[NAME_MAX_LEN + 1];
	size_t n = normalise(name, key);

	h->name = xstrdup(key);
	HASH_ADD_KEYPTR(hh, r->hosts, h->name, n, h);
	return h;
}

static void drop_host(struct responder *r, struct host *h)
{
	HASH_DEL(r->hosts, h);
	for (size_t i = 0; i < h->n_tokens; i++)
		free(h->tokens[i]);
	free(h->tokens);
	free(h->body);
	free(h->name);
	free(h);
}

static void rebuild_body(struct host *h)
{
	struct strbuf sb = STRBUF_INIT(BODY_CAP);

	for (size_t i = 0; i < h->n_tokens; i++) {
		strbuf_adds(&sb, h->tokens[i]);
		strbuf_addc(&sb, '\n');
	}
	free(h->body);
	h->body = strbuf_take(&sb);
}

/* Place of a token, or n_tokens. */
static size_t find_token(const struct host *h, const char *token)
{
	size_t i = 0;

	while (i < h->n_tokens && strcmp(h->tokens[i], token) != 0)
		i++;
	return i;
}

void responder_add(struct responder *r, const char *name, const char *token)
{
	struct host *h = find_host(r, name);

	/* Checked at the border, and here once more because this is what the world gets to see. */
	if (!token_text_is_sane(token))
		return;
	if (!h)
		h = add_host(r, name);
	if (find_token(h, token) < h->n_tokens)
		return;
	h->tokens = xrealloc_array(h->tokens, h->n_tokens + 1, sizeof(char *));
	h->tokens[h->n_tokens++] = xstrdup(token);
	rebuild_body(h);
}

void responder_remove(struct responder *r, const char *name, const char *token)
{
	struct host *h = find_host(r, name);
	size_t i = h ? find_token(h, token) : 0;

	if (!h || i == h->n_tokens)
		return;
	free(h->tokens[i]);
	h->n_tokens--;
	memmove(&h->tokens[i], &h->tokens[i + 1], (h->n_tokens - i) * sizeof(char *));
	if (h->n_tokens == 0)
		drop_host(r, h);
	else
		rebuild_body(h);
}

static void answer(const struct server_request *rq, struct server_reply *reply, void *arg)
{
	struct responder *r = arg;
	struct host *h = NULL;

	reply->status = 404;
	reply->content_type = "text/plain";
	reply->body = "not found\n";
	if (strcmp(rq->method, "GET") != 0 && strcmp(rq->method, "HEAD") != 0)
		return;
	if (strcmp(rq->path, WEBROOT_URL_PATH) != 0)
		return;
	h = find_host(r, rq->host);
	if (!h)
		return;
	reply->status = 200;
	reply->body = h->body;
}

int responder_new(struct loop *l, const char *listen, struct responder **ret, struct err *reterr)
{
	struct responder *r = xmalloc(sizeof(*r));
	int rc = server_new(l, listen, answer, r, &r->server, reterr);

	if (rc < 0) {
		free(r);
		err_prefix(reterr, "responder");
		return rc;
	}
	*ret = r;
	return 0;
}

void responder_free(struct responder *r)
{
	struct host *h = NULL;
	struct host *next = NULL;

	if (!r)
		return;
	server_free(r->server);
	HASH_ITER(hh, r->hosts, h, next)
	drop_host(r, h);
	free(r);
}

unsigned responder_port(const struct responder *r)
{
	return server_port(r->server);
}
