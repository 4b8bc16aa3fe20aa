/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl duplicate`: another certificate of the installed one's order, for a key that dvcertd never sees. The request of that key comes
 * over the socket, the chain goes back. Nothing is kept: whoever repeats the command with the same request picks up the same
 * duplicate, because the order's list is asked before anything is posted. */
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/words.h"

#include <errno.h>
#include <sysexits.h>

#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S     86400

struct duplicate {
	struct waiter w;
	struct timer *timer;
	struct cc_call *call;
	struct work *work;
	char *name;
	char *csr;
	char *names; /* of the certificate: a duplicate has the same */
	int64_t order_id;
	int64_t certificate_id; /* of the duplicate; 0: not known yet */
	int64_t until;
	bool posted;
	bool needs_approval;
};

/* What a pool thread gets. pem NULL: only the request is checked. */
struct checking {
	struct duplicate *duplicate;
	struct shared_trust *trust;
	struct words names;
	char *csr;
	char *pem;
	struct chain *chain; /* result */
	bool is_our_fault;   /* the request is wrong, not the answer */
	int rc;
	struct err err;
};

static void ask_list(struct duplicate *p);

static void duplicate_free(struct duplicate *p)
{
	cc_cancel(&p->call);
	timer_free(p->timer);
	free(p->name);
	free(p->csr);
	free(p->names);
	free(p);
}

static void checking_free(struct checking *c)
{
	trust_put(c->trust);
	words_done(&c->names);
	free(c->csr);
	free(c->pem);
	chain_free(c->chain);
	free(c);
}

static void checking_drop(void *arg)
{
	checking_free(arg);
}

static void gone(struct waiter *w, _unused_ bool stopping)
{
	struct duplicate *p = container_of(w, struct duplicate, w);

	waiter_end(w);
	if (p->work)
		work_cancel(&p->work, checking_drop);
	duplicate_free(p);
}

/* --- the ends --- */

static struct json *answer_new(const struct duplicate *p, const char *result, const char *message)
{
	struct json *o = json_new_obj();

	json_set_str(o, "name", p->name);
	json_set_str(o, "result", result);
	json_set_str(o, "message", message);
	json_set_i64(o, "order_id", p->order_id);
	if (p->certificate_id)
		json_set_i64(o, "certificate_id", p->certificate_id);
	else
		json_set_null(o, "certificate_id");
	return o;
}

static void refuse(struct duplicate *p, int code, const char *text)
{
	waiter_refuse(&p->w, code, "%s: %s", p->name, text);
	duplicate_free(p);
}

/* Not yet: asks again after a while, or leaves it to the next command. */
static void later(struct duplicate *p, const char *why)
{
	int64_t tempo = p->w.app->config->certcentral.poll_interval;

	if (clock_now() + tempo <= p->until) {
		timer_set(p->timer, tempo * 1000);
		return;
	}
	waiter_answer(&p->w, answer_new(p, p->needs_approval ? "approval" : "pending", why));
	duplicate_free(p);
}

/* What may pass is asked again; the rest is told. */
static void fault(struct duplicate *p, const struct outcome *o)
{
	if (verbs_code_of(o) == EX_TEMPFAIL)
		later(p, o->message);
	else
		refuse(p, EXIT_FAILURE, o->message);
}

static void issued(struct duplicate *p, const struct chain *c)
{
	struct json *o = answer_new(p, "issued", "");

	json_set_str(o, "serial", c->info.serial);
	json_set_time(o, "not_before", c->info.not_before);
	json_set_time(o, "not_after", c->info.not_after);
	json_set_str(o, "cert", c->cert);
	json_set_str(o, "chain", c->chain);
	json_set_str(o, "fullchain", c->fullchain);
	log_event(LOG_LEVEL_INFO, NULL, &(struct log_ctx){ NULL, "DVCERT_NAME", p->name },
		  "duplicate %lld of order %lld handed over", (long long)p->certificate_id,
		  (long long)p->order_id);
	waiter_answer(&p->w, o);
	duplicate_free(p);
}

/* --- in the pool --- */

static void check_run(void *arg)
{
	struct checking *c = arg;
	_cleanup_(key_freep) struct key *key = NULL;

	c->is_our_fault = true;
	c->rc = csr_key(c->csr, strlen(c->csr), &key, &c->err);
	if (c->rc < 0 || !c->pem)
		return;
	c->is_our_fault = false;
	c->rc = chain_check(c->pem, strlen(c->pem), key, (const char *const *)c->names.list, c->names.n,
			    clock_now(), c->trust->trust, &c->chain, &c->err);
}

static void check_done(void *arg)
{
	struct checking *c = arg;
	struct duplicate *p = c->duplicate;

	p->work = NULL;
	if (c->rc < 0)
		refuse(p, c->is_our_fault ? EX_USAGE : EXIT_FAILURE, c->err.text);
	else if (c->chain)
		issued(p, c->chain);
	else
		ask_list(p);
	checking_free(c);
}

static void check(struct duplicate *p, const char *pem, size_t len)
{
	struct checking *c = xmalloc(sizeof(*c));

	c->duplicate = p;
	c->trust = trust_get(p->w.app);
	c->csr = xstrdup(p->csr);
	c->pem = pem ? xstrndup(pem, len) : NULL;
	words_split(p->names, &c->names);
	work_start(p->w.app->loop, check_run, check_done, c, &p->work);
}

/* --- questions --- */

static void downloaded(const struct cc_reply *r, void *owner)
{
	struct duplicate *p = owner;

	p->call = NULL;
	if (r->outcome.fault == FAULT_NONE)
		check(p, r->pem, r->pem_len);
	else if (r->outcome.fault == FAULT_NOT_FOUND)
		later(p, "the CA has not issued it yet");
	else
		fault(p, &r->outcome);
}

static void download(struct duplicate *p, int64_t certificate_id)
{
	p->certificate_id = certificate_id;
	cc_download(p->w.app->cc, certificate_id, CC_PRIO_NOW, downloaded, p, &p->call);
}

static void posted(const struct cc_reply *r, void *owner)
{
	struct duplicate *p = owner;

	p->call = NULL;
	p->posted = r->outcome.fault == FAULT_NONE || r->outcome.fault == FAULT_UNCLEAR ||
		    r->outcome.fault == FAULT_DUPLICATE;
	if (r->outcome.fault == FAULT_DUPLICATE) {
		later(p, r->outcome.message);
	} else if (r->outcome.fault != FAULT_NONE) {
		fault(p, &r->outcome);
	} else if (r->pem) {
		p->certificate_id = r->certificate_id;
		check(p, r->pem, r->pem_len);
	} else if (r->certificate_id && !r->needs_approval) {
		download(p, r->certificate_id);
	} else {
		p->needs_approval = r->needs_approval;
		later(p, p->needs_approval ? "it waits for an approval in the CertCentral console"
					   : "the CA has not issued it yet");
	}
}

static void post(struct duplicate *p)
{
	_cleanup_words_ struct words names = WORDS_INIT;
	struct cc_order order = { .csr = p->csr };

	words_split(p->names, &names);
	order.names = (const char *const *)names.list;
	order.n_names = names.n;
	cc_order_duplicate(p->w.app->cc, p->order_id, &order, CC_PRIO_NOW, posted, p, &p->call);
}

/* Ours in the list: a good one before others. Those that came to nothing do not count. */
static const struct cc_cert *find_ours(const struct duplicate *p, const struct cc_reply *r)
{
	const struct cc_cert *best = NULL;

	for (size_t i = 0; i < r->n_certs; i++) {
		const struct cc_cert *c = &r->certs[i];

		if (!c->csr || !csr_same(c->csr, p->csr) || c->status == CC_STATUS_REJECTED ||
		    c->status == CC_STATUS_CANCELED)
			continue;
		if (!best || c->status == CC_STATUS_ISSUED)
			best = c;
	}
	return best;
}

static void listed(const struct cc_reply *r, void *owner)
{
	struct duplicate *p = owner;
	const struct cc_cert *ours = find_ours(p, r);

	p->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		fault(p, &r->outcome);
	} else if (!ours && !p->posted) {
		post(p);
	} else if (!ours) {
		later(p, "not known yet whether the CA has taken it");
	} else if (ours->status == CC_STATUS_REVOKED || ours->status == CC_STATUS_EXPIRED) {
		refuse(p, EXIT_FAILURE,
		       "the duplicate for this request is revoked or has expired: take a new key");
	} else if (ours->status == CC_STATUS_ISSUED && ours->certificate_id) {
		download(p, ours->certificate_id);
	} else {
		p->certificate_id = ours->certificate_id;
		p->needs_approval = ours->status == CC_STATUS_NEEDS_APPROVAL;
		later(p, p->needs_approval ? "it waits for an approval in the CertCentral console"
					   : "the CA has not issued it yet");
	}
}

static void ask_list(struct duplicate *p)
{
	cc_duplicates(p->w.app->cc, p->order_id, CC_PRIO_NOW, listed, p, &p->call);
}

static void ask_again(void *arg)
{
	ask_list(arg);
}

/* --- the verb --- */

/* Why there can be no duplicate; NULL when there can. */
static const char *why_not(const struct domain *d)
{
	const struct record_cert *c = &d->rec->cert;

	if (c->generation == 0)
		return "nothing is installed yet, so there is nothing to duplicate";
	if (c->order_id == 0)
		return "the order of its certificate is not known here";
	if (c->order_over || c->revoked_at)
		return "its certificate is revoked, or the order is over";
	if (c->not_after <= clock_now())
		return "its certificate has expired";
	if (d->rec->job && d->rec->job->kind == JOB_REISSUE)
		return "a reissue of its order is under way: wait for it";
	return NULL;
}

void verb_duplicate(struct control_request *rq, void *arg)
{
	static const struct waiter_kind KIND = { .gone = gone };
	struct domain *d = verbs_one(arg, rq);
	int64_t timeout = WAIT_DEFAULT_S;
	const char *csr = NULL, *why;
	struct duplicate *p;

	if (!d || !verbs_text(rq, "csr", &csr))
		return;
	why = csr ? why_not(d) : "a certificate request is needed";
	if (why) {
		control_refuse(rq, csr ? EXIT_FAILURE : EX_USAGE, "%s: %s", d->rec->name, why);
		return;
	}
	if (json_get_i64(control_args(rq), "timeout", &timeout) < 0 || timeout < 0 || timeout > WAIT_MAX_S) {
		control_refuse(rq, EX_USAGE, "timeout must be a number of seconds up to %d", WAIT_MAX_S);
		return;
	}
	p = xmalloc(sizeof(*p));
	p->name = xstrdup(d->rec->name);
	p->csr = xstrdup(csr);
	p->names = xstrdup(d->rec->cert.names);
	p->order_id = d->rec->cert.order_id;
	p->until = clock_now() + timeout;
	waiter_begin(&p->w, d->app, rq, &KIND);
	p->timer = timer_new(d->app->loop, ask_again, p);
	check(p, NULL, 0);
}
