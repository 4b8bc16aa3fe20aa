/* SPDX-License-Identifier: Apache-2.0 */
/* The renderer. The samples of a family stand together, so there is one pass over the domains for each family; what the samples
 * of a pass share is formatted once, because ten thousand domains are a hundred thousand lines. */
#include "daemon/ops/metrics.h"

#include <stdlib.h>
#include <string.h>

enum family_type { GAUGE, COUNTER, INFO };

struct family {
	const char *name; /* of the family, without the suffix of its samples */
	enum family_type type;
	const char *help;
};

/* docs/METRICS.md, the alert rules and the dashboard may name these and no others: tests/lint/metrics.py. */
static const struct family
	BUILD = { "dvcertd_build", INFO, "Version of the running daemon." },
	STARTED = { "dvcertd_start_timestamp_seconds", GAUGE, "When the daemon started." },
	CONFIG_AT = { "dvcertd_config_load_timestamp_seconds", GAUGE,
		      "When the configuration in force was loaded." },
	CONFIG_GOOD = { "dvcertd_config_load_success", GAUGE,
			"Whether the last attempt to load the configuration succeeded." },
	DOMAINS = { "dvcertd_domains", GAUGE, "Domains in the configuration." },
	API = { "dvcertd_api_requests", COUNTER, "Requests to CertCentral by endpoint and HTTP status." },
	SCUTUM = { "dvcertd_scutum_requests", COUNTER, "Requests to Scutum by HTTP status." },
	WINDOW = { "dvcertd_api_window_requests", GAUGE,
		   "Requests that a rate window of the API key may hold." },
	WINDOW_LEFT = { "dvcertd_api_window_left", GAUGE,
			"Requests that a rate window has room for right now." },
	KEY = { "dvcertd_api_key_accepted", GAUGE,
		"Whether CertCentral accepts the API key, as far as is known." },
	ORDERS_ALLOWED = { "dvcertd_orders_allowed_per_day", GAUGE, "Paid orders allowed in 24 hours." },
	ORDERS_TODAY = { "dvcertd_orders_last_day", GAUGE, "Paid orders of the last 24 hours." },
	ORDERS = { "dvcertd_orders_placed", COUNTER, "Paid orders placed since the start." },
	POLLED_AT = { "dvcertd_poll_success_timestamp_seconds", GAUGE,
		      "When CertCentral last told what has changed." },
	POLL_EVERY = { "dvcertd_poll_interval_seconds", GAUGE,
		       "How often CertCentral is asked what has changed; 0: there is nothing to ask for." },
	BUSY = { "dvcertd_loop_busy_max_seconds", GAUGE,
		 "Longest time that the event loop was busy at a stretch, over the last 5 to 10 minutes." },
	STUCK = { "dvcertd_stuck_domains", GAUGE, "Domains on which nothing happens although it should." },
	STUCK_TOTAL = { "dvcertd_stuck", COUNTER, "How often a domain was found stuck since the start." },
	NOTICES = { "dvcertd_notify_calls", COUNTER, "Calls of the notify command by event and result." },
	TEXTFILE_AT = { "dvcertd_textfile_timestamp_seconds", GAUGE, "When this file was written." },
	STATE = { "dvcertd_domain_state", GAUGE,
		  "State of the domain: 1 for the one it is in, 0 for the others." },
	NOT_BEFORE = { "dvcertd_certificate_not_before_timestamp_seconds", GAUGE,
		       "Start of validity of the installed certificate." },
	NOT_AFTER = { "dvcertd_certificate_not_after_timestamp_seconds", GAUGE,
		      "End of validity of the installed certificate." },
	RENEW_AT = { "dvcertd_certificate_renewal_timestamp_seconds", GAUGE,
		     "When the installed certificate is to be renewed." },
	ORDER_UNTIL = { "dvcertd_order_valid_until_timestamp_seconds", GAUGE, "End of the paid plan." },
	NEXT = { "dvcertd_domain_next_action_timestamp_seconds", GAUGE, "What happens next, and when." },
	ERROR = { "dvcertd_domain_error", INFO, "The present problem of the domain." },
	UNDONE = { "dvcertd_deploy_undone", GAUGE, "Targets of deployment that are not done." },
	MATCH = { "dvcertd_served_serial_match", GAUGE,
		  "Whether the server presented our certificate when it was last looked at." },
	LOOKED_AT = { "dvcertd_served_look_timestamp_seconds", GAUGE, "When the server was last looked at." };

struct out {
	struct strbuf *sb;
	bool openmetrics;
	char head
		[128]; /* of the samples of the present family: its name and what stands before the domain's */
	size_t head_len;
};

/* --- pieces --- */

static void put_number(struct out *o, int64_t n)
{
	char buf[24], *p = buf + sizeof(buf);
	uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (n < 0)
		*--p = '-';
	strbuf_add(o->sb, p, (size_t)(buf + sizeof(buf) - p));
}

/* A label's value: what ends it or a line is escaped (both formats do it alike). */
static void put_value(struct out *o, const char *s)
{
	size_t plain = strcspn(s, "\\\"\n");

	strbuf_add(o->sb, s, plain);
	for (s += plain; *s; s++) {
		if (*s == '\n')
			strbuf_adds(o->sb, "\\n");
		else if (*s == '\\' || *s == '"')
			strbuf_addf(o->sb, "\\%c", *s);
		else
			strbuf_addc(o->sb, *s);
	}
}

static const char *suffix_of(const struct family *f)
{
	switch (f->type) {
	case GAUGE: return "";
	case COUNTER: return "_total";
	case INFO: return "_info";
	}
	return "";
}

/* OpenMetrics speaks of families; the older format has a type for each name of a sample, and no type for information. */
static void begin(struct out *o, const struct family *f)
{
	const char *suffix = suffix_of(f), *shown = o->openmetrics ? "" : suffix, *type = "gauge";

	if (f->type == COUNTER)
		type = "counter";
	else if (f->type == INFO && o->openmetrics)
		type = "info";
	strbuf_addf(o->sb, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, shown, f->help, f->name, shown, type);
	o->head_len = (size_t)snprintf(o->head, sizeof(o->head), "%s%s", f->name, suffix);
}

static void put_head(struct out *o)
{
	strbuf_add(o->sb, o->head, o->head_len);
}

static void put_end(struct out *o, int64_t value)
{
	strbuf_addc(o->sb, ' ');
	put_number(o, value);
	strbuf_addc(o->sb, '\n');
}

/* A family of one sample without labels. */
static void put_single(struct out *o, const struct family *f, int64_t value)
{
	begin(o, f);
	put_head(o);
	put_end(o, value);
}

static void put_time(struct out *o, const struct family *f, int64_t at)
{
	if (at != 0)
		put_single(o, f, at);
}

static void put_label(struct out *o, char before, const char *key, const char *value)
{
	strbuf_addc(o->sb, before);
	strbuf_adds(o->sb, key);
	strbuf_adds(o->sb, "=\"");
	put_value(o, value);
	strbuf_addc(o->sb, '"');
}

static void put_name(struct out *o, const struct metrics_domain *d)
{
	put_head(o);
	put_label(o, '{', "name", d->name);
}

/* name="..."} value */
static void put_of_domain(struct out *o, const struct metrics_domain *d, int64_t value)
{
	put_name(o, d);
	strbuf_addc(o->sb, '}');
	put_end(o, value);
}

/* --- the daemon --- */

static void put_counts(struct out *o, const struct family *f, const struct metrics_count *counts, size_t n)
{
	char code[16];

	begin(o, f);
	for (size_t i = 0; i < n; i++) {
		const struct metrics_count *c = &counts[i];

		if (c->code > 0)
			(void)snprintf(code, sizeof(code), "%d", c->code);
		else
			(void)snprintf(code, sizeof(code), "%s", c->code == 0 ? "none" : "other");
		put_head(o);
		if (c->what)
			put_label(o, '{', "endpoint", c->what);
		put_label(o, c->what ? ',' : '{', "code", code);
		strbuf_addc(o->sb, '}');
		put_end(o, (int64_t)c->n);
	}
}

static void put_windows(struct out *o, const struct metrics *m, bool left)
{
	char per[24];

	begin(o, left ? &WINDOW_LEFT : &WINDOW);
	for (size_t i = 0; i < m->n_windows; i++) {
		const struct metrics_window *w = &m->windows[i];

		(void)snprintf(per, sizeof(per), "%llds", (long long)w->per);
		put_head(o);
		put_label(o, '{', "window", per);
		strbuf_addc(o->sb, '}');
		put_end(o, left ? w->left : w->requests);
	}
}

static void put_notices(struct out *o, const struct metrics *m)
{
	begin(o, &NOTICES);
	for (size_t i = 0; i < METRICS_EVENTS; i++) {
		const struct metrics_notices *n = &m->notices[i];

		for (int failed = 0; failed < 2 && n->event; failed++) {
			put_head(o);
			put_label(o, '{', "event", n->event);
			put_label(o, ',', "result", failed ? "failed" : "done");
			strbuf_addc(o->sb, '}');
			put_end(o, (int64_t)(failed ? n->n_failed : n->n_done));
		}
	}
}

static void put_daemon(struct out *o, const struct metrics *m)
{
	begin(o, &BUILD);
	put_head(o);
	put_label(o, '{', "version", m->version);
	strbuf_addc(o->sb, '}');
	put_end(o, 1);
	put_time(o, &STARTED, m->started_at);
	put_time(o, &CONFIG_AT, m->config_loaded_at);
	put_single(o, &CONFIG_GOOD, m->config_is_good);
	put_single(o, &DOMAINS, (int64_t)m->n_domains);
	put_counts(o, &API, m->api, m->n_api);
	put_counts(o, &SCUTUM, m->scutum, m->n_scutum);
	put_windows(o, m, false);
	put_windows(o, m, true);
	put_single(o, &KEY, m->key_is_accepted);
	put_single(o, &ORDERS_ALLOWED, m->orders_allowed);
	put_single(o, &ORDERS_TODAY, m->orders_today);
	put_single(o, &ORDERS, (int64_t)m->orders_placed);
	put_time(o, &POLLED_AT, m->polled_at);
	put_single(o, &POLL_EVERY, m->poll_interval);
	begin(o, &BUSY);
	put_head(o);
	strbuf_addf(o->sb, " %lld.%03lld\n", (long long)(m->busy_max_ms / 1000),
		    (long long)(m->busy_max_ms % 1000));
	put_single(o, &STUCK, m->n_stuck);
	put_single(o, &STUCK_TOTAL, (int64_t)m->stuck_total);
	put_notices(o, m);
	put_time(o, &TEXTFILE_AT, m->textfile_at);
}

/* --- domains --- */

static void put_states(struct out *o, const struct metrics *m)
{
	begin(o, &STATE);
	for (size_t i = 0; i < m->n_domains; i++) {
		for (unsigned s = 0; s < m->n_states; s++) {
			put_name(o, &m->domains[i]);
			put_label(o, ',', "state", m->states[s]);
			strbuf_add(o->sb, s == m->domains[i].state ? "} 1\n" : "} 0\n", 4);
		}
	}
}

static int64_t time_at(const struct metrics_domain *d, size_t offset)
{
	int64_t at = 0;

	memcpy(&at, (const char *)d + offset, sizeof(at));
	return at;
}

/* The families that are a time of each domain. */
static void put_times(struct out *o, const struct metrics *m)
{
	static const struct {
		const struct family *family;
		size_t offset;
	} ROWS[] = {
		{ &NOT_BEFORE, offsetof(struct metrics_domain, not_before) },
		{ &NOT_AFTER, offsetof(struct metrics_domain, not_after) },
		{ &RENEW_AT, offsetof(struct metrics_domain, renew_at) },
		{ &ORDER_UNTIL, offsetof(struct metrics_domain, order_valid_until) },
	};

	for (size_t row = 0; row < ARRAY_SIZE(ROWS); row++) {
		begin(o, ROWS[row].family);
		for (size_t i = 0; i < m->n_domains; i++) {
			int64_t at = time_at(&m->domains[i], ROWS[row].offset);

			if (at != 0)
				put_of_domain(o, &m->domains[i], at);
		}
	}
}

static void put_next(struct out *o, const struct metrics *m)
{
	begin(o, &NEXT);
	for (size_t i = 0; i < m->n_domains; i++) {
		const struct metrics_domain *d = &m->domains[i];

		if (!d->action || d->action_at == 0)
			continue;
		put_name(o, d);
		put_label(o, ',', "action", d->action);
		strbuf_addc(o->sb, '}');
		put_end(o, d->action_at);
	}
}

static void put_errors(struct out *o, const struct metrics *m)
{
	begin(o, &ERROR);
	for (size_t i = 0; i < m->n_domains; i++) {
		const struct metrics_domain *d = &m->domains[i];

		if (!d->error_code)
			continue;
		put_name(o, d);
		put_label(o, ',', "code", d->error_code);
		strbuf_adds(o->sb, "} 1\n");
	}
}

static void put_undone(struct out *o, const struct metrics *m)
{
	begin(o, &UNDONE);
	for (size_t i = 0; i < m->n_domains; i++)
		put_of_domain(o, &m->domains[i], m->domains[i].n_undone);
}

static void put_looks(struct out *o, const struct metrics *m, bool match)
{
	begin(o, match ? &MATCH : &LOOKED_AT);
	for (size_t i = 0; i < m->n_domains; i++) {
		const struct metrics_domain *d = &m->domains[i];

		for (uint32_t k = 0; k < d->n_looks; k++) {
			const struct metrics_look *look = &m->looks[d->first_look + k];

			if (look->at == 0)
				continue;
			put_name(o, d);
			put_label(o, ',', "target", look->target);
			strbuf_addc(o->sb, '}');
			put_end(o, match ? look->match : look->at);
		}
	}
}

void metrics_render(const struct metrics *m, bool openmetrics, struct strbuf *sb)
{
	struct out o = { .sb = sb, .openmetrics = openmetrics };

	put_daemon(&o, m);
	put_states(&o, m);
	put_times(&o, m);
	put_next(&o, m);
	put_errors(&o, m);
	put_undone(&o, m);
	put_looks(&o, m, true);
	put_looks(&o, m, false);
	if (openmetrics)
		strbuf_adds(sb, "# EOF\n");
}

/* --- which of the two --- */

#define OPENMETRICS "application/openmetrics-text"

/* The q of one range of an Accept header, in thousandths. */
static int quality(const char *range, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++) {
		if (range[i] == ';') {
			size_t k = i + 1 + strspn(range + i + 1, " \t");

			if (k + 1 < len && (range[k] == 'q' || range[k] == 'Q') && range[k + 1] == '=')
				return (int)(strtod(range + k + 2, NULL) * 1000);
		}
	}
	return 1000;
}

bool metrics_wants_openmetrics(const char *accept)
{
	int best = 0, plain = 0;

	while (*accept) {
		size_t len = strcspn(accept, ",");
		const char *range = accept + strspn(accept, " \t");
		size_t range_len = (size_t)(accept + len - range);

		if (range < accept + len && strncasecmp(range, OPENMETRICS, strlen(OPENMETRICS)) == 0)
			best = MAX(best, quality(range, range_len));
		else if (range < accept + len && strncasecmp(range, "text/plain", strlen("text/plain")) == 0)
			plain = MAX(plain, quality(range, range_len));
		accept += len;
		accept += *accept == ',';
	}
	return best > 0 && best >= plain;
}

const char *metrics_content_type(bool openmetrics)
{
	return openmetrics ? OPENMETRICS "; version=1.0.0; charset=utf-8"
			   : "text/plain; version=0.0.4; charset=utf-8";
}
