/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by job.c and job_answer.c only. */
#pragma once

#include "daemon/core/job.h"

struct job_ctx {
	struct record *rec;
	struct record_job *job; /* rec->job */
	const struct job_env *env;
	const struct job_event *ev;
	struct job_update *u;
};

/* Moves to another phase and starts its operation, now (at 0) or later. The move must be in the table. */
void job_go(struct job_ctx *c, enum job_phase to);
void job_go_at(struct job_ctx *c, enum job_phase to, int64_t at);

/* Starts what the present phase has to do. */
void job_begin(struct job_ctx *c);
enum job_op job_next_op(const struct job_ctx *c);
/* The CA's random value, or our request tokens, with all that is known of how it fares; NULL: there is none any more. */
void job_take_value(struct record_job *j, const char *value, int64_t expires_at);
bool job_value_is_usable(const struct job_ctx *c);
/* E-mail: nothing is published, somebody has to click. */
bool job_waits_for_click(const struct job_ctx *c);

/* The operation failed and is repeated by itself after a growing pause (or the given one). */
void job_retry(struct job_ctx *c, const struct outcome *o);
void job_retry_at(struct job_ctx *c, const char *code, const char *message, int64_t delay);

/* Stops until a person releases the domain. job_give_up also ends the job: nothing of it can be continued. */
void job_hold(struct job_ctx *c, const char *code, const char *message);
void job_give_up(struct job_ctx *c, const char *code, const char *message);
/* Forgets the job; what is wanted next is decided anew. */
void job_end(struct job_ctx *c);
/* Gives up a job that a person canceled and of which nothing can be at the CA. */
bool job_end_if_canceled(struct job_ctx *c);

/* tempo * 2^attempt with cap and jitter. */
int64_t job_pause(const struct job_ctx *c, unsigned attempt, int64_t cap);

/* The answer to an operation (EV_DONE, EV_FAULT). c->job is not NULL. */
void job_answer(struct job_ctx *c);

/* --- between job_answer.c and job_dcv.c --- */

/* Faults of requests that may be repeated freely. */
void job_question_fault(struct job_ctx *c);
/* The CA says, in whatever answer, that the order is issued. */
void job_order_issued(struct job_ctx *c);
void job_wait_for_click(struct job_ctx *c);
/* From the request on that tells the CA another method until it is answered, the order may have either. */
void job_doubt_method(struct job_ctx *c);
void job_on_token(struct job_ctx *c);
void job_on_method(struct job_ctx *c);
void job_on_targets(struct job_ctx *c);
void job_on_publish(struct job_ctx *c);
void job_on_look(struct job_ctx *c);
void job_on_check(struct job_ctx *c);
