/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: one JSON object per line each way. Request: {"verb":"status","names":["..."],...}. Answer: an object with
 * "ok":true and the verb's members, or {"ok":false,"code":69,"error":"..."} where code is the exit code for dvcertctl.
 * Peers: root and the daemon's own user (SO_PEERCRED). What the verbs do is the caller's business. */
#pragma once

#include "common/json.h"
#include "daemon/io/loop.h"

struct control;
struct control_request;

/* names: those of the request; opened requests are answered exactly once with one of the two functions below, at once or
 * later. gone() tells that the peer of a request that is still open has left (do not answer it any more). */
struct control_verb {
	const char *name;
	void (*fn)(struct control_request *rq, void *arg);
	bool needs_names; /* at least one name */
};

int control_new(struct loop *l, const char *path, const struct control_verb *verbs, size_t n_verbs,
		void (*gone)(struct control_request *rq, void *arg), void *arg, struct control **ret,
		struct err *reterr) _must_check_;
void control_free(struct control *c);

const struct json *control_args(const struct control_request *rq); /* the whole request object */
size_t control_n_names(const struct control_request *rq);
const char *control_name(const struct control_request *rq, size_t i);
/* Room for the verb's own bookkeeping. */
void control_set_data(struct control_request *rq, void *data);
void *control_data(const struct control_request *rq);

void control_answer(struct control_request *rq, struct json *answer); /* takes answer; "ok":true is added */
void control_refuse(struct control_request *rq, int exit_code, const char *fmt, ...) _printf_(3, 4);
/* The same with further members beside "ok", "code" and "error"; takes answer. */
void control_refuse_with(struct control_request *rq, int exit_code, struct json *answer, const char *text);

/* What a line asks for; the pure part of this module, for its tests and the fuzzer. */
struct control_query {
	struct json *args; /* the whole object; owned */
	const struct control_verb *verb;
	const struct json *names; /* in args; NULL: none */
};
/* 0, or -EBADMSG with a text for the client. */
int control_parse(const char *line, size_t len, const struct control_verb *verbs, size_t n_verbs,
		  struct control_query *ret, struct err *reterr) _must_check_;
