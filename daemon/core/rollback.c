/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/rollback.h"

#include "common/timefmt.h"
#include "daemon/core/job.h"

#include <errno.h>

int rollback_check(const struct record *rec, int64_t now, struct err *reterr)
{
	const struct record_cert *p = rec->previous;
	char at[TIMEFMT_MAX];

	if (rec->job)
		return err_set(reterr, -EINVAL,
			       "an issuance is under way (%s): wait for it, or dvcertctl cancel",
			       job_phase_name(rec->job->phase));
	if (rec->cert.generation == 0)
		return err_set(reterr, -EINVAL, "nothing is installed yet");
	if (!p)
		return err_set(reterr, -EINVAL, "there is no certificate before generation %04u",
			       rec->cert.generation);
	if (p->not_after <= now)
		return err_set(reterr, -EINVAL, "the certificate of generation %04u has expired at %s",
			       p->generation, timefmt_rfc3339(p->not_after, at));
	if (p->revoked_at != 0)
		return err_set(reterr, -EINVAL, "the certificate of generation %04u is revoked",
			       p->generation);
	if (p->key_lost)
		return err_set(reterr, -EINVAL, "the key of generation %04u is lost", p->generation);
	return 0;
}

void rollback_apply(struct record *rec, int64_t now)
{
	struct record_cert left = rec->cert;
	bool forth = rec->previous->generation > left.generation;

	rec->cert = *rec->previous;
	*rec->previous = left;
	rec->rest_until = 0;
	if (forth)
		return;
	/* The next certificate comes from the plan that was paid last; that its order shows another certificate than ours is known. */
	rec->cert.order_id = left.order_id;
	rec->cert.order_valid_until = left.order_valid_until;
	rec->cert.order_over = left.order_over;
	rec->cert.other_id = left.certificate_id;
	rec->rest_until = now + MIN((rec->cert.not_after - now) / 2, ROLLBACK_REST_MAX);
}
