/* SPDX-License-Identifier: Apache-2.0 */
/* A job in any phase, and steps of it, for the tests of job.c and job_answer.c. */
#pragma once

#include "daemon/core/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "daemon/core/retry.h"

#define DAY   INT64_C(86400)
#define T0    INT64_C(1795248000)
#define TEMPO 60

static const char *const NAMES[] = { "a.example", "b.example" };
static const struct cfg_domain SPEC = { .name = "a.example",
					.common_name = "a.example",
					.names = NAMES,
					.n_names = 2,
					.product = "ssl_dv_geotrust",
					.dcv = { .webroot = "/srv/www" },
					.spec_hash = 1 };
_unused_ static const struct cfg_domain OTHER = { .name = "a.example",
						  .common_name = "a.example",
						  .names = NAMES,
						  .n_names = 1,
						  .product = "ssl_dv_geotrust",
						  .dcv = { .responder = true },
						  .spec_hash = 2 };
/* The same domain, proven in other ways. */
static const struct cfg_dns_provider CORP = { .name = "corp" };
#define SPEC_BY(m)                                                                                           \
	{                                                                                                    \
		.name = "a.example", .common_name = "a.example", .names = NAMES, .n_names = 2,               \
		.product = "ssl_dv_geotrust",                                                                \
		.dcv = { .method = (m), .provider = &CORP, .label = "_dnsauth" }, .spec_hash = 3 + (m)       \
	}
_unused_ static const struct cfg_domain SPEC_TXT = SPEC_BY(CFG_DCV_DNS_TXT_TOKEN);
_unused_ static const struct cfg_domain SPEC_CNAME = SPEC_BY(CFG_DCV_DNS_CNAME_TOKEN);
_unused_ static const struct cfg_domain SPEC_EMAIL = SPEC_BY(CFG_DCV_EMAIL);

_unused_ static const struct job_env ENV = { .spec = &SPEC,
					     .tempo = TEMPO,
					     .look = true,
					     .now = T0,
					     .order_allowed_at = T0,
					     .fresh_reference = "fresh" };

static inline void job_fixture_set(char **dst, const char *src)
{
	free(*dst);
	*dst = src ? xstrdup(src) : NULL;
}

static inline struct job_env env_of(const struct cfg_domain *spec)
{
	struct job_env env = ENV;

	env.spec = spec;
	return env;
}

/* A record whose job waits for the answer to what its phase does first. */
static inline struct record *record_in(enum job_phase phase)
{
	struct record *r = record_new("a.example");
	struct record_job *j = r->job = xmalloc(sizeof(*j));

	j->phase = phase;
	j->spec_hash = 1;
	j->reference = xstrdup("ours");
	j->generation = 1;
	j->names = xstrdup("a.example b.example");
	j->key = xstrdup("rsa 2048");
	j->is_paid = true;
	j->started_at = T0 - 500;
	if (phase == PHASE_PREPARE)
		return r;
	j->csr = xstrdup("CSR");
	j->submitted_at = T0 - 400;
	j->posts = 1;
	record_add_paid(r, T0 - 400);
	if (phase == PHASE_SUBMIT || phase == PHASE_RESOLVE)
		return r;
	j->order_id = 77;
	j->certificate_id = phase >= PHASE_DOWNLOAD ? 88 : 0;
	if (phase != PHASE_WAIT) {
		j->dcv_token = xstrdup("token");
		j->dcv_token_expires_at = T0 + 30 * DAY;
	}
	return r;
}

static inline struct job_update step_in(struct record *r, const struct job_env *env, struct job_event ev)
{
	struct job_update u;

	job_step(r, env, &ev, &u);
	return u;
}

static inline struct job_update step(struct record *r, struct job_event ev)
{
	return step_in(r, &ENV, ev);
}

static inline struct job_update fault_in(struct record *r, const struct job_env *env, enum job_op op,
					 enum fault f)
{
	struct outcome o = { .fault = f, .code = "code", .message = "words" };

	return step_in(r, env, (struct job_event){ .kind = EV_FAULT, .op = op, .outcome = &o });
}

static inline struct job_update done_in(struct record *r, const struct job_env *env, enum job_op op)
{
	return step_in(r, env, (struct job_event){ .kind = EV_DONE, .op = op });
}

static inline struct job_update fault(struct record *r, enum job_op op, enum fault f, int64_t retry_after)
{
	struct outcome o = { .fault = f, .retry_after = retry_after, .code = "code", .message = "words" };

	return step(r, (struct job_event){ .kind = EV_FAULT, .op = op, .outcome = &o });
}

static inline bool reported(const struct job_update *u, enum report_kind kind)
{
	for (unsigned i = 0; i < u->n_reports; i++) {
		if (u->reports[i].kind == kind)
			return true;
	}
	return false;
}
