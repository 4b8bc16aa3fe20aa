/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a conversation (bytes) with a handshake (what they mean). What the peer sent is told when the connection is closed on both
 * sides, so that nothing of a look outlives it. */
#include "daemon/deploy/tlslook.h"

#include "common/mem.h"
#include "daemon/io/blame.h"
#include "daemon/io/talk.h"
#include "daemon/pki/handshake.h"

#include <errno.h>
#include <string.h>

#define CHUNK 4096

struct tlslook {
	struct talk *talk;
	struct handshake *handshake;
	struct served *served;
	tlslook_done_fn *done;
	void *owner;
	char *blame;	     /* for which domain */
	struct timer *timer; /* tells that the look could not even begin */
	struct outcome outcome;
	int error;
	bool opened, known;
};

static void look_free(struct tlslook *k)
{
	talk_cancel(&k->talk);
	timer_free(k->timer);
	handshake_free(k->handshake);
	served_free(k->served);
	free(k->blame);
	free(k);
}

static void deliver(struct tlslook *k)
{
	struct tlslook_result r = { .outcome = k->outcome, .error = k->error, .served = k->served };

	k->done(&r, k->owner);
	look_free(k);
}

/* --- what the connection tells --------------------------------------------------------------------------- */

static void send_all(struct tlslook *k)
{
	char buf[CHUNK];
	size_t n = 0;

	while ((n = handshake_pull(k->handshake, buf, sizeof buf)) > 0)
		talk_send(k->talk, buf, n);
}

/* r: what the handshake said. */
static void go_on(struct tlslook *k, int r, const struct err *err)
{
	if (r == 0)
		return;
	k->known = true;
	if (r > 0)
		k->served = handshake_take_served(k->handshake);
	else
		(void)outcome_set(&k->outcome, FAULT_UNCLEAR, "tls", "%s", err->text);
}

static void feed(struct tlslook *k, const char *data, size_t len)
{
	struct err err = ERR_INIT;

	go_on(k, handshake_feed(k->handshake, data, len, &err), &err);
	send_all(k);
	if (k->known)
		talk_finish(k->talk);
}

static void on_open(void *owner)
{
	struct tlslook *k = owner;
	BLAME(k->blame);

	k->opened = true;
	feed(k, "", 0);
}

static void on_data(const char *data, size_t len, void *owner)
{
	struct tlslook *k = owner;
	BLAME(k->blame);

	if (!k->known)
		feed(k, data, len);
}

static const char *connect_text(int r)
{
	switch (-r) {
	case ECONNREFUSED: return "refuses the connection: no server listens there";
	case ETIMEDOUT: return "does not answer: is it up, and does a firewall let us through?";
	case ENETUNREACH: return "cannot be reached: this machine has no route there";
	default: return NULL;
	}
}

static void not_connected(struct tlslook *k, int r)
{
	const char *text = connect_text(r);

	k->error = r;
	if (text)
		(void)outcome_set(&k->outcome, FAULT_UNSENT, "connect", "%s", text);
	else
		(void)outcome_set(&k->outcome, FAULT_UNSENT, "connect", "cannot be reached: %s",
				  strerror(-r));
}

static void broken_off(struct tlslook *k, int r)
{
	struct err err = ERR_INIT;

	if (r == 0)
		go_on(k, handshake_eof(k->handshake, &err), &err);
	else if (r == -ETIMEDOUT)
		(void)outcome_set(&k->outcome, FAULT_UNCLEAR, "tls",
				  "does not come to the end of the handshake");
	else if (r == -EMSGSIZE)
		(void)outcome_set(&k->outcome, FAULT_UNCLEAR, "tls", "sends too much for a handshake");
	else if (handshake_eof(k->handshake, &err) == 1) /* reset, but it had shown all */
		go_on(k, 1, &err);
	else
		(void)outcome_set(&k->outcome, FAULT_UNCLEAR, "tls", "breaks off the handshake: %s",
				  strerror(-r));
}

static void on_end(int r, void *owner)
{
	struct tlslook *k = owner;
	_cleanup_free_ char *name = xstrdup_opt(k->blame); /* outlives k */
	BLAME(name);

	k->talk = NULL;
	if (!k->opened)
		not_connected(k, r);
	else if (!k->known)
		broken_off(k, r);
	deliver(k);
}

/* --- start and cancel ------------------------------------------------------------------------------------ */

static void on_timer(void *arg)
{
	deliver(arg);
}

void tlslook_start(struct loop *l, const struct tlslook_ask *ask, tlslook_done_fn *done, void *owner,
		   struct tlslook **ret)
{
	struct tlslook *k = xmalloc(sizeof *k);
	struct err err = ERR_INIT;
	const struct talk_spec spec = {
		.to = &ask->to,
		.timeout_ms = ask->timeout_ms > 0 ? ask->timeout_ms : TLSLOOK_TIMEOUT_MS,
		.received_max = HANDSHAKE_RECEIVED_MAX,
		.on_open = on_open,
		.on_data = on_data,
		.on_end = on_end,
		.owner = k,
	};

	k->done = done;
	k->owner = owner;
	k->blame = xstrdup_opt(blame_name());
	if (handshake_new(ask->server_name, ask->kind, &k->handshake, &err) < 0) {
		(void)outcome_set(&k->outcome, FAULT_LOCAL, "tls", "%s", err.text);
		k->timer = timer_new(l, on_timer, k);
		timer_set(k->timer, 0);
	} else {
		talk_start(l, &spec, &k->talk);
	}
	if (ret)
		*ret = k;
}

void tlslook_cancel(struct tlslook **t)
{
	struct tlslook *mine = *t;

	*t = NULL;
	if (mine)
		look_free(mine);
}
