/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/dnsask.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/names.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <strings.h>

#define TOTAL_MS   5000
#define TRY_MS	   1200
#define STEP_MS	   100
#define HOPS_MAX   8
#define HEADER_LEN 12
#define SOCKS_MAX  4 /* one server: UDP and TCP */

struct answer {
	bool done;
	unsigned char *data; /* NULL = none that helps */
	size_t len;
};

struct record {
	char *owner;
	unsigned type;
	const unsigned char *data;
	size_t len;
};

bool dnsask_server_is_good(const char *server)
{
	ares_channel ch = NULL;
	const char *colon = strrchr(server, ':');
	uint64_t port = 0;
	if (!colon || str_parse_u64(colon + 1, &port) < 0 || port < 1 || port > 65535 ||
	    strchr(server, ',') || (strchr(server, ':') != colon && server[0] != '[') ||
	    ares_init(&ch) != ARES_SUCCESS)
		return false;
	bool good = ares_set_servers_ports_csv(ch, server) == ARES_SUCCESS;
	ares_destroy(ch);
	return good;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *data, int len)
{
	(void)timeouts;
	struct answer *a = arg;
	a->done = true;
	if (status != ARES_SUCCESS || len < HEADER_LEN)
		return;
	a->data = xmemdup(data, (size_t)len);
	a->len = (size_t)len;
}

/* Lets c-ares work for one step, so that *stop is seen soon. */
static void step(ares_channel ch)
{
	ares_socket_t socks[SOCKS_MAX];
	struct pollfd fds[SOCKS_MAX];
	nfds_t n = 0;
	int bits = ares_getsock(ch, socks, SOCKS_MAX);
	for (int i = 0; i < SOCKS_MAX; i++) {
		unsigned events = 0;
		if (ARES_GETSOCK_READABLE((unsigned)bits, i))
			events |= POLLIN;
		if (ARES_GETSOCK_WRITABLE((unsigned)bits, i))
			events |= POLLOUT;
		if (events)
			fds[n++] = (struct pollfd){ .fd = socks[i], .events = (short)events };
	}
	(void)poll(fds, n, STEP_MS);
	for (nfds_t i = 0; i < n; i++) {
		bool in = (fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
		bool out = (fds[i].revents & POLLOUT) != 0;
		ares_process_fd(ch, in ? fds[i].fd : ARES_SOCKET_BAD, out ? fds[i].fd : ARES_SOCKET_BAD);
	}
	ares_process_fd(ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void ask(const char *server, const char *name, unsigned type, int64_t end_ms, const atomic_bool *stop,
		struct answer *a)
{
	struct ares_options opt = { .timeout = TRY_MS, .tries = 2, .flags = ARES_FLAG_EDNS };
	ares_channel ch = NULL;
	*a = (struct answer){ 0 };
	if (ares_init_options(&ch, &opt, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS) !=
	    ARES_SUCCESS)
		return;
	if (ares_set_servers_ports_csv(ch, server) == ARES_SUCCESS) {
		ares_query(ch, name, ns_c_in, (int)type, on_answer, a);
		while (!a->done && !atomic_load(stop) && clock_mono_ms() < end_ms)
			step(ch);
	}
	ares_destroy(ch);
}

static unsigned u16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Reads the record at *at and moves on; false at the end, or when the packet is broken. The caller frees
 * owner with ares_free_string. */
static bool next_record(const struct answer *a, size_t *at, struct record *ret)
{
	long len = 0;
	char *owner = NULL;
	const unsigned char *p = a->data + *at;
	if (*at >= a->len || ares_expand_name(p, a->data, (int)a->len, &owner, &len) != ARES_SUCCESS)
		return false;
	size_t head = *at + (size_t)len;
	if (head + 10 > a->len || head + 10 + u16(a->data + head + 8) > a->len) {
		ares_free_string(owner);
		return false;
	}
	*ret = (struct record){
		.owner = owner,
		.type = u16(a->data + head),
		.data = a->data + head + 10,
		.len = u16(a->data + head + 8),
	};
	*at = head + 10 + ret->len;
	return true;
}

/* Where the answers begin; 0 when the packet is broken. */
static size_t skip_question(const struct answer *a)
{
	char *name = NULL;
	long len = 0;
	if (!a->data || u16(a->data + 4) != 1 ||
	    ares_expand_name(a->data + HEADER_LEN, a->data, (int)a->len, &name, &len) != ARES_SUCCESS)
		return 0;
	ares_free_string(name);
	return HEADER_LEN + (size_t)len + 4;
}

/* The strings of one TXT record, joined. */
static bool txt_holds(const struct record *r, const struct proof *p)
{
	_cleanup_free_ char *text = xmalloc(r->len + 1);
	size_t n = 0;
	for (size_t i = 0; i < r->len && i + 1 + r->data[i] <= r->len; i += 1 + (size_t)r->data[i]) {
		memcpy(text + n, r->data + i + 1, r->data[i]);
		n += r->data[i];
	}
	return proof_in(p, text, n);
}

/* The target of the CNAME that name has in this answer; NULL = none. The caller frees. */
static char *cname_of(const struct answer *a, const char *name)
{
	struct record r;
	char *target = NULL;
	unsigned left = a->data ? u16(a->data + 6) : 0;
	for (size_t at = skip_question(a); at && !target && left > 0 && next_record(a, &at, &r); left--) {
		char *text = NULL;
		long len = 0;
		if (r.type == ns_t_cname && strcasecmp(r.owner, name) == 0 &&
		    ares_expand_name(r.data, a->data, (int)a->len, &text, &len) == ARES_SUCCESS)
			target = xstrdup(text);
		ares_free_string(text);
		ares_free_string(r.owner);
	}
	return target;
}

/* Where the CNAMEs of this answer lead from name on; name itself when it has none. The caller frees. */
static char *end_of_chain(const struct answer *a, const char *name, int *hops)
{
	char *at = xstrdup(name);
	for (char *next = NULL; *hops < HOPS_MAX && (next = cname_of(a, at)); (*hops)++) {
		free(at);
		at = next;
	}
	return at;
}

/* Records of other names do not count, whoever put them into the answer. */
static bool any_txt_holds(const struct answer *a, const char *name, const struct proof *p)
{
	struct record r;
	bool found = false;
	unsigned left = a->data ? u16(a->data + 6) : 0;
	for (size_t at = skip_question(a); at && !found && left > 0 && next_record(a, &at, &r); left--) {
		found = r.type == ns_t_txt && strcasecmp(r.owner, name) == 0 && txt_holds(&r, p);
		ares_free_string(r.owner);
	}
	return found;
}

/* A server may follow a CNAME itself, or leave it to us: then the same one is asked for the target. */
static bool txt_at(const char *server, const char *name, const struct proof *p, int64_t end_ms,
		   const atomic_bool *stop)
{
	_cleanup_free_ char *at = xstrdup(name);
	int hops = 0;
	for (;;) {
		struct answer a;
		ask(server, at, ns_t_txt, end_ms, stop, &a);
		char *end = end_of_chain(&a, at, &hops);
		bool found = any_txt_holds(&a, end, p);
		bool moved = strcasecmp(end, at) != 0;
		free(a.data);
		free(at);
		at = end;
		if (found || !moved)
			return found;
	}
}

static const char *without_star(const char *name)
{
	return name_is_wildcard(name) ? name + 2 : name;
}

bool dnsask_txt_proves(const char *server, const char *name, const struct proof *p, const atomic_bool *stop)
{
	int64_t end_ms = clock_mono_ms() + TOTAL_MS;
	_cleanup_free_ char *first = xasprintf("_dnsauth.%s", without_star(name));
	return txt_at(server, first, p, end_ms, stop) || txt_at(server, without_star(name), p, end_ms, stop);
}

bool dnsask_cname_proves(const char *server, const char *name, const char *value, const atomic_bool *stop)
{
	_cleanup_free_ char *at = xasprintf("_dnsauth.%s", without_star(name));
	_cleanup_free_ char *want = xasprintf("%s.dcv.digicert.com", value);
	struct answer a;
	ask(server, at, ns_t_cname, clock_mono_ms() + TOTAL_MS, stop, &a);
	_cleanup_free_ char *is = cname_of(&a, at);
	free(a.data);
	return is && strcasecmp(is, want) == 0;
}
