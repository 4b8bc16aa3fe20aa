/* SPDX-License-Identifier: Apache-2.0 */
/* What remains to be done beside an issuance: deploying the installed generation to its targets, and
 * removing proofs that are not needed any more. Both are durable to-dos of the record: done only when they succeeded, tried
 * again until then. Pure, like job.c, and with the same kind of update. */
#pragma once

#include "daemon/core/job.h"

#define DUTY_NONE UINT32_MAX

/* Makes rec->deploys match the targets of the YAML: new ones become to-dos (when something is installed),
 * vanished ones are dropped, the order is that of the YAML. redo: all of them become to-dos. True when anything changed. */
bool duty_plan(struct record *rec, const struct cfg_domain *spec, bool redo);

/* This target is another place now: what was brought there does not count. True when anything changed. */
bool duty_redo(struct record *rec, const char *target);

/* Index of the first target that is due now, or DUTY_NONE. */
uint32_t duty_deploy_due(const struct record *rec, int64_t now);
/* The earliest time at which a target becomes due, DUE_NEVER when there is nothing to do. */
int64_t duty_deploy_next_at(const struct record *rec);
/* The same for the daily look at what is served: a `verify` that is done. */
uint32_t duty_look_due(const struct record *rec, int64_t tempo, int64_t now);
int64_t duty_look_next_at(const struct record *rec, int64_t tempo);
/* The deployment of rec->deploys[i], or a look at it, ended; docs/DEPLOYMENT.md has the rules. is_old: what is served instead is an
 * earlier certificate of ours. */
void duty_deploy_done(struct record *rec, uint32_t i, const struct job_env *env, const struct outcome *o,
		      bool is_old, struct job_update *u);

/* Pauses that end after `latest` were begun under a clock that was far ahead: they end now. */
void duty_end_far_pauses(struct record *rec, int64_t now, int64_t latest);

/* A proof that is not needed (any more) is removed: core/proof.h says which. */
uint32_t duty_clean_due(const struct record *rec, int64_t now);
int64_t duty_clean_next_at(const struct record *rec);
void duty_clean_done(struct record *rec, uint32_t i, const struct job_env *env, const struct outcome *o,
		     struct job_update *u);
