/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind dvcertctl's verbs share: an open request that is answered later. */
#pragma once

#include "daemon/app.h"

struct waiter;

/* What a kind of open request wants to hear of. changed and revoked may be NULL. */
struct waiter_kind {
	/* The peer has left, or (stopping) the program ends and the request has been answered: frees w, now or when what it
	 * waits for is done. Whoever goes on without a peer clears w->rq; with stopping nothing may go on but pool threads. */
	void (*gone)(struct waiter *w, bool stopping);
	/* The state word of a domain changed; NULL: some domains were removed. */
	void (*changed)(struct waiter *w, const struct domain *d);
	/* A step of its revocation was answered. */
	void (*revoked)(struct waiter *w, struct domain *d, const struct outcome *o);
};

/* The first member of what a verb keeps while its request is open. */
struct waiter {
	struct app *app;
	struct control_request *rq; /* NULL: the peer has left */
	const struct waiter_kind *kind;
	struct waiter *next;
};

/* From here on w hears of everything; it is the request's data. rq NULL: work that goes on after the answer. */
void waiter_begin(struct waiter *w, struct app *a, struct control_request *rq,
		  const struct waiter_kind *kind);
/* Takes w off the list and answers, if somebody is there to hear it. w itself is the caller's to free. Both take answer. */
void waiter_answer(struct waiter *w, struct json *answer);
void waiter_refuse_with(struct waiter *w, int exit_code, struct json *answer, const char *text);
void waiter_refuse(struct waiter *w, int exit_code, const char *fmt, ...) _printf_(3, 4);
/* Only takes it off the list. */
void waiter_end(struct waiter *w);

/* The exit code for a fault of CertCentral: may it be tried again (75), or not (1)? */
int verbs_code_of(const struct outcome *o);

/* All names of the request are ours? Otherwise it is refused there. */
bool verbs_know_names(struct app *a, struct control_request *rq);
/* The one domain that the request names; NULL: refused. */
struct domain *verbs_one(struct app *a, struct control_request *rq);
/* The same, refused as well when its state file must not be replaced. */
struct domain *verbs_one_to_change(struct app *a, struct control_request *rq);
extern const char VERBS_FROZEN[];
/* Arguments; absent is false / 0 / NULL. False: it has another type or is negative, and the request was refused. */
bool verbs_flag(struct control_request *rq, const char *key, bool *ret);
bool verbs_number(struct control_request *rq, const char *key, int64_t *ret);
bool verbs_text(struct control_request *rq, const char *key, const char **ret);

/* The verbs of the other files. */
void verb_wait(struct control_request *rq, void *arg);
void verb_renew(struct control_request *rq, void *arg);
void verb_reissue(struct control_request *rq, void *arg);
void verb_deploy(struct control_request *rq, void *arg);
void verb_rollback(struct control_request *rq, void *arg);
void verb_cancel(struct control_request *rq, void *arg);
void verb_revoke(struct control_request *rq, void *arg);
void verb_check_dcv(struct control_request *rq, void *arg);
void verb_resend_emails(struct control_request *rq, void *arg);
void verb_auth_key(struct control_request *rq, void *arg);
void verb_budget(struct control_request *rq, void *arg);
void verb_duplicate(struct control_request *rq, void *arg);
void verb_plan(struct control_request *rq, void *arg);
void verb_doctor(struct control_request *rq, void *arg);
