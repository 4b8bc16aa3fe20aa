/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in public for a job while its names are being proven: a value at the responder, and the turn in a webroot that several
 * orders share. What was put up, and where, is in the record (core/proof.h); this is only about who may. */
#include "daemon/app.h"

#include "common/mem.h"
#include "common/words.h"
#include "daemon/core/proof.h"

/* On the way out the responder goes first. */
void places_unserve(struct domain *d)
{
	struct served *s = d->served;
	_cleanup_words_ struct words names = WORDS_INIT;

	if (!s)
		return;
	words_split(s->names, &names);
	for (size_t i = 0; i < names.n && d->app->responder; i++)
		responder_remove(d->app->responder, names.list[i], s->token);
	free(s->token);
	free(s->names);
	free(s);
	d->served = NULL;
}

/* What the responder should show now; NULL: nothing. Request tokens are shown before there is an order. */
static char *wanted(const struct domain *d)
{
	const struct record_job *j = d->rec->job;

	if (!j || j->issued || !j->dcv_token || !d->spec->dcv.responder || (j->order_id == 0 && !j->instant))
		return NULL;
	return proof_file_text(j->dcv_token);
}

void places_serve(struct domain *d)
{
	_cleanup_free_ char *token = d->app->responder ? wanted(d) : NULL;
	_cleanup_words_ struct words names = WORDS_INIT;

	if (!d->app->responder || (d->served && token && strcmp(d->served->token, token) == 0))
		return;
	places_unserve(d);
	if (!token)
		return;
	d->served = xmalloc(sizeof(*d->served));
	d->served->token = TAKE_PTR(token);
	d->served->names = xstrdup(d->rec->job->names);
	words_split(d->served->names, &names);
	for (size_t i = 0; i < names.n; i++)
		responder_add(d->app->responder, names.list[i], d->served->token);
}

void places_yield(struct domain *d)
{
	struct job_update u;
	struct job_env env;

	if (!turn_should_yield(&d->turn, d->rec))
		return;
	runner_env(d, &env);
	job_step(d->rec, &env, &(struct job_event){ .kind = EV_YIELD }, &u);
	if (u.persist && !d->rec->frozen)
		runner_flight(d)->dirty = true;
}

void places_free(struct domain *d)
{
	const struct flight *f = d->flight;

	if (f && (operation_kind(f->operation) == OP_PUBLISH || f->start_next == OP_PUBLISH))
		return;
	if (turn_is_done(&d->turn, d->rec))
		lock_release(d);
}
