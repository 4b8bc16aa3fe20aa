/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's answers for people, and for scripts. Pure: no terminal, no clock, no output. Text of others is escaped, so
 * that nothing the CA says can steer a terminal. Members that are missing or of another type are shown as "-". */
#pragma once

#include "common/json.h"
#include "common/strbuf.h"
#include "common/words.h"

struct render_options {
	int64_t now;
	bool colour;
	unsigned columns; /* width of the terminal; 0: one line for each domain, however long */
	unsigned lines;	  /* at most so many; 0: all */
	const struct words
		*changed; /* names to be marked; NULL: nothing is, and there is no room for marks */
};

/* Each appends whole lines. answer is the daemon's object with "ok": true. */
typedef void render_fn(const struct json *answer, const struct render_options *o, struct strbuf *sb);

/* NAME STATE NEXT EXPIRES PROBLEM, most urgent first, and a line with counts. What is wrong with a domain, and which targets are undone,
 * stands in its line, or in indented lines of its own where the terminal is too narrow for that. */
void render_status(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* One domain of it in one line, for logs: "NAME STATE, NEXT; PROBLEM". */
void render_status_line(const struct json *domain, int64_t now, struct strbuf *sb);
/* Everything about one domain, one fact per line. */
void render_show(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* One line per event, in the daemon's order. */
void render_history(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* One line per domain that was accepted, refused or waited for; what a reload changed. */
void render_renew(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_deploy(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_rollback(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_wait(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_reissue(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_reload(const struct json *answer, const struct render_options *o, struct strbuf *sb);

/* What would be done for each domain, with its calls and warnings, and the sums. */
void render_plan(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* What became of the one thing that was asked for. */
void render_revoke(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_cancel(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_check_dcv(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_resend_emails(const struct json *answer, const struct render_options *o, struct strbuf *sb);
void render_duplicate(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* One line for each AuthKey, never the key itself. */
void render_auth_key(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* One line for each step with what was found, then the first that is broken with its remedy; without a domain the domains too. */
void render_doctor(const struct json *answer, const struct render_options *o, struct strbuf *sb);
/* What is left of orders and of requests, and the orders of the last 24 hours. */
void render_budget(const struct json *answer, const struct render_options *o, struct strbuf *sb);

/* The answer as JSON with an indentation of two, without "ok". Valid JSON whatever the strings hold. */
void render_json(const struct json *answer, struct strbuf *sb);

/* "error" (which may have several lines), then "problems" and "paid" one per line, of an answer with "ok": false. */
void render_refusal(const struct json *answer, struct strbuf *sb);
