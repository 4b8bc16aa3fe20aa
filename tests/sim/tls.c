/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/talk.h and daemon/pki/handshake.h against the simulated web servers (targets.h). What goes over the wire is not TLS: the
 * client says its name, the server answers with its chain in PEM and a full stop, in two parts. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"
#include "daemon/io/talk.h"
#include "daemon/pki/handshake.h"
#include "daemon/pki/served_priv.h"
#include "tests/sim/plan.h"
#include "tests/sim/targets.h"
#include "tests/sim/world.h"

#define FULL_STOP "\n.\n"

/* --- the handshake ---------------------------------------------------------------------------------------- */

struct handshake {
	struct strbuf in;
	char *out; /* NULL: all is sent */
	struct served *served;
};

int handshake_new(const char *server_name, _unused_ enum served_kind kind, struct handshake **ret,
		  _unused_ struct err *reterr)
{
	struct handshake *h = xmalloc(sizeof(*h));

	*h = (struct handshake){ .in = STRBUF_INIT(HANDSHAKE_RECEIVED_MAX), .out = xstrdup(server_name) };
	*ret = h;
	return 0;
}

void handshake_free(struct handshake *h)
{
	if (!h)
		return;
	strbuf_done(&h->in);
	free(h->out);
	served_free(h->served);
	free(h);
}

static struct served *chain_of(const char *pem, size_t len)
{
	struct certs c = { 0 };
	STACK_OF(X509) *stack = sk_X509_new_null();
	struct served *ret = NULL;

	if (certs_parse(pem, len, &c, NULL) == 0) {
		for (size_t i = 0; i < c.n; i++)
			(void)sk_X509_push(stack, c.at[i].x);
		ret = served_new(stack);
	}
	sk_X509_free(stack);
	certs_done(&c);
	return ret;
}

int handshake_feed(struct handshake *h, const void *data, size_t len, struct err *reterr)
{
	const char *text, *stop;

	strbuf_add(&h->in, data, len);
	text = strbuf_str(&h->in);
	stop = strstr(text, FULL_STOP);
	if (!stop)
		return 0;
	h->served = chain_of(text, (size_t)(stop - text));
	return h->served ? 1 : err_set(reterr, -EPROTO, "simulated: garbage");
}

int handshake_eof(_unused_ struct handshake *h, struct err *reterr)
{
	return err_set(reterr, -EPROTO, "simulated: breaks off");
}

size_t handshake_pull(struct handshake *h, void *buf, size_t size)
{
	size_t n = h->out ? MIN(strlen(h->out), size) : 0;

	if (n > 0)
		memcpy(buf, h->out, n);
	free(TAKE_PTR(h->out));
	return n;
}

struct served *handshake_take_served(struct handshake *h)
{
	return TAKE_PTR(h->served);
}

/* --- the conversation ------------------------------------------------------------------------------------- */

enum fate { FATE_FINE, FATE_SILENT, FATE_NO_ROUTE, FATE_RESET, FATE_EMPTY, FATE_NR };

struct talk {
	struct talk_spec spec;
	struct node *node;
	struct server *server;
	struct event *event, *deadline;
	enum fate fate;
	char *rest; /* what the server still has to say */
	unsigned generation;
};

static void end(struct talk *t, int r)
{
	world_drop(&t->event);
	world_drop(&t->deadline);
	t->spec.on_end(r, t->spec.owner);
	free(t->rest);
	free(t);
}

static void too_late(void *arg)
{
	struct talk *t = arg;

	t->deadline = NULL;
	end(t, -ETIMEDOUT);
}

static void closed(void *arg)
{
	struct talk *t = arg;

	t->event = NULL;
	end(t, 0);
}

static void broken(void *arg)
{
	struct talk *t = arg;

	t->event = NULL;
	end(t, -ECONNRESET);
}

static void say_rest(void *arg)
{
	struct talk *t = arg;
	_cleanup_free_ char *text = TAKE_PTR(t->rest);

	t->event = NULL;
	t->node->was_seen = true;
	t->node->seen = t->generation;
	t->node->seen_ms = world_now_ms();
	t->node->seen_life = targets.life;
	t->spec.on_data(text, strlen(text), t->spec.owner);
}

/* The look has arrived: what it serves at this moment is what is seen. */
static void hear(void *arg)
{
	struct talk *t = arg;
	const char *shown = targets_shown(t->node);
	_cleanup_free_ char *all = NULL;
	size_t half;

	t->event = NULL;
	if (!shown || t->fate == FATE_RESET || t->fate == FATE_EMPTY) {
		t->event = world_after(OWNER_DAEMON, 1, t->fate == FATE_EMPTY ? closed : broken, t);
		return;
	}
	all = xasprintf("%s" FULL_STOP, shown);
	half = strlen(all) / 2;
	t->rest = xstrdup(all + half);
	t->generation = t->node->generation;
	t->event = world_after(OWNER_DAEMON, world_range(STREAM_TARGETS, 1, 40), say_rest, t);
	t->spec.on_data(all, half, t->spec.owner);
}

static void connected(void *arg)
{
	struct talk *t = arg;

	t->event = NULL;
	if (t->fate == FATE_NO_ROUTE || !t->node || !targets_shown(t->node)) {
		end(t, t->fate == FATE_NO_ROUTE ? -ENETUNREACH : -ECONNREFUSED);
		return;
	}
	t->spec.on_open(t->spec.owner);
}

void talk_start(_unused_ struct loop *l, const struct talk_spec *spec, struct talk **ret)
{
	struct talk *t = xmalloc(sizeof(*t));
	const struct sockaddr_in *to = (const struct sockaddr_in *)spec->to;
	uint32_t at = ntohl(to->sin_addr.s_addr);
	bool strikes = plan_strikes(TROUBLE_SERVERS, STREAM_TARGETS);
	int64_t which = world_range(STREAM_TARGETS, FATE_FINE + 1, FATE_NR - 1);
	int64_t ms = world_range(STREAM_TARGETS, 1, 40);

	*t = (struct talk){ .spec = *spec, .fate = strikes ? (enum fate)which : FATE_FINE };
	t->node = targets_node(at >> 8 & 0xff, at & 0xff, &t->server);
	t->deadline = world_after(OWNER_DAEMON, spec->timeout_ms, too_late, t);
	if (t->fate != FATE_SILENT)
		t->event = world_after(OWNER_DAEMON, ms, connected, t);
	if (ret)
		*ret = t;
}

void talk_send(struct talk *t, _unused_ const void *data, size_t len)
{
	if (len > 0 && !t->event)
		t->event = world_after(OWNER_DAEMON, world_range(STREAM_TARGETS, 1, 40), hear, t);
}

void talk_finish(struct talk *t)
{
	world_drop(&t->event);
	t->event = world_after(OWNER_DAEMON, 2, closed, t);
}

void talk_cancel(struct talk **t)
{
	struct talk *mine = TAKE_PTR(*t);

	if (!mine)
		return;
	world_drop(&mine->event);
	world_drop(&mine->deadline);
	free(mine->rest);
	free(mine);
}
