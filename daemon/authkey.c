/* SPDX-License-Identifier: Apache-2.0 */
/* One question for all who wait. Accounts may have several AuthKeys: the configured one counts, else the one without an end, which
 * is also what the CA takes for an order that names none. */
#include "daemon/authkey.h"

#include "common/mem.h"

struct authkey_call {
	TAILQ_ENTRY(authkey_call) link;
	struct app *app;
	authkey_done_fn *done; /* NULL: cancelled */
	void *owner;
	struct authkey_call **handle;
};

TAILQ_HEAD(authkey_list, authkey_call);

struct authkeys {
	struct secret *key; /* NULL: not known */
	struct cc_call *call;
	struct authkey_list waiting;
	bool deferred;
};

static struct authkeys *keys_of(struct app *a)
{
	if (!a->authkeys) {
		a->authkeys = xmalloc(sizeof(*a->authkeys));
		TAILQ_INIT(&a->authkeys->waiting);
	}
	return a->authkeys;
}

static const struct secret *known_key(const struct app *a)
{
	const struct secret *own = a->config->certcentral.auth_key;

	return own ? own : a->authkeys->key;
}

/* A callback may ask again: those who come now wait for the next answer. */
static void tell(struct app *a, const struct outcome *o)
{
	struct authkeys *k = a->authkeys;
	struct authkey_list now = TAILQ_HEAD_INITIALIZER(now);
	struct outcome copy = *o;
	struct authkey_call *c;

	TAILQ_CONCAT(&now, &k->waiting, link);
	while ((c = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, c, link);
		if (c->done) {
			*c->handle = NULL;
			c->done(&copy, copy.fault == FAULT_NONE ? known_key(a) : NULL, c->owner);
		}
		free(c);
	}
}

static void refuse(struct app *a, const char *what)
{
	struct outcome o = OUTCOME_OK;

	(void)outcome_set(&o, FAULT_REFUSED, "auth_key",
			  "%s: create one with `dvcertctl auth-key create`, or name one with "
			  "certcentral.auth_key_id",
			  what);
	tell(a, &o);
}

static void take(struct app *a, const struct secret *key)
{
	secret_free(a->authkeys->key);
	a->authkeys->key = secret_new(secret_bytes(key), secret_len(key));
	tell(a, &(struct outcome)OUTCOME_OK);
}

static void got_one(const struct cc_reply *r, void *owner)
{
	struct app *a = owner;

	a->authkeys->call = NULL;
	if (r->outcome.fault != FAULT_NONE)
		tell(a, &r->outcome);
	else if (r->n_auth_keys != 1 || !r->auth_keys[0].secret)
		refuse(a, "CertCentral does not tell the AuthKey");
	else
		take(a, r->auth_keys[0].secret);
}

static const struct cc_auth_key *choose(const struct cc_reply *r, const char *wanted)
{
	for (size_t i = 0; i < r->n_auth_keys; i++) {
		const struct cc_auth_key *k = &r->auth_keys[i];

		if (wanted ? strcmp(k->id, wanted) == 0 : k->expires_at == 0)
			return k;
	}
	return NULL;
}

static void got_list(const struct cc_reply *r, void *owner)
{
	struct app *a = owner;
	const char *wanted = a->config->certcentral.auth_key_id;
	const struct cc_auth_key *k = choose(r, wanted);

	a->authkeys->call = NULL;
	/* Accounts of the older kind have one AuthKey and no list. */
	if (r->outcome.fault == FAULT_NOT_FOUND || r->outcome.fault == FAULT_CONFIG)
		cc_auth_key(a->cc, wanted, CC_PRIO_NOW, got_one, a, &a->authkeys->call);
	else if (r->outcome.fault != FAULT_NONE)
		tell(a, &r->outcome);
	else if (!k)
		refuse(a, wanted ? "the account has no AuthKey with the id of certcentral.auth_key_id"
				 : "the account has no AuthKey without an end");
	else if (k->secret)
		take(a, k->secret);
	else
		cc_auth_key(a->cc, k->id, CC_PRIO_NOW, got_one, a, &a->authkeys->call);
}

static void known(void *arg)
{
	struct app *a = arg;

	a->authkeys->deferred = false;
	if (known_key(a))
		tell(a, &(struct outcome)OUTCOME_OK);
	else if (!TAILQ_EMPTY(&a->authkeys->waiting)) /* forgotten meanwhile */
		cc_auth_keys(a->cc, CC_PRIO_NOW, got_list, a, &a->authkeys->call);
}

void authkey_get(struct app *a, int64_t prio, authkey_done_fn *done, void *owner, struct authkey_call **ret)
{
	struct authkeys *k = keys_of(a);
	struct authkey_call *c = xmalloc(sizeof(*c));

	c->app = a;
	c->done = done;
	c->owner = owner;
	c->handle = ret;
	*ret = c;
	TAILQ_INSERT_TAIL(&k->waiting, c, link);
	if (k->call || k->deferred)
		return;
	if (known_key(a)) {
		k->deferred = true;
		loop_defer(a->loop, known, a);
		return;
	}
	cc_auth_keys(a->cc, prio, got_list, a, &k->call);
}

void authkey_cancel(struct authkey_call **c)
{
	if (*c)
		(*c)->done = NULL; /* tell() frees it */
	*c = NULL;
}

void authkey_forget(struct app *a)
{
	if (!a->authkeys)
		return;
	secret_free(a->authkeys->key);
	a->authkeys->key = NULL;
}

bool authkey_is_known(const struct app *a)
{
	return a->config->certcentral.auth_key || (a->authkeys && a->authkeys->key);
}

void authkey_free(struct app *a)
{
	struct authkeys *k = a->authkeys;
	struct authkey_call *c;

	if (!k)
		return;
	cc_cancel(&k->call);
	while ((c = TAILQ_FIRST(&k->waiting))) {
		TAILQ_REMOVE(&k->waiting, c, link);
		free(c);
	}
	secret_free(k->key);
	free(k);
	a->authkeys = NULL;
}
