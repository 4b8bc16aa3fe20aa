/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out rec->revocation (core/outside.h): sends it, approves it where we may, and looks until the CA shows it. */
#include "daemon/app.h"

#include "common/clock.h"
#include "common/mem.h"

struct revoking {
	struct domain *domain;
	enum revoke_op op;
	struct cc_call *call;
};

/* "revoked" by the certificate's own word, or by that of the order, whichever the CA shows. */
static bool shows_revoked(const struct record_revocation *v, const struct cc_reply *r)
{
	return r->status == CC_STATUS_REVOKED ||
	       (v->certificate_id != 0 && r->certificate_id == v->certificate_id &&
		r->cert_status == CC_STATUS_REVOKED);
}

static void answered(const struct cc_reply *r, void *owner)
{
	struct revoking *v = owner;
	struct domain *d = v->domain;
	const struct record_revocation *rv = d->rec->revocation;
	bool revoked = rv && v->op == REVOKE_LOOK && r->outcome.fault == FAULT_NONE && shows_revoked(rv, r);
	struct job_update u = { 0 };
	struct job_env env;

	d->flight->revoking = NULL;
	/* CertCentral ends an order with its last good certificate: no reissue can follow, only another order. */
	if (revoked && r->status == CC_STATUS_REVOKED && rv->order_id == d->rec->cert.order_id)
		d->rec->cert.order_over = true;
	runner_env(d, &env);
	revoke_done(d->rec, &env, v->op, &r->outcome, r->request_id, revoked, &u);
	verbs_revocation(d, &r->outcome);
	free(v);
	runner_update(d, &u);
}

static void send_it(struct revoking *v, const struct record_revocation *rv)
{
	struct cc_revocation what = { .order_id = rv->order_id,
				      .certificate_id = rv->certificate_id,
				      .reason = rv->reason };

	cc_revoke(v->domain->app->cc, &what, CC_PRIO_NOW, answered, v, &v->call);
}

void revoking_start(struct domain *d)
{
	enum revoke_op op = revoke_due(d->rec, clock_now());
	const struct record_revocation *rv = d->rec->revocation;
	struct cc *cc = d->app->cc;
	struct revoking *v;

	if (op == REVOKE_NONE || d->is_leaving || (d->flight && d->flight->revoking))
		return;
	v = xmalloc(sizeof(*v));
	v->domain = d;
	v->op = op;
	runner_flight(d)->revoking = v;
	switch (op) {
	case REVOKE_SEND: send_it(v, rv); break;
	case REVOKE_APPROVE:
		cc_request_status(cc, rv->request_id, true, CC_PRIO_NOW, answered, v, &v->call);
		break;
	case REVOKE_LOOK: cc_order_info(cc, rv->order_id, CC_PRIO_NOW, answered, v, &v->call); break;
	case REVOKE_NONE: break;
	}
}

void revoking_cancel(struct domain *d)
{
	struct revoking *v = d->flight->revoking;

	if (!v)
		return;
	cc_cancel(&v->call);
	d->flight->revoking = NULL;
	free(v);
}
