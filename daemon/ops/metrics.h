/* SPDX-License-Identifier: Apache-2.0 */
/* The text that a monitoring system reads: OpenMetrics 1.0, or Prometheus text 0.0.4. Pure: facts come in, text goes out. What
 * each metric means is told in docs/METRICS.md. Times are seconds since 1970; a time that is 0 is not shown. */
#pragma once

#include "common/strbuf.h"

/* One server that is looked at from outside. */
struct metrics_look {
	const char *target;
	bool match; /* it serves our certificate */
	int64_t at;
};

struct metrics_domain {
	const char *name;
	unsigned state; /* index into metrics.states */
	int64_t not_before, not_after;
	int64_t renew_at;
	int64_t order_valid_until;
	const char *action; /* NULL: none is planned */
	int64_t action_at;
	const char *error_code;	      /* NULL: no error */
	uint32_t n_undone;	      /* targets of deployment */
	uint32_t first_look, n_looks; /* a range of metrics.looks */
};

struct metrics_count {
	const char *what; /* endpoint; NULL: there is only one */
	int code;	  /* HTTP status; 0: no answer; else below 0: other */
	uint64_t n;
};

struct metrics_window {
	int64_t per;
	uint32_t requests, left;
};

/* How often the notify command was called, by event. */
#define METRICS_EVENTS 3
struct metrics_notices {
	const char *event;
	uint64_t n_done, n_failed;
};

struct metrics {
	const char *version;
	const char *const *states;
	unsigned n_states;
	const struct metrics_domain *domains;
	size_t n_domains;
	const struct metrics_look *looks;
	int64_t started_at, config_loaded_at;
	bool config_is_good; /* the last attempt to load it */
	bool key_is_accepted;
	const struct metrics_count *api, *scutum;
	size_t n_api, n_scutum;
	const struct metrics_window *windows;
	size_t n_windows;
	int64_t orders_allowed, orders_today;
	uint64_t orders_placed;
	int64_t polled_at, poll_interval; /* poll_interval 0: no poll is needed */
	int64_t busy_max_ms;
	unsigned n_stuck;
	uint64_t stuck_total;
	struct metrics_notices notices[METRICS_EVENTS];
	int64_t textfile_at; /* when the text is for a file */
};

/* Appends the whole exposition. */
void metrics_render(const struct metrics *m, bool openmetrics, struct strbuf *sb);

/* Does this Accept header prefer OpenMetrics to plain text? */
bool metrics_wants_openmetrics(const char *accept);
const char *metrics_content_type(bool openmetrics);
