/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/server.h and unixsock.h without sockets: whoever wants something of the daemon calls it. */
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/mem.h"
#include "daemon/io/server.h"
#include "daemon/io/unixsock.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

/* --- the responder's server --- */

struct server {
	server_fn *fn;
	void *arg;
};

static struct server *listening;

int server_new(_unused_ struct loop *l, _unused_ const char *listen, server_fn *fn, void *arg,
	       struct server **ret, _unused_ struct err *reterr)
{
	struct server *s = xmalloc(sizeof(*s));

	*s = (struct server){ fn, arg };
	*ret = listening = s;
	return 0;
}

int server_open(struct loop *l, const struct server_options *o, server_fn *fn, void *arg, struct server **ret,
		struct err *reterr)
{
	return server_new(l, o->listen, fn, arg, ret, reterr);
}

void server_free(struct server *s)
{
	if (s && s == listening)
		listening = NULL;
	free(s);
}

void server_set_client_ms(_unused_ struct server *s, _unused_ int64_t ms)
{
}

unsigned server_port(_unused_ const struct server *s)
{
	return 80;
}

/* The web server in front answers 502 while the daemon is down. */
static int ask_responder(const char *name, char *buf, size_t cap)
{
	struct server_request rq = { .method = "GET",
				     .path = "/.well-known/pki-validation/fileauth.txt",
				     .host = name };
	struct server_reply rp = { 0 };

	if (!listening)
		return 502;
	listening->fn(&rq, &rp, listening->arg);
	snprintf(buf, cap, "%s", rp.body ? rp.body : "");
	return rp.status;
}

static int read_root(const char *root, char *buf, size_t cap)
{
	_cleanup_free_ char *path = xasprintf("%s/.well-known/pki-validation/fileauth.txt", root);
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return 404;
	n = fread(buf, 1, cap - 1, f);
	buf[n] = '\0';
	fclose(f);
	return 200;
}

int web_get(const char *name, char *buf, size_t cap)
{
	const char *root = NULL;

	buf[0] = '\0';
	switch (world_web(name, &root)) {
	case WEB_ROOT: return read_root(root, buf, cap);
	case WEB_RESPONDER: return ask_responder(name, buf, cap);
	case WEB_NOTHING: return 404;
	case WEB_DOWN: break;
	}
	return 0;
}

/* --- the control socket --- */

struct unixsock {
	const struct unixsock_ops *ops;
	void *arg;
};

struct unixsock_client {
	struct unixsock_client *next;
	bool held, answered;
};

static struct unixsock *control;
static struct unixsock_client *clients;

int unixsock_new(_unused_ struct loop *l, _unused_ const char *path, _unused_ mode_t mode,
		 const struct unixsock_ops *ops, void *arg, struct unixsock **ret,
		 _unused_ struct err *reterr)
{
	struct unixsock *s = xmalloc(sizeof(*s));

	*s = (struct unixsock){ ops, arg };
	*ret = control = s;
	return 0;
}

static void drop_clients(struct unixsock *s, bool all)
{
	struct unixsock_client **at = &clients;

	while (*at) {
		struct unixsock_client *c = *at;

		if (!all && (c->held || !c->answered)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		if (s->ops->gone)
			s->ops->gone(c, s->arg);
		free(c);
	}
}

void unixsock_free(struct unixsock *s)
{
	if (!s)
		return;
	drop_clients(s, true);
	control = NULL;
	free(s);
}

void unixsock_send(struct unixsock_client *c, const char *text, _unused_ size_t len,
		   _unused_ bool close_after)
{
	c->answered = true;
	world_trace("control: %.200s", strstr(text, "\"ok\":true") ? "ok" : text);
}

void unixsock_hold(struct unixsock_client *c, bool hold)
{
	c->held = hold;
}

void unixsock_set_idle_ms(_unused_ struct unixsock *s, _unused_ int64_t ms)
{
}

bool net_control(const char *line)
{
	struct unixsock_client *c;

	if (!control)
		return false;
	drop_clients(control, false);
	c = xmalloc(sizeof(*c));
	c->next = clients;
	clients = c;
	control->ops->line(c, line, strlen(line), control->arg);
	return true;
}

void sockets_forget(void)
{
	listening = NULL;
	control = NULL;
	clients = NULL;
}
