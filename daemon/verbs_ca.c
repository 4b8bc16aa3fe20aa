/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that ask CertCentral one question: cancel, check-dcv, resend-emails, auth-key. What follows from the answer for
 * an issuance is the core's business: it only gets a hint to look. */
#include "daemon/authkey.h"
#include "daemon/verbs.h"

#include "common/mem.h"
#include "common/words.h"

#include <sysexits.h>

struct asking {
	struct waiter w;
	struct cc_call *call;
	char *name; /* of the domain; NULL: about the account */
	int64_t order_id;
};

static void asking_free(struct asking *k)
{
	cc_cancel(&k->call);
	free(k->name);
	free(k);
}

static void question_gone(struct waiter *w, _unused_ bool stopping)
{
	waiter_end(w);
	asking_free(container_of(w, struct asking, w));
}

/* What changes something at the CA is waited for without a peer as well: something follows from it here. */
static void command_gone(struct waiter *w, bool stopping)
{
	w->rq = NULL;
	if (stopping)
		question_gone(w, stopping);
}

static const struct waiter_kind QUESTION = { .gone = question_gone };
static const struct waiter_kind COMMAND = { .gone = command_gone };

static struct asking *asking_new(struct app *a, struct control_request *rq, const struct waiter_kind *kind,
				 const struct domain *d)
{
	struct asking *k = xmalloc(sizeof(*k));

	k->name = d ? xstrdup(d->rec->name) : NULL;
	k->order_id = d ? d->rec->job->order_id : 0;
	waiter_begin(&k->w, a, rq, kind);
	return k;
}

static struct json *answer_for(const struct asking *k)
{
	struct json *o = json_new_obj();

	json_set_str(o, "name", k->name);
	json_set_i64(o, "order_id", k->order_id);
	return o;
}

static void refuse(struct asking *k, const struct outcome *o)
{
	struct json *j = json_new_obj();

	json_set_str(j, "ca_code", o->code);
	waiter_refuse_with(&k->w, verbs_code_of(o), j, o->message);
}

/* Its issuance, if it is still the same one. */
static struct domain *still(const struct asking *k)
{
	struct domain *d = domain_find(k->w.app, k->name);

	return d && d->rec->job && d->rec->job->order_id == k->order_id ? d : NULL;
}

/* Ends what is under way for a job, so that something else can begin. A pool thread cannot be stopped: not while one is at it. */
static void interrupt(struct domain *d)
{
	operation_cancel(d);
	if (d->flight)
		d->flight->start_next = OP_NONE;
}

static bool is_in_pool(const struct domain *d)
{
	return d->flight && operation_is_local(d->flight->operation);
}

/* --- cancel --- */

/* Order info says what became of it, and the step draws the conclusion. Where a pool thread is at it, the next question to the CA
 * brings it there. */
static void look_at_order(struct domain *d)
{
	const struct record_job *j = d->rec->job;

	if (d->rec->held || j->next_at != 0) {
		runner_event(d, &(struct job_event){ .kind = EV_RELEASE });
	} else if (j->phase <= PHASE_WAIT && !is_in_pool(d)) {
		interrupt(d);
		runner_event(d, &(struct job_event){ .kind = EV_RESTART });
	}
}

static void canceled(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;
	struct domain *d = still(k);
	struct json *o;

	k->call = NULL;
	if (r->outcome.fault == FAULT_NONE) {
		o = answer_for(k);
		json_set_str(o, "result", "canceled");
		waiter_answer(&k->w, o);
	} else {
		refuse(k, &r->outcome);
	}
	asking_free(k);
	if (d && (r->outcome.fault == FAULT_NONE || r->outcome.fault == FAULT_UNCLEAR))
		look_at_order(d);
}

static void cancel_here(struct control_request *rq, struct domain *d)
{
	struct json *o = json_new_obj();
	bool is_local = is_in_pool(d);

	/* It ends with the answer to what is under way. What may take long (its turn in a webroot, a look) is called off. */
	if (!is_local)
		interrupt(d);
	runner_event(d, &(struct job_event){ .kind = EV_CANCEL });
	if (d->rec->job && !is_local)
		runner_event(d, &(struct job_event){ .kind = EV_RESTART });
	json_set_str(o, "name", d->rec->name);
	json_set_null(o, "order_id");
	json_set_str(o, "result", "canceled");
	control_answer(rq, o);
}

/* Why this one cannot be canceled now; true: the request was answered. */
static bool cannot_cancel(struct control_request *rq, const struct domain *d)
{
	const struct record_job *j = d->rec->job;
	bool yes = false;

	if (!j) {
		struct json *o = json_new_obj();

		json_set_str(o, "name", d->rec->name);
		json_set_null(o, "order_id");
		json_set_str(o, "result", "nothing");
		control_answer(rq, o);
		return true;
	}
	if (!verbs_flag(rq, "yes", &yes))
		return true;
	if (j->order_id == 0 && j->submitted_at != 0) {
		control_refuse(rq, EX_TEMPFAIL,
			       "%s: not known yet whether the CA has taken the order, try again later",
			       d->rec->name);
		return true;
	}
	if (yes)
		return false;
	if (j->order_id == 0)
		control_refuse(
			rq, EX_USAGE,
			"%s: this ends an issuance before anything was ordered; the domain is held until "
			"`dvcertctl renew`. If that is meant, add --yes",
			d->rec->name);
	else
		control_refuse(rq, EX_USAGE,
			       "%s: this cancels %sorder %lld at the CA; the domain is held until "
			       "`dvcertctl renew`, what is installed stays. If that is meant, add --yes",
			       d->rec->name, j->kind == JOB_REISSUE ? "the reissue of " : "",
			       (long long)j->order_id);
	return true;
}

void verb_cancel(struct control_request *rq, void *arg)
{
	struct domain *d = verbs_one_to_change(arg, rq);
	struct asking *k;

	if (!d || cannot_cancel(rq, d))
		return;
	if (d->rec->job->order_id == 0) {
		cancel_here(rq, d);
		return;
	}
	k = asking_new(d->app, rq, &COMMAND, d);
	runner_event(d, &(struct job_event){ .kind = EV_CANCEL });
	cc_order_cancel(d->app->cc, k->order_id, CC_PRIO_NOW, canceled, k, &k->call);
}

/* --- check-dcv, resend-emails --- */

/* The one domain with an order whose names are to be proven; NULL: the request was answered. */
static struct domain *one_to_prove(struct app *a, struct control_request *rq)
{
	struct domain *d = verbs_one(a, rq);
	const struct record_job *j = d ? d->rec->job : NULL;
	struct json *o;

	if (!d || (j && j->order_id != 0 && !j->issued))
		return d;
	o = json_new_obj();
	json_set_str(o, "name", d->rec->name);
	json_set_str(o, "result", "nothing");
	control_answer(rq, o);
	return NULL;
}

static struct json *words_json(const char *text)
{
	_cleanup_words_ struct words w = WORDS_INIT;
	struct json *a = json_new_arr();

	words_split(text, &w);
	for (size_t i = 0; i < w.n; i++)
		json_add_str(a, w.list[i]);
	return a;
}

static void checked(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;
	struct domain *d = still(k);
	bool validated = r->validated;
	struct json *o;

	k->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		refuse(k, &r->outcome);
		asking_free(k);
		return;
	}
	o = answer_for(k);
	json_set_str(o, "result", validated ? "validated" : "not_validated");
	json_set_bool(o, "validated", validated);
	json_set(o, "not_validated", words_json(r->not_validated));
	json_set_str(o, "order_status", r->status_word ? r->status_word : "pending");
	json_set_str(o, "message", r->outcome.message);
	waiter_answer(&k->w, o);
	asking_free(k);
	if (d && validated)
		runner_event(d, &(struct job_event){ .kind = EV_HINT, .order_state = ORDER_ISSUED });
}

void verb_check_dcv(struct control_request *rq, void *arg)
{
	struct domain *d = one_to_prove(arg, rq);
	struct asking *k;

	if (!d)
		return;
	if (d->rec->job->method == CFG_DCV_EMAIL) {
		control_refuse(
			rq, EXIT_FAILURE,
			"%s: there is nothing that the CA could look at: somebody has to follow the link "
			"in the mail; `dvcertctl resend-emails %s` has it sent again",
			d->rec->name, d->rec->name);
		return;
	}
	k = asking_new(d->app, rq, &QUESTION, d);
	cc_dcv_check(d->app->cc, k->order_id, CC_PRIO_NOW, checked, k, &k->call);
}

static void resent(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;
	struct json *o;

	k->call = NULL;
	if (r->outcome.fault != FAULT_NONE) {
		refuse(k, &r->outcome);
	} else {
		o = answer_for(k);
		json_set_str(o, "result", "sent");
		waiter_answer(&k->w, o);
	}
	asking_free(k);
}

void verb_resend_emails(struct control_request *rq, void *arg)
{
	struct domain *d = one_to_prove(arg, rq);
	struct asking *k;

	if (!d)
		return;
	if (d->rec->job->method != CFG_DCV_EMAIL) {
		control_refuse(rq, EXIT_FAILURE, "%s: its order is validated by %s, there is no mail",
			       d->rec->name, cfg_dcv_method_name(d->rec->job->method));
		return;
	}
	k = asking_new(d->app, rq, &QUESTION, d);
	cc_resend_emails(d->app->cc, k->order_id, CC_PRIO_NOW, resent, k, &k->call);
}

/* --- auth-key --- */

static struct json *auth_key_json(const struct app *a, const struct cc_auth_key *key)
{
	const struct cfg_certcentral *c = &a->config->certcentral;
	struct json *o = json_new_obj();
	bool is_ours = c->auth_key_id ? strcmp(key->id, c->auth_key_id) == 0 : key->expires_at == 0;

	json_set_str(o, "id", key->id);
	json_set_str(o, "kind", key->expires_at ? "temporary" : "permanent");
	json_set_time(o, "expires_at", key->expires_at);
	json_set_str(o, "status", key->status_word);
	json_set_bool(o, "used", c->instant_issuance && !c->auth_key && is_ours);
	return o;
}

static void answer_keys(struct asking *k, const struct cc_reply *r, const char *result)
{
	struct json *o = json_new_obj(), *list = json_new_arr();

	for (size_t i = 0; i < r->n_auth_keys; i++)
		json_add(list, auth_key_json(k->w.app, &r->auth_keys[i]));
	json_set_str(o, "result", json_arr_len(list) > 0 ? result : "nothing");
	json_set(o, "auth_keys", list);
	waiter_answer(&k->w, o);
}

static void told_one(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;

	k->call = NULL;
	if (r->outcome.fault == FAULT_NONE || r->outcome.fault == FAULT_NOT_FOUND)
		answer_keys(k, r, "listed");
	else
		refuse(k, &r->outcome);
	asking_free(k);
}

/* Accounts of the older kind have one AuthKey and no list. */
static void told_list(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;

	k->call = NULL;
	if (r->outcome.fault == FAULT_NOT_FOUND || r->outcome.fault == FAULT_CONFIG)
		cc_auth_key(k->w.app->cc, NULL, CC_PRIO_NOW, told_one, k, &k->call);
	else
		told_one(r, owner);
}

/* With the next order dvcertd asks which key there is. */
static void created(const struct cc_reply *r, void *owner)
{
	struct asking *k = owner;

	k->call = NULL;
	if (r->outcome.fault == FAULT_NONE) {
		authkey_forget(k->w.app);
		answer_keys(k, r, "created");
	} else {
		refuse(k, &r->outcome);
	}
	asking_free(k);
}

static void create(struct app *a, struct control_request *rq)
{
	int64_t days = 0;
	bool yes = false;
	struct asking *k;

	if (!verbs_flag(rq, "yes", &yes) || !verbs_number(rq, "days", &days))
		return;
	if (!yes) {
		control_refuse(
			rq, EX_USAGE,
			"this makes an AuthKey in the account, %s: whoever has it can prove names for the "
			"account's orders. If that is meant, add --yes",
			days ? "for a while" : "without an end");
		return;
	}
	k = asking_new(a, rq, &COMMAND, NULL);
	cc_auth_key_create(a->cc, days, CC_PRIO_NOW, created, k, &k->call);
}

void verb_auth_key(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	const char *action = NULL;
	struct asking *k;

	if (!verbs_text(rq, "action", &action))
		return;
	if (action && strcmp(action, "create") == 0) {
		create(a, rq);
	} else if (action && strcmp(action, "show") == 0) {
		k = asking_new(a, rq, &QUESTION, NULL);
		cc_auth_keys(a->cc, CC_PRIO_NOW, told_list, k, &k->call);
	} else {
		control_refuse(rq, EX_USAGE, "auth-key: show or create?");
	}
}
