/* SPDX-License-Identifier: Apache-2.0 */
/* What would happen to a domain now, down to the requests that an undisturbed issuance takes, and what after that. Pure: it
 * follows decide.c and the phases of job.c, and is right as long as they are. */
#pragma once

#include "daemon/core/decide.h"

enum forecast_action {
	FORECAST_NONE,
	FORECAST_ORDER,
	FORECAST_REISSUE,
	FORECAST_RESUME, /* an issuance is under way */
	FORECAST_DEPLOY, /* only targets are left to be served */
	FORECAST_NR
};

/* "none", "order", "reissue", "resume", "deploy". */
const char *forecast_action_name(enum forecast_action a);

struct forecast_env {
	struct view view;    /* order_allowed_at: when this domain may post */
	int64_t plan_life;   /* certcentral.order_years, in seconds */
	bool instant;	     /* certcentral.instant_issuance */
	bool auth_key_known; /* ... and the AuthKey need not be asked for */
};

#define FORECAST_CALLS_MAX 8
#define FORECAST_CALL_LEN  192

struct forecast {
	enum forecast_action action;
	enum reason reason;
	int64_t at;	/* of the action; NONE: 0 */
	bool is_paid;	/* its post costs money, or may */
	bool postponed; /* the day's orders are spent until at */
	bool at_least;	/* somebody's click is awaited meanwhile, and asked for */
	bool asks_auth_key;
	bool names_differ, loses_names, gains_names; /* against the installed certificate */
	bool key_differs;			     /* ... and its kind of key */
	unsigned n_calls;
	char calls[FORECAST_CALLS_MAX][FORECAST_CALL_LEN]; /* "POST /order/certificate/ssl_dv_geotrust" */
	enum want then;					   /* after that, as far as can be seen now */
	int64_t then_at;				   /* DUE_NEVER: nothing is planned */
};

/* Fills ret; allocates nothing that stays. */
void forecast(const struct forecast_env *env, struct forecast *ret);
