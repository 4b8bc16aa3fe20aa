/* SPDX-License-Identifier: Apache-2.0 */
/* DNS look-ups: c-ares does resolv.conf, the tries and UDP to TCP; dnsmsg.c makes and reads the messages.
 *
 * One channel per look-up: each gets a socket of its own, thus a fresh source port, its own servers, and an end that
 * nobody else waits for. The id comes from the kernel's random numbers, not from the channel's RC4 (CVE-2023-31147).
 * c-ares checks id, question and source address of what comes in, and asks again without EDNS after FORMERR. It may call back
 * from within ares_send(), and must not be destroyed in a callback: an answer is only kept there, and told when c-ares
 * is off the stack. */
#include "daemon/io/dns.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <ares.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uv.h>

#define DEFAULT_MS 5000
#define TRIES	   3
#define PORT	   53
#define SHOWN_MAX  100

struct sock {
	uv_poll_t poll;
	LIST_ENTRY(sock) entry;
	struct dns_call *call;
	ares_socket_t fd;
};

struct dns {
	struct loop *loop;
	LIST_HEAD(, dns_call) calls;
};

struct dns_call {
	LIST_ENTRY(dns_call) entry;
	struct dns *dns;
	ares_channel channel; /* NULL: it could not be made */
	LIST_HEAD(, sock) socks;
	struct timer *timer;
	int64_t deadline_ms;
	int64_t timeout_ms;
	char *name;
	char *server; /* NULL: the system's */
	struct ares_addr_port_node addr;
	enum dns_type type;
	dns_done_fn *done;
	dns_addresses_fn *done_addresses; /* instead: this is a look-up of addresses */
	void *owner;
	struct dns_parsed *parsed;
	struct sockaddr_storage *addresses;
	size_t n_addresses;
	struct outcome outcome; /* when nothing could be parsed */
	bool finished;
	bool delivering;
};

/* --- what came ---------------------------------------------------------------------------------------- */

static void finish(struct dns_call *c, enum fault fault, const char *code, const char *why)
{
	char name[SHOWN_MAX + 1];

	c->finished = true;
	(void)outcome_set(&c->outcome, fault, code, "%s: %s of %s: %s",
			  c->server ? c->server : "the system's resolvers",
			  c->done_addresses ? "addresses" : dns_type_name(c->type),
			  str_escape(c->name, strlen(c->name), name, sizeof name), why);
}

/* connect() of a UDP socket sends nothing, it asks the routing table: c-ares says "refused" to both. */
static bool has_route(const struct dns_call *c)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = c->addr.addr.addr4 };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	bool is_v6 = c->addr.family == AF_INET6;
	_cleanup_close_ int fd = socket(c->addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v6.sin6_addr, &c->addr.addr.addr6, sizeof v6.sin6_addr);
	if (fd < 0)
		return false;
	return connect(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
		       is_v6 ? sizeof v6 : sizeof v4) == 0;
}

static void finish_status(struct dns_call *c, int status)
{
	if (status == ARES_ETIMEOUT)
		finish(c, FAULT_UNCLEAR, "timeout", "no answer");
	else if (status != ARES_ECONNREFUSED)
		finish(c, FAULT_UNCLEAR, "dns", ares_strerror(status));
	else if (!c->server) /* c-ares keeps response codes of these to itself, and tries the next one */
		finish(c, FAULT_UNCLEAR, "connect", "they refuse, fail or are not reachable");
	else if (!has_route(c))
		finish(c, FAULT_UNSENT, "no_route", "no route to this address");
	else
		finish(c, FAULT_UNCLEAR, "connect", "the port is closed, or the connection was dropped");
}

static void on_answer(void *arg, int status, _unused_ int timeouts, unsigned char *wire, int len)
{
	struct dns_call *c = arg;
	struct err err = ERR_INIT;

	if (c->finished) /* the channel is being destroyed */
		return;
	if (status != ARES_SUCCESS) {
		finish_status(c, status);
		return;
	}
	c->finished = true;
	if (dns_parse(wire, (size_t)len, c->type, &c->parsed, &err) < 0)
		finish(c, FAULT_UNCLEAR, "bad_answer", err.text);
}

static bool has_address(const struct dns_call *c, const struct sockaddr_storage *a)
{
	for (size_t i = 0; i < c->n_addresses; i++)
		if (memcmp(&c->addresses[i], a, sizeof *a) == 0)
			return true;
	return false;
}

static void keep_addresses(struct dns_call *c, const struct ares_addrinfo *ai)
{
	c->addresses = xcalloc(DNS_ADDRESSES_MAX, sizeof *c->addresses);
	for (const struct ares_addrinfo_node *n = ai->nodes; n && c->n_addresses < DNS_ADDRESSES_MAX;
	     n = n->ai_next) {
		struct sockaddr_storage a = { 0 };

		if ((n->ai_family != AF_INET && n->ai_family != AF_INET6) || n->ai_addrlen > sizeof a)
			continue;
		memcpy(&a, n->ai_addr, n->ai_addrlen);
		if (!has_address(c, &a)) /* hosts files repeat themselves */
			c->addresses[c->n_addresses++] = a;
	}
}

static void on_addresses(void *arg, int status, _unused_ int timeouts, struct ares_addrinfo *ai)
{
	struct dns_call *c = arg;

	if (!c->finished && status == ARES_SUCCESS && ai)
		keep_addresses(c, ai);
	if (ai)
		ares_freeaddrinfo(ai);
	if (c->finished)
		return;
	if (c->n_addresses > 0)
		c->finished = true;
	else if (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND)
		finish(c, FAULT_UNSENT, "no_address", "there is none");
	else if (status == ARES_EBADNAME)
		finish(c, FAULT_UNSENT, "bad_name", "not a name that DNS can carry");
	else
		finish_status(c, status);
}

/* --- life of a call ------------------------------------------------------------------------------------- */

static void call_free(struct dns_call *c)
{
	LIST_REMOVE(c, entry);
	c->finished = true;
	if (c->channel)
		ares_destroy(c->channel); /* closes its sockets, which calls on_sock_state */
	assert(LIST_EMPTY(&c->socks));
	timer_free(c->timer);
	dns_parsed_free(c->parsed);
	free(c->addresses);
	free(c->name);
	free(c->server);
	free(c);
}

static void deliver_addresses(struct dns_call *c)
{
	const struct dns_addresses a = { .outcome = c->outcome, .at = c->addresses, .n = c->n_addresses };

	c->done_addresses(&a, c->owner);
}

static void deliver_answer(struct dns_call *c)
{
	const struct dns_answer failed = { .outcome = c->outcome, .owner = "" };
	struct dns_answer a = c->parsed ? *dns_parsed_answer(c->parsed) : failed;

	if (a.outcome.fault != FAULT_NONE && c->parsed) {
		finish(c, a.outcome.fault, a.outcome.code, a.outcome.message); /* who said so */
		a.outcome = c->outcome;
	}
	c->done(&a, c->owner);
}

static void call_deliver(struct dns_call *c)
{
	c->delivering = true;
	if (c->done_addresses)
		deliver_addresses(c);
	else
		deliver_answer(c);
	call_free(c);
}

/* After everything that may have run c-ares. The call may be gone afterwards. */
static void turn(struct dns_call *c)
{
	struct timeval tv = { 0 };
	int64_t left_ms = c->deadline_ms - clock_mono_ms();
	int64_t ms = left_ms;

	if (!c->finished && left_ms <= 0)
		finish(c, FAULT_UNCLEAR, "timeout", "no answer");
	if (c->finished) {
		call_deliver(c);
		return;
	}
	if (ares_timeout(c->channel, NULL, &tv))
		ms = MIN(left_ms, (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
	timer_set(c->timer, ms);
}

static void on_timer(void *arg)
{
	struct dns_call *c = arg;

	if (!c->finished)
		ares_process_fd(c->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	turn(c);
}

/* --- sockets ------------------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = poll->data;
	struct dns_call *c = s->call;
	bool in = status < 0 || (events & UV_READABLE);
	bool out = status < 0 || (events & UV_WRITABLE);

	if (!c->finished)
		ares_process_fd(c->channel, in ? s->fd : ARES_SOCKET_BAD, out ? s->fd : ARES_SOCKET_BAD);
	turn(c);
}

static void on_sock_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct sock *sock_new(struct dns_call *c, ares_socket_t fd)
{
	_cleanup_free_ struct sock *s = xmalloc(sizeof *s);

	if (uv_poll_init(loop_uv(c->dns->loop), &s->poll, fd) < 0)
		return NULL; /* the deadline will tell */
	s->poll.data = s;
	s->call = c;
	s->fd = fd;
	LIST_INSERT_HEAD(&c->socks, s, entry);
	return TAKE_PTR(s);
}

static void on_sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_call *c = arg;
	struct sock *s = NULL;

	LIST_FOREACH(s, &c->socks, entry)
	{
		if (s->fd == fd)
			break;
	}
	if (!readable && !writable) {
		if (!s)
			return;
		/* Stops at once: c-ares closes the descriptor next, and may get the same number again. */
		LIST_REMOVE(s, entry);
		(void)uv_poll_stop(&s->poll);
		uv_close((uv_handle_t *)&s->poll, on_sock_closed);
		return;
	}
	if (!s)
		s = sock_new(c, fd);
	if (s)
		(void)uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
				    on_poll);
}

/* --- start ---------------------------------------------------------------------------------------------- */

/* "ADDR", "ADDR:PORT", "[v6]", "[v6]:PORT", "v6". */
static bool parse_server(const char *text, struct ares_addr_port_node *ret)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *host = copy;
	char *port = NULL;
	uint64_t number = PORT;

	if (copy[0] == '[') {
		port = strchr(copy, ']');
		if (!port || (port[1] != '\0' && port[1] != ':'))
			return false;
		host = copy + 1;
		*port++ = '\0';
		port = *port == ':' ? port + 1 : NULL;
	} else if (strchr(copy, ':') == strrchr(copy, ':')) {
		port = strchr(copy, ':');
		if (port)
			*port++ = '\0';
	}
	if (port && (str_parse_u64(port, &number) < 0 || number < 1 || number > UINT16_MAX))
		return false;
	*ret = (struct ares_addr_port_node){ .udp_port = (int)number, .tcp_port = (int)number };
	ret->family = copy[0] == '[' || strchr(host, ':') ? AF_INET6 : AF_INET;
	return inet_pton(ret->family, host, &ret->addr) == 1;
}

static int make_channel(struct dns_call *c)
{
	char nothing[] = "/dev/null";
	char lookups[] = "fb"; /* f: the hosts file, which is for addresses only */
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS | (c->server ? ARES_FLAG_NOCHECKRESP : 0),
		.timeout = (int)(c->timeout_ms / 7 + 1), /* doubled for each try: 1 + 2 + 4 */
		.tries = TRIES,
		.ednspsz = DNS_UDP_MAX,
		.lookups = c->done_addresses && !c->server ? lookups : lookups + 1,
		.sock_state_cb = on_sock_state,
		.sock_state_cb_data = c,
		.resolvconf_path = nothing,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
		   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | (c->server ? ARES_OPT_RESOLVCONF : 0);
	int r = ares_init_options(&c->channel, &o, mask);

	if (r != ARES_SUCCESS) {
		c->channel = NULL;
		return r;
	}
	return c->server ? ares_set_servers_ports(c->channel, &c->addr) : ARES_SUCCESS;
}

static bool open_channel(struct dns_call *c)
{
	int r = 0;

	if (c->server && !parse_server(c->server, &c->addr)) {
		finish(c, FAULT_UNSENT, "bad_server", "not an address of a server (ADDR:PORT or [v6]:PORT)");
		return false;
	}
	r = make_channel(c);
	if (r != ARES_SUCCESS)
		finish(c, FAULT_LOCAL, "dns", ares_strerror(r));
	return r == ARES_SUCCESS;
}

static void send_query(struct dns_call *c, bool recurse)
{
	unsigned char wire[DNS_QUERY_MAX];
	struct err err = ERR_INIT;
	uint16_t id = 0;
	size_t len = 0;

	clock_random(&id, sizeof id);
	if (dns_query_build(c->name, c->type, recurse, id, wire, &len, &err) < 0) {
		finish(c, FAULT_UNSENT, "bad_name", "not a name that DNS can carry");
		return;
	}
	if (open_channel(c))
		ares_send(c->channel, wire, (int)len, on_answer, c); /* may call back */
}

static void ask_addresses(struct dns_call *c)
{
	const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
						   .ai_family = AF_UNSPEC,
						   .ai_socktype = SOCK_STREAM };

	if (open_channel(c))
		ares_getaddrinfo(c->channel, c->name, NULL, &hints, on_addresses, c); /* may call back */
}

static struct dns_call *call_new(struct dns *d, const struct dns_query *q, void *owner)
{
	struct dns_call *c = xmalloc(sizeof *c);

	c->dns = d;
	c->timer = timer_new(d->loop, on_timer, c);
	c->timeout_ms = MIN(q->timeout_ms > 0 ? q->timeout_ms : DEFAULT_MS, INT_MAX);
	c->deadline_ms = clock_mono_ms() + c->timeout_ms;
	c->name = xstrdup(q->name);
	c->server = xstrdup_opt(q->server);
	c->type = q->type;
	c->owner = owner;
	LIST_INIT(&c->socks);
	LIST_INSERT_HEAD(&d->calls, c, entry);
	return c;
}

void dns_addresses_start(struct dns *d, const struct dns_query *q, dns_addresses_fn *done, void *owner,
			 struct dns_call **ret)
{
	struct dns_call *c = call_new(d, q, owner);

	c->done_addresses = done;
	if (ret)
		*ret = c;
	ask_addresses(c);
	timer_set(c->timer, 0);
}

void dns_start(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *owner,
	       struct dns_call **ret)
{
	struct dns_call *c = call_new(d, q, owner);

	c->done = done;
	if (ret)
		*ret = c;
	send_query(c, q->recurse);
	timer_set(c->timer, 0); /* tells in the next turn, or learns when c-ares wants to be called */
}

void dns_cancel(struct dns_call **call)
{
	struct dns_call *c = *call;

	*call = NULL;
	if (c && !c->delivering)
		call_free(c);
}

int dns_new(struct loop *l, struct dns **ret, struct err *reterr)
{
	struct dns *d = NULL;
	int r = ares_library_init_mem(ARES_LIB_INIT_ALL, xmalloc, free, xrealloc);

	if (r != ARES_SUCCESS)
		return err_set(reterr, -EIO, "cannot set up c-ares: %s", ares_strerror(r));
	d = xmalloc(sizeof *d);
	d->loop = l;
	LIST_INIT(&d->calls);
	*ret = d;
	return 0;
}

void dns_free(struct dns *d)
{
	struct dns_call *c = NULL;

	if (!d)
		return;
	while ((c = LIST_FIRST(&d->calls))) {
		assert(!c->delivering);
		call_free(c);
	}
	free(d);
	ares_library_cleanup();
}
